//! One trace over all roles, as a collector sees it; and a collector that is not there.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use nix::sys::signal::Signal;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::backstock::{Backstock, TOKEN, text};
use crate::disk::Nats;
use crate::ports::port;
use crate::pulls::eventually;
use crate::restore::Wreck;
use crate::shopify::{Delivery, SECRET, sign};
use crate::simulator::{Simulator, planned};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that keeps every span, each with the name of its service.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Collector {
    /// Starts one; answers where it is.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, format!("http://{address}"))
    }

    /// Everything that came, each with its service.
    fn all(&self) -> Vec<(String, Value)> {
        self.spans.lock().expect("spans").clone()
    }

    /// The spans of a trace, by their names.
    fn of(&self, trace: &str) -> BTreeMap<String, (String, Value)> {
        let of_trace = self.all().into_iter().filter(|(_, span)| span["traceId"] == trace);
        of_trace.map(|(service, span)| (text(&span, "name").to_owned(), (service, span))).collect()
    }

    /// How many spans there are of a name, below one of another name.
    fn below(&self) -> BTreeMap<(String, String), usize> {
        let spans: Vec<Value> = self.all().into_iter().map(|(_, span)| span).collect();
        let place =
            |span: &Value, id: &str| (text(span, "traceId").to_owned(), text(span, id).to_owned());
        let named: HashMap<_, _> =
            spans.iter().map(|span| (place(span, "spanId"), text(span, "name"))).collect();
        let mut below = BTreeMap::new();
        for span in &spans {
            let parent = named.get(&place(span, "parentSpanId")).copied().unwrap_or("nothing");
            let pair = (parent.to_owned(), text(span, "name").to_owned());
            *below.entry(pair).or_default() += 1;
        }
        below
    }
}

async fn take(State(collector): State<Collector>, Json(said): Json<Value>) -> Json<Value> {
    let list = |value: &Value, name: &str| value[name].as_array().expect("a list").clone();
    for of_resource in list(&said, "resourceSpans") {
        let attributes = list(&of_resource["resource"], "attributes");
        let named = attributes.iter().find(|a| a["key"] == "service.name").expect("a name");
        let service = text(&named["value"], "stringValue").to_owned();
        for of_scope in list(&of_resource, "scopeSpans") {
            let spans = list(&of_scope, "spans").into_iter().map(|span| (service.clone(), span));
            collector.spans.lock().expect("spans").extend(spans);
        }
    }
    Json(serde_json::json!({}))
}

/// Delivers a webhook as part of a trace, `secret` having signed it.
async fn deliver(backstock: &Backstock, n: u64, traceparent: &str, secret: &str) -> u16 {
    let delivery = Delivery::product(n, "Mug", 100, format!("w-{n}"));
    let sent = (backstock.client.post(backstock.webhooks()))
        .header("X-Shopify-Topic", &delivery.topic)
        .header("X-Shopify-Shop-Domain", &delivery.shop)
        .header("X-Shopify-API-Version", "2026-10")
        .header("X-Shopify-Webhook-Id", &delivery.webhook_id)
        .header("X-Shopify-Triggered-At", &delivery.triggered_at)
        .header("X-Shopify-Hmac-Sha256", sign(secret, &delivery.body))
        .header("traceparent", traceparent)
        .body(delivery.body)
        .send();
    sent.await.expect("an answer").status().as_u16()
}

async fn readable(backstock: &Backstock, n: u64) {
    let path = format!("/v1/shops/acme.myshopify.com/resources/product/{n}");
    eventually(|| async {
        let (status, _) = backstock.get(&path).await;
        if status == 200 { Ok(()) } else { Err(format!("{path} is {status}")) }
    })
    .await;
}

