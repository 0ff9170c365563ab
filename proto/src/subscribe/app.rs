//! The part of an app's `shopify.app.toml` that subscribes it: what only an app can subscribe itself
//! to, and everything else for who prefers it there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use url::Url;

use super::{filter_of, needs_types, topics, webhooks_uri};
use crate::kind::pull::Way;
use crate::kind::{self, Spec, scopes};

/// Topics that the Admin API does not let anybody subscribe to.
const COMPLIANCE: [&str; 3] = ["customers/data_request", "customers/redact", "shop/redact"];

/// What to write into an app's configuration. `only_app`: only what cannot be had otherwise.
pub fn app_toml(
    public_url: &Url,
    api_version: &str,
    metaobject_types: &BTreeSet<String>,
    only_app: bool,
) -> String {
    let uri = webhooks_uri(public_url);
    let mut text = access_scopes();
    let _infallible = write!(text, "\n[webhooks]\napi_version = \"{api_version}\"\n");
    let _infallible = write!(
        text,
        "\n  [[webhooks.subscriptions]]\n  compliance_topics = {}\n  uri = \"{uri}\"\n",
        list(COMPLIANCE.iter())
    );
    if !only_app {
        let topics = topics();
        let (typed, plain): (Vec<&str>, Vec<&str>) =
            topics.iter().partition(|topic| needs_types(topic));
        let _infallible = write!(
            text,
            "\n  [[webhooks.subscriptions]]\n  topics = {}\n  uri = \"{uri}\"\n",
            list(plain.iter())
        );
        if !metaobject_types.is_empty() {
            let _infallible = write!(
                text,
                "\n  [[webhooks.subscriptions]]\n  topics = {}\n  filter = \"{}\"\n  uri = \"{uri}\"\n",
                list(typed.iter()),
                filter_of(metaobject_types)
            );
        }
    }
    let _infallible = write!(text, "\n[events]\napi_version = \"{api_version}\"\n");
    for spec in kind::ALL {
        if let Some(event) = event(spec, &uri) {
            text.push_str(&event);
        }
    }
    text
}

/// What the app has to be granted.
fn access_scopes() -> String {
    let joined = |scopes: BTreeSet<&str>| scopes.into_iter().collect::<Vec<_>>().join(",");
    format!(
        "[access_scopes]\n# To restore, also {writes}\nscopes = \"{reads}\"\n",
        writes = joined(scopes::writes()),
        reads = joined(scopes::reads()),
    )
}

/// A subscription to the Events of a kind that has no webhook.
fn event(spec: &Spec, uri: &str) -> Option<String> {
    let topic = spec.events_topic.filter(|_| spec.topics.is_empty())?;
    let by_id = spec.pulls.iter().find(|pull| matches!(pull.way, Way::ById { .. }))?;
    let selection = selection(by_id.document, topic)?;
    let mut field = topic.to_owned();
    field[..1].make_ascii_lowercase();
    Some(format!(
        "\n  [[events.subscription]]\n  handle = \"{name}\"\n  topic = \"{topic}\"\n  \
         actions = [\"create\", \"update\", \"delete\"]\n  triggers = [\"{field}.*\"]\n  \
         uri = \"{uri}\"\n  query = \"query(${field}Id: ID!) {{ {field}(id: ${field}Id) {{ \
         {selection} }} }}\"\n",
        name = spec.name,
    ))
}

/// What a document selects of a type, in one line, without what comes in pages.
fn selection(document: &str, of: &str) -> Option<String> {
    let begin = format!("... on {of} {{");
    let rest = &document[document.find(&begin)? + begin.len()..];
    let inner = &rest[..end_of_block(rest)?];
    let mut selected = String::new();
    let mut rest = inner;
    while let Some(open) = rest.find('{') {
        let close = open + 1 + end_of_block(&rest[open + 1..])?;
        let (before, block) = (&rest[..open], &rest[open..=close]);
        if block.contains("pageInfo") {
            // The field's name and its arguments go with it.
            let field = before.trim_end();
            let field = match field.ends_with(')') {
                true => &field[..field.rfind('(').unwrap_or(field.len())],
                false => field,
            };
            let end = field.trim_end().rfind(char::is_whitespace).unwrap_or(0);
            selected.push_str(&field[..end]);
        } else {
            selected.push_str(before);
            selected.push_str(block);
        }
        rest = &rest[close + 1..];
    }
    selected.push_str(rest);
    Some(selected.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Where the block that a text stands in ends.
fn end_of_block(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

fn list<'a>(topics: impl Iterator<Item = &'a &'a str>) -> String {
    let quoted: Vec<String> = topics.map(|topic| format!("\"{topic}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_subscribes_itself_to_what_nothing_else_tells() {
        let url = "https://backstock.example.com".parse().expect("an address");
        let only = app_toml(&url, "2026-10", &BTreeSet::new(), true);
        assert!(only.contains("compliance_topics") && !only.contains("products/update"));
        assert!(only.contains("topic = \"Page\""), "{only}");
        assert!(only.contains("query($pageId: ID!) { page(id: $pageId) { __typename id title"));
        assert!(!only.contains("pageInfo"), "{only}");
        let types = ["lookbook".to_owned()].into();
        let all = app_toml(&url, "2026-10", &types, false);
        assert!(all.contains("\"products/update\"") && all.contains("filter = \"type:lookbook\""));
    }

    #[test]
    fn what_comes_in_pages_is_left_out_of_a_selection() {
        let document = "query Q($ids: [ID!]!) { nodes(ids: $ids) { ... on Page { id title \
             seo { title } metafields(first: 20) { pageInfo { hasNextPage } nodes { id } } \
             items { pageInfo { x } } handle } } }";
        assert_eq!(selection(document, "Page").as_deref(), Some("id title seo { title } handle"));
    }
}
