//! How far the store is behind the stream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use backstock_proto::Timestamp;

/// A store that is no further behind than this has caught up, in seconds.
const LEVEL_SECONDS: f64 = 10.0;

/// Since when something has been waiting to become readable.
#[derive(Debug)]
pub(crate) struct Lag {
    waiting_since: Mutex<Option<Timestamp>>,
    /// Whether the stream was read since the store was opened.
    known: AtomicBool,
}

impl Lag {
    /// Nothing is known yet: that counts as behind since `now`.
    pub(crate) fn unknown(now: Timestamp) -> Self {
        Self { waiting_since: Mutex::new(Some(now)), known: AtomicBool::new(false) }
    }

    /// Something that the stream took at `recorded_at` waits; what waits longer is not forgotten.
    pub(crate) fn waits(&self, recorded_at: Timestamp) {
        self.set(|since| Some(since.map_or(recorded_at, |since| since.min(recorded_at))));
    }

    /// Everything up to what the stream took at `recorded_at` is readable, but not all.
    pub(crate) fn read_up_to(&self, recorded_at: Timestamp) {
        self.set(|_| Some(recorded_at));
        self.known.store(true, Ordering::Relaxed);
    }

    /// Nothing waits.
    pub(crate) fn caught_up(&self) {
        self.set(|_| None);
        self.known.store(true, Ordering::Relaxed);
    }

    /// Whether as good as nothing waits, as far as that is known.
    pub(crate) fn is_level(&self, now: Timestamp) -> bool {
        self.known.load(Ordering::Relaxed) && self.seconds(now) < LEVEL_SECONDS
    }

    /// Age of the oldest event that is not yet readable, in seconds; 0 when caught up.
    pub(crate) fn seconds(&self, now: Timestamp) -> f64 {
        let since = *self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(0.0, |since| now.seconds_since(since))
    }

    fn set(&self, change: impl FnOnce(Option<Timestamp>) -> Option<Timestamp>) {
        let mut since = self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = change(*since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_just_opened_has_not_caught_up() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let lag = Lag::unknown(at(100));
        assert!(!lag.is_level(at(100)), "nothing is known");
        lag.read_up_to(at(50));
        assert!(!lag.is_level(at(101)));
        lag.read_up_to(at(95));
        assert!(lag.is_level(at(101)));
        lag.caught_up();
        assert!(lag.is_level(at(1_000)));
    }
}
