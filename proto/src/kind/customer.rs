//! Customers.

use serde_json::Value;

use super::address;
use super::field::{self, Mapped, MappingError, instant, list, object, shown, upper};
use super::{Coverage, Listing, Personal, Spec, Writable, pull, rank};
use crate::event::Op;

pub(super) static SPEC: Spec = Spec {
    name: "customer",
    gid_type: "Customer",
    topics: &[
        ("customers/create", Coverage::Core(Op::Create)),
        ("customers/update", Coverage::Core(Op::Update)),
        ("customers/enable", Coverage::Core(Op::Update)),
        ("customers/disable", Coverage::Core(Op::Update)),
        ("customers/delete", Coverage::Delete),
    ],
    mapping: 1,
    core: Some(core),
    node: super::not_pulled,
    is_whole: |_| true,
    listing,
    events_topic: Some("Customer"),
    facets: &[],
    pulls: &[],
    id: pull::by_gid,
    ask_for: |id| format!("gid://shopify/Customer/{id}"),
    references: &[],
    natural_key: &[],
    personal: Personal::Subject,
    rank: rank::CUSTOMERS,
    writable: Writable::Whole,
    not_covered: "",
};

/// Left out: what counts orders and spending, which moves with every sale. Tags and consent are in
/// bodies of API versions before 2025-01 only, and are taken where they are.
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
        .map("default_address", "defaultAddress", address::of_customer)
        .map("tags", "tags", field::tags)
        .map("email_marketing_consent", "emailMarketingConsent", consent)
        .map("sms_marketing_consent", "smsMarketingConsent", consent);
    Ok(m.done())
}

fn consent(value: &Value) -> Value {
    object(value, |m| {
        m.map("state", "marketingState", upper)
            .map("opt_in_level", "marketingOptInLevel", upper)
            .map("consent_updated_at", "consentUpdatedAt", instant)
            .map("consent_collected_from", "consentCollectedFrom", upper);
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
