//! Plans applied to a simulated shop: once, whatever happens on the way.

mod fake;
mod simulated;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstock_proto::blob::Blobs;
use backstock_proto::listen::Readiness;
use backstock_proto::publish::Records as _;
use backstock_proto::time::SystemClock;
use backstock_proto::{ResourceId, Shop};
use backstock_restorer::job::lease::LocalLeases;
use backstock_restorer::token::Digest;
use backstock_restorer::{Config, Restorer, Token, Tokens};
use fake::{Fake, NoPulls};
use prometheus::Registry;
use serde_json::{Value, json};
use shopify::fault::Fault;
use simulated::Simulated;
use tokio_util::sync::CancellationToken;

const TOKEN: &str = "bst_test";
const ACME: &str = "acme.myshopify.com";
/// When history has the states that plans bring back.
const THEN: &str = "2026-11-20T00:00:00Z";

fn acme() -> Shop {
    Shop::parse(ACME).expect("a shop")
}

/// A shop with pages and redirects, and the history of them.
struct World {
    shop: Simulated,
    history: Arc<Fake>,
    /// What the plan brings back, by gid.
    were: BTreeMap<String, Value>,
    rows: Vec<Value>,
}

impl World {
    /// Deletes every page and changes every redirect; the plan takes that back.
    async fn wrecked(seed: u64) -> Self {
        let shop = Simulated::start(seed, 40, true).await;
        let (mut history, mut were, mut rows) = (Fake::default(), BTreeMap::new(), Vec::new());
        for id in shop.ids("Page") {
            let state = shop.read("page", &id).await.expect("a page");
            history.remember("page", id.as_str(), THEN, &state);
            rows.push(row(&rows, "page", &id, "create", json!({"of": THEN})));
            shop.write("page", Some(&state), None).await.expect("deleted");
            were.insert(state["id"].as_str().expect("a gid").to_owned(), state);
        }
        for id in shop.ids("UrlRedirect") {
            let state = shop.read("redirect", &id).await.expect("a redirect");
            let mut other = state.clone();
            other["target"] = json!("/pages/elsewhere");
            let field = json!({"path": "/target", "old": other["target"], "new": state["target"]});
            rows.push(row(&rows, "redirect", &id, "update", json!({"fields": [field]})));
            shop.write("redirect", Some(&state), Some(&other)).await.expect("changed");
            were.insert(state["id"].as_str().expect("a gid").to_owned(), state);
        }
        shop.writes();
        assert!(rows.len() >= 6, "{} rows are too few to tell anything", rows.len());
        Self { shop, history: Arc::new(history), were, rows }
    }

    /// Puts a plan of all rows on record.
    async fn planned(&self, id: &str) {
        let counts = |action: &str| self.rows.iter().filter(|row| row["action"] == action).count();
        let plan = json!({
            "id": id, "digest": format!("digest of {id}"), "request": {}, "made_at": now(),
            "by": "test", "consequences": [], "cost": 1.0, "eta_seconds": 1.0, "records": [0],
            "counts": {"create": counts("create"), "update": counts("update")},
        });
        let rows = Value::Array(self.rows.clone());
        self.history.put(&acme(), "plan_rows", &format!("{id}.0"), &rows).await.expect("rows");
        self.history.put(&acme(), "plan", id, &plan).await.expect("a plan");
    }

