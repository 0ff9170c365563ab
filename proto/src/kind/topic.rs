//! Where what Shopify sends leads: the kind and the resource that a topic and its body speak of.

use serde_json::Value;

use super::{ALL, Coverage, Kind, Spec, field, generic, pull};
use crate::event::Op;
use crate::resource::{Facet, ResourceId, gid_type};

/// Where a webhook topic leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The kind whose history it extends.
    pub kind: Kind,
    /// What it says happened.
    pub op: Op,
    /// Which part of the resource it covers.
    pub facet: Facet,
}

/// Where a classic webhook's topic leads. Every topic leads somewhere.
pub fn route(topic: &str) -> Route {
    for spec in ALL {
        for (known, coverage) in spec.topics {
            if *known == topic {
                let (op, facet) = match coverage {
                    Coverage::Core(op) => (*op, Facet::Core),
                    Coverage::Delete => (Op::Delete, Facet::Core),
                    Coverage::Signal => (Op::Update, Facet::Signal),
                };
                return Route { kind: Kind(spec.name.into()), op, facet };
            }
        }
    }
    generic::route(topic)
}

/// Where a delivery of Shopify's Events leads, and of which resource it tells. Its data is the answer to
/// a query of the subscription's own: the core only where that selects and gives all of it.
pub fn route_event(topic: &str, action: Option<&str>, body: &[u8]) -> (Route, ResourceId) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let action = action.or_else(|| body.get("action")?.as_str()).unwrap_or_default();
    let Some(spec) = ALL.iter().copied().find(|spec| spec.events_topic == Some(topic)) else {
        let id = asked_with(&body, |of| of == topic).unwrap_or_else(ResourceId::unknown);
        return (generic::route(format!("{topic}/{action}").trim_end_matches('/')), id);
    };
    let node = events_node(spec, &body);
    let id = node.and_then(|node| (spec.id)(node));
    let id = id.or_else(|| asked_with(&body, |of| spec.is_of(of)));
    let op = match action {
        "create" => Op::Create,
        "delete" => Op::Delete,
        _ => Op::Update,
    };
    let (op, facet) = match id {
        None => (Op::Update, Facet::Signal),
        Some(_) if op == Op::Delete => (op, Facet::Core),
        Some(_) if node.is_some_and(|node| has_core(spec, node)) => (op, Facet::Core),
        Some(_) => (op, Facet::Signal),
    };
    (Route { kind: Kind::of(spec), op, facet }, id.unwrap_or_else(ResourceId::unknown))
}

/// The resource of some type that the query of an event was asked with.
fn asked_with(body: &Value, is_of: impl Fn(&str) -> bool) -> Option<ResourceId> {
    let mut gids = body.get("query_variables")?.as_object()?.values().filter_map(Value::as_str);
    let gid = gids.find(|gid| gid_type(gid).is_some_and(&is_of))?;
    ResourceId::parse(gid).ok()
}

/// Whether a node that has not been made plain yet has all that there is to the core.
fn has_core(spec: &Spec, node: &Value) -> bool {
    let members = spec.facets.iter().find(|members| members.facet == Facet::Core);
    let part = members.and_then(|members| members.of(node)).filter(pull::is_whole);
    let core = part.and_then(|part| (spec.node)(Facet::Core, &pull::plain(part)).ok());
    core.is_some_and(|core| (spec.is_whole)(&core))
}

/// The id of the resource that a body speaks of; [`ResourceId::unknown`] where it names none.
/// Where a number and a gid stand side by side the gid is believed, since it survives being read
/// as JSON by programs that round numbers.
pub fn identify(kind: &Kind, body: &[u8]) -> ResourceId {
    let named = match kind.spec() {
        Some(spec) => (spec.named)(body),
        None => field::identity(body).or_else(|| generic::identify(body)),
    };
    named.unwrap_or_else(ResourceId::unknown)
}

/// The node of a kind within a delivery of Shopify's Events: the member of its `data` that is one.
pub(super) fn events_node<'a>(spec: &Spec, body: &'a Value) -> Option<&'a Value> {
    let mut nodes = body.get("data")?.as_object()?.values();
    nodes.find(|node| node["id"].as_str().and_then(gid_type).is_some_and(|of| spec.is_of(of)))
}
