//! A resource is the union of its facets: how one facet's state is laid over what is there.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::{Facet, media};

/// Lays a facet's canonical state over that of the facets before it, `core` first.
pub fn lay(facet: Facet, state: &mut Value, part: Value) {
    match facet {
        Facet::Blobs => media::lay(state, &part),
        _ => add(state, part),
    }
}

/// Adds a facet's canonical state to that of the facets before it.
///
/// Objects are merged member by member. Lists of objects that have an `id` are merged by it into the
/// elements that are there: a facet may know of elements that `core` says are gone, or not yet
/// here, and those are left out. Anything else from the facet replaces what is there.
pub fn add(state: &mut Value, facet: Value) {
    match (state, facet) {
        (Value::Object(state), Value::Object(facet)) => members(state, facet),
        (Value::Array(state), Value::Array(facet)) if have_ids(state, &facet) => {
            elements(state, facet);
        }
        (state, facet) => *state = facet,
    }
}

fn members(state: &mut Map<String, Value>, facet: Map<String, Value>) {
    for (name, value) in facet {
        match state.get_mut(&name) {
            Some(there) => add(there, value),
            None => {
                state.insert(name, value);
            }
        }
    }
}

fn elements(state: &mut [Value], facet: Vec<Value>) {
    let mut by_id: HashMap<String, Value> =
        facet.into_iter().filter_map(|v| Some((id(&v)?.to_owned(), v))).collect();
    for there in state {
        if let Some(more) = id(there).and_then(|id| by_id.remove(id)) {
            add(there, more);
        }
    }
}

/// Whether two lists are of objects with ids. Of two empty lists nobody can say.
fn have_ids(state: &[Value], facet: &[Value]) -> bool {
    let all = || state.iter().chain(facet);
    all().next().is_some() && all().all(|v| id(v).is_some())
}

fn id(value: &Value) -> Option<&str> {
    value.get("id")?.as_str()
}

fn by_id(list: &[Value]) -> HashMap<&str, &Value> {
    list.iter().filter_map(|v| Some((id(v)?, v))).collect()
}

/// Fills in what a document did not tell: an element of a list of which it names only the `id` is as it
/// was before.
pub fn complete(state: &mut Value, before: &Value) {
    match (state, before) {
        (Value::Object(state), Value::Object(before)) => {
            for (name, value) in state {
                if let Some(before) = before.get(name) {
                    complete(value, before);
                }
            }
        }
        (Value::Array(state), Value::Array(before)) => {
            let known = by_id(before);
            for element in state.iter_mut().filter(|element| is_bare(element)) {
                if let Some(before) = id(element).and_then(|id| known.get(id)) {
                    *element = (*before).clone();
                }
            }
        }
        _ => {}
    }
}

/// Whether a state is no other than the one that a document told as far as it could: where they differ,
/// the document only names an element. In which order it names those, does not count.
pub fn is_told_in_part(state: &Value, document: &Value) -> bool {
    let mut told = document.clone();
    complete(&mut told, state);
    match (&told, state) {
        (Value::Object(told), Value::Object(state)) if is_partial(document) => {
            let same = |(name, value)| state.get(name).is_some_and(|other| are_alike(value, other));
            told.len() == state.len() && told.iter().all(same)
        }
        _ => false,
    }
}

fn are_alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Array(one), Value::Array(other)) if have_ids(one, other) => {
            one.len() == other.len() && by_id(one) == by_id(other)
        }
        _ => one == other,
    }
}

/// Whether a document names elements of a list of which it tells nothing.
pub fn is_partial(state: &Value) -> bool {
    let lists = state.as_object().into_iter().flat_map(|members| members.values());
    lists.filter_map(Value::as_array).flatten().any(is_bare)
}

/// Whether nothing is told of an element but which one it is.
fn is_bare(element: &Value) -> bool {
    id(element).is_some() && element.as_object().is_some_and(|members| members.len() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(mut state: Value, facet: Value, expected: Value) {
        add(&mut state, facet);
        assert_eq!(state, expected);
    }

    #[test]
    fn what_a_facet_adds_stands_beside_what_is_there() {
        check(
            json!({"id": "p", "title": "Mug", "seo": {"title": "Mug"}}),
            json!({"id": "p", "metafields": [{"id": "m", "value": "1"}], "seo": {"text": null}}),
            json!({"id": "p", "title": "Mug", "seo": {"title": "Mug", "text": null},
                   "metafields": [{"id": "m", "value": "1"}]}),
        );
    }

    #[test]
    fn elements_are_found_by_their_id_and_core_says_which_there_are() {
        check(
            json!({"variants": [{"id": "a", "sku": "A"}, {"id": "b", "sku": "B"}]}),
            json!({"variants": [{"id": "gone", "metafields": []}, {"id": "b", "metafields": [1]}]}),
            json!({"variants": [{"id": "a", "sku": "A"},
                                {"id": "b", "sku": "B", "metafields": [1]}]}),
        );
        check(json!({"media": []}), json!({"media": [{"id": "a"}]}), json!({"media": []}));
        check(
            json!({"media": [{"id": "a"}]}),
            json!({"media": []}),
            json!({"media": [{"id": "a"}]}),
        );
    }

    #[test]
    fn an_element_that_is_only_named_is_as_it_was() {
        let mut state = json!({"title": "New", "variants": [
            {"id": "a", "price": "1"}, {"id": "b"}, {"id": "new"}]});
        let before = json!({"title": "Old", "variants": [
            {"id": "b", "price": "2"}, {"id": "a", "price": "9"}, {"id": "gone", "price": "3"}]});
        complete(&mut state, &before);
        let expected = json!({"title": "New", "variants": [
            {"id": "a", "price": "1"}, {"id": "b", "price": "2"}, {"id": "new"}]});
        assert_eq!(state, expected);
    }

    #[test]
    fn what_a_document_could_not_tell_makes_no_other_state() {
        let named = |variants: Value| json!({"title": "Mug", "variants": variants});
        let told = named(json!([{"id": "b", "price": "1"}, {"id": "a"}, {"id": "c"}]));
        let whole = json!([{"id": "b", "price": "1"}, {"id": "c", "price": "3"}, {"id": "a", "price": "2"}]);
        assert!(is_told_in_part(&named(whole.clone()), &told));
        for other in [
            json!({"title": "Cup", "variants": whole}),
            named(
                json!([{"id": "b", "price": "9"}, {"id": "c", "price": "3"}, {"id": "a", "price": "2"}]),
            ),
            named(json!([{"id": "b", "price": "1"}, {"id": "c", "price": "3"}])),
            named(
                json!([{"id": "b", "price": "1"}, {"id": "c", "price": "3"}, {"id": "new", "price": "2"}]),
            ),
        ] {
            assert!(!is_told_in_part(&other, &told), "{other}");
        }
        let all_told = named(json!([{"id": "b", "price": "1"}]));
        assert!(!is_told_in_part(&all_told, &all_told), "nothing was left open");
    }

    #[test]
    fn everything_else_is_replaced() {
        check(json!({"tags": ["a", "b"]}), json!({"tags": ["c"]}), json!({"tags": ["c"]}));
        check(json!({"tags": ["a"]}), json!({"tags": []}), json!({"tags": []}));
        check(json!({"seo": {"title": "x"}}), json!({"seo": null}), json!({"seo": null}));
        check(json!({"price": "1.00"}), json!({"price": "2.00"}), json!({"price": "2.00"}));
    }
}
