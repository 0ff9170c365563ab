//! Plans on record: their rows in pieces, and then the plan itself, so that a plan that can be found
//! is whole.

use backstock_proto::Shop;
use backstock_proto::journal::{Journal, List, Page};
use backstock_proto::publish::Records;
use serde_json::Value;

use super::{Action, PLAN, Plan, PlanError, Request, Row};
use crate::job::rows::{self, PLAN_ROWS};
use crate::record::{self, RecordError};

/// About how large such a record is. One row alone may be larger.
const PIECE_BYTES: usize = 512 << 10;
/// Most rows in one.
const PIECE_ROWS: usize = 2_000;

/// Puts rows on record as they come, in memory that does not grow with the plan.
pub(crate) struct Writer<'a> {
    records: &'a dyn Records,
    shop: &'a Shop,
    plan: &'a str,
    digest: blake3::Hasher,
    /// The next row.
    n: u64,
    /// The first row of each piece.
    firsts: Vec<u64>,
    piece: Vec<Value>,
    bytes: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        records: &'a dyn Records,
        shop: &'a Shop,
        plan: &'a str,
        request: &Request,
    ) -> Result<Self, RecordError> {
        let mut digest = blake3::Hasher::new();
        let asked =
            serde_json::to_vec(request).map_err(|e| RecordError::unreadable(PLAN, plan, &e))?;
        digest.update(&asked);
        let (firsts, piece) = (Vec::new(), Vec::new());
        Ok(Self { records, shop, plan, digest, n: 0, firsts, piece, bytes: 0 })
    }

    /// The next row, in the order in which they are written.
    pub(crate) async fn push(&mut self, mut row: Row) -> Result<(), RecordError> {
        row.n = self.n;
        self.n += 1;
        let row = serde_json::to_value(row)
            .map_err(|e| RecordError::unreadable(PLAN_ROWS, self.plan, &e))?;
        let text = row.to_string();
        self.digest.update(b"\n").update(text.as_bytes());
        let full = self.piece.len() >= PIECE_ROWS || self.bytes + text.len() > PIECE_BYTES;
        if full && !self.piece.is_empty() {
            self.flush().await?;
        }
        if self.piece.is_empty() {
            self.firsts.push(self.n - 1);
        }
        self.bytes += text.len();
        self.piece.push(row);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), RecordError> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let id = format!("{}.{}", self.plan, self.firsts.len() - 1);
        let rows = Value::Array(std::mem::take(&mut self.piece));
        self.bytes = 0;
        self.records.put(self.shop, PLAN_ROWS, &id, &rows).await?;
        Ok(())
    }

    /// Puts the rest on record. Answers the digest over the request and every row, and the first row
    /// of each piece.
    pub(crate) async fn finish(mut self) -> Result<(String, Vec<u64>), RecordError> {
        self.flush().await?;
        Ok((self.digest.finalize().to_hex().to_string(), self.firsts))
    }
}

/// Which rows are asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RowFilter {
    pub(crate) action: Option<Action>,
    pub(crate) kind: Option<backstock_proto::Kind>,
}

/// A plan; `None` if there never was one of this name.
pub(crate) async fn get(
    journal: &dyn Journal,
    shop: &Shop,
    id: &str,
) -> Result<Option<Plan>, RecordError> {
    record::get(journal, shop, (PLAN, id)).await
}

/// A page of a plan's rows, from the row that the cursor names.
pub(crate) async fn page(
    journal: &dyn Journal,
    shop: &Shop,
    plan: &Plan,
    filter: &RowFilter,
    page: &Page,
) -> Result<List<Row>, PlanError> {
    let from: u64 = match &page.cursor {
        None => 0,
        Some(cursor) => cursor
            .parse()
            .map_err(|_| PlanError::Ask(format!("cursor {cursor:?} is not one of ours")))?,
    };
    let asked = |row: &Row| {
        row.n >= from
            && filter.action.is_none_or(|action| row.action == action)
            && filter.kind.as_ref().is_none_or(|kind| row.kind == *kind)
    };
    let mut items: Vec<Row> = Vec::new();
    for n in plan.piece_of(from)..plan.pieces().end {
        let piece = rows::on_record(journal, shop, &plan.id, n).await?;
        for row in piece.into_iter().filter(asked) {
            if items.len() == page.limit {
                return Ok(List { next: Some(row.n.to_string()), items });
            }
            items.push(row);
        }
    }
    Ok(List { items, next: None })
}
