//! Jobs: plans being applied.

use std::convert::Infallible;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, http::HeaderMap};
use backstock_proto::Shop;
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use futures::Stream;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::AtDesk;
use crate::ask::{
    self, Asked, By, InShop, JobPath, Limit, Nothing, PageQuery, PlanPath, ShopPath, Which,
};
use crate::audit::Deed;
use crate::gate::Visit;
use crate::job::desk::{Apply, JobError, Told};
use crate::job::run::Want;
use crate::job::{Job, RowResult, RowState};
use crate::plan::{PLAN, Plan, Request};
use crate::{Desk, record, refuse};

mod watch;

use watch::Watch;

/// Who begins what nobody asked for.
const GUARD: &str = "guard";
/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// Which plan, as the caller has seen it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyPlan {
    /// The plan's digest: what was looked at is what is done.
    digest: String,
    /// Rows that are not to be done.
    #[serde(default)]
    deselect: Vec<u64>,
}

/// A job with some of its rows.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobWithRows {
    #[serde(flatten)]
    job: Job,
    /// How much of it is done, from 0 to 1.
    progress: f64,
    /// What became of rows, in the plan's order.
    rows: List<RowResult>,
    /// Why some rows are not among these, where the plan is not whole on record any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    untold: Option<String>,
}

/// What somebody who watches a job is told.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `Watch` tells")]
pub(crate) struct JobEvent {
    /// `progress`, `row` or `end`.
    event: String,
    /// JSON: the job, or the row.
    data: String,
}

/// Which rows, and which part of them.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowsQuery {
    /// Only rows in this state; without, all that are over.
    state: Option<RowState>,
    /// At most so many.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1000, default = 100)]
    limit: Option<Limit>,
    /// `next` of the page before; no other text is accepted.
    #[param(min_length = 1)]
    cursor: Option<String>,
}

