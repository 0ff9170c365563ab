//! What rows make anew, as history has it, read for many of them at once and taken by each when it has its
//! turn: a question to the journal takes longer to ask than to answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use backstock_proto::journal::{AsOf, Resource};
use backstock_proto::{Kind, ResourceId, Timestamp};
use serde_json::Value;

use super::runner::{RunError, Runner};
use crate::plan::gather::just_before;
use crate::plan::{Action, Row};

/// States that were read and not taken yet, by their rows: those of the rows under way only.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    states: Mutex<HashMap<u64, Value>>,
}

impl Ahead {
    /// What was read of a row, if anything was.
    pub(super) fn take(&self, n: u64) -> Option<Value> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).remove(&n)
    }

    fn add(&self, states: impl Iterator<Item = (u64, Value)>) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).extend(states);
    }
}

impl Runner {
    /// Reads what some rows make anew. What is not known by that is read when a row asks for it.
    pub(super) async fn read_ahead(&self, rows: &[Row]) -> Result<(), RunError> {
        let mut kinds: BTreeMap<&Kind, Vec<&Row>> = BTreeMap::new();
        for row in rows.iter().filter(|row| is_of_history(row)) {
            kinds.entry(&row.kind).or_default().push(row);
        }
        for (kind, rows) in kinds {
            let of = rows.first().and_then(|row| row.of);
            let is_one = rows.iter().all(|row| row.of == of);
            let at = of.filter(|_| is_one).map_or(AsOf::Latest, AsOf::At);
            let ids: Vec<ResourceId> = rows.iter().map(|row| row.id.clone()).collect();
            let found = self.tools.journal.several(&self.shop, kind, &ids, at).await?;
            self.ahead.add(rows.into_iter().zip(found).filter_map(|(row, found)| {
                let found: Resource = found?;
                let last = (found.version.valid_at, found.deleted);
                (is_one || is_as_of(last, row.of)).then_some((row.n, found.state))
            }));
        }
        Ok(())
    }
}

/// Whether a row makes anew what history has.
fn is_of_history(row: &Row) -> bool {
    row.action == Action::Create && (row.of.is_some() || row.fields.is_empty())
}

/// Whether what is known last of something, its end or a state, tells what it was at an instant.
fn is_as_of((last, deleted): (Timestamp, bool), of: Option<Timestamp>) -> bool {
    of.is_none_or(|of| last <= of || deleted && of == just_before(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_what_it_was_where_nothing_came_since_but_its_end() {
        let at = Timestamp::from_micros;
        assert!(is_as_of((at(5), false), Some(at(5))) && is_as_of((at(5), false), None));
        assert!(!is_as_of((at(6), false), Some(at(5))), "it changed since");
        assert!(is_as_of((at(6), true), Some(at(5))));
        assert!(!is_as_of((at(7), true), Some(at(5))), "it may have changed before its end");
    }
}
