//! Basic discounts, by code and automatic. The other sorts are not modelled.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

const FIELDS: [&str; 13] = [
    "title",
    "code",
    "startsAt",
    "endsAt",
    "usageLimit",
    "appliesOncePerCustomer",
    "combinesWith",
    "customerGets",
    "context",
    "customerSelection",
    "recurringCycleLimit",
    "tags",
    "minimumRequirement",
];

/// The two sorts and what GraphQL calls their parts.
struct Sort {
    node: &'static str,
    field: &'static str,
    discount: &'static str,
    result: &'static str,
    argument: &'static str,
}

const CODE: Sort = Sort {
    node: "DiscountCodeNode",
    field: "codeDiscount",
    discount: "DiscountCodeBasic",
    result: "codeDiscountNode",
    argument: "basicCodeDiscount",
};
const AUTOMATIC: Sort = Sort {
    node: "DiscountAutomaticNode",
    field: "automaticDiscount",
    discount: "DiscountAutomaticBasic",
    result: "automaticDiscountNode",
    argument: "automaticBasicDiscount",
};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "discountCodeBasicCreate" | "discountCodeBasicUpdate" => write(shop, call, &CODE),
        "discountAutomaticBasicCreate" | "discountAutomaticBasicUpdate" => {
            write(shop, call, &AUTOMATIC)
        }
        "discountCodeActivate" => Ok(switch(shop, call, &CODE, "ACTIVE")),
        "discountCodeDeactivate" => Ok(switch(shop, call, &CODE, "EXPIRED")),
        "discountAutomaticActivate" => Ok(switch(shop, call, &AUTOMATIC, "ACTIVE")),
        "discountAutomaticDeactivate" => Ok(switch(shop, call, &AUTOMATIC, "EXPIRED")),
        "discountCodeDelete" => Ok(delete(shop, call, &CODE, "deletedCodeDiscountId")),
        "discountAutomaticDelete" => {
            Ok(delete(shop, call, &AUTOMATIC, "deletedAutomaticDiscountId"))
        }
        _ => return None,
    })
}

fn find(shop: &Shop, call: &Call<'_>, sort: &Sort) -> Option<Gid> {
    call.args.gid("id").filter(|gid| gid.type_name() == sort.node && shop.store.get(*gid).is_some())
}

fn missing(result: &str) -> Value {
    let error = UserError::new(&["id"], "Discount does not exist");
    answer(result, Value::Null, vec![error.code("INVALID")])
}

fn write(shop: &mut Shop, call: &Call<'_>, sort: &Sort) -> Outcome<Value> {
    let given = call.args.get(sort.argument).cloned().unwrap_or_default();
    let input = Input::of("DiscountInput", &given, &FIELDS)?;
    if input.get("minimumRequirement").is_some() {
        return Err(not_simulated("minimumRequirement of a discount"));
    }
    let known = if call.args.has("id") {
        match find(shop, call, sort) {
            Some(gid) => Some(gid),
            None => return Ok(missing(sort.result)),
        }
    } else {
        None
    };
    if known.is_none() && (input.text("title").is_none() || input.text("startsAt").is_none()) {
        let error = UserError::new(&[sort.argument, "title"], "Title and start can't be blank");
        return Ok(answer(sort.result, Value::Null, vec![error.code("BLANK")]));
    }
    if let Some(code) = input.text("code")
        && holder(shop, code).is_some_and(|other| Some(other) != known)
    {
        let message = "Code must be unique. Please try a different code.";
        let error = UserError::new(&[sort.argument, "code"], message).code("TAKEN");
        return Ok(answer(sort.result, Value::Null, vec![error]));
    }
    let gets = input.get("customerGets").map(customer_gets).transpose()?;
    let gid = known.unwrap_or_else(|| shop.store.fresh(sort.node));
    let mut state = known
        .and_then(|gid| shop.store.get(gid))
        .map_or_else(|| blank(shop, gid, sort), |state| (*state).clone());
    let code_id = shop.store.fresh("DiscountRedeemCode");
    let now = shop.now_text();
    let held = &mut state[sort.field];
    for field in ["title", "startsAt", "endsAt", "usageLimit", "appliesOncePerCustomer", "tags"] {
        input.copy(held, &[(field, field)]);
    }
    if let Some(combines) = input.get("combinesWith") {
        for field in ["orderDiscounts", "productDiscounts", "shippingDiscounts"] {
            held["combinesWith"][field] = json!(combines[field] == true);
        }
    }
    if let Some(gets) = gets {
        held["customerGets"] = gets;
    }
    if let Some(code) = input.text("code") {
        held["codes"] = json!([{
            "__typename": "DiscountRedeemCode", "id": code_id.to_string(), "code": code,
            "asyncUsageCount": 0,
        }]);
    }
    held["updatedAt"] = json!(now);
    shop.put(gid, state);
    shop.announce(if known.is_some() { "discounts/update" } else { "discounts/create" }, gid);
    Ok(answer(sort.result, link(gid), vec![]))
}

