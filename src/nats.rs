//! The server that holds the stream: our own, started and supervised, or one that is there
//! already and must prove that it syncs before it acknowledges.

use std::path::Path;

use anyhow::{Context, bail};
use async_nats::ConnectOptions;
use async_nats::connection::State;
use backstock_proto::Timestamp;
use backstock_proto::listen::Part;
use prometheus::{IntGauge, Registry};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::config::{Nats, without_credentials};

mod server;

pub(crate) use server::{Server, exec_server};

/// Oldest server that publishes batches atomically.
const VERSION_MIN: (u64, u64) = (2, 12);

/// How long a role waits at its start for a server that is not there yet.
const CONNECT_DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

/// Where to connect, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// One member of a cluster or several, with commas between them.
    pub(crate) url: String,
    /// Likewise.
    pub(crate) monitor_url: Option<String>,
    pub(crate) credentials: Credentials,
    /// Whom to trust for its certificate; with it, TLS is required.
    pub(crate) ca_file: Option<std::path::PathBuf>,
}

/// How to prove who we are.
#[derive(Clone)]
pub(crate) enum Credentials {
    None,
    Token(String),
    File(std::path::PathBuf),
    /// The seed of an NKey.
    Nkey(std::path::PathBuf),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(***)",
            Self::File(_) => "File(***)",
            Self::Nkey(_) => "Nkey(***)",
        })
    }
}

/// A connected client, and what is known of the server's habits.
pub(crate) struct Connected {
    pub(crate) client: async_nats::Client,
    /// Whether an acknowledgement means that the bytes are on disk.
    pub(crate) syncs_always: bool,
}

/// What the server's members say of themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    /// Whether all of them sync before they acknowledge.
    syncs_always: bool,
    /// When the first of the certificates ends that they have, which each reads at its start only.
    certified_until: Option<Timestamp>,
}

impl Told {
    fn and(self, other: Self) -> Self {
        let certified_until = [self.certified_until, other.certified_until].into_iter().flatten();
        Self {
            syncs_always: self.syncs_always && other.syncs_always,
            certified_until: certified_until.min(),
        }
    }
}

/// What is shown of the server while it is in use.
pub(crate) struct Gauges {
    synced: IntGauge,
    certificate_ends: IntGauge,
}

impl Gauges {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauges = Self {
            synced: IntGauge::new(
                "backstock_ingest_stream_synced",
                "1 as long as NATS syncs what it acknowledges, as far as its members say.",
            )?,
            certificate_ends: IntGauge::new(
                "backstock_ingest_nats_certificate_ends_seconds",
                "When the first of the certificates ends that NATS's members have, in seconds since \
                 1970; 0 without one.",
            )?,
        };
        registry.register(Box::new(gauges.synced.clone()))?;
        registry.register(Box::new(gauges.certificate_ends.clone()))?;
        Ok(gauges)
    }
}

impl Address {
    /// The configured server.
    pub(crate) fn configured(config: &Nats) -> Option<Self> {
        let url = config.url.clone()?;
        let credentials = match (&config.credentials_file, &config.nkey_file) {
            (Some(path), _) => Credentials::File(path.clone()),
            (None, Some(path)) => Credentials::Nkey(path.clone()),
            (None, None) => Credentials::None,
        };
        let (monitor_url, ca_file) = (config.monitor_url.clone(), config.ca_file.clone());
        Some(Self { url, monitor_url, credentials, ca_file })
    }

    /// As it stands in the log.
    fn shown(&self) -> String {
        without_credentials(&self.url)
    }

