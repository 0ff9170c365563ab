//! Senders that are slow, greedy or many do not keep the others out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backstock_ingest::{Budget, Config};
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{Request, SECRET, SHOP, eventually, product, secrets, sign, world_with};

const MIB: usize = 1024 * 1024;

fn head(shop: &str, hmac: &str, length: usize) -> String {
    format!(
        "POST /webhooks HTTP/1.1\r\nConnection: close\r\nX-Shopify-Topic: products/update\r\n\
         X-Shopify-Shop-Domain: {shop}\r\nX-Shopify-Hmac-Sha256: {hmac}\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(text.as_bytes()).await.expect("write");
    stream
}

/// Everything that comes until the connection is closed.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

fn impatient() -> Config {
    let mut config = Config::default();
    config.listen.header_read = Duration::from_millis(500);
    config.limits.body_read = Duration::from_millis(500);
    config
}

#[tokio::test]
async fn slow_senders_are_closed_while_others_go_on() {
    let world = world_with(impatient()).await;
    let address = world.ingest.address;
    let hmac = sign(SECRET, b"x");
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(connect(address, "POST /webhooks HTTP/1.1\r\nX-Shopify").await);
        slow.push(connect(address, &(head(SHOP, &hmac, 1_000) + "only this")).await);
    }
    for id in 0..50 {
        let request = Request::new("products/update", &format!("w{id}"), product(id));
        assert_eq!(world.ingest.status(request).await, 200);
    }
    let all = tokio::time::timeout(Duration::from_secs(20), join_all(slow.into_iter().map(rest)));
    let ends = all.await.expect("all were closed");
    assert!(ends.iter().all(|end| !end.contains("200 OK")));
    assert_eq!(ends.iter().filter(|end| end.contains(" 408 ")).count(), 100);
    assert_eq!(world.ingest.outcomes("slow_body"), 100.0);
    eventually("memory is given back", async || {
        world.ingest.metric("backstock_ingest_in_flight_bytes") == 0.0
    })
    .await;
}

#[tokio::test]
async fn a_flood_for_one_shop_is_refused_for_that_shop_only() {
    let mut config = Config::default();
    config.budget = Budget { requests_max: 40, shop_share: 0.5, ..config.budget };
    let world = world_with(config).await;
    let quiet = "quiet.myshopify.com";
    world.ingest.shops.replace(secrets(&[(SHOP, &[SECRET]), (quiet, &[SECRET])]));
    let hmac = sign(SECRET, b"x");
    let mut held = Vec::new();
    for _ in 0..30 {
        held.push(connect(world.ingest.address, &(head(SHOP, &hmac, 1_000) + "only this")).await);
    }
    let flooded = Request::new("products/update", "w1", product(1));
    eventually("503", async || world.ingest.status(flooded.clone()).await == 503).await;
    for id in 0..50 {
        let request = Request::new("products/update", &format!("w{id}"), product(id));
        assert_eq!(world.ingest.status(request.for_shop(quiet, SECRET)).await, 200);
    }
    assert!(world.ingest.outcomes("shop_overloaded") >= 10.0);
    drop(held);
    eventually("200", async || world.ingest.status(flooded.clone()).await == 200).await;
}

#[tokio::test]
async fn a_sender_that_only_reads_once_it_has_sent_everything_learns_why() {
    let world = world_with(Config::default()).await;
    let body = vec![b' '; 40 * MIB];
    let announced = head(SHOP, &sign(SECRET, b"x"), body.len());
    let forged = head(SHOP, "wronghash", body.len());
    for (head, status) in [(announced, " 413 "), (forged, " 401 ")] {
        let mut stream = connect(world.ingest.address, &head).await;
        stream.write_all(&body).await.expect("all of it");
        assert!(rest(stream).await.contains(status));
    }
}

#[tokio::test]
async fn memory_stays_within_the_budget() {
    let budget = 64 * MIB;
    let limits = Budget { requests_max: 1_000, bytes_max: budget, large_max: 3, shop_share: 1.0 };
    let world = world_with(Config { budget: limits, ..Config::default() }).await;
    let body = vec![b' '; 16 * MIB];
    let hmac = sign(SECRET, &body);
    let before = resident();
    let peak = Arc::new(AtomicU64::new(0));
    let sampling = tokio::spawn({
        let peak = peak.clone();
        async move {
            loop {
                peak.fetch_max(resident(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    let body = Arc::new(body);
    let senders = (0..64).map(|_| {
        let (head, body) = (head(SHOP, &hmac, body.len()), body.clone());
        async move {
            let mut stream = connect(world.ingest.address, &head).await;
            // It may be refused and closed while it sends.
            let _ = stream.write_all(&body).await;
            rest(stream).await
        }
    });
    let answers = join_all(senders).await;
    sampling.abort();
    let count = |status: &str| answers.iter().filter(|a| a.contains(status)).count();
    assert!(count(" 200 ") > 0 && count(" 503 ") > 0, "{} taken", count(" 200 "));
    let grown = peak.load(Ordering::Relaxed).saturating_sub(before) as usize;
    println!("grew by {} MiB with a budget of {} MiB", grown / MIB, budget / MIB);
    // Sockets, the client's buffers and the allocator come on top; 64 bodies would be 1024 MiB.
    assert!(grown < 2 * budget, "grew by {} MiB", grown / MIB);
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib = line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
    kib.expect("a number") * 1024
}
