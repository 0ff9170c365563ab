//! One call: its points, its token, its repetitions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::budget::{Budget, Charge, Claim, Reservation, Status};
use super::clock::{self, Skew};
use super::token::Tokens;
use super::{Access, AdminError, Answer, Call, GraphqlError, Repeat};
use crate::time::{Clock, SystemClock};
use crate::trace::{self, Span, SpanKind};
use crate::{Shop, Timestamp};

/// How long one request may take. Shopify ends its own after 30 s or so.
const REQUEST_DEADLINE: Duration = Duration::from_secs(60);
/// For how long failures that pass by themselves are waited out. Waiting for points is none of them, however
/// long it takes where others want them too.
const PATIENCE: Duration = Duration::from_secs(300);
/// Waits between repetitions: the first, and the longest.
const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(20);

/// Speaks to one shop's Admin API. Clones share its budget and its token.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
    spent: Option<prometheus::IntCounter>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    access: Access,
    budget: Budget,
    tokens: Tokens,
    skew: Skew,
    told_of_version: AtomicBool,
}

/// What one request sends.
#[derive(Serialize)]
struct Request<'a> {
    query: &'a str,
    variables: &'a Value,
}

/// What became of one request.
pub(super) enum Outcome {
    Answered(Answer),
    /// Nothing was done; asking again later may help, not before the given time.
    Later(String, Option<Duration>),
    /// Nobody knows whether it was done.
    Lost(String),
    Failed(AdminError),
    /// The token was refused.
    Refused(SecretString),
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    data: Value,
    #[serde(default, deserialize_with = "errors")]
    errors: Vec<GraphqlError>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
struct Extensions {
    cost: Option<Cost>,
    #[serde(default)]
    search: Vec<Search>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    requested_query_cost: Option<f64>,
    actual_query_cost: Option<f64>,
    throttle_status: Option<Status>,
}

impl Cost {
    fn charge(&self) -> Option<Charge> {
        let requested = self.requested_query_cost?;
        Some(Charge { requested, actual: self.actual_query_cost.unwrap_or(requested) })
    }
}

/// What Shopify says about a search filter.
#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    warnings: Vec<Value>,
}

impl Client {
    /// Speaks through `http`.
    pub fn new(http: reqwest::Client, access: Access) -> Self {
        let (budget, tokens) = (Budget::new(), Tokens::new());
        let told_of_version = AtomicBool::new(false);
        let skew = Skew::default();
        let inner = Inner { http, access, budget, tokens, skew, told_of_version };
        Self { inner: Arc::new(inner), spent: None }
    }

    /// A clone that counts the points that its answers cost.
    #[must_use]
    pub fn counting(&self, spent: prometheus::IntCounter) -> Self {
        Self { inner: self.inner.clone(), spent: Some(spent) }
    }

    /// Whose API, and where.
    pub fn access(&self) -> &Access {
        &self.inner.access
    }

