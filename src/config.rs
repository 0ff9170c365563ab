//! The configuration: one TOML file, every key of which can also come from the environment
//! (`BACKSTOCK_HTTP__INGEST=…` for `http.ingest`). What does not make sense stops the start, one
//! clear line for each fault.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use backstock_proto::Shop;
use backstock_proto::journal::Retention;
use backstock_proto::storage::{self, Keys, KeysError, ObjectStore};
use backstock_restorer::TokenError;
use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

mod access;
mod check;
mod environment;
mod load;
mod secret;

pub(crate) use secret::without_credentials;

/// Everything that can be configured.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Config {
    /// Where everything is kept that is not configured to be elsewhere.
    pub(crate) data_dir: PathBuf,
    pub(crate) http: Http,
    pub(crate) nats: Nats,
    pub(crate) journal: Journal,
    pub(crate) storage: Storage,
    pub(crate) compactor: Compactor,
    pub(crate) proof: Proof,
    pub(crate) log: Log,
    pub(crate) telemetry: Telemetry,
    pub(crate) shop: Vec<ShopConfig>,
    pub(crate) token: Vec<Token>,
    /// The file that it comes from, if there is one.
    #[serde(skip)]
    pub(crate) file: Option<PathBuf>,
}

/// Where each role listens.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Http {
    pub(crate) ingest: SocketAddr,
    pub(crate) restorer: SocketAddr,
    pub(crate) journal: SocketAddr,
    pub(crate) compactor: SocketAddr,
    /// Where other processes find the journals: the copies of each, in the order of `journal.index`.
    /// Absent: one, at `journal`.
    pub(crate) journals: Vec<Vec<String>>,
    /// Where other processes find the compactor; absent: at `compactor`.
    pub(crate) compactor_url: Option<String>,
    /// The networks of the reverse proxies before the restorer, such as `10.0.0.0/8`: what they say of
    /// whom they pass on is believed.
    pub(crate) proxies: Vec<String>,
    /// Where webhooks reach us, such as `https://backstock.example.com`. With it, each shop is
    /// subscribed to, and subscriptions that go missing are made anew.
    pub(crate) public_url: Option<String>,
    /// Largest webhook body that is accepted, in bytes.
    pub(crate) body_bytes_max: usize,
}

/// The server that holds the stream.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Nats {
    /// An existing server or cluster; absent: `serve` starts one of its own.
    #[serde(serialize_with = "secret::nameless")]
    pub(crate) url: Option<String>,
    /// Credentials for it.
    pub(crate) credentials_file: Option<PathBuf>,
    /// The seed of an NKey, instead: the server then knows a public key only.
    pub(crate) nkey_file: Option<PathBuf>,
    /// Whom to trust for its certificate, PEM. With it, TLS is required.
    pub(crate) ca_file: Option<PathBuf>,
    /// Its monitoring address, to see that it syncs before it acknowledges.
    #[serde(serialize_with = "secret::nameless")]
    pub(crate) monitor_url: Option<String>,
    /// Go on although the server acknowledges before it syncs, or cannot be asked: a power cut
    /// then loses what was answered 200.
    pub(crate) accept_lazy_sync: bool,
    /// Which binary `serve` starts.
    pub(crate) server: Option<PathBuf>,
    pub(crate) replicas: usize,
    pub(crate) partitions: u16,
    /// Most bytes that the stream may hold; 0: 70 % of the free disk with a server of our own, no
    /// limit but the server's with another.
    pub(crate) stream_bytes_max: i64,
}

/// Which partitions the journal of this process keeps, where several share the work, and how it is
/// checked.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Journal {
    /// Its place among `http.journals`, from 0: with `n` of them it keeps every partition `p` with
    /// `p % n == index`.
    pub(crate) index: usize,
    /// Names this copy, where several keep the same partitions.
    pub(crate) copy: Option<String>,
    /// When everything is read back and every digest checked: cron, UTC.
    pub(crate) verify: String,
}

