//! A real Prometheus reads a running system, and every panel of every dashboard shows something.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::ports::port;
use crate::pulls::eventually;
use crate::simulator::{Simulator, planned};

/// Prometheus, reading `target` every second.
struct Prometheus {
    url: String,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Prometheus {
    async fn start(client: &Client, target: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("prometheus.yml");
        let target = target.strip_prefix("http://").expect("an address");
        let text = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: backstock\n    \
             static_configs: [{{targets: [\"{target}\"]}}]\n"
        );
        std::fs::write(&config, text).expect("a configuration");
        let port = port();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus starts: run `make tools`");
        let prometheus = Self { url: format!("http://127.0.0.1:{port}"), child, _dir: dir };
        for _ in 0..300 {
            let ready = client.get(format!("{}/-/ready", prometheus.url)).send().await;
            if ready.is_ok_and(|answer| answer.status().is_success()) {
                return prometheus;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("prometheus is not ready");
    }

    /// How many series a query answers with.
    async fn series(&self, client: &Client, query: &str) -> Result<usize, String> {
        let asked = client.get(format!("{}/api/v1/query", self.url)).query(&[("query", query)]);
        let answer: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.len()),
            None => Err(answer["error"].to_string()),
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every query of every dashboard: (dashboard and panel, query).
fn queries() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("k8s/monitoring/dashboards");
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .expect("dashboards")
        .map(|file| file.expect("a file").path())
        .collect();
    files.sort();
    let mut queries = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a dashboard");
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let name = format!("{} / {}", dashboard["title"], panel["title"]);
                let query = target["expr"].as_str().expect("a query").replace("$shop", ".*");
                queries.push((name, query));
            }
        }
    }
    queries
}

#[tokio::test(flavor = "multi_thread")]
async fn every_panel_of_every_dashboard_shows_something() {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let prometheus = Prometheus::start(&backstock.client, &backstock.api).await;
    let more = ["--products", "20", "--rate", "10", "--plan", "plus", "--duplicate", "0.1"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    // The first look may be over before anybody reads how long it took.
    eventually(|| async {
        let counted = "backstock_compactor_pull_seconds_count";
        match prometheus.series(&backstock.client, counted).await {
            Ok(1..) => Ok(()),
            other => Err(format!("how long pulls take is not scraped: {other:?}")),
        }
    })
    .await;
    let ordered = backstock.client_verb(&["reconcile", "--no-wait"]);
    assert!(ordered.status.success(), "{}", String::from_utf8_lossy(&ordered.stderr));
    let queries = queries();
    assert!(queries.len() > 40, "{} queries", queries.len());
    let mut empty = Vec::new();
    for _ in 0..120 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        empty.clear();
        for (panel, query) in &queries {
            match prometheus.series(&backstock.client, query).await {
                Ok(0) => empty.push(format!("{panel}: {query}")),
                Ok(_) => {}
                Err(error) => panic!("{panel}: {query}: {error}"),
            }
        }
        if empty.is_empty() {
            break;
        }
    }
    simulator.post("traffic?rate=0", json!({})).await;
    assert!(empty.is_empty(), "these show nothing:\n{}", empty.join("\n"));
}
