//! What keeps history in order by itself: the bytes of media, what Shopify's log names, retention.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::backstock::{Backstock, TOKEN, text};
use crate::kills::{count, seed};
use crate::pulls::{
    SHOP, backfilled, between, eventually, known_shop, known_shop_with, ordered, reconciled,
    settled, shop_path,
};
use crate::simulator::{Simulator, planned};

pub(crate) const PLAIN: [&str; 6] = ["--products", "12", "--rate", "0", "--plan", "plus"];

/// Waits until the bytes of all media of a kind are kept, and answers how many there are.
pub(crate) async fn kept(backstock: &Backstock, of: &str) -> u64 {
    kept_of(backstock, "acme", of).await
}

/// The same of any shop.
pub(crate) async fn kept_of(backstock: &Backstock, shop: &str, of: &str) -> u64 {
    eventually(|| async {
        let (_, status) = backstock.get(&format!("{}/status", shop_path(shop))).await;
        let mut kinds = status["kinds"].as_array().into_iter().flatten();
        let media = kinds.find(|kind| kind["kind"] == of).map(|kind| kind["media"].clone());
        let media = media.unwrap_or_default();
        match (media["media"].as_u64(), media["kept"].as_u64()) {
            (Some(all), Some(kept)) if all == kept && all > 0 => Ok(all),
            _ => Err(format!("media of {of}: {media}")),
        }
    })
    .await
}

/// Every medium of a living product: the product's id, and the medium.
async fn media(backstock: &Backstock) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for product in backstock.list(&format!("{SHOP}/resources?kind=product")).await {
        let id = product["id"].as_str().expect("an id").to_owned();
        let (_, now) = backstock.get(&format!("{SHOP}/resources/product/{id}")).await;
        let media = now["state"]["media"].as_array().cloned().unwrap_or_default();
        found.extend(media.into_iter().map(|medium| (id.clone(), medium)));
    }
    found
}

/// The bytes of a blob, as the API serves them.
async fn blob(backstock: &Backstock, shop: &str, hash: &str) -> Result<Bytes, u16> {
    let url = format!("{}/v1/shops/{shop}/blobs/{hash}", backstock.api);
    let answer = backstock.client.get(url).bearer_auth(TOKEN).send().await.expect("an answer");
    match answer.status().as_u16() {
        200 => Ok(answer.bytes().await.expect("bytes")),
        status => Err(status),
    }
}

#[tokio::test]
async fn a_shop_that_lets_the_app_in_no_more_is_told_of() {
    let (backstock, simulator) = known_shop_with("[compactor]\nlog_every = 1\n", &PLAIN).await;
    let unanswered = "backstock_compactor_shop_unanswered";
    assert_eq!(backstock.metric(unanswered).await, 0.0);
    simulator.post("tokens", json!("revoke")).await;
    eventually(|| async {
        match backstock.metric(unanswered).await > 0.0 {
            true => Ok(()),
            false => Err("nobody would know".to_owned()),
        }
    })
    .await;
}

#[tokio::test]
async fn pictures_that_are_gone_from_the_shop_are_served_byte_for_byte() {
    let (backstock, simulator) = known_shop(&PLAIN).await;
    let (of_products, of_files) =
        (kept(&backstock, "product").await, kept(&backstock, "file").await);
    println!("{of_products} media of products, {of_files} of files");
    let (product, medium) = media(&backstock).await.swap_remove(0);
    let (url, hash) = (text(&medium, "url"), text(&medium, "blob"));
    let original = simulator.bytes(url).await.expect("it is there yet");
    assert!(original.len() > 100);
    let path = format!("{SHOP}/resources/product/{product}");
    let versions = backstock.list(&format!("{path}/versions")).await;
    let core = versions.iter().find(|v| v["facet"] == "core").expect("a version");
    let then = text(core, "valid_at").to_owned();

    let id = text(&medium, "id");
    let delete = format!("mutation {{ fileDelete(fileIds: [\"{id}\"]) {{ deletedFileIds }} }}");
    simulator.ask(&delete).await;
    assert!(simulator.bytes(url).await.is_none(), "the address died with the file");
    eventually(|| async {
        let (_, now) = backstock.get(&path).await;
        match now["state"].to_string().contains(url) {
            true => Err("the picture is still there".into()),
            false => Ok(()),
        }
    })
    .await;
    let (_, before) = backstock.get(&format!("{path}?at={then}")).await;
    let media = before["state"]["media"].as_array().expect("media");
    assert!(media.contains(&medium), "as of when it was known: {before}");
    let served = blob(&backstock, "acme.myshopify.com", hash).await.expect("served");
    assert!(served == original, "other bytes");
    assert_eq!(blake3::hash(&served).to_hex().as_str(), hash);
    assert_eq!(blob(&backstock, "other.myshopify.com", hash).await, Err(404));
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
}

