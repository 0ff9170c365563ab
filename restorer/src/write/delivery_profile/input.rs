//! What a delivery profile is, as mutations take it, a piece at a time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::write::step::{list, text, written};
use crate::write::{Around, crud, twin};

/// So many zones go into one request, as Shopify recommends.
const ZONES_MAX: usize = 5;

/// Wanted things, each with the one that is there, and what is there and not wanted.
struct Pairs<'a> {
    pairs: Vec<(Option<&'a Value>, &'a Value)>,
    extra: Vec<&'a Value>,
}

impl<'a> Pairs<'a> {
    /// Those that are there: what is there, and what is wanted.
    fn found(self) -> impl Iterator<Item = (&'a Value, &'a Value)> {
        self.pairs.into_iter().filter_map(|(there, wanted)| Some((there?, wanted)))
    }
}

/// Pairs by id, and what is left by what it is like.
fn paired<'a>(
    there: &'a [Value],
    wanted: &'a [Value],
    alike: impl Fn(&Value, &Value) -> bool,
) -> Pairs<'a> {
    let mut extra: Vec<&Value> = there.iter().collect();
    let mut take = |is: &dyn Fn(&Value) -> bool| {
        let at = extra.iter().position(|one| is(one))?;
        Some(extra.remove(at))
    };
    let mut pairs: Vec<(Option<&Value>, &Value)> =
        wanted.iter().map(|one| (take(&|there| there["id"] == one["id"]), one)).collect();
    for (there, wanted) in pairs.iter_mut().filter(|(there, _)| there.is_none()) {
        *there = take(&|there| alike(there, wanted));
    }
    Pairs { pairs, extra }
}

const GROUPS: &str = "profileLocationGroups";
const ZONES: &str = "zones";
const METHODS: &str = "methodDefinitions";

fn groups<'a>(now: &'a Value, want: &'a Value) -> Pairs<'a> {
    paired(list(now, GROUPS), list(want, GROUPS), is_same_group)
}

/// A location is in one group of a profile only.
fn is_same_group(there: &Value, wanted: &Value) -> bool {
    let locations = list(wanted, "locations");
    list(there, "locations").iter().any(|location| locations.contains(location))
}

fn zones<'a>(now: &'a Value, want: &'a Value) -> Pairs<'a> {
    paired(list(now, ZONES), list(want, ZONES), is_same_zone)
}

fn is_same_zone(there: &Value, wanted: &Value) -> bool {
    there["name"] == wanted["name"]
}

fn methods<'a>(now: &'a Value, want: &'a Value) -> Pairs<'a> {
    paired(list(now, METHODS), list(want, METHODS), is_same_method)
}

/// Rates of one zone may have the same name, and then differ in their conditions.
fn is_same_method(there: &Value, wanted: &Value) -> bool {
    is_as(there, wanted) && there["name"] == wanted["name"]
}

/// Has a wanted profile name groups, zones and rates that an earlier try made, and did not live to tell of, by
/// the ids that they have. Old gid → new gid.
pub(super) async fn take_up(
    around: &dyn Around,
    now: &Value,
    want: &mut Value,
) -> BTreeMap<String, String> {
    let mut ids = twin::take_up(around, now, want, (GROUPS, is_same_group)).await;
    for (there, group) in kept(now, want, GROUPS) {
        ids.extend(twin::take_up(around, there, group, (ZONES, is_same_zone)).await);
        for (there, zone) in kept(there, group, ZONES) {
            let method = |wanted: &Value, there: &Value| is_same_method(there, wanted);
            ids.extend(twin::take_up(around, there, zone, (METHODS, method)).await);
        }
    }
    ids
}

/// What is wanted in a list and is there, with how it is there.
fn kept<'a>(
    now: &'a Value,
    want: &'a mut Value,
    member: &str,
) -> impl Iterator<Item = (&'a Value, &'a mut Value)> {
    let known = list(now, member);
    let wanted = want.get_mut(member).and_then(Value::as_array_mut).into_iter().flatten();
    wanted.filter_map(move |one| {
        let there = known.iter().find(|there| there["id"] == one["id"])?;
        Some((there, one))
    })
}

