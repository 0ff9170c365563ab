//! A plan being applied: how far it is while it runs, and its report when it is over.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::form::Form;
use super::restore::PLANNING;
use super::room::{Room, encoded, query};
use super::shell::{self, Shown, Tab, Tone};
use super::{plan, restore, when};
use crate::ask::Asked;
use crate::human;
use crate::job::{Approval, Job, JobState, RowCounts, RowResult, RowState};
use crate::plan::Request;
use crate::refuse;
use crate::token::Scope;

/// Rows on one page.
const PAGE: usize = 100;

/// Which rows.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rows {
    state: Option<String>,
    cursor: Option<String>,
}

/// Which job.
#[derive(Deserialize)]
pub(crate) struct Which {
    pub(super) id: String,
}

/// The page.
pub(crate) async fn job(
    room: Room,
    Path(Which { id }): Path<Which>,
    Asked(asked): Asked<Rows>,
) -> Result<Shown, Problem> {
    let pairs = [
        ("state", asked.state.clone()),
        ("cursor", asked.cursor.clone()),
        ("limit", Some(PAGE.to_string())),
    ];
    let mut answer: Value = room.get(&format!("jobs/{}{}", encoded(&id), query(&pairs))).await?;
    let mut rows = answer["rows"].take();
    let untold = answer["untold"].as_str().map(str::to_owned);
    let unreadable =
        |error: serde_json::Error| refuse::bad_request(format!("the job cannot be read: {error}"));
    let next = rows["next"].as_str().map(str::to_owned);
    let rows: Vec<RowResult> = serde_json::from_value(rows["items"].take()).map_err(unreadable)?;
    let job: Job = serde_json::from_value(answer).map_err(unreadable)?;
    let here = format!("{}/jobs/{}", room.path(), job.id);
    let page = |cursor: Option<String>| {
        here.clone() + &query(&[("state", asked.state.clone()), ("cursor", cursor)])
    };
    let request = plan::found(&room, &job.plan).await.map(|plan| plan.request);
    let wanted = match &request {
        Some(request) => Some(plan::wanted(&room, request).await),
        None => None,
    };
    let content = html! {
        a.back href={ (room.path()) "/restore" } { "Restore" }
        (shell::heading(title(&room, &job), html! {
            a.button href={ (room.path()) "/plans/" (job.plan) } { "The plan" }
        }))
        @if let Some(wanted) = &wanted { p { (wanted) } }
        (progress(&room, &job, request.as_ref()))
        section.card aria-labelledby="rows" {
            div.cardhead {
                h2 #rows { "Report" }
                p {
                    "Download all of it: "
                    a href={ (here) "/report?as=csv" } download={ (job.id) ".csv" } { "as a table (CSV)" } ", "
                    a href={ (here) "/report" } download={ (job.id) ".ndjson" } { "for programs (NDJSON)" }
                }
            }
            @if job.counts.total() > job.counts.pending { (states(&here, &job.counts, asked.state.as_deref())) }
            @if let Some(untold) = &untold {
                p.banner.notice { "Not every row can be shown: " (untold) "." }
            } @else if rows.is_empty() && job.state.is_over() {
                (shell::empty("No rows", html! { "There is nothing to show here." }))
            } @else if rows.is_empty() {
                (shell::empty("No rows yet", html! { "What is done shows here once it is over, and when the page is reloaded." }))
            }
            ul.rows { @for row in &rows { (self::row(&room, row)) } }
            (shell::paging(asked.cursor.is_some().then(|| page(None)), next.map(|next| page(Some(next)))))
        }
    };
    Ok(shell::page(&room, Tab::Restore, title(&room, &job), content))
}

fn title(room: &Room, job: &Job) -> &'static str {
    match job.state {
        JobState::Queued if may_approve(room, job) => "Waiting for your word",
        JobState::Queued if job.awaits_approval() => "Waiting for another person",
        JobState::Queued if job.resume_at.is_some() => "Put off for a while",
        JobState::Queued => "Waiting for its turn",
        JobState::Running => "Putting it back",
        JobState::Paused => "Standing still",
        JobState::Cancelled => "Cancelled",
        JobState::Done if job.counts.conflict > 0 => "Done, but for what moved meanwhile",
        JobState::Done => "It is put back",
        JobState::Failed => "Some of it failed",
    }
}