/// Applies a plan: answers with the job at once, which works on by itself.
///
/// Only one job of a shop writes at a time; others wait. With an `Idempotency-Key`, asking again
/// answers with the same job. Where the shop asks for a second person (`approval` of the job), it
/// begins once another token has approved it.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/plans/{id}/apply",
    operation_id = "apply",
    tag = "Restore",
    params(
        ShopPath,
        PlanPath,
        (
            "Idempotency-Key" = Option<String>,
            Header,
            description = "Names this request.",
            min_length = 1,
            max_length = 255,
            pattern = "^[!-~]([ -~]*[!-~])?$"
        )
    ),
    request_body(content = ApplyPlan),
    responses(
        (status = 202, description = "The job.", body = Job),
        (
            status = 409,
            description = "The digest is another plan's, or the shop cannot be written to.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn apply(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let asked: ApplyPlan = ask::body(&body)?;
    let plan = plan(&desk, &shop, &id).await?;
    if plan.digest != asked.digest {
        let detail = format!(
            "plan {id} has the digest {}, not {:?}: look at it again before applying it",
            plan.digest,
            asked.digest.chars().take(80).collect::<String>()
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let key = idempotency_key(&headers)?;
    let apply = Apply {
        plan,
        deselected: asked.deselect,
        by,
        key,
        undoes: None,
        needs_approval: desk.config.second_person.contains(&shop),
    };
    Ok((StatusCode::ACCEPTED, Json(begin(&desk, &shop, apply).await?)))
}

/// Begins a job in a shop that can be written to.
pub(crate) async fn begin(desk: &Desk, shop: &Shop, apply: Apply) -> Result<Job, Problem> {
    if !desk.admins.contains_key(shop) {
        let detail = format!(
            "{} has no Admin API credentials here: set shop.access_token, or client_id and \
             client_secret",
            shop.domain()
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    desk.jobs.apply(shop, apply).await.map_err(refused)
}

/// Begins a job that nobody asked for but the guard; asking twice is asking once. Answers its id.
pub(crate) async fn begin_for_guard(desk: &Desk, shop: &Shop, id: &str) -> Result<String, Problem> {
    let plan = plan(desk, shop, id).await?;
    let deed = Deed {
        who: GUARD.into(),
        from: String::new(),
        what: "apply".into(),
        path: format!("/v1/shops/{}/plans/{id}/apply", shop.domain()),
        asked: json!({"digest": plan.digest}),
        status: None,
        of: None,
    };
    desk.audit.add(shop, deed).await.map_err(refuse::record)?;
    let apply = Apply {
        plan,
        deselected: Vec::new(),
        by: GUARD.into(),
        key: Some(format!("{GUARD} {id}")),
        undoes: None,
        // Who configured it to act by itself has said yes.
        needs_approval: false,
    };
    Ok(begin(desk, shop, apply).await?.id)
}

async fn plan(desk: &Desk, shop: &Shop, id: &str) -> Result<Plan, Problem> {
    let found = record::get::<Plan>(desk.journal.as_ref(), shop, (PLAN, id)).await;
    found.map_err(|e| refused(e.into()))?.ok_or_else(|| {
        let id: String = id.chars().take(100).collect();
        let detail = format!("{shop} has no plan {id:?}: make one with POST plans");
        Problem::new(StatusCode::NOT_FOUND, detail)
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=KEY_BYTES_MAX).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(refuse::bad_request(format!(
            "Idempotency-Key is 1 to {KEY_BYTES_MAX} visible ASCII characters"
        ))),
    }
}

/// The shop's jobs.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/jobs",
    operation_id = "jobs",
    tag = "Restore",
    params(ShopPath, PageQuery),
    responses((status = 200, description = "Newest first.", body = List<Job>))
)]
pub(crate) async fn jobs(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(PageQuery { limit, cursor }): Asked<PageQuery>,
) -> Result<Json<List<Job>>, Problem> {
    desk.known(&shop).await?;
    let page = ask::page(limit, cursor);
    let (items, next) = desk.jobs.list(&shop, &page).await.map_err(|e| refused(e.into()))?;
    Ok(Json(List { items, next }))
}

/// A job, and what became of its rows.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/jobs/{id}",
    operation_id = "job",
    tag = "Restore",
    params(ShopPath, JobPath, RowsQuery),
    responses((status = 200, description = "As it is now.", body = JobWithRows))
)]
pub(crate) async fn job(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    Asked(RowsQuery { state, limit, cursor }): Asked<RowsQuery>,
) -> Result<Json<JobWithRows>, Problem> {
    let job = desk.jobs.existing(&shop, &id).await.map_err(refused)?;
    let (from, limit) = ask::numbered(limit, cursor)?;
    let told = desk.jobs.rows(&shop, &job, (from, state, limit)).await;
    let Told { rows, untold } = told.map_err(|e| refused(e.into()))?;
    Ok(Json(JobWithRows { progress: job.progress(), job, rows, untold }))
}

/// How a job gets on, as server-sent events, until it is over.
///
/// `progress` holds the job, `row` a row that ended since; `end` the job as it ended.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/jobs/{id}/events",
    operation_id = "job_events",
    tag = "Restore",
    params(ShopPath, JobPath),
    responses((
        status = 200,
        description = "Events until the job is over.",
        body = JobEvent,
        content_type = "text/event-stream"
    ))
)]
pub(crate) async fn events(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Which(id): Which,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    desk.jobs.existing(&shop, &id).await.map_err(refused)?;
    let watch = Watch { desk, shop, id, token: visit.token, told: None, queue: Vec::new() };
    let events = futures::stream::unfold(Some(watch), async |watch| watch?.next().await);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

macro_rules! control {
    ($name:ident, $path:literal, $want:expr, $about:literal) => {
        #[doc = $about]
        #[utoipa::path(
                                    post,
                                    path = $path,
                                    tag = "Restore",
                                    params(ShopPath, JobPath),
                                    responses(
                                        (status = 202, description = "The job.", body = Job),
                                        (
                                            status = 409,
                                            description = "The job is over.",
                                            body = Problem,
                                            content_type = "application/problem+json"
                                        )
                                    )
                                )]
        pub(crate) async fn $name(
            State(desk): AtDesk,
            InShop(shop): InShop,
            Which(id): Which,
            By(by): By,
            Asked(Nothing {}): Asked<Nothing>,
        ) -> Result<(StatusCode, Json<Job>), Problem> {
            let job = desk.jobs.order(&shop, &id, ($want, &by)).await.map_err(refused)?;
            Ok((StatusCode::ACCEPTED, Json(job)))
        }
    };
}

