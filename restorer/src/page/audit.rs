//! Who had what done through Backstock, and who may.

use backstock_proto::Timestamp;
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::room::{Room, query};
use super::shell::{self, Shown, Tab, Tone};
use super::tokens;
use crate::ask::Asked;

/// Entries on one page.
const PAGE: usize = 100;

/// Which part of the log.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Part {
    cursor: Option<String>,
}

/// The page.
pub(crate) async fn audit(room: Room, Asked(part): Asked<Part>) -> Result<Shown, Problem> {
    let pairs = [("limit", Some(PAGE.to_string())), ("cursor", part.cursor.clone())];
    let answer: Value = room.get(&format!("audit{}", query(&pairs))).await?;
    let entries = answer["items"].as_array().cloned().unwrap_or_default();
    let next = answer["next"].as_str().map(str::to_owned);
    let here = format!("{}/audit", room.path());
    let erasures: Value = room.get("erasures").await?;
    let erasures = erasures["items"].as_array().cloned().unwrap_or_default();
    // An entry is made before something is done, and another one tells how that ended.
    let number = |entry: &Value, pointer: &str| entry.pointer(pointer).and_then(Value::as_u64);
    let ended = |n: Option<u64>| {
        let end = entries.iter().find(|entry| n.is_some() && number(entry, "/deed/of") == n);
        end.and_then(|end| number(end, "/deed/status"))
    };
    let begun = entries.iter().filter(|entry| number(entry, "/deed/of").is_none());
    let begun: Vec<(&Value, Option<u64>)> =
        begun.map(|entry| (entry, ended(number(entry, "/n")))).collect();
    let content = html! {
        (shell::heading("Who did what", html! {
            @match answer.pointer("/chain/whole").and_then(Value::as_bool) {
                Some(true) => (shell::badge(Tone::Good, "unaltered")),
                Some(false) => (shell::badge(Tone::Bad, "the chain is broken")),
                None => {},
            }
        }))
        section.card {
            p.quiet { "Everything that was done through Backstock, each entry sealed with the one before it." }
            @if begun.is_empty() { (shell::empty("Nothing yet", html! { "What is put back, noted or cancelled shows here." })) }
            ul.rows {
                @for (entry, status) in &begun { (row(&room, entry, *status)) }
            }
            (shell::paging(part.cursor.is_some().then(|| here.clone()), next.map(|next| here.clone() + &query(&[("cursor", Some(next))]))))
        }
        @if part.cursor.is_none() { (tokens::card(&room)) }
        @if !erasures.is_empty() {
            section.card {
                h2 { "Erasures" }
                p.quiet { "Whose data was taken out of everything that is kept, and how far that is." }
                ul.rows { @for erasure in &erasures { (erased(&room, erasure)) } }
            }
        }
    };
    Ok(shell::page(&room, Tab::Audit, "Who did what", content))
}

fn row(room: &Room, entry: &Value, status: Option<u64>) -> Markup {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    html! {
        li { div.row {
            span.main {
                strong { (said(text("/deed/what"))) }
                span.what { "By " (text("/deed/who")) " from " (text("/deed/from")) " · " (text("/deed/path")) }
            }
            span.side {
                @match status {
                    Some(200..=399) => {},
                    Some(_) => (shell::badge(Tone::Warning, "refused")),
                    None => (shell::badge(Tone::Plain, "end not known")),
                }
                @if let Ok(at) = Timestamp::parse(text("/at")) { (room.clock.time(at)) }
            }
        } }
    }
}

/// An erasure, by whom it is about.
fn erased(room: &Room, erasure: &Value) -> Markup {
    let whom = match erasure.pointer("/whom/customer").and_then(Value::as_str) {
        Some(customer) => format!("Customer {customer}"),
        None => "The whole shop".into(),
    };
    let count = |name: &str| erasure["counts"][name].as_u64().unwrap_or_default();
    let (tone, state) = match erasure["state"].as_str().unwrap_or_default() {
        "waiting" => (Tone::Bad, "waits for a word"),
        "open" => (Tone::Warning, "under way"),
        "erased" => (Tone::Warning, "still in older checkpoints"),
        _ => (Tone::Good, "done"),
    };
    let requested_at = erasure["requested_at"].as_str().unwrap_or_default();
    html! {
        li { div.row {
            span.main {
                strong { (whom) }
                span.what { (count("resources")) " resources, " (count("versions")) " versions" }
            }
            span.side {
                (shell::badge(tone, state))
                @if let Ok(at) = Timestamp::parse(requested_at) { (room.clock.time(at)) }
            }
        } }
    }
}

/// What was asked for, in words.
fn said(what: &str) -> String {
    match what {
        "make_plan" => "Made a plan".into(),
        "apply" => "Applied a plan".into(),
        "approve" => "Approved a restore".into(),
        "cancel" => "Cancelled a restore".into(),
        "pause" => "Paused a restore".into(),
        "resume" => "Had a restore go on".into(),
        "retry" => "Retried what failed".into(),
        "undo" => "Undid a restore".into(),
        "mark" => "Marked a moment".into(),
        "dismiss" => "Said that something was meant".into(),
        "reconcile" => "Had the shop read anew".into(),
        "export" => "Took the whole shop out in a file".into(),
        "import" => "Brought a file in".into(),
        "prove" => "Had it proved that all can be restored".into(),
        "subscribe" => "Had the shop's webhooks set".into(),
        "retention" => "Had old versions thinned out".into(),
        "rollback" => "Undid what an app or a change did".into(),
        "erase" => "Had somebody erased".into(),
        "data_request" => "Read what is held of somebody".into(),
        other => shell::capital(&other.replace('_', " ")),
    }
}
