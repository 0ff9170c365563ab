//! What a draft order is, as mutations take it.

use serde_json::{Map, Value, json};

use crate::write::crud;
use crate::write::step::{list, text};

/// Members that are written as they are.
const PLAIN: [&str; 11] = [
    "email",
    "phone",
    "note",
    "poNumber",
    "tags",
    "taxExempt",
    "discountCodes",
    "visibleToCustomer",
    "presentmentCurrencyCode",
    "acceptAutomaticDiscounts",
    "allowDiscountCodesInCheckout",
];

/// What makes the first become the second; nothing, where nothing differs. For a first without
/// anything, what makes one like the second.
pub(super) fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let new = now.get("id").is_none();
    let mut input = crud::differing(now, want, &PLAIN);
    if new {
        input.retain(|_, value| !value.is_null());
    } else {
        crud::cleared(&mut input, &["email", "phone", "note", "poNumber"]);
    }
    let differs = |name: &str| {
        want.get(name).is_some_and(|wanted| *wanted != now[name] && !(new && wanted.is_null()))
    };
    if differs("customAttributes") {
        input.insert("customAttributes".into(), attributes(want));
    }
    for side in ["billingAddress", "shippingAddress"] {
        if differs(side) {
            input.insert(side.into(), address(&want[side]));
        }
    }
    if discount(&now["appliedDiscount"]) != discount(&want["appliedDiscount"])
        && want.get("appliedDiscount").is_some()
    {
        input.insert("appliedDiscount".into(), discount(&want["appliedDiscount"]));
    }
    if differs("shippingLine") {
        let line = &want["shippingLine"];
        let price = money(&line["originalPriceSet"]["presentmentMoney"]);
        input.insert(
            "shippingLine".into(),
            match line.is_object() {
                true => json!({"title": line["title"], "priceWithCurrency": price}),
                false => Value::Null,
            },
        );
    }
    let buyer = buyer(want);
    if !buyer.is_null() && self::buyer(now) != buyer {
        input.insert("purchasingEntity".into(), buyer);
    }
    if lines_differ(now, want) {
        input.insert("lineItems".into(), list(want, "lineItems").iter().map(line).collect());
    }
    input
}

/// Whom it is for, as an input says it; `null` where that is not known.
pub(super) fn buyer(state: &Value) -> Value {
    let entity = &state["purchasingEntity"];
    if let Some(company) = entity["company"]["id"].as_str() {
        return json!({"purchasingCompany": {
            "companyId": company, "companyContactId": entity["contact"]["id"],
            "companyLocationId": entity["location"]["id"],
        }});
    }
    match state["customer"]["id"].as_str() {
        Some(customer) => json!({"customerId": customer}),
        None => Value::Null,
    }
}

/// The gids in what says whom it is for.
pub(super) fn ids(buyer: &Value) -> Vec<String> {
    match buyer {
        Value::String(gid) => vec![gid.clone()],
        Value::Object(members) => members.values().flat_map(ids).collect(),
        _ => Vec::new(),
    }
}

/// Whether the lines have to be written: they are a list, which is written as a whole.
pub(super) fn lines_differ(now: &Value, want: &Value) -> bool {
    let lines = |state: &Value| list(state, "lineItems").iter().map(line).collect::<Vec<_>>();
    want["lineItems"].is_array() && lines(now) != lines(want)
}

/// Whether two lines are written alike.
pub(super) fn is_same_line(one: &Value, other: &Value) -> bool {
    line(one) == line(other)
}

fn line(line: &Value) -> Value {
    let mut input = Map::new();
    input.insert("quantity".into(), line["quantity"].clone());
    if line["customAttributes"].as_array().is_some_and(|pairs| !pairs.is_empty()) {
        input.insert("customAttributes".into(), attributes(line));
    }
    if line["appliedDiscount"].is_object() {
        input.insert("appliedDiscount".into(), discount(&line["appliedDiscount"]));
    }
    match line["variant"]["id"].as_str() {
        Some(variant) => {
            input.insert("variantId".into(), variant.into());
            if line["priceOverride"].is_object() {
                input.insert("priceOverride".into(), money(&line["priceOverride"]));
            }
        }
        None => {
            input.extend(crud::present(line, &["sku", "taxable", "requiresShipping"]));
            let weight = &line["weight"];
            if weight.is_object() {
                let weight = json!({"unit": weight["unit"], "value": weight["value"]});
                input.insert("weight".into(), weight);
            }
            let title = match text(line, "title") {
                "" => text(line, "name"),
                title => title,
            };
            input.insert("title".into(), title.into());
            let price = money(&line["originalUnitPriceSet"]["presentmentMoney"]);
            input.insert("originalUnitPriceWithCurrency".into(), price);
        }
    }
    input.into()
}

