//! What the journal's tests share: events as ingest publishes them, stores, a NATS server.
#![allow(dead_code, unreachable_pub, clippy::expect_used)]

pub mod model;
pub mod nats;

use std::path::Path;
use std::sync::Arc;

use backstock_journal::decode::{Decoded, Message};
use backstock_journal::{Options, Reader, Store};
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

/// What Shopify sends about a product.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub key: ResourceKey,
    pub op: Op,
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

/// The end of a product.
pub fn deleted(key: &ResourceKey, triggered_at: Timestamp) -> Delivery {
    let body = json!({"id": key.id.as_str().parse::<u64>().unwrap_or(1)});
    Delivery::of(key, Op::Delete, &body, triggered_at)
}

impl Delivery {
    pub fn of(key: &ResourceKey, op: Op, body: &Value, triggered_at: Timestamp) -> Self {
        Self {
            key: key.clone(),
            op,
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

    pub fn webhook(mut self, id: &str) -> Self {
        self.webhook_id = Some(id.into());
        self
    }

    pub fn event(self) -> Event {
        Event {
            topic: format!("{}s/{}", self.key.kind, self.op).into(),
            key: self.key,
            facet: Facet::Core,
            op: self.op,
            source: Source::Webhook,
            api_version: Some("2026-10".into()),
            webhook_id: self.webhook_id.map(Into::into),
            event_id: None,
            triggered_at: self.triggered_at,
            received_at: self.received_at,
            valid_at: None,
            earliest_at: None,
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

/// Deliveries as the messages from `first_seq` on.
pub fn decoded(first_seq: u64, deliveries: impl IntoIterator<Item = Delivery>) -> Vec<Decoded> {
    (first_seq..).zip(deliveries).map(|(seq, delivery)| delivery.message(seq).decode()).collect()
}

pub fn open(path: &Path) -> Arc<Store> {
    Arc::new(Store::open(path, Options::for_testing(), at(0)).expect("open"))
}

pub fn reader(store: &Arc<Store>) -> Reader {
    Reader::new(store.clone(), Arc::new(SystemClock) as Arc<dyn Clock>)
}
