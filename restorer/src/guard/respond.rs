//! What is done about harm: people are told, the way back is made ready, and gone where everything
//! allows it. Each step is on record before the next.

use std::sync::Arc;

use async_trait::async_trait;
use backstock_proto::{Shop, Timestamp};

use super::docket::Docket;
use super::incident::{BEING_TOLD, INCIDENT, Incident, IncidentState};
use super::judge::{Verdict, text};
use super::outbox::Outbox;
use super::{Action, Policy};
use crate::Desk;
use crate::change_set::read::undone;
use crate::change_set::{ChangeSet, Trace, Undone};
use crate::record::RecordError;

/// A guard that has not gone on with an incident for so long is taken to be gone.
const GONE_MICROS: u64 = 60 * 1_000_000;
/// How long the way back waits at most for answers to what webhooks left open.
const ASKED_MICROS: u64 = 30 * 1_000_000;

/// The way back: made and gone by those who make plans and do jobs.
#[async_trait]
pub(crate) trait WayBack: Send + Sync {
    /// Makes the plan that undoes a set: the versions that it is made of. Answers its id.
    async fn plan(
        &self,
        shop: &Shop,
        set: &ChangeSet,
        undone: Vec<Undone>,
    ) -> Result<String, String>;
    /// Applies it. Answers the job's id.
    async fn apply(&self, shop: &Shop, plan: &str) -> Result<String, String>;
    /// Up to which of a shop's messages all is asked that webhooks left open.
    async fn asked_until(&self, shop: &Shop) -> Result<u64, String>;
}

/// A set with the changes that it is made of, and for how long it has been as it is, on our clock.
pub(super) struct Seen<'a> {
    pub(super) set: &'a ChangeSet,
    pub(super) changes: &'a [&'a Trace],
    pub(super) still_micros: u64,
}

/// Acts on the incidents of one shop.
pub(super) struct Respond {
    pub(super) desk: Arc<Desk>,
    pub(super) back: Arc<dyn WayBack>,
    pub(super) shop: Shop,
    pub(super) policy: Policy,
    /// Names this process among those that watch the same shop.
    pub(super) by: String,
    pub(super) docket: Docket,
    pub(super) outbox: Outbox,
    /// Up to which message webhooks left nothing open when this look began.
    pub(super) asked_until: u64,
}

impl Respond {
    /// Does what is allowed by now about harm that was seen.
    pub(super) async fn respond(
        &mut self,
        seen: &Seen<'_>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let known = self.docket.of(seen.changes);
        for others in known.iter().filter(|incident| incident.by != self.by) {
            let as_of_now = self.docket.read_again(&others.id).await?;
            if as_of_now.is_some_and(|incident| !self.is_left(&incident, seen, now)) {
                return Ok(());
            }
        }
        match self.joined(seen.changes, now).await? {
            Some(incident) => self.go_on(incident, seen, verdict, now).await,
            None => self.begin(seen, verdict, now).await,
        }
    }

    /// Learns how far what webhooks left open is asked, if something waits for it.
    pub(super) async fn learn_what_is_asked(&mut self, now: Timestamp) {
        if !self.docket.all().any(|incident| incident.is_waiting(now)) {
            return;
        }
        match self.back.asked_until(&self.shop).await {
            Ok(seq) => self.asked_until = seq,
            Err(error) => {
                tracing::debug!(shop = %self.shop, error, "not known what is still asked");
            }
        }
    }

    /// Whether a set's incidents are to be looked at again although nothing new happened.
    pub(super) fn waits(&self, set: &ChangeSet, changes: &[&Trace], now: Timestamp) -> bool {
        self.docket.of(changes).iter().any(|incident| {
            let anothers = incident.by != self.by;
            incident.is_waiting(now)
                || (anothers && (incident.is_behind(set) || incident.is_untold()))
        })
    }

    /// Puts on record how telling people went.
    pub(super) async fn note_outcomes(&mut self) {
        for (id, outcome) in self.outbox.outcomes() {
            let known = self.docket.all().find(|incident| incident.id == id).cloned();
            let Some(incident) = known else { continue };
            let told = Incident { told: Some(outcome), ..incident };
            if let Err(error) = self.docket.put(&told).await {
                tracing::warn!(shop = %self.shop, incident = id, %error, "cannot be put on record");
            }
        }
    }

