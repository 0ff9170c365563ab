//! Retention: removes what need not be kept any longer, beside the writer.
//!
//! A walk reads a snapshot and plans; a short lock then removes what was planned, a batch at a time,
//! synced. What was appended to in between is walked again. Within a facet versions go newest first:
//! a version whose payload others share is older than they are, so a walk that ends anywhere, by a
//! crash too, leaves nothing that names what is gone. Running again finds what is left.

mod keep;
mod records;

use std::collections::HashMap;
use std::sync::{PoisonError, TryLockError};

use backstock_proto::journal::{JournalError, Page, Retention, Thinned};
use backstock_proto::{Facet, Kind, Mode, ResourceKey, Shop, Timestamp};
use rocksdb::WriteBatch;

use crate::append::shown;
use crate::keys::{self, POSITION_BYTES, Position};
use crate::options::Family;
use crate::read::{Entries, Link, View, current};
use crate::record::Record;
use crate::store::{At, Store};
use crate::tally::Tallies;
use keep::{Keeper, Open, Zones};

/// Most versions removed in one write.
const REMOVALS_MAX: usize = 256;

/// Versions looked at before the writer is asked whether they are still as they were.
const LOOKED_MAX: u64 = 10_000;

/// How often a resource that is appended to all the time is walked before it is left as it is.
const TRIES_MAX: u32 = 8;

/// Records of this `what`, one id a hold: while any says `{"on": true}`, nothing is removed.
const HOLD: &str = "hold";

/// What is removed of one resource.
struct Visit {
    /// The resource: what its keys begin with.
    resource: Vec<u8>,
    /// Keys of versions, newest first within a facet.
    removals: Vec<Vec<u8>>,
    kept: u64,
    bytes: u64,
    /// Whether the whole resource was looked at.
    whole: bool,
}

/// How much is planned at once.
#[derive(Clone, Copy)]
struct Most {
    /// Versions looked at, unless a single resource has more.
    looked: u64,
    removals: usize,
}

/// How a commit ended.
enum Committed {
    All,
    /// From this resource on, nothing: it was appended to since.
    Before(Vec<u8>),
    /// Nothing, because somebody wants all of it kept.
    Held,
}

