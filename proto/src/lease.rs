//! What one process does at a time where several could: a lease ends by itself when its holder does,
//! and what is done by it ends with it.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use async_nats::jetstream::context::CreateKeyValueError;
use async_nats::jetstream::{self, kv};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::Shop;

/// How long a lease holds that is not renewed.
pub const HOLDS: Duration = Duration::from_secs(12);
/// How often its holder renews it.
pub const RENEW_EVERY: Duration = Duration::from_secs(3);
/// How long its holder relies on it after he asked for it: a while less than it holds.
const RELIED_ON: Duration = HOLDS.saturating_sub(RENEW_EVERY);
/// The bucket of the leases by which jobs write to shops.
const JOBS: &str = "backstock-leases";

/// Nobody can say who holds a lease.
#[derive(Debug, thiserror::Error)]
#[error("the lease of {shop} cannot be taken or renewed: {reason}")]
pub struct LeaseError {
    /// Whose.
    pub shop: Shop,
    /// Why not.
    pub reason: String,
}

/// Says who may write to a shop.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease of a shop, or renews it. False: somebody else holds it.
    async fn take(&self, shop: &Shop, holder: &str) -> Result<bool, LeaseError>;
    /// Gives it back, if it is the holder's.
    async fn release(&self, shop: &Shop, holder: &str) -> Result<(), LeaseError>;
}

/// Leases within one process: enough where there is one restorer, as in `serve`.
#[derive(Debug, Default)]
pub struct LocalLeases {
    held: Mutex<HashMap<Shop, String>>,
}

#[async_trait]
impl Leases for LocalLeases {
    async fn take(&self, shop: &Shop, holder: &str) -> Result<bool, LeaseError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(held.entry(shop.clone()).or_insert_with(|| holder.to_owned()) == holder)
    }

    async fn release(&self, shop: &Shop, holder: &str) -> Result<(), LeaseError> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.get(shop).is_some_and(|by| by == holder) {
            held.remove(shop);
        }
        Ok(())
    }
}

/// Leases between processes: entries of a NATS bucket that forgets what is not renewed.
#[derive(Clone, Debug)]
pub struct SharedLeases {
    bucket: kv::Store,
}

impl SharedLeases {
    /// Opens the bucket, and makes it if it is not there.
    pub async fn open(
        jetstream: &jetstream::Context,
        replicas: usize,
    ) -> Result<Self, CreateKeyValueError> {
        let description = "Backstock: which restorer writes to which shop";
        let bucket = bucket(jetstream, (JOBS, description), HOLDS, replicas).await?;
        Ok(Self { bucket })
    }
}

/// Opens a bucket, and makes it if it is not there. It forgets what is not said again for `max_age`;
/// nothing, if that is zero.
pub async fn bucket(
    jetstream: &jetstream::Context,
    (name, description): (&str, &str),
    max_age: Duration,
    replicas: usize,
) -> Result<kv::Store, CreateKeyValueError> {
    if let Ok(bucket) = jetstream.get_key_value(name).await {
        return Ok(bucket);
    }
    let config = kv::Config {
        bucket: name.into(),
        description: description.into(),
        history: 1,
        max_age,
        num_replicas: replicas,
        ..kv::Config::default()
    };
    jetstream.create_key_value(config).await
}

#[async_trait]
impl Leases for SharedLeases {
    async fn take(&self, shop: &Shop, holder: &str) -> Result<bool, LeaseError> {
        let failed = |reason: String| LeaseError { shop: shop.clone(), reason };
        let holder = bytes::Bytes::copy_from_slice(holder.as_bytes());
        let entry = self.bucket.entry(shop.name()).await.map_err(|e| failed(e.to_string()))?;
        match entry.filter(|entry| entry.operation == kv::Operation::Put) {
            Some(entry) if entry.value != holder => Ok(false),
            Some(entry) => match self.bucket.update(shop.name(), holder, entry.revision).await {
                Ok(_) => Ok(true),
                Err(e) if e.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(false),
                Err(e) => Err(failed(e.to_string())),
            },
            None => match self.bucket.create(shop.name(), holder).await {
                Ok(_) => Ok(true),
                Err(e) if e.kind() == kv::CreateErrorKind::AlreadyExists => Ok(false),
                Err(e) => Err(failed(e.to_string())),
            },
        }
    }

