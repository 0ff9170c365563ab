//! Erasures as they stand in the store, and what was erased, which is also kept in memory.
//!
//! ```text
//! erasure  01 JSON of a [`Case`]
//! erased   01 name      the erasure that reached it first
//! unsaid   01
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use backstock_proto::erase::{Erased, Erasure, ErasureCounts, ErasureState, Whom, Wish};
use backstock_proto::{ResourceKey, Shop, Timestamp};
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use crate::keys::meta;
use crate::options::Family;
use crate::record::{self, Reader, RecordError};
use crate::store::{At, Store, StoreError};

/// An erasure, and how far this store is with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) shop: Shop,
    pub(crate) wish: Wish,
    /// Of a shop: the sequence of the message that asked. What came up to it goes, what came since stays. 0
    /// where an older version of Backstock did not note it.
    pub(crate) upto: u64,
    pub(crate) stage: Stage,
    /// Whether the wish is on record, where the message that brought it may go.
    pub(crate) recorded: bool,
    pub(crate) erased_at: Option<Timestamp>,
    pub(crate) done_at: Option<Timestamp>,
    pub(crate) counts: ErasureCounts,
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stage {
    /// For somebody's word.
    Waiting,
    /// Nothing is done yet, or not all of it.
    Asked,
    /// Nothing of it is readable; the stream and the disk still hold it.
    Rewritten,
    /// It is off the stream and off the disk; older checkpoints still hold it.
    Erased,
    /// Nothing holds it.
    Done,
}

impl Case {
    pub(crate) fn new(shop: Shop, wish: Wish, upto: u64) -> Self {
        let of_shop = wish.whom == Whom::Shop;
        let waits = of_shop && !wish.confirmed;
        Self {
            shop,
            upto: if of_shop { upto } else { 0 },
            stage: if waits { Stage::Waiting } else { Stage::Asked },
            wish,
            recorded: false,
            erased_at: None,
            done_at: None,
            counts: ErasureCounts::default(),
        }
    }

    /// The same thing is asked for again, or is said of it that it may begin. What was asked before,
    /// as its own record read back, changes nothing.
    pub(super) fn asked_again(&mut self, wish: Wish, upto: u64) {
        let later = wish.requested_at > self.wish.requested_at;
        let confirms = wish.confirmed && !self.wish.confirmed;
        let known = self.wish.orders.len();
        self.wish.orders.extend(wish.orders);
        self.wish.orders.sort_unstable();
        self.wish.orders.dedup();
        let more = self.wish.orders.len() > known;
        if !(later || confirms || more) {
            return;
        }
        self.recorded = false;
        if self.wish.whom == Whom::Shop {
            self.upto = self.upto.max(upto);
        }
        if self.stage >= Stage::Erased {
            if later {
                self.wish.requested_at = wish.requested_at;
                (self.wish.via, self.wish.by) = (wish.via, wish.by);
                self.wish.confirmed = wish.confirmed;
            }
            (self.erased_at, self.done_at) = (None, None);
        }
        self.wish.confirmed |= wish.confirmed;
        let waits = self.wish.whom == Whom::Shop && !self.wish.confirmed;
        self.stage = if waits { Stage::Waiting } else { Stage::Asked };
    }

    /// Nothing of it is readable any more as it was asked for in `asked`: so much it was, up to there. What is
    /// asked for by now may be more: once more, then.
    pub(super) fn taken_out(&mut self, asked: &Self, counts: ErasureCounts, upto: u64) {
        if self.stage == Stage::Asked && (&self.wish, self.upto) == (&asked.wish, asked.upto) {
            (self.counts, self.upto, self.stage) = (counts, upto, Stage::Rewritten);
        }
    }

    pub(crate) fn to_erasure(&self) -> Erasure {
        Erasure {
            shop: self.shop.clone(),
            whom: self.wish.whom.clone(),
            via: self.wish.via,
            by: self.wish.by.clone(),
            requested_at: self.wish.requested_at,
            due_at: self.wish.due_at(),
            state: match self.stage {
                Stage::Waiting => ErasureState::Waiting,
                Stage::Asked | Stage::Rewritten => ErasureState::Open,
                Stage::Erased => ErasureState::Erased,
                Stage::Done => ErasureState::Done,
            },
            erased_at: self.erased_at,
            done_at: self.done_at,
            counts: self.counts,
        }
    }

