//! Applies a plan: rank after rank, within a rank many rows at once, each looked at before it is
//! written and put on record before and after.
//!
//! What refers to something that the same plan makes anew, and that is not there yet, is left out at
//! first and written once everything is there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstock_proto::admin::ask::{AskError, Asker};
use backstock_proto::admin::{AdminError, Client};
use backstock_proto::blob::BlobHash;
use backstock_proto::canonical::Hash;
use backstock_proto::journal::{AsOf, JournalError, Page, Span};
use backstock_proto::kind::Spec;
use backstock_proto::merge;
use backstock_proto::{ResourceId, ResourceKey, Shop, Timestamp};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::around::AroundRow;
use super::decide::{Change, change, tells};
use super::ledger::{Ledger, LedgerError, Standing, Step};
use super::live::{self, Extent};
use super::run::{Run, Want};
use super::written::{Written, Wrote};
use super::{RowResult, RowState, gid, rows};
use crate::job::desk::Tools;
use crate::plan::{Action, Plan, Row};
use crate::record::RecordError;
use crate::write::{self, Task, WriteError};

/// Rows that are written at once. The client's budget paces their calls.
const WRITES: usize = 24;
/// Questions about rows to come, at once.
const READS: usize = 3;
/// Rows that are taken together.
const TOGETHER_MAX: usize = 4_000;
/// How often a row is looked at anew when nobody knows whether it was written.
const LOOKS_MAX: u32 = 20;
/// Waits between looks: the first, and the longest.
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How far Shopify's clock may be behind ours.
const BEHIND_MICROS: i64 = 5_000_000;

/// Why a run ended before every row was over.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// It may go on elsewhere, or later.
    #[error("interrupted")]
    Stopped,
    /// Somebody ended it.
    #[error("cancelled")]
    Cancelled,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The shop cannot be asked at all.
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{0}")]
    Plan(String),
}

/// Applies one plan.
pub(super) struct Runner {
    pub(super) tools: Arc<Tools>,
    pub(super) run: Arc<Run>,
    pub(super) shop: Shop,
    pub(super) job: String,
    pub(super) plan: Plan,
    pub(super) began_at: Timestamp,
    pub(super) deselected: HashSet<u64>,
    pub(super) asker: Asker,
    pub(super) ledger: Ledger,
    pub(super) standing: Standing,
    pub(super) written: Arc<Written>,
    pub(super) stop: CancellationToken,
    /// Gids of what the plan makes anew, as history knows them.
    pub(super) anew: HashSet<String>,
    /// Those of them that are not there yet.
    pub(super) missing: Mutex<HashSet<String>>,
    /// Rows of which a part follows.
    pub(super) rest: Mutex<BTreeSet<u64>>,
    /// Rows that wait for something that they refer to.
    pub(super) again: Mutex<BTreeSet<u64>>,
    /// Whether rows were left open because the run was to end. Those under way are finished.
    pub(super) left: AtomicBool,
}

/// What is known about a row before it is written.
struct Looked {
    now: Option<Value>,
    extent: Extent,
    /// Why nothing is known.
    fault: Option<String>,
}

impl Looked {
    fn new(now: Option<Value>, extent: Extent) -> Self {
        Self { now, extent, fault: None }
    }
}

/// What is to be done about a row.
enum Todo {
    Over(RowState, Option<String>),
    LookWhole,
    Write { now: Option<Value>, want: Option<Value>, rest: bool },
}

impl Runner {
    pub(super) fn client(&self) -> &Client {
        &self.asker.client
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn job_id(&self) -> &str {
        &self.job
    }

    pub(super) fn began_at(&self) -> Timestamp {
        Timestamp::from_micros(self.began_at.as_micros() - BEHIND_MICROS)
    }

    /// Bytes that are kept. What is damaged or cannot be read is as if it had never been kept, and
    /// the log says so.
    pub(super) async fn blob(&self, hash: &str) -> Option<Bytes> {
        let hash: BlobHash = hash.parse().ok()?;
        match self.tools.blobs.get(&self.shop, hash).await {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(shop = %self.shop, job = %self.job, "blob {hash}: {error}");
                None
            }
        }
    }

