//! What changed, as a person would say it: names instead of paths, money instead of strings,
//! pictures instead of addresses.
//!
//! Pure: two states go in, [`Line`]s come out. The page draws them, the command line prints them.

mod cell;
mod headline;
mod html;
mod name;
mod place;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::diff::FieldChange;
use backstock_proto::merge::{self, Field, FieldPath, Step};
use serde_json::Value;

pub use cell::{Cell, Picture};
pub use headline::headline;
pub use html::{Block, Part, blocks};
pub use name::{count, field as called, grouped, plural, singular};
pub use words::{Piece, Side, code, words};

/// One thing that changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Where in the resource, outermost first: `Green / M`, `Picture “Front”`. Empty for what is the
    /// resource's own.
    pub place: Vec<String>,
    /// What: `Price`.
    pub what: String,
    /// The field, for whoever takes precisely this back.
    pub path: FieldPath,
    /// What it was.
    pub old: Cell,
    /// What it became.
    pub new: Cell,
}

/// What is known beside the fields themselves.
#[derive(Clone, Copy, Default)]
pub struct Known<'a> {
    /// The state before, where it is at hand: it names what is gone.
    pub before: Option<&'a Value>,
    /// The state after: it names what is there.
    pub after: Option<&'a Value>,
    /// Titles of other resources, by gid.
    pub titles: Option<&'a BTreeMap<String, String>>,
    /// The shop's currency, for amounts that name none.
    pub currency: Option<&'a str>,
}

/// Everything that differs between two states, in the order in which a person looks for it.
pub fn changes(before: &Value, after: &Value, known: Known<'_>) -> Vec<Line> {
    let known = Known { before: Some(before), after: Some(after), ..known };
    tell(&merge::fields(before, after), known)
}

/// These fields, told. A field that nobody edits, such as an id, is left out.
pub fn tell(fields: &[Field], known: Known<'_>) -> Vec<Line> {
    let mut lines: Vec<(u8, usize, Line)> = Vec::new();
    for (n, field) in fields.iter().enumerate() {
        let steps = field.path.steps();
        // What was not known and what is empty look the same.
        let nothing = is_empty(&field.old) && is_empty(&field.new);
        if nothing || place::is_housekeeping(&steps) {
            continue;
        }
        let (place, what) = place::of(&steps, field, known);
        let cell = |value: &Value| cell::of(&steps, value, known);
        let (old, new) = (cell(&field.old), cell(&field.new));
        lines.push((
            place::rank(&steps),
            n,
            Line { place, what, path: field.path.clone(), old, new },
        ));
    }
    lines.sort_by_key(|(rank, n, _)| (*rank, *n));
    lines.into_iter().map(|(_, _, line)| line).collect()
}

/// The fields of a [`FieldChange`] list, whose list elements are named by position.
pub fn fields_of(changes: &[FieldChange]) -> Vec<Field> {
    let field = |change: &FieldChange| {
        let tokens: Vec<String> = (change.path.split('/').skip(1))
            .map(|token| token.replace("~1", "/").replace("~0", "~"))
            .collect();
        let last = tokens.iter().rposition(|token| is_index(token));
        let mut path = FieldPath::root();
        for (n, token) in tokens.iter().enumerate() {
            let step = match &change.element {
                _ if token == "-" => Step::Order,
                Some(element) if Some(n) == last => Step::Element(element.clone()),
                _ if is_index(token) => Step::Element(token.clone()),
                _ => Step::Member(token.clone()),
            };
            path = path.then(&step);
        }
        Field { path, old: change.old.clone(), new: change.new.clone() }
    };
    changes.iter().map(field).collect()
}

fn is_index(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|b| b.is_ascii_digit())
}

/// The gids in these lines: whoever can name them puts the names into [`Known::titles`].
pub fn mentioned(lines: &[Line]) -> BTreeSet<String> {
    let mut gids = BTreeSet::new();
    for line in lines {
        line.old.mentions(&mut gids);
        line.new.mentions(&mut gids);
    }
    gids
}

/// A whole state as lines without an old side: what a resource is, rather than what changed.
pub fn describe(state: &Value, known: Known<'_>) -> Vec<Line> {
    let known = Known { after: Some(state), ..known };
    let Some(members) = state.as_object() else { return Vec::new() };
    let fields: Vec<Field> = (members.iter())
        .filter(|(_, value)| !is_empty(value))
        .map(|(name, value)| Field {
            path: FieldPath::root().then(&Step::Member(name.clone())),
            old: Value::Null,
            new: value.clone(),
        })
        .collect();
    tell(&fields, known)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
