//! What comes back under another id: what belongs to it comes with it, what pointed to it points to it
//! again, and what took its place is gone.

use std::collections::BTreeMap;

use backstock_proto::Timestamp;
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::pulls::{SHOP, backfilled, between, followed_up, money, pulled, settled};
use crate::simulator::{Simulator, planned};

struct World {
    backstock: Backstock,
    simulator: Simulator,
}

impl World {
    /// A shop that nobody has looked at yet.
    async fn open(seed: &str) -> Self {
        let (port, access) = planned();
        let backstock = Backstock::pulling(&access);
        let more = ["--products", "12", "--rate", "0", "--plan", "plus", "--seed", seed];
        let simulator = Simulator::start(&backstock, port, &more).await;
        Self { backstock, simulator }
    }

    /// Learns everything. Answers a moment after which nothing has happened yet.
    async fn known(&mut self) -> Timestamp {
        self.backstock.start("serve").await;
        backfilled(&self.backstock).await;
        between().await
    }

    /// Another app does something, and nobody complains.
    async fn does(&self, mutation: &str) {
        let data = self.simulator.ask(&format!("mutation {{ {mutation} }}")).await;
        let payload = data.as_object().and_then(|data| data.values().next()).expect("a payload");
        assert_eq!(payload["userErrors"], json!([]), "{mutation}");
    }

    async fn deletes(&self, product: &str) {
        let delete = format!("productDelete(input: {{id: \"{product}\"}})");
        self.does(&format!("{delete} {{ userErrors {{ message }} }}")).await;
    }

    /// Everything of a kind as it is.
    async fn all(&self, kind: &str) -> Vec<Value> {
        self.simulator.truth(kind).await
    }

    async fn one(&self, kind: &str, id: &str) -> Value {
        let mut all = self.all(kind).await;
        all.retain(|state| state["id"] == id);
        all.pop().unwrap_or_else(|| panic!("no {kind} {id}"))
    }

    /// Plans that once everything has been heard of, and does it.
    async fn restored(&self, asked: Value) -> Value {
        self.simulator.quiet().await;
        followed_up(&self.backstock).await;
        settled(&self.backstock).await;
        let (status, plan) = self.backstock.post(&format!("{SHOP}/plans"), asked).await;
        assert_eq!(status, 201, "{plan}");
        let job = self.backstock.applied(SHOP, &plan).await;
        let counts = (&job["counts"]["failed"], &job["counts"]["conflict"]);
        assert_eq!((&job["state"], counts), (&json!("done"), (&json!(0), &json!(0))), "{job}");
        assert_eq!(self.simulator.lines("not_simulated").await, vec![json!({})]);
        job
    }

    /// What is counted of every variant, by its SKU.
    async fn stock_keeping(&self) -> BTreeMap<String, Value> {
        let items = self.all("inventory_item").await;
        let told = |item: &Value| {
            let cost = money(&item["unitCost"]["amount"]);
            json!([item["tracked"], cost, item["countryCodeOfOrigin"]])
        };
        items.iter().map(|item| (item["sku"].to_string(), told(item))).collect()
    }

    /// How many there are of every variant where, by its SKU.
    async fn stock(&self) -> Vec<[String; 3]> {
        let items = self.all("inventory_item").await;
        let skus: BTreeMap<&str, String> =
            items.iter().map(|item| (id(item), item["sku"].to_string())).collect();
        let of_level = |level: &Value| {
            let mut quantities = level["quantities"].as_array().expect("quantities").iter();
            let sellable = quantities.find(|quantity| quantity["name"] == "available");
            let amount = sellable.expect("an amount")["quantity"].to_string();
            [skus[id(&level["item"])].clone(), level["location"]["id"].to_string(), amount]
        };
        let mut stock: Vec<[String; 3]> =
            self.all("inventory_level").await.iter().map(of_level).collect();
        stock.sort();
        stock
    }
}

fn id(of: &Value) -> &str {
    of["id"].as_str().expect("an id")
}

