//! Checkpoints in an object store that loses something, or that another copy of the journal uses too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{at, product, titled};
use backstock_journal::Store;
use backstock_journal::checkpoint::{self, CheckpointError, Checkpoints, clear_beside};
use backstock_proto::Timestamp;
use backstock_proto::journal::{AsOf, Journal};
use backstock_proto::time::{Clock, SystemClock};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Place;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result as Stored,
};
use tokio_util::sync::CancellationToken;

/// A store of one product, and an object store.
struct World {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    storage: Arc<InMemory>,
    told: u64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = crate::support::open(&dir.path().join("store"));
        Self { dir, store, storage: Arc::new(InMemory::new()), told: 0 }
    }

    /// Something happens, and stands in a file of its own.
    fn tell(&mut self) {
        self.told += 1;
        let delivery = titled(&product("acme", "1"), &self.told.to_string(), at(self.told as i64));
        let decoded = crate::support::decoded(self.told, [delivery]);
        self.store.append(&decoded, at(0)).expect("append");
    }

    fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.storage.clone(), 0)
    }

    async fn make(&self, now: Timestamp) {
        self.checkpoints().make(&self.store, now).await.expect("a checkpoint");
    }

    async fn files(&self) -> Vec<ObjectMeta> {
        let place = object_store::path::Path::from("checkpoints/0/files");
        self.storage.list(Some(&place)).try_collect().await.expect("a list")
    }

    /// Brings history back, and answers what it says of the product.
    async fn recovered(&self, name: &str) -> Result<String, CheckpointError> {
        let path = self.dir.path().join(name);
        self.checkpoints().recover(&path, false, &*self.storage, now()).await?;
        Ok(title(&path).await)
    }
}