/// Checkpoints, blobs and exports, and how long history is kept whole.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Storage {
    pub(crate) url: Option<String>,
    /// Further stores that a checkpoint may be asked to go to.
    pub(crate) copies: Vec<String>,
    /// The keys that all of them are sealed with, one a line; the first one seals, all of them open.
    pub(crate) key_file: Option<PathBuf>,
    /// How often the journal is copied there, in hours; 0: never by itself.
    pub(crate) checkpoint_hours: u32,
    pub(crate) keep_all_days: u32,
    pub(crate) keep_daily: u32,
    pub(crate) keep_weekly: u32,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Compactor {
    /// When full pulls run: cron, UTC. Of more than ten shops each is read at a time of its own within the
    /// hour from then on.
    pub(crate) full_pull: String,
    /// The part of each shop's Admin API budget that reading may use, 0 to 1, but for what webhooks left
    /// open, which goes first.
    pub(crate) budget_share: f64,
    /// How often Shopify's own log of who did what is asked for what is new, in seconds.
    pub(crate) log_every: f64,
    /// How often kinds are read of which there is little and nothing tells, such as menus, in seconds.
    pub(crate) glance_every: f64,
    /// When history is thinned: cron, UTC.
    pub(crate) thin: String,
    /// How often webhook subscriptions are looked after, in seconds; only with `http.public_url`.
    pub(crate) subscriptions_every: f64,
    /// Largest picture, film or file whose bytes are kept, in bytes.
    pub(crate) media_bytes_max: u64,
}

/// When it is proved of each shop that it could be restored.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Proof {
    /// When: cron, UTC.
    pub(crate) at: String,
    /// Over how many minutes from then on the shops are spread.
    pub(crate) spread_minutes: u32,
    /// About how many bytes of media one proof reads back.
    pub(crate) media_bytes: u64,
}

/// How log lines look.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Log {
    /// `pretty` or `json`; absent: `pretty` on a terminal.
    pub(crate) format: Option<LogFormat>,
    /// What is logged, such as `info` or `info,backstock_journal=debug`.
    pub(crate) filter: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

/// Where the spans of traces go.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Telemetry {
    /// The OpenTelemetry collector that takes them, as OTLP over HTTP, such as `http://collector:4318`;
    /// absent: none are made.
    #[serde(serialize_with = "secret::nameless")]
    pub(crate) otlp_endpoint: Option<String>,
    /// The part of the traces that begin here of which spans are made, 0 to 1. What comes in as part of
    /// a trace is sampled if that is.
    pub(crate) sample: f64,
}

/// One shop.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ShopConfig {
    pub(crate) domain: Shop,
    #[serde(
        default,
        deserialize_with = "secret::read_list",
        serialize_with = "secret::masked_list"
    )]
    pub(crate) webhook_secrets: Vec<SecretString>,
    /// One secret a line; read again when it changes.
    #[serde(default)]
    pub(crate) webhook_secrets_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "secret::read", serialize_with = "secret::masked")]
    pub(crate) access_token: Option<SecretString>,
    #[serde(default)]
    pub(crate) client_id: Option<String>,
    #[serde(default, deserialize_with = "secret::read", serialize_with = "secret::masked")]
    pub(crate) client_secret: Option<SecretString>,
    /// What whoever opens the app in this shop's admin may do in the page there; nothing by default.
    #[serde(default)]
    pub(crate) embedded_scopes: Vec<String>,
    #[serde(default = "default_api_version")]
    pub(crate) api_version: String,
    #[serde(default)]
    pub(crate) admin_url: Option<String>,
    /// Whether a second person has to say yes before a job that a person asked for begins.
    #[serde(default)]
    pub(crate) second_person: bool,
    /// Thresholds and action of the guard.
    #[serde(default)]
    pub(crate) guard: Option<backstock_restorer::guard::Policy>,
}

/// A token of the HTTP API, by its SHA-256.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) scopes: Vec<String>,
    #[serde(default)]
    pub(crate) shops: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "./backstock-data".into(),
            http: Http::default(),
            nats: Nats::default(),
            journal: Journal::default(),
            storage: Storage::default(),
            compactor: Compactor::default(),
            proof: Proof::default(),
            log: Log::default(),
            telemetry: Telemetry::default(),
            shop: Vec::new(),
            token: Vec::new(),
            file: None,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            ingest: loopback(8081),
            restorer: loopback(8080),
            journal: loopback(8082),
            compactor: loopback(8083),
            journals: Vec::new(),
            compactor_url: None,
            proxies: Vec::new(),
            public_url: None,
            body_bytes_max: 16 * 1024 * 1024,
        }
    }
}

impl Http {
    /// Where webhooks reach us.
    pub(crate) fn public_url(&self) -> anyhow::Result<Option<Url>> {
        let Some(text) = &self.public_url else { return Ok(None) };
        let url = Url::parse(text)?;
        let loopback =
            url.host_str().is_some_and(|host| host == "127.0.0.1" || host == "localhost");
        anyhow::ensure!(
            url.scheme() == "https" || (url.scheme() == "http" && loopback),
            "{text:?} is not an https address, and Shopify sends to no other"
        );
        Ok(Some(url))
    }

