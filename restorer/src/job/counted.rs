//! Which rows of a plan bring back what is counted of a variant: its inventory item, and how much there is
//! of it where. A product is made with that (`write/product/stock.rs`), long before those rows have their
//! turn, so they are read when it is made. About those of which all came with it nobody asks the shop again.
//!
//! Held are which row is of which item, in sixteen bytes a row, whether all of it came, in a bit, and the
//! pieces of the plan that were read last, as long as products are made. Items stand in the order of their
//! numbers, as products do: what is made together mostly stands together.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use backstock_proto::{Kind, ResourceId};
use lru::LruCache;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::runner::{RunError, Runner, gid_of};
use crate::plan::Row;
use crate::write;
use crate::write::look::Extent;

/// Rows that are read together. Those of one item always are: as many as the shop has locations, which may
/// be a thousand.
const TOGETHER: usize = 500;
/// Pieces of the plan that are held.
const PIECES_MAX: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");
/// After so many products in a row that could be made only without their stock none is made with it.
const REFUSED_MAX: u32 = 3;

/// The rows of one piece that are of items, once they are read.
type Piece = Arc<OnceCell<Vec<Row>>>;

/// The rows by their items, and what was read of them.
pub(super) struct Counted {
    /// The number that an item had first, and a row that brings back the item or a level of it.
    rows: Vec<(u64, u64)>,
    pieces: Mutex<LruCache<u64, Piece>>,
    /// Whether stock may be put at a location. Who asks of some waits for the answer to others.
    locations: tokio::sync::Mutex<HashMap<String, bool>>,
    /// Products in a row that could be made only without their stock.
    refused: AtomicU32,
    /// Rows of which all came with a product, a bit each by their numbers. Whoever takes the job up anew
    /// knows of none.
    came: Mutex<Vec<u64>>,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            pieces: Mutex::new(LruCache::new(PIECES_MAX)),
            locations: tokio::sync::Mutex::default(),
            refused: AtomicU32::new(0),
            came: Mutex::default(),
        }
    }
}

impl Counted {
    /// Takes up a row that is to be done, by the gid that its item had first.
    pub(super) fn add(&mut self, item: &str, n: u64) {
        self.rows.extend(number(item).map(|item| (item, n)));
    }

    /// All rows are taken up.
    pub(super) fn sorted(mut self) -> Self {
        self.rows.sort_unstable();
        self.rows.shrink_to_fit();
        self
    }

    /// The rows of an item, itself first.
    fn rows_of(&self, item: &str) -> &[(u64, u64)] {
        let Some(item) = number(item) else { return &[] };
        let from = self.rows.partition_point(|(of, _)| *of < item);
        let to = self.rows.partition_point(|(of, _)| *of <= item);
        &self.rows[from..to]
    }

    /// The rows of the first of some items: of so many of these as are read together.
    fn of_first(&self, items: impl Iterator<Item = String>) -> Vec<&[(u64, u64)]> {
        let mut count = 0;
        let fits = |rows: &&[(u64, u64)]| {
            count += rows.len();
            count <= TOGETHER || count == rows.len()
        };
        items.map(|item| self.rows_of(&item)).take_while(fits).collect()
    }

    fn piece(&self, place: u64) -> Piece {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.get_or_insert(place, Piece::default).clone()
    }

    /// Lets go of the pieces that were read: what is made next mostly has nothing counted of it.
    pub(super) fn lets_go(&self) {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Hears that a product was made with its stock, and with all of some rows, or only without.
    pub(super) fn hears(&self, whole: Option<&[u64]>) {
        let Some(whole) = whole else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.refused.store(0, Ordering::Relaxed);
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        for n in whole {
            let (at, bit) = bit_of(*n);
            if came.len() <= at {
                came.resize(at + 1, 0);
            }
            came[at] |= bit;
        }
    }

    /// Whether all of a row came with a product.
    pub(super) fn came(&self, n: u64) -> bool {
        let (at, bit) = bit_of(n);
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.get(at).is_some_and(|bits| bits & bit != 0)
    }

    /// Whether the shop takes no stock with what is made: then all of it is left to its own rows.
    fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed) >= REFUSED_MAX
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

/// The gid of the location of which a row's state says how much there is.
fn location_of(row: &Row, state: &Value) -> Option<String> {
    let is_level = row.kind.spec().is_some_and(write::is_stock);
    is_level.then(|| state["location"]["id"].as_str().unwrap_or_default().to_owned())
}

fn number(gid: &str) -> Option<u64> {
    gid.rsplit('/').next()?.parse().ok()
}

/// Where the bit of a row stands, and the bit.
fn bit_of(n: u64) -> (usize, u64) {
    ((n / 64) as usize, 1 << (n % 64))
}

impl Runner {
    /// What the plan brings back of each of the first of some inventory items, by their rows: itself, and its
    /// levels where there may be stock now.
    pub(super) async fn counted(&self, items: &[&str]) -> Result<Vec<Vec<(u64, Value)>>, RunError> {
        if self.counted.is_refused() {
            return Ok(vec![Vec::new(); items.len()]);
        }
        let of_items = self.counted.of_first(items.iter().map(|item| self.first(item)));
        let (mut rows, mut of): (Vec<Row>, Vec<usize>) = (Vec::new(), Vec::new());
        for (place, item) in of_items.iter().enumerate() {
            for (_, n) in *item {
                let row = self.counted_row(*n).await?;
                rows.extend(row);
                of.resize(rows.len(), place);
            }
        }
        self.read_ahead(&rows).await?;
        let (mut states, mut locations) = (Vec::with_capacity(rows.len()), HashSet::new());
        for (row, place) in rows.iter().zip(of) {
            let Some(state) = self.as_it_was(row).await? else { continue };
            let location = location_of(row, &state);
            locations.extend(location.clone());
            states.push((place, row.n, location, state));
        }
        let used = self.used(locations).await?;
        let mut counted = vec![Vec::new(); of_items.len()];
        for (place, n, location, state) in states {
            if location.is_none_or(|location| used.contains(&location)) {
                counted[place].push((n, state));
            }
        }
        Ok(counted)
    }

