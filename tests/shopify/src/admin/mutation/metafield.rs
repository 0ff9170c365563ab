//! Metafields of anything that has them.

use serde_json::{Value, json};

use super::{Call, UserError};
use crate::admin::field::compare_digest;
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, own, targets};

mod definition;

pub(crate) use definition::definition_type;

const SET_MAX: usize = 25;
/// "with a maximum total request payload size of 10MB"
/// <https://shopify.dev/docs/api/admin-graphql/latest/mutations/metafieldsSet>
const SET_BYTES_MAX: usize = 10_000_000;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "metafieldsSet" => set(shop, call),
        "metafieldsDelete" => Ok(delete(shop, call)),
        "metafieldDefinitionCreate" => definition::define(shop, call),
        "standardMetafieldDefinitionEnable" => Ok(definition::enable(shop, call)),
        "metafieldDefinitionUpdate" => definition::redefine(shop, call),
        "metafieldDefinitionDelete" => Ok(definition::undefine(shop, call)),
        _ => return None,
    })
}

/// The owner's metafield of that name.
fn find(shop: &Shop, owner: Gid, namespace: &str, key: &str) -> Option<Gid> {
    let owner = shop.store.get(owner)?;
    targets(&owner, "metafields").find(|gid| {
        shop.store.get(*gid).is_some_and(|m| m["namespace"] == *namespace && m["key"] == *key)
    })
}

/// How GraphQL calls owners of a type.
fn owner_type(gid: Gid) -> Option<&'static str> {
    Some(match gid.type_name() {
        "Product" => "PRODUCT",
        "ProductVariant" => "PRODUCTVARIANT",
        "Collection" => "COLLECTION",
        "Customer" => "CUSTOMER",
        "Order" => "ORDER",
        "Page" => "PAGE",
        "Blog" => "BLOG",
        "Article" => "ARTICLE",
        "Location" => "LOCATION",
        "Company" => "COMPANY",
        "CompanyLocation" => "COMPANY_LOCATION",
        "DraftOrder" => "DRAFTORDER",
        "Market" => "MARKET",
        "Shop" => "SHOP",
        _ => return None,
    })
}

/// Whether a value is one of a type.
fn fits(kind: &str, value: &str) -> bool {
    let parsed = || serde_json::from_str::<Value>(value).ok();
    match kind {
        "number_integer" => value.parse::<i64>().is_ok(),
        "number_decimal" => value.parse::<f64>().is_ok(),
        "boolean" => matches!(value, "true" | "false"),
        "json" | "rich_text_field" | "money" | "dimension" | "weight" | "volume" | "rating" => {
            parsed().is_some()
        }
        "single_line_text_field" => !value.contains('\n'),
        "date_time" => value.parse::<jiff::Timestamp>().is_ok() || value.contains('T'),
        _ if kind.starts_with("list.") => parsed().is_some_and(|value| value.is_array()),
        _ if kind.ends_with("_reference") => value.starts_with("gid://shopify/"),
        _ => true,
    }
}

/// What is wrong with a value; otherwise its type.
fn check(shop: &Shop, owner: Gid, given: &Value) -> Outcome<Result<String, UserError>> {
    let Some(owner_type) = owner_type(owner) else {
        return Err(not_simulated(format_args!("metafields of {}", owner.type_name())));
    };
    let text = |field: &str| given[field].as_str().unwrap_or_default();
    let error = |field: &str, message: String, code: &str| {
        Ok(Err(UserError::new(&["metafields", field], message).code(code)))
    };
    if text("namespace").starts_with("app--") {
        let message =
            "Access to this namespace and key on Metafields for this resource type is not allowed.";
        return error("namespace", message.into(), "APP_NOT_AUTHORIZED");
    }
    let definition = definition::find(shop, owner_type, text("namespace"), text("key"));
    let defined = definition.as_ref().and_then(|d| d["type"]["name"].as_str());
    let before = find(shop, owner, text("namespace"), text("key"))
        .and_then(|gid| shop.store.get(gid))
        .and_then(|metafield| metafield["type"].as_str().map(str::to_owned));
    let kind = given["type"].as_str().map(str::to_owned);
    let kind = kind.or_else(|| defined.map(str::to_owned)).or(before);
    let Some(kind) = kind.filter(|kind| !kind.is_empty()) else {
        return error("type", "Type can't be blank".into(), "BLANK");
    };
    if defined.is_some_and(|defined| defined != kind) {
        let message = format!(
            "Type must be consistent with the definition's type: {}",
            defined.unwrap_or_default()
        );
        return error("type", message, "INVALID_TYPE");
    }
    if text("value").is_empty() {
        return error("value", "Value can't be blank.".into(), "BLANK");
    }
    if !fits(&kind, text("value")) {
        return error("value", format!("Value is invalid for {kind}."), "INVALID_VALUE");
    }
    Ok(Ok(kind))
}

/// Whether a product's metafield of that name is defined as a list of metaobjects, of any length.
pub(super) fn lists_metaobjects(shop: &Shop, namespace: &str, key: &str) -> bool {
    definition::find(shop, "PRODUCT", namespace, key).is_some_and(|known| {
        let mut validations = known["validations"].as_array().into_iter().flatten();
        known["type"]["name"] == "list.metaobject_reference"
            && !validations.any(|of| of["name"] == "list.min" || of["name"] == "list.max")
    })
}

