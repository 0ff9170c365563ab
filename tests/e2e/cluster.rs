//! What the manifests of `k8s/` run, as real processes: three nats-servers with TLS and a key for
//! each role, and of ingest, journal and restorer two each. Anything may be killed.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use backstock_proto::listen::free_port;
use backstock_proto::stream;
use nix::sys::signal::Signal;
use nkeys::KeyPair;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::backstock::{Backstock, TOKEN, nats_server};
use crate::kills::{count, report, seed};
use crate::ledger::Ledger;
use crate::pulls::{SHOP, eventually};
use crate::restore::Wreck;
use crate::simulator::{Simulator, planned};

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/k8s");
/// The roles in the order in which the manifests name their keys.
const ROLES: [&str; 4] = ["ingest", "journal", "compactor", "restorer"];
const MEMBERS: usize = 3;
/// How long three servers that start at once may take to agree on a leader. Where they are short of
/// processor time, several elections in a row are split.
const AGREED_WITHIN: Duration = Duration::from_secs(45);
/// How often they are started anew where they did not.
const STARTS_MAX: u32 = 4;

/// Three nats-servers, set up as in `k8s/base`.
pub(crate) struct Servers {
    dir: PathBuf,
    ports: Vec<u16>,
    monitors: Vec<u16>,
    processes: Vec<Child>,
}

impl Servers {
    /// Starts them; they have a leader when this returns. What they do without one, and how long they
    /// take to have one, is not what is tried here.
    async fn start(dir: &Path) -> Self {
        certify(dir);
        std::fs::create_dir_all(dir.join("users")).expect("a directory");
        std::fs::write(dir.join("users/nats-users.conf"), users(dir)).expect("written");
        let mut why = String::new();
        for start in 0..STARTS_MAX {
            let mut servers = Self::begin(dir, start);
            match servers.agreed().await {
                Ok(()) => return servers,
                Err(error) => why = error,
            }
            println!("three nats-servers are started anew: {}", why.lines().next().unwrap_or(""));
        }
        panic!("{why}");
    }

    /// Starts them at new addresses, with nothing in their stores.
    fn begin(dir: &Path, start: u32) -> Self {
        let ports = || (0..MEMBERS).map(|_| free_port().expect("a free port")).collect::<Vec<_>>();
        let (dir, ports, monitors, peers) = (dir.to_owned(), ports(), ports(), ports());
        for member in 0..MEMBERS {
            let mut text = manifest("base/nats.conf");
            let mut put = |from: &str, to: String| {
                assert!(text.contains(from), "k8s/base/nats.conf has no {from}");
                text = text.replace(from, &to);
            };
            put("0.0.0.0:4222", format!("127.0.0.1:{}", ports[member]));
            put("0.0.0.0:8222", format!("127.0.0.1:{}", monitors[member]));
            put("0.0.0.0:6222", format!("127.0.0.1:{}", peers[member]));
            for (n, peer) in peers.iter().enumerate() {
                put(&format!("nats-{n}.nats-peers:6222"), format!("127.0.0.1:{peer}"));
            }
            put("/etc/nats-tls", dir.join("tls").display().to_string());
            put("/data", dir.join(format!("data-{start}-{member}")).display().to_string());
            put("90GB", "8GB".into());
            std::fs::write(dir.join(format!("nats-{member}.conf")), text).expect("written");
        }
        let mut servers = Self { dir, ports, monitors, processes: Vec::new() };
        servers.processes = (0..MEMBERS).map(|member| servers.spawn(member)).collect();
        servers
    }

