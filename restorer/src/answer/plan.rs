//! Plans: made, listed, read.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use backstock_proto::Shop;
use backstock_proto::journal::{List, Page};
use backstock_proto::problem::Problem;
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, InShop, PageQuery, PlanPath, PlanQuery, ShopPath, Which};
use crate::gate::Visit;
use crate::plan::store::{self, RowFilter};
use crate::plan::{PLAN, Plan, Request, Row};
use crate::{Desk, refuse};

/// Rows that stand in the answer to a new plan.
const ROWS_FIRST: usize = 100;

/// A plan with a page of its rows.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlanAnswer {
    #[serde(flatten)]
    plan: Plan,
    /// A page of its rows, in the order in which they are written.
    rows: Vec<Row>,
    /// `cursor` of the next page; null at the end.
    next: Option<String>,
}

/// Makes a plan. Nothing is written to the shop.
///
/// A plan takes stretches of history back: what happened since `at`, between `from` and `to`, in a
/// change-set, by an app or by a job. What others changed later stays, and is listed, unless
/// `on_conflict` is `overwrite`. Making it takes as long as reading what was touched takes.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/plans",
    operation_id = "make_plan",
    tag = "Restore",
    params(ShopPath),
    request_body(content = Request, example = json!({
        "at": "2026-10-01T14:02:00Z",
        "select": {"kinds": ["product"], "fields": ["variants/*/price"]},
        "modes": {"update": true, "create": false}
    })),
    responses(
        (
            status = 201,
            description = "The plan with its first rows. One with no rows says that there is nothing to do.",
            body = PlanAnswer
        ),
        (
            status = 409,
            description = "The job that is to be undone is not over, or its plan is not whole any more.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn make(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Asked(ask::Nothing {}): Asked<ask::Nothing>,
    body: Bytes,
) -> Result<Response, Problem> {
    desk.known(&shop).await?;
    let request: Request = serde_json::from_slice(&body)
        .map_err(|e| refuse::bad_request(format!("the body is not understood: {e}")))?;
    let by = visit.token.map(|token| token.name.clone()).unwrap_or_default();
    let plan = desk.plan(&shop, request, by).await.map_err(refuse::plan)?;
    let location = format!("/v1/shops/{shop}/plans/{}", plan.id);
    let first = Page { limit: ROWS_FIRST, cursor: None };
    let answer = page_of(&desk, &shop, plan, &RowFilter::default(), &first).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(answer)).into_response())
}

/// The shop's plans, newest first, without their rows.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/plans",
    operation_id = "plans",
    tag = "Restore",
    params(
        ShopPath,
        PageQuery
    ),
    responses((status = 200, description = "Newest first.", body = List<Plan>))
)]
pub(crate) async fn plans(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(PageQuery { limit, cursor }): Asked<PageQuery>,
) -> Result<Json<List<Plan>>, Problem> {
    desk.known(&shop).await?;
    let page = ask::page(limit, cursor);
    let records = desk.journal.records(&shop, PLAN, None, &page).await.map_err(refuse::journal)?;
    let plans = records.items.into_iter().filter_map(|r| serde_json::from_value(r.payload).ok());
    let items = plans.map(|plan: Plan| Plan { records: Vec::new(), ..plan }).collect();
    Ok(Json(List { items, next: records.next }))
}

/// A plan with a page of its rows.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/plans/{id}",
    operation_id = "plan",
    tag = "Restore",
    params(
        ShopPath,
        PlanPath,
        PlanQuery
    ),
    responses(
        (status = 200, description = "Rows in the order of writing.", body = PlanAnswer),
        (
            status = 410,
            description = "Some of its rows are not on record any more; a new plan has them.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn plan(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    Asked(PlanQuery { action, kind, limit, cursor }): Asked<PlanQuery>,
) -> Result<Json<PlanAnswer>, Problem> {
    let found = store::get(desk.journal.as_ref(), &shop, &id).await;
    let Some(found) = found.map_err(refuse::record)? else {
        let id: String = id.chars().take(100).collect();
        let detail = format!("{shop} has no plan {id:?}; GET /v1/shops/{shop}/plans lists them");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let page = ask::page(limit, cursor);
    page_of(&desk, &shop, found, &RowFilter { action, kind }, &page).await.map(Json)
}

async fn page_of(
    desk: &Desk,
    shop: &Shop,
    mut plan: Plan,
    filter: &RowFilter,
    page: &Page,
) -> Result<PlanAnswer, Problem> {
    let rows = store::page(desk.journal.as_ref(), shop, &plan, filter, page).await;
    let List { items: rows, next } = rows.map_err(refuse::plan)?;
    // Where the rows are kept is nobody's business.
    plan.records.clear();
    Ok(PlanAnswer { plan, rows, next })
}
