//! Price lists, and the catalogs that give them to markets.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::{cents, cents_to_decimal};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "priceListCreate" | "priceListUpdate" => write_list(shop, call),
        "priceListDelete" => Ok(delete(shop, call, &["PriceList"])),
        "priceListFixedPricesAdd" => Ok(add_prices(shop, call)),
        "priceListFixedPricesUpdate" => Ok(update_prices(shop, call)),
        "priceListFixedPricesDelete" => Ok(delete_prices(shop, call)),
        "quantityRulesAdd" => Ok(add_rules(shop, call)),
        "quantityRulesDelete" => Ok(delete_rules(shop, call)),
        "catalogCreate" | "catalogUpdate" => write_catalog(shop, call),
        "catalogDelete" => Ok(delete(shop, call, &CATALOGS)),
        _ => return None,
    })
}

/// The types of catalogs that an app makes.
const CATALOGS: [&str; 2] = ["MarketCatalog", "CompanyLocationCatalog"];

fn find(shop: &Shop, call: &Call<'_>, argument: &str, type_name: &str) -> Option<Gid> {
    call.args
        .gid(argument)
        .filter(|gid| gid.type_name() == type_name && shop.store.get(*gid).is_some())
}

fn missing(result: &str, code: &str) -> Value {
    let error = UserError::new(&["id"], "Not found.").code(code);
    answer(result, Value::Null, vec![error])
}

fn write_list(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input = Input::of("PriceListInput", &given, &["name", "currency", "parent", "catalogId"])?;
    let known = find(shop, call, "id", "PriceList");
    if call.name == "priceListUpdate" && known.is_none() {
        return Ok(missing("priceList", "PRICE_LIST_NOT_FOUND"));
    }
    let name = input.text("name");
    let taken = name.is_some_and(|name| {
        shop.store.live("PriceList").any(|(gid, list)| Some(gid) != known && list["name"] == *name)
    });
    if taken {
        let error = UserError::new(&["input", "name"], "Name has already been taken");
        return Ok(answer("priceList", Value::Null, vec![error.code("TAKEN")]));
    }
    let gid = known.unwrap_or_else(|| shop.store.fresh("PriceList"));
    let mut state = known.and_then(|gid| shop.store.get(gid)).map_or_else(
        || {
            json!({
                "__typename": "PriceList", "id": gid.to_string(), "prices": [], "quantityRules": [],
                "catalog": null,
            })
        },
        |state| (*state).clone(),
    );
    input.copy(&mut state, &[("name", "name"), ("currency", "currency")]);
    if let Some(parent) = input.get("parent") {
        let mode = parent["settings"]["compareAtMode"].as_str().unwrap_or("ADJUSTED");
        state["parent"] = json!({
            "__typename": "PriceListParent",
            "adjustment": {
                "__typename": "PriceListAdjustment", "type": parent["adjustment"]["type"],
                "value": parent["adjustment"]["value"],
            },
            "settings": { "__typename": "PriceListAdjustmentSettings", "compareAtMode": mode },
        });
    }
    if let Some(catalog) = input.text("catalogId").and_then(|id| id.parse::<Gid>().ok()) {
        state["catalog"] = link(catalog);
        shop.update(catalog, |state| state["priceList"] = link(gid));
    }
    shop.put(gid, state);
    Ok(answer("priceList", link(gid), vec![]))
}

/// Fixed prices; of several for one variant the last one holds. Each is in the list's own currency, as
/// `PriceListPriceUserErrorCode` says: "The specified currency doesn't match the price list's currency."
fn put_prices(shop: &mut Shop, list: Gid, given: &[Value]) -> Result<Vec<Value>, UserError> {
    let currency = shop.store.get(list).map(|state| state["currency"].clone()).unwrap_or_default();
    let mut written = Vec::new();
    for (at, price) in given.iter().enumerate() {
        let at = at.to_string();
        let variant = price["variantId"].as_str().and_then(|id| id.parse::<Gid>().ok());
        let Some(variant) = variant.filter(|gid| shop.store.get(*gid).is_some()) else {
            let error = UserError::new(&["prices", &at, "variantId"], "Variant not found.");
            return Err(error.code("VARIANT_NOT_FOUND"));
        };
        for money in ["price", "compareAtPrice"] {
            let of = &price[money]["currencyCode"];
            if !of.is_null() && *of != currency {
                let message = "The specified currency does not match the price list's currency.";
                let error = UserError::new(&["prices", &at, money, "currencyCode"], message);
                return Err(error.code("PRICE_LIST_CURRENCY_MISMATCH"));
            }
        }
        written.push(json!({
            "__typename": "PriceListPrice", "variant": link(variant), "originType": "FIXED",
            "price": money(&price["price"]), "compareAtPrice": money(&price["compareAtPrice"]),
            "quantityPriceBreaks": [],
        }));
    }
    shop.update(list, |state| {
        let mut prices = state["prices"].as_array().cloned().unwrap_or_default();
        for price in &written {
            prices.retain(|known| known["variant"] != price["variant"]);
            prices.push(price.clone());
        }
        state["prices"] = json!(prices);
    });
    Ok(written)
}

