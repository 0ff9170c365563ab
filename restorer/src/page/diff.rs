//! Draws what [`crate::human`] says.

use maud::{Markup, html};

use super::room::{Room, encoded};
use super::shell;
use crate::human::{self, Cell, Line, Part, Picture, Piece, Side};

/// Fields shown at once.
const LINES_MAX: usize = 300;
/// Words of an unchanged stretch that are shown beside what changed.
const AROUND: usize = 14;
/// Items of a list that are shown.
const ITEMS_MAX: usize = 40;

/// What changed, field by field.
pub(crate) fn table(room: &Room, lines: &[Line], from: &str, to: &str) -> Markup {
    html! {
        div.diff {
            @if !from.is_empty() { div.diffhead aria-hidden="true" { span {} span { (shell::capital(from)) } span { (shell::capital(to)) } } }
            ul {
                @for line in lines.iter().take(LINES_MAX) { li.line { (self::line(room, line)) } }
            }
            @if lines.len() > LINES_MAX {
                p.quiet { "And " (shell::many((lines.len() - LINES_MAX) as u64, "more field")) "." }
            }
        }
    }
}

/// What changed, each field with a box to tick for putting it back.
pub(crate) fn choice(room: &Room, lines: &[Line], from: &str, to: &str) -> Markup {
    html! {
        div.diff.pick {
            div.diffhead aria-hidden="true" { span {} span {} span { "Before · " (from) } span { "After · " (to) } }
            ul {
                @for line in lines.iter().take(LINES_MAX) {
                    li.line {
                        input type="checkbox" name="field" value=(line.path) aria-label={ "Put back " (called(line)) };
                        (self::line(room, line))
                    }
                }
            }
            @if lines.len() > LINES_MAX {
                p.quiet {
                    "And " (shell::many((lines.len() - LINES_MAX) as u64, "more field"))
                    ": put all of it back below, or name them with " code { "backstock plan --field" } "."
                }
            }
        }
    }
}

fn called(line: &Line) -> String {
    let place: String = line.place.iter().map(|place| format!(" of {place}")).collect();
    line.what.clone() + &place
}

/// One field.
pub(crate) fn line(room: &Room, line: &Line) -> Markup {
    html! {
        div.name {
            @for place in &line.place { span.place { (place) } }
            span.field { (line.what) }
        }
        @match (&line.old, &line.new) {
            (Cell::Text(old), Cell::Text(new)) if old.len() + new.len() > 90 => (text(old, new)),
            (Cell::Html(old), Cell::Html(new) | Cell::Text(new)) | (Cell::Text(old), Cell::Html(new)) => (text(old, new)),
            (Cell::Code(old), Cell::Code(new)) => (code(old, new)),
            (Cell::List(old), Cell::List(new)) if !has_pictures(old) && !has_pictures(new) => (list(room, old, new)),
            (old, new) => {
                div.old { span.hidden { "Before: " } (cell(room, old)) }
                div.new { span.hidden { "After: " } (cell(room, new)) (delta(old, new)) }
            }
        }
    }
}

fn has_pictures(cells: &[Cell]) -> bool {
    cells.iter().any(|cell| matches!(cell, Cell::Picture(_)))
}

/// How far an amount moved.
fn delta(old: &Cell, new: &Cell) -> Markup {
    let amount = |cell: &Cell| match cell {
        Cell::Money { amount, .. } => amount.parse::<f64>().ok(),
        _ => None,
    };
    let (Some(old), Some(new)) = (amount(old), amount(new)) else { return html! {} };
    if old <= 0.0 || old == new {
        return html! {};
    }
    let percent = (new - old) / old * 100.0;
    if percent.abs() < 0.5 {
        return html! {};
    }
    let (class, sign) = if percent < 0.0 { ("down", "−") } else { ("up", "+") };
    html! { " " span.delta.(class) { (sign) (format!("{:.0}", percent.abs())) "%" } }
}

/// A value.
pub(crate) fn cell(room: &Room, cell: &Cell) -> Markup {
    match cell {
        Cell::Nothing => html! { span.none { "–" span.hidden { "nothing" } } },
        Cell::Text(text) => html! { span.text { (text) } },
        Cell::Html(source) => prose(source),
        Cell::Code(source) => html! { pre.code tabindex="0" { (source) } },
        Cell::Money { .. } => html! { span.money { (cell.short(40)) } },
        Cell::Flag(flag) => html! { @if *flag { "Yes" } @else { "No" } },
        Cell::When(at) => room.clock.time(*at),
        Cell::Picture(picture) => self::picture(room, picture),
        Cell::Thing { gid, .. } => match room.key_of(gid) {
            Some(key) => html! { a href=(room.resource(&key.kind, &key.id)) { (cell.short(80)) } },
            None => html! { (cell.short(80)) },
        },
        Cell::List(cells) => html! {
            ul.cells.pictures[has_pictures(cells)] {
                @for one in cells.iter().take(ITEMS_MAX) { li { (self::cell(room, one)) } }
                @if cells.len() > ITEMS_MAX { li.quiet { "and " (cells.len() - ITEMS_MAX) " more" } }
            }
        },
        Cell::Parts(parts) => html! {
            dl.parts { @for (name, one) in parts { div { dt { (name) } dd { (self::cell(room, one)) } } } }
        },
    }
}

