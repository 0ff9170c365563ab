//! Where companies buy from: addresses, taxes, terms, and who may order.
//!
//! `company_contact_roles/assign` and `revoke` are not heard: their bodies hold the buyer beside the location,
//! which would then be taken for one that speaks of that person, and lose its addresses where they are erased.

use serde_json::Value;

use super::field::{self, MappingError};
use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Personal, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "company_location",
    gid_type: "CompanyLocation",
    reads: &["read_customers"],
    writes: &["write_customers"],
    topics: &[
        ("company_locations/create", Coverage::Signal),
        ("company_locations/update", Coverage::Signal),
        ("company_locations/delete", Coverage::Delete),
    ],
    mapping: 2,
    node,
    facets: &[CORE, METAFIELDS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/company_location_bulk.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::Bulk {
                children: &[
                    ("CompanyContactRoleAssignment", "roleAssignments"),
                    ("Metafield", "metafields"),
                ],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/company_location_by_id.graphql"),
            facets: &[Facet::Core, Facet::Metafields],
            way: Way::ById {
                list: "/nodes",
                ids_max: 10,
                more: &[
                    (
                        "roleAssignments",
                        include_str!("graphql/company_location_more_roles.graphql"),
                    ),
                    MORE_METAFIELDS,
                ],
                each: &[],
            },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/CompanyLocation/{id}"),
    references: &["/company/id", "/roleAssignments/*/companyContact/id"],
    natural_key: &["name", "externalId"],
    personal: Personal::Mentions(&[
        "/billingAddress",
        "/shippingAddress",
        "/phone",
        // As webhooks call it, of which only a signal is kept.
        "/billing_address",
        "/shipping_address",
    ]),
    rank: rank::COMPANY_LOCATIONS,
    writable: Writable::Partly(
        "its store credit, its orders and the staff that looks after it stay with the one that is gone",
    ),
    not_covered: "deposits, store credit and the staff that looks after it",
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "name",
        "note",
        "externalId",
        "phone",
        "locale",
        "currency",
        "company",
        "billingAddress",
        "shippingAddress",
        "taxSettings",
        "buyerExperienceConfiguration",
        "roleAssignments",
    ],
};

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut state = (PULLED.node)(facet, node)?;
    if let Some(roles) = state.get_mut("roleAssignments") {
        *roles = field::sorted(roles.take(), |role| role["id"].to_string());
    }
    if let Some(exemptions) = state.pointer_mut("/taxSettings/taxExemptions") {
        *exemptions = field::tags(exemptions);
    }
    Ok(state)
}
