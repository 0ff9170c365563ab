//! Changes of a shop's history, condensed when they were first read, and remembered.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use backstock_proto::journal::{
    Change, ChangeFilter, JournalError, List, PAGE_LIMIT_MAX, Page, Span, Version,
};
use backstock_proto::{Facet, Kind, Shop, Timestamp};
use futures::{StreamExt as _, TryStreamExt as _};
use lru::LruCache;

use super::evidence::Idle;
use super::read::Sources;
use crate::gids::{Beginnings, Short, name};

/// Changes that are read whole together.
pub(super) const TOGETHER: usize = 100;
/// So many times that at once.
const AT_ONCE: usize = 2;
/// Changes read anew together with those between them, rather than asked for one by one.
const BETWEEN_MAX: usize = 50;
/// About what remembering takes besides: the key, the neighbours and the place in the table.
const HELD_BYTES: usize = 128;

/// What is remembered of one sort of changes. It may forget anything at any time: nothing that is
/// read is looked for here again.
pub(super) struct Shelf<T> {
    kept: Mutex<Kept<T>>,
    /// About how much memory all of it may take.
    bytes_max: usize,
    /// The kind that is a log; every other one, if absent.
    kind: Option<&'static str>,
    /// About how much memory one takes.
    weigh: fn(&T) -> usize,
}

struct Kept<T> {
    /// By shop and sequence; `None` of what compared field by field changed nothing.
    changes: LruCache<(Shop, u64), Option<T>>,
    /// About how much memory they take.
    bytes: usize,
}

/// A change in a window, as it is found again: of a window there may be millions.
#[derive(Clone, Copy, Debug)]
struct There {
    seq: u64,
    valid_at: Timestamp,
    /// Its resource, by what names it.
    of: Short,
    facet: Facet,
    /// Whether a person was taken out of it: what was read of it before is forgotten.
    erased: bool,
    /// Its place in the window, where those that are left out stand too.
    place: u32,
}

/// Which changes are left out, by what a bare one tells.
pub(super) type Leave<'a> = &'a (dyn Fn(&Change) -> bool + Sync);

/// What happened in the shop within a window: what a pull saw for the first time did not.
pub(super) fn happened(span: Span) -> ChangeFilter {
    ChangeFilter { span, without_first_looks: true, ..ChangeFilter::default() }
}

impl<T: Clone + Send + Sync> Shelf<T> {
    /// Remembers as much as takes about so many bytes.
    pub(super) fn new(
        bytes_max: usize,
        kind: Option<&'static str>,
        weigh: fn(&T) -> usize,
    ) -> Self {
        let kept = Kept { changes: LruCache::unbounded(), bytes: 0 };
        Self { kept: Mutex::new(kept), bytes_max, kind, weigh }
    }

    /// What is condensed of the changes in a window that are not left out; only what was not seen before
    /// is read whole. And the deliveries that changed nothing.
    pub(super) async fn read(
        &self,
        from: Sources<'_>,
        span: Span,
        leave: Leave<'_>,
        condense: impl Fn(Change) -> T + Sync,
    ) -> Result<(Vec<T>, Vec<Idle>), JournalError> {
        let (there, idle) = self.bare(from, span, leave).await?;
        let mut known = self.remembered(from.shop, &there);
        let parts = unseen(&there, &known).into_iter().flat_map(|run| parts(&there, run));
        let parts: Vec<Range<usize>> = parts.collect();
        let (there, condense) = (&there[..], &condense);
        let read = parts.into_iter().map(|part| self.anew(from, there, part, leave, condense));
        let mut read = futures::stream::iter(read).buffered(AT_ONCE);
        // Each was remembered or is read whole. What the journal then leaves out changed nothing,
        // compared field by field, or is gone since.
        let (mut found, mut next) = (Vec::with_capacity(there.len()), 0);
        while let Some((part, mut anew)) = read.try_next().await? {
            found.extend(taken(&there[next..part.start], &mut known));
            next = part.end;
            found.extend(taken(&there[part], &mut anew));
        }
        found.extend(taken(&there[next..], &mut known));
        Ok((found, idle))
    }

