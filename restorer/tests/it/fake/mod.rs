//! A journal in memory with a small, believable history, for tests only.

#![allow(unreachable_pub, dead_code, reason = "shared by several test binaries")]

mod answers;
mod store;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use backstock_proto::canonical::Hash;
use backstock_proto::journal::*;
use backstock_proto::publish::{PublishError, PutError, Records};
use backstock_proto::pulls::{Order, Pulls, PullsUnavailable};
use backstock_proto::time::Clock;
use backstock_proto::{Facet, Kind, Op, ResourceId, ResourceKey, Shop, Source, Timestamp};
use bytes::Bytes;
use serde_json::{Value, json};

#[allow(unused_imports, reason = "shared by several test binaries")]
pub use store::PICTURES;

/// The present, in tests.
pub const NOW: &str = "2026-11-22T12:00:00Z";
/// When the day of [`NOW`] began.
const TODAY: &str = "2026-11-22T00:00:00Z";
/// A product's id that a double cannot hold.
pub const MUG: &str = "9007199254740993";

/// The clock that stands at [`NOW`].
pub struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        instant(NOW)
    }
}

pub fn instant(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an instant")
}

pub fn shop(name: &str) -> Shop {
    Shop::from_name(name).expect("a shop")
}

#[derive(Clone)]
struct Entry {
    key: ResourceKey,
    version: Version,
    state: Option<Value>,
    raw: Bytes,
}

type Failure = fn() -> JournalError;

/// History in memory, oldest first.
#[derive(Default)]
pub struct Fake {
    entries: Vec<Entry>,
    /// What was put on record, oldest first.
    records: Mutex<Vec<(Shop, Record)>>,
    failure: Mutex<Option<Failure>>,
    snapshot_fails_after: Mutex<Option<usize>>,
    /// What the last whole look at each kind found.
    pulls: Vec<PullReport>,
    /// How many versions were heard of: all, where nothing is said.
    heard: Mutex<Option<usize>>,
    /// What the status says otherwise of each kind.
    retold: Option<fn(&mut KindStatus)>,
    /// The most resources that were asked for together.
    together: AtomicUsize,
}

impl Fake {
    /// Two shops: `acme`, with a mug whose price fell, a tote that was deleted, a customer and an
    /// order; and `bolt`, which must never be seen from `acme`.
    pub fn believable() -> Self {
        let mut fake = Self::default();
        let mug = |price: &str, text: &str| {
            json!({
                "id": format!("gid://shopify/Product/{MUG}"),
                "title": "Enamel Mug \"Pine\"",
                "handle": "enamel-mug-pine",
                "vendor": "North & Sons",
                "status": "ACTIVE",
                "descriptionHtml": text,
                "tags": ["camping", "mug"],
                "variants": [
                    {"id": "gid://shopify/ProductVariant/11", "sku": "MUG-GRN", "price": price},
                    {"id": "gid://shopify/ProductVariant/12", "sku": "MUG-SND", "price": "66.00"},
                ],
            })
        };
        let long = format!("<p>{}</p>", "Holds 350 ml and survives every fall. ".repeat(8));
        let tote = json!({
            "id": "gid://shopify/Product/501",
            "title": "Canvas Tote",
            "handle": "canvas-tote",
            "status": "ACTIVE",
            "variants": [
                {"id": "gid://shopify/ProductVariant/51", "sku": "TOTE", "price": "19.00"}
            ],
        });
        let ada = json!({
            "id": "gid://shopify/Customer/301", "firstName": "Ada", "lastName": "Byron",
            "displayName": "Ada Byron", "email": "ada@example.com",
        });
        let order = json!({
            "id": "gid://shopify/Order/401", "name": "#1001", "email": "ada@example.com",
            "totalPriceSet": {"shopMoney": {"amount": "64.00", "currencyCode": "EUR"}},
        });
        fake.add("acme", "product", "501", "create", "2026-11-19T08:00:00Z", Some(tote.clone()));
        fake.add(
            "acme",
            "product",
            MUG,
            "create",
            "2026-11-20T09:00:00Z",
            Some(mug("64.00", "<p>Holds 350 ml.</p>")),
        );
        fake.add("acme", "customer", "301", "create", "2026-11-20T09:30:00Z", Some(ada));
        fake.add("acme", "order", "401", "create", "2026-11-20T10:00:00Z", Some(order));
        fake.add(
            "acme",
            "product",
            MUG,
            "update",
            "2026-11-20T14:02:11.5Z",
            Some(mug("6.40", &long)),
        );
        fake.add(
            "acme",
            "product",
            MUG,
            "update",
            "2026-11-20T14:05:00Z",
            Some(mug("6.40", &long)),
        );
        fake.add("acme", "product", "501", "delete", "2026-11-21T07:00:00Z", None);
        let secret = json!({"id": "gid://shopify/Product/601", "title": "Bolt's secret"});
        fake.add("bolt", "product", "601", "create", "2026-11-20T11:00:00Z", Some(secret));
        fake
    }

