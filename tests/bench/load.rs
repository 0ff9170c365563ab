//! Sends signed webhooks as fast as they are answered, over connections that are kept alive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

pub(crate) const SECRET: &str = "hush";

/// What a load measured.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Answers other than 200.
    pub(crate) refused: u64,
}

/// A product body of about `bytes` bytes.
pub(crate) fn body(bytes: usize) -> Vec<u8> {
    let words =
        ["pine", "enamel", "mug", "holds", "a", "morning", "of", "coffee", "by", "the", "lake"];
    let mut text = String::new();
    let mut n = 7_usize;
    while text.len() + 700 < bytes {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(words[(n >> 33) % words.len()]);
        text.push(' ');
    }
    serde_json::json!({
        "admin_graphql_api_id": "gid://shopify/Product/9007199254740993001", "id": 9_007_199_254_740_993_001_u64,
        "title": "Enamel Mug", "handle": "enamel-mug", "body_html": text, "vendor": "Acme", "status": "active",
        "tags": "a, b", "updated_at": "2026-10-01T14:03:00Z",
        "options": [{"id": 1, "name": "Colour", "position": 1, "values": ["Green"]}],
        "variants": [{"admin_graphql_api_id": "gid://shopify/ProductVariant/2", "id": 2, "title": "Green", "price": "64.00", "option1": "Green"}],
    })
    .to_string()
    .into_bytes()
}

/// Loads `to` with `connections` for `length`.
pub(crate) async fn run(
    to: SocketAddr,
    connections: usize,
    length: Duration,
    body: Arc<Vec<u8>>,
) -> Load {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    static SENT: AtomicU64 = AtomicU64::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    let signature = sign(&body);
    let until = Instant::now() + length;
    let mut tasks = JoinSet::new();
    for connection in 0..connections {
        let (body, signature) = (body.clone(), signature.clone());
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(to).await.expect("a connection");
            stream.set_nodelay(true).expect("nodelay");
            let (mut took, mut refused, mut answer) = (Vec::new(), 0, vec![0; 4096]);
            for n in 0.. {
                let begun = Instant::now();
                if begun >= until {
                    break;
                }
                let at = SENT.fetch_add(1, Ordering::Relaxed);
                let request = request(&body, &signature, &format!("{run}-{connection}-{n}"), at);
                stream.write_all(&request).await.expect("sent");
                if read_status(&mut stream, &mut answer).await != 200 {
                    refused += 1;
                }
                took.push(begun.elapsed());
            }
            (took, refused)
        });
    }
    let (mut took, mut refused) = (Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (times, other) = done.expect("no panic");
        took.extend(times);
        refused += other;
    }
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    Load {
        per_second: (took.len() as u64 - refused) as f64 / length.as_secs_f64(),
        p50: at(0.5),
        p99: at(0.99),
        refused,
    }
}

/// A delivery that Shopify triggered so many microseconds after the hour.
fn request(body: &[u8], signature: &str, id: &str, micros: u64) -> Vec<u8> {
    let (seconds, micros) = (micros / 1_000_000 % 60, micros % 1_000_000);
    let head = format!(
        "POST /webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nX-Shopify-Topic: products/update\r\nX-Shopify-Shop-Domain: acme.myshopify.com\r\n\
         X-Shopify-API-Version: 2026-10\r\nX-Shopify-Webhook-Id: {id}\r\n\
         X-Shopify-Triggered-At: 2026-10-01T14:03:{seconds:02}.{micros:06}Z\r\nX-Shopify-Hmac-Sha256: {signature}\r\n\r\n",
        body.len(),
    );
    [head.as_bytes(), body].concat()
}

/// Reads an answer with a short body or none.
async fn read_status(stream: &mut TcpStream, buffer: &mut [u8]) -> u16 {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await.expect("an answer");
        assert!(read > 0, "the receiver closed the connection");
        filled += read;
        let text = std::str::from_utf8(&buffer[..filled]).expect("text");
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let lower = text[..end].to_ascii_lowercase();
        let length = lower
            .split("content-length: ")
            .nth(1)
            .and_then(|l| l.lines().next()?.trim().parse().ok());
        if filled >= end + 4 + length.unwrap_or(0) {
            return text[9..12].parse().expect("a status");
        }
    }
}

pub(crate) fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any key will do");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}
