//! How much of an item is at a location. Amounts are written only where the wanted state has any: they
//! move with every sale, so an old one is mostly wrong. Of what is gone the last one is not.

use backstock_proto::merge::{FieldPath, Step};
use serde_json::{Value, json};

use super::step::{self, ask, list, send, text};
use super::{Around, WriteError, Written};

const LEVEL: &str = include_str!("graphql/inventory_level.graphql");
const ACTIVATE: &str = include_str!("graphql/inventory_activate.graphql");
const DEACTIVATE: &str = include_str!("graphql/inventory_deactivate.graphql");
const SET: &str = include_str!("graphql/inventory_set_quantities.graphql");

/// The amount that is written. What is on hand follows from it.
const WRITTEN: &str = "available";

/// Brings the level of an item at a location from one state to another.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => {
            send(around, step::Step::setting(DEACTIVATE, json!({"id": now["id"]}))).await?;
            Ok(Written::Deleted)
        }
        (Some(now), Some(want)) => match set(around, now, want).await? {
            true => Ok(Written::Updated { ids: [].into() }),
            false => Ok(Written::Unchanged),
        },
        (None, Some(want)) => connect(around, want).await,
    }
}

/// Why a field of an inventory level cannot be written, if it cannot.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match (path.member(), path.steps().get(1)) {
        ("quantities", Some(Step::Element(name))) if name == "on_hand" => {
            Some("what is on hand follows from what is available and what is set aside")
        }
        ("quantities", Some(Step::Element(name))) if name == "committed" => {
            Some("what is committed follows from open orders")
        }
        ("quantities", Some(Step::Element(name))) if name == "incoming" => {
            Some("what is incoming follows from transfers and purchase orders")
        }
        ("quantities", Some(Step::Element(name))) if name != WRITTEN => {
            Some("stock that is set aside is moved by hand or by the app that set it aside")
        }
        ("isActive", _) => Some("stock the item at the location by hand, or stop doing so"),
        _ => None,
    }
}

/// Stocks the item at the location, with the amount, or sets that where it is stocked already.
async fn connect(around: &dyn Around, want: &Value) -> Result<Written, WriteError> {
    let item = around.gid_now(text(&want["item"], "id"));
    let location = around.gid_now(text(&want["location"], "id"));
    let found = || async {
        let data = ask(around, LEVEL, json!({"item": item, "location": location})).await?;
        let missing = [("inventoryItem", &item), ("location", &location)];
        if let Some((_, missing)) = missing.into_iter().find(|(name, _)| data[*name].is_null()) {
            return Err(WriteError::Missing(format!(
                "{missing} is not there any more: restore the product or the location first"
            )));
        }
        let level = data["inventoryItem"]["inventoryLevel"].clone();
        Ok::<Option<Value>, WriteError>(level.is_object().then_some(level))
    };
    let mut level = found().await?;
    if level.is_none() {
        // What was sold beyond what there was is set afterwards.
        let available = amount(want).filter(|amount| *amount >= 0);
        let key = around.key(&format!("activate with {available:?}"));
        let variables =
            json!({"item": item, "location": location, "available": available, "key": key});
        level = match send(around, step::Step::setting(ACTIVATE, variables)).await {
            Ok(mut payload) => Some(payload["inventoryLevel"].take()).filter(Value::is_object),
            // An earlier try may have stocked it and not have heard of it.
            Err(WriteError::Refused(why)) => match found().await? {
                Some(level) => Some(level),
                None => return Err(WriteError::Refused(why)),
            },
            Err(error) => return Err(error),
        };
    }
    let level = level.ok_or_else(|| {
        WriteError::Missing(format!("{item} cannot be stocked at {location}: try again"))
    })?;
    set(around, &level, want).await?;
    let (was, gid) = (text(want, "id"), text(&level, "id"));
    let ids = [(was.to_owned(), gid.to_owned())].into_iter().filter(|(old, new)| old != new);
    Ok(Written::Created { gid: gid.into(), ids: ids.collect() })
}

