//! The bytes of media and theme files, by their content: `blobs/<shop>/<BLAKE3>`. Beside one that
//! nothing names any more stands a note, `unnamed/<shop>/<BLAKE3>`, as old as that is known.
//!
//! The name of a blob is the hash of its bytes, so it never changes, is stored once however many
//! versions name it, and is checked whenever it is read. Each shop has its own: none can be asked for
//! another's, and all of a shop's go with the shop.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path as Place;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, WriteMultipart};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::storage::is_damaged;
use crate::{Shop, Timestamp};

/// Blobs up to this size are written in one piece, larger ones in pieces of it.
const PIECE_BYTES: usize = 8 << 20;

/// The BLAKE3 of a blob's bytes: its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlobHash(blake3::Hash);

/// A text is no name of a blob.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} names no blob: expected 64 hexadecimal digits")]
pub struct BlobHashError(String);

/// Keeps blobs and gives them back.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Where bytes are put until their hash is known.
    scratch: PathBuf,
}

/// Bytes that are put aside: nobody sees them until they are kept, and they are gone when this is.
#[derive(Debug)]
pub struct Aside {
    file: tokio::fs::File,
    hash: BlobHash,
    bytes: u64,
}

/// A blob that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub hash: BlobHash,
    /// How long it is.
    pub bytes: u64,
    /// Since when, as far as the storage knows.
    pub at: Timestamp,
}

/// A blob being read. An error instead of the last piece: its bytes are not what its name says.
pub struct Reading {
    /// How long it is.
    pub bytes: u64,
    /// The bytes, in order.
    pub pieces: BoxStream<'static, Result<Bytes, BlobError>>,
}

/// Why a blob is not kept, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The storage failed.
    #[error("the blob storage failed: {0}")]
    Storage(#[from] object_store::Error),
    /// Putting bytes aside failed.
    #[error("putting bytes aside failed: {0}")]
    Scratch(std::io::Error),
    /// The bytes broke off before their end.
    #[error("the bytes broke off: {0}")]
    Source(std::io::Error),
    /// More bytes than are taken.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// What is stored under a name is something else.
    #[error("blob {0} is damaged: its bytes are not what its name says")]
    Damaged(BlobHash),
}

impl BlobHash {
    /// The name of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes))
    }
}

impl FromStr for BlobHash {
    type Err = BlobHashError;
    fn from_str(text: &str) -> Result<Self, BlobHashError> {
        let parsed = blake3::Hash::from_hex(text).map(Self);
        parsed.map_err(|_| BlobHashError(text.chars().take(100).collect()))
    }
}

impl fmt::Display for BlobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_hex().as_str())
    }
}

impl Aside {
    /// The bytes from their beginning, for a thread that may block. Only one reads at a time.
    pub async fn reader(&mut self) -> Result<std::fs::File, BlobError> {
        self.file.rewind().await.map_err(BlobError::Scratch)?;
        let file = self.file.try_clone().await.map_err(BlobError::Scratch)?;
        Ok(file.into_std().await)
    }
}

impl Blobs {
    /// Keeps them in `store`; bytes are put aside under `scratch` until their hash is known.
    pub fn new(store: Arc<dyn ObjectStore>, scratch: &Path) -> Self {
        Self { store, scratch: scratch.to_owned() }
    }

    /// Keeps them in memory, for tests.
    pub fn in_memory() -> Self {
        Self::new(Arc::new(object_store::memory::InMemory::new()), &std::env::temp_dir())
    }

    /// Keeps some bytes, at most `bytes_max` of them, and says their name and how many they are. They are
    /// whole and durable when this returns; before that, nobody sees them. [`BlobError::TooLarge`] and
    /// [`BlobError::Source`] leave nothing behind.
    pub async fn put(
        &self,
        shop: &Shop,
        bytes: impl Stream<Item = std::io::Result<Bytes>>,
        bytes_max: u64,
    ) -> Result<(BlobHash, u64), BlobError> {
        let aside = self.put_aside(bytes, bytes_max).await?;
        self.keep(shop, aside).await
    }

