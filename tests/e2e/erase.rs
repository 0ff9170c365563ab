//! A person asks to be forgotten, and later the shop goes: what is left in any file, seen from
//! outside, with the process killed on the way.

use std::path::Path;
use std::time::{Duration, Instant};

use backstock_proto::Timestamp;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::backstock::{Backstock, TOKEN, text};
use crate::kills::{count, seed};
use crate::proof::proved;
use crate::pulls::{SHOP, between, eventually, known_shop, now, reconciled, settled};
use crate::shopify::{Delivery, instant};
use crate::simulator::Simulator;

/// What must be nowhere.
const CANARIES: [&str; 7] = [
    "Kanarya",
    "Nachtigall",
    "kanarya@birds.example",
    "+4915550001234",
    "Kanarienweg 17",
    "prefers the yellow one",
    "engraved for Kanarya",
];
/// What the shop's goods are known by.
const GOODS: &str = "Schnabelkanne";

/// The files below a directory that hold one of some texts.
pub(crate) fn search(dir: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(search(&path, texts));
        } else if let Ok(bytes) = std::fs::read(&path) {
            let holds = |text: &&&str| bytes.windows(text.len()).any(|w| w.eq(text.as_bytes()));
            found.extend(texts.iter().find(holds).map(|t| format!("{t} in {}", path.display())));
        }
    }
    found
}

/// A shop with a customer and an order of hers, told by webhooks and pulls.
struct World {
    backstock: Backstock,
    simulator: Simulator,
    customer: String,
    order: String,
}

impl World {
    async fn new() -> Self {
        let few = ["--products", "6", "--customers", "6", "--orders", "3", "--rate", "0"];
        let (backstock, simulator) = known_shop(&few).await;
        let product = simulator
            .ask(&format!(
                "mutation {{ productCreate(product: {{title: \"{GOODS}\"}}) \
                 {{ product {{ id }} }} }}"
            ))
            .await;
        assert!(product["productCreate"]["product"]["id"].is_string(), "{product}");
        let [first, last, email, phone, street, note, card] = CANARIES;
        let created = simulator
            .ask(&format!(
                "mutation {{ customerCreate(input: {{firstName: \"{first}\", lastName: \"{last}\", \
                 email: \"{email}\", phone: \"{phone}\", addresses: [{{address1: \"{street}\", \
                 firstName: \"{first}\", lastName: \"{last}\", city: \"Berlin\", \
                 countryCode: DE}}]}}) {{ customer {{ id }} userErrors {{ message }} }} }}"
            ))
            .await;
        let customer = created["customerCreate"]["customer"]["id"].as_str();
        let customer = customer.unwrap_or_else(|| panic!("{created}")).to_owned();
        let created = simulator
            .ask(&format!(
                "mutation {{ orderCreate(order: {{email: \"{email}\", note: \"{note}\", \
                 customer: {{toAssociate: {{id: \"{customer}\"}}}}, customAttributes: \
                 [{{key: \"card\", value: \"{card}\"}}], lineItems: [{{title: \"Mug\", quantity: 2, \
                 priceSet: {{shopMoney: {{amount: \"64.00\", currencyCode: USD}}}}}}], \
                 shippingAddress: {{firstName: \"{first}\", lastName: \"{last}\", \
                 address1: \"{street}\"}}}}) {{ order {{ id }} userErrors {{ message }} }} }}"
            ))
            .await;
        let order = created["orderCreate"]["order"]["id"].as_str();
        let order = order.unwrap_or_else(|| panic!("{created}")).to_owned();
        simulator.quiet().await;
        for kind in ["customer", "order"] {
            reconciled(&backstock, kind).await;
        }
        let number = |gid: &str| gid.rsplit('/').next().expect("an id").to_owned();
        let (customer, order) = (number(&customer), number(&order));
        Self { backstock, simulator, customer, order }
    }

