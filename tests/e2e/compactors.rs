//! Two compactors beside each other: each shop is looked after once, whoever dies.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backstock_proto::Timestamp;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::cluster::Cluster;
use crate::pulls::{eventually, ordered, pulled_kinds};
use crate::shopify::SECRET;
use crate::simulator::{Simulator, planned};

/// All of them are told what the one simulated shop is.
const SHOPS: [&str; 3] = ["acme", "second", "third"];
/// A lease, and a look at who is there; and as much again for a machine that is busy.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(30);

/// Two compactors, and what they work for.
struct Fleet {
    compactors: Vec<Backstock>,
    simulator: Simulator,
    cluster: Cluster,
}

impl Fleet {
    async fn start() -> Self {
        let (port, access) = planned();
        let further = SHOPS[1..].iter().map(|shop| {
            format!(
                "[[shop]]\ndomain = \"{shop}.myshopify.com\"\nwebhook_secrets = [\"{SECRET}\"]\n{access}"
            )
        });
        let access = access.clone() + &further.collect::<String>();
        // Their addresses must be known before the restorers start.
        let compactors = [0, 1].map(|_| Backstock::pulling(&access));
        let cluster = Cluster::reading(&access, Some(&compactors[0].compactor)).await;
        let more = ["--products", "10", "--rate", "0", "--plan", "plus"];
        let simulator = Simulator::start(&cluster.ingests[0], port, &more).await;
        let mut compactors: Vec<Backstock> = compactors
            .into_iter()
            .map(|compactor| {
                let more = cluster.servers.configuration("compactor");
                compactor.with(&more, &access).with_http(&cluster.http)
            })
            .collect();
        for compactor in &mut compactors {
            compactor.spawn("compactor");
        }
        for compactor in &mut compactors {
            compactor.wait_ready("compactor").await;
        }
        Self { compactors, simulator, cluster }
    }

    /// How many shops each of them looks after.
    async fn shares(&self) -> Vec<usize> {
        let mut shares = Vec::new();
        for compactor in &self.compactors {
            shares
                .push(compactor.metric_of("compactor", "backstock_compactor_shops").await as usize);
        }
        shares
    }

    /// What bulk operations asked, and how often.
    async fn asked(&self) -> BTreeMap<String, usize> {
        let said = self.simulator.ask("{ bulkOperations(first: 250) { nodes { query } } }").await;
        let mut asked = BTreeMap::new();
        for operation in said["bulkOperations"]["nodes"].as_array().expect("operations") {
            let query = operation["query"].as_str().expect("a question").to_owned();
            *asked.entry(query).or_default() += 1;
        }
        asked
    }

    /// The pulls of a shop, or of one of its kinds, that were put on record.
    async fn pulls(&self, shop: &str, kind: Option<&str>) -> Vec<Value> {
        let pulls = self.cluster.restorers[0].list(&format!("/v1/shops/{shop}/pulls")).await;
        pulls.into_iter().filter(|pull| kind.is_none_or(|kind| pull["kind"] == kind)).collect()
    }

    /// Waits until every shop was read whole once, and says how many pulls that took.
    async fn backfilled(&self) -> usize {
        let kinds = pulled_kinds().count();
        for shop in SHOPS {
            eventually(|| async {
                let pulls = self.pulls(shop, None).await;
                let over = pulls.iter().filter(|pull| pull["state"] == "complete").count();
                if over >= kinds { Ok(()) } else { Err(format!("{shop}: {over} of {kinds}")) }
            })
            .await;
            assert_eq!(self.pulls(shop, None).await.len(), kinds, "{shop} was read twice");
        }
        kinds * SHOPS.len()
    }

