//! What history should be, the simple way: the versions of each facet in a sorted map.

use std::collections::BTreeMap;

use backstock_proto::canonical::Hash;
use backstock_proto::journal::{
    AsOf, Began, ChangeFilter, Journal, Page, Place, Raw, ResourceFilter, Span, Touched,
};
use backstock_proto::kind::Arrival;
use backstock_proto::{Facet, Op, ResourceKey, Shop, Source, Timestamp, diff, union};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::Delivery;

/// (valid_at, triggered_at, seq)
type Position = (Timestamp, Timestamp, u64);

const LAST: (Timestamp, u64) = (Timestamp::MAX, u64::MAX);

#[derive(Clone, Debug)]
struct Known {
    op: Op,
    source: Source,
    webhook_id: Option<String>,
    earliest_at: Option<Timestamp>,
    payload: Vec<u8>,
    state: Option<Value>,
    title: String,
    /// Whether it said the same as the version before it when it arrived: it has no bytes then.
    marker: bool,
}

/// The versions of one facet.
type Versions = BTreeMap<Position, Known>;

/// All versions of one resource.
#[derive(Clone, Debug, Default)]
struct History(BTreeMap<Facet, Versions>);

/// One shop's history.
#[derive(Clone, Debug, Default)]
pub struct Model {
    resources: BTreeMap<ResourceKey, History>,
}

/// A resource as of some position.
struct Then {
    core: Position,
    /// The newest version of any of its facets.
    newest: Position,
    deleted: bool,
    state: Value,
    title: String,
}

impl History {
    fn newest(&self, facet: Facet, until: Position) -> Option<(Position, &Known)> {
        let (position, known) = self.0.get(&facet)?.range(..=until).next_back()?;
        Some((*position, known))
    }

    /// The union of the facets; `None` if there was no such resource yet.
    fn then(&self, kind: &backstock_proto::Kind, until: Position) -> Option<Then> {
        let core = self.newest(Facet::Core, until)?;
        let deleted = core.1.op == Op::Delete;
        let until = if deleted { core.0 } else { until };
        let mut living = self.0[&Facet::Core].range(..=until).rev();
        let living = living.find(|(_, known)| known.op != Op::Delete).map(|(_, known)| known);
        let mut state = living.and_then(|known| known.state.clone()).unwrap_or(Value::Null);
        let mut newest = core.0;
        for facet in kind.facets().skip(1) {
            if let Some((position, known)) = self.newest(facet, until) {
                newest = newest.max(position);
                if let Some(part) = &known.state {
                    union::lay(facet, &mut state, part.clone());
                }
            }
        }
        let title = living.map(|known| known.title.clone()).unwrap_or_default();
        Some(Then { core: core.0, newest, deleted, state, title })
    }

    /// Whether anything happened within a span, and whether it was there before and after.
    fn touched(&self, key: &ResourceKey, span: Span) -> Option<Touched> {
        let within = |(at, ..): &Position| (span.from..=span.to).contains(at);
        let state = self.all().into_iter().filter(|(_, facet, _)| facet.is_state());
        let mut within_span = state.filter(|(position, ..)| within(position));
        within_span.next()?;
        let living =
            |until| self.newest(Facet::Core, until).map(|(_, known)| known.op != Op::Delete);
        let just_before = Timestamp::from_micros(span.from.as_micros() - 1);
        let before = living((just_before, LAST.0, LAST.1)).filter(|_| just_before < span.from);
        let first = self.0.get(&Facet::Core).and_then(|versions| versions.iter().next());
        let began = first.filter(|(position, _)| within(position));
        Some(Touched {
            kind: key.kind.clone(),
            id: key.id.clone(),
            before: before.unwrap_or(false),
            after: living((span.to, LAST.0, LAST.1)).unwrap_or(false),
            began: began.map(|((valid_at, ..), known)| Began {
                op: known.op,
                source: known.source,
                valid_at: *valid_at,
                earliest_at: known.earliest_at,
            }),
        })
    }

