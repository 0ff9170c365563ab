//! Is my store safe? How far behind we are, what is kept, what changed last.

use axum::extract::State;
use backstock_proto::Timestamp;
use backstock_proto::journal::{Gap, KindStatus, PullReport, PullState, ShopStatus};
use backstock_proto::problem::Problem;
use maud::{Markup, html};

use super::incident::Seen;
use super::room::Room;
use super::shell::{self, Shown, Tab, Tone};
use super::{activity, change_sets, incident, when};
use crate::answer::shop;
use crate::ask::{Asked, InShop, Nothing};
use crate::human;
use crate::proof::{Proof, ProofState};

/// Behind by less than this, nobody needs to know.
const LAG_SECONDS_FINE: f64 = 60.0;
/// A whole look at the shop is due every night; after this one was missed.
const LOOK_SECONDS_MAX: f64 = 36.0 * 3600.0;
/// Incidents looked at, and for how long one stands here of which nobody says anything.
const INCIDENTS: usize = 20;
const HARM_SECONDS_MAX: f64 = 7.0 * 24.0 * 3600.0;
/// Change-sets shown.
const LATEST: usize = 6;
/// Change-sets that the picture of the last day is drawn from.
const SETS_DRAWN: usize = 200;
/// A day, in microseconds.
const DAY_MICROS: i64 = 86_400_000_000;

