//! What a resource is. Each kind that is understood has a file of its own here, which says in one
//! place how its webhooks map into the canonical model; a new one is a new file and a line in
//! [`ALL`]. What no file claims is kept under a [`generic`] kind.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::Timestamp;
use crate::canonical::Hash;
use crate::event::{Op, Source};
use crate::media;
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
mod metafield_definition;
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
mod theme;
mod theme_file;
mod translation;

pub use field::MappingError;

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

/// Webhook body → canonical core.
pub type WebhookMapping = fn(&Value) -> Result<Value, MappingError>;

/// All there is to know about an understood kind.
pub struct Spec {
    /// Its name, singular snake_case.
    pub name: &'static str,
    /// The type in its gids, such as `Product`.
    pub gid_type: &'static str,
    /// Further types that its webhooks call it by: a discount is a `DiscountCodeNode` there.
    pub also_gid_types: &'static [&'static str],
    /// The access scopes that reading it takes.
    pub reads: &'static [&'static str],
    /// The access scopes that writing it takes; one to write is one to read as well.
    pub writes: &'static [&'static str],
    /// The webhook topics that concern it.
    pub topics: &'static [(&'static str, Coverage)],
    /// The facets that those tell of, or have asked for: otherwise than in the shop, they drifted.
    pub told: &'static [Facet],
    /// The topic of Shopify's Events that concerns it, such as `Product`.
    pub events_topic: Option<&'static str>,
    /// Version of the mappings below. Raised whenever one gives another result for some body, so
    /// that hashes of different mappings are never compared.
    pub mapping: u8,
    /// The resource that a webhook body speaks of.
    pub named: fn(&[u8]) -> Option<ResourceId>,
    /// Webhook body → canonical core, for a kind with a webhook that carries it: Admin GraphQL
    /// names, without volatile fields.
    pub core: Option<WebhookMapping>,
    /// A facet's payload as pulled (see [`pull::Members`]) → canonical facet. The core of the same
    /// state is the same as by [`Self::core`].
    pub node: fn(Facet, &Value) -> Result<Value, MappingError>,
    /// Pointers to what only some ways of arrival tell of the core; `*` stands for every element,
    /// `?name` for those whose member of that name is null.
    /// It is kept, and does not count when two states are compared.
    pub beside: &'static [&'static str],
    /// Whether a canonical core has everything that there is to it: false for a product whose
    /// webhook could not carry all variants.
    pub is_whole: fn(&Value) -> bool,
    /// What a list shows of a canonical core.
    pub listing: fn(&Value) -> Listing,
    /// The facets that make it up, `Core` first.
    pub facets: &'static [pull::Members],
    /// How the Admin API is asked for it.
    pub pulls: &'static [pull::Pull],
    /// The resource that a plain node is; `None` where the node does not say.
    pub id: fn(&Value) -> Option<ResourceId>,
    /// The gid to ask for when one resource is pulled by its id.
    pub ask_for: fn(&ResourceId) -> String,
    /// Pointers to the gids of other resources in the canonical state; `*` stands for every element.
    pub references: &'static [&'static str],
    /// Members that name it in the shop beside its id, such as `handle`: by them it is found again
    /// after it was recreated.
    pub natural_key: &'static [&'static str],
    /// What personal data it holds.
    pub personal: Personal,
    /// Restored after everything of a lower rank: see [`rank`].
    pub rank: u8,
    /// How far it can be written back.
    pub writable: Writable,
    /// What of it cannot be kept, and why, in one sentence for people; empty where all of it is.
    pub not_covered: &'static str,
}

/// Whose data a kind holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personal {
    /// Nobody's.
    None,
    /// The resource is about one person, and goes when that person is erased.
    Subject,
    /// It speaks of a person at these pointers into its payloads, of whatever shape, which are blanked
    /// when that person is erased; `*` stands for every element, `@` for those that name the person.
    Mentions(&'static [&'static str]),
}