    /// Without one version.
    fn without(&self, facet: Facet, position: Position) -> Self {
        let mut other = self.clone();
        other.0.get_mut(&facet).expect("there").remove(&position);
        other
    }

    fn all(&self) -> Vec<(Position, Facet, &Known)> {
        let each = self.0.iter().flat_map(|(facet, versions)| {
            versions.iter().map(|(position, known)| (*position, *facet, known))
        });
        let mut all: Vec<_> = each.collect();
        all.sort_by_key(|(position, ..)| *position);
        all
    }

    fn before(&self, facet: Facet, position: Position) -> Option<&Known> {
        self.0[&facet].range(..position).next_back().map(|(_, known)| known)
    }

    /// What a version changed of the resource; `None` if nothing.
    fn change(
        &self,
        kind: &backstock_proto::Kind,
        (position, facet, known): (Position, Facet, &Known),
    ) -> Option<Vec<diff::FieldChange>> {
        let before = self.before(facet, position);
        if !kind.facets().any(|f| f == facet) || before.is_some_and(|b| b.state == known.state) {
            return None;
        }
        if facet == Facet::Core && known.op == Op::Delete {
            return Some(Vec::new());
        }
        let new = self.then(kind, position).filter(|then| !then.deleted)?;
        let old = self.without(facet, position).then(kind, position).filter(|then| !then.deleted);
        let Some(old) = old else { return Some(diff::fields(&json!({}), &new.state)) };
        Some(diff::fields(&old.state, &new.state)).filter(|changes| !changes.is_empty())
    }
}

impl Model {
    /// Takes what arrived with a sequence.
    pub fn apply(&mut self, seq: u64, delivery: &Delivery) {
        let Delivery { key, facet, source, op, .. } = delivery;
        let arrival = Arrival { source: *source, facet: *facet, op: *op };
        let document = key.kind.read(arrival, &key.id, &delivery.payload).expect("readable");
        let said = delivery.valid_at.or(document.updated_at).or(delivery.triggered_at);
        let valid_at = said.unwrap_or(delivery.received_at);
        let triggered_at = delivery.triggered_at.unwrap_or(valid_at);
        let history = self.resources.entry(key.clone()).or_default();
        let versions = history.0.entry(*facet).or_default();
        let position = (valid_at, triggered_at, seq);
        let before = versions.range(..position).next_back();
        let marker = before.is_some_and(|(_, before)| before.state == document.state);
        let repeated = if source.is_delivered() {
            versions.iter().any(|((valid, triggered, _), known)| {
                (*valid, *triggered) == (valid_at, triggered_at)
                    && known.webhook_id.is_some()
                    && known.webhook_id == delivery.webhook_id
                    && known.op == *op
            })
        } else {
            marker && before.is_some_and(|((valid, ..), _)| *valid == valid_at)
        };
        if !repeated {
            let known = Known {
                marker,
                op: *op,
                source: *source,
                webhook_id: delivery.webhook_id.clone(),
                earliest_at: delivery.earliest_at,
                payload: delivery.payload.clone(),
                state: document.state,
                title: document.listing.title,
            };
            versions.insert(position, known);
        }
    }

    /// Every instant at which something begins, and those just before and after it.
    fn instants(&self) -> Vec<Timestamp> {
        let all = self.resources.values().flat_map(History::all);
        let mut instants: Vec<Timestamp> = all
            .flat_map(|((at, ..), ..)| {
                [-1, 0, 1].map(|by| Timestamp::from_micros(at.as_micros() + by))
            })
            .collect();
        instants.sort();
        instants.dedup();
        instants
    }

    /// Where every version stands.
    fn places(&self) -> Vec<Place> {
        let all = self.resources.values().flat_map(History::all);
        all.map(|((valid_at, triggered_at, seq), ..)| Place { valid_at, triggered_at, seq })
            .collect()
    }

