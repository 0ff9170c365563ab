//! Metaobjects, and the definitions that come before them.

use serde_json::{Map, Value, json};

use super::{Call, Input, UserError, answer};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::handle;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "metaobjectDefinitionCreate" => define(shop, call),
        "standardMetaobjectDefinitionEnable" => Ok(enable(shop, call)),
        "metaobjectDefinitionUpdate" => redefine(shop, call),
        "metaobjectDefinitionDelete" => Ok(undefine(shop, call)),
        "metaobjectCreate" => create(shop, call),
        "metaobjectUpsert" => upsert(shop, call),
        "metaobjectUpdate" => update(shop, call),
        "metaobjectDelete" => Ok(delete(shop, call)),
        _ => return None,
    })
}

/// One of a definition's fields, as documents hold it.
fn field_definition(given: &Value) -> Value {
    let kind = given["type"].as_str().unwrap_or_default();
    json!({
        "__typename": "MetaobjectFieldDefinition", "key": given["key"],
        "name": if given["name"].is_null() { given["key"].clone() } else { given["name"].clone() },
        "description": given["description"], "required": given["required"] == true,
        "type": super::metafield::definition_type(kind),
        "validations": given["validations"].as_array().cloned().unwrap_or_default(),
        "capabilities": {
            "__typename": "MetaobjectFieldDefinitionCapabilities",
            "adminFilterable": { "enabled": filterable(given) == Some(true), "eligible": true },
        },
    })
}

/// Whether a field's input says that entries can be filtered by it.
fn filterable(given: &Value) -> Option<bool> {
    given.pointer("/capabilities/adminFilterable/enabled")?.as_bool()
}

/// What is wrong with a field for metaobjects that does not say of which definition they are.
fn aimless(field: &Value) -> Option<UserError> {
    let kind = field["type"].as_str().unwrap_or_default();
    let refers = ["metaobject_reference", "mixed_reference"]
        .contains(&kind.strip_prefix("list.").unwrap_or(kind));
    let mut names = field["validations"].as_array().into_iter().flatten().map(|v| &v["name"]);
    let says =
        |name: &Value| name.as_str().is_some_and(|n| n.starts_with("metaobject_definition_"));
    (refers && !names.any(says)).then(|| {
        let message = "Validations require that you select a metaobject.";
        UserError::new(&["definition", "fieldDefinitions"], message).code("INVALID_OPTION")
    })
}

fn by_type(shop: &Shop, kind: &str) -> Option<(Gid, Value)> {
    let found = shop.store.live("MetaobjectDefinition").find(|(_, d)| d["type"] == *kind);
    found.map(|(gid, definition)| (gid, (*definition).clone()))
}

fn define(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let result = "metaobjectDefinition";
    let given = call.args.get("definition").cloned().unwrap_or_default();
    let fields = [
        "type",
        "name",
        "description",
        "displayNameKey",
        "fieldDefinitions",
        "access",
        "capabilities",
    ];
    let input = Input::of("MetaobjectDefinitionCreateInput", &given, &fields)?;
    let kind = input.text("type").unwrap_or_default();
    if kind.starts_with(RESERVED) {
        let message = "Not authorized. This type is reserved for use by another application.";
        let error = UserError::new(&["definition"], message).code("NOT_AUTHORIZED");
        return Ok(answer(result, Value::Null, vec![error]));
    }
    if by_type(shop, kind).is_some() {
        let error = UserError::new(&["definition", "type"], "Type has already been taken");
        return Ok(answer(result, Value::Null, vec![error.code("TAKEN")]));
    }
    if let Some(error) = input.list("fieldDefinitions").into_iter().flatten().find_map(aimless) {
        return Ok(answer(result, Value::Null, vec![error]));
    }
    let gid = put_definition(shop, &given);
    Ok(answer(result, link(gid), vec![]))
}

