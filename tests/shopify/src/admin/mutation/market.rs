//! Markets of countries.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::{handle, words};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    match call.name {
        "marketCreate" => Some(create(shop, call)),
        "marketUpdate" => Some(update(shop, call)),
        "marketDelete" => Some(Ok(delete(shop, call))),
        _ => None,
    }
}

fn find(shop: &Shop, call: &Call<'_>) -> Option<Gid> {
    call.args.gid("id").filter(|gid| gid.type_name() == "Market" && shop.store.get(*gid).is_some())
}

fn missing(result: &str) -> Value {
    let error = UserError::new(&["id"], "The market wasn't found.").code("MARKET_NOT_FOUND");
    answer(result, Value::Null, vec![error])
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = find(shop, call) else { return Ok(missing("market")) };
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = [
        "name",
        "handle",
        "status",
        "currencySettings",
        "removeCurrencySettings",
        "priceInclusions",
        "removePriceInclusions",
        "conditions",
        "webPresencesToAdd",
    ];
    let input = Input::of("MarketUpdateInput", &given, &fields)?;
    if let Some(error) = unknown_presence(&input, "webPresencesToAdd") {
        return Ok(answer("market", Value::Null, vec![error]));
    }
    let changes = input.get("conditions").cloned().unwrap_or_default();
    for part in ["conditionsToAdd", "conditionsToDelete"] {
        of_regions(&changes[part])?;
    }
    let taken = |field: &str, wanted: &str| {
        shop.store.live("Market").any(|(other, market)| other != gid && market[field] == *wanted)
    };
    for field in ["name", "handle"] {
        if input.text(field).is_some_and(|wanted| taken(field, wanted)) {
            let error = UserError::new(&["input", field], "has already been taken").code("TAKEN");
            return Ok(answer("market", Value::Null, vec![error]));
        }
    }
    shop.update(gid, |market| {
        input.copy(market, &[("name", "name"), ("status", "status")]);
        if let Some(wanted) = input.text("handle") {
            market["handle"] = json!(handle(wanted));
        }
        if let Some(status) = input.text("status") {
            market["enabled"] = json!(status == "ACTIVE");
        }
        if let Some(settings) = input.get("currencySettings") {
            currency(&mut market["currencySettings"], settings);
        }
        if input.get("removeCurrencySettings") == Some(&json!(true)) {
            market["currencySettings"] = Value::Null;
        }
        if let Some(given) = input.get("priceInclusions") {
            inclusions(&mut market["priceInclusions"], given);
        }
        if input.get("removePriceInclusions") == Some(&json!(true)) {
            market["priceInclusions"] = Value::Null;
        }
        let regions = market["conditions"]["regionsCondition"]["regions"].as_array_mut();
        if let Some(regions) = regions {
            let lost = &changes["conditionsToDelete"]["regionsCondition"]["regionIds"];
            let lost = lost.as_array().cloned().unwrap_or_default();
            regions.retain(|region| !lost.contains(&region["id"]));
            let gained = conditions(&changes["conditionsToAdd"]);
            let gained = gained["regionsCondition"]["regions"].as_array().cloned();
            regions.extend(gained.unwrap_or_default());
            regions.sort_by_key(|region| region["name"].to_string());
        }
    });
    shop.announce("markets/update", gid);
    Ok(answer("market", link(gid), vec![]))
}

/// No web address of a market is modelled: one that is named is not there.
fn unknown_presence(input: &Input<'_>, field: &str) -> Option<UserError> {
    let id = input.list(field)?.first()?.as_str()?;
    let number = id.rsplit('/').next().unwrap_or_default();
    let message = format!("The following customization IDs were not found: {number}");
    Some(UserError::new(&["input", field], message).code("CUSTOMIZATIONS_NOT_FOUND"))
}

/// Only regions are modelled, and of them countries.
fn of_regions(given: &Value) -> Outcome<()> {
    let Value::Object(conditions) = given else { return Ok(()) };
    let other =
        conditions.iter().find(|(name, value)| *name != "regionsCondition" && !value.is_null());
    if let Some((name, _)) = other {
        return Err(not_simulated(format_args!("MarketConditionsInput.{name}")));
    }
    let regions = given["regionsCondition"]["regions"].as_array().into_iter().flatten();
    for region in regions {
        if region.get("subdivision").is_some_and(|part| !part.is_null()) {
            return Err(not_simulated("markets of parts of countries"));
        }
    }
    Ok(())
}

