//! What belongs to something else goes with it.

use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::pulls::{SHOP, backfilled, eventually, reconciled, settled};
use crate::simulator::{Simulator, planned};

/// Files that a theme gets: more than anybody believes to be deleted at once.
const FILES: usize = 30;

fn names() -> impl Iterator<Item = String> {
    (0..FILES).map(|n| format!("snippets/part-{n}.liquid"))
}

/// Gives a theme its files.
async fn fill(simulator: &Simulator, theme: &str) {
    let file = |name: String| {
        format!("{{filename: \"{name}\", body: {{type: TEXT, value: \"<p>{name}</p>\"}}}}")
    };
    let files: Vec<String> = names().map(file).collect();
    let upsert = format!(
        "mutation {{ themeFilesUpsert(themeId: \"{theme}\", files: [{}]) \
         {{ userErrors {{ message }} }} }}",
        files.join(", ")
    );
    let done = simulator.ask(&upsert).await;
    assert_eq!(done["themeFilesUpsert"]["userErrors"], json!([]), "{done}");
}

/// The resources of a kind that are gone, or those that are not.
async fn resources(backstock: &Backstock, kind: &str, deleted: bool) -> Vec<Value> {
    backstock.list(&format!("{SHOP}/resources?kind={kind}&deleted={deleted}")).await
}

#[tokio::test]
async fn files_go_with_their_theme_at_nobodys_word_and_by_themselves_only_at_one() {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling(&access);
    let more = ["--products", "5", "--rate", "0", "--plan", "plus"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    let themes = simulator.ask("{ themes(first: 10) { nodes { id role } } }").await;
    let themes = themes["themes"]["nodes"].as_array().expect("themes").clone();
    let theme = |main: bool| {
        let found = themes.iter().find(|theme| (theme["role"] == "MAIN") == main);
        found.and_then(|theme| theme["id"].as_str()).expect("a theme")
    };
    fill(&simulator, theme(true)).await;
    fill(&simulator, theme(false)).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let of_each = resources(&backstock, "theme_file", false).await.len() / 2;
    assert!(of_each > FILES, "{of_each} files");

    let delete =
        format!("mutation {{ themeDelete(id: \"{}\") {{ deletedThemeId }} }}", theme(false));
    simulator.ask(&delete).await;
    let gone = eventually(|| async {
        let gone = resources(&backstock, "theme", true).await;
        gone.into_iter().next().ok_or_else(|| "the theme is still there".to_owned())
    })
    .await;
    let pull = reconciled(&backstock, "theme_file").await;
    assert_eq!(pull["state"], "complete", "{pull}");
    let files = resources(&backstock, "theme_file", true).await;
    assert_eq!(files.len(), of_each);
    for file in &files {
        assert_eq!(file["valid_at"], gone["valid_at"], "it went with its theme: {file}");
    }

    // Of the theme that is there.
    let names: Vec<String> = names().map(|name| format!("\"{name}\"")).collect();
    let delete = format!(
        "mutation {{ themeFilesDelete(themeId: \"{}\", files: [{}]) \
         {{ userErrors {{ message }} }} }}",
        theme(true),
        names.join(", ")
    );
    simulator.ask(&delete).await;
    let held = reconciled(&backstock, "theme_file").await;
    let reason = held["reason"].as_str().unwrap_or_default();
    assert_eq!(held["state"], "failed", "{held}");
    assert!(reason.contains(&format!("{FILES} of {of_each}")), "{reason}");
    settled(&backstock).await;
    assert_eq!(resources(&backstock, "theme_file", true).await.len(), of_each);
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
}
