//! What a job does, on the stream before and after it is done. All of a job's steps stand under one
//! id, each record after the one before, so that two who write at the same job cannot both go on:
//! the second to take it up fences off the first.
//!
//! What queues up while one record is under way, and for some moments after it began, is the next one, so
//! that rows that are written at once share a sync. What comes alone waits for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backstock_proto::journal::{Journal, Page};
use backstock_proto::publish::{PublishError, PutError, Records};
use backstock_proto::{Shop, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::MissedTickBehavior;

use super::outcome::Outcomes;
use super::written::{Batch, WRITTEN, Wrote};
use super::{RowResult, RowState};
use crate::record::RecordError;

/// What a record of some of a job's steps stands under, by the job's id.
pub(super) const JOB_STEPS: &str = "job_steps";

/// Most steps in one record.
const STEPS_MAX: usize = 256;
/// About how large a record of what was written is. One row alone may be larger.
const BATCH_BYTES: usize = 512 << 10;
/// How soon after one record the next one follows. A row takes a second or so, and many are under way.
const EVERY: Duration = Duration::from_millis(20);
/// Steps that are read together, about: as a tree each takes some kilobytes.
const STEPS_TOGETHER: usize = 12 * STEPS_MAX;
/// Records of steps that are read together, at most.
const RECORDS_TOGETHER: usize = 50;
/// Steps that may wait.
const WAITING_MAX: usize = 1_024;
/// How often the stream is tried, and for how long.
const RETRY_AFTER: Duration = Duration::from_millis(500);
const TRIES_MAX: u32 = 240;
/// How often the journal is asked whether it has read so far, and how often.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOKS_MAX: u32 = 3_000;

/// One thing that a job did, or is about to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Somebody takes the job up: whoever had it before goes no further.
    Taken,
    /// A row's first mutation is about to be sent.
    Begun(u64),
    /// It was not sent after all, or made nothing: the row is as if it had not been begun.
    Back(u64),
    /// A row is over.
    Over(RowResult),
    /// A row was made anew without what refers to rows that were not there yet: that follows.
    Rest(RowResult),
}

/// Some steps, on record together.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    /// Who writes.
    by: String,
    /// The record by which he took the job up: he may have done so before.
    #[serde(default)]
    taken: u64,
    /// How many records he wrote since.
    k: u64,
    /// How often the job was begun anew before.
    attempt: u32,
    steps: Vec<Step>,
}

/// How far a job is.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Rows that are not over and whose first mutation may have been sent, and when that was put on
    /// record.
    pub(super) begun: BTreeMap<u64, Timestamp>,
    /// Those of them that were begun in this attempt, or did not come to an end in the one before.
    pub(super) unfinished: BTreeSet<u64>,
    /// Rows that are over, with what became of them.
    pub(super) over: Outcomes,
    /// Rows of which a part follows.
    pub(super) rest: BTreeSet<u64>,
    /// Rows that failed in an earlier attempt.
    failed: BTreeSet<u64>,
    /// Rows of which what was begun before made nothing.
    back: BTreeSet<u64>,
}

/// Why a job cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum LedgerError {
    /// Somebody else took it up.
    #[error("another restorer took the job up")]
    Fenced,
    /// The stream or the journal does not answer.
    #[error("{0}")]
    Unavailable(String),
}

impl From<RecordError> for LedgerError {
    fn from(error: RecordError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Where and what a ledger is.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) records: Arc<dyn Records>,
    pub(super) shop: Shop,
    pub(super) job: String,
    /// Who writes.
    pub(super) by: String,
    pub(super) attempt: u32,
}

/// Takes steps of one job. Clones share it.
#[derive(Clone)]
pub(super) struct Ledger {
    waiting: mpsc::Sender<Waiting>,
}

struct Waiting {
    step: Step,
    wrote: Option<Wrote>,
    done: oneshot::Sender<Result<(), LedgerError>>,
}

/// Takes a job up: from here on nobody else can add to its steps. Answers how far it is.
pub(super) async fn take_up(place: Place) -> Result<(Ledger, Standing), LedgerError> {
    let mut tries = 0;
    let taken = loop {
        let newest = newest(&place).await?;
        let after = newest.as_ref().map_or(0, |(seq, _)| *seq);
        let entry = Entry {
            by: place.by.clone(),
            taken: 0,
            k: 0,
            attempt: place.attempt,
            steps: vec![Step::Taken],
        };
        match put(&place, &entry, after).await {
            Ok(seq) => break seq,
            // The journal is behind the stream, or the stream does not answer.
            Err(error) if tries >= TRIES_MAX => {
                return Err(LedgerError::Unavailable(error.to_string()));
            }
            Err(_) => tries += 1,
        }
        tokio::time::sleep(RETRY_AFTER).await;
    };
    // Once the journal shows this, it shows everything that was put before.
    seen(&place, taken).await?;
    let standing = standing(&place).await?;
    let (waiting, queue) = mpsc::channel(WAITING_MAX);
    tokio::spawn(write(place, queue, taken));
    Ok((Ledger { waiting }, standing))
}

