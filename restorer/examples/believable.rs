//! The API and the page with a believable history in memory, to look at and to test other programs
//! against: `cargo run --release -p backstock-restorer --example believable -- 127.0.0.1:8090`.
//! Its token is `bst_example`, and the admin of its shop opens it as the app `example-id`. With a second
//! argument, `store`, a shop with a year behind it.

#[path = "../tests/fake/mod.rs"]
mod fake;

use std::sync::Arc;

use backstock_proto::blob::Blobs;
use backstock_proto::lease::LocalLeases;
use backstock_proto::listen::Readiness;
use backstock_restorer::token::Digest;
use backstock_restorer::{App, Config, Restorer, Scope, Token, Tokens};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".into());
    let scopes = ["read", "restore", "admin"].map(str::to_owned);
    let digest = Digest::of("bst_example").to_string();
    let store = std::env::args().nth(2).is_some_and(|name| name == "store");
    let journal = Arc::new(if store { fake::Fake::store() } else { fake::Fake::believable() });
    let blobs = Blobs::in_memory();
    for (_, bytes) in fake::PICTURES {
        let pieces = futures::stream::iter([Ok(bytes::Bytes::from_static(bytes))]);
        blobs.put(&fake::shop("acme"), Box::pin(pieces), bytes.len() as u64).await?;
    }
    let acme = fake::shop("acme");
    let app = App::new(&acme, "example-id".into(), "example secret".to_owned().into());
    let tokens = vec![
        Token::parse("example", &digest, &scopes, &["*".into()])?,
        app.token(&acme, &[Scope::Read, Scope::Restore]),
    ];
    let restorer = Restorer {
        config: Config { embedded: [(acme, app)].into(), ..Config::default() },
        journal: journal.clone(),
        pulls: Arc::new(fake::NoPulls),
        records: journal,
        blobs,
        leases: Arc::new(LocalLeases::default()),
        admins: Vec::new(),
        tokens: Tokens::new(tokens),
        registry: Registry::new(),
        readiness: Readiness::new(),
        clock: Arc::new(fake::Noon),
    };
    let listener = TcpListener::bind(&address).await?;
    backstock_restorer::run(listener, restorer, CancellationToken::new()).await?;
    Ok(())
}
