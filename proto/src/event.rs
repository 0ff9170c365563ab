//! One thing learned about a resource, as it stands on the stream.
//!
//! The payload is the bytes as received; everything else travels in message headers, named below.
//! An event never changes once the stream has acknowledged it.

use std::fmt;

use async_nats::HeaderMap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::resource::{Facet, ResourceKey};
use crate::time::Timestamp;

/// The envelope's format, in the header [`header::FORMAT`]. A reader refuses one it does not know, and
/// waits at one that is [newer](newer_format).
pub const FORMAT: &str = "1";

/// Names of the message headers that make up the envelope.
pub mod header {
    /// Format of the envelope: [`super::FORMAT`].
    pub const FORMAT: &str = "Backstock-Format";
    /// [`super::Source`].
    pub const SOURCE: &str = "Backstock-Source";
    /// [`super::Op`].
    pub const OP: &str = "Backstock-Op";
    /// [`crate::Facet`].
    pub const FACET: &str = "Backstock-Facet";
    /// Shopify's topic, such as `products/update`.
    pub const TOPIC: &str = "Backstock-Topic";
    /// The API version that the payload was written in.
    pub const API_VERSION: &str = "Backstock-Api-Version";
    /// Shopify's id of this delivery, the same in each retry.
    pub const WEBHOOK_ID: &str = "Backstock-Webhook-Id";
    /// Shopify's id of the action behind this delivery, shared by all that it caused.
    pub const EVENT_ID: &str = "Backstock-Event-Id";
    /// When Shopify says that it happened, RFC 3339.
    pub const TRIGGERED_AT: &str = "Backstock-Triggered-At";
    /// When it reached us, RFC 3339.
    pub const RECEIVED_AT: &str = "Backstock-Received-At";
    /// Since when it is true, RFC 3339, where whoever pulled it knows better than the payload.
    pub const VALID_AT: &str = "Backstock-Valid-At";
    /// The earliest moment at which it may have become true, RFC 3339.
    pub const EARLIEST_AT: &str = "Backstock-Earliest-At";
    /// BLAKE3 of the payload, hexadecimal.
    pub const DIGEST: &str = "Backstock-Digest";
    /// The key by which the stream recognises a retry.
    pub const MSG_ID: &str = "Nats-Msg-Id";
}

/// What happened to the resource.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Op {
    Create,
    Update,
    Delete,
}

/// How we came to know.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A classic webhook, REST-shaped.
    Webhook,
    /// A delivery of Shopify's Events, GraphQL-shaped.
    Events,
    /// A document read from the Admin API because something asked for it.
    Pull,
    /// A correction that a full pull found necessary.
    Reconcile,
    /// Our own write to the shop.
    Restore,
}

impl Op {
    /// All of them, for metrics that must exist from the start.
    pub const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// From its name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }
}

impl Source {
    /// All of them, for metrics that must exist from the start.
    pub const ALL: [Self; 5] =
        [Self::Webhook, Self::Events, Self::Pull, Self::Reconcile, Self::Restore];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Events => "events",
            Self::Pull => "pull",
            Self::Reconcile => "reconcile",
            Self::Restore => "restore",
        }
    }

    /// From its name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == name)
    }

    /// Whether Shopify sent it, rather than one of us having asked or written.
    pub fn is_delivered(self) -> bool {
        matches!(self, Self::Webhook | Self::Events)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing learned about a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which resource. Its id is [`crate::ResourceId::UNKNOWN`] where the body names none.
    pub key: ResourceKey,
    /// Which part of it the payload covers.
    pub facet: Facet,
    /// What happened.
    pub op: Op,
    /// How we know.
    pub source: Source,
    /// Shopify's topic; for Events, `Topic/action`.
    pub topic: Box<str>,
    /// The API version that the payload was written in, where said.
    pub api_version: Option<Box<str>>,
    /// Shopify's id of the delivery, where said.
    pub webhook_id: Option<Box<str>>,
    /// Shopify's id of the action behind it, where said.
    pub event_id: Option<Box<str>>,
    /// When Shopify says that it happened, where said.
    pub triggered_at: Option<Timestamp>,
    /// When it reached us.
    pub received_at: Timestamp,
    /// Since when it is true in the shop, where whoever pulled it knows; otherwise the payload's
    /// own date, else [`Self::triggered_at`], else [`Self::received_at`].
    pub valid_at: Option<Timestamp>,
    /// Where a pull only found out later: the earliest moment at which it may have become true.
    pub earliest_at: Option<Timestamp>,
    /// The bytes as received.
    pub payload: Bytes,
}

/// Of what was pulled, how much of its digest is the key: no two in a stream's window have the same.
const PULLED_KEY_DIGITS: usize = 32;

/// Why a message is not an event that this binary can read. The message belongs in quarantine.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Written by a newer binary.
    #[error("envelope format {0:?} is not known to this version of Backstock; upgrade the journal")]
    Format(String),
    /// A header that every event has is missing or cannot be read.
    #[error("envelope header {name} is missing or malformed: {value:?}")]
    Header {
        /// Which one.
        name: &'static str,
        /// What it says.
        value: String,
    },
    /// The subject does not name a resource.
    #[error("subject {0:?} does not name a resource")]
    Subject(String),
    /// The payload is not the one that was published.
    #[error("payload digest is {found}, the envelope says {expected}")]
    Digest {
        /// What the envelope says.
        expected: String,
        /// What the payload has.
        found: String,
    },
}

