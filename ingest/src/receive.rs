//! `POST /webhooks`: from a request to an answer, within bounds of time and memory.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use backstock_proto::problem::Problem;
use backstock_proto::time::Clock;
use backstock_proto::trace::{Span, SpanKind, TraceContext};
use backstock_proto::webhook::Delivery;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::accept::{Refusal, accept};
use crate::admission::{Admission, Full, Slot};
use crate::complaint::Complaints;
use crate::metrics::{Metrics, Outcome};
use crate::publish::{NotStored, Publisher, Stored};
use crate::secrets::ShopSecrets;

/// How long a refused sender may go on sending, so that it gets to read the answer.
const LINGER: Duration = Duration::from_secs(2);

/// Largest body buffer that is set aside before any of the body has come, in bytes.
const BUFFER_AHEAD_MAX: usize = 256 * 1024;

/// From so many bytes on a body is checked on a thread of its own, since it takes milliseconds.
const BLOCKING_BYTES_MIN: usize = 1024 * 1024;

/// What one request may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body, in bytes.
    pub body_bytes_max: usize,
    /// How long a sender may take for the body.
    pub body_read: Duration,
    /// How long the stream may take to acknowledge.
    pub publish: Duration,
    /// How long all of it may take from the headers on. Shopify gives up after 5 seconds.
    pub request: Duration,
}

/// Answers deliveries. Clones share everything.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) limits: Limits,
    pub(crate) secrets: ShopSecrets,
    pub(crate) admission: Admission,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) complaints: Complaints,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Why a delivery was not stored.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Delivery(#[from] Refusal),
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come within {0:?}")]
    SlowBody(Duration),
    #[error("the body ended early")]
    Aborted,
    #[error("too much is under way")]
    Overloaded(Full),
    #[error(transparent)]
    Stream(#[from] NotStored),
}

/// The routes that take deliveries.
pub(crate) fn router(receiver: Receiver) -> Router {
    Router::new()
        .route("/webhooks", post(receive))
        .route("/webhooks/", post(receive))
        .route("/webhooks/{*rest}", post(receive))
        .with_state(receiver)
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> Response {
    let begun = Instant::now();
    let mut ending = Ending { metrics: receiver.metrics.clone(), begun, outcome: Outcome::Aborted };
    let received_at = receiver.clock.now();
    let (parts, mut body) = request.into_parts();
    let deadline = begun + receiver.limits.request;
    let mut trace = TraceContext::of_http(&parts.headers);
    let storing = async {
        let delivery = Delivery::parse(&parts.headers).map_err(Refusal::from)?;
        let (body, slot) = receiver.read(&delivery, &mut body).await?;
        let event = receiver.check(delivery, body, received_at).await?;
        let ack_by = deadline.min(Instant::now() + receiver.limits.publish);
        // Of whoever cannot sign nothing is recorded.
        let mut span = Span::begin("ingest webhook", SpanKind::Server, trace).since(received_at);
        span.set("shop", &event.key.shop);
        span.set("topic", &event.topic);
        trace = Some(span.context());
        let stored = receiver.publisher.publish(event, span.context(), slot, ack_by).await;
        Ok(span.went(stored)?)
    };
    let result = timeout_at(deadline, storing).await.unwrap_or(Err(NotStored::NoAck.into()));
    ending.outcome = outcome(&result);
    if !body.is_end_stream() {
        tokio::spawn(linger(body));
    }
    match result {
        Ok(_) => StatusCode::OK.into_response(),
        Err(refused) => {
            if let Refused::Delivery(refusal) = &refused {
                receiver.complaints.about(refusal);
            }
            let trace_id = trace.map(|trace| tracing::field::display(trace.trace_id()));
            tracing::debug!(trace_id, reason = %refused, "refused a delivery");
            refused.into_response()
        }
    }
}

impl Receiver {
    /// Reads the body whole, unless what is known before makes that pointless.
    async fn read(&self, delivery: &Delivery, body: &mut Body) -> Result<(Bytes, Slot), Refused> {
        let max = self.limits.body_bytes_max;
        if body.size_hint().lower() > max as u64 {
            return Err(Refused::TooLarge(max));
        }
        if self.secrets.of(&delivery.shop).is_none() {
            return Err(Refusal::UnknownShop(delivery.shop.clone()).into());
        }
        if !self.publisher.is_connected() {
            return Err(NotStored::Unreachable.into());
        }
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let mut slot =
            self.admission.enter(&delivery.shop, announced).map_err(Refused::Overloaded)?;
        let reading = read_body(body, max, &mut slot);
        match timeout(self.limits.body_read, reading).await {
            Ok(read) => Ok((read?, slot)),
            Err(_elapsed) => Err(Refused::SlowBody(self.limits.body_read)),
        }
    }

    async fn check(
        &self,
        delivery: Delivery,
        body: Bytes,
        received_at: backstock_proto::Timestamp,
    ) -> Result<backstock_proto::Event, Refused> {
        if body.len() < BLOCKING_BYTES_MIN {
            return Ok(accept(delivery, body, &self.secrets, received_at)?);
        }
        let secrets = self.secrets.clone();
        let checked =
            tokio::task::spawn_blocking(move || accept(delivery, body, &secrets, received_at));
        // Fails only if the check panics or the process is about to end.
        Ok(checked.await.map_err(|_| NotStored::Rejected)??)
    }
}

/// Gathers a body in one piece. Only what has come is held, and the slot grows with it.
async fn read_body(body: &mut Body, max: usize, slot: &mut Slot) -> Result<Bytes, Refused> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::with_capacity(expected.min(BUFFER_AHEAD_MAX));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::Aborted)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > max {
            return Err(Refused::TooLarge(max));
        }
        slot.grow(data.len()).map_err(Refused::Overloaded)?;
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Reads and drops what a sender still sends. Closing at once would reset the connection, and the
/// sender would see a broken pipe instead of the answer.
async fn linger(mut body: Body) {
    let drop_all = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = timeout(LINGER, drop_all).await;
}

/// Counts a request when it ends, also if its sender went away.
struct Ending {
    metrics: Arc<Metrics>,
    begun: Instant,
    outcome: Outcome,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.metrics.webhooks(self.outcome).inc();
        self.metrics.request_seconds.observe(self.begun.elapsed().as_secs_f64());
    }
}

