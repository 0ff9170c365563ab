//! What the shop said of something a moment ago, for all rows that ask the same: each translation names the
//! digest of its text, and texts of one resource are written together.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use serde_json::Value;
use tokio::sync::OnceCell;

/// Answers that are held.
const ANSWERS_MAX: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");
/// How old an answer may be.
const AGE_MAX: Duration = Duration::from_secs(15);

/// An answer, once it is there: who asks the same meanwhile waits for it.
type Answer = Arc<OnceCell<Value>>;

/// Answers of the last moments, by what was asked about.
pub(super) struct Asked {
    held: Mutex<LruCache<String, (Instant, Answer)>>,
}

impl Default for Asked {
    fn default() -> Self {
        Self { held: Mutex::new(LruCache::new(ANSWERS_MAX)) }
    }
}

impl Asked {
    /// The answer about something, or where it is to be put. One that turned out to be `old` is none any
    /// more.
    pub(super) fn about(&self, gid: &str, old: Option<&Answer>) -> Answer {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |answer: &Answer| old.is_some_and(|old| Arc::ptr_eq(old, answer));
        let known = held.get(gid);
        let known = known.filter(|(at, answer)| at.elapsed() <= AGE_MAX && !is_old(answer));
        if let Some((_, answer)) = known {
            return answer.clone();
        }
        let answer = Answer::default();
        held.put(gid.to_owned(), (Instant::now(), answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_asked_of_something_is_not_asked_again() {
        let asked = Asked::default();
        let answer = asked.about("a", None);
        assert!(answer.set(Value::from(1)).is_ok());
        assert_eq!(asked.about("a", None).get(), Some(&Value::from(1)));
        assert_eq!(asked.about("b", None).get(), None);
    }

    #[test]
    fn what_is_asked_in_place_of_an_old_answer_is_for_all() {
        let asked = Asked::default();
        let old = asked.about("a", None);
        assert!(old.set(Value::from(1)).is_ok());
        let answer = asked.about("a", Some(&old));
        assert!(answer.set(Value::from(2)).is_ok());
        for old in [None, Some(&old)] {
            assert_eq!(asked.about("a", old).get(), Some(&Value::from(2)));
        }
    }
}
