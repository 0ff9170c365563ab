//! How many kinds are read whole at once because they are due, whichever shops they are of. All shops are
//! due at about the same time, and each pull keeps some hundred files open and a thread waiting.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many as a few shops read at once.
const AT_ONCE: usize = 16;

/// A turn to read one kind. It ends when this is dropped.
pub(crate) type Turn = OwnedSemaphorePermit;

/// Turns, in the order in which they are asked for. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Stands in line for the next one. There is always one in the end.
    pub(crate) fn next(&self) -> BoxFuture<'static, Option<Turn>> {
        self.0.clone().acquire_owned().map(Result::ok).boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn whoever_is_one_too_many_waits_until_somebody_is_done() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turns.next().await.expect("a turn"));
        }
        let mut next = turns.next();
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut next).await.is_err());
        taken.pop();
        assert!(next.await.is_some());
    }
}
