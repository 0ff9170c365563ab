//! Marks: what a person notes down ("about to install Bulk Editor"), and what signs show of an app
//! that comes. A mark is a named safety point, and evidence of who did what comes after it.

use backstock_proto::journal::{Journal, JournalError, List, PAGE_LIMIT_MAX, Page};
use backstock_proto::{Shop, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change_set::AppMark;

/// What a record of a mark stands under.
pub const MARK: &str = "mark";

/// Longest label and app, in characters.
pub(crate) const TEXT_MAX: usize = 200;

/// Something noted down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mark {
    /// Names it.
    pub id: String,
    /// What it says.
    pub label: String,
    /// The app that it is about, by its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The moment that it marks.
    pub at: Timestamp,
    /// Who noted it; the guard, where signs showed it.
    pub by: String,
    /// Whether signs showed it, rather than a person.
    #[serde(default)]
    pub inferred: bool,
}

/// The marks of a shop, most recently noted first: as many as a list has at most.
pub(crate) async fn all(journal: &dyn Journal, shop: &Shop) -> Result<Vec<Mark>, JournalError> {
    let whole = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    Ok(page(journal, shop, &whole).await?.items)
}

/// A part of them.
pub(crate) async fn page(
    journal: &dyn Journal,
    shop: &Shop,
    page: &Page,
) -> Result<List<Mark>, JournalError> {
    let List { items, next } = journal.records(shop, MARK, None, page).await?;
    let marks = items.into_iter().filter_map(|r| serde_json::from_value(r.payload).ok());
    Ok(List { items: marks.collect(), next })
}

/// What was noted about apps between two instants.
pub(crate) async fn of_apps(
    journal: &dyn Journal,
    shop: &Shop,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<AppMark>, JournalError> {
    let marks = all(journal, shop).await?.into_iter();
    let of_apps = marks.filter(|mark| (from..=to).contains(&mark.at)).filter_map(|mark| {
        let app = mark.app?.into();
        Some(AppMark { app, at: mark.at, said: !mark.inferred })
    });
    Ok(of_apps.collect())
}
