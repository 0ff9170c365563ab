//! Change-sets: what belongs together among single changes, and who did it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use backstock_proto::Shop;
use backstock_proto::journal::{Change, JournalError, List, Span};
use backstock_proto::problem::Problem;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::AtDesk;
use crate::ask::{self, Asked, ChangeSetsQuery, InShop, PageQuery, ShopPath};
use crate::change_set::read::{self, Sources, Wanted};
use crate::change_set::{ChangeSet, ChangeSetId, Undone, doubt};
use crate::job::written::Written;
use crate::{Desk, refuse};

/// A change-set with its single changes.
#[derive(Serialize, ToSchema)]
pub(crate) struct WithChanges {
    #[serde(flatten)]
    set: ChangeSet,
    /// Its changes, oldest first, a page of them.
    changes: List<Change>,
}

/// Change-sets, newest first.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/change-sets",
    operation_id = "change_sets",
    tag = "Changes",
    params(ShopPath, ChangeSetsQuery),
    responses((status = 200, description = "By their last change, newest first.", body = List<ChangeSet>))
)]
pub(crate) async fn change_sets(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Asked(asked): Asked<ChangeSetsQuery>,
) -> Result<Json<List<ChangeSet>>, Problem> {
    let ChangeSetsQuery { from, to, kind, app, limit, cursor } = asked;
    let span = ask::span(from, to)?;
    let page = ask::page(limit, cursor);
    desk.known(&shop).await?;
    let around = desk.around(&shop).await.map_err(refuse::journal)?;
    let sources = desk.sources(&shop, &around);
    let wanted = Wanted { span, kind, by: app, ..Wanted::default() };
    desk.book.list(sources, &wanted, &page).await.map(Json).map_err(refuse::journal)
}

#[derive(Deserialize)]
pub(crate) struct SetPath {
    set: String,
}

/// One change-set with its changes.
#[utoipa::path(
    get,
    path = "/v1/shops/{shop}/change-sets/{set}",
    operation_id = "change_set",
    tag = "Changes",
    params(
        ShopPath,
        ("set" = String, Path, description = "Its id, or one that it had before more was known."),
        PageQuery
    ),
    responses((status = 200, description = "With its changes, oldest first.", body = WithChanges))
)]
pub(crate) async fn change_set(
    State(desk): AtDesk,
    InShop(shop): InShop,
    Path(SetPath { set: named }): Path<SetPath>,
    Asked(PageQuery { limit, cursor }): Asked<PageQuery>,
) -> Result<Json<WithChanges>, Problem> {
    let page = ask::page(limit, cursor);
    desk.known(&shop).await?;
    let around = desk.around(&shop).await.map_err(refuse::journal)?;
    let sources = desk.sources(&shop, &around);
    let id = ChangeSetId::parse(&named).map_err(|_| no_such_set(&shop, &named))?;
    let found = desk.book.find(sources, id).await.map_err(refuse::journal)?;
    let (set, traces) = found.ok_or_else(|| no_such_set(&shop, &named))?;
    let begin: usize = match &page.cursor {
        Some(cursor) => {
            cursor.parse().map_err(|_| refuse::bad_request("cursor is not one of ours"))?
        }
        None => 0,
    };
    let asked: Vec<_> = traces.iter().skip(begin).take(page.limit).cloned().collect();
    let items = read::whole(sources, &asked).await.map_err(refuse::journal)?;
    let end = begin + asked.len();
    let next = (end < traces.len()).then(|| end.to_string());
    Ok(Json(WithChanges { set, changes: List { items, next } }))
}

pub(crate) fn no_such_set(shop: &Shop, named: &str) -> Problem {
    let named: String = named.chars().take(60).collect();
    let detail = format!(
        "{shop} has no change-set {named:?}: `GET /v1/shops/{shop}/change-sets` lists what there is"
    );
    Problem::new(StatusCode::NOT_FOUND, detail)
}

impl Desk {
    /// What else is known in a shop that says who did what.
    pub(crate) async fn around(&self, shop: &Shop) -> Result<Around, JournalError> {
        let written = self.jobs.tools.books.of(&*self.journal, shop).await;
        let written = written.map_err(|e| JournalError::Unavailable(e.to_string()))?;
        Ok(Around { ours: self.ours.title(self.admins.get(shop)).await, written })
    }

    /// What undoing a change-set undoes, resource by resource, and what is not sure about that.
    pub(crate) async fn undone_set(
        &self,
        shop: &Shop,
        id: &str,
    ) -> Result<(Vec<Undone>, Option<String>), Problem> {
        let parsed = ChangeSetId::parse(id).map_err(|_| no_such_set(shop, id))?;
        let around = self.around(shop).await.map_err(refuse::journal)?;
        let found = self.book.find(self.sources(shop, &around), parsed).await;
        let (set, traces) = found.map_err(refuse::journal)?.ok_or_else(|| no_such_set(shop, id))?;
        Ok((read::undone(&traces), set.actor.doubt()))
    }

    /// What undoing an app undoes that it did between two instants, resource by resource, and what is
    /// not sure about that.
    pub(crate) async fn undone_app(
        &self,
        shop: &Shop,
        app: &str,
        span: Span,
    ) -> Result<(Vec<Undone>, Option<String>), Problem> {
        let around = self.around(shop).await.map_err(refuse::journal)?;
        let theirs = self.book.of_app(self.sources(shop, &around), app, span).await;
        let (traces, sure) = theirs.map_err(refuse::journal)?;
        Ok((read::undone(&traces), doubt(app, sure)))
    }

    /// What change-sets are made of.
    pub(crate) fn sources<'a>(&'a self, shop: &'a Shop, around: &'a Around) -> Sources<'a> {
        let Around { ours, written } = around;
        Sources { journal: &*self.journal, shop, ours: ours.as_deref(), written }
    }
}

/// What says who did what, beside history.
pub(crate) struct Around {
    /// The title of the app that Backstock is.
    ours: Option<String>,
    /// What our jobs wrote.
    written: Arc<Written>,
}
