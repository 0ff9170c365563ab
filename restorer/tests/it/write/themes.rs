//! What is written to the shop for themes: single files where Shopify lets us, whole themes from an
//! archive where they are gone or where it does not.

use crate::simulated::{Simulated, spec};
use backstock_proto::ResourceId;
use backstock_restorer::write::Written;
use serde_json::{Value, json};
use shopify::fault::Fault;

/// The files of a theme, as history has them.
async fn files(shop: &Simulated, theme: &ResourceId) -> Vec<(ResourceId, Value)> {
    let names: Vec<String> = {
        let gid = format!("gid://shopify/OnlineStoreTheme/{theme}").parse().expect("a gid");
        let state = shop.simulator.shop().store.get(gid).expect("the theme");
        let files = state["_files"].as_array().expect("its files").clone();
        files.iter().map(|file| file["filename"].as_str().expect("a name").to_owned()).collect()
    };
    let mut found = Vec::new();
    for name in names {
        let id = ResourceId::parse(&format!("{theme}-{name}")).expect("an id");
        let state = shop.read("theme_file", &id).await.expect("it is there");
        found.push((id, state));
    }
    assert!(found.iter().any(|(_, file)| file["body"]["contentBase64"].is_string()));
    found
}

fn without_dates(file: &Value) -> Value {
    let mut file = file.clone();
    let members = file.as_object_mut().expect("an object");
    ["createdAt", "theme"].iter().for_each(|name| drop(members.remove(*name)));
    file
}

async fn role(shop: &Simulated, role: &str) -> (ResourceId, Value) {
    for id in shop.ids(spec("theme").gid_type) {
        let state = shop.read("theme", &id).await.expect("it is there");
        if state["role"] == role {
            return (id, state);
        }
    }
    panic!("no theme is {role}");
}

