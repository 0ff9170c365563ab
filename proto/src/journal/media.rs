//! What is said of the bytes of media: records of what `media`, one id a kind.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kind, Timestamp};

/// The `what` of these records. Their id is the kind's name.
pub const MEDIA: &str = "media";

/// How many media a kind has, and of how many the bytes are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MediaReport {
    /// Of which kind.
    pub kind: Kind,
    /// When it was looked.
    pub at: Timestamp,
    /// Media that living resources name.
    pub media: u64,
    /// Of these, those whose bytes are kept.
    pub kept: u64,
    /// Why those of the others are not; the first few reasons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

impl MediaReport {
    /// Nothing found yet.
    pub fn new(kind: Kind, at: Timestamp) -> Self {
        Self { kind, at, media: 0, kept: 0, reasons: Vec::new() }
    }
}
