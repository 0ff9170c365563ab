//! The answers, by what they are about.

use std::sync::Arc;

use axum::extract::State;
use backstock_proto::problem::Problem;
use backstock_proto::{Shop, Timestamp};
use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use crate::{Desk, refuse};

pub(crate) mod audit;
pub(crate) mod blob;
pub(crate) mod change;
pub(crate) mod change_set;
pub(crate) mod erasure;
pub(crate) mod export;
pub(crate) mod incident;
pub(crate) mod job;
pub(crate) mod mark;
pub(crate) mod plan;
pub(crate) mod proof;
pub(crate) mod pull;
pub(crate) mod resource;
pub(crate) mod rollback;
pub(crate) mod shop;
pub(crate) mod snapshot;
pub(crate) mod upkeep;
pub(crate) mod version;

/// Where a handler finds its tools.
pub(crate) type AtDesk = State<Arc<Desk>>;

impl Desk {
    /// The instant that an answer speaks of: the one asked for, or now. Shopify's clock may be
    /// ahead of ours, so "now" is never before what is shown, and asking again with it shows the
    /// same.
    fn shown_at(&self, asked: Option<Timestamp>, valid_at: Timestamp) -> Timestamp {
        asked.unwrap_or_else(|| self.clock.now().max(valid_at))
    }

    /// Refuses a shop that is neither configured nor has any history, so that an empty list always
    /// means that nothing was found in a shop that is there.
    pub(crate) async fn known(&self, shop: &Shop) -> Result<(), Problem> {
        if self.config.shops.contains(shop) {
            return Ok(());
        }
        match self.journal.status(shop).await.map_err(refuse::journal)? {
            Some(_) => Ok(()),
            None => Err(refuse::unknown_shop(&shop.domain())),
        }
    }

    /// A place among those who read, or bring, whole shops: each takes memory and disk while it does.
    pub(crate) fn whole_shop(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.snapshots.clone().try_acquire_owned().map_err(|_| {
            let detail = format!(
                "{} whole shops are being read already, as many as may be; try again in a moment",
                self.config.snapshots_max
            );
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })
    }
}
