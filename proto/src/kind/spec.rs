//! What a kind's file says of it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::document::leave_out;
use super::pull::Way;
use super::{Listing, MappingError, event, pull};
use crate::event::Op;
use crate::resource::{Facet, ResourceId, gid_type};

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
    /// A question without variables that costs little, for a kind of which nothing tells: its answer is
    /// another one after most changes, and stays as it is as long as nothing does.
    pub glimpse: Option<&'static str>,
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
    /// `?name` for those whose member of that name is null, `~name` for how the JSON in a text is written.
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
    /// Only what is there already: it is never made anew and never goes. The sentence says what of it is
    /// written.
    InPlace(&'static str),
    /// Not at all: it is an archive. The sentence says why.
    Archive(&'static str),
}

impl Writable {
    /// Why a resource of the kind is neither made anew nor deleted; `None` where it is.
    pub fn stays(self) -> Option<&'static str> {
        match self {
            Self::Whole | Self::Partly(_) => None,
            Self::InPlace(why) | Self::Archive(why) => Some(why),
        }
    }
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

/// How soon it is heard that a resource changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// A webhook tells of it, and what that leaves open is asked for at once.
    Seconds,
    /// No webhook does, but Shopify's own log, which is read every half minute or so and shows what
    /// happened up to minutes later.
    Minute,
    /// Nothing does, but all of it is told in a few questions, which are asked several times an hour.
    Hour,
    /// Nothing does. A question that is asked several times an hour shows most changes, and has all of the
    /// kind read; others are seen when it is read anyway.
    Mostly,
    /// Nothing does: it is seen when all of the kind is read.
    #[default]
    Nightly,
}

/// Most resources of a kind that is read several times an hour.
pub const FEW_MAX: u64 = 100;
/// Most resources of a kind that is read whole as soon as a glimpse shows that something changed.
pub const GLIMPSED_MAX: u64 = 10_000;

impl Spec {
    /// How soon it is heard that one of its resources changed.
    pub fn heard(&self) -> Heard {
        let logged = event::LOGGED.contains(&self.gid_type) || self.name == event::NAME;
        match (self.topics.is_empty(), logged) {
            (false, _) => Heard::Seconds,
            (true, true) => Heard::Minute,
            (true, false) if self.is_told_in_few() => Heard::Hour,
            (true, false) if self.glimpse.is_some() => Heard::Mostly,
            (true, false) => Heard::Nightly,
        }
    }

    /// Whether all of it is told in a few questions, as long as there is not much of it.
    fn is_told_in_few(&self) -> bool {
        self.pulls.iter().all(|pull| match pull.way {
            Way::Pages { more, each, .. } => {
                more.is_empty() && each.is_empty() && pull.explode.is_none()
            }
            Way::Single { .. } | Way::ById { .. } => true,
            Way::Bulk { .. } => false,
        })
    }

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
        let mut asked = HashSet::new();
        gids.retain(|gid| asked.insert(gid.clone()));
        let further = self.also_gid_types.iter().flat_map(|also| {
            gids.iter()
                .map(move |gid| gid.replace(&format!("/{}/", self.gid_type), &format!("/{also}/")))
        });
        gids.iter().cloned().chain(further).collect()
    }

    /// Some resources in portions, each of which is asked for by at most so many gids: what is read
    /// together, such as the files of a theme, is in the same one.
    pub fn portions<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a ResourceId>,
        gids_max: usize,
    ) -> Vec<Vec<ResourceId>> {
        let mut by_gid: BTreeMap<String, Vec<&ResourceId>> = BTreeMap::new();
        for id in ids {
            by_gid.entry((self.ask_for)(id)).or_default().push(id);
        }
        let together: Vec<Vec<&ResourceId>> = by_gid.into_values().collect();
        let some = together.chunks(gids_max.max(1));
        some.map(|some| some.iter().flatten().copied().cloned().collect()).collect()
    }

    /// The resource of another kind that one of this kind is a part of: it is asked for in its place,
    /// and both go together.
    pub fn owner(&self, id: &ResourceId) -> Option<(&'static Self, ResourceId)> {
        let gid = (self.ask_for)(id);
        let of = gid_type(&gid).filter(|of| !self.is_of(of))?;
        let owner = super::ALL.iter().copied().find(|spec| spec.is_of(of))?;
        Some((owner, ResourceId::parse(&gid).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ALL;
    use super::*;

    fn spec(name: &str) -> &'static Spec {
        ALL.iter().find(|spec| spec.name == name).expect("a kind")
    }

    fn ids(texts: &[&str]) -> Vec<ResourceId> {
        texts.iter().map(|text| ResourceId::parse(text).expect("an id")).collect()
    }

    #[test]
    fn what_nothing_tells_of_and_few_questions_do_is_read_often() {
        let often = ALL.iter().filter(|spec| spec.heard() == Heard::Hour);
        let often: Vec<&str> = often.map(|spec| spec.name).collect();
        let few = ["menu", "metaobject_definition", "publication", "policy", "script_tag"];
        assert_eq!(often, few);
        let nightly = ALL.iter().filter(|spec| spec.heard() == Heard::Nightly);
        let nightly: Vec<&str> = nightly.map(|spec| spec.name).collect();
        assert_eq!(nightly, ["translation"]);
    }

    #[test]
    fn a_glimpse_is_had_of_what_nothing_else_tells_of() {
        for spec in ALL.iter().filter(|spec| spec.glimpse.is_some()) {
            assert_eq!(spec.heard(), Heard::Mostly, "{}", spec.name);
        }
    }

    #[test]
    fn what_is_read_together_is_asked_for_once() {
        let files = ids(&["7-a", "8-a", "7-b", "8-b", "7-c"]);
        let portions = spec("theme_file").portions(&files, 1);
        assert_eq!(portions, [ids(&["7-a", "7-b", "7-c"]), ids(&["8-a", "8-b"])]);
        assert_eq!(spec("theme_file").gids(&files).len(), 2, "whatever lies between them");
        let pages = ids(&["1", "2", "3"]);
        assert_eq!(spec("page").portions(&pages, 2), [ids(&["1", "2"]), ids(&["3"])]);
        assert!(spec("page").portions(&[], 2).is_empty());
    }

    #[test]
    fn a_part_is_known_by_what_it_is_a_part_of() {
        let owner = |of: &str, id: &str| {
            let (owner, id) = spec(of).owner(&ids(&[id])[0])?;
            Some((owner.name, id.to_string()))
        };
        assert_eq!(owner("theme_file", "7-assets/a.css"), Some(("theme", "7".into())));
        assert_eq!(owner("inventory_level", "7-9"), Some(("inventory_item", "7".into())));
        assert_eq!(owner("translation", "Page-7-fr-title"), Some(("page", "7".into())));
        // No kind of its own.
        assert_eq!(owner("translation", "ProductOption-7-fr-name"), None);
        let parts = ALL.iter().filter(|spec| spec.owner(&ids(&["7"])[0]).is_some());
        let parts: Vec<&str> = parts.map(|spec| spec.name).collect();
        assert_eq!(parts, ["inventory_level", "theme_file"], "all others are asked for themselves");
    }
}
