//! What history answers with.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::event::{Op, Source};
use crate::kind::Listing;
use crate::resource::{Facet, ResourceId};
use crate::{Kind, Shop, Timestamp};

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// One recorded state of a facet, or its end, without the state itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// Its sequence in the stream: names it within its shop.
    pub seq: u64,
    /// What happened.
    pub op: Op,
    /// How we came to know.
    pub source: Source,
    /// Which part of the resource.
    pub facet: Facet,
    /// Since when it is true in the shop.
    pub valid_at: Timestamp,
    /// When the stream took it.
    pub recorded_at: Timestamp,
    /// When it reached us.
    pub received_at: Timestamp,
    /// When Shopify says that it happened.
    pub triggered_at: Option<Timestamp>,
    /// Where a pull only found out later: the earliest moment at which it may have become true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest_at: Option<Timestamp>,
    /// Shopify's topic.
    pub topic: String,
    /// API version of the payload.
    pub api_version: Option<String>,
    /// Shopify's id of the delivery.
    pub webhook_id: Option<String>,
    /// Shopify's id of the action behind it.
    pub event_id: Option<String>,
    /// BLAKE3 of the canonical state, hexadecimal; of nothing, for a tombstone.
    pub hash: String,
    /// Whether its state is the one of the version before it.
    pub unchanged: bool,
    /// Whether a person was taken out of it: its bytes are not those received.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub erased: bool,
}

/// A resource as of an instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Resource {
    /// Whose.
    pub shop: Shop,
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// Its gid, where its type is known.
    pub gid: Option<String>,
    /// Whether it had been deleted by then.
    pub deleted: bool,
    /// The version that says so.
    pub version: Version,
    /// The canonical state; for a deleted resource the last one before its end, where known.
    pub state: Value,
}

/// What a list shows of a resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// Its gid, where its type is known.
    pub gid: Option<String>,
    /// Whether it had been deleted by then.
    pub deleted: bool,
    /// Since when it is as shown.
    pub valid_at: Timestamp,
    /// Sequence of the version shown.
    pub seq: u64,
    /// What a person sees.
    #[serde(flatten)]
    pub listing: Listing,
}

/// A version together with what it changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// Its gid, where its type is known.
    pub gid: Option<String>,
    /// What a person calls it.
    pub title: String,
    /// The version that brought the change.
    #[serde(flatten)]
    pub version: Version,
    /// Field by field, old → new, against the version before it. Empty for a deletion.
    pub changes: Vec<crate::diff::FieldChange>,
}

/// The bytes of a version, as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// These.
    Bytes(Bytes),
    /// The version stored none of its own: its state equals the one of version `seq`.
    SameAs {
        /// The version that holds the bytes.
        seq: u64,
    },
}

/// The newest version of one facet of a resource, without its state: what a pull is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which resource.
    pub id: ResourceId,
    /// Which part of it.
    pub facet: Facet,
    /// Whether it is an end.
    pub deleted: bool,
    /// How we came to know.
    pub source: Source,
    /// Hash of the canonical state by the present mapping, hexadecimal.
    pub hash: String,
    /// Since when.
    pub valid_at: Timestamp,
    /// When Shopify says that it happened, or when it was read; `valid_at` where neither is known.
    pub triggered_at: Timestamp,
    /// Its sequence in the stream.
    pub seq: u64,
}

/// Something that a person, a pull or a job did: one message under an ops subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What it is: `pull`, `mark`, `plan`, `job`, ….
    pub what: String,
    /// Which one.
    pub id: String,
    /// Its sequence in the stream.
    pub seq: u64,
    /// When the stream took it.
    pub recorded_at: Timestamp,
    /// What it says.
    pub payload: Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{ShopStatus, ShopSummary};

    /// Flattened members and exact numbers do not always agree in serde.
    #[test]
    fn answers_survive_the_wire() {
        let at = Timestamp::parse("2026-10-01T14:03:00Z").expect("instant");
        let summary = ShopSummary {
            shop: Shop::parse("acme.myshopify.com").expect("shop"),
            resources: 1,
            versions: u64::MAX,
            newest_received_at: Some(at),
            lag_seconds: 0.25,
        };
        let status = ShopStatus { summary, kinds: Vec::new(), gaps: Vec::new(), quarantined: 3 };
        let text = serde_json::to_vec(&status).expect("written");
        assert_eq!(serde_json::from_slice::<ShopStatus>(&text).expect("read"), status);
        let version = Version {
            seq: u64::MAX,
            op: Op::Update,
            source: Source::Webhook,
            facet: Facet::Core,
            valid_at: at,
            recorded_at: at,
            received_at: at,
            triggered_at: None,
            earliest_at: None,
            topic: "products/update".into(),
            api_version: None,
            webhook_id: None,
            event_id: None,
            hash: String::new(),
            unchanged: false,
            erased: false,
        };
        let old: Value = serde_json::from_str("1.10").expect("number");
        let change = Change {
            kind: Kind::parse("product").expect("kind"),
            id: ResourceId::parse("1").expect("id"),
            gid: None,
            title: "Mug".into(),
            version,
            changes: crate::diff::fields(&old, &Value::Null),
        };
        let text = serde_json::to_vec(&change).expect("written");
        assert_eq!(serde_json::from_slice::<Change>(&text).expect("read"), change);
    }
}
