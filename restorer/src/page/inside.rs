//! Asking our own API, as whoever looks at the page: the same route, the same gate, the same answer
//! that a program gets.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use backstock_proto::problem::Problem;
use http::{Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use super::room::Room;
use crate::route;
use crate::token::Token;

/// Most bytes of an answer that a page is made of.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// On a request that a page makes: for whom. Requests from outside never have it.
#[derive(Clone)]
pub(crate) struct Inside(pub(crate) Arc<Token>);

impl Room {
    /// What the API answers to a question about this shop.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.call(Method::GET, path, Body::empty()).await
    }

    /// What the API answers to something that is to be done in this shop.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Problem> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.call(Method::POST, path, body.into()).await
    }

    /// What the API answers to bytes that are brought to it, as they come.
    pub(crate) async fn bring<T: DeserializeOwned>(
        &self,
        path: &str,
        bytes: Body,
    ) -> Result<T, Problem> {
        self.call(Method::POST, path, bytes).await
    }

    /// A file that the API answers with, as it comes.
    pub(crate) async fn file(&self, path: &str) -> Result<Response, Problem> {
        self.ask(Method::GET, path, Body::empty()).await
    }

    /// A file that the API makes of what it is told, as it comes.
    pub(crate) async fn file_of(&self, path: &str, told: &Value) -> Result<Response, Problem> {
        self.ask(Method::POST, path, told.to_string().into()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<T, Problem> {
        let response = self.ask(method, path, body).await?;
        let bytes = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX)
            .await
            .map_err(|_| broken(path, "the answer was cut"))?;
        serde_json::from_slice(&bytes).map_err(|error| broken(path, &error.to_string()))
    }

    /// What the API answers, unless that is a problem.
    async fn ask(&self, method: Method, path: &str, body: Body) -> Result<Response, Problem> {
        let token = self.visit.token.clone().ok_or_else(|| broken(path, "nobody is signed in"))?;
        let request = Request::builder()
            .method(method)
            .uri(self.api(path))
            .header(header::CONTENT_TYPE, "application/json")
            .extension(Inside(token))
            .extension(ConnectInfo(SocketAddr::new(self.from, 0)))
            .body(body);
        let request = request.map_err(|_| broken(path, "it is no path"))?;
        // A router answers everything; its error is that there is none.
        let Ok(response) = route::api(self.desk.clone()).oneshot(request).await;
        if response.status().is_success() {
            return Ok(response);
        }
        let problem = axum::body::to_bytes(response.into_body(), ANSWER_BYTES_MAX).await;
        let problem = problem.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Err(problem.unwrap_or_else(|| broken(path, "it failed")))
    }
}

fn broken(path: &str, what: &str) -> Problem {
    tracing::error!("a page asked {path:?}, and {what}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer was not understood")
}
