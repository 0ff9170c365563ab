//! A product's pictures, videos and models.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::matching::by_id;
use crate::write::step::{Step, list, send, text, until, written};
use crate::write::{Around, WriteError, order, publication, upload};

const ADD: &str = include_str!("../graphql/product_update.graphql");
const FILES: &str = include_str!("../graphql/file_update.graphql");
const REORDER: &str = include_str!("../graphql/product_reorder_media.graphql");
const STATUS: &str = include_str!("../graphql/media_status.graphql");
const DELETE: &str = include_str!("../graphql/file_delete.graphql");

/// A product has no more media than this.
const MEDIA_MAX: usize = 250;

/// What puts the missing ones on the product: files that are still there (`files`) again, others as
/// new ones. Too many at once are made room for first. Nothing is uploaded for what nothing is left of.
pub(super) fn shape(now: &Value, want: &Value, files: &BTreeSet<String>) -> Vec<Step> {
    let mut steps = Vec::new();
    let wanting: Vec<&Value> = missing(now, want).collect();
    let there = list(now, "media");
    if !wanting.is_empty() && there.len() + wanting.len() > MEDIA_MAX {
        let is_extra = |medium: &&Value| by_id(list(want, "media"), text(medium, "id")).is_none();
        let extra: Vec<Value> =
            there.iter().filter(is_extra).map(|medium| taken_off(medium, now)).collect();
        for files in extra.chunks(25) {
            steps.push(Step::setting(FILES, json!({"files": files})));
        }
    }
    let (again, anew): (Vec<&Value>, Vec<&Value>) =
        wanting.into_iter().partition(|medium| files.contains(text(medium, "id")));
    let again: Vec<Value> = again
        .iter()
        .map(|medium| json!({"id": medium["id"], "referencesToAdd": [now["id"]]}))
        .collect();
    for files in again.chunks(25) {
        steps.push(Step::setting(FILES, json!({"files": files})));
    }
    let anew: Vec<Value> = anew.into_iter().filter_map(create_input).collect();
    for media in anew.chunks(super::variants::INPUT_MAX) {
        let variables = json!({"product": {"id": now["id"]}, "media": media});
        steps.push(Step::making(ADD, variables));
    }
    steps
}

/// What makes those that are there what they should be, and their order.
pub(super) fn rest(now: &Value, want: &Value) -> Vec<Step> {
    if !want["media"].is_array() {
        return Vec::new();
    }
    let (there, wanted) = (list(now, "media"), list(want, "media"));
    let mut files: Vec<Value> = Vec::new();
    for medium in there {
        match by_id(wanted, text(medium, "id")) {
            Some(want) => files.extend(changed(medium, want)),
            None => files.push(taken_off(medium, now)),
        }
    }
    let mut steps: Vec<Step> =
        files.chunks(25).map(|files| Step::setting(FILES, json!({"files": files}))).collect();
    let ids = |of: &[Value], other: &[Value]| -> Vec<String> {
        let ids = of.iter().map(|medium| text(medium, "id").to_owned());
        ids.filter(|id| by_id(other, id).is_some()).collect()
    };
    let (is, should) = (ids(there, wanted), ids(wanted, there));
    let is: Vec<&str> = is.iter().map(String::as_str).collect();
    let should: Vec<&str> = should.iter().map(String::as_str).collect();
    for moves in order::inputs(&order::moves(&is, &should)) {
        steps.push(Step::making(REORDER, json!({"id": now["id"], "moves": moves})));
    }
    steps
}

/// The file update that takes a medium off a product. The file itself stays: others may use it.
fn taken_off(medium: &Value, product: &Value) -> Value {
    json!({"id": medium["id"], "referencesToRemove": [product["id"]]})
}

/// The wanted ones that are not on the product.
pub(super) fn missing<'a>(now: &'a Value, want: &'a Value) -> impl Iterator<Item = &'a Value> {
    let there = list(now, "media");
    list(want, "media").iter().filter(|medium| by_id(there, text(medium, "id")).is_none())
}