    /// The same history, with the same on record, to go on from here.
    pub fn copy(&self) -> Self {
        let records = Mutex::new(self.records.lock().expect("not poisoned").clone());
        let (entries, pulls) = (self.entries.clone(), self.pulls.clone());
        Self { entries, records, pulls, ..Self::default() }
    }

    /// Something is on record no more. Its place stays taken.
    pub fn lose(&self, what: &str, id: &str) {
        let mut records = self.records.lock().expect("not poisoned");
        let same = |record: &&mut Record| record.what == what && record.id == id;
        records.iter_mut().map(|(_, record)| record).filter(same).for_each(|record| {
            record.what.clear();
        });
    }

    /// Shop `acme` had a resource in this state since `at`.
    pub fn remember(&mut self, kind: &str, id: &str, at: &str, state: &Value) {
        self.add("acme", kind, id, "update", at, Some(state.clone()));
    }

    /// Shop `acme` got a new resource then.
    pub fn make(&mut self, kind: &str, id: &str, at: &str, state: &Value) {
        self.add("acme", kind, id, "create", at, Some(state.clone()));
    }

    /// A shop got a new resource then.
    pub fn make_in(&mut self, shop: &str, kind: &str, id: &str, at: &str, state: &Value) {
        self.add(shop, kind, id, "create", at, Some(state.clone()));
    }

    /// Shop `acme`'s own log says then that an app did this to a resource.
    pub fn log(&mut self, app: &str, action: &str, gid: &str, at: &str) {
        let entry = json!({
            "action": action, "appTitle": app, "attributeToApp": true, "attributeToUser": false,
            "author": app, "message": format!("{app}: {action}"), "subjectId": gid,
        });
        let id = (8_500 + self.entries.len()).to_string();
        self.add("acme", "event", &id, "create", at, Some(entry));
    }

    /// Shop `acme` no longer had it from `at` on.
    pub fn forget(&mut self, kind: &str, id: &str, at: &str) {
        self.add("acme", kind, id, "delete", at, None);
    }

    /// What was told last was found by a look.
    pub fn found(&mut self) {
        let told = self.entries.last_mut().expect("something was told");
        told.version.source = Source::Reconcile;
    }

    /// What was told last was triggered then: documents date themselves in whole seconds.
    pub fn triggered(&mut self, at: &str) {
        let told = self.entries.last_mut().expect("something was told");
        told.version.triggered_at = Some(instant(at));
    }

    /// A person was taken out of a resource of shop `acme`: nothing but its id is left.
    pub fn erase(&mut self, kind: &str, id: &str) {
        for Entry { key, version, state, .. } in &mut self.entries {
            if key.shop == shop("acme") && key.kind.as_str() == kind && key.id.as_str() == id {
                version.erased = true;
                *state = state.take().map(|_| json!({"id": key.kind.gid(&key.id)}));
            }
        }
    }

    /// Everything was looked at last night.
    pub fn look(&mut self) {
        self.pulls = store::pulls();
    }

    /// The status says otherwise of each kind, as told here.
    pub fn retell(&mut self, how: fn(&mut KindStatus)) {
        self.retold = Some(how);
    }

    /// Of the changes so many were heard of by now.
    pub fn hear(&self, versions: usize) {
        *self.heard.lock().expect("not poisoned") = Some(versions);
    }

    /// The most resources that were asked for together.
    pub fn asked_together(&self) -> usize {
        self.together.load(Ordering::Relaxed)
    }

    /// Every question fails like this from now on, or is answered again.
    pub fn fail(&self, failure: Option<Failure>) {
        *self.failure.lock().expect("not poisoned") = failure;
    }

    /// A snapshot fails after so many resources.
    pub fn fail_snapshot_after(&self, resources: usize) {
        *self.snapshot_fails_after.lock().expect("not poisoned") = Some(resources);
    }

