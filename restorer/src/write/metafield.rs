//! Metafields of anything that has them: those that differ are set, those that are too many are
//! deleted, all others are left alone. What the shop refuses of them keeps nothing else away.

use std::collections::VecDeque;

use backstock_proto::merge::{FieldPath, Step as At};
use serde_json::{Value, json};

use super::step::{self, Step};
use super::{Around, WriteError, upload};

const SET: &str = include_str!("graphql/metafields_set.graphql");
const DELETE: &str = include_str!("graphql/metafields_delete.graphql");

/// Most metafields in one mutation, which sets all of them or none.
const SET_MAX: usize = 25;
/// Most bytes of them in one mutation: Shopify takes 10 MB with all that is around them.
/// <https://shopify.dev/docs/api/admin-graphql/latest/mutations/metafieldsSet>
const SET_BYTES_MAX: usize = 9_000_000;

/// What makes one list of metafields the other.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Namespace and key of those to delete.
    pub(super) delete: Vec<Value>,
    /// Those to set.
    pub(super) set: Vec<Value>,
}

impl Changes {
    /// The mutations: first what goes, since a metafield changes its type only by going.
    pub(super) fn steps(&self) -> Vec<Step> {
        let delete = self.delete.chunks(SET_MAX).map(|part| (DELETE, part));
        let set = parts(&self.set).into_iter().map(|part| (SET, part));
        let step = |(document, part)| Step::setting(document, json!({"metafields": part}));
        delete.chain(set).map(step).collect()
    }
}

/// Metafields in parts, so many at a time as one mutation takes.
fn parts(metafields: &[Value]) -> Vec<&[Value]> {
    step::parts(metafields, (SET_MAX, SET_BYTES_MAX), |metafield| metafield.to_string().len())
}

/// What makes `now` become `want`, both canonical. The type of a metafield cannot be changed while
/// it is there, so one of another type is deleted first. The reserved namespaces of apps are theirs.
pub(super) fn changes(owner: &str, now: &Value, want: &Value) -> Changes {
    let mut changes = Changes::default();
    for there in list(now) {
        let wanted = list(want).find(|wanted| same(there, wanted));
        if wanted.is_none_or(|wanted| wanted["type"] != there["type"]) {
            changes.delete.push(json!({
                "ownerId": owner, "namespace": there["namespace"], "key": there["key"],
            }));
        }
    }
    changes.set = inputs(now, want)
        .into_iter()
        .map(|mut input| {
            input["ownerId"] = owner.into();
            input
        })
        .collect();
    changes
}

/// The metafields that are new or other than now, as an owner's own input takes them.
pub(super) fn inputs(now: &Value, want: &Value) -> Vec<Value> {
    let differs = |wanted: &&Value| !list(now).any(|there| there == *wanted);
    let input = |wanted: &Value| {
        json!({
            "namespace": wanted["namespace"], "key": wanted["key"],
            "type": wanted["type"], "value": wanted["value"],
        })
    };
    list(want).filter(differs).map(input).collect()
}

/// Those that may be written.
fn list(metafields: &Value) -> impl Iterator<Item = &Value> {
    let all = metafields.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(|metafield| !is_reserved(metafield["namespace"].as_str().unwrap_or_default()))
}

/// Why a field stays as it is that is a metafield, or within one, whatever has it.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    let is_theirs = |pair: &[At]| match pair {
        [At::Member(list), At::Element(named)] => list == "metafields" && is_reserved(named),
        _ => false,
    };
    let why = "the metafields of another app can be written by that app only";
    path.steps().windows(2).any(is_theirs).then_some(why)
}

/// Whether a namespace is some app's own.
pub(super) fn is_reserved(namespace: &str) -> bool {
    namespace.starts_with("app--")
}

fn same(a: &Value, b: &Value) -> bool {
    a["namespace"] == b["namespace"] && a["key"] == b["key"]
}

/// Sends what makes `now` become `want`; whether there was anything.
pub(super) async fn write(
    around: &dyn Around,
    owner: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let steps = changes(owner, now, want).steps();
    let (any, mut refused) = (!steps.is_empty(), Vec::new());
    for step in steps {
        refused.extend(send(around, step).await?.refused);
    }
    match refused.is_empty() {
        true => Ok(any),
        false => Err(WriteError::Refused(refused)),
    }
}

/// What came of a step.
#[derive(Debug, Default)]
struct Sent {
    /// Whether any of it was done.
    changed: bool,
    /// What the shop refuses of it.
    refused: Vec<String>,
}

