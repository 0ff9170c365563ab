//! Damaged, foreign and newer stores: an error, never a wrong answer.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Delivery, at, product, titled};
use backstock_journal::{Options, Store, StoreError, bare_rocksdb};
use backstock_proto::ResourceKey;
use backstock_proto::journal::{AsOf, Journal, JournalError, VerifyReport};
use futures::TryStreamExt;
use serde_json::Value;

const VERSIONS: usize = 600;

/// A product that compresses badly, so that files have some size.
fn noisy(n: usize) -> Delivery {
    let key = product("acme", &(n % 40).to_string());
    let mut digest = blake3::Hasher::new();
    digest.update(&n.to_be_bytes());
    let noise: String =
        (0..8).map(|_| digest.update(b"+").finalize().to_hex().to_string()).collect();
    titled(&key, &noise, at(n as i64)).webhook(&n.to_string())
}

fn fill(store: &Store) {
    for batch in 0..6 {
        let deliveries = (batch * 100..(batch + 1) * 100).map(noisy);
        let messages = crate::support::decoded(batch as u64 * 100 + 1, deliveries);
        store.append(&messages, at(0)).expect("append");
    }
}

fn expected() -> Vec<(ResourceKey, Value)> {
    let last = (VERSIONS - 40..VERSIONS).map(noisy);
    last.map(|delivery| {
        let body: Value = serde_json::from_slice(&delivery.payload).expect("json");
        (delivery.key, body["title"].clone())
    })
    .collect()
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().expect("dir");
    for file in fs::read_dir(from).expect("files").map(|file| file.expect("file").path()) {
        let name = file.file_name().expect("name");
        fs::copy(&file, to.path().join(name)).expect("copy");
    }
    to
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).expect("files").map(|file| file.expect("file").path());
    let mut found: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 0x10;
    fs::write(path, bytes).expect("write");
}

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, Options::for_testing(), at(0))
}

/// Reads everything. Returns how many reads failed; panics on a wrong answer.
async fn read_all(store: Store) -> (usize, VerifyReport) {
    let reader = crate::support::reader(&store.into());
    let mut failed = 0;
    for (key, title) in expected() {
        match reader.resource(&key, AsOf::Latest).await {
            Ok(found) => assert_eq!(found.expect("there").state["title"], title, "wrong answer"),
            Err(JournalError::Damaged(_)) => failed += 1,
            Err(other) => panic!("not told as damage: {other}"),
        }
    }
    (failed, reader.verify().await.expect("verify"))
}

#[tokio::test]
async fn a_flipped_bit_in_a_file_is_found_and_never_served() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(dir.path()).expect("open");
    fill(&store);
    store.close().expect("close");
    drop(store);
    let (failed, report) = read_all(open(copy(dir.path()).path()).expect("open")).await;
    assert_eq!((failed, report.faults, report.versions), (0, vec![], VERSIONS as u64));
    let tables = files(dir.path(), "sst");
    assert!(tables.len() >= 4, "{tables:?}");
    let (mut refused, mut found) = (0, 0);
    for table in &tables {
        let size = fs::metadata(table).expect("size").len() as usize;
        for place in [size / 10, size / 2, size - 20] {
            let damaged = copy(dir.path());
            flip(&damaged.path().join(table.file_name().expect("name")), place);
            match open(damaged.path()) {
                Err(StoreError::Open { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
                Ok(store) => {
                    let (_, report) = read_all(store).await;
                    assert!(report.faults_total > 0, "{table:?} at {place} of {size}");
                    found += 1;
                }
            }
        }
    }
    assert!(refused + found == 3 * tables.len() && found > 0, "{refused} {found}");
}

#[tokio::test]
async fn a_log_cut_short_loses_its_tail_and_a_damaged_one_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(dir.path()).expect("open");
    fill(&store);
    drop(store);
    let log = files(dir.path(), "log").pop().expect("a log");
    let name = log.file_name().expect("name");
    let size = fs::metadata(&log).expect("size").len();

    let cut = copy(dir.path());
    let file = fs::OpenOptions::new().write(true).open(cut.path().join(name)).expect("open");
    file.set_len(size - 100).expect("cut");
    let store = open(cut.path()).expect("a torn tail is what a crash leaves");
    // The batch whose record is torn is gone as a whole; the stream sends it again.
    assert_eq!(store.applied_seq(), 500);
    store.append(&crate::support::decoded(501, (500..600).map(noisy)), at(0)).expect("append");
    let (failed, report) = read_all(store).await;
    assert_eq!((failed, report.faults, report.versions), (0, vec![], VERSIONS as u64));

    let damaged = copy(dir.path());
    flip(&damaged.path().join(name), size as usize / 2);
    let refused = open(damaged.path());
    assert!(matches!(refused, Err(StoreError::Open { .. })), "{refused:?}");
}

#[test]
fn a_store_without_one_of_its_files_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(dir.path()).expect("open");
    fill(&store);
    store.close().expect("close");
    drop(store);
    let mut missing = files(dir.path(), "sst");
    missing.push(dir.path().join("CURRENT"));
    for file in missing {
        let damaged = copy(dir.path());
        let path = damaged.path().join(file.file_name().expect("name"));
        fs::remove_file(&path).expect("remove");
        let opened = open(damaged.path());
        assert!(matches!(opened, Err(StoreError::Open { .. })), "{file:?}: {opened:?}");
    }
}

#[test]
fn a_directory_has_one_opener() {
    let dir = tempfile::tempdir().expect("dir");
    let first = open(dir.path()).expect("open");
    let second = open(dir.path());
    assert!(matches!(second, Err(StoreError::Locked { .. })), "{second:?}");
    drop(first);
    open(dir.path()).expect("free again");
}

