//! Stock: absolute and relative, over what was seen or over whatever is there.

use serde_json::{Value, json};

use super::{Call, Input, UserError, done, failed, variant};
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target, targets};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "inventorySetQuantities" => Ok(change(shop, call, "quantities")),
        "inventoryAdjustQuantities" => Ok(change(shop, call, "changes")),
        "inventoryActivate" => Ok(activate(shop, call)),
        "inventoryDeactivate" => Ok(deactivate(shop, call)),
        "inventoryItemUpdate" => item(shop, call),
        _ => return None,
    })
}

/// Where an item is stocked at a location.
pub(super) fn level(shop: &Shop, item: Gid, location: Gid) -> Option<Gid> {
    let state = shop.store.get(item)?;
    targets(&state, "inventoryLevels").find(|level| {
        shop.store.get(*level).is_some_and(|state| {
            target(&state["location"]) == Some(location) && state["isActive"] == true
        })
    })
}

/// What is counted of an item at a location where it is not stocked, or not any more. It can be changed,
/// and is there again once the item is stocked.
/// <https://shopify.dev/changelog/add-isactive-field-to-inventorylevel>,
/// <https://shopify.dev/changelog/removal-of-itemnotstockedatlocation-error>,
/// <https://shopify.dev/changelog/inventoryactivate-now-preserves-available-quantity>
fn left(shop: &Shop, item: Gid, location: Gid) -> Value {
    let state = shop.store.get(item).unwrap_or_default();
    match &state["_left"][location.to_string()] {
        Value::Null => json!({
            "available": 0, "on_hand": 0, "committed": 0, "incoming": 0, "reserved": 0,
            "damaged": 0, "safety_stock": 0, "quality_control": 0,
        }),
        left => left.clone(),
    }
}

/// Sets one quantity. What is on hand is the sum of all states but what is still to come.
pub(super) fn count(quantities: &mut Value, name: &str, to: i64) {
    let delta = to - quantities[name].as_i64().unwrap_or_default();
    quantities[name] = json!(to);
    let with = if name == "on_hand" { "available" } else { "on_hand" };
    quantities[with] = json!(quantities[with].as_i64().unwrap_or_default() + delta);
}

const REASONS: [&str; 14] = [
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "reservation_created",
    "restock",
    "shrinkage",
];

struct Step {
    item: Gid,
    location: Gid,
    to: i64,
    delta: i64,
}

fn change(shop: &mut Shop, call: &Call<'_>, list: &str) -> Value {
    let input = call.args.get("input").cloned().unwrap_or_default();
    let result = "inventoryAdjustmentGroup";
    let name = input["name"].as_str().unwrap_or_default().to_owned();
    let error = |field: &[&str], message: &str, code: &str| {
        failed(result, vec![UserError::new(field, message).code(code)])
    };
    if !REASONS.contains(&input["reason"].as_str().unwrap_or_default()) {
        let message = "The specified reason is invalid.";
        return error(&["input", "reason"], message, "INVALID_REASON");
    }
    let settable: &[&str] = if list == "quantities" {
        &["available", "on_hand"]
    } else {
        &["available", "damaged", "quality_control", "reserved", "safety_stock"]
    };
    if !settable.contains(&name.as_str()) {
        let message = "The specified quantity name is invalid.";
        return error(&["input", "name"], message, "INVALID_NAME");
    }
    let given = input[list].as_array().cloned().unwrap_or_default();
    let mut steps = Vec::new();
    for (at, step) in given.iter().enumerate() {
        match plan(shop, step, &name) {
            Ok(step) => steps.push(step),
            Err((field, message, code)) => {
                return error(&["input", list, &at.to_string(), field], message, code);
            }
        }
    }
    let changes: Vec<Value> = steps.iter().map(|step| carry_out(shop, step, &name)).collect();
    let gid = shop.store.fresh("InventoryAdjustmentGroup");
    let now = shop.now_text();
    shop.put(
        gid,
        json!({
            "__typename": "InventoryAdjustmentGroup", "id": gid.to_string(), "createdAt": now,
            "reason": input["reason"], "referenceDocumentUri": input["referenceDocumentUri"],
            "app": null, "staffMember": null, "changes": changes,
        }),
    );
    done(result, link(gid))
}

