//! What a product's variants differ by.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::matching::by_id;
use super::{linked, points, variants};
use crate::write::step::{Step, ask, list, text};
use crate::write::{Around, WriteError};

pub(super) const SET: &str = include_str!("../graphql/product_set.graphql");
const VALUES: &str = include_str!("../graphql/product_option_values.graphql");
const UPDATE: &str = include_str!("../graphql/product_option_update.graphql");
const REORDER: &str = include_str!("../graphql/product_options_reorder.graphql");

/// With more variants than this a product is set while we wait elsewhere.
pub(super) const SYNCHRONOUS_MAX: usize = 50;

/// What makes the options those that are wanted; what hangs on them has to be looked at again after
/// it. Nothing, when they are, but for the order.
pub(super) fn shape(now: &Value, want: &Value) -> Vec<Step> {
    if !want["options"].is_array() {
        return Vec::new();
    }
    let (there, wanted) = (list(now, "options"), list(want, "options"));
    let ids = |options: &[Value]| -> BTreeSet<String> {
        options.iter().map(|option| text(option, "id").to_owned()).collect()
    };
    let pair = |wanted| Some((by_id(there, text(wanted, "id"))?, wanted));
    let pairs: Vec<(&Value, &Value)> = wanted.iter().filter_map(pair).collect();
    let is_apart = pairs.iter().any(|(there, wanted)| linked::is_apart(there, wanted));
    if ids(there) != ids(wanted) || is_apart {
        return set(now, want).into_iter().collect();
    }
    pairs.into_iter().filter_map(|(there, wanted)| update(now, there, wanted)).collect()
}

/// Another name for an option, another metafield to follow, or other metaobjects for its values.
fn update(product: &Value, there: &Value, wanted: &Value) -> Option<Step> {
    let (mut option, mut variables) = (Map::new(), Map::new());
    if there["name"] != wanted["name"] {
        option.insert("name".into(), wanted["name"].clone());
    }
    if linked::differs(there, wanted) {
        variables.insert("values".into(), linked::values(there, wanted).into());
        if linked::is_moved(there, wanted) {
            option.insert("linkedMetafield".into(), wanted["linkedMetafield"].clone());
            variables.insert("gone".into(), linked::without_entry(there, wanted).into());
        }
    }
    if option.is_empty() && variables.is_empty() {
        return None;
    }
    option.insert("id".into(), wanted["id"].clone());
    variables.insert("option".into(), option.into());
    variables.insert("productId".into(), product["id"].clone());
    Some(Step::setting(UPDATE, variables.into()))
}

/// Options and variants set as a whole, which is the only way from one set of options to another:
/// what is in neither list is deleted, so both lists have everything.
fn set(now: &Value, want: &Value) -> Option<Step> {
    let wanted = list(want, "variants");
    if wanted.is_empty() || !wanted.iter().all(|variant| variant["selectedOptions"].is_array()) {
        return None;
    }
    let there = list(now, "variants");
    let mut variants: Vec<Value> = wanted
        .iter()
        .map(|variant| match by_id(there, text(variant, "id")) {
            Some(_) => json!({
                "id": variant["id"], "optionValues": variants::option_values(variant, &[want, now]),
            }),
            None => variants::set_input(variant, &[want, now]),
        })
        .collect();
    // What they leave behind follows once they are there.
    points::lighten(&mut variants);
    let options: Vec<Value> = list(want, "options")
        .iter()
        .map(|option| {
            let mut input = input(option);
            if by_id(list(now, "options"), text(option, "id")).is_some() {
                input["id"] = option["id"].clone();
            }
            input
        })
        .collect();
    let synchronous = variants.len() <= SYNCHRONOUS_MAX;
    Some(Step::setting(
        SET,
        json!({
            "identifier": {"id": now["id"]}, "synchronous": synchronous,
            "input": {"productOptions": options, "variants": variants},
        }),
    ))
}

/// Whether it takes all values of the options that are there to bring them to what is wanted.
pub(super) fn takes_all_values(now: &Value, want: &Value) -> bool {
    let there = |wanted: &Value| by_id(list(now, "options"), text(wanted, "id"));
    let differs =
        |wanted: &Value| there(wanted).is_some_and(|there| linked::differs(there, wanted));
    list(want, "options").iter().any(differs) || order(now, want).is_some()
}

/// Puts on each option all values that it has, those too that no variant has: an order names all, and so
/// does what links an option.
pub(super) async fn complete(around: &dyn Around, now: &mut Value) -> Result<(), WriteError> {
    let data = ask(around, VALUES, json!({"id": now["id"]})).await?;
    let known = list(&data["product"], "options");
    for option in now["options"].as_array_mut().into_iter().flatten() {
        if let Some(known) = by_id(known, text(option, "id")) {
            let values = list(known, "optionValues").iter().map(|value| value["name"].clone());
            option["allValues"] = values.collect();
            option["known"] = known["optionValues"].clone();
        }
    }
    Ok(())
}

/// An option as `productSet` takes it.
pub(super) fn input(option: &Value) -> Value {
    if linked::is_linked(option) {
        let link = linked::input(option);
        return json!({
            "name": option["name"], "position": option["position"], "linkedMetafield": link,
        });
    }
    let values: Vec<Value> =
        list(option, "values").iter().map(|value| json!({"name": value})).collect();
    json!({"name": option["name"], "position": option["position"], "values": values})
}

/// The order of options and of their values, once both are there. It also orders the variants anew.
pub(super) fn order(now: &Value, want: &Value) -> Option<Step> {
    let (there, wanted) = (list(now, "options"), list(want, "options"));
    let common = |of: &[Value], other: &[Value]| -> Vec<String> {
        let ids = of.iter().map(|option| text(option, "id").to_owned());
        ids.filter(|id| by_id(other, id).is_some()).collect()
    };
    let moved = common(there, wanted) != common(wanted, there);
    let values = |option: &Value, other: &Value| -> Vec<Value> {
        let there = list(other, "values");
        list(option, "values").iter().filter(|value| there.contains(value)).cloned().collect()
    };
    let shuffled = wanted.iter().any(|option| {
        by_id(there, text(option, "id"))
            .is_some_and(|there| values(option, there) != values(there, option))
    });
    if there.len() != wanted.len() || !(moved || shuffled) {
        return None;
    }
    let options: Vec<Value> = wanted
        .iter()
        .filter_map(|option| {
            let there = by_id(there, text(option, "id"))?;
            let mut named: Vec<Value> = values(option, there);
            // What is there and not wanted goes last, also values that no variant has.
            let all = if there["allValues"].is_array() { "allValues" } else { "values" };
            let rest = list(there, all).iter().filter(|value| !named.contains(value));
            let rest: Vec<Value> = rest.cloned().collect();
            named.extend(rest);
            let named: Vec<Value> = named.into_iter().map(|name| json!({"name": name})).collect();
            Some(json!({"name": option["name"], "values": named}))
        })
        .collect();
    Some(Step::setting(REORDER, json!({"productId": now["id"], "options": options})))
}
