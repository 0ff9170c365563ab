//! Three nats-servers with TLS and a key for each role.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backstock_proto::stream;
use nkeys::KeyPair;

use crate::backstock::nats_server;
use crate::ports::port;

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/k8s");
/// The roles in the order in which the manifests name their keys.
const ROLES: [&str; 4] = ["ingest", "journal", "compactor", "restorer"];
pub(super) const MEMBERS: usize = 3;
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
    pub(super) async fn start(dir: &Path) -> Self {
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
        let ports = || (0..MEMBERS).map(|_| port()).collect::<Vec<_>>();
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

    pub(super) fn kill(&mut self, member: usize) {
        // Gone already is as good.
        let _ = self.processes[member].kill();
        let _ = self.processes[member].wait();
    }

    pub(super) fn restart(&mut self, member: usize) {
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
    pub(super) async fn client(
        &self,
        seed: &str,
    ) -> Result<async_nats::Client, async_nats::ConnectError> {
        let options = stream::connect_options().nkey(seed.trim().to_owned());
        let options = options.add_root_certificates(self.dir.join("tls/ca.crt")).require_tls(true);
        let urls = self.urls();
        options.connect(urls.as_slice()).await
    }

    pub(super) async fn client_of(&self, role: &str) -> async_nats::Client {
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
