//! Follows what happens in the shops, judges it, and acts.
//!
//! The journal is asked what is new every few seconds, which costs little as long as little is new,
//! and never more than a tenth of the time. Nothing is remembered but incidents and marks, which are
//! on record: after a start the last hour is looked at again, and what was acted upon is known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use backstock_proto::journal::{JournalError, PAGE_LIMIT_MAX, Page, ShopStatus, Span};
use backstock_proto::{Kind, Shop, Timestamp};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::cost;
use super::judge::{is_idle, text};
use super::{
    Action, INCIDENT, Incident, IncidentState, Normal, Policy, Situation, Verdict, judge, notify,
};
use crate::change_set::read::{Grouped, Wanted, undone};
use crate::change_set::{ActorKind, ChangeSet, Trace, Undone};
use crate::job::{Job, JobState};
use crate::mark::{self, MARK, Mark};
use crate::{Desk, record};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(2);
/// How many times longer than a look it rests after it.
const REST_TIMES: u32 = 9;
/// How far back each look goes.
const LOOK_MICROS: i64 = 10 * 60 * 1_000_000;
/// How often, and how far back, it looks for what came late.
const WIDE_EVERY: Duration = Duration::from_secs(300);
const WIDE_MICROS: i64 = 6 * 3600 * 1_000_000;
/// How far back it learns what is normal, and from how many sets at most.
const NORMAL_MICROS: i64 = 14 * 24 * 3600 * 1_000_000;
const NORMAL_SETS_MAX: usize = 5_000;
/// After so long a pause a set is over, and one that was no harm is normal.
const OVER_MICROS: u64 = 15 * 60 * 1_000_000;
/// Once in so long an actor is rolled back by itself.
const AGAIN_MICROS: u64 = 24 * 3600 * 1_000_000;
/// For so long the way back is tried again that could not be gone.
const RETRY_MICROS: u64 = 30 * 60 * 1_000_000;
/// How long after a job its last webhooks may come.
const SETTLED_MICROS: u64 = 30 * 1_000_000;
const SECOND: i64 = 1_000_000;
/// How old a whole look at a kind may be for history to count as complete.
const PULL_AGE_SECONDS: f64 = 26.0 * 3600.0;
/// How far behind the journal may be.
const LAG_SECONDS: f64 = 30.0;

/// The way back: made and gone by those who make plans and do jobs.
#[async_trait]
pub(crate) trait WayBack: Send + Sync {
    /// Makes the plan that undoes some versions. Answers its id.
    async fn plan(&self, shop: &Shop, set: &ChangeSet, undone: &[Undone])
    -> Result<String, String>;
    /// Applies it. Answers the job's id.
    async fn apply(&self, shop: &Shop, plan: &str) -> Result<String, String>;
}

/// Watches every shop that has a policy, until `stop`.
pub(crate) async fn run(desk: Arc<Desk>, back: Arc<dyn WayBack>, stop: CancellationToken) {
    let mut shops = tokio::task::JoinSet::new();
    for (shop, policy) in &desk.config.guards {
        if policy.action == Action::Off {
            continue;
        }
        let watch = Watch {
            desk: desk.clone(),
            back: back.clone(),
            shop: shop.clone(),
            policy: policy.clone(),
            by: record::new_id("guard", desk.clock.now()),
            normal: Normal::default(),
            noted: BTreeSet::new(),
            judged: HashMap::new(),
            incidents: BTreeMap::new(),
        };
        let stop = stop.clone();
        shops.spawn(async move { stop.run_until_cancelled(watch.follow()).await });
    }
    while shops.join_next().await.is_some() {}
}

/// One shop's watch.
struct Watch {
    desk: Arc<Desk>,
    back: Arc<dyn WayBack>,
    shop: Shop,
    policy: Policy,
    /// Names this process among those that watch the same shop.
    by: String,
    normal: Normal,
    /// Apps that were noted down.
    noted: BTreeSet<String>,
    /// What was judged, by the change that a set is known by: how it was then.
    judged: HashMap<u64, Judged>,
    /// What is acted upon, by id.
    incidents: BTreeMap<String, Incident>,
}

