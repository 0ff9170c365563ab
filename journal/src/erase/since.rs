//! What came of a shop since its erasure was asked for. Nothing of it may lean on what goes: so it is
//! taken in once more, in a store of its own, and takes the place of all that there was in one write.

use backstock_proto::erase::{ERASED_MESSAGES, ERASURE};
use backstock_proto::{Event, ResourceKey, Shop, Timestamp};
use bytes::Bytes;
use rocksdb::WriteBatch;

use crate::append::shown;
use crate::checkpoint;
use crate::decode::{Decoded, Meaning, Reading, Told};
use crate::keys::{self, Position, meta, ops as ops_keys};
use crate::ops::{self, Note};
use crate::options::{Family, Options};
use crate::read::View;
use crate::record::{Body, Moment, Record, RecordError};
use crate::store::{At, Store, StoreError};
use crate::tally::Tallies;

/// Messages taken in together.
const TOGETHER: usize = 512;

/// Messages of a shop.
pub(super) struct Since {
    shop: Shop,
    /// Those that became history, in the order of the stream.
    messages: Vec<Decoded>,
    /// How many were kept aside; they stay where they are.
    pub(super) aside: u64,
}

impl Since {
    /// What came after a sequence.
    pub(super) fn of(view: &View<'_>, shop: &Shop, upto: u64) -> Result<Self, StoreError> {
        let mut messages = Vec::new();
        if view.store.applied_seq() > upto {
            view.events_since(shop, upto, &mut messages)?;
            view.records_since(shop, upto, &mut messages)?;
            messages.sort_by_key(|message| message.seq);
        }
        Ok(Self { shop: shop.clone(), messages, aside: 0 })
    }

    pub(super) fn versions(&self) -> u64 {
        let events = self.messages.iter();
        events.filter(|message| matches!(message.reading, Reading::Event(_))).count() as u64
    }

    pub(super) fn records(&self) -> u64 {
        self.messages.len() as u64 - self.versions()
    }

    /// Puts it into a batch that removes all that there is of the shop.
    pub(super) fn put(&self, store: &Store, batch: &mut WriteBatch) -> Result<(), StoreError> {
        if self.messages.is_empty() && self.aside == 0 {
            return Ok(());
        }
        let path = store.path();
        let dir = checkpoint::beside(path)
            .map_err(|source| StoreError::Beside { path: path.to_owned(), source })?;
        let alone = Store::open(dir.path(), Options::default().divided(8), Timestamp::MIN)?;
        for some in self.messages.chunks(TOGETHER) {
            alone.append(some, Timestamp::MIN)?;
        }
        let view = View::of(&alone);
        let whole = keys::of_shop(&self.shop);
        let history = [Family::Versions, Family::Heads, Family::Timeline, Family::Ops];
        let history = history.map(|family| (family, whole.clone()));
        let known =
            [meta::kinds_of(&self.shop), meta::whole_of(&self.shop), meta::shop(&self.shop)];
        let known = known.map(|prefix| (Family::Meta, prefix));
        for (family, prefix) in history.into_iter().chain(known) {
            view.each_of(family, &prefix, |key, value| {
                batch.put_cf(store.family(family), key, value);
                Ok(())
            })?;
        }
        if self.aside > 0 {
            let mut tallies = Tallies::default();
            tallies.shop(&alone, &self.shop)?.quarantined = self.aside;
            tallies.write(store, batch);
        }
        Ok(())
    }
}

impl View<'_> {
    fn events_since(
        &self,
        shop: &Shop,
        upto: u64,
        messages: &mut Vec<Decoded>,
    ) -> Result<(), StoreError> {
        self.each_of(Family::Timeline, &keys::of_shop(shop), |stored, value| {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            if position.seq > upto {
                let moment = Moment::from_bytes(value).at(|| shown(stored))?;
                messages.push(self.event_again(shop, moment, position)?);
            }
            Ok(())
        })
    }

    /// The event that a version comes of. Where it says the same as another, it has that one's words.
    fn event_again(
        &self,
        shop: &Shop,
        moment: Moment,
        position: Position,
    ) -> Result<Decoded, StoreError> {
        let Moment { kind, id, facet, .. } = moment;
        let key = ResourceKey { shop: shop.clone(), kind, id };
        let prefix = keys::of_facet(&key, facet);
        let read = |position: Position| {
            let stored = keys::at(&prefix, position);
            let missing = RecordError::Malformed("it stands in the timeline only");
            let found = self.get(Family::Versions, &stored)?;
            found.ok_or(missing).at(|| shown(&stored))
        };
        let value = read(position)?;
        let record = Record::read(&value).at(|| key.to_string())?;
        let holder = match record.body {
            Body::SameAs(other) => Some(read(other)?),
            Body::Own(_) => None,
        };
        let holder = holder.as_deref().map(Record::read).transpose().at(|| key.to_string())?;
        let said = holder.as_ref().unwrap_or(&record);
        let payload = said.body.payload().at(|| key.to_string())?;
        // Words that came in another way are read as they came.
        let delivered = [&record, said].into_iter().any(|record| record.source.is_delivered());
        let event = Event {
            facet,
            op: record.op,
            source: if delivered { said.source } else { record.source },
            topic: record.topic.into(),
            api_version: record.api_version.map(Into::into),
            webhook_id: record.webhook_id.map(Into::into),
            event_id: record.event_id.map(Into::into),
            triggered_at: record.triggered.then_some(position.triggered_at),
            received_at: record.received_at,
            valid_at: Some(position.valid_at),
            earliest_at: record.earliest_at,
            payload: Bytes::copy_from_slice(payload),
            key: key.clone(),
        };
        let unreadable = |_| RecordError::Malformed("its payload can no longer be read");
        let meaning = Meaning::of(event, position.seq).map_err(unreadable);
        // What it leaves open was settled when it came.
        let (erased, told) = (record.erased, Told::Whole);
        let meaning = Meaning { erased, told, ..meaning.at(|| key.to_string())? };
        Ok(Decoded {
            seq: position.seq,
            recorded_at: record.recorded_at,
            trace: None,
            reading: Reading::Event(Box::new(meaning)),
        })
    }

    fn records_since(
        &self,
        shop: &Shop,
        upto: u64,
        messages: &mut Vec<Decoded>,
    ) -> Result<(), StoreError> {
        self.each_of(Family::Ops, &keys::of_shop(shop), |key, value| {
            let (said, seq) = ops_keys::split(key).at(|| shown(key))?;
            if seq > upto && !ops_keys::is_newest(said) {
                let (shop, what, id) = ops_keys::parse(said).at(|| shown(key))?;
                let (recorded_at, payload) = ops::said_as_it_came(value).at(|| shown(key))?;
                // Receipts of erasures stay where they are.
                if !matches!(what, ERASURE | ERASED_MESSAGES) {
                    let payload = Bytes::copy_from_slice(payload);
                    let note = Note { shop, what: what.into(), id: id.into(), payload };
                    let reading = Reading::Note(Box::new(note));
                    messages.push(Decoded { seq, recorded_at, trace: None, reading });
                }
            }
            Ok(())
        })
    }
}
