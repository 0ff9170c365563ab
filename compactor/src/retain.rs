//! Once a night: keeps no longer what need not be kept. When it was done last is on record, so that a
//! night that was missed is made up for.

use std::time::Duration;

use backstock_proto::blob::Blobs;
use backstock_proto::cron::Cron;
use backstock_proto::journal::{JournalError, Page, Retention};
use backstock_proto::retain::{ALL, RETENTION, RetainError, Retained, retain};
use backstock_proto::{Mode, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::due::lies_ahead;
use crate::pull::Puller;

/// How often it looks whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Rest after a failure.
const REST: Duration = Duration::from_secs(900);

/// Thins one shop's history when it is time, until `shutdown`.
pub(crate) async fn run(
    puller: Puller,
    blobs: Blobs,
    (cron, retention): (Cron, Retention),
    shutdown: CancellationToken,
) {
    let mut wait = LOOK_EVERY;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let thinned = tokio::select! {
            () = shutdown.cancelled() => return,
            thinned = when_due(&puller, &blobs, &cron, retention) => thinned,
        };
        wait = LOOK_EVERY;
        match thinned {
            Ok(None) => {}
            Ok(Some(Retained { thinned, blobs, blob_bytes, held, .. })) => info!(
                shop = %puller.shop, versions = thinned.removed, bytes = thinned.bytes,
                records = thinned.records, blobs, blob_bytes, held, "history was thinned"
            ),
            Err(error) => {
                warn!(shop = %puller.shop, %error, "thinning history failed; trying again");
                wait = REST;
            }
        }
    }
}

async fn when_due(
    puller: &Puller,
    blobs: &Blobs,
    cron: &Cron,
    retention: Retention,
) -> Result<Option<Retained>, RetainError> {
    // What goes does not come back, and our clock may be far ahead.
    let now = puller.now();
    match last(puller).await? {
        Some(last) if is_due(last, now, cron) => {}
        Some(_) => return Ok(None),
        // From now on the schedule counts.
        None => {
            put_on_record(puller, &Retained { at: now, ..Retained::default() }).await?;
            return Ok(None);
        }
    }
    let journal = puller.journal.as_ref();
    let retained = retain((journal, blobs), &puller.shop, (retention, now), Mode::Apply).await?;
    put_on_record(puller, &retained).await?;
    Ok(Some(retained))
}

/// Whether it is time again.
fn is_due(last: Timestamp, now: Timestamp, cron: &Cron) -> bool {
    last < cron.last(now) || lies_ahead(last, now)
}

async fn put_on_record(puller: &Puller, retained: &Retained) -> Result<(), RetainError> {
    let recorded = puller.publisher.record(&puller.shop, RETENTION, ALL, retained).await;
    recorded.map_err(|e| JournalError::Unavailable(e.to_string()))?;
    Ok(())
}

/// When it was done last.
async fn last(puller: &Puller) -> Result<Option<Timestamp>, JournalError> {
    let newest = Page { limit: 1, cursor: None };
    let records = puller.journal.records(&puller.shop, RETENTION, Some(ALL), &newest).await?;
    let newest = records.items.into_iter().next();
    let retained = newest.and_then(|r| serde_json::from_value::<Retained>(r.payload).ok());
    Ok(retained.map(|retained| retained.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_wrong_for_a_while_does_not_stop_it() {
        let cron: Cron = "30 4 * * *".parse().expect("a schedule");
        let at = |text: &str| Timestamp::parse(text).expect("an instant");
        let now = at("2026-11-24T05:00:00Z");
        for (last, expected) in [
            ("2026-11-24T04:00:00Z", true),
            ("2026-11-24T04:30:00Z", false),
            ("2026-11-24T05:00:02Z", false),
            ("2027-11-24T04:30:00Z", true),
        ] {
            assert_eq!(is_due(at(last), now, &cron), expected, "{last}");
        }
    }
}
