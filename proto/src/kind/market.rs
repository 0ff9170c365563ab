//! Markets and their conditions.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "market",
    gid_type: "Market",
    reads: &["read_markets"],
    writes: &["write_markets"],
    topics: &[
        ("markets/create", Coverage::Signal),
        ("markets/update", Coverage::Signal),
        ("markets/delete", Coverage::Delete),
    ],
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/market_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/markets", more: MORE, each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/market_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 2, more: MORE, each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Market/{id}"),
    natural_key: &["handle"],
    rank: rank::PRICING,
    writable: Writable::Partly("domains, subfolders and parts of countries cannot be written"),
    not_covered: "metafields, exchange rates set by hand, deliveries, and the sales channels that it is for",
    ..PULLED
};

/// Its lists, each to its end.
const MORE: &[(&str, &str)] = &[
    ("conditions/regionsCondition/regions", include_str!("graphql/market_more_regions.graphql")),
    (
        "conditions/locationsCondition/locations",
        include_str!("graphql/market_more_locations.graphql"),
    ),
    (
        "conditions/companyLocationsCondition/companyLocations",
        include_str!("graphql/market_more_company_locations.graphql"),
    ),
    ("webPresences", include_str!("graphql/market_more_web_presences.graphql")),
];

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "name",
        "handle",
        "status",
        "type",
        "conditions",
        "currencySettings",
        "priceInclusions",
        "webPresences",
    ],
};
