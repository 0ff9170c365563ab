//! How an answer looks to people. Styles are always written; where they cannot be seen, or
//! `NO_COLOR` is set, the stream that prints them takes them out again.

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, ContentArrangement, Table, presets};

pub(super) use backstock_restorer::human::grouped;

/// A heading, or what a person looks for.
pub(super) fn strong(text: impl std::fmt::Display) -> String {
    painted(Style::new().bold(), text)
}

/// What matters less.
pub(super) fn faint(text: impl std::fmt::Display) -> String {
    painted(Style::new().dimmed(), text)
}

/// What is as it should be, or new.
pub(super) fn good(text: impl std::fmt::Display) -> String {
    painted(AnsiColor::Green.on_default(), text)
}

/// What is wrong, or gone.
pub(super) fn bad(text: impl std::fmt::Display) -> String {
    painted(AnsiColor::Red.on_default(), text)
}

/// What deserves a look.
pub(super) fn odd(text: impl std::fmt::Display) -> String {
    painted(AnsiColor::Yellow.on_default(), text)
}

fn painted(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A table without lines. On a terminal, cells wrap to its width; elsewhere nothing is cut.
pub(super) fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .enforce_styling()
        .set_header(titles.iter().map(|title| heading(title)));
    table.style_text_only();
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn heading(title: &str) -> Cell {
    match title {
        "" => Cell::new(""),
        _ => Cell::new(title).add_attribute(Attribute::Bold),
    }
}

/// A cell that matters less.
pub(super) fn faint_cell(text: impl ToString) -> Cell {
    Cell::new(text).add_attribute(Attribute::Dim)
}

/// A table as text, one line feed after each row.
pub(super) fn lines(table: &Table) -> String {
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// `1 version`, `2 versions`, `1,234 versions`.
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// What stands under a list that goes on.
pub(super) fn more(limit: usize) -> String {
    faint(format!("The first {limit}; there are more, and --limit says how many to list.")) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let told = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(told, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([count(1, "gap"), count(2, "gap")], ["1 gap", "2 gaps"]);
    }
}