/// Whether one rate can become the other: conditions and the sort of rate are for ever.
fn is_as(there: &Value, wanted: &Value) -> bool {
    is_carriers(there) == is_carriers(wanted)
        && !is_carriers(wanted)
        && there["methodConditions"] == wanted["methodConditions"]
        || bare(there) == bare(wanted)
}

/// Whether a carrier says the rate.
fn is_carriers(method: &Value) -> bool {
    method["rateProvider"].get("price").is_none()
}

fn bare(method: &Value) -> Value {
    let mut method = method.clone();
    method["id"] = Value::Null;
    method["rateProvider"]["id"] = Value::Null;
    method
}

/// What is sent next to make the first become the second; nothing, where nothing is left.
pub(super) fn next(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = crud::differing(now, want, &["name"]);
    if !want[GROUPS].is_array() {
        return input;
    }
    let mut gone = Gone::default();
    let (mut made, mut edited, mut left) = (Vec::new(), Vec::new(), ZONES_MAX);
    let groups = groups(now, want);
    gone.groups.extend(groups.extra.iter().map(|group| group["id"].clone()));
    for (there, wanted) in groups.pairs {
        match there {
            Some(there) => {
                let group = edited_group(there, wanted, &mut gone, &mut left);
                edited.extend(group);
            }
            None if left > 0 => made.push(new_group(wanted, &mut left)),
            None => {}
        }
    }
    for (name, values) in [
        ("locationGroupsToDelete", gone.groups),
        ("zonesToDelete", gone.zones),
        ("methodDefinitionsToDelete", gone.methods),
        ("locationGroupsToUpdate", edited),
        ("locationGroupsToCreate", made),
    ] {
        if !values.is_empty() {
            input.insert(name.into(), values.into());
        }
    }
    input
}

#[derive(Default)]
struct Gone {
    groups: Vec<Value>,
    zones: Vec<Value>,
    methods: Vec<Value>,
}

fn new_group(wanted: &Value, left: &mut usize) -> Value {
    let zones = list(wanted, "zones").iter().take(*left);
    let zones: Vec<Value> = zones.map(new_zone).collect();
    *left -= zones.len();
    let locations: Vec<&Value> =
        list(wanted, "locations").iter().map(|location| &location["id"]).collect();
    json!({"locations": locations, "zonesToCreate": zones})
}

fn edited_group(there: &Value, wanted: &Value, gone: &mut Gone, left: &mut usize) -> Option<Value> {
    let mut group = Map::new();
    let apart = |from: &Value, other: &Value| -> Vec<Value> {
        let others = list(other, "locations");
        let apart = list(from, "locations").iter().filter(|location| !others.contains(location));
        apart.map(|location| location["id"].clone()).collect()
    };
    let pairs = zones(there, wanted);
    gone.zones.extend(pairs.extra.iter().map(|zone| zone["id"].clone()));
    let (mut made, mut edited) = (Vec::new(), Vec::new());
    for (there, wanted) in pairs.pairs {
        if *left == 0 {
            break;
        }
        let before = edited.len() + made.len();
        match there {
            Some(there) => edited.extend(edited_zone(there, wanted, gone)),
            None => made.push(new_zone(wanted)),
        }
        *left -= edited.len() + made.len() - before;
    }
    for (name, values) in [
        ("locationsToAdd", apart(wanted, there)),
        ("locationsToRemove", apart(there, wanted)),
        ("zonesToUpdate", edited),
        ("zonesToCreate", made),
    ] {
        if !values.is_empty() {
            group.insert(name.into(), values.into());
        }
    }
    if group.is_empty() {
        return None;
    }
    group.insert("id".into(), there["id"].clone());
    Some(group.into())
}

fn new_zone(wanted: &Value) -> Value {
    let methods: Vec<Value> = list(wanted, "methodDefinitions").iter().map(new_method).collect();
    json!({
        "name": wanted["name"], "countries": countries(wanted),
        "methodDefinitionsToCreate": methods,
    })
}

