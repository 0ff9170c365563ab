//! Segments of customers.

use serde_json::{Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written};

const SEGMENT: Crud = Crud {
    kind: "segment",
    gid_type: None,
    called: "customer segment",
    create: include_str!("graphql/segment_create.graphql"),
    update: include_str!("graphql/segment_update.graphql"),
    delete: include_str!("graphql/segment_delete.graphql"),
    result: "segment",
    find: Find {
        document: include_str!("graphql/segment_find.graphql"),
        variables: |want| Some(json!({"query": crud::filter("name", want["name"].as_str()?)})),
        is: |node, want| node["name"] == want["name"],
        refuses_second: false,
    },
    made: |want| {
        let query = want["query"].as_str().unwrap_or_default();
        json!({"name": want["name"], "query": query})
    },
    changed: |now, want| {
        let mut fields = crud::differing(now, want, &FIELDS);
        crud::cleared(&mut fields, &["query"]);
        (!fields.is_empty()).then_some(Value::Object(fields))
    },
    children: crud::childless,
};

const FIELDS: [&str; 2] = ["name", "query"];

/// Makes one segment what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    SEGMENT.write(around, now, want).await
}
