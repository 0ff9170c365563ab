//! What is sold is written back as it was: with the fewest mutations, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::Written;
use futures::future::join_all;
use serde_json::{Value, json};
use shopify::fault::Fault;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn pick<'a>(&mut self, list: &'a mut [Value]) -> &'a mut Value {
        let at = self.below(list.len());
        &mut list[at]
    }
}

/// A shop, and what is done in it.
struct Try {
    shop: Simulated,
    dice: Dice,
}

impl Try {
    async fn new(seed: u64) -> Self {
        let version = ["2026-04", "2026-07", "2026-10"][seed as usize % 3];
        let shop = Simulated::start_in(version, seed, 6, false).await;
        Self { shop, dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1) }
    }

    /// A product as history knows it: with the bytes of its media.
    async fn product(&mut self, id: &ResourceId) -> Value {
        let mut state = self.shop.read("product", id).await.unwrap();
        self.keep_bytes(&mut state).await;
        state
    }

    async fn keep_bytes(&mut self, state: &mut Value) {
        for medium in state["media"].as_array_mut().unwrap() {
            let bytes = bytes_at(&medium["url"]).await;
            let hash = blake3::hash(&bytes).to_hex().to_string();
            self.shop.blobs.insert(hash.clone(), bytes);
            medium["blob"] = hash.into();
        }
    }

    /// Writes, and reads back.
    async fn bring(&mut self, now: &Value, want: &Value) -> (Written, Value) {
        let written = self.shop.write("product", Some(now), Some(want)).await.unwrap();
        let now = self.product(&id_of(want)).await;
        (written, now)
    }

    fn mutations(&self) -> Vec<String> {
        self.shop.writes().into_iter().map(|write| write.mutation).collect()
    }
}

async fn bytes_at(url: &Value) -> bytes::Bytes {
    let answer = reqwest::get(url.as_str().unwrap()).await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.bytes().await.unwrap()
}

fn id_of(state: &Value) -> ResourceId {
    ResourceId::parse(state["id"].as_str().unwrap()).unwrap()
}

/// A state in the ids of what was made anew, without what nobody can choose.
fn settled(state: &Value, ids: &BTreeMap<String, String>) -> Value {
    let mut text = state.to_string();
    for (old, new) in ids {
        text = text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    }
    let mut state: Value = serde_json::from_str(&text).unwrap();
    for name in ["createdAt", "updatedAt"] {
        state.as_object_mut().unwrap().remove(name);
    }
    for variant in state["variants"].as_array_mut().into_iter().flatten() {
        let members = variant.as_object_mut().unwrap();
        // The title follows from the options.
        ["createdAt", "title"].iter().for_each(|name| drop(members.remove(*name)));
    }
    for medium in state["media"].as_array_mut().into_iter().flatten() {
        medium.as_object_mut().unwrap().remove("url");
    }
    state
}

fn metafield(key: &str, value: &str) -> Value {
    json!({"namespace": "custom", "key": key, "type": "single_line_text_field", "value": value})
}

/// Gives a product what the simulated shop's own products lack.
fn adorned(state: &Value) -> Value {
    let mut state = state.clone();
    state["seo"] = json!({"title": "For engines", "description": "Found"});
    state["metafields"] = json!([metafield("care", "warm"), metafield("origin", "Porto")]);
    state["category"] = json!({"id": "gid://shopify/TaxonomyCategory/aa-1", "fullName": "aa-1"});
    let media: Vec<Value> =
        state["media"].as_array().unwrap().iter().map(|medium| medium["id"].clone()).collect();
    for (at, variant) in state["variants"].as_array_mut().unwrap().iter_mut().enumerate() {
        if at % 3 != 2 && !media.is_empty() {
            variant["mediaIds"] = json!([media[at % media.len()]]);
        }
        if at % 2 == 0 {
            variant["metafields"] = json!([metafield("fit", &format!("fit {at}"))]);
        }
    }
    state
}

