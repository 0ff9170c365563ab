//! Instants in the shop's time zone.

use backstock_proto::Timestamp;
use jiff::Zoned;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use maud::{Markup, html};

/// A time zone and the present in it.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    zone: TimeZone,
    name: String,
    now: Timestamp,
}

impl Clock {
    /// In this zone by its IANA name, or in UTC if it is not known.
    pub(crate) fn new(zone: Option<&str>, now: Timestamp) -> Self {
        let found = zone.and_then(|name| Some((TimeZone::get(name).ok()?, name.to_owned())));
        let (zone, name) = found.unwrap_or((TimeZone::UTC, "UTC".into()));
        Self { zone, name, now }
    }

    /// The present.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// What the zone is called.
    pub(crate) fn zone(&self) -> &str {
        &self.name
    }

    fn zoned(&self, at: Timestamp) -> Zoned {
        let instant = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
        instant.to_zoned(self.zone.clone())
    }

    /// `Today`, `Yesterday`, `Friday 20 November`, `20 November 2025`.
    pub(crate) fn day(&self, at: Timestamp) -> String {
        let (at, now) = (self.zoned(at), self.zoned(self.now));
        let days = (now.date() - at.date()).get_days();
        match days {
            0 => "Today".into(),
            1 => "Yesterday".into(),
            2..=300 => at.strftime("%A %-d %B").to_string(),
            _ => at.strftime("%-d %B %Y").to_string(),
        }
    }

    /// `14:02`.
    pub(crate) fn hour(&self, at: Timestamp) -> String {
        self.zoned(at).strftime("%H:%M").to_string()
    }

    /// `today 14:02`, `yesterday 14:02`, `20 Nov 14:02`, `20 Nov 2025 14:02`.
    pub(crate) fn short(&self, at: Timestamp) -> String {
        let (zoned, now) = (self.zoned(at), self.zoned(self.now));
        let days = (now.date() - zoned.date()).get_days();
        match days {
            0 => zoned.strftime("today %H:%M").to_string(),
            1 => zoned.strftime("yesterday %H:%M").to_string(),
            _ if now.year() == zoned.year() => zoned.strftime("%-d %b %H:%M").to_string(),
            _ => zoned.strftime("%-d %b %Y %H:%M").to_string(),
        }
    }

    /// To the second, with the date and the zone.
    pub(crate) fn full(&self, at: Timestamp) -> String {
        format!("{} {}", self.zoned(at).strftime("%-d %B %Y, %H:%M:%S"), self.name)
    }

    /// Short on the page, whole on a closer look.
    pub(crate) fn time(&self, at: Timestamp) -> Markup {
        html! { time datetime=(at) title=(self.full(at)) { (self.short(at)) } }
    }

    /// `4 minutes ago`, whole on a closer look.
    pub(crate) fn ago(&self, at: Timestamp) -> Markup {
        html! { time datetime=(at) title=(self.full(at)) { (ago(self.now.seconds_since(at))) } }
    }

    /// For an input of the type `datetime-local`, whose value has no zone.
    pub(crate) fn input(&self, at: Timestamp) -> String {
        self.zoned(at).strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }

    /// What such an input says.
    pub(crate) fn parse(&self, text: &str) -> Option<Timestamp> {
        if let Ok(at) = Timestamp::parse(text) {
            return Some(at);
        }
        let local: DateTime = text.trim().parse().ok()?;
        let zoned = local.to_zoned(self.zone.clone()).ok()?;
        Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
    }

