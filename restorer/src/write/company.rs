//! Companies that buy, without their locations and people. A company always has a location: Shopify
//! makes one with it, so the first of those that it had is made with it.

use std::collections::BTreeMap;

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{self, created, filter, unless_refused};
use super::step::{Step, ask, delete, is_unknown, list, send, text};
use super::{Around, WriteError, Written, company_location, look, metafield, publication};

const FIND: &str = include_str!("graphql/company_find.graphql");
const CREATE: &str = include_str!("graphql/company_create.graphql");
const UPDATE: &str = include_str!("graphql/company_update.graphql");
const DELETE: &str = include_str!("graphql/company_delete.graphql");
const MAIN_CONTACT: &str = include_str!("graphql/company_main_contact.graphql");
const NO_MAIN_CONTACT: &str = include_str!("graphql/company_no_main_contact.graphql");

const FIELDS: [&str; 3] = ["name", "note", "externalId"];

/// Makes one company what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, DELETE, text(now, "id")).await,
        (Some(now), Some(want)) => match bring(around, now, want).await? {
            true => Ok(Written::Updated { ids: BTreeMap::new() }),
            false => Ok(Written::Unchanged),
        },
        (None, Some(want)) => {
            let gid = create(around, want).await?;
            let there = look::by_gid(around, "company", &gid).await?;
            unless_refused(around, "a part of it", bring(around, &there, want).await)?;
            Ok(created(gid, want, roles(want, &there)))
        }
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "customerSince" => Some("since when a company is a customer is said once, when it is made"),
        "contactRoles" | "defaultRole" => Some("the roles of a company's people are Shopify's own"),
        _ => None,
    }
}

/// Whether anything had to be written.
async fn bring(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let gid = text(now, "id");
    let mut input = crud::differing(now, want, &FIELDS);
    crud::cleared(&mut input, &["note", "externalId"]);
    let mut written = !input.is_empty();
    if written {
        let step = Step::setting(UPDATE, json!({"id": gid, "input": input}));
        send(around, step).await.map_err(|error| explained(error, want))?;
    }
    if want.get("mainContact").is_some_and(|wanted| wanted["id"] != now["mainContact"]["id"]) {
        written |= main_contact(around, gid, &want["mainContact"]).await?;
    }
    if want["metafields"].is_array() {
        written |= metafield::write(around, gid, &now["metafields"], &want["metafields"]).await?;
    }
    Ok(written)
}

async fn main_contact(around: &dyn Around, gid: &str, contact: &Value) -> Result<bool, WriteError> {
    let Some(contact) = contact["id"].as_str() else {
        send(around, Step::setting(NO_MAIN_CONTACT, json!({"id": gid}))).await?;
        return Ok(true);
    };
    if publication::there(around, &[contact.to_owned()]).await?.is_empty() {
        around.note(
            "its main contact is not there any more: restore the contact first, then it".into(),
        );
        return Ok(false);
    }
    let variables = json!({"id": gid, "contact": contact});
    send(around, Step::setting(MAIN_CONTACT, variables)).await?;
    Ok(true)
}

/// Makes the company with the first of its locations, or finds that an earlier try has made it.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    if let Some(gid) = found(around, want).await? {
        return Ok(gid);
    }
    let mut input = Map::new();
    let company = crud::present(want, &["name", "note", "externalId", "customerSince"]);
    input.insert("company".into(), company.into());
    if let Some(first) = around.parts(text(want, "id")).await?.first() {
        input.insert("companyLocation".into(), company_location::made(first).into());
    }
    match send(around, Step::making(CREATE, json!({"input": input}))).await {
        Ok(payload) => Ok(text(&payload["company"], "id").to_owned()),
        Err(error) if is_unknown(&error) => found(around, want).await?.ok_or(error),
        Err(error) => Err(explained(error, want)),
    }
}

/// A company like this that was made since the job began. Two may have the same name.
async fn found(around: &dyn Around, want: &Value) -> Result<Option<String>, WriteError> {
    let query = match want["externalId"].as_str() {
        Some(id) => filter("external_id", id),
        None => filter("name", text(want, "name")),
    };
    let data = ask(around, FIND, json!({"query": query})).await?;
    let found = list(&data["companies"], "nodes").iter().filter(|company| {
        let same = |name: &str| company[name] == want[name];
        same("name") && same("externalId") && look::is_since(around, company)
    });
    let found = found.map(|company| text(company, "id")).collect();
    Ok(look::first_ours(around, found).await)
}

fn explained(error: WriteError, want: &Value) -> WriteError {
    match error.is_taken() {
        true => WriteError::Taken(format!(
            "another company has the external id {} now: give that one another, then try again",
            want["externalId"]
        )),
        false => error,
    }
}

/// Old gid → new gid of the roles, by their names.
fn roles(want: &Value, there: &Value) -> BTreeMap<String, String> {
    let pairs = list(want, "contactRoles").iter().filter_map(|role| {
        let same = list(there, "contactRoles").iter().find(|new| new["name"] == role["name"])?;
        Some((text(role, "id").to_owned(), text(same, "id").to_owned()))
    });
    pairs.filter(|(old, new)| old != new).collect()
}
