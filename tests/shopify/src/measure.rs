//! How fast the simulator itself is, so that it is known not to be the bottleneck.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::admin::bulk::{BATCH, Plan as BulkPlan};
use crate::admin::cost::{Bucket, Plan};
use crate::admin::document::Documents;
use crate::admin::endpoint::{Caller, Request, answer};
use crate::admin::schema::{Schema, Version};
use crate::catalog::Size;
use crate::dispatch::{Dispatch, Dispatcher};
use crate::disturbance::Disturbance;
use crate::shop::{Actor, Shop};
use crate::subscription::Subscription;
use crate::traffic::Traffic;

/// What is measured, and how often it was done per second.
#[derive(Debug)]
pub struct Figure {
    /// What.
    pub what: &'static str,
    /// How often per second, on one thread.
    pub per_second: f64,
}

const READ: &str = "query($id: ID!) { product(id: $id) { id title descriptionHtml tags
    variants(first: 10) { nodes { id title price inventoryItem { sku } } } } }";
const WRITE: &str = "mutation($p: ProductUpdateInput!) { productUpdate(product: $p) {
    product { id title updatedAt } userErrors { field message } } }";
const TREE: &str =
    "{ products { edges { node { id title variants { edges { node { id title price } } } } } } }";

/// Measures reads, writes, webhook bodies and lines of bulk results, each for `each`.
#[must_use]
pub fn measure(schema: &Schema, each: Duration) -> Vec<Figure> {
    let now = Timestamp::now();
    let mut shop = Shop::new("acme.myshopify.com", 1, Size::of_products(2_000), now, String::new());
    let ids: Vec<String> =
        shop.store.live_ids("Product").take(500).map(|gid| gid.to_string()).collect();
    let documents = Documents::default();
    let mut bucket = Bucket::full(Plan::Unlimited, now);
    let caller =
        Caller { schema, version: Version::V2026_10, actor: Actor::App("Measure".into()), now };
    let mut ask = |shop: &mut Shop, query: &str, variables| {
        let variables = serde_json::from_value(variables).ok();
        let request = Request { query: query.to_owned(), variables, operation_name: None };
        answer(&request, &caller, &documents, &mut bucket, shop)
    };
    let mut figures = Vec::new();
    let mut n = 0;
    figures.push(repeat("reads of a product with ten variants", each, || {
        n += 1;
        let answer = ask(&mut shop, READ, json!({ "id": ids[n % ids.len()] }));
        u64::from(answer["data"]["product"].is_object())
    }));
    figures.push(repeat("updates of a product", each, || {
        n += 1;
        let input = json!({ "id": ids[n % ids.len()], "title": format!("Title {n}") });
        let answer = ask(&mut shop, WRITE, json!({ "p": input }));
        u64::from(answer["data"]["productUpdate"]["product"].is_object())
    }));
    shop.subscriptions = Subscription::of_app("http://app", "2026-10");
    let mut traffic = Traffic::new(1);
    figures.push(repeat("webhook bodies of ordinary traffic", each, || {
        traffic.step(&mut shop, now + SignedDuration::from_secs(1));
        shop.take_deliveries().len() as u64
    }));
    if let Ok(plan) = BulkPlan::of(schema, TREE) {
        let roots = plan.roots(&caller, &mut shop).unwrap_or_default();
        let mut batches = roots.chunks(BATCH).cycle();
        figures.push(repeat("lines of bulk results", each, || {
            let batch = batches.next().unwrap_or_default();
            let lines = plan.lines(&caller, &mut shop, batch).unwrap_or_default();
            lines.iter().map(|line| line.text()).filter(|text| !text.is_empty()).count() as u64
        }));
    }
    figures
}

/// Measures signed webhooks over HTTP to a subscriber that only says yes.
///
/// # Errors
/// When nothing can be listened on or sent.
#[allow(clippy::cast_precision_loss)]
pub async fn measure_deliveries(each: Duration) -> anyhow::Result<Figure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}/", listener.local_addr()?);
    let yes = Router::new().route("/", post(|_: Bytes| async { StatusCode::OK }));
    tokio::spawn(async move { axum::serve(listener, yes).await });
    let now = Timestamp::now();
    let mut shop = Shop::new("acme.myshopify.com", 1, Size::of_products(2_000), now, String::new());
    shop.subscriptions = Subscription::of_app(&uri, "2026-10");
    let mut traffic = Traffic::new(1);
    let mut deliveries = Vec::new();
    while deliveries.len() < 4_000 {
        traffic.step(&mut shop, now);
        deliveries.extend(shop.take_deliveries());
    }
    let how = Dispatch {
        secret: "hush".into(),
        disturbance: Disturbance::default(),
        retry_scale: 1.0,
        concurrency: 32,
        seed: 1,
    };
    let (given_up, _failed) = mpsc::unbounded_channel();
    let dispatcher = Dispatcher::start(how, shop.domain, CancellationToken::new(), given_up)?;
    let start = Instant::now();
    while start.elapsed() < each {
        dispatcher.send(deliveries.clone());
        dispatcher.drained().await;
    }
    let per_second = dispatcher.tally().accepted as f64 / start.elapsed().as_secs_f64();
    Ok(Figure { what: "webhooks over HTTP", per_second })
}

#[allow(clippy::cast_precision_loss)]
fn repeat(what: &'static str, each: Duration, mut work: impl FnMut() -> u64) -> Figure {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < each {
        done += work();
    }
    Figure { what, per_second: done as f64 / start.elapsed().as_secs_f64() }
}
