//! The API with a small, believable history in memory, to look at and to test other programs
//! against: `cargo run --release -p backstock-restorer --example believable -- 127.0.0.1:8090`.
//! Its token is `bst_example`.

#[path = "../tests/fake/mod.rs"]
mod fake;

use std::sync::Arc;

use backstock_proto::blob::Blobs;
use backstock_proto::listen::Readiness;
use backstock_restorer::token::Digest;
use backstock_restorer::{Config, Restorer, Token, Tokens};
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".into());
    let scopes = ["read", "restore", "admin"].map(str::to_owned);
    let digest = Digest::of("bst_example").to_string();
    let journal = Arc::new(fake::Fake::believable());
    let restorer = Restorer {
        config: Config::default(),
        journal: journal.clone(),
        pulls: Arc::new(fake::NoPulls),
        records: journal,
        blobs: Blobs::in_memory(),
        admins: Vec::new(),
        tokens: Tokens::new(vec![Token::parse("example", &digest, &scopes, &["*".into()])?]),
        registry: Registry::new(),
        readiness: Readiness::new(),
        clock: Arc::new(fake::Noon),
    };
    let listener = TcpListener::bind(&address).await?;
    backstock_restorer::run(listener, restorer, CancellationToken::new()).await?;
    Ok(())
}
