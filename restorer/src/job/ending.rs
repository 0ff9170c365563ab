//! A job that was ended before anybody took it up after a kill. What was begun may have been made, and
//! would be in no book: it is looked for as after any lost answer, and an undo finds it.
//!
//! Rows that went one by one are finished, as they are when a job is ended while it runs. Products go by
//! the lane, which sends nothing any more: what their operations made gets what it lacks, and what they did
//! not make stays undone.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::run::Want;
use super::runner::{RunError, Runner};

impl Runner {
    /// Finishes what was begun, and begins nothing.
    pub(super) async fn finish_begun(&self) -> Result<(), RunError> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rows: BTreeSet<u64> = begun.into_keys().collect();
        self.pass_only(&rows).await?;
        self.may_go_on()?;
        // Where it could not be finished, or somebody wants the job to go on, it is taken up once more.
        match *self.run.want.borrow() {
            Want::Cancel if !self.stop.is_cancelled() => Err(RunError::Cancelled),
            _ => Err(RunError::Stopped),
        }
    }
}
