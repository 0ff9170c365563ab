//! Checkpoints: a store as it was at one moment, in an object store, and back again.
//!
//! ```text
//! checkpoints/<partition>/files/<BLAKE3>        a file of RocksDB, once however many checkpoints hold it
//! checkpoints/<partition>/<instant>.json        a [`Manifest`]: which files make up the store
//! ```
//!
//! Write order: every file MUST be stored and read back with the right digest before the manifest is
//! written, so a checkpoint that is listed is whole. What earlier ones stored is read back again once a
//! week, each file at a time that its digest gives it, and stored anew where it is not what it was.
//! Several copies of a journal have one place for their checkpoints: a file that no manifest names yet
//! MUST stay for as long as somebody may be about to name it. Read order: what a manifest names is checked
//! against its digest before the directory gets its name, so a recovery that broke off leaves nothing that
//! looks like a store.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backstock_proto::Timestamp;
use backstock_proto::journal::CheckpointReport;
use backstock_proto::retain::CHECKPOINTS_KEPT_DAYS;
use backstock_proto::storage::is_damaged;
use backstock_proto::stream::Partition;
use backstock_proto::time::Clock;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as Place;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use tokio_util::sync::CancellationToken;

use crate::erase;
use crate::store::{Store, StoreError};

mod beside;
mod files;
mod manifest;
mod recover;

pub(crate) use beside::beside;
pub use beside::clear_beside;
use files::{Files, digest_of};
use manifest::FORMAT;
pub use manifest::{File, Manifest};

/// How long a file is kept that no manifest names: longer than making a checkpoint takes.
const UNNAMED_KEPT: u64 = DAY;
/// How often it looks whether a checkpoint is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How long an erasure waits for the next one: one checkpoint serves all that come within.
const ERASURE_WAITS: Duration = Duration::from_secs(3600);
/// Within so long every file is read back again.
const TURN: u64 = 7 * DAY;
const DAY: u64 = 24 * 3600 * 1_000_000;

/// Why there is no checkpoint, or none that can be brought back.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The object store failed.
    #[error("the object store failed: {0}")]
    Storage(#[from] object_store::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed.
    #[error("{path}: {source}")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// What came back is not what was stored.
    #[error("{name} of the checkpoint is damaged: its digest is {found}, not {expected}")]
    Damaged {
        /// Which file.
        name: String,
        /// What the manifest says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The manifest cannot be read.
    #[error("the manifest {0} cannot be read: {1}")]
    Manifest(String, String),
    /// Written by a newer binary.
    #[error(
        "the checkpoint {name} is in format {found}, this binary knows {FORMAT}; run a newer Backstock"
    )]
    Newer {
        /// Which manifest.
        name: String,
        /// The format found.
        found: u32,
    },
    /// There is nothing to bring back.
    #[error("there is no checkpoint of partition {0} there")]
    None(Partition),
    /// A store would be overwritten.
    #[error("{0} exists already; a checkpoint is brought back into an empty place only")]
    Occupied(PathBuf),
    /// A thread panicked.
    #[error("checkpointing panicked: {0}")]
    Panic(#[from] tokio::task::JoinError),
}

impl CheckpointError {
    /// Whether another checkpoint may be sound.
    fn is_of_one(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Manifest(..) => true,
            Self::Storage(error) => {
                matches!(error, object_store::Error::NotFound { .. }) || is_damaged(error)
            }
            Self::Newer { .. }
            | Self::Store(_)
            | Self::Disk { .. }
            | Self::None(_)
            | Self::Occupied(_)
            | Self::Panic(_) => false,
        }
    }
}

/// The checkpoints that there are.
#[derive(Default)]
struct Listed {
    /// The one that is least far first: how far one is does not depend on a clock.
    manifests: Vec<Manifest>,
    /// Those that cannot be read, and why.
    unreadable: Vec<(ObjectMeta, CheckpointError)>,
}

/// The checkpoints of one partition.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    storage: Arc<dyn ObjectStore>,
    partition: Partition,
    /// Whether it is here that the store is copied to by itself.
    usual: bool,
}

impl Checkpoints {
    /// Those in the usual `storage`.
    pub fn new(storage: Arc<dyn ObjectStore>, partition: Partition) -> Self {
        Self { storage, partition, usual: true }
    }

    /// Those in another `storage`: one made there is none that the usual one has.
    pub fn elsewhere(storage: Arc<dyn ObjectStore>, partition: Partition) -> Self {
        Self { storage, partition, usual: false }
    }

