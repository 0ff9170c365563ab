//! The real binary under test, as one process or as a process per role.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backstock_proto::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Client;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::ports::port;
use crate::shopify::SECRET;

pub(crate) const TOKEN: &str = "bst_test-token-of-the-end-to-end-tests";

/// A directory of its own with a configuration, and the processes that run on it.
pub(crate) struct Backstock {
    pub(crate) dir: PathBuf,
    pub(crate) ingest: String,
    pub(crate) api: String,
    pub(crate) journal: String,
    pub(crate) compactor: String,
    ports: Vec<u16>,
    pub(crate) client: Client,
    processes: Vec<(String, Child)>,
    /// Removed with this value.
    kept: Option<tempfile::TempDir>,
}

impl Backstock {
    /// A new directory, nothing started.
    pub(crate) fn new() -> Self {
        let kept = tempfile::Builder::new().prefix("backstock-").tempdir().expect("a directory");
        let mut backstock = Self::at(kept.path(), "");
        backstock.kept = Some(kept);
        backstock
    }

    /// A new directory, where shop acme's Admin API may be asked: `access` is TOML of its section.
    pub(crate) fn pulling(access: &str) -> Self {
        Self::pulling_with("", access)
    }

    /// The same, with `more` TOML before the shops.
    pub(crate) fn pulling_with(more: &str, access: &str) -> Self {
        let kept = tempfile::Builder::new().prefix("backstock-").tempdir().expect("a directory");
        let mut backstock = Self::configured(kept.path(), more, access);
        backstock.kept = Some(kept);
        backstock
    }

    /// The same, with `more` TOML before the shops, and reached from outside at its ingest port.
    pub(crate) fn public(more: &str, access: &str) -> Self {
        let kept = tempfile::Builder::new().prefix("backstock-").tempdir().expect("a directory");
        let mut backstock = Self::configured(kept.path(), more, access);
        let public = format!("public_url = \"{}\"\n", backstock.ingest);
        backstock = backstock.with_http(&public);
        backstock.kept = Some(kept);
        backstock
    }

    /// The same, with `more` TOML in its section `http`.
    pub(crate) fn with_http(self, more: &str) -> Self {
        let file = self.dir.join("backstock.toml");
        let text = std::fs::read_to_string(&file).expect("a configuration");
        std::fs::write(&file, text.replace("[http]\n", &format!("[http]\n{more}")))
            .expect("written");
        self
    }

    /// At the same addresses, but with `more` TOML before the shops and `access` to acme's Admin API.
    pub(crate) fn with(self, more: &str, access: &str) -> Self {
        write_config(&self.dir, &self.ports, more, access);
        self
    }

    /// In `dir`, with `more` TOML before the shops.
    pub(crate) fn at(dir: &Path, more: &str) -> Self {
        Self::configured(dir, more, "")
    }

    /// In `dir`, with `more` TOML before the shops and `access` to acme's Admin API.
    pub(crate) fn configured(dir: &Path, more: &str, access: &str) -> Self {
        // The client wants a TLS provider even for http; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ports: Vec<u16> = (0..4).map(|_| port()).collect();
        write_config(dir, &ports, more, access);
        Self {
            dir: dir.to_owned(),
            ingest: format!("http://127.0.0.1:{}", ports[0]),
            api: format!("http://127.0.0.1:{}", ports[1]),
            journal: format!("http://127.0.0.1:{}", ports[2]),
            compactor: format!("http://127.0.0.1:{}", ports[3]),
            client: Client::builder().timeout(Duration::from_secs(10)).build().expect("a client"),
            ports,
            processes: Vec::new(),
            kept: None,
        }
    }

    fn address(&self, role: &str) -> &str {
        match role {
            "ingest" => &self.ingest,
            "journal" => &self.journal,
            "compactor" => &self.compactor,
            _ => &self.api,
        }
    }

    pub(crate) fn webhooks(&self) -> String {
        format!("{}/webhooks", self.ingest)
    }

    /// Starts `backstock ROLE`; it is ready when this returns.
    pub(crate) async fn start(&mut self, role: &str) {
        self.spawn(role);
        self.wait_ready(role).await;
    }

