//! Where companies buy from: addresses, taxes, terms, and who may order there.

use std::collections::BTreeMap;

use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{self, created, unless_refused};
use super::step::{Step, ask, is_unknown, list, send, text};
use super::{Around, WriteError, Written, look, metafield, publication};

const FIND: &str = include_str!("graphql/company_location_find.graphql");
const CREATE: &str = include_str!("graphql/company_location_create.graphql");
const UPDATE: &str = include_str!("graphql/company_location_update.graphql");
const DELETE: &str = include_str!("graphql/company_location_delete.graphql");
const ADDRESS: &str = include_str!("graphql/company_location_address.graphql");
const ADDRESSES: &str = include_str!("graphql/company_location_addresses.graphql");
const ADDRESS_DELETE: &str = include_str!("graphql/company_address_delete.graphql");
const TAXES: &str = include_str!("graphql/company_location_taxes.graphql");
const ASSIGN_ROLES: &str = include_str!("graphql/company_location_assign_roles.graphql");
const REVOKE_ROLES: &str = include_str!("graphql/company_location_revoke_roles.graphql");

const FIELDS: [&str; 5] = ["name", "note", "externalId", "phone", "locale"];
const ADDRESS_FIELDS: [&str; 10] = [
    "address1",
    "address2",
    "city",
    "countryCode",
    "firstName",
    "lastName",
    "phone",
    "recipient",
    "zip",
    "zoneCode",
];
const SIDES: [(&str, &str); 2] = [("billingAddress", "BILLING"), ("shippingAddress", "SHIPPING")];

/// Makes one location what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => {
            let gone = send(around, Step::setting(DELETE, json!({"id": now["id"]}))).await;
            gone.map(|_| Written::Deleted).map_err(kept)
        }
        (Some(now), Some(want)) => {
            let written = bring(around, now, want).await?;
            let ids = match written {
                true => reassigned(around, text(now, "id"), now, want).await?,
                false => BTreeMap::new(),
            };
            Ok(if written { Written::Updated { ids } } else { Written::Unchanged })
        }
        (None, Some(want)) => {
            let gid = create(around, want).await?;
            let there = look::by_gid(around, "company_location", &gid).await?;
            unless_refused(around, "a part of it", bring(around, &there, want).await)?;
            let ids = reassigned(around, &gid, &Value::Null, want).await?;
            Ok(created(gid, want, ids))
        }
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "company" => Some("a location is of one company for ever"),
        _ => None,
    }
}

/// A company keeps its last location for as long as it is there itself, which may not be long: then
/// the location goes with it.
fn kept(error: WriteError) -> WriteError {
    match &error {
        WriteError::Refused(why) if why.iter().any(|why| why.contains("FAILED_TO_DELETE")) => {
            WriteError::Missing(
                "Shopify keeps the last location of a company, and one with orders or draft orders"
                    .into(),
            )
        }
        _ => error,
    }
}

/// What makes one like this.
pub(super) fn made(want: &Value) -> Map<String, Value> {
    let mut input = crud::present(want, &FIELDS);
    for (side, _) in SIDES {
        if want[side].is_object() {
            input.insert(side.into(), crud::present(&want[side], &ADDRESS_FIELDS).into());
        }
    }
    input.extend(crud::present(
        &want["taxSettings"],
        &["taxExempt", "taxExemptions", "taxRegistrationId"],
    ));
    let terms = terms(&Value::Null, &want["buyerExperienceConfiguration"]);
    if !terms.is_empty() {
        input.insert("buyerExperienceConfiguration".into(), terms.into());
    }
    input
}

/// How a buyer checks out, as far as it differs.
fn terms(now: &Value, want: &Value) -> Map<String, Value> {
    let mut input = crud::differing(now, want, &["checkoutToDraft", "editableShippingAddress"]);
    input.retain(|_, value| !value.is_null());
    let (was, wanted) = (&now["paymentTermsTemplate"]["id"], &want["paymentTermsTemplate"]["id"]);
    if was != wanted {
        input.insert("paymentTermsTemplateId".into(), wanted.clone());
    }
    input
}

/// Whether anything had to be written.
async fn bring(around: &dyn Around, now: &Value, want: &Value) -> Result<bool, WriteError> {
    let gid = text(now, "id");
    let mut written = fields(around, gid, now, want).await?;
    written |= addresses(around, gid, now, want).await?;
    if let Some(taxes) = taxes(&now["taxSettings"], &want["taxSettings"]) {
        let mut variables = taxes;
        variables.insert("id".into(), gid.into());
        send(around, Step::setting(TAXES, variables.into())).await?;
        written = true;
    }
    written |= roles(around, gid, now, want).await?;
    if want["metafields"].is_array() {
        written |= metafield::write(around, gid, &now["metafields"], &want["metafields"]).await?;
    }
    Ok(written)
}

