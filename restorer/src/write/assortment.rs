//! Which products a catalog shows: its publication says it. Without one it shows all, so a publication that
//! went with its catalog, or since, is made anew with the products that it had.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::step::{Step, is_unknown, list, patiently, text};
use super::{Around, WriteError, look, publication};

const CREATE: &str = include_str!("graphql/publication_create.graphql");
const UPDATE: &str = include_str!("graphql/publication_update.graphql");

/// Most products in one mutation.
/// <https://shopify.dev/docs/api/admin-graphql/latest/input-objects/PublicationUpdateInput>
const UPDATE_MAX: usize = 50;
/// So many products of a publication are surely all of them: Shopify's pages end at 25,000.
/// <https://shopify.dev/docs/api/usage/pagination-graphql>
const ALL_MAX: usize = 24_000;

/// Whether a wanted state tells which products the catalog shows, and they are not all.
pub(super) fn is_known(want: &Value) -> bool {
    want["products"].is_array() && want["publication"].is_object()
}

/// Whether a catalog is to show others than it does.
pub(super) fn differs(now: &Value, want: &Value) -> bool {
    let of = |member: &str| want.get(member).is_some_and(|wanted| *wanted != now[member]);
    is_known(want) && ["publication", "products", "autoPublish"].into_iter().any(of)
}

/// Has a catalog that is there show the products that are wanted. Whether anything is otherwise then, and
/// old gid → new gid of a publication that was made anew.
pub(super) async fn bring(
    around: &dyn Around,
    catalog: &str,
    want: &Value,
) -> Result<(bool, BTreeMap<String, String>), WriteError> {
    let mut is = look::by_gid(around, "catalog", catalog).await?;
    let is_made = is["publication"]["id"].is_null();
    if is_made {
        is = create(around, catalog, want).await?;
    }
    let gid = text(&is["publication"], "id").to_owned();
    let ids = |state: &Value| -> BTreeSet<String> {
        list(state, "products").iter().map(|product| text(product, "id").to_owned()).collect()
    };
    let (shown, wanted) = (ids(&is), ids(want));
    let mut missing: Vec<String> = wanted.difference(&shown).cloned().collect();
    let there = publication::there(around, &missing).await?;
    let lost = missing.len() - there.len();
    if lost > 0 {
        around.note(format!(
            "{lost} of the products that it showed are not there any more: restore them first, then it"
        ));
    }
    missing.retain(|id| there.contains(id));
    let gone = surplus(&shown, &wanted);
    let mut inputs = Vec::new();
    for (name, products) in [("publishablesToAdd", &missing), ("publishablesToRemove", &gone)] {
        inputs.extend(products.chunks(UPDATE_MAX).map(|some| json!({ name: some })));
    }
    if want["autoPublish"].is_boolean() && want["autoPublish"] != is["autoPublish"] {
        inputs.push(json!({"autoPublish": want["autoPublish"]}));
    }
    let old = text(&want["publication"], "id");
    let renamed = (old != gid).then(|| (old.to_owned(), gid.clone()));
    let any = is_made || renamed.is_some() || !inputs.is_empty();
    for input in inputs {
        patiently(around, Step::setting(UPDATE, json!({"id": gid, "input": input}))).await?;
    }
    Ok((any, renamed.into_iter().collect()))
}

/// The products that are shown and were not. Where it showed more than Shopify tells of, any of them may have
/// been among those: all stay.
fn surplus(shown: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Vec<String> {
    if wanted.len() > ALL_MAX {
        return Vec::new();
    }
    shown.difference(wanted).cloned().collect()
}

/// Makes a publication for a catalog that has none, and answers how the catalog is then. One that was made
/// by a mutation whose answer is lost is seen by looking.
async fn create(around: &dyn Around, catalog: &str, want: &Value) -> Result<Value, WriteError> {
    let input = json!({
        "catalogId": catalog, "defaultState": "EMPTY", "autoPublish": want["autoPublish"] == true,
    });
    let made = patiently(around, Step::making(CREATE, json!({"input": input}))).await;
    let lost = match made {
        Ok(_) => None,
        Err(error) if is_unknown(&error) => Some(error),
        Err(error) => return Err(error),
    };
    let is = look::by_gid(around, "catalog", catalog).await?;
    match (is["publication"]["id"].is_null(), lost) {
        (false, _) => Ok(is),
        (true, Some(error)) => Err(error),
        (true, None) => Err(WriteError::Refused(vec![
            "the shop made a publication, and the catalog has none".into(),
        ])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_been_shown_beyond_what_is_told_stays() {
        let products = |numbers: std::ops::Range<usize>| -> BTreeSet<String> {
            numbers.map(|n| format!("gid://shopify/Product/{n}")).collect()
        };
        assert_eq!(surplus(&products(0..3), &products(0..2)), ["gid://shopify/Product/2"]);
        assert!(surplus(&products(0..ALL_MAX + 9), &products(0..ALL_MAX + 1)).is_empty());
    }
}
