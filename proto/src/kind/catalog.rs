//! Catalogs: which prices and products a market, a company's location or an app gets.

use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{MappingError, Spec, Writable, field, rank};
use crate::resource::Facet;
use serde_json::{Value, json};

const MORE: &[(&str, &str)] = &[
    ("markets", include_str!("graphql/catalog_more_markets.graphql")),
    ("companyLocations", include_str!("graphql/catalog_more_company_locations.graphql")),
    ("apps", include_str!("graphql/catalog_more_apps.graphql")),
];

pub(super) static SPEC: Spec = Spec {
    name: "catalog",
    gid_type: "MarketCatalog",
    reads: &["read_products", "read_publications"],
    writes: &["write_products", "write_publications"],
    glimpse: Some(include_str!("graphql/catalog_glimpse.graphql")),
    mapping: 2,
    also_gid_types: &["CompanyLocationCatalog", "AppCatalog"],
    node,
    facets: &[CORE, MEMBERSHIP],
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
        // Apart from the rest, which an app without the scope of publications may read.
        Pull {
            name: "products_by_id",
            document: include_str!("graphql/catalog_products_by_id.graphql"),
            facets: &[Facet::Membership],
            way: Way::ById {
                list: "/nodes",
                ids_max: 5,
                more: &[(
                    "publication/includedProducts",
                    include_str!("graphql/catalog_more_products.graphql"),
                )],
                each: &[],
            },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/MarketCatalog/{id}"),
    references: &[
        "/priceList/id",
        "/publication/id",
        "/markets/*/id",
        "/companyLocations/*/id",
        "/products/*/id",
    ],
    natural_key: &["title"],
    rank: rank::PRICING,
    writable: Writable::Partly("catalogs of apps are the apps' own"),
    not_covered: "which products it shows beyond the first 25,000",
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

/// Which products it shows, if it has a publication; otherwise it shows all. Of an app's catalog the
/// products say it themselves.
const MEMBERSHIP: Members = Members { facet: Facet::Membership, members: &["?publication"] };

/// Which lists it has depends on its type.
fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    if facet == Facet::Membership {
        return Ok(shown(node));
    }
    let mut state = (PULLED.node)(facet, node)?;
    for list in ["markets", "companyLocations", "apps"] {
        if let Some(of) = state.get_mut(list) {
            *of = field::sorted(of.take(), |item| item["id"].to_string());
        }
    }
    Ok(state)
}

fn shown(node: &Value) -> Value {
    let mut state = json!({"id": node["id"]});
    if let Some(publication) = node.get("publication") {
        let products = publication["includedProducts"].clone();
        state["autoPublish"] = publication["autoPublish"].clone();
        state["products"] = field::sorted(products, |product| product["id"].to_string());
    }
    state
}
