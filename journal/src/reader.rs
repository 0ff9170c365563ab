//! History for readers in this process: [`Journal`] over a [`Store`].

use std::sync::Arc;

use async_trait::async_trait;
use backstock_proto::erase::{Concerned, Erased, Erasure, Whom};
use backstock_proto::journal::{
    AsOf, Change, ChangeFilter, CheckpointReport, Head, Journal, JournalError, List, Numbers, Page,
    Raw, Rebuilt, Record, Resource, ResourceFilter, Retention, ShopStatus, ShopSummary, Span,
    Summary, Thinned, Touched, VerifyReport, Version,
};
use backstock_proto::storage::Keys;
use backstock_proto::stream::Partition;
use backstock_proto::time::Clock;
use backstock_proto::{Kind, Mode, ResourceId, ResourceKey, Shop, Timestamp};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::checkpoint::Checkpoints;
use crate::read::View;
use crate::store::Store;
use crate::verify::{self, Pace};

/// Most questions answered at once; further ones wait. Each holds a thread while it reads.
const READS_MAX: usize = 64;

/// Most long answers under way at once. They are counted apart: whoever reads one asks questions
/// meanwhile, and must not wait for others who do the same.
const STREAMS_MAX: usize = 64;

/// Items read ahead of the reader of a long answer: a state alone may take megabytes.
const READ_AHEAD: usize = 16;

/// Heads that are handed on together: they are small, and handing one on costs more than reading it.
const HEADS_TOGETHER: usize = 250;

/// Takes the next item of a long answer; `false` if no more are wanted.
type Each<'e, T> = &'e mut dyn FnMut(Result<T, JournalError>) -> bool;

/// Answers questions about history from a store in this process. Cheap to clone.
///
/// Every answer comes from one snapshot of the store and is read on a thread that may block.
#[derive(Clone)]
pub struct Reader {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    reads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    checkpoints: Option<CheckpointsTo>,
}

/// Where checkpoints go.
#[derive(Clone)]
pub struct CheckpointsTo {
    /// Of which partition they are.
    pub partition: Partition,
    /// Where they go unless another place is named.
    pub storage: Arc<dyn ObjectStore>,
    /// What names that place, if something does.
    pub url: Option<String>,
    /// The other places that may be named, as the configuration says them: whoever may ask for a
    /// checkpoint is not to choose where a shop's whole history goes.
    pub copies: Arc<[String]>,
    /// What all of them are sealed with.
    pub keys: Keys,
}

impl Reader {
    /// Reads from `store`. The clock tells how old what waits is.
    pub fn new(store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        let reads = Arc::new(Semaphore::new(READS_MAX));
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { store, clock, reads, streams, checkpoints: None }
    }

    /// Makes checkpoints when it is asked for one.
    #[must_use]
    pub fn checkpointing(mut self, to: CheckpointsTo) -> Self {
        self.checkpoints = Some(to);
        self
    }

    async fn permit(of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, JournalError> {
        let permit = of.clone().acquire_owned().await;
        permit.map_err(|_| JournalError::Unavailable("the journal is closing".into()))
    }

    /// Runs a question on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&View<'_>) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<T, JournalError> {
        let permit = Self::permit(&self.reads).await?;
        let store = self.store.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            question(&View::of(&store))
        });
        asked.await.map_err(|error| JournalError::Storage(format!("a read panicked: {error}")))?
    }

    /// Runs a question with a long answer, a little ahead of its reader.
    async fn stream<T: Send + 'static>(
        &self,
        permits: &Arc<Semaphore>,
        question: impl FnOnce(&View<'_>, Each<'_, T>) -> Result<(), JournalError> + Send + 'static,
    ) -> Result<BoxStream<'static, Result<T, JournalError>>, JournalError> {
        let (permit, store) = (Self::permit(permits).await?, self.store.clone());
        let (send, receive) = mpsc::channel(READ_AHEAD);
        // Ends early when nobody listens any more: sending then fails.
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut each = |found| send.blocking_send(found).is_ok();
            if let Err(error) = question(&View::of(&store), &mut each) {
                let _nobody_listens = send.blocking_send(Err(error));
            }
        });
        Ok(futures::stream::unfold(receive, async |mut receive| {
            receive.recv().await.map(|found| (found, receive))
        })
        .boxed())
    }

    fn lag_seconds(&self) -> f64 {
        self.store.lag().seconds(self.clock.now())
    }
}

#[async_trait]
impl Journal for Reader {
    async fn shops(&self) -> Result<Vec<ShopSummary>, JournalError> {
        let lag = self.lag_seconds();
        self.ask(move |view| view.shops(lag)).await
    }

