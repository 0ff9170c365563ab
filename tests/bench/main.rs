//! Ingest, end to end, against its own limits and a peer; `make bench` runs it.
//!
//! Everything compared runs in turn, three rounds, and the median counts: machines are noisy, ratios
//! of neighbours are not. The sender, the receiver and the server share the machine.

#![allow(missing_docs)]

mod load;
mod peers;
mod table;

use std::sync::Arc;
use std::time::Duration;

use load::Load;
use peers::{Receiver, Sync};
use table::{median, ratio};

const ROUNDS: usize = 3;
const LENGTH: Duration = Duration::from_secs(3);
const BODY_BYTES: usize = 8_192;

fn main() {
    // Cargo's bench flags are of no interest; a filter is.
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    // The client wants a TLS provider even for http; this is the first installation.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for (name, connections) in [("ingest-64", 64), ("ingest-256", 256)] {
            if name.contains(&filter) {
                ingest(connections, Sync::Always).await;
            }
        }
        if "ingest-lazy".contains(&filter) {
            ingest(64, Sync::Lazy).await;
        }
        if "freshness".contains(&filter) {
            freshness().await;
        }
        if "idle".contains(&filter) {
            idle().await;
        }
    });
}

/// Requests a second and latency: batches, single publishes, the bare publisher, Fastify.
async fn ingest(connections: usize, sync: Sync) {
    println!("\nIngest, {connections} senders, {BODY_BYTES}-byte bodies, server syncs: {sync:?}");
    let body = Arc::new(load::body(BODY_BYTES));
    let mut rows: Vec<(&str, Vec<Load>)> = Vec::new();
    let mut publisher = Vec::new();
    for _ in 0..ROUNDS {
        for receiver in Receiver::ALL {
            let Some(running) = peers::Running::start(receiver, sync).await else {
                continue;
            };
            // One short run first, so that nobody is measured cold.
            load::run(running.address, connections, Duration::from_millis(500), body.clone()).await;
            let load = load::run(running.address, connections, LENGTH, body.clone()).await;
            match rows.iter_mut().find(|(name, _)| *name == receiver.name()) {
                Some((_, loads)) => loads.push(load),
                None => rows.push((receiver.name(), vec![load])),
            }
        }
        publisher.push(peers::publisher_alone(sync, &body, LENGTH).await);
    }
    for (name, loads) in &rows {
        let figure = |f: fn(&Load) -> f64| median(loads.iter().map(f).collect());
        println!(
            "  {name:<34} {:>8.0} req/s   p50 {:>6.1} ms   p99 {:>6.1} ms   not 200: {}",
            figure(|l| l.per_second),
            figure(|l| l.p50.as_secs_f64() * 1e3),
            figure(|l| l.p99.as_secs_f64() * 1e3),
            loads.iter().map(|l| l.refused).sum::<u64>(),
        );
    }
    println!(
        "  {:<34} {:>8.0} msg/s",
        "the bare publisher, batches of 256",
        median(publisher.iter().map(|p| p.batches).collect())
    );
    println!(
        "  {:<34} {:>8.0} msg/s",
        "the bare publisher, 64 singles",
        median(publisher.iter().map(|p| p.singles).collect())
    );
    let ours = &rows[0].1;
    for (name, loads) in rows.iter().skip(1) {
        println!("  Backstock / {name}: {}", ratio(ours, loads, |l| l.per_second));
        println!("  p99 of Backstock / {name}: {}", ratio(ours, loads, |l| l.p99.as_secs_f64()));
    }
    let best: Vec<f64> = publisher.iter().map(|p| p.batches.max(p.singles)).collect();
    let shares = ours.iter().zip(&best).map(|(l, p)| l.per_second / p).collect();
    println!("  Backstock / the bare publisher at its best: {:.2}", median(shares));
    if !rows.iter().any(|(name, _)| *name == Receiver::Fastify.name()) {
        println!("  Fastify: not run, it needs node and npm");
    }
}

/// From 200 to readable, under half load.
async fn freshness() {
    let Some(running) = peers::Running::start(Receiver::Serve, Sync::Always).await else { return };
    let body = Arc::new(load::body(BODY_BYTES));
    let times = peers::freshness(&running, &body, LENGTH).await;
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("\nAnswered 200 → readable, beside 16 senders ({} probes)", times.len());
    println!("  p50 {:.1} ms   p99 {:.1} ms", at(0.5), at(0.99));
}

/// Start to ready, and memory at rest, of `serve` with its nats-server.
async fn idle() {
    let mut ready = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        let Some(running) = peers::Running::start(Receiver::Serve, Sync::Always).await else {
            return;
        };
        ready.push(running.ready_after.as_secs_f64());
        tokio::time::sleep(Duration::from_secs(2)).await;
        memory.push(running.resident_bytes() as f64 / f64::from(1 << 20));
    }
    println!(
        "\n`serve` at rest\n  start to ready {:.2} s   resident with nats-server {:.0} MiB",
        median(ready),
        median(memory)
    );
}
