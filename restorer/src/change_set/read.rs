//! Change-sets out of history: which changes and which evidence are read for a window, and how far it
//! is widened so that no set is cut in two.

use std::collections::{BTreeSet, HashMap};

use backstock_proto::journal::{
    Change, ChangeFilter, Journal, JournalError, List, PAGE_LIMIT_MAX, Page, Span,
};
use backstock_proto::kind::event;
use backstock_proto::{Facet, Kind, Op, ResourceId, Shop, Timestamp};

use super::evidence::{Entry, Evidence, Idle, Who};
use super::group::{Group, PAUSE_NAMED, group};
use super::own::Own;
use super::shelf::{Leave, Shelf, TOGETHER, happened};
use super::{ChangeSet, ChangeSetId, Contents, Effect, OwnWrite, Trace, Turn};
use crate::job::written::Written;
use crate::mark;

/// About how much memory the condensed changes take that are remembered, of all shops together.
const TRACES_BYTES_MAX: usize = 48 << 20;
/// About how much memory the entries of Shopify's log take that are remembered.
const ENTRIES_BYTES_MAX: usize = 16 << 20;
/// How far a window is widened at first, and at most.
const WIDEN_FIRST: i64 = PAUSE_NAMED as i64 + 1_000_000;
const WIDEN_MAX: i64 = 24 * 3600 * 1_000_000;
/// How far around changes evidence is looked for.
const EVIDENCE_AROUND: i64 = 150 * 1_000_000;
/// How long before a change a mark may stand.
const MARKS_BEFORE: i64 = 2 * 3600 * 1_000_000;
/// How much of history a list of change-sets reads at once.
const SPAN_STEP: i64 = 6 * 3600 * 1_000_000;

/// What was condensed before, so that asking again costs little.
pub(crate) struct Book {
    traces: Shelf<Trace>,
    entries: Shelf<Option<Entry>>,
}

/// Everything in a window, grouped.
pub(crate) struct Grouped {
    /// The changes, in order of time.
    pub(crate) traces: Vec<Trace>,
    /// Which of them belong together.
    pub(crate) groups: Vec<Group>,
    /// What was read.
    pub(crate) span: Span,
}

/// Whose changes are put together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Whose {
    /// Everybody's.
    #[default]
    All,
    /// Those of others: what our own jobs make anew and delete takes no memory then, however much it is.
    Others,
}

/// Which change-sets a list holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// With a change in there.
    pub(crate) span: Span,
    /// With changes of this kind.
    pub(crate) kind: Option<Kind>,
    /// Made by somebody of this name.
    pub(crate) by: Option<String>,
    /// Whose at all.
    pub(crate) whose: Whose,
    /// The drop from which on a price has collapsed, where it is not the usual one.
    pub(crate) price_drop: Option<f64>,
}

/// The versions of one resource that are to be undone together, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undone {
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
    /// The versions that brought the changes.
    pub seqs: Vec<u64>,
    /// Whether the first of them tells of its making.
    pub made: bool,
    /// Whether the last of them tells of its end.
    pub gone: bool,
}

/// Whose history, and what else says who did what.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) journal: &'a dyn Journal,
    pub(crate) shop: &'a Shop,
    /// The title of the app that Backstock is, where known.
    pub(crate) ours: Option<&'a str>,
    /// What our jobs wrote.
    pub(crate) written: &'a Written,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            traces: Shelf::new(TRACES_BYTES_MAX, None, bytes_of_trace),
            entries: Shelf::new(ENTRIES_BYTES_MAX, Some(event::NAME), bytes_of_entry),
        }
    }
}

