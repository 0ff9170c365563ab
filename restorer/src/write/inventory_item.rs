//! What is counted of a variant. It comes and goes with its variant, so it is changed only.

use backstock_proto::merge::FieldPath;
use backstock_proto::{Kind, ResourceId};
use serde_json::{Map, Value, json};

use super::step::{Step, send, text, written};
use super::{Around, WriteError, Written, look};

const UPDATE: &str = include_str!("graphql/inventory_item_update.graphql");

/// Brings an inventory item from one state to another. One that is gone is looked for under the id
/// that its variant, made anew, has given it.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let Some(want) = want else {
        return match now {
            None => Ok(Written::Unchanged),
            Some(_) => Err(WriteError::Unwritable(
                "an inventory item goes with its variant: delete that one".into(),
            )),
        };
    };
    if let Some(now) = now {
        return match set(around, now, want).await? {
            true => Ok(Written::Updated { ids: [].into() }),
            false => Ok(Written::Unchanged),
        };
    }
    let was = text(want, "id");
    let gid = around.gid_now(was);
    let missing = || {
        WriteError::Missing(format!(
            "the inventory item {was} comes and goes with its variant: restore its product first"
        ))
    };
    let spec = Kind::parse("inventory_item").ok().and_then(|kind| kind.spec());
    let id = ResourceId::parse(&gid).map_err(|_| missing())?;
    let found = look::state(around.admin(), spec.ok_or_else(missing)?, &id).await?;
    set(around, &found.ok_or_else(missing)?, want).await?;
    let ids = [(was.to_owned(), gid.clone())].into_iter().filter(|(old, new)| old != new);
    Ok(Written::Created { ids: ids.collect(), gid })
}

/// Why a field of an inventory item cannot be written, if it cannot.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.as_str() {
        "/unitCost/currencyCode" => Some("a cost is always in the shop's own currency"),
        _ => None,
    }
}

/// Whether anything had to be written.
async fn set(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let input = changed(now, want);
    if input.is_empty() {
        return Ok(false);
    }
    send(around, Step::setting(UPDATE, json!({"id": now["id"], "input": input}))).await?;
    Ok(true)
}

/// What a new one is made with. What is nothing is not said.
pub(super) fn made_with(want: &Value) -> Map<String, Value> {
    let mut input = changed(&Value::Null, want);
    input.retain(|_, value| !value.is_null() && *value != "");
    input
}

/// Whether a new one that was made with this has all that is wanted. What is nothing need not be said.
pub(super) fn has_all(said: Option<&Value>, want: &Value) -> bool {
    let is_nothing = |value: &Value| value.is_null() || *value == "";
    changed(&Value::Null, want).iter().all(|(name, value)| {
        match said.and_then(|said| said.get(name)) {
            Some(said) => said == value || is_nothing(said) && is_nothing(value),
            None => is_nothing(value),
        }
    })
}

/// The fields that differ, as an input has them. What the wanted state does not know is left alone.
fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = Map::new();
    let differs = |name: &str| want.get(name).filter(|value| now.get(name) != Some(value));
    if let Some(sku) = differs("sku") {
        input.insert("sku".into(), written(sku));
    }
    for name in ["tracked", "requiresShipping"] {
        if let Some(value) = differs(name).filter(|value| !value.is_null()) {
            input.insert(name.into(), value.clone());
        }
    }
    for name in ["countryCodeOfOrigin", "provinceCodeOfOrigin", "harmonizedSystemCode"] {
        if let Some(value) = differs(name) {
            input.insert(name.into(), value.clone());
        }
    }
    if let Some(cost) = differs("unitCost")
        && cost["amount"] != now["unitCost"]["amount"]
    {
        input.insert("cost".into(), cost["amount"].clone());
    }
    let (is, weight) = (&now["measurement"]["weight"], &want["measurement"]["weight"]);
    if want["measurement"].is_object() && weight != is {
        let weight = match weight.is_object() {
            true => json!({"unit": weight["unit"], "value": weight["value"]}),
            // None is one of nothing.
            false => json!({"unit": is["unit"], "value": 0}),
        };
        input.insert("measurement".into(), json!({"weight": weight}));
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let now = json!({"id": "i", "sku": "A", "tracked": true, "unitCost": {"amount": "1.00"},
                         "measurement": {"weight": {"unit": "KILOGRAMS", "value": 0.4}}});
        assert!(changed(&now, &now).is_empty());
        let mut want = now.clone();
        want["unitCost"]["amount"] = json!("2.50");
        assert_eq!(json!(changed(&now, &want)), json!({"cost": "2.50"}));
        want["unitCost"] = Value::Null;
        want["sku"] = Value::Null;
        assert_eq!(json!(changed(&now, &want)), json!({"cost": null, "sku": ""}));
        want["measurement"]["weight"] = Value::Null;
        assert_eq!(json!(made_with(&want)), json!({"tracked": true}));
        let nothing = json!({"weight": {"unit": "KILOGRAMS", "value": 0}});
        assert_eq!(changed(&now, &want)["measurement"], nothing);
        let weight = json!({"weight": {"unit": "KILOGRAMS", "value": 0.4}});
        let all = json!({"sku": "A", "tracked": true, "cost": "1.00", "measurement": weight});
        assert_eq!(json!(made_with(&now)), all);
    }

    #[test]
    fn what_was_made_with_all_that_is_wanted_has_it() {
        let want = json!({"sku": "A", "tracked": true, "harmonizedSystemCode": null,
                          "unitCost": {"amount": "1.00"}});
        let mut said = Value::Object(made_with(&want));
        assert!(has_all(Some(&said), &want) && !has_all(None, &want));
        said["sku"] = json!("the variant's own");
        assert!(!has_all(Some(&said), &want));
        let mut without = want.clone();
        without["sku"] = Value::Null;
        assert!(!has_all(Some(&said), &without), "it is to have none");
        said["sku"] = json!("");
        assert!(has_all(Some(&said), &without));
    }
}
