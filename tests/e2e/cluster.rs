//! What the manifests of `k8s/` run, as real processes: three nats-servers with TLS and a key for
//! each role, and of ingest, journal and restorer two each. Anything may be killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_nats::jetstream;
use backstock_proto::stream;
use nix::sys::signal::Signal;
use nkeys::KeyPair;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::backstock::{Backstock, TOKEN};
use crate::kills::{count, report, seed};
use crate::ledger::Ledger;
use crate::pulls::{SHOP, eventually};
use crate::restore::Wreck;
use crate::simulator::{Simulator, planned};

mod servers;

use servers::{MEMBERS, Servers};

/// Everything that runs.
pub(crate) struct Cluster {
    pub(crate) servers: Servers,
    pub(crate) ingests: [Backstock; 2],
    journals: [Backstock; 2],
    pub(crate) restorers: [Backstock; 2],
    /// Where the journals and the compactor are.
    pub(crate) http: String,
    _dir: tempfile::TempDir,
}

/// What can be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Nats(usize),
    Ingest(usize),
    Journal(usize),
    Restorer(usize),
}

impl Victim {
    fn all() -> Vec<Self> {
        let pairs = (0..2).flat_map(|n| [Self::Ingest(n), Self::Journal(n), Self::Restorer(n)]);
        (0..MEMBERS).map(Self::Nats).chain(pairs).collect()
    }
}

impl Cluster {
    async fn start() -> Self {
        Self::reading("", None).await
    }

    /// With `access` to shop acme's Admin API, and where the compactor that uses it listens.
    pub(crate) async fn reading(access: &str, compactor: Option<&str>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let servers = Servers::start(dir.path()).await;
        let node = |role: &str, n: usize, more: &str| {
            let home = dir.path().join(format!("{role}-{n}"));
            std::fs::create_dir_all(&home).expect("a directory");
            Backstock::configured(&home, &(servers.configuration(role) + more), access)
        };
        let journals = [node("journal", 0, ""), node("journal", 1, "[journal]\ncopy = \"b\"\n")];
        let copies =
            format!("journals = [[{:?}, {:?}]]\n", journals[0].journal, journals[1].journal);
        let compactor = compactor.map(|url| format!("compactor_url = {url:?}\n"));
        let http = copies + &compactor.unwrap_or_default();
        let restorers = [0, 1].map(|n| node("restorer", n, "").with_http(&http));
        let ingests = [0, 1].map(|n| node("ingest", n, ""));
        let mut cluster = Self { servers, ingests, journals, restorers, http, _dir: dir };
        // The journal makes the streams.
        for journal in &mut cluster.journals {
            journal.start("journal").await;
        }
        for (ingest, restorer) in cluster.ingests.iter_mut().zip(&mut cluster.restorers) {
            ingest.start("ingest").await;
            restorer.start("restorer").await;
        }
        cluster
    }

    /// The server that leads the stream.
    async fn leader(&self) -> usize {
        let mut jetstream = jetstream::new(self.servers.client_of("ingest").await);
        jetstream.set_timeout(Duration::from_secs(5));
        eventually(|| async {
            let stream = jetstream.get_stream(stream::stream_name(0)).await;
            let cluster = stream.map_err(|e| e.to_string())?.cached_info().cluster.clone();
            let leader = cluster.and_then(|cluster| cluster.leader);
            let number = leader.as_ref().and_then(|name| name.strip_prefix("nats-")?.parse().ok());
            number.ok_or_else(|| format!("the stream's leader is {leader:?}"))
        })
        .await
    }

    fn role(&mut self, victim: Victim) -> Option<(&mut Backstock, &'static str)> {
        match victim {
            Victim::Nats(_) => None,
            Victim::Ingest(n) => Some((&mut self.ingests[n], "ingest")),
            Victim::Journal(n) => Some((&mut self.journals[n], "journal")),
            Victim::Restorer(n) => Some((&mut self.restorers[n], "restorer")),
        }
    }

