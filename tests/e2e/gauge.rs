//! What processes take: memory at its highest, and processor time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks at processes from its making on.
pub(crate) struct Gauge {
    names: Vec<&'static str>,
    pids: Vec<u32>,
    begun: Instant,
    seconds: Vec<f64>,
    highest: Arc<Vec<AtomicU64>>,
    over: Arc<AtomicBool>,
}

/// What one process took meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) name: &'static str,
    /// Memory of its own at its highest, in bytes: what it maps of files is left out.
    pub(crate) memory: u64,
    pub(crate) processor_seconds: f64,
}

impl Gauge {
    pub(crate) fn new(processes: &[(&'static str, u32)]) -> Self {
        let (names, pids): (Vec<_>, Vec<u32>) = processes.iter().copied().unzip();
        let highest: Arc<Vec<AtomicU64>> =
            Arc::new(pids.iter().map(|_| AtomicU64::new(0)).collect());
        let over = Arc::new(AtomicBool::new(false));
        let seconds = pids.iter().map(|pid| processor_seconds(*pid)).collect();
        let (to, until, of) = (highest.clone(), over.clone(), pids.clone());
        std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for (pid, highest) in of.iter().zip(to.iter()) {
                    highest.fetch_max(memory(*pid), Ordering::Relaxed);
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
        Self { names, pids, begun: Instant::now(), seconds, highest, over }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// What each took so far.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        let each = self.names.iter().zip(&self.pids).zip(&self.seconds).zip(self.highest.iter());
        each.map(|(((name, pid), before), highest)| Taken {
            name,
            memory: highest.load(Ordering::Relaxed).max(memory(*pid)),
            processor_seconds: processor_seconds(*pid) - before,
        })
        .collect()
    }

    /// The same in one line.
    pub(crate) fn told(&self) -> String {
        let each = self.taken().into_iter().map(|taken| {
            let mib = taken.memory / (1 << 20);
            format!("{} {mib} MiB, {:.1} s of processor", taken.name, taken.processor_seconds)
        });
        format!("{:.1} s; {}", self.elapsed().as_secs_f64(), each.collect::<Vec<_>>().join("; "))
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn proc(pid: u32, file: &str) -> String {
    std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/{file}"))).unwrap_or_default()
}

/// Memory of a process's own, in bytes; 0 of one that is gone.
fn memory(pid: u32) -> u64 {
    let status = proc(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Processor time of a process so far, by the hundredths of a second that Linux counts in.
fn processor_seconds(pid: u32) -> f64 {
    let stat = proc(pid, "stat");
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
