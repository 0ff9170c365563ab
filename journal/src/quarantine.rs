//! What could not become history: messages kept aside whole, and sequences that never came.
//!
//! ```text
//! quarantine  01 recorded_at reason subject count (name value)… payload…
//! gap         01 from_seq to_seq noticed_at
//! ```

use async_nats::HeaderMap;
use backstock_proto::Shop;
use backstock_proto::journal::Gap;
use bytes::Bytes;

use crate::decode::Message;
use crate::keys::meta;
use crate::options::Family;
use crate::record::{self, Reader, RecordError};
use crate::store::{At, Store, StoreError};

/// A message kept aside, with the reason.
#[derive(Clone, Debug)]
pub struct Quarantined {
    /// Why it is not history.
    pub reason: String,
    /// The message as it stood on the stream.
    pub message: Message,
}

impl Store {
    /// The message kept aside under a stream sequence, if there is one.
    pub fn quarantined(&self, seq: u64) -> Result<Option<Quarantined>, StoreError> {
        let Some(value) = self.get(Family::Meta, &meta::numbered(meta::QUARANTINE, seq))? else {
            return Ok(None);
        };
        from_bytes(seq, &value).map(Some).at(|| format!("quarantine {seq}"))
    }

    /// How many messages are kept aside.
    pub fn quarantined_total(&self) -> Result<u64, StoreError> {
        let mut total = 0;
        self.each_meta(meta::QUARANTINE, |_, _| {
            total += 1;
            Ok(())
        })?;
        Ok(total)
    }
}

pub(crate) fn to_bytes(message: &Message, reason: &str) -> Vec<u8> {
    let mut out = vec![record::FORMAT];
    record::put_instant(&mut out, message.recorded_at);
    record::put_text(&mut out, reason);
    record::put_text(&mut out, &message.subject);
    let headers: Vec<(String, &str)> = message
        .headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |v| (name.to_string(), v.as_str())))
        .collect();
    out.extend((headers.len() as u64).to_be_bytes());
    for (name, value) in headers {
        record::put_text(&mut out, &name);
        record::put_text(&mut out, value);
    }
    out.extend_from_slice(&message.payload);
    out
}

pub(crate) fn from_bytes(seq: u64, bytes: &[u8]) -> Result<Quarantined, RecordError> {
    let mut from = Reader::of(bytes)?;
    let recorded_at = from.instant()?;
    let reason = from.text()?.to_owned();
    let subject = from.text()?.to_owned();
    let mut headers = HeaderMap::new();
    for _ in 0..from.number()? {
        let (name, value) = (from.text()?, from.text()?);
        headers.append(name, value);
    }
    let payload = Bytes::copy_from_slice(from.rest);
    Ok(Quarantined { reason, message: Message { seq, recorded_at, subject, headers, payload } })
}

pub(crate) fn gap_to_bytes(gap: &Gap) -> Vec<u8> {
    let mut out = vec![record::FORMAT];
    out.extend(gap.from_seq.to_be_bytes());
    out.extend(gap.to_seq.to_be_bytes());
    record::put_instant(&mut out, gap.noticed_at);
    out
}

pub(crate) fn gap_from_bytes(bytes: &[u8]) -> Result<Gap, RecordError> {
    let mut from = Reader::of(bytes)?;
    let (from_seq, to_seq): (u64, u64) = (from.number()?, from.number()?);
    Ok(Gap::new(from_seq, to_seq, from.instant()?))
}

/// The shop that a subject names, even if the rest of it makes no sense.
pub(crate) fn shop_of(subject: &str) -> Option<Shop> {
    Shop::from_name(subject.split('.').nth(3)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use backstock_proto::Timestamp;

    /// The others are in `tests/golden`; what a reason says is free to change.
    #[test]
    fn what_was_kept_aside_stands_as_it_always_did() {
        let mut headers = HeaderMap::new();
        headers.insert("Backstock-Format", "0");
        let message = Message {
            seq: 9,
            recorded_at: Timestamp::from_micros(0x0102),
            subject: "a.b".into(),
            headers,
            payload: "{not json".into(),
        };
        let kept = to_bytes(&message, "why");
        let golden = concat!(
            r"\x01\x00\x00\x00\x00\x00\x00\x01\x02\x00\x00\x00\x03why\x00\x00\x00\x03a.b",
            r"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x10Backstock-Format\x00\x00\x00\x010",
            r"{not json"
        );
        golden::means(golden::shown(&kept), golden);
        let Quarantined { reason, message: read } = from_bytes(9, &kept).expect("readable");
        golden::means(reason, "why");
        golden::means((read.seq, read.recorded_at), (message.seq, message.recorded_at));
        golden::means((read.subject, read.payload), (message.subject, message.payload));
        golden::means(read.headers, message.headers);
    }
}