/// What one entry would do, or why it cannot.
fn plan(
    shop: &Shop,
    step: &Value,
    name: &str,
) -> Result<Step, (&'static str, &'static str, &'static str)> {
    let gid = |field: &str| step[field].as_str().and_then(|id| id.parse::<Gid>().ok());
    let item = gid("inventoryItemId").filter(|item| shop.store.get(*item).is_some());
    let item = item.ok_or((
        "inventoryItemId",
        "The specified inventory item could not be found.",
        "INVALID_INVENTORY_ITEM",
    ))?;
    let location = gid("locationId").filter(|location| shop.store.get(*location).is_some());
    let location = location.ok_or((
        "locationId",
        "The specified location could not be found.",
        "INVALID_LOCATION",
    ))?;
    let quantities = match level(shop, item, location).and_then(|level| shop.store.get(level)) {
        Some(level) => level["_quantities"].clone(),
        None => left(shop, item, location),
    };
    let now = quantities[name].as_i64().unwrap_or_default();
    // Since 2026-04 one has to say what one saw, or say null to mean whatever is there.
    let Some(seen) = step.get("changeFromQuantity") else {
        let message = "The changeFromQuantity argument must be passed, be it as null.";
        return Err(("changeFromQuantity", message, "COMPARE_QUANTITY_REQUIRED"));
    };
    if seen.as_i64().is_some_and(|seen| seen != now) {
        let message = "The changeFromQuantity argument no longer matches the persisted quantity.";
        return Err(("changeFromQuantity", message, "CHANGE_FROM_QUANTITY_STALE"));
    }
    let to = match step["delta"].as_i64() {
        Some(delta) => now + delta,
        None => step["quantity"].as_i64().unwrap_or_default(),
    };
    if to < -1_000_000_000 {
        return Err((
            "quantity",
            "The quantity can't be lower than -1,000,000,000.",
            "INVALID_QUANTITY_TOO_LOW",
        ));
    }
    if to > 1_000_000_000 {
        return Err((
            "quantity",
            "The quantity can't be higher than 1,000,000,000.",
            "INVALID_QUANTITY_TOO_HIGH",
        ));
    }
    Ok(Step { item, location, to, delta: to - now })
}

fn carry_out(shop: &mut Shop, step: &Step, name: &str) -> Value {
    let Step { item, location, to, delta } = *step;
    match level(shop, item, location) {
        Some(level) => shop.change_level(level, |quantities| count(quantities, name, to)),
        None => {
            let mut quantities = left(shop, item, location);
            count(&mut quantities, name, to);
            // The item's own date does not move.
            if let Some(state) = shop.store.get(item) {
                let mut state = (*state).clone();
                state["_left"][location.to_string()] = quantities;
                shop.put(item, state);
            }
        }
    }
    json!({
        "__typename": "InventoryChange", "name": name, "delta": delta,
        "quantityAfterChange": null, "ledgerDocumentUri": null,
        "item": link(item), "location": link(location),
    })
}

fn activate(shop: &mut Shop, call: &Call<'_>) -> Value {
    let item = call.args.gid("inventoryItemId").filter(|gid| shop.store.get(*gid).is_some());
    let location = call.args.gid("locationId").filter(|gid| shop.store.get(*gid).is_some());
    let (Some(item), Some(location)) = (item, location) else {
        let error = UserError::new(&["inventoryItemId"], "The product couldn't be stocked there.");
        return failed("inventoryLevel", vec![error]);
    };
    let available = call.args.get("available").and_then(Value::as_i64);
    if let Some(level) = level(shop, item, location) {
        if available.is_some() {
            let message = "Not allowed to set available quantity when the item is already active at the location.";
            return failed("inventoryLevel", vec![UserError::new(&["available"], message)]);
        }
        return done("inventoryLevel", link(level));
    }
    done("inventoryLevel", link(stock(shop, item, location, available)))
}

/// Stocks an item at a location where it was not stocked.
pub(super) fn stock(shop: &mut Shop, item: Gid, location: Gid, available: Option<i64>) -> Gid {
    let mut quantities = left(shop, item, location);
    if let Some(available) = available {
        count(&mut quantities, "available", available);
    }
    let gid = shop.store.fresh("InventoryLevel");
    let now = shop.now_text();
    shop.put(
        gid,
        json!({
            "__typename": "InventoryLevel",
            "id": format!("{gid}?inventory_item_id={}", item.number()),
            "item": link(item), "location": link(location), "isActive": true, "canDeactivate": true,
            "deactivationAlert": null,
            "_quantities": quantities,
            "createdAt": now, "updatedAt": now,
        }),
    );
    shop.update(item, |state| {
        if let Some(levels) = state["inventoryLevels"].as_array_mut() {
            levels.push(crate::store::own(gid));
        }
    });
    shop.announce("inventory_levels/connect", gid);
    gid
}

fn deactivate(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call.args.gid("inventoryLevelId").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, state)) = found else {
        let error = UserError::new(&["inventoryLevelId"], "The inventory level couldn't be found.");
        return json!({ "userErrors": [error.value()] });
    };
    if let Some(item) = target(&state["item"]) {
        shop.update(item, |item| {
            let kept: Vec<Value> = targets(item, "inventoryLevels")
                .filter(|level| *level != gid)
                .map(crate::store::own)
                .collect();
            item["inventoryLevels"] = json!(kept);
            if let Some(location) = target(&state["location"]) {
                item["_left"][location.to_string()] = state["_quantities"].clone();
            }
        });
    }
    shop.remove(gid);
    shop.announce("inventory_levels/disconnect", gid);
    json!({ "userErrors": [] })
}

fn item(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = call.args.gid("id").filter(|gid| shop.store.get(*gid).is_some()) else {
        let error =
            UserError::new(&["id"], "The product couldn't be updated because it does not exist.");
        return Ok(failed("inventoryItem", vec![error]));
    };
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = [
        "cost",
        "countryCodeOfOrigin",
        "countryHarmonizedSystemCodes",
        "harmonizedSystemCode",
        "measurement",
        "provinceCodeOfOrigin",
        "requiresShipping",
        "sku",
        "tracked",
    ];
    let input = Input::of("InventoryItemInput", &given, &fields)?;
    variant::apply_item(shop, gid, &input, None);
    Ok(done("inventoryItem", link(gid)))
}