impl Store {
    /// Removes what `retention` does not keep of a shop, or only counts it. Ends early, with what
    /// it did so far, once `stop` says so.
    pub(crate) fn thin(
        &self,
        shop: &Shop,
        (retention, now): (Retention, Timestamp),
        mode: Mode,
        stop: impl Fn() -> bool,
    ) -> Result<Thinned, JournalError> {
        let _one_at_a_time = match self.thinning.try_lock() {
            Ok(one) => one,
            // A walk may end anywhere.
            Err(TryLockError::Poisoned(one)) => one.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Unavailable("history is being thinned already".into()));
            }
        };
        let zones = Zones::of(retention, now);
        let mut done = Thinned::default();
        let mut from = keys::of_shop(shop);
        let mut tries = 0;
        if View::of(self).is_held(shop)? {
            return Ok(done);
        }
        done.records = self.thin_records(shop, now, mode, &stop)?;
        let _until_the_end = Tracking(self);
        while !stop() {
            self.track(!mode.is_dry());
            let most = Most {
                looked: if tries == 0 { LOOKED_MAX } else { 1 },
                removals: if mode.is_dry() { usize::MAX } else { REMOVALS_MAX },
            };
            let (visits, next) = View::of(self).walk(shop, &from, zones, most)?;
            let committed = match mode {
                Mode::DryRun => Committed::All,
                Mode::Apply => self.remove(shop, &visits)?,
            };
            let stuck = match &committed {
                Committed::All => None,
                Committed::Before(resource) => Some(resource),
                Committed::Held => return Ok(done),
            };
            tries = match stuck {
                Some(resource) if *resource == from => tries + 1,
                _ => 0,
            };
            let given_up = tries > TRIES_MAX;
            for visit in visits.iter().take_while(|visit| Some(&visit.resource) != stuck) {
                visit.count(&mut done);
            }
            match (stuck, next) {
                (Some(resource), _) if !given_up => from.clone_from(resource),
                (Some(resource), _) => {
                    tracing::warn!(resource = %shown(resource), "too busy to be thinned");
                    done.seen += visits.first().map_or(0, Visit::looked);
                    tries = 0;
                    let Some(after) = keys::end_of(resource) else { break };
                    from = after;
                }
                (None, Some(next)) => from = next,
                (None, None) => break,
            }
        }
        Ok(done)
    }

    /// Begins to note which resources are appended to, or stops.
    fn track(&self, on: bool) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.touched = on.then(Default::default);
    }

    /// Removes what was planned, up to the first resource that was appended to since.
    fn remove(&self, shop: &Shop, visits: &[Visit]) -> Result<Committed, JournalError> {
        if visits.iter().all(|visit| visit.removals.is_empty()) {
            return Ok(Committed::All);
        }
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if View::of(self).is_held(shop)? {
            return Ok(Committed::Held);
        }
        let touched = writing.touched.as_ref();
        let is_touched = |visit: &&Visit| touched.is_some_and(|t| t.contains(&visit.resource));
        let stuck = visits.iter().find(is_touched).map(|visit| visit.resource.clone());
        let mut batch = WriteBatch::default();
        let mut kinds: HashMap<Kind, u64> = HashMap::new();
        for visit in visits.iter().take_while(|visit| Some(&visit.resource) != stuck.as_ref()) {
            for key in &visit.removals {
                let (facet, position) = keys::split(key).at(|| shown(key))?;
                let (ResourceKey { kind, .. }, _) = keys::parse_facet(facet).at(|| shown(key))?;
                batch.delete_cf(self.family(Family::Versions), key);
                let moment = keys::at(&keys::of_shop(shop), position);
                batch.delete_cf(self.family(Family::Timeline), moment);
                *kinds.entry(kind).or_default() += 1;
            }
        }
        let mut tallies = Tallies::default();
        for (kind, removed) in kinds {
            let tally = tallies.kind(self, shop, &kind)?;
            tally.versions = tally.versions.saturating_sub(removed);
        }
        tallies.write(self, &mut batch);
        self.write(batch)?;
        drop(writing);
        Ok(stuck.map_or(Committed::All, Committed::Before))
    }
}

/// Whoever appends notes what to, and no longer once this is dropped.
struct Tracking<'s>(&'s Store);

impl Drop for Tracking<'_> {
    fn drop(&mut self) {
        self.0.track(false);
    }
}

impl Visit {
    fn looked(&self) -> u64 {
        self.kept + self.removals.len() as u64
    }

    /// Adds what was done; what is kept of a resource counts once it was looked at as a whole.
    fn count(&self, done: &mut Thinned) {
        let removed = self.removals.len() as u64;
        done.removed += removed;
        done.bytes += self.bytes;
        done.seen += if self.whole { self.looked() } else { removed };
    }
}

