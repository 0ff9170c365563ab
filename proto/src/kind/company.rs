//! Companies that buy: the companies themselves, without their locations and people.

use serde_json::Value;

use super::field::{self, Mapped, MappingError, instant};
use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{Members, Pull, Way};
use super::pulled::{PULLED, tidy};
use super::{Coverage, Spec, Writable, metafield, rank};
use crate::event::Op;
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "company",
    gid_type: "Company",
    reads: &["read_customers"],
    writes: &["write_customers"],
    topics: &[
        ("companies/create", Coverage::Core(Op::Create)),
        ("companies/update", Coverage::Core(Op::Update)),
        ("companies/delete", Coverage::Delete),
    ],
    events_topic: Some("Company"),
    mapping: 2,
    core: Some(core),
    node,
    facets: &[CORE, DETAIL, METAFIELDS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/company_bulk.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::Bulk {
                children: &[("CompanyContactRole", "contactRoles"), ("Metafield", "metafields")],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/company_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::ById {
                list: "/nodes",
                ids_max: 10,
                more: &[
                    ("contactRoles", include_str!("graphql/company_more_roles.graphql")),
                    MORE_METAFIELDS,
                ],
                each: &[],
            },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/Company/{id}"),
    references: &["/mainContact/id"],
    natural_key: &["name", "externalId"],
    rank: rank::COMPANIES,
    writable: Writable::Partly(
        "it gets a new id, with all that belongs to it; store credit and orders stay with the one \
         that is gone",
    ),
    ..PULLED
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &["name", "note", "externalId", "customerSince", "mainContact"],
};

const DETAIL: Members = Members { facet: Facet::Detail, members: &["defaultRole", "contactRoles"] };

fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.gid("Company")
        .text("name", "name")
        .text("note", "note")
        .text("external_id", "externalId")
        .map("customer_since", "customerSince", instant)
        .map("created_at", "createdAt", instant)
        .map("main_contact_admin_graphql_api_id", "mainContact", field::link);
    Ok(m.done())
}

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    match facet {
        Facet::Core => (PULLED.node)(facet, node),
        Facet::Detail => {
            let mut m = Mapped::of(node)?;
            m.same(&["id", "defaultRole"]).map("contactRoles", "contactRoles", |roles| {
                field::sorted(tidy(roles), |role| role["id"].to_string())
            });
            Ok(m.done())
        }
        other => metafield::node(other, node),
    }
}
