//! The bytes of media: kept for as long as any version names them that is kept or may come back.

use std::sync::Arc;

use crate::support::{Delivery, at, deleted, facet, note, product, titled};
use backstock_journal::Store;
use backstock_proto::blob::{BlobHash, Blobs};
use backstock_proto::journal::Retention;
use backstock_proto::retain::{Retained, retain};
use backstock_proto::time::{Clock, SystemClock};
use backstock_proto::{Facet, Mode, Shop, Timestamp};
use bytes::Bytes;
use futures::stream;
use serde_json::json;

const KEEP_ALL: Retention = Retention { keep_all_days: 36_500, keep_daily: 0, keep_weekly: 0 };
const KEEP_NEWEST: Retention = Retention { keep_all_days: 0, keep_daily: 0, keep_weekly: 0 };

/// A shop's history, and the bytes that belong to it.
struct World {
    _dir: tempfile::TempDir,
    store: Arc<Store>,
    blobs: Blobs,
    shop: Shop,
}

impl World {
    /// A product that has been there for long.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = crate::support::open(dir.path());
        let shop = Shop::from_name("acme").expect("a shop");
        let world = Self { _dir: dir, store, blobs: Blobs::in_memory(), shop };
        world.learn([titled(&product("acme", "1"), "Mug", at(0))]);
        world
    }

    fn learn(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let first = self.store.applied_seq() + 1;
        self.store.append(&crate::support::decoded(first, deliveries), at(0)).expect("append");
    }

    fn record(&self, what: &str, said: &serde_json::Value) {
        let message = note("acme", what, "1", said, self.store.applied_seq() + 1).decode();
        self.store.append(&[message], at(0)).expect("append");
    }

    async fn put(&self, bytes: &'static str) -> BlobHash {
        let bytes = stream::iter([Ok(Bytes::from_static(bytes.as_bytes()))]);
        self.blobs.put(&self.shop, bytes, 1_000).await.expect("kept").0
    }

    async fn has(&self, hash: BlobHash) -> bool {
        self.blobs.exists(&self.shop, hash).await.expect("an answer")
    }

    /// What the night after so many days does.
    async fn night(&self, days: i64, retention: Retention) -> Retained {
        self.retained(days, retention, Mode::Apply).await
    }

    async fn retained(&self, days: i64, retention: Retention, mode: Mode) -> Retained {
        let now = SystemClock.now().as_micros() + days * 24 * 3_600 * 1_000_000;
        let reader = crate::support::reader(&self.store);
        let how = (retention, Timestamp::from_micros(now));
        retain((&reader, &self.blobs), &self.shop, how, mode).await.expect("retained")
    }
}

/// The product's only picture, from a moment on.
fn pictured(blob: BlobHash, seconds: i64) -> Delivery {
    let copy = json!({"url": "https://cdn.shopify.com/a.jpg", "blob": blob.to_string()});
    let payload = json!({"id": "gid://shopify/Product/1", "blobs": [copy]});
    facet(&product("acme", "1"), Facet::Blobs, &payload, at(seconds))
}

#[tokio::test]
async fn bytes_stay_while_any_version_names_them_and_four_weeks_more() {
    let world = World::new();
    let (old, new) = (world.put("old").await, world.put("new").await);
    world.learn([pictured(old, 1), pictured(new, 2)]);
    world.night(60, KEEP_ALL).await;
    assert_eq!(world.night(90, KEEP_ALL).await.blobs, 0, "an old version names it");
    assert!(world.has(old).await && world.has(new).await);

    // The version goes; a checkpoint from before may come back.
    assert_eq!(world.night(90, KEEP_NEWEST).await.blobs, 0);
    assert!(world.has(old).await, "nothing named it for the first time");
    let (dry, due) =
        (world.retained(27, KEEP_NEWEST, Mode::DryRun).await, world.night(27, KEEP_NEWEST).await);
    assert_eq!((dry.blobs, due.blobs), (0, 0));
    let dry = world.retained(29, KEEP_NEWEST, Mode::DryRun).await;
    assert!(world.has(old).await, "a dry run removes nothing");
    let done = world.night(29, KEEP_NEWEST).await;
    assert_eq!((dry.blobs, done.blobs, done.blob_bytes), (1, 1, 3));
    assert!(!world.has(old).await && world.has(new).await);
    assert_eq!(world.night(30, KEEP_NEWEST).await.blobs, 0);
}

#[tokio::test]
async fn a_journal_that_lost_its_history_takes_no_bytes_with_it() {
    let world = World::new();
    let hash = world.put("picture").await;
    world.learn([pictured(hash, 1)]);
    // An empty journal in the place of the lost one names nothing.
    let empty = World { blobs: world.blobs.clone(), ..World::new() };
    for night in [8, 14, 27] {
        assert_eq!(empty.night(night, KEEP_NEWEST).await.blobs, 0);
    }
    // The checkpoint is back, and names it again.
    assert_eq!(world.night(28, KEEP_NEWEST).await.blobs, 0);
    assert_eq!(world.night(60, KEEP_NEWEST).await.blobs, 0);
    assert!(world.has(hash).await);
    assert_eq!(empty.night(60, KEEP_NEWEST).await.blobs, 0, "it was named in between");
}

#[tokio::test]
async fn bytes_of_what_was_deleted_belong_to_what_it_was() {
    let world = World::new();
    let (before, last) = (world.put("before").await, world.put("last").await);
    let key = product("acme", "1");
    world.learn([pictured(before, 1), pictured(last, 2), deleted(&key, at(3))]);
    world.night(8, KEEP_NEWEST).await;
    assert_eq!(world.night(40, KEEP_NEWEST).await.blobs, 1);
    assert!(world.has(last).await && !world.has(before).await);
}

#[tokio::test]
async fn a_version_that_says_the_same_as_an_earlier_one_names_its_bytes() {
    let world = World::new();
    let (first, late) = (world.put("first").await, world.put("late").await);
    // The second names the payload of the first; what comes between them later changes nothing.
    world.learn([pictured(first, 1), pictured(first, 9), pictured(late, 5)]);
    world.night(8, KEEP_NEWEST).await;
    world.night(40, KEEP_NEWEST).await;
    assert!(world.has(first).await, "the newest version names it");
    assert!(!world.has(late).await);
}

#[tokio::test]
async fn each_shop_has_its_own_bytes() {
    let world = World::new();
    let hash = world.put("picture").await;
    world.learn([pictured(hash, 1)]);
    let other = World {
        blobs: world.blobs.clone(),
        shop: Shop::from_name("bolt").expect("a shop"),
        ..World::new()
    };
    other.put("picture").await;
    other.night(8, KEEP_NEWEST).await;
    assert_eq!(other.night(40, KEEP_NEWEST).await.blobs, 1);
    assert!(world.has(hash).await && !other.has(hash).await);
}

#[tokio::test]
async fn nothing_goes_while_it_is_held_or_a_restore_is_at_work() {
    let world = World::new();
    let hash = world.put("picture").await;
    world.night(8, KEEP_NEWEST).await;
    world.record("hold", &json!({"on": true}));
    assert!(world.night(40, KEEP_NEWEST).await.held && world.has(hash).await);
    world.record("hold", &json!({"on": false}));
    world.record("job", &json!({"state": "running"}));
    assert_eq!(world.night(40, KEEP_NEWEST).await.blobs, 0);
    world.record("job", &json!({"state": "done"}));
    assert_eq!(world.night(40, KEEP_NEWEST).await.blobs, 1);
    assert!(!world.has(hash).await);
}
