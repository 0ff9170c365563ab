//! Follows what happens in the shops, and has it judged.
//!
//! The journal is asked what is new every few seconds, which costs little as long as little is new,
//! and never more than a tenth of the time. Where all has been quiet for a while, only whether anything
//! is new (`pulse`). Nothing is remembered but incidents and marks, which are on record: after a start
//! the last hours are looked at again, and what was acted upon is known.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::journal::{JournalError, Page, ShopStatus, Span};
use backstock_proto::{Shop, Timestamp};
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::docket::Docket;
use super::incident::{Incident, IncidentState};
use super::judge::is_idle;
use super::outbox::{Postman, outbox};
use super::respond::{Respond, Seen};
use super::{Action, Normal, Policy, Situation, WayBack, complete, cost, judge};
use crate::change_set::read::{Grouped, Wanted, Whose};
use crate::change_set::{ActorKind, ChangeSet, Group, Trace, kinds_hurt};
use crate::job::{Job, JobState};
use crate::mark::{self, MARK, Mark};
use crate::{Desk, record};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(2);
/// Rest before a watch is begun anew that ended in a panic.
const REST: Duration = Duration::from_secs(10);
/// How many times longer than a look it rests after it.
const REST_TIMES: u32 = 9;
/// How far back each look goes.
const LOOK_MICROS: i64 = 10 * 60 * SECOND;
/// How often, and how far back, it looks for what came late.
const WIDE_EVERY: Duration = Duration::from_secs(300);
const WIDE_MICROS: i64 = 6 * 3600 * SECOND;
/// How far back it learns what is normal, and from how many sets at most.
const NORMAL_MICROS: i64 = 14 * 24 * 3600 * SECOND;
const NORMAL_SETS_MAX: usize = 5_000;
/// After so long a pause a set is over, and one that was no harm is normal.
const OVER_MICROS: u64 = 15 * 60 * 1_000_000;
/// What was over for so long when it was first seen is not undone by itself.
const LATE_MICROS: u64 = 3600 * 1_000_000;
/// Once in so long an actor is rolled back by itself.
const AGAIN_MICROS: u64 = 24 * 3600 * 1_000_000;
/// How long after a job its last webhooks may come.
const SETTLED_MICROS: u64 = 30 * 1_000_000;
/// How long it may take until what a job of ours wrote is on record as such.
const OURS_MICROS: i64 = 90 * SECOND;
/// Sets of which it is remembered how they were judged.
const JUDGED_MAX: usize = 10_000;
const SECOND: i64 = 1_000_000;

/// Watches every shop that has a policy, until `stop`.
pub(crate) async fn run(desk: Arc<Desk>, back: Arc<dyn WayBack>, stop: CancellationToken) {
    let mut shops = tokio::task::JoinSet::new();
    for (shop, policy) in &desk.config.guards {
        if policy.action == Action::Off {
            continue;
        }
        let watched = watch_over(desk.clone(), back.clone(), shop.clone(), policy.clone());
        let (stop, watched) = (stop.clone(), Box::pin(watched));
        shops.spawn(async move { stop.run_until_cancelled(watched).await });
    }
    while shops.join_next().await.is_some() {}
}

/// Watches over one shop. What panics is begun anew: nobody else would tell of harm.
async fn watch_over(desk: Arc<Desk>, back: Arc<dyn WayBack>, shop: Shop, policy: Policy) {
    loop {
        let (watch, postman) = Watch::new(desk.clone(), back.clone(), &shop, &policy);
        let both = async { tokio::join!(watch.follow(), postman.deliver()) };
        if AssertUnwindSafe(both.boxed()).catch_unwind().await.is_err() {
            tracing::error!(%shop, "the guard ended in a panic; it begins anew");
        }
        tokio::time::sleep(REST).await;
    }
}

/// One shop's watch.
struct Watch {
    desk: Arc<Desk>,
    shop: Shop,
    policy: Policy,
    normal: Normal,
    /// Apps that were noted down.
    noted: BTreeSet<String>,
    /// Incidents that were meant, and of which that was learned.
    heeded: BTreeSet<String>,
    /// What was judged, by the change that a set is known by: how it was then.
    judged: HashMap<u64, Judged>,
    /// When something last happened.
    newest: Option<Timestamp>,
    respond: Respond,
}

