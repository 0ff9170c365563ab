//! Marks: noting something down, and what was noted.

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use backstock_proto::Timestamp;
use backstock_proto::journal::List;
use backstock_proto::problem::Problem;
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, InShop, Nothing, ShopPath, ShortListQuery};
use crate::gate::Visit;
use crate::mark::{self, MARK, Mark, TEXT_MAX};
use crate::{record, refuse};

/// What is noted down.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMark {
    /// What it says: "about to install Bulk Editor".
    #[schema(max_length = 200, pattern = "\\S")]
    label: String,
    /// The app that it is about, by its title: what begins soon after it is then likely that app's.
    #[schema(max_length = 200)]
    app: Option<String>,
    /// The moment that it marks; now by default.
    at: Option<Timestamp>,
}

/// Notes something down: a named safety point.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/marks",
    operation_id = "mark",
    tag = "Guard",
    params(ShopPath),
    request_body = NewMark,
    responses((status = 201, description = "Noted.", body = Mark))
)]
pub(crate) async fn mark(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<(StatusCode, Json<Mark>), Problem> {
    let NewMark { label, app, at } = ask::body(&body)?;
    desk.known(&shop).await?;
    let too_long = |text: &str| text.chars().count() > TEXT_MAX;
    if label.trim().is_empty() || too_long(&label) || app.as_deref().is_some_and(too_long) {
        let why =
            format!("a mark needs a label, and label and app have {TEXT_MAX} characters at most");
        return Err(refuse::bad_request(why));
    }
    let now = desk.clock.now();
    let mark = Mark {
        id: record::new_id(MARK, now),
        label: label.trim().to_owned(),
        app: app.map(|app| app.trim().to_owned()).filter(|app| !app.is_empty()),
        at: at.unwrap_or(now),
        by: visit.token.map_or_else(String::new, |token| token.name.clone()),
        inferred: false,
    };
    record::put((&*desk.journal, &*desk.records), &shop, (MARK, &mark.id), &mark)
        .await
        .map_err(refuse::record)?;
    Ok((StatusCode::CREATED, Json(mark)))
}

/// What was noted down, most recent first.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/marks",
    operation_id = "marks",
    tag = "Guard",
    params(ShopPath, ShortListQuery),
    responses((status = 200, description = "By when they were noted, newest first.", body = List<Mark>))
)]
pub(crate) async fn marks(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<ShortListQuery>,
) -> Result<Json<List<Mark>>, Problem> {
    desk.known(&shop).await?;
    mark::page(&*desk.journal, &shop, &asked.page()).await.map(Json).map_err(refuse::journal)
}