/// One change that somebody could make, and the mutation that takes it back.
fn damaged(state: &Value, dice: &mut Dice) -> Option<(Value, &'static [&'static str])> {
    let mut state = state.clone();
    let update: &[&str] = &["productUpdate"];
    let variants: &[&str] = &["productVariantsBulkUpdate"];
    let expected: &[&str] = match dice.below(21) {
        0 => {
            state["title"] = json!("HACKED");
            update
        }
        1 => {
            state["descriptionHtml"] = Value::Null;
            update
        }
        2 => {
            state["tags"] = json!(["sale"]);
            update
        }
        3 => {
            state["status"] = json!(if state["status"] == "DRAFT" { "ACTIVE" } else { "DRAFT" });
            update
        }
        4 => {
            state["seo"]["title"] = Value::Null;
            update
        }
        5 => {
            state["handle"] = json!("spam");
            update
        }
        6 => {
            state["category"] = Value::Null;
            update
        }
        7 => {
            dice.pick(state["variants"].as_array_mut()?)["price"] = json!("0.01");
            variants
        }
        8 => {
            let variant = dice.pick(state["variants"].as_array_mut()?);
            variant["sku"] = json!("WRONG");
            variant["barcode"] = Value::Null;
            variants
        }
        9 => {
            dice.pick(state["variants"].as_array_mut()?)["inventoryPolicy"] = json!("CONTINUE");
            variants
        }
        10 => {
            dice.pick(state["media"].as_array_mut().filter(|m| !m.is_empty())?)["alt"] =
                json!("spam");
            &["fileUpdate"]
        }
        11 => {
            let media = state["media"].as_array_mut().filter(|media| media.len() > 1)?;
            media.rotate_left(1);
            &["productReorderMedia"]
        }
        12 => {
            state["metafields"][0]["value"] = json!("cold");
            &["metafieldsSet"]
        }
        13 => {
            state["metafields"].as_array_mut()?.push(metafield("zzz", "spam"));
            &["metafieldsDelete"]
        }
        14 => {
            let entries = state["publications"].as_array_mut().filter(|list| !list.is_empty())?;
            entries.pop();
            &["publishablePublish"]
        }
        15 => {
            let variants = state["variants"].as_array_mut().filter(|list| list.len() > 2)?;
            variants.swap(0, 1);
            let positions = (1..).zip(variants.iter_mut());
            positions.for_each(|(at, variant)| variant["position"] = json!(at));
            &["productVariantsBulkReorder"]
        }
        16 => {
            let variant = dice.pick(state["variants"].as_array_mut()?);
            let was = variant["mediaIds"].as_array().filter(|media| !media.is_empty())?;
            drop(was.clone());
            variant["mediaIds"] = json!([]);
            variants
        }
        17 => {
            let variant = dice.pick(state["variants"].as_array_mut()?);
            variant["metafields"] = json!([metafield("fit", "none")]);
            return Some((state, &[]));
        }
        19 => {
            // One value is called otherwise, with all variants that have it.
            let option = state["options"][0].clone();
            let (name, was) = (option["name"].clone(), option["values"][0].clone());
            if was == "Default Title" {
                return None;
            }
            state["options"][0]["values"][0] = json!("Renamed");
            for variant in state["variants"].as_array_mut()? {
                for choice in variant["selectedOptions"].as_array_mut()? {
                    if choice["name"] == name && choice["value"] == was {
                        choice["value"] = json!("Renamed");
                    }
                }
            }
            return Some((state, &[]));
        }
        18 => {
            let name = json!("Grösse");
            let was = state["options"][0]["name"].clone();
            state["options"][0]["name"] = name.clone();
            for variant in state["variants"].as_array_mut()? {
                let chosen = variant["selectedOptions"].as_array_mut()?;
                chosen
                    .iter_mut()
                    .filter(|c| c["name"] == was)
                    .for_each(|c| c["name"] = name.clone());
            }
            &["productOptionUpdate"]
        }
        _ => {
            let media = state["media"].as_array_mut().filter(|media| !media.is_empty())?;
            let gone = media.remove(0)["id"].clone();
            for variant in state["variants"].as_array_mut()? {
                variant["mediaIds"].as_array_mut()?.retain(|id| *id != gone);
            }
            return Some((state, &[]));
        }
    };
    Some((state, expected))
}

