//! Metaobjects. Type and handle name one, so that writing it twice is writing it once.

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written};

const METAOBJECT: Crud = Crud {
    kind: "metaobject",
    gid_type: None,
    called: "metaobject of its type",
    create: include_str!("graphql/metaobject_upsert.graphql"),
    update: include_str!("graphql/metaobject_update.graphql"),
    delete: include_str!("graphql/metaobject_delete.graphql"),
    result: "metaobject",
    find: Find {
        document: include_str!("graphql/metaobject_find.graphql"),
        variables: |want| {
            let (kind, handle) = (want["type"].as_str()?, want["handle"].as_str()?);
            Some(json!({"handle": {"type": kind, "handle": handle}}))
        },
        is: |node, want| node["handle"] == want["handle"] && node["type"] == want["type"],
        refuses_second: true,
    },
    made,
    changed,
    children: crud::childless,
};

/// Makes one metaobject what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let kind = || want.and_then(|want| want["type"].as_str()).unwrap_or_default();
    match METAOBJECT.write(around, now, want).await {
        Err(WriteError::Refused(why)) => Err(explained(why, kind())),
        other => other,
    }
}

/// A refusal, which may be for something that comes with another row.
fn explained(why: Vec<String>, kind: &str) -> WriteError {
    let told = why.join("; ");
    if told.contains("UNDEFINED_OBJECT") {
        return WriteError::Missing(format!(
            "the definition of “{kind}” is not there, or lacks a field of this metaobject: bring \
             back the metaobject definition first ({told})"
        ));
    }
    // Left empty, as a rule, since what it refers to is not there.
    if told.contains("OBJECT_FIELD_REQUIRED") {
        return WriteError::Missing(format!(
            "a field that “{kind}” cannot be without has nothing in it: bring back what it referred \
             to, then retry the job ({told})"
        ));
    }
    WriteError::Refused(why)
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "type" => Some("a metaobject is of one type for ever"),
        _ => None,
    }
}

fn made(want: &Value) -> Value {
    let given = fields(want).filter(|field| field["value"].is_string());
    let given: Vec<Value> = given.map(input).collect();
    let mut metaobject = Map::new();
    metaobject.insert("fields".into(), given.into());
    capabilities(&json!({}), want, &mut metaobject);
    let handle = json!({"type": want["type"], "handle": want["handle"]});
    json!({"handle": handle, "metaobject": metaobject})
}

fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut metaobject = crud::differing(now, want, &["handle"]);
    let there = |wanted: &Value| fields(now).find(|field| field["key"] == wanted["key"]);
    let differs =
        |wanted: &&Value| wanted["value"] != *there(wanted).map_or(&Value::Null, |f| &f["value"]);
    let mut given: Vec<Value> = fields(want).filter(differs).map(input).collect();
    if want.get("fields").is_some() {
        // An empty field may be missing from what history knows.
        let wanted = |key: &Value| fields(want).any(|field| field["key"] == *key);
        let emptied = fields(now).filter(|f| f["value"].is_string() && !wanted(&f["key"]));
        given.extend(emptied.map(|field| json!({"key": field["key"], "value": ""})));
    }
    if !given.is_empty() {
        metaobject.insert("fields".into(), given.into());
    }
    capabilities(now, want, &mut metaobject);
    (!metaobject.is_empty()).then(|| json!({"metaobject": metaobject}))
}

fn fields(state: &Value) -> impl Iterator<Item = &Value> {
    state["fields"].as_array().into_iter().flatten()
}

/// A field's value is always a text; none is the empty one.
fn input(field: &Value) -> Value {
    json!({"key": field["key"], "value": field["value"].as_str().unwrap_or_default()})
}

/// Whether it is published and with which template, for types that have that.
fn capabilities(now: &Value, want: &Value, metaobject: &mut Map<String, Value>) {
    let (now, want) = (&now["capabilities"], &want["capabilities"]);
    let mut given = Map::new();
    for name in ["publishable", "onlineStore"] {
        if want[name].is_object() && want[name] != now[name] {
            given.insert(name.into(), want[name].clone());
        }
    }
    if !given.is_empty() {
        metaobject.insert("capabilities".into(), given.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_history_has_nothing_of_is_emptied() {
        let field = |key: &str, value: Value| json!({"key": key, "value": value});
        let now = json!({"fields": [field("a", json!("1")), field("b", json!("2")),
                                    field("c", Value::Null)]});
        let want = json!({"fields": [field("a", json!("1"))]});
        let expected = json!({"metaobject": {"fields": [{"key": "b", "value": ""}]}});
        assert_eq!(changed(&now, &want), Some(expected));
        assert_eq!(
            changed(&want, &now).map(|sent| sent["metaobject"]["fields"].clone()),
            Some(json!([{"key": "b", "value": "2"}]))
        );
        assert_eq!(changed(&now, &now), None);
    }
}
