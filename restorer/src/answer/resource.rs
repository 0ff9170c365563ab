//! Resources as of an instant.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use backstock_proto::Timestamp;
use backstock_proto::journal::{List, Resource, ResourceFilter, Summary};
use backstock_proto::problem::Problem;
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, AtQuery, InShop, Named, ResourcePath, ResourcesQuery, ShopPath};
use crate::{Desk, refuse};

/// A resource as of an instant.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResourceAt {
    /// The instant.
    pub(crate) at: Timestamp,
    #[serde(flatten)]
    pub(crate) resource: Resource,
    #[serde(flatten)]
    pub(crate) moved: Moved,
}

/// Where the history of a resource goes on that was made anew under another id.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Moved {
    /// The gid that it has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_to: Option<String>,
    /// The gid that it had first.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved_from: Option<String>,
}

impl Moved {
    /// What jobs made of a resource.
    async fn of(desk: &Desk, resource: &Resource) -> Result<Self, Problem> {
        let Some(gid) = resource.gid.as_deref() else { return Ok(Self::default()) };
        let books = &desk.jobs.tools.books;
        let written = books.of(desk.journal.as_ref(), &resource.shop).await;
        let written = written.map_err(refuse::record)?;
        Ok(Self { moved_to: written.now(gid), moved_from: written.first(gid) })
    }
}

/// Lists and searches, also what no longer exists.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/resources",
    operation_id = "resources",
    tag = "Resources",
    params(
        ShopPath,
        ResourcesQuery
    ),
    responses((status = 200, description = "By kind and id.", body = List<Summary>))
)]
pub(crate) async fn resources(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<ResourcesQuery>,
) -> Result<Json<List<Summary>>, Problem> {
    let ResourcesQuery { kind, q, at, deleted, limit, cursor } = asked;
    desk.known(&shop).await?;
    let filter = ResourceFilter { kind, q, at, deleted };
    let page = ask::page(limit, cursor);
    desk.journal.resources(&shop, &filter, &page).await.map(Json).map_err(refuse::journal)
}

/// One resource as of an instant.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/resources/{kind}/{id}",
    operation_id = "resource",
    tag = "Resources",
    params(
        ShopPath,
        ResourcePath,
        AtQuery
    ),
    responses(
        (status = 200, description = "As it was.", body = ResourceAt, example = json!({
            "at": "2026-10-01T14:03:00Z",
            "shop": "acme.myshopify.com",
            "kind": "product",
            "id": "8072139866342",
            "gid": "gid://shopify/Product/8072139866342",
            "deleted": false,
            "version": {
                "seq": 4711,
                "op": "update",
                "source": "webhook",
                "facet": "core",
                "valid_at": "2026-10-01T14:02:11Z",
                "recorded_at": "2026-10-01T14:02:12.048113Z",
                "received_at": "2026-10-01T14:02:12.041Z",
                "triggered_at": "2026-10-01T14:02:11.512Z",
                "topic": "products/update",
                "api_version": "2026-10",
                "webhook_id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
                "event_id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
                "hash": "8f4e33f3dc3e414ff94e5fb6905cba8c9c1b1b3f2b5d0f5d0c1f9e7a3b2c4d5e",
                "unchanged": false
            },
            "state": {"id": "gid://shopify/Product/8072139866342", "title": "Enamel Mug"}
        })),
        (
            status = 404,
            description = "It had never existed by then.",
            body = Problem,
            content_type = "application/problem+json"
        ),
        (
            status = 410,
            description = "It had been deleted by then: members `version` (the end) and `state` \
                (the last one before it) say what it was.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn resource(
    State(desk): AtDesk,
    Named(key): Named,
    Asked(AtQuery { at }): Asked<AtQuery>,
) -> Result<Response, Problem> {
    let found = desk.journal.resource(&key, ask::as_of(at)).await.map_err(refuse::journal)?;
    let Some(resource) = found else {
        let by = at.unwrap_or_else(|| desk.clock.now());
        return Err(refuse::never_existed(&key, by));
    };
    let at = desk.shown_at(at, resource.version.valid_at);
    let moved = Moved::of(&desk, &resource).await?;
    if resource.deleted {
        return Err(gone(resource, at, moved));
    }
    Ok((StatusCode::OK, Json(ResourceAt { at, resource, moved })).into_response())
}

/// What is said of a resource that had been deleted by then.
fn gone(resource: Resource, at: Timestamp, moved: Moved) -> Problem {
    let Resource { shop, kind, id, gid, deleted, version, state } = resource;
    let now = moved.moved_to.as_ref().map(|gid| format!(". It was made anew, and is {gid} now"));
    let detail = format!(
        "{kind} {id} of {shop} was deleted at {}; its last state is in `state`{}",
        version.valid_at,
        now.unwrap_or_default()
    );
    let mut problem = Problem::new(StatusCode::GONE, detail)
        .with("at", at.to_string())
        .with("shop", shop.domain())
        .with("kind", kind.as_str())
        .with("id", id.as_str())
        .with("gid", gid)
        .with("deleted", deleted)
        .with("version", json!(version))
        .with("state", state);
    for (name, gid) in [("moved_to", moved.moved_to), ("moved_from", moved.moved_from)] {
        if let Some(gid) = gid {
            problem = problem.with(name, gid);
        }
    }
    problem
}
