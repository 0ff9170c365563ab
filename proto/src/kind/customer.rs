//! Customers.

use serde_json::Value;

use super::address;
use super::field::{self, Mapped, MappingError, instant, list, object, shown, upper};
use super::metafield::{METAFIELDS, MORE_METAFIELDS};
use super::pull::{self, Members, Pull, Way};
use super::{Coverage, Listing, Personal, Spec, Writable, metafield, rank};
use crate::event::Op;
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "customer",
    gid_type: "Customer",
    also_gid_types: &[],
    reads: &["read_customers"],
    writes: &["write_customers"],
    topics: &[
        ("customers/create", Coverage::Core(Op::Create)),
        ("customers/update", Coverage::Core(Op::Update)),
        ("customers/enable", Coverage::Core(Op::Update)),
        ("customers/disable", Coverage::Core(Op::Update)),
        ("customers/delete", Coverage::Delete),
        ("customer.tags_added", Coverage::Signal),
        ("customer.tags_removed", Coverage::Signal),
        ("customers_marketing_consent/update", Coverage::Signal),
        ("customers_email_marketing_consent/update", Coverage::Signal),
    ],
    told: &[Facet::Core, Facet::Detail],
    events_topic: Some("Customer"),
    glimpse: None,
    mapping: 3,
    named: |body| field::identity(body).or_else(|| field::numbered(body, "customer_id")),
    core: Some(core),
    node,
    beside: &[],
    is_whole: tells_who,
    listing,
    facets: &[CORE, DETAIL, METAFIELDS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/customer_bulk.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::Bulk {
                children: &[("MailingAddress", "addressesV2"), ("Metafield", "metafields")],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/customer_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::ById {
                list: "/nodes",
                ids_max: 20,
                each: &[],
                more: &[
                    ("addressesV2", include_str!("graphql/customer_more_addresses.graphql")),
                    MORE_METAFIELDS,
                ],
            },
            explode: None,
        },
    ],
    id: pull::by_gid,
    ask_for: |id| format!("gid://shopify/Customer/{id}"),
    references: &[],
    natural_key: &["email", "phone"],
    personal: Personal::Subject,
    rank: rank::CUSTOMERS,
    writable: Writable::Partly(
        "passwords, payment methods, store credit and the link to past orders cannot come back",
    ),
    not_covered: "passwords, payment methods, store credit, and whether they opted out of the sale of their data",
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "firstName",
        "lastName",
        "note",
        "state",
        "verifiedEmail",
        "taxExempt",
        "taxExemptions",
        "multipassIdentifier",
        "defaultEmailAddress",
        "defaultPhoneNumber",
        "addressesV2",
        "defaultAddress",
    ],
};

const DETAIL: Members = Members {
    facet: Facet::Detail,
    members: &["tags", "locale", "defaultEmailAddress", "defaultPhoneNumber"],
};

/// Whether it tells who it is, as every customer has a name, an address or a number. To an app that may
/// not see customers' data webhooks come with all of these null, which is no edit: the shop is asked.
fn tells_who(core: &Value) -> bool {
    let said = |name: &&str| core.get(*name).is_some_and(|value| !value.is_null());
    ["firstName", "lastName", "email", "phone"].iter().any(said)
}

/// Left out: what counts orders and spending, which moves with every sale; and tags and consent,
/// which bodies of API versions before 2025-01 had and the Admin API tells in [`DETAIL`].
fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.gid("Customer")
        .text("first_name", "firstName")
        .text("last_name", "lastName")
        .text("email", "email")
        .text("phone", "phone")
        .text("note", "note")
        .map("state", "state", upper)
        .copy("verified_email", "verifiedEmail")
        .copy("tax_exempt", "taxExempt")
        .map("tax_exemptions", "taxExemptions", field::tags)
        .text("multipass_identifier", "multipassIdentifier")
        .map("created_at", "createdAt", instant)
        .map("addresses", "addresses", |v| list(v, address::of_customer))
        // A customer without an address has no such member.
        .set(
            "defaultAddress",
            body.get("default_address").map(address::of_customer).unwrap_or_default(),
        );
    Ok(m.done())
}

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(node)?;
    match facet {
        Facet::Core => {
            m.same(&["id", "state", "verifiedEmail", "taxExempt"])
                .text("firstName", "firstName")
                .text("lastName", "lastName")
                .map("defaultEmailAddress", "email", |v| v["emailAddress"].clone())
                .map("defaultPhoneNumber", "phone", |v| v["phoneNumber"].clone())
                .text("note", "note")
                .map("taxExemptions", "taxExemptions", field::tags)
                .text("multipassIdentifier", "multipassIdentifier")
                .map("createdAt", "createdAt", instant)
                .map("addressesV2", "addresses", |v| list(v, address::pulled))
                .map("defaultAddress", "defaultAddress", address::pulled);
        }
        Facet::Detail => {
            m.map("tags", "tags", field::tags)
                .copy("locale", "locale")
                .map("defaultEmailAddress", "emailMarketingConsent", consent)
                .map("defaultPhoneNumber", "smsMarketingConsent", consent);
        }
        other => return metafield::node(other, node),
    }
    Ok(m.done())
}

fn consent(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["marketingState", "marketingOptInLevel"]).map(
            "marketingUpdatedAt",
            "consentUpdatedAt",
            instant,
        );
    })
}

fn listing(state: &Value) -> Listing {
    let names: Vec<String> =
        ["firstName", "lastName"].iter().filter_map(|n| shown(state, n)).collect();
    let also: Vec<String> = ["email", "phone"].iter().filter_map(|n| shown(state, n)).collect();
    let title =
        if names.is_empty() { also.first().cloned().unwrap_or_default() } else { names.join(" ") };
    Listing { title, handle: None, also }
}
