//! People who keep house: settings, prices for others, companies, drafts, texts in other languages.

use serde_json::{Value, json};

use super::some;
use crate::admin::theme_file;
use crate::dice::Dice;
use crate::gid::Gid;
use crate::shop::Shop;

/// What can be kept in order: the type, the topic that tells of it, where there is one, and what is
/// changed.
type Chore = (&'static str, Option<&'static str>, fn(&mut Value, u64));

const CHORES: [Chore; 19] = [
    ("Location", Some("locations/update"), |state, n| state["address"]["phone"] = phone(n)),
    ("DiscountCodeNode", Some("discounts/update"), |state, n| {
        state["codeDiscount"]["title"] = json!(format!("Code of week {n}"));
    }),
    ("DiscountAutomaticNode", Some("discounts/update"), |state, n| {
        state["automaticDiscount"]["title"] = json!(format!("Offer of week {n}"));
    }),
    ("PriceList", None, |state, n| {
        state["prices"][0]["price"]["amount"] = json!(format!("{}.5", 10 + n % 90));
    }),
    ("MarketCatalog", None, |state, n| state["title"] = json!(format!("States {n}"))),
    ("Company", Some("companies/update"), |state, n| state["note"] = note(n)),
    ("CompanyLocation", Some("company_locations/update"), |state, n| state["note"] = note(n)),
    ("CompanyContact", Some("company_contacts/update"), |state, n| {
        state["title"] = json!(format!("Buyer {n}"));
    }),
    ("DraftOrder", Some("draft_orders/update"), |state, n| state["note2"] = note(n)),
    ("SellingPlanGroup", Some("selling_plan_groups/update"), |state, n| {
        state["name"] = json!(format!("Subscribe {n}"));
    }),
    ("DeliveryProfile", Some("profiles/update"), |state, n| {
        state["name"] = json!(format!("General {n}"));
    }),
    ("Shop", Some("shop/update"), |state, n| state["shopAddress"]["phone"] = phone(n)),
    ("ShopPolicy", None, |state, n| state["body"] = json!(format!("<p>As of day {n}.</p>"))),
    ("Market", Some("markets/update"), |state, n| state["name"] = json!(format!("Home {n}"))),
    ("MetafieldDefinition", Some("metafield_definitions/update"), |state, n| {
        state["name"] = json!(format!("Material {n}"));
    }),
    ("Segment", Some("segments/update"), |state, n| {
        state["name"] = json!(format!("Bought {n} times"));
    }),
    ("Metaobject", Some("metaobjects/update"), |state, n| {
        let bio = json!(format!("Draws by hand, day {n}."));
        state["values"]["bio"] = bio.clone();
        state["fields"][1]["value"] = bio;
    }),
    ("ScriptTag", None, |state, n| state["cache"] = json!(n.is_multiple_of(2))),
    ("InventoryItem", Some("inventory_items/update"), |state, n| {
        state["harmonizedSystemCode"] = json!(format!("6109.{:02}", n % 100));
    }),
];

/// What nobody does on an ordinary day, and what hardly any webhook tells of.
const RARE_CHORES: [Chore; 8] = [
    ("Page", None, |state, n| state["title"] = json!(format!("About us, {n}"))),
    ("Blog", None, |state, n| state["title"] = json!(format!("Journal {n}"))),
    ("Article", None, |state, n| state["title"] = json!(format!("Letter of day {n}"))),
    ("UrlRedirect", None, |state, n| state["target"] = json!(format!("/pages/about-us?day={n}"))),
    ("Menu", None, |state, n| state["title"] = json!(format!("Menu of day {n}"))),
    ("MetaobjectDefinition", None, |state, n| state["name"] = json!(format!("Designer {n}"))),
    ("GiftCard", None, |state, n| state["note"] = note(n)),
    ("OnlineStoreTheme", Some("themes/update"), |state, n| {
        state["name"] = json!(format!("Draft of day {n}"));
    }),
];

/// How many chores there are: these, a translation and a theme's file.
pub(crate) const CHORES_ALL: usize = CHORES.len() + RARE_CHORES.len() + 2;

fn note(n: u64) -> Value {
    json!(format!("Spoke on day {n}"))
}

fn phone(n: u64) -> Value {
    json!(format!("+1 212 555 {:04}", n % 10_000))
}

/// Does the `n`-th chore.
pub(super) fn keep(shop: &mut Shop, dice: Dice, n: u64) {
    let chore = dice.of("chore").below(n, CHORES.len() as u64 + 1);
    match usize::try_from(chore).ok().and_then(|at| CHORES.get(at)) {
        Some(chore) => keep_in_order(shop, chore, dice, n),
        None => translate(shop, dice, n),
    }
}

/// Does a chore of all that there are, the rare ones among them.
pub(crate) fn chore(shop: &mut Shop, at: usize, dice: Dice, n: u64) {
    match CHORES.iter().chain(&RARE_CHORES).nth(at) {
        Some(chore) => keep_in_order(shop, chore, dice, n),
        None if at + 1 < CHORES_ALL => translate(shop, dice, n),
        None => {
            let Some(theme) = shop.store.live_ids("OnlineStoreTheme").next() else { return };
            let now = shop.now_text();
            let css = format!("body {{ margin: {n}px }}\n");
            shop.write_theme_files(theme, &[theme_file("assets/base.css", &css, &now)]);
        }
    }
}

fn translate(shop: &mut Shop, dice: Dice, n: u64) {
    if let Some(product) = some(shop, "Product", dice, n) {
        shop.translate(product, "title", &format!("Chose no. {n}"));
    }
}

fn keep_in_order(shop: &mut Shop, chore: &Chore, dice: Dice, n: u64) {
    let (type_name, topic, change) = chore;
    let found = match *type_name {
        "Shop" => Some(Gid::nth("Shop", 0)),
        "InventoryItem" => super::some_variant(shop, dice, n)
            .and_then(|variant| crate::store::target(&shop.store.get(variant)?["inventoryItem"])),
        "CompanyContact"
        | "Metaobject"
        | "MarketCatalog"
        | "SellingPlanGroup"
        | "DeliveryProfile"
        | "Market"
        | "ScriptTag"
        | "Segment"
        | "PriceList"
        | "MetafieldDefinition" => shop.store.live_ids(type_name).next(),
        _ => some(shop, type_name, dice, n),
    };
    let Some(gid) = found else { return };
    shop.update(gid, |state| change(state, n));
    if let Some(topic) = topic {
        shop.announce(topic, gid);
    }
}
