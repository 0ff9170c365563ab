//! Corrections and records → the stream, each acknowledged.

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use backstock_proto::stream::{Partition, event_subject, ops_subject, partition_of};
use backstock_proto::{Event, Shop};
use bytes::Bytes;
use serde::Serialize;

/// Publishes what was found out about shops.
#[derive(Clone)]
pub(crate) struct Publisher {
    pub(crate) jetstream: Context,
    pub(crate) partitions: Partition,
}

/// The stream did not take something. It is found again by the next pull.
#[derive(Debug, thiserror::Error)]
#[error("the stream did not take {subject}: {reason}")]
pub(crate) struct PublishError {
    subject: String,
    reason: String,
}

impl Publisher {
    /// Publishes an event; it is durable when this returns.
    pub(crate) async fn event(&self, event: Event) -> Result<(), PublishError> {
        let partition = partition_of(&event.key.shop, self.partitions);
        let (subject, headers) = (event_subject(partition, &event.key), event.to_headers());
        self.publish(subject, headers, event.payload).await
    }

    /// Publishes a record of what was done.
    pub(crate) async fn record(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &impl Serialize,
    ) -> Result<(), PublishError> {
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
    ) -> Result<(), PublishError> {
        let failed = |reason: String| PublishError { subject: subject.clone(), reason };
        let sent = self.jetstream.publish_with_headers(subject.clone(), headers, payload).await;
        sent.map_err(|e| failed(e.to_string()))?.await.map_err(|e| failed(e.to_string()))?;
        Ok(())
    }
}
