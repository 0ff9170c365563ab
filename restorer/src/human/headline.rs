//! One sentence for all that a change did.

use backstock_proto::Op;

use super::{Cell, Line, name};

/// How long a value in a headline may be.
const VALUE_CHARS_MAX: usize = 48;

/// What happened, in one sentence without the resource's name: `Price of Green: 64.00 → 6.40`.
pub fn headline(op: Op, lines: &[Line]) -> String {
    match (op, lines) {
        (Op::Delete, _) => "Deleted".into(),
        (Op::Create, _) => "Created".into(),
        (Op::Update, []) => "Details that nobody edits changed".into(),
        (Op::Update, [only]) => one(only),
        (Op::Update, all) => several(all),
    }
}

fn one(line: &Line) -> String {
    let what = called(line);
    match (&line.old, &line.new) {
        (Cell::Nothing, Cell::Picture(_)) => "Picture added".into(),
        (Cell::Picture(_), Cell::Nothing) => "Picture removed".into(),
        (Cell::Nothing, Cell::Html(_)) => format!("{what} written"),
        (Cell::Html(_) | Cell::Code(_), Cell::Nothing) => format!("{what} emptied"),
        (_, Cell::Html(_) | Cell::Code(_)) => format!("{what} rewritten"),
        (Cell::Nothing, Cell::Parts(_)) => format!("{what} added"),
        (Cell::Parts(_), Cell::Nothing) => format!("{what} removed"),
        (Cell::Parts(_), Cell::Parts(_)) => format!("{what} changed"),
        (Cell::List(old), Cell::List(new)) => list(&what, old, new),
        (Cell::Nothing, new) => format!("{what} set to {}", new.short(VALUE_CHARS_MAX)),
        (old, Cell::Nothing) => format!("{what} removed (was {})", old.short(VALUE_CHARS_MAX)),
        (old, new) => {
            let (old, new) = (old.short(VALUE_CHARS_MAX), new.short(VALUE_CHARS_MAX));
            format!("{what}: {old} → {new}")
        }
    }
}

fn list(what: &str, old: &[Cell], new: &[Cell]) -> String {
    let only = |a: &[Cell], b: &[Cell]| -> Vec<String> {
        a.iter().filter(|cell| !b.contains(cell)).map(|cell| cell.short(24)).collect()
    };
    match (only(new, old).as_slice(), only(old, new).as_slice()) {
        ([], []) => match what.strip_prefix("Order of ") {
            Some(list) => format!("Order of {list} changed"),
            None => format!("{what} put in another order"),
        },
        (added, []) => format!("{what}: {} added", super::cell::shortened(&added.join(", "), 60)),
        ([], gone) => format!("{what}: {} removed", super::cell::shortened(&gone.join(", "), 60)),
        (added, gone) => format!("{what}: {} added, {} removed", added.len(), gone.len()),
    }
}

/// `Price of Green`.
fn called(line: &Line) -> String {
    match line.place.last() {
        Some(place) => format!("{} of {place}", line.what),
        None => line.what.clone(),
    }
}

fn several(lines: &[Line]) -> String {
    let mut whats: Vec<(&str, u64)> = Vec::new();
    for line in lines {
        match whats.iter_mut().find(|(what, _)| *what == line.what) {
            Some((_, n)) => *n += 1,
            None => whats.push((&line.what, 1)),
        }
    }
    match whats.as_slice() {
        [(what, n)] => format!("{what} changed in {} places", name::grouped(*n)),
        [(a, _), (b, _)] => format!("{a} and {} changed", lower(b)),
        [(a, _), (b, _), (c, _)] => format!("{a}, {} and {} changed", lower(b), lower(c)),
        [(a, _), (b, _), rest @ ..] => {
            format!("{a}, {} and {} more fields changed", lower(b), rest.len())
        }
        [] => "Details that nobody edits changed".into(),
    }
}

/// In the middle of a sentence: `SKU` stays, `Price` does not.
fn lower(what: &str) -> String {
    let mut chars = what.chars();
    match (chars.next(), chars.clone().next()) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => what.into(),
    }
}