    async fn release(&self, shop: &Shop, holder: &str) -> Result<(), LeaseError> {
        let failed = |reason: String| LeaseError { shop: shop.clone(), reason };
        let entry = self.bucket.entry(shop.name()).await.map_err(|e| failed(e.to_string()))?;
        let ours = entry.filter(|entry| entry.value.as_ref() == holder.as_bytes());
        let Some(entry) = ours else { return Ok(()) };
        let freed = self.bucket.delete_expect_revision(shop.name(), Some(entry.revision)).await;
        freed.map_err(|e| failed(e.to_string()))
    }
}

/// A lease as its holder knows it. He may be stopped and go on much later without noticing: what he
/// does by it ends with it.
#[derive(Debug)]
pub struct Held {
    /// When it was asked for last; never, if nobody else can have it.
    asked_at: Option<Mutex<Instant>>,
    lost: CancellationToken,
}

impl Held {
    /// It was asked for at this moment, and given.
    pub fn new(asked_at: Instant) -> Self {
        Self { asked_at: Some(Mutex::new(asked_at)), lost: CancellationToken::new() }
    }

    /// It is nobody else's, and needs no renewing.
    pub fn for_good() -> Self {
        Self { asked_at: None, lost: CancellationToken::new() }
    }

    /// It was renewed; that was asked for at this moment.
    pub fn renewed(&self, asked_at: Instant) {
        if let Some(last) = &self.asked_at {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = asked_at;
        }
    }

    /// Somebody else has it.
    pub fn lose(&self) {
        self.lost.cancel();
    }

    /// Whether somebody else may have it.
    pub fn is_lost(&self) -> bool {
        let asked_at = self.asked_at.as_ref();
        let asked_at = asked_at.map(|at| *at.lock().unwrap_or_else(PoisonError::into_inner));
        self.lost.is_cancelled() || asked_at.is_some_and(|at| at.elapsed() >= RELIED_ON)
    }

    /// Waits until somebody else has it.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Renews it by asking with `ask` again and again, until `stop` or until it is lost.
    pub async fn keep<E, F: Future<Output = Result<bool, E>>>(
        &self,
        mut ask: impl FnMut() -> F,
        stop: &CancellationToken,
    ) {
        let mut renew = tokio::time::interval(RENEW_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = renew.tick() => {}
            }
            let asked_at = Instant::now();
            match ask().await {
                Ok(true) if !self.is_lost() => self.renewed(asked_at),
                Err(_) if !self.is_lost() => {}
                Ok(_) | Err(_) => return self.lose(),
            }
        }
    }

    /// Works as long as the lease holds, which is looked at each time before the work goes on. `None`:
    /// it was lost, and the work stopped where it was.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let (mut work, mut lost) = (pin!(work), pin!(self.lost.cancelled()));
        poll_fn(|cx| {
            if lost.as_mut().poll(cx).is_ready() || self.is_lost() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_slept_through_the_end_of_a_lease_does_nothing_more() {
        let (held, steps) = (Held::new(Instant::now()), Mutex::new(Vec::new()));
        let work = async {
            steps.lock().unwrap().push("while it holds");
            // As after a long stop of the process.
            held.renewed(Instant::now().checked_sub(RELIED_ON).unwrap());
            tokio::task::yield_now().await;
            steps.lock().unwrap().push("after its end");
        };
        assert_eq!(held.during(work).await, None);
        assert_eq!(*steps.lock().unwrap(), ["while it holds"]);

        let held = Held::new(Instant::now());
        assert_eq!(held.during(async { 1 }).await, Some(1));
        let waits = held.during(std::future::pending::<()>());
        let (ended, ()) = tokio::join!(waits, async { held.lose() });
        assert_eq!(ended, None);
    }

    #[tokio::test]
    async fn one_holds_until_it_gives_back() {
        let leases = LocalLeases::default();
        let shop = Shop::from_name("acme").expect("a shop");
        assert!(leases.take(&shop, "a").await.expect("a lease"));
        assert!(leases.take(&shop, "a").await.expect("renewed"));
        assert!(!leases.take(&shop, "b").await.expect("held"));
        leases.release(&shop, "b").await.expect("not b's to give");
        assert!(!leases.take(&shop, "b").await.expect("held"));
        leases.release(&shop, "a").await.expect("given back");
        assert!(leases.take(&shop, "b").await.expect("free"));
    }
}
