//! The bulk lane of a job that makes many products anew: mutations of the same document wait here for
//! each other, go together as a bulk operation, which takes no points, and each is answered as if it had
//! gone by itself. Beside it rows go on being written one by one, as far as the points reach.
//!
//! Only rows that make a product go this way (`write/bulk.rs`). They set nothing that was there before, so
//! that the minute between a row's look and its write is no harm: a product that takes the handle
//! meanwhile makes the shop refuse the row, as it would otherwise.
//!
//! **Nothing is made twice.** A row hears an answer only when its operation is over, or was never started.
//! What has no answer then is [`AdminError::Unknown`]: the row is looked for and decided about anew. An
//! operation whose start nobody heard of is looked for by its name. Whoever takes up a job ends the
//! operations of before and waits until they are over, before it looks at anything ([`quiet`]).
//!
//! **To end.** When a job is paused or cancelled, or the process is to end, what waits goes back, is on record
//! as unsent, and stays open. Operations that run are awaited; those of a process that is to end are asked
//! to end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::admin::bulk::{self as operations, State};
use backstock_proto::admin::{AdminError, Answer, Call, Repeat};
use backstock_proto::{Shop, Timestamp};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use super::place::Place;
use super::runner::{RunError, Runner, WAIT_FIRST};
use crate::write::bulk;

mod operation;

use operation::Work;

/// From so many seconds on, which the points of what is made anew would take to come back, it goes in
/// bulk: starting operations and waiting for them takes the better part of a minute, which is to be little
/// of the whole.
const WORTH_SECONDS: f64 = 300.0;
/// Operations at once: as many as the shop runs.
const AT_ONCE: usize = 5;
/// How long an operation is to take, which is how long a pause waits for it, and how late a row hears: by
/// it and the pace of the last one the lines of the next are counted.
const OPERATION_SECONDS: f64 = 30.0;
/// Lines of the first operation, and the most of any. Fewer than the least cost more points to stage,
/// start and ask after than they save.
const LINES_FIRST: usize = 50;
const LINES_MAX: usize = 250;
const LINES_MIN: usize = 5;
/// About how large an upload is. Shopify takes 100 MB by its documentation, and took 20 before.
const BYTES_MAX: usize = 8 << 20;
/// How long a mutation waits for others.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether somebody waits too long.
const TICK: Duration = Duration::from_millis(500);
/// What may be in the lane: so many mutations, of so many bytes each on average. What comes beyond goes by
/// itself.
const ROOM: usize = 256;
const ROOM_BYTES: usize = 16 << 10;
/// How far back it is looked: more than the clocks differ.
const BACK_MICROS: i64 = 120_000_000;
/// After so many operations in a row without a result everything of their document goes by itself.
const FAILURES_MAX: u32 = 3;

/// Takes mutations, until it is dropped.
pub(super) struct Lane {
    shop: Shop,
    queue: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    _works: AbortOnDropHandle<()>,
}

/// What became of a mutation.
pub(super) enum Heard {
    /// The same as if it had gone by itself.
    Answer(Result<Answer, AdminError>),
    /// Nothing: it can go by itself, with these variables.
    NotTaken(Value),
    /// Nothing: it was not sent, since the job is to stand still, and the row stays open.
    Back,
}

/// What one that waits is told. Text is read once there is a place for who waits: as a tree it takes some
/// ten times as much.
enum Told {
    Heard(Heard),
    /// The line of a result that answers it.
    Line(String),
    /// Nothing: here are its variables.
    NotTaken(Vec<u8>),
}

struct Waiting {
    document: &'static str,
    /// Its variables, as JSON.
    line: Vec<u8>,
    repeat: Repeat,
    since: Instant,
    done: oneshot::Sender<Told>,
}

