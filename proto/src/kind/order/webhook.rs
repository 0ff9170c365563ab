//! Bodies of `orders/…`: the whole order, REST-shaped.

use serde_json::{Value, json};

use super::super::address;
use super::super::field::{
    self, Mapped, MappingError, attributes, gid_of, instant, list, money, money_bag, object, upper,
};

/// REST name → GraphQL name of every amount that comes in shop and presentment currency.
pub(super) const MONEY_BAGS: &[(&str, &str)] = &[
    ("current_shipping_price_set", "currentShippingPriceSet"),
    ("current_subtotal_price_set", "currentSubtotalPriceSet"),
    ("current_total_additional_fees_set", "currentTotalAdditionalFeesSet"),
    ("current_total_discounts_set", "currentTotalDiscountsSet"),
    ("current_total_duties_set", "currentTotalDutiesSet"),
    ("current_total_price_set", "currentTotalPriceSet"),
    ("current_total_tax_set", "currentTotalTaxSet"),
    ("original_total_additional_fees_set", "originalTotalAdditionalFeesSet"),
    ("original_total_duties_set", "originalTotalDutiesSet"),
    ("subtotal_price_set", "subtotalPriceSet"),
    ("total_discounts_set", "totalDiscountsSet"),
    ("total_price_set", "totalPriceSet"),
    ("total_shipping_price_set", "totalShippingPriceSet"),
    ("total_tax_set", "totalTaxSet"),
];

/// Left out: tokens and the status page's address, which are secrets; the customer's details,
/// which are the customer's own history; and scalar amounts that repeat a set.
pub(super) fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.gid("Order").same(&["name", "number", "confirmed", "test"]);
    head(&mut m);
    origin(&mut m);
    for (from, to) in MONEY_BAGS {
        m.map(from, to, money_bag);
    }
    m.map("billing_address", "billingAddress", address::of_order)
        .map("shipping_address", "shippingAddress", address::of_order)
        .map("customer", "customer", |v| {
            object(v, |m| {
                m.gid("Customer");
            })
        })
        .map("line_items", "lineItems", |v| list(v, line_item))
        .map("shipping_lines", "shippingLines", |v| list(v, shipping_line))
        .map("tax_lines", "taxLines", |v| list(v, tax_line))
        .map("discount_applications", "discountApplications", |v| list(v, discount_application))
        .map("fulfillments", "fulfillments", |v| list(v, fulfillment))
        .map("refunds", "refunds", |v| list(v, refund));
    Ok(m.done())
}

/// Whether an order tells whose it is. To an app that may not see customers' data webhooks come with
/// every such member null, which is no edit: the shop is then asked.
pub(super) fn tells_of_whom(core: &Value) -> bool {
    let said = |name: &str| core.get(name).is_some_and(|value| !value.is_null());
    !said("customer")
        || ["email", "phone", "billingAddress", "shippingAddress"].into_iter().any(said)
}

fn head(m: &mut Mapped<'_>) {
    m.map("created_at", "createdAt", instant)
        .map("processed_at", "processedAt", instant)
        .map("cancelled_at", "cancelledAt", instant)
        .map("closed_at", "closedAt", instant)
        .map("cancel_reason", "cancelReason", upper)
        .map("financial_status", "displayFinancialStatus", upper)
        .map("fulfillment_status", "displayFulfillmentStatus", fulfillment_status)
        .text("confirmation_number", "confirmationNumber")
        .copy("currency", "currencyCode")
        .copy("presentment_currency", "presentmentCurrencyCode")
        .text("email", "email")
        .text("phone", "phone")
        .text("note", "note")
        .text("po_number", "poNumber")
        .map("tags", "tags", field::tags)
        .map("note_attributes", "customAttributes", attributes)
        .map("discount_codes", "discountCodes", |v| {
            list(v, |code| code.get("code").cloned().unwrap_or_default())
        })
        .copy("payment_gateway_names", "paymentGatewayNames")
        .copy("tax_exempt", "taxExempt")
        .copy("taxes_included", "taxesIncluded")
        .copy("duties_included", "dutiesIncluded")
        .copy("estimated_taxes", "estimatedTaxes")
        .map("total_weight", "totalWeight", field::text_of);
}