    fn kill(&mut self, victim: Victim) {
        if let Victim::Nats(n) = victim {
            self.servers.kill(n);
        }
        if let Some((node, role)) = self.role(victim) {
            node.signal(role, Signal::SIGKILL);
        }
    }

    fn restart(&mut self, victim: Victim) {
        if let Victim::Nats(n) = victim {
            self.servers.restart(n);
        }
        if let Some((node, role)) = self.role(victim) {
            node.spawn(role);
        }
    }

    async fn ready(&mut self, victim: Victim) {
        if let Some((node, role)) = self.role(victim) {
            node.wait_ready(role).await;
        }
    }
}

/// The longest time for which something did not happen.
async fn longest_pause(stop: Arc<AtomicBool>, mut happened: impl AsyncFnMut() -> bool) -> Duration {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        if happened().await {
            last = Instant::now();
        }
        longest = longest.max(last.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    longest
}

/// What was seen from outside while something happened.
struct Seen {
    /// The longest time without a webhook answered 200.
    writes: Duration,
    /// The longest time in which no restorer answered.
    reads: Duration,
}

impl Cluster {
    /// Sends webhooks and reads, until `faults` are over.
    async fn under_load<T>(
        &mut self,
        ledger: &Arc<Ledger>,
        faults: impl AsyncFnOnce(&mut Self) -> T,
    ) -> (Seen, T) {
        let stop = Arc::new(AtomicBool::new(false));
        let ingests = self.ingests.each_ref().map(|node| (node.client.clone(), node.webhooks()));
        let restorers = self.restorers.each_ref().map(|node| node.api.clone());
        let client = reqwest::Client::builder().timeout(Duration::from_millis(500)).build();
        let client = client.expect("a client");
        let writes = async {
            let mut answered = ledger.answered().await;
            longest_pause(stop.clone(), async || {
                let before = std::mem::replace(&mut answered, ledger.answered().await);
                answered > before
            })
            .await
        };
        let reads = longest_pause(stop.clone(), async || {
            for api in &restorers {
                let url =
                    format!("{api}/v1/shops/acme.myshopify.com/resources?kind=product&limit=1");
                let asked = client.get(url).bearer_auth(TOKEN).send().await;
                if asked.is_ok_and(|answer| answer.status().is_success()) {
                    return true;
                }
            }
            false
        });
        let faults = async {
            let outcome = faults(self).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            stop.store(true, Ordering::Relaxed);
            outcome
        };
        let (_, _, writes, reads, outcome) = tokio::join!(
            ledger.load_to(&ingests[0].0, &ingests[0].1, 4, stop.clone()),
            ledger.load_to(&ingests[1].0, &ingests[1].1, 4, stop.clone()),
            writes,
            reads,
            faults,
        );
        ledger.settle(&self.ingests[0]).await;
        (Seen { writes, reads }, outcome)
    }

    /// Ends a process as an upgrade does, and starts the next version of it, which here is the same.
    async fn upgrade(&mut self, node: Victim) {
        let (process, role) = self.role(node).expect("a role");
        assert!(process.signal(role, Signal::SIGTERM).success(), "{node:?} does not end in order");
        process.start(role).await;
    }

    /// Nothing was lost, and everything is there once.
    async fn assert_whole(
        &self,
        (what, rounds, seed): (&str, u64, u64),
        ledger: &Ledger,
        down_max: Duration,
    ) {
        let begun = Instant::now();
        for restorer in &self.restorers {
            let audit = ledger.audit(restorer).await;
            report(what, rounds, seed, ledger, &audit, down_max);
        }
        println!("all read back from both restorers after {:.2?}", begun.elapsed());
        for journal in &self.journals {
            for metric in
                ["backstock_journal_stream_gap_total", "backstock_journal_quarantined_events"]
            {
                assert_eq!(journal.metric_of("journal", metric).await, 0.0, "{metric}");
            }
        }
    }
}

/// Each process of each role is replaced, one after the other, while webhooks come in.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upgrade_of_one_after_the_other_loses_and_refuses_nothing() {
    let mut cluster = Cluster::start().await;
    let ledger = Arc::new(Ledger::default());
    let nodes: Vec<Victim> =
        Victim::all().into_iter().filter(|node| !matches!(node, Victim::Nats(_))).collect();
    let upgraded = cluster.under_load(&ledger, async |cluster| {
        for node in &nodes {
            cluster.upgrade(*node).await;
        }
    });
    let (Seen { writes, reads }, ()) = upgraded.await;
    println!("{nodes:?}: longest pause of writes {writes:.2?}, of reads {reads:.2?}");
    assert!(reads < Duration::from_secs(5), "an upgrade stopped reads for {reads:?}");
    assert!(writes < Duration::from_secs(5), "an upgrade stopped writes for {writes:?}");
    // Who had gone already was sent to in vain, and sent again; nobody who was there refused.
    assert_eq!(ledger.refused.load(Ordering::Relaxed), 0, "a webhook was refused");
    let rounds = nodes.len() as u64;
    cluster.assert_whole(("upgrade a cluster", rounds, 0), &ledger, writes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn torture_kill_what_you_like_of_a_cluster() {
    let (rounds, seed) = (count("BACKSTOCK_KILLS", 5), seed());
    println!("kill a cluster: {rounds} rounds, seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut cluster = Cluster::start().await;
    let ledger = Arc::new(Ledger::default());
    let mut down_max = Duration::ZERO;
    for round in 0..rounds {
        let all = Victim::all();
        let victims: Vec<Victim> = match round % 5 {
            0 => vec![Victim::Nats(cluster.leader().await)],
            1 | 2 => vec![*all.choose(&mut rng).expect("some")],
            3 => all.choose_multiple(&mut rng, 2).copied().collect(),
            _ => all,
        };
        let (up, down) = (rng.random_range(200..600), rng.random_range(200..1_500));
        let killed = cluster.under_load(&ledger, async |cluster| {
            tokio::time::sleep(Duration::from_millis(up)).await;
            for victim in &victims {
                cluster.kill(*victim);
            }
            tokio::time::sleep(Duration::from_millis(down)).await;
            let begun = Instant::now();
            for victim in &victims {
                cluster.restart(*victim);
            }
            for victim in &victims {
                cluster.ready(*victim).await;
            }
            begun.elapsed()
        });
        let (Seen { writes, reads }, down) = killed.await;
        down_max = down_max.max(down);
        println!(
            "{victims:?}: longest pause of writes {writes:.2?}, of reads {reads:.2?}, back after {down:.2?}"
        );
        let journals_lost = victims.iter().filter(|v| matches!(v, Victim::Journal(_))).count();
        let restorers_lost = victims.iter().filter(|v| matches!(v, Victim::Restorer(_))).count();
        if journals_lost < 2 && restorers_lost < 2 {
            // One copy and one restorer were there all the time.
            assert!(reads < Duration::from_secs(5), "{victims:?} stopped reads for {reads:?}");
        }
    }
    cluster.assert_whole(("kill a cluster", rounds, seed), &ledger, down_max).await;
}

/// A key opens what its role needs, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_its_own_on_the_stream_and_no_more() {
    let cluster = Cluster::start().await;
    let event = "backstock.0.event.acme.product.1";
    let ops = "backstock.0.ops.acme.plan.1";
    let may_publish = async |role: &str, subject: &str| {
        let client = cluster.servers.client_of(role).await;
        let mut jetstream = jetstream::new(client);
        jetstream.set_timeout(Duration::from_secs(1));
        match jetstream.publish(subject.to_owned(), "".into()).await {
            Ok(answer) => answer.await.is_ok(),
            Err(_) => false,
        }
    };
    for (role, events, records) in [
        ("ingest", true, false),
        ("journal", false, false),
        ("compactor", true, true),
        ("restorer", false, true),
    ] {
        assert_eq!(may_publish(role, event).await, events, "{role} on {event}");
        assert_eq!(may_publish(role, ops).await, records, "{role} on {ops}");
    }

    // Whoever takes in webhooks reads nothing of what others sent.
    let ingest = cluster.servers.client_of("ingest").await;
    let mut jetstream = jetstream::new(ingest);
    jetstream.set_timeout(Duration::from_secs(1));
    let read = jetstream.get_stream(stream::stream_name(0)).await.expect("it sees the stream");
    let consumer = jetstream::consumer::pull::Config::default();
    assert!(read.create_consumer(consumer).await.is_err(), "ingest reads the stream");
    assert!(read.get_raw_message(1).await.is_err(), "ingest reads a message");
    assert!(jetstream.delete_stream(stream::stream_name(0)).await.is_err(), "ingest deletes");

    // Whoever erases somebody deletes a message. Nobody deletes the stream.
    for (role, erases) in [("compactor", false), ("journal", true)] {
        let mut jetstream = jetstream::new(cluster.servers.client_of(role).await);
        jetstream.set_timeout(Duration::from_secs(1));
        let stream =
            jetstream.get_stream(stream::stream_name(0)).await.expect("it sees the stream");
        assert_eq!(stream.delete_message(1).await.is_ok(), erases, "{role} deletes a message");
        assert!(jetstream.delete_stream(stream::stream_name(0)).await.is_err(), "{role} deletes");
    }

    // What was made for two days is known to end then.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    eventually(|| async {
        let ends = "backstock_ingest_nats_certificate_ends_seconds";
        let days = (cluster.ingests[0].metric_of("ingest", ends).await - now) / 86_400.0;
        let good = (1.9..2.1).contains(&days);
        good.then_some(()).ok_or_else(|| format!("the certificates are good for {days} days"))
    })
    .await;

    let strange = KeyPair::new_user().seed().expect("a seed");
    assert!(cluster.servers.client(&strange).await.is_err(), "a strange key opens the server");
}

