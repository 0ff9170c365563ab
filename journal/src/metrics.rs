//! What the journal shows of itself. Every series is there from the start.

use std::sync::atomic::Ordering;

use backstock_proto::stream::Partition;
use backstock_proto::{Op, Shop, Source, Timestamp, kind};
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
    pub(crate) fn register(
        registry: &Registry,
        partition: Partition,
    ) -> Result<Self, prometheus::Error> {
        let opts = |what: &str, help: &str| {
            Opts::new(format!("backstock_journal_{what}"), help)
                .const_label("partition", partition.to_string())
        };
        let counter = |what, help| -> Result<IntCounter, prometheus::Error> {
            let counter = IntCounter::with_opts(opts(what, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counters = |what, help, labels| -> Result<IntCounterVec, prometheus::Error> {
            let counters = IntCounterVec::new(opts(what, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let int_gauge = |what, help| -> Result<IntGauge, prometheus::Error> {
            let gauge = IntGauge::with_opts(opts(what, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let gauge = |what, help| -> Result<Gauge, prometheus::Error> {
            let gauge = Gauge::with_opts(opts(what, help))?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let lag = GaugeVec::new(
            opts("lag_seconds", "Age of the oldest event not yet readable."),
            &["shop"],
        )?;
        registry.register(Box::new(lag.clone()))?;
        let disk_bytes = IntGaugeVec::new(
            opts("disk_bytes", "Bytes in sorted files, by column family."),
            &["family"],
        )?;
        registry.register(Box::new(disk_bytes.clone()))?;
        let metrics = Self {
            versions: counters("versions_total", "Versions added.", &["kind", "source", "op"])?,
            unchanged: counters(
                "unchanged_total",
                "Versions added that said the same as the one before and stored no payload.",
                &["kind"],
            )?,
            lag,
            applied_seq: int_gauge("applied_seq", "Last stream sequence in the store.")?,
            gaps: counter("stream_gap_total", "Stream sequences that never came.")?,
            digest_mismatches: counter(
                "digest_mismatch_total",
                "Messages whose payload was not the one published.",
            )?,
            quarantined: int_gauge("quarantined_events", "Messages kept aside.")?,
            redelivered: counter(
                "redelivered_total",
                "Messages that the stream delivered again and that changed nothing.",
            )?,
            repeated: counter(
                "repeated_total",
                "Webhook deliveries that stood on the stream twice and were stored once.",
            )?,
            checkpoint_age: gauge(
                "checkpoint_age_seconds",
                "Time since the last checkpoint, or since the store was made; 0 if it is empty.",
            )?,
            verify_age: gauge(
                "verify_age_seconds",
                "Time since everything was last read back without a fault, or since the store \
                 was made.",
            )?,
            verify_faults: int_gauge(
                "verify_faults",
                "What did not hold when everything was last read back.",
            )?,
            disk_bytes,
            erasure_open: gauge(
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