    /// Learns of every row what there is to know before the first is written.
    pub(super) async fn survey(&mut self) -> Result<(), RunError> {
        let (mut n, mut total) = (0, 0);
        while let Some(rows) = self.piece(n).await? {
            n += 1;
            total += rows.len() as u64;
            for row in rows.iter().filter(|row| row.action == Action::Create) {
                self.anew.extend(gid_of(row));
            }
        }
        let missing = self.anew.iter().filter(|gid| self.written.now(gid).is_none());
        self.missing = Mutex::new(missing.cloned().collect());
        self.rest = Mutex::new(self.standing.rest.clone());
        self.run.begins(total, self.standing.over.clone(), self.client().granted());
        Ok(())
    }

    /// Does every row that is not over.
    pub(super) async fn apply(&self) -> Result<(), RunError> {
        let (mut n, mut waiting): (u64, Vec<Row>) = (0, Vec::new());
        while let Some(rows) = self.piece(n).await? {
            n += 1;
            for row in rows {
                let next_rank = waiting.last().is_some_and(|last| group(last) != group(&row));
                if next_rank || waiting.len() >= TOGETHER_MAX {
                    self.together(std::mem::take(&mut waiting)).await?;
                }
                waiting.push(row);
            }
        }
        self.together(waiting).await?;
        self.follow_up().await
    }

    pub(super) async fn piece(&self, n: u64) -> Result<Option<Vec<Row>>, RunError> {
        let journal = self.tools.journal.as_ref();
        Ok(rows::piece(journal, &self.shop, &self.plan.id, n).await?)
    }

    /// Rows that do not depend on each other.
    async fn together(&self, rows: Vec<Row>) -> Result<(), RunError> {
        let open = rows.into_iter().filter(|row| !self.standing.over.contains_key(&row.n));
        let mut asked: Vec<Vec<Row>> = Vec::new();
        for row in open {
            let most = row.kind.spec().map_or(1, live::together);
            match asked.last_mut() {
                Some(last) if last.len() < most && last.last().is_some_and(|l| same(l, &row)) => {
                    last.push(row);
                }
                _ => asked.push(vec![row]),
            }
        }
        let looked = futures::stream::iter(asked).map(|rows| self.look_at(rows).boxed());
        let looked = looked
            .buffered(READS)
            .map_ok(|rows| futures::stream::iter(rows.into_iter().map(Ok::<_, RunError>)));
        let rows = looked.try_flatten();
        let written =
            rows.try_for_each_concurrent(WRITES, |(row, looked)| self.row(row, looked).boxed());
        written.await?;
        self.may_go_on()
    }

    /// What the shop has of some rows of the same kind.
    async fn look_at(&self, rows: Vec<Row>) -> Result<Vec<(Row, Looked)>, RunError> {
        self.left_open(self.looked_at(rows).await)
    }

