//! Orders as the Admin API gives them.

use serde_json::{Value, json};

use super::super::address;
use super::super::field::{self, Mapped, MappingError, instant, list, money, object};

/// Members of a node that are the core.
pub(super) const CORE: &[&str] = &[
    "billingAddress",
    "cancelReason",
    "cancelledAt",
    "clientIp",
    "closedAt",
    "confirmationNumber",
    "confirmed",
    "currencyCode",
    "currentShippingPriceSet",
    "currentSubtotalPriceSet",
    "currentTotalAdditionalFeesSet",
    "currentTotalDiscountsSet",
    "currentTotalDutiesSet",
    "currentTotalPriceSet",
    "currentTotalTaxSet",
    "customAttributes",
    "customer",
    "customerAcceptsMarketing",
    "customerLocale",
    "discountCodes",
    "displayFinancialStatus",
    "displayFulfillmentStatus",
    "dutiesIncluded",
    "email",
    "estimatedTaxes",
    "fulfillments",
    "lineItems",
    "name",
    "note",
    "number",
    "originalTotalAdditionalFeesSet",
    "originalTotalDutiesSet",
    "paymentGatewayNames",
    "phone",
    "poNumber",
    "presentmentCurrencyCode",
    "processedAt",
    "refunds",
    "registeredSourceUrl",
    "shippingAddress",
    "sourceIdentifier",
    "sourceName",
    "subtotalPriceSet",
    "tags",
    "taxExempt",
    "taxLines",
    "taxesIncluded",
    "test",
    "totalDiscountsSet",
    "totalPriceSet",
    "totalShippingPriceSet",
    "totalTaxSet",
    "totalWeight",
];

/// The same as the webhook's, as far as this can tell.
pub(super) fn core(node: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(node)?;
    m.same(&["id", "name", "number", "confirmed", "test"])
        .same(&["displayFinancialStatus", "cancelReason"])
        .same(&["currencyCode", "presentmentCurrencyCode", "paymentGatewayNames", "discountCodes"])
        .same(&["taxExempt", "taxesIncluded", "dutiesIncluded", "estimatedTaxes"])
        .same(&["customerAcceptsMarketing", "customerLocale", "customAttributes"])
        .map("displayFulfillmentStatus", "displayFulfillmentStatus", |said| {
            fulfillment_status(said, &node["fulfillments"])
        })
        .map("tags", "tags", field::tags)
        .map("totalWeight", "totalWeight", field::text_of)
        .map("customer", "customer", |v| only(v, &["id"]))
        .map("billingAddress", "billingAddress", place)
        .map("shippingAddress", "shippingAddress", place)
        .map("lineItems", "lineItems", |v| list(v, line_item))
        .map("taxLines", "taxLines", |v| list(v, tax_line))
        .map("fulfillments", "fulfillments", |v| list(v, fulfillment))
        .map("refunds", "refunds", |v| list(v, refund));
    for name in ["createdAt", "processedAt", "cancelledAt", "closedAt"] {
        m.map(name, name, instant);
    }
    for name in [
        "clientIp",
        "confirmationNumber",
        "email",
        "note",
        "phone",
        "poNumber",
        "sourceIdentifier",
        "sourceName",
    ] {
        m.text(name, name);
    }
    // Of an address that Shopify does not know only webhooks tell.
    if node["registeredSourceUrl"].is_string() {
        m.text("registeredSourceUrl", "registeredSourceUrl");
    }
    for (_, name) in super::webhook::MONEY_BAGS {
        m.map(name, name, bag);
    }
    Ok(m.done())
}

/// What no webhook tells. Of a product that is gone nothing is said, so that what the order's
/// webhook said of it stays.
pub(super) fn detail(node: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(node)?;
    m.same(&["id", "returnStatus"])
        .map("lineItems", "lineItems", |v| {
            list(v, |line| {
                object(line, |m| {
                    m.same(&["id"]);
                    for name in ["product", "variant"] {
                        if line[name].is_object() {
                            m.same(&[name]);
                        }
                    }
                })
            })
        })
        .map("refunds", "refunds", |v| {
            list(v, |refund| {
                object(refund, |m| {
                    m.same(&["id"]).map("totalRefundedSet", "totalRefundedSet", bag);
                })
            })
        })
        .map("shippingLine", "shippingLine", |v| {
            object(v, |m| {
                m.same(&["title", "code", "source", "carrierIdentifier"])
                    .map("originalPriceSet", "originalPriceSet", bag)
                    .map("discountedPriceSet", "discountedPriceSet", bag);
            })
        })
        .map("transactions", "transactions", |v| list(v, transaction));
    Ok(m.done())
}