fn origin(m: &mut Mapped<'_>) {
    m.copy("buyer_accepts_marketing", "customerAcceptsMarketing")
        .copy("customer_locale", "customerLocale")
        .text("browser_ip", "clientIp")
        .text("source_name", "sourceName")
        .text("source_identifier", "sourceIdentifier")
        .text("source_url", "registeredSourceUrl")
        .text("landing_site", "landingPageUrl")
        .text("referring_site", "referrerUrl")
        .map("app_id", "app", |v| reference("App", v))
        .map("user_id", "staffMember", |v| reference("StaffMember", v))
        .map("location_id", "retailLocation", |v| reference("Location", v))
        .map("merchant_business_entity_id", "merchantBusinessEntity", |v| {
            reference("BusinessEntity", v)
        })
        .map("merchant_of_record_app_id", "merchantOfRecordApp", |v| reference("App", v));
}

fn reference(gid_type: &str, id: &Value) -> Value {
    if id.is_null() { Value::Null } else { json!({"id": gid_of(gid_type, id)}) }
}

/// REST says `null`, `partial`, `fulfilled` or `restocked`; of the last the Admin API has made unfulfilled.
fn fulfillment_status(value: &Value) -> Value {
    match value.as_str() {
        None | Some("restocked") => "UNFULFILLED".into(),
        Some("partial") => "PARTIALLY_FULFILLED".into(),
        Some(_) => upper(value),
    }
}

fn line_item(value: &Value) -> Value {
    object(value, |m| {
        m.gid("LineItem")
            .same(&["name", "title", "quantity", "taxable"])
            .text("sku", "sku")
            .text("vendor", "vendor")
            .text("variant_title", "variantTitle")
            .copy("current_quantity", "currentQuantity")
            .copy("requires_shipping", "requiresShipping")
            .copy("gift_card", "isGiftCard")
            .map("product_id", "product", |v| reference("Product", v))
            .map("variant_id", "variant", |v| reference("ProductVariant", v))
            .map("price_set", "originalUnitPriceSet", money_bag)
            .map("total_discount_set", "totalDiscountSet", money_bag)
            .map("properties", "customAttributes", attributes)
            .map("tax_lines", "taxLines", |v| list(v, tax_line))
            .map("discount_allocations", "discountAllocations", |v| list(v, discount_allocation))
            .map("duties", "duties", |v| list(v, duty));
    })
}

fn shipping_line(value: &Value) -> Value {
    object(value, |m| {
        m.map("id", "id", |id| gid_of("ShippingLine", id))
            .same(&["title"])
            .text("code", "code")
            .text("source", "source")
            .text("phone", "phone")
            .text("carrier_identifier", "carrierIdentifier")
            .copy("is_removed", "isRemoved")
            .map("price_set", "originalPriceSet", money_bag)
            .map("discounted_price_set", "discountedPriceSet", money_bag)
            .map("current_discounted_price_set", "currentDiscountedPriceSet", money_bag)
            .map("tax_lines", "taxLines", |v| list(v, tax_line))
            .map("discount_allocations", "discountAllocations", |v| list(v, discount_allocation));
    })
}

fn tax_line(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["title"])
            .map("rate", "rate", field::number)
            .map("price_set", "priceSet", money_bag)
            .copy("channel_liable", "channelLiable");
    })
}

fn discount_allocation(value: &Value) -> Value {
    object(value, |m| {
        m.map("amount_set", "allocatedAmountSet", money_bag).map(
            "discount_application_index",
            "discountApplication",
            |v| json!({"index": v}),
        );
    })
}