/// How a set was when it was judged.
#[derive(Clone, Debug, PartialEq)]
struct Judged {
    changes: u64,
    actor: String,
    confidence: f64,
    /// Since when it has been so, on our clock.
    since: Timestamp,
    learned: bool,
}

impl Watch {
    fn new(
        desk: Arc<Desk>,
        back: Arc<dyn WayBack>,
        shop: &Shop,
        policy: &Policy,
    ) -> (Self, Postman) {
        let (outbox, postman) = outbox(policy.clone(), desk.clock.clone());
        let respond = Respond {
            back,
            shop: shop.clone(),
            policy: policy.clone(),
            by: record::new_id("guard", desk.clock.now()),
            docket: Docket::new(desk.clone(), shop.clone()),
            outbox,
            desk: desk.clone(),
            asked_until: 0,
        };
        let (shop, policy) = (shop.clone(), policy.clone());
        let watch = Self {
            desk,
            shop,
            policy,
            normal: Normal::default(),
            noted: BTreeSet::new(),
            heeded: BTreeSet::new(),
            judged: HashMap::new(),
            newest: None,
            respond,
        };
        (watch, postman)
    }

    async fn follow(mut self) {
        if let Err(error) = self.begin().await {
            tracing::warn!(shop = %self.shop, %error, "the guard begins without a past");
        }
        let mut wide: Option<Instant> = None;
        let mut seen = None;
        loop {
            let begun = Instant::now();
            let late = wide.is_none_or(|last| last.elapsed() > WIDE_EVERY);
            let beat = self.desk.pulse.of(&*self.desk.journal, &self.shop).await;
            let moved = beat.is_none() || beat != seen;
            if late || moved || self.is_watching() {
                seen = beat;
                match self.look(if late { WIDE_MICROS } else { LOOK_MICROS }).await {
                    Ok(()) if late => wide = Some(Instant::now()),
                    Ok(()) => {}
                    Err(error) => {
                        seen = None;
                        tracing::warn!(shop = %self.shop, %error, "the guard cannot look");
                    }
                }
            }
            tokio::time::sleep(EVERY.max(begun.elapsed() * REST_TIMES)).await;
        }
    }

    /// Whether there is something to look at although nothing new happened: what has only just happened
    /// moves as evidence comes in, and incidents wait.
    fn is_watching(&self) -> bool {
        let now = self.desk.clock.now();
        let young = |at| now.micros_since(at) < OVER_MICROS;
        self.newest.is_some_and(young) || self.respond.docket.waits(now)
    }

    /// Learns which incidents there are, and what is normal.
    async fn begin(&mut self) -> Result<(), JournalError> {
        self.respond.docket.read().await?;
        let now = self.desk.clock.now();
        let span = Span { from: before(now, NORMAL_MICROS), to: before(now, WIDE_MICROS) };
        let price_drop = Some(self.policy.price_drop);
        let wanted = Wanted { span, whose: Whose::Others, price_drop, ..Wanted::default() };
        let around = self.desk.around(&self.shop).await?;
        let mut page = Page { limit: 200, cursor: None };
        let mut learned = 0;
        while learned < NORMAL_SETS_MAX {
            let sources = self.desk.sources(&self.shop, &around);
            let list = self.desk.book.list(sources, &wanted, &page).await?;
            learned += list.items.len();
            for set in &list.items {
                self.learn(set);
            }
            match list.next {
                Some(next) => page.cursor = Some(next),
                None => break,
            }
        }
        Ok(())
    }

    /// Learns what people say was meant.
    fn heed(&mut self) {
        for incident in self.respond.docket.all() {
            let is_meant = incident.state == IncidentState::Dismissed;
            if is_meant && self.heeded.insert(incident.id.clone()) {
                self.normal.meant(&incident.change_set, &incident.trips);
            }
        }
    }

    /// Learns from a set, unless it is one of harm that was seen, or what is left of one.
    fn learn(&mut self, set: &ChangeSet) {
        if !self.respond.docket.all().any(|incident| is_of(set, incident)) {
            self.normal.learn(set);
        }
    }