    /// Whether nobody goes on with another guard's incident although there is something to be done.
    fn is_left(&self, incident: &Incident, seen: &Seen<'_>, now: Timestamp) -> bool {
        let open = incident.is_waiting(now) || incident.is_behind(seen.set) || incident.is_untold();
        incident.by == self.by
            || (open
                && now.micros_since(incident.updated_at) >= GONE_MICROS
                && seen.still_micros >= GONE_MICROS)
    }

    /// The incident that some changes are of. Several that turn out to be one are joined: the one
    /// that was acted upon first goes on, with what was done about the others.
    async fn joined(
        &mut self,
        changes: &[&Trace],
        now: Timestamp,
    ) -> Result<Option<Incident>, RecordError> {
        let mut known = self.docket.of(changes);
        // What was meant is a matter of its own, unless there is nothing else.
        let is_meant = |incident: &Incident| incident.state == IncidentState::Dismissed;
        if !known.iter().all(is_meant) {
            known.retain(|incident| !is_meant(incident));
        }
        known.sort_by_key(|incident| {
            (incident.applied_at.is_none(), incident.applied_at, incident.at, incident.id.clone())
        });
        let mut known = known.into_iter();
        let Some(mut main) = known.next() else { return Ok(None) };
        for mut part in known {
            main.take_over(&part);
            (part.state, part.part_of) = (IncidentState::Joined, Some(main.id.clone()));
            (part.by, part.updated_at) = (self.by.clone(), now);
            part.why = vec![format!("it is a part of {}", main.id)];
            self.docket.put(&part).await?;
        }
        Ok(Some(main))
    }

