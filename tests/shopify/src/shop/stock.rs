//! What happens to stock.

use serde_json::{Value, json};

use super::Shop;
use crate::gid::Gid;
use crate::store::{Store, target, targets};

/// How many of an inventory item can be sold, at all locations.
#[must_use]
pub fn available(store: &Store, item: Gid) -> i64 {
    let Some(document) = store.get(item) else { return 0 };
    targets(&document, "inventoryLevels")
        .filter_map(|level| store.get(level))
        .filter_map(|level| quantity(&level, "available"))
        .sum()
}

/// One of a level's quantities.
pub(crate) fn quantity(level: &Value, name: &str) -> Option<i64> {
    level["_quantities"][name].as_i64()
}

impl Shop {
    /// Adds to what a level can sell, and to what is there.
    pub fn adjust_available(&mut self, level: Gid, delta: i64) {
        self.change_level(level, |quantities| {
            for name in ["available", "on_hand"] {
                quantities[name] = json!(quantities[name].as_i64().unwrap_or_default() + delta);
            }
        });
    }

    /// Moves what was sold from available to committed.
    pub(super) fn commit_stock(&mut self, level: Gid, count: i64) {
        self.change_level(level, |quantities| {
            for (name, delta) in [("available", -count), ("committed", count)] {
                quantities[name] = json!(quantities[name].as_i64().unwrap_or_default() + delta);
            }
        });
    }

    /// Changes a level. The product is announced too, although nothing of its own changed:
    /// that is the noise that Shopify makes.
    pub(crate) fn change_level(&mut self, level: Gid, change: impl FnOnce(&mut Value)) {
        if !self.update(level, |state| change(&mut state["_quantities"])) {
            return;
        }
        self.announce("inventory_levels/update", level);
        let product = self.store.get(level).and_then(|level| {
            let item = self.store.get(target(&level["item"])?)?;
            self.product_of(target(&item["variant"])?)
        });
        if let Some(product) = product {
            self.edit_product(product, |_| {});
        }
    }

    /// Where a variant is kept.
    #[must_use]
    pub fn levels(&self, variant: Gid) -> Vec<Gid> {
        let item = self.store.get(variant).and_then(|variant| target(&variant["inventoryItem"]));
        let item = item.and_then(|item| self.store.get(item));
        item.map(|item| targets(&item, "inventoryLevels").collect()).unwrap_or_default()
    }
}
