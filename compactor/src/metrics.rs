//! The compactor's metrics.

use backstock_proto::{Shop, kind};
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// What a full pull finds different from the journal.
const DRIFT: [&str; 3] = ["missed", "changed", "extra"];

/// What becomes of a medium that is to be fetched.
const MEDIA: [&str; 4] = ["kept", "gone", "refused", "failed"];

/// Bounds of pull durations, in seconds: from a page to a large shop's bulk operation.
const PULL_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];

/// All of them. Every series exists from the start.
pub struct Metrics {
    /// Shops that this process looks after.
    pub shops: IntGauge,
    /// Differences that pulls found, by kind and type.
    pub drift: IntCounterVec,
    /// Seconds since the oldest of the last complete pulls of a shop's kinds, or the first try at one.
    pub full_pull_age: GaugeVec,
    /// Whether a shop answers nothing: 1 while it does not let the app in, or cannot be reached.
    pub shop_unanswered: IntGaugeVec,
    /// How long pulls took.
    pub pull_seconds: HistogramVec,
    /// Points of the Admin API's cost budget that were spent.
    pub cost_points: IntCounter,
    /// Media that were to be fetched, by outcome.
    pub media: IntCounterVec,
    /// Bytes of media that were fetched.
    pub media_bytes: IntCounter,
    /// Webhook subscriptions that had to be made anew.
    pub subscriptions_healed: IntCounter,
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            shops: IntGauge::new(
                "backstock_compactor_shops",
                "Shops that this process looks after",
            )?,
            drift: IntCounterVec::new(
                Opts::new(
                    "backstock_compactor_drift_total",
                    "Differences between journal and Admin API that pulls found",
                ),
                &["kind", "type"],
            )?,
            full_pull_age: GaugeVec::new(
                Opts::new(
                    "backstock_compactor_full_pull_age_seconds",
                    "Seconds since the last complete pull of a shop",
                ),
                &["shop"],
            )?,
            shop_unanswered: IntGaugeVec::new(
                Opts::new(
                    "backstock_compactor_shop_unanswered",
                    "1 while a shop does not let the app in, or cannot be reached",
                ),
                &["shop"],
            )?,
            pull_seconds: HistogramVec::new(
                HistogramOpts::new("backstock_compactor_pull_seconds", "How long a pull took")
                    .buckets(PULL_SECONDS.to_vec()),
                &["kind"],
            )?,
            cost_points: IntCounter::new(
                "backstock_compactor_admin_cost_points_total",
                "Points of the Admin API's cost budget that were spent",
            )?,
            media: IntCounterVec::new(
                Opts::new(
                    "backstock_compactor_media_total",
                    "Media whose bytes were to be fetched, by outcome",
                ),
                &["outcome"],
            )?,
            media_bytes: IntCounter::new(
                "backstock_compactor_media_bytes_total",
                "Bytes of media that were fetched",
            )?,
            subscriptions_healed: IntCounter::new(
                "backstock_compactor_webhook_subscriptions_healed_total",
                "Webhook subscriptions that were missing and were made anew",
            )?,
        };
        for spec in kind::ALL {
            metrics.pull_seconds.with_label_values(&[spec.name]);
            for found in DRIFT {
                metrics.drift.with_label_values(&[spec.name, found]);
            }
        }
        MEDIA.iter().for_each(|outcome| drop(metrics.media.with_label_values(&[outcome])));
        registry.register(Box::new(metrics.shops.clone()))?;
        registry.register(Box::new(metrics.media.clone()))?;
        registry.register(Box::new(metrics.media_bytes.clone()))?;
        registry.register(Box::new(metrics.drift.clone()))?;
        registry.register(Box::new(metrics.full_pull_age.clone()))?;
        registry.register(Box::new(metrics.shop_unanswered.clone()))?;
        registry.register(Box::new(metrics.pull_seconds.clone()))?;
        registry.register(Box::new(metrics.cost_points.clone()))?;
        registry.register(Box::new(metrics.subscriptions_healed.clone()))?;
        Ok(metrics)
    }

    /// Tells nothing more of a shop that another compactor looks after now.
    pub(crate) fn forget(&self, shop: &Shop) {
        // What was never told cannot be taken back.
        let _untold = self.full_pull_age.remove_label_values(&[&shop.domain()]);
        let _untold = self.shop_unanswered.remove_label_values(&[&shop.domain()]);
    }
}
