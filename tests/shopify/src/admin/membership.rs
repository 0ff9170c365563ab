//! Which products a collection has: those chosen by hand, or those that its rules find.

use serde_json::{Value, json};

use crate::catalog::cents;
use crate::gid::Gid;
use crate::store::{Store, link, targets};

/// The members of a collection, in order.
pub(super) fn members(store: &Store, collection: &Value) -> Vec<Gid> {
    if collection["ruleSet"].is_null() {
        return targets(collection, "products").filter(|gid| store.get(*gid).is_some()).collect();
    }
    let finds = |product: &Value| rules_find(store, collection, product);
    store.products_found(&collection["ruleSet"], finds).to_vec()
}

/// Whether a product is a member.
pub(super) fn has(store: &Store, collection: &Value, product: Gid) -> bool {
    if collection["ruleSet"].is_null() {
        return targets(collection, "products").any(|member| member == product);
    }
    store.get(product).is_some_and(|product| rules_find(store, collection, &product))
}

fn rules_find(store: &Store, collection: &Value, product: &Value) -> bool {
    let rules = collection["ruleSet"]["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rules = rules.iter().map(|rule| rule_finds(store, rule, product));
    if collection["ruleSet"]["appliedDisjunctively"] == true {
        rules.any(|found| found)
    } else {
        rules.all(|found| found)
    }
}

fn rule_finds(store: &Store, rule: &Value, product: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let condition = text(&rule["condition"]);
    let variants = || targets(product, "variants").filter_map(|gid| store.get(gid));
    let held: Vec<String> = match rule["column"].as_str().unwrap_or_default() {
        "TAG" => product["tags"].as_array().into_iter().flatten().map(text).collect(),
        "TITLE" => vec![text(&product["title"])],
        "VENDOR" => vec![text(&product["vendor"])],
        "TYPE" => vec![text(&product["productType"])],
        "VARIANT_TITLE" => variants().map(|variant| text(&variant["title"])).collect(),
        "VARIANT_PRICE" => {
            let wanted = cents(&condition);
            let relation = rule["relation"].as_str().unwrap_or_default();
            return variants().filter_map(|v| cents(v["price"].as_str()?)).any(
                |price| match relation {
                    "GREATER_THAN" => Some(price) > wanted,
                    "LESS_THAN" => wanted.is_some_and(|wanted| price < wanted),
                    "NOT_EQUALS" => Some(price) != wanted,
                    _ => Some(price) == wanted,
                },
            );
        }
        _ => return false,
    };
    let any = |test: &dyn Fn(&String) -> bool| held.iter().any(test);
    match rule["relation"].as_str().unwrap_or_default() {
        "EQUALS" => any(&|held| *held == condition),
        "NOT_EQUALS" => !any(&|held| *held == condition),
        "CONTAINS" => any(&|held| held.contains(&condition)),
        "NOT_CONTAINS" => !any(&|held| held.contains(&condition)),
        "STARTS_WITH" => any(&|held| held.starts_with(&condition)),
        "ENDS_WITH" => any(&|held| held.ends_with(&condition)),
        _ => false,
    }
}

/// Columns whose rules can be relations that this understands.
pub(super) const COLUMNS: [&str; 6] =
    ["TAG", "TITLE", "VENDOR", "TYPE", "VARIANT_TITLE", "VARIANT_PRICE"];

/// The same membership in the shape of 2026-07 and later: one source, with conditions for a smart
/// collection and selections for one kept by hand.
pub(super) fn sources(gid: Gid, collection: &Value, members: &[Gid]) -> Value {
    let Some(n) = gid.n() else { return json!([]) };
    let smart = !collection["ruleSet"].is_null();
    let selections: Vec<Value> = members
        .iter()
        .filter(|_| !smart)
        .map(|product| {
            json!({
                "__typename": "CollectionInclusionProductSelection", "product": link(*product),
            })
        })
        .collect();
    json!([{
        "__typename": "CollectionConditionsSource",
        "id": Gid::nth("CollectionConditionsSource", n).to_string(),
        "title": collection["title"], "description": null, "shareable": false, "app": null,
        "targetType": "PRODUCTS", "exclusion": null,
        "inclusion": {
            "__typename": "CollectionSourceInclusion",
            "matchType":
                if collection["ruleSet"]["appliedDisjunctively"] == true { "ANY" } else { "ALL" },
            "conditions": if smart { Value::Null } else { json!([]) },
            "selections": selections,
        },
        "products": members.iter().map(|gid| link(*gid)).collect::<Vec<_>>(),
    }])
}
