//! What is measured: our receiver, the same publishing one by one, Fastify, and a bare publisher.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};
use backstock_proto::listen::free_port;
use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::load::{self, SECRET};

const TOKEN: &str = "bst_bench";
const SUBJECT: &str = "backstock.0.event.acme.product.1";

/// When the server writes to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sync {
    Always,
    Lazy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receiver {
    /// `backstock ingest` as it is.
    Backstock,
    /// The same, told that the server syncs lazily, so that it publishes one by one.
    Singles,
    Fastify,
    /// Every role in one process.
    Serve,
}

impl Receiver {
    /// Those that are compared.
    pub(crate) const ALL: [Self; 3] = [Self::Backstock, Self::Singles, Self::Fastify];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backstock => "Backstock",
            Self::Singles => "the same, publishing singly",
            Self::Fastify => "Fastify + nats.js",
            Self::Serve => "serve",
        }
    }
}

/// A receiver and its server, running; both end with this value.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) api: SocketAddr,
    pub(crate) ready_after: Duration,
    processes: Vec<Child>,
    dir: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Whatever is gone already is as good.
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(process.id().cast_signed()),
                nix::sys::signal::Signal::SIGTERM,
            );
            let _ = process.wait();
        }
    }
}

impl Running {
    /// Starts it with an empty store; `None` if it cannot run here.
    pub(crate) async fn start(receiver: Receiver, sync: Sync) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("bench-").tempdir().expect("a directory");
        let [address, api, journal, nats, monitor] = std::array::from_fn(|_| free_address());
        let mut running =
            Self { address, api, ready_after: Duration::ZERO, processes: Vec::new(), dir };
        if receiver != Receiver::Serve {
            running.processes.push(start_nats(running.dir.path(), nats, monitor, sync));
            create_stream(nats).await;
        }
        let lazy = sync == Sync::Lazy || receiver == Receiver::Singles;
        let nats_url = match receiver {
            // `serve` finds and starts its own.
            Receiver::Serve => String::new(),
            // With no monitoring port to ask, the receiver must take the server to sync lazily.
            _ if lazy => format!(
                "url = \"nats://{nats}\"\nmonitor_url = \"http://127.0.0.1:1\"\naccept_lazy_sync = true"
            ),
            _ => format!("url = \"nats://{nats}\"\nmonitor_url = \"http://{monitor}\""),
        };
        let hash = sha2_hex(TOKEN);
        let config = format!(
            "data_dir = \"data\"\n[http]\ningest = \"{address}\"\nrestorer = \"{api}\"\njournal = \"{journal}\"\n\
             [log]\nfilter = \"warn\"\n[nats]\n{nats_url}\n\
             [[shop]]\ndomain = \"acme.myshopify.com\"\nwebhook_secrets = [\"{SECRET}\"]\n\
             [[token]]\nname = \"bench\"\nsha256 = \"{hash}\"\nscopes = [\"read\"]\nshops = [\"*\"]\n"
        );
        std::fs::write(running.dir.path().join("backstock.toml"), config).expect("a configuration");
        let begun = Instant::now();
        let mut command = match receiver {
            Receiver::Fastify => fastify(address, nats)?,
            Receiver::Serve => backstock("serve"),
            Receiver::Backstock | Receiver::Singles => backstock("ingest"),
        };
        let quiet =
            command.current_dir(running.dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        running.processes.insert(0, quiet.spawn().expect("it starts"));
        running.wait_ready(receiver).await;
        running.ready_after = begun.elapsed();
        Some(running)
    }

