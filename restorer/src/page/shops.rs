//! The way in: the sign-in form, the only shop, or a choice of shops with how each is; and from Shopify's
//! admin.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;

use super::concern::LAG_SECONDS_FINE;
use super::room::query;
use super::shell::{self, Tone};
use super::when::Clock;
use super::{embedded, overview, signin, when};
use crate::answer::shop;
use crate::ask::{Asked, ShopsQuery};
use crate::gate::{Refusal, Visit};
use crate::health::{Health, HealthState, ShopListed};
use crate::token::Scope;
use crate::{Desk, health};

/// Which shops, as the page's address says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    q: String,
    cursor: Option<String>,
}

/// `/`
pub(crate) async fn home(
    State(desk): State<Arc<Desk>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    if let Some(opened) = embedded::opened(parts.uri.query()) {
        return embedded::enter(&desk, &parts, &opened);
    }
    let session = desk.config.session_key.find(&parts.headers, desk.clock.now());
    let token = session.as_ref().and_then(|session| desk.tokens.with_digest(&session.token));
    let Some(token) = token else {
        if desk.config.session_key.embedded(&parts.headers).is_some() {
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "the session has ended"));
        }
        return Ok(shell::Shown(signin::form(None, None)).into_response());
    };
    // The route is everybody's, the list of shops is not.
    if !token.scopes.contains(&Scope::Read) {
        let refusal = Refusal::MissingScope { token: token.name.clone(), scope: Scope::Read };
        return Ok(refusal.into_response());
    }
    let visit = Visit { token: Some(token), session, shop: None };
    let Query(wanted) = Query::<Wanted>::try_from_uri(&parts.uri).unwrap_or_default();
    let (q, cursor) = (Some(wanted.q.clone()), wanted.cursor.clone());
    let asked = Asked(ShopsQuery { q, cursor, ..ShopsQuery::default() });
    let mut list = shop::shops(State(desk.clone()), Extension(visit), asked).await?.0;
    let is_all = wanted.q.is_empty() && wanted.cursor.is_none() && list.next.is_none();
    if let ([only], true) = (list.items.as_slice(), is_all) {
        return Ok(Redirect::to(&path(only)).into_response());
    }
    health::tell(&desk, &mut list.items).await;
    // Of those that are not known, somebody has to look as well.
    let state = |shop: &ShopListed| shop.health.as_ref().map_or(HealthState::Notice, |h| h.state);
    list.items.sort_by_key(|shop| Reverse(state(shop)));
    let clock = Clock::new(None, desk.clock.now());
    Ok(shell::Shown(choice(&wanted, list, &clock)).into_response())
}

fn path(shop: &ShopListed) -> String {
    format!("/shops/{}", shop.summary.shop.name())
}

/// A page of them.
fn choice(wanted: &Wanted, List { items, next }: List<ShopListed>, clock: &Clock) -> Markup {
    let address =
        |cursor| format!("/{}", query(&[("q", Some(wanted.q.clone())), ("cursor", cursor)]));
    shell::alone(
        "Your shops",
        html! {
            h1 { "Your shops" }
            form.filters method="get" action="/" role="search" aria-label="Shops" {
                div.field.wide {
                    label for="q" { "A part of a shop's name" }
                    input #q type="search" name="q" value=(wanted.q) autocomplete="off" data-key="/";
                }
                button.button type="submit" { "Find" }
            }
            @if items.is_empty() && wanted.q.is_empty() {
                (shell::empty("No shop yet", html! {
                    "None is configured, or this token sees none. A shop is a " code { "[[shop]]" }
                    " in " code { "backstock.toml" } "."
                }))
            } @else if items.is_empty() {
                (shell::empty(&format!("No shop’s name holds “{}”", wanted.q), html! {
                    a href="/" { "All of your shops" }
                }))
            } @else {
                p.quiet { (counted(&items)) }
            }
            ul.rows { @for shop in &items { (row(shop, clock)) } }
            (shell::paging(wanted.cursor.is_some().then(|| address(None)), next.map(|next| address(Some(next)))))
            form.actions.low method="post" action="/signout" { button.button type="submit" { "Sign out" } }
        },
    )
}

/// How many there are in the list, and how many of them somebody should look at.
fn counted(items: &[ShopListed]) -> String {
    let mut said = vec![shell::many(items.len() as u64, "shop")];
    for (state, what) in [(HealthState::Bad, "with harm"), (HealthState::Warning, "to look at")] {
        let is = |shop: &&ShopListed| shop.health.as_ref().is_some_and(|h| h.state == state);
        let count = items.iter().filter(is).count();
        if count > 0 {
            said.push(format!("{} {what}", shell::number(count as u64)));
        }
    }
    let unknown = items.iter().filter(|shop| shop.health.is_none()).count();
    if unknown > 0 {
        said.push(format!("{} being looked at: reload the page", shell::number(unknown as u64)));
    }
    said.join(" · ")
}

fn row(shop: &ShopListed, clock: &Clock) -> Markup {
    let summary = &shop.summary;
    let (tone, state) = said(shop.health.as_ref());
    html! {
        li {
            a.row href=(path(shop)) {
                span.main {
                    strong { (summary.shop.name()) } " "
                    (shell::badge(tone, &state))
                    @if let Some(wrong) = shop.health.as_ref().and_then(|health| health.wrong.first()) {
                        span.what { (overview::told(wrong)) }
                    }
                }
                span.side {
                    span {
                        @match shop.health.as_ref().and_then(|health| health.last_complete_pull) {
                            Some(at) => { "read whole " (clock.ago(at)) },
                            None => "never read whole",
                        }
                    }
                    span {
                        (shell::number(summary.resources)) " kept · "
                        @if summary.lag_seconds < LAG_SECONDS_FINE { "up to date" }
                        @else { (when::lasting(summary.lag_seconds)) " behind" }
                    }
                }
            }
        }
    }
}

/// How a shop is, in a word and a colour.
fn said(health: Option<&Health>) -> (Tone, String) {
    let Some(health) = health else { return (Tone::Plain, "not known yet".into()) };
    match health.state {
        HealthState::Good => (Tone::Good, "well".into()),
        HealthState::Notice => (Tone::Notice, "something to know".into()),
        HealthState::Warning => (Tone::Warning, "needs a look".into()),
        HealthState::Bad => (Tone::Bad, shell::many(health.incidents_open, "open incident")),
    }
}
