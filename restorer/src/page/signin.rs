//! Signing in with a token, and out.

use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::problem::Problem;
use http::{StatusCode, header};
use maud::{Markup, html};
use serde::Deserialize;

use super::form::Form;
use super::room::encoded;
use super::{session, shell};
use crate::Desk;
use crate::gate::{self, Refusal};

#[derive(Default, Deserialize)]
pub(crate) struct SignInQuery {
    to: Option<String>,
}

/// Where somebody signs in who then wants to see `to`.
pub(super) fn address(to: &str) -> String {
    match to {
        "/" => "/signin".into(),
        to => format!("/signin?to={}", encoded(to)),
    }
}

/// The form.
pub(crate) async fn ask(Query(query): Query<SignInQuery>) -> shell::Shown {
    shell::Shown(form(query.to.as_deref(), None))
}

/// The form, and what was wrong with it the last time.
pub(super) fn form(to: Option<&str>, wrong: Option<&str>) -> Markup {
    shell::alone(
        "Sign in",
        html! {
            h1 { "Sign in" }
            @if let Some(wrong) = wrong { p.banner.bad role="alert" #wrong { (wrong) } }
            form.stack method="post" action="/signin" {
                @if let Some(to) = to { input type="hidden" name="to" value=(to); }
                input.hidden type="text" name="username" value="backstock" autocomplete="username" tabindex="-1" aria-hidden="true" readonly;
                div.field {
                    label for="token" { "Access token" }
                    input #token type="password" name="token" required autofocus
                        autocomplete="current-password" spellcheck="false" placeholder="bst_…"
                        aria-describedby=[wrong.map(|_| "wrong")] aria-invalid=[wrong.map(|_| "true")];
                }
                button.button.primary type="submit" { "Sign in" }
            }
            p.quiet {
                "Whoever looks after Backstock for you makes one with "
                code { "backstock token new --name you --scope read --scope restore" }
                ". With " code { "--scope admin" } " as well you may look after Backstock itself, and "
                "see who did what."
            }
        },
    )
}

/// Takes the form.
pub(crate) async fn sign_in(
    State(desk): State<Arc<Desk>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if !session::is_ours(&parts) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "sign in from Backstock's own page"));
    }
    let form = Form::read(Request::from_parts(parts.clone(), body), &desk).await?;
    let to = form.get("to").filter(|to| is_here(to));
    let text = form.get("token").unwrap_or_default().trim();
    let token = match gate::recognise(&desk, &parts, text) {
        Ok(token) => token,
        Err(refusal) => {
            let said = match refusal {
                Refusal::Throttled { seconds } => {
                    format!("Too many wrong tokens came from here. Wait {seconds} seconds.")
                }
                _ => "This is not a token that Backstock knows. Check that all of it was pasted."
                    .into(),
            };
            let page = shell::Shown(self::form(to, Some(&said)));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let session = desk.config.session_key.open(token.digest, desk.clock.now());
    let mut response = Redirect::to(to.unwrap_or("/")).into_response();
    if let Some(cookie) = session.cookie(&parts.headers) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A path on this server, and nothing that a browser would take for another one.
fn is_here(to: &str) -> bool {
    to.starts_with('/') && !to.starts_with("//") && !to.contains(['\\', '\n', '\r', '\t'])
}

/// Ends the session.
pub(crate) async fn sign_out(request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    if !session::is_ours(&parts) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "sign out from Backstock's own page"));
    }
    let mut response = Redirect::to("/signin").into_response();
    if let Some(cookie) = session::no_cookie(&parts.headers) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_nowhere_else() {
        assert!(is_here("/shops/acme?x=1"));
        for other in [
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "",
            "shops",
            "/\t/evil.example",
        ] {
            assert!(!is_here(other), "{other}");
        }
    }
}
