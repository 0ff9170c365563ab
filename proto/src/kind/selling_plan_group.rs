//! Subscriptions, pre-orders and other selling plans, and what is sold by them.

use serde_json::Value;

use super::field::{self, MappingError};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "selling_plan_group",
    gid_type: "SellingPlanGroup",
    topics: &[
        ("selling_plan_groups/create", Coverage::Signal),
        ("selling_plan_groups/update", Coverage::Signal),
        ("selling_plan_groups/delete", Coverage::Delete),
    ],
    node,
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/selling_plan_group_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk {
                children: &[
                    ("SellingPlan", "sellingPlans"),
                    ("Product", "products"),
                    ("ProductVariant", "productVariants"),
                ],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/selling_plan_group_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById {
                list: "/nodes",
                ids_max: 2,
                more: &[
                    ("sellingPlans", include_str!("graphql/selling_plan_group_more_plans.graphql")),
                    ("products", include_str!("graphql/selling_plan_group_more_products.graphql")),
                    (
                        "productVariants",
                        include_str!("graphql/selling_plan_group_more_variants.graphql"),
                    ),
                ],
                each: &[],
            },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/SellingPlanGroup/{id}"),
    references: &["/products/*/id", "/productVariants/*/id"],
    natural_key: &["merchantCode", "name"],
    rank: rank::PRICING,
    writable: Writable::Partly("running subscriptions stay with the plan that is gone"),
    not_covered: "subscription contracts, which belong to the apps that made them",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "name",
        "merchantCode",
        "appId",
        "description",
        "options",
        "position",
        "sellingPlans",
        "products",
        "productVariants",
    ],
};

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    for set in ["products", "productVariants"] {
        state[set] = field::sorted(state[set].take(), |item| item["id"].to_string());
    }
    Ok(state)
}
