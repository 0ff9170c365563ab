//! A whole shop as of an instant, as a stream.

use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use backstock_proto::Timestamp;
use backstock_proto::journal::{JournalError, Resource};
use backstock_proto::problem::Problem;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use http::{StatusCode, header};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

use super::AtDesk;
use super::resource::{Moved, ResourceAt};
use crate::ask::{self, Asked, InShop, ShopPath, SnapshotQuery};
use crate::gate::Visit;
use crate::token::Token;
use crate::{Desk, refuse};

/// Resources that go into one piece of the body, if they are there already.
const LINES_TOGETHER: usize = 64;

/// A snapshot on its way out. Dropped with the body when the caller goes away, and the journal's
/// side with it.
struct Lines {
    resources: stream::ReadyChunks<BoxStream<'static, Result<Resource, JournalError>>>,
    at: Option<Timestamp>,
    count: u64,
    token: Option<Arc<Token>>,
    desk: Arc<Desk>,
    _slot: OwnedSemaphorePermit,
}

/// Every resource that existed at an instant, one a line.
///
/// The last line is `{"end": true, "count": n}`. A stream that fails ends with
/// `{"error": <problem>, "count": n}` instead, so one without either was cut.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/snapshot",
    operation_id = "snapshot",
    tag = "Resources",
    params(
        ShopPath,
        SnapshotQuery
    ),
    responses((
        status = 200,
        description = "One resource a line, by kind and id.",
        body = String,
        content_type = "application/x-ndjson"
    ))
)]
pub(crate) async fn snapshot(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Asked(SnapshotQuery { at, kind }): Asked<SnapshotQuery>,
) -> Result<Response, Problem> {
    desk.known(&shop).await?;
    let slot = desk.whole_shop()?;
    let resources = desk
        .journal
        .snapshot(&shop, ask::as_of(at), kind.as_ref())
        .await
        .map_err(refuse::journal)?
        .ready_chunks(LINES_TOGETHER);
    let lines = Lines { resources, at, count: 0, token: visit.token, desk, _slot: slot };
    let pieces = stream::unfold(Some(lines), async |lines| Some(lines?.next().await));
    let body = Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

impl Lines {
    /// The next piece of the body, and itself as long as there is more to come.
    async fn next(mut self) -> (Bytes, Option<Self>) {
        let Some(batch) = self.resources.next().await else {
            return (line(&json!({"end": true, "count": self.count})), None);
        };
        if !self.token.as_ref().is_some_and(|token| self.desk.tokens.still_valid(token)) {
            let revoked =
                Problem::new(StatusCode::UNAUTHORIZED, "the token was revoked while reading");
            return (self.error(&revoked), None);
        }
        let mut piece = Vec::new();
        for resource in batch {
            let resource = match resource {
                Ok(resource) => resource,
                Err(error) => {
                    piece.extend_from_slice(&self.error(&refuse::journal(error)));
                    return (piece.into(), None);
                }
            };
            let at = self.desk.shown_at(self.at, resource.version.valid_at);
            piece.extend_from_slice(&line(&ResourceAt { at, resource, moved: Moved::default() }));
            self.count += 1;
        }
        (piece.into(), Some(self))
    }

    fn error(&self, problem: &Problem) -> Bytes {
        line(&json!({"error": problem, "count": self.count}))
    }
}

fn line(value: &impl serde::Serialize) -> Bytes {
    // States are JSON already, with texts for names: writing them cannot fail. If it ever does, the
    // stream ends without its last line, which says so.
    let mut bytes = serde_json::to_vec(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
