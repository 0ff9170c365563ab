//! Proofs that a shop could be restored: the past ones, and one made now.

use axum::Json;
use axum::extract::State;
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use http::StatusCode;

use super::AtDesk;
use crate::ask::{self, Asked, By, InShop, Nothing, PageQuery, ShopPath, Which};
use crate::proof::{PROOF, Proof, nightly};
use crate::{record, refuse};

/// Proves now that the shop could be restored.
///
/// What history says of the moment at which each kind was last read whole is held against what was seen
/// then. Nothing is written to the shop. The one that is under way, if there is one, is answered
/// instead.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/proofs",
    operation_id = "prove",
    tag = "Care",
    params(ShopPath),
    responses((status = 202, description = "Ordered: ask for it by its id.", body = Proof))
)]
pub(crate) async fn prove(
    State(desk): AtDesk,
    InShop(shop): InShop,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<(StatusCode, Json<Proof>), Problem> {
    desk.known(&shop).await?;
    let proof = nightly::order(&desk, &shop, &by).await.map_err(refuse::record)?;
    Ok((StatusCode::ACCEPTED, Json(proof)))
}

/// The shop's proofs, newest first.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/proofs",
    operation_id = "proofs",
    tag = "Care",
    params(ShopPath, PageQuery),
    responses((status = 200, description = "Newest first.", body = List<Proof>))
)]
pub(crate) async fn proofs(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(PageQuery { limit, cursor }): Asked<PageQuery>,
) -> Result<Json<List<Proof>>, Problem> {
    desk.known(&shop).await?;
    let page = ask::page(limit, cursor);
    let records = desk.journal.records(&shop, PROOF, None, &page).await.map_err(refuse::journal)?;
    let proofs = records.items.into_iter().filter_map(|r| serde_json::from_value(r.payload).ok());
    Ok(Json(List { items: proofs.collect(), next: records.next }))
}

/// How a proof gets on, or how it ended.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/proofs/{id}",
    operation_id = "proof",
    tag = "Care",
    params(ShopPath, ("id" = String, Path, description = "The proof.")),
    responses((status = 200, description = "As far as it is.", body = Proof))
)]
pub(crate) async fn proof(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<Proof>, Problem> {
    desk.known(&shop).await?;
    let found = record::get::<Proof>(desk.journal.as_ref(), &shop, (PROOF, &id)).await;
    found.map_err(refuse::record)?.map(Json).ok_or_else(|| {
        let id: String = id.chars().take(100).collect();
        let detail = format!("{shop} has no proof {id:?}; POST proofs makes one");
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}
