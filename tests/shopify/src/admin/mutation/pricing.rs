//! Price lists, and the catalogs that give them to markets and to locations of companies.

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
        "priceListDelete" => Ok(delete(shop, call, &["PriceList"], "PRICE_LIST_NOT_FOUND")),
        "priceListFixedPricesAdd" => Ok(add_prices(shop, call)),
        "priceListFixedPricesUpdate" => Ok(update_prices(shop, call)),
        "priceListFixedPricesDelete" => Ok(delete_prices(shop, call)),
        "quantityRulesAdd" => Ok(add_rules(shop, call)),
        "quantityRulesDelete" => Ok(delete_rules(shop, call)),
        "catalogCreate" | "catalogUpdate" => write_catalog(shop, call),
        "catalogDelete" => Ok(delete(shop, call, &CATALOGS, "CATALOG_NOT_FOUND")),
        _ => return None,
    })
}

/// Sorts of catalogs, by what they are for.
const CATALOGS: [&str; 2] = ["MarketCatalog", OF_LOCATIONS];
const OF_LOCATIONS: &str = "CompanyLocationCatalog";

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
    let catalog = match input.text("catalogId").map(|id| catalog_for(shop, known, id)) {
        Some(Err(error)) => return Ok(answer("priceList", Value::Null, vec![error])),
        Some(Ok(catalog)) => Some(catalog),
        None => None,
    };
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
    if input.text("currency").is_some_and(|currency| state["currency"] != *currency) {
        // Fixed prices go with the currency that they are in.
        state["prices"] = json!([]);
    }
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
    if input.given("catalogId").is_some() {
        if let Some(before) = target(&state["catalog"]) {
            shop.update(before, |catalog| {
                if target(&catalog["priceList"]) == Some(gid) {
                    catalog["priceList"] = Value::Null;
                }
            });
        }
        state["catalog"] = catalog.map_or(Value::Null, link);
    }
    if let Some(catalog) = catalog {
        shop.update(catalog, |catalog| catalog["priceList"] = link(gid));
    }
    shop.put(gid, state);
    Ok(answer("priceList", link(gid), vec![]))
}

/// The catalog that a list is to be of.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/PriceListUserErrorCode>
fn catalog_for(shop: &Shop, list: Option<Gid>, id: &str) -> Result<Gid, UserError> {
    let refusal = |message: &str, code: &str| {
        Err(UserError::new(&["input", "catalogId"], message).code(code))
    };
    let is_one = |gid: &Gid| CATALOGS.iter().any(|of| *of == gid.type_name());
    let found = id.parse::<Gid>().ok().filter(is_one);
    let Some((gid, catalog)) = found.and_then(|gid| Some((gid, shop.store.get(gid)?))) else {
        return refusal("Catalog does not exist.", "CATALOG_DOES_NOT_EXIST");
    };
    let other = target(&catalog["priceList"]).filter(|other| Some(*other) != list);
    if other.is_some_and(|other| shop.store.get(other).is_some()) {
        return refusal("Catalog has a price list already assigned.", "CATALOG_TAKEN");
    }
    let list = list.and_then(|list| shop.store.get(list)).unwrap_or_default();
    if gid.type_name() != OF_LOCATIONS && has_rules(shop, &list) {
        return refusal(NO_RULES, NO_RULES_CODE);
    }
    Ok(gid)
}

/// Of "compatible markets" none is modelled.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/QuantityRuleUserErrorCode>
const NO_RULES: &str = "Quantity rules can be associated only with company location catalogs or \
                        catalogs associated with compatible markets.";
const NO_RULES_CODE: &str = "CATALOG_CONTEXT_DOES_NOT_SUPPORT_QUANTITY_RULES";

