//! What a collection is put together from. Since API version 2026-07 these are sources: conditions,
//! and products chosen by hand. Earlier versions have one set of rules, or one list of products.

use serde_json::{Value, json};

use super::step::{Step, ask, list, text};
use super::{Around, WriteError};

const SOURCES: &str = include_str!("graphql/collection_sources.graphql");
const UPDATE: &str = include_str!("graphql/collection_update_sources.graphql");

/// The first version with sources.
const SINCE: &str = "2026-07";
/// A list in an input has no more elements than this.
const INPUT_MAX: usize = 250;

/// Whether the shop is spoken to in a version with sources.
pub(super) fn are_there(around: &dyn Around) -> bool {
    around.admin().access().api_version.as_str() >= SINCE
}

/// The one source of a new collection; `None` where its rules have no conditions that say the same.
pub(super) fn of_new(want: &Value) -> Option<Value> {
    let inclusion = match want["ruleSet"].as_object() {
        Some(rules) => {
            let all = rules.get("rules").and_then(Value::as_array)?;
            let conditions: Option<Vec<Value>> = all.iter().map(condition).collect();
            let any = rules.get("appliedDisjunctively") == Some(&json!(true));
            json!({"matchType": if any { "ANY" } else { "ALL" }, "conditions": conditions?})
        }
        None => {
            let chosen = list(want, "productIds").iter().take(INPUT_MAX);
            json!({"selections": chosen.map(selection).collect::<Vec<_>>()})
        }
    };
    Some(json!([{"source": {"title": want["title"], "inclusion": inclusion}}]))
}

fn selection(product: &Value) -> Value {
    json!({"productId": product})
}

/// The condition that says what a rule says.
fn condition(rule: &Value) -> Option<Value> {
    let relation = text(rule, "relation");
    let worded = match relation {
        "NOT_CONTAINS" => "DOES_NOT_CONTAIN",
        "CONTAINS" | "ENDS_WITH" | "EQUALS" | "NOT_EQUALS" | "STARTS_WITH" => relation,
        _ => return None,
    };
    let (kind, relation) = match (text(rule, "column"), relation) {
        ("TAG", "EQUALS") => ("productTag", "TAGGED_WITH"),
        ("TAG", "NOT_EQUALS") => ("productTag", "NOT_TAGGED_WITH"),
        ("TITLE", _) => ("productTitle", worded),
        ("TYPE", _) => ("productType", worded),
        ("VENDOR", _) => ("productVendor", worded),
        ("VARIANT_TITLE", _) => ("variantTitle", worded),
        _ => return None,
    };
    let values = [&rule["condition"]];
    Some(json!({ kind: {"relation": relation, "matchType": "ANY", "values": values} }))
}

/// The source of a collection that is kept by hand; `None` where it is put together from more.
pub(super) async fn by_hand(
    around: &dyn Around,
    collection: &str,
) -> Result<Option<String>, WriteError> {
    let data = ask(around, SOURCES, json!({"id": collection})).await?;
    let [source] = list(&data["collection"], "sources") else { return Ok(None) };
    let plain = source["exclusion"].is_null()
        && source["inclusion"]["conditions"].as_array().is_some_and(Vec::is_empty);
    Ok(plain.then(|| text(source, "id").to_owned()).filter(|id| !id.is_empty()))
}

/// What adds products to a source, or takes them out of it (`selectionsToAdd`, `selectionsToRemove`).
pub(super) fn change(collection: &str, source: &str, how: &str, products: &[Value]) -> Vec<Step> {
    let step = |products: &[Value]| {
        let chosen: Vec<Value> = products.iter().map(selection).collect();
        let condition = json!({"id": source, "inclusion": { how: chosen }});
        let update = json!({"id": collection, "sourcesToUpdate": [{"condition": condition}]});
        Step::setting(UPDATE, json!({"collection": update}))
    };
    products.chunks(INPUT_MAX).map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_become_conditions_where_there_are_such() {
        let rules = |column: &str, relation: &str| {
            json!({"title": "T", "ruleSet": {"appliedDisjunctively": true, "rules": [
                {"column": column, "relation": relation, "condition": "x"}]}})
        };
        assert_eq!(
            of_new(&rules("TAG", "NOT_EQUALS")),
            Some(
                json!([{"source": {"title": "T", "inclusion": {"matchType": "ANY", "conditions": [
                {"productTag": {"relation": "NOT_TAGGED_WITH", "matchType": "ANY", "values": ["x"]}}]}}}])
            )
        );
        assert_eq!(of_new(&rules("VARIANT_PRICE", "GREATER_THAN")), None);
        assert_eq!(of_new(&rules("TAG", "CONTAINS")), None);
        let by_hand = json!({"title": "T", "ruleSet": null, "productIds": ["a"]});
        let source = of_new(&by_hand).expect("a source");
        assert_eq!(source[0]["source"]["inclusion"], json!({"selections": [{"productId": "a"}]}));
    }
}