fn money(given: &Value) -> Value {
    let amount =
        given["amount"].as_str().map_or_else(|| given["amount"].to_string(), str::to_owned);
    match cents(&amount) {
        Some(cents) => json!({
            "__typename": "MoneyV2", "amount": cents_to_decimal(cents),
            "currencyCode": given["currencyCode"],
        }),
        None => Value::Null,
    }
}

fn drop_prices(shop: &mut Shop, list: Gid, ids: &[Value]) {
    let gone: Vec<Gid> = ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect();
    shop.update(list, |state| {
        if let Some(prices) = state["prices"].as_array_mut() {
            prices.retain(|price| !target(&price["variant"]).is_some_and(|v| gone.contains(&v)));
        }
    });
}

fn given(call: &Call<'_>, name: &str) -> Vec<Value> {
    call.args.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn add_prices(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(list) = find(shop, call, "priceListId", "PriceList") else {
        return missing("prices", "PRICE_LIST_NOT_FOUND");
    };
    match put_prices(shop, list, &given(call, "prices")) {
        Ok(written) => answer("prices", json!(written), vec![]),
        Err(error) => answer("prices", Value::Null, vec![error]),
    }
}

fn update_prices(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(list) = find(shop, call, "priceListId", "PriceList") else {
        return missing("priceList", "PRICE_LIST_NOT_FOUND");
    };
    let gone = given(call, "variantIdsToDelete");
    drop_prices(shop, list, &gone);
    match put_prices(shop, list, &given(call, "pricesToAdd")) {
        Err(error) => answer("priceList", Value::Null, vec![error]),
        Ok(written) => {
            let mut done = answer("priceList", link(list), vec![]);
            done["pricesAdded"] = json!(written);
            done["deletedFixedPriceVariantIds"] = json!(gone);
            done
        }
    }
}

fn delete_prices(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "deletedFixedPriceVariantIds";
    let Some(list) = find(shop, call, "priceListId", "PriceList") else {
        return missing(result, "PRICE_LIST_NOT_FOUND");
    };
    let gone = given(call, "variantIds");
    if let Some(at) = unlisted(shop, list, ("prices", "variant"), &gone) {
        let message = "A fixed price for the specified product variant does not exist.";
        let error = UserError::new(&["variantIds", &at.to_string()], message);
        return answer(result, json!([]), vec![error.code("VARIANT_NOT_FOUND")]);
    }
    drop_prices(shop, list, &gone);
    answer(result, json!(gone), vec![])
}

/// The first of some variants that has no entry of its own in a list: nothing is deleted then.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/PriceListPriceUserErrorCode>
fn unlisted(
    shop: &Shop,
    list: Gid,
    (entries, variant): (&str, &str),
    ids: &[Value],
) -> Option<usize> {
    let state = shop.store.get(list).unwrap_or_default();
    let listed: Vec<Gid> = state[entries]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| target(&entry[variant]))
        .filter(|variant| shop.store.get(*variant).is_some())
        .collect();
    let is_listed = |id: &Value| {
        id.as_str().and_then(|id| id.parse::<Gid>().ok()).is_some_and(|gid| listed.contains(&gid))
    };
    ids.iter().position(|id| !is_listed(id))
}

/// What is wrong with a rule: its field, and what Shopify says.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/QuantityRuleUserErrorCode>
fn rule_refusal(rule: &Value) -> Option<(&'static str, &'static str, &'static str)> {
    let amount = |name: &str| rule[name].as_i64().unwrap_or_default();
    let (minimum, increment) = (amount("minimum"), amount("increment"));
    if let Some(field) = ["minimum", "increment"].into_iter().find(|&name| amount(name) < 1) {
        let message = "Value must be greater than or equal to 1.";
        return Some((field, message, "GREATER_THAN_OR_EQUAL_TO"));
    }
    if increment > minimum {
        let message = "Increment must be lower than or equal to the minimum.";
        return Some(("increment", message, "INCREMENT_IS_GREATER_THAN_MINIMUM"));
    }
    if minimum % increment != 0 {
        let message = "The minimum must be a multiple of the increment.";
        return Some(("minimum", message, "MINIMUM_NOT_MULTIPLE_OF_INCREMENT"));
    }
    let maximum = rule["maximum"].as_i64()?;
    if minimum > maximum {
        let message = "Minimum must be lower than or equal to the maximum.";
        return Some(("minimum", message, "MINIMUM_IS_GREATER_THAN_MAXIMUM"));
    }
    let message = "The maximum must be a multiple of the increment.";
    (maximum % increment != 0).then_some(("maximum", message, "MAXIMUM_NOT_MULTIPLE_OF_INCREMENT"))
}

