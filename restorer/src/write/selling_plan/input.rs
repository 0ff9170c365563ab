//! What a group of selling plans is, as mutations take it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::write::crud;
use crate::write::step::{list, text};

const GROUP: [&str; 6] = ["name", "merchantCode", "appId", "description", "options", "position"];
const PLAN: [&str; 5] = ["name", "description", "category", "options", "position"];

/// What makes the first become the second; nothing, where nothing differs. What is sold by it is not
/// part of that.
pub(super) fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = crud::differing(now, want, &GROUP);
    crud::cleared(&mut input, &["description", "merchantCode"]);
    if !want["sellingPlans"].is_array() {
        return input;
    }
    let (mut made, mut edited, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for wanted in list(want, "sellingPlans") {
        match same(now, want, wanted) {
            Some(there) if of_one_sort(there, wanted) => {
                kept.push(&there["id"]);
                let mut plan = plan(there, wanted);
                if !plan.is_empty() {
                    plan.insert("id".into(), there["id"].clone());
                    edited.push(Value::Object(plan));
                }
            }
            // Of which sort a plan is, is for ever.
            _ => {
                let mut plan = plan(&Value::Null, wanted);
                plan.retain(|_, value| !value.is_null());
                made.push(Value::Object(plan));
            }
        }
    }
    let there = list(now, "sellingPlans").iter().map(|plan| &plan["id"]);
    let gone: Vec<Value> = there.filter(|id| !kept.contains(id)).cloned().collect();
    for (name, plans) in [
        ("sellingPlansToDelete", gone),
        ("sellingPlansToUpdate", edited),
        ("sellingPlansToCreate", made),
    ] {
        if !plans.is_empty() {
            input.insert(name.into(), plans.into());
        }
    }
    input
}

/// Old gid → new gid of plans that are there under another one.
pub(super) fn renamed(there: &Value, want: &Value) -> BTreeMap<String, String> {
    let pairs = list(want, "sellingPlans").iter().filter_map(|wanted| {
        let (old, new) = (text(wanted, "id"), text(same(there, want, wanted)?, "id"));
        (old != new).then(|| (old.to_owned(), new.to_owned()))
    });
    pairs.collect()
}

/// The plan that is wanted, among those that are there: the one with its id, else one with its name
/// that is no other's.
fn same<'a>(now: &'a Value, want: &Value, wanted: &Value) -> Option<&'a Value> {
    let plans = list(now, "sellingPlans");
    let by_id = |of: &Value| plans.iter().find(|plan| plan["id"] == of["id"]);
    by_id(wanted).or_else(|| {
        let of_another =
            |plan: &Value| list(want, "sellingPlans").iter().any(|other| other["id"] == plan["id"]);
        plans.iter().find(|plan| plan["name"] == wanted["name"] && !of_another(plan))
    })
}

fn of_one_sort(there: &Value, wanted: &Value) -> bool {
    let pairs = ["billingPolicy", "deliveryPolicy"].map(|of| (&there[of], &wanted[of]));
    pairs.iter().all(|(a, b)| b.is_null() || recurs(a) == recurs(b))
}

fn recurs(policy: &Value) -> bool {
    policy.get("interval").is_some()
}

/// What makes one plan the other.
fn plan(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = crud::differing(now, want, &PLAN);
    crud::cleared(&mut input, &["description"]);
    let differs = |name: &str| !want[name].is_null() && want[name] != now[name];
    for (name, names) in [("billingPolicy", BILLING), ("deliveryPolicy", DELIVERY)] {
        if differs(name) {
            input.insert(name.into(), policy(&want[name], names));
        }
    }
    if differs("pricingPolicies") {
        input.insert(
            "pricingPolicies".into(),
            want["pricingPolicies"]
                .as_array()
                .map_or(Value::Null, |policies| policies.iter().map(pricing).collect()),
        );
    }
    if differs("inventoryPolicy") {
        let reserve = &want["inventoryPolicy"]["reserve"];
        input.insert("inventoryPolicy".into(), json!({"reserve": reserve}));
    }
    input
}

/// Members of policies, and what inputs call them.
type Names = &'static [(&'static str, &'static str)];

const BILLING: Names = &[
    ("interval", "interval"),
    ("intervalCount", "intervalCount"),
    ("minCycles", "minCycles"),
    ("maxCycles", "maxCycles"),
    ("remainingBalanceChargeExactTime", "remainingBalanceChargeExactTime"),
    ("remainingBalanceChargeTimeAfterCheckout", "remainingBalanceChargeTimeAfterCheckout"),
    ("remainingBalanceChargeTrigger", "remainingBalanceChargeTrigger"),
];

