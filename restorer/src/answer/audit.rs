//! Who had what done.

use axum::Json;
use axum::extract::State;
use backstock_proto::problem::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, InShop, PageQuery, ShopPath};
use crate::audit::{self, Chain, Entry};
use crate::refuse;

/// A part of the chain, and whether all of it holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entries {
    /// Newest first.
    items: Vec<Entry>,
    /// Where to go on.
    next: Option<String>,
    /// Of the whole chain; on the first page only.
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<Chain>,
}

/// Who had what done in a shop, when and from where. Each entry holds the hash of the one before.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/audit",
    operation_id = "audit",
    tag = "Care",
    params(ShopPath, PageQuery),
    responses((status = 200, description = "Newest first.", body = Entries))
)]
pub(crate) async fn audit(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(PageQuery { limit, cursor }): Asked<PageQuery>,
) -> Result<Json<Entries>, Problem> {
    desk.known(&shop).await?;
    let journal = desk.journal.as_ref();
    let chain = match cursor {
        None => Some(audit::check(journal, &shop).await.map_err(refuse::record)?),
        Some(_) => None,
    };
    let page = ask::page(limit, cursor);
    let (items, next) = audit::page(journal, &shop, &page).await.map_err(refuse::record)?;
    Ok(Json(Entries { items, next, chain }))
}
