//! A whole shop moves: its export is brought into one that was opened just now and has no id in common
//! with it, and that one is as the first, under its own ids. Brought in again it makes nothing twice.

use std::path::Path;

use serde_json::{Value, json};

use crate::backstock::{Backstock, TOKEN};
use crate::deeds::Deeds;
use crate::pulls::{eventually, followed_up_of, read_whole, shop_path};
use crate::shopify::SECRET;
use crate::simulator::{Simulator, planned};
use crate::upkeep::kept_of;
use crate::wreck::{SMALL, portrait, read_again, undone};

const OLD: &str = "old-home";
const NEW: &str = "new-home";

/// What differs, and should: the kind, and the member. Addresses of policies are each shop's own, and
/// how a place delivers is for its merchant to set.
const DECLARED: [(&str, &str); 3] = [
    ("policy ", "/url: "),
    ("location ", "/shipsInventory: "),
    ("location ", "/hasActiveInventory: "),
];

/// A shop that was lived in, and one that was opened just now; everything of both is known.
async fn shops() -> (Backstock, Simulator, Simulator) {
    let plans = [planned(), planned()];
    let sections = [OLD, NEW].iter().zip(&plans).map(|(name, (_, access))| {
        format!(
            "[[shop]]\ndomain = \"{name}.myshopify.com\"\nwebhook_secrets = [\"{SECRET}\"]\n{access}"
        )
    });
    let mut backstock = Backstock::pulling_with(&sections.collect::<String>(), "");
    let old = Simulator::start_as(OLD, &backstock, plans[0].0, &SMALL).await;
    let empty = ["--empty", "--nth-shop", "1", "--rate", "0", "--plan", "unlimited"];
    let new = Simulator::start_as(NEW, &backstock, plans[1].0, &empty).await;
    Deeds::default().round(&old).await;
    // A file that is read before it is worked through has no bytes to keep.
    eventually(|| async {
        let said = old.ask("{ files(first: 250) { nodes { fileStatus } } }").await;
        let mut files = said["files"]["nodes"].as_array().expect("files").iter();
        if files.all(|file| file["fileStatus"] == "READY") { Ok(()) } else { Err(said.to_string()) }
    })
    .await;
    backstock.start("serve").await;
    for (name, simulator) in [(OLD, &old), (NEW, &new)] {
        read_whole(&backstock, name, "").await;
        simulator.quiet().await;
        followed_up_of(&backstock, name).await;
    }
    // An export holds no other bytes than those that are kept.
    for kind in ["product", "file"] {
        kept_of(&backstock, OLD, kind).await;
    }
    (backstock, old, new)
}

/// The export of the first shop, by the API.
async fn exported(backstock: &Backstock) -> Vec<u8> {
    let url = format!("{}{}/export", backstock.api, shop_path(OLD));
    let answer = backstock.client.get(url).bearer_auth(TOKEN).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    answer.bytes().await.expect("a whole file").to_vec()
}

/// Brings a file into the other shop, by the API: its name there.
async fn imported(backstock: &Backstock, file: Vec<u8>) -> String {
    let url = format!("{}{}/exports", backstock.api, shop_path(NEW));
    let request = backstock.client.post(url).bearer_auth(TOKEN).body(file);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 201);
    let import: Value = answer.json().await.expect("JSON");
    import["id"].as_str().expect("an id").to_owned()
}

/// The plan that makes the other shop what an export holds.
async fn planned_from(backstock: &Backstock, export: &str) -> Value {
    let asked = json!({
        "export": export,
        "modes": {"create": true, "update": true, "delete_new": true},
        "inventory": true,
    });
    let (status, plan) = backstock.post(&format!("{}/plans", shop_path(NEW)), asked).await;
    assert_eq!(status, 201, "{plan}");
    plan
}

/// What a client verb prints about a shop.
fn said(backstock: &Backstock, shop: &str, verb: &[&str]) -> String {
    let shop = format!("{shop}.myshopify.com");
    let done = backstock.client_verb(&[verb, &["--shop", shop.as_str()]].concat());
    assert!(done.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// The plan that the command line makes of a file for the other shop.
fn planned_by_hand(backstock: &Backstock, file: &Path) -> Value {
    let file = file.to_str().expect("a name");
    serde_json::from_str(&said(backstock, NEW, &["import", file, "--json"])).expect("a plan")
}

/// How many of a kind do not come, as the plan says it.
async fn kept_only(simulator: &Simulator, of: &str, called: &str) -> String {
    match simulator.truth(of).await.len() {
        1 => format!("1 {called} cannot be written"),
        n => format!("{n} {called}s cannot be written"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_shop_moves_into_an_empty_one_and_only_once() {
    let (backstock, old, new) = shops().await;
    let file = exported(&backstock).await;
    let export = imported(&backstock, file).await;
    let plan = planned_from(&backstock, &export).await;
    let consequences = plan["consequences"].to_string();
    for (of, called) in [("Order", "order"), ("GiftCard", "gift card")] {
        let stays = kept_only(&old, of, called).await;
        assert!(consequences.contains(&stays), "{stays}: {consequences}");
    }
    assert!(consequences.contains("The settings of the shop"), "{consequences}");
    let job = backstock.applied(&shop_path(NEW), &plan).await;
    println!("{}", job["counts"]);
    let (before, after) = (portrait(&old).await, portrait(&new).await);
    let mut unlike = before.unlike(&after);
    unlike.retain(|one| {
        !DECLARED.iter().any(|(kind, member)| one.starts_with(*kind) && one.contains(*member))
    });
    unlike.extend(undone(&backstock, NEW, &new, &job).await);
    assert!(unlike.is_empty(), "{} differences:\n{}", unlike.len(), unlike.join("\n"));

    // The same once more, and what the command line makes of another export.
    let path = backstock.dir.join("old-home.tar.zst");
    said(&backstock, OLD, &["export", "--out", path.to_str().expect("a name")]);
    for by_hand in [false, true] {
        read_again(&backstock, NEW, &new).await;
        let plan = match by_hand {
            false => planned_from(&backstock, &export).await,
            true => planned_by_hand(&backstock, &path),
        };
        let job = backstock.applied(&shop_path(NEW), &plan).await;
        let counts = (&job["counts"]["created"], &job["counts"]["deleted"]);
        assert_eq!(counts, (&json!(0), &json!(0)), "{}: {}", plan["counts"], job["counts"]);
        let unlike = after.unlike(&portrait(&new).await);
        assert_eq!(unlike, Vec::<String>::new());
    }
}
