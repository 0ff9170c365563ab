//! When what is pulled: a kind that was not pulled whole since the last time that the schedule names,
//! a kind that was never pulled, what a gap of the stream concerns, and what somebody asks for.
//!
//! Nothing about this is remembered but what pulls put on record, so that a start after a kill goes on
//! where it was.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use backstock_proto::Kind;
use backstock_proto::cron::Cron;
use backstock_proto::kind::Spec;
use backstock_proto::pulls::Order;
use backstock_proto::trace::{Span, SpanKind};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::due::{self, Wanted};
use crate::pull::{self, Puller};
use crate::shop::Until;
use crate::turns::{Turn, Turns};

/// How often it looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long it waits after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// How soon it looks again when history is behind.
const CATCHES_UP: Duration = Duration::from_secs(2);
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
            due::due(&puller, &when).await
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
            let how = pull::Order { confirm_deletions, afresh: true, ordered: true, ..due };
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
    let mut specs = due::pulled();
    specs.retain(|spec| kinds.is_empty() || kinds.iter().any(|kind| kind.as_str() == spec.name));
    specs
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

    use backstock_proto::{Shop, kind};

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
    fn what_is_ordered_comes_first_and_keeps_what_was_due_of_it() {
        let mut queue = Queue::default();
        let due = pull::Order { healed_gaps: vec![(1, 2)], ..pull::Order::default() };
        queue.waiting.extend(["product", "page", "menu"].map(|name| (spec(name), due.clone())));
        queue.order(&Order { confirm_deletions: true, ..order(&["page", "blog"]) });
        let names: BTreeSet<&str> =
            queue.waiting.iter().take(2).map(|(spec, _)| spec.name).collect();
        assert_eq!((names, queue.waiting.len()), (BTreeSet::from(["blog", "page"]), 4));
        for (spec, how) in queue.waiting.iter().take(2) {
            assert!(how.confirm_deletions && how.afresh && how.ordered, "{}", spec.name);
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
