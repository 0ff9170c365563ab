//! What metaobjects of a type are made of. Deleting a definition deletes its metaobjects.

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written, look};

const DEFINITION: Crud = Crud {
    kind: "metaobject_definition",
    gid_type: None,
    called: "metaobject definition",
    create: include_str!("graphql/metaobject_definition_create.graphql"),
    update: include_str!("graphql/metaobject_definition_update.graphql"),
    delete: include_str!("graphql/metaobject_definition_delete.graphql"),
    result: "metaobjectDefinition",
    find: Find {
        document: include_str!("graphql/metaobject_definition_find.graphql"),
        variables: |want| Some(json!({"type": want["type"].as_str()?})),
        is: |node, want| node["type"] == want["type"],
        refuses_second: true,
    },
    made,
    changed,
    children: crud::childless,
};

/// What the types of definitions begin with that Shopify keeps templates of: these are not made but turned
/// on (`NOT_AUTHORIZED`).
/// <https://shopify.dev/docs/api/admin-graphql/latest/mutations/standardMetaobjectDefinitionEnable>
const RESERVED: &str = "shopify--";

const STANDARD: Crud = Crud {
    create: include_str!("graphql/metaobject_definition_enable.graphql"),
    made: |want| json!({"type": want["type"]}),
    ..DEFINITION
};

fn is_standard(definition: &Value) -> bool {
    definition["type"].as_str().is_some_and(|of| of.starts_with(RESERVED))
}

const FIELDS: [&str; 3] = ["name", "description", "displayNameKey"];
const FIELD_FIELDS: [&str; 4] = ["name", "description", "required", "validations"];

/// Makes one definition what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, Some(want)) if is_standard(want) => turn_on(around, want).await,
        _ => DEFINITION.write(around, now, want).await,
    }
}

/// Turns a standard definition on, and then gives it what it had beside its template.
async fn turn_on(around: &dyn Around, want: &Value) -> Result<Written, WriteError> {
    let written = STANDARD.write(around, None, Some(want)).await?;
    if let Written::Created { gid, .. } = &written {
        let there = look::by_gid(around, "metaobject_definition", gid).await?;
        let changed = DEFINITION.write(around, Some(&there), Some(want)).await;
        crud::unless_refused(around, "what it had beside Shopify's template", changed)?;
    }
    Ok(written)
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match (path.member(), path.as_str()) {
        ("type", _) => Some("the type of a metaobject definition is for ever"),
        ("access", "/access/admin") => {
            Some("who may see metaobjects in the admin is chosen for types of an app alone")
        }
        ("fieldDefinitions", path) if path.ends_with("/type/name") || path.ends_with("/type") => {
            Some(
                "the type of a field cannot be changed while it is there: delete the field in \
                 Settings → Metafields and metaobjects, which deletes its values, then restore again",
            )
        }
        _ => None,
    }
}

fn made(want: &Value) -> Value {
    let mut definition = crud::present(want, &FIELDS);
    definition.insert("type".into(), want["type"].clone());
    let fields: Vec<Value> = fields(want).map(created).collect();
    definition.insert("fieldDefinitions".into(), fields.into());
    apart(&json!({}), want, &mut definition);
    json!({"definition": definition})
}

fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut definition = crud::differing(now, want, &FIELDS);
    crud::cleared(&mut definition, &["description"]);
    apart(now, want, &mut definition);
    let operations = operations(now, want);
    if !operations.is_empty() {
        definition.insert("fieldDefinitions".into(), operations.into());
        definition.insert("resetFieldOrder".into(), true.into());
    }
    (!definition.is_empty()).then(|| json!({"definition": definition}))
}

fn fields(state: &Value) -> impl Iterator<Item = &Value> {
    state["fieldDefinitions"].as_array().into_iter().flatten()
}

/// What makes the one list of fields the other: every field is named, in order, so that the order is
/// the wanted one too. Nothing, where nothing differs.
fn operations(now: &Value, want: &Value) -> Vec<Value> {
    let keys = |state: &Value| fields(state).map(|f| f["key"].clone()).collect::<Vec<_>>();
    let (before, after) = (keys(now), keys(want));
    if want.get("fieldDefinitions").is_none() {
        return Vec::new();
    }
    let gone = before.iter().filter(|key| !after.contains(key));
    let mut found: Vec<Value> = gone.map(|key| json!({"delete": {"key": key}})).collect();
    let mut differs = before != after;
    for wanted in fields(want) {
        let there = fields(now).find(|field| field["key"] == wanted["key"]);
        found.push(match there {
            None => json!({"create": created(wanted)}),
            Some(there) => {
                let mut update = crud::differing(there, wanted, &FIELD_FIELDS);
                crud::cleared(&mut update, &["description"]);
                if let Some(filter) =
                    is_filter(wanted).filter(|wanted| is_filter(there) != Some(*wanted))
                {
                    update.insert("capabilities".into(), filtering(filter));
                }
                differs |= !update.is_empty();
                update.insert("key".into(), wanted["key"].clone());
                json!({"update": update})
            }
        });
    }
    if differs { found } else { Vec::new() }
}

