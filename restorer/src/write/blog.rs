//! Blogs. Their articles are written for themselves, and their tags are those of the articles.

use backstock_proto::merge::FieldPath;
use serde_json::{Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written};

const BLOG: Crud = Crud {
    kind: "blog",
    gid_type: None,
    called: "blog",
    create: include_str!("graphql/blog_create.graphql"),
    update: include_str!("graphql/blog_update.graphql"),
    delete: include_str!("graphql/blog_delete.graphql"),
    result: "blog",
    find: Find {
        document: include_str!("graphql/blog_find.graphql"),
        variables: |want| Some(json!({"query": crud::filter("handle", want["handle"].as_str()?)})),
        is: |node, want| node["handle"] == want["handle"],
        // A second one gets a number behind its handle, without a word.
        refuses_second: false,
    },
    made: |want| json!({"blog": crud::present(want, &FIELDS)}),
    changed: |now, want| {
        let mut blog = crud::differing(now, want, &FIELDS);
        crud::cleared(&mut blog, &["templateSuffix"]);
        (!blog.is_empty()).then(|| json!({"blog": blog}))
    },
    children: crud::childless,
};

const FIELDS: [&str; 4] = ["title", "handle", "commentPolicy", "templateSuffix"];

/// Makes one blog what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    // Not refused either: there is no code for a handle that is taken.
    // <https://shopify.dev/docs/api/admin-graphql/latest/enums/BlogUpdateUserErrorCode>
    if let (Some(now), Some(want)) = (now, want)
        && want["handle"].is_string()
        && want["handle"] != now["handle"]
    {
        BLOG.unless_taken(around, want).await?;
    }
    BLOG.write(around, now, want).await
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "feed" => Some("the feed address of a blog can only be set in the Shopify admin"),
        _ => None,
    }
}
