//! Price lists and catalogs are written back as they were.

use std::collections::BTreeMap;

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::{WriteError, Written};
use serde_json::{Value, json};
use shopify::fault::Fault;

fn made(written: Written) -> ResourceId {
    let Written::Created { gid, .. } = written else { panic!("{written:?}") };
    ResourceId::parse(&gid).unwrap()
}

fn updated() -> Written {
    Written::Updated { ids: BTreeMap::new() }
}

async fn variants(shop: &Simulated) -> Vec<Value> {
    let product = shop.ids("Product")[3].clone();
    let product = shop.read("product", &product).await.unwrap();
    product["variants"].as_array().unwrap().iter().map(|variant| variant["id"].clone()).collect()
}

#[tokio::test]
async fn prices_are_restored_alone_and_a_deleted_list_comes_back() {
    let mut shop = Simulated::start(2, 6, false).await;
    let variants = variants(&shop).await;
    assert!(variants.len() > 100);
    let price = |(at, id): (usize, &Value)| {
        json!({"id": id, "price": {"amount": format!("{}.50", at + 1), "currencyCode": "EUR"},
               "compareAtPrice": null})
    };
    let new = json!({
        "id": "gid://shopify/PriceList/1", "name": "Europe", "currency": "EUR", "catalog": null,
        "parent": {"adjustment": {"type": "PERCENTAGE_DECREASE", "value": 10.0},
                   "settings": {"compareAtMode": "ADJUSTED"}},
        "prices": variants.iter().enumerate().map(price).collect::<Vec<_>>(), "quantityRules": [],
    });
    let id = made(shop.write("price_list", None, Some(&new)).await.unwrap());
    let was = shop.read("price_list", &id).await.unwrap();
    assert_eq!(was["prices"].as_array().unwrap().len(), variants.len());
    let mut bad = was.clone();
    bad["prices"][7]["price"]["amount"] = json!("0.01");
    bad["prices"].as_array_mut().unwrap().remove(3);
    shop.writes();
    assert_eq!(shop.write("price_list", Some(&was), Some(&bad)).await.unwrap(), updated());
    let broken = shop.read("price_list", &id).await.unwrap();
    assert_eq!(broken, bad);
    assert_eq!(shop.write("price_list", Some(&broken), Some(&was)).await.unwrap(), updated());
    assert_eq!(shop.read("price_list", &id).await.unwrap(), was);
    let log = shop.writes();
    let sent: Vec<(&str, usize)> =
        log.iter().map(|write| (write.mutation.as_str(), write.ids.len())).collect();
    let expected = [
        ("priceListFixedPricesAdd", 2),
        ("priceListFixedPricesDelete", 2),
        ("priceListFixedPricesAdd", 3),
    ];
    assert_eq!(sent, expected, "the list, and the prices that differ");
    let before = shop.ids("PriceList").len();
    assert_eq!(shop.write("price_list", Some(&was), None).await.unwrap(), Written::Deleted);
    shop.begin_now();
    shop.fates(&[None, None, Some(Fault::Lost)]);
    let id = made(shop.write("price_list", None, Some(&was)).await.unwrap());
    let mut is = shop.read("price_list", &id).await.unwrap();
    is["id"] = was["id"].clone();
    assert_eq!(is, was);
    assert_eq!(shop.ids("PriceList").len(), before);
    shop.assert_simulated();
}

#[tokio::test]
async fn prices_that_are_gone_already_hold_nothing_up() {
    let shop = Simulated::start(2, 6, false).await;
    let id = shop.ids("PriceList").remove(0);
    let was = shop.read("price_list", &id).await.unwrap();
    let mut fewer = was.clone();
    fewer["prices"].as_array_mut().unwrap().truncate(5);
    fewer["quantityRules"] = json!([]);
    fewer["name"] = json!("Few");
    // The name is changed, and the answer to what deletes prices is lost.
    shop.fates(&[None, Some(Fault::Lost)]);
    assert_eq!(shop.write("price_list", Some(&was), Some(&fewer)).await.unwrap(), updated());
    assert_eq!(shop.read("price_list", &id).await.unwrap(), fewer);
    shop.fates(&[Some(Fault::Lost)]);
    assert_eq!(shop.write("price_list", Some(&fewer), None).await.unwrap(), Written::Deleted);
    shop.assert_simulated();
}

