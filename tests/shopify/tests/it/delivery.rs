//! Webhooks as a subscriber sees them.

use std::collections::HashMap;
use std::time::Duration;

use crate::subscriber::{add_products, settings, subscriber};
use bytes::Bytes;
use shopify::dispatch::Outcome;
use shopify::disturbance::Disturbance;
use shopify::signing::signature;
use shopify::simulator::Simulator;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_delivery_is_signed_and_fully_labelled() {
    let (uri, seen) = subscriber(0).await;
    let settings = settings(uri, Disturbance::default());
    let simulator = Simulator::start(settings, CancellationToken::new()).unwrap();
    add_products(&simulator, 1);
    simulator.dispatcher().drained().await;
    let seen = seen.lock().unwrap();
    let (headers, body) =
        seen.iter().find(|(h, _)| h["x-shopify-topic"] == "products/create").unwrap();
    assert_eq!(headers["x-shopify-hmac-sha256"], signature("hush", body));
    assert_eq!(headers["x-shopify-shop-domain"], "acme.myshopify.com");
    assert_eq!(headers["x-shopify-api-version"], "2026-10");
    assert_eq!(headers["connection"], "keep-alive");
    headers["x-shopify-triggered-at"].to_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    // One action, several deliveries: one event id, as many webhook ids.
    let distinct = |name: &str| {
        let mut values: Vec<_> = seen.iter().map(|(h, _)| h[name].clone()).collect();
        values.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        values.dedup();
        values.len()
    };
    assert_eq!(seen.len(), 2);
    assert_eq!(distinct("x-shopify-event-id"), 1);
    assert_eq!(distinct("x-shopify-webhook-id"), 2);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_a_retry_says_the_same() {
    let (uri, seen) = subscriber(2).await;
    let settings = settings(uri, Disturbance::default());
    let simulator = Simulator::start(settings, CancellationToken::new()).unwrap();
    add_products(&simulator, 1);
    simulator.dispatcher().drained().await;
    let seen = seen.lock().unwrap();
    let mut attempts: HashMap<&[u8], Vec<&Bytes>> = HashMap::new();
    for (headers, body) in seen.iter() {
        attempts.entry(headers["x-shopify-webhook-id"].as_bytes()).or_default().push(body);
    }
    assert_eq!(attempts.len(), 2);
    for bodies in attempts.values() {
        assert_eq!(bodies.len(), 3, "two refusals, then success");
        assert!(bodies.iter().all(|body| body == &bodies[0]));
    }
    let tally = simulator.dispatcher().tally();
    assert_eq!((tally.accepted, tally.given_up, tally.refused[&302]), (2, 0, 4));
}

#[tokio::test]
async fn eight_retries_and_no_more() {
    let (uri, seen) = subscriber(usize::MAX).await;
    let settings = settings(uri, Disturbance::default());
    let simulator = Simulator::start(settings, CancellationToken::new()).unwrap();
    add_products(&simulator, 1);
    simulator.dispatcher().drained().await;
    assert_eq!(seen.lock().unwrap().len(), 2 * 9);
    let tally = simulator.dispatcher().tally();
    assert_eq!((tally.accepted, tally.given_up), (0, 2));
    assert!(!simulator.shop().subscriptions.is_empty(), "those of the app's own file remain");
}

#[tokio::test]
async fn disturbances_are_real_and_counted() {
    let (uri, seen) = subscriber(0).await;
    let disturbance = Disturbance {
        drop: 0.1,
        duplicate: 0.2,
        delay: 0.1,
        reorder: 0.1,
        late: 0.0,
        delay_max: Duration::from_millis(300),
    };
    let simulator = Simulator::start(settings(uri, disturbance), CancellationToken::new()).unwrap();
    add_products(&simulator, 200);
    simulator.dispatcher().drained().await;
    let tally = simulator.dispatcher().tally();
    assert_eq!(tally.triggered, 400);
    assert_eq!(tally.accepted + tally.dropped, 400);
    assert!(tally.dropped > 10 && tally.duplicated > 20 && tally.delayed > 10);
    let seen = seen.lock().unwrap();
    let duplicates_of_dropped = tally.attempts;
    assert_eq!(seen.len() as u64, duplicates_of_dropped);
    let triggered: Vec<&[u8]> =
        seen.iter().map(|(h, _)| h["x-shopify-triggered-at"].as_bytes()).collect();
    assert!(!triggered.is_sorted(), "some overtook others");
}

#[tokio::test]
async fn what_is_late_comes_when_it_is_let_go_and_is_on_the_books_until_then() {
    let (uri, seen) = subscriber(0).await;
    let disturbance = Disturbance { late: 0.3, ..Disturbance::default() };
    let simulator = Simulator::start(settings(uri, disturbance), CancellationToken::new()).unwrap();
    add_products(&simulator, 50);
    simulator.dispatcher().drained().await;
    let tally = simulator.dispatcher().tally();
    assert!(tally.held > 10 && tally.held == tally.open, "{tally:?}");
    assert_eq!(seen.lock().unwrap().len() as u64, 100 - tally.held);
    let held = |of: &Simulator| {
        let finished = of.dispatcher().finished();
        let held: Vec<_> =
            finished.into_iter().filter(|one| one.outcome == Outcome::Held).collect();
        held
    };
    assert_eq!(held(&simulator).len() as u64, tally.held);
    assert_eq!(simulator.dispatcher().let_go() as u64, tally.held);
    simulator.dispatcher().drained().await;
    let after = simulator.dispatcher().tally();
    assert_eq!((after.accepted, after.late, after.held, after.open), (100, tally.late, 0, 0));
    assert_eq!((held(&simulator).len(), seen.lock().unwrap().len()), (0, 100));
}
