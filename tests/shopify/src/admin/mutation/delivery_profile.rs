//! Delivery profiles: which locations deliver where, and for how much.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer, failed, job};
use crate::admin::session::Outcome;
use crate::catalog::{cents, cents_to_decimal, words};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

/// A name is shorter than this.
const NAME_MAX: usize = 128;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "deliveryProfileCreate" => create(shop, call),
        "deliveryProfileUpdate" => update(shop, call),
        "deliveryProfileRemove" => Ok(remove(shop, call)),
        _ => return None,
    })
}

/// What is wrong, as these mutations say it: without a code.
type Refused = Result<(), UserError>;

fn wrong<T>(message: impl Into<String>) -> Result<T, UserError> {
    Err(UserError::new(&["profile"], message))
}

fn find(shop: &Shop, call: &Call<'_>) -> Option<Gid> {
    let gid = call.args.gid("id")?;
    (gid.type_name() == "DeliveryProfile" && shop.store.get(gid).is_some()).then_some(gid)
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let gid = shop.store.fresh("DeliveryProfile");
    let profile = json!({
        "__typename": "DeliveryProfile", "id": gid.to_string(), "name": null, "default": false,
        "version": 1, "profileLocationGroups": [],
    });
    write(shop, call, gid, profile, "profiles/create")
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = find(shop, call) else {
        let error = UserError::new(&["id"], "Profile could not be updated.");
        return Ok(failed("profile", vec![error]));
    };
    let profile = shop.store.get(gid).map(|profile| (*profile).clone()).unwrap_or_default();
    write(shop, call, gid, profile, "profiles/update")
}

fn write(
    shop: &mut Shop,
    call: &Call<'_>,
    gid: Gid,
    mut profile: Value,
    topic: &'static str,
) -> Outcome<Value> {
    let given = call.args.get("profile").cloned().unwrap_or_default();
    if let Err(error) = apply(shop, &mut profile, &given)? {
        return Ok(failed("profile", vec![error]));
    }
    if topic == "profiles/update" {
        profile["version"] = json!(profile["version"].as_u64().unwrap_or(1) + 1);
    }
    shop.put(gid, profile);
    shop.announce(topic, gid);
    Ok(answer("profile", link(gid), vec![]))
}

/// Makes of a profile what an input asks for; nothing of it where any part cannot be.
fn apply(shop: &mut Shop, profile: &mut Value, given: &Value) -> Outcome<Refused> {
    let fields = [
        "name",
        "locationGroupsToCreate",
        "locationGroupsToDelete",
        "locationGroupsToUpdate",
        "methodDefinitionsToDelete",
        "zonesToDelete",
    ];
    let input = Input::of("DeliveryProfileInput", given, &fields)?;
    input.copy(profile, &[("name", "name")]);
    let name = profile["name"].as_str().unwrap_or_default();
    if name.trim().is_empty() {
        return Ok(wrong("Profile name can't be blank"));
    }
    if name.chars().count() >= NAME_MAX {
        return Ok(wrong("Profile name is too long"));
    }
    let mut groups = profile["profileLocationGroups"].as_array().cloned().unwrap_or_default();
    let gone = |name: &str| input.list(name).unwrap_or_default().to_vec();
    let (lost_groups, lost_zones, lost_methods) =
        (gone("locationGroupsToDelete"), gone("zonesToDelete"), gone("methodDefinitionsToDelete"));
    groups.retain(|group| !lost_groups.contains(&group["locationGroup"]["id"]));
    for group in &mut groups {
        let zones = group["locationGroupZones"].as_array_mut().into_iter().flatten();
        let mut kept: Vec<Value> = zones
            .map(|zone| zone.take())
            .filter(|z| !lost_zones.contains(&z["zone"]["id"]))
            .collect();
        for zone in &mut kept {
            if let Some(methods) = zone["methodDefinitions"].as_array_mut() {
                methods.retain(|method| !lost_methods.contains(&method["id"]));
            }
        }
        group["locationGroupZones"] = json!(kept);
    }
    for given in input.list("locationGroupsToUpdate").unwrap_or_default() {
        let known = groups.iter().position(|group| group["locationGroup"]["id"] == given["id"]);
        let Some(at) = known else { return Ok(wrong("Location group not found")) };
        let mut group = groups.remove(at);
        let written = write_group(shop, &mut group, given, &mut groups)?;
        groups.insert(at, group);
        if written.is_err() {
            return Ok(written);
        }
    }
    for given in input.list("locationGroupsToCreate").unwrap_or_default() {
        let id = shop.store.fresh("DeliveryLocationGroup").to_string();
        let mut group = json!({
            "__typename": "DeliveryProfileLocationGroup", "locationGroupZones": [],
            "locationGroup": {
                "__typename": "DeliveryLocationGroup", "id": id, "locations": [],
            },
        });
        let written = write_group(shop, &mut group, given, &mut groups)?;
        if written.is_err() {
            return Ok(written);
        }
        groups.push(group);
    }
    profile["profileLocationGroups"] = json!(groups);
    Ok(Ok(()))
}

