//! Our own nats-server: a child on the loopback, with its own store, that syncs every message
//! before it acknowledges it.
//!
//! Its store is synced before every start: a server that was killed between write and sync finds
//! the message in the page cache, calls a retry a duplicate, and a power cut would then lose it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use backstock_proto::listen::free_port;
use backstock_proto::stream::MAX_PAYLOAD_BYTES;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::distr::{Alphanumeric, SampleString};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Address, Credentials};

/// How long a start may take: after a kill the server may read all that it holds, tens of gigabytes. One
/// that is ended meanwhile would begin with that anew, and never get there.
const START_DEADLINE: Duration = Duration::from_secs(15 * 60);
/// How often a start is tried, each time on other ports.
const START_ATTEMPTS: u32 = 5;
/// How long a stop may take before it is a kill.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// How often the server's health is asked for.
const HEALTH_EVERY: Duration = Duration::from_secs(1);
/// How long it may be ill before it is restarted: its write errors stick, only a restart heals.
const ILL_FOR: Duration = Duration::from_secs(3);
/// How long it may answer nothing: who waits for a slow disk, or for the processor, is not ill.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// A restart is of no use before so much disk is free again.
const FREE_BYTES_MIN: u64 = 4 << 20;
/// What the server's store may hold: no limit of its own. The stream has one that keeps the disk from
/// filling; the server's default, three quarters of what is free when it starts, refuses the stream
/// that it has once that has grown.
const STORE_BYTES_MAX: u64 = 1 << 50;
/// Longest pause between two restarts.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A running nats-server of our own.
pub(crate) struct Server {
    layout: Layout,
    child: Child,
}

/// Where it is and how it is reached; the same over all restarts.
#[derive(Clone)]
struct Layout {
    binary: PathBuf,
    dir: PathBuf,
    address: Address,
    monitor_url: String,
}

/// What the server says of its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Well,
    /// Its store is not open yet, or cannot be written to.
    Ill,
    /// Nothing.
    Silent,
}

/// Since when the server has not been well.
#[derive(Debug, Default)]
struct Unwell {
    ill: Option<Instant>,
    silent: Option<Instant>,
}

impl Server {
    /// Starts a server whose files are in `dir`, and waits until it takes requests.
    pub(crate) async fn start(binary: Option<&Path>, dir: &Path) -> anyhow::Result<Self> {
        let store = dir.join("store");
        fs::create_dir_all(&store).with_context(|| format!("create {}", store.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
        end_leftover(&dir).await?;
        let binary = find_binary(binary)?;
        let mut attempt = 1;
        loop {
            let layout = Layout::write(binary.clone(), dir.clone())?;
            match layout.spawn().await {
                Ok(child) => return Ok(Self { layout, child }),
                // Somebody may have taken a port since it was found free.
                Err(e) if attempt < START_ATTEMPTS => {
                    warn!(error = format!("{e:#}"), "failed to start nats-server")
                }
                Err(e) => return Err(e),
            }
            attempt += 1;
        }
    }

    /// How to reach it.
    pub(crate) fn address(&self) -> Address {
        self.layout.address.clone()
    }

    /// Keeps it running until `shutdown`, then takes it down.
    pub(crate) async fn supervise(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                status = self.child.wait() => warn!("nats-server ended ({}); restarting it", shown(status)),
                seen = self.layout.unwell() => {
                    match seen {
                        Health::Silent => warn!("nats-server answers nothing; restarting it"),
                        Health::Well | Health::Ill => {
                            warn!("nats-server reports a write error; restarting it");
                        }
                    }
                    stop(&mut self.child).await;
                }
            }
            if !self.restart(&shutdown).await {
                return;
            }
        }
        stop(&mut self.child).await;
        info!("nats-server stopped");
    }