impl Book {
    /// What happened in a window, put together; the window is widened until no set of which a part lies
    /// in it is cut.
    pub(crate) async fn grouped(
        &self,
        from: Sources<'_>,
        asked: Span,
        whose: Whose,
    ) -> Result<Grouped, JournalError> {
        let (mut below, mut above) = (WIDEN_FIRST, WIDEN_FIRST);
        loop {
            let span = Span { from: shifted(asked.from, -below), to: shifted(asked.to, above) };
            let own = match whose {
                Whose::All => None,
                Whose::Others => Some(Own::of(from, self.log(from, around(span)).await?)),
            };
            let leave = |change: &Change| own.as_ref().is_some_and(|own| own.is(change));
            let (traces, idle) = self.traces(from, span, &leave).await?;
            let mut evidence = self.evidence(from, &traces, idle).await?;
            evidence.own.extend(own.iter().flat_map(|own| own.with(&traces)));
            // Of many changes this takes seconds, in which others are to be answered.
            let put_together = tokio::task::spawn_blocking(move || {
                let groups = group(&traces, &evidence);
                Grouped { traces, groups, span }
            });
            let grouped =
                put_together.await.map_err(|e| JournalError::Unavailable(e.to_string()))?;
            let (cut_below, cut_above) = grouped.cut(asked);
            let wider = |by: i64| (by * 4).min(WIDEN_MAX);
            match (cut_below && below < WIDEN_MAX, cut_above && above < WIDEN_MAX) {
                (false, false) => return Ok(grouped),
                (true, false) => below = wider(below),
                (false, true) => above = wider(above),
                (true, true) => (below, above) = (wider(below), wider(above)),
            }
        }
    }

    /// The changes in a window, in order of time, and the deliveries that changed nothing.
    async fn traces(
        &self,
        from: Sources<'_>,
        span: Span,
        leave: Leave<'_>,
    ) -> Result<(Vec<Trace>, Vec<Idle>), JournalError> {
        let (mut traces, idle) = self.traces.read(from, span, leave, Trace::of).await?;
        traces.sort_unstable_by_key(|trace| (trace.at, trace.seq));
        Ok((traces, idle))
    }

    /// What says who made these changes.
    async fn evidence(
        &self,
        from: Sources<'_>,
        traces: &[Trace],
        idle: Vec<Idle>,
    ) -> Result<Evidence, JournalError> {
        let (Some(first), Some(last)) = (traces.first(), traces.last()) else {
            return Ok(Evidence::default());
        };
        let log = self.log(from, around(Span { from: first.at, to: last.at })).await?;
        let since = shifted(first.at, -MARKS_BEFORE);
        let marks = mark::of_apps(from.journal, from.shop, since, last.at).await?;
        let ours = from.ours.map(Into::into);
        Ok(Evidence { log, idle, own: own_writes(from, traces), marks, ours })
    }

    /// The entries of Shopify's log in a window, in order of time.
    pub(crate) async fn log(
        &self,
        from: Sources<'_>,
        span: Span,
    ) -> Result<Vec<Entry>, JournalError> {
        let none: Leave<'_> = &|_| false;
        let (entries, _) = self.entries.read(from, span, none, |change| entry(&change)).await?;
        let mut log: Vec<Entry> = entries.into_iter().flatten().collect();
        // What is remembered is what the log says: which app we are may be known only later.
        let us = from.ours.map(Who::app);
        log.iter_mut()
            .filter(|e| Some(&e.who) == us.as_ref())
            .for_each(|e| e.who = Who::backstock());
        log.sort_by_key(|entry| entry.at);
        Ok(log)
    }

