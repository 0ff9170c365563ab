//! What stands behind the keys, byte by byte.
//!
//! The first byte of every value is its format; a reader refuses one that it does not know and
//! never guesses. Numbers are big-endian, instants are microseconds since 1970 in eight bytes, a
//! text is its length in four bytes and its UTF-8, an optional one a byte 0 or 1 before that.
//!
//! ```text
//! version   01 op source mapping flags hash[32] recorded_at received_at
//!           topic api_version? webhook_id? event_id? [earliest_at]  then either
//!             position[24]                 of the version whose payload says the same (a marker)
//!             digest[8] payload…           first bytes of the payload's BLAKE3; to the end
//! head      01 position[24] payload_at[24] mapping flags hash[32] [shown_at[24]] [source]
//!           title handle? count also…
//! timeline  01 op source facet kind id
//! ```

use backstock_proto::canonical::Hash;
use backstock_proto::kind::Listing;
use backstock_proto::{Facet, Kind, Op, ResourceId, Source, Timestamp};

use crate::keys::{POSITION_BYTES, Position};

/// The format that this binary writes, and the newest that it reads.
pub(crate) const FORMAT: u8 = 1;

/// Bytes of a payload's digest before it.
const DIGEST_BYTES: usize = 8;

const VERSION_MARKER: u8 = 1;
const VERSION_TRIGGERED: u8 = 2;
const VERSION_EARLIEST: u8 = 4;
const VERSION_ERASED: u8 = 8;
const HEAD_DELETED: u8 = 1;
const HEAD_SHOWN: u8 = 2;
const HEAD_SOURCE: u8 = 4;

/// Why stored bytes cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Written by a newer binary.
    #[error("record format {0} is not known to this version of Backstock")]
    UnknownFormat(u8),
    /// Ends too early, or says what cannot be.
    #[error("a record is malformed: {0}")]
    Malformed(&'static str),
    /// A key that this project did not write.
    #[error("a key is malformed")]
    Key,
    /// The payload is not the one that was written.
    #[error("a payload does not have its digest")]
    Digest,
}

/// One version as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) op: Op,
    pub(crate) source: Source,
    /// Version of the kind's mapping that `hash` was made with.
    pub(crate) mapping: u8,
    pub(crate) hash: Hash,
    pub(crate) recorded_at: Timestamp,
    pub(crate) received_at: Timestamp,
    /// Whether the key's `triggered_at` was said by Shopify.
    pub(crate) triggered: bool,
    pub(crate) topic: &'a str,
    pub(crate) api_version: Option<&'a str>,
    pub(crate) webhook_id: Option<&'a str>,
    pub(crate) event_id: Option<&'a str>,
    /// The earliest moment at which it may have become true, where a pull found out later.
    pub(crate) earliest_at: Option<Timestamp>,
    /// Whether a person was taken out of it, so that its payload is not the one received.
    pub(crate) erased: bool,
    pub(crate) body: Body<'a>,
}

/// Where a version's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body<'a> {
    /// Here.
    Own(&'a [u8]),
    /// With the version at this position, whose state is the same. It is named exactly, so that
    /// versions inserted between the two later change nothing.
    SameAs(Position),
}

impl<'a> Record<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut flags = 0;
        flags |= if matches!(self.body, Body::SameAs(_)) { VERSION_MARKER } else { 0 };
        flags |= if self.triggered { VERSION_TRIGGERED } else { 0 };
        flags |= if self.earliest_at.is_some() { VERSION_EARLIEST } else { 0 };
        flags |= if self.erased { VERSION_ERASED } else { 0 };
        out.extend([FORMAT, op_byte(self.op), source_byte(self.source), self.mapping, flags]);
        out.extend(self.hash.0);
        put_instant(out, self.recorded_at);
        put_instant(out, self.received_at);
        put_text(out, self.topic);
        for optional in [self.api_version, self.webhook_id, self.event_id] {
            put_optional(out, optional);
        }
        if let Some(earliest_at) = self.earliest_at {
            put_instant(out, earliest_at);
        }
        match self.body {
            Body::SameAs(position) => out.extend(position.to_bytes()),
            Body::Own(payload) => {
                out.extend(digest(payload));
                out.extend_from_slice(payload);
            }
        }
    }

    /// Reads everything but the payload's digest, which reading the payload checks.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let mut from = Reader::of(bytes)?;
        let (op, source) = (from.op()?, from.source()?);
        let mapping = from.byte()?;
        let known = VERSION_MARKER | VERSION_TRIGGERED | VERSION_EARLIEST | VERSION_ERASED;
        let flags = from.flags(known)?;
        Ok(Self {
            op,
            source,
            mapping,
            hash: Hash(from.array()?),
            recorded_at: from.instant()?,
            received_at: from.instant()?,
            triggered: flags & VERSION_TRIGGERED != 0,
            topic: from.text()?,
            api_version: from.optional()?,
            webhook_id: from.optional()?,
            event_id: from.optional()?,
            earliest_at: match flags & VERSION_EARLIEST {
                0 => None,
                _ => Some(from.instant()?),
            },
            erased: flags & VERSION_ERASED != 0,
            body: if flags & VERSION_MARKER != 0 {
                Body::SameAs(from.position()?)
            } else {
                Body::Own(from.rest)
            },
        })
    }

    /// Where the payload of a version at this position stands.
    pub(crate) fn payload_at(&self, position: Position) -> Position {
        match self.body {
            Body::Own(_) => position,
            Body::SameAs(other) => other,
        }
    }

    /// Whether it says that the resource is gone.
    pub(crate) fn is_tombstone(&self) -> bool {
        self.op == Op::Delete
    }
}

