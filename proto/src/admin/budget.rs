//! The leaky bucket of cost points that a shop grants an app.
//!
//! What is known is what the last answer said (`throttleStatus`), and what was reserved since. The
//! size and the rate are never assumed: they depend on the shop's plan.
//!
//! What is urgent takes what there is, and what others would take while it waits. They take turns: of
//! what is spent while both want it, a quarter goes to what is urgent. A shop sets aside what a document
//! might cost, and charges what it did, which is often a tenth of that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// Assumed for a document that was never asked before.
const FIRST_CHARGE: Charge = Charge { requested: 50.0, actual: 50.0 };
/// Assumed until the first answer: one question at a time gets through everywhere.
const FIRST_STATUS: Status =
    Status { maximum_available: 1_000.0, currently_available: 500.0, restore_rate: 50.0 };
/// The longest that a caller sleeps before it looks again.
const NAP_MAX: Duration = Duration::from_secs(2);
/// How long one sleeps whose turn it is not.
const TURN: Duration = Duration::from_millis(50);
/// What others get for each point that something urgent got while they waited.
const OTHERS_TURN: f64 = 3.0;

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

/// How somebody wants points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Claim {
    /// The part of the bucket that it may use, 0 to 1.
    pub(super) share: f64,
    /// Whether it goes before others, whatever its share.
    pub(super) urgent: bool,
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
    /// Points that urgent calls wait for, and how many these are.
    urgent: (f64, usize),
    /// How many others wait.
    others: usize,
    /// Points that others are to get before urgent calls do again, while both wait.
    owed: f64,
    /// What documents were last charged.
    charges: HashMap<[u8; 32], Charge>,
}

/// Points that a shop takes for a document.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charge {
    /// What has to be there before it runs.
    pub(super) requested: f64,
    /// What it took.
    pub(super) actual: f64,
}

/// Points set aside for one call. Given up without an answer, they may have been taken.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    budget: &'a Budget,
    document: [u8; 32],
    points: f64,
    is_settled: bool,
}

/// Somebody who waits, until this is dropped.
#[derive(Debug)]
struct Waiting<'a> {
    budget: &'a Budget,
    points: f64,
    urgent: bool,
}

