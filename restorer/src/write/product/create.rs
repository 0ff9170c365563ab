//! A product that is gone, made anew.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::aside::Aside;
use super::options::{SET, SYNCHRONOUS_MAX, input as option_input};
use super::variants::INPUT_MAX;
use super::{fields, linked, media, points, stock, variants};
use crate::write::step::{Step, ask, is_unknown, list, send, text};
use crate::write::{Around, WriteError, crud, look, metafield, upload};

const BY_HANDLE: &str = include_str!("../graphql/product_by_handle.graphql");
/// [`SET`], and its answer tells what there is to know of a product with at most so many variants, which costs
/// less than to read it once it is made. Points are set aside for all that it may tell: so no more is asked
/// than there may be. With more variants it is answered before the product is made.
const TELLING: [(usize, &str); 2] = [
    (20, include_str!("../graphql/product_set_telling.graphql")),
    (SYNCHRONOUS_MAX, include_str!("../graphql/product_set_telling_more.graphql")),
];

/// So often a product whose making nobody heard of is looked for again, a second apart.
const LOOKS: u32 = 10;

/// A product that is there now.
pub(super) struct Made {
    pub(super) gid: String,
    /// What its making answered of it, as far as anything.
    pub(super) told: Value,
}

/// Makes the product, or finds that an earlier try has made it.
pub(super) async fn create(around: &dyn Around, want: &mut Value) -> Result<Made, WriteError> {
    let handle = &text(want, "handle").to_owned();
    let found = |gid| Made { gid, told: Value::Null };
    if let Some(gid) = ours(around, handle).await? {
        return Ok(found(gid));
    }
    let media::Sources { files, .. } = media::sources(around, &json!({}), want).await?;
    let is_for_its_name =
        |why: &String| crud::is_taken(why) && !metafield::are_named(std::slice::from_ref(why));
    let (mut with_metafields, mut with_stock) = (true, true);
    let mut refused = Vec::new();
    loop {
        let mut variables = variables(want, &files);
        let stocked = match with_stock {
            true => stock::put(around, want, &mut variables["input"]).await,
            false => None,
        };
        let is_synchronous = variables["synchronous"] == true;
        if !with_metafields && !metafield::leave_out(&mut variables["input"]) {
            return Err(WriteError::Refused(refused));
        }
        let aside = Aside::put(want);
        let made = made(around, handle, variables).await;
        aside.back(want);
        if let Ok(made) = &made
            && (stocked.is_some() || !with_stock)
        {
            // What it was given it has, or its making would have been refused, where that was heard out:
            // what the shop is at work on for longer it makes without what it does not take.
            let is_heard = is_synchronous && !made.told.is_null();
            around.stocked(stocked.as_deref().map(|whole| if is_heard { whole } else { &[] }));
        }
        refused = match made {
            Err(WriteError::Refused(why)) => why,
            // Without them it has not all of what it is to have, and so is looked at as a whole.
            Ok(made) if !with_metafields => return Ok(found(made.gid)),
            made => return made,
        };
        let plain = refused.iter().any(|why| linked::is_refused(why))
            && linked::give_up(around, want, &refused);
        // Nothing else helps, and what has its name now may be somebody else's.
        if !plain && refused.iter().any(is_for_its_name) {
            return Err(WriteError::Refused(refused));
        }
        match metafield::are_named(&refused) {
            _ if plain => {}
            // One that the shop does not take keeps all of it away: they follow, each for itself.
            true if with_metafields => with_metafields = false,
            // Whatever else it is may be for its stock, which has rows of its own.
            _ if stocked.is_some() => with_stock = false,
            _ => return Err(WriteError::Refused(refused)),
        }
        if let Some(gid) = ours(around, handle).await? {
            return Ok(found(gid));
        }
    }
}

