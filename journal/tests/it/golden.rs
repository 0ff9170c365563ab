//! Stores and checkpoints as they lie on users' disks, held against today's code.
//!
//! `store-v1.txt` is every entry of a store, family by family: key, value. `checkpoint-v1.txt` is an
//! object store with a checkpoint in it, and so holds real files of RocksDB. What they hold is
//! [`history`]; its kind is one that no file claims, so that no mapping is a part of it.

use std::path::Path;
use std::sync::Arc;

use crate::support::{at, key};
use backstock_journal::Store;
use backstock_journal::checkpoint::{CheckpointError, Checkpoints, File, Manifest};
use backstock_journal::decode::{Decoded, Message};
use backstock_proto::canonical::Hash;
use backstock_proto::erase::{ErasureState, Whom};
use backstock_proto::journal::{AsOf, ChangeFilter, Journal, Page, Raw, Span, Version};
use backstock_proto::stream::{event_subject, ops_subject};
use backstock_proto::{Event, Facet, Op, ResourceId, ResourceKey, Shop, Source, Timestamp};
use futures::TryStreamExt;
use golden::{Golden, means};
use object_store::memory::InMemory;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde_json::{Value, json};

const STORE: &str = "store-v1.txt";
const CHECKPOINT: &str = "checkpoint-v1.txt";
/// The sequence that the stream lost.
const LOST: u64 = 7;

fn golden() -> Golden {
    Golden::of(env!("CARGO_MANIFEST_DIR"))
}

fn gadget(id: &str) -> ResourceKey {
    key("acme", "gadget", id)
}

fn shop() -> Shop {
    gadget("1").shop
}

/// When the stream took a message.
fn recorded(seq: u64) -> Timestamp {
    at(1_000 + seq as i64)
}

/// Something pulled, which the others differ from.
fn pulled(id: &str, payload: &'static str, valid_at: Timestamp) -> Event {
    Event {
        key: gadget(id),
        facet: Facet::Core,
        op: Op::Update,
        source: Source::Reconcile,
        topic: "pull".into(),
        api_version: Some("2026-10".into()),
        webhook_id: None,
        event_id: None,
        triggered_at: None,
        received_at: at(100),
        valid_at: Some(valid_at),
        earliest_at: None,
        payload: payload.into(),
    }
}

fn delivered(id: &str, payload: &'static str, triggered_at: Timestamp) -> Event {
    Event {
        source: Source::Webhook,
        topic: "gadgets/update".into(),
        triggered_at: Some(triggered_at),
        valid_at: None,
        ..pulled(id, payload, triggered_at)
    }
}

const MUG: &str = r#"{"handle":"mug","id":1,"title":"Mug","updated_at":"2026-10-01T00:00:10Z"}"#;
const STILL_MUG: &str =
    r#"{"handle":"mug","id":1,"title":"Mug","updated_at":"2026-10-01T00:00:20Z"}"#;
const POT: &str = r#"{"handle":"pot","id":1,"title":"Pot","updated_at":"2026-10-01T00:00:15Z"}"#;
const CARE: &str = r#"{"metafields":[{"key":"care","namespace":"custom","value":"by hand"}]}"#;

/// The moment of a webhook, finer than its payload's date.
fn mug_at() -> Timestamp {
    Timestamp::from_micros(at(10).as_micros() + 250_000)
}

