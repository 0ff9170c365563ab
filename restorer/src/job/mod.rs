//! A plan being applied: row by row, on record before and after each write, so that whoever takes it
//! up after a kill goes on where it was.

use backstock_proto::{Kind, ResourceId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a record of a job stands under.
pub const JOB: &str = "job";

/// How a job is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for another job of the shop.
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
}
