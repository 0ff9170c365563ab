//! Groups of selling plans: subscriptions, pre-orders, and what is sold by them.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::Outcome;
use crate::catalog::{cents, cents_to_decimal};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, targets};

/// A group has no more plans than this, and a plan or a group no more options.
const PLANS_MAX: usize = 31;
const OPTIONS_MAX: usize = 3;

/// What is sold by a group: the list, the argument that names members of it, their type, and what
/// the answer calls those that were taken out.
type Members = (&'static str, &'static str, &'static str, &'static str);

const PRODUCTS: Members = ("products", "productIds", "Product", "removedProductIds");
const VARIANTS: Members =
    ("productVariants", "productVariantIds", "ProductVariant", "removedProductVariantIds");

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "sellingPlanGroupCreate" => create(shop, call),
        "sellingPlanGroupUpdate" => update(shop, call),
        "sellingPlanGroupDelete" => Ok(delete(shop, call)),
        "sellingPlanGroupAddProducts" => Ok(add(shop, call, PRODUCTS)),
        "sellingPlanGroupAddProductVariants" => Ok(add(shop, call, VARIANTS)),
        "sellingPlanGroupRemoveProducts" => Ok(take_out(shop, call, PRODUCTS)),
        "sellingPlanGroupRemoveProductVariants" => Ok(take_out(shop, call, VARIANTS)),
        _ => return None,
    })
}

const GROUP: &str = "sellingPlanGroup";

fn find(shop: &Shop, call: &Call<'_>) -> Option<Gid> {
    let gid = call.args.gid("id")?;
    (gid.type_name() == "SellingPlanGroup" && shop.store.get(gid).is_some()).then_some(gid)
}

fn missing(result: &str) -> Value {
    let error = UserError::new(&["id"], "Selling plan group does not exist.");
    answer(result, Value::Null, vec![error.code("GROUP_DOES_NOT_EXIST")])
}

fn refusal(error: UserError) -> Outcome<Value> {
    Ok(answer(GROUP, Value::Null, vec![error]))
}

const FIELDS: [&str; 9] = [
    "appId",
    "description",
    "merchantCode",
    "name",
    "options",
    "position",
    "sellingPlansToCreate",
    "sellingPlansToDelete",
    "sellingPlansToUpdate",
];

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let resources = call.args.get("resources").cloned().unwrap_or_default();
    let now = shop.now_text();
    let mut group = json!({
        "__typename": "SellingPlanGroup", "id": null, "name": null, "merchantCode": given["name"],
        "appId": null, "description": "", "options": [], "position": null, "summary": null,
        "sellingPlans": [], "products": [], "productVariants": [], "createdAt": now,
    });
    if let Err(error) = apply(shop, &mut group, &given)? {
        return refusal(error);
    }
    for members in [PRODUCTS, VARIANTS] {
        let wanted = &resources[members.1];
        if let Err(error) = join(shop, &mut group, wanted, members) {
            return refusal(error);
        }
    }
    let gid = shop.store.fresh("SellingPlanGroup");
    group["id"] = json!(gid.to_string());
    shop.put(gid, group);
    shop.announce("selling_plan_groups/create", gid);
    Ok(answer(GROUP, link(gid), vec![]))
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = find(shop, call) else { return Ok(missing(GROUP)) };
    let given = call.args.get("input").cloned().unwrap_or_default();
    let mut group = shop.store.get(gid).map(|group| (*group).clone()).unwrap_or_default();
    if let Err(error) = apply(shop, &mut group, &given)? {
        return refusal(error);
    }
    shop.put(gid, group);
    shop.announce("selling_plan_groups/update", gid);
    let mut done = answer(GROUP, link(gid), vec![]);
    done["deletedSellingPlanIds"] = given["sellingPlansToDelete"].clone();
    Ok(done)
}

/// Makes of a group what an input asks for; nothing of it where any part cannot be.
fn apply(shop: &mut Shop, group: &mut Value, given: &Value) -> Outcome<Result<(), UserError>> {
    let input = Input::of("SellingPlanGroupInput", given, &FIELDS)?;
    for (field, none) in [("description", json!("")), ("merchantCode", json!(""))] {
        if let Some(value) = input.given(field) {
            group[field] = if value.is_null() { none } else { value.clone() };
        }
    }
    input.copy(
        group,
        &[("name", "name"), ("appId", "appId"), ("options", "options"), ("position", "position")],
    );
    let mut plans = group["sellingPlans"].as_array().cloned().unwrap_or_default();
    let gone = input.list("sellingPlansToDelete").unwrap_or_default();
    plans.retain(|plan| !gone.contains(&plan["id"]));
    for (at, given) in input.list("sellingPlansToUpdate").unwrap_or_default().iter().enumerate() {
        let at = at.to_string();
        let field = ["input", "sellingPlansToUpdate", &at, "id"];
        let Some(id) = given["id"].as_str() else {
            let error = UserError::new(&field, "Id must be specified to update a selling plan.");
            return Ok(Err(error.code("PLAN_ID_MUST_BE_SPECIFIED_TO_UPDATE")));
        };
        let Some(plan) = plans.iter_mut().find(|plan| plan["id"] == *id) else {
            let error = UserError::new(&field, "Selling plan does not exist.");
            return Ok(Err(error.code("PLAN_DOES_NOT_EXIST")));
        };
        if let Err(error) = write_plan(plan, given)? {
            return Ok(Err(error));
        }
    }
    let now = shop.now_text();
    for given in input.list("sellingPlansToCreate").unwrap_or_default() {
        let mut plan = json!({
            "__typename": "SellingPlan", "id": shop.store.fresh("SellingPlan").to_string(),
            "name": null, "description": null, "category": null, "options": [],
            "position": null, "billingPolicy": null, "deliveryPolicy": null,
            "pricingPolicies": [], "metafields": [], "createdAt": now,
            "inventoryPolicy": {
                "__typename": "SellingPlanInventoryPolicy", "reserve": "ON_FULFILLMENT",
            },
        });
        if let Err(error) = write_plan(&mut plan, given)? {
            return Ok(Err(error));
        }
        plans.push(plan);
    }
    let wrong = complaint(group, &plans);
    group["sellingPlans"] = json!(plans);
    Ok(match wrong {
        Some((message, code)) => Err(UserError::new(&["input"], message).code(code)),
        None => Ok(()),
    })
}

