//! A job that runs in this process, as others see it: how far it is, and what is wanted of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use backstock_proto::admin::Granted;
use backstock_proto::{Shop, Timestamp};
use prometheus::IntCounter;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::outcome::{Ended, Outcomes};
use super::{Job, JobState, RowResult, RowState};

/// What a record of what is wanted of a job stands under, by the job's id.
pub(crate) const JOB_ORDER: &str = "job_order";

/// Rows that ended last, of which those who watch are told.
const RECENT_MAX: usize = 50;

/// What is wanted of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Want {
    /// That it goes on.
    #[default]
    Run,
    /// That it stands still.
    Pause,
    /// That it ends.
    Cancel,
}

/// What somebody wants of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) want: Want,
    pub(crate) by: String,
    pub(crate) at: Timestamp,
}

/// A job at work.
pub(crate) struct Run {
    pub(crate) shop: Shop,
    state: Mutex<State>,
    /// What is wanted of it.
    pub(crate) want: watch::Sender<Want>,
    /// Points that it spent since this process took it up.
    pub(super) spent: IntCounter,
}

struct State {
    job: Job,
    over: Outcomes,
    /// Rows that ended last, the last one last.
    recent: VecDeque<RowResult>,
    /// Where rates are counted from.
    since: Instant,
    /// Points that the plan says its rows take which were not over then, and those of them that are now.
    to_do: f64,
    done: f64,
    /// Points spent and granted before.
    cost_then: f64,
    granted_then: f64,
    /// Points that were there then.
    saved_then: f64,
}

impl Run {
    pub(super) fn new(shop: Shop, job: Job, spent: IntCounter, want: Want) -> Self {
        let (cost_then, granted_then) = (job.cost, job.granted);
        let state = State {
            job,
            over: Outcomes::default(),
            recent: VecDeque::new(),
            since: Instant::now(),
            to_do: 0.0,
            done: 0.0,
            cost_then,
            granted_then,
            saved_then: 0.0,
        };
        Self { shop, state: Mutex::new(state), want: watch::Sender::new(want), spent }
    }

    /// The job as it is now.
    pub(crate) fn job(&self) -> Job {
        self.lock().job.clone()
    }

    /// What became of rows so far, from row `from` on.
    pub(super) fn some(&self, from: u64, state: Option<RowState>, limit: usize) -> Vec<Ended> {
        self.lock().over.some(from, state, limit)
    }

    /// What became of a row; `None` as long as it is not over.
    pub(super) fn state(&self, n: u64) -> Option<RowState> {
        self.lock().over.state(n)
    }

    /// Why a row ended as it did, where that was said.
    pub(super) fn reason(&self, n: u64) -> Option<String> {
        self.lock().over.reason(n)
    }

    /// What became of the rows that ended last, at most so many.
    pub(crate) fn recent(&self, most: u64) -> Vec<RowResult> {
        let held = self.lock();
        let most = usize::try_from(most).unwrap_or(RECENT_MAX).min(held.recent.len());
        held.recent.iter().skip(held.recent.len() - most).cloned().collect()
    }

    /// All of a job's rows are known, what became of some of them, and points that the others take.
    pub(super) fn begins(&self, total: u64, over: Outcomes, to_do: f64, granted: Granted) {
        let mut held = self.lock();
        let mut counts = super::RowCounts { pending: total, ..super::RowCounts::default() };
        over.states().for_each(|(_, state)| counts.moved(RowState::Pending, state));
        held.job.counts = counts;
        (held.to_do, held.done) = (to_do, 0.0);
        held.over = over;
        held.since = Instant::now();
        held.saved_then = granted.available;
    }

    /// This is wanted of it from now on.
    pub(super) fn wants(&self, want: Want) {
        self.want.send_if_modified(|now| std::mem::replace(now, want) != want);
        let mut held = self.lock();
        // It may have ended a moment ago.
        if !held.job.state.is_over() {
            held.job.state = match want {
                Want::Pause => JobState::Paused,
                Want::Run | Want::Cancel => JobState::Running,
            };
        }
    }

