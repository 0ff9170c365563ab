//! Which resources something happened to, told without reading what.

use serde::{Deserialize, Serialize};

use super::Version;
use crate::event::{Op, Source};
use crate::resource::ResourceId;
use crate::{Kind, Timestamp};

/// Where a version stands in its resource's history: by when it became true, then by when Shopify
/// says that it happened, then by the stream. Later is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Since when it is true in the shop.
    pub valid_at: Timestamp,
    /// When Shopify says that it happened; `valid_at` where it does not say.
    pub triggered_at: Timestamp,
    /// Its sequence in the stream.
    pub seq: u64,
}

/// A resource that has versions within a span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// Whether it was there just before the span.
    pub before: bool,
    /// Whether it was there at the end of the span.
    pub after: bool,
    /// Its first version, if that lies within the span.
    pub began: Option<Began>,
}

/// How history first came to know of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// What is said to have happened.
    pub op: Op,
    /// How we came to know.
    pub source: Source,
    /// Since when it is true.
    pub valid_at: Timestamp,
    /// Where a pull only found out later: the earliest moment at which it may have become true.
    pub earliest_at: Option<Timestamp>,
}

impl Version {
    /// Where it stands among the versions of its resource.
    pub fn place(&self) -> Place {
        Place {
            valid_at: self.valid_at,
            triggered_at: self.triggered_at.unwrap_or(self.valid_at),
            seq: self.seq,
        }
    }
}

impl Began {
    /// Whether it is certain that there was no such resource before `from`: its making was told, or
    /// a look at the shop since had not found it.
    pub fn is_since(&self, from: Timestamp) -> bool {
        let told = self.op == Op::Create
            && matches!(self.source, Source::Webhook | Source::Events | Source::Restore);
        (told && self.valid_at >= from) || self.earliest_at.is_some_and(|earliest| earliest >= from)
    }
}
