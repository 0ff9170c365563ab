//! What people, pulls and jobs did is kept as it was said, and a status tells of pulls.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::support::{at, note, product, titled};
use backstock_journal::Store;
use backstock_proto::journal::{Gap, Healing, Journal, JournalError, PULL, Page, Record};
use backstock_proto::{Kind, Shop};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

async fn all(journal: &dyn Journal, shop: &Shop, id: Option<&str>, limit: usize) -> Vec<Record> {
    let mut page = Page { limit, cursor: None };
    let mut all = Vec::new();
    loop {
        let list = journal.records(shop, "job", id, &page).await.expect("list");
        assert!(list.items.len() <= limit);
        all.extend(list.items);
        page.cursor = list.next;
        if page.cursor.is_none() {
            return all;
        }
    }
}

/// Ids of which some begin as others do.
const IDS: [&str; 5] = ["1", "10", "1 0", "gid://shopify/Job/1", "ü"];

#[test]
fn records_are_listed_by_their_newest_and_read_back_whole() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("runtime");
    let said = (0_usize..IDS.len(), 0_usize..2, any::<bool>());
    let batches = proptest::collection::vec(proptest::collection::vec(said, 1..6), 1..6);
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let run = TestRunner::new(config).run(&(batches, 1_usize..5), |(batches, limit)| {
        let dir = tempfile::tempdir().expect("dir");
        let mut store = crate::support::open(dir.path());
        let shops = ["acme", "acme-2"];
        let mut model: BTreeMap<(usize, usize), Vec<(u64, Value)>> = BTreeMap::new();
        let mut seq = 0;
        for batch in batches {
            let mut messages = Vec::new();
            let mut reopen = false;
            for (id, shop, last) in batch {
                seq += 1;
                let said = json!({"seq": seq, "exact": 0.10});
                messages.push(note(shops[shop], "job", IDS[id], &said, seq).decode());
                model.entry((shop, id)).or_default().insert(0, (seq, said));
                reopen |= last;
            }
            // Other news between them, and another sort of record with the same ids.
            seq += 1;
            messages.push(titled(&product("acme", "1"), "A", at(1)).message(seq).decode());
            seq += 1;
            messages.push(note("acme", "jobs", IDS[0], &json!({}), seq).decode());
            let appended = store.append(&messages, at(0)).expect("append");
            assert!(appended.quarantined.is_empty());
            if reopen {
                drop(store);
                store = crate::support::open(dir.path());
            }
            assert_eq!(
                store.append(&messages, at(0)).expect("again").redelivered,
                messages.len() as u64
            );
        }
        let reader = crate::support::reader(&store);
        for (at, name) in shops.iter().enumerate() {
            let shop = Shop::from_name(name).expect("shop");
            let mut newest = Vec::new();
            for (id, shown) in IDS.iter().enumerate() {
                let said = model.get(&(at, id)).cloned().unwrap_or_default();
                let found = runtime.block_on(all(&reader, &shop, Some(shown), limit));
                let found: Vec<_> = found.into_iter().map(|r| (r.seq, r.payload)).collect();
                assert_eq!(found, said, "{name} {shown}");
                newest.extend(said.first().map(|(seq, _)| (*seq, *shown)));
            }
            newest.sort_by(|a, b| b.cmp(a));
            let found = runtime.block_on(all(&reader, &shop, None, limit));
            let found: Vec<_> = found.iter().map(|r| (r.seq, r.id.as_str())).collect();
            assert_eq!(found, newest, "{name}");
        }
        let report = runtime.block_on(reader.verify()).expect("verify");
        assert_eq!(report.faults, Vec::<String>::new());
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
}

#[tokio::test]
async fn a_record_cannot_be_asked_for_by_what_is_no_name() {
    let dir = tempfile::tempdir().expect("dir");
    let reader = crate::support::reader(&crate::support::open(dir.path()));
    let shop = Shop::from_name("acme").expect("shop");
    for (what, id, cursor) in
        [("", None, None), ("job", Some("a\0b"), None), ("job", None, Some("first"))]
    {
        let page = Page { cursor: cursor.map(str::to_owned), ..Page::default() };
        let refused = reader.records(&shop, what, id, &page).await;
        assert!(matches!(refused, Err(JournalError::Invalid(_))), "{what:?} {id:?} {cursor:?}");
    }
}

#[tokio::test]
async fn a_status_tells_of_the_pulls_and_of_what_they_healed() {
    let dir = tempfile::tempdir().expect("dir");
    let store = crate::support::open(dir.path());
    let shop = Shop::from_name("acme").expect("shop");
    let pull = |kind: &'static str, state: &str, seconds: i64, more: Value| {
        let mut report = json!({"kind": kind, "state": state, "started_at": at(seconds),
            "finished_at": at(seconds + 1)});
        report.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        move |seq| note("acme", PULL, kind, &report, seq)
    };
    let messages = vec![
        titled(&product("acme", "1"), "A", at(1)).message(1),
        // Sequences 2 to 4 never came.
        pull(
            "product",
            "complete",
            10,
            json!({"objects": 2, "drift": {"missed": 1, "changed": 0, "extra": 0}, "healed_gaps": [[2, 4]]}),
        )(5),
        pull("product", "complete", 20, json!({"objects": 3, "healed_gaps": [[1, 9]]}))(6),
        pull("product", "running", 30, json!({"progress": 0.25, "eta_seconds": 12.5}))(7),
    ];
    let decoded: Vec<_> = messages.into_iter().map(|message| message.decode()).collect();
    store.append(&decoded, at(2)).expect("append");
    let reader = crate::support::reader(&store);
    let status = reader.status(&shop).await.expect("status").expect("there");
    let product = &status.kinds[0];
    let running = product.pull.as_ref().expect("a pull");
    assert_eq!((running.progress, running.eta_seconds), (Some(0.25), Some(12.5)));
    let complete = product.last_complete_pull.as_ref().expect("a complete pull");
    assert_eq!((complete.started_at, complete.objects, complete.drift.missed), (at(20), 3, 0));
    assert!(product.not_covered.as_ref().is_some_and(|said| !said.is_empty()));
    let healing = Healing { kind: Kind::parse("product").expect("kind"), at: at(11) };
    let gap = Gap { healed: true, healed_by: vec![healing.clone()], ..Gap::new(2, 4, at(2)) };
    assert_eq!(status.gaps, std::slice::from_ref(&gap));
    let again = reader.status(&shop).await.expect("status").expect("there");
    assert_eq!(again.gaps, status.gaps);

    // Of a kind that was never read whole nothing is known that could have become wrong.
    let other = pull("page", "failed", 40, json!({"reason": "no access"}))(8).decode();
    store.append(&[other], at(2)).expect("append");
    let status = reader.status(&shop).await.expect("status").expect("there");
    let page = &status.kinds[0];
    assert_eq!((page.kind.as_str(), page.resources), ("page", 0));
    let failed = page.pull.as_ref().expect("a pull");
    assert_eq!(failed.reason.as_deref(), Some("no access"));
    assert_eq!((&page.last_complete_pull, &status.gaps), (&None, &vec![gap.clone()]));

    // A kind that has not been read anew since may still miss something.
    for (seq, more, healed) in [(9, json!({}), false), (10, json!({"healed_gaps": [[2, 4]]}), true)]
    {
        let read = pull("page", "complete", 50, more)(seq).decode();
        store.append(&[read], at(2)).expect("append");
        let status = reader.status(&shop).await.expect("status").expect("there");
        assert_eq!(status.gaps.iter().map(|gap| gap.healed).collect::<Vec<_>>(), [healed]);
    }
}

