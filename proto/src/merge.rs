//! Field by field across three states: where two differ, and how a difference is taken back in a
//! third that others have edited since.
//!
//! A field is named by a [`FieldPath`]: a JSON Pointer in which an element of a list is named by what
//! it is known by instead of its position, so that a field is still found when others moved.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::diff::{by_label, identity, label};

mod path;
mod three_way;

pub use path::{FieldPath, Step};
pub use three_way::{Kept, OnConflict, revert};

/// A field that differs. `null` stands for "none".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Field {
    /// Which one.
    pub path: FieldPath,
    /// What it is.
    pub old: Value,
    /// What it becomes.
    pub new: Value,
}

/// Every field that differs between two states, such that [`set`] of all of them, in this order,
/// makes `new` of `old`.
pub fn fields(old: &Value, new: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    differences(&FieldPath::root(), old, new, &mut found);
    found
}

fn differences(path: &FieldPath, old: &Value, new: &Value, out: &mut Vec<Field>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            for name in names([a, b]) {
                let path = path.then(&Step::Member(name.clone()));
                differences(&path, member(a, name), member(b, name), out);
            }
        }
        (Value::Array(a), Value::Array(b)) => match identity(&[a, b]) {
            Some(by) => elements(path, by, a, b, out),
            None => out.push(Field { path: path.clone(), old: old.clone(), new: new.clone() }),
        },
        _ => out.push(Field { path: path.clone(), old: old.clone(), new: new.clone() }),
    }
}

fn elements(path: &FieldPath, by: &[&str], a: &[Value], b: &[Value], out: &mut Vec<Field>) {
    let (before, after) = (labels(a, by), labels(b, by));
    let (was, is) = (by_label(a, by), by_label(b, by));
    for (label, old) in before.iter().zip(a) {
        let path = path.then(&Step::Element(label.clone()));
        match is.get(label) {
            Some(new) => differences(&path, old, new, out),
            None => out.push(Field { path, old: old.clone(), new: Value::Null }),
        }
    }
    for (label, new) in after.iter().zip(b).filter(|(label, _)| !was.contains_key(*label)) {
        let path = path.then(&Step::Element(label.clone()));
        out.push(Field { path, old: Value::Null, new: new.clone() });
    }
    // As it stands once the gone are gone and the new are at the end.
    let mut standing: Vec<&String> = before.iter().filter(|l| is.contains_key(*l)).collect();
    standing.extend(after.iter().filter(|l| !was.contains_key(*l)));
    if standing.iter().zip(&after).any(|(a, b)| *a != b) {
        let list = |labels: Vec<String>| labels.into_iter().map(Value::String).collect();
        let path = path.then(&Step::Order);
        out.push(Field { path, old: list(before), new: list(after) });
    }
}

/// A field's value; `None` where there is none.
pub fn get<'a>(state: &'a Value, path: &FieldPath) -> Option<&'a Value> {
    let mut at = state;
    for step in path.steps() {
        at = match (step, at) {
            (Step::Member(name), Value::Object(members)) => members.get(&name)?,
            (Step::Element(known), Value::Array(list)) => {
                find(list, identity(&[list.as_slice()])?, &known)?
            }
            _ => return None,
        };
    }
    Some(at)
}

/// The order of a list's elements, for a path that ends in [`Step::Order`].
pub fn order(state: &Value, list: &FieldPath) -> Option<Vec<String>> {
    let list = get(state, list)?.as_array()?;
    Some(labels(list, identity(&[list.as_slice()])?))
}

/// Gives a field another value; `null` removes an element. Whether the place was there.
pub fn set(state: &mut Value, path: &FieldPath, value: Value) -> bool {
    set_at(state, &path.steps(), value)
}

