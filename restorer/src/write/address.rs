//! A customer's addresses. Given as a list they replace those that are there, so a list names all of
//! them, with the ids of those that stay.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::crud::present;
use super::{Around, WriteError, send, twin};

const UPDATE: &str = include_str!("graphql/customer_address_update.graphql");
const DEFAULT: &str = include_str!("graphql/customer_default_address.graphql");

/// What an address is made of. The names of country and province follow from their codes.
const FIELDS: [&str; 9] = [
    "firstName",
    "lastName",
    "company",
    "address1",
    "address2",
    "city",
    "provinceCode",
    "zip",
    "phone",
];

/// Whether two lists have the same addresses in the same order, by their ids.
pub(super) fn same_ids(now: &Value, want: &Value) -> bool {
    let ids = |list: &Value| addresses(list).map(|a| a["id"].clone()).collect::<Vec<_>>();
    ids(now) == ids(want)
}

/// Whether two lists say the same, whatever the ids.
pub(super) fn same(now: &Value, want: &Value) -> bool {
    let bare = |list: &Value| addresses(list).map(input).collect::<Vec<_>>();
    bare(now) == bare(want)
}

/// Has a wanted customer name addresses that an earlier try made, and did not live to tell of, by the ids that
/// they have. Old id → new id.
pub(super) async fn take_up(
    around: &dyn Around,
    now: &Value,
    want: &mut Value,
) -> BTreeMap<String, String> {
    let is_same = |old: &Value, new: &Value| input(old) == input(new);
    let ids = twin::take_up(around, now, want, ("addresses", is_same)).await;
    if let Some(default) = want.pointer_mut("/defaultAddress/id")
        && let Some(new) = default.as_str().and_then(|old| ids.get(old))
    {
        *default = new.as_str().into();
    }
    ids
}

/// A whole list, with the ids of those that are among `there`. Nothing is made of one that says nothing:
/// "Customer address cannot be blank."
pub(super) fn inputs(want: &Value, there: &Value) -> Value {
    let with_id = |wanted: &Value| {
        let mut input = input(wanted);
        if addresses(there).any(|known| known["id"] == wanted["id"]) {
            input.insert("id".into(), wanted["id"].clone());
        }
        Value::Object(input)
    };
    addresses(want).map(with_id).filter(|input| *input != json!({})).collect()
}

/// Changes those of the same id that differ; whether there were any.
pub(super) async fn update(
    around: &dyn Around,
    customer: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let mut sent = false;
    for (there, wanted) in addresses(now).zip(addresses(want)) {
        let (was, becomes) = (input(there), input(wanted));
        if was == becomes {
            continue;
        }
        // A part that was there and is not wanted is emptied.
        let mut address: Map<String, Value> =
            was.keys().map(|name| (name.clone(), Value::Null)).collect();
        address.extend(becomes);
        address.retain(|name, value| was.get(name) != Some(value));
        let variables =
            json!({"customerId": customer, "addressId": wanted["id"], "address": address});
        send::set(around, UPDATE, variables).await?;
        sent = true;
    }
    Ok(sent)
}

/// Makes the wanted address the default one, where another is; whether it had to.
pub(super) async fn set_default(
    around: &dyn Around,
    customer: &str,
    default: &Value,
    want: &Value,
    ids: &BTreeMap<String, String>,
) -> Result<bool, WriteError> {
    let Some(wanted) = want["defaultAddress"]["id"].as_str() else { return Ok(false) };
    let wanted = ids.get(wanted).map_or(wanted, String::as_str);
    if default.as_str() == Some(wanted) {
        return Ok(false);
    }
    send::set(around, DEFAULT, json!({"customerId": customer, "addressId": wanted})).await?;
    Ok(true)
}

/// Old id → new id, by what the addresses say.
pub(super) fn renamed(want: &Value, there: &Value, ids: &mut BTreeMap<String, String>) {
    let mut left: Vec<&Value> = addresses(there).collect();
    for wanted in addresses(want) {
        let at = left.iter().position(|known| known["id"] == wanted["id"]);
        let at = at.or_else(|| left.iter().position(|known| input(known) == input(wanted)));
        let Some(at) = at else { continue };
        let found = left.remove(at);
        if let (Some(old), Some(new)) = (wanted["id"].as_str(), found["id"].as_str())
            && old != new
        {
            ids.insert(old.into(), new.into());
        }
    }
}

fn addresses(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// An address as a mutation takes it, without its id.
fn input(address: &Value) -> Map<String, Value> {
    let mut input = present(address, &FIELDS);
    input.retain(|_, value| *value != "");
    if let Some(country) = address["countryCodeV2"].as_str() {
        input.insert("countryCode".into(), country.into());
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_says_nothing_is_not_made() {
        let blank = |id: &str| json!({"id": id, "city": null, "zip": "", "countryCodeV2": null});
        let want = json!([blank("a"), {"id": "b", "city": "Ottawa"}]);
        assert_eq!(inputs(&want, &Value::Null), json!([{"city": "Ottawa"}]));
        assert_eq!(inputs(&want, &json!([blank("a")])), json!([{"id": "a"}, {"city": "Ottawa"}]));
    }
}