    /// Judges what happened of late.
    async fn look(&mut self, back: i64) -> Result<(), JournalError> {
        let desk = self.desk.clone();
        let shop = self.shop.clone();
        let now = desk.clock.now();
        self.respond.note_outcomes().await;
        if back == WIDE_MICROS {
            self.respond.docket.read().await?;
        }
        self.heed();
        self.respond.learn_what_is_asked(now).await;
        let around = desk.around(&shop).await?;
        let span = Span { from: before(now, back), to: Timestamp::MAX };
        let sources = desk.sources(&shop, &around);
        let grouped = desk.book.grouped(sources, span, Whose::Others).await?;
        self.newest = self.newest.max(grouped.traces.iter().map(|trace| trace.at).max());
        let mut status = None;
        let at_work = self.at_work(now).await?;
        for group in &grouped.groups {
            let Some((mut set, changes)) = told(group, &grouped, at_work, now) else { continue };
            if set.to < span.from {
                continue;
            }
            set.count_harm(changes.iter().copied(), self.policy.price_drop);
            self.notice(&set, &changes).await;
            if self.is_settled(&set, &changes, now) {
                continue;
            }
            if status.is_none() {
                status = desk.journal.status(&shop).await?;
            }
            self.judge(&set, &changes, status.as_ref(), now).await;
        }
        let oldest = AGAIN_MICROS.max(WIDE_MICROS.unsigned_abs()).cast_signed();
        self.respond.docket.forget(before(now, oldest));
        if self.judged.len() > JUDGED_MAX {
            self.judged.clear();
        }
        Ok(())
    }

    /// Since when a job of ours writes to the shop, or has until just now.
    async fn at_work(&self, now: Timestamp) -> Result<Option<Timestamp>, JournalError> {
        let works = |job: &&Job| match job.finished_at {
            None => job.state == JobState::Running,
            Some(ended) => now.micros_since(ended) < SETTLED_MICROS,
        };
        let mut page = Page { limit: 5, cursor: None };
        loop {
            let listed = self.desk.jobs.list(&self.shop, &page).await;
            let (jobs, next) = listed.map_err(|e| JournalError::Unavailable(e.to_string()))?;
            let since = jobs.iter().filter(works).map(|job| before(job.started_at, SECOND)).min();
            // Behind those that wait stands the one that they wait for.
            let some_wait = jobs.iter().any(|job| job.finished_at.is_none());
            match next {
                Some(next) if since.is_none() && some_wait => page.cursor = Some(next),
                _ => return Ok(since),
            }
        }
    }

