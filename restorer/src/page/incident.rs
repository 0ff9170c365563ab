//! What the guard saw: what harm, by whom and what says so, what became of it, and the way back.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::journal::{List, Page};
use backstock_proto::problem::Problem;
use backstock_proto::{Shop, Timestamp};
use maud::{Markup, html};

use super::room::{Room, encoded, query};
use super::shell::{self, Tone};
use super::{change_sets, job, restore};
use crate::change_set::ChangeSet;
use crate::guard::{INCIDENT, Incident, IncidentState, Trip};
use crate::job::{Job, JobState};
use crate::token::Scope;
use crate::{Desk, refuse};

/// Incidents looked at where many shops are.
const INCIDENTS: usize = 20;

/// An incident, and the job by which the way back was gone: the guard's, or a person's.
pub(crate) struct Seen {
    incident: Incident,
    job: Option<Job>,
}

/// The latest incidents of a shop, newest first: a page of them.
pub(super) async fn latest(
    room: &Room,
    limit: usize,
    cursor: Option<String>,
) -> Result<List<Seen>, Problem> {
    let pairs = [("limit", Some(limit.to_string())), ("cursor", cursor)];
    let incidents: List<Incident> = room.get(&format!("incidents{}", query(&pairs))).await?;
    let items = with_jobs(&room.desk, &room.shop, incidents.items).await?;
    Ok(List { items, next: incidents.next })
}

/// The latest incidents of one of many shops.
pub(crate) async fn seen(desk: &Desk, shop: &Shop) -> Result<Vec<Seen>, Problem> {
    let page = Page { limit: INCIDENTS, cursor: None };
    let records = desk.journal.records(shop, INCIDENT, None, &page).await;
    let records = records.map_err(refuse::journal)?.items.into_iter();
    let incidents: Vec<Incident> =
        records.filter_map(|record| serde_json::from_value(record.payload).ok()).collect();
    with_jobs(desk, shop, incidents).await
}

/// Each with the job that went its way back.
async fn with_jobs(
    desk: &Desk,
    shop: &Shop,
    incidents: Vec<Incident>,
) -> Result<Vec<Seen>, Problem> {
    let planned = || incidents.iter().filter_map(|one| Some((one.way_back()?, one.at)));
    let plans: BTreeSet<&str> = planned().map(|(plan, _)| plan).collect();
    let since = planned().map(|(_, at)| at).min().unwrap_or(Timestamp::MAX);
    let jobs = desk.jobs.of_plans(shop, &plans, since).await.map_err(refuse::record)?;
    // Of several jobs of one plan the last counts.
    let by_plan: BTreeMap<String, Job> =
        jobs.into_iter().rev().map(|job| (job.plan.clone(), job)).collect();
    let seen = incidents.into_iter().map(|incident| Seen {
        job: incident.way_back().and_then(|plan| by_plan.get(plan)).cloned(),
        incident,
    });
    Ok(seen.collect())
}

impl Seen {
    /// Whether a person is still to say what becomes of it. A job that ended before all was put back is
    /// no end of it, nor is one after which it went on.
    pub(super) fn is_open(&self) -> bool {
        match (self.incident.state, &self.job) {
            (IncidentState::Joined | IncidentState::Dismissed, _) => false,
            (_, Some(job)) => matches!(job.state, JobState::Cancelled | JobState::Failed),
            (state, None) => state != IncidentState::Applied,
        }
    }

    /// What harm it is, in a few words.
    pub(super) fn harm(&self) -> String {
        let harm = self.incident.trips.iter().map(|trip| trip.harm.said(trip.count));
        let harm: Vec<String> = harm.collect();
        shell::capital(&harm.join(", "))
    }

    /// When it began.
    pub(super) fn began(&self) -> Timestamp {
        self.incident.change_set.from
    }

    /// The job that put back all that is known of it.
    fn job_id(&self) -> Option<&str> {
        let guards = self.incident.job.as_deref();
        let guards = guards.filter(|_| self.incident.state == IncidentState::Applied);
        self.job.as_ref().map(|job| job.id.as_str()).or(guards)
    }

    /// The jobs that put back what was known of it before, oldest first.
    fn earlier_jobs(&self) -> impl Iterator<Item = &str> {
        let (incident, last) = (&self.incident, self.job_id());
        let jobs = incident.earlier_jobs.iter().chain(&incident.job).map(String::as_str);
        jobs.filter(move |job| Some(*job) != last)
    }

    fn state(&self) -> (Tone, &'static str) {
        match (self.incident.state, &self.job) {
            (IncidentState::Joined, _) => (Tone::Plain, "part of another one"),
            (IncidentState::Dismissed, _) => (Tone::Plain, "was meant"),
            (_, Some(job)) => job::said(job.state),
            (IncidentState::Applied, None) => (Tone::Good, "undone"),
            (IncidentState::Open, None) => (Tone::Bad, "goes on"),
            (IncidentState::Told, None) => (Tone::Bad, "look at this"),
            (IncidentState::Planned, None) => (Tone::Warning, "way back ready"),
            (IncidentState::Stuck, None) => (Tone::Bad, "stuck"),
        }
    }
}

