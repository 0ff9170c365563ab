//! Questions about history, answered from one snapshot of the store. Everything here blocks on the
//! disk; [`crate::Reader`] calls it from threads that may.

mod history;
mod list;
mod mention;
mod rebuilt;
mod records;
mod status;
mod touched;

pub(crate) use status::Healed;

use backstock_proto::canonical::Hash;
use backstock_proto::journal::{AsOf, JournalError, Resource, Version};
use backstock_proto::kind::{Arrival, Document};
use backstock_proto::{Facet, Kind, Op, ResourceId, ResourceKey, Shop, Timestamp, union};
use rocksdb::{DB, DBPinnableSlice, DBRawIteratorWithThreadMode};
use serde_json::Value;

use crate::append::shown;
use crate::keys::{self, Position};
use crate::options::Family;
use crate::record::{Body, Record};
use crate::store::{At, Snapshot, Store, StoreError, until};

/// Entries that a page looks at, at most: whoever looks for what few or none have gets an answer soon, and
/// goes on from there.
const LOOKED_MAX: usize = 100_000;

/// How many versions are looked back for what one does not tell.
pub(crate) const LOOK_BACK_MAX: usize = 32;

pub(crate) type Entries<'a> = DBRawIteratorWithThreadMode<'a, DB>;

/// The store at one moment.
pub(crate) struct View<'s> {
    pub(crate) store: &'s Store,
    /// Of what is remembered; asked for before the snapshot was taken.
    epoch: u64,
    snapshot: Snapshot<'s>,
}

/// A version beside another: what tells whether their states are the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    arrival: Arrival,
    position: Position,
    mapping: u8,
    hash: Hash,
    payload_at: Position,
}

/// A version as it stands in the store, with its payload if it has one of its own and that is wanted.
struct Entry {
    version: Version,
    link: Link,
    payload: Option<Vec<u8>>,
}

/// What of a version is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// All of it.
    Whole,
    /// What is said of it: its payload, which is most of it, is neither checked nor copied.
    Bare,
}

/// A facet's newest version by some moment, and the one before it.
struct Part {
    entry: Entry,
    before: Option<Link>,
}

impl<'s> View<'s> {
    pub(crate) fn of(store: &'s Store) -> Self {
        let epoch = store.facts.epoch();
        Self { store, epoch, snapshot: store.snapshot() }
    }

