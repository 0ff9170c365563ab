//! Whether something is sold below what it cost: prices stand with products, costs with inventory
//! items, so a change-set alone does not show it.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstock_proto::journal::{AsOf, Journal, JournalError};
use backstock_proto::{Kind, ResourceId, ResourceKey, Shop};
use serde_json::Value;

use crate::change_set::{Damage, Harm, Trace, Turn, amount};

/// Most products that are looked at; those of a burst are alike.
const PRODUCTS_MAX: usize = 60;
/// Most variants of a product that are looked at.
const VARIANTS_MAX: usize = 10;
/// How many names are given as examples.
const EXAMPLES: usize = 3;

/// How many products of which the price fell are below their cost now and were not before; of more
/// than are looked at, as many as the part of these makes likely.
pub(super) async fn below_cost(
    journal: &dyn Journal,
    shop: &Shop,
    traces: &[Arc<Trace>],
) -> Result<Option<Damage>, JournalError> {
    let mut fell: BTreeMap<&ResourceId, &Trace> = BTreeMap::new();
    for trace in traces.iter().filter(|trace| trace.kind.as_str() == "product") {
        let falls = |turn: &Turn| matches!(turn, Turn::Amount(old, new) if new < old);
        if trace.effects.iter().any(|effect| effect.is_price() && falls(&effect.turn)) {
            fell.insert(&trace.id, trace);
        }
    }
    let looked_at = fell.len().min(PRODUCTS_MAX);
    let mut examples = Vec::new();
    let mut below = 0;
    for (id, trace) in fell.iter().take(PRODUCTS_MAX) {
        let key = ResourceKey { shop: shop.clone(), kind: trace.kind.clone(), id: (*id).clone() };
        let Some(product) = journal.resource(&key, AsOf::Latest).await? else { continue };
        if is_below(journal, shop, &product.state, trace).await? {
            below += 1;
            examples.push(trace.title.to_string());
        }
    }
    if below == 0 {
        return Ok(None);
    }
    examples.truncate(EXAMPLES);
    let count = below * fell.len() / looked_at;
    Ok(Some(Damage { harm: Harm::PricesBelowCost, count: count as u64, examples }))
}

/// Whether a variant whose price fell went below its cost.
async fn is_below(
    journal: &dyn Journal,
    shop: &Shop,
    product: &Value,
    trace: &Trace,
) -> Result<bool, JournalError> {
    let Ok(kind) = Kind::parse("inventory_item") else { return Ok(false) };
    let variants = product["variants"].as_array().map(Vec::as_slice).unwrap_or_default();
    for effect in trace.effects.iter().filter(|effect| effect.is_price()).take(VARIANTS_MAX) {
        let Turn::Amount(old, new) = effect.turn else { continue };
        let is = |variant: &&Value| variant["id"].as_str() == effect.element.as_deref();
        let item = variants.iter().find(is).and_then(|v| v.pointer("/inventoryItem/id")?.as_str());
        let Some(id) = item.and_then(|gid| ResourceId::parse(gid).ok()) else { continue };
        let key = ResourceKey { shop: shop.clone(), kind: kind.clone(), id };
        let Some(item) = journal.resource(&key, AsOf::Latest).await? else { continue };
        let cost = item.state.pointer("/unitCost/amount").and_then(Value::as_str).and_then(amount);
        if cost.is_some_and(|cost| new < cost && old >= cost) {
            return Ok(true);
        }
    }
    Ok(false)
}
