//! Bulk operations: a question about everything, answered as a file of lines; and one mutation sent
//! many times, each with the variables in a line of a file.
//!
//! <https://shopify.dev/docs/api/usage/bulk-operations/queries>,
//! <https://shopify.dev/docs/api/usage/bulk-operations/imports>: what a bulk mutation does takes no
//! points, five run at once for an app and a shop (one, before API 2026-01), each ends within 24 hours,
//! and a mutation selects one connection at most. Its lines are answered in any order, each with the
//! number of the line that it answers; what a line could not do stands in its own answer.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;
use url::Url;

use super::ask::AskError;
use super::client::{self, Outcome};
use super::{AdminError, Answer, Call, Client, GraphqlError};
use crate::{Shop, Timestamp};

const RUN: &str = include_str!("graphql/bulk_run.graphql");
const POLL: &str = include_str!("graphql/bulk_poll.graphql");
const CANCEL: &str = include_str!("graphql/bulk_cancel.graphql");
const RUN_MUTATION: &str = include_str!("graphql/bulk_run_mutation.graphql");
const MUTATIONS: &str = include_str!("graphql/bulk_mutations.graphql");

/// Hosts that results may come from, beside the Admin API's own.
const RESULT_HOSTS: [&str; 2] =
    ["storage.googleapis.com", "shopify-staged-uploads.storage.googleapis.com"];

/// How long a result may take until it begins, and then until more of it comes.
const SILENCE: Duration = Duration::from_secs(60);

/// A started operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Its gid.
    pub id: String,
    /// How far it is.
    pub status: State,
    /// When it was started: what changed before is in its result.
    pub created_at: Timestamp,
    /// Why it failed.
    #[serde(default)]
    pub error_code: Option<String>,
    /// When it ended.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// Lines of the result so far, a number in a text.
    #[serde(default)]
    pub object_count: Option<String>,
    /// Those of them that stand in no other.
    #[serde(default)]
    pub root_object_count: Option<String>,
    /// The result; absent when there is nothing in it.
    #[serde(default)]
    pub url: Option<String>,
    /// What a failed operation had found: never the whole.
    #[serde(default)]
    pub partial_data_url: Option<String>,
}

/// How far an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum State {
    Created,
    Running,
    Canceling,
    Canceled,
    Completed,
    Failed,
    Expired,
}

/// What starting one gave.
#[derive(Debug)]
pub enum Started {
    /// It runs.
    Running(Operation),
    /// As many run as may: try again when one has ended.
    TooMany,
}

/// A bulk mutation as a list of them tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// Its gid.
    pub id: String,
    /// How far it is.
    pub status: State,
    /// The document that it was started with.
    pub query: String,
}

/// A line of a bulk mutation's result.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    data: Value,
    #[serde(default, deserialize_with = "client::errors")]
    errors: Vec<GraphqlError>,
    /// Which line of the variables it answers, from 0.
    #[serde(rename = "__lineNumber")]
    number: usize,
}

/// The same, of which only that is read.
#[derive(Deserialize)]
struct Numbered {
    #[serde(rename = "__lineNumber")]
    number: usize,
}

impl State {
    /// Whether nothing more will happen to it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Canceled | Self::Completed | Self::Failed | Self::Expired)
    }
}

impl Operation {
    /// How many lines the whole result has, where the operation says.
    pub fn lines(&self) -> Option<u64> {
        self.object_count.as_deref()?.parse().ok()
    }

    /// How many of those are no part of another.
    pub fn roots(&self) -> Option<u64> {
        self.root_object_count.as_deref()?.parse().ok()
    }
}

/// Starts a bulk query. One that another version of the API took up is ended again: its result would say
/// nothing.
pub async fn start(client: &Client, query: &str, share: f64) -> Result<Started, AskError> {
    // Started twice, it would only run twice.
    let call = safe(RUN, json!({"query": query}), share);
    let answer = client.ask(call).await?;
    let payload = &answer.data["bulkOperationRunQuery"];
    let operation = Operation::deserialize(&payload["bulkOperation"]).ok();
    if let Some(version) = &answer.fell_forward_to {
        if let Some(Operation { id, .. }) = operation
            && let Err(error) = cancel(client, &id).await
        {
            // It ends by itself, only later.
            tracing::warn!(shop = %client.access().shop, %error, "cannot end a bulk operation");
        }
        return Err(AskError::FellForward(version.clone()));
    }
    if let Some(operation) = operation {
        return Ok(Started::Running(operation));
    }
    match payload["userErrors"][0]["code"].as_str() {
        Some("OPERATION_IN_PROGRESS" | "LIMIT_REACHED") => Ok(Started::TooMany),
        _ => Err(refused(client, &answer).into()),
    }
}