/// Sets the amount, over the one that is known only. Whether anything had to be written.
async fn set(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let Some(quantity) = wanted(now, want) else { return Ok(false) };
    let is = quantity_of(now);
    if is == Some(quantity) {
        return Ok(false);
    }
    let input = json!({
        "name": WRITTEN, "reason": "correction",
        "quantities": [{
            "inventoryItemId": now["item"]["id"], "locationId": now["location"]["id"],
            "quantity": quantity, "changeFromQuantity": is,
        }],
    });
    let what = format!("set {is:?} to {quantity}");
    let mut spent = 0;
    loop {
        let key = match spent {
            0 => around.key(&what),
            spent => around.key(&format!("{what}, refused {spent} times")),
        };
        let variables = json!({"input": input, "key": key});
        match send(around, step::Step::setting(SET, variables)).await {
            Err(WriteError::Refused(why)) if spent < KEYS_MAX && is_spent(&why) => spent += 1,
            sent => return sent.map(|_| true),
        }
    }
}

/// So many tries of a row may be refused, one after the other, and the next one still be heard out.
const KEYS_MAX: usize = 8;

/// Whether it is refused for its key alone, which an earlier try used that was refused.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/InventorySetQuantitiesUserErrorCode>
fn is_spent(why: &[String]) -> bool {
    why.iter().any(|why| why.contains("(IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED)"))
}

/// How much can be sold. It is told twice: alone, as each webhook does, and among the quantities, which
/// are asked for afterwards.
pub(crate) fn amount(state: &Value) -> Option<i64> {
    state["available"].as_i64().or_else(|| quantity_of(state))
}

/// Whether what came with its item was stocked then and is another by now: what is sold meanwhile is not
/// put back. Where nothing was ever counted, nothing has moved.
pub(crate) fn has_moved(now: &Value, want: &Value) -> bool {
    let is_bare = list(now, "quantities").iter().all(|entry| entry["quantity"] == 0);
    !is_bare && amount(want).is_some_and(|wanted| amount(now) != Some(wanted))
}

/// A level as an item is made with it; `None` where it has no amount, or one that is set afterwards.
pub(super) fn made_with(want: &Value) -> Option<Value> {
    // What was sold beyond what there was.
    let quantity = amount(want).filter(|amount| *amount >= 0)?;
    Some(json!({"locationId": want["location"]["id"], "name": WRITTEN, "quantity": quantity}))
}

/// The amount that is wanted; where only the quantities are to become others, that among them.
fn wanted(now: &Value, want: &Value) -> Option<i64> {
    let is_same = want["id"] == now["id"] && want["available"] == now["available"];
    if is_same { quantity_of(want) } else { amount(want) }
}

fn quantity_of(state: &Value) -> Option<i64> {
    let mut quantities = list(state, "quantities").iter();
    quantities.find(|entry| entry["name"] == WRITTEN)?["quantity"].as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_written_only_where_it_is_wanted() {
        let level = json!({"quantities": [{"name": "on_hand", "quantity": 9}, {"name": "available", "quantity": 7}]});
        assert_eq!(quantity_of(&level), Some(7));
        assert_eq!(quantity_of(&json!({"isActive": true})), None);
    }

    #[test]
    fn what_was_sold_since_it_came_back_is_not_put_back() {
        let level = |available: i64, committed: i64| {
            json!({"available": available, "quantities": [
                {"name": "available", "quantity": available},
                {"name": "committed", "quantity": committed},
                {"name": "on_hand", "quantity": available + committed},
            ]})
        };
        let want = json!({"available": 5});
        assert!(!has_moved(&level(0, 0), &want), "nothing was ever there");
        assert!(!has_moved(&level(5, 0), &want));
        assert!(has_moved(&level(4, 1), &want) && has_moved(&level(0, 5), &want));
        assert!(!has_moved(&level(4, 0), &json!({})), "no amount is wanted");
    }

    #[test]
    fn an_item_is_made_with_the_amounts_that_there_can_be() {
        let level = |available: i64| json!({"available": available, "location": {"id": "l"}});
        let made = json!({"locationId": "l", "name": "available", "quantity": 0});
        assert_eq!(made_with(&level(0)), Some(made));
        assert_eq!(made_with(&level(-2)), None);
        assert_eq!(made_with(&json!({"location": {"id": "l"}})), None);
    }

    #[test]
    fn what_comes_back_has_the_amount_that_was_told_last() {
        let level = |id: &str, available: i64, asked: i64| {
            json!({"id": id, "available": available,
                   "quantities": [{"name": "available", "quantity": asked}]})
        };
        assert_eq!(wanted(&level("new", 0, 0), &level("old", 0, 5)), Some(0));
        assert_eq!(wanted(&level("same", 3, 3), &level("same", 4, 5)), Some(4));
        assert_eq!(wanted(&level("same", 3, 3), &level("same", 3, 5)), Some(5));
    }
}
