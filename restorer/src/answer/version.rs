//! A resource's versions: their list, their bytes, and what differs between two instants.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use backstock_proto::diff::{self, FieldChange};
use backstock_proto::journal::{AsOf, List, Raw, Span, Version};
use backstock_proto::problem::Problem;
use backstock_proto::{ResourceKey, Timestamp, known};
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, DiffQuery, Named, Nothing, ResourcePath, ShopPath, VersionsQuery};
use crate::{Desk, refuse};

/// What differs between two instants.
#[derive(Serialize, ToSchema)]
pub(crate) struct Diff {
    /// The state before.
    from: Side,
    /// The state after.
    to: Side,
    /// Field by field. A field that is known of one side only, as one that was not kept yet, is no change.
    changes: Vec<FieldChange>,
    /// RFC 6902: turns the state before into the state after, with all that is known of it.
    #[schema(value_type = Vec<Object>)]
    patch: json_patch::Patch,
}

/// One of the two instants.
#[derive(Serialize, ToSchema)]
pub(crate) struct Side {
    /// The instant.
    at: Timestamp,
    /// Whether the resource existed then. If not, its state counts as `null`.
    exists: bool,
    /// The version that says so; none if it had never existed by then.
    version: Option<Version>,
}

/// A resource's versions, newest first.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/resources/{kind}/{id}/versions",
    operation_id = "versions",
    tag = "Resources",
    params(
        ShopPath,
        ResourcePath,
        VersionsQuery
    ),
    responses((status = 200, description = "Newest first.", body = List<Version>))
)]
pub(crate) async fn versions(
    State(desk): AtDesk,
    Named(key): Named,
    Asked(asked): Asked<VersionsQuery>,
) -> Result<Json<List<Version>>, Problem> {
    let VersionsQuery { from, to, limit, cursor } = asked;
    let span = ask::span(from, to)?;
    let first_page = cursor.is_none();
    let page = ask::page(limit, cursor);
    let list = desk.journal.versions(&key, span, &page).await.map_err(refuse::journal)?;
    if list.items.is_empty()
        && (first_page && span == Span::default() || !existed(&desk, &key).await?)
    {
        return Err(refuse::never_existed(&key, desk.clock.now()));
    }
    Ok(Json(list))
}

async fn existed(desk: &Desk, key: &ResourceKey) -> Result<bool, Problem> {
    let resource = desk.journal.resource(key, AsOf::Latest).await.map_err(refuse::journal)?;
    Ok(resource.is_some())
}

#[derive(Deserialize)]
pub(crate) struct SeqPath {
    seq: String,
}

/// The bytes of a version, exactly as received.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/resources/{kind}/{id}/versions/{seq}/raw",
    operation_id = "raw",
    tag = "Resources",
    params(
        ShopPath,
        ResourcePath,
        ("seq" = u64, Path, description = "The version's sequence.")
    ),
    responses(
        (
            status = 200,
            description = "As received.",
            body = Value,
            content_type = "application/json"
        ),
        (
            status = 404,
            description = "There is no such version, or it stored no bytes of its own: member \
                `same_as` then names the version whose state it equals.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn raw(
    State(desk): AtDesk,
    Named(key): Named,
    Path(SeqPath { seq: asked }): Path<SeqPath>,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Response, Problem> {
    let none = || {
        let asked: String = asked.chars().take(100).collect();
        let detail = format!("{} {} of {} has no version {asked:?}", key.kind, key.id, key.shop);
        Problem::new(StatusCode::NOT_FOUND, detail)
    };
    let seq = asked.parse().map_err(|_| none())?;
    match desk.journal.raw(&key, seq).await.map_err(refuse::journal)? {
        Some(Raw::Bytes(bytes)) => {
            Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
        }
        Some(Raw::SameAs { seq: equal }) => {
            let detail = format!(
                "version {seq} changed nothing and stored no bytes; it equals version {equal}"
            );
            Err(Problem::new(StatusCode::NOT_FOUND, detail).with("same_as", equal))
        }
        None => Err(none()),
    }
}

/// What differs between two instants, field by field.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/resources/{kind}/{id}/diff",
    operation_id = "diff",
    tag = "Resources",
    params(
        ShopPath,
        ResourcePath,
        DiffQuery
    ),
    responses(
        (status = 200, description = "Nothing, if both are the same.", body = Diff),
        (
            status = 404,
            description = "It had never existed by either instant.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn diff(
    State(desk): AtDesk,
    Named(key): Named,
    Asked(DiffQuery { from, to }): Asked<DiffQuery>,
) -> Result<Json<Diff>, Problem> {
    let (from, mut old) = side(&desk, &key, Some(from)).await?;
    let (to, mut new) = side(&desk, &key, to).await?;
    if from.version.is_none() && to.version.is_none() {
        return Err(refuse::never_existed(&key, from.at.max(to.at)));
    }
    let patch = diff::patch(&old, &new);
    known::align(&mut old, &mut new);
    Ok(Json(Diff { changes: diff::fields(&old, &new), patch, from, to }))
}

/// One side of a difference, with its state: `null` where the resource did not exist.
async fn side(
    desk: &Desk,
    key: &ResourceKey,
    at: Option<Timestamp>,
) -> Result<(Side, Value), Problem> {
    let found = desk.journal.resource(key, ask::as_of(at)).await.map_err(refuse::journal)?;
    let Some(resource) = found else {
        let at = at.unwrap_or_else(|| desk.clock.now());
        return Ok((Side { at, exists: false, version: None }, Value::Null));
    };
    let at = desk.shown_at(at, resource.version.valid_at);
    let exists = !resource.deleted;
    let state = if exists { resource.state } else { Value::Null };
    Ok((Side { at, exists, version: Some(resource.version) }, state))
}
