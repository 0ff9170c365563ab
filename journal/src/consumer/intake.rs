//! Messages → decoded batches, ahead of the writer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream;
use async_nats::jetstream::consumer::pull::Stream;
use async_nats::jetstream::consumer::{PullConsumer, StreamError};
use async_nats::jetstream::message::Acker;
use backstock_proto::Timestamp;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Config;
use crate::decode::{Decoded, Message};
use crate::metrics::Metrics;
use crate::store::Store;

/// Payload bytes that may be under way to us; more than the largest message.
const UNDER_WAY_BYTES: usize = 24 << 20;

/// How often the server says that it is there while it has nothing to send.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long one request for messages stands.
const EXPIRES: Duration = Duration::from_secs(30);

/// How often it looks whether the connection is still the one that it reads from.
const CONNECTION_CHECK: Duration = Duration::from_millis(100);

/// Why reading ends where it is not.
const ANOTHER_CONNECTION: &str = "the connection to the server is another one";

/// Messages that are written together.
pub(super) struct Batch {
    pub(super) decoded: Vec<Decoded>,
    /// The last message: acknowledging it acknowledges all.
    pub(super) last: Acker,
    pub(super) last_recorded_at: Timestamp,
    /// Messages that the server still had behind the last one.
    pub(super) pending: u64,
}

/// Why reading ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// It was told to.
    Shutdown,
    /// Something that starting anew cures.
    Interrupted(String),
}

/// The connection over which a stream was looked at. Over another one it may be another server's, or one
/// that was set back.
#[derive(Clone)]
pub(super) struct Connection {
    client: Client,
    /// How many there had been.
    connects: u64,
}

/// Reads the consumer's messages.
pub(super) struct Intake {
    config: Config,
    connection: Connection,
    consumer: PullConsumer,
    messages: Stream,
    metrics: Arc<Metrics>,
    /// The last stream sequence taken.
    taken: u64,
    /// Deliveries seen. The consumer counts them too: a difference is one that got lost.
    deliveries: u64,
}

/// One message, and what the server says of it.
struct Delivery {
    message: jetstream::Message,
    seq: u64,
    recorded_at: Timestamp,
    pending: u64,
}

impl Connection {
    /// The one that there is now.
    pub(super) fn of(client: Client) -> Self {
        let connects = client.statistics().connects.load(Ordering::Relaxed);
        Self { client, connects }
    }

    fn is_replaced(&self) -> bool {
        self.client.statistics().connects.load(Ordering::Relaxed) != self.connects
    }

    /// Waits until there is another one.
    async fn replaced(&self) {
        while !self.is_replaced() {
            tokio::time::sleep(CONNECTION_CHECK).await;
        }
    }
}