fn telemetry(endpoint: &str, sample: f64) -> String {
    format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\nsample = {sample:?}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_one_trace_from_its_sender_to_history_and_so_is_a_question() {
    let (collector, endpoint) = Collector::start().await;
    let nats = tempfile::tempdir().expect("a directory");
    let server = Nats::start(nats.path(), "always");
    let roles = tempfile::tempdir().expect("a directory");
    let more = format!("{}\n{}", server.configuration(), telemetry(&endpoint, 0.0));
    let mut backstock = Backstock::at(roles.path(), &more);
    backstock.spawn("journal");
    backstock.start("ingest").await;
    backstock.start("restorer").await;

    let sent = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(deliver(&backstock, 1, &sent, SECRET).await, 200);
    let unsampled = "00-11111111111111111111111111111111-2222222222222222-00";
    assert_eq!(deliver(&backstock, 2, unsampled, SECRET).await, 200);
    let forged = "00-33333333333333333333333333333333-4444444444444444-01";
    assert_eq!(deliver(&backstock, 3, forged, "guessed").await, 401);
    readable(&backstock, 1).await;
    readable(&backstock, 2).await;
    let asked = "55555555555555555555555555555555";
    for (token, status) in [("bst_guessed", 401), (TOKEN, 200)] {
        let url = format!("{}/v1/shops/acme/resources/product/1", backstock.api);
        let ask = backstock.client.get(url).bearer_auth(token);
        let ask = ask.header("traceparent", format!("00-{asked}-{PARENT}-01"));
        assert_eq!(ask.send().await.expect("an answer").status(), status);
    }
    // What is still waiting is sent at the end.
    for role in ["ingest", "journal", "restorer"] {
        assert!(backstock.signal(role, Signal::SIGTERM).success());
    }

    let spans = collector.of(TRACE);
    let told: Vec<_> = spans.iter().map(|(name, (of, _))| (name.as_str(), of.as_str())).collect();
    let expected = [
        ("ingest publish", "backstock-ingest"),
        ("ingest webhook", "backstock-ingest"),
        ("journal append", "backstock-journal"),
    ];
    assert_eq!(told, expected);
    let parent = |name: &str| text(&spans[name].1, "parentSpanId");
    let id = |name: &str| text(&spans[name].1, "spanId");
    assert_eq!(parent("ingest webhook"), PARENT);
    assert_eq!(parent("ingest publish"), id("ingest webhook"));
    assert_eq!(parent("journal append"), id("ingest publish"));
    for (name, (_, span)) in &spans {
        let at = |when: &str| text(span, when).parse::<u64>().expect("nanoseconds");
        assert!(at("startTimeUnixNano") > 0, "{name} has no beginning");
        assert!(at("endTimeUnixNano") >= at("startTimeUnixNano"), "{name} ends too early");
    }

    let spans = collector.of(asked);
    let (_, route) = &spans["restorer GET /v1/shops/{shop}/resources/{kind}/{id}"];
    assert_eq!(route["parentSpanId"], PARENT);
    let (service, read) = &spans["journal read"];
    assert_eq!((&**service, &read["parentSpanId"]), ("backstock-journal", &route["spanId"]));
    let log = std::fs::read_to_string(roles.path().join("restorer.log")).expect("a log");
    let named = log.lines().filter(|line| line.contains(&format!("\"trace_id\":\"{asked}\"")));
    assert_eq!(named.count(), 1, "the log names the trace of whoever may ask");

    let of_those = |(_, span): &(String, Value)| [TRACE, asked].contains(&text(span, "traceId"));
    assert!(collector.all().iter().all(of_those), "what is not sampled or not signed has spans");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_webhook_and_a_restore_bring_about_is_part_of_their_traces() {
    let (collector, endpoint) = Collector::start().await;
    let (port, access) = planned();
    let mut backstock = Backstock::pulling_with(&telemetry(&endpoint, 1.0), &access);
    let more = ["--products", "6", "--rate", "0", "--plan", "plus"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    let wreck = Wreck::of(backstock, simulator).await;
    let job = wreck.over(&wreck.apply().await).await;
    wreck.assert_restored(&job).await;

    let apply = "restorer POST /v1/shops/{shop}/plans/{id}/apply";
    // What webhooks did not tell of the restored is asked for a moment later.
    eventually(|| async {
        let below = collector.below();
        let writes = below.keys().filter(|(parent, _)| parent == "restorer job");
        let writes = writes.filter(|(_, name)| name.starts_with("admin ")).count();
        let has = |parent: &str, name: &str| below.contains_key(&(parent.into(), name.into()));
        let whole = below.get(&(apply.into(), "restorer job".into())) == Some(&1)
            && writes > 3
            && has("ingest publish", "journal append")
            && has("ingest publish", "compactor ask")
            && has("compactor ask", "journal append")
            && has("compactor pull", "journal append");
        if whole { Ok(()) } else { Err(format!("{below:#?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_down_or_hangs_costs_spans_and_nothing_else() {
    // One where nobody listens, and one that accepts and says nothing.
    let nobody = format!("http://127.0.0.1:{}", port());
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mute = format!("http://{}", silent.local_addr().expect("an address"));
    for endpoint in [nobody, mute] {
        let mut backstock = Backstock::pulling_with(&telemetry(&endpoint, 1.0), "");
        backstock.start("serve").await;
        for n in 1..=1_000 {
            let traceparent = format!("00-{n:032x}-{PARENT}-01");
            assert_eq!(deliver(&backstock, n, &traceparent, SECRET).await, 200);
        }
        readable(&backstock, 1_000).await;
        eventually(|| async {
            let dropped = backstock.metric("backstock_telemetry_spans_dropped_total").await;
            if dropped > 0.0 { Ok(()) } else { Err("no span was dropped".to_owned()) }
        })
        .await;
        let begun = Instant::now();
        assert!(backstock.signal("serve", Signal::SIGTERM).success());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(15), "stopping took {took:?}");
    }
}