fn set_at(state: &mut Value, steps: &[Step], value: Value) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        *state = value;
        return true;
    };
    match step {
        Step::Member(name) => match state {
            Value::Object(members) if rest.is_empty() => {
                members.insert(name.clone(), value);
                true
            }
            Value::Object(members) => {
                let empty = match rest.first() {
                    Some(Step::Member(_)) => Value::Object(Map::new()),
                    _ => Value::Array(Vec::new()),
                };
                let inner = members.entry(name.clone()).or_insert(Value::Null);
                if inner.is_null() {
                    *inner = empty;
                }
                set_at(inner, rest, value)
            }
            _ => false,
        },
        Step::Element(known) => {
            let Value::Array(list) = state else { return false };
            let sample: Vec<&[Value]> = match rest.is_empty() && !value.is_null() {
                true => vec![list.as_slice(), std::slice::from_ref(&value)],
                false => vec![list.as_slice()],
            };
            let Some(by) = identity(&sample) else { return list.is_empty() && value.is_null() };
            let at = list.iter().position(|element| label(element, by) == *known);
            match (at, rest.is_empty()) {
                (Some(at), true) if value.is_null() => drop(list.remove(at)),
                (Some(at), true) => list[at] = value,
                (Some(at), false) => return set_at(&mut list[at], rest, value),
                (None, true) if value.is_null() => {}
                (None, true) => list.push(value),
                (None, false) => return false,
            }
            true
        }
        Step::Order => {
            let (Value::Array(list), Value::Array(order)) = (state, value) else { return false };
            let Some(by) = identity(&[list.as_slice()]) else { return list.is_empty() };
            list.sort_by_key(|element| {
                let known = Value::String(label(element, by));
                order.iter().position(|l| *l == known).unwrap_or(order.len())
            });
            true
        }
    }
}

fn names(objects: [&Map<String, Value>; 2]) -> Vec<&String> {
    let mut names: Vec<&String> = objects.iter().flat_map(|object| object.keys()).collect();
    names.sort();
    names.dedup();
    names
}

fn member<'a>(object: &'a Map<String, Value>, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&Value::Null)
}

fn find<'a>(list: &'a [Value], by: &[&str], known: &str) -> Option<&'a Value> {
    list.iter().find(|element| label(element, by) == known)
}