    async fn looked_at(&self, rows: Vec<Row>) -> Result<Vec<(Row, Looked)>, RunError> {
        self.gate().await?;
        let spec = rows.first().filter(|row| is_write(row.action)).and_then(|row| row.kind.spec());
        let (mut found, mut fault) = (HashMap::new(), None);
        if let Some(spec) = spec {
            let ids: Vec<ResourceId> = rows.iter().map(|row| self.id_now(spec, row)).collect();
            match self.read(spec, &ids, Extent::Core).await {
                Ok(read) => found = read,
                Err(RunError::Ask(error)) => fault = Some(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        let looked = rows.into_iter().map(|row| {
            let now = spec.and_then(|spec| found.remove(&self.id_now(spec, &row)));
            (row, Looked { now, extent: Extent::Core, fault: fault.clone() })
        });
        Ok(looked.collect())
    }

    async fn read(
        &self,
        spec: &'static Spec,
        ids: &[ResourceId],
        extent: Extent,
    ) -> Result<HashMap<ResourceId, Value>, RunError> {
        let mut wait = WAIT_FIRST;
        loop {
            match live::read(&self.asker, spec, ids, extent).await {
                Ok(found) => return Ok(found),
                Err(AskError::Admin(AdminError::Unavailable { last, .. })) => {
                    tracing::warn!(shop = %self.shop, job = %self.job, "the shop does not answer: {last}");
                    self.gate().await?;
                    self.sleep(&mut wait).await?;
                }
                Err(AskError::Admin(error @ AdminError::Unauthorized(..))) => {
                    return Err(RunError::Plan(error.to_string()));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One row, until it is over.
    async fn row(&self, row: Row, looked: Looked) -> Result<(), RunError> {
        self.left_open(self.write(row, looked).await)
    }

    async fn write(&self, row: Row, mut looked: Looked) -> Result<(), RunError> {
        self.gate().await?;
        let begun = self.standing.begun.contains(&row.n);
        let around = AroundRow::new(self, row.n, begun);
        let (from, mut wait) = (self.tools.clock.now(), WAIT_FIRST);
        let mut last = String::new();
        if let Some(fault) = looked.fault {
            return self.over(&row, RowState::Failed, Some(fault), None, false).await;
        }
        for _ in 0..LOOKS_MAX {
            let (now, want, rest) = match self.todo(&row, &looked, around.begun().await).await? {
                Todo::Over(state, reason) => {
                    return self.over(&row, state, reason, None, false).await;
                }
                Todo::LookWhole => {
                    looked = self.look_again(&row, Extent::Whole).await?;
                    continue;
                }
                Todo::Write { now, want, rest } => (now, want, rest),
            };
            let Some(spec) = row.kind.spec() else { break };
            let task = Task { spec, now, want };
            let outcome = write::write(&around, &task).await;
            if let Some(error) = around.broken() {
                return Err(error.into());
            }
            match outcome {
                Ok(outcome) => {
                    let (state, wrote) = self.wrote(&row, &task, outcome, from);
                    return self.over(&row, state, around.notes(), wrote, rest).await;
                }
                // Nobody knows what became of it: look, then decide.
                Err(WriteError::Admin(
                    error @ (AdminError::Unknown { .. } | AdminError::Unavailable { .. }),
                )) => {
                    last = error.to_string();
                    self.sleep(&mut wait).await?;
                    looked = self.look_again(&row, looked.extent).await?;
                }
                Err(error) => return self.failed(&row, error, &around).await,
            }
        }
        let why = format!("the shop did not say whether it was written: {last}. Retry the job");
        self.over(&row, RowState::Failed, Some(why), None, false).await
    }

    async fn look_again(&self, row: &Row, extent: Extent) -> Result<Looked, RunError> {
        let Some(spec) = row.kind.spec() else { return Ok(Looked::new(None, extent)) };
        let id = self.id_now(spec, row);
        let mut found = self.read(spec, std::slice::from_ref(&id), extent).await?;
        Ok(Looked::new(found.remove(&id), extent))
    }

    async fn failed(
        &self,
        row: &Row,
        error: WriteError,
        around: &AroundRow<'_>,
    ) -> Result<(), RunError> {
        let first = |n: &u64| self.again.lock().unwrap_or_else(PoisonError::into_inner).insert(*n);
        // What it refers to may come with a later row.
        if matches!(error, WriteError::Missing(_)) && first(&row.n) {
            return Ok(());
        }
        if let WriteError::Admin(AdminError::Unauthorized(..)) = &error {
            return Err(RunError::Plan(error.to_string()));
        }
        let reason = match around.notes() {
            Some(notes) => format!("{error}; {notes}"),
            None => error.to_string(),
        };
        self.over(row, RowState::Failed, Some(reason), None, false).await
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
        match (row.action, &looked.now) {
            (Action::Update, Some(now)) => Ok(self.update(row, now, looked.extent)),
            (Action::Update, None) => {
                let why = "it is no longer in the shop. Make a new plan to bring it back";
                Ok(Todo::Over(RowState::Conflict, Some(why.into())))
            }
            (Action::Delete, Some(now)) => self.delete(row, now).await,
            (Action::Delete, None) if begun => Ok(Todo::Over(RowState::Deleted, None)),
            (Action::Delete, None) => {
                Ok(Todo::Over(RowState::Skipped, Some("it is gone already".into())))
            }
            (_, Some(now)) => Ok(self.is_there(row, now)),
            (_, None) => self.create(row).await,
        }
    }

    fn update(&self, row: &Row, now: &Value, extent: Extent) -> Todo {
        let mut fields = row.fields.clone();
        fields.iter_mut().for_each(|field| self.written.rewrite_field(field));
        if extent == Extent::Core && !tells(now, &fields) {
            return Todo::LookWhole;
        }
        match change(now, &fields) {
            Change::Nothing => Todo::Over(RowState::Skipped, Some("as wanted already".into())),
            Change::Conflict(why) => Todo::Over(RowState::Conflict, Some(why)),
            Change::Make(want) => {
                Todo::Write { now: Some(now.clone()), want: Some(want), rest: false }
            }
        }
    }

    /// What is new is deleted as long as nobody has changed it since the plan was made.
    async fn delete(&self, row: &Row, now: &Value) -> Result<Todo, RunError> {
        let page = Page { limit: 50, cursor: None };
        let newest = self.tools.journal.versions(&self.key(row), Span::default(), &page).await?;
        let changed = newest.items.iter().find(|version| {
            let at = version.valid_at;
            let since = match row.seen {
                Some(seen) => version.seq > seen,
                None => at > self.plan.made_at,
            };
            let ours = || self.written.job_at(&row.kind, &row.id, at).is_some();
            since && !version.unchanged && version.facet.is_state() && !ours()
        });
        if let Some(version) = changed {
            let at = version.valid_at;
            let why = format!("it was changed at {at}, after the plan was made. Make a new plan");
            return Ok(Todo::Over(RowState::Conflict, Some(why)));
        }
        Ok(Todo::Write { now: Some(now.clone()), want: None, rest: false })
    }

    /// What was to be made anew is there.
    fn is_there(&self, row: &Row, now: &Value) -> Todo {
        let id = row.kind.spec().map(|spec| self.id_now(spec, row));
        if id.is_some_and(|id| id != row.id) {
            let gid = now.get("id").and_then(Value::as_str).unwrap_or("part of something new");
            let why = format!("it was made anew already, as {gid}. A new plan shows what differs");
            return Todo::Over(RowState::Skipped, Some(why));
        }
        let why = "it is in the shop. Make a new plan to see what differs";
        Todo::Over(RowState::Conflict, Some(why.into()))
    }

    async fn create(&self, row: &Row) -> Result<Todo, RunError> {
        let Some(whole) = self.as_it_was(row).await? else {
            let why = "history does not have its state any more";
            return Ok(Todo::Over(RowState::Failed, Some(why.into())));
        };
        let mut want = whole;
        let rest = {
            let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            let is = |gid: &str| missing.contains(gid);
            let rest = gid::refers(&want, &is);
            if rest {
                gid::leave_out(&mut want, &is);
            }
            rest
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

    /// What a writer's outcome means for the row, and for the books.
    fn wrote(
        &self,
        row: &Row,
        task: &Task,
        outcome: write::Written,
        from: Timestamp,
    ) -> (RowState, Option<Wrote>) {
        let mut wrote = Wrote {
            job: self.job.clone(),
            kind: row.kind.clone(),
            id: self.id_now(task.spec, row),
            was: None,
            ids: BTreeMap::new(),
            from,
            to: self.tools.clock.now(),
            hash: task.want.as_ref().map(|want| Hash::of(Some(want)).to_hex()),
        };
        match outcome {
            write::Written::Created { gid, mut ids } => {
                let own = task.want.as_ref().and_then(|want| want.get("id")?.as_str());
                let own = own.map(str::to_owned).or_else(|| gid_of(row));
                ids.extend(own.map(|own| (own, gid.clone())));
                wrote.was = Some(row.id.clone());
                wrote.id = ResourceId::parse(&gid).unwrap_or(wrote.id);
                wrote.ids = ids;
                (RowState::Created, Some(wrote))
            }
            write::Written::Updated { ids } => {
                wrote.ids = ids;
                (RowState::Updated, Some(wrote))
            }
            write::Written::Deleted => (RowState::Deleted, Some(wrote)),
            write::Written::Unchanged => (RowState::Skipped, None),
        }
    }

    /// Puts on record what became of a row.
    async fn over(
        &self,
        row: &Row,
        state: RowState,
        reason: Option<String>,
        wrote: Option<Wrote>,
        rest: bool,
    ) -> Result<(), RunError> {
        let anew = wrote.as_ref().filter(|_| state == RowState::Created);
        let new_gid = anew.and_then(|wrote| {
            let own = gid_of(row)?;
            wrote.ids.get(&own).cloned().or_else(|| row.kind.gid(&wrote.id))
        });
        let result = RowResult {
            n: row.n,
            kind: row.kind.clone(),
            id: row.id.clone(),
            title: row.title.clone(),
            state,
            reason,
            new_gid,
        };
        let step = match rest {
            true => Step::Rest(result.clone()),
            false => Step::Over(result.clone()),
        };
        self.ledger.put(step, wrote.clone()).await?;
        if let Some(wrote) = wrote {
            self.written.add(&[wrote]);
        }
        if state == RowState::Created
            && let Some(gid) = gid_of(row)
        {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).remove(&gid);
        }
        if rest {
            self.rest.lock().unwrap_or_else(PoisonError::into_inner).insert(row.n);
        }
        self.tools.metrics.row(state);
        self.run.over(result);
        Ok(())
    }

    /// Once everything is there: what was left out, and what waited.
    async fn follow_up(&self) -> Result<(), RunError> {
        let take =
            |of: &Mutex<BTreeSet<u64>>| of.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (rest, again) = (take(&self.rest), take(&self.again));
        if rest.is_empty() && again.is_empty() {
            return Ok(());
        }
        let (mut waited, mut parts, mut n) = (Vec::new(), Vec::new(), 0);
        while let Some(rows) = self.piece(n).await? {
            n += 1;
            for row in rows {
                if again.contains(&row.n) {
                    waited.push(row);
                } else if rest.contains(&row.n) {
                    parts.push(row);
                }
            }
        }
        // In the plan's order, one rank after the other.
        while !waited.is_empty() {
            let first = group(&waited[0]);
            let end = waited.iter().position(|row| group(row) != first).unwrap_or(waited.len());
            let later = waited.split_off(end);
            self.together(std::mem::replace(&mut waited, later)).await?;
        }
        let late = take(&self.rest);
        let mut n = 0;
        while late.len() > rest.len() {
            let Some(rows) = self.piece(n).await? else { break };
            n += 1;
            let new = |row: &Row| late.contains(&row.n) && !rest.contains(&row.n);
            parts.extend(rows.into_iter().filter(new));
        }
        let parts = futures::stream::iter(parts.into_iter().map(Ok::<_, RunError>));
        parts.try_for_each_concurrent(WRITES, |row| self.rest_of(row).boxed()).await?;
        self.may_go_on()
    }

    /// Writes what was left out of a row.
    async fn rest_of(&self, row: Row) -> Result<(), RunError> {
        self.left_open(self.write_rest(row).await)
    }

    async fn write_rest(&self, row: Row) -> Result<(), RunError> {
        self.gate().await?;
        let around = AroundRow::new(self, row.n, true);
        let (from, mut wait) = (self.tools.clock.now(), WAIT_FIRST);
        let mut last = String::new();
        for _ in 0..LOOKS_MAX {
            let Some(spec) = row.kind.spec() else { break };
            let (Some(now), Some(whole)) =
                (self.look_again(&row, Extent::Whole).await?.now, self.as_it_was(&row).await?)
            else {
                let why = "made anew, and gone again before all of it was written";
                return self.over(&row, RowState::Failed, Some(why.into()), None, false).await;
            };
            let (want, without) = self.completed(&now, &whole);
            let without = without
                .then(|| "what refers to things that are not in the shop was left out".to_owned());
            let task = Task { spec, now: Some(now), want: Some(want) };
            let outcome = write::write(&around, &task).await;
            if let Some(error) = around.broken() {
                return Err(error.into());
            }
            match outcome {
                Ok(outcome) => {
                    let (_, wrote) = self.wrote(&row, &task, outcome, from);
                    let reason = around.notes().into_iter().chain(without);
                    let reason = reason.reduce(|a, b| format!("{a}; {b}"));
                    return self.over(&row, RowState::Created, reason, wrote, false).await;
                }
                Err(WriteError::Admin(
                    error @ (AdminError::Unknown { .. } | AdminError::Unavailable { .. }),
                )) => {
                    last = error.to_string();
                    self.sleep(&mut wait).await?;
                }
                Err(error) => {
                    let why = format!("made anew, but not what refers to other things: {error}");
                    return self.over(&row, RowState::Failed, Some(why), None, false).await;
                }
            }
        }
        let why = format!("the shop did not say whether it was written: {last}. Retry the job");
        self.over(&row, RowState::Failed, Some(why), None, false).await
    }

    /// What is there now together with what was left out, and whether something still has to be.
    fn completed(&self, now: &Value, whole: &Value) -> (Value, bool) {
        let mut reduced = whole.clone();
        gid::leave_out(&mut reduced, &|gid| self.anew.contains(gid));
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |gid: &str| missing.contains(gid);
        let mut full = whole.clone();
        let without = gid::refers(&full, &is);
        if without {
            gid::leave_out(&mut full, &is);
        }
        let mut want = now.clone();
        for mut field in merge::fields(&reduced, &full) {
            self.written.rewrite_field(&mut field);
            merge::set(&mut want, &field.path, field.new);
        }
        (want, without)
    }

    fn id_now(&self, spec: &'static Spec, row: &Row) -> ResourceId {
        match row.gid.as_deref().and_then(|gid| self.written.now(gid)) {
            Some(gid) => ResourceId::parse(&gid).unwrap_or_else(|_| row.id.clone()),
            None => self.written.id_now(spec, &row.id),
        }
    }

    fn key(&self, row: &Row) -> ResourceKey {
        ResourceKey { shop: self.shop.clone(), kind: row.kind.clone(), id: row.id.clone() }
    }

    /// A row that is not begun because the run is to end does not keep others from being finished.
    fn left_open<T: Default>(&self, outcome: Result<T, RunError>) -> Result<T, RunError> {
        match outcome {
            Err(RunError::Stopped | RunError::Cancelled) => {
                self.left.store(true, Ordering::Relaxed);
                Ok(T::default())
            }
            other => other,
        }
    }

    /// Whether nothing was left open; else why.
    fn may_go_on(&self) -> Result<(), RunError> {
        if !self.left.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(match *self.run.want.borrow() {
            Want::Cancel => RunError::Cancelled,
            Want::Run | Want::Pause => RunError::Stopped,
        })
    }

    /// Goes on when it may: ends when it must, waits while it is paused.
    async fn gate(&self) -> Result<(), RunError> {
        let mut want = self.run.want.subscribe();
        loop {
            if self.stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            let wanted = *want.borrow_and_update();
            match wanted {
                Want::Run => return Ok(()),
                Want::Cancel => return Err(RunError::Cancelled),
                Want::Pause => tokio::select! {
                    () = self.stop.cancelled() => {}
                    changed = want.changed() => if changed.is_err() { return Err(RunError::Stopped) },
                },
            }
        }
    }

    async fn sleep(&self, wait: &mut Duration) -> Result<(), RunError> {
        let now = *wait;
        *wait = (*wait * 2).min(WAIT_MAX);
        tokio::select! {
            () = self.stop.cancelled() => Err(RunError::Stopped),
            () = tokio::time::sleep(now) => Ok(()),
        }
    }
}

/// Rows with the same are written at once.
fn group(row: &Row) -> (bool, u8) {
    (row.action == Action::Delete, row.kind.spec().map_or(u8::MAX, |spec| spec.rank))
}

/// Whether two rows can be asked about together.
fn same(a: &Row, b: &Row) -> bool {
    a.kind == b.kind && is_write(a.action) == is_write(b.action)
}

fn is_write(action: Action) -> bool {
    matches!(action, Action::Create | Action::Update | Action::Delete)
}

/// A row's gid, as history knows it.
fn gid_of(row: &Row) -> Option<String> {
    row.gid.clone().or_else(|| row.kind.gid(&row.id))
}
