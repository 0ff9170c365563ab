//! Erasures, and what is held of a person.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use backstock_proto::erase::{
    CUSTOMER_DATA_REQUEST, DATA_REQUEST, ERASURE, Erasure, Preview, Via, Whom, Wish,
};
use backstock_proto::journal::{
    AsOf, JournalError, List, PAGE_LIMIT_MAX, Page, Raw, ResourceFilter, Span, Version,
};
use backstock_proto::problem::Problem;
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, ResourceId, ResourceKey, Shop, Timestamp};
use futures::StreamExt as _;
use http::{StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, By, InShop, Nothing, ShopPath, ShortListQuery};
use crate::gate::Visit;
use crate::plan::gather::just_after;
use crate::token::Token;
use crate::{Desk, record, refuse};

const CUSTOMER: &str = "customer";

/// Whose data is to go.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NewErasure {
    /// A customer's, by number or gid.
    customer: Option<String>,
    /// Orders that are known to be that person's, beside those that history shows to be.
    orders: Vec<String>,
    /// Everything of the shop.
    shop: bool,
    /// For a whole shop: its domain, typed.
    confirm: Option<String>,
    /// Only say what it would reach.
    dry_run: bool,
}

/// Whose data is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDataRequest {
    /// The customer, by number or gid.
    customer: String,
    /// Orders that are known to be that person's, beside those that history shows to be.
    #[serde(default)]
    orders: Vec<String>,
}

/// Somebody asked what is held of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DataRequest {
    /// The customer.
    pub(crate) customer: ResourceId,
    /// When Shopify told us, for the first time since they were answered last; absent where nobody but
    /// a person with a token asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) requested_at: Option<Timestamp>,
    /// When it was last read out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answered_at: Option<Timestamp>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answered_by: Option<String>,
}

/// Has somebody's data erased, or says what that would reach.
///
/// It begins at once and cannot be undone. What remains is a receipt that names nobody but by id.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/erasures",
    operation_id = "erase",
    tag = "Privacy",
    params(ShopPath),
    request_body = NewErasure,
    responses(
        (status = 200, description = "A dry run: nothing is erased.", body = Preview),
        (status = 202, description = "It is on record and under way.", body = Erasure),
        (
            status = 409,
            description = "A whole shop is erased only if its domain is typed.",
            body = Problem,
            content_type = "application/problem+json"
        )
    )
)]
pub(crate) async fn erase(
    State(desk): AtDesk,
    InShop(shop): InShop,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<Response, Problem> {
    let asked: NewErasure = ask::body(&body)?;
    desk.known(&shop).await?;
    let orders = orders(&asked.orders)?;
    let whom = match (&asked.customer, asked.shop) {
        (Some(customer), false) => Whom::Customer(id("Customer", customer)?),
        (None, true) => Whom::Shop,
        _ => return Err(refuse::bad_request("say either `customer` or `\"shop\": true`")),
    };
    if asked.dry_run {
        return Ok(Json(reach(&desk, &shop, whom, &orders).await?).into_response());
    }
    let typed = asked.confirm.as_deref().and_then(|typed| Shop::parse(typed).ok());
    if whom == Whom::Shop && typed.as_ref() != Some(&shop) {
        let detail = format!(
            "everything that is kept of {shop} would be gone for good: send \"confirm\": \
             \"{}\" to have that",
            shop.domain()
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let confirmed = whom == Whom::Shop;
    let requested_at = desk.clock.now();
    let wish = Wish { whom, orders, via: Via::Api, by, requested_at, confirmed };
    let to = (&*desk.journal, &*desk.records);
    let name = wish.whom.name();
    record::put(to, &shop, (ERASURE, &name), &wish).await.map_err(refuse::record)?;
    let erasures = desk.journal.erasures(Some(&shop)).await.map_err(refuse::journal)?;
    let of = erasures.into_iter().find(|erasure| erasure.whom == wish.whom);
    let begun = of.ok_or_else(|| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it is on record; the journal lags behind")
    })?;
    Ok((StatusCode::ACCEPTED, Json(begun)).into_response())
}

/// What erasing somebody's data would reach. `orders` are known to be theirs, beside those that history
/// shows to be.
pub(crate) async fn reach(
    desk: &Desk,
    shop: &Shop,
    whom: Whom,
    orders: &[ResourceId],
) -> Result<Preview, Problem> {
    let concerned = desk.journal.concerned(shop, &whom, orders).await.map_err(refuse::journal)?;
    let mut kinds = BTreeMap::new();
    for resource in &concerned.resources {
        *kinds.entry(resource.kind.clone()).or_default() += 1;
    }
    Ok(Preview { whom, kinds, concerned })
}

/// What is erased, and what was: receipts.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/erasures",
    operation_id = "erasures",
    tag = "Privacy",
    params(ShopPath, ShortListQuery),
    responses((status = 200, description = "Most recently asked for first.", body = List<Erasure>))
)]
pub(crate) async fn erasures(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<ShortListQuery>,
) -> Result<Json<List<Erasure>>, Problem> {
    let items = desk.journal.erasures(Some(&shop)).await.map_err(refuse::journal)?;
    if items.is_empty() {
        desk.known(&shop).await?;
    }
    Ok(Json(part(items, asked)?))
}

