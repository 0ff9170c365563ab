//! The names of everything that ingest counts and measures.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

/// How a request ended, as the metrics tell it. A sender learns less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 200: stored.
    Stored,
    /// 200: the stream had it already.
    Duplicate,
    /// 400: a header is missing or malformed.
    BadHeaders,
    /// 401: no HMAC, several, or one that cannot be read.
    BadSignature,
    /// 401: no secret of the shop signed the body.
    Forged,
    /// 401: the shop is not configured.
    UnknownShop,
    /// 408: the body did not come in time.
    SlowBody,
    /// 413: the body is larger than the limit.
    TooLarge,
    /// 503: too much is under way.
    Overloaded,
    /// 503: the shop has too much under way.
    ShopOverloaded,
    /// 503: the stream cannot be reached.
    Unreachable,
    /// 503: the stream does not exist.
    NoStream,
    /// 503: the stream is full.
    Full,
    /// 503: the stream refused for another reason.
    Rejected,
    /// 503: no acknowledgement in time.
    NoAck,
    /// No answer: the sender went away.
    Aborted,
}

/// Why messages of a batch were published one by one after all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The stream had one of them already.
    Duplicate,
    /// Too many batches are open on the server.
    TooManyBatches,
    /// Nobody knows whether the batch was stored.
    Unknown,
    /// The server refused it for another reason.
    Rejected,
}

/// Everything that ingest counts and measures.
pub struct Metrics {
    webhooks: Vec<IntCounter>,
    fallbacks: Vec<IntCounter>,
    /// From a request's headers to its answer.
    pub request_seconds: Histogram,
    /// From handing an event to the publisher to the stream's acknowledgement.
    pub publish_seconds: Histogram,
    /// Messages that went out together.
    pub round_messages: Histogram,
    /// Events waiting for the publish before theirs.
    pub queued: IntGauge,
    /// Bytes of bodies in memory.
    pub in_flight_bytes: IntGauge,
    stream_bytes: IntGaugeVec,
    stream_used: GaugeVec,
    stream_copies: IntGaugeVec,
}

/// What is shown of a partition's stream.
pub struct StreamGauges {
    /// Bytes that it holds.
    pub bytes: IntGauge,
    /// Their ratio to its limit.
    pub used: Gauge,
    /// Servers that hold all of it.
    pub copies: IntGauge,
}

impl Outcome {
    /// All of them, so that every series exists from the start.
    pub const ALL: [Self; 16] = [
        Self::Stored,
        Self::Duplicate,
        Self::BadHeaders,
        Self::BadSignature,
        Self::Forged,
        Self::UnknownShop,
        Self::SlowBody,
        Self::TooLarge,
        Self::Overloaded,
        Self::ShopOverloaded,
        Self::Unreachable,
        Self::NoStream,
        Self::Full,
        Self::Rejected,
        Self::NoAck,
        Self::Aborted,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::BadHeaders => "bad_headers",
            Self::BadSignature => "bad_signature",
            Self::Forged => "forged",
            Self::UnknownShop => "unknown_shop",
            Self::SlowBody => "slow_body",
            Self::TooLarge => "too_large",
            Self::Overloaded => "overloaded",
            Self::ShopOverloaded => "shop_overloaded",
            Self::Unreachable => "unreachable",
            Self::NoStream => "no_stream",
            Self::Full => "stream_full",
            Self::Rejected => "rejected",
            Self::NoAck => "no_ack",
            Self::Aborted => "aborted",
        }
    }
}

impl Fallback {
    /// All of them, so that every series exists from the start.
    pub const ALL: [Self; 4] =
        [Self::Duplicate, Self::TooManyBatches, Self::Unknown, Self::Rejected];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::TooManyBatches => "too_many_batches",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
        }
    }
}

