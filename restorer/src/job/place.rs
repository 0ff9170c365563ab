//! A place among the rows that are worked at, of which there are only so many. A row that waits for an
//! operation leaves it to another meanwhile.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A row's place, or several where it is large; given up when dropped.
pub(super) struct Place {
    all: Arc<Semaphore>,
    /// How many of all it takes.
    size: u32,
    held: Mutex<Option<OwnedSemaphorePermit>>,
}

impl Place {
    /// Waits for a place as large as that.
    pub(super) async fn among(all: Arc<Semaphore>, size: u32) -> Self {
        let place = Self { all, size, held: Mutex::default() };
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
        let permit = self.all.clone().acquire_many_owned(self.size).await.ok();
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = permit;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_is_large_leaves_fewer_places_to_others_and_takes_as_many_again() {
        let all = Arc::new(Semaphore::new(4));
        let large = Place::among(all.clone(), 3).await;
        let _small = Place::among(all.clone(), 1).await;
        assert!(Place::among(all.clone(), 1).now_or_never().is_none());
        large.leave();
        assert_eq!(all.available_permits(), 3);
        large.take().await;
        assert_eq!(all.available_permits(), 0);
    }
}