#[tokio::test]
async fn the_bytes_of_a_new_picture_are_kept_seconds_later() {
    let (backstock, simulator) = known_shop(&PLAIN).await;
    kept(&backstock, "product").await;
    let (product, _) = media(&backstock).await.swap_remove(0);
    let made = simulator
        .ask(
            "mutation { fileCreate(files: [{originalSource: \"https://elsewhere.example/new.jpg\", \
             contentType: IMAGE, alt: \"New\"}]) { files { id } userErrors { message } } }",
        )
        .await;
    let file = text(&made["fileCreate"]["files"][0], "id").to_owned();
    let refer = format!(
        "mutation {{ fileUpdate(files: [{{id: \"{file}\", \
         referencesToAdd: [\"gid://shopify/Product/{product}\"]}}]) {{ userErrors {{ message }} }} }}"
    );
    eventually(|| async {
        let done = simulator.ask(&refer).await;
        let errors = done["fileUpdate"]["userErrors"].as_array().expect("a list").clone();
        if errors.is_empty() { Ok(()) } else { Err(format!("{errors:?}")) }
    })
    .await;
    let begun = Instant::now();
    let medium = eventually(|| async {
        let (_, now) = backstock.get(&format!("{SHOP}/resources/product/{product}")).await;
        let media = now["state"]["media"].as_array().cloned().unwrap_or_default();
        let new = media.into_iter().find(|m| m["id"] == file.as_str());
        new.filter(|m| m["blob"].is_string()).ok_or_else(|| format!("{}", now["state"]["media"]))
    })
    .await;
    println!("the bytes of a new picture are on record after {:?}", begun.elapsed());
    let original = simulator.bytes(text(&medium, "url")).await.expect("there");
    let served = blob(&backstock, "acme.myshopify.com", text(&medium, "blob")).await;
    assert!(served == Ok(original), "other bytes");
}

/// Replaces the bytes of a file in place, as apps that compress pictures do.
async fn replace(backstock: &Backstock, simulator: &Simulator, file: &str, bytes: &Bytes) {
    let staged = simulator
        .ask(
            "mutation { stagedUploadsCreate(input: [{resource: IMAGE, filename: \"a.jpg\", \
             mimeType: \"image/jpeg\", httpMethod: PUT}]) { stagedTargets { url resourceUrl } } }",
        )
        .await;
    let target = &staged["stagedUploadsCreate"]["stagedTargets"][0];
    let put = backstock.client.put(text(target, "url")).body(bytes.clone()).send().await;
    assert!(put.expect("an answer").status().is_success());
    let replace = format!(
        "mutation {{ fileUpdate(files: [{{id: \"gid://shopify/MediaImage/{file}\", \
         originalSource: \"{}\"}}]) {{ userErrors {{ message }} }} }}",
        text(target, "resourceUrl")
    );
    let done = simulator.ask(&replace).await;
    assert_eq!(done["fileUpdate"]["userErrors"], json!([]), "{done}");
}

/// Waits until a file's bytes are those, and answers the file.
async fn with_bytes(backstock: &Backstock, path: &str, bytes: &Bytes) -> Value {
    let hash = blake3::hash(bytes).to_hex().to_string();
    eventually(|| async {
        let (_, now) = backstock.get(path).await;
        if now["state"]["blob"] == hash.as_str() { Ok(now) } else { Err(format!("{now}")) }
    })
    .await
}

