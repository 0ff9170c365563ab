//! The simulated shop as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::ports::port;
use crate::shopify::SECRET;

/// The token that it accepts.
pub(crate) const ACCESS_TOKEN: &str = "shpat_backstock";

pub(crate) struct Simulator {
    pub(crate) url: String,
    client: Client,
    child: Child,
    dir: tempfile::TempDir,
}

impl Simulator {
    /// Starts shop acme, which sends its webhooks to `backstock`.
    pub(crate) async fn start(backstock: &Backstock, port: u16, more: &[&str]) -> Self {
        Self::start_as("acme", backstock, port, more).await
    }

    /// Starts any shop.
    pub(crate) async fn start_as(
        shop: &str,
        backstock: &Backstock,
        port: u16,
        more: &[&str],
    ) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let log = std::fs::File::create(dir.path().join("log")).expect("a log");
        let child = Command::new(binary())
            .args(["serve", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--shop", &format!("{shop}.myshopify.com"), "--secret", SECRET])
            .args(["--webhooks", &backstock.webhooks(), "--schemas"])
            .arg(schemas())
            .args(more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the simulator starts");
        let client = Client::builder().timeout(Duration::from_secs(60)).build().expect("a client");
        let mut simulator = Self { url: format!("http://127.0.0.1:{port}"), client, child, dir };
        simulator.wait_ready().await;
        simulator
    }

    async fn wait_ready(&mut self) {
        let begun = Instant::now();
        while self.client.get(format!("{}/_sim/deliveries", self.url)).send().await.is_err() {
            let ended = self.child.try_wait().expect("its state").is_some();
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            let late = begun.elapsed() > Duration::from_secs(60);
            assert!(!ended && !late, "the simulator is not ready; its log:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `POST /_sim/…` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: Value) -> String {
        let url = format!("{}/_sim/{path}", self.url);
        let answer = self.client.post(url).json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.text().await.expect("a text")
    }

    /// Deploys the app's configuration.
    pub(crate) async fn deploy(&self, app_toml: &str) {
        let url = format!("{}/_sim/app_config", self.url);
        let answer = self.client.post(url).body(app_toml.to_owned()).send().await;
        let answer = answer.expect("an answer");
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{status}: {text}\n{app_toml}");
    }

    /// The bytes at an address of the shop's.
    pub(crate) async fn bytes(&self, url: &str) -> Option<bytes::Bytes> {
        assert!(url.starts_with(&self.url), "{url} is not the simulator's");
        let answer = self.client.get(url).send().await.expect("an answer");
        match answer.status().is_success() {
            true => Some(answer.bytes().await.expect("bytes")),
            false => None,
        }
    }

    /// `GET /_sim/…`, a JSON value a line.
    pub(crate) async fn lines(&self, path: &str) -> Vec<Value> {
        let url = format!("{}/_sim/{path}", self.url);
        let text =
            self.client.get(url).send().await.expect("an answer").text().await.expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// Everything of a kind as it really is.
    pub(crate) async fn truth(&self, kind: &str) -> Vec<Value> {
        self.lines(&format!("truth?kind={kind}")).await
    }

    /// How many bulk operations were ever begun. One that was refused, because as many ran as may, was
    /// not.
    pub(crate) async fn bulk_operations(&self) -> usize {
        let log = self.lines("write_log").await;
        let begun = |line: &&Value| {
            line["mutation"] == "bulkOperationRunQuery"
                && line["refused"] == false
                && line["user_errors"] == 0
        };
        log.iter().filter(begun).count()
    }

    /// How many requests each fault struck so far.
    pub(crate) async fn struck(&self) -> Value {
        self.lines("faults").await.swap_remove(0)
    }

    /// Lets nothing more happen, and waits until every delivery is over.
    pub(crate) async fn quiet(&self) {
        self.post("traffic?rate=0", json!({})).await;
        let drain = self.client.post(format!("{}/_sim/drain", self.url)).json(&json!({}));
        // As many deliveries as a large shop has take their time.
        let drained = drain.timeout(Duration::from_secs(600)).send().await.expect("an answer");
        assert!(drained.status().is_success(), "drain: {}", drained.status());
    }

    /// What another app asks of the Admin API.
    pub(crate) async fn ask(&self, document: &str) -> Value {
        let answer = self
            .client
            .post(format!("{}/admin/api/2026-10/graphql.json", self.url))
            .header("X-Shopify-Access-Token", ACCESS_TOKEN)
            .json(&json!({"query": document}))
            .send()
            .await
            .expect("an answer");
        let body: Value = answer.json().await.expect("JSON");
        assert!(body.get("errors").is_none(), "{document}: {body}");
        body["data"].clone()
    }

    /// Has another app delete a product.
    pub(crate) async fn delete_product(&self, gid: &str) {
        let delete = format!(
            "mutation {{ productDelete(input: {{id: \"{gid}\"}}) {{ deletedProductId }} }}"
        );
        self.ask(&delete).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port for a simulator, and what a configuration says of the shop that it simulates.
pub(crate) fn planned() -> (u16, String) {
    let port = port();
    let access =
        format!("access_token = \"{ACCESS_TOKEN}\"\nadmin_url = \"http://127.0.0.1:{port}\"\n");
    (port, access)
}

/// Beside the binary under test.
fn binary() -> PathBuf {
    let built = Path::new(env!("CARGO_BIN_EXE_backstock")).with_file_name("shopify");
    assert!(built.is_file(), "{} is not built: use `make test`", built.display());
    built
}

/// Shopify's schemas, fetched when they are not there yet.
fn schemas() -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| home.join("target"), PathBuf::from)
        .join("shopify");
    let fetched = Command::new(home.join("tests/shopify/schema.sh")).arg(&target).status();
    assert!(fetched.is_ok_and(|status| status.success()), "tests/shopify/schema.sh failed");
    target
}
