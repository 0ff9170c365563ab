//! Every answer that the contract names.

use std::time::Duration;

use backstock_ingest::{Config, IngestError};
use backstock_proto::stream::partition_of;
use backstock_proto::{Event, Facet, Shop};
use futures::stream;

use crate::nats::Nats;
use crate::world::{
    NO_LIMIT, Request, SECRET, SHOP, eventually, product, run, secrets, sign, world,
};

#[tokio::test]
async fn a_signed_delivery_is_on_the_stream_as_it_was_said() {
    let world = world().await;
    let body = product(788_032_119_674_292_922);
    let request = Request::new("products/update", "w1", body.clone())
        .with("x-shopify-api-version", "2026-10")
        .with("x-shopify-event-id", "e1")
        .with("x-shopify-triggered-at", "2026-10-01T14:03:00.123456789Z");
    let answer = world.ingest.send(request).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.bytes().await.expect("a body"), "");

    let messages = world.nats.messages().await;
    let [message] = &messages[..] else { panic!("{} messages", messages.len()) };
    let event = Event::from_message(&message.subject, &message.headers, message.payload.clone());
    let event = event.expect("an event");
    assert_eq!(event.payload, body);
    assert_eq!(event.key.to_string(), "acme/product/788032119674292922");
    assert_eq!(&*event.topic, "products/update");
    assert_eq!(event.api_version.as_deref(), Some("2026-10"));
    assert_eq!(event.webhook_id.as_deref(), Some("w1"));
    assert_eq!(event.event_id.as_deref(), Some("e1"));
    let triggered_at = event.triggered_at.expect("an instant").to_string();
    assert_eq!(triggered_at, "2026-10-01T14:03:00.123456Z");
    world.ingest.stop().await;
}

#[tokio::test]
async fn deliveries_are_taken_at_any_path_below_webhooks() {
    let world = world().await;
    let paths = ["webhooks", "webhooks/", "webhooks/orders/v2"];
    for (n, path) in paths.iter().enumerate() {
        let Request { headers, body } =
            Request::new("products/update", &format!("w{n}"), product(1));
        let url = format!("http://{}/{path}", world.ingest.address);
        let mut post = reqwest::Client::new().post(url).body(body);
        for (name, value) in headers {
            post = post.header(name, value);
        }
        assert_eq!(post.send().await.expect("an answer").status(), 200, "{path}");
    }
    assert_eq!(world.nats.messages().await.len(), paths.len());
}

#[tokio::test]
async fn what_is_not_known_is_kept_all_the_same() {
    let world = world().await;
    for (topic, body) in [
        ("loyalty_points/awarded", &b"{\"points\":7}"[..]),
        ("products/update", b"not json"),
        ("products/update", b""),
        ("products/update", b"\xff\xfe\0"),
    ] {
        let answer = world.ingest.status(Request::new(topic, "", body)).await;
        assert_eq!(answer, 200, "{topic}");
    }
    assert_eq!(world.nats.messages().await.len(), 4);
}

#[tokio::test]
async fn the_unprefixed_headers_of_events_are_taken() {
    let world = world().await;
    let body = br#"{"data":{"product":{"id":"gid://shopify/Product/5"}}}"#;
    let headers = vec![
        ("shopify-topic", "Product".into()),
        ("shopify-action", "update".into()),
        ("shopify-shop-domain", SHOP.into()),
        ("shopify-hmac-sha256", sign(SECRET, body)),
        ("shopify-webhook-id", "w1".into()),
    ];
    let request = Request { headers, body: body.to_vec() };
    assert_eq!(world.ingest.status(request).await, 200);
    let messages = world.nats.messages().await;
    let source = messages[0].headers.get("Backstock-Source").expect("a source");
    assert_eq!(source.as_str(), "events");
    let event = Event::from_message(
        &messages[0].subject,
        &messages[0].headers,
        messages[0].payload.clone(),
    );
    let event = event.expect("an event");
    assert_eq!(
        (event.key.to_string().as_str(), &*event.topic),
        ("acme/product/5", "Product/update")
    );
    assert_eq!(event.facet, Facet::Signal, "it does not carry the product");
    assert_eq!(event.payload, &body[..]);
}