#[tokio::test]
async fn a_file_is_put_right_by_one_mutation_comes_back_and_goes() {
    let shop = Simulated::start(1, 4, true).await;
    let (theme, _) = role(&shop, "MAIN").await;
    for (id, was) in files(&shop, &theme).await {
        let mut edited = was.clone();
        edited["body"] = json!({"content": "{}"});
        edited["checksumMd5"] = json!("another");
        shop.write("theme_file", Some(&was), Some(&edited)).await.expect("it is edited");
        let now = shop.read("theme_file", &id).await.expect("it is there");
        assert_ne!(now["checksumMd5"], was["checksumMd5"]);
        shop.writes();
        shop.write("theme_file", Some(&now), Some(&was)).await.expect("it is put right");
        assert_eq!(shop.writes().len(), 1);
        let is = shop.read("theme_file", &id).await.expect("it is there");
        assert_eq!(without_dates(&is), without_dates(&was));
        let again = shop.write("theme_file", Some(&is), Some(&was)).await.expect("an answer");
        assert_eq!(again, Written::Unchanged);
        shop.write("theme_file", Some(&is), None).await.expect("it goes");
        assert_eq!(shop.read("theme_file", &id).await, None);
        let written = shop.write("theme_file", None, Some(&was)).await.expect("it comes back");
        assert!(matches!(written, Written::Created { .. }));
        let is = shop.read("theme_file", &id).await.expect("it is there");
        assert_eq!(without_dates(&is), without_dates(&was));
        shop.writes();
        let written = shop.write("theme_file", None, Some(&was)).await.expect("an answer");
        assert!(matches!(written, Written::Created { .. }));
        assert_eq!(shop.writes().len(), 0, "it is there already");
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn a_file_of_which_no_checksum_was_told_comes_back() {
    let shop = Simulated::start(6, 4, true).await;
    let (theme, _) = role(&shop, "MAIN").await;
    for (id, was) in files(&shop, &theme).await {
        let mut told = was.clone();
        told["checksumMd5"] = Value::Null;
        shop.write("theme_file", Some(&was), None).await.expect("it goes");
        let written = shop.write("theme_file", None, Some(&told)).await.expect("it comes back");
        assert!(matches!(written, Written::Created { .. }));
        let is = shop.read("theme_file", &id).await.expect("it is there");
        assert_eq!(without_dates(&is), without_dates(&was));
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn a_deleted_theme_comes_back_unpublished_with_all_its_files() {
    // Nothing of this takes the exemption.
    let mut shop = Simulated::start(2, 4, false).await;
    let (id, was) = role(&shop, "UNPUBLISHED").await;
    let files = files(&shop, &id).await;
    let gid = was["id"].as_str().expect("an id").to_owned();
    shop.parts.insert(gid.clone(), files.iter().map(|(_, file)| file.clone()).collect());
    shop.write("theme", Some(&was), None).await.expect("it goes");
    shop.begin_now();
    // The answer to its making is lost: questions and the staging of the upload pass.
    shop.fates(&[None, None, None, Some(Fault::Lost)]);
    let before = shop.ids(spec("theme").gid_type).len();
    let written = shop.write("theme", None, Some(&was)).await.expect("it comes back");
    let Written::Created { gid: new, ids } = &written else { panic!("{written:?}") };
    assert_eq!(ids.get(&gid), Some(new));
    assert_eq!(shop.ids(spec("theme").gid_type).len(), before + 1);
    let theme = ResourceId::parse(new).expect("an id");
    let is = shop.read("theme", &theme).await.expect("it is there");
    assert_eq!((&is["name"], &is["role"]), (&was["name"], &json!("UNPUBLISHED")));
    shop.writes();
    // A try of which nobody heard that it was done.
    let again = shop.write("theme", None, Some(&was)).await.expect("an answer");
    assert_eq!((again, shop.writes().len()), (written.clone(), 0));
    for (_, file) in &files {
        let name = file["filename"].as_str().expect("a name");
        let id = ResourceId::parse(&format!("{theme}-{name}")).expect("an id");
        let there = shop.read("theme_file", &id).await.expect("it is there");
        assert_eq!(without_dates(&there), without_dates(file), "{name}");
        // The file's own row finds it as it should be.
        let mut wanted = file.clone();
        wanted["theme"] = json!({"id": new});
        shop.write("theme_file", None, Some(&wanted)).await.expect("it is there");
    }
    assert_eq!(shop.writes().len(), 0);
    let notes = shop.notes.lock().expect("no panic").clone();
    assert!(notes.iter().any(|note| note.contains("unpublished")), "{notes:?}");
    shop.assert_simulated();
}

#[tokio::test]
async fn without_the_exemption_the_theme_as_it_was_is_laid_beside() {
    let mut shop = Simulated::start(3, 4, false).await;
    let (id, theme) = role(&shop, "MAIN").await;
    let files = files(&shop, &id).await;
    let (_, was) = files[0].clone();
    let mut now = was.clone();
    now["checksumMd5"] = json!("another");
    let error = shop.write("theme_file", Some(&now), Some(&was)).await.expect_err("it is refused");
    assert!(error.to_string().contains("exemption"), "{error}");
    let gid = theme["id"].as_str().expect("an id").to_owned();
    shop.parts.insert(gid, files.iter().map(|(_, file)| file.clone()).collect());
    let before = shop.ids(spec("theme").gid_type).len();
    for _ in 0..2 {
        let refused = shop.write("theme_file", Some(&now), Some(&was)).await;
        let error = refused.expect_err("it is refused").to_string();
        assert!(error.contains("“Dawn, restored") && error.contains("publish"), "{error}");
    }
    assert_eq!(shop.ids(spec("theme").gid_type).len(), before + 1);
}

#[tokio::test]
async fn a_theme_is_renamed_and_published_and_the_published_one_does_not_go() {
    let shop = Simulated::start(4, 4, true).await;
    let (id, was) = role(&shop, "UNPUBLISHED").await;
    let mut wanted = was.clone();
    (wanted["name"], wanted["role"]) = (json!("Summer"), json!("MAIN"));
    shop.write("theme", Some(&was), Some(&wanted)).await.expect("it is written");
    assert_eq!(shop.writes().len(), 2);
    let is = shop.read("theme", &id).await.expect("it is there");
    assert_eq!((&is["name"], &is["role"]), (&json!("Summer"), &json!("MAIN")));
    let error = shop.write("theme", Some(&is), None).await.expect_err("it is refused");
    assert!(error.to_string().contains("publish another one"), "{error}");
}
