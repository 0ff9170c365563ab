//! Corrections and records → the stream, each acknowledged: what compactor and restorer publish with.

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::stream::{Partition, event_subject, ops_subject, partition_of};
use crate::{Event, Shop};

/// Puts on record what people, plans, jobs and the guard do: the stream, or a test's memory.
#[async_trait]
pub trait Records: Send + Sync {
    /// Publishes the newest record of `what`/`id` of a shop. It is durable when this returns, with
    /// its sequence; [`crate::journal::Journal::records`] shows it once the journal has read that far.
    async fn put(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &Value,
    ) -> Result<u64, PublishError>;
}

#[async_trait]
impl Records for Publisher {
    async fn put(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &Value,
    ) -> Result<u64, PublishError> {
        self.record(shop, what, id, payload).await
    }
}

/// Publishes what was found out about shops.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The stream's server.
    pub jetstream: Context,
    /// Into how many partitions the stream is divided.
    pub partitions: Partition,
}

/// The stream did not take something.
#[derive(Debug, thiserror::Error)]
#[error("the stream did not take {subject}: {reason}")]
pub struct PublishError {
    /// Under which subject it would have stood.
    pub subject: String,
    /// Why not.
    pub reason: String,
}

impl Publisher {
    /// Publishes an event; it is durable when this returns, with its sequence.
    pub async fn event(&self, event: Event) -> Result<u64, PublishError> {
        let partition = partition_of(&event.key.shop, self.partitions);
        let (subject, headers) = (event_subject(partition, &event.key), event.to_headers());
        self.publish(subject, headers, event.payload).await
    }

    /// Publishes a record of what was done; it is durable when this returns, with its sequence.
    pub async fn record(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &impl Serialize,
    ) -> Result<u64, PublishError> {
        let subject = ops_subject(partition_of(shop, self.partitions), shop, what, id);
        let written = serde_json::to_vec(payload);
        let payload = written
            .map_err(|e| PublishError { subject: subject.clone(), reason: e.to_string() })?;
        self.publish(subject, HeaderMap::new(), payload.into()).await
    }

    async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        let failed = |reason: String| PublishError { subject: subject.clone(), reason };
        let sent = self.jetstream.publish_with_headers(subject.clone(), headers, payload).await;
        let sent = sent.map_err(|e| failed(e.to_string()))?;
        Ok(sent.await.map_err(|e| failed(e.to_string()))?.sequence)
    }
}
