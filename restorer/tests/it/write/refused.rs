//! Metafields and stock that the shop refuses keep nothing else away.

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_proto::admin::Call;
use backstock_restorer::write::Written;
use serde_json::{Value, json};

fn metafield(key: &str) -> Value {
    json!({"namespace": "custom", "key": key, "type": "single_line_text_field", "value": "warm"})
}

/// From now on the shop takes numbers only under a name.
async fn numbers_only(shop: &Simulated, owner: &str, key: &str) {
    let create = "mutation($d: MetafieldDefinitionInput!) { metafieldDefinitionCreate( \
                  definition: $d) { createdDefinition { id } userErrors { field message } } }";
    let definition = json!({
        "name": key, "namespace": "custom", "key": key, "ownerType": owner, "type": "number_integer",
    });
    let answer = shop.client.ask(Call::write(create, json!({"d": definition}))).await;
    assert_eq!(answer.expect("an answer").user_errors(), [""; 0]);
}

/// Gives something other metafields, and deletes it; how it was.
async fn gone(shop: &Simulated, kind: &str, id: &ResourceId, adorn: impl Fn(&mut Value)) -> Value {
    let plain = shop.read(kind, id).await.expect("it is there");
    let mut adorned = plain.clone();
    adorn(&mut adorned);
    shop.write(kind, Some(&plain), Some(&adorned)).await.expect("written");
    let was = shop.read(kind, id).await.expect("it is there");
    assert_eq!(shop.write(kind, Some(&was), None).await.expect("it goes"), Written::Deleted);
    was
}

/// Brings it back; how it is then.
async fn back(shop: &Simulated, kind: &str, was: &Value) -> Value {
    let made = shop.write(kind, None, Some(was)).await.expect("it comes back");
    let Written::Created { gid, .. } = made else { panic!("{made:?}") };
    let id = ResourceId::parse(&gid).expect("an id");
    shop.read(kind, &id).await.expect("it is there")
}

fn keys(state: &Value) -> Vec<&str> {
    let metafields = state["metafields"].as_array().expect("a list").iter();
    metafields.map(|metafield| metafield["key"].as_str().expect("a key")).collect()
}

/// What is lost is told, once, and nothing else is said to be.
fn assert_told(shop: &Simulated, lost: &[&str], kept: &[&str]) {
    let notes = shop.notes.lock().expect("no panic").clone();
    let of = |name: &str| notes.iter().filter(|note| note.contains(name)).count();
    assert!(lost.iter().all(|name| of(name) == 1), "{notes:?}");
    assert!(kept.iter().all(|name| of(name) == 0), "{notes:?}");
}

#[tokio::test]
async fn a_product_comes_back_without_those_that_are_refused_alone() {
    let shop = Simulated::start(41, 6, false).await;
    let id = shop.ids("Product").remove(0);
    let was = gone(&shop, "product", &id, |product| {
        product["metafields"] = json!([metafield("care"), metafield("origin")]);
        product["variants"][0]["metafields"] = json!([metafield("cut"), metafield("fit")]);
    })
    .await;
    numbers_only(&shop, "PRODUCT", "care").await;
    numbers_only(&shop, "PRODUCTVARIANT", "fit").await;
    let is = back(&shop, "product", &was).await;
    assert_eq!(keys(&is), ["origin"], "{is}");
    assert_eq!(keys(&is["variants"][0]), ["cut"], "{is}");
    for member in ["title", "handle", "status"] {
        assert_eq!(is[member], was[member]);
    }
    let variants = |product: &Value| product["variants"].as_array().map(Vec::len);
    assert_eq!(variants(&is), variants(&was));
    assert_told(
        &shop,
        &["custom.care", "custom.fit of a variant"],
        &["custom.origin", "custom.cut"],
    );
    shop.assert_simulated();
}

#[tokio::test]
async fn a_collection_comes_back_without_those_that_are_refused_alone() {
    for version in ["2026-04", "2026-10"] {
        let shop = Simulated::start_in(version, 42, 12, false).await;
        let id = shop.ids("Collection").remove(0);
        let was = gone(&shop, "collection", &id, |collection| {
            collection["metafields"] = json!([metafield("mood"), metafield("tone")]);
        })
        .await;
        numbers_only(&shop, "COLLECTION", "mood").await;
        let is = back(&shop, "collection", &was).await;
        assert_eq!(keys(&is), ["tone"], "{is}");
        assert_eq!((&is["title"], &is["handle"]), (&was["title"], &was["handle"]));
        assert_told(&shop, &["custom.mood"], &["custom.tone"]);
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn of_many_that_go_together_only_the_one_is_lost_that_is_refused() {
    let shop = Simulated::start(43, 6, false).await;
    let id = shop.ids("Page").remove(0);
    let was = gone(&shop, "page", &id, |page| {
        page["metafields"] = (10..40).map(|n| metafield(&format!("m{n}"))).collect();
    })
    .await;
    numbers_only(&shop, "PAGE", "m17").await;
    let is = back(&shop, "page", &was).await;
    let all = (10..40).filter(|n| *n != 17).map(|n| format!("m{n}"));
    assert_eq!(keys(&is), all.collect::<Vec<_>>(), "{is}");
    assert_told(&shop, &["custom.m17"], &["custom.m18"]);
    shop.assert_simulated();
}

#[tokio::test]
async fn a_product_comes_back_without_stock_that_is_refused_and_with_its_metafields() {
    let mut shop = Simulated::start(44, 6, false).await;
    let id = shop.ids("Product").remove(0);
    let was = gone(&shop, "product", &id, |product| {
        product["metafields"] = json!([metafield("care"), metafield("origin")]);
    })
    .await;
    numbers_only(&shop, "PRODUCT", "care").await;
    let item = was["variants"][0]["inventoryItem"]["id"].as_str().expect("a gid").to_owned();
    let level = json!({
        "id": "gid://shopify/InventoryLevel/1", "item": {"id": item}, "available": 5,
        "location": {"id": "gid://shopify/Location/999999"},
    });
    let cost = json!({"amount": "3.5", "currencyCode": "USD"});
    let counted = json!({"id": item, "tracked": true, "unitCost": cost});
    shop.parts.insert(item, vec![counted, level]);
    shop.writes();
    let is = back(&shop, "product", &was).await;
    assert_eq!(keys(&is), ["origin"], "{is}");
    let made = shop.writes().into_iter().filter(|write| write.mutation == "productSet");
    let errors: Vec<bool> = made.map(|write| write.user_errors > 0).collect();
    assert_eq!(errors, [true, true, false], "first one goes, then the other");
    assert_told(&shop, &["custom.care"], &["custom.origin", "Location"]);
    shop.assert_simulated();
}