/// Deletes products and makes them anew; how many.
async fn recreated(seed: u64) -> usize {
    let mut shop = Try::new(seed).await;
    let mut recreated = 0;
    for id in shop.shop.ids("Product").into_iter().take(4) {
        let plain = shop.product(&id).await;
        let (_, was) = shop.bring(&plain, &adorned(&plain)).await;
        let deleted = shop.shop.write("product", Some(&was), None).await.unwrap();
        assert_eq!(deleted, Written::Deleted);
        assert_eq!(shop.shop.read("product", &id).await, None);
        // Nothing of the old pictures is left, so that only what we kept can be what comes back.
        shop.delete_files(&was);
        let made = shop.shop.write("product", None, Some(&was)).await.unwrap();
        let Written::Created { gid, ids } = made else { panic!("{made:?}") };
        let is = shop.product(&ResourceId::parse(&gid).unwrap()).await;
        assert_eq!(settled(&was, &ids), settled(&is, &BTreeMap::new()), "seed {seed}");
        for variant in was["variants"].as_array().unwrap() {
            assert!(ids.contains_key(variant["id"].as_str().unwrap()));
            assert!(ids.contains_key(variant["inventoryItem"]["id"].as_str().unwrap()));
        }
        shop.shop.writes();
        let mut want = was.clone();
        rewrite(&mut want, &ids);
        let again = shop.shop.write("product", Some(&is), Some(&want)).await.unwrap();
        assert_eq!(again, Written::Unchanged);
        assert_eq!(shop.mutations(), Vec::<String>::new());
        recreated += 1;
    }
    shop.shop.assert_simulated();
    assert_eq!(*shop.shop.notes.lock().unwrap(), Vec::<String>::new());
    recreated
}

#[tokio::test]
async fn a_deleted_product_comes_back_as_it_was() {
    let recreated = join_all((1..=12).map(recreated)).await;
    assert_eq!(recreated, [4; 12]);
}

#[tokio::test]
async fn pictures_that_are_still_in_the_shop_are_put_back_and_not_uploaded() {
    let mut shop = Try::new(6).await;
    let mut tried = 0;
    for id in shop.shop.ids("Product") {
        let was = shop.product(&id).await;
        if was["media"].as_array().unwrap().is_empty() {
            continue;
        }
        shop.shop.write("product", Some(&was), None).await.unwrap();
        shop.shop.writes();
        let made = shop.shop.write("product", None, Some(&was)).await.unwrap();
        let Written::Created { gid, ids } = made else { panic!("{made:?}") };
        let mutations = shop.mutations();
        assert!(!mutations.iter().any(|m| m == "stagedUploadsCreate"), "{mutations:?}");
        let is = shop.product(&ResourceId::parse(&gid).unwrap()).await;
        assert_eq!(settled(&was, &ids), settled(&is, &BTreeMap::new()));
        assert_eq!(is["media"][0]["id"], was["media"][0]["id"]);
        tried += 1;
    }
    assert!(tried > 0);
    shop.shop.assert_simulated();
}

fn rewrite(state: &mut Value, ids: &BTreeMap<String, String>) {
    let mut text = state.to_string();
    for (old, new) in ids {
        text = text.replace(&format!("\"{old}\""), &format!("\"{new}\""));
    }
    *state = serde_json::from_str(&text).unwrap();
}

impl Try {
    /// The files of a state's media go for good.
    fn delete_files(&self, state: &Value) {
        let mut shop = self.shop.simulator.shop();
        for medium in state["media"].as_array().unwrap() {
            let gid = medium["id"].as_str().unwrap().parse().unwrap();
            shop.remove(gid);
        }
    }
}

/// Damages products one field at a time, and takes it back; by which mutations.
async fn taken_back(seed: u64) -> Vec<String> {
    let mut shop = Try::new(seed).await;
    let mut tried = Vec::new();
    for id in shop.shop.ids("Product").into_iter().take(5) {
        let plain = shop.product(&id).await;
        let (_, mut was) = shop.bring(&plain, &adorned(&plain)).await;
        for _ in 0..4 {
            let Some((bad, expected)) = damaged(&was, &mut shop.dice) else { continue };
            let (_, broken) = shop.bring(&was, &bad).await;
            assert_eq!(settled(&bad, &BTreeMap::new()), settled(&broken, &BTreeMap::new()));
            shop.shop.writes();
            let (written, is) = shop.bring(&broken, &was).await;
            let log = shop.shop.writes();
            let Written::Updated { ids } = written else { panic!("{written:?}") };
            assert_eq!(settled(&was, &ids), settled(&is, &BTreeMap::new()), "seed {seed}");
            assert!(ids.is_empty(), "nothing had to be made anew: {ids:?}");
            let mutations: Vec<&str> = log.iter().map(|write| write.mutation.as_str()).collect();
            if !expected.is_empty() {
                assert_eq!(mutations, expected, "seed {seed}");
            }
            let own = was.to_string();
            for touched in log.iter().flat_map(|write| &write.touched) {
                let helper = ["/Job/", "/Metafield/", "/BasicEvent/"];
                let known = helper.iter().any(|kind| touched.gid.contains(kind));
                assert!(known || own.contains(&touched.gid), "{touched:?} is none of its own");
            }
            tried.push(mutations.join(" "));
            was = is;
        }
    }
    shop.shop.assert_simulated();
    assert_eq!(*shop.shop.notes.lock().unwrap(), Vec::<String>::new());
    tried
}

