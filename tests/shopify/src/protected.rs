//! What identifies a customer, which an app has to be approved for.

use serde_json::Value;

/// Fields of the Admin API, by type.
const FIELDS: [(&str, &[&str]); 3] = [
    (
        "Customer",
        &[
            "firstName",
            "lastName",
            "email",
            "phone",
            "defaultEmailAddress",
            "defaultPhoneNumber",
            "defaultAddress",
        ],
    ),
    ("Order", &["email", "phone", "billingAddress", "shippingAddress", "clientIp"]),
    ("MailingAddress", &["firstName", "lastName", "name", "address1", "address2", "phone", "zip"]),
];

/// Keys of webhook bodies, at any depth.
const KEYS: [&str; 12] = [
    "first_name",
    "last_name",
    "email",
    "contact_email",
    "email_address",
    "phone",
    "address1",
    "address2",
    "zip",
    "billing_address",
    "shipping_address",
    "browser_ip",
];

/// What Shopify says when such a field is asked for without approval.
pub(crate) fn refusal(type_name: &str, field: &str) -> Option<String> {
    let (_, fields) = FIELDS.iter().find(|(known, _)| *known == type_name)?;
    fields.contains(&field).then(|| {
        format!(
            "This app is not approved to use the {field} field. See \
             https://shopify.dev/docs/apps/launch/protected-customer-data for more details."
        )
    })
}

/// What Shopify says when an app asks for publications without their scope.
pub(crate) fn publications(type_name: &str, field: &str) -> Option<String> {
    let of = (type_name == "QueryRoot" && field == "publications")
        || field.starts_with("resourcePublications");
    of.then(|| {
        format!(
            "Access denied for {field} field. Required access: `read_publications` access scope."
        )
    })
}

/// Empties what identifies a customer in the body of a webhook about one.
pub(crate) fn redact_body(body: &mut Value) {
    match body {
        Value::Object(map) => {
            for (key, value) in map {
                if KEYS.contains(&key.as_str()) {
                    *value = Value::Null;
                } else {
                    redact_body(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_body),
        _ => {}
    }
}
