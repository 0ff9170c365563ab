//! Corrections and records → the stream, each acknowledged: what compactor and restorer publish with.

use std::time::Duration;

use async_nats::header::{
    NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
    NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::{HeaderMap, Request};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::ack::Reply;
use crate::event::header::MSG_ID;
use crate::stream::{Partition, event_subject, ops_subject, partition_of, stream_name};
use crate::trace::{self, TraceContext};
use crate::{Event, Shop, event};

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

    /// The same, if the newest record of `what`/`id` is the one with the sequence `after`; 0: if there
    /// is none. Of several who put at once after the same record, one succeeds.
    async fn put_after(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &Value,
        after: u64,
    ) -> Result<u64, PutError>;
}

/// Why something was not put after another record.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The newest record is another one by now. After a lost acknowledgement it may be this one.
    #[error("{0} has a newer record by now")]
    Moved(String),
    /// The stream did not take it, as far as is known.
    #[error(transparent)]
    Publish(#[from] PublishError),
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

    async fn put_after(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &Value,
        after: u64,
    ) -> Result<u64, PutError> {
        let subject = ops_subject(partition_of(shop, self.partitions), shop, what, id);
        let payload = Bytes::from(payload.to_string());
        match self.publish_after(&subject, payload.clone(), after).await? {
            After::Taken(seq) => Ok(seq),
            // The stream remembers some days only, and what was erased it forgets at once: what stood
            // there last is in the journal and not here.
            After::Moved(last) if last < after => {
                match self.publish_after(&subject, payload, last).await? {
                    After::Taken(seq) => Ok(seq),
                    After::Moved(_) => Err(PutError::Moved(subject)),
                }
            }
            After::Moved(_) => Err(PutError::Moved(subject)),
        }
    }
}

/// What the stream says to a message that is to come after another one.
enum After {
    /// It stands there now, with this sequence.
    Taken(u64),
    /// The last one under the subject has this sequence.
    Moved(u64),
}

/// Publishes what was found out about shops.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// The stream's server.
    pub jetstream: Context,
    /// Into how many partitions the stream is divided.
    pub partitions: Partition,
}

/// How often the stream is asked to take an event before it is given up.
const ATTEMPTS_MAX: u32 = 4;

/// How often it is asked again while no member of the server's cluster leads the stream, and the rest
/// between: longer than choosing one takes.
const LEADERLESS_MAX: u32 = 15;
const LEADERLESS_REST: Duration = Duration::from_secs(1);

/// How long the stream may take to acknowledge a batch.
const BATCH_PATIENCE: Duration = Duration::from_secs(10);

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
    /// Publishes an event as part of the [`trace::current`] trace; it is durable when this returns,
    /// with its sequence.
    pub async fn event(&self, event: Event) -> Result<u64, PublishError> {
        let partition = partition_of(&event.key.shop, self.partitions);
        let (subject, headers) = (event_subject(partition, &event.key), event.to_headers());
        self.publish(subject, headers, event.payload).await
    }

    /// Publishes events of one shop, each with the trace that it is part of, as an atomic batch, which
    /// costs the stream a few syncs however many they are. Whether all of it is stored for sure: where
    /// not, it may be all the same, and each may be published again by itself.
    pub async fn batch(&self, events: &[(Event, Option<TraceContext>)]) -> bool {
        let Some(((last, last_trace), others)) = events.split_last() else { return true };
        let partition = partition_of(&last.key.shop, self.partitions);
        let client = self.jetstream.client();
        let id = client.new_inbox().rsplit('.').next().unwrap_or_default().to_owned();
        let headers = |event: &Event, trace: Option<TraceContext>, n: usize| {
            let mut headers = event.to_headers();
            if let Some(trace) = trace {
                trace.put_into(&mut headers);
            }
            headers.insert(NATS_BATCH_ID, id.as_str());
            headers.insert(NATS_BATCH_SEQUENCE, n.to_string());
            headers
        };
        for (n, (event, trace)) in (1..).zip(others) {
            let subject = event_subject(partition, &event.key);
            let sent = client.publish_with_headers(
                subject,
                headers(event, *trace, n),
                event.payload.clone(),
            );
            if sent.await.is_err() {
                return false;
            }
        }
        let mut headers = headers(last, *last_trace, events.len());
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
        let request = Request::new()
            .headers(headers)
            .payload(last.payload.clone())
            .timeout(Some(BATCH_PATIENCE));
        let answer = client.send_request(event_subject(partition, &last.key), request).await;
        match answer.map(|message| Reply::read(&message)) {
            Ok(Reply::Acked(ack)) => ack.is_of_batch(&id, events.len(), &stream_name(partition)),
            _ => false,
        }
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

    async fn publish_after(
        &self,
        subject: &str,
        payload: Bytes,
        after: u64,
    ) -> Result<After, PublishError> {
        let failed = |reason: String| PublishError { subject: subject.into(), reason };
        let mut headers = traced(HeaderMap::new());
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, after.to_string().as_str());
        let sent = self.jetstream.publish_with_headers(subject.to_owned(), headers, payload).await;
        match sent.map_err(|e| failed(e.to_string()))?.await {
            Ok(taken) => Ok(After::Taken(taken.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                // "wrong last sequence: 17 (code 400, error code 10071)"
                let said = error.to_string();
                let said = said.split(" (code").next().unwrap_or_default();
                let last = said.rsplit(|c: char| !c.is_ascii_digit()).find(|n| !n.is_empty());
                Ok(After::Moved(last.and_then(|n| n.parse().ok()).unwrap_or(u64::MAX)))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    async fn publish(
        &self,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        let mut headers = traced(headers);
        // What has a key the stream takes once, or the journal recognises the copy. Of the rest, a repetition
        // could come after something newer.
        let attempts = if headers.get(MSG_ID).is_some() { ATTEMPTS_MAX } else { 1 };
        let (mut attempt, mut leaderless) = (1, 0);
        loop {
            let (to, under, payload) = (subject.clone(), headers.clone(), payload.clone());
            let taken = match self.jetstream.publish_with_headers(to, under, payload).await {
                Ok(sent) => sent.await,
                Err(error) => Err(error),
            };
            match taken {
                // What the stream remembers may have been erased since, and of a server that was killed it
                // may stand in memory only.
                Ok(taken) if taken.duplicate && headers.get(MSG_ID).is_some() => {
                    headers = event::without_msg_id(&headers);
                }
                Ok(taken) => return Ok(taken.sequence),
                // There was nobody who could have taken it.
                Err(e)
                    if e.kind() == PublishErrorKind::StreamNotFound
                        && leaderless < LEADERLESS_MAX =>
                {
                    leaderless += 1;
                    tokio::time::sleep(LEADERLESS_REST).await;
                }
                // A server that is late is no reason to give up a whole pull.
                Err(e) if e.kind() == PublishErrorKind::TimedOut && attempt < attempts => {
                    attempt += 1;
                }
                Err(e) => return Err(PublishError { subject, reason: e.to_string() }),
            }
        }
    }
}

/// Names the trace at hand in a message's headers.
fn traced(mut headers: HeaderMap) -> HeaderMap {
    if let Some(trace) = trace::current() {
        trace.put_into(&mut headers);
    }
    headers
}