#[tokio::test]
async fn a_list_outlives_its_catalog_and_has_its_rules_again_with_it() {
    let shop = Simulated::start(2, 6, false).await;
    let list = shop.ids("PriceList").remove(0);
    let catalog = shop.ids("CompanyLocationCatalog").remove(0);
    let was = shop.read("price_list", &list).await.unwrap();
    let of_catalog = shop.read("catalog", &catalog).await.unwrap();
    assert_eq!(was["catalog"]["id"], of_catalog["id"]);
    assert_eq!(shop.write("catalog", Some(&of_catalog), None).await.unwrap(), Written::Deleted);
    let alone = shop.read("price_list", &list).await.expect("it is still there");
    let mut bare = alone.clone();
    bare["quantityRules"] = json!([]);
    assert_eq!(shop.write("price_list", Some(&alone), Some(&bare)).await.unwrap(), updated());
    let early = shop.write("price_list", Some(&bare), Some(&alone)).await.unwrap_err();
    assert!(matches!(early, WriteError::Missing(_)), "{early}");
    made(shop.write("catalog", None, Some(&of_catalog)).await.unwrap());
    let now = shop.read("price_list", &list).await.unwrap();
    let mut want = now.clone();
    want["quantityRules"] = was["quantityRules"].clone();
    assert_eq!(shop.write("price_list", Some(&now), Some(&want)).await.unwrap(), updated());
    let is = shop.read("price_list", &list).await.unwrap();
    assert_eq!((&is["quantityRules"], &is["prices"]), (&was["quantityRules"], &was["prices"]));
    assert_ne!(is["quantityRules"], json!([]));
    shop.assert_simulated();
}

#[tokio::test]
async fn a_catalog_that_comes_back_open_to_all_products_says_so() {
    let shop = Simulated::start(2, 6, false).await;
    let id = shop.ids("MarketCatalog").remove(0);
    let mut was = shop.read("catalog", &id).await.unwrap();
    was["publication"] = json!({"id": "gid://shopify/Publication/1"});
    assert_eq!(shop.write("catalog", Some(&was), None).await.unwrap(), Written::Deleted);
    let id = made(shop.write("catalog", None, Some(&was)).await.unwrap());
    let is = shop.read("catalog", &id).await.unwrap();
    assert_eq!((&is["title"], &is["publication"]), (&was["title"], &Value::Null));
    let notes = shop.notes.lock().unwrap().join("\n");
    let title = was["title"].as_str().unwrap();
    assert!(notes.contains(title) && notes.contains("shows all products"), "{notes}");
    shop.assert_simulated();
}

#[tokio::test]
async fn a_newer_list_or_catalog_of_the_same_name_is_left_alone() {
    let shop = Simulated::start(2, 6, false).await;
    let id = shop.ids("PriceList").remove(0);
    let newer = shop.read("price_list", &id).await.unwrap();
    let mut gone = newer.clone();
    (gone["id"], gone["catalog"]) = (json!("gid://shopify/PriceList/1"), Value::Null);
    gone["prices"] = json!([]);
    let refused = shop.write("price_list", None, Some(&gone)).await.unwrap_err();
    assert!(matches!(refused, WriteError::Taken(_)), "{refused}");
    assert_eq!(shop.read("price_list", &id).await.unwrap(), newer);
    let id = shop.ids("MarketCatalog").remove(0);
    let newer = shop.read("catalog", &id).await.unwrap();
    let made = shop.write("catalog", None, Some(&newer)).await;
    let is_newer = |gid: &String| newer["id"] == gid.as_str();
    assert!(!matches!(&made, Ok(Written::Created { gid, .. }) if is_newer(gid)), "{made:?}");
}

#[tokio::test]
async fn a_catalog_comes_back_with_the_products_that_it_showed() {
    let mut shop = Simulated::start(2, 60, false).await;
    let id = shop.ids("CompanyLocationCatalog").remove(0);
    let was = shop.read("catalog", &id).await.unwrap();
    assert!(was["products"].as_array().unwrap().len() > 20, "more than a first page: {was}");
    let mut bad = was.clone();
    bad["products"].as_array_mut().unwrap().truncate(2);
    bad["autoPublish"] = json!(true);
    assert_eq!(shop.write("catalog", Some(&was), Some(&bad)).await.unwrap(), updated());
    assert_eq!(shop.read("catalog", &id).await.unwrap(), bad);
    assert_eq!(shop.write("catalog", Some(&bad), Some(&was)).await.unwrap(), updated());
    assert_eq!(shop.read("catalog", &id).await.unwrap(), was);
    let before = shop.ids("Publication").len();
    assert_eq!(shop.write("catalog", Some(&was), None).await.unwrap(), Written::Deleted);
    assert_eq!(shop.ids("Publication").len(), before - 1, "it went with the catalog");
    shop.begin_now();
    // What is there, the titles, the making, the catalog and its products; then the publication.
    shop.fates(&[None, None, None, None, None, Some(Fault::Lost)]);
    let written = shop.write("catalog", None, Some(&was)).await.unwrap();
    let Written::Created { gid, ids } = written else { panic!("{written:?}") };
    let is = shop.read("catalog", &ResourceId::parse(&gid).unwrap()).await.unwrap();
    assert_eq!((&is["products"], &is["autoPublish"]), (&was["products"], &was["autoPublish"]));
    let [old, new] = [&was, &is].map(|catalog| catalog["publication"]["id"].as_str().unwrap());
    assert_eq!(ids[old], new);
    assert_eq!(shop.ids("Publication").len(), before, "it was made once");
    shop.assert_simulated();
}
