//! One row of a plan, until it is over: looked at, decided about, written, and put on record before and
//! after.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use backstock_proto::admin::AdminError;
use backstock_proto::canonical::Hash;
use backstock_proto::journal::AsOf;
use backstock_proto::kind::{Personal, Spec};
use backstock_proto::merge::{self, Field, FieldPath};
use backstock_proto::{ResourceId, ResourceKey, Timestamp};
use serde_json::Value;

use super::around::AroundRow;
use super::decide::{Change, change, differing, tells, unknown_bytes};
use super::ledger::Step;
use super::looked::Looked;
use super::missing::NOTHING_CAME;
use super::place::Place;
use super::rest::Rest;
use super::runner::{RunError, Runner, WAIT_FIRST, gid_of, is_write, makes_product};
use super::written::Wrote;
use super::{RowResult, RowState, gid};
use crate::change_set::made;
use crate::plan::row::ERASED;
use crate::plan::{Action, Row};
use crate::write::look::Extent;
use crate::write::{self, Task, WriteError};

/// How often a row is looked at anew when nobody knows whether it was written.
pub(super) const LOOKS_MAX: u32 = 20;
/// How old a look may be by which something is written.
const LOOK_AGE_MAX: Duration = Duration::from_secs(15);
/// Why nothing can be made anew.
const NO_STATE: &str = "history does not have its state any more";
/// Why nothing is done where nothing differs.
const AS_WANTED: &str = "as wanted already";
/// What is said of stock that came back with its item and is another by now.
const MOVED: &str = "it was stocked with its product, and has moved since";
/// What is said of a name that something else has which was there before, too.
const SWAP: &str = "if the two are to swap names, give the other one a different name for now, retry \
                    the job, and then make a new plan for it";
/// Longest reason that is kept with a row, in characters.
const REASON_MAX: usize = 2_000;

