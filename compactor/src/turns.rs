//! How many kinds are read whole at once because they are due, whichever shops they are of. All shops are
//! due at about the same time, and each pull keeps some hundred files open and a thread waiting, but not
//! while Shopify is at work for it, which may take hours.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// As many as a few shops read at once.
const AT_ONCE: usize = 16;

/// A turn to read one kind. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Turns,
    /// Nothing while others have it.
    permit: Option<OwnedSemaphorePermit>,
}

/// Turns, in the order in which they are asked for. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// Stands in line for the next one. There is always one in the end.
    pub(crate) fn next(&self) -> BoxFuture<'static, Option<Turn>> {
        let turns = self.clone();
        let turn = async move {
            let permit = turns.0.clone().acquire_owned().await.ok()?;
            Some(Turn { turns, permit: Some(permit) })
        };
        turn.boxed()
    }
}

impl Turn {
    /// Lets others have it while something is awaited that takes next to nothing, and then stands in line
    /// again.
    pub(crate) async fn let_go<T>(&mut self, awaited: impl Future<Output = T>) -> T {
        drop(self.permit.take());
        let came = awaited.await;
        self.permit = self.turns.0.clone().acquire_owned().await.ok();
        came
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

    #[tokio::test]
    async fn whoever_waits_for_something_else_lets_others_go_first() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for _ in 0..AT_ONCE {
            taken.push(turns.next().await.expect("a turn"));
        }
        assert!(taken[0].let_go(async { turns.next().await.is_some() }).await);
        assert_eq!(turns.0.available_permits(), 0, "it is taken again");
    }
}
