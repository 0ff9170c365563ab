//! Reads history over HTTP: any resource as of any instant, its versions, what changed, and whole
//! snapshots.
//!
//! The modules read in the order of a request: who asks ([`token`], `throttle`), what may be asked
//! by whom (`route`), how each request is checked on its way in (`gate`), what it asks (`ask`),
//! and the answers (`answer`). `refuse` is what is said when there is no answer, and `openapi`
//! describes all of it.
//!
//! What must not happen:
//! - a handler that decides for itself which shop it may read: `gate` does, from the table in
//!   `route`, and hands over the shop;
//! - a token that learns whether another shop exists;
//! - a list or a stream that ends early without saying so;
//! - a token, or what is in a resource, in a log line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backstock_proto::Shop;
use backstock_proto::admin::Client;
use backstock_proto::blob::Blobs;
use backstock_proto::journal::{Journal, Retention};
use backstock_proto::listen::{self, Readiness};
use backstock_proto::publish::Records;
use backstock_proto::pulls::Pulls;
use backstock_proto::time::Clock;
use ipnet::IpNet;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

mod answer;
mod ask;
mod audit;
pub mod change_set;
mod erase;
pub mod export;
#[cfg(test)]
#[path = "../tests/it/fake/mod.rs"]
mod fake;
mod gate;
mod gids;
pub mod guard;
pub mod health;
pub mod human;
pub mod job;
mod level;
pub mod mark;
pub mod metrics;
mod openapi;
mod ours;
mod page;
mod peer;
pub mod plan;
pub mod proof;
mod record;
mod refuse;
mod route;
mod throttle;
pub mod token;
pub mod write;

pub use openapi::document;
pub use page::{App, SessionKey};
pub use token::{Scope, Shops, Token, TokenError, Tokens};

use audit::Audit;
use backstock_proto::lease::Leases;
use job::desk::{Jobs, Tools};
use job::written::Books;
use metrics::Metrics;
use throttle::Throttle;

/// Proofs that are made at once: that of the night, and one that somebody waits for.
const PROOFS_MAX: usize = 2;

/// How the restorer runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The configured shops: they are known before their first event.
    pub shops: BTreeSet<Shop>,
    /// The shops that are guarded, and how.
    pub guards: BTreeMap<Shop, guard::Policy>,
    /// The shops where a second person has to say yes before a job that a person asked for begins.
    pub second_person: BTreeSet<Shop>,
    /// How long an answer may take to begin, snapshots and `verify` aside.
    pub request: Duration,
    /// Most snapshots streamed at once; each holds a snapshot of the store.
    pub snapshots_max: usize,
    /// How long history is kept.
    pub retention: Retention,
    /// Where webhooks reach us, as far as that is known.
    pub public_url: Option<Url>,
    /// The networks of the reverse proxies that requests come through: they are believed when they say
    /// from whom.
    pub proxies: Vec<IpNet>,
    /// When it is proved that shops could be restored.
    pub proof: proof::Config,
    /// The shops whose admin may open the page, and as which app.
    pub embedded: BTreeMap<Shop, App>,
    /// What seals the sessions of the page. Restorers side by side share one.
    pub session_key: SessionKey,
    /// What the listener allows.
    pub listen: listen::Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shops: BTreeSet::new(),
            guards: BTreeMap::new(),
            second_person: BTreeSet::new(),
            request: Duration::from_secs(30),
            snapshots_max: 16,
            retention: Retention { keep_all_days: 90, keep_daily: 365, keep_weekly: 260 },
            public_url: None,
            proxies: Vec::new(),
            proof: proof::Config::default(),
            embedded: BTreeMap::new(),
            session_key: SessionKey::default(),
            listen: listen::Limits::default(),
        }
    }
}

/// What the restorer works with.
pub struct Restorer {
    /// How it runs.
    pub config: Config,
    /// Who answers questions about history: in process, or over HTTP.
    pub journal: Arc<dyn Journal>,
    /// Who pulls when asked to.
    pub pulls: Arc<dyn Pulls>,
    /// Where it puts on record what is done.
    pub records: Arc<dyn Records>,
    /// Where the bytes of media and theme files are.
    pub blobs: Blobs,
    /// Who may write to which shop, where several restorers run.
    pub leases: Arc<dyn Leases>,
    /// The shops whose Admin API may be asked and written to.
    pub admins: Vec<Client>,
    /// Who may ask. A clone replaces them while the restorer runs.
    pub tokens: Tokens,
    /// Where it counts.
    pub registry: Registry,
    /// Where it says whether it can work.
    pub readiness: Readiness,
    /// What "now" is.
    pub clock: Arc<dyn Clock>,
}

