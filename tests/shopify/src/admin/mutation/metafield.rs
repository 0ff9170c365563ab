//! Metafields of anything that has them.

use serde_json::{Value, json};

use super::{Call, UserError};
use crate::admin::field::compare_digest;
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, own, targets};

const SET_MAX: usize = 25;
/// "with a maximum total request payload size of 10MB"
/// <https://shopify.dev/docs/api/admin-graphql/latest/mutations/metafieldsSet>
const SET_BYTES_MAX: usize = 10_000_000;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "metafieldsSet" => set(shop, call),
        "metafieldsDelete" => Ok(delete(shop, call)),
        "metafieldDefinitionCreate" => define(shop, call),
        "standardMetafieldDefinitionEnable" => Ok(enable(shop, call)),
        "metafieldDefinitionUpdate" => redefine(shop, call),
        "metafieldDefinitionDelete" => Ok(undefine(shop, call)),
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
        _ => return None,
    })
}

/// The definition that a value has to satisfy.
fn definition(shop: &Shop, owner: &str, namespace: &str, key: &str) -> Option<Value> {
    let found = shop.store.live("MetafieldDefinition").find(|(_, definition)| {
        definition["ownerType"] == *owner
            && definition["namespace"] == *namespace
            && definition["key"] == *key
    });
    found.map(|(_, definition)| (*definition).clone())
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
    let definition = definition(shop, owner_type, text("namespace"), text("key"));
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

fn write(shop: &mut Shop, owner: Gid, given: &Value, kind: &str) -> Gid {
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

fn define(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("definition").cloned().unwrap_or_default();
    let fields = [
        "name",
        "namespace",
        "key",
        "ownerType",
        "type",
        "description",
        "validations",
        "pin",
        "access",
        "capabilities",
    ];
    let input = super::Input::of("MetafieldDefinitionInput", &given, &fields)?;
    let text = |field: &str| input.text(field).unwrap_or_default().to_owned();
    let namespace = input.text("namespace").unwrap_or("$app").to_owned();
    if definition(shop, &text("ownerType"), &namespace, &text("key")).is_some() {
        let error = UserError::new(&["definition", "key"], "Key is in use for this owner type");
        return Ok(super::failed("createdDefinition", vec![error.code("TAKEN")]));
    }
    let is_reserved = |known: &Template| known.namespace == namespace && known.key == text("key");
    if TEMPLATES.iter().any(is_reserved) {
        let message = "This namespace and key combination is reserved for standard definitions.";
        let error = UserError::new(&["definition", "key"], message);
        return Ok(super::failed("createdDefinition", vec![error.code("RESERVED_NAMESPACE_KEY")]));
    }
    if given["pin"] == true
        && let Some(error) = full_of_pins(shop, &given["ownerType"])
    {
        return Ok(super::failed("createdDefinition", vec![error]));
    }
    let gid = put_definition(shop, &namespace, &given, Value::Null);
    Ok(super::done("createdDefinition", link(gid)))
}

/// Most pinned definitions for one sort of owner.
/// <https://shopify.dev/docs/apps/build/metafields/metafield-limits>
const PINNED_MAX: usize = 20;

fn full_of_pins(shop: &Shop, owner: &Value) -> Option<UserError> {
    let all = shop.store.live("MetafieldDefinition");
    let pinned = all.filter(|(_, of)| of["ownerType"] == *owner && !of["pinnedPosition"].is_null());
    (pinned.count() >= PINNED_MAX).then(|| {
        let message = format!("Limit of {PINNED_MAX} pinned definitions.");
        UserError::new(&["definition"], message).code("PINNED_LIMIT_REACHED")
    })
}

/// A definition that Shopify keeps in store for every shop.
struct Template {
    number: u64,
    namespace: &'static str,
    key: &'static str,
    name: &'static str,
    kind: &'static str,
}

/// Some of them.
/// <https://shopify.dev/docs/apps/build/custom-data/metafields/list-of-standard-definitions>
const TEMPLATES: [Template; 2] = [
    Template {
        number: 1,
        namespace: "descriptors",
        key: "subtitle",
        name: "Product subtitle",
        kind: "single_line_text_field",
    },
    Template {
        number: 2,
        namespace: "descriptors",
        key: "care_guide",
        name: "Care guide",
        kind: "multi_line_text_field",
    },
];

const TEMPLATE: &str = "gid://shopify/StandardMetafieldDefinitionTemplate/";

/// Turns a standard definition on.
fn enable(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "createdDefinition";
    let asked = |name: &str| call.args.get(name).cloned().unwrap_or_default();
    let (owner, template) = (asked("ownerType"), asked("id"));
    let number = template.as_str().and_then(|id| id.strip_prefix(TEMPLATE));
    let number = number.and_then(|number| number.parse::<u64>().ok());
    let Some(of) = TEMPLATES.iter().find(|known| Some(known.number) == number) else {
        let error = UserError::new(&["id"], "The standard metafield definition was not found.");
        return super::failed(result, vec![error.code("TEMPLATE_NOT_FOUND")]);
    };
    if definition(shop, owner.as_str().unwrap_or_default(), of.namespace, of.key).is_some() {
        let error = UserError::new(&["ownerType"], "The definition is already enabled");
        return super::failed(result, vec![error.code("TAKEN")]);
    }
    let given = json!({
        "name": of.name, "key": of.key, "type": of.kind, "ownerType": owner, "pin": asked("pin"),
        "access": asked("access"), "capabilities": asked("capabilities"),
    });
    let template = json!({ "__typename": "StandardMetafieldDefinitionTemplate", "id": template });
    super::done(result, link(put_definition(shop, of.namespace, &given, template)))
}

/// A new definition, and what tells of it.
fn put_definition(shop: &mut Shop, namespace: &str, given: &Value, template: Value) -> Gid {
    let gid = shop.store.fresh("MetafieldDefinition");
    let given_validations = given["validations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let pinned = given["pin"] == true;
    let kind = given["type"].as_str().unwrap_or_default();
    shop.put(gid, json!({
        "__typename": "MetafieldDefinition", "id": gid.to_string(), "name": given["name"],
        "namespace": namespace, "key": given["key"], "ownerType": given["ownerType"],
        "description": given["description"], "validations": validations(given_validations),
        "type": definition_type(kind),
        "access": {
            "__typename": "MetafieldAccess", "admin": "PUBLIC_READ_WRITE",
            "storefront": given["access"].get("storefront").cloned().unwrap_or(json!("NONE")),
            "customerAccount":
                given["access"].get("customerAccount").cloned().unwrap_or(json!("NONE")),
        },
        "capabilities": {
            "__typename": "MetafieldCapabilities",
            "adminFilterable": { "enabled": false, "eligible": true, "status": "NOT_FILTERABLE" },
            "smartCollectionCondition": { "enabled": false, "eligible": true },
            "uniqueValues": { "enabled": false, "eligible": true },
        },
        "pinnedPosition": pinned.then_some(1), "constraints": null, "standardTemplate": template,
        "validationStatus": "ALL_VALID", "useAsCollectionCondition": false,
    }));
    shop.update(gid, |state| give_capabilities(state, &given["capabilities"]));
    shop.announce("metafield_definitions/create", gid);
    gid
}

fn validations(given: &[Value]) -> Vec<Value> {
    let validation = |v: &Value| {
        json!({
            "__typename": "MetafieldDefinitionValidation", "name": v["name"], "value": v["value"],
            "type": "single_line_text_field",
        })
    };
    given.iter().map(validation).collect()
}

/// Turns capabilities on and off; those that are not named stay.
fn give_capabilities(state: &mut Value, given: &Value) {
    for name in ["adminFilterable", "smartCollectionCondition", "uniqueValues"] {
        if let Some(enabled) = given[name].get("enabled") {
            state["capabilities"][name]["enabled"] = enabled.clone();
        }
    }
}

fn redefine(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("definition").cloned().unwrap_or_default();
    let fields = [
        "name",
        "namespace",
        "key",
        "ownerType",
        "description",
        "validations",
        "pin",
        "access",
        "capabilities",
    ];
    let input = super::Input::of("MetafieldDefinitionUpdateInput", &given, &fields)?;
    let text = |field: &str| input.text(field).unwrap_or_default();
    let found = shop.store.live("MetafieldDefinition").find(|(_, definition)| {
        ["ownerType", "namespace", "key"].iter().all(|field| definition[*field] == *text(field))
    });
    let Some((gid, held)) = found else {
        let error = UserError::new(&["definition"], "Definition not found.").code("NOT_FOUND");
        return Ok(super::failed("updatedDefinition", vec![error]));
    };
    if given["pin"] == true
        && held["pinnedPosition"].is_null()
        && let Some(error) = full_of_pins(shop, &given["ownerType"])
    {
        return Ok(super::failed("updatedDefinition", vec![error]));
    }
    shop.update(gid, |state| {
        input.copy(state, &[("name", "name"), ("description", "description")]);
        if let Some(given) = input.list("validations") {
            state["validations"] = json!(validations(given));
        }
        if let Some(pin) = input.get("pin") {
            state["pinnedPosition"] = if *pin == json!(true) { json!(1) } else { Value::Null };
        }
        for name in ["storefront", "customerAccount"] {
            if let Some(access) = given["access"].get(name) {
                state["access"][name] = access.clone();
            }
        }
        give_capabilities(state, &given["capabilities"]);
    });
    shop.announce("metafield_definitions/update", gid);
    Ok(super::done("updatedDefinition", link(gid)))
}

/// Without `deleteAllAssociatedMetafields` the values stay; with it they go and nothing tells.
fn undefine(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, definition)) = found else {
        let error = UserError::new(&["id"], "Definition not found.").code("NOT_FOUND");
        return super::failed("deletedDefinitionId", vec![error]);
    };
    let all = call.args.flag("deleteAllAssociatedMetafields") == Some(true);
    let kind = definition["type"]["name"].as_str().unwrap_or_default();
    // <https://shopify.dev/docs/api/admin-graphql/latest/enums/MetafieldDefinitionDeleteUserErrorCode>
    let refusal = match kind {
        "id" => Some(("an id", "ID_TYPE_DELETION_ERROR")),
        kind if kind.ends_with("_reference") => {
            Some(("a reference", "REFERENCE_TYPE_DELETION_ERROR"))
        }
        _ => None,
    };
    if let Some((of, code)) = refusal.filter(|_| !all) {
        let message = format!(
            "Deleting {of} type metafield definition requires deletion of its associated metafields."
        );
        let error = UserError::new(&["id"], message).code(code);
        return super::failed("deletedDefinitionId", vec![error]);
    }
    if all {
        let values: Vec<(Gid, Option<Gid>)> = shop
            .store
            .live("Metafield")
            .filter(|(_, m)| {
                ["namespace", "key", "ownerType"].iter().all(|f| m[*f] == definition[*f])
            })
            .map(|(value, m)| (value, crate::store::target(&m["owner"])))
            .collect();
        for (value, owner) in values {
            if let Some(owner) = owner {
                unset(shop, owner, value);
            }
        }
    }
    shop.remove(gid);
    shop.announce("metafield_definitions/delete", gid);
    super::done("deletedDefinitionId", json!(gid.to_string()))
}

/// The type of a definition's values, as documents hold it.
pub(crate) fn definition_type(name: &str) -> Value {
    let of = |part: &str| name.split(['_', '.']).any(|word| word == part);
    let category = match () {
        () if of("reference") => "REFERENCE".to_owned(),
        () if of("text") => "TEXT".to_owned(),
        () => name.split('_').next().unwrap_or_default().to_uppercase(),
    };
    json!({
        "__typename": "MetafieldDefinitionType", "name": name, "category": category,
        "supportsDefinitionMigrations": false, "supportedValidations": [],
    })
}