/// How a job is, in a word.
pub(super) fn said(state: JobState) -> (Tone, &'static str) {
    match state {
        JobState::Queued => (Tone::Plain, "waiting"),
        JobState::Running => (Tone::Notice, "running"),
        JobState::Paused => (Tone::Warning, "paused"),
        JobState::Cancelled => (Tone::Plain, "cancelled"),
        JobState::Done => (Tone::Good, "done"),
        JobState::Failed => (Tone::Bad, "some failed"),
    }
}

fn all(counts: &RowCounts) -> [(RowState, &'static str, u64); 7] {
    [
        (RowState::Updated, "changed", counts.updated),
        (RowState::Created, "created anew", counts.created),
        (RowState::Deleted, "deleted", counts.deleted),
        (RowState::Skipped, "skipped", counts.skipped),
        (RowState::Conflict, "moved meanwhile", counts.conflict),
        (RowState::Failed, "failed", counts.failed),
        (RowState::Pending, "to do", counts.pending),
    ]
}

/// How many rows became what, in a sentence.
pub(super) fn summary(counts: &RowCounts) -> String {
    let parts: Vec<String> = (all(counts).iter())
        .filter(|(_, _, n)| *n > 0)
        .map(|(_, what, n)| format!("{} {what}", shell::number(*n)))
        .collect();
    if parts.is_empty() { "Nothing to do".into() } else { parts.join(" · ") }
}

/// `request`: what its plan was asked for, where that is still known.
fn progress(room: &Room, job: &Job, request: Option<&Request>) -> Markup {
    let total: u64 = all(&job.counts).iter().map(|(_, _, n)| n).sum();
    let done = total - job.counts.pending;
    let over = job.state.is_over();
    let (tone, state) = said(job.state);
    let events = (!over).then(|| room.api(&format!("jobs/{}/events", encoded(&job.id))));
    let approved = job.approval.as_ref().and_then(|approval| approval.by.as_deref());
    let moved = over && job.counts.conflict > 0;
    html! {
        section.card #progress data-events=[events] data-state=(job.state.as_str()) data-approved=(approved.unwrap_or_default()) {
            div.cardhead {
                p data-live="summary" { (summary(&job.counts)) }
                (shell::badge(tone, state))
            }
            progress max=(total.max(1)) value=(done) aria-label="Rows done" {}
            p.hidden role="status" aria-live="polite" data-live="said" { (title(room, job)) }
            @if let Some(reason) = &job.reason { p { (reason) } }
            @if moved { p { "What moved meanwhile was left alone. A new plan shows how it is now." } }
            @if let Some(at) = job.put_off() { p { "It goes on by itself " (room.clock.time(at)) "." } }
            @if job.awaits_approval() {
                @if may_approve(room, job) {
                    p { (job.by) " asks for your approval. Look at the plan first: nothing is written before you say yes." }
                } @else {
                    p {
                        "Nothing is written before another person than " (job.by) " has approved it here. "
                        "The address of this page can be sent to them."
                    }
                }
            }
            p.quiet.small {
                "Asked for " (room.clock.time(job.started_at)) " by " (job.by)
                @if let Some(Approval { by: Some(by), at: Some(at) }) = &job.approval {
                    " · approved " (room.clock.time(*at)) " by " (by)
                }
                @if let Some(at) = job.began_at { " · begun " (room.clock.time(at)) }
                @if let Some(at) = job.finished_at { " · took " (when::lasting(at.seconds_since(job.began_at.unwrap_or(job.started_at)))) }
                span data-live="left" {
                    @if let Some(left) = job.eta_seconds.filter(|left| job.state == JobState::Running && *left >= 1.0) { " · about " (when::lasting(left)) " left" }
                }
            }
            @if room.may(Scope::Restore) {
                div.actions {
                    @if may_approve(room, job) {
                        (control(room, job, "approve", "Approve", "primary"))
                    }
                    @if !over { (control(room, job, "cancel", "Cancel", "")) }
                    @if job.state == JobState::Running { (control(room, job, "pause", "Pause", "")) }
                    @if job.state == JobState::Paused { (control(room, job, "resume", "Go on", "primary")) }
                    @if job.put_off().is_some() { (control(room, job, "resume", "Go on now", "")) }
                    @if over && job.counts.failed + job.counts.pending > 0 { (control(room, job, "retry", retry(&job.counts), "primary")) }
                    @if let Some(request) = request.filter(|_| moved) { (restore::anew(room, request)) }
                    @if over && job.counts.updated + job.counts.created + job.counts.deleted > 0 { (undo(room, job)) }
                }
            }
            @if !over { noscript { p.quiet { "Reload this page to see how far it is." } } }
        }
    }
}

