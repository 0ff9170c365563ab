//! What watches over the shop: what it saw, moments that were marked, and what it does when.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::form::Form;
use super::room::{Part, Room, encoded, query};
use super::shell::{self, Shown, Tab};
use super::{incident, policy};
use crate::ask::Asked;
use crate::mark::Mark;
use crate::token::Scope;

/// Incidents on one page.
const PAGE: usize = 50;

/// The page.
pub(crate) async fn guard(room: Room, Asked(part): Asked<Part>) -> Result<Shown, Problem> {
    let List { items: incidents, next } =
        incident::latest(&room, PAGE, part.cursor.clone()).await?;
    let here = format!("{}/guard", room.path());
    let marks: List<Mark> = room.get("marks").await?;
    let content = html! {
        (shell::heading("Guard", html! {}))
        section.card aria-labelledby="incidents" {
            div.cardhead { h2 #incidents { "What it saw" } }
            @if incidents.is_empty() && !policy::is_watched(&room) {
                (shell::empty("Nobody watches", html! { "What harm is done shows among the changes only. See below." }))
            } @else if incidents.is_empty() {
                (shell::empty("All quiet", html! {
                    "When many things are deleted, emptied, unpublished or made cheap at once, it shows here, with the way back."
                }))
            }
            ul.rows.plan { @for seen in &incidents { (incident::shown(&room, seen)) } }
            (shell::paging(part.cursor.is_some().then(|| here.clone()), next.map(|next| here.clone() + &query(&[("cursor", Some(next))]))))
        }
        section.card aria-labelledby="marks" {
            div.cardhead { h2 #marks { "Marked moments" } }
            @if room.may(Scope::Restore) {
                form.filters.open method="post" action={ (room.path()) "/guard/marks" } {
                    (shell::sealed(&room))
                    div.field.wide { label for="label" { "About to do something? Note it down" } input #label type="text" name="label" required maxlength="200" placeholder="About to install Bulk Editor" autocomplete="off"; }
                    div.field { label for="app" { "App (if it is about one)" } input #app type="text" name="app" maxlength="200" autocomplete="off"; }
                    button.button type="submit" { "Mark this moment" }
                }
            }
            ul.rows { @for mark in &marks.items { (self::row(&room, mark)) } }
        }
        (policy::policy(&room))
    };
    Ok(shell::page(&room, Tab::Guard, "Guard", content))
}

fn row(room: &Room, mark: &Mark) -> Markup {
    html! {
        li {
            div.row {
                span.main {
                    a href={ (room.path()) "/changes?from=" (mark.at) } { strong { (mark.label) } }
                    @if let Some(app) = &mark.app { span.what { "About the app " (app) } }
                }
                span.side {
                    @if room.may(Scope::Restore) {
                        a href={ (room.path()) "/restore?at=" (mark.at) } { "Put back to then…" }
                    }
                    (room.clock.time(mark.at)) span { "by " (mark.by) }
                }
            }
        }
    }
}

/// Notes a moment down.
pub(crate) async fn mark(room: Room, form: Form) -> Result<Response, Problem> {
    let body = json!({"label": form.get("label").unwrap_or_default(), "app": form.get("app")});
    let _: Value = room.post("marks", Some(&body)).await?;
    Ok(Redirect::to(&format!("{}/guard", room.path())).into_response())
}

/// Takes a person's word that an incident was meant.
pub(crate) async fn dismiss(
    room: Room,
    Path((_, id)): Path<(String, String)>,
    _form: Form,
) -> Result<Response, Problem> {
    let _: Value = room.post(&format!("incidents/{}/dismiss", encoded(&id)), None).await?;
    Ok(Redirect::to(&format!("{}/guard", room.path())).into_response())
}
