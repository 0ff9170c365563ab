//! Reads everything back: every block's checksum, every payload's digest, every hash, and whether
//! the families agree with each other.

use std::collections::BTreeMap;
use std::time::Instant;

use backstock_proto::canonical::Hash;
use backstock_proto::journal::VerifyReport;
use backstock_proto::kind::Arrival;
use backstock_proto::{Facet, Kind, Op, ResourceKey, Shop};

use crate::append::shown;
use crate::keys::{self, Position, meta};
use crate::ops;
use crate::options::Family;
use crate::read::View;
use crate::record::{Body, Head, Moment, Reader, Record, RecordError};
use crate::store::{At, StoreError};
use crate::tally::{Existence, KindTally};

/// Most faults that a report spells out.
const FAULTS_MAX: usize = 1_000;

impl View<'_> {
    /// Reads everything back. A fault is a line in the report, never an end of the check, except
    /// that a family cannot be read on behind a damaged block.
    pub(crate) fn verify(&self) -> VerifyReport {
        let started = Instant::now();
        let mut check =
            Check { view: self, report: VerifyReport::default(), kinds: BTreeMap::new() };
        let facets = check.versions();
        check.count(Family::Heads, facets, "facets with versions");
        check.count(Family::Timeline, check.report.versions, "versions");
        check.tallies();
        check.records();
        for family in [Family::Identity, Family::Meta] {
            check.each(family, |_, _, _| Ok(()));
        }
        check.report.seconds = started.elapsed().as_secs_f64();
        check.report
    }
}

struct Check<'v> {
    view: &'v View<'v>,
    report: VerifyReport,
    kinds: BTreeMap<(Shop, Kind), KindTally>,
}