#[tokio::test]
async fn faulty_headers_are_400_and_faulty_signatures_401() {
    let world = world().await;
    let good = Request::new("products/update", "w1", product(1));
    let long = "x".repeat(300);
    for (name, value, status) in [
        ("x-shopify-topic", "", 400),
        ("x-shopify-topic", "two words", 400),
        ("x-shopify-topic", long.as_str(), 400),
        ("x-shopify-shop-domain", "", 400),
        ("x-shopify-shop-domain", "acme.example", 400),
        ("x-shopify-shop-domain", "acme.myshopify.com.evil.example", 400),
        ("x-shopify-shop-domain", "unknown.myshopify.com", 401),
        ("x-shopify-hmac-sha256", "", 401),
        ("x-shopify-hmac-sha256", "wronghash", 401),
        ("x-shopify-hmac-sha256", &sign("guess", &good.body), 401),
        ("x-shopify-hmac-sha256", &sign(SECRET, b"other"), 401),
    ] {
        let answer = world.ingest.status(good.clone().with(name, value)).await;
        assert_eq!(answer, status, "{name}: {value}");
    }
    let mut twice = good.clone();
    twice.headers.push(("x-shopify-hmac-sha256", sign(SECRET, &good.body)));
    let answer = world.ingest.send(twice).await;
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.bytes().await.expect("a body"), "", "a 401 tells nothing");

    assert_eq!(world.nats.messages().await.len(), 0);
    assert_eq!(world.ingest.status(good).await, 200);
}

#[tokio::test]
async fn a_body_is_taken_up_to_the_limit_and_not_beyond() {
    let world = world().await;
    let max = Config::default().limits.body_bytes_max;
    let body = |len: usize| {
        let mut body = product(1);
        body.resize(len, b' ');
        body
    };
    let largest = Request::new("products/update", "w1", body(max));
    assert_eq!(world.ingest.status(largest).await, 200);
    assert_eq!(world.nats.messages().await[0].payload.len(), max);

    let larger = Request::new("products/update", "w2", body(max + 1));
    let headers = larger.headers.clone();
    assert_eq!(world.ingest.status(larger).await, 413);
    let chunks = (0..1600).map(|_| Ok::<_, std::io::Error>(vec![b' '; 65_536]));
    let unannounced = reqwest::Body::wrap_stream(stream::iter(chunks));
    assert_eq!(world.ingest.send_body(headers.clone(), unannounced).await.status(), 413);
    let huge = reqwest::Body::from(vec![b' '; 100 * 1024 * 1024]);
    assert_eq!(world.ingest.send_body(headers, huge).await.status(), 413);
    assert_eq!(world.nats.messages().await.len(), 1);
}

