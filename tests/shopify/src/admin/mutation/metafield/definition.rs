//! Definitions of metafields.

use serde_json::{Value, json};

use super::unset;
use crate::admin::mutation::{Call, Input, UserError, done, failed};
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

/// The definition that a value has to satisfy.
pub(super) fn find(shop: &Shop, owner: &str, namespace: &str, key: &str) -> Option<Value> {
    let found = shop.store.live("MetafieldDefinition").find(|(_, definition)| {
        definition["ownerType"] == *owner
            && definition["namespace"] == *namespace
            && definition["key"] == *key
    });
    found.map(|(_, definition)| (*definition).clone())
}

pub(super) fn define(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
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
    let input = Input::of("MetafieldDefinitionInput", &given, &fields)?;
    let text = |field: &str| input.text(field).unwrap_or_default().to_owned();
    let namespace = input.text("namespace").unwrap_or("$app").to_owned();
    if find(shop, &text("ownerType"), &namespace, &text("key")).is_some() {
        let error = UserError::new(&["definition", "key"], "Key is in use for this owner type");
        return Ok(failed("createdDefinition", vec![error.code("TAKEN")]));
    }
    let is_reserved = |known: &Template| known.namespace == namespace && known.key == text("key");
    if TEMPLATES.iter().any(is_reserved) {
        let message = "This namespace and key combination is reserved for standard definitions.";
        let error = UserError::new(&["definition", "key"], message);
        return Ok(failed("createdDefinition", vec![error.code("RESERVED_NAMESPACE_KEY")]));
    }
    if given["pin"] == true
        && let Some(error) = full_of_pins(shop, &given["ownerType"])
    {
        return Ok(failed("createdDefinition", vec![error]));
    }
    if let Some(error) = uncapable(&given["ownerType"], &given["capabilities"]) {
        return Ok(failed("createdDefinition", vec![error]));
    }
    let gid = put_definition(shop, &namespace, &given, Value::Null);
    Ok(done("createdDefinition", link(gid)))
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

/// What is wrong with capabilities that are given: carts hand on the values of orders alone.
/// <https://shopify.dev/docs/api/admin-graphql/latest/objects/MetafieldCapabilityCartToOrderCopyable>
fn uncapable(owner: &Value, given: &Value) -> Option<UserError> {
    (given["cartToOrderCopyable"]["enabled"] == true && *owner != "ORDER").then(|| {
        let message = "The metafield definition capability is invalid.";
        UserError::new(&["definition", "capabilities"], message).code("INVALID_CAPABILITY")
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
pub(super) fn enable(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "createdDefinition";
    let asked = |name: &str| call.args.get(name).cloned().unwrap_or_default();
    let (owner, template) = (asked("ownerType"), asked("id"));
    let number = template.as_str().and_then(|id| id.strip_prefix(TEMPLATE));
    let number = number.and_then(|number| number.parse::<u64>().ok());
    let Some(of) = TEMPLATES.iter().find(|known| Some(known.number) == number) else {
        let error = UserError::new(&["id"], "The standard metafield definition was not found.");
        return failed(result, vec![error.code("TEMPLATE_NOT_FOUND")]);
    };
    if find(shop, owner.as_str().unwrap_or_default(), of.namespace, of.key).is_some() {
        let error = UserError::new(&["ownerType"], "The definition is already enabled");
        return failed(result, vec![error.code("TAKEN")]);
    }
    let given = json!({
        "name": of.name, "key": of.key, "type": of.kind, "ownerType": owner, "pin": asked("pin"),
        "access": asked("access"), "capabilities": asked("capabilities"),
    });
    let template = json!({ "__typename": "StandardMetafieldDefinitionTemplate", "id": template });
    done(result, link(put_definition(shop, of.namespace, &given, template)))
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
            "analyticsQueryable": { "enabled": false, "eligible": true },
            "cartToOrderCopyable": { "enabled": false, "eligible": given["ownerType"] == "ORDER" },
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
    for name in [
        "adminFilterable",
        "analyticsQueryable",
        "cartToOrderCopyable",
        "smartCollectionCondition",
        "uniqueValues",
    ] {
        if let Some(enabled) = given[name].get("enabled") {
            state["capabilities"][name]["enabled"] = enabled.clone();
        }
    }
}

pub(super) fn redefine(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
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
    let input = Input::of("MetafieldDefinitionUpdateInput", &given, &fields)?;
    let text = |field: &str| input.text(field).unwrap_or_default();
    let found = shop.store.live("MetafieldDefinition").find(|(_, definition)| {
        ["ownerType", "namespace", "key"].iter().all(|field| definition[*field] == *text(field))
    });
    let Some((gid, held)) = found else {
        let error = UserError::new(&["definition"], "Definition not found.").code("NOT_FOUND");
        return Ok(failed("updatedDefinition", vec![error]));
    };
    if given["pin"] == true
        && held["pinnedPosition"].is_null()
        && let Some(error) = full_of_pins(shop, &given["ownerType"])
    {
        return Ok(failed("updatedDefinition", vec![error]));
    }
    if let Some(error) = uncapable(&given["ownerType"], &given["capabilities"]) {
        return Ok(failed("updatedDefinition", vec![error]));
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
    Ok(done("updatedDefinition", link(gid)))
}

/// Without `deleteAllAssociatedMetafields` the values stay; with it they go and nothing tells.
pub(super) fn undefine(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, definition)) = found else {
        let error = UserError::new(&["id"], "Definition not found.").code("NOT_FOUND");
        return failed("deletedDefinitionId", vec![error]);
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
        return failed("deletedDefinitionId", vec![error]);
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
    done("deletedDefinitionId", json!(gid.to_string()))
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
