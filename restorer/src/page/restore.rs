//! Saying what is to be put back: from a thing's page, from a change-set, or the whole shop as of a
//! moment. What comes of it is a plan; nothing is written here.

use std::collections::{BTreeMap, BTreeSet};

use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::journal::List;
use backstock_proto::merge::OnConflict;
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, ResourceId, Timestamp};
use futures::future::join_all;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::form::Form;
use super::room::{Room, kept_only, query};
use super::shell::{self, Shown, Tab};
use super::{export, job};
use crate::ask::Asked;
use crate::export::Import;
use crate::job::Job;
use crate::mark::Mark;
use crate::plan::{Modes, Plan, Request, Select};
use crate::token::Scope;
use crate::{human, refuse};

/// What a button says while a plan is made.
pub(super) const PLANNING: &str = "Planning…";
/// Jobs and plans on one page, and files shown.
const LATEST: usize = 20;
/// Marked moments that are offered to go back to.
const MARKS: usize = 3;
/// Moments that people mostly go back to, in seconds before now.
const AGO: [(&str, i64); 3] =
    [("An hour ago", 3_600), ("A day ago", 86_400), ("A week ago", 604_800)];

/// What the form begins with, and the lists below it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Begin {
    at: Option<String>,
    jobs: Option<String>,
    plans: Option<String>,
}

impl Begin {
    /// The same page, with jobs and plans from there on.
    fn address(&self, room: &Room, jobs: Option<String>, plans: Option<String>) -> String {
        let pairs = [("at", self.at.clone()), ("jobs", jobs), ("plans", plans)];
        format!("{}/restore{}", room.path(), query(&pairs))
    }
}

