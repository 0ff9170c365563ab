//! One bulk operation, from the lines that go together until everybody who sent one has heard.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backstock_proto::admin::bulk::{self as operations, Operation, Started, State};
use backstock_proto::admin::{AdminError, Client};
use backstock_proto::time::Clock;
use backstock_proto::{Shop, Timestamp};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{Heard, Told, Waiting, back};
use crate::job::run::{Run, Want};
use crate::job::runner::Runner;
use crate::write::{bulk, upload};

/// Waits between looks at an operation: the first, and the longest.
const LOOK_FIRST: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(5);
/// An operation that takes longer is asked to end.
const PATIENCE: Duration = Duration::from_secs(900);
/// Where as many run as may: how often it is tried to start one more, and how long after.
const STARTS_MAX: u32 = 5;
const START_AFTER: Duration = Duration::from_secs(3);
/// How often it is looked for an operation whose start nobody heard of.
const SEARCHES: u32 = 10;
/// How often a result is read that breaks off.
const READS_MAX: u32 = 3;

/// What operations are started with.
pub(super) struct Work {
    client: Client,
    pub(super) run: Arc<Run>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    /// Operations that were begun, and those that are known by their ids.
    begun: AtomicU64,
    known: Mutex<BTreeSet<String>>,
}

/// Why an operation has no result.
enum Lost {
    /// It was not started.
    NotStarted(String),
    /// It was not started, since the job is to stand still.
    Held,
    /// Nobody knows what it did.
    Unheard(AdminError),
}

