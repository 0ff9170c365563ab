//! Applies a plan: kind after kind, of a kind many rows at once, each looked at just before its turn
//! (`row.rs`).
//!
//! What refers to something that the same plan makes anew, and that is not there yet, is left out at
//! first, or waits, and is written once everything is there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backstock_proto::admin::Client;
use backstock_proto::admin::ask::Asker;
use backstock_proto::blob::{BlobError, BlobHash};
use backstock_proto::journal::JournalError;
use backstock_proto::kind::Spec;
use backstock_proto::{Kind, ResourceId, Shop, Timestamp};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::again::Again;
use super::ahead::Ahead;
use super::asked::Asked;
use super::begun::Begun;
use super::counted::{self, Counted};
use super::lane::Lane;
use super::ledger::{Ledger, LedgerError, Standing};
use super::missing::Missing;
use super::place::Place;
use super::rows;
use super::run::{Run, Want};
use super::turns::Turns;
use super::written::Written;
use crate::gids::Gids;
use crate::job::desk::Tools;
use crate::plan::{Action, Plan, Row, is_referred_to};
use crate::record::RecordError;
use backstock_proto::lease::LeaseError;

/// Rows that are written at once, at least and at most; the client's budget paces their calls. A row
/// takes some ten calls, one after the other, of some five points and a third of a second each: where
/// much is granted, it takes many rows to use it.
const WRITES_MIN: usize = 24;
const WRITES_MAX: usize = 240;
/// For so many points that the shop grants each second there is a row under way.
const POINTS_A_WRITE: f64 = 8.0;
/// So many points of a row take a place: what is large, such as a product of hundreds of variants, takes
/// several, so that what is held of all of them is bounded, whatever they are.
const POINTS_A_PLACE: f64 = 200.0;
/// Questions about rows to come, at once. One costs some sixty to a hundred points, and takes a third of a
/// second.
const READS_MIN: usize = 3;
const READS_MAX: usize = 12;
const POINTS_A_READ: f64 = 100.0;
/// Waits between looks: the first, and the longest.
pub(super) const WAIT_FIRST: Duration = Duration::from_millis(200);
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How far Shopify's clock may be behind ours.
const BEHIND_MICROS: i64 = 5_000_000;

/// Why a run ended before every row was over.
#[derive(Debug, thiserror::Error)]
pub(super) enum RunError {
    /// It may go on elsewhere, or later.
    #[error("interrupted")]
    Stopped,
    /// Somebody ended it.
    #[error("cancelled")]
    Cancelled,
    /// The shop takes no more for now.
    #[error("{0}")]
    Later(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The lease ended while it ran: somebody else may write.
    #[error("the lease ended, and another restorer may have taken the job up")]
    Lost,
    /// It gets no better by itself.
    #[error("{0}")]
    Stuck(String),
}

/// Applies one plan.
pub(super) struct Runner {
    pub(super) tools: Arc<Tools>,
    pub(super) run: Arc<Run>,
    pub(super) shop: Shop,
    pub(super) job: String,
    pub(super) plan: Plan,
    pub(super) began_at: Timestamp,
    pub(super) deselected: HashSet<u64>,
    pub(super) asker: Asker,
    pub(super) ledger: Ledger,
    pub(super) standing: Standing,
    /// Rows whose first mutation may have been sent.
    pub(super) begun: Begun,
    pub(super) written: Arc<Written>,
    pub(super) stop: CancellationToken,
    /// Points that making products anew takes, of the rows that are not over.
    pub(super) products: f64,
    /// The way of mutations that go in bulk, where there is one.
    pub(super) lane: Option<Lane>,
    /// Whether the job was ended before it was taken up: only what was begun is finished (`ending.rs`).
    pub(super) ending: bool,
    /// What the plan makes anew, by the gid that each had first.
    pub(super) anew: Gids,
    /// What of that is not there yet.
    pub(super) missing: Mutex<Missing>,
    /// Rows of which a part follows.
    pub(super) rest: Mutex<BTreeSet<u64>>,
    /// Of each company that has locations made anew, the first of them, by the company's gid.
    pub(super) first_locations: tokio::sync::OnceCell<HashMap<String, Value>>,
    /// Which rows bring back what is counted of variants.
    pub(super) counted: Counted,
    /// What rows under way make anew, where that was read already.
    pub(super) ahead: Ahead,
    /// What the shop said a moment ago.
    pub(super) asked: Asked,
    /// Rows that wait for others.
    pub(super) again: Again,
    /// Why rows were left open for another day.
    pub(super) later: Mutex<Option<String>>,
    /// Why nothing can be written any more.
    pub(super) stuck: Mutex<Option<String>>,
    /// Whether rows were left open because the run was to end. Those under way are finished.
    pub(super) left: AtomicBool,
}

impl Runner {
    pub(super) fn client(&self) -> &Client {
        &self.asker.client
    }