/// Whether a list has a rule of a variant that is there.
fn has_rules(shop: &Shop, list: &Value) -> bool {
    let rules = list["quantityRules"].as_array().into_iter().flatten();
    let mut variants = rules.filter_map(|rule| target(&rule["productVariant"]));
    variants.any(|variant| shop.store.get(variant).is_some())
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
    let catalog = shop.store.get(list).and_then(|state| target(&state["catalog"]));
    let catalog = catalog.filter(|catalog| shop.store.get(*catalog).is_some());
    if catalog.is_none_or(|catalog| catalog.type_name() != OF_LOCATIONS) {
        let error = UserError::new(&["priceListId"], NO_RULES).code(NO_RULES_CODE);
        return answer(result, Value::Null, vec![error]);
    }
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
    let refuse = |error: UserError| Ok(answer("catalog", Value::Null, vec![error]));
    let known = CATALOGS.iter().find_map(|of| find(shop, call, "id", of));
    if call.name == "catalogUpdate" && known.is_none() {
        return Ok(missing("catalog", "CATALOG_NOT_FOUND"));
    }
    let context = |name: &str| input.get("context").and_then(|context| context[name].as_array());
    let (markets, locations) = (context("marketIds"), context("companyLocationIds"));
    if known.is_none() && markets.is_some() == locations.is_some() {
        let message = "Must provide exactly one context type.";
        let error = UserError::new(&["input", "context"], message);
        return refuse(error.code("MUST_PROVIDE_EXACTLY_ONE_CONTEXT_TYPE"));
    }
    let [of_markets, of_locations] = CATALOGS;
    let sort = match (known, locations) {
        (Some(gid), _) => gid.type_name(),
        (None, Some(_)) => of_locations,
        (None, None) => of_markets,
    };
    if (sort == of_markets && locations.is_some()) || (sort == of_locations && markets.is_some()) {
        return Err(not_simulated("giving a catalog another sort of context"));
    }
    let list = match input.text("priceListId").map(|id| list_for(shop, (known, sort), id)) {
        Some(Err(error)) => return refuse(error),
        Some(Ok(list)) => Some(list),
        None => None,
    };
    let publication = input.text("publicationId").map(|id| id.parse::<Gid>().ok());
    let publication = publication.map(|gid| gid.filter(|gid| shop.store.get(*gid).is_some()));
    if publication == Some(None) {
        let error = UserError::new(&["input", "publicationId"], "Publication not found.");
        return refuse(error.code("PUBLICATION_NOT_FOUND"));
    }
    let gid = known.unwrap_or_else(|| shop.store.fresh(sort));
    let mut state = known.and_then(|gid| shop.store.get(gid)).map_or_else(
        || {
            let of = if sort == of_locations { "companyLocations" } else { "markets" };
            json!({
                "__typename": sort, "id": gid.to_string(), of: [], "operations": [],
                "priceList": null, "publication": null,
            })
        },
        |state| (*state).clone(),
    );
    input.copy(&mut state, &[("title", "title"), ("status", "status")]);
    for (ids, to) in [(markets, "markets"), (locations, "companyLocations")] {
        if let Some(ids) = ids {
            state[to] = ids.iter().filter_map(|id| id.as_str()?.parse().ok()).map(link).collect();
        }
    }
    if input.given("priceListId").is_some() {
        if let Some(before) = target(&state["priceList"]) {
            shop.update(before, |list| list["catalog"] = Value::Null);
        }
        state["priceList"] = list.map_or(Value::Null, link);
    }
    if let Some(list) = list {
        shop.update(list, |list| list["catalog"] = link(gid));
    }
    if input.given("publicationId").is_some() {
        state["publication"] = publication.flatten().map_or(Value::Null, link);
    }
    shop.put(gid, state);
    Ok(answer("catalog", link(gid), vec![]))
}

/// The price list that a catalog of a sort is to have.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/CatalogUserErrorCode>
fn list_for(shop: &Shop, (catalog, sort): (Option<Gid>, &str), id: &str) -> Result<Gid, UserError> {
    let refusal = |message: &str, code: &str| {
        Err(UserError::new(&["input", "priceListId"], message).code(code))
    };
    let found = id.parse::<Gid>().ok();
    let Some((gid, list)) = found.and_then(|gid| Some((gid, shop.store.get(gid)?))) else {
        return refusal("Price list not found.", "PRICE_LIST_NOT_FOUND");
    };
    let other = target(&list["catalog"]).filter(|other| Some(*other) != catalog);
    if other.is_some_and(|other| shop.store.get(other).is_some()) {
        return refusal("Price list has already been taken", "TAKEN");
    }
    if sort != OF_LOCATIONS && has_rules(shop, &list) {
        return refusal(NO_RULES, NO_RULES_CODE);
    }
    Ok(gid)
}

/// Deletes a list, or a catalog; with that go its list and its publication, although Shopify's reference
/// has it that they stay unless it is said that they go.
fn delete(shop: &mut Shop, call: &Call<'_>, types: &[&str], code: &str) -> Value {
    let Some(gid) = types.iter().find_map(|of| find(shop, call, "id", of)) else {
        return missing("deletedId", code);
    };
    let state = shop.store.get(gid).unwrap_or_default();
    for own in ["priceList", "publication"].into_iter().filter_map(|own| target(&state[own])) {
        shop.remove(own);
    }
    shop.remove(gid);
    answer("deletedId", json!(gid.to_string()), vec![])
}