impl Work {
    pub(super) fn of(runner: &Runner) -> Self {
        Self {
            client: runner.client().clone(),
            run: runner.run.clone(),
            clock: runner.tools.clock.clone(),
            stop: runner.stop.clone(),
            begun: AtomicU64::new(0),
            known: Mutex::default(),
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        *self.run.want.borrow() == Want::Run && !self.stop.is_cancelled()
    }

    fn shop(&self) -> &Shop {
        &self.run.shop
    }

    /// One operation of a document, until all that went with it have heard.
    pub(super) async fn operation(&self, batch: Vec<Waiting>) -> (&'static str, Option<f64>) {
        let document = batch.first().map_or("", |one| one.document);
        (document, self.pace(batch).await)
    }

    /// How many lines a second it did; `None` where it did not end as it should.
    async fn pace(&self, batch: Vec<Waiting>) -> Option<f64> {
        let begun = Instant::now();
        match self.result(&batch).await {
            Ok(operation) => {
                let answered = self.answers(&operation, batch).await;
                let pace = answered as f64 / begun.elapsed().as_secs_f64().max(0.001);
                (operation.status == State::Completed && answered > 0).then_some(pace)
            }
            Err(Lost::NotStarted(why)) => {
                tracing::warn!(shop = %self.shop(), error = %why, "a bulk operation is not started");
                batch.into_iter().for_each(Waiting::not_taken);
                None
            }
            Err(Lost::Held) => {
                batch.into_iter().for_each(Waiting::back);
                None
            }
            Err(Lost::Unheard(error)) => {
                tracing::warn!(shop = %self.shop(), %error, "nobody knows what a bulk operation did");
                batch.into_iter().for_each(|one| one.hears(Heard::Answer(Err(error.clone()))));
                None
            }
        }
    }

    /// The operation of a batch, once it is over.
    async fn result(&self, batch: &[Waiting]) -> Result<Operation, Lost> {
        let document = batch.first().map_or("", |one| one.document);
        let mut lines = Vec::with_capacity(batch.iter().map(|one| one.line.len() + 1).sum());
        for one in batch {
            lines.extend_from_slice(&one.line);
            lines.push(b'\n');
        }
        let path = upload::variables(&self.client, lines.into()).await;
        let path = path.map_err(|error| Lost::NotStarted(error.to_string()))?;
        let id = self.start(document, &path).await?;
        self.over(&id).await
    }

    async fn start(&self, document: &str, path: &str) -> Result<String, Lost> {
        let (n, now) = (self.begun.fetch_add(1, Ordering::Relaxed), self.clock.now());
        let named = format!("{}\n{n}\n{now}", self.run.job().id);
        let nonce = blake3::hash(named.as_bytes()).to_hex()[..16].to_owned();
        let document = bulk::named(document, &nonce);
        for _ in 0..STARTS_MAX {
            if !self.goes_on() {
                return Err(Lost::Held);
            }
            match operations::start_mutation(&self.client, &document, path).await {
                Ok(Started::Running(Operation { id, .. })) => return Ok(self.knows(id)),
                Ok(Started::TooMany) => tokio::time::sleep(START_AFTER).await,
                Err(error @ AdminError::Unknown { .. }) => {
                    return self.find(&nonce, back(self.clock.now()), error).await;
                }
                Err(error) => return Err(Lost::NotStarted(error.to_string())),
            }
        }
        Err(Lost::NotStarted("as many run as may".into()))
    }

    fn knows(&self, id: String) -> String {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        id
    }

    /// The operation of a name, whose start nobody heard of. Where there is none, and nothing runs that may
    /// be it, it was not started, as far as anybody can tell.
    async fn find(
        &self,
        nonce: &str,
        since: Timestamp,
        unknown: AdminError,
    ) -> Result<String, Lost> {
        let mut searches = 0;
        loop {
            tokio::time::sleep(LOOK_FIRST).await;
            match operations::mutations(&self.client, since).await {
                Ok(listed) => {
                    if let Some(found) = listed.iter().find(|one| one.query.contains(nonce)) {
                        return Ok(self.knows(found.id.clone()));
                    }
                    searches += 1;
                    let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
                    let may_be_it = listed.iter().any(|one| {
                        !one.status.is_over()
                            && bulk::may_be_ours(&one.query)
                            && !known.contains(&one.id)
                    });
                    if searches >= SEARCHES && !may_be_it {
                        return Err(Lost::Unheard(unknown));
                    }
                }
                Err(error) if error.is_of_shop() => return Err(Lost::Unheard(error)),
                Err(error) => {
                    let shop = self.shop();
                    tracing::warn!(%shop, %error, "bulk operations cannot be listed yet");
                }
            }
        }
    }

    /// Waits until an operation is over, however long that takes.
    async fn over(&self, id: &str) -> Result<Operation, Lost> {
        let (shop, begun) = (self.shop(), Instant::now());
        let (mut wait, mut is_ending) = (LOOK_FIRST, false);
        loop {
            tokio::time::sleep(wait).await;
            wait = wait.mul_f64(1.5).min(LOOK_MAX);
            let is_late = begun.elapsed() > PATIENCE;
            match operations::poll(&self.client, id, 1.0).await {
                Ok(Some(operation)) if operation.status.is_over() => return Ok(operation),
                Ok(None) if is_late => {
                    let detail = format!("it knows of no bulk operation {id}");
                    return Err(Lost::Unheard(AdminError::Unknown { shop: shop.clone(), detail }));
                }
                Ok(_) => {}
                Err(error) if error.is_of_shop() => return Err(Lost::Unheard(error)),
                Err(error) => tracing::warn!(%shop, %id, %error, "a bulk operation is not told of"),
            }
            if (is_late || self.stop.is_cancelled()) && !is_ending {
                tracing::warn!(%shop, %id, is_late, "a bulk operation is to end");
                is_ending = operations::cancel(&self.client, id).await.is_ok();
            }
        }
    }

    /// Hands on what an operation answered. How many heard.
    async fn answers(&self, operation: &Operation, batch: Vec<Waiting>) -> u64 {
        let mut waiting: Vec<Option<Waiting>> = batch.into_iter().map(Some).collect();
        let mut answered = 0;
        if let Some(url) = operation.url.as_ref().or(operation.partial_data_url.as_ref()) {
            for _ in 0..READS_MAX {
                match self.read(url, &mut waiting, &mut answered).await {
                    Ok(()) => break,
                    Err(error) => {
                        let shop = self.shop();
                        tracing::warn!(%shop, %error, "a bulk result is not read to its end");
                        tokio::time::sleep(LOOK_FIRST).await;
                    }
                }
            }
        }
        self.run.went_in_bulk(answered);
        for one in waiting.into_iter().flatten() {
            let Operation { id, status, .. } = operation;
            let detail = format!("{id} is over ({status:?}) without an answer to it");
            let shop = self.shop().clone();
            one.hears(Heard::Answer(Err(AdminError::Unknown { shop, detail })));
        }
        answered
    }

    async fn read(
        &self,
        url: &str,
        waiting: &mut [Option<Waiting>],
        answered: &mut u64,
    ) -> Result<(), String> {
        let lines = operations::lines(&self.client, url).await;
        let mut lines = lines.map_err(|error| error.to_string())?;
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| error.to_string())?;
            let Some(n) = operations::answers(&line) else { continue };
            if let Some(one) = waiting.get_mut(n).and_then(Option::take) {
                *answered += 1;
                one.tell(Told::Line(line));
            }
        }
        Ok(())
    }
}
