//! Staged uploads, bulk results and media: bytes over plain HTTP.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use tokio_util::io::ReaderStream;

use crate::bulk_run::result_path;
use crate::gid::Gid;
use crate::simulator::Simulator;

/// The largest upload.
pub(super) const UPLOAD_MAX: usize = 100 * 1024 * 1024;

/// `POST /_uploads/{token}`: a form whose fields are those that were given, the file last.
pub(super) async fn post(
    State(simulator): State<Arc<Simulator>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let Some(Ok(boundary)) = kind.map(multer::parse_boundary) else {
        return (StatusCode::BAD_REQUEST, "not a form").into_response();
    };
    let stream = futures::stream::once(async move { Ok::<_, std::io::Error>(body) });
    let mut form = multer::Multipart::new(stream, boundary);
    let mut key = None;
    while let Ok(Some(field)) = form.next_field().await {
        let name = field.name().unwrap_or_default().to_owned();
        let Ok(bytes) = field.bytes().await else {
            return (StatusCode::BAD_REQUEST, "damaged form").into_response();
        };
        match (name.as_str(), &key) {
            ("key", _) => key = String::from_utf8(bytes.to_vec()).ok(),
            ("file", Some(key)) => return keep(&simulator, key, bytes),
            // Whatever comes after the file is not read, so the file without its key is lost.
            ("file", None) => {
                return (StatusCode::BAD_REQUEST, "the file must be last").into_response();
            }
            _ => {}
        }
    }
    (StatusCode::BAD_REQUEST, "no file").into_response()
}

/// `PUT /_uploads/{key}`: the bytes alone.
pub(super) async fn put(
    State(simulator): State<Arc<Simulator>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    keep(&simulator, &key, body)
}

fn keep(simulator: &Simulator, key: &str, bytes: Bytes) -> Response {
    let mut shop = simulator.shop();
    if !shop.expected_uploads.contains(key) {
        return (StatusCode::FORBIDDEN, "no such upload was staged").into_response();
    }
    shop.uploads.insert(key.to_owned(), bytes);
    (StatusCode::CREATED, "").into_response()
}

/// `GET /_bulk/{number}.jsonl`: a result, as a stream, until it has expired.
pub(super) async fn bulk_result(
    State(simulator): State<Arc<Simulator>>,
    Path(name): Path<String>,
) -> Response {
    let number = name.strip_suffix(".jsonl").unwrap_or_default();
    let Ok(operation) = format!("gid://shopify/BulkOperation/{number}").parse::<Gid>() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let state = simulator.shop().store.get(operation).unwrap_or_default();
    if state["status"] == "EXPIRED" {
        return StatusCode::FORBIDDEN.into_response();
    }
    match tokio::fs::File::open(result_path(&simulator, operation)).await {
        Ok(file) => {
            let body = Body::from_stream(ReaderStream::with_capacity(file, 64 * 1024));
            ([(header::CONTENT_TYPE, "application/jsonl")], body).into_response()
        }
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /cdn/…-{n}.jpg`: the bytes of a file, for as long as the file is there.
pub(super) async fn media(
    State(simulator): State<Arc<Simulator>>,
    Path(path): Path<String>,
) -> Response {
    let found = simulator.shop().file_at(&path);
    let Some((mime, bytes)) = found else { return StatusCode::NOT_FOUND.into_response() };
    ([(header::CONTENT_TYPE, mime)], bytes).into_response()
}
