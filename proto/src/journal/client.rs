//! The journal in another process: its internal HTTP API, asked through [`Journal`].
//!
//! Every question is one `POST` of a [`Question`] to [`PATH`]. Most answers are one JSON value,
//! `null` where there is nothing. A version's bytes come as they are, or as an empty answer with
//! the header [`SAME_AS`]. A snapshot comes as newline-delimited [`Line`]s, of which the last says
//! how many there were, so that a broken one is never taken for a whole one. Errors are problem
//! details whose member `error` names the sort of [`JournalError`].

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;
use url::Url;

use super::{
    AsOf, Change, ChangeFilter, CheckpointReport, Head, Journal, JournalError, List, Numbers, Page,
    Raw, Rebuilt, Record, Resource, ResourceFilter, Retention, ShopStatus, ShopSummary, Span,
    Summary, Thinned, Touched, VerifyReport, Version,
};
use crate::erase::{Concerned, Erased, Erasure, Whom};
use crate::problem::Problem;
use crate::trace;
use crate::{Kind, Mode, ResourceId, ResourceKey, Shop, Timestamp};

/// Where questions are sent.
pub const PATH: &str = "/v1/questions";

/// The header that names the version whose bytes a version shares.
pub const SAME_AS: &str = "backstock-same-as";

/// How long an answer may take, and the next line of a snapshot.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the next line may take where much is looked through and little of it told.
const LOOK_TIMEOUT: Duration = Duration::from_secs(600);

/// How long reading everything back may take.
const VERIFY_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// What is asked, one for each method of [`Journal`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Question {
    Shops,
    Status { shop: Shop },
    Resources { shop: Shop, filter: ResourceFilter, page: Page },
    Resource { key: ResourceKey, at: AsOf },
    Several { shop: Shop, kind: Kind, ids: Vec<ResourceId>, at: AsOf },
    Versions { key: ResourceKey, span: Span, page: Page },
    Raw { key: ResourceKey, seq: u64 },
    Changes { shop: Shop, filter: ChangeFilter, page: Page },
    Snapshot { shop: Shop, at: AsOf, kind: Option<Kind> },
    Mentioning { shop: Shop, at: AsOf, kind: Kind, numbers: Numbers },
    Heads { shop: Shop, kind: Kind, id: Option<ResourceId> },
    Rebuilt { shop: Shop, kind: Kind, at: Timestamp },
    Touched { shop: Shop, span: Span, kind: Option<Kind> },
    Records { shop: Shop, what: String, id: Option<String>, page: Page },
    Erasures { shop: Option<Shop> },
    Erased { shop: Shop },
    Concerned { shop: Shop, whom: Whom, orders: Vec<ResourceId> },
    Thin { shop: Shop, retention: Retention, now: Timestamp, dry_run: bool },
    Verify,
    Checkpoint { to: Option<String> },
}

/// A line of a long answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line<T> {
    /// One item: a resource, a head.
    Item(Box<T>),
    /// What was asked for could not be read on.
    Error(Problem),
    /// There is no more.
    End {
        /// How many items there were.
        count: u64,
    },
}

impl JournalError {
    /// The problem that tells it over HTTP.
    pub fn to_problem(&self) -> Problem {
        let (status, error, detail) = match self {
            Self::Invalid(detail) => (StatusCode::BAD_REQUEST, "invalid", detail),
            Self::Damaged(detail) => (StatusCode::INTERNAL_SERVER_ERROR, "damaged", detail),
            Self::Unavailable(detail) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail),
            Self::Storage(detail) => (StatusCode::INTERNAL_SERVER_ERROR, "storage", detail),
        };
        Problem::new(status, detail).with("error", error)
    }

    /// Reads it back; what is not one of ours is a journal that cannot be reached.
    fn from_problem(problem: Problem) -> Self {
        match problem.more.get("error").and_then(|error| error.as_str()) {
            Some("invalid") => Self::Invalid(problem.detail),
            Some("damaged") => Self::Damaged(problem.detail),
            Some("storage") => Self::Storage(problem.detail),
            _ => Self::Unavailable(format!("{}: {}", problem.title, problem.detail)),
        }
    }
}

/// Asks a journal in another process.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    questions: Url,
}

