//! The rows of a plan, as they are on record: piece by piece.

use backstock_proto::Shop;
use backstock_proto::journal::{Journal, Page};

use crate::plan::Row;
use crate::record::RecordError;

/// What a record of some of a plan's rows stands under, as `<plan>.<n>`, from 0.
pub(crate) const PLAN_ROWS: &str = "plan_rows";

/// A piece of a plan's rows; `None`: there are no more.
pub(crate) async fn piece(
    journal: &dyn Journal,
    shop: &Shop,
    plan: &str,
    n: u64,
) -> Result<Option<Vec<Row>>, RecordError> {
    let id = format!("{plan}.{n}");
    let newest = Page { limit: 1, cursor: None };
    let found = journal.records(shop, PLAN_ROWS, Some(&id), &newest).await?.items.pop();
    let rows = found.map(|record| serde_json::from_value(record.payload));
    rows.transpose().map_err(|e| RecordError::unreadable(PLAN_ROWS, &id, &e))
}

/// A piece that the plan says it has.
pub(crate) async fn on_record(
    journal: &dyn Journal,
    shop: &Shop,
    plan: &str,
    n: u64,
) -> Result<Vec<Row>, RecordError> {
    let found = piece(journal, shop, plan, n).await?;
    found.ok_or_else(|| RecordError::Missing { plan: plan.into(), shop: shop.clone(), n })
}