/// A group of locations. A location that is put into it leaves the one where it was.
fn write_group(
    shop: &mut Shop,
    group: &mut Value,
    given: &Value,
    others: &mut [Value],
) -> Outcome<Refused> {
    let fields = [
        "id",
        "locations",
        "locationsToAdd",
        "locationsToRemove",
        "zonesToCreate",
        "zonesToUpdate",
    ];
    let input = Input::of("DeliveryProfileLocationGroupInput", given, &fields)?;
    let ids = |name: &str| -> Vec<String> {
        let ids = input.list(name).unwrap_or_default().iter();
        ids.filter_map(|id| id.as_str().map(str::to_owned)).collect()
    };
    let mut held = group["locationGroup"]["locations"].as_array().cloned().unwrap_or_default();
    if input.get("locations").is_some() {
        held.clear();
    }
    let out = ids("locationsToRemove");
    let is = |entry: &Value, ids: &[String]| {
        target(entry).is_some_and(|gid| ids.contains(&gid.to_string()))
    };
    held.retain(|entry| !is(entry, &out));
    let added = [ids("locations"), ids("locationsToAdd")].concat();
    for id in &added {
        let gid = id.parse::<Gid>().ok().filter(|gid| gid.type_name() == "Location");
        let active = gid.and_then(|gid| shop.store.get(gid)).is_some_and(|l| l["isActive"] == true);
        let Some(gid) = gid.filter(|_| active) else {
            return Ok(wrong("The Location could not be found for this shop."));
        };
        held.retain(|entry| target(entry) != Some(gid));
        held.push(link(gid));
    }
    for other in others {
        if let Some(locations) = other["locationGroup"]["locations"].as_array_mut() {
            locations.retain(|entry| !is(entry, &added));
        }
    }
    group["locationGroup"]["locations"] = json!(held);
    write_zones(shop, group, &input)
}

fn write_zones(shop: &mut Shop, group: &mut Value, input: &Input<'_>) -> Outcome<Refused> {
    let mut zones = group["locationGroupZones"].as_array().cloned().unwrap_or_default();
    for given in input.list("zonesToUpdate").unwrap_or_default() {
        let Some(zone) = zones.iter_mut().find(|zone| zone["zone"]["id"] == given["id"]) else {
            return Ok(wrong("Zone not found"));
        };
        if let Err(error) = write_zone(shop, zone, given)? {
            return Ok(Err(error));
        }
    }
    for given in input.list("zonesToCreate").unwrap_or_default() {
        let mut zone = json!({
            "__typename": "DeliveryLocationGroupZone", "methodDefinitions": [],
            "zone": {
                "__typename": "DeliveryZone", "name": null, "countries": [],
                "id": shop.store.fresh("DeliveryZone").to_string(),
            },
        });
        if let Err(error) = write_zone(shop, &mut zone, given)? {
            return Ok(Err(error));
        }
        zones.push(zone);
    }
    let mut seen = HashSet::new();
    for zone in &zones {
        let countries = zone["zone"]["countries"].as_array().map(Vec::as_slice).unwrap_or_default();
        if countries.is_empty() {
            return Ok(wrong("Profile could not be saved: a zone has no countries."));
        }
        let places = countries.iter().flat_map(|country| {
            let code = country["code"].to_string();
            let provinces = country["provinces"].as_array().cloned().unwrap_or_default();
            let parts = provinces.into_iter().map(move |p| format!("{code} {}", p["code"]));
            let parts: Vec<String> = parts.collect();
            if parts.is_empty() { vec![country["code"].to_string()] } else { parts }
        });
        for place in places {
            if !seen.insert(place) {
                return Ok(wrong("Profile could not be saved: zones overlap."));
            }
        }
    }
    group["locationGroupZones"] = json!(zones);
    Ok(Ok(()))
}

