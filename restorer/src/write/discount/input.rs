//! What a discount is, as mutations take it.

use serde_json::{Map, Value, json};

use crate::write::crud;

/// Members that are written as they are.
const PLAIN: [&str; 8] = [
    "title",
    "startsAt",
    "endsAt",
    "usageLimit",
    "appliesOncePerCustomer",
    "recurringCycleLimit",
    "appliesOnOneTimePurchase",
    "appliesOnSubscription",
];

/// What makes one like this, with the first of its codes.
pub(super) fn made(want: &Value) -> Map<String, Value> {
    let mut input = crud::present(want, &PLAIN);
    if let Some(code) = want["codes"][0]["code"].as_str() {
        input.insert("code".into(), code.into());
    }
    if let Some(function) = want["appDiscountType"]["functionId"].as_str() {
        input.insert("functionId".into(), function.into());
    }
    parts(&Value::Null, want, &mut input);
    input.retain(|_, value| !value.is_null());
    input
}

/// What makes the first become the second; nothing, where nothing differs.
pub(super) fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = crud::differing(now, want, &PLAIN);
    let only = |state: &Value| match state["codes"].as_array().map(Vec::as_slice) {
        Some([code]) => code["code"].as_str().map(str::to_owned),
        _ => None,
    };
    if let (Some(was), Some(wanted)) = (only(now), only(want))
        && was != wanted
    {
        input.insert("code".into(), wanted.into());
    }
    parts(now, want, &mut input);
    input
}

/// The members that mutations take in another shape than they are read in.
fn parts(now: &Value, want: &Value, input: &mut Map<String, Value>) {
    let differs = |name: &str| want.get(name).is_some_and(|wanted| *wanted != now[name]);
    if differs("usesPerOrderLimit") {
        input.insert("usesPerOrderLimit".into(), uses(want));
    }
    if differs("combinesWith") {
        let names = ["orderDiscounts", "productDiscounts", "shippingDiscounts"];
        input.insert("combinesWith".into(), crud::present(&want["combinesWith"], &names).into());
    }
    if differs("context") {
        input.extend(context(&now["context"], &want["context"]).map(|c| ("context".into(), c)));
    }
    if differs("minimumRequirement") {
        let (was, wanted) = (&now["minimumRequirement"], &want["minimumRequirement"]);
        input.insert("minimumRequirement".into(), minimum(was, wanted));
    }
    if differs("maximumShippingPrice") {
        let price = want["maximumShippingPrice"]["amount"].clone();
        input.insert("maximumShippingPrice".into(), price);
    }
    if differs("destinationSelection") {
        let (was, wanted) = (&now["destinationSelection"], &want["destinationSelection"]);
        input.insert("destination".into(), destination(was, wanted));
    }
    for (name, flags) in [
        ("customerGets", ["appliesOnOneTimePurchase", "appliesOnSubscription"]),
        ("customerBuys", ["isOneTimePurchase", "isSubscription"]),
    ] {
        if differs(name) {
            input.insert(name.into(), side(&now[name], &want[name], flags));
        }
    }
}

/// A whole number is a text to automatic discounts.
fn uses(want: &Value) -> Value {
    let automatic = want["type"].as_str().is_some_and(|sort| sort.starts_with("DiscountAutomatic"));
    match &want["usesPerOrderLimit"] {
        Value::Number(limit) if automatic => limit.to_string().into(),
        limit => limit.clone(),
    }
}

/// Whom it is for.
fn context(now: &Value, want: &Value) -> Option<Value> {
    if !want["all"].is_null() {
        return Some(json!({"all": "ALL"}));
    }
    [("customers", "customers"), ("segments", "customerSegments")].into_iter().find_map(
        |(member, name)| {
            want[member].is_array().then(|| json!({name: list(&now[member], &want[member])}))
        },
    )
}

/// What makes one list of ids the other.
fn list(now: &Value, want: &Value) -> Value {
    let mut changes = Map::new();
    for (name, ids) in [("add", missing(now, want)), ("remove", missing(want, now))] {
        if !ids.is_empty() {
            changes.insert(name.into(), ids.into());
        }
    }
    changes.into()
}

/// The ids of the second list that the first lacks.
fn missing(from: &Value, of: &Value) -> Vec<Value> {
    let ids = |list: &Value| -> Vec<Value> {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item["id"].clone()).collect()
    };
    let there = ids(from);
    ids(of).into_iter().filter(|id| !there.contains(id)).collect()
}

