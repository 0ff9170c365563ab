//! What happened, told by who did it: change-sets over time, and one of them with all it did.

use std::collections::BTreeSet;

use axum::extract::Path;
use backstock_proto::journal::{Change, List};
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::changes::kind_choice;
use super::restore::PLANNING;
use super::room::{Part, Room, encoded, kept_only, query};
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
/// Stretches until now that people mostly ask for, in seconds.
const LATELY: [(&str, i64); 4] = [
    ("Last hour", 3_600),
    ("Last day", 86_400),
    ("Last 7 days", 7 * 86_400),
    ("Last 30 days", 30 * 86_400),
];
/// Fields of one change that are shown in a set; the thing's own page has all of them.
const LINES: usize = 12;
/// A change may be dated a little before the moment that is known of it, in microseconds. What somebody
/// did before that is further away.
pub(super) const DATED_MICROS: i64 = 60_000_000;

/// Which change-sets, as the form says; empty fields count for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    from: Option<String>,
    to: Option<String>,
    kind: Option<String>,
    app: Option<String>,
    cursor: Option<String>,
}

/// Which change-sets are wanted; all, where nothing is said.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    /// With changes of this kind.
    pub(super) kind: Option<Kind>,
    /// Made by this app, or person.
    pub(super) app: Option<String>,
}

/// The page of all.
pub(crate) async fn change_sets(
    room: Room,
    Asked(filter): Asked<Filter>,
) -> Result<Shown, Problem> {
    let wanted = filter.wanted(&room);
    let list = latest(&room, &wanted, PAGE, filter.cursor.clone()).await?;
    let mut kinds = room.kinds().await?;
    kinds.retain(|kind| !kind.is_log());
    let later = filter.cursor.is_some();
    let stretch = activity::stretch(&list, (wanted.from, wanted.to), later);
    let content = html! {
        (shell::heading("Changes", html! { a href={ (room.path()) "/changes/single" } { "Single changes" } }))
        section.card aria-labelledby="activity" {
            h2.hidden #activity { "Over time" }
            (activity::picture(&room, &list.items, stretch))
            (lately(&room, &wanted))
            (form(&room, &wanted, &kinds, &list.items))
            (undo(&room, &filter, &wanted, &list.items))
        }
        section.card aria-labelledby="sets" {
            h2.hidden #sets { "Change-sets" }
            @if list.items.is_empty() {
                (shell::empty("No changes here", html! { "Nothing of the sort happened between these moments." }))
            }
            (rows(&room, &list.items))
            (shell::paging(
                later.then(|| filter.address(&room, None)),
                list.next.map(|next| filter.address(&room, Some(next))),
            ))
        }
    };
    Ok(shell::page(&room, Tab::Changes, "Changes", content))
}

