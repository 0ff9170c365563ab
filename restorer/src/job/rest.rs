//! What was left out of something made anew, since what it refers to was not there yet, written once it is.

use backstock_proto::admin::AdminError;
use backstock_proto::merge;
use serde_json::Value;

use super::around::AroundRow;
use super::row::LOOKS_MAX;
use super::runner::{RunError, Runner, WAIT_FIRST};
use super::{RowState, gid};
use crate::plan::Row;
use crate::write::look::Extent;
use crate::write::{self, Task, WriteError};

/// What is said of something made anew that was not given all of its links.
const LEFT_OUT: &str = "what refers to things that are not in the shop was left out";

/// What is left to write of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    None,
    /// What refers to something that is not there yet.
    Follows,
}

impl Rest {
    pub(super) fn of(is_left_out: bool) -> Self {
        if is_left_out { Self::Follows } else { Self::None }
    }
}

impl Runner {
    /// Writes what was left out of a row; not before the end, if something is still not there.
    pub(super) async fn rest_of(&self, row: Row, in_the_end: bool) -> Result<(), RunError> {
        self.left_open(self.write_rest(row, in_the_end).await)
    }

    async fn write_rest(&self, row: Row, in_the_end: bool) -> Result<(), RunError> {
        self.gate()?;
        if !in_the_end && self.still_lacks(&row).await? {
            return Ok(());
        }
        let around = AroundRow::new(self, row.n, true, None);
        let (from, mut wait) = (self.tools.clock.now(), WAIT_FIRST);
        let mut last = String::new();
        for _ in 0..LOOKS_MAX {
            let Some(spec) = row.kind.spec() else { break };
            let looked = self.look_again(&row, Extent::Whole).await?;
            if let Some(fault) = looked.fault {
                let why = format!("made anew, but not what refers to other things: {fault}");
                return self.fails(&row, why).await;
            }
            let (Some(now), Some(whole)) = (looked.now, self.as_it_was(&row).await?) else {
                let why = "made anew, and gone again before all of it was written";
                return self.fails(&row, why.into()).await;
            };
            let (want, rest) = self.completed(&now, &whole);
            let mut task = Task { spec, now: Some(now), want: Some(want) };
            let outcome = write::write(&around, &mut task).await;
            if let Some(error) = around.broken() {
                return Err(error.into());
            }
            match outcome {
                Ok(outcome) => {
                    let is_written = outcome != write::Written::Unchanged;
                    let (_, wrote) = self.wrote(&row, &task, outcome, from);
                    let wrote = is_written.then_some(wrote);
                    let left_out = (rest == Rest::Follows).then(|| LEFT_OUT.to_owned());
                    let told = self.told(row.n).into_iter().chain(around.notes()).chain(left_out);
                    let reason = told.reduce(|a, b| format!("{a}; {b}"));
                    // What is not there may come when the job is retried.
                    return self.over(&row, RowState::Created, reason, wrote, rest).await;
                }
                Err(WriteError::Admin(
                    error @ (AdminError::Unknown { .. } | AdminError::Unavailable { .. }),
                )) => {
                    last = error.to_string();
                    self.sleep(&mut wait).await?;
                }
                Err(WriteError::Admin(error)) if error.is_of_shop() => {
                    return Err(RunError::Stuck(error.to_string()));
                }
                Err(WriteError::Later(why)) => {
                    self.puts_off(why);
                    return Ok(());
                }
                Err(error) => {
                    let why = format!("made anew, but not what refers to other things: {error}");
                    return self.fails(&row, why).await;
                }
            }
        }
        let why = format!("the shop did not say whether it was written: {last}. Retry the job");
        self.fails(&row, why).await
    }

    async fn fails(&self, row: &Row, why: String) -> Result<(), RunError> {
        self.over(row, RowState::Failed, Some(why), None, Rest::None).await
    }

    /// What was told of a row when it was made, which stays so.
    fn told(&self, n: u64) -> Option<String> {
        let told = self.run.reason(n)?;
        let told = told.strip_suffix(LEFT_OUT).unwrap_or(&told).trim_end_matches("; ");
        (!told.is_empty()).then(|| told.to_owned())
    }

    /// What is there now together with what was left out, and whether something still has to be.
    fn completed(&self, now: &Value, whole: &Value) -> (Value, Rest) {
        let mut reduced = whole.clone();
        gid::leave_out(&mut reduced, &self.may_be_left_out());
        let missing = self.missing();
        let is = |gid: &str| missing.has(&self.first(gid));
        let mut full = whole.clone();
        let without = gid::refers(&full, &is);
        if without {
            gid::leave_out(&mut full, &is);
        }
        let mut want = now.clone();
        for field in merge::fields(&reduced, &full) {
            merge::set(&mut want, &field.path, field.new);
        }
        (want, Rest::of(without))
    }
}
