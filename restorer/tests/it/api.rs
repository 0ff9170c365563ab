//! What the API answers, over loopback.

mod exports;
mod plans;
mod server;

use crate::fake::{MUG, shop};
use backstock_proto::journal::JournalError;
use backstock_restorer::Config;
use serde_json::{Value, json};

use server::{Answer, Server, start, start_knowing, start_with, token};

/// JSON as it is sent. (insta's own does not know exact numbers.)
fn pretty(json: &Value) -> String {
    serde_json::to_string_pretty(json).expect("json")
}

#[tokio::test]
async fn a_resource_is_as_it_was() {
    let server = start().await;
    let base = format!("/v1/shops/acme/resources/product/{MUG}");
    let price = |answer: &Answer| answer.json()["state"]["variants"][0]["price"].clone();

    let before = server.get(&format!("{base}?at=2026-11-20T14:02:11Z")).await;
    assert_eq!((before.status, price(&before)), (200, json!("64.00")));
    let after = server.get(&format!("{base}?at=2026-11-20T16:02:11.5%2B02:00")).await;
    assert_eq!((after.status, price(&after)), (200, json!("6.40")));
    let now = server.get(&base).await;
    let mut shown = now.json();
    assert!(shown["state"]["descriptionHtml"].as_str().is_some_and(|text| text.len() > 100));
    shown["state"]["descriptionHtml"] = json!("…");
    insta::assert_snapshot!("resource", pretty(&shown));

    let never = server.get(&format!("{base}?at=2026-11-20T08:59:59Z")).await;
    never.problem(404);
    insta::assert_snapshot!("never_existed", pretty(&never.json()));
}

#[tokio::test]
async fn a_deleted_resource_is_gone_with_its_last_state() {
    let server = start().await;
    let base = "/v1/shops/acme/resources/product/501";
    let gone = server.get(base).await;
    gone.problem(410);
    insta::assert_snapshot!("gone", pretty(&gone.json()));
    assert_eq!(server.get(&format!("{base}?at=2026-11-21T06:59:59Z")).await.status, 200);
    server.get(&format!("{base}?at=2026-11-21T07:00:00Z")).await.problem(410);
}

#[tokio::test]
async fn lists_and_versions() {
    let server = start().await;
    let found = server.get("/v1/shops/acme/resources?q=MUG").await;
    insta::assert_snapshot!("resources", pretty(&found.json()));
    let deleted = server.get("/v1/shops/acme/resources?deleted=true").await.json();
    assert_eq!(deleted["items"][0]["id"], "501");
    assert_eq!(deleted["items"].as_array().map(Vec::len), Some(1));

    let path = format!("/v1/shops/acme/resources/product/{MUG}/versions");
    let versions = server.get(&path).await.json();
    insta::assert_snapshot!("versions", pretty(&versions));
    let resource = server.get(path.trim_end_matches("/versions")).await.json();
    assert_eq!(resource["version"], versions["items"][0], "one shape of a version");
    let second = server.get(&format!("{path}?limit=1&cursor=1")).await.json();
    assert_eq!(second["items"][0], versions["items"][1]);
    assert_eq!(second["next"], "2");
    let none = server.get(&format!("{path}?from=2026-11-22T00:00:00Z")).await;
    assert_eq!((none.status, none.json()), (200, json!({"items": [], "next": null})));
    server.get("/v1/shops/acme/resources/product/7/versions").await.problem(404);
}