impl Filter {
    fn wanted(&self, room: &Room) -> Wanted {
        let given = |text: &Option<String>| {
            text.as_ref().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let instant = |text: &Option<String>| given(text).and_then(|text| room.clock.parse(&text));
        Wanted {
            from: instant(&self.from),
            to: instant(&self.to),
            kind: given(&self.kind).and_then(|kind| Kind::parse(&kind).ok()),
            app: given(&self.app),
        }
    }

    fn address(&self, room: &Room, cursor: Option<String>) -> String {
        let own = self.clone();
        let pairs = [
            ("from", own.from),
            ("to", own.to),
            ("kind", own.kind),
            ("app", own.app),
            ("cursor", cursor),
        ];
        format!("{}/changes{}", room.path(), query(&pairs))
    }
}

/// The latest change-sets of those that are wanted.
pub(super) async fn latest(
    room: &Room,
    wanted: &Wanted,
    limit: usize,
    cursor: Option<String>,
) -> Result<List<ChangeSet>, Problem> {
    let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let pairs = [
        ("from", text(wanted.from)),
        ("to", text(wanted.to)),
        ("kind", wanted.kind.as_ref().map(Kind::to_string)),
        ("app", wanted.app.clone()),
        ("limit", Some(limit.to_string())),
        ("cursor", cursor),
    ];
    room.get(&format!("change-sets{}", query(&pairs))).await
}

/// The stretches until now, of the kind and of whom is asked for.
fn lately(room: &Room, Wanted { kind, app, .. }: &Wanted) -> Markup {
    let address = |seconds: i64| {
        let from = Timestamp::from_micros(room.clock.now().as_micros() - seconds * 1_000_000);
        let pairs = [
            ("from", Some(from.to_string())),
            ("kind", kind.as_ref().map(Kind::to_string)),
            ("app", app.clone()),
        ];
        format!("{}/changes{}", room.path(), query(&pairs))
    };
    html! {
        nav.counts aria-label="Stretches of time" {
            @for (name, seconds) in LATELY { a href=(address(seconds)) { (name) } }
        }
    }
}

fn form(room: &Room, wanted: &Wanted, kinds: &[Kind], sets: &[ChangeSet]) -> Markup {
    let Wanted { from, to, kind, app } = wanted;
    let moment = |at: &Option<Timestamp>| at.map(|at| room.clock.input(at)).unwrap_or_default();
    let narrowed = from.is_some() || to.is_some() || kind.is_some() || app.is_some();
    let named = sets.iter().filter(|set| is_named(set)).map(|set| set.actor.name.as_str());
    let actors: BTreeSet<&str> = named.collect();
    html! {
        form.filters.open method="get" #span {
            div.field { label for="from" { "From" } input #from type="datetime-local" step="1" name="from" value=(moment(from)); }
            div.field { label for="to" { "To" } input #to type="datetime-local" step="1" name="to" value=(moment(to)); }
            (kind_choice(kinds, kind.as_ref().map(Kind::as_str)))
            div.field {
                label for="app" { "By the app, or person" }
                input #app type="text" name="app" value=(app.as_deref().unwrap_or_default()) maxlength="200" list="actors" autocomplete="off";
                datalist #actors { @for actor in &actors { option value=(actor) {} } }
            }
            button.button type="submit" { "Show" }
            @if narrowed { a.button href={ (room.path()) "/changes" } { "All" } }
        }
    }
}

/// The way to undo all that happened in a stretch, or what somebody did in it. The form says the stretch as
/// it was asked for: of an hour that clocks showed twice it is not guessed which one is undone.
fn undo(room: &Room, filter: &Filter, wanted: &Wanted, sets: &[ChangeSet]) -> Markup {
    let Wanted { from, to, kind, app } = wanted;
    let (said_from, said_to) = (from.and(filter.from.as_deref()), to.and(filter.to.as_deref()));
    // Of somebody it is what they did since the oldest of it that is shown, where nothing else is said.
    let oldest = sets.iter().map(|set| set.from).min().filter(|_| app.is_some());
    let oldest = oldest.map(|at| Timestamp::from_micros(at.as_micros() - DATED_MICROS));
    let is_writable = kind.as_ref().is_none_or(|kind| kept_only(kind).is_none());
    let may = room.may(Scope::Restore) && is_writable && !sets.is_empty();
    let Some(from) = from.or(oldest).filter(|_| may) else { return html! {} };
    let until = to.map_or("now".into(), |to| room.clock.short(to));
    html! {
        form.actions method="post" action={ (room.path()) "/restore" } {
            (shell::sealed(room))
            input type="hidden" name="from" value=(said_from.map_or_else(|| from.to_string(), str::to_owned));
            @if let Some(to) = said_to { input type="hidden" name="to" value=(to); }
            @if let Some(kind) = kind { input type="hidden" name="kind" value=(kind); }
            @for mode in ["update", "create"] { input type="hidden" name=(mode) value="yes"; }
            @if let Some(app) = app {
                input type="hidden" name="app" value=(app);
                input type="hidden" name="delete_new" value="yes";
                button.button type="submit" data-busy=(PLANNING) { "Undo all that " (app) " did…" }
            } @else {
                button.button type="submit" data-busy=(PLANNING) { "Undo all of this stretch…" }
            }
            span.quiet.small {
                "From " (room.clock.short(from)) " until " (until)
                @if let Some(kind) = kind { ", only " (human::plural(kind.as_str())) }
                ". Nothing is written yet."
            }
        }
    }
}

/// Change-sets under their days.
pub(super) fn rows<'s>(room: &Room, sets: impl IntoIterator<Item = &'s ChangeSet>) -> Markup {
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

/// Whether it is known by whom of the apps and people, as far as that can be told.
fn is_named(set: &ChangeSet) -> bool {
    matches!(set.actor.kind, ActorKind::App | ActorKind::Staff)
}

/// Which set.
#[derive(Deserialize)]
pub(crate) struct Which {
    set: String,
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
            div.cardhead { h2 #did { "What it did" } span.quiet.small { (shell::many(set.counts.changes, "change")) " to " (shell::many(set.counts.resources, "thing")) } }
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
            @if is_named(set) {
                p { a href={ (room.path()) "/changes" (query(&[("app", Some(set.actor.name.clone()))])) } { "All that " (set.actor.name) " did" } }
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
                    span.what { (room.headline(change.version.op, &told.lines)) }
                }
                (room.clock.time(at))
            }
            @if change.version.op == backstock_proto::Op::Update && !told.lines.is_empty() {
                (diff::table(room, &told.lines[..told.lines.len().min(LINES)], "", ""))
                @if told.lines.len() > LINES {
                    p.quiet { "And " (shell::many((told.lines.len() - LINES) as u64, "more field")) "; its own page shows all." }
                }
            }
        }
    }
}
