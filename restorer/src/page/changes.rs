//! Single changes, newest first, each in a sentence.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use backstock_proto::journal::{AsOf, Change};
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, Op, ResourceKey, Source, Timestamp};
use futures::StreamExt as _;
use maud::{Markup, html};
use serde::Deserialize;

use super::room::{Room, query};
use super::shell::{self, Shown, Tab, Tone};
use super::when::Clock;
use crate::answer::change;
use crate::ask::{Asked, ChangesQuery, InShop};
use crate::human::{self, Line};

/// Changes on one page.
const PAGE: usize = 50;
/// Changes that are told at once: most of that is reading.
const AT_ONCE: usize = 4;

/// Which changes, as the form says; empty fields count for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    kind: Option<String>,
    op: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
}

/// A change with what it did, told.
pub(crate) struct Told {
    pub(crate) change: Change,
    pub(crate) lines: Vec<Line>,
}

/// The page.
pub(crate) async fn changes(room: Room, Asked(filter): Asked<Filter>) -> Result<Shown, Problem> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let instant = |text: &Option<String>| given(text).and_then(|text| room.clock.parse(&text));
    let asked = ChangesQuery {
        from: instant(&filter.from),
        to: instant(&filter.to),
        kind: given(&filter.kind).and_then(|kind| Kind::parse(&kind).ok()),
        op: given(&filter.op).and_then(|op| Op::parse(&op)),
        source: None,
        app: None,
        limit: PAGE.try_into().ok(),
        cursor: given(&filter.cursor),
    };
    let (desk, at) = (State(room.desk.clone()), InShop(room.shop.clone()));
    let list = change::changes(desk, at, Asked(asked)).await?.0;
    let kinds = room.kinds().await?;
    let told = told(&room, list.items).await;
    let content = html! {
        a.back href={ (room.path()) "/changes" } { "Changes" }
        (shell::heading("Single changes", html! {}))
        section.card {
            (form(&room, &filter, &kinds))
            @if told.is_empty() && list.next.is_some() {
                (shell::empty("No changes so far", html! { "There is much to look through. “Next” goes on where this ended." }))
            } @else if told.is_empty() {
                (shell::empty("No changes here", html! { "None was found between these moments. Widen the time, or choose another kind." }))
            } @else { (self::list(&room, &told)) }
            (shell::paging(
                filter.cursor.is_some().then(|| filter.address(&room, None)),
                list.next.map(|next| filter.address(&room, Some(next))),
            ))
        }
    };
    Ok(shell::page(&room, Tab::Changes, "Changes", content))
}

impl Filter {
    fn address(&self, room: &Room, cursor: Option<String>) -> String {
        let own = self.clone();
        let pairs = [
            ("kind", own.kind),
            ("op", own.op),
            ("from", own.from),
            ("to", own.to),
            ("cursor", cursor),
        ];
        format!("{}/changes/single{}", room.path(), query(&pairs))
    }
}

fn form(room: &Room, filter: &Filter, kinds: &[Kind]) -> Markup {
    let moment = |text: &Option<String>| {
        let at = text.as_deref().and_then(|text| room.clock.parse(text));
        at.map(|at| room.clock.input(at)).unwrap_or_default()
    };
    html! {
        form.filters method="get" {
            (kind_choice(kinds, filter.kind.as_deref()))
            div.field {
                label for="op" { "What" }
                select #op name="op" {
                    @for (value, name) in [("", "Any change"), ("create", "Created"), ("update", "Changed"), ("delete", "Deleted")] {
                        option value=(value) selected[filter.op.as_deref().unwrap_or_default() == value] { (name) }
                    }
                }
            }
            div.field { label for="from" { "From" } input #from type="datetime-local" step="1" name="from" value=(moment(&filter.from)); }
            div.field { label for="to" { "To" } input #to type="datetime-local" step="1" name="to" value=(moment(&filter.to)); }
            button.button type="submit" { "Show" }
        }
    }
}

/// A choice among the kinds that there are.
pub(super) fn kind_choice(kinds: &[Kind], chosen: Option<&str>) -> Markup {
    html! {
        div.field {
            label for="kind" { "Kind" }
            select #kind name="kind" {
                option value="" { "Everything" }
                @for kind in kinds {
                    option value=(kind) selected[chosen == Some(kind.as_str())] { (shell::capital(&human::plural(kind.as_str()))) }
                }
            }
        }
    }
}

