//! Everything that is done for a shop as long as this process looks after it.

use std::sync::Arc;
use std::time::Duration;

use backstock_proto::admin::Client;
use backstock_proto::admin::ask::Asker;
use backstock_proto::blob::Blobs;
use backstock_proto::journal::{Journal, Page};
use backstock_proto::lease::Held;
use backstock_proto::publish::Publisher;
use backstock_proto::pulls::Order;
use backstock_proto::time::Clock;
use futures::FutureExt;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::orders::Doors;
use crate::pull::Puller;
use crate::room::Room;
use crate::rounds::Rounds;
use crate::schedule::When;
use crate::turns::Turns;
use crate::{Config, Metrics, by_id, glance, log, media, retain, schedule, signal, subscriptions};

/// The `what` of the record of who looks after a shop.
const KEEPER: &str = "keeper";
/// Its only id.
const COMPACTOR: &str = "compactor";
/// Rest after a failure.
const REST: Duration = Duration::from_secs(1);
/// How often it is looked whether a record is readable.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What every shop is looked after with.
pub(crate) struct Tools {
    pub(crate) config: Config,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) blobs: Blobs,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) room: Room,
    pub(crate) known: media::Known,
    pub(crate) turns: Turns,
    /// Over how long shops are spread that are due at the same time.
    pub(crate) spread: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

/// When a shop is no longer looked after.
#[derive(Clone, Debug)]
pub(crate) struct Until {
    /// At once.
    pub(crate) stop: CancellationToken,
    /// When the whole pulls that run are over: another compactor is to have it.
    pub(crate) leave: CancellationToken,
}

/// One shop, in the hands of this process.
pub(crate) struct Charge {
    pub(crate) tools: Arc<Tools>,
    pub(crate) client: Client,
    pub(crate) held: Arc<Held>,
    pub(crate) heard: mpsc::Receiver<Order>,
    /// Where it orders something itself.
    pub(crate) doors: Doors,
    pub(crate) until: Until,
    /// As whom, where there may be other compactors.
    pub(crate) by: Option<String>,
}

impl Charge {
    /// Looks after the shop until it is to end, or the lease is lost.
    pub(crate) async fn tend(self) -> anyhow::Result<()> {
        let (held, stop) = (self.held.clone(), self.until.stop.clone());
        let taken_over = held.during(self.take_over());
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _lost = taken_over => {}
        }
        let Self { tools, client, heard, doors, until, .. } = self;
        let config = &tools.config;
        let (again, wishes) = media::look::wishes();
        let puller = Puller {
            shop: client.access().shop.clone(),
            asker: Asker { client, share: config.budget_share, urgent: false },
            journal: tools.journal.clone(),
            publisher: tools.publisher.clone(),
            corrections: Rounds::start(tools.publisher.clone()),
            room: tools.room.clone(),
            clock: tools.clock.clone(),
            scratch: config.scratch.clone(),
            metrics: tools.metrics.clone(),
            media: again.clone(),
            blobs: tools.blobs.clone(),
        };
        let known = tools.known.clone();
        let keeper =
            media::Keeper::new(puller.clone(), tools.blobs.clone(), config.media_bytes_max, known)?;
        let stop = until.stop.child_token();
        let thinning = (config.thin.clone(), config.retention);
        let (errands, asked) = mpsc::unbounded_channel();
        let mut work = vec![
            log::run(puller.clone(), config.log_every, stop.clone()).boxed(),
            glance::run(puller.clone(), doors.clone(), config.glance_every, stop.clone()).boxed(),
            retain::run(puller.clone(), tools.blobs.clone(), thinning, stop.clone()).boxed(),
            media::follow::run(keeper.clone(), again, stop.clone()).boxed(),
            media::look::run(keeper, wishes, stop.clone()).boxed(),
            by_id::run(puller.clone(), asked, stop.clone()).boxed(),
            signal::run(puller.clone(), doors.clone(), errands, stop.clone()).boxed(),
        ];
        if let Some(url) = config.public_url.clone() {
            let how = (url, config.subscriptions_every);
            work.push(subscriptions::run(puller.clone(), doors, how, stop.clone()).boxed());
        }
        let until = Until { stop: stop.clone(), leave: until.leave };
        let (cron, spread) = (config.full_pull.clone(), tools.spread);
        let when = When { cron, spread, turns: tools.turns.clone() };
        let pulls = schedule::run(puller, when, heard, until);
        let mut running = JoinSet::new();
        for work in work {
            let held = held.clone();
            running.spawn(async move { held.during(work).await });
        }
        let panicked = tokio::select! {
            _lost = held.during(pulls) => None,
            // Each of them ends when it is told to. Without one the shop is not looked after.
            Some(Err(panic)) = running.join_next() => Some(panic),
        };
        stop.cancel();
        while let Some(ended) = running.join_next().await {
            ended?;
        }
        panicked.map_or(Ok(()), |panic| Err(panic.into()))
    }

    /// Where another compactor may have looked after the shop until now: puts on record who does, and
    /// waits until that is readable, and with it everything that the other one has put on record.
    async fn take_over(&self) {
        let Some(by) = &self.by else { return };
        let (shop, tools) = (&self.client.access().shop, &self.tools);
        let record = loop {
            let keeper = json!({"compactor": by, "since": tools.clock.now()});
            match tools.publisher.record(shop, KEEPER, COMPACTOR, &keeper).await {
                Ok(record) => break record,
                Err(error) => warn!(%shop, %error, "cannot begin to look after the shop"),
            }
            tokio::time::sleep(REST).await;
        };
        let newest = Page { limit: 1, cursor: None };
        let shown = async || {
            let records = tools.journal.records(shop, KEEPER, Some(COMPACTOR), &newest).await;
            records.is_ok_and(|list| list.items.first().is_some_and(|r| r.seq >= record))
        };
        while !shown().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
