//! What people asked about their own data: to be told what is kept of them, and to be forgotten. Nobody is
//! named here but by Shopify's number.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::erase::{
    self, DUE_DAYS, Erasure, ErasureCounts, ErasureState, Preview, Via, Whom,
};
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, ResourceId, Timestamp};
use http::{HeaderValue, header};
use maud::{Markup, html};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::form::Form;
use super::room::{Part, Room, query};
use super::shell::{self, Shown, Tab, Tone};
use crate::answer::erasure::{DataRequest, reach};
use crate::ask::{self, Asked};
use crate::{human, refuse};

/// Requests on one page.
const PAGE: usize = 50;
/// With so many days left, or fewer, it is time.
const DAYS_FEW: u64 = 10;
const DAY_MICROS: u64 = 24 * 3600 * 1_000_000;
const CUSTOMER: &str = "customer";

/// Something that was asked for.
struct Matter {
    came_at: Timestamp,
    /// By when it has to be done, as long as it is not.
    due_at: Option<Timestamp>,
    what: What,
}

enum What {
    /// To be told; `is_gone`: there is nothing to tell any more.
    Tell { request: DataRequest, is_gone: bool },
    /// To be forgotten.
    Forget(Erasure),
}

/// The page.
pub(crate) async fn privacy(room: Room, Asked(part): Asked<Part>) -> Result<Shown, Problem> {
    let from = ask::numbered(None, part.cursor)?.0 as usize;
    let matters = matters(&room).await?;
    let shown = matters.iter().skip(from).take(PAGE);
    let here = format!("{}/privacy", room.path());
    let next = from.saturating_add(PAGE);
    let next = (next < matters.len())
        .then(|| here.clone() + &query(&[("cursor", Some(next.to_string()))]));
    let content = html! {
        (shell::heading("Privacy", html! {}))
        section.card aria-labelledby="asked" {
            div.cardhead { h2 #asked { "What people asked for" } }
            p.quiet {
                "Customers may ask what is kept of them, and to be forgotten. Shopify passes it on, and either has to be "
                "done within " (DUE_DAYS) " days."
            }
            @if matters.is_empty() {
                (shell::empty("Nobody has asked yet", html! {
                    "Who does shows here with how long there is, and stays here as a receipt."
                }))
            }
            ul.rows.plan { @for matter in shown { (row(&room, matter)) } }
            (shell::paging((from > 0).then(|| here.clone()), next))
        }
        (forget(&room))
    };
    Ok(shell::page(&room, Tab::Privacy, "Privacy", content))
}

/// All of it: what is to be done first is first, then what is done, the newest first.
async fn matters(room: &Room) -> Result<Vec<Matter>, Problem> {
    let erasures: Vec<Erasure> = whole(room, "erasures").await?;
    let requests: Vec<DataRequest> = whole(room, "data-requests").await?;
    let gone = erasures.iter().filter_map(|erasure| match &erasure.whom {
        Whom::Customer(id) => Some(id.clone()),
        Whom::Shop => None,
    });
    let gone: BTreeSet<ResourceId> = gone.collect();
    let asked = requests.into_iter().map(|request| {
        let is_gone = gone.contains(&request.customer);
        let is_open = request.answered_at.is_none() && !is_gone;
        Matter {
            came_at: request.requested_at.or(request.answered_at).unwrap_or_default(),
            due_at: request.requested_at.filter(|_| is_open).map(erase::due_at),
            what: What::Tell { request, is_gone },
        }
    });
    let mut matters: Vec<Matter> = asked.collect();
    matters.extend(erasures.into_iter().map(|erasure| Matter {
        came_at: erasure.requested_at,
        due_at: erasure.is_open().then_some(erasure.due_at),
        what: What::Forget(erasure),
    }));
    matters.sort_by_key(|matter| (matter.due_at.is_none(), matter.due_at, Reverse(matter.came_at)));
    Ok(matters)
}

/// All of one of the API's lists.
async fn whole<T: DeserializeOwned>(room: &Room, list: &str) -> Result<Vec<T>, Problem> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let part: List<T> = room.get(&format!("{list}{}", query(&[("cursor", cursor)]))).await?;
        all.extend(part.items);
        cursor = part.next;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

fn row(room: &Room, matter: &Matter) -> Markup {
    let (tone, state) = state(room.clock.now(), matter);
    html! {
        li.planrow {
            div.planhead {
                div.main {
                    strong { (title(&matter.what)) }
                    span.what {
                        (by_whom(&matter.what)) " " (room.clock.time(matter.came_at))
                        @if let Some(due_at) = matter.due_at { ", due " (room.clock.time(due_at)) }
                    }
                }
                (shell::badge(tone, &state))
            }
            @match &matter.what {
                What::Tell { request, is_gone } => (answer(room, request, *is_gone)),
                What::Forget(erasure) => (receipt(room, erasure)),
            }
        }
    }
}

fn title(what: &What) -> String {
    match what {
        What::Tell { request, .. } => {
            format!("Customer {} asks what is kept of them", request.customer)
        }
        What::Forget(Erasure { whom: Whom::Customer(id), .. }) => {
            format!("Customer {id} is to be forgotten")
        }
        What::Forget(Erasure { whom: Whom::Shop, .. }) => {
            "The whole shop is to be forgotten".into()
        }
    }
}

fn by_whom(what: &What) -> String {
    match what {
        What::Forget(Erasure { via: Via::Api, by, .. }) => format!("Asked by {by}"),
        What::Tell { request, .. } if request.requested_at.is_none() => "Asked here".into(),
        _ => "Passed on by Shopify".into(),
    }
}

/// How it is, in a word: of what is to be done, how long there is.
fn state(now: Timestamp, matter: &Matter) -> (Tone, String) {
    match (matter.due_at, &matter.what) {
        (Some(due_at), _) => deadline(now, due_at),
        (None, What::Tell { request, .. }) if request.answered_at.is_some() => {
            (Tone::Good, "answered".into())
        }
        (None, What::Tell { .. }) => (Tone::Plain, "nothing to tell".into()),
        (None, What::Forget(_)) => (Tone::Good, "done".into()),
    }
}

fn deadline(now: Timestamp, due_at: Timestamp) -> (Tone, String) {
    let days = |micros: u64| micros / DAY_MICROS;
    let said = |days: u64| shell::many(days, "day");
    if due_at < now {
        return match days(now.micros_since(due_at)) {
            0 => (Tone::Bad, "overdue since today".into()),
            days => (Tone::Bad, format!("overdue by {}", said(days))),
        };
    }
    match days(due_at.micros_since(now)) {
        0 => (Tone::Warning, "due within a day".into()),
        days @ 1..=DAYS_FEW => (Tone::Warning, format!("due in {}", said(days))),
        days => (Tone::Notice, format!("due in {}", said(days))),
    }
}

/// Whether somebody was told, and the file that tells them.
fn answer(room: &Room, request: &DataRequest, is_gone: bool) -> Markup {
    let customer = &request.customer;
    html! {
        p {
            @match (request.answered_at, is_gone) {
                (Some(at), _) => {
                    strong { (request.answered_by.as_deref().unwrap_or("Somebody")) }
                    " read it out " (room.clock.time(at)) "."
                },
                (None, true) => "They are forgotten, so there is nothing to tell.",
                (None, false) => "Nobody has read it out yet. Download it and hand it to the customer.",
            }
        }
        @if !is_gone {
            form method="post" action={ (room.path()) "/privacy/held" } data-again="" {
                (shell::sealed(room))
                input type="hidden" name=(CUSTOMER) value=(customer);
                button.button.primary[request.answered_at.is_none()] type="submit" {
                    "Download what is kept of customer " (customer)
                }
            }
        }
    }
}

/// How far an erasure is, and what went.
fn receipt(room: &Room, erasure: &Erasure) -> Markup {
    let since =
        |at: Option<Timestamp>| html! { @if let Some(at) = at { " since " (room.clock.time(at)) } };
    let went = went(&erasure.counts);
    html! {
        p {
            @match erasure.state {
                ErasureState::Waiting => {
                    "The shop still accepts our access, so this may be a mistake. It waits for somebody's word: "
                    code { "backstock erase --shop " (room.shop.name()) } "."
                },
                ErasureState::Open => "It is under way.",
                ErasureState::Erased => {
                    "Gone from history, the stream and the disk" (since(erasure.erased_at))
                    ". Older checkpoints still hold it and go with the next ones, after 28 days at the latest."
                },
                ErasureState::Done => {
                    "Gone from history, the stream and the disk" (since(erasure.erased_at))
                    ", and from every checkpoint" (since(erasure.done_at)) "."
                },
            }
        }
        @if erasure.erased_at.is_some() {
            p.quiet { "What went: " @if went.is_empty() { "nothing was kept" } @else { (went) } "." }
        }
    }
}

/// What went, by where it was.
fn went(counts: &ErasureCounts) -> String {
    let many = shell::many;
    let all = [
        (
            counts.versions,
            format!("{} of {}", many(counts.versions, "version"), many(counts.resources, "thing")),
        ),
        (counts.records, many(counts.records, "record") + " of plans, jobs and the like"),
        (counts.messages, many(counts.messages, "message") + " on the stream"),
        (counts.quarantined, many(counts.quarantined, "event") + " kept aside"),
        (counts.blobs, many(counts.blobs, "media file")),
    ];
    let there: Vec<String> =
        all.into_iter().filter(|(n, _)| *n > 0).map(|(_, said)| said).collect();
    there.join(", ")
}

/// The first of two steps: whom.
fn forget(room: &Room) -> Markup {
    html! {
        section.card aria-labelledby="forget" {
            div.cardhead { h2 #forget { "Forget a customer" } }
            form.filters.open method="get" action={ (room.path()) "/privacy/erase" } {
                div.field.wide {
                    label for="customer" { "The customer's number" }
                    input #customer type="text" name=(CUSTOMER) required maxlength="300" autocomplete="off"
                        placeholder="7713840332914" aria-describedby="hint";
                }
                button.button type="submit" { "Show what would be gone…" }
            }
            p.quiet.small #hint {
                "It stands at the end of the customer's address in Shopify's admin; the whole address will do. "
                "Nothing is erased yet."
            }
        }
    }
}

/// Whom, as the form says.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Named {
    customer: String,
}

