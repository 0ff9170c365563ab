//! The way in: the sign-in form, the only shop, or a choice of shops; and from Shopify's admin.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::journal::{List, ShopSummary};
use backstock_proto::problem::Problem;
use http::StatusCode;
use maud::html;

use super::room::{Part, query};
use super::{embedded, shell, signin, when};
use crate::Desk;
use crate::answer::shop;
use crate::ask::{Asked, ShortListQuery};
use crate::gate::{Refusal, Visit};
use crate::token::Scope;

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
    let Query(Part { cursor }) = Query::<Part>::try_from_uri(&parts.uri).unwrap_or_default();
    let later = cursor.is_some();
    let asked = Asked(ShortListQuery { cursor, ..ShortListQuery::default() });
    let List { items, next } = shop::shops(State(desk), Extension(visit), asked).await?.0;
    Ok(match items.as_slice() {
        [only] if !later && next.is_none() => Redirect::to(&path(only)).into_response(),
        shops => shell::Shown(choice(shops, later, next)).into_response(),
    })
}

fn path(shop: &ShopSummary) -> String {
    format!("/shops/{}", shop.shop.name())
}

/// A page of them; `later`: not the first.
fn choice(shops: &[ShopSummary], later: bool, next: Option<String>) -> maud::Markup {
    let address = |next: String| format!("/{}", query(&[("cursor", Some(next))]));
    shell::alone(
        "Your shops",
        html! {
            h1 { "Your shops" }
            @if shops.is_empty() {
                (shell::empty("No shop yet", html! {
                    "None is configured, or this token sees none. A shop is a " code { "[[shop]]" }
                    " in " code { "backstock.toml" } "."
                }))
            }
            ul.rows {
                @for shop in shops {
                    li {
                        a.row href=(path(shop)) {
                            span.main { strong { (shop.shop.name()) } }
                            span.quiet {
                                (shell::number(shop.resources)) " kept · "
                                @if shop.lag_seconds < 60.0 { "up to date" }
                                @else { (when::lasting(shop.lag_seconds)) " behind" }
                            }
                        }
                    }
                }
            }
            (shell::paging(later.then(|| "/".into()), next.map(address)))
            form.actions.low method="post" action="/signout" { button.button type="submit" { "Sign out" } }
        },
    )
}
