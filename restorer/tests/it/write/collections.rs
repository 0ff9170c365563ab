//! Collections are written back as they were: rules, members and their order, picture, channels.

use std::collections::BTreeMap;

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::Written;
use serde_json::{Value, json};
use shopify::fault::Fault;

/// Collections are put together otherwise since the second of these.
const VERSIONS: [&str; 3] = ["2026-04", "2026-07", "2026-10"];

fn id_of(state: &Value) -> ResourceId {
    ResourceId::parse(state["id"].as_str().unwrap()).unwrap()
}

/// A collection with its picture's bytes kept, as history has it.
async fn collection(shop: &mut Simulated, id: &ResourceId) -> Value {
    let mut state = shop.read("collection", id).await.unwrap();
    if let Some(url) = state["image"]["url"].as_str() {
        let answer = reqwest::get(url).await.unwrap();
        assert!(answer.status().is_success(), "{url}");
        let bytes = answer.bytes().await.unwrap();
        let hash = blake3::hash(&bytes).to_hex().to_string();
        shop.blobs.insert(hash.clone(), bytes);
        state["image"]["blob"] = hash.into();
    }
    state
}

async fn bring(shop: &mut Simulated, now: &Value, want: &Value) -> (Written, Value) {
    let written = shop.write("collection", Some(now), Some(want)).await.unwrap();
    let is = collection(shop, &id_of(want)).await;
    (written, is)
}

/// Without what nobody can choose.
fn settled(state: &Value) -> Value {
    let mut state = state.clone();
    state.as_object_mut().unwrap().remove("id");
    if let Some(image) = state["image"].as_object_mut() {
        image.remove("url");
    }
    if state["ruleSet"].is_object() {
        state["productIds"] = json!("found by the rule");
    }
    state
}

fn adorned(state: &Value, picture: &str) -> Value {
    let mut state = state.clone();
    state["seo"] = json!({"title": "For engines", "description": null});
    state["metafields"] = json!([{"namespace": "custom", "key": "mood", "type": "single_line_text_field", "value": "calm"}]);
    state["image"] = json!({"url": picture, "altText": "A shelf"});
    state
}

/// Some picture that is in the shop.
async fn picture(shop: &Simulated) -> String {
    for id in shop.ids("Product") {
        let product = shop.read("product", &id).await.unwrap();
        if let Some(url) = product["media"][0]["url"].as_str() {
            return url.to_owned();
        }
    }
    panic!("no product has a picture");
}

