//! Groups of selling plans, and what is sold by them. A group belongs to the app that makes it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::crud::{created, filter, is_taken, unless_refused};
use super::step::{Step, ask, delete, is_unknown, list, send, text};
use super::{Around, WriteError, Written, look, publication, twin};

mod input;

const FIND: &str = include_str!("../graphql/selling_plan_group_find.graphql");
const CREATE: &str = include_str!("../graphql/selling_plan_group_create.graphql");
const UPDATE: &str = include_str!("../graphql/selling_plan_group_update.graphql");
const DELETE: &str = include_str!("../graphql/selling_plan_group_delete.graphql");

/// What is sold: the list, and the mutations that put something there and take it out.
const MEMBERS: [(&str, &str, &str); 2] = [
    (
        "products",
        include_str!("../graphql/selling_plan_group_add_products.graphql"),
        include_str!("../graphql/selling_plan_group_remove_products.graphql"),
    ),
    (
        "productVariants",
        include_str!("../graphql/selling_plan_group_add_variants.graphql"),
        include_str!("../graphql/selling_plan_group_remove_variants.graphql"),
    ),
];

/// A list in an input has no more elements than this.
const INPUT_MAX: usize = 250;
/// How often it is looked whether anything is left to do.
const ROUNDS: usize = 4;

/// Makes one group what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let written = match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, DELETE, text(now, "id")).await,
        (Some(now), Some(want)) => {
            let mut want = want.clone();
            // No two plans of a group have the same name.
            let is_same = |old: &Value, new: &Value| old["name"] == new["name"];
            let taken = twin::take_up(around, now, &mut want, ("sellingPlans", is_same)).await;
            let brought = bring(around, now, &want).await;
            brought.map(|(sent, ids)| twin::updated(sent, ids, taken))
        }
        (None, Some(want)) => {
            let gid = create(around, want).await?;
            let there = look::by_gid(around, "selling_plan_group", &gid).await?;
            let brought = bring(around, &there, want).await;
            let ids = match unless_refused(around, "a part of it", brought)? {
                Some((_, ids)) => ids,
                None => {
                    let is = look::by_gid(around, "selling_plan_group", &gid).await?;
                    input::renamed(&is, want)
                }
            };
            Ok(created(gid, want, ids))
        }
    };
    written.map_err(explained)
}

/// Only its own app may touch a group.
fn explained(error: WriteError) -> WriteError {
    match &error {
        WriteError::Refused(why) if why.iter().any(|why| why.contains("GROUP_DOES_NOT_EXIST")) => {
            WriteError::Refused(vec![
                "the group belongs to another app, which alone may change it: do it there".into(),
            ])
        }
        _ => error,
    }
}

/// Whether anything was written, and which plans are there anew.
async fn bring(
    around: &dyn Around,
    now: &Value,
    want: &Value,
) -> Result<(bool, BTreeMap<String, String>), WriteError> {
    let gid = text(now, "id").to_owned();
    let (mut is, mut written) = (now.clone(), false);
    for _ in 0..ROUNDS {
        let input = input::changed(&is, want);
        if input.is_empty() {
            break;
        }
        let makes = input.contains_key("sellingPlansToCreate");
        let variables = json!({"id": gid, "input": input});
        let step = match makes {
            true => Step::making(UPDATE, variables),
            false => Step::setting(UPDATE, variables),
        };
        match send(around, step).await {
            Ok(_) => written = true,
            // Whether it was done is seen by looking: no two plans of a group have the same name.
            Err(error) if is_unknown(&error) => written = true,
            Err(error) => return Err(error),
        }
        is = look::by_gid(around, "selling_plan_group", &gid).await?;
    }
    let ids = input::renamed(&is, want);
    for members in MEMBERS {
        written |= bring_members(around, &gid, &is, want, members).await?;
    }
    Ok((written, ids))
}

/// Makes one of the lists of what is sold what it should be, as far as that is in the shop.
async fn bring_members(
    around: &dyn Around,
    gid: &str,
    now: &Value,
    want: &Value,
    (member, add, remove): (&str, &'static str, &'static str),
) -> Result<bool, WriteError> {
    if !want[member].is_array() {
        return Ok(false);
    }
    let ids = |state: &Value| -> BTreeSet<String> {
        list(state, member).iter().map(|entry| text(entry, "id").to_owned()).collect()
    };
    let (mut is, wanted) = (ids(now), ids(want));
    let missing: Vec<String> = wanted.difference(&is).cloned().collect();
    let present: BTreeSet<String> =
        publication::there(around, &missing).await?.into_iter().collect();
    if present.len() < missing.len() {
        let gone = missing.len() - present.len();
        around.note(format!(
            "{gone} products or variants that it sold are not there any more: restore them first, \
             then it"
        ));
    }
    let mut written = false;
    for _ in 0..ROUNDS {
        let missing: Vec<&String> = present.difference(&is).collect();
        let extra: Vec<&String> = is.difference(&wanted).collect();
        let steps = missing
            .chunks(INPUT_MAX)
            .map(|ids| (add, ids))
            .chain(extra.chunks(INPUT_MAX).map(|ids| (remove, ids)));
        let mut again = false;
        for (document, ids) in steps {
            let step = Step::setting(document, json!({"id": gid, "ids": ids}));
            match send(around, step).await {
                Ok(_) => written = true,
                // One that is there already holds up all of them: an earlier try had put it there.
                Err(WriteError::Refused(why)) if why.iter().any(|why| is_taken(why)) => {
                    again = true;
                }
                Err(error) => return Err(error),
            }
        }
        if !again {
            break;
        }
        is = ids(&look::by_gid(around, "selling_plan_group", gid).await?);
    }
    Ok(written)
}

/// Makes the group with its plans, or finds that an earlier try has made it.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = named(around, want).await? {
        return Ok(gid);
    }
    let mut input = input::changed(&json!({}), want);
    input.retain(|_, value| !value.is_null());
    match send(around, Step::making(CREATE, json!({"input": input}))).await {
        Ok(payload) => Ok(text(&payload["sellingPlanGroup"], "id").to_owned()),
        Err(error) if is_unknown(&error) => named(around, want).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// A group of the same names that an earlier try may have made. Any other one is somebody else's.
async fn named(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let data = ask(around, FIND, json!({"query": filter("name", text(want, "name"))})).await?;
    let mut same = list(&data["sellingPlanGroups"], "nodes").iter().filter(|group| {
        group["name"] == want["name"] && group["merchantCode"] == want["merchantCode"]
    });
    let Some(group) = same.next() else { return Ok(None) };
    let gid = text(group, "id");
    if look::is_since(around, group) && around.may_be_ours(gid).await {
        return Ok(Some(gid.to_owned()));
    }
    Err(WriteError::Taken(format!(
        "another group of selling plans is called {:?} now: rename or delete that one in its \
         app, then try again",
        text(want, "name")
    )))
}
