//! A plan being applied: row by row, on record before and after each write, so that whoever takes it
//! up after a kill goes on where it was.

use backstock_proto::trace::TraceContext;
use backstock_proto::{Kind, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

mod again;
mod ahead;
mod around;
mod asked;
mod begun;
mod book;
mod counted;
mod decide;
pub(crate) mod desk;
mod edited;
mod ending;
pub(crate) mod gid;
mod lane;
mod ledger;
mod looked;
mod missing;
mod outcome;
mod parts;
mod place;
mod rest;
mod row;
pub(crate) mod rows;
pub(crate) mod run;
mod runner;
mod todo;
mod turns;
mod worker;
pub mod written;

/// What a record of a job stands under.
pub const JOB: &str = "job";

/// How a job is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for another job of the shop, or for a time when the shop takes more.
    Queued,
    /// Writes.
    Running,
    /// Stands still until somebody says go on.
    Paused,
    /// Somebody ended it; what was written stays.
    Cancelled,
    /// Every row is done, skipped or in conflict.
    Done,
    /// Some rows failed; `retry` takes up these.
    Failed,
}

/// What became of a row.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Not begun.
    Pending,
    /// Made anew.
    Created,
    /// Changed.
    Updated,
    /// Deleted.
    Deleted,
    /// As wanted already, or not to be written.
    Skipped,
    /// The shop is no longer as the plan expects: nothing was written.
    Conflict,
    /// Not done; the reason says why.
    Failed,
}

/// A row's outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RowResult {
    /// The plan's row.
    pub n: u64,
    /// What sort of thing.
    pub kind: Kind,
    /// Which one, by the id that history knows it by.
    pub id: ResourceId,
    /// What a person calls it.
    pub title: String,
    /// What became of it.
    pub state: RowState,
    /// Why, where that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its gid now, if it was made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_gid: Option<String>,
}

/// How many rows are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[allow(missing_docs)]
pub struct RowCounts {
    pub pending: u64,
    pub created: u64,
    pub updated: u64,
    pub deleted: u64,
    pub skipped: u64,
    pub conflict: u64,
    pub failed: u64,
}

/// The word of another person, where a shop asks for one before anything is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Whose; nobody's yet, if there is none.
    pub by: Option<String>,
    /// When it was given.
    pub at: Option<Timestamp>,
}

/// A job, without its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Names it.
    pub id: String,
    /// The plan that it applies.
    pub plan: String,
    /// How it is.
    pub state: JobState,
    /// Who started it.
    pub by: String,
    /// When.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How many rows are in which state.
    pub counts: RowCounts,
    /// How much longer it takes, about, in seconds.
    pub eta_seconds: Option<f64>,
    /// Points of the cost budget that it spent.
    pub cost: f64,
    /// Points that the shop granted while it ran.
    #[serde(default)]
    pub granted: f64,
    /// How many of its mutations went in bulk operations, which take no points; absent where none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_bulk: Option<u64>,
    /// When it first began to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// The digest of the plan.
    #[serde(default)]
    pub digest: String,
    /// How often it was begun anew for what failed.
    #[serde(default)]
    pub attempt: u32,
    /// Rows of the plan that are not to be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deselected: Vec<u64>,
    /// The word of another person, without which it does not begin; absent where none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// The job whose writes it undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// When it goes on by itself, where the shop takes no more for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_at: Option<Timestamp>,
    /// Why it stands still or did not end well, where that needs saying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The W3C trace context of the request that asked for it, where its spans are collected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub traceparent: Option<TraceContext>,
}

impl Job {
    /// How much of it is done, from 0 to 1.
    pub(crate) fn progress(&self) -> f64 {
        match self.counts.total() {
            0 if self.state.is_over() => 1.0,
            0 => 0.0,
            total => (total - self.counts.pending) as f64 / total as f64,
        }
    }

    /// When it goes on by itself, where the shop takes no more for now.
    pub fn put_off(&self) -> Option<Timestamp> {
        self.resume_at.filter(|_| self.state == JobState::Queued)
    }

    /// Whether it waits for another person's word.
    pub fn awaits_approval(&self) -> bool {
        let unsaid = self.approval.as_ref().is_some_and(|approval| approval.by.is_none());
        unsaid && !self.state.is_over()
    }
}

impl JobState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Paused, Self::Cancelled, Self::Done, Self::Failed];

    /// Whether nothing more happens by itself.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done | Self::Failed)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl RowState {
    /// What a row can end as.
    pub const ENDS: [Self; 6] =
        [Self::Created, Self::Updated, Self::Deleted, Self::Skipped, Self::Conflict, Self::Failed];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Skipped => "skipped",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

impl RowCounts {
    /// How many are in a state.
    pub fn of(&self, state: RowState) -> u64 {
        let mut counts = *self;
        *counts.at(state)
    }

    /// All rows.
    pub fn total(&self) -> u64 {
        self.pending + RowState::ENDS.iter().map(|state| self.of(*state)).sum::<u64>()
    }

    fn at(&mut self, state: RowState) -> &mut u64 {
        match state {
            RowState::Pending => &mut self.pending,
            RowState::Created => &mut self.created,
            RowState::Updated => &mut self.updated,
            RowState::Deleted => &mut self.deleted,
            RowState::Skipped => &mut self.skipped,
            RowState::Conflict => &mut self.conflict,
            RowState::Failed => &mut self.failed,
        }
    }

    /// A row goes from one state to another.
    fn moved(&mut self, from: RowState, to: RowState) {
        let from = self.at(from);
        *from = from.saturating_sub(1);
        *self.at(to) += 1;
    }
}
