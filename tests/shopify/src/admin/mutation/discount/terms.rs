//! What a discount takes off, of what, for whom and under which condition.

use serde_json::{Value, json};

use crate::admin::session::{Outcome, not_simulated};
use crate::store::{link, target};

/// Lays the terms that were given over those that are held.
pub(super) fn apply(held: &mut Value, given: &Value) -> Outcome<()> {
    if let Some(limit) = given.get("usesPerOrderLimit") {
        let number = limit.as_str().and_then(|text| text.parse::<u64>().ok());
        held["usesPerOrderLimit"] = number.map_or_else(|| limit.clone(), |number| json!(number));
    }
    if given["combinesWith"].is_object() {
        for field in ["orderDiscounts", "productDiscounts", "shippingDiscounts"] {
            held["combinesWith"][field] = json!(given["combinesWith"][field] == true);
        }
    }
    if given["context"].is_object() {
        held["context"] = context(&held["context"], &given["context"])?;
    }
    if let Some(minimum) = given.get("minimumRequirement") {
        held["minimumRequirement"] = requirement(minimum);
    }
    if let Some(price) = given.get("maximumShippingPrice") {
        held["maximumShippingPrice"] = if price.is_null() { Value::Null } else { money(price) };
    }
    if given["destination"].is_object() {
        held["destinationSelection"] =
            destination(&held["destinationSelection"], &given["destination"]);
    }
    for (side, type_name, flags) in [
        (
            "customerGets",
            "DiscountCustomerGets",
            ["appliesOnOneTimePurchase", "appliesOnSubscription"],
        ),
        ("customerBuys", "DiscountCustomerBuys", ["isOneTimePurchase", "isSubscription"]),
    ] {
        if !given[side].is_object() {
            continue;
        }
        if held[side].is_null() {
            held[side] = json!({ "__typename": type_name, flags[0]: true, flags[1]: false });
        }
        for flag in flags {
            if let Some(value) = given[side].get(flag) {
                held[side][flag] = value.clone();
            }
        }
        if given[side]["value"].is_object() {
            held[side]["value"] = value(&given[side]["value"])?;
        }
        if given[side]["items"].is_object() {
            held[side]["items"] = items(&held[side]["items"], &given[side]["items"])?;
        }
    }
    Ok(())
}

fn money(amount: &Value) -> Value {
    let amount = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    json!({ "__typename": "MoneyV2", "currencyCode": "USD", "amount": amount })
}

/// A list of links with what is added and without what is removed.
fn list(held: &Value, add: &Value, remove: &Value) -> Value {
    let gids = |ids: &Value| -> Vec<crate::gid::Gid> {
        let ids = ids.as_array().into_iter().flatten();
        ids.filter_map(|id| id.as_str()?.parse().ok()).collect()
    };
    let removed = gids(remove);
    let mut kept: Vec<crate::gid::Gid> =
        held.as_array().into_iter().flatten().filter_map(target).collect();
    kept.retain(|gid| !removed.contains(gid));
    for gid in gids(add) {
        if !kept.contains(&gid) {
            kept.push(gid);
        }
    }
    kept.into_iter().map(link).collect()
}

fn context(held: &Value, given: &Value) -> Outcome<Value> {
    if !given["all"].is_null() {
        return Ok(json!({ "__typename": "DiscountBuyerSelectionAll", "all": "ALL" }));
    }
    for (field, type_name, member) in [
        ("customers", "DiscountCustomers", "customers"),
        ("customerSegments", "DiscountCustomerSegments", "segments"),
    ] {
        let change = &given[field];
        if change.is_object() {
            let of = list(&held[member], &change["add"], &change["remove"]);
            return Ok(json!({ "__typename": type_name, member: of }));
        }
    }
    Err(not_simulated("discounts for markets"))
}

