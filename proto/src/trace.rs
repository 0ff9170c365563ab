//! Which work belongs together, whatever role does it: a W3C trace context
//! (<https://www.w3.org/TR/trace-context/>), as it travels in HTTP requests and on the stream.
//!
//! A trace is passed on whether or not anybody collects spans: it is one header, and `trace_id` in log
//! lines. A [`Span`] is recorded only of a trace that is sampled, and once [`collect`] has said where
//! spans go.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

use serde::{Deserialize, Serialize};

mod span;

pub use span::{Ended, Span, SpanKind, Value, collect};

/// The header that carries it, in HTTP and on the stream.
pub const HEADER: &str = "traceparent";

/// How long it is as version 00 writes it. Later versions may say more behind that.
const LENGTH: usize = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".len();

/// Whoever made the trace has its spans collected.
const SAMPLED: u8 = 0x01;

/// The id of the trace is random.
const RANDOM: u8 = 0x02;

/// A place in a trace: what comes of it, in whatever process, names it as its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: NonZeroU64,
    flags: u8,
}

/// Names a trace. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// Why a text is no trace context.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} is not a traceparent such as \"00-{{32 digits}}-{{16 digits}}-01\"")]
pub struct TraceContextError {
    given: String,
}

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The trace that the work at hand belongs to. Tasks that it starts do not inherit it.
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|current| *current).ok()
}

impl TraceContext {
    /// A new trace, sampled as [`collect`] was told to.
    pub fn begin() -> Self {
        let trace_id = TraceId(NonZeroU128::new(rand::random()).unwrap_or(NonZeroU128::MIN));
        let flags = if span::samples(trace_id) { RANDOM | SAMPLED } else { RANDOM };
        Self { trace_id, span_id: random_span_id(), flags }
    }

    /// Reads the header's text. `None` for what the standard calls invalid: the trace begins anew.
    pub fn parse(text: &str) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut fields = known.split('-');
        let mut field = |digits| hexadecimal(fields.next()?, digits);
        let (version, trace_id) = (field(2)?, field(32)?);
        let (span_id, flags) = (u64::try_from(field(16)?).ok()?, u8::try_from(field(2)?).ok()?);
        let known_version = version != 0xff;
        let ends = more.is_empty() || version > 0 && more.starts_with('-');
        (known_version && ends).then_some(())?;
        Some(Self {
            trace_id: TraceId(NonZeroU128::new(trace_id)?),
            span_id: NonZeroU64::new(span_id)?,
            flags: flags & (SAMPLED | RANDOM),
        })
    }

    /// The one that a request or an answer carries, if it carries exactly one.
    pub fn of_http(headers: &http::HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(HEADER).iter();
        let (only, None) = (all.next()?, all.next()) else { return None };
        Self::parse(only.to_str().ok()?)
    }

    /// The one that a message of the stream carries.
    pub fn of_message(headers: &async_nats::HeaderMap) -> Option<Self> {
        Self::parse(headers.get(HEADER)?.as_str())
    }

    /// Puts it into the headers of a message.
    pub fn put_into(self, headers: &mut async_nats::HeaderMap) {
        headers.insert(HEADER, self.to_string());
    }

    /// Does some work as part of this trace: [`current`] answers it meanwhile.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// Names the trace.
    pub fn trace_id(self) -> TraceId {
        self.trace_id
    }

    /// Names the place in it.
    pub fn span_id(self) -> NonZeroU64 {
        self.span_id
    }

    /// Whether spans of it are recorded.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// A place below this one.
    fn below(self) -> Self {
        Self { span_id: random_span_id(), ..self }
    }
}

impl TraceId {
    /// The number itself.
    pub fn get(self) -> u128 {
        self.0.get()
    }
}

fn random_span_id() -> NonZeroU64 {
    NonZeroU64::new(rand::random()).unwrap_or(NonZeroU64::MIN)
}