    fn spawn(&self, member: usize) -> Child {
        let log = self.dir.join(format!("nats-{member}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        Command::new(nats_server())
            .arg("--config")
            .arg(self.dir.join(format!("nats-{member}.conf")))
            .env("POD_NAME", format!("nats-{member}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nats-server starts")
    }

    /// Waits until each of them is in touch with a leader.
    async fn agreed(&mut self) -> Result<(), String> {
        // The client wants a TLS provider even for http; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build();
        let (client, begun) = (client.expect("a client"), Instant::now());
        for member in 0..MEMBERS {
            let url = format!("http://127.0.0.1:{}/healthz", self.monitors[member]);
            while !client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                let ended = self.processes[member].try_wait().expect("its state");
                if ended.is_some() || begun.elapsed() > AGREED_WITHIN {
                    let log = self.dir.join(format!("nats-{member}.log"));
                    let log = std::fs::read_to_string(log).unwrap_or_default();
                    let after = begun.elapsed();
                    let how = ended.map_or("has no leader".into(), |status| status.to_string());
                    return Err(format!("nats-{member} {how} after {after:.1?}; its log:\n{log}"));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    fn kill(&mut self, member: usize) {
        // Gone already is as good.
        let _ = self.processes[member].kill();
        let _ = self.processes[member].wait();
    }

    fn restart(&mut self, member: usize) {
        self.processes[member] = self.spawn(member);
    }

    fn urls(&self) -> Vec<String> {
        self.ports.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect()
    }

    fn seed(&self, role: &str) -> PathBuf {
        self.dir.join(format!("{role}.nk"))
    }

    /// What the configuration of a role says to use them.
    pub(crate) fn configuration(&self, role: &str) -> String {
        let monitors: Vec<String> =
            self.monitors.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        format!(
            "url = {:?}\nmonitor_url = {:?}\nnkey_file = {:?}\nca_file = {:?}\nreplicas = 3\n\
             [storage]\nurl = \"file://{}\"\n",
            self.urls().join(","),
            monitors.join(","),
            self.seed(role),
            self.dir.join("tls/ca.crt"),
            self.dir.join("objects").display(),
        )
    }

    /// A connection as somebody with a key.
    async fn client(&self, seed: &str) -> Result<async_nats::Client, async_nats::ConnectError> {
        let options = stream::connect_options().nkey(seed.trim().to_owned());
        let options = options.add_root_certificates(self.dir.join("tls/ca.crt")).require_tls(true);
        let urls = self.urls();
        options.connect(urls.as_slice()).await
    }

    async fn client_of(&self, role: &str) -> async_nats::Client {
        let seed = std::fs::read_to_string(self.seed(role)).expect("a seed");
        self.client(&seed).await.unwrap_or_else(|e| panic!("{role}: {e}"))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for member in 0..self.processes.len() {
            self.kill(member);
        }
    }
}

fn manifest(path: &str) -> String {
    std::fs::read_to_string(format!("{MANIFESTS}/{path}")).expect("a manifest")
}

/// The manifests' users, with keys of our own, whose seeds are put into `dir`.
fn users(dir: &Path) -> String {
    let mut roles = ROLES.iter();
    let lines = manifest("overlays/production/nats-users.conf");
    let lines = lines.lines().map(|line| {
        let Some((before, _)) = line.split_once("nkey: ") else { return line.to_owned() };
        let key = KeyPair::new_user();
        let role = roles.next().expect("a role for each key");
        std::fs::write(dir.join(format!("{role}.nk")), key.seed().expect("a seed")).expect("kept");
        format!("{before}nkey: {}", key.public_key())
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(roles.next(), None, "nats-users.conf has a key for each role");
    text
}

/// An authority and a certificate of the servers.
fn certify(dir: &Path) {
    let tls = dir.join("tls");
    std::fs::create_dir_all(&tls).expect("a directory");
    let openssl = |args: &str| {
        let done = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(&tls)
            .output()
            .expect("openssl is there");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
    openssl(&format!("req -x509 {key} -subj /CN=ca -keyout ca.key -out ca.crt"));
    openssl(&format!(
        "req -x509 {key} -subj /CN=nats -addext subjectAltName=IP:127.0.0.1 \
         -addext basicConstraints=CA:FALSE -CA ca.crt -CAkey ca.key -keyout tls.key -out tls.crt"
    ));
}

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
    assert_eq!(wreck.made().await - made, ended["counts"]["created"].as_u64().expect("a count"));
    wreck.assert_nothing_to_do().await;
    drop(compactor);
}
