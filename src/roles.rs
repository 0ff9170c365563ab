//! Each role as a process of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use backstock_compactor::Compactor;
use backstock_compactor::http::Given;
use backstock_ingest::{Ingest, ServerSync, ShopSecrets};
use backstock_journal::checkpoint::{self, Checkpoints};
use backstock_journal::erase::Eraser;
use backstock_journal::http::Door;
use backstock_journal::verify;
use backstock_proto::blob::Blobs;
use backstock_proto::journal::{Client, Journal, Spread};
use backstock_proto::lease::{Leases, LocalLeases, SharedLeases};
use backstock_proto::publish::Publisher;
use backstock_proto::pulls::Pulls;
use backstock_proto::stream::partition_of;
use backstock_proto::{admin, listen, storage};
use backstock_restorer::{Restorer, Tokens};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use url::Url;

use crate::config::Config;
use crate::nats::{self, Address, Connected};
use crate::process::{Process, bind, shutdown_signal};
use crate::{secrets, tokens};

mod stores;

pub(crate) use stores::{Stores, ensure_streams, open_stores, read, recover};
use stores::{kept, part_of};

/// Whoever takes no connection within this is not there: there may be another copy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection between two requests is kept: less than the other end keeps it, which would
/// otherwise close it just when it is used again.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// How often a copy of a journal that starts looks whether it has caught up.
const LEVEL_LOOK_EVERY: Duration = Duration::from_millis(100);

pub(crate) async fn ingest(config: Config) -> anyhow::Result<()> {
    let process = Process::new()?;
    let shutdown = shutdown_signal()?;
    let shops = ShopSecrets::new(secrets::read(&config.shop)?);
    let listener = bind("ingest", config.http.ingest).await?;
    let nats = configured(&config)?.connect("ingest", &config.nats).await?;
    run_ingest(&process, &config, shops, listener, nats, shutdown).await
}

pub(crate) async fn journal(config: Config) -> anyhow::Result<()> {
    let process = Process::new()?;
    let shutdown = shutdown_signal()?;
    let listener = bind("journal", config.http.journal).await?;
    await_journals(&process, &config);
    let door = Door::default();
    let probes = listen::probes(process.readiness.clone(), process.registry.clone());
    let router = door.router().merge(probes);
    let http =
        tokio::spawn(listen::serve(listener, router, listen::Limits::default(), shutdown.clone()));
    let ended = async {
        let opened = shutdown.run_until_cancelled(open_stores(&process, &config)).await;
        let Some(stores) = opened.transpose()? else { return Ok(()) };
        let journal = read(&process, &config, &stores)?;
        let copies = config.http.journals.get(config.journal.index).map_or(1, Vec::len);
        if copies > 1 {
            let opens = open_once_level(door, journal, stores.clone(), process.clone());
            let shutdown = shutdown.clone();
            tokio::spawn(async move { shutdown.run_until_cancelled(opens).await });
        } else {
            door.open(journal);
        }
        let nats = configured(&config)?.connect("journal", &config.nats).await?;
        ensure_streams(&config, &stores, &nats).await?;
        run_journal(&process, &config, stores, nats, shutdown.clone()).await
    };
    let ended = Box::pin(ended).await;
    shutdown.cancel();
    http.await??;
    ended
}

/// From here on the process is not ready before its journals are.
pub(crate) fn await_journals(process: &Process, config: &Config) {
    for partition in kept(config) {
        process.readiness.part(&part_of(config, partition));
    }
}

/// Lets others ask once what is on the stream is in the stores: until then another copy knows more.
async fn open_once_level(door: Door, journal: Arc<dyn Journal>, stores: Stores, process: Process) {
    let is_level = || stores.iter().all(|(_, store)| store.is_level(process.clock.now()));
    while !is_level() {
        tokio::time::sleep(LEVEL_LOOK_EVERY).await;
    }
    door.open(journal);
}

