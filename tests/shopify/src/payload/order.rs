//! Orders, with everything that hangs on them.

use serde_json::{Map, Value, json};

use super::{Renderer, lower, number_in, number_of, tags};
use crate::catalog::two_decimals;
use crate::gid::Gid;
use crate::store::target;

/// A REST name for the money of a GraphQL field: the amount alone, and the pair of amounts.
const AMOUNTS: [(&str, &str); 8] = [
    ("subtotal_price", "subtotalPriceSet"),
    ("current_subtotal_price", "currentSubtotalPriceSet"),
    ("total_price", "totalPriceSet"),
    ("current_total_price", "currentTotalPriceSet"),
    ("total_discounts", "totalDiscountsSet"),
    ("current_total_discounts", "currentTotalDiscountsSet"),
    ("total_tax", "totalTaxSet"),
    ("current_total_tax", "currentTotalTaxSet"),
];

/// Pairs of amounts that have no single amount beside them.
const PAIRS: [(&str, &str); 6] = [
    ("current_shipping_price_set", "currentShippingPriceSet"),
    ("total_shipping_price_set", "totalShippingPriceSet"),
    ("current_total_duties_set", "currentTotalDutiesSet"),
    ("current_total_additional_fees_set", "currentTotalAdditionalFeesSet"),
    ("original_total_duties_set", "originalTotalDutiesSet"),
    ("original_total_additional_fees_set", "originalTotalAdditionalFeesSet"),
];

/// Keys that a shop like this one never fills.
const EMPTY: [&str; 17] = [
    "app_id",
    "cart_token",
    "checkout_token",
    "client_details",
    "device_id",
    "landing_site",
    "landing_site_ref",
    "location_id",
    "merchant_of_record_app_id",
    "payment_terms",
    "reference",
    "referring_site",
    "source_identifier",
    "source_url",
    "user_id",
    "po_number",
    "phone",
];

