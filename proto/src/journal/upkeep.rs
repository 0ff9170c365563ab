//! What keeps history in order: thinning it, copying it, and reading all of it back.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// How long history is kept, counted back from now: everything for some days, then the last version
/// of each day, then of each week. The last version of a facet, the last before an end, and the end
/// itself are always kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Days for which every version is kept.
    pub keep_all_days: u32,
    /// Days for which the last version of each day is kept.
    pub keep_daily: u32,
    /// Weeks for which the last version of each week is kept; older ones go.
    pub keep_weekly: u32,
}

/// What thinning did, or would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Thinned {
    /// Versions looked at.
    pub seen: u64,
    /// Versions removed.
    pub removed: u64,
    /// Bytes of payload removed.
    pub bytes: u64,
    /// Records removed of how pulls and jobs went on, of which newer ones say more.
    #[serde(default)]
    pub records: u64,
}

/// A checkpoint that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointReport {
    /// Of which partition.
    pub partition: u16,
    /// When.
    pub at: Timestamp,
    /// The last stream sequence that is surely in it.
    pub applied_seq: u64,
    /// Files that make it up.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that no earlier checkpoint had.
    pub stored_files: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What reading everything back found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyReport {
    /// Versions read.
    pub versions: u64,
    /// Payload bytes read.
    pub bytes: u64,
    /// What does not hold, one line each; at most 1,000.
    pub faults: Vec<String>,
    /// How many do not hold.
    pub faults_total: u64,
    /// How long it took.
    pub seconds: f64,
}
