//! Draft orders: what somebody is offered.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer, customer, failed, sorted_tags};
use crate::admin::session::Outcome;
use crate::catalog::{bag, cents};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

/// A draft has no more lines than this, and a tag no more letters.
const LINES_MAX: usize = 499;
const TAG_MAX: usize = 40;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "draftOrderCreate" => create(shop, call),
        "draftOrderUpdate" => update(shop, call),
        "draftOrderDelete" => Ok(delete(shop, call)),
        _ => return None,
    })
}

fn refused(field: &[&str], message: impl Into<String>) -> Value {
    failed("draftOrder", vec![UserError::new(field, message)])
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let gid = shop.store.fresh("DraftOrder");
    let now = shop.now_text();
    let number = gid.n().unwrap_or_default() + 1;
    let mut draft = json!({
        "__typename": "DraftOrder", "id": gid.to_string(), "name": format!("#D{number}"),
        "status": "OPEN", "completedAt": null, "invoiceSentAt": null, "invoiceUrl": null,
        "reserveInventoryUntil": null, "email": null, "phone": null, "note2": null,
        "poNumber": null, "tags": [], "taxExempt": false, "taxesIncluded": false,
        "currencyCode": "USD", "presentmentCurrencyCode": "USD", "discountCodes": [],
        "visibleToCustomer": false, "taxLines": [], "allowDiscountCodesInCheckout": false,
        "acceptAutomaticDiscounts": false, "purchasingEntity": null, "customer": null,
        "order": null, "customAttributes": [], "billingAddress": null, "shippingAddress": null,
        "appliedDiscount": null, "shippingLine": null, "lineItems": [], "metafields": [],
        "createdAt": now, "updatedAt": now,
    });
    if let Err(error) = apply(shop, &mut draft, &given)? {
        return Ok(failed("draftOrder", vec![error]));
    }
    shop.put(gid, draft);
    shop.announce("draft_orders/create", gid);
    Ok(answer("draftOrder", link(gid), vec![]))
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let gid = call.args.gid("id").filter(|gid| gid.type_name() == "DraftOrder");
    let Some(draft) = gid.and_then(|gid| shop.store.get(gid)) else {
        return Ok(refused(&["id"], "Draft order not found"));
    };
    if draft["status"] == "COMPLETED" {
        return Ok(refused(&["id"], "This order has been paid"));
    }
    let given = call.args.get("input").cloned().unwrap_or_default();
    let mut draft = (*draft).clone();
    if let Err(error) = apply(shop, &mut draft, &given)? {
        return Ok(failed("draftOrder", vec![error]));
    }
    draft["updatedAt"] = json!(shop.now_text());
    let gid = gid.unwrap_or_else(|| Gid::nth("DraftOrder", 0));
    shop.put(gid, draft);
    shop.announce("draft_orders/update", gid);
    Ok(answer("draftOrder", link(gid), vec![]))
}

const SAME: [(&str, &str); 12] = [
    ("email", "email"),
    ("phone", "phone"),
    ("note", "note2"),
    ("poNumber", "poNumber"),
    ("taxExempt", "taxExempt"),
    ("discountCodes", "discountCodes"),
    ("visibleToCustomer", "visibleToCustomer"),
    ("allowDiscountCodesInCheckout", "allowDiscountCodesInCheckout"),
    ("acceptAutomaticDiscounts", "acceptAutomaticDiscounts"),
    ("reserveInventoryUntil", "reserveInventoryUntil"),
    ("presentmentCurrencyCode", "presentmentCurrencyCode"),
    ("customAttributes", "customAttributes"),
];

