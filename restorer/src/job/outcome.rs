//! What became of a job's rows, in few bytes each: there may be millions of them, and what the plan
//! says of a row is read there when somebody asks.

use std::collections::BTreeMap;

use super::{RowResult, RowState};
use crate::gids::{Beginnings, Short};
use crate::plan::Row;

/// What became of rows, by their places in the plan.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    of: BTreeMap<u64, Outcome>,
    /// Why, where that needs saying.
    reasons: BTreeMap<u64, Box<str>>,
    /// What new gids begin with.
    beginnings: Beginnings,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    state: RowState,
    new_gid: Option<Short>,
}

/// What became of one row, without what its plan says of it.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) n: u64,
    state: RowState,
    reason: Option<String>,
    new_gid: Option<String>,
}

impl Outcomes {
    /// Takes up what became of a row. Answers what had become of it before.
    pub(super) fn insert(&mut self, result: &RowResult) -> Option<RowState> {
        match &result.reason {
            Some(reason) => self.reasons.insert(result.n, reason.as_str().into()),
            None => self.reasons.remove(&result.n),
        };
        let new_gid = result.new_gid.as_deref().map(|gid| self.beginnings.add(gid));
        let before = self.of.insert(result.n, Outcome { state: result.state, new_gid });
        before.map(|before| before.state)
    }

    /// What became of a row; `None` as long as it is not over.
    pub(super) fn state(&self, n: u64) -> Option<RowState> {
        self.of.get(&n).map(|outcome| outcome.state)
    }

    /// Why a row ended as it did, where that was said.
    pub(super) fn reason(&self, n: u64) -> Option<&str> {
        self.reasons.get(&n).map(|reason| &**reason)
    }

    /// The rows that are over, with what became of them.
    pub(super) fn states(&self) -> impl Iterator<Item = (u64, RowState)> {
        self.of.iter().map(|(n, outcome)| (*n, outcome.state))
    }

    /// Rows that are over, from row `from` on, those in one state if one is given.
    pub(super) fn some(&self, from: u64, state: Option<RowState>, limit: usize) -> Vec<Ended> {
        let asked = self.of.range(from..).filter(|(_, outcome)| {
            let is = outcome.state;
            state.is_none_or(|state| is == state)
        });
        let ended = asked.take(limit).map(|(n, outcome)| Ended {
            n: *n,
            state: outcome.state,
            reason: self.reasons.get(n).map(|reason| reason.to_string()),
            new_gid: outcome.new_gid.map(|gid| self.beginnings.text(gid)),
        });
        ended.collect()
    }
}

impl Ended {
    /// The same, told with what the plan says of the row.
    pub(super) fn of(self, row: Row) -> RowResult {
        let Self { n, state, reason, new_gid } = self;
        let Row { kind, id, title, .. } = row;
        RowResult { n, kind, id, title, state, reason, new_gid }
    }
}
