//! The internal HTTP API: the same questions for readers in other processes. It knows no tokens;
//! it is for a loopback address or a network that only Backstock's own roles can reach.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use backstock_proto::Mode;
use backstock_proto::journal::{Journal, JournalError, Line, PATH, Question, Raw, SAME_AS};
use backstock_proto::trace::{Span, SpanKind, TraceContext};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;

/// Where questions come in. Until it is open, whoever asks hears that the journal is starting.
#[derive(Clone, Default)]
pub struct Door(Arc<OnceLock<Arc<dyn Journal>>>);

impl Door {
    /// From here on `journal` answers.
    pub fn open(&self, journal: Arc<dyn Journal>) {
        let _is_open_already = self.0.set(journal);
    }

    /// Routes that lead through it.
    pub fn router(&self) -> Router {
        Router::new().route(PATH, post(answer)).with_state(self.clone())
    }

    fn journal(&self) -> Result<&dyn Journal, JournalError> {
        let starting = || JournalError::Unavailable("it is starting".into());
        self.0.get().map(|journal| &**journal).ok_or_else(starting)
    }
}

/// Routes that answer from `journal`.
pub fn router(journal: Arc<dyn Journal>) -> Router {
    let door = Door::default();
    door.open(journal);
    door.router()
}

async fn answer(
    State(door): State<Door>,
    headers: HeaderMap,
    question: Result<Json<Question>, JsonRejection>,
) -> Response {
    let trace = TraceContext::of_http(&headers);
    let _span = trace.map(|trace| Span::begin("journal read", SpanKind::Server, Some(trace)));
    let answered = match question {
        Ok(Json(question)) => match door.journal() {
            Ok(journal) => ask(journal, question).await,
            Err(error) => Err(error),
        },
        Err(rejection) => Err(JournalError::Invalid(rejection.body_text())),
    };
    answered.unwrap_or_else(|error| error.to_problem().into_response())
}

async fn ask(journal: &dyn Journal, question: Question) -> Result<Response, JournalError> {
    Ok(match question {
        Question::Shops => json(journal.shops().await?),
        Question::Status { shop } => json(journal.status(&shop).await?),
        Question::Resources { shop, filter, page } => {
            json(journal.resources(&shop, &filter, &page).await?)
        }
        Question::Resource { key, at } => json(journal.resource(&key, at).await?),
        Question::Several { shop, kind, ids, at } => {
            json(journal.several(&shop, &kind, &ids, at).await?)
        }
        Question::Versions { key, span, page } => json(journal.versions(&key, span, &page).await?),
        Question::Raw { key, seq } => raw(journal.raw(&key, seq).await?),
        Question::Changes { shop, filter, page } => {
            json(journal.changes(&shop, &filter, &page).await?)
        }
        Question::Snapshot { shop, at, kind } => {
            lines(journal.snapshot(&shop, at, kind.as_ref()).await?)
        }
        Question::Mentioning { shop, at, kind, numbers } => {
            lines(journal.mentioning(&shop, at, &kind, &numbers).await?)
        }
        Question::Heads { shop, kind, id } => {
            lines(journal.heads(&shop, &kind, id.as_ref()).await?)
        }
        Question::Rebuilt { shop, kind, at } => lines(journal.rebuilt(&shop, &kind, at).await?),
        Question::Touched { shop, span, kind } => {
            lines(journal.touched(&shop, span, kind.as_ref()).await?)
        }
        Question::Records { shop, what, id, page } => {
            json(journal.records(&shop, &what, id.as_deref(), &page).await?)
        }
        Question::Erasures { shop } => json(journal.erasures(shop.as_ref()).await?),
        Question::Erased { shop } => json(journal.erased(&shop).await?),
        Question::Concerned { shop, whom, orders } => {
            json(journal.concerned(&shop, &whom, &orders).await?)
        }
        Question::Thin { shop, retention, now, dry_run } => {
            json(journal.thin(&shop, retention, now, Mode::of(dry_run)).await?)
        }
        Question::Verify => json(journal.verify().await?),
        Question::Checkpoint { to } => json(journal.checkpoint(to.as_deref()).await?),
    })
}

fn json(answer: impl Serialize) -> Response {
    Json(answer).into_response()
}

fn raw(raw: Option<Raw>) -> Response {
    match raw {
        Some(Raw::Bytes(bytes)) => {
            ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()
        }
        Some(Raw::SameAs { seq }) => {
            (StatusCode::NO_CONTENT, [(SAME_AS, seq.to_string())]).into_response()
        }
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

fn lines<T: Serialize + Send + 'static>(
    items: BoxStream<'static, Result<T, JournalError>>,
) -> Response {
    // After an error comes nothing more, so that the end is missed.
    let reading = (Some(items), 0);
    let lines = futures::stream::unfold(reading, async |(items, count)| {
        let mut items = items?;
        let (line, rest) = match items.next().await {
            Some(Ok(item)) => (Line::Item(Box::new(item)), Some(items)),
            Some(Err(error)) => (Line::Error(error.to_problem()), None),
            None => (Line::End { count }, None),
        };
        Some((written(&line), (rest, count + 1)))
    });
    let body = Body::from_stream(lines);
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

fn written<T: Serialize>(line: &Line<T>) -> Result<Bytes, serde_json::Error> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    Ok(bytes.into())
}
