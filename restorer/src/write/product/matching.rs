//! Which of what the shop has is which of what history knows. Ids come first; what was made anew has
//! others, and is known by what it is: a variant by its option values, a picture by its file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::linked;
use crate::write::step::{list, text};
use crate::write::upload::is_named_after;
use crate::write::{Around, twin};

/// A wanted state in the ids of what is there.
pub(super) struct Matched {
    /// The state. What has an id that is not among those of now is to be made.
    pub(super) want: Value,
    /// History's gids → those of now, where they differ.
    pub(super) ids: BTreeMap<String, String>,
}

/// Finds what is wanted among what is there. `fresh` are media that were made by us just now.
pub(super) fn matched(now: &Value, want: &Value, fresh: &BTreeSet<String>) -> Matched {
    let mut want = want.clone();
    linked::call_as_now(now, &mut want);
    let mut ids = BTreeMap::new();
    let mut pair = |old: &str, new: &str| {
        if !old.is_empty() && !new.is_empty() && old != new {
            ids.insert(old.to_owned(), new.to_owned());
        }
    };
    pair(text(&want, "id"), text(now, "id"));
    for (old, new) in options(now, &want) {
        pair(text(old, "id"), text(new, "id"));
    }
    for (old, new) in variants(now, &want) {
        pair(text(old, "id"), text(new, "id"));
        pair(text(&old["inventoryItem"], "id"), text(&new["inventoryItem"], "id"));
    }
    for (old, new) in media(now, &want, fresh) {
        pair(text(old, "id"), text(new, "id"));
    }
    rewrite(&mut want, &ids);
    Matched { want, ids }
}

/// Lists of parts, and by what each is known that has another id.
type Parts = (&'static str, fn(&Value, &Value) -> bool);
const PARTS: [Parts; 3] =
    [("options", is_same_option), ("variants", is_same_variant), ("media", is_copy)];

/// Has a wanted state name what an earlier try made of the product, and did not live to tell of, by the ids of
/// that. Old gid → new gid.
pub(super) async fn take_up(
    around: &dyn Around,
    now: &Value,
    want: &mut Value,
) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::new();
    for parts in PARTS {
        ids.extend(twin::take_up(around, now, want, parts).await);
    }
    if !ids.is_empty() {
        rewrite(want, &ids);
    }
    ids
}

/// Puts present gids in the place of former ones, also in texts that are JSON.
pub(super) fn rewrite(value: &mut Value, ids: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(new) = ids.get(text.as_str()) {
                *text = new.clone();
            } else if text.starts_with(['[', '{']) && text.contains("gid://") {
                for (old, new) in ids {
                    *text = text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, ids)),
        Value::Object(members) => members.values_mut().for_each(|value| rewrite(value, ids)),
        _ => {}
    }
}

/// The element with an id.
pub(super) fn by_id<'a>(elements: &'a [Value], id: &str) -> Option<&'a Value> {
    elements.iter().find(|element| text(element, "id") == id)
}

type Pairs<'a> = Vec<(&'a Value, &'a Value)>;

/// Pairs of those with the same id, and of the rest of those that `is_same` finds.
fn pairs<'a>(
    now: &'a [Value],
    want: &'a [Value],
    is_same: impl Fn(&Value, &Value) -> bool,
) -> Pairs<'a> {
    let known: BTreeSet<&str> = want.iter().map(|element| text(element, "id")).collect();
    let there: BTreeSet<&str> = now.iter().map(|element| text(element, "id")).collect();
    let mut free: Vec<&Value> =
        now.iter().filter(|element| !known.contains(text(element, "id"))).collect();
    let mut pairs = Vec::new();
    for old in want.iter().filter(|element| !there.contains(text(element, "id"))) {
        if let Some(at) = free.iter().position(|new| is_same(old, new)) {
            pairs.push((old, free.remove(at)));
        }
    }
    // Their own ids are the same, those of what they own may not be.
    let same = want.iter().filter_map(|old| Some((old, by_id(now, text(old, "id"))?)));
    pairs.extend(same);
    pairs
}

fn options<'a>(now: &'a Value, want: &'a Value) -> Pairs<'a> {
    pairs(list(now, "options"), list(want, "options"), is_same_option)
}

fn is_same_option(old: &Value, new: &Value) -> bool {
    old["name"] == new["name"]
}

fn variants<'a>(now: &'a Value, want: &'a Value) -> Pairs<'a> {
    pairs(list(now, "variants"), list(want, "variants"), is_same_variant)
}

