//! Exports: a whole shop as one file, out and in.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use backstock_proto::blob::{BlobError, BlobHash, Blobs};
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use backstock_proto::{Shop, Timestamp};
use futures::{StreamExt as _, TryStreamExt as _};
use http::{StatusCode, header};

use super::AtDesk;
use crate::ask::{self, Asked, AtQuery, InShop, PageQuery, ShopPath};
use crate::export::unpack::{Entry, Pieces, UnpackError, unpack};
use crate::export::{EXPORT, Import, Manifest, pack};
use crate::gate::Visit;
use crate::{Desk, record, refuse};

/// Largest export that is taken.
const BYTES_MAX: u64 = 1 << 40;
/// Largest medium in one.
const MEDIUM_BYTES_MAX: u64 = 1 << 30;

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
    let Ok(slot) = desk.snapshots.clone().try_acquire_owned() else {
        let detail = format!(
            "{} whole shops are being read already, as many as may be; try again in a moment",
            desk.config.snapshots_max
        );
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
    };
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
    let bytes = body.into_data_stream().map_err(std::io::Error::other);
    let (hash, bytes) = desk.blobs.put(&shop, bytes, BYTES_MAX).await.map_err(|e| not_kept(&e))?;
    let checked = check(&desk, &shop, hash).await;
    let manifest = match checked {
        Ok(manifest) => manifest,
        Err(problem) => {
            if let Err(error) = desk.blobs.delete(&shop, hash).await {
                tracing::warn!(%shop, "a file that is no export stays in the store: {error}");
            }
            return Err(problem);
        }
    };
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

/// Reads all of a file that was taken in, and keeps its media.
async fn check(desk: &Desk, shop: &Shop, hash: BlobHash) -> Result<Manifest, Problem> {
    let file = desk.blobs.read(shop, hash).await.map_err(|e| not_kept(&e))?;
    let Some(file) = file else {
        return Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the file was not kept; try again",
        ));
    };
    let (blobs, shop) = (desk.blobs.clone(), shop.clone());
    let pieces = Pieces::of(file.pieces.map_err(std::io::Error::other));
    let runtime = tokio::runtime::Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        unpack(pieces, |entry| match entry {
            Entry::Resource(_) => Ok(()),
            Entry::Medium(bytes) => runtime.block_on(keep(&blobs, &shop, bytes)),
        })
    });
    match read.await {
        Ok(Ok(manifest)) => Ok(manifest),
        Ok(Err(error)) => Err(refuse::bad_request(error.to_string())),
        Err(error) => {
            tracing::error!("reading an export ended in a panic: {error}");
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the file could not be read"))
        }
    }
}

async fn keep(blobs: &Blobs, shop: &Shop, bytes: Vec<u8>) -> Result<(), UnpackError> {
    let bytes = futures::stream::iter([Ok(bytes.into())]).boxed();
    let kept = blobs.put(shop, bytes, MEDIUM_BYTES_MAX).await;
    kept.map(|_| ()).map_err(|e| UnpackError::Io(std::io::Error::other(e)))
}

fn not_kept(error: &BlobError) -> Problem {
    match error {
        BlobError::TooLarge(max) => {
            let detail = format!("the file is larger than {max} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        BlobError::Source(_) => refuse::bad_request("the file broke off; send it again"),
        error => {
            tracing::error!("failed to keep an export: {error}");
            let detail = "the blob storage does not take it just now; the restorer's log says why";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }
}
