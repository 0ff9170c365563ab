//! Disks that lose power or fill up.
//!
//! A power cut is simulated with a file system on a loop device: everything is stopped in mid-air,
//! the backing file is copied as it is, and what was only in memory is gone from the copy. The same
//! test with a server that syncs lazily must lose, or it would prove nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::backstock::{Backstock, nats_server};
use crate::kills::{count, report, seed};
use crate::ledger::{Audit, Ledger};
use crate::ports::port;
use crate::shopify::Delivery;

/// A mounted file system; unmounted when dropped.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily, since a process under test may still be ending.
        let _ = Command::new("umount").arg("-l").arg(&self.0).stderr(Stdio::null()).status();
    }
}

impl Mount {
    fn new(at: PathBuf, options: &[&str], what: &Path) -> Option<Self> {
        std::fs::create_dir_all(&at).expect("a directory");
        let mounted =
            Command::new("mount").args(options).arg(what).arg(&at).stderr(Stdio::null()).status();
        mounted.is_ok_and(|s| s.success()).then_some(Self(at))
    }

    /// A new ext4 of `megabytes` in the file `image`, which writes its metadata as rarely as it may.
    fn loop_ext4(image: &Path, at: PathBuf, megabytes: u64) -> Option<Self> {
        std::fs::File::create(image).expect("an image").set_len(megabytes << 20).expect("its size");
        let made = Command::new("mkfs.ext4").args(["-q", "-F"]).arg(image).status();
        made.is_ok_and(|s| s.success()).then_some(())?;
        Self::new(at, &["-o", "loop,commit=300"], image)
    }

    fn tmpfs(at: PathBuf, megabytes: u64) -> Option<Self> {
        let size = format!("size={megabytes}m");
        Self::new(at, &["-t", "tmpfs", "-o", &size], Path::new("tmpfs"))
    }
}

fn not_run(what: &str) {
    println!("{what}: not run, it needs root, loop devices and mkfs.ext4");
}

fn pause(rng: &mut StdRng) -> Duration {
    Duration::from_millis(rng.random_range(300..900))
}

