//! History against the shop itself: backfill, missed webhooks, results that cannot be believed.

mod deletions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backstock_proto::Timestamp;
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::kills::{count, seed};
use crate::pulls::{
    SHOP, ask_nats, backfilled, between, differences, eventually, followed_up, known_shop, money,
    pull_of, pulled, pulled_kinds, reconciled, settled,
};
use crate::simulator::{Simulator, planned};

/// How many versions there are of a kind.
async fn versions(backstock: &Backstock, kind: &str) -> Option<u64> {
    let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
    let of_kind = status["kinds"].as_array()?.iter().find(|k| k["kind"] == kind)?;
    of_kind["versions"].as_u64()
}

/// What both sides say of a product, in the same words.
fn told(product: &Value) -> Value {
    let variants = product["variants"].as_array().cloned().unwrap_or_default();
    let mut variants: Vec<Value> = variants
        .iter()
        .map(|v| json!([v["id"], v["sku"], money(&v["price"]), v["position"]]))
        .collect();
    variants.sort_by_key(Value::to_string);
    let mut tags = product["tags"].as_array().cloned().unwrap_or_default();
    tags.sort_by_key(Value::to_string);
    json!([product["id"], product["title"], product["handle"], product["status"], tags, variants])
}

/// Every product as the simulator knows it.
async fn truth(simulator: &Simulator) -> BTreeMap<String, Value> {
    let products = simulator.truth("product").await;
    products.iter().map(|p| (p["id"].as_str().expect("an id").to_owned(), told(p))).collect()
}

/// Every living product as history has it.
async fn known(backstock: &Backstock) -> BTreeMap<String, Value> {
    let lines = backstock.snapshot(SHOP, "product", None).await;
    let products = lines.iter().map(|line| &line["state"]);
    products.map(|p| (p["id"].as_str().expect("an id").to_owned(), told(p))).collect()
}

async fn assert_known_as_it_is(backstock: &Backstock, simulator: &Simulator) {
    let (known, truth) = (known(backstock).await, truth(simulator).await);
    let ids = |map: &BTreeMap<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(ids(&known), ids(&truth), "other products are known than there are");
    for (id, state) in &truth {
        assert_eq!(known.get(id), Some(state), "{id}");
    }
}

/// A shop of so many products, of which everything is known.
async fn shop_of(products: &str) -> (Backstock, Simulator) {
    known_shop(&["--products", products, "--rate", "0", "--plan", "plus"]).await
}

#[tokio::test]
async fn a_first_start_learns_everything_and_a_second_look_finds_nothing_new() {
    let (backstock, simulator) = shop_of("60").await;
    let first = pull_of(&backstock, "product").await.expect("a pull");
    assert_eq!((&first["state"], &first["objects"]), (&json!("complete"), &json!(60)), "{first}");
    assert_known_as_it_is(&backstock, &simulator).await;
    let drift = json!({"missed": 0, "changed": 0, "extra": 0});
    assert_eq!(first["drift"], drift, "a first look is no drift: {first}");
    for spec in pulled_kinds() {
        let versions = versions(&backstock, spec.name).await;
        let second = reconciled(&backstock, spec.name).await;
        assert_eq!((&second["state"], &second["drift"]), (&json!("complete"), &drift), "{second}");
        assert_eq!(self::versions(&backstock, spec.name).await, versions, "{}", spec.name);
    }
    // Stock is known by item and location, and found by Shopify's own gid as well.
    let (_, levels) =
        backstock.get(&format!("{SHOP}/resources?kind=inventory_level&limit=1")).await;
    let id = levels["items"][0]["id"].as_str().expect("an id");
    let (_, level) = backstock.get(&format!("{SHOP}/resources/inventory_level/{id}")).await;
    let gid = level["state"]["id"].as_str().expect("a gid");
    assert!(gid.contains("?inventory_item_id="), "{gid}");
    let escaped: String = gid.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let (status, by_gid) =
        backstock.get(&format!("{SHOP}/resources/inventory_level/{escaped}")).await;
    assert_eq!((status, &by_gid["id"]), (200, &level["id"]), "{by_gid}");
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
}

