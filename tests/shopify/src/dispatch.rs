//! Sends deliveries: signed, in time, and again when they fail.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_TYPE, USER_AGENT};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::dice::Dice;
use crate::disturbance::{Disorder, Disturbance, Fate};
use crate::gid::Gid;
use crate::instant;
use crate::knowledge::Says;
use crate::signing::Secrets;
use crate::subscription::Delivery;

/// A failed delivery is tried so many times again.
pub const RETRIES: u32 = 8;
/// The eight waits double and add up to four hours.
const FIRST_WAIT: Duration = Duration::from_millis(56_470);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How deliveries are made.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The app's client secret.
    pub secret: String,
    /// What goes wrong on the way.
    pub disturbance: Disturbance,
    /// One second of Shopify's retry schedule takes so many of ours.
    pub retry_scale: f64,
    /// So many requests are under way at most.
    pub concurrency: usize,
    /// For what happens by chance.
    pub seed: u64,
}

/// How deliveries went.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Tally {
    /// Deliveries that were triggered.
    pub triggered: u64,
    /// Never sent.
    pub dropped: u64,
    /// Sent twice although the first was accepted.
    pub duplicated: u64,
    /// Sent late.
    pub delayed: u64,
    /// Overtaken by later ones.
    pub reordered: u64,
    /// Held back, until now or until they were let go.
    pub late: u64,
    /// Held back now.
    pub held: u64,
    /// Requests made, retries and duplicates included.
    pub attempts: u64,
    /// Deliveries that were answered 2xx at least once.
    pub accepted: u64,
    /// Attempts that were answered otherwise, by status.
    pub refused: HashMap<u16, u64>,
    /// Attempts that were not answered.
    pub unanswered: u64,
    /// Deliveries that were given up after the last retry.
    pub given_up: u64,
    /// Deliveries that are not finished, those held back among them.
    pub open: u64,
}

/// One delivery that is over, or is held back.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// Its webhook id.
    pub webhook_id: String,
    /// Its topic.
    pub topic: &'static str,
    /// What it was about.
    pub gid: String,
    /// When it was triggered.
    pub triggered_at: String,
    /// How it ended.
    pub outcome: Outcome,
    /// So many requests were made for it; duplicates are not counted.
    pub attempts: u32,
    /// What it was to let a listener know.
    pub says: Vec<Says>,
}

/// How a delivery ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Answered 2xx.
    Accepted,
    /// Never sent.
    Dropped,
    /// Refused or unanswered to the last retry.
    GivenUp,
    /// Held back: it is still to come.
    Held,
}

#[derive(Default)]
struct Record {
    tally: Tally,
    finished: Vec<Finished>,
    /// What is held back, and how often it is to be sent.
    held: Vec<(Delivery, u32)>,
}

/// What the sender is given.
enum Errand {
    /// Something that was just triggered.
    Triggered(Delivery),
    /// Something that was held back, to be sent so many times.
    LetGo(Delivery, u32),
}

/// Takes deliveries and sends them until it is dropped.
#[derive(Clone)]
pub struct Dispatcher {
    queue: mpsc::UnboundedSender<Errand>,
    secrets: Arc<Mutex<Secrets>>,
    record: Arc<Mutex<Record>>,
}

