//! What a payload says once it is understood, and how two states are compared.

use std::borrow::Cow;

use serde_json::Value;

use super::topic::events_node;
use super::{Kind, Listing, MappingError, Spec, field, generic, pull};
use crate::canonical::Hash;
use crate::event::{Op, Source};
use crate::resource::{Facet, ResourceId, gid_type};
use crate::{Timestamp, media};

/// How a payload came, and what it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// How: a webhook's body is REST-shaped, everything else GraphQL-shaped.
    pub source: Source,
    /// Which part of the resource it covers.
    pub facet: Facet,
    /// What it says happened.
    pub op: Op,
}

/// What a body says once it is understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The canonical state of the facet; `None` for a deletion.
    pub state: Option<Value>,
    /// When the document says it was last changed, where it does.
    pub updated_at: Option<Timestamp>,
    /// What a list shows of it.
    pub listing: Listing,
    /// What of the state does not count when it is compared: see [`Spec::beside`].
    pub(super) beside: &'static [&'static str],
}

impl Document {
    /// That there is nothing.
    pub(super) fn gone() -> Self {
        Self { state: None, updated_at: None, listing: Listing::default(), beside: &[] }
    }

    /// The state as it is compared with others.
    pub fn compared(&self) -> Option<Cow<'_, Value>> {
        let state = self.state.as_ref()?;
        if self.beside.is_empty() {
            return Some(Cow::Borrowed(state));
        }
        let mut compared = state.clone();
        leave_out(&mut compared, self.beside);
        Some(Cow::Owned(compared))
    }

    /// The hash of what is compared.
    pub fn hash(&self) -> Hash {
        Hash::of(self.compared().as_deref())
    }
}

/// Takes out what does not count, wherever the pointers lead.
pub(super) fn leave_out(state: &mut Value, pointers: &[&str]) {
    for pointer in pointers {
        let path: Vec<&str> = pointer.split('/').skip(1).collect();
        remove(state, &path);
    }
}

/// Takes a member out, or what does not count of it, wherever its path leads.
fn remove(value: &mut Value, path: &[&str]) {
    match (path, value) {
        ([name], Value::Object(members)) => match name.strip_prefix('~') {
            Some(name) => {
                if let Some(text) = members.get_mut(name) {
                    *text = field::json_text(text);
                }
            }
            None => {
                members.remove(*name);
            }
        },
        ([token], Value::Array(items)) if token.starts_with('?') => {
            items.retain(|item| !item[&token[1..]].is_null());
        }
        (["*", rest @ ..], Value::Array(items)) => {
            items.iter_mut().for_each(|item| remove(item, rest));
        }
        ([name, rest @ ..], value) => {
            if let Some(member) = value.get_mut(*name) {
                remove(member, rest);
            }
        }
        ([], _) => {}
    }
}

impl Kind {
    /// Reads a payload as a document of this kind: the one place where received bytes get their
    /// meaning. Checks that the payload speaks of `id`.
    pub fn read(
        &self,
        arrival: Arrival,
        id: &ResourceId,
        payload: &[u8],
    ) -> Result<Document, MappingError> {
        let value: Value =
            serde_json::from_slice(payload).map_err(|e| MappingError::Json(e.to_string()))?;
        let updated_at = field::updated_at(&value);
        let spec = self.spec().filter(|_| arrival.facet.is_state());
        let Some(spec) = spec else {
            return Ok(generic::document(arrival.op, value, updated_at));
        };
        let value = match (arrival.source, arrival.op) {
            // Of what is gone there is no node.
            (Source::Events, Op::Delete) => Value::Null,
            (Source::Events, _) => events_part(spec, arrival.facet, &value)?,
            _ => value,
        };
        let updated_at = updated_at.or_else(|| field::updated_at(&value));
        self.check_identity(spec, arrival, id, &value, payload)?;
        if arrival.op == Op::Delete {
            return Ok(Document::gone());
        }
        let state = match (arrival.source, spec.core) {
            (Source::Webhook, Some(core)) => core(&value)?,
            (Source::Webhook, None) => return Err(MappingError::Missing("complete webhook")),
            _ if arrival.facet == Facet::Blobs => media::canonical(value),
            _ => (spec.node)(arrival.facet, &value)?,
        };
        let listing = match arrival.facet {
            Facet::Core => self.listing(&state),
            _ => Listing::default(),
        };
        let beside = if arrival.facet == Facet::Core { spec.beside } else { &[] };
        Ok(Document { state: Some(state), updated_at, listing, beside })
    }

    /// The hash of a facet that was pulled, from the part of a plain node that it is: the same as of
    /// what [`Self::read`] makes of that part written out.
    pub fn hash_of_part(
        &self,
        spec: &Spec,
        (facet, id): (Facet, &ResourceId),
        part: &Value,
    ) -> Result<Hash, MappingError> {
        let arrival = Arrival { source: Source::Reconcile, facet, op: Op::Update };
        self.check_identity(spec, arrival, id, part, &[])?;
        let (state, listing) = (Some((spec.node)(facet, part)?), Listing::default());
        let beside = if facet == Facet::Core { spec.beside } else { &[] };
        Ok(Document { state, updated_at: None, listing, beside }.hash())
    }

    fn check_identity(
        &self,
        spec: &Spec,
        arrival: Arrival,
        id: &ResourceId,
        value: &Value,
        payload: &[u8],
    ) -> Result<(), MappingError> {
        if *id == ResourceId::unknown() {
            return Err(MappingError::Missing("id"));
        }
        let same = match arrival.source {
            Source::Webhook => {
                let gid = value.get("admin_graphql_api_id").and_then(Value::as_str);
                gid.and_then(gid_type).is_none_or(|of| spec.is_of(of))
                    && (spec.named)(payload).is_none_or(|named| named == *id)
            }
            _ => (spec.id)(value).is_none_or(|named| named == *id),
        };
        if same {
            return Ok(());
        }
        let found =
            ["admin_graphql_api_id", "id"].iter().find_map(|name| value.get(name)?.as_str());
        Err(MappingError::OtherResource {
            expected: format!("{self} {id}"),
            found: found.unwrap_or("another").into(),
        })
    }
}

/// What a delivery of Shopify's Events has of a facet, as a pull has it.
fn events_part(spec: &Spec, facet: Facet, body: &Value) -> Result<Value, MappingError> {
    let node = events_node(spec, body).ok_or(MappingError::Missing("data"))?;
    let members = spec.facets.iter().find(|members| members.facet == facet);
    let members = members.ok_or(MappingError::NotPulled(facet.as_str()))?;
    Ok(pull::plain(members.within(node)))
}
