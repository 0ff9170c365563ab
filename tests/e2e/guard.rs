//! The whole story: an app breaks the shop, the guard sees it, undoes it, and the shop is as before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use backstock_proto::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::backstock::{Backstock, text};
use crate::kills::{count, seed};
use crate::pulls::{SHOP, backfilled, eventually, now};
use crate::simulator::{Simulator, planned};

/// Rest between one sort of harm and the next.
const BETWEEN_HARMS: Duration = Duration::from_secs(20);
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
    let products = simulator.truth("product").await;
    let told = |product: Value| {
        let variants = product["variants"].as_array().cloned().unwrap_or_default();
        let prices: Vec<Value> =
            variants.iter().map(|v| json!([v["id"], v["price"], v["compareAtPrice"]])).collect();
        (product["id"].as_str().expect("an id").to_owned(), json!([product["title"], prices]))
    };
    products.into_iter().map(told).collect()
}

async fn collections(simulator: &Simulator) -> Vec<String> {
    let collections = simulator.truth("collection").await;
    let title = |collection: &Value| collection["title"].as_str().map(str::to_owned);
    let mut titles: Vec<String> = collections.iter().filter_map(title).collect();
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
    let more = ["--products", "40", "--rate", "0", "--plan", "plus", "--log-late", "20"];
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
    let instant = |of: &Value| Timestamp::parse(of.as_str().expect("a time"));
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
    let deleted = format!("{SHOP}/changes?app=Bulk%20Price%20Wizard&kind=collection&op=delete");
    let deleted = backstock.list(&deleted).await;
    let sorts: BTreeSet<_> =
        deleted.iter().map(|c| (c["kind"].as_str(), c["op"].as_str())).collect();
    assert_eq!(sorts, BTreeSet::from([(Some("collection"), Some("delete"))]), "{deleted:?}");
}

/// What an app may do harm to, by what it is called: the same again once it is undone, also where
/// it has other ids.
async fn goods(simulator: &Simulator) -> BTreeMap<String, Value> {
    let mut goods = BTreeMap::new();
    for kind in ["product", "collection"] {
        for state in simulator.truth(kind).await {
            let variants = state["variants"].as_array().into_iter().flatten();
            let variants: Vec<Value> = variants
                .map(|v| json!([v["price"], v["compareAtPrice"], v["inventoryItem"]["sku"]]))
                .collect();
            let fields = ["title", "descriptionHtml", "status", "tags", "ruleSet"];
            let told: Vec<&Value> = fields.iter().map(|field| &state[*field]).collect();
            let name = format!("{kind} {}", state["handle"].as_str().expect("a handle"));
            goods.insert(name, json!([told, variants]));
        }
    }
    goods
}

async fn incidents(backstock: &Backstock) -> Vec<Value> {
    let (_, list) = backstock.get(&format!("{SHOP}/incidents")).await;
    list["items"].as_array().cloned().unwrap_or_default()
}

/// The incident of which an app is the cause.
async fn incident(backstock: &Backstock, app: &str) -> Option<Value> {
    let all = incidents(backstock).await;
    all.into_iter().find(|one| one["change_set"]["actor"]["name"] == app)
}