    /// Whether there is nothing new to be said of a set. Remembers how it is.
    fn is_settled(&mut self, set: &ChangeSet, changes: &[&Trace], now: Timestamp) -> bool {
        let fresh = Judged {
            changes: set.counts.changes,
            actor: set.actor.name.clone(),
            confidence: set.actor.confidence,
            since: now,
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
        let waits = self.respond.waits(set, changes, now);
        let over = now.micros_since(set.to) > OVER_MICROS;
        if same && over && !known.learned && !waits {
            known.learned = true;
            self.learn(set);
        }
        is_idle(set) || (same && !waits)
    }

    /// Notes down an app that was never seen here.
    async fn notice(&mut self, set: &ChangeSet, changes: &[&Trace]) {
        let brought = changes.iter().flat_map(|change| change.brings());
        let signs = brought.map(|app| (app.to_string(), "signs of it came into the shop"));
        let named = (set.actor.kind == ActorKind::App)
            .then(|| (set.actor.name.clone(), "first seen in Shopify's log"));
        let new: Vec<(String, &str)> = signs
            .chain(named)
            .filter(|(app, _)| !self.normal.knows(app) && !self.noted.contains(app))
            .collect();
        for (app, label) in new {
            if let Err(error) = self.note(&app, label, set.from).await {
                tracing::warn!(shop = %self.shop, %error, "an app could not be noted down");
                continue;
            }
            self.noted.insert(app);
        }
    }

    async fn note(&self, app: &str, label: &str, at: Timestamp) -> Result<(), record::RecordError> {
        let known = mark::all(&*self.desk.journal, &self.shop).await?;
        if known.iter().any(|mark| mark.app.as_deref() == Some(app)) {
            return Ok(());
        }
        let mark = Mark {
            id: format!("{MARK}-{}", &blake3::hash(app.as_bytes()).to_hex()[..16]),
            label: format!("{app}: {label}"),
            app: Some(app.to_owned()),
            at: before(at, SECOND),
            by: "guard".into(),
            inferred: true,
        };
        let tools = (&*self.desk.journal, &*self.desk.records);
        record::put(tools, &self.shop, (MARK, &mark.id), &mark).await?;
        Ok(())
    }

    async fn judge(
        &mut self,
        set: &ChangeSet,
        changes: &[&Trace],
        status: Option<&ShopStatus>,
        now: Timestamp,
    ) {
        let mut situation = self.situation(set, changes, status, now);
        if set.money.as_ref().is_some_and(|money| money.lowered > 0) {
            match cost::below_cost(&*self.desk.journal, &self.shop, changes).await {
                Ok(damage) => situation.further.extend(damage),
                Err(error) => tracing::warn!(shop = %self.shop, %error, "costs cannot be read"),
            }
        }
        let verdict = judge(set, &self.policy, &self.normal, &situation);
        if verdict.trips.is_empty() {
            return;
        }
        let since = self.judged.get(&set.id.seq).map_or(now, |known| known.since);
        let seen = Seen { set, changes, still_micros: now.micros_since(since) };
        if let Err(error) = self.respond.respond(&seen, &verdict, now).await {
            tracing::warn!(shop = %self.shop, %error, "an incident cannot be put on record");
            // As if it had not been seen: it is at the next look.
            self.judged.remove(&set.id.seq);
        }
    }

    fn situation(
        &self,
        set: &ChangeSet,
        changes: &[&Trace],
        status: Option<&ShopStatus>,
        now: Timestamp,
    ) -> Situation {
        let living = status.map(|status| {
            status.kinds.iter().map(|kind| (kind.kind.clone(), kind.resources)).collect()
        });
        let docket = &self.respond.docket;
        let again = docket.all().any(|incident| {
            // What only came to light since is a part of what was undone.
            let goes_on = incident.applied_at.is_some_and(|applied_at| set.to > applied_at);
            goes_on
                && incident.change_set.actor.name == set.actor.name
                && now.micros_since(incident.updated_at) < AGAIN_MICROS
        });
        let gaps = match status {
            Some(status) => complete::gaps(status, set.kinds.keys(), now),
            None => vec!["the journal does not say how it is".into()],
        };
        let late = now.micros_since(set.to) > LATE_MICROS && docket.of(changes).is_empty();
        let hurt = kinds_hurt(changes.iter().copied(), self.policy.price_drop);
        let (living, further) = (living.unwrap_or_default(), Vec::new());
        Situation { living, hurt, further, gaps, again, late }
    }
}

/// A group as it can be judged by now: what may be our own work is left out. While a job writes to
/// the shop it takes a moment until what it wrote is on record as ours.
fn told<'a>(
    group: &Group,
    grouped: &'a Grouped,
    at_work: Option<Timestamp>,
    now: Timestamp,
) -> Option<(ChangeSet, Vec<&'a Trace>)> {
    let unsure = |n: &usize| {
        let at = grouped.traces[*n].at;
        group.who.is_none()
            && at_work.is_some_and(|since| at >= since.max(before(now, OURS_MICROS)))
    };
    let rest = group.members.iter().any(unsure).then(|| {
        let members = group.members.iter().copied().filter(|n| !unsure(n)).collect();
        Group { members, ..group.clone() }
    });
    let group = rest.as_ref().unwrap_or(group);
    let changes = group.members.iter().map(|n| &grouped.traces[*n]).collect();
    ChangeSet::of(group, &grouped.traces).map(|set| (set, changes))
}

/// Whether a set is one of an incident, or what is left of one: evidence that comes late moves
/// changes between sets.
fn is_of(set: &ChangeSet, incident: &Incident) -> bool {
    let of = &incident.change_set;
    let same_time = set.from <= of.to && of.from <= set.to;
    let either = set.actor.name == of.actor.name
        || [set.actor.kind, of.actor.kind].contains(&ActorKind::Unknown);
    let same_harm = set.damage.iter().any(|a| incident.trips.iter().any(|b| a.harm == b.harm));
    set.id == of.id || (same_time && either && same_harm)
}

fn before(at: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros() - micros)
}

#[cfg(test)]
mod tests;
