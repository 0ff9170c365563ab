//! Taking somebody out of what is there: versions keep their place in time and lose what they say of
//! the person.
//!
//! Everything else goes before the customer, whose own history tells by what to look for: so a kill
//! leaves what it takes to do it again, and doing it again finds what is done to be done.

use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use backstock_proto::canonical::Hash;
use backstock_proto::erase::{ERASED_MESSAGES, ERASURE, Erased, ErasureCounts, Whom, sweep};
use backstock_proto::kind::{Arrival, Listing};
use backstock_proto::{Facet, Kind, Op, ResourceId, ResourceKey, Shop};
use rocksdb::WriteBatch;
use serde_json::Value;

use super::case::Case;
use super::since::Since;
use crate::append::shown;
use crate::keys::{self, meta, ops as ops_keys};
use crate::ops;
use crate::options::Family;
use crate::quarantine;
use crate::read::{View, current};
use crate::record::{Body, Head, Reader, Record};
use crate::store::{At, Store, StoreError};

/// Bytes after which a batch is written.
const BATCH_BYTES: usize = 4 << 20;
const CUSTOMER: &str = "customer";

/// A stretch of keys that held something of somebody.
pub(super) type Range = (Family, Vec<u8>, Vec<u8>);

impl Store {
    /// Takes a case's person or shop out of the store. Nothing of it is readable when this returns;
    /// the disk and the stream still hold it.
    pub(super) fn take_out(&self, case: &Case) -> Result<(), StoreError> {
        let _nobody_thins = self.thinning.lock().unwrap_or_else(PoisonError::into_inner);
        let Whom::Customer(customer) = &case.wish.whom else { return self.take_shop_out(case) };
        let counts = self.take_customer_out(case, customer)?;
        self.change_case(case, |now| now.taken_out(case, counts, case.upto))
    }

    fn take_customer_out(
        &self,
        case: &Case,
        customer: &ResourceId,
    ) -> Result<ErasureCounts, StoreError> {
        let (shop, name) = (&case.shop, case.wish.whom.name());
        let key = |kind: &Kind, id: &ResourceId| ResourceKey {
            shop: shop.clone(),
            kind: kind.clone(),
            id: id.clone(),
        };
        let named = |kind: &str, ids: &[ResourceId]| -> Vec<ResourceKey> {
            let kind = Kind::parse(kind).ok();
            kind.iter().flat_map(|kind| ids.iter().map(move |id| key(kind, id))).collect()
        };
        // From here on nothing comes in as it is said.
        let mut first = named(CUSTOMER, std::slice::from_ref(customer));
        first.extend(named("order", &case.wish.orders));
        self.add_erased(first, &name)?;
        let view = View::of(self);
        let found = view.speaking_of(shop, customer, &case.wish.orders)?;
        self.add_erased(found.resources.keys().map(|(kind, id)| key(kind, id)).collect(), &name)?;
        let erased = self.erased_of(shop).unwrap_or_default();
        let telling = &found.telling;
        let mut counts = ErasureCounts {
            records: self.take_out_of_records(&view, shop, &erased, telling)?,
            quarantined: self.take_out_of_quarantine(&view, shop, (customer, &erased), telling)?,
            ..case.counts
        };
        counts.records = counts.records.max(case.counts.records);
        drop(view);
        (counts.resources, counts.versions) = (0, 0);
        let mut reached = self.reached(shop, &name)?;
        reached.sort_by_key(|key| key.kind.as_str() == CUSTOMER);
        for key in reached {
            let versions = self.rewrite(&key, &erased, telling)?;
            counts.versions += versions;
            counts.resources += u64::from(versions > 0);
        }
        Ok(counts)
    }