    /// Change-sets, newest first: those that end between two instants.
    pub(crate) async fn list(
        &self,
        from: Sources<'_>,
        wanted: &Wanted,
        page: &Page,
    ) -> Result<List<ChangeSet>, JournalError> {
        let span = wanted.span;
        let mut before = page.cursor.as_deref().map(Cursor::parse).transpose()?;
        let mut to = before.map_or(span.to, |before| before.to.min(span.to));
        let mut items: Vec<ChangeSet> = Vec::new();
        loop {
            let Some(newest) = self.newest(from, Span { from: span.from, to }).await? else {
                return Ok(List { items, next: None });
            };
            to = to.min(newest);
            let step = Span { from: shifted(to, -SPAN_STEP).max(span.from), to };
            let mut sets = self.grouped(from, step, wanted.whose).await?.sets(wanted.price_drop);
            sets.retain(|set| {
                let unseen = before.is_none_or(|before| Cursor { to: set.to, id: set.id } < before);
                unseen && set.to >= step.from && set.from <= span.to && wanted.holds(set)
            });
            sets.sort_by_key(|set| std::cmp::Reverse((set.to, set.id)));
            for set in sets {
                if items.len() == page.limit {
                    let last = items.last().map(|last| Cursor { to: last.to, id: last.id });
                    return Ok(List { items, next: last.map(|last| last.to_string()) });
                }
                items.push(set);
            }
            if step.from <= span.from {
                return Ok(List { items, next: None });
            }
            to = step.from;
            // What ends before that is next, and nothing of what was listed.
            let first = ChangeSetId { valid_at: Timestamp::MIN, seq: 0 };
            before = Some(Cursor { to, id: first });
        }
    }

    /// When the newest change in a window happened.
    async fn newest(
        &self,
        from: Sources<'_>,
        span: Span,
    ) -> Result<Option<Timestamp>, JournalError> {
        let filter = ChangeFilter { bare: true, ..happened(span) };
        let newest = from.journal.newest_change(from.shop, &filter).await?;
        Ok(newest.map(|change| change.version.valid_at))
    }

    /// The set that holds the change by which an id is known, with its changes, in order of time.
    pub(crate) async fn find(
        &self,
        from: Sources<'_>,
        id: ChangeSetId,
    ) -> Result<Option<(ChangeSet, Vec<Trace>)>, JournalError> {
        let span = Span { from: id.valid_at, to: id.valid_at };
        let grouped = self.grouped(from, span, Whose::All).await?;
        let holds = |group: &&Group| group.members.iter().any(|n| grouped.traces[*n].seq == id.seq);
        let Some(group) = grouped.groups.iter().find(holds) else { return Ok(None) };
        let set = ChangeSet::of(group, &grouped.traces);
        let members = group.members.iter().map(|n| grouped.traces[*n].clone()).collect();
        Ok(set.map(|set| (set, members)))
    }

    /// What of all that an app did between two instants is `wanted`, newest first, a page of it.
    pub(crate) async fn page_of_app(
        &self,
        from: Sources<'_>,
        (app, wanted): (&str, &(dyn Fn(&Trace) -> bool + Sync)),
        span: Span,
        page: &Page,
    ) -> Result<List<Trace>, JournalError> {
        let mut before = page.cursor.as_deref().map(ChangeSetId::parse).transpose();
        let before = before.as_mut().map_err(|e| JournalError::Invalid(format!("cursor: {e}")))?;
        let mut to = before.map_or(span.to, |before| before.valid_at.min(span.to));
        let mut items: Vec<Trace> = Vec::new();
        while let Some(newest) = self.newest(from, Span { from: span.from, to }).await? {
            to = to.min(newest);
            let step = Span { from: shifted(to, -SPAN_STEP).max(span.from), to };
            let (theirs, _) = self.of_app(from, app, step).await?;
            for trace in theirs.into_iter().rev().filter(|trace| wanted(trace)) {
                let place = ChangeSetId { valid_at: trace.valid_at, seq: trace.seq };
                if before.is_some_and(|before| place >= before) {
                    continue;
                }
                if items.len() == page.limit {
                    let last =
                        items.last().map(|t| ChangeSetId { valid_at: t.valid_at, seq: t.seq });
                    return Ok(List { items, next: last.map(|last| last.to_string()) });
                }
                items.push(trace);
            }
            if step.from <= span.from {
                break;
            }
            to = shifted(step.from, -1);
        }
        Ok(List { items, next: None })
    }