/// Who asked what is held of them, as Shopify's `customers/data_request` told, and who was answered.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/data-requests",
    operation_id = "data_requests",
    tag = "Privacy",
    params(ShopPath, ShortListQuery),
    responses((status = 200, description = "By customer.", body = List<DataRequest>))
)]
pub(crate) async fn data_requests(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<ShortListQuery>,
) -> Result<Json<List<DataRequest>>, Problem> {
    desk.known(&shop).await?;
    let items = requests(&desk, &shop).await.map_err(refuse::journal)?;
    Ok(Json(part(items, asked)?))
}

/// The part of a list that is asked for.
fn part<T>(items: Vec<T>, asked: ShortListQuery) -> Result<List<T>, Problem> {
    let Page { limit, cursor } = asked.page();
    let from = cursor.map(|cursor| cursor.parse().map_err(|_| ask::wrong_cursor(&cursor)));
    let from: usize = from.transpose()?.unwrap_or(0);
    let next = (items.len() > from.saturating_add(limit)).then(|| (from + limit).to_string());
    Ok(List { items: items.into_iter().skip(from).take(limit).collect(), next })
}

async fn requests(desk: &Desk, shop: &Shop) -> Result<Vec<DataRequest>, JournalError> {
    let mut requests: BTreeMap<ResourceId, DataRequest> = BTreeMap::new();
    let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    let filter = ResourceFilter {
        kind: Kind::parse(CUSTOMER_DATA_REQUEST).ok(),
        ..ResourceFilter::default()
    };
    loop {
        let told = desk.journal.resources(shop, &filter, &page).await?;
        for told in told.items {
            let customer = told.id;
            let request = DataRequest {
                customer: customer.clone(),
                requested_at: Some(told.valid_at),
                answered_at: None,
                answered_by: None,
            };
            requests.insert(customer, request);
        }
        page.cursor = told.next;
        if page.cursor.is_none() {
            break;
        }
    }
    let mut answered_before: BTreeMap<ResourceId, Timestamp> = BTreeMap::new();
    loop {
        let answered = desk.journal.records(shop, DATA_REQUEST, None, &page).await?;
        for record in answered.items {
            let Ok(answer) = serde_json::from_value::<DataRequest>(record.payload) else {
                continue;
            };
            match requests.get_mut(&answer.customer) {
                // What was answered before is no answer to what was asked since.
                Some(request) if answer.answered_at < request.requested_at => {
                    answered_before.extend(answer.answered_at.map(|at| (answer.customer, at)));
                }
                Some(request) => {
                    request.answered_at = answer.answered_at;
                    request.answered_by = answer.answered_by;
                }
                None => drop(requests.insert(answer.customer.clone(), answer)),
            }
        }
        page.cursor = answered.next;
        if page.cursor.is_none() {
            break;
        }
    }
    for request in requests.values_mut() {
        if request.answered_at.is_none() {
            let before = answered_before.get(&request.customer).copied();
            let from = before.map_or(Timestamp::MIN, just_after);
            let first = first_asked(desk, shop, &request.customer, from).await?;
            request.requested_at = first.or(request.requested_at);
        }
    }
    Ok(requests.into_values().collect())
}

