//! What watches over the shop: what it saw, and moments that were marked.

use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::Timestamp;
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::form::Form;
use super::room::{Room, encoded};
use super::shell::{self, Shown, Tab, Tone};
use crate::mark::Mark;
use crate::token::Scope;

/// Incidents shown.
const LATEST: usize = 50;

/// The page.
pub(crate) async fn guard(room: Room) -> Result<Shown, Problem> {
    let incidents: List<Value> = room.get(&format!("incidents?limit={LATEST}")).await?;
    let marks: List<Mark> = room.get("marks").await?;
    let content = html! {
        (shell::heading("Guard", html! {}))
        section.card aria-labelledby="incidents" {
            div.cardhead { h2 #incidents { "What it saw" } }
            @if incidents.items.is_empty() {
                (shell::empty("All quiet", html! {
                    "When many things are deleted, emptied, unpublished or made cheap at once, it shows here, with the way back."
                }))
            }
            ul.rows.plan { @for one in &incidents.items { (incident(&room, one)) } }
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
    };
    Ok(shell::page(&room, Tab::Guard, "Guard", content))
}

fn incident(room: &Room, one: &Value) -> Markup {
    let text = |pointer: &str| one.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let lines =
        |pointer: &str| one.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let set = text("/change_set/id");
    html! {
        li.planrow {
            div.planhead {
                div.main {
                    strong { (shell::capital(text("/text"))) }
                    span.what { (shell::capital(text("/change_set/headline"))) }
                }
                (shell::badge(Tone::Bad, &text("/state").replace('_', " ")))
                @if let Ok(at) = Timestamp::parse(text("/at")) { (room.clock.time(at)) }
            }
            ul.concerns { @for why in lines("/why") { @if let Some(why) = why.as_str() { li.notice { (why) } } } }
            div.actions {
                @if !set.is_empty() { a.button href={ (room.path()) "/changes/" (set) } { "What it did" } }
                @if !text("/job").is_empty() { a.button href={ (room.path()) "/jobs/" (text("/job")) } { "What was put back" } }
                @else if !text("/plan").is_empty() { a.button.primary href={ (room.path()) "/plans/" (text("/plan")) } { "Review the way back" } }
                @else if !set.is_empty() && room.may(Scope::Restore) { (super::restore::of_set(room, set)) }
                @if is_open(one) && room.may(Scope::Restore) { (meant(room, text("/id"))) }
            }
        }
    }
}

/// Whether somebody may still say that it was meant.
fn is_open(one: &Value) -> bool {
    let state = one["state"].as_str().unwrap_or_default();
    one["job"].is_null() && !["joined", "dismissed"].contains(&state)
}

fn meant(room: &Room, id: &str) -> Markup {
    html! {
        form method="post" action={ (room.path()) "/guard/" (encoded(id)) "/dismiss" } {
            (shell::sealed(room))
            button.button type="submit" { "This was meant" }
        }
    }
}

fn row(room: &Room, mark: &Mark) -> Markup {
    html! {
        li {
            a.row href={ (room.path()) "/changes?from=" (mark.at) } {
                span.main {
                    strong { (mark.label) }
                    @if let Some(app) = &mark.app { span.what { "About the app " (app) } }
                }
                span.side { (room.clock.time(mark.at)) span { "by " (mark.by) } }
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
