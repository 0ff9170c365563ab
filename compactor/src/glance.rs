//! Looks several times an hour at what nothing tells of. What a few questions do is read: menus, policies,
//! script tags. Of what there may be more of, such as redirects, one question shows whether most of it is as
//! it was; where it is not, the kind is read whole. What that does not show waits for the night.

use std::collections::BTreeMap;
use std::time::Duration;

use backstock_proto::canonical::Hash;
use backstock_proto::journal::{JournalError, PullState};
use backstock_proto::kind::{Heard, Spec};
use backstock_proto::pulls::Order;
use backstock_proto::{Kind, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::orders::Doors;
use crate::pull::{PullError, Puller};

/// What looking at a shop's kinds showed.
#[derive(Default)]
struct Looks {
    /// When each was last seen to be as history has it, by the shop's clock.
    read: BTreeMap<&'static str, Timestamp>,
    /// The answers to the last glimpses.
    glimpsed: BTreeMap<&'static str, Hash>,
}

/// Looks at one shop's kinds until `shutdown`.
pub(crate) async fn run(
    puller: Puller,
    doors: Doors,
    every: Duration,
    shutdown: CancellationToken,
) {
    let mut looks = Looks::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let looked = tokio::select! {
            () = shutdown.cancelled() => return,
            looked = look(&puller, &doors, every, &mut looks) => looked,
        };
        if let Err(error) = looked {
            warn!(shop = %puller.shop, %error, "cannot see which kinds to look at; trying again");
        }
    }
}

/// Looks at every kind that was read whole before, and is not just being read. History has to know what the
/// look before found.
async fn look(
    puller: &Puller,
    doors: &Doors,
    every: Duration,
    looks: &mut Looks,
) -> Result<(), JournalError> {
    let status = puller.journal.status(&puller.shop).await?;
    let status = status.filter(|status| status.summary.lag_seconds < every.as_secs_f64());
    for known in status.into_iter().flat_map(|status| status.kinds) {
        let Some(spec) = known.kind.spec() else { continue };
        let Some(whole) = &known.last_complete_pull else { continue };
        if known.pull.as_ref().is_some_and(|pull| pull.state == PullState::Running) {
            continue;
        }
        let looked = match known.heard {
            Heard::Hour => {
                let whole = puller.shops_time(whole.started_at);
                let last = looks.read.get(spec.name).map_or(whole, |last| whole.max(*last));
                puller.few(spec, last).await.map(|at| {
                    looks.read.insert(spec.name, at);
                })
            }
            Heard::Mostly => glimpse(puller, doors, spec, looks).await,
            Heard::Seconds | Heard::Minute | Heard::Nightly => continue,
        };
        match looked {
            Ok(()) => {}
            // The whole look tells of it.
            Err(error) if error.is_denial() => {}
            Err(error) => {
                let (shop, kind) = (&puller.shop, spec.name);
                warn!(%shop, kind, %error, "looking at a kind failed; trying again");
            }
        }
    }
    Ok(())
}

/// Has a kind read whole if a glimpse of it shows something else than the one before. Of the first since the
/// start nobody can say: what changed before it is found in the night.
async fn glimpse(
    puller: &Puller,
    doors: &Doors,
    spec: &'static Spec,
    looks: &mut Looks,
) -> Result<(), PullError> {
    let Some(document) = spec.glimpse else { return Ok(()) };
    let shown = Hash::of(Some(&puller.asker.glimpse(document).await?));
    let before = looks.glimpsed.insert(spec.name, shown);
    if before.is_some_and(|before| before != shown) {
        debug!(shop = %puller.shop, kind = spec.name, "something changed: reading all of the kind");
        let (shop, kinds, ids) = (puller.shop.clone(), vec![Kind::of(spec)], Vec::new());
        doors.give(Order { shop, kinds, ids, confirm_deletions: false }).await;
    }
    Ok(())
}
