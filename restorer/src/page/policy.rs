//! How a shop is guarded, in plain words: what is watched for, from how much on, what is done then, and
//! who is told.

use maud::{Markup, html};
use serde_json::Value;
use url::Url;

use super::room::Room;
use super::shell::{self, Tone};
use crate::change_set::Harm;
use crate::guard::judge::{ABOVE_NORMAL, STAFF};
use crate::guard::{Action, Policy, Threshold};

/// Whether anybody watches over the shop.
pub(super) fn is_watched(room: &Room) -> bool {
    room.desk.config.guards.get(&room.shop).is_some_and(|policy| policy.action != Action::Off)
}

/// The card that says it.
pub(super) fn policy(room: &Room) -> Markup {
    let policy = room.desk.config.guards.get(&room.shop);
    let (tone, state) = state(policy.map_or(Action::Off, |policy| policy.action));
    html! {
        section.card aria-labelledby="policy" {
            div.cardhead { h2 #policy { "How this shop is guarded" } (shell::badge(tone, state)) }
            @match policy {
                None => p { "This shop is not in the configuration, so nobody watches over it." },
                Some(policy) if policy.action == Action::Off => p {
                    "The guard is off. What does harm shows among the changes and nowhere else, and "
                    "nothing is done about it."
                },
                Some(policy) => (rules(policy)),
            }
            @if let Some(policy) = policy.filter(|policy| policy.action != Action::Off) { (watched(policy)) }
            (source(room, policy))
        }
    }
}

fn state(action: Action) -> (Tone, &'static str) {
    match action {
        Action::Off => (Tone::Warning, "off"),
        Action::Alert => (Tone::Notice, "says so"),
        Action::Plan => (Tone::Good, "prepares the way back"),
        Action::Apply => (Tone::Good, "undoes harm by itself"),
    }
}

/// Where it is written, and how it is changed there.
fn source(room: &Room, policy: Option<&Policy>) -> Markup {
    let set = policy.map(set).unwrap_or_default();
    html! {
        h3 { "Where this comes from" }
        @match policy {
            None => p { "A " code { "[[shop]]" } " with its domain in " code { "backstock.toml" } " has it watched over." },
            Some(_) => p {
                "The configuration: " code { "[shop.guard]" } " of this shop in " code { "backstock.toml" } ". "
                @if set.is_empty() { "Nothing in it differs from what holds where it says nothing." }
                @else {
                    "It says otherwise than usual of "
                    @for (n, key) in set.iter().enumerate() { @if n > 0 { ", " } code { (key) } }
                    "; the rest is as it is everywhere."
                }
            },
        }
        p.quiet {
            "Whoever runs Backstock changes it there, tries it with " code { "backstock check-config" }
            ", and starts the restorer anew. It counts for what happens from then on."
        }
        pre.code { (lines(room, policy)) }
    }
}

/// What the configuration sets otherwise than it is by default.
fn set(policy: &Policy) -> Vec<String> {
    let members = |policy: &Policy| match serde_json::to_value(policy) {
        Ok(Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let usual = members(&Policy::default());
    let own = members(policy).into_iter();
    own.filter(|(key, value)| usual.get(key) != Some(value)).map(|(key, _)| key).collect()
}

/// The lines to be written, with what holds now.
fn lines(room: &Room, policy: Option<&Policy>) -> String {
    let usual = Policy::default();
    let Policy { action, staff, .. } = policy.unwrap_or(&usual);
    format!(
        "[[shop]]\ndomain = \"{}\"\n\n[shop.guard]\naction = \"{}\"   # off, alert, plan or apply\nstaff = \"{}\"",
        room.shop.domain(),
        action.as_str(),
        staff.as_str()
    )
}

fn rules(policy: &Policy) -> Markup {
    let by_itself = policy.action == Action::Apply;
    let staff = policy.staff.min(policy.action);
    html! {
        dl.whole {
            div {
                dt { "What an app does" }
                dd {
                    (done(policy.action))
                    @if by_itself { (conditions(policy)) }
                }
            }
            div {
                dt { "Nobody knows who" }
                dd { (done(policy.action.min(Action::Plan))) }
            }
            div {
                dt { "What staff do" }
                dd {
                    (done(staff)) " People do much at once on purpose: it takes " (STAFF)
                    " times as much as of an app."
                }
            }
            div {
                dt { "What is normal" }
                dd {
                    "What the same app, or people, did on at least two days: it takes "
                    (ABOVE_NORMAL) " times as much to count as harm."
                }
            }
            div { dt { "Who is told" } dd { (told(policy)) } }
        }
    }
}

/// What is done, at most, in a sentence.
fn done(action: Action) -> &'static str {
    match action {
        Action::Off => "Nothing is done.",
        Action::Alert => "It says so, and does nothing else.",
        Action::Plan => {
            "It says so and has the way back ready at once. Nothing is written before a person says yes."
        }
        Action::Apply => "It says so and undoes it by itself.",
    }
}

/// What it takes for the guard to write by itself.
fn conditions(policy: &Policy) -> Markup {
    html! {
        p { "All of this must hold; otherwise the way back is ready, and a person has to say yes:" }
        ul.concerns {
            li.notice { "it is at least " (percent(policy.confidence_min)) " sure which app it was" }
            li.notice { "the app has been quiet for " (policy.settle_seconds) " seconds" }
            li.notice { "history is known to be complete: recent whole looks, no gap, nothing behind" }
            li.notice { "it was seen within the hour" }
            li.notice { "the same app was not undone within a day already" }
        }
    }
}

/// Who is told, by the host alone: the rest of such an address is often a secret.
fn told(policy: &Policy) -> Markup {
    let url = policy.webhook_url.as_deref().and_then(|url| Url::parse(url).ok());
    let host = url.as_ref().and_then(Url::host_str);
    html! {
        @match host {
            Some(host) => {
                "Whoever reads " (host)
                @if policy.webhook_secret.is_some() { ", in messages that are signed" }
                "; and it shows here."
            },
            None => { "Nobody is sent a message: no " code { "webhook_url" } " is set. It shows here." },
        }
    }
}

fn watched(policy: &Policy) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-labelledby="policy" {
            table.list.wrapped {
                thead { tr {
                    th scope="col" { "What it watches for" }
                    th scope="col" { "From so many on" }
                    th scope="col" { "The most that is done" }
                } }
                tbody {
                    @for harm in Harm::ALL {
                        @let threshold = policy.threshold(harm);
                        tr {
                            th scope="row" { (named(harm, policy)) }
                            td { (limit(threshold)) }
                            td { (most(threshold.action.unwrap_or(policy.action).min(policy.action))) }
                        }
                    }
                }
            }
        }
    }
}

