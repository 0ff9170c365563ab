//! Pages.

use serde_json::{Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written, visible};

const PAGE: Crud = Crud {
    kind: "page",
    gid_type: None,
    called: "page",
    create: include_str!("graphql/page_create.graphql"),
    update: include_str!("graphql/page_update.graphql"),
    delete: include_str!("graphql/page_delete.graphql"),
    result: "page",
    find: Find {
        document: include_str!("graphql/page_find.graphql"),
        variables: |want| Some(json!({"query": crud::filter("handle", want["handle"].as_str()?)})),
        is: |node, want| node["handle"] == want["handle"],
        refuses_second: true,
    },
    made,
    changed,
    children: crud::childless,
};

const FIELDS: [&str; 4] = ["title", "handle", "body", "templateSuffix"];

/// Makes one page what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    PAGE.write(around, now, want).await
}

fn made(want: &Value) -> Value {
    let mut page = crud::present(want, &FIELDS);
    page.extend(visible::whole(want));
    json!({"page": page})
}

fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut page = crud::differing(now, want, &FIELDS);
    page.extend(visible::changed(now, want));
    // Shopify's reference has it that a page becomes visible where nothing is said of that.
    if !page.is_empty() && now["isPublished"] == false {
        page.extend(visible::whole(want));
    }
    crud::cleared(&mut page, &["body", "templateSuffix"]);
    (!page.is_empty()).then(|| json!({"page": page}))
}