/// A shop whose files are kept, and one of them: its id, and what is known of it.
async fn with_a_file() -> (Backstock, Simulator, String, Value) {
    let (backstock, simulator) = known_shop(&PLAIN).await;
    kept(&backstock, "file").await;
    let files = backstock.list(&format!("{SHOP}/resources?kind=file")).await;
    let file = text(&files[0], "id").to_owned();
    let (_, known) = backstock.get(&format!("{SHOP}/resources/file/{file}")).await;
    (backstock, simulator, file, known)
}

/// As of when a file was known, its bytes are those that it had then.
async fn assert_kept_as_it_was(backstock: &Backstock, path: &str, known: &Value) {
    let at = text(&known["version"], "valid_at");
    let (_, then) = backstock.get(&format!("{path}?at={at}")).await;
    let (then, was) = (text(&then["state"], "blob"), text(&known["state"], "blob"));
    assert_eq!(then, was, "the old ones belong to what was before");
}

#[tokio::test]
async fn other_bytes_at_the_same_address_are_kept_beside_the_old() {
    let (backstock, simulator, file, before) = with_a_file().await;
    let path = format!("{SHOP}/resources/file/{file}");
    let bytes = Bytes::from_static(b"\xff\xd8\xff other bytes");
    replace(&backstock, &simulator, &file, &bytes).await;
    ordered(&backstock, json!({"kinds": ["file"], "ids": [file]})).await;
    let now = with_bytes(&backstock, &path, &bytes).await;
    let new = text(&now["state"], "blob");
    assert!(blob(&backstock, "acme.myshopify.com", new).await == Ok(bytes));
    let old = text(&before["state"], "blob");
    assert!(blob(&backstock, "acme.myshopify.com", old).await.is_ok());
    assert_kept_as_it_was(&backstock, &path, &before).await;
}

#[tokio::test]
async fn a_picture_that_was_replaced_in_place_is_kept_after_a_whole_look() {
    let (backstock, simulator, file, before) = with_a_file().await;
    let path = format!("{SHOP}/resources/file/{file}");
    // Of the same size, so that the state stays the same.
    let smaller = Bytes::from_static(b"\xff\xd8\xff fewer bytes");
    replace(&backstock, &simulator, &file, &smaller).await;
    assert_eq!(reconciled(&backstock, "file").await["state"], "complete");
    let now = with_bytes(&backstock, &path, &smaller).await;
    assert_eq!(now["state"]["image"]["width"], before["state"]["image"]["width"]);
    assert_kept_as_it_was(&backstock, &path, &before).await;

    // Of another size: the bytes belong to the state from its beginning. Editions are whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let other =
        Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x58\0\0\x03\x20 other bytes");
    replace(&backstock, &simulator, &file, &other).await;
    assert_eq!(reconciled(&backstock, "file").await["state"], "complete");
    let now = with_bytes(&backstock, &path, &other).await;
    assert_eq!(now["state"]["image"]["width"], 600, "{now}");
    let versions = backstock.list(&format!("{path}/versions")).await;
    let core = versions.iter().find(|version| version["facet"] == "core").expect("a version");
    let (_, then) = backstock.get(&format!("{path}?at={}", text(core, "valid_at"))).await;
    assert_eq!(then["state"]["image"]["width"], 600, "{then}");
    assert_eq!(then["state"]["blob"], now["state"]["blob"], "new dimensions with the old bytes");

    // What is known in its present edition is fetched no more.
    let count = async || backstock.metric("backstock_compactor_media_total").await;
    let (fetched, of_file) = (count().await, versions.len());
    assert_eq!(reconciled(&backstock, "file").await["state"], "complete");
    kept(&backstock, "file").await;
    assert_eq!(count().await, fetched);
    let versions = backstock.list(&format!("{path}/versions")).await;
    assert_eq!(versions.len(), of_file, "{versions:?}");
}