/// What the types of definitions begin with that Shopify keeps for itself.
const RESERVED: &str = "shopify--";
/// The only one of those that is modelled.
const QUESTIONS: &str = "shopify--qa-pair";

/// Turns a standard definition on; one that is on already is answered with.
fn enable(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "metaobjectDefinition";
    if call.args.text("type") != Some(QUESTIONS) {
        let error = UserError::new(&["type"], "Record not found").code("RECORD_NOT_FOUND");
        return answer(result, Value::Null, vec![error]);
    }
    if let Some((gid, _)) = by_type(shop, QUESTIONS) {
        return answer(result, link(gid), vec![]);
    }
    let gid = put_definition(
        shop,
        &json!({
            "type": QUESTIONS, "name": "Question and Answer Pairs", "displayNameKey": "question",
            "description": "Question and answer pairs that describe a merchant's shop.",
            "fieldDefinitions": [
                { "key": "question", "name": "Question", "type": "single_line_text_field", "required": true },
                { "key": "answer", "name": "Answer", "type": "multi_line_text_field", "required": true },
                { "key": "sources", "name": "Sources", "type": "list.link" },
            ],
            "capabilities": { "translatable": { "enabled": true } },
        }),
    );
    answer(result, link(gid), vec![])
}

/// Writes a new definition.
pub(crate) fn put_definition(shop: &mut Shop, given: &Value) -> Gid {
    let gid = shop.store.fresh("MetaobjectDefinition");
    let now = shop.now_text();
    let fields = given["fieldDefinitions"].as_array().into_iter().flatten();
    let mut capabilities = json!({
        "__typename": "MetaobjectCapabilities", "publishable": { "enabled": false },
        "translatable": { "enabled": false }, "onlineStore": null, "renderable": null,
    });
    give_capabilities(&mut capabilities, &given["capabilities"]);
    let access = |field: &str, default: &str| match &given["access"][field] {
        Value::Null => json!(default),
        value => value.clone(),
    };
    shop.put(gid, json!({
        "__typename": "MetaobjectDefinition", "id": gid.to_string(), "type": given["type"],
        "name": if given["name"].is_null() { given["type"].clone() } else { given["name"].clone() },
        "description": given["description"], "displayNameKey": given["displayNameKey"],
        "fieldDefinitions": fields.map(field_definition).collect::<Vec<_>>(),
        "access": {
            "__typename": "MetaobjectAccess", "admin": access("admin", "PUBLIC_READ_WRITE"),
            "storefront": access("storefront", "NONE"),
            "customerAccount": access("customerAccount", "NONE"),
        },
        "capabilities": capabilities,
        "hasThumbnailField": false, "standardTemplate": null,
        "createdAt": now, "updatedAt": now,
    }));
    gid
}

/// Turns capabilities on and off; those that are not named stay.
fn give_capabilities(held: &mut Value, given: &Value) {
    for name in ["publishable", "translatable"] {
        if let Some(enabled) = given[name].get("enabled") {
            held[name]["enabled"] = enabled.clone();
        }
    }
    for (name, type_name, data_type) in [
        (
            "renderable",
            "MetaobjectCapabilitiesRenderable",
            "MetaobjectCapabilityDefinitionDataRenderable",
        ),
        (
            "onlineStore",
            "MetaobjectCapabilitiesOnlineStore",
            "MetaobjectCapabilityDefinitionDataOnlineStore",
        ),
    ] {
        let Some(enabled) = given[name].get("enabled") else { continue };
        let mut data = held[name]["data"].take();
        if let Value::Object(new) = &given[name]["data"] {
            data = json!({ "__typename": data_type });
            let names = ["metaTitleKey", "metaDescriptionKey", "urlHandle"];
            for name in names.iter().filter(|name| new.contains_key(**name)) {
                data[*name] = new[*name].clone();
            }
            data["canCreateRedirects"] = json!(new.get("createRedirects") == Some(&json!(true)));
        }
        held[name] = json!({ "__typename": type_name, "enabled": enabled, "data": data });
    }
}

