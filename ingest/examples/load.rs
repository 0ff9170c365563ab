//! How many deliveries a second ingest stores, in batches and one by one, on a server that syncs
//! before it acknowledges. Server, ingest and senders share this machine, so only the ratios mean
//! anything.
//!
//! `cargo run --release -p backstock-ingest --example load -- [seconds] [rounds]`

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_ingest::{Config, Ingest, ServerSync, ShopSecrets};
use backstock_proto::Shop;
use backstock_proto::listen::Readiness;
use backstock_proto::time::SystemClock;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use prometheus::Registry;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

#[path = "../tests/it/nats.rs"]
#[allow(dead_code)]
mod nats;

const SHOP: &str = "acme.myshopify.com";
const SECRET: &str = "hush";
const BODY_BYTES: usize = 8_192;

struct Measured {
    statuses: Vec<u16>,
    seconds: Vec<f64>,
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse().expect("a number"));
    let spell = Duration::from_secs(args.next().unwrap_or(2));
    let rounds = args.next().unwrap_or(3);
    println!("server  publish  conns    req/s    p50 ms    p99 ms  failed");
    for _ in 0..rounds {
        for (interval, sync, name) in [
            ("always", ServerSync::Lazy, "singles"),
            ("always", ServerSync::Always, "batches"),
            ("2m", ServerSync::Lazy, "singles"),
            ("2m", ServerSync::Always, "batches"),
        ] {
            for connections in [16, 64, 256] {
                let measured = measure(interval, sync, connections, spell).await;
                print!("{interval:<7} {name:<8} ");
                report(connections, spell, measured);
            }
        }
    }
}

fn report(connections: usize, spell: Duration, mut measured: Measured) {
    measured.seconds.sort_by(f64::total_cmp);
    let ms = |part: f64| {
        let at = ((measured.seconds.len() - 1) as f64 * part) as usize;
        measured.seconds[at] * 1e3
    };
    let failed = measured.statuses.iter().filter(|status| **status != 200).count();
    let rate = measured.statuses.len() as f64 / spell.as_secs_f64();
    println!("{connections:>5} {rate:>8.0} {:>9.1} {:>9.1} {failed:>7}", ms(0.5), ms(0.99));
}

async fn measure(
    interval: &str,
    sync: ServerSync,
    connections: usize,
    spell: Duration,
) -> Measured {
    let nats = nats::Nats::start_syncing(interval).await;
    nats.create_stream(-1).await;
    let shop = Shop::parse(SHOP).expect("a shop");
    let config = Config { sync, ..Config::default() };
    let ingest = Ingest {
        config,
        nats: nats.connect().await,
        shops: ShopSecrets::new([(shop, vec![SECRET.into()])]),
        registry: Registry::new(),
        readiness: Readiness::new(),
        clock: Arc::new(SystemClock),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(ingest.run(listener, shutdown.clone()));
    let end = Instant::now() + spell;
    let senders: Vec<_> =
        (0..connections).map(|n| tokio::spawn(send_until(end, n, address))).collect();
    let mut all = Measured { statuses: Vec::new(), seconds: Vec::new() };
    for sender in senders {
        let one = sender.await.expect("a sender");
        all.statuses.extend(one.statuses);
        all.seconds.extend(one.seconds);
    }
    shutdown.cancel();
    running.await.expect("joined").expect("ended well");
    all
}

/// One connection: a delivery, its answer, the next.
async fn send_until(end: Instant, sender: usize, address: SocketAddr) -> Measured {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.set_nodelay(true).expect("nodelay");
    let mut body = br#"{"id":788032119674292922,"title":"Kettle","body_html":""#.to_vec();
    body.resize(BODY_BYTES - 2, b'x');
    body.extend_from_slice(b"\"}");
    let mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    let hmac = STANDARD.encode(mac.chain_update(&body).finalize().into_bytes());
    let mut measured = Measured { statuses: Vec::new(), seconds: Vec::new() };
    let mut answer = [0; 1024];
    let mut request = Vec::new();
    while Instant::now() < end {
        let begun = Instant::now();
        request.clear();
        let head = format!(
            "POST /webhooks HTTP/1.1\r\nHost: x\r\nX-Shopify-Topic: products/update\r\n\
             X-Shopify-Shop-Domain: {SHOP}\r\nX-Shopify-Hmac-Sha256: {hmac}\r\n\
             X-Shopify-Webhook-Id: {sender}-{}\r\nX-Shopify-API-Version: 2026-10\r\n\
             X-Shopify-Triggered-At: 2026-10-01T14:03:00.123456789Z\r\n\
             Content-Length: {BODY_BYTES}\r\n\r\n",
            measured.statuses.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(&body);
        stream.write_all(&request).await.expect("write");
        let read = stream.read(&mut answer).await.expect("read");
        let status = std::str::from_utf8(&answer[9..12.min(read)]).expect("a status");
        measured.statuses.push(status.parse().expect("a number"));
        measured.seconds.push(begun.elapsed().as_secs_f64());
    }
    measured
}