/// How far a kind can be written back to the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writable {
    /// All that its state holds.
    Whole,
    /// Most of it; the sentence says what not.
    Partly(&'static str),
    /// Not at all: it is an archive. The sentence says why.
    Archive(&'static str),
}

/// The order of restoring: what is referred to comes before what refers.
pub mod rank {
    #![allow(missing_docs)]
    pub const SHOP: u8 = 0;
    pub const DEFINITIONS: u8 = 10;
    pub const LOCATIONS: u8 = 15;
    pub const FILES: u8 = 20;
    pub const METAOBJECTS: u8 = 30;
    pub const PRODUCTS: u8 = 40;
    pub const INVENTORY: u8 = 45;
    pub const COLLECTIONS: u8 = 50;
    pub const CUSTOMERS: u8 = 55;
    pub const COMPANIES: u8 = 57;
    pub const COMPANY_CONTACTS: u8 = 58;
    pub const COMPANY_LOCATIONS: u8 = 59;
    pub const CONTENT: u8 = 60;
    pub const NAVIGATION: u8 = 70;
    pub const PRICING: u8 = 80;
    pub const DRAFT_ORDERS: u8 = 85;
    pub const TRANSLATIONS: u8 = 90;
    pub const THEMES: u8 = 100;
    pub const ARCHIVES: u8 = 200;
}

/// What a topic's body says about the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The whole core, after this happened.
    Core(Op),
    /// That the resource is gone.
    Delete,
    /// That something about it changed which the body does not tell, or not all of: it is pulled.
    Signal,
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
    /// Which part of the resource it covers.
    pub facet: Facet,
}

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
    beside: &'static [&'static str],
}

impl Document {
    /// That there is nothing.
    fn gone() -> Self {
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

/// Takes members out, wherever their pointers lead.
fn leave_out(state: &mut Value, pointers: &[&str]) {
    for pointer in pointers {
        let path: Vec<&str> = pointer.split('/').skip(1).collect();
        remove(state, &path);
    }
}

/// Takes a member out, wherever its path leads.
fn remove(value: &mut Value, path: &[&str]) {
    match (path, value) {
        ([name], Value::Object(members)) => {
            members.remove(*name);
        }
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

    /// The kind that a spec describes.
    pub fn of(spec: &'static Spec) -> Self {
        Self(spec.name.into())
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

impl Spec {
    /// Whether gids of a type name its resources.
    pub fn is_of(&self, gid_type: &str) -> bool {
        gid_type == self.gid_type || self.also_gid_types.contains(&gid_type)
    }

    /// Takes out of a state what does not count when it is compared with another.
    pub fn leave_out_beside(&self, state: &mut Value) {
        leave_out(state, self.beside);
    }

    /// The gids to ask for when some resources are pulled by their ids: of each type that they may
    /// be of, of which one is found.
    pub fn gids(&self, ids: &[ResourceId]) -> Vec<String> {
        let mut gids: Vec<String> = ids.iter().map(|id| (self.ask_for)(id)).collect();
        gids.dedup();
        let further = self.also_gid_types.iter().flat_map(|also| {
            gids.iter()
                .map(move |gid| gid.replace(&format!("/{}/", self.gid_type), &format!("/{also}/")))
        });
        gids.iter().cloned().chain(further).collect()
    }
}

/// For a facet that the kind does not have.
fn not_pulled(facet: Facet, _: &Value) -> Result<Value, MappingError> {
    Err(MappingError::NotPulled(facet.as_str()))
}

/// What a delivery of Shopify's Events has of a facet, as a pull has it.
fn events_part(spec: &Spec, facet: Facet, body: &Value) -> Result<Value, MappingError> {
    let node = events_node(spec, body).ok_or(MappingError::Missing("data"))?;
    let members = spec.facets.iter().find(|members| members.facet == facet);
    let members = members.ok_or(MappingError::NotPulled(facet.as_str()))?;
    Ok(pull::plain(members.within(node)))
}

/// The node of a kind within a delivery of Shopify's Events: the member of its `data` that is one.
fn events_node<'a>(spec: &Spec, body: &'a Value) -> Option<&'a Value> {
    let mut nodes = body.get("data")?.as_object()?.values();
    nodes.find(|node| node["id"].as_str().and_then(gid_type).is_some_and(|of| spec.is_of(of)))
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