fn redefine(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let result = "metaobjectDefinition";
    let found = call.args.gid("id").filter(|gid| shop.store.get(*gid).is_some());
    let Some(gid) = found else {
        let error = UserError::new(&["id"], "Record not found").code("RECORD_NOT_FOUND");
        return Ok(answer(result, Value::Null, vec![error]));
    };
    let given = call.args.get("definition").cloned().unwrap_or_default();
    let fields = [
        "name",
        "description",
        "displayNameKey",
        "fieldDefinitions",
        "access",
        "capabilities",
        "resetFieldOrder",
    ];
    let input = Input::of("MetaobjectDefinitionUpdateInput", &given, &fields)?;
    let mut state = shop.store.get(gid).map(|state| (*state).clone()).unwrap_or_default();
    let mut held = state["fieldDefinitions"].as_array().cloned().unwrap_or_default();
    for change in input.list("fieldDefinitions").into_iter().flatten() {
        if change["create"].is_object() {
            if let Some(error) = aimless(&change["create"]) {
                return Ok(answer(result, Value::Null, vec![error]));
            }
            held.push(field_definition(&change["create"]));
        } else if change["delete"].is_object() {
            held.retain(|field| field["key"] != change["delete"]["key"]);
        } else if let Some(field) = held.iter_mut().find(|f| f["key"] == change["update"]["key"]) {
            for name in ["name", "description", "required", "validations"] {
                if let Some(value) = change["update"].get(name) {
                    field[name] = value.clone();
                }
            }
            if let Some(filterable) = filterable(&change["update"]) {
                field["capabilities"]["adminFilterable"]["enabled"] = json!(filterable);
            }
        }
    }
    if input.get("resetFieldOrder") == Some(&json!(true)) {
        let named = input.list("fieldDefinitions").unwrap_or_default();
        reorder(&mut held, named);
    }
    state["fieldDefinitions"] = json!(held);
    shop.put(gid, state.clone());
    redefine_fields(shop, &state);
    shop.update(gid, |state| {
        give_capabilities(&mut state["capabilities"], &given["capabilities"]);
        for name in ["admin", "storefront", "customerAccount"] {
            if let Some(access) = given["access"].get(name) {
                state["access"][name] = access.clone();
            }
        }
        input.copy(
            state,
            &[
                ("name", "name"),
                ("description", "description"),
                ("displayNameKey", "displayNameKey"),
            ],
        );
    });
    Ok(answer(result, link(gid), vec![]))
}

/// Fields in the order in which they were named, then those that were not, by their keys.
fn reorder(held: &mut [Value], named: &[Value]) {
    let key = |change: &Value| {
        ["create", "update"].iter().find_map(|how| change[*how]["key"].as_str().map(str::to_owned))
    };
    let named: Vec<String> = named.iter().filter_map(key).collect();
    held.sort_by_key(|field| {
        let own = field["key"].as_str().unwrap_or_default().to_owned();
        (named.iter().position(|key| *key == own).unwrap_or(named.len()), own)
    });
}

/// Metaobjects have the fields that their definition has, in its order.
fn redefine_fields(shop: &mut Shop, definition: &Value) {
    let kind = definition["type"].as_str().unwrap_or_default();
    let defined = definition["fieldDefinitions"].as_array().cloned().unwrap_or_default();
    let entries = shop.store.live("Metaobject").filter(|(_, m)| m["type"] == *kind);
    let entries: Vec<(Gid, Value)> = entries.map(|(gid, m)| (gid, (*m).clone())).collect();
    for (gid, mut entry) in entries {
        let held = entry["fields"].as_array().cloned().unwrap_or_default();
        let fields: Vec<Value> = defined
            .iter()
            .map(|known| {
                let value = held.iter().find(|field| field["key"] == known["key"]);
                json!({
                    "__typename": "MetaobjectField", "key": known["key"],
                    "value": value.map(|field| field["value"].clone()).unwrap_or_default(),
                    "type": known["type"]["name"], "definition": known, "thumbnail": null,
                })
            })
            .collect();
        if entry["fields"] != json!(fields) {
            entry["displayName"] = json!(display_name(definition, &fields, kind));
            entry["fields"] = json!(fields);
            shop.put(gid, entry);
        }
    }
}

