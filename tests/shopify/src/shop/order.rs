//! What happens to orders.

use serde_json::{Value, json};

use super::Shop;
use crate::catalog::{Line, Sale, cents, cents_to_decimal};
use crate::gid::Gid;
use crate::store::{link, target};

/// What somebody is about to buy.
#[derive(Clone, Debug)]
pub struct Cart {
    /// Who.
    pub customer: Gid,
    /// Which variants, and how many of each.
    pub lines: Vec<(Gid, u64)>,
}

impl Shop {
    /// A sale: the order, the stock it takes, the customer's statistics.
    pub fn place_order(&mut self, cart: &Cart) -> Option<Gid> {
        let buyer = self.store.get(cart.customer)?;
        let lines: Vec<Line> =
            cart.lines.iter().filter_map(|(variant, count)| self.line(*variant, *count)).collect();
        if lines.is_empty() {
            return None;
        }
        let id = self.store.fresh("Order");
        let sale = Sale {
            id,
            number: id.n()? + 1,
            customer: Some(cart.customer),
            email: buyer["defaultEmailAddress"]["emailAddress"].as_str().map(str::to_owned),
            address: buyer["defaultAddress"].clone(),
            lines,
            shipping: self.store.fresh("ShippingLine"),
            transaction: self.store.fresh("OrderTransaction"),
            at: self.now_text(),
        };
        let token = self.token();
        let order = sale.document(&token);
        let total = order["totalPriceSet"]["shopMoney"]["amount"].as_str().and_then(cents);
        self.put(id, order);
        self.announce("orders/create", id);
        self.announce("orders/paid", id);
        for (variant, count) in &cart.lines {
            if let Some(level) = self.levels(*variant).first() {
                self.commit_stock(*level, i64::try_from(*count).unwrap_or_default());
            }
        }
        self.count_purchase(cart.customer, id, total.unwrap_or_default());
        Some(id)
    }

