//! History against the shop itself: backfill, missed webhooks, results that cannot be believed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::simulator::{Simulator, planned};

const SHOP: &str = "/v1/shops/acme.myshopify.com";

/// The pull of a kind that began last.
async fn pull_of(backstock: &Backstock, kind: &str) -> Option<Value> {
    let (status, pulls) = backstock.get(&format!("{SHOP}/pulls")).await;
    assert_eq!(status, 200, "{pulls}");
    pulls["items"].as_array()?.iter().find(|pull| pull["kind"] == kind).cloned()
}

/// Waits for something, and says what was missing when it does not come.
async fn eventually<T, F: Future<Output = Result<T, String>>>(mut look: impl FnMut() -> F) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(missing) => {
                assert!(begun.elapsed() < Duration::from_secs(120), "still: {missing}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Waits until a pull of the kind that began at `since` or later is over.
async fn pulled(backstock: &Backstock, kind: &str, since: &str) -> Value {
    eventually(|| async {
        let pull = pull_of(backstock, kind).await;
        let over = pull.as_ref().filter(|pull| {
            pull["state"] != "running" && pull["started_at"].as_str().is_some_and(|at| at >= since)
        });
        over.cloned().ok_or_else(|| format!("no pull of {kind} since {since} is over: {pull:?}"))
    })
    .await
}

/// Waits until everything was read for the first time.
async fn backfilled(backstock: &Backstock) {
    let kinds = backstock_proto::kind::ALL.iter().filter(|spec| !spec.pulls.is_empty());
    for kind in kinds {
        let pull = pulled(backstock, kind.name, "").await;
        assert_eq!(pull["state"], "complete", "{pull}");
    }
    settled(backstock).await;
}

/// Orders a pull of a kind and waits for its end.
async fn reconciled(backstock: &Backstock, kind: &str) -> Value {
    let order = json!({"kinds": [kind]});
    let (status, ordered) = backstock.post(&format!("{SHOP}/reconcile"), order).await;
    assert_eq!(status, 202, "{ordered}");
    let pull = pulled(backstock, kind, ordered["at"].as_str().expect("an instant")).await;
    settled(backstock).await;
    pull
}

/// Waits until the journal has read everything.
async fn settled(backstock: &Backstock) {
    eventually(|| async {
        let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
        let lag = status["lag_seconds"].as_f64();
        if lag == Some(0.0) { Ok(()) } else { Err(format!("lag {lag:?}")) }
    })
    .await;
}

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

/// `12.0` and `12.00` are the same amount.
fn money(value: &Value) -> Option<i64> {
    let (whole, part) = value.as_str()?.split_once('.').unwrap_or((value.as_str()?, ""));
    format!("{whole}{:0<2.2}", part).parse().ok()
}

/// Every product as the simulator knows it.
async fn truth(simulator: &Simulator) -> BTreeMap<String, Value> {
    let lines = simulator.lines("truth?kind=product").await;
    let products = lines.iter().map(|line| line.get("state").unwrap_or(line));
    products.map(|p| (p["id"].as_str().expect("an id").to_owned(), told(p))).collect()
}

/// Every living product as history has it.
async fn known(backstock: &Backstock) -> BTreeMap<String, Value> {
    let url = format!("{}{SHOP}/snapshot?kind=product", backstock.api);
    let asked = backstock.client.get(url).bearer_auth(crate::backstock::TOKEN);
    let text = asked.send().await.expect("an answer").text().await.expect("text");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    assert_eq!(lines.last().expect("an end")["end"], true);
    let products = lines.iter().filter_map(|line| line.get("state"));
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

#[tokio::test]
async fn a_first_start_learns_everything_and_a_second_look_finds_nothing_new() {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let simulator =
        Simulator::start(&backstock, port, &["--products", "60", "--rate", "0", "--plan", "plus"])
            .await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let first = pull_of(&backstock, "product").await.expect("a pull");
    assert_eq!((&first["state"], &first["objects"]), (&json!("complete"), &json!(60)), "{first}");
    assert_known_as_it_is(&backstock, &simulator).await;
    let drift = json!({"missed": 0, "changed": 0, "extra": 0});
    assert_eq!(first["drift"], drift, "a first look is no drift: {first}");
    for spec in backstock_proto::kind::ALL.iter().filter(|spec| !spec.pulls.is_empty()) {
        let versions = versions(&backstock, spec.name).await;
        let second = reconciled(&backstock, spec.name).await;
        assert_eq!((&second["state"], &second["drift"]), (&json!("complete"), &drift), "{second}");
        assert_eq!(self::versions(&backstock, spec.name).await, versions, "{}", spec.name);
    }
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
}

#[tokio::test]
async fn what_webhooks_did_not_tell_is_found_counted_and_put_right() {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
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
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    simulator.post("traffic?rate=40", json!({})).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    simulator.quiet().await;
    settled(&backstock).await;
    let before = backstock.metric("backstock_compactor_drift_total").await;
    assert_eq!(before, 0.0);
    let lost = known(&backstock).await != truth(&simulator).await;
    assert!(lost, "the run lost nothing that mattered; choose another seed");
    let pull = reconciled(&backstock, "product").await;
    assert_eq!(pull["state"], "complete", "{pull}");
    assert_known_as_it_is(&backstock, &simulator).await;
    let count = |pull: &Value| {
        ["missed", "changed", "extra"].iter().filter_map(|d| pull["drift"][d].as_u64()).sum::<u64>()
    };
    assert!(count(&pull) > 0, "{pull}");
    let again = reconciled(&backstock, "product").await;
    assert_eq!(count(&again), 0, "{again}");
    let counted = backstock.metric("backstock_compactor_drift_total").await;
    assert_eq!(counted, count(&pull) as f64);
}

#[tokio::test]
async fn a_result_that_failed_or_was_cut_takes_nothing_for_gone() {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let simulator =
        Simulator::start(&backstock, port, &["--products", "30", "--rate", "0", "--plan", "plus"])
            .await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
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
