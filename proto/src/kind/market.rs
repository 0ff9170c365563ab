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
            way: Way::Pages { connection: "/markets", more: &[], each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/market_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 2, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Market/{id}"),
    natural_key: &["handle"],
    rank: rank::PRICING,
    writable: Writable::Partly("domains, subfolders and parts of countries cannot be written"),
    not_covered: "what is beyond 250 regions, 50 locations, 50 locations of companies and ten web \
                  presences",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "name",
        "handle",
        "status",
        "type",
        "conditions",
        "currencySettings",
        "webPresences",
    ],
};