/// The gid under which something is there now.
fn new_gid(job: &Value) -> String {
    let rows = job["rows"]["items"].as_array().expect("rows");
    let made = rows.iter().find(|row| row["state"] == "created").expect("something made anew");
    made["new_gid"].as_str().expect("a gid").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_points_to_a_deleted_product_points_to_the_one_that_came_back() {
    let mut world = World::open("21").await;
    let collections = world.all("collection").await;
    let has_some = |collection: &&Value| {
        let products = collection["products"].as_array();
        let by_hand = collection["ruleSet"].is_null() && collection["sortOrder"] == "MANUAL";
        by_hand && products.is_some_and(|products| products.len() > 2)
    };
    let shelf = collections.iter().find(has_some).expect("a collection kept by hand").clone();
    let gone = id(&shelf["products"][1]).to_owned();
    let products = world.all("product").await;
    let other = products.iter().map(id).find(|product| *product != gone).expect("another product");
    let see = format!("namespace: \"custom\", key: \"see\", value: \"{gone}\"");
    let see = format!("ownerId: \"{other}\", type: \"product_reference\", {see}");
    world
        .does(&format!("metafieldsSet(metafields: [{{{see}}}]) {{ userErrors {{ message }} }}"))
        .await;
    let at = world.known().await;
    world.deletes(&gone).await;
    let job = world.restored(json!({"at": at, "select": {"ids": [gone]}})).await;
    let new = new_gid(&job);
    let metafields = world.one("product", other).await["metafields"].clone();
    let all = metafields.as_array().expect("metafields");
    let see = all.iter().find(|metafield| metafield["key"] == "see").expect("the link");
    assert_eq!(see["value"], new, "{metafields}");
    let members = |collection: &Value| -> Vec<String> {
        let products = collection["products"].as_array().expect("products");
        products.iter().map(|product| id(product).to_owned()).collect()
    };
    let mut expected = members(&shelf);
    expected[1] = new;
    assert_eq!(members(&world.one("collection", id(&shelf)).await), expected, "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_comes_back_with_what_is_counted_of_it_in_one_job() {
    let mut world = World::open("22").await;
    let at = world.known().await;
    let (before, stock) = (world.stock_keeping().await, world.stock().await);
    let product = id(&world.all("product").await[0]).to_owned();
    world.deletes(&product).await;
    assert!(world.stock_keeping().await.len() < before.len());
    let kinds = ["product", "inventory_item"];
    let job = world.restored(json!({"at": at, "select": {"kinds": kinds}})).await;
    assert_eq!(world.stock_keeping().await, before, "{job}");
    assert_eq!(world.stock().await, stock, "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_made_in_the_place_of_a_product_goes_and_the_product_comes_back() {
    let mut world = World::open("23").await;
    let at = world.known().await;
    let told = |product: &Value| {
        ["handle", "title"].map(|name| product[name].as_str().expect("a text").to_owned())
    };
    let titles = async |world: &World| -> BTreeMap<String, String> {
        let products = world.all("product").await;
        products.iter().map(|product| told(product).into()).collect()
    };
    let before = titles(&world).await;
    let product = world.all("product").await.remove(0);
    let [handle, _] = told(&product);
    world.deletes(id(&product)).await;
    for more in [format!(", handle: \"{handle}\""), String::new()] {
        let made = format!("productCreate(product: {{title: \"Not this one\"{more}}})");
        world.does(&format!("{made} {{ userErrors {{ message }} }}")).await;
    }
    assert_eq!(titles(&world).await.get(&handle).map(String::as_str), Some("Not this one"));
    let job = world.restored(json!({"at": at, "modes": {"delete_new": true}})).await;
    assert_eq!(job["counts"]["deleted"], 2, "{job}");
    assert_eq!(titles(&world).await, before, "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_went_with_their_definition_come_back_with_it() {
    let mut world = World::open("24").await;
    let called = "namespace: \"custom\", key: \"care\"";
    let kind = "type: \"single_line_text_field\"";
    let define = format!("name: \"Care\", ownerType: PRODUCT, {called}, {kind}");
    let define = format!("metafieldDefinitionCreate(definition: {{{define}}})");
    world.does(&format!("{define} {{ userErrors {{ message }} }}")).await;
    let product = id(&world.all("product").await[0]).to_owned();
    let value = format!("ownerId: \"{product}\", {called}, {kind}, value: \"By hand\"");
    let set = format!("metafieldsSet(metafields: [{{{value}}}])");
    world.does(&format!("{set} {{ userErrors {{ message }} }}")).await;
    let at = world.known().await;
    let care = async |world: &World| {
        let metafields = world.one("product", &product).await["metafields"].clone();
        let all = metafields.as_array().cloned().unwrap_or_default().into_iter();
        let mut named = all.filter(|metafield| metafield["key"] == "care");
        named.next().map(|metafield| metafield["value"].clone())
    };
    assert_eq!(care(&world).await, Some(json!("By hand")));
    let definitions = world.all("metafield_definition").await;
    let definition = definitions.iter().find(|one| one["key"] == "care").expect("a definition");
    let since = jiff::Timestamp::now().to_string();
    let delete = format!("id: \"{}\", deleteAllAssociatedMetafields: true", id(definition));
    let delete = format!("metafieldDefinitionDelete({delete})");
    world.does(&format!("{delete} {{ userErrors {{ message }} }}")).await;
    assert_eq!(care(&world).await, None);
    // Nobody tells of the value: whoever may have had one is read again.
    let pull = pulled(&world.backstock, "product", &since).await;
    assert_eq!(pull["state"], "complete", "{pull}");
    let job = world.restored(json!({"at": at})).await;
    assert_eq!(care(&world).await, Some(json!("By hand")), "{job}");
}
