//! How far our clock is off the shop's: each answer of the shop's is dated by that.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::Timestamp;

/// How far our clock is off, in microseconds: more than none if it is ahead.
#[derive(Debug, Default)]
pub(super) struct Skew {
    /// As the last answer had it.
    of_last: AtomicI64,
    /// As far as is known.
    known: AtomicI64,
}

impl Skew {
    /// Takes note of an answer that is dated `theirs`, in whole seconds, and came when ours said `ours`.
    /// Of two answers the one counts that says less: one may have been on its way for long.
    pub(super) fn note(&self, ours: Timestamp, theirs: Timestamp) {
        let off = ours.as_micros() - by_theirs(ours, theirs).as_micros();
        let before = self.of_last.swap(off, Ordering::Relaxed);
        let less = if before.abs() < off.abs() { before } else { off };
        self.known.store(less, Ordering::Relaxed);
    }

    /// What the shop's clock says when ours says `ours`.
    pub(super) fn theirs(&self, ours: Timestamp) -> Timestamp {
        Timestamp::from_micros(ours.as_micros() - self.known.load(Ordering::Relaxed))
    }
}

/// What the shop's clock says when ours says `ours`, as far as a date in whole seconds tells.
fn by_theirs(ours: Timestamp, theirs: Timestamp) -> Timestamp {
    let at_the_latest = Timestamp::from_micros(theirs.as_micros() + 1_000_000);
    ours.clamp(theirs, at_the_latest)
}

/// The instant that a `Date` header says.
pub(super) fn of_header(date: &str) -> Option<Timestamp> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    Some(Timestamp::from_micros(parsed.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_micros(millis * 1_000)
    }

    #[test]
    fn a_date_in_whole_seconds_tells_how_far_a_clock_is_off_at_least() {
        for (ours, expected) in [(5_400, 5_400), (6_000, 6_000), (35_000, 6_000), (2_000, 5_000)] {
            assert_eq!(by_theirs(at(ours), at(5_000)), at(expected));
        }
    }

    #[test]
    fn a_clock_of_ours_that_is_off_is_put_right() {
        // Ahead, and behind.
        for (ours, later, expected) in [(35_000, 40_000, 11_000), (2_000, 7_000, 10_000)] {
            let skew = Skew::default();
            assert_eq!(skew.theirs(at(later)), at(later), "nothing is known yet");
            skew.note(at(ours), at(5_000));
            skew.note(at(ours), at(5_000));
            assert_eq!(skew.theirs(at(later)), at(expected));
        }
    }

    #[test]
    fn an_answer_that_was_on_its_way_for_long_changes_nothing() {
        let skew = Skew::default();
        for (ours, theirs) in [(5_400, 5_000), (35_400, 6_000), (36_500, 36_000)] {
            skew.note(at(ours), at(theirs));
            assert_eq!(skew.theirs(at(40_000)), at(40_000));
        }
    }

    #[test]
    fn the_date_of_an_answer_is_read() {
        let date = of_header("Tue, 24 Nov 2026 03:00:05 GMT").expect("an instant");
        assert_eq!(date.to_string(), "2026-11-24T03:00:05Z");
        assert_eq!(of_header("yesterday"), None);
    }
}
