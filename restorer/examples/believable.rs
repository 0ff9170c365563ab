//! The API and the page with a believable history in memory, to look at and to test other programs
//! against: `cargo run --release -p backstock-restorer --example believable -- 127.0.0.1:8090`.
//! Its token is `bst_example`, and the admin of `acme` opens it as the app `example-id`. With a second
//! argument, `store`, a shop with a year behind it.
//!
//! The guard watches `acme` as it does by default. In `bolt` a second person has to say yes, such as
//! whoever has `bst_second`. Nothing is ever written: at `bolt`'s address nobody answers, and at that of
//! `acme` there is no Admin API. `bst_reader` may only look.

#[path = "../tests/it/fake/mod.rs"]
mod fake;

use std::sync::Arc;

use backstock_proto::admin::{Access, Client, Credentials};
use backstock_proto::blob::Blobs;
use backstock_proto::lease::LocalLeases;
use backstock_proto::listen::Readiness;
use backstock_restorer::guard::{Action, Policy};
use backstock_restorer::token::Digest;
use backstock_restorer::{App, Config, Restorer, Scope, Token, TokenError, Tokens};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".into());
    // reqwest wants one, also where nothing is encrypted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let store = std::env::args().nth(2).is_some_and(|name| name == "store");
    let journal = Arc::new(if store { fake::Fake::store() } else { fake::Fake::believable() });
    let blobs = Blobs::in_memory();
    for (_, bytes) in fake::PICTURES {
        let pieces = futures::stream::iter([Ok(bytes::Bytes::from_static(bytes))]);
        blobs.put(&fake::shop("acme"), Box::pin(pieces), bytes.len() as u64).await?;
    }
    let (acme, bolt) = (fake::shop("acme"), fake::shop("bolt"));
    let app = App::new(&acme, "example-id".into(), "example secret".to_owned().into());
    let tokens = vec![
        token("example", &["read", "restore", "admin"], "*")?,
        token("second", &["read", "restore"], "*")?,
        token("reader", &["read"], "acme.myshopify.com")?,
        app.token(&acme, &[Scope::Read, Scope::Restore]),
    ];
    let unguarded = Policy { action: Action::Off, ..Policy::default() };
    let restorer = Restorer {
        config: Config {
            embedded: [(acme.clone(), app)].into(),
            guards: [(acme.clone(), Policy::default()), (bolt.clone(), unguarded)].into(),
            second_person: [bolt.clone()].into(),
            ..Config::default()
        },
        journal: journal.clone(),
        pulls: Arc::new(fake::NoPulls),
        records: journal,
        blobs,
        leases: Arc::new(LocalLeases::default()),
        // At our own address: it says at once that it is no Admin API.
        admins: vec![
            admin(acme, &format!("http://{address}"))?,
            admin(bolt, "http://127.0.0.1:9")?,
        ],
        tokens: Tokens::new(tokens),
        registry: Registry::new(),
        readiness: Readiness::new(),
        clock: Arc::new(fake::Noon),
    };
    let listener = TcpListener::bind(&address).await?;
    backstock_restorer::run(listener, restorer, CancellationToken::new()).await?;
    Ok(())
}

/// The token `bst_<name>`.
fn token(name: &str, scopes: &[&str], shop: &str) -> Result<Token, TokenError> {
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).into()).collect();
    let digest = Digest::of(&format!("bst_{name}")).to_string();
    Token::parse(name, &digest, &scopes, &[shop.into()])
}

/// The way to a shop.
fn admin(shop: backstock_proto::Shop, url: &str) -> Result<Client, url::ParseError> {
    let access = Access {
        shop,
        url: url.parse()?,
        api_version: "2026-10".into(),
        credentials: Credentials::Token("shpat_example".to_owned().into()),
    };
    Ok(Client::new(reqwest::Client::new(), access))
}