    /// Orders products of acme, and waits until the first bulk operation of that is on record.
    async fn begun(&self) -> Value {
        let order = json!({"kinds": ["product"]});
        let at = ordered(&self.cluster.restorers[0], order).await;
        let since = Timestamp::parse(&at).expect("an instant");
        eventually(|| async {
            let pulls = self.pulls("acme", Some("product")).await;
            let running = pulls.into_iter().find(|pull| {
                let begun = Timestamp::parse(pull["started_at"].as_str().unwrap_or_default());
                begun.is_ok_and(|at| at >= since) && pull["operations"].is_array()
            });
            running.ok_or_else(|| "no bulk operation is on record".to_owned())
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_compactors_share_the_shops_and_one_goes_on_for_the_other() {
    let mut fleet = Fleet::start().await;
    let pulls = fleet.backfilled().await;
    let shares = fleet.shares().await;
    assert_eq!(shares.iter().sum::<usize>(), SHOPS.len(), "{shares:?}");
    let (asked, bulk) = (fleet.asked().await, fleet.simulator.bulk_operations().await);
    println!("{pulls} pulls with {bulk} bulk operations; the shops' shares: {shares:?}");
    // The one shop that is there is asked for each of those that it stands for.
    let otherwise: Vec<_> = asked.iter().filter(|(_, times)| **times != SHOPS.len()).collect();
    assert!(otherwise.is_empty(), "not asked once for each shop: {otherwise:?}");
    assert_eq!(asked.values().sum::<usize>(), bulk);

    // The order goes to the first; whichever has the shop carries it out, and dies of it.
    let cut = fleet.begun().await;
    let holder = holder_of_acme(&fleet).await;
    let mut died = fleet.compactors.remove(holder);
    died.signal("compactor", Signal::SIGKILL);
    let killed_at = Instant::now();
    assert_eq!(cut["state"], "running", "{cut}");
    // What a webhook does not tell is asked for by whoever is left.
    let (_, products) =
        fleet.cluster.restorers[0].get("/v1/shops/acme/resources?kind=product&limit=1").await;
    let product = products["items"][0]["id"].as_str().expect("a product").to_owned();
    let update = format!(
        "mutation {{ productUpdate(product: {{id: \"gid://shopify/Product/{product}\", seo: \
         {{title: \"Found\"}}}}) {{ product {{ id }} }} }}"
    );
    fleet.simulator.ask(&update).await;
    eventually(|| async {
        let shares = fleet.shares().await;
        if shares == [SHOPS.len()] { Ok(()) } else { Err(format!("shares: {shares:?}")) }
    })
    .await;
    let taken_over = killed_at.elapsed();
    println!("taken over after {taken_over:.1?}");
    assert!(taken_over < TAKEN_OVER_WITHIN, "taken over after {taken_over:?}");

    let begun = cut["started_at"].as_str().expect("an instant");
    eventually(|| async {
        let pulls = fleet.pulls("acme", Some("product")).await;
        let complete = |pull: &&Value| pull["started_at"] == begun && pull["state"] == "complete";
        pulls.iter().find(complete).map(drop).ok_or_else(|| format!("{pulls:?}"))
    })
    .await;
    eventually(|| async {
        let path = format!("/v1/shops/acme/resources/product/{product}");
        let (_, now) = fleet.cluster.restorers[0].get(&path).await;
        let title = &now["state"]["seo"]["title"];
        if title == "Found" { Ok(()) } else { Err(title.to_string()) }
    })
    .await;
    // Products and their variants, once: what the dead one had begun was taken up.
    assert_eq!(fleet.simulator.bulk_operations().await - bulk, 2, "something was read twice");
    for shop in SHOPS {
        let pulls = fleet.pulls(shop, None).await;
        let later: Vec<_> =
            pulls.iter().filter(|p| p["started_at"].as_str() > Some(begun)).collect();
        assert!(later.is_empty(), "{shop} was read again: {later:?}");
    }
    died.start("compactor").await;
    fleet.compactors.push(died);
    eventually(|| async {
        let shares = fleet.shares().await;
        let all = shares.iter().sum::<usize>() == SHOPS.len();
        if all { Ok(()) } else { Err(format!("shares: {shares:?}")) }
    })
    .await;
}

/// Which of them tells of acme.
async fn holder_of_acme(fleet: &Fleet) -> usize {
    let age = "backstock_compactor_full_pull_age_seconds{shop=\"acme.myshopify.com\"}";
    for (n, compactor) in fleet.compactors.iter().enumerate() {
        let text = compactor.metrics("compactor").await;
        if text.lines().any(|line| line.starts_with(age)) {
            return n;
        }
    }
    panic!("nobody looks after acme");
}