pub(crate) async fn compactor(config: Config) -> anyhow::Result<()> {
    let process = Process::new()?;
    let shutdown = shutdown_signal()?;
    let listener = bind("compactor", config.http.compactor).await?;
    let nats = configured(&config)?.connect("compactor", &config.nats).await?;
    let (door, orders) = backstock_compactor::orders(publisher(&config, &nats));
    // Nobody finds it ready before it has begun.
    process.readiness.part("compactor");
    let router = backstock_compactor::http::router(door)
        .merge(listen::probes(process.readiness.clone(), process.registry.clone()));
    let http =
        tokio::spawn(listen::serve(listener, router, listen::Limits::default(), shutdown.clone()));
    let around = Around::of(&config)?;
    tidy(&config);
    let ended = run_compactor(&process, &config, around, nats, orders, shutdown.clone()).await;
    shutdown.cancel();
    http.await??;
    ended
}

pub(crate) async fn restorer(config: Config) -> anyhow::Result<()> {
    let process = Process::new()?;
    let shutdown = shutdown_signal()?;
    let listener = bind("restorer", config.http.restorer).await?;
    let nats = configured(&config)?.connect("restorer", &config.nats).await?;
    let around = Around::of(&config)?;
    tidy(&config);
    let compactor = match &config.http.compactor_url {
        Some(url) => url.parse()?,
        None => internal(config.http.compactor)?,
    };
    let pulls = backstock_compactor::http::Client::new(between_roles()?, compactor);
    run_restorer(&process, &config, listener, around, Arc::new(pulls), nats, shutdown).await
}

/// Puts on the stream what is published over a connection.
pub(crate) fn publisher(config: &Config, nats: &Connected) -> Publisher {
    let jetstream = async_nats::jetstream::new(nats.client.clone());
    Publisher { jetstream, partitions: config.nats.partitions }
}

/// What compactor and restorer ask: history, and the shops.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) journal: Arc<dyn Journal>,
    /// One for each shop with credentials, so that whoever asks a shop keeps within one budget.
    pub(crate) admins: Vec<admin::Client>,
    /// The bytes of media and theme files.
    pub(crate) blobs: Blobs,
}

impl Around {
    /// In a process of its own: the journal is another one.
    fn of(config: &Config) -> anyhow::Result<Self> {
        let http = between_roles()?;
        let client = |url: Url| -> Arc<dyn Journal> { Arc::new(Client::new(http.clone(), url)) };
        let mut places: Vec<Vec<Arc<dyn Journal>>> = Vec::new();
        for copies in &config.http.journals {
            let urls: Result<Vec<Url>, _> = copies.iter().map(|url| url.parse()).collect();
            places.push(urls?.into_iter().map(client).collect());
        }
        if places.is_empty() {
            places.push(vec![client(internal(config.http.journal)?)]);
        }
        Self::with(config, Arc::new(Spread::new(config.nats.partitions, places)))
    }

    pub(crate) fn with(config: &Config, journal: Arc<dyn Journal>) -> anyhow::Result<Self> {
        // A result or an answer is where it was promised to be, or nowhere.
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let accesses = config.accesses().into_iter();
        let admins = accesses.map(|access| admin::Client::new(http.clone(), access)).collect();
        let store = config.storage()?;
        let blobs = Blobs::new(store, &config.data_dir.join("scratch"));
        Ok(Self { journal, admins, blobs })
    }
}

/// How the roles ask each other: directly, since a proxy is for what is outside.
fn between_roles() -> reqwest::Result<reqwest::Client> {
    let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT);
    http.pool_idle_timeout(IDLE_MAX).no_proxy().build()
}

/// Where another role of the same installation listens.
fn internal(address: std::net::SocketAddr) -> anyhow::Result<Url> {
    Ok(Url::parse(&format!("http://{address}"))?)
}

/// The configured server; only `serve` can do without one.
fn configured(config: &Config) -> anyhow::Result<Address> {
    match Address::configured(&config.nats) {
        Some(address) => Ok(address),
        None => {
            bail!("nats.url is not set: a role on its own needs a NATS server that all roles share")
        }
    }
}

