//! A whole shop in one file: `tar`, compressed with Zstandard. What is in it stands in
//! `docs/export.md`, for whoever reads one without us: what changes here changes there, and raises
//! [`FORMAT`].
//!
//! The manifest comes last: a file without one was cut, and nothing of it is taken. What is written is
//! a sequence of Zstandard frames, each on its own, so that a stream needs no more memory than one.

use std::collections::BTreeMap;

use backstock_proto::{Kind, ResourceId, Shop, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub(crate) mod adopt;
mod name;
pub(crate) mod pack;
mod part;
mod strange;
pub(crate) mod unpack;

/// What a record of an export that was brought in stands under.
pub const EXPORT: &str = "export";

/// The version of the format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

/// The name of the manifest in the file.
pub(crate) const MANIFEST: &str = "manifest.json";
/// What the names of resources begin with.
pub(crate) const RESOURCES: &str = "resources/";
/// What the names of media begin with.
pub(crate) const MEDIA: &str = "media/";

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// The version of the format.
    pub format: u32,
    /// Whose resources.
    pub shop: Shop,
    /// As of when.
    pub at: Timestamp,
    /// How many resources.
    pub resources: u64,
    /// How many of each kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// The files that hold them, in order.
    pub parts: Vec<Part>,
    /// How many media.
    pub media: u64,
    /// Media that states name and that were never kept.
    pub media_missing: u64,
}

/// A file of resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// BLAKE3 of its bytes, hexadecimal.
    pub blake3: String,
    /// How many resources it holds.
    pub resources: u64,
}

/// A resource in an export.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one, in the shop that it comes from.
    pub id: ResourceId,
    /// Its gid there.
    pub gid: Option<String>,
    /// The canonical state.
    pub state: Value,
}

/// An export that was brought in, and checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Import {
    /// Names it: BLAKE3 of the file.
    pub id: String,
    /// What it holds.
    pub manifest: Manifest,
    /// How large the file is.
    pub bytes: u64,
    /// Who brought it in.
    pub by: String,
    /// When.
    pub imported_at: Timestamp,
}
