//! Deliveries that are answered 401, in the log: a shop's once a minute, since anybody can send such.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backstock_proto::Shop;

use crate::accept::Refusal;

const EVERY: Duration = Duration::from_secs(60);

/// When something was last said of each shop; of those that are not configured, of all together. Clones
/// share it.
#[derive(Clone, Default)]
pub(crate) struct Complaints {
    said: Arc<Mutex<HashMap<Option<Shop>, Instant>>>,
}

impl Complaints {
    /// Says what is wrong, unless that was said just now.
    pub(crate) fn about(&self, refusal: &Refusal) {
        match refusal {
            Refusal::Forged(shop) if self.is_due(Some(shop), Instant::now()) => tracing::warn!(
                %shop,
                "a webhook is answered 401: none of the shop's webhook_secrets signed it. Shopify signs \
                 with the client secret of the app that subscribed to it"
            ),
            Refusal::UnknownShop(shop) if self.is_due(None, Instant::now()) => tracing::warn!(
                %shop,
                "a webhook is answered 401: the configuration has no such shop"
            ),
            Refusal::Headers(_) | Refusal::UnknownShop(_) | Refusal::Forged(_) => {}
        }
    }

    fn is_due(&self, shop: Option<&Shop>, now: Instant) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due =
            (said.get(&shop.cloned())).is_none_or(|last| now.duration_since(*last) >= EVERY);
        if is_due {
            said.insert(shop.cloned(), now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shop_is_told_of_once_a_minute() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        let shop = |name| Shop::from_name(name).expect("a shop");
        let (acme, bolt) = (shop("acme"), shop("bolt"));
        assert!(complaints.is_due(Some(&acme), now));
        assert!(!complaints.is_due(Some(&acme), now + EVERY / 2));
        assert!(complaints.is_due(Some(&bolt), now), "another shop");
        assert!(complaints.is_due(None, now), "one that is not configured");
        assert!(complaints.is_due(Some(&acme), now + EVERY));
    }
}
