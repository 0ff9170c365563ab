//! What a mutation costs by what it is given. A part of a point does not count.
//!
//! <https://shopify.dev/changelog/dynamic-complexity-cost-for-productset-mutation>,
//! <https://shopify.dev/changelog/dynamic-complexity-cost-for-productcreate-and-productupdate-mutations>,
//! <https://shopify.dev/changelog/dynamic-complexity-for-productvariantsbulkcreate-and-productvariantsbulkupdate-mutations>,
//! <https://shopify.dev/changelog/dynamic-complexity-cost-for-metafieldsset-mutation>

use std::collections::BTreeSet;

use apollo_compiler::executable::Field;
use apollo_compiler::response::JsonMap;
use serde_json::Value;

use crate::admin::document;
use crate::gid::Gid;

/// Points of any mutation.
const MUTATION: u64 = 10;
/// What follows is in tenths of a point.
const VARIANT: u64 = 2;
const PICTURE: u64 = 6;
const METAFIELD: u64 = 4;
const MEDIUM: u64 = 19;

/// The points of one mutation.
pub(super) fn points(field: &Field, variables: &JsonMap) -> u64 {
    let given = |name: &str| {
        let value = field.specified_argument_by_name(name);
        value.map(|value| document::constant(value, variables)).unwrap_or_default()
    };
    let tenths = match field.name.as_str() {
        "productSet" => {
            let input = given("input");
            product(&input, &input["files"]) + variants(&input["variants"])
        }
        "productCreate" | "productUpdate" => product(&given("product"), &given("media")),
        "productVariantsBulkCreate" | "productVariantsBulkUpdate" => {
            variants(&given("variants")) + count(&given("media")) * MEDIUM
        }
        "metafieldsSet" => owners(&given("metafields")) * 10,
        _ => 0,
    };
    MUTATION + tenths / 10
}

fn count(list: &Value) -> u64 {
    list.as_array().map_or(0, Vec::len) as u64
}

fn product(input: &Value, media: &Value) -> u64 {
    count(&input["metafields"]) * METAFIELD + count(media) * MEDIUM
}

fn variants(list: &Value) -> u64 {
    let of = |variant: &Value| {
        let pictured = ["file", "mediaId", "mediaSrc"].iter().any(|name| !variant[*name].is_null());
        VARIANT + u64::from(pictured) * PICTURE + count(&variant["metafields"]) * METAFIELD
    };
    list.as_array().into_iter().flatten().map(of).sum()
}

/// Points of those whose metafields are set, each once. That the ones of 2 are variants is inferred.
fn owners(metafields: &Value) -> u64 {
    let ids = metafields.as_array().into_iter().flatten();
    let owners: BTreeSet<&str> =
        ids.filter_map(|metafield| metafield["ownerId"].as_str()).collect();
    owners.into_iter().filter_map(|id| id.parse::<Gid>().ok()).map(weight).sum()
}

fn weight(owner: Gid) -> u64 {
    match owner.type_name() {
        "Order" => 10,
        "Product" => 4,
        "ProductVariant" => 2,
        "Collection" | "Customer" | "Shop" => 1,
        _ => 0,
    }
}
