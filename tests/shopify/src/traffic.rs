//! An ordinary day: buyers buy, staff edit, stock moves.

pub(crate) mod settings;

use crate::catalog::VARIANTS_MAX;
use crate::dice::Dice;
use crate::gid::Gid;
use crate::shop::{Actor, Cart, Shop};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What somebody does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Order,
    CountStock,
    EditText,
    Reprice,
    SaveUnchanged,
    AddProduct,
    DeleteProduct,
    EditCollection,
    AddCollection,
    DeleteCollection,
    AddCustomer,
    EditCustomer,
    EditOrder,
    CancelOrder,
    FulfilOrder,
    RefundOrder,
    KeepHouse,
}

/// Deeds and how many of a hundred they are.
const DAY: [(Deed, u64); 17] = [
    (Deed::FulfilOrder, 2),
    (Deed::RefundOrder, 1),
    (Deed::KeepHouse, 4),
    (Deed::Order, 15),
    (Deed::CountStock, 24),
    (Deed::EditText, 14),
    (Deed::Reprice, 8),
    (Deed::SaveUnchanged, 4),
    (Deed::AddProduct, 5),
    (Deed::DeleteProduct, 2),
    (Deed::EditCollection, 4),
    (Deed::AddCollection, 1),
    (Deed::DeleteCollection, 1),
    (Deed::AddCustomer, 4),
    (Deed::EditCustomer, 6),
    (Deed::EditOrder, 4),
    (Deed::CancelOrder, 1),
];

const STAFF: [&str; 3] = ["Amelia Byrne", "Lukas Weber", "Priya Patel"];

/// The sequence of deeds of a seed.
#[derive(Clone, Debug)]
pub struct Traffic {
    dice: Dice,
    deeds: u64,
}

impl Traffic {
    /// From the first deed on.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { dice: Dice::new(seed).of("traffic"), deeds: 0 }
    }

    /// The next deed, done at `at`.
    pub fn step(&mut self, shop: &mut Shop, at: Timestamp) {
        let n = self.deeds;
        self.deeds += 1;
        let mut roll = self.dice.of("deed").below(n, 100);
        let chosen = DAY.iter().find(|(_, share)| {
            let hit = roll < *share;
            roll = roll.saturating_sub(*share);
            hit
        });
        let deed = chosen.map_or(Deed::Order, |(deed, _)| *deed);
        let actor = match deed {
            Deed::Order => Actor::Buyer,
            _ => Actor::Staff((*self.dice.of("staff").pick(n, &STAFF)).to_owned()),
        };
        let dice = self.dice.of("choice");
        shop.act(at, actor, |shop| act(shop, deed, dice, n));
    }
}

fn act(shop: &mut Shop, deed: Deed, dice: Dice, n: u64) {
    match deed {
        Deed::Order => order(shop, dice, n),
        Deed::CountStock => {
            let delta = i64::try_from(dice.of("delta").below(n, 21)).unwrap_or_default() - 10;
            if let Some(level) = some_variant(shop, dice, n).and_then(|v| shop.levels(v).pop()) {
                shop.adjust_available(level, delta);
            }
        }
        Deed::AddProduct => {
            let title = format!("Studio Sample {}", dice.of("title").below(n, 9000) + 1000);
            shop.add_product(&title, "Acme", 1_000 + dice.of("price").below(n, 90_000));
        }
        Deed::AddCustomer => {
            shop.add_customer("Robin", "Ek", &format!("robin.ek.{n}@example.com"), "Ottawa");
        }
        Deed::AddCollection => {
            shop.add_collection(&format!("Drop {n}"));
        }
        Deed::KeepHouse => settings::keep(shop, dice, n),
        Deed::EditCollection | Deed::DeleteCollection => collection(shop, deed, dice, n),
        Deed::EditCustomer => customer(shop, dice, n),
        Deed::EditOrder | Deed::CancelOrder | Deed::FulfilOrder | Deed::RefundOrder => {
            let Some(order) = some(shop, "Order", dice, n) else { return };
            match deed {
                Deed::CancelOrder => shop.cancel_order(order, "CUSTOMER"),
                Deed::FulfilOrder => shop.fulfil_order(order),
                Deed::RefundOrder => shop.refund_order(order),
                _ => {
                    let note = json!(format!("Call back, {n}"));
                    shop.edit_order(order, |state| state["note"] = note);
                }
            }
        }
        _ => product(shop, deed, dice, n),
    }
}