/// The quantity or the subtotal that is needed. The one that was is taken back by name: there cannot be
/// both (`MINIMUM_SUBTOTAL_AND_QUANTITY_RANGE_BOTH_PRESENT`).
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/DiscountErrorCode>
fn minimum(now: &Value, want: &Value) -> Value {
    let (quantity, subtotal) = ("greaterThanOrEqualToQuantity", "greaterThanOrEqualToSubtotal");
    let mut input = Map::new();
    if !now[quantity].is_null() || !want[quantity].is_null() {
        input.insert("quantity".into(), json!({quantity: want[quantity]}));
    }
    if !now[subtotal].is_null() || !want[subtotal].is_null() {
        input.insert("subtotal".into(), json!({subtotal: want[subtotal]["amount"]}));
    }
    input.into()
}

fn destination(now: &Value, want: &Value) -> Value {
    if want["allCountries"] == true {
        return json!({"all": true});
    }
    let codes = |state: &Value| state["countries"].as_array().cloned().unwrap_or_default();
    let (was, wanted) = (codes(now), codes(want));
    let apart = |from: &[Value], other: &[Value]| -> Vec<Value> {
        from.iter().filter(|code| !other.contains(code)).cloned().collect()
    };
    let (add, remove) = (apart(&wanted, &was), apart(&was, &wanted));
    let mut countries = Map::new();
    countries.insert("includeRestOfWorld".into(), (want["includeRestOfWorld"] == true).into());
    for (name, codes) in [("add", add), ("remove", remove)] {
        if !codes.is_empty() {
            countries.insert(name.into(), codes.into());
        }
    }
    json!({"countries": countries})
}

/// What is bought, or what is got. The flags are for shops that sell subscriptions, and are sent only
/// where they say something.
fn side(now: &Value, want: &Value, flags: [&str; 2]) -> Value {
    let mut input = Map::new();
    let usual = [true, false];
    for (flag, usual) in flags.into_iter().zip(usual) {
        let was = now[flag].as_bool().unwrap_or(usual);
        if let Some(wanted) = want[flag].as_bool().filter(|wanted| *wanted != was) {
            input.insert(flag.into(), wanted.into());
        }
    }
    if want["value"] != now["value"] && !want["value"].is_null() {
        input.insert("value".into(), value(&want["value"]));
    }
    if want["items"] != now["items"] && !want["items"].is_null() {
        input.insert("items".into(), items(&now["items"], &want["items"]));
    }
    input.into()
}

fn value(want: &Value) -> Value {
    if !want["percentage"].is_null() {
        return json!({"percentage": want["percentage"]});
    }
    if want["effect"].is_object() {
        let effect = match want["effect"]["percentage"].is_null() {
            false => json!({"percentage": want["effect"]["percentage"]}),
            true => json!({"amount": want["effect"]["amount"]["amount"]}),
        };
        let quantity = &want["quantity"]["quantity"];
        return json!({"discountOnQuantity": {"quantity": quantity, "effect": effect}});
    }
    if want["amount"].is_object() {
        let each = want["appliesOnEachItem"] == true;
        let amount = &want["amount"]["amount"];
        return json!({"discountAmount": {"amount": amount, "appliesOnEachItem": each}});
    }
    // What has to be bought: an amount of money or a number of things.
    crud::present(want, &["amount", "quantity"]).into()
}

/// Of what it is. What was of the other sort goes with it: Shopify takes no collections beside products
/// (`CONFLICT`).
fn items(now: &Value, want: &Value) -> Value {
    if want["allItems"] == true {
        return json!({"all": true});
    }
    let (collections, products) =
        (list(&now["collections"], &want["collections"]), products(now, want));
    let mut items = Map::new();
    for (name, changes, is_wanted) in [
        ("collections", collections, want["collections"].is_array()),
        ("products", products, !want["collections"].is_array()),
    ] {
        if is_wanted || changes != json!({}) {
            items.insert(name.into(), changes);
        }
    }
    items.into()
}

