//! A shop of a size that no other test has, measured from end to end: how long a first look and a
//! second one take and in how much memory, how soon answers begin, how long a disaster lasts, and how
//! much of what the shop grants a restore uses. It prints figures, and fails where a bound does not hold.
//!
//! `tests/large.sh` runs it, and says what can be set.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::backstock::{Backstock, TOKEN, settings};
use crate::gauge::Gauge;
use crate::kills::count;
use crate::pulls::{SHOP, between, ordered, pull_of, pulled_kinds};
use crate::recover::address;
use crate::simulator::{Simulator, planned};

/// What the journal's store may take by its own bounds: its cache and what is not yet in files.
const CACHES: u64 = 128 << 20;
/// What everything else may take at its highest, however large the shop.
const BESIDE_CACHES: u64 = 256 << 20;
/// The part of the granted points that a restore of some length has to use.
const USED_MIN: f64 = 0.95;

struct Large {
    backstock: Backstock,
    simulator: Simulator,
    /// Waits as long as it takes.
    client: reqwest::Client,
    /// Where checkpoints are copied to.
    copies: TempDir,
    /// What took more memory than it may.
    over: RefCell<Vec<String>>,
}

impl Large {
    async fn open(products: u64) -> Self {
        let (port, access) = planned();
        let copies = tempfile::tempdir().expect("a directory");
        let more = format!(
            "[log]\nfilter = \"warn\"\n[storage]\ncopies = [{:?}]\n",
            address(copies.path())
        );
        let backstock = Backstock::pulling_with(&more, &access);
        let products = products.to_string();
        let more = [
            "--products",
            &products,
            "--rate",
            "0",
            "--plan",
            "unlimited",
            "--seed",
            "1",
            "--customers",
            "100",
            "--orders",
            "50",
            "--collections",
            "20",
            "--variants-free",
            "1000000000",
            "--concurrency",
            "64",
        ];
        let simulator = Simulator::start(&backstock, port, &more).await;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(3_600)).build();
        let (client, over) = (client.expect("a client"), RefCell::default());
        Self { backstock, simulator, client, copies, over }
    }

    fn gauge(&self) -> Gauge {
        let nats = self.backstock.nats_pid().unwrap_or(0);
        let serve = self.backstock.pid("serve");
        Gauge::new(&[("serve", serve), ("nats-server", nats), ("simulator", self.simulator.pid())])
    }

    /// Looks again and again, however long it takes.
    async fn until<T>(&self, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The pull of a kind that began at `since` or later, once it is over.
    async fn pulled(&self, kind: &str, since: &str) -> Value {
        let after: jiff::Timestamp = since.parse().unwrap_or(jiff::Timestamp::MIN);
        let pull = self
            .until(async || {
                let pull = pull_of(&self.backstock, kind).await?;
                let began = pull["started_at"].as_str()?.parse::<jiff::Timestamp>().ok()?;
                (pull["state"] != "running" && began >= after).then_some(pull)
            })
            .await;
        assert_eq!(pull["state"], "complete", "{pull}");
        pull
    }

    async fn reconciled(&self, kind: &str) -> Value {
        let order = json!({"kinds": [kind], "confirm_deletions": true});
        let at = ordered(&self.backstock, order).await;
        self.pulled(kind, &at).await
    }

    /// Waits until the journal has read everything that is on the stream by now.
    async fn settled(&self) {
        self.reconciled("location").await;
    }

    /// Lines and bytes of all results of bulk operations so far.
    async fn results(&self) -> (f64, f64) {
        let asked = "{ bulkOperations(first: 250) { nodes { objectCount fileSize } } }";
        let said = self.simulator.ask(asked).await;
        let sum = |field: &str| {
            let nodes = said["bulkOperations"]["nodes"].as_array().into_iter().flatten();
            nodes.filter_map(|node| node[field].as_str()?.parse::<f64>().ok()).sum::<f64>()
        };
        (sum("objectCount"), sum("fileSize"))
    }

    /// The first look: everything that the shop has, until these kinds are known.
    async fn first_look(&mut self, kinds: &[String]) {
        self.backstock.start("serve").await;
        let gauge = self.gauge();
        for kind in kinds {
            let pull = self.pulled(kind, "").await;
            println!("  {kind}: {} known after {}", pull["objects"], gauge.told());
        }
        // Nothing that follows is to be measured beside what is still read for the first time.
        for spec in pulled_kinds() {
            self.pulled(spec.name, "").await;
        }
        self.settled().await;
        self.bounded("the first look", &gauge);
    }

    /// A second look, which finds nothing new.
    async fn second_look(&self, kind: &str) {
        let before = self.results().await;
        let gauge = self.gauge();
        let pull = self.reconciled(kind).await;
        let seconds = gauge.elapsed().as_secs_f64();
        let after = self.results().await;
        let (lines, megabytes) = (after.0 - before.0, (after.1 - before.1) / 1e6);
        let busy = gauge.taken()[0].processor_seconds;
        println!(
            "  {kind} again: {} resources, {lines:.0} lines, {megabytes:.0} MB in {seconds:.1} s; \
             serve takes {:.2} s of processor for 100 MB\n    {}",
            pull["objects"],
            busy / megabytes * 100.0,
            gauge.told()
        );
        self.bounded("a second look", &gauge);
    }

    /// Memory that does not grow with the shop.
    fn bounded(&self, what: &str, gauge: &Gauge) {
        println!("  {what}: {}", gauge.told());
        let beside = gauge.taken()[0].memory.saturating_sub(CACHES);
        if beside > BESIDE_CACHES {
            self.over.borrow_mut().push(format!("{what} took {} MiB", beside >> 20));
        }
    }

    /// What history says of a kind: each resource's state, by its id. Bytes are copied at their own pace.
    async fn known(&self, kind: &str, at: Option<&str>) -> BTreeMap<String, blake3::Hash> {
        let at = at.map(|at| format!("&at={at}")).unwrap_or_default();
        let url = format!("{}{SHOP}/snapshot?kind={kind}{at}", self.backstock.api);
        let answer = self.client.get(url).bearer_auth(TOKEN).send().await.expect("an answer");
        let text = answer.text().await.expect("all of it");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut ends = false;
        let mut known = BTreeMap::new();
        for mut line in lines {
            for medium in line["state"]["media"].as_array_mut().into_iter().flatten() {
                if let Some(medium) = medium.as_object_mut() {
                    medium.remove("blob");
                }
            }
            match line["id"].as_str() {
                Some(id) => {
                    let state = blake3::hash(line["state"].to_string().as_bytes());
                    known.insert(id.to_owned(), state);
                }
                None => ends = line["end"] == true && line["count"] == known.len(),
            }
        }
        assert!(ends, "the snapshot of {kind} is not whole");
        known
    }

    /// Journal and stream are lost; what a checkpoint has comes back from it, and what came after it
    /// from the shop.
    async fn disaster(&mut self, kinds: &[String], then: &str, changed: u64) {
        let to = address(self.copies.path());
        let mut history = Vec::new();
        for kind in kinds {
            history.push((kind, self.known(kind, Some(then)).await));
        }
        let begun = Instant::now();
        let copied = self.backstock.client_verb(&["checkpoint", "--to", &to, "--json"]);
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let reports: Value = serde_json::from_slice(&copied.stdout).expect("JSON");
        let megabytes = reports[0]["bytes"].as_f64().expect("bytes") / 1e6;
        let took = begun.elapsed().as_secs_f64();
        println!("  checkpoint: {megabytes:.0} MB copied in {took:.1} s");
        let path = format!("scenario/shifted_import?products={changed}");
        self.simulator.post(&path, json!({})).await;
        self.simulator.quiet().await;
        self.settled().await;
        let mut latest = Vec::new();
        for kind in kinds {
            self.reconciled(kind).await;
            self.settled().await;
            latest.push((kind, self.known(kind, None).await));
        }

        self.backstock.signal("serve", Signal::SIGKILL);
        self.backstock.kill_nats();
        std::fs::remove_dir_all(self.backstock.dir.join("data")).expect("the disaster");
        let begun = Instant::now();
        let mut recover = Command::new(env!("CARGO_BIN_EXE_backstock"));
        for name in settings() {
            recover.env_remove(name);
        }
        let recovered = recover
            .args(["recover", "--from", &to, "--config", "backstock.toml", "--stream-lost"])
            .current_dir(&self.backstock.dir)
            .output()
            .expect("the binary starts");
        assert!(recovered.status.success(), "{}", String::from_utf8_lossy(&recovered.stderr));
        let copied_back = begun.elapsed().as_secs_f64();
        self.backstock.start("serve").await;
        let answers = begun.elapsed().as_secs_f64();
        for (kind, before) in &history {
            assert!(self.known(kind, Some(then)).await == *before, "{kind} at {then} is another");
        }
        for (kind, before) in &latest {
            self.reconciled(kind).await;
            self.settled().await;
            assert!(self.known(kind, None).await == *before, "{kind} is not as the shop has it");
        }
        println!(
            "  journal and stream lost: copied back in {copied_back:.1} s ({:.1} s for a GB), answers \
             after {answers:.1} s, {changed} changes since the checkpoint found again after {:.1} s",
            copied_back / megabytes * 1e3,
            begun.elapsed().as_secs_f64()
        );
    }

    /// How long until an answer begins, and until it is whole.
    async fn answers(&self, what: &str, path: &str, cookie: &str) {
        let mut firsts = Vec::new();
        let (mut whole, mut bytes) = (Duration::ZERO, 0);
        for _ in 0..3 {
            let asked = self.client.get(format!("{}{path}", self.backstock.api));
            let asked = match path.starts_with("/v1/") {
                true => asked.bearer_auth(TOKEN),
                false => asked.header("cookie", cookie),
            };
            let begun = Instant::now();
            let mut answer = asked.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{path}: {}", answer.status());
            bytes = answer.chunk().await.expect("bytes").map_or(0, |chunk| chunk.len());
            firsts.push(begun.elapsed());
            while let Some(chunk) = answer.chunk().await.expect("bytes") {
                bytes += chunk.len();
            }
            whole = begun.elapsed();
        }
        println!(
            "  {what:<34} first byte {:>8.1} ms, then {:>8.1} ms; whole {:>8.1} ms, {bytes} bytes",
            firsts[0].as_secs_f64() * 1e3,
            firsts[1..].iter().min().expect("more than one").as_secs_f64() * 1e3,
            whole.as_secs_f64() * 1e3,
        );
    }

    /// Signs in as a person does; the cookie of the session.
    async fn signed_in(&self) -> String {
        let once = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let form = once
            .expect("a client")
            .post(format!("{}/signin", self.backstock.api))
            .header("origin", &self.backstock.api)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={TOKEN}"));
        let answer = form.send().await.expect("an answer");
        let cookie = answer.headers().get("set-cookie").expect("a cookie").to_str().expect("text");
        cookie.split(';').next().expect("a cookie").to_owned()
    }

    async fn all_answers(&self, since: &str) {
        let cookie = self.signed_in().await;
        let page = "/shops/acme.myshopify.com";
        let since = since.replace('+', "%2B");
        for (what, path) in [
            ("status", format!("{SHOP}/status")),
            ("find, by a word that many have", format!("{SHOP}/resources?q=linen")),
            ("find, by a SKU", format!("{SHOP}/resources?q=SKU-00900-001")),
            ("find, what nothing has", format!("{SHOP}/resources?q=zzzzzz")),
            ("changes", format!("{SHOP}/changes?from={since}")),
            ("change-sets", format!("{SHOP}/change-sets?from={since}")),
            ("snapshot", format!("{SHOP}/snapshot?kind=product")),
            ("page: overview", page.to_owned()),
            ("page: changes", format!("{page}/changes")),
            ("page: find", format!("{page}/find")),
            ("page: find, what nothing has", format!("{page}/find?q=zzzzzz")),
        ] {
            self.answers(what, &path, &cookie).await;
        }
        for verb in [&["status"][..], &["find", "linen"], &["changes", "--from", "1 hour ago"]] {
            let begun = Instant::now();
            let ended = self.backstock.client_verb(verb);
            let said = String::from_utf8_lossy(&ended.stderr);
            let took = begun.elapsed().as_secs_f64() * 1e3;
            println!("  backstock {:<24} {took:>8.1} ms {}", verb.join(" "), said.trim());
        }
    }

    /// A plan, however long it takes to make it.
    async fn planned(&self, asked: &Value) -> Value {
        let plans = self.client.post(format!("{}{SHOP}/plans", self.backstock.api));
        let answer = plans.bearer_auth(TOKEN).json(asked).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Deletes a product, and plans that it comes back: what points to it is looked for in the whole shop.
    async fn one_planned(&self) {
        let path = format!("{SHOP}/resources?kind=product&deleted=false&limit=1");
        let (_, listed) = self.backstock.get(&path).await;
        let gid = listed["items"][0]["gid"].as_str().expect("a gid");
        let at = between().await;
        self.simulator.delete_product(gid).await;
        self.simulator.quiet().await;
        self.settled().await;
        let planning = self.gauge();
        let plan = self.planned(&json!({"at": at, "select": {"ids": [gid]}})).await;
        // What is counted of it and its translations come with it.
        assert!(plan["counts"]["create"].as_u64() > Some(1), "{plan}");
        println!("  1 product deleted, planned in {}", planning.told());
    }

    /// Deletes products, and has them restored on a plan of the shop's.
    async fn restored(&self, shop_plan: &str, products: u64) {
        self.simulator.post("plan/unlimited", json!({})).await;
        self.simulator.post("latency?seconds=0", json!({})).await;
        self.settled().await;
        let at = between().await;
        self.simulator.post(&format!("scenario/cleanup_app?products={products}"), json!({})).await;
        self.simulator.quiet().await;
        self.settled().await;
        let planning = self.gauge();
        let plan = self.planned(&json!({"at": at, "select": {"kinds": ["product"]}})).await;
        assert!(plan["counts"]["create"].as_u64() > Some(products), "{plan}");
        println!("  {products} products deleted, planned in {}", planning.told());
        self.simulator.post(&format!("plan/{shop_plan}"), json!({})).await;
        // From here on what the shop grants is known.
        self.settled().await;
        let latency = std::env::var("BACKSTOCK_LATENCY").unwrap_or_else(|_| "0.3".into());
        self.simulator.post(&format!("latency?seconds={latency}"), json!({})).await;
        let pace = std::env::var("BACKSTOCK_BULK_PACE").ok().and_then(|pace| pace.parse().ok());
        self.simulator.post("bulk", json!({"pace": pace.unwrap_or(5.0)})).await;
        let path = format!("{SHOP}/plans/{}/apply", plan["id"].as_str().expect("an id"));
        let gauge = self.gauge();
        let others = self.backstock.metric("backstock_compactor_admin_cost_points_total").await;
        let (status, job) = self.backstock.post(&path, json!({"digest": plan["digest"]})).await;
        assert_eq!(status, 202, "{job}");
        let path = format!("{SHOP}/jobs/{}", job["id"].as_str().expect("an id"));
        let job = self
            .until(async || {
                let (_, job) = self.backstock.get(&path).await;
                matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled"))
                    .then_some(job)
            })
            .await;
        let created = &plan["counts"]["create"];
        assert_eq!((&job["state"], &job["counts"]["created"]), (&json!("done"), created), "{job}");
        let others =
            self.backstock.metric("backstock_compactor_admin_cost_points_total").await - others;
        self.report((shop_plan, products), &job, others, &gauge);
    }

    /// What a job made of what the shop granted while it ran.
    fn report(&self, of: (&str, u64), job: &Value, others: f64, gauge: &Gauge) {
        let (shop_plan, products) = of;
        let instant = |name: &str| {
            job[name]
                .as_str()
                .and_then(|at| at.parse::<jiff::Timestamp>().ok())
                .expect("an instant")
        };
        let took = instant("finished_at").duration_since(instant("began_at")).as_secs_f64();
        let points = |name: &str| job[name].as_f64().expect("points");
        let (cost, granted) = (points("cost"), points("granted"));
        let rate = match shop_plan {
            "standard" => 100.0,
            "advanced" => 200.0,
            _ => 1_000.0,
        };
        // A full bucket is what comes back in twenty seconds.
        let least = ((cost + others) / rate - 20.0).max(0.0);
        let in_bulk = job["in_bulk"].as_u64().unwrap_or(0);
        let used = (cost + others) / (20.0 * rate + took * rate);
        println!(
            "  restored on {shop_plan}: {products} products, {} things in {took:.1} s, at least \
             {least:.1} s; {in_bulk} mutations in bulk, {cost:.0} points ({:.1} each) and {others:.0} of the compactor's, {:.3} of what was granted (the \
             job says {:.3})\n    {}",
            job["counts"]["created"],
            cost / products as f64,
            used,
            cost / granted,
            gauge.told(),
        );
        // Within the first seconds the bucket is not the limit, and in bulk the shop's own pace may be.
        if least > 30.0 && in_bulk == 0 {
            assert!(used >= USED_MIN, "{used:.3} of what the shop granted was used: {job}");
        }
        self.bounded("a restore", gauge);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes to hours: tests/large.sh"]
async fn a_large_shop_measured() {
    let products = count("BACKSTOCK_PRODUCTS", 1_000);
    let text = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.into());
    let kinds = text("BACKSTOCK_KINDS", "product");
    let kinds: Vec<String> = kinds.split(',').map(str::to_owned).collect();
    let restored = text("BACKSTOCK_RESTORED", "plus:500");
    println!("{products} products");
    let mut large = Large::open(products).await;
    large.first_look(&kinds).await;
    for kind in &kinds {
        large.second_look(kind).await;
    }
    let since = jiff::Timestamp::now().to_string();
    let changed = count("BACKSTOCK_CHANGED", products.min(1_000));
    if changed > 0 {
        let gauge = large.gauge();
        large
            .simulator
            .post(&format!("scenario/shifted_import?products={changed}"), json!({}))
            .await;
        large.simulator.quiet().await;
        large.settled().await;
        println!("  {changed} products changed and known after {}", gauge.told());
    }
    large.all_answers(&since).await;
    large.disaster(&kinds, &since.replace('+', "%2B"), changed).await;
    large.one_planned().await;
    for one in restored.split(',').filter(|one| !one.is_empty()) {
        let (plan, products) = one.split_once(':').expect("plan:products");
        large.restored(plan, products.parse().expect("a number")).await;
    }
    assert_eq!(large.simulator.lines("not_simulated").await, vec![json!({})]);
    large.backstock.signal("serve", Signal::SIGTERM);
    assert_eq!(large.over.into_inner(), Vec::<String>::new(), "beside the caches");
}