#[tokio::test]
async fn bytes_that_were_replaced_in_place_come_back_where_they_were() {
    let (backstock, simulator, file, before) = with_a_file().await;
    let path = format!("{SHOP}/resources/file/{file}");
    let url = text(&before["state"]["image"], "url");
    let original = simulator.bytes(url).await.expect("it is there");
    let at = between().await;
    let other = Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x58\0\0\x03\x20 an ad");
    replace(&backstock, &simulator, &file, &other).await;
    ordered(&backstock, json!({"kinds": ["file"], "ids": [file]})).await;
    with_bytes(&backstock, &path, &other).await;
    // Editions are whole seconds.
    between().await;
    let asked = json!({"at": at, "select": {"kinds": ["file"]}});
    let (status, plan) = backstock.post(&format!("{SHOP}/plans"), asked.clone()).await;
    assert_eq!((status, &plan["counts"]["update"]), (201, &json!(1)), "{plan}");
    let job = backstock.applied(SHOP, &plan).await;
    assert_eq!((&job["state"], &job["counts"]["updated"]), (&json!("done"), &json!(1)), "{job}");
    assert!(simulator.bytes(url).await == Some(original.clone()), "other bytes");
    // History hears of it, so that a plan finds nothing to do.
    with_bytes(&backstock, &path, &original).await;
    let (status, plan) = backstock.post(&format!("{SHOP}/plans"), asked).await;
    assert_eq!((status, &plan["counts"]["update"]), (201, &json!(0)), "{plan}");
}

/// The names of the blobs in a directory.
fn blobs_in(dir: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    names.filter(|name| name.len() == 64).collect()
}

/// Kills the process while pictures are being copied.
#[tokio::test(flavor = "multi_thread")]
async fn torture_kills_while_pictures_are_copied() {
    let (kills, seed) = (count("BACKSTOCK_KILLS", 4).min(50), seed());
    println!("{kills} kills while pictures are copied, seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let more = ["--products", "60", "--rate", "0", "--plan", "plus"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    let dir = backstock.dir.join("data/blobs/acme");
    // The first comes as soon as anything is copied. Beside it are lists of what pulls saw.
    let begun = Instant::now();
    while backstock.metric("backstock_compactor_media_total").await == 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing is copied");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    backstock.signal("serve", Signal::SIGKILL);
    let there = blobs_in(&dir);
    backstock.start("serve").await;
    for _ in 1..kills {
        tokio::time::sleep(Duration::from_millis(rng.random_range(200..4_000))).await;
        backstock.signal("serve", Signal::SIGKILL);
        backstock.start("serve").await;
    }
    backfilled(&backstock).await;
    let all = kept(&backstock, "product").await;
    let media = media(&backstock).await;
    assert_eq!(media.len() as u64, all);
    for (product, medium) in &media {
        let original = simulator.bytes(text(medium, "url")).await.expect("there");
        let served = blob(&backstock, "acme.myshopify.com", text(medium, "blob")).await;
        assert!(served == Ok(original), "{product}: other bytes than at {}", medium["url"]);
    }
    let pictures: BTreeSet<&str> = media.iter().map(|(_, medium)| text(medium, "blob")).collect();
    let copied = pictures.iter().filter(|name| there.contains(**name)).count();
    println!("{copied} of {} pictures were there at the first kill", pictures.len());
    assert!(copied < pictures.len(), "all were copied before the first kill; seed {seed}");
    // Nothing half-written is taken for a blob.
    for name in blobs_in(&dir) {
        let bytes = std::fs::read(dir.join(&name)).expect("bytes");
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), name);
    }
}

