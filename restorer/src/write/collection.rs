//! Collections: by rule or by hand, with their order, their picture and where they are published.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::{Kind, ResourceId};
use serde_json::{Map, Value, json};

use super::step::{Step, ask, is_unknown, list, send, text, written};
use super::{
    Around, WriteError, Written, collection_source, look, metafield, order, publication, upload,
};

const BY_HANDLE: &str = include_str!("graphql/collection_by_handle.graphql");
const CREATE: &str = include_str!("graphql/collection_create.graphql");
const CREATE_FROM_SOURCES: &str = include_str!("graphql/collection_create_sources.graphql");
const UPDATE: &str = include_str!("graphql/collection_update.graphql");
const DELETE: &str = include_str!("graphql/collection_delete.graphql");
const ADD: &str = include_str!("graphql/collection_add_products.graphql");
const REMOVE: &str = include_str!("graphql/collection_remove_products.graphql");
const REORDER: &str = include_str!("graphql/collection_reorder_products.graphql");

/// A list in an input has no more elements than this.
const INPUT_MAX: usize = 250;
/// So often a collection may have to be looked at until it is as wanted.
const ROUNDS: usize = 5;

/// Brings a collection from one state to another.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, text(now, "id")).await,
        (Some(now), Some(want)) => {
            unless_untold(now, want)?;
            let mut work = Work::new(around, want);
            work.bring(now.clone()).await?;
            match (work.refused.is_empty(), work.changed) {
                (false, _) => Err(WriteError::Refused(work.refused)),
                (true, true) => Ok(Written::Updated { ids: BTreeMap::new() }),
                (true, false) => Ok(Written::Unchanged),
            }
        }
        (None, Some(want)) => {
            unless_untold(&Value::Null, want)?;
            let mut work = Work::new(around, want);
            work.drop_missing_products(&json!({})).await?;
            let gid = create(around, &work.want).await?;
            let made = work.look(&gid).await?;
            work.bring(made).await?;
            work.refused.into_iter().for_each(|why| around.note(why));
            let ids = [(text(want, "id").to_owned(), gid.clone())].into();
            Ok(Written::Created { gid, ids })
        }
    }
}

/// Refuses rules of which one is on a metafield and does not say on which, as history did not keep once.
fn unless_untold(now: &Value, want: &Value) -> Result<(), WriteError> {
    let is_untold = |rule: &&Value| {
        text(rule, "column").ends_with("METAFIELD_DEFINITION")
            && rule["conditionObjectId"].is_null()
    };
    let untold = list(&want["ruleSet"], "rules").iter().find(is_untold);
    match untold.filter(|_| now["ruleSet"] != want["ruleSet"]) {
        Some(rule) => Err(WriteError::Refused(vec![format!(
            "on which metafield its rule “{}” was is not known, since history did not keep it then: give \
             it its rules by hand",
            text(rule, "condition")
        )])),
        None => Ok(()),
    }
}

async fn delete(around: &dyn Around, gid: &str) -> Result<Written, WriteError> {
    match send(around, Step::setting(DELETE, json!({"id": gid}))).await {
        Ok(_) => Ok(Written::Deleted),
        Err(error) => match publication::there(around, &[gid.to_owned()]).await?.is_empty() {
            true => Ok(Written::Deleted),
            false => Err(error),
        },
    }
}

/// Makes the collection, or finds that an earlier try has made it. Answers its gid.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = ours(around, want).await? {
        return Ok(gid);
    }
    let refused = match made(around, want, create_input(want)).await {
        Err(WriteError::Refused(why)) if metafield::are_named(&why) => why,
        made => return made,
    };
    // One metafield that the shop does not take keeps all of it away: they follow, each for itself.
    let mut bare = create_input(want);
    if bare.remove("metafields").is_none() {
        return Err(WriteError::Refused(refused));
    }
    match ours(around, want).await? {
        Some(gid) => Ok(gid),
        None => made(around, want, bare).await,
    }
}