#[tokio::test]
async fn the_last_complete_pull_is_found_behind_all_that_failed() {
    let dir = tempfile::tempdir().expect("dir");
    let shop = Shop::from_name("acme").expect("shop");
    let said = |state: &str, seq: u64| {
        let report = json!({"kind": "page", "state": state, "started_at": at(seq as i64)});
        note("acme", PULL, "page", &report, seq).decode()
    };
    let last = async |store: &Arc<Store>| {
        let status = crate::support::reader(store).status(&shop).await.expect("status");
        let kinds = status.expect("there").kinds;
        kinds[0].last_complete_pull.as_ref().map(|pull| pull.started_at)
    };
    let store = crate::support::open(dir.path());
    store.append(&[said("running", 1), said("failed", 2)], at(0)).expect("append");
    assert_eq!(last(&store).await, None);
    // All in one batch, and then some more.
    let batch = [said("running", 3), said("complete", 4), said("running", 5), said("failed", 6)];
    store.append(&batch, at(0)).expect("append");
    assert_eq!(last(&store).await, Some(at(4)));
    store.append(&[said("running", 7), said("failed", 8)], at(0)).expect("append");
    assert_eq!(last(&store).await, Some(at(4)));
    // The thread that read lets go of the store a moment after it has answered.
    while Arc::strong_count(&store) > 1 {
        tokio::task::yield_now().await;
    }
    drop(store);

    // As an older Backstock left it: nothing is noted.
    let options = rocksdb::Options::default();
    let families = rocksdb::DB::list_cf(&options, dir.path()).expect("families");
    let db = rocksdb::DB::open_cf(&options, dir.path(), families).expect("open");
    db.delete_cf(db.cf_handle("meta").expect("family"), b"whole\0acme\0page\0").expect("gone");
    drop(db);
    let store = crate::support::open(dir.path());
    assert_eq!(last(&store).await, Some(at(4)));
    store.append(&[said("running", 9)], at(0)).expect("append");
    assert_eq!(last(&store).await, Some(at(4)));
    let report = crate::support::reader(&store).verify().await.expect("verify");
    assert_eq!(report.faults, Vec::<String>::new());
}