/// Removes, beside everything else, what killed processes left half written where checkpoints and blobs
/// are: going through a large directory takes a while.
fn tidy(config: &Config) {
    let (dir, copies) = (config.data_dir.clone(), config.storage.copies.iter().cloned().map(Some));
    let places: Vec<Option<String>> =
        std::iter::once(config.storage.url.clone()).chain(copies).collect();
    std::thread::spawn(move || {
        for url in places {
            match storage::clear(url.as_deref(), &dir) {
                Ok(0) => {}
                Ok(cleared) => info!(cleared, "removed what a killed process left half written"),
                Err(error) => {
                    warn!(%error, "what a killed process left half written is not erased");
                }
            }
        }
    });
}

/// Answers webhooks until `shutdown`.
pub(crate) async fn run_ingest(
    process: &Process,
    config: &Config,
    shops: ShopSecrets,
    listener: TcpListener,
    nats: Connected,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    if config.shop.is_empty() {
        match &config.file {
            Some(file) => warn!(
                file = %file.display(),
                "no shop is configured: every webhook will be answered 401"
            ),
            None => warn!(
                "no shop is configured: there is no backstock.toml in the working directory, and --config \
                 names none. Every webhook will be answered 401"
            ),
        }
    }
    tokio::spawn(secrets::watch(config.shop.clone(), shops.clone(), shutdown.clone()));
    let mut settings = backstock_ingest::Config {
        partitions: config.nats.partitions,
        sync: if nats.syncs_always { ServerSync::Always } else { ServerSync::Lazy },
        ..backstock_ingest::Config::default()
    };
    settings.limits.body_bytes_max = config.http.body_bytes_max;
    // One of our own always does.
    if nats.syncs_always
        && let Some(address) = Address::configured(&config.nats)
    {
        let gauges = nats::Gauges::register(&process.registry)?;
        tokio::spawn(address.watch(nats.client.clone(), gauges, shutdown.clone()));
    }
    let ingest = Ingest {
        config: settings,
        nats: nats.client,
        shops,
        registry: process.registry.clone(),
        readiness: process.readiness.clone(),
        clock: process.clock.clone(),
    };
    Ok(ingest.run(listener, shutdown).await?)
}

/// Applies the streams to their stores until `shutdown`, then closes the stores.
pub(crate) async fn run_journal(
    process: &Process,
    config: &Config,
    stores: Stores,
    nats: Connected,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let jetstream = async_nats::jetstream::new(nats.client);
    let (storage, keys) = (config.storage()?, config.storage.keys()?);
    let copies: Arc<[String]> = config.storage.copies.clone().into();
    let every = Duration::from_secs(u64::from(config.storage.checkpoint_hours) * 3600);
    let mut running = JoinSet::new();
    for (partition, store) in stores {
        let ready = process.readiness.part(&part_of(config, partition));
        let jetstream = jetstream.clone();
        let (registry, clock) = (process.registry.clone(), process.clock.clone());
        let shutdown = shutdown.clone();
        if !every.is_zero() {
            let checkpoints = Checkpoints::new(storage.clone(), partition);
            let (store, clock, shutdown) = (store.clone(), clock.clone(), shutdown.clone());
            tokio::spawn(checkpoint::run(checkpoints, store, clock, every, shutdown));
        }
        tokio::spawn(verify::nightly(
            store.clone(),
            partition,
            config.journal.verify.parse()?,
            clock.clone(),
            shutdown.clone(),
        ));
        let eraser = Eraser {
            store: store.clone(),
            jetstream: jetstream.clone(),
            partition,
            storage: storage.clone(),
            copies: copies.clone(),
            keys: keys.clone(),
            clock: clock.clone(),
        };
        tokio::spawn(eraser.run(shutdown.clone()));
        let domains = config.shop.iter().map(|shop| shop.domain.clone());
        let shops = domains.filter(|shop| partition_of(shop, config.nats.partitions) == partition);
        let mut settings =
            backstock_journal::Config { partition, shops: shops.collect(), ..Default::default() };
        if let Some(copy) = &config.journal.copy {
            settings.consumer = format!("{}-{copy}", settings.consumer);
        }
        running.spawn(async move {
            backstock_journal::run(settings, store, jetstream, &registry, ready, clock, shutdown)
                .await
        });
    }
    // One that fails ends the others: the process is to be started anew.
    let mut outcome = Ok(());
    while let Some(ended) = running.join_next().await {
        if let Err(failure) = ended?
            && outcome.is_ok()
        {
            shutdown.cancel();
            outcome = Err(failure.into());
        }
    }
    outcome
}