    /// The connection pool that it speaks through.
    pub fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }

    /// What the shop's clock says when ours says `ours`, as far as its answers tell.
    pub fn shops_time(&self, ours: Timestamp) -> Timestamp {
        self.inner.skew.theirs(ours)
    }

    /// The cost points that the shop grants.
    pub fn granted(&self) -> super::Granted {
        self.inner.budget.granted()
    }

    /// Sends one document and waits for its answer, as long as that makes sense: while the shop throttles,
    /// and where an answer is lost and the call may be repeated. What could be answered in part is an
    /// answer, with what is wrong in [`Answer::errors`].
    pub async fn ask(&self, call: Call<'_>) -> Result<Answer, AdminError> {
        // By itself a question begins no trace.
        let Some(trace) = trace::current().filter(|trace| trace.is_sampled()) else {
            return self.answered_in_the_end(call).await;
        };
        let name = format!("admin {}", operation(call.document));
        let mut span = Span::begin(name, SpanKind::Client, Some(trace));
        span.set("shop", &self.access().shop);
        let answer = self.answered_in_the_end(call).await;
        if let Ok(answer) = &answer {
            span.set("points", answer.cost);
        }
        span.went(answer)
    }

    async fn answered_in_the_end(&self, call: Call<'_>) -> Result<Answer, AdminError> {
        let Call { document, variables, repeat, share, urgent } = call;
        let body = self.body(document, &variables)?;
        // As a tree they take some ten times as much, and hundreds of calls wait for points.
        drop(variables);
        let mut failing = Duration::ZERO;
        let mut refused: Option<SecretString> = None;
        let mut wait = WAIT_FIRST;
        loop {
            let began = Instant::now();
            let token = self.inner.tokens.get(&self.inner.http, self.access(), refused.as_ref());
            let (sent, outcome) = match token.await {
                Ok(token) => {
                    let points = self.inner.budget.reserve(document, Claim { share, urgent }).await;
                    (Instant::now(), self.once(body.clone(), points, token).await)
                }
                // Nothing was asked yet.
                Err(AdminError::Unavailable { last, .. }) => (began, Outcome::Later(last, None)),
                Err(error) => return Err(error),
            };
            let (last, at_least) = match outcome {
                Outcome::Answered(answer) => return Ok(answer),
                Outcome::Failed(error) => return Err(error),
                // A second refusal ends in `Tokens::get` for a fixed token, and here for a fresh one.
                Outcome::Refused(_) if refused.is_some() => {
                    let shop = self.access().shop.clone();
                    return Err(AdminError::Unauthorized(shop, "401 for a fresh one".into()));
                }
                Outcome::Refused(token) => {
                    refused = Some(token);
                    continue;
                }
                Outcome::Later(last, at_least) => (last, at_least),
                Outcome::Lost(last) if repeat == Repeat::Safe => (last, None),
                Outcome::Lost(detail) => {
                    return Err(AdminError::Unknown { shop: self.access().shop.clone(), detail });
                }
            };
            let waited = failing + sent.elapsed();
            if waited > PATIENCE {
                let shop = self.access().shop.clone();
                return Err(AdminError::Unavailable { shop, waited, last });
            }
            tokio::time::sleep(jittered(wait).max(at_least.unwrap_or_default())).await;
            wait = (wait * 2).min(WAIT_MAX);
            failing += sent.elapsed();
        }
    }

    /// A request as it is sent, once or again.
    fn body(&self, query: &str, variables: &Value) -> Result<Bytes, AdminError> {
        let written = serde_json::to_vec(&Request { query, variables });
        let written = written.map_err(|e| AdminError::Document {
            shop: self.access().shop.clone(),
            detail: e.to_string(),
        })?;
        Ok(written.into_boxed_slice().into())
    }

    async fn once(
        &self,
        body: Bytes,
        reservation: Reservation<'_>,
        token: SecretString,
    ) -> Outcome {
        let access = self.access();
        let mut url = access.url.clone();
        url.set_path(&format!("/admin/api/{}/graphql.json", access.api_version));
        let sent = self
            .inner
            .http
            .post(url)
            .header("X-Shopify-Access-Token", token.expose_secret())
            .header("Content-Type", "application/json")
            .body(body)
            .timeout(REQUEST_DEADLINE)
            .send()
            .await;
        let response = match sent {
            Ok(response) => response,
            Err(error) => {
                let detail = error.to_string();
                // Nothing left this machine.
                return match error.is_connect() || error.is_builder() {
                    true => Outcome::Later(detail, None),
                    false => Outcome::Lost(detail),
                };
            }
        };
        if let Some(date) = header(&response, "date").and_then(|date| clock::of_header(&date)) {
            self.inner.skew.note(SystemClock.now(), date);
        }
        let status = response.status();
        if !status.is_success() {
            return self.not_answered(status, response, token).await;
        }
        let version = header(&response, "x-shopify-api-version");
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return Outcome::Lost(format!("the answer broke off: {error}")),
        };
        match serde_json::from_slice::<Body>(&bytes) {
            Ok(body) => {
                let cost = body.extensions.cost.as_ref();
                let status = cost.and_then(|cost| cost.throttle_status);
                reservation.settle(status, cost.and_then(Cost::charge));
                self.answered(body, version)
            }
            Err(error) => Outcome::Lost(format!("the answer is not JSON: {error}")),
        }
    }

    fn answered(&self, body: Body, version: Option<String>) -> Outcome {
        let shop = || self.access().shop.clone();
        if let Some(outcome) = unanswered(&self.access().shop, &body.data, &body.errors) {
            return outcome;
        }
        // A filter by a field that does not exist selects everything.
        if let Some(warning) = body.extensions.search.iter().flat_map(|s| &s.warnings).next() {
            let detail = format!("the search is not understood: {warning}");
            return Outcome::Failed(AdminError::Document { shop: shop(), detail });
        }
        let cost = body.extensions.cost.and_then(|cost| cost.actual_query_cost).unwrap_or(0.0);
        if let Some(spent) = &self.spent {
            spent.inc_by(cost.max(0.0).round() as u64);
        }
        let asked = &self.access().api_version;
        let fell_forward_to = version.filter(|version| version != asked);
        if let Some(version) = &fell_forward_to
            && !self.inner.told_of_version.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                shop = %self.access().shop, asked = %asked, answered = %version,
                "another API version answers than the one asked for: set shop.api_version to one \
                 that is supported"
            );
        }
        let Body { data, errors, .. } = body;
        Outcome::Answered(Answer { data, errors, cost, fell_forward_to })
    }

    async fn not_answered(
        &self,
        status: StatusCode,
        response: reqwest::Response,
        token: SecretString,
    ) -> Outcome {
        let refused = |detail: &str| {
            Outcome::Failed(AdminError::Refused {
                shop: self.access().shop.clone(),
                status: status.as_u16(),
                detail: detail.into(),
            })
        };
        match status.as_u16() {
            401 => Outcome::Refused(token),
            402 => refused("the shop is frozen until its bill is paid"),
            403 => refused("the app lacks an access scope for this"),
            404 => refused("there is no such shop, or no Admin API at this address"),
            423 => refused("the shop is locked"),
            429 | 430 => {
                let seconds = header(&response, "retry-after").and_then(|s| s.parse().ok());
                let wait = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                Outcome::Later(status.to_string(), wait.map(|wait| wait.min(PATIENCE)))
            }
            501 => refused("this address does not speak this API version"),
            408 | 500..=599 => Outcome::Lost(status.to_string()),
            _ => refused("an answer that was not expected"),
        }
    }
}

