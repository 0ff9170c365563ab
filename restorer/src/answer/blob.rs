//! The bytes of media and theme files.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use backstock_proto::Shop;
use backstock_proto::blob::{BlobError, BlobHash, Reading};
use backstock_proto::problem::Problem;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use utoipa::IntoParams;

use super::AtDesk;
use crate::ask::{Asked, InShop, Nothing, ShopPath};
use crate::gate::Visit;

/// Bytes under a name never change.
const CACHED: &str = "private, max-age=86400, immutable";

/// What `{hash}` takes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct BlobPath {
    /// The BLAKE3 of the bytes, as `blob` in a state says it.
    #[param(pattern = "^[0-9a-f]{64}$")]
    hash: String,
}

/// The bytes of a medium or a theme file, by their hash.
///
/// Pictures that every browser shows come with their type; everything else is a download.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/blobs/{hash}",
    operation_id = "blob",
    tag = "Resources",
    params(ShopPath, BlobPath),
    responses(
        (
            status = 200,
            description = "The bytes, whose BLAKE3 is the hash.",
            content(
                (Vec<u8> = "application/octet-stream"),
                (Vec<u8> = "image/png"),
                (Vec<u8> = "image/jpeg"),
                (Vec<u8> = "image/gif"),
                (Vec<u8> = "image/webp"),
                (Vec<u8> = "image/avif")
            )
        ),
        (status = 304, description = "They are as `If-None-Match` names them: they never change."),
        (
            status = 404,
            description = "No such bytes are kept of this shop.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn blob(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Path(BlobPath { hash: asked }): Path<BlobPath>,
    Asked(Nothing {}): Asked<Nothing>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let hash: BlobHash = asked.parse().map_err(|_| none(&shop, &asked))?;
    let tag = format!("\"{hash}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == tag.as_str());
    if known && desk.blobs.exists(&shop, hash).await.map_err(failed)? {
        let unchanged = [(header::ETAG, tag), (header::CACHE_CONTROL, CACHED.into())];
        return Ok((StatusCode::NOT_MODIFIED, unchanged).into_response());
    }
    let reading = desk.blobs.read(&shop, hash).await.map_err(failed)?;
    let Some(Reading { bytes, mut pieces }) = reading else { return Err(none(&shop, &asked)) };
    // What is damaged and small is answered with an error; what is larger breaks off.
    let first = pieces.next().await.transpose().map_err(failed)?.unwrap_or_default();
    let (media_type, disposition) = match picture(&first) {
        Some(picture) => (picture, "inline"),
        None => ("application/octet-stream", "attachment"),
    };
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition.to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::CACHE_CONTROL, CACHED.to_owned()),
        (header::ETAG, tag),
    ];
    // It breaks off as well once the token is gone.
    let valid = move || visit.token.as_ref().is_some_and(|token| desk.tokens.still_valid(token));
    let rest = pieces.take_while(move |_| std::future::ready(valid()));
    let body = futures::stream::iter([Ok(first)]).chain(rest);
    Ok((headers, Body::from_stream(body)).into_response())
}

fn none(shop: &Shop, asked: &str) -> Problem {
    let asked: String = asked.chars().take(100).collect();
    Problem::new(StatusCode::NOT_FOUND, format!("{shop} has no blob {asked:?}"))
}

fn failed(error: BlobError) -> Problem {
    tracing::error!(%error, "failed to read");
    let detail = "the stored bytes could not be read; the restorer's log says why";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
}

/// The type of a picture that browsers show and that can hold no script, by its first bytes.
fn picture(first: &Bytes) -> Option<&'static str> {
    let within = |from: usize, sign: &[u8]| first.get(from..from + sign.len()) == Some(sign);
    let brand = |brands: &[&[u8]]| within(4, b"ftyp") && brands.iter().any(|b| within(8, b));
    let known = [
        (within(0, b"\x89PNG\r\n\x1a\n"), "image/png"),
        (within(0, b"\xff\xd8\xff"), "image/jpeg"),
        (within(0, b"GIF87a") || within(0, b"GIF89a"), "image/gif"),
        (within(0, b"RIFF") && within(8, b"WEBP"), "image/webp"),
        (brand(&[b"avif", b"avis"]), "image/avif"),
    ];
    known.into_iter().find_map(|(is, media_type)| is.then_some(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pictures_that_cannot_hold_a_script_are_shown() {
        let of = |bytes: &'static [u8]| picture(&Bytes::from_static(bytes));
        assert_eq!(of(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(of(b"\xff\xd8\xff\xe0...."), Some("image/jpeg"));
        assert_eq!(of(b"RIFF\x10\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(of(b"\0\0\0\x1cftypavif"), Some("image/avif"));
        for other in [&b""[..], b"<svg onload=alert(1)>", b"<html>", b"%PDF-1.7", b"RIFF....WAVE"] {
            assert_eq!(of(other), None);
        }
    }
}
