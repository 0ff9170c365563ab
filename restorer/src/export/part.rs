//! Parts of resources, such as variants: which of those here is which of the export's.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::write::upload::is_named_after;

/// Members by which parts of resources are recognised in another shop, the first that both have.
const KEYS: &[&[&str]] =
    &[&["sku"], &["namespace", "key"], &["selectedOptions"], &["name"], &["title"], &["alt"]];

/// Lists of what is no part of what lists it.
const OF_OTHERS: [&str; 7] = [
    "apps",
    "companyLocations",
    "markets",
    "prices",
    "productVariants",
    "products",
    "quantityRules",
];

/// The gids of a state's parts, which others may name.
pub(super) fn gids(state: &Value) -> impl Iterator<Item = &str> {
    let members = state.as_object().into_iter().flatten();
    let own = members.filter(|(name, _)| !OF_OTHERS.contains(&name.as_str()));
    let parts = own.filter_map(|(_, part)| part.as_array()).flatten();
    parts.flat_map(|part| [id(part), item(part)]).flatten()
}

/// Gids of parts, matched between the states of a resource in the export and in the shop. `made` says
/// which gid something of the export was given here, where that is known.
pub(super) fn matched(
    exported: &Value,
    now: &Value,
    made: &impl Fn(&str) -> Option<String>,
) -> HashMap<String, String> {
    let mut gids = HashMap::new();
    let (Value::Object(exported), Value::Object(now)) = (exported, now) else { return gids };
    for (name, list) in exported {
        let ours = now.get(name).and_then(Value::as_array);
        if let (Some(theirs), Some(ours)) = (list.as_array(), ours) {
            parts(theirs, ours, made, &mut gids);
        }
    }
    gids
}

/// Matches the elements of two lists that have other ids: by what is known of them, else by their
/// names.
fn parts(
    theirs: &[Value],
    ours: &[Value],
    made: &impl Fn(&str) -> Option<String>,
    gids: &mut HashMap<String, String>,
) {
    let mut free: BTreeSet<usize> = (0..ours.len()).collect();
    free.retain(|n| !theirs.iter().any(|part| id(part).is_some() && id(part) == id(&ours[*n])));
    let unmatched = theirs.iter().filter(|part| !ours.iter().any(|our| id(our) == id(part)));
    let mut unmatched: Vec<&Value> = unmatched.collect();
    let places: HashMap<&str, usize> =
        free.iter().filter_map(|n| Some((id(&ours[*n])?, *n))).collect();
    unmatched.retain(|part| {
        let place = id(part).and_then(made).and_then(|gid| places.get(gid.as_str()).copied());
        let Some(place) = place.filter(|n| free.remove(n)) else { return true };
        pair(part, &ours[place], gids);
        false
    });
    for part in unmatched {
        let found = free.iter().find(|n| is_same(part, &ours[**n])).copied();
        let Some(found) = found else { continue };
        free.remove(&found);
        pair(part, &ours[found], gids);
    }
}

fn pair(their: &Value, our: &Value, gids: &mut HashMap<String, String>) {
    // A variant's inventory item goes with it.
    for of in [id, item] {
        if let (Some(old), Some(new)) = (of(their), of(our)) {
            gids.insert(old.into(), new.into());
        }
    }
}

/// Whether two parts are the same thing: by their names, or by the files that they were made of.
fn is_same(their: &Value, our: &Value) -> bool {
    let named = KEYS.iter().find_map(|key| same_by(key, their, our)) == Some(true);
    named || is_copy(their, our)
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
}
