//! Sees to it that the shop tells us: Shopify deletes a subscription whose deliveries fail for hours,
//! and a new type of metaobject is told of only when somebody asks. What was not told meanwhile is read.

use std::collections::BTreeSet;
use std::time::Duration;

use backstock_proto::admin::AdminError;
use backstock_proto::journal::{JournalError, Page};
use backstock_proto::publish::PublishError;
use backstock_proto::pulls::{Order, Ordered, UNTOLD};
use backstock_proto::subscribe::{
    ALL, SUBSCRIPTIONS, Subscriptions, Wish, heal, metaobject_types, metaobject_types_now,
};
use backstock_proto::{Kind, Mode};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::orders::Doors;
use crate::pull::Puller;

/// What a new type of metaobject is learned from, and its entries.
const DEFINITIONS: &str = "metaobject_definition";
const ENTRIES: &str = "metaobject";
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

/// Looks after one shop's subscriptions until `shutdown`. What has to be read whole is ordered at `doors`.
pub(crate) async fn run(
    puller: Puller,
    doors: Doors,
    (public_url, every): (Url, Duration),
    shutdown: CancellationToken,
) {
    let (mut untold, mut learning) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let looked = async {
            let (types, untold_now) = look(&puller, &public_url).await?;
            catch_up(&puller, untold_now, &mut untold).await?;
            learn(&puller, &doors, types, &mut learning).await
        };
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = looked => looked,
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

/// The types of metaobjects, as the shop has them and as history knows them.
struct Types {
    now: BTreeSet<String>,
    known: BTreeSet<String>,
    /// Whether they are subscribed to otherwise than before: nothing told of some of them until now.
    are_told_anew: bool,
}

/// Mends the subscriptions. Answers the types of metaobjects, and the kinds of which some subscription was
/// gone.
async fn look(puller: &Puller, public_url: &Url) -> Result<(Types, BTreeSet<Kind>), UpkeepError> {
    let before = before(puller).await?;
    let known = metaobject_types(puller.journal.as_ref(), &puller.shop).await?;
    let now = metaobject_types_now(&puller.asker.client).await?;
    let types = now.unwrap_or_else(|| known.clone());
    let wish = Wish {
        public_url: public_url.clone(),
        metaobject_types: types.clone(),
        other_version: before.as_ref().map(|b| b.other_version.clone()).unwrap_or_default(),
    };
    let now = puller.clock.now();
    let report = heal(&puller.asker.client, &wish, now, Mode::Apply).await?;
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
    // The first time everything is read anyway.
    let untold = if before.is_some() { report.untold() } else { BTreeSet::new() };
    let same = before.is_some_and(|before| Subscriptions { at: report.at, ..before } == report);
    if !same {
        puller.publisher.record(&puller.shop, SUBSCRIPTIONS, ALL, &report).await?;
    }
    let are_told_anew = !same && report.done.iter().any(|done| done.contains(" metaobjects/"));
    Ok((Types { now: types, known, are_told_anew }, untold))
}

/// Has kinds read whole that nothing told of for a while. That is on record, so that it comes after a
/// restart as well. Where a subscription is gone at each look, its kind is not read each time: `before` are
/// those of the look before.
async fn catch_up(
    puller: &Puller,
    untold: BTreeSet<Kind>,
    before: &mut BTreeSet<Kind>,
) -> Result<(), PublishError> {
    let (shop, at) = (&puller.shop, puller.clock.now());
    for kind in untold.difference(before) {
        info!(%shop, %kind, "a webhook subscription was gone: reading what nothing told of");
        let ordered = Ordered { at, confirm_deletions: false };
        puller.publisher.record(shop, UNTOLD, kind.as_str(), &ordered).await?;
    }
    *before = untold;
    Ok(())
}

/// Has definitions and entries read whole when the shop has other types than are known, or these are
/// subscribed to otherwise: what became of entries before that, nothing tells. Once for the same types:
/// until that is done, and what cannot be read is not read again and again. Before the first whole look
/// they are read anyway.
async fn learn(
    puller: &Puller,
    doors: &Doors,
    types: Types,
    learning: &mut BTreeSet<String>,
) -> Result<(), UpkeepError> {
    let is_known = types.now == types.known || types.now == *learning;
    if is_known && !types.are_told_anew {
        return Ok(());
    }
    let status = puller.journal.status(&puller.shop).await?;
    let mut kinds = status.into_iter().flat_map(|status| status.kinds);
    let definitions = kinds.find(|kind| kind.kind.as_str() == DEFINITIONS);
    if definitions.is_none_or(|kind| kind.last_complete_pull.is_none()) {
        return Ok(());
    }
    info!(shop = %puller.shop, "types of metaobjects are new, or told of anew: reading them");
    let kinds = [DEFINITIONS, ENTRIES].iter().filter_map(|name| Kind::parse(name).ok()).collect();
    let shop = puller.shop.clone();
    doors.give(Order { shop, kinds, ids: Vec::new(), confirm_deletions: false }).await;
    *learning = types.now;
    Ok(())
}

/// What was said of them last.
async fn before(puller: &Puller) -> Result<Option<Subscriptions>, JournalError> {
    let newest = Page { limit: 1, cursor: None };
    let records = puller.journal.records(&puller.shop, SUBSCRIPTIONS, Some(ALL), &newest).await?;
    let newest = records.items.into_iter().next();
    Ok(newest.and_then(|record| serde_json::from_value(record.payload).ok()))
}