/// How long each sort of harm stands, from the app's first deed on: until it is seen at all, until who
/// did it is known and the way back is ready, and until the shop is as before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make torture`"]
async fn torture_every_sort_of_harm_is_undone() {
    let sorts = [
        "texts_emptied",
        "prices_collapsed",
        "prices_zero",
        "prices_below_cost",
        "texts_replaced",
        "unpublished",
        "tags_wiped",
        "skus_wiped",
        "deleted",
        "collections_deleted",
    ];
    let (port, access) = planned();
    let guard = "[shop.guard]\naction = \"apply\"\nsettle_seconds = 3\n";
    let mut backstock = Backstock::pulling_with("[compactor]\nlog_every = 1\n", &(access + guard));
    let more = ["--products", "60", "--rate", "0", "--plan", "plus"];
    let simulator = Simulator::start(&backstock, port, &more).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let before = goods(&simulator).await;
    println!("sort of harm          hit   seen  way back  healed (seconds)");
    for sort in sorts.iter().take(count("BACKSTOCK_HARMS", 10) as usize) {
        let app = format!("Wizard of {}", sort.replace('_', " "));
        let asked = format!("harm/{sort}?count=25&app={}", app.replace(' ', "%20"));
        let known = incidents(&backstock).await.len();
        let begun = Instant::now();
        let told = simulator.post(&asked, json!({})).await;
        let told: Value = serde_json::from_str(&told).expect("JSON");
        let hit = ["products", "deleted_products", "deleted_collections"];
        let hit: u64 = hit.iter().filter_map(|field| told[*field].as_u64()).sum();
        let seen = eventually(|| async {
            let all = incidents(&backstock).await;
            let new = all.len() > known;
            if new { Ok(begun.elapsed()) } else { Err(format!("{sort} is not seen: {all:?}")) }
        })
        .await;
        let plan = eventually(|| async {
            let found = incident(&backstock, &app).await;
            let plan = found.as_ref().and_then(|one| one["plan"].as_str().map(str::to_owned));
            plan.ok_or_else(|| format!("no way back from {sort}: {found:?}"))
        })
        .await;
        let ready = begun.elapsed();
        if *sort == "prices_below_cost" {
            // A clearance looks the same: a person says what this is.
            let path = format!("{SHOP}/rollbacks");
            let (status, answer) = backstock.post(&path, json!({"app": app})).await;
            assert!(status < 300, "{plan}: {answer}");
        }
        eventually(|| async {
            let now = goods(&simulator).await;
            let off = before.iter().find(|(name, was)| now.get(*name) != Some(was));
            match off {
                None if now.len() == before.len() => Ok(()),
                _ => Err(format!(
                    "{sort} is not undone: {off:?}, {:?}",
                    incident(&backstock, &app).await
                )),
            }
        })
        .await;
        let (seen, ready, healed) =
            (seen.as_secs_f64(), ready.as_secs_f64(), begun.elapsed().as_secs_f64());
        println!("{sort:20} {hit:>4} {seen:>6.1} {ready:>9.1} {healed:>7.1}");
        // Each sort for itself: what comes within seconds of our own writes is harder to ascribe.
        tokio::time::sleep(BETWEEN_HARMS).await;
    }
}

/// Waits until a job of the guard's has written something.
async fn until_at_work(backstock: &Backstock) {
    let begun = Instant::now();
    loop {
        let jobs = backstock.list(&format!("{SHOP}/jobs")).await;
        if jobs.iter().any(|job| job["counts"]["updated"].as_u64() > Some(0)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "nothing is undone: {jobs:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whenever the process is killed, and however webhooks come: the app is undone, once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make torture`"]
async fn torture_kills_around_a_rollback() {
    let (kills, seed) = (count("BACKSTOCK_KILLS", 3).min(20), seed());
    let mut rng = StdRng::seed_from_u64(seed);
    let (port, access) = planned();
    let guard = "[shop.guard]\naction = \"apply\"\nsettle_seconds = 1\n";
    let mut backstock = Backstock::pulling_with("[compactor]\nlog_every = 1\n", &(access + guard));
    let faults = ["--duplicate", "0.2", "--reorder", "0.2", "--delay", "0.2", "--delay-max", "1"];
    let more = ["--products", "60", "--rate", "0", "--seed", "7"];
    let simulator = Simulator::start(&backstock, port, &[&more[..], &faults[..]].concat()).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let before = goods(&simulator).await;
    simulator.post("faults", json!({"often": {"lost": 0.1, "internal": 0.1}})).await;
    simulator.post("scenario/bad_app?products=40", json!({})).await;
    let mut killed = Vec::new();
    for n in 1..=kills {
        // One comes while the app is being undone, whatever chance says of the others.
        if n == kills {
            until_at_work(&backstock).await;
        } else {
            tokio::time::sleep(Duration::from_millis(rng.random_range(300..4_000))).await;
        }
        backstock.signal("serve", Signal::SIGKILL);
        killed.push(now());
        backstock.start("serve").await;
    }
    // A guard goes on with what another one began when nobody has for a minute.
    let (begun, long) = (Instant::now(), Duration::from_secs(300));
    loop {
        let now = goods(&simulator).await;
        let off: Vec<_> = before.iter().filter(|(name, was)| now.get(*name) != Some(was)).collect();
        if off.is_empty() && now.len() == before.len() {
            break;
        }
        let (all, seen) = (off.len(), incidents(&backstock).await);
        let first = off.first();
        assert!(
            begun.elapsed() < long,
            "seed {seed}: {all} are not as before: {first:?}, {seen:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut met = 0;
    for job in backstock.list(&format!("{SHOP}/jobs")).await {
        let job = backstock.over(SHOP, text(&job, "id")).await;
        let instant = |name: &str| Timestamp::parse(text(&job, name)).expect("an instant");
        let span = instant("started_at")..instant("finished_at");
        met += killed.iter().filter(|at| span.contains(*at)).count();
    }
    assert!(met > 0, "no kill met a job at work; seed {seed}");
    println!("kills around a rollback: {kills}, {met} at work, everything as before, seed {seed}");
}
