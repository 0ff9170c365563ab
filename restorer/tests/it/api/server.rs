//! A running restorer, what it is asked, and what it answers.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::fake::{Fake, NoPulls, Noon, shop};
use backstock_proto::blob::Blobs;
use backstock_proto::lease::LocalLeases;
use backstock_proto::listen::Readiness;
use backstock_restorer::token::Digest;
use backstock_restorer::{Config, Restorer, Token, Tokens};
use prometheus::Registry;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A running restorer; stops with the test.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) tokens: Tokens,
    pub(super) journal: Arc<Fake>,
    pub(super) blobs: Blobs,
    pub(super) registry: Registry,
    _stop: tokio_util::sync::DropGuard,
}

pub(super) struct Answer {
    pub(super) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

pub(super) fn token(text: &str, scopes: &[&str], shops: &[&str]) -> Token {
    let strings = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect::<Vec<_>>();
    let hex = Digest::of(text).to_string();
    Token::parse(text, &hex, &strings(scopes), &strings(shops)).expect("a token")
}

fn tokens() -> Vec<Token> {
    vec![
        token("bst_all", &["read", "restore", "admin"], &["*"]),
        token("bst_acme", &["read", "restore", "admin"], &["acme.myshopify.com"]),
        token("bst_write", &["restore"], &["*"]),
    ]
}

pub(super) async fn start_with(config: Config) -> Server {
    start_of(Fake::believable(), config).await
}

async fn start_of(history: Fake, config: Config) -> Server {
    // reqwest wants one, also where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let (journal, registry) = (Arc::new(history), Registry::new());
    let blobs = Blobs::in_memory();
    let tokens = Tokens::new(tokens());
    let restorer = Restorer {
        config,
        journal: journal.clone(),
        pulls: Arc::new(NoPulls),
        records: journal.clone(),
        blobs: blobs.clone(),
        leases: Arc::new(LocalLeases::default()),
        admins: Vec::new(),
        tokens: tokens.clone(),
        registry: registry.clone(),
        readiness: Readiness::new(),
        clock: Arc::new(Noon),
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(backstock_restorer::run(listener, restorer, shutdown.clone()));
    Server { address, tokens, journal, blobs, registry, _stop: shutdown.drop_guard() }
}

pub(super) async fn start() -> Server {
    start_knowing(|_| {}).await
}

/// With more history than usual.
pub(super) async fn start_knowing(more: impl FnOnce(&mut Fake)) -> Server {
    let mut history = Fake::believable();
    more(&mut history);
    let shops = [shop("acme"), shop("corner")].into();
    start_of(history, Config { shops, ..Config::default() }).await
}

impl Server {
    pub(super) async fn ask(&self, method: &str, path: &str, token: Option<&str>) -> Answer {
        let method = method.parse().expect("a method");
        let url = format!("http://{}{path}", self.address);
        let mut request = reqwest::Client::new().request(method, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let request = reqwest::Client::new().post(url).bearer_auth("bst_all").json(body);
        Answer::of(request.send().await.expect("an answer")).await
    }

    pub(super) async fn shops(&self, token: Option<&str>) -> Answer {
        self.ask("GET", "/v1/shops", token).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Some("bst_all")).await
    }
}

impl Answer {
    pub(super) async fn of(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.expect("a body"),
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Checks that this is a problem, and gives its detail.
    #[track_caller]
    pub(super) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        for member in ["type", "title", "status", "detail"] {
            assert!(!problem[member].is_null(), "no {member}: {problem}");
        }
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().expect("a text").to_owned()
    }
}
