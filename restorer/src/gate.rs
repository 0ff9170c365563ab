//! What every request passes on its way in and out: token, shop, scope, deadline, log, metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{FromRequestParts as _, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use backstock_proto::Shop;
use backstock_proto::problem::Problem;
use backstock_proto::trace::{self, Span, SpanKind, TraceContext};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::audit::{self, Deed};
use crate::metrics::Refused;
use crate::page::{self, Inside, Session};
use crate::route::{Access, Pace, Route};
use crate::token::{Scope, Token};
use crate::{Desk, peer, refuse};

/// Largest body of a request to the API, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a request's body may take to arrive.
const BODY_READ: Duration = Duration::from_secs(10);

/// Who asks, once that is known; handlers find it in the request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visit {
    pub(crate) token: Option<Arc<Token>>,
    /// The session of the page that it comes from, if it came without a token.
    pub(crate) session: Option<Session>,
    /// The shop in the path: the token sees it.
    pub(crate) shop: Option<Shop>,
}

/// Why a request goes no further.
pub(crate) enum Refusal {
    NoToken,
    WrongToken,
    Throttled { seconds: u64 },
    UnseenShop { asked: String },
    MissingScope { token: String, scope: Scope },
    NotEveryShop { token: String },
}

/// Checks a request against its route's line in the table, and answers it.
pub(crate) async fn pass(
    State((desk, route)): State<(Arc<Desk>, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let (mut parts, body) = request.into_parts();
    let mut visit = Visit::default();
    let method = parts.method.clone();
    let mut traced = None;
    let response = match admit(&desk, route, &mut parts, &mut visit).await {
        Ok(()) => {
            parts.extensions.insert(visit.clone());
            let mut span = span_of(route, &parts, &visit);
            let trace = span.context();
            traced = Some(trace.trace_id());
            let response = trace.scope(answer(&desk, route, parts, body, next)).await;
            let status = response.status();
            span.count("http.response.status_code", status.as_u16().into());
            if status.is_server_error() {
                span.fail(status);
            }
            response
        }
        Err(refusal) => {
            desk.metrics.refused(refusal.reason());
            refusal.into_response()
        }
    };
    let took = began.elapsed();
    desk.metrics.read(route.name).observe(took.as_secs_f64());
    tracing::info!(
        %method,
        route = route.path,
        status = response.status().as_u16(),
        token = visit.token.as_ref().map(|token| token.name.as_str()),
        shop = visit.shop.as_ref().map(tracing::field::display),
        trace_id = traced.map(tracing::field::display),
        duration_ms = took.as_secs_f64() * 1e3,
        "answered {method} {} with {}",
        route.path,
        response.status().as_u16(),
    );
    response
}

/// What is told of a request that is let in: part of the trace that it comes with, if we know who sends
/// it, or of the page's that it is made for.
fn span_of(route: &Route, parts: &Parts, visit: &Visit) -> Span {
    let outside = TraceContext::of_http(&parts.headers).filter(|_| visit.token.is_some());
    let name = format!("restorer {} {}", parts.method, route.path);
    let mut span = Span::begin(name, SpanKind::Server, outside.or_else(trace::current));
    span.set("http.request.method", &parts.method);
    span.set("http.route", route.path);
    if let Some(shop) = &visit.shop {
        span.set("shop", shop);
    }
    span
}

async fn admit(
    desk: &Desk,
    route: &Route,
    parts: &mut Parts,
    visit: &mut Visit,
) -> Result<(), Refusal> {
    let scope = match route.access {
        Access::Public => return Ok(()),
        Access::Token(scope) | Access::Shop(scope) | Access::EveryShop(scope) => scope,
    };
    let token = if let Some(Inside(token)) = parts.extensions.get() {
        token.clone()
    } else if let Some((session, token)) = signed_in(desk, route, parts) {
        visit.session = Some(session);
        token
    } else {
        identify(desk, parts)?
    };
    visit.token = Some(token.clone());
    if let Access::Shop(_) = route.access {
        let asked = path_shop(parts).await;
        match parse_shop(&asked).filter(|shop| token.shops.holds(shop)) {
            Some(shop) => visit.shop = Some(shop),
            None => return Err(Refusal::UnseenShop { asked }),
        }
    }
    if !token.scopes.contains(&scope) {
        return Err(Refusal::MissingScope { token: token.name.clone(), scope });
    }
    if matches!(route.access, Access::EveryShop(_)) && token.shops != crate::Shops::All {
        return Err(Refusal::NotEveryShop { token: token.name.clone() });
    }
    Ok(())
}

/// The session that the request brings, and its token. It opens what only reads, and what our own
/// forms ask for; what the API puts on record knows tokens only, so that no other site's page or link
/// has it done.
fn signed_in(desk: &Desk, route: &Route, parts: &Parts) -> Option<(Session, Arc<Token>)> {
    if parts.headers.contains_key(header::AUTHORIZATION)
        || route.is_audited()
        || !page::is_ours(parts)
    {
        return None;
    }
    let session = desk.config.session_key.find(&parts.headers, desk.clock.now())?;
    let token = desk.tokens.with_digest(&session.token)?;
    let token = match &session.user {
        // Whom Shopify's admin let in is on record by their number.
        Some(user) => {
            Arc::new(Token { name: format!("{}, user {user}", token.name), ..(*token).clone() })
        }
        None => token,
    };
    Some((session, token))
}

/// The valid token that the request brings. A valid one is never throttled.
fn identify(desk: &Desk, parts: &Parts) -> Result<Arc<Token>, Refusal> {
    let bearer = parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, text)| text.trim());
    let text = bearer.filter(|text| !text.is_empty()).ok_or(Refusal::NoToken)?;
    recognise(desk, parts, text)
}

