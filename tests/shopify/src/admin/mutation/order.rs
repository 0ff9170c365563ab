//! Orders: imported, annotated, cancelled and deleted; never brought back as they were.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer, metafield, sorted_tags};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::{Line, Sale, cents};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "orderCreate" => create(shop, call),
        "orderUpdate" => update(shop, call),
        "orderDelete" => Ok(delete(shop, call)),
        "orderCancel" => Ok(cancel(shop, call)),
        _ => return None,
    })
}

const FIELDS: [&str; 17] = [
    "lineItems",
    "customer",
    "email",
    "phone",
    "note",
    "name",
    "processedAt",
    "tags",
    "customAttributes",
    "billingAddress",
    "shippingAddress",
    "test",
    "currency",
    "financialStatus",
    "sourceName",
    "sourceIdentifier",
    "poNumber",
];

/// Takes what an import brings; number, payments and history are new.
fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("order").cloned().unwrap_or_default();
    let input = Input::of("OrderCreateOrderInput", &given, &FIELDS)?;
    let options = call.args.get("options").cloned().unwrap_or_default();
    let bypass = matches!(options["inventoryBehaviour"].as_str(), None | Some("BYPASS"));
    if !bypass {
        return Err(not_simulated("orderCreate that takes from the stock"));
    }
    let lines: Vec<Line> = input
        .list("lineItems")
        .unwrap_or_default()
        .iter()
        .filter_map(|line| self::line(shop, line))
        .collect();
    if lines.is_empty() {
        let error = UserError::new(&["order", "lineItems"], "Line items can't be blank");
        return Ok(answer("order", Value::Null, vec![error.code("INVALID")]));
    }
    let customer =
        input.get("customer").and_then(|c| c["toAssociate"]["id"].as_str()?.parse().ok());
    let id = shop.store.fresh("Order");
    let now = shop.now_text();
    let sale = Sale {
        id,
        number: id.n().unwrap_or_default() + 1,
        customer,
        email: input.text("email").map(str::to_owned),
        address: Value::Null,
        lines,
        shipping: shop.store.fresh("ShippingLine"),
        transaction: shop.store.fresh("OrderTransaction"),
        at: now,
    };
    let token = shop.token();
    let mut state = sale.document(&token);
    let pairs = [
        ("note", "note"),
        ("name", "name"),
        ("processedAt", "processedAt"),
        ("phone", "phone"),
        ("test", "test"),
        ("sourceName", "sourceName"),
        ("sourceIdentifier", "sourceIdentifier"),
        ("poNumber", "poNumber"),
        ("customAttributes", "customAttributes"),
        ("financialStatus", "displayFinancialStatus"),
    ];
    input.copy(&mut state, &pairs);
    if let Some(tags) = input.list("tags") {
        state["tags"] = json!(sorted_tags(tags));
    }
    for field in ["billingAddress", "shippingAddress"] {
        if let Some(address) = input.get(field) {
            state[field] = super::customer::address_of(address);
        }
    }
    shop.put(id, state);
    shop.announce("orders/create", id);
    Ok(answer("order", link(id), vec![]))
}

fn line(shop: &mut Shop, given: &Value) -> Option<Line> {
    let variant = given["variantId"].as_str().and_then(|id| id.parse::<Gid>().ok());
    let bought = variant.and_then(|gid| shop.store.get(gid));
    let product = bought.as_ref().and_then(|bought| target(&bought["product"]));
    let named = product.and_then(|product| shop.store.get(product));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let price = given["priceSet"]["shopMoney"]["amount"].as_str().map(str::to_owned);
    let price = price.or_else(|| text(bought.as_ref().map(|bought| &bought["price"])));
    Some(Line {
        id: shop.store.fresh("LineItem"),
        product,
        variant: variant.filter(|_| bought.is_some()),
        title: text(given.get("title")).or_else(|| text(named.as_ref().map(|n| &n["title"])))?,
        variant_title: text(bought.as_ref().map(|bought| &bought["title"])),
        sku: text(given.get("sku")).or_else(|| text(bought.as_ref().map(|b| &b["sku"]))),
        vendor: text(named.as_ref().map(|named| &named["vendor"])),
        quantity: given["quantity"].as_u64()?,
        unit_cents: price.as_deref().and_then(cents).unwrap_or_default(),
    })
}

fn missing(result: &str, field: &str) -> Value {
    let error = UserError::new(&[field], "Order does not exist").code("NOT_FOUND");
    answer(result, Value::Null, vec![error])
}

fn find(shop: &Shop, id: Option<&str>) -> Option<Gid> {
    let gid = id.and_then(|id| id.parse::<Gid>().ok());
    gid.filter(|gid| gid.type_name() == "Order" && shop.store.get(*gid).is_some())
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = [
        "id",
        "note",
        "tags",
        "email",
        "phone",
        "poNumber",
        "customAttributes",
        "shippingAddress",
        "metafields",
    ];
    let input = Input::of("OrderInput", &given, &fields)?;
    let Some(gid) = find(shop, input.text("id")) else { return Ok(missing("order", "id")) };
    if let Some(metafields) = input.list("metafields")
        && let Err(error) = metafield::write_owned(shop, gid, metafields)?
    {
        return Ok(answer("order", Value::Null, vec![error]));
    }
    shop.edit_order(gid, |state| {
        for field in ["note", "email", "phone", "poNumber", "customAttributes"] {
            input.copy(state, &[(field, field)]);
        }
        if let Some(tags) = input.list("tags") {
            state["tags"] = json!(sorted_tags(tags));
        }
        if let Some(address) = input.get("shippingAddress") {
            state["shippingAddress"] = super::customer::address_of(address);
        }
    });
    Ok(answer("order", link(gid), vec![]))
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    match find(shop, call.args.text("orderId")) {
        Some(gid) => {
            shop.delete_order(gid);
            answer("deletedId", json!(gid.to_string()), vec![])
        }
        None => missing("deletedId", "orderId"),
    }
}

fn cancel(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = find(shop, call.args.text("orderId"));
    let mut done = match found {
        Some(gid) => {
            shop.cancel_order(gid, call.args.text("reason").unwrap_or("OTHER"));
            answer("job", super::job(shop), vec![])
        }
        None => missing("job", "orderId"),
    };
    done["orderCancelUserErrors"] = done["userErrors"].clone();
    done
}