/// Starts a bulk mutation with the variables that were uploaded under a path. It must not be started
/// twice: where the answer is lost the error is [`AdminError::Unknown`], and with any other nothing runs.
pub async fn start_mutation(
    client: &Client,
    mutation: &str,
    path: &str,
) -> Result<Started, AdminError> {
    let call = Call::write(RUN_MUTATION, json!({"mutation": mutation, "path": path}));
    let answer = client.ask(call).await?;
    let payload = &answer.data["bulkOperationRunMutation"];
    let operation = &payload["bulkOperation"];
    if operation["id"].is_string() {
        let started = Operation::deserialize(operation).map(Started::Running);
        let shop = || client.access().shop.clone();
        return started.map_err(|e| AdminError::Unknown { shop: shop(), detail: e.to_string() });
    }
    match payload["userErrors"][0]["code"].as_str() {
        Some("OPERATION_IN_PROGRESS" | "LIMIT_REACHED") => Ok(Started::TooMany),
        _ => Err(refused(client, &answer)),
    }
}

/// The app's bulk mutations that are not over, and those that were started since an instant.
pub async fn mutations(client: &Client, since: Timestamp) -> Result<Vec<Listed>, AdminError> {
    let recent = format!("operation_type:mutation created_at:>='{since}'");
    let mut answer = client.ask(safe(MUTATIONS, json!({"recent": recent}), 1.0)).await?;
    if !answer.errors.is_empty() {
        return Err(refused(client, &answer));
    }
    let mut found = BTreeMap::new();
    // Each list is there: a missing one would look as if nothing ran.
    for list in ["recent", "created", "running", "canceling"] {
        let nodes = answer.data.pointer_mut(&format!("/{list}/nodes")).map(Value::take);
        let nodes: Vec<Listed> =
            serde_json::from_value(nodes.unwrap_or_default()).map_err(|e| garbled(client, e))?;
        found.extend(nodes.into_iter().map(|listed| (listed.id.clone(), listed)));
    }
    Ok(found.into_values().collect())
}

/// Which line of the variables a line of a bulk mutation's result answers, from 0: see [`answered`].
pub fn answers(line: &str) -> Option<usize> {
    serde_json::from_str(line).ok().map(|Numbered { number }| number)
}

/// What a line of a bulk mutation's result says: which line of the variables it answers, from 0, and
/// the answer, as it would have come to a mutation of its own. `None` for what is no such line.
pub fn answered(shop: &Shop, line: &str) -> Option<(usize, Result<Answer, AdminError>)> {
    let Line { data, errors, number } = serde_json::from_str(line).ok()?;
    let answer = match client::unanswered(shop, &data, &errors) {
        Some(Outcome::Failed(error)) => Err(error),
        Some(Outcome::Later(detail, _) | Outcome::Lost(detail)) => {
            Err(AdminError::Unknown { shop: shop.clone(), detail })
        }
        _ if data.is_null() => {
            let detail = "its line in a bulk result has no data".into();
            Err(AdminError::Unknown { shop: shop.clone(), detail })
        }
        _ => Ok(Answer { data, errors, cost: 0.0, fell_forward_to: None }),
    };
    Some((number, answer))
}

/// How far an operation is, asked within a `share` of the cost budget, 0 to 1; `None` if the shop knows of
/// none with this id.
pub async fn poll(client: &Client, id: &str, share: f64) -> Result<Option<Operation>, AdminError> {
    let call = safe(POLL, json!({"id": id}), share);
    let answer = client.ask(call).await?;
    let operation = &answer.data["bulkOperation"];
    if operation.is_null() {
        return Ok(None);
    }
    Operation::deserialize(operation).map(Some).map_err(|e| garbled(client, e))
}