    /// Whose word is believed about whom a request comes from.
    pub(crate) fn proxies(&self) -> anyhow::Result<Vec<IpNet>> {
        let network = |text: &String| {
            text.parse().with_context(|| format!("{text:?} is no network such as \"10.0.0.0/8\""))
        };
        self.proxies.iter().map(network).collect()
    }
}

impl Storage {
    /// How long history is kept.
    pub(crate) fn retention(&self) -> Retention {
        let Self { keep_all_days, keep_daily, keep_weekly, .. } = *self;
        Retention { keep_all_days, keep_daily, keep_weekly }
    }

    /// What they are sealed with, if anything.
    pub(crate) fn keys(&self) -> Result<Keys, KeysError> {
        self.key_file.as_deref().map_or_else(|| Ok(Keys::default()), Keys::read)
    }

    /// The stores that are named.
    pub(crate) fn named(&self) -> impl Iterator<Item = &String> {
        self.url.iter().chain(&self.copies)
    }
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: None,
            credentials_file: None,
            nkey_file: None,
            ca_file: None,
            monitor_url: None,
            accept_lazy_sync: false,
            server: None,
            replicas: 1,
            partitions: 1,
            stream_bytes_max: 0,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            url: None,
            copies: Vec::new(),
            key_file: None,
            checkpoint_hours: 6,
            keep_all_days: 90,
            keep_daily: 365,
            keep_weekly: 260,
        }
    }
}

impl Default for Journal {
    fn default() -> Self {
        Self { index: 0, copy: None, verify: "30 5 * * *".into() }
    }
}

impl Default for Proof {
    fn default() -> Self {
        Self { at: "0 5 * * *".into(), spread_minutes: 180, media_bytes: 1 << 30 }
    }
}

impl Proof {
    /// As the restorer takes it.
    pub(crate) fn config(&self) -> anyhow::Result<backstock_restorer::proof::Config> {
        Ok(backstock_restorer::proof::Config {
            at: Some(self.at.parse()?),
            spread: Duration::from_secs(u64::from(self.spread_minutes) * 60),
            media_bytes: self.media_bytes,
        })
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample: 0.01 }
    }
}

impl Telemetry {
    /// Where spans are posted to.
    pub(crate) fn traces_url(&self) -> anyhow::Result<Option<Url>> {
        let Some(text) = &self.otlp_endpoint else { return Ok(None) };
        let mut url = Url::parse(text)?;
        anyhow::ensure!(
            ["http", "https"].contains(&url.scheme()),
            "{text:?} is not an http or https address; gRPC is not spoken"
        );
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "traces"]);
        }
        Ok(Some(url))
    }
}

impl Default for Compactor {
    fn default() -> Self {
        Self {
            full_pull: "0 3 * * *".into(),
            budget_share: 0.5,
            log_every: 30.0,
            glance_every: 900.0,
            thin: "30 4 * * *".into(),
            subscriptions_every: 600.0,
            media_bytes_max: 512 << 20,
        }
    }
}

fn default_api_version() -> String {
    "2026-10".into()
}

impl Config {
    /// Where blobs, checkpoints and exports are.
    pub(crate) fn storage(&self) -> anyhow::Result<Arc<dyn ObjectStore>> {
        Ok(storage::open(self.storage.url.as_deref(), &self.data_dir, &self.storage.keys()?)?)
    }

    /// The shops where nobody restores alone.
    pub(crate) fn second_person(&self) -> BTreeSet<Shop> {
        let asks = self.shop.iter().filter(|shop| shop.second_person);
        asks.map(|shop| shop.domain.clone()).collect()
    }

    /// How each shop is guarded.
    pub(crate) fn guards(&self) -> BTreeMap<Shop, backstock_restorer::guard::Policy> {
        let guard =
            |shop: &ShopConfig| (shop.domain.clone(), shop.guard.clone().unwrap_or_default());
        self.shop.iter().map(guard).collect()
    }

    /// The tokens of the HTTP API, and what whoever opens the page in a shop's admin stands for.
    pub(crate) fn tokens(&self) -> Result<Vec<backstock_restorer::Token>, TokenError> {
        let embedded = self.shop.iter().filter_map(|shop| shop.embedded().ok().flatten());
        let embedded = embedded.map(|(_, token)| Ok(token));
        self.token.iter().map(Token::parse).chain(embedded).collect()
    }

    /// The effective configuration as TOML, secrets masked.
    pub(crate) fn shown(&self) -> Result<String, toml::ser::Error> {
        toml::to_string_pretty(self)
    }
}

impl Token {
    fn parse(&self) -> Result<backstock_restorer::Token, TokenError> {
        backstock_restorer::Token::parse(&self.name, &self.sha256, &self.scopes, &self.shops)
    }
}

#[cfg(test)]
mod tests;
