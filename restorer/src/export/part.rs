//! Parts of resources, such as variants, and their parts: which of those here is which of the export's.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::write::upload::is_named_after;

/// Members by which parts of resources are recognised in another shop, the first that both have.
const KEYS: &[&[&str]] =
    &[&["sku"], &["namespace", "key"], &["selectedOptions"], &["name"], &["title"], &["alt"]];

/// Lists of what is no part of what lists it.
const OF_OTHERS: [&str; 13] = [
    "apps",
    "collections",
    "companyLocations",
    "customers",
    "locations",
    "markets",
    "prices",
    "productVariants",
    "products",
    "publications",
    "quantityRules",
    "segments",
    "webPresences",
];

/// Parts of which whatever has them has one.
const ONE_EACH: [&str; 2] = ["inventoryItem", "rateProvider"];

/// What Shopify gives each part anew.
const NEW: [&str; 3] = ["id", "createdAt", "updatedAt"];

/// The gids of a state's parts, which others may name.
pub(super) fn gids(state: &Value) -> impl Iterator<Item = &str> {
    let members = state.as_object().into_iter().flatten();
    let own = members.filter(|(name, _)| !OF_OTHERS.contains(&name.as_str()));
    let parts = own.filter_map(|(_, part)| part.as_array()).flatten();
    parts.flat_map(|part| [id(part), item(part)]).flatten()
}

/// Gids of parts, and of their parts, matched between the states of a resource in the export and in the
/// shop. `made` says which gid something of the export was given here, where that is known.
pub(super) fn matched(
    exported: &Value,
    now: &Value,
    made: &impl Fn(&str) -> Option<String>,
) -> HashMap<String, String> {
    let mut gids = HashMap::new();
    within(exported, now, made, &mut gids);
    gids
}

/// Matches what two objects hold.
fn within(
    their: &Value,
    our: &Value,
    made: &impl Fn(&str) -> Option<String>,
    gids: &mut HashMap<String, String>,
) {
    let (Value::Object(theirs), Value::Object(ours)) = (their, our) else { return };
    for (name, their) in theirs {
        let name = name.as_str();
        match (their, ours.get(name)) {
            _ if OF_OTHERS.contains(&name) => {}
            (Value::Array(theirs), Some(Value::Array(ours))) => parts(theirs, ours, made, gids),
            (_, Some(our)) if ONE_EACH.contains(&name) => pair(their, our, made, gids),
            (_, Some(our)) => within(their, our, made, gids),
            (_, None) => {}
        }
    }
}

/// Matches the elements of two lists: by the ids of here that they have already, by what is known of
/// them, else by their names.
fn parts(
    theirs: &[Value],
    ours: &[Value],
    made: &impl Fn(&str) -> Option<String>,
    gids: &mut HashMap<String, String>,
) {
    let places: HashMap<&str, usize> =
        ours.iter().enumerate().filter_map(|(n, our)| Some((id(our)?, n))).collect();
    let mut free: BTreeSet<usize> = places.values().copied().collect();
    let mut unmatched: Vec<&Value> = theirs.iter().filter(|part| id(part).is_some()).collect();
    for is_known in [true, false] {
        unmatched.retain(|part| {
            let here = id(part).and_then(|gid| match is_known {
                true => Some(gid.to_owned()),
                false => made(gid),
            });
            let place = here.and_then(|gid| places.get(gid.as_str()).copied());
            let Some(place) = place.filter(|n| free.remove(n)) else { return true };
            pair(part, &ours[place], made, gids);
            false
        });
    }
    for part in unmatched {
        let found = free.iter().find(|n| is_same(part, &ours[**n])).copied();
        let Some(found) = found else { continue };
        free.remove(&found);
        pair(part, &ours[found], made, gids);
    }
}

fn pair(
    their: &Value,
    our: &Value,
    made: &impl Fn(&str) -> Option<String>,
    gids: &mut HashMap<String, String>,
) {
    if let (Some(old), Some(new)) = (id(their), id(our))
        && old != new
    {
        gids.insert(old.into(), new.into());
    }
    within(their, our, made, gids);
}

/// Whether two parts are the same thing: by their names, by the files that they were made of, or where
/// nothing names them by what they say.
fn is_same(their: &Value, our: &Value) -> bool {
    let named = KEYS.iter().find_map(|key| same_by(key, their, our));
    named.unwrap_or_else(|| is_alike(their, our)) || is_copy(their, our)
}