    fn add(&mut self, shop: &str, kind: &str, id: &str, op: &str, at: &str, state: Option<Value>) {
        let key = ResourceKey {
            shop: self::shop(shop),
            kind: Kind::parse(kind).expect("a kind"),
            id: ResourceId::parse(id).expect("an id"),
        };
        let seq = 100 + self.entries.len() as u64;
        let before = self.history(&key).last().map(|entry| entry.version.hash.clone());
        let hash = Hash::of(state.as_ref()).to_hex();
        let at = instant(at);
        let version = Version {
            seq,
            op: Op::parse(op).expect("an op"),
            source: Source::Webhook,
            facet: Facet::Core,
            valid_at: at,
            recorded_at: at,
            received_at: at,
            triggered_at: Some(at),
            earliest_at: None,
            topic: format!("{kind}s/{op}"),
            api_version: Some("2026-10".into()),
            webhook_id: Some(format!("b54557e4-bdd9-4b37-8a5f-{seq:012}")),
            event_id: Some(format!("98880550-7158-44d4-b7cd-{seq:012}")),
            unchanged: before.as_ref() == Some(&hash),
            erased: false,
            hash,
        };
        // As received: white space and order of members are nobody's to change.
        let raw = format!("{{ \"id\" : {id},\n  \"price\":1.10 }}").into();
        self.entries.push(Entry { key, version, state, raw });
    }

    fn history(&self, key: &ResourceKey) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.key == *key)
    }

    /// Whether a pull saw it when nothing was known of it.
    fn is_first_look(&self, entry: &Entry) -> bool {
        let Version { source, op, earliest_at, seq, .. } = &entry.version;
        let pulled = matches!(source, Source::Pull | Source::Reconcile) && *op != Op::Delete;
        let pulled = pulled && !entry.key.kind.is_log();
        let first = self.history(&entry.key).all(|other| other.version.seq >= *seq);
        pulled && first && earliest_at.is_none()
    }

    fn answers(&self) -> Result<(), JournalError> {
        self.failure.lock().expect("not poisoned").map_or(Ok(()), |failure| Err(failure()))
    }

    fn find(&self, key: &ResourceKey, at: AsOf) -> Option<Resource> {
        let by = |entry: &&Entry| entry.version.place() <= at.bound();
        let entry = self.history(key).rev().find(by)?;
        let state = self.history(key).filter(by).rev().find_map(|entry| entry.state.clone());
        Some(Resource {
            shop: key.shop.clone(),
            kind: key.kind.clone(),
            id: key.id.clone(),
            gid: key.kind.gid(&key.id),
            deleted: entry.state.is_none(),
            version: entry.version.clone(),
            state: state.unwrap_or(Value::Null),
        })
    }

    fn all(&self, shop: &Shop, kind: Option<&Kind>, at: AsOf) -> Vec<Resource> {
        let mut keys: Vec<_> = self.entries.iter().map(|entry| &entry.key).collect();
        keys.retain(|key| key.shop == *shop && kind.is_none_or(|kind| key.kind == *kind));
        keys.sort();
        keys.dedup();
        keys.into_iter().filter_map(|key| self.find(key, at)).collect()
    }

    fn summary(&self, shop: &Shop) -> Option<ShopSummary> {
        let of_shop = || self.entries.iter().filter(|entry| entry.key.shop == *shop);
        let living = self.all(shop, None, AsOf::Latest).iter().filter(|r| !r.deleted).count();
        Some(ShopSummary {
            shop: shop.clone(),
            resources: living as u64,
            versions: of_shop().count() as u64,
            newest_received_at: Some(of_shop().last()?.version.received_at),
            lag_seconds: 0.25,
        })
    }
}

#[async_trait]
impl Records for Fake {
    async fn put(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &Value,
    ) -> Result<u64, PublishError> {
        let mut records = self.records.lock().expect("not poisoned");
        let seq = 1_000_000 + records.len() as u64;
        let (what, id, payload) = (what.to_owned(), id.to_owned(), payload.clone());
        records.push((shop.clone(), Record { what, id, seq, recorded_at: instant(NOW), payload }));
        Ok(seq)
    }

    async fn put_after(
        &self,
        shop: &Shop,
        what: &str,
        id: &str,
        payload: &Value,
        after: u64,
    ) -> Result<u64, PutError> {
        let mut records = self.records.lock().expect("not poisoned");
        let same =
            |(of, record): &&(Shop, Record)| of == shop && record.what == what && record.id == id;
        let newest = records.iter().rev().find(same).map_or(0, |(_, record)| record.seq);
        if newest != after {
            return Err(PutError::Moved(format!("{what} {id}")));
        }
        let seq = 1_000_000 + records.len() as u64;
        let (what, id, payload) = (what.to_owned(), id.to_owned(), payload.clone());
        records.push((shop.clone(), Record { what, id, seq, recorded_at: instant(NOW), payload }));
        Ok(seq)
    }
}

/// Takes every order, and pulls nothing.
pub struct NoPulls;

#[async_trait]
impl Pulls for NoPulls {
    async fn order(&self, _: Order) -> Result<(), PullsUnavailable> {
        Ok(())
    }

    async fn asked_until(&self, _: &Shop) -> Result<u64, PullsUnavailable> {
        Ok(u64::MAX)
    }
}
