//! A subscriber to webhooks, and a shop that tells it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use shopify::admin::cost::Plan;
use shopify::catalog::Size;
use shopify::dispatch::Dispatch;
use shopify::disturbance::Disturbance;
use shopify::shop::Actor;
use shopify::simulator::{Settings, Simulator};
use tokio::net::TcpListener;

pub(crate) type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

#[derive(Clone)]
struct Subscriber {
    seen: Seen,
    refuse_first: usize,
}

async fn receive(
    State(subscriber): State<Subscriber>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let mut seen = subscriber.seen.lock().unwrap();
    let id = webhook_id(&headers).clone();
    let attempts = seen.iter().filter(|(h, _)| webhook_id(h) == id).count();
    seen.push((headers, body));
    if attempts < subscriber.refuse_first { StatusCode::FOUND } else { StatusCode::OK }
}

/// The id of a delivery of either family.
pub(crate) fn webhook_id(headers: &HeaderMap) -> &http::HeaderValue {
    headers.get("x-shopify-webhook-id").unwrap_or_else(|| &headers["shopify-webhook-id"])
}

/// Where it listens, and what it has seen. It refuses the first attempts of each delivery.
pub(crate) async fn subscriber(refuse_first: usize) -> (String, Seen) {
    let seen = Seen::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}/webhooks", listener.local_addr().unwrap());
    let state = Subscriber { seen: seen.clone(), refuse_first };
    let app = Router::new().route("/webhooks", post(receive)).with_state(state);
    tokio::spawn(async move { axum::serve(listener, app).await });
    (uri, seen)
}

pub(crate) fn settings(uri: String, disturbance: Disturbance) -> Settings {
    Settings {
        shop: "acme.myshopify.com".into(),
        seed: 3,
        size: Size::of_products(20),
        founded: None,
        webhooks: Some(uri),
        api_version: "2026-10".into(),
        rate: 0.0,
        dispatch: Dispatch {
            secret: "hush".into(),
            disturbance,
            retry_scale: 0.000_01,
            concurrency: 4,
            seed: 3,
        },
        base: "http://shop".into(),
        clients: Vec::new(),
        plan: Plan::Standard,
        schemas: PathBuf::from("target/shopify"),
    }
}

pub(crate) fn add_products(simulator: &Simulator, count: usize) {
    for n in 0..count {
        simulator.act(Actor::Staff("Ann".into()), |shop| {
            shop.add_product(&format!("Test {n}"), "Acme", 1_000);
        });
    }
}