/// Whether two parts say the same. A group of locations is the one that has one of these.
fn is_alike(their: &Value, our: &Value) -> bool {
    let locations = |part: &Value| part.get("locations").and_then(Value::as_array).cloned();
    if let (Some(theirs), Some(ours)) = (locations(their), locations(our)) {
        return theirs.iter().any(|location| ours.contains(location));
    }
    let says = |part: &Value| -> Map<String, Value> {
        let members = part.as_object().into_iter().flatten();
        let said =
            members.filter(|(name, value)| !NEW.contains(&name.as_str()) && !value.is_null());
        said.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let said = says(their);
    !said.is_empty() && said == says(our)
}

/// Whether a medium was made of another's file, and says the same.
fn is_copy(their: &Value, our: &Value) -> bool {
    let same = |name: &str| their.get(name) == our.get(name);
    let url = |part: &Value| part.get("url").and_then(Value::as_str).map(str::to_owned);
    let (Some(former), Some(is)) = (url(their), url(our)) else { return false };
    their.get("mediaContentType").is_some()
        && same("mediaContentType")
        && same("alt")
        && is_named_after(&is, &former)
}

/// Whether two parts have the same name; `None` where they have no such members.
fn same_by(key: &[&str], a: &Value, b: &Value) -> Option<bool> {
    let told = |part: &Value| {
        key.iter().all(|name| part.get(name).is_some_and(|v| !v.is_null() && *v != ""))
    };
    (told(a) && told(b)).then(|| key.iter().all(|name| a.get(name) == b.get(name)))
}

fn id(part: &Value) -> Option<&str> {
    part.get("id")?.as_str()
}

fn item(part: &Value) -> Option<&str> {
    part.pointer("/inventoryItem/id")?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_import_made_is_known_by_that_and_pictures_by_their_files() {
        let medium = |id: &str, file: &str| {
            json!({"id": id, "mediaContentType": "IMAGE", "alt": null,
                   "url": format!("https://cdn/{file}")})
        };
        let theirs = json!({"media": [medium("a", "mug.png"), medium("b", "1.png")]});
        let ours =
            json!({"media": [medium("y", "1.png"), medium("x", "mug.png"), medium("z", "2.png")]});
        let pairs = |made: &dyn Fn(&str) -> Option<String>| {
            let mut pairs: Vec<_> = matched(&theirs, &ours, &made).into_iter().collect();
            pairs.sort();
            pairs
        };
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        assert_eq!(pairs(&|_| None), [pair("a", "x"), pair("b", "y")]);
        let made = |gid: &str| (gid == "b").then(|| "z".to_owned());
        assert_eq!(pairs(&made), [pair("a", "x"), pair("b", "z")]);
    }

    #[test]
    fn parts_of_parts_are_matched_and_what_belongs_to_others_is_not() {
        let menu = |top: &str, below: &str| {
            let items = json!([{"id": below, "title": "Edit", "items": []}]);
            json!({"items": [{"id": top, "title": "Shop", "items": items}]})
        };
        let pairs = |theirs: &Value, ours: &Value| {
            let mut pairs: Vec<_> = matched(theirs, ours, &|_| None).into_iter().collect();
            pairs.sort();
            pairs
        };
        let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
        let both = [pair("a", "x"), pair("b", "y")];
        assert_eq!(pairs(&menu("a", "b"), &menu("x", "y")), both);
        assert_eq!(pairs(&menu("x", "b"), &menu("x", "y")), [pair("b", "y")]);
        let profile = |group: &str, rate: &str, price: &str| {
            let provider = json!({"id": rate, "price": price});
            let method =
                json!({"id": format!("m-{rate}"), "name": "Slow", "rateProvider": provider});
            let zone =
                json!({"id": format!("z-{rate}"), "name": "Home", "methodDefinitions": [method]});
            let group = json!({"id": group, "locations": [{"id": "l"}], "zones": [zone]});
            json!({"profileLocationGroups": [group]})
        };
        let found = [pair("g", "h"), pair("m-r", "m-s"), pair("r", "s"), pair("z-r", "z-s")];
        assert_eq!(pairs(&profile("g", "r", "5"), &profile("h", "s", "6")), found);
        let region = |id: &str| json!({"regions": [{"id": id, "name": "Canada", "code": "CA"}]});
        let market = |id: &str| json!({"conditions": {"regionsCondition": region(id)}});
        assert_eq!(pairs(&market("a"), &market("b")), [pair("a", "b")]);
        let address = |id: &str, city: &str| json!({"id": id, "city": city, "createdAt": id});
        let theirs = json!({"addresses": [address("a", "Porto"), address("b", "Faro")]});
        let ours = json!({"addresses": [address("y", "Faro"), address("x", "Porto")]});
        assert_eq!(pairs(&theirs, &ours), both);
        let prices = |variant: &str| json!({"prices": [{"id": variant, "amount": "5.00"}]});
        assert!(pairs(&prices("a"), &prices("b")).is_empty());
    }
}
