//! What the stream answers to a publish.

use async_nats::jetstream::{Error, ErrorCode};
use async_nats::{Message, StatusCode};
use serde::Deserialize;

/// What the stream said.
#[derive(Debug)]
pub enum Reply {
    /// A message of a batch that is not yet complete has been taken in. It is not stored.
    Staged,
    /// Stored, and on disk if the server syncs before it answers.
    Acked(Ack),
    /// Not stored.
    Refused(Refused),
}

/// The stream's acknowledgement.
#[derive(Debug, PartialEq, Eq)]
pub struct Ack {
    /// The stream that stored it.
    pub stream: String,
    /// Whether it had been stored before, under the same `Nats-Msg-Id`.
    pub duplicate: bool,
    /// The batch that was stored, and how many messages it had.
    pub batch: Option<(String, usize)>,
}

/// Why the stream did not store.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refused {
    #[error("no stream takes this subject")]
    NoStream,
    #[error("the stream is full: {0}")]
    Full(Error),
    #[error("the batch holds a message that the stream has already")]
    DuplicateInBatch,
    #[error("too many batches are open")]
    TooManyBatches,
    #[error("the stream does not allow atomic publish")]
    BatchesDisabled,
    #[error("{0}")]
    Other(Error),
    #[error("the answer cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// An acknowledgement or an error, as JSON.
#[derive(Deserialize)]
struct Wire {
    error: Option<Error>,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    duplicate: bool,
    batch: Option<String>,
    #[serde(default)]
    count: usize,
}

impl Reply {
    /// Reads what came back.
    pub fn read(message: &Message) -> Self {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Self::Refused(Refused::NoStream);
        }
        if message.payload.is_empty() {
            return Self::Staged;
        }
        match serde_json::from_slice::<Wire>(&message.payload) {
            Ok(Wire { error: Some(error), .. }) => Self::Refused(Refused::from(error)),
            Ok(wire) => Self::Acked(Ack {
                stream: wire.stream,
                duplicate: wire.duplicate,
                batch: wire.batch.map(|id| (id, wire.count)),
            }),
            Err(error) => Self::Refused(error.into()),
        }
    }
}

impl Ack {
    /// Whether just this batch was stored, whole, on just this stream.
    pub fn is_of_batch(&self, id: &str, messages: usize, stream: &str) -> bool {
        let whole = self.batch.as_ref().is_some_and(|(acked, n)| acked == id && *n == messages);
        whole && self.stream == stream
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error.error_code() {
            ErrorCode::STREAM_STORE_FAILED => Self::Full(error),
            ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE => Self::DuplicateInBatch,
            // The first message of a batch is refused with the one, its commit with the other.
            ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT
            | ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH => Self::TooManyBatches,
            ErrorCode::ATOMIC_PUBLISH_DISABLED => Self::BatchesDisabled,
            _ => Self::Other(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: Option<StatusCode>, payload: &'static str) -> Reply {
        Reply::read(&Message {
            subject: "reply".into(),
            reply: None,
            payload: payload.into(),
            headers: None,
            status,
            description: None,
            length: 0,
        })
    }

    #[test]
    fn only_the_whole_batch_on_the_right_stream_counts() {
        let Reply::Acked(ack) = read(None, r#"{"stream":"S","seq":9,"batch":"b","count":3}"#)
        else {
            panic!("not an acknowledgement")
        };
        assert!(ack.is_of_batch("b", 3, "S"));
        assert!(!ack.is_of_batch("a", 3, "S"));
        assert!(!ack.is_of_batch("b", 4, "S"));
        assert!(!ack.is_of_batch("b", 3, "T"));
        let Reply::Acked(single) = read(None, r#"{"stream":"S","seq":9,"duplicate":true}"#) else {
            panic!("not an acknowledgement")
        };
        assert!(single.duplicate && !single.is_of_batch("b", 1, "S"));
    }

    #[test]
    fn what_is_not_an_acknowledgement_is_never_taken_for_one() {
        assert!(matches!(read(None, ""), Reply::Staged));
        let nobody = Some(StatusCode::NO_RESPONDERS);
        assert!(matches!(read(nobody, ""), Reply::Refused(Refused::NoStream)));
        for noise in ["{", "[]", "null", "+OK", "{\"seq\":-1,\"count\":-1}"] {
            let reply = read(None, noise);
            assert!(matches!(reply, Reply::Refused(Refused::Unreadable(_))), "{noise}: {reply:?}");
        }
        let full = r#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"S","seq":0}"#;
        assert!(matches!(read(None, full), Reply::Refused(Refused::Full(_))));
        let Reply::Acked(nameless) = read(None, "{}") else { panic!("it has no error") };
        assert_eq!(nameless.stream, "", "no stream has this name, so it counts for none");
    }
}
