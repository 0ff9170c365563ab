//! Options of a product: their names, their values and the order of both.

use serde_json::{Value, json};

use super::variant::{answer, find, no_product, product, renumber};
use super::{Call, Input, UserError};
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::own;

pub(super) mod linked;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "productOptionsCreate" => create(shop, call),
        "productOptionUpdate" => update(shop, call),
        "productOptionsReorder" => reorder(shop, call),
        "productOptionsDelete" => delete(shop, call),
        _ => return None,
    })
}

fn list(call: &Call<'_>, name: &str) -> Vec<Value> {
    call.args.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn options(shop: &Shop, product: Gid) -> Vec<Value> {
    let state = shop.store.get(product).unwrap_or_default();
    state["options"].as_array().cloned().unwrap_or_default()
}

/// Further options: every variant takes the first value of each.
fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = product(shop, call) else { return Ok(answer(None, &[], vec![no_product()])) };
    if call.args.text("variantStrategy") == Some("CREATE") {
        return Err(not_simulated("productOptionsCreate that creates variants"));
    }
    let given = list(call, "options");
    let before = options(shop, gid);
    if shop.variants(gid).len() == 1 && before.first().is_some_and(|o| o["name"] == "Title") {
        if let Err(error) = first_options(shop, gid, &given) {
            return Ok(answer(Some(gid), &[], vec![error]));
        }
        shop.edit_product(gid, |_| {});
        return Ok(answer(Some(gid), &[], vec![]));
    }
    if before.len() + given.len() > 3 {
        let error = UserError::new(&["options"], "Can only specify a maximum of 3 options");
        return Ok(answer(Some(gid), &[], vec![error.code("OPTIONS_OVER_LIMIT")]));
    }
    let given = match linked::spelled(shop, &given) {
        Ok(given) => given,
        Err(error) => return Ok(answer(Some(gid), &[], vec![error])),
    };
    let mut all = before;
    for mut option in build_options(shop, &given) {
        option["position"] = json!(all.len() + 1);
        all.push(option);
    }
    for variant in shop.variants(gid) {
        shop.update(variant, |state| {
            let chosen = state["selectedOptions"].as_array().cloned().unwrap_or_default();
            state["selectedOptions"] = selected(&all, &chosen);
            state["title"] = title(&state["selectedOptions"]);
        });
    }
    shop.edit_product(gid, |state| state["options"] = json!(all));
    linked::settle(shop, gid);
    Ok(answer(Some(gid), &[], vec![]))
}

/// One choice of each option, in their order; the first value where none was made.
fn selected(options: &[Value], chosen: &[Value]) -> Value {
    options
        .iter()
        .map(|option| {
            let made = chosen.iter().find(|choice| choice["name"] == option["name"]);
            let value = made.map_or(&option["optionValues"][0]["name"], |choice| &choice["value"]);
            json!({ "__typename": "SelectedOption", "name": option["name"], "value": value })
        })
        .collect()
}

fn title(selected: &Value) -> Value {
    let chosen = selected.as_array().into_iter().flatten();
    let values: Vec<&str> = chosen.filter_map(|choice| choice["value"].as_str()).collect();
    json!(values.join(" / "))
}