/// One incident, in a list of them.
pub(super) fn shown(room: &Room, seen: &Seen) -> Markup {
    let (incident, set) = (&seen.incident, &seen.incident.change_set);
    let (tone, state) = seen.state();
    html! {
        li.planrow {
            div.planhead {
                div.main {
                    strong { (seen.harm()) }
                    span.what { (change_sets::span(room, set)) }
                }
                (shell::badge(tone, state))
            }
            p { (outcome(room, seen)) }
            (evidence(room, incident))
            div.actions { (ways(room, seen)) }
        }
    }
}

/// What became of it, in a sentence or two.
fn outcome(room: &Room, seen: &Seen) -> Markup {
    let incident = &seen.incident;
    html! {
        @match (incident.state, &seen.job) {
            (IncidentState::Dismissed, _) => {
                strong { (incident.dismissed_by.as_deref().unwrap_or("Somebody")) }
                " said " (room.clock.time(incident.updated_at)) " that it was meant. Nothing is done "
                "about it, and as much is normal from now on."
            },
            (IncidentState::Joined, _) => "It turned out to be a part of another one.",
            (_, Some(job)) => {
                strong { (job.by) } (put_back(job.state)) (room.clock.time(job.started_at)) "."
                @if seen.is_open() { " Not all of it is put back." }
            },
            (IncidentState::Applied, None) => {
                "It was put back"
                @if let Some(at) = incident.applied_at { " " (room.clock.time(at)) }
                "."
            },
            (IncidentState::Open, None) => "It still goes on, or was only just seen.",
            (IncidentState::Told, None) => "Nothing is done about it but to say so.",
            (IncidentState::Planned, None) => "The way back is ready. Nothing is written before a person says yes.",
            (IncidentState::Stuck, None) => "The way back could not be made or begun; below is what is in its way.",
        }
    }
}

fn put_back(state: JobState) -> &'static str {
    match state {
        JobState::Queued | JobState::Running | JobState::Paused => " has it put back since ",
        JobState::Cancelled | JobState::Done | JobState::Failed => " had it put back ",
    }
}

fn evidence(room: &Room, incident: &Incident) -> Markup {
    let set = &incident.change_set;
    html! {
        dl.whole {
            div {
                dt { "What was seen" }
                dd {
                    p { (shell::capital(&set.headline)) }
                    @for trip in &incident.trips { p.quiet { (passed(trip)) } }
                    @if let Some(money) = &set.money {
                        p.quiet { "One of each thing, together: " (price(room, &money.before)) " before, " (price(room, &money.after)) " now." }
                    }
                }
            }
            div { dt { "By whom" } dd { (by_whom(set)) } }
            div {
                dt { "What was decided" }
                dd {
                    @for why in &incident.why { p { (shell::capital(why)) "." } }
                    @match incident.told.as_deref() {
                        Some("told") => p.quiet { "People were told." },
                        Some(how) => p.quiet { (shell::capital(how)) "." },
                        None => {},
                    }
                }
            }
        }
    }
}

/// Which threshold was passed, and by what.
fn passed(trip: &Trip) -> String {
    let such_as = match trip.examples.as_slice() {
        [] => String::new(),
        examples => format!(" Such as {}.", examples.join(", ")),
    };
    let (said, limit) = (shell::capital(&trip.harm.said(trip.count)), shell::number(trip.limit));
    let normal = match trip.normal {
        0 => "as much is not usual here".to_owned(),
        normal => format!("up to {} were usual here", shell::number(normal)),
    };
    format!("{said}: from {limit} on that counts as harm, and {normal}.{such_as}")
}

fn price(room: &Room, amount: &str) -> String {
    match &room.currency {
        Some(currency) => format!("{amount} {currency}"),
        None => amount.to_owned(),
    }
}

fn by_whom(set: &ChangeSet) -> Markup {
    html! {
        p { (change_sets::who(set)) }
        @for sign in &set.actor.evidence { p.quiet { (shell::capital(sign)) } }
    }
}

fn ways(room: &Room, seen: &Seen) -> Markup {
    let incident = &seen.incident;
    let (set, may) = (incident.change_set.id.to_string(), room.may(Scope::Restore));
    html! {
        a.button href={ (room.path()) "/changes/" (set) } { "What it did" }
        @for job in seen.earlier_jobs() { a.button href={ (room.path()) "/jobs/" (job) } { "What was put back before" } }
        @if let Some(job) = seen.job_id() { a.button href={ (room.path()) "/jobs/" (job) } { "What was put back" } }
        @else if seen.is_open() {
            @if let Some(plan) = incident.way_back() { a.button.primary href={ (room.path()) "/plans/" (plan) } { "Review the way back" } }
            @else if may { (restore::of_set(room, &set)) }
        }
        // What the guard had put back itself is undone by undoing its job.
        @if seen.is_open() && incident.job.is_none() && may { (meant(room, &incident.id)) }
    }
}

fn meant(room: &Room, id: &str) -> Markup {
    html! {
        form method="post" action={ (room.path()) "/guard/" (encoded(id)) "/dismiss" } {
            (shell::sealed(room))
            button.button type="submit" { "This was meant" }
        }
    }
}
