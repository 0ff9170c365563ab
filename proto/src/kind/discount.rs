//! Discounts, by code and automatic, of every sort: `type` says which.

use serde_json::{Map, Value, json};

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
    reads: &["read_discounts"],
    writes: &["write_discounts"],
    topics: &[
        ("discounts/create", Coverage::Signal),
        ("discounts/update", Coverage::Signal),
        ("discounts/redeemcode_added", Coverage::Signal),
        ("discounts/redeemcode_removed", Coverage::Signal),
        ("discounts/delete", Coverage::Delete),
    ],
    mapping: 2,
    node,
    listing,
    facets: &[CORE, METAFIELDS, MEMBERSHIP],
    pulls: &[
        Pull {
            name: "pages",
            document: include_str!("graphql/discount_pages.graphql"),
            facets: &[Facet::Core, Facet::Metafields, Facet::Membership],
            way: Way::Pages { connection: "/discountNodes", more: MORE, each: &[] },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/discount_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields, Facet::Membership],
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
    personal: Personal::Mentions(&["/discount/context/customers/@"]),
    rank: rank::PRICING,
    writable: Writable::Partly(
        "how often it was used starts anew, and one that an app calculates needs that app",
    ),
    not_covered: "how often it was used, its tags and those that it combines with, and the markets that it is limited to",
    ..PULLED
};

const CORE: Members = Members { facet: Facet::Core, members: &["discount"] };

/// What it is for. It shrinks without a word when a product is deleted.
const MEMBERSHIP: Members = Members { facet: Facet::Membership, members: &["discount"] };

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    if !matches!(facet, Facet::Core | Facet::Membership) {
        return metafield::node(facet, node);
    }
    let discount = node.get("discount").ok_or(MappingError::Missing("discount"))?;
    let Value::Object(members) = tidy(discount) else {
        return Err(MappingError::NotAnObject);
    };
    let mut state = match facet {
        Facet::Core => core(members),
        _ => items(members),
    };
    state.insert("id".into(), node.get("id").cloned().unwrap_or_default());
    Ok(state.into())
}

/// The discount itself, without the node around it and what it is for. Left out: `status`, which the
/// clock changes, and what counts uses.
fn core(mut members: Map<String, Value>) -> Map<String, Value> {
    // Never null here, and so of another type in the schema.
    if let Some(limit) = members.remove("automaticCycleLimit") {
        members.insert("recurringCycleLimit".into(), limit);
    }
    if let Some(codes) = members.get_mut("codes") {
        *codes = field::sorted(codes.take(), |code| code["code"].to_string());
    }
    for side in SIDES {
        if let Some(side) = members.get_mut(side).and_then(Value::as_object_mut) {
            side.remove("items");
        }
    }
    if let Some(Value::Object(buyers)) = members.get_mut("context") {
        sort_by_id(buyers);
    }
    members
}

/// What is bought and what is got.
const SIDES: [&str; 2] = ["customerGets", "customerBuys"];

fn items(mut members: Map<String, Value>) -> Map<String, Value> {
    let mut state = Map::new();
    for side in SIDES {
        let items = members.get_mut(side).and_then(|side| side.get_mut("items"));
        let Some(Value::Object(items)) = items else { continue };
        sort_by_id(items);
        state.insert(side.into(), json!({"items": items}));
    }
    state
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
