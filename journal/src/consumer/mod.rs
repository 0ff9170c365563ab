//! Stream → store, batch by batch, for as long as the process runs.
//!
//! Read order and write order: a batch MUST be synced before it is acknowledged, and batches MUST
//! be written in the order of the stream. What the store has applied decides where reading starts;
//! the consumer on the server is made anew at that place whenever reading starts, so that nothing
//! waits for a redelivery and nothing depends on an acknowledgement having arrived. It starts anew over
//! every connection: what a server says after it was away need not go on where it was before.
//!
//! A message that a newer Backstock wrote MUST NOT be skipped: the journal stops before it, still
//! answers what it knows, and a newer one goes on from there.

mod intake;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use backstock_proto::Shop;
use backstock_proto::listen::Part;
use backstock_proto::stream::{CONSUMER, Partition, consumer_config, stream_name};
use backstock_proto::time::Clock;
use backstock_proto::trace::{Span, SpanKind};
use prometheus::Registry;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::append::{Appended, Newer};
use crate::decode::Decoded;
use crate::erase::messages;
use crate::metrics::Metrics;
use crate::store::{Store, StoreError};
use crate::stream::{self, StreamError};
use intake::{Batch, Connection, Ended, Intake};

/// Batches read and decoded while the one before is written.
const BATCHES_AHEAD: usize = 2;

/// How long to wait before asking a disk that was full again.
const DISK_FULL_REST: Duration = Duration::from_secs(1);

/// How long to wait before starting to read anew.
const RESTART_REST: Duration = Duration::from_millis(250);

/// How often the gauges that change by themselves are brought up to date.
const REFRESH: Duration = Duration::from_secs(5);

/// How the journal reads the stream.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which partition's stream.
    pub partition: Partition,
    /// The shops that it is to hold: their lag is told from the start.
    pub shops: Vec<Shop>,
    /// Names this copy's durable consumer: copies of the same partition have one each.
    pub consumer: String,
    /// Most messages in one write.
    pub batch_messages: usize,
    /// Most payload bytes in one write, unless a single message is larger.
    pub batch_bytes: usize,
    /// How long a first message waits for others: fewer syncs for a little freshness.
    pub linger: Duration,
    /// How long there may be no message while the server has some, before reading starts anew.
    pub stall: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            partition: 0,
            shops: Vec::new(),
            consumer: CONSUMER.into(),
            batch_messages: 512,
            batch_bytes: 8 << 20,
            linger: Duration::from_millis(4),
            stall: Duration::from_secs(45),
        }
    }
}

