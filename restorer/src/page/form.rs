//! What a form of ours says. Who asks was seen by the gate; that it is our own form for whoever is signed in
//! is seen here, so no handler that takes a [`Form`] or an [`Upload`] can be used by another site's page.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use backstock_proto::problem::Problem;
use futures::{StreamExt as _, future, stream};
use http::{StatusCode, header};
use multer::{Constraints, Field, Multipart, SizeLimit};

use super::session::Session;
use crate::gate::Visit;
use crate::{Desk, refuse};

/// The field that proves whose form it is.
pub(crate) const SEAL: &str = "form";
/// The field that a file comes in.
pub(crate) const FILE: &str = "file";

/// Longest seal, in bytes.
const SEAL_BYTES_MAX: u64 = 256;
/// Most bytes that come before a file begins. The first piece that the network brings may hold much of
/// the file as well.
const HEAD_BYTES_MAX: usize = 8 << 20;
/// How long it may take until a file begins.
const HEAD_READ: Duration = Duration::from_secs(10);

/// The fields of a form, in their order.
pub(crate) struct Form(Vec<(String, String)>);

impl FromRequest<Arc<Desk>> for Form {
    type Rejection = Problem;
    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let session = session(&request);
        let form = Self::read(request, desk).await?;
        ours(desk, session.as_ref(), form.get(SEAL).unwrap_or_default())?;
        Ok(form)
    }
}

fn session(request: &Request) -> Option<Session> {
    request.extensions().get::<Visit>().and_then(|visit| visit.session.clone())
}

/// Refuses what was not written by us for whoever is signed in.
fn ours(desk: &Desk, session: Option<&Session>, seal: &str) -> Result<(), Problem> {
    match session.is_some_and(|session| desk.config.session_key.wrote(session, seal)) {
        true => Ok(()),
        false => Err(foreign()),
    }
}

fn foreign() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "this form does not belong to your session; go back, reload the page, and try again",
    )
}

impl Form {
    /// A form that anybody may send.
    pub(crate) async fn read(request: Request, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, desk)
            .await
            .map_err(|error| refuse::bad_request(error.body_text()))?;
        Ok(Self(url::form_urlencoded::parse(&body).into_owned().collect()))
    }

    /// A field that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(field, value)| field == name && !value.is_empty())
            .map(|(_, v)| v.as_str())
    }

    /// Every value of a field, the empty ones left out.
    pub(crate) fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(field, value)| field == name && !value.is_empty());
        named.map(|(_, value)| value.as_str())
    }
}

/// A file that a form brings, as it comes. In the form it stands behind the seal.
pub(crate) struct Upload(pub(crate) Field<'static>);

impl FromRequest<Arc<Desk>> for Upload {
    type Rejection = Problem;
    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let session = session(&request);
        let Ok(head) = tokio::time::timeout(HEAD_READ, head(request)).await else {
            let detail = format!("no file had begun to arrive within {HEAD_READ:?}; send it again");
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
        };
        let (seal, file) = head.map_err(|error| match error {
            // No form of ours that brings a file.
            multer::Error::NoMultipart | multer::Error::DecodeContentType(_) => foreign(),
            multer::Error::StreamReadFailed(why) => {
                refuse::bad_request(format!("no file came with the form: {why}"))
            }
            error => refuse::bad_request(format!("no file came with the form: {error}")),
        })?;
        ours(desk, session.as_ref(), &seal)?;
        if file.file_name().is_none_or(str::is_empty) {
            return Err(refuse::bad_request("choose a file first"));
        }
        Ok(Self(file))
    }
}

/// The seal of a form that brings a file, and the file, of which nothing is read yet.
async fn head(request: Request) -> Result<(String, Field<'static>), multer::Error> {
    let media = request.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
    let boundary = multer::parse_boundary(media.unwrap_or_default())?;
    let begins = Arc::new(AtomicBool::new(false));
    let (began, mut bytes) = (begins.clone(), 0);
    let pieces = request.into_body().into_data_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        bytes += piece.len();
        if bytes > HEAD_BYTES_MAX && !began.load(Ordering::Relaxed) {
            return Err(io::Error::other("too much comes before it"));
        }
        Ok(piece)
    });
    // Whoever reads it takes all that is there at once, and takes what came together with the end for
    // nothing: one piece at a time is there, and the end after the last.
    let end = stream::once(future::ready(Ok(Bytes::new())));
    let pieces = pieces.chain(end).enumerate().then(|(n, piece)| async move {
        if n > 0 {
            tokio::task::yield_now().await;
        }
        piece
    });
    let limits = SizeLimit::new().for_field(SEAL, SEAL_BYTES_MAX);
    let fields = Constraints::new().allowed_fields(vec![SEAL, FILE]).size_limit(limits);
    let mut form = Multipart::with_constraints(pieces, boundary, fields);
    let mut seal = String::new();
    while let Some(field) = form.next_field().await? {
        if field.name() == Some(FILE) {
            begins.store(true, Ordering::Relaxed);
            return Ok((seal, field));
        }
        seal = field.text().await?;
    }
    Err(multer::Error::IncompleteStream)
}
