//! What is served: the shop's media, and what tests need to know and to do.

mod graphql;
mod truth;
mod upload;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::cost::Plan;
use crate::bulk_run::Failure;
use crate::events::AppConfig;
use crate::fault::Fault;
use crate::harm::Harm;
use crate::knowledge::Answer;
use crate::scenario::{Scale, Scenario};
use crate::shop::{Actor, Shop};
use crate::simulator::Simulator;
use crate::{instant, knowledge};

/// Serves a simulator until `stop`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    simulator: Arc<Simulator>,
    listener: TcpListener,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(simulator)).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// Every route.
pub fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/admin/api/{version}/graphql.json", post(graphql::post))
        .route("/admin/oauth/access_token", post(graphql::token))
        .route("/cdn/{*path}", get(upload::media))
        .route("/_uploads", post(upload::post))
        .route("/_uploads/{key}", put(upload::put))
        .layer(DefaultBodyLimit::max(upload::UPLOAD_MAX))
        .route("/_bulk/{name}", get(upload::bulk_result))
        .route("/_sim/scenario/{name}", post(tell))
        .route("/_sim/harm/{sort}", post(harm))
        .route("/_sim/bulk", post(doom_bulk))
        .route("/_sim/truth", get(truth::at))
        .route("/_sim/deliveries", get(deliveries))
        .route("/_sim/deliveries/log", get(delivery_log))
        .route("/_sim/answers", get(answers))
        .route("/_sim/write_log", get(write_log))
        .route("/_sim/app_config", post(deploy))
        .route("/_sim/drain", post(drain))
        .route("/_sim/late", post(let_go))
        .route("/_sim/announce", post(announce))
        .route("/_sim/chores", post(do_chores))
        .route("/_sim/traffic", post(set_traffic))
        .route("/_sim/variants", post(set_variants))
        .route("/_sim/plan/{name}", post(change_plan))
        .route("/_sim/latency", post(set_latency))
        .route("/_sim/not_simulated", get(not_simulated))
        .route("/_sim/faults", get(struck).post(set_faults))
        .route("/_sim/secret", post(rotate_secret))
        .route("/_sim/tokens", post(end_tokens))
        .with_state(simulator)
}

async fn deliveries(State(simulator): State<Arc<Simulator>>) -> Response {
    Json(simulator.dispatcher().tally()).into_response()
}

#[derive(Deserialize)]
struct Until {
    at: Option<Timestamp>,
}

/// Every delivery that is over, and about what its loss leaves a listener in the dark, now or at
/// an instant.
async fn delivery_log(
    State(simulator): State<Arc<Simulator>>,
    Query(until): Query<Until>,
) -> Response {
    let until = until.at.map(instant::header);
    let finished = simulator.dispatcher().finished();
    let stale = knowledge::stale(&finished, until.as_deref());
    let mut lines = String::new();
    for one in &finished {
        if until.as_ref().is_some_and(|until| one.triggered_at > *until) {
            continue;
        }
        let Ok(mut line) = serde_json::to_value(one) else { continue };
        line["leaves_stale"] =
            json!(stale.get(one.webhook_id.as_str()).cloned().unwrap_or_default());
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    ndjson(lines)
}

/// What was told to whoever asked for it by its id, and when.
async fn answers(State(simulator): State<Arc<Simulator>>) -> Response {
    let mut lines = String::new();
    for Answer { question, gid, at } in &simulator.shop().answers {
        let (gid, at) = (gid.to_string(), instant::header(*at));
        let line = json!({ "question": &**question, "gid": gid, "at": at });
        lines.push_str(&line.to_string());
        lines.push('\n');
    }
    ndjson(lines)
}

/// Every mutation that was executed.
async fn write_log(State(simulator): State<Arc<Simulator>>) -> Response {
    let shop = simulator.shop();
    let lines = shop.writes.iter().filter_map(|write| serde_json::to_string(write).ok());
    ndjson(lines.map(|line| line + "\n").collect())
}

/// Takes an app's configuration file.
async fn deploy(State(simulator): State<Arc<Simulator>>, text: String) -> Response {
    match AppConfig::parse(&text).and_then(|config| simulator.deploy(&config)) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(&error.to_string()),
    }
}

/// Lets go what was held back.
async fn let_go(State(simulator): State<Arc<Simulator>>) -> Response {
    Json(json!({ "let_go": simulator.dispatcher().let_go() })).into_response()
}

