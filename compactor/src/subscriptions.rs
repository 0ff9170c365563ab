//! Sees to it that the shop tells us: Shopify deletes a subscription whose deliveries fail for hours,
//! and a new type of metaobject is told of only when somebody asks.

use std::time::Duration;

use backstock_proto::admin::AdminError;
use backstock_proto::journal::{JournalError, Page};
use backstock_proto::publish::PublishError;
use backstock_proto::subscribe::{ALL, SUBSCRIPTIONS, Subscriptions, Wish, heal, metaobject_types};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::pull::Puller;

/// How long it waits after a failure.
const REST: Duration = Duration::from_secs(60);

/// Why nothing could be said of the subscriptions.
#[derive(Debug, thiserror::Error)]
enum UpkeepError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Looks after one shop's subscriptions until `shutdown`.
pub(crate) async fn run(
    puller: Puller,
    public_url: Url,
    every: Duration,
    shutdown: CancellationToken,
) {
    loop {
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = look(&puller, &public_url) => looked,
        };
        let wait = match looked {
            Ok(()) => every,
            Err(error) => {
                let shop = &puller.shop;
                warn!(%shop, %error, "looking after webhook subscriptions failed; trying again");
                every.min(REST)
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn look(puller: &Puller, public_url: &Url) -> Result<(), UpkeepError> {
    let before = before(puller).await?;
    let wish = Wish {
        public_url: public_url.clone(),
        metaobject_types: metaobject_types(puller.journal.as_ref(), &puller.shop).await?,
        other_version: before.as_ref().map(|b| b.other_version.clone()).unwrap_or_default(),
    };
    let now = puller.clock.now();
    let report = heal(&puller.asker.client, &wish, now, false).await?;
    if !report.done.is_empty() {
        // The first time nothing was there to be healed.
        if before.is_some() {
            puller.metrics.subscriptions_healed.inc_by(report.done.len() as u64);
        }
        info!(shop = %puller.shop, "webhook subscriptions: {}", report.done.join(", "));
    }
    for refused in &report.refused {
        let (topic, reason) = (&refused.topic, &refused.reason);
        warn!(shop = %puller.shop, %topic, "the shop refuses a webhook subscription: {reason}");
    }
    let same = before.is_some_and(|before| Subscriptions { at: report.at, ..before } == report);
    if !same {
        puller.publisher.record(&puller.shop, SUBSCRIPTIONS, ALL, &report).await?;
    }
    Ok(())
}

/// What was said of them last.
async fn before(puller: &Puller) -> Result<Option<Subscriptions>, JournalError> {
    let newest = Page { limit: 1, cursor: None };
    let records = puller.journal.records(&puller.shop, SUBSCRIPTIONS, Some(ALL), &newest).await?;
    let newest = records.items.into_iter().next();
    Ok(newest.and_then(|record| serde_json::from_value(record.payload).ok()))
}
