//! The proof that a shop could be restored: it passes where history is whole, and names what is not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use backstock_proto::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::{Backstock, text};
use crate::pulls::{SHOP, eventually, known_shop, known_shop_with, now, pulled_kinds, reconciled};
use crate::upkeep::kept;

/// Waits for the end of a proof.
async fn over(backstock: &Backstock, id: &str) -> Value {
    eventually(|| async {
        let (status, proof) = backstock.get(&format!("{SHOP}/proofs/{id}")).await;
        assert_eq!(status, 200, "{proof}");
        let is_over = ["proved", "refuted", "failed"].iter().any(|state| proof["state"] == *state);
        if is_over { Ok(proof) } else { Err(format!("{proof}")) }
    })
    .await
}

/// Has a proof made.
pub(crate) async fn proved(backstock: &Backstock) -> Value {
    let (status, ordered) = backstock.post(&format!("{SHOP}/proofs"), json!({})).await;
    assert_eq!(status, 202, "{ordered}");
    over(backstock, ordered["id"].as_str().expect("an id")).await
}

/// What is wrong, by kind and id.
fn wrong(proof: &Value) -> BTreeMap<String, String> {
    let mismatched = proof["mismatched"].as_array().into_iter().flatten();
    let text = |of: &Value, name: &str| of[name].as_str().expect("text").to_owned();
    mismatched
        .map(|one| (format!("{} {}", text(one, "kind"), text(one, "id")), text(one, "why")))
        .collect()
}

#[tokio::test]
async fn a_shop_that_was_read_whole_is_proved_restorable() {
    let more = ["--products", "60", "--rate", "0", "--plan", "plus"];
    let (backstock, simulator) = known_shop(&more).await;
    kept(&backstock, "product").await;
    let proof = proved(&backstock).await;
    assert_eq!((&proof["state"], &proof["mismatches"]), (&json!("proved"), &json!(0)), "{proof:#}");
    assert_eq!(proof["proved"], proof["compared"], "{proof:#}");
    let kinds = proof["kinds"].as_array().expect("kinds");
    let of = |name: &str| kinds.iter().find(|kind| kind["kind"] == name).expect("a kind");
    assert_eq!(of("product")["proved"], 60, "{proof:#}");
    assert!(kinds.iter().all(|kind| kind["unproved"].is_null()), "{proof:#}");
    assert_eq!(kinds.len(), pulled_kinds().count());
    let number = |name: &str| proof[name].as_u64().expect("a number");
    assert_eq!(number("restorable") + number("archived"), number("proved"), "{proof:#}");
    let orders =
        proof["archives"].as_array().expect("archives").iter().find(|a| a["kind"] == "order");
    assert!(orders.is_some_and(|of| of["why"].is_string()), "{proof:#}");
    assert!(proof["media"]["read"].as_u64() > Some(0) && proof["media"]["lost"] == 0, "{proof:#}");
    assert!(proof["references"]["followed"].as_u64() > Some(0), "{proof:#}");

    // What happens in the shop, also while it is read, stands against nothing.
    simulator.post("traffic?rate=30", json!({})).await;
    for kind in ["product", "inventory_level", "collection", "customer"] {
        let pull = reconciled(&backstock, kind).await;
        assert_eq!(pull["state"], "complete", "{pull}");
    }
    let proof = proved(&backstock).await;
    assert_eq!(proof["state"], "proved", "{proof:#}");
    simulator.quiet().await;

    // It is told wherever somebody looks.
    let said = backstock.client_verb(&["prove"]);
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success() && text.contains("Proved restorable"), "{text}");
    let status = backstock.client_verb(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("Proved restorable"));
    let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
    assert_eq!(status["proof"]["state"], "proved", "{status}");
    let audit = backstock.list(&format!("{SHOP}/audit")).await;
    let told = audit.iter().find(|entry| entry["deed"]["what"] == "proof").expect("in the audit");
    assert_eq!(told["deed"]["asked"]["state"], "proved", "{told}");
    assert_eq!(backstock.metric("backstock_restorer_proof_mismatches").await, 0.0);
}

/// Changes versions of a facet behind the store's back: `None` takes them away.
fn tamper(dir: &Path, kind: &str, id: &str, facet: u8, change: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let store = dir.join("data/journal/0");
    let (db, versions) = backstock_journal::bare_rocksdb(&store, Default::default()).expect("open");
    let versions = db.cf_handle(versions).expect("the family");
    let prefix = [b"acme\0", kind.as_bytes(), b"\0", id.as_bytes(), b"\0", &[facet]].concat();
    let mut entries = db.raw_iterator_cf(versions);
    entries.seek(&prefix);
    let mut found = Vec::new();
    while let Some((key, value)) = entries.item().filter(|(key, _)| key.starts_with(&prefix)) {
        found.push((key.to_vec(), change(value)));
        entries.next();
    }
    drop(entries);
    assert!(!found.is_empty(), "{kind} {id} has no such facet");
    for (key, value) in found {
        match value {
            Some(value) => db.put_cf(versions, key, value).expect("put"),
            None => db.delete_cf(versions, key).expect("delete"),
        }
    }
    db.flush().expect("flushed");
}

