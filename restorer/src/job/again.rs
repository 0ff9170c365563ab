//! Rows that wait for others of the same job: for what they refer to, or for a name that something else
//! has as yet. Once everything had its turn they have another, and that for as long as it brings any of
//! them to its end: of a chain each turn brings a link. What was left out of rows is written as soon as all
//! that it refers to is there.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{FutureExt, TryStreamExt};

use super::runner::{RunError, Runner, group};
use crate::plan::Row;

/// Rows that wait.
#[derive(Debug, Default)]
pub(super) struct Again {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Those that have another turn.
    rows: BTreeSet<u64>,
    /// How many had the last one.
    before: Option<usize>,
    /// Whether no other turn follows.
    is_last: bool,
}

impl Again {
    /// Whether a row may wait: then it has another turn.
    fn waits(&self, n: u64) -> bool {
        let mut held = self.lock();
        if !held.is_last {
            held.rows.insert(n);
        }
        !held.is_last
    }

    /// The rows that have another turn now. As many as the last time: none of them came to its end, and
    /// there is nothing more to wait for.
    fn next(&self) -> BTreeSet<u64> {
        let mut held = self.lock();
        let rows = std::mem::take(&mut held.rows);
        held.is_last = held.before == Some(rows.len());
        held.before = Some(rows.len());
        rows
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner {
    /// Does every row that is not over.
    pub(super) async fn apply(&self) -> Result<(), RunError> {
        self.pass().await?;
        loop {
            let waiting = self.again.next();
            if waiting.is_empty() {
                return self.rests(true).await;
            }
            self.rests(false).await?;
            self.pass_only(&waiting).await?;
        }
    }

    /// Whether a row may wait for others. Not where only what was begun is finished.
    pub(super) fn may_wait(&self, row: &Row) -> bool {
        !self.ending && self.again.waits(row.n)
    }

    /// Writes what was left out of rows, in the end of all of them, before that of those that lack nothing
    /// any more. Kind after kind: a definition has a field before metaobjects fill it.
    async fn rests(&self, in_the_end: bool) -> Result<(), RunError> {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for n in self.pieces_of(&rest) {
            let rows = self.piece_on_record(n).await?;
            let mut kinds: Vec<Vec<Row>> = Vec::new();
            for row in rows.into_iter().filter(|row| rest.contains(&row.n)) {
                match kinds.last_mut() {
                    Some(last) if last.last().is_some_and(|last| group(last) == group(&row)) => {
                        last.push(row);
                    }
                    _ => kinds.push(vec![row]),
                }
            }
            for rows in kinds {
                let rows = futures::stream::iter(rows.into_iter().map(Ok::<_, RunError>));
                let write = |row: Row| self.rest_of(row, in_the_end).boxed();
                rows.try_for_each_concurrent(self.writes(), write).await?;
            }
        }
        self.may_go_on()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_wait_for_as_long_as_one_of_them_comes_to_its_end() {
        let again = Again::default();
        assert!([1, 2, 3].iter().all(|n| again.waits(*n)));
        assert_eq!(again.next(), BTreeSet::from([1, 2, 3]));
        assert!([1, 2].iter().all(|n| again.waits(*n)), "3 came to its end");
        assert_eq!(again.next(), BTreeSet::from([1, 2]));
        assert!([1, 2].iter().all(|n| again.waits(*n)));
        assert_eq!(again.next(), BTreeSet::from([1, 2]), "nothing came of it: the last turn");
        assert!(![1, 2].iter().any(|n| again.waits(*n)));
        assert_eq!(again.next(), BTreeSet::new());
    }
}
