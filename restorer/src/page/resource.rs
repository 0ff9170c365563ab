//! One thing: its life, and any two moments of it compared.

use std::collections::BTreeMap;

use backstock_proto::journal::{AsOf, Page, Resource, Span, Version};
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, Op, ResourceKey, Timestamp, known};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::change_sets::DATED_MICROS;
use super::restore::PLANNING;
use super::room::{Room, kept_only, query};
use super::shell::{self, Shown, Tab, Tone};
use super::{changes, diff, restore};
use crate::ask::{Asked, Named};
use crate::human::{self, Cell, Line};
use crate::refuse;
use crate::token::Scope;

/// Versions read for one page of a life.
const VERSIONS: usize = 60;

/// Which two moments, and which part of the life.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Moments {
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
}

/// A moment at which it changed.
struct Moment {
    at: Timestamp,
    versions: Vec<Version>,
    op: Op,
    lines: Vec<Line>,
}

/// A part of a life, newest first.
struct Life {
    moments: Vec<Moment>,
    /// Deliveries that changed nothing.
    unchanged: usize,
    next: Option<String>,
}

/// Two moments, and what differs.
struct Compared {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    lines: Vec<Line>,
    was_there: bool,
    is_there: bool,
}

/// The page.
pub(crate) async fn resource(
    room: Room,
    Named(key): Named,
    Asked(asked): Asked<Moments>,
) -> Result<Shown, Problem> {
    let newest = room.desk.journal.resource(&key, AsOf::Latest).await.map_err(refuse::journal)?;
    let now = newest.ok_or_else(|| refuse::never_existed(&key, room.clock.now()))?;
    let life = life(&room, &key, asked.cursor.clone()).await?;
    let compared = compare(&room, &key, &asked, &life).await?;
    let title = title(&now);
    let content = html! {
        (head(&room, &now, &title))
        @if now.deleted { (gone(&room, &now)) }
        div.split {
            div.wide {
                (compared_card(&room, &key, &life, &compared))
                (whole(&room, &now))
            }
            (life_card(&room, &key, &life, &asked))
        }
    };
    Ok(shell::page(&room, Tab::Find, &title, content))
}

fn title(resource: &Resource) -> String {
    let title = resource.kind.listing(&resource.state).title;
    if title.is_empty() {
        format!("{} {}", human::singular(resource.kind.as_str()), resource.id)
    } else {
        title
    }
}

async fn state(room: &Room, key: &ResourceKey, at: AsOf) -> Result<(bool, Value), Problem> {
    let found = room.desk.journal.resource(key, at).await.map_err(refuse::journal)?;
    Ok(match found {
        Some(found) if !found.deleted => (true, found.state),
        _ => (false, Value::Null),
    })
}

/// Whether something of a kind can be written back, by whoever looks.
fn may_put_back(room: &Room, kind: &Kind) -> bool {
    room.may(Scope::Restore) && kept_only(kind).is_none()
}

fn before(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() - 1)
}

async fn life(room: &Room, key: &ResourceKey, cursor: Option<String>) -> Result<Life, Problem> {
    let page = Page { limit: VERSIONS, cursor };
    let list = room.desk.journal.versions(key, Span::default(), &page).await;
    let list = list.map_err(refuse::journal)?;
    let (mut groups, mut unchanged): (Vec<Vec<Version>>, usize) = (Vec::new(), 0);
    for version in list.items {
        match groups.last_mut() {
            _ if version.unchanged => unchanged += 1,
            Some(group) if group[0].valid_at == version.valid_at => group.push(version),
            _ => groups.push(vec![version]),
        }
    }
    let mut moments = Vec::new();
    // Oldest first: what was, before each.
    let mut was: Option<(bool, Value)> = None;
    for versions in groups.into_iter().rev() {
        let at = versions[0].valid_at;
        let (existed, old) = match was.take() {
            Some(was) => was,
            None => state(room, key, AsOf::At(before(at))).await?,
        };
        let (exists, new) = state(room, key, AsOf::At(at)).await?;
        let op = match (existed, exists) {
            (_, false) => Op::Delete,
            (false, true) => Op::Create,
            (true, true) => Op::Update,
        };
        let lines = if op == Op::Update { lines(room, &old, &new).await } else { Vec::new() };
        if op != Op::Update || !lines.is_empty() {
            moments.push(Moment { at, versions, op, lines });
        }
        was = Some((exists, new));
    }
    moments.reverse();
    Ok(Life { moments, unchanged, next: list.next })
}

/// What differs, with the names of what is mentioned. What only one of the two tells did not change.
async fn lines(room: &Room, old: &Value, new: &Value) -> Vec<Line> {
    let (mut old, mut new) = (old.clone(), new.clone());
    known::align(&mut old, &mut new);
    let (old, new) = (&old, &new);
    let none = BTreeMap::new();
    let lines = human::changes(old, new, room.known(&none));
    let gids = human::mentioned(&lines);
    if gids.is_empty() {
        return lines;
    }
    let titles = room.titles(gids).await;
    human::changes(old, new, room.known(&titles))
}

