//! When what is pulled: a kind that was not pulled whole since the last time that the schedule names,
//! a kind that was never pulled, what a gap of the stream concerns, and what somebody asks for.
//!
//! Nothing about this is remembered but what pulls put on record, so that a start after a kill goes on
//! where it was.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use backstock_proto::cron::Cron;
use backstock_proto::journal::{
    Gap, JournalError, KindStatus, PAGE_LIMIT_MAX, PULL, Page, PullReport, PullState, Record,
};
use backstock_proto::kind::{self, Spec};
use backstock_proto::pulls::{LATER, ORDER, Order, Ordered};
use backstock_proto::trace::{Span, SpanKind};
use backstock_proto::{Kind, Timestamp};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::pull::{self, Puller};
use crate::shop::Until;
use crate::turns::{Turn, Turns};

/// How often it looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long it waits after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// How far history may be behind, in seconds, while it says what is due: what was read last would be taken
/// for cut off, and read again. It is less than a kind rests that was just read.
const BEHIND_MAX: f64 = 15.0;
/// How soon it looks again when history is.
const CATCHES_UP: Duration = Duration::from_secs(2);
/// By how much the clocks of compactors may differ, in microseconds.
const AHEAD_MAX: u64 = 3_600 * 1_000_000;
/// How long a pull that failed is left alone at first, in microseconds, and how often that is doubled:
/// up to eight hours.
const FAILED_REST: u64 = 15 * 60 * 1_000_000;
const DOUBLINGS_MAX: u32 = 5;
/// Kinds that are pulled at once: as many as bulk operations may run.
const KINDS_AT_ONCE: usize = 5;
/// Kinds that somebody waits for and that are pulled beside those: what is due may take hours. More than
/// one, so that a small kind does not wait for a large one. Where all bulk operations that may run do, one
/// that needs such an operation gets the next that is free.
const ORDERED_BESIDE: usize = 2;

/// When kinds are due, and how many are then read at once.
pub(crate) struct When {
    pub(crate) cron: Cron,
    /// Over how long shops are spread from each time of that on.
    pub(crate) spread: Duration,
    /// Without one, nothing is read that is merely due.
    pub(crate) turns: Turns,
}

/// Pulls one shop's kinds when they are due. Whole pulls that run when the shop is to be left come to
/// their end, and no other begins.
pub(crate) async fn run(
    puller: Puller,
    when: When,
    mut ordered: mpsc::Receiver<Order>,
    Until { stop, leave }: Until,
) {
    let age = puller.metrics.full_pull_age.with_label_values(&[&puller.shop.domain()]);
    // Until it was seen how old it is.
    let mut whole_since = puller.clock.now();
    let mut tell = tokio::time::interval(LOOK_EVERY);
    let mut queue = Queue::default();
    // Outside the loop, of which everything else that happens makes a turn.
    let mut look_at = Instant::now();
    loop {
        if leave.is_cancelled() {
            queue.waiting.clear();
            if queue.running.is_empty() {
                return;
            }
        }
        queue.begin(&puller);
        queue.line_up(&when.turns);
        let looking = async {
            tokio::time::sleep_until(look_at).await;
            due(&puller, &when).await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = leave.cancelled(), if !leave.is_cancelled() => {}
            _ = tell.tick() => age.set(puller.clock.now().seconds_since(whole_since)),
            Some(turn) = queue.line.next() => queue.turn = turn,
            Some(order) = ordered.recv(), if !leave.is_cancelled() => queue.order(&order),
            Some((spec, worked)) = queue.running.next() => queue.ended(spec, worked),
            // Also while something runs: one kind may take days.
            due = looking, if !leave.is_cancelled() => match due {
                Ok(due) => {
                    queue.take_up(due.kinds);
                    whole_since = due.whole_since.unwrap_or(whole_since);
                    age.set(puller.clock.now().seconds_since(whole_since));
                    look_at = Instant::now() + if due.is_behind { CATCHES_UP } else { LOOK_EVERY };
                }
                Err(error) => {
                    warn!(shop = %puller.shop, %error, "cannot see which pulls are due");
                    look_at = Instant::now() + RETRY_AFTER;
                }
            },
        }
    }
}

/// A kind to be pulled, and how.
type Wanted = (&'static Spec, pull::Order);

/// What is pulled now, and what waits for its turn.
struct Queue<'a> {
    waiting: VecDeque<Wanted>,
    running: FuturesUnordered<BoxFuture<'a, (&'static Spec, bool)>>,
    /// The kinds that run, and whether somebody waits for each.
    kinds: BTreeMap<&'static str, bool>,
    /// The kinds that were just read, and until when they rest: what came of it may not be readable yet.
    rest: BTreeMap<&'static str, Instant>,
    /// The turn of what is due next, or the place in the line for it.
    turn: Option<Turn>,
    line: FuturesUnordered<BoxFuture<'static, Option<Turn>>>,
}

