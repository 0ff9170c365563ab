//! How a pull is asked for: by whoever answers people, of whoever pulls.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Kind, Shop};

/// A pull to be made now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Of which shop.
    pub shop: Shop,
    /// Of which kinds; of all of them, if empty.
    #[serde(default)]
    pub kinds: Vec<Kind>,
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
}
