//! Rows whose first mutation may have been sent: what they make may be there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use backstock_proto::Timestamp;

/// Rows that were begun.
#[derive(Debug, Default)]
pub(super) struct Begun {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Since when; also of those that failed in an earlier attempt.
    since: BTreeMap<u64, Timestamp>,
    /// Those that did not come to an end since.
    unfinished: BTreeSet<u64>,
}

impl Begun {
    /// What is on record of them.
    pub(super) fn new(since: BTreeMap<u64, Timestamp>, unfinished: BTreeSet<u64>) -> Self {
        Self { held: Mutex::new(Held { since, unfinished }) }
    }

    /// Since when a row's first mutation may have been sent, if it may.
    pub(super) fn at(&self, n: u64) -> Option<Timestamp> {
        self.lock().since.get(&n).copied()
    }

    /// Whether it is on record that a row was begun, and not that it came to an end since.
    pub(super) fn is_unfinished(&self, n: u64) -> bool {
        self.lock().unfinished.contains(&n)
    }

    /// The rows of which that is so.
    pub(super) fn unfinished(&self) -> BTreeSet<u64> {
        self.lock().unfinished.clone()
    }

    /// It is on record that a row's first mutation is about to be sent.
    pub(super) fn begins(&self, n: u64, now: Timestamp) {
        let mut held = self.lock();
        held.since.entry(n).or_insert(now);
        held.unfinished.insert(n);
    }

    /// A row is over, or what was begun of it made nothing.
    pub(super) fn ends(&self, n: u64) {
        let mut held = self.lock();
        held.since.remove(&n);
        held.unfinished.remove(&n);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