    /// Entries of a family that begin with `prefix`.
    pub(crate) fn entries(&self, family: Family, prefix: &[u8]) -> Entries<'_> {
        let options = until(keys::end_of(prefix));
        self.snapshot.raw_iterator_cf_opt(self.store.family(family), options)
    }

    /// All entries of a family, without crowding out what readers have in the cache.
    pub(crate) fn scan(&self, family: Family) -> Entries<'_> {
        self.scan_of(family, &[])
    }

    /// The same, of those that begin with `prefix`.
    pub(crate) fn scan_of(&self, family: Family, prefix: &[u8]) -> Entries<'_> {
        let mut options = until(keys::end_of(prefix));
        options.fill_cache(false);
        options.set_readahead_size(2 << 20);
        self.snapshot.raw_iterator_cf_opt(self.store.family(family), options)
    }

    /// Shows each of those, from the first to the last.
    pub(crate) fn each_of(
        &self,
        family: Family,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut entries = self.scan_of(family, prefix);
        entries.seek(prefix);
        while let Some((key, value)) = current(&entries, prefix)? {
            each(key, value)?;
            entries.next();
        }
        Ok(())
    }

    pub(crate) fn get(
        &self,
        family: Family,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StoreError> {
        Ok(self.snapshot.get_pinned_cf_opt(self.store.family(family), key, until(None))?)
    }

    /// One resource. `None` if it had never existed by then.
    pub(crate) fn resource(
        &self,
        key: &ResourceKey,
        at: AsOf,
    ) -> Result<Option<Resource>, JournalError> {
        let mut entries = self.entries(Family::Versions, &keys::of_resource(key));
        self.resource_from(&mut entries, key, at)
    }

    /// The same, with an iterator over the versions of many resources. One seek for each facet that
    /// the kind has.
    fn resource_from(
        &self,
        entries: &mut Entries<'_>,
        key: &ResourceKey,
        at: AsOf,
    ) -> Result<Option<Resource>, JournalError> {
        let core = keys::of_facet(key, Facet::Core);
        let until = Position::from(at.bound());
        let Some(part) = self.part(entries, &core, until)? else { return Ok(None) };
        let deleted = part.entry.link.is_end();
        // What was learned of it after its end is no part of it.
        let until = if deleted { part.entry.link.position } else { until };
        let mut state = self.last_state(entries, &core, key, &part)?;
        let mut newest = (core, part);
        for (facet, part) in self.other_parts(entries, key, until)? {
            let Entry { link, payload, .. } = &part.entry;
            if !link.is_end() {
                let part = self.state(&facet, key, link, payload.as_deref())?;
                union::lay(facet_of(&facet)?, &mut state, part);
            }
            if link.position > newest.1.entry.link.position {
                newest = (facet, part);
            }
        }
        let (facet, Part { entry: Entry { mut version, link, .. }, before }) = newest;
        version.unchanged = self.unchanged(&facet, key, &link, before.as_ref())?;
        Ok(Some(Resource {
            shop: key.shop.clone(),
            kind: key.kind.clone(),
            id: key.id.clone(),
            gid: key.kind.gid_of(&key.id, &state),
            deleted,
            version,
            state,
        }))
    }

    /// The same, unless it is not there by then.
    fn living_from(
        &self,
        entries: &mut Entries<'_>,
        key: &ResourceKey,
        at: AsOf,
    ) -> Option<Result<Resource, JournalError>> {
        let found = self.resource_from(entries, key, at).transpose();
        found.filter(|found| !matches!(found, Ok(found) if found.deleted))
    }

    /// Some of a kind's resources, in the order in which they are named.
    pub(crate) fn several(
        &self,
        shop: &Shop,
        kind: &Kind,
        ids: &[ResourceId],
        at: AsOf,
    ) -> Result<Vec<Option<Resource>>, JournalError> {
        let mut entries = self.entries(Family::Versions, &keys::of_kind(shop, kind));
        let key = |id: &ResourceId| ResourceKey {
            shop: shop.clone(),
            kind: kind.clone(),
            id: id.clone(),
        };
        ids.iter().map(|id| self.resource_from(&mut entries, &key(id), at)).collect()
    }

    /// The newest version by a position of each facet but the core, in the order in which they make
    /// up a resource. A seek for a facet of which there is none ends at the next that there is.
    fn other_parts(
        &self,
        entries: &mut Entries<'_>,
        key: &ResourceKey,
        until: Position,
    ) -> Result<Vec<(Vec<u8>, Part)>, StoreError> {
        let resource = keys::of_resource(key);
        let mut facets: Vec<(Facet, usize)> = key.kind.facets().zip(0..).skip(1).collect();
        facets.sort_unstable();
        let mut parts = Vec::new();
        let mut next = Some(u8::MIN);
        for (facet, order) in facets {
            if next.is_none_or(|next| facet.byte() < next) {
                continue;
            }
            let prefix = keys::of_facet(key, facet);
            if let Some(part) = self.part(entries, &prefix, until)? {
                parts.push((order, prefix, part));
            } else {
                let stands_at = current(entries, &resource)?;
                next = stands_at.and_then(|(key, _)| key.get(resource.len()).copied());
            }
        }
        parts.sort_unstable_by_key(|(order, ..)| *order);
        Ok(parts.into_iter().map(|(_, prefix, part)| (prefix, part)).collect())
    }

    /// The newest version of a facet that is not after a position. Leaves the iterator at the one
    /// before it.
    fn part(
        &self,
        entries: &mut Entries<'_>,
        facet: &[u8],
        until: Position,
    ) -> Result<Option<Part>, StoreError> {
        self.part_read(entries, facet, until, Read::Whole)
    }

    fn part_read(
        &self,
        entries: &mut Entries<'_>,
        facet: &[u8],
        until: Position,
        read: Read,
    ) -> Result<Option<Part>, StoreError> {
        entries.seek(keys::at(facet, until));
        let Some(entry) = entry(entries, facet, read)? else { return Ok(None) };
        entries.next();
        Ok(Some(Part { entry, before: self.link(entries, facet)? }))
    }

    /// What a facet says; of one that has ended, what it said last, where known.
    fn last_state(
        &self,
        entries: &mut Entries<'_>,
        facet: &[u8],
        key: &ResourceKey,
        part: &Part,
    ) -> Result<Value, JournalError> {
        let Entry { link, payload, .. } = &part.entry;
        if !link.is_end() {
            return self.state(facet, key, link, payload.as_deref());
        }
        match self.last_living(entries, facet)? {
            Some(link) => self.state(facet, key, &link, None),
            None => Ok(Value::Null),
        }
    }

    /// The newest version at the iterator or before it that is not an end.
    fn last_living(
        &self,
        entries: &mut Entries<'_>,
        facet: &[u8],
    ) -> Result<Option<Link>, StoreError> {
        while let Some(link) = self.link(entries, facet)? {
            if !link.is_end() {
                return Ok(Some(link));
            }
            entries.next();
        }
        Ok(None)
    }

    /// The version that the iterator is at, if it is one of the facet's.
    fn link(&self, entries: &Entries<'_>, facet: &[u8]) -> Result<Option<Link>, StoreError> {
        let Some((key, value)) = current(entries, facet)? else { return Ok(None) };
        let (_, position) = keys::split(key).at(|| shown(key))?;
        Ok(Some(Link::of(facet_of(facet)?, position, &Record::read(value).at(|| shown(key))?)))
    }

    /// Whether a version's state is the one of the version before it.
    fn unchanged(
        &self,
        facet: &[u8],
        key: &ResourceKey,
        version: &Link,
        before: Option<&Link>,
    ) -> Result<bool, JournalError> {
        let Some(before) = before else { return Ok(false) };
        let comparable = version.mapping == before.mapping
            || version.hash == Hash::NONE
            || before.hash == Hash::NONE;
        if comparable {
            return Ok(version.hash == before.hash);
        }
        // Hashes of different mappings say nothing; the present mapping reads both.
        let state = |link| self.state(facet, key, link, None);
        Ok(state(version)? == state(before)?)
    }

    /// A living version's canonical state, from its payload as the present mapping reads it.
    fn state(
        &self,
        facet: &[u8],
        key: &ResourceKey,
        link: &Link,
        payload: Option<&[u8]>,
    ) -> Result<Value, JournalError> {
        let mut state = self.document(facet, key, link, payload)?.state.unwrap_or(Value::Null);
        self.complete(facet, key, link, &mut state)?;
        Ok(state)
    }

    /// A webhook that could not carry all variants names the others only: those are as they were told
    /// before.
    fn complete(
        &self,
        facet: &[u8],
        key: &ResourceKey,
        link: &Link,
        state: &mut Value,
    ) -> Result<(), JournalError> {
        if !is_told_in_part(key, link, state) {
            return Ok(());
        }
        let mut entries = self.entries(Family::Versions, facet);
        entries.seek(keys::at(facet, link.position));
        for _ in 0..LOOK_BACK_MAX {
            // The first is the version itself.
            entries.next();
            let Some(before) = self.last_living(&mut entries, facet)? else { break };
            let told = self.document(facet, key, &before, None)?.state.unwrap_or(Value::Null);
            union::complete(state, &told);
            if !union::is_partial(state) {
                break;
            }
        }
        Ok(())
    }

    /// Whether a version tells of some elements only which there are, so that what they were is told by
    /// versions before it. One that cannot be read any more tells nothing.
    pub(crate) fn leaves_open(&self, facet: &[u8], key: &ResourceKey, link: &Link) -> bool {
        let document = self.document(facet, key, link, None);
        let state = document.ok().and_then(|document| document.state);
        state.is_some_and(|state| is_told_in_part(key, link, &state))
    }

    fn document(
        &self,
        facet: &[u8],
        key: &ResourceKey,
        link: &Link,
        payload: Option<&[u8]>,
    ) -> Result<Document, JournalError> {
        let read = |arrival: Arrival, payload: &[u8]| {
            key.kind.read(arrival, &key.id, payload).map_err(|error| {
                JournalError::Damaged(format!(
                    "{key}: the payload of version {} can no longer be read: {error}",
                    link.payload_at.seq
                ))
            })
        };
        if let Some(payload) = payload {
            return read(link.arrival, payload);
        }
        let Some(value) = self.get(Family::Versions, &keys::at(facet, link.payload_at))? else {
            return Err(JournalError::Damaged(format!(
                "{key}: version {}, which later ones say the same as, is missing",
                link.payload_at.seq
            )));
        };
        // The payload may have come in another way than the version that says the same.
        let record = Record::read(&value).at(|| key.to_string())?;
        let arrival = Arrival { source: record.source, op: record.op, ..link.arrival };
        read(arrival, record.body.payload().at(|| key.to_string())?)
    }
}