    async fn restart(&mut self, shutdown: &CancellationToken) -> bool {
        let mut backoff = Duration::from_millis(50);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return false,
                started = self.layout.spawn() => match started {
                    Ok(child) => {
                        self.child = child;
                        info!("nats-server runs again");
                        return true;
                    }
                    Err(e) => warn!(error = format!("{e:#}"), "failed to start nats-server"),
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(BACKOFF_MAX),
            }
        }
    }
}

impl Layout {
    /// Chooses ports and a password, and writes the server's configuration.
    fn write(binary: PathBuf, dir: PathBuf) -> anyhow::Result<Self> {
        let port = || free_port().context("find a free port for nats-server");
        let (client, monitor) = (port()?, port()?);
        let token = Alphanumeric.sample_string(&mut rand::rng(), 40);
        let text = format!(
            "# Written by `backstock serve` at every start.\n\
             server_name: backstock\n\
             listen: 127.0.0.1:{client}\n\
             http: 127.0.0.1:{monitor}\n\
             authorization {{ token: \"{token}\" }}\n\
             max_payload: {MAX_PAYLOAD_BYTES}\n\
             jetstream {{\n  store_dir: {store}\n  sync_interval: always\n  max_memory_store: 67108864\n  \
             max_file_store: {STORE_BYTES_MAX}\n}}\n",
            store = quoted(&dir.join("store")),
        );
        let path = dir.join("nats-server.conf");
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("write {}", path.display()))?;
        file.write_all(text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
        let monitor_url = format!("http://127.0.0.1:{monitor}");
        let address = Address {
            url: format!("nats://127.0.0.1:{client}"),
            monitor_url: Some(monitor_url.clone()),
            ca_file: None,
            credentials: Credentials::Token(token),
        };
        Ok(Self { binary, dir, address, monitor_url })
    }

