//! What is not told is not known, which is something else than "none".
//!
//! A state is the union of what several sources told, and each tells what it can: a webhook names
//! the hundred-and-first variant by its id only, and metafields are known from the first pull on. A
//! canonical state says `null` for "none" and leaves out what it was not told. So a member that only
//! one of two states has did not change between them.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::diff::{identity, label};
use crate::merge::{self, FieldPath};

/// The member that names the bytes of a picture or a file, beside what says which ones those are.
pub const BYTES: &str = "blob";
/// What says which ones those are.
const SAY_WHICH: [&str; 2] = ["url", "checksumMd5"];
/// What a rule of a collection says, which has no name: on which metafield it is was not always told.
const RULE: [&str; 3] = ["column", "relation", "condition"];

/// Gives each of two states what only the other one tells, so that between them differs what
/// changed and nothing else. Elements that only one of two lists has did change: a list is told as
/// a whole. So did an object that shares no member with what stands in its place.
pub fn align(before: &mut Value, after: &mut Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => members(before, after),
        (Value::Array(before), Value::Array(after)) => elements(before, after),
        _ => {}
    }
}

/// Whether two states are the same, as far as both tell.
pub fn is_same(one: &Value, other: &Value) -> bool {
    let (mut one, mut other) = (one.clone(), other.clone());
    align(&mut one, &mut other);
    one == other
}

fn members(before: &mut Map<String, Value>, after: &mut Map<String, Value>) {
    if !before.keys().any(|name| after.contains_key(name)) {
        return;
    }
    let same_bytes = SAY_WHICH.iter().all(|name| before.get(*name) == after.get(*name));
    let may_be = |name: &str| same_bytes || name != BYTES;
    for (name, value) in before.iter_mut() {
        match after.get_mut(name) {
            Some(other) => align(value, other),
            None if may_be(name) => drop(after.insert(name.clone(), value.clone())),
            None => {}
        }
    }
    for (name, value) in after {
        if !before.contains_key(name) && may_be(name) {
            before.insert(name.clone(), value.clone());
        }
    }
}

/// Whether two objects say that they are of the same bytes.
pub fn is_of_same_bytes(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let says = |name: &&str| one.get(*name).is_some_and(|value| !value.is_null());
    let same = |name: &str| one.get(name) == other.get(name);
    SAY_WHICH.iter().any(says) && SAY_WHICH.iter().all(|name| same(name))
}

/// The bytes that a field names in a state, where another one has the same address there.
pub fn bytes_at<'s>(path: &FieldPath, state: &'s Value, same_as: &Value) -> Option<&'s Value> {
    let (here, there) = (around(path, state)?, around(path, same_as)?);
    here.get(BYTES).filter(|bytes| bytes.is_string() && is_of_same_bytes(here, there))
}

/// Whether a field is to name the bytes of something in a state of which they are not known.
pub fn is_unknown(path: &FieldPath, state: &Value) -> bool {
    let unknown = |here: &Map<String, Value>| {
        is_of_same_bytes(here, here) && !here.get(BYTES).is_some_and(Value::is_string)
    };
    around(path, state).is_some_and(unknown)
}

/// What stands around a field that names bytes.
fn around<'s>(path: &FieldPath, state: &'s Value) -> Option<&'s Map<String, Value>> {
    let (around, name) = path.as_str().rsplit_once('/')?;
    let around = FieldPath::parse(around).filter(|_| name == BYTES)?;
    merge::get(state, &around)?.as_object()
}

/// Whether a field names other bytes at the same address: they were replaced where they are.
pub fn is_replaced(path: &FieldPath, [one, other]: [&Value; 2]) -> bool {
    let bytes = bytes_at(path, one, other).zip(bytes_at(path, other, one));
    bytes.is_some_and(|(one, other)| one != other)
}

fn elements(before: &mut [Value], after: &mut [Value]) {
    let Some(by) = identity(&[before, after]) else {
        rules(before, after);
        return;
    };
    let mut others: HashMap<String, &mut Value> =
        after.iter_mut().map(|other| (label(other, by), other)).collect();
    for one in before {
        if let Some(other) = others.get_mut(&label(one, by)) {
            align(one, other);
        }
    }
}

/// Rules that say the same are the same rule, the first of them the first.
fn rules(before: &mut [Value], after: &mut [Value]) {
    let mut left: Vec<&mut Value> = after.iter_mut().filter(|other| is_rule(other)).collect();
    for one in before.iter_mut().filter(|one| is_rule(one)) {
        if let Some(same) = left.iter().position(|other| is_same_rule(one, other)) {
            align(one, left.remove(same));
        }
    }
}

/// No list of plain values is one of rules: some have tens of thousands.
fn is_rule(value: &Value) -> bool {
    RULE.iter().all(|name| value.get(*name).is_some())
}

