//! Metafields of anything that has them: those that differ are set, those that are too many are
//! deleted, all others are left alone.

use serde_json::{Value, json};

use super::{Around, WriteError, send};

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

/// What makes `now` become `want`, both canonical. The type of a metafield cannot be changed while
/// it is there, so one of another type is deleted first.
pub(super) fn changes(owner: &str, now: &Value, want: &Value) -> Changes {
    let list = |value: &'_ Value| value.as_array().cloned().unwrap_or_default();
    let same = |a: &Value, b: &Value| a["namespace"] == b["namespace"] && a["key"] == b["key"];
    let (now, want) = (list(now), list(want));
    let mut changes = Changes::default();
    for there in &now {
        let wanted = want.iter().find(|wanted| same(there, wanted));
        if wanted.is_none_or(|wanted| wanted["type"] != there["type"]) {
            changes.delete.push(json!({
                "ownerId": owner, "namespace": there["namespace"], "key": there["key"],
            }));
        }
    }
    for wanted in want.iter().filter(|wanted| !now.contains(wanted)) {
        changes.set.push(json!({
            "ownerId": owner, "namespace": wanted["namespace"], "key": wanted["key"],
            "type": wanted["type"], "value": wanted["value"],
        }));
    }
    changes
}

/// Sends what makes `now` become `want`; whether there was anything.
pub(super) async fn write(
    around: &dyn Around,
    owner: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let changes = changes(owner, now, want);
    for part in changes.delete.chunks(SET_MAX) {
        let document = include_str!("graphql/metafields_delete.graphql");
        send::set(around, document, json!({"metafields": part})).await?;
    }
    for part in changes.set.chunks(SET_MAX) {
        let document = include_str!("graphql/metafields_set.graphql");
        send::set(around, document, json!({"metafields": part})).await?;
    }
    Ok(!changes.delete.is_empty() || !changes.set.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let metafield = |key: &str, kind: &str, value: &str| json!({"namespace": "n", "key": key, "type": kind, "value": value});
        let now = json!([
            metafield("same", "json", "{}"),
            metafield("gone", "json", "{}"),
            metafield("retyped", "json", "1"),
            metafield("other", "json", "1"),
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
}