#[tokio::test]
async fn short_lists_have_pages_too() {
    let server = start().await;
    let shops = |answer: &Answer| -> Vec<String> {
        let items = answer.json()["items"].as_array().expect("a list").clone();
        items.iter().map(|item| item["shop"].as_str().expect("a shop").to_owned()).collect()
    };
    let all = shops(&server.get("/v1/shops").await);
    assert_eq!(all.len(), 3, "{all:?}");
    let (mut seen, mut path) = (Vec::new(), "/v1/shops?limit=1".to_owned());
    loop {
        let page = server.get(&path).await;
        seen.extend(shops(&page));
        let Some(next) = page.json()["next"].as_str().map(str::to_owned) else { break };
        path = format!("/v1/shops?limit=1&cursor={next}");
    }
    assert_eq!(seen, all);
    server.get("/v1/shops?cursor=x").await.problem(400);
    assert_eq!(shops(&server.get("/v1/shops?q=BOL").await), ["bolt.myshopify.com"]);
    let found = server.get("/v1/shops?q=bolt.myshopify.com&health=true").await.json();
    let health = &found["items"][0]["health"];
    assert_eq!((&health["state"], &health["incidents_open"]), (&json!("warning"), &json!(0)));
    assert!(health["wrong"][0].as_str().is_some_and(|why| !why.is_empty()), "{health}");
    for list in ["marks", "pulls"] {
        assert_eq!(server.get(&format!("/v1/shops/acme/{list}?limit=1")).await.status, 200);
        server.get(&format!("/v1/shops/acme/{list}?limit=0")).await.problem(400);
    }
}

#[tokio::test]
async fn bytes_of_media_are_served_by_their_hash_and_only_pictures_are_shown() {
    let server = start().await;
    let keep = async |bytes: &'static [u8]| {
        let bytes = futures::stream::iter([Ok(bytes.into())]);
        server.blobs.put(&shop("acme"), bytes, 1_000).await.expect("kept").0
    };
    let picture = keep(b"\x89PNG\r\n\x1a\nand so on").await;
    let path = format!("/v1/shops/acme/blobs/{picture}");
    let shown = server.get(&path).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/png"));
    assert_eq!(shown.header("content-disposition"), "inline");
    assert_eq!(shown.header("x-content-type-options"), "nosniff");
    assert_eq!(shown.header("content-length"), "17");
    assert!(shown.header("cache-control").contains("immutable"));
    let script = keep(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>").await;
    let saved = server.get(&format!("/v1/shops/acme/blobs/{script}")).await;
    assert_eq!((saved.status, saved.header("content-type")), (200, "application/octet-stream"));
    assert_eq!(saved.header("content-disposition"), "attachment");
    assert!(saved.text.starts_with("<svg"));
    server.get(&format!("/v1/shops/corner/blobs/{picture}")).await.problem(404);
    for wrong in ["x", "..%2F..%2Fetc%2Fpasswd", &"0".repeat(64)] {
        server.get(&format!("/v1/shops/acme/blobs/{wrong}")).await.problem(404);
    }
}

#[tokio::test]
async fn raw_bytes_are_the_ones_received() {
    let server = start().await;
    let base = format!("/v1/shops/acme/resources/product/{MUG}/versions");
    let raw = server.get(&format!("{base}/101/raw")).await;
    assert_eq!(raw.status, 200);
    assert_eq!(raw.text, format!("{{ \"id\" : {MUG},\n  \"price\":1.10 }}"));
    assert_eq!(raw.header("content-type"), "application/json");
    assert_eq!(raw.header("cache-control"), "no-store");
    let marker = server.get(&format!("{base}/105/raw")).await;
    assert!(marker.problem(404).contains("equals version 104"));
    assert_eq!(marker.json()["same_as"], 104);
    for seq in ["100", "999", "x", "-1", "18446744073709551616"] {
        server.get(&format!("{base}/{seq}/raw")).await.problem(404);
    }
}

#[tokio::test]
async fn a_difference_between_two_instants() {
    let server = start().await;
    let base = format!("/v1/shops/acme/resources/product/{MUG}/diff");
    let diff = server.get(&format!("{base}?from=2026-11-20T12:00:00Z")).await.json();
    assert_eq!(diff["changes"][1]["path"], "/variants/0/price");
    assert_eq!(diff["changes"][1]["element"], "gid://shopify/ProductVariant/11");
    assert_eq!(diff["changes"][1]["old"], "64.00");
    assert_eq!(diff["changes"][1]["new"], "6.40");
    assert_eq!(diff["patch"][1]["op"], "replace");
    assert_eq!(diff["from"]["version"]["seq"], 101);
    assert_eq!(diff["to"]["version"]["seq"], 105);

    let same = server.get(&format!("{base}?from=2026-11-21T00:00:00Z")).await.json();
    assert_eq!((&same["changes"], &same["patch"]), (&json!([]), &json!([])));
    let created =
        server.get(&format!("{base}?from=2026-11-01T00:00:00Z&to=2026-11-21T00:00:00Z")).await;
    assert_eq!(created.json()["from"]["exists"], false);
    assert_eq!(created.json()["changes"][0]["old"], Value::Null);
    let tote = "/v1/shops/acme/resources/product/501/diff?from=2026-11-20T00:00:00Z";
    assert_eq!(server.get(tote).await.json()["to"]["exists"], false);
    server
        .get(&format!("{base}?from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z"))
        .await
        .problem(404);
    assert!(server.get(&base).await.problem(400).contains("from"));
}

