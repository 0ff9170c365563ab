//! A message of the stream → what it says. Pure, and safe to run on several threads at once.

use std::panic::{AssertUnwindSafe, catch_unwind};

use async_nats::HeaderMap;
use backstock_proto::canonical::Hash;
use backstock_proto::event::{self, EnvelopeError};
use backstock_proto::kind::{Arrival, Document, Listing, MappingError, Personal};
use backstock_proto::trace::TraceContext;
use backstock_proto::{Event, Facet, Op, Timestamp, union};
use bytes::Bytes;

use crate::keys::Position;
use crate::ops::Note;

/// A message as it stands on the stream.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its sequence in the stream.
    pub seq: u64,
    /// When the stream took it.
    pub recorded_at: Timestamp,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its payload, as received from Shopify.
    pub payload: Bytes,
}

/// A message, read.
#[derive(Debug)]
pub struct Decoded {
    pub(crate) seq: u64,
    pub(crate) recorded_at: Timestamp,
    /// What it comes of, where it says so.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) reading: Reading,
}

/// What reading a message gave.
#[derive(Debug)]
pub(crate) enum Reading {
    /// An event with a meaning.
    Event(Box<Meaning>),
    /// Something that a person, a pull or a job did.
    Note(Box<Note>),
    /// Something to be kept aside, with the reason.
    Poison(Box<(Message, Poison)>),
    /// Something that only a newer Backstock can read, in this format of the envelope.
    Newer(u64),
}

/// An event, and what its payload means.
#[derive(Debug)]
pub(crate) struct Meaning {
    pub(crate) event: Event,
    pub(crate) mapping: u8,
    pub(crate) hash: Hash,
    pub(crate) position: Position,
    pub(crate) listing: Listing,
    /// Whether a person was taken out of the payload.
    pub(crate) erased: bool,
    pub(crate) told: Told,
}

/// How much of a core a payload tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// All of it.
    Whole,
    /// Not all of it, or it is no core.
    InPart,
    /// All but whom it is about: Shopify takes that out of what it sends to an app that may not see it.
    Redacted,
}

impl Told {
    fn of(event: &Event, document: &Document) -> Self {
        let spec = event.key.kind.spec().filter(|_| event.facet == Facet::Core);
        let Some((spec, state)) = spec.zip(document.state.as_ref()) else { return Self::InPart };
        let may_be_redacted = event.source.is_delivered() && spec.personal != Personal::None;
        match (spec.is_whole)(state) {
            true => Self::Whole,
            false if may_be_redacted && !union::is_partial(state) => Self::Redacted,
            false => Self::InPart,
        }
    }
}

/// Why a message is kept aside.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Poison {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error("the record cannot be kept: {0}")]
    Ops(String),
    #[error("reading the event panicked; this is a defect in Backstock")]
    Panic,
}

impl Poison {
    /// Whether the payload is not the one that was published.
    pub(crate) fn is_digest_mismatch(&self) -> bool {
        matches!(self, Self::Envelope(EnvelopeError::Digest { .. }))
    }
}

impl Message {
    /// Reads it. A message that makes no sense, or that makes the reader panic, comes back whole.
    pub fn decode(self) -> Decoded {
        let (seq, recorded_at) = (self.seq, self.recorded_at);
        let trace = TraceContext::of_message(&self.headers);
        let read = catch_unwind(AssertUnwindSafe(|| self.read())).unwrap_or(Err(Poison::Panic));
        let reading = read.unwrap_or_else(|poison| Reading::Poison(Box::new((self, poison))));
        Decoded { seq, recorded_at, trace, reading }
    }

    fn read(&self) -> Result<Reading, Poison> {
        if let Some(format) = event::newer_format(&self.headers) {
            return Ok(Reading::Newer(format));
        }
        match Note::of(self) {
            Some(note) => Ok(Reading::Note(Box::new(note?))),
            None => Ok(Reading::Event(Box::new(self.meaning()?))),
        }
    }

    fn meaning(&self) -> Result<Meaning, Poison> {
        let event = Event::from_message(&self.subject, &self.headers, self.payload.clone())?;
        Ok(Meaning::of(event, self.seq)?)
    }
}

impl Meaning {
    /// What an event means that stands on the stream under `seq`.
    pub(crate) fn of(event: Event, seq: u64) -> Result<Self, MappingError> {
        let kind = &event.key.kind;
        let Event { source, facet, op, .. } = event;
        let document = kind.read(Arrival { source, facet, op }, &event.key.id, &event.payload)?;
        let (mapping, told) = (kind.mapping(), Told::of(&event, &document));
        let hash = match event.op {
            Op::Delete => Hash::NONE,
            Op::Create | Op::Update => document.hash(),
        };
        // Shopify's own word on when it became true comes first; ours only where it has none.
        let said = event.valid_at.or(document.updated_at).or(event.triggered_at);
        let valid_at = said.unwrap_or(event.received_at);
        let triggered_at = event.triggered_at.unwrap_or(valid_at);
        let position = Position { valid_at, triggered_at, seq };
        let listing = document.listing;
        Ok(Self { mapping, hash, position, listing, erased: false, told, event })
    }
}
