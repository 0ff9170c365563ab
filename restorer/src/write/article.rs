//! Articles. Two of one blog never have the same handle.

use serde_json::{Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written, upload, visible};

const ARTICLE: Crud = Crud {
    kind: "article",
    gid_type: None,
    called: "article of the blog",
    create: include_str!("graphql/article_create.graphql"),
    update: include_str!("graphql/article_update.graphql"),
    delete: include_str!("graphql/article_delete.graphql"),
    result: "article",
    find: Find {
        document: include_str!("graphql/article_find.graphql"),
        variables: |want| Some(json!({"query": crud::filter("handle", want["handle"].as_str()?)})),
        // What a mutation answers says nothing of the blog.
        is: |node, want| {
            let blog = &node["blog"]["id"];
            node["handle"] == want["handle"] && (blog.is_null() || *blog == want["blog"]["id"])
        },
        refuses_second: true,
    },
    made,
    changed,
    children: crud::childless,
};

const FIELDS: [&str; 6] = ["title", "handle", "body", "summary", "tags", "templateSuffix"];

/// Makes one article what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    ARTICLE.write(around, now, want).await
}

fn made(want: &Value) -> Value {
    let mut article = crud::present(want, &FIELDS);
    article.extend(visible::whole(want));
    article.insert("blogId".into(), want["blog"]["id"].clone());
    article.insert("author".into(), author(want));
    if want["image"].is_object() {
        article.insert("image".into(), picture(&want["image"]));
    }
    json!({"article": article})
}

fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut article = crud::differing(now, want, &FIELDS);
    article.extend(visible::changed(now, want));
    crud::cleared(&mut article, &["body", "summary", "templateSuffix"]);
    let apart = crud::differing(now, want, &["blog", "author"]);
    if apart.contains_key("blog") {
        article.insert("blogId".into(), want["blog"]["id"].clone());
    }
    if apart.contains_key("author") {
        article.insert("author".into(), author(want));
    }
    let other = |name: &str| now["image"][name] != want["image"][name];
    if want.get("image").is_some() && (other("url") || other("altText")) {
        article.insert("image".into(), image(&now["image"], &want["image"]));
    }
    (!article.is_empty()).then(|| json!({"article": article}))
}

/// An article always has an author.
fn author(want: &Value) -> Value {
    json!({"name": want["author"]["name"].as_str().unwrap_or_default()})
}

/// What makes one picture the other: a new text alone leaves the picture where it is.
fn image(now: &Value, want: &Value) -> Value {
    if want.is_null() || now["url"] != want["url"] {
        return picture(want);
    }
    json!({"altText": want["altText"].as_str().unwrap_or_default()})
}

/// A picture as a mutation takes it, from the bytes that we kept of it or from its address.
fn picture(want: &Value) -> Value {
    if want.is_null() {
        return Value::Null;
    }
    let mut image = crud::present(want, &["altText"]);
    image.extend(upload::source(want, "IMAGE").map(|source| ("url".to_owned(), source)));
    image.into()
}
