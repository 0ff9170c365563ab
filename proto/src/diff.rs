//! What changed between two states, field by field.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// One field, old → new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// JSON Pointer (RFC 6901) into the new state, or into the old one if the field is gone.
    pub path: String,
    /// What the pointer's nearest list element is known by (its id, or its name), so that a change
    /// can be followed when positions move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// The value before; `null` where there was none.
    pub old: Value,
    /// The value after; `null` where there is none.
    pub new: Value,
}

/// The members by which elements of a list are recognised, the first that all of them have.
const IDENTITIES: &[&[&str]] = &[&["id"], &["namespace", "key"], &["key"], &["code"], &["name"]];

/// Every field that differs, in the order of the paths. Lists of objects are matched by identity,
/// other lists are compared as a whole.
pub fn fields(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    walk(&mut String::new(), None, old, new, &mut changes);
    changes
}

/// RFC 6902 patch that turns `old` into `new`.
pub fn patch(old: &Value, new: &Value) -> json_patch::Patch {
    json_patch::diff(old, new)
}

/// About how many bytes a value has as text.
pub fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| weight(item) + 1).sum(),
        Value::Object(members) => members.iter().map(|(name, v)| name.len() + weight(v) + 4).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
    }
}

fn walk(
    path: &mut String,
    element: Option<&str>,
    old: &Value,
    new: &Value,
    out: &mut Vec<FieldChange>,
) {
    if old == new {
        return;
    }
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => members(path, element, a, b, out),
        (Value::Array(a), Value::Array(b)) => match identity(&[a, b]) {
            Some(names) => elements(path, names, a, b, out),
            None => push(path, element, old, new, out),
        },
        _ => push(path, element, old, new, out),
    }
}

fn members(
    path: &mut String,
    element: Option<&str>,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    out: &mut Vec<FieldChange>,
) {
    let mut names: Vec<&String> =
        old.keys().chain(new.keys().filter(|k| !old.contains_key(*k))).collect();
    names.sort();
    for name in names {
        let (a, b) = (old.get(name).unwrap_or(&Value::Null), new.get(name).unwrap_or(&Value::Null));
        within(path, &name.replace('~', "~0").replace('/', "~1"), |path| {
            walk(path, element, a, b, out)
        });
    }
}

fn elements(
    path: &mut String,
    names: &[&str],
    old: &[Value],
    new: &[Value],
    out: &mut Vec<FieldChange>,
) {
    // Lists may have tens of thousands of elements.
    let (of_old, of_new) = (by_label(old, names), by_label(new, names));
    for (at, b) in new.iter().enumerate() {
        let label = label(b, names);
        let before = counterpart(b, &of_old, names).unwrap_or(&Value::Null);
        within(path, &at.to_string(), |path| walk(path, Some(&label), before, b, out));
    }
    for (at, a) in old.iter().enumerate() {
        if counterpart(a, &of_new, names).is_none() {
            let label = label(a, names);
            within(path, &at.to_string(), |path| push(path, Some(&label), a, &Value::Null, out));
        }
    }
    let order = |list: &[Value], other: &HashMap<String, &Value>| -> Vec<String> {
        let kept = list.iter().filter(|v| counterpart(v, other, names).is_some());
        kept.map(|v| label(v, names)).collect()
    };
    let (a, b) = (order(old, &of_new), order(new, &of_old));
    if a != b {
        let list =
            |labels: Vec<String>| Value::Array(labels.into_iter().map(Value::String).collect());
        within(path, "-", |path| push(path, Some("order"), &list(a), &list(b), out));
    }
}

/// The elements of a list by what they are known by.
pub(crate) fn by_label<'v>(list: &'v [Value], names: &[&str]) -> HashMap<String, &'v Value> {
    list.iter().map(|v| (label(v, names), v)).collect()
}

/// The same element as it is in another list.
fn counterpart<'v>(
    of: &Value,
    list: &HashMap<String, &'v Value>,
    names: &[&str],
) -> Option<&'v Value> {
    list.get(&label(of, names)).copied().filter(|v| same(v, of, names))
}