impl Default for Queue<'_> {
    fn default() -> Self {
        let (waiting, running) = (VecDeque::new(), FuturesUnordered::new());
        let (kinds, rest) = (BTreeMap::new(), BTreeMap::new());
        Self { waiting, running, kinds, rest, turn: None, line: FuturesUnordered::new() }
    }
}

impl<'a> Queue<'a> {
    /// What somebody waits for comes before what is merely due. A kind that runs is pulled once more
    /// after that: what was ordered speaks of the shop as it is from then on.
    fn order(&mut self, order: &Order) {
        for spec in ordered(order).into_iter().rev() {
            let before = self.waiting.iter().position(|(waiting, _)| waiting.name == spec.name);
            let due = before.and_then(|n| self.waiting.remove(n)).map(|(_, how)| how);
            let due = due.unwrap_or_default();
            let confirm_deletions = order.confirm_deletions || due.confirm_deletions;
            let how = pull::Order { confirm_deletions, ordered: true, ..due };
            self.waiting.push_front((spec, how));
        }
    }

    /// What is due waits, unless it does already, runs or rests.
    fn take_up(&mut self, due: Vec<Wanted>) {
        let now = Instant::now();
        self.rest.retain(|_, until| *until > now);
        for (spec, how) in due {
            let waits = self.waiting.iter().any(|(waiting, _)| waiting.name == spec.name);
            let is_busy = self.kinds.contains_key(spec.name) || self.rest.contains_key(spec.name);
            if !waits && !is_busy {
                self.waiting.push_back((spec, how));
            }
        }
    }

    /// A kind no longer runs.
    fn ended(&mut self, spec: &'static Spec, worked: bool) {
        self.kinds.remove(spec.name);
        let rest = if worked { LOOK_EVERY } else { RETRY_AFTER };
        self.rest.insert(spec.name, Instant::now() + rest);
    }

    /// Begins as many as may run at once.
    fn begin(&mut self, puller: &'a Puller) {
        while let Some(((spec, how), turn)) = self.next() {
            let pulled = async move {
                let worked = one(puller, spec, how, turn).await;
                (spec, worked)
            };
            self.running.push(pulled.boxed());
        }
    }

    /// The first that waits and may run now, with its turn where it takes one: from here on its kind is one
    /// of those that run, and no other pull of it is begun.
    fn next(&mut self) -> Option<(Wanted, Option<Turn>)> {
        let has_room = self.kinds.len() < KINDS_AT_ONCE;
        let ordered = self.kinds.values().filter(|ordered| **ordered).count();
        let next = self.waiting.iter().position(|(spec, how)| {
            let may_run = match how.ordered {
                true => has_room || ordered < ORDERED_BESIDE,
                false => has_room && self.turn.is_some(),
            };
            may_run && !self.kinds.contains_key(spec.name)
        });
        let (spec, how) = self.waiting.remove(next?)?;
        self.kinds.insert(spec.name, how.ordered);
        let turn = if how.ordered { None } else { self.turn.take() };
        Some(((spec, how), turn))
    }

    /// Stands in line for a turn as long as something could begin with it.
    fn line_up(&mut self, turns: &Turns) {
        let has_room = self.kinds.len() < KINDS_AT_ONCE;
        let mut due = self.waiting.iter().filter(|(_, how)| !how.ordered);
        if !has_room || !due.any(|(spec, _)| !self.kinds.contains_key(spec.name)) {
            (self.turn, self.line) = (None, FuturesUnordered::new());
        } else if self.turn.is_none() && self.line.is_empty() {
            self.line.push(turns.next());
        }
    }
}

/// The kinds that an order names.
pub(crate) fn ordered(Order { kinds, .. }: &Order) -> Vec<&'static Spec> {
    let mut specs = pulled();
    specs.retain(|spec| kinds.is_empty() || kinds.iter().any(|kind| kind.as_str() == spec.name));
    specs
}

/// The kinds that can be pulled, in the order in which they are restored: what comes first is of use
/// first.
fn pulled() -> Vec<&'static Spec> {
    let mut specs: Vec<&'static Spec> =
        kind::ALL.iter().copied().filter(|spec| !spec.pulls.is_empty()).collect();
    specs.sort_by_key(|spec| spec.rank);
    specs
}

