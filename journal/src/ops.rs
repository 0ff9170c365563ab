//! What people, pulls and jobs did: messages under ops subjects, kept as they were said.
//!
//! ```text
//! said    01 recorded_at digest[8] payload…      one record of an id
//! newest  01 id                                  which id the record with this sequence is of
//! ```
//!
//! There is one `newest` for each id, under the sequence of its newest record. Of a kind's pulls `meta`
//! says which one was the last that was complete:
//!
//! ```text
//! whole   01 sequence                            0 where none was
//! ```

use std::collections::HashMap;

use backstock_proto::event::{self, EnvelopeError, header};
use backstock_proto::journal::{PULL, PullReport, PullState, Record};
use backstock_proto::stream::parse_ops_subject;
use backstock_proto::{Shop, Timestamp};
use bytes::Bytes;
use rocksdb::WriteBatch;
use serde::Deserialize;
use serde_json::Value;

use crate::append::shown;
use crate::decode::{Message, Poison};
use crate::keys::{meta, ops as keys};
use crate::options::Family;
use crate::record::{self, Reader, RecordError};
use crate::store::{At, Store, StoreError, until};

/// Longest `what` and longest id, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// One record on its way into the store.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    pub(crate) shop: Shop,
    pub(crate) what: String,
    pub(crate) id: String,
    pub(crate) payload: Bytes,
}

impl Note {
    /// Reads a message under an ops subject; `None` if it stands under another one.
    pub(crate) fn of(message: &Message) -> Option<Result<Self, Poison>> {
        let (shop, what, id) = parse_ops_subject(&message.subject)?;
        let payload = message.payload.clone();
        let expected = message.headers.get(header::DIGEST).map(|digest| digest.as_str());
        Some(Self { shop, what, id, payload }.checked(expected))
    }

    /// `digest` is the payload's where the envelope tells it.
    fn checked(self, digest: Option<&str>) -> Result<Self, Poison> {
        let found = event::digest(&self.payload);
        if let Some(expected) = digest.filter(|expected| *expected != found) {
            let expected = expected.into();
            return Err(Poison::Envelope(EnvelopeError::Digest { expected, found }));
        }
        if !(is_name(&self.what) && is_name(&self.id)) {
            return Err(Poison::Ops("its subject does not name what was done".into()));
        }
        match serde_json::from_slice::<Value>(&self.payload) {
            Ok(_) => Ok(self),
            Err(error) => Err(Poison::Ops(format!("it is not readable JSON: {error}"))),
        }
    }
}

/// Whether a text can stand in a key.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.bytes().any(|byte| byte < 0x20)
}

/// The newest sequence of the ids that a batch adds records to.
pub(crate) type Newest = HashMap<Vec<u8>, u64>;

/// Puts a record into a batch, as the newest of its id.
pub(crate) fn put(
    store: &Store,
    batch: &mut WriteBatch,
    newest: &mut Newest,
    note: &Note,
    (seq, recorded_at): (u64, Timestamp),
) -> Result<(), StoreError> {
    let family = store.family(Family::Ops);
    let said = keys::said(&note.shop, &note.what, &note.id);
    let list = keys::newest(&note.shop, &note.what);
    let before = match newest.get(&said) {
        Some(before) => Some(*before),
        None => newest_of(store, &said)?,
    };
    if let Some(before) = before {
        batch.delete_cf(family, keys::at(&list, before));
    }
    batch.put_cf(family, keys::at(&list, seq), newest_to_bytes(&note.id));
    batch.put_cf(family, keys::at(&said, seq), said_to_bytes(recorded_at, &note.payload));
    if note.what == PULL {
        let is_first = !newest.contains_key(&said);
        put_whole(store, batch, (said.as_slice(), note), (seq, is_first))?;
    }
    newest.insert(said, seq);
    Ok(())
}

