//! How fast the journal writes and reads, beside RocksDB alone with the same bytes, options and
//! syncs. Prints figures and asserts none: only ratios of one run mean anything.
//!
//! `cargo bench -p backstock-journal`; `BACKSTOCK_BENCH_VERSIONS` sets the size (default 20,000).
#![allow(clippy::expect_used)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_journal::decode::{Decoded, Message};
use backstock_journal::stream::ensure_stream;
use backstock_journal::{Config, Options, Store};
use backstock_proto::Timestamp;
use backstock_proto::journal::{AsOf, Journal};
use backstock_proto::listen::Readiness;
use backstock_proto::stream::stream_config;
use backstock_proto::time::SystemClock;
use futures::StreamExt;
use serde_json::json;
use support::nats::Nats;
use support::{Delivery, at, product};
use tokio_util::sync::CancellationToken;

/// As in the binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BATCH: usize = 512;
const VERSIONS_PER_PRODUCT: usize = 200;
const ROUNDS: usize = 3;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let total: usize = std::env::var("BACKSTOCK_BENCH_VERSIONS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(20_000);
    let products = total.div_ceil(VERSIONS_PER_PRODUCT);
    // Set A: every product is edited in turn.
    let messages: Vec<Message> =
        (0..total).map(|n| edited(n % products, n / products).message(n as u64 + 1)).collect();
    let bytes: usize = messages.iter().map(|message| message.payload.len()).sum();
    println!("{total} versions of {products} products, {} bytes each", bytes / total);
    let mut rates = vec![Vec::new(); 5];
    for round in 0..ROUNDS {
        rates[0].push(raw_rocksdb(&messages));
        let (decoding, decoded) = timed(|| decode(messages.clone()));
        rates[1].push(total as f64 / decoding.as_secs_f64());
        let dir = tempfile::tempdir().expect("a directory");
        let store = open(dir.path());
        let (appending, ()) = timed(|| append(&store, &decoded));
        rates[2].push(total as f64 / appending.as_secs_f64());
        rates[3].push(pipelined(&messages));
        rates[4].push(runtime.block_on(catch_up(&messages)));
        if round + 1 == ROUNDS {
            reads(&runtime, &store, products);
            let density = density(&store, dir.path(), total);
            println!("{density:>12.0} bytes on disk per version after compaction");
        }
    }
    let median = |rates: &mut Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let raw = median(&mut rates[0]);
    let names = [
        "RocksDB alone, same bytes, synced",
        "decode, one thread",
        "append of decoded events",
        "decode and append, no stream",
        "catch-up from a stream",
    ];
    for (name, rates) in names.iter().zip(&mut rates) {
        let rate = median(rates);
        println!("{rate:>12.0} /s  {:.2} of RocksDB alone  {name}", rate / raw);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let started = Instant::now();
    let done = work();
    (started.elapsed(), done)
}

fn open(path: &Path) -> Arc<Store> {
    Arc::new(Store::open(path, Options::default(), at(0)).expect("a store"))
}

fn words(seed: &str, count: usize) -> String {
    const WORDS: [&str; 24] = [
        "linen", "washed", "heavy", "soft", "organic", "cotton", "cut", "loose", "collar", "with",
        "buttons", "made", "from", "shell", "pocket", "seams", "double", "stitched", "the", "and",
        "for", "summer", "evenings", "natural",
    ];
    let mut noise = blake3::Hasher::new().update(seed.as_bytes()).finalize_xof();
    let mut picks = vec![0; count];
    noise.fill(&mut picks);
    picks.iter().map(|pick| WORDS[usize::from(*pick) % 24]).collect::<Vec<_>>().join(" ")
}

/// A product of about 8 KB in its n-th edition: one variant's price or a few words differ.
fn edited(n: usize, edition: usize) -> Delivery {
    let key = product("acme", &(632_910_392_000 + n).to_string());
    let seconds = (edition * 60 + n % 60) as i64;
    let variants: Vec<_> = (0..12)
        .map(|v| {
            let price = format!("{}.00", 40 + v + if edition % 12 == v { edition } else { 0 });
            let id = 39_072_856_000_usize + n * 100 + v;
            json!({
                "id": id, "admin_graphql_api_id": format!("gid://shopify/ProductVariant/{id}"),
                "product_id": 632_910_392_000_usize + n, "title": format!("Size {v} / Sand"),
                "price": price, "position": v + 1, "inventory_policy": "deny",
                "compare_at_price": null, "option1": format!("Size {v}"), "option2": "Sand",
                "created_at": "2026-01-01T10:00:00-05:00", "updated_at": at(seconds),
                "taxable": true, "barcode": format!("{:013}", id), "sku": format!("LIN-{n}-{v}"),
                "inventory_item_id": id + 7, "inventory_quantity": 10, "old_inventory_quantity": 10,
            })
        })
        .collect();
    let body = json!({
        "id": 632_910_392_000_usize + n,
        "admin_graphql_api_id": format!("gid://shopify/Product/{}", key.id),
        "title": format!("Shirt {n}"), "handle": format!("shirt-{n}"),
        "body_html": format!("<p>{}</p><p>{}</p>", words(&n.to_string(), 300),
            words(&format!("{n}-{edition}"), 8)),
        "vendor": "Linen House", "product_type": "Shirts", "tags": "linen, summer",
        "status": "active", "created_at": "2026-01-01T10:00:00-05:00", "updated_at": at(seconds),
        "options": [{"id": n, "name": "Size", "position": 1,
            "values": (0..12).map(|v| format!("Size {v}")).collect::<Vec<_>>()},
            {"id": n + 1, "name": "Colour", "position": 2, "values": ["Sand"]}],
        "variants": variants, "media": [],
    });
    let micros = Timestamp::from_micros(at(seconds).as_micros() + 318_207 + (n % 997) as i64);
    Delivery::of(&key, backstock_proto::Op::Update, &body, micros)
        .webhook(&format!("b54557e4-{n:04x}-4cb1-{edition:04x}-4d5c8a9b2e1f"))
}

fn decode(messages: Vec<Message>) -> Vec<Decoded> {
    messages.into_iter().map(Message::decode).collect()
}

fn append(store: &Store, decoded: &[Decoded]) {
    for batch in decoded.chunks(BATCH) {
        black_box(store.append(batch, at(0)).expect("appended"));
    }
}

/// Decoding ahead on a thread of its own, as the journal does, without a server in the way.
fn pipelined(messages: &[Message]) -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let (took, ()) = timed(|| {
        std::thread::scope(|scope| {
            let (send, receive) = crossbeam_channel::bounded(2);
            scope.spawn(move || {
                for batch in messages.chunks(BATCH) {
                    send.send(decode(batch.to_vec())).expect("taken");
                }
            });
            for batch in receive {
                store.append(&batch, at(0)).expect("appended");
            }
        });
    });
    messages.len() as f64 / took.as_secs_f64()
}