fn is_same_rule(one: &Value, other: &Value) -> bool {
    RULE.iter().all(|name| one.get(*name) == other.get(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(mut before: Value, mut after: Value, same: [Value; 2]) {
        align(&mut before, &mut after);
        assert_eq!([before, after], same);
    }

    #[test]
    fn what_only_one_side_tells_did_not_change() {
        check(
            json!({"title": "Mug", "seo": {"title": null}}),
            json!({"title": "Cup", "seo": {"title": "x", "text": "y"}, "metafields": [1]}),
            [
                json!({"title": "Mug", "seo": {"title": null, "text": "y"}, "metafields": [1]}),
                json!({"title": "Cup", "seo": {"title": "x", "text": "y"}, "metafields": [1]}),
            ],
        );
    }

    #[test]
    fn a_variant_that_was_only_named_is_the_same_variant() {
        check(
            json!({"variants": [{"id": "a", "price": "1"}, {"id": "b", "price": "2"}]}),
            json!({"variants": [{"id": "b"}, {"id": "c", "price": "3"}]}),
            [
                json!({"variants": [{"id": "a", "price": "1"}, {"id": "b", "price": "2"}]}),
                json!({"variants": [{"id": "b", "price": "2"}, {"id": "c", "price": "3"}]}),
            ],
        );
    }

    #[test]
    fn a_rule_that_did_not_say_its_metafield_is_the_same_rule() {
        let rule = |condition: &str, of: Option<&str>| {
            let mut rule = json!({"column": "PRODUCT_METAFIELD_DEFINITION", "relation": "EQUALS",
                                  "condition": condition});
            if let Some(of) = of {
                rule["conditionObjectId"] = of.into();
            }
            rule
        };
        // Two metafields may have the same value.
        let untold = json!([rule("oak", None), rule("yes", None), rule("yes", None)]);
        let told = json!([rule("oak", Some("a")), rule("yes", Some("b")), rule("yes", Some("c"))]);
        check(untold, told.clone(), [told.clone(), told.clone()]);
        assert!(is_same(&json!([rule("oak", None)]), &json!([rule("oak", Some("a"))])));
        assert!(!is_same(&json!([rule("oak", None)]), &json!([rule("elm", Some("a"))])));
        assert!(!is_same(&json!([rule("oak", Some("b"))]), &json!([rule("oak", Some("a"))])));
        // One was added: what the other one is on is learned all the same.
        let two = json!([rule("elm", Some("b")), rule("oak", Some("a"))]);
        check(json!([rule("oak", None)]), two.clone(), [json!([rule("oak", Some("a"))]), two]);
    }

    #[test]
    fn the_bytes_of_one_picture_are_not_those_of_another() {
        let one = json!({"image": {"url": "https://c/a.png", "blob": "aa"}});
        let other = json!({"image": {"url": "https://c/b.png"}});
        check(one.clone(), other.clone(), [one.clone(), other]);
        let same = json!({"image": {"url": "https://c/a.png"}});
        check(same, one.clone(), [one.clone(), one]);
    }

    #[test]
    fn bytes_are_replaced_where_the_address_stays_and_both_are_known() {
        let of = |file: &str, blob: Option<&str>| {
            let mut image = json!({"id": "m", "url": format!("https://c/{file}.png")});
            if let Some(blob) = blob {
                image["blob"] = json!(blob);
            }
            json!({"image": image, "media": [image]})
        };
        let was = of("a", Some("aa"));
        for path in ["/image/blob", "/media/{m}/blob"] {
            let path = FieldPath::parse(path).expect("a path");
            let replaced = |is: &Value| is_replaced(&path, [&was, is]);
            assert!(replaced(&of("a", Some("bb"))));
            assert!(!replaced(&was));
            assert!(!replaced(&of("a", None)), "they were learned later");
            assert!(!replaced(&of("b", Some("bb"))), "it is another picture");
        }
        let url = FieldPath::parse("/image/url").expect("a path");
        assert!(!is_replaced(&url, [&was, &of("a", Some("bb"))]));
        for (path, unknown) in [("/image/blob", true), ("/blob", false), ("/image/url", false)] {
            let path = FieldPath::parse(path).expect("a path");
            assert!(!is_unknown(&path, &was));
            assert_eq!(is_unknown(&path, &of("a", None)), unknown, "{path}");
        }
    }

    #[test]
    fn null_is_told_and_another_shape_is_another_thing() {
        for (before, after) in [
            (json!({"vendor": null}), json!({"vendor": "V"})),
            (json!({"body": {"content": "x"}}), json!({"body": {"url": "y"}})),
            (json!(null), json!({"title": "Mug"})),
        ] {
            check(before.clone(), after.clone(), [before, after]);
        }
    }
}
