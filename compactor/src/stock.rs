//! Stock comes and goes with its item. No webhook tells of the levels of a new item, nor that those of
//! a deleted one are gone: they are asked for when the item comes, and end when it goes.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::{Event, Facet, Kind, Op, ResourceId, Timestamp};
use futures::{FutureExt, StreamExt, TryStreamExt};
use tracing::debug;

use crate::pull::{IN_FLIGHT, PullError, Puller, QUESTIONS};
use crate::reconcile::Window;

/// The kind that is stock.
pub(crate) const LEVEL: &str = "inventory_level";
const ITEM: &str = "inventory_item";
const LOCATION: &str = "location";

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It is new since then.
    Came(Timestamp),
    /// It is gone since then.
    Went(Timestamp),
}

/// What became of items, by which ones.
pub(crate) type Fates = BTreeMap<ResourceId, Fate>;

/// The item that came or went, if that is what an event tells.
pub(crate) fn fate(event: &Event) -> Option<(ResourceId, Fate)> {
    let told = event.source.is_delivered() && event.key.kind.as_str() == ITEM;
    // Of what Shopify's Events tell, hardly any carries the item.
    let tells = matches!(event.facet, Facet::Core | Facet::Signal);
    if !told || !tells || event.key.id == ResourceId::unknown() {
        return None;
    }
    let at = event.triggered_at.unwrap_or(event.received_at);
    let fate = match event.op {
        Op::Create => Fate::Came(at),
        Op::Delete => Fate::Went(at),
        Op::Update => return None,
    };
    Some((event.key.id.clone(), fate))
}

/// How the levels of some items are asked for, and of how many at once.
fn asked() -> Option<(&'static Spec, &'static Pull, usize)> {
    let spec = *backstock_proto::kind::ALL.iter().find(|spec| spec.name == LEVEL)?;
    spec.pulls.iter().find_map(|pull| match pull.way {
        Way::ById { ids_max, .. } => Some((spec, pull, ids_max)),
        _ => None,
    })
}

/// Asks for the levels of the items that came, publishes those that history has not, and the end of
/// those whose item went: no item, no stock, so that nothing has to be asked.
pub(crate) async fn follow(puller: &Puller, fates: &Fates) -> Result<(), PullError> {
    let Some((spec, pull, ids_max)) = asked().filter(|_| !fates.is_empty()) else { return Ok(()) };
    debug!(shop = %puller.shop, kind = LEVEL, items = fates.len(), "stock came or went");
    // First what the shop does not have to answer.
    let mut gone = Vec::new();
    if fates.values().any(|fate| matches!(fate, Fate::Went(_))) {
        let locations = locations(puller).await?;
        for (item, fate) in fates {
            let Fate::Went(at) = fate else { continue };
            gone.extend(locations.iter().filter_map(|at_one| Some((level(item, at_one)?, *at))));
        }
    }
    let ended = futures::stream::iter(gone).map(|(level, went_at)| {
        let known_at = puller.read_at(Some(went_at));
        async move { puller.gone_with(spec, &level, went_at, known_at).await }.boxed()
    });
    ended.buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
    let (mut came, mut last) = (Vec::new(), Timestamp::MIN);
    for (item, fate) in fates {
        let Fate::Came(at) = fate else { continue };
        came.push(item.clone());
        last = last.max(*at);
    }
    let read_at = puller.read_at(Some(last));
    let some: Vec<Vec<ResourceId>> = came.chunks(ids_max).map(<[_]>::to_vec).collect();
    let asked = futures::stream::iter(some).map(|some| {
        async move {
            puller.some(spec, pull, &some, |_| Window::asked(read_at), |_| true).await.map(drop)
        }
        .boxed()
    });
    asked.buffer_unordered(QUESTIONS).try_collect().await
}

/// Where stock may be, or may have been.
async fn locations(puller: &Puller) -> Result<BTreeSet<ResourceId>, PullError> {
    let kind = Kind::parse(LOCATION).map_err(|e| PullError::Unreadable(e.to_string()))?;
    let heads = puller.journal.heads(&puller.shop, &kind, None).await?;
    Ok(heads.map_ok(|head| head.id).try_collect().await?)
}

/// The level of an item at a location, as its kind names it.
fn level(item: &ResourceId, location: &ResourceId) -> Option<ResourceId> {
    ResourceId::parse(&format!("{item}-{location}")).ok()
}

#[cfg(test)]
mod tests {
    use backstock_proto::Source;

    use super::*;
    use crate::question;

    fn event(kind: &str, op: Op, source: Source) -> Event {
        let triggered_at = Some(Timestamp::from_micros(5));
        Event {
            op,
            source,
            triggered_at,
            ..question::tests::event(kind, "inventory_items/delete", "{}")
        }
    }

    #[test]
    fn an_item_that_comes_or_goes_is_known_by_its_webhook() {
        let fate_of = |kind, op, source| fate(&event(kind, op, source)).map(|(_, fate)| fate);
        let at = Timestamp::from_micros(5);
        assert_eq!(fate_of(ITEM, Op::Create, Source::Webhook), Some(Fate::Came(at)));
        let went = Fate::Went(at);
        assert_eq!(fate_of(ITEM, Op::Delete, Source::Webhook), Some(went));
        assert_eq!(fate_of(ITEM, Op::Update, Source::Webhook), None);
        assert_eq!(fate_of(ITEM, Op::Delete, Source::Reconcile), None, "our own corrections");
        assert_eq!(fate_of("product", Op::Delete, Source::Webhook), None);
    }

    #[test]
    fn levels_can_be_asked_for_by_their_item() {
        let (spec, pull, _) = asked().expect("a way");
        assert!(pull.facets.contains(&Facet::Core));
        let item = ResourceId::parse("7").expect("an id");
        assert_eq!(spec.gids(&[item]), ["gid://shopify/InventoryItem/7"]);
    }
}
