//! Stock, locations and files are written back as they were.

use std::collections::BTreeMap;

use crate::simulated::Simulated;
use backstock_proto::{ResourceId, Timestamp};
use backstock_restorer::write::{WriteError, Written};
use serde_json::{Value, json};
use shopify::fault::Fault;

fn updated() -> Written {
    Written::Updated { ids: BTreeMap::new() }
}

fn mutations(shop: &Simulated) -> Vec<String> {
    shop.writes().into_iter().map(|write| write.mutation).collect()
}

#[tokio::test]
async fn an_item_is_changed_and_comes_back_with_its_variant() {
    let mut shop = Simulated::start(4, 4, false).await;
    let id = shop.ids("InventoryItem")[0].clone();
    let was = shop.read("inventory_item", &id).await.unwrap();
    let damages = [
        ("unitCost", Value::Null),
        ("sku", json!("WRONG")),
        ("tracked", json!(false)),
        ("countryCodeOfOrigin", json!("FR")),
        ("harmonizedSystemCode", json!("6109.10")),
        ("measurement", json!({"weight": {"unit": "GRAMS", "value": 1.5}})),
        ("measurement", json!({"weight": null})),
    ];
    for (field, value) in damages {
        let mut bad = was.clone();
        bad[field] = value;
        assert_eq!(shop.write("inventory_item", Some(&was), Some(&bad)).await.unwrap(), updated());
        let broken = shop.read("inventory_item", &id).await.unwrap();
        assert_eq!(broken, bad, "{field}");
        shop.writes();
        assert_eq!(
            shop.write("inventory_item", Some(&broken), Some(&was)).await.unwrap(),
            updated()
        );
        assert_eq!(shop.read("inventory_item", &id).await.unwrap(), was, "{field}");
        assert_eq!(mutations(&shop), ["inventoryItemUpdate"], "{field}");
    }
    let product = shop.ids("Product")[0].clone();
    let product = shop.read("product", &product).await.unwrap();
    shop.write("product", Some(&product), None).await.unwrap();
    let gone = shop.write("inventory_item", None, Some(&was)).await.unwrap_err();
    assert!(matches!(gone, WriteError::Missing(_)), "{gone}");
    let made = shop.write("product", None, Some(&product)).await.unwrap();
    let Written::Created { ids, .. } = made else { panic!("{made:?}") };
    let item = ids[was["id"].as_str().unwrap()].clone();
    shop.renamed = ids;
    let made = shop.write("inventory_item", None, Some(&was)).await.unwrap();
    let Written::Created { gid, .. } = made else { panic!("{made:?}") };
    assert_eq!(gid, item);
    let is = shop.read("inventory_item", &ResourceId::parse(&gid).unwrap()).await.unwrap();
    let plain = |state: &Value| {
        let mut state = state.clone();
        state.as_object_mut().unwrap().retain(|name, _| name != "id" && name != "createdAt");
        state
    };
    assert_eq!(plain(&is), plain(&was));
    shop.assert_simulated();
}

