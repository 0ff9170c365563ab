//! Pulls that were ordered, cut off, or are about a few resources only.

use backstock_proto::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::pulls::{
    SHOP, eventually, known_shop, known_shop_with, now, ordered, pull_of, pulled, reconciled,
};

/// For how long a kind rests that was just read.
const RESTS_MICROS: i64 = 30_000_000;
const FEW: [&str; 6] = ["--products", "20", "--rate", "0", "--plan", "plus"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_pulled_by_a_process_that_has_run_for_a_while() {
    let every_minute = "[compactor]\nfull_pull = \"* * * * *\"\n";
    let (backstock, _simulator) = known_shop_with(every_minute, &FEW).await;
    let first = pull_of(&backstock, "redirect").await.expect("a pull");
    // A kind that was read rests for longer than all took to be read for the first time: what is read
    // again was seen to be due since.
    let at = Timestamp::parse(first["started_at"].as_str().expect("an instant"));
    let after = Timestamp::from_micros(at.expect("an instant").as_micros() + RESTS_MICROS);
    let second = pulled(&backstock, "redirect", &after.to_string()).await;
    assert_eq!(second["state"], "complete", "{second}");
}

#[tokio::test]
async fn how_long_not_all_was_read_whole_is_told_also_after_a_start() {
    let age = "backstock_compactor_full_pull_age_seconds{shop=\"acme.myshopify.com\"} ";
    let (mut backstock, _simulator) = known_shop(&FEW).await;
    assert!(backstock.signal("serve", Signal::SIGTERM).success());
    let started = now();
    backstock.start("serve").await;
    eventually(|| async {
        let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
        let kinds = status["kinds"].as_array().into_iter().flatten();
        let whole = kinds.filter_map(|kind| kind["last_complete_pull"]["started_at"].as_str());
        let oldest = whole.filter_map(|at| Timestamp::parse(at).ok()).min();
        let oldest = oldest.ok_or_else(|| format!("nothing was read whole: {status}"))?;
        let text = backstock.metrics("serve").await;
        let told = text.lines().find_map(|line| line.strip_prefix(age)?.parse::<f64>().ok());
        // It is told anew from time to time.
        let right = started.seconds_since(oldest)..=now().seconds_since(oldest);
        match told.is_some_and(|told| right.contains(&told)) {
            true => Ok(()),
            false => Err(format!("{told:?} seconds instead of {right:?}")),
        }
    })
    .await;
}

/// Orders products, and kills the process as soon as their first bulk operation is on record. Answers
/// what the pull said of itself by then.
async fn cut_off(backstock: &mut Backstock) -> Value {
    let at = ordered(backstock, json!({"kinds": ["product"]})).await;
    let since = Timestamp::parse(&at).expect("an instant");
    let backstock_ref = &*backstock;
    let running = eventually(|| async {
        let pull = pull_of(backstock_ref, "product").await.unwrap_or_default();
        let begun = Timestamp::parse(pull["started_at"].as_str().unwrap_or_default());
        let ours = begun.is_ok_and(|at| at >= since) && pull["operations"].is_array();
        if ours { Ok(pull) } else { Err(format!("{pull}")) }
    })
    .await;
    backstock.signal("serve", Signal::SIGKILL);
    assert_eq!(running["state"], "running", "{running}");
    running
}

#[tokio::test]
async fn a_bulk_operation_is_taken_up_after_a_kill() {
    let (mut backstock, simulator) = known_shop(&FEW).await;
    let before = simulator.bulk_operations().await;
    let cut = cut_off(&mut backstock).await;
    let begun = cut["started_at"].as_str().expect("an instant");
    backstock.start("serve").await;
    let pull = pulled(&backstock, "product", begun).await;
    assert_eq!(pull["state"], "complete", "{pull}");
    assert_eq!(pull["started_at"], begun, "it is the same pull");
    // Products, and their variants.
    assert_eq!(simulator.bulk_operations().await - before, 2, "something was read twice");
}

#[tokio::test]
async fn a_result_that_expired_meanwhile_is_asked_for_anew_and_takes_nothing_for_gone() {
    let more = [&FEW[..], &["--drop", "1"]].concat();
    let (mut backstock, simulator) = known_shop(&more).await;
    let products = backstock.list(&format!("{SHOP}/resources?kind=product")).await;
    for product in &products[..2] {
        let gid = product["gid"].as_str().expect("a gid");
        simulator.delete_product(gid).await;
    }
    let before = simulator.bulk_operations().await;
    let cut = cut_off(&mut backstock).await;
    // Only a result that is there expires.
    let id = cut["operations"][0]["id"].as_str().expect("an operation").to_owned();
    let question = format!("{{ node(id: \"{id}\") {{ ... on BulkOperation {{ status }} }} }}");
    eventually(|| async {
        let status = simulator.ask(&question).await["node"]["status"].clone();
        if status == "COMPLETED" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    simulator.post("bulk", json!("expire")).await;
    backstock.start("serve").await;
    let pull = pulled(&backstock, "product", cut["started_at"].as_str().expect("one")).await;
    assert_eq!(pull["state"], "complete", "{pull}");
    assert_eq!(pull["drift"], json!({"missed": 0, "changed": 0, "extra": 2}), "{pull}");
    assert_eq!(simulator.bulk_operations().await - before, 3, "the one that expired, and two more");
    let left = backstock.list(&format!("{SHOP}/resources?kind=product&deleted=false")).await;
    assert_eq!(left.len(), products.len() - 2);
}

#[tokio::test]
async fn what_is_ordered_by_its_id_is_known_at_once_without_a_webhook() {
    let (backstock, simulator) = known_shop(&FEW).await;
    let pages = backstock.list(&format!("{SHOP}/resources?kind=page")).await;
    let id = |at: usize| pages[at]["id"].as_str().expect("an id").to_owned();
    let (changed, gone) = (id(0), id(1));
    let update = format!(
        "mutation {{ pageUpdate(id: \"gid://shopify/Page/{changed}\", page: {{title: \"Anew\"}}) \
         {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&update).await;
    let delete =
        format!("mutation {{ pageDelete(id: \"gid://shopify/Page/{gone}\") {{ deletedPageId }} }}");
    simulator.ask(&delete).await;
    ordered(&backstock, json!({"kinds": ["page"], "ids": [changed, gone]})).await;
    eventually(|| async {
        let (_, page) = backstock.get(&format!("{SHOP}/resources/page/{changed}")).await;
        let (status, _) = backstock.get(&format!("{SHOP}/resources/page/{gone}")).await;
        let title = &page["state"]["title"];
        if *title == "Anew" && status == 410 { Ok(()) } else { Err(format!("{title}, {status}")) }
    })
    .await;
    let living = backstock.list(&format!("{SHOP}/resources?kind=page&deleted=false")).await;
    assert_eq!(living.len(), pages.len() - 1, "something else was taken for gone");
    let (status, _) =
        backstock.post(&format!("{SHOP}/reconcile"), json!({"kinds": [], "ids": ["1"]})).await;
    assert_eq!(status, 400, "ids of no kind");
}

#[tokio::test]
async fn what_is_ordered_by_its_id_outlives_a_shop_that_is_locked_and_a_kill() {
    let more = [&FEW[..], &["--drop", "1"]].concat();
    let (mut backstock, simulator) = known_shop(&more).await;
    let products = backstock.list(&format!("{SHOP}/resources?kind=product")).await;
    let id = products[0]["id"].as_str().expect("an id").to_owned();
    let update = format!(
        "mutation {{ productUpdate(product: {{id: \"gid://shopify/Product/{id}\", title: \"Anew\"}}) \
         {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&update).await;
    simulator.post("faults", json!({"often": {"locked": 1.0}})).await;
    ordered(&backstock, json!({"kinds": ["product"], "ids": [id]})).await;
    backstock.signal("serve", Signal::SIGKILL);
    simulator.post("faults", json!({"often": {"locked": 0.0}})).await;
    backstock.start("serve").await;
    eventually(|| async {
        let (_, product) = backstock.get(&format!("{SHOP}/resources/product/{id}")).await;
        let title = &product["state"]["title"];
        if *title == "Anew" { Ok(()) } else { Err(title.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn an_order_that_the_app_may_not_see_any_more_is_not_taken_for_gone() {
    let more = [&FEW[..], &["--orders", "40", "--no-old-orders"]].concat();
    let (backstock, simulator) = known_shop(&more).await;
    let known = async || {
        let orders = backstock.list(&format!("{SHOP}/resources?kind=order&deleted=false")).await;
        orders
            .iter()
            .map(|order| order["id"].to_string())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let (young, all) = (known().await, simulator.truth("order").await);
    let id = |order: &Value| {
        let gid = order["id"].as_str().expect("an id");
        gid.rsplit('/').next().expect("a number").to_owned()
    };
    let old = all.iter().map(id).find(|id| !young.contains(&json!(id).to_string()));
    let old = old.expect("an order that is not shown");
    // A webhook tells of it all the same.
    let update = format!(
        "mutation {{ orderUpdate(input: {{id: \"gid://shopify/Order/{old}\", note: \"Rang\"}}) \
         {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&update).await;
    let path = format!("{SHOP}/resources/order/{old}");
    eventually(|| async {
        let status = backstock.get(&path).await.0;
        if status == 200 { Ok(()) } else { Err(format!("{status}")) }
    })
    .await;
    // Asked for by its id, it is not shown; and so it is in a whole look.
    ordered(&backstock, json!({"kinds": ["order"], "ids": [old]})).await;
    let pages = backstock.list(&format!("{SHOP}/resources?kind=page")).await;
    let page = pages[0]["id"].as_str().expect("an id").to_owned();
    let update = format!(
        "mutation {{ pageUpdate(id: \"gid://shopify/Page/{page}\", page: {{title: \"After\"}}) \
         {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&update).await;
    ordered(&backstock, json!({"kinds": ["page"], "ids": [page]})).await;
    eventually(|| async {
        let (_, page) = backstock.get(&format!("{SHOP}/resources/page/{page}")).await;
        let title = &page["state"]["title"];
        if *title == "After" { Ok(()) } else { Err(title.to_string()) }
    })
    .await;
    assert_eq!(backstock.get(&path).await.0, 200, "it was taken for gone");
    let pull = reconciled(&backstock, "order").await;
    assert_eq!(
        (&pull["state"], &pull["drift"]["extra"]),
        (&json!("complete"), &json!(0)),
        "{pull}"
    );
    assert_eq!(backstock.get(&path).await.0, 200, "it was taken for gone");
}
