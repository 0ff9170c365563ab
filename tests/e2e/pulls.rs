//! Pulls that are ordered and waited for, and what else is waited for until history knows it.

use std::time::{Duration, Instant};

use backstock_proto::Timestamp;
use backstock_proto::kind::{ALL, Spec};
use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::simulator::{Simulator, planned};

pub(crate) const SHOP: &str = "/v1/shops/acme.myshopify.com";

/// The API's path of any shop.
pub(crate) fn shop_path(shop: &str) -> String {
    format!("/v1/shops/{shop}.myshopify.com")
}

/// The kinds that are pulled.
pub(crate) fn pulled_kinds() -> impl Iterator<Item = &'static Spec> {
    ALL.iter().copied().filter(|spec| !spec.pulls.is_empty())
}

/// The pull of a kind that began last.
pub(crate) async fn pull_of(backstock: &Backstock, kind: &str) -> Option<Value> {
    last_pull(backstock, "acme", kind).await
}

/// The same of any shop.
async fn last_pull(backstock: &Backstock, shop: &str, kind: &str) -> Option<Value> {
    let pulls = backstock.list(&format!("{}/pulls", shop_path(shop))).await;
    pulls.into_iter().find(|pull| pull["kind"] == kind)
}

/// Waits for something, and says what was missing when it does not come.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(
    mut look: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(missing) => {
                assert!(begun.elapsed() < Duration::from_secs(120), "still: {missing}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Waits until a pull of the kind that began at `since` or later is over.
pub(crate) async fn pulled(backstock: &Backstock, kind: &str, since: &str) -> Value {
    pulled_of(backstock, "acme", kind, since).await
}

/// The same of any shop.
async fn pulled_of(backstock: &Backstock, shop: &str, kind: &str, since: &str) -> Value {
    let after = Timestamp::parse(since).unwrap_or(Timestamp::MIN);
    eventually(|| async {
        let pull = last_pull(backstock, shop, kind).await;
        let over = pull.as_ref().filter(|pull| {
            let begun = Timestamp::parse(pull["started_at"].as_str().unwrap_or_default());
            pull["state"] != "running" && begun.is_ok_and(|at| at >= after)
        });
        over.cloned()
            .ok_or_else(|| format!("no pull of {shop}'s {kind} since {since} is over: {pull:?}"))
    })
    .await
}

/// A shop that is simulated with some options, and of which everything is known.
pub(crate) async fn known_shop(options: &[&str]) -> (Backstock, Simulator) {
    known_shop_with("", options).await
}

/// The same, with `more` TOML before the shops.
pub(crate) async fn known_shop_with(more: &str, options: &[&str]) -> (Backstock, Simulator) {
    let (port, access) = planned();
    let mut backstock = Backstock::pulling_with(more, &access);
    let simulator = Simulator::start(&backstock, port, options).await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    (backstock, simulator)
}

/// Waits until everything was read for the first time.
pub(crate) async fn backfilled(backstock: &Backstock) {
    read_whole(backstock, "acme", "").await;
}

/// Waits until everything of any shop was read at `since` or later, and is known.
pub(crate) async fn read_whole(backstock: &Backstock, shop: &str, since: &str) {
    for spec in pulled_kinds() {
        let pull = pulled_of(backstock, shop, spec.name, since).await;
        assert_eq!(pull["state"], "complete", "{shop}: {pull}");
    }
    settled_of(backstock, shop).await;
}

/// Orders pulls, and answers when that was.
pub(crate) async fn ordered(backstock: &Backstock, order: Value) -> String {
    ordered_of(backstock, "acme", order).await
}

/// The same of any shop.
pub(crate) async fn ordered_of(backstock: &Backstock, shop: &str, order: Value) -> String {
    let (status, ordered) = backstock.post(&format!("{}/reconcile", shop_path(shop)), order).await;
    assert_eq!(status, 202, "{ordered}");
    ordered["at"].as_str().expect("an instant").to_owned()
}

/// Orders a pull of a kind and waits for its end.
pub(crate) async fn reconciled(backstock: &Backstock, kind: &str) -> Value {
    let at = ordered(backstock, json!({"kinds": [kind]})).await;
    let pull = pulled(backstock, kind, &at).await;
    settled(backstock).await;
    pull
}

/// How many differences a pull found.
pub(crate) fn differences(pull: &Value) -> u64 {
    ["missed", "changed", "extra"].iter().filter_map(|d| pull["drift"][d].as_u64()).sum()
}

/// Waits until the journal has read everything that is on the stream by now: what a pull says of
/// itself at its end comes after all of it.
pub(crate) async fn settled(backstock: &Backstock) {
    settled_of(backstock, "acme").await;
}

/// The same of any shop.
async fn settled_of(backstock: &Backstock, shop: &str) {
    let at = ordered_of(backstock, shop, json!({"kinds": ["location"]})).await;
    pulled_of(backstock, shop, "location", &at).await;
}

/// `12.0` and `12.00` are the same amount.
pub(crate) fn money(value: &Value) -> Option<i64> {
    let (whole, part) = value.as_str()?.split_once('.').unwrap_or((value.as_str()?, ""));
    format!("{whole}{:0<2.2}", part).parse().ok()
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
}

/// An instant with a second before and after it, which the shop's dates have as a whole.
pub(crate) async fn between() -> Timestamp {
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let at = now();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    at
}

/// Waits until everything that webhooks left open was asked for.
pub(crate) async fn followed_up(backstock: &Backstock) {
    followed_up_of(backstock, "acme").await;
}

/// The same of any shop.
pub(crate) async fn followed_up_of(backstock: &Backstock, shop: &str) {
    eventually(|| async {
        let subject = format!("$JS.API.CONSUMER.INFO.BACKSTOCK-0.compactor-{shop}");
        let consumer = ask_nats(backstock, &subject, "").await;
        let left = |name: &str| consumer[name].as_u64().unwrap_or(u64::MAX);
        match left("num_pending").saturating_add(left("num_ack_pending")) {
            0 => Ok(()),
            left => Err(format!("{left} webhooks are to be followed up")),
        }
    })
    .await;
}

/// Asks the nats-server something.
pub(crate) async fn ask_nats(backstock: &Backstock, subject: &str, question: &str) -> Value {
    let path = backstock.dir.join("data/nats/nats-server.conf");
    let text = std::fs::read_to_string(path).expect("the server's configuration");
    let between = |before: &str, after: char| {
        let rest = text.split_once(before).expect("a setting").1;
        rest.split(after).next().expect("a value").to_owned()
    };
    let (address, token) = (between("listen: ", '\n'), between("token: \"", '"'));
    let options = async_nats::ConnectOptions::with_token(token);
    let client = options.connect(address).await.expect("a connection");
    let answer = client.request(subject.to_owned(), question.to_owned().into()).await;
    serde_json::from_slice(&answer.expect("an answer").payload).expect("an answer in JSON")
}
