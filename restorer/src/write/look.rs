//! Looks at what is in the shop: a resource's canonical state, whole, as history would have it.

use backstock_proto::admin::Client;
use backstock_proto::admin::ask::{AskError, Asker};
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::kind::{Arrival, Kind, Spec};
use backstock_proto::{Facet, Op, ResourceId, Source, Timestamp, union};
use serde_json::Value;

use super::{Around, WriteError};

/// A resource as it is now; `None`: it is not there.
pub async fn state(
    client: &Client,
    spec: &'static Spec,
    id: &ResourceId,
) -> Result<Option<Value>, WriteError> {
    let asker = Asker { client: client.clone(), share: 1.0 };
    let mut state: Option<Value> = None;
    for pull in spec.pulls.iter().filter(|pull| matches!(pull.way, Way::ById { .. })) {
        let nodes = asker.by_id(spec, pull, std::slice::from_ref(id)).await.map_err(asked)?;
        let Some(node) = nodes.into_iter().find(|node| (spec.id)(node).as_ref() == Some(id)) else {
            if pull.facets.contains(&Facet::Core) {
                return Ok(None);
            }
            continue;
        };
        for facet in facets(spec, pull, id, &node)? {
            match &mut state {
                Some(state) => union::add(state, facet),
                None => state = Some(facet),
            }
        }
    }
    Ok(state)
}

/// How much the shop's clock and ours may differ, and what whole seconds leave out.
const SKEW_S: i64 = 10;

/// The earliest moment at which the shop may say that something was made which this job made.
pub(super) fn earliest(around: &dyn Around) -> Timestamp {
    Timestamp::from_micros(around.began_at().as_micros() - SKEW_S * 1_000_000)
}

/// Whether a resource was made since the job began.
pub(super) fn is_since(around: &dyn Around, state: &Value) -> bool {
    let made = state["createdAt"].as_str().and_then(|at| Timestamp::parse(at).ok());
    made.is_some_and(|made| made >= earliest(around))
}

/// The facets that a node brings, each canonical.
fn facets(
    spec: &'static Spec,
    pull: &Pull,
    id: &ResourceId,
    node: &Value,
) -> Result<Vec<Value>, WriteError> {
    let brought = spec.facets.iter().filter(|members| pull.facets.contains(&members.facet));
    let mut found = Vec::new();
    for members in brought {
        let Some(part) = members.of(node) else { continue };
        let arrival = Arrival { source: Source::Pull, facet: members.facet, op: Op::Update };
        let document = Kind::of(spec)
            .read(arrival, id, part.to_string().as_bytes())
            .map_err(|error| WriteError::Refused(vec![error.to_string()]))?;
        found.extend(document.state);
    }
    Ok(found)
}

fn asked(error: AskError) -> WriteError {
    match error {
        AskError::Admin(error) => WriteError::Admin(error),
        other => WriteError::Refused(vec![other.to_string()]),
    }
}
