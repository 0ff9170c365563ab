//! Mutations, and how they are sent: each answer is heard out, and what goes on in the shop after an
//! answer is waited for.

use std::time::{Duration, Instant};

use backstock_proto::admin::{AdminError, Repeat, user_error};
use serde_json::{Value, json};

pub(super) use super::send::{ask, is_unknown};
use super::{Around, WriteError, Written, publication, send};

/// For how long the shop's own work is waited for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Waits between two looks at it: the first, and the longest.
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(3);

const JOB: &str = include_str!("graphql/job.graphql");
const OPERATION: &str = include_str!("graphql/product_set_operation.graphql");

/// One mutation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// The GraphQL document, with one mutation in it.
    pub(super) document: &'static str,
    /// Its variables, an object.
    pub(super) variables: Value,
    /// Whether it may be sent again when its answer was lost.
    pub(super) repeat: Repeat,
}

impl Step {
    /// A mutation that sets something: done twice is done once.
    pub(super) fn setting(document: &'static str, variables: Value) -> Self {
        Self { document, variables, repeat: Repeat::Safe }
    }

    /// A mutation that makes something: done twice would make it twice.
    pub(super) fn making(document: &'static str, variables: Value) -> Self {
        Self { document, variables, repeat: Repeat::Never }
    }
}

/// Sends a mutation, and answers with its payload once the shop is done with it.
pub(super) async fn send(around: &dyn Around, step: Step) -> Result<Value, WriteError> {
    let Step { document, variables, repeat } = step;
    let payload = match repeat {
        Repeat::Safe => send::set(around, document, variables).await?,
        Repeat::Never => send::once(around, document, variables, send::name(document)).await?,
    };
    if payload["job"]["done"] == false
        && let Some(id) = payload["job"]["id"].as_str()
    {
        until(around, JOB, json!({"id": id}), |data| data["job"]["done"] != false).await?;
    }
    match payload["productSetOperation"]["id"].as_str().map(str::to_owned) {
        Some(id) => operated(around, payload, &id, repeat).await,
        None => Ok(payload),
    }
}

/// The payload with the product, once the operation is over by which many variants are set. One that was
/// made is there, whatever the shop did not take of it.
async fn operated(
    around: &dyn Around,
    mut payload: Value,
    id: &str,
    repeat: Repeat,
) -> Result<Value, WriteError> {
    let data = until(around, OPERATION, json!({"id": id}), |data| {
        text(&data["productOperation"], "status") == "COMPLETE"
    })
    .await?;
    let (gid, refused) = outcome(&data["productOperation"], repeat)?;
    refused.into_iter().for_each(|why| around.note(why));
    payload["product"] = json!({"id": gid});
    Ok(payload)
}

/// The product of an operation that is over, and what the shop did not take of what is made.
fn outcome(operation: &Value, repeat: Repeat) -> Result<(String, Vec<String>), WriteError> {
    let refused: Vec<String> = list(operation, "userErrors").iter().map(user_error).collect();
    match operation["product"]["id"].as_str() {
        Some(gid) if refused.is_empty() || repeat == Repeat::Never => Ok((gid.to_owned(), refused)),
        _ => Err(WriteError::Refused(refused)),
    }
}

/// What Shopify says of a theme whose files are changed too often, and of a price list, a catalog, a
/// publication or a product in one that it is at work on: "Please try again later."
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/OnlineStoreThemeFilesUserErrorsCode>
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/PriceListUserErrorCode>
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/CatalogUserErrorCode>
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/PublicationUserErrorCode>
const BUSY: [&str; 5] = [
    "(THROTTLED)",
    "(PRICE_LIST_LOCKED)",
    "(CATALOG_CONTEXT_LOCKED)",
    "(PUBLICATION_LOCKED)",
    "(PRODUCT_LOCK_ERROR)",
];

/// As [`send()`], and again for as long as what it is about is busy: nothing is done of it then.
pub(super) async fn patiently(around: &dyn Around, step: Step) -> Result<Value, WriteError> {
    let begun = Instant::now();
    let mut wait = WAIT_FIRST;
    loop {
        match send(around, step.clone()).await {
            Err(WriteError::Refused(why)) if is_busy(&why) && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAIT_MAX);
            }
            sent => return sent,
        }
    }
}

fn is_busy(why: &[String]) -> bool {
    why.iter().any(|why| BUSY.iter().any(|code| why.contains(code)))
}

/// Deletes something by its gid. What the shop refuses to delete may be gone: an earlier try, whose answer
/// was lost, may have deleted it.
pub(super) async fn delete(
    around: &dyn Around,
    document: &'static str,
    gid: &str,
) -> Result<Written, WriteError> {
    match send(around, Step::setting(document, json!({"id": gid}))).await {
        Ok(_) => Ok(Written::Deleted),
        Err(error @ WriteError::Refused(_)) => {
            match publication::there(around, &[gid.to_owned()]).await?.is_empty() {
                true => Ok(Written::Deleted),
                false => Err(error),
            }
        }
        Err(error) => Err(error),
    }
}

/// Asks a question until the answer is the one that is waited for.
pub(super) async fn until(
    around: &dyn Around,
    document: &str,
    variables: Value,
    is_over: impl Fn(&Value) -> bool,
) -> Result<Value, WriteError> {
    let begun = Instant::now();
    let mut wait = WAIT_FIRST;
    loop {
        let data = ask(around, document, variables.clone()).await?;
        if is_over(&data) {
            return Ok(data);
        }
        if begun.elapsed() > PATIENCE {
            let shop = around.admin().access().shop.clone();
            let last = "it is still at work on what was sent".into();
            return Err(AdminError::Unavailable { shop, waited: begun.elapsed(), last }.into());
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// The elements of a list member; none where it is no list.
pub(super) fn list<'a>(state: &'a Value, member: &str) -> &'a [Value] {
    state.get(member).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Items in parts, each of `most` at most, by their number and by their weight. What alone is heavier is a
/// part by itself.
pub(super) fn parts(
    items: &[Value],
    most: (usize, usize),
    weight: impl Fn(&Value) -> usize,
) -> Vec<&[Value]> {
    let (mut parts, mut from, mut heavy) = (Vec::new(), 0, 0);
    for (at, item) in items.iter().enumerate() {
        let weight = weight(item);
        if at > from && (at - from == most.0 || heavy + weight > most.1) {
            parts.push(&items[from..at]);
            (from, heavy) = (at, 0);
        }
        heavy += weight;
    }
    if from < items.len() {
        parts.push(&items[from..]);
    }
    parts
}

/// A text member; empty where there is none.
pub(super) fn text<'a>(state: &'a Value, member: &str) -> &'a str {
    state.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A text as it is written: none is the empty one, since many fields do not take `null`.
pub(super) fn written(value: &Value) -> Value {
    match value {
        Value::Null => "".into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_that_was_made_is_there_whatever_was_refused_of_it() {
        let errors = json!([{"field": ["input", "variants"], "message": "is too long"}]);
        let why = || vec!["input.variants: is too long".to_owned()];
        let over = json!({"product": {"id": "p"}, "userErrors": errors});
        let made = outcome(&over, Repeat::Never).expect("it is there");
        assert_eq!(made, ("p".to_owned(), why()));
        let refused = |over: &Value, repeat| match outcome(over, repeat) {
            Err(WriteError::Refused(why)) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&over, Repeat::Safe), why(), "it was there before");
        let none = json!({"product": null, "userErrors": errors});
        assert_eq!(refused(&none, Repeat::Never), why());
    }
}
