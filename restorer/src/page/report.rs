//! All of a job's report in a file: more than a page shows, row by row.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use futures::StreamExt as _;
use futures::stream;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::job::Which;
use super::room::{Room, encoded, query};
use crate::refuse;

/// Rows that are in memory at once.
const ROWS: usize = 1_000;

/// A report on its way out.
struct Report {
    room: Room,
    id: String,
    /// The rows that are told next.
    rows: List<Value>,
    count: usize,
}

/// The file: the job, then a row a line. As in a snapshot, the last line says that nothing is missing, or
/// what went wrong.
pub(crate) async fn report(
    room: Room,
    Path(Which { id }): Path<Which>,
) -> Result<Response, Problem> {
    let (job, rows) = part(&room, &id, None).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.ndjson\"")),
    ];
    let report = Report { room, id, rows, count: 0 };
    let rest = stream::unfold(Some(report), async |report| Some(report?.next().await));
    let pieces = stream::iter([Bytes::from(line(&job))]).chain(rest);
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

impl Report {
    /// The next piece of the file, and itself as long as there is more to come.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        let mut piece: String = self.rows.items.iter().map(line).collect();
        self.count += self.rows.items.len();
        let Some(cursor) = self.rows.next.take() else {
            piece += &line(&json!({"end": true, "count": self.count}));
            return (piece.into(), None);
        };
        match self.more(cursor).await {
            Ok(rows) => (piece.into(), Some(Self { rows, ..self })),
            Err(problem) => {
                piece += &line(&json!({"error": problem, "count": self.count}));
                (piece.into(), None)
            }
        }
    }

    async fn more(&self, cursor: String) -> Result<List<Value>, Problem> {
        let Room { desk, visit, .. } = &self.room;
        if !visit.token.as_ref().is_some_and(|token| desk.tokens.still_valid(token)) {
            let revoked = "the token was revoked while reading";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, revoked));
        }
        part(&self.room, &self.id, Some(cursor)).await.map(|(_, rows)| rows)
    }
}

fn line(value: &Value) -> String {
    format!("{value}\n")
}