/// An option's name, what it follows, values that are new, renamed or gone. Variants follow a new name.
fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = product(shop, call) else { return Ok(answer(None, &[], vec![no_product()])) };
    let given = call.args.get("option").cloned().unwrap_or_default();
    let fields = ["id", "name", "linkedMetafield"];
    Input::of("OptionUpdateInput", &given, &fields)?;
    if call.args.text("variantStrategy") == Some("MANAGE") {
        return Err(not_simulated("productOptionUpdate that manages variants"));
    }
    let mut all = options(shop, gid);
    let Some(at) = all.iter().position(|option| option["id"] == given["id"]) else {
        let error = UserError::new(&["option", "id"], "Option does not exist");
        return Ok(answer(Some(gid), &[], vec![error.code("OPTION_DOES_NOT_EXIST")]));
    };
    let before = all[at].clone();
    if let Some(name) = given["name"].as_str() {
        if all.iter().any(|other| other["id"] != given["id"] && other["name"] == *name) {
            let error = UserError::new(&["option", "name"], "Option already exists");
            return Ok(answer(Some(gid), &[], vec![error.code("OPTION_ALREADY_EXISTS")]));
        }
        all[at]["name"] = json!(name);
    }
    if let Err(error) = linked::follow(shop, &mut all, at, &given["linkedMetafield"]) {
        return Ok(answer(Some(gid), &[], vec![error]));
    }
    let mut renamed: Vec<(Value, Value)> = Vec::new();
    for change in list(call, "optionValuesToUpdate") {
        let values = all[at]["optionValues"].as_array_mut().into_iter().flatten();
        let Some(value) = values.into_iter().find(|value| value["id"] == change["id"]) else {
            let error = UserError::new(&["optionValuesToUpdate"], "Option value does not exist");
            return Ok(answer(Some(gid), &[], vec![error.code("OPTION_VALUE_DOES_NOT_EXIST")]));
        };
        let name = match linked::called(shop, &change) {
            Ok(name) => name,
            Err(error) => return Ok(answer(Some(gid), &[], vec![error])),
        };
        renamed.push((value["name"].clone(), name.clone()));
        value["name"] = name;
        value["linkedMetafieldValue"] = change["linkedMetafieldValue"].clone();
    }
    for new in list(call, "optionValuesToAdd") {
        let name = match linked::called(shop, &new) {
            Ok(name) => name,
            Err(error) => return Ok(answer(Some(gid), &[], vec![error])),
        };
        let id = shop.store.fresh("ProductOptionValue");
        let mut value = option_value(id, name.as_str().unwrap_or_default());
        value["linkedMetafieldValue"] = new["linkedMetafieldValue"].clone();
        if let Some(values) = all[at]["optionValues"].as_array_mut() {
            values.push(value);
        }
    }
    let gone = list(call, "optionValuesToDelete");
    if let Some(values) = all[at]["optionValues"].as_array_mut() {
        values.retain(|value| !gone.contains(&value["id"]));
    }
    if let Some(error) = linked::mixed(&all[at], &given["linkedMetafield"]) {
        return Ok(answer(Some(gid), &[], vec![error]));
    }
    let variants = shop.variants(gid);
    for variant in variants {
        shop.update(variant, |state| {
            for choice in state["selectedOptions"].as_array_mut().into_iter().flatten() {
                if choice["name"] == before["name"] {
                    choice["name"] = all[at]["name"].clone();
                    if let Some((_, to)) = renamed.iter().find(|(from, _)| choice["value"] == *from)
                    {
                        choice["value"] = to.clone();
                    }
                }
            }
            state["title"] = title(&state["selectedOptions"]);
        });
    }
    shop.edit_product(gid, |state| state["options"] = json!(all));
    linked::settle(shop, gid);
    Ok(answer(Some(gid), &[], vec![]))
}

/// Options and values in the order given; the variants follow it.
fn reorder(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = product(shop, call) else { return Ok(answer(None, &[], vec![no_product()])) };
    let given = list(call, "options");
    let all = options(shop, gid);
    let names = |wanted: &Value, known: &Value| {
        (wanted["id"].is_string() && wanted["id"] == known["id"])
            || (wanted["name"].is_string() && wanted["name"] == known["name"])
    };
    let mut ordered: Vec<Value> = Vec::new();
    for wanted in &given {
        let Some(option) = all.iter().find(|option| names(wanted, option)) else {
            let error = UserError::new(&["options"], "Option does not exist");
            return Ok(answer(Some(gid), &[], vec![error.code("OPTION_NAME_DOES_NOT_EXIST")]));
        };
        let mut option = option.clone();
        let order = wanted["values"].as_array().cloned().unwrap_or_default();
        if order.iter().any(|value| value["id"].is_string() != wanted["id"].is_string()) {
            let error = UserError::new(&["options"], "Mixing id and name keys is not allowed");
            let error = error.code("MIXING_ID_AND_NAME_KEYS_IS_NOT_ALLOWED");
            return Ok(answer(Some(gid), &[], vec![error]));
        }
        let values = option["optionValues"].as_array().map_or(0, Vec::len);
        if !order.is_empty() && order.len() < values {
            let error = UserError::new(&["options", "values"], "Missing option value");
            return Ok(answer(Some(gid), &[], vec![error.code("MISSING_OPTION_VALUE")]));
        }
        if let Some(values) = option["optionValues"].as_array_mut() {
            let place = |value: &Value| {
                order.iter().position(|wanted| names(wanted, value)).unwrap_or(order.len())
            };
            values.sort_by_key(place);
        }
        option["position"] = json!(ordered.len() + 1);
        ordered.push(option);
    }
    if ordered.len() != all.len() {
        let error = UserError::new(&["options"], "All options must be provided");
        return Ok(answer(Some(gid), &[], vec![error.code("MISSING_OPTION_NAME")]));
    }
    let mut variants = shop.variants(gid);
    for variant in &variants {
        shop.update(*variant, |state| {
            let chosen = state["selectedOptions"].as_array().cloned().unwrap_or_default();
            state["selectedOptions"] = selected(&ordered, &chosen);
            state["title"] = title(&state["selectedOptions"]);
        });
    }
    variants.sort_by_cached_key(|variant| places(shop, *variant, &ordered));
    shop.update(gid, |state| {
        state["options"] = json!(ordered);
        state["variants"] = variants.iter().map(|variant| own(*variant)).collect();
    });
    renumber(shop, gid);
    Ok(answer(Some(gid), &[], vec![]))
}