/// What makes the products and variants of one the other's.
fn products(now: &Value, want: &Value) -> Value {
    let mut products = Map::new();
    for (member, add, remove) in [
        ("products", "productsToAdd", "productsToRemove"),
        ("productVariants", "productVariantsToAdd", "productVariantsToRemove"),
    ] {
        let (was, wanted) = (&now[member], &want[member]);
        for (name, ids) in [(add, missing(was, wanted)), (remove, missing(wanted, was))] {
            if !ids.is_empty() {
                products.insert(name.into(), ids.into());
            }
        }
    }
    products.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(percentage: f64, products: &[&str]) -> Value {
        let products: Vec<Value> = products.iter().map(|id| json!({"id": id})).collect();
        json!({
            "type": "DiscountCodeBasic", "title": "Ten", "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": null, "usageLimit": null, "codes": [{"code": "TEN"}],
            "context": {"all": "ALL"}, "minimumRequirement": null,
            "combinesWith": {"orderDiscounts": false, "productDiscounts": true},
            "customerGets": {
                "appliesOnOneTimePurchase": true, "appliesOnSubscription": false,
                "value": {"percentage": percentage},
                "items": {"products": products, "productVariants": []},
            },
        })
    }

    #[test]
    fn a_discount_is_made_of_what_it_was() {
        let sent = Value::Object(made(&basic(0.1, &["p1", "p2"])));
        let expected = json!({
            "title": "Ten", "startsAt": "2026-01-01T00:00:00Z", "code": "TEN",
            "combinesWith": {"orderDiscounts": false, "productDiscounts": true},
            "context": {"all": "ALL"},
            "customerGets": {
                "value": {"percentage": 0.1}, "items": {"products": {"productsToAdd": ["p1", "p2"]}},
            },
        });
        assert_eq!(sent, expected);
    }

    #[test]
    fn products_go_when_collections_come_and_the_other_way_round() {
        let of_products = basic(0.1, &["p1"]);
        let mut of_collections = of_products.clone();
        of_collections["customerGets"]["items"] = json!({"collections": [{"id": "c1"}]});
        let sent = |now: &Value, want: &Value| {
            Value::Object(changed(now, want))["customerGets"]["items"].clone()
        };
        assert_eq!(
            sent(&of_products, &of_collections),
            json!({"collections": {"add": ["c1"]}, "products": {"productsToRemove": ["p1"]}})
        );
        assert_eq!(
            sent(&of_collections, &of_products),
            json!({"collections": {"remove": ["c1"]}, "products": {"productsToAdd": ["p1"]}})
        );
        let mut of_all = of_products.clone();
        of_all["customerGets"]["items"] = json!({"allItems": true});
        assert_eq!(sent(&of_collections, &of_all), json!({"all": true}));
        let added = json!({"collections": {"add": ["c1"]}});
        assert_eq!(sent(&of_all, &of_collections), added);
    }

    #[test]
    fn a_minimum_of_another_sort_takes_the_place_of_the_one_that_was() {
        let of = |minimum: Value| {
            let mut discount = basic(0.1, &["p1"]);
            discount["minimumRequirement"] = minimum;
            discount
        };
        let quantity = of(json!({"greaterThanOrEqualToQuantity": "2"}));
        let subtotal = of(json!({"greaterThanOrEqualToSubtotal": {"amount": "9.00"}}));
        let sent = |now: &Value, want: &Value| Value::Object(changed(now, want));
        let two = json!({"greaterThanOrEqualToQuantity": "2"});
        let nothing = json!({"greaterThanOrEqualToSubtotal": null});
        assert_eq!(
            sent(&subtotal, &quantity),
            json!({"minimumRequirement": {"quantity": two, "subtotal": nothing}})
        );
        assert_eq!(
            sent(&subtotal, &of(Value::Null)),
            json!({"minimumRequirement": {"subtotal": nothing}})
        );
        assert_eq!(made(&quantity)["minimumRequirement"], json!({"quantity": two}));
    }

    #[test]
    fn only_what_differs_is_sent() {
        let (now, want) = (basic(0.5, &["p1", "p3"]), basic(0.1, &["p1", "p2"]));
        let expected = json!({"customerGets": {
            "value": {"percentage": 0.1},
            "items": {"products": {"productsToAdd": ["p2"], "productsToRemove": ["p3"]}},
        }});
        assert_eq!(Value::Object(changed(&now, &want)), expected);
        assert!(changed(&want, &want).is_empty());
        let mut renamed = want.clone();
        renamed["codes"] = json!([{"code": "FREE"}]);
        assert_eq!(Value::Object(changed(&renamed, &want)), json!({"code": "TEN"}));
    }
}
