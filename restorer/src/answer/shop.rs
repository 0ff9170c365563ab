//! Shops and how they are.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::State;
use axum::{Extension, Json};
use backstock_proto::Shop;
use backstock_proto::journal::{
    CheckpointReport, List, Page, ShopStatus, ShopSummary, VerifyReport,
};
use backstock_proto::problem::Problem;
use backstock_proto::retain::{RETENTION, Retained};
use backstock_proto::subscribe::{SUBSCRIPTIONS, Subscriptions};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AtDesk, upkeep};
use crate::ask::{self, Asked, InShop, Nothing, ShopPath, ShopsQuery, ShortListQuery};
use crate::gate::Visit;
use crate::health::ShopListed;
use crate::proof::{Proof, nightly};
use crate::{health, refuse};

/// The shops that this token sees.
#[utoipa::path(
    get,
    path = "/v1/shops",
    operation_id = "shops",
    tag = "Shops",
    params(ShopsQuery),
    responses((status = 200, description = "By name.", body = List<ShopListed>))
)]
pub(crate) async fn shops(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    Asked(asked): Asked<ShopsQuery>,
) -> Result<Json<List<ShopListed>>, Problem> {
    let ShopsQuery { q, health, limit, cursor } = asked;
    let Page { limit, cursor } = ShortListQuery { limit, cursor }.page();
    let after = cursor.map(|c| Shop::parse(&c).map_err(|_| ask::wrong_cursor(&c))).transpose()?;
    let with_history = desk.journal.shops().await.map_err(refuse::journal)?;
    let mut shops: BTreeMap<Shop, ShopSummary> =
        desk.config.shops.iter().map(|shop| (shop.clone(), nothing_yet(shop))).collect();
    shops.extend(with_history.into_iter().map(|summary| (summary.shop.clone(), summary)));
    let q = q.unwrap_or_default();
    let mut list = {
        let sees = |shop: &Shop| visit.token.as_ref().is_some_and(|token| token.shops.holds(shop));
        let unseen = |shop: &Shop| after.as_ref().is_none_or(|after| shop > after);
        let wanted = |s: &ShopSummary| sees(&s.shop) && unseen(&s.shop) && is_named(&s.shop, &q);
        let mut wanted = shops.into_values().filter(wanted);
        let items: Vec<ShopListed> = wanted.by_ref().take(limit).map(Into::into).collect();
        let more = wanted.next().and(items.last());
        let next = more.map(|last| last.summary.shop.domain());
        List { items, next }
    };
    if health == Some(true) {
        health::tell(&desk, &mut list.items).await;
    }
    Ok(Json(list))
}

/// Whether a text is a part of a shop's name, in any case. Of a domain, the part that tells shops apart
/// counts.
fn is_named(shop: &Shop, text: &str) -> bool {
    let text = text.trim().to_lowercase();
    shop.name().contains(text.trim_end_matches(".myshopify.com"))
}

/// One shop, kind by kind, and what keeps its history in order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Status {
    #[serde(flatten)]
    pub(crate) history: ShopStatus,
    /// Its webhook subscriptions, where we look after them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subscriptions: Option<Subscriptions>,
    /// What was no longer kept, at the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<Retained>,
    /// The last proof that it could be restored, or what stands against that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<Proof>,
}

/// One shop, kind by kind.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/status",
    operation_id = "status",
    tag = "Shops",
    params(ShopPath),
    responses((status = 200, description = "Kinds by name.", body = Status))
)]
pub(crate) async fn status(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<Status>, Problem> {
    let history = match desk.journal.status(&shop).await.map_err(refuse::journal)? {
        Some(history) => history,
        None if desk.config.shops.contains(&shop) => ShopStatus {
            summary: nothing_yet(&shop),
            kinds: Vec::new(),
            gaps: Vec::new(),
            quarantined: 0,
        },
        None => return Err(refuse::unknown_shop(&shop.domain())),
    };
    let subscriptions = upkeep::newest(&desk, &shop, SUBSCRIPTIONS).await?;
    let retention = upkeep::newest(&desk, &shop, RETENTION).await?;
    let proof = nightly::last(&desk, &shop).await.map_err(refuse::journal)?;
    Ok(Json(Status { history, subscriptions, retention, proof }))
}

/// Reads all stored history back and checks every digest and every invariant.
///
/// Takes as long as reading everything takes. Stops when the caller goes away.
#[utoipa::path(
    post,
    path = "/v1/verify",
    operation_id = "verify",
    tag = "Care",
    responses((
        status = 200,
        description = "What was read, and what does not hold; nothing, if faults_total is 0.",
        body = VerifyReport
    ))
)]
pub(crate) async fn verify(
    State(desk): AtDesk,
    Asked(Nothing {}): Asked<Nothing>,
) -> Result<Json<VerifyReport>, Problem> {
    desk.journal.verify().await.map(Json).map_err(refuse::journal)
}

/// Where a checkpoint goes.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct CheckpointTo {
    /// One of the configuration's `storage.copies`, such as `s3://bucket/prefix`. No other place is
    /// written to.
    to: Option<String>,
}

/// Copies the journal as it is now into the object store.
///
/// Only what no earlier checkpoint has is copied. Each partition is copied by itself.
#[utoipa::path(
    post,
    path = "/v1/checkpoint",
    operation_id = "checkpoint",
    tag = "Care",
    request_body(content = CheckpointTo, description = "`storage.url`, if there is no body."),
    responses((status = 200, description = "One for each partition.", body = Vec<CheckpointReport>))
)]
pub(crate) async fn checkpoint(
    State(desk): AtDesk,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<Json<Vec<CheckpointReport>>, Problem> {
    let asked: CheckpointTo = match body.is_empty() {
        true => CheckpointTo::default(),
        false => serde_json::from_slice(&body)
            .map_err(|e| refuse::bad_request(format!("the body is not understood: {e}")))?,
    };
    desk.journal.checkpoint(asked.to.as_deref()).await.map(Json).map_err(refuse::journal)
}

/// A configured shop of which nothing has been heard.
fn nothing_yet(shop: &Shop) -> ShopSummary {
    ShopSummary {
        shop: shop.clone(),
        resources: 0,
        versions: 0,
        newest_received_at: None,
        lag_seconds: 0.0,
    }
}