impl Client {
    /// Asks the journal at `base`, such as `http://127.0.0.1:8082`, through `http`.
    pub fn new(http: reqwest::Client, mut base: Url) -> Self {
        base.set_path(PATH);
        Self { http, questions: base }
    }

    /// The answer to a question, once its status says that it is one.
    async fn send(
        &self,
        question: &Question,
        timeout: Duration,
    ) -> Result<reqwest::Response, JournalError> {
        let mut asked = self.http.post(self.questions.clone()).json(question).timeout(timeout);
        if let Some(trace) = trace::current() {
            asked = asked.header(trace::HEADER, trace.to_string());
        }
        let response = asked.send().await.map_err(unavailable)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        Err(match response.json::<Problem>().await {
            Ok(problem) => JournalError::from_problem(problem),
            Err(_) => JournalError::Unavailable(format!("it answered {status}")),
        })
    }

    async fn ask<T: DeserializeOwned>(&self, question: Question) -> Result<T, JournalError> {
        let response = self.send(&question, ANSWER_TIMEOUT).await?;
        response.json().await.map_err(unavailable)
    }

    /// A long answer, line by line. The whole may take long; each line has its own deadline.
    async fn stream<T: DeserializeOwned + Send + 'static>(
        &self,
        question: Question,
    ) -> Result<BoxStream<'static, Result<T, JournalError>>, JournalError> {
        let response = self.send(&question, VERIFY_TIMEOUT).await?;
        let silence = match question {
            Question::Mentioning { .. } => LOOK_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        };
        let lines = StreamReader::new(response.bytes_stream().map_err(io::Error::other)).lines();
        let reading = (Some(lines), 0_u64);
        Ok(futures::stream::unfold(reading, move |(lines, count)| async move {
            let mut lines = lines?;
            let line = tokio::time::timeout(silence, lines.next_line()).await;
            match read_line(line, count) {
                Ok(Some(item)) => Some((Ok(item), (Some(lines), count + 1))),
                Ok(None) => None,
                Err(error) => Some((Err(error), (None, count))),
            }
        })
        .boxed())
    }
}

#[async_trait]
impl Journal for Client {
    async fn shops(&self) -> Result<Vec<ShopSummary>, JournalError> {
        self.ask(Question::Shops).await
    }

    async fn status(&self, shop: &Shop) -> Result<Option<ShopStatus>, JournalError> {
        self.ask(Question::Status { shop: shop.clone() }).await
    }

    async fn resources(
        &self,
        shop: &Shop,
        filter: &ResourceFilter,
        page: &Page,
    ) -> Result<List<Summary>, JournalError> {
        let (shop, filter, page) = (shop.clone(), filter.clone(), page.clone());
        self.ask(Question::Resources { shop, filter, page }).await
    }

    async fn resource(
        &self,
        key: &ResourceKey,
        at: AsOf,
    ) -> Result<Option<Resource>, JournalError> {
        self.ask(Question::Resource { key: key.clone(), at }).await
    }

    async fn several(
        &self,
        shop: &Shop,
        kind: &Kind,
        ids: &[ResourceId],
        at: AsOf,
    ) -> Result<Vec<Option<Resource>>, JournalError> {
        let (shop, kind, ids) = (shop.clone(), kind.clone(), ids.to_vec());
        self.ask(Question::Several { shop, kind, ids, at }).await
    }

    async fn versions(
        &self,
        key: &ResourceKey,
        span: Span,
        page: &Page,
    ) -> Result<List<Version>, JournalError> {
        self.ask(Question::Versions { key: key.clone(), span, page: page.clone() }).await
    }

    async fn raw(&self, key: &ResourceKey, seq: u64) -> Result<Option<Raw>, JournalError> {
        let question = Question::Raw { key: key.clone(), seq };
        let response = self.send(&question, ANSWER_TIMEOUT).await?;
        if response.status() == StatusCode::NO_CONTENT {
            let same =
                response.headers().get(SAME_AS).and_then(|seq| seq.to_str().ok()?.parse().ok());
            return Ok(same.map(|seq| Raw::SameAs { seq }));
        }
        Ok(Some(Raw::Bytes(response.bytes().await.map_err(unavailable)?)))
    }

    async fn changes(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
        page: &Page,
    ) -> Result<List<Change>, JournalError> {
        let (shop, filter, page) = (shop.clone(), filter.clone(), page.clone());
        self.ask(Question::Changes { shop, filter, page }).await
    }

