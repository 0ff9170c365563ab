//! A running shop: its state, its clock, its traffic and its deliveries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, Client};
use crate::admin::cost::Plan;
use crate::admin::document::Documents;
use crate::admin::schema::Schemas;
use crate::bulk_run::{self, Failure};
use crate::catalog::Size;
use crate::dice::Dice;
use crate::dispatch::{Dispatch, Dispatcher};
use crate::events::{AppConfig, ConfigError};
use crate::fault::Faults;
use crate::harm::Harm;
use crate::scenario::{self, Scale, Scenario, Told};
use crate::shop::{Actor, Shop};
use crate::subscription::Subscription;
use crate::traffic::{Traffic, settings};

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The shop's permanent name.
    pub shop: String,
    /// The one source of chance.
    pub seed: u64,
    /// How large the shop is.
    pub size: Size,
    /// Where it begins on the clock; now, when absent.
    pub founded: Option<Timestamp>,
    /// Where the app wants its webhooks; nowhere, when absent.
    pub webhooks: Option<String>,
    /// The API version of those.
    pub api_version: String,
    /// Deeds of traffic per second.
    pub rate: f64,
    /// How deliveries are made.
    pub dispatch: Dispatch,
    /// Where the shop is served.
    pub base: String,
    /// The apps that may use the Admin API; the first is the one that webhooks go to.
    pub clients: Vec<Client>,
    /// What they may use of it.
    pub plan: Plan,
    /// Where the schemas are that `schema.sh` fetched.
    pub schemas: PathBuf,
}

/// A shop at work.
pub struct Simulator {
    shop: Mutex<Shop>,
    access: Mutex<Access>,
    faults: Mutex<Faults>,
    schemas: Arc<Schemas>,
    documents: Documents,
    not_simulated: Mutex<BTreeMap<String, u64>>,
    seed: u64,
    results: TempDir,
    bulk_failure: Mutex<Option<Failure>>,
    bulk_rest: Mutex<Duration>,
    latency: Mutex<Duration>,
    base: String,
    dispatcher: Dispatcher,
    rate: watch::Sender<f64>,
    founded: Timestamp,
    started: Instant,
    stop: CancellationToken,
}

impl Simulator {
    /// Opens the shop and starts its traffic, until `stop`.
    ///
    /// # Errors
    /// When the HTTP client for webhooks cannot be built, or there is no room for results.
    pub fn start(settings: Settings, stop: CancellationToken) -> anyhow::Result<Arc<Self>> {
        let (founded, started) = (settings.founded.unwrap_or_else(Timestamp::now), Instant::now());
        let mut shop =
            Shop::new(&settings.shop, settings.seed, settings.size, founded, settings.base.clone());
        if let Some(uri) = &settings.webhooks {
            shop.subscriptions = Subscription::of_app(uri, &settings.api_version);
        }
        let (given_up, failed) = mpsc::unbounded_channel();
        let dispatcher =
            Dispatcher::start(settings.dispatch, settings.shop, stop.clone(), given_up)?;
        let simulator = Arc::new(Self {
            shop: Mutex::new(shop),
            access: Mutex::new(Access::new(settings.clients, settings.plan, founded)),
            faults: Mutex::new(Faults::new(settings.seed)),
            schemas: Arc::new(Schemas::in_directory(&settings.schemas)),
            documents: Documents::default(),
            not_simulated: Mutex::default(),
            seed: settings.seed,
            results: TempDir::with_prefix("shopify-")?,
            bulk_failure: Mutex::default(),
            bulk_rest: Mutex::default(),
            latency: Mutex::default(),
            base: settings.base,
            dispatcher,
            rate: watch::Sender::new(settings.rate),
            founded,
            started,
            stop,
        });
        tokio::spawn(simulator.clone().drop_failing(failed));
        tokio::spawn(simulator.clone().keep_busy(Traffic::new(settings.seed)));
        Ok(simulator)
    }

    /// The shop, for as long as the guard is held.
    pub fn shop(&self) -> MutexGuard<'_, Shop> {
        self.shop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who may ask.
    pub fn access(&self) -> MutexGuard<'_, Access> {
        self.access.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong with requests.
    pub fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The schemas of all versions.
    #[must_use]
    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// The documents that were seen.
    #[must_use]
    pub fn documents(&self) -> &Documents {
        &self.documents
    }

    /// Where results of bulk operations are kept.
    #[must_use]
    pub fn results(&self) -> &Path {
        self.results.path()
    }