fn write_zone(shop: &mut Shop, zone: &mut Value, given: &Value) -> Outcome<Refused> {
    let fields =
        ["id", "name", "countries", "methodDefinitionsToCreate", "methodDefinitionsToUpdate"];
    let input = Input::of("DeliveryLocationGroupZoneInput", given, &fields)?;
    input.copy(&mut zone["zone"], &[("name", "name")]);
    if let Some(countries) = input.list("countries") {
        zone["zone"]["countries"] = countries
            .iter()
            .map(|given| {
                let code = given["code"].as_str().filter(|_| given["restOfWorld"] != true);
                let all = given["includeAllProvinces"] == true;
                let provinces = given["provinces"].as_array().into_iter().flatten();
                let provinces = provinces.filter_map(|province| province["code"].as_str());
                country(shop, code, if all { None } else { Some(provinces.collect()) })
            })
            .collect();
    }
    let mut methods = zone["methodDefinitions"].as_array().cloned().unwrap_or_default();
    for given in input.list("methodDefinitionsToUpdate").unwrap_or_default() {
        let Some(method) = methods.iter_mut().find(|method| method["id"] == given["id"]) else {
            return Ok(wrong("Method definition not found"));
        };
        write_method(shop, method, given)?;
    }
    for given in input.list("methodDefinitionsToCreate").unwrap_or_default() {
        let mut method = json!({
            "__typename": "DeliveryMethodDefinition", "name": null, "description": null,
            "id": shop.store.fresh("DeliveryMethodDefinition").to_string(), "active": true,
            "methodConditions": [], "rateProvider": null,
        });
        write_method(shop, &mut method, given)?;
        if method["rateProvider"].is_null() {
            return Ok(wrong("A rate provider must be given."));
        }
        methods.push(method);
    }
    zone["methodDefinitions"] = json!(methods);
    Ok(Ok(()))
}

/// A country of a zone: rest of world without a code, with all of its provinces unless some are named.
pub(crate) fn country(shop: &mut Shop, code: Option<&str>, provinces: Option<Vec<&str>>) -> Value {
    let known = || words::provinces(code.unwrap_or_default());
    let provinces: Vec<Value> = provinces
        .unwrap_or_else(|| known().collect())
        .into_iter()
        .map(|province| {
            json!({
                "__typename": "DeliveryProvince", "code": province,
                "id": shop.store.fresh("DeliveryProvince").to_string(),
                "name": words::province(code.unwrap_or_default(), province),
            })
        })
        .collect();
    json!({
        "__typename": "DeliveryCountry", "id": shop.store.fresh("DeliveryCountry").to_string(),
        "name": code.and_then(words::country).unwrap_or("Rest of world"), "provinces": provinces,
        "code": {
            "__typename": "DeliveryCountryCodeOrRestOfWorld", "countryCode": code,
            "restOfWorld": code.is_none(),
        },
    })
}

fn write_method(shop: &mut Shop, method: &mut Value, given: &Value) -> Outcome<()> {
    let fields = [
        "id",
        "name",
        "description",
        "active",
        "rateDefinition",
        "priceConditionsToCreate",
        "weightConditionsToCreate",
    ];
    let input = Input::of("DeliveryMethodDefinitionInput", given, &fields)?;
    let same = ["name", "description", "active"];
    input.copy(method, &same.map(|name| (name, name)));
    if let Some(rate) = input.get("rateDefinition") {
        let held = method["rateProvider"]["id"].as_str().map(str::to_owned);
        let id = held.unwrap_or_else(|| shop.store.fresh("DeliveryRateDefinition").to_string());
        method["rateProvider"] = json!({
            "__typename": "DeliveryRateDefinition", "id": id, "price": money(&rate["price"]),
        });
    }
    let mut conditions = method["methodConditions"].as_array().cloned().unwrap_or_default();
    for (list, field) in
        [("priceConditionsToCreate", "TOTAL_PRICE"), ("weightConditionsToCreate", "TOTAL_WEIGHT")]
    {
        for given in input.list(list).unwrap_or_default() {
            let criteria = &given["criteria"];
            let criteria = match field {
                "TOTAL_PRICE" => money(criteria),
                _ => json!({
                    "__typename": "Weight", "unit": criteria["unit"], "value": criteria["value"],
                }),
            };
            conditions.push(json!({
                "__typename": "DeliveryCondition", "field": field, "operator": given["operator"],
                "id": shop.store.fresh("DeliveryCondition").to_string(),
                "conditionCriteria": criteria,
            }));
        }
    }
    method["methodConditions"] = json!(conditions);
    Ok(())
}

fn money(given: &Value) -> Value {
    let amount =
        given["amount"].as_str().map_or_else(|| given["amount"].to_string(), str::to_owned);
    json!({
        "__typename": "MoneyV2", "currencyCode": given["currencyCode"],
        "amount": cents(&amount).map(cents_to_decimal),
    })
}

/// The default profile stays; another one is gone once its job is done.
fn remove(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = find(shop, call) else {
        let error = UserError::new(&["id"], "The Delivery Profile cannot be found for the shop.");
        return failed("job", vec![error]);
    };
    if shop.store.get(gid).is_some_and(|profile| profile["default"] == true) {
        return failed("job", vec![UserError::new(&["id"], "Cannot delete the default profile.")]);
    }
    shop.remove(gid);
    shop.announce("profiles/delete", gid);
    let job = job(shop);
    answer("job", job, vec![])
}