    /// Takes some bytes, at most `bytes_max` of them, without keeping them yet.
    pub async fn put_aside(
        &self,
        bytes: impl Stream<Item = std::io::Result<Bytes>>,
        bytes_max: u64,
    ) -> Result<Aside, BlobError> {
        tokio::fs::create_dir_all(&self.scratch).await.map_err(BlobError::Scratch)?;
        let file = tempfile::tempfile_in(&self.scratch).map_err(BlobError::Scratch)?;
        let mut file = tokio::fs::File::from_std(file);
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        let mut bytes = std::pin::pin!(bytes);
        while let Some(some) = bytes.next().await {
            let some = some.map_err(BlobError::Source)?;
            length += some.len() as u64;
            if length > bytes_max {
                return Err(BlobError::TooLarge(bytes_max));
            }
            hasher.update(&some);
            file.write_all(&some).await.map_err(BlobError::Scratch)?;
        }
        file.flush().await.map_err(BlobError::Scratch)?;
        Ok(Aside { file, hash: BlobHash(hasher.finalize()), bytes: length })
    }

    /// Keeps what was put aside, as [`Self::put`] does. What is there already is stored once more: where
    /// nothing names it yet it may be about to go, unless it is as new as what is about to name it.
    pub async fn keep(&self, shop: &Shop, aside: Aside) -> Result<(BlobHash, u64), BlobError> {
        let Aside { mut file, hash, bytes } = aside;
        let place = place(shop, hash);
        file.rewind().await.map_err(BlobError::Scratch)?;
        let mut piece = piece(&mut file).await?;
        if piece.len() < PIECE_BYTES {
            self.store.put(&place, piece.into()).await?;
            return Ok((hash, bytes));
        }
        let upload = self.store.put_multipart(&place).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PIECE_BYTES);
        while !piece.is_empty() {
            upload.wait_for_capacity(2).await?;
            upload.put(piece);
            piece = self::piece(&mut file).await?;
        }
        upload.finish().await?;
        Ok((hash, bytes))
    }

    /// A whole blob, checked: [`BlobError::Damaged`] rather than other bytes. `None` if it is not kept.
    pub async fn get(&self, shop: &Shop, hash: BlobHash) -> Result<Option<Bytes>, BlobError> {
        let Some(reading) = self.read(shop, hash).await? else { return Ok(None) };
        let length = usize::try_from(reading.bytes).unwrap_or_default();
        let whole =
            reading.pieces.try_fold(BytesMut::with_capacity(length), async |mut all, some| {
                all.extend_from_slice(&some);
                Ok(all)
            });
        Ok(Some(whole.await?.freeze()))
    }

    /// A blob piece by piece, checked on the way. `None` if it is not kept.
    pub async fn read(&self, shop: &Shop, hash: BlobHash) -> Result<Option<Reading>, BlobError> {
        let found = match self.store.get(&place(shop, hash)).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(of_blob(error, hash)),
        };
        let bytes = found.meta.size;
        Ok(Some(Reading { bytes, pieces: checked(found.into_stream(), hash).boxed() }))
    }

    /// Whether a blob is kept.
    pub async fn exists(&self, shop: &Shop, hash: BlobHash) -> Result<bool, BlobError> {
        Ok(self.length(shop, hash).await?.is_some())
    }

    /// How many bytes a blob has. `None` if it is not kept.
    pub async fn length(&self, shop: &Shop, hash: BlobHash) -> Result<Option<u64>, BlobError> {
        match self.store.head(&place(shop, hash)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything that is kept of a shop.
    pub fn list(&self, shop: &Shop) -> BoxStream<'static, Result<Kept, BlobError>> {
        let listed = self.store.list(Some(&of_shop(shop)));
        let kept = listed.map_err(BlobError::from).try_filter_map(async |meta| {
            let hash = meta.location.filename().and_then(|name| name.parse().ok());
            let (bytes, at) = (meta.size, stored_at(&meta));
            Ok(hash.map(|hash| Kept { hash, bytes, at }))
        });
        kept.boxed()
    }

    /// The blobs of a shop that are noted as named by nothing, and since when.
    pub async fn unnamed(&self, shop: &Shop) -> Result<HashMap<BlobHash, Timestamp>, BlobError> {
        let noted = self.store.list(Some(&unnamed_of(shop))).map_err(BlobError::from);
        let noted = noted.try_filter_map(async |note| {
            let hash = note.location.filename().and_then(|name| name.parse().ok());
            Ok(hash.map(|hash| (hash, stored_at(&note))))
        });
        noted.try_collect().await
    }

    /// Notes that nothing names a blob any more, as of now.
    pub async fn note_unnamed(&self, shop: &Shop, hash: BlobHash) -> Result<(), BlobError> {
        let place = unnamed_of(shop).join(hash.to_string());
        self.store.put(&place, Bytes::new().into()).await?;
        Ok(())
    }

    /// Takes that back.
    pub async fn note_named(&self, shop: &Shop, hash: BlobHash) -> Result<(), BlobError> {
        self.remove(&unnamed_of(shop).join(hash.to_string())).await
    }

    /// Keeps a blob no longer, unless it was stored once more since it was listed. Whether it is gone.
    pub async fn delete_unless_newer(&self, shop: &Shop, kept: &Kept) -> Result<bool, BlobError> {
        match self.store.head(&place(shop, kept.hash)).await {
            Ok(there) if stored_at(&there) > kept.at => Ok(false),
            Ok(_) => self.delete(shop, kept.hash).await.map(|()| true),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps a blob no longer, nor the note about it. One that is gone already is no error.
    pub async fn delete(&self, shop: &Shop, hash: BlobHash) -> Result<(), BlobError> {
        self.remove(&place(shop, hash)).await?;
        self.note_named(shop, hash).await
    }

    async fn remove(&self, place: &Place) -> Result<(), BlobError> {
        match self.store.delete(place).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn stored_at(meta: &ObjectMeta) -> Timestamp {
    Timestamp::from_micros(meta.last_modified.timestamp_micros())
}

fn of_shop(shop: &Shop) -> Place {
    Place::from_iter(["blobs", shop.name()])
}

fn unnamed_of(shop: &Shop) -> Place {
    Place::from_iter(["unnamed", shop.name()])
}

/// Made of what was parsed, never of what somebody wrote.
fn place(shop: &Shop, hash: BlobHash) -> Place {
    of_shop(shop).join(hash.to_string())
}

/// The next piece of a file, empty at its end.
async fn piece(file: &mut tokio::fs::File) -> Result<Bytes, BlobError> {
    let mut piece = Vec::new();
    let mut rest = file.take(PIECE_BYTES as u64);
    rest.read_to_end(&mut piece).await.map_err(BlobError::Scratch)?;
    Ok(piece.into())
}

fn of_blob(error: object_store::Error, hash: BlobHash) -> BlobError {
    match is_damaged(&error) {
        true => BlobError::Damaged(hash),
        false => error.into(),
    }
}

/// Hands on each piece when the next one is there, and the last when all of it is what it should be.
fn checked(
    pieces: BoxStream<'static, object_store::Result<Bytes>>,
    hash: BlobHash,
) -> impl Stream<Item = Result<Bytes, BlobError>> + Send + 'static {
    let begin = (pieces, blake3::Hasher::new(), None::<Bytes>);
    futures::stream::try_unfold(Some(begin), move |state| async move {
        let Some((mut pieces, mut hasher, mut held)) = state else { return Ok(None) };
        loop {
            let next = pieces.try_next().await;
            match next.map_err(|error| of_blob(error, hash))? {
                Some(piece) => {
                    hasher.update(&piece);
                    if let Some(before) = held.replace(piece) {
                        return Ok(Some((before, Some((pieces, hasher, held)))));
                    }
                }
                None if hasher.finalize() != hash.0 => return Err(BlobError::Damaged(hash)),
                None => return Ok(held.map(|last| (last, None))),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Keys;
    use futures::stream;

    const MAX: u64 = 64 << 20;

    fn shop(name: &str) -> Shop {
        Shop::from_name(name).expect("a shop")
    }

    fn pieces(bytes: &[u8]) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
        let pieces: Vec<_> =
            bytes.chunks(60_000).map(|some| Ok(Bytes::copy_from_slice(some))).collect();
        stream::iter(pieces)
    }

    fn local() -> (tempfile::TempDir, Blobs) {
        let dir = tempfile::tempdir().expect("a directory");
        let store = crate::storage::open(None, &dir.path().join("data"), &Keys::default())
            .expect("a store");
        let blobs = Blobs::new(store, &dir.path().join("scratch"));
        (dir, blobs)
    }

    #[tokio::test]
    async fn bytes_come_back_as_they_went_whatever_their_length() {
        for blobs in [local().1, Blobs::in_memory()] {
            for length in [0, 1, 70_000, PIECE_BYTES - 1, PIECE_BYTES, 2 * PIECE_BYTES + 5] {
                let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
                let (hash, kept) =
                    blobs.put(&shop("acme"), pieces(&bytes), MAX).await.expect("kept");
                assert_eq!((hash, kept), (BlobHash::of(&bytes), length as u64));
                let read = blobs.get(&shop("acme"), hash).await.expect("readable");
                assert!(read.expect("there") == bytes, "{length} bytes");
            }
        }
    }

    #[tokio::test]
    async fn a_shop_has_its_own() {
        let (_dir, blobs) = local();
        let (hash, _) = blobs.put(&shop("acme"), pieces(b"mug"), MAX).await.expect("kept");
        assert!(blobs.exists(&shop("acme"), hash).await.expect("an answer"));
        assert!(!blobs.exists(&shop("bolt"), hash).await.expect("an answer"));
        assert!(blobs.get(&shop("bolt"), hash).await.expect("an answer").is_none());
        assert_eq!(blobs.list(&shop("bolt")).count().await, 0);
        let kept: Vec<Kept> = blobs.list(&shop("acme")).try_collect().await.expect("a list");
        assert_eq!((kept.len(), kept[0].hash, kept[0].bytes), (1, hash, 3));
        blobs.delete(&shop("acme"), hash).await.expect("gone");
        blobs.delete(&shop("acme"), hash).await.expect("gone already");
        assert!(!blobs.exists(&shop("acme"), hash).await.expect("an answer"));
    }

    #[tokio::test]
    async fn what_is_kept_once_more_counts_as_stored_now() {
        let (dir, blobs) = local();
        let (hash, _) = blobs.put(&shop("acme"), pieces(b"mug"), MAX).await.expect("kept");
        let file = dir.path().join("data/blobs/acme").join(hash.to_string());
        let file = std::fs::File::options().write(true).open(file).expect("a file");
        let an_hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        file.set_modified(an_hour_ago).expect("aged");
        let old: Vec<Kept> = blobs.list(&shop("acme")).try_collect().await.expect("a list");
        blobs.put(&shop("acme"), pieces(b"mug"), MAX).await.expect("kept");
        let gone = blobs.delete_unless_newer(&shop("acme"), &old[0]).await.expect("an answer");
        assert!(!gone && blobs.exists(&shop("acme"), hash).await.expect("an answer"));
    }

    #[tokio::test]
    async fn too_much_or_too_little_is_not_kept() {
        let (dir, blobs) = local();
        let put = blobs.put(&shop("acme"), pieces(&[7; 200_000]), 150_000).await;
        assert!(matches!(put, Err(BlobError::TooLarge(150_000))));
        let cut =
            stream::iter([Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("cut"))]);
        assert!(matches!(blobs.put(&shop("acme"), cut, MAX).await, Err(BlobError::Source(_))));
        assert_eq!(blobs.list(&shop("acme")).count().await, 0);
        let left = std::fs::read_dir(dir.path().join("scratch")).expect("a directory").count();
        assert_eq!(left, 0, "bytes were left aside");
    }

    #[tokio::test]
    async fn damage_is_an_error_and_never_other_bytes() {
        let (dir, blobs) = local();
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
        let (hash, _) = blobs.put(&shop("acme"), pieces(&bytes), MAX).await.expect("kept");
        let file = dir.path().join("data/blobs/acme").join(hash.to_string());
        let mut stored = std::fs::read(&file).expect("a file named by the hash");
        stored[150_000] ^= 1;
        std::fs::write(&file, &stored).expect("written");
        let read = blobs.get(&shop("acme"), hash).await;
        assert!(matches!(read, Err(BlobError::Damaged(damaged)) if damaged == hash));
        let reading = blobs.read(&shop("acme"), hash).await.expect("an answer").expect("there");
        let given: Vec<_> = reading.pieces.collect().await;
        let sound = given.iter().flatten().map(Bytes::len).sum::<usize>();
        assert!(given.last().is_some_and(Result::is_err) && sound < bytes.len());
    }

    #[test]
    fn only_a_hash_is_a_name() {
        let name = BlobHash::of(b"mug").to_string();
        assert_eq!(name.parse::<BlobHash>().map(|hash| hash.to_string()), Ok(name.clone()));
        assert_eq!(name.to_uppercase().parse::<BlobHash>().map(|h| h.to_string()), Ok(name));
        for wrong in ["", "..", "../../etc/passwd", &"g".repeat(64), &"a".repeat(63)] {
            assert!(wrong.parse::<BlobHash>().is_err(), "{wrong}");
        }
    }
}
