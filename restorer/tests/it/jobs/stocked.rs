//! Products that come back with what is counted of their variants: all of it goes with their making.

use std::collections::BTreeSet;

use backstock_proto::ResourceId;
use serde_json::{Value, json};
use shopify::admin::cost::Plan;
use shopify::fault::Fault;

use super::world::{Process, World, done, id_of, result, state, told};

/// An inventory item as it was, and how much there was of it where.
struct Item {
    id: ResourceId,
    was: Value,
    amounts: Vec<(ResourceId, i64)>,
}

/// A product as it was, with the items of its variants in their order.
struct Goods {
    id: ResourceId,
    items: Vec<Item>,
}

fn level_of(item: &ResourceId, location: &ResourceId) -> ResourceId {
    ResourceId::parse(&format!("{item}-{location}")).expect("an id")
}

fn amount(level: &Value) -> i64 {
    level["available"].as_i64().expect("a number")
}

/// Products that are deleted; the plan brings them back with their items, and those at both locations. Each
/// row has a cost of so many points.
async fn gone(world: &mut World, products: usize, points: f64) -> Vec<Goods> {
    let locations = world.shop.ids("Location");
    let (mut all, mut levels) = (Vec::new(), Vec::new());
    let mut ids = world.shop.ids("Product");
    ids.truncate(products);
    for id in ids {
        let product = world.shop.read("product", &id).await.expect("a product");
        let mut items = Vec::new();
        for variant in product["variants"].as_array().expect("variants") {
            let item = id_of(&variant["inventoryItem"]["id"]);
            let now = world.shop.read("inventory_item", &item).await.expect("an item");
            let mut was = now.clone();
            was["tracked"] = json!(true);
            was["unitCost"] = json!({"amount": "7.25", "currencyCode": "USD"});
            world.shop.write("inventory_item", Some(&now), Some(&was)).await.expect("priced");
            let was = world.shop.read("inventory_item", &item).await.expect("an item");
            let mut amounts = Vec::new();
            for location in &locations {
                let level = level_of(&item, location);
                let now = world.shop.read("inventory_level", &level).await.expect("a level");
                let mut counted = now.clone();
                let count = 11 + i64::try_from(levels.len()).expect("few");
                counted["available"] = json!(count);
                world.shop.write("inventory_level", Some(&now), Some(&counted)).await.expect("set");
                let counted = world.shop.read("inventory_level", &level).await.expect("a level");
                levels.push((level, counted));
                amounts.push((location.clone(), count));
            }
            items.push(Item { id: item, was, amounts });
        }
        world.deleted("product", &id, &product).await;
        all.push(Goods { id, items });
    }
    for item in all.iter().flat_map(|goods| &goods.items) {
        world.went("inventory_item", &item.id, &item.was);
    }
    for (id, level) in &levels {
        world.went("inventory_level", id, level);
    }
    for row in &mut world.rows {
        row["cost"] = json!(points);
    }
    world.planned("plan-a").await;
    world.shop.writes();
    asked(world);
    all
}

/// How many items and levels the shop told of since it was last asked.
fn asked(world: &World) -> usize {
    let answers = std::mem::take(&mut world.shop.simulator.shop().answers);
    let questions = answers.iter().map(|answer| &*answer.question);
    questions.filter(|name| ["InventoryItemsById", "InventoryLevelsById"].contains(name)).count()
}

/// Of how many locations the shop told since it was last asked, and by how many answers.
fn located(world: &World) -> (usize, usize) {
    let shop = world.shop.simulator.shop();
    let told = shop.answers.iter().filter(|answer| &*answer.question == "LocationsById");
    let at: Vec<_> = told.map(|answer| answer.at).collect();
    (at.len(), at.iter().collect::<BTreeSet<_>>().len())
}

/// The mutations that were sent since it was last asked.
fn mutations(world: &World) -> Vec<String> {
    world.shop.writes().into_iter().map(|write| write.mutation).collect()
}

/// How often the shop was told how a product is to be, and what else was said of what is counted.
fn told_of_stock(mutations: &[String]) -> (usize, BTreeSet<&str>) {
    let made = mutations.iter().filter(|mutation| *mutation == "productSet").count();
    let counted = mutations.iter().filter(|mutation| mutation.starts_with("inventory"));
    (made, counted.map(String::as_str).collect())
}

