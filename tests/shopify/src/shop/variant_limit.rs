//! The throttle on new variants: a shop that has many gets so many more a day and app, and no more.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::Shop;

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How many variants apps may make.
#[derive(Clone, Debug)]
pub struct VariantLimit {
    /// From so many variants on.
    pub from: u64,
    /// So many more within a day.
    pub per_day: u64,
    /// When how many were made.
    made: VecDeque<(Timestamp, u64)>,
}

impl VariantLimit {
    /// A limit of which nothing is used.
    #[must_use]
    pub fn new(from: u64, per_day: u64) -> Self {
        Self { from, per_day, made: VecDeque::new() }
    }
}

impl Default for VariantLimit {
    /// As it is for every shop that is not on Plus.
    fn default() -> Self {
        Self::new(50_000, 1_000)
    }
}

impl Shop {
    /// Whether an app may make so many more variants now; they count if so.
    pub(crate) fn admits_variants(&mut self, more: u64, now: Timestamp) -> bool {
        let Some(limit) = &mut self.variant_limit else { return true };
        while limit.made.front().is_some_and(|(at, _)| now.duration_since(*at) >= DAY) {
            limit.made.pop_front();
        }
        let made: u64 = limit.made.iter().map(|(_, made)| made).sum();
        let (from, exceeds) = (limit.from, made + more > limit.per_day);
        // Only then, since it takes a while.
        if exceeds && self.store.live_ids("ProductVariant").count() as u64 >= from {
            return false;
        }
        if let Some(limit) = &mut self.variant_limit {
            limit.made.push_back((now, more));
        }
        true
    }
}
