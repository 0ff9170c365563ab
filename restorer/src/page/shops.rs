//! The way in: the sign-in form, the only shop, or a choice of shops; and from Shopify's admin.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::journal::ShopSummary;
use backstock_proto::problem::Problem;
use http::StatusCode;
use maud::html;

use super::{embedded, shell, signin, when};
use crate::Desk;
use crate::answer::shop;
use crate::ask::{Asked, ShortListQuery};
use crate::gate::Visit;

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
    let visit = Visit { token: Some(token), session, shop: None };
    let asked = Asked(ShortListQuery::default());
    let shops = shop::shops(State(desk), Extension(visit), asked).await?.0.items;
    Ok(match shops.as_slice() {
        [only] => Redirect::to(&path(only)).into_response(),
        shops => shell::Shown(choice(shops)).into_response(),
    })
}

fn path(shop: &ShopSummary) -> String {
    format!("/shops/{}", shop.shop.name())
}

fn choice(shops: &[ShopSummary]) -> maud::Markup {
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
            form.actions.low method="post" action="/signout" { button.button type="submit" { "Sign out" } }
        },
    )
}
