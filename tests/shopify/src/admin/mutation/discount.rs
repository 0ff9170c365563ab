//! Discounts by code and automatic: basic ones, buy X get Y, free shipping. Those that apps calculate
//! are not modelled.

mod terms;

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

const FIELDS: [&str; 20] = [
    "title",
    "code",
    "startsAt",
    "endsAt",
    "usageLimit",
    "usesPerOrderLimit",
    "appliesOncePerCustomer",
    "appliesOnOneTimePurchase",
    "appliesOnSubscription",
    "combinesWith",
    "customerBuys",
    "customerGets",
    "context",
    "destination",
    "maximumShippingPrice",
    "recurringCycleLimit",
    "tags",
    "minimumRequirement",
    // The schema's defaults.
    "functionHandle",
    "metafields",
];

/// One sort and what GraphQL calls its parts.
struct Sort {
    node: &'static str,
    field: &'static str,
    discount: &'static str,
    result: &'static str,
    argument: &'static str,
}

const fn code(discount: &'static str, argument: &'static str) -> Sort {
    let (node, field, result) = ("DiscountCodeNode", "codeDiscount", "codeDiscountNode");
    Sort { node, field, discount, result, argument }
}

const fn automatic(discount: &'static str, argument: &'static str) -> Sort {
    let (node, field) = ("DiscountAutomaticNode", "automaticDiscount");
    Sort { node, field, discount, result: "automaticDiscountNode", argument }
}

const CODE: Sort = code("DiscountCodeBasic", "basicCodeDiscount");
const AUTOMATIC: Sort = automatic("DiscountAutomaticBasic", "automaticBasicDiscount");

const SORTS: [Sort; 6] = [
    CODE,
    code("DiscountCodeBxgy", "bxgyCodeDiscount"),
    code("DiscountCodeFreeShipping", "freeShippingCodeDiscount"),
    AUTOMATIC,
    automatic("DiscountAutomaticBxgy", "automaticBxgyDiscount"),
    automatic("DiscountAutomaticFreeShipping", "freeShippingAutomaticDiscount"),
];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    let written = SORTS.iter().find(|sort| {
        let rest = call.name.strip_prefix(&sort.discount[..1].to_lowercase());
        let rest = rest.and_then(|rest| rest.strip_prefix(&sort.discount[1..]));
        rest.is_some_and(|verb| verb == "Create" || verb == "Update")
    });
    if let Some(sort) = written {
        return Some(write(shop, call, sort));
    }
    Some(match call.name {
        "discountCodeActivate" => Ok(switch(shop, call, &CODE, "ACTIVE")),
        "discountCodeDeactivate" => Ok(switch(shop, call, &CODE, "EXPIRED")),
        "discountAutomaticActivate" => Ok(switch(shop, call, &AUTOMATIC, "ACTIVE")),
        "discountAutomaticDeactivate" => Ok(switch(shop, call, &AUTOMATIC, "EXPIRED")),
        "discountCodeDelete" => Ok(delete(shop, call, &CODE, "deletedCodeDiscountId")),
        "discountAutomaticDelete" => {
            Ok(delete(shop, call, &AUTOMATIC, "deletedAutomaticDiscountId"))
        }
        "discountRedeemCodeBulkAdd" => Ok(add_codes(shop, call)),
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
    let gid = known.unwrap_or_else(|| shop.store.fresh(sort.node));
    let mut state = known
        .and_then(|gid| shop.store.get(gid))
        .map_or_else(|| blank(shop, gid, sort), |state| (*state).clone());
    let code_id = shop.store.fresh("DiscountRedeemCode");
    let now = shop.now_text();
    let held = &mut state[sort.field];
    if held["__typename"] != sort.discount {
        let error = UserError::new(&["id"], "Discount is of another type").code("INVALID");
        return Ok(answer(sort.result, Value::Null, vec![error]));
    }
    let mut sides = ["customerGets", "customerBuys"].into_iter();
    if let Some(side) =
        sides.find(|side| terms::is_mixed(&held[*side]["items"], &given[*side]["items"]))
    {
        let message = "Cannot entitle collections in combination with product variants or products";
        let error = UserError::new(&[sort.argument, side, "items", "collections", "add"], message);
        return Ok(answer(sort.result, Value::Null, vec![error.code("CONFLICT")]));
    }
    let plain = [
        "title",
        "startsAt",
        "endsAt",
        "usageLimit",
        "appliesOncePerCustomer",
        "appliesOnOneTimePurchase",
        "appliesOnSubscription",
        "recurringCycleLimit",
        "tags",
    ];
    for field in plain {
        input.copy(held, &[(field, field)]);
    }
    terms::apply(held, &given)?;
    if let Some(code) = input.text("code") {
        let codes = held["codes"].as_array().map(Vec::len).unwrap_or_default();
        if codes > 1 {
            return Err(not_simulated("another code for a discount of several"));
        }
        held["codes"] = json!([redeem_code(code_id, code)]);
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
        "customerGets": null, "customerBuys": null, "usesPerOrderLimit": null,
        "appliesOnOneTimePurchase": true, "appliesOnSubscription": false,
        "destinationSelection": { "__typename": "DiscountCountryAll", "allCountries": true },
        "maximumShippingPrice": null, "recurringCycleLimit": 1, "createdAt": now,
        "updatedAt": now,
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

fn redeem_code(id: Gid, code: &str) -> Value {
    json!({
        "__typename": "DiscountRedeemCode", "id": id.to_string(), "code": code,
        "asyncUsageCount": 0, "createdBy": null,
    })
}

/// Further codes. One that a discount has already fails for itself.
fn add_codes(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "bulkCreation";
    let found = call.args.gid("discountId").filter(|gid| gid.type_name() == CODE.node);
    let Some((gid, node)) = found.and_then(|gid| Some((gid, shop.store.get(gid)?))) else {
        let error = UserError::new(&["discountId"], "Discount does not exist");
        return answer(result, Value::Null, vec![error.code("INVALID")]);
    };
    let given = call.args.get("codes").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut state = (*node).clone();
    let mut failed = 0;
    for code in given.iter().filter_map(|given| given["code"].as_str()) {
        let codes = state["codeDiscount"]["codes"].as_array().cloned().unwrap_or_default();
        let own = codes.iter().any(|known| known["code"] == code);
        if own || holder(shop, code).is_some() {
            failed += 1;
            continue;
        }
        let id = shop.store.fresh("DiscountRedeemCode");
        if let Some(codes) = state["codeDiscount"]["codes"].as_array_mut() {
            codes.push(redeem_code(id, code));
            let count = codes.len();
            state["codeDiscount"]["codesCount"]["count"] = json!(count);
        }
    }
    shop.put(gid, state);
    shop.announce("discounts/update", gid);
    let run = shop.store.fresh("DiscountRedeemCodeBulkCreation");
    let now = shop.now_text();
    shop.put(
        run,
        json!({
            "__typename": "DiscountRedeemCodeBulkCreation", "id": run.to_string(), "done": true,
            "codesCount": given.len(), "failedCount": failed, "importedCount": given.len() - failed,
            "discountCode": link(gid), "createdAt": now,
        }),
    );
    answer(result, link(run), vec![])
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
