//! Subscriptions, pre-orders and other selling plans, and what is sold by them.

use serde_json::Value;

use super::field::{self, Mapped, MappingError};
use super::pull::{Members, Pull, Way};
use super::pulled::{PULLED, tidy};
use super::{Coverage, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "selling_plan_group",
    gid_type: "SellingPlanGroup",
    reads: &["read_products", "read_purchase_options"],
    writes: &["write_products", "write_purchase_options"],
    topics: &[
        ("selling_plan_groups/create", Coverage::Signal),
        ("selling_plan_groups/update", Coverage::Signal),
        ("selling_plan_groups/delete", Coverage::Delete),
    ],
    node,
    facets: &[CORE, MEMBERSHIP],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/selling_plan_group_bulk.graphql"),
            facets: &[Facet::Core, Facet::Membership],
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
            facets: &[Facet::Core, Facet::Membership],
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
    writable: Writable::Partly(
        "a group of selling plans that comes back belongs to the app of this backup and not to the \
         one that made it, and subscriptions that customers have already do not follow it",
    ),
    not_covered: "metafields of single plans, and subscription contracts, which belong to the apps \
                  that made them",
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
    ],
};

/// What is sold by it. It shrinks without a word when a product is deleted.
const MEMBERSHIP: Members =
    Members { facet: Facet::Membership, members: &["products", "productVariants"] };

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    if facet != Facet::Membership {
        return (PULLED.node)(facet, node);
    }
    let mut m = Mapped::of(node)?;
    m.same(&["id"]);
    for set in ["products", "productVariants"] {
        m.map(set, set, |items| field::sorted(tidy(items), |item| item["id"].to_string()));
    }
    Ok(m.done())
}