/// Makes the product of these variables.
async fn made(around: &dyn Around, handle: &str, mut variables: Value) -> Result<Made, WriteError> {
    let found = |gid| Made { gid, told: Value::Null };
    upload::fill(around, &mut variables).await?;
    let count = list(&variables["input"], "variants").len();
    let telling = TELLING.iter().find(|(most, _)| count <= *most);
    let document = telling.map_or(SET, |(_, telling)| telling);
    match send(around, Step::making(document, variables)).await {
        Ok(mut payload) => {
            let told = payload["product"].take();
            match told["id"].as_str().map(str::to_owned) {
                Some(gid) => Ok(Made { gid, told }),
                None => Err(WriteError::Refused(vec!["the shop answered no product".into()])),
            }
        }
        Err(error) if is_unknown(&error) => {
            for _ in 0..LOOKS {
                if let Some(gid) = ours(around, handle).await? {
                    return Ok(found(gid));
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// The product with a handle, if this job has made it. Somebody else's is in the way.
async fn ours(around: &dyn Around, handle: &str) -> Result<Option<String>, WriteError> {
    let data = ask(around, BY_HANDLE, json!({"handle": handle})).await?;
    let found = &data["productByIdentifier"];
    let Some(gid) = found["id"].as_str() else { return Ok(None) };
    if look::is_since(around, found) && around.may_be_ours(gid).await {
        return Ok(Some(gid.to_owned()));
    }
    Err(WriteError::Taken(format!(
        "another product, {:?}, has the handle {handle:?} now: give that one another handle or \
         delete it, then try again",
        text(found, "title")
    )))
}

/// Everything about the product that one mutation takes. `there` are its media that are still in the
/// shop.
fn variables(want: &Value, there: &BTreeSet<String>) -> Value {
    let mut input = fields::all(want);
    let options: Vec<Value> = list(want, "options").iter().map(option_input).collect();
    let known: Vec<&Value> = variants::known(want).collect();
    let files: Vec<(&Value, Value)> = list(want, "media")
        .iter()
        .filter_map(|medium| Some((medium, media::file_input(medium, there)?)))
        .take(INPUT_MAX)
        .collect();
    let mut metafields = metafield::inputs(&json!([]), &want["metafields"]);
    metafields.retain(|metafield| !linked::is_followed(metafield, &[want]));
    if !options.is_empty() && !known.is_empty() {
        let of_variant = |variant: &&Value| {
            let mut input = variants::set_input(variant, &[want]);
            let medium = list(variant, "mediaIds").first();
            let file = medium.and_then(|id| files.iter().find(|(medium, _)| medium["id"] == *id));
            if let Some((_, file)) = file {
                input["file"] = file.clone();
            }
            input
        };
        let mut some: Vec<Value> = known.iter().take(INPUT_MAX).map(of_variant).collect();
        some.truncate(points::beside(files.len(), metafields.len(), &some));
        // Those that come later bring their own values.
        input.insert("productOptions".into(), with_values_of(options, &some).into());
        input.insert("variants".into(), some.into());
    }
    if !files.is_empty() {
        let files: Vec<Value> = files.into_iter().map(|(_, file)| file).collect();
        input.insert("files".into(), files.into());
    }
    if !metafields.is_empty() {
        input.insert("metafields".into(), metafields.into());
    }
    let given = input.get("variants").and_then(Value::as_array).map_or(0, Vec::len);
    let synchronous = given <= SYNCHRONOUS_MAX;
    json!({"identifier": null, "input": Map::from_iter(input), "synchronous": synchronous})
}

/// Options with those of their values that the variants have.
fn with_values_of(mut options: Vec<Value>, variants: &[Value]) -> Vec<Value> {
    for option in &mut options {
        let name = option["name"].clone();
        let is_used = |by: &str, value: &Value| {
            variants
                .iter()
                .flat_map(|variant| list(variant, "optionValues"))
                .any(|chosen| chosen["optionName"] == name && chosen[by] == *value)
        };
        if let Some(values) = option.get_mut("values").and_then(Value::as_array_mut) {
            values.retain(|value| is_used("name", &value["name"]));
        }
        if let Some(Value::Array(entries)) = option.pointer_mut("/linkedMetafield/values") {
            entries.retain(|entry| is_used("linkedMetafieldValue", entry));
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_made_with_as_many_of_its_variants_as_one_mutation_takes() {
        let made_with = |metafields: u64| {
            let metafield = |n: u64| json!({"namespace": "custom", "key": format!("k{n}"), "type": "boolean", "value": "true"});
            let metafields: Vec<Value> = (0..metafields).map(metafield).collect();
            let variant = |n: u64| {
                json!({
                    "id": format!("v{n}"), "price": "1.00", "metafields": metafields,
                    "selectedOptions": [{"name": "Size", "value": n.to_string()}],
                })
            };
            let sizes: Vec<String> = (0..200).map(|n: u64| n.to_string()).collect();
            let want = json!({
                "title": "Shirt", "options": [{"name": "Size", "values": sizes}],
                "variants": (0..200).map(variant).collect::<Vec<_>>(),
            });
            let made = variables(&want, &BTreeSet::new());
            let values = list(&made["input"]["productOptions"][0], "values").len();
            (list(&made["input"], "variants").len(), values, made["synchronous"] == true)
        };
        assert_eq!(made_with(1), (200, 200, false));
        assert_eq!(made_with(20), (91, 91, false), "8.2 points each");
        assert_eq!(made_with(40), (46, 46, true), "so few are waited for, however many follow");
    }
}