impl Budget {
    pub(super) fn new() -> Self {
        let state = State {
            status: FIRST_STATUS,
            at: Instant::now(),
            reserved: 0.0,
            urgent: (0.0, 0),
            others: 0,
            owed: 0.0,
            charges: HashMap::new(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Waits until the document can be paid for and `1 - share` of the bucket is left for others, unless
    /// it is urgent.
    pub(super) async fn reserve(&self, document: &str, claim: Claim) -> Reservation<'_> {
        let document = *blake3::hash(document.as_bytes()).as_bytes();
        let mut waiting = None;
        loop {
            match self.try_reserve(document, claim, Instant::now()) {
                Ok(reservation) => return reservation,
                Err(wait) => {
                    if waiting.is_none() {
                        waiting = Some(self.waits(document, claim.urgent));
                    }
                    let turns = self.turns(document, claim.urgent).mul_f64(rand::random::<f64>());
                    tokio::time::sleep((wait + turns).min(NAP_MAX)).await;
                }
            }
        }
    }

    fn try_reserve(
        &self,
        document: [u8; 32],
        Claim { share, urgent }: Claim,
        now: Instant,
    ) -> Result<Reservation<'_>, Duration> {
        let mut state = self.lock();
        let Status { maximum_available, restore_rate, .. } = state.status;
        let (points, spends) = (state.points(document), state.charge(document).actual);
        if urgent && state.owed > 0.0 && state.others > 0 {
            return Err(TURN);
        }
        let kept = match urgent {
            true => 0.0,
            // A question dearer than its share may still be asked when the bucket is full.
            false => (maximum_available * (1.0 - share.clamp(0.0, 1.0)))
                .max(state.left_to_urgent())
                .min(maximum_available - points)
                .max(0.0),
        };
        let missing = points + kept - state.available(now);
        if missing > 0.0 {
            let wait = (missing / restore_rate.max(1.0)).clamp(0.005, 60.0);
            return Err(Duration::from_secs_f64(wait));
        }
        state.reserved += points;
        state.owed = match urgent {
            true if state.others > 0 => state.owed + spends * OTHERS_TURN,
            true => state.owed,
            false => (state.owed - spends).max(0.0),
        };
        Ok(Reservation { budget: self, document, points, is_settled: false })
    }

    /// In which time all that wait get their points, about. Who waits looks again at some moment within it:
    /// if hundreds looked as soon as one of them could go on, they would do little else. What nobody takes
    /// meanwhile is saved up.
    fn turns(&self, document: [u8; 32], urgent: bool) -> Duration {
        if urgent {
            return Duration::ZERO;
        }
        let state = self.lock();
        let before = state.others.saturating_sub(1) as f64;
        let seconds = state.points(document) * before / state.status.restore_rate.max(1.0);
        Duration::from_secs_f64(seconds.min(NAP_MAX.as_secs_f64()))
    }

    /// Somebody begins to wait.
    fn waits(&self, document: [u8; 32], urgent: bool) -> Waiting<'_> {
        let mut state = self.lock();
        let points = state.points(document);
        match urgent {
            true => state.urgent = (state.urgent.0 + points, state.urgent.1 + 1),
            false => state.others += 1,
        }
        Waiting { budget: self, points, urgent }
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
    pub(super) fn settle(mut self, status: Option<Status>, charge: Option<Charge>) {
        self.is_settled = true;
        let mut state = self.budget.lock();
        state.reserved = (state.reserved - self.points).max(0.0);
        if let Some(charge) = charge {
            state.charges.insert(self.document, charge);
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

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        if !self.urgent {
            state.others = state.others.saturating_sub(1);
            return;
        }
        state.urgent = match state.urgent {
            (points, many @ 2..) => (points - self.points, many - 1),
            (_, 0 | 1) => (0.0, 0),
        };
    }
}

impl State {
    fn charge(&self, document: [u8; 32]) -> Charge {
        self.charges.get(&document).copied().unwrap_or(FIRST_CHARGE)
    }

    /// What has to be there for a document. What is dearer than a full bucket is for the shop to refuse.
    fn points(&self, document: [u8; 32]) -> f64 {
        self.charge(document).requested.min(self.status.maximum_available)
    }

    /// What others are to leave to urgent calls that wait, if it is their turn: half at most.
    fn left_to_urgent(&self) -> f64 {
        match self.owed > 0.0 {
            true => 0.0,
            false => self.urgent.0.min(self.status.maximum_available / 2.0),
        }
    }

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

    const ALL: Claim = Claim { share: 1.0, urgent: false };
    const HALF: Claim = Claim { share: 0.5, urgent: false };
    const URGENT: Claim = Claim { share: 0.5, urgent: true };

    fn charge(requested: f64, actual: f64) -> Charge {
        Charge { requested, actual }
    }

    fn budget(available: f64) -> Budget {
        let budget = Budget::new();
        let first = budget.try_reserve([0; 32], ALL, Instant::now()).expect("points");
        let status = Status {
            maximum_available: 1_000.0,
            currently_available: available,
            restore_rate: 100.0,
        };
        first.settle(Some(status), Some(charge(200.0, 200.0)));
        budget
    }

    #[test]
    fn what_the_share_leaves_is_for_others() {
        let budget = budget(600.0);
        assert!(budget.try_reserve([0; 32], HALF, Instant::now()).is_err());
        assert!(budget.try_reserve([0; 32], ALL, Instant::now()).is_ok());
    }

    #[test]
    fn calls_under_way_are_counted_and_the_wait_is_what_is_missing() {
        let budget = budget(350.0);
        let now = Instant::now();
        let first = budget.try_reserve([0; 32], ALL, now).expect("points");
        let wait = budget.try_reserve([0; 32], ALL, now).expect_err("only 150 are left");
        assert!(wait > Duration::from_millis(400) && wait < Duration::from_millis(600), "{wait:?}");
        first.settle(None, None);
        assert!(budget.try_reserve([0; 32], ALL, now).is_ok());
    }

    #[tokio::test]
    async fn calls_that_nobody_waits_for_any_more_hold_nothing_back() {
        let budget = budget(1_000.0);
        for _ in 0..5 {
            let call = async {
                let _points = budget.reserve("a document", ALL).await;
                std::future::pending::<()>().await;
            };
            assert!(futures::FutureExt::now_or_never(call).is_none());
        }
        let refilled = Instant::now() + Duration::from_secs(60);
        let mut calls = Vec::new();
        for _ in 0..5 {
            calls.push(budget.try_reserve([0; 32], ALL, refilled).expect("all of the bucket"));
        }
    }

    #[test]
    fn those_who_wait_do_not_all_look_as_soon_as_one_of_them_can_go_on() {
        let budget = budget(0.0);
        let one = budget.waits([0; 32], false);
        assert_eq!(budget.turns([0; 32], false), Duration::ZERO, "nobody else waits");
        let other = budget.waits([0; 32], false);
        assert_eq!(
            budget.turns([0; 32], false),
            Duration::from_secs(2),
            "200 points of 100 a second"
        );
        assert_eq!(budget.turns([0; 32], true), Duration::ZERO);
        drop((one, other));
    }

    #[test]
    fn what_is_dearer_than_the_bucket_is_asked_once_that_is_full() {
        let budget = budget(1_000.0);
        let now = Instant::now();
        let call = budget.try_reserve([1; 32], ALL, now).expect("points");
        call.settle(None, Some(charge(1_700.0, 1_700.0)));
        assert!(budget.try_reserve([1; 32], ALL, now + Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn what_is_urgent_takes_what_there_is() {
        let budget = budget(300.0);
        let now = Instant::now();
        assert!(budget.try_reserve([0; 32], HALF, now).is_err());
        assert!(budget.try_reserve([0; 32], URGENT, now).is_ok());
    }

    #[test]
    fn others_leave_what_is_urgent_its_points_while_it_waits() {
        let budget = budget(350.0);
        let now = Instant::now();
        let waiting = budget.waits([0; 32], true);
        assert!(budget.try_reserve([0; 32], ALL, now).is_err(), "150 would be left");
        drop(waiting);
        assert!(budget.try_reserve([0; 32], ALL, now).is_ok());
        // Of what many wait for, half of the bucket at most.
        let budget = self::budget(700.0);
        let many: Vec<_> = (0..10).map(|_| budget.waits([0; 32], true)).collect();
        assert!(budget.try_reserve([0; 32], ALL, now).is_ok());
        drop(many);
        assert_eq!(budget.lock().urgent, (0.0, 0));
    }

    #[test]
    fn what_is_urgent_gets_a_quarter_while_others_wait() {
        let budget = budget(1_000.0);
        let now = Instant::now();
        let cheap = [1; 32];
        let other = budget.waits(cheap, false);
        let urgent = budget.waits(cheap, true);
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(budget.try_reserve(cheap, URGENT, now).expect("its turn"));
            for _ in 0..3 {
                assert!(budget.try_reserve(cheap, URGENT, now).is_err(), "not its turn");
                held.push(budget.try_reserve(cheap, ALL, now).expect("nothing is to be left"));
            }
        }
        held.push(budget.try_reserve(cheap, URGENT, now).expect("its turn"));
        assert!(budget.try_reserve(cheap, URGENT, now).is_err(), "not its turn");
        drop(other);
        held.push(budget.try_reserve(cheap, URGENT, now).expect("nobody else waits"));
        drop((urgent, held));
    }

    #[test]
    fn turns_are_shared_by_what_is_spent_and_not_by_what_it_might_have_been() {
        let (budget, now) = (budget(1_000.0), Instant::now());
        let (question, mutation) = ([1; 32], [2; 32]);
        for (document, taken) in [(question, charge(60.0, 20.0)), (mutation, charge(10.0, 10.0))] {
            budget.try_reserve(document, ALL, now).expect("points").settle(None, Some(taken));
        }
        let (other, urgent) = (budget.waits(mutation, false), budget.waits(question, true));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(budget.try_reserve(question, URGENT, now).expect("its turn"));
            for _ in 0..6 {
                assert!(budget.try_reserve(question, URGENT, now).is_err(), "60 are owed");
                held.push(budget.try_reserve(mutation, ALL, now).expect("their turn"));
            }
        }
        drop((other, urgent));
    }

    #[tokio::test]
    async fn whoever_does_not_wait_any_more_keeps_nothing_from_others() {
        let budget = budget(0.0);
        for claim in [ALL, URGENT] {
            let waits = budget.reserve("a document", claim);
            assert!(futures::FutureExt::now_or_never(waits).is_none());
        }
        let state = budget.lock();
        assert_eq!((state.urgent, state.others), ((0.0, 0), 0));
    }
}
