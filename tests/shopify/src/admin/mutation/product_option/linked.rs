//! Options that follow a metafield of the product: each value stands for a metaobject and is called as
//! that is, and the metafield lists them.
//! <https://shopify.dev/docs/apps/build/product-merchandising/products-and-collections/metafield-linked>

use serde_json::{Value, json};

use crate::admin::mutation::{UserError, metafield};
use crate::gid::Gid;
use crate::shop::Shop;

const FIELD: [&str; 2] = ["options", "linkedMetafield"];

/// The metafield that an option is to follow, as documents hold it.
fn followed(shop: &Shop, given: &Value) -> Result<Value, UserError> {
    let text = |field: &str| given[field].as_str().unwrap_or_default();
    if !metafield::lists_metaobjects(shop, text("namespace"), text("key")) {
        let message = "No valid metafield definition found for linked option.";
        let error = UserError::new(&FIELD, message);
        return Err(error.code("LINKED_METAFIELD_DEFINITION_NOT_FOUND"));
    }
    Ok(json!({
        "__typename": "LinkedMetafield", "namespace": text("namespace"), "key": text("key"),
    }))
}

/// What a metaobject is called.
fn name(shop: &Shop, entry: &Value) -> Result<Value, UserError> {
    let gid = entry.as_str().and_then(|gid| gid.parse::<Gid>().ok());
    let gid = gid.filter(|gid| gid.type_name() == "Metaobject");
    match gid.and_then(|gid| shop.store.get(gid)) {
        Some(metaobject) => Ok(metaobject["displayName"].clone()),
        None => {
            let error = UserError::new(&FIELD, "Invalid metafield value for linked option.");
            Err(error.code("INVALID_METAFIELD_VALUE_FOR_LINKED_OPTION"))
        }
    }
}

/// Options that are given, with the values of linked ones spelled out as those of others are.
pub(in crate::admin::mutation) fn spelled(
    shop: &Shop,
    options: &[Value],
) -> Result<Vec<Value>, UserError> {
    let mut options = options.to_vec();
    for option in &mut options {
        let link = option.get("linkedMetafield").cloned().unwrap_or_default();
        if link.is_null() {
            continue;
        }
        let mut values = Vec::new();
        for entry in link["values"].as_array().into_iter().flatten() {
            values.push(json!({ "name": name(shop, entry)?, "linkedMetafieldValue": entry }));
        }
        option["linkedMetafield"] = followed(shop, &link)?;
        option["values"] = values.into();
    }
    Ok(options)
}

/// Has an option of a product follow a metafield, if it is to.
pub(super) fn follow(
    shop: &Shop,
    options: &mut [Value],
    at: usize,
    given: &Value,
) -> Result<(), UserError> {
    if given.is_null() {
        return Ok(());
    }
    let followed = followed(shop, given)?;
    let mut others = options.iter().enumerate().filter(|(other, _)| *other != at);
    if others.any(|(_, other)| other["linkedMetafield"] == followed) {
        let message = "An option linked to the provided metafield already exists.";
        let error = UserError::new(&FIELD, message);
        return Err(error.code("OPTION_LINKED_METAFIELD_ALREADY_TAKEN"));
    }
    options[at]["linkedMetafield"] = followed;
    Ok(())
}

/// What a value that is given is called: by its own name, or as its metaobject.
pub(super) fn called(shop: &Shop, given: &Value) -> Result<Value, UserError> {
    match &given["linkedMetafieldValue"] {
        Value::Null => Ok(given["name"].clone()),
        entry => name(shop, entry),
    }
}

/// What is wrong with an option of which some values stand for metaobjects and others do not.
pub(in crate::admin::mutation) fn mixed(option: &Value, given: &Value) -> Option<UserError> {
    let mut values = option["optionValues"].as_array().into_iter().flatten();
    let is_linked = option["linkedMetafield"].is_object();
    if values.all(|value| value["linkedMetafieldValue"].is_string() == is_linked) {
        return None;
    }
    Some(match given.is_null() {
        true => {
            let message =
                "An option cannot have both metafield linked and nonlinked option values.";
            let error = UserError::new(&FIELD, message);
            error.code("CANNOT_COMBINE_LINKED_AND_NONLINKED_OPTION_VALUES")
        }
        false => {
            let message = "Updating the linked_metafield of an option requires a \
                           linked_metafield_value for each option value.";
            let error = UserError::new(&FIELD, message);
            error.code("LINKED_OPTION_UPDATE_MISSING_VALUES")
        }
    })
}

/// The value of an option that stands for a metaobject; one that is new is added.
pub(super) fn learn(
    shop: &mut Shop,
    product: Gid,
    option: &Value,
    entry: &Value,
) -> Result<String, UserError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if !option["linkedMetafield"].is_object() {
        let message = "An option cannot have both metafield linked and nonlinked option values.";
        let error = UserError::new(&["variants", "optionValues"], message);
        return Err(error.code("CANNOT_COMBINE_LINKED_AND_NONLINKED_OPTION_VALUES"));
    }
    let mut known = option["optionValues"].as_array().into_iter().flatten();
    if let Some(known) = known.find(|known| known["linkedMetafieldValue"] == *entry) {
        return Ok(text(&known["name"]));
    }
    let name = text(&name(shop, entry)?);
    let mut value = super::option_value(shop.store.fresh("ProductOptionValue"), &name);
    value["linkedMetafieldValue"] = entry.clone();
    shop.update(product, |state| {
        let mut options = state["options"].as_array_mut().into_iter().flatten();
        let values = options.find(|known| known["id"] == option["id"]);
        if let Some(values) = values.and_then(|known| known["optionValues"].as_array_mut())
            && !values.iter().any(|known| known["linkedMetafieldValue"] == *entry)
        {
            values.push(value);
        }
    });
    settle(shop, product);
    Ok(name)
}

/// No value of a linked option is made by its name.
pub(super) fn is_named(option: &Value, name: &str) -> Result<(), UserError> {
    let mut values = option["optionValues"].as_array().into_iter().flatten();
    if option["linkedMetafield"].is_null() || values.any(|known| known["name"] == *name) {
        return Ok(());
    }
    let message = "Cannot set name for an option value linked to a metafield.";
    let error = UserError::new(&["variants", "optionValues"], message);
    Err(error.code("CANNOT_SET_NAME_FOR_LINKED_OPTION_VALUE"))
}

/// Has the metafields that a product's options follow list what the values stand for.
pub(in crate::admin::mutation) fn settle(shop: &mut Shop, product: Gid) {
    let state = shop.store.get(product).unwrap_or_default();
    let options = state["options"].as_array().into_iter().flatten();
    for option in options.filter(|option| option["linkedMetafield"].is_object()) {
        let values = option["optionValues"].as_array().into_iter().flatten();
        let entries: Value = values.map(|value| value["linkedMetafieldValue"].clone()).collect();
        let link = &option["linkedMetafield"];
        let given = json!({
            "namespace": link["namespace"], "key": link["key"], "value": entries.to_string(),
        });
        metafield::write(shop, product, &given, "list.metaobject_reference");
    }
}
