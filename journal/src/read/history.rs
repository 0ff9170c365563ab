//! One resource's versions, their bytes, and what changed across a shop.

use backstock_proto::journal::{
    Change, ChangeFilter, JournalError, List, Page, Raw, Span, Version,
};
use backstock_proto::{Facet, ResourceKey, Shop, diff, known, union};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{
    Entries, Entry, LOOKED_MAX, Link, Part, Read, View, after_cursor, current, cursor_of,
    page_limit,
};
use crate::append::{is_first_look, shown};
use crate::facts::Fact;
use crate::keys::{self, Position};
use crate::options::Family;
use crate::record::{Body, Head, Moment, Record};
use crate::store::{At, StoreError};

/// About how much of what changed stands on one page, in bytes. One change alone may be more.
const PAGE_BYTES: usize = 8 << 20;

impl View<'_> {
    /// A resource's versions, those of all facets together, newest first.
    pub(crate) fn versions(
        &self,
        key: &ResourceKey,
        span: Span,
        page: &Page,
    ) -> Result<List<Version>, JournalError> {
        let limit = page_limit(page.limit)?;
        let mut lanes = Vec::new();
        for facet in self.facets_kept(key)? {
            let prefix = keys::of_facet(key, facet);
            let mut entries = self.entries(Family::Versions, &prefix);
            entries.seek(match &page.cursor {
                Some(cursor) => after_cursor(&prefix, cursor)?,
                None => keys::at(&prefix, Position::last_at(span.to)),
            });
            lanes.push(Lane { facet, prefix, entries });
        }
        let mut items = Vec::new();
        let mut last: Option<Position> = None;
        while let Some((position, lane)) = newest(&mut lanes)? {
            if position.valid_at < span.from {
                break;
            }
            if items.len() == limit {
                return Ok(List { items, next: last.map(cursor_of) });
            }
            let Some((stored, value)) = current(&lane.entries, &lane.prefix)? else { break };
            let record = Record::read(value).at(|| shown(stored))?;
            let link = Link::of(lane.facet, position, &record);
            let mut version = super::version(lane.facet, position, &record);
            lane.entries.next();
            let before = self.link(&lane.entries, &lane.prefix)?;
            version.unchanged = self.unchanged(&lane.prefix, key, &link, before.as_ref())?;
            items.push(version);
            last = Some(position);
        }
        Ok(List { items, next: None })
    }

    /// The facets of which a resource has any version.
    fn facets_kept(&self, key: &ResourceKey) -> Result<Vec<Facet>, JournalError> {
        let prefix = keys::of_resource(key);
        let mut heads = self.entries(Family::Heads, &prefix);
        heads.seek(&prefix);
        let mut facets = Vec::new();
        while let Some((stored, _)) = current(&heads, &prefix)? {
            facets.push(super::facet_of(stored)?);
            heads.next();
        }
        Ok(facets)
    }

    /// A version's bytes as received. The newest of each facet, and the one that it says the same as, stand
    /// where its head says; any other is looked for among all of the resource, since nothing is kept in the
    /// order of the stream.
    pub(crate) fn raw(&self, key: &ResourceKey, seq: u64) -> Result<Option<Raw>, JournalError> {
        let prefix = keys::of_resource(key);
        let mut heads = self.entries(Family::Heads, &prefix);
        heads.seek(&prefix);
        while let Some((facet, value)) = current(&heads, &prefix)? {
            let head = Head::from_bytes(value).at(|| shown(facet))?;
            let known = [head.position, head.payload_at].into_iter().find(|at| at.seq == seq);
            if let Some(at) = known {
                let stored = keys::at(facet, at);
                let value = self.get(Family::Versions, &stored)?;
                return Ok(value.map(|value| raw_of(&stored, &value)).transpose()?);
            }
            heads.next();
        }
        let mut entries = self.entries(Family::Versions, &prefix);
        entries.seek(&prefix);
        while let Some((stored, value)) = current(&entries, &prefix)? {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            if position.seq == seq {
                return Ok(Some(raw_of(stored, value)?));
            }
            entries.next();
        }
        Ok(None)
    }

    /// Single changes of a shop, newest first, without versions that changed nothing. A page may hold less
    /// than was asked for, or nothing, and not be the last.
    pub(crate) fn changes(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
        page: &Page,
    ) -> Result<List<Change>, JournalError> {
        let limit = page_limit(page.limit)?;
        let prefix = keys::of_shop(shop);
        let mut moments = self.entries(Family::Timeline, &prefix);
        // One for all: to begin one costs as much as to find what is looked for.
        let mut entries = self.entries(Family::Versions, &prefix);
        moments.seek(match &page.cursor {
            Some(cursor) => after_cursor(&prefix, cursor)?,
            None => keys::at(&prefix, Position::last_at(filter.span.to)),
        });
        let mut items = Vec::new();
        let mut last = None;
        let (mut bytes, mut looked) = (0, 0);
        while let Some((stored, value)) = current(&moments, &prefix)? {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            if position.valid_at < filter.span.from {
                break;
            }
            if items.len() == limit || bytes > PAGE_BYTES || looked == LOOKED_MAX {
                return Ok(List { items, next: last.map(cursor_of) });
            }
            (looked, last) = (looked + 1, Some(position));
            if filter.without_first_looks && Moment::is_first_look(value) {
                moments.next();
                continue;
            }
            let moment = Moment::from_bytes(value).at(|| shown(stored))?;
            if asked_for(&moment, filter)
                && let Some(change) = self.change(&mut entries, shop, (moment, position), filter)?
            {
                let values = change.changes.iter().flat_map(|field| [&field.old, &field.new]);
                bytes += values.map(diff::weight).sum::<usize>();
                items.push(change);
            }
            moments.next();
        }
        Ok(List { items, next: None })
    }

    /// What one version changed of its resource; `None` if nothing, unless that is asked for as well.
    fn change(
        &self,
        entries: &mut Entries<'_>,
        shop: &Shop,
        (moment, position): (Moment, Position),
        filter: &ChangeFilter,
    ) -> Result<Option<Change>, JournalError> {
        let Moment { kind, id, facet, first_look, .. } = moment;
        let key = ResourceKey { shop: shop.clone(), kind, id };
        let prefix = keys::of_facet(&key, facet);
        let (fact, part) = if filter.bare {
            (self.fact(entries, &key, &prefix, position)?, None)
        } else {
            let part = self.placed(entries, &key, (&prefix, position), Read::Whole)?;
            (self.fact_of(&key, &prefix, &part)?, Some(part))
        };
        let Fact { version, is_first } = fact;
        let Version { source, op, earliest_at, .. } = version;
        let untold = first_look.is_none() && filter.without_first_looks;
        if untold && is_first && is_first_look(&key.kind, source, op, earliest_at) {
            return Ok(None);
        }
        if version.unchanged && !filter.unchanged {
            return Ok(None);
        }
        let Some(part) = part.filter(|_| !version.unchanged) else {
            let gid = key.kind.gid(&key.id);
            let (title, changes) = (String::new(), Vec::new());
            return Ok(Some(Change { kind: key.kind, id: key.id, gid, title, version, changes }));
        };
        let Part { entry: Entry { link, payload, .. }, before } = part;
        let (title, changes, gid) = if facet == Facet::Core && link.is_end() {
            let last = self.last_living(entries, &prefix)?;
            let last = last.map(|link| self.document(&prefix, &key, &link, None)).transpose()?;
            let (title, state) =
                last.map(|last| (last.listing.title, last.state)).unwrap_or_default();
            (title, Vec::new(), key.kind.gid_of(&key.id, &state.unwrap_or_default()))
        } else {
            let state = |link: &Link, payload| {
                let living = !link.is_end();
                living.then(|| self.state(&prefix, &key, link, payload)).transpose()
            };
            let mut old = before.map(|before| state(&before, None)).transpose()?.flatten();
            let mut new = state(&link, payload.as_deref())?;
            // What only one of them tells, as what was not kept before, nobody changed.
            if let (Some(old), Some(new), Some(_)) = (&mut old, &mut new, key.kind.spec()) {
                known::align(old, new);
            }
            let first = facet == Facet::Core && old.is_none();
            let Some([old, new]) = self.sides(entries, &key, facet, position, [old, new])? else {
                return Ok(None);
            };
            let title = key.kind.listing(&new).title;
            let changes = diff::fields(&if first { Value::Object(Map::new()) } else { old }, &new);
            if changes.is_empty() && !first {
                return Ok(None);
            }
            (title, changes, key.kind.gid_of(&key.id, &new))
        };
        Ok(Some(Change { kind: key.kind, id: key.id, gid, title, version, changes }))
    }

    /// What is said of a version, without reading what it says.
    fn fact(
        &self,
        entries: &mut Entries<'_>,
        key: &ResourceKey,
        facet: &[u8],
        position: Position,
    ) -> Result<Fact, JournalError> {
        if let Some(known) = self.store.facts.get(self.epoch, facet, position) {
            return Ok(known);
        }
        let part = self.placed(entries, key, (facet, position), Read::Bare)?;
        let fact = self.fact_of(key, facet, &part)?;
        self.store.facts.keep(self.epoch, facet, (position, &fact));
        Ok(fact)
    }

    fn fact_of(&self, key: &ResourceKey, facet: &[u8], part: &Part) -> Result<Fact, JournalError> {
        let Part { entry: Entry { version, link, .. }, before } = part;
        let unchanged = self.unchanged(facet, key, link, before.as_ref())?;
        let version = Version { unchanged, ..version.clone() };
        Ok(Fact { version, is_first: before.is_none() })
    }

    /// The version that the timeline says stands there. Leaves the iterator at the one before it.
    fn placed(
        &self,
        entries: &mut Entries<'_>,
        key: &ResourceKey,
        (facet, position): (&[u8], Position),
        read: Read,
    ) -> Result<Part, JournalError> {
        let found = self.part_read(entries, facet, position, read)?;
        let found = found.filter(|part| part.entry.link.position == position);
        found.ok_or_else(|| {
            JournalError::Damaged(format!(
                "{key}: version {} stands in the timeline only",
                position.seq
            ))
        })
    }

    /// A resource at a position, with one of its facets as it was and as it is; `None` if there was
    /// no such resource, or the facet is no part of it.
    fn sides(
        &self,
        entries: &mut Entries<'_>,
        key: &ResourceKey,
        changed: Facet,
        position: Position,
        changes: [Option<Value>; 2],
    ) -> Result<Option<[Value; 2]>, JournalError> {
        if !key.kind.facets().any(|facet| facet == changed) {
            return Ok(None);
        }
        let mut sides = [Value::Null, Value::Null];
        let mut changes = changes.map(|change| change.unwrap_or(Value::Null));
        for facet in key.kind.facets() {
            if facet == changed {
                for (side, change) in sides.iter_mut().zip(&mut changes) {
                    add(facet, side, change.take());
                }
                continue;
            }
            let prefix = keys::of_facet(key, facet);
            let part = self.part(entries, &prefix, position)?;
            let living = part.filter(|part| !part.entry.link.is_end());
            let Some(Part { entry: Entry { link, payload, .. }, .. }) = living else {
                if facet == Facet::Core {
                    return Ok(None);
                }
                continue;
            };
            let state = self.state(&prefix, key, &link, payload.as_deref())?;
            let [old, new] = &mut sides;
            add(facet, old, state.clone());
            add(facet, new, state);
        }
        Ok(Some(sides))
    }
}

