//! When what is pulled: a kind that was not pulled whole since the last time that the schedule names,
//! a kind that was never pulled, what a gap of the stream concerns, and what somebody asks for.
//!
//! Nothing about this is remembered but what pulls put on record, so that a start after a kill goes on
//! where it was.

use std::collections::BTreeMap;
use std::time::Duration;

use backstock_proto::cron::Cron;
use backstock_proto::journal::{
    JournalError, PAGE_LIMIT_MAX, PULL, Page, PullReport, PullState, Record,
};
use backstock_proto::kind::{self, Spec};
use backstock_proto::pulls::{ORDER, Order, Ordered};
use backstock_proto::trace::{Span, SpanKind};
use backstock_proto::{Kind, Timestamp};
use futures::{FutureExt, StreamExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::pull::{self, Puller};
use crate::shop::Until;

/// How often it looks whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long it waits after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// Kinds that are pulled at once: as many as bulk operations may run.
const KINDS_AT_ONCE: usize = 5;

/// Pulls one shop's kinds when they are due. Whole pulls that run when the shop is to be left come to
/// their end, and no other begins.
pub(crate) async fn run(
    puller: Puller,
    cron: Cron,
    mut ordered: mpsc::Receiver<Order>,
    Until { stop, leave }: Until,
) {
    // A series is there before there is anything to tell.
    puller.metrics.full_pull_age.with_label_values(&[&puller.shop.domain()]);
    let mut wait = Duration::ZERO;
    loop {
        let order = tokio::select! {
            () = stop.cancelled() => return,
            () = leave.cancelled() => return,
            order = ordered.recv() => order,
            () = tokio::time::sleep(wait) => None,
        };
        let working = work(&puller, (&cron, &leave), order);
        let worked = tokio::select! {
            () = stop.cancelled() => return,
            worked = working => worked,
        };
        wait = if worked { LOOK_EVERY } else { RETRY_AFTER };
    }
}

/// Does what was ordered, or what is due. Whether all of it worked.
async fn work(
    puller: &Puller,
    (cron, leave): (&Cron, &CancellationToken),
    order: Option<Order>,
) -> bool {
    if let Some(order) = order {
        let confirm_deletions = order.confirm_deletions;
        let how = pull::Order { confirm_deletions, ..pull::Order::default() };
        let kinds = ordered(&order).into_iter().map(|spec| (spec, how.clone()));
        return all(puller, kinds.collect(), leave).await;
    }
    match due(puller, cron).await {
        Ok(kinds) => all(puller, kinds, leave).await,
        Err(error) => {
            warn!(shop = %puller.shop, %error, "cannot see which pulls are due");
            false
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

/// What has to be pulled now, and how: for its schedule, for gaps that it makes good, for an order that
/// a restart came before, or because a kill ended it.
async fn due(
    puller: &Puller,
    cron: &Cron,
) -> Result<Vec<(&'static Spec, pull::Order)>, JournalError> {
    let now = puller.clock.now();
    let since = cron.last(now);
    let newest: BTreeMap<String, PullReport> = newest(puller, PULL).await?;
    let orders: BTreeMap<String, Ordered> = self::newest(puller, ORDER).await?;
    let status = puller.journal.status(&puller.shop).await?;
    let gaps: Vec<(u64, u64)> = status
        .map(|status| status.gaps)
        .unwrap_or_default()
        .iter()
        .filter(|gap| !gap.healed)
        .map(|gap| (gap.from_seq, gap.to_seq))
        .collect();
    let mut oldest = None;
    let mut kinds = Vec::new();
    for spec in pulled() {
        let report = newest.get(spec.name);
        if let Some(report) = report.filter(|report| report.finished_at.is_some()) {
            oldest = oldest.min(Some(report.started_at)).or(Some(report.started_at));
        }
        let order = orders.get(spec.name);
        let open = order.filter(|order| report.is_none_or(|report| report.started_at < order.at));
        if open.is_none() && report.is_some_and(|report| !is_due(report, since, now, &gaps)) {
            continue;
        }
        let cut = report.is_none_or(|report| report.state == PullState::Running);
        let confirm_deletions =
            order.is_some_and(|order| order.confirm_deletions && (open.is_some() || cut));
        let healed_gaps = gaps.clone();
        let may_resume = open.is_none();
        kinds.push((spec, pull::Order { healed_gaps, confirm_deletions, may_resume }));
    }
    if let Some(oldest) = oldest {
        let age = puller.metrics.full_pull_age.with_label_values(&[&puller.shop.domain()]);
        age.set(now.seconds_since(oldest));
    }
    Ok(kinds)
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
    match report.state {
        // This process runs none at the moment: another one did, and was ended.
        Running => true,
        Complete => {
            report.started_at < since || gaps.iter().any(|gap| !report.healed_gaps.contains(gap))
        }
        Failed => {
            let ended = report.finished_at.unwrap_or(report.started_at);
            report.started_at < since || now.micros_since(ended) > failed_rest(report)
        }
    }
}

/// How long a failed pull is left alone, in microseconds: it waits for somebody, or costs much.
fn failed_rest(_report: &PullReport) -> u64 {
    15 * 60 * 1_000_000
}

/// Pulls some kinds, beginning none once the shop is to be left. Whether all of them worked.
async fn all(
    puller: &Puller,
    kinds: Vec<(&'static Spec, pull::Order)>,
    leave: &CancellationToken,
) -> bool {
    let pull =
        |(spec, order)| async move { leave.is_cancelled() || one(puller, spec, order).await };
    let pulls: Vec<_> = kinds.into_iter().map(|kind| pull(kind).boxed()).collect();
    let pulls = futures::stream::iter(pulls).buffered(KINDS_AT_ONCE);
    pulls.fold(true, async |all, worked| all && worked).await
}

async fn one(puller: &Puller, spec: &'static Spec, order: pull::Order) -> bool {
    let kind = Kind::of(spec);
    let mut span = Span::begin("compactor pull", SpanKind::Internal, None);
    span.set("shop", &puller.shop);
    span.set("kind", &kind);
    let trace_id = span.context().trace_id();
    let pulled = span.context().scope(puller.kind(spec, &order)).await;
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