/// Tells changes, with the names that their resources' states give to variants, pictures and so on.
pub(crate) async fn told(room: &Room, changes: Vec<Change>) -> Vec<Told> {
    let told = changes.into_iter().map(|change| told_one(room, change));
    futures::stream::iter(told).buffered(AT_ONCE).collect().await
}

async fn told_one(room: &Room, change: Change) -> Told {
    let fields = human::fields_of(&change.changes);
    let key =
        ResourceKey { shop: room.shop.clone(), kind: change.kind.clone(), id: change.id.clone() };
    let state = |at: Timestamp| {
        let (journal, key) = (&room.desk.journal, &key);
        async move { journal.resource(key, AsOf::At(at)).await.ok().flatten().map(|found| found.state) }
    };
    let has_elements = change.changes.iter().any(|change| change.element.is_some());
    let (mut before, mut after) = (None, None);
    if change.version.op == Op::Update && has_elements {
        let at = change.version.valid_at;
        let just_before = Timestamp::from_micros(at.as_micros() - 1);
        (before, after) = tokio::join!(state(just_before), state(at));
    }
    let titles = BTreeMap::new();
    let known =
        human::Known { before: before.as_ref(), after: after.as_ref(), ..room.known(&titles) };
    let lines = human::tell(&fields, known);
    let gids: BTreeSet<String> = human::mentioned(&lines);
    let lines = if gids.is_empty() {
        lines
    } else {
        let titles = room.titles(gids).await;
        human::tell(&fields, human::Known { titles: Some(&titles), ..known })
    };
    Told { change, lines }
}

/// Changes under their days.
pub(crate) fn list(room: &Room, told: &[Told]) -> Markup {
    let mut days: Vec<(String, Vec<&Told>)> = Vec::new();
    for one in told {
        let day = room.clock.day(one.change.version.valid_at);
        match days.last_mut() {
            Some((last, items)) if *last == day => items.push(one),
            _ => days.push((day, vec![one])),
        }
    }
    html! {
        @for (day, items) in &days {
            h3.day { (day) }
            ul.rows { @for told in items { (row(room, told)) } }
        }
    }
}

fn row(room: &Room, told: &Told) -> Markup {
    let change = &told.change;
    let at = change.version.valid_at;
    let title =
        if change.title.is_empty() { format!("#{}", change.id) } else { change.title.clone() };
    html! {
        li {
            a.row href={ (room.resource(&change.kind, &change.id)) "?to=" (at) } {
                (dot(change.version.op))
                span.main {
                    strong { (title) } " "
                    span.quiet { (human::singular(change.kind.as_str())) }
                    span.what { (room.headline(change.version.op, &told.lines)) }
                }
                span.side { (hour(&room.clock, at)) (source(change.version.source)) }
            }
        }
    }
}

fn hour(clock: &Clock, at: Timestamp) -> Markup {
    html! { time datetime=(at) title=(clock.full(at)) { (clock.hour(at)) } }
}

/// A mark for what happened, that also says it.
pub(super) fn dot(op: Op) -> Markup {
    let (class, name, shape) = match op {
        Op::Create => ("create", "Created", "M12 7v10M7 12h10"),
        Op::Update => ("update", "Changed", "M7 17l1-4 7.5-7.5 3 3L11 16z"),
        Op::Delete => ("delete", "Deleted", "M7 12h10"),
    };
    html! { span.dot.(class) { (shell::glyph(shape)) span.hidden { (name) ": " } } }
}

/// How we came to know, where it is not the usual way.
pub(super) fn source(source: Source) -> Markup {
    match source {
        Source::Webhook | Source::Events => html! {},
        Source::Pull => shell::badge(Tone::Plain, "looked up"),
        Source::Reconcile => shell::badge(Tone::Notice, "found later"),
        Source::Restore => shell::badge(Tone::Good, "restored"),
    }
}