    async fn wait_ready(&self, receiver: Receiver) {
        let client = reqwest::Client::new();
        let begun = Instant::now();
        let url = match receiver {
            Receiver::Fastify => format!("http://{}/webhooks", self.address),
            Receiver::Serve => format!("http://{}/readyz", self.api),
            _ => format!("http://{}/readyz", self.address),
        };
        loop {
            let answer = client.get(&url).send().await;
            let up = answer.is_ok_and(|a| a.status().is_success() || receiver == Receiver::Fastify);
            if up {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{receiver:?} is not ready");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Resident memory of the process and of its children.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let own = self.processes[0].id();
        let children =
            std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let nats = std::fs::read_to_string(self.dir.path().join("data/nats/nats-server.pid"))
            .unwrap_or_default();
        let mut pids: Vec<u32> = children
            .split_whitespace()
            .chain([nats.trim()])
            .filter_map(|p| p.parse().ok())
            .collect();
        pids.push(own);
        pids.sort_unstable();
        pids.dedup();
        pids.into_iter().map(resident).sum()
    }
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn backstock(role: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstock"));
    command.arg(role).args(["--config", "backstock.toml"]);
    command
}

/// Fastify with its packages, installed once under `target/`.
fn fastify(address: SocketAddr, nats: SocketAddr) -> Option<Command> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/fastify");
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/fastify");
    if !dir.join("node_modules/fastify").is_dir() {
        std::fs::create_dir_all(&dir).ok()?;
        for file in ["package.json", "server.mjs"] {
            std::fs::copy(source.join(file), dir.join(file)).ok()?;
        }
        let quiet = ["install", "--no-audit", "--no-fund", "--silent"];
        let installed = Command::new("npm").args(quiet).current_dir(&dir).status();
        installed.ok().filter(std::process::ExitStatus::success)?;
    }
    let mut command = Command::new("node");
    command
        .arg(dir.join("server.mjs"))
        .arg(address.port().to_string())
        .arg(format!("nats://{nats}"))
        .arg(SECRET);
    Some(command)
}

fn start_nats(dir: &Path, address: SocketAddr, monitor: SocketAddr, sync: Sync) -> Child {
    let interval = if sync == Sync::Always { "always" } else { "2m" };
    let conf = dir.join("nats.conf");
    let text = format!(
        "listen: {address}\nhttp: {monitor}\nmax_payload: 20MB\n\
         jetstream {{ store_dir: {:?}, sync_interval: {interval:?} }}\n",
        dir.join("store").display().to_string()
    );
    std::fs::write(&conf, text).expect("a configuration");
    let mut command = Command::new(nats_server());
    command.arg("--config").arg(conf).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("nats-server starts")
}

async fn connect(address: SocketAddr) -> Client {
    for _ in 0..200 {
        match async_nats::connect(format!("nats://{address}")).await {
            Ok(client) => return client,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("nats-server does not answer");
}

async fn create_stream(address: SocketAddr) {
    let config = stream::Config {
        name: "BACKSTOCK-0".into(),
        subjects: vec!["backstock.0.>".into()],
        allow_atomic_publish: true,
        discard: stream::DiscardPolicy::New,
        duplicate_window: Duration::from_secs(3_600),
        ..stream::Config::default()
    };
    jetstream::new(connect(address).await).create_stream(config).await.expect("a stream");
}

/// Messages a second that a publisher gets acknowledged when it does nothing else.
pub(crate) struct Published {
    pub(crate) batches: f64,
    pub(crate) singles: f64,
}

pub(crate) async fn publisher_alone(sync: Sync, body: &[u8], length: Duration) -> Published {
    let dir = tempfile::tempdir().expect("a directory");
    let [address, monitor] = std::array::from_fn(|_| free_address());
    let mut server = start_nats(dir.path(), address, monitor, sync);
    create_stream(address).await;
    let client = connect(address).await;
    let body = Bytes::copy_from_slice(body);
    let batches = batches_of_256(&client, &body, length).await;
    let singles = singles(&client, &body, length).await;
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    Published { batches, singles }
}

async fn batches_of_256(client: &Client, body: &Bytes, length: Duration) -> f64 {
    let begun = Instant::now();
    let mut published = 0_u32;
    while begun.elapsed() < length {
        let batch = format!("batch-{published}");
        for n in 1..=256 {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", batch.as_str());
            headers.insert("Nats-Batch-Sequence", n.to_string());
            headers.insert("Nats-Msg-Id", format!("{batch}-{n}"));
            if n == 256 {
                headers.insert("Nats-Batch-Commit", "1");
                let ack = client
                    .request_with_headers(SUBJECT, headers, body.clone())
                    .await
                    .expect("an ack");
                let ack: Value = serde_json::from_slice(&ack.payload).expect("json");
                assert_eq!(ack["count"], 256, "{ack}");
            } else {
                client
                    .publish_with_headers(SUBJECT, headers, body.clone())
                    .await
                    .expect("published");
            }
        }
        published += 256;
    }
    f64::from(published) / begun.elapsed().as_secs_f64()
}

async fn singles(client: &Client, body: &Bytes, length: Duration) -> f64 {
    let stream = jetstream::new(client.clone());
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let (stream, body) = (stream.clone(), body.clone());
        tasks.spawn(async move {
            let mut published = 0_u32;
            while begun.elapsed() < length {
                let mut headers = HeaderMap::new();
                headers.insert("Nats-Msg-Id", format!("single-{task}-{published}"));
                let sent = stream
                    .publish_with_headers(SUBJECT, headers, body.clone())
                    .await
                    .expect("sent");
                sent.await.expect("an ack");
                published += 1;
            }
            published
        });
    }
    let published: u32 = tasks.join_all().await.into_iter().sum();
    f64::from(published) / begun.elapsed().as_secs_f64()
}

/// How long each of many probes took from its 200 until the API showed it.
pub(crate) async fn freshness(
    running: &Running,
    body: &Arc<Vec<u8>>,
    length: Duration,
) -> Vec<Duration> {
    let beside = tokio::spawn(load::run(running.address, 16, length * 2, body.clone()));
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    let begun = Instant::now();
    for n in 0_u64.. {
        if begun.elapsed() > length {
            break;
        }
        let id = 5_000_000 + n;
        let body = String::from_utf8(body.to_vec())
            .expect("text")
            .replace("9007199254740993001", &id.to_string());
        let answer = client
            .post(format!("http://{}/webhooks", running.address))
            .header("X-Shopify-Topic", "products/create")
            .header("X-Shopify-Shop-Domain", "acme.myshopify.com")
            .header("X-Shopify-Webhook-Id", format!("probe-{n}"))
            .header("X-Shopify-Triggered-At", "2026-10-01T14:03:00.123Z")
            .header("X-Shopify-Hmac-Sha256", load::sign(body.as_bytes()))
            .body(body)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let answered = Instant::now();
        let url =
            format!("http://{}/v1/shops/acme.myshopify.com/resources/product/{id}", running.api);
        while client.get(&url).bearer_auth(TOKEN).send().await.expect("an answer").status() != 200 {
        }
        times.push(answered.elapsed());
    }
    beside.await.expect("no panic");
    times.sort_unstable();
    times
}

fn nats_server() -> PathBuf {
    std::env::var_os("BACKSTOCK_NATS_SERVER").map_or_else(|| "nats-server".into(), PathBuf::from)
}

fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port().expect("a free port")))
}

fn sha2_hex(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect()
}