/// Sends a step. Where the shop refuses metafields in it, what else is in it goes without them, and each
/// of them by itself, so that only those are lost that the shop does not take.
async fn send(around: &dyn Around, step: Step) -> Result<Sent, WriteError> {
    let (mut sent, mut waiting) = (Sent::default(), VecDeque::from([step]));
    while let Some(step) = waiting.pop_front() {
        let (parts, alone) = (has_parts(&step).then(|| step.clone()), alone(&step));
        match step::send(around, step).await {
            Ok(_) => sent.changed = true,
            Err(WriteError::Refused(why)) => match parts.filter(|_| are_named(&why)) {
                Some(step) => {
                    apart(step).into_iter().rev().for_each(|part| waiting.push_front(part));
                }
                None => {
                    let why = match alone {
                        Some(name) => vec![format!("{name} is not written: {}", told(&why))],
                        None => why,
                    };
                    for why in why {
                        if !sent.refused.contains(&why) {
                            sent.refused.push(why);
                        }
                    }
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// Sends steps one after the other, and adds what came of them to what had been changed and refused so far.
/// Whether each was heard of: after one that was not, nobody knows what is there.
pub(super) async fn send_all(
    around: &dyn Around,
    steps: Vec<Step>,
    (changed, refused): (&mut bool, &mut Vec<String>),
) -> Result<bool, WriteError> {
    for mut step in steps {
        upload::fill(around, &mut step.variables).await?;
        match send(around, step).await {
            Ok(sent) => {
                *changed |= sent.changed;
                refused.extend(sent.refused);
            }
            Err(error) if step::is_unknown(&error) => {
                *changed = true;
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Whether a refusal is about metafields.
pub(super) fn are_named(why: &[String]) -> bool {
    why.iter().any(|why| why.to_lowercase().contains("metafield"))
}

/// Takes metafields out of what something is made from, also those of variants. Whether there were any.
pub(super) fn leave_out(input: &mut Value) -> bool {
    let Some(members) = input.as_object_mut() else { return false };
    let mut any = members.remove("metafields").is_some();
    let variants = members.get_mut("variants").and_then(Value::as_array_mut);
    for variant in variants.into_iter().flatten().filter_map(Value::as_object_mut) {
        any |= variant.remove("metafields").is_some();
    }
    any
}

/// Whether a step can go in parts, of which some may be taken.
fn has_parts(step: &Step) -> bool {
    let many = step::list(&step.variables, "metafields").len() > 1;
    let mut variants = step::list(&step.variables, "variants").iter();
    (step.document == SET && many) || variants.any(|variant| variant["metafields"].is_array())
}

/// The parts of a step. Metafields of variants that are yet to be made are not among them: they follow
/// once the variants are there.
fn apart(mut step: Step) -> Vec<Step> {
    if step.document == SET {
        let each = step::list(&step.variables, "metafields").iter();
        return each.map(|one| Step::setting(SET, json!({"metafields": [one]}))).collect();
    }
    let mut set = Vec::new();
    let variants = step.variables["variants"].as_array_mut().map(std::mem::take);
    let mut variants = variants.unwrap_or_default();
    for variant in variants.iter_mut().filter_map(Value::as_object_mut) {
        let metafields = variant.remove("metafields").unwrap_or_default();
        let Some(owner) = variant.get("id") else { continue };
        for mut metafield in metafields.as_array().cloned().unwrap_or_default() {
            metafield["ownerId"] = owner.clone();
            set.push(metafield);
        }
    }
    let says = |variant: &Value| {
        variant.as_object().is_some_and(|members| members.keys().any(|name| name != "id"))
    };
    variants.retain(says);
    let mut parts = Changes { delete: Vec::new(), set }.steps();
    if !variants.is_empty() {
        step.variables["variants"] = variants.into();
        parts.insert(0, step);
    }
    parts
}

/// What the only metafield of a step is called in a sentence.
fn alone(step: &Step) -> Option<String> {
    let [one] = step::list(&step.variables, "metafields") else { return None };
    let of = match step::text(one, "ownerId").contains("/ProductVariant/") {
        true => " of a variant",
        false => "",
    };
    let (namespace, key) = (step::text(one, "namespace"), step::text(one, "key"));
    (step.document == SET).then(|| format!("the metafield {namespace}.{key}{of}"))
}

/// A refusal without the place in the mutation, which says nothing of a metafield that is named.
fn told(why: &[String]) -> String {
    let bare = why.iter().map(|why| match why.split_once(": ") {
        Some((place, why)) if place.starts_with("metafields") => why,
        _ => why.as_str(),
    });
    bare.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metafield(key: &str, kind: &str, value: &str) -> Value {
        json!({"namespace": "n", "key": key, "type": kind, "value": value})
    }

    #[test]
    fn only_what_differs_is_sent() {
        let theirs = json!({"namespace": "app--1", "key": "k", "type": "json", "value": "1"});
        let now = json!([
            metafield("same", "json", "{}"),
            metafield("gone", "json", "{}"),
            metafield("retyped", "json", "1"),
            metafield("other", "json", "1"),
            theirs,
        ]);
        let want = json!([
            metafield("same", "json", "{}"),
            metafield("retyped", "number_integer", "1"),
            metafield("other", "json", "2"),
            metafield("new", "json", "3"),
        ]);
        let found = changes("o", &now, &want);
        let keys = |list: &[Value]| list.iter().map(|m| m["key"].clone()).collect::<Vec<_>>();
        assert_eq!(keys(&found.delete), ["gone", "retyped"]);
        assert_eq!(keys(&found.set), ["retyped", "other", "new"]);
        assert_eq!(changes("o", &want, &want), Changes::default());
    }

    #[test]
    fn no_more_are_set_at_once_than_may_be() {
        let want: Value = (0..60).map(|n| metafield(&format!("k{n}"), "json", "1")).collect();
        let steps = changes("o", &json!([]), &want).steps();
        let sizes = steps.iter().map(|step| step.variables["metafields"].as_array().map(Vec::len));
        assert_eq!(sizes.collect::<Vec<_>>(), [Some(25), Some(25), Some(10)]);
        let long = "x".repeat(4_000_000);
        let want: Value = (0..5).map(|n| metafield(&format!("k{n}"), "json", &long)).collect();
        let steps = changes("o", &json!([]), &want).steps();
        let sizes = steps.iter().map(|step| step.variables["metafields"].as_array().map(Vec::len));
        assert_eq!(sizes.collect::<Vec<_>>(), [Some(2), Some(2), Some(1)]);
    }

    #[test]
    fn variants_go_without_their_metafields_and_those_that_are_there_get_them_apart() {
        const UPDATE: &str = "mutation VariantsUpdate { a }";
        let of = |variants: Value| json!({"productId": "p", "variants": variants});
        let (fit, cut) = (metafield("fit", "json", "1"), metafield("cut", "json", "2"));
        let there = json!([
            {"id": "v1", "price": "1", "metafields": [fit, cut]},
            {"id": "v2", "metafields": [fit]},
            {"id": "v3", "price": "3"},
        ]);
        let step = Step::setting(UPDATE, of(there));
        assert!(has_parts(&step));
        let parts = apart(step);
        let bare = json!([{"id": "v1", "price": "1"}, {"id": "v3", "price": "3"}]);
        assert_eq!(parts[0], Step::setting(UPDATE, of(bare)));
        let set = step::list(&parts[1].variables, "metafields").iter();
        let set: Vec<_> = set.map(|m| (m["ownerId"].clone(), m["key"].clone())).collect();
        let owned = [("v1", "fit"), ("v1", "cut"), ("v2", "fit")];
        assert_eq!(set, owned.map(|(owner, key)| (json!(owner), json!(key))));
        assert_eq!(parts.len(), 2);

        let new = json!([{"optionValues": [], "metafields": [fit]}]);
        let parts = apart(Step::making("mutation VariantsCreate { a }", of(new)));
        assert_eq!(parts.len(), 1, "they follow once it is there");
        assert_eq!(parts[0].variables, of(json!([{"optionValues": []}])));
        assert!(!has_parts(&parts[0]), "so that nothing goes round for ever");
    }

    #[test]
    fn one_that_is_refused_alone_is_told_by_its_name() {
        let mut one = metafield("fit", "json", "1");
        one["ownerId"] = json!("gid://shopify/ProductVariant/1");
        let step = |all: Value| Step::setting(SET, json!({"metafields": all}));
        assert_eq!(alone(&step(json!([one]))), Some("the metafield n.fit of a variant".to_owned()));
        assert_eq!(alone(&step(json!([one, one]))), None);
        let why = ["metafields.0.value: Value is invalid (INVALID_VALUE)".to_owned()];
        assert_eq!(told(&why), "Value is invalid (INVALID_VALUE)");
    }
}
