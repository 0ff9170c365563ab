//! Which changes belong together: those of one actor in one go, and where nobody is named, bursts of
//! changes of the same shape.
//!
//! What is found does not depend on where the window ends, as long as it ends in a pause: groups are
//! put together from neighbours only.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use backstock_proto::{Op, Timestamp};

use super::EventId;
use super::evidence::{ActorKind, AppMark, Evidence, Found, Sign, Who, named};
use super::trace::Trace;

/// The pause after which a named actor's next change begins another change-set.
pub(super) const PAUSE_NAMED: u64 = 10 * 60 * 1_000_000;
/// The pause that ends a burst of which nobody is named.
pub(super) const PAUSE_UNKNOWN: u64 = 90 * 1_000_000;
/// Trade never pauses in a good shop: it is cut at full hours.
const TRADE_MICROS: i64 = 3600 * 1_000_000;
/// How far from an actor's own changes one that looks alike may be.
const NEAR: i64 = 60 * 1_000_000;
/// So many of the same shape are needed to recognise more of them.
const ALIKE_MIN: usize = 3;
/// The part of those of the same shape thereabouts that must be one actor's.
const ALIKE_PART: f64 = 0.8;
/// From so many on, changes of which nobody is named are a burst.
pub(super) const BURST_MIN: usize = 5;
/// Nobody edits one thing after the other faster by hand.
const BY_HAND: u64 = 4 * 1_000_000;
/// How long after a mark a burst counts as what was announced.
const MARK_MICROS: u64 = 2 * 3600 * 1_000_000;

/// Changes that belong together.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which, in order of time: positions in what was grouped.
    pub members: Vec<usize>,
    /// Who did it, if anything says so.
    pub who: Option<Who>,
    /// What says so, and of how many members.
    pub signs: BTreeMap<Sign, usize>,
}

/// Puts together what belongs together. The traces are in order of time.
pub fn group(traces: &[Trace], evidence: &Evidence) -> Vec<Group> {
    let mut found = named(traces, evidence);
    alike(traces, &mut found);
    let mut groups = of_named(traces, &found);
    let mut unknown = of_unknown(traces, &found, &evidence.marks);
    for group in &mut unknown {
        ascribe_by_mark(traces, &evidence.marks, group);
    }
    groups.extend(unknown);
    groups
}

/// Where Shopify's log is silent: what looks like an actor's other changes, amid these, is theirs.
fn alike(traces: &[Trace], found: &mut [Found]) {
    let open = traces.iter().zip(found.iter()).filter(|(_, found)| found.is_none());
    let open: HashSet<u64> = open.map(|(trace, _)| trace.shape()).collect();
    // For every shape of which somebody is still looked for, all changes of it, in order of time.
    let mut of: HashMap<u64, Vec<usize>> = HashMap::new();
    for (n, trace) in traces.iter().enumerate() {
        let shape = trace.shape();
        if open.contains(&shape) {
            of.entry(shape).or_default().push(n);
        }
    }
    let inferred: Vec<(usize, Arc<Who>)> =
        of.into_values().flat_map(|members| alike_of(traces, found, members)).collect();
    for (n, who) in inferred {
        found[n] = Some((who, Sign::Alike));
    }
}

