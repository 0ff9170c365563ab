//! Instants as people say them, read in a time zone and told in it again.

use std::str::FromStr;

use backstock_proto::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Span, ToSpan, Zoned};

/// Every form that [`parse`] accepts, one example each.
pub(super) const FORMS: &str = "now, \"2 hours ago\", 14:00, \"today 9:30\", \"yesterday 14:00\", \
                                2026-11-20, \"2026-11-20 14:00\" or 2026-11-20T14:00:00Z";

/// Why a text does not name one instant.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum MomentError {
    #[error("not a time; say it like {FORMS}")]
    Form,
    #[error("{0} is still to come")]
    Future(String),
    #[error("clocks were set forward over {0}, so it never was; the time after it is {1}")]
    Skipped(String, String),
    #[error("clocks were set back over {0}, so it was twice; say {1} or {2}")]
    Twice(String, String, String),
}

/// Reads `text` as an instant. What has no offset is local time in `now`'s zone; a day alone means
/// its beginning, and a time alone is today's.
pub(super) fn parse(text: &str, now: &Zoned) -> Result<Timestamp, MomentError> {
    if let Ok(instant) = Timestamp::parse(text) {
        return Ok(instant);
    }
    let words = text.to_lowercase();
    let words: Vec<&str> = words.split_whitespace().collect();
    let at = match words.as_slice() {
        ["now"] => now.clone(),
        [length @ .., "ago"] => before(length, now)?,
        [day] if day.contains('-') && day.contains('t') => {
            let (day, time) = day.split_once('t').ok_or(MomentError::Form)?;
            local(date(day, now)?, Some(clock(time)?), now)?
        }
        [time] if time.contains(':') => local(now.date(), Some(clock(time)?), now)?,
        [day] => local(date(day, now)?, None, now)?,
        [day, time] | [day, "at", time] => local(date(day, now)?, Some(clock(time)?), now)?,
        _ => return Err(MomentError::Form),
    };
    Ok(Timestamp::from_micros(at.timestamp().as_microsecond()))
}

/// An instant as local time, exact to the last digit, in a form that [`parse`] reads.
pub(super) fn shown(at: Timestamp, now: &Zoned) -> String {
    match jiff::Timestamp::from_microsecond(at.as_micros()) {
        Ok(instant) => {
            let local = instant.to_zoned(now.time_zone().clone());
            local.strftime("%Y-%m-%d %H:%M:%S%.f").to_string()
        }
        Err(_) => at.to_string(),
    }
}

/// How long before `now` an instant was, in words.
pub(super) fn age(at: Timestamp, now: &Zoned) -> String {
    let now = Timestamp::from_micros(now.timestamp().as_microsecond());
    format!("{} ago", length(now.seconds_since(at)))
}

/// A length of time in words, to two digits or so.
pub(super) fn length(seconds: f64) -> String {
    let whole = |unit: f64| (seconds / unit).floor();
    if seconds < 0.0005 {
        "0 s".into()
    } else if seconds < 1.0 {
        format!("{} ms", (seconds * 1e3).round())
    } else if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{} s", whole(1.0))
    } else if seconds < 7_200.0 {
        format!("{} min", whole(60.0))
    } else if seconds < 172_800.0 {
        format!("{} h", whole(3_600.0))
    } else {
        format!("{} days", whole(86_400.0))
    }
}

fn before(length: &[&str], now: &Zoned) -> Result<Zoned, MomentError> {
    let one = |word: &&str| if matches!(*word, "a" | "an") { "1".into() } else { (*word).into() };
    let words: Vec<String> = length.iter().map(one).collect();
    let span = Span::from_str(&words.join(" ")).map_err(|_| MomentError::Form)?;
    if span.is_negative() {
        return Err(MomentError::Form);
    }
    now.checked_sub(span).map_err(|_| MomentError::Form)
}

fn date(text: &str, now: &Zoned) -> Result<Date, MomentError> {
    match text {
        "today" => Ok(now.date()),
        "yesterday" => now.date().checked_sub(1.day()).map_err(|_| MomentError::Form),
        _ if text.len() == 10 => text.parse().map_err(|_| MomentError::Form),
        _ => Err(MomentError::Form),
    }
}

fn clock(text: &str) -> Result<Time, MomentError> {
    let padded = if text.find(':') == Some(1) { format!("0{text}") } else { text.into() };
    let digits = |b: u8| b.is_ascii_digit() || b == b':' || b == b'.';
    if !padded.contains(':') || !padded.bytes().all(digits) {
        return Err(MomentError::Form);
    }
    padded.parse().map_err(|_| MomentError::Form)
}

/// The one instant at which clocks in `now`'s zone showed this.
fn local(day: Date, time: Option<Time>, now: &Zoned) -> Result<Zoned, MomentError> {
    let zone = now.time_zone();
    let at = match time {
        Some(time) => once(day.to_datetime(time), zone)?,
        None => {
            let midnight = day.to_zoned(zone.clone()).and_then(|z| z.start_of_day());
            midnight.map_err(|_| MomentError::Form)?
        }
    };
    if at > *now {
        return Err(MomentError::Future(at.strftime("%Y-%m-%d %H:%M").to_string()));
    }
    Ok(at)
}

