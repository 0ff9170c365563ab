//! Sends one mutation and reads what became of it.

use backstock_proto::Shop;
use backstock_proto::admin::{AdminError, Answer, Call, GraphqlError, Repeat};
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
    told(&around.admin().access().shop, answer)
}

/// What an answer says of its only mutation. One that has a payload was done, whatever of that could not be
/// told: that looks as if it had not been asked for. Where it is what was made itself, or what was refused,
/// nobody knows what became of the mutation.
fn told(shop: &Shop, mut answer: Answer) -> Result<Value, WriteError> {
    let refusals = answer.user_errors();
    if !refusals.is_empty() {
        return Err(WriteError::Refused(refusals));
    }
    answer.drop_untold();
    let data = match answer.data {
        Value::Object(data) => data.into_iter().next().map(|(_, payload)| payload),
        _ => None,
    };
    let payload = data.filter(Value::is_object);
    let is_done = payload.is_some();
    let (within, mut errors): (Vec<GraphqlError>, Vec<GraphqlError>) =
        answer.errors.into_iter().partition(|error| is_done && error.path.len() > 1);
    let error = (!errors.is_empty()).then(|| errors.swap_remove(0));
    match (payload, error) {
        (Some(payload), None) => match within.into_iter().find(|error| is_lost(&payload, error)) {
            Some(error) => {
                let (shop, detail) = (shop.clone(), error.message);
                Err(AdminError::Unknown { shop, detail }.into())
            }
            None => Ok(payload),
        },
        (_, Some(error)) if error.code() == "ACCESS_DENIED" => {
            let (shop, detail) = (shop.clone(), error.message);
            Err(AdminError::Refused { shop, status: 200, detail }.into())
        }
        (_, Some(error)) if error.code() == "VARIANT_THROTTLE_EXCEEDED" => {
            Err(WriteError::Later(format!(
                "Shopify lets apps make some 1,000 new variants a day in a shop that has 50,000, and {shop} \
                 has had them"
            )))
        }
        (_, Some(error)) => Err(WriteError::Refused(vec![error.message])),
        (None, None) => Err(WriteError::Refused(vec!["the shop answered nothing".into()])),
    }
}

/// Whether a payload lacks a whole member of its own for an error.
fn is_lost(payload: &Value, error: &GraphqlError) -> bool {
    let member = error.path.get(1).and_then(Value::as_str);
    member.is_some_and(|member| payload.get(member).is_none_or(Value::is_null))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn heard(payload: Value, path: Value, code: &str) -> Result<Value, WriteError> {
        let error = json!({"message": "no", "path": path, "extensions": {"code": code}});
        let answer = Answer {
            data: json!({ "productSet": payload }),
            errors: serde_json::from_value(json!([error])).expect("errors"),
            cost: 10.0,
            fell_forward_to: None,
        };
        told(&Shop::parse("acme.myshopify.com").expect("a shop"), answer)
    }

    #[test]
    fn what_was_done_and_cannot_be_told_in_full_is_no_refusal() {
        let made = || json!({"product": {"id": "p", "category": null}, "userErrors": []});
        for code in ["INTERNAL_SERVER_ERROR", "ACCESS_DENIED"] {
            let payload = heard(made(), json!(["productSet", "product", "category"]), code);
            let payload = payload.expect("it was done");
            assert_eq!(payload["product"], json!({"id": "p"}), "what is not told is not nothing");
        }
        let lost = json!({"product": null, "userErrors": []});
        let error = heard(lost, json!(["productSet", "product", "id"]), "").expect_err("lost");
        assert!(is_unknown(&error), "{error}");
        for path in [json!(["productSet"]), json!([])] {
            let error = heard(Value::Null, path, "").expect_err("nothing was done");
            assert!(matches!(error, WriteError::Refused(_)), "{error}");
        }
        let denied = heard(Value::Null, json!(["productSet"]), "ACCESS_DENIED");
        assert!(matches!(denied, Err(WriteError::Admin(AdminError::Refused { .. }))));
    }

    #[test]
    fn a_mutation_is_named_as_its_document_names_it() {
        assert_eq!(name("mutation ProductUpdate($p: X!) { a }"), "ProductUpdate");
        assert_eq!(name("mutation Go { a }\n"), "Go");
    }
}