/// The file update that makes a medium what it should be.
fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut file = json!({"id": now["id"]});
    if want.get("alt").is_some_and(|alt| *alt != now["alt"]) {
        file["alt"] = written(&want["alt"]);
    }
    if has_other_bytes(now, want) {
        file["originalSource"] = upload::source(want, text(want, "mediaContentType"))?;
    }
    file.as_object().is_some_and(|members| members.len() > 1).then_some(file)
}

fn has_other_bytes(now: &Value, want: &Value) -> bool {
    let both_kept = now["blob"].is_string() && want["blob"].is_string();
    both_kept && now["blob"] != want["blob"]
}

/// Those that get other bytes in the place of their own.
pub(super) fn replaced(now: &Value, want: &Value) -> Vec<String> {
    let wanted = list(want, "media");
    let gets_others = |now: &&Value| {
        by_id(wanted, text(now, "id")).is_some_and(|want| has_other_bytes(now, want))
    };
    let replaced = list(now, "media").iter().filter(gets_others);
    replaced.map(|medium| text(medium, "id").to_owned()).collect()
}

/// Puts what is known of bytes into what the shop tells, which does not know of it.
pub(super) fn know(now: &mut Value, known: &Value) {
    for medium in now["media"].as_array_mut().into_iter().flatten() {
        let same = by_id(list(known, "media"), text(medium, "id"));
        let same = same.filter(|same| same["blob"].is_string() && same["url"] == medium["url"]);
        if let Some(same) = same {
            medium["blob"] = same["blob"].clone();
        }
    }
}

/// A medium as `productUpdate` takes it; `None` where there is nothing to make it of.
fn create_input(medium: &Value) -> Option<Value> {
    let content_type = text(medium, "mediaContentType");
    let source = upload::source(medium, content_type)?;
    Some(json!({
        "mediaContentType": content_type, "originalSource": source, "alt": written(&medium["alt"]),
    }))
}

/// A medium as `productSet` takes it, as one of the files that are still there or a new one; `None`
/// where there is nothing to make it of.
pub(super) fn file_input(medium: &Value, there: &BTreeSet<String>) -> Option<Value> {
    if there.contains(text(medium, "id")) {
        return Some(json!({"id": medium["id"]}));
    }
    let content_type = text(medium, "mediaContentType");
    let source = upload::source(medium, content_type)?;
    Some(json!({
        "contentType": content_type, "originalSource": source, "alt": written(&medium["alt"]),
    }))
}

/// Where the missing ones are to come from.
#[derive(Default)]
pub(super) struct Sources {
    /// Those whose file is still in the shop.
    pub(super) files: BTreeSet<String>,
    /// Those of which nothing is left.
    pub(super) lost: Vec<String>,
}

/// Looks where the missing ones are to come from.
pub(super) async fn sources(
    around: &dyn Around,
    now: &Value,
    want: &Value,
) -> Result<Sources, WriteError> {
    let ids: Vec<String> = missing(now, want)
        .map(|medium| text(medium, "id").to_owned())
        .filter(|id| id.starts_with("gid://"))
        .collect();
    let files: BTreeSet<String> = publication::there(around, &ids).await?.into_iter().collect();
    let lost = missing(now, want)
        .filter(|medium| !files.contains(text(medium, "id")))
        .filter(|medium| create_input(medium).is_none())
        .map(|medium| text(medium, "id").to_owned())
        .collect();
    Ok(Sources { files, lost })
}

/// Takes media out of a wanted state.
pub(super) fn forget(want: &mut Value, ids: &[String]) {
    if let Some(media) = want["media"].as_array_mut() {
        media.retain(|medium| !ids.iter().any(|id| id == text(medium, "id")));
    }
}

