//! Draft orders: what somebody is offered and has not paid yet. One that comes back has a number of its
//! own, and its invoice is not sent by us.

use std::collections::BTreeMap;

use backstock_proto::ResourceId;
use backstock_proto::merge::{FieldPath, Step as At, get};
use serde_json::{Value, json};

use super::crud::{created, unless_refused};
use super::step::{Step, ask, delete, is_unknown, list, send, text};
use super::{Around, WriteError, Written, look, metafield, publication, twin};

mod input;

const SINCE: &str = include_str!("../graphql/draft_orders_since.graphql");
const CREATE: &str = include_str!("../graphql/draft_order_create.graphql");
const UPDATE: &str = include_str!("../graphql/draft_order_update.graphql");
const DELETE: &str = include_str!("../graphql/draft_order_delete.graphql");

/// Makes one draft order what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, DELETE, text(now, "id")).await,
        (Some(now), Some(want)) => {
            let mut want = present(around, now, want).await?;
            let parts = ("lineItems", input::is_same_line);
            let taken = twin::take_up(around, now, &mut want, parts).await;
            let ids = match bring(around, now, &want).await? {
                true => Some(lines(around, now, &want).await?),
                false => None,
            };
            Ok(twin::updated(ids.is_some(), ids.unwrap_or_default(), taken))
        }
        (None, Some(want)) => {
            if want["status"] == "COMPLETED" {
                return Err(WriteError::Unwritable(
                    "the draft became an order, and what counts is that order".into(),
                ));
            }
            let want = present(around, &Value::Null, want).await?;
            let gid = create(around, &want).await?;
            if want["status"] == "INVOICE_SENT" {
                around.note("its invoice is a new one: send it again from the draft".into());
            }
            if !want["reserveInventoryUntil"].is_null() {
                around.note("it reserves no stock: reserve that anew from the draft".into());
            }
            if want["metafields"].is_array() {
                let set = metafield::write(around, &gid, &Value::Null, &want["metafields"]).await;
                unless_refused(around, "some of its metafields", set)?;
            }
            let ids = lines(around, &json!({"id": gid}), &want).await?;
            Ok(created(gid, &want, ids))
        }
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "status" | "completedAt" | "invoiceSentAt" | "order" => {
            Some("a draft order's state follows from what happens to it")
        }
        "name" => Some("numbers of draft orders are given by Shopify"),
        "reserveInventoryUntil" => Some("stock is reserved anew by hand, from the draft order"),
        "currencyCode" | "taxesIncluded" => Some("the shop's own settings say that"),
        _ => None,
    }
}

/// By what a draft is recognised in another shop, since nothing names it: all that makes one like it.
pub(crate) fn likeness(state: &Value) -> Value {
    input::changed(&json!({}), state).into()
}

/// Whether a field follows from others: what it all comes to, and what a product says of itself.
pub(super) fn follows(path: &FieldPath, state: &Value) -> bool {
    const SUMS: [&str; 4] =
        ["subtotalPriceSet", "totalPriceSet", "totalShippingPriceSet", "totalTaxSet"];
    const OF_PRODUCTS: [&str; 12] = [
        "name",
        "title",
        "variantTitle",
        "sku",
        "vendor",
        "taxable",
        "requiresShipping",
        "isGiftCard",
        "originalUnitPriceSet",
        "product",
        "custom",
        "weight",
    ];
    let steps = path.steps();
    if SUMS.contains(&path.member()) || steps.contains(&At::Member("amountSet".into())) {
        return true;
    }
    let ("lineItems", Some(line), Some(At::Member(name))) =
        (path.member(), steps.get(1), steps.get(2))
    else {
        return false;
    };
    let line = FieldPath::root().then(&steps[0]).then(line);
    let custom = get(state, &line).is_some_and(|line| line["custom"] == true);
    match custom {
        true => matches!(name.as_str(), "name" | "variantTitle" | "vendor" | "isGiftCard"),
        false => OF_PRODUCTS.contains(&name.as_str()),
    }
}

