//! Customers, without the tags, consent and statistics that 2025-01 moved to topics of their own.

use serde_json::{Value, json};

use super::{Renderer, lower, number_in};
use crate::gid::Gid;

impl Renderer<'_> {
    pub(super) fn customer(&self, gid: Gid, customer: &Value) -> Value {
        let mut body = self.buyer(gid, customer);
        let addresses = customer["addressesV2"].as_array().into_iter().flatten();
        let default = &customer["defaultAddress"]["id"];
        body["addresses"] = addresses.map(|at| address(gid, at, at["id"] == *default)).collect();
        body
    }

    /// A customer as orders show it: no list of addresses.
    pub(super) fn buyer(&self, gid: Gid, customer: &Value) -> Value {
        let mut body = json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "first_name": customer["firstName"],
            "last_name": customer["lastName"],
            "email": customer["defaultEmailAddress"]["emailAddress"],
            "phone": customer["defaultPhoneNumber"]["phoneNumber"],
            "note": customer["note"],
            "state": lower(&customer["state"]),
            "verified_email": customer["verifiedEmail"],
            "multipass_identifier": customer["multipassIdentifier"],
            "tax_exempt": customer["taxExempt"],
            "tax_exemptions": customer["taxExemptions"],
            "currency": "USD",
            "created_at": self.instant(customer, "createdAt"),
            "updated_at": self.instant(customer, "updatedAt"),
        });
        if customer["defaultAddress"].is_object() {
            body["default_address"] = address(gid, &customer["defaultAddress"], true);
        }
        body
    }

    pub(super) fn email_consent(&self, gid: Gid, customer: &Value) -> Value {
        let email = &customer["defaultEmailAddress"];
        json!({
            "customer_id": gid.number(),
            "email_address": email["emailAddress"],
            "email_marketing_consent": {
                "state": lower(&email["marketingState"]),
                "opt_in_level": lower(&email["marketingOptInLevel"]),
                "consent_updated_at": self.instant(email, "marketingUpdatedAt"),
            },
        })
    }

    pub(super) fn purchases(&self, gid: Gid, customer: &Value) -> Value {
        let spent = &customer["amountSpent"];
        let count = customer["numberOfOrders"].as_str().and_then(|count| count.parse::<u64>().ok());
        json!({
            "customerId": gid.to_string(),
            "numberOfOrders": count,
            "amountSpent": { "amount": spent["amount"], "currencyCode": spent["currencyCode"] },
            "lastOrderId": customer["lastOrder"]["$ref"],
            "occurredAt": self.now.replace('Z', ".000Z"),
        })
    }
}

fn address(customer: Gid, address: &Value, default: bool) -> Value {
    json!({
        "id": number_in(&address["id"]),
        "customer_id": customer.number(),
        "first_name": address["firstName"],
        "last_name": address["lastName"],
        "name": address["name"],
        "company": address["company"],
        "address1": address["address1"],
        "address2": address["address2"],
        "city": address["city"],
        "province": address["province"],
        "province_code": address["provinceCode"],
        "country": address["country"],
        "country_code": address["countryCodeV2"],
        "country_name": address["country"],
        "zip": address["zip"],
        "phone": address["phone"],
        "default": default,
    })
}
