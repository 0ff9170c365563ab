//! Places where stock is.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "location",
    gid_type: "Location",
    topics: &[
        ("locations/create", Coverage::Signal),
        ("locations/update", Coverage::Signal),
        ("locations/activate", Coverage::Signal),
        ("locations/deactivate", Coverage::Signal),
        ("locations/delete", Coverage::Delete),
    ],
    events_topic: Some("Location"),
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/location_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/locations", more: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/location_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Location/{id}"),
    natural_key: &["name"],
    rank: rank::LOCATIONS,
    writable: Writable::Partly("the plan limits how many there are"),
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["name", "isActive", "fulfillsOnlineOrders", "shipsInventory", "address"],
};