/// A picture, from our own copy where there is one.
fn picture(room: &Room, picture: &Picture) -> Markup {
    match source(room, picture) {
        Some(src) => html! {
            figure.picture {
                img src=(src) alt=(if picture.alt.is_empty() { "Picture" } else { &picture.alt }) width="120" height="120" loading="lazy" decoding="async";
                @if !picture.alt.is_empty() { figcaption aria-hidden="true" { (picture.alt) } }
            }
        },
        None => {
            html! { span.nopicture { "Picture" @if !picture.alt.is_empty() { " “" (picture.alt) "”" } } }
        }
    }
}

/// A small one beside a name that says what it is.
pub(crate) fn thumbnail(room: &Room, picture: &Picture) -> Markup {
    html! {
        @if let Some(src) = source(room, picture) {
            img.thumbnail src=(src) alt="" width="56" height="56" decoding="async";
        }
    }
}

/// Where a browser may load it from: ours, or Shopify's own network.
fn source(room: &Room, picture: &Picture) -> Option<String> {
    if let Some(blob) = &picture.blob {
        return Some(room.api(&format!("blobs/{}", encoded(blob))));
    }
    let url = picture.url.as_deref()?;
    let near = url.starts_with('/') && !url.starts_with("//");
    (near || url.starts_with("https://cdn.shopify.com/")).then(|| url.to_owned())
}

fn paragraph(part: Part, words: Markup) -> Markup {
    match part {
        Part::Heading => html! { p.heading { (words) } },
        Part::Item => html! { p.item { (words) } },
        Part::Row | Part::Paragraph => html! { p { (words) } },
    }
}

/// A text, paragraph by paragraph.
fn prose(source: &str) -> Markup {
    html! {
        div.prose {
            @for block in human::blocks(source) { (paragraph(block.part, html! { (block.text()) })) }
        }
    }
}

/// Two texts in one, with what went and what came.
fn text(old: &str, new: &str) -> Markup {
    let pieces = human::words(old, new);
    if pieces.iter().all(|piece| piece.side == Side::Same) {
        return html! {
            div.both {
                p.quiet { "The words are the same; only how they are marked up differs." }
                details { summary { "Show the markup" } (code(old, new)) }
            }
        };
    }
    let words = |side: Side| -> usize {
        let of_side = pieces.iter().filter(|piece| piece.side == side);
        of_side.map(|piece| piece.text.split(' ').filter(|word| !word.is_empty()).count()).sum()
    };
    if words(Side::Same) * 3 < words(Side::Gone).min(words(Side::New)) {
        // Written anew: two texts side by side are easier to read than one made of both.
        return html! {
            div.old { span.hidden { "Before: " } (prose(old)) }
            div.new { span.hidden { "After: " } (prose(new)) }
        };
    }
    let mut paragraphs: Vec<(Part, Vec<&Piece>)> = Vec::new();
    for piece in &pieces {
        match (piece.begins, paragraphs.last_mut()) {
            (None, Some((_, open))) => open.push(piece),
            (begins, _) => paragraphs.push((begins.unwrap_or(Part::Paragraph), vec![piece])),
        }
    }
    let is_same =
        |(_, pieces): &(Part, Vec<&Piece>)| pieces.iter().all(|piece| piece.side == Side::Same);
    let near = |n: usize| {
        (n.saturating_sub(1)..=n + 1).filter_map(|n| paragraphs.get(n)).any(|p| !is_same(p))
    };
    html! {
        div.both.prose {
            @for (n, (part, pieces)) in paragraphs.iter().enumerate() {
                @if near(n) {
                    (paragraph(*part, html! { @for piece in pieces { (marked(piece)) } }))
                } @else if n == 0 || near(n - 1) { p.quiet { "…" } }
            }
        }
    }
}

fn marked(piece: &Piece) -> Markup {
    if piece.text.is_empty() {
        return html! {};
    }
    match piece.side {
        Side::Gone => html! { del { span.hidden { "removed: " } (piece.text) } " " },
        Side::New => html! { ins { span.hidden { "added: " } (piece.text) } " " },
        Side::Same => html! { (around(&piece.text)) " " },
    }
}

/// A long stretch by its two ends.
fn around(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    if words.len() <= 2 * AROUND + 4 {
        return text.into();
    }
    format!("{} … {}", words[..AROUND].join(" "), words[words.len() - AROUND..].join(" "))
}

/// Two lists in one.
fn list(room: &Room, old: &[Cell], new: &[Cell]) -> Markup {
    let gone: Vec<&Cell> = old.iter().filter(|cell| !new.contains(cell)).collect();
    let moved = gone.is_empty() && old.len() == new.len();
    if moved {
        let (old, new) = (Cell::List(old.to_vec()), Cell::List(new.to_vec()));
        return html! {
            div.old { span.hidden { "Before: " } (cell(room, &old)) }
            div.new { span.hidden { "After: " } (cell(room, &new)) }
        };
    }
    html! {
        ul.both.tags {
            @for one in gone { li { del { span.hidden { "removed: " } (cell(room, one)) } } }
            @for one in new.iter().take(ITEMS_MAX) {
                @if old.contains(one) { li { (cell(room, one)) } }
                @else { li { ins { span.hidden { "added: " } (cell(room, one)) } } }
            }
            @if new.len() > ITEMS_MAX { li.quiet { "and " (new.len() - ITEMS_MAX) " more" } }
        }
    }
}

/// Two texts for machines, line by line.
fn code(old: &str, new: &str) -> Markup {
    let lines = human::code(old, new);
    html! {
        pre.both.code tabindex="0" {
            @for (side, text) in &lines {
                @match side {
                    Side::Gone => del { "− " (text) "\n" },
                    Side::New => ins { "+ " (text) "\n" },
                    Side::Same => span { "  " (text) "\n" },
                }
            }
        }
    }
}
