//! Catalogs: which prices and products a market, a company's location or an app gets.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, field, rank};
use crate::resource::Facet;
use serde_json::Value;

const MORE: &[(&str, &str)] = &[
    ("markets", include_str!("graphql/catalog_more_markets.graphql")),
    ("companyLocations", include_str!("graphql/catalog_more_company_locations.graphql")),
    ("apps", include_str!("graphql/catalog_more_apps.graphql")),
];

pub(super) static SPEC: Spec = Spec {
    name: "catalog",
    gid_type: "MarketCatalog",
    reads: &["read_products"],
    writes: &["write_products"],
    mapping: 2,
    also_gid_types: &["CompanyLocationCatalog", "AppCatalog"],
    node,
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/catalog_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/catalogs", more: MORE, each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/catalog_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 20, more: MORE, each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/MarketCatalog/{id}"),
    references: &["/priceList/id", "/publication/id", "/markets/*/id", "/companyLocations/*/id"],
    natural_key: &["title"],
    rank: rank::PRICING,
    writable: Writable::Partly(
        "catalogs of apps are the apps' own, and which products a catalog shows goes with its publication",
    ),
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "type",
        "title",
        "status",
        "priceList",
        "publication",
        "?markets",
        "?companyLocations",
        "?apps",
    ],
};

/// Which lists it has depends on its type.
fn node(facet: Facet, node: &Value) -> Result<Value, super::MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    for list in ["markets", "companyLocations", "apps"] {
        if let Some(of) = state.get_mut(list) {
            *of = field::sorted(of.take(), |item| item["id"].to_string());
        }
    }
    Ok(state)
}
