//! Who had what done through Backstock, and who may.

use backstock_proto::Timestamp;
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde_json::Value;

use super::room::{Part, Room, query};
use super::shell::{self, Shown, Tab, Tone};
use super::tokens;
use crate::ask::Asked;

/// Entries on one page.
const PAGE: usize = 100;

/// How something ended, as far as a page of the log tells.
struct End {
    status: Option<u64>,
    /// What the page does not tell.
    unsaid: Option<&'static str>,
}

/// The page.
pub(crate) async fn audit(room: Room, Asked(part): Asked<Part>) -> Result<Shown, Problem> {
    let pairs = [("limit", Some(PAGE.to_string())), ("cursor", part.cursor.clone())];
    let answer: Value = room.get(&format!("audit{}", query(&pairs))).await?;
    let entries = answer["items"].as_array().cloned().unwrap_or_default();
    let next = answer["next"].as_str().map(str::to_owned);
    let here = format!("{}/audit", room.path());
    let later = part.cursor.is_some();
    let shown = entries.iter().filter_map(|entry| Some((entry, ended(entry, &entries, later)?)));
    let shown: Vec<(&Value, End)> = shown.collect();
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
            @if shown.is_empty() { (shell::empty("Nothing yet", html! { "What is put back, noted or cancelled shows here." })) }
            ul.rows {
                @for (entry, end) in &shown { (row(&room, entry, end)) }
            }
            (shell::paging(later.then(|| here.clone()), next.map(|next| here.clone() + &query(&[("cursor", Some(next))]))))
        }
        @if !later { (tokens::card(&room)) }
    };
    Ok(shell::page(&room, Tab::Audit, "Who did what", content))
}

fn number(entry: &Value, pointer: &str) -> Option<u64> {
    entry.pointer(pointer).and_then(Value::as_u64)
}

/// An entry is made before something is done, and another one tells how that ended: that one is shown
/// with the first, and by itself only where the first is on another page. `later`: newer entries are on
/// pages before this one.
fn ended(entry: &Value, entries: &[Value], later: bool) -> Option<End> {
    let status = |end: &Value| number(end, "/deed/status");
    let n = number(entry, "/n");
    match number(entry, "/deed/of") {
        Some(of) if entries.iter().any(|begun| number(begun, "/n") == Some(of)) => None,
        Some(_) => {
            Some(End { status: status(entry), unsaid: Some("its beginning is on a later page") })
        }
        None => {
            let end = entries.iter().find(|end| n.is_some() && number(end, "/deed/of") == n);
            let unsaid = match (end, later) {
                (Some(_), _) => None,
                (None, true) => Some("its end is on an earlier page, or not known"),
                (None, false) => Some("end not known"),
            };
            Some(End { status: end.and_then(status), unsaid })
        }
    }
}

fn row(room: &Room, entry: &Value, end: &End) -> Markup {
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    html! {
        li { div.row {
            span.main {
                strong { (said(text("/deed/what"))) }
                span.what {
                    "By " (text("/deed/who")) " from " (text("/deed/from")) " · " (text("/deed/path"))
                    @if let Some(unsaid) = end.unsaid { " · " (unsaid) }
                }
            }
            span.side {
                @if end.status.is_some_and(|status| !(200..=399).contains(&status)) {
                    (shell::badge(Tone::Warning, "refused"))
                }
                @if let Ok(at) = Timestamp::parse(text("/at")) { (room.clock.time(at)) }
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