fn is_same_variant(old: &Value, new: &Value) -> bool {
    let chosen = list(old, "selectedOptions");
    !chosen.is_empty()
        && chosen.len() == list(new, "selectedOptions").len()
        && chosen.iter().all(|choice| list(new, "selectedOptions").contains(choice))
}

fn media<'a>(now: &'a Value, want: &'a Value, fresh: &BTreeSet<String>) -> Pairs<'a> {
    let (now, want) = (list(now, "media"), list(want, "media"));
    let mut found = pairs(now, want, is_copy);
    let is_paired = |element: &Value, found: &Pairs<'_>| {
        found.iter().any(|(old, new)| [*old, *new].contains(&element))
    };
    let unpaired = |of: &'a [Value], found: &Pairs<'_>| -> Vec<&'a Value> {
        of.iter().filter(|element| !is_paired(element, found)).collect()
    };
    let missing = unpaired(want, &found);
    let made: Vec<&Value> = unpaired(now, &found)
        .into_iter()
        .filter(|medium| fresh.contains(text(medium, "id")))
        .collect();
    // What was made together stands in the order in which it was asked for.
    if missing.len() == made.len() {
        found.extend(missing.into_iter().zip(made));
        return found;
    }
    let alike = |old: &Value, new: &Value| {
        old["alt"] == new["alt"] && old["mediaContentType"] == new["mediaContentType"]
    };
    let mut made = made;
    for old in missing {
        if let Some(at) = made.iter().position(|new| alike(old, new)) {
            found.push((old, made.remove(at)));
        }
    }
    found
}

/// Whether a medium was made of another's file: it is named after it, and says the same.
fn is_copy(old: &Value, new: &Value) -> bool {
    is_named_after(text(new, "url"), text(old, "url"))
        && old["alt"] == new["alt"]
        && old["mediaContentType"] == new["mediaContentType"]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variant(id: &str, value: &str) -> Value {
        json!({"id": id, "inventoryItem": {"id": format!("item-{id}")},
               "selectedOptions": [{"name": "Size", "value": value}], "mediaIds": ["m1"]})
    }

    #[test]
    fn what_was_made_anew_is_found_by_what_it_is() {
        let want = json!({
            "id": "p1", "options": [{"id": "o1", "name": "Size"}],
            "variants": [variant("v1", "S"), variant("v2", "M"), variant("v3", "L")],
            "media": [{"id": "m1", "alt": "a"}, {"id": "m2", "alt": "b"}],
            "metafields": [{"value": "[\"v1\",\"gid://x\"]"}, {"value": "v2"}],
        });
        let now = json!({
            "id": "p2", "options": [{"id": "o2", "name": "Size"}],
            "variants": [variant("v8", "M"), variant("v9", "S")],
            "media": [{"id": "n1", "alt": "a"}, {"id": "n2", "alt": "b"}],
        });
        let fresh = ["n1".to_owned(), "n2".to_owned()].into();
        let matched = matched(&now, &want, &fresh);
        let pairs: Vec<(&str, &str)> =
            matched.ids.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("item-v1", "item-v9"),
                ("item-v2", "item-v8"),
                ("m1", "n1"),
                ("m2", "n2"),
                ("o1", "o2"),
                ("p1", "p2"),
                ("v1", "v9"),
                ("v2", "v8"),
            ]
        );
        assert_eq!(matched.want["variants"][2]["id"], "v3", "that one is still to be made");
        assert_eq!(matched.want["variants"][2]["mediaIds"], json!(["n1"]));
        assert_eq!(matched.want["metafields"][0]["value"], "[\"v9\",\"gid://x\"]");
        assert_eq!(matched.want["metafields"][1]["value"], "v8");
    }

    #[test]
    fn a_strange_picture_is_not_taken_for_one_that_is_gone() {
        let medium = |id: &str, file: &str, alt: &str| json!({"id": id, "alt": alt, "mediaContentType": "IMAGE", "url": format!("https://cdn/{file}?v=1")});
        let want = json!({"id": "p", "media": [medium("m1", "Mug.jpg", "Mug")]});
        let found =
            |now: Value| matched(&json!({"id": "p", "media": [now]}), &want, &BTreeSet::new()).ids;
        let copy = "mug_0f8fad5b-d9cb-469f-a165-70867728950e.jpg";
        assert_eq!(found(medium("n1", copy, "Mug")), [("m1".into(), "n1".into())].into());
        assert_eq!(found(medium("n1", "mug.jpg", "Mug")), [("m1".into(), "n1".into())].into());
        assert_eq!(found(medium("n1", "mug-front.jpg", "Mug")), BTreeMap::new());
        assert_eq!(found(medium("n1", "mug.jpg", "SALE")), BTreeMap::new());
    }
}
