//! Messages → history, one synced write for a whole batch.
//!
//! An append MUST follow the order of the stream. Everything that an event changes MUST be in the
//! write that also raises the applied sequence, so that a crash leaves all of it or nothing and a
//! redelivered message finds itself applied. The stream is acknowledged only after that.
//!
//! An event is put where it belongs by its [`Position`]; nothing that is there already is rewritten,
//! because a version is a complete state. Late, repeated and reordered events therefore give the
//! same history as events in order.

use std::collections::{BTreeMap, HashMap};

use backstock_proto::erase::{ERASED_MESSAGES, ERASURE};
use backstock_proto::journal::Gap;
use backstock_proto::kind::Arrival;
use backstock_proto::{Event, Facet, Kind, Op, ResourceKey, Shop, Source, Timestamp, union};
use rocksdb::WriteBatch;

use crate::decode::{Decoded, Meaning, Message, Poison, Reading, Told};
use crate::erase::Case;
use crate::keys::{self, Position, meta};
use crate::ops::{self, Newest, Note};
use crate::options::Family;
use crate::quarantine;
use crate::record::{Body, Head, Moment, Record};
use crate::store::{At, Store, StoreError};
use crate::tally::{Existence, Tallies};

mod neighbour;

use neighbour::Neighbour;

/// What an append did.
#[derive(Debug, Default)]
pub struct Appended {
    /// The versions that were added, in order of the stream.
    pub stored: Vec<Stored>,
    /// Messages that the store had applied before.
    pub redelivered: u64,
    /// Deliveries that the store holds under another sequence.
    pub repeated: u64,
    /// Stream sequences that are missing.
    pub gaps: Vec<Gap>,
    /// Messages kept aside: sequence and reason.
    pub quarantined: Vec<(u64, String)>,
    /// How many of those had another payload than was published.
    pub digest_mismatches: u64,
    /// What a newer Backstock wrote. It and what follows it were not taken.
    pub newer: Option<Newer>,
}

/// A message that only a newer Backstock can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newer {
    /// Its sequence in the stream.
    pub seq: u64,
    /// The format of its envelope.
    pub format: u64,
}

/// One version that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The kind's name if it is understood, else `other`.
    pub kind: &'static str,
    /// How we came to know.
    pub source: Source,
    /// What happened.
    pub op: Op,
    /// Whether it said the same as the version before it, so that no payload was stored.
    pub marker: bool,
}

impl Store {
    /// Adds a batch in the order of the stream and syncs it. All of it, or nothing on an error; what
    /// comes before it, if there is something that only a newer Backstock can read.
    ///
    /// `now` is when a gap counts as noticed.
    pub fn append(&self, messages: &[Decoded], now: Timestamp) -> Result<Appended, StoreError> {
        let mut writing = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let applied = self.applied_seq();
        let mut draft = Draft::of(self);
        let mut expected = applied + 1;
        for message in messages {
            if message.seq < expected {
                draft.appended.redelivered += 1;
                continue;
            }
            for (from, to) in self.lost(expected, message.seq) {
                draft.gap(Gap::new(from, to, now));
            }
            match &message.reading {
                Reading::Event(meaning) => draft.learn(meaning, message.recorded_at)?,
                Reading::Note(note) => draft.note(note, message.seq, message.recorded_at)?,
                Reading::Poison(poison) => draft.poison(&poison.0, &poison.1)?,
                Reading::Newer(format) => {
                    draft.appended.newer = Some(Newer { seq: message.seq, format: *format });
                    break;
                }
            }
            expected = message.seq + 1;
        }
        if expected == applied + 1 {
            return Ok(draft.appended);
        }
        let Draft { mut batch, tallies, appended, heads, inserted, newly_erased, erases, .. } =
            draft;
        if let Some(touched) = &mut writing.touched {
            touched.extend(heads.keys().map(|facet| facet[..facet.len() - 1].to_vec()));
        }
        tallies.write(self, &mut batch);
        self.write_applied(batch, expected - 1, &inserted)?;
        self.keep_in_mind(newly_erased);
        if erases {
            self.erasing.notify_one();
        }
        Ok(appended)
    }
}

