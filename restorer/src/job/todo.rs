//! What is to be done about a row, by how it was found and by what history and the books know of it.

use backstock_proto::journal::AsOf;
use backstock_proto::kind::{Personal, Spec};
use backstock_proto::merge::{self, Field, FieldPath};
use serde_json::Value;

use super::counted::item_of;
use super::decide::{Change, change, differing, tells, unknown_bytes};
use super::looked::Looked;
use super::missing::NOTHING_CAME;
use super::rest::Rest;
use super::runner::{RunError, Runner, gid_of, is_write};
use super::{RowState, gid};
use crate::plan::row::ERASED;
use crate::plan::{Action, Row};
use crate::write;
use crate::write::look::Extent;

/// Why nothing can be made anew.
const NO_STATE: &str = "history does not have its state any more";
/// Why nothing is done where nothing differs.
const AS_WANTED: &str = "as wanted already";
/// What is said of stock that came back with its item and is another by now.
const MOVED: &str = "it was stocked with its product, and has moved since";

/// What is to be done about a row.
pub(super) enum Todo {
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
    /// What is to be done about a row.
    pub(super) async fn todo(
        &self,
        row: &Row,
        looked: &Looked,
        begun: bool,
    ) -> Result<Todo, RunError> {
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
        if self.came_whole(row) {
            return Ok(Todo::Over(RowState::Created, None));
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
            Change::Nothing => {
                let told = if self.goes_without(row) { NOTHING_CAME } else { AS_WANTED };
                Todo::Over(RowState::Skipped, Some(told.into()))
            }
            Change::Conflict(why) => Todo::Over(RowState::Conflict, Some(why)),
            Change::Make(want) => {
                Todo::Write { now: Some(now.clone()), want: Some(want), rest: Rest::None }
            }
        })
    }

    /// A row's fields, with the gids that things have now.
    pub(super) fn fields_now(&self, row: &Row) -> Vec<Field> {
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
            let Some(want) = self.as_it_was(row).await? else {
                return Ok(Todo::Over(RowState::Failed, Some(NO_STATE.into())));
            };
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
        let want = self.as_it_was(row).await?.unwrap_or_default();
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

    /// Whether all of it came with a variant that this run made and heard of: then nobody looks at it.
    pub(super) fn came_whole(&self, row: &Row) -> bool {
        let item = || self.written.now(&item_of(row)?);
        self.counted.came(row.n)
            && item().is_some_and(|item| self.written.is_made_by(&self.job, &item))
    }

    async fn create(&self, row: &Row) -> Result<Todo, RunError> {
        let Some(mut want) = self.as_it_was(row).await? else {
            return Ok(Todo::Over(RowState::Failed, Some(NO_STATE.into())));
        };
        let rest = {
            let missing = self.missing();
            let is = |gid: &str| self.is_missing(&missing, gid);
            let lacks = gid::refers(&want, &is);
            if lacks {
                gid::leave_out(&mut want, &is);
            }
            Rest::of(lacks)
        };
        Ok(Todo::Write { now: None, want: Some(want), rest })
    }

    /// The state that a creation makes anew, with the ids that things have now: as it was, with what the plan
    /// makes different.
    pub(super) async fn as_it_was(&self, row: &Row) -> Result<Option<Value>, RunError> {
        let was = match row.of {
            None if !row.fields.is_empty() => None,
            of => match self.ahead.take(row.n) {
                Some(state) => Some(state),
                None => {
                    let at = of.map_or(AsOf::Latest, AsOf::At);
                    let was = self.tools.journal.resource(&self.key(row), at).await?;
                    was.map(|resource| resource.state)
                }
            },
        };
        let mut state = was.unwrap_or_default();
        // Those of the fields are the ones of when the plan was made.
        self.written.rewrite(&mut state);
        for field in self.fields_now(row) {
            merge::set(&mut state, &field.path, field.new);
        }
        Ok(Some(state).filter(Value::is_object))
    }
}

/// Whether a difference in a field of what is there is one to anybody.
fn counts(row: &Row, path: &FieldPath, now: &Value) -> bool {
    row.kind.spec().is_none_or(|spec| !write::incidental(spec, path, now))
}
