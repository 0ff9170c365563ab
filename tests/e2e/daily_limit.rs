//! A shop that takes no more new variants today: the job says so, waits, and goes on where it was.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::pulls::{SHOP, between, eventually, known_shop, ordered, reconciled, settled};

fn handles(products: &[Value]) -> BTreeSet<String> {
    products.iter().map(|product| product["handle"].to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_beyond_the_daily_limit_of_variants_waits_and_goes_on() {
    let few =
        ["--products", "10", "--rate", "0", "--plan", "plus", "--seed", "9", "--big-every", "0"];
    let limit = ["--variants-free", "0", "--variants-a-day", "1000000"];
    let (backstock, simulator) = known_shop(&[&few[..], &limit[..]].concat()).await;
    let before = simulator.truth("product").await;
    let at = between().await;
    for product in &before {
        let delete = "mutation { productDelete(input: {id: ID}) { userErrors { message } } }";
        simulator.ask(&delete.replace("ID", &product["id"].to_string())).await;
    }
    simulator.quiet().await;
    ordered(&backstock, json!({"kinds": ["product"], "confirm_deletions": true})).await;
    reconciled(&backstock, "product").await;
    settled(&backstock).await;
    let asked = json!({"at": at, "select": {"kinds": ["product"]}});
    let (status, plan) = backstock.post(&format!("{SHOP}/plans"), asked).await;
    assert_eq!(status, 201, "{plan}");
    let most = before.iter().map(|p| p["variants"].as_array().map_or(0, Vec::len)).max();
    simulator.post(&format!("variants?a_day={}", most.expect("products")), json!({})).await;
    let path = format!("{SHOP}/plans/{}/apply", plan["id"].as_str().expect("an id"));
    let (status, job) = backstock.post(&path, json!({"digest": plan["digest"]})).await;
    assert_eq!(status, 202, "{job}");
    let path = format!("{SHOP}/jobs/{}", job["id"].as_str().expect("an id"));
    let waiting = eventually(|| async {
        let (_, job) = backstock.get(&path).await;
        if job["resume_at"].is_string() { Ok(job) } else { Err(format!("{job}")) }
    })
    .await;
    assert_eq!((&waiting["state"], &waiting["counts"]["failed"]), (&json!("queued"), &json!(0)));
    let reason = waiting["reason"].as_str().expect("a reason");
    assert!(reason.contains("new variants a day") && reason.contains("tried again at"), "{reason}");
    let (created, pending) = (&waiting["counts"]["created"], &waiting["counts"]["pending"]);
    assert!(created.as_u64() > Some(0) && pending.as_u64() > Some(0), "{waiting}");
    // Nothing is tried over and over meanwhile.
    let writes = simulator.lines("write_log").await.len();
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(simulator.lines("write_log").await.len(), writes);
    // Somebody who had the limit lifted has it go on at once.
    simulator.post("variants?a_day=1000000", json!({})).await;
    let (status, resumed) = backstock.post(&format!("{path}/resume"), json!({})).await;
    assert!(status < 300, "{status}: {resumed}");
    let done = eventually(|| async {
        let (_, job) = backstock.get(&path).await;
        if job["state"] == "done" { Ok(job) } else { Err(format!("{job}")) }
    })
    .await;
    assert_eq!((&done["reason"], &done["counts"]["pending"]), (&Value::Null, &json!(0)), "{done}");
    let after = simulator.truth("product").await;
    assert_eq!((after.len(), handles(&after)), (before.len(), handles(&before)));
}