/// A wanted state as far as what it refers to is in the shop: a line of a product that is gone is one
/// with the same title and price.
async fn present(around: &dyn Around, now: &Value, want: &Value) -> Result<Value, WriteError> {
    let mut want = want.clone();
    let of = |state: &Value| -> Vec<String> {
        let lines = list(state, "lineItems").iter().map(|line| text(&line["variant"], "id"));
        lines.filter(|id| !id.is_empty()).map(str::to_owned).collect()
    };
    let known = of(now);
    let buyer = input::buyer(&want);
    let mut new: Vec<String> = of(&want).into_iter().filter(|id| !known.contains(id)).collect();
    if input::buyer(now) != buyer {
        new.extend(input::ids(&buyer));
    }
    new.sort();
    new.dedup();
    let there = publication::there(around, &new).await?;
    let is_missing = |gid: &str| new.iter().any(|new| new == gid) && !there.contains(&gid.into());
    let mut gone = 0;
    for line in want["lineItems"].as_array_mut().into_iter().flatten() {
        let is_gone =
            line["custom"] != true && line["variant"]["id"].as_str().is_none_or(&is_missing);
        if is_gone {
            line["custom"] = true.into();
            line["variant"] = Value::Null;
            line["product"] = Value::Null;
            gone += 1;
        }
    }
    if gone > 0 {
        around.note(format!(
            "{gone} of its lines are of products that are not there any more: they have their title \
             and price, and no product"
        ));
    }
    if input::ids(&buyer).iter().any(|gid| is_missing(gid)) {
        around.note(
            "the customer or company that it was for is not there any more: restore that first, \
             then it"
                .into(),
        );
        if let Some(members) = want.as_object_mut() {
            members.remove("customer");
            members.remove("purchasingEntity");
        }
    }
    Ok(want)
}

/// Whether anything had to be written.
async fn bring(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let gid = text(now, "id");
    let input = input::changed(now, want);
    let mut written = !input.is_empty();
    if written {
        send(around, Step::setting(UPDATE, json!({"id": gid, "input": input}))).await?;
    }
    if want["metafields"].is_array() {
        written |= metafield::write(around, gid, &now["metafields"], &want["metafields"]).await?;
    }
    Ok(written)
}

/// Old gid → new gid of lines: they are given as a list, and are in its order.
async fn lines(
    around: &dyn Around,
    now: &Value,
    want: &Value,
) -> Result<BTreeMap<String, String>, WriteError> {
    if !input::lines_differ(now, want) {
        return Ok(BTreeMap::new());
    }
    let there = look::by_gid(around, "draft_order", text(now, "id")).await?;
    let pairs = list(want, "lineItems").iter().zip(list(&there, "lineItems"));
    let pairs = pairs.map(|(old, new)| (text(old, "id").to_owned(), text(new, "id").to_owned()));
    Ok(pairs.filter(|(old, new)| old != new).collect())
}

/// Makes the draft, or finds that an earlier try has made it.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = found(around, want).await? {
        return Ok(gid);
    }
    let input = input::changed(&json!({}), want);
    match send(around, Step::making(CREATE, json!({"input": input}))).await {
        Ok(payload) => Ok(text(&payload["draftOrder"], "id").to_owned()),
        Err(error) if is_unknown(&error) => found(around, want).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// A draft like this that was made since the job began. Nothing names a draft, and two may be alike in
/// everything.
async fn found(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let mut query = format!("created_at:>='{}'", look::earliest(around));
    if let Ok(customer) = ResourceId::parse(text(&want["customer"], "id")) {
        query.push_str(&format!(" customer_id:{customer}"));
    }
    let mut after = Value::Null;
    loop {
        let data = ask(around, SINCE, json!({"query": query, "after": after})).await?;
        let page = &data["draftOrders"];
        let since = list(page, "nodes").iter().filter(|draft| look::is_since(around, draft));
        for gid in since.map(|draft| text(draft, "id")) {
            if !around.may_be_ours(gid).await {
                continue;
            }
            let there = look::by_gid(around, "draft_order", gid).await?;
            if likeness(&there) == likeness(want) {
                return Ok(Some(gid.to_owned()));
            }
        }
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(None);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}
