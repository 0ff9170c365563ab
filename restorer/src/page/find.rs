//! Finding things, also those that are no more.

use axum::extract::State;
use backstock_proto::Kind;
use backstock_proto::journal::Summary;
use backstock_proto::problem::Problem;
use maud::{Markup, html};
use serde::Deserialize;

use super::changes::kind_choice;
use super::room::{Room, query};
use super::shell::{self, Shown, Tab, Tone};
use crate::answer::resource;
use crate::ask::{Asked, InShop, ResourcesQuery};
use crate::human;

/// Things on one page.
const PAGE: usize = 50;

/// What is looked for, as the form says; empty fields count for nothing.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    q: Option<String>,
    kind: Option<String>,
    deleted: Option<String>,
    at: Option<String>,
    cursor: Option<String>,
}

/// The page.
pub(crate) async fn find(room: Room, Asked(filter): Asked<Filter>) -> Result<Shown, Problem> {
    let given =
        |text: &Option<String>| text.clone().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty());
    let asked = ResourcesQuery {
        kind: given(&filter.kind).and_then(|kind| Kind::parse(&kind).ok()),
        q: given(&filter.q),
        at: given(&filter.at).and_then(|at| room.clock.parse(&at)),
        deleted: given(&filter.deleted).and_then(|deleted| deleted.parse().ok()),
        limit: PAGE.try_into().ok(),
        cursor: given(&filter.cursor),
    };
    let kinds = room.kinds().await?;
    let (desk, at) = (State(room.desk.clone()), InShop(room.shop.clone()));
    let list = resource::resources(desk, at, Asked(asked)).await?.0;
    let content = html! {
        (shell::heading("Find", html! {}))
        section.card {
            (form(&room, &filter, &kinds))
            @if list.items.is_empty() { (nothing(&filter, list.next.is_some())) }
            @else { ul.rows { @for found in &list.items { (row(&room, found, filter.at.as_deref())) } } }
            (shell::paging(
                filter.cursor.is_some().then(|| filter.address(&room, None)),
                list.next.map(|next| filter.address(&room, Some(next))),
            ))
        }
    };
    Ok(shell::page(&room, Tab::Find, "Find", content))
}

impl Filter {
    fn address(&self, room: &Room, cursor: Option<String>) -> String {
        let own = self.clone();
        let pairs = [
            ("q", own.q),
            ("kind", own.kind),
            ("deleted", own.deleted),
            ("at", own.at),
            ("cursor", cursor),
        ];
        format!("{}/find{}", room.path(), query(&pairs))
    }
}

fn form(room: &Room, filter: &Filter, kinds: &[Kind]) -> Markup {
    let at = filter.at.as_deref().and_then(|at| room.clock.parse(at));
    html! {
        form.filters method="get" role="search" aria-label="Everything that is kept" {
            div.field.wide {
                label for="text" { "Title, handle, SKU, order number, email …" }
                input #text type="search" name="q" value=(filter.q.as_deref().unwrap_or_default()) autocomplete="off";
            }
            (kind_choice(kinds, filter.kind.as_deref()))
            div.field {
                label for="deleted" { "Deleted or not" }
                select #deleted name="deleted" {
                    @for (value, name) in [("", "Both"), ("false", "Only what is there"), ("true", "Only what was deleted")] {
                        option value=(value) selected[filter.deleted.as_deref().unwrap_or_default() == value] { (name) }
                    }
                }
            }
            div.field {
                label for="at" { "As it was at" }
                input #at type="datetime-local" step="1" name="at" value=(at.map(|at| room.clock.input(at)).unwrap_or_default());
            }
            button.button type="submit" { "Find" }
        }
    }
}

/// `more`: not everything was looked through yet.
fn nothing(filter: &Filter, more: bool) -> Markup {
    let looked_for = filter.q.as_deref().unwrap_or_default().trim();
    if more {
        return shell::empty(
            "Nothing so far",
            html! { "There is much to look through. “Next” goes on where this ended; naming a kind or more of the name helps." },
        );
    }
    if looked_for.is_empty() {
        return shell::empty("Nothing here", html! { "Nothing of this sort has been kept yet." });
    }
    shell::empty(
        &format!("Nothing matches “{looked_for}”"),
        html! {
            "Try a part of the name, or another kind. What was deleted is looked through as well, unless you chose otherwise."
        },
    )
}

fn row(room: &Room, found: &Summary, at: Option<&str>) -> Markup {
    let listing = &found.listing;
    let title =
        if listing.title.is_empty() { format!("#{}", found.id) } else { listing.title.clone() };
    let at = at.filter(|at| !at.is_empty()).and_then(|at| room.clock.parse(at));
    let to = query(&[("to", at.map(|at| at.to_string()))]);
    html! {
        li {
            a.row href={ (room.resource(&found.kind, &found.id)) (to) } {
                span.main {
                    strong { (title) } " "
                    span.quiet { (human::singular(found.kind.as_str())) }
                    @if let Some(handle) = &listing.handle { span.what { (handle) } }
                }
                span.side {
                    @if found.deleted { (shell::badge(Tone::Bad, "deleted")) }
                    (room.clock.time(found.valid_at))
                }
            }
        }
    }
}