#[tokio::test]
async fn a_deleted_collection_comes_back_as_it_was() {
    for seed in 1..=6 {
        let version = VERSIONS[seed as usize % 3];
        let mut shop = Simulated::start_in(version, seed, 12, false).await;
        let picture = picture(&shop).await;
        for id in shop.ids("Collection") {
            let plain = collection(&mut shop, &id).await;
            let (_, was) = bring(&mut shop, &plain, &adorned(&plain, &picture)).await;
            assert!(was["image"]["blob"].is_string());
            let deleted = shop.write("collection", Some(&was), None).await.unwrap();
            assert_eq!(deleted, Written::Deleted);
            let made = shop.write("collection", None, Some(&was)).await.unwrap();
            let Written::Created { gid, ids } = made else { panic!("{made:?}") };
            assert_eq!(ids[was["id"].as_str().unwrap()], gid);
            let is = collection(&mut shop, &ResourceId::parse(&gid).unwrap()).await;
            assert_eq!(settled(&was), settled(&is), "seed {seed}");
            shop.writes();
            let mut want = was.clone();
            want["id"] = json!(gid);
            let again = shop.write("collection", Some(&is), Some(&want)).await.unwrap();
            assert_eq!((again, shop.writes().len()), (Written::Unchanged, 0));
        }
        shop.assert_simulated();
        assert_eq!(*shop.notes.lock().unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn one_field_is_restored_alone() {
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 1..=6 {
        let version = VERSIONS[seed as usize % 3];
        let mut shop = Simulated::start_in(version, seed, 12, false).await;
        let address = picture(&shop).await;
        for id in shop.ids("Collection") {
            let plain = collection(&mut shop, &id).await;
            let (_, mut was) = bring(&mut shop, &plain, &adorned(&plain, &address)).await;
            let smart = was["ruleSet"].is_object();
            let mut damages: Vec<(Value, Vec<&str>)> = Vec::new();
            let mut damage = |change: &dyn Fn(&mut Value), mutations: &[&'static str]| {
                let mut bad = was.clone();
                change(&mut bad);
                if bad != was {
                    damages.push((bad, mutations.to_vec()));
                }
            };
            damage(&|bad| bad["title"] = json!("SALE"), &["collectionUpdate"]);
            damage(&|bad| bad["seo"]["title"] = Value::Null, &["collectionUpdate"]);
            damage(&|bad| bad["image"]["altText"] = json!("spam"), &["collectionUpdate"]);
            let picture = &["stagedUploadsCreate", "collectionUpdate"];
            damage(&|bad| bad["image"] = Value::Null, picture);
            damage(&|bad| bad["metafields"][0]["value"] = json!("loud"), &["metafieldsSet"]);
            damage(&|bad| bad["publications"] = json!([]), &["publishablePublish"]);
            if smart {
                damage(
                    &|bad| bad["ruleSet"]["rules"][0]["condition"] = json!("x"),
                    &["collectionUpdate"],
                );
            } else {
                damage(
                    &|bad| bad["productIds"].as_array_mut().unwrap().rotate_left(1),
                    &["collectionReorderProducts"],
                );
                let add: &[&str] = match version {
                    "2026-04" => &["collectionAddProductsV2"],
                    _ => &["collectionUpdate"],
                };
                damage(&|bad| drop(bad["productIds"].as_array_mut().unwrap().pop()), add);
            }
            for (bad, mutations) in damages {
                let (_, broken) = bring(&mut shop, &was, &bad).await;
                assert_eq!(settled(&bad), settled(&broken));
                shop.writes();
                let (written, is) = bring(&mut shop, &broken, &was).await;
                assert_eq!(written, Written::Updated { ids: BTreeMap::new() });
                assert_eq!(settled(&was), settled(&is));
                let log = shop.writes();
                let sent: Vec<&str> = log.iter().map(|write| write.mutation.as_str()).collect();
                assert_eq!(sent, mutations);
                let own = was["id"].as_str().unwrap();
                for touched in log.iter().flat_map(|write| &write.touched) {
                    let helper = ["/Job/", "/Metafield/", "/ImageSource/", "/BasicEvent/"];
                    let known =
                        touched.gid == own || helper.iter().any(|t| touched.gid.contains(t));
                    assert!(known, "{touched:?} is none of its own");
                }
                *tried.entry(mutations.join(" ")).or_default() += 1;
                was = is;
            }
        }
        shop.assert_simulated();
    }
    assert!(tried.len() >= 5, "{tried:?}");
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    for lost_at in 0..8 {
        let mut shop = Simulated::start(2, 12, false).await;
        let id = shop.ids("Collection")[0].clone();
        let was = collection(&mut shop, &id).await;
        shop.write("collection", Some(&was), None).await.unwrap();
        let before = shop.ids("Collection").len();
        shop.begin_now();
        let mut fates = vec![None; lost_at];
        fates.push(Some(Fault::Lost));
        shop.fates(&fates);
        let made = shop.write("collection", None, Some(&was)).await.unwrap();
        let Written::Created { gid, .. } = made else { panic!("{made:?}") };
        assert_eq!(shop.ids("Collection").len(), before + 1, "lost at {lost_at}");
        let is = collection(&mut shop, &ResourceId::parse(&gid).unwrap()).await;
        assert_eq!(settled(&was), settled(&is), "lost at {lost_at}");
    }
}

#[tokio::test]
async fn products_that_are_gone_are_told_of_and_the_rest_comes_back() {
    let mut shop = Simulated::start(3, 12, false).await;
    let id = shop.ids("Collection")[0].clone();
    let was = collection(&mut shop, &id).await;
    assert!(was["productIds"].as_array().unwrap().len() > 2);
    let gone = was["productIds"][1].as_str().unwrap().to_owned();
    shop.write("collection", Some(&was), None).await.unwrap();
    let product = shop.read("product", &ResourceId::parse(&gone).unwrap()).await.unwrap();
    shop.write("product", Some(&product), None).await.unwrap();
    let made = shop.write("collection", None, Some(&was)).await.unwrap();
    let Written::Created { gid, .. } = made else { panic!("{made:?}") };
    let is = collection(&mut shop, &ResourceId::parse(&gid).unwrap()).await;
    let mut expected = was["productIds"].clone();
    expected.as_array_mut().unwrap().remove(1);
    assert_eq!(is["productIds"], expected);
    let notes = shop.notes.lock().unwrap().clone();
    assert!(notes.iter().any(|note| note.starts_with("1 products")), "{notes:?}");
}

#[tokio::test]
async fn a_rule_on_a_metafield_comes_back_with_what_it_is_on() {
    for version in VERSIONS {
        let mut shop = Simulated::start_in(version, 2, 12, false).await;
        let definition = shop.ids("MetafieldDefinition").remove(0);
        let definition = format!("gid://shopify/MetafieldDefinition/{definition}");
        shop.simulator.shop().update(definition.parse().unwrap(), |state| {
            state["capabilities"]["smartCollectionCondition"]["enabled"] = json!(true);
        });
        let mut tried = 0;
        for id in shop.ids("Collection") {
            let plain = collection(&mut shop, &id).await;
            if !plain["ruleSet"].is_object() {
                continue;
            }
            let mut want = plain.clone();
            want["ruleSet"]["rules"] = json!([{
                "column": "PRODUCT_METAFIELD_DEFINITION", "relation": "EQUALS", "condition": "oak",
                "conditionObjectId": definition,
            }]);
            let (_, was) = bring(&mut shop, &plain, &want).await;
            assert_eq!(was["ruleSet"], want["ruleSet"]);
            shop.write("collection", Some(&was), None).await.unwrap();
            let made = shop.write("collection", None, Some(&was)).await.unwrap();
            let Written::Created { gid, .. } = made else { panic!("{made:?}") };
            let is = collection(&mut shop, &ResourceId::parse(&gid).unwrap()).await;
            assert_eq!(is["ruleSet"], want["ruleSet"]);
            tried += 1;
        }
        assert!(tried > 0);
        shop.assert_simulated();
    }
}
