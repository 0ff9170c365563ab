//! What every answer to a browser gets: its policy, a session that lives on, and errors as pages.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use backstock_proto::problem::{MEDIA_TYPE, Problem};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use maud::{Markup, html};

use super::embedded::{self, FramedBy};
use super::shell;
use crate::Desk;

/// Our own style, script and pictures, pictures of the shop's own files, and forms that come back
/// here. Nothing written into a page runs, and who may frame it is said last.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self' https://cdn.shopify.com; form-action 'self'; base-uri 'none'; \
    frame-ancestors";

/// Most bytes that a problem has.
const PROBLEM_BYTES_MAX: usize = 256 * 1024;

/// Makes a page of what the gate and the handlers answer.
pub(crate) async fn dress(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let (method, asked) = (request.method().clone(), request.uri().clone());
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    let mut framed_by = embedded::framed_by(&desk, &headers);
    if is_problem(&response) {
        if let Some((by, page)) = ended(&desk, &headers, &response) {
            framed_by = Some(by);
            response = (response.status(), shell::Shown(page)).into_response();
        } else {
            let asked = asked.path_and_query().map_or("/", |path| path.as_str());
            response = problem(response, &method, asked).await;
        }
    } else {
        extend(&desk, &headers, &mut response);
    }
    let ancestors = framed_by.as_ref().map_or("'none'".into(), FramedBy::ancestors);
    if let Ok(policy) = HeaderValue::from_str(&format!("{POLICY} {ancestors}")) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        if let Some(framed_by) = framed_by {
            response.extensions_mut().insert(framed_by);
        }
    }
    response
}

/// What is shown where a session in a frame of Shopify's admin is over.
fn ended(desk: &Desk, headers: &HeaderMap, response: &Response) -> Option<(FramedBy, Markup)> {
    let over = response.status() == StatusCode::UNAUTHORIZED;
    over.then(|| embedded::over(desk, headers)).flatten()
}

/// A session that is used does not end.
fn extend(desk: &Desk, headers: &HeaderMap, response: &mut Response) {
    let now = desk.clock.now();
    let Some(session) = desk.config.session_key.find(headers, now) else { return };
    if !session.is_old(now) || response.headers().contains_key(header::SET_COOKIE) {
        return;
    }
    if let Some(cookie) = desk.config.session_key.open(session.token, now).cookie(headers) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

fn is_problem(response: &Response) -> bool {
    let media = response.headers().get(header::CONTENT_TYPE);
    media.is_some_and(|media| media.as_bytes().starts_with(MEDIA_TYPE.as_bytes()))
}

async fn problem(response: Response, method: &Method, asked: &str) -> Response {
    let (mut parts, body) = response.into_parts();
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if parts.status == StatusCode::UNAUTHORIZED && reads {
        return Redirect::to(&super::signin::address(asked)).into_response();
    }
    let body = axum::body::to_bytes(body, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let problem = serde_json::from_slice::<Problem>(&body).ok();
    let detail = problem.map(|problem| problem.detail).unwrap_or_default();
    let (title, advice) = said(parts.status, reads);
    let page = shell::alone(
        title,
        html! {
            h1 { (title) }
            @if !detail.is_empty() { p { (sentence(&detail)) } }
            @if let Some(advice) = advice { p.quiet { (advice) } }
            p.actions {
                @if parts.status == StatusCode::UNAUTHORIZED {
                    a.button.primary href=(super::signin::address(home(asked))) { "Sign in" }
                } @else {
                    a.button.primary href=(home(asked)) { "Go to the overview" }
                }
            }
        },
    );
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, shell::HTML);
    (parts, page.into_string()).into_response()
}

/// The overview of the shop whose page was asked for, or else of all.
fn home(asked: &str) -> &str {
    let path = asked.split('?').next().unwrap_or_default();
    match path.match_indices('/').nth(2) {
        Some((end, _)) if path.starts_with("/shops/") => &path[..end],
        _ => "/",
    }
}

/// What is said of something that was to be done and of which nobody heard how it ended.
const MAY_HAVE_BEGUN: &str =
    "It may have begun all the same: look at how things are before you try again.";

/// `reads`: nothing was to be done.
fn said(status: StatusCode, reads: bool) -> (&'static str, Option<&'static str>) {
    match status.as_u16() {
        401 => ("Please sign in", Some("Your session has ended. Nothing was done.")),
        403 => ("You may not do this", Some("Nothing was done.")),
        404 => (
            "There is nothing here",
            Some("It may never have existed, or this account does not see it."),
        ),
        409 => ("Not as it was", Some("Look again at how things are now, and try once more.")),
        429 => ("Slow down a little", None),
        503 if reads => {
            ("Just a moment", Some("Nothing is lost. Reload the page in a few seconds."))
        }
        503 => ("Just a moment", Some(MAY_HAVE_BEGUN)),
        500..=599 if reads => {
            ("Something went wrong here", Some("Nothing was changed in your shop."))
        }
        500..=599 => ("Something went wrong here", Some(MAY_HAVE_BEGUN)),
        _ => ("That did not work", None),
    }
}

/// With a capital letter and a full stop.
fn sentence(detail: &str) -> String {
    let mut chars = detail.chars();
    let Some(first) = chars.next() else { return String::new() };
    let mut text: String = first.to_uppercase().chain(chars).collect();
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_send_a_form_again_that_may_have_done_its_work() {
        let advice = |reads| said(StatusCode::SERVICE_UNAVAILABLE, reads).1.unwrap_or_default();
        assert!(advice(true).contains("Reload the page"));
        assert!(advice(false).contains("look at how things are"));
    }

    #[test]
    fn an_error_leads_back_into_the_shop() {
        for (asked, there) in [
            ("/shops/acme/jobs/job-1?state=failed", "/shops/acme"),
            ("/shops/acme/restore", "/shops/acme"),
            ("/shops/acme", "/"),
            ("/elsewhere/a/b", "/"),
            ("/", "/"),
        ] {
            assert_eq!(home(asked), there, "{asked}");
        }
    }
}
