//! Themes that come back, and their files with them.

use backstock_proto::ResourceId;
use serde_json::json;

use super::world::{World, id_of, result};

#[tokio::test(flavor = "multi_thread")]
async fn a_theme_that_came_back_and_was_deleted_again_comes_back_with_its_files() {
    let mut world = World::new(91).await;
    let mut themes = Vec::new();
    for id in world.shop.ids("OnlineStoreTheme") {
        themes.push((id.clone(), world.shop.read("theme", &id).await.expect("a theme")));
    }
    let (id, was) = themes.into_iter().find(|(_, was)| was["role"] != "MAIN").expect("a theme");
    let gid = was["id"].as_str().expect("a gid").parse().expect("a gid");
    let told = world.shop.simulator.shop().store.get(gid).expect("a theme")["_files"].clone();
    let mut files = Vec::new();
    for file in told.as_array().expect("its files") {
        let name = file["filename"].as_str().expect("a name");
        let file = ResourceId::parse(&format!("{id}-{name}")).expect("an id");
        let state = world.shop.read("theme_file", &file).await.expect("a file");
        files.push((file, state));
    }
    world.deleted("theme", &id, &was).await;
    for (file, state) in &files {
        let mut state = state.clone();
        state["id"] = json!(format!("gid://shopify/OnlineStoreThemeFile/{file}"));
        world.went("theme_file", file, &state);
    }
    world.planned("plan-a").await;
    let process = world.restorer();
    for _ in 0..2 {
        let job = process.over(&process.apply("plan-a").await).await;
        assert_eq!(result(&job, &id)["state"], "created", "{job}");
        let new = id_of(&result(&job, &id)["new_gid"]);
        for (_, file) in &files {
            let name = file["filename"].as_str().expect("a name");
            let of_new = ResourceId::parse(&format!("{new}-{name}")).expect("an id");
            let is = world.shop.read("theme_file", &of_new).await.expect("it came with its theme");
            assert_eq!(is["checksumMd5"], file["checksumMd5"], "{name}");
        }
        let theme = world.shop.read("theme", &new).await.expect("a theme");
        world.shop.write("theme", Some(&theme), None).await.expect("deleted");
    }
}