    /// Another note, and a plan that would bring the one of before back.
    async fn plan(&self) -> Value {
        let at = between().await;
        for note in [CANARIES[5], CANARIES[6]] {
            self.simulator
                .ask(&format!(
                    "mutation {{ customerUpdate(input: {{id: \"gid://shopify/Customer/{}\", \
                     note: \"{note}\", firstName: \"{note}\"}}) {{ userErrors {{ message }} }} }}",
                    self.customer
                ))
                .await;
        }
        self.simulator.quiet().await;
        settled(&self.backstock).await;
        let asked = json!({"at": at, "select": {"kinds": ["customer"], "ids": [self.customer]}});
        let (status, plan) = self.backstock.post(&format!("{SHOP}/plans"), asked).await;
        assert_eq!(status, 201, "{plan}");
        assert_eq!(plan["counts"]["update"], 1, "{plan}");
        plan
    }

    async fn send(&self, topic: &str, body: Value) {
        let id = format!("{topic}-{}", self.customer);
        let sent = Delivery::new(topic, id, instant(0), body.to_string().into_bytes());
        let sent = sent.send(&self.backstock.client, &self.backstock.webhooks()).await;
        assert_eq!(sent.expect("an answer"), 200);
    }

    async fn redact(&self) {
        let customer: u64 = self.customer.parse().expect("a number");
        let order: u64 = self.order.parse().expect("a number");
        let body = json!({"shop_id": 1, "shop_domain": "acme.myshopify.com",
            "customer": {"id": customer, "email": CANARIES[2], "phone": CANARIES[3]},
            "orders_to_redact": [order]});
        self.send("customers/redact", body).await;
    }

    async fn erasure(&self) -> Value {
        let (status, erasures) = self.backstock.get(&format!("{SHOP}/erasures")).await;
        if status == 200 { erasures["items"][0].clone() } else { Value::Null }
    }

    async fn until(&self, states: &[&str]) -> Value {
        eventually(|| async {
            let erasure = self.erasure().await;
            let state = erasure["state"].as_str().unwrap_or_default();
            if states.contains(&state) { Ok(erasure) } else { Err(format!("{erasure}")) }
        })
        .await
    }

