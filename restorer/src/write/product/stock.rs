//! What is counted of a product's variants, and how much there is of them where. What the same job brings
//! back of that goes with the making of the product. What was wholly given has come when the turn of its own
//! row comes; the other rows look, and write what did not go.

use serde_json::{Map, Value};

use super::variants;
use crate::write::step::text;
use crate::write::{Around, inventory_item, inventory_level};

/// Shopify takes no more quantities in one mutation.
/// <https://shopify.dev/docs/api/admin-graphql/latest/input-objects/ProductVariantSetInput>
const QUANTITIES_MAX: usize = 50_000;
/// Variants of which what is counted is read together, at most.
const TOGETHER: usize = 25;

/// Puts it into what a product is made from. Those of which all that is wanted was given, by the numbers
/// that those around know them by; `None` if there was nothing to give.
pub(super) async fn put(around: &dyn Around, want: &Value, input: &mut Value) -> Option<Vec<u64>> {
    let inputs = input.get_mut("variants")?.as_array_mut()?;
    let (mut any, mut room, mut whole) = (false, QUANTITIES_MAX, Vec::new());
    let items: Vec<&str> = variants::known(want)
        .map(|variant| text(&variant["inventoryItem"], "id"))
        .take(inputs.len())
        .collect();
    let mut at = 0;
    while at < items.len() {
        let some = &items[at..items.len().min(at + TOGETHER)];
        // What cannot be read now is left to its own rows.
        let counted = around.counted(some).await.unwrap_or_default();
        let inputs = inputs.iter_mut().skip(at);
        at += if counted.is_empty() { some.len() } else { counted.len() };
        for (input, states) in inputs.zip(counted) {
            let (levels, items): (Vec<_>, Vec<_>) =
                states.into_iter().partition(|(_, state)| state["location"].is_object());
            // Whether it is tracked is not known without it, and what is not has no amounts.
            let (Some((n, item)), Some(input)) = (items.first(), input.as_object_mut()) else {
                continue;
            };
            let tracked = item["tracked"] == true;
            let levels = levels.iter().filter(|_| tracked);
            let made_with = |(n, level): &(u64, Value)| {
                let quantity = inventory_level::made_with(level)?;
                Some((*n, quantity))
            };
            let (given, quantities): (Vec<u64>, Vec<Value>) =
                levels.filter_map(made_with).take(room).unzip();
            room -= quantities.len();
            whole.extend(given);
            any |= add(input, inventory_item::made_with(item), quantities);
            if inventory_item::has_all(input.get("inventoryItem"), item) {
                whole.push(*n);
            }
        }
    }
    any.then_some(whole)
}

/// Adds it to the input of a variant; whether there was any. The variant's own stock keeping unit is the one
/// that its product is to have.
fn add(input: &mut Map<String, Value>, item: Map<String, Value>, quantities: Vec<Value>) -> bool {
    let any = !item.is_empty() || !quantities.is_empty();
    let mut said = match input.remove("inventoryItem") {
        Some(Value::Object(said)) => said,
        _ => Map::new(),
    };
    for (name, value) in item {
        match name.as_str() {
            "sku" if said.contains_key("sku") => {}
            _ => drop(said.insert(name, value)),
        }
    }
    if !said.is_empty() {
        input.insert("inventoryItem".into(), said.into());
    }
    if !quantities.is_empty() {
        input.insert("inventoryQuantities".into(), quantities.into());
    }
    any
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_variant_is_made_with_its_item_and_keeps_its_own_unit() {
        let object = |value: Value| value.as_object().cloned().expect("an object");
        let mut input = object(json!({
            "price": "1.00", "inventoryItem": {"sku": "V", "tracked": false},
        }));
        let item = object(json!({"sku": "I", "tracked": true, "cost": "2.00"}));
        assert!(add(&mut input, item, vec![json!({"quantity": 3})]));
        assert_eq!(
            Value::Object(input),
            json!({
                "price": "1.00", "inventoryQuantities": [{"quantity": 3}],
                "inventoryItem": {"sku": "V", "tracked": true, "cost": "2.00"},
            })
        );
        let mut bare = Map::new();
        assert!(!add(&mut bare, Map::new(), Vec::new()) && bare.is_empty());
    }
}
