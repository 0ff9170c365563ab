//! What Shopify never sends: floods, bombs and senders that never finish.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::backstock::Backstock;
use crate::shopify::{Delivery, instant, sign};

const SLOW_SENDERS: usize = 2_000;

/// Peak resident memory of a process, in MiB.
fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_bodies_are_refused_in_bounded_memory() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let before = peak_mib(backstock.pid("serve"));
    let address = backstock.ingest.strip_prefix("http://").expect("an address").to_owned();
    let mut senders = JoinSet::new();
    for n in 0..32 {
        let address = address.clone();
        senders.spawn(async move { send_100_mb(&address, n % 2 == 0).await });
    }
    let answers = senders.join_all().await;
    let with = |status: &str| {
        answers.iter().filter(|a| a.starts_with(&format!("HTTP/1.1 {status}"))).count()
    };
    // Large bodies have only so many places; whoever finds none is told to come again.
    let (refused, later) = (with("413"), with("503"));
    assert_eq!(refused + later, answers.len(), "{answers:?}");
    assert!(refused >= 16, "those that announce their length: {answers:?}");
    let grown = peak_mib(backstock.pid("serve")) - before;
    println!(
        "{} bodies of 100 MB: {refused} answered 413, {later} answered 503, peak memory grew by {grown} MiB",
        answers.len()
    );
    assert!(grown < 300, "memory grew by {grown} MiB");
}

