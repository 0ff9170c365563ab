//! Looks several times an hour at what nothing tells of and a few questions do: menus, policies, script tags.
//! What there is much of waits for the night.

use std::collections::BTreeMap;
use std::time::Duration;

use backstock_proto::Timestamp;
use backstock_proto::journal::{JournalError, PullState};
use backstock_proto::kind::Heard;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::pull::Puller;

/// When each kind was looked at last, by the shop's clock.
type Looks = BTreeMap<&'static str, Timestamp>;

/// Looks at one shop's kinds until `shutdown`.
pub(crate) async fn run(puller: Puller, every: Duration, shutdown: CancellationToken) {
    let mut looks = Looks::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = look(&puller, every, &mut looks) => looked,
        };
        if let Err(error) = looked {
            warn!(shop = %puller.shop, %error, "cannot see which kinds to look at; trying again");
        }
    }
}

/// Looks at every kind that was read whole before, and is not just being read. History has to know what the
/// look before found.
async fn look(puller: &Puller, every: Duration, looks: &mut Looks) -> Result<(), JournalError> {
    let status = puller.journal.status(&puller.shop).await?;
    let status = status.filter(|status| status.summary.lag_seconds < every.as_secs_f64());
    for known in status.into_iter().flat_map(|status| status.kinds) {
        let Some(spec) = known.kind.spec().filter(|_| known.heard == Heard::Hour) else { continue };
        let Some(whole) = &known.last_complete_pull else { continue };
        if known.pull.as_ref().is_some_and(|pull| pull.state == PullState::Running) {
            continue;
        }
        let whole = puller.shops_time(whole.started_at);
        let last = looks.get(spec.name).map_or(whole, |last| whole.max(*last));
        match puller.few(spec, last).await {
            Ok(at) => {
                looks.insert(spec.name, at);
            }
            // The whole look tells of it.
            Err(error) if error.is_denial() => {}
            Err(error) => {
                let (shop, kind) = (&puller.shop, spec.name);
                warn!(%shop, kind, %error, "looking at a small kind failed; trying again");
            }
        }
    }
    Ok(())
}
