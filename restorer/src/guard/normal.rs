//! What is normal in a shop: what ordinary change-sets do again and again, so that its own sales,
//! imports and clear-outs are not taken for harm.
//!
//! What happened on one day only is no habit: an attack that nobody noticed does not make the next
//! one normal. And what one app does every night says nothing about another.

use std::collections::{BTreeMap, BTreeSet};

use super::Trip;
use crate::change_set::{ActorKind, ChangeSet, Harm};

/// Days on which something was done that are remembered.
const DAYS_MAX: usize = 60;
const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// What ordinary change-sets did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Normal {
    /// The most of a harm that an actor did, by day.
    most: BTreeMap<(Harm, ActorKind, Box<str>), BTreeMap<i64, u64>>,
    familiar: BTreeSet<Box<str>>,
}

impl Normal {
    /// Learns from a change-set that was nobody's worry.
    pub fn learn(&mut self, set: &ChangeSet) {
        let day = set.to.as_micros().div_euclid(DAY_MICROS);
        for damage in &set.damage {
            self.count(damage.harm, set, day, damage.count);
        }
        let known = self.familiar.contains(set.actor.name.as_str());
        if set.actor.kind != ActorKind::Unknown && !known {
            self.familiar.insert(set.actor.name.as_str().into());
        }
    }

    /// Learns from what a person says was meant: their word counts for two days.
    pub fn meant(&mut self, set: &ChangeSet, trips: &[Trip]) {
        let day = set.to.as_micros().div_euclid(DAY_MICROS);
        for trip in trips {
            self.count(trip.harm, set, day, trip.count);
            self.count(trip.harm, set, day - 1, trip.count);
        }
    }

    fn count(&mut self, harm: Harm, set: &ChangeSet, day: i64, count: u64) {
        let days = self.most.entry(by(harm, set)).or_default();
        let most = days.entry(day).or_default();
        *most = (*most).max(count);
        while days.len() > DAYS_MAX {
            days.pop_first();
        }
    }

    /// How much harm of this sort is usual of whoever made a set: so much was done on two days at
    /// least. Of an app its own, of people and of nobody known what any of them did.
    pub fn most(&self, harm: Harm, set: &ChangeSet) -> u64 {
        let mut days: Vec<u64> =
            self.most.get(&by(harm, set)).into_iter().flat_map(BTreeMap::values).copied().collect();
        days.sort_unstable();
        days.iter().rev().nth(1).copied().unwrap_or_default()
    }

    /// Whether this actor has worked here before.
    pub fn knows(&self, actor: &str) -> bool {
        self.familiar.contains(actor)
    }
}

fn by(harm: Harm, set: &ChangeSet) -> (Harm, ActorKind, Box<str>) {
    let name = match set.actor.kind {
        ActorKind::App => set.actor.name.as_str(),
        _ => "",
    };
    (harm, set.actor.kind, name.into())
}