/// Sends 100 MB, of a length that is announced or not, until the receiver has had enough; then reads
/// what it answered.
async fn send_100_mb(address: &str, announced: bool) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let length = if announced { "Content-Length: 104857600" } else { "Transfer-Encoding: chunked" };
    let head = format!(
        "POST /webhooks HTTP/1.1\r\nHost: x\r\nX-Shopify-Topic: products/update\r\n\
         X-Shopify-Shop-Domain: acme.myshopify.com\r\nX-Shopify-Hmac-Sha256: {}\r\n{length}\r\n\r\n",
        sign("hush", b""),
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let (mut reading, mut writing) = stream.split();
    let mut answer = vec![0; 64];
    let mebibyte = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let send = async {
        for _ in 0..100 {
            if writing.write_all(&mebibyte).await.is_err() {
                break;
            }
        }
        // Refused by now, or never: the answer says which.
        std::future::pending::<()>().await;
    };
    let read = tokio::select! {
        () = send => unreachable!("it waits for ever"),
        read = reading.read(&mut answer) => read.expect("an answer"),
    };
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_that_never_finish_are_closed_and_hurt_nobody() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let address = backstock.ingest.strip_prefix("http://").expect("an address").to_owned();
    let mut slow = JoinSet::new();
    for n in 0..SLOW_SENDERS {
        let address = address.clone();
        slow.spawn(async move {
            let mut stream = TcpStream::connect(&address).await.ok()?;
            let head: &[u8] = if n % 2 == 0 {
                b"POST /webhooks HTTP/1.1\r\nHost: x\r\nX-Shop"
            } else {
                b"POST /webhooks HTTP/1.1\r\nHost: x\r\nX-Shopify-Topic: a/b\r\nX-Shopify-Shop-Domain: acme.myshopify.com\r\n\
                  X-Shopify-Hmac-Sha256: hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI=\r\nContent-Length: 1000\r\n\r\n{"
            };
            stream.write_all(head).await.ok()?;
            let begun = Instant::now();
            let mut rest = Vec::new();
            // An answer, then the end; or the end at once.
            let closed = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut rest)).await;
            closed.ok().map(|_| begun.elapsed())
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut took = Vec::new();
    for n in 0..300 {
        let delivery = Delivery::product(n, "good", 1, format!("good-{n}"));
        let begun = Instant::now();
        let status =
            delivery.send(&backstock.client, &backstock.webhooks()).await.expect("an answer");
        assert_eq!(status, 200);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let closed: Vec<Duration> = slow.join_all().await.into_iter().flatten().collect();
    let last = closed.iter().max().expect("some were closed");
    println!(
        "{SLOW_SENDERS} slow senders: {} closed, the last after {last:.1?}; good clients beside them: p50 {:.1?}, p99 {:.1?}",
        closed.len(),
        took[took.len() / 2],
        took[took.len() * 99 / 100],
    );
    assert_eq!(closed.len(), SLOW_SENDERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_set_aside_and_holds_up_nothing() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let url = backstock.webhooks();
    let deep = [b"{\"id\":1,\"x\":".as_slice(), &b"[".repeat(100_000)].concat();
    let many: String = (0..200_000).map(|n| format!("\"k{n}\":{n},")).collect();
    let many = format!("{{{many}\"id\":9007199254740993}}");
    let poison = [
        ("products/update", deep, true),
        ("products/update", b"not json".to_vec(), true),
        ("products/update", b"{\"id\":1,\"title\":\"\\ud800\"}".to_vec(), true),
        ("products/update", b"\0\0\0".to_vec(), true),
        (
            "products/update",
            b"{\"id\":7,\"admin_graphql_api_id\":\"gid://shopify/Collection/7\"}".to_vec(),
            true,
        ),
        ("carts/update", many.into_bytes(), false),
        ("carts/update", b"{\"id\":\"c\",\"n\":1e999999}".to_vec(), false),
    ];
    for (n, (topic, body, _)) in poison.iter().enumerate() {
        let delivery = Delivery::new(topic, format!("poison-{n}"), instant(1), body.clone());
        assert_eq!(delivery.send(&backstock.client, &url).await.expect("an answer"), 200, "{n}");
    }
    let after = Delivery::product(5, "after", 2, "after");
    assert_eq!(after.send(&backstock.client, &url).await.expect("an answer"), 200);
    let begun = Instant::now();
    while backstock.get("/v1/shops/acme.myshopify.com/resources/product/5").await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(10), "poison holds up what follows");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let expected = poison.iter().filter(|(_, _, poisoned)| *poisoned).count();
    let quarantined = backstock.metric("backstock_journal_quarantined_events").await;
    println!("poison: {expected} expected in quarantine, {quarantined} there");
    assert_eq!(quarantined, expected as f64);
    let (_, cart) =
        backstock.get("/v1/shops/acme.myshopify.com/resources/cart/9007199254740993").await;
    assert_eq!(cart["state"]["k199999"], json!(199_999));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_tokens_and_bodies_never_reach_the_log() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let url = backstock.webhooks();
    let canary = Delivery::product(5, "canary-in-a-body", 2, "w");
    assert_eq!(canary.send(&backstock.client, &url).await.expect("an answer"), 200);
    assert_eq!(
        canary.send_signed(&backstock.client, &url, "canary-secret").await.expect("an answer"),
        401
    );
    backstock.get("/v1/shops/acme.myshopify.com/resources?q=x").await;
    let wrong = backstock
        .client
        .get(format!("{}/v1/shops", backstock.api))
        .bearer_auth("canary-token")
        .send()
        .await;
    assert_eq!(wrong.expect("an answer").status(), 401);
    backstock.signal("serve", nix::sys::signal::Signal::SIGTERM);
    let log = std::fs::read_to_string(backstock.dir.join("serve.log")).expect("a log");
    assert!(!log.is_empty());
    for hidden in ["canary", crate::shopify::SECRET, crate::backstock::TOKEN] {
        assert!(!log.contains(hidden), "{hidden} is in the log:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_taken_away_is_refused_without_a_restart() {
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    assert_eq!(backstock.get("/v1/shops").await.0, 200);
    let file = backstock.dir.join("backstock.toml");
    let whole = std::fs::read_to_string(&file).expect("a configuration");
    let (without, _) = whole.split_once("[[token]]").expect("a token");
    let becomes = async |text: &str, status: u16| {
        std::fs::write(&file, text).expect("written");
        let begun = Instant::now();
        while backstock.get("/v1/shops").await.0 != status {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is never answered {status}");
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    becomes(without, 401).await;
    becomes(&whole, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_a_file_are_rotated_without_a_restart() {
    let mut backstock = Backstock::pulling("webhook_secrets_file = \"secrets\"\n");
    let file = backstock.dir.join("secrets");
    std::fs::write(&file, "old\n").expect("written");
    backstock.start("serve").await;
    let (url, told) = (backstock.webhooks(), Delivery::product(5, "Mug", 1, "w"));
    let answered = async |secret: &str| {
        told.send_signed(&backstock.client, &url, secret).await.expect("an answer").as_u16()
    };
    let becomes = async |secret: &str, status: u16| {
        let begun = Instant::now();
        while answered(secret).await != status {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is never answered {status}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    assert_eq!((answered("old").await, answered("newer").await), (200, 401));
    // Both hold while Shopify goes over to the new one.
    std::fs::write(&file, "newer\nold\n").expect("written");
    becomes("newer", 200).await;
    assert_eq!(answered("old").await, 200);
    std::fs::write(&file, "newer\n").expect("written");
    becomes("old", 401).await;
    // What cannot be read leaves everything as it was.
    std::fs::remove_file(&file).expect("removed");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((answered("newer").await, answered("old").await), (200, 401));
}