    /// Starts `backstock ROLE`.
    pub(crate) fn spawn(&mut self, role: &str) {
        self.spawn_with(role, &[]);
    }

    /// The same, with more in its environment.
    pub(crate) fn spawn_with(&mut self, role: &str, more: &[(&str, &str)]) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.join(format!("{role}.log")))
            .expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstock"));
        // What steers the tests is no configuration.
        for name in settings() {
            command.env_remove(name);
        }
        let child = command
            .envs(more.iter().copied())
            .arg(role)
            .arg("--config")
            .arg(self.dir.join("backstock.toml"))
            .current_dir(&self.dir)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        self.processes.push((role.into(), child));
    }

    pub(crate) async fn wait_ready(&mut self, role: &str) {
        let url = format!("{}/readyz", self.address(role));
        let begun = Instant::now();
        loop {
            if self.client.get(&url).send().await.is_ok_and(|a| a.status().is_success()) {
                return;
            }
            let process = self.processes.iter_mut().find(|(name, _)| name == role).expect("a role");
            let ended = process.1.try_wait().expect("its state").is_some();
            let log = || {
                std::fs::read_to_string(self.dir.join(format!("{role}.log"))).unwrap_or_default()
            };
            let late = begun.elapsed() > Duration::from_secs(60);
            assert!(!ended && !late, "{role} is not ready; its log:\n{}", log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a signal to a role's process and waits for its end.
    pub(crate) fn signal(&mut self, role: &str, signal: Signal) -> std::process::ExitStatus {
        kill(Pid::from_raw(self.pid(role).cast_signed()), signal).expect("it runs");
        self.reap(role)
    }

    pub(crate) fn pid(&self, role: &str) -> u32 {
        self.processes.iter().find(|(name, _)| name == role).expect("a running role").1.id()
    }

    /// The process of the nats-server that `serve` started.
    pub(crate) fn nats_pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.dir.join("data/nats/nats-server.pid")).ok()?;
        let pid: u32 = text.trim().parse().ok()?;
        let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains("nats-server.conf").then_some(pid)
    }

    /// Waits for the end of a role that was told to end, or was killed.
    pub(crate) fn reap(&mut self, role: &str) -> std::process::ExitStatus {
        let at = self.processes.iter().position(|(name, _)| name == role).expect("a role");
        self.processes.remove(at).1.wait().expect("it ends")
    }

    /// Kills the nats-server that `serve` started.
    pub(crate) fn kill_nats(&self) -> bool {
        let pid = self.nats_pid().and_then(|pid| i32::try_from(pid).ok());
        pid.is_some_and(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok())
    }

    /// `GET` of an API path, as JSON.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.api);
        let answer = self.client.get(&url).bearer_auth(TOKEN).send().await;
        let answer = answer.unwrap_or_else(|e| panic!("{url}: {e}"));
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// `POST` to the API with a JSON body: status and JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let asked = self.client.post(format!("{}{path}", self.api)).bearer_auth(TOKEN).json(&body);
        let answer = asked.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Does what a plan says, and answers the job at its end. `shop` is the path of the plan's shop.
    pub(crate) async fn applied(&self, shop: &str, plan: &Value) -> Value {
        let path = format!("{shop}/plans/{}/apply", plan["id"].as_str().expect("an id"));
        let (status, job) = self.post(&path, json!({"digest": plan["digest"]})).await;
        assert_eq!(status, 202, "{job}");
        self.over(shop, job["id"].as_str().expect("an id")).await
    }

    /// Waits for the end of a job, and answers it with its first 1,000 rows.
    pub(crate) async fn over(&self, shop: &str, job: &str) -> Value {
        let path = format!("{shop}/jobs/{job}?limit=1000");
        let begun = Instant::now();
        loop {
            let (status, job) = self.get(&path).await;
            assert_eq!(status, 200, "{job}");
            if matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled")) {
                return job;
            }
            assert!(begun.elapsed() < Duration::from_secs(300), "{job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All items of a list, page by page.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let (status, page) = self.get(&format!("{path}{join}limit=1000{cursor}")).await;
            assert_eq!(status, 200, "{path}: {page}");
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    /// What history has of a kind at an instant, or now: a resource a line. `shop` is the path of its shop.
    pub(crate) async fn snapshot(
        &self,
        shop: &str,
        kind: &str,
        at: Option<Timestamp>,
    ) -> Vec<Value> {
        let at = at.map(|at| format!("&at={at}")).unwrap_or_default();
        let url = format!("{}{shop}/snapshot?kind={kind}{at}", self.api);
        let asked = self.client.get(url).bearer_auth(TOKEN).send().await;
        let text = asked.expect("an answer").text().await.expect("text");
        let mut lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
        let end = lines.pop().expect("an end");
        assert_eq!(end["end"], true, "{kind}: {end}");
        lines
    }

    /// The value of a metric of the restorer's process, summed over its labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        self.metric_of("serve", name).await
    }

    /// The same of the process of a role.
    pub(crate) async fn metric_of(&self, role: &str, name: &str) -> f64 {
        let text = self.metrics(role).await;
        let series = text.lines().filter(|l| l.split(['{', ' ']).next() == Some(name));
        let values: Vec<f64> =
            series.filter_map(|l| l.rsplit(' ').next()?.parse::<f64>().ok()).collect();
        assert!(!values.is_empty(), "{role} shows no {name}: every series is there from the start");
        values.iter().sum()
    }

    /// All metrics of the process of a role.
    pub(crate) async fn metrics(&self, role: &str) -> String {
        let url = format!("{}/metrics", self.address(role));
        self.client.get(url).send().await.expect("metrics").text().await.expect("text")
    }

    /// Runs a client verb and answers its output.
    pub(crate) fn client_verb(&self, args: &[&str]) -> std::process::Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstock"));
        for name in settings() {
            command.env_remove(name);
        }
        command
            .args(args)
            .env("BACKSTOCK_URL", &self.api)
            .env("BACKSTOCK_TOKEN", TOKEN)
            .env("BACKSTOCK_SHOP", "acme.myshopify.com")
            .output()
            .expect("the binary starts")
    }
}

