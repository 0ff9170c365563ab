//! What happened, told by who did it: change-sets over time, and one of them with all it did.

use axum::extract::Path;
use backstock_proto::Timestamp;
use backstock_proto::journal::{Change, List};
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::room::{Room, encoded, query};
use super::shell::{self, Shown, Tab, Tone};
use super::{activity, changes, diff, restore};
use crate::ask::Asked;
use crate::change_set::{ActorKind, ChangeSet, Risk};
use crate::token::Scope;
use crate::{human, refuse};

/// Change-sets on one page.
const PAGE: usize = 50;
/// Changes of one set on a page.
const CHANGES: usize = 25;
/// Fields of one change that are shown in a set; the thing's own page has all of them.
const LINES: usize = 12;

/// Which change-sets, as the form says; empty fields count for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
}

/// The page of all.
pub(crate) async fn change_sets(
    room: Room,
    Asked(filter): Asked<Filter>,
) -> Result<Shown, Problem> {
    let instant = |text: &Option<String>| text.as_deref().and_then(|text| room.clock.parse(text));
    let (from, to) = (instant(&filter.from), instant(&filter.to));
    let list = latest(&room, (from, to), PAGE, filter.cursor.clone()).await?;
    let address = |cursor: Option<String>| {
        let pairs = [("from", filter.from.clone()), ("to", filter.to.clone()), ("cursor", cursor)];
        format!("{}/changes{}", room.path(), query(&pairs))
    };
    let content = html! {
        (shell::heading("Changes", html! { a href={ (room.path()) "/changes/single" } { "Single changes" } }))
        section.card aria-labelledby="activity" {
            h2.hidden #activity { "Over time" }
            (activity::picture(&room, &list.items, from, to))
            (form(&room, from, to))
        }
        section.card aria-labelledby="sets" {
            h2.hidden #sets { "Change-sets" }
            @if list.items.is_empty() {
                (shell::empty("No changes here", html! { "Nothing happened between these moments." }))
            }
            (rows(&room, &list.items))
            (shell::paging(filter.cursor.is_some().then(|| address(None)), list.next.map(|next| address(Some(next)))))
        }
    };
    Ok(shell::page(&room, Tab::Changes, "Changes", content))
}

/// The latest change-sets between two moments.
pub(super) async fn latest(
    room: &Room,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    limit: usize,
    cursor: Option<String>,
) -> Result<List<ChangeSet>, Problem> {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let pairs = [
        ("from", text(from)),
        ("to", text(to)),
        ("limit", Some(limit.to_string())),
        ("cursor", cursor),
    ];
    room.get(&format!("change-sets{}", query(&pairs))).await
}

fn form(room: &Room, from: Option<Timestamp>, to: Option<Timestamp>) -> Markup {
    let moment = |at: Option<Timestamp>| at.map(|at| room.clock.input(at)).unwrap_or_default();
    html! {
        form.filters.open method="get" #span {
            div.field { label for="from" { "From" } input #from type="datetime-local" step="1" name="from" value=(moment(from)); }
            div.field { label for="to" { "To" } input #to type="datetime-local" step="1" name="to" value=(moment(to)); }
            button.button type="submit" { "Show" }
            @if from.is_some() || to.is_some() { a.button href={ (room.path()) "/changes" } { "All" } }
        }
    }
}

/// Change-sets under their days.
pub(super) fn rows(room: &Room, sets: &[ChangeSet]) -> Markup {
    let mut days: Vec<(String, Vec<&ChangeSet>)> = Vec::new();
    for set in sets {
        let day = room.clock.day(set.to);
        match days.last_mut() {
            Some((last, items)) if *last == day => items.push(set),
            _ => days.push((day, vec![set])),
        }
    }
    html! {
        @for (day, sets) in &days {
            h3.day { (day) }
            ul.rows {
                @for set in sets {
                    li {
                        a.row href={ (room.path()) "/changes/" (set.id) } {
                            span.risk.(tone(set.risk).class()) aria-hidden="true" {}
                            span.main { strong { (shell::capital(&set.headline)) } span.what { (who(set)) } }
                            span.side { (time(room, set)) @if set.risk >= Risk::Medium { (risk(set.risk)) } }
                        }
                    }
                }
            }
        }
    }
}

/// From when to when, to the minute.
pub(super) fn span(room: &Room, set: &ChangeSet) -> String {
    let (from, to) = (room.clock.short(set.from), room.clock.short(set.to));
    if from == to { from } else { format!("{from} – {}", room.clock.hour(set.to)) }
}

fn time(room: &Room, set: &ChangeSet) -> Markup {
    let (from, to) = (room.clock.hour(set.from), room.clock.hour(set.to));
    html! {
        time datetime=(set.to) title=(room.clock.full(set.to)) {
            @if from == to { (to) } @else { (from) "–" (to) }
        }
    }
}

pub(super) fn tone(risk: Risk) -> Tone {
    match risk {
        Risk::None => Tone::Plain,
        Risk::Low => Tone::Good,
        Risk::Medium => Tone::Warning,
        Risk::High => Tone::Bad,
    }
}

fn risk(risk: Risk) -> Markup {
    let said = match risk {
        Risk::None | Risk::Low => return html! {},
        Risk::Medium => "look at this",
        Risk::High => "likely harm",
    };
    shell::badge(tone(risk), said)
}

/// Who did it, and how sure that is, in words.
pub(super) fn who(set: &ChangeSet) -> String {
    let sure = match set.actor.confidence {
        0.9.. => "",
        0.6.. => ", likely",
        _ => ", perhaps",
    };
    match set.actor.kind {
        ActorKind::App => format!("By the app {}{sure}", set.actor.name),
        ActorKind::Staff => format!("By {}{sure}", set.actor.name),
        ActorKind::Customers => "By customers".into(),
        ActorKind::Backstock => "By Backstock".into(),
        ActorKind::Unknown => "Not known by whom".into(),
    }
}

/// Which set.
#[derive(Deserialize)]
pub(crate) struct Which {
    set: String,
}

/// Which part of it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Part {
    cursor: Option<String>,
}