    pub(super) fn written(&self) -> &Written {
        &self.written
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(super) fn lane(&self) -> Option<&Lane> {
        self.lane.as_ref()
    }

    pub(super) fn job_id(&self) -> &str {
        &self.job
    }

    pub(super) fn began_at(&self) -> Timestamp {
        Timestamp::from_micros(self.began_at.as_micros() - BEHIND_MICROS)
    }

    /// Bytes that are kept. What is damaged or cannot be read is as if it had never been kept, and
    /// the log says so.
    pub(super) async fn blob(&self, hash: &str) -> Option<Bytes> {
        let hash: BlobHash = hash.parse().ok()?;
        let bytes = self.tools.blobs.get(&self.shop, hash).await;
        bytes.unwrap_or_else(|error| self.unreadable(hash, &error))
    }

    /// How many bytes those are.
    pub(super) async fn blob_length(&self, hash: &str) -> Option<u64> {
        let hash: BlobHash = hash.parse().ok()?;
        let length = self.tools.blobs.length(&self.shop, hash).await;
        length.unwrap_or_else(|error| self.unreadable(hash, &error))
    }

    fn unreadable<T>(&self, hash: BlobHash, error: &BlobError) -> Option<T> {
        let (shop, job) = (&self.shop, &self.job);
        tracing::error!(%shop, %job, %error, "blob {hash} cannot be read");
        None
    }

    /// Learns of every row what there is to know before the first is written.
    pub(super) async fn survey(&mut self) -> Result<(), RunError> {
        let (mut n, mut total, mut missing) = (0, 0, Missing::default());
        let (mut counted, mut firsts, mut to_do) = (Counted::default(), Vec::new(), 0.0);
        while let Some(rows) = self.piece(n).await? {
            n += 1;
            firsts.push(rows.first().map_or(total, |row| row.n));
            total += rows.len() as u64;
            for row in &rows {
                let is_over = self.standing.over.state(row.n).is_some();
                let is_to_do = !is_over && !self.deselected.contains(&row.n);
                if is_to_do {
                    to_do += row.cost;
                }
                if row.action != Action::Create {
                    continue;
                }
                if makes_product(row) && is_to_do {
                    self.products += row.cost;
                }
                if let Some(item) = counted::item_of(row).filter(|_| is_to_do) {
                    counted.add(&self.first(&item), row.n);
                }
                let gid = gid_of(row).filter(|_| is_referred_to(&row.kind));
                let Some(gid) = gid else { continue };
                let first = self.first(&gid);
                missing.comes(&first, self.is_made(row, &gid));
                self.anew.insert(&first);
            }
        }
        let planned = self.plan.counts.rows();
        if total != planned {
            return Err(RunError::Stuck(format!(
                "only {total} of the {planned} rows of plan {} of {} are on record; make a new plan",
                self.plan.id, self.shop
            )));
        }
        self.plan.records = firsts;
        let Standing { begun, unfinished, over, rest, .. } = std::mem::take(&mut self.standing);
        self.begun = Begun::new(begun, unfinished);
        self.missing = Mutex::new(missing);
        self.counted = counted.sorted();
        self.rest = Mutex::new(rest);
        self.run.begins(total, over, to_do, self.client().granted());
        Ok(())
    }

    /// Goes through all rows, in the plan's order.
    pub(super) async fn pass(&self) -> Result<(), RunError> {
        let pieces = self.plan.pieces().collect();
        self.go_through(Turns::of(self, pieces, None)).await
    }

    /// Goes through some of them, and reads no more of the plan than holds these.
    pub(super) async fn pass_only(&self, rows: &BTreeSet<u64>) -> Result<(), RunError> {
        self.go_through(Turns::of(self, self.pieces_of(rows), Some(rows))).await
    }

    /// The pieces of the plan that hold some rows.
    pub(super) fn pieces_of(&self, rows: &BTreeSet<u64>) -> BTreeSet<u64> {
        rows.iter().map(|n| self.plan.piece_of(*n)).collect()
    }

    async fn go_through(&self, mut turns: Turns<'_>) -> Result<(), RunError> {
        while let Some((goes, kind)) = turns.group().await? {
            self.together(&mut turns, (goes, &kind)).await?;
            self.counted.lets_go();
        }
        self.may_go_on()
    }

    pub(super) async fn piece(&self, n: u64) -> Result<Option<Vec<Row>>, RunError> {
        let journal = self.tools.journal.as_ref();
        Ok(rows::piece(journal, &self.shop, &self.plan.id, n).await?)
    }

    /// A piece that was there when the job was taken up.
    pub(super) async fn piece_on_record(&self, n: u64) -> Result<Vec<Row>, RunError> {
        let journal = self.tools.journal.as_ref();
        match rows::on_record(journal, &self.shop, &self.plan.id, n).await {
            Err(error @ RecordError::Missing { .. }) => {
                Err(RunError::Stuck(format!("job {} cannot go on: {error}", self.job)))
            }
            read => Ok(read?),
        }
    }

    /// Rows that do not depend on each other.
    async fn together(&self, turns: &mut Turns<'_>, of: (bool, &Kind)) -> Result<(), RunError> {
        let asked = futures::stream::unfold(turns, move |turns| {
            let asked = async move {
                let some = turns.some(of).await?;
                Some((Ok::<_, RunError>(some), turns))
            };
            asked.boxed()
        });
        let looked = asked
            .boxed()
            .map_ok(|rows| self.look_at(rows).boxed())
            .try_buffered(self.reads(of.1))
            .map_ok(|rows| futures::stream::iter(rows.into_iter().map(Ok::<_, RunError>)));
        let most = self.writes();
        let places = Arc::new(Semaphore::new(most));
        let rows = looked.try_flatten().and_then(|(row, looked)| {
            let place = Place::among(places.clone(), places_of(&row, most));
            async move { Ok::<_, RunError>((row, looked, place.await)) }.boxed()
        });
        // Each has a place, or waits in the lane.
        let written = rows.try_for_each_concurrent(None::<usize>, |(row, looked, place)| {
            self.row(row, looked, place).boxed()
        });
        written.await?;
        self.may_go_on()
    }

    /// How many questions about rows to come are asked at once. What is counted and what is translated is
    /// mostly as wanted by the time that its turn comes: these questions are all that it takes.
    fn reads(&self, kind: &Kind) -> usize {
        if is_referred_to(kind) {
            return READS_MIN;
        }
        let reads = self.client().granted().per_second / POINTS_A_READ;
        (reads as usize).clamp(READS_MIN, READS_MAX)
    }

    /// How many rows are written at once.
    pub(super) fn writes(&self) -> usize {
        let rows = self.client().granted().per_second / POINTS_A_WRITE;
        (rows as usize).clamp(WRITES_MIN, WRITES_MAX)
    }

    /// The gid that something had first, by which it is known among what is made anew.
    pub(super) fn first(&self, gid: &str) -> String {
        self.written.first(gid).unwrap_or_else(|| gid.to_owned())
    }

    pub(super) fn id_now(&self, spec: &'static Spec, row: &Row) -> ResourceId {
        match row.gid.as_deref().and_then(|gid| self.written.now(gid)) {
            Some(gid) => ResourceId::parse(&gid).unwrap_or_else(|_| row.id.clone()),
            None => self.written.id_now(spec, &row.id),
        }
    }

    /// A row that is not begun because the run is to end, or cannot go on, does not keep others from being
    /// finished.
    pub(super) fn left_open<T: Default>(
        &self,
        outcome: Result<T, RunError>,
    ) -> Result<T, RunError> {
        match outcome {
            Err(RunError::Stopped | RunError::Cancelled) => {
                self.left.store(true, Ordering::Relaxed);
                Ok(T::default())
            }
            Err(RunError::Stuck(why)) => {
                let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
                stuck.get_or_insert(why);
                Ok(T::default())
            }
            other => other,
        }
    }

    /// Whether nothing was left open; else why.
    pub(super) fn may_go_on(&self) -> Result<(), RunError> {
        if let Some(why) = self.stuck() {
            return Err(RunError::Stuck(why));
        }
        if let Some(why) = self.put_off() {
            return Err(RunError::Later(why));
        }
        if self.ending || !self.left.load(Ordering::Relaxed) {
            return Ok(());
        }
        Err(match *self.run.want.borrow() {
            // What was begun is finished first (`ending.rs`).
            Want::Cancel if self.begun.unfinished().is_empty() => RunError::Cancelled,
            Want::Cancel | Want::Run | Want::Pause => RunError::Stopped,
        })
    }

    fn stuck(&self) -> Option<String> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why rows are left open for another day, if any are.
    pub(super) fn put_off(&self) -> Option<String> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves a row open for another day.
    pub(super) fn puts_off(&self, why: String) {
        *self.later.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// Whether it may go on: else it is put down, and taken up again when it is to go on.
    pub(super) fn gate(&self) -> Result<(), RunError> {
        match *self.run.want.borrow() {
            Want::Cancel if !self.ending => Err(RunError::Cancelled),
            Want::Pause => Err(RunError::Stopped),
            _ if self.stop.is_cancelled() || self.stuck().is_some() => Err(RunError::Stopped),
            Want::Run | Want::Cancel => Ok(()),
        }
    }

    pub(super) async fn sleep(&self, wait: &mut Duration) -> Result<(), RunError> {
        let now = *wait;
        *wait = (*wait * 2).min(WAIT_MAX);
        tokio::select! {
            () = self.stop.cancelled() => Err(RunError::Stopped),
            () = tokio::time::sleep(now) => Ok(()),
        }
    }
}

/// Rows with the same are written at once. Kinds of one rank may refer to each other: a blog is there
/// before its articles.
pub(super) fn group(row: &Row) -> (bool, &Kind) {
    (row.action == Action::Delete, &row.kind)
}

/// How many of all places a row takes.
fn places_of(row: &Row, most: usize) -> u32 {
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    ((row.cost / POINTS_A_PLACE).ceil() as u32).clamp(1, most)
}

/// Whether a row makes a product anew: what costs most, may go in bulk, and of which shops with very many
/// variants take some each day only.
pub(super) fn makes_product(row: &Row) -> bool {
    row.action == Action::Create && row.kind.as_str() == "product"
}

pub(super) fn is_write(action: Action) -> bool {
    matches!(action, Action::Create | Action::Update | Action::Delete)
}

/// A row's gid, as history knows it.
pub(super) fn gid_of(row: &Row) -> Option<String> {
    row.gid.clone().or_else(|| row.kind.gid(&row.id))
}