/// The page: put the shop back, and what was put back before.
pub(crate) async fn restores(room: Room, Asked(begin): Asked<Begin>) -> Result<Shown, Problem> {
    let part = |from: &Option<String>| {
        query(&[("limit", Some(LATEST.to_string())), ("cursor", from.clone())])
    };
    let jobs: List<Job> = room.get(&format!("jobs{}", part(&begin.jobs))).await?;
    let plans: List<Plan> = room.get(&format!("plans{}", part(&begin.plans))).await?;
    let asked = asked_for(&room, &plans.items, &jobs.items).await;
    let exports: List<Import> = room.get(&format!("exports?limit={LATEST}")).await?;
    let marks: List<Mark> = room.get(&format!("marks?limit={MARKS}")).await?;
    let status: serde_json::Value = room.get("status").await?;
    let kinds = status["kinds"].as_array().into_iter().flatten();
    let kinds: Vec<Kind> = kinds
        .filter_map(|kind| Kind::parse(kind["kind"].as_str()?).ok())
        .filter(|kind| kept_only(kind).is_none())
        .collect();
    let content = html! {
        (shell::heading("Restore", html! {}))
        @if room.may(Scope::Restore) { (whole_shop(&room, &kinds, begin.at.as_deref(), &marks.items)) }
        @else { p.banner.notice { "Your token may look at everything, but put nothing back." } }
        (export::card(&room, &exports.items))
        section.card aria-labelledby="jobs" {
            div.cardhead { h2 #jobs { "What was put back" } }
            @if jobs.items.is_empty() && begin.jobs.is_none() {
                (shell::empty("Nothing yet", html! { "What you put back shows here, with its report, and can be undone." }))
            }
            ul.rows { @for one in &jobs.items { (job_row(&room, one, asked.get(&one.plan))) } }
            (shell::paging(
                begin.jobs.is_some().then(|| begin.address(&room, None, begin.plans.clone()) + "#jobs"),
                jobs.next.map(|next| begin.address(&room, Some(next), begin.plans.clone()) + "#jobs"),
            ))
        }
        @if !plans.items.is_empty() || begin.plans.is_some() {
            section.card aria-labelledby="plans" {
                div.cardhead { h2 #plans { "Plans" } }
                ul.rows { @for plan in &plans.items { (plan_row(&room, plan, asked.get(&plan.id))) } }
                (shell::paging(
                    begin.plans.is_some().then(|| begin.address(&room, begin.jobs.clone(), None) + "#plans"),
                    plans.next.map(|next| begin.address(&room, begin.jobs.clone(), Some(next)) + "#plans"),
                ))
            }
        }
    };
    Ok(shell::page(&room, Tab::Restore, "Restore", content))
}

/// What was asked for, by the plan that was made of it: of those that are shown, and of those that jobs
/// applied.
async fn asked_for(room: &Room, plans: &[Plan], jobs: &[Job]) -> BTreeMap<String, String> {
    let shown: BTreeMap<&str, &Plan> = plans.iter().map(|plan| (plan.id.as_str(), plan)).collect();
    let of_jobs = jobs.iter().map(|job| job.plan.as_str());
    let ids: BTreeSet<&str> = shown.keys().copied().chain(of_jobs).collect();
    let asked = ids.into_iter().map(|id| {
        let shown = shown.get(id).copied();
        async move {
            let found;
            let plan = match shown {
                Some(plan) => plan,
                None => {
                    found = super::plan::found(room, id).await?;
                    &found
                }
            };
            Some((id.to_owned(), super::plan::wanted(room, &plan.request).await))
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn whole_shop(room: &Room, kinds: &[Kind], at: Option<&str>, marks: &[Mark]) -> Markup {
    let at = at.and_then(|at| room.clock.parse(at));
    html! {
        section.card aria-labelledby="scope" {
            div.cardhead { h2 #scope { "Put the shop back to a moment" } }
            p.quiet { "Choose a moment before it went wrong. “Changes” tells when that was." }
            (moments(room, marks))
            form.stack method="post" action={ (room.path()) "/restore" } {
                (shell::sealed(room))
                div.filters.open {
                    div.field {
                        label for="at" { "As it was at (" (room.clock.zone()) ")" }
                        input #at type="datetime-local" step="1" name="at" required
                            value=(at.map(|at| room.clock.input(at)).unwrap_or_default())
                            max=(room.clock.input(room.clock.now()));
                    }
                    div.field {
                        label for="kind" { "What" }
                        select #kind name="kind" {
                            option value="" { "All that can be written" }
                            @for kind in kinds {
                                option value=(kind) { (shell::capital(&human::plural(kind.as_str()))) }
                            }
                        }
                    }
                    div.field.wide {
                        label for="words" { "Only what is called" }
                        input #words type="text" name="q" placeholder="any name, handle or SKU" autocomplete="off";
                    }
                }
                fieldset.choices {
                    legend { "What may be done" }
                    (tick("update", "Change back what was changed", true))
                    (tick("create", "Create anew what was deleted (with a new id)", true))
                    (tick("delete_new", "Delete what was created since (customers, companies and draft orders only if chosen above)", false))
                    (tick("overwrite", "Also where somebody else made a newer edit", false))
                    (tick("inventory", "Amounts in stock, too, where there is stock (they move with every sale)", false))
                }
                div.actions {
                    button.button.primary type="submit" data-busy=(PLANNING) { "Show what would change" }
                    span.quiet.small { "Nothing is written yet." }
                }
            }
        }
    }
}

/// Moments that are filled in by a click: a while ago, and the newest that were marked.
fn moments(room: &Room, marks: &[Mark]) -> Markup {
    let ago =
        |seconds: i64| Timestamp::from_micros(room.clock.now().as_micros() - seconds * 1_000_000);
    let to = |at: Timestamp| {
        format!("{}/restore{}", room.path(), query(&[("at", Some(at.to_string()))]))
    };
    html! {
        nav.counts aria-label="Moments to go back to" {
            @for (name, seconds) in AGO { a href=(to(ago(seconds))) { (name) } }
            @for mark in marks {
                a href=(to(mark.at)) { (mark.label) " " span.quiet { (room.clock.time(mark.at)) } }
            }
        }
    }
}

fn tick(name: &str, text: &str, ticked: bool) -> Markup {
    html! {
        label.tick { input type="checkbox" name=(name) value="yes" checked[ticked]; span { (text) } }
    }
}

/// Takes a form, makes the plan, and shows it.
pub(crate) async fn make(room: Room, form: Form) -> Result<Response, Problem> {
    let kinds: Result<Vec<Kind>, _> = form.all("kind").map(Kind::parse).collect();
    let kinds = kinds.map_err(|error| refuse::bad_request(error.to_string()))?;
    let request = Request {
        at: instant(&room, &form, "at")?,
        change_set: form.get("change_set").map(str::to_owned),
        app: form.get("app").map(str::to_owned),
        from: instant(&room, &form, "from")?,
        to: instant(&room, &form, "to")?,
        export: form.get("export").map(str::to_owned),
        undo: form.get("undo").map(str::to_owned),
        select: Select {
            kinds,
            ids: form.all("id").map(str::to_owned).collect(),
            q: form.get("q").map(str::to_owned),
            fields: form.all("field").map(str::to_owned).collect(),
        },
        modes: Modes {
            create: form.get("create").is_some(),
            update: form.get("update").is_some(),
            delete_new: form.get("delete_new").is_some(),
        },
        on_conflict: match form.get("overwrite") {
            Some(_) => OnConflict::Overwrite,
            None => OnConflict::Keep,
        },
        inventory: form.get("inventory").is_some(),
    };
    if form.get("some") == Some("fields") && request.select.fields.is_empty() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "tick the fields to put back first, or choose to put all of them back",
        ));
    }
    planned(&room, &request).await
}

/// Makes a plan, and leads to it.
pub(super) async fn planned(room: &Room, request: &Request) -> Result<Response, Problem> {
    let made: Plan = room.post("plans", Some(&json!(request))).await?;
    Ok(Redirect::to(&format!("{}/plans/{}", room.path(), made.id)).into_response())
}

/// The moment that a field of a form says, in the shop's time zone.
pub(super) fn instant(
    room: &Room,
    form: &Form,
    name: &'static str,
) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = form.get(name) else { return Ok(None) };
    room.clock.parse_once(text).map(Some).map_err(refuse::bad_request)
}

/// The fields of the form that a thing's page has around its differences.
pub(super) fn of_one(room: &Room, (kind, id): (&Kind, &ResourceId), at: Timestamp) -> Markup {
    html! {
        (shell::sealed(room))
        input type="hidden" name="at" value=(at);
        input type="hidden" name="kind" value=(kind);
        input type="hidden" name="id" value=(id);
        input type="hidden" name="update" value="yes";
        input type="hidden" name="create" value="yes";
    }
}

/// The button that undoes a change-set.
pub(super) fn of_set(room: &Room, set: &str) -> Markup {
    html! {
        form method="post" action={ (room.path()) "/restore" } {
            (shell::sealed(room))
            input type="hidden" name="change_set" value=(set);
            input type="hidden" name="update" value="yes";
            input type="hidden" name="create" value="yes";
            input type="hidden" name="delete_new" value="yes";
            button.button.primary type="submit" data-busy=(PLANNING) { "Undo this…" }
        }
    }
}

/// The button that plans the same anew, as things are by now.
pub(super) fn anew(room: &Room, request: &Request) -> Markup {
    html! {
        form method="post" action={ (room.path()) "/restore" } {
            (shell::sealed(room))
            @for (name, value) in fields(request) { input type="hidden" name=(name) value=(value); }
            button.button type="submit" data-busy=(PLANNING) { "Plan it anew…" }
        }
    }
}

/// What a form says that asks for this.
fn fields(request: &Request) -> Vec<(&'static str, String)> {
    let Request { change_set, app, export, undo, select, modes, .. } = request;
    let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let said = [
        ("at", instant(request.at)),
        ("change_set", change_set.clone()),
        ("app", app.clone()),
        ("from", instant(request.from)),
        ("to", instant(request.to)),
        ("export", export.clone()),
        ("undo", undo.clone()),
        ("q", select.q.clone()),
    ];
    let ticked = [
        ("update", modes.update),
        ("create", modes.create),
        ("delete_new", modes.delete_new),
        ("overwrite", request.on_conflict == OnConflict::Overwrite),
        ("inventory", request.inventory),
    ];
    let mut fields: Vec<(&'static str, String)> =
        said.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    fields.extend(select.kinds.iter().map(|kind| ("kind", kind.to_string())));
    fields.extend(select.ids.iter().map(|id| ("id", id.clone())));
    fields.extend(select.fields.iter().map(|field| ("field", field.clone())));
    let ticked = ticked.into_iter().filter(|(_, ticked)| *ticked);
    fields.extend(ticked.map(|(name, _)| (name, "yes".to_owned())));
    fields
}

fn job_row(room: &Room, one: &Job, asked: Option<&String>) -> Markup {
    let (tone, state) = job::said(one.state);
    let summary = job::summary(&one.counts);
    html! {
        li {
            a.row href={ (room.path()) "/jobs/" (one.id) } {
                span.main {
                    @if let Some(asked) = asked {
                        strong { (asked) }
                        span.what { (summary) " · by " (one.by) }
                    } @else {
                        strong { (summary) }
                        span.what { "By " (one.by) }
                    }
                }
                span.side { (shell::badge(tone, state)) (room.clock.time(one.started_at)) }
            }
        }
    }
}

fn plan_row(room: &Room, plan: &Plan, asked: Option<&String>) -> Markup {
    html! {
        li {
            a.row href={ (room.path()) "/plans/" (plan.id) } {
                span.main {
                    strong { (asked.map_or("A plan", String::as_str)) }
                    span.what { (super::plan::counted(&plan.counts)) " · by " (plan.by) }
                }
                span.side { (room.clock.time(plan.made_at)) }
            }
        }
    }
}
