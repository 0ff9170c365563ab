//! The leaky bucket of cost points that a shop grants an app.
//!
//! What is known is what the last answer said (`throttleStatus`), and what was reserved since. The
//! size and the rate are never assumed: they depend on the shop's plan.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// Assumed for a document that was never asked before.
const FIRST_COST: f64 = 50.0;
/// Assumed until the first answer: one question at a time gets through everywhere.
const FIRST_STATUS: Status =
    Status { maximum_available: 1_000.0, currently_available: 500.0, restore_rate: 50.0 };
/// The longest that a caller sleeps before it looks again.
const NAP_MAX: Duration = Duration::from_secs(2);

/// The bucket as an answer says it is.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) maximum_available: f64,
    pub(super) currently_available: f64,
    pub(super) restore_rate: f64,
}

/// The cost points that a shop grants, as its last answer said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Granted {
    /// Most that can be saved up.
    pub maximum: f64,
    /// What can be spent now.
    pub available: f64,
    /// What comes back each second.
    pub per_second: f64,
}

/// Hands out points.
#[derive(Debug)]
pub(super) struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    status: Status,
    /// When `status` was true.
    at: Instant,
    /// Points that calls under way may still take.
    reserved: f64,
    /// What documents were last said to cost before they run.
    costs: HashMap<[u8; 32], f64>,
}

/// Points set aside for one call. Given up without an answer, they may have been taken.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    budget: &'a Budget,
    document: [u8; 32],
    points: f64,
    is_settled: bool,
}

impl Budget {
    pub(super) fn new() -> Self {
        let state = State {
            status: FIRST_STATUS,
            at: Instant::now(),
            reserved: 0.0,
            costs: HashMap::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Waits until the document can be paid for and `1 - share` of the bucket is left for others.
    pub(super) async fn reserve(&self, document: &str, share: f64) -> Reservation<'_> {
        let document = *blake3::hash(document.as_bytes()).as_bytes();
        loop {
            match self.try_reserve(document, share, Instant::now()) {
                Ok(reservation) => return reservation,
                Err(wait) => tokio::time::sleep(wait.min(NAP_MAX)).await,
            }
        }
    }

    fn try_reserve(
        &self,
        document: [u8; 32],
        share: f64,
        now: Instant,
    ) -> Result<Reservation<'_>, Duration> {
        let mut state = self.lock();
        let Status { maximum_available, restore_rate, .. } = state.status;
        // What is dearer than a full bucket is for the shop to refuse.
        let points = state.costs.get(&document).copied().unwrap_or(FIRST_COST);
        let points = points.min(maximum_available);
        // A question dearer than its share may still be asked when the bucket is full.
        let kept = (maximum_available * (1.0 - share.clamp(0.0, 1.0)))
            .min(maximum_available - points)
            .max(0.0);
        let missing = points + kept - state.available(now);
        if missing <= 0.0 {
            state.reserved += points;
            return Ok(Reservation { budget: self, document, points, is_settled: false });
        }
        Err(Duration::from_secs_f64((missing / restore_rate.max(1.0)).clamp(0.005, 60.0)))
    }

    /// What the shop grants, and what is there now.
    pub(super) fn granted(&self) -> Granted {
        let state = self.lock();
        Granted {
            maximum: state.status.maximum_available,
            available: state.available(Instant::now()).max(0.0),
            per_second: state.status.restore_rate,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation<'_> {
    /// An answer came: gives the points back and takes over what it says.
    pub(super) fn settle(mut self, status: Option<Status>, requested: Option<f64>) {
        self.is_settled = true;
        let mut state = self.budget.lock();
        state.reserved = (state.reserved - self.points).max(0.0);
        if let Some(requested) = requested {
            state.costs.insert(self.document, requested);
        }
        if let Some(status) = status {
            state.status = status;
            state.at = Instant::now();
        }
    }
}

impl Drop for Reservation<'_> {
    /// No answer came, or nobody waits for it any more.
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let mut state = self.budget.lock();
        state.reserved = (state.reserved - self.points).max(0.0);
        let now = Instant::now();
        state.status.currently_available = (state.refilled(now) - self.points).max(0.0);
        state.at = now;
    }
}

impl State {
    fn refilled(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.status.currently_available + since * self.status.restore_rate)
            .min(self.status.maximum_available)
    }

    fn available(&self, now: Instant) -> f64 {
        self.refilled(now) - self.reserved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(available: f64) -> Budget {
        let budget = Budget::new();
        let first = budget.try_reserve([0; 32], 1.0, Instant::now()).expect("points");
        let status = Status {
            maximum_available: 1_000.0,
            currently_available: available,
            restore_rate: 100.0,
        };
        first.settle(Some(status), Some(200.0));
        budget
    }

    #[test]
    fn what_the_share_leaves_is_for_others() {
        let budget = budget(600.0);
        assert!(budget.try_reserve([0; 32], 0.5, Instant::now()).is_err());
        assert!(budget.try_reserve([0; 32], 1.0, Instant::now()).is_ok());
    }

    #[test]
    fn calls_under_way_are_counted_and_the_wait_is_what_is_missing() {
        let budget = budget(350.0);
        let now = Instant::now();
        let first = budget.try_reserve([0; 32], 1.0, now).expect("points");
        let wait = budget.try_reserve([0; 32], 1.0, now).expect_err("only 150 are left");
        assert!(wait > Duration::from_millis(400) && wait < Duration::from_millis(600), "{wait:?}");
        first.settle(None, None);
        assert!(budget.try_reserve([0; 32], 1.0, now).is_ok());
    }

    #[tokio::test]
    async fn calls_that_nobody_waits_for_any_more_hold_nothing_back() {
        let budget = budget(1_000.0);
        for _ in 0..5 {
            let call = async {
                let _points = budget.reserve("a document", 1.0).await;
                std::future::pending::<()>().await;
            };
            assert!(futures::FutureExt::now_or_never(call).is_none());
        }
        let refilled = Instant::now() + Duration::from_secs(60);
        let mut calls = Vec::new();
        for _ in 0..5 {
            calls.push(budget.try_reserve([0; 32], 1.0, refilled).expect("all of the bucket"));
        }
    }

    #[test]
    fn what_is_dearer_than_the_bucket_is_asked_once_that_is_full() {
        let budget = budget(1_000.0);
        let now = Instant::now();
        let call = budget.try_reserve([1; 32], 1.0, now).expect("points");
        call.settle(None, Some(1_700.0));
        assert!(budget.try_reserve([1; 32], 1.0, now + Duration::from_secs(60)).is_ok());
    }
}
