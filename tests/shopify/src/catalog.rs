//! What a shop holds before anything happens to it: a function of the seed, of any size.

mod content;
mod customer;
mod order;
mod product;
pub(crate) mod words;

pub(crate) use order::{Line, Sale, bag, cents, two_decimals};
pub(crate) use product::{cents_to_decimal, cents_to_money, image};

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::gid::Gid;
use crate::instant;
use crate::store::{Origin, link};

/// A product has no more variants than this.
pub const VARIANTS_MAX: u64 = 2048;
/// Where stock is kept.
pub const LOCATIONS: u64 = 2;

/// How large a shop is.
#[derive(Clone, Debug)]
pub struct Size {
    /// Products in the catalog.
    pub products: u64,
    /// Every so many products is a big one; 0 for none.
    pub big_every: u64,
    /// How many variants a big product has.
    pub big_variants: u64,
    /// Customers.
    pub customers: u64,
    /// Orders already placed.
    pub orders: u64,
    /// Collections; every second is smart, and has about a seventh of all products.
    pub collections: u64,
    /// Places where stock is kept from the beginning, at most [`LOCATIONS`].
    pub locations: u64,
}

impl Size {
    /// A shop of usual proportions around so many products.
    #[must_use]
    pub fn of_products(products: u64) -> Self {
        Self {
            products,
            big_every: 50,
            big_variants: 150,
            customers: products.max(4),
            orders: products.max(4) / 2,
            collections: 4 + products / 20,
            locations: LOCATIONS,
        }
    }

    /// A shop that was opened just now: Shopify gives it one place for stock, and nothing of this.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            products: 0,
            big_every: 0,
            big_variants: 0,
            customers: 0,
            orders: 0,
            collections: 0,
            locations: 1,
        }
    }

    /// Whether it was opened just now.
    pub(crate) fn is_empty(&self) -> bool {
        self.products == 0 && self.locations < LOCATIONS
    }
}

/// The catalog of one shop.
#[derive(Clone, Debug)]
pub struct Catalog {
    dice: Dice,
    size: Size,
    founded: Timestamp,
    cdn: String,
}

impl Catalog {
    /// The catalog of a seed, complete at `founded`, with its media under `cdn`.
    #[must_use]
    pub fn new(dice: Dice, size: Size, founded: Timestamp, cdn: String) -> Self {
        Self { dice: dice.of("catalog"), size, founded, cdn }
    }

    /// An instant so many days before the beginning, jittered by `n`.
    fn before(&self, n: u64, days: RangeInclusive<i64>) -> String {
        let dice = self.dice.of("before");
        let span = (days.end() - days.start()).unsigned_abs() * 86_400;
        let offset = i64::try_from(dice.below(n, span.max(1))).unwrap_or_default();
        let back = SignedDuration::from_secs(days.start() * 86_400 + offset);
        instant::graphql(self.founded - back)
    }
}

/// The publications that every shop here has: the online store and the point of sale.
#[must_use]
pub fn publications() -> [Gid; 2] {
    [Gid::nth("Publication", 0), Gid::nth("Publication", 1)]
}

/// The entry of a resource that is published on the `n`-th publication.
#[must_use]
pub fn published(n: u64, at: &str) -> Value {
    json!({
        "__typename": "ResourcePublicationV2",
        "publication": link(Gid::nth("Publication", n)),
        "publishDate": at,
        "isPublished": true,
    })
}

/// The names of a country and of a province in it, by their codes, where they are known.
pub(crate) fn place(country: &str, province: &str) -> (Option<&'static str>, Option<&'static str>) {
    let in_country = || words::CITIES.iter().filter(|city| city[4] == country);
    let name = in_country().next().map(|city| city[3]);
    (name, in_country().find(|city| city[2] == province).map(|city| city[1]))
}

/// A text as Shopify makes a handle of it: lower case, everything else a hyphen.
#[must_use]
pub fn handle(title: &str) -> String {
    let mut handle = String::with_capacity(title.len());
    for letter in title.chars() {
        if letter.is_alphanumeric() {
            handle.extend(letter.to_lowercase());
        } else if !handle.ends_with('-') && !handle.is_empty() && letter != '\'' {
            handle.push('-');
        }
    }
    handle.truncate(handle.trim_end_matches('-').len());
    let cut = handle.char_indices().nth(255).map_or(handle.len(), |(at, _)| at);
    handle.truncate(cut);
    handle
}

