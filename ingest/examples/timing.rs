//! Whether the time that a wrong signature takes tells how much of it was right: Welch's t between
//! signatures wrong in their first and in their last byte, taken in random order. Below 4.5 in
//! absolute terms nothing can be told apart.
//!
//! `cargo run --release -p backstock-ingest --example timing -- [samples]`

use std::hint::black_box;
use std::time::Instant;

use backstock_ingest::ShopSecrets;
use backstock_proto::Shop;
use hmac::{Hmac, KeyInit, Mac};
use rand::Rng;
use sha2::Sha256;

const BODY: &[u8] = br#"{"id":788032119674292922,"title":"Kettle"}"#;

#[derive(Default)]
struct Class {
    n: f64,
    mean: f64,
    squares: f64,
}

fn main() {
    let samples = std::env::args().nth(1).map_or(100_000, |arg| arg.parse().expect("a number"));
    let shop = Shop::parse("acme.myshopify.com").expect("a shop");
    let shops = ShopSecrets::new([(shop.clone(), vec!["new".into(), "old".into()])]);
    let secrets = shops.of(&shop).expect("its secrets");
    let mac = Hmac::<Sha256>::new_from_slice(b"new").expect("any length");
    let right: [u8; 32] = mac.chain_update(BODY).finalize().into_bytes().into();
    let wrong = [0, 31].map(|at| {
        let mut wrong = right;
        wrong[at] ^= 1;
        wrong
    });

    let mut random = rand::rng();
    let mut taken = Vec::with_capacity(samples);
    for _ in 0..samples {
        let class = usize::from(random.random::<bool>());
        let begun = Instant::now();
        assert!(!black_box(secrets.signed(black_box(BODY), black_box(&wrong[class]))));
        taken.push((class, begun.elapsed().as_nanos() as f64));
    }
    // The slowest percent is the machine doing something else.
    let mut sorted: Vec<_> = taken.iter().map(|(_, ns)| *ns).collect();
    sorted.sort_by(f64::total_cmp);
    let most = sorted[sorted.len() * 99 / 100];
    let mut classes = [Class::default(), Class::default()];
    for (class, ns) in taken.into_iter().filter(|(_, ns)| *ns <= most) {
        classes[class].add(ns);
    }
    let [first, last] = classes;
    let t = (first.mean - last.mean) / (first.variance_of_mean() + last.variance_of_mean()).sqrt();
    println!(
        "first byte wrong: {:.1} ns; last byte wrong: {:.1} ns; t = {t:.2} over {samples} samples",
        first.mean, last.mean
    );
}

impl Class {
    fn add(&mut self, x: f64) {
        self.n += 1.0;
        let from_mean = x - self.mean;
        self.mean += from_mean / self.n;
        self.squares += from_mean * (x - self.mean);
    }

    fn variance_of_mean(&self) -> f64 {
        self.squares / (self.n - 1.0) / self.n
    }
}