/// Takes all its metaobjects with it.
fn undefine(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, definition)) = found else {
        let error = UserError::new(&["id"], "Record not found").code("RECORD_NOT_FOUND");
        return answer("deletedId", Value::Null, vec![error]);
    };
    let entries = shop.store.live("Metaobject").filter(|(_, m)| m["type"] == definition["type"]);
    let entries: Vec<Gid> = entries.map(|(entry, _)| entry).collect();
    for entry in entries {
        shop.remove(entry);
        shop.announce("metaobjects/delete", entry);
    }
    shop.remove(gid);
    answer("deletedId", json!(gid.to_string()), vec![])
}

fn find(shop: &Shop, kind: &str, handle: &str) -> Option<Gid> {
    let found = shop.store.live("Metaobject");
    let mut found = found.filter(|(_, m)| m["type"] == *kind && m["handle"] == *handle);
    found.next().map(|(gid, _)| gid)
}

/// The fields of a definition with the values that are given, and those that were there.
fn fields(definition: &Value, before: &Value, given: &[Value]) -> Result<Vec<Value>, UserError> {
    let defined = definition["fieldDefinitions"].as_array().cloned().unwrap_or_default();
    for field in given {
        if !defined.iter().any(|known| known["key"] == field["key"]) {
            let message = format!("Field definition {} does not exist", field["key"]);
            let error = UserError::new(&["metaobject", "fields"], message);
            return Err(error.code("UNDEFINED_OBJECT_FIELD"));
        }
    }
    let mut fields = Vec::new();
    for known in &defined {
        let value = given.iter().find(|field| field["key"] == known["key"]);
        let held = before["fields"].as_array().into_iter().flatten();
        let held = held.into_iter().find(|field| field["key"] == known["key"]);
        let value = value.or(held).map(|field| field["value"].clone());
        // An empty value is none.
        let value = value.filter(|value| *value != "").unwrap_or_default();
        if known["required"] == true && value.as_str().is_none_or(str::is_empty) {
            let message = format!("{} can't be blank", known["name"].as_str().unwrap_or_default());
            let error = UserError::new(&["metaobject", "fields"], message);
            return Err(error.code("OBJECT_FIELD_REQUIRED"));
        }
        fields.push(json!({
            "__typename": "MetaobjectField", "key": known["key"], "value": value,
            "type": known["type"]["name"], "definition": known, "thumbnail": null,
        }));
    }
    Ok(fields)
}

/// What a metaobject is called: by the field that its definition chose.
fn display_name(definition: &Value, fields: &[Value], kind: &str) -> String {
    let key = definition["displayNameKey"].as_str();
    let chosen = fields.iter().find(|field| field["key"].as_str() == key);
    chosen.and_then(|field| field["value"].as_str()).unwrap_or(kind).to_owned()
}

