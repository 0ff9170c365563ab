//! Places where stock is.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer, done, failed};
use crate::admin::session::Outcome;
use crate::catalog::place;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "locationAdd" => add(shop, call),
        "locationEdit" => edit(shop, call),
        "locationActivate" => Ok(activate(shop, call, true)),
        "locationDeactivate" => Ok(activate(shop, call, false)),
        "locationDelete" => Ok(delete(shop, call)),
        _ => return None,
    })
}

fn found(shop: &Shop, call: &Call<'_>, argument: &str) -> Option<Gid> {
    let gid = call.args.gid(argument)?;
    (gid.type_name() == "Location" && shop.store.get(gid).is_some()).then_some(gid)
}

fn no_location(argument: &str) -> UserError {
    UserError::new(&[argument], "Location not found.").code("LOCATION_NOT_FOUND")
}

/// No two locations have the same name.
fn is_taken(shop: &Shop, own: Option<Gid>, name: &Value) -> bool {
    let mut all = shop.store.live("Location");
    all.any(|(gid, location)| Some(gid) != own && location["name"] == *name)
}

fn apply(state: &mut Value, input: &Input<'_>) {
    let same = [("name", "name"), ("fulfillsOnlineOrders", "fulfillsOnlineOrders")];
    input.copy(state, &same);
    let given = input.get("address").and_then(Value::as_object);
    for (name, value) in given.into_iter().flatten() {
        let value = if *value == "" { &Value::Null } else { value };
        state["address"][name.as_str()] = value.clone();
    }
    let code = |name: &str| state["address"][name].as_str().unwrap_or_default().to_owned();
    let (country, province) = place(&code("countryCode"), &code("provinceCode"));
    state["address"]["country"] = json!(country);
    state["address"]["province"] = json!(province);
}

fn add(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input =
        Input::of("LocationAddInput", &given, &["name", "address", "fulfillsOnlineOrders"])?;
    if is_taken(shop, None, &given["name"]) {
        let error =
            UserError::new(&["input", "name"], "You already have a location with this name");
        return Ok(failed("location", vec![error.code("TAKEN")]));
    }
    let gid = shop.store.fresh("Location");
    let now = shop.now_text();
    let mut state = json!({
        "__typename": "Location", "id": gid.to_string(), "name": null, "isActive": true,
        "activatable": true, "deactivatable": true, "deletable": false, "deactivatedAt": null,
        "fulfillsOnlineOrders": true, "shipsInventory": true, "hasActiveInventory": false,
        "isFulfillmentService": false, "isPrimary": false, "localPickupSettingsV2": null,
        "address": {
            "__typename": "LocationAddress", "address1": null, "address2": null, "city": null,
            "province": null, "provinceCode": null, "country": null, "countryCode": null,
            "zip": null, "phone": null, "latitude": null, "longitude": null, "formatted": [],
        },
        "metafields": [], "createdAt": now, "updatedAt": now,
    });
    apply(&mut state, &input);
    shop.put(gid, state);
    shop.announce("locations/create", gid);
    Ok(done("location", link(gid)))
}

fn edit(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input =
        Input::of("LocationEditInput", &given, &["name", "address", "fulfillsOnlineOrders"])?;
    let Some(gid) = found(shop, call, "id") else {
        return Ok(failed("location", vec![no_location("id").code("NOT_FOUND")]));
    };
    if input.get("name").is_some() && is_taken(shop, Some(gid), &given["name"]) {
        let error =
            UserError::new(&["input", "name"], "You already have a location with this name");
        return Ok(failed("location", vec![error.code("TAKEN")]));
    }
    shop.update(gid, |state| apply(state, &input));
    shop.announce("locations/update", gid);
    Ok(done("location", link(gid)))
}

/// Whether stock of anything is kept there.
fn has_stock(shop: &Shop, location: Gid) -> bool {
    shop.store.live("InventoryLevel").any(|(_, level)| {
        target(&level["location"]) == Some(location)
            && level["_quantities"]["on_hand"].as_i64().unwrap_or_default() != 0
    })
}

/// An answer under the name that these mutations give their errors.
fn named(name: &str, location: Option<Gid>, errors: Vec<UserError>) -> Value {
    let mut answer = answer("location", location.map_or(Value::Null, link), errors);
    answer[name] = answer["userErrors"].clone();
    answer
}

fn activate(shop: &mut Shop, call: &Call<'_>, active: bool) -> Value {
    let (errors, topic) = match active {
        true => ("locationActivateUserErrors", "locations/activate"),
        false => ("locationDeactivateUserErrors", "locations/deactivate"),
    };
    let Some(gid) = found(shop, call, "locationId") else {
        return named(errors, None, vec![no_location("locationId")]);
    };
    if !active && has_stock(shop, gid) {
        let message = "Location could not be deactivated without specifying where to relocate inventory stocked at the location.";
        let error = UserError::new(&["locationId"], message).code("HAS_ACTIVE_INVENTORY_ERROR");
        return named(errors, Some(gid), vec![error]);
    }
    let now = shop.now_text();
    shop.update(gid, |state| {
        state["isActive"] = json!(active);
        state["deactivatedAt"] = if active { Value::Null } else { json!(now) };
        state["deletable"] = json!(!active);
    });
    shop.announce(topic, gid);
    named(errors, Some(gid), vec![])
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let refusal = |error: UserError| {
        let mut answer = failed("deletedLocationId", vec![error]);
        answer["locationDeleteUserErrors"] = answer["userErrors"].clone();
        answer
    };
    let Some(gid) = found(shop, call, "locationId") else {
        return refusal(no_location("locationId"));
    };
    let state = shop.store.get(gid).unwrap_or_default();
    if state["isActive"] == true {
        let message = "The location cannot be deleted while it is active.";
        return refusal(UserError::new(&["locationId"], message).code("LOCATION_IS_ACTIVE"));
    }
    if has_stock(shop, gid) {
        let message = "The location cannot be deleted while it has inventory.";
        return refusal(UserError::new(&["locationId"], message).code("LOCATION_HAS_INVENTORY"));
    }
    shop.remove(gid);
    shop.announce("locations/delete", gid);
    json!({
        "deletedLocationId": gid.to_string(), "locationDeleteUserErrors": [], "userErrors": [],
    })
}