/// A sort of harm, as somebody sees it who reads in the shop.
fn named(harm: Harm, policy: &Policy) -> String {
    let said = match harm {
        Harm::Deleted => "Things are deleted",
        Harm::PricesCollapsed => {
            let drop = percent(policy.price_drop);
            return format!(
                "Prices fall by {drop} or more, and no former price is shown as in a sale"
            );
        }
        Harm::PricesZero => "Products cost nothing",
        Harm::PricesBelowCost => "Prices fall below what the things cost the shop",
        Harm::TextsEmptied => "Texts that buyers read are emptied",
        Harm::TextsReplaced => "The same few texts come to stand in many things",
        Harm::Unpublished => "Things are taken off the shop",
        Harm::TagsWiped => "Things lose most of their tags",
        Harm::SkusWiped => "SKUs are emptied or become others",
        Harm::CollectionsBroken => "Collections go, are emptied, or lose their rules",
        Harm::ThemeCode => "An app writes code into the theme",
    };
    said.into()
}

fn limit(threshold: Threshold) -> String {
    let Threshold { min, share, .. } = threshold;
    let min = shell::number(min);
    if share > 0.0 { format!("{min}, in a large shop {} of all", percent(share)) } else { min }
}

fn most(action: Action) -> &'static str {
    match action {
        Action::Off => "nothing",
        Action::Alert => "it says so",
        Action::Plan => "the way back is ready",
        Action::Apply => "it is undone",
    }
}

/// A part of one, as `0.2 %`.
fn percent(part: f64) -> String {
    format!("{} %", (part * 1_000.0).round() / 10.0)
}
