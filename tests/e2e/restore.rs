//! The shop is wrecked, a plan is made and applied, and it is as it was: also when the restorer is
//! killed on the way, and when every third call fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::kills::{count, seed};
use crate::pulls::{SHOP, backfilled, between, ordered, reconciled, settled};
use crate::simulator::{Simulator, planned};

/// The kinds that are wrecked: one that webhooks tell of, and two that only pulls do.
const KINDS: [&str; 3] = ["product", "page", "redirect"];

pub(crate) struct Wreck {
    pub(crate) backstock: Backstock,
    pub(crate) simulator: Simulator,
    /// How the shop was.
    before: BTreeMap<String, Value>,
    /// What was there after it was wrecked.
    wrecked: BTreeMap<String, Value>,
    plan: Value,
}

impl Wreck {
    /// A shop whose history is known, then wrecked by another app, and the plan that takes it back.
    async fn new(products: usize, seed: &str) -> Self {
        let (port, access) = planned();
        let mut backstock = Backstock::pulling(&access);
        let products = products.to_string();
        let more = ["--products", &products, "--rate", "0", "--plan", "plus", "--seed", seed];
        let simulator = Simulator::start(&backstock, port, &more).await;
        backstock.start("serve").await;
        Self::of(backstock, simulator).await
    }

    /// Of a shop and what keeps its history.
    pub(crate) async fn of(backstock: Backstock, simulator: Simulator) -> Self {
        backfilled(&backstock).await;
        let before = truth(&simulator).await;
        let at = between().await;
        wreck(&simulator, &before).await;
        simulator.quiet().await;
        for kind in KINDS {
            ordered(&backstock, json!({"kinds": [kind], "confirm_deletions": true})).await;
            reconciled(&backstock, kind).await;
        }
        settled(&backstock).await;
        let asked = json!({"at": at, "select": {"kinds": KINDS}, "modes": {"delete_new": true}});
        let (status, plan) = backstock.post(&format!("{SHOP}/plans"), asked).await;
        assert_eq!(status, 201, "{plan}");
        let wrecked = truth(&simulator).await;
        Self { backstock, simulator, before, wrecked, plan }
    }

    pub(crate) async fn apply(&self) -> String {
        let path = format!("{SHOP}/plans/{}/apply", self.plan["id"].as_str().expect("an id"));
        let body = json!({"digest": self.plan["digest"]});
        let (status, job) = self.backstock.post(&path, body).await;
        assert_eq!(status, 202, "{job}");
        job["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn over(&self, job: &str) -> Value {
        self.backstock.over(SHOP, job).await
    }

    /// Everything is as it was, and of each thing that was gone there is one again.
    pub(crate) async fn assert_restored(&self, job: &Value) {
        assert_eq!((&job["state"], &job["counts"]["failed"]), (&json!("done"), &json!(0)), "{job}");
        assert_eq!(job["counts"]["pending"], 0, "{job}");
        let after = truth(&self.simulator).await;
        let names = |map: &BTreeMap<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&after), names(&self.before));
        for (name, state) in &self.before {
            assert_eq!(&after[name], state, "{name}");
        }
        assert_eq!(self.simulator.lines("not_simulated").await, vec![json!({})]);
    }

    /// How many resources of its plan Backstock made in the shop.
    pub(crate) async fn made(&self) -> u64 {
        let log = self.simulator.lines("write_log").await;
        let types = ["/Product/", "/Page/", "/UrlRedirect/"];
        let touched = log
            .iter()
            .filter(|write| write["app"] == "Backstock")
            .flat_map(|write| write["touched"].as_array().cloned().unwrap_or_default());
        let made = touched.filter(|one| {
            let gid = one["gid"].as_str().unwrap_or_default();
            one["deed"] == "create" && types.iter().any(|of| gid.contains(of))
        });
        made.count() as u64
    }

    /// How many of them a job says that it made. Translations come with what they are of.
    pub(crate) async fn created(&self, job: &Value) -> u64 {
        let path = format!("{SHOP}/jobs/{}", job["id"].as_str().expect("an id"));
        let (mut created, mut cursor) = (0, String::new());
        loop {
            let page = format!("{path}?limit=1000&state=created{cursor}");
            let (status, job) = self.backstock.get(&page).await;
            assert_eq!(status, 200, "{job}");
            let rows = job["rows"]["items"].as_array().expect("rows");
            let is_one = |row: &&Value| KINDS.iter().any(|kind| row["kind"] == *kind);
            created += rows.iter().filter(is_one).count() as u64;
            match job["rows"]["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return created,
            }
        }
    }

    pub(crate) async fn assert_nothing_to_do(&self) {
        let writes = self.simulator.lines("write_log").await.len();
        let job = self.over(&self.apply().await).await;
        assert_eq!(job["state"], "done", "{job}");
        let counts = &job["counts"];
        let done: u64 = ["created", "updated", "deleted", "conflict", "failed"]
            .iter()
            .filter_map(|state| counts[*state].as_u64())
            .sum();
        assert_eq!(done, 0, "{job}");
        assert_eq!(self.simulator.lines("write_log").await.len(), writes);
    }
}

