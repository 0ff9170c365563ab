//! A storage of which whoever keeps it can read nothing: what goes in is sealed, what comes out is
//! opened and checked. Names, lengths, numbers and dates stay visible.
//!
//! What was stored before there was a key is given back as it is. Without keys nothing is sealed, and
//! what is sealed is an error that says so.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::path::Path as Place;
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result, UploadPart,
};

use super::keys::Keys;
use super::seal::{self, HEAD_BYTES, MAGIC, Opening, SealError, Sealing};

/// An upload goes on in parts of this length: some stores want all but the last to be equally long.
const PART_BYTES: usize = 8 << 20;

/// Whether something in a sealed storage is not what was put there.
pub fn is_damaged(error: &Error) -> bool {
    let Error::Generic { source, .. } = error else { return false };
    matches!(source.downcast_ref(), Some(SealError::Damaged(_)))
}

impl From<SealError> for Error {
    fn from(error: SealError) -> Self {
        Self::Generic { store: "sealed storage", source: error.into() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Sealed {
    inner: Arc<dyn ObjectStore>,
    keys: Keys,
}

impl Sealed {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, keys: Keys) -> Self {
        Self { inner, keys }
    }

    /// As long as it is when it is opened; what was never sealed may seem a little shorter than it is.
    fn opened(&self, mut meta: ObjectMeta) -> ObjectMeta {
        if !self.keys.is_empty() {
            meta.size = seal::opened_length(meta.size).unwrap_or(meta.size);
        }
        meta
    }

    async fn look_at(&self, location: &Place) -> Result<GetResult> {
        let begin = GetRange::Bounded(0..MAGIC.len() as u64);
        let begin = GetOptions { range: Some(begin), ..GetOptions::default() };
        if !self.keys.is_empty()
            && let Ok(found) = self.inner.get_opts(location, begin).await
        {
            let meta = found.meta.clone();
            let length = match seal::is_sealed(&found.bytes().await?) {
                true => seal::opened_length(meta.size).unwrap_or_default(),
                false => meta.size,
            };
            return Ok(result(
                ObjectMeta { size: length, ..meta },
                futures::stream::empty().boxed(),
            ));
        }
        // Nothing is there, or nothing in it.
        let options = GetOptions { head: true, ..GetOptions::default() };
        self.inner.get_opts(location, options).await
    }
}

fn result(meta: ObjectMeta, stream: BoxStream<'static, Result<Bytes>>) -> GetResult {
    GetResult {
        range: 0..meta.size,
        payload: GetResultPayload::Stream(stream),
        meta,
        attributes: Default::default(),
        extensions: Default::default(),
    }
}

fn not_supported(what: &str) -> Error {
    Error::NotSupported { source: format!("{what} of a sealed storage").into() }
}

#[async_trait]
impl ObjectStore for Sealed {
    async fn put_opts(
        &self,
        location: &Place,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let Some(key) = self.keys.first() else {
            return self.inner.put_opts(location, payload, opts).await;
        };
        let mut sealing = Sealing::new(key, location)?;
        let mut sealed =
            Vec::with_capacity(payload.content_length() + payload.content_length() / 1_000 + 128);
        for some in &payload {
            sealing.push(some, &mut sealed)?;
        }
        sealing.finish(&mut sealed)?;
        self.inner.put_opts(location, sealed.into(), opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Place,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        let Some(key) = self.keys.first() else { return Ok(inner) };
        let sealing = Sealing::new(key, location)?;
        Ok(Box::new(Upload { inner, sealing, sealed: Vec::new() }))
    }

    async fn get_opts(&self, location: &Place, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.look_at(location).await;
        }
        if options.range.is_some() {
            return Err(not_supported("reading a part"));
        }
        let found = self.inner.get_opts(location, options).await?;
        let meta = found.meta.clone();
        let mut stream = found.into_stream();
        let mut begin = BytesMut::new();
        while begin.len() < HEAD_BYTES
            && let Some(some) = stream.try_next().await?
        {
            begin.extend_from_slice(&some);
        }
        if !seal::is_sealed(&begin) {
            let begin = futures::stream::iter([Ok(begin.freeze())]);
            return Ok(result(meta, begin.chain(stream).boxed()));
        }
        let opening = Opening::new(&self.keys, location, &begin)?;
        let size =
            seal::opened_length(meta.size).ok_or_else(|| SealError::Damaged(location.clone()))?;
        Ok(result(ObjectMeta { size, ..meta }, opened(opening, stream)))
    }

    async fn get_ranges(&self, _location: &Place, _ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        Err(not_supported("reading parts"))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Place>>,
    ) -> BoxStream<'static, Result<Place>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Place>) -> BoxStream<'static, Result<ObjectMeta>> {
        let sealed = self.clone();
        self.inner.list(prefix).map_ok(move |meta| sealed.opened(meta)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Place>) -> Result<ListResult> {
        let mut listed = self.inner.list_with_delimiter(prefix).await?;
        let objects = std::mem::take(&mut listed.objects).into_iter();
        listed.objects = objects.map(|meta| self.opened(meta)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Place, to: &Place, options: CopyOptions) -> Result<()> {
        match self.keys.is_empty() {
            true => self.inner.copy_opts(from, to, options).await,
            // What is sealed opens in its place only.
            false => Err(not_supported("copying within")),
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

/// Opens the rest of an object as it comes; its end is an error where it is not what was sealed.
fn opened(
    opening: Opening,
    stream: BoxStream<'static, Result<Bytes>>,
) -> BoxStream<'static, Result<Bytes>> {
    let begin = Some((opening, stream));
    let opened = futures::stream::try_unfold(begin, async |state| {
        let Some((mut opening, mut stream)) = state else { return Ok(None) };
        loop {
            match stream.try_next().await? {
                Some(some) => {
                    let opened = opening.push(&some)?;
                    if !opened.is_empty() {
                        return Ok(Some((opened.into(), Some((opening, stream)))));
                    }
                }
                None => return Ok(Some((opening.finish()?.into(), None))),
            }
        }
    });
    opened.boxed()
}

/// Seals what is uploaded part by part.
struct Upload {
    inner: Box<dyn MultipartUpload>,
    sealing: Sealing,
    /// What is sealed and not sent yet.
    sealed: Vec<u8>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        for some in &data {
            if let Err(error) = self.sealing.push(some, &mut self.sealed) {
                return std::future::ready(Err(error.into())).boxed();
            }
        }
        let mut sent = Vec::new();
        while self.sealed.len() > PART_BYTES {
            let later = self.sealed.split_off(PART_BYTES);
            let part = std::mem::replace(&mut self.sealed, later);
            sent.push(self.inner.put_part(part.into()));
        }
        futures::future::try_join_all(sent).map(|sent| sent.map(drop)).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.sealing.finish(&mut self.sealed)?;
        let last = std::mem::take(&mut self.sealed);
        self.inner.put_part(last.into()).await?;
        self.inner.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt, WriteMultipart};

    /// A storage in memory, and what whoever keeps it sees.
    fn sealed(keys: &str) -> (Sealed, Arc<InMemory>) {
        let inner = Arc::new(InMemory::new());
        (over(&inner, keys), inner)
    }

    fn over(inner: &Arc<InMemory>, keys: &str) -> Sealed {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("keys");
        let lines: String = keys.chars().map(|key| key.to_string().repeat(64) + "\n").collect();
        std::fs::write(&file, lines).expect("written");
        let keys = if keys.is_empty() { Keys::default() } else { Keys::read(&file).expect("keys") };
        Sealed::new(inner.clone(), keys)
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    async fn get(storage: &Sealed, place: &str) -> Result<Vec<u8>> {
        Ok(storage.get(&place.into()).await?.bytes().await?.to_vec())
    }

    async fn upload(storage: &Sealed, place: &str, bytes: &[u8]) {
        let upload = storage.put_multipart(&place.into()).await.expect("an upload");
        let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
        bytes.chunks(1 << 20).for_each(|some| upload.write(some));
        upload.finish().await.expect("kept");
    }

    #[tokio::test]
    async fn everything_comes_back_and_nothing_of_it_can_be_seen() {
        let (storage, inner) = sealed("1");
        let piece = seal::PIECE_BYTES;
        for length in [0, 1, 4_000, piece - 1, piece, piece + 1, 3 * piece, 20_000_003] {
            let bytes = bytes(length);
            storage.put(&"one".into(), bytes.clone().into()).await.expect("kept");
            upload(&storage, "parts", &bytes).await;
            for place in ["one", "parts"] {
                assert!(get(&storage, place).await.expect("readable") == bytes, "{place} {length}");
                let head = storage.head(&place.into()).await.expect("there");
                assert_eq!(head.size, length as u64, "{place}");
                let seen = inner.get(&place.into()).await.expect("there").bytes().await;
                let seen = seen.expect("bytes");
                let shows =
                    bytes.len() > 100 && memchr::memmem::find(&seen, &bytes[..100]).is_some();
                assert!(!shows, "{place} shows what it holds");
            }
            let listed: Vec<ObjectMeta> = storage.list(None).try_collect().await.expect("a list");
            assert!(listed.iter().all(|meta| meta.size == length as u64), "{listed:?}");
        }
    }

    #[tokio::test]
    async fn a_flipped_bit_a_lost_end_and_a_changed_place_are_errors() {
        let (storage, inner) = sealed("1");
        let bytes = bytes(2 * seal::PIECE_BYTES + 10);
        storage.put(&"a".into(), bytes.into()).await.expect("kept");
        let seen = inner.get(&"a".into()).await.expect("there").bytes().await.expect("bytes");
        let piece = seal::PIECE_BYTES + 16;
        let mut wrong: Vec<Vec<u8>> = [16, HEAD_BYTES, HEAD_BYTES + piece + 5, seen.len() - 1]
            .into_iter()
            .map(|at| {
                let mut flipped = seen.to_vec();
                flipped[at] ^= 1;
                flipped
            })
            .collect();
        let cuts = [HEAD_BYTES, HEAD_BYTES + 5, HEAD_BYTES + piece, HEAD_BYTES + 2 * piece];
        wrong.extend(cuts.into_iter().map(|cut| seen[..cut].to_vec()));
        let swapped = [
            &seen[..HEAD_BYTES],
            &seen[HEAD_BYTES + piece..HEAD_BYTES + 2 * piece],
            &seen[HEAD_BYTES..HEAD_BYTES + piece],
            &seen[HEAD_BYTES + 2 * piece..],
        ];
        wrong.push(swapped.concat());
        wrong.push([&seen[..], b"more"].concat());
        for (n, wrong) in wrong.into_iter().enumerate() {
            inner.put(&"a".into(), wrong.into()).await.expect("put");
            let error = get(&storage, "a").await.expect_err("damaged");
            assert!(is_damaged(&error), "{n}: {error}");
        }
        inner.put(&"b".into(), seen.clone().into()).await.expect("put");
        assert!(is_damaged(&get(&storage, "b").await.expect_err("moved")));
        inner.put(&"a".into(), seen.into()).await.expect("put");
        get(&storage, "a").await.expect("as it was");
    }

    #[tokio::test]
    async fn old_keys_open_and_without_its_key_nothing_does() {
        let (storage, inner) = sealed("1");
        storage.put(&"a".into(), "mug".into()).await.expect("kept");
        let rotated = over(&inner, "21");
        assert_eq!(get(&rotated, "a").await.expect("an old key opens"), b"mug");
        rotated.put(&"b".into(), "cup".into()).await.expect("kept");
        let error = get(&storage, "b").await.expect_err("the new key seals").to_string();
        assert!(error.contains("storage.key_file does not hold"), "{error}");
        let error = get(&over(&inner, ""), "a").await.expect_err("no key").to_string();
        assert!(error.contains("storage.key_file does not hold"), "{error}");

        let newer = [b"BSTSEAL\x02".as_slice(), &[0; 60]].concat();
        inner.put(&"c".into(), newer.into()).await.expect("put");
        let error = get(&storage, "c").await.expect_err("newer").to_string();
        assert!(error.contains("run a newer Backstock"), "{error}");
    }

    #[tokio::test]
    async fn what_was_there_before_a_key_is_given_back_as_it_is() {
        let (open, inner) = sealed("");
        for (place, what) in [("a", &b"mug"[..]), ("empty", b"")] {
            open.put(&place.into(), what.to_vec().into()).await.expect("kept");
            let storage = over(&inner, "1");
            assert_eq!(get(&storage, place).await.expect("readable"), what);
            assert_eq!(storage.head(&place.into()).await.expect("there").size, what.len() as u64);
        }
        upload(&open, "parts", &bytes(9_000_000)).await;
        assert_eq!(get(&over(&inner, "1"), "parts").await.expect("readable"), bytes(9_000_000));
    }
}
