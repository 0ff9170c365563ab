//! A restorer that always answers the same, and remembers what it was asked.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use backstock_proto::diff;
use backstock_proto::journal::{List, Resource, ShopSummary};
use backstock_proto::problem::Problem;
use backstock_proto::{Op, ResourceId, Shop};
use backstock_restorer::health::ShopListed;
use serde_json::{Value, json};

mod answers;

pub(crate) use answers::LONG;

use answers::{
    before, change_sets, changes, conflicting_job, erasures, health, incidents, job, jobs, kind,
    long_job, mug, nothing_to_do, plan, report, resources, statuses, torn_job, version, versions,
};

/// May do everything and sees one shop.
pub(crate) const TOKEN: &str = "bst_good";
/// May read only.
pub(crate) const READER: &str = "bst_reader";
/// Sees several shops.
pub(crate) const AGENCY: &str = "bst_agency";

/// How many looks at a job go wrong before one is answered, as in a restart.
pub(crate) const AWAY: usize = 2;

pub(crate) struct Server {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

struct Seen {
    damaged: bool,
    asked: Mutex<Vec<String>>,
    last_said: Mutex<Value>,
    last_body: Mutex<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(false)
    }

    /// One whose history does not verify.
    pub(crate) fn damaged() -> Self {
        Self::with(true)
    }

    /// Answers for as long as the test's process lives.
    fn with(damaged: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("nonblocking");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Seen {
            damaged,
            asked: Mutex::default(),
            last_said: Mutex::default(),
            last_body: Mutex::default(),
        });
        let router = Router::new().fallback(answer).with_state(seen.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, router).await.expect("serves");
            });
        });
        Self { url, seen }
    }

    /// Paths and queries, in the order in which they were asked.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.seen.asked.lock().expect("not poisoned").clone()
    }

    /// What was said with the last request that said something.
    pub(crate) fn last_said(&self) -> Value {
        self.seen.last_said.lock().expect("not poisoned").clone()
    }

    /// The body answered last, byte for byte.
    pub(crate) fn last_body(&self) -> String {
        self.seen.last_body.lock().expect("not poisoned").clone()
    }
}

async fn answer(State(seen): State<Arc<Seen>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let uri = parts.uri;
    let said = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    if !said.is_null() {
        seen.last_said.lock().expect("not poisoned").clone_from(&said);
    }
    let looks = {
        let mut asked = seen.asked.lock().expect("not poisoned");
        asked.push(uri.to_string());
        asked.iter().filter(|asked| asked.contains("/jobs/")).count()
    };
    let token = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token = token.and_then(|v| v.strip_prefix("Bearer ")).unwrap_or_default();
    if uri.path().starts_with("/else") {
        return (StatusCode::NOT_FOUND, "<h1>Not Found</h1>").into_response();
    }
    if ![TOKEN, READER, AGENCY].contains(&token) {
        let detail = "a token is needed: send \"Authorization: Bearer <token>\"";
        return Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
    }
    let query = uri.query().unwrap_or_default();
    let response = route(uri.path(), query, token, (seen.damaged, looks, &said))
        .unwrap_or_else(IntoResponse::into_response);
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
    *seen.last_body.lock().expect("not poisoned") =
        String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Response::from_parts(parts, bytes.into())
}

