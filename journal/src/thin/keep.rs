//! Which versions are kept. Pure.
//!
//! What was true at a moment that counts stays readable: at any moment for some days, at the end of
//! each day for longer, at the end of each week for longer still. Each bucket of time therefore
//! keeps its last version, and so does all the time before the first week, whose last version is
//! what was true when that week began.

use std::collections::HashSet;

use backstock_proto::Timestamp;
use backstock_proto::journal::Retention;

use crate::keys::Position;
use crate::read::{LOOK_BACK_MAX, Link};
use crate::record::{Body, Record};

const DAY: i64 = 24 * 3600 * 1_000_000;

/// From when on which versions are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Zones {
    all_from: i64,
    daily_from: i64,
    weekly_from: i64,
}

/// A stretch of time of which the last version is kept, or all are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bucket {
    Everything,
    Day(i64),
    /// From Monday to Sunday, UTC.
    Week(i64),
    Older,
}

impl Zones {
    pub(super) fn of(retention: Retention, now: Timestamp) -> Self {
        // However long that is: some say for ever with the largest number there is.
        let back = |days: u32| now.as_micros().saturating_sub(i64::from(days).saturating_mul(DAY));
        Self {
            all_from: back(retention.keep_all_days),
            daily_from: back(retention.keep_daily),
            weekly_from: back(retention.keep_weekly.saturating_mul(7)),
        }
    }

    fn bucket(&self, at: Timestamp) -> Bucket {
        let micros = at.as_micros();
        let day = micros / DAY;
        if micros >= self.all_from {
            Bucket::Everything
        } else if micros >= self.daily_from {
            Bucket::Day(day)
        } else if micros >= self.weekly_from {
            // 1970 began on a Thursday.
            Bucket::Week((day + 3) / 7)
        } else {
            Bucket::Older
        }
    }
}

/// Decides about the versions of one facet, told newest first.
pub(super) struct Keeper<'e> {
    zones: Zones,
    /// The bucket of the version before; `None` at the newest.
    bucket: Option<Bucket>,
    /// An end was met, and what it ended not yet.
    ended: bool,
    /// The ends of the resource's core, newest first: what else was true then stays readable.
    ends: &'e [Position],
    /// Versions whose payload is the one of a version that is kept.
    holders: HashSet<Position>,
}

impl<'e> Keeper<'e> {
    pub(super) fn new(zones: Zones, ends: &'e [Position]) -> Self {
        Self { zones, bucket: None, ended: false, ends, holders: HashSet::new() }
    }

    /// Whether the next older version is kept.
    pub(super) fn keeps(&mut self, position: Position, record: &Record<'_>) -> bool {
        let bucket = self.zones.bucket(position.valid_at);
        let last = self.bucket.replace(bucket) != Some(bucket);
        let mut keeps = last || bucket == Bucket::Everything;
        if record.is_tombstone() {
            (keeps, self.ended) = (true, true);
        } else if std::mem::take(&mut self.ended) {
            keeps = true;
        }
        while let Some((end, earlier)) = self.ends.split_first()
            && position <= *end
        {
            (keeps, self.ends) = (true, earlier);
        }
        keeps |= self.holders.remove(&position);
        if keeps && let Body::SameAs(holder) = record.body {
            self.holders.insert(holder);
        }
        keeps
    }
}

/// Of which kept version of a facet it is not known yet whether it leaves something open: what those
/// before it tell is then a part of it.
#[derive(Default)]
pub(super) struct Open {
    version: Option<Link>,
    /// How many were kept for the sake of newer ones, one after the other.
    kept: usize,
}

impl Open {
    /// Whether the next older version is kept, be it by itself or for a newer one that leaves something
    /// open.
    pub(super) fn keeps(
        &mut self,
        link: Link,
        by_itself: bool,
        leaves_open: impl FnOnce(&Link) -> bool,
    ) -> bool {
        if by_itself {
            self.kept = 0;
        } else {
            self.kept += 1;
            let newer = self.version.take().filter(|_| self.kept <= LOOK_BACK_MAX);
            if !newer.is_some_and(|newer| leaves_open(&newer)) {
                return false;
            }
        }
        if !link.is_end() {
            // Only what was sent may leave something open, and only a core.
            self.version = Some(link).filter(Link::is_sent_core);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn for_ever_is_a_time_like_any_other() {
        let now = Timestamp::from_micros(1_790_812_800_000_000);
        let all_day = Retention { keep_all_days: 1, keep_daily: u32::MAX, keep_weekly: u32::MAX };
        assert_eq!(Zones::of(all_day, now).bucket(Timestamp::MIN), Bucket::Day(0));
        let weekly = Retention { keep_daily: 1, ..all_day };
        assert_eq!(Zones::of(weekly, now).bucket(Timestamp::MIN), Bucket::Week(0));
    }
}