    fn line(&mut self, variant: Gid, quantity: u64) -> Option<Line> {
        let bought = self.store.get(variant)?;
        let product = target(&bought["product"])?;
        let named = self.store.get(product)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Line {
            id: self.store.fresh("LineItem"),
            product: Some(product),
            variant: Some(variant),
            title: text(&named["title"])?,
            variant_title: text(&bought["title"]),
            sku: text(&bought["sku"]),
            vendor: text(&named["vendor"]),
            quantity,
            unit_cents: bought["price"].as_str().and_then(cents)?,
        })
    }

    fn count_purchase(&mut self, customer: Gid, order: Gid, total: u64) {
        self.update(customer, |state| {
            let count = state["numberOfOrders"].as_str().and_then(|n| n.parse::<u64>().ok());
            state["numberOfOrders"] = json!((count.unwrap_or_default() + 1).to_string());
            let spent = state["amountSpent"]["amount"].as_str().and_then(cents);
            let spent = cents_to_decimal(spent.unwrap_or_default() + total);
            state["amountSpent"]["amount"] = json!(spent);
            state["lastOrder"] = link(order);
        });
        self.announce("customers/purchasing_summary", customer);
    }

    /// Changes what can still be changed of an order.
    pub fn edit_order(&mut self, gid: Gid, change: impl FnOnce(&mut Value)) -> bool {
        let there = self.update(gid, change);
        if there {
            self.announce("orders/updated", gid);
        }
        there
    }

    /// Sends off everything that an order still waits for.
    pub fn fulfil_order(&mut self, gid: Gid) {
        let Some(order) = self.store.get(gid) else { return };
        let waits =
            order["cancelledAt"].is_null() && order["displayFulfillmentStatus"] == "UNFULFILLED";
        if !waits {
            return;
        }
        let (id, now) = (self.store.fresh("Fulfillment"), self.now_text());
        let number = format!("JD{:012}", id.number() % 1_000_000_000_000);
        let lines = order["lineItems"].as_array().into_iter().flatten().map(|line| {
            json!({
                "__typename": "FulfillmentLineItem", "quantity": line["quantity"],
                "id": self.store.fresh("FulfillmentLineItem").to_string(), "lineItem": line,
            })
        });
        let lines: Vec<Value> = lines.collect();
        let fulfillment = json!({
            "__typename": "Fulfillment", "id": id.to_string(),
            "name": format!("{}-F1", order["name"].as_str().unwrap_or_default()),
            "status": "SUCCESS", "displayStatus": "FULFILLED", "requiresShipping": true,
            "totalQuantity": order["subtotalLineItemsQuantity"],
            "location": link(Gid::nth("Location", 0)),
            "trackingInfo": [{
                "__typename": "FulfillmentTrackingInfo", "company": "DHL", "number": number,
                "url": format!("https://dhl.example.com/{number}"),
            }],
            "fulfillmentLineItems": lines,
            "createdAt": now, "updatedAt": now,
        });
        self.edit_order(gid, |state| {
            state["displayFulfillmentStatus"] = json!("FULFILLED");
            state["closed"] = json!(true);
            state["closedAt"] = json!(now);
            state["fulfillments"] = json!([fulfillment]);
            for line in state["lineItems"].as_array_mut().into_iter().flatten() {
                line["unfulfilledQuantity"] = json!(0);
            }
        });
        self.announce("orders/fulfilled", gid);
    }

    /// Gives back the price of one piece of an order's first line.
    pub fn refund_order(&mut self, gid: Gid) {
        let Some(order) = self.store.get(gid) else { return };
        let line = order["lineItems"][0].clone();
        if line["currentQuantity"].as_u64().unwrap_or_default() == 0 {
            return;
        }
        let (refund, payment) = (self.store.fresh("Refund"), self.store.fresh("OrderTransaction"));
        let (price, now) = (line["originalUnitPriceSet"].clone(), self.now_text());
        let transaction = json!({
            "__typename": "OrderTransaction", "id": payment.to_string(),
            "kind": "REFUND", "status": "SUCCESS", "gateway": "shopify_payments",
            "formattedGateway": "Shopify Payments", "test": false, "errorCode": null,
            "amountSet": price, "parentTransaction": order["transactions"][0],
            "createdAt": now, "processedAt": now,
        });
        let item = json!({
            "__typename": "RefundLineItem",
            "id": self.store.fresh("RefundLineItem").to_string(),
            "quantity": 1, "lineItem": line, "location": null, "restockType": "NO_RESTOCK",
            "restocked": false, "subtotalSet": price, "totalTaxSet": crate::catalog::bag(0),
            "priceSet": price,
        });
        let given = json!({
            "__typename": "Refund", "id": refund.to_string(), "note": "Arrived broken",
            "duties": [], "staffMember": null, "totalRefundedSet": price,
            "refundLineItems": [item], "refundShippingLines": [], "orderAdjustments": [],
            "transactions": [transaction], "return": null,
            "createdAt": now, "processedAt": now, "updatedAt": now,
        });
        self.edit_order(gid, |state| {
            state["displayFinancialStatus"] = json!("PARTIALLY_REFUNDED");
            state["totalRefundedSet"] = given["totalRefundedSet"].clone();
            state["lineItems"][0]["currentQuantity"] =
                json!(line["currentQuantity"].as_u64().unwrap_or_default() - 1);
            for (list, one) in [("refunds", &given), ("transactions", &transaction)] {
                if let Some(list) = state[list].as_array_mut() {
                    list.push(one.clone());
                }
            }
        });
    }

    /// Cancels an order.
    pub fn cancel_order(&mut self, gid: Gid, reason: &str) {
        let now = self.now_text();
        let open = self.store.get(gid).is_some_and(|order| order["cancelledAt"].is_null());
        if open {
            self.edit_order(gid, |state| {
                state["cancelledAt"] = json!(now);
                state["cancelReason"] = json!(reason);
                state["closed"] = json!(true);
                state["closedAt"] = json!(now);
            });
            self.announce("orders/cancelled", gid);
        }
    }

    /// Deletes an order for good.
    pub fn delete_order(&mut self, gid: Gid) -> bool {
        let there = self.store.get(gid).is_some();
        if there {
            self.remove(gid);
            self.announce("orders/delete", gid);
        }
        there
    }
}