    /// What is condensed of a part of the changes, read whole; of those that may turn out to have
    /// changed nothing, also that.
    async fn anew(
        &self,
        from: Sources<'_>,
        there: &[There],
        part: Range<usize>,
        leave: Leave<'_>,
        condense: &(impl Fn(Change) -> T + Sync),
    ) -> Result<(Range<usize>, HashMap<u64, Option<T>>), JournalError> {
        let span = Span { from: there[part.end - 1].valid_at, to: there[part.start].valid_at };
        let mut nothing = cores(&there[part.clone()]);
        // Whole changes are large: each is condensed as it comes.
        let mut page = Page { limit: TOGETHER, cursor: None };
        let mut all = HashMap::with_capacity(part.len());
        loop {
            let list = self.page(from, span, &page, false).await?;
            for change in &list.items {
                nothing.remove(&change.version.seq);
            }
            let anew = list.items.into_iter().filter(|change| !leave(change));
            let mut anew: Vec<(u64, Option<T>)> =
                anew.map(|change| (change.version.seq, Some(condense(change)))).collect();
            page.cursor = list.next;
            if page.cursor.is_none() {
                anew.extend(nothing.drain().map(|seq| (seq, None)));
            }
            self.remember(from.shop, &anew);
            all.extend(anew);
            if page.cursor.is_none() {
                return Ok((part, all));
            }
        }
    }

    /// What is remembered of these changes, by sequence.
    fn remembered(&self, shop: &Shop, there: &[There]) -> HashMap<u64, Option<T>> {
        let mut kept = self.kept();
        let mut known = HashMap::new();
        for There { seq, .. } in there.iter().filter(|change| !change.erased).copied() {
            if let Some(found) = kept.changes.get(&(shop.clone(), seq)) {
                known.insert(seq, found.clone());
            }
        }
        known
    }

