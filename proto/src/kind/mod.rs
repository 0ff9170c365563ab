//! What a resource is. Each kind that is understood has a file of its own here, which says in one
//! place how its webhooks map into the canonical model; a new one is a new file and a line in
//! [`ALL`]. What no file claims is kept under a [`generic`] kind.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::Timestamp;
use crate::event::Op;
use crate::resource::{ResourceId, gid_type};

mod address;
mod collection;
mod customer;
mod field;
pub mod generic;
mod order;
mod product;

pub use field::MappingError;

/// Every kind that is understood.
pub static ALL: &[&Spec] = &[&product::SPEC, &collection::SPEC, &customer::SPEC, &order::SPEC];

/// Longest kind name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// What a resource is: singular snake_case, such as `product`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[a-z][a-z0-9_]{0,63}$", example = "product")]
pub struct Kind(Arc<str>);

/// Why a text is not a kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} is not a kind: expected singular snake_case such as \"product\"")]
pub struct KindError {
    given: String,
}

/// All there is to know about an understood kind.
pub struct Spec {
    /// Its name, singular snake_case.
    pub name: &'static str,
    /// The type in its gids, such as `Product`.
    pub gid_type: &'static str,
    /// The webhook topics that concern it.
    pub topics: &'static [(&'static str, Coverage)],
    /// Version of the mapping below. Raised whenever [`Self::core`] gives another result for some
    /// body, so that hashes of different mappings are never compared.
    pub mapping: u8,
    /// Webhook body → canonical core: Admin GraphQL names, without volatile fields.
    pub core: fn(&Value) -> Result<Value, MappingError>,
    /// What a list shows of a canonical core.
    pub listing: fn(&Value) -> Listing,
}

/// What a topic's body says about the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The whole core, after this happened.
    Core(Op),
    /// That the resource is gone.
    Delete,
}

/// What a list shows of a resource, and what a search looks in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Listing {
    /// What a person calls it: a title, a name, an order number.
    pub title: String,
    /// Its handle, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Further words by which it is looked for: SKUs, e-mail address, vendor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
}

/// Where a webhook topic leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The kind whose history it extends.
    pub kind: Kind,
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
}

impl Kind {
    /// Parses a kind's name.
    pub fn parse(name: &str) -> Result<Self, KindError> {
        let body = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let ok = name.len() <= NAME_BYTES_MAX
            && name.bytes().all(body)
            && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if ok {
            Ok(Self(name.into()))
        } else {
            Err(KindError { given: name.chars().take(100).collect() })
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is known about it; `None` for a generic kind.
    pub fn spec(&self) -> Option<&'static Spec> {
        ALL.iter().copied().find(|spec| spec.name == self.as_str())
    }

    /// The version of its mapping, to be stored beside every hash.
    pub fn mapping(&self) -> u8 {
        self.spec().map_or(generic::MAPPING, |spec| spec.mapping)
    }

    /// The gid of one of its resources; `None` for a generic kind, whose type is not known.
    pub fn gid(&self, id: &ResourceId) -> Option<String> {
        self.spec().map(|spec| format!("gid://shopify/{}/{id}", spec.gid_type))
    }

    /// What a list shows of one of its canonical states.
    pub fn listing(&self, state: &Value) -> Listing {
        self.spec().map_or_else(|| generic::listing(state), |spec| (spec.listing)(state))
    }

    /// Reads a webhook body as a document of this kind: the one place where a received body gets
    /// its meaning. Checks that the body speaks of `id`.
    pub fn read(&self, op: Op, id: &ResourceId, body: &[u8]) -> Result<Document, MappingError> {
        let value: Value =
            serde_json::from_slice(body).map_err(|e| MappingError::Json(e.to_string()))?;
        let updated_at = field::updated_at(&value);
        let Some(spec) = self.spec() else {
            return Ok(generic::document(op, value, updated_at));
        };
        if let Some(gid) = value.get("admin_graphql_api_id").and_then(Value::as_str) {
            let same = gid_type(gid) == Some(spec.gid_type)
                && ResourceId::parse(gid).is_ok_and(|named| named == *id);
            if !same {
                return Err(MappingError::OtherResource {
                    expected: format!("{self} {id}"),
                    found: gid.into(),
                });
            }
        }
        if *id == ResourceId::unknown() {
            return Err(MappingError::Missing("id"));
        }
        if op == Op::Delete {
            return Ok(Document { state: None, updated_at: None, listing: Listing::default() });
        }
        let state = (spec.core)(&value)?;
        let listing = self.listing(&state);
        Ok(Document { state: Some(state), updated_at, listing })
    }
}

/// Where a classic webhook's topic leads. Every topic leads somewhere.
pub fn route(topic: &str) -> Route {
    for spec in ALL {
        for (known, coverage) in spec.topics {
            if *known == topic {
                let op = match coverage {
                    Coverage::Core(op) => *op,
                    Coverage::Delete => Op::Delete,
                };
                return Route { kind: Kind(spec.name.into()), op };
            }
        }
    }
    generic::route(topic)
}

/// The id of the resource that a body speaks of; [`ResourceId::unknown`] where it names none.
/// Where a number and a gid stand side by side the gid is believed, since it survives being read
/// as JSON by programs that round numbers.
pub fn identify(kind: &Kind, body: &[u8]) -> ResourceId {
    field::identity(body)
        .or_else(|| kind.spec().is_none().then(|| generic::identify(body)).flatten())
        .unwrap_or_else(ResourceId::unknown)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Kind {
    type Error = KindError;
    fn try_from(s: String) -> Result<Self, KindError> {
        Self::parse(&s)
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.0.as_ref().into()
    }
}
