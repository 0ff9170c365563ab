//! What is due to be pulled now: by its schedule, for a gap, for an order that a restart came before, because
//! nothing told of it for a while, or because a kill ended it. Records say it, and nothing else is remembered.

use std::collections::BTreeMap;

use backstock_proto::Timestamp;
use backstock_proto::journal::{
    Gap, JournalError, KindStatus, PAGE_LIMIT_MAX, PULL, Page, PullReport, PullState, Record,
};
use backstock_proto::kind::{self, Spec};
use backstock_proto::pulls::{LATER, ORDER, Ordered, UNTOLD};
use serde::de::DeserializeOwned;

use crate::pull::{self, Puller};
use crate::schedule::When;

/// How far history may be behind, in seconds, while it says what is due: what was read last would be taken
/// for cut off, and read again. It is less than a kind rests that was just read.
const BEHIND_MAX: f64 = 15.0;
/// By how much the clocks of compactors, and the shop's, may differ, in microseconds.
const AHEAD_MAX: u64 = 3_600 * 1_000_000;
/// How long a pull that failed is left alone at first, in microseconds, and how often that is doubled:
/// up to eight hours.
const FAILED_REST: u64 = 15 * 60 * 1_000_000;
const DOUBLINGS_MAX: u32 = 5;

/// A kind to be pulled, and how.
pub(crate) type Wanted = (&'static Spec, pull::Order);

/// What a look at the records says.
pub(crate) struct Due {
    pub(crate) kinds: Vec<Wanted>,
    /// Since when not every kind was read whole.
    pub(crate) whole_since: Option<Timestamp>,
    /// History is behind, and cannot say what is due.
    pub(crate) is_behind: bool,
}

/// What has to be pulled now, and how: for its schedule, for gaps that it makes good, for an order that
/// a restart came before, because nothing told of it for a while, or because a kill ended it.
pub(crate) async fn due(puller: &Puller, when: &When) -> Result<Due, JournalError> {
    let now = puller.clock.now();
    let status = puller.journal.status(&puller.shop).await?;
    let is_behind = status.as_ref().is_some_and(|known| known.summary.lag_seconds > BEHIND_MAX);
    let (known, gaps) = status.map(|status| (status.kinds, status.gaps)).unwrap_or_default();
    let whole_since = known.iter().filter_map(self::whole_since).min();
    if is_behind {
        return Ok(Due { kinds: Vec::new(), whole_since, is_behind });
    }
    let since = when.cron.last_of(&puller.shop, when.spread, now);
    let newest: BTreeMap<String, PullReport> = newest(puller, PULL).await?;
    let orders: BTreeMap<String, Ordered> = self::newest(puller, ORDER).await?;
    let later: BTreeMap<String, Ordered> = self::newest(puller, LATER).await?;
    let untold: BTreeMap<String, Ordered> = self::newest(puller, UNTOLD).await?;
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
        let untold = untold.get(spec.name).filter(is_given);
        let afresh = ordered || untold.is_some_and(|order| is_open(&order));
        if !afresh && report.is_some_and(|report| !is_due(report, since, now, &open_gaps)) {
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
        kinds.push((spec, pull::Order { healed_gaps, confirm_deletions, afresh, ordered }));
    }
    Ok(Due { kinds, whole_since, is_behind })
}

/// The kinds that can be pulled, in the order in which they are restored: what comes first is of use
/// first.
pub(crate) fn pulled() -> Vec<&'static Spec> {
    let mut specs: Vec<&'static Spec> =
        kind::ALL.iter().copied().filter(|spec| !spec.pulls.is_empty()).collect();
    specs.sort_by_key(|spec| spec.rank);
    specs
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
    let is_old = report.started_at < since || lies_ahead(report.started_at, now);
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

/// Whether an instant on record is of a clock that was wrong.
pub(crate) fn lies_ahead(at: Timestamp, now: Timestamp) -> bool {
    at.micros_since(now) > AHEAD_MAX
}

/// How long a failed pull is left alone, in microseconds: it waits for somebody, or costs much. The longer
/// the more often it failed.
fn failed_rest(report: &PullReport) -> u64 {
    FAILED_REST << report.tries.saturating_sub(1).min(DOUBLINGS_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
}