/// Whose those changes of one shape, in order of time, may be of which nobody is named.
fn alike_of(traces: &[Trace], found: &[Found], members: Vec<usize>) -> Vec<(usize, Arc<Who>)> {
    // What we have taken back so far looks like what it took back, and tells nothing of the rest.
    let others =
        |n: &usize| found[*n].as_ref().is_some_and(|(who, _)| who.kind != ActorKind::Backstock);
    let sure: Vec<usize> = members.iter().copied().filter(others).collect();
    if sure.len() < ALIKE_MIN {
        return Vec::new();
    }
    let mut all = Around::of(traces, found);
    let mut by_rule: HashMap<u64, Around<'_>> = HashMap::new();
    for n in sure {
        let rule = traces[n].signature();
        by_rule.entry(rule).or_insert_with(|| Around::of(traces, found)).sure.push((n, rule));
        all.sure.push((n, rule));
    }
    let mut inferred = Vec::new();
    for n in members.into_iter().filter(|n| found[*n].is_none()) {
        let (rule, at) = (traces[n].signature(), traces[n].at.as_micros());
        // Two apps may do the same sort of thing one soon after the other, each by its own rule.
        if let Some((who, _)) = by_rule.get_mut(&rule).and_then(|same| same.mostly(at)) {
            inferred.push((n, who.clone()));
            continue;
        }
        let Some((who, theirs)) = all.mostly(at) else { continue };
        // What is done by one rule is told apart from what only looks like it.
        if theirs.one_rule().is_none_or(|one_rule| one_rule == rule) {
            inferred.push((n, who.clone()));
        }
    }
    inferred
}

/// Some changes whose actors are known, in order of time, and which of them are at about the same time
/// as another. That one moves on: of a hundred thousand, each comes in once and goes out once.
struct Around<'a> {
    traces: &'a [Trace],
    found: &'a [Found],
    /// Each with its rule.
    sure: Vec<(usize, u64)>,
    /// The places of the first that is at about that time, and of the first after it that is not.
    begin: usize,
    end: usize,
    /// Which of them are whose.
    by: BTreeMap<&'a Arc<Who>, Theirs>,
}

impl<'a> Around<'a> {
    fn of(traces: &'a [Trace], found: &'a [Found]) -> Self {
        Self { traces, found, sure: Vec::new(), begin: 0, end: 0, by: BTreeMap::new() }
    }

    /// Whose the changes around an instant are, no earlier than the last one, if nearly all of them are
    /// one actor's and some are near it; and these.
    fn mostly(&mut self, at: i64) -> Option<(&'a Arc<Who>, &Theirs)> {
        self.move_to(at);
        let (&who, theirs) = self.by.iter().max_by_key(|(_, theirs)| theirs.all)?;
        let mostly = theirs.all as f64 >= ALIKE_PART * (self.end - self.begin) as f64;
        let near = || {
            let first = self.sure.partition_point(|(n, _)| self.at(*n) < at - NEAR);
            let mut near = self.sure[first..].iter().take_while(|(n, _)| self.at(*n) <= at + NEAR);
            near.any(|(n, _)| self.is_by(*n, who))
        };
        (theirs.all >= ALIKE_MIN && mostly && near()).then_some((who, theirs))
    }

    fn move_to(&mut self, at: i64) {
        let pause = i64::try_from(PAUSE_NAMED).unwrap_or(i64::MAX);
        while self.end < self.sure.len() && self.at(self.sure[self.end].0) <= at + pause {
            self.count(self.end, |theirs| theirs + 1);
            self.end += 1;
        }
        while self.begin < self.end && self.at(self.sure[self.begin].0) < at - pause {
            self.count(self.begin, |theirs| theirs - 1);
            self.begin += 1;
        }
    }

    fn count(&mut self, place: usize, change: impl Fn(usize) -> usize) {
        let (found, (n, rule)) = (self.found, self.sure[place]);
        if let Some((who, _)) = &found[n] {
            self.by.entry(who).or_default().count(rule, change);
        }
    }

    fn at(&self, n: usize) -> i64 {
        self.traces[n].at.as_micros()
    }

    fn is_by(&self, n: usize, who: &Who) -> bool {
        self.found[n].as_ref().is_some_and(|(by, _)| **by == *who)
    }
}

/// How many of some changes are one actor's, and by which rules.
#[derive(Default)]
struct Theirs {
    all: usize,
    by_rule: HashMap<u64, usize>,
    /// The same, those by which there are most last.
    rules: BTreeSet<(usize, u64)>,
}

