//! How a pull is asked for: by whoever answers people, of whoever pulls.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Kind, ResourceId, Shop, Timestamp};

/// The `what` of records of orders for whole pulls: [`Ordered`], one id a kind.
pub const ORDER: &str = "order";
/// The `what` of records of orders for some resources by their ids: [`Order`], one id a kind.
pub const ORDER_BY_ID: &str = "order_by_id";
/// The `what` of records of orders for whole pulls that nobody gave and that are for later.
pub const LATER: &str = "order_later";
/// The `what` of records of such orders that nobody gave and nobody waits for: nothing told of the kind for
/// a while.
pub const UNTOLD: &str = "order_untold";

/// A pull to be made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Of which shop.
    pub shop: Shop,
    /// Of which kinds; of all of them, if empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Of these resources only, of the one kind that is named: each is asked for by its id, and one
    /// that is not found is taken for gone.
    #[serde(default)]
    pub ids: Vec<ResourceId>,
    /// Many deletions at once are meant, and are believed.
    #[serde(default)]
    pub confirm_deletions: bool,
}

/// An order for a whole pull, so that one given before a restart is carried out after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// When it was given.
    pub at: Timestamp,
    /// Many deletions at once are meant, and are believed.
    #[serde(default)]
    pub confirm_deletions: bool,
}

/// The one who pulls cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("the compactor is not available: {0}")]
pub struct PullsUnavailable(pub String);

/// Takes orders for pulls. In `serve` the compactor itself, in split roles the way to it.
#[async_trait]
pub trait Pulls: Send + Sync {
    /// Takes an order; what comes of it is put on record, kind by kind.
    async fn order(&self, order: Order) -> Result<(), PullsUnavailable>;

    /// Up to which of a shop's messages all is asked, and published, that webhooks left open.
    async fn asked_until(&self, shop: &Shop) -> Result<u64, PullsUnavailable>;
}