/// The payloads alone, into the same family with the same options, synced per batch.
fn raw_rocksdb(messages: &[Message]) -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let (db, family) =
        backstock_journal::bare_rocksdb(dir.path(), Options::default()).expect("RocksDB");
    let mut durable = rocksdb::WriteOptions::default();
    durable.set_sync(true);
    let (took, ()) = timed(|| {
        for batch in messages.chunks(BATCH) {
            let mut writes = rocksdb::WriteBatch::default();
            for message in batch {
                let handle = db.cf_handle(family).expect("a family");
                writes.put_cf(handle, message.seq.to_be_bytes(), &message.payload);
            }
            db.write_opt(writes, &durable).expect("written");
        }
    });
    messages.len() as f64 / took.as_secs_f64()
}

/// A backlog in a real stream, read by the journal as it runs.
async fn catch_up(messages: &[Message]) -> f64 {
    let (nats, dir) = (Nats::start().await, tempfile::tempdir().expect("a directory"));
    let store = open(dir.path());
    let jetstream = nats.jetstream().await;
    ensure_stream(&jetstream, &store, stream_config((0, 1), 1, 8 << 30)).await.expect("a stream");
    let publishes = futures::stream::iter(messages).map(|message| {
        let Message { subject, headers, payload, .. } = message.clone();
        let jetstream = jetstream.clone();
        async move {
            jetstream
                .publish_with_headers(subject, headers, payload)
                .await
                .expect("sent")
                .await
                .expect("stored")
        }
    });
    publishes.buffered(128).for_each(async |_| {}).await;
    let shutdown = CancellationToken::new();
    let (registry, part) = (prometheus::Registry::new(), Readiness::new().part("journal"));
    let (journal, told) = (store.clone(), shutdown.clone());
    let started = Instant::now();
    let running = tokio::spawn(async move {
        let clock = Arc::new(SystemClock);
        let config = Config::default();
        backstock_journal::run(config, journal, jetstream, &registry, part, clock, told).await
    });
    while store.applied_seq() < messages.len() as u64 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = started.elapsed();
    shutdown.cancel();
    running.await.expect("no panic").expect("ended");
    messages.len() as f64 / took.as_secs_f64()
}

fn reads(runtime: &tokio::runtime::Runtime, store: &Arc<Store>, products: usize) {
    store.compact();
    let reader = support::reader(store);
    let mut micros = Vec::new();
    for pass in 0..2 {
        micros.clear();
        for n in 0..10_000 {
            let key = edited_key(n * 7_919 % products);
            let then = AsOf::At(at((n * 31 % (VERSIONS_PER_PRODUCT * 60)) as i64));
            let (took, found) =
                timed(|| runtime.block_on(reader.resource(&key, then)).expect("read"));
            black_box(found);
            micros.push(took.as_secs_f64() * 1e6);
        }
        if pass == 1 {
            micros.sort_by(f64::total_cmp);
            let (p50, p99) = (micros[5_000], micros[9_900]);
            println!("{p50:>12.1} us p50, {p99:.1} us p99 of a read as of an instant");
        }
    }
    let shop = edited_key(0).shop;
    let half = AsOf::At(at((VERSIONS_PER_PRODUCT * 30) as i64));
    let (took, count) = timed(|| {
        runtime.block_on(async {
            reader.snapshot(&shop, half, None).await.expect("a snapshot").count().await
        })
    });
    let rate = count as f64 / took.as_secs_f64();
    println!("{rate:>12.0} /s resources of a snapshot ({count})");
}

fn edited_key(n: usize) -> backstock_proto::ResourceKey {
    product("acme", &(632_910_392_000 + n).to_string())
}

fn density(store: &Arc<Store>, path: &Path, total: usize) -> f64 {
    store.compact();
    let sizes = std::fs::read_dir(path).expect("a directory").map(|file| {
        let file = file.expect("a file");
        let sorted = file.path().extension().is_some_and(|extension| extension == "sst");
        if sorted { file.metadata().expect("its length").len() } else { 0 }
    });
    sizes.sum::<u64>() as f64 / total as f64
}