/// The products about which lost deliveries leave a listener with a stale state, and since when.
async fn lost(simulator: &Simulator) -> BTreeMap<String, Timestamp> {
    let mut lost = BTreeMap::new();
    for line in simulator.lines("deliveries/log").await {
        let at = line["triggered_at"].as_str().expect("an instant");
        let at = Timestamp::parse(at).expect("an instant");
        for about in line["leaves_stale"].as_array().into_iter().flatten() {
            if let Some((_, id)) = about.as_str().unwrap_or_default().split_once("/Product/") {
                lost.insert(id.to_owned(), at);
            }
        }
    }
    lost
}

/// Whether a product was asked for by its id after an instant: a webhook that could not carry all of it
/// makes that happen, and what was lost just before is then known as well.
async fn asked_since(backstock: &Backstock, id: &str, at: Timestamp) -> bool {
    let versions = backstock.list(&format!("{SHOP}/resources/product/{id}/versions")).await;
    versions.iter().any(|version| {
        let read_at = Timestamp::parse(version["triggered_at"].as_str().unwrap_or_default());
        let by_id = version["facet"] == "core" && version["source"] == "pull";
        by_id && read_at.is_ok_and(|read_at| read_at >= at)
    })
}

/// The differences that were counted so far; what was lost about other kinds is counted beside them.
async fn drift_of_products(backstock: &Backstock) -> f64 {
    let text = backstock.metrics("serve").await;
    let of_products = "backstock_compactor_drift_total{kind=\"product\"";
    let series = text.lines().filter(|line| line.starts_with(of_products));
    series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn what_webhooks_did_not_tell_is_found_counted_and_put_right() {
    let more = [
        "--products",
        "40",
        "--rate",
        "0",
        "--plan",
        "plus",
        "--drop",
        "0.3",
        "--duplicate",
        "0.05",
        "--reorder",
        "0.05",
        "--seed",
        "5",
    ];
    let (backstock, simulator) = known_shop(&more).await;
    let mut mattered = BTreeMap::new();
    for _ in 0..20 {
        simulator.post("traffic?rate=40", json!({})).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        simulator.quiet().await;
        mattered = lost(&simulator).await;
        if mattered.len() >= 3 {
            break;
        }
    }
    settled(&backstock).await;
    println!("{} lost deliveries left a product stale", mattered.len());
    assert!(!mattered.is_empty(), "the run lost nothing that mattered");
    assert_eq!(drift_of_products(&backstock).await, 0.0);
    let pull = reconciled(&backstock, "product").await;
    assert_eq!(pull["state"], "complete", "{pull}");
    assert_known_as_it_is(&backstock, &simulator).await;
    let mut healed = Vec::new();
    for (id, at) in &mattered {
        if asked_since(&backstock, id, *at).await {
            healed.push(id.clone());
        }
    }
    mattered.retain(|id, _| !healed.contains(id));
    assert_eq!(
        differences(&pull),
        mattered.len() as u64,
        "{pull}: {mattered:?}, healed: {healed:?}"
    );
    let again = reconciled(&backstock, "product").await;
    assert_eq!(differences(&again), 0, "{again}");
    assert_eq!(drift_of_products(&backstock).await, differences(&pull) as f64);
}

#[tokio::test]
async fn a_result_that_failed_or_was_cut_takes_nothing_for_gone() {
    let (backstock, simulator) = shop_of("30").await;
    for fault in ["TIMEOUT", "INTERNAL_SERVER_ERROR", "ACCESS_DENIED", "CANCELED"] {
        simulator.post("bulk", json!({"fail_next": fault})).await;
        let pull = reconciled(&backstock, "product").await;
        assert_eq!(pull["state"], "failed", "{fault}: {pull}");
        assert!(pull["reason"].is_string(), "{fault}: {pull}");
        assert_known_as_it_is(&backstock, &simulator).await;
    }
    let pull = reconciled(&backstock, "product").await;
    assert_eq!(pull["state"], "complete", "{pull}");
}

#[tokio::test]
async fn what_another_version_of_the_api_says_is_not_believed() {
    let (port, access) = planned();
    let access = format!("{access}api_version = \"2024-01\"\n");
    let mut backstock = Backstock::pulling(&access);
    let simulator =
        Simulator::start(&backstock, port, &["--products", "10", "--rate", "0", "--plan", "plus"])
            .await;
    backstock.start("serve").await;
    for kind in ["product", "location"] {
        let pull = pulled(&backstock, kind, "").await;
        let why = pull["reason"].as_str().unwrap_or_default();
        assert_eq!((&pull["state"], &pull["objects"]), (&json!("failed"), &json!(0)), "{pull}");
        assert!(why.contains("API version"), "{pull}");
    }
    let log = simulator.lines("write_log").await;
    let ended = log.iter().any(|line| line["mutation"] == "bulkOperationCancel");
    assert!(ended, "a bulk operation goes on for nobody");
}

#[tokio::test]
async fn a_scope_that_is_missing_costs_what_it_is_for_and_nothing_else() {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let more = ["--products", "20", "--rate", "0", "--plan", "plus", "--no-publications"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    let pull = pulled(&backstock, "product", "").await;
    let why = pull["reason"].as_str().unwrap_or_default();
    assert_eq!(pull["state"], "complete", "{pull}");
    assert!(why.contains("publications") && why.contains("read_publications"), "{pull}");
    assert_known_as_it_is(&backstock, &simulator).await;
    let pull = pulled(&backstock, "publication", "").await;
    assert_eq!(pull["state"], "failed", "{pull}");
    let told = backstock.client_verb(&["status"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("read_publications"), "{told}");
}

/// A product of more variants than a webhook carries.
async fn big(simulator: &Simulator) -> String {
    let variants = |told: &Value| told[5].as_array().map_or(0, Vec::len);
    let mut products = truth(simulator).await.into_iter();
    products.find(|(_, told)| variants(told) > 100).expect("a big product").0
}

#[tokio::test]
async fn what_a_webhook_does_not_tell_is_asked_for_at_once() {
    let more = [
        "--products",
        "10",
        "--big-every",
        "5",
        "--big-variants",
        "140",
        "--rate",
        "0",
        "--plan",
        "plus",
    ];
    let (backstock, simulator) = known_shop(&more).await;
    // 140 variants, of which a webhook carries 100.
    let big = big(&simulator).await;
    let update = format!(
        "mutation {{ productUpdate(product: {{id: \"{big}\", title: \"Renamed\", seo: {{title: \"Found\"}}}}) {{ product {{ id }} }} }}"
    );
    simulator.ask(&update).await;
    let number = big.rsplit('/').next().expect("a number");
    eventually(|| async {
        let (_, now) = backstock.get(&format!("{SHOP}/resources/product/{number}")).await;
        let state = &now["state"];
        let whole = state["variants"].as_array().is_some_and(|variants| {
            variants.len() == 140 && variants.iter().all(|v| v["price"].is_string())
        });
        let there = state["title"] == "Renamed" && state["seo"]["title"] == "Found" && whole;
        if there { Ok(()) } else { Err(format!("{}, {}", state["title"], state["seo"])) }
    })
    .await;
    assert_known_as_it_is(&backstock, &simulator).await;
}

/// Has the stream hold back what a consumer would be given.
async fn pause(backstock: &Backstock, consumer: &str) {
    let subject = format!("$JS.API.CONSUMER.PAUSE.BACKSTOCK-0.{consumer}");
    let answer = ask_nats(backstock, &subject, r#"{"pause_until": "2999-01-01T00:00:00Z"}"#).await;
    assert_eq!(answer["paused"], true, "{answer}");
}

#[tokio::test]
async fn what_a_webhook_could_not_carry_is_no_drift() {
    let more = ["--products", "10", "--big-every", "5", "--rate", "0", "--plan", "plus"];
    let (backstock, simulator) = known_shop(&more).await;
    let big = big(&simulator).await;
    let number = big.rsplit('/').next().expect("a number");
    // The question by its id, which brings the other variants, is still to come.
    pause(&backstock, "compactor-acme").await;
    let update = format!(
        "mutation {{ productUpdate(product: {{id: \"{big}\", title: \"Renamed\"}}) {{ product {{ id }} }} }}"
    );
    simulator.ask(&update).await;
    eventually(|| async {
        let (_, now) = backstock.get(&format!("{SHOP}/resources/product/{number}")).await;
        let known = now["state"]["title"].to_string();
        if known.contains("Renamed") { Ok(()) } else { Err(known) }
    })
    .await;
    let pull = reconciled(&backstock, "product").await;
    assert_eq!((&pull["state"], differences(&pull)), (&json!("complete"), 0), "{pull}");
    assert_known_as_it_is(&backstock, &simulator).await;
}

/// The material of a product, as its metafield says at an instant or now.
async fn material(backstock: &Backstock, number: &str, at: Option<Timestamp>) -> Value {
    let at = at.map(|at| format!("?at={at}")).unwrap_or_default();
    let (status, known) = backstock.get(&format!("{SHOP}/resources/product/{number}{at}")).await;
    assert_eq!(status, 200, "{known}");
    let metafields = known["state"]["metafields"].as_array().cloned().unwrap_or_default();
    let material = metafields.into_iter().find(|metafield| metafield["key"] == "material");
    material.map(|metafield| metafield["value"].clone()).unwrap_or_default()
}

#[tokio::test]
async fn what_is_found_of_a_metafield_does_not_change_what_it_was() {
    let (backstock, simulator) = shop_of("5").await;
    let product = truth(&simulator).await.into_keys().next().expect("a product");
    let number = product.rsplit('/').next().expect("a number");
    let named = format!("ownerId: \"{product}\", namespace: \"custom\", key: \"material\"");
    // Nothing tells of any of this but a read, and the product's own date stands still.
    let mut was = vec![(between().await, material(&backstock, number, None).await)];
    for value in ["Wool", "Linen"] {
        let set = format!(
            "mutation {{ metafieldsSet(metafields: [{{ {named}, value: \"{value}\" }}]) {{ userErrors {{ message }} }} }}"
        );
        simulator.ask(&set).await;
        was.push((between().await, json!(value)));
        assert_eq!(reconciled(&backstock, "product").await["state"], "complete");
    }
    let seen_at = was[2].0;
    let removed = format!(
        "mutation {{ metafieldsDelete(metafields: [{{ {named} }}]) {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&removed).await;
    assert_eq!(reconciled(&backstock, "product").await["state"], "complete");
    assert_eq!(material(&backstock, number, None).await, Value::Null);
    for (at, value) in &was {
        assert_eq!(material(&backstock, number, Some(*at)).await, *value, "at {at}");
    }
    let path = format!("{SHOP}/resources/product/{number}/versions");
    let versions = backstock.list(&path).await;
    let metafields: Vec<&Value> = versions.iter().filter(|v| v["facet"] == "metafields").collect();
    let valid: Vec<Timestamp> = metafields
        .iter()
        .map(|v| Timestamp::parse(v["valid_at"].as_str().expect("an instant")).expect("an instant"))
        .collect();
    assert!(valid.windows(2).all(|two| two[0] > two[1]), "newest first: {valid:?}");
    // What is gone has no date: it was there when it was last seen.
    let earliest = metafields[0]["earliest_at"].as_str().map(Timestamp::parse);
    assert!(earliest.is_some_and(|at| at.is_ok_and(|at| at >= seen_at)), "{}", metafields[0]);
    let again = reconciled(&backstock, "product").await;
    assert_eq!((&again["state"], differences(&again)), (&json!("complete"), 0), "{again}");
    assert_eq!(backstock.list(&path).await.len(), versions.len());
}

#[tokio::test]
async fn a_question_by_id_reads_each_list_to_its_end() {
    let (backstock, simulator) = shop_of("5").await;
    let (product, told) = truth(&simulator).await.into_iter().next().expect("a product");
    let variant = told[5][0][0].as_str().expect("a variant");
    let metafields: Vec<String> = (0..24)
        .map(|n| {
            format!(
                "{{ ownerId: \"{variant}\", namespace: \"many\", key: \"k{n}\", \
                 type: \"single_line_text_field\", value: \"{n}\" }}"
            )
        })
        .collect();
    let set = format!(
        "mutation {{ metafieldsSet(metafields: [{}]) {{ userErrors {{ message }} }} }}",
        metafields.join(", ")
    );
    simulator.ask(&set).await;
    reconciled(&backstock, "product").await;
    let number = product.rsplit('/').next().expect("a number");
    let path = format!("{SHOP}/resources/product/{number}");
    let details = async || {
        let versions = backstock.list(&format!("{path}/versions")).await;
        versions.iter().filter(|version| version["facet"] == "variants").count()
    };
    let before = details().await;
    let update = format!(
        "mutation {{ productUpdate(product: {{id: \"{product}\", title: \"Renamed\"}}) {{ product {{ id }} }} }}"
    );
    simulator.ask(&update).await;
    simulator.quiet().await;
    followed_up(&backstock).await;
    settled(&backstock).await;
    let (_, now) = backstock.get(&path).await;
    assert_eq!(now["state"]["title"], "Renamed");
    let variants = now["state"]["variants"].as_array().cloned().unwrap_or_default();
    let of_variant = variants.into_iter().find(|known| known["id"] == *variant).expect("known");
    let known = of_variant["metafields"].as_array().expect("metafields").iter();
    assert_eq!(known.filter(|metafield| metafield["namespace"] == "many").count(), 24);
    assert_eq!(details().await, before, "what was asked for by id is what was known");
}

/// Whether everything was read for the first time.
async fn is_backfilled(backstock: &Backstock) -> bool {
    let pulls = backstock.list(&format!("{SHOP}/pulls")).await;
    pulled_kinds().all(|spec| {
        pulls.iter().any(|pull| pull["kind"] == spec.name && pull["state"] == "complete")
    })
}

/// Kills the process at random moments of the first look at a shop.
#[tokio::test(flavor = "multi_thread")]
async fn torture_kills_during_a_backfill() {
    let (kills, seed) = (count("BACKSTOCK_KILLS", 4).min(50), seed());
    println!("{kills} kills during a backfill, seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let more = ["--products", "150", "--rate", "0", "--plan", "plus"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    let mut interrupted = 0;
    for n in 0..kills {
        // The first comes before much can be known.
        let pause = if n == 0 { 250 } else { 2_500 };
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..pause))).await;
        interrupted += u64::from(!is_backfilled(&backstock).await);
        backstock.signal("serve", Signal::SIGKILL);
        backstock.start("serve").await;
    }
    println!("{interrupted} of the kills came before the end");
    assert!(interrupted > 0, "all was known before the first kill; seed {seed}");
    backfilled(&backstock).await;
    assert_known_as_it_is(&backstock, &simulator).await;
    let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
    let kinds = status["kinds"].as_array().expect("kinds");
    for kind in kinds {
        assert_eq!(kind["deleted"], 0, "something was taken for gone: {kind}");
    }
    let products = backstock.list(&format!("{SHOP}/resources?kind=product")).await;
    assert_eq!(products.len(), 150);
    for product in &products {
        let id = product["id"].as_str().expect("an id");
        let versions = backstock.list(&format!("{SHOP}/resources/product/{id}/versions")).await;
        let facets: BTreeSet<&str> = versions.iter().filter_map(|v| v["facet"].as_str()).collect();
        assert_eq!(versions.len(), facets.len(), "{id} has a version twice: {versions:?}");
    }
}
