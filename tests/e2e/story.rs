//! One webhook, end to end.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::pulls::{SHOP, eventually};
use crate::shopify::{Delivery, instant};

const ID: u64 = 9_007_199_254_740_993_001;

/// What dashboards and alerts rely on. How old a whole look is, is told of shops that may be asked.
const SERIES: [&str; 25] = [
    "backstock_ingest_webhooks_total",
    "backstock_ingest_request_seconds_count",
    "backstock_ingest_publish_seconds_count",
    "backstock_journal_versions_total",
    "backstock_journal_unchanged_total",
    "backstock_journal_lag_seconds",
    "backstock_journal_applied_seq",
    "backstock_journal_stream_gap_total",
    "backstock_journal_digest_mismatch_total",
    "backstock_journal_quarantined_events",
    "backstock_journal_checkpoint_age_seconds",
    "backstock_journal_verify_age_seconds",
    "backstock_journal_disk_bytes",
    "backstock_compactor_drift_total",
    "backstock_compactor_pull_seconds_count",
    "backstock_compactor_admin_cost_points_total",
    "backstock_compactor_webhook_subscriptions_healed_total",
    "backstock_restorer_reads_seconds_count",
    "backstock_restorer_jobs",
    "backstock_restorer_rows_total",
    "backstock_restorer_budget_used_ratio",
    "backstock_restorer_guard_incidents_total",
    "backstock_restorer_proof_age_seconds",
    "backstock_restorer_proof_mismatches",
    "backstock_restorer_erasure_open_seconds",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_becomes_history_that_can_be_read_as_of_any_instant() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let url = backstock.webhooks();
    let resource = format!("/v1/shops/acme.myshopify.com/resources/product/{ID}");

    let deliveries = [
        Delivery::product(ID, "Mug", 100, "w-1"),
        Delivery::product(ID, "Mug, broken by an app", 200, "w-2"),
        Delivery::product(ID, "Mug, broken by an app", 201, "w-3"),
        Delivery::new(
            "products/delete",
            "w-4",
            instant(300),
            json!({"id": ID}).to_string().into_bytes(),
        ),
    ];
    // The second one comes late, the first one twice.
    for at in [0, 3, 2, 1, 0] {
        assert_eq!(deliveries[at].send(&backstock.client, &url).await.expect("an answer"), 200);
    }
    let mut versions = Vec::new();
    for _ in 0..100 {
        if backstock.get(&format!("{resource}/versions")).await.0 == 200 {
            versions = backstock.list(&format!("{resource}/versions")).await;
        }
        if versions.len() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ids: Vec<_> = versions.iter().map(|v| v["webhook_id"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["w-4", "w-3", "w-2", "w-1"], "newest first, each once");
    let unchanged: Vec<_> =
        versions.iter().map(|v| v["unchanged"].as_bool().expect("a bool")).collect();
    assert_eq!(unchanged, [false, true, false, false]);

    let title = async |at: i64| backstock.get(&format!("{resource}?at={}", instant(at))).await;
    assert_eq!(title(99).await.0, 404, "it did not exist yet");
    assert_eq!(title(100).await.1["state"]["title"], "Mug");
    assert_eq!(title(199).await.1["state"]["title"], "Mug");
    assert_eq!(title(200).await.1["state"]["title"], "Mug, broken by an app");
    let (status, gone) = title(300).await;
    assert_eq!((status, gone["state"]["title"].as_str()), (410, Some("Mug, broken by an app")));
    assert_eq!(gone["version"]["webhook_id"], "w-4");

    let (_, diff) =
        backstock.get(&format!("{resource}/diff?from={}&to={}", instant(150), instant(250))).await;
    assert_eq!(diff["changes"][0]["path"], "/title");
    assert_eq!(
        (&diff["changes"][0]["old"], &diff["changes"][0]["new"]),
        (&json!("Mug"), &json!("Mug, broken by an app"))
    );

    let seq = versions[3]["seq"].as_u64().expect("a sequence");
    let raw = backstock
        .client
        .get(format!("{}{resource}/versions/{seq}/raw", backstock.api))
        .bearer_auth(crate::backstock::TOKEN)
        .send()
        .await
        .expect("an answer")
        .bytes()
        .await
        .expect("bytes");
    assert_eq!(raw, deliveries[0].body, "byte for byte");

    assert!(backstock.signal("serve", Signal::SIGTERM).success(), "an ordered end");
    backstock.start("serve").await;
    assert_eq!(
        backstock.list(&format!("{resource}/versions")).await,
        versions,
        "the same after a restart"
    );
    let verified = backstock.client_verb(&["verify"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_this_machine_is_asked_without_a_proxy() {
    let mut backstock = Backstock::new();
    backstock.spawn_with("serve", &[("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "")]);
    backstock.wait_ready("serve").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shop_never_sees_anothers_data() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let ours = Delivery::product(ID, "Ours", 100, "w-1");
    assert_eq!(ours.send(&backstock.client, &backstock.webhooks()).await.expect("an answer"), 200);
    eventually(|| async {
        match backstock.get(&format!("{SHOP}/resources/product/{ID}")).await.0 {
            200 => Ok(()),
            status => Err(format!("{status}: it is not kept")),
        }
    })
    .await;
    let other = "/v1/shops/other.myshopify.com/resources";
    assert_eq!(backstock.get(&format!("{other}/product/{ID}")).await.0, 404);
    assert_eq!(backstock.list(&format!("{other}?q=Ours")).await, Vec::<Value>::new());
    let stranger = Delivery { shop: "stranger.myshopify.com".into(), ..ours };
    assert_eq!(
        stranger.send(&backstock.client, &backstock.webhooks()).await.expect("an answer"),
        401
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_series_is_there_before_anything_has_happened() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    eventually(|| async {
        let text = backstock.metrics("serve").await;
        let is_there =
            |name: &str| text.lines().any(|line| line.split(['{', ' ']).next() == Some(name));
        let missing: Vec<&str> = SERIES.into_iter().filter(|&name| !is_there(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    })
    .await;
}