/// Pulls until `shutdown`.
pub(crate) async fn run_compactor(
    process: &Process,
    config: &Config,
    around: Around,
    nats: Connected,
    orders: mpsc::Receiver<Given>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let compactor = Compactor {
        config: backstock_compactor::Config {
            full_pull: config.compactor.full_pull.parse()?,
            budget_share: config.compactor.budget_share,
            log_every: Duration::from_secs_f64(config.compactor.log_every),
            glance_every: Duration::from_secs_f64(config.compactor.glance_every),
            scratch: config.data_dir.join("scratch"),
            media_bytes_max: config.compactor.media_bytes_max,
            thin: config.compactor.thin.parse()?,
            retention: config.storage.retention(),
            public_url: config.http.public_url()?,
            subscriptions_every: Duration::from_secs_f64(config.compactor.subscriptions_every),
            partitions: config.nats.partitions,
        },
        shops: around.admins,
        journal: around.journal,
        blobs: around.blobs,
        jetstream: async_nats::jetstream::new(nats.client),
        // A server of our own has one compactor only.
        shared: config.nats.url.as_ref().map(|_| config.nats.replicas),
        registry: process.registry.clone(),
        readiness: process.readiness.clone(),
        clock: process.clock.clone(),
        orders,
    };
    Box::pin(compactor.run(shutdown)).await
}

/// What seals the sessions of the page: it comes of what the shops' secrets are, so that every
/// restorer has the same one, and has it still after a restart. Without secrets, sessions end with
/// the process.
fn session_key(config: &Config) -> backstock_restorer::SessionKey {
    let mut secrets: Vec<&str> = (config.shop.iter())
        .flat_map(|shop| [&shop.client_secret, &shop.access_token])
        .flatten()
        .map(|secret| secret.expose_secret())
        .collect();
    secrets.sort_unstable();
    match secrets.is_empty() {
        true => backstock_restorer::SessionKey::random(),
        false => backstock_restorer::SessionKey::of(secrets.join("\n").as_bytes()),
    }
}

/// Answers the API until `shutdown`.
pub(crate) async fn run_restorer(
    process: &Process,
    config: &Config,
    listener: TcpListener,
    around: Around,
    pulls: Arc<dyn Pulls>,
    nats: Connected,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    if config.token.is_empty() {
        warn!("no token is configured: the API answers nobody. `backstock token new` makes one");
    }
    let jetstream = async_nats::jetstream::new(nats.client.clone());
    let part = process.readiness.part("restorer's connection to NATS");
    tokio::spawn(nats::watch(nats.client, part, shutdown.clone()));
    // A server of our own has one restorer only.
    let leases: Arc<dyn Leases> = match &config.nats.url {
        None => Arc::new(LocalLeases::default()),
        Some(_) => {
            let open = || SharedLeases::open(&jetstream, config.nats.replicas);
            Arc::new(nats::patiently(open, |_| true).await?)
        }
    };
    let tokens = Tokens::new(config.tokens()?);
    if let Some(file) = config.file.clone() {
        let (tokens, shutdown) = (tokens.clone(), shutdown.clone());
        tokio::spawn(async move { tokens::watch(&file, tokens, shutdown).await });
    }
    let restorer = Restorer {
        config: backstock_restorer::Config {
            shops: config.shop.iter().map(|shop| shop.domain.clone()).collect(),
            retention: config.storage.retention(),
            public_url: config.http.public_url()?,
            proxies: config.http.proxies()?,
            guards: config.guards(),
            second_person: config.second_person(),
            proof: config.proof.config()?,
            embedded: config.embedded(),
            session_key: session_key(config),
            ..backstock_restorer::Config::default()
        },
        journal: around.journal,
        pulls,
        blobs: around.blobs,
        records: Arc::new(Publisher { jetstream, partitions: config.nats.partitions }),
        leases,
        admins: around.admins,
        tokens,
        registry: process.registry.clone(),
        readiness: process.readiness.clone(),
        clock: process.clock.clone(),
    };
    Ok(backstock_restorer::run(listener, restorer, shutdown).await?)
}
