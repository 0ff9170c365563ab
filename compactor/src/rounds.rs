//! What queues up while some corrections are on their way goes out as the next ones, together: a stream
//! that syncs before it acknowledges needs a sync for each plain message, and only a few for a batch.
//!
//! Where it is not sure that a batch is stored, each of its events is published again by itself: said
//! twice, a correction is the same.

use backstock_proto::Event;
use backstock_proto::publish::{PublishError, Publisher};
use backstock_proto::trace::{self, TraceContext};
use futures::StreamExt;
use tokio::sync::{mpsc, oneshot};

/// Most events in a batch, and about how many bytes of payload.
const BATCH_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Fewer are published one by one, which is as fast.
const BATCH_MIN: usize = 16;
/// Events that are published one by one at once.
const SINGLES: usize = 128;

/// Publishes one shop's corrections. Clones share the queue.
#[derive(Clone)]
pub(crate) struct Rounds {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    event: Event,
    /// What it comes of.
    trace: Option<TraceContext>,
    done: oneshot::Sender<Result<(), PublishError>>,
}

impl Rounds {
    /// Starts to publish. It ends when nobody is left who could want it.
    pub(crate) fn start(publisher: Publisher) -> Self {
        let (queue, waiting) = mpsc::channel(BATCH_MAX);
        tokio::spawn(publish(publisher, waiting));
        Self { queue }
    }

    /// Publishes an event; it is durable when this returns.
    pub(crate) async fn event(&self, event: Event) -> Result<(), PublishError> {
        let subject = event.key.to_string();
        let gone = || PublishError { subject, reason: "nothing is published any more".into() };
        let (done, answer) = oneshot::channel();
        match self.queue.send(Waiting { event, trace: trace::current(), done }).await {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(gone())),
            Err(_) => Err(gone()),
        }
    }
}

async fn publish(publisher: Publisher, mut queue: mpsc::Receiver<Waiting>) {
    let mut some = Vec::with_capacity(BATCH_MAX);
    while queue.recv_many(&mut some, BATCH_MAX).await > 0 {
        while !some.is_empty() {
            let rest = some.split_off(fitting(&some));
            round(&publisher, std::mem::replace(&mut some, rest)).await;
        }
    }
}

/// How many of those that wait go out together.
fn fitting(some: &[Waiting]) -> usize {
    let mut bytes = 0;
    let fits = |waiting: &&Waiting| {
        bytes += waiting.event.payload.len();
        bytes <= BATCH_BYTES_MAX
    };
    some.iter().take_while(fits).count().max(1)
}

async fn round(publisher: &Publisher, round: Vec<Waiting>) {
    let (events, waiting): (Vec<_>, Vec<_>) =
        round.into_iter().map(|Waiting { event, trace, done }| ((event, trace), done)).unzip();
    if events.len() >= BATCH_MIN && publisher.batch(&events).await {
        // Whoever does not listen any more does not have to know.
        waiting.into_iter().for_each(|done| drop(done.send(Ok(()))));
        return;
    }
    let singly = futures::stream::iter(events.into_iter().zip(waiting));
    let singly = singly.for_each_concurrent(SINGLES, async |((event, trace), done)| {
        let published = match trace {
            Some(trace) => trace.scope(publisher.event(event)).await,
            None => publisher.event(event).await,
        };
        drop(done.send(published.map(drop)));
    });
    singly.await;
}