/// A batch being put together. Its events see those before them.
pub(crate) struct Draft<'s> {
    pub(crate) store: &'s Store,
    pub(crate) batch: WriteBatch,
    heads: HashMap<Vec<u8>, Option<Head>>,
    versions: BTreeMap<Vec<u8>, Neighbour>,
    /// The facets of versions that came before a newer one.
    inserted: Vec<Vec<u8>>,
    notes: Newest,
    tallies: Tallies,
    appended: Appended,
    record: Vec<u8>,
    /// Resources that turned out to speak of somebody who was erased.
    pub(crate) newly_erased: Vec<ResourceKey>,
    /// Erasures that were asked for, by shop and name.
    pub(crate) cases: HashMap<(Shop, String), Case>,
    /// Up to which sequence each shop was erased before this batch.
    pub(crate) gone: HashMap<Shop, u64>,
    /// Whether there is something to erase.
    pub(crate) erases: bool,
}

impl<'s> Draft<'s> {
    fn of(store: &'s Store) -> Self {
        Self {
            store,
            batch: WriteBatch::default(),
            heads: HashMap::new(),
            versions: BTreeMap::new(),
            inserted: Vec::new(),
            notes: Newest::default(),
            tallies: Tallies::default(),
            appended: Appended::default(),
            record: Vec::new(),
            newly_erased: Vec::new(),
            cases: HashMap::new(),
            gone: HashMap::new(),
            erases: false,
        }
    }

    fn gap(&mut self, gap: Gap) {
        let key = meta::numbered(meta::GAPS, gap.from_seq);
        self.batch.put_cf(self.store.family(Family::Meta), key, quarantine::gap_to_bytes(&gap));
        self.appended.gaps.push(gap);
    }

    fn note(&mut self, note: &Note, seq: u64, recorded_at: Timestamp) -> Result<(), StoreError> {
        let is_receipt = matches!(note.what.as_str(), ERASURE | ERASED_MESSAGES);
        if !is_receipt && self.went_with_its_shop(&note.shop, seq)? {
            return Ok(());
        }
        let left = self.left_of_note(note, seq)?;
        let note = left.as_ref().unwrap_or(note);
        ops::put(self.store, &mut self.batch, &mut self.notes, note, (seq, recorded_at))
    }

    fn poison(&mut self, message: &Message, poison: &Poison) -> Result<(), StoreError> {
        let shop = quarantine::shop_of(&message.subject);
        if let Some(shop) = &shop
            && self.went_with_its_shop(shop, message.seq)?
        {
            return Ok(());
        }
        let key = meta::numbered(meta::QUARANTINE, message.seq);
        let reason = poison.to_string();
        let left = self.left_of_poison(message);
        let kept = quarantine::to_bytes(left.as_ref().unwrap_or(message), &reason);
        self.batch.put_cf(self.store.family(Family::Meta), key, kept);
        if let Some(shop) = shop {
            self.tallies.shop(self.store, &shop)?.quarantined += 1;
        }
        self.appended.digest_mismatches += u64::from(poison.is_digest_mismatch());
        self.appended.quarantined.push((message.seq, reason));
        Ok(())
    }

    /// Takes an event in, without those who were erased.
    fn learn(&mut self, new: &Meaning, recorded_at: Timestamp) -> Result<(), StoreError> {
        if self.went_with_its_shop(&new.event.key.shop, new.position.seq)? {
            return Ok(());
        }
        let left = self.left_of(new)?;
        let new = left.as_ref().unwrap_or(new);
        let signal = self.signal_of(new)?;
        let new = signal.as_ref().unwrap_or(new);
        let again = self.told_again(new)?;
        self.event(again.as_ref().unwrap_or(new), recorded_at)
    }

