//! Groups of selling plans: subscriptions, pre-orders, and what is sold by them.

mod complaint;
mod policy;

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, targets};

use complaint::complaint;
use policy::{billing, delivery, pricing};

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
