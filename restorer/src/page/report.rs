//! All of a job's report in a file: more than a page shows, row by row. As lines of JSON for programs, or
//! as a table for people.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use futures::StreamExt as _;
use futures::stream;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::job::Which;
use super::room::{Room, encoded, query};
use crate::ask::Asked;
use crate::refuse;

/// Rows that are in memory at once.
const ROWS: usize = 1_000;

/// What a table has of a row.
const COLUMNS: [&str; 7] = ["n", "kind", "id", "title", "state", "reason", "new_gid"];

/// In which form.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    #[serde(rename = "as")]
    format: Format,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Ndjson,
    Csv,
}

/// A report on its way out.
struct Report {
    room: Room,
    id: String,
    format: Format,
    /// The rows that are told next.
    rows: List<Value>,
    count: usize,
    /// Why some rows are not told.
    untold: Option<String>,
}

/// The file: the job, then a row a line. As in a snapshot, the last line says that nothing is missing, or
/// what went wrong; a table says only the latter.
pub(crate) async fn report(
    room: Room,
    Path(Which { id }): Path<Which>,
    Asked(Wanted { format }): Asked<Wanted>,
) -> Result<Response, Problem> {
    let (job, rows) = part(&room, &id, None).await?;
    let (media_type, extension, head) = match format {
        Format::Ndjson => ("application/x-ndjson", "ndjson", line(&job)),
        // By the mark at its beginning spreadsheets see that it is UTF-8.
        Format::Csv => ("text/csv; charset=utf-8", "csv", format!("\u{feff}{}", record(&COLUMNS))),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.{extension}\"")),
    ];
    let report = Report { room, id, format, rows, count: 0, untold: untold(&job) };
    let rest = stream::unfold(Some(report), async |report| Some(report?.next().await));
    let pieces = stream::iter([Bytes::from(head)]).chain(rest);
    Ok((headers, Body::from_stream(pieces.map(Ok::<_, Infallible>))).into_response())
}

/// The job, and a part of its rows.
async fn part(
    room: &Room,
    id: &str,
    cursor: Option<String>,
) -> Result<(Value, List<Value>), Problem> {
    let pairs = [("limit", Some(ROWS.to_string())), ("cursor", cursor)];
    let mut job: Value = room.get(&format!("jobs/{}{}", encoded(id), query(&pairs))).await?;
    let rows = job.as_object_mut().and_then(|job| job.remove("rows")).unwrap_or_default();
    let rows = serde_json::from_value(rows);
    let rows = rows.map_err(|e| refuse::bad_request(format!("the job cannot be read: {e}")))?;
    Ok((job, rows))
}

/// Why some rows are not among those that came with a job.
fn untold(job: &Value) -> Option<String> {
    job["untold"].as_str().map(str::to_owned)
}

impl Report {
    /// The next piece of the file, and itself as long as there is more to come.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        let format = self.format;
        let mut piece: String = self.rows.items.iter().map(|row| format.row(row)).collect();
        self.count += self.rows.items.len();
        let Some(cursor) = self.rows.next.take() else {
            piece += &match &self.untold {
                Some(why) => format.lacking(why, self.count),
                None => format.end(self.count),
            };
            return (piece.into(), None);
        };
        match self.more(cursor).await {
            Ok((rows, untold)) => {
                (piece.into(), Some(Self { rows, untold: self.untold.or(untold), ..self }))
            }
            Err(problem) => {
                piece += &format.broken(&problem, self.count);
                (piece.into(), None)
            }
        }
    }

    async fn more(&self, cursor: String) -> Result<(List<Value>, Option<String>), Problem> {
        let Room { desk, visit, .. } = &self.room;
        if !visit.token.as_ref().is_some_and(|token| desk.tokens.still_valid(token)) {
            let revoked = "the token was revoked while reading";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, revoked));
        }
        let (job, rows) = part(&self.room, &self.id, Some(cursor)).await?;
        Ok((rows, untold(&job)))
    }
}

impl Format {
    fn row(self, row: &Value) -> String {
        match self {
            Self::Ndjson => line(row),
            Self::Csv => record(&COLUMNS.map(|name| cell(name, &row[name]))),
        }
    }

    fn end(self, count: usize) -> String {
        match self {
            Self::Ndjson => line(&json!({"end": true, "count": count})),
            Self::Csv => String::new(),
        }
    }

    fn lacking(self, why: &str, count: usize) -> String {
        match self {
            Self::Ndjson => {
                let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why);
                line(&json!({"error": problem, "count": count}))
            }
            Self::Csv => record(&[format!("not every row is here: {why}")]),
        }
    }

    fn broken(self, problem: &Problem, count: usize) -> String {
        match self {
            Self::Ndjson => line(&json!({"error": problem, "count": count})),
            Self::Csv => record(&[format!("broken off after {count} rows: {}", problem.detail)]),
        }
    }
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}

/// A number that is an id is longer than spreadsheets count: it is told as a text.
fn cell(name: &str, value: &Value) -> String {
    match (name, value) {
        (_, Value::Null) => String::new(),
        ("id", Value::String(id)) => format!("#{id}"),
        (_, Value::String(text)) => text.clone(),
        (_, value) => value.to_string(),
    }
}

/// What a formula begins with, also where keyboards write wide; before it, blanks are passed over.
const FORMULAS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// A line of a table. A shop's text that begins as a formula does is kept from being one.
fn record(cells: &[impl AsRef<str>]) -> String {
    let quoted = cells.iter().map(|cell| {
        let text = cell.as_ref();
        let apart = if text.trim_start().starts_with(FORMULAS) { "'" } else { "" };
        format!("\"{apart}{}\"", text.replace('"', "\"\""))
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shops_text_is_no_formula_in_a_spreadsheet() {
        let row = record(&["Mug, \"Pine\"", "=HYPERLINK(\"https://evil.example\")"]);
        let told = "\"Mug, \"\"Pine\"\"\",\"'=HYPERLINK(\"\"https://evil.example\"\")\"\r\n";
        assert_eq!(row, told);
        for formula in ["\t=1", "\r\n@a", " +1", "\u{a0}-1", "＝1"] {
            assert_eq!(record(&[formula]), format!("\"'{formula}\"\r\n"));
        }
    }
}