fn raw_of(stored: &[u8], value: &[u8]) -> Result<Raw, StoreError> {
    match Record::read(value).at(|| shown(stored))?.body {
        Body::SameAs(other) => Ok(Raw::SameAs { seq: other.seq }),
        body @ Body::Own(_) => {
            let payload = body.payload().at(|| shown(stored))?;
            Ok(Raw::Bytes(Bytes::copy_from_slice(payload)))
        }
    }
}

/// Lays a facet's state over that of those before it, if it has one.
fn add(facet: Facet, side: &mut Value, state: Value) {
    if !state.is_null() {
        union::lay(facet, side, state);
    }
}

/// The versions of one facet, among those of others.
struct Lane<'v> {
    facet: Facet,
    prefix: Vec<u8>,
    entries: Entries<'v>,
}

/// The lane whose version comes next, and that version's position.
fn newest<'l, 'v>(
    lanes: &'l mut [Lane<'v>],
) -> Result<Option<(Position, &'l mut Lane<'v>)>, JournalError> {
    let mut newest: Option<(Position, usize)> = None;
    for (at, lane) in lanes.iter().enumerate() {
        let Some((stored, _)) = current(&lane.entries, &lane.prefix)? else { continue };
        let (_, position) = keys::split(stored).at(|| shown(stored))?;
        newest = newest.max(Some((position, at)));
    }
    Ok(newest.map(|(position, at)| (position, &mut lanes[at])))
}