#[tokio::test]
async fn a_full_stream_is_503_and_loses_nothing() {
    let nats = Nats::start().await;
    nats.create_stream(100_000).await;
    let ingest = run(Config::default(), &nats).await;
    let mut stored = 0;
    let refused = loop {
        let mut body = product(stored);
        body.resize(8_192, b' ');
        let request = Request::new("products/update", &format!("w{stored}"), body);
        let answer = ingest.send(request).await;
        if answer.status() != 200 {
            break answer;
        }
        stored += 1;
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(stored >= 5);
    assert_eq!(nats.messages().await.len() as u64, stored);
    assert_eq!(ingest.outcomes("stream_full"), 1.0);
    eventually("the gauge shows it", async || {
        ingest.metric("backstock_ingest_stream_used_ratio{partition=\"0\"}") > 0.7
    })
    .await;
}

#[tokio::test]
async fn a_missing_stream_is_503_and_not_ready_and_is_not_created() {
    let nats = Nats::start().await;
    let ingest = run(Config::default(), &nats).await;
    let request = Request::new("products/update", "w1", product(1));
    let answer = ingest.send(request.clone()).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    eventually("it says what is missing", async || {
        let ready = ingest.get("/readyz").await;
        ready.status() == 503 && ready.text().await.expect("text").contains("no stream BACKSTOCK-0")
    })
    .await;

    nats.create_stream(NO_LIMIT).await;
    assert_eq!(ingest.status(request).await, 200);
    eventually("ready", async || ingest.get("/readyz").await.status() == 200).await;
    assert_eq!(ingest.outcomes("no_stream"), 1.0);
}

#[tokio::test]
async fn a_stream_that_is_missing_costs_its_own_shops_and_no_others() {
    let nats = Nats::start().await;
    nats.create_stream_of(1, NO_LIMIT).await;
    let ingest = run(Config { partitions: 2, ..Config::default() }, &nats).await;
    eventually("ready", async || ingest.get("/readyz").await.status() == 200).await;
    let copies = |partition: u16| {
        ingest
            .metric(&format!("backstock_ingest_stream_copies_current{{partition=\"{partition}\"}}"))
    };
    assert_eq!((copies(0), copies(1)), (0.0, 1.0));
}

#[tokio::test]
async fn each_shop_has_its_partition() {
    let nats = Nats::start().await;
    let partitions = 3;
    let mut streams = Vec::new();
    for partition in 0..partitions {
        streams.push(nats.create_stream_of(partition, NO_LIMIT).await);
    }
    let ingest = run(Config { partitions, ..Config::default() }, &nats).await;
    let shops: Vec<_> = (0..12).map(|n| format!("shop-{n}.myshopify.com")).collect();
    let known: Vec<_> = shops.iter().map(|shop| (shop.as_str(), &[SECRET][..])).collect();
    ingest.shops.replace(secrets(&known));
    let mut expected = [0; 3];
    for shop in &shops {
        let partition = partition_of(&Shop::parse(shop).expect("a shop"), partitions);
        expected[usize::from(partition)] += 1;
        let request = Request::new("products/update", "w1", product(1)).for_shop(shop, SECRET);
        assert_eq!(ingest.status(request).await, 200);
    }
    assert!(expected.iter().all(|shops| *shops > 0));
    for (stream, shops) in streams.iter_mut().zip(expected) {
        assert_eq!(stream.info().await.expect("info").state.messages, shops);
    }
}

#[tokio::test]
async fn deadlines_that_shopify_would_not_wait_for_are_refused() {
    let nats = Nats::start().await;
    let mut config = Config::default();
    config.limits.request = Duration::from_secs(5);
    let ended = run(config, &nats).await.ended.await.expect("joined");
    assert!(matches!(ended, Err(IngestError::Deadlines { .. })), "{ended:?}");
}

#[tokio::test]
async fn secrets_are_rotated_while_deliveries_come_in() {
    let world = world().await;
    let signed = |id: &str, secret: &str| {
        Request::new("products/update", id, product(1)).for_shop(SHOP, secret)
    };
    assert_eq!(world.ingest.status(signed("w1", "fresh")).await, 401);
    world.ingest.shops.replace(secrets(&[(SHOP, &["fresh", SECRET])]));
    assert_eq!(world.ingest.status(signed("w2", "fresh")).await, 200);
    assert_eq!(world.ingest.status(signed("w3", SECRET)).await, 200);
    world.ingest.shops.replace(secrets(&[(SHOP, &["fresh", ""])]));
    assert_eq!(world.ingest.status(signed("w4", "fresh")).await, 200);
    assert_eq!(world.ingest.status(signed("w5", SECRET)).await, 401);
    assert_eq!(world.ingest.status(signed("w6", "")).await, 401);
}