    async fn status(&self, shop: &Shop) -> Result<Option<ShopStatus>, JournalError> {
        let (shop, lag) = (shop.clone(), self.lag_seconds());
        self.ask(move |view| view.status(&shop, lag)).await
    }

    async fn resources(
        &self,
        shop: &Shop,
        filter: &ResourceFilter,
        page: &Page,
    ) -> Result<List<Summary>, JournalError> {
        let (shop, filter, page) = (shop.clone(), filter.clone(), page.clone());
        self.ask(move |view| view.resources(&shop, &filter, &page)).await
    }

    async fn resource(
        &self,
        key: &ResourceKey,
        at: AsOf,
    ) -> Result<Option<Resource>, JournalError> {
        let key = key.clone();
        self.ask(move |view| view.resource(&key, at)).await
    }

    async fn several(
        &self,
        shop: &Shop,
        kind: &Kind,
        ids: &[ResourceId],
        at: AsOf,
    ) -> Result<Vec<Option<Resource>>, JournalError> {
        let (shop, kind, ids) = (shop.clone(), kind.clone(), ids.to_vec());
        self.ask(move |view| view.several(&shop, &kind, &ids, at)).await
    }

    async fn versions(
        &self,
        key: &ResourceKey,
        span: Span,
        page: &Page,
    ) -> Result<List<Version>, JournalError> {
        let (key, page) = (key.clone(), page.clone());
        self.ask(move |view| view.versions(&key, span, &page)).await
    }

    async fn raw(&self, key: &ResourceKey, seq: u64) -> Result<Option<Raw>, JournalError> {
        let key = key.clone();
        self.ask(move |view| view.raw(&key, seq)).await
    }

    async fn changes(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
        page: &Page,
    ) -> Result<List<Change>, JournalError> {
        let (shop, filter, page) = (shop.clone(), filter.clone(), page.clone());
        self.ask(move |view| view.changes(&shop, &filter, &page)).await
    }

    async fn snapshot(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        let (shop, kind) = (shop.clone(), kind.cloned());
        self.stream(&self.streams, move |view, each| view.snapshot(&shop, at, kind.as_ref(), each))
            .await
    }

    async fn mentioning(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: &Kind,
        numbers: &Numbers,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        let (shop, kind, numbers) = (shop.clone(), kind.clone(), numbers.clone());
        // It may look through much before it has something to tell.
        let stop = CancellationToken::new();
        let listens = stop.clone().drop_guard();
        let found = self.stream(&self.streams, move |view, each| {
            view.mentioning(&shop, at, &kind, &numbers, || stop.is_cancelled(), each)
        });
        let found = found.await?.inspect(move |_| {
            let _until_it_is_dropped = &listens;
        });
        Ok(found.boxed())
    }