/// The members that tell the elements of each of these lists apart, if there are any.
pub(crate) fn identity(lists: &[&[Value]]) -> Option<&'static [&'static str]> {
    if lists.iter().all(|list| list.is_empty()) {
        return None;
    }
    IDENTITIES.iter().copied().find(|names| {
        let distinct = |list: &&[Value]| {
            let mut seen = std::collections::BTreeSet::new();
            list.iter().all(|v| {
                names.iter().all(|n| v.get(n).is_some_and(|v| !v.is_null()))
                    && seen.insert(label(v, names))
            })
        };
        lists.iter().all(distinct)
    })
}

fn same(a: &Value, b: &Value, names: &[&str]) -> bool {
    names.iter().all(|name| a.get(name) == b.get(name))
}

/// What an element is known by, as text.
pub(crate) fn label(v: &Value, names: &[&str]) -> String {
    let part = |name: &&str| match v.get(name) {
        Some(Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    names.iter().map(part).collect::<Vec<_>>().join(".")
}

fn within(path: &mut String, token: &str, then: impl FnOnce(&mut String)) {
    let len = path.len();
    path.push('/');
    path.push_str(token);
    then(path);
    path.truncate(len);
}

fn push(path: &str, element: Option<&str>, old: &Value, new: &Value, out: &mut Vec<FieldChange>) {
    out.push(FieldChange {
        path: path.into(),
        element: element.map(str::to_owned),
        old: old.clone(),
        new: new.clone(),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(old: Value, new: Value, expect: &[&str]) {
        let shown: Vec<String> = fields(&old, &new)
            .iter()
            .map(|c| {
                format!(
                    "{} [{}] {} -> {}",
                    c.path,
                    c.element.as_deref().unwrap_or(""),
                    c.old,
                    c.new
                )
            })
            .collect();
        assert_eq!(shown, expect);
        let steps = patch(&old, &new);
        let mut patched = old;
        json_patch::patch(&mut patched, &steps).expect("applies");
        assert_eq!(patched, new);
    }

    #[test]
    fn a_price_is_followed_when_its_variant_moves() {
        check(
            json!({"variants": [{"id": "a", "price": "1.00"}, {"id": "b", "price": "2.00"}]}),
            json!({"variants": [{"id": "b", "price": "2.50"}, {"id": "a", "price": "1.00"}]}),
            &[
                r#"/variants/0/price [b] "2.00" -> "2.50""#,
                r#"/variants/- [order] ["a","b"] -> ["b","a"]"#,
            ],
        );
    }

    #[test]
    fn added_and_removed_elements_are_whole() {
        check(
            json!({"media": [{"id": "a", "alt": "x"}]}),
            json!({"media": [{"id": "b", "alt": "y"}]}),
            &[
                r#"/media/0 [b] null -> {"alt":"y","id":"b"}"#,
                r#"/media/0 [a] {"alt":"x","id":"a"} -> null"#,
            ],
        );
    }

    #[test]
    fn among_tens_of_thousands_of_elements_the_few_that_differ_are_found() {
        let products = |from: u64| -> Value {
            (from..from + 30_000).map(|n| json!({"id": n.to_string()})).collect()
        };
        let changes = fields(&products(0), &products(1));
        let found: Vec<(&str, &Value, &Value)> =
            changes.iter().map(|c| (&*c.path, &c.old["id"], &c.new["id"])).collect();
        let none = &Value::Null;
        assert_eq!(found, [("/29999", none, &json!("30000")), ("/0", &json!("0"), none)]);
    }

    #[test]
    fn plain_lists_and_names_with_slashes() {
        check(
            json!({"tags": ["a"], "a/b~c": 1}),
            json!({"tags": ["a", "b"], "a/b~c": 2}),
            &[r#"/a~1b~0c [] 1 -> 2"#, r#"/tags [] ["a"] -> ["a","b"]"#],
        );
        check(json!({"a": 1}), json!({"a": 1}), &[]);
    }
}
