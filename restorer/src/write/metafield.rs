//! Metafields of anything that has them: those that differ are set, those that are too many are
//! deleted, all others are left alone.

use serde_json::{Value, json};

use super::step::Step;
use super::{Around, WriteError, send};

const SET: &str = include_str!("graphql/metafields_set.graphql");
const DELETE: &str = include_str!("graphql/metafields_delete.graphql");

/// Most metafields in one mutation, which sets all of them or none.
const SET_MAX: usize = 25;

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
        let set = self.set.chunks(SET_MAX).map(|part| (SET, part));
        let step = |(document, part)| Step::setting(document, json!({"metafields": part}));
        delete.chain(set).map(step).collect()
    }
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
    for step in &steps {
        send::set(around, step.document, step.variables.clone()).await?;
    }
    Ok(!steps.is_empty())
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
    }
}