fn edited_zone(there: &Value, wanted: &Value, gone: &mut Gone) -> Option<Value> {
    let mut zone = crud::differing(there, wanted, &["name"]);
    if there["countries"] != wanted["countries"] {
        zone.insert("countries".into(), countries(wanted));
    }
    let pairs = methods(there, wanted);
    gone.methods.extend(pairs.extra.iter().map(|method| method["id"].clone()));
    let (mut made, mut edited) = (Vec::new(), Vec::new());
    for (there, wanted) in pairs.pairs {
        match there {
            Some(there) if is_as(there, wanted) => edited.extend(edited_method(there, wanted)),
            Some(there) => {
                gone.methods.push(there["id"].clone());
                made.push(new_method(wanted));
            }
            None => made.push(new_method(wanted)),
        }
    }
    for (name, methods) in
        [("methodDefinitionsToUpdate", edited), ("methodDefinitionsToCreate", made)]
    {
        if !methods.is_empty() {
            zone.insert(name.into(), methods.into());
        }
    }
    if zone.is_empty() {
        // What goes is named for the whole profile.
        return None;
    }
    zone.insert("id".into(), there["id"].clone());
    Some(zone.into())
}

/// Countries of a zone. One without provinces has none, or is meant with all of them.
fn countries(zone: &Value) -> Value {
    let country = |country: &Value| {
        if country["code"] == "REST_OF_WORLD" {
            return json!({"restOfWorld": true});
        }
        let provinces: Vec<Value> =
            list(country, "provinces").iter().map(|code| json!({"code": code})).collect();
        match provinces.is_empty() {
            true => json!({"code": country["code"], "includeAllProvinces": true}),
            false => json!({"code": country["code"], "provinces": provinces}),
        }
    };
    list(zone, "countries").iter().map(country).collect()
}

fn new_method(wanted: &Value) -> Value {
    let mut method = crud::present(wanted, &["name", "description", "active"]);
    let rate = &wanted["rateProvider"];
    match is_carriers(wanted) {
        false => {
            method.insert("rateDefinition".into(), json!({"price": money(&rate["price"])}));
        }
        true => {
            let mut participant =
                crud::present(rate, &["percentageOfRateFee", "participantServices"]);
            participant.insert("carrierServiceId".into(), rate["carrierService"]["id"].clone());
            if rate["adaptToNewServicesFlag"].is_boolean() {
                let adapts = rate["adaptToNewServicesFlag"].clone();
                participant.insert("adaptToNewServices".into(), adapts);
            }
            if rate["fixedFee"].is_object() {
                participant.insert("fixedFee".into(), money(&rate["fixedFee"]));
            }
            method.insert("participant".into(), participant.into());
        }
    }
    for (field, name) in
        [("TOTAL_PRICE", "priceConditionsToCreate"), ("TOTAL_WEIGHT", "weightConditionsToCreate")]
    {
        let of_field =
            list(wanted, "methodConditions").iter().filter(|condition| condition["field"] == field);
        let conditions: Vec<Value> = of_field
            .map(|condition| {
                let criteria = &condition["conditionCriteria"];
                let criteria = match field {
                    "TOTAL_PRICE" => money(criteria),
                    _ => json!({"unit": criteria["unit"], "value": criteria["value"]}),
                };
                json!({"operator": condition["operator"], "criteria": criteria})
            })
            .collect();
        if !conditions.is_empty() {
            method.insert(name.into(), conditions.into());
        }
    }
    method.into()
}

fn edited_method(there: &Value, wanted: &Value) -> Option<Value> {
    let mut method = crud::differing(there, wanted, &["name", "active"]);
    if there["description"] != wanted["description"] && wanted.get("description").is_some() {
        method.insert("description".into(), written(&wanted["description"]));
    }
    let (was, rate) = (&there["rateProvider"], &wanted["rateProvider"]);
    if rate["price"] != was["price"] {
        let mut definition = json!({"price": money(&rate["price"])});
        if was["id"].is_string() {
            definition["id"] = was["id"].clone();
        }
        method.insert("rateDefinition".into(), definition);
    }
    if method.is_empty() {
        return None;
    }
    method.insert("id".into(), there["id"].clone());
    Some(method.into())
}

fn money(amount: &Value) -> Value {
    json!({"amount": amount["amount"], "currencyCode": amount["currencyCode"]})
}

