//! Who had what done through Backstock.

use backstock_proto::Timestamp;
use backstock_proto::problem::Problem;
use maud::html;
use serde::Deserialize;
use serde_json::Value;

use super::room::{Room, query};
use super::shell::{self, Shown, Tab, Tone};
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
    let text = |entry: &Value, name: &str| match entry.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let entries = answer["items"].as_array().cloned().unwrap_or_default();
    let next = answer["next"].as_str().map(str::to_owned);
    let here = format!("{}/audit", room.path());
    let whole = answer.pointer("/chain/broken").is_none_or(Value::is_null);
    let content = html! {
        (shell::heading("Who did what", html! {
            @if answer["chain"].is_object() {
                @if whole { (shell::badge(Tone::Good, "unaltered")) } @else { (shell::badge(Tone::Bad, "the chain is broken")) }
            }
        }))
        section.card {
            p.quiet { "Everything that was done through Backstock, each entry sealed with the one before it." }
            @if entries.is_empty() { (shell::empty("Nothing yet", html! { "What is put back, noted or cancelled shows here." })) }
            ul.rows {
                @for entry in &entries {
                    li { div.row {
                        span.main {
                            strong { (shell::capital(&text(entry, "what").replace('_', " "))) } " "
                            span.quiet { (text(entry, "subject")) }
                            span.what { "By " (text(entry, "by")) @if !text(entry, "from").is_empty() { " from " (text(entry, "from")) } }
                        }
                        span.side { @if let Ok(at) = Timestamp::parse(&text(entry, "at")) { (room.clock.time(at)) } }
                    } }
                }
            }
            (shell::paging(part.cursor.is_some().then(|| here.clone()), next.map(|next| here.clone() + &query(&[("cursor", Some(next))]))))
        }
    };
    Ok(shell::page(&room, Tab::Audit, "Who did what", content))
}
