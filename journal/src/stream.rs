//! Which stream the store belongs to. A store is filled from one stream for its whole life; the
//! journal refuses to go on with another one instead of taking its messages for the next ones.

use async_nats::jetstream::context::{CreateStreamError, GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, Info, Stream};
use async_nats::jetstream::{Context, ErrorCode};

use backstock_proto::stream::PARTITIONS;

use crate::store::{Store, StoreError};

/// Why the store and the stream do not go together, or could not be brought together.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream is not there, though the store was filled from it.
    #[error(
        "the stream {name} is gone, but the store was filled from it up to sequence {applied}. \
         Bring the stream back from its own backup. If it is lost for good, what it held and the \
         store has not applied is lost: say so with `backstock recover --stream-lost`, and a new \
         one is made"
    )]
    Missing {
        /// The stream.
        name: String,
        /// The last sequence applied.
        applied: u64,
    },
    /// The store is at fault, or belongs to another stream.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server did not answer, or refused.
    #[error("the stream {name} cannot be reached: {reason}")]
    Unreachable {
        /// The stream.
        name: String,
        /// What the client says.
        reason: String,
    },
}

impl StreamError {
    /// Whether trying again may help.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Missing { .. } | Self::Store(_) => false,
        }
    }
}

/// Makes sure that the store's stream is there and looks as `config` says. The stream is created
/// only for a store that has never seen one; afterwards a missing stream is an error.
pub async fn ensure_stream(
    jetstream: &Context,
    store: &Store,
    config: Config,
) -> Result<(), StreamError> {
    let name = config.name.clone();
    match open(jetstream, store, &name).await {
        Ok(stream) => {
            check_partitions(&stream.cached_info().config, &config)?;
            if !looks_like(&stream.cached_info().config, &config) {
                let updated = jetstream.update_stream(&config).await;
                updated.map_err(|error| unreachable(&name, error))?;
            }
            Ok(())
        }
        Err(StreamError::Missing { .. }) if store.stream_identity()?.is_none() => {
            let created = jetstream.create_stream(begun_after(store, config)).await;
            created.map_err(|error: CreateStreamError| unreachable(&name, error))?;
            open(jetstream, store, &name).await.map(drop)
        }
        Err(error) => Err(error),
    }
}

/// The store's stream, checked to be the one that the store was filled from. The first stream that
/// a store meets becomes its own.
pub(crate) async fn open(
    jetstream: &Context,
    store: &Store,
    name: &str,
) -> Result<Stream, StreamError> {
    let applied = store.applied_seq();
    let stream = jetstream.get_stream(name).await.map_err(|error| {
        if is_missing(&error) {
            StreamError::Missing { name: name.into(), applied }
        } else {
            unreachable(name, error)
        }
    })?;
    check(store, stream.cached_info())?;
    Ok(stream)
}

fn check(store: &Store, info: &Info) -> Result<(), StoreError> {
    let name = &info.config.name;
    // RFC 3339 with nanoseconds fits: microseconds tell two creations apart.
    let created = (info.created.unix_timestamp_nanos() / 1_000) as i64;
    let (applied, last) = (store.applied_seq(), info.state.last_sequence);
    let identity = store.stream_identity()?;
    match &identity {
        Some((own, _)) if own != name => {
            return Err(StoreError::OtherStream(format!(
                "the store was filled from the stream {own}, not from {name}; point it to its own"
            )));
        }
        Some((_, own)) if *own != created => {
            return Err(StoreError::OtherStream(format!(
                "the stream {name} is not the one that the store was filled from: it was deleted \
                 and made anew. Its sequences start over, so going on would mix two histories. \
                 Bring the old stream back; if it is lost for good, delete this one and say so with \
                 `backstock recover --stream-lost`"
            )));
        }
        Some(_) | None => {}
    }
    if last < applied {
        return Err(StoreError::OtherStream(format!(
            "the stream {name} ends at sequence {last}, the store has applied {applied}: the \
             stream was set back. Going on would skip the next {} events. Bring back what it held; if \
             that is lost for good, delete this stream and say so with `backstock recover \
             --stream-lost`",
            applied - last
        )));
    }
    match identity {
        None => store.set_stream_identity(name, created),
        Some(_) => Ok(()),
    }
}

/// How far a new stream begins behind what a store has applied that lost its own: further than the
/// lost one can have gone, so that no sequence ever stands for two events.
const SEQUENCES_SKIPPED: u64 = 1_000_000_000;

/// A stream for a store that was brought back without its own goes on behind where that one was. The
/// journal takes what lies between for a gap, and so has everything pulled anew.
fn begun_after(store: &Store, mut config: Config) -> Config {
    if store.applied_seq() > 0 {
        config.first_sequence = Some(store.applied_seq() + SEQUENCES_SKIPPED);
    }
    config
}

/// How a store is divided is fixed when it is made: another number would look for shops where their
/// history is not.
fn check_partitions(found: &Config, wanted: &Config) -> Result<(), StoreError> {
    let partitions =
        |config: &Config| config.metadata.get(PARTITIONS).map_or("1", |n| n).to_owned();
    let (found, wanted, name) = (partitions(found), partitions(wanted), &wanted.name);
    if found == wanted {
        return Ok(());
    }
    Err(StoreError::OtherStream(format!(
        "the stream {name} is one of {found} partitions, and nats.partitions is {wanted}: set it to \
         {found} again. How many there are is fixed when a store is made"
    )))
}

fn looks_like(found: &Config, wanted: &Config) -> bool {
    found.subjects == wanted.subjects
        && found.max_bytes == wanted.max_bytes
        && found.max_age == wanted.max_age
        && found.duplicate_window == wanted.duplicate_window
        && found.num_replicas == wanted.num_replicas
        && found.discard == wanted.discard
        && found.allow_atomic_publish == wanted.allow_atomic_publish
        && found.metadata.get(PARTITIONS) == wanted.metadata.get(PARTITIONS)
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn unreachable(name: &str, error: impl std::fmt::Display) -> StreamError {
    StreamError::Unreachable { name: name.into(), reason: error.to_string() }
}
