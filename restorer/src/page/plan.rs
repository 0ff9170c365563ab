//! A plan: how many rows do what, what comes of it, each row as a difference between now and
//! afterwards, and the button with the number in it.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::journal::AsOf;
use backstock_proto::merge::{Field, Kept};
use backstock_proto::problem::Problem;
use backstock_proto::{Kind, ResourceId, ResourceKey, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::Form;
use super::room::{Room, encoded, query};
use super::shell::{self, Shown, Tab, Tone};
use super::{diff, job, restore};
use crate::ask::Asked;
use crate::human::{self, Known, Line};
use crate::job::Job;
use crate::plan::{Action, Counts, Plan, Request, Row, Select, store};
use crate::refuse;
use crate::token::Scope;
use crate::write;

/// Rows on one page.
const PAGE: usize = 50;

/// A plan with a page of its rows, as the API answers.
#[derive(Deserialize)]
struct WithRows {
    #[serde(flatten)]
    plan: Plan,
    rows: Vec<Row>,
    next: Option<String>,
}

/// Which rows.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Rows {
    action: Option<String>,
    cursor: Option<String>,
}

/// Which plan.
#[derive(Deserialize)]
pub(crate) struct Which {
    id: String,
}

/// The page.
pub(crate) async fn plan(
    room: Room,
    Path(Which { id }): Path<Which>,
    Asked(asked): Asked<Rows>,
) -> Result<Shown, Problem> {
    let pairs = [
        ("action", asked.action.clone()),
        ("cursor", asked.cursor.clone()),
        ("limit", Some(PAGE.to_string())),
    ];
    let path = format!("plans/{}{}", encoded(&id), query(&pairs));
    // Flattened exact numbers do not survive serde's buffer: read in two steps.
    let mut answer: Value = room.get(&path).await?;
    let rows = answer["rows"].take();
    let next = answer["next"].as_str().map(str::to_owned);
    let unreadable =
        |error: serde_json::Error| refuse::bad_request(format!("the plan cannot be read: {error}"));
    let found = WithRows {
        plan: serde_json::from_value(answer).map_err(unreadable)?,
        rows: serde_json::from_value(rows).map_err(unreadable)?,
        next,
    };
    let names = Names::of(&room, &found.rows).await;
    let here = format!("{}/plans/{}", room.path(), found.plan.id);
    let page = |cursor: Option<String>| {
        here.clone() + &query(&[("action", asked.action.clone()), ("cursor", cursor)])
    };
    let writes = writes(&found.plan.counts);
    let plans = BTreeSet::from([found.plan.id.as_str()]);
    let jobs = room.desk.jobs.of_plans(&room.shop, &plans, found.plan.made_at).await;
    let jobs = jobs.map_err(refuse::record)?;
    let job = jobs.first();
    let wanted = wanted(&room, &found.plan.request).await;
    let content = html! {
        a.back href={ (room.path()) "/restore" } { "Restore" }
        (shell::heading(&wanted, html! {
            div.actions {
                @if room.may(Scope::Restore) { (restore::anew(&room, &found.plan.request)) }
                button.button type="button" data-copy=(here) hidden { "Copy link for approval" }
            }
        }))
        p.quiet { "Made " (room.clock.ago(found.plan.made_at)) " by " (found.plan.by) "." }
        @if let Some(job) = job { (applied(&room, job)) }
        (counts(&here, &found.plan, asked.action.as_deref()))
        (consequences(&room, &found.plan))
        section.card aria-labelledby="rows" {
            div.cardhead {
                h2 #rows { "What would change" }
                @if writes > 0 && room.may(Scope::Restore) { span.quiet.small { "Untick what is to stay as it is." } }
            }
            noscript {
                p.banner.notice {
                    "Without this page's script, only what is unticked on the page from which you apply is left out."
                }
            }
            @if found.rows.is_empty() {
                (shell::empty("Nothing to do", html! { "There is nothing here to write; above is why." }))
            }
            form #apply method="post" action={ (here) "/apply" } data-plan=(found.plan.id) data-writes=(writes) {
                (shell::sealed(&room))
                input type="hidden" name="digest" value=(found.plan.digest);
                input type="hidden" name="deselect" value="";
                ul.rows.plan {
                    @for row in &found.rows { (self::row(&room, row, &names)) }
                }
            }
            (shell::paging(asked.cursor.is_some().then(|| page(None)), found.next.map(|next| page(Some(next)))))
        }
        @if writes > 0 { (footer(&room, &found.plan, writes)) }
    };
    Ok(shell::page(&room, Tab::Restore, "Plan", content))
}

