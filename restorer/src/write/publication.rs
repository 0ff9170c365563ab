//! Where something is published, and from when.

use serde_json::{Value, json};

use super::step::{Step, ask, list, text};
use super::{Around, WriteError};

const PUBLISH: &str = include_str!("graphql/publishable_publish.graphql");
const UNPUBLISH: &str = include_str!("graphql/publishable_unpublish.graphql");
const THERE: &str = include_str!("graphql/there.graphql");

/// What brings the publications of a product or a collection from one state to another. Where the
/// wanted state does not know them, they are left alone. Each entry is a place where it is published, or
/// is to be: on a day, or once the product is active.
/// <https://shopify.dev/docs/api/admin-graphql/latest/objects/ResourcePublicationV2>
pub(super) fn steps(owner: &str, now: &Value, want: &Value) -> Vec<Step> {
    if !want["publications"].is_array() {
        return Vec::new();
    }
    let is_as = |there: &Value, entry: &Value| {
        entry["publishDate"].is_null() || there["publishDate"] == entry["publishDate"]
    };
    let publish: Vec<Value> = list(want, "publications")
        .iter()
        .filter(|entry| !same(now, entry).is_some_and(|there| is_as(there, entry)))
        .map(|entry| match &entry["publishDate"] {
            Value::Null => json!({"publicationId": entry["publicationId"]}),
            date => json!({"publicationId": entry["publicationId"], "publishDate": date}),
        })
        .collect();
    let unpublish: Vec<Value> = list(now, "publications")
        .iter()
        .filter(|entry| same(want, entry).is_none())
        .map(|entry| json!({"publicationId": entry["publicationId"]}))
        .collect();
    let mut steps = Vec::new();
    for (document, input) in [(PUBLISH, publish), (UNPUBLISH, unpublish)] {
        for input in input.chunks(250) {
            steps.push(Step::setting(document, json!({"id": owner, "input": input})));
        }
    }
    steps
}

/// The publications of a wanted state that are not there any more; a person is told of them.
pub(super) async fn missing(
    around: &dyn Around,
    now: &Value,
    want: &Value,
) -> Result<Vec<String>, WriteError> {
    let mut new: Vec<String> = list(want, "publications")
        .iter()
        .filter(|entry| same(now, entry).is_none())
        .map(|entry| text(entry, "publicationId").to_owned())
        .collect();
    let there = there(around, &new).await?;
    new.retain(|id| !there.contains(id));
    if !new.is_empty() {
        around.note(format!(
            "it was published on {} sales channels or catalogs that are not there any more: \
             install the channel again, then publish it there by hand",
            new.len()
        ));
    }
    Ok(new)
}

/// Leaves publications out of a wanted state.
pub(super) fn leave_out(want: &mut Value, publications: &[String]) {
    if let Some(entries) = want["publications"].as_array_mut() {
        entries.retain(|entry| !publications.iter().any(|id| id == text(entry, "publicationId")));
    }
}

/// Which of some gids there are.
pub(super) async fn there(around: &dyn Around, gids: &[String]) -> Result<Vec<String>, WriteError> {
    let mut there = Vec::with_capacity(gids.len());
    for gids in gids.chunks(100) {
        let data = ask(around, THERE, json!({"ids": gids})).await?;
        there.extend(list(&data, "nodes").iter().map(|node| text(node, "id").to_owned()));
    }
    there.retain(|gid| !gid.is_empty());
    Ok(there)
}

fn same<'a>(state: &'a Value, entry: &Value) -> Option<&'a Value> {
    let mut entries = list(state, "publications").iter();
    entries.find(|other| other["publicationId"] == entry["publicationId"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_channels_that_differ_are_written() {
        let entry = |id: &str, date: Option<&str>| json!({"publicationId": id, "isPublished": date.is_some(), "publishDate": date});
        let now =
            json!({"publications": [entry("a", Some("1")), entry("b", None), entry("c", None)]});
        let want = json!({"publications": [entry("a", Some("1")), entry("c", Some("2")), entry("d", None)]});
        let sent = steps("p", &now, &want);
        assert_eq!(
            sent,
            [
                Step::setting(
                    PUBLISH,
                    json!({"id": "p", "input": [
                        {"publicationId": "c", "publishDate": "2"},
                        {"publicationId": "d"},
                    ]})
                ),
                Step::setting(UNPUBLISH, json!({"id": "p", "input": [{"publicationId": "b"}]})),
            ]
        );
        assert_eq!(steps("p", &want, &want), []);
        assert_eq!(steps("p", &now, &json!({})), []);
    }
}