/// Writes a metafield of a type, whoever may.
pub(super) fn write(shop: &mut Shop, owner: Gid, given: &Value, kind: &str) -> Gid {
    let text = |field: &str| given[field].as_str().unwrap_or_default();
    let known = find(shop, owner, text("namespace"), text("key"));
    if let Some(gid) = known {
        shop.update(gid, |state| {
            state["value"] = given["value"].clone();
            state["type"] = json!(kind);
        });
        return gid;
    }
    let gid = shop.store.fresh("Metafield");
    let now = shop.now_text();
    shop.put(gid, json!({
        "__typename": "Metafield", "id": gid.to_string(), "namespace": text("namespace"),
        "key": text("key"), "type": kind, "value": given["value"], "description": null,
        "owner": link(owner), "ownerType": owner_type(owner), "createdAt": now, "updatedAt": now,
    }));
    // The owner's own date does not move: nothing tells of a metafield but a read.
    if let Some(state) = shop.store.get(owner) {
        let mut state = (*state).clone();
        if let Some(metafields) = state["metafields"].as_array_mut() {
            metafields.push(own(gid));
        }
        shop.put(owner, state);
    }
    gid
}

/// Writes the metafields that an owner's own input carries.
pub(super) fn write_owned(
    shop: &mut Shop,
    owner: Gid,
    metafields: &[Value],
) -> Outcome<Result<(), UserError>> {
    let mut kinds = Vec::new();
    for given in metafields {
        match check(shop, owner, given)? {
            Ok(kind) => kinds.push(kind),
            Err(error) => return Ok(Err(error)),
        }
    }
    for (given, kind) in metafields.iter().zip(kinds) {
        write(shop, owner, given, &kind);
    }
    Ok(Ok(()))
}

/// Deletes the metafields that a list does not name.
pub(super) fn keep_only(shop: &mut Shop, owner: Gid, metafields: &[Value]) {
    let Some(state) = shop.store.get(owner) else { return };
    let dropped: Vec<Gid> = targets(&state, "metafields")
        .filter(|gid| {
            let metafield = shop.store.get(*gid).unwrap_or_default();
            !metafields.iter().any(|given| {
                given["namespace"] == metafield["namespace"] && given["key"] == metafield["key"]
            })
        })
        .collect();
    for gid in dropped {
        unset(shop, owner, gid);
    }
}

fn unset(shop: &mut Shop, owner: Gid, gid: Gid) {
    shop.remove(gid);
    if let Some(state) = shop.store.get(owner) {
        let mut state = (*state).clone();
        state["metafields"] =
            targets(&state, "metafields").filter(|m| *m != gid).map(own).collect();
        shop.put(owner, state);
    }
}

/// All or nothing, and with `compareDigest` only over what was seen.
fn set(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("metafields").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut errors = Vec::new();
    let mut accepted = Vec::new();
    if given.len() > SET_MAX {
        let message = format!("Exceeded the maximum metafields input limit of {SET_MAX}.");
        errors.push(UserError::new(&["metafields"], message).code("LESS_THAN_OR_EQUAL_TO"));
    }
    if given.iter().map(|metafield| metafield.to_string().len()).sum::<usize>() > SET_BYTES_MAX {
        let error = UserError::new(&["metafields"], "Exceeded the maximum payload of 10MB.");
        errors.push(error.code("LESS_THAN_OR_EQUAL_TO"));
    }
    for (at, metafield) in given.iter().enumerate() {
        let at = at.to_string();
        let owner = metafield["ownerId"].as_str().and_then(|id| id.parse::<Gid>().ok());
        let Some(owner) = owner.filter(|owner| shop.store.get(*owner).is_some()) else {
            let error = UserError::new(&["metafields", &at, "ownerId"], "Owner does not exist.");
            errors.push(error.code("INVALID"));
            continue;
        };
        let text = |field: &str| metafield[field].as_str().unwrap_or_default();
        if metafield.get("compareDigest").is_some() {
            let known = find(shop, owner, text("namespace"), text("key"));
            let known = known.and_then(|gid| shop.store.get(gid));
            let digest =
                known.map(|m| json!(compare_digest(m["value"].as_str().unwrap_or_default())));
            if metafield["compareDigest"] != digest.unwrap_or_default() {
                let message = "The resource has been updated since it was loaded. Try again with an updated `compareDigest` value.";
                let error = UserError::new(&["metafields", &at], message);
                errors.push(error.code("STALE_OBJECT"));
                continue;
            }
        }
        match check(shop, owner, metafield)? {
            Ok(kind) => accepted.push((owner, metafield, kind)),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Ok(super::failed("metafields", errors));
    }
    let written: Vec<Value> = accepted
        .into_iter()
        .map(|(owner, metafield, kind)| link(write(shop, owner, metafield, &kind)))
        .collect();
    Ok(super::done("metafields", json!(written)))
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let given = call.args.get("metafields").and_then(Value::as_array).cloned().unwrap_or_default();
    let deleted: Vec<Value> = given
        .iter()
        .map(|identifier| {
            let owner = identifier["ownerId"].as_str().and_then(|id| id.parse::<Gid>().ok());
            let text = |field: &str| identifier[field].as_str().unwrap_or_default();
            let found = owner.and_then(|owner| {
                Some((owner, find(shop, owner, text("namespace"), text("key"))?))
            });
            let Some((owner, gid)) = found else { return Value::Null };
            unset(shop, owner, gid);
            identifier.clone()
        })
        .collect();
    super::done("deletedMetafields", json!(deleted))
}
