//! What older binaries wrote is read by this one.

use std::path::Path;
use std::sync::Arc;

use crate::support::{at, facet, key, metafield, product, pulled, titled};
use backstock_proto::journal::{AsOf, ChangeFilter, Head, Journal, Page};
use backstock_proto::{Facet, ResourceKey, Source};
use futures::TryStreamExt;
use serde_json::{Value, json};

/// Where a head's mapping stands, its flags, and its hash: behind the format and two positions.
const HEAD_MAPPING: usize = 1 + 2 * 24;
const HEAD_FLAGS: usize = HEAD_MAPPING + 1;
const HEAD_HASH: usize = HEAD_FLAGS + 1;
const HEAD_SOURCE_FLAG: u8 = 4;
/// Behind the hash and the position of what is shown.
const HEAD_SOURCE: usize = HEAD_HASH + 32 + 24;

/// The database behind the store's back.
fn database(dir: &Path) -> rocksdb::DB {
    let options = rocksdb::Options::default();
    let families = rocksdb::DB::list_cf(&options, dir).expect("families");
    rocksdb::DB::open_cf(&options, dir, families).expect("open")
}

/// Changes a head.
fn change_head(dir: &Path, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) {
    let db = database(dir);
    let heads = db.cf_handle("heads").expect("family");
    let mut value = db.get_cf(heads, key).expect("read").expect("there");
    change(&mut value);
    db.put_cf(heads, key, value).expect("put");
}

async fn heads(dir: &Path, key: &ResourceKey) -> Vec<Head> {
    let store = crate::support::open(dir);
    let heads =
        crate::support::reader(&store).heads(&key.shop, &key.kind, None).await.expect("heads");
    let heads = heads.try_collect().await.expect("whole");
    // The thread that read lets go of the store a moment after its last item.
    while Arc::strong_count(&store) > 1 {
        tokio::task::yield_now().await;
    }
    heads
}

#[tokio::test]
async fn a_hash_of_an_older_mapping_is_never_taken_for_drift() {
    let dir = tempfile::tempdir().expect("dir");
    let key = product("acme", "7");
    let store = crate::support::open(dir.path());
    let arrival = [titled(&key, "A", at(1)), pulled(&key, "A", at(2)), metafield(&key, "x", at(3))];
    store.append(&crate::support::decoded(1, arrival), at(0)).expect("append");
    drop(store);
    let before = heads(dir.path(), &key).await;
    // The core's head is a marker of a pull, whose payload came by webhook.
    assert_eq!(before.iter().map(|h| h.source).collect::<Vec<_>>(), [Source::Pull, Source::Pull]);
    for facet in [b'c', b'm'] {
        let head = [b"acme\0product\x007\0".as_slice(), &[facet]].concat();
        change_head(dir.path(), &head, |value| {
            value[HEAD_MAPPING] = 0;
            value[HEAD_HASH..HEAD_HASH + 32].fill(7);
        });
    }
    assert_eq!(heads(dir.path(), &key).await, before);
}

#[tokio::test]
async fn a_head_that_does_not_say_its_source_is_asked_for_it() {
    let dir = tempfile::tempdir().expect("dir");
    let key = product("acme", "7");
    let store = crate::support::open(dir.path());
    store.append(&crate::support::decoded(1, [titled(&key, "A", at(1))]), at(0)).expect("append");
    drop(store);
    let before = heads(dir.path(), &key).await;
    change_head(dir.path(), b"acme\0product\x007\0c", |value| {
        value[HEAD_FLAGS] &= !HEAD_SOURCE_FLAG;
        assert_eq!(value.remove(HEAD_SOURCE), b'w');
    });
    assert_eq!(heads(dir.path(), &key).await, before);
    let reader = crate::support::reader(&crate::support::open(dir.path()));
    let list = reader.resources(&key.shop, &Default::default(), &Default::default()).await;
    assert_eq!(list.expect("list").items[0].listing.title, "A");
    assert!(reader.resource(&key, AsOf::Latest).await.expect("read").is_some());
}

/// What a backfill brought is no news, also where it was kept before the timeline said so.
#[tokio::test]
async fn a_first_look_that_is_not_marked_is_told_apart_all_the_same() {
    let dir = tempfile::tempdir().expect("dir");
    let key = product("acme", "7");
    let store = crate::support::open(dir.path());
    let arrival = [
        pulled(&key, "A", at(1)),
        pulled(&key, "B", at(2)),
        titled(&product("acme", "8"), "C", at(3)),
        pulled(&product("acme", "9"), "D", at(5)).earliest(at(4)),
    ];
    store.append(&crate::support::decoded(1, arrival), at(0)).expect("append");
    drop(store);
    let db = database(dir.path());
    let timeline = db.cf_handle("timeline").expect("family");
    let marked: Vec<_> = db
        .iterator_cf(timeline, rocksdb::IteratorMode::Start)
        .map(|entry| entry.expect("an entry"))
        .collect();
    assert_eq!(marked.iter().filter(|(_, value)| value.last() == Some(&1)).count(), 1);
    for (key, value) in marked {
        db.put_cf(timeline, key, &value[..value.len() - 1]).expect("put");
    }
    drop(db);
    let store = crate::support::open(dir.path());
    let filter = ChangeFilter { without_first_looks: true, ..ChangeFilter::default() };
    let list = crate::support::reader(&store).changes(&key.shop, &filter, &Page::default()).await;
    let seqs: Vec<u64> = list.expect("changes").items.iter().map(|c| c.version.seq).collect();
    assert_eq!(seqs, [4, 3, 2]);
}

/// What an older version did not ask for was there all the same, and nobody changed it.
#[tokio::test]
async fn a_field_that_was_not_kept_before_is_no_change() {
    let dir = tempfile::tempdir().expect("dir");
    let market = key("acme", "market", "7");
    let without = |name: &str| json!({"id": "gid://shopify/Market/7", "name": name});
    let with = |name: &str, taxes: &str| {
        let mut node = without(name);
        node["priceInclusions"] = json!({"inclusiveTaxPricingStrategy": taxes});
        node
    };
    let read = |node: &Value, second| facet(&market, Facet::Core, node, at(second));
    let arrival = [
        read(&without("EU"), 1),
        read(&with("EU", "ADD"), 2),
        read(&with("EU", "INCLUDE"), 3),
        // As while two versions of Backstock run side by side.
        read(&without("Europe"), 4),
        read(&with("Europe", "INCLUDE"), 5),
    ];
    let store = crate::support::open(dir.path());
    store.append(&crate::support::decoded(1, arrival), at(0)).expect("append");
    let reader = crate::support::reader(&store);
    let filter = ChangeFilter::default();
    let list = reader.changes(&market.shop, &filter, &Page::default()).await.expect("changes");
    let changed: Vec<(u64, &str)> = (list.items.iter())
        .flat_map(|change| {
            change.changes.iter().map(move |field| (change.version.seq, &*field.path))
        })
        .filter(|(seq, _)| *seq > 1)
        .collect();
    assert_eq!(changed, [(4, "/name"), (3, "/priceInclusions/inclusiveTaxPricingStrategy")]);
    let seqs: Vec<u64> = list.items.iter().map(|change| change.version.seq).collect();
    assert_eq!(seqs, [4, 3, 1]);
    let now = reader.resource(&market, AsOf::Latest).await.expect("read").expect("there");
    assert_eq!(now.state["priceInclusions"]["inclusiveTaxPricingStrategy"], "INCLUDE");
}
