//! A shop with a year behind it, for looking at: products with pictures, content, customers, orders,
//! and a bulk edit that divided prices by ten this morning. Beside it a small one, and one in which the
//! guard saw much.

use backstock_proto::erase::ERASURE;
use backstock_proto::journal::{Drift, PullReport, PullState, Record};
use serde_json::{Value, json};

use super::{Fake, Kind, Timestamp, instant, shop};

/// The shop's pictures, by name: what they show stays recognisable at the size of a thumbnail.
pub const PICTURES: &[(&str, &[u8])] = &[
    ("mug", include_bytes!("pictures/mug.png")),
    ("mug-back", include_bytes!("pictures/mug-back.png")),
    ("tote", include_bytes!("pictures/tote.png")),
    ("tee", include_bytes!("pictures/tee.png")),
    ("lamp", include_bytes!("pictures/lamp.png")),
];

/// Products: name, picture, price, what it is.
const GOODS: &[(&str, &str, &str, &str)] = &[
    ("Enamel Mug “Pine”", "mug", "24.00", "Mugs"),
    ("Enamel Mug “Dune”", "mug-back", "24.00", "Mugs"),
    ("Canvas Tote “Harbour”", "tote", "32.00", "Bags"),
    ("Rolltop Tote, waxed", "tote", "68.00", "Bags"),
    ("Heavy Tee, undyed", "tee", "39.00", "Shirts"),
    ("Heavy Tee “Fjord”", "tee", "39.00", "Shirts"),
    ("Storm Lantern, brass", "lamp", "89.00", "Light"),
    ("Storm Lantern, steel", "lamp", "74.00", "Light"),
    ("Camp Kettle, 1.2 l", "mug", "46.00", "Kitchen"),
    ("Trail Flask, 0.7 l", "mug-back", "34.00", "Kitchen"),
    ("Market Bag, recycled", "tote", "19.00", "Bags"),
    ("Long Sleeve “Moss”", "tee", "45.00", "Shirts"),
];

const COLOURS: &[&str] = &["Pine", "Sand", "Slate"];

impl Fake {
    /// The shop `acme`, and beside it `bolt` and `cove`.
    pub fn store() -> Self {
        let mut fake = Self::default();
        fake.settings();
        for n in 0..GOODS.len() {
            let at = format!("2026-{:02}-{:02}T0{}:12:00Z", 2 + n / 2, 3 + n, 7 + n % 3);
            fake.add("acme", "product", &id(n), "create", &at, Some(product(n, |_| {})));
        }
        fake.content();
        fake.a_mugs_life();
        fake.people_and_orders();
        fake.second_shop();
        fake.much_seen();
        fake.what_people_asked();
        fake.this_morning();
        fake.pulls = pulls();
        fake.record("acme", ("proof", "proof-night"), "2026-11-22T05:12:04Z", proof());
        fake
    }

    fn record(&self, name: &str, (what, id): (&str, &str), at: &str, payload: Value) {
        let mut records = self.records.lock().expect("not poisoned");
        let (seq, recorded_at) = (900_000 + records.len() as u64, instant(at));
        let record = Record { what: what.into(), id: id.into(), seq, recorded_at, payload };
        records.push((shop(name), record));
    }

    fn settings(&mut self) {
        let shop = json!({
            "id": "gid://shopify/Shop/1", "name": "Nordlys Outdoor", "currencyCode": "EUR",
            "ianaTimezone": "Europe/Berlin",
        });
        self.add("acme", "shop", "1", "create", "2026-02-01T08:00:00Z", Some(shop));
        for (n, name) in [(1, "Online Store"), (2, "Point of Sale"), (3, "Shop")] {
            let channel = json!({"id": format!("gid://shopify/Publication/{n}"), "name": name});
            self.add(
                "acme",
                "publication",
                &n.to_string(),
                "create",
                "2026-02-01T08:00:00Z",
                Some(channel),
            );
        }
    }

