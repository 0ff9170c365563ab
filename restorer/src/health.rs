//! How shops are, at a glance, for whoever looks after many. They are looked at side by side when somebody
//! asks, what was found is kept for a while, and none that answers late is waited for longer than a
//! moment.

use std::collections::HashMap;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use backstock_proto::journal::ShopSummary;
use backstock_proto::problem::Problem;
use backstock_proto::{Shop, Timestamp};
use futures::{FutureExt as _, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::answer::shop;
use crate::ask::{Asked, InShop, Nothing};
use crate::{Desk, page};

/// How long a look is good for, and how many times longer than looking took.
const GOOD_FOR: Duration = Duration::from_secs(15);
const GOOD_FOR_MAX: Duration = Duration::from_secs(60);
const REST_TIMES: u32 = 9;
/// For how many seconds at most it is told what a look found, where later ones found nothing.
const TOLD_SECONDS_MAX: f64 = 300.0;
/// How long somebody who asks is kept waiting for shops that are being looked at.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a look at one shop may take.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How long looking at all that are due may take. What was not looked at by then is due again.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// Shops that are looked at at once.
const AT_ONCE: usize = 8;

/// How a shop is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Nothing speaks against it.
    Good,
    /// It is kept, with something to know.
    Notice,
    /// It needs a look.
    Warning,
    /// Something did harm there, and nobody has said anything about it yet.
    Bad,
}

/// How a shop was when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// How it is.
    pub state: HealthState,
    /// Incidents of the last seven days of which a person is still to say what becomes of them.
    pub incidents_open: u64,
    /// When everything was last read whole: of the kinds that were, the one counts of which that is longest
    /// ago. What never was is among `wrong`.
    pub last_complete_pull: Option<Timestamp>,
    /// What speaks against it, in words for people, the worst first.
    pub wrong: Vec<String>,
    /// When it was looked at.
    pub at: Timestamp,
}

/// A shop in a list of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShopListed {
    /// Which shop, and how much there is of it.
    #[serde(flatten)]
    pub summary: ShopSummary,
    /// How it is, where that was asked for and is known by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

impl From<ShopSummary> for ShopListed {
    fn from(summary: ShopSummary) -> Self {
        Self { summary, health: None }
    }
}

/// What is known of shops by now.
pub(crate) struct Kept {
    looks: Mutex<HashMap<Shop, Look>>,
    /// Moves when shops were looked at.
    told: watch::Sender<()>,
}

struct Look {
    /// Until then nobody else looks.
    good_until: Instant,
    under_way: bool,
    health: Option<Health>,
}

impl Default for Kept {
    fn default() -> Self {
        let (told, _) = watch::channel(());
        Self { looks: Mutex::default(), told }
    }
}

impl Kept {
    fn looks(&self) -> MutexGuard<'_, HashMap<Shop, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of some shops that are to be looked at: whoever asks does so.
    fn claim(&self, shops: &[ShopListed]) -> Vec<Shop> {
        let now = Instant::now();
        let mut looks = self.looks();
        let mut due = Vec::new();
        for shop in shops.iter().map(|listed| &listed.summary.shop) {
            if looks.get(shop).is_some_and(|look| now < look.good_until) {
                continue;
            }
            let health = looks.remove(shop).and_then(|look| look.health);
            let look = Look { good_until: now + ROUND_MAX, under_way: true, health };
            looks.insert(shop.clone(), look);
            due.push(shop.clone());
        }
        due
    }

    fn is_under_way(&self, shops: &[ShopListed]) -> bool {
        let looks = self.looks();
        let look_at = |listed: &ShopListed| looks.get(&listed.summary.shop);
        shops.iter().any(|listed| look_at(listed).is_some_and(|look| look.under_way))
    }

    /// Keeps what a look found; what was known before, if it found nothing.
    fn keep(&self, shop: &Shop, found: Option<Health>) {
        if let Some(look) = self.looks().get_mut(shop) {
            look.under_way = false;
            if found.is_some() {
                look.health = found;
            }
        }
    }

    /// Says of each shop what is known of it by now.
    fn show(&self, shops: &mut [ShopListed], now: Timestamp) {
        let looks = self.looks();
        for listed in shops {
            let known = looks.get(&listed.summary.shop).and_then(|look| look.health.clone());
            listed.health = known.filter(|health| now.seconds_since(health.at) < TOLD_SECONDS_MAX);
        }
    }