fn once(at: DateTime, zone: &TimeZone) -> Result<Zoned, MomentError> {
    let said = || at.strftime("%Y-%m-%d %H:%M").to_string();
    let with = |offset: Offset| match at.to_zoned(TimeZone::fixed(offset)) {
        Ok(fixed) => fixed.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        Err(_) => said(),
    };
    let ambiguous = zone.to_ambiguous_zoned(at);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {
            ambiguous.unambiguous().map_err(|_| MomentError::Form)
        }
        AmbiguousOffset::Gap { .. } => match ambiguous.later() {
            Ok(after) => {
                let after = after.strftime("%H:%M").to_string();
                Err(MomentError::Skipped(said(), after))
            }
            Err(_) => Err(MomentError::Form),
        },
        AmbiguousOffset::Fold { before, after } => {
            Err(MomentError::Twice(said(), with(before), with(after)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time, without needing a time zone database.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn now(text: &str) -> Zoned {
        let zone = TimeZone::posix(BERLIN).expect("a zone");
        let at: DateTime = text.parse().expect("a time");
        at.to_zoned(zone).expect("an instant")
    }

    fn check(now_is: &str, said: &str, expect: &str) {
        let read = parse(said, &now(now_is)).map(|t| t.to_string());
        assert_eq!(read.as_deref(), Ok(expect), "{said:?}");
    }

    fn refused(now_is: &str, said: &str) -> String {
        parse(said, &now(now_is)).expect_err(said).to_string()
    }

    const MONDAY: &str = "2026-11-23T15:30:00";

    #[test]
    fn every_form_names_its_instant() {
        check(MONDAY, "now", "2026-11-23T14:30:00Z");
        check(MONDAY, "2 hours ago", "2026-11-23T12:30:00Z");
        check(MONDAY, "an hour ago", "2026-11-23T13:30:00Z");
        check(MONDAY, "1h 30m ago", "2026-11-23T13:00:00Z");
        check(MONDAY, "90 seconds ago", "2026-11-23T14:28:30Z");
        check(MONDAY, "3 days ago", "2026-11-20T14:30:00Z");
        check(MONDAY, "14:00", "2026-11-23T13:00:00Z");
        check(MONDAY, "9:30", "2026-11-23T08:30:00Z");
        check(MONDAY, "today 9:30", "2026-11-23T08:30:00Z");
        check(MONDAY, "Yesterday  at 14:00", "2026-11-22T13:00:00Z");
        check(MONDAY, "yesterday", "2026-11-21T23:00:00Z");
        check(MONDAY, "2026-11-20", "2026-11-19T23:00:00Z");
        check(MONDAY, "2026-11-20 14:00", "2026-11-20T13:00:00Z");
        check(MONDAY, "2026-11-20T14:00:05.25", "2026-11-20T13:00:05.25Z");
        check(MONDAY, "2026-11-20T14:00:00Z", "2026-11-20T14:00:00Z");
        check(MONDAY, "2026-11-20T14:00:00-05:00", "2026-11-20T19:00:00Z");
    }

    #[test]
    fn days_are_calendar_days_across_a_change_of_clocks() {
        // Clocks were set back on 2026-10-25 at 03:00.
        check("2026-10-26T12:00:00", "2 days ago", "2026-10-24T10:00:00Z");
        check("2026-10-26T12:00:00", "48 hours ago", "2026-10-24T11:00:00Z");
        check("2026-10-26T12:00:00", "2026-10-25", "2026-10-24T22:00:00Z");
        check("2026-10-26T12:00:00", "yesterday 12:00", "2026-10-25T11:00:00Z");
    }

    #[test]
    fn a_time_that_was_twice_or_never_is_not_guessed() {
        assert_eq!(
            refused(MONDAY, "2026-10-25 02:30"),
            "clocks were set back over 2026-10-25 02:30, so it was twice; \
             say 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"
        );
        check(MONDAY, "2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z");
        assert_eq!(
            refused(MONDAY, "2026-03-29 02:30"),
            "clocks were set forward over 2026-03-29 02:30, so it never was; \
             the time after it is 03:30"
        );
    }

    #[test]
    fn what_is_no_time_is_answered_with_the_forms() {
        for said in [
            "",
            "tomorrow",
            "soon",
            "ago",
            "2 ago",
            "-2 hours ago",
            "2 hours",
            "25:00",
            "1400",
            "2026-13-01",
            "2026-02-30 12:00",
            "20-11-2026",
            "yesterday 14",
            "14:00 yesterday today",
            "9999999999 years ago",
        ] {
            let refusal = refused(MONDAY, said);
            assert!(
                refusal.contains("\"2 hours ago\"") && refusal.contains("2026-11-20"),
                "{said}"
            );
        }
        assert_eq!(refused(MONDAY, "16:00"), "2026-11-23 16:00 is still to come");
        assert_eq!(refused(MONDAY, "2026-11-24"), "2026-11-24 00:00 is still to come");
    }

    #[test]
    fn what_is_shown_can_be_said() {
        let now = now(MONDAY);
        for said in ["2026-11-20T14:00:05.000001Z", "2026-07-01T00:00:00Z"] {
            let at = Timestamp::parse(said).expect("an instant");
            assert_eq!(parse(&shown(at, &now), &now), Ok(at));
        }
        assert_eq!(shown(Timestamp::parse(MONDAY_UTC).expect("utc"), &now), "2026-11-23 15:30:00");
    }

    const MONDAY_UTC: &str = "2026-11-23T14:30:00Z";

    #[test]
    fn lengths_are_told_to_two_digits_or_so() {
        let told = [0.0, 0.25, 2.34, 61.0, 300.0, 9_000.0, 1e6].map(length);
        assert_eq!(told, ["0 s", "250 ms", "2.3 s", "61 s", "5 min", "2 h", "11 days"]);
    }
}
