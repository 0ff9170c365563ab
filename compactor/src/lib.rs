//! Reconciles history with what the Admin API says: backfill, missed and thin webhooks, kinds that
//! have no webhook.
//!
//! The shortest path to read: [`run`](Compactor::run) decides when, `pull.rs` reads a kind whole,
//! `tree.rs` makes nodes of bulk lines, `reconcile.rs` decides what differs, `proto/src/publish.rs` puts
//! corrections on the stream. `signal.rs` does the same for single resources, seconds after a webhook
//! that does not tell everything, and `log.rs` follows Shopify's own log of who did what.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use backstock_proto::Shop;
use backstock_proto::admin::Client;
use backstock_proto::blob::Blobs;
use backstock_proto::cron::Cron;
use backstock_proto::journal::{Journal, Retention};
use backstock_proto::pulls::{ORDER, Order, Ordered};
use backstock_proto::stream::Partition;
use backstock_proto::time::Clock;
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

pub mod http;
mod log;
mod media;
mod metrics;
mod pull;
mod reconcile;
mod retain;
mod rounds;
mod schedule;
mod scope;
mod signal;
mod spill;
mod subscriptions;
mod tree;

pub use metrics::Metrics;

use backstock_proto::admin::ask::Asker;
use backstock_proto::publish::Publisher;
use pull::Puller;
use rounds::Rounds;

/// How the compactor works.
#[derive(Clone, Debug)]
pub struct Config {
    /// When full pulls run.
    pub full_pull: Cron,
    /// The part of each shop's cost budget that pulls may use, 0 to 1.
    pub budget_share: f64,
    /// Where lines of bulk results are put aside while they are compared.
    pub scratch: PathBuf,
    /// How often Shopify's own log of who did what is asked for what is new.
    pub log_every: Duration,
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
    /// Where its metrics are.
    pub registry: Registry,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is asked of it while it runs: see [`orders`].
    pub orders: mpsc::Receiver<Order>,
}

/// A way to ask the compactor for something, and where it hears of it.
pub fn orders() -> (http::Door, mpsc::Receiver<Order>) {
    let (send, receive) = mpsc::channel(64);
    (http::Door(send), receive)
}

impl Compactor {
    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let metrics = Arc::new(Metrics::register(&self.registry)?);
        let publisher = Publisher { jetstream: self.jetstream, partitions: self.config.partitions };
        let media_bytes_max = self.config.media_bytes_max;
        let mut shops = JoinSet::new();
        let mut doors = Vec::new();
        for client in self.shops {
            let client = client.counting(metrics.cost_points.clone());
            let shop = client.access().shop.clone();
            let (again, wishes) = media::look::wishes();
            let puller = Puller {
                shop: shop.clone(),
                asker: Asker { client, share: self.config.budget_share },
                journal: self.journal.clone(),
                publisher: publisher.clone(),
                corrections: Rounds::start(publisher.clone()),
                clock: self.clock.clone(),
                scratch: self.config.scratch.clone(),
                metrics: metrics.clone(),
                media: again.clone(),
                blobs: self.blobs.clone(),
            };
            shops.spawn(log::run(puller.clone(), self.config.log_every, shutdown.clone()));
            let thinning = (self.config.thin.clone(), self.config.retention);
            shops.spawn(retain::run(
                puller.clone(),
                self.blobs.clone(),
                thinning,
                shutdown.clone(),
            ));
            if let Some(url) = self.config.public_url.clone() {
                let every = self.config.subscriptions_every;
                shops.spawn(subscriptions::run(puller.clone(), url, every, shutdown.clone()));
            }
            let keeper = media::Keeper::new(puller.clone(), self.blobs.clone(), media_bytes_max)?;
            shops.spawn(media::follow::run(keeper.clone(), again, shutdown.clone()));
            shops.spawn(media::look::run(keeper, wishes, shutdown.clone()));
            let (whole, ordered) = mpsc::channel(64);
            let (some, named) = mpsc::channel(64);
            doors.push(Doors { shop, whole, some });
            shops.spawn(signal::answer(puller.clone(), named, shutdown.clone()));
            shops.spawn(signal::run(puller.clone(), shutdown.clone()));
            let cron = self.config.full_pull.clone();
            shops.spawn(schedule::run(puller, cron, ordered, shutdown.clone()));
        }
        pass_on(self.orders, &doors, &publisher, self.clock.as_ref(), shutdown).await;
        while let Some(ended) = shops.join_next().await {
            ended?;
        }
        Ok(())
    }
}

/// Where one shop takes orders.
struct Doors {
    shop: Shop,
    /// For pulls of whole kinds.
    whole: mpsc::Sender<Order>,
    /// For some resources by their ids, which wait for no whole pull.
    some: mpsc::Sender<Order>,
}

/// Gives each order to its shop. One for whole kinds is put on record before, so that a restart does
/// not lose it. An order for a shop whose Admin API may not be asked is dropped: whoever gives it has
/// checked that.
async fn pass_on(
    mut orders: mpsc::Receiver<Order>,
    doors: &[Doors],
    publisher: &Publisher,
    clock: &dyn Clock,
    shutdown: CancellationToken,
) {
    loop {
        let order = tokio::select! {
            () = shutdown.cancelled() => return,
            order = orders.recv() => order,
        };
        // Without anybody left who could ask, it goes on by its schedule.
        let Some(order) = order else { return shutdown.cancelled().await };
        let Some(doors) = doors.iter().find(|doors| doors.shop == order.shop) else { continue };
        if !order.ids.is_empty() {
            let _stopping = doors.some.send(order).await;
            continue;
        }
        let ordered = Ordered { at: clock.now(), confirm_deletions: order.confirm_deletions };
        for spec in schedule::ordered(&order) {
            let recorded = publisher.record(&order.shop, ORDER, spec.name, &ordered).await;
            if let Err(error) = recorded {
                tracing::warn!(shop = %order.shop, "an order would not survive a restart: {error}");
            }
        }
        let _stopping = doors.whole.send(order).await;
    }
}