async fn fields(
    around: &dyn Around,
    gid: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let mut input = crud::differing(now, want, &FIELDS);
    crud::cleared(&mut input, &["note", "externalId", "phone"]);
    input.retain(|_, value| !value.is_null());
    let (was, wanted) =
        (&now["buyerExperienceConfiguration"], &want["buyerExperienceConfiguration"]);
    if wanted.is_object() {
        let terms = terms(was, wanted);
        if !terms.is_empty() {
            input.insert("buyerExperienceConfiguration".into(), terms.into());
        }
    }
    if input.is_empty() {
        return Ok(false);
    }
    let step = Step::setting(UPDATE, json!({"id": gid, "input": input}));
    send(around, step).await.map_err(|error| explained(error, want))?;
    Ok(true)
}

/// Both addresses. One that goes takes the other with it where they are one and the same, which then
/// is said anew.
async fn addresses(
    around: &dyn Around,
    gid: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let (mut is, mut written) = (now.clone(), false);
    for (side, _) in SIDES {
        if want.get(side) != Some(&Value::Null) || is[side].is_null() {
            continue;
        }
        let data = ask(around, ADDRESSES, json!({"id": gid})).await?;
        let ids = &data["companyLocation"];
        if let Some(id) = ids[side]["id"].as_str() {
            send(around, Step::setting(ADDRESS_DELETE, json!({"id": id}))).await?;
            for (other, _) in SIDES.iter().filter(|(other, _)| ids[*other]["id"] == *id) {
                is[*other] = Value::Null;
            }
            written = true;
        }
    }
    for (side, called) in SIDES {
        let wanted = &want[side];
        if !wanted.is_object() || *wanted == is[side] {
            continue;
        }
        // It is said as a whole, so that nothing of another one stays.
        let address: Map<String, Value> = ADDRESS_FIELDS
            .iter()
            .map(|name| ((*name).to_owned(), wanted[*name].clone()))
            .filter(|(name, value)| !value.is_null() || !is[side][name.as_str()].is_null())
            .collect();
        let variables = json!({"id": gid, "address": address, "sides": [called]});
        send(around, Step::setting(ADDRESS, variables)).await?;
        written = true;
    }
    Ok(written)
}

/// The variables that make the first the second.
fn taxes(now: &Value, want: &Value) -> Option<Map<String, Value>> {
    let mut input = crud::differing(now, want, &["taxExempt", "taxRegistrationId"]);
    crud::cleared(&mut input, &["taxRegistrationId"]);
    input.retain(|_, value| !value.is_null());
    if want["taxExemptions"].is_array() {
        let apart = |from: &Value, other: &Value| -> Vec<Value> {
            let others = list(other, "taxExemptions");
            let apart = list(from, "taxExemptions").iter().filter(|one| !others.contains(one));
            apart.cloned().collect()
        };
        for (name, exemptions) in
            [("exemptionsToAssign", apart(want, now)), ("exemptionsToRemove", apart(now, want))]
        {
            if !exemptions.is_empty() {
                input.insert(name.into(), exemptions.into());
            }
        }
    }
    (!input.is_empty()).then_some(input)
}

/// Who has which role, without the id of the assignment.
fn role(assignment: &Value) -> (&str, &str) {
    (text(&assignment["companyContact"], "id"), text(&assignment["role"], "id"))
}

/// Brings people to their roles. Shopify gives no role twice and takes none twice (`LIMIT_REACHED`,
/// `RESOURCE_NOT_FOUND`): what an earlier try did, whose answer was lost, is seen by looking.
async fn roles(
    around: &dyn Around,
    gid: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let error = match set_roles(around, gid, now, want).await {
        Err(error @ WriteError::Refused(_)) => error,
        set => return set,
    };
    let there = look::by_gid(around, "company_location", gid).await?;
    if there["roleAssignments"] == now["roleAssignments"] {
        return Err(error);
    }
    set_roles(around, gid, &there, want).await.map(|_| true)
}

