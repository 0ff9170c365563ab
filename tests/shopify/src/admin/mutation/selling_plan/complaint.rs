//! What Shopify finds wrong with a group of selling plans.

use std::collections::HashSet;

use serde_json::{Value, json};

/// A group has no more plans than this, and a plan or a group no more options.
const PLANS_MAX: usize = 31;
const OPTIONS_MAX: usize = 3;

/// What is wrong with a group that has these plans: the message and its code.
pub(super) fn complaint(group: &Value, plans: &[Value]) -> Option<(&'static str, &'static str)> {
    let options = |value: &Value| value["options"].as_array().map_or(0, Vec::len);
    let labels = options(group);
    if group["name"].as_str().is_none_or(|name| name.trim().is_empty()) {
        return Some(("Name can't be blank", "BLANK"));
    }
    if labels > OPTIONS_MAX {
        return Some(("Too many selling plan group options (maximum 3 options)", "TOO_LONG"));
    }
    if plans.is_empty() {
        let message = "Must include at least one selling plan.";
        return Some((message, "SELLING_PLAN_COUNT_LOWER_BOUND"));
    }
    if plans.len() > PLANS_MAX {
        let message = "Exceeded the selling plan limit (31).";
        return Some((message, "SELLING_PLAN_COUNT_UPPER_BOUND"));
    }
    let twice = |field: &str| {
        let mut seen = HashSet::new();
        plans.iter().any(|plan| !seen.insert(plan[field].to_string()))
    };
    if twice("name") {
        let message = "Cannot have multiple selling plans with the same name.";
        return Some((message, "SELLING_PLAN_DUPLICATE_NAME"));
    }
    if twice("options") {
        let message = "Cannot have multiple selling plans with the same options.";
        return Some((message, "SELLING_PLAN_DUPLICATE_OPTIONS"));
    }
    plans.iter().find_map(|plan| match options(plan) {
        said if said > labels => Some((
            "Cannot define option2 on this selling plan as there's no label on the parent selling \
             plan group.",
            "SELLING_PLAN_MISSING_OPTION2_LABEL_ON_PARENT_GROUP",
        )),
        said if said < labels => Some((
            "Selling plan's option2 is required because option2 exists.",
            "SELLING_PLAN_OPTION2_REQUIRED_AS_DEFINED_ON_PARENT_GROUP",
        )),
        _ => complaint_of(plan),
    })
}

/// What is wrong with one plan.
fn complaint_of(plan: &Value) -> Option<(&'static str, &'static str)> {
    let (billing, delivery) = (&plan["billingPolicy"], &plan["deliveryPolicy"]);
    if billing.is_null() {
        return Some(("Missing billing policy.", "SELLING_PLAN_BILLING_POLICY_MISSING"));
    }
    if delivery.is_null() {
        return Some(("Missing delivery policy.", "SELLING_PLAN_DELIVERY_POLICY_MISSING"));
    }
    let fixed =
        |policy: &Value| policy["__typename"].as_str().is_some_and(|name| name.contains("Fixed"));
    if fixed(billing) != fixed(delivery) {
        let message = "billing and delivery policy types must be the same.";
        return Some((message, "BILLING_AND_DELIVERY_POLICY_TYPES_MUST_BE_THE_SAME"));
    }
    let prices = plan["pricingPolicies"].as_array().map(Vec::as_slice).unwrap_or_default();
    if prices.len() > 2 {
        let message = "Selling plans can't have more than 2 pricing policies.";
        return Some((message, "SELLING_PLAN_PRICING_POLICIES_LIMIT"));
    }
    if !prices.is_empty() && !prices.iter().any(fixed) {
        let message = "Selling plan's pricing policies must contain one fixed pricing policy.";
        return Some((
            message,
            "SELLING_PLAN_PRICING_POLICIES_MUST_CONTAIN_A_FIXED_PRICING_POLICY",
        ));
    }
    if fixed(billing) {
        return complaint_of_fixed(billing, delivery);
    }
    let cycle = |policy: &Value| policy["intervalCount"].as_u64().unwrap_or_default();
    let same = billing["interval"] == delivery["interval"];
    if same && cycle(delivery) > 0 && !cycle(billing).is_multiple_of(cycle(delivery)) {
        let message = "Selling plan's billing cycle must be a multiple of delivery cycle.";
        return Some((message, "SELLING_PLAN_BILLING_CYCLE_MUST_BE_A_MULTIPLE_OF_DELIVERY_CYCLE"));
    }
    None
}

fn complaint_of_fixed(billing: &Value, delivery: &Value) -> Option<(&'static str, &'static str)> {
    for (policy, trigger, time, required, not_allowed) in [
        (
            delivery,
            "fulfillmentTrigger",
            "fulfillmentExactTime",
            "FULFILLMENT_EXACT_TIME_REQUIRED",
            "FULFILLMENT_EXACT_TIME_NOT_ALLOWED",
        ),
        (
            billing,
            "remainingBalanceChargeTrigger",
            "remainingBalanceChargeExactTime",
            "REMAINING_BALANCE_CHARGE_EXACT_TIME_REQUIRED",
            "REMAINING_BALANCE_CHARGE_EXACT_TIME_NOT_ALLOWED",
        ),
    ] {
        match (policy[trigger] == "EXACT_TIME", policy[time].is_null()) {
            (true, true) => return Some(("The exact time can't be blank.", required)),
            (false, false) => return Some(("The exact time must not be present.", not_allowed)),
            _ => {}
        }
    }
    match (delivery["fulfillmentTrigger"] == "ANCHOR", delivery["anchors"] == json!([])) {
        (true, true) => Some(("Anchors must be present.", "SELLING_PLAN_ANCHORS_REQUIRED")),
        (false, false) => {
            Some(("Anchors must not be present.", "SELLING_PLAN_ANCHORS_NOT_ALLOWED"))
        }
        _ => None,
    }
}