/// Makes of a draft what an input asks for; nothing of it where any part cannot be.
fn apply(shop: &mut Shop, draft: &mut Value, given: &Value) -> Outcome<Result<(), UserError>> {
    let more = [
        "tags",
        "lineItems",
        "appliedDiscount",
        "shippingLine",
        "billingAddress",
        "shippingAddress",
        "purchasingEntity",
    ];
    let fields: Vec<&str> = SAME.iter().map(|(name, _)| *name).chain(more).collect();
    let input = Input::of("DraftOrderInput", given, &fields)?;
    let wrong = |field: &[&str], message: &str| Ok(Err(UserError::new(field, message)));
    if input.text("email").is_some_and(|email| !email.is_empty() && !email.contains('@')) {
        return wrong(&["email"], "Email is invalid");
    }
    let until = input.text("reserveInventoryUntil");
    let until = until.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    if until.is_some_and(|until| until <= shop.now()) {
        return wrong(&[], "Reserve until can't be in the past");
    }
    let tags = input.list("tags").unwrap_or_default();
    if tags.iter().any(|tag| tag.as_str().is_some_and(|tag| tag.chars().count() > TAG_MAX)) {
        let message = "Title Tag exceeds the maximum length of 40 characters";
        return wrong(&["tags"], message);
    }
    input.copy(draft, &SAME);
    if let Some(tags) = input.list("tags") {
        draft["tags"] = json!(sorted_tags(tags));
    }
    for side in ["billingAddress", "shippingAddress"] {
        match input.given(side) {
            Some(Value::Null) => draft[side] = Value::Null,
            Some(address) => draft[side] = customer::address_of(address),
            None => {}
        }
    }
    if let Some(entity) = input.get("purchasingEntity")
        && let Err(error) = buyer(shop, draft, entity)
    {
        return Ok(Err(error));
    }
    if let Some(discount) = input.given("appliedDiscount") {
        draft["appliedDiscount"] = applied(discount);
    }
    if let Some(shipping) = input.given("shippingLine") {
        draft["shippingLine"] = match shipping.is_null() {
            true => Value::Null,
            false => json!({
                "__typename": "ShippingLine", "id": null, "title": shipping["title"],
                "custom": true, "originalPriceSet": bag(money(&shipping["priceWithCurrency"])),
            }),
        };
    }
    if let Some(lines) = input.list("lineItems") {
        match self::lines(shop, lines)? {
            Ok(lines) => draft["lineItems"] = json!(lines),
            Err(error) => return Ok(Err(error)),
        }
    }
    if draft["lineItems"] == json!([]) {
        return wrong(&[], "Add at least 1 product");
    }
    reckon(draft);
    Ok(Ok(()))
}

fn buyer(shop: &Shop, draft: &mut Value, entity: &Value) -> Result<(), UserError> {
    let of = |id: &Value, type_name: &str| {
        let gid = id.as_str().and_then(|id| id.parse::<Gid>().ok());
        gid.filter(|gid| gid.type_name() == type_name && shop.store.get(*gid).is_some())
    };
    let missing = |what: &str| UserError::new(&["purchasingEntity"], format!("{what} not found"));
    let company = &entity["purchasingCompany"];
    if !company.is_object() {
        let customer = of(&entity["customerId"], "Customer").ok_or_else(|| missing("Customer"))?;
        draft["customer"] = link(customer);
        draft["purchasingEntity"] = link(customer);
        return Ok(());
    }
    let named = |field: &str, type_name: &str| {
        of(&company[field], type_name).ok_or_else(|| missing(type_name))
    };
    let contact = named("companyContactId", "CompanyContact")?;
    draft["purchasingEntity"] = json!({
        "__typename": "PurchasingCompany", "company": link(named("companyId", "Company")?),
        "contact": link(contact),
        "location": link(named("companyLocationId", "CompanyLocation")?),
    });
    draft["customer"] =
        shop.store.get(contact).map(|contact| contact["customer"].clone()).unwrap_or_default();
    Ok(())
}