/// Who has a code, whatever its case.
fn holder(shop: &Shop, code: &str) -> Option<Gid> {
    let code = code.to_lowercase();
    let found = shop.store.live("DiscountCodeNode").find(|(_, node)| {
        let codes = node["codeDiscount"]["codes"].as_array().into_iter().flatten();
        codes
            .into_iter()
            .any(|known| known["code"].as_str().is_some_and(|known| known.to_lowercase() == code))
    });
    found.map(|(gid, _)| gid)
}

fn blank(shop: &Shop, gid: Gid, sort: &Sort) -> Value {
    let now = shop.now_text();
    let mut discount = json!({
        "__typename": sort.discount, "title": "", "status": "ACTIVE", "startsAt": now,
        "endsAt": null, "summary": "", "shortSummary": "", "tags": [], "asyncUsageCount": 0,
        "discountClasses": ["ORDER"], "discountClass": "ORDER", "minimumRequirement": null,
        "combinesWith": {
            "__typename": "DiscountCombinesWith", "orderDiscounts": false,
            "productDiscounts": false, "shippingDiscounts": false,
            "productDiscountsWithTagsOnSameCartLine": null,
        },
        "context": { "__typename": "DiscountBuyerSelectionAll", "all": "ALL" },
        "customerGets": null, "recurringCycleLimit": 1, "createdAt": now, "updatedAt": now,
    });
    if sort.node == "DiscountCodeNode" {
        discount["usageLimit"] = Value::Null;
        discount["appliesOncePerCustomer"] = json!(false);
        discount["codes"] = json!([]);
        discount["codesCount"] = json!({ "count": 1, "precision": "EXACT" });
        discount["hasTimelineComment"] = json!(false);
        discount["totalSales"] = Value::Null;
        discount["shareableUrls"] = json!([]);
        discount["customerSelection"] =
            json!({ "__typename": "DiscountCustomerAll", "allCustomers": true });
    }
    json!({ "__typename": sort.node, "id": gid.to_string(), sort.field: discount, "metafields": [] })
}

fn customer_gets(given: &Value) -> Outcome<Value> {
    let value = if let Some(percentage) = given["value"]["percentage"].as_f64() {
        json!({ "__typename": "DiscountPercentage", "percentage": percentage })
    } else if given["value"]["discountAmount"].is_object() {
        let amount = &given["value"]["discountAmount"];
        json!({
            "__typename": "DiscountAmount",
            "appliesOnEachItem": amount["appliesOnEachItem"] == true,
            "amount": {
                "__typename": "MoneyV2", "currencyCode": "USD",
                "amount": amount["amount"].as_str().map_or_else(|| amount["amount"].to_string(), str::to_owned),
            },
        })
    } else {
        return Err(not_simulated("the value of a discount"));
    };
    let chosen = |list: &Value| -> Value {
        let ids = list.as_array().into_iter().flatten();
        ids.filter_map(|id| id.as_str()?.parse().ok()).map(link).collect()
    };
    let items = &given["items"];
    let items = if items["all"] == true {
        json!({ "__typename": "AllDiscountItems", "allItems": true })
    } else if items["products"].is_object() {
        json!({
            "__typename": "DiscountProducts", "products": chosen(&items["products"]["productsToAdd"]),
            "productVariants": chosen(&items["products"]["productVariantsToAdd"]),
        })
    } else if items["collections"].is_object() {
        json!({ "__typename": "DiscountCollections", "collections": chosen(&items["collections"]["add"]) })
    } else {
        return Err(not_simulated("the items of a discount"));
    };
    Ok(json!({
        "__typename": "DiscountCustomerGets", "value": value, "items": items,
        "appliesOnOneTimePurchase": true, "appliesOnSubscription": false,
    }))
}

fn switch(shop: &mut Shop, call: &Call<'_>, sort: &Sort, status: &str) -> Value {
    let Some(gid) = find(shop, call, sort) else { return missing(sort.result) };
    let now = shop.now_text();
    shop.update(gid, |state| {
        state[sort.field]["status"] = json!(status);
        state[sort.field]["updatedAt"] = json!(now);
        state[sort.field]["endsAt"] = if status == "EXPIRED" { json!(now) } else { Value::Null };
    });
    shop.announce("discounts/update", gid);
    answer(sort.result, link(gid), vec![])
}

fn delete(shop: &mut Shop, call: &Call<'_>, sort: &Sort, result: &str) -> Value {
    let Some(gid) = find(shop, call, sort) else { return missing(result) };
    shop.remove(gid);
    shop.announce("discounts/delete", gid);
    answer(result, json!(gid.to_string()), vec![])
}