impl Renderer<'_> {
    pub(super) fn order(&self, gid: Gid, order: &Value) -> Value {
        let mut body = Map::new();
        for key in EMPTY {
            body.insert(key.into(), Value::Null);
        }
        for (key, field) in AMOUNTS {
            body.insert(key.into(), amount(&order[field]));
            body.insert(format!("{key}_set"), pair(&order[field]));
        }
        for (key, field) in PAIRS {
            body.insert(key.into(), pair(&order[field]));
        }
        self.identity(gid, order, &mut body);
        self.status(order, &mut body);
        self.parts(gid, order, &mut body);
        Value::Object(body)
    }

    fn identity(&self, gid: Gid, order: &Value, body: &mut Map<String, Value>) {
        let number = order["number"].as_u64().unwrap_or_default();
        let token = order["_token"].as_str().unwrap_or_default();
        body.extend(object(json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "name": order["name"],
            "number": number,
            "order_number": number + 1000,
            "confirmation_number": order["confirmationNumber"],
            "token": token,
            "order_status_url":
                format!("https://example.myshopify.com/1/orders/{token}/authenticate?key={token}"),
            "merchant_business_entity_id": "MTU0ODM4MDAwOQ",
            "email": order["email"],
            "contact_email": order["email"],
            "phone": order["phone"],
            "po_number": order["poNumber"],
            "note": order["note"],
            "note_attributes": attributes(&order["customAttributes"]),
            "tags": tags(order),
            "source_name": order["sourceName"],
            "source_identifier": order["sourceIdentifier"],
            "browser_ip": order["clientIp"],
            "customer_locale": order["customerLocale"],
            "buyer_accepts_marketing": order["customerAcceptsMarketing"],
            "currency": order["currencyCode"],
            "presentment_currency": order["presentmentCurrencyCode"],
            "created_at": self.instant(order, "createdAt"),
            "updated_at": self.instant(order, "updatedAt"),
            "processed_at": self.instant(order, "processedAt"),
            "closed_at": self.instant(order, "closedAt"),
            "cancelled_at": self.instant(order, "cancelledAt"),
        })));
    }

    fn status(&self, order: &Value, body: &mut Map<String, Value>) {
        let fulfilment = match order["displayFulfillmentStatus"].as_str() {
            Some("FULFILLED") => json!("fulfilled"),
            Some("PARTIALLY_FULFILLED") => json!("partial"),
            _ => Value::Null,
        };
        let nothing = pair(&crate::catalog::bag(0));
        body.extend(object(json!({
            "test": order["test"],
            "confirmed": order["confirmed"],
            "financial_status": lower(&order["displayFinancialStatus"]),
            "fulfillment_status": fulfilment,
            "cancel_reason": lower(&order["cancelReason"]),
            "taxes_included": order["taxesIncluded"],
            "tax_exempt": order["taxExempt"],
            "duties_included": order["dutiesIncluded"],
            "estimated_taxes": order["estimatedTaxes"],
            "payment_gateway_names": order["paymentGatewayNames"],
            "total_weight": number(&order["totalWeight"]),
            "total_outstanding": amount(&order["totalOutstandingSet"]),
            "total_tip_received": amount(&order["totalTipReceivedSet"]),
            "total_line_items_price": amount(&order["subtotalPriceSet"]),
            "total_line_items_price_set": pair(&order["subtotalPriceSet"]),
            "total_cash_rounding_payment_adjustment_set": nothing,
            "total_cash_rounding_refund_adjustment_set": nothing,
        })));
    }

    fn parts(&self, gid: Gid, order: &Value, body: &mut Map<String, Value>) {
        for (key, field) in
            [("billing_address", "billingAddress"), ("shipping_address", "shippingAddress")]
        {
            body.insert(key.into(), address(&order[field]));
        }
        let buyer =
            target(&order["customer"]).and_then(|gid| Some(self.buyer(gid, &*self.get(gid)?)));
        body.insert("customer".into(), buyer.unwrap_or(Value::Null));
        let lines = list(&order["lineItems"]).map(|line| self.line(line));
        body.insert("line_items".into(), lines.collect());
        let shipping = list(&order["shippingLines"]).map(shipping_line);
        body.insert("shipping_lines".into(), shipping.collect());
        let codes = list(&order["discountCodes"])
            .map(|code| json!({ "code": code, "amount": "0.00", "type": "fixed_amount" }));
        body.insert("discount_codes".into(), codes.collect());
        let sent = list(&order["fulfillments"]).map(|sent| self.fulfillment(gid, sent));
        body.insert("fulfillments".into(), sent.collect());
        let refunds = list(&order["refunds"]).map(|refund| self.refund(gid, refund));
        body.insert("refunds".into(), refunds.collect());
        for key in ["discount_applications", "returns", "tax_lines", "line_item_groups"] {
            body.insert(key.into(), json!([]));
        }
    }

    fn fulfillment(&self, order: Gid, sent: &Value) -> Value {
        let lines = list(&sent["fulfillmentLineItems"]).map(|item| {
            let mut line = self.line(&item["lineItem"]);
            line["quantity"] = item["quantity"].clone();
            line["fulfillable_quantity"] = json!(0);
            line["fulfillment_status"] = json!("fulfilled");
            for absent in ["attributed_staffs", "sales_line_item_group_id"] {
                line.as_object_mut().map(|line| line.remove(absent));
            }
            line
        });
        let tracking = |member: &str| -> Value {
            list(&sent["trackingInfo"]).map(|info| info[member].clone()).collect()
        };
        json!({
            "id": number_in(&sent["id"]),
            "admin_graphql_api_id": sent["id"],
            "order_id": order.number(),
            "name": sent["name"],
            "status": lower(&sent["status"]),
            "service": "manual",
            "shipment_status": null,
            "location_id": number_of(&sent["location"]),
            "origin_address": {},
            "receipt": {},
            "tracking_company": sent["trackingInfo"][0]["company"],
            "tracking_number": sent["trackingInfo"][0]["number"],
            "tracking_numbers": tracking("number"),
            "tracking_url": sent["trackingInfo"][0]["url"],
            "tracking_urls": tracking("url"),
            "line_items": lines.collect::<Vec<_>>(),
            "created_at": self.instant(sent, "createdAt"),
            "updated_at": self.instant(sent, "updatedAt"),
        })
    }

    fn refund(&self, order: Gid, refund: &Value) -> Value {
        let items = list(&refund["refundLineItems"]).map(|item| {
            json!({
                "id": number_in(&item["id"]),
                "line_item_id": number_in(&item["lineItem"]["id"]),
                "location_id": number_of(&item["location"]),
                "quantity": item["quantity"],
                "restock_type": lower(&item["restockType"]),
                "subtotal": amount(&item["subtotalSet"]),
                "subtotal_set": pair(&item["subtotalSet"]),
                "total_tax": amount(&item["totalTaxSet"]),
                "total_tax_set": pair(&item["totalTaxSet"]),
                "line_item": self.line(&item["lineItem"]),
            })
        });
        let payments = list(&refund["transactions"]).map(|payment| {
            json!({
                "id": number_in(&payment["id"]),
                "admin_graphql_api_id": payment["id"],
                "order_id": order.number(),
                "parent_id": number_in(&payment["parentTransaction"]["id"]),
                "kind": lower(&payment["kind"]),
                "status": lower(&payment["status"]),
                "gateway": payment["gateway"],
                "amount": amount(&payment["amountSet"]),
                "currency": payment["amountSet"]["shopMoney"]["currencyCode"],
                "created_at": self.instant(payment, "createdAt"),
                "processed_at": self.instant(payment, "processedAt"),
            })
        });
        json!({
            "id": number_in(&refund["id"]),
            "admin_graphql_api_id": refund["id"],
            "order_id": order.number(),
            "note": refund["note"],
            "user_id": null,
            "restock": false,
            "return": null,
            "duties": [],
            "order_adjustments": [],
            "refund_shipping_lines": [],
            "refund_line_items": items.collect::<Vec<_>>(),
            "transactions": payments.collect::<Vec<_>>(),
            "created_at": self.instant(refund, "createdAt"),
            "processed_at": self.instant(refund, "processedAt"),
        })
    }

    fn line(&self, line: &Value) -> Value {
        let product = target(&line["product"]);
        let price = &line["originalUnitPriceSet"];
        json!({
            "id": number_in(&line["id"]),
            "admin_graphql_api_id": line["id"],
            "attributed_staffs": [],
            "current_quantity": line["currentQuantity"],
            "fulfillable_quantity": line["unfulfilledQuantity"],
            "fulfillment_service": "manual",
            "fulfillment_status": null,
            "gift_card": line["isGiftCard"],
            "grams": 400,
            "name": line["name"],
            "price": amount(price),
            "price_set": pair(price),
            "product_exists": product.is_some_and(|gid| self.get(gid).is_some()),
            "product_id": product.map(|gid| gid.number()),
            "properties": attributes(&line["customAttributes"]),
            "quantity": line["quantity"],
            "requires_shipping": line["requiresShipping"],
            "sales_line_item_group_id": null,
            "sku": line["sku"],
            "taxable": line["taxable"],
            "title": line["title"],
            "total_discount": amount(&line["totalDiscountSet"]),
            "total_discount_set": pair(&line["totalDiscountSet"]),
            "variant_id": number_of(&line["variant"]),
            "variant_inventory_management": "shopify",
            "variant_title": line["variantTitle"],
            "vendor": line["vendor"],
            "tax_lines": [],
            "duties": [],
            "discount_allocations": [],
        })
    }
}