impl<'a> Body<'a> {
    /// Bytes of payload stored here.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Own(stored) => stored.len().saturating_sub(DIGEST_BYTES),
            Self::SameAs(_) => 0,
        }
    }

    /// The payload of a version that has one, with its digest checked.
    pub(crate) fn payload(self) -> Result<&'a [u8], RecordError> {
        let Self::Own(stored) = self else {
            return Err(RecordError::Malformed("a marker stands where a payload is named"));
        };
        checked(stored)
    }
}

/// The payload behind its digest, which it is checked against.
pub(crate) fn checked(stored: &[u8]) -> Result<&[u8], RecordError> {
    let (expected, payload) =
        stored.split_first_chunk().ok_or(RecordError::Malformed("no digest"))?;
    if digest(payload) == *expected { Ok(payload) } else { Err(RecordError::Digest) }
}

/// The first eight bytes of BLAKE3: it tells damage, not forgery.
pub(crate) fn digest(payload: &[u8]) -> [u8; DIGEST_BYTES] {
    let hash = blake3::hash(payload);
    std::array::from_fn(|i| hash.as_bytes()[i])
}

/// The newest version of a facet, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) position: Position,
    /// The version that holds the payload: this one, or the one it says the same as.
    pub(crate) payload_at: Position,
    pub(crate) mapping: u8,
    pub(crate) hash: Hash,
    pub(crate) deleted: bool,
    /// How we came to know; `None` in values written before it was kept here.
    pub(crate) source: Option<Source>,
    /// The newest living version, which `listing` shows; `None` if only an end is known.
    pub(crate) shown_at: Option<Position>,
    pub(crate) listing: Listing,
}

impl Head {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        out.push(FORMAT);
        out.extend(self.position.to_bytes());
        out.extend(self.payload_at.to_bytes());
        let mut flags = 0;
        flags |= if self.deleted { HEAD_DELETED } else { 0 };
        flags |= if self.shown_at.is_some() { HEAD_SHOWN } else { 0 };
        flags |= if self.source.is_some() { HEAD_SOURCE } else { 0 };
        out.extend([self.mapping, flags]);
        out.extend(self.hash.0);
        if let Some(shown_at) = self.shown_at {
            out.extend(shown_at.to_bytes());
        }
        out.extend(self.source.map(source_byte));
        put_text(&mut out, &self.listing.title);
        put_optional(&mut out, self.listing.handle.as_deref());
        put_length(&mut out, self.listing.also.len());
        for word in &self.listing.also {
            put_text(&mut out, word);
        }
        out
    }

    /// What of a head's bytes holds the words that a list shows and is searched by.
    pub(crate) fn words(bytes: &[u8]) -> Result<&[u8], RecordError> {
        let mut from = Reader::of(bytes)?;
        from.take(2 * POSITION_BYTES + 1)?;
        let flags = from.flags(HEAD_DELETED | HEAD_SHOWN | HEAD_SOURCE)?;
        from.take(size_of::<Hash>())?;
        from.take(if flags & HEAD_SHOWN != 0 { POSITION_BYTES } else { 0 })?;
        from.take(usize::from(flags & HEAD_SOURCE != 0))?;
        Ok(from.rest)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut from = Reader::of(bytes)?;
        let (position, payload_at) = (from.position()?, from.position()?);
        let mapping = from.byte()?;
        let flags = from.flags(HEAD_DELETED | HEAD_SHOWN | HEAD_SOURCE)?;
        let hash = Hash(from.array()?);
        let shown_at = if flags & HEAD_SHOWN != 0 { Some(from.position()?) } else { None };
        let source = if flags & HEAD_SOURCE != 0 { Some(from.source()?) } else { None };
        let title = from.text()?.into();
        let handle = from.optional()?.map(str::to_owned);
        let words = from.length()?;
        let also = (0..words).map(|_| from.text().map(str::to_owned)).collect::<Result<_, _>>()?;
        let listing = Listing { title, handle, also };
        let deleted = flags & HEAD_DELETED != 0;
        Ok(Self { position, payload_at, mapping, hash, deleted, source, shown_at, listing })
    }
}