/// Conditions as documents hold them.
pub(crate) fn conditions(given: &Value) -> Value {
    let regions = given["regionsCondition"]["regions"].as_array().into_iter().flatten();
    let mut regions: Vec<Value> = regions
        .filter_map(|region| region["countryCode"].as_str())
        .map(|code| {
            let number = code.bytes().fold(0, |number: u64, b| number * 256 + u64::from(b));
            json!({
                "__typename": "MarketRegionCountry", "code": code, "name": words::country(code),
                "id": format!("gid://shopify/MarketRegionCountry/{number}"),
            })
        })
        .collect();
    regions.sort_by_key(|region| region["name"].to_string());
    let level = given["regionsCondition"]["applicationLevel"].as_str().unwrap_or("SPECIFIED");
    json!({
        "__typename": "MarketConditions", "conditionTypes": ["REGION"],
        "regionsCondition": {
            "__typename": "RegionsCondition", "applicationLevel": level, "regions": regions,
        },
        "locationsCondition": null, "companyLocationsCondition": null, "channelsCondition": null,
    })
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = [
        "name",
        "handle",
        "status",
        "currencySettings",
        "priceInclusions",
        "conditions",
        "webPresences",
    ];
    let input = Input::of("MarketCreateInput", &given, &fields)?;
    if let Some(error) = unknown_presence(&input, "webPresences") {
        return Ok(answer("market", Value::Null, vec![error]));
    }
    of_regions(&given["conditions"])?;
    let name = input.text("name").unwrap_or_default();
    let handle = handle(input.text("handle").unwrap_or(name));
    let taken = |field: &str, wanted: &str| {
        shop.store.live("Market").any(|(_, market)| market[field] == *wanted)
    };
    for (field, wanted) in [("name", name), ("handle", handle.as_str())] {
        if taken(field, wanted) {
            let error = UserError::new(&["input", field], "has already been taken").code("TAKEN");
            return Ok(answer("market", Value::Null, vec![error]));
        }
    }
    let gid = shop.store.fresh("Market");
    let status = input.text("status").unwrap_or("ACTIVE");
    let mut settings = Value::Null;
    if let Some(given) = input.get("currencySettings") {
        currency(&mut settings, given);
    }
    let mut included = Value::Null;
    if let Some(given) = input.get("priceInclusions") {
        inclusions(&mut included, given);
    }
    shop.put(
        gid,
        json!({
            "__typename": "Market", "id": gid.to_string(), "name": name, "handle": handle,
            "status": status, "type": "REGION", "enabled": status == "ACTIVE", "primary": false,
            "conditions": conditions(&given["conditions"]), "currencySettings": settings,
            "priceInclusions": included, "webPresences": [], "metafields": [],
        }),
    );
    shop.announce("markets/create", gid);
    Ok(answer("market", link(gid), vec![]))
}

fn currency(held: &mut Value, given: &Value) {
    if held.is_null() {
        *held = json!({
            "__typename": "MarketCurrencySettings", "localCurrencies": false,
            "roundingEnabled": true,
            "baseCurrency": {
                "__typename": "CurrencySetting", "currencyCode": "USD",
                "currencyName": "United States Dollar", "enabled": true, "manualRate": null,
                "rateUpdatedAt": null,
            },
        });
    }
    if let Some(code) = given["baseCurrency"].as_str() {
        held["baseCurrency"]["currencyCode"] = json!(code);
    }
    for field in ["localCurrencies", "roundingEnabled"] {
        if let Some(value) = given.get(field) {
            held[field] = value.clone();
        }
    }
}

fn inclusions(held: &mut Value, given: &Value) {
    if held.is_null() {
        *held = json!({
            "__typename": "MarketPriceInclusions",
            "inclusiveDutiesPricingStrategy": "ADD_DUTIES_AT_CHECKOUT",
            "inclusiveTaxPricingStrategy": "ADD_TAXES_AT_CHECKOUT",
        });
    }
    for (from, to) in [
        ("dutiesPricingStrategy", "inclusiveDutiesPricingStrategy"),
        ("taxPricingStrategy", "inclusiveTaxPricingStrategy"),
    ] {
        if given[from].is_string() {
            held[to] = given[from].clone();
        }
    }
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = find(shop, call) else { return missing("deletedId") };
    if shop.store.get(gid).is_some_and(|market| market["primary"] == true) {
        let message = "Can't delete the primary market";
        let error = UserError::new(&["id"], message).code("CANNOT_DELETE_PRIMARY_MARKET");
        return answer("deletedId", Value::Null, vec![error]);
    }
    shop.remove(gid);
    shop.announce("markets/delete", gid);
    answer("deletedId", json!(gid.to_string()), vec![])
}
