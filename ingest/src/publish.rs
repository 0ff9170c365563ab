//! Onto the stream: an event goes out, and somebody waits for its acknowledgement.
//!
//! Nothing counts as stored without the stream's acknowledgement of just that message, or of just
//! the batch that it was in.

use std::sync::Arc;

use async_nats::HeaderMap;
use backstock_proto::Event;
use backstock_proto::stream::{self, Partition};
use backstock_proto::trace::{Span, SpanKind, TraceContext};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::admission::Slot;
use crate::metrics::Metrics;
use crate::rounds::Rounds;
use crate::wire::Wire;

/// When the server writes a message to disk for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSync {
    /// Before it acknowledges (`sync_interval: always`). Waiting events share a sync in batches.
    Always,
    /// Some time later. There is no sync to share, so every event is published at once.
    Lazy,
}

/// How an event came to be on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was stored just now.
    New,
    /// It was there already.
    Duplicate,
}

/// Why an event may not be on the stream. The sender must try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    /// There is no connection to the server.
    #[error("the event stream cannot be reached")]
    Unreachable,
    /// The partition's stream does not exist. Only the journal creates it.
    #[error("the event stream does not exist")]
    NoStream,
    /// The stream has reached its limit of bytes.
    #[error("the event stream is full")]
    Full,
    /// The stream refused for another reason, which the log tells.
    #[error("the event stream refused the event")]
    Rejected,
    /// No acknowledgement came in time. It may be stored all the same; a retry finds out.
    #[error("the event stream did not confirm in time")]
    NoAck,
}

/// Whether an event is on the stream.
pub type Answer = Result<Stored, NotStored>;

/// Publishes events and waits for their acknowledgement. Clones share the queues.
#[derive(Clone)]
pub struct Publisher {
    queues: Arc<[mpsc::UnboundedSender<Pending>]>,
    client: async_nats::Client,
    metrics: Arc<Metrics>,
}

/// An event on its way, and who waits for it.
pub(crate) struct Pending {
    pub(crate) subject: String,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
    pub(crate) msg_id: Option<String>,
    /// What its message is part of.
    pub(crate) trace: TraceContext,
    pub(crate) deadline: Instant,
    answer: oneshot::Sender<Answer>,
    slot: Slot,
}

impl Publisher {
    /// Starts one task for each partition. They end once all clones of the publisher are dropped
    /// and what they had queued has been answered.
    pub async fn start(
        client: async_nats::Client,
        partitions: Partition,
        sync: ServerSync,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, JoinSet<()>), async_nats::SubscribeError> {
        let mut tasks = JoinSet::new();
        let mut queues = Vec::new();
        for partition in 0..partitions.max(1) {
            // Not bounded here: every pending event holds a slot, of which there are only so many.
            let (sender, queue) = mpsc::unbounded_channel();
            queues.push(sender);
            let wire = Wire::new(client.clone(), stream::stream_name(partition));
            match sync {
                ServerSync::Always => {
                    let rounds = Rounds::open(wire, queue, metrics.clone()).await?;
                    tasks.spawn(rounds.run());
                }
                ServerSync::Lazy => {
                    tasks.spawn(publish_each(Arc::new(wire), queue, metrics.clone()));
                }
            }
        }
        Ok((Self { queues: queues.into(), client, metrics }, tasks))
    }

    /// Whether there is a connection to the server.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Puts an event on the stream as part of `trace` and waits until it is acknowledged, or until
    /// `deadline`.
    pub async fn publish(
        &self,
        event: Event,
        trace: TraceContext,
        slot: Slot,
        deadline: Instant,
    ) -> Answer {
        let span = Span::begin("ingest publish", SpanKind::Producer, Some(trace));
        let trace = span.context();
        let partitions = u16::try_from(self.queues.len()).unwrap_or(Partition::MAX);
        let partition = stream::partition_of(&event.key.shop, partitions);
        let (answer, answered) = oneshot::channel();
        let mut headers = event.to_headers();
        trace.put_into(&mut headers);
        let pending = Pending {
            subject: stream::event_subject(partition, &event.key),
            headers,
            msg_id: event.msg_id(),
            trace,
            payload: event.payload,
            deadline,
            answer,
            slot,
        };
        span.went(self.put(pending, partition, answered).await)
    }

    async fn put(
        &self,
        pending: Pending,
        partition: Partition,
        answered: oneshot::Receiver<Answer>,
    ) -> Answer {
        if !self.is_connected() {
            return Err(NotStored::Unreachable);
        }
        let deadline = pending.deadline;
        let _timer = self.metrics.publish_seconds.start_timer();
        self.metrics.queued.inc();
        if self.queues[usize::from(partition)].send(pending).is_err() {
            self.metrics.queued.dec();
            return Err(NotStored::Unreachable);
        }
        match timeout_at(deadline, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NotStored::Unreachable),
            Err(_) => Err(NotStored::NoAck),
        }
    }
}

impl Pending {
    pub(crate) fn is_awaited(&self) -> bool {
        !self.answer.is_closed()
    }

    /// Answers whoever asked, if still there. The slot is held as long as the client holds on to
    /// the payload, as it does while the server takes in nothing.
    pub(crate) fn answer(self, answer: Answer) -> Slot {
        let _ = self.answer.send(answer);
        self.slot
    }
}

/// One partition of a server that syncs later: every event goes out as it comes.
async fn publish_each(
    wire: Arc<Wire>,
    mut queue: mpsc::UnboundedReceiver<Pending>,
    metrics: Arc<Metrics>,
) {
    let mut tasks = JoinSet::new();
    while let Some(pending) = queue.recv().await {
        metrics.queued.dec();
        while tasks.try_join_next().is_some() {}
        let wire = wire.clone();
        tasks.spawn(async move { wire.publish(pending).await });
    }
    while tasks.join_next().await.is_some() {}
}