fn product(shop: &mut Shop, deed: Deed, dice: Dice, n: u64) {
    let Some(product) = some(shop, "Product", dice, n) else { return };
    match deed {
        Deed::EditText => {
            shop.edit_product(product, |state| edit_text(state, dice, n));
        }
        Deed::Reprice => shop.reprice(product, 85 + dice.of("percent").below(n, 31)),
        Deed::DeleteProduct => {
            shop.delete_product(product);
        }
        _ => {
            shop.edit_product(product, |_| {});
        }
    }
}

fn edit_text(state: &mut Value, dice: Dice, n: u64) {
    match dice.of("field").below(n, 4) {
        0 => {
            let title = state["title"].as_str().unwrap_or_default();
            let plain = title.split(" (").next().unwrap_or_default();
            state["title"] = json!(format!("{plain} (rev. {n})"));
        }
        1 => state["descriptionHtml"] = json!(format!("<p>Rewritten &amp; checked, no. {n}.</p>")),
        2 => state["tags"] = json!(["edited", format!("batch-{}", n % 50)]),
        _ => state["vendor"] = json!(format!("Acme {}", n % 7)),
    }
}

fn order(shop: &mut Shop, dice: Dice, n: u64) {
    let Some(customer) = some(shop, "Customer", dice, n) else { return };
    let lines = (0..=dice.of("lines").below(n, 3))
        .filter_map(|k| Some((some_variant(shop, dice.of("line"), n * 4 + k)?, 1 + k % 2)))
        .collect();
    shop.place_order(&Cart { customer, lines });
}

fn collection(shop: &mut Shop, deed: Deed, dice: Dice, n: u64) {
    let Some(collection) = some(shop, "Collection", dice, n) else { return };
    let smart = shop.store.get(collection).is_some_and(|state| !state["ruleSet"].is_null());
    match (deed, some(shop, "Product", dice, n + 1)) {
        (Deed::DeleteCollection, _) => {
            shop.delete_collection(collection);
        }
        (_, Some(product)) if !smart => shop.toggle_member(collection, product),
        _ => {
            shop.edit_collection(collection, |state| {
                state["descriptionHtml"] = json!(format!("<p>Season {n}</p>"));
            });
        }
    }
}

fn customer(shop: &mut Shop, dice: Dice, n: u64) {
    let Some(customer) = some(shop, "Customer", dice, n) else { return };
    match dice.of("field").below(n, 3) {
        0 => shop.retag_customer(customer, &["vip".to_owned(), format!("wave-{}", n % 9)]),
        1 => shop.set_email_consent(customer, n.is_multiple_of(2)),
        _ => {
            shop.edit_customer(customer, |state| state["note"] = json!(format!("Rang on day {n}")));
        }
    }
}

/// Some resource of a type that is still there.
pub(crate) fn some(shop: &Shop, type_name: &str, dice: Dice, n: u64) -> Option<Gid> {
    let dice = dice.of(type_name);
    let end = shop.store.end(type_name);
    (0..32)
        .map(|attempt| Gid::nth(type_name, dice.below(n * 32 + attempt, end)))
        .find(|gid| shop.store.get(*gid).is_some())
}

/// Some variant of some product that is still there.
pub(crate) fn some_variant(shop: &Shop, dice: Dice, n: u64) -> Option<Gid> {
    let variants = shop.variants(some(shop, "Product", dice, n)?);
    if variants.is_empty() {
        return None;
    }
    Some(*dice.of("variant").pick(n % VARIANTS_MAX, &variants))
}