impl Check<'_> {
    /// The last sequence that the snapshot holds; the store itself may be further.
    fn applied(&mut self) -> u64 {
        let stored = self.view.get(Family::Meta, meta::APPLIED).and_then(|value| {
            let Some(value) = value else { return Ok(0) };
            Reader::of(&value).and_then(|mut from| from.number()).at(|| "meta applied".into())
        });
        stored.unwrap_or_else(|error| {
            self.fault(format!("the applied sequence cannot be read: {error}"));
            0
        })
    }

    fn fault(&mut self, fault: String) {
        self.report.faults_total += 1;
        if self.report.faults.len() < FAULTS_MAX {
            self.report.faults.push(fault);
        }
    }

    /// Calls `each` with every entry of a family, and notes what it finds wrong.
    fn each(
        &mut self,
        family: Family,
        mut each: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), StoreError>,
    ) {
        let mut entries = self.view.scan(family);
        entries.seek_to_first();
        while let Some((key, value)) = entries.item() {
            if let Err(error) = each(self, key, value) {
                self.fault(format!("{} {}: {error}", family.name(), shown(key)));
            }
            entries.next();
        }
        if let Err(error) = entries.status() {
            self.fault(format!("{} cannot be read to its end: {error}", family.name()));
        }
    }

    fn count(&mut self, family: Family, expected: u64, of: &str) {
        let mut found = 0;
        self.each(family, |_, _, _| {
            found += 1;
            Ok(())
        });
        if found != expected {
            let family = family.name();
            self.fault(format!("{family} has {found} entries, there are {expected} {of}"));
        }
    }

    /// Checks every version and all that belongs to it. Returns how many facets there are.
    fn versions(&mut self) -> u64 {
        let applied = self.applied();
        let mut facet: Vec<u8> = Vec::new();
        let mut facets = 0;
        self.each(Family::Versions, |check, key, value| {
            let (prefix, position) = keys::split(key).at(|| shown(key))?;
            let record = Record::read(value).at(|| shown(key))?;
            let (resource, part) = keys::parse_facet(prefix).at(|| shown(key))?;
            check.report.versions += 1;
            let newest = prefix != facet;
            if newest {
                facet = prefix.to_vec();
                facets += 1;
            }
            check.tally(&resource, &record, position, newest && part == Facet::Core);
            if position.seq > applied {
                check.fault(format!("{resource}: version {} is not applied yet", position.seq));
            }
            check.moment(&resource, &record, position)?;
            if newest {
                check.head(&facet, &resource, &record, position)?;
            }
            check.body(&facet, &resource, &record, position)
        });
        facets
    }

    fn tally(&mut self, key: &ResourceKey, record: &Record<'_>, at: Position, core_head: bool) {
        let tally = self.kinds.entry((key.shop.clone(), key.kind.clone())).or_default();
        tally.version(at.valid_at);
        if core_head {
            tally.existence(None, Existence::of(record.is_tombstone()));
        }
    }

    fn moment(
        &mut self,
        key: &ResourceKey,
        record: &Record<'_>,
        position: Position,
    ) -> Result<(), StoreError> {
        let at = keys::at(&keys::of_shop(&key.shop), position);
        let Some(stored) = self.view.get(Family::Timeline, &at)? else {
            self.fault(format!("{key}: version {} is not in the timeline", position.seq));
            return Ok(());
        };
        let moment = Moment::from_bytes(&stored).at(|| format!("timeline {key}"))?;
        let same = (&moment.kind, &moment.id, moment.op, moment.source)
            == (&key.kind, &key.id, record.op, record.source);
        if !same {
            self.fault(format!("{key}: the timeline says otherwise of version {}", position.seq));
        }
        Ok(())
    }

    fn head(
        &mut self,
        facet: &[u8],
        key: &ResourceKey,
        record: &Record<'_>,
        position: Position,
    ) -> Result<(), StoreError> {
        let Some(stored) = self.view.get(Family::Heads, facet)? else {
            self.fault(format!("{key}: has versions but no head"));
            return Ok(());
        };
        let head = Head::from_bytes(&stored).at(|| format!("head {key}"))?;
        let same = (head.position, head.hash, head.deleted)
            == (position, record.hash, record.is_tombstone());
        if !same {
            self.fault(format!("{key}: the head is not version {}", position.seq));
        }
        Ok(())
    }

    /// Checks a payload against its digest and its hash, or a marker against what it names.
    fn body(
        &mut self,
        facet: &[u8],
        key: &ResourceKey,
        record: &Record<'_>,
        position: Position,
    ) -> Result<(), StoreError> {
        let Body::SameAs(named) = record.body else {
            let payload = record.body.payload().at(|| key.to_string())?;
            self.report.bytes += payload.len() as u64;
            if record.mapping == key.kind.mapping() {
                let hash = match record.op {
                    Op::Delete => Ok(Hash::NONE),
                    Op::Create | Op::Update => {
                        let facet = keys::parse_facet(facet).at(|| key.to_string())?.1;
                        let arrival = Arrival { source: record.source, facet, op: record.op };
                        key.kind.read(arrival, &key.id, payload).map(|document| document.hash())
                    }
                };
                if !hash.is_ok_and(|hash| hash == record.hash) {
                    self.fault(format!("{key}: version {} has another hash", position.seq));
                }
            }
            return Ok(());
        };
        let target = self.view.get(Family::Versions, &keys::at(facet, named))?;
        let target = target.as_deref().map(Record::read).transpose().at(|| key.to_string())?;
        let same = target.is_some_and(|target| {
            matches!(target.body, Body::Own(_))
                && (target.hash == record.hash || target.mapping != record.mapping)
        });
        if !same {
            let (seq, named) = (position.seq, named.seq);
            self.fault(format!("{key}: version {seq} names {named}, which does not say the same"));
        }
        Ok(())
    }

    /// Checks every record, and that the newest of each id is listed as such.
    fn records(&mut self) {
        let applied = self.applied();
        let (mut said, mut ids, mut listed) = (Vec::new(), 0_u64, 0_u64);
        self.each(Family::Ops, |check, key, value| {
            let (prefix, seq) = keys::ops::split(key).at(|| shown(key))?;
            if keys::ops::is_newest(prefix) {
                listed += 1;
                return Ok(());
            }
            let (shop, what, id) = keys::ops::parse(prefix).at(|| shown(key))?;
            ops::said_from_bytes(value, (what, id, seq)).at(|| shown(key))?;
            if seq > applied {
                check.fault(format!("{shop}: record {seq} of {what} {id} is not applied yet"));
            }
            if prefix != said.as_slice() {
                said = prefix.to_vec();
                ids += 1;
                let newest = keys::ops::at(&keys::ops::newest(&shop, what), seq);
                let newest = check.view.get(Family::Ops, &newest)?;
                let named = newest.as_deref().map(ops::newest_from_bytes).transpose();
                if named.at(|| shown(key))? != Some(id) {
                    check.fault(format!("{shop}: the newest record of {what} {id} is not listed"));
                }
            }
            Ok(())
        });
        if listed != ids {
            self.fault(format!("{listed} records are listed as the newest, there are {ids} ids"));
        }
    }

    fn tallies(&mut self) {
        let mut stored = BTreeMap::new();
        let read = self.view.each_meta(meta::SHOPS, |key, _| {
            let shop = Shop::from_name(meta::last_text(key)?).map_err(|_| RecordError::Key)?;
            stored.insert(shop, ());
            Ok(())
        });
        let mut found: BTreeMap<(Shop, Kind), KindTally> = BTreeMap::new();
        let read = read.and_then(|()| {
            stored.keys().try_for_each(|shop| {
                self.view.each_meta(&meta::kinds_of(shop), |key, value| {
                    let kind = Kind::parse(meta::last_text(key)?).map_err(|_| RecordError::Key)?;
                    found.insert((shop.clone(), kind), KindTally::from_bytes(value)?);
                    Ok(())
                })
            })
        });
        if let Err(error) = read {
            self.fault(format!("tallies: {error}"));
        }
        if found != self.kinds {
            self.fault("the tallies are not what there is".into());
        }
    }
}