    /// Rewrites all versions of a resource, and what lists show of it. Answers how many there are.
    fn rewrite(
        &self,
        key: &ResourceKey,
        erased: &Erased,
        telling: &BTreeSet<String>,
    ) -> Result<u64, StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let view = View::of(self);
        let resource = keys::of_resource(key);
        let mut entries = view.scan_of(Family::Versions, &resource);
        entries.seek(&resource);
        let mut batch = WriteBatch::default();
        let mut hashes: HashMap<Vec<u8>, (u8, Hash)> = HashMap::new();
        let mut markers = Vec::new();
        let (mut versions, mut written) = (0, Vec::new());
        while let Some((stored, value)) = current(&entries, &resource)? {
            let (prefix, _) = keys::split(stored).at(|| shown(stored))?;
            let (_, facet) = keys::parse_facet(prefix).at(|| shown(stored))?;
            let mut record = Record::read(value).at(|| shown(stored))?;
            versions += 1;
            match record.body {
                Body::SameAs(other) => markers.push((stored.to_vec(), keys::at(prefix, other))),
                Body::Own(_) => {
                    let payload = record.body.payload().at(|| shown(stored))?;
                    let left = left_of(key, facet, &record, payload, (erased, telling));
                    // Somebody else may have been taken out of it before.
                    if !record.erased || left.payload != payload {
                        (record.mapping, record.hash) = (key.kind.mapping(), left.hash);
                        (record.erased, record.body) = (true, Body::Own(&left.payload));
                        written.clear();
                        record.write(&mut written);
                        batch.put_cf(self.family(Family::Versions), stored, &written);
                    }
                    hashes.insert(stored.to_vec(), (record.mapping, record.hash));
                }
            }
            if batch.size_in_bytes() > BATCH_BYTES {
                self.write(std::mem::take(&mut batch))?;
            }
            entries.next();
        }
        for (stored, holder) in markers {
            let Some((mapping, hash)) = hashes.get(&holder).copied() else { continue };
            let Some(value) = self.get(Family::Versions, &stored)? else { continue };
            let mut record = Record::read(&value).at(|| shown(&stored))?;
            (record.mapping, record.hash, record.erased) = (mapping, hash, true);
            written.clear();
            record.write(&mut written);
            batch.put_cf(self.family(Family::Versions), &stored, &written);
            hashes.insert(stored, (mapping, hash));
        }
        self.write(batch)?;
        self.show_as_left(key, &hashes)?;
        Ok(versions)
    }

    /// Brings the heads of a resource to what its versions say now.
    fn show_as_left(
        &self,
        key: &ResourceKey,
        hashes: &HashMap<Vec<u8>, (u8, Hash)>,
    ) -> Result<(), StoreError> {
        let view = View::of(self);
        let resource = keys::of_resource(key);
        let mut heads = view.entries(Family::Heads, &resource);
        heads.seek(&resource);
        let mut batch = WriteBatch::default();
        while let Some((prefix, value)) = current(&heads, &resource)? {
            let mut head = Head::from_bytes(value).at(|| shown(prefix))?;
            if let Some((mapping, hash)) = hashes.get(&keys::at(prefix, head.payload_at)) {
                (head.mapping, head.hash) = (*mapping, *hash);
            }
            head.listing = match head.shown_at {
                Some(shown_at) => self.listing_of(key, prefix, &keys::at(prefix, shown_at))?,
                None => Listing::default(),
            };
            batch.put_cf(self.family(Family::Heads), prefix, head.to_bytes());
            heads.next();
        }
        self.write(batch)
    }

    /// What a list shows of a version.
    fn listing_of(
        &self,
        key: &ResourceKey,
        prefix: &[u8],
        stored: &[u8],
    ) -> Result<Listing, StoreError> {
        let Some(mut value) = self.get(Family::Versions, stored)? else {
            return Ok(Listing::default());
        };
        let (_, facet) = keys::parse_facet(prefix).at(|| shown(prefix))?;
        if let Body::SameAs(other) = Record::read(&value).at(|| shown(stored))?.body {
            let Some(holder) = self.get(Family::Versions, &keys::at(prefix, other))? else {
                return Ok(Listing::default());
            };
            value = holder;
        }
        let record = Record::read(&value).at(|| shown(stored))?;
        let payload = record.body.payload().at(|| shown(stored))?;
        let arrival = Arrival { source: record.source, facet, op: record.op };
        let read = key.kind.read(arrival, &key.id, payload);
        Ok(read.map(|read| read.listing).unwrap_or_default())
    }

    fn take_out_of_records(
        &self,
        view: &View<'_>,
        shop: &Shop,
        erased: &Erased,
        telling: &BTreeSet<String>,
    ) -> Result<u64, StoreError> {
        let mut batch = WriteBatch::default();
        let records = view.records_of(shop, erased, telling, |key, value, left| {
            let recorded_at = Reader::of(value).and_then(|mut r| r.instant());
            let recorded_at = recorded_at.at(|| shown(key))?;
            let (_, seq) = ops_keys::split(key).at(|| shown(key))?;
            let said = ops::said_to_bytes(recorded_at, left.to_string().as_bytes());
            batch.put_cf(self.family(Family::Ops), key, said);
            self.put_unsaid(&mut batch, shop, seq);
            if batch.size_in_bytes() > BATCH_BYTES {
                self.write(std::mem::take(&mut batch))?;
            }
            Ok(())
        })?;
        self.write(batch)?;
        Ok(records)
    }

    fn take_out_of_quarantine(
        &self,
        view: &View<'_>,
        shop: &Shop,
        of: (&ResourceId, &Erased),
        telling: &BTreeSet<String>,
    ) -> Result<u64, StoreError> {
        let mut batch = WriteBatch::default();
        let messages = view.quarantined_of(shop, of, telling, |key, reason, mut message| {
            message.payload = Default::default();
            let kept = quarantine::to_bytes(&message, &reason);
            batch.put_cf(self.family(Family::Meta), key, kept);
            self.put_unsaid(&mut batch, shop, message.seq);
            Ok(())
        })?;
        self.write(batch)?;
        Ok(messages)
    }

    /// Removes everything of a shop but what says that it was erased, and what came since that was asked
    /// for: the app may be installed again. How much it was is noted with that: later nobody can count it.
    fn take_shop_out(&self, case: &Case) -> Result<(), StoreError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let shop = &case.shop;
        let upto = if case.upto > 0 { case.upto } else { self.applied_seq() };
        let view = View::of(self);
        let mut since = Since::of(&view, shop, upto)?;
        let all = view.concerned(shop, None, &[])?;
        let mut versions: u64 = 0;
        view.each_meta(&meta::kinds_of(shop), |_, value| {
            versions += crate::tally::KindTally::from_bytes(value)?.versions;
            Ok(())
        })?;
        let mut batch = WriteBatch::default();
        for (family, from, to) in of_shop(shop) {
            batch.delete_range_cf(self.family(family), from, to);
        }
        let mut quarantined = 0;
        let mut kept = view.entries(Family::Meta, meta::QUARANTINE);
        kept.seek(meta::QUARANTINE);
        while let Some((key, value)) = current(&kept, meta::QUARANTINE)? {
            let message = quarantine::from_bytes(0, value).at(|| shown(key))?.message;
            let came_since = meta::number(key).at(|| shown(key))? > upto;
            let of_shop = quarantine::shop_of(&message.subject).as_ref() == Some(shop);
            if of_shop && came_since {
                since.aside += 1;
            } else if of_shop {
                batch.delete_cf(self.family(Family::Meta), key);
                quarantined += 1;
            }
            kept.next();
        }
        drop(kept);
        drop(view);
        since.put(self, &mut batch)?;
        let counts = ErasureCounts {
            resources: all.resources.len() as u64,
            versions: versions.saturating_sub(since.versions()),
            records: all.records.saturating_sub(since.records()),
            quarantined,
            ..ErasureCounts::default()
        };
        if let Some(mut now) = self.case(shop, &case.wish.whom)? {
            now.taken_out(case, counts, upto);
            self.put_case(&mut batch, &now);
        }
        self.write(batch)?;
        self.no_longer_aside.fetch_add(quarantined, Ordering::Relaxed);
        self.healed.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| of != shop);
        Ok(())
    }

    /// The stretches of keys that a case's person or shop stood in.
    pub(super) fn ranges_of(&self, case: &Case) -> Result<Vec<Range>, StoreError> {
        let mut ranges = of_shop(&case.shop);
        if let Whom::Customer(_) = &case.wish.whom {
            ranges.retain(|(family, ..)| matches!(family, Family::Ops));
            for key in self.reached(&case.shop, &case.wish.whom.name())? {
                for family in [Family::Versions, Family::Heads] {
                    ranges.extend(range(family, keys::of_resource(&key)));
                }
            }
        }
        ranges.extend(range(Family::Meta, meta::QUARANTINE.to_vec()));
        Ok(ranges)
    }
}

