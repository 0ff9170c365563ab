//! Places where stock is.

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::unless_refused;
use super::step::{Step, ask, delete, is_unknown, list, send, text, written};
use super::{Around, WriteError, Written, look, metafield};

const BY_NAME: &str = include_str!("graphql/locations_by_name.graphql");
const ADD: &str = include_str!("graphql/location_add.graphql");
const EDIT: &str = include_str!("graphql/location_edit.graphql");
const ACTIVATE: &str = include_str!("graphql/location_activate.graphql");
const DEACTIVATE: &str = include_str!("graphql/location_deactivate.graphql");
const DELETE: &str = include_str!("graphql/location_delete.graphql");

/// The parts of an address that are written. The country and the province follow from their codes.
const ADDRESS: [&str; 7] =
    ["address1", "address2", "city", "provinceCode", "countryCode", "zip", "phone"];

/// Brings a location from one state to another.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => {
            // Only one that is not active can be deleted.
            if now["isActive"] == true {
                activate(around, text(now, "id"), false).await?;
            }
            delete(around, DELETE, text(now, "id")).await
        }
        (Some(now), Some(want)) => match bring(around, now, want).await? {
            true => Ok(Written::Updated { ids: [].into() }),
            false => Ok(Written::Unchanged),
        },
        (None, Some(want)) => {
            let made = create(around, want).await?;
            unless_refused(around, "a part of it", bring(around, &made, want).await)?;
            let gid = text(&made, "id").to_owned();
            let ids = [(text(want, "id").to_owned(), gid.clone())].into();
            Ok(Written::Created { gid, ids })
        }
    }
}

/// Why a field of a location cannot be written, if it cannot.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "shipsInventory" => {
            Some("whether it ships is set in the shop's shipping settings: change it there")
        }
        _ => None,
    }
}

/// Whether anything had to be written.
async fn bring(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let gid = text(now, "id");
    let input = changed(now, want);
    let mut written = !input.is_empty();
    if written {
        send(around, Step::setting(EDIT, json!({"id": gid, "input": input}))).await?;
    }
    if let Some(active) = want["isActive"].as_bool()
        && now["isActive"] != active
    {
        activate(around, gid, active).await?;
        written = true;
    }
    if want["metafields"].is_array() {
        written |= metafield::write(around, gid, &now["metafields"], &want["metafields"]).await?;
    }
    Ok(written)
}

async fn activate(around: &dyn Around, gid: &str, active: bool) -> Result<(), WriteError> {
    let (document, what) = match active {
        true => (ACTIVATE, "activate"),
        false => (DEACTIVATE, "deactivate"),
    };
    let variables = json!({"id": gid, "key": around.key(what)});
    send(around, Step::setting(document, variables)).await?;
    Ok(())
}

/// The fields that differ, as an input has them. What the wanted state does not know is left alone.
fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = Map::new();
    for name in ["name", "fulfillsOnlineOrders"] {
        if let Some(value) = want.get(name).filter(|v| !v.is_null() && now.get(name) != Some(v)) {
            input.insert(name.into(), value.clone());
        }
    }
    let address: Map<String, Value> = ADDRESS
        .iter()
        .filter_map(|name| {
            let value = want["address"].get(*name)?;
            let differs = now["address"].get(*name) != Some(value);
            differs.then(|| ((*name).to_owned(), value_of(name, value)))
        })
        .collect();
    if !address.is_empty() {
        input.insert("address".into(), address.into());
    }
    input
}

/// Codes are none or right, texts may be empty.
fn value_of(name: &str, value: &Value) -> Value {
    if name.ends_with("Code") { value.clone() } else { written(value) }
}

/// Makes the location, or finds that an earlier try has made it.
async fn create(around: &dyn Around, want: &Value) -> Result<Value, WriteError> {
    if let Some(found) = ours(around, want).await? {
        return Ok(found);
    }
    let mut input = changed(&json!({}), want);
    if let Some(Value::Object(address)) = input.get_mut("address") {
        address.retain(|_, value| !value.is_null() && *value != "");
    }
    match send(around, Step::making(ADD, json!({"input": input}))).await {
        Ok(payload) => Ok(payload["location"].clone()),
        Err(error) if is_unknown(&error) => ours(around, want).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// The location with the name, which no two have, if this job has made it. Somebody else's is in the way.
async fn ours(around: &dyn Around, want: &Value) -> Result<Option<Value>, WriteError> {
    let data = ask(around, BY_NAME, json!({})).await?;
    let mut locations = list(&data["locations"], "nodes").iter();
    let Some(found) = locations.find(|location| location["name"] == want["name"]) else {
        return Ok(None);
    };
    if look::is_since(around, found) && around.may_be_ours(text(found, "id")).await {
        return Ok(Some(found.clone()));
    }
    Err(WriteError::Taken(format!(
        "another location is called {:?} now: rename or delete that one, then try again",
        text(want, "name")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_sent() {
        let now = json!({"id": "l", "name": "Shop", "address": {"city": "Porto", "zip": null}});
        assert!(changed(&now, &now).is_empty());
        let mut want = now.clone();
        want["address"]["city"] = json!("Lisboa");
        assert_eq!(json!(changed(&now, &want)), json!({"address": {"city": "Lisboa"}}));
    }
}