    /// Connects and checks that the server can keep what it acknowledges.
    pub(crate) async fn connect(&self, role: &str, config: &Nats) -> anyhow::Result<Connected> {
        let client = self
            .client(role)
            .await
            .with_context(|| format!("connect to NATS at {}", self.shown()))?;
        let info = client.server_info();
        let version = parse_version(&info.version);
        if version.is_none_or(|v| v < VERSION_MIN) {
            bail!(
                "nats-server at {} is {}, Backstock needs 2.12 or newer",
                self.shown(),
                info.version
            );
        }
        if info.max_payload < backstock_proto::stream::MAX_PAYLOAD_BYTES {
            warn!(
                "nats-server at {} takes payloads of {} bytes: larger webhooks will be answered 503 and \
                 be lost once Shopify gives up. Set its max_payload to {} or more",
                self.shown(),
                info.max_payload,
                backstock_proto::stream::MAX_PAYLOAD_BYTES
            );
        }
        let told = self.told(&info.server_id, &info.host).await;
        let syncs_always = told.map(|told| told.syncs_always);
        match (&syncs_always, config.accept_lazy_sync) {
            (Ok(true), _) => {}
            (Ok(false), true) => warn!(
                "the NATS server acknowledges before it syncs: a power cut loses what was answered 200"
            ),
            (Err(e), true) => {
                warn!(
                    error = format!("{e:#}"),
                    "cannot tell whether the NATS server syncs before it acknowledges"
                )
            }
            (Ok(false), false) => bail!(
                "nats-server at {} acknowledges before it syncs, so a power cut would lose what was \
                 answered 200. Set `jetstream {{ sync_interval: always }}` there, or \
                 nats.accept_lazy_sync = true here to accept the loss",
                self.shown()
            ),
            (Err(e), false) => bail!(
                "cannot tell whether nats-server at {} syncs before it acknowledges ({e:#}). Set \
                 nats.monitor_url to its monitoring address, or nats.accept_lazy_sync = true to go on regardless",
                self.shown()
            ),
        }
        Ok(Connected { client, syncs_always: syncs_always.unwrap_or(false) })
    }

    /// Looks again and again, until `shutdown`, whether the server still syncs before it acknowledges: it,
    /// or another member, may have been started anew with another configuration. And how long its
    /// certificates are good for.
    pub(crate) async fn watch(
        self,
        client: async_nats::Client,
        Gauges { synced, certificate_ends }: Gauges,
        shutdown: CancellationToken,
    ) {
        synced.set(1);
        let mut looks = tokio::time::interval(SERVER_LOOK_EVERY);
        while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
            let info = client.server_info();
            // Who does not answer says nothing.
            let Ok(told) = self.told(&info.server_id, &info.host).await else { continue };
            synced.set(i64::from(told.syncs_always));
            certificate_ends.set(told.certified_until.map_or(0, |at| at.as_micros() / 1_000_000));
            if !told.syncs_always {
                error!(
                    "nats-server at {} acknowledges before it syncs by now: a power cut would lose \
                     what is answered 200. Set `jetstream {{ sync_interval: always }}` there",
                    self.shown()
                );
            }
        }
    }

    async fn client(&self, role: &str) -> anyhow::Result<async_nats::Client> {
        let options: ConnectOptions =
            backstock_proto::stream::connect_options().name(format!("backstock-{role}"));
        let options = match &self.credentials {
            Credentials::None => options,
            Credentials::Token(token) => options.token(token.clone()),
            Credentials::File(path) => options.credentials_file(path).await?,
            Credentials::Nkey(path) => {
                let seed = std::fs::read_to_string(path)
                    .with_context(|| format!("read nats.nkey_file {}", path.display()))?;
                options.nkey(seed.trim().to_owned())
            }
        };
        let options = match &self.ca_file {
            Some(path) => options.add_root_certificates(path.clone()).require_tls(true),
            None => options,
        };
        let members: Vec<&str> = listed(&self.url).collect();
        let begun = std::time::Instant::now();
        loop {
            match options.clone().connect(&members[..]).await {
                Ok(client) => return Ok(client),
                Err(e) if begun.elapsed() > CONNECT_DEADLINE => return Err(e.into()),
                Err(e) => {
                    warn!(error = %e, "failed to connect to NATS at {}; trying again", self.shown())
                }
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    }

    /// Asks the monitoring ports, and takes the word of the members that answer. Where none is named, of
    /// the very server that we are connected to.
    async fn told(&self, server_id: &str, host: &str) -> anyhow::Result<Told> {
        let Some(urls) = &self.monitor_url else {
            let host = if host == "0.0.0.0" { "127.0.0.1" } else { host };
            let url = format!("http://{host}:8222");
            let varz = Varz::of(&url).await?;
            // Behind one URL there may be a cluster; another member's word does not count.
            anyhow::ensure!(
                varz.server_id == server_id,
                "{url} is the monitoring port of another server"
            );
            return Ok(varz.told());
        };
        let members = futures::future::join_all(listed(urls).map(Varz::of)).await;
        let mut answered: Option<Told> = None;
        let mut silent = None;
        for member in members {
            match member {
                Ok(varz) => {
                    let told = varz.told();
                    answered = Some(answered.map_or(told, |before| before.and(told)));
                }
                Err(e) => silent = Some(e),
            }
        }
        match (answered, silent) {
            (Some(told), _) => Ok(told),
            (None, Some(e)) => Err(e),
            (None, None) => bail!("nats.monitor_url is empty"),
        }
    }
}

/// Asks again what failed for now, for as long as a start may wait: a cluster that has just lost
/// members takes some seconds to answer again.
pub(crate) async fn patiently<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
    ask: impl Fn() -> F,
    for_now: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let begun = std::time::Instant::now();
    loop {
        match ask().await {
            Err(e) if for_now(&e) && begun.elapsed() < CONNECT_DEADLINE => {
                warn!(error = %e, "NATS does not do what is asked; trying again");
            }
            answered => return answered,
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
}

/// How often it is looked how the server is configured by now.
const SERVER_LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(30);

/// How often a connection is looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(2);

/// Withdraws readiness while there is no connection, until `shutdown`.
pub(crate) async fn watch(client: async_nats::Client, part: Part, shutdown: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK_EVERY);
    while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
        match client.connection_state() {
            State::Connected => part.ready(),
            State::Pending | State::Disconnected => part.not_ready("is lost"),
        }
    }
}

