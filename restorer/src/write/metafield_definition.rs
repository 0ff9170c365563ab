//! What metafields of a name are. Deleting a definition leaves its values, or is left undone.

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written, send};

const VALUES: &str = include_str!("graphql/metafield_definition_values.graphql");
const DELETE: &str = include_str!("graphql/metafield_definition_delete.graphql");

const DEFINITION: Crud = Crud {
    kind: "metafield_definition",
    gid_type: None,
    called: "metafield definition",
    create: include_str!("graphql/metafield_definition_create.graphql"),
    update: include_str!("graphql/metafield_definition_update.graphql"),
    delete: DELETE,
    result: "definition",
    find: Find {
        document: include_str!("graphql/metafield_definition_find.graphql"),
        variables: |want| {
            let names = ["ownerType", "namespace", "key"];
            names.iter().all(|name| want[*name].is_string()).then(|| {
                json!({
                    "owner": want["ownerType"], "namespace": want["namespace"], "key": want["key"],
                })
            })
        },
        is: |node, want| {
            ["ownerType", "namespace", "key"].iter().all(|name| node[*name] == want[*name])
        },
        refuses_second: true,
    },
    made,
    changed,
    children: crud::childless,
};

/// One that Shopify keeps a template of is not made but turned on: its name is reserved
/// (`RESERVED_NAMESPACE_KEY`).
/// <https://shopify.dev/docs/api/admin-graphql/latest/mutations/standardMetafieldDefinitionEnable>
const STANDARD: Crud = Crud {
    create: include_str!("graphql/metafield_definition_enable.graphql"),
    made: |want| {
        let access = crud::present(&want["access"], &ACCESS);
        let mut variables = Map::new();
        apart(&Value::Null, want, &mut variables);
        variables.insert("owner".into(), want["ownerType"].clone());
        variables.insert("template".into(), want["standardTemplate"]["id"].clone());
        variables.insert("pin".into(), (!want["pinnedPosition"].is_null()).into());
        variables.insert("access".into(), access.into());
        variables.into()
    },
    ..DEFINITION
};

fn is_standard(definition: &Value) -> bool {
    definition["standardTemplate"]["id"].is_string()
}

const NAMES: [&str; 3] = ["ownerType", "namespace", "key"];
const FIELDS: [&str; 3] = ["name", "description", "validations"];
const CAPABILITIES: [&str; 5] = [
    "adminFilterable",
    "analyticsQueryable",
    "cartToOrderCopyable",
    "smartCollectionCondition",
    "uniqueValues",
];
/// Access in the admin is chosen for the namespaces of apps alone.
const ACCESS: [&str; 2] = ["storefront", "customerAccount"];

/// What Shopify says of a definition that is not to be pinned: 20 of a sort are at most, and those for some
/// categories alone are not at all.
/// <https://shopify.dev/docs/apps/build/metafields/metafield-limits>
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/MetafieldDefinitionCreateUserErrorCode>
const UNPINNABLE: [&str; 2] = ["(PINNED_LIMIT_REACHED)", "(UNSUPPORTED_PINNING)"];

fn is_unpinnable(error: &WriteError) -> bool {
    let is_of = |why: &String| UNPINNABLE.iter().any(|code| why.contains(code));
    matches!(error, WriteError::Refused(why) if why.iter().any(is_of))
}

/// Makes one definition what it should be, if need be without pinning it.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let written = whole(around, now, want).await;
    let refused = want.filter(|_| written.as_ref().is_err_and(is_unpinnable));
    let Some(mut want) = refused.cloned() else { return written };
    if let Some(members) = want.as_object_mut() {
        members.remove("pinnedPosition");
    }
    let written = whole(around, now, Some(&want)).await?;
    around.note(
        "Shopify does not pin it: it pins 20 definitions of a sort, and none that is for some categories \
         alone. To make room unpin another in Settings → Metafields and metaobjects, then pin it there"
            .into(),
    );
    Ok(written)
}

async fn whole(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (Some(now), None) if goes_with_values(now) => delete_empty(around, now).await,
        _ if want.is_some_and(is_standard) => STANDARD.write(around, now, want).await,
        _ => DEFINITION.write(around, now, want).await,
    }
}