    /// The shop takes no more until then.
    pub(super) fn put_off(&self, reason: String, until: Timestamp) {
        let mut held = self.lock();
        held.job.state = JobState::Queued;
        held.job.reason = Some(reason);
        held.job.resume_at = Some(until);
        held.job.eta_seconds = None;
    }

    pub(super) fn began(&self, at: Timestamp) -> Timestamp {
        *self.lock().job.began_at.get_or_insert(at)
    }

    /// The job as it will be once it has ended so.
    pub(super) fn as_ended(&self, state: JobState, why: Option<String>, at: Timestamp) -> Job {
        let job = self.job();
        let reason = why.or_else(|| job.reason.clone());
        Job { state, reason, finished_at: Some(at), eta_seconds: Some(0.0), ..job }
    }

    /// The job is on record as having ended: only now is it shown so.
    pub(super) fn ended(&self, job: Job) {
        self.lock().job = job;
    }

    /// A row is over, which takes so many points.
    pub(super) fn over(&self, result: RowResult, points: f64) {
        let mut held = self.lock();
        if held.recent.len() == RECENT_MAX {
            held.recent.pop_front();
        }
        let before = held.over.insert(&result);
        if before.is_none() {
            held.done += points;
        }
        held.job.counts.moved(before.unwrap_or(RowState::Pending), result.state);
        held.recent.push_back(result);
    }

    /// So many more mutations went in bulk.
    pub(super) fn went_in_bulk(&self, mutations: u64) {
        if mutations > 0 {
            *self.lock().job.in_bulk.get_or_insert(0) += mutations;
        }
    }

    /// Brings points, rate and end up to date. Answers which share of what was granted is spent.
    pub(super) fn reckon(&self, granted: Granted) -> f64 {
        let mut held = self.lock();
        let elapsed = held.since.elapsed().as_secs_f64();
        held.job.cost = held.cost_then + self.spent.get() as f64;
        held.job.granted = held.granted_then + held.saved_then + granted.per_second * elapsed;
        // Rows differ a hundredfold in what they take: a product with its variants, and an amount in stock.
        if held.done > 0.0 {
            held.job.eta_seconds = Some((held.to_do - held.done).max(0.0) * elapsed / held.done);
        }
        if held.job.granted > 0.0 { (held.job.cost / held.job.granted).min(1.0) } else { 0.0 }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backstock_proto::{Kind, ResourceId};
    use serde_json::json;

    use super::*;

    fn created(n: u64) -> RowResult {
        RowResult {
            n,
            kind: Kind::parse("product").expect("a kind"),
            id: ResourceId::parse("1").expect("an id"),
            title: String::new(),
            state: RowState::Created,
            reason: None,
            new_gid: None,
        }
    }

    #[test]
    fn what_is_left_is_told_by_points_and_not_by_rows() {
        let job = json!({
            "id": "j1", "plan": "p1", "state": "running", "by": "test",
            "started_at": "2026-10-01T00:00:00Z", "finished_at": null, "counts": {},
            "eta_seconds": 500.0, "cost": 0.0
        });
        let job = serde_json::from_value(job).expect("a job");
        let spent = IntCounter::new("spent", "points").expect("a counter");
        let run = Run::new(Shop::parse("a.myshopify.com").expect("a shop"), job, spent, Want::Run);
        let granted = Granted { maximum: 1_000.0, available: 0.0, per_second: 50.0 };
        // A product of ninety points, and ten rows of one.
        run.begins(11, Outcomes::default(), 100.0, granted);
        run.reckon(granted);
        assert_eq!(
            run.job().eta_seconds,
            Some(500.0),
            "as the plan says, as long as nothing is over"
        );
        run.over(created(0), 90.0);
        run.over(created(0), 90.0);
        run.lock().since -= Duration::from_secs(90);
        run.reckon(granted);
        let left = run.job().eta_seconds.expect("an end");
        assert!((10.0..11.0).contains(&left), "{left}");
    }
}