    /// Something new: it is put on record first, so that of several guards one acts.
    async fn begin(
        &mut self,
        seen: &Seen<'_>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        let incident = Incident {
            id: format!("{INCIDENT}-{}", seen.set.id),
            at: now,
            updated_at: now,
            state: IncidentState::Open,
            action: verdict.action,
            allowed: self.policy.action,
            text: text(&self.shop.domain(), seen.set, &verdict.trips),
            change_set: seen.set.clone(),
            trips: verdict.trips.clone(),
            why: verdict.why.clone(),
            plan: None,
            planned: 0,
            applied_at: None,
            job: None,
            earlier_jobs: Vec::new(),
            part_of: None,
            dismissed_by: None,
            by: self.by.clone(),
            told: None,
        };
        if !self.docket.put(&incident).await? {
            return Ok(());
        }
        tracing::warn!(shop = %self.shop, incident = incident.id, "{}", incident.text);
        self.desk.metrics.incident(verdict.action);
        self.go_on(incident, seen, verdict, now).await
    }

    /// Goes on with an incident as far as is allowed by now.
    async fn go_on(
        &mut self,
        before: Incident,
        seen: &Seen<'_>,
        verdict: &Verdict,
        now: Timestamp,
    ) -> Result<(), RecordError> {
        if before.state == IncidentState::Dismissed {
            return Ok(());
        }
        let unheard = before.is_untold() && !self.outbox.holds(&before.id);
        if before.state == IncidentState::Applied && !before.is_behind(seen.set) && !unheard {
            return Ok(());
        }
        let verdict = &limited(&before, seen, verdict);
        let mut incident = before.clone();
        incident.text = text(&self.shop.domain(), seen.set, &verdict.trips);
        incident.change_set = seen.set.clone();
        incident.trips = verdict.trips.clone();
        incident.why = verdict.why.clone();
        incident.action = verdict.action;
        if verdict.action >= Action::Plan {
            self.plan(&mut incident, seen).await;
        } else if verdict.action == Action::Alert {
            incident.state = IncidentState::Told;
        }
        let ready =
            incident.state == IncidentState::Planned && self.is_quiet(seen) && self.is_asked(seen);
        if ready && verdict.action == Action::Apply {
            // Only whoever has the last word on record goes the way back.
            (incident.by, incident.updated_at) = (self.by.clone(), now);
            if !self.docket.put(&incident).await? {
                return Ok(());
            }
            self.apply(&mut incident, now).await;
        }
        let escalated = incident.action > before.action;
        if escalated {
            self.desk.metrics.incident(incident.action);
        }
        let applied = incident.job != before.job;
        let whole =
            before.plan.is_some() && incident.plan.is_some() && incident.plan != before.plan;
        let tells = before.told.is_none() || escalated || applied || whole || unheard;
        let tells = tells && self.policy.webhook_url.is_some();
        if tells {
            (incident.told, incident.by) = (Some(BEING_TOLD.into()), self.by.clone());
        }
        if self.put(&mut incident, now).await? && tells {
            self.outbox.leave(&self.shop, &incident);
        }
        Ok(())
    }

    /// Has the way back ready: at once, and once more to its end when what it undoes is over.
    async fn plan(&self, incident: &mut Incident, seen: &Seen<'_>) {
        let changes = seen.set.counts.changes;
        if incident.plan.is_some() && incident.planned == changes {
            if incident.state != IncidentState::Applied {
                incident.state = IncidentState::Planned;
            }
            return;
        }
        if incident.plan.is_some() && !self.is_quiet(seen) {
            incident.state = IncidentState::Open;
            return;
        }
        match self.back.plan(&self.shop, seen.set, undone(seen.changes.iter().copied())).await {
            Ok(plan) => {
                (incident.plan, incident.planned) = (Some(plan), changes);
                incident.state = IncidentState::Planned;
            }
            Err(why) => self.stuck(incident, why),
        }
    }

    async fn apply(&self, incident: &mut Incident, now: Timestamp) {
        let Some(plan) = incident.plan.clone() else { return };
        match self.back.apply(&self.shop, &plan).await {
            Ok(job) => {
                let earlier = incident.job.replace(job);
                let earlier = earlier.filter(|earlier| incident.job.as_ref() != Some(earlier));
                incident.earlier_jobs.extend(earlier);
                incident.state = IncidentState::Applied;
                incident.applied_at = incident.applied_at.or(Some(now));
            }
            Err(why) => {
                // It may have moved since: it is made anew at the next look.
                incident.plan = None;
                self.stuck(incident, why);
            }
        }
    }

    fn stuck(&self, incident: &mut Incident, why: String) {
        tracing::warn!(shop = %self.shop, incident = incident.id, reason = %why, "cannot go on");
        incident.why.push(why);
        incident.state = IncidentState::Stuck;
    }

    /// Whether a set has stood still for as long as the policy wants.
    fn is_quiet(&self, seen: &Seen<'_>) -> bool {
        seen.still_micros as f64 >= self.policy.settle_seconds * 1e6
    }

    /// Whether webhooks of a set left nothing open any more: what only a question brings would otherwise
    /// be learned after the way back, and taken for a part of it. Not waited for without end, since harm
    /// costs more with every minute.
    fn is_asked(&self, seen: &Seen<'_>) -> bool {
        let newest = seen.changes.iter().map(|trace| trace.seq).max();
        newest.is_none_or(|seq| seq <= self.asked_until)
            || seen.still_micros as f64 >= self.policy.settle_seconds * 1e6 + ASKED_MICROS as f64
    }

    /// Puts on record what is new of an incident. False: another guard has gone on with it.
    async fn put(&mut self, incident: &mut Incident, now: Timestamp) -> Result<bool, RecordError> {
        if self.docket.all().any(|known| known == incident) {
            return Ok(true);
        }
        (incident.by, incident.updated_at) = (self.by.clone(), now);
        self.docket.put(incident).await
    }
}

/// What was undone is undone to its end when more of it comes to light. What its actor does after it
/// was undone is not undone again: a person decides. And nothing is done that the policy did not
/// allow when it was seen.
fn limited(incident: &Incident, seen: &Seen<'_>, verdict: &Verdict) -> Verdict {
    let mut verdict = verdict.clone();
    let after = |applied_at: Timestamp| seen.changes.iter().any(|trace| trace.at > applied_at);
    if incident.applied_at.is_some_and(after) && verdict.action > Action::Plan {
        verdict.action = Action::Plan;
        verdict.why.push("it was undone, and went on".into());
    }
    if verdict.action > incident.allowed {
        verdict.action = incident.allowed;
        let allowed = incident.allowed.said();
        verdict.why.push(format!("when it was noticed the policy allowed {allowed}, and no more"));
    }
    verdict
}
