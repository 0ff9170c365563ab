//! Things that go wrong in shops, so that somebody has to put them right.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;

use crate::admin::theme_file;
use crate::dice::Dice;
use crate::gid::Gid;
use crate::harm::Harm;
use crate::shop::{Actor, Cart, Shop};
use crate::traffic::{some, some_variant};

/// A story.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scenario {
    /// An app that was just installed cuts prices to a tenth and deletes collections.
    BadApp,
    /// An app writes into the theme.
    ThemeApp,
    /// A file is imported whose columns are shifted: titles become vendors, prices SKUs.
    ShiftedImport,
    /// Many buyers want the same few products at once.
    FlashSale,
    /// Somebody who leaves in anger empties texts, unpublishes and deletes.
    Insider,
    /// An app takes products for duplicates and deletes them.
    CleanupApp,
}

/// How much of a story is told.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Products that are hit.
    pub products: u64,
    /// Between one deed and the next.
    pub step: SignedDuration,
}

/// What was done.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Told {
    /// Who did it, as events name them.
    pub actor: String,
    /// Products that were changed.
    pub products: u64,
    /// Products that were deleted.
    pub deleted_products: u64,
    /// Collections that were deleted.
    pub deleted_collections: u64,
    /// Orders that were placed.
    pub orders: u64,
    /// Theme files that were written.
    pub theme_files: u64,
    /// The instant of the last deed before it began.
    pub before: String,
    /// The instant of its last deed.
    pub after: String,
}

impl Scenario {
    /// Lets the story happen, from `at` on.
    pub fn tell(self, shop: &mut Shop, at: Timestamp, seed: u64, scale: Scale) -> Told {
        let actor = match self {
            Self::BadApp => Actor::App("Bulk Price Wizard".into()),
            Self::ThemeApp => Actor::App("Popup Master".into()),
            Self::CleanupApp => Actor::App("Duplicate Sweeper".into()),
            Self::ShiftedImport => Actor::Staff("Lukas Weber".into()),
            Self::Insider => Actor::Staff("Tomasz Novak".into()),
            Self::FlashSale => Actor::Buyer,
        };
        let mut story = Story {
            dice: Dice::new(seed).of("scenario"),
            told: Told {
                actor: match &actor {
                    Actor::App(name) | Actor::Staff(name) => name.clone(),
                    Actor::Buyer => String::new(),
                },
                before: shop.now().to_string(),
                ..Told::default()
            },
            actor,
            at,
            step: scale.step,
        };
        match self {
            Self::BadApp => story.bad_app(shop, scale.products),
            Self::ThemeApp => story.theme_app(shop),
            Self::ShiftedImport => story.shifted_import(shop, scale.products),
            Self::FlashSale => story.flash_sale(shop, scale.products),
            Self::Insider => story.insider(shop, scale.products),
            Self::CleanupApp => story.cleanup_app(shop, scale.products),
        }
        story.told.after = shop.now().to_string();
        story.told
    }
}

/// Lets an app do harm of one sort, from `at` on.
pub fn harm(harm: Harm, app: &str, shop: &mut Shop, at: Timestamp, scale: Scale) -> Told {
    let before = shop.now().to_string();
    let count = usize::try_from(scale.products).unwrap_or(usize::MAX);
    let hit: Vec<Gid> = shop.store.live_ids(harm.hits()).take(count).collect();
    let mut told = Told { actor: app.into(), before, ..Told::default() };
    match harm {
        Harm::Deleted => told.deleted_products = hit.len() as u64,
        Harm::CollectionsDeleted => told.deleted_collections = hit.len() as u64,
        _ => told.products = hit.len() as u64,
    }
    let mut at = at;
    for gid in hit {
        shop.act(at, Actor::App(app.into()), |shop| harm.strike(shop, gid));
        at = at.checked_add(scale.step).unwrap_or(Timestamp::MAX);
    }
    told.after = shop.now().to_string();
    told
}

struct Story {
    dice: Dice,
    actor: Actor,
    at: Timestamp,
    step: SignedDuration,
    told: Told,
}

impl Story {
    fn act(&mut self, shop: &mut Shop, work: impl FnOnce(&mut Shop)) {
        shop.act(self.at, self.actor.clone(), work);
        self.at = self.at.checked_add(self.step).unwrap_or(Timestamp::MAX);
    }

    fn products(shop: &Shop, count: u64) -> Vec<Gid> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        shop.store.live_ids("Product").take(count).collect()
    }

    fn bad_app(&mut self, shop: &mut Shop, count: u64) {
        for product in Self::products(shop, count) {
            self.act(shop, |shop| shop.reprice(product, 10));
            self.told.products += 1;
        }
        let doomed: Vec<Gid> = shop.store.live_ids("Collection").take(3).collect();
        for collection in doomed {
            self.act(shop, |shop| {
                shop.delete_collection(collection);
            });
            self.told.deleted_collections += 1;
        }
    }

    fn theme_app(&mut self, shop: &mut Shop) {
        let main = shop.store.live("OnlineStoreTheme").find(|(_, theme)| theme["role"] == "MAIN");
        let Some((main, _)) = main else { return };
        self.act(shop, |shop| {
            let now = shop.now_text();
            let script = "<script src=\"https://popup.example/p.js\"></script>";
            let layout =
                format!("<!doctype html>\n<html>{script}{{{{ content_for_layout }}}}</html>\n");
            let snippet = theme_file("snippets/popup.liquid", script, &now);
            shop.write_theme_files(
                main,
                &[theme_file("layout/theme.liquid", &layout, &now), snippet],
            );
        });
        self.told.theme_files += 2;
    }

    fn shifted_import(&mut self, shop: &mut Shop, count: u64) {
        for product in Self::products(shop, count) {
            self.act(shop, |shop| {
                shop.set_skus(product, |variant| variant["price"].clone());
                shop.edit_product(product, |state| {
                    let (title, vendor) = (state["title"].clone(), state["vendor"].clone());
                    state["vendor"] = title;
                    state["title"] = state["productType"].clone();
                    state["productType"] = vendor;
                });
            });
            self.told.products += 1;
        }
    }

    fn flash_sale(&mut self, shop: &mut Shop, count: u64) {
        for n in 0..count {
            let customer = some(shop, "Customer", self.dice, n);
            let variant = some_variant(shop, self.dice.of("wanted"), n % 3);
            let (Some(customer), Some(variant)) = (customer, variant) else { continue };
            self.act(shop, |shop| {
                shop.place_order(&Cart { customer, lines: vec![(variant, 1)] });
            });
            self.told.orders += 1;
        }
    }

    fn cleanup_app(&mut self, shop: &mut Shop, count: u64) {
        for product in Self::products(shop, count) {
            self.act(shop, |shop| {
                shop.delete_product(product);
            });
            self.told.deleted_products += 1;
        }
    }

    fn insider(&mut self, shop: &mut Shop, count: u64) {
        for (n, product) in (0..).zip(Self::products(shop, count)) {
            if self.dice.of("rage").happens(n, 0.2) {
                self.act(shop, |shop| {
                    shop.delete_product(product);
                });
                self.told.deleted_products += 1;
                continue;
            }
            self.act(shop, |shop| {
                shop.edit_product(product, |state| {
                    state["descriptionHtml"] = json!("");
                    state["publishedAt"] = json!(null);
                    state["resourcePublicationsV2"] = json!([]);
                });
            });
            self.told.products += 1;
        }
    }
}
