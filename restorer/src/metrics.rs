//! Everything the restorer counts. Each series exists from the start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use backstock_proto::{Shop, Timestamp};
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts,
    Registry,
};

use crate::guard::Action;
use crate::job::{JobState, RowState};
use crate::proof::Proof;

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
    erasure_open: Gauge,
    erasures_waiting: Gauge,
    data_request_open: GaugeVec,
    pub(crate) jobs: JobMetrics,
    pub(crate) proofs: ProofMetrics,
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
        let gauge = |name: &str, help: &str| -> Result<Gauge, prometheus::Error> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let erasure_open = gauge(
            "backstock_restorer_erasure_open_seconds",
            "Age of the oldest erasure not yet done.",
        )?;
        let erasures_waiting = gauge(
            "backstock_restorer_erasures_waiting",
            "Erasures of whole shops that wait for somebody's word.",
        )?;
        let data_request_open = Opts::new(
            "backstock_restorer_data_request_open_seconds",
            "Age of the oldest request for somebody's data that nobody answered.",
        );
        let data_request_open = GaugeVec::new(data_request_open, &["shop"])?;
        shops.iter().for_each(|shop| drop(data_request_open.with_label_values(&[&shop.domain()])));
        registry.register(Box::new(data_request_open.clone()))?;
        Ok(Self {
            reads,
            refused,
            incidents,
            erasure_open,
            erasures_waiting,
            data_request_open,
            jobs: JobMetrics::register(registry)?,
            proofs: ProofMetrics::register(registry, shops)?,
        })
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

    /// How long the oldest erasure has been open, and how many wait for somebody's word.
    pub(crate) fn erasures(&self, open_seconds: f64, waiting: usize) {
        self.erasure_open.set(open_seconds);
        self.erasures_waiting.set(waiting as f64);
    }

    /// How long somebody of a shop has waited for an answer to what is held of them.
    pub(crate) fn data_request(&self, shop: &Shop, open_seconds: f64) {
        self.data_request_open.with_label_values(&[&shop.domain()]).set(open_seconds);
    }

    pub(crate) fn refused(&self, reason: Refused) {
        self.refused.with_label_values(&[reason.as_str()]).inc();
    }
}

/// What is known of proofs, shop by shop.
pub(crate) struct ProofMetrics {
    age: GaugeVec,
    mismatches: IntGaugeVec,
    /// When the last proof ended, or when there was first something to prove.
    since: Mutex<BTreeMap<Shop, Timestamp>>,
}

impl ProofMetrics {
    fn register(registry: &Registry, shops: &BTreeSet<Shop>) -> Result<Self, prometheus::Error> {
        let age = Opts::new(
            "backstock_restorer_proof_age_seconds",
            "Time since the last proof that a shop could be restored, or since one was possible.",
        );
        let age = GaugeVec::new(age, &["shop"])?;
        let mismatches = Opts::new(
            "backstock_restorer_proof_mismatches",
            "Resources that the last proof found to be not as they should be.",
        );
        let mismatches = IntGaugeVec::new(mismatches, &["shop"])?;
        for shop in shops {
            age.with_label_values(&[&shop.domain()]);
            mismatches.with_label_values(&[&shop.domain()]);
        }
        registry.register(Box::new(age.clone()))?;
        registry.register(Box::new(mismatches.clone()))?;
        Ok(Self { age, mismatches, since: Mutex::default() })
    }

    /// This is the shop's last proof.
    pub(crate) fn told(&self, shop: &Shop, proof: &Proof) {
        let mismatches = i64::try_from(proof.mismatches).unwrap_or(i64::MAX);
        self.mismatches.with_label_values(&[&shop.domain()]).set(mismatches);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.insert(shop.clone(), proof.finished_at.unwrap_or(proof.ordered_at));
    }

    /// A proof was possible since then, and none was made yet.
    pub(crate) fn possible(&self, shop: &Shop, at: Timestamp) {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        since.entry(shop.clone()).or_insert(at);
    }

    /// Brings the ages up to date.
    pub(crate) fn refresh(&self, now: Timestamp) {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        for (shop, at) in since.iter() {
            self.age.with_label_values(&[&shop.domain()]).set(now.seconds_since(*at));
        }
    }
}