/// Rules of quantity. One for a variant that has one takes its place.
fn add_rules(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "quantityRules";
    let Some(list) = find(shop, call, "priceListId", "PriceList") else {
        return missing(result, "PRICE_LIST_DOES_NOT_EXIST");
    };
    let mut written: Vec<Value> = Vec::new();
    for (at, rule) in given(call, result).iter().enumerate() {
        let at = at.to_string();
        let refusal = |field: &str, message: &str, code: &str| {
            let error = UserError::new(&[result, &at, field], message).code(code);
            answer(result, Value::Null, vec![error])
        };
        let variant = rule["variantId"].as_str().and_then(|id| id.parse::<Gid>().ok());
        let Some(variant) = variant.filter(|gid| shop.store.get(*gid).is_some()) else {
            let message = "Product variant does not exist.";
            return refusal("variantId", message, "PRODUCT_VARIANT_DOES_NOT_EXIST");
        };
        if written.iter().any(|known| known["productVariant"] == link(variant)) {
            let message = "Quantity rule inputs must be unique by variant id.";
            return refusal("variantId", message, "DUPLICATE_INPUT_FOR_VARIANT");
        }
        if let Some((field, message, code)) = rule_refusal(rule) {
            return refusal(field, message, code);
        }
        written.push(json!({
            "__typename": "QuantityRule", "productVariant": link(variant), "isDefault": false,
            "minimum": rule["minimum"], "maximum": rule["maximum"], "increment": rule["increment"],
            "originType": "FIXED",
        }));
    }
    shop.update(list, |state| {
        let mut rules = state["quantityRules"].as_array().cloned().unwrap_or_default();
        for rule in &written {
            rules.retain(|known| known["productVariant"] != rule["productVariant"]);
            rules.push(rule.clone());
        }
        state["quantityRules"] = json!(rules);
    });
    answer(result, json!(written), vec![])
}

fn delete_rules(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "deletedQuantityRulesVariantIds";
    let Some(list) = find(shop, call, "priceListId", "PriceList") else {
        return missing(result, "PRICE_LIST_DOES_NOT_EXIST");
    };
    let ids = given(call, "variantIds");
    if let Some(at) = unlisted(shop, list, ("quantityRules", "productVariant"), &ids) {
        let message =
            "Quantity rule for variant associated with the price list provided does not exist.";
        let error = UserError::new(&["variantIds", &at.to_string()], message);
        let error = error.code("VARIANT_QUANTITY_RULE_DOES_NOT_EXIST");
        return answer(result, json!([]), vec![error]);
    }
    let gone: Vec<Gid> = ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect();
    shop.update(list, |state| {
        if let Some(rules) = state["quantityRules"].as_array_mut() {
            rules.retain(|rule| {
                !target(&rule["productVariant"]).is_some_and(|variant| gone.contains(&variant))
            });
        }
    });
    answer(result, json!(ids), vec![])
}

fn write_catalog(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = ["title", "status", "context", "priceListId", "publicationId"];
    let input = Input::of("CatalogInput", &given, &fields)?;
    let known = CATALOGS.iter().find_map(|of| find(shop, call, "id", of));
    let context = input.get("context");
    let of_locations = context.is_some_and(|context| !context["companyLocationIds"].is_null());
    if of_locations && known.is_some_and(|gid| gid.type_name() == "MarketCatalog") {
        return Err(not_simulated("giving a market's catalog to companies"));
    }
    if call.name == "catalogUpdate" && known.is_none() {
        return Ok(missing("catalog", "CATALOG_NOT_FOUND"));
    }
    let (of, whom) = match of_locations {
        true => ("CompanyLocationCatalog", "companyLocations"),
        false => ("MarketCatalog", "markets"),
    };
    let gid = known.unwrap_or_else(|| shop.store.fresh(of));
    let mut state = known.and_then(|gid| shop.store.get(gid)).map_or_else(
        || {
            json!({
                "__typename": of, "id": gid.to_string(), whom: [], "operations": [],
                "priceList": null, "publication": null,
            })
        },
        |state| (*state).clone(),
    );
    input.copy(&mut state, &[("title", "title"), ("status", "status")]);
    for (given, to) in [("marketIds", "markets"), ("companyLocationIds", "companyLocations")] {
        if let Some(ids) = context.and_then(|context| context[given].as_array()) {
            state[to] = ids.iter().filter_map(|id| id.as_str()?.parse().ok()).map(link).collect();
        }
    }
    for (field, to) in [("priceListId", "priceList"), ("publicationId", "publication")] {
        if let Some(gid) = input.text(field).and_then(|id| id.parse().ok()) {
            state[to] = link(gid);
        }
    }
    if let Some(list) = target(&state["priceList"]) {
        shop.update(list, |state| state["catalog"] = link(gid));
    }
    shop.put(gid, state);
    Ok(answer("catalog", link(gid), vec![]))
}

fn delete(shop: &mut Shop, call: &Call<'_>, types: &[&str]) -> Value {
    let Some(gid) = types.iter().find_map(|of| find(shop, call, "id", of)) else {
        let code = match types.contains(&"PriceList") {
            true => "PRICE_LIST_NOT_FOUND",
            false => "CATALOG_NOT_FOUND",
        };
        return missing("deletedId", code);
    };
    shop.remove(gid);
    answer("deletedId", json!(gid.to_string()), vec![])
}
