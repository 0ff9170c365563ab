//! What a resource is. Each kind that is understood has a file of its own here, which says in one
//! place how its webhooks map into the canonical model; a new one is a new file and a line in
//! [`ALL`]. What no file claims is kept under a [`generic`] kind.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::resource::{Facet, ResourceId, gid_type};

mod address;
mod article;
mod blog;
mod catalog;
mod collection;
mod company;
mod company_contact;
mod company_location;
mod customer;
mod delivery_profile;
mod discount;
mod document;
mod draft_order;
pub mod event;
mod field;
mod file;
pub mod generic;
mod gift_card;
mod inventory_item;
mod inventory_level;
mod location;
mod market;
mod menu;
mod metafield;
pub mod metafield_definition;
mod metaobject;
mod metaobject_definition;
mod order;
mod page;
mod policy;
mod price_list;
mod product;
mod publication;
pub mod pull;
mod pulled;
mod redirect;
pub mod scopes;
mod script_tag;
mod segment;
mod selling_plan_group;
mod shop;
mod spec;
mod theme;
mod theme_file;
mod topic;
mod translation;

pub use document::{Arrival, Document};
pub use field::MappingError;
pub use spec::{
    Coverage, FEW_MAX, GLIMPSED_MAX, Heard, Personal, Spec, WebhookMapping, Writable, rank,
};
pub use topic::{Route, identify, route, route_event};

/// Every kind that is understood.
pub static ALL: &[&Spec] = &[
    &product::SPEC,
    &collection::SPEC,
    &customer::SPEC,
    &order::SPEC,
    &page::SPEC,
    &blog::SPEC,
    &article::SPEC,
    &redirect::SPEC,
    &menu::SPEC,
    &file::SPEC,
    &metaobject_definition::SPEC,
    &metaobject::SPEC,
    &location::SPEC,
    &inventory_item::SPEC,
    &inventory_level::SPEC,
    &gift_card::SPEC,
    &segment::SPEC,
    &market::SPEC,
    &publication::SPEC,
    &theme::SPEC,
    &theme_file::SPEC,
    &shop::SPEC,
    &policy::SPEC,
    &metafield_definition::SPEC,
    &discount::SPEC,
    &price_list::SPEC,
    &catalog::SPEC,
    &translation::SPEC,
    &draft_order::SPEC,
    &company::SPEC,
    &company_location::SPEC,
    &company_contact::SPEC,
    &selling_plan_group::SPEC,
    &delivery_profile::SPEC,
    &script_tag::SPEC,
    &event::SPEC,
];

/// Their names, each once: of whatever is told there may be hundreds of thousands of one kind.
static NAMES: LazyLock<HashMap<&'static str, Arc<str>>> =
    LazyLock::new(|| ALL.iter().map(|spec| (spec.name, spec.name.into())).collect());

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

impl Kind {
    /// Parses a kind's name.
    pub fn parse(name: &str) -> Result<Self, KindError> {
        if let Some(known) = NAMES.get(name) {
            return Ok(Self(known.clone()));
        }
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

    /// The kind that a spec describes.
    pub fn of(spec: &'static Spec) -> Self {
        Self(NAMES.get(spec.name).cloned().unwrap_or_else(|| spec.name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What is known about it; `None` for a generic kind.
    pub fn spec(&self) -> Option<&'static Spec> {
        ALL.iter().copied().find(|spec| spec.name == self.as_str())
    }

    /// The facets that make up one of its resources, `Core` first.
    pub fn facets(&self) -> impl Iterator<Item = Facet> + use<> {
        let others = self.spec().map(|spec| spec.facets).unwrap_or_default().iter();
        let others = others.map(|members| members.facet).filter(|facet| *facet != Facet::Core);
        std::iter::once(Facet::Core).chain(others)
    }

    /// Whether its resources are a log of what happened rather than things of the shop: nobody
    /// edits, restores or browses them, and lists hold them only when asked for them by kind.
    pub fn is_log(&self) -> bool {
        self.as_str() == event::NAME
    }

    /// How soon it is heard that one of its resources changed: of a generic kind only webhooks tell.
    pub fn heard(&self) -> Heard {
        self.spec().map_or(Heard::Seconds, Spec::heard)
    }

    /// The version of its mapping, to be stored beside every hash.
    pub fn mapping(&self) -> u8 {
        self.spec().map_or(generic::MAPPING, |spec| spec.mapping)
    }

    /// The gid of one of its resources, as most of them have it; `None` for a generic kind, whose type is
    /// not known.
    pub fn gid(&self, id: &ResourceId) -> Option<String> {
        self.spec().map(|spec| format!("gid://shopify/{}/{id}", spec.gid_type))
    }

    /// The same, as its state says it where it does: a file may be of several types.
    pub fn gid_of(&self, id: &ResourceId, state: &Value) -> Option<String> {
        let is_its_own = |gid: &&str| {
            let of = gid_type(gid).zip(self.spec());
            of.is_some_and(|(of, spec)| spec.is_of(of))
                && ResourceId::parse(gid).is_ok_and(|named| named == *id)
        };
        let said = state.get("id").and_then(Value::as_str).filter(is_its_own);
        said.map(str::to_owned).or_else(|| self.gid(id))
    }

    /// What a list shows of one of its canonical states.
    pub fn listing(&self, state: &Value) -> Listing {
        self.spec().map_or_else(|| generic::listing(state), |spec| (spec.listing)(state))
    }
}

/// For a facet that the kind does not have.
fn not_pulled(facet: Facet, _: &Value) -> Result<Value, MappingError> {
    Err(MappingError::NotPulled(facet.as_str()))
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
