//! Values may go with the definition of their metafields. No webhook tells of them, nor whether they go:
//! where history has any, what may have them is read again, at once and once more when Shopify, which
//! deletes them by and by, is through.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::journal::AsOf;
use backstock_proto::kind::Spec;
use backstock_proto::kind::metafield_definition::{self, VALUES_GO_WITHIN};
use backstock_proto::pulls::{LATER, Order, Ordered};
use backstock_proto::{Event, Kind, Op, ResourceId, Timestamp};
use futures::TryStreamExt;
use serde_json::Value;
use tracing::debug;

use crate::orders::Doors;
use crate::pull::{PullError, Puller};

/// The kind that defines metafields.
pub(crate) const DEFINITION: &str = "metafield_definition";

/// The definition that went, if that is what an event tells.
pub(crate) fn went(event: &Event) -> Option<ResourceId> {
    let told = event.source.is_delivered() && event.key.kind.as_str() == DEFINITION;
    let went = told && event.op == Op::Delete && event.key.id != ResourceId::unknown();
    went.then(|| event.key.id.clone())
}

/// Orders that what may have had values of some definitions is read again.
pub(crate) async fn follow(
    puller: &Puller,
    doors: &Doors,
    went: &BTreeSet<ResourceId>,
) -> Result<(), PullError> {
    let kind = Kind::parse(DEFINITION).map_err(|e| PullError::Unreadable(e.to_string()))?;
    let mut of_owner: BTreeMap<&'static str, (&'static Spec, Vec<Value>)> = BTreeMap::new();
    for id in went {
        let last = puller.journal.resource(&puller.key(&kind, id), AsOf::Latest).await?;
        let Some(definition) = last.map(|last| last.state) else { continue };
        let owner = definition["ownerType"].as_str().and_then(metafield_definition::owner);
        let Some(owner) = owner else { continue };
        of_owner.entry(owner.name).or_insert_with(|| (owner, Vec::new())).1.push(definition);
    }
    for (name, (owner, definitions)) in of_owner {
        if are_known(puller, owner, &definitions).await? {
            order(puller, doors, name).await?;
        }
    }
    Ok(())
}

/// Whether history has any value of some definitions.
async fn are_known(
    puller: &Puller,
    owner: &'static Spec,
    definitions: &[Value],
) -> Result<bool, PullError> {
    let kind = Kind::of(owner);
    let mut there = puller.journal.snapshot(&puller.shop, AsOf::Latest, Some(&kind)).await?;
    while let Some(found) = there.try_next().await? {
        if definitions.iter().any(|definition| has_value(&found.state, definition)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether something has a value of a definition, itself or one of its variants.
fn has_value(state: &Value, definition: &Value) -> bool {
    let of = |owner: &Value| {
        let metafields = owner["metafields"].as_array().into_iter().flatten();
        metafields.into_iter().any(|metafield| {
            ["namespace", "key"].iter().all(|name| metafield[*name] == definition[*name])
        })
    };
    of(state) || state["variants"].as_array().into_iter().flatten().any(of)
}

/// Has a kind read whole: now, and once more when nothing goes any longer. The second time is on record,
/// so that it comes after a restart as well.
async fn order(puller: &Puller, doors: &Doors, name: &str) -> Result<(), PullError> {
    debug!(shop = %puller.shop, kind = name, "values may have gone with their definition");
    let kind = Kind::parse(name).map_err(|e| PullError::Unreadable(e.to_string()))?;
    let at = Timestamp::from_micros(puller.clock.now().as_micros() + VALUES_GO_WITHIN);
    let later = Ordered { at, confirm_deletions: false };
    puller.publisher.record(&puller.shop, LATER, name, &later).await?;
    let (shop, kinds, ids) = (puller.shop.clone(), vec![kind], Vec::new());
    doors.give(Order { shop, kinds, ids, confirm_deletions: false }).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use backstock_proto::Source;
    use serde_json::json;

    use super::*;
    use crate::question;

    #[test]
    fn a_definition_that_goes_is_known_by_its_webhook() {
        let went_by = |kind: &str, op, source| {
            let told = question::tests::event(kind, "metafield_definitions/delete", "{}");
            went(&Event { op, source, ..told }).is_some()
        };
        assert!(went_by(DEFINITION, Op::Delete, Source::Webhook));
        assert!(!went_by(DEFINITION, Op::Delete, Source::Reconcile), "our own corrections");
        assert!(!went_by(DEFINITION, Op::Update, Source::Webhook));
        assert!(!went_by("product", Op::Delete, Source::Webhook));
    }

    #[test]
    fn a_value_is_one_of_a_definition_by_its_name_wherever_it_stands() {
        let definition = json!({"namespace": "custom", "key": "care", "ownerType": "PRODUCT"});
        let with = |key: &str| json!({"metafields": [{"namespace": "custom", "key": key}]});
        assert!(has_value(&with("care"), &definition));
        assert!(has_value(&json!({"variants": [{}, with("care")]}), &definition));
        assert!(!has_value(&with("wash"), &definition));
        assert!(!has_value(&json!({"title": "care"}), &definition));
    }
}
