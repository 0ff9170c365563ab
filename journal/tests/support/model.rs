//! What history should be, the simple way: each resource's versions in a sorted map.

use std::collections::BTreeMap;

use backstock_proto::journal::{AsOf, ChangeFilter, Journal, Page, Raw, ResourceFilter, Span};
use backstock_proto::kind::Arrival;
use backstock_proto::{Facet, Op, ResourceKey, Shop, Source, Timestamp, diff};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::Delivery;

/// (valid_at, triggered_at, seq)
type Position = (Timestamp, Timestamp, u64);

#[derive(Clone, Debug)]
struct Known {
    op: Op,
    webhook_id: Option<String>,
    payload: Vec<u8>,
    state: Option<Value>,
    title: String,
    /// Whether it said the same as the version before it when it arrived: it has no bytes then.
    marker: bool,
}

/// One shop's history.
#[derive(Clone, Debug, Default)]
pub struct Model {
    resources: BTreeMap<ResourceKey, BTreeMap<Position, Known>>,
}

impl Model {
    /// Takes what arrived with a sequence.
    pub fn apply(&mut self, seq: u64, delivery: &Delivery) {
        let key = &delivery.key;
        let document = key
            .kind
            .read(
                Arrival { source: Source::Webhook, facet: Facet::Core, op: delivery.op },
                &key.id,
                &delivery.payload,
            )
            .expect("readable");
        let valid_at =
            document.updated_at.or(delivery.triggered_at).unwrap_or(delivery.received_at);
        let triggered_at = delivery.triggered_at.unwrap_or(valid_at);
        let versions = self.resources.entry(key.clone()).or_default();
        let repeated = versions.iter().any(|((valid, triggered, _), known)| {
            (*valid, *triggered) == (valid_at, triggered_at)
                && known.webhook_id.is_some()
                && known.webhook_id == delivery.webhook_id
                && known.op == delivery.op
        });
        if !repeated {
            let position = (valid_at, triggered_at, seq);
            let before = versions.range(..position).next_back();
            let marker = before.is_some_and(|(_, before)| before.state == document.state);
            let known = Known {
                marker,
                op: delivery.op,
                webhook_id: delivery.webhook_id.clone(),
                payload: delivery.payload.clone(),
                state: document.state,
                title: document.listing.title,
            };
            versions.insert(position, known);
        }
    }

    /// Every instant at which something begins, and those just before and after it.
    fn instants(&self) -> Vec<Timestamp> {
        let begins = self.resources.values().flat_map(|versions| versions.keys().map(|at| at.0));
        let mut instants: Vec<Timestamp> = begins
            .flat_map(|at| [-1, 0, 1].map(|by| Timestamp::from_micros(at.as_micros() + by)))
            .collect();
        instants.sort();
        instants.dedup();
        instants
    }

    /// Checks that a journal tells the same history of a shop, with pages of `limit` items.
    pub async fn check(&self, journal: &dyn Journal, shop: &Shop, limit: usize) {
        for (key, versions) in &self.resources {
            check_versions(journal, key, versions, limit).await;
        }
        self.check_changes(journal, shop, limit).await;
        let moments = self.instants().into_iter().map(AsOf::At).chain([AsOf::Latest]);
        for at in moments {
            self.check_moment(journal, shop, at, limit).await;
        }
        self.check_status(journal, shop).await;
    }

    async fn check_moment(&self, journal: &dyn Journal, shop: &Shop, at: AsOf, limit: usize) {
        let mut living = Vec::new();
        let mut listed = Vec::new();
        for (key, versions) in &self.resources {
            let mut until = versions.range(..=(at.bound(), Timestamp::MAX, u64::MAX)).rev();
            let newest = until.next();
            let found = journal.resource(key, at).await.expect("read");
            let Some((position, known)) = newest else {
                assert!(found.is_none(), "{key} at {at:?}");
                continue;
            };
            let found = found.unwrap_or_else(|| panic!("{key} is missing at {at:?}"));
            assert_eq!(found.version.seq, position.2, "{key} at {at:?}");
            let deleted = known.op == Op::Delete;
            assert_eq!(found.deleted, deleted, "{key} at {at:?}");
            let last = if deleted { until.find(|(_, k)| k.op != Op::Delete) } else { newest };
            let state = last.and_then(|(_, known)| known.state.clone()).unwrap_or(Value::Null);
            assert_eq!(found.state, state, "{key} at {at:?}");
            let title = last.map(|(_, known)| known.title.clone()).unwrap_or_default();
            listed.push((key.id.clone(), deleted, position.2, title));
            if !deleted {
                living.push(found);
            }
        }
        let snapshot = journal.snapshot(shop, at, None).await.expect("snapshot");
        let snapshot: Vec<_> = snapshot.try_collect().await.expect("whole");
        assert_eq!(snapshot, living, "snapshot at {at:?}");
        let mut summaries = Vec::new();
        let mut page = Page { limit, cursor: None };
        let at = match at {
            AsOf::At(at) => Some(at),
            AsOf::Latest => None,
        };
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
        for (key, versions) in &self.resources {
            let mut before: Option<&Known> = None;
            for (position, known) in versions {
                if before.is_none_or(|before| before.state != known.state) {
                    let nothing = json!({});
                    let old = before.and_then(|b| b.state.as_ref()).unwrap_or(&nothing);
                    let fields = known.state.as_ref().map(|new| diff::fields(old, new));
                    expected.insert(*position, (key.id.clone(), fields.unwrap_or_default()));
                }
                before = Some(known);
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

    async fn check_status(&self, journal: &dyn Journal, shop: &Shop) {
        let status = journal.status(shop).await.expect("status").expect("has history");
        let newest = self.resources.values().filter_map(|versions| versions.values().next_back());
        let deleted = newest.filter(|known| known.op == Op::Delete).count() as u64;
        let living = self.resources.len() as u64 - deleted;
        let versions = self.resources.values().map(|versions| versions.len() as u64).sum::<u64>();
        let kind = &status.kinds[0];
        assert_eq!((kind.resources, kind.deleted, kind.versions), (living, deleted, versions));
    }
}

async fn check_versions(
    journal: &dyn Journal,
    key: &ResourceKey,
    versions: &BTreeMap<Position, Known>,
    limit: usize,
) {
    let mut expected = Vec::new();
    let mut before: Option<&Known> = None;
    for (position, known) in versions {
        let unchanged = before.is_some_and(|before| before.state == known.state);
        expected.push((position.2, known.op, position.0, unchanged));
        before = Some(known);
    }
    expected.reverse();
    let mut found = Vec::new();
    let mut page = Page { limit, cursor: None };
    loop {
        let list = journal.versions(key, Span::default(), &page).await.expect("list");
        assert!(list.items.len() <= limit);
        found.extend(list.items.into_iter().map(|v| (v.seq, v.op, v.valid_at, v.unchanged)));
        page.cursor = list.next;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, expected, "versions of {key}");
    for (position, known) in versions {
        let raw = journal.raw(key, position.2).await.expect("raw").expect("there");
        assert_eq!(matches!(raw, Raw::SameAs { .. }), known.marker, "{key}: {}", position.2);
        match raw {
            Raw::Bytes(bytes) => assert_eq!(bytes, known.payload),
            Raw::SameAs { seq } => {
                let named = versions.iter().find(|(at, _)| at.2 == seq).expect("named");
                assert_eq!(named.1.state, known.state, "{key}: {} names {seq}", position.2);
            }
        }
    }
    assert_eq!(journal.raw(key, u64::MAX).await.expect("raw"), None);
}