    /// One thing to whom everything happened.
    fn a_mugs_life(&mut self) {
        let mut edit = |at: &str, with: &dyn Fn(&mut Value)| {
            self.add("acme", "product", &id(0), "update", at, Some(product(0, with)));
        };
        edit("2026-06-14T09:30:00Z", &|p| p["tags"] = json!(["camping", "mug"]));
        let summer = |p: &mut Value| {
            p["tags"] = json!(["camping", "mug", "summer"]);
            p["seo"]["title"] = json!("Enamel mug for camping – Nordlys");
        };
        edit("2026-08-02T15:41:00Z", &|p| summer(p));
        let pictured = |p: &mut Value| {
            summer(p);
            p["media"] = json!([
                medium(0, "mug", "Mug from the front"),
                medium(90, "mug-back", "Mug from the back")
            ]);
        };
        edit("2026-10-19T11:05:00Z", &|p| pictured(p));
        let described = |p: &mut Value| {
            pictured(p);
            p["descriptionHtml"] = json!(LONG);
            p["metafields"][0]["value"] = json!("Dishwasher, 60 °C");
        };
        edit("2026-11-20T16:20:00Z", &|p| described(p));
        edit("2026-11-22T08:14:31Z", &|p| {
            described(p);
            tenth(p);
            p["media"] = json!([medium(90, "mug-back", "Mug from the back")]);
            p["descriptionHtml"] = json!("<p>MUG. BUY NOW!!! Holds 350 ml. Best price.</p>");
            p["publications"] =
                json!([{"isPublished": true, "publicationId": "gid://shopify/Publication/2"}]);
        });
    }

    fn content(&mut self) {
        let page = |body: &str| {
            json!({
                "id": "gid://shopify/Page/71", "title": "Shipping and returns", "handle": "shipping",
                "isPublished": true, "body": body,
            })
        };
        self.add("acme", "page", "71", "create", "2026-03-01T10:00:00Z", Some(page("<h2>Shipping</h2><p>Within Germany for 4.90 €, free from 60 €.</p><h2>Returns</h2><p>Within 30 days, unworn.</p>")));
        self.add("acme", "page", "71", "update", "2026-11-18T10:00:00Z", Some(page("<h2>Shipping</h2><p>Within Germany for 5.90 €, free from 80 €.</p><h2>Returns</h2><p>Within 14 days, unworn.</p><ul><li>Bags: 30 days</li></ul>")));
        let menu = |title: &str| {
            json!({
                "id": "gid://shopify/Menu/81", "title": "Main menu", "handle": "main-menu", "isDefault": true,
                "items": [
                    {"id": "gid://shopify/MenuItem/1", "title": title, "url": "/collections/all", "type": "CATALOG", "items": []},
                    {"id": "gid://shopify/MenuItem/2", "title": "Journal", "url": "/blogs/journal", "type": "BLOG", "items": []},
                ],
            })
        };
        self.add("acme", "menu", "81", "create", "2026-03-01T10:10:00Z", Some(menu("Shop")));
        self.add("acme", "menu", "81", "update", "2026-11-21T13:10:00Z", Some(menu("Shop all")));
        let redirect = |target: &str| json!({"id": "gid://shopify/UrlRedirect/91", "path": "/tassen", "target": target});
        self.add(
            "acme",
            "redirect",
            "91",
            "create",
            "2026-04-01T10:00:00Z",
            Some(redirect("/collections/mugs")),
        );
        let collection = |title: &str| {
            json!({
                "id": "gid://shopify/Collection/61", "title": title, "handle": "mugs", "sortOrder": "BEST_SELLING",
                "descriptionHtml": "<p>For the first coffee outside.</p>",
            })
        };
        self.add(
            "acme",
            "collection",
            "61",
            "create",
            "2026-03-02T09:00:00Z",
            Some(collection("Mugs")),
        );
        self.add(
            "acme",
            "collection",
            "61",
            "update",
            "2026-11-22T08:15:02Z",
            Some(collection("MUGS SALE")),
        );
        let sold_out = product(40, |p| {
            p["title"] = json!("Wool Blanket “Aurora”");
            p["handle"] = json!("wool-blanket-aurora");
        });
        self.add("acme", "product", "7040", "create", "2026-02-11T09:00:00Z", Some(sold_out));
        self.add("acme", "product", "7040", "delete", "2026-11-22T08:15:40Z", None);
    }

    fn people_and_orders(&mut self) {
        let people = [("Ada", "Byron"), ("Linus", "Vik"), ("Mara", "Okafor"), ("Jun", "Sato")];
        for (n, (first, last)) in people.iter().enumerate() {
            let person = json!({
                "id": format!("gid://shopify/Customer/{}", 301 + n), "firstName": first, "lastName": last,
                "displayName": format!("{first} {last}"), "email": format!("{}@example.com", first.to_lowercase()),
            });
            let at = format!("2026-11-{:02}T0{}:30:00Z", 10 + n * 2, 8);
            self.add("acme", "customer", &(301 + n).to_string(), "create", &at, Some(person));
        }
        for n in 0..18_usize {
            let order = json!({
                "id": format!("gid://shopify/Order/{}", 401 + n), "name": format!("#{}", 1041 + n),
                "email": "ada@example.com", "displayFinancialStatus": "PAID",
                "customer": {"id": "gid://shopify/Customer/301"},
                "totalPriceSet": {"shopMoney": {"amount": format!("{}.00", 24 + n * 7), "currencyCode": "EUR"}},
            });
            let at = format!(
                "2026-11-{:02}T{:02}:{:02}:00Z",
                13 + n / 2,
                7 + (n * 5) % 14,
                (n * 17) % 60
            );
            self.add("acme", "order", &(401 + n).to_string(), "create", &at, Some(order));
        }
    }

