//! The rows of a plan that are to be done, in their order, read piece by piece as their turn comes.

use std::collections::{BTreeSet, btree_set};
use std::iter::Peekable;
use std::vec;

use backstock_proto::Kind;

use super::runner::{RunError, Runner, group, is_write};
use crate::plan::Row;
use crate::write::look;

/// Rows on their way to their turn; no more of them is held than one piece of the plan.
pub(super) struct Turns<'a> {
    runner: &'a Runner,
    /// Those that have a turn; all of them, if absent.
    only: Option<&'a BTreeSet<u64>>,
    /// The pieces of the plan that are still to be read.
    pieces: btree_set::IntoIter<u64>,
    read: Peekable<vec::IntoIter<Row>>,
    /// Why no more of the plan could be read.
    failed: Option<RunError>,
}

impl<'a> Turns<'a> {
    /// Rows of some pieces of the plan.
    pub(super) fn of(
        runner: &'a Runner,
        pieces: BTreeSet<u64>,
        only: Option<&'a BTreeSet<u64>>,
    ) -> Self {
        let read = Vec::new().into_iter().peekable();
        Self { runner, only, pieces: pieces.into_iter(), read, failed: None }
    }

    /// The group of the rows that are next. What could not be read of the plan is told here, once what was
    /// read before is gone through.
    pub(super) async fn group(&mut self) -> Result<Option<(bool, Kind)>, RunError> {
        let next = self.next().await.map(group).map(|(goes, kind)| (goes, kind.clone()));
        self.failed.take().map_or(Ok(next), Err)
    }

    /// The next rows of a group that are asked about together; `None`: there are no more of it.
    pub(super) async fn some(&mut self, of: (bool, &Kind)) -> Option<Vec<Row>> {
        let (mut some, mut most): (Vec<Row>, usize) = (Vec::new(), 1);
        while some.len() < most
            && let Some(next) = self.next().await
        {
            if group(next) != of || some.last().is_some_and(|last| !same(last, next)) {
                break;
            }
            most = next.kind.spec().map_or(1, look::together);
            some.extend(self.read.next());
        }
        (!some.is_empty()).then_some(some)
    }

    /// The next row. Where something is left open nothing more is read: what was read is gone through.
    async fn next(&mut self) -> Option<&Row> {
        while self.read.peek().is_none() {
            if self.runner.may_go_on().is_err() || self.failed.is_some() {
                return None;
            }
            let mut rows = match self.runner.piece_on_record(self.pieces.next()?).await {
                Ok(rows) => rows,
                Err(error) => {
                    self.failed = Some(error);
                    return None;
                }
            };
            rows.retain(|row| {
                let has_turn = self.only.is_none_or(|only| only.contains(&row.n));
                has_turn && self.runner.run.state(row.n).is_none()
            });
            self.read = rows.into_iter().peekable();
        }
        self.read.peek()
    }
}

/// Whether two rows can be asked about together.
fn same(a: &Row, b: &Row) -> bool {
    a.kind == b.kind && is_write(a.action) == is_write(b.action)
}
