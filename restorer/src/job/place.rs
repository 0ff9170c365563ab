//! A place among the rows that are worked at, of which there are only so many. A row that waits for an
//! operation leaves it to another meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One place; given up when dropped.
pub(super) struct Place {
    all: Arc<Semaphore>,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Place {
    /// Waits for a place.
    pub(super) async fn among(all: Arc<Semaphore>) -> Self {
        let place = Self { all, held: Mutex::default() };
        place.take().await;
        place
    }

    /// Leaves it to another.
    pub(super) fn leave(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits for one again.
    pub(super) async fn take(&self) {
        // Nobody ever closes it.
        let permit = self.all.clone().acquire_owned().await.ok();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }
}