impl Metrics {
    /// Registers everything, at zero.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let webhooks = IntCounterVec::new(
            Opts::new("backstock_ingest_webhooks_total", "Deliveries, by how they ended."),
            &["outcome"],
        )?;
        let fallbacks = IntCounterVec::new(
            Opts::new(
                "backstock_ingest_batch_fallbacks_total",
                "Batches whose messages were published one by one after all.",
            ),
            &["reason"],
        )?;
        let metrics = Self {
            webhooks: each(&webhooks, Outcome::ALL.map(Outcome::as_str))?,
            fallbacks: each(&fallbacks, Fallback::ALL.map(Fallback::as_str))?,
            request_seconds: seconds(
                "backstock_ingest_request_seconds",
                "From a request's headers to its answer.",
            )?,
            publish_seconds: seconds(
                "backstock_ingest_publish_seconds",
                "From queueing an event to the stream's acknowledgement.",
            )?,
            round_messages: Histogram::with_opts(
                HistogramOpts::new(
                    "backstock_ingest_publish_round_messages",
                    "Messages that went out together.",
                )
                .buckets(vec![1., 2., 4., 8., 16., 32., 64., 128., 256., 512., 1_000.]),
            )?,
            queued: IntGauge::new(
                "backstock_ingest_queued_events",
                "Events waiting for the publish before theirs.",
            )?,
            in_flight_bytes: IntGauge::new(
                "backstock_ingest_in_flight_bytes",
                "Bytes of bodies in memory.",
            )?,
            stream_bytes: IntGaugeVec::new(
                Opts::new("backstock_ingest_stream_bytes", "Bytes that the stream holds."),
                &["partition"],
            )?,
            stream_used: GaugeVec::new(
                Opts::new(
                    "backstock_ingest_stream_used_ratio",
                    "Bytes that the stream holds, by its limit; 0 where it has none.",
                ),
                &["partition"],
            )?,
            stream_copies: IntGaugeVec::new(
                Opts::new(
                    "backstock_ingest_stream_copies_current",
                    "Servers that hold all of the stream; 0 while it cannot be asked.",
                ),
                &["partition"],
            )?,
        };
        registry.register(Box::new(webhooks))?;
        registry.register(Box::new(fallbacks))?;
        registry.register(Box::new(metrics.request_seconds.clone()))?;
        registry.register(Box::new(metrics.publish_seconds.clone()))?;
        registry.register(Box::new(metrics.round_messages.clone()))?;
        registry.register(Box::new(metrics.queued.clone()))?;
        registry.register(Box::new(metrics.in_flight_bytes.clone()))?;
        registry.register(Box::new(metrics.stream_bytes.clone()))?;
        registry.register(Box::new(metrics.stream_used.clone()))?;
        registry.register(Box::new(metrics.stream_copies.clone()))?;
        Ok(metrics)
    }

    /// The counter of requests that ended so.
    pub fn webhooks(&self, outcome: Outcome) -> &IntCounter {
        &self.webhooks[outcome as usize]
    }

    /// The counter of batches that fell apart so.
    pub fn fallbacks(&self, reason: Fallback) -> &IntCounter {
        &self.fallbacks[reason as usize]
    }

    /// The gauges of a partition's stream.
    pub fn stream(&self, partition: u16) -> StreamGauges {
        let label = partition.to_string();
        StreamGauges {
            bytes: self.stream_bytes.with_label_values(&[&label]),
            used: self.stream_used.with_label_values(&[&label]),
            copies: self.stream_copies.with_label_values(&[&label]),
        }
    }
}

fn each<const N: usize>(
    family: &IntCounterVec,
    labels: [&'static str; N],
) -> Result<Vec<IntCounter>, prometheus::Error> {
    labels.iter().map(|label| family.get_metric_with_label_values(&[label])).collect()
}

fn seconds(name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
    let buckets =
        vec![0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1., 2., 3., 4., 5.];
    Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_exists_before_anything_happens() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("registered");
        metrics.stream(0);
        let text =
            prometheus::TextEncoder::new().encode_to_string(&registry.gather()).expect("encoded");
        for outcome in Outcome::ALL {
            let name = outcome.as_str();
            assert!(text.contains(&format!("webhooks_total{{outcome=\"{name}\"}} 0")), "{name}");
        }
        assert!(text.contains("backstock_ingest_request_seconds_count 0"));
        assert!(text.contains("backstock_ingest_publish_seconds_count 0"));
        assert!(text.contains("backstock_ingest_stream_used_ratio{partition=\"0\"} 0"));
        assert!(text.contains("backstock_ingest_stream_copies_current{partition=\"0\"} 0"));
    }

    #[test]
    fn each_outcome_has_its_own_counter() {
        let metrics = Metrics::register(&Registry::new()).expect("registered");
        for outcome in Outcome::ALL {
            metrics.webhooks(outcome).inc();
        }
        assert!(Outcome::ALL.iter().all(|outcome| metrics.webhooks(*outcome).get() == 1));
        for reason in Fallback::ALL {
            metrics.fallbacks(reason).inc();
        }
        assert!(Fallback::ALL.iter().all(|reason| metrics.fallbacks(*reason).get() == 1));
    }
}
