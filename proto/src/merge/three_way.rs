//! Taking back what changed from one state to another in a third that others have edited since.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{FieldPath, Step, labels, member, names};
use crate::diff::{by_label, identity, label};

/// A field that is left alone because somebody changed it after what is taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Kept {
    /// Which one.
    pub path: FieldPath,
    /// What taking back would have made of it.
    pub before: Value,
    /// What the change that is taken back made of it.
    pub after: Value,
    /// What it is now.
    pub now: Value,
}

/// What is done with a field that somebody changed later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// It stays as it is, and is listed.
    #[default]
    Keep,
    /// It becomes what it was before.
    Overwrite,
}

/// Takes back in `onto` what changed from `before` to `after`: what became of it, and which fields
/// were changed again since. Those are left alone or overwritten, as `on_conflict` says.
pub fn revert(
    onto: &Value,
    before: &Value,
    after: &Value,
    on_conflict: OnConflict,
) -> (Value, Vec<Kept>) {
    let mut revert = Revert { on_conflict, kept: Vec::new() };
    let state = revert.value(&FieldPath::root(), before, after, onto);
    (state, revert.kept)
}

struct Revert {
    on_conflict: OnConflict,
    kept: Vec<Kept>,
}

impl Revert {
    fn value(&mut self, path: &FieldPath, before: &Value, after: &Value, onto: &Value) -> Value {
        if before == after || onto == before {
            return onto.clone();
        }
        if onto == after {
            return before.clone();
        }
        match (before, after, onto) {
            (Value::Object(b), Value::Object(a), Value::Object(o)) => {
                self.members(path, b, a, o).into()
            }
            (Value::Array(b), Value::Array(a), Value::Array(o)) => {
                if let Some(by) = identity(&[b, a, o]) {
                    return self.elements(path, by, [b, a, o]).into();
                }
                match set_of([b, a, o]) {
                    Some(merged) => merged.into(),
                    None => self.conflict(path, before, after, onto),
                }
            }
            _ => self.conflict(path, before, after, onto),
        }
    }

    fn members(
        &mut self,
        path: &FieldPath,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        onto: &Map<String, Value>,
    ) -> Map<String, Value> {
        let mut state = onto.clone();
        for name in names([before, after]) {
            let (b, a, o) = (member(before, name), member(after, name), member(onto, name));
            if b == a {
                continue;
            }
            let value = self.value(&path.then(&Step::Member(name.clone())), b, a, o);
            if value.is_null() && !before.contains_key(name) {
                state.remove(name);
            } else {
                state.insert(name.clone(), value);
            }
        }
        state
    }

    fn elements(&mut self, path: &FieldPath, by: &[&str], lists: [&[Value]; 3]) -> Vec<Value> {
        let [before, after, onto] = lists;
        let mut state = onto.to_vec();
        let listed = lists.map(|list| by_label(list, by));
        let was = labels(before, by);
        let mut known = was.clone();
        known.extend(labels(after, by).into_iter().filter(|l| !listed[0].contains_key(l)));
        let none = Value::Null;
        for label in &known {
            let [b, a, o] = listed.each_ref().map(|list| list.get(label).copied().unwrap_or(&none));
            if b == a {
                continue;
            }
            let value = self.value(&path.then(&Step::Element(label.clone())), b, a, o);
            let at = state.iter().position(|element| self::label(element, by) == *label);
            match (at, value == none) {
                (Some(at), true) => drop(state.remove(at)),
                (Some(at), false) => state[at] = value,
                (None, true) => {}
                // Behind the nearest one that stood before it.
                (None, false) => {
                    let place = was.iter().position(|l| l == label).unwrap_or(was.len());
                    let at = was[..place].iter().rev().find_map(|earlier| {
                        state.iter().position(|element| self::label(element, by) == *earlier)
                    });
                    state.insert(at.map_or(0, |at| at + 1), value);
                }
            }
        }
        self.order(path, by, [before, after], state)
    }

    /// Takes back a change of order, if nobody has changed the order since.
    fn order(
        &mut self,
        path: &FieldPath,
        by: &[&str],
        [before, after]: [&[Value]; 2],
        mut state: Vec<Value>,
    ) -> Vec<Value> {
        let common = |list: &[Value], others: [&[Value]; 2]| -> Vec<String> {
            let others = others.map(|other| by_label(other, by));
            let everywhere = |l: &String| others.iter().all(|other| other.contains_key(l));
            labels(list, by).into_iter().filter(everywhere).collect()
        };
        // With what taking back has just put in again: it may be what is out of order.
        let (b, a) = (common(before, [after, &state]), common(after, [before, &state]));
        let o = common(&state, [before, after]);
        if a == b || o == b {
            return state;
        }
        if o != a && self.on_conflict == OnConflict::Keep {
            let list = |labels: Vec<String>| labels.into_iter().map(Value::String).collect();
            let path = path.then(&Step::Order);
            self.kept.push(Kept { path, before: list(b), after: list(a), now: list(o) });
            return state;
        }
        let was: HashMap<String, usize> = labels(before, by).into_iter().zip(0..).collect();
        let place = |element: &Value| was.get(&label(element, by)).copied();
        // What was not there before stays behind what it stands behind now.
        let mut last = 0;
        let mut keys: Vec<(usize, usize)> = Vec::with_capacity(state.len());
        for (at, element) in state.iter().enumerate() {
            last = place(element).map_or(last, |place| place + 1);
            keys.push((last, at));
        }
        let mut placed: Vec<((usize, usize), Value)> = keys.into_iter().zip(state).collect();
        placed.sort_by_key(|(key, _)| *key);
        state = placed.into_iter().map(|(_, element)| element).collect();
        state
    }

    fn conflict(&mut self, path: &FieldPath, before: &Value, after: &Value, now: &Value) -> Value {
        if self.on_conflict == OnConflict::Overwrite {
            return before.clone();
        }
        let (path, before, after) = (path.clone(), before.clone(), after.clone());
        self.kept.push(Kept { path, before, after, now: now.clone() });
        now.clone()
    }
}

/// Three sets, written as sorted lists of texts: what was added is taken out, what was taken out is
/// added, and what others did to the set stays.
fn set_of([before, after, onto]: [&[Value]; 3]) -> Option<Vec<Value>> {
    let is_set = |list: &[Value]| {
        let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
        texts.is_some_and(|texts| texts.windows(2).all(|pair| pair[0] < pair[1]))
    };
    if ![before, after, onto].into_iter().all(is_set) {
        return None;
    }
    let added = |value: &&Value| holds(after, value) && !holds(before, value);
    let mut set: Vec<Value> = onto.iter().filter(|value| !added(value)).cloned().collect();
    let removed = before.iter().filter(|value| !holds(after, value) && !holds(onto, value));
    set.extend(removed.cloned());
    set.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Some(set)
}

/// Whether a sorted list of texts has one.
fn holds(list: &[Value], value: &Value) -> bool {
    list.binary_search_by(|known| known.as_str().cmp(&value.as_str())).is_ok()
}
