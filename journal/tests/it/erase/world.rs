//! A journal with its stream, what erases in it, and the search for what must be nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::told::CANARIES;
use crate::support::nats::Nats;
use crate::support::{Delivery, applied, at, reader};
use async_nats::jetstream::Context;
use backstock_journal::checkpoint::Checkpoints;
use backstock_journal::erase::Eraser;
use backstock_journal::stream::ensure_stream;
use backstock_journal::{Config, Options, Reader, Store};
use backstock_proto::erase::{ErasureState, Whom};
use backstock_proto::journal::{AsOf, Journal, Resource};
use backstock_proto::listen::Readiness;
use backstock_proto::storage::{self, Keys};
use backstock_proto::stream::{event_subject, ops_subject, stream_config};
use backstock_proto::time::{Clock as _, SystemClock};
use backstock_proto::{ResourceKey, Shop};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A journal with its stream, and what erases.
pub(super) struct World {
    nats: Nats,
    pub(super) dir: TempDir,
    pub(super) storage: Arc<dyn ObjectStore>,
    pub(super) store: Arc<Store>,
    jetstream: Context,
    shutdown: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl World {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        std::fs::create_dir_all(dir.path().join("objects")).expect("dir");
        let nats = Nats::start().await;
        Self::on(nats, dir).await
    }

    pub(super) async fn on(nats: Nats, dir: TempDir) -> Self {
        let mut world = Self::behind(nats, dir).await;
        world.read();
        world
    }

    /// One that erases, and does not read the stream yet.
    pub(super) async fn behind(nats: Nats, dir: TempDir) -> Self {
        let options = Options { compressed: false, ..Options::for_testing() };
        let store = Store::open(&dir.path().join("store"), options, at(0)).expect("open");
        let store = Arc::new(store);
        let jetstream = nats.jetstream().await;
        ensure_stream(&jetstream, &store, stream_config((0, 1), 1, 1 << 30)).await.expect("stream");
        let objects = LocalFileSystem::new_with_prefix(dir.path().join("objects"));
        let storage: Arc<dyn ObjectStore> = Arc::new(objects.expect("storage"));
        let shutdown = CancellationToken::new();
        let mut world = Self { nats, dir, storage, store, jetstream, shutdown, tasks: Vec::new() };
        world.erase();
        world
    }

    /// Reads the stream from now on.
    pub(super) fn read(&mut self) {
        let (store, jetstream, told) =
            (self.store.clone(), self.jetstream.clone(), self.shutdown.clone());
        self.tasks.push(tokio::spawn(async move {
            let (registry, readiness) = (prometheus::Registry::new(), Readiness::new());
            let part = readiness.part("journal");
            let clock = Arc::new(SystemClock);
            let config = Config::default();
            backstock_journal::run(config, store, jetstream, &registry, part, clock, told)
                .await
                .expect("an orderly end");
        }));
    }

    fn erase(&mut self) {
        let eraser = Eraser {
            store: self.store.clone(),
            jetstream: self.jetstream.clone(),
            partition: 0,
            storage: self.storage.clone(),
            copies: Arc::new([self.copy().to_string()]),
            keys: Keys::default(),
            clock: Arc::new(SystemClock),
        };
        self.tasks.push(tokio::spawn(eraser.run(self.shutdown.clone())));
    }

    /// Ends everything but the server, and closes the store.
    pub(super) async fn stop(self) -> (Nats, TempDir) {
        self.shutdown.cancel();
        for task in self.tasks {
            task.await.expect("no panic");
        }
        drop(self.store);
        (self.nats, self.dir)
    }

    pub(super) fn reader(&self) -> Reader {
        reader(&self.store)
    }

    pub(super) async fn publish(&self, delivery: Delivery) -> u64 {
        let event = delivery.event();
        let subject = event_subject(0, &event.key);
        let sent =
            self.jetstream.publish_with_headers(subject, event.to_headers(), event.payload).await;
        self.applied(sent.expect("publish").await.expect("ack").sequence).await
    }

    pub(super) async fn record(&self, what: &str, id: &str, said: &Value) -> u64 {
        let subject = ops_subject(0, &acme(), what, id);
        let sent = self.jetstream.publish(subject, said.to_string().into()).await;
        self.applied(sent.expect("publish").await.expect("ack").sequence).await
    }

    pub(super) async fn applied(&self, seq: u64) -> u64 {
        applied(&self.store, seq).await;
        seq
    }

    /// Waits until the stream holds no canary.
    pub(super) async fn let_go(&self) {
        for _ in 0..500 {
            if self.found("nats").is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.found("nats"), []);
    }

    /// Lets nothing of acme be put on record until what is answered is removed.
    pub(super) fn in_the_way(&self) -> PathBuf {
        let path = self.dir.path().join("objects/erasures/0/acme");
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, "no directory").expect("written");
        path
    }

    pub(super) async fn checkpoint(&self) {
        let checkpoints = Checkpoints::new(self.storage.clone(), 0);
        checkpoints.make(&self.store, SystemClock.now()).await.expect("a checkpoint");
    }

    /// Where a further checkpoint may be.
    fn copy(&self) -> url::Url {
        url::Url::from_directory_path(self.dir.path().join("copy")).expect("an address")
    }

    pub(super) async fn checkpoint_elsewhere(&self) {
        let copy = self.copy();
        let copy = storage::open(Some(copy.as_str()), self.dir.path(), &Keys::default());
        let checkpoints = Checkpoints::elsewhere(copy.expect("a directory"), 0);
        checkpoints.make(&self.store, SystemClock.now()).await.expect("a checkpoint");
    }

    pub(super) async fn state(&self, whom: &Whom) -> Option<ErasureState> {
        let erasures = self.reader().erasures(None).await.expect("erasures");
        erasures.into_iter().find(|erasure| erasure.whom == *whom).map(|erasure| erasure.state)
    }

    pub(super) async fn until(&self, whom: &Whom, state: ErasureState) {
        let mut last = None;
        for _ in 0..1_500 {
            let erasures = self.reader().erasures(None).await.expect("erasures");
            last = erasures.into_iter().find(|erasure| erasure.whom == *whom);
            let is = |found| found == state || found == ErasureState::Done;
            if last.as_ref().is_some_and(|erasure| is(erasure.state)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it is not {state:?}: {last:?}");
    }

    pub(super) async fn resource(&self, key: &ResourceKey, at: AsOf) -> Resource {
        self.reader().resource(key, at).await.expect("read").expect("there")
    }

    /// How often each canary stands in some file below a directory.
    pub(super) fn found(&self, within: &str) -> Vec<(String, String)> {
        let path = match within {
            "nats" => self.nats.dir.path().to_owned(),
            within => self.dir.path().join(within),
        };
        search(&path)
    }
}

pub(super) fn acme() -> Shop {
    Shop::from_name("acme").expect("shop")
}

/// The files below a directory that hold a canary, and which.
pub(super) fn search(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(search(&path));
            continue;
        }
        let Ok(bytes) = std::fs::read(&path) else { continue };
        for canary in CANARIES {
            if bytes.windows(canary.len()).any(|window| window == canary.as_bytes()) {
                found.push((path.display().to_string(), canary.to_owned()));
            }
        }
    }
    found
}