/// Where a variant's values stand among those of each option.
fn places(shop: &Shop, variant: Gid, options: &[Value]) -> Vec<usize> {
    let state = shop.store.get(variant).unwrap_or_default();
    let chosen = state["selectedOptions"].as_array().cloned().unwrap_or_default();
    options
        .iter()
        .map(|option| {
            let choice = chosen.iter().find(|choice| choice["name"] == option["name"]);
            let values = option["optionValues"].as_array().into_iter().flatten();
            let place = choice.and_then(|choice| {
                values.into_iter().position(|value| value["name"] == choice["value"])
            });
            place.unwrap_or(usize::MAX)
        })
        .collect()
}

/// Options go with their values, where no two variants become the same by it.
fn delete(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = product(shop, call) else { return Ok(answer(None, &[], vec![no_product()])) };
    let gone = list(call, "options");
    let all = options(shop, gid);
    let kept: Vec<Value> = all.iter().filter(|o| !gone.contains(&o["id"])).cloned().collect();
    if kept.is_empty() || kept.len() + gone.len() != all.len() {
        return Err(not_simulated("productOptionsDelete of all options, or of unknown ones"));
    }
    let single =
        |option: &&Value| option["optionValues"].as_array().is_some_and(|values| values.len() == 1);
    let strategy = call.args.text("strategy").unwrap_or("DEFAULT");
    if strategy == "POSITION" {
        return Err(not_simulated("productOptionsDelete by position"));
    }
    let dropped = all.iter().filter(|option| gone.contains(&option["id"]));
    if strategy == "DEFAULT" && !dropped.clone().all(|option| single(&option)) {
        let message = "Cannot delete an option with multiple values";
        let error = UserError::new(&["options"], message);
        return Ok(answer(
            Some(gid),
            &[],
            vec![error.code("CANNOT_DELETE_OPTION_WITH_MULTIPLE_VALUES")],
        ));
    }
    let mut seen = std::collections::BTreeSet::new();
    for variant in shop.variants(gid) {
        if !seen.insert(places(shop, variant, &kept)) {
            let error = UserError::new(&["options"], "Variants would become duplicates");
            return Ok(answer(
                Some(gid),
                &[],
                vec![error.code("CANNOT_USE_NON_DESTRUCTIVE_STRATEGY")],
            ));
        }
    }
    for variant in shop.variants(gid) {
        shop.update(variant, |state| {
            let chosen = state["selectedOptions"].as_array().cloned().unwrap_or_default();
            state["selectedOptions"] = selected(&kept, &chosen);
            state["title"] = title(&state["selectedOptions"]);
        });
    }
    shop.edit_product(gid, |state| {
        state["options"] = (1..)
            .zip(kept)
            .map(|(at, mut option)| {
                option["position"] = json!(at);
                option
            })
            .collect();
    });
    let mut done = answer(Some(gid), &[], vec![]);
    done["deletedOptionsIds"] = json!(gone);
    Ok(done)
}

/// The option values of a variant become others. No two variants have the same.
pub(super) fn rechoose(
    shop: &mut Shop,
    product: Gid,
    variant: Gid,
    choices: &[Choice],
) -> Result<(), UserError> {
    if find(shop, product, choices).is_some_and(|other| other != variant) {
        let message = "The variant already exists. Please change at least one option value.";
        let error = UserError::new(&["variants", "optionValues"], message);
        return Err(error.code("VARIANT_ALREADY_EXISTS"));
    }
    learn_values(shop, product, choices);
    super::product_set::rename(shop, variant, choices);
    Ok(())
}

/// An option and the value chosen of it.
pub(super) type Choice = (String, String);

