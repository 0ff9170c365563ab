//! What is kept of resources that were told of last, of all shops together, so that one that is told of
//! again costs nothing. It is bounded by the memory that it takes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstock_proto::media::{Copies, Copy};
use backstock_proto::{ResourceKey, Shop};
use lru::LruCache;

/// Most memory that it takes, in bytes.
const BYTES_MAX: usize = 32 << 20;
/// What a resource and a copy take besides their texts, about.
const RESOURCE_BYTES: usize = 192;
const COPY_BYTES: usize = 112;

/// The copies of a resource's media, in the order of their addresses: most have few of them, and a map of
/// few takes as much memory as one of eleven.
type Remembered = Box<[(String, Copy)]>;

/// What is remembered. Clones share it.
#[derive(Clone)]
pub(crate) struct Known(Arc<Mutex<Newest>>);

struct Newest {
    of: LruCache<ResourceKey, Remembered>,
    bytes: usize,
    bytes_max: usize,
}

impl Known {
    pub(crate) fn new() -> Self {
        Self::up_to(BYTES_MAX)
    }

    fn up_to(bytes_max: usize) -> Self {
        Self(Arc::new(Mutex::new(Newest { of: LruCache::unbounded(), bytes: 0, bytes_max })))
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the copies of a resource, in place of others of it. What was not told of for longest
    /// makes room.
    pub(super) fn put(&self, key: &ResourceKey, copies: &Copies) {
        let copies: Remembered = copies.clone().into_iter().collect();
        let mut newest = self.newest();
        newest.bytes += taken(key, &copies);
        if let Some(before) = newest.of.put(key.clone(), copies) {
            newest.bytes -= taken(key, &before);
        }
        while newest.bytes > newest.bytes_max
            && let Some((key, copies)) = newest.of.pop_lru()
        {
            newest.bytes -= taken(&key, &copies);
        }
    }

    /// What is asked of the copies of a resource, where they are remembered.
    pub(super) fn look<T>(
        &self,
        key: &ResourceKey,
        look: impl FnOnce(&[(String, Copy)]) -> T,
    ) -> Option<T> {
        self.newest().of.get(key).map(|copies| look(copies))
    }

    /// Forgets a resource: what is on record of it is newer.
    pub(super) fn forget(&self, key: &ResourceKey) {
        let mut newest = self.newest();
        if let Some(copies) = newest.of.pop(key) {
            newest.bytes -= taken(key, &copies);
        }
    }

    /// Forgets a shop: another compactor may have had it meanwhile.
    pub(super) fn forget_all_of(&self, shop: &Shop) {
        let keys: Vec<ResourceKey> = {
            let newest = self.newest();
            let all = newest.of.iter().map(|(key, _)| key);
            all.filter(|key| key.shop == *shop).cloned().collect()
        };
        keys.iter().for_each(|key| self.forget(key));
    }
}

/// The memory that a resource takes with its copies, about.
fn taken(key: &ResourceKey, copies: &[(String, Copy)]) -> usize {
    let of_copies = copies.iter().map(|(url, copy)| {
        COPY_BYTES + url.len() + copy.blob.len() + copy.v.as_ref().map_or(0, String::len)
    });
    RESOURCE_BYTES + key.shop.name().len() + key.id.as_str().len() + of_copies.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use backstock_proto::{Kind, ResourceId};

    use super::*;

    fn key(shop: &str, id: usize) -> ResourceKey {
        ResourceKey {
            shop: Shop::from_name(shop).expect("a shop"),
            kind: Kind::parse("product").expect("a kind"),
            id: ResourceId::parse(&id.to_string()).expect("an id"),
        }
    }

    fn copies(blob: &str) -> Copies {
        let copy = Copy { blob: blob.into(), v: Some("1".into()) };
        Copies::from([("https://cdn.shopify.com/a.jpg".to_owned(), copy)])
    }

    fn blob(known: &Known, key: &ResourceKey) -> Option<String> {
        known.look(key, |copies| copies[0].1.blob.clone())
    }

    #[test]
    fn all_shops_together_take_no_more_memory_than_is_allowed() {
        let one: Remembered = copies("a").into_iter().collect();
        let room = 10 * (taken(&key("acme", 1_000), &one) + 8);
        let known = Known::up_to(room);
        for n in 1_000..1_100 {
            let shop = if n % 2 == 0 { "acme" } else { "bolt" };
            known.put(&key(shop, n), &copies("a"));
            // The same once more takes no more.
            known.put(&key(shop, n), &copies("a"));
            assert!(known.newest().bytes <= room);
        }
        assert_eq!(known.newest().of.len(), 10);
        assert!(blob(&known, &key("bolt", 1_099)).is_some());
        assert!(blob(&known, &key("acme", 1_000)).is_none(), "the oldest makes room");
    }

    #[test]
    fn what_is_forgotten_takes_no_room() {
        let known = Known::new();
        known.put(&key("acme", 1), &copies("a"));
        known.put(&key("acme", 2), &copies("a"));
        known.put(&key("bolt", 1), &copies("a"));
        known.put(&key("bolt", 1), &copies("bb"));
        known.forget_all_of(&Shop::from_name("acme").expect("a shop"));
        assert_eq!(blob(&known, &key("acme", 1)), None);
        assert_eq!(blob(&known, &key("bolt", 1)).as_deref(), Some("bb"));
        known.forget(&key("bolt", 1));
        let newest = known.newest();
        assert_eq!((newest.bytes, newest.of.len()), (0, 0));
    }
}
