//! What the guard saw, and what it did.

use axum::Json;
use axum::extract::State;
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;

use super::AtDesk;
use crate::ask::{self, Asked, InShop, PageQuery, ShopPath};
use crate::guard::{INCIDENT, Incident};
use crate::refuse;

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
