//! Writing an export, piece by piece, in memory that does not grow with the shop.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use backstock_proto::blob::BlobHash;
use backstock_proto::journal::{AsOf, Resource};
use backstock_proto::{Kind, Shop, Timestamp};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Exported, FORMAT, MANIFEST, MEDIA, Manifest, Part, RESOURCES};
use crate::Desk;
use crate::token::Token;

/// About how large a file of resources is.
const PART_BYTES: usize = 4 << 20;
/// How much is compressed at once.
const FRAME_BYTES: usize = 1 << 20;
/// How hard.
const LEVEL: i32 = 3;
/// Pieces that wait for their reader.
const AHEAD: usize = 4;
/// Tar files come in blocks of this size.
const BLOCK: usize = 512;

/// Who asks for an export of what.
pub(crate) struct Asked {
    pub(crate) desk: Arc<Desk>,
    pub(crate) shop: Shop,
    pub(crate) at: Timestamp,
    pub(crate) token: Option<Arc<Token>>,
    /// Holds a place among those who read whole shops.
    pub(crate) slot: OwnedSemaphorePermit,
}

/// The file, as it comes. It ends with an error if anything of it could not be read.
pub(crate) fn pack(asked: Asked) -> BoxStream<'static, io::Result<Bytes>> {
    let (send, receive) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let mut packer = Packer { send, waiting: Vec::new() };
        if let Err(error) = packer.all(&asked).await {
            tracing::warn!(shop = %asked.shop, %error, "an export broke off");
            let _nobody_listens = packer.send.send(Err(error)).await;
        }
        drop(asked.slot);
    });
    futures::stream::unfold(receive, async |mut receive| {
        receive.recv().await.map(|piece| (piece, receive))
    })
    .boxed()
}

struct Packer {
    send: mpsc::Sender<io::Result<Bytes>>,
    /// What is not compressed yet.
    waiting: Vec<u8>,
}

/// A file of resources that is being filled.
#[derive(Default)]
struct Filling {
    lines: Vec<u8>,
    resources: u64,
}

impl Filling {
    fn take(
        &mut self,
        resource: Resource,
        manifest: &mut Manifest,
        media: &mut BTreeSet<String>,
    ) -> io::Result<()> {
        let Resource { kind, id, gid, state, .. } = resource;
        blobs_of(&state, media);
        *manifest.kinds.entry(kind.clone()).or_default() += 1;
        manifest.resources += 1;
        serde_json::to_writer(&mut self.lines, &Exported { kind, id, gid, state })?;
        self.lines.push(b'\n');
        self.resources += 1;
        Ok(())
    }
}

impl Packer {
    async fn all(&mut self, asked: &Asked) -> io::Result<()> {
        let Asked { desk, shop, at, .. } = asked;
        let status = desk.journal.status(shop).await.map_err(io::Error::other)?;
        let kinds = status.into_iter().flat_map(|status| status.kinds).map(|status| status.kind);
        let kinds: Vec<Kind> = crate::plan::in_order(kinds.collect());
        let mut manifest = Manifest {
            format: FORMAT,
            shop: shop.clone(),
            at: *at,
            resources: 0,
            kinds: BTreeMap::new(),
            parts: Vec::new(),
            media: 0,
            media_missing: 0,
        };
        let (mut filling, mut media) = (Filling::default(), BTreeSet::new());
        for kind in &kinds {
            let snapshot = desk.journal.snapshot(shop, AsOf::At(*at), Some(kind)).await;
            let mut resources = snapshot.map_err(io::Error::other)?;
            while let Some(resource) = resources.next().await {
                let resource = resource.map_err(io::Error::other)?;
                filling.take(resource, &mut manifest, &mut media)?;
                if filling.lines.len() >= PART_BYTES {
                    still_allowed(asked)?;
                    self.part(std::mem::take(&mut filling), &mut manifest).await?;
                }
            }
        }
        self.part(filling, &mut manifest).await?;
        for hash in media {
            still_allowed(asked)?;
            match self.medium(asked, &hash).await? {
                true => manifest.media += 1,
                false => manifest.media_missing += 1,
            }
        }
        self.end(&manifest).await
    }

    async fn end(&mut self, manifest: &Manifest) -> io::Result<()> {
        self.file(MANIFEST, &serde_json::to_vec_pretty(manifest)?).await?;
        self.put(&[0; 2 * BLOCK]).await?;
        self.flush().await
    }

    async fn part(&mut self, part: Filling, manifest: &mut Manifest) -> io::Result<()> {
        if part.resources == 0 {
            return Ok(());
        }
        let name = format!("{RESOURCES}{:06}.ndjson", manifest.parts.len());
        self.file(&name, &part.lines).await?;
        let blake3 = blake3::hash(&part.lines).to_hex().to_string();
        manifest.parts.push(Part { name, blake3, resources: part.resources });
        Ok(())
    }

    /// The bytes of a medium; whether they are kept.
    async fn medium(&mut self, asked: &Asked, name: &str) -> io::Result<bool> {
        let Ok(hash) = name.parse::<BlobHash>() else { return Ok(false) };
        let found = asked.desk.blobs.read(&asked.shop, hash).await.map_err(io::Error::other)?;
        let Some(mut reading) = found else { return Ok(false) };
        self.header(&format!("{MEDIA}{hash}"), reading.bytes).await?;
        while let Some(piece) = reading.pieces.next().await {
            self.put(&piece.map_err(io::Error::other)?).await?;
        }
        self.pad(reading.bytes).await?;
        Ok(true)
    }