/// How far a job is, as far as the journal has read.
pub(super) async fn standing(place: &Place) -> Result<Standing, LedgerError> {
    let mut page = Page { limit: together(1, STEPS_MAX), cursor: None };
    let mut standing = Standing::default();
    loop {
        let list = place.journal.records(&place.shop, JOB_STEPS, Some(&place.job), &page).await;
        let list = list.map_err(|e| LedgerError::Unavailable(e.to_string()))?;
        let (records, mut steps) = (list.items.len(), 0);
        for record in list.items {
            let entry: Entry = serde_json::from_value(record.payload)
                .map_err(|e| RecordError::unreadable(JOB_STEPS, &place.job, &e))?;
            steps += entry.steps.len();
            standing.add(entry, record.recorded_at, place.attempt);
        }
        page.limit = together(records, steps);
        match list.next {
            Some(next) => page.cursor = Some(next),
            None => return Ok(standing),
        }
    }
}

/// How many records are read together after some that held so many steps. Where a shop is slow each holds
/// one or two, and there are as many as rows.
fn together(records: usize, steps: usize) -> usize {
    let records = STEPS_TOGETHER * records / steps.max(1);
    records.clamp(STEPS_TOGETHER / STEPS_MAX, RECORDS_TOGETHER)
}

impl Standing {
    /// Takes up the next entry, newest first: of a row that is over, what was before that says nothing
    /// more. What failed in an earlier attempt is to be tried again.
    fn add(&mut self, entry: Entry, at: Timestamp, attempt: u32) {
        let earlier = entry.attempt < attempt;
        for step in entry.steps.into_iter().rev() {
            match step {
                Step::Taken => {}
                Step::Back(n) => drop(self.back.insert(n)),
                Step::Begun(n) if self.over.state(n).is_some() || self.back.contains(&n) => {}
                // The first time is what counts.
                Step::Begun(n) => {
                    self.begun.insert(n, at);
                    if !self.failed.contains(&n) {
                        self.unfinished.insert(n);
                    }
                }
                Step::Over(RowResult { n, .. }) | Step::Rest(RowResult { n, .. })
                    if self.over.state(n).is_some() => {}
                // What was made anew before the rest of it failed stays so.
                Step::Rest(result) => {
                    self.rest.insert(result.n);
                    self.over.insert(&result);
                }
                Step::Over(result) if result.state == RowState::Failed && earlier => {
                    self.failed.insert(result.n);
                }
                Step::Over(result) if self.failed.contains(&result.n) => {}
                Step::Over(result) => drop(self.over.insert(&result)),
            }
        }
    }
}