/// Asks for an operation's end, which comes later: see [`poll`].
pub async fn cancel(client: &Client, id: &str) -> Result<(), AdminError> {
    let call = safe(CANCEL, json!({"id": id}), 1.0);
    client.ask(call).await.map(drop)
}

/// The lines of a result, as they come. The address must be the Admin API's own or one that Shopify
/// keeps results at.
pub async fn lines(
    client: &Client,
    url: &str,
) -> Result<BoxStream<'static, std::io::Result<String>>, AdminError> {
    let url = Url::parse(url).map_err(|e| garbled(client, e))?;
    let own = client.access().url.origin();
    let allowed = url.origin() == own
        || (url.scheme() == "https" && url.host_str().is_some_and(|h| RESULT_HOSTS.contains(&h)));
    if !allowed {
        return Err(garbled(
            client,
            format!("a bulk result at an unexpected address: {:?}", url.host_str()),
        ));
    }
    let unavailable = |last: String| AdminError::Unavailable {
        shop: client.access().shop.clone(),
        waited: Duration::ZERO,
        last: format!("reading a bulk result: {last}"),
    };
    // Which request broke is said by the error; its address holds a signature.
    let broken = |e: reqwest::Error| unavailable(e.without_url().to_string());
    let sent = tokio::time::timeout(SILENCE, client.http().get(url).send()).await;
    let sent = sent.map_err(|silence| unavailable(silence.to_string()))?.map_err(broken)?;
    let response = sent.error_for_status().map_err(broken)?;
    let bytes = futures::stream::try_unfold(response, |mut response| async move {
        let piece = tokio::time::timeout(SILENCE, response.chunk()).await?;
        let piece = piece.map_err(|e| std::io::Error::other(e.without_url()))?;
        Ok::<_, std::io::Error>(piece.map(|piece| (piece, response)))
    });
    let lines = StreamReader::new(bytes.boxed()).lines();
    let read = futures::stream::try_unfold(lines, |mut lines| async move {
        Ok(lines.next_line().await?.map(|line| (line, lines)))
    });
    Ok(read.boxed())
}

/// What may be said twice, within a part of the budget.
fn safe(document: &str, variables: Value, share: f64) -> Call<'_> {
    Call { share, ..Call::read(document, variables) }
}

fn refused(client: &Client, answer: &Answer) -> AdminError {
    let detail = match answer.errors.first() {
        Some(error) => error.message.clone(),
        None => answer.user_errors().join("; "),
    };
    AdminError::Document { shop: client.access().shop.clone(), detail }
}

fn garbled(client: &Client, detail: impl std::fmt::Display) -> AdminError {
    AdminError::Garbled { shop: client.access().shop.clone(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_bulk_mutations_result_is_an_answer_to_a_mutation_of_its_own() {
        let shop = Shop::parse("acme.myshopify.com").expect("a shop");
        let heard = |line: &str| answered(&shop, line);
        let done = r#"{"data":{"productSet":{"product":{"id":"gid:\/\/shopify\/Product\/1"},"userErrors":[]}},"__lineNumber":3}"#;
        let (number, answer) = heard(done).expect("a line");
        let data = answer.expect("an answer").data;
        assert_eq!((number, answers(done)), (3, Some(3)));
        assert_eq!(data["productSet"]["product"]["id"], "gid://shopify/Product/1");
        let denied = r#"{"data":null,"errors":[{"message":"no","extensions":{"code":"ACCESS_DENIED"}}],"__lineNumber":0}"#;
        assert!(matches!(heard(denied), Some((0, Err(AdminError::Refused { .. })))));
        // Nobody knows what became of these.
        let broken = r#"{"data":{"productSet":null},"errors":[{"message":"oops","extensions":{"code":"INTERNAL_SERVER_ERROR"}}],"__lineNumber":1}"#;
        for line in [broken, r#"{"__lineNumber":1}"#] {
            assert!(matches!(heard(line), Some((1, Err(AdminError::Unknown { .. })))), "{line}");
        }
        let other = r#"{"id":"gid://shopify/ProductVariant/1","__parentId":"x"}"#;
        assert!(heard(other).is_none() && answers(other).is_none());
    }
}
