//! A simulated shop that was wrecked, the history of it, and restorers that can be killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::blob::Blobs;
use backstock_proto::journal::{Journal as _, PAGE_LIMIT_MAX, Page};
use backstock_proto::lease::LocalLeases;
use backstock_proto::listen::Readiness;
use backstock_proto::publish::Records as _;
use backstock_proto::time::SystemClock;
use backstock_proto::{ResourceId, Shop, Timestamp};
use backstock_restorer::token::Digest;
use backstock_restorer::{Config, Restorer, RestorerError, Token, Tokens};
use prometheus::Registry;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::fake::{Fake, NoPulls};
use crate::simulated::Simulated;

pub(crate) const TOKEN: &str = "bst_test";
/// Another person's.
pub(crate) const OTHER: &str = "bst_other";
const ACME: &str = "acme.myshopify.com";
/// When history has the states that plans bring back.
pub(crate) const THEN: &str = "2026-11-20T00:00:00Z";

pub(crate) fn acme() -> Shop {
    Shop::parse(ACME).expect("a shop")
}

/// A shop with pages and redirects, and the history of them.
pub(crate) struct World {
    pub(crate) shop: Simulated,
    pub(crate) history: Arc<Fake>,
    /// What the plan brings back, by gid.
    pub(crate) were: BTreeMap<String, Value>,
    pub(crate) rows: Vec<Value>,
}

impl World {
    /// Deletes every page and changes every redirect; the plan takes that back.
    pub(crate) async fn wrecked(seed: u64) -> Self {
        let mut world = Self::new(seed).await;
        for id in world.shop.ids("Page") {
            let state = world.shop.read("page", &id).await.expect("a page");
            world.deleted("page", &id, &state).await;
        }
        for id in world.shop.ids("UrlRedirect") {
            let state = world.shop.read("redirect", &id).await.expect("a redirect");
            let mut other = state.clone();
            other["target"] = json!("/pages/elsewhere");
            let field = json!({"path": "/target", "old": other["target"], "new": state["target"]});
            world.changes("redirect", &id, json!([field]));
            world.shop.write("redirect", Some(&state), Some(&other)).await.expect("changed");
            world.were.insert(state["id"].as_str().expect("a gid").to_owned(), state);
        }
        world.shop.writes();
        assert!(world.rows.len() >= 6, "{} rows are too few to tell anything", world.rows.len());
        world
    }

    /// A shop, and a plan without rows.
    pub(crate) async fn new(seed: u64) -> Self {
        let shop = Simulated::start(seed, 40, true).await;
        Self { shop, history: Arc::default(), were: BTreeMap::new(), rows: Vec::new() }
    }

    /// Deletes something; the plan brings it back as it was.
    pub(crate) async fn deleted(&mut self, kind: &str, id: &ResourceId, state: &Value) {
        self.went(kind, id, state);
        self.shop.write(kind, Some(state), None).await.expect("deleted");
    }

    /// History hears now of how something is. Only restorers that start from then on read it there.
    pub(crate) fn hears(&mut self, kind: &str, id: &ResourceId, state: &Value) {
        let mut history = self.history.copy();
        history.remember(kind, id.as_str(), &now(), state);
        self.history = Arc::new(history);
    }

    /// History has something in this state.
    pub(crate) fn remembers(&mut self, kind: &str, id: &ResourceId, state: &Value) {
        let history = Arc::get_mut(&mut self.history).expect("nobody reads it yet");
        history.remember(kind, id.as_str(), THEN, state);
    }

    /// Something went with what it belongs to; the plan brings it back as it was.
    pub(crate) fn went(&mut self, kind: &str, id: &ResourceId, state: &Value) {
        self.remembers(kind, id, state);
        self.rows.push(row(&self.rows, kind, id, "create", json!({"of": THEN})));
        self.were.insert(state["id"].as_str().expect("a gid").to_owned(), state.clone());
    }

    /// The plan sets some fields.
    pub(crate) fn changes(&mut self, kind: &str, id: &ResourceId, fields: Value) {
        self.rows.push(row(&self.rows, kind, id, "update", json!({"fields": fields})));
    }

    /// The plan deletes something.
    pub(crate) fn deletes(&mut self, kind: &str, id: &ResourceId) {
        self.rows.push(row(&self.rows, kind, id, "delete", json!({})));
    }

    /// Two pages that are deleted, the first of which refers to the second, as they were.
    pub(crate) async fn two_pages_gone(&mut self) -> [(ResourceId, Value); 2] {
        let ids = self.shop.ids("Page");
        let [a, b] = [&ids[0], &ids[1]];
        let of_b = self.shop.read("page", b).await.expect("a page");
        let of_a = self.page_that_refers(a, of_b["id"].as_str().expect("a gid")).await;
        self.deleted("page", a, &of_a).await;
        self.deleted("page", b, &of_b).await;
        [(a.clone(), of_a), (b.clone(), of_b)]
    }

