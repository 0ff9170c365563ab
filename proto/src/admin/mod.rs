//! The Admin GraphQL API of one shop, as compactor and restorer speak it.
//!
//! [`Client::ask`] sends one document. It keeps within the cost budget that the shop grants (the
//! answers say how much that is), sends again what may be sent again, and renews the token when it
//! has ended. [`bulk`] is for questions about everything at once.
//!
//! Facts: costs and limits from <https://shopify.dev/docs/api/usage/limits>, statuses from
//! <https://shopify.dev/docs/api/usage/response-codes>.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::Shop;

pub mod ask;
mod budget;
pub mod bulk;
mod client;
mod clock;
mod token;

pub use budget::Granted;
pub use client::Client;

/// Where a shop's Admin API is, and who asks.
#[derive(Clone, Debug)]
pub struct Access {
    /// Which shop.
    pub shop: Shop,
    /// Where it is: `https://{domain}`, or a simulator.
    pub url: Url,
    /// The version asked for, such as `2026-10`.
    pub api_version: String,
    /// By which right.
    pub credentials: Credentials,
}

/// The right to ask.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A token that does not end.
    Token(SecretString),
    /// The app's id and secret, for which the shop grants a token for a day at a time.
    App {
        /// The client id.
        id: String,
        /// The client secret.
        secret: SecretString,
    },
}

/// One question or one write.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The GraphQL document.
    pub document: &'a str,
    /// Its variables, an object.
    pub variables: Value,
    /// Whether it may be sent again when nobody knows what became of it.
    pub repeat: Repeat,
    /// The part of the cost budget that it may use, 0 to 1: what is above stays for others.
    pub share: f64,
    /// Whether it goes before others, whatever its share: what a webhook left open is soon asked, though
    /// a job uses all of the budget.
    pub urgent: bool,
}

/// Whether a call may be sent again when its answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It only reads, or doing it twice is doing it once.
    Safe,
    /// Doing it twice would do harm: a lost answer is [`AdminError::Unknown`].
    Never,
}

/// What came back under status 200.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The data; `null` where an error left none.
    pub data: Value,
    /// What could not be answered.
    pub errors: Vec<GraphqlError>,
    /// Points that it cost, after refunds; 0 where the answer does not say.
    pub cost: f64,
    /// The API version that answered, where it is another than the one asked for.
    pub fell_forward_to: Option<String>,
}

/// An entry of `errors`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct GraphqlError {
    /// What happened.
    #[serde(default)]
    pub message: String,
    /// Where in the data.
    #[serde(default)]
    pub path: Vec<Value>,
    /// Its `code`, among others.
    #[serde(default)]
    pub extensions: Value,
}

/// Why there is no answer. None of these has done anything in the shop, but [`Self::Unknown`],
/// which may have.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdminError {
    /// The token is not valid, and no new one can be had.
    #[error(
        "{0} does not let the app in ({1}): is it installed there, and is its access_token, or its \
         client_id and client_secret, the one that is configured?"
    )]
    Unauthorized(Shop, String),
    /// The token lacks a scope, or the shop refuses.
    #[error("{shop} refuses ({status}): {detail}")]
    Refused {
        /// Which shop.
        shop: Shop,
        /// Which HTTP status.
        status: u16,
        /// What it says, or what it means.
        detail: String,
    },
    /// Sent again until the deadline; nothing but failures that pass by themselves.
    #[error("{shop} did not answer within {waited:?}: {last}")]
    Unavailable {
        /// Which shop.
        shop: Shop,
        /// For how long it failed; waiting for points is not counted.
        waited: Duration,
        /// The last failure.
        last: String,
    },
    /// The answer to a write was lost: it may have been done or not.
    #[error("{shop} may or may not have done it: {detail}")]
    Unknown {
        /// Which shop.
        shop: Shop,
        /// What was lost.
        detail: String,
    },
    /// The document is not valid, or needs what the app may not have.
    #[error("{shop} cannot answer the document: {detail}")]
    Document {
        /// Which shop.
        shop: Shop,
        /// What it says.
        detail: String,
    },
    /// What came back is not what the API promises.
    #[error("{shop} answered what cannot be read: {detail}")]
    Garbled {
        /// Which shop.
        shop: Shop,
        /// What is wrong.
        detail: String,
    },
}

impl AdminError {
    /// Whether the shop lets nothing be asked at all: then the next question fails as this one did.
    pub fn is_of_shop(&self) -> bool {
        match self {
            Self::Unauthorized(..) => true,
            Self::Refused { status, .. } => matches!(status, 402 | 404 | 423 | 501),
            Self::Unavailable { .. }
            | Self::Unknown { .. }
            | Self::Document { .. }
            | Self::Garbled { .. } => false,
        }
    }
}

impl Call<'_> {
    /// A question, with half of the budget.
    pub fn read(document: &str, variables: Value) -> Call<'_> {
        Call { document, variables, repeat: Repeat::Safe, share: 0.5, urgent: false }
    }

    /// A write, with all of the budget.
    pub fn write(document: &str, variables: Value) -> Call<'_> {
        Call { document, variables, repeat: Repeat::Never, share: 1.0, urgent: false }
    }
}

impl GraphqlError {
    /// Its code, such as `ACCESS_DENIED`.
    pub fn code(&self) -> &str {
        self.extensions.get("code").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the app may not see it.
    pub fn is_denial(&self) -> bool {
        self.code() == "ACCESS_DENIED"
    }
}

impl Answer {
    /// Takes members out of the data that are null only because the app may not see them, or something
    /// within them, so that they look as if they had not been asked for, and never as if they were
    /// empty. Answers how many.
    pub fn drop_redacted(&mut self) -> usize {
        self.drop_null_by(GraphqlError::is_denial)
    }

