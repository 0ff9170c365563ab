//! What is done to one resource, decided from what history says of it: no clock, no network.

use std::borrow::Cow;

use backstock_proto::kind::{Personal, Spec, Writable};
use backstock_proto::merge::{self, Field, FieldPath, Kept, OnConflict};
use backstock_proto::{Kind, ResourceId, Timestamp, known};
use serde_json::Value;

use super::order::key_words;
use super::select::Selection;
use super::undo::{Run, undo};
use super::{Action, Modes, Row, Unwritable};
use crate::write;

/// Why nothing is written of somebody.
pub(crate) const ERASED: &str = "the person was erased on request, and does not come back";

/// Kinds of which a new one is somebody's own doing: people sign up, and put together what they order.
const OWN_DOINGS: [&str; 5] =
    ["customer", "company", "company_contact", "company_location", "draft_order"];

/// What history says of one resource. `null` stands for a resource that is not there.
#[derive(Clone)]
pub struct Subject {
    /// What sort of thing.
    pub spec: &'static Spec,
    /// Its kind, by name.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// The state as it is now.
    pub now: Value,
    /// The stretches of its history that are taken back, newest first.
    pub runs: Vec<Run>,
    /// An instant at which it was there and the state that history has of then, for one that may
    /// have to be made anew.
    pub of: Option<(Timestamp, Value)>,
    /// Whether it is certain that it did not exist before what is taken back, rather than that
    /// history does not reach that far.
    pub made_since: bool,
    /// The newest version of it that there is.
    pub seen: Option<u64>,
    /// Something else that carries its natural key now.
    pub taken_by: Option<ResourceId>,
    /// Whether it comes with what it belongs to, which the same plan makes anew, whatever was selected:
    /// what is counted of a variant.
    pub comes_along: bool,
}

/// What may be done.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Creating, updating, deleting.
    pub modes: Modes,
    /// What becomes of later edits.
    pub on_conflict: OnConflict,
    /// Whether amounts in stock are written, also where there is stock.
    pub inventory: bool,
    /// Whether what is taken back is what one did, an app or a job, rather than all that happened: consent
    /// that they gave in a customer's name is withdrawn, and what they made is deleted.
    pub of_one: bool,
    /// Which resources and fields.
    pub selection: Selection,
}

/// What is decided about a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It stands in the plan.
    Row(Box<Row>),
    /// It is as wanted.
    Same,
    /// It differs and is left out.
    Left(Left),
    /// It is not selected.
    Unselected,
}

/// Why something that differs is left out of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Left {
    /// Creating was not asked for.
    Create,
    /// Updating was not asked for.
    Update,
    /// Deleting was not asked for.
    Delete,
    /// It is somebody's own doing, and nobody asked for it by name.
    OwnDoing,
    /// History does not reach back to then.
    Unknown,
    /// It cannot be written, and nobody asked for it by name.
    Archive,
    /// Amounts in stock were not asked for.
    Inventory,
}

/// Decides what is done to a resource.
pub fn verdict(subject: &Subject, policy: &Policy) -> Verdict {
    let Subject { now, runs, .. } = subject;
    if !subject.is_in(&policy.selection) && !subject.comes_along {
        return Verdict::Unselected;
    }
    let made_within = runs.last().is_some_and(|oldest| oldest.before.is_null());
    if made_within && !now.is_null() {
        if !subject.made_since {
            return Verdict::Left(Left::Unknown);
        }
        if !policy.modes.delete_new || policy.selection.has_fields() {
            return Verdict::Left(Left::Delete);
        }
        if policy.spares(&subject.kind) {
            return Verdict::Left(Left::OwnDoing);
        }
    }
    // Whether there was anything to lose, nobody knows.
    if made_within && now.is_null() && !subject.made_since && !subject.comes_along {
        return Verdict::Left(Left::Unknown);
    }
    let counts = |path: &FieldPath| !write::incidental(subject.spec, path, now);
    let undone = undo(now, &alike(subject), policy.on_conflict, counts);
    let decided = Decided { subject, policy, kept: undone.kept };
    match (now.is_null(), undone.state.is_null()) {
        (true, true) => decided.gone(),
        (true, false) => decided.create(undone.state),
        (false, true) => decided.delete(),
        (false, false) => decided.update(undone.state),
    }
}

