//! Ordinary life in the shop: sales, imports, clear-outs, and the daily work of apps that belong there.

use jiff::SignedDuration;
use serde_json::{Value, json};
use shopify::gid::Gid;
use shopify::scenario::{Scale, Scenario};
use shopify::shop::{Actor, Shop};

use super::{World, staff};

/// An app that belongs here.
const SYNC: &str = "Stock Sync";
/// Another one.
const SALES: &str = "Sale Planner";

impl World {
    /// A day of ordinary life, with what comes now and then: sales, imports, clear-outs.
    pub(crate) fn day(&mut self, day: u64) {
        let midnight = self.now;
        self.work(25);
        match day % 10 {
            1 => self.sale(0.35),
            2 => self.import(60),
            3 => self.end_sale(),
            5 => self.reprice_season(),
            7 => self.flash_sale(),
            8 => self.clear_out(12),
            9 => self.planned_sale(),
            _ => {}
        }
        match day % 5 {
            4 => self.tidy("ARCHIVED"),
            0 => self.tidy("ACTIVE"),
            _ => {}
        }
        self.sync(day, 25);
        self.work(15);
        self.now = self.now.max(midnight + SignedDuration::from_hours(24));
    }

    fn some_products(&self, n: u64, count: usize) -> Vec<Gid> {
        let all: Vec<Gid> = self.shop.store.live_ids("Product").collect();
        let from = usize::try_from(self.dice.of("some").below(n, 20)).expect("small");
        all.into_iter().skip(from).take(count).collect()
    }

    fn each(&mut self, gids: Vec<Gid>, actor: &Actor, mut deed: impl FnMut(&mut Shop, Gid)) {
        for gid in gids {
            self.act(SignedDuration::from_millis(700), actor.clone(), |shop| deed(shop, gid));
        }
    }

    /// Of each product every variant; its webhook tells of all of them.
    fn each_variant(&mut self, gids: Vec<Gid>, actor: &Actor, deed: impl Fn(&mut Value)) {
        self.each(gids, actor, |shop, gid| {
            for variant in shop.variants(gid) {
                shop.update(variant, &deed);
            }
            shop.edit_product(gid, |_| {});
        });
    }

    /// Prices go down by a part, and the price before is shown.
    fn sale(&mut self, part: f64) {
        let gids = self.some_products(self.deed, 50);
        self.each_variant(gids, &staff(1), |v| {
            v["compareAtPrice"] = v["price"].clone();
            v["price"] = scaled(&v["price"], 1.0 - part);
        });
    }

    /// An app that belongs here has a sale of its own: another part off each product.
    fn planned_sale(&mut self) {
        let gids = self.some_products(self.deed, 40);
        self.each_variant(gids, &Actor::App(SALES.into()), |v| {
            if v["compareAtPrice"].is_null() {
                v["compareAtPrice"] = v["price"].clone();
                v["price"] = scaled(&v["price"], 0.3);
            }
        });
    }

    /// An app that belongs here takes off the shop what is sold out, and puts it back.
    fn tidy(&mut self, status: &str) {
        let gids = self.some_products(1, 14);
        self.each(gids, &Actor::App(SYNC.into()), |shop, gid| {
            shop.edit_product(gid, |p| p["status"] = json!(status));
        });
    }

    fn end_sale(&mut self) {
        let gids = self.some_products(self.deed, 60);
        self.each_variant(gids, &staff(1), |v| {
            if !v["compareAtPrice"].is_null() {
                v["price"] = v["compareAtPrice"].take();
            }
        });
    }

    /// A file of new texts is imported by somebody of the staff.
    fn import(&mut self, count: usize) {
        let (gids, n) = (self.some_products(self.deed, count), self.deed);
        self.each(gids, &staff(2), |shop, gid| {
            let text = format!("<p>New for the season, {gid}, {n}.</p>");
            shop.edit_product(gid, |p| {
                p["descriptionHtml"] = json!(text);
                p["vendor"] = json!("Acme Imports");
            });
        });
    }

    fn reprice_season(&mut self) {
        let gids = self.some_products(self.deed, 70);
        self.each(gids, &staff(0), |shop, gid| shop.reprice(gid, 80));
    }

    /// Many orders at once.
    fn flash_sale(&mut self) {
        let scale = Scale { products: 30, step: SignedDuration::from_secs(2) };
        let _told = Scenario::FlashSale.tell(&mut self.shop, self.now, self.deed, scale);
        self.now = self.shop.now();
        self.hear();
    }

    /// Somebody of the staff deletes what is no longer sold.
    fn clear_out(&mut self, count: usize) {
        let gids = self.some_products(self.deed, count);
        self.each(gids.clone(), &staff(2), |shop, gid| {
            shop.delete_product(gid);
        });
        for n in 0..gids.len() {
            let title = format!("Fresh Sample {} {n}", self.deed);
            self.act(SignedDuration::from_secs(20), staff(2), |shop| {
                shop.add_product(&title, "Acme", 2_500);
            });
        }
    }

    /// An app that belongs here does its daily work.
    fn sync(&mut self, day: u64, count: usize) {
        let gids = self.some_products(day, count);
        self.each(gids, &Actor::App(SYNC.into()), |shop, gid| {
            shop.edit_product(gid, |p| p["vendor"] = json!(format!("Synced {day}")));
        });
    }
}

fn scaled(price: &Value, by: f64) -> Value {
    let price: f64 = price.as_str().and_then(|p| p.parse().ok()).unwrap_or_default();
    json!(format!("{:.2}", price * by))
}