/// The members of a list with commas.
fn listed(urls: &str) -> impl Iterator<Item = &str> {
    urls.split(',').map(str::trim).filter(|url| !url.is_empty())
}

#[derive(Deserialize)]
struct Varz {
    server_id: String,
    #[serde(default)]
    jetstream: VarzJetStream,
    #[serde(default)]
    tls_cert_not_after: Option<String>,
}

impl Varz {
    async fn of(url: &str) -> anyhow::Result<Self> {
        // Directly, as the connection itself.
        reqwest::Client::builder()
            .no_proxy()
            .build()?
            .get(format!("{}/varz", url.trim_end_matches('/')))
            .timeout(std::time::Duration::from_secs(3))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .with_context(|| format!("ask {url}/varz"))?
            .json()
            .await
            .with_context(|| format!("read {url}/varz"))
    }

    fn told(&self) -> Told {
        let until = self.tls_cert_not_after.as_deref();
        Told {
            syncs_always: self.jetstream.config.sync_always,
            certified_until: until.and_then(|until| Timestamp::parse(until).ok()),
        }
    }
}

#[derive(Default, Deserialize)]
struct VarzJetStream {
    #[serde(default)]
    config: VarzConfig,
}

#[derive(Default, Deserialize)]
struct VarzConfig {
    #[serde(default)]
    sync_always: bool,
}

fn parse_version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// How many bytes the stream of a server in `dir` may hold: 70 % of what is free there and of what
/// it holds already, so that the stream refuses before the disk is full.
pub(crate) fn stream_bytes_max(dir: &Path) -> i64 {
    let free = server::free_bytes(dir).unwrap_or(10 << 30);
    let held = server::held_bytes(&dir.join("store"));
    i64::try_from((free + held) / 10 * 7).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(parse_version("2.9.25").is_some_and(|v| v < VERSION_MIN));
        assert!(parse_version("v2.15.1").is_some_and(|v| v >= VERSION_MIN));
        assert!(parse_version("2.12.0-beta").is_some_and(|v| v >= VERSION_MIN));
        assert_eq!(parse_version("weird"), None);
    }

    #[test]
    fn each_member_must_sync_and_the_first_certificate_to_end_counts() {
        let told = |varz: serde_json::Value| {
            serde_json::from_value::<Varz>(varz).expect("what a member says").told()
        };
        let jetstream = |always| json!({"config": {"sync_always": always}});
        let plain = told(json!({"server_id": "A", "jetstream": jetstream(true)}));
        assert_eq!(plain, Told { syncs_always: true, certified_until: None });
        let certified = |until: &str, always| {
            let jetstream = jetstream(always);
            told(json!({"server_id": "B", "jetstream": jetstream, "tls_cert_not_after": until}))
        };
        let later = certified("2026-12-24T00:00:00Z", true);
        let soon = certified("2026-12-01T06:03:46Z", false);
        let first = Timestamp::parse("2026-12-01T06:03:46Z").expect("an instant");
        let expected = Told { syncs_always: false, certified_until: Some(first) };
        assert_eq!(plain.and(later).and(soon), expected);
        assert_eq!(certified("soon", true), plain, "what cannot be read says nothing");
    }
}