/// Whether a core's state names elements of which it tells nothing.
fn is_told_in_part(key: &ResourceKey, link: &Link, state: &Value) -> bool {
    let spec = key.kind.spec().filter(|_| link.arrival.facet == Facet::Core);
    spec.is_some_and(|spec| !(spec.is_whole)(state)) && union::is_partial(state)
}

impl Link {
    pub(crate) fn of(facet: Facet, position: Position, record: &Record<'_>) -> Self {
        Self {
            arrival: Arrival { source: record.source, facet, op: record.op },
            position,
            mapping: record.mapping,
            hash: record.hash,
            payload_at: record.payload_at(position),
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.arrival.op == Op::Delete
    }

    /// Whether it is a core that Shopify sent.
    pub(crate) fn is_sent_core(&self) -> bool {
        self.arrival.facet == Facet::Core && self.arrival.source.is_delivered()
    }
}

/// A key and its value, as they lie in a block.
pub(crate) type KeyValue<'i> = (&'i [u8], &'i [u8]);

/// Where an iterator stands, unless it has left the prefix or failed.
pub(crate) fn current<'i>(
    entries: &'i Entries<'_>,
    prefix: &[u8],
) -> Result<Option<KeyValue<'i>>, StoreError> {
    entries.status()?;
    Ok(entries.item().filter(|(key, _)| key.starts_with(prefix)))
}

