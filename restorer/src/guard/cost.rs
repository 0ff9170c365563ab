//! Whether something is sold below what it cost: prices stand with products, costs with inventory
//! items, so a change-set alone does not show it.

use std::collections::BTreeMap;

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
    traces: &[&Trace],
) -> Result<Option<Damage>, JournalError> {
    let mut fell: BTreeMap<&ResourceId, Vec<&Trace>> = BTreeMap::new();
    for trace in traces.iter().copied().filter(|trace| trace.kind.as_str() == "product") {
        let falls = |turn: &Turn| matches!(turn, Turn::Amount(old, new) if new < old);
        if trace.effects().iter().any(|effect| effect.is_price() && falls(&effect.turn)) {
            fell.entry(&trace.id).or_default().push(trace);
        }
    }
    let looked_at = fell.len().min(PRODUCTS_MAX);
    let mut examples = Vec::new();
    let mut below = 0;
    for falls in fell.values().take(PRODUCTS_MAX) {
        let Some(last) = falls.last() else { continue };
        let (kind, id) = (last.kind.clone(), last.id.clone());
        let key = ResourceKey { shop: shop.clone(), kind, id };
        let Some(product) = journal.resource(&key, AsOf::Latest).await? else { continue };
        if is_below(journal, shop, &product.state, falls).await? {
            below += 1;
            examples.push(last.title().to_owned());
        }
    }
    if below == 0 {
        return Ok(None);
    }
    examples.truncate(EXAMPLES);
    let count = below * fell.len() / looked_at;
    Ok(Some(Damage { harm: Harm::PricesBelowCost, count: count as u64, examples }))
}

/// Whether a variant whose price fell, be it in several steps, is below its cost now and was not before
/// the first of them.
async fn is_below(
    journal: &dyn Journal,
    shop: &Shop,
    product: &Value,
    falls: &[&Trace],
) -> Result<bool, JournalError> {
    let Ok(kind) = Kind::parse("inventory_item") else { return Ok(false) };
    let variants = product["variants"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut before: BTreeMap<&str, i64> = BTreeMap::new();
    for effect in falls.iter().flat_map(|trace| trace.effects()).filter(|e| e.is_price()) {
        if let (Some(variant), Turn::Amount(old, _)) = (effect.element.as_deref(), &effect.turn) {
            before.entry(variant).or_insert(*old);
        }
    }
    for (gid, old) in before.into_iter().take(VARIANTS_MAX) {
        let is = |variant: &&Value| variant["id"] == gid;
        let Some(variant) = variants.iter().find(is) else { continue };
        let item = variant.pointer("/inventoryItem/id").and_then(Value::as_str);
        let Some(id) = item.and_then(|gid| ResourceId::parse(gid).ok()) else { continue };
        let Some(now) = variant["price"].as_str().and_then(amount) else { continue };
        let key = ResourceKey { shop: shop.clone(), kind: kind.clone(), id };
        let Some(item) = journal.resource(&key, AsOf::Latest).await? else { continue };
        let cost = item.state.pointer("/unitCost/amount").and_then(Value::as_str).and_then(amount);
        if cost.is_some_and(|cost| now < cost && old >= cost) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::change_set::read::{Book, Sources, Whose};
    use crate::fake::{self, Fake};
    use crate::job::written::Written;
    use backstock_proto::journal::Span;

    /// How many of these products are below their cost of 10.00 once their prices went this way.
    async fn below(prices: &[[&str; 3]]) -> u64 {
        let mut journal = Fake::default();
        for (n, [first, ..]) in (1..).zip(prices) {
            let at = "2026-11-20T09:00:00Z";
            journal.make("product", &n.to_string(), at, &product(n, first));
            let cost = json!({"unitCost": {"amount": "10.00", "currencyCode": "EUR"}});
            journal.make("inventory_item", &n.to_string(), at, &cost);
        }
        for step in [1, 2] {
            for (n, prices) in (1..).zip(prices) {
                let at = format!("2026-11-22T11:5{step}:{n:02}Z");
                journal.remember("product", &n.to_string(), &at, &product(n, prices[step]));
            }
        }
        let (shop, written) = (fake::shop("acme"), Written::default());
        let from = Sources { journal: &journal, shop: &shop, ours: None, written: &written };
        let grouped = Book::default().grouped(from, Span::default(), Whose::All).await;
        let traces = grouped.expect("answered").traces;
        let traces: Vec<&Trace> = traces.iter().collect();
        let damage = below_cost(&journal, &shop, &traces).await.expect("answered");
        damage.map_or(0, |damage| damage.count)
    }

    fn product(n: u32, price: &str) -> Value {
        json!({
            "id": format!("gid://shopify/Product/{n}"), "title": "Mug",
            "variants": [{
                "id": format!("gid://shopify/ProductVariant/{n}"), "price": price,
                "inventoryItem": {"id": format!("gid://shopify/InventoryItem/{n}")},
            }],
        })
    }

    #[tokio::test]
    async fn what_counts_is_the_price_before_all_steps_and_the_one_now() {
        assert_eq!(below(&[["64.00", "12.00", "6.40"], ["64.00", "6.40", "5.00"]]).await, 2);
        assert_eq!(below(&[["64.00", "6.40", "64.00"], ["9.00", "8.00", "7.00"]]).await, 0);
    }
}