impl Event {
    /// The key by which the stream recognises a retry: shop, topic and Shopify's delivery id; what
    /// was pulled is known by a digest of what it says and since when, in few bytes: the server holds the
    /// keys of some hours in memory, which are millions where a large shop is read for the first time. A
    /// delivery without an id has none; its repetition is recognised by the journal.
    pub fn msg_id(&self) -> Option<String> {
        let shop = self.key.shop.name();
        if let Some(delivery) = self.webhook_id.as_deref() {
            return Some(format!("{shop}/{}/{delivery}", self.topic));
        }
        let valid_at = self.valid_at.filter(|_| !self.source.is_delivered())?.as_micros();
        let (facet, digest) = (self.facet.as_str(), digest(&self.payload));
        let told = format!("{}/{facet}/{}/{valid_at}/{digest}", self.key, self.op);
        Some(blake3::hash(told.as_bytes()).to_hex()[..PULLED_KEY_DIGITS].to_owned())
    }

    /// The message headers that carry everything but subject and payload.
    pub fn to_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::FORMAT, FORMAT);
        headers.insert(header::SOURCE, self.source.as_str());
        headers.insert(header::OP, self.op.as_str());
        headers.insert(header::FACET, self.facet.as_str());
        headers.insert(header::TOPIC, self.topic.as_ref());
        headers.insert(header::RECEIVED_AT, self.received_at.to_string());
        headers.insert(header::DIGEST, digest(&self.payload));
        let optional = [
            (header::API_VERSION, self.api_version.as_deref().map(str::to_owned)),
            (header::WEBHOOK_ID, self.webhook_id.as_deref().map(str::to_owned)),
            (header::EVENT_ID, self.event_id.as_deref().map(str::to_owned)),
            (header::TRIGGERED_AT, self.triggered_at.map(|t| t.to_string())),
            (header::VALID_AT, self.valid_at.map(|t| t.to_string())),
            (header::EARLIEST_AT, self.earliest_at.map(|t| t.to_string())),
            (header::MSG_ID, self.msg_id()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// Reads an event back from a message, checking format and digest.
    pub fn from_message(
        subject: &str,
        headers: &HeaderMap,
        payload: Bytes,
    ) -> Result<Self, EnvelopeError> {
        let required = |name: &'static str| {
            text(headers, name).ok_or(EnvelopeError::Header { name, value: String::new() })
        };
        let format = required(header::FORMAT)?;
        if format != FORMAT {
            return Err(EnvelopeError::Format(format.into()));
        }
        let expected = required(header::DIGEST)?;
        let found = digest(&payload);
        if expected != found {
            return Err(EnvelopeError::Digest { expected: expected.into(), found });
        }
        let key = crate::stream::parse_event_subject(subject)
            .ok_or_else(|| EnvelopeError::Subject(subject.into()))?;
        let instant = |name: &'static str| {
            text(headers, name)
                .map(|value| parsed(name, value, |v| Timestamp::parse(v).ok()))
                .transpose()
        };
        Ok(Self {
            key,
            facet: parsed(header::FACET, required(header::FACET)?, Facet::parse)?,
            op: parsed(header::OP, required(header::OP)?, Op::parse)?,
            source: parsed(header::SOURCE, required(header::SOURCE)?, Source::parse)?,
            topic: required(header::TOPIC)?.into(),
            api_version: text(headers, header::API_VERSION).map(Into::into),
            webhook_id: text(headers, header::WEBHOOK_ID).map(Into::into),
            event_id: text(headers, header::EVENT_ID).map(Into::into),
            triggered_at: instant(header::TRIGGERED_AT)?,
            valid_at: instant(header::VALID_AT)?,
            earliest_at: instant(header::EARLIEST_AT)?,
            received_at: parsed(header::RECEIVED_AT, required(header::RECEIVED_AT)?, |v| {
                Timestamp::parse(v).ok()
            })?,
            payload,
        })
    }
}

/// The format of a message that a newer Backstock wrote, which nobody but a newer one can read. Formats
/// are counted; whatever else stands there no Backstock wrote.
pub fn newer_format(headers: &HeaderMap) -> Option<u64> {
    let known: u64 = FORMAT.parse().unwrap_or_default();
    text(headers, header::FORMAT)?.parse().ok().filter(|format| *format > known)
}

/// The headers of a message without the key by which the stream recognises a retry: it then takes the
/// message once more, whatever it remembers, and the journal recognises the copy.
pub fn without_msg_id(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| name.to_string() != header::MSG_ID)
        .flat_map(|(name, values)| values.iter().map(move |value| (name.clone(), value.clone())))
        .collect()
}

/// BLAKE3 of a payload, hexadecimal, as it stands in [`header::DIGEST`].
pub fn digest(payload: &[u8]) -> String {
    blake3::hash(payload).to_hex().to_string()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

fn parsed<T>(
    name: &'static str,
    value: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, EnvelopeError> {
    parse(value).ok_or_else(|| EnvelopeError::Header { name, value: value.into() })
}