    async fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.header(name, bytes.len() as u64).await?;
        self.put(bytes).await?;
        self.pad(bytes.len() as u64).await
    }

    async fn header(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_path(name)?;
        header.set_size(bytes);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        self.put(header.as_bytes()).await
    }

    async fn pad(&mut self, bytes: u64) -> io::Result<()> {
        let over = usize::try_from(bytes % BLOCK as u64).unwrap_or_default();
        match over {
            0 => Ok(()),
            over => self.put(&[0; BLOCK][over..]).await,
        }
    }

    async fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for some in bytes.chunks(FRAME_BYTES) {
            self.waiting.extend_from_slice(some);
            if self.waiting.len() >= FRAME_BYTES {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Sends what waits as a frame of its own.
    async fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let plain = std::mem::take(&mut self.waiting);
        let packed = tokio::task::spawn_blocking(move || frame(&plain)).await;
        let packed = packed.map_err(io::Error::other)??;
        let gone = |_| io::Error::other("nobody reads any more");
        self.send.send(Ok(packed)).await.map_err(gone)
    }
}

fn frame(plain: &[u8]) -> io::Result<Bytes> {
    let mut packed = vec![0; zstd_safe::compress_bound(plain.len())];
    let length = zstd_safe::compress(&mut packed[..], plain, LEVEL)
        .map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))?;
    packed.truncate(length);
    Ok(packed.into())
}

/// A token that was revoked reads no further.
fn still_allowed(asked: &Asked) -> io::Result<()> {
    match asked.token.as_ref().is_some_and(|token| asked.desk.tokens.still_valid(token)) {
        true => Ok(()),
        false => Err(io::Error::other("the token was revoked while reading")),
    }
}

/// The media that a state names.
fn blobs_of(state: &Value, found: &mut BTreeSet<String>) {
    match state {
        Value::Object(members) => {
            if let Some(hash) = members.get("blob").and_then(Value::as_str) {
                found.insert(hash.to_owned());
            }
            members.values().for_each(|inner| blobs_of(inner, found));
        }
        Value::Array(list) => list.iter().for_each(|inner| blobs_of(inner, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::unpack::{Entry, unpack};
    use golden::{Golden, means};
    use serde_json::json;

    fn state() -> Value {
        let picture = BlobHash::of(b"mug").to_string();
        json!({"title": "Mug", "media": [{"alt": "A mug", "blob": picture}]})
    }

    fn resource() -> Resource {
        let at = "2026-10-01T00:00:00Z";
        let version = json!({
            "seq": 1, "op": "create", "source": "webhook", "facet": "core", "valid_at": at,
            "recorded_at": at, "received_at": at, "topic": "products/create", "hash": "",
            "unchanged": false
        });
        let resource = json!({
            "shop": "acme.myshopify.com", "kind": "product", "id": "1",
            "gid": "gid://shopify/Product/1", "deleted": false, "version": version,
            "state": state()
        });
        serde_json::from_value(resource).expect("a resource")
    }

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            shop: Shop::from_name("acme").expect("a shop"),
            at: Timestamp::parse("2026-11-22T12:00:00Z").expect("an instant"),
            resources: 0,
            kinds: BTreeMap::new(),
            parts: Vec::new(),
            media: 0,
            media_missing: 0,
        }
    }

    /// An export of one resource and its picture.
    async fn packed() -> Vec<u8> {
        let (send, mut receive) = mpsc::channel(AHEAD);
        let mut packer = Packer { send, waiting: Vec::new() };
        let (mut filling, mut media) = (Filling::default(), BTreeSet::new());
        let mut manifest = manifest();
        filling.take(resource(), &mut manifest, &mut media).expect("taken");
        packer.part(filling, &mut manifest).await.expect("packed");
        for picture in &media {
            packer.file(&format!("{MEDIA}{picture}"), b"mug").await.expect("packed");
            manifest.media += 1;
        }
        packer.end(&manifest).await.expect("packed");
        drop(packer);
        let mut packed = Vec::new();
        while let Some(piece) = receive.recv().await {
            packed.extend(piece.expect("a piece"));
        }
        packed
    }

    fn unzipped(packed: &[u8]) -> String {
        let mut plain = vec![0; 1 << 16];
        let length = zstd_safe::decompress(&mut plain[..], packed).expect("Zstandard");
        golden::shown(&plain[..length])
    }

    #[tokio::test]
    async fn an_export_is_what_it_always_was() {
        let now = packed().await;
        let golden = Golden::of(env!("CARGO_MANIFEST_DIR"));
        let golden = golden::bytes(&golden.kept("export-v1.txt", &golden::shown(&now)));
        means(unzipped(&golden), unzipped(&now));
        let (mut resources, mut media) = (Vec::new(), Vec::new());
        let read = unpack(&golden[..], |entry| {
            match entry {
                Entry::Resource(resource) => resources.push(*resource),
                Entry::Medium(bytes) => {
                    bytes.read_to_end(&mut media)?;
                }
            }
            Ok(())
        });
        let read = read.expect("an export");
        let Resource { kind, id, gid, .. } = resource();
        means(resources, [Exported { kind: kind.clone(), id, gid, state: state() }]);
        means(media, b"mug");
        let Manifest { shop, at, .. } = manifest();
        let parts = read.parts.clone();
        means(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), {
            ["resources/000000.ndjson"]
        });
        let kinds = BTreeMap::from([(kind, 1)]);
        let (resources, media) = (1, 1);
        let whole =
            Manifest { format: 1, shop, at, resources, kinds, parts, media, media_missing: 0 };
        means(read, whole);
    }
}
