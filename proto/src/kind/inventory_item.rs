//! What is counted of a variant: its stock keeping unit, cost, origin and weight.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "inventory_item",
    gid_type: "InventoryItem",
    topics: &[
        ("inventory_items/create", Coverage::Signal),
        ("inventory_items/update", Coverage::Signal),
        ("inventory_items/delete", Coverage::Delete),
    ],
    events_topic: Some("InventoryItem"),
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/inventory_item_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[], owner: None },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/inventory_item_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 100, more: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/InventoryItem/{id}"),
    rank: rank::INVENTORY,
    writable: Writable::Partly("it comes and goes with its variant"),
    not_covered: "harmonized system codes by country",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "sku",
        "tracked",
        "requiresShipping",
        "countryCodeOfOrigin",
        "provinceCodeOfOrigin",
        "harmonizedSystemCode",
        "unitCost",
        "measurement",
    ],
};