/// When a customer first asked from an instant on: who asks again has not begun to wait anew.
async fn first_asked(
    desk: &Desk,
    shop: &Shop,
    customer: &ResourceId,
    from: Timestamp,
) -> Result<Option<Timestamp>, JournalError> {
    let Some(key) = request_of(shop, customer) else { return Ok(None) };
    let span = Span { from, to: Timestamp::MAX };
    let (mut page, mut first) = (Page { limit: PAGE_LIMIT_MAX, cursor: None }, None);
    loop {
        let asked = desk.journal.versions(&key, span, &page).await?;
        first = asked.items.last().map(|version| version.valid_at).or(first);
        page.cursor = asked.next;
        if page.cursor.is_none() {
            return Ok(first);
        }
    }
}

/// What Shopify tells of it when a customer wants to know stands here.
fn request_of(shop: &Shop, customer: &ResourceId) -> Option<ResourceKey> {
    let kind = Kind::parse(CUSTOMER_DATA_REQUEST).ok()?;
    Some(ResourceKey { shop: shop.clone(), kind, id: customer.clone() })
}

/// Since when somebody has waited to be told what is held of them. Of whom everything is erased there is
/// nothing to tell.
pub(crate) async fn asked_since(
    desk: &Desk,
    shop: &Shop,
) -> Result<Option<Timestamp>, JournalError> {
    let mut open = requests(desk, shop).await?;
    open.retain(|request| request.answered_at.is_none());
    if open.is_empty() {
        return Ok(None);
    }
    let erased = desk.journal.erased(shop).await?;
    if let Ok(kind) = Kind::parse(CUSTOMER) {
        open.retain(|request| !erased.has(&kind, &request.customer));
    }
    Ok(open.into_iter().filter_map(|request| request.requested_at).min())
}

