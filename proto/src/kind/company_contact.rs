//! People who buy for a company.

use serde_json::Value;

use super::field::shown;
use super::pull::{Members, Pull, Way};
use super::pulled::PULLED;
use super::{Coverage, Listing, Personal, Spec, Writable, rank};
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "company_contact",
    gid_type: "CompanyContact",
    reads: &["read_customers"],
    writes: &["write_customers"],
    topics: &[
        ("company_contacts/create", Coverage::Signal),
        ("company_contacts/update", Coverage::Signal),
        ("company_contacts/delete", Coverage::Delete),
    ],
    listing,
    facets: &[CORE],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/company_contact_bulk.graphql"),
            facets: &[Facet::Core],
            way: Way::Bulk { children: &[("CompanyContact", "contacts")], owner: None },
            explode: Some("contacts"),
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/company_contact_by_id.graphql"),
            facets: &[Facet::Core],
            way: Way::ById { list: "/nodes", ids_max: 50, more: &[], each: &[] },
            explode: None,
        },
    ],
    ask_for: |id| format!("gid://shopify/CompanyContact/{id}"),
    references: &["/company/id", "/customer/id"],
    personal: Personal::Mentions(&["/customer", "/title"]),
    rank: rank::COMPANY_CONTACTS,
    writable: Writable::Partly("its orders stay with the contact that is gone"),
    ..PULLED
};

const CORE: Members =
    Members { facet: Facet::Core, members: &["title", "locale", "company", "customer"] };

/// A contact has no name but its customer's.
fn listing(state: &Value) -> Listing {
    let customer = state.get("customer").and_then(|customer| shown(customer, "id"));
    let title = shown(state, "title").or_else(|| customer.clone()).unwrap_or_default();
    Listing { title, handle: None, also: customer.into_iter().collect() }
}
