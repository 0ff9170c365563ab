//! From a delivery to an event: a decision over values, without clock or network.

use backstock_proto::kind;
use backstock_proto::webhook::{Delivery, DeliveryError};
use backstock_proto::{Event, ResourceKey, Shop, Source, Timestamp};
use bytes::Bytes;

use crate::secrets::ShopSecrets;

/// Why a delivery is not taken. Nothing of it has been stored.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The headers are not those of a delivery.
    #[error(transparent)]
    Headers(#[from] DeliveryError),
    /// The shop is not configured, so that nobody can have signed for it.
    #[error("{0} is not configured here")]
    UnknownShop(Shop),
    /// None of the shop's secrets signed this body.
    #[error("none of the webhook secrets of {0} signed the body")]
    Forged(Shop),
}

/// Takes a delivery if one of its shop's secrets signed the body, byte for byte as received. Only
/// then is the body looked into, for the id of the resource that it speaks of.
///
/// Headers are not signed. A body of one shop replayed under another fails here, unless both are
/// signed with the same secret; a body replayed under a foreign topic is stored as what it claims
/// to be, and the journal, which reads it whole, puts it in quarantine.
pub fn accept(
    delivery: Delivery,
    body: Bytes,
    secrets: &ShopSecrets,
    received_at: Timestamp,
) -> Result<Event, Refusal> {
    let Some(secrets) = secrets.of(&delivery.shop) else {
        return Err(Refusal::UnknownShop(delivery.shop));
    };
    if !secrets.signed(&body, &delivery.hmac) {
        return Err(Refusal::Forged(delivery.shop));
    }
    let topic = delivery.full_topic();
    let (route, id) = match delivery.source {
        Source::Events => kind::route_event(&delivery.topic, delivery.action.as_deref(), &body),
        _ => {
            let route = kind::route(&topic);
            let id = kind::identify(&route.kind, &body);
            (route, id)
        }
    };
    Ok(Event {
        key: ResourceKey { shop: delivery.shop, kind: route.kind, id },
        facet: route.facet,
        op: route.op,
        source: delivery.source,
        topic,
        api_version: delivery.api_version,
        webhook_id: delivery.webhook_id,
        event_id: delivery.event_id,
        triggered_at: delivery.triggered_at,
        received_at,
        valid_at: None,
        earliest_at: None,
        payload: body,
    })
}
