//! Files of checkpoints: each is stored once, under its digest, and read back.

use std::collections::HashMap;
use std::path::Path;

use futures::TryStreamExt;
use object_store::path::Path as Place;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::io::AsyncReadExt;

use super::{CheckpointError, Checkpoints, File, Manifest, disk};

/// Files are stored and read in pieces of so many bytes.
const PIECE_BYTES: usize = 8 << 20;

/// Files in the object store, and how long they are.
pub(super) struct Files(pub(super) HashMap<String, u64>);

impl Files {
    pub(super) fn contains(&self, file: &File) -> bool {
        self.0.get(&file.blake3) == Some(&file.bytes)
    }
}

impl Checkpoints {
    pub(super) fn files_place(&self) -> Place {
        Place::from(format!("checkpoints/{}/files", self.partition))
    }

    pub(super) fn file_place(&self, blake3: &str) -> Place {
        self.files_place().join(blake3)
    }

    /// The files that are there.
    pub(super) async fn stored_files(&self) -> Result<Files, CheckpointError> {
        let metas = self.storage.list(Some(&self.files_place()));
        let files = metas.try_filter_map(async |meta| {
            Ok(meta.location.filename().map(|blake3| (blake3.to_owned(), meta.size)))
        });
        Ok(Files(files.try_collect().await?))
    }

    /// Stores what a manifest names and is not there: it may have gone with an old one meanwhile.
    pub(super) async fn complete(
        &self,
        manifest: &Manifest,
        dir: &Path,
    ) -> Result<(), CheckpointError> {
        let stored = self.stored_files().await?;
        for file in manifest.files.iter().filter(|file| !stored.contains(file)) {
            self.store(&dir.join(&file.name), file).await?;
        }
        Ok(())
    }

    /// Stores a file, reads it back, and compares.
    pub(super) async fn store(&self, path: &Path, file: &File) -> Result<(), CheckpointError> {
        let place = self.file_place(&file.blake3);
        let mut from = tokio::fs::File::open(path).await.map_err(|source| disk(path, source))?;
        let mut upload = WriteMultipart::new_with_chunk_size(
            self.storage.put_multipart(&place).await?,
            PIECE_BYTES,
        );
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = from.read(&mut piece).await.map_err(|source| disk(path, source))?;
            if read == 0 {
                break;
            }
            upload.wait_for_capacity(2).await?;
            upload.write(&piece[..read]);
        }
        upload.finish().await?;
        self.read_back(file).await
    }

    /// Whether a file that is there still is what was stored.
    pub(super) async fn is_sound(&self, file: &File) -> Result<bool, CheckpointError> {
        match self.read_back(file).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_of_one() => {
                let partition = self.partition;
                tracing::error!(partition, %error, "a stored file of checkpoints is stored anew");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn read_back(&self, file: &File) -> Result<(), CheckpointError> {
        let File { name, blake3, .. } = file;
        let mut hasher = blake3::Hasher::new();
        let mut pieces = self.storage.get(&self.file_place(blake3)).await?.into_stream();
        while let Some(piece) = pieces.try_next().await? {
            hasher.update(&piece);
        }
        let found = hasher.finalize().to_hex().to_string();
        if found != *blake3 {
            let (name, expected) = (name.clone(), blake3.clone());
            return Err(CheckpointError::Damaged { name, expected, found });
        }
        Ok(())
    }
}

pub(super) async fn digest_of(path: &Path) -> Result<(String, u64), CheckpointError> {
    let of = path.to_owned();
    let digest = tokio::task::spawn_blocking(move || -> std::io::Result<(String, u64)> {
        let mut hasher = blake3::Hasher::new();
        let bytes = std::io::copy(&mut std::fs::File::open(of)?, &mut hasher)?;
        Ok((hasher.finalize().to_hex().to_string(), bytes))
    });
    digest.await?.map_err(|source| disk(path, source))
}