/// As a webhook says it, which does not tell whether the rest is on hold, scheduled or under way.
fn fulfillment_status(said: &Value, fulfillments: &Value) -> Value {
    if matches!(said.as_str(), None | Some("FULFILLED" | "PARTIALLY_FULFILLED" | "UNFULFILLED")) {
        return said.clone();
    }
    let counts =
        |one: &Value| !matches!(one["status"].as_str(), Some("CANCELLED" | "ERROR" | "FAILURE"));
    match fulfillments.as_array().is_some_and(|all| all.iter().any(counts)) {
        true => "PARTIALLY_FULFILLED".into(),
        false => "UNFULFILLED".into(),
    }
}

/// Some members of an object.
fn only(value: &Value, names: &[&str]) -> Value {
    object(value, |m| {
        m.same(names);
    })
}

/// An address without its id, which a webhook lacks.
fn place(value: &Value) -> Value {
    let mut address = address::pulled(value);
    if let Some(members) = address.as_object_mut() {
        members.remove("id");
    }
    address
}

fn bag(value: &Value) -> Value {
    let side = |v: &Value| {
        object(v, |m| {
            m.map("amount", "amount", money).same(&["currencyCode"]);
        })
    };
    object(value, |m| {
        m.map("shopMoney", "shopMoney", side).map("presentmentMoney", "presentmentMoney", side);
    })
}

fn line_item(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["id", "name", "title", "quantity", "taxable", "currentQuantity"])
            .same(&["requiresShipping", "isGiftCard", "customAttributes"])
            .text("sku", "sku")
            .text("vendor", "vendor")
            .text("variantTitle", "variantTitle")
            .map("originalUnitPriceSet", "originalUnitPriceSet", bag)
            .map("taxLines", "taxLines", |v| list(v, tax_line))
            .map("discountAllocations", "discountAllocations", |v| {
                list(v, |allocation| {
                    object(allocation, |m| {
                        m.map("allocatedAmountSet", "allocatedAmountSet", bag).map(
                            "discountApplication",
                            "discountApplication",
                            |v| json!({"index": v["index"]}),
                        );
                    })
                })
            });
    })
}

fn tax_line(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["title", "channelLiable"])
            .map("rate", "rate", field::number)
            .map("priceSet", "priceSet", bag);
    })
}

fn fulfillment(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["id", "name", "status", "trackingInfo"]).map("createdAt", "createdAt", instant);
    })
}

fn refund(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["id"]).text("note", "note").map("createdAt", "createdAt", instant).map(
            "processedAt",
            "processedAt",
            instant,
        );
    })
}

fn transaction(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["id", "kind", "status", "gateway", "test", "errorCode", "parentTransaction"])
            .map("amountSet", "amountSet", bag)
            .map("createdAt", "createdAt", instant)
            .map("processedAt", "processedAt", instant);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_on_hold_is_no_other_than_its_webhook_said() {
        let status = |said: &str, parcels: &[&str]| {
            let parcels: Value = parcels.iter().map(|status| json!({"status": status})).collect();
            let node = json!({"displayFulfillmentStatus": said, "fulfillments": parcels});
            core(&node).expect("an order")["displayFulfillmentStatus"].clone()
        };
        let webhook = |said: Value| {
            let body = json!({"id": 1, "fulfillment_status": said});
            super::super::webhook::core(&body).expect("an order")["displayFulfillmentStatus"]
                .clone()
        };
        for said in ["ON_HOLD", "SCHEDULED", "IN_PROGRESS", "FULFILLMENT_NOT_REQUIRED"] {
            assert_eq!(status(said, &[]), webhook(Value::Null), "{said}");
            assert_eq!(status(said, &["CANCELLED"]), webhook(Value::Null), "{said}");
            assert_eq!(
                status(said, &["CANCELLED", "SUCCESS"]),
                webhook("partial".into()),
                "{said}"
            );
        }
        assert_eq!(status("FULFILLED", &["SUCCESS"]), webhook("fulfilled".into()));
        // Shopify no longer says that of an order but in webhooks.
        assert_eq!(status("UNFULFILLED", &[]), webhook("restocked".into()));
    }
}
