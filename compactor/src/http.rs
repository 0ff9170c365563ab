//! Orders for pulls, in process and between processes: `POST /v1/orders`.

use async_trait::async_trait;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use backstock_proto::problem::Problem;
use backstock_proto::pulls::{Order, Pulls, PullsUnavailable};
use http::StatusCode;
use tokio::sync::{mpsc, oneshot};
use url::Url;

/// Where orders are taken.
const PATH: &str = "/v1/orders";

/// Gives orders to a compactor, in process.
#[derive(Clone, Debug)]
pub struct Door(pub(crate) mpsc::Sender<Given>);

/// An order, and whom to tell that it is taken.
#[derive(Debug)]
pub struct Given {
    pub(crate) order: Order,
    pub(crate) taken: oneshot::Sender<()>,
}

/// Gives orders to a compactor in another process.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    orders: Url,
}

#[async_trait]
impl Pulls for Door {
    async fn order(&self, order: Order) -> Result<(), PullsUnavailable> {
        let busy = || {
            let why = "it has many orders already, cannot put one on record, or is stopping";
            PullsUnavailable(why.into())
        };
        let (taken, is_taken) = oneshot::channel();
        self.0.try_send(Given { order, taken }).map_err(|_| busy())?;
        is_taken.await.map_err(|_| busy())
    }
}

impl Client {
    /// Speaks to the compactor at `base`, such as `http://127.0.0.1:8083`.
    pub fn new(mut base: Url) -> Self {
        base.set_path(PATH);
        Self { http: reqwest::Client::new(), orders: base }
    }
}

#[async_trait]
impl Pulls for Client {
    async fn order(&self, order: Order) -> Result<(), PullsUnavailable> {
        let sent = self.http.post(self.orders.clone()).json(&order).send().await;
        let answered = sent.and_then(reqwest::Response::error_for_status);
        answered.map(drop).map_err(|e| PullsUnavailable(e.to_string()))
    }
}

/// Takes orders from other processes of the same installation.
pub fn router(door: Door) -> Router {
    Router::new().route(PATH, post(take)).with_state(door)
}

async fn take(State(door): State<Door>, Json(order): Json<Order>) -> Result<StatusCode, Problem> {
    let taken = door.order(order).await;
    taken.map_err(|e| Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
    Ok(StatusCode::ACCEPTED)
}
