//! Gift cards. The code is said once, when the card is made; a deactivated card stays so.

use serde_json::{Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::Outcome;
use crate::catalog::{cents, cents_to_decimal};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "giftCardCreate" => create(shop, call),
        "giftCardUpdate" => update(shop, call),
        "giftCardDeactivate" => Ok(deactivate(shop, call)),
        _ => return None,
    })
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = ["code", "customerId", "expiresOn", "initialValue", "note", "templateSuffix"];
    let input = Input::of("GiftCardCreateInput", &given, &fields)?;
    let refuse = |field: &str, message: &str, code: &str| {
        let error = UserError::new(&["input", field], message).code(code);
        let mut refusal = answer("giftCard", Value::Null, vec![error]);
        refusal["giftCardCode"] = Value::Null;
        Ok(refusal)
    };
    let code = input.text("code").map_or_else(|| shop.token()[..16].to_owned(), str::to_lowercase);
    if !(8..=20).contains(&code.len()) || !code.chars().all(|c| c.is_ascii_alphanumeric()) {
        return refuse("code", "Code must be 8 to 20 letters and digits", "INVALID");
    }
    if shop.store.live("GiftCard").any(|(_, card)| card["_code"] == *code) {
        return refuse("code", "Code has already been taken", "TAKEN");
    }
    let value =
        input.get("initialValue").map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let Some(value) = value.as_deref().and_then(cents).filter(|value| *value > 0) else {
        return refuse("initialValue", "Initial value must be greater than 0", "GREATER_THAN");
    };
    let gid = put(shop, &code, value, &given);
    let mut done = answer("giftCard", link(gid), vec![]);
    done["giftCardCode"] = json!(code);
    Ok(done)
}

/// Writes a new card.
pub(crate) fn put(shop: &mut Shop, code: &str, value: u64, given: &Value) -> Gid {
    let gid = shop.store.fresh("GiftCard");
    let now = shop.now_text();
    let money = json!({
        "__typename": "MoneyV2", "amount": cents_to_decimal(value), "currencyCode": "USD",
    });
    let last = &code[code.len() - 4..];
    shop.put(gid, json!({
        "__typename": "GiftCard", "id": gid.to_string(), "balance": money, "initialValue": money,
        "enabled": true, "deactivatedAt": null, "expiresOn": given["expiresOn"],
        "lastCharacters": last, "maskedCode": format!("•••• •••• •••• {last}"),
        "note": given["note"], "templateSuffix": given["templateSuffix"],
        "customer": given["customerId"].as_str().and_then(|id| id.parse().ok()).map(link),
        "order": null, "lineItem": null, "recipientAttributes": null, "transactions": [],
        "isRedeemable": true, "_code": code, "createdAt": now, "updatedAt": now,
    }));
    gid
}

fn find(shop: &Shop, call: &Call<'_>) -> Option<Gid> {
    call.args
        .gid("id")
        .filter(|gid| gid.type_name() == "GiftCard" && shop.store.get(*gid).is_some())
}

fn missing() -> Value {
    let error = UserError::new(&["id"], "The gift card could not be found.");
    answer("giftCard", Value::Null, vec![error.code("GIFT_CARD_NOT_FOUND")])
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = find(shop, call) else { return Ok(missing()) };
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = ["note", "expiresOn", "templateSuffix"];
    let input = Input::of("GiftCardUpdateInput", &given, &fields)?;
    shop.update(gid, |state| input.copy(state, &fields.map(|field| (field, field))));
    Ok(answer("giftCard", link(gid), vec![]))
}

fn deactivate(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = find(shop, call) else { return missing() };
    let now = shop.now_text();
    shop.update(gid, |state| {
        state["enabled"] = json!(false);
        state["isRedeemable"] = json!(false);
        if state["deactivatedAt"].is_null() {
            state["deactivatedAt"] = json!(now);
        }
    });
    answer("giftCard", link(gid), vec![])
}