    /// The round is over, and what it found is good for a while. What it did not come to is due at once.
    fn rest(&self, shops: &[Shop], good_for: Duration) {
        let now = Instant::now();
        let mut looks = self.looks();
        for shop in shops {
            if let Some(look) = looks.get_mut(shop) {
                let was_left = mem::take(&mut look.under_way);
                look.good_until = if was_left { now } else { now + good_for };
            }
        }
        drop(looks);
        self.told.send_replace(());
    }
}

/// Says of each shop how it is, as far as that is known within a moment.
pub(crate) async fn tell(desk: &Arc<Desk>, shops: &mut [ShopListed]) {
    let mut told = desk.health.told.subscribe();
    let due = desk.health.claim(shops);
    if !due.is_empty() {
        tokio::spawn(round(desk.clone(), due));
    }
    let (kept, asked) = (&desk.health, &*shops);
    let known = async { while kept.is_under_way(asked) && told.changed().await.is_ok() {} };
    // What is not known by then is left out, and is there when it is asked for again.
    let _ = tokio::time::timeout(PATIENCE, known).await;
    desk.health.show(shops, desk.clock.now());
}

/// Looks at shops, some at once.
async fn round(desk: Arc<Desk>, shops: Vec<Shop>) {
    let begun = Instant::now();
    let looks = stream::iter(shops.clone()).for_each_concurrent(AT_ONCE, |shop| {
        let desk = desk.clone();
        async move {
            // Those that come after it are not to go without a look.
            let look = AssertUnwindSafe(look(&desk, &shop).boxed()).catch_unwind();
            let found = match tokio::time::timeout(LOOK_MAX, look).await {
                Ok(Ok(Ok(health))) => Some(health),
                Ok(Ok(Err(problem))) => {
                    tracing::debug!(%shop, error = %problem.detail, "cannot see how a shop is");
                    None
                }
                Ok(Err(_panic)) => {
                    tracing::error!(%shop, "seeing how a shop is ended in a panic");
                    None
                }
                Err(_) => {
                    tracing::debug!(%shop, "cannot see how a shop is: history answers too late");
                    None
                }
            };
            desk.health.keep(&shop, found);
        }
    });
    let _ = tokio::time::timeout(ROUND_MAX, looks).await;
    desk.health.rest(&shops, (begun.elapsed() * REST_TIMES).clamp(GOOD_FOR, GOOD_FOR_MAX));
}

/// How a shop is just now.
async fn look(desk: &Arc<Desk>, shop: &Shop) -> Result<Health, Problem> {
    let (at, of) = (State(desk.clone()), InShop(shop.clone()));
    let Json(status) = shop::status(at, of, Asked(Nothing {})).await?;
    let harm = page::seen(desk, shop).await?;
    Ok(page::health(desk, &status, &harm))
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    #[test]
    fn a_shop_is_looked_at_by_one_and_shown_as_it_was_where_a_look_finds_nothing() {
        let shop = Shop::from_name("acme").expect("a shop");
        let summary = ShopSummary {
            shop: shop.clone(),
            resources: 0,
            versions: 0,
            newest_received_at: None,
            lag_seconds: 0.0,
        };
        let (kept, mut shops) = (Kept::default(), [ShopListed::from(summary)]);
        assert_eq!(kept.claim(&shops), slice::from_ref(&shop));
        assert!(kept.is_under_way(&shops) && kept.claim(&shops).is_empty(), "one look is enough");
        let health = Health {
            state: HealthState::Good,
            incidents_open: 0,
            last_complete_pull: None,
            wrong: Vec::new(),
            at: Timestamp::MIN,
        };
        kept.keep(&shop, Some(health.clone()));
        let long = Duration::from_secs(3_600);
        kept.rest(slice::from_ref(&shop), long);
        assert!(kept.claim(&shops).is_empty(), "what was seen is good for a while");
        kept.rest(slice::from_ref(&shop), Duration::ZERO);
        assert_eq!(kept.claim(&shops), slice::from_ref(&shop), "it is due again");
        kept.keep(&shop, None);
        assert!(!kept.is_under_way(&shops));
        let after = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        kept.show(&mut shops, after(60));
        assert_eq!(shops[0].health.as_ref(), Some(&health));
        kept.show(&mut shops, after(600));
        assert_eq!(shops[0].health, None, "what was long ago says nothing of now");
        kept.rest(slice::from_ref(&shop), Duration::ZERO);
        assert_eq!(kept.claim(&shops), slice::from_ref(&shop));
        kept.rest(slice::from_ref(&shop), long);
        assert_eq!(kept.claim(&shops), slice::from_ref(&shop), "what a round left is due at once");
    }
}