/// What became of a request whose data and errors are no answer to it.
pub(super) fn unanswered(shop: &Shop, data: &Value, errors: &[GraphqlError]) -> Option<Outcome> {
    if errors.iter().any(|error| error.code() == "THROTTLED") {
        return Some(Outcome::Later("THROTTLED".into(), None));
    }
    // A mutation that broke off answers `null` for itself, and may have been done.
    let nothing = data.as_object().is_none_or(|data| data.values().all(Value::is_null));
    let broke_off =
        |error: &&GraphqlError| matches!(error.code(), "INTERNAL_SERVER_ERROR" | "TIMEOUT");
    if nothing && let Some(error) = errors.iter().find(broke_off) {
        return Some(Outcome::Lost(error.message.clone()));
    }
    let error = errors.first().filter(|_| data.is_null())?;
    let (shop, detail) = (shop.clone(), error.message.clone());
    Some(Outcome::Failed(match error.code() {
        "ACCESS_DENIED" => AdminError::Refused { shop, status: 200, detail },
        _ => AdminError::Document { shop, detail },
    }))
}

/// What a document calls what it asks for, such as `ProductUpdate`; else whether it asks or writes.
fn operation(document: &str) -> &str {
    let head = document.split(['(', '{', '@']).next().unwrap_or_default();
    head.split_whitespace().last().unwrap_or("query")
}

fn header(response: &reqwest::Response, name: &str) -> Option<String> {
    Some(response.headers().get(name)?.to_str().ok()?.to_owned())
}

/// Half of a wait to all of it, so that callers who failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let dice = RandomState::new().hash_one(0) % 1_000;
    wait.mul_f64(0.5 + dice as f64 / 2_000.0)
}

/// Mostly a list; one text in some refusals.
pub(super) fn errors<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<Vec<GraphqlError>, D::Error> {
    let value = Value::deserialize(from)?;
    if let Value::String(message) = value {
        return Ok(vec![GraphqlError { message, path: Vec::new(), extensions: Value::Null }]);
    }
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::operation;

    #[test]
    fn a_document_is_called_by_its_operation() {
        assert_eq!(operation("mutation ProductUpdate($p: X!) { a }"), "ProductUpdate");
        assert_eq!(operation("\n  query Shop {\n  shop { id }\n}"), "Shop");
        assert_eq!(operation("query($id: ID!) { node(id: $id) { id } }"), "query");
        assert_eq!(operation("{ shop { id } }"), "query");
    }
}
