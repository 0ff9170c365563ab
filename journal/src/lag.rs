//! How far the store is behind the stream.

use std::sync::{Mutex, PoisonError};

use backstock_proto::Timestamp;

/// Since when something has been waiting to become readable.
#[derive(Debug)]
pub(crate) struct Lag {
    waiting_since: Mutex<Option<Timestamp>>,
}

impl Lag {
    /// Nothing is known yet: that counts as behind since `now`.
    pub(crate) fn unknown(now: Timestamp) -> Self {
        Self { waiting_since: Mutex::new(Some(now)) }
    }

    /// Something that the stream took at `recorded_at` waits; what waits longer is not forgotten.
    pub(crate) fn waits(&self, recorded_at: Timestamp) {
        self.set(|since| Some(since.map_or(recorded_at, |since| since.min(recorded_at))));
    }

    /// Everything up to what the stream took at `recorded_at` is readable, but not all.
    pub(crate) fn read_up_to(&self, recorded_at: Timestamp) {
        self.set(|_| Some(recorded_at));
    }

    /// Nothing waits.
    pub(crate) fn caught_up(&self) {
        self.set(|_| None);
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