impl Theirs {
    fn count(&mut self, rule: u64, change: impl Fn(usize) -> usize) {
        self.all = change(self.all);
        let of_rule = self.by_rule.entry(rule).or_default();
        self.rules.remove(&(*of_rule, rule));
        *of_rule = change(*of_rule);
        self.rules.insert((*of_rule, rule));
    }

    /// The rule by which nearly all of them are.
    fn one_rule(&self) -> Option<u64> {
        let (most, rule) = self.rules.last()?;
        (*most as f64 >= ALIKE_PART * self.all as f64).then_some(*rule)
    }
}

/// The value that nearly all of some have.
fn dominant(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    let mut all = 0;
    for value in values {
        *counts.entry(value).or_default() += 1;
        all += 1;
    }
    let (value, count) = counts.into_iter().max_by_key(|(value, count)| (*count, *value))?;
    (count as f64 >= ALIKE_PART * f64::from(all)).then_some(value)
}

fn of_named(traces: &[Trace], found: &[Found]) -> Vec<Group> {
    let mut open: HashMap<&Who, Group> = HashMap::new();
    let mut groups = Vec::new();
    for (n, found) in found.iter().enumerate() {
        let Some((who, sign)) = found else { continue };
        let begin = || Group::of(Some(Who::clone(who)));
        let group = open.entry(who).or_insert_with(begin);
        if ends_before(traces, group, n) {
            groups.push(std::mem::replace(group, begin()));
        }
        group.members.push(n);
        *group.signs.entry(*sign).or_default() += 1;
    }
    groups.extend(open.into_values());
    groups
}

/// Whether a group is over when the next change of its actor comes.
fn ends_before(traces: &[Trace], group: &Group, next: usize) -> bool {
    let Some(last) = group.members.last() else { return false };
    let (last, next) = (traces[*last].at, traces[next].at);
    match group.who.as_ref().map(|who| who.kind) {
        Some(ActorKind::Customers) => hour(last) != hour(next),
        _ => next.micros_since(last) > PAUSE_NAMED,
    }
}

fn hour(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(TRADE_MICROS)
}

/// Bursts of the same shape, cut where an app is announced: what came before is not its work. Stock
/// that moves by itself is cut at full hours.
fn of_unknown(traces: &[Trace], found: &[Found], marks: &[AppMark]) -> Vec<Group> {
    let mut open: HashMap<u64, Group> = HashMap::new();
    let mut groups = Vec::new();
    for (n, trace) in traces.iter().enumerate() {
        if found[n].is_some() {
            continue;
        }
        let group = open.entry(trace.shape()).or_insert_with(|| Group::of(None));
        let over = group.members.last().is_some_and(|last| {
            let last = &traces[*last];
            match is_stock(trace) {
                true => hour(last.at) != hour(trace.at),
                false => {
                    let announced = |mark: &AppMark| last.at < mark.at && mark.at <= trace.at;
                    trace.at.micros_since(last.at) > PAUSE_UNKNOWN || marks.iter().any(announced)
                }
            }
        });
        if over {
            groups.push(std::mem::replace(group, Group::of(None)));
        }
        group.members.push(n);
    }
    groups.extend(open.into_values());
    let groups = groups.into_iter().flat_map(|group| by_rule(traces, group)).collect();
    of_one_action(traces, groups)
}

/// A burst that is done by one rule, and apart from it what only has its shape.
fn by_rule(traces: &[Trace], group: Group) -> Vec<Group> {
    if group.members.len() < BURST_MIN {
        return vec![group];
    }
    let rule = dominant(group.members.iter().map(|n| traces[*n].signature()));
    let Some(rule) = rule else { return vec![group] };
    let (by_rule, others): (Vec<usize>, Vec<usize>) =
        group.members.into_iter().partition(|n| traces[*n].signature() == rule);
    let of = |members| Group { members, ..Group::of(None) };
    [by_rule, others].into_iter().filter(|members| !members.is_empty()).map(of).collect()
}

