//! What a form of ours says. Who asks was seen by the gate; that it is our own form for whoever is signed in
//! is seen here, so no handler that takes a [`Form`] can be used by another site's page.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use backstock_proto::problem::Problem;
use http::StatusCode;

use crate::gate::Visit;
use crate::{Desk, refuse};

/// The field that proves whose form it is.
pub(crate) const SEAL: &str = "form";

/// The fields of a form, in their order.
pub(crate) struct Form(Vec<(String, String)>);

impl FromRequest<Arc<Desk>> for Form {
    type Rejection = Problem;
    async fn from_request(request: Request, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let session = request.extensions().get::<Visit>().and_then(|visit| visit.session.clone());
        let form = Self::read(request, desk).await?;
        let ours = session.is_some_and(|session| {
            desk.config.session_key.wrote(&session, form.get(SEAL).unwrap_or_default())
        });
        if ours {
            return Ok(form);
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "this form does not belong to your session; go back, reload the page, and try again",
        ))
    }
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