impl View<'_> {
    /// Whether somebody wants all of a shop's history kept.
    fn is_held(&self, shop: &Shop) -> Result<bool, JournalError> {
        let mut page = Page { cursor: None, ..Page::default() };
        loop {
            let holds = self.records(shop, HOLD, None, &page)?;
            if holds.items.iter().any(|hold| hold.payload.get("on") == Some(&true.into())) {
                return Ok(true);
            }
            page.cursor = holds.next;
            if page.cursor.is_none() {
                return Ok(false);
            }
        }
    }

    /// Plans what to remove from `from` on, and says where to go on; `None` at the end.
    fn walk(
        &self,
        shop: &Shop,
        from: &[u8],
        zones: Zones,
        most: Most,
    ) -> Result<(Vec<Visit>, Option<Vec<u8>>), JournalError> {
        let prefix = keys::of_shop(shop);
        let mut entries = self.scan_of(Family::Versions, &prefix);
        entries.seek(from);
        let (mut visits, mut looked, mut room) = (Vec::new(), 0, most.removals);
        while let Some((key, _)) = current(&entries, &prefix)? {
            let resource = key[..key.len().saturating_sub(POSITION_BYTES + 1)].to_vec();
            if looked >= most.looked || room == 0 {
                return Ok((visits, Some(resource)));
            }
            let visit = self.visit(&mut entries, resource, zones, room)?;
            looked += visit.looked();
            room -= visit.removals.len();
            let again = (!visit.whole).then(|| visit.resource.clone());
            visits.push(visit);
            if again.is_some() {
                return Ok((visits, again));
            }
        }
        Ok((visits, None))
    }

    /// Looks at all versions of the resource that the iterator stands at.
    fn visit(
        &self,
        entries: &mut Entries<'_>,
        resource: Vec<u8>,
        zones: Zones,
        room: usize,
    ) -> Result<Visit, JournalError> {
        let mut visit = Visit { resource, removals: Vec::new(), kept: 0, bytes: 0, whole: false };
        let mut ends: Option<Vec<Position>> = None;
        while let Some((key, _)) = current(entries, &visit.resource)? {
            let (facet, _) = keys::split(key).at(|| shown(key))?;
            let facet = facet.to_vec();
            let (resource, of) = keys::parse_facet(&facet).at(|| shown(&facet))?;
            let ends = match of {
                Facet::Core | Facet::Signal => &[],
                _ if ends.is_some() => ends.as_deref().unwrap_or_default(),
                _ => ends.insert(self.ends(&visit.resource)?).as_slice(),
            };
            let mut keeper = Keeper::new(zones, ends);
            let mut open = Open::default();
            while let Some((key, value)) = current(entries, &facet)? {
                let (_, position) = keys::split(key).at(|| shown(key))?;
                let record = Record::read(value).at(|| shown(key))?;
                let link = Link::of(of, position, &record);
                let completes = |newer: &Link| self.leaves_open(&facet, &resource, newer);
                if open.keeps(link, keeper.keeps(position, &record), completes) {
                    visit.kept += 1;
                } else if visit.removals.len() == room {
                    return Ok(visit);
                } else {
                    visit.removals.push(key.to_vec());
                    visit.bytes += record.body.bytes() as u64;
                }
                entries.next();
            }
        }
        visit.whole = true;
        Ok(visit)
    }

    /// When a resource ended, newest first.
    fn ends(&self, resource: &[u8]) -> Result<Vec<Position>, JournalError> {
        let core = [resource, &[Facet::Core.byte()]].concat();
        let mut entries = self.scan_of(Family::Versions, &core);
        entries.seek(&core);
        let mut ends = Vec::new();
        while let Some((key, value)) = current(&entries, &core)? {
            if Record::read(value).at(|| shown(key))?.is_tombstone() {
                ends.push(keys::split(key).at(|| shown(key))?.1);
            }
            entries.next();
        }
        Ok(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn whoever_appends_notes_nothing_for_a_walk_that_broke_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = Timestamp::from_micros(1_790_812_800_000_000);
        let store = Store::open(dir.path(), Options::for_testing(), now).expect("open");
        let shop = Shop::from_name("acme").expect("a shop");
        let mut batch = WriteBatch::default();
        let damaged = [keys::of_shop(&shop), b"no version".to_vec()].concat();
        batch.put_cf(store.family(Family::Versions), damaged, "");
        store.write(batch).expect("written");
        let retention = Retention { keep_all_days: 1, keep_daily: 1, keep_weekly: 1 };
        let thinned = store.thin(&shop, (retention, now), Mode::Apply, || false);
        assert!(matches!(thinned, Err(JournalError::Damaged(_))), "{thinned:?}");
        assert!(store.writing.lock().expect("sound").touched.is_none());
    }
}