    /// Two customers of `acme` want to know what is kept of them, which Shopify told, and one who is
    /// no longer there wanted to be forgotten.
    fn what_people_asked(&mut self) {
        for (customer, at) in [("302", "2026-10-20T09:00:00Z"), ("303", "2026-11-08T10:00:00Z")] {
            let asked = json!({"customer": {"id": customer}});
            self.add("acme", "customer_data_request", customer, "create", at, Some(asked));
        }
        let at = "2026-11-02T08:00:00Z";
        let wish = json!({"whom": {"customer": "299"}, "via": "webhook", "requested_at": at});
        self.record("acme", (ERASURE, "customer-299"), at, wish);
    }

    /// The shop `cove`: more incidents than a page of them holds.
    fn much_seen(&mut self) {
        let shop = json!({"id": "gid://shopify/Shop/3", "name": "Cove Ceramics"});
        self.add("cove", "shop", "3", "create", "2026-02-01T08:00:00Z", Some(shop));
        for n in 0..60 {
            let at = format!("2026-11-{:02}T09:{n:02}:00Z", 1 + n / 3);
            self.record("cove", ("incident", &format!("incident-{n}")), &at, incident(n, &at));
        }
    }

    /// The shop `bolt`: two lanterns that an import made cheap yesterday.
    fn second_shop(&mut self) {
        let shop = json!({
            "id": "gid://shopify/Shop/2", "name": "Bolt Cycles", "currencyCode": "EUR",
            "ianaTimezone": "Europe/Berlin",
        });
        self.add("bolt", "shop", "2", "create", "2026-02-01T08:00:00Z", Some(shop));
        for n in [6, 7] {
            let (made, fell) =
                (format!("2026-05-04T08:0{n}:00Z"), format!("2026-11-21T15:20:0{n}Z"));
            self.add("bolt", "product", &id(n), "create", &made, Some(product(n, |_| {})));
            self.add("bolt", "product", &id(n), "update", &fell, Some(product(n, tenth)));
        }
    }

    /// The bulk edit, and what Shopify's own log says of it: most of it, not all.
    fn this_morning(&mut self) {
        for (n, (name, ..)) in GOODS.iter().enumerate().skip(1) {
            let at = format!("2026-11-22T08:14:{:02}Z", 31 + n * 2);
            self.add("acme", "product", &id(n), "update", &at, Some(product(n, tenth)));
            if n % 4 != 0 {
                let entry = json!({
                    "action": "update", "appTitle": "Price Wizard", "attributeToApp": true,
                    "attributeToUser": false, "author": "Price Wizard",
                    "message": format!("Price Wizard updated {name}."),
                    "subjectId": format!("gid://shopify/Product/{}", id(n)), "subjectType": "PRODUCT",
                });
                let number = (8_000 + n).to_string();
                self.add("acme", "event", &number, "create", &at, Some(entry));
            }
        }
        self.entries.sort_by_key(|entry| (entry.version.valid_at, entry.version.seq));
    }
}

const LONG: &str = "<p>Two coats of enamel over steel, fired at 850 °C. It holds 350 ml and survives every fall; \
    what chips, we take back.</p><h3>Care</h3><ul><li>Dishwasher up to 60 °C</li><li>Not for the microwave</li></ul>\
    <p>Made in Idar-Oberstein by people whom we know.</p>";

fn id(n: usize) -> String {
    (9_007_199_254_740_993_u64 + n as u64).to_string()
}

fn medium(id: usize, picture: &str, alt: &str) -> Value {
    let bytes = PICTURES.iter().find(|(name, _)| *name == picture).expect("a picture").1;
    json!({
        "id": format!("gid://shopify/MediaImage/{}", 5_000 + id), "mediaContentType": "IMAGE", "alt": alt,
        "url": format!("https://cdn.shopify.com/s/files/1/{picture}.png"),
        "blob": backstock_proto::blob::BlobHash::of(bytes).to_string(),
    })
}