/// Whether everything that is there is wanted.
pub(super) fn is_part(there: &Value, want: &Value) -> bool {
    let groups = groups(there, want);
    groups.extra.is_empty()
        && groups.pairs.iter().all(|(there, wanted)| {
            let Some(there) = there else { return true };
            let zones = zones(there, wanted);
            let methods_too = |(there, wanted): &(Option<&Value>, &Value)| {
                there.is_none_or(|there| methods(there, wanted).extra.is_empty())
            };
            zones.extra.is_empty() && zones.pairs.iter().all(methods_too)
        })
}

/// Old gid → new gid of groups, zones, methods and rates that are there under another one.
pub(super) fn renamed(there: &Value, want: &Value) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    let mut note = |there: &Value, wanted: &Value| {
        let (old, new) = (text(wanted, "id"), text(there, "id"));
        if old != new && !old.is_empty() && !new.is_empty() {
            ids.insert(old.to_owned(), new.to_owned());
        }
    };
    for (there, wanted) in groups(there, want).found() {
        note(there, wanted);
        for (there, wanted) in zones(there, wanted).found() {
            note(there, wanted);
            for (there, wanted) in methods(there, wanted).found() {
                note(there, wanted);
                note(&there["rateProvider"], &wanted["rateProvider"]);
            }
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(id: &str, name: &str, price: &str) -> Value {
        json!({
            "id": id, "name": name, "description": null, "active": true, "methodConditions": [],
            "rateProvider": {"id": format!("r-{id}"), "price": {"amount": price, "currencyCode": "USD"}},
        })
    }

    fn profile(zones: Value) -> Value {
        json!({"name": "Heavy", "profileLocationGroups": [
            {"id": "g", "locations": [{"id": "l1"}], "zones": zones}]})
    }

    fn zone(id: &str, name: &str, methods: Value) -> Value {
        json!({"id": id, "name": name, "methodDefinitions": methods,
               "countries": [{"code": "CA", "provinces": ["ON"]}]})
    }

    #[test]
    fn only_what_differs_is_sent() {
        let now = profile(json!([
            zone("z1", "Home", json!([rate("m1", "Slow", "5.00"), rate("m9", "Spam", "0.01")])),
            zone("z9", "Nowhere", json!([])),
        ]));
        let want = profile(json!([zone(
            "z1",
            "Home",
            json!([rate("m1", "Slow", "4.00"), rate("m2", "Fast", "9.00")])
        ),]));
        let sent = Value::Object(next(&now, &want));
        let price = |amount: &str| json!({"amount": amount, "currencyCode": "USD"});
        let expected = json!({
            "zonesToDelete": ["z9"], "methodDefinitionsToDelete": ["m9"],
            "locationGroupsToUpdate": [{"id": "g", "zonesToUpdate": [{
                "id": "z1",
                "methodDefinitionsToUpdate": [
                    {"id": "m1", "rateDefinition": {"id": "r-m1", "price": price("4.00")}}],
                "methodDefinitionsToCreate": [
                    {"name": "Fast", "active": true, "rateDefinition": {"price": price("9.00")}}],
            }]}],
        });
        assert_eq!(sent, expected);
        assert!(next(&want, &want).is_empty());
    }

    #[test]
    fn zones_go_a_few_at_a_time_and_what_was_made_is_recognised() {
        let many: Vec<Value> =
            (0..7).map(|n| zone(&format!("old-{n}"), &format!("Zone {n}"), json!([]))).collect();
        let want = profile(json!(many));
        let first = next(&json!({"profileLocationGroups": []}), &want);
        let made = &first["locationGroupsToCreate"][0];
        assert_eq!(made["zonesToCreate"].as_array().map(Vec::len), Some(5));
        let five: Vec<Value> =
            (0..5).map(|n| zone(&format!("new-{n}"), &format!("Zone {n}"), json!([]))).collect();
        let mut now = profile(json!(five));
        now["profileLocationGroups"][0]["id"] = json!("g-new");
        assert!(is_part(&now, &want));
        assert!(!is_part(&want, &now));
        let second = Value::Object(next(&now, &want));
        let group = &second["locationGroupsToUpdate"][0];
        assert_eq!(group["zonesToCreate"].as_array().map(Vec::len), Some(2));
        assert_eq!(group["id"], "g-new");
        let ids = renamed(&now, &want);
        assert_eq!((ids.len(), ids["g"].as_str(), ids["old-4"].as_str()), (6, "g-new", "new-4"));
    }
}
