//! Redirects. No two have the same path.

use serde_json::{Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written};

const REDIRECT: Crud = Crud {
    kind: "redirect",
    gid_type: None,
    called: "redirect",
    create: include_str!("graphql/redirect_create.graphql"),
    update: include_str!("graphql/redirect_update.graphql"),
    delete: include_str!("graphql/redirect_delete.graphql"),
    result: "urlRedirect",
    find: Find {
        document: include_str!("graphql/redirect_find.graphql"),
        variables: |want| Some(json!({"query": crud::filter("path", want["path"].as_str()?)})),
        is: |node, want| node["path"] == want["path"],
        refuses_second: true,
    },
    made: |want| json!({"urlRedirect": crud::present(want, &FIELDS)}),
    changed: |now, want| {
        let fields = crud::differing(now, want, &FIELDS);
        (!fields.is_empty()).then(|| json!({"urlRedirect": fields}))
    },
    children: crud::childless,
};

const FIELDS: [&str; 2] = ["path", "target"];

/// Makes one redirect what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    REDIRECT.write(around, now, want).await
}
