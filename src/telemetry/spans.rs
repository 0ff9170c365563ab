//! Spans go to an OpenTelemetry collector, as OTLP over HTTP in its JSON form. They wait in a queue that
//! drops what does not fit, and a task of its own sends them: a collector that is slow or down costs spans
//! and nothing else.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::ensure;
use backstock_proto::trace::{self, Ended, SpanKind, Value};
use prometheus::IntCounter;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::config::Telemetry;

/// Spans that may wait.
const WAITING_MAX: usize = 2_048;

/// Most spans in one request.
const TOGETHER_MAX: usize = 512;

/// How long a first span waits for others.
const LINGER: Duration = Duration::from_secs(1);

/// How long the collector may take for one request.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of the process may wait for the collector to take the last spans.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3);

/// Spans of this process that no collector has. They are collected before there is a registry.
#[allow(clippy::expect_used)]
pub(crate) static DROPPED: LazyLock<IntCounter> = LazyLock::new(|| {
    let name = "backstock_telemetry_spans_dropped_total";
    IntCounter::new(name, "Spans that the collector did not take.").expect("the name is one")
});

/// The spans of this process, on their way.
pub(crate) struct Spans {
    stop: CancellationToken,
    sending: JoinHandle<()>,
}

/// Begins to collect spans, if a collector is configured. They name the process `service`, and are sent
/// on `runtime`.
pub(crate) fn begin(
    config: &Telemetry,
    service: &str,
    runtime: &Handle,
) -> anyhow::Result<Option<Spans>> {
    let Some(url) = config.traces_url()? else { return Ok(None) };
    let http = reqwest::Client::builder()
        .timeout(ANSWER_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let (queue, waiting) = mpsc::channel(WAITING_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let overflow = dropped.clone();
    trace::collect(config.sample, move |span| {
        if queue.try_send(span).is_err() {
            DROPPED.inc();
            overflow.fetch_add(1, Ordering::Relaxed);
        }
    });
    info!("spans go to {}", url.host_str().unwrap_or_default());
    let collector = Collector { http, url, resource: resource(service), dropped, fails: false };
    let stop = CancellationToken::new();
    let sending = runtime.spawn(collector.take_all(waiting, stop.clone()));
    Ok(Some(Spans { stop, sending }))
}

impl Spans {
    /// Sends what is left, if the collector takes it soon.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        if timeout(FINISH_TIMEOUT, self.sending).await.is_err() {
            warn!("the last spans are lost: the collector did not take them in {FINISH_TIMEOUT:?}");
        }
    }
}

/// Who takes the spans.
struct Collector {
    http: reqwest::Client,
    url: Url,
    /// Whose spans they are, as OTLP has it.
    resource: serde_json::Value,
    /// Spans that did not fit into the queue.
    dropped: Arc<AtomicU64>,
    /// Whether it took nothing the last time.
    fails: bool,
}

impl Collector {
    /// Sends what comes until `stop`, and then what is left.
    async fn take_all(mut self, mut waiting: mpsc::Receiver<Ended>, stop: CancellationToken) {
        let mut spans = Vec::with_capacity(TOGETHER_MAX);
        loop {
            tokio::select! {
                () = gather(&mut waiting, &mut spans) => {}
                () = stop.cancelled(), if !waiting.is_closed() => {
                    waiting.close();
                    continue;
                }
            }
            if spans.is_empty() {
                return;
            }
            let taken = self.take(&spans).await;
            if taken.is_err() {
                DROPPED.inc_by(spans.len() as u64);
            }
            self.tell(taken);
            spans.clear();
        }
    }

    async fn take(&self, spans: &[Ended]) -> anyhow::Result<()> {
        let asked = self.http.post(self.url.clone()).json(&request(&self.resource, spans));
        let answer = asked.send().await.map_err(reqwest::Error::without_url)?;
        ensure!(answer.status().is_success(), "it answered {}", answer.status());
        Ok(())
    }

