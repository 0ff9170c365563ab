//! A person, or a shop, is taken out: no file holds a byte of them, and everything else is as before.

mod shop;
mod told;
mod world;

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Delivery, at, copy_all, decoded, key, note, open, reader, titled};
use backstock_journal::checkpoint::Checkpoints;
use backstock_journal::{Options, Store};
use backstock_proto::erase::{ErasureState, Via, Whom, Wish};
use backstock_proto::journal::{AsOf, Journal, Page, Raw, Span};
use backstock_proto::time::{Clock as _, SystemClock};
use backstock_proto::{Facet, Op, ResourceId};
use object_store::local::LocalFileSystem;
use serde_json::{Value, json};

use told::{
    CANARIES, ORDER, OTHER, OTHERS_ORDER, WHO, customer, customer_body, order_body, redact, tell,
};
use world::{World, acme, search};

#[tokio::test(flavor = "multi_thread")]
async fn no_file_holds_a_byte_of_a_customer_who_was_erased() {
    let world = World::new().await;
    tell(&world).await;
    world.checkpoint().await;
    let (order, other) = (key("acme", "order", ORDER), key("acme", "customer", OTHER));
    let others_order = key("acme", "order", OTHERS_ORDER);
    let before = world.resource(&order, AsOf::At(at(35))).await;
    let others_before = [
        world.resource(&other, AsOf::Latest).await,
        world.resource(&others_order, AsOf::Latest).await,
    ];
    let status_before = world.reader().status(&acme()).await.expect("read").expect("there");
    for within in ["store", "objects", "nats"] {
        let found = world.found(within);
        let missed: Vec<&str> =
            CANARIES.into_iter().filter(|c| !found.iter().any(|(_, f)| f == c)).collect();
        assert!(missed.is_empty(), "the search does not see {missed:?} in {within}");
    }

    world.publish(redact(&[])).await;
    world.until(&customer(), ErasureState::Erased).await;
    assert_eq!(world.found("store"), []);
    assert_eq!(world.found("nats"), []);

    let after = world.resource(&order, AsOf::At(at(35))).await;
    assert_eq!(after.state["totalPriceSet"], before.state["totalPriceSet"]);
    assert_eq!(after.state["displayFinancialStatus"], "PENDING");
    assert_eq!(after.state["lineItems"][0]["quantity"], 2);
    assert_eq!(after.state["customer"], Value::Null);
    assert!(after.version.erased && after.version.seq == before.version.seq);
    assert_eq!(others_before[0], world.resource(&other, AsOf::Latest).await);
    assert_eq!(others_before[1], world.resource(&others_order, AsOf::Latest).await);
    let erased = world.resource(&key("acme", "customer", WHO), AsOf::Latest).await;
    assert_eq!(erased.state["id"], format!("gid://shopify/Customer/{WHO}"));
    assert_eq!(erased.state.get("email"), None);
    let status = world.reader().status(&acme()).await.expect("read").expect("there");
    let counts = |status: &backstock_proto::journal::ShopStatus| -> Vec<(String, u64, u64)> {
        let kinds = status.kinds.iter().filter(|kind| kind.kind.as_str() != "customer_redact");
        kinds.map(|kind| (kind.kind.to_string(), kind.resources, kind.versions)).collect()
    };
    assert_eq!(counts(&status), counts(&status_before), "counts still add up");
    let rows = world.reader().records(&acme(), "plan_rows", None, &Page::default()).await;
    let rows = &rows.expect("records").items[0].payload;
    assert_eq!(rows[0]["action"], "cannot");
    assert_eq!(rows[0]["fields"][0], json!({"path": "/note", "old": null, "new": null}));
    assert_eq!(rows[1]["fields"][0]["new"], "Cup", "what is about nobody stays");
    let report = world.reader().verify().await.expect("verify");
    assert_eq!(report.faults, Vec::<String>::new());

    // Late deliveries, repetitions and pulls that began before bring nothing back.
    let who = key("acme", "customer", WHO);
    let late = customer_body(WHO, CANARIES[2], CANARIES[5], at(200));
    world.publish(Delivery::of(&who, Op::Update, &late, at(200)).webhook("late")).await;
    let late = order_body("9007199254740996003", WHO, CANARIES[2], true, at(201));
    let late_order = key("acme", "order", "9007199254740996003");
    world.publish(Delivery::of(&late_order, Op::Create, &late, at(201)).webhook("late2")).await;
    let rows = json!([{"kind": "customer", "id": WHO, "title": CANARIES[0], "action": "create",
        "cost": 1.0, "fields": [{"path": "", "old": null, "new": {"email": CANARIES[2]}}]}]);
    world.record("plan_rows", "plan-2.0", &rows).await;
    assert_eq!(world.found("store"), [], "it never reached the store");
    world.let_go().await;
    let kept = world.resource(&late_order, AsOf::Latest).await;
    assert_eq!(kept.state["totalPriceSet"], before.state["totalPriceSet"]);

    // The checkpoint from before goes once there is another one.
    let copy = tempfile::tempdir().expect("dir");
    copy_all(&world.dir.path().join("objects"), copy.path());
    world.until(&customer(), ErasureState::Erased).await;
    world.checkpoint().await;
    world.until(&customer(), ErasureState::Done).await;
    assert_eq!(world.found("objects"), []);
    let report = world.reader().verify().await.expect("verify");
    assert_eq!(report.faults, Vec::<String>::new());

    // Whoever comes back from a checkpoint of before erases again.
    assert_ne!(search(copy.path()), [], "the copy is one from before");
    let old = LocalFileSystem::new_with_prefix(copy.path()).expect("storage");
    let old = Checkpoints::new(Arc::new(old), 0);
    let back = tempfile::tempdir().expect("dir");
    let path = back.path().join("store");
    old.recover(&path, false, &*world.storage, SystemClock.now()).await.expect("recovered");
    let store = Arc::new(Store::open(&path, Options::for_testing(), at(0)).expect("open"));
    let recovered =
        reader(&store).resource(&who, AsOf::Latest).await.expect("read").expect("there");
    assert_eq!(recovered.state.get("email"), None);
    let raw = reader(&store).raw(&order, before.version.seq).await.expect("read");
    let Some(Raw::Bytes(raw)) = raw else { panic!("{raw:?}") };
    assert!(!String::from_utf8_lossy(&raw).contains(CANARIES[2]));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_reads_later_takes_what_was_erased_for_no_loss() {
    let world = World::new().await;
    tell(&world).await;
    world.publish(redact(&[ORDER])).await;
    world.until(&customer(), ErasureState::Erased).await;
    let (nats, dir) = world.stop().await;
    std::fs::remove_dir_all(dir.path().join("store")).expect("the journal is lost");
    let world = World::on(nats, dir).await;
    world.publish(titled(&crate::support::product("acme", "8"), "Cup", at(300))).await;
    world.until(&customer(), ErasureState::Done).await;
    let status = world.reader().status(&acme()).await.expect("read").expect("there");
    assert_eq!(status.gaps, [], "nothing was lost");
    let other = world.resource(&key("acme", "customer", OTHER), AsOf::Latest).await;
    assert_eq!(other.state["email"], "other@birds.example");
    assert_eq!(world.found("store"), []);
    assert_eq!(world.found("nats"), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_goes_whole_once_somebody_says_so_and_another_stays() {
    let world = World::new().await;
    tell(&world).await;
    let bolt = key("bolt", "customer", "5");
    let body = customer_body("5", "bolt@birds.example", "stays", at(12));
    world.publish(Delivery::of(&bolt, Op::Create, &body, at(12))).await;
    let body = json!({"shop_id": 1, "shop_domain": "bolt.myshopify.com"});
    let redact = key("acme", "shop_redact", "unknown");
    world.publish(Delivery::of(&redact, Op::Update, &body, at(90))).await;
    assert_eq!(world.reader().erasures(None).await.expect("read"), [], "it names another shop");
    let body = json!({"shop_id": 1, "shop_domain": "acme.myshopify.com"});
    world.publish(Delivery::of(&redact, Op::Update, &body, at(100))).await;
    world.until(&Whom::Shop, ErasureState::Waiting).await;
    let product = crate::support::product("acme", "7");
    assert_eq!(world.resource(&product, AsOf::Latest).await.state["title"], "Mug");

    let wish = Wish {
        whom: Whom::Shop,
        orders: Vec::new(),
        via: Via::Api,
        by: "ops".into(),
        requested_at: SystemClock.now(),
        confirmed: true,
    };
    world.record("erasure", "shop", &serde_json::to_value(&wish).expect("json")).await;
    world.until(&Whom::Shop, ErasureState::Done).await;
    for within in ["store", "nats", "objects"] {
        assert_eq!(world.found(within), [], "{within}");
    }
    let reader = world.reader();
    assert!(reader.resource(&product, AsOf::Latest).await.expect("read").is_none());
    let versions = reader.versions(&product, Span::default(), &Page::default()).await;
    assert_eq!(versions.expect("read").items, []);
    let shops: Vec<String> =
        reader.shops().await.expect("read").iter().map(|s| s.shop.name().to_owned()).collect();
    assert_eq!(shops, ["bolt"]);
    let kept = world.resource(&bolt, AsOf::Latest).await;
    assert_eq!(kept.state["email"], "bolt@birds.example");
    // It may install the app again.
    world.publish(titled(&product, "Anew", at(400))).await;
    assert_eq!(world.resource(&product, AsOf::Latest).await.state["title"], "Anew");
    assert_eq!(reader.verify().await.expect("verify").faults, Vec::<String>::new());
    world.stop().await;
}

#[tokio::test]
async fn what_is_asked_for_twice_at_once_is_asked_for_as_a_whole() {
    let dir = tempfile::tempdir().expect("dir");
    let store = open(dir.path());
    let wish = Wish {
        whom: Whom::Shop,
        orders: Vec::new(),
        via: Via::Api,
        by: "ops".into(),
        requested_at: at(90),
        confirmed: true,
    };
    let wish = serde_json::to_value(&wish).expect("json");
    let body = json!({"shop_id": 1, "shop_domain": "acme.myshopify.com"});
    let redact = Delivery::of(&key("acme", "shop_redact", "unknown"), Op::Update, &body, at(100));
    let batch = [note("acme", "erasure", "shop", &wish, 1).decode(), redact.message(2).decode()];
    store.append(&batch, at(101)).expect("append");
    let erasures = reader(&store).erasures(None).await.expect("erasures");
    let states: Vec<ErasureState> = erasures.iter().map(|erasure| erasure.state).collect();
    assert_eq!(states, [ErasureState::Open], "somebody has said yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_at_once_with_an_order_of_somebody_erased_holds_nothing_of_them() {
    let world = World::new().await;
    tell(&world).await;
    world.publish(redact(&[])).await;
    world.until(&customer(), ErasureState::Erased).await;
    let (_nats, dir) = world.stop().await;
    let store = open(&dir.path().join("store"));
    let late = "9007199254740996003";
    let (order, shipment) = (key("acme", "order", late), key("acme", "fulfillment", "78"));
    let body = order_body(late, WHO, CANARIES[2], true, at(201));
    // It names the order only, of which nothing was known until now.
    let sent = json!({"id": 78, "order_id": late.parse::<u64>().expect("a number"),
        "destination": {"name": CANARIES[0], "address1": CANARIES[4]}});
    let both = [
        Delivery::of(&order, Op::Create, &body, at(201)),
        Delivery::of(&shipment, Op::Create, &sent, at(202)),
    ];
    let next = store.applied_seq() + 1;
    store.append(&decoded(next, both), at(203)).expect("append");
    let raw = reader(&store).raw(&shipment, next + 1).await.expect("read");
    let Some(Raw::Bytes(raw)) = raw else { panic!("{raw:?}") };
    let raw = String::from_utf8_lossy(&raw);
    assert!(raw.contains(late) && !raw.contains(CANARIES[4]), "{raw}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_done_while_a_copy_elsewhere_is_one_of_before() {
    let world = World::new().await;
    tell(&world).await;
    world.checkpoint_elsewhere().await;
    assert_eq!(world.store.checkpointed_at().expect("read"), None, "the usual place has none");
    world.publish(redact(&[])).await;
    world.until(&customer(), ErasureState::Erased).await;
    world.checkpoint().await;
    assert!(world.store.checkpointed_at().expect("read").is_some());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.state(&customer()).await, Some(ErasureState::Erased));
    assert_ne!(world.found("copy"), []);
    world.checkpoint_elsewhere().await;
    world.until(&customer(), ErasureState::Done).await;
    assert_eq!(world.found("copy"), []);
    // Whoever has nothing but the copy knows it, too.
    let kept = world.dir.path().join("copy/erasures/0/acme");
    assert_eq!(std::fs::read_dir(kept).expect("a directory").count(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_erased_once_is_erased_again_in_an_older_store_whatever_the_stream_knows() {
    let world = World::new().await;
    tell(&world).await;
    let (nats, dir) = world.stop().await;
    let wish = Wish {
        whom: customer(),
        orders: Vec::new(),
        via: Via::Webhook,
        by: String::new(),
        requested_at: at(100),
        confirmed: false,
    };
    let kept = dir.path().join("objects/erasures/0/acme");
    std::fs::create_dir_all(&kept).expect("a directory");
    let wish = json!({"shop": acme(), "wish": wish}).to_string();
    std::fs::write(kept.join("wish.json"), wish).expect("kept");
    let world = World::on(nats, dir).await;
    world.until(&customer(), ErasureState::Erased).await;
    assert_eq!(world.found("store"), []);
    assert_eq!(world.found("nats"), []);
    let other = world.resource(&key("acme", "customer", OTHER), AsOf::Latest).await;
    assert_eq!(other.state["email"], "other@birds.example");
    // To hear of it once more changes nothing.
    world.until(&customer(), ErasureState::Done).await;
    let (nats, dir) = world.stop().await;
    let world = World::on(nats, dir).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.state(&customer()).await, Some(ErasureState::Done));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_goes_out_of_what_somebody_else_was_taken_out_of_before() {
    let world = World::new().await;
    tell(&world).await;
    let gid = |id: &str| json!({"id": format!("gid://shopify/Customer/{id}")});
    let discount = json!({"id": "gid://shopify/DiscountNode/5", "discount": {
        "title": format!("{} {} and Other Person", CANARIES[0], CANARIES[1]),
        "context": {"customers": [gid(WHO), gid(OTHER)]}}});
    let key = key("acme", "discount", "5");
    world.publish(crate::support::facet(&key, Facet::Core, &discount, at(45))).await;
    let other = Whom::Customer(ResourceId::parse(OTHER).expect("an id"));
    let wish = Wish {
        whom: other.clone(),
        orders: Vec::new(),
        via: Via::Api,
        by: "ops".into(),
        requested_at: at(100),
        confirmed: true,
    };
    let wish = serde_json::to_value(&wish).expect("json");
    world.record("erasure", &other.name(), &wish).await;
    world.until(&other, ErasureState::Erased).await;
    let one_left = world.resource(&key, AsOf::Latest).await.state;
    assert_eq!(one_left["context"]["customers"], json!([gid(WHO)]), "{one_left}");
    assert_ne!(world.found("store"), []);

    world.publish(redact(&[])).await;
    world.until(&customer(), ErasureState::Erased).await;
    assert_eq!(world.found("store"), []);
    let none_left = world.resource(&key, AsOf::Latest).await.state;
    assert_eq!(none_left["context"]["customers"], json!([]), "{none_left}");
    let report = world.reader().verify().await.expect("verify");
    assert_eq!(report.faults, Vec::<String>::new());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_and_names_somebody_erased_is_not_kept_aside_as_it_came() {
    let world = World::new().await;
    tell(&world).await;
    world.publish(redact(&[])).await;
    world.until(&customer(), ErasureState::Erased).await;
    let late = key("acme", "order", "9007199254740996003");
    let mut poison = Delivery::of(&late, Op::Create, &json!({}), at(210));
    let broken = format!("{{\"customer\": {{\"id\": {WHO}, \"email\": \"{}", CANARIES[2]);
    poison.payload = broken.into_bytes();
    let seq = world.publish(poison).await;
    let kept = world.store.quarantined(seq).expect("read").expect("kept aside");
    assert!(kept.message.payload.is_empty(), "{:?}", kept.message.payload);
    assert_eq!(world.found("store"), []);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_done_while_files_of_a_checkpoint_of_before_are_left() {
    let world = World::new().await;
    tell(&world).await;
    // Whoever removed the checkpoint was killed before its files.
    let files = world.dir.path().join("objects/checkpoints/0/files");
    std::fs::create_dir_all(&files).expect("a directory");
    std::fs::write(files.join("left"), CANARIES[2]).expect("written");
    world.publish(redact(&[])).await;
    world.until(&customer(), ErasureState::Erased).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.state(&customer()).await, Some(ErasureState::Erased));
    world.checkpoint().await;
    world.until(&customer(), ErasureState::Done).await;
    assert_eq!(world.found("objects"), []);
    world.stop().await;
}
