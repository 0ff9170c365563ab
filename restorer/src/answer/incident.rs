//! What the guard saw, and what it did.

use axum::Json;
use axum::extract::State;
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use http::StatusCode;

use super::AtDesk;
use crate::ask::{self, Asked, By, InShop, Nothing, PageQuery, ShopPath, Which};
use crate::guard::{DismissError, INCIDENT, Incident};
use crate::{guard, refuse};

/// What the guard saw, with evidence, and what it did.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/incidents",
    operation_id = "incidents",
    tag = "Guard",
    params(ShopPath, PageQuery),
    responses((
        status = 200,
        description = "By when something was last said of them, newest first.",
        body = List<Incident>
    ))
)]
pub(crate) async fn incidents(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(PageQuery { limit, cursor }): Asked<PageQuery>,
) -> Result<Json<List<Incident>>, Problem> {
    desk.known(&shop).await?;
    let page = ask::page(limit, cursor);
    let records = desk.journal.records(&shop, INCIDENT, None, &page).await;
    let records = records.map_err(refuse::journal)?;
    let items = records.items.into_iter().filter_map(|r| serde_json::from_value(r.payload).ok());
    Ok(Json(List { items: items.collect(), next: records.next }))
}

/// Says that an incident was meant: the guard does nothing more about it, and takes as much by the same
/// actor for normal from now on.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/incidents/{id}/dismiss",
    operation_id = "dismiss",
    tag = "Guard",
    params(ShopPath, ("id" = String, Path, description = "The incident.")),
    responses(
        (status = 200, description = "The incident as it is now.", body = Incident),
        (
            status = 409,
            description = "It was undone already, or is a part of another one.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn dismiss(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<Incident>, Problem> {
    desk.known(&shop).await?;
    guard::dismiss(&desk, &shop, &id, by).await.map(Json).map_err(|error| match error {
        DismissError::Missing { .. } => Problem::new(StatusCode::NOT_FOUND, error.to_string()),
        DismissError::Late(why) => Problem::new(StatusCode::CONFLICT, why),
        DismissError::Record(error) => refuse::record(error),
    })
}
