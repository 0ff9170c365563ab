//! Instants, in microseconds since 1970 UTC: fine enough for Shopify's `triggered_at`, and eight
//! bytes that sort in a key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An instant with microsecond resolution. Finer digits are cut off when parsing, never rounded,
/// so that an instant read back is never later than the one that was said.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, format = DateTime, example = "2026-10-01T14:03:00Z")]
pub struct Timestamp(i64);

/// Why a text is not an instant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} is not an RFC 3339 instant such as \"2026-10-01T14:03:00Z\"")]
pub struct TimestampError {
    given: String,
}

impl Timestamp {
    /// The earliest instant that a key can hold: 1970-01-01T00:00:00Z.
    pub const MIN: Self = Self(0);
    /// The latest instant that can be written as RFC 3339: the end of year 9998.
    pub const MAX: Self = Self(253_370_764_799_999_999);

    /// Microseconds since 1970 UTC, held within [`Self::MIN`] and [`Self::MAX`].
    pub fn from_micros(micros: i64) -> Self {
        Self(micros.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Microseconds since 1970 UTC.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// Parses RFC 3339 with any offset.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let parsed: Result<jiff::Timestamp, _> = text.trim().parse();
        match parsed {
            Ok(t) => Ok(Self::from_micros(t.as_microsecond())),
            Err(_) => Err(TimestampError { given: text.chars().take(60).collect() }),
        }
    }

    /// Microseconds from `earlier` to `self`; 0 if `earlier` is later.
    pub fn micros_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0 - earlier.0).unwrap_or(0)
    }

    /// Seconds from `earlier` to `self`; 0 if `earlier` is later.
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.micros_since(earlier) as f64 / 1e6
    }
}

/// Where "now" comes from. Order in history never depends on it; only arrival times, lags and
/// defaults do, so that tests can set it.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = jiff::Timestamp::from_microsecond(self.0).map_err(|_| fmt::Error)?;
        fmt::Display::fmt(&shown, f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;
    fn from_str(s: &str) -> Result<Self, TimestampError> {
        Self::parse(s)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;
    fn try_from(s: String) -> Result<Self, TimestampError> {
        Self::parse(&s)
    }
}

impl From<Timestamp> for String {
    fn from(t: Timestamp) -> Self {
        t.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_fractions_name_the_same_instant() {
        let utc = Timestamp::parse("2022-01-01T00:00:00Z").expect("utc");
        assert_eq!(Timestamp::parse("2021-12-31T19:00:00-05:00").expect("offset"), utc);
        assert_eq!(utc.to_string(), "2022-01-01T00:00:00Z");
        let fine = Timestamp::parse("2023-03-29T18:00:27.877041743Z").expect("nanoseconds");
        assert_eq!(fine.to_string(), "2023-03-29T18:00:27.877041Z");
        assert!(Timestamp::parse("2026-10-01").is_err());
        assert!(Timestamp::parse("yesterday").is_err());
    }

    #[test]
    fn the_limits_can_be_written_and_read() {
        for t in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(Timestamp::parse(&t.to_string()).expect("round trip"), t);
        }
        assert_eq!(Timestamp::from_micros(-1), Timestamp::MIN);
        assert_eq!(Timestamp::from_micros(i64::MAX), Timestamp::MAX);
    }
}
