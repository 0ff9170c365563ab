//! Reconciles history with what the Admin API says: backfill, missed and thin webhooks, kinds that
//! have no webhook.
//!
//! The shortest path to read: `tending.rs` decides which shops are looked after here, `shop.rs` what is
//! done for one, `schedule.rs` when it is pulled, `due.rs` what of it has to be, `pull/mod.rs` reads a kind
//! whole, `tree.rs` makes nodes of bulk lines, `reconcile.rs` decides what differs, `proto/src/publish.rs`
//! puts corrections on the stream. `signal.rs` does the same for single resources, seconds after a webhook
//! that does not tell everything, `by_id.rs` where somebody names them, `log.rs` follows Shopify's own log of
//! who did what, and `glance.rs` looks at what nothing tells of.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use backstock_proto::admin::Client;
use backstock_proto::blob::Blobs;
use backstock_proto::cron::Cron;
use backstock_proto::journal::{Journal, Retention};
use backstock_proto::listen::Readiness;
use backstock_proto::stream::Partition;
use backstock_proto::time::Clock;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

mod by_id;
mod due;
mod glance;
pub mod http;
mod log;
mod media;
mod metrics;
mod offered;
mod orders;
mod pull;
mod question;
mod reconcile;
mod retain;
mod room;
mod roster;
mod rounds;
mod schedule;
mod scope;
mod shop;
mod signal;
mod spill;
mod stock;
mod subscriptions;
mod tending;
mod tree;
mod turns;
mod values;

pub use metrics::Metrics;

use backstock_proto::publish::Publisher;
use shop::Tools;
use tending::Tending;

/// Of up to so many shops all are read at the time that is configured; more are spread over so long from
/// then on.
const SHOPS_TOGETHER: usize = 10;
const SPREAD: Duration = Duration::from_secs(3_600);

/// How the compactor works.
#[derive(Clone, Debug)]
pub struct Config {
    /// When full pulls run; where there are many shops, of each at some time within the hour from then on.
    pub full_pull: Cron,
    /// The part of each shop's cost budget that reading may use, 0 to 1, but for what webhooks left open.
    pub budget_share: f64,
    /// Where lines of bulk results are put aside while they are compared.
    pub scratch: PathBuf,
    /// How often Shopify's own log of who did what is asked for what is new.
    pub log_every: Duration,
    /// How often kinds are looked at of which nothing tells.
    pub glance_every: Duration,
    /// When history is thinned, and how long it is kept.
    pub thin: Cron,
    /// See [`Self::thin`].
    pub retention: Retention,
    /// Where webhooks reach us; absent: subscriptions are somebody else's.
    pub public_url: Option<Url>,
    /// How often subscriptions are looked after.
    pub subscriptions_every: Duration,
    /// Most bytes of one medium that are kept.
    pub media_bytes_max: u64,
    /// Into how many partitions the stream is divided.
    pub partitions: Partition,
}

/// What it needs of its process.
pub struct Compactor {
    /// How it works.
    pub config: Config,
    /// The shops whose Admin API may be asked.
    pub shops: Vec<Client>,
    /// History.
    pub journal: Arc<dyn Journal>,
    /// Where the bytes of media are kept.
    pub blobs: Blobs,
    /// The stream.
    pub jetstream: jetstream::Context,
    /// Among how many members of the server's cluster it is kept who looks after which shop, where there
    /// may be other compactors.
    pub shared: Option<usize>,
    /// Where its metrics are.
    pub registry: Registry,
    /// Where it says whether it can work.
    pub readiness: Readiness,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is asked of it while it runs: see [`orders()`].
    pub orders: mpsc::Receiver<http::Given>,
}

/// A way to ask the compactor for something, and where it hears of it.
pub fn orders(publisher: Publisher) -> (http::Door, mpsc::Receiver<http::Given>) {
    let (orders, receive) = mpsc::channel(64);
    (http::Door { orders, publisher }, receive)
}

impl Compactor {
    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let metrics = Arc::new(Metrics::register(&self.registry)?);
        let ready = self.readiness.part("compactor");
        match spill::clear(&self.config.scratch) {
            Ok(0) => {}
            Ok(cleared) => tracing::info!(cleared, "removed what a killed process had put aside"),
            Err(error) => {
                tracing::warn!(%error, "what a killed process had put aside is still there");
            }
        }
        let (jetstream, clock) = (self.jetstream, self.clock);
        let publisher =
            Publisher { jetstream: jetstream.clone(), partitions: self.config.partitions };
        let counting = |client: Client| client.counting(metrics.cost_points.clone());
        let shops: Vec<Client> = self.shops.into_iter().map(counting).collect();
        let spread = if shops.len() > SHOPS_TOGETHER { SPREAD } else { Duration::ZERO };
        let others = self.shared.map(|_| jetstream.client());
        let tools = Tools {
            config: self.config,
            journal: self.journal,
            blobs: self.blobs,
            publisher: publisher.clone(),
            metrics: metrics.clone(),
            room: room::Room::new(),
            known: media::Known::new(),
            turns: turns::Turns::new(),
            spread,
            clock: clock.clone(),
        };
        let tending = Tending::new(Arc::new(tools), shops, others.clone(), ready);
        let taken = orders::pass_on(
            self.orders,
            tending.here.clone(),
            (&publisher, clock.as_ref()),
            others,
            shutdown.clone(),
        );
        let tended = async {
            match self.shared {
                None => tending.all(shutdown.clone()).await,
                Some(replicas) => tending.share(&jetstream, replicas, shutdown.clone()).await,
            }
        };
        let ((), tended) = tokio::join!(taken, tended);
        tended
    }
}
