//! Erasing a person or a shop: who is meant, what a payload says of them, and what is left of it
//! ([`left`]). Pure.
//!
//! What is on record of an erasure names a person by the bare id only, which tells nothing to
//! anybody once everything else is gone, and by which data that comes later is recognised.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kind, ResourceId, Shop, Timestamp};

mod left;
mod speaks;

pub use left::{sweep, telling};
pub use speaks::Seeker;

/// What the record of a [`Wish`] stands under, by [`Whom::name`].
pub const ERASURE: &str = "erasure";

/// What the record of [`Messages`] stands under, by [`Whom::name`].
pub const ERASED_MESSAGES: &str = "erased_messages";

/// What the record of somebody's having been given what is held of them stands under.
pub const DATA_REQUEST: &str = "data_request";

/// Shopify's topics that concern privacy are kept under these kinds.
pub const CUSTOMER_REDACT: &str = "customer_redact";
/// The same, for a whole shop.
pub const SHOP_REDACT: &str = "shop_redact";
/// Somebody wants to know what is held of them.
pub const CUSTOMER_DATA_REQUEST: &str = "customer_data_request";

/// Days within which all of it has to be done.
pub const DUE_DAYS: i64 = 30;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;
const CUSTOMER: &str = "customer";
const ORDER: &str = "order";

/// By when all of what was asked for then has to be done.
pub fn due_at(requested_at: Timestamp) -> Timestamp {
    Timestamp::from_micros(requested_at.as_micros() + DUE_DAYS * DAY_MICROS)
}

/// Whose data goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// A customer's, and what else speaks of that person.
    Customer(ResourceId),
    /// Everything of the shop.
    Shop,
}

impl Whom {
    /// What names it within its shop: `customer-7`, `shop`.
    pub fn name(&self) -> String {
        match self {
            Self::Customer(id) => format!("customer-{id}"),
            Self::Shop => "shop".into(),
        }
    }
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Shopify, by a webhook.
    Webhook,
    /// Somebody with a token.
    Api,
}

/// That somebody's data is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Whose.
    pub whom: Whom,
    /// Orders that are known to be the person's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<ResourceId>,
    /// Who asked.
    pub via: Via,
    /// The token's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// When.
    pub requested_at: Timestamp,
    /// Of a whole shop: that it is no longer installed, or that somebody said yes.
    #[serde(default)]
    pub confirmed: bool,
}

impl Wish {
    /// Reads a compliance webhook. `None` for another kind, and for a body that speaks of another
    /// shop than the header does, which nobody signed.
    pub fn of_webhook(
        shop: &Shop,
        kind: &Kind,
        body: &[u8],
        received_at: Timestamp,
    ) -> Option<Self> {
        let customer = match kind.as_str() {
            CUSTOMER_REDACT => true,
            SHOP_REDACT => false,
            _ => return None,
        };
        let body: Redact = serde_json::from_slice(body).ok()?;
        if Shop::parse(&body.shop_domain).ok()? != *shop {
            return None;
        }
        let id = |number: &serde_json::Number| ResourceId::parse(&number.to_string()).ok();
        Some(Self {
            whom: match customer {
                true => Whom::Customer(id(&body.customer?.id)?),
                false => Whom::Shop,
            },
            orders: body.orders_to_redact.iter().filter_map(id).collect(),
            via: Via::Webhook,
            by: String::new(),
            requested_at: received_at,
            confirmed: false,
        })
    }

    /// By when all of it has to be done.
    pub fn due_at(&self) -> Timestamp {
        due_at(self.requested_at)
    }
}

/// The body of a compliance webhook.
#[derive(Deserialize)]
struct Redact {
    shop_domain: String,
    customer: Option<RedactCustomer>,
    #[serde(default)]
    orders_to_redact: Vec<serde_json::Number>,
}

#[derive(Deserialize)]
struct RedactCustomer {
    id: serde_json::Number,
}

/// Which messages an erasure takes off the stream: first and last sequence of each stretch. It is on
/// record before they go, so that nobody takes what is missing for a loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Stretches of sequences.
    pub ranges: Vec<(u64, u64)>,
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasureState {
    /// The shop is still installed, and nobody has said yes.
    Waiting,
    /// Under way.
    Open,
    /// Gone from history, from the stream and from the disk; checkpoints from before still hold it.
    Erased,
    /// Gone from those as well.
    Done,
}

/// How much went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ErasureCounts {
    /// Resources that spoke of the person.
    pub resources: u64,
    /// Versions of them, of which no more than their place in time is left.
    pub versions: u64,
    /// Records of what people, plans and jobs did.
    pub records: u64,
    /// Messages taken off the stream.
    pub messages: u64,
    /// Events kept aside.
    pub quarantined: u64,
    /// Files of media.
    pub blobs: u64,
}

/// An erasure, and the receipt that remains of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Erasure {
    /// In which shop.
    pub shop: Shop,
    /// Whose data.
    pub whom: Whom,
    /// Who asked.
    pub via: Via,
    /// The token's name, where somebody asked with one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// When it was asked for, first.
    pub requested_at: Timestamp,
    /// By when all of it has to be done.
    pub due_at: Timestamp,
    /// How far it is.
    pub state: ErasureState,
    /// Since when nothing of it is in history, on the stream or on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
    /// Since when it is in no checkpoint either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
    /// How much went.
    pub counts: ErasureCounts,
}

impl Erasure {
    /// Whether something is left to do.
    pub fn is_open(&self) -> bool {
        self.state != ErasureState::Done
    }
}

/// What in a shop speaks of a person: what an erasure would reach, and what a request for one's data
/// answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Concerned {
    /// Resources, by kind and id.
    pub resources: Vec<ConcernedResource>,
    /// Records of what people, plans and jobs did.
    pub records: u64,
    /// Events kept aside.
    pub quarantined: u64,
}

/// A resource that speaks of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConcernedResource {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// How many versions there are of it.
    pub versions: u64,
}

/// The same, for whoever is about to say yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// Whose data.
    pub whom: Whom,
    /// How many resources of each kind speak of the person; of a shop, all there are.
    pub kinds: BTreeMap<Kind, u64>,
    /// One by one.
    pub concerned: Concerned,
}

/// What was erased in a shop, and must not come back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    resources: BTreeMap<Kind, BTreeSet<ResourceId>>,
}

impl Erased {
    /// Adds a resource: a customer, or something that spoke of one.
    pub fn add(&mut self, kind: Kind, id: ResourceId) -> bool {
        self.resources.entry(kind).or_default().insert(id)
    }

    /// Whether nothing ever was.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Whether a resource was.
    pub fn has(&self, kind: &Kind, id: &ResourceId) -> bool {
        self.resources.get(kind).is_some_and(|ids| ids.contains(id))
    }

    /// All of them.
    pub fn resources(&self) -> impl Iterator<Item = (&Kind, &ResourceId)> {
        self.resources.iter().flat_map(|(kind, ids)| ids.iter().map(move |id| (kind, id)))
    }

    fn is_one(&self, kind: &str, id: &str) -> bool {
        let Ok(id) = ResourceId::parse(id) else { return false };
        self.resources.iter().any(|(of, ids)| of.as_str() == kind && ids.contains(&id))
    }
}
