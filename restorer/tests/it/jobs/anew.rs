//! What comes back under another id, what belongs to it, and what points to it.

use backstock_proto::ResourceId;
use serde_json::{Value, json};

use super::world::{World, result, state, told};

fn id_of(gid: &Value) -> ResourceId {
    ResourceId::parse(gid.as_str().expect("a gid")).expect("an id")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_of_a_variant_comes_back_with_its_product() {
    let mut world = World::new(81).await;
    let id = world.shop.ids("Product").remove(0);
    let product = world.shop.read("product", &id).await.expect("a product");
    let item = id_of(&product["variants"][0]["inventoryItem"]["id"]);
    let was = world.shop.read("inventory_item", &item).await.expect("an item");
    assert!(was["tracked"] == true && was["unitCost"]["amount"].is_string(), "{was}");
    world.deleted("product", &id, &product).await;
    world.went("inventory_item", &item, &was);
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    let counts = (&job["counts"]["created"], &job["counts"]["updated"]);
    assert_eq!((state(&job), counts), ("done", (&json!(1), &json!(1))), "{job}");
    let new = id_of(&result(&job, &item)["new_gid"]);
    let is = world.shop.read("inventory_item", &new).await.expect("an item");
    assert_eq!(told(&is), told(&was));
    world.shop.writes();
    let again = process.over(&process.apply("plan-a").await).await;
    assert_eq!(again["counts"]["skipped"], 2, "{again}");
    assert_eq!(world.shop.writes().len(), 0);
}
