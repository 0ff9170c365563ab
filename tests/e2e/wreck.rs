//! Shops of many seeds, each wrecked in everything that an app can spoil, delete or make, and taken back
//! whole: everything of every kind is as it was, under whatever ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use backstock_proto::Timestamp;
use backstock_proto::kind::{ALL, Spec};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng};
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::deeds::{self, Deeds};
use crate::kills::count;
use crate::likeness;
use crate::portrait::Portrait;
use crate::pulls::{between, eventually, followed_up_of};
use crate::shopify::SECRET;
use crate::simulator::{Simulator, planned};

/// Kinds that no app brings back, and the log.
const KEPT: [&str; 4] = ["order", "gift_card", "event", "shop"];

/// Kinds that no webhook tells of and that have no date: of what is found of them later nobody knows
/// whether it was there before, so it stays, and the plan says so.
const UNDATED: [&str; 4] = ["catalog ", "menu ", "redirect ", "translation "];

/// What writes a discount that an app calculates. Those are not simulated, and not looked at.
const APPS_OWN: &str = "discountAutomaticApp";

/// What ends something of a type.
const DELETED: [(&str, &str); 24] = [
    ("Product", "productDelete(input: {id: \"$ID\"})"),
    ("Collection", "collectionDelete(input: {id: \"$ID\"})"),
    ("Article", "articleDelete(id: \"$ID\")"),
    ("Blog", "blogDelete(id: \"$ID\")"),
    ("Page", "pageDelete(id: \"$ID\")"),
    ("UrlRedirect", "urlRedirectDelete(id: \"$ID\")"),
    ("Menu", "menuDelete(id: \"$ID\")"),
    ("MediaImage", "fileDelete(fileIds: [\"$ID\"])"),
    ("GenericFile", "fileDelete(fileIds: [\"$ID\"])"),
    ("OnlineStoreTheme", "themeDelete(id: \"$ID\")"),
    ("ScriptTag", "scriptTagDelete(id: \"$ID\")"),
    ("Metaobject", "metaobjectDelete(id: \"$ID\")"),
    ("MetaobjectDefinition", "metaobjectDefinitionDelete(id: \"$ID\")"),
    (
        "MetafieldDefinition",
        "metafieldDefinitionDelete(id: \"$ID\", deleteAllAssociatedMetafields: true)",
    ),
    ("Customer", "customerDelete(input: {id: \"$ID\"})"),
    ("DraftOrder", "draftOrderDelete(input: {id: \"$ID\"})"),
    ("DiscountCodeNode", "discountCodeDelete(id: \"$ID\")"),
    ("DiscountAutomaticNode", "discountAutomaticDelete(id: \"$ID\")"),
    ("Segment", "segmentDelete(id: \"$ID\")"),
    ("PriceList", "priceListDelete(id: \"$ID\")"),
    ("MarketCatalog", "catalogDelete(id: \"$ID\")"),
    ("SellingPlanGroup", "sellingPlanGroupDelete(id: \"$ID\")"),
    ("DeliveryProfile", "deliveryProfileRemove(id: \"$ID\")"),
    ("Company", "companyDelete(id: \"$ID\")"),
];

