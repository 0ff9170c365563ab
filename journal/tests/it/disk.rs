//! A disk that fills up: nothing is lost, reads go on, and writing resumes when space returns.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Delivery, at, product, titled};
use backstock_journal::StoreError;
use backstock_proto::journal::{AsOf, Journal};

/// A small file system in memory. Taken away when dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// `None` where this process may not mount.
    fn mount(mebibytes: u32) -> Option<Self> {
        let dir = tempfile::tempdir().expect("dir");
        let size = format!("size={mebibytes}m");
        mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], dir.path()).then_some(Self(dir))
    }

    fn resize(&self, mebibytes: u32) {
        assert!(mount(&["-o", &format!("remount,size={mebibytes}m")], self.0.path()));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let mounted = Command::new("mount").args(arguments).arg(at).output();
    mounted.is_ok_and(|output| output.status.success())
}

fn large(n: u64) -> Delivery {
    let noise: String = (0..400)
        .map(|part| blake3::hash(format!("{n}-{part}").as_bytes()).to_hex().to_string())
        .collect();
    titled(&product("acme", &(n % 7).to_string()), &noise, at(n as i64))
}

/// Reads the newest version of each product.
async fn read(journal: &dyn Journal, seq: u64) {
    for n in seq - 7..seq {
        let found = journal.resource(&large(n).key, AsOf::Latest).await.expect("read");
        assert_eq!(found.expect("there").version.seq, n + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_heals_by_itself() {
    let Some(disk) = Small::mount(24) else {
        eprintln!("not run: this process may not mount a file system");
        return;
    };
    let path = disk.0.path().join("store");
    let store = crate::support::open(&path);
    let mut seq = 0;
    let batch = |seq: u64| crate::support::decoded(seq + 1, (seq..seq + 10).map(large));
    let full = loop {
        match store.append(&batch(seq), at(0)) {
            Ok(_) => seq += 10,
            Err(error) => break error,
        }
        assert!(seq < 5_000, "the disk never filled up");
    };
    assert!(matches!(full, StoreError::DiskFull(_)), "{full}");
    assert_eq!(store.applied_seq(), seq);
    let reader = crate::support::reader(&store);
    read(&reader, seq).await;
    // What a flush that failed leaves behind may go meanwhile, and make room for a little more.
    let again = loop {
        match store.append(&batch(seq), at(0)) {
            Ok(_) => seq += 10,
            Err(error) => break error,
        }
        assert!(seq < 5_000, "the disk never filled up again");
    };
    assert!(matches!(again, StoreError::DiskFull(_)), "{again}");

    disk.resize(400);
    let freed = Instant::now();
    while let Err(error) = store.append(&batch(seq), at(0)) {
        assert!(matches!(error, StoreError::DiskFull(_)), "{error}");
        assert!(freed.elapsed() < Duration::from_secs(60), "it does not heal: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("writing again {:?} after space returned", freed.elapsed());
    seq += 10;
    read(&reader, seq).await;
    drop((reader, store));
    let store = crate::support::open(&path);
    assert_eq!(store.applied_seq(), seq);
    let report = crate::support::reader(&store).verify().await.expect("verify");
    assert_eq!((report.versions, report.faults), (seq, vec![]));
}
