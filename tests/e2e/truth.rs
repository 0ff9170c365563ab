//! What webhooks tell against what pulls find: the same, by its hash.

use std::collections::BTreeMap;

use backstock_proto::kind::{ALL, Spec};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::pulls::{SHOP, backfilled, eventually};
use crate::simulator::{Simulator, planned};

/// Kinds whose webhooks carry the state; of the others they only say that there is another.
fn carried() -> impl Iterator<Item = &'static Spec> {
    ALL.iter().copied().filter(|spec| spec.core.is_some() && !spec.pulls.is_empty())
}

/// The whole catalog is told of by webhooks, REST-shaped, before anything is pulled; the pulls,
/// GraphQL-shaped, find what they were told, by its hash.
#[tokio::test(flavor = "multi_thread")]
async fn what_webhooks_told_is_what_pulls_find() {
    let (port, access) = planned();
    let mut backstock = Backstock::new();
    let more = ["--products", "30", "--big-every", "0", "--rate", "0", "--plan", "unlimited"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    simulator.post("announce", json!({})).await;
    let told: Value =
        serde_json::from_str(&simulator.post("drain", json!({})).await).expect("JSON");
    let told = told["accepted"].as_u64().expect("a count") as f64;
    eventually(|| async {
        let read = backstock.metric("backstock_journal_applied_seq").await;
        if read >= told { Ok(()) } else { Err(format!("{read} of {told} are read")) }
    })
    .await;
    assert!(backstock.signal("serve", Signal::SIGTERM).success(), "an ordered end");
    let mut backstock = backstock.with("", &access);
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let mut compared = BTreeMap::new();
    for spec in carried() {
        for resource in backstock.list(&format!("{SHOP}/resources?kind={}", spec.name)).await {
            let id = resource["id"].as_str().expect("an id");
            let path = format!("{SHOP}/resources/{}/{id}/versions", spec.name);
            let versions = backstock.list(&path).await;
            let core: Vec<&Value> = versions.iter().filter(|v| v["facet"] == "core").collect();
            let sources: Vec<&str> = core.iter().filter_map(|v| v["source"].as_str()).collect();
            assert_eq!(sources, ["webhook"], "{} {id}: the pull found it otherwise", spec.name);
            *compared.entry(spec.name).or_insert(0) += 1;
        }
    }
    println!("told by webhook and found by pull: {compared:?}");
    assert_eq!(compared.len(), carried().count());
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
}
