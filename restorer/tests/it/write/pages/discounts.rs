//! Discounts: what they take off, of what, and for whom.

use super::furnished::{furnished, states};
use serde_json::{Value, json};

#[tokio::test]
async fn what_a_discount_takes_off_and_of_what_is_put_right() {
    let shop = furnished(10).await;
    let product =
        |n: usize| json!({"id": format!("gid://shopify/Product/{}", shop.ids("Product")[n])});
    let collection =
        json!({"id": format!("gid://shopify/Collection/{}", shop.ids("Collection")[0])});
    let mut edited_ones = 0;
    for (id, was) in states(&shop, "discount").await {
        let mut edits: Vec<Value> = Vec::new();
        if was["customerGets"].is_object() {
            let mut edited = was.clone();
            edited["customerGets"]["value"] = json!({"percentage": 0.9});
            edits.push(edited.clone());
            edited["customerGets"]["value"] = json!({"amount": {"amount": "5.00", "currencyCode": "USD"}, "appliesOnEachItem": true});
            edits.push(edited);
        }
        if was["customerGets"]["items"]["products"].is_array() {
            let mut edited = was.clone();
            edited["customerGets"]["items"]["products"] = json!([product(0), product(9)]);
            edits.push(edited.clone());
            edited["customerGets"]["items"] = json!({"collections": [collection]});
            edits.push(edited);
        }
        if was["customerBuys"].is_object() {
            let mut edited = was.clone();
            edited["customerBuys"]["value"] = json!({"quantity": "7"});
            edits.push(edited);
        }
        if was["destinationSelection"].is_object() {
            let mut edited = was.clone();
            edited["destinationSelection"] =
                json!({"countries": ["CA", "US"], "includeRestOfWorld": false});
            edited["maximumShippingPrice"] = json!({"amount": "9.00", "currencyCode": "USD"});
            edits.push(edited);
        }
        for edited in edits {
            let changed = shop.write("discount", Some(&was), Some(&edited)).await;
            changed.unwrap_or_else(|error| panic!("{edited}: {error}"));
            let now = shop.read("discount", &id).await.expect("it is there");
            assert_ne!(now, was);
            shop.writes();
            shop.write("discount", Some(&now), Some(&was)).await.expect("it is put right");
            assert_eq!(shop.writes().len(), 1);
            assert_eq!(shop.read("discount", &id).await.as_ref(), Some(&was));
            edited_ones += 1;
        }
    }
    assert!(edited_ones > 8, "{edited_ones}");
    shop.assert_simulated();
}

#[tokio::test]
async fn a_discount_for_certain_markets_does_not_come_back_for_everybody() {
    let shop = furnished(11).await;
    let (_, was) = states(&shop, "discount").await.remove(0);
    let mut wanted = was.clone();
    wanted["context"] = json!({});
    shop.write("discount", Some(&was), None).await.expect("it goes");
    shop.writes();
    let error = shop.write("discount", None, Some(&wanted)).await.expect_err("it is refused");
    assert!(error.to_string().contains("markets"), "{error}");
    assert_eq!(shop.writes().len(), 0);
}

#[tokio::test]
async fn a_discount_for_people_who_are_gone_does_not_come_back_for_others() {
    let shop = furnished(12).await;
    let (_, was) = states(&shop, "discount").await.remove(0);
    shop.write("discount", Some(&was), None).await.expect("it goes");
    shop.writes();
    for buyers in ["customers", "segments"] {
        let mut wanted = was.clone();
        wanted["context"] = json!({ buyers: [] });
        let error = shop.write("discount", None, Some(&wanted)).await.expect_err("it is refused");
        assert!(error.to_string().contains("none of those"), "{error}");
    }
    assert_eq!(shop.writes().len(), 0);
}

#[tokio::test]
async fn that_a_discount_is_not_limited_to_its_markets_again_is_told() {
    let shop = furnished(13).await;
    let (id, was) = states(&shop, "discount").await.remove(0);
    let mut wanted = was.clone();
    wanted["context"] = json!({});
    wanted["title"] = json!("Renamed");
    shop.write("discount", Some(&was), Some(&wanted)).await.expect("the rest is done");
    assert_eq!(shop.read("discount", &id).await.expect("it is there")["title"], "Renamed");
    let notes = shop.notes.lock().expect("no panic").join("");
    assert!(notes.contains("certain markets"), "{notes}");
}

#[tokio::test]
async fn a_code_that_another_discount_has_is_named() {
    let shop = furnished(14).await;
    let (_, there) = states(&shop, "discount")
        .await
        .into_iter()
        .find(|(_, discount)| discount["codes"][0]["code"].is_string())
        .expect("one by code");
    let mut wanted = there.clone();
    wanted["id"] = json!("gid://shopify/DiscountCodeNode/1");
    wanted["title"] = json!("Another");
    let error = shop.write("discount", None, Some(&wanted)).await.expect_err("it is taken");
    let code = there["codes"][0]["code"].as_str().expect("a code");
    assert!(error.to_string().contains(code), "{error}");
}