fn shipping_line(line: &Value) -> Value {
    let discounted = &line["discountedPriceSet"];
    json!({
        "id": number_in(&line["id"]),
        "carrier_identifier": line["carrierIdentifier"],
        "code": line["code"],
        "current_discounted_price_set": pair(&line["currentDiscountedPriceSet"]),
        "discounted_price": amount(discounted),
        "discounted_price_set": pair(discounted),
        "is_removed": line["isRemoved"],
        "phone": line["phone"],
        "price": amount(&line["originalPriceSet"]),
        "price_set": pair(&line["originalPriceSet"]),
        "requested_fulfillment_service_id": null,
        "source": line["source"],
        "title": line["title"],
        "tax_lines": [],
        "discount_allocations": [],
    })
}

/// Where something is billed or sent to; unlike a customer's address it has no id.
pub(super) fn address(address: &Value) -> Value {
    if address.is_null() {
        return Value::Null;
    }
    json!({
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
        "zip": address["zip"],
        "phone": address["phone"],
        "latitude": address["latitude"],
        "longitude": address["longitude"],
    })
}

fn amount(bag: &Value) -> Value {
    json!(bag["shopMoney"]["amount"].as_str().map(two_decimals))
}

fn pair(bag: &Value) -> Value {
    if bag.is_null() {
        return Value::Null;
    }
    let money = |side: &str| {
        json!({
            "amount": bag[side]["amount"].as_str().map(two_decimals),
            "currency_code": bag[side]["currencyCode"],
        })
    };
    json!({ "shop_money": money("shopMoney"), "presentment_money": money("presentmentMoney") })
}

fn attributes(list: &Value) -> Value {
    let list = list.as_array().into_iter().flatten();
    list.map(|pair| json!({ "name": pair["key"], "value": pair["value"] })).collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn number(text: &Value) -> Value {
    json!(text.as_str().and_then(|text| text.parse::<u64>().ok()))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
