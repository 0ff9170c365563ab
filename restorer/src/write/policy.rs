//! The shop's policies. There is one of each type, for ever; it may be empty.

use std::collections::BTreeMap;

use backstock_proto::merge::FieldPath;
use serde_json::{Value, json};

use super::{Around, WriteError, Written, send};

const UPDATE: &str = include_str!("graphql/policy_update.graphql");

/// Makes one policy what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let body = |state: Option<&Value>| {
        state.and_then(|state| state["body"].as_str()).unwrap_or_default().to_owned()
    };
    let (was, wanted) = (body(now), body(want));
    let Some(of) = want.or(now).filter(|_| was != wanted) else { return Ok(Written::Unchanged) };
    let policy = json!({"type": of["type"], "body": wanted});
    let answered = send::set(around, UPDATE, json!({"policy": policy})).await?;
    Ok(match (now, want) {
        (_, None) => Written::Deleted,
        (Some(_), Some(_)) => Written::Updated { ids: BTreeMap::new() },
        (None, Some(want)) => {
            let gid = super::crud::id_of(&answered["shopPolicy"])?;
            super::crud::created(gid, want, BTreeMap::new())
        }
    })
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "title" | "type" => Some("the titles of policies are Shopify's"),
        _ => None,
    }
}