/// Rows that write something.
pub(super) fn writes(counts: &Counts) -> u64 {
    counts.create + counts.update + counts.delete
}

/// A plan without its rows, as far as it is still there.
pub(super) async fn found(room: &Room, id: &str) -> Option<Plan> {
    store::get(room.desk.journal.as_ref(), &room.shop, id).await.ok().flatten()
}

/// What one thing is called, or else what sort it is of.
async fn one(room: &Room, kind: &Kind, id: &str) -> String {
    let mut title = String::new();
    if let Ok(id) = ResourceId::parse(id) {
        let key = ResourceKey { shop: room.shop.clone(), kind: kind.clone(), id };
        if let Ok(Some(found)) = room.desk.journal.resource(&key, AsOf::Latest).await {
            title = kind.listing(&found.state).title;
        }
    }
    if title.is_empty() { format!("one {}", human::singular(kind.as_str())) } else { title }
}

/// What was selected, in a few words; `None` where nothing was said, and all of it is meant.
async fn selected(room: &Room, Select { kinds, ids, q, fields }: &Select) -> Option<String> {
    let of_these = match (kinds.as_slice(), ids.as_slice()) {
        ([], []) => None,
        ([kind], [id]) => Some(one(room, kind, id).await),
        (_, [_]) => Some("one thing".into()),
        (_, [_, ..]) => Some(shell::many(ids.len() as u64, "thing")),
        (kinds, []) => Some(listed(kinds)),
    };
    let called = match (q, of_these) {
        (None, of_these) => of_these,
        (Some(q), None) => Some(format!("what is called “{q}”")),
        (Some(q), Some(of_these)) => Some(format!("{of_these} called “{q}”")),
    };
    if fields.is_empty() {
        return called;
    }
    let of = called.unwrap_or_else(|| "everything".into());
    Some(format!("{} of {of}", shell::many(fields.len() as u64, "field")))
}

/// `products, pages and menus`.
fn listed(kinds: &[Kind]) -> String {
    let names: Vec<String> = kinds.iter().map(|kind| human::plural(kind.as_str())).collect();
    match names.as_slice() {
        [rest @ .., last] if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        names => names.concat(),
    }
}

/// What was asked for, in a few words.
pub(super) async fn wanted(room: &Room, request: &Request) -> String {
    let what = selected(room, &request.select).await;
    let to_what = what.as_ref().map(|what| format!(" to {what}")).unwrap_or_default();
    let only = what.as_ref().map(|what| format!(", only {what}")).unwrap_or_default();
    let short = |at: Timestamp| room.clock.short(at);
    let until = request.to.map(|to| format!(" until {}", short(to))).unwrap_or_default();
    if let Some(at) = request.at {
        return match request.to {
            Some(_) => format!("Undo what happened{to_what} after {}{until}", short(at)),
            None => format!("Put {} back to {}", what.as_deref().unwrap_or("the shop"), short(at)),
        };
    }
    if request.undo.is_some() {
        return format!("Undo what was put back{only}");
    }
    if request.change_set.is_some() {
        let of = request.begins().map(|at| format!("the change-set of {}", short(at)));
        return format!("Undo {}{only}", of.unwrap_or("one change-set".into()));
    }
    let since = request.from.map(|from| format!(" since {}{until}", short(from)));
    match (&request.app, since) {
        (Some(app), since) => format!("Undo what {app} did{to_what}{}", since.unwrap_or_default()),
        (None, Some(since)) => format!("Undo what happened{to_what}{since}"),
        (None, None) => format!("Put back what an export holds{only}"),
    }
}

