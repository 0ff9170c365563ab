//! `kill -9` at random moments under load: nothing that was answered 200 is lost, nothing is there
//! twice.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::backstock::Backstock;
use crate::ledger::{Audit, Ledger};
use crate::pulls::eventually;

/// Deliveries at once.
const SENDERS: usize = 8;

/// What is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    /// `backstock serve`, and with it everything but the nats-server, which ends by itself.
    Process,
    /// The nats-server alone.
    Nats,
    /// Both in one moment.
    All,
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_kill_the_process() {
    kill_loop(Victim::Process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_kill_nats() {
    kill_loop(Victim::Nats).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_kill_process_and_nats() {
    kill_loop(Victim::All).await;
}

async fn kill_loop(victim: Victim) {
    let (kills, seed) = (count("BACKSTOCK_KILLS", 12), seed());
    println!("kill {victim:?}: {kills} kills, seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut backstock = Backstock::new();
    backstock.start("serve").await;
    let ledger = Arc::new(Ledger::default());
    let mut down_max = Duration::ZERO;
    for _ in 0..kills {
        let pause = Duration::from_millis(rng.random_range(50..500));
        let stop = Arc::new(AtomicBool::new(false));
        let timer = async {
            tokio::time::sleep(pause).await;
            if let Victim::Nats | Victim::All = victim {
                assert!(backstock.kill_nats(), "there is a nats-server to kill");
            }
            if let Victim::Process | Victim::All = victim {
                kill(backstock.pid("serve"));
            }
            let at_kill = (ledger.under_way().await, ledger.answered().await);
            // Deliveries go on for a while after the end.
            tokio::time::sleep(Duration::from_millis(100)).await;
            stop.store(true, Ordering::Relaxed);
            at_kill
        };
        let failed = ledger.failed.load(Ordering::Relaxed);
        let load = ledger.load(&backstock, SENDERS, stop.clone());
        let ((), (under_way, answered)) = tokio::join!(load, timer);
        let met = match victim {
            // Without a nats-server, ingest waits for the next one.
            Victim::Nats => under_way > 0,
            Victim::Process | Victim::All => ledger.failed.load(Ordering::Relaxed) > failed,
        };
        assert!(met, "the kill met no load; seed {seed}");
        let begun = Instant::now();
        if let Victim::Process | Victim::All = victim {
            backstock.reap("serve");
            backstock.start("serve").await;
        }
        ledger.settle(&backstock).await;
        down_max = down_max.max(begun.elapsed());
        assert!(ledger.answered().await > answered, "nothing went on after it; seed {seed}");
    }
    let audit = ledger.audit(&backstock).await;
    report(&format!("kill {victim:?}"), kills, seed, &ledger, &audit, down_max);
    assert_eq!(backstock.metric("backstock_journal_stream_gap_total").await, 0.0, "gaps");
    assert_eq!(backstock.metric("backstock_journal_quarantined_events").await, 0.0, "quarantined");
}

fn kill(pid: u32) {
    nix::sys::signal::kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).expect("it runs");
}

pub(crate) fn report(
    what: &str,
    rounds: u64,
    seed: u64,
    ledger: &Ledger,
    audit: &Audit,
    down_max: Duration,
) {
    println!(
        "{what}: {rounds} rounds, {} answered 200, {} refused, {} failed, lost {}, visible duplicates {}, \
         wrong heads {}, longest time to answer 200 again {down_max:.2?}, seed {seed}",
        audit.acked,
        ledger.refused.load(Ordering::Relaxed),
        ledger.failed.load(Ordering::Relaxed),
        audit.lost.len(),
        audit.duplicated.len(),
        audit.wrong.len(),
    );
    assert!(audit.acked as u64 > rounds, "the load must have done something");
    let expected = Audit { acked: audit.acked, ..Audit::default() };
    assert_eq!(*audit, expected, "seed {seed}");
}

pub(crate) fn count(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

pub(crate) fn seed() -> u64 {
    std::env::var("BACKSTOCK_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or_else(|| rand::rng().random())
}

/// The journal as a process of its own, killed under load; the stream holds what it missed.
#[tokio::test(flavor = "multi_thread")]
async fn torture_kill_the_journal_alone() {
    let (kills, seed) = (count("BACKSTOCK_KILLS", 12), seed());
    println!("kill the journal: {kills} kills, seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let nats = tempfile::tempdir().expect("a directory");
    let server = crate::disk::Nats::start(nats.path(), "always");
    let roles = tempfile::tempdir().expect("a directory");
    let mut backstock = Backstock::at(roles.path(), &server.configuration());
    backstock.spawn("journal");
    backstock.start("ingest").await;
    backstock.start("restorer").await;
    let ledger = Arc::new(Ledger::default());
    let mut down_max = Duration::ZERO;
    for _ in 0..kills {
        let pause = Duration::from_millis(rng.random_range(50..500));
        let stop = Arc::new(AtomicBool::new(false));
        let pid = backstock.pid("journal");
        let timer = async {
            tokio::time::sleep(pause).await;
            kill(pid);
            // More than was under way: the journal misses some of it.
            let answered = ledger.answered().await + SENDERS;
            eventually(|| async {
                let now = ledger.answered().await;
                if now > answered { Ok(()) } else { Err(format!("{now} answered without it")) }
            })
            .await;
            stop.store(true, Ordering::Relaxed);
        };
        tokio::join!(ledger.load(&backstock, SENDERS, stop.clone()), timer);
        let begun = Instant::now();
        backstock.reap("journal");
        backstock.start("journal").await;
        down_max = down_max.max(begun.elapsed());
    }
    ledger.settle(&backstock).await;
    let audit = ledger.audit(&backstock).await;
    report("kill the journal", kills, seed, &ledger, &audit, down_max);
}

/// A server that reads all of its store may take many minutes to be ready.
#[tokio::test]
async fn a_start_under_way_ends_when_it_is_told_to() {
    let mut backstock = Backstock::new();
    let server = backstock.dir.join("never-ready");
    std::fs::write(&server, "#!/bin/sh\nexec sleep 3600\n").expect("written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&server, executable).expect("executable");
    let server = server.to_str().expect("a text");
    backstock.spawn_with("serve", &[("BACKSTOCK_NATS__SERVER", server)]);
    let begun = backstock.dir.join("data/nats/nats-server.conf");
    eventually(|| async {
        if begun.exists() { Ok(()) } else { Err("no server is started".to_owned()) }
    })
    .await;
    assert!(backstock.signal("serve", Signal::SIGTERM).success());
}