/// Why the journal stopped before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The store failed. The process should end: what is on disk is known only after opening it
    /// anew, and the stream still holds everything that was not acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store and the stream do not go together.
    #[error(transparent)]
    Stream(StreamError),
    /// A thread of the journal panicked.
    #[error("the journal panicked: {0}")]
    Panic(#[from] tokio::task::JoinError),
    /// The metrics' names are taken.
    #[error("registering the journal's metrics failed: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Applies the stream to the store until `shutdown`, then finishes the batch under way, flushes and
/// stops RocksDB's background work. The stream must be there: [`stream::ensure_stream`] makes it.
///
/// An unreachable server is waited for; a full disk is waited for, with readiness withdrawn and
/// reads still served. At something that a newer Backstock wrote it waits like that for its end.
/// Everything else ends the run.
pub async fn run(
    config: Config,
    store: Arc<Store>,
    jetstream: Context,
    registry: &Registry,
    ready: Part,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let metrics = Arc::new(Metrics::register(registry, config.partition)?);
    config.shops.iter().for_each(|shop| metrics.expects(shop));
    // Whatever this starts ends with it, also if the caller drops it half-way.
    let shutdown = shutdown.child_token();
    let _ends_with_this = shutdown.clone().drop_guard();
    let partition = config.partition;
    let writer =
        Writer { store, metrics, ready, clock, shutdown, jetstream: jetstream.clone(), partition };
    writer.blocking(|store, metrics| metrics.restore(store)).await?;
    tokio::spawn(refresh(writer.clone()));
    let followed = follow(&config, &writer, &jetstream).await;
    let closed = writer.blocking(|store, _| store.close()).await;
    followed.and(closed)
}

/// Reads and writes until shutdown, starting anew after every interruption.
async fn follow(config: &Config, writer: &Writer, jetstream: &Context) -> Result<(), Failure> {
    loop {
        let ended = tokio::select! {
            biased;
            () = writer.shutdown.cancelled() => return Ok(()),
            intake = start(config, writer, jetstream) => match intake {
                Ok(intake) => writer.write_all(intake).await?,
                Err(error) if error.retryable() => Ended::Interrupted(error.to_string()),
                Err(error) => return Err(Failure::Stream(error)),
            },
        };
        match ended {
            Ended::Shutdown => return Ok(()),
            Ended::Interrupted(reason) => {
                writer.store.lag().waits(writer.clock.now());
                tracing::warn!(%reason, "reading the stream starts anew");
                tokio::select! {
                    () = tokio::time::sleep(RESTART_REST) => {}
                    () = writer.shutdown.cancelled() => return Ok(()),
                }
            }
        }
    }
}

/// Makes the consumer anew behind what the store has applied.
async fn start(
    config: &Config,
    writer: &Writer,
    jetstream: &Context,
) -> Result<Intake, StreamError> {
    let name = stream_name(config.partition);
    let connection = Connection::of(jetstream.client());
    let stream = stream::open(jetstream, &writer.store, &name).await?;
    let applied = writer.store.applied_seq();
    let unreachable = |reason: String| StreamError::Unreachable { name: name.clone(), reason };
    // It may not be there yet; if it cannot be deleted for another reason, creating it fails too.
    let _gone = stream.delete_consumer(&config.consumer).await;
    let consumer = stream.create_consumer(consumer_config(&config.consumer, applied)).await;
    let consumer = consumer.map_err(|error| unreachable(error.to_string()))?;
    let state = &stream.cached_info().state;
    let last = state.last_sequence;
    if last <= applied || state.messages == 0 {
        writer.store.lag().caught_up();
    }
    writer.ready.ready();
    tracing::info!(stream = %name, applied, last, "reading the stream");
    let metrics = writer.metrics.clone();
    let intake = Intake::start(config.clone(), connection, consumer, applied, metrics).await;
    intake.map_err(|error| unreachable(error.to_string()))
}

/// Writes batches, one at a time.
#[derive(Clone)]
struct Writer {
    store: Arc<Store>,
    metrics: Arc<Metrics>,
    ready: Part,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
    jetstream: Context,
    partition: Partition,
}

impl Writer {
    /// Writes what the intake reads, until it ends and all of it is written.
    async fn write_all(&self, intake: Intake) -> Result<Ended, Failure> {
        let (send, mut batches) = mpsc::channel(BATCHES_AHEAD);
        let (shutdown, store) = (self.shutdown.clone(), self.store.clone());
        let reading = tokio::spawn(intake.run(send, store, shutdown));
        while let Some(decoding) = batches.recv().await {
            let batch: Batch = decoding.await?;
            if !self.write(batch, &batches).await? {
                // Shut down while it could not go on: what was read stays with the stream.
                return Ok(Ended::Shutdown);
            }
        }
        Ok(reading.await?)
    }

    /// Writes and acknowledges one batch. `false` if shutdown came while it could not go on.
    async fn write<T>(&self, batch: Batch, more: &mpsc::Receiver<T>) -> Result<bool, Failure> {
        let decoded = Arc::new(batch.decoded);
        if self.store.misses(&decoded) {
            self.ask_what_was_taken_off().await;
        }
        let mut full = false;
        let appended = loop {
            let (decoded, now) = (decoded.clone(), self.clock.now());
            match self.blocking(move |store, _| store.append(&decoded, now)).await {
                Ok(appended) => break appended,
                Err(Failure::Store(StoreError::DiskFull(error))) => {
                    if !full {
                        full = true;
                        tracing::error!(%error, "the disk is full; waiting for space");
                        self.ready.not_ready("cannot write: the disk is full");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(DISK_FULL_REST) => {}
                        () = self.shutdown.cancelled() => return Ok(false),
                    }
                }
                Err(other) => return Err(other),
            }
        };
        if full {
            tracing::info!("the disk has space again");
            self.ready.ready();
        }
        if let Some(newer) = appended.newer {
            let read = decoded.partition_point(|message| message.seq < newer.seq);
            self.report(&appended, &decoded[..read]);
            self.stand_before(newer).await;
            return Ok(false);
        }
        // An acknowledgement that gets lost costs nothing: the store knows what it has applied.
        if let Err(error) = batch.last.ack().await {
            tracing::debug!(%error, "failed to acknowledge a batch");
        }
        match (batch.pending, more.is_empty()) {
            (0, true) => self.store.lag().caught_up(),
            _ => self.store.lag().read_up_to(batch.last_recorded_at),
        }
        self.report(&appended, &decoded);
        Ok(true)
    }

    /// Stops before what only a newer Backstock can read. Nothing is acknowledged: the stream keeps it
    /// for whoever comes next.
    async fn stand_before(&self, Newer { seq, format }: Newer) {
        let known = backstock_proto::event::FORMAT;
        let reason = format!(
            "sequence {seq} of the stream is in format {format}, this binary knows {known}; run a \
             newer Backstock here within the seven days that the stream keeps it"
        );
        tracing::error!(stream_seq = seq, %reason, "the journal goes no further");
        self.ready.not_ready(format!("goes no further: {reason}"));
        self.shutdown.cancelled().await;
    }

    /// What is missing may have been erased. If the stream does not say, it counts as a gap.
    async fn ask_what_was_taken_off(&self) {
        let name = stream_name(self.partition);
        let Ok(stream) = self.jetstream.get_stream(&name).await else { return };
        match messages::taken_off(&stream, self.partition).await {
            Ok(ranges) => self.store.explain(ranges),
            Err(error) => tracing::warn!(%error, "failed to read what was taken off the stream"),
        }
    }

    fn report(&self, appended: &Appended, decoded: &[Decoded]) {
        self.metrics.appended(appended, self.store.applied_seq());
        for message in decoded {
            if let Some(trace) = message.trace {
                // From when the stream took it until it can be read.
                let span = Span::begin("journal append", SpanKind::Consumer, Some(trace));
                let mut span = span.since(message.recorded_at);
                span.count("partition", self.partition.into());
                span.count("stream_seq", message.seq);
            }
        }
        for gap in &appended.gaps {
            tracing::error!(
                from_seq = gap.from_seq,
                to_seq = gap.to_seq,
                "the stream has a gap: what stood there is unknown until the next pull"
            );
        }
        for (seq, reason) in &appended.quarantined {
            let message = decoded.iter().find(|message| message.seq == *seq);
            let trace = message.and_then(|message| message.trace);
            let trace_id = trace.map(|trace| tracing::field::display(trace.trace_id()));
            tracing::warn!(stream_seq = seq, trace_id, %reason, "kept an event aside");
        }
    }

    /// Runs something that blocks on the disk.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store, &Metrics) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Failure> {
        let (store, metrics) = (self.store.clone(), self.metrics.clone());
        Ok(tokio::task::spawn_blocking(move || work(&store, &metrics)).await??)
    }
}

async fn refresh(writer: Writer) {
    let mut ticks = tokio::time::interval(REFRESH);
    while writer.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = writer.clock.now();
        let refreshed = writer.blocking(move |store, metrics| metrics.refresh(store, now)).await;
        if let Err(error) = refreshed {
            tracing::warn!(%error, "failed to bring the journal's metrics up to date");
        }
    }
}