    /// A page with a metafield that refers to something.
    pub(crate) async fn page_that_refers(&self, id: &ResourceId, to: &str) -> Value {
        let now = self.shop.read("page", id).await.expect("a page");
        let mut want = now.clone();
        want["metafields"] = json!([reference(to)]);
        self.shop.write("page", Some(&now), Some(&want)).await.expect("it refers to something");
        self.shop.read("page", id).await.expect("a page")
    }

    /// What the books say that jobs wrote: the ids of then, and those of now.
    pub(crate) async fn booked(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let records = self.history.records(&acme(), "written", None, &page).await.expect("records");
        let (mut then, mut now) = (BTreeSet::new(), BTreeSet::new());
        for record in records.items {
            for wrote in record.payload["rows"].as_array().expect("rows") {
                now.insert(wrote["id"].as_str().expect("an id").to_owned());
                then.extend(wrote["was"].as_str().map(str::to_owned));
            }
        }
        (then, now)
    }

    /// For how many rows of a job it is on record that this was done.
    pub(crate) async fn steps(&self, job: &str, what: &str) -> usize {
        let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let steps = self.history.records(&acme(), "job_steps", Some(job), &page).await;
        let steps = steps.expect("records").items;
        let steps = steps.iter().flat_map(|record| record.payload["steps"].as_array());
        steps.flatten().filter(|step| step.get(what).is_some()).count()
    }

    /// Waits until it is on record that so many rows of a job were begun.
    pub(crate) async fn until_begun(&self, job: &str, rows: usize) {
        for _ in 0..4_000 {
            if self.steps(job, "begun").await >= rows {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("no {rows} rows of {job} were begun");
    }

    /// Puts a plan of all rows on record.
    pub(crate) async fn planned(&self, id: &str) {
        self.planned_in_pieces(id, self.rows.len().max(1)).await;
    }

    /// The same, in pieces of so many rows.
    pub(crate) async fn planned_in_pieces(&self, id: &str, size: usize) {
        let counts = |action: &str| self.rows.iter().filter(|row| row["action"] == action).count();
        let plan = json!({
            "id": id, "digest": format!("digest of {id}"), "request": {}, "made_at": now(),
            "by": "test", "consequences": [], "cost": 1.0, "eta_seconds": 1.0,
            "records": (0..self.rows.len()).step_by(size).collect::<Vec<_>>(),
            "counts": {
                "create": counts("create"), "update": counts("update"), "delete": counts("delete"),
            },
        });
        for (n, rows) in self.rows.chunks(size).enumerate() {
            let rows = Value::Array(rows.to_vec());
            let piece = format!("{id}.{n}");
            self.history.put(&acme(), "plan_rows", &piece, &rows).await.expect("rows");
        }
        self.history.put(&acme(), "plan", id, &plan).await.expect("a plan");
    }

    /// A restorer that can be killed.
    pub(crate) fn restorer(&self) -> Process {
        self.restorer_with(Config::default())
    }

    pub(crate) fn restorer_with(&self, config: Config) -> Process {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let scopes = ["read", "restore", "admin"].map(String::from);
        let tokens = [("test", TOKEN), ("other", OTHER)].map(|(name, text)| {
            let digest = Digest::of(text).to_string();
            Token::parse(name, &digest, &scopes, &["*".to_owned()]).expect("a token")
        });
        let access = self.shop.client.access().clone();
        let client = backstock_proto::admin::Client::new(reqwest::Client::new(), access);
        let registry = Registry::new();
        let restorer = Restorer {
            config: Config { shops: [acme()].into(), ..config },
            journal: self.history.clone(),
            pulls: Arc::new(NoPulls),
            records: self.history.clone(),
            blobs: Blobs::in_memory(),
            // They end with the process.
            leases: Arc::new(LocalLeases::default()),
            admins: vec![client],
            tokens: Tokens::new(tokens.into()),
            registry: registry.clone(),
            readiness: Readiness::new(),
            clock: Arc::new(SystemClock),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a listener");
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runs = runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            backstock_restorer::run(listener, restorer, stopped).await
        });
        Process {
            base: format!("http://{address}/v1/shops/{ACME}"),
            http: reqwest::Client::new(),
            registry,
            stop,
            runs: Some(runs),
            runtime: Some(runtime),
        }
    }

    /// Everything is as it was, once, and nothing was made twice.
    pub(crate) async fn assert_restored(&self, results: &[Value]) {
        for row in &self.rows {
            let result = results.iter().find(|result| result["n"] == row["n"]).expect("an end");
            let text = |name: &str| row[name].as_str().expect("a text");
            let (kind, old) = (text("kind"), text("gid"));
            let gid = result["new_gid"].as_str().unwrap_or(old);
            let id = ResourceId::parse(gid).expect("an id");
            let is = self.shop.read(kind, &id).await.unwrap_or_else(|| panic!("{result}"));
            assert_eq!(told(&is), told(&self.were[old]), "{result}");
        }
        let made = self.shop.ids("Page").len();
        assert_eq!(made, self.rows.iter().filter(|row| row["kind"] == "page").count());
        let redirects = self.shop.ids("UrlRedirect").len();
        assert_eq!(redirects, self.rows.iter().filter(|row| row["kind"] == "redirect").count());
        self.shop.assert_simulated();
    }
}

/// A restorer on a runtime of its own: what it does ends where it stands when that is dropped.
pub(crate) struct Process {
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    pub(crate) registry: Registry,
    stop: CancellationToken,
    runs: Option<tokio::task::JoinHandle<Result<(), RestorerError>>>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Process {
    pub(crate) async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        self.ask_as(TOKEN, method, path, body).await
    }

