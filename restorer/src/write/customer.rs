//! Customers: their own fields and addresses in one mutation, what the API keeps apart in others.

use std::collections::BTreeMap;

use backstock_proto::ResourceId;
use backstock_proto::kind::{Kind, Spec};
use backstock_proto::merge::FieldPath;
use serde_json::{Map, Value, json};

use super::crud::{self, created, id_of};
use super::{Around, WriteError, Written, address, consent, look, metafield, send, twin};

const FIND: &str = include_str!("graphql/customer_find.graphql");
const SET: &str = include_str!("graphql/customer_set.graphql");
const UPDATE: &str = include_str!("graphql/customer_update.graphql");
const DELETE: &str = include_str!("graphql/customer_delete.graphql");
const RECENT: &str = include_str!("graphql/customers_recent.graphql");

/// What one mutation can set beside the addresses.
const FIELDS: [&str; 9] = [
    "firstName",
    "lastName",
    "email",
    "phone",
    "note",
    "tags",
    "taxExempt",
    "taxExemptions",
    "locale",
];

const TAKEN: &str = "another customer of the shop has this e-mail address or phone number: merge the \
                     two in the Shopify admin, or delete the other one, then try again";

/// Makes one customer what they should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    match (now, want) {
        (None, None) => Ok(Written::Unchanged),
        (Some(now), None) => delete(around, &id_of(now)?).await,
        (None, Some(want)) => create(around, want).await,
        (Some(now), Some(want)) => {
            let mut want = want.clone();
            let taken = address::take_up(around, now, &mut want).await;
            let (sent, ids) = update(around, now, &want).await?;
            Ok(twin::updated(sent, ids, taken))
        }
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "state" => Some(
            "whether a customer has an account cannot be written: invite the customer again in the \
             Shopify admin",
        ),
        "verifiedEmail" => Some("that an e-mail address was verified is for Shopify to say"),
        _ => consent::unwritable(path),
    }
}

fn spec() -> Result<&'static Spec, WriteError> {
    let spec = Kind::parse("customer").ok().and_then(|kind| kind.spec());
    spec.ok_or_else(|| WriteError::Unwritable("customer is not a kind".into()))
}

async fn create(around: &dyn Around, want: &Value) -> Result<Written, WriteError> {
    if let Some(written) = made_already(around, want).await? {
        return Ok(written);
    }
    let mut input = crud::present(want, &FIELDS);
    input.insert("addresses".into(), address::inputs(&want["addresses"], &Value::Null));
    let sent = send::once(around, SET, json!({"input": input}), "make a customer").await;
    let answered = match sent {
        Ok(answered) => answered,
        // A mutation whose answer is lost may have been done, and so may an earlier try.
        Err(error) if send::is_unknown(&error) || error.is_taken() => {
            return made_already(around, want).await?.ok_or_else(|| explained(error));
        }
        Err(error) => return Err(error),
    };
    let there = &answered["customer"];
    let gid = id_of(there)?;
    let mut ids = BTreeMap::new();
    address::renamed(&want["addresses"], &there["addressesV2"]["nodes"], &mut ids);
    let default = &there["defaultAddress"]["id"];
    let chosen = address::set_default(around, &gid, default, want, &ids).await;
    crud::unless_refused(around, "the default address", chosen)?;
    let written = rest(around, &gid, &Value::Null, want).await;
    crud::unless_refused(around, "what is kept beside the customer", written)?;
    if want["state"].as_str().is_some_and(|state| state != "DISABLED") {
        around.note(
            "the customer had an account: invite them again, Shopify keeps no password".into(),
        );
    }
    Ok(created(gid, want, ids))
}

/// Who has the same e-mail address or phone number is the customer, if an earlier try may have made them
/// or they are as wanted; then the rest is done. Otherwise it is somebody else, or they came back by
/// themselves.
async fn made_already(around: &dyn Around, want: &Value) -> Result<Option<Written>, WriteError> {
    let keys = [("email", "emailAddress"), ("phone", "phoneNumber")];
    let mut identifiers = Vec::new();
    for (member, key) in keys {
        identifiers.extend(want[member].as_str().map(|value| json!({"identifier": {key: value}})));
    }
    if identifiers.is_empty() {
        return nameless(around, want).await;
    }
    for variables in identifiers {
        let data = send::ask(around, FIND, variables).await?;
        let Some(gid) = data["found"]["id"].as_str() else { continue };
        let Some(there) = state(around, gid).await? else { continue };
        let is_ours = look::is_since(around, &there) && around.may_be_ours(gid).await;
        if !is_same(&there, want) && !is_ours {
            return Err(WriteError::Taken(TAKEN.into()));
        }
        return gone_on(around, gid, &there, want).await.map(Some);
    }
    Ok(None)
}

