//! One row of a plan, until it is over: looked at, decided about, written, and put on record before and
//! after.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use backstock_proto::admin::AdminError;
use backstock_proto::canonical::Hash;
use backstock_proto::{ResourceId, ResourceKey, Timestamp};

use super::around::AroundRow;
use super::ledger::Step;
use super::looked::Looked;
use super::missing::SOME_CAME;
use super::place::Place;
use super::rest::Rest;
use super::runner::{RunError, Runner, WAIT_FIRST, gid_of, makes_product};
use super::todo::Todo;
use super::written::Wrote;
use super::{RowResult, RowState};
use crate::change_set::made;
use crate::plan::{Action, Row};
use crate::write::look::Extent;
use crate::write::{self, Around as _, Task, WriteError};

/// How often a row is looked at anew when nobody knows whether it was written.
pub(super) const LOOKS_MAX: u32 = 20;
/// How old a look may be by which something is written.
const LOOK_AGE_MAX: Duration = Duration::from_secs(15);
/// What was made may be found by searching only some moments later, and would be made once more until then.
const FOUND_AFTER: Duration = Duration::from_secs(5);
/// What is said of a name that something else has which was there before, too.
const SWAP: &str = "if the two are to swap names, give the other one a different name for now, retry \
                    the job, and then make a new plan for it";
/// Longest reason that is kept with a row, in characters.
const REASON_MAX: usize = 2_000;

impl Runner {
    /// One row, until it is over.
    pub(super) async fn row(&self, row: Row, looked: Looked, place: Place) -> Result<(), RunError> {
        let begun = self.begun.at(row.n);
        let (place, _held) = match makes_product(&row) {
            true => (Some(place), None),
            false => (None, Some(place)),
        };
        let around = AroundRow::new(self, row.n, self.begun.is_unfinished(row.n), place);
        let from = begun.unwrap_or_else(|| self.tools.clock.now());
        let written = self.write(&row, looked, &around, from).await;
        // Not every end of a row takes it.
        drop(self.ahead.take(row.n));
        if let Err(RunError::Stuck(why)) = &written
            && around.begun().await
        {
            self.ended(&row, (RowState::Failed, Some(why.clone())), &around, from).await?;
        }
        self.left_open(written)
    }

    async fn write(
        &self,
        row: &Row,
        mut looked: Looked,
        around: &AroundRow<'_>,
        from: Timestamp,
    ) -> Result<(), RunError> {
        self.gate()?;
        // What the shop does not take today it is not asked again and again.
        if makes_product(row) && self.put_off().is_some() {
            return Ok(());
        }
        if looked.at.elapsed() > LOOK_AGE_MAX && !self.came_whole(row) {
            looked = self.look_again(row, looked.extent).await?;
        }
        let (mut wait, mut last) = (WAIT_FIRST, String::new());
        for _ in 0..LOOKS_MAX {
            let (now, want, rest) = match self.todo(row, &looked, around.begun().await).await? {
                Todo::Over(state, reason) => {
                    return self.ended(row, (state, reason), around, from).await;
                }
                Todo::Wait => return Ok(()),
                Todo::Made { rest } => {
                    return self.over(row, RowState::Created, None, None, rest).await;
                }
                Todo::LookWhole => {
                    looked = self.look_again(row, Extent::Whole).await?;
                    continue;
                }
                Todo::Write { now, want, rest } => (now, want, rest),
            };
            let Some(spec) = row.kind.spec() else { break };
            if self.goes_without(row) {
                around.note(SOME_CAME.into());
            }
            // Held once: before another try it is looked at anew.
            looked.now = None;
            let mut task = Task { spec, now, want };
            let outcome = write::write(around, &mut task).await;
            if let Some(error) = around.broken() {
                return Err(error.into());
            }
            if around.is_back() {
                around.takes_back().await?;
                return Err(RunError::Stopped);
            }
            match outcome {
                Ok(write::Written::Unchanged) => {
                    // What is made anew and lacks nothing came with what it belongs to.
                    let state = match row.action {
                        Action::Create => RowState::Created,
                        _ => RowState::Skipped,
                    };
                    return self.ended(row, (state, around.notes()), around, from).await;
                }
                Ok(outcome) => {
                    let (state, wrote) = self.wrote(row, &task, outcome, from);
                    return self.over(row, state, around.notes(), Some(wrote), rest).await;
                }
                // Nobody knows what became of it: look, then decide.
                Err(WriteError::Admin(
                    error @ (AdminError::Unknown { .. } | AdminError::Unavailable { .. }),
                )) => {
                    last = error.to_string();
                    wait = wait.max(soonest(row.action, &error));
                    self.sleep(&mut wait).await?;
                    looked = self.look_again(row, looked.extent).await?;
                }
                // Nothing more is begun of a job that is ended.
                Err(WriteError::Later(why)) if !self.ending => {
                    self.puts_off(why);
                    return Ok(());
                }
                Err(error) => return self.failed(row, error, around, from).await,
            }
        }
        let why = format!("the shop did not say whether it was written: {last}. Retry the job");
        self.ended(row, (RowState::Failed, Some(why)), around, from).await
    }

    async fn failed(
        &self,
        row: &Row,
        error: WriteError,
        around: &AroundRow<'_>,
        from: Timestamp,
    ) -> Result<(), RunError> {
        // What it refers to may come with a later row, and what has its name may go with one.
        let is_taken = error.is_taken();
        if is_taken && row.action == Action::Create {
            // Who has its name, or takes it meanwhile, is somebody else, also when it has another turn.
            around.takes_back().await?;
        }
        if (is_taken || matches!(error, WriteError::Missing(_))) && self.may_wait(row) {
            return Ok(());
        }
        if let WriteError::Admin(error) = &error
            && error.is_of_shop()
        {
            return Err(RunError::Stuck(error.to_string()));
        }
        let may_swap = (is_taken && row.action == Action::Update).then(|| SWAP.to_owned());
        let reason = std::iter::once(error.to_string()).chain(may_swap).chain(around.notes());
        let reason = reason.reduce(|a, b| format!("{a}; {b}"));
        self.ended(row, (RowState::Failed, reason), around, from).await
    }

