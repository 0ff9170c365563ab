//! Which rows of a plan bring back what is counted of a variant: its inventory item, and how much there is
//! of it where. A product is made with that (`write/product/stock.rs`), long before those rows have their
//! turn, so they are read when it is made.
//!
//! Held are which row is of which item, in sixteen bytes a row, and the pieces of the plan that were read
//! last. Items stand in the order of their numbers, as products do: what is made together mostly stands
//! together.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use backstock_proto::{Kind, ResourceId};
use serde_json::Value;
use tokio::sync::Mutex;

use super::runner::{RunError, Runner, gid_of};
use crate::plan::Row;
use crate::write;
use crate::write::look::Extent;

/// Pieces of the plan that are held.
const PIECES_MAX: usize = 8;

/// The rows by their items, and what was read of them.
#[derive(Default)]
pub(super) struct Counted {
    /// The number that an item had first, and a row that brings back the item or a level of it.
    rows: Vec<(u64, u64)>,
    pieces: Mutex<VecDeque<(u64, Arc<Vec<Row>>)>>,
    /// Whether stock may be put at a location.
    locations: Mutex<HashMap<String, bool>>,
}

impl Counted {
    /// Takes up a row that is to be done, by the gid that its item had first.
    pub(super) fn add(&mut self, item: &str, n: u64) {
        self.rows.extend(number(item).map(|item| (item, n)));
    }

    /// All rows are taken up.
    pub(super) fn sorted(mut self) -> Self {
        self.rows.sort_unstable();
        self
    }

    /// The rows of an item, itself first.
    fn rows_of(&self, item: &str) -> &[(u64, u64)] {
        let Some(item) = number(item) else { return &[] };
        let from = self.rows.partition_point(|(of, _)| *of < item);
        let to = self.rows.partition_point(|(of, _)| *of <= item);
        &self.rows[from..to]
    }
}

/// The gid of the inventory item that a row is about.
pub(super) fn item_of(row: &Row) -> Option<String> {
    match (row.kind.as_str(), row.id.as_str().split_once('-')) {
        ("inventory_item", _) => gid_of(row),
        ("inventory_level", Some((item, _))) => Some(format!("gid://shopify/InventoryItem/{item}")),
        _ => None,
    }
}

fn number(gid: &str) -> Option<u64> {
    gid.rsplit('/').next()?.parse().ok()
}

impl Runner {
    /// What the plan brings back of an inventory item: itself, and its levels where there may be stock now.
    pub(super) async fn counted(&self, item: &str) -> Result<Vec<Value>, RunError> {
        let mut states = Vec::new();
        for (_, n) in self.counted.rows_of(&self.first(item)) {
            let Some(row) = self.counted_row(*n).await? else { continue };
            let Some(mut state) = self.as_it_was(&row).await? else { continue };
            self.written().rewrite(&mut state);
            let location = state["location"]["id"].as_str().unwrap_or_default();
            let is_level = row.kind.spec().is_some_and(write::is_stock);
            if !is_level || self.may_stock(location).await? {
                states.push(state);
            }
        }
        Ok(states)
    }

    async fn counted_row(&self, n: u64) -> Result<Option<Row>, RunError> {
        let place = self.plan.piece_of(n);
        let mut held = self.counted.pieces.lock().await;
        let known = held.iter().find(|(at, _)| *at == place).map(|(_, rows)| rows.clone());
        let rows = match known {
            Some(rows) => rows,
            None => {
                let mut rows = self.piece(place).await?.unwrap_or_default();
                rows.retain(|row| item_of(row).is_some());
                let rows = Arc::new(rows);
                if held.len() >= PIECES_MAX {
                    held.pop_front();
                }
                held.push_back((place, rows.clone()));
                rows
            }
        };
        let at = rows.binary_search_by_key(&n, |row| row.n).ok();
        Ok(at.and_then(|at| rows.get(at).cloned()))
    }

    /// Whether stock may be put at a location: it is in the shop, and in use.
    async fn may_stock(&self, location: &str) -> Result<bool, RunError> {
        let mut known = self.counted.locations.lock().await;
        if let Some(may) = known.get(location) {
            return Ok(*may);
        }
        let spec = Kind::parse("location").ok().and_then(|kind| kind.spec());
        let (Some(spec), Ok(id)) = (spec, ResourceId::parse(location)) else { return Ok(false) };
        let found = self.read(spec, std::slice::from_ref(&id), Extent::Core).await?;
        let is_used = |state: &Value| state["isActive"] == true;
        let may = found.is_ok_and(|found| found.get(&id).is_some_and(is_used));
        known.insert(location.to_owned(), may);
        Ok(may)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_an_item_are_found_by_its_number_itself_first() {
        let gid = |n: u64| format!("gid://shopify/InventoryItem/{n}");
        let mut counted = Counted::default();
        for (item, n) in [(7, 4), (9, 5), (9, 8), (7, 6)] {
            counted.add(&gid(item), n);
        }
        counted.add("none", 9);
        let counted = counted.sorted();
        assert_eq!(counted.rows_of(&gid(7)), [(7, 4), (7, 6)]);
        assert_eq!(counted.rows_of(&gid(9)), [(9, 5), (9, 8)]);
        assert!(counted.rows_of(&gid(8)).is_empty() && counted.rows_of("none").is_empty());
    }
}