/// How many rows do what, in a sentence.
pub(super) fn counted(counts: &Counts) -> String {
    let number = shell::number;
    let all = [
        (counts.update, "change"),
        (counts.create, "create anew"),
        (counts.delete, "delete"),
        (counts.keep, "leave alone"),
        (counts.cannot, "cannot"),
    ];
    let parts: Vec<String> = all
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{what} {}", number(*n)))
        .collect();
    if parts.is_empty() { "Nothing to do".into() } else { shell::capital(&parts.join(" · ")) }
}

/// What became of it, where somebody had it applied already.
fn applied(room: &Room, job: &Job) -> Markup {
    let (tone, state) = job::said(job.state);
    html! {
        p.banner.notice {
            (job.by) " had it applied " (room.clock.time(job.started_at)) ": "
            a href={ (room.path()) "/jobs/" (job.id) } { "what became of it" } " "
            (shell::badge(tone, state))
        }
    }
}

fn counts(here: &str, plan: &Plan, shown: Option<&str>) -> Markup {
    let counts = plan.counts;
    let all = [
        ("update", "Will change", counts.update),
        ("create", "Create anew", counts.create),
        ("delete", "Delete", counts.delete),
        ("keep", "Newer edits, left alone", counts.keep),
        ("cannot", "Cannot be written", counts.cannot),
    ];
    html! {
        nav.counts aria-label="Rows by what they do" {
            a href=(here) aria-current=[shown.is_none().then_some("true")] {
                span.n { (shell::number(counts.rows())) } span { "In all" }
            }
            @for (action, name, n) in all {
                @if n > 0 {
                    a href={ (here) "?action=" (action) } aria-current=[(shown == Some(action)).then_some("true")] {
                        span.n { (shell::number(n)) } span { (name) }
                    }
                }
            }
        }
    }
}

fn consequences(room: &Room, plan: &Plan) -> Markup {
    let writes = writes(&plan.counts);
    html! {
        section.card aria-labelledby="consequences" {
            div.cardhead {
                h2 #consequences { @if writes > 0 { "Before you say yes" } @else { "Why nothing is written" } }
            }
            ul.concerns {
                @for consequence in &plan.consequences { li.notice { (consequence) } }
                @if writes > 0 && room.desk.config.second_person.contains(&room.shop) {
                    li.notice { "It begins once another person than the one who applies it has approved it." }
                }
                @if writes > 0 {
                    li.good { "The shop is read once more before each write; what moved meanwhile is not touched." }
                    li.good {
                        "It can be undone afterwards, unless something above says otherwise."
                        @if plan.counts.delete > 0 { " What is deleted then comes back with a new id." }
                    }
                }
            }
        }
    }
}

/// What names what is in rows: the things' own states, and the titles of what they speak of.
#[derive(Default)]
struct Names {
    states: BTreeMap<u64, Value>,
    titles: BTreeMap<String, String>,
}

impl Names {
    async fn of(room: &Room, rows: &[Row]) -> Self {
        let mut names = Self::default();
        for row in rows.iter().filter(|row| row.action == Action::Update) {
            let (shop, kind, id) = (room.shop.clone(), row.kind.clone(), row.id.clone());
            let key = ResourceKey { shop, kind, id };
            if let Ok(Some(found)) = room.desk.journal.resource(&key, AsOf::Latest).await {
                names.states.insert(row.n, found.state);
            }
        }
        let gids: BTreeSet<String> =
            rows.iter().flat_map(|row| human::mentioned(&names.lines(room, row))).collect();
        names.titles = room.titles(gids).await;
        names
    }

    fn known<'a>(&'a self, room: &'a Room, row: &Row) -> Known<'a> {
        Known { before: self.states.get(&row.n), ..room.known(&self.titles) }
    }