/// How much there is now of the items of a product that came back, in the order of its variants, with
/// these.
async fn now(world: &World, job: &Value, goods: &Goods) -> Vec<(ResourceId, Vec<i64>)> {
    let new = id_of(&result(job, &goods.id)["new_gid"]);
    let product = world.shop.read("product", &new).await.expect("a product");
    let mut items = Vec::new();
    for (variant, was) in product["variants"].as_array().expect("variants").iter().zip(&goods.items)
    {
        let item = id_of(&variant["inventoryItem"]["id"]);
        let mut amounts = Vec::new();
        for (location, _) in &was.amounts {
            let level = world.shop.read("inventory_level", &level_of(&item, location)).await;
            amounts.push(amount(&level.expect("a level")));
        }
        items.push((item, amounts));
    }
    items
}

async fn assert_as_it_was(world: &World, job: &Value, all: &[Goods]) {
    let rows = world.rows.len();
    assert_eq!((state(job), &job["counts"]["created"]), ("done", &json!(rows)), "{job}");
    for goods in all {
        let items = now(world, job, goods).await;
        assert_eq!(items.len(), goods.items.len());
        for ((item, amounts), was) in items.iter().zip(&goods.items) {
            let is = world.shop.read("inventory_item", item).await.expect("an item");
            assert_eq!(told(&is), told(&was.was));
            let before: Vec<i64> = was.amounts.iter().map(|(_, count)| *count).collect();
            assert_eq!(*amounts, before);
        }
    }
    world.shop.assert_simulated();
}

async fn applied(process: &Process, deselect: &[&Value]) -> Value {
    process.applied(&json!({"id": "plan-a", "digest": "digest of plan-a"}), deselect).await
}