/// What spoils something of a type; what is kept in order besides is spoilt by chores.
const SPOILT: [(&str, &str); 16] = [
    (
        "Product",
        "productUpdate(product: {id: \"$ID\", title: \"Spoilt $N\", descriptionHtml: \"\", tags: [], vendor: \"Nobody\"})",
    ),
    (
        "Product",
        "metafieldsSet(metafields: [{ownerId: \"$ID\", namespace: \"custom\", key: \"material\", type: \"single_line_text_field\", value: \"Spoilt $N\"}])",
    ),
    (
        "Product",
        "metafieldsDelete(metafields: [{ownerId: \"$ID\", namespace: \"custom\", key: \"material\"}])",
    ),
    (
        "ProductVariant",
        "productVariantsBulkUpdate(productId: \"$OWNER\", variants: [{id: \"$ID\", price: \"0.01\", barcode: \"\", inventoryItem: {sku: \"\"}}])",
    ),
    ("ProductVariant", "productVariantsBulkDelete(productId: \"$OWNER\", variantsIds: [\"$ID\"])"),
    (
        "Collection",
        "collectionUpdate(input: {id: \"$ID\", title: \"Spoilt $N\", descriptionHtml: \"\"})",
    ),
    ("Article", "articleUpdate(id: \"$ID\", article: {title: \"Spoilt $N\", tags: []})"),
    ("Blog", "blogUpdate(id: \"$ID\", blog: {title: \"Spoilt $N\"})"),
    ("Page", "pageUpdate(id: \"$ID\", page: {body: \"spoilt\", isPublished: false})"),
    ("UrlRedirect", "urlRedirectUpdate(id: \"$ID\", urlRedirect: {target: \"/spoilt\"})"),
    ("Menu", "menuUpdate(id: \"$ID\", title: \"Spoilt $N\", items: [])"),
    ("MediaImage", "fileUpdate(files: [{id: \"$ID\", alt: \"Spoilt $N\"}])"),
    (
        "OnlineStoreTheme",
        "themeFilesUpsert(themeId: \"$ID\", files: [{filename: \"assets/base.css\", body: {type: TEXT, value: \"spoilt\"}}])",
    ),
    ("OnlineStoreTheme", "themeFilesDelete(themeId: \"$ID\", files: [\"sections/header.liquid\"])"),
    (
        "Metaobject",
        "metaobjectUpdate(id: \"$ID\", metaobject: {fields: [{key: \"name\", value: \"Spoilt $N\"}]})",
    ),
    ("Customer", "customerUpdate(input: {id: \"$ID\", note: \"Spoilt $N\", tags: []})"),
];

/// Whether something is a discount that an app calculates.
fn is_apps(thing: &Value) -> bool {
    !thing["automaticDiscount"]["appDiscountType"].is_null()
}

/// Kinds of which everything is as it was, afterwards.
fn brought_back() -> impl Iterator<Item = &'static Spec> {
    ALL.iter().copied().filter(|spec| !spec.pulls.is_empty() && !KEPT.contains(&spec.name))
}

struct Wrecked {
    name: String,
    simulator: Simulator,
    dice: StdRng,
    deeds: Deeds,
}

impl Wrecked {
    fn path(&self, path: &str) -> String {
        format!("/v1/shops/{}.myshopify.com/{path}", self.name)
    }

    /// Waits until everything was read whole since an instant.
    async fn is_read(&self, backstock: &Backstock, since: Timestamp) {
        let path = self.path("pulls");
        eventually(|| async {
            let pulls = backstock.list(&path).await;
            let over = pulls.iter().filter(|pull| {
                let begun = Timestamp::parse(pull["started_at"].as_str().unwrap_or_default());
                pull["state"] == "complete" && begun.is_ok_and(|at| at >= since)
            });
            let over: BTreeSet<&str> = over.filter_map(|pull| pull["kind"].as_str()).collect();
            let all = ALL.iter().filter(|spec| !spec.pulls.is_empty()).map(|spec| spec.name);
            match all.filter(|kind| !over.contains(kind)).collect::<Vec<_>>() {
                missing if missing.is_empty() => Ok(()),
                missing => Err(format!("{} is not read: {missing:?}", self.name)),
            }
        })
        .await;
    }

    /// Reads everything again, so that also what no webhook tells of is known.
    async fn read_again(&self, backstock: &Backstock) {
        self.simulator.quiet().await;
        followed_up_of(backstock, &self.name).await;
        let kinds = ALL.iter().filter(|spec| !spec.pulls.is_empty()).map(|spec| spec.name);
        let order = json!({"kinds": kinds.collect::<Vec<_>>(), "confirm_deletions": true});
        let (status, ordered) = backstock.post(&self.path("reconcile"), order).await;
        assert_eq!(status, 202, "{ordered}");
        let at = Timestamp::parse(ordered["at"].as_str().expect("an instant")).expect("an instant");
        self.is_read(backstock, at).await;
        // What a pull says of itself at its end comes after all that was learned by then.
        let (status, ordered) =
            backstock.post(&self.path("reconcile"), json!({"kinds": ["location"]})).await;
        assert_eq!(status, 202, "{ordered}");
        let at = ordered["at"].as_str().expect("an instant").to_owned();
        let path = self.path("pulls");
        eventually(|| async {
            let pulls = backstock.list(&path).await;
            let is_over = |pull: &&Value| {
                pull["kind"] == "location"
                    && pull["state"] == "complete"
                    && pull["started_at"].as_str() >= Some(at.as_str())
            };
            pulls.iter().find(is_over).map(|_| ()).ok_or_else(|| "no last look".to_owned())
        })
        .await;
    }