    /// Where the shop is served.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// How long an answer of the Admin API is on its way.
    pub fn latency(&self) -> Duration {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says so, from now on.
    pub fn set_latency(&self, latency: Duration) {
        *self.latency.lock().unwrap_or_else(PoisonError::into_inner) = latency;
    }

    /// How long a bulk mutation rests after each line.
    pub fn bulk_rest(&self) -> Duration {
        *self.bulk_rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets each bulk mutation do so many lines a second from now on; 0: none is begun.
    pub fn pace_bulk(&self, lines_per_second: f64) {
        self.shop().bulk_mutations = lines_per_second > 0.0;
        let rest = Duration::try_from_secs_f64(1.0 / lines_per_second).unwrap_or_default();
        *self.bulk_rest.lock().unwrap_or_else(PoisonError::into_inner) = rest;
    }

    /// Dooms the next bulk operation.
    pub fn fail_next_bulk(&self, failure: Failure) {
        *self.bulk_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    pub(crate) fn take_bulk_failure(&self) -> Option<Failure> {
        self.bulk_failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Runs the bulk operations that were started since the last call, each on its own thread.
    pub fn run_bulk(self: &Arc<Self>, actor: &Actor) {
        let started = std::mem::take(&mut self.shop().bulk_started);
        for operation in started {
            let (simulator, actor) = (self.clone(), actor.clone());
            tokio::task::spawn_blocking(move || bulk_run::run(&simulator, operation, &actor));
        }
    }

    /// Remembers what somebody asked for that is not simulated.
    pub fn note_not_simulated(&self, answer: &Value) {
        let mut noted = self.not_simulated.lock().unwrap_or_else(PoisonError::into_inner);
        for error in answer["errors"].as_array().into_iter().flatten() {
            if error["extensions"]["code"] == "NOT_SIMULATED" {
                let message = error["message"].as_str().unwrap_or_default();
                tracing::warn!("{message}");
                *noted.entry(message.to_owned()).or_default() += 1;
            }
        }
    }

    /// What was asked for and is not simulated, and how often.
    #[must_use]
    pub fn not_simulated(&self) -> BTreeMap<String, u64> {
        self.not_simulated.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does something in the shop now, and sends the webhooks for it.
    pub fn act<T>(&self, actor: Actor, work: impl FnOnce(&mut Shop) -> T) -> T {
        let mut shop = self.shop();
        let outcome = shop.act(self.now(), actor, work);
        self.deliver(&mut shop);
        outcome
    }

    /// Sends what the shop has to tell since the last time.
    pub fn deliver(&self, shop: &mut Shop) {
        for answer in shop.not_simulated.drain(..) {
            self.note_not_simulated(&answer);
        }
        self.dispatcher.send(shop.take_deliveries());
    }

    /// Deploys the app's configuration: what it declares takes the place of what was declared
    /// before. What it says nothing of, and subscriptions of the Admin API, stay.
    ///
    /// # Errors
    /// When something that it declares cannot be had; then nothing is changed.
    pub fn deploy(&self, config: &AppConfig) -> Result<(), ConfigError> {
        let classic = config.classic()?;
        let events = config.declared(&self.schemas)?;
        let mut shop = self.shop();
        if let Some(classic) = classic {
            shop.subscriptions.retain(|known| known.id.is_some());
            shop.subscriptions.extend(classic);
        }
        if let Some(events) = events {
            shop.events = Some(Arc::new(events));
        }
        Ok(())
    }

    /// Lets a story happen, beginning now.
    pub fn tell(&self, scenario: Scenario, scale: Scale) -> Told {
        let mut shop = self.shop();
        let told = scenario.tell(&mut shop, self.now(), self.seed, scale);
        self.deliver(&mut shop);
        told
    }

    /// Lets an app do harm of one sort, beginning now.
    pub fn harm(&self, harm: Harm, app: &str, scale: Scale) -> Told {
        let mut shop = self.shop();
        let told = scenario::harm(harm, app, &mut shop, self.now(), scale);
        self.deliver(&mut shop);
        told
    }

    /// Has somebody keep everything in order, one thing after the other; see [`settings::chore`].
    pub fn chores(&self, n: u64) {
        let dice = Dice::new(self.seed).of("chores");
        for chore in 0..settings::CHORES_ALL {
            let staff = Actor::Staff("Lukas Weber".into());
            self.act(staff, |shop| settings::chore(shop, chore, dice, n));
        }
    }

    /// The instant on the shop's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let elapsed = self.started.elapsed();
        self.founded.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// The deliveries.
    #[must_use]
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Changes how many deeds of traffic are done per second.
    pub fn set_rate(&self, rate: f64) {
        self.rate.send_replace(rate);
    }

    /// Deeds are spaced evenly; a late one is made up for, and is dated by its turn rather than
    /// by when the machine got round to it, so that a seed gives the same run.
    async fn keep_busy(self: Arc<Self>, mut traffic: Traffic) {
        let mut rate = self.rate.subscribe();
        let mut turn = Duration::ZERO;
        loop {
            let per_second = *rate.borrow_and_update();
            if per_second <= 0.0 {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    changed = rate.changed() => if changed.is_err() { return },
                }
                turn = self.started.elapsed();
                continue;
            }
            turn += Duration::from_secs_f64(1.0 / per_second);
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = rate.changed() => {
                    if changed.is_err() { return }
                    turn = self.started.elapsed();
                    continue;
                }
                () = tokio::time::sleep_until(self.started + turn) => {}
            }
            let mut shop = self.shop();
            let at = self.founded.checked_add(turn).unwrap_or(Timestamp::MAX);
            traffic.step(&mut shop, at);
            self.deliver(&mut shop);
        }
    }

    /// Subscriptions that were made through the Admin API are deleted when they fail for good.
    async fn drop_failing(self: Arc<Self>, mut failed: mpsc::UnboundedReceiver<crate::gid::Gid>) {
        while let Some(subscription) = failed.recv().await {
            let mut shop = self.shop();
            shop.unsubscribe(subscription);
        }
    }
}
