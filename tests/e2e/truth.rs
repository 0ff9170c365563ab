//! History against what the shop really was: after days on which webhooks were lost, came twice, out of
//! order, or hours later.
//!
//! How late a webhook is does not matter, only what it comes after: the late ones are held back until
//! everything else has arrived, those of one day until just before a whole pull, those of the other
//! until after it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backstock_proto::kind::{Spec, route};
use backstock_proto::{Facet, Timestamp};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::deeds::Deeds;
use crate::kills::{count, seed};
use crate::likeness;
use crate::pulls::{
    SHOP, backfilled, differences, eventually, followed_up, known_shop, now, ordered, pull_of,
    pulled, pulled_kinds,
};
use crate::simulator::{Simulator, planned};
use crate::told::{self, Answers, instant};
use crate::upkeep::kept;

mod books;

/// Kinds whose webhooks carry the state; of the others they only say that there is another.
fn carried(spec: &Spec) -> bool {
    spec.core.is_some()
}

/// Not a thing of the shop but its log, whose entries show late.
const LOG: &str = "event";

/// Whether what comes of a kind is counted. That a bulk operation of a look itself is over comes by webhook,
/// and is kept as well.
fn counts(kind: &str) -> bool {
    kind != LOG && kind != "bulk_operation"
}

/// A shop and who keeps its history.
struct Days {
    backstock: Backstock,
    simulator: Simulator,
    deeds: Deeds,
    /// When everything was last known.
    known: Timestamp,
    /// Quiet moments, at which everything that webhooks told was known.
    moments: Vec<Timestamp>,
    /// About what something came late.
    late: BTreeSet<String>,
}

/// How much happens on a day, and to how large a shop.
struct Scale {
    products: usize,
    /// Bursts of deeds a day.
    rounds: usize,
    /// How long a burst goes on, in milliseconds.
    burst: u64,
}

impl Days {
    /// A shop of which everything is known, and how its webhooks fare from then on.
    async fn begin(scale: &Scale, seed: u64, more: &[&str]) -> Self {
        let (products, seed) = (scale.products.to_string(), seed.to_string());
        let mut args = vec!["--products", &products, "--rate", "0", "--plan", "unlimited"];
        args.extend(["--big-every", "12", "--big-variants", "110", "--seed", &seed]);
        args.extend(more.iter().copied());
        let (backstock, simulator) = known_shop(&args).await;
        let days = Self {
            backstock,
            simulator,
            deeds: Deeds::default(),
            known: now(),
            moments: Vec::new(),
            late: BTreeSet::new(),
        };
        days.still().await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        days
    }

    /// A day: bursts of ordinary traffic and of everything else, each with a quiet moment after it.
    /// Everything is known when it begins.
    async fn day(&mut self, scale: &Scale) {
        self.known = now();
        for _ in 0..scale.rounds {
            self.simulator.post("traffic?rate=100", json!({})).await;
            self.deeds.round(&self.simulator).await;
            tokio::time::sleep(Duration::from_millis(scale.burst)).await;
            self.simulator.quiet().await;
            self.answered().await;
            self.moments.push(now());
            // The shop's dates have whole seconds.
            tokio::time::sleep(Duration::from_millis(1_100)).await;
        }
    }

    /// Waits until everything that webhooks left open was asked for, and all of it can be read.
    async fn answered(&self) {
        followed_up(&self.backstock).await;
        self.readable().await;
    }

    /// Waits until the journal has read all that is on the stream. The pull for it is of a kind that no
    /// webhook tells of, so that it finds no drift.
    async fn readable(&self) {
        self.pull(&["publication"]).await;
    }

