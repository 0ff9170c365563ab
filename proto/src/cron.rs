//! When something is due again and again: a schedule in cron's five fields, UTC.

use std::str::FromStr;

use crate::Timestamp;

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
}
