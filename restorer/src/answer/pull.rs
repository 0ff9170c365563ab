//! Pulls: the past ones, and one made now.

use std::cmp::Reverse;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use backstock_proto::journal::{List, PAGE_LIMIT_MAX, PULL, Page, PullReport, PullState, Record};
use backstock_proto::problem::Problem;
use backstock_proto::pulls::Order;
use backstock_proto::{Kind, ResourceId, Timestamp, kind};
use futures::future::try_join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, InShop, Nothing, PullsQuery, ShopPath};
use crate::refuse;

/// Most resources that one order names.
const IDS_MAX: usize = 1_000;

/// What is to be pulled now.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reconcile {
    /// These kinds; all of them, if empty.
    kinds: Vec<Kind>,
    /// These resources only, of the one kind that is named.
    ids: Vec<ResourceId>,
    /// Believe that many resources are gone at once.
    confirm_deletions: bool,
}

/// Where to see what comes of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ordered {
    /// The path of the shop's pulls.
    pulls: String,
    /// When it was ordered: pulls begun since then are those.
    at: Timestamp,
}

/// Compares history with the shop now, and corrects history.
#[utoipa::path(
    post,
    path = "/v1/shops/{shop}/reconcile",
    operation_id = "reconcile",
    tag = "Care",
    params(ShopPath),
    request_body(content = Reconcile, description = "All kinds, if there is no body."),
    responses((status = 202, description = "Ordered: its pulls tell the rest.", body = Ordered))
)]
pub(crate) async fn reconcile(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(Nothing {}): Asked<Nothing>,
    body: Bytes,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    desk.known(&shop).await?;
    let asked: Reconcile = match body.is_empty() {
        true => Reconcile::default(),
        false => serde_json::from_slice(&body).map_err(|e| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the body is not understood: {e}"))
        })?,
    };
    if !desk.admins.contains_key(&shop) {
        let detail = format!(
            "{} has no Admin API credentials here: set shop.access_token, or client_id and \
             client_secret",
            shop.domain()
        );
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    let Reconcile { kinds, ids, confirm_deletions } = asked;
    if let Some(unknown) = kinds.iter().find(|kind| kind.spec().is_none_or(|s| s.pulls.is_empty()))
    {
        let detail = format!("{unknown} is no kind that can be pulled");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    if ids.len() > IDS_MAX || (!ids.is_empty() && kinds.len() != 1) {
        let detail = format!("ids takes at most {IDS_MAX}, all of the one kind in kinds");
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    let (at, path) = (desk.clock.now(), format!("/v1/shops/{}/pulls", shop.domain()));
    let ordered = desk.pulls.order(Order { shop, kinds, ids, confirm_deletions }).await;
    ordered.map_err(|error| {
        tracing::warn!(%error, "failed to order a pull");
        let detail = "the compactor does not take the order just now; try again in a moment";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    })?;
    Ok((StatusCode::ACCEPTED, Json(Ordered { pulls: path, at })))
}

/// The pulls that ended, and those that run, the one that was put on record last first. A page may be
/// shorter than asked for, and there may be more.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/pulls",
    operation_id = "pulls",
    tag = "Care",
    params(ShopPath, PullsQuery),
    responses((status = 200, description = "Newest first.", body = List<PullReport>))
)]
pub(crate) async fn pulls(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<PullsQuery>,
) -> Result<Json<List<PullReport>>, Problem> {
    desk.known(&shop).await?;
    let page = ask::page(asked.limit, asked.cursor);
    let specs = kind::ALL.iter().filter(|spec| !spec.pulls.is_empty());
    let specs =
        specs.filter(|spec| asked.kind.as_ref().is_none_or(|kind| kind.as_str() == spec.name));
    let of_kinds = specs.map(|spec| {
        let page = Page { limit: PAGE_LIMIT_MAX, cursor: page.cursor.clone() };
        let (journal, shop) = (&desk.journal, &shop);
        async move { journal.records(shop, PULL, Some(spec.name), &page).await }
    });
    let of_kinds = try_join_all(of_kinds).await.map_err(refuse::journal)?;
    Ok(Json(newest_first(of_kinds, &page)))
}

/// A page of the pulls of several kinds. Of those that run, or were cut, only the newest of each kind
/// is told, at the top: a cut one is made anew, and what it has put on record says nothing any more.
fn newest_first(of_kinds: Vec<List<Record>>, page: &Page) -> List<PullReport> {
    // What is older than the end of a kind's records that were read may have others before it.
    let read_to = of_kinds
        .iter()
        .filter(|list| list.next.is_some())
        .filter_map(|list| list.items.last())
        .map(|record| record.seq)
        .max();
    let mut all: Vec<(u64, PullReport)> = Vec::new();
    for list in of_kinds {
        for (n, record) in list.items.into_iter().enumerate() {
            let Ok(report) = serde_json::from_value::<PullReport>(record.payload) else { continue };
            let newest = n == 0 && page.cursor.is_none();
            let whole = read_to.is_none_or(|to| record.seq >= to);
            if whole && (newest || report.state != PullState::Running) {
                all.push((record.seq, report));
            }
        }
    }
    all.sort_by_key(|(seq, _)| Reverse(*seq));
    let more = all.len() > page.limit;
    all.truncate(page.limit);
    let next = if more { all.last().map(|(seq, _)| *seq) } else { read_to };
    let items = all.into_iter().map(|(_, report)| report).collect();
    List { items, next: next.map(|seq| seq.to_string()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(seq: u64, kind: &str, state: &str) -> Record {
        let recorded_at = Timestamp::from_micros(i64::try_from(seq).expect("small"));
        let payload = json!({"kind": kind, "state": state, "started_at": recorded_at});
        Record { what: PULL.into(), id: kind.into(), seq, recorded_at, payload }
    }

    fn list(kind: &str, of_kind: &[(u64, &str)], next: Option<&str>) -> List<Record> {
        let items = of_kind.iter().map(|(seq, state)| record(*seq, kind, state)).collect();
        List { items, next: next.map(str::to_owned) }
    }

    fn told(list: &List<PullReport>) -> Vec<i64> {
        list.items.iter().map(|report| report.started_at.as_micros()).collect()
    }

    #[test]
    fn every_pull_that_ended_is_told_once_and_what_runs_first() {
        let products =
            [(9, "running"), (8, "running"), (7, "complete"), (6, "running"), (2, "failed")];
        let pages = [(5, "complete"), (4, "running"), (1, "complete")];
        let lists = || vec![list("product", &products, None), list("page", &pages, None)];
        let all = newest_first(lists(), &Page { limit: 100, cursor: None });
        assert_eq!((told(&all), &all.next), (vec![9, 7, 5, 2, 1], &None));
        let some = newest_first(lists(), &Page { limit: 2, cursor: None });
        assert_eq!((told(&some), some.next.as_deref()), (vec![9, 7], Some("7")));
    }

    #[test]
    fn nothing_is_left_out_where_a_kind_was_not_read_to_its_end() {
        let lists = vec![
            list("product", &[(9, "complete"), (6, "complete")], Some("6")),
            list("page", &[(7, "complete"), (3, "complete")], None),
        ];
        let page = newest_first(lists, &Page { limit: 100, cursor: None });
        assert_eq!((told(&page), page.next.as_deref()), (vec![9, 7, 6], Some("6")));
        let rest = vec![
            list("product", &[(5, "running"), (4, "complete")], None),
            list("page", &[(3, "complete")], None),
        ];
        let rest = newest_first(rest, &Page { limit: 100, cursor: Some("6".into()) });
        assert_eq!((told(&rest), rest.next), (vec![4, 3], None));
    }
}
