//! Orders that were placed before the beginning.

use serde_json::{Value, json};

use super::product::cents_to_decimal;
use super::{Catalog, VARIANTS_MAX};
use crate::gid::Gid;
use crate::store::link;

pub(super) const LINES_MAX: u64 = 8;
const SHIPPING_CENTS: u64 = 1_000;

/// What one line of an order says.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Its own id.
    pub(crate) id: Gid,
    /// What was bought; nothing for a custom line.
    pub(crate) product: Option<Gid>,
    /// Which variant of it.
    pub(crate) variant: Option<Gid>,
    /// The product's title at that time.
    pub(crate) title: String,
    /// The variant's title at that time.
    pub(crate) variant_title: Option<String>,
    /// The variant's SKU at that time.
    pub(crate) sku: Option<String>,
    /// The product's vendor at that time.
    pub(crate) vendor: Option<String>,
    /// How many.
    pub(crate) quantity: u64,
    /// The price of one.
    pub(crate) unit_cents: u64,
}

/// What an order is made of.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    /// The order's id.
    pub(crate) id: Gid,
    /// Counts up per shop.
    pub(crate) number: u64,
    /// Who bought.
    pub(crate) customer: Option<Gid>,
    /// Where to send the receipt.
    pub(crate) email: Option<String>,
    /// Where to send the goods.
    pub(crate) address: Value,
    /// What was bought.
    pub(crate) lines: Vec<Line>,
    /// The shipping line's id.
    pub(crate) shipping: Gid,
    /// The payment's id.
    pub(crate) transaction: Gid,
    /// When.
    pub(crate) at: String,
}

impl Catalog {
    pub(super) fn order(&self, n: u64) -> Option<Value> {
        if n >= self.size.orders {
            return None;
        }
        let dice = self.dice.of("order");
        let customer = dice.of("customer").below(n, self.size.customers);
        let buyer = self.customer(customer)?;
        let at = self.before(n, 1..=300);
        let lines = (0..=dice.of("lines").below(n, 4))
            .filter_map(|k| self.line(n * LINES_MAX + k))
            .collect();
        let sale = Sale {
            id: Gid::nth("Order", n),
            number: n + 1,
            customer: Some(Gid::nth("Customer", customer)),
            email: buyer["defaultEmailAddress"]["emailAddress"].as_str().map(str::to_owned),
            address: self.address(customer, 0),
            lines,
            shipping: Gid::nth("ShippingLine", n),
            transaction: Gid::nth("OrderTransaction", n),
            at,
        };
        Some(sale.document(self.dice.of("token").uuid(n).replace('-', "").as_str()))
    }

    fn line(&self, n: u64) -> Option<Line> {
        let dice = self.dice.of("line");
        let product = dice.below(n, self.size.products);
        let variant = self.variant(product * VARIANTS_MAX)?;
        let named = self.product(product)?;
        Some(Line {
            id: Gid::nth("LineItem", n),
            product: Some(Gid::nth("Product", product)),
            variant: Some(Gid::nth("ProductVariant", product * VARIANTS_MAX)),
            title: named["title"].as_str()?.to_owned(),
            variant_title: variant["title"].as_str().map(str::to_owned),
            sku: variant["sku"].as_str().map(str::to_owned),
            vendor: named["vendor"].as_str().map(str::to_owned),
            quantity: 1 + dice.of("quantity").below(n, 3),
            unit_cents: self.price_cents(product),
        })
    }
}

impl Sale {
    fn subtotal(&self) -> u64 {
        self.lines.iter().map(|line| line.unit_cents * line.quantity).sum()
    }

    /// The order that this sale makes.
    pub(crate) fn document(&self, token: &str) -> Value {
        let subtotal = self.subtotal();
        let total = subtotal + SHIPPING_CENTS;
        let quantity: u64 = self.lines.iter().map(|line| line.quantity).sum();
        let mut document = json!({
            "__typename": "Order",
            "id": self.id.to_string(),
            "name": format!("#{}", self.number + 1000),
            "number": self.number,
            "confirmationNumber": token.get(..9).unwrap_or(token).to_uppercase(),
            "email": self.email, "phone": null, "note": null, "poNumber": null, "tags": [],
            "customAttributes": [], "test": false, "confirmed": true,
            "closed": false, "closedAt": null, "cancelledAt": null, "cancelReason": null,
            "currencyCode": "USD", "presentmentCurrencyCode": "USD",
            "customer": self.customer.map(link), "customerLocale": "en",
            "customerAcceptsMarketing": false,
            "billingAddress": self.address, "shippingAddress": self.address,
            "displayFinancialStatus": "PAID", "displayFulfillmentStatus": "UNFULFILLED",
            "discountCodes": [], "discountApplications": [], "taxLines": [], "refunds": [],
            "fulfillments": [], "returns": [], "returnStatus": "NO_RETURN", "metafields": [],
            "taxesIncluded": false, "taxExempt": false, "dutiesIncluded": false,
            "estimatedTaxes": false, "edited": false, "fullyPaid": true, "unpaid": false,
            "requiresShipping": true, "paymentGatewayNames": ["shopify_payments"],
            "paymentTerms": null, "sourceName": "web", "sourceIdentifier": null,
            "registeredSourceUrl": null, "app": null, "retailLocation": null, "staffMember": null,
            "clientIp": "203.0.113.7", "subtotalLineItemsQuantity": quantity,
            "currentSubtotalLineItemsQuantity": quantity,
            "totalWeight": (quantity * 400).to_string(),
            "currentTotalWeight": (quantity * 400).to_string(),
            "lineItems": self.lines.iter().map(Line::document).collect::<Vec<_>>(),
            "_token": token,
            "createdAt": self.at, "processedAt": self.at, "updatedAt": self.at,
        });
        for (field, cents) in [
            ("subtotalPriceSet", subtotal),
            ("currentSubtotalPriceSet", subtotal),
            ("totalPriceSet", total),
            ("currentTotalPriceSet", total),
            ("originalTotalPriceSet", total),
            ("totalReceivedSet", total),
            ("netPaymentSet", total),
            ("totalShippingPriceSet", SHIPPING_CENTS),
            ("currentShippingPriceSet", SHIPPING_CENTS),
            ("totalDiscountsSet", 0),
            ("currentTotalDiscountsSet", 0),
            ("cartDiscountAmountSet", 0),
            ("currentCartDiscountAmountSet", 0),
            ("totalTaxSet", 0),
            ("currentTotalTaxSet", 0),
            ("totalRefundedSet", 0),
            ("totalRefundedShippingSet", 0),
            ("totalOutstandingSet", 0),
            ("totalCapturableSet", 0),
            ("totalTipReceivedSet", 0),
            ("refundDiscrepancySet", 0),
        ] {
            document[field] = bag(cents);
        }
        for field in [
            "currentTotalDutiesSet",
            "currentTotalAdditionalFeesSet",
            "originalTotalDutiesSet",
            "originalTotalAdditionalFeesSet",
        ] {
            document[field] = Value::Null;
        }
        document["shippingLines"] = json!([self.shipping_line()]);
        document["transactions"] = json!([self.payment(total)]);
        document
    }