    /// What a core that could not tell all of it says, where that is no other than the state before it: that
    /// state once more. Of the rest somebody is asked anyway. `None` if the event is to be taken as it is.
    fn told_again(&self, new: &Meaning) -> Result<Option<Meaning>, StoreError> {
        let Event { ref key, source, facet, op, ref payload, .. } = new.event;
        if facet != Facet::Core || op == Op::Delete || new.told != Told::InPart {
            return Ok(None);
        }
        let read = key.kind.read(Arrival { source, facet, op }, &key.id, payload);
        let told = read.ok().and_then(|read| read.state).filter(union::is_partial);
        let core = keys::of_facet(key, facet);
        let Some((told, before)) = told.zip(self.before(&core, new.position)?) else {
            return Ok(None);
        };
        if before.mapping != new.mapping {
            return Ok(None);
        }
        let known = self.state_of(&core, key, &before)?;
        let known = known.filter(|known| !union::is_partial(known));
        let is_again = known.is_some_and(|known| union::is_told_in_part(&known, &told));
        Ok(is_again.then(|| Meaning {
            mapping: new.mapping,
            hash: before.hash,
            position: new.position,
            listing: new.listing.clone(),
            erased: new.erased,
            told: Told::Whole,
            event: new.event.clone(),
        }))
    }

    /// What is to be kept of a core that Shopify has taken somebody out of, where it is known whom: that
    /// something was said. It is no other state. `None` if the event is to be taken as it is.
    fn signal_of(&self, new: &Meaning) -> Result<Option<Meaning>, StoreError> {
        if new.told != Told::Redacted {
            return Ok(None);
        }
        let Event { ref key, source, op, ref payload, .. } = new.event;
        let core = keys::of_facet(key, Facet::Core);
        let Some(before) = self.before(&core, new.position)? else { return Ok(None) };
        if !self.is_whole(&core, key, &before)? {
            return Ok(None);
        }
        let facet = Facet::Signal;
        let read = key.kind.read(Arrival { source, facet, op }, &key.id, payload);
        Ok(read.ok().map(|document| Meaning {
            mapping: new.mapping,
            hash: document.hash(),
            position: new.position,
            listing: document.listing,
            erased: new.erased,
            told: Told::InPart,
            event: Event { facet, ..new.event.clone() },
        }))
    }

    fn event(&mut self, new: &Meaning, recorded_at: Timestamp) -> Result<(), StoreError> {
        let facet = keys::of_facet(&new.event.key, new.event.facet);
        let head = self.head(&facet)?;
        let at = new.position;
        // Nothing is at or after a position behind the head's moment: one look-up is enough.
        let newest = head.as_ref().is_none_or(|head| {
            (at.valid_at, at.triggered_at) > (head.position.valid_at, head.position.triggered_at)
        });
        if !newest && self.is_repeated(&facet, new)? {
            self.appended.repeated += 1;
            return Ok(());
        }
        let before = match &head {
            Some(head) if at > head.position => Some(Neighbour::of_head(head)),
            Some(_) => self.before(&facet, at)?,
            None => None,
        };
        let same = match &before {
            Some(before) if self.same_state(&facet, before, new)? => {
                if !new.event.source.is_delivered() && before.position.valid_at == at.valid_at {
                    self.appended.repeated += 1;
                    return Ok(());
                }
                Some(before.payload_at)
            }
            _ => None,
        };
        let Event { source, op, earliest_at, ref key, .. } = new.event;
        let first_look = head.is_none() && is_first_look(&key.kind, source, op, earliest_at);
        self.put_version(&facet, new, recorded_at, (same, first_look));
        if head.as_ref().is_some_and(|head| at < head.position) {
            self.inserted.push(facet.clone());
        }
        self.put_head(facet, head, new, same.unwrap_or(at))?;
        let spec = new.event.key.kind.spec();
        self.appended.stored.push(Stored {
            kind: spec.map_or("other", |spec| spec.name),
            source: new.event.source,
            op: new.event.op,
            marker: same.is_some(),
        });
        Ok(())
    }

    fn head(&mut self, facet: &[u8]) -> Result<Option<Head>, StoreError> {
        if let Some(head) = self.heads.get(facet) {
            return Ok(head.clone());
        }
        let Some(value) = self.store.db().get_pinned_cf(self.store.family(Family::Heads), facet)?
        else {
            return Ok(None);
        };
        Head::from_bytes(&value).map(Some).at(|| format!("head {}", shown(facet)))
    }