fn is_stock(trace: &Trace) -> bool {
    trace.kind.as_str() == "inventory_level"
}

/// Joins groups of which nobody is named that are parts of the same actions: a product and its
/// inventory items.
fn of_one_action(traces: &[Trace], groups: Vec<Group>) -> Vec<Group> {
    let mut of: HashMap<EventId, usize> = HashMap::new();
    let mut root: Vec<usize> = (0..groups.len()).collect();
    fn find(root: &mut [usize], mut g: usize) -> usize {
        while root[g] != g {
            root[g] = root[root[g]];
            g = root[g];
        }
        g
    }
    for (g, group) in groups.iter().enumerate() {
        for n in &group.members {
            let Some(action) = traces[*n].event_id else { continue };
            if is_stock(&traces[*n]) {
                continue;
            }
            let other = *of.entry(action).or_insert(g);
            let (a, b) = (find(&mut root, other), find(&mut root, g));
            root[a.max(b)] = a.min(b);
        }
    }
    let mut joined: BTreeMap<usize, Group> = BTreeMap::new();
    for (g, group) in groups.into_iter().enumerate() {
        let to = joined.entry(find(&mut root, g)).or_insert_with(|| Group::of(None));
        to.members.extend(group.members);
    }
    let mut joined: Vec<Group> = joined.into_values().collect();
    for group in &mut joined {
        group.members.sort_unstable();
    }
    joined
}

/// Whether changes follow upon each other faster than by hand.
fn is_dense(traces: &[Trace], members: &[usize]) -> bool {
    let between = |pair: &[usize]| traces[pair[1]].at.micros_since(traces[pair[0]].at);
    let mut gaps: Vec<u64> = members.windows(2).map(between).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).is_some_and(|median| *median <= BY_HAND)
}

/// Ascribes what began soon after somebody said, or signs showed, that an app comes.
fn ascribe_by_mark(traces: &[Trace], marks: &[AppMark], group: &mut Group) {
    let Some(first) = group.members.first().map(|n| &traces[*n]) else { return };
    let deletes = group.members.iter().filter(|n| traces[**n].op == Op::Delete).count();
    let burst = group.members.len() >= BURST_MIN && is_dense(traces, &group.members);
    // Shopify's log never says who writes themes, and one file is enough for an app's code.
    let theme = first.kind.as_str() == "theme_file";
    if is_stock(first) || !(burst || deletes > 1 || theme) {
        return;
    }
    let announced = marks.iter().filter(|mark| {
        let since = first.at.as_micros() - mark.at.as_micros();
        since >= 0 && first.at.micros_since(mark.at) <= MARK_MICROS
    });
    let Some(mark) = announced.max_by_key(|mark| (mark.said, mark.at)) else { return };
    group.who = Some(Who::app(&mark.app));
    group.signs.insert(Sign::Mark, group.members.len());
}

impl Group {
    fn of(who: Option<Who>) -> Self {
        Self { members: Vec::new(), who, signs: BTreeMap::new() }
    }

    /// The hour that it lies in, in microseconds, where it is cut at full hours: whatever comes before
    /// and after belongs to other groups.
    pub(super) fn hour(&self, traces: &[Trace]) -> Option<(i64, i64)> {
        let first = &traces[*self.members.first()?];
        let is_cut = match &self.who {
            Some(who) => who.kind == ActorKind::Customers,
            None => is_stock(first),
        };
        let begins = hour(first.at) * TRADE_MICROS;
        is_cut.then_some((begins, begins + TRADE_MICROS))
    }

    /// How sure it is who did it, below 1.
    pub fn confidence(&self) -> f64 {
        let sure: f64 = self.signs.iter().map(|(sign, n)| sign.weight() * *n as f64).sum();
        let confidence = sure / self.members.len().max(1) as f64;
        (confidence * 100.0).round() / 100.0
    }
}
