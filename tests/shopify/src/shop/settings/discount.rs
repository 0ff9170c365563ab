//! The discounts that a shop has when it opens.

use serde_json::{Value, json};

use crate::catalog::bag;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

impl Shop {
    pub(super) fn found_discounts(&mut self) {
        let now = self.now_text();
        let products = json!({
            "__typename": "DiscountProducts", "productVariants": [],
            "products": (0..7).map(|n| link(Gid::nth("Product", n))).collect::<Vec<_>>(),
        });
        let collections = json!({
            "__typename": "DiscountCollections", "collections": [link(Gid::nth("Collection", 0))],
        });
        let everything = json!({ "__typename": "AllDiscountItems", "allItems": true });
        let percent =
            |share: f64| json!({ "__typename": "DiscountPercentage", "percentage": share });
        let gets = |items: &Value, value: Value| {
            json!({
                "__typename": "DiscountCustomerGets", "items": items, "value": value,
                "appliesOnOneTimePurchase": true, "appliesOnSubscription": false,
            })
        };
        let quantity = json!({ "__typename": "DiscountQuantity", "quantity": "2" });
        let buys = json!({
            "__typename": "DiscountCustomerBuys", "items": products, "value": quantity,
            "isOneTimePurchase": true, "isSubscription": false,
        });
        let half = json!({
            "__typename": "DiscountOnQuantity", "quantity": quantity, "effect": percent(0.5),
        });
        for (sort, title, more) in [
            (
                "DiscountCodeBasic",
                "Ten off",
                json!({
                    "customerGets": gets(&products, percent(0.1)), "recurringCycleLimit": 1,
                    "minimumRequirement": {
                        "__typename": "DiscountMinimumQuantity", "greaterThanOrEqualToQuantity": "2",
                    },
                }),
            ),
            (
                "DiscountAutomaticBasic",
                "Season's edit",
                json!({
                    "customerGets": gets(&collections, percent(0.2)), "recurringCycleLimit": 1,
                    "minimumRequirement": null,
                }),
            ),
            (
                "DiscountCodeBxgy",
                "Two for one",
                json!({
                    "customerBuys": buys, "customerGets": gets(&products, half), "usesPerOrderLimit": 1,
                }),
            ),
            (
                "DiscountCodeFreeShipping",
                "We pay the post",
                json!({
                    "appliesOnOneTimePurchase": true, "appliesOnSubscription": false,
                    "recurringCycleLimit": 1, "maximumShippingPrice": null,
                    "destinationSelection": { "__typename": "DiscountCountryAll", "allCountries": true },
                    "minimumRequirement": {
                        "__typename": "DiscountMinimumSubtotal",
                        "greaterThanOrEqualToSubtotal": bag(5_000)["shopMoney"],
                    },
                }),
            ),
            (
                "DiscountAutomaticApp",
                "Loyal friends",
                json!({
                    "appliesOnOneTimePurchase": true, "appliesOnSubscription": false,
                    "recurringCycleLimit": 1, "discountId": null,
                    "appDiscountType": {
                        "__typename": "AppDiscountType", "functionId": "loyal-1", "title": "Loyalty",
                    },
                }),
            ),
            (
                "DiscountCodeBasic",
                "Everything, a little",
                json!({
                    "customerGets": gets(&everything, percent(0.05)), "recurringCycleLimit": 1,
                    "minimumRequirement": null,
                }),
            ),
        ] {
            self.found_discount(sort, title, &now, more);
        }
    }

    fn found_discount(&mut self, sort: &str, title: &str, now: &str, more: Value) {
        let by_code = sort.starts_with("DiscountCode");
        let (node, field) = match by_code {
            true => ("DiscountCodeNode", "codeDiscount"),
            false => ("DiscountAutomaticNode", "automaticDiscount"),
        };
        let gid = self.store.fresh(node);
        let mut discount = json!({
            "__typename": sort, "title": title, "status": "ACTIVE", "startsAt": now, "endsAt": null,
            "summary": title, "shortSummary": title, "tags": [], "asyncUsageCount": 0,
            "discountClasses": ["ORDER"], "discountClass": "ORDER",
            "appliesOnOneTimePurchase": true, "appliesOnSubscription": false,
            "recurringCycleLimit": 1,
            "destinationSelection": { "__typename": "DiscountCountryAll", "allCountries": true },
            "combinesWith": {
                "__typename": "DiscountCombinesWith", "orderDiscounts": false,
                "productDiscounts": true, "shippingDiscounts": false,
                "productDiscountsWithTagsOnSameCartLine": null,
            },
            "context": { "__typename": "DiscountBuyerSelectionAll", "all": "ALL" },
            "createdAt": now, "updatedAt": now,
        });
        if by_code {
            // More codes than the first page of a question has.
            let codes: Vec<Value> = (0..7)
                .map(|n| {
                    json!({
                        "__typename": "DiscountRedeemCode", "asyncUsageCount": 0, "createdBy": null,
                        "id": self.store.fresh("DiscountRedeemCode").to_string(),
                        "code": format!("ACME{}{n}", gid.n().unwrap_or_default()),
                    })
                })
                .collect();
            discount["codes"] = json!(codes);
            discount["codesCount"] = json!({ "count": codes.len(), "precision": "EXACT" });
            discount["usageLimit"] = Value::Null;
            discount["appliesOncePerCustomer"] = json!(true);
            discount["hasTimelineComment"] = json!(false);
            discount["customerSelection"] =
                json!({ "__typename": "DiscountCustomerAll", "allCustomers": true });
        }
        if let (Value::Object(discount), Value::Object(more)) = (&mut discount, more) {
            discount.extend(more);
        }
        self.put(
            gid,
            json!({
                "__typename": node, "id": gid.to_string(), field: discount, "metafields": [],
            }),
        );
    }
}
