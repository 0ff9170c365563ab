//! Is my store safe? How far behind we are, what is kept, what changed last.

use axum::extract::State;
use backstock_proto::Timestamp;
use backstock_proto::journal::{Gap, KindStatus, PullState, ShopStatus};
use backstock_proto::kind::Heard;
use backstock_proto::problem::Problem;
use maud::{Markup, html};

use super::change_sets::Wanted;
use super::concern::last_look;
use super::incident::Seen;
use super::room::Room;
use super::shell::{self, Shown, Tab, Tone};
use super::{activity, care, change_sets, concern, incident, when};
use crate::answer::shop::{self, Status};
use crate::ask::{Asked, InShop, Nothing};
use crate::change_set::ChangeSet;
use crate::human;
use crate::proof::{Proof, ProofState};

/// Incidents looked at.
const INCIDENTS: usize = 20;
/// Change-sets shown.
const LATEST: usize = 6;
/// Change-sets that the picture of the last day is drawn from.
const SETS_DRAWN: usize = 200;
/// A day, in microseconds.
const DAY_MICROS: i64 = 86_400_000_000;

/// A shield, and what may stand in it.
const SHIELD: &str = "M12 3 5 6v5c0 4.5 3 7.8 7 10 4-2.2 7-5.5 7-10V6z";
const TICK: &str = "M9 11.8l2.2 2.2 4-4.2";
const CLOCK: &str = "M12 8v4l2.5 2";
const WORD: &str = "M12 8.4v.1m0 3v4.5";
const ALARM: &str = "M12 8v5m0 2.5v.1";

/// The page.
pub(crate) async fn overview(room: Room) -> Result<Shown, Problem> {
    let (desk, shop) = (State(room.desk.clone()), InShop(room.shop.clone()));
    let status = shop::status(desk, shop, Asked(Nothing {})).await?.0;
    let yesterday = Timestamp::from_micros(room.clock.now().as_micros() - DAY_MICROS);
    let lately = Wanted { from: Some(yesterday), ..Wanted::default() };
    let today = change_sets::latest(&room, &lately, SETS_DRAWN, None).await?;
    let mut latest: Vec<&ChangeSet> = today.items.iter().take(LATEST).collect();
    let earlier = if latest.len() < LATEST {
        let until = Timestamp::from_micros(yesterday.as_micros() + change_sets::DATED_MICROS);
        let before = Wanted { to: Some(until), ..Wanted::default() };
        change_sets::latest(&room, &before, LATEST, None).await?.items
    } else {
        Vec::new()
    };
    // What was under way then is in both.
    let is_other = |set: &&ChangeSet| today.items.iter().all(|listed| listed.id != set.id);
    latest.extend(earlier.iter().filter(is_other));
    latest.truncate(LATEST);
    let harm = incident::latest(&room, INCIDENTS, None).await?.items;
    let content = html! {
        h1.hidden { "Overview" }
        (verdict(&room, &status, &harm))
        section.card aria-labelledby="latest" {
            div.cardhead {
                h2 #latest { "What happened" }
                a href={ (room.path()) "/changes" } { "All changes" }
            }
            @if latest.is_empty() {
                (shell::empty("Nothing yet", html! { "Changes show here seconds after they happen in the shop." }))
            } @else {
                (activity::picture(&room, &today.items, activity::stretch(&today, (lately.from, None), false)))
                @if today.next.is_some() {
                    p.quiet.small { "The newest " (shell::number(today.items.len() as u64)) " change-sets; there were more." }
                }
                (change_sets::rows(&room, latest.iter().copied()))
            }
        }
        (coverage(&room, &status.history))
    };
    Ok(shell::page(&room, Tab::Overview, "Overview", content))
}

fn verdict(room: &Room, status: &Status, harm: &[Seen]) -> Markup {
    let concerns = concern::all(room, status, harm);
    let worst = concerns.iter().map(|concern| concern.tone).max().unwrap_or(Tone::Good);
    let (title, within) = said(worst, concern::is_being_read(&status.history));
    let (summary, proof) = (&status.history.summary, status.proof.as_ref());
    let looked = status.history.kinds.iter().filter_map(last_look).min();
    html! {
        section.card.verdict.(worst.class()) aria-labelledby="verdict" {
            div.shield { (shell::glyph(&format!("{SHIELD}{within}"))) }
            div.say {
                h2 #verdict { (title) }
                @if concerns.is_empty() {
                    p { "Every change of the last moments is kept, and what was looked at agrees with the shop." }
                } @else {
                    ul.concerns {
                        @for concern in &concerns { li.(concern.tone.class()) {
                            (told(&concern.text))
                            @if let Some((to, called)) = &concern.more { " " a href=(to) { (called) } }
                        } }
                    }
                }
            }
            dl.figures {
                div { dt { "Behind the shop" } dd { (behind(summary.lag_seconds)) } }
                div { dt { "Kept" } dd { (shell::number(summary.resources)) " things" } }
                div { dt { "Versions" } dd { (shell::number(summary.versions)) } }
                div {
                    dt { "Last whole look" }
                    dd { @match looked { Some(at) => (room.clock.ago(at)), None => "not yet" } }
                }
                div {
                    dt { "Proved restorable" }
                    dd { @match proof { Some(proof) => (proved(room, proof)), None => "not yet" } }
                }
            }
        }
    }
}