impl Dispatcher {
    /// Starts sending; `on_give_up` is told of subscriptions whose delivery failed for good.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn start(
        how: Dispatch,
        shop: String,
        stop: CancellationToken,
        on_give_up: mpsc::UnboundedSender<Gid>,
    ) -> reqwest::Result<Self> {
        // An error says that the process has a provider already, which does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(how.concurrency)
            .http1_only()
            .build()?;
        let record = Arc::new(Mutex::new(Record::default()));
        let (queue, deliveries) = mpsc::unbounded_channel();
        let permits = Arc::new(Semaphore::new(how.concurrency));
        let secrets = Arc::new(Mutex::new(Secrets::new(&how.secret)));
        let sender = Sender {
            how: Arc::new(how),
            client,
            shop,
            record: record.clone(),
            secrets: secrets.clone(),
            permits,
            on_give_up,
        };
        tokio::spawn(sender.run(deliveries, stop));
        Ok(Self { queue, secrets, record })
    }

    /// Hands over what was triggered.
    pub fn send(&self, deliveries: Vec<Delivery>) {
        lock(&self.record).tally.open += deliveries.len() as u64;
        for delivery in deliveries {
            // The sender is gone only when the simulator stops.
            let _ = self.queue.send(Errand::Triggered(delivery));
        }
    }

    /// Sends what was held back, in the order in which it was triggered; says how many that are.
    pub fn let_go(&self) -> usize {
        let mut record = lock(&self.record);
        record.tally.held = 0;
        let held = std::mem::take(&mut record.held);
        drop(record);
        let count = held.len();
        for (delivery, copies) in held {
            // As above.
            let _ = self.queue.send(Errand::LetGo(delivery, copies));
        }
        count
    }

    /// Signs with another secret from now on; see [`Secrets::rotate`].
    pub fn rotate_secret(&self, secret: &str, overlap: bool) {
        lock(&self.secrets).rotate(secret, overlap);
    }

    /// How it went so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        lock(&self.record).tally.clone()
    }

    /// Every delivery that is over or held back.
    #[must_use]
    pub fn finished(&self) -> Vec<Finished> {
        let record = lock(&self.record);
        let held = record.held.iter().map(|(delivery, _)| delivery.finished(Outcome::Held, 0));
        record.finished.iter().cloned().chain(held).collect()
    }

    /// Waits until nothing is open but what is held back.
    pub async fn drained(&self) {
        let under_way = |tally: Tally| tally.open > tally.held;
        while under_way(self.tally()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Sender {
    how: Arc<Dispatch>,
    secrets: Arc<Mutex<Secrets>>,
    client: reqwest::Client,
    shop: String,
    record: Arc<Mutex<Record>>,
    permits: Arc<Semaphore>,
    on_give_up: mpsc::UnboundedSender<Gid>,
}

impl Sender {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Errand>, stop: CancellationToken) {
        let dice = Dice::new(self.how.seed).of("disturbance");
        let mut tasks = JoinSet::new();
        let mut n = 0;
        loop {
            let errand = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = tasks.join_next(), if !tasks.is_empty() => continue,
                errand = queue.recv() => match errand {
                    Some(errand) => errand,
                    None => break,
                },
            };
            let (delivery, fate) = match errand {
                Errand::Triggered(delivery) => {
                    let fate = self.how.disturbance.fate(dice, n);
                    n += 1;
                    self.count_fate(&delivery, fate);
                    (delivery, fate)
                }
                Errand::LetGo(delivery, copies) => {
                    let (wait, disorder) = (Duration::ZERO, Disorder::None);
                    (delivery, Fate::Sent { copies, wait, disorder })
                }
            };
            if let Fate::Sent { copies, wait, .. } = fate {
                // Those that don't wait take their turn in the order they were triggered.
                let turn = if wait.is_zero() {
                    self.permits.clone().acquire_owned().await.ok()
                } else {
                    None
                };
                let sender = self.clone();
                tasks.spawn(async move {
                    sleep_until(Instant::now() + wait).await;
                    sender.deliver(&delivery, copies, turn).await;
                });
            }
        }
    }

    fn count_fate(&self, delivery: &Delivery, fate: Fate) {
        let mut record = lock(&self.record);
        record.tally.triggered += 1;
        match fate {
            Fate::Dropped => {
                record.tally.dropped += 1;
                record.tally.open -= 1;
                record.finished.push(delivery.finished(Outcome::Dropped, 0));
            }
            Fate::Sent { copies, disorder, .. } => {
                record.tally.duplicated += u64::from(copies - 1);
                record.tally.delayed += u64::from(disorder == Disorder::Delayed);
                record.tally.reordered += u64::from(disorder == Disorder::Reordered);
            }
            Fate::Held { copies } => {
                record.tally.duplicated += u64::from(copies - 1);
                record.tally.late += 1;
                record.tally.held += 1;
                record.held.push((delivery.clone(), copies));
            }
        }
    }

    async fn deliver(
        &self,
        delivery: &Delivery,
        copies: u32,
        mut turn: Option<tokio::sync::OwnedSemaphorePermit>,
    ) {
        let mut outcome = Outcome::GivenUp;
        let mut attempts = 0;
        for attempt in 0..=RETRIES {
            attempts += 1;
            if attempt > 0 {
                let wait = FIRST_WAIT * 2_u32.pow(attempt - 1);
                tokio::time::sleep(wait.mul_f64(self.how.retry_scale)).await;
            }
            let turn = match turn.take() {
                Some(turn) => Ok(turn),
                None => self.permits.clone().acquire_owned().await,
            };
            let accepted = self.attempt(delivery).await;
            if accepted {
                for _ in 1..copies {
                    self.attempt(delivery).await;
                }
                outcome = Outcome::Accepted;
                break;
            }
            drop(turn);
        }
        let mut record = lock(&self.record);
        record.tally.open -= 1;
        match outcome {
            Outcome::Accepted => record.tally.accepted += 1,
            _ => {
                record.tally.given_up += 1;
                if let Some(subscription) = delivery.subscription {
                    let _ = self.on_give_up.send(subscription);
                }
            }
        }
        record.finished.push(delivery.finished(outcome, attempts));
    }

    /// One request; whether it was answered with success, which only 2xx is.
    async fn attempt(&self, delivery: &Delivery) -> bool {
        lock(&self.record).tally.attempts += 1;
        let signature = lock(&self.secrets).sign(&delivery.webhook_id, &delivery.body);
        let mut request = self
            .client
            .post(&delivery.uri)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, "Shopify-Captain-Hook")
            .header(CONNECTION, "keep-alive");
        for (name, value) in delivery.headers(&self.shop, signature) {
            request = request.header(name, value);
        }
        match request.body(delivery.body.clone()).send().await {
            Ok(response) if response.status().is_success() => {
                // Reading to the end lets the connection be used again.
                let _ = response.bytes().await;
                true
            }
            Ok(response) => {
                let status = response.status().as_u16();
                *lock(&self.record).tally.refused.entry(status).or_default() += 1;
                false
            }
            Err(_) => {
                lock(&self.record).tally.unanswered += 1;
                false
            }
        }
    }
}