/// Lines are a list: what is given takes the place of all that were there.
fn lines(shop: &mut Shop, given: &[Value]) -> Outcome<Result<Vec<Value>, UserError>> {
    let wrong = |at: usize, field: &str, message: &str| {
        Ok(Err(UserError::new(&["lineItems", &at.to_string(), field], message)))
    };
    if given.len() > LINES_MAX {
        return wrong(0, "", "Line items can't exceed 499");
    }
    let mut lines = Vec::new();
    for (at, given) in given.iter().enumerate() {
        let fields = [
            "variantId",
            "quantity",
            "title",
            "sku",
            "taxable",
            "requiresShipping",
            "weight",
            "originalUnitPriceWithCurrency",
            "priceOverride",
            "customAttributes",
            "appliedDiscount",
        ];
        let input = Input::of("DraftOrderLineItemInput", given, &fields)?;
        let quantity = given["quantity"].as_u64().unwrap_or_default();
        if quantity == 0 {
            return wrong(at, "quantity", "Quantity must be greater than or equal to 1");
        }
        let mut line = json!({
            "__typename": "DraftOrderLineItem", "quantity": quantity, "isGiftCard": false,
            "id": shop.store.fresh("DraftOrderLineItem").to_string(), "taxLines": [],
            "customAttributes": input.list("customAttributes").unwrap_or_default(),
            "appliedDiscount": applied(&given["appliedDiscount"]), "priceOverride": null,
        });
        let (of, price) = match input.text("variantId") {
            Some(id) => {
                let variant =
                    id.parse::<Gid>().ok().and_then(|gid| Some((gid, shop.store.get(gid)?)));
                let Some((gid, variant)) = variant else {
                    return wrong(at, "variantId", "Product with ID is no longer available.");
                };
                let product = target(&variant["product"]).and_then(|gid| shop.store.get(gid));
                let product = product.unwrap_or_default();
                let price = variant["price"].as_str().and_then(cents).unwrap_or_default();
                let of = json!({
                    "custom": false, "name": product["title"], "title": product["title"],
                    "variantTitle": variant["title"], "sku": variant["sku"],
                    "vendor": product["vendor"], "taxable": variant["taxable"],
                    "requiresShipping": true, "product": variant["product"], "variant": link(gid),
                    "weight": weight(&json!({"unit": "GRAMS", "value": 400.0})),
                });
                (of, price)
            }
            None => {
                let Some(title) = input.text("title").filter(|title| !title.trim().is_empty())
                else {
                    return wrong(at, "title", "Merchandise title is empty.");
                };
                let of = json!({
                    "custom": true, "name": title, "title": title, "variantTitle": null,
                    "sku": given["sku"], "vendor": null,
                    "taxable": given["taxable"].as_bool().unwrap_or(true),
                    "requiresShipping": given["requiresShipping"].as_bool().unwrap_or(true),
                    "product": null, "variant": null, "weight": weight(&given["weight"]),
                });
                (of, money(&given["originalUnitPriceWithCurrency"]))
            }
        };
        if let (Value::Object(line), Value::Object(of)) = (&mut line, of) {
            line.extend(of);
        }
        let agreed = input.get("priceOverride");
        if let Some(agreed) = agreed {
            line["priceOverride"] = bag(money(agreed))["presentmentMoney"].clone();
        }
        line["originalUnitPriceSet"] = bag(agreed.map_or(price, money));
        lines.push(line);
    }
    Ok(Ok(lines))
}

fn weight(given: &Value) -> Value {
    match given.is_object() {
        true => super::variant::weight(given),
        false => Value::Null,
    }
}

fn applied(given: &Value) -> Value {
    if given.is_null() {
        return Value::Null;
    }
    json!({
        "__typename": "DraftOrderAppliedDiscount", "title": given["title"],
        "description": given["description"].as_str().unwrap_or_default(),
        "value": given["value"], "valueType": given["valueType"], "amountSet": bag(0),
    })
}

fn money(given: &Value) -> u64 {
    let amount =
        given["amount"].as_str().map_or_else(|| given["amount"].to_string(), str::to_owned);
    cents(&amount).unwrap_or_default()
}

/// What a discount takes off an amount, which is noted beside it.
fn take_off(discount: &mut Value, from: u64) -> u64 {
    let value = discount["value"].as_f64().unwrap_or_default();
    let off = match discount["valueType"] == "PERCENTAGE" {
        true => from as f64 * value / 100.0,
        false => value * 100.0,
    };
    let off = (off.round().max(0.0) as u64).min(from);
    discount["amountSet"] = bag(off);
    off
}

/// Works out what a draft comes to.
fn reckon(draft: &mut Value) {
    let price =
        |bag: &Value| bag["shopMoney"]["amount"].as_str().and_then(cents).unwrap_or_default();
    let mut subtotal = 0;
    for line in draft["lineItems"].as_array_mut().into_iter().flatten() {
        let quantity = line["quantity"].as_u64().unwrap_or_default();
        let whole = price(&line["originalUnitPriceSet"]) * quantity;
        let off = match line["appliedDiscount"].is_null() {
            true => 0,
            false => take_off(&mut line["appliedDiscount"], whole),
        };
        subtotal += whole - off;
    }
    if !draft["appliedDiscount"].is_null() {
        subtotal -= take_off(&mut draft["appliedDiscount"], subtotal);
    }
    let shipping = price(&draft["shippingLine"]["originalPriceSet"]);
    draft["subtotalPriceSet"] = bag(subtotal);
    draft["totalShippingPriceSet"] = bag(shipping);
    draft["totalTaxSet"] = bag(0);
    draft["totalPriceSet"] = bag(subtotal + shipping);
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let id = call.args.get("input").and_then(|input| input["id"].as_str()?.parse::<Gid>().ok());
    let found = id.filter(|gid| gid.type_name() == "DraftOrder" && shop.store.get(*gid).is_some());
    let Some(gid) = found else {
        return failed("deletedId", vec![UserError::new(&["id"], "Draft order does not exist")]);
    };
    shop.remove(gid);
    shop.announce("draft_orders/delete", gid);
    answer("deletedId", json!(gid.to_string()), vec![])
}
