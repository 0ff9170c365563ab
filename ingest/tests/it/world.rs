//! A running ingest with its server, and a sender that signs as Shopify does.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use backstock_ingest::{Config, Ingest, IngestError, ShopSecrets};
use backstock_proto::Shop;
use backstock_proto::listen::Readiness;
use backstock_proto::time::SystemClock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use prometheus::Registry;
use reqwest::{Body, Response};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::nats::Nats;

pub(crate) const SHOP: &str = "acme.myshopify.com";
pub(crate) const SECRET: &str = "hush";
pub(crate) const NO_LIMIT: i64 = -1;

pub(crate) struct World {
    pub(crate) nats: Nats,
    pub(crate) ingest: Running,
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shops: ShopSecrets,
    pub(crate) registry: Registry,
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), IngestError>>,
    http: reqwest::Client,
}

/// What a sender sends. Signed with [`SECRET`] unless told otherwise.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

pub(crate) async fn world() -> World {
    world_with(Config::default()).await
}

pub(crate) async fn world_with(config: Config) -> World {
    let nats = Nats::start().await;
    nats.create_stream(NO_LIMIT).await;
    let ingest = run(config, &nats).await;
    World { nats, ingest }
}

pub(crate) fn secrets(of: &[(&str, &[&str])]) -> Vec<(Shop, Vec<secrecy::SecretString>)> {
    of.iter()
        .map(|(shop, secrets)| {
            let secrets = secrets.iter().map(|s| (*s).into()).collect();
            (Shop::parse(shop).expect("a shop"), secrets)
        })
        .collect()
}

pub(crate) async fn run(config: Config, nats: &Nats) -> Running {
    // Another test of this process may have done so.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let shops = ShopSecrets::new(secrets(&[(SHOP, &[SECRET])]));
    let registry = Registry::new();
    let shutdown = CancellationToken::new();
    let ingest = Ingest {
        config,
        nats: nats.connect().await,
        shops: shops.clone(),
        registry: registry.clone(),
        readiness: Readiness::new(),
        clock: Arc::new(SystemClock),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let ended = tokio::spawn(ingest.run(listener, shutdown.clone()));
    Running { address, shops, registry, shutdown, ended, http: reqwest::Client::new() }
}

pub(crate) fn sign(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    STANDARD.encode(mac.chain_update(body).finalize().into_bytes())
}

pub(crate) fn product(id: u64) -> Vec<u8> {
    format!(r#"{{"id":{id},"admin_graphql_api_id":"gid://shopify/Product/{id}","title":"Kettle"}}"#)
        .into_bytes()
}

impl Request {
    pub(crate) fn new(topic: &str, webhook_id: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let headers = vec![
            ("x-shopify-topic", topic.into()),
            ("x-shopify-shop-domain", SHOP.into()),
            ("x-shopify-hmac-sha256", sign(SECRET, &body)),
            ("x-shopify-webhook-id", webhook_id.into()),
        ];
        Self { headers, body }
    }

    /// Puts a header in the place of all of that name; an empty value takes it away.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            self.headers.push((name, value.into()));
        }
        self
    }

    pub(crate) fn for_shop(self, shop: &str, secret: &str) -> Self {
        let hmac = sign(secret, &self.body);
        self.with("x-shopify-shop-domain", shop).with("x-shopify-hmac-sha256", &hmac)
    }
}

impl Running {
    pub(crate) async fn send(&self, request: Request) -> Response {
        let Request { headers, body } = request;
        self.send_body(headers, body.into()).await
    }

    pub(crate) async fn send_body(
        &self,
        headers: Vec<(&'static str, String)>,
        body: Body,
    ) -> Response {
        let mut post = self.http.post(format!("http://{}/webhooks", self.address)).body(body);
        for (name, value) in headers {
            post = post.header(name, value);
        }
        post.send().await.expect("an answer")
    }

    pub(crate) async fn status(&self, request: Request) -> u16 {
        self.send(request).await.status().as_u16()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        let url = format!("http://{}{path}", self.address);
        self.http.get(url).send().await.expect("an answer")
    }

    /// The value of a series as `/metrics` shows it.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("encode");
        let line = text.lines().find(|line| line.starts_with(&format!("{series} ")));
        let line = line.unwrap_or_else(|| panic!("no series {series}"));
        line.rsplit(' ').next().and_then(|v| v.parse().ok()).expect("a number")
    }

    pub(crate) fn outcomes(&self, outcome: &str) -> f64 {
        self.metric(&format!("backstock_ingest_webhooks_total{{outcome=\"{outcome}\"}}"))
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.ended.await.expect("joined").expect("ended well");
    }
}

/// Asks until it holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    for _ in 0..200 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not within 10 s: {what}");
}