#[tokio::test]
async fn a_product_is_made_with_all_that_is_counted_of_it_however_little_is_read_together() {
    let mut shop = Simulated::start(8, 6, false).await;
    let mut product = Value::Null;
    for id in shop.ids("Product") {
        product = shop.read("product", &id).await.unwrap();
        if (4..=20).contains(&product["variants"].as_array().unwrap().len()) {
            break;
        }
    }
    let variants = product["variants"].as_array().unwrap().iter();
    let items = variants.map(|variant| variant["inventoryItem"]["id"].as_str().unwrap().to_owned());
    let items: Vec<String> = items.collect();
    assert!(items.len() > 3, "{product}");
    for item in &items {
        let cost = json!({"amount": "7.25", "currencyCode": "USD"});
        let counted = json!({"id": item, "tracked": true, "unitCost": cost});
        shop.parts.insert(item.clone(), vec![counted]);
    }
    shop.write("product", Some(&product), None).await.unwrap();
    let made = shop.write("product", None, Some(&product)).await.unwrap();
    let Written::Created { ids, .. } = made else { panic!("{made:?}") };
    for item in &items {
        let id = ResourceId::parse(&ids[item]).unwrap();
        let is = shop.read("inventory_item", &id).await.unwrap();
        assert_eq!((&is["tracked"], &is["unitCost"]["amount"]), (&json!(true), &json!("7.25")));
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn an_amount_is_written_only_where_it_is_asked_for_and_over_what_was_seen() {
    let shop = Simulated::start(5, 4, false).await;
    let item = shop.ids("InventoryItem")[0].clone();
    let location = shop.ids("Location")[1].clone();
    let id = ResourceId::parse(&format!("{item}-{location}")).unwrap();
    let was = shop.read("inventory_level", &id).await.unwrap();
    let amount = |state: &Value| {
        let mut quantities = state["quantities"].as_array().unwrap().iter();
        quantities.find(|q| q["name"] == "available").unwrap()["quantity"].as_i64().unwrap()
    };
    let with = |amount: i64| {
        let mut state = was.clone();
        let quantities = state["quantities"].as_array_mut().unwrap().iter_mut();
        quantities
            .filter(|q| ["available", "on_hand"].iter().any(|name| q["name"] == *name))
            .for_each(|q| q["quantity"] = json!(amount));
        state
    };
    let bad = with(amount(&was) + 7);
    assert_eq!(shop.write("inventory_level", Some(&was), Some(&bad)).await.unwrap(), updated());
    let broken = shop.read("inventory_level", &id).await.unwrap();
    assert_eq!(amount(&broken), amount(&was) + 7);
    // Somebody bought one meanwhile: what was seen is no longer there.
    let stale = with(amount(&was) + 8);
    let refused = shop.write("inventory_level", Some(&stale), Some(&was)).await.unwrap_err();
    assert!(refused.to_string().contains("no longer matches"), "{refused}");
    assert_eq!(shop.write("inventory_level", Some(&broken), Some(&was)).await.unwrap(), updated());
    assert_eq!(amount(&shop.read("inventory_level", &id).await.unwrap()), amount(&was));
    // Without an amount it is only stocked there.
    let mut unasked = was.clone();
    unasked.as_object_mut().unwrap().retain(|name, _| name != "quantities" && name != "available");
    assert_eq!(shop.write("inventory_level", Some(&was), None).await.unwrap(), Written::Deleted);
    assert_eq!(shop.read("inventory_level", &id).await, None);
    shop.writes();
    shop.fates(&[None, Some(Fault::Lost)]);
    let made = shop.write("inventory_level", None, Some(&unasked)).await.unwrap();
    assert!(matches!(made, Written::Created { .. }), "{made:?}");
    let is = shop.read("inventory_level", &id).await.unwrap();
    assert_eq!(amount(&is), amount(&was), "what was counted there still counts");
    let other = json!({"id": was["id"], "item": was["item"], "location": was["location"],
                       "available": amount(&was) + 1});
    assert_eq!(shop.write("inventory_level", Some(&is), Some(&other)).await.unwrap(), updated());
    let is = shop.read("inventory_level", &id).await.unwrap();
    assert_eq!(amount(&is), amount(&was) + 1);
    // What comes back is stocked with its amount at once.
    shop.write("inventory_level", Some(&is), None).await.unwrap();
    shop.writes();
    let more = with(amount(&was) + 3);
    let more = json!({"id": was["id"], "item": was["item"], "location": was["location"],
                      "available": amount(&more)});
    let made = shop.write("inventory_level", None, Some(&more)).await.unwrap();
    assert!(matches!(made, Written::Created { .. }), "{made:?}");
    assert_eq!(mutations(&shop), ["inventoryActivate"]);
    let is = shop.read("inventory_level", &id).await.unwrap();
    assert_eq!(amount(&is), amount(&was) + 3);
    shop.assert_simulated();
}

#[tokio::test]
async fn a_location_is_edited_and_comes_back() {
    let mut shop = Simulated::start(6, 2, false).await;
    let id = shop.ids("Location")[1].clone();
    let bare = shop.read("location", &id).await.unwrap();
    let mut was = bare.clone();
    was["metafields"] = json!([{"namespace": "custom", "key": "hours",
                                "type": "single_line_text_field", "value": "9 to 5"}]);
    assert_eq!(shop.write("location", Some(&bare), Some(&was)).await.unwrap(), updated());
    assert_eq!(mutations(&shop), ["metafieldsSet"]);
    assert_eq!(shop.read("location", &id).await.unwrap(), was);
    for (pointer, value) in [
        ("/name", json!("Cellar")),
        ("/address/address1", json!("9 Rua Nova")),
        ("/address/phone", json!("+351 1")),
        ("/fulfillsOnlineOrders", json!(false)),
    ] {
        let mut bad = was.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert_eq!(shop.write("location", Some(&was), Some(&bad)).await.unwrap(), updated());
        let broken = shop.read("location", &id).await.unwrap();
        assert_eq!(broken, bad, "{pointer}");
        shop.writes();
        assert_eq!(shop.write("location", Some(&broken), Some(&was)).await.unwrap(), updated());
        assert_eq!(shop.read("location", &id).await.unwrap(), was, "{pointer}");
        assert_eq!(mutations(&shop), ["locationEdit"]);
    }
    let mut new = was.clone();
    new["id"] = json!("gid://shopify/Location/1");
    new["name"] = json!("Attic");
    new["isActive"] = json!(false);
    shop.begin_now();
    shop.fates(&[None, Some(Fault::Lost)]);
    let made = shop.write("location", None, Some(&new)).await.unwrap();
    let Written::Created { gid, .. } = made else { panic!("{made:?}") };
    let is = shop.read("location", &ResourceId::parse(&gid).unwrap()).await.unwrap();
    for field in ["name", "isActive", "address", "fulfillsOnlineOrders", "metafields"] {
        assert_eq!(is[field], new[field], "{field}");
    }
    assert_eq!(shop.ids("Location").len(), 3);
    assert_eq!(shop.write("location", Some(&is), None).await.unwrap(), Written::Deleted);
    assert_eq!(shop.ids("Location").len(), 2);
    shop.assert_simulated();
}

#[tokio::test]
async fn a_location_that_somebody_else_made_is_left_alone() {
    for began_at in [None, Some(Timestamp::from_micros(0))] {
        let mut shop = Simulated::start(6, 2, false).await;
        if let Some(began_at) = began_at {
            shop.begin(began_at);
        }
        let id = shop.ids("Location")[1].clone();
        let there = shop.read("location", &id).await.unwrap();
        let mut gone = there.clone();
        gone["id"] = json!("gid://shopify/Location/1");
        gone["address"]["city"] = json!("Elsewhere");
        let taken = shop.write("location", None, Some(&gone)).await.unwrap_err();
        assert!(matches!(taken, WriteError::Taken(_)), "{taken}");
        assert_eq!(mutations(&shop), Vec::<String>::new());
        assert_eq!(shop.read("location", &id).await.unwrap(), there);
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_file_comes_back_with_its_bytes() {
    for (seed, lost) in [(1, false), (2, true), (3, false), (4, true)] {
        let mut shop = Simulated::start(seed, 6, false).await;
        for id in shop.ids("MediaImage").into_iter().take(3) {
            let mut was = shop.read("file", &id).await.unwrap();
            let url = was["image"]["url"].as_str().unwrap().to_owned();
            let bytes = reqwest::get(&url).await.unwrap().bytes().await.unwrap();
            let hash = blake3::hash(&bytes).to_hex().to_string();
            shop.blobs.insert(hash.clone(), bytes.clone());
            was["blob"] = json!(hash);
            let mut bad = was.clone();
            bad["alt"] = json!("spam");
            assert_eq!(shop.write("file", Some(&was), Some(&bad)).await.unwrap(), updated());
            let broken = shop.read("file", &id).await.unwrap();
            assert_eq!(broken["alt"], "spam");
            shop.writes();
            assert_eq!(shop.write("file", Some(&broken), Some(&was)).await.unwrap(), updated());
            assert_eq!(mutations(&shop), ["fileUpdate"]);
            assert_eq!(shop.read("file", &id).await.unwrap()["alt"], was["alt"]);
            assert_eq!(shop.write("file", Some(&was), None).await.unwrap(), Written::Deleted);
            assert!(
                !reqwest::get(&url).await.unwrap().status().is_success(),
                "it dies with its file"
            );
            let before = shop.ids("MediaImage").len();
            shop.begin_now();
            if lost {
                shop.fates(&[None, None, Some(Fault::Lost)]);
            }
            let made = shop.write("file", None, Some(&was)).await.unwrap();
            let Written::Created { gid, .. } = made else { panic!("{made:?}") };
            assert_eq!(shop.ids("MediaImage").len(), before + 1);
            let is = shop.read("file", &ResourceId::parse(&gid).unwrap()).await.unwrap();
            assert_eq!(is["alt"], was["alt"]);
            let copy = reqwest::get(is["image"]["url"].as_str().unwrap()).await.unwrap();
            assert_eq!(copy.bytes().await.unwrap(), bytes);
            let again = shop.write("file", Some(&is), Some(&was)).await.unwrap();
            assert_eq!(again, Written::Unchanged);
        }
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_file_whose_bytes_are_nowhere_is_told_of() {
    let shop = Simulated::start(1, 6, false).await;
    let id = shop.ids("MediaImage")[0].clone();
    let was = shop.read("file", &id).await.unwrap();
    shop.write("file", Some(&was), None).await.unwrap();
    let before = shop.ids("MediaImage").len();
    let lost = shop.write("file", None, Some(&was)).await.unwrap_err();
    assert!(matches!(lost, WriteError::Missing(_)), "{lost}");
    assert_eq!(shop.ids("MediaImage").len(), before, "nothing broken is left behind");
}

#[tokio::test]
async fn an_amount_that_was_refused_can_be_tried_again() {
    let shop = Simulated::start(5, 4, false).await;
    let (item, location) = (shop.ids("InventoryItem")[0].clone(), shop.ids("Location")[1].clone());
    let id = ResourceId::parse(&format!("{item}-{location}")).unwrap();
    let was = shop.read("inventory_level", &id).await.unwrap();
    let mut far = was.clone();
    far["available"] = json!(2_000_000_000);
    for attempt in 0..3 {
        let refused = shop.write("inventory_level", Some(&was), Some(&far)).await.unwrap_err();
        let why = refused.to_string();
        assert!(why.contains("INVALID_QUANTITY_TOO_HIGH"), "try {attempt}: {why}");
    }
    shop.assert_simulated();
}