/// Waits until no operation that a job of before started writes any more. Whether the shop lists them:
/// else none can be started.
pub(super) async fn quiet(runner: &Runner) -> Result<bool, RunError> {
    let (client, shop, mut wait) = (runner.client(), &runner.shop, WAIT_FIRST);
    loop {
        runner.gate()?;
        match operations::mutations(client, back(runner.tools.clock.now())).await {
            Ok(mut listed) => {
                listed.retain(|one| !one.status.is_over() && bulk::may_be_ours(&one.query));
                if listed.is_empty() {
                    return Ok(true);
                }
                for one in listed.iter().filter(|one| one.status != State::Canceling) {
                    tracing::info!(%shop, operation = %one.id, "ends a bulk operation of before");
                    if let Err(error) = operations::cancel(client, &one.id).await {
                        tracing::warn!(%shop, operation = %one.id, %error, "cannot end it yet");
                    }
                }
            }
            Err(error) if error.is_of_shop() => return Err(RunError::Stuck(error.to_string())),
            Err(error @ (AdminError::Document { .. } | AdminError::Refused { .. })) => {
                tracing::warn!(%shop, %error, "bulk operations are not listed; none is started");
                return Ok(false);
            }
            Err(error) => tracing::warn!(%shop, %error, "the shop does not list bulk operations"),
        }
        runner.sleep(&mut wait).await?;
    }
}

impl Lane {
    /// The lane of a job that has much to make anew, once nothing of before is under way; `None` for all
    /// others. One that is ended has it in any case: there what would make a product goes back.
    pub(super) async fn open(runner: &Runner) -> Result<Option<Self>, RunError> {
        if runner.products <= 0.0 || !quiet(runner).await? {
            return Ok(None);
        }
        let seconds = runner.products / runner.client().granted().per_second.max(1.0);
        if seconds < WORTH_SECONDS && !runner.ending {
            return Ok(None);
        }
        let (queue, arriving) = mpsc::unbounded_channel();
        let works = AbortOnDropHandle::new(tokio::spawn(go(Work::of(runner), arriving)));
        let (shop, room) = (runner.shop.clone(), Arc::new(Semaphore::new(ROOM)));
        Ok(Some(Self { shop, queue, room, _works: works }))
    }

    /// What becomes of a mutation with these variables. While it is under way the row leaves its place to
    /// another, and the variables are held as the line only.
    pub(super) async fn send(&self, call: &Call<'_>, variables: Value, place: &Place) -> Heard {
        let not_taken = Heard::NotTaken;
        let Some(document) = bulk::document(call.document) else { return not_taken(variables) };
        let Ok(line) = serde_json::to_vec(&variables) else { return not_taken(variables) };
        let takes = u32::try_from(line.len().div_ceil(ROOM_BYTES)).unwrap_or(u32::MAX);
        let Ok(_room) = self.room.try_acquire_many(takes) else { return not_taken(variables) };
        let (done, told) = oneshot::channel();
        let (repeat, since) = (call.repeat, Instant::now());
        if self.queue.send(Waiting { document, line, repeat, since, done }).is_err() {
            return not_taken(variables);
        }
        drop(variables);
        place.leave();
        let told = told.await;
        place.take().await;
        let unknown = |detail: String| {
            let shop = self.shop.clone();
            Heard::Answer(Err(AdminError::Unknown { shop, detail }))
        };
        match told {
            Ok(Told::Heard(heard)) => heard,
            Ok(Told::Line(line)) => match operations::answered(&self.shop, &line) {
                Some((_, answer)) => Heard::Answer(answer),
                None => unknown("its line in a bulk result cannot be read".into()),
            },
            // What was written as JSON can be read.
            Ok(Told::NotTaken(line)) => {
                not_taken(serde_json::from_slice(&line).unwrap_or_default())
            }
            // Whoever worked here is gone, and may have left an operation behind.
            Err(gone) => unknown(gone.to_string()),
        }
    }
}

