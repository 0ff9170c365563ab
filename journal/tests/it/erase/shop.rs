//! A shop is erased up to the message that asked, whatever becomes of the disk meanwhile.

use std::sync::Arc;

use super::told::{CANARIES, WHO, customer, customer_body, redact, tell};
use super::world::{World, acme};
use crate::support::{Delivery, at, decoded, facet, key, note, open, product, reader, titled};
use backstock_journal::checkpoint::Checkpoints;
use backstock_journal::{Options, Store};
use backstock_proto::erase::{ErasureState, Via, Whom, Wish};
use backstock_proto::journal::{AsOf, Journal, Page, Span, Version};
use backstock_proto::stream::{event_subject, ops_subject, stream_name};
use backstock_proto::time::{Clock as _, SystemClock};
use backstock_proto::{Facet, Op, ResourceId, Timestamp};
use object_store::memory::InMemory;
use serde_json::json;

fn wish(requested_at: Timestamp) -> Wish {
    Wish {
        whom: Whom::Shop,
        orders: Vec::new(),
        via: Via::Api,
        by: "ops".into(),
        requested_at,
        confirmed: true,
    }
}

#[tokio::test]
async fn what_came_since_stays_and_leans_on_nothing_that_went() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(&dir.path().join("store"));
    let (mug, cup, bolts) = (product("acme", "7"), product("acme", "8"), product("bolt", "9"));
    let asked = serde_json::to_value(wish(at(100))).expect("json");
    let before = [
        titled(&mug, "Mug", at(10)),
        titled(&mug, "MUG!!", at(20)),
        Delivery { op: Op::Create, ..titled(&mug, "Mug", at(30)) },
        titled(&cup, "Cup", at(40)),
        titled(&bolts, "Bolt", at(50)),
    ];
    store.append(&decoded(1, before), at(60)).expect("append");
    store
        .append(&[note("acme", "mark", "m", &json!({"label": "x"}), 6).decode()], at(60))
        .expect("x");
    store.append(&[note("acme", "erasure", "shop", &asked, 7).decode()], at(100)).expect("append");
    // It is installed again before anything is done: what it says is what was known.
    let since = [titled(&mug, "Mug", at(200)), titled(&mug, "Mug!", at(210))];
    store.append(&decoded(8, since), at(220)).expect("append");
    let mark = json!({"label": "anew"});
    store.append(&[note("acme", "mark", "n", &mark, 10).decode()], at(230)).expect("append");

    let storage = Arc::new(InMemory::new());
    let checkpoints = Checkpoints::new(storage.clone(), 0);
    checkpoints.make(&store, at(240)).await.expect("a checkpoint");
    let path = dir.path().join("back");
    checkpoints.recover(&path, false, &*storage, at(250)).await.expect("recovered");
    let store = Arc::new(Store::open(&path, Options::for_testing(), at(0)).expect("open"));
    let reader = reader(&store);
    let versions = reader.versions(&mug, Span::default(), &Page::default()).await.expect("read");
    let seqs: Vec<u64> = versions.items.iter().map(|version| version.seq).collect();
    assert_eq!(seqs, [9, 8]);
    let updates = |version: &Version| version.op == Op::Update;
    assert!(versions.items.iter().all(updates), "{versions:?}");
    let title = async |seconds| {
        let found = reader.resource(&mug, AsOf::At(at(seconds))).await.expect("read");
        found.map(|found| found.state["title"].clone())
    };
    assert_eq!(title(35).await, None);
    assert_eq!(title(205).await, Some(json!("Mug")));
    assert_eq!(title(300).await, Some(json!("Mug!")));
    assert!(reader.resource(&cup, AsOf::Latest).await.expect("read").is_none());
    let other = reader.resource(&bolts, AsOf::Latest).await.expect("read").expect("there");
    assert_eq!(other.state["title"], "Bolt");
    let marks = reader.records(&acme(), "mark", None, &Page::default()).await.expect("read");
    let ids: Vec<&str> = marks.items.iter().map(|mark| mark.id.as_str()).collect();
    assert_eq!(ids, ["n"]);
    let status = reader.status(&acme()).await.expect("read").expect("there");
    let counts: Vec<(u64, u64)> =
        status.kinds.iter().map(|kind| (kind.resources, kind.versions)).collect();
    assert_eq!(counts, [(1, 2)]);
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_come_back_with_what_the_stream_still_holds_when_the_disk_is_lost() {
    let world = World::new().await;
    tell(&world).await;
    world.checkpoint().await;
    let (late, mug) = (key("acme", "customer", WHO), product("acme", "7"));
    let body = customer_body(WHO, CANARIES[2], CANARIES[5], at(60));
    let seq = world.publish(Delivery::of(&late, Op::Update, &body, at(60))).await;
    let (nats, dir) = world.stop().await;
    // Somebody asks for it, which is put on record; the disk goes before anything is taken off the
    // stream, and the app is installed again.
    let wish = wish(SystemClock.now());
    let jetstream = nats.jetstream().await;
    let said = serde_json::to_vec(&wish).expect("json");
    let sent = jetstream.publish(ops_subject(0, &acme(), "erasure", "shop"), said.into()).await;
    let asked = sent.expect("publish").await.expect("ack").sequence;
    assert!(asked > seq);
    let mut on_record = serde_json::to_value(&wish).expect("json");
    on_record["upto"] = asked.into();
    let kept = dir.path().join("objects/erasures/0/acme");
    std::fs::create_dir_all(&kept).expect("a directory");
    let on_record = json!({"shop": acme(), "wish": on_record}).to_string();
    std::fs::write(kept.join("wish.json"), on_record).expect("kept");
    let anew = titled(&mug, "Anew", at(400)).event();
    let subject = event_subject(0, &anew.key);
    let sent = jetstream.publish_with_headers(subject, anew.to_headers(), anew.payload).await;
    let last = sent.expect("publish").await.expect("ack").sequence;
    std::fs::remove_dir_all(dir.path().join("store")).expect("the disk is lost");

    let objects = object_store::local::LocalFileSystem::new_with_prefix(dir.path().join("objects"));
    let objects = Arc::new(objects.expect("storage"));
    let checkpoints = Checkpoints::new(objects.clone(), 0);
    let path = dir.path().join("store");
    checkpoints.recover(&path, false, &*objects, SystemClock.now()).await.expect("recovered");
    let world = World::on(nats, dir).await;
    world.applied(last).await;
    world.until(&Whom::Shop, ErasureState::Erased).await;
    let reader = world.reader();
    assert!(reader.resource(&late, AsOf::Latest).await.expect("read").is_none());
    let versions = reader.versions(&mug, Span::default(), &Page::default()).await.expect("read");
    let seqs: Vec<u64> = versions.items.iter().map(|version| version.seq).collect();
    assert_eq!(seqs, [last], "only what came since is there");
    assert_eq!(world.found("store"), []);
    world.let_go().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_that_were_stored_since_stay() {
    let world = World::new().await;
    let files = world.dir.path().join("objects/blobs/acme");
    std::fs::create_dir_all(&files).expect("a directory");
    let file = |hash: char| files.join(hash.to_string().repeat(64));
    for hash in ['a', 'b'] {
        std::fs::write(file(hash), "bytes").expect("written");
    }
    let mug = product("acme", "7");
    let named = |hash: char, seconds| {
        let copy = json!({"url": "https://cdn.shopify.com/a.jpg",
            "blob": hash.to_string().repeat(64)});
        let payload = json!({"id": "gid://shopify/Product/7", "blobs": [copy]});
        facet(&mug, Facet::Blobs, &payload, at(seconds))
    };
    world.publish(named('a', 10)).await;
    // Nothing can be put on record before the app is installed again and its picture is there.
    let in_the_way = world.in_the_way();
    let asked = serde_json::to_value(wish(at(100))).expect("json");
    world.record("erasure", "shop", &asked).await;
    let received_at = SystemClock.now();
    world.publish(Delivery { received_at, ..named('b', 200) }).await;
    // Another one is there that history is about to name. Dates of files are coarse.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    std::fs::write(file('c'), "bytes").expect("written");
    std::fs::remove_file(&in_the_way).expect("removed");
    world.until(&Whom::Shop, ErasureState::Erased).await;
    assert!(!file('a').exists(), "what was named before is gone");
    assert!(file('b').exists(), "history names it");
    assert!(file('c').exists(), "it was stored since");
    assert_eq!(world.reader().verify().await.expect("verify").faults, Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bytes_go_before_what_came_since_is_read() {
    let world = World::new().await;
    tell(&world).await;
    let (nats, dir) = world.stop().await;
    let files = dir.path().join("objects/blobs/acme");
    let file = |hash: char| files.join(hash.to_string().repeat(64));
    std::fs::create_dir_all(&files).expect("a directory");
    for hash in ['a', 'b'] {
        std::fs::write(file(hash), "bytes").expect("written");
    }
    // What was erased is on record where checkpoints are; that the app was installed again, on the stream.
    let jetstream = nats.jetstream().await;
    let asked = wish(SystemClock.now());
    let said = serde_json::to_vec(&asked).expect("json");
    let sent = jetstream.publish(ops_subject(0, &acme(), "erasure", "shop"), said.into()).await;
    let upto = sent.expect("publish").await.expect("ack").sequence;
    let other = Whom::Customer(ResourceId::parse("5").expect("an id"));
    let of_other = Wish { whom: other.clone(), ..asked.clone() };
    for (shop, wish, upto) in [("acme", &asked, Some(upto)), ("bolt", &of_other, None)] {
        let kept = dir.path().join("objects/erasures/0").join(shop);
        std::fs::create_dir_all(&kept).expect("a directory");
        let mut wish = serde_json::to_value(wish).expect("json");
        if let Some(upto) = upto {
            wish["upto"] = upto.into();
        }
        let on_record = json!({"shop": format!("{shop}.myshopify.com"), "wish": wish});
        std::fs::write(kept.join("wish.json"), on_record.to_string()).expect("kept");
    }
    let copy = json!({"url": "https://cdn.shopify.com/a.jpg", "blob": "b".repeat(64)});
    let named = json!({"id": "gid://shopify/Product/7", "blobs": [copy]});
    let named = facet(&product("acme", "7"), Facet::Blobs, &named, at(400));
    let named = Delivery { received_at: SystemClock.now(), ..named }.event();
    let subject = event_subject(0, &named.key);
    let sent = jetstream.publish_with_headers(subject, named.to_headers(), named.payload).await;
    sent.expect("publish").await.expect("ack");

    let mut world = World::behind(nats, dir).await;
    // By then the shop's turn has been.
    world.until(&other, ErasureState::Erased).await;
    assert!(file('b').exists(), "nobody knows yet whether history names it");
    let stream = jetstream.get_stream(stream_name(0)).await.expect("a stream");
    let held = stream.get_raw_message(1).await;
    assert!(held.is_ok(), "what is done before its end is done over and over: {held:?}");
    world.read();
    world.until(&Whom::Shop, ErasureState::Erased).await;
    assert!(file('b').exists(), "history names it");
    assert!(!file('a').exists(), "nothing names it");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_fails_keeps_no_other_from_its_end() {
    let world = World::new().await;
    tell(&world).await;
    // Nothing of the first shop can be put on record.
    let in_the_way = world.in_the_way();
    world.publish(redact(&[])).await;
    let bolt = key("bolt", "customer", "5");
    let body = customer_body("5", "bolt@birds.example", "goes", at(12));
    world.publish(Delivery::of(&bolt, Op::Create, &body, at(12))).await;
    let asked = json!({"shop_id": 1, "shop_domain": "bolt.myshopify.com", "customer": {"id": 5}});
    let asks = key("bolt", "customer_redact", "5");
    world.publish(Delivery::of(&asks, Op::Update, &asked, at(100))).await;
    let other = Whom::Customer(ResourceId::parse("5").expect("an id"));
    world.until(&other, ErasureState::Erased).await;
    assert_eq!(world.state(&customer()).await, Some(ErasureState::Open));
    assert_ne!(world.found("store"), []);

    std::fs::remove_file(&in_the_way).expect("removed");
    world.until(&customer(), ErasureState::Erased).await;
    assert_eq!(world.found("store"), []);
    world.stop().await;
}
