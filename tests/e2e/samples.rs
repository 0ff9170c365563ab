//! Shopify's documented sample bodies, and where they are not there some of our own, from webhook to raw
//! bytes.

use std::path::Path;
use std::time::{Duration, Instant};

use backstock_proto::event::Op;
use backstock_proto::kind;

use crate::backstock::{Backstock, TOKEN};
use crate::shopify::{Delivery, instant};

#[tokio::test(flavor = "multi_thread")]
async fn documented_samples_are_kept_byte_for_byte() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dirs = ["../shared/fixtures/webhooks", "proto/tests/bodies"].map(|dir| home.join(dir));
    let dir = dirs.into_iter().find(|dir| dir.is_dir()).expect("samples");
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .expect("samples")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    // What is to be erased is not kept: see `erase`.
    names.retain(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        !["customers_redact", "customers_data_request", "shop_redact"].contains(&&*name)
    });
    let mut sent = Vec::new();
    for (n, path) in names.iter().enumerate() {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let known = kind::ALL.iter().flat_map(|spec| spec.topics).map(|(topic, _)| *topic);
        let known = known.into_iter().find(|topic| topic.replace('/', "_") == name);
        let topic = known.map_or_else(|| name.replacen('_', "/", 1), str::to_owned);
        let body = std::fs::read(path).expect("a sample");
        // Later ones are newer, so that no two are taken for one moment's.
        let at = instant(i64::try_from(n).expect("small"));
        let delivery = Delivery::new(&topic, format!("sample-{name}"), at, body);
        let status =
            delivery.send(&backstock.client, &backstock.webhooks()).await.expect("an answer");
        assert_eq!(status, 200, "{name}");
        sent.push(delivery);
    }
    let begun = Instant::now();
    while backstock.metric("backstock_journal_applied_seq").await < sent.len() as f64 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the journal does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(backstock.metric("backstock_journal_quarantined_events").await, 0.0);
    let (mut raw, mut equal, mut canonical) = (0, 0, 0);
    for delivery in &sent {
        match check(&backstock, delivery).await {
            200 => raw += 1,
            _ => equal += 1,
        }
        let route = kind::route(&delivery.topic);
        canonical += usize::from(is_state(&route));
    }
    println!(
        "{} samples answered 200: {raw} kept byte for byte, {equal} said the same as the one before; \
         {canonical} of the understood kinds read back",
        sent.len()
    );
    assert!(raw > equal * 4, "nearly all samples say something of their own");
    assert!(canonical >= 4, "{canonical} of the understood kinds");
}

/// Whether a delivery on this route brings a state that is understood.
fn is_state(route: &kind::Route) -> bool {
    route.kind.spec().is_some() && route.facet.is_state() && route.op != Op::Delete
}

/// Finds the delivery's version and compares its bytes; answers the status of the raw read.
async fn check(backstock: &Backstock, delivery: &Delivery) -> u16 {
    let route = kind::route(&delivery.topic);
    let id = kind::identify(&route.kind, &delivery.body);
    let resource = format!("/v1/shops/{}/resources/{}/{id}", delivery.shop, route.kind);
    let versions = backstock.list(&format!("{resource}/versions")).await;
    let version = versions.iter().find(|v| v["webhook_id"] == *delivery.webhook_id);
    let version = version.unwrap_or_else(|| panic!("{} is not there", delivery.webhook_id));
    let url = format!("{}{resource}/versions/{}/raw", backstock.api, version["seq"]);
    let answer = backstock.client.get(url).bearer_auth(TOKEN).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.expect("bytes");
    if status == 200 {
        assert_eq!(bytes, delivery.body, "{}", delivery.webhook_id);
    } else {
        assert_eq!((status, &version["unchanged"]), (404, &true.into()), "{}", delivery.webhook_id);
    }
    if is_state(&route) {
        let (status, body) = backstock
            .get(&format!("{resource}?at={}", version["valid_at"].as_str().expect("a time")))
            .await;
        let sample: serde_json::Value = serde_json::from_slice(&delivery.body).expect("json");
        assert_eq!(status, 200, "{}: {body}", delivery.webhook_id);
        let known = body["state"]["id"].as_str().expect("an id");
        // A metaobject's `id` is its gid; some bodies have a number only.
        let named = ["admin_graphql_api_id", "id"].iter().find_map(|name| match &sample[*name] {
            serde_json::Value::String(gid) => Some(gid.clone()),
            serde_json::Value::Number(id) => Some(format!("/{id}")),
            _ => None,
        });
        if let Some(named) = named {
            assert!(known.ends_with(&named), "{}: {known}, not {named}", delivery.webhook_id);
        }
    }
    status
}
