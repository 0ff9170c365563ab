//! Where events stand: subjects, streams and the journal's consumer.
//!
//! `backstock.<partition>.event.<shop>.<kind>.<id>` holds store events, `…ops.<shop>.<what>.<id>`
//! what people and jobs do. Every token is escaped, so a shop's or a customer's messages can be
//! found, and erased, by subject.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::resource::{ResourceId, ResourceKey};
use crate::{Kind, Shop};

/// Which partition of the store: one stream, one journal consumer, one RocksDB directory.
pub type Partition = u16;

/// Largest payload of an event, in bytes: Shopify's largest body that we accept.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest message payload that the server must take, in bytes: an event's with room for headers.
pub const MAX_PAYLOAD_BYTES: usize = EVENT_BYTES_MAX + 1024 * 1024;

/// The name of a journal's durable consumer, unless it is a further copy.
pub const CONSUMER: &str = "journal";

/// How long events stay on the stream: long enough to rebuild a journal from its last checkpoint.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long the stream remembers delivery ids: longer than Shopify retries (4 h).
const DUPLICATE_WINDOW: Duration = Duration::from_secs(6 * 3600);

/// How long a delivered batch may take before the server offers it again.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// Most messages that may be out with the journal at once.
const ACK_PENDING_MAX: i64 = 8_192;

/// Everything but letters, digits, `-` and `_`: what a subject token must not hold.
const TOKEN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// A shop's partition. Fixed when the store is created; the same in every version of Backstock.
pub fn partition_of(shop: &Shop, partitions: Partition) -> Partition {
    let hash = blake3::hash(shop.name().as_bytes());
    let head: [u8; 8] = std::array::from_fn(|i| hash.as_bytes()[i]);
    // The remainder is below `partitions`, so it fits.
    (u64::from_be_bytes(head) % u64::from(partitions.max(1))) as Partition
}

/// The stream of a partition.
pub fn stream_name(partition: Partition) -> String {
    format!("BACKSTOCK-{partition}")
}

/// The subject of a resource's events.
pub fn event_subject(partition: Partition, key: &ResourceKey) -> String {
    format!(
        "backstock.{partition}.event.{}.{}.{}",
        key.shop.name(),
        key.kind,
        utf8_percent_encode(key.id.as_str(), TOKEN)
    )
}

/// The resource that a subject names, if it is one of [`event_subject`]'s.
pub fn parse_event_subject(subject: &str) -> Option<ResourceKey> {
    let mut tokens = subject.split('.');
    let (root, _partition, what) = (tokens.next()?, tokens.next()?, tokens.next()?);
    let (shop, kind, id) = (tokens.next()?, tokens.next()?, tokens.next()?);
    if root != "backstock" || what != "event" || tokens.next().is_some() {
        return None;
    }
    let id = percent_decode_str(id).decode_utf8().ok()?;
    Some(ResourceKey {
        shop: Shop::from_name(shop).ok()?,
        kind: Kind::parse(kind).ok()?,
        id: ResourceId::parse(&id).ok()?,
    })
}

/// The subject of what people, pulls and jobs do: `what` is `pull`, `mark`, `plan`, `job`, … and
/// `id` names one of them. The payload is JSON; the newest record of an id is its present state.
pub fn ops_subject(partition: Partition, shop: &Shop, what: &str, id: &str) -> String {
    let (what, id) = (utf8_percent_encode(what, TOKEN), utf8_percent_encode(id, TOKEN));
    format!("backstock.{partition}.ops.{}.{what}.{id}", shop.name())
}

/// The shop, the `what` and the id that a subject names, if it is one of [`ops_subject`]'s.
pub fn parse_ops_subject(subject: &str) -> Option<(Shop, String, String)> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let ["backstock", _, "ops", shop, what, id] = tokens.as_slice() else { return None };
    let token = |text: &str| percent_decode_str(text).decode_utf8().ok().map(String::from);
    Some((Shop::from_name(shop).ok()?, token(what)?, token(id)?))
}

/// The member of a stream's metadata that says of how many partitions it is one.
pub const PARTITIONS: &str = "backstock.partitions";

/// What a partition's stream must look like.
///
/// - `discard: new` and a byte limit: a full stream refuses, it never drops what nobody has read.
/// - `allow_atomic_publish`: ingest publishes what queues up as one batch, for one sync.
pub fn stream_config(
    (partition, partitions): (Partition, Partition),
    replicas: usize,
    bytes_max: i64,
) -> Config {
    Config {
        name: stream_name(partition),
        subjects: vec![
            format!("backstock.{partition}.event.>"),
            format!("backstock.{partition}.ops.>"),
        ],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::New,
        max_bytes: bytes_max,
        max_age: MAX_AGE,
        duplicate_window: DUPLICATE_WINDOW,
        num_replicas: replicas,
        allow_atomic_publish: true,
        metadata: [(PARTITIONS.to_owned(), partitions.to_string())].into(),
        description: Some("Backstock: every event of the shops in this partition".into()),
        ..Config::default()
    }
}

/// The journal's consumer, which starts after the last sequence that the journal has applied.
pub fn consumer_config(name: &str, applied_seq: u64) -> pull::Config {
    pull::Config {
        durable_name: Some(name.into()),
        ack_policy: AckPolicy::All,
        ack_wait: ACK_WAIT,
        max_ack_pending: ACK_PENDING_MAX,
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: applied_seq + 1 },
        description: Some("Appends every event to the journal, in order".into()),
        ..pull::Config::default()
    }
}

/// How every role connects: it finds out soon that the server is gone, and soon that it is back.
pub fn connect_options() -> async_nats::ConnectOptions {
    async_nats::ConnectOptions::new()
        .ping_interval(Duration::from_secs(10))
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(Duration::from_secs(5)))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempts| Duration::from_millis(20 * (attempts as u64).min(25)))
}