/// The token with this text; a wrong one is counted against whoever guesses.
pub(crate) fn recognise(desk: &Desk, parts: &Parts, text: &str) -> Result<Arc<Token>, Refusal> {
    if let Some(token) = desk.tokens.find(text) {
        return Ok(token);
    }
    match desk.throttle.guessed(peer::of(parts, &desk.config.proxies), desk.clock.now()) {
        Ok(()) => Err(Refusal::WrongToken),
        Err(seconds) => Err(Refusal::Throttled { seconds }),
    }
}

/// What the path says for `{shop}`; empty if that is not text.
async fn path_shop(parts: &mut Parts) -> String {
    let Ok(params) = RawPathParams::from_request_parts(parts, &()).await else {
        return String::new();
    };
    params.iter().find(|(name, _)| *name == "shop").map_or_else(String::new, |(_, v)| v.into())
}

/// A shop by its domain or its bare name.
fn parse_shop(asked: &str) -> Option<Shop> {
    Shop::parse(asked).or_else(|_| Shop::from_name(&asked.to_ascii_lowercase())).ok()
}

async fn answer(desk: &Desk, route: &Route, parts: Parts, body: Body, next: Next) -> Response {
    let (body, streamed) = match parts.method {
        Method::GET | Method::HEAD => (Bytes::new(), None),
        _ if route.pace == Pace::Streamed => (Bytes::new(), Some(body)),
        _ => match read_body(body).await {
            Ok(body) => (body, None),
            Err(problem) => return problem.into_response(),
        },
    };
    let audited = match audited(desk, route, &parts, &body).await {
        Ok(audited) => audited,
        Err(problem) => return problem.into_response(),
    };
    let body = streamed.unwrap_or_else(|| body.into());
    let answer = next.run(Request::from_parts(parts, body));
    let response = match route.pace {
        Pace::Patient | Pace::Streamed => answer.await,
        Pace::Prompt => tokio::time::timeout(desk.config.request, answer)
            .await
            .unwrap_or_else(|_| late(desk.config.request).into_response()),
    };
    if let Some((shop, deed)) = audited {
        let ended = Deed { status: Some(response.status().as_u16()), asked: Value::Null, ..deed };
        if let Err(error) = desk.audit.add(&shop, ended).await {
            tracing::error!(%shop, %error, "how {} ended is not on record", route.name);
        }
    }
    response
}

/// Puts on record who is about to have what done in a shop, so that nothing is done unseen. Answers
/// what the entry about its end begins with.
async fn audited(
    desk: &Desk,
    route: &Route,
    parts: &Parts,
    body: &[u8],
) -> Result<Option<(Shop, Deed)>, Problem> {
    let visit = parts.extensions.get::<Visit>().cloned().unwrap_or_default();
    let (true, Some(shop), Some(token)) = (route.is_audited(), visit.shop, visit.token) else {
        return Ok(None);
    };
    match desk.known(&shop).await {
        Ok(()) => {}
        // The handler says the same.
        Err(problem) if problem.status == 404 => return Ok(None),
        Err(problem) => return Err(problem),
    }
    let deed = Deed {
        who: token.name.clone(),
        from: peer::of(parts, &desk.config.proxies).to_string(),
        what: route.name.into(),
        path: parts.uri.path().chars().take(500).collect(),
        asked: audit::shortened(body),
        status: None,
        of: None,
    };
    let n = desk.audit.add(&shop, deed.clone()).await.map_err(refuse::record)?;
    Ok(Some((shop, Deed { of: Some(n), ..deed })))
}

fn late(limit: Duration) -> Problem {
    let detail = format!(
        "the answer was not there within {limit:?}; ask for less (limit, from, to), or try again"
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

async fn read_body(body: Body) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(BODY_READ, axum::body::to_bytes(body, BODY_BYTES_MAX)).await;
    let Ok(read) = read else {
        let detail = format!("the request's body did not arrive within {BODY_READ:?}");
        return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
    };
    read.map_err(|error| {
        let too_long = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if too_long {
            let detail = format!("the request's body is larger than {BODY_BYTES_MAX} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        } else {
            refuse::bad_request("the request's body ended early")
        }
    })
}

impl Refusal {
    fn reason(&self) -> Refused {
        match self {
            Self::NoToken => Refused::NoToken,
            Self::WrongToken => Refused::WrongToken,
            Self::Throttled { .. } => Refused::Throttled,
            Self::UnseenShop { .. } => Refused::Shop,
            Self::MissingScope { .. } | Self::NotEveryShop { .. } => Refused::Scope,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let unauthorized = |detail: &str, challenge: &'static str| {
            let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
            let challenge = HeaderValue::from_static(challenge);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            response
        };
        match self {
            Self::NoToken => unauthorized(
                "a token is needed: send \"Authorization: Bearer <token>\"; \
                 `backstock token new` makes one",
                "Bearer realm=\"backstock\"",
            ),
            Self::WrongToken => unauthorized(
                "this token is not valid; `backstock token new` makes one",
                "Bearer realm=\"backstock\", error=\"invalid_token\"",
            ),
            Self::Throttled { seconds } => {
                let detail = format!("too many wrong tokens came from here; wait {seconds} s");
                let mut response =
                    Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                response
            }
            Self::UnseenShop { asked } => refuse::unknown_shop(&asked).into_response(),
            Self::MissingScope { token, scope } => {
                let detail = format!("token {token:?} lacks the scope {:?}", scope.as_str());
                Problem::new(StatusCode::FORBIDDEN, detail).into_response()
            }
            Self::NotEveryShop { token } => {
                let detail = format!("this reads every shop, and token {token:?} does not see all");
                Problem::new(StatusCode::FORBIDDEN, detail).into_response()
            }
        }
    }
}
