//! Single changes.

use axum::Json;
use axum::extract::State;
use backstock_proto::journal::{Change, ChangeFilter, List};
use backstock_proto::problem::Problem;

use super::AtDesk;
use crate::ask::{self, Asked, ChangesQuery, InShop, ShopPath};
use crate::change_set::{Trace, read};
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
    let span = ask::span(from, to)?;
    desk.known(&shop).await?;
    if let Some(app) = app {
        let around = desk.around(&shop).await.map_err(refuse::journal)?;
        let sources = desk.sources(&shop, &around);
        let page = ask::page(limit, cursor);
        let wanted = |trace: &Trace| {
            kind.as_ref().is_none_or(|kind| trace.kind == *kind)
                && op.is_none_or(|op| trace.op == op)
                && source.is_none_or(|source| trace.source == source)
        };
        let theirs = desk.book.page_of_app(sources, (&app, &wanted), span, &page).await;
        let List { items, next } = theirs.map_err(refuse::journal)?;
        let items = read::whole(sources, &items).await.map_err(refuse::journal)?;
        return Ok(Json(List { items, next }));
    }
    let filter = ChangeFilter { span, kind, op, source, ..ChangeFilter::default() };
    let page = ask::page(limit, cursor);
    desk.journal.changes(&shop, &filter, &page).await.map(Json).map_err(refuse::journal)
}
