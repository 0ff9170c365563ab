//! Delivery profiles: groups of locations, the zones that each delivers to, and the rates of each zone.
//!
//! Shopify asks for a few zones a request. So a profile is brought there in rounds: what is still
//! missing is sent, a piece of it, and the profile is read again. What was made is found by what it
//! is, so that an answer that was lost does no harm.

use std::collections::BTreeMap;

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{created, unless_refused};
use super::step::{Step, ask, delete, is_unknown, list, send, text};
use super::{Around, WriteError, Written, look, publication, twin};

mod input;

const BY_NAME: &str = include_str!("../graphql/delivery_profiles_by_name.graphql");
const CREATE: &str = include_str!("../graphql/delivery_profile_create.graphql");
const UPDATE: &str = include_str!("../graphql/delivery_profile_update.graphql");
const REMOVE: &str = include_str!("../graphql/delivery_profile_remove.graphql");

/// Most rounds: a profile has no more zones than a few hundred.
const ROUNDS: usize = 200;

/// Makes one profile what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, REMOVE, text(now, "id")).await,
        (Some(now), Some(want)) => {
            let mut want = present(around, now, want).await?;
            let taken = input::take_up(around, now, &mut want).await;
            let (sent, ids) = bring(around, now, &want).await?;
            Ok(twin::updated(sent, ids, taken))
        }
        (None, Some(want)) => {
            if want["default"] == true {
                return Err(WriteError::Unwritable(
                    "a shop always has a default delivery profile: put its zones right in the one \
                     that is there now"
                        .into(),
                ));
            }
            let want = present(around, &Value::Null, want).await?;
            let gid = create(around, &want).await?;
            let there = look::by_gid(around, "delivery_profile", &gid).await?;
            let brought = bring(around, &there, &want).await;
            let ids = match unless_refused(around, "a part of it", brought)? {
                Some((_, ids)) => ids,
                None => {
                    let is = look::by_gid(around, "delivery_profile", &gid).await?;
                    input::renamed(&is, &want)
                }
            };
            around.note(
                "which products the profile was for is not kept: add them to it in Settings → \
                 Shipping"
                    .into(),
            );
            Ok(created(gid, &want, ids))
        }
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "default" => Some("which delivery profile is the default one is for Shopify to say"),
        _ => None,
    }
}

/// A wanted state without the locations that are not there any more.
async fn present(around: &dyn Around, now: &Value, want: &Value) -> Result<Value, WriteError> {
    let of = |state: &Value| -> Vec<String> {
        let groups = list(state, "profileLocationGroups").iter();
        let locations = groups.flat_map(|group| list(group, "locations"));
        locations.map(|location| text(location, "id").to_owned()).collect()
    };
    let known = of(now);
    let new: Vec<String> = of(want).into_iter().filter(|id| !known.contains(id)).collect();
    let there = publication::there(around, &new).await?;
    let missing = new.iter().filter(|id| !there.contains(id)).count();
    let mut want = want.clone();
    if missing == 0 {
        return Ok(want);
    }
    around.note(format!(
        "{missing} locations that it delivered from are not there any more: restore them first, \
         then it"
    ));
    let groups = want["profileLocationGroups"].as_array_mut().into_iter().flatten();
    for group in groups {
        if let Some(locations) = group["locations"].as_array_mut() {
            locations.retain(|location| {
                let id = text(location, "id").to_owned();
                known.contains(&id) || there.contains(&id)
            });
        }
    }
    // A group delivers from somewhere.
    if let Some(groups) = want["profileLocationGroups"].as_array_mut() {
        groups.retain(|group| !list(group, "locations").is_empty());
    }
    Ok(want)
}

/// Whether anything was written, and what is there anew.
async fn bring(
    around: &dyn Around,
    now: &Value,
    want: &Value,
) -> Result<(bool, BTreeMap<String, String>), WriteError> {
    let gid = text(now, "id").to_owned();
    let (mut is, mut last) = (now.clone(), Map::new());
    for _ in 0..ROUNDS {
        let profile = input::next(&is, want);
        if profile.is_empty() {
            break;
        }
        if profile == last {
            return Err(WriteError::Refused(vec![
                "the shop took what was sent, and the profile is still otherwise".into(),
            ]));
        }
        let variables = json!({"id": gid, "profile": profile});
        match send(around, Step::making(UPDATE, variables)).await {
            Ok(_) => last = profile,
            // Whether it was done is seen by looking.
            Err(error) if is_unknown(&error) => {}
            Err(error) => return Err(error),
        }
        is = look::by_gid(around, "delivery_profile", &gid).await?;
    }
    Ok((is != *now, input::renamed(&is, want)))
}

/// Makes the profile with the first of its zones, or finds that an earlier try has made it.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = named(around, want).await? {
        return Ok(gid);
    }
    let profile = input::next(&json!({"profileLocationGroups": []}), want);
    match send(around, Step::making(CREATE, json!({"profile": profile}))).await {
        Ok(payload) => Ok(text(&payload["profile"], "id").to_owned()),
        Err(error) if is_unknown(&error) => named(around, want).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

/// A profile of the same name that has nothing but what is wanted: profiles do not say when they were
/// made, and one that has other things is somebody else's.
async fn named(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let data = ask(around, BY_NAME, json!({})).await?;
    let mut profiles = list(&data["deliveryProfiles"], "nodes").iter();
    let same = profiles.find(|one| one["name"] == want["name"] && one["default"] != true);
    let Some(gid) = same.map(|profile| text(profile, "id").to_owned()) else { return Ok(None) };
    match input::is_part(&look::by_gid(around, "delivery_profile", &gid).await?, want) {
        true => Ok(Some(gid)),
        false => Err(WriteError::Refused(vec![format!(
            "another delivery profile is called {:?} now: rename or delete that one, then try again",
            text(want, "name")
        )])),
    }
}