/// Tells of everything once more, as it is.
async fn announce(State(simulator): State<Arc<Simulator>>) -> StatusCode {
    simulator.act(Actor::Staff("Amelia Byrne".into()), Shop::announce_everything);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Chores {
    n: u64,
}

/// Changes one resource of every type that people keep in order; `n` tells one time from another.
async fn do_chores(
    State(simulator): State<Arc<Simulator>>,
    Query(chores): Query<Chores>,
) -> StatusCode {
    simulator.chores(chores.n);
    StatusCode::NO_CONTENT
}

/// Answers when every delivery has been made, lost or given up.
async fn drain(State(simulator): State<Arc<Simulator>>) -> Response {
    simulator.dispatcher().drained().await;
    Json(simulator.dispatcher().tally()).into_response()
}

#[derive(Deserialize)]
struct Pace {
    rate: f64,
}

#[derive(Deserialize)]
struct Variants {
    a_day: u64,
}

async fn set_variants(
    State(simulator): State<Arc<Simulator>>,
    Query(variants): Query<Variants>,
) -> Response {
    if let Some(limit) = &mut simulator.shop().variant_limit {
        limit.per_day = variants.a_day;
    }
    Json(json!({ "a_day": variants.a_day })).into_response()
}

#[derive(Deserialize)]
struct Latency {
    seconds: f64,
}

/// How long answers of the Admin API are on their way.
async fn set_latency(
    State(simulator): State<Arc<Simulator>>,
    Query(latency): Query<Latency>,
) -> Response {
    let Ok(way) = std::time::Duration::try_from_secs_f64(latency.seconds) else {
        return refuse("seconds is a number of seconds");
    };
    simulator.set_latency(way);
    Json(json!({ "seconds": latency.seconds })).into_response()
}

/// Another plan, with all that it saves up.
async fn change_plan(
    State(simulator): State<Arc<Simulator>>,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Response {
    let plan: Result<Plan, _> = serde_json::from_value(json!(name));
    let Ok(plan) = plan else { return refuse("no such plan") };
    let now = simulator.now();
    simulator.access().change_plan(plan, now);
    Json(json!({ "plan": name })).into_response()
}

async fn set_traffic(
    State(simulator): State<Arc<Simulator>>,
    Query(pace): Query<Pace>,
) -> Response {
    if !pace.rate.is_finite() || pace.rate < 0.0 {
        return refuse("rate is a number of deeds per second");
    }
    simulator.set_rate(pace.rate);
    Json(json!({ "rate": pace.rate })).into_response()
}

#[derive(Deserialize)]
struct Telling {
    products: Option<u64>,
}

/// Lets a story happen now, a millisecond of the shop's clock between its deeds.
async fn tell(
    State(simulator): State<Arc<Simulator>>,
    axum::extract::Path(name): axum::extract::Path<String>,
    Query(telling): Query<Telling>,
) -> Response {
    let scenario: Result<Scenario, _> = serde_json::from_value(json!(name));
    let Ok(scenario) = scenario else { return refuse("no such scenario") };
    let scale = Scale {
        products: telling.products.unwrap_or(50),
        step: jiff::SignedDuration::from_millis(1),
    };
    Json(simulator.tell(scenario, scale)).into_response()
}

#[derive(Deserialize)]
struct Harming {
    app: Option<String>,
    count: Option<u64>,
}

/// Lets an app do harm of one sort now, a millisecond of the shop's clock between its deeds.
async fn harm(
    State(simulator): State<Arc<Simulator>>,
    axum::extract::Path(sort): axum::extract::Path<String>,
    Query(harming): Query<Harming>,
) -> Response {
    let sort: Result<Harm, _> = serde_json::from_value(json!(sort));
    let Ok(sort) = sort else { return refuse("no such harm") };
    let app = harming.app.as_deref().unwrap_or("Bulk Price Wizard");
    let scale =
        Scale { products: harming.count.unwrap_or(50), step: jiff::SignedDuration::from_millis(1) };
    Json(simulator.harm(sort, app, scale)).into_response()
}

/// What becomes of bulk operations.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum BulkDoom {
    /// The next one fails.
    FailNext(Failure),
    /// Every result is as if seven days had passed.
    Expire,
    /// Each bulk mutation does so many lines a second; 0: none is begun.
    Pace(f64),
}

async fn doom_bulk(
    State(simulator): State<Arc<Simulator>>,
    Json(doom): Json<BulkDoom>,
) -> StatusCode {
    match doom {
        BulkDoom::FailNext(failure) => simulator.fail_next_bulk(failure),
        BulkDoom::Pace(lines_per_second) => simulator.pace_bulk(lines_per_second),
        BulkDoom::Expire => simulator.act(Actor::Buyer, |shop| {
            let all: Vec<_> = shop.store.live_ids("BulkOperation").collect();
            for operation in all {
                shop.update(operation, |state| {
                    state["status"] = json!("EXPIRED");
                    state["url"] = serde_json::Value::Null;
                });
            }
        }),
    }
    StatusCode::NO_CONTENT
}

async fn not_simulated(State(simulator): State<Arc<Simulator>>) -> Response {
    Json(simulator.not_simulated()).into_response()
}

/// Faults from now on: `often` by probability, `next` one request each, `null` for one that passes.
#[derive(Deserialize)]
struct FaultPlan {
    #[serde(default)]
    often: std::collections::HashMap<Fault, f64>,
    #[serde(default)]
    next: Vec<Option<Fault>>,
}

async fn set_faults(
    State(simulator): State<Arc<Simulator>>,
    Json(plan): Json<FaultPlan>,
) -> StatusCode {
    let mut faults = simulator.faults();
    for (fault, probability) in plan.often {
        faults.often(fault, probability);
    }
    for fate in plan.next {
        match fate {
            Some(fault) => faults.next(fault),
            None => faults.spare(),
        }
    }
    StatusCode::NO_CONTENT
}

async fn struck(State(simulator): State<Arc<Simulator>>) -> Response {
    Json(simulator.faults().struck()).into_response()
}

/// Another secret for webhooks.
#[derive(Deserialize)]
struct Rotation {
    secret: String,
    #[serde(default)]
    overlap: bool,
}

async fn rotate_secret(
    State(simulator): State<Arc<Simulator>>,
    Json(rotation): Json<Rotation>,
) -> StatusCode {
    simulator.dispatcher().rotate_secret(&rotation.secret, rotation.overlap);
    StatusCode::NO_CONTENT
}

/// What becomes of tokens.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum TokenEnd {
    Revoke,
    Expire,
}

async fn end_tokens(
    State(simulator): State<Arc<Simulator>>,
    Json(end): Json<TokenEnd>,
) -> StatusCode {
    match end {
        TokenEnd::Revoke => simulator.access().revoke_all(),
        TokenEnd::Expire => simulator.access().expire(),
    }
    StatusCode::NO_CONTENT
}

fn refuse(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response()
}

fn ndjson(lines: String) -> Response {
    ([(http::header::CONTENT_TYPE, "application/x-ndjson")], lines).into_response()
}
