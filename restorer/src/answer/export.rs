//! Exports: a whole shop as one file, out and in.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use backstock_proto::Timestamp;
use backstock_proto::blob::{Aside, BlobError};
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::{StatusCode, header};

use super::AtDesk;
use crate::ask::{self, Asked, AtQuery, InShop, PageQuery, ShopPath};
use crate::export::unpack::{Entry, MEDIUM_BYTES_MAX, UnpackError, unpack};
use crate::export::{EXPORT, Import, Manifest, pack};
use crate::gate::Visit;
use crate::{record, refuse};

/// Largest export that is taken.
const BYTES_MAX: u64 = 1 << 40;
/// How long whoever sends one may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of a medium that are in memory at once.
const PIECE_BYTES: usize = 256 << 10;

/// A whole shop as of an instant: resources and media, one `tar` compressed with Zstandard.
///
/// Its last file is `manifest.json`; a file without one was cut.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/export",
    operation_id = "export",
    tag = "Restore",
    params(ShopPath, AtQuery),
    responses((
        status = 200,
        description = "The file.",
        body = Vec<u8>,
        content_type = "application/zstd"
    ))
)]
pub(crate) async fn export(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Asked(AtQuery { at }): Asked<AtQuery>,
) -> Result<Response, Problem> {
    desk.known(&shop).await?;
    let at = at.unwrap_or_else(|| desk.clock.now());
    let slot = desk.whole_shop()?;
    let name = format!("attachment; filename=\"{}-{}.tar.zst\"", shop.name(), file_time(at));
    let pieces = pack::pack(pack::Asked { desk, shop, at, token: visit.token, slot });
    let headers = [
        (header::CONTENT_TYPE, "application/zstd".to_owned()),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// An instant as a part of a file's name.
fn file_time(at: Timestamp) -> String {
    at.to_string().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Takes an export in, of this shop or another one. Nothing is written to the shop: a plan with
/// `export` says what would be.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/exports",
    operation_id = "import",
    tag = "Restore",
    params(ShopPath),
    request_body(content = Vec<u8>, content_type = "application/zstd"),
    responses((status = 201, description = "Whole, checked and kept.", body = Import))
)]
pub(crate) async fn import(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Asked(ask::Nothing {}): Asked<ask::Nothing>,
    body: Body,
) -> Result<Response, Problem> {
    desk.known(&shop).await?;
    let _slot = desk.whole_shop()?;
    let file = desk.blobs.put_aside(unhurried(body.into_data_stream()), BYTES_MAX).await;
    let mut file = file.map_err(|e| not_kept(&e))?;
    // Nothing of it is kept before all of it was seen to be right.
    let manifest = read(&mut file, |_| Ok(())).await?;
    let (blobs, of, runtime) =
        (desk.blobs.clone(), shop.clone(), tokio::runtime::Handle::current());
    read(&mut file, move |entry| match entry {
        Entry::Resource(_) => Ok(()),
        Entry::Medium(bytes) => {
            let kept = blobs.put(&of, pieces(bytes), MEDIUM_BYTES_MAX);
            Ok(runtime.block_on(kept).map(|_| ())?)
        }
    })
    .await?;
    let (hash, bytes) = desk.blobs.keep(&shop, file).await.map_err(|e| not_kept(&e))?;
    let (id, by) = (hash.to_string(), visit.token.map(|t| t.name.clone()).unwrap_or_default());
    let import = Import { id, manifest, bytes, by, imported_at: desk.clock.now() };
    let tools = (desk.journal.as_ref(), desk.records.as_ref());
    record::put(tools, &shop, (EXPORT, &import.id), &import).await.map_err(refuse::record)?;
    Ok((StatusCode::CREATED, Json(import)).into_response())
}

/// The exports that were taken in, newest first.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/exports",
    operation_id = "exports",
    tag = "Restore",
    params(ShopPath, PageQuery),
    responses((status = 200, description = "Newest first.", body = List<Import>))
)]
pub(crate) async fn exports(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(PageQuery { limit, cursor }): Asked<PageQuery>,
) -> Result<Json<List<Import>>, Problem> {
    desk.known(&shop).await?;
    let page = ask::page(limit, cursor);
    let records =
        desk.journal.records(&shop, EXPORT, None, &page).await.map_err(refuse::journal)?;
    let items = records.items.into_iter().filter_map(|r| serde_json::from_value(r.payload).ok());
    Ok(Json(List { items: items.collect(), next: records.next }))
}

/// A body as it comes, which breaks off when nothing comes for too long.
fn unhurried(body: BodyDataStream) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    futures::stream::unfold(Some(body), async |body| {
        let mut body = body?;
        match tokio::time::timeout(SILENCE, body.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
            Ok(Some(Err(error))) => Some((Err(std::io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(std::io::ErrorKind::TimedOut.into()), None)),
        }
    })
}

/// A medium, piece by piece.
fn pieces(from: &mut dyn std::io::Read) -> impl Stream<Item = std::io::Result<Bytes>> {
    let pieces = std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE_BYTES];
        match from.read(&mut piece) {
            Ok(0) => None,
            Ok(read) => {
                piece.truncate(read);
                Some(Ok(piece.into()))
            }
            Err(error) => Some(Err(error)),
        }
    });
    futures::stream::iter(pieces)
}

/// Reads all of a file that was brought.
async fn read(
    file: &mut Aside,
    each: impl FnMut(Entry<'_>) -> Result<(), UnpackError> + Send + 'static,
) -> Result<Manifest, Problem> {
    let file = file.reader().await.map_err(|e| not_kept(&e))?;
    let read = tokio::task::spawn_blocking(move || unpack(file, each)).await;
    match read {
        Ok(Ok(manifest)) => Ok(manifest),
        Ok(Err(UnpackError::Keep(error))) => Err(not_kept(&error)),
        Ok(Err(error)) => Err(refuse::bad_request(error.to_string())),
        Err(error) => {
            tracing::error!(%error, "reading an export ended in a panic");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be read"))
        }
    }
}

fn not_kept(error: &BlobError) -> Problem {
    match error {
        BlobError::TooLarge(max) => {
            let detail = format!("the file is larger than {max} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        BlobError::Source(_) => refuse::bad_request("the file broke off; send it again"),
        error => {
            tracing::error!(%error, "failed to keep an export");
            let detail = "the blob storage does not take it just now; the restorer's log says why";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }
}
