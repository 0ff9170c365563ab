//! What became of a job's rows, in few bytes each: there may be millions of them, and what the plan
//! says of a row is read there when somebody asks.

use std::collections::BTreeMap;

use super::{RowResult, RowState};
use crate::gids::{Beginnings, Short};
use crate::plan::Row;

/// What became of rows.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    /// By their places in the plan; `None` of those that are not over.
    of: Vec<Option<Outcome>>,
    /// Why, where that needs saying.
    reasons: BTreeMap<u64, Short>,
    /// What is around the numbers of new gids and of reasons: most are alike.
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
            Some(reason) => self.reasons.insert(result.n, self.beginnings.add(reason)),
            None => self.reasons.remove(&result.n),
        };
        let new_gid = result.new_gid.as_deref().map(|gid| self.beginnings.add(gid));
        let place = result.n as usize;
        if self.of.len() <= place {
            self.of.resize(place + 1, None);
        }
        let before = self.of[place].replace(Outcome { state: result.state, new_gid });
        before.map(|before| before.state)
    }

    /// What became of a row; `None` as long as it is not over.
    pub(super) fn state(&self, n: u64) -> Option<RowState> {
        let outcome = *self.of.get(n as usize)?;
        outcome.map(|outcome| outcome.state)
    }

    /// Why a row ended as it did, where that was said.
    pub(super) fn reason(&self, n: u64) -> Option<String> {
        self.reasons.get(&n).map(|reason| self.beginnings.text(*reason))
    }

    /// The rows that are over, with what became of them.
    pub(super) fn states(&self) -> impl Iterator<Item = (u64, RowState)> {
        self.over(0).map(|(n, outcome)| (n, outcome.state))
    }

    /// Rows that are over, from row `from` on, those in one state if one is given.
    pub(super) fn some(&self, from: u64, state: Option<RowState>, limit: usize) -> Vec<Ended> {
        let is_asked = |is: RowState| state.is_none_or(|state| is == state);
        let asked = self.over(from).filter(|(_, outcome)| is_asked(outcome.state));
        let ended = asked.take(limit).map(|(n, outcome)| Ended {
            n,
            state: outcome.state,
            reason: self.reason(n),
            new_gid: outcome.new_gid.map(|gid| self.beginnings.text(gid)),
        });
        ended.collect()
    }

    /// Rows that are over, from row `from` on.
    fn over(&self, from: u64) -> impl Iterator<Item = (u64, Outcome)> {
        let rows = self.of.iter().enumerate().skip(from as usize);
        rows.filter_map(|(n, outcome)| outcome.map(|outcome| (n as u64, outcome)))
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

#[cfg(test)]
mod tests {
    use backstock_proto::{Kind, ResourceId};

    use super::*;

    fn result(n: u64, state: RowState, reason: Option<&str>, new_gid: Option<&str>) -> RowResult {
        RowResult {
            n,
            kind: Kind::parse("page").expect("a kind"),
            id: ResourceId::parse("1").expect("an id"),
            title: String::new(),
            state,
            reason: reason.map(str::to_owned),
            new_gid: new_gid.map(str::to_owned),
        }
    }

    #[test]
    fn rows_are_told_in_their_order_whatever_ended_first_and_as_they_ended_last() {
        let (created, failed) = (RowState::Created, RowState::Failed);
        let (gid, why) = ("gid://shopify/Page/7", "gid://shopify/Page/8 of 2 has its handle");
        let mut outcomes = Outcomes::default();
        assert_eq!(outcomes.insert(&result(5, failed, Some(why), None)), None);
        assert_eq!(outcomes.insert(&result(2, failed, Some("no"), None)), None);
        assert_eq!(outcomes.insert(&result(3, created, None, Some(gid))), None);
        assert_eq!(outcomes.insert(&result(2, created, None, None)), Some(failed));
        assert_eq!((outcomes.state(4), outcomes.state(9)), (None, None));
        let states: Vec<(u64, RowState)> = outcomes.states().collect();
        assert_eq!(states, [(2, created), (3, created), (5, failed)]);
        let some = |from, state, limit| {
            let some = outcomes.some(from, state, limit).into_iter();
            some.map(|ended| (ended.n, ended.reason, ended.new_gid)).collect::<Vec<_>>()
        };
        let (third, last) = ((3, None, Some(gid.to_owned())), (5, Some(why.to_owned()), None));
        assert_eq!(some(0, None, 2), [(2, None, None), third.clone()]);
        assert_eq!(some(3, None, 9), [third, last.clone()]);
        assert_eq!(some(0, Some(failed), 9), [last]);
        assert!(some(6, None, 9).is_empty());
    }
}