    /// Remembers what was read. Where that is too much, what was not asked for the longest goes.
    fn remember(&self, shop: &Shop, anew: &[(u64, Option<T>)]) {
        let weight = |one: &Option<T>| HELD_BYTES + one.as_ref().map_or(0, |one| (self.weigh)(one));
        let mut kept = self.kept();
        for (seq, one) in anew {
            kept.bytes += weight(one);
            if let Some(before) = kept.changes.put((shop.clone(), *seq), one.clone()) {
                kept.bytes -= weight(&before);
            }
        }
        while kept.bytes > self.bytes_max {
            let Some((_, oldest)) = kept.changes.pop_lru() else { break };
            kept.bytes -= weight(&oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The changes in a window, newest first, and the deliveries that changed nothing.
    async fn bare(
        &self,
        from: Sources<'_>,
        span: Span,
        leave: Leave<'_>,
    ) -> Result<(Vec<There>, Vec<Idle>), JournalError> {
        let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let (mut there, mut idle) = (Vec::new(), Vec::new());
        let (mut names, mut place) = (Beginnings::default(), 0);
        loop {
            let list = self.page(from, span, &page, true).await?;
            for change in list.items {
                place += u32::from(!change.version.unchanged);
                if leave(&change) {
                    continue;
                }
                if change.version.unchanged {
                    idle.extend(Idle::of(change));
                    continue;
                }
                let of = names.add(&name(&change.kind, &change.id));
                let Version { seq, valid_at, facet, erased, .. } = change.version;
                there.push(There { seq, valid_at, of, facet, erased, place });
            }
            page.cursor = list.next;
            if page.cursor.is_none() {
                there.shrink_to_fit();
                return Ok((there, idle));
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
}

/// What is known of some changes, in their order. It is known no longer.
fn taken<T>(there: &[There], known: &mut HashMap<u64, Option<T>>) -> impl Iterator<Item = T> {
    there.iter().filter_map(move |change| known.remove(&change.seq).flatten())
}

/// Stretches of the changes, newest first, that have to be read whole: what is not known, and what
/// stands right after it, since that changed from something else than was thought.
fn unseen<T>(there: &[There], known: &HashMap<u64, Option<T>>) -> Vec<Range<usize>> {
    let mut after: HashMap<(Short, Facet), usize> = HashMap::new();
    let mut wanted = vec![false; there.len()];
    for (n, change) in there.iter().enumerate() {
        let next = after.insert((change.of, change.facet), n);
        if !known.contains_key(&change.seq) {
            wanted[n] = true;
            if let Some(next) = next {
                wanted[next] = true;
            }
        }
    }
    drop(after);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for n in (0..there.len()).filter(|n| wanted[*n]) {
        // What is of one instant cannot be read but with all of that.
        let goes_on = |last: usize| {
            there[n].valid_at == there[last].valid_at
                || (there[n].place - there[last].place) as usize <= BETWEEN_MAX
        };
        match runs.last_mut() {
            Some(run) if goes_on(run.end - 1) => run.end = n + 1,
            _ => runs.push(n..n + 1),
        }
    }
    runs
}

/// The changes of which it may be remembered that they changed nothing: whether a part of a resource did
/// depends on more than what was said of that part before.
fn cores(part: &[There]) -> HashSet<u64> {
    let cores = part.iter().filter(|change| change.facet == Facet::Core);
    cores.map(|change| change.seq).collect()
}

/// Parts of a stretch that are read by themselves: what is of one instant is in one.
fn parts(there: &[There], run: Range<usize>) -> Vec<Range<usize>> {
    let (mut parts, mut begin) = (Vec::new(), run.start);
    while begin < run.end {
        let mut end = (begin + TOGETHER).min(run.end);
        while end < run.end && there[end].valid_at == there[end - 1].valid_at {
            end += 1;
        }
        parts.push(begin..end);
        begin = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::fake::{self, Fake};
    use crate::job::written::Written;

    #[tokio::test]
    async fn a_window_larger_than_what_is_remembered_is_answered_whole() {
        let mut journal = Fake::default();
        for n in 0..250 {
            let at = format!("2026-11-20T09:{:02}:{:02}Z", n / 60, n % 60);
            journal.remember("product", &(n + 1).to_string(), &at, &json!({"title": "Mug"}));
        }
        let shop = fake::shop("acme");
        let written = Written::default();
        let from = Sources { journal: &journal, shop: &shop, ours: None, written: &written };
        let ten = 10 * (HELD_BYTES + 8);
        let shelf: Shelf<u64> = Shelf::new(ten, None, |_| 8);
        let bare = shelf.bare(from, Span::default(), &|_| false).await;
        let (bare, _) = bare.expect("answered");
        let there: Vec<u64> = bare.iter().map(|change| change.seq).collect();
        assert_eq!(there.len(), 250);
        // The second time some are remembered, and forgotten while the others are read.
        for remembered in [0, 10] {
            assert_eq!(shelf.remembered(&shop, &bare).len(), remembered);
            let all = Span::default();
            let read = shelf.read(from, all, &|_| false, |change| change.version.seq).await;
            let (found, _) = read.expect("answered");
            assert_eq!(found, there);
            assert_eq!(shelf.kept().bytes, ten);
        }
    }

    #[tokio::test]
    async fn changes_of_one_instant_are_read_once_however_many_they_are() {
        let mut journal = Fake::default();
        let many = 2 * TOGETHER + 50;
        for n in 1..=many {
            let at = "2026-11-20T09:00:00Z";
            journal.remember("product", &n.to_string(), at, &json!({"title": "Mug"}));
        }
        let (shop, written) = (fake::shop("acme"), Written::default());
        let from = Sources { journal: &journal, shop: &shop, ours: None, written: &written };
        let shelf: Shelf<u64> = Shelf::new(1 << 20, None, |_| 8);
        let times = AtomicUsize::new(0);
        let condense = |change: Change| {
            times.fetch_add(1, Ordering::Relaxed);
            change.version.seq
        };
        let read = shelf.read(from, Span::default(), &|_| false, condense).await;
        let (found, _) = read.expect("answered");
        assert_eq!((found.len(), times.load(Ordering::Relaxed)), (many, many));
        // So they are where some were forgotten that lie far apart.
        for seq in found.iter().step_by(TOGETHER) {
            shelf.kept().changes.pop(&(shop.clone(), *seq));
        }
        let read = shelf.read(from, Span::default(), &|_| false, condense).await;
        let (found, _) = read.expect("answered");
        assert_eq!((found.len(), times.load(Ordering::Relaxed)), (many, 2 * many));
    }

    #[tokio::test]
    async fn who_was_erased_is_not_remembered() {
        let mut journal = Fake::default();
        let ada = json!({"id": "gid://shopify/Customer/301", "firstName": "Ada"});
        journal.make("customer", "301", "2026-11-20T09:30:00Z", &ada);
        journal.forget("customer", "301", "2026-11-20T09:31:00Z");
        let (shop, written) = (fake::shop("acme"), Written::default());
        let shelf: Shelf<String> = Shelf::new(1 << 20, None, String::len);
        for titles in [["Ada", "Ada"], ["", ""]] {
            let from = Sources { journal: &journal, shop: &shop, ours: None, written: &written };
            let read = shelf.read(from, Span::default(), &|_| false, |change| change.title).await;
            let (found, _) = read.expect("answered");
            assert_eq!(found.iter().map(|title| title.as_str()).collect::<Vec<_>>(), titles);
            journal.erase("customer", "301");
        }
    }

    #[test]
    fn what_is_remembered_again_counts_once_and_too_much_is_forgotten() {
        let shop = fake::shop("acme");
        let shelf: Shelf<usize> = Shelf::new(1_000, None, |bytes| *bytes);
        shelf.remember(&shop, &[(1, Some(100)), (1, Some(200))]);
        assert_eq!(shelf.kept().bytes, HELD_BYTES + 200);
        shelf.remember(&shop, &[(2, Some(1_000))]);
        assert_eq!(shelf.kept().bytes, 0);
        assert!(shelf.kept().changes.is_empty());
    }
}
