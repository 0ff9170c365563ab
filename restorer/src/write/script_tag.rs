//! Script tags: those of the app that we are, which are all that Shopify shows us.

use serde_json::{Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written};

const SCRIPT_TAG: Crud = Crud {
    kind: "script_tag",
    gid_type: None,
    called: "script tag",
    create: include_str!("graphql/script_tag_create.graphql"),
    update: include_str!("graphql/script_tag_update.graphql"),
    delete: include_str!("graphql/script_tag_delete.graphql"),
    result: "scriptTag",
    find: Find {
        document: include_str!("graphql/script_tag_find.graphql"),
        variables: |want| want["src"].is_string().then(|| json!({})),
        is: |node, want| node["src"] == want["src"],
        refuses_second: false,
    },
    made: |want| json!({"input": crud::present(want, &FIELDS)}),
    // What is not said is reset, so that all of it is said.
    changed: |now, want| {
        let differs = !crud::differing(now, want, &FIELDS).is_empty();
        differs.then(|| json!({"input": crud::present(want, &FIELDS)}))
    },
    children: crud::childless,
};

const FIELDS: [&str; 3] = ["src", "displayScope", "cache"];

/// Makes one script tag what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    SCRIPT_TAG.write(around, now, want).await
}
