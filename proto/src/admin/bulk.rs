//! Bulk operations: a question about everything, answered as a file of lines.
//! <https://shopify.dev/docs/api/usage/bulk-operations/queries>

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio_util::io::StreamReader;
use url::Url;

use super::ask::AskError;
use super::{AdminError, Answer, Call, Client};
use crate::Timestamp;

const RUN: &str = include_str!("graphql/bulk_run.graphql");
const POLL: &str = include_str!("graphql/bulk_poll.graphql");
const CANCEL: &str = include_str!("graphql/bulk_cancel.graphql");

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
    if payload["userErrors"][0]["code"] == "OPERATION_IN_PROGRESS" {
        return Ok(Started::TooMany);
    }
    Err(refused(client, &answer).into())
}

/// How far an operation is; `None` if the shop knows of none with this id.
pub async fn poll(client: &Client, id: &str, share: f64) -> Result<Option<Operation>, AdminError> {
    let call = safe(POLL, json!({"id": id}), share);
    let answer = client.ask(call).await?;
    let operation = &answer.data["bulkOperation"];
    if operation.is_null() {
        return Ok(None);
    }
    Operation::deserialize(operation).map(Some).map_err(|e| garbled(client, e))
}

/// Asks for an operation's end.
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