fn labels(list: &[Value], by: &[&str]) -> Vec<String> {
    list.iter().map(|element| label(element, by)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[track_caller]
    fn check(before: Value, after: Value, now: Value, want: Value, kept: &[&str]) {
        let (state, left) = revert(&now, &before, &after, OnConflict::Keep);
        assert_eq!(state, want);
        let paths: Vec<&str> = left.iter().map(|kept| kept.path.as_str()).collect();
        assert_eq!(paths, kept);
    }

    #[test]
    fn what_others_did_since_stays() {
        check(
            json!({"title": "Mug", "price": "10.00", "tags": ["a", "b"], "vendor": "V"}),
            json!({"title": "MUG!!", "price": "1.00", "tags": ["a", "spam"], "vendor": "V"}),
            json!({"title": "MUG!!", "price": "9.00", "tags": ["a", "c", "spam"], "vendor": "W"}),
            json!({"title": "Mug", "price": "9.00", "tags": ["a", "b", "c"], "vendor": "W"}),
            &["/price"],
        );
    }

    #[test]
    fn elements_are_followed_by_their_identity() {
        check(
            json!({"variants": [{"id": "a", "price": "1"}, {"id": "b", "price": "2"}]}),
            json!({"variants": [{"id": "a", "price": "0"}]}),
            json!({"variants": [{"id": "c", "price": "3"}, {"id": "a", "price": "0", "sku": "s"}]}),
            json!({"variants": [{"id": "c", "price": "3"}, {"id": "a", "price": "1", "sku": "s"},
                                {"id": "b", "price": "2"}]}),
            &[],
        );
    }

    #[test]
    fn an_order_is_taken_back_unless_somebody_ordered_anew() {
        let list = |labels: &[&str]| -> Value {
            json!({"products": labels.iter().map(|l| json!({"id": l})).collect::<Vec<_>>()})
        };
        let before = list(&["a", "b", "c"]);
        let after = list(&["c", "b", "a"]);
        check(
            before.clone(),
            after.clone(),
            list(&["c", "b", "a", "n"]),
            list(&["a", "n", "b", "c"]),
            &[],
        );
        check(before, after, list(&["b", "c", "a"]), list(&["b", "c", "a"]), &["/products/{}"]);
    }

    #[test]
    fn overwriting_asks_nobody() {
        let (state, kept) = revert(
            &json!({"a": 3, "b": 1}),
            &json!({"a": 1}),
            &json!({"a": 2}),
            OnConflict::Overwrite,
        );
        assert_eq!((state, kept), (json!({"a": 1, "b": 1}), Vec::new()));
    }

    #[test]
    fn a_path_names_the_same_field_wherever_it_stands() {
        let state = json!({"a/b": {"{x": [{"id": "gid://1", "v": 1}, {"id": "gid://2", "v": 2}]}});
        let other = json!({"a/b": {"{x": [{"id": "gid://2", "v": 3}, {"id": "gid://1", "v": 1}]}});
        let found = fields(&state, &other);
        assert_eq!(found[0].path.as_str(), "/a~1b/~2x/{gid:~1~12}/v");
        assert_eq!(get(&other, &found[0].path), Some(&json!(3)));
        assert!(found[1].path.as_str().ends_with("/{}"), "{}", found[1].path);
    }

    fn state() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            (0..3u8).prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from)
        ];
        let element = |leaf: BoxedStrategy<Value>| {
            proptest::collection::btree_map("[a-d]", leaf, 0..4).prop_shuffle_elements()
        };
        let leaf = leaf.boxed();
        (
            proptest::collection::btree_map("[xyz]", leaf.clone(), 0..3),
            element(leaf),
            proptest::collection::btree_set("[a-c]", 0..3),
        )
            .prop_map(|(members, list, tags)| {
                let mut state: Map<String, Value> = members.into_iter().collect();
                state.insert("list".into(), list);
                state.insert("tags".into(), tags.into_iter().map(Value::from).collect());
                Value::Object(state)
            })
    }

    trait ShuffleElements {
        fn prop_shuffle_elements(self) -> BoxedStrategy<Value>;
    }

    impl<S: Strategy<Value = std::collections::BTreeMap<String, Value>> + 'static> ShuffleElements
        for S
    {
        fn prop_shuffle_elements(self) -> BoxedStrategy<Value> {
            self.prop_map(|map| {
                map.into_iter().map(|(id, v)| json!({"id": id, "v": v})).collect::<Vec<_>>()
            })
            .prop_shuffle()
            .prop_map(Value::Array)
            .boxed()
        }
    }

    #[test]
    fn what_is_put_in_again_by_force_stands_where_it_stood_at_once() {
        let list = |ids: &[&str]| ids.iter().map(|id| json!({"id": id})).collect::<Value>();
        let with = |list: Value, d: u8| {
            let mut list = list;
            for element in list.as_array_mut().expect("a list") {
                if element["id"] == "d" {
                    element["v"] = d.into();
                }
            }
            list
        };
        let before = with(list(&["c", "a", "d"]), 1);
        let after = with(list(&["d", "c"]), 2);
        let (once, _) = revert(&list(&["a", "c"]), &before, &after, OnConflict::Overwrite);
        assert_eq!(once, before);
    }

    proptest! {
        #[test]
        fn setting_every_difference_makes_the_other_state(old in state(), new in state()) {
            let mut made = old.clone();
            for field in fields(&old, &new) {
                prop_assert!(set(&mut made, &field.path, field.new));
            }
            // A member that is null and one that is not there say the same.
            prop_assert_eq!(fields(&made, &new), vec![]);
        }

        #[test]
        fn taking_back_what_is_still_so_gives_what_was(before in state(), after in state()) {
            let (state, kept) = revert(&after, &before, &after, OnConflict::Keep);
            prop_assert_eq!(fields(&state, &before), vec![]);
            prop_assert!(kept.is_empty());
        }

        #[test]
        fn taking_back_twice_is_taking_back_once(b in state(), a in state(), now in state()) {
            let (once, _) = revert(&now, &b, &a, OnConflict::Overwrite);
            let (twice, _) = revert(&once, &b, &a, OnConflict::Overwrite);
            prop_assert_eq!(fields(&once, &twice), vec![]);
        }
    }
}
