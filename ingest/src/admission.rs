//! How much may be under way at once: requests and body bytes, in all and for one shop.
//!
//! What is admitted holds a [`Slot`] until its body is freed, also after its sender has gone. So
//! memory stays within the budget, and a shop that floods gets 503 while the others go on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstock_proto::Shop;
use prometheus::IntGauge;

/// From so many bytes on a body is large. Large bodies have places of their own, so that a few of
/// them, or a few that are only announced, cannot use up what the many small ones need.
const LARGE_BYTES: usize = 1024 * 1024;

/// How much may be under way.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// Most requests whose body is being read or stored.
    pub requests_max: usize,
    /// Most bytes of bodies in memory.
    pub bytes_max: usize,
    /// Most bodies of a mebibyte or more. As many of the largest size as this should fit into
    /// [`Self::bytes_max`], else they may starve each other.
    pub large_max: usize,
    /// What part of each of these one shop may take, from 0 (none) to 1 (all).
    pub shop_share: f64,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The limit for all.
    Everyone,
    /// The shop's own share.
    Shop,
}

/// Keeps count of what is under way. Clones share the count.
#[derive(Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

struct Shared {
    all: Usage,
    shop: Usage,
    taken: Mutex<Taken>,
    bytes_gauge: IntGauge,
}

#[derive(Default)]
struct Taken {
    all: Usage,
    shops: HashMap<Shop, Usage>,
}

#[derive(Clone, Copy, Default)]
struct Usage {
    requests: usize,
    bytes: usize,
    large: usize,
}

/// One request's place. Dropping it gives the place back.
pub struct Slot {
    admission: Admission,
    shop: Shop,
    held: Usage,
}

impl Admission {
    /// Nothing is under way. `bytes_gauge` is kept at the bytes in memory.
    pub fn new(budget: Budget, bytes_gauge: IntGauge) -> Self {
        let share = |all: usize| ((all as f64 * budget.shop_share) as usize).clamp(1, all.max(1));
        let Budget { requests_max: requests, bytes_max: bytes, large_max: large, .. } = budget;
        let all = Usage { requests, bytes, large };
        let shop = Usage { requests: share(requests), bytes: share(bytes), large: share(large) };
        let shared = Shared { all, shop, taken: Mutex::default(), bytes_gauge };
        Self { shared: Arc::new(shared) }
    }

    /// Admits one request of this shop, whose body is announced to have so many bytes but has yet to come.
    pub fn enter(&self, shop: &Shop, announced_bytes: usize) -> Result<Slot, Full> {
        let large = usize::from(announced_bytes >= LARGE_BYTES);
        let held = Usage { requests: 1, bytes: 0, large };
        self.take(shop, held)?;
        Ok(Slot { admission: self.clone(), shop: shop.clone(), held })
    }

    fn take(&self, shop: &Shop, more: Usage) -> Result<(), Full> {
        let mut taken = self.taken();
        let all = taken.all.plus(more);
        let of_shop = taken.shops.get(shop).copied().unwrap_or_default().plus(more);
        if !all.within(self.shared.all) {
            return Err(Full::Everyone);
        }
        if !of_shop.within(self.shared.shop) {
            return Err(Full::Shop);
        }
        taken.all = all;
        taken.shops.insert(shop.clone(), of_shop);
        self.shared.bytes_gauge.set(all.bytes as i64);
        Ok(())
    }

    fn give_back(&self, shop: &Shop, less: Usage) {
        let mut taken = self.taken();
        taken.all = taken.all.minus(less);
        if let Some(usage) = taken.shops.get_mut(shop) {
            *usage = usage.minus(less);
            if usage.requests == 0 {
                taken.shops.remove(shop);
            }
        }
        self.shared.bytes_gauge.set(taken.all.bytes as i64);
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// Admits further bytes of the request's body.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let becomes_large = self.held.large == 0 && self.held.bytes + bytes >= LARGE_BYTES;
        let more = Usage { requests: 0, bytes, large: usize::from(becomes_large) };
        self.admission.take(&self.shop, more)?;
        self.held = self.held.plus(more);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.admission.give_back(&self.shop, self.held);
    }
}

impl Usage {
    fn plus(self, more: Self) -> Self {
        Self {
            requests: self.requests + more.requests,
            bytes: self.bytes + more.bytes,
            large: self.large + more.large,
        }
    }

    fn minus(self, less: Self) -> Self {
        Self {
            requests: self.requests - less.requests,
            bytes: self.bytes - less.bytes,
            large: self.large - less.large,
        }
    }

    fn within(self, limit: Self) -> bool {
        self.requests <= limit.requests && self.bytes <= limit.bytes && self.large <= limit.large
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(requests_max: usize, bytes_max: usize) -> Admission {
        let budget = Budget { requests_max, bytes_max, large_max: 4, shop_share: 0.5 };
        Admission::new(budget, IntGauge::new("bytes", "Bytes.").expect("a gauge"))
    }

    fn shop(name: &str) -> Shop {
        Shop::from_name(name).expect("a shop")
    }

    #[test]
    fn a_flood_of_one_shop_leaves_room_for_the_others() {
        let admission = admission(8, 1_000);
        let flood: Vec<_> = (0..4).map(|_| admission.enter(&shop("flood"), 0)).collect();
        assert!(flood.iter().all(Result::is_ok));
        assert_eq!(admission.enter(&shop("flood"), 0).err(), Some(Full::Shop));
        assert!(admission.enter(&shop("quiet"), 0).is_ok());
        drop(flood);
        assert!(admission.enter(&shop("flood"), 0).is_ok());
    }

    #[test]
    fn bytes_are_counted_as_they_come_and_given_back() {
        let admission = admission(8, 1_000);
        let mut one = admission.enter(&shop("a"), 0).expect("a slot");
        assert_eq!(one.grow(500), Ok(()));
        assert_eq!(one.grow(1), Err(Full::Shop));
        let mut other = admission.enter(&shop("b"), 0).expect("a slot");
        assert_eq!(other.grow(500), Ok(()));
        let mut third = admission.enter(&shop("c"), 0).expect("a slot");
        assert_eq!(third.grow(1), Err(Full::Everyone));
        drop(one);
        assert_eq!(third.grow(500), Ok(()));
        drop((other, third));
        assert_eq!(admission.shared.bytes_gauge.get(), 0);
        assert!(admission.taken().shops.is_empty());
    }

    #[test]
    fn large_bodies_have_places_of_their_own() {
        let admission = admission(100, 1 << 30);
        let held: Vec<_> = (0..2).map(|_| admission.enter(&shop("a"), LARGE_BYTES)).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(admission.enter(&shop("a"), LARGE_BYTES).err(), Some(Full::Shop));
        let mut unannounced = admission.enter(&shop("a"), 0).expect("a slot");
        assert_eq!(unannounced.grow(LARGE_BYTES - 1), Ok(()));
        assert_eq!(unannounced.grow(1), Err(Full::Shop));
        drop(held);
        assert_eq!(unannounced.grow(1), Ok(()));
    }
}
