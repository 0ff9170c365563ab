//! What kinds have in common that only the Admin API tells of: their core is the pulled document
//! without what is volatile.

use serde_json::{Map, Value};

use super::field::{self, MappingError, shown};
use super::{Listing, Personal, Spec, Writable, metafield, pull, rank};
use crate::resource::Facet;

/// A kind without a webhook that carries it. Each one says what differs.
pub(super) const PULLED: Spec = Spec {
    name: "",
    gid_type: "",
    also_gid_types: &[],
    reads: &[],
    writes: &[],
    topics: &[],
    told: &[Facet::Core],
    events_topic: None,
    glimpse: None,
    mapping: 1,
    named: field::identity,
    core: None,
    node,
    beside: &[],
    is_whole: |_| true,
    listing,
    facets: &[],
    pulls: &[],
    id: pull::by_gid,
    ask_for: |id| id.to_string(),
    references: &[],
    natural_key: &[],
    personal: Personal::None,
    rank: rank::CONTENT,
    writable: Writable::Whole,
    not_covered: "",
};

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    match facet {
        Facet::Core | Facet::Detail => match tidy(node) {
            Value::Object(mut members) => {
                // Only some ways tell of what it is a part.
                members.remove("owner");
                Ok(members.into())
            }
            _ => Err(MappingError::NotAnObject),
        },
        other => metafield::node(other, node),
    }
}

/// A document without its volatile parts: when it was touched, and the part of media addresses that
/// changes with it. An empty text is none.
pub(super) fn tidy(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "updatedAt" | "__typename"));
            kept.map(|(name, value)| (name.clone(), member(name, value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().map(tidy).collect(),
        Value::String(text) if text.is_empty() => Value::Null,
        other => other.clone(),
    }
}

fn member(name: &str, value: &Value) -> Value {
    match name {
        "tags" => field::tags(value),
        "amount" => field::money(value),
        "url" if value.is_string() => field::url(value),
        _ => tidy(value),
    }
}

fn listing(state: &Value) -> Listing {
    let title = ["title", "name", "displayName", "path", "filename", "sku"];
    Listing {
        title: title.iter().find_map(|name| shown(state, name)).unwrap_or_default(),
        handle: shown(state, "handle"),
        also: ["type", "sku", "target", "alt"]
            .iter()
            .filter_map(|name| shown(state, name))
            .collect(),
    }
}