impl Origin for Catalog {
    fn document(&self, type_name: &str, n: u64) -> Option<Value> {
        match type_name {
            "Product" => self.product(n),
            "ProductVariant" => self.variant(n),
            "InventoryItem" => self.inventory_item(n),
            "InventoryLevel" => self.inventory_level(n),
            "MediaImage" => self.media(n),
            "Customer" => self.customer(n),
            "Order" => self.order(n),
            "Collection" => self.collection(n),
            "Location" => self.location(n),
            "Publication" => self.publication(n),
            _ => None,
        }
    }

    fn numbers<'a>(&'a self, type_name: &str) -> Box<dyn Iterator<Item = u64> + Send + 'a> {
        match type_name {
            "Product" => Box::new(0..self.size.products),
            "ProductVariant" | "InventoryItem" => Box::new(self.variant_numbers()),
            "InventoryLevel" => Box::new(
                self.variant_numbers()
                    .flat_map(|n| (0..LOCATIONS).map(move |at| n * LOCATIONS + at)),
            ),
            "MediaImage" => {
                Box::new((0..self.size.products).flat_map(|n| {
                    (0..self.media_count(n)).map(move |k| n * product::MEDIA_MAX + k)
                }))
            }
            "Customer" => Box::new(0..self.size.customers),
            "Order" => Box::new(0..self.size.orders),
            "Collection" => Box::new(0..self.size.collections),
            "Location" => Box::new(0..self.size.locations),
            "Publication" => Box::new(0..2),
            _ => Box::new(0..0),
        }
    }

    fn end(&self, type_name: &str) -> u64 {
        let Size { products, customers, orders, .. } = self.size;
        match type_name {
            "Product" => products,
            "ProductVariant" | "InventoryItem" => products * VARIANTS_MAX,
            "InventoryLevel" => products * VARIANTS_MAX * LOCATIONS,
            "ProductOption" => products * product::OPTIONS_MAX,
            "ProductOptionValue" => products * product::OPTIONS_MAX * product::VALUES_MAX,
            "MediaImage" | "ProductImage" | "ImageSource" => products * product::MEDIA_MAX,
            "Customer" => customers,
            "MailingAddress" => customers * customer::ADDRESSES_MAX,
            "Order" | "ShippingLine" | "OrderTransaction" => orders,
            "LineItem" => orders * order::LINES_MAX,
            "Collection" => self.size.collections,
            "Location" => LOCATIONS,
            "Publication" => 2,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(seed: u64) -> Catalog {
        let founded = "2026-11-01T00:00:00Z".parse().unwrap();
        Catalog::new(Dice::new(seed), Size::of_products(60), founded, "http://cdn".into())
    }

    #[test]
    fn every_number_has_its_document_and_no_other() {
        let catalog = catalog(1);
        for kind in [
            "Product",
            "ProductVariant",
            "InventoryItem",
            "InventoryLevel",
            "MediaImage",
            "Customer",
            "Order",
            "Collection",
            "Location",
            "Publication",
        ] {
            let numbers: Vec<u64> = catalog.numbers(kind).collect();
            assert!(!numbers.is_empty(), "{kind}");
            for n in &numbers {
                let document = catalog.document(kind, *n).unwrap_or_else(|| panic!("{kind} {n}"));
                let id = document["id"].as_str().unwrap();
                assert_eq!(id.parse(), Ok(Gid::nth(kind, *n)));
            }
            let end = catalog.end(kind);
            assert!(numbers.iter().all(|n| *n < end));
            assert!(catalog.document(kind, end).is_none(), "{kind}");
        }
    }

    #[test]
    fn a_seed_is_a_catalog() {
        assert_eq!(catalog(1).document("Product", 3), catalog(1).document("Product", 3));
        assert_ne!(catalog(1).document("Product", 3), catalog(2).document("Product", 3));
    }

    #[test]
    fn some_products_are_bigger_than_a_webhook_carries() {
        let catalog = catalog(1);
        let most = (0..60).filter_map(|n| catalog.document("Product", n));
        let most = most.map(|product| product["variants"].as_array().unwrap().len()).max();
        assert_eq!(most, Some(150));
    }

    #[test]
    fn handles() {
        assert_eq!(handle("Café \"Noir\" — No. 9!"), "café-noir-no-9");
        assert_eq!(handle("O'Hara"), "ohara");
    }
}
