//! Counts that are kept beside what they count, in the same write, so that a status needs no scan.

use std::collections::HashMap;

use backstock_proto::{Kind, Shop, Timestamp};
use rocksdb::WriteBatch;

use crate::keys::meta;
use crate::options::Family;
use crate::record::{self, Reader, RecordError};
use crate::store::{At, Store, StoreError};

/// What is known of one kind in a shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KindTally {
    /// Resources that exist.
    pub(crate) living: u64,
    /// Resources that are gone.
    pub(crate) deleted: u64,
    /// Versions, markers included.
    pub(crate) versions: u64,
    /// Valid time of the newest version.
    pub(crate) newest_valid_at: Timestamp,
}

/// What is known of a shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShopTally {
    /// When its newest event reached us.
    pub(crate) newest_received_at: Timestamp,
    /// Messages kept aside.
    pub(crate) quarantined: u64,
}

impl KindTally {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![record::FORMAT];
        for count in [self.living, self.deleted, self.versions] {
            out.extend(count.to_be_bytes());
        }
        record::put_instant(&mut out, self.newest_valid_at);
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut from = Reader::of(bytes)?;
        Ok(Self {
            living: from.number()?,
            deleted: from.number()?,
            versions: from.number()?,
            newest_valid_at: from.instant()?,
        })
    }

    /// Counts one more version.
    pub(crate) fn version(&mut self, valid_at: Timestamp) {
        self.versions += 1;
        self.newest_valid_at = self.newest_valid_at.max(valid_at);
    }

    /// Counts what a version of a core made of its resource: `None` where there was none.
    pub(crate) fn existence(&mut self, was: Option<Existence>, is: Existence) {
        match was {
            Some(Existence::Living) => self.living = self.living.saturating_sub(1),
            Some(Existence::Deleted) => self.deleted = self.deleted.saturating_sub(1),
            None => {}
        }
        match is {
            Existence::Living => self.living += 1,
            Existence::Deleted => self.deleted += 1,
        }
    }
}

/// Whether a resource exists, as its core says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existence {
    Living,
    Deleted,
}

impl Existence {
    pub(crate) fn of(deleted: bool) -> Self {
        if deleted { Self::Deleted } else { Self::Living }
    }
}

impl ShopTally {
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![record::FORMAT];
        record::put_instant(&mut out, self.newest_received_at);
        out.extend(self.quarantined.to_be_bytes());
        out
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut from = Reader::of(bytes)?;
        Ok(Self { newest_received_at: from.instant()?, quarantined: from.number()? })
    }
}

/// The tallies that a batch changes.
#[derive(Default)]
pub(crate) struct Tallies {
    shops: HashMap<Shop, ShopTally>,
    kinds: HashMap<(Shop, Kind), KindTally>,
}

impl Tallies {
    pub(crate) fn shop(
        &mut self,
        store: &Store,
        shop: &Shop,
    ) -> Result<&mut ShopTally, StoreError> {
        if !self.shops.contains_key(shop) {
            let stored = store.get(Family::Meta, &meta::shop(shop))?;
            let tally = stored.map(|v| ShopTally::from_bytes(&v)).transpose();
            let tally = tally.at(|| format!("tally of {shop}"))?.unwrap_or_default();
            self.shops.insert(shop.clone(), tally);
        }
        Ok(self.shops.entry(shop.clone()).or_default())
    }

    pub(crate) fn kind(
        &mut self,
        store: &Store,
        shop: &Shop,
        kind: &Kind,
    ) -> Result<&mut KindTally, StoreError> {
        let key = (shop.clone(), kind.clone());
        if !self.kinds.contains_key(&key) {
            let stored = store.get(Family::Meta, &meta::kind(shop, kind))?;
            let tally = stored.map(|v| KindTally::from_bytes(&v)).transpose();
            let tally = tally.at(|| format!("tally of {shop} {kind}"))?.unwrap_or_default();
            self.kinds.insert(key.clone(), tally);
        }
        Ok(self.kinds.entry(key).or_default())
    }

    pub(crate) fn write(&self, store: &Store, batch: &mut WriteBatch) {
        let family = store.family(Family::Meta);
        for (shop, tally) in &self.shops {
            batch.put_cf(family, meta::shop(shop), tally.to_bytes());
        }
        for ((shop, kind), tally) in &self.kinds {
            batch.put_cf(family, meta::kind(shop, kind), tally.to_bytes());
        }
    }
}
