//! Several journals as one: each shop's questions go to the journal that has its partition, and to
//! another copy of it while the first cannot be reached.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    AsOf, Change, ChangeFilter, CheckpointReport, Head, Journal, JournalError, List, Numbers, Page,
    Raw, Rebuilt, Record, Resource, ResourceFilter, Retention, ShopStatus, ShopSummary, Span,
    Summary, Thinned, Touched, VerifyReport, Version,
};
use crate::erase::{Concerned, Erased, Erasure, Whom};
use crate::stream::{Partition, partition_of};
use crate::{Kind, Mode, ResourceId, ResourceKey, Shop, Timestamp};

/// Journals, and who has what: with `n` places, the one at place `i` has every partition `p` with
/// `p % n == i`.
pub struct Spread {
    partitions: Partition,
    /// At each place, the copies of the same journal, the one to be asked first before the others.
    places: Vec<Vec<Arc<dyn Journal>>>,
}

/// The answer of the first copy that can be reached.
macro_rules! first {
    ($copies:expr, $journal:ident => $question:expr) => {{
        let mut answer = Err(JournalError::Unavailable("no journal has this partition".into()));
        for $journal in $copies {
            answer = $question.await;
            if !answer.as_ref().is_err_and(JournalError::retryable) {
                break;
            }
        }
        answer
    }};
}

impl Spread {
    /// The journals of a store with so many partitions, by place.
    pub fn new(partitions: Partition, places: Vec<Vec<Arc<dyn Journal>>>) -> Self {
        Self { partitions, places }
    }

    fn copies(&self, shop: &Shop) -> &[Arc<dyn Journal>] {
        let partition = usize::from(partition_of(shop, self.partitions));
        self.places.get(partition % self.places.len().max(1)).map_or(&[], Vec::as_slice)
    }
}

#[async_trait]
impl Journal for Spread {
    async fn shops(&self) -> Result<Vec<ShopSummary>, JournalError> {
        let mut shops = Vec::new();
        for copies in &self.places {
            shops.extend(first!(copies, journal => journal.shops())?);
        }
        shops.sort_by(|a, b| a.shop.cmp(&b.shop));
        Ok(shops)
    }

    async fn status(&self, shop: &Shop) -> Result<Option<ShopStatus>, JournalError> {
        first!(self.copies(shop), journal => journal.status(shop))
    }

    async fn resources(
        &self,
        shop: &Shop,
        filter: &ResourceFilter,
        page: &Page,
    ) -> Result<List<Summary>, JournalError> {
        first!(self.copies(shop), journal => journal.resources(shop, filter, page))
    }

    async fn resource(
        &self,
        key: &ResourceKey,
        at: AsOf,
    ) -> Result<Option<Resource>, JournalError> {
        first!(self.copies(&key.shop), journal => journal.resource(key, at))
    }

    async fn several(
        &self,
        shop: &Shop,
        kind: &Kind,
        ids: &[ResourceId],
        at: AsOf,
    ) -> Result<Vec<Option<Resource>>, JournalError> {
        first!(self.copies(shop), journal => journal.several(shop, kind, ids, at))
    }

    async fn versions(
        &self,
        key: &ResourceKey,
        span: Span,
        page: &Page,
    ) -> Result<List<Version>, JournalError> {
        first!(self.copies(&key.shop), journal => journal.versions(key, span, page))
    }

    async fn raw(&self, key: &ResourceKey, seq: u64) -> Result<Option<Raw>, JournalError> {
        first!(self.copies(&key.shop), journal => journal.raw(key, seq))
    }

    async fn changes(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
        page: &Page,
    ) -> Result<List<Change>, JournalError> {
        first!(self.copies(shop), journal => journal.changes(shop, filter, page))
    }

    async fn snapshot(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        first!(self.copies(shop), journal => journal.snapshot(shop, at, kind))
    }

    async fn mentioning(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: &Kind,
        numbers: &Numbers,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        first!(self.copies(shop), journal => journal.mentioning(shop, at, kind, numbers))
    }

    async fn heads(
        &self,
        shop: &Shop,
        kind: &Kind,
        id: Option<&ResourceId>,
    ) -> Result<BoxStream<'static, Result<Head, JournalError>>, JournalError> {
        first!(self.copies(shop), journal => journal.heads(shop, kind, id))
    }

    async fn rebuilt(
        &self,
        shop: &Shop,
        kind: &Kind,
        at: Timestamp,
    ) -> Result<BoxStream<'static, Result<Rebuilt, JournalError>>, JournalError> {
        first!(self.copies(shop), journal => journal.rebuilt(shop, kind, at))
    }

    async fn touched(
        &self,
        shop: &Shop,
        span: Span,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Touched, JournalError>>, JournalError> {
        first!(self.copies(shop), journal => journal.touched(shop, span, kind))
    }

    async fn records(
        &self,
        shop: &Shop,
        what: &str,
        id: Option<&str>,
        page: &Page,
    ) -> Result<List<Record>, JournalError> {
        first!(self.copies(shop), journal => journal.records(shop, what, id, page))
    }

    async fn erasures(&self, shop: Option<&Shop>) -> Result<Vec<Erasure>, JournalError> {
        if let Some(shop) = shop {
            return first!(self.copies(shop), journal => journal.erasures(Some(shop)));
        }
        let mut all = Vec::new();
        for copies in &self.places {
            all.extend(first!(copies, journal => journal.erasures(None))?);
        }
        all.sort_by_key(|erasure| std::cmp::Reverse(erasure.requested_at));
        Ok(all)
    }

    async fn erased(&self, shop: &Shop) -> Result<Erased, JournalError> {
        first!(self.copies(shop), journal => journal.erased(shop))
    }

    async fn concerned(
        &self,
        shop: &Shop,
        whom: &Whom,
        orders: &[ResourceId],
    ) -> Result<Concerned, JournalError> {
        first!(self.copies(shop), journal => journal.concerned(shop, whom, orders))
    }

    /// Every copy keeps its own house.
    async fn thin(
        &self,
        shop: &Shop,
        retention: Retention,
        now: Timestamp,
        mode: Mode,
    ) -> Result<Thinned, JournalError> {
        let mut thinned = Thinned::default();
        for journal in self.copies(shop) {
            thinned = journal.thin(shop, retention, now, mode).await?;
        }
        Ok(thinned)
    }

    async fn checkpoint(&self, to: Option<&str>) -> Result<Vec<CheckpointReport>, JournalError> {
        let mut all = Vec::new();
        for copies in &self.places {
            all.extend(first!(copies, journal => journal.checkpoint(to))?);
        }
        Ok(all)
    }

    async fn verify(&self) -> Result<VerifyReport, JournalError> {
        let mut all = VerifyReport::default();
        for journal in self.places.iter().flatten() {
            let one = journal.verify().await?;
            all.versions += one.versions;
            all.bytes += one.bytes;
            all.faults_total += one.faults_total;
            all.seconds += one.seconds;
            all.faults.extend(one.faults);
        }
        Ok(all)
    }
}