    fn shipping_line(&self) -> Value {
        json!({
            "__typename": "ShippingLine",
            "id": self.shipping.to_string(),
            "title": "Standard", "code": "Standard", "source": "shopify", "custom": false,
            "carrierIdentifier": null, "phone": null, "deliveryCategory": null,
            "isRemoved": false, "shippingRateHandle": null,
            "discountAllocations": [], "taxLines": [],
            "originalPriceSet": bag(SHIPPING_CENTS), "discountedPriceSet": bag(SHIPPING_CENTS),
            "currentDiscountedPriceSet": bag(SHIPPING_CENTS),
        })
    }

    fn payment(&self, total: u64) -> Value {
        json!({
            "__typename": "OrderTransaction",
            "id": self.transaction.to_string(),
            "kind": "SALE", "status": "SUCCESS", "gateway": "shopify_payments",
            "formattedGateway": "Shopify Payments", "test": false, "errorCode": null,
            "amountSet": bag(total), "parentTransaction": null,
            "createdAt": self.at, "processedAt": self.at,
        })
    }
}

impl Line {
    fn document(&self) -> Value {
        let total = self.unit_cents * self.quantity;
        let default = self.variant_title.as_deref() == Some("Default Title");
        let shown = self.variant_title.as_deref().filter(|_| !default);
        json!({
            "__typename": "LineItem",
            "id": self.id.to_string(),
            "title": self.title, "variantTitle": shown, "sku": self.sku, "vendor": self.vendor,
            "name": shown.map_or(self.title.clone(), |shown| format!("{} - {shown}", self.title)),
            "quantity": self.quantity, "currentQuantity": self.quantity,
            "unfulfilledQuantity": self.quantity, "refundableQuantity": self.quantity,
            "nonFulfillableQuantity": 0,
            "requiresShipping": true, "taxable": true, "isGiftCard": false, "restockable": true,
            "merchantEditable": true,
            "product": self.product.map(link), "variant": self.variant.map(link),
            "customAttributes": [], "discountAllocations": [], "taxLines": [], "duties": [],
            "lineItemGroup": null, "sellingPlan": null, "staffMember": null,
            "originalUnitPriceSet": bag(self.unit_cents), "originalTotalSet": bag(total),
            "discountedUnitPriceSet": bag(self.unit_cents), "discountedTotalSet": bag(total),
            "totalDiscountSet": bag(0), "unfulfilledOriginalTotalSet": bag(total),
            "unfulfilledDiscountedTotalSet": bag(total),
        })
    }
}

/// An amount in the shop's currency and in the buyer's, which here are the same.
pub(crate) fn bag(cents: u64) -> Value {
    let money = json!({
        "__typename": "MoneyV2", "amount": cents_to_decimal(cents), "currencyCode": "USD",
    });
    json!({ "__typename": "MoneyBag", "shopMoney": money, "presentmentMoney": money })
}

/// The amount of a `MoneyBag` with both decimals, as webhook bodies show it.
pub(crate) fn two_decimals(decimal: &str) -> String {
    match decimal.split_once('.') {
        None => format!("{decimal}.00"),
        Some((_, cents)) if cents.len() == 1 => format!("{decimal}0"),
        Some(_) => decimal.to_owned(),
    }
}

/// Cents of an amount written with one or two decimals.
#[must_use]
pub(crate) fn cents(decimal: &str) -> Option<u64> {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    let part = format!("{part:0<2}");
    Some(whole.parse::<u64>().ok()? * 100 + part.get(..2)?.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::product::cents_to_money;
    use super::*;

    #[test]
    fn money_in_both_shapes() {
        assert_eq!(cents_to_money(6400), "64.00");
        assert_eq!(cents_to_decimal(6400), "64.0");
        assert_eq!(cents_to_decimal(6499), "64.99");
        assert_eq!(two_decimals("64.0"), "64.00");
        assert_eq!(cents("64.5"), Some(6450));
    }
}