/// The runs, of which each state that is there says with the words of now what it means.
fn alike(subject: &Subject) -> Cow<'_, [Run]> {
    let Subject { spec, now, runs, .. } = subject;
    let Some(alike) = write::alike(spec) else { return Cow::Borrowed(runs.as_slice()) };
    let mut runs = runs.clone();
    // What was made within them is held against what it is now as it was told.
    for run in runs.iter_mut().filter(|run| !run.before.is_null()) {
        alike(now, &mut run.before);
        alike(now, &mut run.after);
    }
    Cow::Owned(runs)
}

struct Decided<'a> {
    subject: &'a Subject,
    policy: &'a Policy,
    kept: Vec<Kept>,
}

impl Decided<'_> {
    /// It is not there, and was not, or somebody deleted it after what is taken back.
    fn gone(self) -> Verdict {
        let deleted_later = self.kept.iter().any(|kept| kept.path == FieldPath::root());
        if !deleted_later || self.policy.selection.has_fields() {
            return Verdict::Same;
        }
        let mut row = self.row(Action::Keep, &Value::Null);
        row.notes.push("it was deleted later, and stays so".into());
        Verdict::Row(Box::new(row))
    }

    fn create(self, want: Value) -> Verdict {
        let subject = self.subject;
        if let Some(left) = self.left_out(Left::Create, self.policy.modes.create) {
            return Verdict::Left(left);
        }
        if let Some(why) = subject.spec.writable.stays() {
            return self.cannot(&want, format!("{why}; {}", write::by_hand(subject.spec, &want)));
        }
        if self.policy.selection.has_fields() && !subject.comes_along {
            let why = "it is gone, and a part of it cannot come back alone: plan it without fields";
            return self.cannot(&want, why.into());
        }
        let mut row = self.row(Action::Create, &want);
        let taken = subject.taken_by.as_ref().map(|by| (by, key_words(subject.spec, &want)));
        row.cost = write::cost_of_making(subject.spec, &want);
        if !(subject.spec.is_whole)(&want) {
            let why =
                "history knew only a part of it then, as a webhook told it; the rest stays away";
            row.notes.push(why.into());
        }
        match &subject.of {
            Some((of, then)) => {
                row.of = Some(*of);
                row.fields = merge::fields(then, &want);
            }
            None => {
                let (path, old) = (FieldPath::root(), Value::Null);
                row.fields = vec![Field { path, old, new: want }];
            }
        }
        row.kept = self.kept;
        match subject.spec.writable {
            Writable::Partly(what) if what.contains("new id") => row.notes.push(what.into()),
            Writable::Partly(what) => row.notes.push(format!("it gets a new id; {what}")),
            Writable::Whole | Writable::InPlace(_) | Writable::Archive(_) => {
                row.notes.push("it gets a new id".into());
            }
        }
        if let Some((other, key)) = taken {
            let kind = &subject.kind;
            row.notes.push(format!(
                "{kind} {other} has its {key} now: as long as that is so, it is not made anew"
            ));
        }
        Verdict::Row(Box::new(row))
    }

    fn delete(self) -> Verdict {
        let subject = self.subject;
        if write::goes_with_its_owner(subject.spec) {
            return Verdict::Same;
        }
        if let Some(left) = self.left_out(Left::Delete, self.policy.modes.delete_new) {
            return Verdict::Left(left);
        }
        if let Some(why) = subject.spec.writable.stays() {
            return self.cannot(&subject.now, why.into());
        }
        let mut row = self.row(Action::Delete, &subject.now);
        row.cost = write::cost(Action::Delete, &[]);
        Verdict::Row(Box::new(row))
    }

    fn update(mut self, want: Value) -> Verdict {
        let Subject { spec, now, .. } = self.subject;
        let mut want = self.policy.selection.narrowed(now, want);
        self.subject.runs.iter().for_each(|run| with_bytes(&mut want, &run.before, now));
        let told = |path: &FieldPath| !write::incidental(spec, path, now);
        let mut fields = merge::fields(now, &want);
        let paths = |of: &dyn Fn(&Field) -> bool| -> Vec<FieldPath> {
            fields.iter().filter(|field| of(field)).map(|field| field.path.clone()).collect()
        };
        let differing = paths(&|field| told(&field.path));
        let replaced = paths(&|field| self.brings_bytes_back(field));
        fields.retain(|field| {
            let beside = if write::replaces(spec, &field.path) { &replaced } else { &differing };
            told(&field.path)
                || replaced.contains(&field.path)
                || write::comes_along(spec, field, beside)
        });
        if !replaced.is_empty() {
            fields.retain(|field| !write::follows_from_bytes(spec, &field.path));
        }
        let counts = |k: &Kept| told(&k.path) || is_of_bytes(spec, k);
        self.kept.retain(|k| counts(k) && self.policy.selection.has_field(&k.path));
        if fields.is_empty() && self.kept.is_empty() {
            return Verdict::Same;
        }
        if let Some(left) = self.left_out(Left::Update, self.policy.modes.update) {
            return Verdict::Left(left);
        }
        if fields.is_empty() {
            let mut row = self.row(Action::Keep, &want);
            row.kept = self.kept;
            return Verdict::Row(Box::new(row));
        }
        let (fields, unwritable) = self.split(fields);
        let action = if fields.is_empty() { Action::Cannot } else { Action::Update };
        let mut row = self.row(action, &want);
        let anew = fields.iter().filter(|field| is_element(field)).count();
        if anew > 0 {
            row.notes.push(match anew {
                1 => "what comes back within it gets a new id".into(),
                n => format!("{n} things that come back within it get new ids"),
            });
        }
        if fields.iter().any(|field| replaced.contains(&field.path)) {
            row.notes.push("the bytes that it had come back in the place of those it has".into());
        }
        (row.fields, row.unwritable, row.kept) = (fields, unwritable, self.kept);
        row.cost = write::cost(action, &row.fields);
        Verdict::Row(Box::new(row))
    }

    /// Whether a field brings back bytes that were replaced where they are.
    fn brings_bytes_back(&self, field: &Field) -> bool {
        let Subject { spec, now, runs, .. } = self.subject;
        let was_so = |then: &Value| {
            known::is_replaced(&field.path, [now, then])
                && merge::get(then, &field.path) == Some(&field.new)
        };
        write::replaces(spec, &field.path) && runs.iter().any(|run| was_so(&run.before))
    }

    /// The fields that can be written, and those that cannot.
    fn split(&self, fields: Vec<Field>) -> (Vec<Field>, Vec<Unwritable>) {
        let spec = self.subject.spec;
        let why = |field: &Field| match spec.writable {
            Writable::Archive(why) => Some(why),
            _ => self.given_since(field).or_else(|| write::unwritable_to(spec, field)),
        };
        let mut unwritable = Vec::new();
        let mut writable = Vec::new();
        for field in fields {
            match why(&field) {
                Some(why) => unwritable.push(Unwritable { path: field.path, why: why.into() }),
                None => writable.push(field),
            }
        }
        (writable, unwritable)
    }

    /// Why a field stays that a person gave since. Where fields are selected, it was asked for by name.
    fn given_since(&self, field: &Field) -> Option<&'static str> {
        let Subject { spec, now, .. } = self.subject;
        let asked = self.policy.of_one || self.policy.selection.has_fields();
        if asked { None } else { write::given_since(spec, field, now) }
    }

    /// Why it is left out although it differs.
    fn left_out(&self, left: Left, asked: bool) -> Option<Left> {
        let spec = self.subject.spec;
        let archive = matches!(spec.writable, Writable::Archive(_));
        if self.subject.comes_along {
            // Nothing newer is overwritten: it is gone.
            None
        } else if write::is_stock(spec) && !self.policy.inventory {
            Some(Left::Inventory)
        } else if !asked {
            Some(left)
        } else if archive
            && left != Left::Create
            && !self.policy.selection.names(&self.subject.kind)
        {
            // That one is lost is news; that orders move on is not.
            Some(Left::Archive)
        } else {
            None
        }
    }

    fn cannot(self, state: &Value, why: String) -> Verdict {
        let mut row = self.row(Action::Cannot, state);
        row.notes.push(why);
        Verdict::Row(Box::new(row))
    }

    fn row(&self, action: Action, state: &Value) -> Row {
        let Subject { kind, id, now, seen, .. } = self.subject;
        let shown = if state.is_null() { now } else { state };
        let shown = match (shown.is_null(), self.subject.runs.first()) {
            (true, Some(run)) => &run.before,
            _ => shown,
        };
        Row { seen: *seen, ..Row::of(kind, id, action, shown) }
    }
}