/// What a shop's timeline says of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) op: Op,
    pub(crate) source: Source,
    pub(crate) facet: Facet,
    pub(crate) kind: Kind,
    pub(crate) id: ResourceId,
    /// Whether a pull saw it when nothing was known of it; the oldest do not say.
    pub(crate) first_look: Option<bool>,
}

impl Moment {
    /// Whether bytes are those of a first look, which is said at their end: a backfill brings millions.
    pub(crate) fn is_first_look(bytes: &[u8]) -> bool {
        bytes.last() == Some(&1)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![FORMAT, op_byte(self.op), source_byte(self.source), self.facet.byte()];
        put_text(&mut out, self.kind.as_str());
        put_text(&mut out, self.id.as_str());
        out.extend(self.first_look.map(u8::from));
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut from = Reader::of(bytes)?;
        Ok(Self {
            op: from.op()?,
            source: from.source()?,
            facet: Facet::from_byte(from.byte()?).ok_or(RecordError::Malformed("facet"))?,
            kind: Kind::parse(from.text()?).map_err(|_| RecordError::Malformed("kind"))?,
            id: ResourceId::parse(from.text()?).map_err(|_| RecordError::Malformed("id"))?,
            first_look: from.rest.first().map(|byte| *byte == 1),
        })
    }
}

// The bytes that stand for an op and a source. Once assigned, never reassigned.

fn op_byte(op: Op) -> u8 {
    match op {
        Op::Create => b'c',
        Op::Update => b'u',
        Op::Delete => b'd',
    }
}

fn source_byte(source: Source) -> u8 {
    match source {
        Source::Webhook => b'w',
        Source::Events => b'e',
        Source::Pull => b'p',
        Source::Reconcile => b'r',
        Source::Restore => b's',
    }
}

pub(crate) fn put_instant(out: &mut Vec<u8>, at: Timestamp) {
    out.extend(at.as_micros().to_be_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Payloads are at most 17 MiB, and everything else is smaller.
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

/// Reads a value from its front.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts after the format byte, which it checks.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, RecordError> {
        match bytes.split_first() {
            Some((&FORMAT, rest)) => Ok(Self { rest }),
            Some((other, _)) => Err(RecordError::UnknownFormat(*other)),
            None => Err(RecordError::Malformed("empty")),
        }
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) =
            self.rest.split_at_checked(n).ok_or(RecordError::Malformed("ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let taken = self.take(N)?;
        Ok(std::array::from_fn(|i| taken[i]))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, RecordError> {
        Ok(self.array::<1>()?[0])
    }

    /// A byte of flags, of which only these are known.
    fn flags(&mut self, known: u8) -> Result<u8, RecordError> {
        let flags = self.byte()?;
        if flags & !known == 0 { Ok(flags) } else { Err(RecordError::Malformed("flags")) }
    }

    pub(crate) fn number(&mut self) -> Result<u64, RecordError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn instant(&mut self) -> Result<Timestamp, RecordError> {
        Ok(Timestamp::from_micros(i64::from_be_bytes(self.array()?)))
    }

    fn position(&mut self) -> Result<Position, RecordError> {
        Position::from_bytes(self.take(POSITION_BYTES)?)
    }

    fn length(&mut self) -> Result<usize, RecordError> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        if length > self.rest.len() {
            return Err(RecordError::Malformed("ends too early"));
        }
        Ok(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, RecordError> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| RecordError::Malformed("not UTF-8"))
    }

    fn optional(&mut self) -> Result<Option<&'a str>, RecordError> {
        match self.byte()? {
            0 => Ok(None),
            1 => Ok(Some(self.text()?)),
            _ => Err(RecordError::Malformed("optional")),
        }
    }

    fn op(&mut self) -> Result<Op, RecordError> {
        let byte = self.byte()?;
        let op = Op::ALL.into_iter().find(|op| op_byte(*op) == byte);
        op.ok_or(RecordError::Malformed("op"))
    }

    fn source(&mut self) -> Result<Source, RecordError> {
        let byte = self.byte()?;
        let source = Source::ALL.into_iter().find(|source| source_byte(*source) == byte);
        source.ok_or(RecordError::Malformed("source"))
    }
}