const DELIVERY: Names = &[
    ("cutoff", "cutoff"),
    ("intent", "intent"),
    ("fixedIntent", "intent"),
    ("preAnchorBehavior", "preAnchorBehavior"),
    ("fixedPreAnchorBehavior", "preAnchorBehavior"),
    ("interval", "interval"),
    ("intervalCount", "intervalCount"),
    ("fulfillmentExactTime", "fulfillmentExactTime"),
    ("fulfillmentTrigger", "fulfillmentTrigger"),
];

/// A policy is said as a whole, so that nothing of another one stays.
fn policy(want: &Value, names: Names) -> Value {
    let mut input = Map::new();
    for (member, name) in names {
        if let Some(value) = want.get(*member) {
            input.insert((*name).into(), value.clone());
        }
    }
    if let Some(anchors) = want["anchors"].as_array() {
        let anchor =
            |anchor: &Value| crud::present(anchor, &["type", "day", "month", "cutoffDay"]).into();
        input.insert("anchors".into(), anchors.iter().map(anchor).collect::<Vec<Value>>().into());
    }
    if want["checkoutCharge"].is_object() {
        let charge = &want["checkoutCharge"];
        let charge = json!({"type": charge["type"], "value": amount(&charge["value"])});
        input.insert("checkoutCharge".into(), charge);
    }
    match recurs(want) {
        true => json!({"recurring": input}),
        false => json!({"fixed": input}),
    }
}

fn pricing(want: &Value) -> Value {
    let mut input = crud::present(want, &["adjustmentType", "afterCycle"]);
    input.insert("adjustmentValue".into(), amount(&want["adjustmentValue"]));
    match want["afterCycle"].is_null() {
        true => json!({"fixed": input}),
        false => json!({"recurring": input}),
    }
}

fn amount(want: &Value) -> Value {
    match want["percentage"].is_null() {
        false => json!({"percentage": want["percentage"]}),
        true => json!({"fixedValue": want["amount"]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weekly(id: &str, name: &str, percentage: f64) -> Value {
        json!({
            "id": id, "name": name, "options": [name], "position": 1,
            "billingPolicy": {"anchors": [], "interval": "WEEK", "intervalCount": 1,
                              "minCycles": null, "maxCycles": null},
            "deliveryPolicy": {"anchors": [], "interval": "WEEK", "intervalCount": 1,
                               "intent": "FULFILLMENT_BEGIN", "preAnchorBehavior": "ASAP",
                               "cutoff": null},
            "pricingPolicies": [{"adjustmentType": "PERCENTAGE",
                                 "adjustmentValue": {"percentage": percentage}}],
            "inventoryPolicy": {"reserve": "ON_FULFILLMENT"},
        })
    }

    #[test]
    fn only_what_differs_is_sent_and_a_plan_of_the_same_name_is_the_plan() {
        let now = json!({"name": "Save", "options": ["Every"],
                         "sellingPlans": [weekly("p1", "1 week", 10.0), weekly("p9", "2 weeks", 5.0)]});
        let want = json!({"name": "Save", "options": ["Every"],
                          "sellingPlans": [weekly("p1", "1 week", 15.0), weekly("p2", "2 weeks", 5.0)]});
        let sent = Value::Object(changed(&now, &want));
        let expected = json!({"sellingPlansToUpdate": [{"id": "p1", "pricingPolicies": [
            {"fixed": {"adjustmentType": "PERCENTAGE", "adjustmentValue": {"percentage": 15.0}}}]}]});
        assert_eq!(sent, expected);
        assert_eq!(renamed(&now, &want), [("p2".to_owned(), "p9".to_owned())].into());
        assert!(changed(&want, &want).is_empty());
    }

    #[test]
    fn a_plan_of_another_sort_is_made_anew() {
        let mut once = weekly("p1", "1 week", 10.0);
        once["billingPolicy"] = json!({
            "checkoutCharge": {"type": "PRICE", "value": {"amount": "5.00"}},
            "remainingBalanceChargeTrigger": "ON_FULFILLMENT",
        });
        once["deliveryPolicy"] =
            json!({"fulfillmentTrigger": "UNKNOWN", "fixedIntent": "FULFILLMENT_BEGIN"});
        let now = json!({"sellingPlans": [weekly("p1", "1 week", 10.0)]});
        let sent = changed(&now, &json!({"sellingPlans": [once]}));
        assert_eq!(sent["sellingPlansToDelete"], json!(["p1"]));
        let made = &sent["sellingPlansToCreate"][0];
        assert_eq!(
            made["billingPolicy"],
            json!({"fixed": {
            "checkoutCharge": {"type": "PRICE", "value": {"fixedValue": "5.00"}},
            "remainingBalanceChargeTrigger": "ON_FULFILLMENT"}})
        );
        assert_eq!(made["deliveryPolicy"]["fixed"]["intent"], "FULFILLMENT_BEGIN");
    }
}