    /// Waits until nothing more is learned: the bytes of media are fetched after a pull.
    async fn still(&self) {
        kept(&self.backstock, "product").await;
        let mut known = self.versions().await;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.readable().await;
            let now = self.versions().await;
            if now == known {
                return;
            }
            known = now;
        }
    }

    /// Lets come what is late.
    async fn late_ones_come(&mut self) -> u64 {
        for line in self.log().await.iter().filter(|line| line["outcome"] == "held") {
            self.late.extend(about(line).map(|(_, gid)| gid));
        }
        let let_go = self.simulator.post("late", json!({})).await;
        let let_go: Value = serde_json::from_str(&let_go).expect("JSON");
        self.simulator.post("drain", json!({})).await;
        self.answered().await;
        let_go["let_go"].as_u64().expect("a count")
    }

    async fn log(&self) -> Vec<Value> {
        self.simulator.lines("deliveries/log").await
    }

    /// Pulls some kinds whole, and answers their reports.
    async fn pull(&self, kinds: &[&str]) -> BTreeMap<String, Value> {
        let at = ordered(&self.backstock, json!({"kinds": kinds})).await;
        let mut reports = BTreeMap::new();
        for kind in kinds {
            let report = pulled(&self.backstock, kind, &at).await;
            assert_eq!(report["state"], "complete", "{report}");
            reports.insert((*kind).to_owned(), report);
        }
        reports
    }

    /// Pulls everything whole, and answers the differences that were counted, by kind.
    async fn drift(&self) -> BTreeMap<String, u64> {
        let kinds: Vec<&str> = pulled_kinds().map(|spec| spec.name).collect();
        let before = self.drift_total().await;
        let reports = self.pull(&kinds).await;
        self.readable().await;
        let drift: BTreeMap<String, u64> =
            reports.iter().map(|(kind, report)| (kind.clone(), differences(report))).collect();
        let counted = self.drift_total().await - before;
        assert_eq!(counted as u64, drift.values().sum::<u64>(), "what the metric says");
        drift.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    async fn drift_total(&self) -> f64 {
        self.backstock.metric("backstock_compactor_drift_total").await
    }

    /// How many deliveries are held back, by the kind of which they tell.
    async fn held(&self) -> BTreeMap<String, u64> {
        let mut held = BTreeMap::new();
        for line in self.log().await.iter().filter(|line| line["outcome"] == "held") {
            let kind = route(line["topic"].as_str().unwrap_or_default()).kind.to_string();
            if counts(&kind) {
                *held.entry(kind).or_default() += 1;
            }
        }
        held
    }

    /// What was learned of some kinds since an instant otherwise than by webhook.
    async fn asked_since(&self, then: Timestamp, kinds: &BTreeMap<String, u64>) -> Vec<String> {
        let mut learned = Vec::new();
        for kind in kinds.keys() {
            for resource in self.backstock.list(&format!("{SHOP}/resources?kind={kind}")).await {
                let id = resource["id"].as_str().expect("an id");
                let path = format!("{SHOP}/resources/{kind}/{id}/versions");
                let mut versions = self.backstock.list(&path).await;
                let is_new = |v: &Value| instant(&v["recorded_at"]) >= then;
                versions.retain(|v| v["source"] != "webhook" && is_new(v));
                learned.extend(versions.iter().map(|version| format!("{kind} {id}: {version}")));
            }
        }
        learned
    }

    /// How many versions there are of each kind.
    async fn versions(&self) -> BTreeMap<String, u64> {
        let (_, status) = self.backstock.get(&format!("{SHOP}/status")).await;
        let kinds = status["kinds"].as_array().cloned().unwrap_or_default().into_iter();
        let of = |kind: Value| {
            Some((kind["kind"].as_str()?.to_owned(), kind["versions"].as_u64().unwrap_or_default()))
        };
        kinds.filter_map(of).filter(|(kind, _)| counts(kind)).collect()
    }

    /// A pull finds nothing, and leaves nothing behind.
    async fn assert_nothing_is_found(&self) {
        let versions = self.versions().await;
        assert_eq!(self.drift().await, BTreeMap::new(), "a second look found something");
        assert_eq!(self.versions().await, versions, "a second look left something behind");
    }

    /// How much is otherwise than was told last, by kind: by a webhook that came, by an answer, or on the
    /// day before.
    async fn lost(&self) -> BTreeMap<String, u64> {
        let stories = told::stories(&self.log().await);
        let answers = Answers::of(&self.simulator.lines("answers").await);
        let gone = told::gone(&stories);
        let mut lost: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for (about, story) in &stories {
            let Some((topic, gid)) = told::parted(about) else { continue };
            let Some(spec) = told::concerned(&topic) else { continue };
            let part = told::part(&topic);
            // What goes beside a customer went with the customer.
            if part != Facet::Core && gone.contains(&gid) {
                continue;
            }
            let tells = carried(spec) && part == Facet::Core;
            let heard = story.heard(tells);
            if heard == story.end() {
                continue;
            }
            let id = self.id_at(spec, &gid, story.end()).await;
            let answered = answers.about(spec, part, &id);
            let learned = match tells {
                // What a webhook carries is taken from an answer only where it left something open: what
                // was learned then is a version.
                true => {
                    let asked = self.corrected(spec, &id).await;
                    answered.iter().find(|at| asked.is_some_and(|asked| **at >= asked))
                }
                false => answered.last(),
            };
            let learned = learned.copied().unwrap_or(Timestamp::MIN);
            if story.has_changed_since(heard.max(learned).max(self.known)) {
                lost.entry(spec.name).or_default().insert(id);
            }
        }
        println!("not told of: {lost:?}");
        lost.into_iter().map(|(kind, ids)| (kind.to_owned(), ids.len() as u64)).collect()
    }

    /// The id by which history knows something that was there at an instant or just before.
    async fn id_at(&self, spec: &Spec, gid: &str, at: Timestamp) -> String {
        let number = gid.rsplit('/').next().expect("a number");
        if spec.name != "inventory_level" {
            return number.to_owned();
        }
        // Webhooks are dated more finely than history.
        for micros in [1, 0, -1] {
            let at = Timestamp::from_micros(at.as_micros() + micros);
            let asked = format!("truth?kind=inventory_level&id={number}&at={at}");
            if let Some(level) = self.simulator.lines(&asked).await.first() {
                return likeness::id(spec, level);
            }
        }
        panic!("{gid} was never there");
    }

    /// When a resource was last asked for by its id and its core found otherwise than known.
    async fn corrected(&self, spec: &Spec, id: &str) -> Option<Timestamp> {
        let path = format!("{SHOP}/resources/{}/{id}/versions", spec.name);
        if self.backstock.get(&path).await.0 == 404 {
            return None;
        }
        let versions = self.backstock.list(&path).await;
        let asked = versions.iter().filter(|v| v["source"] == "pull" && v["facet"] == "core");
        asked.map(|version| instant(&version["triggered_at"])).max()
    }
}

