//! A person, or a shop, is taken out: no file holds a byte of them, and everything else is as before.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::nats::Nats;
use crate::support::{Delivery, at, facet, key, reader, titled};
use async_nats::jetstream::Context;
use backstock_journal::checkpoint::Checkpoints;
use backstock_journal::erase::Eraser;
use backstock_journal::stream::ensure_stream;
use backstock_journal::{Config, Options, Reader, Store};
use backstock_proto::erase::{ErasureState, Via, Whom, Wish};
use backstock_proto::journal::{AsOf, Journal, Page, Raw, Resource, Span};
use backstock_proto::listen::Readiness;
use backstock_proto::storage::{self, Keys};
use backstock_proto::stream::{event_subject, ops_subject, stream_config};
use backstock_proto::time::{Clock as _, SystemClock};
use backstock_proto::{Facet, Op, ResourceId, ResourceKey, Shop, Timestamp};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// What must be nowhere, each in some field.
const CANARIES: [&str; 8] = [
    "Kanarya",
    "Nachtigall",
    "kanarya@birds.example",
    "+4915550001234",
    "Kanarienweg 17",
    "prefers the yellow one",
    "engraved for Kanarya",
    "203.0.113.99",
];
const WHO: &str = "9007199254740995001";
const OTHER: &str = "9007199254740995002";
const ORDER: &str = "9007199254740996001";
const OTHERS_ORDER: &str = "9007199254740996002";

