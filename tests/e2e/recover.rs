//! Disasters: the journal's directory is gone, or the stream as well, and a checkpoint brings history
//! back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::erase::search;
use crate::shopify::{Delivery, instant};

const ID: u64 = 9_007_199_254_740_993_001;
const SHOP: &str = "/v1/shops/acme.myshopify.com";

/// Sends versions `range` of a product, a title each, and waits until all can be read.
async fn tell(backstock: &Backstock, range: std::ops::Range<i64>, known: usize) {
    for n in range {
        let sent = Delivery::product(ID, &format!("Mug {n}"), 100 + n, format!("w-{n}"));
        let status = sent.send(&backstock.client, &backstock.webhooks()).await.expect("an answer");
        assert_eq!(status, 200);
    }
    for _ in 0..400 {
        if backstock.get(&format!("{SHOP}/resources/product/{ID}/versions")).await.0 == 200
            && versions(backstock).await.len() == known
        {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    panic!("{known} versions were not kept");
}

async fn versions(backstock: &Backstock) -> Vec<Value> {
    backstock.list(&format!("{SHOP}/resources/product/{ID}/versions")).await
}

fn recover(backstock: &Backstock, from: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_backstock"))
        .args(["recover", "--from", from, "--config", "backstock.toml"])
        .args(more)
        .current_dir(&backstock.dir)
        .output()
        .expect("the binary starts")
}

fn done(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One that may be asked to copy its journal there.
fn copying_to(place: &str) -> Backstock {
    Backstock::pulling_with(&format!("[storage]\ncopies = [{place:?}]"), "")
}

/// Where copies in a directory are.
pub(crate) fn address(dir: &Path) -> String {
    url::Url::from_directory_path(dir).expect("an address").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_journal_comes_back_from_a_checkpoint_and_the_stream() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let to = address(elsewhere.path());
    let mut backstock = copying_to(&to);
    backstock.start("serve").await;
    tell(&backstock, 0..10, 10).await;
    done(&backstock.client_verb(&["checkpoint", "--to", &to]));
    let again = backstock.client_verb(&["checkpoint", "--to", &to, "--json"]);
    done(&again);
    let reports: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    let (all, new) = (&reports[0]["bytes"], &reports[0]["stored_bytes"]);
    assert!(new.as_u64() < all.as_u64(), "everything was copied again: {reports}");
    let anywhere = tempfile::tempdir().expect("a directory");
    let refused = backstock.client_verb(&["checkpoint", "--to", &address(anywhere.path())]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && error.contains("none of the configured stores"),
        "{error}"
    );
    assert_eq!(
        anywhere.path().read_dir().expect("a directory").count(),
        0,
        "something was written"
    );
    tell(&backstock, 10..20, 20).await;
    let before = versions(&backstock).await;
    assert!(backstock.signal("serve", Signal::SIGTERM).success());

    let occupied = recover(&backstock, &to, &[]);
    assert!(!occupied.status.success());
    let error = String::from_utf8_lossy(&occupied.stderr).into_owned();
    assert!(error.contains("an empty place only"), "{error}");

    std::fs::remove_dir_all(backstock.dir.join("data/journal")).expect("the disaster");
    done(&recover(&backstock, &to, &[]));
    backstock.start("serve").await;
    tell(&backstock, 20..21, 21).await;
    assert_eq!(versions(&backstock).await[1..], before, "the same history, byte for byte");
    let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
    assert_eq!(status["gaps"], json!([]), "{status}");
    done(&backstock.client_verb(&["verify"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_and_saved_is_for_nobody_but_its_user() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    tell(&backstock, 0..1, 1).await;
    done(&backstock.client_verb(&["checkpoint"]));
    let data = backstock.dir.join("data");
    let saved = data.join("acme.tar.zst");
    done(&backstock.client_verb(&["export", "--out", saved.to_str().expect("text")]));
    assert!(saved.is_file());
    let (mut paths, mut seen) = (vec![data], 0);
    while let Some(path) = paths.pop() {
        // What is only there for a moment may be gone again.
        let Ok(found) = path.metadata() else { continue };
        let mode = found.permissions().mode();
        assert_eq!(mode & 0o077, 0, "others may use {}: {mode:o}", path.display());
        seen += 1;
        if let Ok(within) = path.read_dir() {
            paths.extend(within.filter_map(Result::ok).map(|entry| entry.path()));
        }
    }
    assert!(seen > 10, "only {seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_up_to_the_checkpoint_survives_the_loss_of_the_stream_too() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let to = address(elsewhere.path());
    let mut backstock = copying_to(&to);
    backstock.start("serve").await;
    tell(&backstock, 0..10, 10).await;
    let before = versions(&backstock).await;
    done(&backstock.client_verb(&["checkpoint", "--to", &to]));
    tell(&backstock, 10..12, 12).await;
    backstock.signal("serve", Signal::SIGKILL);
    backstock.kill_nats();
    std::fs::remove_dir_all(backstock.dir.join("data")).expect("the disaster");

    done(&recover(&backstock, &to, &["--stream-lost"]));
    backstock.start("serve").await;
    assert_eq!(versions(&backstock).await, before);
    tell(&backstock, 20..21, 11).await;
    let newest = &versions(&backstock).await[0];
    assert!(newest["seq"].as_u64() > before[0]["seq"].as_u64(), "a sequence stands for one event");
    let then = format!("{SHOP}/resources/product/{ID}?at={}", instant(105));
    assert_eq!(backstock.get(&then).await.1["state"]["title"], "Mug 5");
    let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
    let gaps = status["gaps"].as_array().expect("gaps");
    assert_eq!(gaps.len(), 1, "what was lost is known to be lost: {status}");
    done(&backstock.client_verb(&["verify"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_there_keeps_all_that_it_has_when_the_stream_is_lost() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let to = address(elsewhere.path());
    let mut backstock = copying_to(&to);
    backstock.start("serve").await;
    tell(&backstock, 0..10, 10).await;
    done(&backstock.client_verb(&["checkpoint", "--to", &to]));
    tell(&backstock, 10..12, 12).await;
    let before = versions(&backstock).await;
    backstock.signal("serve", Signal::SIGKILL);
    backstock.kill_nats();
    std::fs::remove_dir_all(backstock.dir.join("data/nats")).expect("the disaster");

    done(&recover(&backstock, &to, &["--stream-lost"]));
    backstock.start("serve").await;
    assert_eq!(versions(&backstock).await, before, "also what came after the checkpoint");
    tell(&backstock, 20..21, 13).await;
    let newest = &versions(&backstock).await[0];
    assert!(newest["seq"].as_u64() > before[0]["seq"].as_u64(), "a sequence stands for one event");
    done(&backstock.client_verb(&["verify"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_checkpoint_is_never_taken_for_history() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let to = address(elsewhere.path());
    let mut backstock = copying_to(&to);
    backstock.start("serve").await;
    tell(&backstock, 0..10, 10).await;
    done(&backstock.client_verb(&["checkpoint", "--to", &to]));
    assert!(backstock.signal("serve", Signal::SIGTERM).success());
    std::fs::remove_dir_all(backstock.dir.join("data/journal")).expect("the disaster");
    let files = elsewhere.path().join("checkpoints/0/files");
    let largest = std::fs::read_dir(files).expect("files").map(|file| file.expect("a file").path());
    let largest = largest.max_by_key(|path| path.metadata().expect("a length").len());
    let largest = largest.expect("a file");
    let mut bytes = std::fs::read(&largest).expect("bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&largest, bytes).expect("damage");
    let refused = recover(&backstock, &to, &[]);
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("is damaged"), "{error}");
    assert!(!backstock.dir.join("data/journal/0").exists(), "something looks like a store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_checkpoint_shows_nothing_and_comes_back_with_its_key_only() {
    /// What stands in a manifest of ours, and in one of RocksDB's.
    const SIGNS: [&str; 2] = ["applied_seq", "leveldb.BytewiseComparator"];
    let (elsewhere, secret) = (tempfile::tempdir(), tempfile::tempdir());
    let (elsewhere, secret) = (elsewhere.expect("a directory"), secret.expect("a directory"));
    let (to, keys) = (address(elsewhere.path()), secret.path().join("keys"));
    std::fs::write(&keys, "ab".repeat(32)).expect("a key");
    let storage = format!("[storage]\ncopies = [{to:?}]\nkey_file = {keys:?}");
    let mut backstock = Backstock::pulling_with(&storage, "");
    backstock.start("serve").await;
    tell(&backstock, 0..10, 10).await;
    let before = versions(&backstock).await;
    done(&backstock.client_verb(&["checkpoint", "--to", &to]));
    let again = backstock.client_verb(&["checkpoint", "--to", &to, "--json"]);
    done(&again);
    let reports: Value = serde_json::from_slice(&again.stdout).expect("JSON");
    let (all, new) = (&reports[0]["bytes"], &reports[0]["stored_bytes"]);
    assert!(new.as_u64() < all.as_u64(), "what is sealed is stored once: {reports}");
    assert!(backstock.signal("serve", Signal::SIGTERM).success());
    let journal = backstock.dir.join("data/journal");
    assert_ne!(search(&journal, &SIGNS[1..]), Vec::<String>::new(), "the search is blind");
    assert_eq!(search(elsewhere.path(), &SIGNS), Vec::<String>::new());
    std::fs::remove_dir_all(&journal).expect("the disaster");

    std::fs::write(&keys, "cd".repeat(32)).expect("another key");
    let refused = recover(&backstock, &to, &[]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("storage.key_file"), "{error}");
    assert!(!journal.join("0").exists(), "something looks like a store");

    // After a rotation the old key still opens.
    std::fs::write(&keys, format!("{}\n{}", "cd".repeat(32), "ab".repeat(32))).expect("both");
    done(&recover(&backstock, &to, &[]));
    backstock.start("serve").await;
    assert_eq!(versions(&backstock).await, before, "the same history, byte for byte");
    done(&backstock.client_verb(&["verify"]));
}
