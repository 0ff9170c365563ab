//! Putting on record what is done, so that whoever asks next sees it.

use std::time::Duration;

use backstock_proto::journal::{Journal, JournalError, Page};
use backstock_proto::publish::{PublishError, Records};
use backstock_proto::{Shop, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// How long the journal may take to read what was put on record.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Why something is not on record, or cannot be read back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The stream did not take it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The journal does not answer.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It is on the stream, and the journal has not read so far in time.
    #[error("{what} {id} is on record, but the journal lags behind; ask again in a while")]
    Lagging {
        /// What was recorded.
        what: String,
        /// Which one.
        id: String,
    },
    /// What is on record cannot be written or read as what it should be.
    #[error("the record of {what} {id} cannot be read: {reason}")]
    Unreadable {
        /// What it is.
        what: String,
        /// Which one.
        id: String,
        /// What is wrong.
        reason: String,
    },
}

impl RecordError {
    /// What is on record is not what it should be.
    pub(crate) fn unreadable(what: &str, id: &str, error: &serde_json::Error) -> Self {
        Self::Unreadable { what: what.into(), id: id.into(), reason: error.to_string() }
    }
}

/// Puts on record and waits until the journal shows it. Answers its sequence.
pub(crate) async fn put(
    (journal, records): (&dyn Journal, &dyn Records),
    shop: &Shop,
    (what, id): (&str, &str),
    payload: &impl Serialize,
) -> Result<u64, RecordError> {
    let payload: Value = serde_json::to_value(payload).map_err(|e| unreadable(what, id, &e))?;
    let seq = records.put(shop, what, id, &payload).await?;
    shown(journal, shop, (what, id), seq).await
}

/// Waits until the journal shows a record, and with it everything that was put before. Answers its
/// sequence.
pub(crate) async fn shown(
    journal: &dyn Journal,
    shop: &Shop,
    (what, id): (&str, &str),
    seq: u64,
) -> Result<u64, RecordError> {
    let newest = Page { limit: 1, cursor: None };
    let seen = async {
        loop {
            let there = journal.records(shop, what, Some(id), &newest).await?;
            if there.items.first().is_some_and(|record| record.seq >= seq) {
                return Ok(seq);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let lagging = || RecordError::Lagging { what: what.into(), id: id.into() };
    tokio::time::timeout(SEEN_WITHIN, seen).await.map_err(|_| lagging())?
}

/// The newest record of something; `None` if there never was one.
pub(crate) async fn get<T: DeserializeOwned>(
    journal: &dyn Journal,
    shop: &Shop,
    (what, id): (&str, &str),
) -> Result<Option<T>, RecordError> {
    let newest = Page { limit: 1, cursor: None };
    let found = journal.records(shop, what, Some(id), &newest).await?.items.pop();
    found
        .map(|record| serde_json::from_value(record.payload).map_err(|e| unreadable(what, id, &e)))
        .transpose()
}

fn unreadable(what: &str, id: &str, error: &serde_json::Error) -> RecordError {
    RecordError::unreadable(what, id, error)
}

/// A new id for something of this sort, such as `plan-019dc3f2a41b-5f2a`: they sort by time, and two
/// made at once differ.
pub(crate) fn new_id(what: &str, now: Timestamp) -> String {
    use std::hash::{BuildHasher, RandomState};
    let dice = RandomState::new().hash_one(now.as_micros()) & 0xffff;
    format!("{what}-{:012x}-{dice:04x}", now.as_micros().max(0) / 1_000)
}