async fn compare(
    room: &Room,
    key: &ResourceKey,
    asked: &Moments,
    life: &Life,
) -> Result<Compared, Problem> {
    let instant = |text: &Option<String>| text.as_deref().and_then(|text| room.clock.parse(text));
    let (from, to) = (instant(&asked.from), instant(&asked.to));
    let from = from.or_else(|| {
        // Just before the change that is looked at: the last one, if none is.
        let looked_at = life.moments.iter().find(|moment| to.is_none_or(|to| moment.at <= to))?;
        let earlier = life.moments.iter().find(|moment| moment.at < looked_at.at);
        Some(earlier.map_or(before(looked_at.at), |moment| moment.at))
    });
    let as_of = |at: Option<Timestamp>| at.map_or(AsOf::Latest, AsOf::At);
    let (was_there, old) = state(room, key, as_of(from)).await?;
    let (is_there, new) = state(room, key, as_of(to)).await?;
    let lines = if was_there && is_there { lines(room, &old, &new).await } else { Vec::new() };
    Ok(Compared { from, to, lines, was_there, is_there })
}

fn head(room: &Room, now: &Resource, title: &str) -> Markup {
    let kind = now.kind.as_str();
    let text = |name: &str| now.state.get(name).and_then(Value::as_str).unwrap_or_default();
    let status = text("status");
    html! {
        a.back href={ (room.path()) "/find?kind=" (kind) } { (shell::capital(&human::plural(kind))) }
        div.heading.resource {
            @if let Some(picture) = first_picture(&now.state) { (diff::thumbnail(room, &picture)) }
            div {
                h1 { (title) }
                p.quiet {
                    (shell::capital(&human::singular(kind)))
                    @if !text("handle").is_empty() { " · " (text("handle")) }
                    @if let Some(address) = in_admin(room, now) {
                        " · " a href=(address) rel="noreferrer" target="_blank" { "Open in Shopify" span.hidden { " (new tab)" } }
                    }
                }
            }
            div.badges {
                @if now.deleted { (shell::badge(Tone::Bad, "deleted")) }
                @else if status == "ACTIVE" { (shell::badge(Tone::Good, "active")) }
                @else if !status.is_empty() { (shell::badge(Tone::Plain, &status.to_lowercase())) }
            }
        }
    }
}

fn first_picture(state: &Value) -> Option<human::Picture> {
    let medium =
        state.get("media").and_then(|media| media.get(0)).or_else(|| state.get("image"))?;
    let members = serde_json::json!({"media": [medium]});
    let lines = human::describe(&members, human::Known::default());
    match lines.into_iter().next()?.new {
        Cell::List(cells) => cells.into_iter().find_map(|cell| match cell {
            Cell::Picture(picture) => Some(picture),
            _ => None,
        }),
        _ => None,
    }
}

/// Where Shopify's own admin shows it.
fn in_admin(room: &Room, now: &Resource) -> Option<String> {
    let section = match now.kind.as_str() {
        "product" => "products",
        "collection" => "collections",
        "customer" => "customers",
        "order" => "orders",
        "page" => "pages",
        "article" => "articles",
        "discount" => "discounts",
        "draft_order" => "draft_orders",
        _ => return None,
    };
    let there = !now.deleted;
    there.then(|| {
        format!("https://admin.shopify.com/store/{}/{section}/{}", room.shop.name(), now.id)
    })
}

fn gone(room: &Room, now: &Resource) -> Markup {
    let found_later = now.version.earliest_at;
    html! {
        div.banner.bad {
            p {
                strong { "Deleted " (room.clock.time(now.version.valid_at)) "." }
                @if let Some(earliest) = found_later {
                    " Nobody told us; it was found missing, and was still there " (room.clock.time(earliest)) "."
                }
                @match kept_only(&now.kind) {
                    Some(why) => { " Its last state is kept, but cannot be written back: " (why) "." },
                    None => { " Its last state is kept, and can be made anew." },
                }
            }
            @if may_put_back(room, &now.kind) {
                form method="post" action={ (room.path()) "/restore" } {
                    (restore::of_one(room, (&now.kind, &now.id), before(now.version.valid_at)))
                    button.button.primary type="submit" data-busy=(PLANNING) { "Bring it back…" }
                }
            }
        }
    }
}

