//! What a kind's file says of it.

use serde_json::Value;

use super::document::leave_out;
use super::{Listing, MappingError, pull};
use crate::event::Op;
use crate::resource::{Facet, ResourceId};

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