/// One restorer dies in the middle of a job, and the other finishes it: everything once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_job_is_finished_by_the_other_restorer() {
    let (port, access) = planned();
    let home = tempfile::tempdir().expect("a directory");
    // Its address must be known before the servers' is.
    let mut compactor = Backstock::configured(home.path(), "", &access);
    let cluster = Cluster::reading(&access, Some(&compactor.compactor)).await;
    compactor = compactor
        .with(&cluster.servers.configuration("compactor"), &access)
        .with_http(&cluster.http);
    let more = ["--products", "60", "--rate", "0", "--plan", "plus", "--seed", "8"];
    let simulator = Simulator::start(&cluster.ingests[0], port, &more).await;
    compactor.spawn("compactor");
    let [first, second] = cluster.restorers;
    let mut wreck = Wreck::of(first, simulator).await;
    let made = wreck.made().await;
    wreck.simulator.post("faults", json!({"often": {"throttled": 0.4}})).await;
    let job = wreck.apply().await;
    eventually(|| async {
        let begun = wreck.made().await > made;
        begun.then_some(()).ok_or_else(|| "the job makes nothing".to_owned())
    })
    .await;
    let mut first = std::mem::replace(&mut wreck.backstock, second);
    first.signal("restorer", Signal::SIGKILL);
    wreck.simulator.post("faults", json!({"often": {"throttled": 0.0}})).await;
    let (_, left) = wreck.backstock.get(&format!("{SHOP}/jobs/{job}")).await;
    assert_ne!(left["state"], "done", "the job was over when its restorer was killed");
    let ended = wreck.over(&job).await;
    wreck.assert_restored(&ended).await;
    assert_eq!(wreck.made().await - made, wreck.created(&ended).await);
    wreck.assert_nothing_to_do().await;
    drop(compactor);
}
