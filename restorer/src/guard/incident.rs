//! An incident: something that the guard saw, and what became of it.

use backstock_proto::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Action;
use super::judge::Trip;
use crate::change_set::ChangeSet;

/// What a record of an incident stands under.
pub const INCIDENT: &str = "incident";

/// For so long the way back is tried again that could not be gone, and harm is judged again of
/// which something stood in the way.
const RETRY_MICROS: u64 = 30 * 60 * 1_000_000;
/// What stands for how telling people went while it is not known.
pub(super) const BEING_TOLD: &str = "being told";

/// How an incident is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// It still goes on, or was only just seen.
    Open,
    /// People were told; nothing else is to be done by the guard.
    Told,
    /// The way back is ready: `plan` names it.
    Planned,
    /// It is being gone, or was: `job` names it.
    Applied,
    /// The way back could not be made or begun; `why` says what is in the way.
    Stuck,
    /// It turned out to be a part of another one: `part_of` names it.
    Joined,
    /// A person said that it was meant: nothing is done about it, and as much is normal from now on.
    Dismissed,
}

/// Something that the guard saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Names it.
    pub id: String,
    /// When it was noticed.
    pub at: Timestamp,
    /// When this was last said of it.
    pub updated_at: Timestamp,
    /// How it is.
    pub state: IncidentState,
    /// What was done, at most.
    pub action: Action,
    /// The most that the shop's policy allowed when it was noticed. What is allowed only later is for
    /// what happens later.
    #[serde(default = "most")]
    pub allowed: Action,
    /// In one line, for people.
    pub text: String,
    /// The change-set, as it was when this was said.
    pub change_set: ChangeSet,
    /// Which thresholds it passed.
    pub trips: Vec<Trip>,
    /// Why so much was done and no more.
    pub why: Vec<String>,
    /// The plan that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// How many changes that plan undoes: of an incident that goes on, not all of them.
    #[serde(default)]
    pub planned: u64,
    /// When it was undone, at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Timestamp>,
    /// The job that undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Jobs that undid what was known of it before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_jobs: Vec<String>,
    /// The incident that it turned out to be a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<String>,
    /// Who said that it was meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissed_by: Option<String>,
    /// Which process acts on it.
    pub by: String,
    /// How telling people went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
}

fn most() -> Action {
    Action::Apply
}

impl Incident {
    /// The plan that undoes all that is known of it. While it goes on, and where no other can be made, there is
    /// at most one of before.
    pub fn way_back(&self) -> Option<&str> {
        let is_behind = matches!(self.state, IncidentState::Open | IncidentState::Stuck);
        self.plan.as_deref().filter(|_| !is_behind)
    }

    /// Whether it is to be looked at again although nothing new happened.
    pub(super) fn is_waiting(&self, now: Timestamp) -> bool {
        let young = now.micros_since(self.at) < RETRY_MICROS;
        match self.state {
            IncidentState::Open => true,
            // What stood in its way may be gone: a lag, a gap.
            IncidentState::Planned => {
                self.action == Action::Apply || (young && self.allowed == Action::Apply)
            }
            IncidentState::Stuck => young,
            IncidentState::Told
            | IncidentState::Applied
            | IncidentState::Joined
            | IncidentState::Dismissed => false,
        }
    }

    /// Whether people are still to be told of it as it is. Of what was meant, and of a part, nobody is.
    pub(super) fn is_untold(&self) -> bool {
        let is_over = matches!(self.state, IncidentState::Joined | IncidentState::Dismissed);
        !is_over && self.told.as_deref() == Some(BEING_TOLD)
    }

    /// Whether it is of a set that had another size when this was said. Of what was meant no more is said.
    pub(super) fn is_behind(&self, set: &ChangeSet) -> bool {
        let is_meant = self.state == IncidentState::Dismissed;
        !is_meant && self.change_set.counts.changes != set.counts.changes
    }

    /// Takes over what was done about another one that is a part of it.
    pub(super) fn take_over(&mut self, part: &Self) {
        let jobs = part.earlier_jobs.iter().chain(&part.job).cloned();
        self.earlier_jobs.extend(jobs);
        self.applied_at = match (self.applied_at, part.applied_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.allowed = self.allowed.min(part.allowed);
        self.at = self.at.min(part.at);
    }
}