/// The version that an iterator stands at.
fn entry(entries: &Entries<'_>, facet: &[u8], read: Read) -> Result<Option<Entry>, StoreError> {
    let Some((key, value)) = current(entries, facet)? else { return Ok(None) };
    let (_, position) = keys::split(key).at(|| shown(key))?;
    let record = Record::read(value).at(|| shown(key))?;
    let payload = match (read, record.body) {
        (Read::Whole, Body::Own(_)) => Some(record.body.payload().at(|| shown(key))?.to_vec()),
        (Read::Whole, Body::SameAs(_)) | (Read::Bare, _) => None,
    };
    let facet = facet_of(facet)?;
    let link = Link::of(facet, position, &record);
    Ok(Some(Entry { version: version(facet, position, &record), link, payload }))
}

/// A version as readers see it, with `unchanged` still to be found out.
fn version(facet: Facet, position: Position, record: &Record<'_>) -> Version {
    Version {
        seq: position.seq,
        op: record.op,
        source: record.source,
        facet,
        valid_at: position.valid_at,
        recorded_at: record.recorded_at,
        received_at: record.received_at,
        triggered_at: record.triggered.then_some(position.triggered_at),
        earliest_at: record.earliest_at,
        topic: record.topic.into(),
        api_version: record.api_version.map(Into::into),
        webhook_id: record.webhook_id.map(Into::into),
        event_id: record.event_id.map(Into::into),
        hash: record.hash.to_hex(),
        unchanged: false,
        erased: record.erased,
    }
}

/// The facet that a key of [`keys::of_facet`] ends in.
fn facet_of(prefix: &[u8]) -> Result<Facet, StoreError> {
    keys::parse_facet(prefix).map(|(_, facet)| facet).at(|| shown(prefix))
}

/// Where a page begins and how long it is.
fn page_limit(limit: usize) -> Result<usize, JournalError> {
    if (1..=backstock_proto::journal::PAGE_LIMIT_MAX).contains(&limit) {
        Ok(limit)
    } else {
        Err(JournalError::Invalid(format!(
            "limit {limit} is not between 1 and {}",
            backstock_proto::journal::PAGE_LIMIT_MAX
        )))
    }
}

/// A position as a cursor.
fn cursor_of(position: Position) -> String {
    let Position { valid_at, triggered_at, seq } = position;
    format!("{}.{}.{seq}", valid_at.as_micros(), triggered_at.as_micros())
}

/// The first key after the one that a cursor names, which stands behind `prefix`.
fn after_cursor(prefix: &[u8], cursor: &str) -> Result<Vec<u8>, JournalError> {
    let mut numbers = cursor.split('.').map(str::parse::<u64>);
    let mut number = || numbers.next().and_then(Result::ok);
    let mut instant = || number().and_then(|n| i64::try_from(n).ok()).map(Timestamp::from_micros);
    let (valid_at, triggered_at) = (instant(), instant());
    match (valid_at, triggered_at, number()) {
        (Some(valid_at), Some(triggered_at), Some(seq)) => {
            let mut key = keys::at(prefix, Position { valid_at, triggered_at, seq });
            key.push(0);
            Ok(key)
        }
        _ => Err(JournalError::Invalid(format!("cursor {cursor:?} is not one of ours"))),
    }
}