/// Gives people their roles, and takes those away that are not wanted; a person has one at a location.
async fn set_roles(
    around: &dyn Around,
    gid: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let member = "roleAssignments";
    if !want[member].is_array() {
        return Ok(false);
    }
    let apart = |from: &'_ Value, other: &Value| -> Vec<Value> {
        let others: Vec<(&str, &str)> = list(other, member).iter().map(role).collect();
        let apart = list(from, member).iter().filter(|one| !others.contains(&role(one)));
        apart.cloned().collect()
    };
    let gone: Vec<Value> = apart(now, want).iter().map(|one| one["id"].clone()).collect();
    if !gone.is_empty() {
        let variables = json!({"id": gid, "ids": gone});
        send(around, Step::setting(REVOKE_ROLES, variables)).await?;
    }
    let mut missing = apart(want, now);
    let contacts: Vec<String> = missing.iter().map(|one| role(one).0.to_owned()).collect();
    let there = publication::there(around, &contacts).await?;
    missing.retain(|one| there.iter().any(|gid| gid == role(one).0));
    if missing.len() < contacts.len() {
        around.note(format!(
            "{} of the people who could order there are not there any more: restore them first, \
             then it",
            contacts.len() - missing.len()
        ));
    }
    if missing.is_empty() {
        return Ok(!gone.is_empty());
    }
    let roles: Vec<Value> = missing
        .iter()
        .map(|one| {
            let (contact, role) = role(one);
            json!({"companyContactId": contact, "companyContactRoleId": role})
        })
        .collect();
    send(around, Step::setting(ASSIGN_ROLES, json!({"id": gid, "roles": roles}))).await?;
    Ok(true)
}

/// Old gid → new gid of assignments that are there anew.
async fn reassigned(
    around: &dyn Around,
    gid: &str,
    now: &Value,
    want: &Value,
) -> Result<BTreeMap<String, String>, WriteError> {
    let member = "roleAssignments";
    if want[member] == now[member] || list(want, member).is_empty() {
        return Ok(BTreeMap::new());
    }
    let there = look::by_gid(around, "company_location", gid).await?;
    let pairs = list(want, member).iter().filter_map(|wanted| {
        let same = list(&there, member).iter().find(|one| role(one) == role(wanted))?;
        Some((text(wanted, "id").to_owned(), text(same, "id").to_owned()))
    });
    Ok(pairs.filter(|(old, new)| old != new).collect())
}

/// Makes the location, or finds that it is there already: made with its company, or by an earlier try.
async fn create(around: &dyn Around, want: &Value) -> Result<String, WriteError> {
    let company = text(&want["company"], "id");
    if publication::there(around, &[company.to_owned()]).await?.is_empty() {
        return Err(WriteError::Missing(
            "the company that it is a location of is not there: restore that first".into(),
        ));
    }
    if let Some(gid) = found(around, company, want).await? {
        return Ok(gid);
    }
    let variables = json!({"company": company, "input": made(want)});
    match send(around, Step::making(CREATE, variables)).await {
        Ok(payload) => Ok(text(&payload["companyLocation"], "id").to_owned()),
        Err(error) if is_unknown(&error) => found(around, company, want).await?.ok_or(error),
        Err(error) => Err(explained(error, want)),
    }
}

/// A location of the company that was made since the job began and is as this one is made.
async fn found(
    around: &dyn Around,
    company: &str,
    want: &Value,
) -> Result<Option<String>, WriteError> {
    let mut after = Value::Null;
    loop {
        let data = ask(around, FIND, json!({"company": company, "after": after})).await?;
        let page = &data["company"]["locations"];
        let since = list(page, "nodes").iter().filter(|location| {
            let same = |name: &str| location[name] == want[name];
            same("name") && same("externalId") && look::is_since(around, location)
        });
        for location in since {
            let gid = text(location, "id");
            let there = look::by_gid(around, "company_location", gid).await?;
            if made(&there) == made(want) {
                return Ok(Some(gid.to_owned()));
            }
        }
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(None);
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}

fn explained(error: WriteError, want: &Value) -> WriteError {
    match error.is_taken() {
        true => WriteError::Taken(format!(
            "another location of a company has the external id {} now: give that one another, then \
             try again",
            want["externalId"]
        )),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exemptions_that_differ_are_sent() {
        let now =
            json!({"taxExempt": false, "taxExemptions": ["A", "B"], "taxRegistrationId": "1"});
        let want =
            json!({"taxExempt": null, "taxExemptions": ["B", "C"], "taxRegistrationId": null});
        let sent = taxes(&now, &want).map(Value::Object);
        let expected = json!({
            "exemptionsToAssign": ["C"], "exemptionsToRemove": ["A"], "taxRegistrationId": "",
        });
        assert_eq!(sent, Some(expected));
        assert_eq!(taxes(&now, &now), None);
    }
}
