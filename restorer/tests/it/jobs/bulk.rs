//! Jobs that make more anew than points allow soon: they go in bulk, and nothing is made twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backstock_proto::ResourceId;
use backstock_proto::publish::Records as _;
use serde_json::{Value, json};
use shopify::admin::cost::Plan;
use shopify::bulk_run::Failure;
use shopify::fault::Fault;

use super::world::{Process, World, acme, now, result, state};

/// How many products are made anew.
const PRODUCTS: usize = 24;
/// Points of the largest row, by which the whole takes the shop more than five minutes, or not.
const MUCH: f64 = 480_000.0;
const LITTLE: f64 = 100.0;

/// A shop on the Plus plan, some of whose products are gone, with a plan that brings them back.
async fn gone(seed: u64, points: f64, spoil: impl Fn(usize, &mut Value)) -> World {
    let mut world = World::new(seed).await;
    let mut ids = world.shop.ids("Product");
    ids.truncate(PRODUCTS);
    for (n, id) in ids.iter().enumerate() {
        let mut product = world.shop.read("product", id).await.expect("a product");
        spoil(n, &mut product);
        world.deleted("product", id, &product).await;
    }
    for row in &mut world.rows {
        row["cost"] = json!(LITTLE);
    }
    world.rows.last_mut().expect("a row")["cost"] = json!(points);
    world.planned("plan-a").await;
    let now = world.shop.simulator.now();
    world.shop.simulator.access().change_plan(Plan::Plus, now);
    world
}

/// A value in which whatever names something else is as good as any other name.
fn nameless(value: Value) -> Value {
    match value {
        Value::String(text) if text.contains("gid://") => "a reference".into(),
        Value::Array(items) => items.into_iter().map(nameless).collect(),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, v)| (name, nameless(v))).collect())
        }
        other => other,
    }
}

/// What a product is, whatever the ids of it, of what it owns and of what it refers to.
fn essence(product: &Value) -> Value {
    let of = |member: &str, names: &[&str]| -> Value {
        let elements = product[member].as_array().expect("a list").iter();
        elements.map(|e| names.iter().map(|name| e[*name].clone()).collect::<Value>()).collect()
    };
    nameless(json!({
        "title": product["title"], "handle": product["handle"], "status": product["status"],
        "metafields": product["metafields"],
        "publications": of("publications", &["publicationId"]),
        "variants": of("variants", &["sku", "price", "position", "selectedOptions", "metafields"]),
        "pictures": product["variants"].as_array().expect("a list").iter()
            .map(|variant| variant["mediaIds"].as_array().map_or(0, Vec::len)).collect::<Vec<_>>(),
        "media": of("media", &["alt", "mediaContentType"]),
    }))
}

/// Such a shop whose operations do so many lines a second, the products that it had left, and a job that
/// applies the plan, by which operations have made some more.
async fn under_way(seed: u64, pace: f64) -> (World, Vec<ResourceId>, Process, String) {
    let world = gone(seed, MUCH, |_, _| {}).await;
    let left = world.shop.ids("Product");
    world.shop.simulator.pace_bulk(pace);
    let process = world.restorer();
    let id = process.apply("plan-a").await;
    while world.shop.ids("Product").len() < left.len() + 3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (world, left, process, id)
}

/// How the shop's bulk operations are.
fn operations(world: &World) -> Vec<String> {
    let shop = world.shop.simulator.shop();
    let operations = shop.store.live("BulkOperation");
    let states = operations.map(|(_, operation)| operation["status"].as_str().map(str::to_owned));
    states.map(|state| state.expect("a status")).collect()
}

