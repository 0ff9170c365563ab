//! What every role of a process shares, and how the process is told to end.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use backstock_proto::listen::Readiness;
use backstock_proto::time::{Clock, SystemClock};
use prometheus::process_collector::ProcessCollector;
use prometheus::{IntCounter, Registry};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::telemetry::spans;

/// More open files than any of it needs.
const OPEN_FILES_MAX: u64 = 65_536;

/// Where roles count, say whether they are ready, and learn the time.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) registry: Registry,
    pub(crate) readiness: Readiness,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Process {
    pub(crate) fn new() -> anyhow::Result<Self> {
        open_files_as_allowed();
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        registry.register(Box::new(IntCounter::clone(&spans::DROPPED)))?;
        Ok(Self { registry, readiness: Readiness::new(), clock: Arc::new(SystemClock) })
    }
}

/// Raises the number of files that may be open to what the system allows: RocksDB, many connections
/// and a pull that puts lines aside need more than the usual 1,024.
fn open_files_as_allowed() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        setrlimit(Resource::RLIMIT_NOFILE, now.max(most.min(OPEN_FILES_MAX)), most)
    });
    if let Err(error) = raised {
        tracing::warn!(%error, "cannot raise the number of open files");
    }
}

/// Binds a role's address before anything heavy begins, so that a taken port stops the start.
pub(crate) async fn bind(role: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!(
            "listen on {address}, which is http.{role} of the configuration; is another Backstock \
             running there?"
        )
    })?;
    info!("{role} listens on http://{address}");
    Ok(listener)
}

/// Cancelled by SIGTERM or SIGINT. A second signal leaves at once.
pub(crate) fn shutdown_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if !first {
                break;
            }
            info!("stopping; a second signal leaves at once");
            told.cancel();
        }
        // Everything acknowledged is on disk; whoever signals twice does not want to wait.
        #[allow(clippy::disallowed_methods)]
        std::process::exit(130);
    });
    Ok(shutdown)
}