    /// Makes one, and removes those that are too old. Only what no earlier one has is stored. Beside it
    /// stands what was erased, for whoever comes back from one of before.
    pub async fn make(
        &self,
        store: &Arc<Store>,
        now: Timestamp,
    ) -> Result<CheckpointReport, CheckpointError> {
        let began = std::time::Instant::now();
        let applied_seq = store.applied_seq();
        let aside = beside(store.path()).map_err(|source| disk(store.path(), source))?;
        let dir = aside.path().join("checkpoint");
        let (of, to) = (store.clone(), dir.clone());
        let erased_at = tokio::task::spawn_blocking(move || {
            // Before: what is erased while it is made, it may still hold.
            let erased_at = of.last_erased_at()?;
            of.checkpoint_to(&to)?;
            Ok::<_, StoreError>(erased_at)
        });
        let erased_at = erased_at.await??;

        let (known, ago) = self.known_files(now).await?;
        let mut files = Vec::new();
        let (mut stored_files, mut stored_bytes) = (0, 0);
        for (name, path) in listed(&dir)? {
            let (blake3, bytes) = digest_of(&path).await?;
            let file = File { name, bytes, blake3 };
            let is_due = has_turn(&file, now, ago);
            if !known.contains(&file) || (is_due && !self.is_sound(&file).await?) {
                self.store(&path, &file).await?;
                stored_files += 1;
                stored_bytes += bytes;
            }
            files.push(file);
        }
        let bytes = files.iter().map(|file| file.bytes).sum();
        let count = files.len() as u64;
        let manifest =
            Manifest { format: FORMAT, partition: self.partition, at: now, applied_seq, files };
        let written = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| CheckpointError::Manifest(now.to_string(), e.to_string()))?;
        let of = store.clone();
        let cases = tokio::task::spawn_blocking(move || of.cases()).await??;
        erase::keep(&*self.storage, self.partition, cases).await?;
        self.storage.put(&self.manifest_place(now), PutPayload::from(written)).await?;
        self.complete(&manifest, &dir).await?;
        if self.usual {
            let (at, of) = (now, store.clone());
            tokio::task::spawn_blocking(move || of.set_checkpointed_at(at)).await??;
        }
        self.forget(now, erased_at).await?;
        // Another copy of the journal may have been at it since before this one's was to be seen.
        self.complete(&manifest, &dir).await?;
        store.erasing.notify_one();
        Ok(CheckpointReport {
            partition: self.partition,
            at: now,
            applied_seq,
            files: count,
            bytes,
            stored_files,
            stored_bytes,
            seconds: began.elapsed().as_secs_f64(),
        })
    }

    /// All that can be read, the newest last. An error if one is newer than this binary: which files it
    /// names is not known, so none may go.
    pub async fn list(&self) -> Result<Vec<Manifest>, CheckpointError> {
        Ok(self.listed().await?.manifests)
    }

    /// From when the oldest one is, also if it cannot be read, and if only files are left of it.
    pub(crate) async fn oldest(&self) -> Result<Option<Timestamp>, CheckpointError> {
        let Listed { manifests, unreadable } = self.listed().await?;
        let unreadable = unreadable.iter().map(|(meta, _)| stored_at(meta));
        let oldest = manifests.iter().map(|manifest| manifest.at).chain(unreadable).min();
        let named = named_by(manifests);
        let mut listed = self.storage.list(Some(&self.files_place()));
        let mut oldest_left = None;
        while let Some(meta) = listed.try_next().await? {
            if meta.location.filename().is_some_and(|name| !named.contains(name)) {
                oldest_left = [oldest_left, Some(stored_at(&meta))].into_iter().flatten().min();
            }
        }
        Ok([oldest, oldest_left].into_iter().flatten().min())
    }

    /// All of them. One that is damaged is in nobody's way.
    async fn listed(&self) -> Result<Listed, CheckpointError> {
        let place = Place::from(format!("checkpoints/{}", self.partition));
        let there = self.storage.list_with_delimiter(Some(&place)).await?;
        let mut listed = Listed::default();
        for meta in there.objects {
            match self.manifest(&meta.location).await {
                Ok(manifest) => listed.manifests.push(manifest),
                // Another copy of the journal removed it meanwhile.
                Err(CheckpointError::Storage(object_store::Error::NotFound { .. })) => {}
                Err(error) if error.is_of_one() => {
                    let (partition, place) = (self.partition, &meta.location);
                    tracing::warn!(partition, %place, %error, "a checkpoint is passed over");
                    listed.unreadable.push((meta, error));
                }
                Err(error) => return Err(error),
            }
        }
        listed.manifests.sort_by_key(|manifest| (manifest.applied_seq, manifest.at));
        Ok(listed)
    }

    async fn manifest(&self, place: &Place) -> Result<Manifest, CheckpointError> {
        let bytes = self.storage.get(place).await?.bytes().await?;
        Manifest::read(place.as_ref(), &bytes)
    }

    fn manifest_place(&self, at: Timestamp) -> Place {
        // Colons are not for every object store.
        let name = at.to_string().replace(':', "");
        Place::from(format!("checkpoints/{}/{name}.json", self.partition))
    }

    /// The files that a checkpoint names and that are there, and how long ago the last one was made.
    async fn known_files(&self, now: Timestamp) -> Result<(Files, u64), CheckpointError> {
        let manifests = self.list().await?;
        let last = manifests.iter().map(|manifest| manifest.at).filter(|at| *at <= now).max();
        let ago = last.map_or(u64::MAX, |last| now.micros_since(last));
        let named = named_by(manifests);
        let mut stored = self.stored_files().await?;
        stored.0.retain(|blake3, _| named.contains(blake3));
        Ok((stored, ago))
    }

    /// Removes checkpoints that are too old, of a clock that was wrong, or from before somebody was
    /// erased, but never the newest, and the files that no other holds.
    async fn forget(
        &self,
        now: Timestamp,
        erased_at: Option<Timestamp>,
    ) -> Result<(), CheckpointError> {
        let Listed { manifests, unreadable } = self.listed().await?;
        let newest = manifests.last().map(|manifest| manifest.at);
        let holds_erased = |at| erased_at.is_some_and(|erased_at| at < erased_at);
        let goes = |at| {
            let too_old = now.micros_since(at) > CHECKPOINTS_KEPT_DAYS * DAY;
            let lies_ahead = at.micros_since(now) > DAY;
            let goes = too_old || lies_ahead || holds_erased(at);
            newest.is_some_and(|newest| at != newest) && goes
        };
        let (old, kept): (Vec<_>, Vec<_>) =
            manifests.into_iter().partition(|manifest| goes(manifest.at));
        for manifest in &old {
            self.remove(&self.manifest_place(manifest.at)).await?;
        }
        let (old, unknown): (Vec<_>, Vec<_>) =
            unreadable.into_iter().partition(|(meta, _)| goes(stored_at(meta)));
        for (meta, _) in &old {
            self.remove(&meta.location).await?;
        }
        // Which files it names that cannot be read is not known: none go before it does.
        if !unknown.is_empty() {
            return Ok(());
        }
        let kept = named_by(kept);
        let mut listed = self.storage.list(Some(&self.files_place()));
        while let Some(meta) = listed.next().await.transpose()? {
            let stored_at = stored_at(&meta);
            let unnamed = meta.location.filename().is_some_and(|name| !kept.contains(name));
            let too_old = now.micros_since(stored_at) > UNNAMED_KEPT;
            // Who is about to name one of these looks afterwards whether it is there, and stores it anew.
            if unnamed && (too_old || holds_erased(stored_at)) {
                self.remove(&meta.location).await?;
            }
        }
        Ok(())
    }

    /// Removes something, unless another copy of the journal did so meanwhile.
    async fn remove(&self, place: &Place) -> Result<(), CheckpointError> {
        match self.storage.delete(place).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Makes a checkpoint whenever the last one is older than `every`, until `shutdown`.
pub async fn run(
    checkpoints: Checkpoints,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    every: Duration,
    shutdown: CancellationToken,
) {
    let mut looks = tokio::time::interval(LOOK_EVERY.min(every));
    while shutdown.run_until_cancelled(looks.tick()).await.is_some() {
        let now = clock.now();
        let (of, partition) = (store.clone(), checkpoints.partition);
        let known = tokio::task::spawn_blocking(move || {
            Ok::<_, StoreError>((of.checkpointed_at()?, of.awaits_checkpoint_since()?))
        });
        let (last, erased) = known.await.ok().and_then(Result::ok).unwrap_or_default();
        let last = last.unwrap_or(store.created_at());
        let waits = erased.is_some_and(|at| now.seconds_since(at) > ERASURE_WAITS.as_secs_f64());
        // What lies ahead is of a clock that was wrong.
        let due = waits || last > now || now.seconds_since(last) >= every.as_secs_f64();
        if !due || store.applied_seq() == 0 {
            continue;
        }
        let made = shutdown.run_until_cancelled(checkpoints.make(&store, now)).await;
        match made {
            None => return,
            Some(Ok(report)) => tracing::info!(
                partition,
                bytes = report.bytes,
                stored_bytes = report.stored_bytes,
                "made a checkpoint"
            ),
            Some(Err(error)) => tracing::error!(partition, %error, "failed to make a checkpoint"),
        }
    }
}

/// The digests of the files that some checkpoints hold.
fn named_by(manifests: Vec<Manifest>) -> HashSet<String> {
    manifests.into_iter().flat_map(|manifest| manifest.files).map(|file| file.blake3).collect()
}

/// When something was stored, as far as the object store knows.
pub(crate) fn stored_at(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_micros(meta.last_modified.timestamp_micros())
}

/// Whether a file's turn to be read back came within the last so many microseconds.
fn has_turn(file: &File, now: Timestamp, ago: u64) -> bool {
    let number = file.blake3.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let turn = number.unwrap_or_default() % TURN;
    let now = now.micros_since(Timestamp::from_micros(0));
    (now + TURN - turn) % TURN < ago
}

fn listed(dir: &Path) -> Result<Vec<(String, PathBuf)>, CheckpointError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|source| disk(dir, source))? {
        let entry = entry.map_err(|source| disk(dir, source))?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    files.sort();
    Ok(files)
}

fn disk(path: &Path, source: std::io::Error) -> CheckpointError {
    CheckpointError::Disk { path: path.to_owned(), source }
}