    /// What an app did between two instants, in order of time, as far as it can be told, and how
    /// sure that is.
    pub(crate) async fn of_app(
        &self,
        from: Sources<'_>,
        app: &str,
        span: Span,
    ) -> Result<(Vec<Trace>, f64), JournalError> {
        let grouped = self.grouped(from, span, Whose::All).await?;
        let theirs = grouped.groups.iter().filter(|group| {
            group.who.as_ref().is_some_and(|who| who.name.eq_ignore_ascii_case(app))
        });
        let (mut members, mut sure): (Vec<usize>, f64) = (Vec::new(), 0.0);
        for group in theirs {
            members.extend(&group.members);
            sure += group.confidence() * group.members.len() as f64;
        }
        let sure = sure / members.len().max(1) as f64;
        members.sort_unstable();
        let traces = members.into_iter().map(|n| grouped.traces[n].clone());
        let within = |trace: &Trace| (span.from..=span.to).contains(&trace.valid_at);
        let mut traces: Vec<Trace> = traces.filter(within).collect();
        traces.sort_by_key(|trace| (trace.valid_at, trace.seq));
        Ok((traces, sure))
    }
}

/// Some changes whole, in the order in which they are given, which is one of time.
pub(crate) async fn whole(
    from: Sources<'_>,
    traces: &[Trace],
) -> Result<Vec<Change>, JournalError> {
    let mut found: HashMap<u64, Change> = HashMap::new();
    for some in traces.chunks(TOGETHER) {
        let times = || some.iter().map(|trace| trace.valid_at);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { continue };
        let wanted: BTreeSet<u64> = some.iter().map(|trace| trace.seq).collect();
        let span = Span { from: first, to: last };
        let filter = happened(span);
        let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        loop {
            let list = from.journal.changes(from.shop, &filter, &page).await?;
            let asked = list.items.into_iter().filter(|c| wanted.contains(&c.version.seq));
            found.extend(asked.map(|change| (change.version.seq, change)));
            match list.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
    }
    Ok(traces.iter().filter_map(|trace| found.remove(&trace.seq)).collect())
}

/// The versions behind some changes, by resource: what a plan undoes.
pub(crate) fn undone<'a>(traces: impl IntoIterator<Item = &'a Trace>) -> Vec<Undone> {
    let mut versions: Vec<&Trace> = traces.into_iter().collect();
    versions.sort_unstable_by_key(|trace| (trace.resource(), trace.valid_at, trace.seq));
    versions.dedup_by_key(|trace| (trace.resource(), trace.valid_at, trace.seq));
    let undone = versions.chunk_by(|a, b| a.resource() == b.resource()).map(|versions| {
        let cores = || versions.iter().filter(|trace| trace.facet == Facet::Core);
        Undone {
            kind: versions[0].kind.clone(),
            id: versions[0].id.clone(),
            seqs: versions.iter().map(|trace| trace.seq).collect(),
            made: cores().next().is_some_and(|first| first.op == Op::Create),
            gone: cores().next_back().is_some_and(|last| last.op == Op::Delete),
        }
    });
    undone.collect()
}

impl Wanted {
    fn holds(&self, set: &ChangeSet) -> bool {
        let by = self.by.as_ref().is_none_or(|name| set.actor.name.eq_ignore_ascii_case(name));
        by && self.kind.as_ref().is_none_or(|kind| set.kinds.contains_key(kind))
    }
}

impl Grouped {
    /// The sets, in no order, with their harm by such a drop of prices.
    fn sets(&self, price_drop: Option<f64>) -> Vec<ChangeSet> {
        let set = |group: &Group| {
            let mut set = ChangeSet::of(group, &self.traces)?;
            if let Some(drop) = price_drop {
                set.count_harm(group.members.iter().map(|n| &self.traces[*n]), drop);
            }
            Some(set)
        };
        self.groups.iter().filter_map(set).collect()
    }