fn created(field: &Value) -> Value {
    let mut input = crud::present(field, &["key", "name", "description", "required"]);
    input.insert("type".into(), field["type"]["name"].clone());
    if field["validations"].as_array().is_some_and(|list| !list.is_empty()) {
        input.insert("validations".into(), field["validations"].clone());
    }
    if is_filter(field) == Some(true) {
        input.insert("capabilities".into(), filtering(true));
    }
    input.into()
}

/// Whether entries can be filtered by a field in the admin; `None` where that is not known.
fn is_filter(field: &Value) -> Option<bool> {
    field.pointer("/capabilities/adminFilterable/enabled")?.as_bool()
}

fn filtering(filter: bool) -> Value {
    json!({"adminFilterable": {"enabled": filter}})
}

/// Access and capabilities. In the admin, only metaobjects of an app can be kept from people.
fn apart(now: &Value, want: &Value, definition: &mut Map<String, Value>) {
    let access = ["storefront", "customerAccount"];
    let access = crud::differing(&now["access"], &want["access"], &access);
    if !access.is_empty() {
        definition.insert("access".into(), access.into());
    }
    let (now, want) = (&now["capabilities"], &want["capabilities"]);
    let mut capabilities = Map::new();
    for name in ["publishable", "translatable", "renderable", "onlineStore"] {
        let was = now[name]["enabled"] == true;
        if !want[name].is_object() || capability(&want[name]) == capability(&now[name]) {
            continue;
        }
        if was || want[name]["enabled"] == true {
            capabilities.insert(name.into(), capability(&want[name]));
        }
    }
    if !capabilities.is_empty() {
        definition.insert("capabilities".into(), capabilities.into());
    }
}

fn capability(of: &Value) -> Value {
    let mut input = Map::new();
    input.insert("enabled".into(), of["enabled"].clone());
    if let Value::Object(data) = &of["data"] {
        let mut data = data.clone();
        // Whether there is room for the redirects, which follows from how many there are.
        // <https://shopify.dev/docs/api/admin-graphql/latest/objects/MetaobjectCapabilityDefinitionDataOnlineStore>
        data.remove("canCreateRedirects");
        input.insert("data".into(), data.into());
    }
    input.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_changed_by_key_and_in_order() {
        let field = |key: &str, name: &str| {
            json!({"key": key, "name": name, "description": null, "required": false,
                   "type": {"name": "json"}, "validations": []})
        };
        let now = json!({"fieldDefinitions": [field("a", "A"), field("gone", "G")]});
        let want = json!({"fieldDefinitions": [field("new", "N"), field("a", "B")]});
        let sent = changed(&now, &want).expect("something differs");
        let expected = json!({"definition": {
            "fieldDefinitions": [
                {"delete": {"key": "gone"}},
                {"create": {"key": "new", "name": "N", "required": false, "type": "json"}},
                {"update": {"key": "a", "name": "B"}},
            ],
            "resetFieldOrder": true,
        }});
        assert_eq!(sent, expected);
        assert_eq!(changed(&want, &want), None);
    }

    #[test]
    fn who_sees_entries_and_what_they_are_filtered_by_is_written_where_it_is_known() {
        let of = |seen: &str, filter: bool| {
            json!({
                "access": {"admin": "PUBLIC_READ_WRITE", "storefront": "NONE", "customerAccount": seen},
                "fieldDefinitions": [{
                    "key": "a", "name": "A", "type": {"name": "boolean"},
                    "capabilities": {"adminFilterable": {"enabled": filter}},
                }],
            })
        };
        let sent = changed(&of("NONE", false), &of("READ", true)).expect("something differs");
        let filter = json!({"key": "a", "capabilities": {"adminFilterable": {"enabled": true}}});
        let expected = json!({"definition": {
            "access": {"customerAccount": "READ"},
            "fieldDefinitions": [{"update": filter}],
            "resetFieldOrder": true,
        }});
        assert_eq!(sent, expected);
        let mut before = of("NONE", false);
        before["access"] = json!({"admin": "PUBLIC_READ_WRITE", "storefront": "NONE"});
        before["fieldDefinitions"][0]["capabilities"].take();
        assert_eq!(changed(&of("READ", true), &before), None, "nobody knows how it was");
    }

    #[test]
    fn room_for_redirects_is_no_difference() {
        let of = |url: &str, room: bool| {
            let data = json!({"urlHandle": url, "canCreateRedirects": room});
            json!({"capabilities": {"onlineStore": {"enabled": true, "data": data}}})
        };
        assert_eq!(changed(&of("shelves", true), &of("shelves", false)), None);
        let data = json!({"urlHandle": "racks"});
        let capabilities = json!({"onlineStore": {"enabled": true, "data": data}});
        assert_eq!(
            changed(&of("shelves", true), &of("racks", false)),
            Some(json!({"definition": {"capabilities": capabilities}}))
        );
    }
}