/// Something that a person should know, and how much it matters.
struct Concern {
    tone: Tone,
    text: String,
    /// Where there is more of it, and what that is called.
    more: Option<(String, &'static str)>,
}

/// The page.
pub(crate) async fn overview(room: Room) -> Result<Shown, Problem> {
    let (desk, shop) = (State(room.desk.clone()), InShop(room.shop.clone()));
    let status = shop::status(desk, shop, Asked(Nothing {})).await?.0;
    let (status, proof) = (status.history, status.proof);
    let yesterday = Timestamp::from_micros(room.clock.now().as_micros() - DAY_MICROS);
    let today = change_sets::latest(&room, (Some(yesterday), None), SETS_DRAWN, None).await?.items;
    let earlier = if today.len() < LATEST {
        change_sets::latest(&room, (None, None), LATEST, None).await?.items
    } else {
        Vec::new()
    };
    let latest = if earlier.is_empty() { &today } else { &earlier };
    let harm = incident::latest(&room, INCIDENTS).await?;
    let content = html! {
        h1.hidden { "Overview" }
        (verdict(&room, &status, proof.as_ref(), &harm))
        section.card aria-labelledby="latest" {
            div.cardhead {
                h2 #latest { "What happened" }
                a href={ (room.path()) "/changes" } { "All changes" }
            }
            @if latest.is_empty() {
                (shell::empty("Nothing yet", html! { "Changes show here seconds after they happen in the shop." }))
            } @else {
                (activity::picture(&room, &today, Some(yesterday), None))
                (change_sets::rows(&room, &latest[..latest.len().min(LATEST)]))
            }
        }
        (coverage(&room, &status))
    };
    Ok(shell::page(&room, Tab::Overview, "Overview", content))
}

fn verdict(room: &Room, status: &ShopStatus, proof: Option<&Proof>, harm: &[Seen]) -> Markup {
    let mut concerns: Vec<Concern> = harm.iter().filter_map(|seen| harmed(room, seen)).collect();
    let harmed = !concerns.is_empty();
    concerns.extend(self::concerns(room, status));
    concerns.extend(proof.and_then(|proof| disproved(room, proof)));
    let worst = concerns.iter().map(|concern| concern.tone).max().unwrap_or(Tone::Good);
    let (title, shape) = match worst {
        _ if harmed => (
            "Something did harm in your store",
            "M12 3 5 6v5c0 4.5 3 7.8 7 10 4-2.2 7-5.5 7-10V6zM12 8v5m0 2.5v.1",
        ),
        Tone::Good | Tone::Plain => (
            "Your store is safe",
            "M12 3 5 6v5c0 4.5 3 7.8 7 10 4-2.2 7-5.5 7-10V6zM9 11.8l2.2 2.2 4-4.2",
        ),
        Tone::Notice => (
            "Your store is being read",
            "M12 3 5 6v5c0 4.5 3 7.8 7 10 4-2.2 7-5.5 7-10V6zM12 8v4l2.5 2",
        ),
        _ => (
            "Your store needs a look",
            "M12 3 5 6v5c0 4.5 3 7.8 7 10 4-2.2 7-5.5 7-10V6zM12 8v5m0 2.5v.1",
        ),
    };
    let summary = &status.summary;
    let looked = status.kinds.iter().filter_map(last_look).min();
    html! {
        section.card.verdict.(worst.class()) aria-labelledby="verdict" {
            div.shield { (shell::glyph(shape)) }
            div.say {
                h2 #verdict { (title) }
                @if concerns.is_empty() {
                    p { "Every change of the last moments is kept, and what was looked at agrees with the shop." }
                } @else {
                    ul.concerns {
                        @for concern in &concerns { li.(concern.tone.class()) {
                            (concern.text)
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

/// Harm of the last days that nobody has said anything about yet.
fn harmed(room: &Room, seen: &Seen) -> Option<Concern> {
    let lately = room.clock.now().seconds_since(seen.began()) < HARM_SECONDS_MAX;
    (lately && seen.is_open()).then(|| Concern {
        tone: Tone::Bad,
        text: format!("{}, {}.", seen.harm(), room.clock.short(seen.began())),
        more: Some((format!("{}/guard", room.path()), "What the guard saw, and the way back")),
    })
}

/// `03:12: 10,214 of 10,214`.
fn proved(room: &Room, proof: &Proof) -> Markup {
    let at = proof.finished_at.unwrap_or(proof.ordered_at);
    html! {
        (room.clock.time(at))
        @if proof.state == ProofState::Failed { ": not made" }
        @else { ": " (shell::number(proof.proved)) " of " (shell::number(proof.compared)) }
        @if proof.unproved() > 0 { ", without " (many(proof.unproved(), "kind")) }
    }
}

/// What stands against it that the shop could be restored.
fn disproved(room: &Room, proof: &Proof) -> Option<Concern> {
    let stale = room.clock.now().seconds_since(proof.ordered_at) > LOOK_SECONDS_MAX;
    let (tone, text) = match (proof.state, proof.mismatched.first()) {
        (ProofState::Refuted, Some(first)) => {
            let wrong = many(usize::try_from(proof.mismatches).unwrap_or(usize::MAX), "thing");
            let (kind, id, why) = (human::plural(first.kind.as_str()), &first.id, &first.why);
            let text = format!(
                "{wrong} could not be proved restorable. The first, of the {kind}, {id}: {why}."
            );
            (Tone::Warning, text)
        }
        (ProofState::Failed, _) => {
            let why = proof.reason.as_deref().unwrap_or("no reason was given");
            (Tone::Notice, format!("It could not be proved that all of it can be restored: {why}."))
        }
        _ if stale => {
            let text = "It was not proved since yesterday that all of it can be restored.";
            (Tone::Notice, text.into())
        }
        _ => return None,
    };
    Some(Concern { tone, text, more: None })
}

fn behind(seconds: f64) -> String {
    if seconds < 1.5 { "about a second".into() } else { when::lasting(seconds) }
}

fn last_look(kind: &KindStatus) -> Option<backstock_proto::Timestamp> {
    let pull = kind.last_complete_pull.as_ref()?;
    Some(pull.finished_at.unwrap_or(pull.started_at))
}

fn concerns(room: &Room, status: &ShopStatus) -> Vec<Concern> {
    let mut concerns = Vec::new();
    let mut say = |tone, text: String| concerns.push(Concern { tone, text, more: None });
    if status.summary.lag_seconds > LAG_SECONDS_FINE {
        let lag = when::lasting(status.summary.lag_seconds);
        say(
            Tone::Warning,
            format!(
                "What happened in the last {lag} is not readable yet. Nothing is lost; it is being caught up."
            ),
        );
    }
    let open = status.gaps.iter().filter(|gap| !gap.healed).count();
    if open > 0 {
        let gaps = many(open, "gap");
        say(
            Tone::Warning,
            format!("{gaps} in what reached us: the next whole look fills what is missing."),
        );
    }
    if status.quarantined > 0 {
        let events = many(status.quarantined as usize, "message");
        say(
            Tone::Notice,
            format!("{events} could not be understood and is kept aside, as received."),
        );
    }
    let running: Vec<&PullReport> = status
        .kinds
        .iter()
        .filter_map(|kind| kind.pull.as_ref())
        .filter(|p| p.state == PullState::Running)
        .collect();
    if !running.is_empty() {
        let names: Vec<String> =
            running.iter().take(3).map(|p| human::plural(p.kind.as_str())).collect();
        let left = running.iter().filter_map(|pull| pull.eta_seconds).fold(0.0, f64::max);
        let left = if left > 0.0 {
            format!(", about {} left", when::lasting(left))
        } else {
            String::new()
        };
        say(Tone::Notice, format!("The shop is being read now: {}{left}.", names.join(", ")));
    }
    for kind in &status.kinds {
        if let Some(pull) = kind.pull.as_ref().filter(|pull| pull.state == PullState::Failed) {
            let why = pull.reason.as_deref().unwrap_or("no reason was given");
            let kinds = shell::capital(&human::plural(kind.kind.as_str()));
            say(Tone::Warning, format!("{kinds} could not be read: {why}."));
        }
    }
    for kind in &status.kinds {
        let complete = kind.pull.as_ref().filter(|pull| pull.state == PullState::Complete);
        if let Some(why) = complete.and_then(|pull| pull.reason.as_ref()) {
            let kinds = shell::capital(&human::plural(kind.kind.as_str()));
            say(Tone::Warning, format!("{kinds}: {why}."));
        }
    }
    let stale = status
        .kinds
        .iter()
        .filter_map(last_look)
        .filter(|at| room.clock.now().seconds_since(*at) > LOOK_SECONDS_MAX)
        .count();
    if stale > 0 {
        say(
            Tone::Warning,
            format!("{} were not looked at as a whole since yesterday.", many(stale, "kind")),
        );
    }
    if status.summary.versions == 0 {
        say(
            Tone::Notice,
            "Nothing has been heard of this shop yet. Check that its webhooks point here.".into(),
        );
    }
    concerns
}

fn many(n: usize, thing: &str) -> String {
    format!("{} {thing}{}", shell::number(n as u64), if n == 1 { "" } else { "s" })
}

fn coverage(room: &Room, status: &ShopStatus) -> Markup {
    html! {
        section.card aria-labelledby="kept" {
            div.cardhead {
                h2 #kept { "What is kept" }
                @if !status.gaps.is_empty() { (gaps(&status.gaps)) }
            }
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
    let (tone, text) = if healed == gaps.len() {
        (Tone::Good, format!("{}, all healed", many(gaps.len(), "gap")))
    } else {
        (Tone::Warning, format!("{}, {healed} healed", many(gaps.len(), "gap")))
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
        return html! { span.quiet { "by webhooks only" } };
    };
    let drift = pull.drift;
    let corrected = drift.missed + drift.changed + drift.extra;
    html! {
        (room.clock.time(pull.finished_at.unwrap_or(pull.started_at)))
        @if corrected > 0 { " " (shell::badge(Tone::Notice, &format!("{} corrected", shell::number(corrected)))) }
        @else { " " (shell::badge(Tone::Good, "same")) }
    }
}