fn discount_application(value: &Value) -> Value {
    object(value, |m| {
        m.map("target_type", "targetType", upper)
            .map("target_selection", "targetSelection", upper)
            .map("allocation_method", "allocationMethod", upper)
            .same(&["title", "code", "description"]);
        let amount = value.get("value").map(money).unwrap_or_default();
        let member = if value.get("value_type") == Some(&"percentage".into()) {
            "percentage"
        } else {
            "amount"
        };
        m.set("value", json!({member: amount}));
    })
}

fn duty(value: &Value) -> Value {
    object(value, |m| {
        m.map("id", "id", |id| gid_of("Duty", id))
            .text("country_code_of_origin", "countryCodeOfOrigin")
            .text("harmonized_system_code", "harmonizedSystemCode")
            .map("price_set", "price", money_bag)
            .map("tax_lines", "taxLines", |v| list(v, tax_line));
    })
}

fn fulfillment(value: &Value) -> Value {
    let tracking = |at: usize| {
        let of = |list: &str| value.get(list).and_then(|l| l.get(at)).cloned().unwrap_or_default();
        json!({
            "company": value.get("tracking_company").cloned().unwrap_or_default(),
            "number": of("tracking_numbers"),
            "url": of("tracking_urls"),
        })
    };
    // A parcel may have an address to follow it at, and no number.
    let length = |list: &str| value.get(list).and_then(Value::as_array).map_or(0, Vec::len);
    let parcels = length("tracking_numbers").max(length("tracking_urls"));
    object(value, |m| {
        // Of a parcel of which no carrier has told GraphQL says more than nothing.
        if m.get("shipment_status").is_some_and(|status| !status.is_null()) {
            m.map("shipment_status", "displayStatus", upper);
        }
        m.gid("Fulfillment")
            .same(&["name"])
            .map("status", "status", upper)
            .map("created_at", "createdAt", instant)
            .map("location_id", "location", |v| reference("Location", v))
            .set("trackingInfo", (0..parcels).map(tracking).collect())
            .map("line_items", "fulfillmentLineItems", |v| {
                list(v, |item| {
                    object(item, |m| {
                        let line =
                            m.get("id").map(|id| reference("LineItem", id)).unwrap_or_default();
                        m.set("lineItem", line).copy("quantity", "quantity");
                    })
                })
            });
    })
}

fn refund(value: &Value) -> Value {
    object(value, |m| {
        m.gid("Refund")
            .text("note", "note")
            .map("created_at", "createdAt", instant)
            .map("processed_at", "processedAt", instant)
            .map("user_id", "staffMember", |v| reference("StaffMember", v))
            .map("refund_line_items", "refundLineItems", |v| list(v, refund_line_item))
            .map("transactions", "transactions", |v| list(v, transaction));
    })
}

fn refund_line_item(value: &Value) -> Value {
    object(value, |m| {
        m.map("id", "id", |id| gid_of("RefundLineItem", id))
            .same(&["quantity"])
            .map("line_item_id", "lineItem", |v| reference("LineItem", v))
            .map("location_id", "location", |v| reference("Location", v))
            .map("restock_type", "restockType", upper)
            .map("subtotal_set", "subtotalSet", money_bag)
            .map("total_tax_set", "totalTaxSet", money_bag);
    })
}

fn transaction(value: &Value) -> Value {
    object(value, |m| {
        m.gid("OrderTransaction")
            .same(&["gateway"])
            .map("kind", "kind", upper)
            .map("status", "status", upper)
            .map("amount", "amount", money)
            .map("created_at", "createdAt", instant);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parcel_that_has_an_address_and_no_number_keeps_it() {
        let parcel = json!({
            "id": 1, "tracking_company": "Bike", "tracking_numbers": [],
            "tracking_urls": ["https://bike.example.com/7"],
        });
        let expected =
            json!([{"company": "Bike", "number": null, "url": "https://bike.example.com/7"}]);
        assert_eq!(fulfillment(&parcel)["trackingInfo"], expected);
    }
}