    /// Checks that a journal tells the same history of a shop, with pages of `limit` items.
    pub async fn check(&self, journal: &dyn Journal, shop: &Shop, limit: usize) {
        for (key, history) in &self.resources {
            check_versions(journal, key, history, limit).await;
        }
        self.check_changes(journal, shop, limit).await;
        let moments = self.instants().into_iter().map(AsOf::At).chain([AsOf::Latest]);
        let places = self.places().into_iter();
        let places = places.flat_map(|place| [AsOf::Upto(place), AsOf::Before(place)]);
        // Most of the time goes by until a question comes to a thread, and its answer back.
        let moments = stream::iter(moments.chain(places));
        moments.for_each_concurrent(16, |at| self.check_moment(journal, shop, at, limit)).await;
        self.check_touched(journal, shop).await;
        self.check_status(journal, shop).await;
        self.check_heads(journal, shop).await;
    }

    async fn check_moment(&self, journal: &dyn Journal, shop: &Shop, at: AsOf, limit: usize) {
        let mut living = Vec::new();
        let mut listed = Vec::new();
        for (key, history) in &self.resources {
            let Place { valid_at, triggered_at, seq } = at.bound();
            let then = history.then(&key.kind, (valid_at, triggered_at, seq));
            let found = journal.resource(key, at).await.expect("read");
            let Some(then) = then else {
                assert!(found.is_none(), "{key} at {at:?}");
                continue;
            };
            let found = found.unwrap_or_else(|| panic!("{key} is missing at {at:?}"));
            assert_eq!(found.version.seq, then.newest.2, "{key} at {at:?}");
            assert_eq!(found.deleted, then.deleted, "{key} at {at:?}");
            assert_eq!(found.state, then.state, "{key} at {at:?}");
            listed.push((key.id.clone(), then.deleted, then.core.2, then.title));
            if !then.deleted {
                living.push(found);
            }
        }
        let snapshot = journal.snapshot(shop, at, None).await.expect("snapshot");
        let snapshot: Vec<_> = snapshot.try_collect().await.expect("whole");
        assert_eq!(snapshot, living, "snapshot at {at:?}");
        let at = match at {
            AsOf::At(at) => Some(at),
            AsOf::Latest => None,
            AsOf::Upto(_) | AsOf::Before(_) => return,
        };
        let mut summaries = Vec::new();
        let mut page = Page { limit, cursor: None };
        loop {
            let filter = ResourceFilter { at, ..ResourceFilter::default() };
            let list = journal.resources(shop, &filter, &page).await.expect("list");
            let shown =
                |s: backstock_proto::journal::Summary| (s.id, s.deleted, s.seq, s.listing.title);
            summaries.extend(list.items.into_iter().map(shown));
            page.cursor = list.next;
            if page.cursor.is_none() {
                break;
            }
        }
        assert_eq!(summaries, listed, "list at {at:?}");
    }

    async fn check_changes(&self, journal: &dyn Journal, shop: &Shop, limit: usize) {
        let mut expected = BTreeMap::new();
        for (key, history) in &self.resources {
            for version in history.all() {
                if let Some(fields) = history.change(&key.kind, version) {
                    expected.insert(version.0, (key.id.clone(), fields));
                }
            }
        }
        let mut found = Vec::new();
        let mut page = Page { limit, cursor: None };
        loop {
            let list = journal.changes(shop, &ChangeFilter::default(), &page).await.expect("list");
            assert!(list.items.len() <= limit);
            found.extend(list.items.into_iter().map(|c| (c.version.seq, c.id, c.changes)));
            page.cursor = list.next;
            if page.cursor.is_none() {
                break;
            }
        }
        let expected: Vec<_> =
            expected.into_iter().rev().map(|(at, (id, fields))| (at.2, id, fields)).collect();
        assert_eq!(found, expected, "changes");
    }

    async fn check_touched(&self, journal: &dyn Journal, shop: &Shop) {
        let instants = self.instants();
        for (at, from) in instants.iter().enumerate().step_by(3) {
            let to = instants[(at + instants.len() / 2).min(instants.len() - 1)];
            for span in [Span { from: *from, to }, Span { from: *from, to: Timestamp::MAX }] {
                let found = journal.touched(shop, span, None).await.expect("touched");
                let found: Vec<Touched> = found.try_collect().await.expect("whole");
                let touched =
                    self.resources.iter().filter_map(|(key, history)| history.touched(key, span));
                assert_eq!(found, touched.collect::<Vec<_>>(), "touched within {span:?}");
            }
        }
    }