/// The option values that an input names, completed by the product's own options.
pub(super) fn choices(
    shop: &mut Shop,
    product: Gid,
    input: &Input<'_>,
) -> Result<Vec<Choice>, UserError> {
    let state = shop.store.get(product).unwrap_or_default();
    let options = state["options"].as_array().cloned().unwrap_or_default();
    let given = input.list("optionValues").unwrap_or_default();
    let mut choices = Vec::new();
    for option in &options {
        let chosen = given.iter().find(|value| {
            value["optionName"] == option["name"] || value["optionId"] == option["id"]
        });
        let name = option["name"].as_str().unwrap_or_default().to_owned();
        let Some(chosen) = chosen else {
            let message = format!("You need to add option values for {name}");
            let error = UserError::new(&["variants", "optionValues"], message);
            return Err(error.code("NEED_TO_ADD_OPTION_VALUES"));
        };
        if chosen["linkedMetafieldValue"].is_string() {
            let value = linked::learn(shop, product, option, &chosen["linkedMetafieldValue"])?;
            choices.push((name, value));
            continue;
        }
        let known = option["optionValues"].as_array().into_iter().flatten();
        let by_id = known
            .into_iter()
            .find(|value| chosen.get("id").is_some_and(|id| !id.is_null() && *id == value["id"]));
        let value = chosen["name"].as_str().or_else(|| by_id.and_then(|v| v["name"].as_str()));
        let Some(value) = value else {
            let error =
                UserError::new(&["variants", "optionValues"], "Option value does not exist");
            return Err(error.code("OPTION_VALUE_DOES_NOT_EXIST"));
        };
        linked::is_named(option, value)?;
        choices.push((name, value.to_owned()));
    }
    if given.len() > options.len() {
        let error = UserError::new(&["variants", "optionValues"], "Option does not exist");
        return Err(error.code("OPTION_DOES_NOT_EXIST"));
    }
    Ok(choices)
}

/// Gives a product's options the values that a variant brings.
pub(super) fn learn_values(shop: &mut Shop, product: Gid, choices: &[Choice]) {
    let mut new_ids: Vec<Gid> =
        choices.iter().map(|_| shop.store.fresh("ProductOptionValue")).collect();
    shop.update(product, |state| {
        for option in state["options"].as_array_mut().into_iter().flatten() {
            let chosen = choices.iter().find(|(name, _)| option["name"] == *name);
            let Some((_, value)) = chosen else { continue };
            let values = option["optionValues"].as_array_mut();
            if let Some(values) = values
                && !values.iter().any(|known| known["name"] == *value)
                && let Some(id) = new_ids.pop()
            {
                values.push(option_value(id, value));
            }
        }
    });
}

fn option_value(id: Gid, name: &str) -> Value {
    json!({
        "__typename": "ProductOptionValue", "id": id.to_string(), "name": name,
        "linkedMetafieldValue": null, "swatch": null,
    })
}

/// Options of a new product; its one variant takes the first value of each.
pub(super) fn first_options(
    shop: &mut Shop,
    product: Gid,
    options: &[Value],
) -> Result<(), UserError> {
    let options = linked::spelled(shop, options)?;
    let built = build_options(shop, &options);
    let Some(variant) = shop.variants(product).first().copied() else { return Ok(()) };
    let selected: Vec<Value> = built
        .iter()
        .map(|option| {
            json!({
                "__typename": "SelectedOption", "name": option["name"],
                "value": option["optionValues"][0]["name"],
            })
        })
        .collect();
    let title: Vec<&str> = selected.iter().filter_map(|choice| choice["value"].as_str()).collect();
    let title = title.join(" / ");
    shop.update(variant, |state| {
        state["title"] = json!(title);
        state["selectedOptions"] = json!(selected);
    });
    shop.update(product, |state| state["options"] = json!(built));
    linked::settle(shop, product);
    Ok(())
}

/// Options as documents hold them, of which each value is spelled out.
pub(super) fn build_options(shop: &mut Shop, options: &[Value]) -> Vec<Value> {
    let mut built = Vec::new();
    for (at, option) in options.iter().enumerate() {
        let values = option["values"].as_array().into_iter().flatten();
        let mut kept = Vec::new();
        for value in values {
            let id = value["id"].as_str().and_then(|id| id.parse().ok());
            let id = id.unwrap_or_else(|| shop.store.fresh("ProductOptionValue"));
            let mut known = option_value(id, value["name"].as_str().unwrap_or_default());
            known["linkedMetafieldValue"] = value["linkedMetafieldValue"].clone();
            kept.push(known);
        }
        let id = option["id"].as_str().and_then(|id| id.parse().ok());
        let id: Gid = id.unwrap_or_else(|| shop.store.fresh("ProductOption"));
        built.push(json!({
            "__typename": "ProductOption", "id": id.to_string(), "name": option["name"],
            "position": at + 1, "linkedMetafield": option["linkedMetafield"], "optionValues": kept,
        }));
    }
    built
}
