//! What would bring the shop to a wanted state: the exact writes, each with what it expects to find.
//!
//! A plan never changes once it is made, and the same history gives the same plan, down to its
//! digest. Making one writes nothing.

use std::ops::Range;

use backstock_proto::journal::JournalError;
use backstock_proto::merge::{Field, FieldPath, Kept, OnConflict};
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change_set::ChangeSetId;
use crate::record::RecordError;

mod candidate;
mod consequence;
mod follow;
mod foreign;
pub(crate) mod gather;
mod identity;
pub(crate) mod make;
mod order;
mod ours;
pub mod row;
pub mod select;
mod source;
mod stock;
pub(crate) mod store;
mod tally;
mod translated;
pub mod undo;
mod unread;

pub(crate) use order::{in_order, natural_key};
pub(crate) use tally::is_referred_to;
pub(crate) use translated::TRANSLATION;

/// What a record of a plan stands under.
pub const PLAN: &str = "plan";

/// What is wanted. Exactly one of `at`, `change_set`, `app`, `from`, `export` and `undo` says what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The shop as it was at this instant; what happened after `to`, if given, stays.
    pub at: Option<Timestamp>,
    /// This change-set undone.
    pub change_set: Option<String>,
    /// What this app did between `from` and `to` undone.
    pub app: Option<String>,
    /// With `app`, or alone: everything undone that happened from this instant on.
    pub from: Option<Timestamp>,
    /// The last instant whose changes are undone; now, by default.
    pub to: Option<Timestamp>,
    /// What this export holds.
    pub export: Option<String>,
    /// What this job wrote undone.
    pub undo: Option<String>,
    /// Which resources, and what of them.
    pub select: Select,
    /// What may be done.
    pub modes: Modes,
    /// What becomes of fields that somebody changed later.
    pub on_conflict: OnConflict,
    /// Whether amounts in stock are written too, where there is stock. They move with every sale, so an
    /// old amount is usually wrong. What comes back has the stock that was last known of it anyway.
    pub inventory: bool,
}

impl Request {
    /// When what is undone began, as far as it says so.
    pub(crate) fn begins(&self) -> Option<Timestamp> {
        let set = self.change_set.as_deref().and_then(|id| ChangeSetId::parse(id).ok());
        set.map(|set| set.valid_at).or(self.from)
    }
}

/// Which resources; all of them, where nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Select {
    /// Of these kinds.
    pub kinds: Vec<Kind>,
    /// Numbers or gids.
    pub ids: Vec<String>,
    /// Whose title, handle or SKU holds this text, now or before what is taken back.
    pub q: Option<String>,
    /// Only these fields: JSON Pointers, whole parts of the resource included; `*` stands for every
    /// element of a list.
    pub fields: Vec<String>,
}

/// What a plan may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Modes {
    /// Create what is missing.
    pub create: bool,
    /// Update what is different.
    pub update: bool,
    /// Delete what is new. Customers, companies with their contacts and locations, and draft orders stay
    /// unless `select` names their kinds or ids, or what is undone is one change-set, app or job.
    pub delete_new: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self { create: true, update: true, delete_new: false }
    }
}

/// What a row does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Make it anew, with a new id.
    Create,
    /// Change some of its fields.
    Update,
    /// Delete it.
    Delete,
    /// Nothing: somebody changed it later.
    Keep,
    /// Nothing: Shopify does not let it be written. The row's notes say why, and what to do by hand.
    Cannot,
}

/// What is done to one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Row {
    /// Its place in the plan, from 0: rows are in the order in which they are written.
    pub n: u64,
    /// What sort of thing.
    pub kind: Kind,
    /// Which one, by the id that history knows it by.
    pub id: ResourceId,
    /// Its gid.
    pub gid: Option<String>,
    /// What a person calls it.
    pub title: String,
    /// What is done.
    pub action: Action,
    /// For an update: the fields that are written, `old` being what is expected to be there. For a
    /// creation: what becomes different from the state of `of`, which is mostly nothing; without an
    /// `of`, the whole state at the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
    /// Fields that stay as they are because somebody changed them later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// Fields that differ and cannot be written, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unwritable: Vec<Unwritable>,
    /// The instant whose state a creation makes anew, as history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<Timestamp>,
    /// What a person should know: new ids, what to do by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The newest version of it that the plan knows: if there are newer ones, it has moved since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Points of the cost budget that it takes, about.
    pub cost: f64,
}

/// A field that differs and stays so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Unwritable {
    /// Which one.
    pub path: FieldPath,
    /// Why, and what to do by hand.
    pub why: String,
}

/// How many rows do what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Counts {
    /// Created anew.
    pub create: u64,
    /// Updated.
    pub update: u64,
    /// Deleted.
    pub delete: u64,
    /// Left alone because of later changes: whole resources.
    pub keep: u64,
    /// Fields left alone because of later changes.
    pub kept_fields: u64,
    /// That cannot be written.
    pub cannot: u64,
    /// Selected, and already as wanted.
    pub same: u64,
}

impl Counts {
    /// All rows of a plan.
    pub(crate) fn rows(&self) -> u64 {
        self.create + self.update + self.delete + self.keep + self.cannot
    }
}

/// A plan, without its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Names it.
    pub id: String,
    /// BLAKE3 over what was asked and every row: the same plan, the same digest.
    pub digest: String,
    /// What was asked.
    pub request: Request,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who asked.
    pub by: String,
    /// How many rows do what.
    pub counts: Counts,
    /// What a person should know before saying yes, most important first.
    pub consequences: Vec<String>,
    /// Points of the cost budget that it takes, about.
    pub cost: f64,
    /// How long applying it takes at the shop's rate, about, in seconds.
    pub eta_seconds: f64,
    /// The first row of each record of its rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<u64>,
}

impl Plan {
    /// The records of its rows, by number.
    pub(crate) fn pieces(&self) -> Range<u64> {
        0..self.records.len() as u64
    }

    /// The record of its rows that holds row `n`.
    pub(crate) fn piece_of(&self, n: u64) -> u64 {
        self.records.partition_point(|first| *first <= n).saturating_sub(1) as u64
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// What is asked for is not understood, or cannot be planned; what to do instead.
    #[error("{0}")]
    Ask(String),
    /// What the request names is not there.
    #[error("{0}")]
    Missing(String),
    /// What the request names cannot be had.
    #[error("{}", .0.detail)]
    Refused(Problem),
    /// History cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The plan cannot be put on record.
    #[error(transparent)]
    Record(#[from] RecordError),
}
