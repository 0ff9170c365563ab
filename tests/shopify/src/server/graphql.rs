//! The Admin API and its tokens over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::access::EXPIRES_IN;
use crate::admin::endpoint::{self, Caller, Request};
use crate::admin::schema::Version;
use crate::fault::Fault;
use crate::shop::Actor;
use crate::simulator::Simulator;

/// Longer than anybody waits.
const FOREVER: Duration = Duration::from_secs(120);

/// `POST /admin/api/{version}/graphql.json`.
pub(super) async fn post(
    State(simulator): State<Arc<Simulator>>,
    Path(version): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = simulator.faults().strike();
    if let Some(fault) = fault
        && fault != Fault::Lost
    {
        return failed(fault).await;
    }
    let Some(version) = Version::serving(&version) else {
        return (StatusCode::NOT_FOUND, Json(json!({ "errors": "Not Found" }))).into_response();
    };
    let token = headers.get("x-shopify-access-token").and_then(|token| token.to_str().ok());
    let answer = match answer(&simulator, version, token, &body) {
        Ok((answer, actor)) => {
            simulator.run_bulk(&actor);
            answer
        }
        Err(refusal) => return *refusal,
    };
    tokio::time::sleep(simulator.latency()).await;
    if fault == Some(Fault::Lost) {
        return broken();
    }
    let mut response = Json(answer).into_response();
    if let Ok(name) = http::HeaderValue::from_str(version.name()) {
        response.headers_mut().insert("x-shopify-api-version", name);
    }
    response
}

fn answer(
    simulator: &Simulator,
    version: Version,
    token: Option<&str>,
    body: &[u8],
) -> Result<(Value, Actor), Box<Response>> {
    let unauthorized = || {
        let message =
            "[API] Invalid API key or access token (unrecognized login or wrong password)";
        Box::new((StatusCode::UNAUTHORIZED, Json(json!({ "errors": message }))).into_response())
    };
    let schema = simulator.schemas().get(version).map_err(|error| {
        let body = Json(json!({ "errors": error.to_string() }));
        Box::new((StatusCode::NOT_IMPLEMENTED, body).into_response())
    })?;
    let now = simulator.now();
    let mut access = simulator.access();
    let Some((client, bucket)) = token.and_then(|token| access.client(token, now)) else {
        return Err(unauthorized());
    };
    let request: Request = serde_json::from_slice(body).map_err(|error| {
        let body = Json(json!({ "errors": { "query": error.to_string() } }));
        Box::new((StatusCode::BAD_REQUEST, body).into_response())
    })?;
    let actor = client.actor();
    let caller = Caller { schema, version, actor: actor.clone(), now };
    let mut shop = simulator.shop();
    shop.theme_exemption = client.theme_exemption;
    shop.token_in_use = token.map(ending);
    let answer = endpoint::answer(&request, &caller, simulator.documents(), bucket, &mut shop);
    shop.token_in_use = None;
    shop.answered(now, &request, &answer);
    simulator.deliver(&mut shop);
    drop(shop);
    if answer.to_string().contains("NOT_SIMULATED") {
        simulator.note_not_simulated(&answer);
    }
    Ok((answer, actor))
}

/// What tells a token from others without giving it away.
fn ending(token: &str) -> String {
    let letters: Vec<char> = token.chars().collect();
    letters.iter().skip(letters.len().saturating_sub(8)).collect()
}

/// The answer when something goes wrong before anything is done.
async fn failed(fault: Fault) -> Response {
    match fault {
        Fault::Throttled => Json(json!({
            "errors": [{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }],
            "extensions": { "cost": {
                "requestedQueryCost": 10, "actualQueryCost": null,
                "throttleStatus": {
                    "maximumAvailable": 2000.0, "currentlyAvailable": 0, "restoreRate": 100.0,
                },
            }},
        }))
        .into_response(),
        Fault::Timeout => {
            tokio::time::sleep(FOREVER).await;
            broken()
        }
        Fault::Reset | Fault::Lost => broken(),
        other => {
            let status = other.status().and_then(|status| StatusCode::from_u16(status).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = Json(json!({ "errors": status.canonical_reason().unwrap_or("Rejected") }));
            let mut response = (status, body).into_response();
            if other == Fault::TooMany {
                response.headers_mut().insert("retry-after", http::HeaderValue::from_static("2"));
            }
            response
        }
    }
}

/// A connection that breaks before the answer is complete.
fn broken() -> Response {
    let body = futures::stream::once(async {
        Err::<Bytes, _>(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "broken"))
    });
    Response::new(Body::from_stream(body))
}

/// `POST /admin/oauth/access_token`: the client credentials grant.
pub(super) async fn token(State(simulator): State<Arc<Simulator>>, body: Bytes) -> Response {
    let fields: Vec<(String, String)> = match serde_json::from_slice::<Value>(&body) {
        Ok(Value::Object(map)) => map
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())))
            .collect(),
        _ => url::form_urlencoded::parse(&body).into_owned().collect(),
    };
    let field = |wanted: &str| {
        fields.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
    };
    let refuse =
        |status: StatusCode, error: &str| (status, Json(json!({ "error": error }))).into_response();
    if field("grant_type") != "client_credentials" {
        return refuse(StatusCode::BAD_REQUEST, "unsupported_grant_type");
    }
    let now = simulator.now();
    let token = simulator.access().grant(field("client_id"), field("client_secret"), now);
    match token {
        None => refuse(StatusCode::UNAUTHORIZED, "invalid_client"),
        Some(token) => Json(json!({
            "access_token": token, "scope": "read_products,write_products",
            "expires_in": EXPIRES_IN,
        }))
        .into_response(),
    }
}