control!(
    cancel,
    "/v1/shops/{shop}/jobs/{id}/cancel",
    Want::Cancel,
    "Ends a job: rows under way are finished, the others are not begun. What was written stays."
);
control!(
    pause,
    "/v1/shops/{shop}/jobs/{id}/pause",
    Want::Pause,
    "Has a job stand still once the rows under way are finished. Other jobs go first meanwhile."
);
control!(
    resume,
    "/v1/shops/{shop}/jobs/{id}/resume",
    Want::Run,
    "Has a job go on that stands still, or was put off for a while."
);

/// Says yes to a job that another token asked for, where the shop wants a second person's word.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/jobs/{id}/approve",
    operation_id = "approve",
    tag = "Restore",
    params(ShopPath, JobPath),
    responses(
        (status = 202, description = "The job, which begins.", body = Job),
        (
            status = 403,
            description = "The token lacks the scope, or asked for the job itself.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        (
            status = 409,
            description = "The job waits for nobody's word.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn approve(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let job = desk.jobs.approve(&shop, &id, &by).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// Takes up the rows of a job that failed, and those that were not begun.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/jobs/{id}/retry",
    operation_id = "retry",
    tag = "Restore",
    params(ShopPath, JobPath),
    responses(
        (status = 202, description = "The job.", body = Job),
        (
            status = 409,
            description = "The job is not over.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn retry(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let job = desk.jobs.retry(&shop, &id, &by).await.map_err(refused)?;
    Ok((StatusCode::ACCEPTED, Json(job)))
}

/// Takes back what a job wrote: plans that, and applies the plan. What others changed since stays.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/jobs/{id}/undo",
    operation_id = "undo",
    tag = "Restore",
    params(
        ShopPath,
        JobPath,
        (
            "Idempotency-Key" = Option<String>,
            Header,
            description = "Names this request.",
            min_length = 1,
            max_length = 255,
            pattern = "^[!-~]([ -~]*[!-~])?$"
        )
    ),
    responses(
        (status = 202, description = "The job that takes it back.", body = Job),
        (
            status = 409,
            description = "The job is not over, or its plan is not whole any more.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn undo(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Which(id): Which,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Job>), Problem> {
    let job = desk.jobs.existing(&shop, &id).await.map_err(refused)?;
    if !job.state.is_over() {
        let state = job.state.as_str();
        let detail = format!("job {id} of {shop} is {state}: cancel it, or wait for its end");
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let key = idempotency_key(&headers)?;
    if let Some(key) = &key
        && let Some(begun) = desk.jobs.begun(&shop, &by, key).await.map_err(refused)?
    {
        return match begun.undoes.as_ref() == Some(&id) {
            true => Ok((StatusCode::ACCEPTED, Json(begun))),
            false => Err(refused(JobError::other_request())),
        };
    }
    let request = Request { undo: Some(id.clone()), ..Request::default() };
    let plan = desk.plan(&shop, request, by.clone()).await.map_err(refuse::plan)?;
    let needs_approval = desk.config.second_person.contains(&shop);
    let apply = Apply { plan, deselected: Vec::new(), by, key, undoes: Some(id), needs_approval };
    Ok((StatusCode::ACCEPTED, Json(begin(&desk, &shop, apply).await?)))
}

/// The one table from what jobs say to HTTP.
pub(crate) fn refused(error: JobError) -> Problem {
    match error {
        JobError::Conflict(why) => Problem::new(StatusCode::CONFLICT, why),
        JobError::Missing(why) => Problem::new(StatusCode::NOT_FOUND, why),
        JobError::Forbidden(why) => Problem::new(StatusCode::FORBIDDEN, why),
        JobError::Record(error) => refuse::record(error),
    }
}
