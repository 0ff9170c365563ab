//! What the journal shows of itself. Every series is there from the start.

use std::sync::atomic::Ordering;

use backstock_proto::stream::Partition;
use backstock_proto::{Op, Shop, Source, Timestamp, kind};
use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::append::Appended;
use crate::options::Family;
use crate::store::{Store, StoreError};

/// The label of every kind that is not understood.
const OTHER: &str = "other";

pub(crate) struct Metrics {
    versions: IntCounterVec,
    unchanged: IntCounterVec,
    lag: GaugeVec,
    applied_seq: IntGauge,
    gaps: IntCounter,
    digest_mismatches: IntCounter,
    quarantined: IntGauge,
    redelivered: IntCounter,
    repeated: IntCounter,
    checkpoint_age: Gauge,
    verify_age: Gauge,
    verify_faults: IntGauge,
    disk_bytes: IntGaugeVec,
    erasure_open: Gauge,
}

impl Metrics {
    /// Registers all series, each with the partition as a label.
    pub(crate) fn register(registry: &Registry, partition: Partition) -> prometheus::Result<Self> {
        let series = Series { registry, partition };
        let metrics = Self {
            versions: series.counters(
                "versions_total",
                "Versions added.",
                &["kind", "source", "op"],
            )?,
            unchanged: series.counters(
                "unchanged_total",
                "Versions added that said the same as the one before and stored no payload.",
                &["kind"],
            )?,
            lag: series.gauges(
                "lag_seconds",
                "Age of the oldest event not yet readable.",
                &["shop"],
            )?,
            applied_seq: series.int_gauge("applied_seq", "Last stream sequence in the store.")?,
            gaps: series.counter("stream_gap_total", "Stream sequences that never came.")?,
            digest_mismatches: series.counter(
                "digest_mismatch_total",
                "Messages whose payload was not the one published.",
            )?,
            quarantined: series.int_gauge("quarantined_events", "Messages kept aside.")?,
            redelivered: series.counter(
                "redelivered_total",
                "Messages that the stream delivered again and that changed nothing.",
            )?,
            repeated: series.counter(
                "repeated_total",
                "Webhook deliveries that stood on the stream twice and were stored once.",
            )?,
            checkpoint_age: series.gauge(
                "checkpoint_age_seconds",
                "Time since the last checkpoint, or since the store was made; 0 if it is empty.",
            )?,
            verify_age: series.gauge(
                "verify_age_seconds",
                "Time since everything was last read back without a fault, or since the store \
                 was made.",
            )?,
            verify_faults: series.int_gauge(
                "verify_faults",
                "What did not hold when everything was last read back.",
            )?,
            disk_bytes: series.int_gauges(
                "disk_bytes",
                "Bytes in sorted files, by column family.",
                &["family"],
            )?,
            erasure_open: series.gauge(
                "erasure_open_seconds",
                "Age of the oldest erasure that this copy has not done yet.",
            )?,
        };
        metrics.touch();
        Ok(metrics)
    }

    fn touch(&self) {
        let kinds = kind::ALL.iter().map(|spec| spec.name).chain([OTHER]);
        for kind in kinds {
            self.unchanged.with_label_values(&[kind]);
            for source in Source::ALL {
                for op in Op::ALL {
                    self.versions.with_label_values(&[kind, source.as_str(), op.as_str()]);
                }
            }
        }
        for family in Family::ALL {
            self.disk_bytes.with_label_values(&[family.name()]);
        }
    }

    /// Has a series of a shop of which nothing may have come yet.
    pub(crate) fn expects(&self, shop: &Shop) {
        self.lag.with_label_values(&[&shop.domain()]);
    }

    /// Counts what an append did.
    pub(crate) fn appended(&self, appended: &Appended, applied_seq: u64) {
        for stored in &appended.stored {
            let labels = [stored.kind, stored.source.as_str(), stored.op.as_str()];
            self.versions.with_label_values(&labels).inc();
            if stored.marker {
                self.unchanged.with_label_values(&[stored.kind]).inc();
            }
        }
        let missing: u64 = appended.gaps.iter().map(|gap| gap.to_seq - gap.from_seq + 1).sum();
        self.gaps.inc_by(missing);
        self.digest_mismatches.inc_by(appended.digest_mismatches);
        self.quarantined.add(appended.quarantined.len() as i64);
        self.redelivered.inc_by(appended.redelivered);
        self.repeated.inc_by(appended.repeated);
        self.applied_seq.set(applied_seq as i64);
    }

    /// Counts a message that came again and was not even looked at.
    pub(crate) fn redelivered(&self) {
        self.redelivered.inc();
    }

    /// Brings what changes by itself up to date. Reads the store.
    pub(crate) fn refresh(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let lag = store.lag().seconds(now);
        for shop in store.shop_names()? {
            self.lag.with_label_values(&[&shop.domain()]).set(lag);
        }
        for (family, bytes) in store.disk_bytes() {
            self.disk_bytes.with_label_values(&[family]).set(bytes as i64);
        }
        let checkpointed = store.checkpointed_at()?.unwrap_or(store.created_at());
        // Of a partition where nothing happened yet none is made.
        let is_empty = store.applied_seq() == 0;
        self.checkpoint_age.set(if is_empty { 0.0 } else { now.seconds_since(checkpointed) });
        let verified = store.verified_at()?.unwrap_or(store.created_at());
        self.verify_age.set(now.seconds_since(verified));
        self.verify_faults.set(store.faults() as i64);
        self.quarantined.sub(store.no_longer_aside.swap(0, Ordering::Relaxed) as i64);
        self.applied_seq.set(store.applied_seq() as i64);
        let since = store.erasing_since()?;
        self.erasure_open.set(since.map_or(0.0, |since| now.seconds_since(since)));
        Ok(())
    }

    /// Sets the counts that a restart must not lose.
    pub(crate) fn restore(&self, store: &Store) -> Result<(), StoreError> {
        store.no_longer_aside.store(0, Ordering::Relaxed);
        self.quarantined.set(store.quarantined_total()? as i64);
        Ok(())
    }
}

/// Series of one partition.
struct Series<'r> {
    registry: &'r Registry,
    partition: Partition,
}

impl Series<'_> {
    fn counter(&self, what: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.registered(IntCounter::with_opts(self.opts(what, help))?)
    }

    fn counters(
        &self,
        what: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntCounterVec> {
        self.registered(IntCounterVec::new(self.opts(what, help), labels)?)
    }

    fn gauge(&self, what: &str, help: &str) -> prometheus::Result<Gauge> {
        self.registered(Gauge::with_opts(self.opts(what, help))?)
    }

    fn gauges(&self, what: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.registered(GaugeVec::new(self.opts(what, help), labels)?)
    }

    fn int_gauge(&self, what: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.registered(IntGauge::with_opts(self.opts(what, help))?)
    }

    fn int_gauges(
        &self,
        what: &str,
        help: &str,
        labels: &[&str],
    ) -> prometheus::Result<IntGaugeVec> {
        self.registered(IntGaugeVec::new(self.opts(what, help), labels)?)
    }

    fn opts(&self, what: &str, help: &str) -> Opts {
        Opts::new(format!("backstock_journal_{what}"), help)
            .const_label("partition", self.partition.to_string())
    }

    fn registered<C: Collector + Clone + 'static>(&self, series: C) -> prometheus::Result<C> {
        self.registry.register(Box::new(series.clone()))?;
        Ok(series)
    }
}