/// Every blob that a state names.
fn blobs(state: &Value, found: &mut BTreeSet<String>) {
    match state {
        Value::Object(members) => {
            found.extend(members.get("blob").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| blobs(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| blobs(item, found)),
        _ => {}
    }
}

fn named(products: &[Value], blob: &str) -> Vec<String> {
    let names = |product: &&Value| {
        let mut found = BTreeSet::new();
        blobs(&product["state"], &mut found);
        found.contains(blob)
    };
    let id = |product: &Value| product["id"].as_str().expect("an id").to_owned();
    products.iter().filter(names).map(id).collect()
}

#[tokio::test]
async fn what_is_lost_changed_or_damaged_is_found_and_named() {
    let more = ["--products", "30", "--rate", "0", "--plan", "plus"];
    let (mut backstock, _simulator) = known_shop(&more).await;
    kept(&backstock, "product").await;
    assert_eq!(proved(&backstock).await["state"], "proved");
    let products = backstock.snapshot(SHOP, "product", None).await;
    let with_media = |product: &&Value| {
        let mut found = BTreeSet::new();
        blobs(&product["state"], &mut found);
        !found.is_empty()
    };
    let id = |product: &Value| product["id"].as_str().expect("an id").to_owned();
    let (lost_blob, damaged_blob) = {
        let mut all = BTreeSet::new();
        products.iter().for_each(|product| blobs(&product["state"], &mut all));
        let mut all = all.into_iter();
        (all.next().expect("a blob"), all.next().expect("another"))
    };
    let media: BTreeSet<String> =
        [&lost_blob, &damaged_blob].iter().flat_map(|blob| named(&products, blob)).collect();
    assert!(products.iter().filter(with_media).count() > media.len());
    let mut others = products.iter().map(id).filter(|id| !media.contains(id));
    let mut other = || others.next().expect("one more");
    let (gone, damaged, stripped) = (other(), other(), other());

    assert!(backstock.signal("serve", Signal::SIGTERM).success());
    let dir: PathBuf = backstock.dir.clone();
    tamper(&dir, "product", &gone, b'c', |_| None);
    tamper(&dir, "product", &damaged, b'c', |version| {
        let mut version = version.to_vec();
        *version.last_mut().expect("bytes") ^= 0x10;
        Some(version)
    });
    tamper(&dir, "product", &stripped, b'm', |_| None);
    let place = |blob: &str| dir.join("data/blobs/acme").join(blob);
    std::fs::remove_file(place(&lost_blob)).expect("removed");
    std::fs::write(place(&damaged_blob), b"another picture").expect("written");

    backstock.start("serve").await;
    let proof = proved(&backstock).await;
    assert_eq!(proof["state"], "refuted", "{proof:#}");
    let wrong = wrong(&proof);
    let why = |id: &str| wrong.get(&format!("product {id}")).map_or("", String::as_str);
    assert!(why(&gone).contains("history knows nothing of it"), "{wrong:#?}");
    assert!(why(&damaged).contains("digest"), "{wrong:#?}");
    assert!(why(&stripped).contains("metafields is missing"), "{wrong:#?}");
    for blob in [&lost_blob, &damaged_blob] {
        for id in named(&products, blob) {
            assert!(why(&id).contains(blob.as_str()), "{id}: {wrong:#?}");
        }
    }
    let expected: BTreeSet<String> = [gone, damaged, stripped].into_iter().chain(media).collect();
    let named: BTreeSet<String> =
        (wrong.keys()).filter_map(|of| of.strip_prefix("product ").map(str::to_owned)).collect();
    assert_eq!(named, expected, "no other product is accused");

    assert_eq!(
        backstock.metric("backstock_restorer_proof_mismatches").await,
        proof["mismatches"].as_f64().expect("a number")
    );
    let said = backstock.client_verb(&["prove", "--last"]);
    assert_eq!(said.status.code(), Some(1));
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(text.contains("Not proved restorable"), "{text}");
    let verified = backstock.client_verb(&["verify"]);
    assert_eq!(verified.status.code(), Some(1));
    eventually(|| async {
        match backstock.metric("backstock_journal_verify_faults").await {
            0.0 => Err("verification found faults, and no metric tells".into()),
            _ => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn a_proof_is_made_when_it_is_due_and_again_after_a_kill() {
    let every_minute = "[proof]\nat = \"* * * * *\"\nspread_minutes = 0\n";
    let more = ["--products", "30", "--rate", "0", "--plan", "plus"];
    let (mut backstock, _simulator) = known_shop_with(every_minute, &more).await;
    let (status, ordered) = backstock.post(&format!("{SHOP}/proofs"), json!({})).await;
    assert_eq!(status, 202, "{ordered}");
    let id = text(&ordered, "id");
    let path = format!("{SHOP}/proofs/{id}");
    loop {
        let (_, proof) = backstock.get(&path).await;
        match text(&proof, "state") {
            "running" => break,
            state => assert_eq!(state, "waiting", "it was over before the kill: {proof:#}"),
        }
    }
    let _ended = backstock.signal("serve", Signal::SIGKILL);
    let killed = now();
    backstock.start("serve").await;
    let proof = over(&backstock, id).await;
    assert_eq!(proof["state"], "proved", "{proof:#}");
    let finished = Timestamp::parse(text(&proof, "finished_at")).expect("an instant");
    assert!(finished > killed, "it was over before the kill: {proof:#}");
    eventually(|| async {
        let proofs = backstock.list(&format!("{SHOP}/proofs")).await;
        let nightly = |proof: &&Value| proof["by"] == "nightly" && proof["state"] == "proved";
        match proofs.iter().find(nightly) {
            Some(_) => Ok(()),
            None => Err(format!("no proof was made by itself: {proofs:?}")),
        }
    })
    .await;
    assert!(backstock.metric("backstock_restorer_proof_age_seconds").await < 600.0);
}