/// Every sort of entry: each source, op and flag, a marker, a late arrival, records, a gap, an erasure.
fn history() -> Vec<Message> {
    let events = [
        (
            1,
            Event {
                op: Op::Create,
                topic: "gadgets/create".into(),
                webhook_id: Some("w-1".into()),
                event_id: Some("e-1".into()),
                received_at: at(11),
                ..delivered("1", MUG, mug_at())
            },
        ),
        (2, Event { webhook_id: Some("w-2".into()), ..delivered("1", STILL_MUG, at(20)) }),
        (
            3,
            Event {
                facet: Facet::Metafields,
                source: Source::Pull,
                earliest_at: Some(at(25)),
                ..pulled("1", CARE, at(30))
            },
        ),
        (
            4,
            Event {
                source: Source::Events,
                topic: "Gadget/update".into(),
                api_version: None,
                ..delivered("1", r#"{"data":{"gadget":{"title":"Tall mug"}}}"#, at(40))
            },
        ),
        (8, pulled("1", r#"{"id":1,"title":"Cup"}"#, at(50))),
        (
            9,
            Event {
                op: Op::Create,
                source: Source::Restore,
                ..pulled("2", r#"{"id":2,"title":"Plate"}"#, at(60))
            },
        ),
        (10, Event { op: Op::Delete, ..delivered("2", r#"{"id":2}"#, at(70)) }),
        (
            11,
            Event {
                facet: Facet::Signal,
                ..delivered("1", r#"{"id":1,"notice":"moved"}"#, at(80))
            },
        ),
        (12, delivered("1", POT, at(15))),
    ];
    let records = [
        (5, "mark", "m-1", r#"{"label":"before"}"#),
        (6, "mark", "m-1", r#"{"label":"before the sale"}"#),
        (
            13,
            "erasure",
            "customer-7",
            r#"{"whom":{"customer":"7"},"orders":["8"],"via":"api","by":"ops","requested_at":"2026-10-01T00:01:30Z"}"#,
        ),
    ];
    let events = events.into_iter().map(|(seq, event)| Message {
        seq,
        recorded_at: recorded(seq),
        subject: event_subject(0, &event.key),
        headers: event.to_headers(),
        payload: event.payload,
    });
    let records = records.into_iter().map(|(seq, what, id, said)| Message {
        seq,
        recorded_at: recorded(seq),
        subject: ops_subject(0, &shop(), what, id),
        headers: async_nats::HeaderMap::new(),
        payload: said.into(),
    });
    let mut all: Vec<Message> = events.chain(records).collect();
    all.sort_by_key(|message| message.seq);
    all
}

fn filled(dir: &Path) -> Arc<Store> {
    let store = crate::support::open(dir);
    let decoded: Vec<Decoded> = history().into_iter().map(Message::decode).collect();
    let appended = store.append(&decoded, at(2_000)).expect("append");
    assert!(appended.quarantined.is_empty(), "{:?}", appended.quarantined);
    store
}

/// The database without what the store knows of it.
fn database(dir: &Path) -> (rocksdb::DB, Vec<String>) {
    let options = rocksdb::Options::default();
    let mut families = rocksdb::DB::list_cf(&options, dir).expect("families");
    families.sort();
    (rocksdb::DB::open_cf(&options, dir, &families).expect("open"), families)
}

/// Every entry, a line each.
fn entries(dir: &Path) -> String {
    let (db, families) = database(dir);
    let mut text = String::new();
    for name in families {
        let mut entries = db.raw_iterator_cf(db.cf_handle(&name).expect("family"));
        entries.seek_to_first();
        while let Some((key, value)) = entries.item() {
            let line = [name.as_str(), &golden::shown(key), &golden::shown(value)];
            text += &(line.join("\t") + "\n");
            entries.next();
        }
    }
    text
}

/// A store of these entries and no others.
fn store_of(entries: &str, dir: &Path) {
    drop(crate::support::open(dir));
    let (db, families) = database(dir);
    for name in &families {
        let family = db.cf_handle(name).expect("family");
        db.delete_range_cf(family, &[][..], &[0xff; 8][..]).expect("emptied");
    }
    for line in entries.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [family, key, value] = parts.as_slice() else { panic!("{line}") };
        let family = db.cf_handle(family).expect("family");
        db.put_cf(family, golden::bytes(key), golden::bytes(value)).expect("put");
    }
}

/// Everything that is asked of a store of [`history`] is answered with what went in.
async fn assert_says_what_went_in(store: Arc<Store>) {
    means((store.applied_seq(), store.created_at()), (13, at(0)));
    let reader = crate::support::reader(&store);
    let page = Page::default();
    let versions = reader.versions(&gadget("1"), Span::default(), &page).await.expect("versions");
    let versions = versions.items;
    means(versions.iter().map(|v| v.seq).collect::<Vec<_>>(), [11, 8, 4, 3, 2, 12, 1]);
    // The marker says the same as another one than it stands behind by now.
    means(versions.iter().any(|version| version.unchanged), false);
    use Source::{Events, Pull, Reconcile, Webhook};
    means(versions.iter().map(|v| v.source).collect::<Vec<_>>(), {
        [Webhook, Reconcile, Events, Pull, Webhook, Webhook, Webhook]
    });
    let mug = json!({"handle": "mug", "id": 1, "title": "Mug"});
    let first = Version {
        seq: 1,
        op: Op::Create,
        source: Webhook,
        facet: Facet::Core,
        valid_at: at(10),
        recorded_at: recorded(1),
        received_at: at(11),
        triggered_at: Some(mug_at()),
        earliest_at: None,
        topic: "gadgets/create".into(),
        api_version: Some("2026-10".into()),
        webhook_id: Some("w-1".into()),
        event_id: Some("e-1".into()),
        hash: Hash::of(Some(&mug)).to_hex(),
        unchanged: false,
        erased: false,
    };
    means(versions.last(), Some(&first));
    means((versions[3].facet, versions[3].earliest_at), (Facet::Metafields, Some(at(25))));
    means(versions[2].api_version.as_deref(), None::<&str>);

    let raw = async |seq| reader.raw(&gadget("1"), seq).await.expect("raw");
    means(raw(1).await, Some(Raw::Bytes(MUG.into())));
    means(raw(2).await, Some(Raw::SameAs { seq: 1 }));
    let state = async |id: &str, seconds| -> (bool, Value) {
        let found = reader.resource(&gadget(id), AsOf::At(at(seconds))).await.expect("read");
        let found = found.expect("there");
        (found.deleted, found.state)
    };
    // Of a kind that nobody has described, only the core is shown.
    means(state("1", 12).await, (false, mug.clone()));
    means(state("1", 35).await, (false, mug));
    means(state("2", 99).await, (true, json!({"id": 2, "title": "Plate"})));

    let all = ChangeFilter { bare: true, unchanged: true, ..ChangeFilter::default() };
    let changes = reader.changes(&shop(), &all, &page).await.expect("changes").items;
    let changed: Vec<u64> = changes.iter().map(|change| change.version.seq).collect();
    means(changed, [10, 9, 8, 4, 3, 2, 12, 1]);
    let kind = gadget("1").kind;
    let heads = reader.heads(&shop(), &kind, None).await.expect("heads");
    let heads: Vec<_> = heads.try_collect().await.expect("heads");
    means(heads.iter().map(|head| (head.facet, head.seq, head.deleted)).collect::<Vec<_>>(), {
        [(Facet::Core, 8, false), (Facet::Metafields, 3, false), (Facet::Core, 10, true)]
    });

    let marks = reader.records(&shop(), "mark", Some("m-1"), &page).await.expect("records").items;
    let said = |record: &backstock_proto::journal::Record| {
        (record.seq, record.recorded_at, record.payload["label"].clone())
    };
    means(marks.iter().map(said).collect::<Vec<_>>(), {
        [(6, recorded(6), json!("before the sale")), (5, recorded(5), json!("before"))]
    });
    let newest = reader.records(&shop(), "mark", None, &page).await.expect("records").items;
    means(newest.iter().map(|r| (r.id.as_str(), r.seq)).collect::<Vec<_>>(), [("m-1", 6)]);

    let status = reader.status(&shop()).await.expect("status").expect("a shop");
    let gaps = status.gaps.iter().map(|gap| (gap.from_seq, gap.to_seq, gap.noticed_at));
    means(gaps.collect::<Vec<_>>(), [(LOST, LOST, at(2_000))]);
    let kinds = status.kinds.iter().map(|of| (of.kind.clone(), of.resources, of.deleted));
    means(kinds.collect::<Vec<_>>(), [(kind, 1, 1)]);
    means((status.summary.versions, status.summary.newest_received_at), (9, Some(at(100))));
    let erasures = reader.erasures(Some(&shop())).await.expect("erasures");
    let wished = erasures.iter().map(|e| (e.whom.clone(), e.state, e.requested_at));
    let seven = ResourceId::parse("7").expect("an id");
    means(wished.collect::<Vec<_>>(), [(Whom::Customer(seven), ErasureState::Open, at(90))]);

    let verified = reader.verify().await.expect("verified");
    means((verified.versions, verified.faults), (9, Vec::<String>::new()));
}

#[tokio::test]
async fn the_store() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(filled(dir.path()));
    let golden = golden().same(STORE, &entries(dir.path()));
    let dir = tempfile::tempdir().expect("a directory");
    store_of(&golden, dir.path());
    assert_says_what_went_in(crate::support::open(dir.path())).await;
}

/// What is in an object store, a line each; without the settings of RocksDB, which are long and which
/// nothing reads.
async fn objects(storage: &InMemory) -> String {
    let mut places: Vec<_> = storage.list(None).try_collect().await.expect("a list");
    places.sort_by(|a, b| a.location.cmp(&b.location));
    let mut lines = Vec::new();
    let mut settings = None;
    for place in places {
        let bytes = storage.get(&place.location).await.expect("there").bytes().await;
        let mut bytes = bytes.expect("bytes").to_vec();
        if let Ok(mut manifest) = serde_json::from_slice::<Manifest>(&bytes) {
            let is_settings = |file: &File| file.name.starts_with("OPTIONS");
            settings = manifest.files.iter().find(|file| is_settings(file)).cloned();
            manifest.files.retain(|file| !is_settings(file));
            bytes = serde_json::to_vec_pretty(&manifest).expect("JSON");
        }
        lines.push((place.location.to_string(), golden::shown(&bytes)));
    }
    let settings = settings.expect("settings").blake3;
    lines.retain(|(place, _)| !place.ends_with(&settings));
    lines.into_iter().map(|(place, bytes)| format!("{place}\t{bytes}\n")).collect()
}

async fn storage_of(objects: &str) -> Arc<InMemory> {
    let storage = Arc::new(InMemory::new());
    for line in objects.lines() {
        let (place, bytes) = line.split_once('\t').expect("a place and bytes");
        storage.put(&place.into(), golden::bytes(bytes).into()).await.expect("put");
    }
    storage
}

#[tokio::test]
async fn the_checkpoint() {
    let dir = tempfile::tempdir().expect("a directory");
    let made = Arc::new(InMemory::new());
    let store = filled(&dir.path().join("store"));
    Checkpoints::new(made.clone(), 0).make(&store, at(3_000)).await.expect("a checkpoint");
    drop(store);
    let golden = golden().kept(CHECKPOINT, &objects(&made).await);

    let storage = storage_of(&golden).await;
    let checkpoints = Checkpoints::new(storage.clone(), 0);
    let manifests = checkpoints.list().await.expect("manifests");
    let [manifest] = manifests.as_slice() else { panic!("{manifests:?}") };
    means((manifest.format, manifest.partition, manifest.at), (1, 0, at(3_000)));
    means(manifest.applied_seq, 13);
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert!(names.contains(&"CURRENT"), "{names:?}");
    let place = "checkpoints/0/2026-10-01T005000Z.json";
    let stored = storage.get(&place.into()).await.expect(place).bytes().await.expect("bytes");
    let now = serde_json::to_vec_pretty(manifest).expect("JSON");
    means(golden::shown(&stored), golden::shown(&now));

    let path = dir.path().join("recovered");
    checkpoints.recover(&path, false, &*storage, at(4_000)).await.expect("recovered");
    assert_says_what_went_in(crate::support::open(&path)).await;
}

#[tokio::test]
async fn a_newer_checkpoint_is_refused_and_nothing_of_it_goes() {
    let dir = tempfile::tempdir().expect("a directory");
    let storage = Arc::new(InMemory::new());
    let checkpoints = Checkpoints::new(storage.clone(), 0);
    let store = filled(&dir.path().join("store"));
    checkpoints.make(&store, at(3_000)).await.expect("a checkpoint");
    let newer = br#"{"format": 2, "parts": {"a": 1}}"#.to_vec();
    storage.put(&"checkpoints/0/2026-10-02T000000Z.json".into(), newer.into()).await.expect("put");
    let there = objects_there(&storage).await;
    let path = dir.path().join("recovered");
    let recovered = checkpoints.recover(&path, false, &*storage, at(4_000)).await.map(drop);
    // An older copy of the journal beside a newer one.
    let made = checkpoints.make(&store, at(900_000)).await.map(drop);
    for outcome in [recovered, made] {
        let newer = outcome.expect_err("refused");
        assert!(matches!(newer, CheckpointError::Newer { found: 2, .. }), "{newer}");
        let why = newer.to_string();
        assert!(why.ends_with("format 2, this binary knows 1; run a newer Backstock"), "{why}");
    }
    assert!(!path.exists());
    assert_eq!(objects_there(&storage).await, there);
}

async fn objects_there(storage: &InMemory) -> Vec<String> {
    let all: Vec<_> = storage.list(None).try_collect().await.expect("a list");
    all.iter().map(|object| object.location.to_string()).collect()
}

#[test]
fn nothing_is_skipped_that_a_newer_backstock_wrote() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = crate::support::open(dir.path());
    let mut messages: Vec<Message> = history().into_iter().filter(|m| m.seq < LOST).collect();
    for seq in [4, 5] {
        let newer = messages.iter_mut().find(|message| message.seq == seq).expect("a message");
        newer.headers.insert(backstock_proto::event::header::FORMAT, "2");
    }
    let decoded: Vec<Decoded> = messages.into_iter().map(Message::decode).collect();
    let appended = store.append(&decoded, at(0)).expect("append");
    let newer = appended.newer.expect("newer");
    assert_eq!((newer.seq, newer.format, appended.stored.len()), (4, 2, 3));
    // A record's envelope may be newer as well.
    let appended = store.append(&decoded[4..], at(0)).expect("append");
    assert_eq!(appended.newer.map(|newer| newer.seq), Some(5));
    assert_eq!((store.applied_seq(), store.quarantined_total().expect("read")), (3, 0));
}