#[tokio::test]
async fn one_field_is_restored_alone() {
    let tried = join_all((1..=12).map(taken_back)).await.concat();
    let sorts: BTreeSet<&String> = tried.iter().collect();
    assert!(sorts.len() >= 11, "too few sorts of damage were met: {sorts:?}");
}

#[tokio::test]
async fn a_deleted_variant_comes_back_as_a_new_one_in_its_old_place() {
    let mut shop = Try::new(3).await;
    let mut tried = 0;
    for id in shop.shop.ids("Product") {
        let plain = shop.product(&id).await;
        if plain["variants"].as_array().unwrap().len() < 3 {
            continue;
        }
        let (_, was) = shop.bring(&plain, &adorned(&plain)).await;
        let mut bad = was.clone();
        let gone = bad["variants"].as_array_mut().unwrap().remove(1);
        // Its value goes with it, where no other variant has it.
        let rest = bad["variants"].clone();
        for option in bad["options"].as_array_mut().unwrap() {
            let name = option["name"].clone();
            let is_used = |value: &Value| {
                rest.as_array().unwrap().iter().any(|variant| {
                    let chosen = variant["selectedOptions"].as_array().unwrap();
                    chosen.contains(&json!({"name": name, "value": value}))
                })
            };
            option["values"].as_array_mut().unwrap().retain(is_used);
        }
        let variants = bad["variants"].as_array_mut().unwrap();
        (1..).zip(variants).for_each(|(at, variant)| variant["position"] = json!(at));
        let (_, broken) = shop.bring(&was, &bad).await;
        assert_eq!(settled(&bad, &BTreeMap::new()), settled(&broken, &BTreeMap::new()));
        shop.shop.writes();
        let (written, is) = shop.bring(&broken, &was).await;
        let Written::Updated { ids } = written else { panic!("{written:?}") };
        assert_eq!(settled(&was, &ids), settled(&is, &BTreeMap::new()));
        let expected =
            [gone["id"].as_str().unwrap(), gone["inventoryItem"]["id"].as_str().unwrap()];
        assert!(expected.iter().all(|id| ids.contains_key(*id)) && ids.len() == 2, "{ids:?}");
        let mutations = shop.mutations();
        assert_eq!(mutations[0], "productVariantsBulkCreate");
        let known =
            ["productVariantsBulkCreate", "productVariantsBulkReorder", "productOptionsReorder"];
        assert!(mutations.iter().all(|m| known.contains(&m.as_str())), "{mutations:?}");
        tried += 1;
    }
    assert!(tried >= 2);
    shop.shop.assert_simulated();
}

/// Makes a product anew while one answer is lost.
async fn made_once(lost_at: usize) {
    let mut shop = Try::new(5).await;
    let id = shop.shop.ids("Product").into_iter().nth(2).unwrap();
    let plain = shop.product(&id).await;
    let (_, was) = shop.bring(&plain, &adorned(&plain)).await;
    shop.shop.write("product", Some(&was), None).await.unwrap();
    shop.delete_files(&was);
    let before = shop.shop.ids("Product").len();
    shop.shop.begin_now();
    let mut fates = vec![None; lost_at];
    fates.push(Some(Fault::Lost));
    shop.shop.fates(&fates);
    let made = shop.shop.write("product", None, Some(&was)).await.unwrap();
    let Written::Created { gid, ids } = made else { panic!("{made:?}") };
    assert_eq!(shop.shop.ids("Product").len(), before + 1, "lost at {lost_at}");
    let is = shop.product(&ResourceId::parse(&gid).unwrap()).await;
    assert_eq!(settled(&was, &ids), settled(&is, &BTreeMap::new()), "lost at {lost_at}");
}

#[tokio::test]
async fn a_lost_answer_makes_nothing_twice() {
    join_all((0..14).map(made_once)).await;
}