    async fn portrait(&self) -> Portrait {
        let kinds = brought_back().map(|spec| (spec.name, likeness::types(spec)));
        Portrait::of(&self.simulator, kinds, |thing| !is_apps(thing)).await
    }

    /// Another app spoils a third of everything and deletes another third; it also makes new things.
    async fn wreck(&mut self, done: &mut BTreeMap<&'static str, u64>) {
        self.deeds.round(&self.simulator).await;
        let mut n = 0;
        for (of, mutation) in SPOILT.into_iter().chain(DELETED) {
            for (owner, id) in self.some(of).await {
                n += 1;
                let mutation = mutation.replace("$ID", &id).replace("$OWNER", &owner);
                let mutation = mutation.replace("$N", &n.to_string());
                let asked = format!("{mutation} {{ userErrors {{ message }} }}");
                let answer = deeds::asked(&self.simulator, &asked).await;
                let done = done.entry(mutation_name(&mutation)).or_default();
                *done += u64::from(answer["userErrors"] == json!([]));
            }
        }
    }

    /// A third of all that there are of a type, each with what it belongs to.
    async fn some(&mut self, of: &str) -> Vec<(String, String)> {
        let id = |value: &Value| value["id"].as_str().unwrap_or_default().to_owned();
        let owned: Vec<(String, String)> = if of == "ProductVariant" {
            let products = self.simulator.lines("truth?kind=Product").await;
            let variants = |product: &Value| -> Vec<(String, String)> {
                let variants = product["variants"].as_array().cloned().unwrap_or_default();
                variants.iter().skip(1).map(|variant| (id(product), id(variant))).collect()
            };
            products.iter().flat_map(variants).collect()
        } else {
            let all = self.simulator.lines(&format!("truth?kind={of}")).await;
            all.iter().filter(|one| !is_apps(one)).map(|one| (String::new(), id(one))).collect()
        };
        owned.into_iter().filter(|_| self.dice.random_bool(1.0 / 3.0)).collect()
    }
}

/// The name of a mutation in a document that begins with it.
fn mutation_name(document: &str) -> &'static str {
    let tables = SPOILT.iter().chain(&DELETED).map(|(_, mutation)| *mutation);
    let name = |mutation: &'static str| mutation.split('(').next().unwrap_or_default();
    let mut names = tables.map(name);
    names.find(|name| document.starts_with(&format!("{name}("))).unwrap_or_default()
}