    /// A restorer that can be killed.
    fn restorer(&self) -> Process {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let scopes = ["read", "restore", "admin"].map(String::from);
        let token =
            Token::parse("test", &Digest::of(TOKEN).to_string(), &scopes, &["*".to_owned()]);
        let access = self.shop.client.access().clone();
        let client = backstock_proto::admin::Client::new(reqwest::Client::new(), access);
        let registry = Registry::new();
        let restorer = Restorer {
            config: Config { shops: [acme()].into(), ..Config::default() },
            journal: self.history.clone(),
            pulls: Arc::new(NoPulls),
            records: self.history.clone(),
            blobs: Blobs::in_memory(),
            // They end with the process.
            leases: Arc::new(LocalLeases::default()),
            admins: vec![client],
            tokens: Tokens::new(vec![token.expect("a token")]),
            registry: registry.clone(),
            readiness: Readiness::new(),
            clock: Arc::new(SystemClock),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a listener");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            backstock_restorer::run(listener, restorer, CancellationToken::new()).await
        });
        Process {
            base: format!("http://{address}/v1/shops/{ACME}"),
            http: reqwest::Client::new(),
            registry,
            runtime: Some(runtime),
        }
    }

    /// Everything is as it was, once, and nothing was made twice.
    async fn assert_restored(&self, results: &[Value]) {
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
struct Process {
    base: String,
    http: reqwest::Client,
    registry: Registry,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Process {
    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.bearer_auth(TOKEN).send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(reqwest::Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(reqwest::Method::POST, path, Some(body)).await
    }

    async fn apply(&self, plan: &str) -> String {
        let body = json!({"digest": format!("digest of {plan}")});
        let (status, job) = self.post(&format!("/plans/{plan}/apply"), body).await;
        assert_eq!(status, 202, "{job}");
        job["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a job is over, or something else can be said of it.
    async fn until(&self, job: &str, is: impl Fn(&Value) -> bool) -> Value {
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

    async fn over(&self, job: &str) -> Value {
        let over = |job: &Value| ["done", "failed", "cancelled"].contains(&state(job));
        self.until(job, over).await
    }

    fn kill(&mut self) {
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

fn state(job: &Value) -> &str {
    job["state"].as_str().unwrap_or_default()
}

fn done(job: &Value) -> u64 {
    ["created", "updated"].iter().filter_map(|state| job["counts"][*state].as_u64()).sum()
}

fn now() -> String {
    use backstock_proto::time::Clock as _;
    SystemClock.now().to_string()
}

fn row(before: &[Value], kind: &str, id: &ResourceId, action: &str, more: Value) -> Value {
    let gid = format!("gid://shopify/{}/{id}", simulated::spec(kind).gid_type);
    let mut row = json!({
        "n": before.len(), "kind": kind, "id": id, "gid": gid, "title": format!("{kind} {id}"),
        "action": action, "cost": 10.0,
    });
    let members = more.as_object().expect("an object").clone();
    row.as_object_mut().expect("an object").extend(members);
    row
}

/// A state without what a recreation cannot bring back.
fn told(state: &Value) -> Value {
    let mut state = state.clone();
    let members = state.as_object_mut().expect("an object");
    ["id", "createdAt"].iter().for_each(|name| drop(members.remove(*name)));
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_and_a_second_time_there_is_nothing_to_do() {
    let world = World::wrecked(11).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!(state(&job), "done", "{job}");
    let (pages, all) =
        (world.were.iter().filter(|(id, _)| id.contains("/Page/")).count(), world.rows.len());
    assert_eq!(job["counts"]["created"], pages);
    assert_eq!(job["counts"]["updated"], all - pages);
    world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
    assert_eq!(world.shop.writes().len(), all, "each row is one mutation");

    let again = process.over(&process.apply("plan-a").await).await;
    assert_eq!(again["counts"]["skipped"], all, "{again}");
    assert_eq!(world.shop.writes().len(), 0);
    let jobs = process.get("/jobs").await;
    assert_eq!(jobs["items"].as_array().expect("jobs").len(), 2);
    let rows = process.registry.gather();
    let rows = rows.iter().find(|m| m.name() == "backstock_restorer_rows_total").expect("rows");
    assert_eq!(rows.get_metric().len(), 6, "every series is there");

    let audit = process.get("/audit").await;
    assert_eq!(audit["chain"], json!({"whole": true, "entries": 4}));
    assert_eq!(audit["items"][0]["deed"]["what"], "apply");
    assert_eq!(audit["items"][0]["deed"]["status"], 202);
    assert_eq!(audit["items"][1]["deed"]["who"], "test");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_another_plan_or_twice_is_told() {
    let world = World::wrecked(12).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let (status, said) = process.post("/plans/plan-a/apply", json!({"digest": "other"})).await;
    assert_eq!(
        (status, said["detail"].as_str().unwrap().contains("digest of plan-a")),
        (409, true)
    );
    let (status, _) = process.post("/plans/plan-b/apply", json!({"digest": "other"})).await;
    assert_eq!(status, 404);
    let keyed = || async {
        let asked = process.http.post(format!("{}/plans/plan-a/apply", process.base));
        let asked = asked.header("Idempotency-Key", "k1").bearer_auth(TOKEN);
        let answer = asked.json(&json!({"digest": "digest of plan-a"})).send().await.unwrap();
        let bytes = answer.bytes().await.unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["id"].clone()
    };
    let (a, b) = tokio::join!(keyed(), keyed());
    assert_eq!(a, b);
    let job = process.over(a.as_str().expect("an id")).await;
    assert_eq!(process.get("/jobs").await["items"].as_array().expect("jobs").len(), 1);
    let id = job["id"].as_str().unwrap();
    let (status, _) = process.post(&format!("/jobs/{id}/cancel"), json!(null)).await;
    assert_eq!(status, 409, "it is over");
    let undo = process.http.post(format!("{}/jobs/{id}/undo", process.base));
    let undo = undo.header("Idempotency-Key", "k1").bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(undo.status(), 409, "another job was shown as the one that takes it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_meanwhile_is_left_alone() {
    let world = World::wrecked(13).await;
    let id = world.shop.ids("UrlRedirect").remove(0);
    let was = world.shop.read("redirect", &id).await.expect("a redirect");
    let mut other = was.clone();
    other["target"] = json!("/by-hand");
    world.shop.write("redirect", Some(&was), Some(&other)).await.expect("changed");
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["conflict"]), ("done", &json!(1)), "{job}");
    assert_eq!(world.shop.read("redirect", &id).await, Some(other));
    let path = format!("/jobs/{}?state=conflict", job["id"].as_str().unwrap());
    let rows = process.get(&path).await["rows"]["items"].clone();
    assert_eq!(rows.as_array().expect("rows").len(), 1);
    assert!(rows[0]["reason"].as_str().unwrap().contains("/by-hand"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restorer_that_is_killed_again_and_again_makes_nothing_twice() {
    for seed in 0..5 {
        let world = World::wrecked(20 + seed).await;
        world.planned("plan-a").await;
        // Calls wait for points, so that there is something to interrupt.
        world.shop.simulator.faults().often(Fault::Throttled, 0.5);
        let mut process = world.restorer();
        let job = process.apply("plan-a").await;
        let mut kills = 0;
        for reached in [1, 2, 3, 5, 8] {
            let reached = reached + usize::try_from(seed).unwrap();
            process
                .until(&job, |seen| {
                    let written = world.shop.simulator.shop().writes.len();
                    written >= reached || state(seen) == "done"
                })
                .await;
            process.kill();
            kills += 1;
            process = world.restorer();
        }
        world.shop.simulator.faults().often(Fault::Throttled, 0.0);
        let job = process.over(&job).await;
        assert_eq!(
            (job["counts"]["failed"].as_u64(), job["counts"]["conflict"].as_u64()),
            (Some(0), Some(0)),
            "{job}"
        );
        assert_eq!(kills, 5);
        world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
        let again = process.over(&process.apply("plan-a").await).await;
        assert_eq!(again["counts"]["skipped"], world.rows.len(), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_fails_at_every_third_call_gets_everything_once() {
    let world = World::wrecked(31).await;
    world.planned("plan-a").await;
    for fault in [Fault::Internal, Fault::Lost, Fault::Throttled] {
        world.shop.simulator.faults().often(fault, 0.1);
    }
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    for fault in [Fault::Internal, Fault::Lost, Fault::Throttled] {
        world.shop.simulator.faults().often(fault, 0.0);
    }
    assert_eq!(state(&job), "done", "{job}");
    world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stands_still_goes_on_and_ends_when_told_and_the_rest_can_be_taken_up() {
    let world = World::wrecked(41).await;
    world.planned("plan-a").await;
    world.shop.simulator.faults().often(Fault::Throttled, 0.6);
    let process = world.restorer();
    let job = process.apply("plan-a").await;
    let (status, _) = process.post(&format!("/jobs/{job}/pause"), json!(null)).await;
    assert_eq!(status, 202);
    process.until(&job, |job| state(job) == "paused").await;
    let (status, _) = process.post(&format!("/jobs/{job}/cancel"), json!(null)).await;
    assert_eq!(status, 202);
    let seen = process.over(&job).await;
    assert_eq!(state(&seen), "cancelled");
    assert!(done(&seen) < world.rows.len() as u64, "it ended before it was told to: {seen}");
    world.shop.simulator.faults().often(Fault::Throttled, 0.0);
    let (status, _) = process.post(&format!("/jobs/{job}/retry"), json!(null)).await;
    assert_eq!(status, 202);
    let seen = process.until(&job, |job| state(job) == "done").await;
    world.assert_restored(seen["rows"]["items"].as_array().expect("rows")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_is_told_until_the_end() {
    let world = World::wrecked(51).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.apply("plan-a").await;
    let asked = process.http.get(format!("{}/jobs/{job}/events", process.base));
    let told = asked.bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    let last = told.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("event: end") && last.contains("\"state\":\"done\""), "{told}");
}