/// Starts operations for what arrives, until nobody is left who could send anything.
async fn go(work: Work, mut arriving: mpsc::UnboundedReceiver<Waiting>) {
    let mut want = work.run.want.subscribe();
    let mut waiting: Vec<Waiting> = Vec::new();
    let mut under_way: FuturesUnordered<BoxFuture<'_, (&'static str, Option<f64>)>> =
        FuturesUnordered::new();
    let mut lines = LINES_FIRST;
    // Operations in a row without a result, by their document.
    let mut failures: BTreeMap<&'static str, u32> = BTreeMap::new();
    loop {
        tokio::select! {
            arrived = arriving.recv() => match arrived {
                Some(one) => waiting.push(one),
                None => return,
            },
            Some((document, pace)) = under_way.next() => match pace {
                Some(pace) => {
                    lines = lines_at(pace);
                    failures.remove(document);
                }
                None => *failures.entry(document).or_default() += 1,
            },
            _ = want.changed() => {}
            () = tokio::time::sleep(TICK) => {}
        }
        let fails = |one: &mut Waiting| failures.get(one.document) >= Some(&FAILURES_MAX);
        waiting.extract_if(.., fails).for_each(Waiting::not_taken);
        if !work.goes_on() {
            waiting.drain(..).for_each(Waiting::back);
        }
        while under_way.len() < AT_ONCE
            && let Some(batch) = next(&mut waiting, lines)
        {
            match batch.len() < LINES_MIN {
                true => batch.into_iter().for_each(Waiting::not_taken),
                false => under_way.push(work.operation(batch).boxed()),
            }
        }
    }
}

/// How many lines take as long as an operation is to take.
fn lines_at(per_second: f64) -> usize {
    ((per_second * OPERATION_SECONDS) as usize).clamp(LINES_FIRST / 2, LINES_MAX)
}

/// What goes together next, of the same document: so many, or those that wait long enough.
fn next(waiting: &mut Vec<Waiting>, lines: usize) -> Option<Vec<Waiting>> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    waiting.iter().for_each(|one| *counts.entry(one.document).or_default() += 1);
    let is_ripe = |one: &&Waiting| one.since.elapsed() >= WAIT_MAX || counts[one.document] >= lines;
    let document = waiting.iter().find(is_ripe)?.document;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    let mut rest = Vec::new();
    for one in std::mem::take(waiting) {
        let fits = batch.is_empty() || bytes + one.line.len() <= BYTES_MAX;
        if one.document == document && batch.len() < lines && fits {
            bytes += one.line.len();
            batch.push(one);
        } else {
            rest.push(one);
        }
    }
    *waiting = rest;
    Some(batch)
}

/// From when on operations are listed, whatever became of them.
fn back(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros() - BACK_MICROS)
}

impl Waiting {
    fn hears(self, heard: Heard) {
        self.tell(Told::Heard(heard));
    }

    fn tell(self, told: Told) {
        // Whoever waited may be gone.
        drop(self.done.send(told));
    }

    fn not_taken(mut self) {
        let line = std::mem::take(&mut self.line);
        self.tell(Told::NotTaken(line));
    }

    /// What makes something stays undone; what belongs to something that was made is done all the same.
    fn back(self) {
        match self.repeat {
            Repeat::Never => self.hears(Heard::Back),
            Repeat::Safe => self.not_taken(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(document: &'static str, bytes: usize) -> Waiting {
        let (done, _) = oneshot::channel();
        let line = vec![b' '; bytes];
        Waiting { document, line, repeat: Repeat::Never, since: Instant::now(), done }
    }

    #[test]
    fn what_is_of_one_document_goes_together_once_it_is_enough_and_no_more_than_may() {
        let mut all: Vec<Waiting> = (0..4).map(|_| waiting("a", 1)).collect();
        all.push(waiting("b", 1));
        assert!(next(&mut all, 5).is_none(), "neither enough nor old enough");
        let batch = next(&mut all, 3).expect("enough");
        assert_eq!((batch.len(), all.len()), (3, 2));
        assert!(batch.iter().all(|one| one.document == "a"));
        let mut large: Vec<Waiting> = (0..3).map(|_| waiting("a", BYTES_MAX / 2)).collect();
        assert_eq!(next(&mut large, 3).map(|batch| batch.len()), Some(2));
    }

    #[test]
    fn an_operation_takes_about_as_long_as_it_is_to_take() {
        assert_eq!(lines_at(4.0), 120);
        assert_eq!((lines_at(0.1), lines_at(1_000.0)), (LINES_FIRST / 2, LINES_MAX));
    }
}
