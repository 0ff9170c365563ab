//! What the journal's tests share: events as ingest publishes them, stores, a NATS server.
#![allow(dead_code, unreachable_pub, clippy::expect_used)]

pub mod model;
pub mod nats;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstock_journal::decode::{Decoded, Message};
use backstock_journal::{Options, Reader, Store};
use backstock_proto::event::header;
use backstock_proto::stream::ops_subject;
use backstock_proto::time::{Clock, SystemClock};
use backstock_proto::{Event, Facet, Kind, Op, ResourceId, ResourceKey, Shop, Source, Timestamp};
use serde_json::{Value, json};

/// 2026-10-01T00:00:00Z: when the tests' histories begin.
pub const BEGIN: i64 = 1_790_812_800_000_000;

/// So many seconds after the beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN + seconds * 1_000_000)
}

/// A product of a shop.
pub fn product(shop: &str, id: &str) -> ResourceKey {
    key(shop, "product", id)
}

pub fn key(shop: &str, kind: &str, id: &str) -> ResourceKey {
    ResourceKey {
        shop: Shop::from_name(shop).expect("shop"),
        kind: Kind::parse(kind).expect("kind"),
        id: ResourceId::parse(id).expect("id"),
    }
}

/// Waits until a store has a message of its stream.
pub async fn applied(store: &Store, seq: u64) {
    for _ in 0..1_000 {
        if store.applied_seq() >= seq {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("applied {} of {seq}", store.applied_seq());
}

/// What Shopify sends about a resource, or what was pulled of it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub key: ResourceKey,
    pub facet: Facet,
    pub source: Source,
    pub op: Op,
    pub valid_at: Option<Timestamp>,
    pub earliest_at: Option<Timestamp>,
    pub payload: Vec<u8>,
    pub triggered_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub webhook_id: Option<String>,
}

/// An update of a product that gives it a title.
pub fn titled(key: &ResourceKey, title: &str, updated_at: Timestamp) -> Delivery {
    let body = json!({
        "id": key.id.as_str().parse::<u64>().unwrap_or(1),
        "admin_graphql_api_id": format!("gid://shopify/Product/{}", key.id),
        "title": title,
        "handle": title.to_lowercase(),
        "updated_at": updated_at,
        "variants": [{"id": 1, "sku": format!("SKU-{title}"), "price": "64.00"}],
    });
    Delivery::of(key, Op::Update, &body, updated_at)
}

/// The product that [`titled`] tells of, as a pull reads it: the same canonical core.
pub fn pulled(key: &ResourceKey, title: &str, updated_at: Timestamp) -> Delivery {
    let node = json!({
        "id": format!("gid://shopify/Product/{}", key.id),
        "title": title,
        "handle": title.to_lowercase(),
        "updatedAt": updated_at,
        "variants": [{"id": "gid://shopify/ProductVariant/1", "sku": format!("SKU-{title}"),
            "price": "64.00", "selectedOptions": []}],
    });
    facet(key, Facet::Core, &node, updated_at)
}

/// A facet of a product as a pull reads it.
pub fn facet(key: &ResourceKey, facet: Facet, node: &Value, valid_at: Timestamp) -> Delivery {
    Delivery {
        facet,
        source: Source::Pull,
        valid_at: Some(valid_at),
        triggered_at: None,
        ..Delivery::of(key, Op::Update, node, valid_at)
    }
}

/// A product's only metafield.
pub fn metafield(key: &ResourceKey, value: &str, valid_at: Timestamp) -> Delivery {
    let metafield = json!({"namespace": "custom", "key": "care", "type": "single_line_text_field",
        "value": value});
    let id = format!("gid://shopify/Product/{}", key.id);
    facet(key, Facet::Metafields, &json!({"id": id, "metafields": [metafield]}), valid_at)
}

/// What is known of a product's only variant beside its core.
pub fn variants(key: &ResourceKey, unit: &str, valid_at: Timestamp) -> Delivery {
    let id = format!("gid://shopify/Product/{}", key.id);
    let known = json!({"id": "gid://shopify/ProductVariant/1", "showUnitPrice": unit});
    let gone = json!({"id": "gid://shopify/ProductVariant/9", "showUnitPrice": unit});
    let node = json!({"id": id, "variantDetails": [known, gone]});
    facet(key, Facet::Variants, &node, valid_at)
}

/// A notice that says nothing but that something happened.
pub fn signal(key: &ResourceKey, notice: &str, triggered_at: Timestamp) -> Delivery {
    let body = json!({"id": key.id.as_str(), "notice": notice});
    Delivery { facet: Facet::Signal, ..Delivery::of(key, Op::Update, &body, triggered_at) }
}

/// The end of a product.
pub fn deleted(key: &ResourceKey, triggered_at: Timestamp) -> Delivery {
    let body = json!({"id": key.id.as_str().parse::<u64>().unwrap_or(1)});
    Delivery::of(key, Op::Delete, &body, triggered_at)
}

impl Delivery {
    pub fn of(key: &ResourceKey, op: Op, body: &Value, triggered_at: Timestamp) -> Self {
        Self {
            key: key.clone(),
            facet: Facet::Core,
            source: Source::Webhook,
            op,
            valid_at: None,
            earliest_at: None,
            payload: body.to_string().into_bytes(),
            triggered_at: Some(triggered_at),
            received_at: triggered_at,
            webhook_id: None,
        }
    }

    pub fn op(mut self, op: Op) -> Self {
        self.op = op;
        self
    }

    pub fn triggered(mut self, at: Timestamp) -> Self {
        self.triggered_at = Some(at);
        self
    }

    pub fn source(mut self, source: Source) -> Self {
        self.source = source;
        self
    }

    pub fn earliest(mut self, at: Timestamp) -> Self {
        self.earliest_at = Some(at);
        self
    }

    pub fn webhook(mut self, id: &str) -> Self {
        self.webhook_id = Some(id.into());
        self
    }

    pub fn event(self) -> Event {
        Event {
            topic: match self.source.is_delivered() {
                true => format!("{}s/{}", self.key.kind, self.op).into(),
                false => "pull".into(),
            },
            key: self.key,
            facet: self.facet,
            op: self.op,
            source: self.source,
            api_version: Some("2026-10".into()),
            webhook_id: self.webhook_id.map(Into::into),
            event_id: None,
            triggered_at: self.triggered_at,
            received_at: self.received_at,
            valid_at: self.valid_at,
            earliest_at: self.earliest_at,
            payload: self.payload.into(),
        }
    }

    /// As the message with this sequence.
    pub fn message(self, seq: u64) -> Message {
        let event = self.event();
        Message {
            seq,
            recorded_at: event.received_at,
            subject: backstock_proto::stream::event_subject(0, &event.key),
            headers: event.to_headers(),
            payload: event.payload,
        }
    }
}

/// Something that was done, as the message with this sequence.
pub fn note(shop: &str, what: &str, id: &str, said: &Value, seq: u64) -> Message {
    let shop = Shop::from_name(shop).expect("shop");
    let payload = said.to_string().into_bytes();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(header::DIGEST, backstock_proto::event::digest(&payload));
    Message {
        seq,
        recorded_at: at(seq as i64),
        subject: ops_subject(0, &shop, what, id),
        headers,
        payload: payload.into(),
    }
}

/// Deliveries as the messages from `first_seq` on.
pub fn decoded(first_seq: u64, deliveries: impl IntoIterator<Item = Delivery>) -> Vec<Decoded> {
    (first_seq..).zip(deliveries).map(|(seq, delivery)| delivery.message(seq).decode()).collect()
}

pub fn open(path: &Path) -> Arc<Store> {
    Arc::new(Store::open(path, Options::for_testing(), at(0)).expect("open"))
}

/// Copies what is in a directory into another one.
pub fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            std::fs::create_dir_all(&to).expect("dir");
            copy_all(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("copied");
        }
    }
}

pub fn reader(store: &Arc<Store>) -> Reader {
    Reader::new(store.clone(), Arc::new(SystemClock) as Arc<dyn Clock>)
}