    /// The same, for a moment that something is put back to: one that clocks showed twice, or never, is not
    /// guessed.
    pub(crate) fn parse_once(&self, text: &str) -> Result<Timestamp, String> {
        if let Ok(at) = Timestamp::parse(text) {
            return Ok(at);
        }
        let none = || format!("{text:?} is no moment such as 2026-11-22T14:02");
        let local: DateTime = text.trim().parse().map_err(|_| none())?;
        let said = text.trim().replace('T', " ");
        let with = |offset: Offset| match local.to_zoned(TimeZone::fixed(offset)) {
            Ok(fixed) => fixed.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Err(_) => said.clone(),
        };
        let ambiguous = self.zone.to_ambiguous_zoned(local);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => {
                let zoned = ambiguous.unambiguous().map_err(|_| none())?;
                Ok(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
            }
            AmbiguousOffset::Gap { .. } => Err(format!(
                "clocks were set forward over {said}, so it never was. Choose another moment"
            )),
            AmbiguousOffset::Fold { before, after } => Err(format!(
                "clocks were set back over {said}, so it was twice. Choose a moment outside that hour, or \
                 use the command line, which takes {} and {}",
                with(before),
                with(after)
            )),
        }
    }
}

/// So many seconds ago, in words.
pub(crate) fn ago(seconds: f64) -> String {
    match seconds as u64 {
        0..=2 => "just now".into(),
        _ => format!("{} ago", lasting(seconds)),
    }
}

/// So many seconds, in words, in the largest unit of which there are two.
pub(crate) fn lasting(seconds: f64) -> String {
    let many = |n: u64, unit: &str| format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    match seconds.max(0.0) as u64 {
        s @ 0..=119 => many(s, "second"),
        s @ 120..=7_199 => many(s / 60, "minute"),
        s @ 7_200..=172_799 => many(s / 3_600, "hour"),
        s => many(s / 86_400, "day"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("an instant")
    }

    #[test]
    fn times_are_the_shops() {
        let now = at("2026-11-22T12:00:00Z");
        let berlin = Clock::new(Some("Europe/Berlin"), now);
        assert_eq!(berlin.short(at("2026-11-22T10:02:00Z")), "today 11:02");
        assert_eq!(berlin.short(at("2026-11-20T23:30:00Z")), "yesterday 00:30");
        assert_eq!(berlin.short(at("2025-07-01T10:00:00Z")), "1 Jul 2025 12:00");
        assert_eq!(berlin.day(at("2026-11-20T10:00:00Z")), "Friday 20 November");
        assert_eq!(
            berlin.full(at("2026-11-22T10:02:03Z")),
            "22 November 2026, 11:02:03 Europe/Berlin"
        );
        assert_eq!(
            berlin.parse(&berlin.input(at("2026-11-22T10:02:03Z"))),
            Some(at("2026-11-22T10:02:03Z"))
        );
        let nowhere = Clock::new(Some("Mars/Olympus"), now);
        assert_eq!(nowhere.zone(), "UTC");
        assert_eq!(nowhere.parse("2026-11-22T10:02"), Some(at("2026-11-22T10:02:00Z")));
        assert_eq!(nowhere.parse("soon"), None);
    }

    #[test]
    fn a_time_that_was_twice_or_never_is_not_guessed_where_something_is_put_back() {
        let berlin = Clock::new(Some("Europe/Berlin"), at("2026-11-22T12:00:00Z"));
        let twice = berlin.parse_once("2026-10-25T02:30:00").expect_err("it was twice");
        assert!(
            twice.contains("2026-10-25T02:30:00+02:00 and 2026-10-25T02:30:00+01:00"),
            "{twice}"
        );
        let never = berlin.parse_once("2026-03-29T02:30").expect_err("it never was");
        assert!(never.contains("set forward over 2026-03-29 02:30"), "{never}");
        for (text, expected) in [
            ("2026-10-25T01:30:00", "2026-10-24T23:30:00Z"),
            ("2026-10-25T03:00", "2026-10-25T02:00:00Z"),
            ("2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z"),
        ] {
            assert_eq!(berlin.parse_once(text), Ok(at(expected)), "{text}");
        }
        assert!(berlin.parse_once("soon").is_err());
    }

    #[test]
    fn durations_are_words() {
        let shown = [0.4, 61.0, 119.9, 3_600.0, 90_000.0, 400_000.0].map(lasting);
        assert_eq!(
            shown.join(", "),
            "0 seconds, 61 seconds, 119 seconds, 60 minutes, 25 hours, 4 days"
        );
        assert_eq!(ago(1.0), "just now");
    }
}