fn compared_card(room: &Room, key: &ResourceKey, life: &Life, compared: &Compared) -> Markup {
    let name = |at: Option<Timestamp>| match at {
        Some(at) => room.clock.short(at),
        None => "now".into(),
    };
    html! {
        section.card aria-labelledby="compared" {
            div.cardhead { h2 #compared { "What changed" } }
            (choose(room, life, compared))
            @match (compared.was_there, compared.is_there) {
                (true, true) if compared.lines.is_empty() => {
                    (shell::empty("No difference", html! { "It was the same at both moments." }))
                }
                (true, true) => {
                    @if let Some(at) = compared.from.filter(|_| may_put_back(room, &key.kind)) {
                        form method="post" action={ (room.path()) "/restore" } {
                            (restore::of_one(room, (&key.kind, &key.id), at))
                            (diff::choice(room, &compared.lines, &name(compared.from), &name(compared.to)))
                            div.actions.low {
                                button.button.primary type="submit" name="some" value="fields" data-ticked="Put back what is ticked" data-busy=(PLANNING) { "Put back what is ticked" }
                                span.quiet.small { "You see what would change before anything is written." }
                            }
                        }
                    } @else {
                        (diff::table(room, &compared.lines, &format!("Before · {}", name(compared.from)), &format!("After · {}", name(compared.to))))
                    }
                }
                (false, true) => p.banner.good { "It came into being between these moments." },
                (true, false) => p.banner.bad { "It was deleted between these moments." },
                (false, false) => (shell::empty("It was not there", html! { "At neither of these moments did it exist." })),
            }
            (actions(room, key, compared))
        }
    }
}

/// What can be done about it.
fn actions(room: &Room, key: &ResourceKey, compared: &Compared) -> Markup {
    let raw = |at: Option<Timestamp>| {
        let path = format!("resources/{}/{}", key.kind, super::room::encoded(key.id.as_str()));
        room.api(&path) + &query(&[("at", at.map(|at| at.to_string()))])
    };
    html! {
        div.actions.low {
            @if let Some(at) = compared.from.filter(|_| compared.was_there && may_put_back(room, &key.kind)) {
                form method="post" action={ (room.path()) "/restore" } {
                    (restore::of_one(room, (&key.kind, &key.id), at))
                    button.button type="submit" data-busy=(PLANNING) { "Put all of it back as it was " (room.clock.short(at)) }
                }
            }
            @if let Some(why) = kept_only(&key.kind) {
                span.quiet.small { "This is kept, but cannot be written back: " (why) "." }
            } @else if !room.may(Scope::Restore) {
                span.quiet.small { "Your token may look, but not restore." }
            }
            span.raw {
                "Technical data: "
                a href=(raw(compared.from)) { "before" } ", "
                a href=(raw(compared.to)) { "after" }
            }
        }
    }
}

fn choose(room: &Room, life: &Life, compared: &Compared) -> Markup {
    let listed = |at: Timestamp| life.moments.iter().any(|moment| moment.at == at);
    let choice = |id: &str, chosen: Option<Timestamp>, now: bool| {
        html! {
            select id=(id) name=(id) {
                @if now { option value="" selected[chosen.is_none()] { "Now" } }
                @if let Some(at) = chosen.filter(|at| !listed(*at)) {
                    option value=(at) selected { (room.clock.short(at)) }
                }
                @for moment in &life.moments {
                    option value=(moment.at) selected[chosen == Some(moment.at)] {
                        (room.clock.short(moment.at)) " – " (room.headline(moment.op, &moment.lines))
                    }
                }
            }
        }
    };
    html! {
        form.moments method="get" {
            div.field { label for="from" { "Before" } (choice("from", compared.from, false)) }
            span.arrow aria-hidden="true" { "→" }
            div.field { label for="to" { "After" } (choice("to", compared.to, true)) }
            button.button type="submit" { "Compare" }
        }
    }
}

/// Everything that it is, for whoever wants to see it.
fn whole(room: &Room, now: &Resource) -> Markup {
    let none = BTreeMap::new();
    let lines = human::describe(&now.state, room.known(&none));
    html! {
        details.card {
            summary { h2 { @if now.deleted { "How it was at the end" } @else { "How it is now" } } }
            dl.whole {
                @for line in &lines {
                    div { dt { (line.what) } dd { (diff::cell(room, &line.new)) } }
                }
            }
        }
    }
}

/// What happened in the shop about then, told by who did it.
fn around(room: &Room, at: Timestamp) -> String {
    let near = |micros: i64| Some(Timestamp::from_micros(at.as_micros() + micros).to_string());
    let pairs = [("from", near(-DATED_MICROS)), ("to", near(DATED_MICROS))];
    format!("{}/changes{}", room.path(), query(&pairs))
}

fn life_card(room: &Room, key: &ResourceKey, life: &Life, asked: &Moments) -> Markup {
    let here = room.resource(&key.kind, &key.id);
    html! {
        section.card.life aria-labelledby="life" {
            div.cardhead { h2 #life { "Its life" } }
            @if life.moments.is_empty() { p.quiet { "Nothing changed in this part of it." } }
            ol.timeline {
                @for moment in &life.moments {
                    li {
                        (changes::dot(moment.op))
                        div {
                            a href={ (here) "?to=" (moment.at) } { (room.headline(moment.op, &moment.lines)) }
                            p.quiet.small {
                                (room.clock.time(moment.at)) " "
                                @for version in moment.versions.iter().take(1) { (changes::source(version.source)) }
                            }
                            p.small {
                                a href={ (here) "?from=" (moment.at) } { "Compare with now" } " · "
                                a href=(around(room, moment.at)) { "Who, and what else" }
                            }
                        }
                    }
                }
            }
            @if life.unchanged > 0 {
                p.quiet.small { (shell::number(life.unchanged as u64)) " more messages about it changed nothing." }
            }
            (shell::paging(
                asked.cursor.is_some().then(|| here.clone()),
                life.next.as_ref().map(|next| here.clone() + &query(&[("cursor", Some(next.clone()))])),
            ))
        }
    }
}