/// Whether Shopify deletes a definition of this type only together with all values: those that refer to
/// something, and ids.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/MetafieldDefinitionDeleteUserErrorCode>
fn goes_with_values(definition: &Value) -> bool {
    let name = definition["type"]["name"].as_str().unwrap_or_default();
    name == "id" || name.ends_with("_reference")
}

/// Deletes a definition that would take its values with it, if there are none: what people entered does not
/// go by the way.
async fn delete_empty(around: &dyn Around, now: &Value) -> Result<Written, WriteError> {
    let id = crud::id_of(now)?;
    let data = send::ask(around, VALUES, json!({"id": id})).await?;
    let found = &data["metafieldDefinition"];
    if found.is_null() {
        return Ok(Written::Deleted);
    }
    if found["metafieldsCount"] != 0 {
        return Err(WriteError::Unwritable(format!(
            "Shopify deletes a metafield definition of this type only together with its values, of which \
             there are {}: if they are to go, delete it in Settings → Metafields and metaobjects",
            found["metafieldsCount"]
        )));
    }
    send::set(around, DELETE, json!({"id": id, "all": true})).await?;
    Ok(Written::Deleted)
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match (path.member(), path.as_str()) {
        ("type", _) => Some(
            "the type of a metafield definition cannot be changed while it is there: delete the \
             definition in Settings → Metafields and metaobjects, then restore again",
        ),
        ("namespace" | "key" | "ownerType", _) => Some("a metafield definition keeps its name"),
        ("access", "/access/admin") => {
            Some("who may see metafields in the admin is chosen for those of an app alone")
        }
        ("standardTemplate", _) => Some("which template it was made of cannot be written"),
        ("constraints", _) => {
            Some("which categories a metafield is for is changed in Settings → Metafields")
        }
        _ => None,
    }
}

fn made(want: &Value) -> Value {
    let mut definition = crud::present(want, &NAMES);
    definition.extend(crud::present(want, &FIELDS));
    definition.insert("type".into(), want["type"]["name"].clone());
    definition.insert("pin".into(), (!want["pinnedPosition"].is_null()).into());
    let access = crud::present(&want["access"], &ACCESS);
    if !access.is_empty() {
        definition.insert("access".into(), access.into());
    }
    apart(&Value::Null, want, &mut definition);
    if let (Some(key), Some(values)) =
        (want["constraints"]["key"].as_str(), want["constraints"]["values"].as_array())
        && !values.is_empty()
    {
        let values: Vec<&Value> = values.iter().map(|value| &value["value"]).collect();
        definition.insert("constraints".into(), json!({"key": key, "values": values}));
    }
    json!({"definition": definition})
}

fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut definition = crud::differing(now, want, &FIELDS);
    crud::cleared(&mut definition, &["description"]);
    let access = crud::differing(&now["access"], &want["access"], &ACCESS);
    if !access.is_empty() {
        definition.insert("access".into(), access.into());
    }
    let pinned = |state: &Value| !state["pinnedPosition"].is_null();
    if want.get("pinnedPosition").is_some() && pinned(now) != pinned(want) {
        definition.insert("pin".into(), pinned(want).into());
    }
    apart(now, want, &mut definition);
    if definition.is_empty() {
        return None;
    }
    definition.extend(crud::present(now, &NAMES));
    Some(json!({"definition": definition}))
}

/// Capabilities that are to be turned on or off.
fn apart(now: &Value, want: &Value, definition: &mut Map<String, Value>) {
    let enabled = |state: &Value, name: &str| state["capabilities"][name]["enabled"] == true;
    let capabilities: Map<String, Value> = CAPABILITIES
        .iter()
        .filter(|name| want["capabilities"][**name].is_object())
        .filter(|name| enabled(now, name) != enabled(want, name))
        .map(|name| ((*name).to_owned(), json!({"enabled": enabled(want, name)})))
        .collect();
    if !capabilities.is_empty() {
        definition.insert("capabilities".into(), capabilities.into());
    }
}
