//! Sends one mutation and reads what became of it.

use backstock_proto::admin::{AdminError, Call, Repeat};
use serde_json::Value;

use super::{Around, WriteError};

/// A mutation of which doing it twice is doing it once: it sets what it names, by id. That it is sent
/// is on record before.
pub(super) async fn set(
    around: &dyn Around,
    document: &str,
    variables: Value,
) -> Result<Value, WriteError> {
    around.before(name(document)).await?;
    let call = Call { repeat: Repeat::Safe, ..Call::write(document, variables) };
    payload(around, call).await
}

/// A mutation that must not be sent twice: it makes something. That it is sent is on record before.
/// Where its answer is lost the error says that nobody knows, see [`is_unknown`].
pub(super) async fn once(
    around: &dyn Around,
    document: &str,
    variables: Value,
    what: &str,
) -> Result<Value, WriteError> {
    around.before(what).await?;
    payload(around, Call::write(document, variables)).await
}

/// What a mutation's document calls itself.
pub(super) fn name(document: &str) -> &str {
    let name = document.split_once("mutation ").map_or("", |(_, name)| name);
    name.split(['(', ' ', '{', '\n']).next().unwrap_or_default()
}

/// A question.
pub(super) async fn ask(
    around: &dyn Around,
    document: &str,
    variables: Value,
) -> Result<Value, WriteError> {
    let call = Call { share: 1.0, ..Call::read(document, variables) };
    let answer = around.admin().ask(call).await?;
    match answer.errors.first() {
        Some(error) => Err(WriteError::Refused(vec![error.message.clone()])),
        None => Ok(answer.data),
    }
}

/// Whether a mutation may or may not have been done.
pub(super) fn is_unknown(error: &WriteError) -> bool {
    matches!(error, WriteError::Admin(AdminError::Unknown { .. }))
}

/// The payload of the document's only mutation.
async fn payload(around: &dyn Around, call: Call<'_>) -> Result<Value, WriteError> {
    let answer = around.mutate(call).await?;
    let refusals = answer.user_errors();
    if !refusals.is_empty() {
        return Err(WriteError::Refused(refusals));
    }
    let data = match answer.data {
        Value::Object(data) => data.into_iter().next().map(|(_, payload)| payload),
        _ => None,
    };
    match (data.filter(Value::is_object), answer.errors.into_iter().next()) {
        (Some(payload), None) => Ok(payload),
        (_, Some(error)) if error.code() == "ACCESS_DENIED" => {
            let (shop, detail) = (around.admin().access().shop.clone(), error.message);
            Err(AdminError::Refused { shop, status: 200, detail }.into())
        }
        (_, Some(error)) if error.code() == "VARIANT_THROTTLE_EXCEEDED" => {
            let shop = &around.admin().access().shop;
            Err(WriteError::Later(format!(
                "Shopify lets apps make some 1,000 new variants a day in a shop that has 50,000, and {shop} \
                 has had them"
            )))
        }
        (_, Some(error)) => Err(WriteError::Refused(vec![error.message])),
        (None, None) => Err(WriteError::Refused(vec!["the shop answered nothing".into()])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutation_is_named_as_its_document_names_it() {
        assert_eq!(name("mutation ProductUpdate($p: X!) { a }"), "ProductUpdate");
        assert_eq!(name("mutation Go { a }\n"), "Go");
    }
}
