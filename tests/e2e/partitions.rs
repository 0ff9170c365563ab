//! A store of several partitions: each shop has one, and everything is found where it is kept.

use async_nats::jetstream;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::backstock::Backstock;
use crate::disk::Nats;
use crate::recover::address;
use crate::shopify::Delivery;

const ID: u64 = 9_007_199_254_740_993_001;

/// Configured to keep four partitions.
const FOUR: &str = "partitions = 4\n";

/// Sends a product of `shop` and waits until it can be read.
async fn kept(backstock: &Backstock, shop: &str) {
    let sent = Delivery::product(ID, shop, 100, format!("w-{shop}"));
    let sent = Delivery { shop: format!("{shop}.myshopify.com"), ..sent };
    let status = sent.send(&backstock.client, &backstock.webhooks()).await.expect("an answer");
    assert_eq!(status, 200, "{shop}");
    let path = format!("/v1/shops/{shop}/resources/product/{ID}");
    for _ in 0..200 {
        let (status, found) = backstock.get(&path).await;
        if status == 200 {
            assert_eq!(found["state"]["title"], json!(shop));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{shop} is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn shops_live_in_partitions_of_their_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut backstock = Backstock::at(dir.path(), FOUR);
    backstock.start("serve").await;
    for shop in ["acme", "other"] {
        kept(&backstock, shop).await;
    }
    for partition in 0..4 {
        assert!(dir.path().join(format!("data/journal/{partition}/CURRENT")).is_file());
    }
    let (_, shops) = backstock.get("/v1/shops").await;
    assert_eq!(shops["items"].as_array().map(Vec::len), Some(2), "{shops}");
    assert!(backstock.signal("serve", Signal::SIGTERM).success(), "an ordered end");

    // Another number would look for shops where their history is not.
    let config = dir.path().join("backstock.toml");
    let text = std::fs::read_to_string(&config).expect("a configuration");
    std::fs::write(&config, text.replace("partitions = 4", "partitions = 2")).expect("written");
    backstock.spawn("serve");
    assert!(!backstock.reap("serve").success());
    let log = std::fs::read_to_string(dir.path().join("serve.log")).expect("a log");
    assert!(log.contains("is one of 4 partitions"), "{log}");

    std::fs::write(&config, text).expect("written");
    backstock.start("serve").await;
    for shop in ["acme", "other"] {
        let (status, found) =
            backstock.get(&format!("/v1/shops/{shop}/resources/product/{ID}")).await;
        assert_eq!((status, &found["state"]["title"]), (200, &json!(shop)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_added_has_the_history_that_the_stream_forgot() {
    let dirs = [(); 4].map(|()| tempfile::tempdir().expect("a directory"));
    let [nats, objects, first, second] = &dirs;
    let server = Nats::start(nats.path(), "always");
    let objects = address(objects.path());
    let more = format!("{}partitions = 2\n[storage]\nurl = {objects:?}\n", server.configuration());
    let mut one = Backstock::at(first.path(), &more);
    one.spawn("journal");
    one.start("ingest").await;
    one.start("restorer").await;
    // The second partition is acme's.
    for shop in ["other", "acme"] {
        kept(&one, shop).await;
    }
    let made = one.client_verb(&["checkpoint"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    for role in ["restorer", "journal"] {
        assert!(one.signal(role, Signal::SIGTERM).success(), "an ordered end of the {role}");
    }
    let client = async_nats::connect(server.url()).await.expect("connected");
    let stream = jetstream::new(client).get_stream("BACKSTOCK-1").await.expect("a stream");
    let purged = stream.purge().filter("backstock.1.event.>").await.expect("purged");
    assert_eq!(purged.purged, 1, "it held what happened");

    let mut two = Backstock::at(second.path(), &(more + "[journal]\nindex = 1\n"));
    let journals = format!("journals = [[{:?}], [{:?}]]\n", one.journal, two.journal);
    (one, two) = (one.with_http(&journals), two.with_http(&journals));
    one.start("journal").await;
    two.start("journal").await;
    one.start("restorer").await;
    for shop in ["other", "acme"] {
        let path = format!("/v1/shops/{shop}/resources/product/{ID}");
        let (status, found) = one.get(&path).await;
        assert_eq!((status, &found["state"]["title"]), (200, &json!(shop)), "{found}");
    }
    assert!(second.path().join("data/journal/1/CURRENT").is_file());
    let log = std::fs::read_to_string(first.path().join("journal.log")).expect("a log");
    assert!(log.contains("this journal does not keep the partition"), "{log}");
}