/// What a look at the records says.
struct Due {
    kinds: Vec<Wanted>,
    /// Since when not every kind was read whole.
    whole_since: Option<Timestamp>,
    /// History is behind, and cannot say what is due.
    is_behind: bool,
}

/// What has to be pulled now, and how: for its schedule, for gaps that it makes good, for an order that
/// a restart came before, or because a kill ended it.
async fn due(puller: &Puller, when: &When) -> Result<Due, JournalError> {
    let now = puller.clock.now();
    let since = when.cron.last_of(&puller.shop, when.spread, now);
    let newest: BTreeMap<String, PullReport> = newest(puller, PULL).await?;
    let orders: BTreeMap<String, Ordered> = self::newest(puller, ORDER).await?;
    let later: BTreeMap<String, Ordered> = self::newest(puller, LATER).await?;
    let status = puller.journal.status(&puller.shop).await?;
    let is_behind = status.as_ref().is_some_and(|known| known.summary.lag_seconds > BEHIND_MAX);
    let (known, gaps) = status.map(|status| (status.kinds, status.gaps)).unwrap_or_default();
    let whole_since = known.iter().filter_map(self::whole_since).min();
    if is_behind {
        return Ok(Due { kinds: Vec::new(), whole_since, is_behind });
    }
    let ends = |gap: &Gap| (gap.from_seq, gap.to_seq);
    let open_gaps: Vec<(u64, u64)> = gaps.iter().filter(|gap| !gap.healed).map(ends).collect();
    let mut kinds = Vec::new();
    for spec in pulled() {
        let report = newest.get(spec.name);
        // One of a clock that was far ahead would be open for as long, whatever is read.
        let is_given = |order: &&Ordered| order.at <= now;
        let given = orders.get(spec.name).filter(is_given);
        let later = later.get(spec.name).filter(is_given);
        let is_open = |order: &&Ordered| report.is_none_or(|report| report.started_at < order.at);
        let ordered = given.into_iter().chain(later).any(|order| is_open(&order));
        if !ordered && report.is_some_and(|report| !is_due(report, since, now, &open_gaps)) {
            continue;
        }
        let cut = report.is_none_or(|report| report.state == PullState::Running);
        // A word that was given for a pull that a kill cut; what has been read whole since needs its own.
        let complete = known.iter().find(|known| known.kind.as_str() == spec.name);
        let complete = complete.and_then(|known| known.last_complete_pull.as_ref());
        let is_heeded = |order: &&Ordered| complete.is_none_or(|pull| pull.started_at < order.at);
        let confirm_deletions = given
            .filter(is_heeded)
            .is_some_and(|order| order.confirm_deletions && (is_open(&order) || cut));
        // A kind that is read whole for the first time may come after what healed all others.
        let is_read = |gap: &Gap| gap.healed_by.iter().any(|by| by.kind.as_str() == spec.name);
        let unread = gaps.iter().filter(|gap| !(gap.healed && is_read(gap)));
        let healed_gaps = unread.map(ends).collect();
        kinds.push((spec, pull::Order { healed_gaps, confirm_deletions, ordered }));
    }
    Ok(Due { kinds, whole_since, is_behind })
}

/// Since when a kind was not read whole: since the last pull of all of it began, or, where there was none,
/// the first that tried. What the app may not read need not be.
fn whole_since(kind: &KindStatus) -> Option<Timestamp> {
    if let Some(complete) = &kind.last_complete_pull {
        return Some(complete.started_at);
    }
    let tried = kind.pull.as_ref().filter(|pull| !pull.denied)?;
    Some(tried.failing_since.unwrap_or(tried.started_at))
}

/// The newest records of some sort, by id.
async fn newest<T: DeserializeOwned>(
    puller: &Puller,
    what: &str,
) -> Result<BTreeMap<String, T>, JournalError> {
    let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    let records = puller.journal.records(&puller.shop, what, None, &page).await?.items.into_iter();
    let read = |record: Record| Some((record.id, serde_json::from_value(record.payload).ok()?));
    Ok(records.filter_map(read).collect())
}

fn is_due(report: &PullReport, since: Timestamp, now: Timestamp, gaps: &[(u64, u64)]) -> bool {
    use PullState::{Complete, Failed, Running};
    // What lies ahead is of a clock that was wrong.
    let is_old = report.started_at < since || report.started_at.micros_since(now) > AHEAD_MAX;
    match report.state {
        // This process runs none at the moment: another one did, and was ended.
        Running => true,
        Complete => is_old || gaps.iter().any(|gap| !report.healed_gaps.contains(gap)),
        Failed => {
            let ended = report.finished_at.unwrap_or(report.started_at);
            is_old || now.micros_since(ended) > failed_rest(report)
        }
    }
}