impl Drop for Backstock {
    fn drop(&mut self) {
        for (_, child) in &mut self.processes {
            // Gone already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.kill_nats();
    }
}

fn write_config(dir: &Path, ports: &[u16], more: &str, access: &str) {
    let hash: String = Sha256::digest(TOKEN).iter().map(|b| format!("{b:02x}")).collect();
    let nats = nats_server();
    let text = format!(
        "data_dir = \"data\"\n\
         [http]\ningest = \"127.0.0.1:{}\"\nrestorer = \"127.0.0.1:{}\"\njournal = \"127.0.0.1:{}\"\ncompactor = \"127.0.0.1:{}\"\n\
         [nats]\nserver = {nats:?}\n{more}\n\
         [[shop]]\ndomain = \"acme.myshopify.com\"\nwebhook_secrets = [\"{SECRET}\"]\n{access}\
         [[shop]]\ndomain = \"other.myshopify.com\"\nwebhook_secrets = [\"{SECRET}\"]\n\
         [[token]]\nname = \"test\"\nsha256 = \"{hash}\"\nscopes = [\"read\", \"restore\", \"admin\"]\nshops = [\"*\"]\n",
        ports[0], ports[1], ports[2], ports[3],
    );
    std::fs::write(dir.join("backstock.toml"), text).expect("a configuration");
}

/// A text that must be there.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

/// What of this process's environment the binary would take for its configuration.
pub(crate) fn settings() -> impl Iterator<Item = String> {
    std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("BACKSTOCK_"))
}

/// The server that the tests use: `BACKSTOCK_NATS_SERVER`, PATH, or what `make` installed.
pub(crate) fn nats_server() -> PathBuf {
    if let Some(path) = std::env::var_os("BACKSTOCK_NATS_SERVER") {
        return path.into();
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let on_path =
        std::env::split_paths(&paths).map(|dir| dir.join("nats-server")).find(|p| p.is_file());
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/nats-server");
    on_path.or(Some(installed).filter(|p| p.is_file())).expect("a nats-server: run `make tools`")
}
