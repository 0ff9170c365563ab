//! What queues up while one publish is under way goes out as the next.
//!
//! A server that syncs before it acknowledges needs one sync for each plain message, but only a few
//! for an atomic batch of up to a thousand. So a partition is published in rounds, one at a time:
//! few waiting events go out by themselves, without waiting for each other, many as one batch.
//!
//! Where a batch's fate is unknown, or one of its messages was there before, each message is
//! published again by itself under its `Nats-Msg-Id`, and the stream tells which ones it has.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use async_nats::Subscriber;
use backstock_proto::ack::{Ack, Refused, Reply};
use futures::StreamExt;
use futures::future::join_all;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::metrics::{Fallback, Metrics};
use crate::publish::{Answer, NotStored, Pending, Stored};
use crate::wire::Wire;

/// Most messages in a batch, as the server's default allows.
const BATCH_MESSAGES_MAX: usize = 1_000;

/// Most payload bytes in a batch: it is staged on disk before it is stored.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Below so many messages a batch is no faster than publishing them one by one.
const BATCH_MESSAGES_MIN: usize = 16;

/// One partition of a server that syncs before it acknowledges.
pub(crate) struct Rounds {
    wire: Wire,
    queue: mpsc::UnboundedReceiver<Pending>,
    waiting: VecDeque<Pending>,
    inbox: String,
    replies: Subscriber,
    /// Batches begun, which numbers them.
    batches: u64,
    batches_allowed: bool,
    metrics: Arc<Metrics>,
}

/// How a batch ended.
enum BatchEnd {
    Stored,
    NotStored(NotStored),
    OneByOne(Fallback),
}

