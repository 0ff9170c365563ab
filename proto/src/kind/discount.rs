//! Discounts, by code and automatic, of every sort: `type` says which.

use serde_json::{Map, Value};

use super::field::{self, MappingError, shown};
use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::{PULLED, tidy};
use super::{Coverage, Listing, Personal, Spec, Writable, metafield, rank};
use crate::resource::Facet;

const MORE: &[(&str, &str)] = &[
    ("discount/codes", include_str!("graphql/discount_more_codes.graphql")),
    (
        "discount/customerGets/items/products",
        include_str!("graphql/discount_more_gets_products.graphql"),
    ),
    (
        "discount/customerGets/items/productVariants",
        include_str!("graphql/discount_more_gets_variants.graphql"),
    ),
    (
        "discount/customerGets/items/collections",
        include_str!("graphql/discount_more_gets_collections.graphql"),
    ),
    (
        "discount/customerBuys/items/products",
        include_str!("graphql/discount_more_buys_products.graphql"),
    ),
    (
        "discount/customerBuys/items/productVariants",
        include_str!("graphql/discount_more_buys_variants.graphql"),
    ),
    (
        "discount/customerBuys/items/collections",
        include_str!("graphql/discount_more_buys_collections.graphql"),
    ),
    MORE_METAFIELDS,
];

pub(super) static SPEC: Spec = Spec {
    name: "discount",
    gid_type: "DiscountNode",
    also_gid_types: &["DiscountCodeNode", "DiscountAutomaticNode"],
    topics: &[
        ("discounts/create", Coverage::Signal),
        ("discounts/update", Coverage::Signal),
        ("discounts/redeemcode_added", Coverage::Signal),
        ("discounts/redeemcode_removed", Coverage::Signal),
        ("discounts/delete", Coverage::Delete),
    ],
    node,
    listing,
    facets: &[CORE, METAFIELDS],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/discount_pages.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::Pages { connection: "/discountNodes", more: MORE, each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/discount_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::ById { list: "/nodes", ids_max: 3, more: MORE, each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/DiscountNode/{id}"),
    references: &[
        "/customerGets/items/products/*/id",
        "/customerGets/items/productVariants/*/id",
        "/customerGets/items/collections/*/id",
        "/customerBuys/items/products/*/id",
        "/customerBuys/items/productVariants/*/id",
        "/customerBuys/items/collections/*/id",
        "/context/customers/*/id",
        "/context/segments/*/id",
    ],
    natural_key: &["title"],
    personal: Personal::Mentions(&["/context/customers"]),
    rank: rank::PRICING,
    writable: Writable::Partly(
        "how often it was used starts anew, and one that an app calculates needs that app",
    ),
    not_covered: "how often it was used, and the markets that it is limited to",
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["discount"] };

/// The discount itself, without the node around it. Left out: `status`, which the clock changes,
/// and what counts uses.
fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    if facet != Facet::Core {
        return metafield::node(facet, node);
    }
    let discount = node.get("discount").ok_or(MappingError::Missing("discount"))?;
    let Value::Object(mut members) = tidy(discount) else {
        return Err(MappingError::NotAnObject);
    };
    members.insert("id".into(), node.get("id").cloned().unwrap_or_default());
    // Never null here, and so of another type in the schema.
    if let Some(limit) = members.remove("automaticCycleLimit") {
        members.insert("recurringCycleLimit".into(), limit);
    }
    if let Some(codes) = members.get_mut("codes") {
        *codes = field::sorted(codes.take(), |code| code["code"].to_string());
    }
    for side in ["customerGets", "customerBuys"] {
        if let Some(items) = members.get_mut(side).and_then(|side| side["items"].as_object_mut()) {
            sort_by_id(items);
        }
    }
    if let Some(Value::Object(buyers)) = members.get_mut("context") {
        sort_by_id(buyers);
    }
    Ok(members.into())
}

/// Sets have no order of their own.
fn sort_by_id(lists: &mut Map<String, Value>) {
    for list in lists.values_mut().filter(|list| list.is_array()) {
        *list = field::sorted(list.take(), |item| item["id"].to_string());
    }
}

fn listing(state: &Value) -> Listing {
    let codes = state["codes"].as_array().into_iter().flatten();
    Listing {
        title: shown(state, "title").unwrap_or_default(),
        handle: None,
        also: codes.filter_map(|code| shown(code, "code")).take(50).collect(),
    }
}
