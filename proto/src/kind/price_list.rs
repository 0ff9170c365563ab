//! Price lists with their fixed prices.

use serde_json::{Value, json};

use super::field::{self, MappingError, list};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Spec, Writable, rank};
use crate::resource::Facet;

const MORE: &[(&str, &str)] = &[
    ("prices", include_str!("graphql/price_list_more_prices.graphql")),
    ("quantityRules", include_str!("graphql/price_list_more_rules.graphql")),
];

pub(super) static SPEC: Spec = Spec {
    name: "price_list",
    gid_type: "PriceList",
    reads: &["read_products"],
    writes: &["write_products"],
    glimpse: Some(include_str!("graphql/price_list_glimpse.graphql")),
    node,
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/price_list_pages.graphql"),
            facets: &[Facet::Core],
            way: Way::Pages { connection: "/priceLists", more: MORE, each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/price_list_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 3, more: MORE, each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/PriceList/{id}"),
    references: &["/catalog/id", "/prices/*/id", "/quantityRules/*/id"],
    natural_key: &["name"],
    rank: rank::PRICING,
    writable: Writable::Partly("prices of variants that are gone have nothing to stand at"),
    not_covered: "prices by quantity, and what of a list is beyond its first 25,000 prices",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["name", "currency", "parent", "catalog", "prices", "quantityRules"],
};

/// A price and a rule are known by their variant's gid, which stands as their `id`.
fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    for (name, of) in [("prices", "variant"), ("quantityRules", "productVariant")] {
        let known = list(&state[name], |item| {
            let mut item = item.clone();
            let variant = item.as_object_mut().and_then(|members| members.remove(of));
            item["id"] =
                variant.map(|variant| variant["id"].clone()).unwrap_or_else(|| json!(null));
            item
        });
        state[name] = field::sorted(known, |item| item["id"].to_string());
    }
    Ok(state)
}