fn route(
    path: &str,
    query: &str,
    token: &str,
    (damaged, looks, said): (bool, usize, &Value),
) -> Result<Response, Problem> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match segments.as_slice() {
        ["v1", "verify"] if token == READER => {
            Err(Problem::new(StatusCode::FORBIDDEN, "token \"reader\" lacks the scope \"admin\""))
        }
        ["v1", "verify"] => Ok(Json(report(damaged)).into_response()),
        ["v1", "shops", _, "plans"] => Ok((StatusCode::CREATED, Json(plan())).into_response()),
        ["v1", "shops", _, "plans", "plan-none" | "plan%2Dnone"] => {
            Ok(Json(nothing_to_do()).into_response())
        }
        ["v1", "shops", _, "plans", _] => Ok(Json(plan()).into_response()),
        ["v1", "shops", _, "plans", _, "apply"] => {
            Ok((StatusCode::ACCEPTED, Json(job())).into_response())
        }
        ["v1", "shops"] => {
            let sees = |s: &ShopSummary| token == AGENCY || s.shop.name() == "acme";
            let shops = statuses().into_iter().map(|s| s.summary).filter(sees);
            let listed = |summary: ShopSummary| {
                let health = if query.contains("health=true") { health(&summary) } else { None };
                ShopListed { summary, health }
            };
            Ok(Json(List { items: shops.map(listed).collect(), next: None }).into_response())
        }
        ["v1", "shops", shop, rest @ ..] => {
            let statuses = statuses();
            let Some(status) = statuses.iter().find(|s| s.summary.shop.domain() == *shop) else {
                let detail =
                    format!("there is no shop {shop:?} here, or this token does not see it");
                return Err(Problem::new(StatusCode::NOT_FOUND, detail));
            };
            match rest {
                ["status"] => Ok(Json(status).into_response()),
                ["changes"] => Ok(Json(changes()).into_response()),
                ["change-sets"] => Ok(Json(change_sets()).into_response()),
                ["incidents"] => Ok(Json(incidents()).into_response()),
                ["erasures"] => Ok(Json(erasures(query)).into_response()),
                ["resources"] => Ok(Json(resources(query)).into_response()),
                ["rollbacks"] => {
                    let job = if said["dry_run"] == true { Value::Null } else { job() };
                    let answer = json!({"plan": plan(), "job": job});
                    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
                }
                ["jobs"] => Ok(Json(jobs(query)).into_response()),
                ["jobs", "job-long" | "job%2Dlong"] => Ok(Json(long_job(query)).into_response()),
                ["jobs", "job-torn" | "job%2Dtorn"] => Ok(Json(torn_job(query)).into_response()),
                ["jobs", "job-conflict" | "job%2Dconflict"] => {
                    Ok(Json(conflicting_job()).into_response())
                }
                ["jobs", _] if looks <= AWAY => {
                    let detail = "the journal does not answer";
                    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail))
                }
                ["jobs", _] => Ok(Json(job()).into_response()),
                ["resources", "product", id, rest @ ..] => product(id, rest),
                _ => Err(Problem::new(StatusCode::NOT_FOUND, "there is no such route")),
            }
        }
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "there is no such route")),
    }
}

fn product(id: &str, rest: &[&str]) -> Result<Response, Problem> {
    match (id, rest) {
        ("404", _) => {
            let detail = "acme.myshopify.com had never had a product 404 by 2026-11-23T14:30:00Z";
            Err(Problem::new(StatusCode::NOT_FOUND, detail))
        }
        ("13", []) => Err(Problem::new(StatusCode::GONE, "product 13 was deleted")
            .with("version", json!(version(4_713, Op::Delete, "2026-11-21T09:30:00Z")))
            .with("state", mug())),
        (_, []) => {
            let version = version(4_712, Op::Update, "2026-11-20T13:00:00Z");
            let gid = "gid://shopify/Product/8072139866342".to_owned();
            let resource = Resource {
                shop: Shop::from_name("acme").expect("a shop"),
                kind: kind(),
                id: ResourceId::parse("8072139866342").expect("an id"),
                gid: Some(gid),
                deleted: false,
                version,
                state: mug(),
            };
            Ok(Json(resource).into_response())
        }
        (_, ["versions"]) => Ok(Json(List { items: versions(), next: None }).into_response()),
        ("14", ["diff"]) => Ok(Json(json!({"changes": [], "patch": []})).into_response()),
        (_, ["diff"]) => {
            let (old, new) = (before(), mug());
            let (changes, patch) = (diff::fields(&old, &new), diff::patch(&old, &new));
            Ok(Json(json!({"changes": changes, "patch": patch})).into_response())
        }
        _ => Err(Problem::new(StatusCode::NOT_FOUND, "there is no such route")),
    }
}