/// A product that is gone, with so many variants.
async fn numbered(shop: &mut Try, variants: usize) -> Value {
    let id = shop.shop.ids("Product")[0].clone();
    let mut want = shop.product(&id).await;
    shop.shop.write("product", Some(&want), None).await.unwrap();
    let names: Vec<String> = (0..variants).map(|n| format!("No. {n}")).collect();
    want["options"] = json!([{"id": "gid://shopify/ProductOption/1", "name": "Number", "position": 1,
                              "values": names, "linkedMetafield": null, "optionValues": null}]);
    let pattern = want["variants"][0].clone();
    let variant = |(at, name): (usize, &String)| {
        let mut variant = pattern.clone();
        variant["id"] = json!(format!("gid://shopify/ProductVariant/{}", at + 1));
        variant["inventoryItem"] = json!({"id": format!("gid://shopify/InventoryItem/{}", at + 1)});
        variant["position"] = json!(at + 1);
        variant["sku"] = json!(format!("S{at}"));
        variant["selectedOptions"] = json!([{"name": "Number", "value": name}]);
        variant
    };
    want["variants"] = names.iter().enumerate().map(variant).collect();
    shop.shop.writes();
    want
}

#[tokio::test]
async fn a_product_whose_making_told_all_of_it_is_not_read() {
    for (variants, is_read) in [(20, false), (50, false), (51, true)] {
        let mut shop = Try::new(9).await;
        let want = numbered(&mut shop, variants).await;
        shop.shop.simulator.shop().answers.clear();
        let made = shop.shop.write("product", None, Some(&want)).await.unwrap();
        let Written::Created { gid, ids } = made else { panic!("{made:?}") };
        let answers = std::mem::take(&mut shop.shop.simulator.shop().answers);
        let read = answers.iter().any(|answer| &*answer.question == "ProductsById");
        assert_eq!(read, is_read, "{variants}");
        let is = shop.product(&ResourceId::parse(&gid).unwrap()).await;
        assert_eq!(settled(&want, &ids), settled(&is, &BTreeMap::new()));
    }
}

#[tokio::test]
async fn a_product_of_many_variants_is_made_in_parts() {
    let mut shop = Try::new(9).await;
    let want = numbered(&mut shop, 600).await;
    let made = shop.shop.write("product", None, Some(&want)).await.unwrap();
    let Written::Created { gid, ids } = made else { panic!("{made:?}") };
    let is = shop.product(&ResourceId::parse(&gid).unwrap()).await;
    assert_eq!(settled(&want, &ids), settled(&is, &BTreeMap::new()));
    let mutations = shop.mutations();
    let creates = mutations.iter().filter(|m| *m == "productVariantsBulkCreate").count();
    assert_eq!((mutations.iter().filter(|m| *m == "productSet").count(), creates), (1, 2));
}

#[tokio::test]
async fn what_a_making_is_given_and_what_it_tells_cost_together_no_more_than_they_may() {
    let mut shop = Try::new(9).await;
    let mut want = numbered(&mut shop, 50).await;
    let metafields: Vec<Value> = (10..50).map(|n| metafield(&format!("k{n}"), "yes")).collect();
    for variant in want["variants"].as_array_mut().unwrap() {
        variant["metafields"] = json!(metafields);
    }
    let made = shop.shop.write("product", None, Some(&want)).await.unwrap();
    let Written::Created { gid, ids } = made else { panic!("{made:?}") };
    let is = shop.product(&ResourceId::parse(&gid).unwrap()).await;
    assert_eq!(settled(&want, &ids), settled(&is, &BTreeMap::new()));
}

#[tokio::test]
async fn another_product_with_the_handle_is_left_alone() {
    let mut shop = Try::new(7).await;
    let ids = shop.shop.ids("Product");
    let (gone, other) = (shop.product(&ids[0]).await, shop.product(&ids[1]).await);
    shop.shop.write("product", Some(&gone), None).await.unwrap();
    let mut taken = other.clone();
    taken["handle"] = gone["handle"].clone();
    shop.bring(&other, &taken).await;
    shop.shop.writes();
    let refused = shop.shop.write("product", None, Some(&gone)).await.unwrap_err();
    assert!(refused.to_string().contains("has the handle"), "{refused}");
    assert_eq!(shop.mutations(), Vec::<String>::new());
}