fn asked_for(moment: &Moment, filter: &ChangeFilter) -> bool {
    moment.facet.is_state()
        && filter.kind.as_ref().map_or(!moment.kind.is_log(), |kind| *kind == moment.kind)
        && filter.op.is_none_or(|op| op == moment.op)
        && filter.source.is_none_or(|source| source == moment.source)
}

#[cfg(test)]
mod tests {
    use backstock_proto::{Event, Kind, Op, ResourceId, Source, Timestamp};
    use rocksdb::WriteBatch;

    use super::*;
    use crate::decode::{Decoded, Meaning, Reading};
    use crate::options::Options;
    use crate::store::Store;

    const PAYLOAD: &[u8] = br#"{"id": 1, "name": "a"}"#;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(1_790_812_800_000_000 + seconds * 1_000_000)
    }

    fn gadget() -> ResourceKey {
        ResourceKey {
            shop: Shop::from_name("acme").expect("a shop"),
            kind: Kind::parse("gadget").expect("a kind"),
            id: ResourceId::parse("1").expect("an id"),
        }
    }

    /// What came as `seq` and was said at `at`.
    fn told(seq: u64, at: Timestamp) -> Decoded {
        let event = Event {
            key: gadget(),
            facet: Facet::Core,
            op: Op::Update,
            source: Source::Webhook,
            topic: "gadgets/update".into(),
            api_version: None,
            webhook_id: None,
            event_id: None,
            triggered_at: Some(at),
            received_at: at,
            valid_at: None,
            earliest_at: None,
            payload: Bytes::from_static(PAYLOAD),
        };
        let meaning = Meaning::of(event, seq).expect("understood");
        Decoded { seq, recorded_at: at, trace: None, reading: Reading::Event(Box::new(meaning)) }
    }

    #[test]
    fn the_bytes_of_what_is_newest_are_had_without_reading_what_came_before() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), Options::for_testing(), at(0)).expect("open");
        store.append(&[told(1, at(0))], at(0)).expect("append");
        let mut batch = WriteBatch::default();
        let damaged = [keys::of_resource(&gadget()), b"!".to_vec()].concat();
        batch.put_cf(store.family(Family::Versions), damaged, "");
        store.write(batch).expect("written");
        let view = View::of(&store);
        let payload = Bytes::from_static(PAYLOAD);
        assert_eq!(view.raw(&gadget(), 1).expect("read"), Some(Raw::Bytes(payload)));
        assert!(view.raw(&gadget(), 2).is_err(), "what is damaged is met on the way to others");
    }

    #[test]
    fn a_version_is_told_anew_once_another_came_before_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path(), Options::for_testing(), at(0)).expect("open");
        let filter = ChangeFilter { bare: true, unchanged: true, ..ChangeFilter::default() };
        let unchanged = || {
            let list = View::of(&store).changes(&gadget().shop, &filter, &Page::default());
            let items = list.expect("read").items.into_iter();
            items.map(|change| (change.version.seq, change.version.unchanged)).collect::<Vec<_>>()
        };
        store.append(&[told(1, at(10))], at(10)).expect("append");
        assert_eq!([unchanged(), unchanged()], [[(1, false)], [(1, false)]]);
        store.append(&[told(2, at(20))], at(20)).expect("append");
        assert_eq!(unchanged(), [(2, true), (1, false)]);
        store.append(&[told(3, at(5))], at(20)).expect("append");
        assert_eq!(unchanged(), [(2, true), (1, true), (3, false)]);
    }
}