/// The page of one.
pub(crate) async fn change_set(
    room: Room,
    Path(Which { set }): Path<Which>,
    Asked(part): Asked<Part>,
) -> Result<Shown, Problem> {
    let pairs = [("limit", Some(CHANGES.to_string())), ("cursor", part.cursor.clone())];
    let mut answer: Value =
        room.get(&format!("change-sets/{}{}", encoded(&set), query(&pairs))).await?;
    let unreadable = |error: serde_json::Error| {
        refuse::bad_request(format!("the change-set cannot be read: {error}"))
    };
    let changes: List<Change> =
        serde_json::from_value(answer["changes"].take()).map_err(unreadable)?;
    let set: ChangeSet = serde_json::from_value(answer).map_err(unreadable)?;
    let told = changes::told(&room, changes.items).await;
    let here = format!("{}/changes/{}", room.path(), set.id);
    let content = html! {
        a.back href={ (room.path()) "/changes" } { "Changes" }
        (shell::heading(&shell::capital(&set.headline), html! {
            @if room.may(Scope::Restore) { (restore::of_set(&room, &set.id.to_string())) }
        }))
        (facts(&room, &set))
        section.card aria-labelledby="did" {
            div.cardhead { h2 #did { "What it did" } span.quiet.small { (shell::number(set.counts.changes)) " changes to " (shell::number(set.counts.resources)) " things" } }
            ul.rows.plan { @for one in &told { (self::did(&room, one)) } }
            (shell::paging(part.cursor.is_some().then(|| here.clone()), changes.next.map(|next| here.clone() + &query(&[("cursor", Some(next))]))))
        }
    };
    Ok(shell::page(&room, Tab::Changes, &set.headline, content))
}

fn facts(room: &Room, set: &ChangeSet) -> Markup {
    html! {
        section.card aria-labelledby="facts" {
            div.cardhead { h2 #facts { (who(set)) } (risk(set.risk)) }
            dl.figures.first {
                div { dt { "When" } dd { (span(room, set)) } }
                @if let Some(money) = &set.money {
                    div { dt { "Prices lowered" } dd { (shell::number(money.lowered)) } }
                    div { dt { "Prices raised" } dd { (shell::number(money.raised)) } }
                }
                @if set.counts.created > 0 { div { dt { "Created" } dd { (shell::number(set.counts.created)) } } }
                @if set.counts.deleted > 0 { div { dt { "Deleted" } dd { (shell::number(set.counts.deleted)) } } }
            }
            @if !set.actor.evidence.is_empty() {
                details {
                    summary { "Why we think so" }
                    ul.concerns { @for sign in &set.actor.evidence { li.notice { (sign) } } }
                }
            }
        }
    }
}

fn did(room: &Room, told: &changes::Told) -> Markup {
    let change = &told.change;
    let title =
        if change.title.is_empty() { format!("#{}", change.id) } else { change.title.clone() };
    let at = change.version.valid_at;
    html! {
        li.planrow {
            div.planhead {
                (changes::dot(change.version.op))
                div.main {
                    a href={ (room.resource(&change.kind, &change.id)) "?to=" (at) } { strong { (title) } } " "
                    span.quiet { (human::singular(change.kind.as_str())) }
                    span.what { (human::headline(change.version.op, &told.lines)) }
                }
                (room.clock.time(at))
            }
            @if change.version.op == backstock_proto::Op::Update && !told.lines.is_empty() {
                (diff::table(room, &told.lines[..told.lines.len().min(LINES)], "", ""))
            }
        }
    }
}