    async fn snapshot(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        self.stream(Question::Snapshot { shop: shop.clone(), at, kind: kind.cloned() }).await
    }

    async fn mentioning(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: &Kind,
        numbers: &Numbers,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        let (shop, kind, numbers) = (shop.clone(), kind.clone(), numbers.clone());
        self.stream(Question::Mentioning { shop, at, kind, numbers }).await
    }

    async fn heads(
        &self,
        shop: &Shop,
        kind: &Kind,
        id: Option<&ResourceId>,
    ) -> Result<BoxStream<'static, Result<Head, JournalError>>, JournalError> {
        let (shop, kind, id) = (shop.clone(), kind.clone(), id.cloned());
        self.stream(Question::Heads { shop, kind, id }).await
    }

    async fn rebuilt(
        &self,
        shop: &Shop,
        kind: &Kind,
        at: Timestamp,
    ) -> Result<BoxStream<'static, Result<Rebuilt, JournalError>>, JournalError> {
        self.stream(Question::Rebuilt { shop: shop.clone(), kind: kind.clone(), at }).await
    }

    async fn touched(
        &self,
        shop: &Shop,
        span: Span,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Touched, JournalError>>, JournalError> {
        self.stream(Question::Touched { shop: shop.clone(), span, kind: kind.cloned() }).await
    }

    async fn records(
        &self,
        shop: &Shop,
        what: &str,
        id: Option<&str>,
        page: &Page,
    ) -> Result<List<Record>, JournalError> {
        let (shop, page) = (shop.clone(), page.clone());
        let (what, id) = (what.to_owned(), id.map(str::to_owned));
        self.ask(Question::Records { shop, what, id, page }).await
    }

    async fn erasures(&self, shop: Option<&Shop>) -> Result<Vec<Erasure>, JournalError> {
        self.ask(Question::Erasures { shop: shop.cloned() }).await
    }

    async fn erased(&self, shop: &Shop) -> Result<Erased, JournalError> {
        self.ask(Question::Erased { shop: shop.clone() }).await
    }

    async fn concerned(
        &self,
        shop: &Shop,
        whom: &Whom,
        orders: &[ResourceId],
    ) -> Result<Concerned, JournalError> {
        let (shop, whom, orders) = (shop.clone(), whom.clone(), orders.to_vec());
        let question = Question::Concerned { shop, whom, orders };
        let response = self.send(&question, VERIFY_TIMEOUT).await?;
        response.json().await.map_err(unavailable)
    }

    async fn thin(
        &self,
        shop: &Shop,
        retention: Retention,
        now: Timestamp,
        mode: Mode,
    ) -> Result<Thinned, JournalError> {
        let (shop, dry_run) = (shop.clone(), mode.is_dry());
        let question = Question::Thin { shop, retention, now, dry_run };
        let response = self.send(&question, VERIFY_TIMEOUT).await?;
        response.json().await.map_err(unavailable)
    }

    async fn checkpoint(&self, to: Option<&str>) -> Result<Vec<CheckpointReport>, JournalError> {
        let question = Question::Checkpoint { to: to.map(str::to_owned) };
        let response = self.send(&question, VERIFY_TIMEOUT).await?;
        response.json().await.map_err(unavailable)
    }

    async fn verify(&self) -> Result<VerifyReport, JournalError> {
        let response = self.send(&Question::Verify, VERIFY_TIMEOUT).await?;
        response.json().await.map_err(unavailable)
    }
}

/// One line of a long answer after `count` others; `None` at its proper end.
fn read_line<T: DeserializeOwned>(
    line: Result<io::Result<Option<String>>, tokio::time::error::Elapsed>,
    count: u64,
) -> Result<Option<T>, JournalError> {
    let line = line.map_err(unavailable)?.map_err(unavailable)?;
    let ended_early = || JournalError::Unavailable("the answer ended early".into());
    match serde_json::from_str(&line.ok_or_else(ended_early)?).map_err(unavailable)? {
        Line::Item(item) => Ok(Some(*item)),
        Line::Error(problem) => Err(JournalError::from_problem(problem)),
        Line::End { count: sent } if sent == count => Ok(None),
        Line::End { .. } => Err(ended_early()),
    }
}

fn unavailable(error: impl std::fmt::Display) -> JournalError {
    JournalError::Unavailable(error.to_string())
}