async fn title(path: &Path) -> String {
    let store = crate::support::open(path);
    let found = crate::support::reader(&store).resource(&product("acme", "1"), AsOf::Latest).await;
    let state = found.expect("read").expect("there").state;
    state["title"].as_str().expect("a title").to_owned()
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn later(days: i64) -> Timestamp {
    Timestamp::from_micros(now().as_micros() + days * 24 * 3_600 * 1_000_000)
}

#[tokio::test]
async fn a_file_that_the_object_store_lost_is_stored_once_more() {
    let mut world = World::new();
    world.tell();
    world.make(later(0)).await;
    for file in world.files().await {
        world.storage.delete(&file.location).await.expect("lost");
    }
    assert!(world.recovered("lost").await.is_err(), "nothing to bring back");
    world.tell();
    world.make(later(1)).await;
    assert_eq!(world.recovered("again").await.expect("whole"), "2");
}

#[tokio::test]
async fn a_file_that_rotted_in_the_object_store_is_stored_once_more_within_a_week() {
    let mut world = World::new();
    world.tell();
    world.make(later(0)).await;
    for file in world.files().await {
        let rotten = vec![0_u8; file.size as usize];
        world.storage.put(&file.location, rotten.into()).await.expect("rotten");
    }
    assert!(world.recovered("rotten").await.is_err(), "nothing to bring back");
    world.tell();
    world.make(later(8)).await;
    assert_eq!(world.recovered("again").await.expect("whole"), "2");
}

#[tokio::test]
async fn what_another_copy_is_about_to_name_stays() {
    let mut world = World::new();
    world.tell();
    world.make(later(0)).await;
    let place = |name: &str| object_store::path::Path::from(format!("checkpoints/0/files/{name}"));
    world.storage.put(&place("begun"), "by another copy".into()).await.expect("stored");
    world.make(later(0)).await;
    assert!(world.storage.head(&place("begun")).await.is_ok(), "it was about to be named");
    world.make(later(2)).await;
    assert!(world.storage.head(&place("begun")).await.is_err(), "nobody names it any more");
    assert_eq!(world.recovered("whole").await.expect("whole"), "1");
}

#[tokio::test]
async fn where_the_newest_is_damaged_the_one_before_is_brought_back() {
    let mut world = World::new();
    world.tell();
    world.make(later(0)).await;
    let first = world.files().await;
    world.tell();
    world.make(later(1)).await;
    let new = world.files().await.into_iter().filter(|file| !first.contains(file));
    for file in new {
        world.storage.put(&file.location, "something else".into()).await.expect("damaged");
    }
    assert_eq!(world.recovered("older").await.expect("whole"), "1");
}

#[tokio::test]
async fn a_clock_that_was_wrong_for_a_while_ends_no_checkpoints() {
    let mut world = World::new();
    world.tell();
    world.make(later(400)).await;
    world.tell();
    let shutdown = CancellationToken::new();
    let (checkpoints, store) = (world.checkpoints(), world.store.clone());
    let (every, told) = (Duration::from_secs(3_600), shutdown.clone());
    let running =
        tokio::spawn(checkpoint::run(checkpoints, store, Arc::new(SystemClock), every, told));
    let mut kept = Vec::new();
    for _ in 0..1_000 {
        let manifests = world.checkpoints().list().await.expect("manifests");
        kept = manifests.iter().map(|manifest| manifest.applied_seq).collect();
        if kept == [2] {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(kept, [2], "the one of a time to come is neither the newest nor kept");
    shutdown.cancel();
    running.await.expect("no panic");
    assert_eq!(world.recovered("newest").await.expect("whole"), "2");
}

#[tokio::test]
async fn one_comes_back_into_an_empty_directory_and_where_something_is_nothing_does() {
    let mut world = World::new();
    world.tell();
    world.make(later(0)).await;
    let path = |name: &str| world.dir.path().join(name);
    std::fs::create_dir(path("empty")).expect("a directory");
    assert_eq!(world.recovered("empty").await.expect("whole"), "1");
    std::fs::create_dir(path("begun")).expect("a directory");
    std::fs::write(path("begun/LOCK"), "").expect("a file");
    for taken in ["empty", "begun"] {
        let refused = world.recovered(taken).await;
        assert!(matches!(refused, Err(CheckpointError::Occupied(_))), "{taken}: {refused:?}");
    }
    let nothing = Checkpoints::new(Arc::new(InMemory::new()), 0);
    let nothing = nothing.recover(&path("begun"), false, &*world.storage, now()).await;
    assert!(matches!(nothing, Err(CheckpointError::None(0))), "a first start was broken off");
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_passed_over_and_no_file_goes_before_it() {
    let mut world = World::new();
    let place = |name: &str| object_store::path::Path::from(format!("checkpoints/0/{name}"));
    let (damaged, unnamed) = (place("damaged.json"), place("files/unnamed"));
    world.storage.put(&damaged, "{".into()).await.expect("stored");
    let nothing_else = world.recovered("damaged").await;
    assert!(matches!(nothing_else, Err(CheckpointError::Manifest(..))), "{nothing_else:?}");
    world.tell();
    world.make(later(0)).await;
    assert_eq!(world.recovered("whole").await.expect("whole"), "1");
    world.storage.put(&unnamed, "named by whom?".into()).await.expect("stored");
    world.tell();
    world.make(later(2)).await;
    assert!(world.storage.head(&unnamed).await.is_ok(), "the damaged one may name it");
    // It is kept for as long as any other.
    world.make(later(29)).await;
    for gone in [&damaged, &unnamed] {
        assert!(world.storage.head(gone).await.is_err(), "{gone} is still there");
    }
    assert_eq!(world.recovered("newer").await.expect("whole"), "2");
}

#[tokio::test]
async fn what_a_killed_process_left_beside_a_store_goes_and_what_is_anothers_stays() {
    let mut world = World::new();
    let path = |name: &str| world.dir.path().join(name);
    let (ours, old, anothers) = (".tmp-store-a1B2c3", ".tmpd4E5f6", ".tmp-other-a1B2c3");
    for name in [ours, old, anothers] {
        std::fs::create_dir_all(path(name).join("checkpoint")).expect("a directory");
        std::fs::write(path(name).join("checkpoint/000007.sst"), "somebody").expect("a file");
    }
    assert_eq!(clear_beside(&path("store")).expect("cleared"), 2);
    assert!(!path(ours).exists() && !path(old).exists() && path(anothers).exists());
    world.tell();
    world.make(later(0)).await;
    assert_eq!(world.recovered("again").await.expect("whole"), "1");
    assert_eq!(clear_beside(&world.dir.path().join("store")).expect("cleared"), 0);
}

/// An object store from which another copy of the journal removes at the same time: what is to go is gone
/// already, and with it every file that was there before.
#[derive(Debug)]
struct Raced(Arc<InMemory>);

impl std::fmt::Display for Raced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Raced {
    async fn put_opts(&self, at: &Place, said: PutPayload, how: PutOptions) -> Stored<PutResult> {
        self.0.put_opts(at, said, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Place,
        how: PutMultipartOptions,
    ) -> Stored<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, how).await
    }

    async fn get_opts(&self, at: &Place, how: GetOptions) -> Stored<GetResult> {
        self.0.get_opts(at, how).await
    }

    fn delete_stream(
        &self,
        places: BoxStream<'static, Stored<Place>>,
    ) -> BoxStream<'static, Stored<Place>> {
        let storage = self.0.clone();
        let gone = move |place: Stored<Place>| {
            let storage = storage.clone();
            async move {
                let place = place?;
                storage.delete(&place).await?;
                let files = storage.list(Some(&Place::from("checkpoints/0/files")));
                let files: Vec<ObjectMeta> = files.try_collect().await?;
                for file in files {
                    storage.delete(&file.location).await?;
                }
                Err::<Place, _>(Error::NotFound {
                    path: place.to_string(),
                    source: "it is gone".into(),
                })
            }
        };
        places.then(gone).boxed()
    }

    fn list(&self, within: Option<&Place>) -> BoxStream<'static, Stored<ObjectMeta>> {
        self.0.list(within)
    }

    async fn list_with_delimiter(&self, within: Option<&Place>) -> Stored<ListResult> {
        self.0.list_with_delimiter(within).await
    }

    async fn copy_opts(&self, from: &Place, to: &Place, how: CopyOptions) -> Stored<()> {
        self.0.copy_opts(from, to, how).await
    }
}

#[tokio::test]
async fn a_checkpoint_is_whole_although_another_copy_removes_what_is_old_at_the_same_time() {
    let mut world = World::new();
    world.tell();
    world.make(later(0)).await;
    world.tell();
    let raced = Checkpoints::new(Arc::new(Raced(world.storage.clone())), 0);
    raced.make(&world.store, later(40)).await.expect("a checkpoint");
    let left = world.checkpoints().list().await.expect("manifests");
    assert_eq!(left.len(), 1, "the old one is gone");
    assert_eq!(world.recovered("whole").await.expect("whole"), "2");
}