/// What is to be done about a row.
enum Todo {
    Over(RowState, Option<String>),
    LookWhole,
    /// Not now: it refers to something that is not there yet.
    Wait,
    /// An earlier try made it and did not live to say so.
    Made {
        rest: Rest,
    },
    Write {
        now: Option<Value>,
        want: Option<Value>,
        rest: Rest,
    },
}

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
        if looked.at.elapsed() > LOOK_AGE_MAX {
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

    /// What is to be done about a row.
    async fn todo(&self, row: &Row, looked: &Looked, begun: bool) -> Result<Todo, RunError> {
        if self.deselected.contains(&row.n) {
            return Ok(Todo::Over(RowState::Skipped, Some("deselected".into())));
        }
        if !is_write(row.action) {
            let reason = (!row.notes.is_empty()).then(|| row.notes.join("; "));
            return Ok(Todo::Over(RowState::Skipped, reason));
        }
        if self.is_erased(row).await? {
            return Ok(Todo::Over(RowState::Skipped, Some(ERASED.into())));
        }
        if let Some(fault) = &looked.fault {
            return Ok(Todo::Over(RowState::Failed, Some(fault.clone())));
        }
        match (row.action, &looked.now) {
            (Action::Update, Some(_)) if self.is_early(row) => Ok(Todo::Wait),
            (Action::Update, Some(now)) => self.update(row, now, looked.extent).await,
            (Action::Update, None) => {
                let why = "it is no longer in the shop. Make a new plan to bring it back";
                Ok(Todo::Over(RowState::Conflict, Some(why.into())))
            }
            (Action::Delete, Some(now)) => Ok(match self.edited(row, now).await? {
                Some(why) => Todo::Over(RowState::Conflict, Some(why)),
                None => Todo::Write { now: Some(now.clone()), want: None, rest: Rest::None },
            }),
            (Action::Delete, None) if begun => Ok(Todo::Over(RowState::Deleted, None)),
            (Action::Delete, None) => {
                Ok(Todo::Over(RowState::Skipped, Some("it is gone already".into())))
            }
            (_, Some(now)) => self.is_there(row, now, (looked.extent, begun)).await,
            (_, None) => self.create(row).await,
        }
    }

    /// Whether a row is about somebody who was erased since the plan was made.
    async fn is_erased(&self, row: &Row) -> Result<bool, RunError> {
        let about_people = |spec: &Spec| spec.personal == Personal::Subject;
        if !row.kind.spec().is_some_and(about_people) {
            return Ok(false);
        }
        let erased = self.tools.journal.erased(&self.shop).await?;
        Ok(erased.has(&row.kind, &row.id))
    }

    async fn update(&self, row: &Row, now: &Value, extent: Extent) -> Result<Todo, RunError> {
        let mut fields = self.fields_now(row);
        fields.retain(|field| !self.is_absent(field));
        if fields.is_empty() {
            return Ok(Todo::Over(RowState::Skipped, Some(NOTHING_CAME.into())));
        }
        let known = self.with_bytes(row, &fields, now).await?;
        let now = known.as_ref().unwrap_or(now);
        let spec = row.kind.spec();
        if let Some(why) = spec.and_then(|spec| unknown_bytes(spec, now, &fields)) {
            return Ok(Todo::Over(RowState::Conflict, Some(why)));
        }
        // What still points to the id of before is as the plan expects it.
        let mut told = now.clone();
        self.written.rewrite(&mut told);
        if extent == Extent::Core && !tells(&told, &fields) {
            return Ok(Todo::LookWhole);
        }
        let came = |gid: &str| self.anew.contains(&self.first(gid));
        let counts = |path: &FieldPath| counts(row, path, now);
        Ok(match change(now, &told, &fields, &came, &counts) {
            Change::Nothing => Todo::Over(RowState::Skipped, Some(AS_WANTED.into())),
            Change::Conflict(why) => Todo::Over(RowState::Conflict, Some(why)),
            Change::Make(want) => {
                Todo::Write { now: Some(now.clone()), want: Some(want), rest: Rest::None }
            }
        })
    }

    /// A row's fields, with the gids that things have now.
    fn fields_now(&self, row: &Row) -> Vec<Field> {
        let mut fields = row.fields.clone();
        fields.iter_mut().for_each(|field| self.written.rewrite_field(field));
        fields
    }

    /// What was to be made anew is there.
    async fn is_there(
        &self,
        row: &Row,
        now: &Value,
        (extent, begun): (Extent, bool),
    ) -> Result<Todo, RunError> {
        if let Some(gid) = gid_of(row) {
            self.missing().came(&self.first(&gid));
        }
        let id = row.kind.spec().map(|spec| self.id_now(spec, row));
        let Some(id) = id.filter(|id| *id != row.id) else {
            return self.kept_its_id(row, now, (extent, begun)).await;
        };
        if self.written.when(&self.job, &row.kind, &id).is_some() {
            let whole = self.as_it_was(row).await?;
            let lacks = whole.is_some_and(|whole| gid::refers(&whole, &self.may_be_left_out()));
            return Ok(Todo::Made { rest: Rest::of(lacks) });
        }
        if self.is_of_new(row, now) {
            return self.create(row).await;
        }
        if self.came_bare(row, now) {
            let Some(mut want) = self.as_it_was(row).await? else {
                return Ok(Todo::Over(RowState::Failed, Some(NO_STATE.into())));
            };
            self.written.rewrite(&mut want);
            if row.kind.spec().is_some_and(write::is_stock) && write::has_moved(now, &want) {
                return Ok(Todo::Over(RowState::Created, Some(MOVED.into())));
            }
            return Ok(Todo::Write { now: Some(now.clone()), want: Some(want), rest: Rest::None });
        }
        let gid = now.get("id").and_then(Value::as_str).unwrap_or("part of something new");
        let why = format!("it was made anew already, as {gid}. A new plan shows what differs");
        Ok(Todo::Over(RowState::Skipped, Some(why)))
    }

    /// What was to be made anew is there under the id that it had: a file of a theme keeps it.
    async fn kept_its_id(
        &self,
        row: &Row,
        now: &Value,
        (extent, begun): (Extent, bool),
    ) -> Result<Todo, RunError> {
        let mut want = self.as_it_was(row).await?.unwrap_or_default();
        self.written.rewrite(&mut want);
        if differing(now.clone(), want).any(|path| counts(row, &path, now)) {
            let why = "it is in the shop. Make a new plan to see what differs";
            return Ok(Todo::Over(RowState::Conflict, Some(why.into())));
        }
        // An earlier try may have made it: the writer finds it, and it goes on record.
        match (extent, begun) {
            (Extent::Core, _) => Ok(Todo::LookWhole),
            (Extent::Whole, true) => self.create(row).await,
            (Extent::Whole, false) => Ok(Todo::Over(RowState::Skipped, Some(AS_WANTED.into()))),
        }
    }

    /// Whether it came with a variant that this job made, which brings its stock-keeping: as wanted where
    /// the making told of it, else bare.
    fn came_bare(&self, row: &Row, now: &Value) -> bool {
        let item = match row.kind.as_str() {
            "inventory_item" => now.get("id"),
            "inventory_level" => now.pointer("/item/id"),
            _ => None,
        };
        let item = item.and_then(Value::as_str);
        item.is_some_and(|item| self.written.is_made_by(&self.job, item))
    }

    async fn create(&self, row: &Row) -> Result<Todo, RunError> {
        let Some(whole) = self.as_it_was(row).await? else {
            return Ok(Todo::Over(RowState::Failed, Some(NO_STATE.into())));
        };
        let mut want = whole;
        let rest = {
            let missing = self.missing();
            let is = |gid: &str| self.is_missing(&missing, gid);
            let lacks = gid::refers(&want, &is);
            if lacks {
                gid::leave_out(&mut want, &is);
            }
            Rest::of(lacks)
        };
        self.written.rewrite(&mut want);
        Ok(Todo::Write { now: None, want: Some(want), rest })
    }

    /// The state that a creation makes anew, with the ids that it had: as it was, with what the plan
    /// makes different.
    pub(super) async fn as_it_was(&self, row: &Row) -> Result<Option<Value>, RunError> {
        let was = match row.of {
            None if !row.fields.is_empty() => None,
            of => {
                let at = of.map_or(AsOf::Latest, AsOf::At);
                self.tools.journal.resource(&self.key(row), at).await?
            }
        };
        let mut state = was.map_or(Value::Null, |resource| resource.state);
        for field in &row.fields {
            merge::set(&mut state, &field.path, field.new.clone());
        }
        Ok(Some(state).filter(Value::is_object))
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
        self.run.over(result);
        Ok(())
    }

    pub(super) fn key(&self, row: &Row) -> ResourceKey {
        ResourceKey { shop: self.shop.clone(), kind: row.kind.clone(), id: row.id.clone() }
    }
}

/// Whether a difference in a field of what is there is one to anybody.
fn counts(row: &Row, path: &FieldPath, now: &Value) -> bool {
    row.kind.spec().is_none_or(|spec| !write::incidental(spec, path, now))
}