/// Nothing names a customer without e-mail address and phone number: who was made since the job began
/// and is like them in everything is the work of an earlier try.
async fn nameless(around: &dyn Around, want: &Value) -> Result<Option<Written>, WriteError> {
    let data = send::ask(around, RECENT, json!({})).await?;
    let nodes = data["customers"]["nodes"].as_array();
    for node in nodes.into_iter().flatten().filter(|node| look::is_since(around, node)) {
        let Some(gid) = node["id"].as_str() else { continue };
        if around.may_be_ours(gid).await
            && let Some(there) = state(around, gid).await?
            && is_same(&there, want)
        {
            return gone_on(around, gid, &there, want).await.map(Some);
        }
    }
    Ok(None)
}

async fn state(around: &dyn Around, gid: &str) -> Result<Option<Value>, WriteError> {
    let id = ResourceId::parse(gid).map_err(|_| WriteError::Refused(vec![TAKEN.into()]))?;
    look::state(around.admin(), spec()?, &id).await
}

fn is_same(there: &Value, want: &Value) -> bool {
    crud::differing(there, want, &FIELDS).is_empty()
        && address::same(&there["addresses"], &want["addresses"])
}

/// Goes on with a customer whom an earlier try made.
async fn gone_on(
    around: &dyn Around,
    gid: &str,
    there: &Value,
    want: &Value,
) -> Result<Written, WriteError> {
    let mut want = want.clone();
    consent::leave_given(there, &mut want);
    let (_, mut ids) = update(around, there, &want).await?;
    address::renamed(&want["addresses"], &there["addresses"], &mut ids);
    Ok(created(gid.into(), &want, ids))
}

/// Whether anything was sent, and which addresses were made anew.
async fn update(
    around: &dyn Around,
    now: &Value,
    want: &Value,
) -> Result<(bool, BTreeMap<String, String>), WriteError> {
    let id = id_of(now)?;
    let mut fields = crud::differing(now, want, &FIELDS);
    crud::cleared(&mut fields, &["firstName", "lastName", "note"]);
    let mut ids = BTreeMap::new();
    let mut default = now["defaultAddress"]["id"].clone();
    let mut sent = false;
    let moved = want.get("addresses").is_some()
        && !address::same_ids(&now["addresses"], &want["addresses"]);
    if moved {
        fields.insert("addresses".into(), address::inputs(&want["addresses"], &now["addresses"]));
        let variables = json!({"identifier": {"id": id}, "input": fields});
        let answered = send::set(around, SET, variables).await.map_err(explained)?;
        let there = &answered["customer"];
        address::renamed(&want["addresses"], &there["addressesV2"]["nodes"], &mut ids);
        default = there["defaultAddress"]["id"].clone();
        fields = Map::new();
        sent = true;
    }
    fields.extend(crud::differing(now, want, &["multipassIdentifier"]));
    if !fields.is_empty() {
        fields.insert("id".into(), id.as_str().into());
        send::set(around, UPDATE, json!({"input": fields})).await.map_err(explained)?;
        sent = true;
    }
    if want.get("addresses").is_some() && !moved {
        sent |= address::update(around, &id, &now["addresses"], &want["addresses"]).await?;
    }
    sent |= address::set_default(around, &id, &default, want, &ids).await?;
    sent |= rest(around, &id, now, want).await?;
    Ok((sent, ids))
}

/// What is written apart: withdrawals of consent, metafields. `now` is `null` for somebody new.
async fn rest(
    around: &dyn Around,
    id: &str,
    now: &Value,
    want: &Value,
) -> Result<bool, WriteError> {
    let mut sent = false;
    if now.is_null() && want["multipassIdentifier"].is_string() {
        let input = json!({"id": id, "multipassIdentifier": want["multipassIdentifier"]});
        send::set(around, UPDATE, json!({"input": input})).await?;
    }
    sent |= consent::write(around, id, now, want).await?;
    if let Some(metafields) = want.get("metafields") {
        sent |= metafield::write(around, id, &now["metafields"], metafields).await?;
    }
    Ok(sent)
}

async fn delete(around: &dyn Around, gid: &str) -> Result<Written, WriteError> {
    let Err(error) = send::set(around, DELETE, json!({"input": {"id": gid}})).await else {
        return Ok(Written::Deleted);
    };
    let WriteError::Refused(why) = &error else { return Err(error) };
    if let Ok(id) = ResourceId::parse(gid)
        && look::state(around.admin(), spec()?, &id).await?.is_none()
    {
        return Ok(Written::Deleted);
    }
    if why.iter().any(|why| why.contains("orders")) {
        return Err(WriteError::Unwritable(
            "Shopify does not delete a customer who has orders".into(),
        ));
    }
    Err(error)
}

/// A refusal without anybody's address or number in it.
fn explained(error: WriteError) -> WriteError {
    if error.is_taken() { WriteError::Taken(TAKEN.into()) } else { error }
}