/// Everything that is held of a person: every version of every resource that speaks of them, with its
/// bytes as received, one a line.
///
/// The last line is `{"end": true, "count": n}`. A stream that fails ends with
/// `{"error": <problem>, "count": n}` instead, so one without either was cut.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/data-requests",
    operation_id = "data_request",
    tag = "Privacy",
    params(ShopPath),
    request_body = NewDataRequest,
    responses((
        status = 200,
        description = "One version a line, newest first within a resource.",
        body = String,
        content_type = "application/x-ndjson"
    ))
)]
pub(crate) async fn data_request(
    State(desk): AtDesk,
    Extension(visit): Extension<Visit>,
    InShop(shop): InShop,
    By(by): By,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<Response, Problem> {
    let NewDataRequest { customer, orders } = ask::body(&body)?;
    desk.known(&shop).await?;
    let (customer, mut orders) = (id("Customer", &customer)?, self::orders(&orders)?);
    orders.extend(orders_named(&desk, &shop, &customer).await?);
    let whom = Whom::Customer(customer.clone());
    let concerned = desk.journal.concerned(&shop, &whom, &orders).await.map_err(refuse::journal)?;
    let receipt = DataRequest {
        customer,
        requested_at: None,
        answered_at: Some(desk.clock.now()),
        answered_by: Some(by),
    };
    let key = |(kind, id)| ResourceKey { shop: shop.clone(), kind, id };
    let keys: Vec<_> = concerned.resources.into_iter().map(|r| key((r.kind, r.id))).collect();
    let (keys, name, token) = (keys.into_iter(), whom.name(), visit.token);
    let reading = Reading { keys, count: 0, shop, name, receipt, token };
    let pieces = futures::stream::unfold(Some((desk, reading)), async |going| {
        let (desk, mut reading) = going?;
        let (piece, more) = reading.next(&desk).await;
        Some((piece, more.then_some((desk, reading))))
    });
    let body = Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// The orders that Shopify named with the request: they are the person's, also where history does not
/// show it.
async fn orders_named(
    desk: &Desk,
    shop: &Shop,
    customer: &ResourceId,
) -> Result<Vec<ResourceId>, Problem> {
    let Some(key) = request_of(shop, customer) else { return Ok(Vec::new()) };
    let told = desk.journal.resource(&key, AsOf::Latest).await.map_err(refuse::journal)?;
    let state = told.map(|told| told.state).unwrap_or_default();
    let named = state["orders_requested"].as_array().into_iter().flatten();
    Ok(named.filter_map(|id| ResourceId::parse(id.to_string().trim_matches('"')).ok()).collect())
}

/// What is held of a person, on its way out.
struct Reading {
    keys: std::vec::IntoIter<ResourceKey>,
    count: u64,
    shop: Shop,
    /// Names whom it is about, on record.
    name: String,
    /// Goes on record once all of it was read out: what was cut is no answer.
    receipt: DataRequest,
    /// Who reads it out.
    token: Option<Arc<Token>>,
}

impl Reading {
    /// The versions of the next resource, and whether more comes.
    async fn next(&mut self, desk: &Desk) -> (Bytes, bool) {
        if !self.token.as_ref().is_some_and(|token| desk.tokens.still_valid(token)) {
            let revoked =
                Problem::new(StatusCode::UNAUTHORIZED, "the token was revoked while reading");
            return (line(&json!({"error": revoked, "count": self.count})), false);
        }
        let Some(key) = self.keys.next() else {
            let to = (&*desk.journal, &*desk.records);
            let put = record::put(to, &self.shop, (DATA_REQUEST, &self.name), &self.receipt).await;
            let end = match put.map_err(refuse::record) {
                Ok(_) => json!({"end": true, "count": self.count}),
                Err(problem) => json!({"error": problem, "count": self.count}),
            };
            return (line(&end), false);
        };
        match self.versions(desk, &key).await {
            Ok(piece) => (piece.into(), true),
            Err(error) => {
                let problem = refuse::journal(error);
                (line(&json!({"error": problem, "count": self.count})), false)
            }
        }
    }

    async fn versions(&mut self, desk: &Desk, key: &ResourceKey) -> Result<Vec<u8>, JournalError> {
        let mut piece = Vec::new();
        let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        loop {
            let versions = desk.journal.versions(key, Span::default(), &page).await?;
            for version in versions.items {
                let body = body_of(desk, key, &version).await?;
                piece.extend_from_slice(&line(&json!({
                    "kind": key.kind, "id": key.id, "version": version, "body": body,
                })));
                self.count += 1;
            }
            page.cursor = versions.next;
            if page.cursor.is_none() {
                return Ok(piece);
            }
        }
    }
}

/// The bytes of a version, as JSON; a version that says the same as another one names that.
async fn body_of(desk: &Desk, key: &ResourceKey, version: &Version) -> Result<Value, JournalError> {
    Ok(match desk.journal.raw(key, version.seq).await? {
        Some(Raw::Bytes(bytes)) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Some(Raw::SameAs { seq }) => json!({"same_as": seq}),
        None => Value::Null,
    })
}

fn line(value: &Value) -> Bytes {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line.into()
}

/// A number, or the gid of one of these: that of something else has a number too, which names somebody.
fn id(of: &str, text: &str) -> Result<ResourceId, Problem> {
    if text.starts_with("gid:") && gid_type(text) != Some(of) {
        let why = format!("{text:?} is no gid like \"gid://shopify/{of}/1\"");
        return Err(refuse::bad_request(why));
    }
    let id = ResourceId::parse(text);
    id.map_err(|error| refuse::bad_request(format!("{text:?} names nobody: {error}")))
}

fn orders(texts: &[String]) -> Result<Vec<ResourceId>, Problem> {
    texts.iter().map(|text| id("Order", text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_named_by_the_gid_of_something_else() {
        let named = |text| id("Customer", text).map(|id| id.to_string()).map_err(|p| p.status);
        assert_eq!(named("7"), Ok("7".into()));
        assert_eq!(named("gid://shopify/Customer/7"), Ok("7".into()));
        for other in ["gid://shopify/Order/7", "gid://shopify/Customer/", "gid:7", ""] {
            assert_eq!(named(other), Err(400), "{other}");
        }
        assert!(orders(&["gid://shopify/Order/7".into()]).is_ok());
        assert!(orders(&["gid://shopify/Customer/7".into()]).is_err());
    }
}
