//! Reads everything back: every block's checksum, every payload's digest, every hash, and whether
//! the families agree with each other. When it is asked for, and once a night.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::canonical::Hash;
use backstock_proto::cron::Cron;
use backstock_proto::journal::{JournalError, VerifyReport};
use backstock_proto::kind::Arrival;
use backstock_proto::stream::Partition;
use backstock_proto::time::Clock;
use backstock_proto::{Facet, Kind, Op, ResourceKey, Shop, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::append::shown;
use crate::keys::{self, Position, meta};
use crate::ops;
use crate::options::Family;
use crate::read::View;
use crate::record::{Body, Head, Moment, Reader, Record, RecordError};
use crate::store::{At, Store, StoreError};
use crate::tally::{Existence, KindTally};

/// Most faults that a report spells out.
const FAULTS_MAX: usize = 1_000;

/// Faults that a night's check logs.
const FAULTS_LOGGED: usize = 10;
/// Entries that are read between two looks at the clock.
const ENTRIES_TOGETHER: u64 = 256;
/// How often it looks whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How much of the machine reading everything back may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// All that it can: somebody waits.
    Brisk,
    /// It rests as long as it works.
    Gentle,
}

/// Reads a store back every night, until `shutdown`. A night that was missed is made up for.
pub async fn nightly(
    store: Arc<Store>,
    partition: Partition,
    cron: Cron,
    clock: Arc<dyn Clock>,
    shutdown: CancellationToken,
) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let mut tried = Timestamp::MIN;
    while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
        let now = clock.now();
        let of = store.clone();
        let last = tokio::task::spawn_blocking(move || of.verified_at()).await;
        let last = last.ok().and_then(Result::ok).flatten().unwrap_or(store.created_at());
        // What lies ahead is of a clock that was wrong.
        let last = [last, tried].into_iter().filter(|at| *at <= now).max();
        if last.is_some_and(|last| cron.last(now) <= last) {
            continue;
        }
        tried = now;
        match verify(&store, now, Pace::Gentle, shutdown.child_token()).await {
            Ok(report) if report.faults_total == 0 => tracing::info!(
                partition,
                versions = report.versions,
                seconds = report.seconds,
                "read everything back; all of it holds"
            ),
            Ok(VerifyReport { faults, faults_total, .. }) => {
                tracing::error!(partition, faults_total, "stored history is damaged");
                for fault in faults.iter().take(FAULTS_LOGGED) {
                    tracing::error!(partition, "{fault}");
                }
            }
            Err(_) if shutdown.is_cancelled() => return,
            Err(error) => tracing::error!(partition, %error, "failed to read everything back"),
        }
    }
}

/// Reads everything back on a thread that may block, and keeps what came of it. Ends early when
/// `stop` says so or nobody waits any more.
pub(crate) async fn verify(
    store: &Arc<Store>,
    now: Timestamp,
    pace: Pace,
    stop: CancellationToken,
) -> Result<VerifyReport, JournalError> {
    let _stops_with_this = stop.clone().drop_guard();
    let of = store.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let report = View::of(&of).verify(pace, &stop);
        if stop.is_cancelled() {
            return Err(JournalError::Unavailable("reading everything back was stopped".into()));
        }
        // The report stands even if its date cannot be kept.
        if let Err(error) = of.set_verified(now, report.faults_total) {
            tracing::warn!(%error, "failed to keep the date of a verification");
        }
        Ok(report)
    });
    reading.await.map_err(|error| JournalError::Storage(format!("verifying panicked: {error}")))?
}

impl View<'_> {
    /// Reads everything back. A fault is a line in the report, never an end of the check, except
    /// that a family cannot be read on behind a damaged block.
    fn verify(&self, pace: Pace, stop: &CancellationToken) -> VerifyReport {
        let started = Instant::now();
        let mut check = Check {
            view: self,
            report: VerifyReport::default(),
            kinds: BTreeMap::new(),
            pace,
            stop,
            entries: 0,
            worked_since: started,
        };
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
    pace: Pace,
    stop: &'v CancellationToken,
    /// Entries read so far.
    entries: u64,
    /// The end of the last rest.
    worked_since: Instant,
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
            if self.is_stopped() {
                return;
            }
            if let Err(error) = each(self, key, value) {
                self.fault(format!("{} {}: {error}", family.name(), shown(key)));
            }
            entries.next();
        }
        if let Err(error) = entries.status() {
            self.fault(format!("{} cannot be read to its end: {error}", family.name()));
        }
    }

    /// Whether it is to end; rests, where it is to be gentle.
    fn is_stopped(&mut self) -> bool {
        self.entries += 1;
        if !self.entries.is_multiple_of(ENTRIES_TOGETHER) {
            return false;
        }
        if self.pace == Pace::Gentle {
            std::thread::sleep(self.worked_since.elapsed());
            self.worked_since = Instant::now();
        }
        self.stop.is_cancelled()
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
        let same = (head.position, head.payload_at, head.hash, head.deleted)
            == (position, record.payload_at(position), record.hash, record.is_tombstone());
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