    fn put_version(
        &mut self,
        facet: &[u8],
        new: &Meaning,
        recorded_at: Timestamp,
        (same, first_look): (Option<Position>, bool),
    ) {
        let event = &new.event;
        let record = Record {
            op: event.op,
            source: event.source,
            mapping: new.mapping,
            hash: new.hash,
            recorded_at,
            received_at: event.received_at,
            triggered: event.triggered_at.is_some(),
            topic: &event.topic,
            api_version: event.api_version.as_deref(),
            webhook_id: event.webhook_id.as_deref(),
            event_id: event.event_id.as_deref(),
            earliest_at: event.earliest_at,
            erased: new.erased,
            body: same.map_or(Body::Own(&event.payload), Body::SameAs),
        };
        self.record.clear();
        record.write(&mut self.record);
        let key = keys::at(facet, new.position);
        self.batch.put_cf(self.store.family(Family::Versions), &key, &self.record);
        let moment = Moment {
            op: event.op,
            source: event.source,
            facet: event.facet,
            kind: event.key.kind.clone(),
            id: event.key.id.clone(),
            first_look: Some(first_look),
        };
        let timeline = keys::at(&keys::of_shop(&event.key.shop), new.position);
        self.batch.put_cf(self.store.family(Family::Timeline), timeline, moment.to_bytes());
        let arrival = Arrival { source: event.source, facet: event.facet, op: event.op };
        let neighbour = Neighbour {
            position: new.position,
            payload_at: same.unwrap_or(new.position),
            mapping: new.mapping,
            hash: new.hash,
            delivery: event.webhook_id.clone().map(|id| (id, event.topic.clone())),
            told: Some(new.told),
            said: same.is_none().then(|| (arrival, event.payload.clone())),
        };
        self.versions.insert(key, neighbour);
    }

    /// The head changes only if the new version is the newest; what a deleted resource is shown as
    /// may also come later than its end.
    fn put_head(
        &mut self,
        facet: Vec<u8>,
        head: Option<Head>,
        new: &Meaning,
        payload_at: Position,
    ) -> Result<(), StoreError> {
        let at = new.position;
        let was = head.as_ref().map(|head| Existence::of(head.deleted));
        let deleted = new.event.op == Op::Delete;
        let head = match head {
            Some(mut head) if at < head.position => {
                if !deleted && head.deleted && head.shown_at.is_none_or(|shown| at > shown) {
                    head.shown_at = Some(at);
                    head.listing = new.listing.clone();
                    self.batch.put_cf(self.store.family(Family::Heads), &facet, head.to_bytes());
                }
                head
            }
            before => {
                let (shown_at, listing) = match before {
                    Some(before) if deleted => (before.shown_at, before.listing),
                    None if deleted => (None, new.listing.clone()),
                    _ => (Some(at), new.listing.clone()),
                };
                let head = Head {
                    position: at,
                    payload_at,
                    mapping: new.mapping,
                    hash: new.hash,
                    deleted,
                    source: Some(new.event.source),
                    shown_at,
                    listing,
                };
                self.batch.put_cf(self.store.family(Family::Heads), &facet, head.to_bytes());
                head
            }
        };
        let key = &new.event.key;
        let is = Existence::of(head.deleted);
        self.heads.insert(facet, Some(head));
        let tally = self.tallies.kind(self.store, &key.shop, &key.kind)?;
        tally.version(at.valid_at);
        if new.event.facet == Facet::Core {
            tally.existence(was, is);
        }
        let shop = self.tallies.shop(self.store, &key.shop)?;
        shop.newest_received_at = shop.newest_received_at.max(new.event.received_at);
        Ok(())
    }
}

/// Whether what came before everything else that is known of it is no news: a pull saw what had been so
/// for nobody knows how long. What a log tells of happened, whenever it is read.
pub(crate) fn is_first_look(
    kind: &Kind,
    source: Source,
    op: Op,
    earliest_at: Option<Timestamp>,
) -> bool {
    let pulled = matches!(source, Source::Pull | Source::Reconcile);
    pulled && op != Op::Delete && earliest_at.is_none() && !kind.is_log()
}

/// A key for people: its texts, without what follows them.
pub(crate) fn shown(key: &[u8]) -> String {
    let texts: Vec<String> =
        key.splitn(4, |b| *b == 0).take(3).map(|t| String::from_utf8_lossy(t).into()).collect();
    texts.join("/")
}
