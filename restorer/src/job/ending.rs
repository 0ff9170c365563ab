//! A job that was ended with rows in the middle: before anybody took it up after a kill, or while the shop
//! did not say what became of them. What was begun may have been made, and would be in no book: it is looked
//! for as after any lost answer, and an undo finds it. What failed in an earlier attempt is over.
//!
//! Rows that went one by one are finished, as they are when a job is ended while it runs. Products go by
//! the lane, which sends nothing any more: what their operations made gets what it lacks, and what they did
//! not make stays undone.

use super::run::Want;
use super::runner::{RunError, Runner};

impl Runner {
    /// Finishes what was begun, and begins nothing.
    pub(super) async fn finish_begun(&self) -> Result<(), RunError> {
        self.pass_only(&self.begun.unfinished()).await?;
        self.may_go_on()?;
        // Where it could not be finished, or somebody wants the job to go on, it is taken up once more.
        match *self.run.want.borrow() {
            Want::Cancel if !self.stop.is_cancelled() => Err(RunError::Cancelled),
            _ => Err(RunError::Stopped),
        }
    }
}