/// Does what a plan says, and answers the job at its end.
async fn applied(backstock: &Backstock, shop: &Wrecked, plan: &Value) -> Value {
    let path = shop.path(&format!("plans/{}/apply", plan["id"].as_str().expect("an id")));
    let (status, job) = backstock.post(&path, json!({"digest": plan["digest"]})).await;
    assert_eq!(status, 202, "{job}");
    let path = shop.path(&format!("jobs/{}?limit=1000", job["id"].as_str().expect("an id")));
    let begun = Instant::now();
    loop {
        let (_, job) = backstock.get(&path).await;
        if matches!(job["state"].as_str(), Some("done" | "failed" | "cancelled")) {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "{job}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn planned_back(backstock: &Backstock, shop: &Wrecked, at: Timestamp) -> Value {
    let kinds: Vec<&str> = brought_back().map(|spec| spec.name).collect();
    let asked = json!({
        "at": at.to_string(),
        "select": {"kinds": kinds},
        "modes": {"create": true, "update": true, "delete_new": true},
        "inventory": true,
    });
    let (status, plan) = backstock.post(&shop.path("plans"), asked).await;
    assert_eq!(status, 201, "{plan}");
    plan
}

/// Wrecks shops of some seeds, takes them back, and looks whether they are as they were.
async fn shops_are_as_they_were(seeds: &[u64], done: &mut BTreeMap<&'static str, u64>) {
    let (mut shops, mut sections) = (Vec::new(), String::new());
    let plans: Vec<(u16, String)> = seeds.iter().map(|_| planned()).collect();
    for (seed, (_, access)) in seeds.iter().zip(&plans) {
        sections.push_str(&format!(
            "[[shop]]\ndomain = \"wreck-{seed}.myshopify.com\"\nwebhook_secrets = [\"{SECRET}\"]\n{access}"
        ));
    }
    let mut backstock = Backstock::pulling_with(&sections, "");
    for (seed, (port, _)) in seeds.iter().zip(&plans) {
        let text = seed.to_string();
        let more = [
            "--products",
            "12",
            "--big-every",
            "0",
            "--rate",
            "0",
            "--plan",
            "unlimited",
            "--seed",
            &text,
        ];
        let name = format!("wreck-{seed}");
        let simulator = Simulator::start_as(&name, &backstock, *port, &more).await;
        let mut deeds = Deeds::default();
        deeds.round(&simulator).await;
        shops.push(Wrecked { name, simulator, dice: StdRng::seed_from_u64(*seed), deeds });
    }
    backstock.start("serve").await;
    for shop in &shops {
        shop.is_read(&backstock, Timestamp::MIN).await;
        shop.simulator.quiet().await;
        followed_up_of(&backstock, &shop.name).await;
    }
    let mut before = Vec::new();
    for shop in &shops {
        before.push(shop.portrait().await);
    }
    let at = between().await;
    for shop in &mut shops {
        shop.wreck(done).await;
    }
    futures::future::join_all(shops.iter().map(|shop| shop.read_again(&backstock))).await;
    let (mut unlike, mut applied_plans, mut afters) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (shop, before) in shops.iter().zip(&before) {
        let spoilt = before.unlike(&shop.portrait().await).len();
        let plan = planned_back(&backstock, shop, at).await;
        let job = applied(&backstock, shop, &plan).await;
        applied_plans.push(plan);
        println!("{}: {spoilt} values wrecked, {}", shop.name, job["counts"]);
        let rows = job["rows"]["items"].as_array().cloned().unwrap_or_default();
        let is_apps = |row: &Value| row["reason"].to_string().contains(APPS_OWN);
        let failed = rows.iter().filter(|row| {
            (row["state"] == "failed" || row["state"] == "conflict") && !is_apps(row)
        });
        unlike.extend(failed.map(|row| format!("{}: {row}", shop.name)));
        let is_now = shop.portrait().await;
        let mut after = before.unlike(&is_now);
        afters.insert(shop.name.clone(), is_now);
        let is_undated = |one: &str| UNDATED.iter().any(|kind| one.starts_with(kind));
        after.retain(|one| !(is_undated(one) && one.contains(": was None, ")));
        unlike.extend(after.into_iter().map(|one| format!("{}: {one}", shop.name)));
        let not_simulated = shop.simulator.lines("not_simulated").await;
        let names = not_simulated.iter().filter_map(Value::as_object).flat_map(|all| all.keys());
        unlike.extend(names.filter(|name| !name.contains(APPS_OWN)).cloned());
    }
    assert!(unlike.is_empty(), "{} differences:\n{}", unlike.len(), unlike.join("\n"));
    // The same once more makes nothing twice, and deletes nothing.
    for (shop, plan) in shops.iter().zip(&applied_plans) {
        let again = applied(&backstock, shop, plan).await;
        let counts = (&again["counts"]["created"], &again["counts"]["deleted"]);
        assert_eq!(counts, (&json!(0), &json!(0)), "{}: {}", shop.name, again["counts"]);
        let after = shop.portrait().await;
        assert_eq!(after.unlike(&afters[&shop.name]), Vec::<String>::new(), "{}", shop.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn torture_whole_shops_are_as_they_were() {
    let (seeds, first) = (count("BACKSTOCK_WRECKS", 8), count("BACKSTOCK_SEED", 1) % 1_000_000);
    println!("{seeds} shops wrecked, seeds {first} to {}", first + seeds - 1);
    let all: Vec<u64> = (first..first + seeds).collect();
    let mut done = BTreeMap::new();
    for some in all.chunks(4) {
        shops_are_as_they_were(some, &mut done).await;
    }
    println!("{done:?}");
    let idle: Vec<_> = done.iter().filter(|(_, times)| **times == 0).collect();
    assert!(seeds < 8 || idle.is_empty(), "never done: {idle:?}");
}
