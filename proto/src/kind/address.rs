//! Postal addresses, as customers and orders have them.

use serde_json::Value;

use super::field::object;

/// A customer's address. Its gid names the model, as Shopify's does.
pub(super) fn of_customer(value: &Value) -> Value {
    object(value, |m| {
        m.map("id", "id", |id| {
            format!("gid://shopify/MailingAddress/{id}?model_name=CustomerAddress").into()
        });
        lines(m);
    })
}

/// An order's address, which has no id in a webhook.
pub(super) fn of_order(value: &Value) -> Value {
    object(value, lines)
}

/// Left out: coordinates and the repeated country name, which follow from the rest.
fn lines(m: &mut super::field::Mapped<'_>) {
    m.text("first_name", "firstName")
        .text("last_name", "lastName")
        .text("company", "company")
        .text("address1", "address1")
        .text("address2", "address2")
        .text("city", "city")
        .text("province", "province")
        .text("province_code", "provinceCode")
        .text("country", "country")
        .text("country_code", "countryCodeV2")
        .text("zip", "zip")
        .text("phone", "phone");
}

/// An address as the Admin API gives it.
pub(super) fn pulled(value: &Value) -> Value {
    const NAMES: [&str; 12] = [
        "firstName",
        "lastName",
        "company",
        "address1",
        "address2",
        "city",
        "province",
        "provinceCode",
        "country",
        "countryCodeV2",
        "zip",
        "phone",
    ];
    object(value, |m| {
        m.same(&["id"]);
        for name in NAMES {
            m.text(name, name);
        }
    })
}