/// Makes the collection of these fields. Answers its gid.
async fn made(
    around: &dyn Around,
    want: &Value,
    mut input: Map<String, Value>,
) -> Result<String, WriteError> {
    let sources = collection_source::of_new(want).filter(|_| collection_source::are_there(around));
    let (document, mut variables) = match sources {
        Some(sources) => {
            input.retain(|name, _| name != "ruleSet" && name != "products");
            input.insert("sources".into(), sources);
            (CREATE_FROM_SOURCES, json!({"collection": input}))
        }
        None => (CREATE, json!({"input": input})),
    };
    upload::fill(around, &mut variables).await?;
    match send(around, Step::making(document, variables)).await {
        Ok(payload) => Ok(text(&payload["collection"], "id").to_owned()),
        Err(error) if is_unknown(&error) => ours(around, want).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// The collection with the handle, if this job has made it. Somebody else's is in the way. Shopify
/// does not say when a collection was made, so ours is one that was touched since and has the title, where
/// an earlier try may have made any: products that come back touch those of others, too.
async fn ours(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let handle = text(want, "handle");
    let data = ask(around, BY_HANDLE, json!({"handle": handle})).await?;
    let found = &data["collectionByIdentifier"];
    let Some(gid) = found["id"].as_str() else { return Ok(None) };
    let touched = json!({"createdAt": found["updatedAt"]});
    if found["title"] == want["title"]
        && look::is_since(around, &touched)
        && around.may_be_ours(gid).await
    {
        return Ok(Some(gid.to_owned()));
    }
    Err(WriteError::Taken(format!(
        "another collection, {:?}, has the handle {handle:?} now: give that one another handle or \
         delete it, then try again",
        text(found, "title")
    )))
}

fn create_input(want: &Value) -> Map<String, Value> {
    let mut input = changed(&json!({}), want);
    input.retain(|_, value| !value.is_null() && *value != "");
    if let Some(Value::Object(seo)) = input.get_mut("seo") {
        seo.retain(|_, value| *value != "");
    }
    if !is_smart(want) {
        let some: Vec<Value> = list(want, "productIds").iter().take(INPUT_MAX).cloned().collect();
        if !some.is_empty() {
            input.insert("products".into(), some.into());
        }
    }
    let metafields = metafield::inputs(&json!([]), &want["metafields"]);
    if !metafields.is_empty() {
        input.insert("metafields".into(), metafields.into());
    }
    input
}

/// The fields that differ, as an input has them. What the wanted state does not know is left alone.
fn changed(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = Map::new();
    let differs = |name: &str| want.get(name).filter(|value| now.get(name) != Some(value));
    for name in ["title", "handle", "descriptionHtml", "templateSuffix"] {
        if let Some(value) = differs(name) {
            input.insert(name.into(), written(value));
        }
    }
    if let Some(value) = differs("sortOrder").filter(|value| !value.is_null()) {
        input.insert("sortOrder".into(), value.clone());
    }
    // A collection that is kept by hand stays so.
    if let Some(rules) = differs("ruleSet").filter(|rules| rules.is_object()) {
        input.insert("ruleSet".into(), rules.clone());
    }
    if let Some(seo) = want.get("seo").and_then(Value::as_object) {
        let differ = seo.iter().filter(|(name, value)| now["seo"].get(*name) != Some(value));
        let seo: Map<String, Value> =
            differ.map(|(name, value)| (name.clone(), written(value))).collect();
        if !seo.is_empty() {
            input.insert("seo".into(), seo.into());
        }
    }
    if let Some(image) = want.get("image").and_then(|image| picture(&now["image"], image)) {
        input.insert("image".into(), image);
    }
    input
}

/// What makes a picture of another; `None`: it is the same already.
fn picture(now: &Value, want: &Value) -> Option<Value> {
    if want.is_null() {
        return (!now.is_null()).then_some(Value::Null);
    }
    let mut image = Map::new();
    let (is, should) = (text(now, "url"), text(want, "url"));
    if is != should && !upload::is_named_after(is, should) {
        image.insert("src".into(), upload::source(want, "IMAGE")?);
    }
    if now["altText"] != want["altText"] {
        image.insert("altText".into(), written(&want["altText"]));
    }
    (!image.is_empty()).then(|| image.into())
}

fn is_smart(state: &Value) -> bool {
    state["ruleSet"].is_object()
}

/// The steps from one state to another.
#[derive(Debug, PartialEq)]
struct Steps {
    /// Those after which one has to look again: what is in it, and how it is sorted.
    shape: Vec<Step>,
    rest: Vec<Step>,
}

/// The steps from one state to another. `source` is the one that products are chosen in, in versions
/// that have sources.
fn steps(now: &Value, want: &Value, source: Option<&str>) -> Steps {
    let gid = text(now, "id");
    let mut fields = changed(now, want);
    let reshaping = fields.contains_key("sortOrder") || fields.contains_key("ruleSet");
    let update = (!fields.is_empty()).then(|| {
        fields.insert("id".into(), gid.into());
        Step::setting(UPDATE, json!({"input": fields}))
    });
    let (mut shape, mut rest) = match reshaping {
        true => (update.into_iter().collect(), Vec::new()),
        false => (Vec::new(), update.into_iter().collect::<Vec<_>>()),
    };
    if !is_smart(now) && !is_smart(want) && want["productIds"].is_array() {
        let (is, should) = (list(now, "productIds"), list(want, "productIds"));
        let (missing, extra) = members(now, want);
        for (document, how, ids) in
            [(ADD, "selectionsToAdd", missing), (REMOVE, "selectionsToRemove", extra)]
        {
            let step = |ids| Step::setting(document, json!({"id": gid, "productIds": ids}));
            match source {
                Some(source) => shape.extend(collection_source::change(gid, source, how, &ids)),
                None => shape.extend(ids.chunks(INPUT_MAX).map(step)),
            }
        }
        if want["sortOrder"] == "MANUAL" {
            let ids = |of: &'_ [Value]| -> Vec<String> {
                of.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let (is, should) = (ids(is), ids(should));
            let is: Vec<&str> = is.iter().map(String::as_str).collect();
            let should: Vec<&str> = should.iter().map(String::as_str).collect();
            let moves = order::inputs(&order::moves(&is, &should));
            rest.extend(
                moves
                    .into_iter()
                    .map(|moves| Step::making(REORDER, json!({"id": gid, "moves": moves}))),
            );
        }
    }
    if want["metafields"].is_array() {
        let changes = metafield::changes(gid, &now["metafields"], &want["metafields"]);
        rest.extend(changes.steps());
    }
    rest.extend(publication::steps(gid, now, want));
    Steps { shape, rest }
}

/// The members that are missing, and those that are too many.
fn members(now: &Value, want: &Value) -> (Vec<Value>, Vec<Value>) {
    let (is, should) = (list(now, "productIds"), list(want, "productIds"));
    let other = |of: &[Value], than: &[Value]| -> Vec<Value> {
        let than: BTreeSet<&str> = than.iter().filter_map(Value::as_str).collect();
        let is_in = |id: &Value| id.as_str().is_some_and(|id| than.contains(id));
        of.iter().filter(|id| !is_in(id)).cloned().collect()
    };
    (other(should, is), other(is, should))
}

/// A collection on its way to what is wanted.
struct Work<'a> {
    around: &'a dyn Around,
    want: Value,
    changed: bool,
    refused: Vec<String>,
}

impl<'a> Work<'a> {
    fn new(around: &'a dyn Around, want: &Value) -> Self {
        Self { around, want: want.clone(), changed: false, refused: Vec::new() }
    }

    async fn bring(&mut self, mut now: Value) -> Result<(), WriteError> {
        let by_hand = self.want.get("ruleSet").is_some_and(Value::is_null);
        if is_smart(&now) && by_hand {
            self.around.note(
                "it was kept by hand and follows a rule now, which the shop does not take back: \
                 delete it and restore it"
                    .into(),
            );
        }
        self.want["id"] = now["id"].clone();
        let missing = publication::missing(self.around, &now, &self.want).await?;
        if !missing.is_empty() {
            publication::leave_out(&mut self.want, &missing);
        }
        self.drop_missing_products(&now).await?;
        let source = self.source(&now).await?;
        let mut may_shape = true;
        for _ in 0..ROUNDS {
            let Steps { shape, rest } = steps(&now, &self.want, source.as_deref());
            let is_shaping = may_shape && !shape.is_empty();
            let heard = self.send(if is_shaping { shape } else { rest }).await?;
            if !is_shaping && heard {
                return Ok(());
            }
            may_shape = self.refused.is_empty();
            now = self.look(text(&now, "id")).await?;
        }
        self.refused.push("it does not become as wanted, however often it is written".into());
        Ok(())
    }

    /// The source that products are chosen in, where members differ and the version has sources. The
    /// members of a collection that is put together from more are left alone, and that is said.
    async fn source(&mut self, now: &Value) -> Result<Option<String>, WriteError> {
        let by_hand = !is_smart(now) && !is_smart(&self.want);
        let differ = self.want["productIds"].is_array()
            && members(now, &self.want) != (Vec::new(), Vec::new());
        if !(by_hand && differ && collection_source::are_there(self.around)) {
            return Ok(None);
        }
        let source = collection_source::by_hand(self.around, text(now, "id")).await?;
        if source.is_none() {
            self.around.note(
                "it is put together from several sources or conditions, of which history knows only \
                 the products that they found: look at them by hand"
                    .into(),
            );
            self.want.as_object_mut().map(|members| members.remove("productIds"));
        }
        Ok(source)
    }

    /// Sends steps one after the other; whether each was heard of.
    async fn send(&mut self, steps: Vec<Step>) -> Result<bool, WriteError> {
        let so_far = (&mut self.changed, &mut self.refused);
        metafield::send_all(self.around, steps, so_far).await
    }

    /// Leaves out products that are not there any more, and says so.
    async fn drop_missing_products(&mut self, now: &Value) -> Result<(), WriteError> {
        if is_smart(&self.want) {
            return Ok(());
        }
        let known: BTreeSet<&str> =
            list(now, "productIds").iter().filter_map(Value::as_str).collect();
        let new: Vec<String> = list(&self.want, "productIds")
            .iter()
            .filter_map(Value::as_str)
            .filter(|id| !known.contains(id))
            .map(str::to_owned)
            .collect();
        let there: BTreeSet<String> =
            publication::there(self.around, &new).await?.into_iter().collect();
        let missing: Vec<&String> = new.iter().filter(|id| !there.contains(*id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.around.note(format!(
            "{} products that were in it are not there any more: restore them first, then it",
            missing.len()
        ));
        let products = self.want["productIds"].as_array_mut();
        if let Some(products) = products {
            products.retain(|id| !missing.iter().any(|missing| id == missing.as_str()));
        }
        Ok(())
    }

    async fn look(&self, gid: &str) -> Result<Value, WriteError> {
        let gone = || WriteError::Missing(format!("the collection {gid} was deleted meanwhile"));
        let spec = Kind::parse("collection").ok().and_then(|kind| kind.spec()).ok_or_else(gone)?;
        let id = ResourceId::parse(gid).map_err(|_| gone())?;
        look::state(self.around.admin(), spec, &id).await?.ok_or_else(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(products: &[&str]) -> Value {
        json!({
            "id": "c", "title": "Mugs", "sortOrder": "MANUAL", "ruleSet": null,
            "productIds": products, "image": null, "seo": {"title": null},
        })
    }

    #[test]
    fn one_field_is_sent_alone() {
        let now = collection(&["a"]);
        assert_eq!(steps(&now, &now, None), Steps { shape: vec![], rest: vec![] });
        let mut want = now.clone();
        want["title"] = json!("Cups");
        let sent = steps(&now, &want, None);
        assert_eq!(sent.shape, []);
        assert_eq!(
            sent.rest,
            [Step::setting(UPDATE, json!({"input": {"id": "c", "title": "Cups"}}))]
        );
    }

    #[test]
    fn members_come_and_go_before_their_order() {
        let sent = steps(&collection(&["a", "x", "b"]), &collection(&["b", "a", "n"]), None);
        assert_eq!(
            sent.shape,
            [
                Step::setting(ADD, json!({"id": "c", "productIds": ["n"]})),
                Step::setting(REMOVE, json!({"id": "c", "productIds": ["x"]})),
            ]
        );
        let sent = steps(&collection(&["a", "b", "n"]), &collection(&["b", "a", "n"]), None);
        assert_eq!(sent.shape, []);
        assert_eq!(sent.rest.len(), 1);
        assert_eq!(sent.rest[0].document, REORDER);
    }

    #[test]
    fn the_members_of_a_rule_are_not_written() {
        let mut now = collection(&["a"]);
        now["ruleSet"] = json!({"appliedDisjunctively": false, "rules": []});
        let mut want = now.clone();
        want["productIds"] = json!(["b"]);
        assert_eq!(steps(&now, &want, None), Steps { shape: vec![], rest: vec![] });
        want["ruleSet"]["appliedDisjunctively"] = json!(true);
        let sent = steps(&now, &want, None);
        assert_eq!(sent.shape[0].variables["input"]["ruleSet"], want["ruleSet"]);
    }

    #[test]
    fn a_rule_that_does_not_say_its_metafield_is_not_sent() {
        let with = |of: Value| {
            let mut state = collection(&[]);
            let rule = json!({"column": "VARIANT_METAFIELD_DEFINITION", "relation": "EQUALS",
                              "condition": "oak", "conditionObjectId": of});
            state["ruleSet"] = json!({"appliedDisjunctively": false, "rules": [rule]});
            state
        };
        let (told, untold) =
            (with(json!("gid://shopify/MetafieldDefinition/7")), with(Value::Null));
        for now in [&Value::Null, &collection(&[]), &told] {
            let refused = unless_untold(now, &untold).expect_err("it cannot be sent");
            assert!(refused.to_string().contains("oak"), "{refused}");
            assert!(unless_untold(now, &told).is_ok() && unless_untold(now, now).is_ok());
        }
        assert!(unless_untold(&untold, &untold).is_ok(), "it stays as it is");
    }

    #[test]
    fn a_picture_under_another_address_is_the_same_picture() {
        let image = |file: &str, words: &str| json!({"url": format!("https://cdn/{file}"), "altText": words, "blob": "ab"});
        assert_eq!(picture(&image("mug.jpg", "x"), &image("mug.jpg", "x")), None);
        let copy = "mug_0f8fad5b-d9cb-469f-a165-70867728950e.jpg";
        assert_eq!(picture(&image(copy, "x"), &image("mug.jpg", "x")), None);
        let words = picture(&image(copy, "x"), &image("mug.jpg", "y"));
        assert_eq!(words, Some(json!({"altText": "y"})));
        assert_eq!(picture(&image("mug.jpg", "x"), &Value::Null), Some(Value::Null));
        assert!(picture(&image("cup.jpg", "x"), &image("mug.jpg", "x")).is_some());
    }
}