    async fn counted_row(&self, n: u64) -> Result<Option<Row>, RunError> {
        let place = self.plan.piece_of(n);
        let piece = self.counted.piece(place);
        let rows = piece.get_or_try_init(|| self.counted_rows(place)).await?;
        let at = rows.binary_search_by_key(&n, |row| row.n).ok();
        Ok(at.and_then(|at| rows.get(at).cloned()))
    }

    async fn counted_rows(&self, place: u64) -> Result<Vec<Row>, RunError> {
        let mut rows = self.piece_on_record(place).await?;
        rows.retain(|row| item_of(row).is_some());
        rows.shrink_to_fit();
        Ok(rows)
    }

    /// Those of some locations at which stock may be put: they are in the shop, and in use.
    async fn used(&self, mut locations: HashSet<String>) -> Result<HashSet<String>, RunError> {
        let mut known = self.counted.locations.lock().await;
        let unknown = locations.iter().filter(|location| !known.contains_key(*location));
        let parsed =
            |location: &String| Some((location.clone(), ResourceId::parse(location).ok()?));
        let unknown: Vec<(String, ResourceId)> = unknown.filter_map(parsed).collect();
        let ids: Vec<ResourceId> = unknown.iter().map(|(_, id)| id.clone()).collect();
        if let Some(spec) = Kind::parse("location").ok().and_then(|kind| kind.spec()) {
            let found = self.read(spec, &ids, Extent::Core).await?.unwrap_or_default();
            known.extend(unknown.into_iter().map(|(location, id)| {
                let is_used = found.get(&id).is_some_and(|state| state["isActive"] == true);
                (location, is_used)
            }));
        }
        locations.retain(|location| known.get(location) == Some(&true));
        Ok(locations)
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

    #[test]
    fn no_more_items_are_read_together_than_have_few_rows_or_one_with_many() {
        let gid = |n: u64| format!("gid://shopify/InventoryItem/{n}");
        let mut counted = Counted::default();
        for (item, rows) in [(1, 1_001), (2, 300), (3, 200), (5, 1)] {
            (0..rows).for_each(|n| counted.add(&gid(item), n));
        }
        let counted = counted.sorted();
        let read = |items: &[u64]| -> Vec<usize> {
            counted.of_first(items.iter().map(|n| gid(*n))).into_iter().map(<[_]>::len).collect()
        };
        assert_eq!(read(&[1, 2, 3]), [1_001]);
        assert_eq!(read(&[2, 3, 4, 5]), [300, 200, 0]);
        assert_eq!(read(&[4, 1, 5]), [0, 1_001]);
        assert_eq!(read(&[5]), [1]);
    }

    #[test]
    fn where_the_shop_takes_no_stock_again_and_again_none_is_told_any_more() {
        let counted = Counted::default();
        let takes = |taken: bool| counted.hears(taken.then_some([].as_slice()));
        [false, false, true, false, false].into_iter().for_each(takes);
        assert!(!counted.is_refused());
        takes(false);
        assert!(counted.is_refused());
    }

    #[test]
    fn what_came_is_known_by_its_row() {
        let counted = Counted::default();
        counted.hears(Some(&[63, 130]));
        counted.hears(Some(&[64]));
        let came: Vec<u64> = (0..200).filter(|n| counted.came(*n)).collect();
        assert_eq!(came, [63, 64, 130]);
    }
}