#[tokio::test]
async fn changes_newest_first() {
    let server = start().await;
    let changes = server.get("/v1/shops/acme/changes?from=2026-11-20T14:00:00Z").await.json();
    let ops: Vec<_> = changes["items"].as_array().expect("a list").iter().collect();
    assert_eq!(ops.len(), 2, "the one that changed nothing is left out");
    assert_eq!((&ops[0]["op"], &ops[0]["title"]), (&json!("delete"), &json!("Canvas Tote")));
    assert_eq!(ops[1]["changes"][1]["new"], "6.40");
    let only = "/v1/shops/acme/changes?kind=customer&op=create&source=webhook";
    assert_eq!(server.get(only).await.json()["items"][0]["id"], "301");
    let app = server.get("/v1/shops/acme/changes?app=Bulk%20Editor").await;
    assert_eq!((app.status, app.json()), (200, json!({"items": [], "next": null})));
}

#[tokio::test]
async fn a_snapshot_says_that_it_is_whole_or_that_it_is_not() {
    let server = start().await;
    let path = "/v1/shops/acme/snapshot?at=2026-11-20T12:00:00Z";
    let whole = server.get(path).await;
    assert_eq!(whole.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> =
        whole.text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    let names: Vec<_> = lines.iter().map(|line| line["id"].as_str().unwrap_or("end")).collect();
    assert_eq!(names, ["301", "401", "501", MUG, "end"]);
    assert_eq!(lines[3]["state"]["variants"][0]["price"], "64.00");
    assert_eq!(lines[3]["at"], "2026-11-20T12:00:00Z");
    assert_eq!(lines[4], json!({"end": true, "count": 4}));
    let orders = server.get("/v1/shops/acme/snapshot?kind=order").await;
    assert_eq!(orders.text.lines().count(), 2);

    server.journal.fail_snapshot_after(2);
    let cut = server.get(path).await;
    assert_eq!(cut.text.lines().count(), 3);
    let last: Value = serde_json::from_str(cut.text.lines().last().expect("a line")).expect("json");
    assert_eq!((&last["error"]["status"], &last["count"]), (&json!(500), &json!(2)));
    assert!(!cut.text.contains("block 7"));
}

#[tokio::test]
async fn snapshots_at_once_are_limited_and_given_back() {
    let server = start_with(Config { snapshots_max: 1, ..Config::default() }).await;
    for _ in 0..3 {
        assert_eq!(server.get("/v1/shops/acme/snapshot").await.status, 200);
    }
    let none = start_with(Config { snapshots_max: 0, ..Config::default() }).await;
    let refused = none.get("/v1/shops/acme/snapshot").await;
    refused.problem(503);
    assert_eq!(refused.header("retry-after"), "2");
}

#[tokio::test]
async fn shops_and_their_status() {
    let server = start().await;
    insta::assert_snapshot!("shops", pretty(&server.get("/v1/shops").await.json()));
    insta::assert_snapshot!("status", pretty(&server.get("/v1/shops/acme/status").await.json()));
    let empty = server.get("/v1/shops/corner/status").await;
    assert_eq!((empty.status, &empty.json()["kinds"]), (200, &json!([])));
    let nothing = server.get("/v1/shops/corner/resources").await;
    assert_eq!(nothing.json(), json!({"items": [], "next": null}));
    for path in ["status", "resources", "changes", "snapshot"] {
        server.get(&format!("/v1/shops/nowhere/{path}")).await.problem(404);
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let server = start().await;
    let mug = format!("/v1/shops/acme/resources/product/{MUG}");
    for (path, words) in [
        ("/v1/shops/acme/status?limit=1".into(), "unknown field `limit`"),
        ("/v1/openapi.json?x=1".into(), "unknown field `x`"),
        (format!("{mug}?att=2026-11-20T12:00:00Z"), "unknown field `att`"),
        (format!("{mug}?at=yesterday"), "RFC 3339"),
        (format!("{mug}?at=2026-11-20T12:00:00+02:00"), "%2B"),
        (format!("{mug}?at=2026-11-20T12:00:00Z&at=2026-11-20T12:00:00Z"), "duplicate"),
        (format!("{mug}/versions?limit=0"), "0 is not from 1 to 1000"),
        (format!("{mug}/versions?limit=1001"), "1001 is not from 1 to 1000"),
        (format!("{mug}/versions?cursor=x"), "cursor"),
        (
            format!("{mug}/versions?from=2026-11-21T00:00:00Z&to=2026-11-20T00:00:00Z"),
            "is after to",
        ),
        ("/v1/shops/acme/resources?deleted=maybe".into(), "deleted"),
        ("/v1/shops/acme/resources?kind=Products".into(), "Products"),
        ("/v1/shops/acme/changes?op=touch".into(), "touch"),
    ] {
        let detail = server.get(&path).await.problem(400);
        assert!(detail.contains(words), "{path}: {detail}");
    }
    for path in ["/v1", "/v1/", "/v1/shops/", "/v2/shops", "/v1/shops/acme/nothing", "/x%00"] {
        server.get(path).await.problem(404);
    }
    for (method, path, allow) in [
        ("DELETE", "/v1/shops", "GET,HEAD"),
        ("POST", "/v1/shops/acme/resources", "GET,HEAD"),
        ("GET", "/v1/verify", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
    ] {
        let answer = server.ask(method, path, Some("bst_all")).await;
        answer.problem(405);
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}

#[tokio::test]
async fn a_broken_journal_is_never_an_empty_answer() {
    let server = start().await;
    let failures: [(fn() -> JournalError, u16); 4] = [
        (|| JournalError::Unavailable("/secret/path".into()), 503),
        (|| JournalError::Damaged("/secret/path".into()), 500),
        (|| JournalError::Storage("/secret/path".into()), 500),
        (|| JournalError::Invalid("cursor is not one of ours".into()), 400),
    ];
    let mug = format!("/v1/shops/acme/resources/product/{MUG}");
    for (failure, status) in failures {
        server.journal.fail(Some(failure));
        for path in [
            "/v1/shops".into(),
            "/v1/shops/acme/status".into(),
            "/v1/shops/acme/resources".into(),
            mug.clone(),
            format!("{mug}/versions"),
            format!("{mug}/versions/101/raw"),
            format!("{mug}/diff?from=2026-11-20T00:00:00Z"),
            "/v1/shops/acme/changes".into(),
            "/v1/shops/acme/snapshot".into(),
        ] {
            let answer = server.get(&path).await;
            assert!(!answer.problem(status).contains("secret"), "{path}");
            assert_eq!(answer.header("retry-after").is_empty(), status != 503);
        }
        server.ask("POST", "/v1/verify", Some("bst_all")).await.problem(status);
    }
}

#[tokio::test]
async fn tokens_end_at_once_and_guessing_is_slowed_down() {
    let server = start().await;
    let none = server.shops(None).await;
    none.problem(401);
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"backstock\"");

    server.tokens.replace(vec![token("bst_new", &["read"], &["*"])]);
    let revoked = server.shops(Some("bst_all")).await;
    revoked.problem(401);
    assert!(revoked.header("www-authenticate").contains("invalid_token"));
    for n in 0..9 {
        server.shops(Some(&format!("bst_{n}"))).await.problem(401);
    }
    let throttled = server.shops(Some("bst_guess")).await;
    throttled.problem(429);
    assert_eq!(throttled.header("retry-after"), "6");
    assert_eq!(server.shops(Some("bst_new")).await.status, 200, "a valid token is never throttled");
    server.shops(None).await.problem(401);
}

#[tokio::test]
async fn verify_is_for_those_who_look_after_everything() {
    let server = start().await;
    let report = server.ask("POST", "/v1/verify", Some("bst_all")).await;
    assert_eq!((report.status, &report.json()["faults_total"]), (200, &json!(0)));
    let one_shop = server.ask("POST", "/v1/verify", Some("bst_acme")).await;
    assert!(one_shop.problem(403).contains("every shop"));
    let url = format!("http://{}/v1/verify", server.address);
    let huge = vec![b' '; 64 * 1024 + 1];
    let answer =
        reqwest::Client::new().post(url).bearer_auth("bst_all").body(huge).send().await.unwrap();
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn every_answer_is_hardened() {
    let server = start().await;
    for path in ["/", "/v1/shops", "/v1/nothing", "/healthz", "/metrics"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    }
    let page = server.ask("GET", "/", None).await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("/v1/openapi.json"));
}

#[tokio::test]
async fn every_series_is_there_from_the_start() {
    let server = start().await;
    let text = server.ask("GET", "/metrics", None).await.text;
    let series: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("backstock_") && !line.contains("_bucket"))
        .collect();
    insta::assert_snapshot!("metrics", series.join("\n"));
    server.get("/v1/shops").await;
    let text = prometheus::TextEncoder::new().encode_to_string(&server.registry.gather()).unwrap();
    assert!(text.contains("backstock_restorer_reads_seconds_count{route=\"shops\"} 1"));
}

#[tokio::test]
async fn change_sets_are_listed_told_and_taken_apart() {
    let server = start().await;
    let list = server.get("/v1/shops/acme/change-sets").await.json();
    let told: Vec<&str> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|set| set["headline"].as_str().expect("a headline"))
        .collect();
    let told_once: Vec<&str> = told.clone();
    assert_eq!(
        told,
        [
            "1 product deleted",
            "1 price lowered by 90 %, description of 1 product changed",
            "1 order placed",
            "1 customer added",
            "1 product added",
            "1 product added",
        ]
    );
    // In pages it is the same list.
    let mut paged = Vec::new();
    let mut path = "/v1/shops/acme/change-sets?limit=1".to_owned();
    loop {
        let page = server.get(&path).await.json();
        paged.extend(page["items"].as_array().expect("items").clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/shops/acme/change-sets?limit=1&cursor={next}");
    }
    assert_eq!(json!(paged), list["items"]);
    assert_eq!(told_once.len(), paged.len());
    let fell = &list["items"][1];
    assert_eq!(
        fell["money"],
        json!({
            "lowered": 1, "raised": 0, "zero": 0, "median_ratio": 0.1, "before": "64.00",
            "after": "6.40",
        })
    );
    let one = server
        .get(&format!("/v1/shops/acme/change-sets/{}", fell["id"].as_str().expect("id")))
        .await;
    assert_eq!(one.json()["headline"], fell["headline"]);
    assert_eq!(one.json()["changes"]["items"][0]["id"], MUG);
    server.get("/v1/shops/acme/change-sets/cs-1-1").await.problem(404);
    server.get("/v1/shops/acme/change-sets/nonsense").await.problem(404);
}

#[tokio::test]
async fn what_is_noted_down_is_listed() {
    let server = start().await;
    let noted = server
        .post("/v1/shops/acme/marks", &json!({"label": "about to install", "app": "Bulk Editor"}))
        .await;
    assert_eq!(noted.status, 201, "{}", noted.text);
    assert_eq!(noted.json()["by"], "bst_all");
    assert_eq!(noted.json()["at"], "2026-11-22T12:00:00Z");
    let marks = server.get("/v1/shops/acme/marks").await.json();
    assert_eq!(marks["items"], json!([noted.json()]));
    assert_eq!(server.get("/v1/shops/bolt/marks").await.json()["items"], json!([]));
    for wrong in [json!({}), json!({"label": " "}), json!({"label": "x", "colour": "red"})] {
        server.post("/v1/shops/acme/marks", &wrong).await.problem(400);
    }
}