/// Why the restorer does not run.
#[derive(Debug, thiserror::Error)]
pub enum RestorerError {
    /// A metric of the same name is registered already.
    #[error("register the restorer's metrics")]
    Metrics(#[from] prometheus::Error),
    /// The listener failed.
    #[error("answer HTTP")]
    Listen(#[from] std::io::Error),
}

/// What every request has at hand.
struct Desk {
    config: Config,
    journal: Arc<dyn Journal>,
    pulls: Arc<dyn Pulls>,
    records: Arc<dyn Records>,
    blobs: Blobs,
    admins: BTreeMap<Shop, Client>,
    tokens: Tokens,
    throttle: Throttle,
    snapshots: Arc<Semaphore>,
    /// Most proofs that are made at once.
    proofs: Semaphore,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
    book: change_set::read::Book,
    pulse: guard::pulse::Pulse,
    health: health::Kept,
    ours: ours::Ours,
    jobs: Arc<Jobs>,
    audit: Audit,
}

/// Answers requests on `listener`, works at jobs, watches over the shops and proves them restorable,
/// until `shutdown`; then
/// finishes what is under way.
pub async fn run(
    listener: TcpListener,
    restorer: Restorer,
    shutdown: CancellationToken,
) -> Result<(), RestorerError> {
    let part = restorer.readiness.part("restorer");
    let limits = restorer.config.listen;
    let (desk, probes) = desk(restorer)?;
    let guard = tokio::spawn(guard::watch::run(desk.clone(), desk.clone(), shutdown.clone()));
    let jobs = tokio::spawn(desk.jobs.clone().work(shutdown.clone()));
    let proofs = tokio::spawn(proof::nightly::run(desk.clone(), shutdown.clone()));
    let erasures = tokio::spawn(erase::watch(desk.clone(), shutdown.clone()));
    let router = route::router(desk, probes);
    part.ready();
    let served = listen::serve(listener, router, limits, shutdown.clone()).await;
    shutdown.cancel();
    if let Err(error) = guard.await {
        tracing::error!(%error, "the guard ended badly");
    }
    if let Err(error) = jobs.await {
        tracing::error!(%error, "working at jobs ended badly");
    }
    if let Err(error) = proofs.await {
        tracing::error!(%error, "making proofs ended badly");
    }
    if let Err(error) = erasures.await {
        tracing::error!(%error, "watching over erasures ended badly");
    }
    Ok(served?)
}

/// The API, the page and the probes. Jobs are taken and nobody works at them, nobody watches over the
/// shops, and proofs are made only when somebody asks.
pub fn router(restorer: Restorer) -> Result<axum::Router, RestorerError> {
    let (desk, probes) = desk(restorer)?;
    Ok(route::router(desk, probes))
}

fn desk(restorer: Restorer) -> Result<(Arc<Desk>, axum::Router), RestorerError> {
    let Restorer {
        config,
        journal,
        pulls,
        records,
        blobs,
        leases,
        admins,
        tokens,
        registry,
        readiness,
        clock,
    } = restorer;
    let admins: BTreeMap<Shop, Client> =
        admins.into_iter().map(|client| (client.access().shop.clone(), client)).collect();
    let metrics = Metrics::register(&registry, &config.shops)?;
    let tools = Tools {
        journal: journal.clone(),
        records: records.clone(),
        pulls: pulls.clone(),
        blobs: blobs.clone(),
        leases,
        clock: clock.clone(),
        books: Books::default(),
        metrics: metrics.jobs.clone(),
        holder: record::new_id("restorer", clock.now()),
    };
    let desk = Desk {
        snapshots: Arc::new(Semaphore::new(config.snapshots_max)),
        proofs: Semaphore::new(PROOFS_MAX),
        throttle: Throttle::default(),
        config,
        jobs: Arc::new(Jobs::new(tools, &admins)),
        audit: Audit::new(journal.clone(), records.clone(), clock.clone()),
        journal,
        pulls,
        records,
        blobs,
        admins,
        tokens,
        metrics,
        clock,
        book: change_set::read::Book::default(),
        pulse: guard::pulse::Pulse::default(),
        health: health::Kept::default(),
        ours: ours::Ours::default(),
    };
    Ok((Arc::new(desk), listen::probes(readiness, registry)))
}