/// A journal with its stream, and what erases.
struct World {
    nats: Nats,
    dir: TempDir,
    storage: Arc<dyn ObjectStore>,
    store: Arc<Store>,
    jetstream: Context,
    shutdown: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        std::fs::create_dir_all(dir.path().join("objects")).expect("dir");
        let nats = Nats::start().await;
        Self::on(nats, dir).await
    }

    async fn on(nats: Nats, dir: TempDir) -> Self {
        let options = Options { compressed: false, ..Options::for_testing() };
        let store = Store::open(&dir.path().join("store"), options, at(0)).expect("open");
        let store = Arc::new(store);
        let jetstream = nats.jetstream().await;
        ensure_stream(&jetstream, &store, stream_config((0, 1), 1, 1 << 30)).await.expect("stream");
        let objects = LocalFileSystem::new_with_prefix(dir.path().join("objects"));
        let storage: Arc<dyn ObjectStore> = Arc::new(objects.expect("storage"));
        let shutdown = CancellationToken::new();
        let mut world = Self { nats, dir, storage, store, jetstream, shutdown, tasks: Vec::new() };
        world.start();
        world
    }

    fn start(&mut self) {
        let (store, jetstream, told) =
            (self.store.clone(), self.jetstream.clone(), self.shutdown.clone());
        self.tasks.push(tokio::spawn(async move {
            let (registry, readiness) = (prometheus::Registry::new(), Readiness::new());
            let part = readiness.part("journal");
            let clock = Arc::new(SystemClock);
            let config = Config::default();
            backstock_journal::run(config, store, jetstream, &registry, part, clock, told)
                .await
                .expect("an orderly end");
        }));
        let eraser = Eraser {
            store: self.store.clone(),
            jetstream: self.jetstream.clone(),
            partition: 0,
            storage: self.storage.clone(),
            copies: Arc::new([self.copy().to_string()]),
            keys: Keys::default(),
            clock: Arc::new(SystemClock),
        };
        self.tasks.push(tokio::spawn(eraser.run(self.shutdown.clone())));
    }

    /// Ends everything but the server, and closes the store.
    async fn stop(self) -> (Nats, TempDir) {
        self.shutdown.cancel();
        for task in self.tasks {
            task.await.expect("no panic");
        }
        drop(self.store);
        (self.nats, self.dir)
    }

    fn reader(&self) -> Reader {
        reader(&self.store)
    }

    async fn publish(&self, delivery: Delivery) -> u64 {
        let event = delivery.event();
        let subject = event_subject(0, &event.key);
        let sent =
            self.jetstream.publish_with_headers(subject, event.to_headers(), event.payload).await;
        self.applied(sent.expect("publish").await.expect("ack").sequence).await
    }

    async fn record(&self, what: &str, id: &str, said: &Value) -> u64 {
        let subject = ops_subject(0, &acme(), what, id);
        let sent = self.jetstream.publish(subject, said.to_string().into()).await;
        self.applied(sent.expect("publish").await.expect("ack").sequence).await
    }

    async fn applied(&self, seq: u64) -> u64 {
        for _ in 0..1_000 {
            if self.store.applied_seq() >= seq {
                return seq;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("applied {} of {seq}", self.store.applied_seq());
    }

    async fn checkpoint(&self) {
        let checkpoints = Checkpoints::new(self.storage.clone(), 0);
        checkpoints.make(&self.store, SystemClock.now()).await.expect("a checkpoint");
    }

    /// Where a further checkpoint may be.
    fn copy(&self) -> url::Url {
        url::Url::from_directory_path(self.dir.path().join("copy")).expect("an address")
    }

    async fn checkpoint_elsewhere(&self) {
        let copy = self.copy();
        let copy = storage::open(Some(copy.as_str()), self.dir.path(), &Keys::default());
        let checkpoints = Checkpoints::elsewhere(copy.expect("a directory"), 0);
        checkpoints.make(&self.store, SystemClock.now()).await.expect("a checkpoint");
    }

    async fn state(&self, whom: &Whom) -> Option<ErasureState> {
        let erasures = self.reader().erasures(None).await.expect("erasures");
        erasures.into_iter().find(|erasure| erasure.whom == *whom).map(|erasure| erasure.state)
    }

    async fn until(&self, whom: &Whom, state: ErasureState) {
        let mut last = None;
        for _ in 0..1_500 {
            let erasures = self.reader().erasures(None).await.expect("erasures");
            last = erasures.into_iter().find(|erasure| erasure.whom == *whom);
            let is = |found| found == state || found == ErasureState::Done;
            if last.as_ref().is_some_and(|erasure| is(erasure.state)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it is not {state:?}: {last:?}");
    }

    async fn resource(&self, key: &ResourceKey, at: AsOf) -> Resource {
        self.reader().resource(key, at).await.expect("read").expect("there")
    }

    /// How often each canary stands in some file below a directory.
    fn found(&self, within: &str) -> Vec<(String, String)> {
        let path = match within {
            "nats" => self.nats.dir.path().to_owned(),
            within => self.dir.path().join(within),
        };
        search(&path)
    }
}

fn acme() -> Shop {
    Shop::from_name("acme").expect("shop")
}

/// The files below a directory that hold a canary, and which.
fn search(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(search(&path));
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for canary in CANARIES {
            if bytes.windows(canary.len()).any(|window| window == canary.as_bytes()) {
                found.push((path.display().to_string(), canary.to_owned()));
            }
        }
    }
    found
}

fn customer_body(id: &str, email: &str, note: &str, updated_at: Timestamp) -> Value {
    let is_canary = id == WHO;
    let address = json!({
        "id": 1, "first_name": if is_canary { CANARIES[0] } else { "Other" },
        "last_name": if is_canary { CANARIES[1] } else { "Person" },
        "address1": if is_canary { CANARIES[4] } else { "Somewhere 3" },
        "phone": if is_canary { CANARIES[3] } else { "+4930000000" }, "city": "Berlin",
    });
    json!({
        "id": id.parse::<u64>().expect("a number"),
        "admin_graphql_api_id": format!("gid://shopify/Customer/{id}"),
        "first_name": if is_canary { CANARIES[0] } else { "Other" },
        "last_name": if is_canary { CANARIES[1] } else { "Person" },
        "email": email, "phone": if is_canary { CANARIES[3] } else { "+4930000000" },
        "note": note, "updated_at": updated_at, "created_at": at(0), "state": "enabled",
        "addresses": [address], "default_address": address,
    })
}

fn order_body(id: &str, of: &str, email: &str, paid: bool, updated_at: Timestamp) -> Value {
    let is_canary = of == WHO;
    let money = |amount: &str| {
        json!({"shop_money": {"amount": amount, "currency_code": "EUR"},
               "presentment_money": {"amount": amount, "currency_code": "EUR"}})
    };
    json!({
        "id": id.parse::<u64>().expect("a number"),
        "admin_graphql_api_id": format!("gid://shopify/Order/{id}"),
        "name": format!("#{}", &id[16..]), "email": email, "contact_email": email,
        "phone": if is_canary { CANARIES[3] } else { "+4930000000" },
        "note": if is_canary { CANARIES[5] } else { "none" },
        "browser_ip": if is_canary { CANARIES[7] } else { "192.0.2.1" },
        "financial_status": if paid { "paid" } else { "pending" },
        "customer": {"id": of.parse::<u64>().expect("a number"),
            "admin_graphql_api_id": format!("gid://shopify/Customer/{of}"), "email": email},
        "billing_address": {"name": if is_canary { CANARIES[0] } else { "Other" },
            "address1": if is_canary { CANARIES[4] } else { "Somewhere 3" }},
        "note_attributes": [{"name": "card", "value": if is_canary { CANARIES[6] } else { "-" }}],
        "line_items": [{"id": 11, "admin_graphql_api_id": "gid://shopify/LineItem/11",
            "title": "Enamel Mug", "name": "Enamel Mug", "quantity": 2, "price_set": money("64.00"),
            "properties": [{"name": "engraving",
                "value": if is_canary { CANARIES[0] } else { "O" }}]}],
        "total_price_set": money("128.00"), "currency": "EUR", "tags": email,
        "created_at": at(5), "updated_at": updated_at,
    })
}

/// What is told of two people, by every way: webhooks, a repeated one, a pull, records, and what
/// makes no sense.
async fn tell(world: &World) {
    let who = key("acme", "customer", WHO);
    let body = |note: &str, s| customer_body(WHO, CANARIES[2], note, at(s));
    world.publish(Delivery::of(&who, Op::Create, &body("", 10), at(10)).webhook("c1")).await;
    world
        .publish(Delivery::of(&who, Op::Update, &body(CANARIES[5], 20), at(20)).webhook("c2"))
        .await;
    world.publish(Delivery::of(&who, Op::Update, &body(CANARIES[5], 20), at(20))).await;
    world
        .publish(Delivery::of(&who, Op::Update, &body(CANARIES[5], 25), at(25)).webhook("c3"))
        .await;
    let metafields = json!({"id": format!("gid://shopify/Customer/{WHO}"), "metafields": [
        {"namespace": "custom", "key": "card", "type": "single_line_text_field",
         "value": CANARIES[6]}]});
    world.publish(facet(&who, Facet::Metafields, &metafields, at(26))).await;
    let other = key("acme", "customer", OTHER);
    let body = customer_body(OTHER, "other@birds.example", "likes mugs", at(11));
    world.publish(Delivery::of(&other, Op::Create, &body, at(11)).webhook("o1")).await;
    let order = key("acme", "order", ORDER);
    for (n, paid) in [(30, false), (40, true)] {
        let body = order_body(ORDER, WHO, CANARIES[2], paid, at(n));
        world.publish(Delivery::of(&order, Op::Update, &body, at(n)).webhook(&n.to_string())).await;
    }
    let body = order_body(OTHERS_ORDER, OTHER, "other@birds.example", true, at(41));
    let others = key("acme", "order", OTHERS_ORDER);
    world.publish(Delivery::of(&others, Op::Create, &body, at(41)).webhook("41")).await;
    // Of a kind that no file claims: a shipment, which names the order only.
    let shipment = json!({"id": 77, "order_id": ORDER.parse::<u64>().expect("a number"),
        "destination": {"name": CANARIES[0], "address1": CANARIES[4]}, "email": CANARIES[2]});
    world
        .publish(Delivery::of(&key("acme", "fulfillment", "77"), Op::Create, &shipment, at(42)))
        .await;
    // What cannot be understood is kept aside.
    let broken = format!("{{\"id\": {WHO}, \"email\": \"{}", CANARIES[2]);
    let mut poison = Delivery::of(&who, Op::Update, &json!({}), at(43));
    poison.payload = broken.into_bytes();
    world.publish(poison).await;
    world.publish(titled(&crate::support::product("acme", "7"), "Mug", at(44))).await;
    let rows = json!([
        {"n": 0, "kind": "customer", "id": WHO, "gid": format!("gid://shopify/Customer/{WHO}"),
         "title": format!("{} {}", CANARIES[0], CANARIES[1]), "action": "update", "cost": 10.0,
         "fields": [{"path": "/note", "old": CANARIES[5], "new": CANARIES[6]}]},
        {"n": 1, "kind": "product", "id": "7", "gid": "gid://shopify/Product/7", "title": "Mug",
         "action": "update", "cost": 10.0,
         "fields": [{"path": "/title", "old": "Mug", "new": "Cup"}]},
    ]);
    world.record("plan_rows", "plan-1.0", &rows).await;
    let headline = format!("{} {} was edited", CANARIES[0], CANARIES[1]);
    world.record("incident", "incident-1", &json!({"text": headline, "state": "open"})).await;
}

fn redact(orders: &[&str]) -> Delivery {
    let orders: Vec<u64> = orders.iter().map(|id| id.parse().expect("a number")).collect();
    let body = json!({"shop_id": 1, "shop_domain": "acme.myshopify.com",
        "customer": {"id": WHO.parse::<u64>().expect("a number"), "email": CANARIES[2],
            "phone": CANARIES[3]}, "orders_to_redact": orders});
    Delivery::of(&key("acme", "customer_redact", WHO), Op::Update, &body, at(100)).webhook("r1")
}

fn customer() -> Whom {
    Whom::Customer(ResourceId::parse(WHO).expect("an id"))
}

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
    for _ in 0..500 {
        if world.found("nats").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.found("nats"), []);
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

fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            std::fs::create_dir_all(&to).expect("dir");
            copy_all(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("copied");
        }
    }
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