/// Every product is there as it was, and none is there twice.
async fn assert_made_once(world: &World, job: &Value, all: usize) {
    assert_eq!((state(job), &job["counts"]["created"]), ("done", &json!(PRODUCTS)), "{job}");
    for row in &world.rows {
        let id = ResourceId::parse(row["id"].as_str().expect("an id")).expect("an id");
        let gid = result(job, &id)["new_gid"].as_str().expect("a gid");
        let new = ResourceId::parse(gid).expect("an id");
        let is = world.shop.read("product", &new).await.expect("a product");
        let was = essence(&world.were[row["gid"].as_str().expect("a gid")]);
        let is = essence(&is);
        for member in ["title", "handle", "status", "variants"] {
            assert_eq!(is[member], was[member], "{is}");
        }
    }
    assert_eq!(world.shop.ids("Product").len(), all, "{job}");
    let (_, booked) = world.booked().await;
    let there: BTreeSet<String> =
        world.shop.ids("Product").iter().map(|id| id.to_string()).collect();
    assert!(booked.is_subset(&there), "what was made is on record by its ids of now");
    assert_eq!(booked.len(), PRODUCTS);
    world.shop.assert_simulated();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_by_points_goes_in_bulk_with_the_same_result_for_fewer_of_them() {
    let (mut costs, mut results) = (Vec::new(), Vec::new());
    for points in [LITTLE, MUCH] {
        let world = gone(81, points, |_, _| {}).await;
        let all = world.shop.ids("Product").len() + PRODUCTS;
        let process = world.restorer();
        let job = process.over(&process.apply("plan-a").await).await;
        assert_made_once(&world, &job, all).await;
        let in_bulk = job["in_bulk"].as_u64();
        match points == MUCH {
            true => assert!(in_bulk.is_some_and(|lines| lines >= PRODUCTS as u64), "{job}"),
            false => assert_eq!(in_bulk, None, "{job}"),
        }
        costs.push(job["cost"].as_f64().expect("points"));
        let mut made = BTreeMap::new();
        for id in world.shop.ids("Product") {
            let product = world.shop.read("product", &id).await.expect("a product");
            made.insert(product["handle"].to_string(), essence(&product));
        }
        results.push(made);
    }
    assert_eq!(results[1], results[0]);
    assert!(costs[1] < costs[0], "{costs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_an_operation_makes_nothing_twice() {
    let (world, left, mut process, id) = under_way(82, 4.0).await;
    process.kill();
    let job = world.restorer().over(&id).await;
    assert_made_once(&world, &job, left.len() + PRODUCTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operations_made_of_a_job_that_is_cancelled_after_a_kill_is_found_by_an_undo() {
    let (world, left, mut process, id) = under_way(87, 2.0).await;
    process.kill();
    // Nobody who could take it up is there when that is said.
    let cancel = json!({"want": "cancel", "by": "test", "at": now()});
    world.history.put(&acme(), "job_order", &id, &cancel).await.expect("on record");
    let process = world.restorer();
    let job = process.over(&id).await;
    let mut made = world.shop.ids("Product");
    made.retain(|id| !left.contains(id));
    assert!((3..PRODUCTS).contains(&made.len()), "an operation is not left to its end: {job}");
    let counts = (&job["counts"]["created"], &job["counts"]["pending"]);
    let open = json!(PRODUCTS - made.len());
    assert_eq!((state(&job), counts), ("cancelled", (&json!(made.len()), &open)), "{job}");
    let (_, booked) = world.booked().await;
    let there: BTreeSet<String> = made.iter().map(ToString::to_string).collect();
    assert_eq!(booked, there);
    let undone = process.undone(&job).await;
    let deleted = &undone["counts"]["deleted"];
    assert_eq!((state(&undone), deleted), ("done", &json!(made.len())), "{undone}");
    assert_eq!(world.shop.ids("Product"), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_to_end_has_its_operations_end_and_the_next_one_makes_the_rest() {
    let (world, left, mut process, id) = under_way(88, 1.0).await;
    process.end().await;
    let ended = operations(&world);
    let is_ended = |state: &String| state == "CANCELED";
    assert!(
        !ended.is_empty() && ended.iter().all(is_ended),
        "asked to end, and awaited: {ended:?}"
    );
    let made = world.shop.ids("Product").len() - left.len();
    assert!(made < PRODUCTS, "the operation ran to its end");
    let (_, booked) = world.booked().await;
    assert_eq!(booked.len(), made, "what it had made is on record before the process is gone");
    world.shop.simulator.pace_bulk(1_000.0);
    let job = world.restorer().over(&id).await;
    assert_made_once(&world, &job, left.len() + PRODUCTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_when_a_process_is_to_end_is_on_record_as_unsent_and_made_by_the_next_one() {
    let world = gone(89, MUCH, |_, _| {}).await;
    let left = world.shop.ids("Product").len();
    let mut process = world.restorer();
    let id = process.apply("plan-a").await;
    world.until_begun(&id, PRODUCTS).await;
    process.end().await;
    assert_eq!(world.shop.ids("Product").len(), left, "all of them still waited");
    assert_eq!(operations(&world), [""; 0], "none is begun by whom is to end");
    assert_eq!(world.steps(&id, "back").await, PRODUCTS);
    let job = world.restorer().over(&id).await;
    assert_made_once(&world, &job, left + PRODUCTS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_refused_fails_its_row_alone() {
    let world = gone(83, MUCH, |n, product| {
        if n == 5 {
            product["title"] = json!("");
        }
    })
    .await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    let counts = (&job["counts"]["created"], &job["counts"]["failed"]);
    assert_eq!((state(&job), counts), ("failed", (&json!(PRODUCTS - 1), &json!(1))), "{job}");
    assert!(job["in_bulk"].as_u64().is_some_and(|lines| lines >= PRODUCTS as u64), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_whose_line_is_refused_for_a_metafield_comes_back_without_that_one() {
    let metafield = |key: &str, value: &str| -> Value {
        json!({"namespace": "custom", "key": key, "type": "number_integer", "value": value})
    };
    let spoilt = json!([metafield("bad", "not a number"), metafield("good", "7")]);
    let world = gone(90, MUCH, |n, product| {
        if n == 5 {
            product["metafields"] = spoilt.clone();
        }
    })
    .await;
    let all = world.shop.ids("Product").len() + PRODUCTS;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_made_once(&world, &job, all).await;
    assert!(job["in_bulk"].as_u64().is_some_and(|lines| lines >= PRODUCTS as u64), "{job}");
    let id = ResourceId::parse(world.rows[5]["id"].as_str().expect("an id")).expect("an id");
    let row = result(&job, &id);
    assert!(row["reason"].as_str().is_some_and(|why| why.contains("custom.bad")), "{row}");
    let new = ResourceId::parse(row["new_gid"].as_str().expect("a gid")).expect("an id");
    let is = world.shop.read("product", &new).await.expect("a product");
    assert_eq!(is["metafields"], json!([metafield("good", "7")]), "{is}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operation_that_failed_did_not_answer_is_looked_for_and_made_once() {
    let world = gone(84, MUCH, |_, _| {}).await;
    let all = world.shop.ids("Product").len() + PRODUCTS;
    world.shop.simulator.fail_next_bulk(Failure::Timeout);
    // Among what is lost may be the answer to a start.
    world.shop.simulator.faults().often(Fault::Lost, 0.1);
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    world.shop.simulator.faults().often(Fault::Lost, 0.0);
    assert_made_once(&world, &job, all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_begins_no_bulk_mutation_is_written_to_by_single_ones() {
    // Of one document, since each is tried for a while.
    let world = gone(85, MUCH, |_, product| product["publications"] = json!([])).await;
    let all = world.shop.ids("Product").len() + PRODUCTS;
    world.shop.simulator.pace_bulk(0.0);
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_made_once(&world, &job, all).await;
    assert_eq!(job.get("in_bulk"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_sent_when_a_job_was_paused_is_not_taken_for_what_others_make_meanwhile() {
    let world = gone(86, MUCH, |_, _| {}).await;
    let left = world.shop.ids("Product").len();
    let process = world.restorer();
    let id = process.apply("plan-a").await;
    world.until_begun(&id, PRODUCTS).await;
    let (status, _) = process.post(&format!("/jobs/{id}/pause"), json!(null)).await;
    assert_eq!(status, 202);
    process.until(&id, |job| state(job) == "paused").await;
    assert_eq!(world.shop.ids("Product").len(), left, "all of them still waited");
    let was = &world.were[world.rows[0]["gid"].as_str().expect("a gid")];
    let by_hand = json!({"title": "By hand", "handle": was["handle"], "status": "DRAFT"});
    world.shop.write("product", None, Some(&by_hand)).await.expect("made");
    let made = world.shop.ids("Product").pop().expect("a product");
    let by_hand = world.shop.read("product", &made).await;
    let (status, _) = process.post(&format!("/jobs/{id}/resume"), json!(null)).await;
    assert_eq!(status, 202);
    let job = process.over(&id).await;
    let counts = (&job["counts"]["created"], &job["counts"]["failed"]);
    assert_eq!((state(&job), counts), ("failed", (&json!(PRODUCTS - 1), &json!(1))), "{job}");
    assert_eq!(world.shop.read("product", &made).await, by_hand);
}