    fn key(&self) -> Vec<u8> {
        meta::erasure(&self.shop, &self.wish.whom.name())
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![record::FORMAT];
        // Writing into memory cannot fail, and all of it has a form in JSON.
        let outcome = serde_json::to_writer(&mut out, self);
        debug_assert!(outcome.is_ok());
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let from = Reader::of(bytes)?;
        serde_json::from_slice(from.rest).map_err(|_| RecordError::Malformed("an erasure"))
    }
}

impl Store {
    /// All erasures there ever were, by shop and name.
    pub(crate) fn cases(&self) -> Result<Vec<Case>, StoreError> {
        let mut cases = Vec::new();
        self.each_meta(meta::ERASURES, |_, value| {
            cases.push(Case::from_bytes(value)?);
            Ok(())
        })?;
        Ok(cases)
    }

    pub(crate) fn case(&self, shop: &Shop, whom: &Whom) -> Result<Option<Case>, StoreError> {
        let value = self.get(Family::Meta, &meta::erasure(shop, &whom.name()))?;
        value.map(|value| Case::from_bytes(&value)).transpose().at(|| format!("erasure of {shop}"))
    }

    /// The case that a wish opens, or that it goes on with. A message of sequence `upto` asked.
    pub(crate) fn case_of(&self, shop: &Shop, wish: Wish, upto: u64) -> Result<Case, StoreError> {
        Ok(match self.case(shop, &wish.whom)? {
            Some(mut case) => {
                case.asked_again(wish, upto);
                case
            }
            None => Case::new(shop.clone(), wish, upto),
        })
    }

    pub(crate) fn put_case(&self, batch: &mut WriteBatch, case: &Case) {
        batch.put_cf(self.family(Family::Meta), case.key(), case.to_bytes());
    }

