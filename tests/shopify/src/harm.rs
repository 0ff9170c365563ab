//! Harm that an app does to a shop, of one sort, to one thing after the other.

use serde::Deserialize;
use serde_json::json;

use crate::gid::Gid;
use crate::shop::Shop;

/// What is done to each of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Harm {
    /// Prices are a tenth.
    PricesCollapsed,
    /// Everything is for free.
    PricesZero,
    /// Prices are below what the things cost, and not so low that everybody would see it.
    PricesBelowCost,
    /// Descriptions are empty.
    TextsEmptied,
    /// Everything is called the same.
    TextsReplaced,
    /// Products are drafts.
    Unpublished,
    /// Tags are gone.
    TagsWiped,
    /// Stock-keeping units are empty.
    SkusWiped,
    /// Products are gone.
    Deleted,
    /// Collections are gone.
    CollectionsDeleted,
}

impl Harm {
    /// All sorts.
    pub const ALL: [Self; 10] = [
        Self::PricesCollapsed,
        Self::PricesZero,
        Self::PricesBelowCost,
        Self::TextsEmptied,
        Self::TextsReplaced,
        Self::Unpublished,
        Self::TagsWiped,
        Self::SkusWiped,
        Self::Deleted,
        Self::CollectionsDeleted,
    ];

    /// What it hits, as GraphQL calls it.
    #[must_use]
    pub fn hits(self) -> &'static str {
        match self {
            Self::CollectionsDeleted => "Collection",
            _ => "Product",
        }
    }

    /// Does it to one of them.
    pub fn strike(self, shop: &mut Shop, gid: Gid) {
        match self {
            Self::PricesCollapsed => shop.reprice(gid, 10),
            Self::PricesZero => shop.reprice(gid, 0),
            // What the catalog's things cost is two fifths of their price.
            Self::PricesBelowCost => shop.reprice(gid, 39),
            Self::TextsEmptied => edit(shop, gid, "descriptionHtml", json!("")),
            Self::TextsReplaced => edit(shop, gid, "title", json!("SALE")),
            Self::Unpublished => edit(shop, gid, "status", json!("DRAFT")),
            Self::TagsWiped => edit(shop, gid, "tags", json!([])),
            Self::SkusWiped => shop.set_skus(gid, |_| json!("")),
            Self::Deleted => {
                shop.delete_product(gid);
            }
            Self::CollectionsDeleted => {
                shop.delete_collection(gid);
            }
        }
    }
}

fn edit(shop: &mut Shop, gid: Gid, field: &str, value: serde_json::Value) {
    shop.edit_product(gid, |product| product[field] = value);
}