impl Intake {
    /// Starts to read behind `applied`, where the consumer starts.
    pub(super) async fn start(
        config: Config,
        connection: Connection,
        consumer: PullConsumer,
        applied: u64,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StreamError> {
        let messages = consumer
            .stream()
            .max_messages_per_batch(2 * config.batch_messages)
            .max_bytes_per_batch(UNDER_WAY_BYTES)
            .heartbeat(HEARTBEAT)
            .expires(EXPIRES)
            .messages()
            .await?;
        Ok(Self { config, connection, consumer, messages, metrics, taken: applied, deliveries: 0 })
    }

    /// Sends batches, each being decoded on a thread of its own, until reading ends.
    pub(super) async fn run(
        mut self,
        batches: mpsc::Sender<JoinHandle<Batch>>,
        store: Arc<Store>,
        shutdown: CancellationToken,
    ) -> Ended {
        let connection = self.connection.clone();
        loop {
            let (deliveries, ended) = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ended::Shutdown,
                () = connection.replaced() => {
                    return Ended::Interrupted(ANOTHER_CONNECTION.into());
                }
                gathered = self.gather(&store) => gathered,
            };
            if let Some(decoding) = decode(deliveries)
                && batches.send(decoding).await.is_err()
            {
                // The writer failed, and says why.
                return Ended::Interrupted("the writer stopped".into());
            }
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// Waits for a message, then takes what comes until the batch is full or has waited enough.
    async fn gather(&mut self, store: &Store) -> (Vec<Delivery>, Option<Ended>) {
        let mut batch = Vec::new();
        let first = match self.first().await {
            Ok(first) => first,
            Err(ended) => return (batch, Some(ended)),
        };
        store.lag().waits(first.recorded_at);
        let mut bytes = first.message.payload.len();
        batch.push(first);
        let full_at = Instant::now() + self.config.linger;
        while batch.len() < self.config.batch_messages && bytes < self.config.batch_bytes {
            match tokio::time::timeout_at(full_at, self.next()).await {
                Err(_waited_enough) => break,
                Ok(Ok(None)) => {}
                Ok(Ok(Some(delivery))) => {
                    bytes += delivery.message.payload.len();
                    batch.push(delivery);
                }
                Ok(Err(ended)) => return (batch, Some(ended)),
            }
        }
        (batch, None)
    }

    /// The next message, however long it takes, unless the server has one and does not send it.
    async fn first(&mut self) -> Result<Delivery, Ended> {
        let mut asked_at = Instant::now();
        loop {
            match tokio::time::timeout_at(asked_at + self.config.stall, self.next()).await {
                Ok(Ok(Some(delivery))) => return Ok(delivery),
                Ok(Ok(None)) => {}
                Ok(Err(ended)) => return Err(ended),
                Err(_silence) => {
                    let interrupted = |reason: String| Ended::Interrupted(reason);
                    let info = self.consumer.get_info().await;
                    let info = info.map_err(|error| interrupted(error.to_string()))?;
                    // A stream that was made anew, or purged, may begin far ahead and hold nothing.
                    if info.num_pending > 0 || info.delivered.consumer_sequence > self.deliveries {
                        return Err(interrupted("the server has messages and sends none".into()));
                    }
                    asked_at = Instant::now();
                }
            }
        }
    }

    /// The next message; `None` for one that the store has already. Cancelling loses nothing: a
    /// message is counted as soon as it is taken.
    async fn next(&mut self) -> Result<Option<Delivery>, Ended> {
        let interrupted = |reason: String| Ended::Interrupted(reason);
        let message = match self.messages.next().await {
            None => return Err(interrupted("the subscription ended".into())),
            Some(Err(error)) => return Err(interrupted(error.to_string())),
            Some(Ok(message)) => message,
        };
        if self.connection.is_replaced() {
            return Err(interrupted(ANOTHER_CONNECTION.into()));
        }
        let info = message.info().map_err(|error| interrupted(error.to_string()))?;
        let (seq, delivery, pending) = (info.stream_sequence, info.consumer_sequence, info.pending);
        let recorded_at = (info.published.unix_timestamp_nanos() / 1_000) as i64;
        self.deliveries += 1;
        if delivery != self.deliveries {
            // The sequences behind it may come again later, out of order; a fresh consumer sends
            // them first. A jump in the stream without one in the deliveries is a true gap.
            return Err(interrupted(format!("the delivery before sequence {seq} got lost")));
        }
        if seq <= self.taken {
            self.metrics.redelivered();
            return Ok(None);
        }
        self.taken = seq;
        let recorded_at = Timestamp::from_micros(recorded_at);
        Ok(Some(Delivery { message, seq, recorded_at, pending }))
    }
}

/// Starts to decode a batch. `None` if it is empty.
fn decode(mut deliveries: Vec<Delivery>) -> Option<JoinHandle<Batch>> {
    let last = deliveries.pop()?;
    Some(tokio::task::spawn_blocking(move || {
        let (last_recorded_at, pending) = (last.recorded_at, last.pending);
        let mut decoded = Vec::with_capacity(deliveries.len() + 1);
        decoded.extend(deliveries.into_iter().map(|delivery| delivery.decode().0));
        let (last, acker) = last.decode();
        decoded.push(last);
        Batch { decoded, last: acker, last_recorded_at, pending }
    }))
}

impl Delivery {
    fn decode(self) -> (Decoded, Acker) {
        let (message, acker) = self.message.split();
        let message = Message {
            seq: self.seq,
            recorded_at: self.recorded_at,
            subject: message.subject.to_string(),
            headers: message.headers.unwrap_or_default(),
            payload: message.payload,
        };
        (message.decode(), acker)
    }
}
