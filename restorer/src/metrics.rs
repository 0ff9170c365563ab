//! Everything the restorer counts. Each series exists from the start.

use std::collections::BTreeSet;

use backstock_proto::Shop;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts,
    Registry,
};

use crate::guard::Action;
use crate::job::{JobState, RowState};

/// What the guard does.
pub const GUARD_ACTIONS: [&str; 3] = ["alert", "plan", "apply"];

/// Why a request was refused before it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No token was given.
    NoToken,
    /// The token is not valid.
    WrongToken,
    /// Too many wrong tokens from there.
    Throttled,
    /// The token does not see the shop.
    Shop,
    /// The token lacks the scope.
    Scope,
}

impl Refused {
    const ALL: [Self; 5] =
        [Self::NoToken, Self::WrongToken, Self::Throttled, Self::Shop, Self::Scope];

    fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::Throttled => "throttled",
            Self::Shop => "shop",
            Self::Scope => "scope",
        }
    }
}

/// The restorer's metrics.
pub(crate) struct Metrics {
    reads: HistogramVec,
    refused: IntCounterVec,
    incidents: IntCounterVec,
    pub(crate) jobs: JobMetrics,
}

/// What jobs count.
#[derive(Clone)]
pub(crate) struct JobMetrics {
    jobs: IntGaugeVec,
    rows: IntCounterVec,
    budget: Gauge,
}

impl JobMetrics {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let jobs = Opts::new("backstock_restorer_jobs", "Restore jobs, by state.");
        let jobs = IntGaugeVec::new(jobs, &["state"])?;
        let rows = Opts::new(
            "backstock_restorer_rows_total",
            "Rows of restore jobs that ended, by state.",
        );
        let rows = IntCounterVec::new(rows, &["state"])?;
        let budget = Gauge::new(
            "backstock_restorer_budget_used_ratio",
            "Share that the running or the last job used of the cost points that the shop granted \
             during it.",
        )?;
        JobState::ALL.iter().for_each(|state| drop(jobs.with_label_values(&[state.as_str()])));
        RowState::ENDS.iter().for_each(|state| drop(rows.with_label_values(&[state.as_str()])));
        registry.register(Box::new(jobs.clone()))?;
        registry.register(Box::new(rows.clone()))?;
        registry.register(Box::new(budget.clone()))?;
        Ok(Self { jobs, rows, budget })
    }

    /// These are the jobs that there are.
    pub(crate) fn jobs(&self, states: impl Iterator<Item = JobState>) {
        let mut counts = JobState::ALL.map(|_| 0);
        for state in states {
            counts[state as usize] += 1;
        }
        for (state, count) in JobState::ALL.iter().zip(counts) {
            self.jobs.with_label_values(&[state.as_str()]).set(count);
        }
    }

    /// A row ended.
    pub(crate) fn row(&self, state: RowState) {
        self.rows.with_label_values(&[state.as_str()]).inc();
    }

    /// Which share a job used of what the shop granted.
    pub(crate) fn budget(&self, ratio: f64) {
        self.budget.set(ratio);
    }
}

impl Metrics {
    pub(crate) fn register(
        registry: &Registry,
        shops: &BTreeSet<Shop>,
    ) -> Result<Self, prometheus::Error> {
        let reads = HistogramOpts::new(
            "backstock_restorer_reads_seconds",
            "Time to answer, by route; of a stream, until it begins.",
        )
        .buckets(prometheus::exponential_buckets(0.000_25, 4.0, 9)?);
        let reads = HistogramVec::new(reads, &["route"])?;
        let refused = IntCounterVec::new(
            Opts::new("backstock_restorer_refused_total", "Requests refused unread, by reason."),
            &["reason"],
        )?;
        registry.register(Box::new(reads.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        let incidents = IntCounterVec::new(
            Opts::new("backstock_restorer_guard_incidents_total", "Incidents, by what was done."),
            &["action"],
        )?;
        registry.register(Box::new(incidents.clone()))?;
        GUARD_ACTIONS.iter().for_each(|action| drop(incidents.with_label_values(&[action])));
        for route in crate::route::ROUTES.iter().chain(crate::page::ROUTES) {
            reads.with_label_values(&[route.name]);
        }
        for reason in Refused::ALL {
            refused.with_label_values(&[reason.as_str()]);
        }
        let jobs = JobMetrics::register(registry)?;
        register_still(registry, shops)?;
        Ok(Self { reads, refused, incidents, jobs })
    }

    pub(crate) fn read(&self, route: &str) -> Histogram {
        self.reads.with_label_values(&[route])
    }

    /// An incident, by what is done about it.
    pub(crate) fn incident(&self, action: Action) {
        if GUARD_ACTIONS.contains(&action.as_str()) {
            self.incidents.with_label_values(&[action.as_str()]).inc();
        }
    }

    pub(crate) fn refused(&self, reason: Refused) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }
}

/// What stands still until drills and erasures exist.
fn register_still(registry: &Registry, shops: &BTreeSet<Shop>) -> Result<(), prometheus::Error> {
    let per_shop = [
        ("backstock_restorer_proof_age_seconds", "Age of the last drill."),
        ("backstock_restorer_proof_mismatches", "What the last drill found to differ."),
    ];
    for (name, help) in per_shop {
        let gauge = GaugeVec::new(Opts::new(name, help), &["shop"])?;
        shops.iter().for_each(|shop| drop(gauge.with_label_values(&[&shop.domain()])));
        registry.register(Box::new(gauge))?;
    }
    let single =
        [("backstock_restorer_erasure_open_seconds", "Age of the oldest erasure not yet done.")];
    for (name, help) in single {
        registry.register(Box::new(Gauge::new(name, help)?))?;
    }
    Ok(())
}