fn write_plan(plan: &mut Value, given: &Value) -> Outcome<Result<(), UserError>> {
    let fields = [
        "billingPolicy",
        "category",
        "deliveryPolicy",
        "description",
        "id",
        "inventoryPolicy",
        "name",
        "options",
        "position",
        "pricingPolicies",
    ];
    let input = Input::of("SellingPlanInput", given, &fields)?;
    let same = ["name", "description", "category", "options", "position"];
    input.copy(plan, &same.map(|name| (name, name)));
    if let Some(reserve) = given["inventoryPolicy"]["reserve"].as_str() {
        plan["inventoryPolicy"]["reserve"] = json!(reserve);
    }
    if let Some(policy) = input.get("billingPolicy") {
        match billing(&plan["billingPolicy"], policy) {
            Ok(policy) => plan["billingPolicy"] = policy,
            Err(error) => return Ok(Err(error)),
        }
    }
    if let Some(policy) = input.get("deliveryPolicy") {
        match delivery(&plan["deliveryPolicy"], policy) {
            Ok(policy) => plan["deliveryPolicy"] = policy,
            Err(error) => return Ok(Err(error)),
        }
    }
    if let Some(policies) = input.list("pricingPolicies") {
        plan["pricingPolicies"] = policies.iter().map(pricing).collect();
    }
    Ok(Ok(()))
}

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

fn billing(held: &Value, given: &Value) -> Result<Value, UserError> {
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

fn delivery(held: &Value, given: &Value) -> Result<Value, UserError> {
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

fn pricing(given: &Value) -> Value {
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

/// What is wrong with a group that has these plans: the message and its code.
fn complaint(group: &Value, plans: &[Value]) -> Option<(&'static str, &'static str)> {
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

/// Puts resources among those of a group. One that is sold by it already is refused, and with it all
/// the others.
fn join(
    shop: &Shop,
    group: &mut Value,
    wanted: &Value,
    (list, argument, type_name, _): Members,
) -> Result<(), UserError> {
    let mut held: Vec<Gid> = targets(group, list).collect();
    for id in wanted.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let gid = id.parse::<Gid>().ok().filter(|gid| gid.type_name() == type_name);
        let Some(gid) = gid.filter(|gid| shop.store.get(*gid).is_some()) else {
            let message = format!("{type_name} {id} does not exist.");
            return Err(UserError::new(&[argument], message).code("NOT_FOUND"));
        };
        if held.contains(&gid) {
            let error = UserError::new(&[argument], "Resource has already been taken");
            return Err(error.code("TAKEN"));
        }
        held.push(gid);
    }
    group[list] = held.into_iter().map(link).collect();
    Ok(())
}

fn add(shop: &mut Shop, call: &Call<'_>, members: Members) -> Value {
    let Some(gid) = find(shop, call) else { return missing(GROUP) };
    let mut group = shop.store.get(gid).map(|group| (*group).clone()).unwrap_or_default();
    let wanted = call.args.get(members.1).cloned().unwrap_or_default();
    if let Err(error) = join(shop, &mut group, &wanted, members) {
        return answer(GROUP, Value::Null, vec![error]);
    }
    shop.put(gid, group);
    shop.announce("selling_plan_groups/update", gid);
    answer(GROUP, link(gid), vec![])
}

fn take_out(shop: &mut Shop, call: &Call<'_>, (list, argument, _, removed): Members) -> Value {
    let Some(gid) = find(shop, call) else { return missing(removed) };
    let ids = call.args.get(argument).and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    let group = shop.store.get(gid).unwrap_or_default();
    for member in targets(&group, list) {
        match ids.contains(&json!(member.to_string())) {
            true => gone.push(member.to_string()),
            false => kept.push(link(member)),
        }
    }
    shop.update(gid, |group| group[list] = json!(kept));
    shop.announce("selling_plan_groups/update", gid);
    answer(removed, json!(gone), vec![])
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "deletedSellingPlanGroupId";
    let Some(gid) = find(shop, call) else { return missing(result) };
    shop.remove(gid);
    shop.announce("selling_plan_groups/delete", gid);
    answer(result, json!(gid.to_string()), vec![])
}
