//! How much of what pulls have found may be held until it is on the stream, whichever shop it is of: one
//! finding may be a product's tags, and the next one megabytes of a theme.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// All of it, in KiB.
const KIB_MAX: usize = 64 << 10;

/// Room for findings. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

impl Room {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(KIB_MAX)))
    }

    /// Waits for room, on a thread that may block; it is free again once the answer is dropped. What is
    /// larger than all of it has it to itself.
    pub(crate) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = bytes.div_ceil(1 << 10).clamp(1, KIB_MAX) as u32;
        // It is never closed.
        Handle::current().block_on(self.0.clone().acquire_many_owned(kib)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_is_found_waits_until_there_is_room() {
        let room = Room::new();
        let take = |bytes: usize| {
            let room = room.clone();
            tokio::task::spawn_blocking(move || room.take(bytes))
        };
        let all = take(usize::MAX).await.expect("an answer");
        let mut next = take(1);
        let waits = tokio::time::timeout(Duration::from_millis(50), &mut next).await;
        assert!(waits.is_err(), "there is no room");
        drop(all);
        assert!(next.await.expect("an answer").is_some());
    }
}