    async fn heads(
        &self,
        shop: &Shop,
        kind: &Kind,
        id: Option<&ResourceId>,
    ) -> Result<BoxStream<'static, Result<Head, JournalError>>, JournalError> {
        // Those of one resource are read ahead to their end, whether or not anybody takes them.
        let permits = if id.is_some() { &self.reads } else { &self.streams };
        let (shop, kind, id) = (shop.clone(), kind.clone(), id.cloned());
        let portions = self.stream(permits, move |view, each| {
            let mut heads = Vec::new();
            view.heads(&shop, &kind, id.as_ref(), |head| match head {
                Ok(head) => {
                    heads.push(head);
                    heads.len() < HEADS_TOGETHER || each(Ok(std::mem::take(&mut heads)))
                }
                Err(error) => each(Err(error)),
            })?;
            let _nobody_listens = each(Ok(heads));
            Ok(())
        });
        let each_one =
            |heads: Vec<Head>| futures::stream::iter(heads.into_iter().map(Ok::<_, JournalError>));
        Ok(portions.await?.map_ok(each_one).try_flatten().boxed())
    }

    async fn rebuilt(
        &self,
        shop: &Shop,
        kind: &Kind,
        at: Timestamp,
    ) -> Result<BoxStream<'static, Result<Rebuilt, JournalError>>, JournalError> {
        let (shop, kind) = (shop.clone(), kind.clone());
        self.stream(&self.streams, move |view, each| view.rebuilt(&shop, &kind, at, each)).await
    }

    async fn touched(
        &self,
        shop: &Shop,
        span: Span,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Touched, JournalError>>, JournalError> {
        let (shop, kind) = (shop.clone(), kind.cloned());
        self.stream(&self.streams, move |view, each| view.touched(&shop, span, kind.as_ref(), each))
            .await
    }

    async fn records(
        &self,
        shop: &Shop,
        what: &str,
        id: Option<&str>,
        page: &Page,
    ) -> Result<List<Record>, JournalError> {
        let (shop, page) = (shop.clone(), page.clone());
        let (what, id) = (what.to_owned(), id.map(str::to_owned));
        self.ask(move |view| view.records(&shop, &what, id.as_deref(), &page)).await
    }

    async fn erasures(&self, shop: Option<&Shop>) -> Result<Vec<Erasure>, JournalError> {
        let shop = shop.cloned();
        self.ask(move |view| {
            let cases = view.store.cases()?.into_iter();
            let of = cases.filter(|case| shop.as_ref().is_none_or(|shop| *shop == case.shop));
            let mut erasures: Vec<Erasure> = of.map(|case| case.to_erasure()).collect();
            erasures.sort_by_key(|erasure| std::cmp::Reverse(erasure.requested_at));
            Ok(erasures)
        })
        .await
    }

    async fn erased(&self, shop: &Shop) -> Result<Erased, JournalError> {
        Ok(self.store.erased_of(shop).map(|erased| (*erased).clone()).unwrap_or_default())
    }

    async fn concerned(
        &self,
        shop: &Shop,
        whom: &Whom,
        orders: &[ResourceId],
    ) -> Result<Concerned, JournalError> {
        let (shop, whom, orders) = (shop.clone(), whom.clone(), orders.to_vec());
        self.ask(move |view| {
            let customer = match &whom {
                Whom::Customer(id) => Some(id),
                Whom::Shop => None,
            };
            Ok(view.concerned(&shop, customer, &orders)?)
        })
        .await
    }

    async fn thin(
        &self,
        shop: &Shop,
        retention: Retention,
        now: Timestamp,
        mode: Mode,
    ) -> Result<Thinned, JournalError> {
        let permit = Self::permit(&self.reads).await?;
        let (store, shop) = (self.store.clone(), shop.clone());
        let stop = CancellationToken::new();
        // Whoever asked went away: it ends after the batch under way.
        let _stops_with_this = stop.clone().drop_guard();
        let thinning = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            store.thin(&shop, (retention, now), mode, || stop.is_cancelled())
        });
        thinning
            .await
            .map_err(|error| JournalError::Storage(format!("thinning panicked: {error}")))?
    }

    async fn checkpoint(&self, to: Option<&str>) -> Result<Vec<CheckpointReport>, JournalError> {
        let Some(CheckpointsTo { partition, storage, url, copies, keys }) =
            self.checkpoints.clone()
        else {
            return Err(JournalError::Invalid("this journal keeps no checkpoints".into()));
        };
        let is_usual = |to: &&str| url.as_deref().is_some_and(|url| is_same(url, to));
        let checkpoints = match to.filter(|to| !is_usual(to)) {
            Some(to) => {
                let copy = copies.iter().find(|url| is_same(url, to)).ok_or_else(|| {
                    let why = "to is none of the configured stores: storage.url and storage.copies \
                               say where checkpoints may go";
                    JournalError::Invalid(why.into())
                })?;
                let storage = backstock_proto::storage::open(Some(copy), self.store.path(), &keys)
                    .map_err(|e| JournalError::Storage(e.to_string()))?;
                Checkpoints::elsewhere(storage, partition)
            }
            None => Checkpoints::new(storage, partition),
        };
        let made = checkpoints.make(&self.store, self.clock.now()).await;
        made.map(|report| vec![report]).map_err(|e| JournalError::Storage(e.to_string()))
    }

    async fn verify(&self) -> Result<VerifyReport, JournalError> {
        let _permit = Self::permit(&self.reads).await?;
        let never = CancellationToken::new();
        verify::verify(&self.store, self.clock.now(), Pace::Brisk, never).await
    }
}

/// Whether two addresses name the same place.
fn is_same(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backstock_proto::time::SystemClock;

    use super::*;
    use crate::options::Options;

    #[tokio::test]
    async fn questions_do_not_wait_for_long_answers() {
        let dir = tempfile::tempdir().expect("a directory");
        let now = Timestamp::from_micros(0);
        let store = Store::open(dir.path(), Options::for_testing(), now).expect("open");
        let reader = Reader::new(Arc::new(store), Arc::new(SystemClock));
        let shop = Shop::from_name("acme").expect("a shop");
        let kind = Kind::parse("product").expect("a kind");
        let id = ResourceId::parse("1").expect("an id");
        let streams = reader.streams.clone();
        let _all = streams.acquire_many_owned(STREAMS_MAX as u32).await.expect("open");
        let key = ResourceKey { shop: shop.clone(), kind: kind.clone(), id: id.clone() };
        let within = Duration::from_secs(60);
        let raw = tokio::time::timeout(within, reader.raw(&key, 1)).await.expect("in time");
        assert_eq!(raw.expect("read"), None);
        let heads = reader.heads(&shop, &kind, Some(&id));
        let heads = tokio::time::timeout(within, heads).await.expect("in time").expect("read");
        assert_eq!(heads.count().await, 0);
    }
}