/// What is taken up again.
fn retry(counts: &RowCounts) -> &'static str {
    match (counts.failed, counts.pending) {
        (0, _) => "Do the rest",
        (_, 0) => "Retry what failed",
        _ => "Retry what failed, and do the rest",
    }
}

/// Whether it waits for the word of whoever looks.
fn may_approve(room: &Room, job: &Job) -> bool {
    job.awaits_approval() && room.may(Scope::Restore) && !room.is_by(&job.by)
}

fn control(room: &Room, job: &Job, what: &str, name: &str, class: &str) -> Markup {
    html! {
        form method="post" action={ (room.path()) "/jobs/" (job.id) "/" (what) } {
            (shell::sealed(room))
            button.button.primary[class == "primary"] type="submit" { (name) }
        }
    }
}

fn undo(room: &Room, job: &Job) -> Markup {
    html! {
        form method="post" action={ (room.path()) "/restore" } {
            (shell::sealed(room))
            input type="hidden" name="undo" value=(job.id);
            @for mode in ["update", "create", "delete_new"] { input type="hidden" name=(mode) value="yes"; }
            button.button type="submit" data-busy=(PLANNING) { "Undo this restore…" }
        }
    }
}

fn states(here: &str, counts: &RowCounts, shown: Option<&str>) -> Markup {
    html! {
        nav.counts aria-label="Rows by what became of them" {
            a href=(here) aria-current=[shown.is_none().then_some("true")] { span { "All" } }
            @for (state, name, n) in all(counts) {
                @if n > 0 && state != RowState::Pending {
                    @let value = serde_json::to_value(state).unwrap_or_default();
                    @let value = value.as_str().unwrap_or_default();
                    a href={ (here) "?state=" (value) } aria-current=[(shown == Some(value)).then_some("true")] {
                        span.n { (shell::number(n)) } span { (shell::capital(name)) }
                    }
                }
            }
        }
    }
}

fn row(room: &Room, row: &RowResult) -> Markup {
    let (tone, said) = match row.state {
        RowState::Pending => (Tone::Plain, "to do"),
        RowState::Created => (Tone::Good, "created anew"),
        RowState::Updated => (Tone::Good, "changed"),
        RowState::Deleted => (Tone::Good, "deleted"),
        RowState::Skipped => (Tone::Plain, "skipped"),
        RowState::Conflict => (Tone::Warning, "moved meanwhile"),
        RowState::Failed => (Tone::Bad, "failed"),
    };
    let title = if row.title.is_empty() { format!("#{}", row.id) } else { row.title.clone() };
    html! {
        li {
            a.row href=(room.resource(&row.kind, &row.id)) {
                span.main {
                    strong { (title) } " " span.quiet { (human::singular(row.kind.as_str())) }
                    @if let Some(reason) = &row.reason { span.what { (reason) } }
                }
                span.side { (shell::badge(tone, said)) }
            }
        }
    }
}

/// Has a job approved, cancelled, paused, taken up again.
pub(crate) async fn control_job(
    room: Room,
    Path((_, id, what)): Path<(String, String, String)>,
    _form: Form,
) -> Result<Response, Problem> {
    let known = ["approve", "cancel", "pause", "resume", "retry"].contains(&what.as_str());
    if !known {
        return Err(refuse::bad_request(format!("a job cannot be asked to {what:?}")));
    }
    let _: Value = room.post(&format!("jobs/{}/{what}", encoded(&id)), None).await?;
    Ok(Redirect::to(&format!("{}/jobs/{}", room.path(), encoded(&id))).into_response())
}