/// Notes a pull as the last one that was complete, if it is. Where none is noted yet, and a batch has no
/// earlier record of the kind's, it is looked for once among those there are.
fn put_whole(
    store: &Store,
    batch: &mut WriteBatch,
    (said, note): (&[u8], &Note),
    (seq, is_first): (u64, bool),
) -> Result<(), StoreError> {
    let key = meta::whole(&note.shop, &note.id);
    let report = serde_json::from_slice::<PullReport>(&note.payload).ok();
    let whole = match report.is_some_and(|report| is_complete(&note.id, &report)) {
        true => seq,
        false if is_first && store.get(Family::Meta, &key)?.is_none() => {
            last_complete(store, said, &note.id)?.unwrap_or(0)
        }
        false => return Ok(()),
    };
    batch.put_cf(store.family(Family::Meta), key, whole_to_bytes(whole));
    Ok(())
}

/// The newest complete pull in the store. A record that cannot be read is none.
fn last_complete(store: &Store, said: &[u8], id: &str) -> Result<Option<u64>, StoreError> {
    let end = crate::keys::end_of(said);
    let mut entries = store.db().raw_iterator_cf_opt(store.family(Family::Ops), until(end));
    entries.seek(said);
    while let Some((key, value)) = entries.item() {
        let (_, seq) = keys::split(key).at(|| shown(key))?;
        let report = said_from_bytes(value, (PULL, id, seq)).ok();
        let report = report.and_then(|record| PullReport::deserialize(record.payload).ok());
        if report.is_some_and(|report| is_complete(id, &report)) {
            return Ok(Some(seq));
        }
        entries.next();
    }
    entries.status()?;
    Ok(None)
}

fn is_complete(id: &str, report: &PullReport) -> bool {
    report.state == PullState::Complete && report.kind.as_str() == id
}

fn whole_to_bytes(seq: u64) -> Vec<u8> {
    let mut out = vec![record::FORMAT];
    out.extend(seq.to_be_bytes());
    out
}

/// The sequence of the last complete pull; `None` if there was none.
pub(crate) fn whole_from_bytes(bytes: &[u8]) -> Result<Option<u64>, RecordError> {
    Ok(Some(Reader::of(bytes)?.number()?).filter(|seq| *seq > 0))
}

fn newest_of(store: &Store, said: &[u8]) -> Result<Option<u64>, StoreError> {
    let end = crate::keys::end_of(said);
    let mut entries = store.db().raw_iterator_cf_opt(store.family(Family::Ops), until(end));
    entries.seek(said);
    entries.status()?;
    let Some(key) = entries.key() else { return Ok(None) };
    keys::split(key).map(|(_, seq)| Some(seq)).at(|| shown(key))
}

fn newest_to_bytes(id: &str) -> Vec<u8> {
    let mut out = vec![record::FORMAT];
    record::put_text(&mut out, id);
    out
}

/// The id that an entry of the newest names.
pub(crate) fn newest_from_bytes(bytes: &[u8]) -> Result<&str, RecordError> {
    Reader::of(bytes)?.text()
}

pub(crate) fn said_to_bytes(recorded_at: Timestamp, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![record::FORMAT];
    record::put_instant(&mut out, recorded_at);
    out.extend(record::digest(payload));
    out.extend_from_slice(payload);
    out
}

/// When the stream took a record, and its bytes, with their digest checked.
pub(crate) fn said_as_it_came(bytes: &[u8]) -> Result<(Timestamp, &[u8]), RecordError> {
    let mut from = Reader::of(bytes)?;
    Ok((from.instant()?, record::checked(from.rest)?))
}

/// A record as it was said, with its digest checked.
pub(crate) fn said_from_bytes(
    bytes: &[u8],
    (what, id, seq): (&str, &str, u64),
) -> Result<Record, RecordError> {
    let (recorded_at, payload) = said_as_it_came(bytes)?;
    let payload =
        serde_json::from_slice(payload).map_err(|_| RecordError::Malformed("not JSON"))?;
    Ok(Record { what: what.into(), id: id.into(), seq, recorded_at, payload })
}
