//! Single changes.

use axum::Json;
use axum::extract::State;
use backstock_proto::journal::{Change, ChangeFilter, List};
use backstock_proto::problem::Problem;

use super::AtDesk;
use crate::ask::{self, Asked, ChangesQuery, InShop, ShopPath};
use crate::refuse;

/// Single changes, newest first, each with its fields old → new.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/changes",
    operation_id = "changes",
    tag = "Changes",
    params(
        ShopPath,
        ChangesQuery
    ),
    responses((status = 200, description = "Newest first.", body = List<Change>))
)]
pub(crate) async fn changes(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<ChangesQuery>,
) -> Result<Json<List<Change>>, Problem> {
    let ChangesQuery { from, to, kind, op, source, app, limit, cursor } = asked;
    if app.is_some() {
        return Err(refuse::bad_request(
            "query: app: changes are not yet attributed to apps, so they cannot be chosen by one",
        ));
    }
    let span = ask::span(from, to)?;
    desk.known(&shop).await?;
    let filter = ChangeFilter { span, kind, op, source };
    let page = ask::page(limit, cursor);
    desk.journal.changes(&shop, &filter, &page).await.map(Json).map_err(refuse::journal)
}
