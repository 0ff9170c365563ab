//! The whole story: an app breaks the shop, the guard sees it, undoes it, and the shop is as before.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::backstock::Backstock;
use crate::pulls::{SHOP, backfilled, eventually};
use crate::simulator::{Simulator, planned};

const HOOK_SECRET: &str = "only between us";

/// Where people are told: hands on what it is told, with its signature checked.
async fn hook() -> (String, mpsc::UnboundedReceiver<Value>) {
    let (send, told) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let take = async |State(send): State<mpsc::UnboundedSender<Value>>,
                      headers: HeaderMap,
                      body: String| {
        let signature = headers["x-backstock-signature"].to_str().expect("text");
        let (at, mac) = signature
            .strip_prefix("t=")
            .and_then(|rest| rest.split_once(",v1="))
            .expect("t=…,v1=…");
        let expected = Hmac::<Sha256>::new_from_slice(HOOK_SECRET.as_bytes())
            .expect("a key")
            .chain_update(format!("{at}.{body}"))
            .finalize()
            .into_bytes();
        let hex: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(mac, hex, "the signature is of what was told");
        send.send(serde_json::from_str(&body).expect("JSON")).expect("somebody listens");
        Json(json!({}))
    };
    let router = axum::Router::new().route("/hook", post(take)).with_state(send);
    tokio::spawn(async { axum::serve(listener, router).await.expect("serves") });
    (url, told)
}

/// What buyers see of every product, without what moves by itself.
async fn prices(simulator: &Simulator) -> BTreeMap<String, Value> {
    let lines = simulator.lines("truth?kind=product").await;
    let state = |line: &Value| line.get("state").unwrap_or(line).clone();
    let told = |product: Value| {
        let variants = product["variants"].as_array().cloned().unwrap_or_default();
        let prices: Vec<Value> =
            variants.iter().map(|v| json!([v["id"], v["price"], v["compareAtPrice"]])).collect();
        (product["id"].as_str().expect("an id").to_owned(), json!([product["title"], prices]))
    };
    lines.iter().map(state).map(told).collect()
}

async fn collections(simulator: &Simulator) -> Vec<String> {
    let lines = simulator.lines("truth?kind=collection").await;
    let title =
        |line: &Value| line.get("state").unwrap_or(line)["title"].as_str().map(str::to_owned);
    let mut titles: Vec<String> = lines.iter().filter_map(title).collect();
    titles.sort();
    titles
}

#[tokio::test]
async fn an_app_that_breaks_the_shop_is_undone_by_itself() {
    let (port, access) = planned();
    let (url, mut told) = hook().await;
    let guard = format!(
        "[shop.guard]\naction = \"apply\"\nsettle_seconds = 3\nwebhook_url = \"{url}\"\n\
         webhook_private = true\nwebhook_secret = \"{HOOK_SECRET}\"\n"
    );
    let mut backstock = Backstock::pulling_with("[compactor]\nlog_every = 1\n", &(access + &guard));
    let more = ["--products", "40", "--rate", "0", "--plan", "plus"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let (before, shelves) = (prices(&simulator).await, collections(&simulator).await);

    let story = simulator.post("scenario/bad_app?products=25", json!({})).await;
    let story: Value = serde_json::from_str(&story).expect("JSON");
    assert_ne!(prices(&simulator).await, before, "the story did damage: {story}");

    let incident = eventually(|| async {
        let (_, list) = backstock.get(&format!("{SHOP}/incidents")).await;
        let applied = list["items"].as_array().and_then(|items| {
            items.iter().find(|incident| incident["state"] == "applied").cloned()
        });
        applied.ok_or_else(|| format!("no incident was acted upon: {list}"))
    })
    .await;
    assert_eq!(incident["change_set"]["actor"]["name"], "Bulk Price Wizard", "{incident}");
    let job = incident["job"].as_str().expect("a job").to_owned();
    let done = eventually(|| async {
        let (_, found) = backstock.get(&format!("{SHOP}/jobs/{job}")).await;
        let over = ["done", "failed"].iter().any(|state| found["state"] == *state);
        if over { Ok(found) } else { Err(format!("the job is not over: {found}")) }
    })
    .await;
    assert_eq!(done["state"], "done", "{done}");
    // Shopify's log may have named the app as the one that deleted collections only later.
    eventually(|| async {
        let now = (prices(&simulator).await, collections(&simulator).await);
        let same = now == (before.clone(), shelves.clone());
        let wrong: Vec<_> =
            before.iter().filter(|(id, was)| now.0.get(*id) != Some(was)).take(3).collect();
        let told = || format!("not as before: {wrong:?}, {:?} instead of {shelves:?}", now.1);
        if same { Ok(()) } else { Err(told()) }
    })
    .await;
    // Somebody may first be told of damage of which nobody knows yet who did it.
    loop {
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), told.recv()).await;
        let next = next.expect("somebody is told who did it").expect("the hook listens");
        if next["text"].as_str().is_some_and(|text| text.contains("Bulk Price Wizard")) {
            break;
        }
    }

    // Our own writes are nobody's damage, and what was undone stays so.
    let (_, list) = backstock.get(&format!("{SHOP}/incidents")).await;
    let instant = |of: &Value| backstock_proto::Timestamp::parse(of.as_str().expect("a time"));
    let undone = instant(&incident["applied_at"]).expect("an instant");
    for one in list["items"].as_array().expect("incidents") {
        let of = instant(&one["change_set"]["to"]).expect("an instant");
        assert!(of < undone, "what we wrote was taken for damage: {one}");
    }
    assert!(backstock.metric("backstock_restorer_guard_incidents_total").await >= 1.0);
    let (_, sets) = backstock.get(&format!("{SHOP}/change-sets")).await;
    let actors: Vec<&Value> =
        sets["items"].as_array().expect("sets").iter().map(|set| &set["actor"]["name"]).collect();
    assert!(actors.contains(&&json!("Bulk Price Wizard")), "{actors:?}");
}
