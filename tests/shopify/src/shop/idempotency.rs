//! Answers that are given again when the same thing is asked with the same key.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What was asked with which key, and what was answered.
#[derive(Debug, Default)]
pub(crate) struct Idempotency(HashMap<String, Remembered>);

#[derive(Debug)]
struct Remembered {
    asked: Map<String, Value>,
    answer: Value,
    until: Timestamp,
}

fn owned<'a>(asked: impl Iterator<Item = (&'a str, &'a Value)>) -> Map<String, Value> {
    asked.map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

impl Idempotency {
    /// The answer that was given to the same question; the error code when it was another.
    pub(crate) fn answer<'a>(
        &self,
        key: &str,
        asked: impl Iterator<Item = (&'a str, &'a Value)>,
        now: Timestamp,
    ) -> Result<Option<Value>, &'static str> {
        match self.0.get(key).filter(|remembered| remembered.until > now) {
            None => Ok(None),
            Some(remembered) if remembered.asked == owned(asked) => {
                Ok(Some(remembered.answer.clone()))
            }
            Some(_) => Err("IDEMPOTENCY_KEY_PARAMETER_MISMATCH"),
        }
    }

    pub(crate) fn remember<'a>(
        &mut self,
        key: String,
        asked: impl Iterator<Item = (&'a str, &'a Value)>,
        now: Timestamp,
        answer: &Value,
    ) {
        let until = now.checked_add(KEPT).unwrap_or(Timestamp::MAX);
        self.0.insert(key, Remembered { asked: owned(asked), answer: answer.clone(), until });
    }
}
