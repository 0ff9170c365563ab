//! The versions beside which a new one is put, on disk or in the same batch, and what they say of it:
//! whether it is there already, and whether it is another state at all.

use backstock_proto::canonical::Hash;
use backstock_proto::kind::Arrival;
use backstock_proto::{Facet, ResourceKey};
use bytes::Bytes;
use serde_json::Value;

use super::{Draft, shown};
use crate::decode::{Meaning, Told};
use crate::keys::{self, Position};
use crate::options::Family;
use crate::record::{Head, Record};
use crate::store::{At, StoreError, until};

/// A version beside which a new one is put.
#[derive(Clone, Debug)]
pub(super) struct Neighbour {
    pub(super) position: Position,
    pub(super) payload_at: Position,
    pub(super) mapping: u8,
    pub(super) hash: Hash,
    pub(super) delivery: Option<(Box<str>, Box<str>)>,
    /// How much it tells, of those in this batch.
    pub(super) told: Option<Told>,
    /// Its payload, of those in this batch that have one of their own.
    pub(super) said: Option<(Arrival, Bytes)>,
}

impl Neighbour {
    pub(super) fn of_head(head: &Head) -> Self {
        let Head { position, payload_at, mapping, hash, .. } = *head;
        Self { position, payload_at, mapping, hash, delivery: None, told: None, said: None }
    }

    fn of_record(key: &[u8], value: &[u8]) -> Result<Self, StoreError> {
        let (_, position) = keys::split(key).at(|| shown(key))?;
        let record = Record::read(value).at(|| shown(key))?;
        Ok(Self {
            position,
            payload_at: record.payload_at(position),
            mapping: record.mapping,
            hash: record.hash,
            delivery: record.webhook_id.map(|id| (id.into(), record.topic.into())),
            told: None,
            said: None,
        })
    }
}

impl Draft<'_> {
    /// Whether a version of a core tells all of it.
    pub(super) fn is_whole(
        &self,
        core: &[u8],
        key: &ResourceKey,
        version: &Neighbour,
    ) -> Result<bool, StoreError> {
        let drafted = self.versions.get(&keys::at(core, version.position));
        if let Some(told) = drafted.and_then(|drafted| drafted.told) {
            return Ok(told == Told::Whole);
        }
        let state = self.state_of(core, key, version)?;
        Ok(key.kind.spec().zip(state).is_some_and(|(spec, state)| (spec.is_whole)(&state)))
    }

    /// What a version of a core tells, unless it is an end, or cannot be read any more.
    pub(super) fn state_of(
        &self,
        core: &[u8],
        key: &ResourceKey,
        version: &Neighbour,
    ) -> Result<Option<Value>, StoreError> {
        let at = keys::at(core, version.payload_at);
        let read = |arrival: Arrival, payload: &[u8]| {
            key.kind.read(arrival, &key.id, payload).ok().and_then(|read| read.state)
        };
        let drafted = self.versions.get(&at).and_then(|drafted| drafted.said.as_ref());
        if let Some((arrival, payload)) = drafted {
            return Ok(read(*arrival, payload.as_ref()));
        }
        let Some(value) = self.store.get(Family::Versions, &at)? else { return Ok(None) };
        let record = Record::read(&value).at(|| shown(core))?;
        if record.is_tombstone() {
            return Ok(None);
        }
        let payload = record.body.payload().at(|| shown(core))?;
        let arrival = Arrival { source: record.source, facet: Facet::Core, op: record.op };
        Ok(read(arrival, payload))
    }

    /// Whether the store holds this very delivery at this very moment, under another sequence.
    pub(super) fn is_repeated(&self, facet: &[u8], new: &Meaning) -> Result<bool, StoreError> {
        let Some(webhook_id) = new.event.webhook_id.as_deref() else { return Ok(false) };
        let mut key = keys::at(facet, Position { seq: u64::MAX, ..new.position });
        while let Some((found, neighbour)) = self.at_or_after(facet, &key)? {
            let (_, position) = keys::split(&found).at(|| shown(facet))?;
            if !position.same_moment(new.position) {
                return Ok(false);
            }
            let same = |(id, topic): &(Box<str>, Box<str>)| {
                **id == *webhook_id && *topic == new.event.topic
            };
            if neighbour.delivery.as_ref().is_some_and(same) {
                return Ok(true);
            }
            key = found;
            key.push(0);
        }
        Ok(false)
    }

    /// The version before a position, in the order of history.
    pub(super) fn before(
        &self,
        facet: &[u8],
        at: Position,
    ) -> Result<Option<Neighbour>, StoreError> {
        let found = self.at_or_after(facet, &keys::at(facet, at))?;
        Ok(found.map(|(_, neighbour)| neighbour))
    }

    /// The first version of a facet at or after `key` in key order: on disk or in this batch.
    fn at_or_after(
        &self,
        facet: &[u8],
        key: &[u8],
    ) -> Result<Option<(Vec<u8>, Neighbour)>, StoreError> {
        let drafted = self.versions.range(key.to_vec()..).next();
        let drafted = drafted.filter(|(key, _)| key.starts_with(facet));
        let family = self.store.family(Family::Versions);
        let mut on_disk = self.store.db().raw_iterator_cf_opt(family, until(keys::end_of(facet)));
        on_disk.seek(key);
        on_disk.status()?;
        Ok(match (on_disk.item(), drafted) {
            (Some((key, value)), drafted)
                if drafted.is_none_or(|(other, _)| key < other.as_slice()) =>
            {
                Some((key.to_vec(), Neighbour::of_record(key, value)?))
            }
            (_, drafted) => drafted.map(|(key, neighbour)| (key.clone(), neighbour.clone())),
        })
    }

    /// Whether the new state is the one before it. Hashes of different mappings say nothing; the
    /// older payload is then read again with the present one.
    pub(super) fn same_state(
        &self,
        facet: &[u8],
        before: &Neighbour,
        new: &Meaning,
    ) -> Result<bool, StoreError> {
        if before.mapping == new.mapping || before.hash == Hash::NONE || new.hash == Hash::NONE {
            return Ok(before.hash == new.hash);
        }
        let Some(value) = self.store.get(Family::Versions, &keys::at(facet, before.payload_at))?
        else {
            return Ok(false);
        };
        let record = Record::read(&value).at(|| shown(facet))?;
        let payload = record.body.payload().at(|| shown(facet))?;
        let key = &new.event.key;
        let arrival = Arrival { source: record.source, facet: new.event.facet, op: record.op };
        let reread = key.kind.read(arrival, &key.id, payload);
        Ok(reread.is_ok_and(|document| document.hash() == new.hash))
    }
}
