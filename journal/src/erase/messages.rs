//! Taking messages off the stream.
//!
//! Which ones is on record before they go, so that a journal that reads them later does not take what
//! is missing for a loss. The server overwrites a message that is deleted by its sequence.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{DeleteMessageErrorKind, Stream};
use backstock_proto::Shop;
use backstock_proto::erase::{ERASED_MESSAGES, ERASURE, Erased, Messages};
use backstock_proto::stream::{Partition, parse_event_subject, parse_ops_subject};
use futures::StreamExt;

/// Messages looked at together.
const BATCH: usize = 2_000;
/// Deletions under way at once.
const AT_ONCE: usize = 8;
/// How long a batch may take.
const EXPIRES: Duration = Duration::from_secs(5);
/// Stretches in one record.
const RANGES_MAX: usize = 10_000;

/// Why the stream could not be worked on; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("the stream does not answer: {0}")]
pub(crate) struct Unreachable(String);

impl Unreachable {
    pub(super) fn of(error: &dyn std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

fn unreachable(error: impl std::fmt::Display) -> Unreachable {
    Unreachable::of(&error)
}

/// The sequences of a shop's events that are of resources that were erased.
pub(super) async fn of_resources(
    stream: &Stream,
    partition: Partition,
    shop: &Shop,
    erased: &Erased,
) -> Result<Vec<u64>, Unreachable> {
    let subject = format!("backstock.{partition}.event.{}.>", shop.name());
    let mut seqs = Vec::new();
    each(stream, vec![subject], true, |subject, seq, _| {
        let key = parse_event_subject(subject);
        if key.is_some_and(|key| erased.has(&key.kind, &key.id)) {
            seqs.push(seq);
        }
    })
    .await?;
    Ok(seqs)
}

/// The sequences of everything of a shop, up to one, but of the receipts of erasures.
pub(super) async fn of_shop(
    stream: &Stream,
    partition: Partition,
    shop: &Shop,
    upto: u64,
) -> Result<Vec<u64>, Unreachable> {
    let subjects =
        ["event", "ops"].map(|what| format!("backstock.{partition}.{what}.{}.>", shop.name()));
    let mut seqs = Vec::new();
    each(stream, subjects.into(), true, |subject, seq, _| {
        let stays = parse_ops_subject(subject)
            .is_some_and(|(_, what, _)| matches!(what.as_str(), ERASURE | ERASED_MESSAGES));
        if seq <= upto && !stays {
            seqs.push(seq);
        }
    })
    .await?;
    Ok(seqs)
}

/// Which sequences were taken off the stream, as far as it still says so.
pub(crate) async fn taken_off(
    stream: &Stream,
    partition: Partition,
) -> Result<Vec<(u64, u64)>, Unreachable> {
    let subject = format!("backstock.{partition}.ops.*.{ERASED_MESSAGES}.*");
    let mut ranges = Vec::new();
    each(stream, vec![subject], false, |_, _, payload| {
        if let Ok(messages) = serde_json::from_slice::<Messages>(payload) {
            ranges.extend(messages.ranges);
        }
    })
    .await?;
    Ok(ranges)
}

/// Reads every message under some subjects.
async fn each(
    stream: &Stream,
    subjects: Vec<String>,
    headers_only: bool,
    mut each: impl FnMut(&str, u64, &[u8]),
) -> Result<(), Unreachable> {
    let config = pull::Config {
        filter_subjects: subjects,
        headers_only,
        ack_policy: AckPolicy::None,
        deliver_policy: DeliverPolicy::All,
        inactive_threshold: Duration::from_secs(60),
        memory_storage: true,
        num_replicas: 1,
        description: Some("Looks for what was erased".into()),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(unreachable)?;
    let mut left = consumer.cached_info().num_pending;
    while left > 0 {
        let batch = consumer.fetch().max_messages(BATCH).expires(EXPIRES).messages().await;
        let mut batch = batch.map_err(unreachable)?;
        let mut some = false;
        while let Some(message) = batch.next().await {
            let message = message.map_err(unreachable)?;
            let info = message.info().map_err(unreachable)?;
            each(&message.subject, info.stream_sequence, &message.payload);
            left = info.pending;
            some = true;
        }
        if !some && left > 0 {
            return Err(Unreachable("it has messages and sends none".into()));
        }
    }
    Ok(())
}

/// Those of some sequences that the stream still holds.
pub(super) async fn there(stream: &Stream, seqs: &[u64]) -> Result<Vec<u64>, Unreachable> {
    let first = stream.get_info().await.map_err(unreachable)?.state.first_sequence;
    Ok(seqs.iter().copied().filter(|seq| *seq >= first).collect())
}

/// Sequences as records that say that they go.
pub(super) fn said(seqs: &[u64]) -> Result<Vec<Vec<u8>>, Unreachable> {
    let ranges = ranges(seqs);
    let said = ranges.chunks(RANGES_MAX).map(|ranges| {
        serde_json::to_vec(&Messages { ranges: ranges.to_vec() }).map_err(unreachable)
    });
    said.collect()
}

/// Deletes messages for good. Answers how many were there.
pub(super) async fn delete(stream: &Stream, seqs: Vec<u64>) -> Result<u64, Unreachable> {
    let one = |seq: u64| {
        let stream = stream.clone();
        async move {
            match stream.delete_message(seq).await {
                Ok(_) => Ok(1),
                // It is gone already.
                Err(error) if is_gone(error.kind()) => Ok(0),
                Err(error) => Err(unreachable(error)),
            }
        }
    };
    let mut deleted = 0;
    let mut deleting = futures::stream::iter(seqs.into_iter().map(one)).buffer_unordered(AT_ONCE);
    while let Some(one) = deleting.next().await {
        deleted += one?;
    }
    Ok(deleted)
}

/// "No message found", or a sequence that is not there.
fn is_gone(kind: DeleteMessageErrorKind) -> bool {
    match kind {
        DeleteMessageErrorKind::JetStream(error) => {
            let said = error.to_string();
            said.contains("no message found") || said.contains("not found")
        }
        DeleteMessageErrorKind::Request | DeleteMessageErrorKind::TimedOut => false,
    }
}

/// Sequences as stretches.
fn ranges(seqs: &[u64]) -> Vec<(u64, u64)> {
    let mut seqs = seqs.to_vec();
    seqs.sort_unstable();
    seqs.dedup();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some((_, to)) if *to + 1 == seq => *to = seq,
            _ => ranges.push((seq, seq)),
        }
    }
    ranges
}