    /// Says so when the collector begins to fail, and when it works again.
    fn tell(&mut self, taken: anyhow::Result<()>) {
        let failed = std::mem::replace(&mut self.fails, taken.is_err());
        match taken {
            Err(error) if !failed => {
                let error = format!("{error:#}");
                warn!(error, "the collector takes no spans; they are dropped until it does");
            }
            Ok(()) if failed => info!("the collector takes spans again"),
            _ => {}
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 && !failed {
            warn!(dropped, "more spans came than the collector took");
        }
    }
}

/// Waits for a span, then takes what comes until there are enough or it took long enough. Nothing is
/// taken once the queue is closed and empty. Cancelling loses nothing.
async fn gather(waiting: &mut mpsc::Receiver<Ended>, spans: &mut Vec<Ended>) {
    if spans.is_empty() {
        let Some(first) = waiting.recv().await else { return };
        spans.push(first);
    }
    let sent_at = Instant::now() + LINGER;
    while spans.len() < TOGETHER_MAX {
        match timeout_at(sent_at, waiting.recv()).await {
            Ok(Some(span)) => spans.push(span),
            Ok(None) | Err(_) => return,
        }
    }
}

/// Whose spans they are.
fn resource(service: &str) -> serde_json::Value {
    let mut attributes =
        vec![text("service.name", service), text("service.version", env!("CARGO_PKG_VERSION"))];
    attributes.extend(std::env::var("HOSTNAME").ok().map(|host| text("host.name", &host)));
    json!({ "attributes": attributes })
}

/// What OTLP calls an `ExportTraceServiceRequest`.
fn request(resource: &serde_json::Value, spans: &[Ended]) -> serde_json::Value {
    let spans: Vec<_> = spans.iter().map(told).collect();
    let of_scope = json!({"scope": {"name": "backstock"}, "spans": spans});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [of_scope]}]})
}

fn told(span: &Ended) -> serde_json::Value {
    let attribute = |(name, value): &(&str, Value)| match value {
        Value::Text(said) => text(name, said),
        // Numbers of 64 bits are texts in JSON.
        Value::Number(number) => json!({"key": name, "value": {"intValue": number.to_string()}}),
    };
    let nanos = |at: backstock_proto::Timestamp| (i128::from(at.as_micros()) * 1_000).to_string();
    json!({
        "traceId": span.context.trace_id().to_string(),
        "spanId": format!("{:016x}", span.context.span_id()),
        "parentSpanId": span.parent.map_or_else(String::new, |id| format!("{id:016x}")),
        "flags": 1,
        "name": span.name,
        "kind": match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
            SpanKind::Producer => 4,
            SpanKind::Consumer => 5,
        },
        "startTimeUnixNano": nanos(span.begun_at),
        "endTimeUnixNano": nanos(span.ended_at),
        "attributes": span.attributes.iter().map(attribute).collect::<Vec<_>>(),
        "status": match &span.error {
            Some(error) => json!({"code": 2, "message": error}),
            None => json!({}),
        },
    })
}

fn text(name: &str, said: &str) -> serde_json::Value {
    json!({"key": name, "value": {"stringValue": said}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::Timestamp;
    use backstock_proto::trace::TraceContext;

    #[test]
    fn a_span_is_written_as_otlp_has_it() {
        let context = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
        let context = TraceContext::parse(context).expect("a trace context");
        let span = Ended {
            name: "ingest webhook".into(),
            kind: SpanKind::Server,
            context,
            parent: None,
            begun_at: Timestamp::parse("2026-10-01T00:00:00Z").expect("an instant"),
            ended_at: Timestamp::parse("2026-10-01T00:00:00.000001Z").expect("an instant"),
            attributes: vec![
                ("shop", Value::Text("acme".into())),
                ("stream_seq", Value::Number(9_007_199_254_740_993)),
            ],
            error: None,
        };
        let child = Ended {
            parent: Some(context.span_id()),
            kind: SpanKind::Consumer,
            attributes: Vec::new(),
            error: Some("no room".into()),
            ..span.clone()
        };
        let resource = json!({"attributes": [text("service.name", "backstock")]});
        let written = request(&resource, &[span, child]);
        assert_eq!(
            written,
            json!({"resourceSpans": [{
                "resource": {"attributes": [
                    {"key": "service.name", "value": {"stringValue": "backstock"}},
                ]},
                "scopeSpans": [{"scope": {"name": "backstock"}, "spans": [
                    {
                        "traceId": "0af7651916cd43dd8448eb211c80319c",
                        "spanId": "00f067aa0ba902b7",
                        "parentSpanId": "",
                        "flags": 1,
                        "name": "ingest webhook",
                        "kind": 2,
                        "startTimeUnixNano": "1790812800000000000",
                        "endTimeUnixNano": "1790812800000001000",
                        "attributes": [
                            {"key": "shop", "value": {"stringValue": "acme"}},
                            {"key": "stream_seq", "value": {"intValue": "9007199254740993"}},
                        ],
                        "status": {},
                    },
                    {
                        "traceId": "0af7651916cd43dd8448eb211c80319c",
                        "spanId": "00f067aa0ba902b7",
                        "parentSpanId": "00f067aa0ba902b7",
                        "flags": 1,
                        "name": "ingest webhook",
                        "kind": 5,
                        "startTimeUnixNano": "1790812800000000000",
                        "endTimeUnixNano": "1790812800000001000",
                        "attributes": [],
                        "status": {"code": 2, "message": "no room"},
                    },
                ]}],
            }]})
        );
    }
}
