//! The same seed gives the same run, byte for byte; another seed another one.

use jiff::{SignedDuration, Timestamp};
use shopify::catalog::Size;
use shopify::shop::Shop;
use shopify::subscription::Subscription;
use shopify::traffic::Traffic;

fn run(seed: u64) -> Vec<(String, String, bytes::Bytes)> {
    let founded: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut shop =
        Shop::new("acme.myshopify.com", seed, Size::of_products(40), founded, "http://cdn".into());
    shop.subscriptions = Subscription::of_app("http://app", "2026-10");
    let mut traffic = Traffic::new(seed);
    for second in 1..500 {
        traffic.step(&mut shop, founded + SignedDuration::from_millis(second * 300));
    }
    let deliveries = shop.take_deliveries().into_iter();
    deliveries.map(|d| (d.webhook_id, d.triggered_at.to_string(), d.body)).collect()
}

#[test]
fn a_run_repeats() {
    let first = run(1);
    assert!(first.len() > 500);
    assert_eq!(first, run(1));
    assert_ne!(first, run(2));
}

#[test]
fn truth_is_what_was_last_said() {
    let founded: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut shop =
        Shop::new("acme.myshopify.com", 1, Size::of_products(40), founded, "http://cdn".into());
    shop.subscriptions = Subscription::of_app("http://app", "2026-10");
    let mut traffic = Traffic::new(1);
    for second in 1..500 {
        traffic.step(&mut shop, founded + SignedDuration::from_secs(second));
    }
    let mut compared = 0;
    for delivery in shop.take_deliveries() {
        if delivery.topic.name() != "products/update" {
            continue;
        }
        let body: serde_json::Value = serde_json::from_slice(&delivery.body).unwrap();
        let truth = shop.store.assembled(delivery.gid, delivery.triggered_at).unwrap();
        assert_eq!(truth["title"], body["title"]);
        assert_eq!(truth["descriptionHtml"], body["body_html"]);
        for (ours, theirs) in
            truth["variants"].as_array().unwrap().iter().zip(body["variants"].as_array().unwrap())
        {
            assert_eq!(ours["price"], theirs["price"]);
        }
        compared += 1;
    }
    assert!(compared > 100);
}