fn outcome(result: &Result<Stored, Refused>) -> Outcome {
    match result {
        Ok(Stored::New) => Outcome::Stored,
        Ok(Stored::Duplicate) => Outcome::Duplicate,
        Err(Refused::Delivery(Refusal::Headers(e))) if e.is_unsigned() => Outcome::BadSignature,
        Err(Refused::Delivery(Refusal::Headers(_))) => Outcome::BadHeaders,
        Err(Refused::Delivery(Refusal::UnknownShop(_))) => Outcome::UnknownShop,
        Err(Refused::Delivery(Refusal::Forged(_))) => Outcome::Forged,
        Err(Refused::TooLarge(_)) => Outcome::TooLarge,
        Err(Refused::SlowBody(_)) => Outcome::SlowBody,
        Err(Refused::Aborted) => Outcome::Aborted,
        Err(Refused::Overloaded(Full::Everyone)) => Outcome::Overloaded,
        Err(Refused::Overloaded(Full::Shop)) => Outcome::ShopOverloaded,
        Err(Refused::Stream(NotStored::Unreachable)) => Outcome::Unreachable,
        Err(Refused::Stream(NotStored::NoStream)) => Outcome::NoStream,
        Err(Refused::Stream(NotStored::Full)) => Outcome::Full,
        Err(Refused::Stream(NotStored::Rejected)) => Outcome::Rejected,
        Err(Refused::Stream(NotStored::NoAck)) => Outcome::NoAck,
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Delivery(Refusal::Headers(e)) if !e.is_unsigned() => StatusCode::BAD_REQUEST,
            // Whoever cannot sign learns nothing, not even whether the shop is known.
            Self::Delivery(_) => return StatusCode::UNAUTHORIZED.into_response(),
            Self::Aborted => StatusCode::BAD_REQUEST,
            Self::SlowBody(_) => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded(_) | Self::Stream(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, self.to_string()).into_response()
    }
}