    /// What an update writes. What is created is told by its notes.
    fn lines(&self, room: &Room, row: &Row) -> Vec<Line> {
        match row.action {
            Action::Update => {
                let seen = |field: &&Field| !write::names_bytes(&field.path);
                let fields: Vec<Field> = row.fields.iter().filter(seen).cloned().collect();
                human::tell(&fields, self.known(room, row))
            }
            _ => Vec::new(),
        }
    }
}

fn row(room: &Room, row: &Row, names: &Names) -> Markup {
    let writes = matches!(row.action, Action::Create | Action::Update | Action::Delete);
    let title = if row.title.is_empty() { format!("#{}", row.id) } else { row.title.clone() };
    let lines = names.lines(room, row);
    let (tone, said) = said(row.action);
    html! {
        li.planrow {
            div.planhead {
                @if writes {
                    input type="hidden" name="shown" value=(row.n);
                    input type="checkbox" checked name="row" value=(row.n) aria-label={ "Do it: " (title) };
                }
                div.main {
                    a href=(room.resource(&row.kind, &row.id)) { strong { (title) } } " "
                    span.quiet { (human::singular(row.kind.as_str())) }
                }
                (shell::badge(tone, said))
            }
            @if !lines.is_empty() { (diff::table(room, &lines, "now", "afterwards")) }
            @for kept in &row.kept { (self::kept(room, kept, names.known(room, row))) }
            @for field in &row.unwritable {
                p.small.quiet { "Stays as it is: " (spelt(field.path.member())) ". " (field.why) }
            }
            @for note in &row.notes { p.small.quiet { (note) } }
        }
    }
}

fn spelt(member: &str) -> String {
    human::called(member)
}

fn kept(room: &Room, kept: &Kept, known: Known<'_>) -> Markup {
    let field = Field { path: kept.path.clone(), old: kept.now.clone(), new: kept.before.clone() };
    let lines = human::tell(&[field], known);
    html! {
        @for line in &lines {
            p.small.quiet {
                "Newer edit, left alone: " (line.what) " stays " (room.in_words(&line.old).short(80))
                " (it was " (room.in_words(&line.new).short(80)) ")"
            }
        }
    }
}

fn said(action: Action) -> (Tone, &'static str) {
    match action {
        Action::Create => (Tone::Good, "create anew"),
        Action::Update => (Tone::Notice, "change"),
        Action::Delete => (Tone::Bad, "delete"),
        Action::Keep => (Tone::Plain, "leave alone"),
        Action::Cannot => (Tone::Warning, "cannot"),
    }
}

fn footer(room: &Room, plan: &Plan, writes: u64) -> Markup {
    html! {
        div.applybar {
            p { strong { (counted(&plan.counts)) } }
            @if room.may(Scope::Restore) {
                button.button.primary type="submit" form="apply" data-count="" {
                    "Apply " (shell::number(writes)) @if writes == 1 { " change" } @else { " changes" }
                }
            } @else { p.quiet { "Your token may not apply it. Send the link to somebody who may." } }
        }
    }
}

/// Begins the job, and shows it.
pub(crate) async fn apply(
    room: Room,
    Path(Which { id }): Path<Which>,
    form: Form,
) -> Result<Response, Problem> {
    // What was unticked on this page, and on the others as the script remembers it.
    let ticked: BTreeSet<&str> = form.all("row").collect();
    let here = form.all("shown").filter(|n| !ticked.contains(n));
    let elsewhere = form.get("deselect").unwrap_or_default().split(',').filter(|n| !n.is_empty());
    let deselect: Result<BTreeSet<u64>, _> = here.chain(elsewhere).map(str::parse).collect();
    let deselect = deselect.map_err(|_| refuse::bad_request("deselect holds numbers of rows"))?;
    let digest = form.get("digest").unwrap_or_default();
    let path = format!("plans/{}/apply", encoded(&id));
    let job: Job = room.post(&path, Some(&json!({"digest": digest, "deselect": deselect}))).await?;
    Ok(Redirect::to(&format!("{}/jobs/{}", room.path(), job.id)).into_response())
}