    /// Kills the process as soon as an erasure is seen to be under way, and answers when that was.
    async fn killed_at_work(&mut self) -> Timestamp {
        let begun = Instant::now();
        loop {
            let erasure = self.erasure().await;
            if erasure["state"] == "open" {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not under way: {erasure}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.killed().await
    }

    /// Kills the process and starts it again; answers when it was gone.
    async fn killed(&mut self) -> Timestamp {
        self.backstock.signal("serve", Signal::SIGKILL);
        let gone_at = now();
        self.backstock.start("serve").await;
        gone_at
    }

    /// Every resource of a kind but one, as of now.
    async fn others(&self, kind: &str, but: &str) -> Vec<Value> {
        let mut states = Vec::new();
        for resource in self.backstock.list(&format!("{SHOP}/resources?kind={kind}")).await {
            let id = resource["id"].as_str().expect("an id");
            if id != but {
                let path = format!("{SHOP}/resources/{kind}/{id}");
                states.push(self.backstock.get(&path).await.1["state"].clone());
            }
        }
        states
    }

    fn found(&self, texts: &[&str]) -> Vec<String> {
        search(&self.backstock.dir, texts)
    }

    fn checkpoint(&self) {
        let made = self.backstock.client_verb(&["checkpoint"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

fn erased_at(erasure: &Value) -> Timestamp {
    Timestamp::parse(text(erasure, "erased_at")).expect("an instant")
}

/// Everything that the API has to say, as one text.
async fn everything(world: &World) -> String {
    let backstock = &world.backstock;
    let mut all = String::new();
    for kind in ["customer", "order", "customer_redact", "event"] {
        for resource in backstock.list(&format!("{SHOP}/resources?kind={kind}")).await {
            all += &resource.to_string();
            let id = resource["id"].as_str().expect("an id");
            let path = format!("{SHOP}/resources/{kind}/{id}");
            all += &backstock.get(&path).await.1.to_string();
            for version in backstock.list(&format!("{path}/versions")).await {
                let seq = &version["seq"];
                let url = format!("{}{path}/versions/{seq}/raw", backstock.api);
                let raw = backstock.client.get(url).bearer_auth(TOKEN).send().await;
                all += &raw.expect("an answer").text().await.expect("a text");
            }
        }
    }
    for path in ["changes?kind=customer", "change-sets", "plans", "audit", "incidents"] {
        for item in backstock.list(&format!("{SHOP}/{path}")).await {
            all += &item.to_string();
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_forgotten_everywhere_also_when_killed_on_the_way() {
    let mut world = World::new().await;
    let plan = world.plan().await;
    world.checkpoint();
    let order = format!("{SHOP}/resources/order/{}", world.order);
    let (_, before) = world.backstock.get(&order).await;
    let others = [
        world.others("customer", &world.customer).await,
        world.others("order", &world.order).await,
        world.others("product", "").await,
    ];
    let said = everything(&world).await;
    for canary in CANARIES {
        assert_ne!(world.found(&[canary]), Vec::<String>::new(), "the search is blind: {canary}");
        assert!(said.contains(canary), "the API is not asked for {canary}");
    }

    world.redact().await;
    let (kills, seed) = (count("BACKSTOCK_KILLS", 4).min(50), seed());
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut killed = vec![world.killed_at_work().await];
    for _ in 1..kills {
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..400))).await;
        killed.push(world.killed().await);
    }
    let erasure = world.until(&["erased", "done"]).await;
    let erased_at = erased_at(&erasure);
    let met = killed.iter().filter(|at| **at < erased_at).count();
    assert!(met > 0, "it was erased before the first kill: {erasure}");
    println!("erased with {met} of {kills} kills on the way: {}", erasure["counts"]);
    let left: Vec<String> = world.found(&CANARIES);
    let left: Vec<&String> =
        left.iter().filter(|file| !file.contains("data/checkpoints/")).collect();
    assert_eq!(left, Vec::<&String>::new());
    let said = everything(&world).await;
    for canary in CANARIES {
        assert!(!said.contains(canary), "the API still says {canary}");
    }
    let (status, after) = world.backstock.get(&order).await;
    assert_eq!(status, 200, "{after}");
    assert_eq!(after["state"]["totalPriceSet"], before["state"]["totalPriceSet"]);
    assert_eq!(after["state"]["lineItems"][0]["title"], "Mug");
    assert_eq!(
        others,
        [
            world.others("customer", &world.customer).await,
            world.others("order", &world.order).await,
            world.others("product", "").await,
        ],
        "others are as they were"
    );

    // The plan of before restores nothing of her, nor does a new one.
    let (_, rows) = world.backstock.get(&format!("{SHOP}/plans/{}", text(&plan, "id"))).await;
    assert_eq!(rows["rows"][0]["action"], "cannot", "{rows}");
    let asked = json!({"at": "2020-01-01T00:00:00Z", "modes": {"delete_new": true},
        "select": {"kinds": ["customer"], "ids": [world.customer]}});
    let (status, plan) = world.backstock.post(&format!("{SHOP}/plans"), asked).await;
    assert!(status == 201 && plan["counts"]["delete"] == 0 || status == 400, "{plan}");

    // Shopify still has her here: what is pulled again is not learned, and is no drift either. A proof
    // stands by what was seen of others, before and since.
    let proof = proved(&world.backstock).await;
    assert_eq!(proof["mismatches"], 0, "{proof:#}");
    for kind in ["customer", "order"] {
        let pull = reconciled(&world.backstock, kind).await;
        assert_eq!(pull["drift"], json!({"missed": 0, "changed": 0, "extra": 0}), "{pull}");
    }
    let proof = proved(&world.backstock).await;
    assert_eq!(proof["mismatches"], 0, "{proof:#}");
    world.checkpoint();
    let done = world.until(&["done"]).await;
    assert_eq!(done["whom"]["customer"], world.customer.as_str());
    assert_eq!(world.found(&CANARIES), Vec::<String>::new());
    assert!(world.backstock.signal("serve", Signal::SIGTERM).success());
    assert_eq!(world.found(&CANARIES), Vec::<String>::new());
    world.backstock.start("serve").await;
    assert_eq!(world.backstock.metric("backstock_journal_stream_gap_total").await, 0.0);
    let (_, verified) = world.backstock.post("/v1/verify", json!({})).await;
    assert_eq!(verified["faults_total"], 0, "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_gone_leaves_a_receipt_and_one_that_is_not_waits() {
    let mut world = World::new().await;
    world.plan().await;
    world.checkpoint();
    let other = Delivery::product(77, "Stays", 100, "stays");
    let other = Delivery { shop: "other.myshopify.com".into(), ..other };
    let sent = other.send(&world.backstock.client, &world.backstock.webhooks()).await;
    assert_eq!(sent.expect("an answer"), 200);
    let body = json!({"shop_id": 1, "shop_domain": "acme.myshopify.com"});
    world.send("shop/redact", body).await;
    world.until(&["waiting"]).await;
    eventually(|| async {
        let waiting = world.backstock.metric("backstock_restorer_erasures_waiting").await;
        if waiting == 1.0 { Ok(()) } else { Err(format!("{waiting} wait")) }
    })
    .await;
    assert_ne!(world.found(&[GOODS]), Vec::<String>::new(), "it is still installed");

    world.simulator.post("tokens", json!("revoke")).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.killed().await;
    // It is looked at a start whether the shop still lets us in: now it is under way.
    let killed = world.killed_at_work().await;
    let erasure = world.until(&["erased", "done"]).await;
    assert!(erased_at(&erasure) > killed, "it was erased before the kill: {erasure}");
    world.checkpoint();
    let receipt = world.until(&["done"]).await;
    assert_eq!(receipt["whom"], "shop");
    assert!(receipt["counts"]["versions"].as_u64() > Some(10), "{receipt}");
    let mut texts = CANARIES.to_vec();
    texts.push(GOODS);
    assert!(world.backstock.signal("serve", Signal::SIGTERM).success());
    assert_eq!(world.found(&texts), Vec::<String>::new());
    world.backstock.start("serve").await;
    let stays = "/v1/shops/other.myshopify.com/resources/product/77";
    assert_eq!(world.backstock.get(stays).await.1["state"]["title"], "Stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_token_sees_what_is_held_and_has_it_erased() {
    let world = World::new().await;
    let out = world.backstock.dir.join("answer.ndjson");
    let asked = world.backstock.client_verb(&[
        "data-request",
        "--customer",
        &world.customer,
        "--out",
        out.to_str().expect("a path"),
    ]);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    let held = std::fs::read_to_string(&out).expect("an answer");
    for canary in CANARIES {
        assert!(held.contains(canary), "{canary} is held and not told");
    }
    assert!(!held.contains("@example.com"), "it tells of somebody else");
    std::fs::remove_file(&out).expect("removed");

    let dry = world.backstock.client_verb(&["erase", "--customer", &world.customer, "--dry-run"]);
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(said.contains("1 customer") && said.contains("1 order"), "{said}");
    let asked = world.backstock.client_verb(&["erase", "--customer", &world.customer]);
    assert_eq!(asked.status.code(), Some(2), "nobody is there to type the id");
    let erased =
        world.backstock.client_verb(&["erase", "--customer", &world.customer, "--yes", "--wait"]);
    assert!(erased.status.success(), "{}", String::from_utf8_lossy(&erased.stderr));
    assert_eq!(world.found(&CANARIES), Vec::<String>::new());
    let listed = world.backstock.client_verb(&["erasures"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains(&world.customer));
    let path = format!("{SHOP}/erasures");
    let (status, refused) = world.backstock.post(&path, json!({"shop": true})).await;
    assert_eq!(status, 409, "a whole shop takes its domain: {refused}");
}