/// The second step: what will be gone, what cannot be undone, and the button that does it.
pub(crate) async fn what_goes(room: Room, Asked(named): Asked<Named>) -> Result<Shown, Problem> {
    let id = customer(&named.customer)?;
    room.desk.known(&room.shop).await?;
    let preview = reach(&room.desk, &room.shop, Whom::Customer(id.clone()), &[]).await?;
    let title = format!("Forget customer {id}");
    let here = format!("{}/privacy", room.path());
    let content = html! {
        a.back href=(here) { "Privacy" }
        (shell::heading(&title, html! {}))
        section.card aria-labelledby="goes" {
            div.cardhead { h2 #goes { "What will be gone" } (to_look_at(&room, &preview, &id)) }
            (what_is_reached(&preview))
        }
        section.card aria-labelledby="undone" {
            div.cardhead { h2 #undone { "What cannot be undone" } }
            ul.concerns {
                li.bad { "All of it: no version, checkpoint or file that was brought in holds it afterwards, and no restore brings it back." }
                li.bad { "What Shopify still tells of this customer is not kept from then on." }
                li.notice { "In Shopify itself nothing is erased, and neither is what somebody has downloaded from here." }
                li.good { "Numbers and goods of their orders stay, so that what was sold still adds up." }
            }
            form.actions method="post" action={ (here) "/erase" } {
                (shell::sealed(&room))
                input type="hidden" name=(CUSTOMER) value=(id);
                button.button.danger type="submit" data-busy="Erasing…" { "Erase customer " (id) " for good" }
                a.button href=(here) { "Erase nothing" }
            }
        }
    };
    Ok(shell::page(&room, Tab::Privacy, &title, content))
}

/// The way to the customer's own page, so that nobody erases the wrong one.
fn to_look_at(room: &Room, preview: &Preview, id: &ResourceId) -> Markup {
    let mut reached = preview.concerned.resources.iter();
    let found = reached.find(|one| is_customer(&one.kind) && one.id == *id);
    html! {
        @if let Some(found) = found {
            a href=(room.resource(&found.kind, &found.id)) { "See who it is" }
        }
    }
}

fn is_customer(kind: &Kind) -> bool {
    kind.as_str() == CUSTOMER
}

fn what_is_reached(preview: &Preview) -> Markup {
    let concerned = &preview.concerned;
    let versions: u64 = concerned.resources.iter().map(|one| one.versions).sum();
    html! {
        @if preview.kinds.is_empty() { p { "Nothing that is kept names them. What comes later is kept out." } }
        @else {
            ul.concerns {
                @for (kind, n) in &preview.kinds { li.bad {
                    @if is_customer(kind) { (human::count(*n, kind.as_str())) ", but for the number" }
                    @else { "Whatever speaks of them in " (human::count(*n, kind.as_str())) }
                } }
                @if concerned.records > 0 {
                    li.bad { "What " (shell::many(concerned.records, "record")) " of plans, jobs and the like say of them" }
                }
                @if concerned.quarantined > 0 { li.bad { (shell::many(concerned.quarantined, "event")) " kept aside" } }
            }
            p.quiet { "In every version of these, " (shell::number(versions)) " in all, on the stream and on the disk." }
        }
    }
}

/// Begins to erase a customer.
pub(crate) async fn erase(room: Room, form: Form) -> Result<Response, Problem> {
    let id = customer(form.get(CUSTOMER).unwrap_or_default())?;
    let _: Value = room.post("erasures", Some(&json!({"customer": id}))).await?;
    Ok(Redirect::to(&format!("{}/privacy", room.path())).into_response())
}

/// What is kept of a customer, in a file.
pub(crate) async fn held(room: Room, form: Form) -> Result<Response, Problem> {
    let id = customer(form.get(CUSTOMER).unwrap_or_default())?;
    let mut file = room.file_of("data-requests", &json!({"customer": id})).await?;
    let name = format!("attachment; filename=\"{}-customer-{id}.ndjson\"", room.shop.name());
    if let Ok(name) = HeaderValue::from_str(&name) {
        file.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(file)
}

/// The customer that a text names: by number, by gid, or by the address in Shopify's admin.
fn customer(text: &str) -> Result<ResourceId, Problem> {
    let text = text.trim();
    let (place, number) = text.rsplit_once('/').unwrap_or(("/Customer", text));
    let is_one = place.ends_with("/Customer") || place.ends_with("/customers");
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    ResourceId::parse(number).ok().filter(|_| is_one && is_number).ok_or_else(|| {
        let text: String = text.chars().take(100).collect();
        refuse::bad_request(format!(
            "{text:?} names no customer: their number, such as 7713840332914, stands at the end of their \
             address in Shopify's admin"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_there_is_is_said_in_days() {
        let now = Timestamp::parse("2026-11-22T12:00:00Z").expect("an instant");
        let after = |hours: i64| {
            let due_at = Timestamp::from_micros(now.as_micros() + hours * 3_600_000_000);
            let (tone, said) = deadline(now, due_at);
            (tone.class(), said)
        };
        let table = [
            (29 * 24 + 23, "notice", "due in 29 days"),
            (11 * 24, "notice", "due in 11 days"),
            (11 * 24 - 1, "warning", "due in 10 days"),
            (25, "warning", "due in 1 day"),
            (23, "warning", "due within a day"),
            (-1, "bad", "overdue since today"),
            (-24, "bad", "overdue by 1 day"),
            (-50, "bad", "overdue by 2 days"),
        ];
        for (hours, tone, said) in table {
            assert_eq!(after(hours), (tone, said.to_owned()), "{hours} hours");
        }
    }

    #[test]
    fn a_customer_is_named_as_shopify_shows_it() {
        let named = |text: &str| customer(text).map(|id| id.to_string()).ok();
        let address = "https://admin.shopify.com/store/acme/customers/7713840332914";
        for text in ["7713840332914", " gid://shopify/Customer/7713840332914 ", address] {
            assert_eq!(named(text).as_deref(), Some("7713840332914"), "{text}");
        }
        for text in ["", "Ada", "7x", "gid://shopify/Order/7", "https://a.example/orders/7", "/"] {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
