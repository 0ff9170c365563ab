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
