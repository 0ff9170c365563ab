//! What is said of versions, remembered: a version lies in a block with its neighbours' payloads, all of
//! which has to be unpacked to read the little that is said of it, and lists of changes ask for the same
//! versions again and again.
//!
//! What is said of a version holds until it is rewritten, or another comes to stand right before it. A view
//! takes from here, and brings, only what holds in all of its epoch: whatever may change something ends one.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use backstock_proto::journal::Version;

use crate::keys::{self, POSITION_BYTES, Position};

/// Versions remembered of one store, at most: of each about six hundred bytes.
const FACTS_MAX: usize = 14_000;

/// What is said of a version.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) version: Version,
    /// Whether no other of its facet stands before it.
    pub(crate) is_first: bool,
}

/// What is remembered of one store.
#[derive(Default)]
pub(crate) struct Facts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    epoch: u64,
    /// How many writes are under way that end the epoch.
    ending: usize,
    /// By the version's key.
    of: HashMap<Vec<u8>, Box<Fact>>,
}

/// What a write changes of what was said of versions before it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changes<'c> {
    /// Perhaps anything.
    Any,
    /// At most what was said of these facets.
    Facets(&'c [Vec<u8>]),
}

impl Facts {
    /// What a view has to ask for before it begins.
    pub(crate) fn epoch(&self) -> u64 {
        self.kept().epoch
    }

    pub(crate) fn get(&self, epoch: u64, facet: &[u8], position: Position) -> Option<Fact> {
        let kept = self.kept();
        let found = kept.of.get(&keys::at(facet, position)).filter(|_| kept.is_now(epoch))?;
        Some(Fact::clone(found))
    }

    pub(crate) fn keep(&self, epoch: u64, facet: &[u8], (position, fact): (Position, &Fact)) {
        let mut kept = self.kept();
        if !kept.is_now(epoch) {
            return;
        }
        if kept.of.len() >= FACTS_MAX {
            kept.of.clear();
        }
        kept.of.insert(keys::at(facet, position), Box::new(fact.clone()));
    }

    /// Writes what may change something of what is remembered.
    pub(crate) fn around<T>(&self, changes: Changes<'_>, write: impl FnOnce() -> T) -> T {
        if matches!(changes, Changes::Facets([])) {
            return write();
        }
        self.kept().ending += 1;
        let written = write();
        let mut kept = self.kept();
        kept.ending -= 1;
        kept.epoch += 1;
        kept.forget(changes);
        written
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn is_now(&self, epoch: u64) -> bool {
        self.ending == 0 && self.epoch == epoch
    }

    fn forget(&mut self, changes: Changes<'_>) {
        match changes {
            Changes::Any => self.of.clear(),
            Changes::Facets(facets) => {
                let facets: HashSet<&[u8]> = facets.iter().map(Vec::as_slice).collect();
                self.of.retain(|key, _| !facets.contains(&key[..key.len() - POSITION_BYTES]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use backstock_proto::{Facet, Op, Source, Timestamp};

    use super::*;

    fn fact(seq: u64) -> (Position, Fact) {
        let at = Timestamp::from_micros(5);
        let version = Version {
            seq,
            op: Op::Update,
            source: Source::Webhook,
            facet: Facet::Core,
            valid_at: at,
            recorded_at: at,
            received_at: at,
            triggered_at: None,
            earliest_at: None,
            topic: String::new(),
            api_version: None,
            webhook_id: None,
            event_id: None,
            hash: String::new(),
            unchanged: false,
            erased: false,
        };
        let position = Position { valid_at: at, triggered_at: at, seq };
        (position, Fact { version, is_first: true })
    }

    #[test]
    fn what_a_write_may_change_is_forgotten_and_not_brought_again_by_who_looked_before() {
        let facts = Facts::default();
        let (one, other) = (b"acme\0page\x001\0c".to_vec(), b"acme\0page\x002\0c".to_vec());
        let (position, fact) = fact(7);
        let knows = |epoch, facet: &[u8]| facts.get(epoch, facet, position).is_some();
        let before = facts.epoch();
        for facet in [&one, &other] {
            facts.keep(before, facet, (position, &fact));
            assert!(knows(before, facet));
        }
        facts.around(Changes::Facets(&[]), || ());
        assert!(knows(facts.epoch(), &one));
        facts.around(Changes::Facets(std::slice::from_ref(&one)), || {
            assert!(!knows(facts.epoch(), &other), "nobody knows yet what is written");
        });
        facts.keep(before, &one, (position, &fact));
        let after = facts.epoch();
        assert!(!knows(before, &other));
        assert!(knows(after, &other) && !knows(after, &one));
        facts.around(Changes::Any, || ());
        assert!(!knows(facts.epoch(), &other));
    }
}