    /// Puts a row on record that is over without a writer's word for it. What was begun may have been
    /// written, wholly or in part, and is then to be found when the job is undone.
    async fn ended(
        &self,
        row: &Row,
        (state, reason): (RowState, Option<String>),
        around: &AroundRow<'_>,
        from: Timestamp,
    ) -> Result<(), RunError> {
        let may_be_written =
            around.begun().await && (row.action == Action::Update || state == RowState::Deleted);
        let spec = row.kind.spec().filter(|_| may_be_written);
        let wrote = spec.map(|spec| self.entry(row, self.id_now(spec, row), from));
        match (state, &wrote) {
            (RowState::Skipped, Some(_)) => {
                self.over(row, RowState::Updated, around.notes(), wrote, Rest::None).await
            }
            _ => self.over(row, state, reason, wrote, Rest::None).await,
        }
    }

    /// What the books say of a row that is written since an instant.
    fn entry(&self, row: &Row, id: ResourceId, from: Timestamp) -> Wrote {
        Wrote {
            job: self.job.clone(),
            kind: row.kind.clone(),
            id,
            was: None,
            ids: BTreeMap::new(),
            from,
            to: self.tools.clock.now(),
            hash: None,
            made: match row.action {
                Action::Update => made::all(&self.fields_now(row)),
                _ => Vec::new(),
            },
        }
    }

    /// What a writer's outcome means for the row, and for the books.
    pub(super) fn wrote(
        &self,
        row: &Row,
        task: &Task,
        outcome: write::Written,
        from: Timestamp,
    ) -> (RowState, Wrote) {
        let mut wrote = self.entry(row, self.id_now(task.spec, row), from);
        wrote.hash = task.want.as_ref().map(|want| Hash::of(Some(want)).to_hex());
        let state = match outcome {
            write::Written::Created { gid, mut ids } => {
                let own = task.want.as_ref().and_then(|want| want.get("id")?.as_str());
                let own = own.map(str::to_owned).or_else(|| gid_of(row));
                ids.extend(own.map(|own| (own, gid.clone())));
                wrote.was = Some(row.id.clone());
                // Stock is known by its item and its place, whatever number Shopify gives it.
                if !write::is_stock(task.spec) {
                    wrote.id = ResourceId::parse(&gid).unwrap_or(wrote.id);
                }
                wrote.ids = ids;
                RowState::Created
            }
            write::Written::Updated { ids } => {
                wrote.ids = ids;
                RowState::Updated
            }
            write::Written::Deleted => RowState::Deleted,
            write::Written::Unchanged => RowState::Skipped,
        };
        (state, wrote)
    }

    /// Puts on record what became of a row.
    pub(super) async fn over(
        &self,
        row: &Row,
        state: RowState,
        reason: Option<String>,
        wrote: Option<Wrote>,
        rest: Rest,
    ) -> Result<(), RunError> {
        let is_there = matches!(state, RowState::Created | RowState::Updated);
        let own = gid_of(row).filter(|_| row.action == Action::Create && is_there);
        let new_gid = own.as_ref().and_then(|own| match &wrote {
            Some(wrote) => wrote.ids.get(own).cloned().or_else(|| row.kind.gid(&wrote.id)),
            None => self.written.now(own),
        });
        let result = RowResult {
            n: row.n,
            kind: row.kind.clone(),
            id: row.id.clone(),
            title: row.title.clone(),
            state,
            reason: reason.map(|reason| match reason.char_indices().nth(REASON_MAX) {
                Some((end, _)) => format!("{}…", &reason[..end]),
                None => reason,
            }),
            new_gid,
        };
        let step = match rest {
            Rest::Follows => Step::Rest(result.clone()),
            Rest::None => Step::Over(result.clone()),
        };
        self.ledger.put(step, wrote.clone()).await?;
        if let Some(wrote) = wrote {
            self.written.add(&[wrote]);
        }
        if let Some(own) = own {
            self.missing().came(&self.first(&own));
        }
        {
            let mut parts = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
            match rest {
                Rest::Follows => parts.insert(row.n),
                Rest::None => parts.remove(&row.n),
            };
        }
        self.begun.ends(row.n);
        self.tools.metrics.row(state);
        let points = if self.deselected.contains(&row.n) { 0.0 } else { row.cost };
        self.run.over(result, points);
        Ok(())
    }

    pub(super) fn key(&self, row: &Row) -> ResourceKey {
        ResourceKey { shop: self.shop.clone(), kind: row.kind.clone(), id: row.id.clone() }
    }
}

/// How soon it is looked anew after nobody heard what became of a write.
fn soonest(action: Action, error: &AdminError) -> Duration {
    match error {
        AdminError::Unknown { .. } if action == Action::Create => FOUND_AFTER,
        _ => WAIT_FIRST,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_made_is_given_time_to_be_found() {
        let shop = crate::fake::shop("acme");
        let unknown = AdminError::Unknown { shop: shop.clone(), detail: "502".into() };
        let waited = Duration::ZERO;
        let unavailable = AdminError::Unavailable { shop, waited, last: "503".into() };
        assert_eq!(soonest(Action::Create, &unknown), FOUND_AFTER);
        for (action, error) in [(Action::Update, &unknown), (Action::Create, &unavailable)] {
            assert_eq!(soonest(action, error), WAIT_FIRST);
        }
    }
}
