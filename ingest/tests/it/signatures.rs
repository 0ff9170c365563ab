//! What is signed is taken, byte for byte; what is not is refused.

use std::path::Path;

use backstock_ingest::{Refusal, ShopSecrets, accept};
use backstock_proto::webhook::Delivery;
use backstock_proto::{Event, Shop, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use crate::world::{Request, SHOP, secrets, sign, world};

/// What a sender with this header and body gets to hear from a shop with this secret.
fn judge(secret: &str, body: &[u8], hmacs: &[&str]) -> Result<Event, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert("x-shopify-topic", HeaderValue::from_static("products/update"));
    headers.insert("x-shopify-shop-domain", HeaderValue::from_static(SHOP));
    for hmac in hmacs {
        let name = HeaderName::from_static("x-shopify-hmac-sha256");
        headers.append(name, HeaderValue::from_str(hmac).expect("a header value"));
    }
    let shops = ShopSecrets::new(secrets(&[(SHOP, &["other", secret])]));
    let delivery = Delivery::parse(&headers)?;
    accept(delivery, Bytes::copy_from_slice(body), &shops, Timestamp::MIN)
}

#[test]
fn known_signatures_hold() {
    let long = "k".repeat(200);
    for (secret, body, hmac) in [
        // RFC 4231, test case 2.
        ("Jefe", "what do ya want for nothing?", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
        ("hush", "\"my secret message\"", "hMTq0K2x7oyOjoBwGYeTj5oxfnaVYXzbanUG9aajpKI="),
        (&long, "{\"id\":788032119674292922}", "k9kg8enKdDke57Z9hJn2sR/rMu3G+uYaQ9FaTWI+RXU="),
    ] {
        let event = judge(secret, body.as_bytes(), &[hmac]).expect("signed");
        assert_eq!(event.payload, body);
        let forged = Err(Refusal::Forged(Shop::parse(SHOP).expect("a shop")));
        assert_eq!(judge(secret, b"", &[hmac]), forged);
        assert_eq!(judge("guess", body.as_bytes(), &[hmac]), forged);
    }
}

#[tokio::test]
async fn every_sample_is_stored_byte_for_byte() {
    let world = world().await;
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/tests/bodies");
    let mut samples: Vec<_> = std::fs::read_dir(dir)
        .expect("the samples")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    samples.sort();
    let mut sent = Vec::new();
    for path in samples {
        let body = std::fs::read(&path).expect("a sample");
        let stem = path.file_stem().and_then(|s| s.to_str()).expect("a name").to_owned();
        let topic = stem.replacen('_', "/", 1);
        let answer = world.ingest.status(Request::new(&topic, &stem, body.clone())).await;
        assert_eq!(answer, 200, "{topic}");
        sent.push((topic, body));
    }
    assert!(sent.len() >= 4, "{} samples", sent.len());
    let stored = world.nats.messages().await;
    assert_eq!(stored.len(), sent.len());
    for (message, (topic, body)) in stored.iter().zip(&sent) {
        let event =
            Event::from_message(&message.subject, &message.headers, message.payload.clone());
        let event = event.expect("an event");
        assert_eq!(*event.topic, **topic);
        assert_eq!(event.payload, *body, "{topic}");
    }
}

/// Ways to get a signature wrong.
#[derive(Clone, Debug)]
enum Forgery {
    BitFlipped { bit: usize },
    BodyChanged { bit: usize },
    Cut { len: usize },
    Padded { more: Vec<u8> },
    Noise(Vec<u8>),
    Text(String),
    Twice,
    Hexadecimal,
    OtherSecret(String),
}

fn forgery() -> impl Strategy<Value = Forgery> {
    prop_oneof![
        (0..256_usize).prop_map(|bit| Forgery::BitFlipped { bit }),
        any::<prop::sample::Index>().prop_map(|i| Forgery::BodyChanged { bit: i.index(8_000) }),
        (0..32_usize).prop_map(|len| Forgery::Cut { len }),
        prop::collection::vec(any::<u8>(), 1..64).prop_map(|more| Forgery::Padded { more }),
        prop::collection::vec(any::<u8>(), 32).prop_map(Forgery::Noise),
        "[ -~]{0,60}".prop_map(Forgery::Text),
        Just(Forgery::Twice),
        Just(Forgery::Hexadecimal),
        "[!-~]{1,80}".prop_map(Forgery::OtherSecret),
    ]
}

fn flip(bytes: &mut [u8], bit: usize) {
    let at = bit / 8 % bytes.len();
    bytes[at] ^= 1 << (bit % 8);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        crate::times("PROPTEST_CASES", 5_000) as u32
    ))]

    #[test]
    fn no_forgery_is_taken(
        secret in "[!-~]{1,80}",
        body in prop::collection::vec(any::<u8>(), 1..1_000),
        forgery in forgery(),
    ) {
        let right = sign(&secret, &body);
        prop_assert!(judge(&secret, &body, &[&right]).is_ok());
        let mut mac = STANDARD.decode(&right).expect("base64");
        let mut sent = body.clone();
        let hmacs = match forgery {
            Forgery::BitFlipped { bit } => {
                flip(&mut mac, bit);
                vec![STANDARD.encode(&mac)]
            }
            Forgery::BodyChanged { bit } => {
                flip(&mut sent, bit);
                vec![right]
            }
            Forgery::Cut { len } => vec![STANDARD.encode(&mac[..len])],
            Forgery::Padded { more } => {
                mac.extend(more);
                vec![STANDARD.encode(&mac)]
            }
            Forgery::Noise(noise) => {
                prop_assume!(noise != mac);
                vec![STANDARD.encode(noise)]
            }
            Forgery::Text(text) => {
                prop_assume!(text.trim() != right);
                vec![text]
            }
            Forgery::Twice => vec![right.clone(), right],
            Forgery::Hexadecimal => vec![mac.iter().map(|b| format!("{b:02x}")).collect()],
            Forgery::OtherSecret(other) => {
                prop_assume!(other != secret && other != "other");
                vec![sign(&other, &body)]
            }
        };
        let hmacs: Vec<_> = hmacs.iter().map(String::as_str).collect();
        prop_assert!(judge(&secret, &sent, &hmacs).is_err());
    }
}
