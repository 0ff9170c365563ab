//! Taking stretches of a resource's history back: no clock, no network.

use backstock_proto::known;
use backstock_proto::merge::{self, FieldPath, Kept, OnConflict};
use serde_json::Value;

/// A stretch of a resource's history that is taken back. `null` stands for a resource that is not
/// there.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The state just before it.
    pub before: Value,
    /// The state that it left.
    pub after: Value,
}

/// A resource after stretches of its history are taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct Undone {
    /// The state; `null` if it is not there.
    pub state: Value,
    /// Fields that were left alone because somebody changed them later.
    pub kept: Vec<Kept>,
}

/// Takes runs back, newest first, from the state as it is now. `counts` says whether a difference in
/// a field is one to anybody.
pub fn undo(
    now: &Value,
    runs: &[Run],
    on_conflict: OnConflict,
    counts: impl Fn(&FieldPath) -> bool,
) -> Undone {
    let mut undone = Undone { state: now.clone(), kept: Vec::new() };
    for run in runs {
        let Run { mut before, mut after } = run.clone();
        known::align(&mut before, &mut after);
        if before.is_null() && is_as_told(&after, &undone.state, &counts) {
            undone.state = before;
            continue;
        }
        // Whoever brought it back since has done what taking its end back would do.
        if after.is_null() && is_as_told(&before, &undone.state, &counts) {
            continue;
        }
        learn(&mut after, &undone.state, &counts);
        known::align(&mut before, &mut after);
        let (state, kept) = merge::revert(&undone.state, &before, &after, on_conflict);
        undone.state = state;
        for kept in kept {
            keep(&mut undone.kept, kept);
        }
    }
    undone.kept.sort_by(|a, b| a.path.cmp(&b.path));
    undone
}

/// Whether something is as it was told to be. What was learned of it only afterwards, and what follows
/// from what it is, nobody changed.
fn is_as_told(told: &Value, now: &Value, counts: impl Fn(&FieldPath) -> bool) -> bool {
    let mut told = told.clone();
    let now = learn(&mut told, now, &counts);
    let both = told.is_object() && now.is_object();
    both && merge::fields(&told, &now).iter().all(|field| !counts(&field.path))
}

/// Adds to a state what was learned of it only later, and what follows from what it is: of a picture
/// that was put in where its bytes are kept, of a variant its metafields. Answers the state of now with
/// what only the other one tells.
fn learn(told: &mut Value, now: &Value, counts: &impl Fn(&FieldPath) -> bool) -> Value {
    let mut now = now.clone();
    if *told == now || !(told.is_object() && now.is_object()) {
        return now;
    }
    known::align(told, &mut now);
    for field in merge::fields(told, &now) {
        // That somebody replaced bytes since is nothing that was only learned.
        let is_replaced = known::is_replaced(&field.path, [&*told, &now]);
        if !counts(&field.path) && !is_replaced {
            merge::set(told, &field.path, field.new);
        }
    }
    now
}

/// A field that two runs changed is listed once: from what it was before the older to what the newer
/// made of it. What was made within the runs and edited since is listed by its fields.
fn keep(list: &mut Vec<Kept>, kept: Kept) {
    if let Some(newer) = list.iter_mut().find(|newer| newer.path == kept.path) {
        newer.before = kept.before;
        return;
    }
    let whole = kept.path == FieldPath::root() && kept.before.is_null() && !kept.now.is_null();
    if !whole {
        list.push(kept);
        return;
    }
    for field in merge::fields(&kept.after, &kept.now) {
        let known = list.iter().any(|newer| newer.path == field.path);
        if !known {
            let (path, after, now) = (field.path, field.old, field.new);
            list.push(Kept { path, before: Value::Null, after, now });
        }
    }
}
