//! What keeps a shop's history in order: its subscriptions, and how long history is kept.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use backstock_proto::admin::{AdminError, Client};
use backstock_proto::journal::Page;
use backstock_proto::problem::Problem;
use backstock_proto::pulls::{Ordered, UNTOLD};
use backstock_proto::retain::{ALL, HOLD, RETENTION, RetainError, Retained, retain};
use backstock_proto::subscribe::{
    SUBSCRIPTIONS, Subscriptions, Wish, app_toml, heal, metaobject_types, metaobject_types_now,
};
use backstock_proto::{Mode, Shop};
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{Asked, InShop, Nothing, ShopPath};
use crate::{Desk, record, refuse};

/// A shop's subscriptions, and what its app can subscribe itself to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Subscribed {
    #[serde(flatten)]
    subscriptions: Subscriptions,
    /// For the app's `shopify.app.toml`: what only an app can subscribe itself to.
    app_toml: String,
    /// The same with everything else, for an app that subscribes itself to all of it.
    app_toml_whole: String,
}

/// What to do about old history.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retain {
    /// Only say how much would go.
    dry_run: bool,
    /// Have everything kept from now on, or no longer; without it nothing changes about that.
    hold: Option<bool>,
}

/// How a shop's subscriptions are, and what mending them would do.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/subscriptions",
    operation_id = "subscriptions",
    tag = "Care",
    params(ShopPath),
    responses(
        (status = 200, description = "Nothing is changed.", body = Subscribed),
        (
            status = 409,
            description = "`http.public_url` or the shop's credentials are not configured.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn subscriptions(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<Subscribed>, Problem> {
    mended(&desk, &shop, Mode::DryRun).await
}

/// Creates what is missing of a shop's subscriptions and mends what is wrong.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/subscriptions",
    operation_id = "subscribe",
    tag = "Care",
    params(ShopPath),
    responses(
        (status = 200, description = "What was done.", body = Subscribed),
        (
            status = 409,
            description = "`http.public_url` or the shop's credentials are not configured.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn subscribe(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<Subscribed>, Problem> {
    mended(&desk, &shop, Mode::Apply).await
}

async fn mended(desk: &Desk, shop: &Shop, mode: Mode) -> Result<Json<Subscribed>, Problem> {
    desk.known(shop).await?;
    let (admin, public_url) = subscribable(desk, shop)?;
    let known = metaobject_types(desk.journal.as_ref(), shop).await.map_err(refuse::journal)?;
    let types = metaobject_types_now(admin).await.map_err(shop_failed)?.unwrap_or(known);
    let before: Option<Subscriptions> = newest(desk, shop, SUBSCRIPTIONS).await?;
    let is_first = before.is_none();
    let other_version = before.map(|before| before.other_version).unwrap_or_default();
    let wish =
        Wish { public_url: public_url.clone(), metaobject_types: types.clone(), other_version };
    let healed = heal(admin, &wish, desk.clock.now(), mode).await;
    let subscriptions = healed.map_err(shop_failed)?;
    if !mode.is_dry() {
        let to = (desk.journal.as_ref(), desk.records.as_ref());
        let ordered = Ordered { at: desk.clock.now(), confirm_deletions: false };
        // The first time everything is read anyway.
        let untold = if is_first { BTreeSet::new() } else { subscriptions.untold() };
        for kind in untold {
            let recorded = record::put(to, shop, (UNTOLD, kind.as_str()), &ordered).await;
            recorded.map_err(refuse::record)?;
        }
        let recorded = record::put(to, shop, (SUBSCRIPTIONS, ALL), &subscriptions).await;
        recorded.map_err(refuse::record)?;
    }
    let version = &admin.access().api_version;
    let toml = |only_app| app_toml(public_url, version, &types, only_app);
    let (app_toml, app_toml_whole) = (toml(true), toml(false));
    Ok(Json(Subscribed { subscriptions, app_toml, app_toml_whole }))
}

fn subscribable<'d>(desk: &'d Desk, shop: &Shop) -> Result<(&'d Client, &'d Url), Problem> {
    let conflict = |detail: String| Problem::new(StatusCode::CONFLICT, detail);
    let admin = desk.admins.get(shop).ok_or_else(|| {
        conflict(format!(
            "{} has no Admin API credentials here: set shop.access_token, or client_id and \
             client_secret",
            shop.domain()
        ))
    })?;
    let public_url = desk.config.public_url.as_ref().ok_or_else(|| {
        conflict(
            "http.public_url is not configured: set the https address under which Shopify \
             reaches the ingest port"
                .into(),
        )
    })?;
    Ok((admin, public_url))
}

/// Keeps no longer what need not be kept, or says how much would go.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/retention",
    operation_id = "retention",
    tag = "Care",
    params(ShopPath),
    request_body(content = Retain, description = "It is done, if there is no body."),
    responses((status = 200, description = "What went, or would go.", body = Retained))
)]
pub(crate) async fn retention(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<Json<Retained>, Problem> {
    desk.known(&shop).await?;
    let asked: Retain = match body.is_empty() {
        true => Retain::default(),
        false => serde_json::from_slice(&body)
            .map_err(|e| refuse::bad_request(format!("the body is not understood: {e}")))?,
    };
    let to = (desk.journal.as_ref(), desk.records.as_ref());
    if let Some(on) = asked.hold {
        let hold = json!({"on": on, "at": desk.clock.now().to_string()});
        record::put(to, &shop, (HOLD, ALL), &hold).await.map_err(refuse::record)?;
    }
    // A word about what is kept is no wish to have something go.
    let mode = Mode::of(asked.dry_run || asked.hold.is_some());
    let how = (desk.config.retention, desk.clock.now());
    let retained = retain((desk.journal.as_ref(), &desk.blobs), &shop, how, mode).await;
    let retained = retained.map_err(not_thinned)?;
    if !mode.is_dry() {
        record::put(to, &shop, (RETENTION, ALL), &retained).await.map_err(refuse::record)?;
    }
    Ok(Json(retained))
}

/// The newest record of a sort of which there is one id only.
pub(super) async fn newest<T: DeserializeOwned>(
    desk: &Desk,
    shop: &Shop,
    what: &str,
) -> Result<Option<T>, Problem> {
    let page = Page { limit: 1, cursor: None };
    let records = desk.journal.records(shop, what, Some(ALL), &page).await;
    let newest = records.map_err(refuse::journal)?.items.into_iter().next();
    Ok(newest.and_then(|record| serde_json::from_value(record.payload).ok()))
}

fn shop_failed(error: AdminError) -> Problem {
    tracing::warn!(%error, "failed to ask the shop");
    Problem::new(StatusCode::BAD_GATEWAY, error.to_string())
}

/// What was done stands, and the next time does the rest. Where it failed is the log's to say.
fn not_thinned(error: RetainError) -> Problem {
    match error {
        RetainError::Journal(error) => refuse::journal(error),
        RetainError::Blob(error) => {
            tracing::warn!(%error, "failed to thin history");
            let detail = "the blob storage failed, so it was not done wholly; try again later";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }
}
