//! Bulk operations of a pull, from their start to their end. Which ones run is on record, so that
//! whoever comes after a kill takes them up instead of having Shopify read everything once more.

use std::time::Duration;

use backstock_proto::admin::bulk::{self, Operation, Started, State};
use backstock_proto::journal::BulkRun;
use backstock_proto::kind::pull::Pull;
use backstock_proto::{Timestamp, event};

use super::{PullError, Puller, Run};

/// How often a running operation is asked how far it is: at first, and at the longest.
const POLL_FIRST: Duration = Duration::from_millis(200);
const POLL_MAX: Duration = Duration::from_secs(30);
/// For how long a result is used, in microseconds: Shopify keeps it for seven days.
const USABLE: u64 = 6 * 24 * 3600 * 1_000_000;

impl Puller {
    /// A pull's completed operation, and when it was begun: everything from before is in its result.
    pub(super) async fn operation(
        &self,
        run: &mut Run,
        pull: &Pull,
    ) -> Result<(Operation, Timestamp), PullError> {
        if let Some(taken_up) = self.taken_up(run, pull).await? {
            return Ok(taken_up);
        }
        let (operation, begun) = self.started(pull).await?;
        let document = event::digest(pull.document.as_bytes());
        let id = operation.id.clone();
        run.report.operations.retain(|run| run.pull != pull.name);
        run.report.operations.push(BulkRun { pull: pull.name.into(), document, id, at: begun });
        self.put_on_record(run, 0).await?;
        let operation = self.ended(run, operation).await?;
        match operation.status {
            State::Completed => Ok((operation, begun)),
            status => {
                let code = operation.error_code.map(|code| format!(": {code}"));
                Err(PullError::Operation(status, code.unwrap_or_default()))
            }
        }
    }

    async fn started(&self, pull: &Pull) -> Result<(Operation, Timestamp), PullError> {
        let mut wait = POLL_FIRST;
        loop {
            let begun = self.now();
            match bulk::start(&self.asker.client, pull.document, self.asker.share).await? {
                Started::Running(operation) => {
                    let began = began(begun, operation.created_at);
                    return Ok((operation, began));
                }
                Started::TooMany => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(POLL_MAX);
                }
            }
        }
    }

    /// The completed operation that an earlier process began for the same question, if there is one.
    async fn taken_up(
        &self,
        run: &mut Run,
        pull: &Pull,
    ) -> Result<Option<(Operation, Timestamp)>, PullError> {
        let earlier = run.report.operations.iter().find(|run| run.pull == pull.name).cloned();
        let Some(BulkRun { document, id, at, .. }) = earlier else { return Ok(None) };
        let usable = document == event::digest(pull.document.as_bytes())
            && self.clock.now().micros_since(at) < USABLE;
        if !usable {
            return Ok(None);
        }
        let polled = bulk::poll(&self.asker.client, &id, self.asker.share).await?;
        let Some(operation) = polled else { return Ok(None) };
        tracing::info!(shop = %self.shop, kind = %run.kind, "taking up a bulk operation");
        let operation = self.ended(run, operation).await?;
        Ok((operation.status == State::Completed).then_some((operation, at)))
    }

    /// Waits for an operation's end.
    async fn ended(&self, run: &mut Run, mut operation: Operation) -> Result<Operation, PullError> {
        let mut wait = POLL_FIRST;
        while !operation.status.is_over() {
            tokio::time::sleep(wait).await;
            wait = wait.mul_f64(1.5).min(POLL_MAX);
            let polled = bulk::poll(&self.asker.client, &operation.id, self.asker.share).await?;
            operation = polled.ok_or_else(|| {
                PullError::Operation(State::Expired, ": the shop knows nothing of it".into())
            })?;
            self.progress(run, operation.lines().unwrap_or(0)).await?;
        }
        Ok(operation)
    }
}

/// When an operation began that was asked for at `ours`, and is dated `theirs` in whole seconds. What it
/// is compared with is dated by Shopify's clock, and ours may be ahead of that.
fn began(ours: Timestamp, theirs: Timestamp) -> Timestamp {
    let at_the_latest = Timestamp::from_micros(theirs.as_micros() + 1_000_000);
    if ours < at_the_latest { ours } else { theirs }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_ours_that_is_ahead_makes_no_change_older_than_the_pull() {
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000);
        assert_eq!(began(at(5_400), at(5_000)), at(5_400), "the same second");
        assert_eq!(began(at(4_900), at(5_000)), at(4_900), "the answer took a while");
        assert_eq!(began(at(35_400), at(5_000)), at(5_000), "ours is ahead");
    }
}
