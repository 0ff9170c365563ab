//! The way back from what somebody did: a plan, and a job that goes it.

use async_trait::async_trait;
use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use backstock_proto::merge::OnConflict;
use backstock_proto::problem::Problem;
use backstock_proto::{Shop, Timestamp};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AtDesk, job};
use crate::ask::{self, Asked, InShop, Nothing, ShopPath};
use crate::change_set::{ChangeSet, Undone};
use crate::gate::Visit;
use crate::guard::WayBack;
use crate::job::Job;
use crate::job::desk::Apply;
use crate::plan::gather::Scope;
use crate::plan::{Modes, Plan, Request, make};
use crate::{Desk, mark, refuse};

/// How far back an app is looked for of which nothing was noted: a day, in microseconds.
const APP_MICROS: i64 = 24 * 3600 * 1_000_000;

/// What is to be undone: a change-set, what an app did, or everything between two instants.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollback {
    /// This change-set.
    change_set: Option<String>,
    /// What this app did, by its title.
    app: Option<String>,
    /// From this instant on; for an app, by default from when it was first noted, or for a day.
    from: Option<Timestamp>,
    /// Until this instant; now by default.
    to: Option<Timestamp>,
    /// Only the plan.
    #[serde(default)]
    dry_run: bool,
    /// What becomes of fields that somebody changed later.
    #[serde(default)]
    on_conflict: OnConflict,
    /// Whether amounts in stock are written too, where there is stock.
    #[serde(default)]
    inventory: bool,
}

/// A plan, and the job that applies it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RolledBack {
    /// What is written, without its rows: `plans/{id}` has them.
    plan: Plan,
    /// None of a dry run.
    job: Option<Job>,
}

/// Undoes what somebody did. What others changed afterwards, sales and stock are left alone. What an
/// app or a change-set made new is deleted; of what happened between two instants, whoever did it,
/// what is new stays: buyers are among those who made it.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/rollbacks",
    operation_id = "rollback",
    tag = "Guard",
    params(ShopPath),
    request_body = Rollback,
    responses(
        (status = 201, description = "A dry run: the plan.", body = RolledBack),
        (status = 202, description = "The plan, and the job that applies it.", body = RolledBack),
        (
            status = 409,
            description = "The shop cannot be written to.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn rollback(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<(StatusCode, Json<RolledBack>), Problem> {
    let asked: Rollback = ask::body(&body)?;
    desk.known(&shop).await?;
    let by = visit.token.map_or_else(String::new, |token| token.name.clone());
    let dry_run = asked.dry_run;
    let request = desk.way_back(&shop, asked).await?;
    let plan = desk.plan(&shop, request, by.clone()).await.map_err(refuse::plan)?;
    if dry_run {
        return Ok((StatusCode::CREATED, Json(RolledBack { plan: bare(plan), job: None })));
    }
    let apply = Apply {
        plan: plan.clone(),
        deselected: Vec::new(),
        by,
        key: None,
        undoes: None,
        needs_approval: desk.config.second_person.contains(&shop),
    };
    let job = job::begin(&desk, &shop, apply).await?;
    Ok((StatusCode::ACCEPTED, Json(RolledBack { plan: bare(plan), job: Some(job) })))
}

/// Where a plan's rows are kept is nobody's business.
fn bare(plan: Plan) -> Plan {
    Plan { records: Vec::new(), ..plan }
}

/// Everything that somebody did is undone: what they made is deleted, too.
const ALL: Modes = Modes { create: true, update: true, delete_new: true };

impl Desk {
    /// What is to be planned for a rollback.
    async fn way_back(&self, shop: &Shop, asked: Rollback) -> Result<Request, Problem> {
        let Rollback { change_set, app, mut from, to, on_conflict, inventory, .. } = asked;
        if change_set.is_none() && app.is_none() && from.is_none() {
            return Err(refuse::bad_request("say what is to be undone: change_set, app, or from"));
        }
        if let (Some(app), None, None) = (&app, from, &change_set) {
            from = Some(self.app_since(shop, app).await?);
        }
        let modes = if change_set.is_some() || app.is_some() { ALL } else { Modes::default() };
        let base = Request { modes, on_conflict, inventory, ..Request::default() };
        Ok(Request { change_set, app, from, to, ..base })
    }

    /// Since when an app may have done something.
    async fn app_since(&self, shop: &Shop, app: &str) -> Result<Timestamp, Problem> {
        let marks = mark::all(&*self.journal, shop).await.map_err(refuse::journal)?;
        let of_app = |mark: &mark::Mark| {
            mark.app.as_deref().is_some_and(|named| named.eq_ignore_ascii_case(app))
        };
        let noted = marks.into_iter().filter(of_app).map(|mark| mark.at).max();
        let day_ago = self.clock.now().as_micros() - APP_MICROS;
        Ok(noted.unwrap_or_else(|| Timestamp::from_micros(day_ago)))
    }
}

#[async_trait]
impl WayBack for Desk {
    async fn plan(
        &self,
        shop: &Shop,
        set: &ChangeSet,
        undone: Vec<Undone>,
    ) -> Result<String, String> {
        let change_set = Some(set.id.to_string());
        let request = Request { change_set, modes: ALL, ..Request::default() };
        let from = make::From::History(Scope::Versions(undone), set.actor.doubt());
        let plan = self.plan_of(shop, request, from, "guard".into()).await;
        plan.map(|plan| plan.id).map_err(|e| e.to_string())
    }

    async fn apply(&self, shop: &Shop, plan: &str) -> Result<String, String> {
        job::begin_for_guard(self, shop, plan).await.map_err(|problem| problem.detail)
    }

    async fn asked_until(&self, shop: &Shop) -> Result<u64, String> {
        self.pulls.asked_until(shop).await.map_err(|e| e.to_string())
    }
}