/// Waits until the shop has worked through media that were made just now. Those that it could not
/// read are deleted; answers which.
pub(super) async fn settle(
    around: &dyn Around,
    made: &BTreeSet<String>,
) -> Result<Vec<String>, WriteError> {
    let mut failed = Vec::new();
    let made: Vec<&String> = made.iter().collect();
    for ids in made.chunks(50) {
        let at_work = |node: &Value| matches!(text(node, "status"), "UPLOADED" | "PROCESSING");
        let data = until(around, STATUS, json!({"ids": ids}), |data| {
            !list(data, "nodes").iter().any(at_work)
        })
        .await?;
        let unread = list(&data, "nodes").iter().filter(|node| text(node, "status") == "FAILED");
        failed.extend(unread.map(|node| text(node, "id").to_owned()));
    }
    if !failed.is_empty() {
        send(around, Step::making(DELETE, json!({"fileIds": failed}))).await?;
        around.note(format!(
            "{} of its pictures cannot be brought back: their bytes were not kept, and the shop \
             cannot fetch them from their old address",
            failed.len()
        ));
    }
    Ok(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn medium(id: &str, alt: &str) -> Value {
        json!({"id": id, "alt": alt, "mediaContentType": "IMAGE", "url": format!("https://cdn/{id}.jpg")})
    }

    fn product(media: &[Value]) -> Value {
        json!({"id": "p", "media": media})
    }

    #[test]
    fn a_file_that_is_still_there_is_put_back_and_others_are_made() {
        let (a, b, c) = (medium("a", "A"), medium("b", "B"), medium("c", "C"));
        let now = product(std::slice::from_ref(&a));
        let want = product(&[a.clone(), b.clone(), c.clone()]);
        let sent = shape(&now, &want, &["b".to_owned()].into());
        assert_eq!(sent[0].variables, json!({"files": [{"id": "b", "referencesToAdd": ["p"]}]}));
        assert_eq!(
            sent[1].variables,
            json!({"product": {"id": "p"}, "media": [
                {"mediaContentType": "IMAGE", "alt": "C", "originalSource": "https://cdn/c.jpg"}]})
        );
        assert_eq!(shape(&want, &want, &BTreeSet::new()), []);
        assert_eq!(shape(&now, &json!({"id": "p"}), &BTreeSet::new()), []);
    }

    #[test]
    fn room_is_made_for_pictures_where_there_is_none() {
        let pictures = |of: &str, count: u64| -> Vec<Value> {
            (0..count).map(|n| medium(&format!("{of}{n}"), "")).collect()
        };
        let (now, want) = (product(&pictures("new", 200)), product(&pictures("old", 40)));
        let sent = shape(&now, &want, &BTreeSet::new());
        assert_eq!(sent.len(), 1, "there is room for these");
        let want = product(&pictures("old", 200));
        let sent = shape(&now, &want, &BTreeSet::new());
        let (off, on) = sent.split_at(8);
        assert!(off.iter().all(|step| step.document == FILES), "{off:?}");
        assert_eq!(
            off[0].variables["files"][0],
            json!({"id": "new0", "referencesToRemove": ["p"]})
        );
        assert_eq!(list(&on[0].variables, "media").len(), 200);
    }

    #[test]
    fn a_picture_that_was_replaced_gets_its_bytes_back_also_after_another_look() {
        let with = |blob: &str| {
            let mut medium = medium("a", "A");
            medium["blob"] = json!(blob);
            product(&[medium])
        };
        let (known, want) = (with("bb"), with("aa"));
        let mut now = product(&[medium("a", "A")]);
        assert_eq!((rest(&now, &want).len(), replaced(&now, &want).len()), (0, 0));
        know(&mut now, &known);
        assert_eq!(replaced(&now, &want), ["a"]);
        let sent = rest(&now, &want);
        let source = &sent[0].variables["files"][0]["originalSource"];
        assert_eq!(source["$bytes"]["hash"], "aa");
    }

    #[test]
    fn one_text_is_changed_alone_and_what_is_not_wanted_is_taken_off() {
        let (a, b) = (medium("a", "A"), medium("b", "B"));
        let now = product(&[a.clone(), b.clone()]);
        assert_eq!(rest(&now, &now), []);
        let sent = rest(&now, &product(&[medium("a", "other"), b.clone()]));
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].variables, json!({"files": [{"id": "a", "alt": "other"}]}));
        let sent = rest(&now, &product(std::slice::from_ref(&b)));
        assert_eq!(sent[0].variables, json!({"files": [{"id": "a", "referencesToRemove": ["p"]}]}));
        let sent = rest(&now, &product(&[b, a]));
        assert_eq!(sent[0].variables["moves"].as_array().map(Vec::len), Some(1));
    }
}