fn product(n: usize, with: impl Fn(&mut Value)) -> Value {
    let (title, picture, price, kind) = GOODS[n % GOODS.len()];
    let variants: Vec<Value> = (COLOURS.iter().enumerate())
        .map(|(c, colour)| json!({
            "id": format!("gid://shopify/ProductVariant/{}", 60_000 + n * 10 + c), "title": colour,
            "sku": format!("{}-{:03}-{}", &kind[..2].to_uppercase(), n, &colour[..2].to_uppercase()),
            "price": price, "compareAtPrice": null, "position": c + 1, "taxable": true, "inventoryPolicy": "DENY",
            "selectedOptions": [{"name": "Colour", "value": colour}],
        }))
        .collect();
    let handle: String = title
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            'a'..='z' | '0'..='9' => Some(c),
            ' ' => Some('-'),
            _ => None,
        })
        .collect();
    let channels = [1, 2, 3].map(
        |n| json!({"isPublished": true, "publicationId": format!("gid://shopify/Publication/{n}")}),
    );
    let mut product = json!({
        "id": format!("gid://shopify/Product/{}", id(n)), "title": title, "handle": handle,
        "vendor": "Nordlys", "productType": kind, "status": "ACTIVE", "tags": ["camping"],
        "descriptionHtml": format!("<p>{title} from Nordlys. Made to be repaired.</p>"),
        "options": [{"id": format!("gid://shopify/ProductOption/{n}"), "name": "Colour", "position": 1, "values": COLOURS}],
        "variants": variants, "media": [medium(n, picture, &format!("{title}, front"))],
        "seo": {"title": null, "description": null},
        "metafields": [{"namespace": "custom", "key": "care", "type": "single_line_text_field", "value": "Hand wash"}],
        "publications": channels,
    });
    with(&mut product);
    product
}

/// What the bulk edit did.
fn tenth(product: &mut Value) {
    for variant in product["variants"].as_array_mut().expect("variants") {
        let price: f64 = variant["price"].as_str().and_then(|p| p.parse().ok()).expect("a price");
        variant["price"] = json!(format!("{:.2}", price / 10.0));
    }
}

/// What the guard saw, and told.
fn incident(n: u64, at: &str) -> Value {
    json!({
        "id": format!("incident-{n}"), "at": at, "updated_at": at, "state": "told", "action": "alert",
        "text": "12 products deleted", "why": ["the policy allows to tell people"], "by": "guard-1",
        "trips": [{"harm": "deleted", "count": 12, "limit": 10, "normal": 0, "examples": ["Bowl"]}],
        "change_set": {
            "id": format!("cs-{:x}-{:x}", instant(at).as_micros(), 5_000 + n), "from": at, "to": at,
            "counts": {"changes": 12, "resources": 12, "created": 0, "updated": 0, "deleted": 12},
            "kinds": {"product": 12}, "headline": "12 products deleted", "risk": "high",
            "actor": {"kind": "app", "name": "Stock Sweeper", "confidence": 0.9, "evidence": []},
        },
    })
}

/// What last night's proof found.
fn proof() -> Value {
    json!({
        "id": "proof-night", "state": "proved", "by": "nightly",
        "ordered_at": "2026-11-22T05:12:00Z", "started_at": "2026-11-22T05:12:00Z",
        "finished_at": "2026-11-22T05:12:04Z", "at": "2026-11-22T03:01:00Z",
        "compared": 240, "proved": 240, "moved": 0, "absent": 3, "mismatches": 0, "mismatched": [],
        "restorable": 240, "cost": 7_200.0, "archived": 0, "archives": [], "references": {},
        "media": {"named": 40, "lost": 0, "read": 40, "read_bytes": 1_480_000}, "seconds": 4.0,
    })
}

/// Last night's look at everything.
pub(super) fn pulls() -> Vec<PullReport> {
    let minute = |minute: u32| -> Timestamp { instant(&format!("2026-11-22T03:{minute:02}:00Z")) };
    let pull = |(n, kind): (usize, &str), drift: Drift| PullReport {
        kind: Kind::parse(kind).expect("a kind"),
        state: PullState::Complete,
        started_at: minute(n as u32),
        finished_at: Some(minute(n as u32 + 1)),
        objects: 40,
        drift,
        healed_gaps: Vec::new(),
        progress: None,
        eta_seconds: None,
        tries: 0,
        failing_since: None,
        denied: false,
        reason: None,
        operations: Vec::new(),
        witness: None,
    };
    let pulled = backstock_proto::kind::ALL.iter().filter(|spec| !spec.pulls.is_empty());
    pulled
        .enumerate()
        .map(|(n, spec)| {
            let changed = u64::from(spec.name == "menu");
            pull((n, spec.name), Drift { changed, ..Drift::default() })
        })
        .collect()
}