    /// Changes a case as it stands now; durable when this returns.
    pub(crate) fn change_case(
        &self,
        case: &Case,
        change: impl FnOnce(&mut Case),
    ) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut case) = self.case(&case.shop, &case.wish.whom)? else { return Ok(()) };
        change(&mut case);
        let mut batch = WriteBatch::default();
        self.put_case(&mut batch, &case);
        self.write(batch)
    }

    /// When somebody was last taken off the disk: what was copied before still holds it.
    pub(crate) fn last_erased_at(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.cases()?.into_iter().filter_map(|case| case.erased_at).max())
    }

    /// Since when the oldest erasure is open, if one is.
    pub(crate) fn erasing_since(&self) -> Result<Option<Timestamp>, StoreError> {
        let open = self.cases()?.into_iter().filter(|case| case.stage != Stage::Done);
        Ok(open.map(|case| case.wish.requested_at).min())
    }

    /// What was erased in a shop.
    pub(crate) fn erased_of(&self, shop: &Shop) -> Option<Arc<Erased>> {
        let erased = self.erased.read().unwrap_or_else(PoisonError::into_inner);
        erased.get(shop).cloned()
    }

    pub(crate) fn load_erased(&self) -> Result<(), StoreError> {
        let mut shops: HashMap<Shop, Erased> = HashMap::new();
        self.each_meta(meta::ERASED, |key, _| {
            let ResourceKey { shop, kind, id } = meta::parse_erased(key)?;
            shops.entry(shop).or_default().add(kind, id);
            Ok(())
        })?;
        let shops = shops.into_iter().map(|(shop, erased)| (shop, Arc::new(erased))).collect();
        *self.erased.write().unwrap_or_else(PoisonError::into_inner) = shops;
        Ok(())
    }

    /// From here on nothing of these resources is taken in as it comes.
    pub(super) fn add_erased(&self, keys: Vec<ResourceKey>, name: &str) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = WriteBatch::default();
        for key in &keys {
            self.put_erased(&mut batch, key, name);
        }
        self.write(batch)?;
        self.keep_in_mind(keys);
        Ok(())
    }

    pub(super) fn put_erased(&self, batch: &mut WriteBatch, key: &ResourceKey, name: &str) {
        let mut value = vec![record::FORMAT];
        record::put_text(&mut value, name);
        batch.put_cf(self.family(Family::Meta), meta::erased(key), value);
    }

    pub(crate) fn keep_in_mind(&self, keys: Vec<ResourceKey>) {
        let mut shops = self.erased.write().unwrap_or_else(PoisonError::into_inner);
        for ResourceKey { shop, kind, id } in keys {
            Arc::make_mut(shops.entry(shop).or_default()).add(kind, id);
        }
    }

    /// The resources that an erasure reached before.
    pub(super) fn reached(&self, shop: &Shop, name: &str) -> Result<Vec<ResourceKey>, StoreError> {
        let mut keys = Vec::new();
        self.each_meta(&meta::erased_of(shop), |key, value| {
            if Reader::of(value)?.text()? == name {
                keys.push(meta::parse_erased(key)?);
            }
            Ok(())
        })?;
        Ok(keys)
    }

    /// A message that is to be taken off the stream.
    pub(super) fn put_unsaid(&self, batch: &mut WriteBatch, shop: &Shop, seq: u64) {
        let key = meta::numbered(&meta::unsaid_of(shop), seq);
        batch.put_cf(self.family(Family::Meta), key, [record::FORMAT]);
    }

    /// Messages that are to be taken off the stream, at most so many.
    pub(super) fn unsaid(&self, most: usize) -> Result<BTreeMap<Shop, Vec<u64>>, StoreError> {
        let mut unsaid: BTreeMap<Shop, Vec<u64>> = BTreeMap::new();
        let mut left = most;
        self.each_meta(meta::UNSAID, |key, _| {
            if left > 0 {
                let (shop, seq) = meta::parse_unsaid(key)?;
                unsaid.entry(shop).or_default().push(seq);
                left -= 1;
            }
            Ok(())
        })?;
        Ok(unsaid)
    }

    /// They are off the stream.
    pub(super) fn said_no_more(&self, shop: &Shop, seqs: &[u64]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for seq in seqs {
            let key = meta::numbered(&meta::unsaid_of(shop), *seq);
            batch.delete_cf(self.family(Family::Meta), key);
        }
        self.write(batch)
    }

    /// These sequences are missing from the stream because somebody was erased.
    pub(crate) fn explain(&self, ranges: impl IntoIterator<Item = (u64, u64)>) {
        let mut taken_off = self.taken_off.write().unwrap_or_else(PoisonError::into_inner);
        for (from, to) in ranges {
            let end = taken_off.entry(from).or_insert(to);
            *end = (*end).max(to);
        }
    }

    /// The sequences from `expected` to before `found` that are missing and nobody took off.
    pub(crate) fn lost(&self, expected: u64, found: u64) -> Vec<(u64, u64)> {
        let mut lost = Vec::new();
        if expected >= found {
            return lost;
        }
        let taken_off = self.taken_off.read().unwrap_or_else(PoisonError::into_inner);
        // What went is often said more than once, and within longer stretches.
        let before = taken_off.range(..=expected).map(|(_, to)| to.saturating_add(1)).max();
        let mut next = before.unwrap_or(expected).max(expected);
        for (from, to) in taken_off.range(expected + 1..found) {
            if *from > next {
                lost.push((next, from - 1));
            }
            next = next.max(to.saturating_add(1));
        }
        if next < found {
            lost.push((next, found - 1));
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn what_was_said_to_go_twice_is_no_loss() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = Timestamp::from_micros(0);
        let store = Store::open(dir.path(), Options::for_testing(), now).expect("open");
        store.explain([(10, 20), (15, 15), (30, 31)]);
        for expected in 10..=20 {
            let lost = store.lost(expected, 21);
            assert!(lost.is_empty(), "{lost:?} is missing from {expected} on");
        }
        assert_eq!(store.lost(8, 33), [(8, 9), (21, 29), (32, 32)]);
        assert_eq!(store.lost(19, 24), [(21, 23)]);
    }
}