/// Writes a metaobject, new or known.
fn write(
    shop: &mut Shop,
    known: Option<Gid>,
    kind: &str,
    wanted: Option<&str>,
    given: &Value,
) -> Outcome<Value> {
    let input = Input::of(
        "MetaobjectInput",
        given,
        &["fields", "handle", "type", "capabilities", "redirectNewHandle"],
    )?;
    let refuse = |error: UserError| Ok(answer("metaobject", Value::Null, vec![error]));
    let Some((definition_id, definition)) = by_type(shop, kind) else {
        let message = format!("No metaobject definition exists for type \"{kind}\"");
        let error = UserError::new(&["metaobject", "type"], message);
        return refuse(error.code("UNDEFINED_OBJECT_TYPE"));
    };
    let before = known.and_then(|gid| shop.store.get(gid)).unwrap_or_default();
    let fields = match fields(&definition, &before, input.list("fields").unwrap_or_default()) {
        Ok(fields) => fields,
        Err(error) => return refuse(error),
    };
    let display = display_name(&definition, &fields, kind);
    let gid = known.unwrap_or_else(|| shop.store.fresh("Metaobject"));
    let name = wanted.map(handle).or_else(|| before["handle"].as_str().map(str::to_owned));
    let name = name.unwrap_or_else(|| handle(&format!("{display}-{}", gid.number() % 100_000)));
    if find(shop, kind, &name).is_some_and(|other| Some(other) != known) {
        let error = UserError::new(&["metaobject", "handle"], "Handle has already been taken");
        return refuse(error.code("TAKEN"));
    }
    let values: Map<String, Value> = fields
        .iter()
        .map(|field| (field["key"].as_str().unwrap_or_default().to_owned(), field["value"].clone()))
        .collect();
    let now = shop.now_text();
    let publishable = definition["capabilities"]["publishable"]["enabled"] == true;
    let status = match &given["capabilities"]["publishable"]["status"] {
        Value::Null => match &before["capabilities"]["publishable"]["status"] {
            Value::Null => json!("DRAFT"),
            known => known.clone(),
        },
        status => status.clone(),
    };
    let created = if known.is_some() { before["createdAt"].clone() } else { json!(now) };
    shop.put(
        gid,
        json!({
            "__typename": "Metaobject", "id": gid.to_string(), "type": kind, "handle": name,
            "displayName": display, "fields": fields, "values": values,
            "definition": link(definition_id),
            "capabilities": {
                "__typename": "MetaobjectCapabilityData", "onlineStore": null,
                "publishable": if publishable { json!({ "status": status }) } else { Value::Null },
            },
            "createdByStaff": null, "thumbnailField": null, "createdAt": created, "updatedAt": now,
        }),
    );
    shop.announce(if known.is_some() { "metaobjects/update" } else { "metaobjects/create" }, gid);
    Ok(answer("metaobject", link(gid), vec![]))
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("metaobject").cloned().unwrap_or_default();
    let kind = given["type"].as_str().unwrap_or_default().to_owned();
    if given.get("values").is_some_and(|values| !values.is_null()) {
        return Err(not_simulated("MetaobjectCreateInput.values"));
    }
    write(shop, None, &kind, given["handle"].as_str(), &given)
}

fn upsert(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    if call.args.get("values").is_some() {
        return Err(not_simulated("metaobjectUpsert by values"));
    }
    let key = call.args.get("handle").cloned().unwrap_or_default();
    let given = call.args.get("metaobject").cloned().unwrap_or_else(|| json!({}));
    let (kind, name) =
        (key["type"].as_str().unwrap_or_default(), key["handle"].as_str().unwrap_or_default());
    let known = find(shop, kind, name);
    let wanted = given["handle"].as_str().unwrap_or(name);
    write(shop, known, kind, Some(wanted), &given)
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let found = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, before)) = found else {
        let error = UserError::new(&["id"], "Record not found").code("RECORD_NOT_FOUND");
        return Ok(answer("metaobject", Value::Null, vec![error]));
    };
    let given = call.args.get("metaobject").cloned().unwrap_or_default();
    let kind = before["type"].as_str().unwrap_or_default().to_owned();
    write(shop, Some(gid), &kind, given["handle"].as_str(), &given)
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call
        .args
        .gid("id")
        .filter(|gid| gid.type_name() == "Metaobject" && shop.store.get(*gid).is_some());
    let Some(gid) = found else {
        let error = UserError::new(&["id"], "Record not found").code("RECORD_NOT_FOUND");
        return answer("deletedId", Value::Null, vec![error]);
    };
    shop.remove(gid);
    shop.announce("metaobjects/delete", gid);
    answer("deletedId", json!(gid.to_string()), vec![])
}