/// Waits until a product is known by a title.
pub(crate) async fn titled(backstock: &Backstock, product: &str, title: &str) {
    eventually(|| async {
        let (_, now) = backstock.get(&format!("{SHOP}/resources/product/{product}")).await;
        let found = now["state"]["title"].as_str().unwrap_or_default().to_owned();
        if found == title { Ok(()) } else { Err(format!("{product} is called {found}")) }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_was_changed_or_deleted_is_known_once_shopifys_log_names_it() {
    let (backstock, simulator) = known_shop_with("[compactor]\nlog_every = 1\n", &PLAIN).await;
    let pages = backstock.list(&format!("{SHOP}/resources?kind=page")).await;
    let (changed, gone) = (text(&pages[0], "id"), text(&pages[1], "id"));
    // Entries show up to a minute and a half late, each at a time of its own: the first of many will do.
    for n in 0..20 {
        for page in [changed, gone] {
            let update = format!(
                "mutation {{ pageUpdate(id: \"gid://shopify/Page/{page}\", \
                 page: {{title: \"Anew {n}\"}}) {{ userErrors {{ message }} }} }}"
            );
            simulator.ask(&update).await;
        }
    }
    let delete =
        format!("mutation {{ pageDelete(id: \"gid://shopify/Page/{gone}\") {{ deletedPageId }} }}");
    simulator.ask(&delete).await;
    eventually(|| async {
        let (_, page) = backstock.get(&format!("{SHOP}/resources/page/{changed}")).await;
        let (status, _) = backstock.get(&format!("{SHOP}/resources/page/{gone}")).await;
        let title = &page["state"]["title"];
        if *title == "Anew 19" && status == 410 {
            Ok(())
        } else {
            Err(format!("{title}, {status}"))
        }
    })
    .await;
    let versions = backstock.list(&format!("{SHOP}/resources/page/{gone}/versions")).await;
    assert_eq!((&versions[0]["op"], &versions[0]["source"]), (&json!("delete"), &json!("pull")));
    let living = backstock.list(&format!("{SHOP}/resources?kind=page&deleted=false")).await;
    assert_eq!(living.len(), pages.len() - 1, "something else was taken for gone");
    let pull = reconciled(&backstock, "page").await;
    assert_eq!(pull["drift"], json!({"missed": 0, "changed": 0, "extra": 0}), "{pull}");
}

#[tokio::test]
async fn retention_keeps_what_it_says_and_a_hold_keeps_all() {
    let (port, access) = planned();
    let nothing = "[storage]\nkeep_all_days = 0\nkeep_daily = 0\nkeep_weekly = 0\n";
    let mut backstock = Backstock::public(nothing, &access);
    let simulator = Simulator::start(&backstock, port, &PLAIN).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    kept(&backstock, "product").await;
    let (product, medium) = media(&backstock).await.swap_remove(0);
    let path = format!("{SHOP}/resources/product/{product}");
    for title in ["One", "Two", "Three"] {
        let rename = format!(
            "mutation {{ productUpdate(product: {{id: \"gid://shopify/Product/{product}\", \
             title: \"{title}\"}}) {{ product {{ id }} }} }}"
        );
        simulator.ask(&rename).await;
        titled(&backstock, &product, title).await;
    }
    let cores = async || {
        let versions = backstock.list(&format!("{path}/versions")).await;
        versions.iter().filter(|version| version["facet"] == "core").count()
    };
    // What is asked for after the last webhook is known as well.
    reconciled(&backstock, "product").await;
    settled(&backstock).await;
    let before = cores().await;
    assert!(before >= 4, "{before} versions");
    let retain = async |body: Value| {
        let (status, retained) = backstock.post(&format!("{SHOP}/retention"), body).await;
        assert_eq!(status, 200, "{retained}");
        retained
    };
    let dry = retain(json!({"dry_run": true})).await;
    assert!(dry["thinned"]["removed"].as_u64().is_some_and(|n| n >= 3), "{dry}");
    assert_eq!(cores().await, before, "a dry run removes nothing");
    assert_eq!(retain(json!({"hold": true})).await["held"], true);
    assert_eq!(retain(json!({})).await["thinned"]["removed"], 0);
    assert_eq!(cores().await, before, "a hold keeps all");
    retain(json!({"hold": false})).await;
    let said = backstock.client_verb(&["retain", "--dry-run"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("would go"), "{said:?}");
    let done = retain(json!({})).await;
    assert_eq!(done["thinned"]["removed"], dry["thinned"]["removed"], "{done}");
    // The newest, and where it only says once more what the one before said, that one's bytes.
    assert!((1..=2).contains(&cores().await), "{} are left", cores().await);
    let (_, now) = backstock.get(&path).await;
    assert_eq!(now["state"]["title"], "Three");
    let served = blob(&backstock, "acme.myshopify.com", text(&medium, "blob")).await;
    assert!(served.is_ok(), "a blob that is named stays: {served:?}");
    let pull = reconciled(&backstock, "product").await;
    assert_eq!(pull["drift"], json!({"missed": 0, "changed": 0, "extra": 0}), "{pull}");
}