impl Policy {
    /// Whether something new of a kind stays, although what is new is to be deleted.
    pub(super) fn spares(&self, kind: &Kind) -> bool {
        OWN_DOINGS.contains(&kind.as_str()) && !self.of_one && !self.selection.names(kind)
    }
}

impl Row {
    /// One about a resource that is like this.
    pub(super) fn of(kind: &Kind, id: &ResourceId, action: Action, shown: &Value) -> Self {
        Self {
            n: 0,
            kind: kind.clone(),
            id: id.clone(),
            gid: kind.gid_of(id, shown),
            title: kind.listing(shown).title,
            action,
            fields: Vec::new(),
            kept: Vec::new(),
            unwritable: Vec::new(),
            of: None,
            notes: Vec::new(),
            seen: None,
            cost: 0.0,
        }
    }

    /// The row of a resource of which a person was taken out. Where all of it was about that person,
    /// nothing comes back.
    pub(crate) fn erased(mut self, spec: &Spec) -> Self {
        if spec.personal == Personal::Subject {
            self.action = Action::Cannot;
            self.fields.clear();
            self.kept.clear();
            self.unwritable.clear();
            self.notes = vec![ERASED.into()];
            (self.of, self.cost) = (None, 0.0);
        }
        self
    }
}

impl Subject {
    /// Whether it is in a selection by what a list shows of it, as it is now or as it was before what is
    /// taken back, which may have been to give it another title.
    pub(super) fn is_in(&self, selection: &Selection) -> bool {
        let past = self.runs.iter().flat_map(|run| [&run.after, &run.before]);
        std::iter::once(&self.now)
            .chain(past)
            .any(|state| selection.has_text(&self.id, &self.kind.listing(state)))
    }
}

/// Whether what is left alone is bytes that somebody replaced later.
fn is_of_bytes(spec: &Spec, kept: &Kept) -> bool {
    let known = [&kept.before, &kept.after, &kept.now].into_iter().all(Value::is_string);
    known && write::replaces(spec, &kept.path)
}

/// Gives what is to be a picture or a file of then, and is another one now, the bytes that it had then.
fn with_bytes(want: &mut Value, then: &Value, now: &Value) {
    let (Value::Object(members), Value::Object(then)) = (want, then) else { return };
    let is_there = now.as_object().is_some_and(|now| known::is_of_same_bytes(members, now));
    if known::is_of_same_bytes(members, then)
        && !is_there
        && let Some(blob) = then.get(known::BYTES)
    {
        members.insert(known::BYTES.into(), blob.clone());
    }
    for (name, member) in members.iter_mut() {
        if let Some(then) = then.get(name) {
            with_bytes(member, then, now.get(name).unwrap_or(&Value::Null));
        }
    }
}

/// Whether a field is an element of a list that comes back whole.
pub(super) fn is_element(field: &Field) -> bool {
    let last = field.path.steps().pop();
    field.old.is_null()
        && field.new.get("id").is_some()
        && matches!(last, Some(merge::Step::Element(_)))
}