/// Writes behind the store's back.
fn put(dir: &Path, family: &str, key: &[u8], value: &[u8]) {
    let options = rocksdb::Options::default();
    let families = rocksdb::DB::list_cf(&options, dir).expect("families");
    let db = rocksdb::DB::open_cf(&options, dir, families).expect("open");
    db.put_cf(db.cf_handle(family).expect("family"), key, value).expect("put");
}

#[test]
fn a_newer_store_is_refused() {
    let dir = tempfile::tempdir().expect("dir");
    drop(open(dir.path()).expect("open"));
    put(dir.path(), "meta", b"format", &[2]);
    let refused = open(dir.path());
    assert!(matches!(refused, Err(StoreError::NewerFormat { found: 2, .. })), "{refused:?}");
    let why = refused.expect_err("refused").to_string();
    assert!(why.ends_with("is in format 2, this binary knows 1; run a newer Backstock"), "{why}");
}

#[tokio::test]
async fn a_newer_record_is_an_error_and_not_a_guess() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(dir.path()).expect("open");
    let key = product("acme", "7");
    let messages = crate::support::decoded(1, [titled(&key, "A", at(1))]);
    store.append(&messages, at(0)).expect("append");
    drop(store);
    let mut position = b"acme\0product\x007\0c".to_vec();
    position.extend((!(at(9).as_micros() as u64)).to_be_bytes());
    position.extend((!(at(9).as_micros() as u64)).to_be_bytes());
    position.extend((!9_u64).to_be_bytes());
    put(dir.path(), "versions", &position, &[9, 1, 2, 3]);
    let reader = crate::support::reader(&open(dir.path()).expect("open").into());
    let read = reader.resource(&key, AsOf::Latest).await;
    assert!(
        matches!(&read, Err(JournalError::Damaged(why)) if why.contains("format 9")),
        "{read:?}"
    );
    let before = reader.resource(&key, AsOf::At(at(5))).await.expect("read").expect("there");
    assert_eq!(before.state["title"], "A");
}

/// What `verify` is for: families that no longer agree, each with good checksums.
#[tokio::test]
async fn verify_finds_families_that_disagree() {
    let key = product("acme", "7");
    let head = b"acme\0product\x007\0c";
    let cases: [(&str, &[u8], &[u8]); 3] = [
        ("heads", b"acme\0product\x008\0c", b"\x01"),
        ("heads", head, b"\x01"),
        ("meta", b"kind\0acme\0product\0", &[1, 0, 0, 0, 0, 0, 0, 0, 9]),
    ];
    for (family, at_key, value) in cases {
        let dir = tempfile::tempdir().expect("dir");
        let store = open(dir.path()).expect("open");
        store
            .append(&crate::support::decoded(1, [titled(&key, "A", at(1))]), at(0))
            .expect("append");
        drop(store);
        put(dir.path(), family, at_key, value);
        let reader = crate::support::reader(&open(dir.path()).expect("open").into());
        let report = reader.verify().await.expect("verify");
        assert!(report.faults_total > 0, "{family}");
    }
}

#[tokio::test]
async fn verify_finds_a_head_whose_payload_stands_elsewhere() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(dir.path()).expect("open");
    let key = product("acme", "7");
    store.append(&crate::support::decoded(1, [titled(&key, "A", at(1))]), at(0)).expect("append");
    drop(store);
    let (db, _) = bare_rocksdb(dir.path(), Options::for_testing()).expect("open");
    let (heads, head) = (db.cf_handle("heads").expect("family"), b"acme\0product\x007\0c");
    let mut value = db.get_cf(heads, head).expect("read").expect("a head");
    // Behind its format come two positions, of which this is the end.
    value[48] ^= 1;
    db.put_cf(heads, head, value).expect("put");
    drop(db);
    let reader = crate::support::reader(&open(dir.path()).expect("open").into());
    let report = reader.verify().await.expect("verify");
    assert_eq!(report.faults, ["acme/product/7: the head is not version 1"]);
}

/// A version whose payload is another by now, though every checksum is good.
#[tokio::test]
async fn what_is_rebuilt_says_what_is_damaged_and_goes_on() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(dir.path()).expect("open");
    let keys = ["7", "8", "9"].map(|id| product("acme", id));
    let told = keys.iter().map(|key| titled(key, "A", at(1)));
    store.append(&crate::support::decoded(1, told.collect::<Vec<_>>()), at(0)).expect("append");
    drop(store);
    let (db, versions) = bare_rocksdb(dir.path(), Options::for_testing()).expect("open");
    let family = db.cf_handle(versions).expect("family");
    let mut entries = db.raw_iterator_cf(family);
    entries.seek(b"acme\0product\x008\0c");
    let (at_key, value) = entries.item().expect("a version");
    let (at_key, mut value) = (at_key.to_vec(), value.to_vec());
    *value.last_mut().expect("bytes") ^= 1;
    drop(entries);
    db.put_cf(family, at_key, value).expect("put");
    drop(db);
    let reader = crate::support::reader(&open(dir.path()).expect("open").into());
    let all = reader.rebuilt(&keys[0].shop, &keys[0].kind, at(9)).await.expect("asked");
    let all: Vec<_> = all.try_collect().await.expect("rebuilt");
    let shown: Vec<_> = all.iter().map(|one| (one.state.is_some(), one.damage.is_some())).collect();
    assert_eq!(shown, [(true, false), (false, true), (true, false)]);
}