/// What is wrecked, by what names it beside its id.
async fn truth(simulator: &Simulator) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for kind in KINDS {
        for state in simulator.truth(kind).await {
            let name = state["handle"].as_str().or(state["path"].as_str()).expect("a name");
            all.insert(format!("{kind} {name}"), told(kind, &state));
        }
    }
    all
}

/// What of a state comes back under a new id.
fn told(kind: &str, state: &Value) -> Value {
    match kind {
        "product" => {
            let variants = state["variants"].as_array().cloned().unwrap_or_default();
            let variants: Vec<Value> = variants
                .iter()
                .map(|v| json!([v["sku"], crate::pulls::money(&v["price"]), v["position"]]))
                .collect();
            json!([state["title"], state["descriptionHtml"], state["status"], variants])
        }
        "page" => json!([state["title"], state["body"], state["isPublished"]]),
        _ => json!([state["target"]]),
    }
}

/// Another app deletes a third of everything and spoils another third.
async fn wreck(simulator: &Simulator, before: &BTreeMap<String, Value>) {
    for (kind, delete, spoil) in [
        (
            "product",
            "mutation { productDelete(input: {id: \"ID\"}) { userErrors { message } } }",
            "mutation { productUpdate(product: {id: \"ID\", title: \"N\", descriptionHtml: \"\"}) \
             { userErrors { message } } }",
        ),
        (
            "page",
            "mutation { pageDelete(id: \"ID\") { userErrors { message } } }",
            "mutation { pageUpdate(id: \"ID\", page: {body: \"spoilt\"}) { userErrors { message } } }",
        ),
        (
            "redirect",
            "mutation { urlRedirectDelete(id: \"ID\") { userErrors { message } } }",
            "mutation { urlRedirectUpdate(id: \"ID\", urlRedirect: {target: \"/spoilt\"}) \
             { userErrors { message } } }",
        ),
    ] {
        let states = simulator.truth(kind).await;
        for (n, state) in states.iter().enumerate().filter(|(n, _)| n % 3 < 2) {
            let id = state["id"].as_str().expect("an id");
            let document = if n % 3 == 0 { delete } else { spoil };
            simulator.ask(&document.replace("ID", id)).await;
        }
    }
    assert!(truth(simulator).await.len() < before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wrecked_is_as_it_was_and_a_second_time_there_is_nothing_to_do() {
    let wreck = Wreck::new(30, "3").await;
    let before = wreck.made().await;
    let job = wreck.over(&wreck.apply().await).await;
    wreck.assert_restored(&job).await;
    assert_eq!(wreck.made().await - before, wreck.created(&job).await);
    wreck.assert_nothing_to_do().await;
    let ratio = wreck.backstock.metric("backstock_restorer_budget_used_ratio").await;
    assert!(ratio > 0.0 && ratio <= 1.0, "{ratio}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_undone_at_once_without_waiting_for_webhooks() {
    let wreck = Wreck::new(30, "6").await;
    let job = wreck.over(&wreck.apply().await).await;
    let path = format!("{SHOP}/jobs/{}/undo", job["id"].as_str().expect("an id"));
    let (status, undo) = wreck.backstock.post(&path, json!({})).await;
    assert_eq!(status, 202, "{undo}");
    let undone = wreck.over(undo["id"].as_str().expect("an id")).await;
    assert_eq!((&undone["state"], &undone["counts"]["conflict"]), (&json!("done"), &json!(0)));
    let now = truth(&wreck.simulator).await;
    let names = |map: &BTreeMap<String, Value>| map.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&now), names(&wreck.wrecked));
    assert_eq!(now, wreck.wrecked, "{undone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_kill_during_a_restore() {
    let (kills, seed) = (count("BACKSTOCK_KILLS", 3), seed());
    println!("kill during a restore: {kills} kills, seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut done, mut shops) = (0, 0);
    while done < kills {
        shops += 1;
        let interrupted = killed(kills - done, &mut rng).await;
        assert!(interrupted > 0, "the job was over before the first kill; seed {seed}");
        done += interrupted;
    }
    println!("killed {done} times at work, in {shops} shops, seed {seed}");
}

/// Restores a shop while the restorer is killed, at most so often, and nearly every third call fails.
/// Answers how often it was killed at work.
async fn killed(kills: u64, rng: &mut StdRng) -> u64 {
    let mut wreck = Wreck::new(60, &rng.random_range(0..1_000_000).to_string()).await;
    let before = wreck.made().await;
    // Calls wait as well, so that there is something to interrupt.
    let faults = [
        ("throttled", 0.3),
        ("internal", 0.1),
        ("lost", 0.1),
        ("bad_gateway", 0.05),
        ("reset", 0.05),
    ];
    wreck.simulator.post("faults", json!({"often": BTreeMap::from(faults)})).await;
    let job = wreck.apply().await;
    let mut interrupted = 0;
    while interrupted < kills {
        tokio::time::sleep(Duration::from_millis(rng.random_range(100..1_000))).await;
        wreck.backstock.signal("serve", Signal::SIGKILL);
        wreck.backstock.start("serve").await;
        let (_, seen) = wreck.backstock.get(&format!("{SHOP}/jobs/{job}")).await;
        if seen["state"] == "done" {
            break;
        }
        interrupted += 1;
    }
    let none = faults.map(|(fault, _)| (fault, 0.0));
    wreck.simulator.post("faults", json!({"often": BTreeMap::from(none)})).await;
    let ended = wreck.over(&job).await;
    println!("  killed {interrupted} times at work: {}", ended["counts"]);
    wreck.assert_restored(&ended).await;
    assert_eq!(wreck.made().await - before, wreck.created(&ended).await);
    wreck.assert_nothing_to_do().await;
    interrupted
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_fails_at_every_third_call_gets_everything_once() {
    let wreck = Wreck::new(30, "5").await;
    let before = wreck.made().await;
    let faults = [("internal", 0.1), ("lost", 0.1), ("bad_gateway", 0.05), ("reset", 0.05)];
    // Each of them once for certain, and more by chance.
    let next = faults.map(|(fault, _)| [None, None, Some(fault)]).concat();
    let often = json!({"often": BTreeMap::from(faults), "next": next});
    wreck.simulator.post("faults", often).await;
    let job = wreck.over(&wreck.apply().await).await;
    let none = faults.map(|(fault, _)| (fault, 0.0));
    wreck.simulator.post("faults", json!({"often": BTreeMap::from(none)})).await;
    let struck = wreck.simulator.struck().await;
    println!("struck: {struck}");
    for (fault, _) in faults {
        assert!(struck[fault].as_u64() > Some(0), "{fault} struck nothing: {struck}");
    }
    wreck.assert_restored(&job).await;
    assert_eq!(wreck.made().await - before, wreck.created(&job).await);
    wreck.assert_nothing_to_do().await;
}