/// By which topic a delivery tells of which resources.
fn about(line: &Value) -> impl Iterator<Item = (String, String)> {
    let says = line["says"].as_array().cloned().unwrap_or_default().into_iter();
    says.filter_map(|says| told::parted(says["about"].as_str()?))
}

/// Two days with all that can go wrong with webhooks.
async fn troubled(scale: &Scale, seed: u64, instants: usize) {
    let faults = [
        "--drop",
        "0.05",
        "--duplicate",
        "0.05",
        "--reorder",
        "0.05",
        "--delay",
        "0.05",
        "--delay-max",
        "2",
        "--late",
        "0.03",
    ];
    let mut days = Days::begin(scale, seed, &faults).await;
    // On the first day the late ones come before the pull.
    days.day(scale).await;
    let late = days.late_ones_come().await;
    let lost = days.lost().await;
    println!("first day: {late} late, lost by kind: {lost:?}");
    assert_eq!(days.drift().await, lost, "what was found is not what was lost");
    days.still().await;
    days.assert_nothing_is_found().await;
    days.assert_known_as_it_is().await;
    // On the second they come after it.
    days.day(scale).await;
    let lost = days.lost().await;
    assert_eq!(days.drift().await, lost, "what was found is not what was lost or is to come");
    days.still().await;
    days.assert_known_as_it_is().await;
    let (versions, held, then) = (days.versions().await, days.held().await, now());
    let late = days.late_ones_come().await;
    println!("second day: {late} late, lost or late by kind: {lost:?}");
    days.still().await;
    let mut more = days.versions().await;
    more.iter_mut().for_each(|(kind, n)| *n -= versions.get(kind).unwrap_or(&0));
    more.retain(|_, n| *n > 0);
    if more != held {
        println!("{:#?}", days.asked_since(then, &more).await);
    }
    assert_eq!(more, held, "each that came late is one version");
    days.assert_known_as_it_is().await;
    days.assert_nothing_is_found().await;
    days.assert_known_as_it_was(instants).await;
    let tally = days.simulator.lines("deliveries").await;
    println!("{}", tally[0]);
    assert_eq!(days.simulator.lines("not_simulated").await, vec![json!({})]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make torture`"]
async fn torture_history_is_the_truth_after_troubled_days() {
    let days = count("BACKSTOCK_TROUBLED_DAYS", 0);
    let seed = seed();
    if days == 0 {
        let scale = Scale { products: 24, rounds: 2, burst: 1_500 };
        println!("two troubled days, seed 1");
        return troubled(&scale, 1, 12).await;
    }
    let scale = Scale { products: 60, rounds: 4, burst: 5_000 };
    for n in 0..days {
        println!("two troubled days, seed {}", seed + n);
        troubled(&scale, seed + n, 60).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make torture`"]
async fn torture_when_nothing_is_lost_nothing_is_found() {
    let faults = ["--duplicate", "0.05", "--reorder", "0.05", "--late", "0.03"];
    let scale = Scale { products: 24, rounds: 2, burst: 1_500 };
    let mut days = Days::begin(&scale, 2, &faults).await;
    days.day(&scale).await;
    days.late_ones_come().await;
    assert_eq!(days.drift().await, BTreeMap::new(), "nothing was lost, and something was found");
    days.still().await;
    days.assert_nothing_is_found().await;
    days.assert_known_as_it_is().await;
}

/// The whole catalog is told of by webhooks, REST-shaped, before anything is pulled; the pulls,
/// GraphQL-shaped, find what they were told, by its hash.
#[tokio::test(flavor = "multi_thread")]
async fn what_webhooks_told_is_what_pulls_find() {
    let (port, access) = planned();
    let mut backstock = Backstock::new();
    let more = ["--products", "30", "--big-every", "0", "--rate", "0", "--plan", "unlimited"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    simulator.post("announce", json!({})).await;
    let told: Value =
        serde_json::from_str(&simulator.post("drain", json!({})).await).expect("JSON");
    let told = told["accepted"].as_u64().expect("a count") as f64;
    eventually(|| async {
        let read = backstock.metric("backstock_journal_applied_seq").await;
        if read >= told { Ok(()) } else { Err(format!("{read} of {told} are read")) }
    })
    .await;
    assert!(backstock.signal("serve", Signal::SIGTERM).success(), "an ordered end");
    let mut backstock = backstock.with("", &access);
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let mut compared = BTreeMap::new();
    for spec in pulled_kinds().filter(|spec| carried(spec)) {
        assert!(pull_of(&backstock, spec.name).await.is_some());
        for resource in backstock.list(&format!("{SHOP}/resources?kind={}", spec.name)).await {
            let id = resource["id"].as_str().expect("an id");
            let path = format!("{SHOP}/resources/{}/{id}/versions", spec.name);
            let versions = backstock.list(&path).await;
            let core: Vec<&Value> = versions.iter().filter(|v| v["facet"] == "core").collect();
            let sources: Vec<&str> = core.iter().filter_map(|v| v["source"].as_str()).collect();
            assert_eq!(sources, ["webhook"], "{} {id}: the pull found it otherwise", spec.name);
            *compared.entry(spec.name).or_insert(0) += 1;
        }
    }
    println!("told by webhook and found by pull: {compared:?}");
    assert_eq!(compared.len(), pulled_kinds().filter(|spec| carried(spec)).count());
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
}
