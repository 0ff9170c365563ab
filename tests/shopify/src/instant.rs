//! How Shopify writes instants: in UTC in GraphQL, in the shop's own offset in webhook bodies.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// `2026-11-23T20:00:00Z`, as GraphQL shows it: whole seconds.
#[must_use]
pub fn graphql(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `2026-11-23T15:00:00-05:00`, as a webhook body shows what GraphQL calls `utc`.
/// Text that is no instant is left as it is.
#[must_use]
pub fn rest(utc: &str, offset: Offset) -> String {
    utc.parse::<Timestamp>().map_or_else(
        |_| utc.to_owned(),
        |at| at.to_zoned(TimeZone::fixed(offset)).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    )
}

/// `2026-11-23T20:00:00.123456789Z`, as the `X-Shopify-Triggered-At` header shows it.
#[must_use]
pub fn header(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_instant_in_three_clothes() {
        let at: Timestamp = "2026-11-23T20:00:00.000000042Z".parse().unwrap();
        assert_eq!(graphql(at), "2026-11-23T20:00:00Z");
        assert_eq!(rest(&graphql(at), jiff::tz::offset(-5)), "2026-11-23T15:00:00-05:00");
        assert_eq!(header(at), "2026-11-23T20:00:00.000000042Z");
    }
}