    async fn check_status(&self, journal: &dyn Journal, shop: &Shop) {
        let status = journal.status(shop).await.expect("status").expect("has history");
        let core = self.resources.values().filter_map(|history| history.0.get(&Facet::Core));
        let newest: Vec<_> = core.filter_map(|versions| versions.values().next_back()).collect();
        let deleted = newest.iter().filter(|known| known.op == Op::Delete).count() as u64;
        let living = newest.len() as u64 - deleted;
        let versions = self.resources.values().map(|history| history.all().len() as u64).sum();
        let kind = &status.kinds[0];
        assert_eq!((kind.resources, kind.deleted, kind.versions), (living, deleted, versions));
        let at = self.resources.values().flat_map(History::all).map(|((at, ..), ..)| at).max();
        assert_eq!(kind.newest_version, at);
    }

    async fn check_heads(&self, journal: &dyn Journal, shop: &Shop) {
        let Some(kind) = self.resources.keys().next().map(|key| key.kind.clone()) else { return };
        let heads = journal.heads(shop, &kind, None).await.expect("heads");
        let heads: Vec<_> = heads.try_collect().await.expect("whole");
        for key in self.resources.keys() {
            let own = journal.heads(shop, &kind, Some(&key.id)).await.expect("heads");
            let own: Vec<_> = own.try_collect().await.expect("whole");
            let among = heads.iter().filter(|head| head.id == key.id);
            assert!(own.iter().eq(among), "heads of {key}");
        }
        let found: Vec<_> = heads
            .into_iter()
            .map(|h| {
                (h.id, h.facet, h.deleted, h.source, h.hash, (h.valid_at, h.triggered_at, h.seq))
            })
            .collect();
        let mut expected = Vec::new();
        for (key, history) in &self.resources {
            for (facet, versions) in history.0.iter().filter(|(facet, _)| facet.is_state()) {
                let (position, known) = versions.iter().next_back().expect("a version");
                let hash = Hash::of(known.state.as_ref()).to_hex();
                let deleted = known.op == Op::Delete;
                expected.push((key.id.clone(), *facet, deleted, known.source, hash, *position));
            }
        }
        expected.sort();
        assert_eq!(found, expected, "heads");
    }
}

async fn check_versions(journal: &dyn Journal, key: &ResourceKey, history: &History, limit: usize) {
    let mut expected = Vec::new();
    for (position, facet, known) in history.all() {
        let before = history.before(facet, position);
        let unchanged = before.is_some_and(|before| before.state == known.state);
        expected.push((position.2, facet, known.op, position.0, known.earliest_at, unchanged));
    }
    expected.reverse();
    let mut found = Vec::new();
    let mut page = Page { limit, cursor: None };
    loop {
        let list = journal.versions(key, Span::default(), &page).await.expect("list");
        assert!(list.items.len() <= limit);
        let shown = |v: backstock_proto::journal::Version| {
            (v.seq, v.facet, v.op, v.valid_at, v.earliest_at, v.unchanged)
        };
        found.extend(list.items.into_iter().map(shown));
        page.cursor = list.next;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, expected, "versions of {key}");
    for (position, facet, known) in history.all() {
        let raw = journal.raw(key, position.2).await.expect("raw").expect("there");
        assert_eq!(matches!(raw, Raw::SameAs { .. }), known.marker, "{key}: {}", position.2);
        match raw {
            Raw::Bytes(bytes) => assert_eq!(bytes, known.payload),
            Raw::SameAs { seq } => {
                let named = history.0[&facet].iter().find(|(at, _)| at.2 == seq).expect("named");
                assert_eq!(named.1.state, known.state, "{key}: {} names {seq}", position.2);
            }
        }
    }
    assert_eq!(journal.raw(key, u64::MAX).await.expect("raw"), None);
}
