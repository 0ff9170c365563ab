//! From an object store back onto the disk: a checkpoint as a store.

use std::path::Path;

use backstock_proto::Timestamp;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncWriteExt;

use super::beside::beside;
use super::{CheckpointError, Checkpoints, File, Listed, Manifest, disk};
use crate::erase;
use crate::options::Options;
use crate::store::{Store, StoreError};

impl Checkpoints {
    /// Brings the newest one back into `path`, where nothing must be but an empty directory; of those
    /// that are damaged, none. With `stream_lost` the store forgets which stream it was filled from, and
    /// takes the next one that is made for it. What was erased since, as the object store or `also` say,
    /// is erased before anybody can read it.
    pub async fn recover(
        &self,
        path: &Path,
        stream_lost: bool,
        also: &dyn ObjectStore,
        now: Timestamp,
    ) -> Result<Manifest, CheckpointError> {
        let occupied = || CheckpointError::Occupied(path.to_owned());
        if Store::is_at(path) {
            return Err(occupied());
        }
        let Listed { manifests, unreadable } = self.listed().await?;
        if !manifests.is_empty() && !is_vacant(path)? {
            return Err(occupied());
        }
        let newest = unreadable.into_iter().max_by_key(|(meta, _)| meta.last_modified);
        let nothing = || CheckpointError::None(self.partition);
        let mut first = newest.map_or_else(nothing, |(_, error)| error);
        for (older, manifest) in manifests.into_iter().rev().enumerate() {
            match self.recover_one(&manifest, path, stream_lost, also, now).await {
                Ok(()) => return Ok(manifest),
                Err(error) if error.is_of_one() => {
                    let (partition, at) = (self.partition, manifest.at);
                    tracing::error!(partition, %at, %error, "a checkpoint cannot be brought back");
                    if older == 0 {
                        first = error;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(first)
    }

    async fn recover_one(
        &self,
        manifest: &Manifest,
        path: &Path,
        stream_lost: bool,
        also: &dyn ObjectStore,
        now: Timestamp,
    ) -> Result<(), CheckpointError> {
        let parent = path.parent().unwrap_or(path);
        std::fs::create_dir_all(parent).map_err(|source| disk(parent, source))?;
        let aside = beside(path).map_err(|source| disk(path, source))?;
        let dir = aside.path().join("store");
        std::fs::create_dir(&dir).map_err(|source| disk(&dir, source))?;
        for file in &manifest.files {
            self.bring_back(file, &dir).await?;
        }
        let mut kept = erase::kept(&*self.storage, self.partition).await?;
        kept.extend(erase::kept(also, self.partition).await?);
        let opened = dir.clone();
        let checked = tokio::task::spawn_blocking(move || -> Result<(), StoreError> {
            let store = Store::open(&opened, Options::default(), now)?;
            if stream_lost {
                store.forget_stream()?;
            }
            store.erase_again(kept)?;
            store.close()
        });
        checked.await??;
        std::fs::rename(&dir, path).map_err(|source| disk(path, source))
    }

    async fn bring_back(&self, file: &File, dir: &Path) -> Result<(), CheckpointError> {
        let path = dir.join(safe_name(&file.name)?);
        let mut to = tokio::fs::File::create(&path).await.map_err(|source| disk(&path, source))?;
        let mut hasher = blake3::Hasher::new();
        let mut pieces = self.storage.get(&self.file_place(&file.blake3)).await?.into_stream();
        while let Some(piece) = pieces.try_next().await? {
            hasher.update(&piece);
            to.write_all(&piece).await.map_err(|source| disk(&path, source))?;
        }
        to.sync_all().await.map_err(|source| disk(&path, source))?;
        let found = hasher.finalize().to_hex().to_string();
        if found != file.blake3 {
            let (name, expected) = (file.name.clone(), file.blake3.clone());
            return Err(CheckpointError::Damaged { name, expected, found });
        }
        Ok(())
    }
}

/// Whether nothing is there, or a directory with nothing in it.
fn is_vacant(path: &Path) -> Result<bool, CheckpointError> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(disk(path, error)),
    }
}

/// A file's name in the store's directory, and nothing that leads out of it.
fn safe_name(name: &str) -> Result<&str, CheckpointError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        let why = format!("{name:?} is no name of a file of a store");
        return Err(CheckpointError::Manifest(name.into(), why));
    }
    Ok(name)
}