fn requirement(given: &Value) -> Value {
    let said = |of: &str, member: &str| given[of].get(member).filter(|bound| !bound.is_null());
    if let Some(quantity) = said("quantity", "greaterThanOrEqualToQuantity") {
        let quantity = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
        return json!({
            "__typename": "DiscountMinimumQuantity", "greaterThanOrEqualToQuantity": quantity,
        });
    }
    match said("subtotal", "greaterThanOrEqualToSubtotal") {
        Some(amount) => json!({
            "__typename": "DiscountMinimumSubtotal", "greaterThanOrEqualToSubtotal": money(amount),
        }),
        None => Value::Null,
    }
}

fn destination(held: &Value, given: &Value) -> Value {
    if given["all"] == true {
        return json!({ "__typename": "DiscountCountryAll", "allCountries": true });
    }
    let change = &given["countries"];
    let codes = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let removed = codes(&change["remove"]);
    let mut countries = codes(&held["countries"]);
    countries.retain(|code| !removed.contains(code));
    countries.extend(codes(&change["add"]));
    countries.sort_by_key(ToString::to_string);
    countries.dedup();
    json!({
        "__typename": "DiscountCountries", "countries": countries,
        "includeRestOfWorld": change["includeRestOfWorld"] == true,
    })
}

fn value(given: &Value) -> Outcome<Value> {
    let percentage =
        |share: &Value| json!({ "__typename": "DiscountPercentage", "percentage": share });
    let quantity = |number: &Value| {
        let number = number.as_str().map_or_else(|| number.to_string(), str::to_owned);
        json!({ "__typename": "DiscountQuantity", "quantity": number })
    };
    if !given["percentage"].is_null() {
        return Ok(percentage(&given["percentage"]));
    }
    if given["discountAmount"].is_object() {
        let amount = &given["discountAmount"];
        return Ok(json!({
            "__typename": "DiscountAmount", "amount": money(&amount["amount"]),
            "appliesOnEachItem": amount["appliesOnEachItem"] == true,
        }));
    }
    if given["discountOnQuantity"].is_object() {
        let of = &given["discountOnQuantity"];
        let effect = match of["effect"]["percentage"].is_null() {
            false => percentage(&of["effect"]["percentage"]),
            true => json!({
                "__typename": "DiscountAmount", "amount": money(&of["effect"]["amount"]),
                "appliesOnEachItem": false,
            }),
        };
        return Ok(json!({
            "__typename": "DiscountOnQuantity", "quantity": quantity(&of["quantity"]),
            "effect": effect,
        }));
    }
    if !given["quantity"].is_null() {
        return Ok(quantity(&given["quantity"]));
    }
    if !given["amount"].is_null() {
        return Ok(json!({ "__typename": "DiscountPurchaseAmount", "amount": given["amount"] }));
    }
    Err(not_simulated("the value of a discount"))
}

/// What becomes of collections, products and variants.
fn entitled(held: &Value, given: &Value) -> [Value; 3] {
    let (collections, products) = (&given["collections"], &given["products"]);
    [
        list(&held["collections"], &collections["add"], &collections["remove"]),
        list(&held["products"], &products["productsToAdd"], &products["productsToRemove"]),
        list(
            &held["productVariants"],
            &products["productVariantsToAdd"],
            &products["productVariantsToRemove"],
        ),
    ]
}

/// Whether a discount would be of collections and of products at once.
pub(super) fn is_mixed(held: &Value, given: &Value) -> bool {
    let [collections, products, variants] = entitled(held, given).map(|list| list != json!([]));
    given["all"] != true && collections && (products || variants)
}

fn items(held: &Value, given: &Value) -> Outcome<Value> {
    if given["all"] == true {
        return Ok(json!({ "__typename": "AllDiscountItems", "allItems": true }));
    }
    if !given["collections"].is_object() && !given["products"].is_object() {
        return Err(not_simulated("the items of a discount"));
    }
    let [collections, products, variants] = entitled(held, given);
    if collections != json!([]) || !given["products"].is_object() {
        return Ok(json!({ "__typename": "DiscountCollections", "collections": collections }));
    }
    Ok(json!({
        "__typename": "DiscountProducts", "products": products, "productVariants": variants,
    }))
}