/// A text in which what stands in backticks is to be typed.
pub(super) fn told(text: &str) -> Markup {
    html! {
        @for (n, part) in text.split('`').enumerate() {
            @if n % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The verdict in a few words, and what stands in the shield.
fn said(worst: Tone, is_being_read: bool) -> (&'static str, &'static str) {
    match worst {
        Tone::Good | Tone::Plain => ("Your store is safe", TICK),
        Tone::Notice if is_being_read => ("Your store is being read", CLOCK),
        Tone::Notice => ("Your store is kept, with something to know", WORD),
        Tone::Warning => ("Your store needs a look", ALARM),
        Tone::Bad => ("Something did harm in your store", ALARM),
    }
}

/// `03:12: 10,214 of 10,214`.
fn proved(room: &Room, proof: &Proof) -> Markup {
    let at = proof.finished_at.unwrap_or(proof.ordered_at);
    html! {
        (room.clock.time(at))
        @if proof.state == ProofState::Failed { ": not made" }
        @else { ": " (shell::number(proof.proved)) " of " (shell::number(proof.compared)) }
        @if proof.unproved() > 0 { ", without " (shell::many(proof.unproved() as u64, "kind")) }
    }
}

fn behind(seconds: f64) -> String {
    if seconds < 1.5 { "about a second".into() } else { when::lasting(seconds) }
}

fn coverage(room: &Room, status: &ShopStatus) -> Markup {
    html! {
        section.card aria-labelledby="kept" {
            div.cardhead {
                h2 #kept { "What is kept" }
                @if !status.gaps.is_empty() { (gaps(&status.gaps)) }
            }
            (care::buttons(room))
            div.scroll tabindex="0" role="region" aria-labelledby="kept" {
                table.list {
                    thead { tr {
                        th scope="col" { "Kind" }
                        th.num scope="col" { "Now" }
                        th.num scope="col" { "Deleted, kept" }
                        th.num scope="col" { "Versions" }
                        th scope="col" { "Last change" }
                        th scope="col" { "Compared with the shop" }
                    } }
                    tbody { @for kind in &status.kinds { (kind_row(room, kind)) } }
                }
            }
        }
    }
}

fn gaps(gaps: &[Gap]) -> Markup {
    let healed = gaps.iter().filter(|gap| gap.healed).count();
    let all = shell::many(gaps.len() as u64, "gap");
    let (tone, text) = if healed == gaps.len() {
        (Tone::Good, format!("{all}, all healed"))
    } else {
        (Tone::Warning, format!("{all}, {healed} healed"))
    };
    shell::badge(tone, &text)
}

fn kind_row(room: &Room, status: &KindStatus) -> Markup {
    let kind = status.kind.as_str();
    let find = |deleted: &str| format!("{}/find?kind={kind}{deleted}", room.path());
    html! {
        tr {
            th scope="row" {
                a href=(find("")) { (shell::capital(&human::plural(kind))) }
                @if let Some(not) = &status.not_covered { p.quiet.small { "Not kept: " (not) } }
                @if !status.understood { p.quiet.small { "Kept as received" } }
                @if status.heard == Heard::Hour { p.quiet.small { "Changes are seen several times an hour" } }
                @if status.heard == Heard::Mostly { p.quiet.small { "Most changes are seen several times an hour, all once a night" } }
                @if status.heard == Heard::Nightly { p.quiet.small { "Changes are seen once a night" } }
            }
            td.num { (shell::number(status.resources)) }
            td.num {
                @if status.deleted > 0 { a href=(find("&deleted=true")) { (shell::number(status.deleted)) } }
                @else { span.quiet { "0" } }
            }
            td.num { (shell::number(status.versions)) }
            td { @match status.newest_version { Some(at) => (room.clock.time(at)), None => span.quiet { "–" } } }
            td { (compared(room, status)) }
        }
    }
}

fn compared(room: &Room, status: &KindStatus) -> Markup {
    let Some(pull) = &status.last_complete_pull else {
        let why = match status.pull.as_ref().map(|pull| pull.state) {
            Some(PullState::Failed) => "never: it could not be read",
            Some(PullState::Running) => "for the first time now",
            _ if status.heard == Heard::Minute => "by Shopify's own log only",
            _ => "by webhooks only",
        };
        return html! { span.quiet { (why) } };
    };
    let drift = pull.drift;
    let corrected = drift.missed + drift.changed + drift.extra;
    html! {
        (room.clock.time(pull.finished_at.unwrap_or(pull.started_at)))
        @if corrected > 0 { " " (shell::badge(Tone::Notice, &format!("{} corrected", shell::number(corrected)))) }
        @else { " " (shell::badge(Tone::Good, "same")) }
    }
}
