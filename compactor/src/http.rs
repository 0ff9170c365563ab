//! What others want of the compactor, in process and between processes: `POST /v1/orders` takes an order
//! for a pull, `GET /v1/asked/{shop}` says how far what webhooks left open is asked.

use async_trait::async_trait;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use backstock_proto::Shop;
use backstock_proto::problem::Problem;
use backstock_proto::publish::Publisher;
use backstock_proto::pulls::{Order, Pulls, PullsUnavailable};
use http::StatusCode;
use tokio::sync::{mpsc, oneshot};
use url::Url;

use crate::signal;

/// Where orders are taken.
const ORDERS: &str = "/v1/orders";
/// Where it is said how far what webhooks left open is asked.
const ASKED: &str = "/v1/asked/";

/// Asks a compactor, in process.
#[derive(Clone, Debug)]
pub struct Door {
    pub(crate) orders: mpsc::Sender<Given>,
    pub(crate) publisher: Publisher,
}

/// An order, and whom to tell that it is taken.
#[derive(Debug)]
pub struct Given {
    pub(crate) order: Order,
    pub(crate) taken: oneshot::Sender<()>,
}

/// Asks a compactor in another process.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

#[async_trait]
impl Pulls for Door {
    async fn order(&self, order: Order) -> Result<(), PullsUnavailable> {
        let busy = || {
            let why = "it has many orders already, cannot put one on record, or is stopping";
            PullsUnavailable(why.into())
        };
        let (taken, is_taken) = oneshot::channel();
        self.orders.try_send(Given { order, taken }).map_err(|_| busy())?;
        is_taken.await.map_err(|_| busy())
    }

    async fn asked_until(&self, shop: &Shop) -> Result<u64, PullsUnavailable> {
        let asked = signal::asked_until(&self.publisher, shop).await;
        asked.map_err(|e| PullsUnavailable(format!("{e:#}")))
    }
}

impl Client {
    /// Speaks to the compactor at `base`, such as `http://127.0.0.1:8083`, through `http`.
    pub fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base }
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}

#[async_trait]
impl Pulls for Client {
    async fn order(&self, order: Order) -> Result<(), PullsUnavailable> {
        let sent = self.http.post(self.at(ORDERS)).json(&order).send().await;
        let answered = sent.and_then(reqwest::Response::error_for_status);
        answered.map(drop).map_err(unavailable)
    }

    async fn asked_until(&self, shop: &Shop) -> Result<u64, PullsUnavailable> {
        let sent = self.http.get(self.at(&format!("{ASKED}{}", shop.domain()))).send().await;
        let answered = sent.and_then(reqwest::Response::error_for_status).map_err(unavailable)?;
        answered.json().await.map_err(unavailable)
    }
}

fn unavailable(error: impl ToString) -> PullsUnavailable {
    PullsUnavailable(error.to_string())
}

/// Answers other processes of the same installation.
pub fn router(door: Door) -> Router {
    Router::new()
        .route(ORDERS, post(take))
        .route(&format!("{ASKED}{{shop}}"), get(asked))
        .with_state(door)
}

async fn asked(State(door): State<Door>, Path(shop): Path<Shop>) -> Result<Json<u64>, Problem> {
    let asked = door.asked_until(&shop).await;
    asked.map(Json).map_err(|e| Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()))
}

async fn take(State(door): State<Door>, Json(order): Json<Order>) -> Result<StatusCode, Problem> {
    let taken = door.order(order).await;
    taken.map_err(|e| Problem::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()))?;
    Ok(StatusCode::ACCEPTED)
}
