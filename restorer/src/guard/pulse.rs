//! Whether anything is new in a shop: one question for all shops, however many are watched.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use backstock_proto::journal::Journal;
use backstock_proto::{Shop, Timestamp};
use tokio::sync::Mutex;

/// How long an answer is good for, and how many times longer than asking took.
const GOOD_FOR: Duration = Duration::from_secs(1);
const REST_TIMES: u32 = 9;
/// How long the question may take. Where it takes longer, or fails, nobody knows.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What moves with every new version of a shop: how many there are, and when the newest event came.
pub(crate) type Beat = (u64, Option<Timestamp>);

/// What was last heard of all shops.
#[derive(Default)]
pub(crate) struct Pulse(Mutex<Option<Heard>>);

struct Heard {
    good_until: Instant,
    /// `None` if nobody knows.
    beats: Option<HashMap<Shop, Beat>>,
}

impl Pulse {
    /// A shop's as it is now, or was a moment ago; of a shop without history there is one as well. `None`
    /// if nobody knows.
    pub(crate) async fn of(&self, journal: &dyn Journal, shop: &Shop) -> Option<Beat> {
        let mut heard = self.0.lock().await;
        let good = heard.take().filter(|heard| Instant::now() < heard.good_until);
        let now = match good {
            Some(good) => good,
            None => Heard::of(journal).await,
        };
        let beats = heard.insert(now).beats.as_ref()?;
        Some(beats.get(shop).copied().unwrap_or_default())
    }
}

impl Heard {
    async fn of(journal: &dyn Journal) -> Self {
        let begun = Instant::now();
        let shops = tokio::time::timeout(ANSWER_TIMEOUT, journal.shops()).await;
        let beats = shops.ok().and_then(Result::ok).map(|shops| {
            shops.into_iter().map(|of| (of.shop, (of.versions, of.newest_received_at))).collect()
        });
        let good_for = GOOD_FOR.max(begun.elapsed() * REST_TIMES);
        Self { good_until: Instant::now() + good_for, beats }
    }
}
