//! Pulls: the past ones, and one made now.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use backstock_proto::journal::{List, PULL, PullReport};
use backstock_proto::problem::Problem;
use backstock_proto::pulls::Order;
use backstock_proto::{Kind, ResourceId, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{Asked, InShop, Nothing, ShopPath, ShortListQuery};
use crate::refuse;

/// Most resources that one order names.
const IDS_MAX: usize = 1_000;

/// What is to be pulled now.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reconcile {
    /// These kinds; all of them, if empty.
    kinds: Vec<Kind>,
    /// These resources only, of the one kind that is named.
    ids: Vec<ResourceId>,
    /// Believe that many resources are gone at once.
    confirm_deletions: bool,
}

/// Where to see what comes of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ordered {
    /// The path of the shop's pulls.
    pulls: String,
    /// When it was ordered: pulls begun since then are those.
    at: Timestamp,
}

/// Compares history with the shop now, and corrects history.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/reconcile",
    operation_id = "reconcile",
    tag = "Care",
    params(ShopPath),
    request_body(content = Reconcile, description = "All kinds, if there is no body."),
    responses((status = 202, description = "Ordered: its pulls tell the rest.", body = Ordered))
)]
pub(crate) async fn reconcile(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    desk.known(&shop).await?;
    let asked: Reconcile = match body.is_empty() {
        true => Reconcile::default(),
        false => serde_json::from_slice(&body).map_err(|e| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not understood: {e}"))
        })?,
    };
    if !desk.admins.contains_key(&shop) {
        let detail = format!(
            "{} has no Admin API credentials here: set shop.access_token, or client_id and \
             client_secret",
            shop.domain()
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let Reconcile { kinds, ids, confirm_deletions } = asked;
    if let Some(unknown) = kinds.iter().find(|kind| kind.spec().is_none_or(|s| s.pulls.is_empty()))
    {
        let detail = format!("{unknown} is no kind that can be pulled");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    if ids.len() > IDS_MAX || (!ids.is_empty() && kinds.len() != 1) {
        let detail = format!("ids takes at most {IDS_MAX}, all of the one kind in kinds");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let (at, path) = (desk.clock.now(), format!("/v1/shops/{}/pulls", shop.domain()));
    let ordered = desk.pulls.order(Order { shop, kinds, ids, confirm_deletions }).await;
    ordered.map_err(|error| {
        tracing::warn!(%error, "failed to order a pull");
        let detail = "the compactor does not take the order just now; try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    Ok((StatusCode::ACCEPTED, Json(Ordered { pulls: path, at })))
}

/// The newest pull of each kind, newest first.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/pulls",
    operation_id = "pulls",
    tag = "Care",
    params(ShopPath, ShortListQuery),
    responses((status = 200, description = "Newest first.", body = List<PullReport>))
)]
pub(crate) async fn pulls(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<ShortListQuery>,
) -> Result<Json<List<PullReport>>, Problem> {
    desk.known(&shop).await?;
    let page = asked.page();
    let records = desk.journal.records(&shop, PULL, None, &page).await.map_err(refuse::journal)?;
    let reports = records.items.into_iter().filter_map(|r| serde_json::from_value(r.payload).ok());
    Ok(Json(List { items: reports.collect(), next: records.next }))
}
