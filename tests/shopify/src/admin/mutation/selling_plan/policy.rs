//! How a plan bills, delivers and prices.

use serde_json::{Value, json};

use super::UserError;
use crate::catalog::{cents, cents_to_decimal};

/// Of a policy of either sort: which, and what is given.
fn sort(given: &Value) -> Option<(&'static str, &Value)> {
    let both = [("Fixed", &given["fixed"]), ("Recurring", &given["recurring"])];
    let mut said = both.into_iter().filter(|(_, given)| given.is_object());
    said.next().filter(|_| said.next().is_none())
}

/// A policy of one sort, begun anew or, where it was of that sort before, as it was; the sort is for
/// ever.
fn begun(held: &Value, sort: &str, of: &str, usual: Value, code: &str) -> Result<Value, UserError> {
    let type_name = format!("SellingPlan{sort}{of}Policy");
    match held["__typename"].as_str() {
        Some(held_as) if held_as == type_name => Ok(held.clone()),
        Some(_) => {
            let message = format!("Only one of fixed or recurring {of} policy is allowed");
            Err(UserError::new(&["input"], message.to_lowercase()).code(code))
        }
        None => {
            let mut policy = usual;
            policy["__typename"] = json!(type_name);
            Ok(policy)
        }
    }
}

fn overwrite(policy: &mut Value, given: &Value, names: &[&str]) {
    for name in names {
        if let Some(value) = given.get(*name) {
            policy[*name] = value.clone();
        }
    }
    if let Some(anchors) = given["anchors"].as_array() {
        policy["anchors"] = anchors
            .iter()
            .map(|anchor| {
                json!({
                    "__typename": "SellingPlanAnchor", "type": anchor["type"],
                    "day": anchor["day"], "month": anchor["month"],
                    "cutoffDay": anchor["cutoffDay"],
                })
            })
            .collect();
    }
}

pub(super) fn billing(held: &Value, given: &Value) -> Result<Value, UserError> {
    let Some((sort, given)) = sort(given) else {
        let error = UserError::new(&["input"], "Only one billing policy type can be defined.");
        return Err(error.code("ONLY_NEED_ONE_BILLING_POLICY_TYPE"));
    };
    let usual = match sort {
        "Fixed" => json!({
            "checkoutCharge": {
                "__typename": "SellingPlanCheckoutCharge", "type": "PERCENTAGE",
                "value": {
                    "__typename": "SellingPlanCheckoutChargePercentageValue", "percentage": 100.0,
                },
            },
            "remainingBalanceChargeExactTime": null,
            "remainingBalanceChargeTimeAfterCheckout": null,
            "remainingBalanceChargeTrigger": "NO_REMAINING_BALANCE",
        }),
        _ => json!({
            "anchors": [], "interval": null, "intervalCount": null, "minCycles": null,
            "maxCycles": null,
        }),
    };
    let code = "ONLY_ONE_OF_FIXED_OR_RECURRING_BILLING";
    let mut policy = begun(held, sort, "Billing", usual, code)?;
    let names = [
        "interval",
        "intervalCount",
        "minCycles",
        "maxCycles",
        "remainingBalanceChargeExactTime",
        "remainingBalanceChargeTimeAfterCheckout",
        "remainingBalanceChargeTrigger",
    ];
    overwrite(&mut policy, given, &names);
    if let Some(charge) = given.get("checkoutCharge").filter(|charge| charge.is_object()) {
        policy["checkoutCharge"] = json!({
            "__typename": "SellingPlanCheckoutCharge", "type": charge["type"],
            "value": amount(&charge["value"], "SellingPlanCheckoutChargePercentageValue"),
        });
    }
    Ok(policy)
}

pub(super) fn delivery(held: &Value, given: &Value) -> Result<Value, UserError> {
    let Some((sort, given)) = sort(given) else {
        let error = UserError::new(&["input"], "Only one delivery policy type can be defined.");
        return Err(error.code("ONLY_NEED_ONE_DELIVERY_POLICY_TYPE"));
    };
    let mut usual = json!({
        "anchors": [], "cutoff": null, "intent": "FULFILLMENT_BEGIN", "preAnchorBehavior": "ASAP",
    });
    let more: &[&str] = match sort {
        "Fixed" => &["fulfillmentExactTime", "fulfillmentTrigger"],
        _ => &["interval", "intervalCount"],
    };
    more.iter().for_each(|name| usual[*name] = Value::Null);
    if sort == "Fixed" {
        usual["fulfillmentTrigger"] = json!("UNKNOWN");
    }
    let code = "ONLY_ONE_OF_FIXED_OR_RECURRING_DELIVERY";
    let mut policy = begun(held, sort, "Delivery", usual, code)?;
    let names = [
        "cutoff",
        "intent",
        "preAnchorBehavior",
        "fulfillmentExactTime",
        "fulfillmentTrigger",
        "interval",
        "intervalCount",
    ];
    overwrite(&mut policy, given, &names);
    Ok(policy)
}

pub(super) fn pricing(given: &Value) -> Value {
    let (sort, given) = sort(given).unwrap_or(("Fixed", given));
    let value = amount(&given["adjustmentValue"], "SellingPlanPricingPolicyPercentageValue");
    let mut policy = json!({
        "__typename": format!("SellingPlan{sort}PricingPolicy"),
        "adjustmentType": given["adjustmentType"], "adjustmentValue": value,
    });
    if sort == "Recurring" {
        policy["afterCycle"] = given["afterCycle"].clone();
    }
    policy
}

/// A part of a price, or money of the shop's currency.
fn amount(given: &Value, percentage: &str) -> Value {
    if !given["percentage"].is_null() {
        return json!({ "__typename": percentage, "percentage": given["percentage"] });
    }
    let fixed = &given["fixedValue"];
    let fixed = fixed.as_str().map_or_else(|| fixed.to_string(), str::to_owned);
    json!({
        "__typename": "MoneyV2", "currencyCode": "USD",
        "amount": cents(&fixed).map(cents_to_decimal),
    })
}
