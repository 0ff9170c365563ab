//! Changes of a shop's history, condensed when they were first read, and remembered.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use backstock_proto::journal::{
    Change, ChangeFilter, JournalError, List, PAGE_LIMIT_MAX, Page, Span,
};
use backstock_proto::{Facet, Kind, ResourceKey, Shop};
use lru::LruCache;

use super::read::Sources;

/// Changes that are read whole together.
pub(super) const TOGETHER: usize = 100;
/// Changes read anew together with those between them, rather than asked for one by one.
const BETWEEN_MAX: usize = 50;

type Kept<T> = LruCache<(Shop, u64), Arc<T>>;

/// What is remembered of one sort of changes, by shop and sequence.
pub(super) struct Shelf<T> {
    kept: Mutex<Kept<T>>,
    /// The kind that is a log; every other one, if absent.
    kind: Option<&'static str>,
}

/// What happened in the shop within a window: what a pull saw for the first time did not.
pub(super) fn happened(span: Span) -> ChangeFilter {
    ChangeFilter { span, without_first_looks: true, ..ChangeFilter::default() }
}

impl<T: Send + Sync> Shelf<T> {
    /// Remembers so many.
    pub(super) fn new(most: NonZeroUsize, kind: Option<&'static str>) -> Self {
        Self { kept: Mutex::new(LruCache::new(most)), kind }
    }

    /// What is condensed of the changes in a window; only what was not seen before is read whole. And
    /// the versions that changed nothing.
    pub(super) async fn read(
        &self,
        from: Sources<'_>,
        span: Span,
        condense: impl Fn(Change) -> T,
    ) -> Result<(Vec<Arc<T>>, Vec<Change>), JournalError> {
        let there = self.bare(from, span).await?;
        let (unchanged, there): (Vec<Change>, Vec<Change>) =
            there.into_iter().partition(|change| change.version.unchanged);
        let runs = self.unseen(from.shop, &there);
        for run in runs {
            let of_run = Span {
                from: there[run.end - 1].version.valid_at,
                to: there[run.start].version.valid_at,
            };
            // Whole changes are large: each is condensed as it comes.
            let mut page = Page { limit: TOGETHER, cursor: None };
            loop {
                let list = self.page(from, of_run, &page, false).await?;
                let mut kept = self.kept();
                for change in list.items {
                    let seq = change.version.seq;
                    kept.put((from.shop.clone(), seq), Arc::new(condense(change)));
                }
                page.cursor = list.next;
                if page.cursor.is_none() {
                    break;
                }
            }
        }
        let mut kept = self.kept();
        let known = there
            .iter()
            .filter_map(|change| kept.get(&(from.shop.clone(), change.version.seq)).cloned());
        Ok((known.collect(), unchanged))
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All changes in a window, newest first, without what they changed, and those that changed nothing.
    async fn bare(&self, from: Sources<'_>, span: Span) -> Result<Vec<Change>, JournalError> {
        let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let mut all = Vec::new();
        loop {
            let list = self.page(from, span, &page, true).await?;
            all.extend(list.items);
            page.cursor = list.next;
            if page.cursor.is_none() {
                return Ok(all);
            }
        }
    }

    async fn page(
        &self,
        from: Sources<'_>,
        span: Span,
        page: &Page,
        bare: bool,
    ) -> Result<List<Change>, JournalError> {
        let kind = self.kind.map(Kind::parse).transpose();
        let kind = kind.map_err(|e| JournalError::Invalid(e.to_string()))?;
        let filter = ChangeFilter { kind, bare, unchanged: bare, ..happened(span) };
        from.journal.changes(from.shop, &filter, page).await
    }

    /// Stretches of the changes, newest first, that have to be read whole: what was not seen before,
    /// and what stands right after it, since that changed from something else than was thought.
    fn unseen(&self, shop: &Shop, there: &[Change]) -> Vec<Range<usize>> {
        let kept = self.kept();
        let mut after: HashMap<(ResourceKey, Facet), usize> = HashMap::new();
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        for (n, change) in there.iter().enumerate() {
            let key = ResourceKey {
                shop: shop.clone(),
                kind: change.kind.clone(),
                id: change.id.clone(),
            };
            let next = after.insert((key, change.version.facet), n);
            if kept.peek(&(shop.clone(), change.version.seq)).is_none() {
                wanted.insert(n);
                wanted.extend(next);
            }
        }
        let mut runs: Vec<Range<usize>> = Vec::new();
        for n in wanted {
            match runs.last_mut() {
                Some(run) if n - run.end <= BETWEEN_MAX => run.end = n + 1,
                _ => runs.push(n..n + 1),
            }
        }
        runs
    }
}