    /// Whether a set that lies in the window asked for may go on before or after what was read.
    fn cut(&self, asked: Span) -> (bool, bool) {
        let pause = WIDEN_FIRST - 1_000_000;
        let (mut below, mut above) = (false, false);
        for group in &self.groups {
            let (Some(first), Some(last)) = (group.members.first(), group.members.last()) else {
                continue;
            };
            let (first, last) = (self.traces[*first].at, self.traces[*last].at);
            // Where a change stands in history is up to a second before it happened.
            let stands_in = |n: &usize| (asked.from..=asked.to).contains(&self.traces[*n].valid_at);
            let is_apart = last < asked.from || first > asked.to;
            if is_apart && !group.members.iter().any(stands_in) {
                continue;
            }
            // What is dated to the second may have happened anywhere within it.
            let (begins, ends) = match group.hour(&self.traces) {
                Some((begins, ends)) => (begins - 1_000_000, ends + 1_000_000),
                None => (i64::MIN, i64::MAX),
            };
            below |= first < shifted(self.span.from, pause) && begins < self.span.from.as_micros();
            above |= last > shifted(self.span.to, -pause) && ends > self.span.to.as_micros();
        }
        (below, above)
    }
}

/// What an entry of Shopify's log says.
fn entry(change: &Change) -> Option<Entry> {
    let member = |name: &str| {
        let of = |change: &&backstock_proto::diff::FieldChange| {
            change.path.strip_prefix('/') == Some(name)
        };
        change.changes.iter().find(of).map(|change| change.new.clone())
    };
    Entry::read(&member, change.version.valid_at)
}

/// About how much memory a condensed change takes.
fn bytes_of_trace(trace: &Trace) -> usize {
    let names = bytes_of_text(trace.kind.as_str()) + bytes_of_text(trace.id.as_str());
    size_of::<Trace>() + names + trace.contents.as_deref().map_or(0, bytes_of_contents)
}

fn bytes_of_contents(contents: &Contents) -> usize {
    let Contents { title, effects, brings } = contents;
    let effects = effects.iter().map(|effect| {
        let words = match &effect.turn {
            Turn::Word(old, new) => bytes_of_text(old) + bytes_of_text(new),
            _ => 0,
        };
        let element = effect.element.as_deref().map_or(0, bytes_of_text);
        size_of::<Effect>() + bytes_of_text(&effect.field) + element + words
    });
    let brings = brings.iter().map(|name| size_of::<Box<str>>() + bytes_of_text(name));
    size_of::<Contents>() + bytes_of_text(title) + effects.chain(brings).sum::<usize>()
}

/// About how much memory an entry of Shopify's log takes.
fn bytes_of_entry(entry: &Option<Entry>) -> usize {
    let names = entry.as_ref().map_or(0, |Entry { kind, id, who, .. }| {
        bytes_of_text(kind.as_str()) + bytes_of_text(id.as_str()) + bytes_of_text(&who.name)
    });
    size_of::<Option<Entry>>() + names
}

/// About how much memory a text takes: it is handed out in steps.
fn bytes_of_text(text: &str) -> usize {
    text.len().next_multiple_of(16)
}

/// Which of the changes our own jobs made.
fn own_writes(from: Sources<'_>, traces: &[Trace]) -> Vec<OwnWrite> {
    let ours = traces.iter().filter(|trace| from.written.is_ours(trace));
    ours.map(OwnWrite::of).collect()
}

/// Where evidence about a window may stand.
fn around(span: Span) -> Span {
    Span { from: shifted(span.from, -EVIDENCE_AROUND), to: shifted(span.to, EVIDENCE_AROUND) }
}

fn shifted(at: Timestamp, by: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(by))
}

/// Where a list of change-sets goes on: after the set that ended then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cursor {
    to: Timestamp,
    id: ChangeSetId,
}

impl Cursor {
    fn parse(text: &str) -> Result<Self, JournalError> {
        let wrong = || JournalError::Invalid("cursor is not one of ours".into());
        let (to, id) = text.split_once('.').ok_or_else(wrong)?;
        let to = to.parse().map(Timestamp::from_micros).map_err(|_| wrong())?;
        Ok(Self { to, id: ChangeSetId::parse(id).map_err(|_| wrong())? })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.to.as_micros(), self.id)
    }
}