/// All of a shop but the records of erasures, which are its receipts.
fn of_shop(shop: &Shop) -> Vec<Range> {
    let whole = keys::of_shop(shop);
    let mut ranges = Vec::new();
    for family in [Family::Versions, Family::Heads, Family::Timeline, Family::Identity] {
        ranges.extend(range(family, whole.clone()));
    }
    // In the order of their names.
    let mut from = whole.clone();
    for kept in [ERASED_MESSAGES, ERASURE] {
        let what = [&whole[..], kept.as_bytes(), b"\0"].concat();
        if let Some(after) = keys::end_of(&what) {
            ranges.push((Family::Ops, std::mem::replace(&mut from, after), what));
        }
    }
    ranges.extend(keys::end_of(&whole).map(|end| (Family::Ops, from, end)));
    for of_shop in [meta::kinds_of(shop), meta::whole_of(shop), meta::shop(shop)] {
        ranges.extend(range(Family::Meta, of_shop));
    }
    ranges
}

fn range(family: Family, prefix: Vec<u8>) -> Option<Range> {
    let end = keys::end_of(&prefix)?;
    Some((family, prefix, end))
}

/// What is left of a payload.
struct Left {
    payload: Vec<u8>,
    hash: Hash,
}

fn left_of(
    key: &ResourceKey,
    facet: Facet,
    record: &Record<'_>,
    payload: &[u8],
    (erased, telling): (&Erased, &BTreeSet<String>),
) -> Left {
    let value: Value = serde_json::from_slice(payload).unwrap_or_default();
    let mut left = erased.blanked(&key.kind, value);
    // What else tells who it was: a tag, a line's name.
    sweep(&mut left, &Erased::default(), telling);
    let payload = left.to_string().into_bytes();
    let arrival = Arrival { source: record.source, facet, op: record.op };
    let hash = match record.op {
        Op::Delete => Hash::NONE,
        Op::Create | Op::Update => match key.kind.read(arrival, &key.id, &payload) {
            Ok(read) => read.hash(),
            Err(error) => {
                tracing::error!(resource = %key, %error, "what is left cannot be read");
                Hash::of(Some(&left))
            }
        },
    };
    Left { payload, hash }
}