/// The number of the plan's row of something.
fn n_of<'a>(world: &'a World, kind: &str, id: &ResourceId) -> &'a Value {
    let is = |row: &&Value| row["kind"] == kind && row["id"] == id.as_str();
    &world.rows.iter().find(is).expect("a row")["n"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_comes_back_with_costs_and_stock_by_one_mutation_and_goes_with_them_again() {
    let mut world = World::new(91).await;
    let all = gone(&mut world, 1, 10.0).await;
    let process = world.restorer();
    let job = applied(&process, &[]).await;
    let locations = all[0].items[0].amounts.len();
    assert!(locations > 1);
    assert_eq!(located(&world), (locations, 1), "all of them are asked for together");
    assert_eq!(asked(&world), 0, "it has what it was made with");
    assert_as_it_was(&world, &job, &all).await;
    let items = now(&world, &job, &all[0]).await;
    let n = n_of(&world, "inventory_item", &all[0].items[0].id);
    let rows = job["rows"]["items"].as_array().expect("rows");
    let item = rows.iter().find(|row| row["n"] == *n).expect("an end");
    assert_eq!(id_of(&item["new_gid"]), items[0].0, "{item}");
    let sent = mutations(&world);
    assert_eq!(told_of_stock(&sent), (1, BTreeSet::new()), "{sent:?}");
    let made = id_of(&result(&job, &all[0].id)["new_gid"]);
    let undone = process.undone(&job).await;
    let counts = (&undone["counts"]["deleted"], &undone["counts"]["skipped"]);
    assert_eq!((state(&undone), counts), ("done", (&json!(1), &json!(0))), "{undone}");
    assert_eq!(world.shop.read("product", &made).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_in_bulk_takes_its_stock_along() {
    let mut world = World::new(92).await;
    let all = gone(&mut world, 12, 40_000.0).await;
    let at = world.shop.simulator.now();
    world.shop.simulator.access().change_plan(Plan::Plus, at);
    let process = world.restorer();
    let job = applied(&process, &[]).await;
    // With more variants than 50 it is not heard whether a product has all that it was made with: its items
    // are asked for, and by each of them one level or two.
    let of_items = all.iter().map(|goods| goods.items.len());
    let unheard: usize = of_items.filter(|items| *items > 50).sum();
    let asked = asked(&world);
    assert!((2 * unheard..=3 * unheard).contains(&asked), "{asked}; the others have theirs");
    assert_as_it_was(&world, &job, &all).await;
    assert!(job["in_bulk"].as_u64().is_some_and(|lines| lines >= 12), "{job}");
    let sent = mutations(&world);
    assert_eq!(told_of_stock(&sent), (12, BTreeSet::new()), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sold_beyond_what_there_was_is_looked_at_and_set_afterwards() {
    let mut world = World::new(96).await;
    let all = gone(&mut world, 1, 10.0).await;
    let item = &all[0].items[0];
    let level = level_of(&item.id, &item.amounts[0].0);
    let is_it = |state: &&Value| {
        state["location"].is_object()
            && level_of(&id_of(&state["item"]["id"]), &id_of(&state["location"]["id"])) == level
    };
    let mut oversold = world.were.values().find(is_it).expect("a level").clone();
    oversold["available"] = json!(-3);
    world.remembers("inventory_level", &level, &oversold);
    let process = world.restorer();
    let job = applied(&process, &[]).await;
    assert_eq!(asked(&world), 1, "the others have what they were made with");
    assert_eq!((state(&job), &job["counts"]["failed"]), ("done", &json!(0)), "{job}");
    let sent = mutations(&world);
    assert_eq!(told_of_stock(&sent), (1, BTreeSet::from(["inventorySetQuantities"])), "{sent:?}");
    assert_eq!(now(&world, &job, &all[0]).await[0].1, [-3, item.amounts[1].1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_a_job_up_looks_at_what_came_with_a_product_before() {
    let mut world = World::new(97).await;
    let all = gone(&mut world, 12, 10.0).await;
    world.shop.simulator.faults().often(Fault::Throttled, 0.6);
    let mut process = world.restorer();
    let job = process.apply("plan-a").await;
    let seen = process.until(&job, |job| done(job) > 0).await;
    process.kill();
    assert!(done(&seen) < 12, "it was beyond the products before the kill: {seen}");
    world.shop.simulator.faults().often(Fault::Throttled, 0.0);
    asked(&world);
    let process = world.restorer();
    let job = process.over(&job).await;
    assert!(asked(&world) > 0, "{job}");
    assert_as_it_was(&world, &job, &all).await;
    let sent = mutations(&world);
    assert_eq!(told_of_stock(&sent), (12, BTreeSet::new()), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_that_was_deselected_stays_away() {
    let mut world = World::new(93).await;
    let all = gone(&mut world, 1, 10.0).await;
    let item = &all[0].items[0];
    let (location, _) = &item.amounts[0];
    let process = world.restorer();
    let level = n_of(&world, "inventory_level", &level_of(&item.id, location));
    let job = applied(&process, &[level]).await;
    assert_eq!((state(&job), &job["counts"]["skipped"]), ("done", &json!(1)), "{job}");
    let is = now(&world, &job, &all[0]).await;
    assert_eq!(is[0].1, [0, item.amounts[1].1], "what nobody wants is not there");
    let sent = mutations(&world);
    assert_eq!(told_of_stock(&sent), (1, BTreeSet::new()), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_item_stock_is_left_to_its_own_row() {
    let mut world = World::new(94).await;
    let all = gone(&mut world, 1, 10.0).await;
    let process = world.restorer();
    let items = all[0].items.iter().map(|item| n_of(&world, "inventory_item", &item.id));
    let job = applied(&process, &items.collect::<Vec<_>>()).await;
    assert_eq!((state(&job), &job["counts"]["failed"]), ("done", &json!(0)), "{job}");
    let sent = mutations(&world);
    assert_eq!(told_of_stock(&sent), (1, BTreeSet::from(["inventorySetQuantities"])), "{sent:?}");
    for ((_, amounts), was) in now(&world, &job, &all[0]).await.iter().zip(&all[0].items) {
        assert_eq!(*amounts, was.amounts.iter().map(|(_, count)| *count).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_at_a_location_that_is_gone_keeps_nothing_else_away() {
    let mut world = World::new(95).await;
    let all = gone(&mut world, 1, 10.0).await;
    let item = &all[0].items[0];
    let nowhere = ResourceId::parse("999999").expect("an id");
    let mut level = world.were.values().find(|state| state["location"].is_object()).cloned();
    let level = level.as_mut().expect("a level");
    let of = |kind: &str, id: &ResourceId| json!({"id": format!("gid://shopify/{kind}/{id}")});
    level["id"] = json!(format!("gid://shopify/InventoryLevel/7?inventory_item_id={}", item.id));
    level["item"] = of("InventoryItem", &item.id);
    level["location"] = of("Location", &nowhere);
    let lost = level_of(&item.id, &nowhere);
    world.went("inventory_level", &lost, level);
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = applied(&process, &[]).await;
    let counts = (&job["counts"]["created"], &job["counts"]["failed"]);
    let others = world.rows.len() - 1;
    assert_eq!((state(&job), counts), ("failed", (&json!(others), &json!(1))), "{job}");
    let why = result(&job, &lost)["reason"].as_str().expect("a reason");
    assert!(why.contains("restore the product or the location first"), "{why}");
    let is = now(&world, &job, &all[0]).await;
    assert_eq!(is[0].1, item.amounts.iter().map(|(_, count)| *count).collect::<Vec<_>>());
    let sent = world.shop.writes();
    let made: Vec<_> = sent.iter().filter(|write| write.mutation == "productSet").collect();
    assert!(matches!(made.as_slice(), [only] if only.user_errors == 0), "{made:?}");
}
