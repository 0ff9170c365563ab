//! When something is due again and again: a schedule in cron's five fields, UTC.

use std::str::FromStr;
use std::time::Duration;

use crate::{Shop, Timestamp};

/// A schedule in cron's five fields, UTC.
#[derive(Clone, Debug)]
pub struct Cron(croner::Cron);

/// Why a text is not a schedule.
#[derive(Debug, thiserror::Error)]
#[error("{given:?} is not a schedule in cron's five fields: {reason}")]
pub struct CronError {
    given: String,
    reason: String,
}

impl FromStr for Cron {
    type Err = CronError;
    fn from_str(text: &str) -> Result<Self, CronError> {
        let parsed = croner::Cron::from_str(text);
        parsed.map(Self).map_err(|e| CronError { given: text.into(), reason: e.to_string() })
    }
}

impl Cron {
    /// The last time that it names, up to `now`; the beginning of time, if there is none.
    pub fn last(&self, now: Timestamp) -> Timestamp {
        // A schedule names whole seconds.
        let now = chrono::DateTime::from_timestamp(now.as_micros().div_euclid(1_000_000), 0);
        let last = now.and_then(|now| self.0.find_previous_occurrence(&now, true).ok());
        last.map_or(Timestamp::MIN, |last| Timestamp::from_micros(last.timestamp_micros()))
    }

    /// The same for one of many shops, which are spread over so long from each of its times on: each at a
    /// place of its own, the same for everybody.
    pub fn last_of(&self, shop: &Shop, spread: Duration, now: Timestamp) -> Timestamp {
        let hash = blake3::hash(shop.name().as_bytes());
        let number = u64::from_be_bytes(std::array::from_fn(|i| hash.as_bytes()[i]));
        let later = (number % spread.as_secs().max(1)).cast_signed() * 1_000_000;
        match self.last(Timestamp::from_micros(now.as_micros() - later)) {
            Timestamp::MIN => Timestamp::MIN,
            last => Timestamp::from_micros(last.as_micros() + later),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_that_a_schedule_names() {
        let cron: Cron = "0 3 * * *".parse().expect("a schedule");
        let at = |text: &str| Timestamp::parse(text).expect("an instant");
        assert_eq!(cron.last(at("2026-11-24T02:59:59Z")), at("2026-11-23T03:00:00Z"));
        for within in ["2026-11-24T03:00:00Z", "2026-11-24T03:00:00.5Z", "2026-11-24T03:17:30.25Z"]
        {
            assert_eq!(cron.last(at(within)), at("2026-11-24T03:00:00Z"));
        }
        assert_eq!(cron.last(at("2026-11-24T02:59:59.999999Z")), at("2026-11-23T03:00:00Z"));
        assert!("every night".parse::<Cron>().is_err());
    }

    #[test]
    fn many_shops_are_spread_each_at_its_time() {
        let cron: Cron = "0 3 * * *".parse().expect("a schedule");
        let at = |text: &str| Timestamp::parse(text).expect("an instant");
        let (begin, end) = (at("2026-11-24T03:00:00Z"), at("2026-11-24T04:00:00Z"));
        let noon = at("2026-11-24T12:00:00Z");
        let mut minutes = std::collections::BTreeSet::new();
        for n in 0..500 {
            let shop = Shop::from_name(&format!("shop-{n}")).expect("a shop");
            let spread = |over: u64, now| cron.last_of(&shop, Duration::from_secs(over), now);
            let due = spread(3_600, noon);
            assert!(begin <= due && due < end, "{due}");
            // Before its time it is the night before that counts.
            let before = spread(3_600, Timestamp::from_micros(due.as_micros() - 1));
            assert_eq!(due.seconds_since(before), 24.0 * 3600.0);
            assert_eq!(spread(0, noon), begin, "not spread at all");
            minutes.insert(due.as_micros() / 60_000_000);
        }
        assert!(minutes.len() > 55, "{}", minutes.len());
    }
}