impl Ledger {
    /// Puts a step on record, durably.
    pub(super) async fn put(&self, step: Step, wrote: Option<Wrote>) -> Result<(), LedgerError> {
        let (done, answer) = oneshot::channel();
        let waiting = Waiting { step, wrote, done };
        let gone = || LedgerError::Unavailable("the job's steps are no longer written".into());
        self.waiting.send(waiting).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Writes what waits, together, until nobody is left who could put anything or nothing can be put
/// any more.
async fn write(place: Place, mut queue: mpsc::Receiver<Waiting>, taken: u64) {
    let (mut last, mut k) = (taken, 0);
    let mut some = Vec::with_capacity(STEPS_MAX);
    let mut every = tokio::time::interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        if queue.recv_many(&mut some, STEPS_MAX).await == 0 {
            return;
        }
        k += 1;
        let (mut steps, mut rows, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for Waiting { step, wrote, done } in some.drain(..) {
            steps.push(step);
            rows.extend(wrote);
            all.push(done);
        }
        let entry = Entry { by: place.by.clone(), taken, k, attempt: place.attempt, steps };
        let put = async {
            // What was made anew is known before its row is over, so that it is never looked for in vain.
            put_written(&place, (taken, k), rows).await?;
            put_next(&place, &entry, last).await
        };
        let put = put.await;
        let answer = put.as_ref().map(|_| ()).map_err(Clone::clone);
        all.into_iter().for_each(|done| drop(done.send(answer.clone())));
        match put {
            Ok(seq) => last = seq,
            Err(_) => return,
        }
    }
}

async fn put_written(
    place: &Place,
    (taken, k): (u64, u64),
    rows: Vec<Wrote>,
) -> Result<(), LedgerError> {
    for (n, rows) in by_size(rows).into_iter().enumerate() {
        let id = format!("{}.{taken}.{k}.{n}", place.job);
        let payload = serde_json::to_value(Batch { rows }).unwrap_or_default();
        let mut tries = 0;
        // The same id holds the same batch, so putting it twice is putting it once.
        while let Err(error) = place.records.put(&place.shop, WRITTEN, &id, &payload).await {
            tries += 1;
            if tries >= TRIES_MAX {
                return Err(LedgerError::Unavailable(error.to_string()));
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
    Ok(())
}

/// What was written, in records that the stream takes: a product alone may own thousands of ids.
fn by_size(rows: Vec<Wrote>) -> Vec<Vec<Wrote>> {
    let (mut batches, mut bytes): (Vec<Vec<Wrote>>, usize) = (Vec::new(), 0);
    for row in rows {
        let more = serde_json::to_vec(&row).map_or(0, |text| text.len());
        match batches.last_mut().filter(|_| bytes + more <= BATCH_BYTES) {
            Some(batch) => {
                batch.push(row);
                bytes += more;
            }
            None => {
                batches.push(vec![row]);
                bytes = more;
            }
        }
    }
    batches
}

/// Puts an entry after the last one, whatever it takes.
async fn put_next(place: &Place, entry: &Entry, last: u64) -> Result<u64, LedgerError> {
    let mut tries = 0;
    loop {
        match put(place, entry, last).await {
            Ok(seq) => return Ok(seq),
            Err(PutError::Moved(_)) => match ours(place, entry, last).await? {
                Some(seq) => return Ok(seq),
                None => return Err(LedgerError::Fenced),
            },
            Err(PutError::Publish(error)) if tries >= TRIES_MAX => {
                return Err(LedgerError::Unavailable(error.to_string()));
            }
            Err(PutError::Publish(_)) => tries += 1,
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// The sequence of an entry whose acknowledgement was lost, if it is what stands after `last`.
async fn ours(place: &Place, entry: &Entry, last: u64) -> Result<Option<u64>, LedgerError> {
    for _ in 0..LOOKS_MAX {
        if let Some((seq, newest)) = newest(place).await?
            && seq > last
        {
            let same = |entry: &Entry| (entry.by.clone(), entry.taken, entry.k);
            return Ok((same(&newest) == same(entry)).then_some(seq));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(LedgerError::Unavailable("the journal does not show the job's newest step".into()))
}

async fn newest(place: &Place) -> Result<Option<(u64, Entry)>, LedgerError> {
    let page = Page { limit: 1, cursor: None };
    let list = place.journal.records(&place.shop, JOB_STEPS, Some(&place.job), &page).await;
    let mut list = list.map_err(|e| LedgerError::Unavailable(e.to_string()))?;
    let Some(record) = list.items.pop() else { return Ok(None) };
    let entry = serde_json::from_value(record.payload)
        .map_err(|e| RecordError::unreadable(JOB_STEPS, &place.job, &e))?;
    Ok(Some((record.seq, entry)))
}

/// Waits until the journal shows a sequence.
async fn seen(place: &Place, seq: u64) -> Result<(), LedgerError> {
    for _ in 0..LOOKS_MAX {
        if newest(place).await?.is_some_and(|(newest, _)| newest >= seq) {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Err(LedgerError::Unavailable("the journal lags behind the stream".into()))
}

async fn put(place: &Place, entry: &Entry, after: u64) -> Result<u64, PutError> {
    let payload: Value = serde_json::to_value(entry).map_err(|e| {
        PutError::Publish(PublishError { subject: place.job.clone(), reason: e.to_string() })
    })?;
    place.records.put_after(&place.shop, JOB_STEPS, &place.job, &payload, after).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::{Kind, ResourceId};

    #[test]
    fn what_owns_thousands_of_ids_is_put_on_record_in_pieces_that_the_stream_takes() {
        let gid = |n: usize| format!("gid://shopify/ProductVariant/{n:014}");
        let wrote = |of: usize| Wrote {
            job: "job-1".into(),
            kind: Kind::parse("product").expect("a kind"),
            id: ResourceId::parse("1").expect("an id"),
            was: None,
            ids: (0..2_048).map(|n| (gid(of + n), gid(of + n + 1_000_000))).collect(),
            from: Timestamp::from_micros(0),
            to: Timestamp::from_micros(1),
            hash: None,
            made: Vec::new(),
        };
        let rows: Vec<Wrote> = (0..24).map(|n| wrote(n * 10_000)).collect();
        let batches = by_size(rows.clone());
        for batch in &batches {
            let text = serde_json::to_vec(&Batch { rows: batch.clone() }).expect("JSON");
            assert!(batch.len() == 1 || text.len() < BATCH_BYTES + 100, "{}", text.len());
        }
        assert_eq!(batches.concat(), rows);
    }

    #[tokio::test]
    async fn steps_that_come_one_after_the_other_share_records() {
        let (fake, shop) = (Arc::new(crate::fake::Fake::default()), crate::fake::shop("acme"));
        let place = Place {
            journal: fake.clone(),
            records: fake.clone(),
            shop: shop.clone(),
            job: "job-1".into(),
            by: "restorer-1".into(),
            attempt: 0,
        };
        let (ledger, _) = take_up(place.clone()).await.expect("taken up");
        let puts = (0..100).map(|n| {
            let ledger = ledger.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(n)).await;
                ledger.put(Step::Begun(n), None).await
            }
        });
        futures::future::try_join_all(puts).await.expect("on record");
        let all = Page { limit: 1_000, cursor: None };
        let records = fake.records(&shop, JOB_STEPS, Some("job-1"), &all).await.expect("read");
        assert!(records.items.len() < 30, "{}", records.items.len());
        assert_eq!(standing(&place).await.expect("read").unfinished.len(), 100);
    }

    #[test]
    fn the_fewer_steps_records_hold_the_more_of_them_are_read_together() {
        assert_eq!(together(1, STEPS_MAX), 12);
        assert_eq!(together(12, 12 * 100), 30);
        assert_eq!((together(12, 12), together(0, 0)), (50, 12));
    }

    #[test]
    fn what_became_of_a_row_last_is_what_counts() {
        let result = |n, state| RowResult {
            n,
            kind: Kind::parse("page").expect("a kind"),
            id: ResourceId::parse("1").expect("an id"),
            title: String::new(),
            state,
            reason: None,
            new_gid: None,
        };
        let over = |n, state| Step::Over(result(n, state));
        let (failed, created) = (RowState::Failed, RowState::Created);
        let first = vec![
            Step::Taken,
            Step::Begun(0),
            Step::Begun(4),
            Step::Begun(5),
            over(0, failed),
            over(5, failed),
            Step::Rest(result(1, created)),
            Step::Rest(result(2, created)),
            over(1, failed),
            over(3, created),
        ];
        let second = vec![Step::Taken, Step::Begun(0), over(2, RowState::Updated)];
        let mut standing = Standing::default();
        for (steps, attempt) in [(second, 1), (first, 0)] {
            let (by, at) = (String::new(), Timestamp::from_micros(i64::from(attempt)));
            standing.add(Entry { by, taken: 1, k: 1, attempt, steps }, at, 1);
        }
        let states: Vec<(u64, RowState)> = standing.over.states().collect();
        assert_eq!(states, [(1, created), (2, RowState::Updated), (3, created)]);
        assert_eq!(standing.rest, BTreeSet::from([1]));
        let at = Timestamp::from_micros(0);
        assert_eq!(standing.begun, BTreeMap::from([(0, at), (4, at), (5, at)]));
        assert_eq!(standing.unfinished, BTreeSet::from([0, 4]), "5 came to an end, and waits");
    }

    #[test]
    fn steps_on_record() {
        let golden = golden::Golden::of(env!("CARGO_MANIFEST_DIR"));
        let entry: Entry = golden.json("records-v1.txt", JOB_STEPS);
        golden::means((entry.by.as_str(), entry.taken, entry.k), ("restorer-1", 3, 1));
        let [Step::Taken, Step::Begun(0), Step::Over(over), Step::Rest(rest)] = &entry.steps[..]
        else {
            panic!("{}: {:?}", golden::HOW_TO_CHANGE, entry.steps);
        };
        golden::means((over.state, rest.state), (RowState::Created, RowState::Failed));
        let batch: Batch = golden.json("records-v1.txt", WRITTEN);
        let was = batch.rows[0].was.as_ref().map(ResourceId::as_str);
        golden::means((was, batch.rows[0].id.as_str()), (Some("1"), "9"));
    }
}
