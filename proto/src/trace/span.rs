//! Pieces of work in a trace, told once they are over.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::OnceLock;

use super::{TraceContext, TraceId};
use crate::time::{Clock, SystemClock, Timestamp};

/// Where spans go; unset while nobody collects.
static COLLECTOR: OnceLock<Collector> = OnceLock::new();

struct Collector {
    /// Of new traces those are sampled whose id, as far as it is looked at, is below this.
    below: u64,
    take: Box<dyn Fn(Ended) + Send + Sync>,
}

/// A span that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// What was done.
    pub name: Cow<'static, str>,
    /// On which side of a conversation.
    pub kind: SpanKind,
    /// Its own place.
    pub context: TraceContext,
    /// The span that it is part of, if there is one.
    pub parent: Option<NonZeroU64>,
    /// When it began.
    pub begun_at: Timestamp,
    /// When it was over.
    pub ended_at: Timestamp,
    /// What is to be known of it, under the names that log lines use as well.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// On which side of a conversation something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// On none.
    Internal,
    /// It answers a request.
    Server,
    /// It asks somebody else.
    Client,
    /// It puts a message on the stream.
    Producer,
    /// It takes a message from there.
    Consumer,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// A piece of work under way. Dropping it ends it.
#[must_use = "it ends where it is dropped"]
#[derive(Debug)]
pub struct Span {
    context: TraceContext,
    /// What will be told of it; absent where nobody wants to know, so that it costs nothing.
    told: Option<Box<Ended>>,
}

/// From now on spans are given to `take`, which must not block: all of those whose trace came in as
/// sampled, and of the traces that begin here the part `sample`, from 0 to 1. `false` if they go
/// somewhere already.
pub fn collect(sample: f64, take: impl Fn(Ended) + Send + Sync + 'static) -> bool {
    let below = (sample.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64;
    COLLECTOR.set(Collector { below, take: Box::new(take) }).is_ok()
}

/// Whether a new trace is sampled. The same id gives the same answer everywhere.
pub(super) fn samples(trace_id: TraceId) -> bool {
    COLLECTOR.get().is_some_and(|collector| (trace_id.get() as u64 >> 1) < collector.below)
}

impl Span {
    /// Begins something that is part of `parent`, or of a trace of its own.
    pub fn begin(
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        parent: Option<TraceContext>,
    ) -> Self {
        let is_collected = |trace: &TraceContext| trace.is_sampled() && COLLECTOR.get().is_some();
        let context = match parent {
            Some(parent) if is_collected(&parent) => parent.below(),
            // Whoever comes later has whoever was before for a parent.
            Some(parent) => parent,
            None => TraceContext::begin(),
        };
        let told = is_collected(&context).then(|| {
            let now = SystemClock.now();
            Box::new(Ended {
                name: name.into(),
                kind,
                context,
                parent: parent.map(TraceContext::span_id),
                begun_at: now,
                ended_at: now,
                attributes: Vec::new(),
                error: None,
            })
        });
        Self { context, told }
    }

    /// The same, begun earlier.
    pub fn since(mut self, at: Timestamp) -> Self {
        if let Some(told) = &mut self.told {
            told.begun_at = at;
        }
        self
    }

    /// Its place, for what comes of it.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Says something of it.
    pub fn set(&mut self, name: &'static str, value: impl fmt::Display) {
        if let Some(told) = &mut self.told {
            told.attributes.push((name, Value::Text(value.to_string())));
        }
    }

    /// Says a number of it.
    pub fn count(&mut self, name: &'static str, value: u64) {
        if let Some(told) = &mut self.told {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            told.attributes.push((name, Value::Number(value)));
        }
    }

    /// It failed.
    pub fn fail(&mut self, why: impl fmt::Display) {
        if let Some(told) = &mut self.told {
            told.error = Some(why.to_string());
        }
    }

    /// How it went, where that is all that is to be said.
    pub fn went<T, E: fmt::Display>(mut self, outcome: Result<T, E>) -> Result<T, E> {
        outcome.inspect_err(|error| self.fail(error))
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let (Some(mut told), Some(collector)) = (self.told.take(), COLLECTOR.get()) {
            told.ended_at = SystemClock.now().max(told.begun_at);
            (collector.take)(*told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn sampled(text: &str) -> TraceContext {
        TraceContext::parse(text).expect("a trace context")
    }

    /// One test, since there is one collector in a process.
    #[test]
    fn spans_are_told_of_sampled_traces_once_somebody_collects() {
        let outside = sampled("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let unwanted = Span::begin("unwanted", SpanKind::Server, Some(outside));
        assert_eq!(unwanted.context(), outside, "passed on as it came");
        drop(unwanted);
        assert!(!TraceContext::begin().is_sampled());

        let told = Arc::new(Mutex::new(Vec::new()));
        let taken = told.clone();
        assert!(collect(0.5, move |ended| taken.lock().expect("a list").push(ended)));
        assert!(!collect(1.0, |_| {}));

        let begun_at = Timestamp::from_micros(1);
        let mut span = Span::begin("asked", SpanKind::Server, Some(outside)).since(begun_at);
        span.set("shop", "acme");
        span.count("stream_seq", 7);
        let context = span.context();
        let refused: Result<(), &str> = span.went(Err("no room"));
        assert_eq!(refused, Err("no room"));
        let not_sampled = sampled("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
        assert_eq!(Span::begin("x", SpanKind::Server, Some(not_sampled)).context(), not_sampled);

        let ended = told.lock().expect("a list").pop().expect("a span");
        assert!(told.lock().expect("a list").is_empty());
        assert_eq!((ended.name.as_ref(), ended.kind), ("asked", SpanKind::Server));
        assert_eq!((ended.context, ended.parent), (context, Some(outside.span_id())));
        assert_eq!(context.trace_id(), outside.trace_id());
        assert_ne!(context.span_id(), outside.span_id());
        assert_eq!(ended.begun_at, begun_at);
        assert!(ended.ended_at > begun_at);
        let attributes =
            vec![("shop", Value::Text("acme".into())), ("stream_seq", Value::Number(7))];
        assert_eq!(ended.attributes, attributes);
        assert_eq!(ended.error.as_deref(), Some("no room"));

        for n in 0..1_000 {
            drop(Span::begin(format!("own {n}"), SpanKind::Internal, None));
        }
        let own = std::mem::take(&mut *told.lock().expect("a list"));
        assert!((300..700).contains(&own.len()), "{} of 1,000 are half of them", own.len());
        assert!(own.iter().all(|ended| ended.parent.is_none()));
    }
}