impl Delivery {
    /// What labels it, with the prefix or, in the Events family, without.
    fn headers(&self, shop: &str, signature: String) -> Vec<(&'static str, String)> {
        let triggered_at = instant::header(self.triggered_at);
        let topic = self.topic.name().to_owned();
        let Some((handle, action)) = &self.event else {
            let mut headers = vec![
                ("X-Shopify-Topic", topic),
                ("X-Shopify-Hmac-Sha256", signature),
                ("X-Shopify-Shop-Domain", shop.to_owned()),
                ("X-Shopify-API-Version", self.api_version.clone()),
                ("X-Shopify-Webhook-Id", self.webhook_id.clone()),
                ("X-Shopify-Event-Id", self.event_id.clone()),
                ("X-Shopify-Triggered-At", triggered_at),
            ];
            headers.extend(self.name.clone().map(|name| ("X-Shopify-Name", name)));
            return headers;
        };
        vec![
            ("Shopify-Topic", topic),
            ("Shopify-Hmac-Sha256", signature),
            ("Shopify-Shop-Domain", shop.to_owned()),
            ("Shopify-API-Version", self.api_version.clone()),
            ("Shopify-Webhook-Id", self.webhook_id.clone()),
            ("Shopify-Handle", handle.clone()),
            ("Shopify-Action", (*action).to_owned()),
            ("Shopify-Triggered-At", triggered_at),
        ]
    }

    fn finished(&self, outcome: Outcome, attempts: u32) -> Finished {
        Finished {
            webhook_id: self.webhook_id.clone(),
            topic: self.topic.name(),
            gid: self.gid.to_string(),
            triggered_at: instant::header(self.triggered_at),
            outcome,
            attempts,
            says: self.says.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retries_take_four_hours() {
        let total: Duration = (0..RETRIES).map(|retry| FIRST_WAIT * 2_u32.pow(retry)).sum();
        assert_eq!(total.as_secs() / 60, 239);
    }
}