/// Loads `backstock` for a while, then stops `pids` in mid-air and copies the image.
async fn cut(
    backstock: &Backstock,
    ledger: &Arc<Ledger>,
    pids: &[u32],
    image: &Path,
    copy: &Path,
    load_for: Duration,
) {
    let stop = Arc::new(AtomicBool::new(false));
    let load = ledger.load(backstock, 8, stop.clone());
    let cut = async {
        tokio::time::sleep(load_for).await;
        for pid in pids {
            kill(Pid::from_raw((*pid).try_into().expect("a pid")), Signal::SIGSTOP)
                .expect("it runs");
        }
        // What is answered from here on is answered by nobody; then the load may end.
        stop.store(true, Ordering::Relaxed);
        std::fs::copy(image, copy).expect("a copy");
    };
    tokio::join!(load, cut);
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_power_cut() {
    let (cuts, seed) = (count("BACKSTOCK_POWER_CUTS", 3), seed());
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..cuts {
        let dir = tempfile::tempdir().expect("a directory");
        let image = dir.path().join("disk.img");
        let Some(disk) = Mount::loop_ext4(&image, dir.path().join("disk"), 256) else {
            return not_run("power cut");
        };
        let ledger = Arc::new(Ledger::default());
        let mut backstock = Backstock::at(&disk.0, "");
        backstock.start("serve").await;
        let mut pids = vec![backstock.pid("serve")];
        pids.extend(backstock.nats_pid());
        let copy = dir.path().join("copy.img");
        let load_for = pause(&mut rng);
        cut(&backstock, &ledger, &pids, &image, &copy, load_for).await;
        backstock.kill_nats();
        backstock.signal("serve", Signal::SIGKILL);
        drop(backstock);
        drop(disk);

        let disk =
            Mount::new(dir.path().join("again"), &["-o", "loop"], &copy).expect("the copy mounts");
        let begun = Instant::now();
        let mut backstock = Backstock::at(&disk.0, "");
        backstock.start("serve").await;
        let audit = ledger.audit(&backstock).await;
        report(&format!("power cut {}", round + 1), 1, seed, &ledger, &audit, begun.elapsed());
    }
}

/// A nats-server of the test's own, for roles that run one by one.
pub(crate) struct Nats {
    process: Child,
    port: u16,
    monitor: u16,
}

impl Nats {
    pub(crate) fn start(dir: &Path, sync_interval: &str) -> Self {
        Self::start_on(dir, sync_interval, port(), port())
    }

    fn start_on(dir: &Path, sync_interval: &str, port: u16, monitor: u16) -> Self {
        let conf = dir.join("nats.conf");
        let text = format!(
            "listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\nmax_payload: 20MB\n\
             jetstream {{ store_dir: {:?}, sync_interval: {sync_interval:?} }}\n",
            dir.join("store").display().to_string(),
        );
        std::fs::write(&conf, text).expect("a configuration");
        let mut command = Command::new(nats_server());
        command.arg("--config").arg(&conf).stdout(Stdio::null()).stderr(Stdio::null());
        Self { process: command.spawn().expect("nats-server starts"), port, monitor }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// What a configuration says to use it, however it syncs.
    pub(crate) fn configuration(&self) -> String {
        let (url, monitor) = (self.url(), self.monitor);
        format!(
            "url = {url:?}\nmonitor_url = \"http://127.0.0.1:{monitor}\"\naccept_lazy_sync = true\n"
        )
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What is on the stream after a power cut, with a server that syncs as `sync_interval` says and
/// nobody consuming.
async fn stream_after_cut(sync_interval: &str, load_for: Duration) -> Option<Audit> {
    let dir = tempfile::tempdir().expect("a directory");
    let image = dir.path().join("disk.img");
    let disk = Mount::loop_ext4(&image, dir.path().join("disk"), 256)?;
    let server = Nats::start(&disk.0, sync_interval);
    let roles = tempfile::tempdir().expect("a directory");
    let mut backstock = Backstock::at(roles.path(), &server.configuration());
    // The journal makes the stream, then stands still.
    backstock.start("journal").await;
    backstock.start("ingest").await;
    backstock.signal("journal", Signal::SIGTERM);
    // The stream itself must have reached the disk, as it would have within minutes.
    nix::unistd::sync();
    let ledger = Arc::new(Ledger::default());
    let copy = dir.path().join("copy.img");
    cut(&backstock, &ledger, &[server.process.id()], &image, &copy, load_for).await;
    let (port, monitor) = (server.port, server.monitor);
    drop(server);
    backstock.signal("ingest", Signal::SIGKILL);
    drop(disk);

    let disk =
        Mount::new(dir.path().join("again"), &["-o", "loop"], &copy).expect("the copy mounts");
    let _server = Nats::start_on(&disk.0, sync_interval, port, monitor);
    backstock.start("journal").await;
    backstock.start("restorer").await;
    let audit = ledger.audit_once(&backstock).await;
    println!(
        "power cut of the stream, sync_interval {sync_interval}: {} answered 200, lost {}",
        audit.acked,
        audit.lost.len()
    );
    Some(audit)
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_power_cut_of_the_stream_and_its_control() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let Some(strict) = stream_after_cut("always", pause(&mut rng)).await else {
        return not_run("power cut of the stream");
    };
    assert!(strict.acked > 10, "the load must have done something");
    assert_eq!((strict.lost.len(), strict.duplicated.len()), (0, 0), "seed {seed}");
    let lazy = stream_after_cut("2m", pause(&mut rng)).await.expect("it ran a moment ago");
    assert!(
        !lazy.lost.is_empty(),
        "a lazily syncing server must lose, or this test proves nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_heals_by_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Mount::tmpfs(dir.path().join("disk"), 192) else {
        return not_run("full disk");
    };
    let mut backstock = Backstock::at(&disk.0, "");
    backstock.start("serve").await;
    let ledger = Arc::new(Ledger::default());
    let stop = Arc::new(AtomicBool::new(false));
    let during = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let filler = disk.0.join("filler");
        fill(&filler);
        tokio::time::sleep(Duration::from_secs(8)).await;
        let refused = ledger.refused.load(Ordering::Relaxed);
        assert!(refused > 0, "a full disk must refuse");
        let (status, _) =
            backstock.get("/v1/shops/acme.myshopify.com/resources?kind=product").await;
        assert_eq!(status, 200, "what is there can be read");
        std::fs::remove_file(&filler).expect("the filler");
        let freed = Instant::now();
        let probe = Delivery::product(1, "room again", 1, "probe");
        while probe.send(&backstock.client, &backstock.webhooks()).await.ok()
            != Some(reqwest::StatusCode::OK)
        {
            assert!(freed.elapsed() < Duration::from_secs(60), "it does not heal");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        println!(
            "full disk: {refused} refused, answers 200 again {:.1?} after there was room",
            freed.elapsed()
        );
        stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(ledger.load(&backstock, 4, stop.clone()), during);
    ledger.settle(&backstock).await;
    let audit = ledger.audit(&backstock).await;
    report("full disk", 1, 0, &ledger, &audit, Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_others_filled_since_is_no_reason_not_to_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = Mount::tmpfs(dir.path().join("disk"), 256) else {
        return not_run("less disk than before");
    };
    let mut backstock = Backstock::at(&disk.0, "");
    backstock.start("serve").await;
    let told = Delivery::product(1, "before", 1, "before");
    assert!(told.send(&backstock.client, &backstock.webhooks()).await.is_ok());
    backstock.signal("serve", Signal::SIGTERM);
    let filler = disk.0.join("filler");
    fill(&filler);
    let all = std::fs::metadata(&filler).expect("the filler").len();
    let left = std::fs::OpenOptions::new().write(true).open(&filler).expect("the filler");
    left.set_len(all - (48 << 20)).expect("some room");
    backstock.start("serve").await;
    let told = Delivery::product(2, "after", 2, "after");
    let status = told.send(&backstock.client, &backstock.webhooks()).await.expect("an answer");
    assert_eq!(status, reqwest::StatusCode::OK);
}

/// Takes all that is free.
fn fill(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("a file");
    let block = vec![0_u8; 1 << 16];
    while file.write_all(&block).is_ok() {}
    while file.write_all(&block[..512]).is_ok() {}
}
