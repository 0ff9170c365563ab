//! What a pull says of itself: records of what `pull`, one id a kind. The compactor writes them
//! while it pulls and when it is done; the journal reads them back for its status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::witness::Witness;
use crate::{Kind, Timestamp};

/// The `what` of these records. Their id is the kind's name.
pub const PULL: &str = "pull";

/// One pull of all resources of a kind: how far it is, or what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PullReport {
    /// Which kind was pulled.
    pub kind: Kind,
    /// Whether it is under way or how it ended.
    pub state: PullState,
    /// When it began: it speaks of the shop as it was from then on.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Resources read so far.
    #[serde(default)]
    pub objects: u64,
    /// What history did not know, or knew otherwise.
    #[serde(default)]
    pub drift: Drift,
    /// First and last sequence of the gaps of the stream that it makes good for this kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub healed_gaps: Vec<(u64, u64)>,
    /// How much of it is done, from 0 to 1, where that can be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// How many seconds it is likely to take yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_seconds: Option<f64>,
    /// How many have failed in a row, this one included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// When the first of those began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// Whether the app may not read the kind: that is why it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// Why it failed, or what it waits for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Bulk operations that it has run, for whoever goes on after a kill.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<BulkRun>,
    /// What it saw, once it is complete: history can be held against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A bulk operation that a pull began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkRun {
    /// Which of the kind's pulls.
    pub pull: String,
    /// Digest of what was asked.
    pub document: String,
    /// The operation's gid.
    pub id: String,
    /// When it was begun.
    pub at: Timestamp,
}

/// Whether a pull is under way or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// Under way.
    Running,
    /// Everything was read, and what differed was corrected.
    Complete,
    /// It ended before everything was read. What it did read is kept; nothing was taken for gone.
    Failed,
}

/// Differences between history and a pull.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// In the shop, but not in history.
    pub missed: u64,
    /// In both, but not the same.
    pub changed: u64,
    /// In history, but no longer in the shop.
    pub extra: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_stream() {
        let at = Timestamp::parse("2026-11-24T03:00:00Z").expect("instant");
        let report = PullReport {
            kind: Kind::parse("product").expect("kind"),
            state: PullState::Running,
            started_at: at,
            finished_at: None,
            objects: 120,
            drift: Drift { missed: 1, changed: 2, extra: 3 },
            healed_gaps: vec![(7, 9)],
            progress: Some(0.25),
            eta_seconds: Some(12.5),
            tries: 3,
            failing_since: Some(at),
            denied: false,
            reason: None,
            operations: Vec::new(),
            witness: None,
        };
        let value = serde_json::to_value(&report).expect("written");
        assert_eq!(value["state"], "running");
        assert_eq!(serde_json::from_value::<PullReport>(value).expect("read"), report);
        let least = r#"{"kind":"product","state":"failed","started_at":"2026-11-24T03:00:00Z"}"#;
        let least: PullReport = serde_json::from_str(least).expect("the rest may be absent");
        assert_eq!((least.objects, least.drift, least.tries), (0, Drift::default(), 0));
        assert_eq!((least.failing_since, least.denied), (None, false));
    }
}
