//! Every role in one process, beside a nats-server of its own.
//!
//! They start in the order in which they need each other and stop the other way round: first no
//! more webhooks, then no more events, then no more answers, and the server last.

use std::sync::Arc;
use std::time::Duration;

use backstock_ingest::ShopSecrets;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::Config;
use crate::nats::{self, Address, Server};
use crate::process::{Process, bind, shutdown_signal};
use crate::roles::{self, Stores};
use crate::secrets;

/// How long one step of stopping may take: longer than the half minute in which a job comes to rest.
const STEP_DEADLINE: Duration = Duration::from_secs(40);

/// A role that runs, and how to end it.
struct Running {
    name: &'static str,
    stop: CancellationToken,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Running {
    fn start(
        name: &'static str,
        role: impl FnOnce(CancellationToken) -> futures::future::BoxFuture<'static, anyhow::Result<()>>,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(role(stop.clone()));
        Self { name, stop, tasks }
    }

    /// Returns when the role ends although nobody told it to.
    async fn ended(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("{} ended by itself", self.name),
            Some(Ok(Err(e))) => e.context(self.name),
            Some(Err(panic)) => anyhow::Error::from(panic).context(self.name),
        }
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        match tokio::time::timeout(STEP_DEADLINE, self.tasks.join_next()).await {
            Ok(Some(ended)) => ended?,
            Ok(None) => Ok(()),
            Err(_) => anyhow::bail!("{} did not stop in {STEP_DEADLINE:?}", self.name),
        }
    }
}

pub(crate) async fn run(mut config: Config) -> anyhow::Result<()> {
    let process = Process::new()?;
    let shutdown = shutdown_signal()?;
    let secrets = ShopSecrets::new(secrets::read(&config.shop)?);
    let ingest_listener = bind("ingest", config.http.ingest).await?;
    let restorer_listener = bind("restorer", config.http.restorer).await?;
    let begun = Box::pin(begin(&process, &mut config));
    let Some(begun) = shutdown.run_until_cancelled(begun).await else { return Ok(()) };
    let (stores, address, server) = begun?;

    let to_ingest = address.connect("ingest", &config.nats).await?;
    let to_journal = address.connect("journal", &config.nats).await?;
    let to_restorer = address.connect("restorer", &config.nats).await?;
    let to_compactor = address.connect("compactor", &config.nats).await?;
    roles::ensure_streams(&config, &stores, &to_journal).await?;
    let server = server.map(|server| {
        Running::start("nats-server", |stop| {
            Box::pin(async move {
                server.supervise(stop).await;
                Ok(())
            })
        })
    });

    // The restorer is the first who tells whether all of them are ready.
    roles::await_journals(&process, &config);
    for role in ["compactor", "ingest"] {
        process.readiness.part(role);
    }
    let config = Arc::new(config);
    let around = roles::Around::with(&config, roles::read(&process, &config, &stores)?)?;
    let (door, orders) = backstock_compactor::orders(roles::publisher(&config, &to_compactor));
    let restorer = {
        let (process, config, around) = (process.clone(), config.clone(), around.clone());
        let pulls = Arc::new(door);
        Running::start("restorer", |stop| {
            Box::pin(async move {
                roles::run_restorer(
                    &process,
                    &config,
                    restorer_listener,
                    around,
                    pulls,
                    to_restorer,
                    stop,
                )
                .await
            })
        })
    };
    let journal = {
        let (process, config) = (process.clone(), config.clone());
        Running::start("journal", |stop| {
            Box::pin(async move {
                roles::run_journal(&process, &config, stores, to_journal, stop).await
            })
        })
    };
    let compactor = {
        let (process, config) = (process.clone(), config.clone());
        Running::start("compactor", |stop| {
            Box::pin(async move {
                roles::run_compactor(&process, &config, around, to_compactor, orders, stop).await
            })
        })
    };
    let ingest = Running::start("ingest", |stop| {
        Box::pin(async move {
            roles::run_ingest(&process, &config, secrets, ingest_listener, to_ingest, stop).await
        })
    });

    // In the order in which they stop.
    let mut roles = vec![ingest, compactor, journal, restorer];
    roles.extend(server);
    hold(roles, shutdown).await
}

/// Opens the stores and finds the server of the stream. Both may take long: a store may come back from a
/// checkpoint, and a server that was killed may read all that it holds.
async fn begin(
    process: &Process,
    config: &mut Config,
) -> anyhow::Result<(Stores, Address, Option<Server>)> {
    let stores = roles::open_stores(process, config).await?;
    let (address, server) = stream_server(config).await?;
    Ok((stores, address, server))
}

/// Where the server of the stream is: the configured one, or one of our own, which is given the room that the
/// disk has unless the configuration says how much.
async fn stream_server(config: &mut Config) -> anyhow::Result<(Address, Option<Server>)> {
    if let Some(address) = Address::configured(&config.nats) {
        return Ok((address, None));
    }
    let dir = config.data_dir.join("nats");
    let server = Server::start(config.nats.server.as_deref(), &dir).await?;
    if config.nats.stream_bytes_max <= 0 {
        config.nats.stream_bytes_max = nats::stream_bytes_max(&dir);
    }
    Ok((server.address(), Some(server)))
}

/// Waits until `shutdown`, or until a role ends by itself; then stops all of them, in order.
async fn hold(mut roles: Vec<Running>, shutdown: CancellationToken) -> anyhow::Result<()> {
    let failure = {
        let ended =
            futures::future::select_all(roles.iter_mut().map(|role| Box::pin(role.ended())));
        tokio::select! {
            () = shutdown.cancelled() => None,
            (failure, _, _) = ended => Some(failure),
        }
    };
    if let Some(failure) = &failure {
        error!("{failure:#}; stopping everything");
    }
    for role in roles {
        let name = role.name;
        if let Err(e) = role.stop().await {
            error!(error = format!("{e:#}"), "failed to stop {name}");
        }
    }
    info!("stopped");
    failure.map_or(Ok(()), Err)
}