    pub(crate) async fn ask_as(
        &self,
        token: &str,
        method: reqwest::Method,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.bearer_auth(token).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(reqwest::Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(reqwest::Method::POST, path, Some(body)).await
    }

    pub(crate) async fn apply(&self, plan: &str) -> String {
        let body = json!({"digest": format!("digest of {plan}")});
        let (status, job) = self.post(&format!("/plans/{plan}/apply"), body).await;
        assert_eq!(status, 202, "{job}");
        job["id"].as_str().expect("an id").to_owned()
    }

    /// Applies a plan that was asked for, but for some of its rows, until that is over.
    pub(crate) async fn applied(&self, plan: &Value, deselect: &[&Value]) -> Value {
        let path = format!("/plans/{}/apply", plan["id"].as_str().expect("an id"));
        let body = json!({"digest": plan["digest"], "deselect": deselect});
        let (status, job) = self.post(&path, body).await;
        assert_eq!(status, 202, "{job}");
        self.over(job["id"].as_str().expect("an id")).await
    }

    /// Undoes a job, until that is over.
    pub(crate) async fn undone(&self, job: &Value) -> Value {
        let path = format!("/jobs/{}/undo", job["id"].as_str().expect("an id"));
        let (status, undo) = self.post(&path, json!(null)).await;
        assert_eq!(status, 202, "{undo}");
        self.over(undo["id"].as_str().expect("an id")).await
    }

    /// Waits until a job is over, or something else can be said of it.
    pub(crate) async fn until(&self, job: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let seen = self.get(&format!("/jobs/{job}?limit=1000")).await;
            if is(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "{seen}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn over(&self, job: &str) -> Value {
        let over = |job: &Value| ["done", "failed", "cancelled"].contains(&state(job));
        self.until(job, over).await
    }

    /// Tells it to end, and waits until it has.
    pub(crate) async fn end(&mut self) {
        self.stop.cancel();
        if let Some(runs) = self.runs.take() {
            runs.await.expect("no panic").expect("it ends as it should");
        }
        self.kill();
    }

    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The id in a gid.
pub(crate) fn id_of(gid: &Value) -> ResourceId {
    ResourceId::parse(gid.as_str().expect("a gid")).expect("an id")
}

/// What became of the row about a resource.
pub(crate) fn result<'a>(job: &'a Value, id: &ResourceId) -> &'a Value {
    let rows = job["rows"]["items"].as_array().expect("rows");
    rows.iter().find(|row| row["id"] == id.as_str()).expect("an end")
}

pub(crate) fn state(job: &Value) -> &str {
    job["state"].as_str().unwrap_or_default()
}

pub(crate) fn done(job: &Value) -> u64 {
    ["created", "updated"].iter().filter_map(|state| job["counts"][*state].as_u64()).sum()
}

pub(crate) fn now() -> String {
    ago(0)
}

/// So many minutes before now.
pub(crate) fn ago(minutes: i64) -> String {
    use backstock_proto::time::Clock as _;
    let now = SystemClock.now().as_micros();
    Timestamp::from_micros(now - minutes * 60_000_000).to_string()
}

pub(crate) fn row(
    before: &[Value],
    kind: &str,
    id: &ResourceId,
    action: &str,
    more: Value,
) -> Value {
    let gid = format!("gid://shopify/{}/{id}", crate::simulated::spec(kind).gid_type);
    let mut row = json!({
        "n": before.len(), "kind": kind, "id": id, "gid": gid, "title": format!("{kind} {id}"),
        "action": action, "cost": 10.0,
    });
    let members = more.as_object().expect("an object").clone();
    row.as_object_mut().expect("an object").extend(members);
    row
}

/// A state without what a recreation cannot bring back.
pub(crate) fn told(state: &Value) -> Value {
    let mut state = state.clone();
    let members = state.as_object_mut().expect("an object");
    ["id", "createdAt"].iter().for_each(|name| drop(members.remove(*name)));
    state
}

/// A page's metafield that refers to something.
pub(crate) fn reference(to: &str) -> Value {
    json!({"namespace": "custom", "key": "see", "type": "page_reference", "value": to})
}
