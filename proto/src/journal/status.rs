//! What is known of a shop as a whole: how much there is kind by kind, how far behind the stream it is,
//! and what the journal never saw.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MediaReport, PullReport};
use crate::kind::Heard;
use crate::{Kind, Shop, Timestamp};

/// What is known of a shop, in one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShopSummary {
    /// Which shop.
    pub shop: Shop,
    /// Living resources.
    pub resources: u64,
    /// Versions kept.
    pub versions: u64,
    /// When the newest event reached us.
    pub newest_received_at: Option<Timestamp>,
    /// Age in seconds of the oldest event that is not yet readable; 0 when caught up.
    #[serde(deserialize_with = "seconds")]
    pub lag_seconds: f64,
}

/// Reads a number that stands in a flattened struct: serde buffers those, and serde_json's exact
/// numbers come out of the buffer as a [`serde_json::Number`] only.
fn seconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let number = serde_json::Number::deserialize(from)?;
    number.as_f64().ok_or_else(|| serde::de::Error::custom("a number of seconds is too large"))
}

/// What is known of one kind in a shop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KindStatus {
    /// Which kind.
    pub kind: Kind,
    /// Living resources.
    pub resources: u64,
    /// Deleted resources that history still holds.
    pub deleted: u64,
    /// Versions kept, markers included.
    pub versions: u64,
    /// Valid time of the newest version.
    pub newest_version: Option<Timestamp>,
    /// Whether its bodies are understood; a generic kind is kept as received.
    pub understood: bool,
    /// How soon it is heard that one of its resources changed.
    #[serde(default)]
    pub heard: Heard,
    /// What the newest pull says of itself: how far it is, or how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullReport>,
    /// The newest pull that read everything, with the drift that it found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_complete_pull: Option<PullReport>,
    /// How many media there are of this kind, and of how many the bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<MediaReport>,
    /// What of this kind cannot be kept, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_covered: Option<String>,
}

/// What is known of a shop, per kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShopStatus {
    /// Which shop.
    #[serde(flatten)]
    pub summary: ShopSummary,
    /// Kind by kind, in order of their names.
    pub kinds: Vec<KindStatus>,
    /// Stream sequences that were missing when the journal read on: what stood there is unknown.
    pub gaps: Vec<Gap>,
    /// Events that could not be understood and are kept aside.
    pub quarantined: u64,
}

/// Stream sequences that the journal never saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// First missing sequence.
    pub from_seq: u64,
    /// Last missing sequence.
    pub to_seq: u64,
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// Whether every kind that is pulled has been read anew since, so that nothing is missing now.
    #[serde(default)]
    pub healed: bool,
    /// The pulls that did that, kind by kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub healed_by: Vec<Healing>,
}

impl Gap {
    /// A gap that nothing has healed yet.
    pub fn new(from_seq: u64, to_seq: u64, noticed_at: Timestamp) -> Self {
        Self { from_seq, to_seq, noticed_at, healed: false, healed_by: Vec::new() }
    }
}

/// A pull that made good what a gap hid of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Healing {
    /// Which kind was read anew.
    pub kind: Kind,
    /// When that pull ended.
    pub at: Timestamp,
}
