//! People who buy for a company: customers of the shop, with a title.

use std::collections::BTreeMap;

use backstock_proto::merge::FieldPath;
use serde_json::{Value, json};

use super::crud::{self, created};
use super::step::{Step, ask, delete, is_unknown, list, send, text};
use super::{Around, WriteError, Written, look, publication};

const FIND: &str = include_str!("graphql/company_contact_find.graphql");
const CREATE: &str = include_str!("graphql/company_contact_create.graphql");
const UPDATE: &str = include_str!("graphql/company_contact_update.graphql");
const DELETE: &str = include_str!("graphql/company_contact_delete.graphql");

/// Makes one contact what it should be.
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
            let there = look::by_gid(around, "company_contact", &gid).await?;
            crud::unless_refused(around, "its title", bring(around, &there, want).await)?;
            Ok(created(gid, want, BTreeMap::new()))
        }
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "company" | "customer" => Some("whose contact somebody is, is for ever"),
        _ => None,
    }
}

async fn bring(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let mut input = crud::differing(now, want, &["title", "locale"]);
    crud::cleared(&mut input, &["title"]);
    input.retain(|_, value| !value.is_null());
    if input.is_empty() {
        return Ok(false);
    }
    send(around, Step::setting(UPDATE, json!({"id": now["id"], "input": input}))).await?;
    Ok(true)
}

/// Makes the customer a contact of the company, or finds that it is one already: nobody is twice.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    let (company, customer) = (text(&want["company"], "id"), text(&want["customer"], "id"));
    if customer.is_empty() {
        return Err(WriteError::Unwritable(
            "who the contact was is not kept any more: the customer was erased".into(),
        ));
    }
    let both = [company.to_owned(), customer.to_owned()];
    let there = publication::there(around, &both).await?;
    if let Some(missing) = both.iter().find(|gid| !there.contains(gid)) {
        return Err(WriteError::Missing(format!(
            "{missing}, which it is a contact of or for, is not there: restore that first"
        )));
    }
    if let Some(gid) = found(around, company, customer).await? {
        return Ok(gid);
    }
    let variables = json!({"company": company, "customer": customer});
    match send(around, Step::making(CREATE, variables)).await {
        Ok(payload) => Ok(text(&payload["companyContact"], "id").to_owned()),
        Err(error) if is_unknown(&error) => found(around, company, customer).await?.ok_or(error),
        Err(error) => Err(error),
    }
}

async fn found(
    around: &dyn Around,
    company: &str,
    customer: &str,
) -> Result<Option<String>, WriteError> {
    let data = ask(around, FIND, json!({"customer": customer})).await?;
    let mut profiles = list(&data["customer"], "companyContactProfiles").iter();
    let found = profiles.find(|contact| contact["company"]["id"] == company);
    Ok(found.map(|contact| text(contact, "id").to_owned()))
}