impl Rounds {
    pub(crate) async fn open(
        wire: Wire,
        queue: mpsc::UnboundedReceiver<Pending>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, async_nats::SubscribeError> {
        let inbox = wire.client.new_inbox();
        let replies = wire.client.subscribe(format!("{inbox}.*")).await?;
        let (waiting, batches, batches_allowed) = (VecDeque::new(), 0, true);
        Ok(Self { wire, queue, waiting, inbox, replies, batches, batches_allowed, metrics })
    }

    pub(crate) async fn run(mut self) {
        while self.gather().await {
            let round = next_round(&mut self.waiting);
            self.metrics.queued.sub(round.len() as i64);
            self.publish(round).await;
        }
    }

    /// Waits until something is waiting, and takes all of it from the queue. False at the end.
    async fn gather(&mut self) -> bool {
        if self.waiting.is_empty() {
            match self.queue.recv().await {
                Some(pending) => self.waiting.push_back(pending),
                None => return false,
            }
        }
        while let Ok(pending) = self.queue.try_recv() {
            self.waiting.push_back(pending);
        }
        true
    }

    async fn publish(&mut self, mut round: Vec<Pending>) {
        round.retain(Pending::is_awaited);
        if round.is_empty() {
            return;
        }
        self.metrics.round_messages.observe(round.len() as f64);
        if !self.batches_allowed || round.len() < BATCH_MESSAGES_MIN {
            return self.publish_one_by_one(round).await;
        }
        match self.publish_batch(&round).await {
            BatchEnd::Stored => answer_all(round, Ok(Stored::New)),
            BatchEnd::NotStored(why) => answer_all(round, Err(why)),
            BatchEnd::OneByOne(reason) => {
                self.metrics.fallbacks(reason).inc();
                self.wire.flushed().await;
                self.publish_one_by_one(round).await;
            }
        }
    }

    async fn publish_one_by_one(&self, round: Vec<Pending>) {
        let awaited = round.into_iter().filter(Pending::is_awaited);
        join_all(awaited.map(|pending| self.wire.publish(pending))).await;
    }

    /// Publishes all or nothing, and waits for the stream to say which.
    async fn publish_batch(&mut self, round: &[Pending]) -> BatchEnd {
        self.batches += 1;
        let batch = Batch {
            id: format!("{}-{}", self.inbox.rsplit('.').next().unwrap_or_default(), self.batches),
            reply: format!("{}.{}", self.inbox, self.batches),
        };
        let connects = self.wire.connects();
        let deadline = round.iter().map(|p| p.deadline).max().unwrap_or_else(Instant::now);
        let exchange = async {
            batch.send(&self.wire, round).await?;
            Ok::<_, async_nats::PublishError>(batch.decided(&mut self.replies).await)
        };
        let reply = tokio::select! {
            biased;
            () = self.wire.lost(connects) => return BatchEnd::OneByOne(Fallback::Unknown),
            done = timeout_at(deadline, exchange) => done,
        };
        match reply {
            Err(_elapsed) => BatchEnd::OneByOne(Fallback::Unknown),
            Ok(Err(error)) => {
                tracing::warn!(stream = %self.wire.stream, %error, "failed to publish a batch");
                BatchEnd::OneByOne(Fallback::Rejected)
            }
            Ok(Ok(None)) => BatchEnd::OneByOne(Fallback::Unknown),
            Ok(Ok(Some(Ok(ack)))) if ack.is_of_batch(&batch.id, round.len(), &self.wire.stream) => {
                self.wire.proved(connects);
                BatchEnd::Stored
            }
            Ok(Ok(Some(Ok(ack)))) => {
                tracing::error!(stream = %self.wire.stream, ?ack, "a batch was acknowledged wrongly");
                BatchEnd::OneByOne(Fallback::Unknown)
            }
            Ok(Ok(Some(Err(refused)))) => self.refused(refused),
        }
    }

    fn refused(&mut self, refused: Refused) -> BatchEnd {
        let stream = &self.wire.stream;
        match refused {
            Refused::DuplicateInBatch => BatchEnd::OneByOne(Fallback::Duplicate),
            Refused::TooManyBatches => BatchEnd::OneByOne(Fallback::TooManyBatches),
            Refused::NoStream => BatchEnd::NotStored(NotStored::NoStream),
            Refused::Full(_) => BatchEnd::NotStored(NotStored::Full),
            Refused::BatchesDisabled => {
                tracing::error!(%stream, "the stream does not allow atomic publish; every event \
                    will cost a sync of its own. Set allow_atomic on the stream and restart");
                self.batches_allowed = false;
                BatchEnd::OneByOne(Fallback::Rejected)
            }
            Refused::Other(_) | Refused::Unreadable(_) => {
                tracing::warn!(%stream, error = %refused, "the stream refused a batch");
                BatchEnd::OneByOne(Fallback::Rejected)
            }
        }
    }
}

fn answer_all(round: Vec<Pending>, answer: Answer) {
    for pending in round {
        drop(pending.answer(answer));
    }
}

/// Takes from the front of what is waiting what may go out together: no more than a batch holds,
/// and no `Nats-Msg-Id` twice, since the server would refuse the whole batch.
fn next_round(waiting: &mut VecDeque<Pending>) -> Vec<Pending> {
    let mut round = Vec::new();
    let mut later = VecDeque::new();
    let mut ids = HashSet::new();
    let mut bytes = 0;
    while let Some(pending) = waiting.pop_front() {
        bytes += pending.payload.len();
        let fits = round.is_empty() || bytes <= BATCH_BYTES_MAX;
        if !fits || round.len() == BATCH_MESSAGES_MAX {
            waiting.push_front(pending);
            break;
        }
        match &pending.msg_id {
            Some(id) if !ids.insert(id.clone()) => later.push_back(pending),
            _ => round.push(pending),
        }
    }
    later.extend(waiting.drain(..));
    *waiting = later;
    round
}

struct Batch {
    id: String,
    reply: String,
}

impl Batch {
    /// Sends every message. The first asks for a reply too, which tells at once if the server takes
    /// no further batch.
    async fn send(&self, wire: &Wire, round: &[Pending]) -> Result<(), async_nats::PublishError> {
        for (i, pending) in round.iter().enumerate() {
            let mut headers = pending.headers.clone();
            headers.insert(async_nats::header::NATS_BATCH_ID, self.id.as_str());
            headers.insert(async_nats::header::NATS_BATCH_SEQUENCE, (i + 1).to_string());
            let last = i + 1 == round.len();
            if last {
                headers.insert(
                    async_nats::header::NATS_BATCH_COMMIT,
                    async_nats::header::NATS_BATCH_COMMIT_FINAL,
                );
            }
            let (subject, payload) = (pending.subject.clone(), pending.payload.clone());
            if i == 0 || last {
                let reply = self.reply.clone();
                wire.client
                    .publish_with_reply_and_headers(subject, reply, headers, payload)
                    .await?;
            } else {
                wire.client.publish_with_headers(subject, headers, payload).await?;
            }
        }
        Ok(())
    }

    /// The reply that decides, skipping those to earlier batches. `None` if no more will come.
    async fn decided(&self, replies: &mut Subscriber) -> Option<Result<Ack, Refused>> {
        loop {
            let message = replies.next().await?;
            if message.subject.as_str() != self.reply {
                continue;
            }
            match Reply::read(&message) {
                Reply::Staged => {}
                Reply::Acked(ack) => return Some(Ok(ack)),
                Reply::Refused(refused) => return Some(Err(refused)),
            }
        }
    }
}