/// How a set was when it was judged.
#[derive(Clone, Debug, PartialEq)]
struct Judged {
    changes: u64,
    actor: String,
    confidence: f64,
    /// Since when it has been so, on our clock.
    since: Instant,
    learned: bool,
}

/// A set with the changes that it is made of.
struct Seen<'a> {
    set: &'a ChangeSet,
    traces: Vec<Arc<Trace>>,
}

impl Watch {
    async fn follow(mut self) {
        if let Err(error) = self.begin().await {
            tracing::warn!(shop = %self.shop, "the guard begins without a past: {error}");
        }
        let mut wide: Option<Instant> = None;
        loop {
            let begun = Instant::now();
            let late = wide.is_none_or(|last| last.elapsed() > WIDE_EVERY);
            match self.look(if late { WIDE_MICROS } else { LOOK_MICROS }).await {
                Ok(()) if late => wide = Some(Instant::now()),
                Ok(()) => {}
                Err(error) => tracing::warn!(shop = %self.shop, "the guard cannot look: {error}"),
            }
            tokio::time::sleep(EVERY.max(begun.elapsed() * REST_TIMES)).await;
        }
    }

    /// Learns what is normal, and which incidents there are.
    async fn begin(&mut self) -> Result<(), JournalError> {
        let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let records = self.desk.journal.records(&self.shop, INCIDENT, None, &page).await?;
        let read = records.items.into_iter();
        let incidents = read.filter_map(|r| serde_json::from_value::<Incident>(r.payload).ok());
        self.incidents = incidents.map(|incident| (incident.id.clone(), incident)).collect();
        let now = self.desk.clock.now();
        let span = Span { from: before(now, NORMAL_MICROS), to: before(now, WIDE_MICROS) };
        let wanted = Wanted { span, ..Wanted::default() };
        let around = self.desk.around(&self.shop).await?;
        let mut page = Page { limit: 200, cursor: None };
        let mut learned = 0;
        while learned < NORMAL_SETS_MAX {
            let sources = self.desk.sources(&self.shop, &around);
            let list = self.desk.book.list(sources, &wanted, &page).await?;
            learned += list.items.len();
            for set in &list.items {
                if !self.incidents.values().any(|known| known.change_set.id == set.id) {
                    self.normal.learn(set);
                }
            }
            match list.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        Ok(())
    }

    /// Judges what happened of late.
    async fn look(&mut self, back: i64) -> Result<(), JournalError> {
        let desk = self.desk.clone();
        let shop = self.shop.clone();
        let now = desk.clock.now();
        let around = desk.around(&shop).await?;
        let span = Span { from: before(now, back), to: Timestamp::MAX };
        let grouped = desk.book.grouped(desk.sources(&shop, &around), span).await?;
        let mut status = None;
        let at_work = self.at_work(now).await?;
        for (group, set) in grouped.told() {
            // What a job of ours wrote just now may not be on record as such yet.
            let perhaps_ours = set.actor.kind == ActorKind::Unknown
                && at_work.is_some_and(|since| set.to >= since);
            if set.to < span.from || perhaps_ours {
                continue;
            }
            self.notice(&set, &grouped, group.members.as_slice()).await;
            if self.is_settled(&set, now) {
                continue;
            }
            if status.is_none() {
                status = desk.journal.status(&shop).await?;
            }
            let traces = group.members.iter().map(|n| grouped.traces[*n].clone()).collect();
            self.judge(Seen { set: &set, traces }, status.as_ref(), now).await;
        }
        let oldest = before(now, WIDE_MICROS).as_micros();
        self.incidents.retain(|_, incident| {
            incident.at.micros_since(Timestamp::from_micros(oldest)) > 0
                || now.micros_since(incident.at) < AGAIN_MICROS
        });
        if self.judged.len() > 10_000 {
            self.judged.clear();
        }
        Ok(())
    }

    /// Since when a job of ours writes to the shop, or has until just now.
    async fn at_work(&self, now: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        let page = Page { limit: 5, cursor: None };
        let listed = self.desk.jobs.list(&self.shop, &page).await;
        let (jobs, _) = listed.map_err(|e| JournalError::Unavailable(e.to_string()))?;
        let works = |job: &Job| match job.finished_at {
            None => job.state == JobState::Running,
            Some(ended) => now.micros_since(ended) < SETTLED_MICROS,
        };
        Ok(jobs.iter().filter(|job| works(job)).map(|job| before(job.started_at, SECOND)).min())
    }

    /// Whether there is nothing new to be said of a set. Remembers how it is.
    fn is_settled(&mut self, set: &ChangeSet, now: Timestamp) -> bool {
        let fresh = Judged {
            changes: set.counts.changes,
            actor: set.actor.name.clone(),
            confidence: set.actor.confidence,
            since: Instant::now(),
            learned: false,
        };
        let known =
            self.judged.entry(set.id.seq).or_insert_with(|| Judged { changes: 0, ..fresh.clone() });
        let same = known.changes == fresh.changes
            && known.actor == fresh.actor
            && known.confidence == fresh.confidence;
        if !same {
            // Only what happens moves it, not what is learned of it.
            let since = if known.changes == fresh.changes { known.since } else { fresh.since };
            *known = Judged { since, ..fresh };
        }
        let over = now.micros_since(set.to) > OVER_MICROS;
        let waits = self.incidents.values().any(|incident| {
            incident.change_set.id == set.id && incident.by == self.by && is_waiting(incident, now)
        });
        if same && over && !known.learned && !waits {
            known.learned = true;
            let tripped = self.incidents.values().any(|known| known.change_set.id == set.id);
            if !tripped {
                self.normal.learn(set);
            }
        }
        is_idle(set) || (same && !waits)
    }

    /// Notes down an app that was never seen here.
    async fn notice(&mut self, set: &ChangeSet, grouped: &Grouped, members: &[usize]) {
        let brought = members.iter().flat_map(|n| &grouped.traces[*n].brings);
        let signs = brought.map(|app| (app.to_string(), "signs of it came into the shop"));
        let named = (set.actor.kind == ActorKind::App)
            .then(|| (set.actor.name.clone(), "first seen in Shopify's log"));
        let new: Vec<(String, &str)> = signs
            .chain(named)
            .filter(|(app, _)| !self.normal.knows(app) && !self.noted.contains(app))
            .collect();
        for (app, label) in new {
            let known = mark::all(&*self.desk.journal, &self.shop).await.unwrap_or_default();
            if !known.iter().any(|mark| mark.app.as_deref() == Some(app.as_str())) {
                let mark = Mark {
                    id: format!("{MARK}-{}", &blake3::hash(app.as_bytes()).to_hex()[..16]),
                    label: format!("{app}: {label}"),
                    app: Some(app.clone()),
                    at: before(set.from, 1_000_000),
                    by: "guard".into(),
                    inferred: true,
                };
                let tools = (&*self.desk.journal, &*self.desk.records);
                if let Err(error) = record::put(tools, &self.shop, (MARK, &mark.id), &mark).await {
                    tracing::warn!(shop = %self.shop, "an app could not be noted down: {error}");
                }
            }
            self.noted.insert(app);
        }
    }

    async fn judge(&mut self, seen: Seen<'_>, status: Option<&ShopStatus>, now: Timestamp) {
        let mut situation = self.situation(seen.set, status, now);
        if seen.set.money.as_ref().is_some_and(|money| money.lowered > 0) {
            match cost::below_cost(&*self.desk.journal, &self.shop, &seen.traces).await {
                Ok(damage) => situation.further.extend(damage),
                Err(error) => tracing::warn!(shop = %self.shop, "costs cannot be read: {error}"),
            }
        }
        let verdict = judge(seen.set, &self.policy, &self.normal, &situation);
        if verdict.trips.is_empty() {
            return;
        }
        let holds = |incident: &&Incident| {
            let seq = incident.change_set.id.seq;
            seen.traces.iter().any(|trace| trace.seq == seq)
        };
        let known = self.incidents.values().find(holds).cloned();
        let acted = match known {
            Some(incident) if incident.by != self.by && self.is_alive(&incident, now) => return,
            Some(incident) => self.go_on(incident, &seen, &verdict, now).await,
            None => self.first(&seen, &verdict, now).await,
        };
        match acted {
            Ok(Some(incident)) => {
                self.incidents.insert(incident.id.clone(), incident);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(shop = %self.shop, "an incident cannot be put on record: {error}");
            }
        }
    }

    /// Whether another process still acts on an incident.
    fn is_alive(&self, incident: &Incident, now: Timestamp) -> bool {
        !matches!(incident.state, IncidentState::Open | IncidentState::Planned)
            || now.micros_since(incident.updated_at) < 60_000_000
    }

    fn situation(&self, set: &ChangeSet, status: Option<&ShopStatus>, now: Timestamp) -> Situation {
        let living = status.map(|status| {
            status.kinds.iter().map(|kind| (kind.kind.clone(), kind.resources)).collect()
        });
        let again = self.incidents.values().any(|incident| {
            // What only came to light since is a part of what was undone.
            let goes_on = incident.applied_at.is_some_and(|applied_at| set.to > applied_at);
            goes_on
                && incident.change_set.actor.name == set.actor.name
                && now.micros_since(incident.updated_at) < AGAIN_MICROS
        });
        let gaps = match status {
            Some(status) => gaps(status, set.kinds.keys(), now),
            None => vec!["the journal does not say how it is".into()],
        };
        Situation { living: living.unwrap_or_default(), further: Vec::new(), gaps, again }
    }

    /// Something new: it is put on record first, so that of several guards one acts.
    async fn first(
        &self,
        seen: &Seen<'_>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<Option<Incident>, record::RecordError> {
        let incident = Incident {
            id: format!("{INCIDENT}-{}", seen.set.id),
            at: now,
            updated_at: now,
            state: IncidentState::Open,
            action: verdict.action,
            text: text(&self.shop.domain(), seen.set, &verdict.trips),
            change_set: seen.set.clone(),
            trips: verdict.trips.clone(),
            why: verdict.why.clone(),
            plan: None,
            applied_at: None,
            job: None,
            by: self.by.clone(),
            told: None,
        };
        self.put(&incident).await?;
        let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let said =
            self.desk.journal.records(&self.shop, INCIDENT, Some(&incident.id), &page).await?;
        let first = said.items.last().and_then(|r| r.payload["by"].as_str().map(str::to_owned));
        if first.is_some_and(|first| first != self.by) {
            return Ok(Some(Incident { by: "another guard".into(), ..incident }));
        }
        tracing::warn!(shop = %self.shop, incident = incident.id, "{}", incident.text);
        self.desk.metrics.incident(verdict.action);
        self.go_on(incident, seen, verdict, now).await
    }

    /// Goes on with an incident as far as is allowed by now.
    async fn go_on(
        &self,
        mut incident: Incident,
        seen: &Seen<'_>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<Option<Incident>, record::RecordError> {
        let grown = incident.change_set.counts.changes != seen.set.counts.changes;
        if incident.state == IncidentState::Applied && !grown {
            return Ok(None);
        }
        let verdict = &once(&incident, seen, verdict);
        let escalated = verdict.action > incident.action;
        let before = incident.clone();
        incident.by = self.by.clone();
        incident.text = text(&self.shop.domain(), seen.set, &verdict.trips);
        incident.change_set = seen.set.clone();
        incident.trips = verdict.trips.clone();
        incident.why = verdict.why.clone();
        incident.action = verdict.action;
        if escalated {
            self.desk.metrics.incident(verdict.action);
        }
        if verdict.action >= Action::Plan && (incident.plan.is_none() || grown) {
            match self.back.plan(&self.shop, seen.set, &undone(&seen.traces)).await {
                Ok(plan) => (incident.plan, incident.state) = (Some(plan), IncidentState::Planned),
                Err(why) => self.stuck(&mut incident, why),
            }
        } else if verdict.action == Action::Alert {
            incident.state = IncidentState::Told;
        }
        if verdict.action == Action::Apply
            && self.is_quiet(seen.set)
            && let Some(plan) = incident.plan.clone()
        {
            match self.back.apply(&self.shop, &plan).await {
                Ok(job) => {
                    (incident.job, incident.state) = (Some(job), IncidentState::Applied);
                    incident.applied_at = incident.applied_at.or(Some(now));
                }
                Err(why) => {
                    // It may have moved since: it is made anew at the next look.
                    incident.plan = None;
                    self.stuck(&mut incident, why);
                }
            }
        }
        if incident == before {
            return Ok(None);
        }
        incident.updated_at = now;
        let applied = incident.job != before.job;
        if before.told.is_none() || escalated || applied {
            incident.told = self.tell(&incident, now).await;
        }
        self.put(&incident).await?;
        Ok(Some(incident))
    }

    fn stuck(&self, incident: &mut Incident, why: String) {
        tracing::warn!(shop = %self.shop, incident = incident.id, "cannot go on: {why}");
        incident.why.push(why);
        incident.state = IncidentState::Stuck;
    }

    /// Whether a set has stood still for as long as the policy wants.
    fn is_quiet(&self, set: &ChangeSet) -> bool {
        let settle = Duration::from_secs_f64(self.policy.settle_seconds);
        self.judged.get(&set.id.seq).is_none_or(|known| known.since.elapsed() >= settle)
    }

    async fn tell(&self, incident: &Incident, now: Timestamp) -> Option<String> {
        self.policy.webhook_url.as_ref()?;
        let next = match (&incident.job, &incident.plan) {
            (Some(job), _) => format!(" It is being undone: `backstock job {job}`."),
            (None, Some(plan)) => format!(" To undo it: `backstock apply {plan}`."),
            (None, None) => String::new(),
        };
        let body = json!({
            "text": format!("{}{next}", incident.text),
            "shop": self.shop.domain(),
            "incident": incident,
        });
        Some(match notify::tell(&self.policy, &body, now).await {
            Ok(()) => "told".into(),
            Err(why) => {
                tracing::warn!(shop = %self.shop, "nobody could be told: {why}");
                format!("not told: {why}")
            }
        })
    }

    async fn put(&self, incident: &Incident) -> Result<(), record::RecordError> {
        let tools = (&*self.desk.journal, &*self.desk.records);
        record::put(tools, &self.shop, (INCIDENT, &incident.id), incident).await?;
        Ok(())
    }
}

/// What was undone is undone to its end when more of it comes to light. What its actor does after it
/// was undone is not undone again: a person decides.
fn once(incident: &Incident, seen: &Seen<'_>, verdict: &Verdict) -> Verdict {
    let mut verdict = verdict.clone();
    let after = |applied_at: Timestamp| seen.traces.iter().any(|trace| trace.at > applied_at);
    if incident.applied_at.is_some_and(after) && verdict.action > Action::Plan {
        verdict.action = Action::Plan;
        verdict.why.push("it was undone, and went on".into());
    }
    verdict
}

/// Whether an incident is to be looked at again although nothing new happened.
fn is_waiting(incident: &Incident, now: Timestamp) -> bool {
    match incident.state {
        IncidentState::Open => true,
        IncidentState::Planned => incident.action == Action::Apply,
        IncidentState::Stuck => now.micros_since(incident.at) < RETRY_MICROS,
        IncidentState::Told | IncidentState::Applied => false,
    }
}

/// Why history may not be complete for some kinds.
fn gaps<'a>(
    status: &ShopStatus,
    kinds: impl Iterator<Item = &'a Kind>,
    now: Timestamp,
) -> Vec<String> {
    let mut gaps = Vec::new();
    if status.summary.lag_seconds > LAG_SECONDS {
        gaps.push(format!("it is {:.0} s behind", status.summary.lag_seconds));
    }
    if status.gaps.iter().any(|gap| !gap.healed) {
        gaps.push("messages of the stream were missed and are not made good yet".into());
    }
    for kind in kinds {
        let Some(spec) = kind.spec() else { continue };
        let of = status.kinds.iter().find(|of| of.kind == *kind);
        let pull = of.and_then(|of| of.last_complete_pull.as_ref());
        let age = pull.map(|pull| now.seconds_since(pull.finished_at.unwrap_or(pull.started_at)));
        if spec.pulls.is_empty() {
            continue;
        }
        match age {
            None => gaps.push(format!("{kind} was never read whole")),
            Some(age) if age > PULL_AGE_SECONDS => {
                gaps.push(format!("{kind} was read whole {:.0} hours ago", age / 3600.0));
            }
            Some(_) => {}
        }
    }
    gaps
}

fn before(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros() - micros)
}