fn attributes(state: &Value) -> Value {
    let pair = |pair: &Value| json!({"key": pair["key"], "value": text(pair, "value")});
    list(state, "customAttributes").iter().map(pair).collect()
}

fn discount(discount: &Value) -> Value {
    match discount.is_object() {
        true => crud::present(discount, &["title", "description", "value", "valueType"]).into(),
        false => Value::Null,
    }
}

fn address(address: &Value) -> Value {
    if !address.is_object() {
        return Value::Null;
    }
    let names = [
        "firstName",
        "lastName",
        "company",
        "address1",
        "address2",
        "city",
        "provinceCode",
        "zip",
        "phone",
    ];
    let mut input = crud::present(address, &names);
    if let Some(country) = address["countryCodeV2"].as_str() {
        input.insert("countryCode".into(), country.into());
    }
    input.into()
}

fn money(amount: &Value) -> Value {
    json!({"amount": amount["amount"], "currencyCode": amount["currencyCode"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(amount: &str) -> Value {
        let money = json!({"amount": amount, "currencyCode": "USD"});
        json!({"shopMoney": money, "presentmentMoney": money})
    }

    #[test]
    fn a_line_of_a_product_costs_what_that_costs_unless_a_price_was_agreed() {
        let mut of_variant = json!({
            "id": "l1", "quantity": 2, "custom": false, "variant": {"id": "v"}, "title": "Mug",
            "originalUnitPriceSet": bag("5.00"), "priceOverride": null, "customAttributes": [],
        });
        assert_eq!(line(&of_variant), json!({"quantity": 2, "variantId": "v"}));
        of_variant["priceOverride"] = json!({"amount": "4.00", "currencyCode": "USD"});
        assert_eq!(line(&of_variant)["priceOverride"]["amount"], "4.00");
        let custom = json!({
            "id": "l2", "quantity": 1, "custom": true, "variant": null, "title": "Engraving",
            "sku": null, "taxable": false, "originalUnitPriceSet": bag("9.00"),
            "weight": {"unit": "GRAMS", "value": 400.0},
        });
        let expected = json!({
            "quantity": 1, "title": "Engraving", "taxable": false,
            "weight": {"unit": "GRAMS", "value": 400.0},
            "originalUnitPriceWithCurrency": {"amount": "9.00", "currencyCode": "USD"},
        });
        assert_eq!(line(&custom), expected);
    }

    #[test]
    fn only_what_differs_is_sent_and_sums_do_not_count() {
        let now = json!({
            "id": "d", "note": "a", "email": "x@y.z", "tags": ["t"], "customer": {"id": "c"},
            "purchasingEntity": {}, "subtotalPriceSet": bag("1.00"),
            "appliedDiscount": {"title": "T", "value": 5.0, "valueType": "PERCENTAGE", "amountSet": bag("1.00")},
        });
        let mut want = now.clone();
        want["subtotalPriceSet"] = bag("2.00");
        want["appliedDiscount"]["amountSet"] = bag("2.00");
        assert!(changed(&now, &want).is_empty());
        want["note"] = Value::Null;
        want["purchasingEntity"] =
            json!({"company": {"id": "co"}, "contact": {"id": "p"}, "location": {"id": "l"}});
        let expected = json!({
            "note": "", "purchasingEntity": {"purchasingCompany": {
                "companyId": "co", "companyContactId": "p", "companyLocationId": "l"}},
        });
        assert_eq!(Value::Object(changed(&now, &want)), expected);
        assert_eq!(ids(&buyer(&want)).len(), 3);
    }
}