/// So many digits, of which letters have to be small.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let small = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let whole = text.len() == digits && text.bytes().all(small);
    whole.then(|| u128::from_str_radix(text, 16).ok())?
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl TryFrom<String> for TraceContext {
    type Error = TraceContextError;
    fn try_from(text: String) -> Result<Self, TraceContextError> {
        Self::parse(&text)
            .ok_or_else(|| TraceContextError { given: text.chars().take(60).collect() })
    }
}

impl From<TraceContext> for String {
    fn from(trace: TraceContext) -> Self {
        trace.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn said(version: &str, trace: &str, parent: &str, flags: &str) -> String {
        format!("{version}-{trace}-{parent}-{flags}")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = said("00", TRACE, PARENT, "01");
        let trace = TraceContext::parse(&text).expect("a trace context");
        assert_eq!(trace.to_string(), text);
        assert_eq!(trace.trace_id().to_string(), TRACE);
        assert_eq!(trace.span_id().get(), 0xb7ad_6b71_6920_3331);
        assert!(trace.is_sampled());
        let begun = TraceContext::begin();
        assert_eq!(TraceContext::parse(&begun.to_string()), Some(begun));
        let leading = said("00", &format!("{:032x}", 1), &format!("{:016x}", 2), "00");
        let trace = TraceContext::parse(&leading).expect("leading zeros");
        assert_eq!(trace.to_string(), leading);
    }

    #[test]
    fn flags_that_are_not_known_are_dropped() {
        let flags = |flags| {
            let trace = TraceContext::parse(&said("00", TRACE, PARENT, flags));
            trace.expect("a trace context").to_string()[LENGTH - 2..].to_owned()
        };
        assert_eq!(flags("ff"), "03");
        assert_eq!(flags("02"), "02");
        assert_eq!(flags("fc"), "00");
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let plain = said("00", TRACE, PARENT, "01");
        let later = said("cc", TRACE, PARENT, "01");
        for later in [later.clone(), format!("{later}-what-the-future-will-be-like")] {
            let read = TraceContext::parse(&later).expect("a later version");
            assert_eq!(read.to_string(), plain);
        }
        assert_eq!(TraceContext::parse(&format!("{later}.more")), None);
        assert_eq!(TraceContext::parse(&format!("{plain}-more")), None, "version 00 has no more");
    }

    #[test]
    fn what_is_invalid_is_none() {
        let zeros = ("0".repeat(32), "0".repeat(16));
        let wrong = [
            String::new(),
            "00".into(),
            said("ff", TRACE, PARENT, "01"),
            said("0", TRACE, PARENT, "01"),
            said("00", &zeros.0, PARENT, "01"),
            said("00", TRACE, &zeros.1, "01"),
            said("00", &TRACE.to_uppercase(), PARENT, "01"),
            said("00", TRACE, &PARENT.to_uppercase(), "01"),
            said("00", &TRACE[1..], &format!("{PARENT}1"), "01"),
            said("00", TRACE, PARENT, "1"),
            said("00", TRACE, PARENT, "0x"),
            said("00", TRACE, PARENT, "+1"),
            said("00", &TRACE.replacen('0', "g", 1), PARENT, "01"),
            said("00", TRACE, PARENT, "01").replace('-', "_"),
            format!(" {}", said("00", TRACE, PARENT, "01")),
            "ä".repeat(LENGTH),
        ];
        for text in wrong {
            assert_eq!(TraceContext::parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn two_headers_are_none() {
        let mut headers = http::HeaderMap::new();
        assert_eq!(TraceContext::of_http(&headers), None);
        let text: http::HeaderValue = said("00", TRACE, PARENT, "01").parse().expect("a header");
        headers.append(HEADER, text.clone());
        assert!(TraceContext::of_http(&headers).is_some());
        headers.append(HEADER, text);
        assert_eq!(TraceContext::of_http(&headers), None);
    }

    #[tokio::test]
    async fn work_knows_its_trace() {
        assert_eq!(current(), None);
        let trace = TraceContext::begin();
        assert_eq!(trace.scope(async { current() }).await, Some(trace));
        assert_eq!(current(), None);
    }
}