    /// The same of all that is null since it could not be told, for whichever reason.
    pub fn drop_untold(&mut self) -> usize {
        self.drop_null_by(|_| true)
    }

    fn drop_null_by(&mut self, is: impl Fn(&GraphqlError) -> bool) -> usize {
        let errors = self.errors.iter().filter(|error| is(error));
        let paths: Vec<Vec<Value>> = errors.map(|error| error.path.clone()).collect();
        paths.iter().filter(|path| remove(&mut self.data, path)).count()
    }

    /// The first error that is not about what the app may not see, or that hides an element of a list:
    /// nobody could tell it from one that is not there.
    pub fn fault(&self) -> Option<&GraphqlError> {
        self.errors.iter().find(|error| {
            !error.is_denial() || error.path.is_empty() || hides_element(&self.data, &error.path)
        })
    }

    /// The `userErrors` of the only mutation, as `field: message (code)`.
    pub fn user_errors(&self) -> Vec<String> {
        let payloads = self.data.as_object().into_iter().flat_map(|data| data.values());
        let lists = payloads.flat_map(|payload| {
            payload
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| name.ends_with("serErrors"))
        });
        lists.flat_map(|(_, list)| list.as_array().into_iter().flatten()).map(user_error).collect()
    }
}

/// A user error, as `field: message (code)`.
pub fn user_error(error: &Value) -> String {
    let field = match error.get("field") {
        Some(Value::Array(path)) => path
            .iter()
            .map(|step| step.as_str().map_or_else(|| step.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join("."),
        Some(Value::String(field)) => field.clone(),
        _ => String::new(),
    };
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let code = match text("code") {
        "" => String::new(),
        code => format!(" ({code})"),
    };
    let separator = if field.is_empty() { "" } else { ": " };
    format!("{field}{separator}{}{code}", text("message"))
}

/// Removes the member that is null on a path of member names and list positions: the last, or one
/// before it that could not be without what is within.
fn remove(value: &mut Value, path: &[Value]) -> bool {
    let Some((step, rest)) = path.split_first() else { return false };
    match value {
        Value::Object(members) => {
            let name = step.as_str().unwrap_or_default();
            match members.get_mut(name) {
                Some(Value::Null) => members.remove(name).is_some(),
                Some(inner) => remove(inner, rest),
                None => false,
            }
        }
        Value::Array(items) => element(items, step).is_some_and(|at| remove(&mut items[at], rest)),
        _ => false,
    }
}

/// Whether a path leads to an element of a list that is null.
fn hides_element(value: &Value, path: &[Value]) -> bool {
    let Some((step, rest)) = path.split_first() else { return false };
    match value {
        Value::Object(members) => {
            let inner = members.get(step.as_str().unwrap_or_default());
            inner.is_some_and(|inner| hides_element(inner, rest))
        }
        Value::Array(items) => element(items, step)
            .is_some_and(|at| items[at].is_null() || hides_element(&items[at], rest)),
        _ => false,
    }
}

/// The position in a list that a step of a path is.
fn element(items: &[Value], step: &Value) -> Option<usize> {
    let at = usize::try_from(step.as_u64()?).ok()?;
    (at < items.len()).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn denied(data: Value, path: Value) -> Answer {
        let error = json!({"message": "no", "path": path, "extensions": {"code": "ACCESS_DENIED"}});
        let errors = serde_json::from_value(json!([error])).expect("errors");
        Answer { data, errors, cost: 1.0, fell_forward_to: None }
    }

    #[test]
    fn what_may_not_be_seen_looks_as_if_it_had_not_been_asked_for() {
        let email = json!({"email": null, "phone": null});
        let within = json!({"email": null, "phone": {"number": "1"}});
        for (node, path, left) in [
            (email.clone(), json!(["email"]), json!({"phone": null})),
            // What must not be null makes what it is in null.
            (within, json!(["email", "address"]), json!({"phone": {"number": "1"}})),
        ] {
            let mut whole = vec![json!("customers"), json!("nodes"), json!(0)];
            whole.extend(path.as_array().expect("a path").iter().cloned());
            let mut answer = denied(json!({"customers": {"nodes": [node]}}), whole.into());
            assert_eq!(answer.drop_redacted(), 1);
            assert_eq!(answer.data, json!({"customers": {"nodes": [left]}}));
            assert_eq!(answer.fault(), None);
        }
    }

    #[test]
    fn an_element_that_may_not_be_seen_is_not_taken_for_one_that_is_gone() {
        for path in [json!(["nodes", 1]), json!(["nodes", 1, "id"]), json!(["nodes", 1, "a", "b"])]
        {
            let mut answer = denied(json!({"nodes": [{"id": "a"}, null]}), path.clone());
            assert_eq!(answer.drop_redacted(), 0);
            assert!(answer.fault().is_some(), "{path}");
        }
    }

    #[test]
    fn user_errors_name_field_and_code() {
        let answer = Answer {
            data: json!({"pageCreate": {"page": null, "userErrors": [
                {"field": ["page", "handle"], "message": "is taken", "code": "TAKEN"}]}}),
            errors: Vec::new(),
            cost: 10.0,
            fell_forward_to: None,
        };
        assert_eq!(answer.user_errors(), ["page.handle: is taken (TAKEN)"]);
    }
}