    async fn spawn(&self) -> anyhow::Result<Child> {
        let store = self.dir.join("store");
        tokio::task::spawn_blocking(move || sync(&store)).await??;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.dir.join("nats-server.log"))
            .context("open nats-server.log")?;
        let ours = std::env::current_exe().context("find our own binary")?;
        let mut child = Command::new(ours)
            .arg("exec-nats-server")
            .arg(&self.binary)
            .arg(&self.dir)
            .arg(std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let begun = Instant::now();
        while self.health().await != Health::Well {
            if let Some(status) = child.try_wait()? {
                bail!(
                    "it ended at once ({status}); see {}",
                    self.dir.join("nats-server.log").display()
                );
            }
            if begun.elapsed() > START_DEADLINE {
                stop(&mut child).await;
                bail!("it was not ready after {START_DEADLINE:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(child)
    }

    async fn health(&self) -> Health {
        // No proxy knows of it.
        let Ok(http) = reqwest::Client::builder().no_proxy().build() else {
            return Health::Silent;
        };
        let asked = http
            .get(format!("{}/healthz", self.monitor_url))
            .timeout(Duration::from_secs(2))
            .send();
        match asked.await {
            Ok(answer) if answer.status().is_success() => Health::Well,
            Ok(_) => Health::Ill,
            Err(_) => Health::Silent,
        }
    }

    /// Answers what is seen of the server once that has been no good for long, and a restart could help.
    async fn unwell(&self) -> Health {
        let mut unwell = Unwell::default();
        loop {
            tokio::time::sleep(HEALTH_EVERY).await;
            let seen = self.health().await;
            let room = free_bytes(&self.dir).is_none_or(|free| free >= FREE_BYTES_MIN);
            if unwell.for_long(seen, Instant::now()) && room {
                return seen;
            }
        }
    }
}

impl Unwell {
    /// Whether what is seen `now` was so for as long as it may be.
    fn for_long(&mut self, seen: Health, now: Instant) -> bool {
        let (since, patience) = match seen {
            Health::Well => {
                *self = Self::default();
                return false;
            }
            Health::Ill => (&mut self.ill, ILL_FOR),
            Health::Silent => (&mut self.silent, SILENT_FOR),
        };
        now.duration_since(*since.get_or_insert(now)) >= patience
    }
}

/// Becomes the nats-server in `dir`. It is told to end when its parent does, which a child can only
/// ask for itself; so `serve` starts itself under this name first.
pub(crate) fn exec_server(binary: &Path, dir: &Path, parent: i32) -> anyhow::Error {
    if let Err(e) = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM) {
        return anyhow::anyhow!("ask to end with the parent: {e}");
    }
    // Without a parent nobody would end it, and it would stand in the way of the next one.
    if nix::unistd::getppid().as_raw() != parent {
        return anyhow::anyhow!("the parent, process {parent}, has ended");
    }
    let error = std::process::Command::new(binary)
        .arg("--config")
        .arg(dir.join("nats-server.conf"))
        .arg("--pid")
        .arg(pid_file(dir))
        .exec();
    anyhow::anyhow!("run {}: {error}", binary.display())
}

fn pid_file(dir: &Path) -> PathBuf {
    dir.join("nats-server.pid")
}

/// Ends a server that an earlier run left on the same store: two would spoil it.
async fn end_leftover(dir: &Path) -> anyhow::Result<()> {
    let Some(pid) =
        fs::read_to_string(pid_file(dir)).ok().and_then(|text| text.trim().parse::<i32>().ok())
    else {
        return Ok(());
    };
    let ours = || {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let config = dir.join("nats-server.conf");
        command.split(|b| *b == 0).any(|arg| arg == config.as_os_str().as_encoded_bytes())
    };
    let begun = Instant::now();
    let mut signal = Signal::SIGTERM;
    while ours() {
        if begun.elapsed() > STOP_DEADLINE {
            signal = Signal::SIGKILL;
        }
        if begun.elapsed() > STOP_DEADLINE * 2 {
            bail!("a nats-server of an earlier run (process {pid}) cannot be ended");
        }
        // It may end between the look and the signal.
        let _ = kill(Pid::from_raw(pid), signal);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn stop(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(STOP_DEADLINE, child.wait()).await.is_err() {
        warn!("nats-server did not stop in {STOP_DEADLINE:?}; killing it");
        let _ = child.kill().await;
    }
}

fn shown(status: std::io::Result<std::process::ExitStatus>) -> String {
    status.map_or_else(|e| e.to_string(), |s| s.to_string())
}

fn find_binary(configured: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = configured {
        if path.is_file() {
            return Ok(path.to_owned());
        }
        bail!("nats.server: there is no file {}", path.display());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).map(|dir| dir.join("nats-server")).find(|path| path.is_file()).context(
        "there is no nats-server on PATH. Install 2.12 or newer, or set nats.server to its path, \
         or nats.url to a running one",
    )
}

/// Writes to disk what the system still has in memory of the files under `dir`, and of nothing else,
/// so that a restart never waits for what other programs write.
fn sync(dir: &Path) -> anyhow::Result<()> {
    let at = |path: &Path| format!("sync {}", path.display());
    for entry in fs::read_dir(dir).with_context(|| at(dir))? {
        let path = entry.with_context(|| at(dir))?.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            fs::File::open(&path).and_then(|file| file.sync_all()).with_context(|| at(&path))?;
        }
    }
    fs::File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| at(dir))
}

/// Bytes that are free for us on the file system under `dir`.
pub(super) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(stat.blocks_available() * stat.fragment_size())
}

/// Bytes in the files under `dir`.
pub(super) fn held_bytes(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => held_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

fn quoted(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_slow_is_given_more_time_than_who_is_ill() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut ill = Unwell::default();
        assert!(!ill.for_long(Health::Ill, at(0)));
        assert!(ill.for_long(Health::Ill, at(3)));

        let mut slow = Unwell::default();
        assert!(!slow.for_long(Health::Silent, at(0)));
        assert!(!slow.for_long(Health::Silent, at(59)));
        assert!(!slow.for_long(Health::Well, at(61)));
        assert!(!slow.for_long(Health::Silent, at(62)), "it answered in between");
        assert!(slow.for_long(Health::Silent, at(122)));
    }
}