/// How long a failed pull is left alone, in microseconds: it waits for somebody, or costs much. The longer
/// the more often it failed.
fn failed_rest(report: &PullReport) -> u64 {
    FAILED_REST << report.tries.saturating_sub(1).min(DOUBLINGS_MAX)
}

/// Pulls a kind. Whether that worked.
async fn one(puller: &Puller, spec: &'static Spec, order: pull::Order, turn: Option<Turn>) -> bool {
    let kind = Kind::of(spec);
    let mut span = Span::begin("compactor pull", SpanKind::Internal, None);
    span.set("shop", &puller.shop);
    span.set("kind", &kind);
    let trace_id = span.context().trace_id();
    let pulled = span.context().scope(puller.kind(spec, &order, turn)).await;
    match span.went(pulled) {
        Ok(report) => {
            let drift = report.drift;
            for (found, count) in
                [("missed", drift.missed), ("changed", drift.changed), ("extra", drift.extra)]
            {
                puller.metrics.drift.with_label_values(&[spec.name, found]).inc_by(count);
            }
            info!(
                shop = %puller.shop, %kind, %trace_id, objects = report.objects,
                missed = drift.missed, changed = drift.changed, extra = drift.extra, "pulled whole"
            );
            true
        }
        Err(error) => {
            warn!(
                shop = %puller.shop, %kind, %trace_id, %error,
                "failed to pull; nothing is taken for gone"
            );
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use backstock_proto::Shop;
    use serde_json::{Value, json};

    use super::*;

    fn spec(name: &str) -> &'static Spec {
        kind::ALL.iter().find(|spec| spec.name == name).expect("a kind")
    }

    fn order(names: &[&str]) -> Order {
        let kinds = names.iter().map(|name| Kind::of(spec(name))).collect();
        let shop = Shop::from_name("acme").expect("a shop");
        Order { shop, kinds, ids: Vec::new(), confirm_deletions: false }
    }

    /// The kinds that begin now, if it is their turn.
    fn begun(queue: &mut Queue<'_>) -> Vec<&'static str> {
        let begin = || {
            queue.turn = turn();
            queue.next()
        };
        std::iter::from_fn(begin).map(|((spec, _), _)| spec.name).collect()
    }

    fn turn() -> Option<Turn> {
        Turns::new().next().now_or_never().flatten()
    }

    #[test]
    fn what_is_due_waits_for_its_turn_and_what_is_ordered_does_not() {
        let (mut queue, turns) = (Queue::default(), Turns::new());
        queue.waiting.extend(["product", "page"].map(|name| (spec(name), pull::Order::default())));
        assert!(queue.next().is_none());
        queue.order(&order(&["page"]));
        let ((page, _), none) = queue.next().expect("it begins");
        assert_eq!((page.name, none.is_none()), ("page", true));
        queue.line_up(&turns);
        assert_eq!(queue.line.len(), 1);
        queue.turn = turn();
        let ((product, _), taken) = queue.next().expect("it begins");
        assert_eq!((product.name, taken.is_some()), ("product", true));
        queue.line_up(&turns);
        assert!(queue.line.is_empty(), "nothing more waits for a turn");
    }

    #[test]
    fn what_fails_again_and_again_is_left_alone_for_longer() {
        let rest = |tries: u32| {
            let report = json!({"kind": "page", "state": "failed", "tries": tries,
                "started_at": "2026-11-24T03:00:00Z"});
            let report: PullReport = serde_json::from_value(report).expect("a report");
            failed_rest(&report) / 60_000_000
        };
        assert_eq!([0, 1, 2, 3, 6, 7, 1_000].map(rest), [15, 15, 30, 60, 480, 480, 480]);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_while_does_not_stop_pulls() {
        let at = |text: &str| Timestamp::parse(text).expect("an instant");
        let (since, now) = (at("2026-11-24T03:00:00Z"), at("2026-11-24T09:00:00Z"));
        for state in ["complete", "failed"] {
            let is_due = |started: &str| {
                let report = json!({"kind": "page", "state": state, "tries": 1,
                    "started_at": started, "finished_at": started});
                let report: PullReport = serde_json::from_value(report).expect("a report");
                is_due(&report, since, now, &[])
            };
            assert!(is_due("2026-11-24T02:59:00Z"), "{state}");
            assert!(!is_due("2026-11-24T08:59:00Z") && !is_due("2026-11-24T09:00:05Z"), "{state}");
            assert!(is_due("2027-11-24T03:00:00Z"), "{state}");
        }
    }

    #[test]
    fn what_is_due_does_not_wait_for_a_kind_that_takes_days() {
        let mut queue = Queue::default();
        let due = |names: &[&str]| -> Vec<Wanted> {
            names.iter().map(|name| (spec(name), pull::Order::default())).collect()
        };
        queue.take_up(due(&["order", "page"]));
        assert_eq!(begun(&mut queue), ["order", "page"]);
        queue.ended(spec("page"), true);
        // The next night: orders are still being read, and what came of the pages is not readable yet.
        queue.take_up(due(&["order", "page", "menu"]));
        queue.take_up(due(&["order", "page", "menu"]));
        assert_eq!(begun(&mut queue), ["menu"]);
        queue.rest.insert("page", Instant::now());
        queue.take_up(due(&["order", "page"]));
        assert_eq!(begun(&mut queue), ["page"]);
        assert!(queue.waiting.is_empty());
    }

    #[test]
    fn a_kind_that_was_never_read_whole_grows_old_from_the_first_try_on() {
        let hour = |hour: u32| format!("2026-11-24T{hour:02}:00:00Z");
        let since = |pull: Value, complete: Value| {
            let status = json!({
                "kind": "page", "resources": 0, "deleted": 0, "versions": 0, "newest_version": null,
                "understood": true, "pull": pull, "last_complete_pull": complete,
            });
            let status: KindStatus = serde_json::from_value(status).expect("a status");
            whole_since(&status).map(|at| at.to_string())
        };
        let pull = |state: &str, at: u32, more: Value| {
            let mut pull = json!({"kind": "page", "state": state, "started_at": hour(at)});
            let more = more.as_object().cloned().unwrap_or_default();
            pull.as_object_mut().expect("members").extend(more);
            pull
        };
        let first = pull("failed", 3, json!({}));
        assert_eq!(since(first, Value::Null), Some(hour(3)));
        let again = pull("running", 9, json!({"failing_since": hour(3)}));
        assert_eq!(since(again.clone(), Value::Null), Some(hour(3)));
        assert_eq!(since(again, pull("complete", 1, json!({}))), Some(hour(1)));
        let denied = pull("failed", 9, json!({"failing_since": hour(3), "denied": true}));
        assert_eq!(since(denied, Value::Null), None, "nobody promised to keep it");
    }

    #[test]
    fn what_is_ordered_comes_first_and_keeps_what_was_due_of_it() {
        let mut queue = Queue::default();
        let due = pull::Order { healed_gaps: vec![(1, 2)], ..pull::Order::default() };
        queue.waiting.extend(["product", "page", "menu"].map(|name| (spec(name), due.clone())));
        queue.order(&Order { confirm_deletions: true, ..order(&["page", "blog"]) });
        let names: BTreeSet<&str> =
            queue.waiting.iter().take(2).map(|(spec, _)| spec.name).collect();
        assert_eq!((names, queue.waiting.len()), (BTreeSet::from(["blog", "page"]), 4));
        for (spec, how) in queue.waiting.iter().take(2) {
            assert!(how.confirm_deletions && how.ordered, "{}", spec.name);
            assert_eq!(how.healed_gaps.len(), usize::from(spec.name == "page"));
        }
    }

    #[test]
    fn what_is_ordered_runs_beside_what_is_due_and_no_kind_twice() {
        let mut queue = Queue::default();
        let due = ["product", "collection", "customer", "order", "page", "article", "menu"];
        queue.waiting.extend(due.map(|name| (spec(name), pull::Order::default())));
        assert_eq!(begun(&mut queue), due[..5]);
        queue.order(&order(&["product", "location"]));
        assert_eq!(begun(&mut queue), ["location"], "products are being read");
        queue.order(&order(&["menu"]));
        assert_eq!(begun(&mut queue), ["menu"]);
        queue.order(&order(&["blog"]));
        assert_eq!(begun(&mut queue), [""; 0], "two are beside the five already");
        queue.kinds.remove("location");
        assert_eq!(begun(&mut queue), ["blog"]);
        // What was ordered while it ran is read once more, before what is merely due.
        queue.kinds.remove("product");
        assert_eq!(begun(&mut queue), [""; 0], "six run, two of which somebody waits for");
        queue.kinds.remove("blog");
        assert_eq!(begun(&mut queue), ["product"]);
        for over in ["menu", "customer"] {
            queue.kinds.remove(over);
        }
        assert_eq!(begun(&mut queue), ["article"]);
        assert!(queue.waiting.is_empty());
    }
}
