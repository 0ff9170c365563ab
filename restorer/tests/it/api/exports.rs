//! A whole shop out as a file, and in again.

use super::*;

const NOON: &str = "2026-11-20T12:00:00Z";

impl Server {
    async fn export(&self, shop: &str) -> Vec<u8> {
        let url = format!("http://{}/v1/shops/{shop}/export?at={NOON}", self.address);
        let request = reqwest::Client::new().get(url).bearer_auth("bst_all");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        response.bytes().await.expect("a whole file").to_vec()
    }

    async fn import(&self, shop: &str, file: Vec<u8>) -> Answer {
        let url = format!("http://{}/v1/shops/{shop}/exports", self.address);
        let request = reqwest::Client::new().post(url).bearer_auth("bst_all").body(file);
        Answer::of(request.send().await.expect("an answer")).await
    }

    async fn rows_of(&self, shop: &str, export: &Value) -> Vec<Value> {
        let request = json!({"export": export["id"]});
        let answer = self.post(&format!("/v1/shops/{shop}/plans"), &request).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()["rows"].as_array().expect("rows").clone()
    }
}

fn shown(rows: &[Value]) -> Vec<String> {
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let shown =
        |row: &Value| format!("{} {} {}", text(row, "action"), text(row, "kind"), text(row, "id"));
    rows.iter().map(shown).collect()
}

#[tokio::test]
async fn what_went_out_comes_back_in() {
    let server = start().await;
    let file = server.export("acme").await;
    let answer = server.import("acme", file).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let import = answer.json();
    assert_eq!(import["manifest"]["resources"], 4);
    assert_eq!(import["manifest"]["shop"], "acme.myshopify.com");
    let rows = server.rows_of("acme", &import).await;
    assert_eq!(shown(&rows), ["create product 501".into(), format!("update product {MUG}")]);
    // History is not needed to make it: the file has all of it.
    assert_eq!(rows[0]["fields"][0]["path"], "");
    assert_eq!(rows[0]["fields"][0]["new"]["handle"], "canvas-tote");
    let listed = server.get("/v1/shops/acme/exports").await.json();
    assert_eq!(listed["items"][0], import);
    let audit = server.get("/v1/shops/acme/audit").await.json();
    let entries = audit["items"].as_array().expect("entries").iter();
    let done: Vec<_> = entries.filter_map(|entry| entry["deed"]["what"].as_str()).collect();
    assert!(done.contains(&"export"), "nobody is told that the whole shop left: {done:?}");
}

#[tokio::test]
async fn another_shop_gets_what_it_does_not_have() {
    let server = start().await;
    let file = server.export("acme").await;
    let import = server.import("corner", file).await.json();
    let rows = server.rows_of("corner", &import).await;
    let product = format!("create product {MUG}");
    assert_eq!(
        shown(&rows),
        [
            "create product 501".to_owned(),
            product,
            "create customer 301".into(),
            "cannot order 401".into()
        ]
    );
    let path = "/v1/shops/acme/plans";
    let elsewhere = server.post(path, &json!({"export": import["id"]})).await;
    assert!(elsewhere.problem(404).contains("import"), "an export is one shop's");
}

#[tokio::test]
async fn bytes_that_are_kept_stay_when_somebody_sends_them_as_an_export() {
    let server = start().await;
    let picture = b"\x89PNG\r\n\x1a\nand so on";
    let bytes = futures::stream::iter([Ok(picture.as_slice().into())]);
    let hash = server.blobs.put(&shop("acme"), bytes, 1_000).await.expect("kept").0;
    server.import("acme", picture.to_vec()).await.problem(400);
    assert_eq!(server.get(&format!("/v1/shops/acme/blobs/{hash}")).await.status, 200);
    server.import("acme", b"no export".to_vec()).await.problem(400);
    let other = backstock_proto::blob::BlobHash::of(b"no export");
    server.get(&format!("/v1/shops/acme/blobs/{other}")).await.problem(404);
}

#[tokio::test]
async fn a_file_that_was_cut_or_changed_is_not_taken() {
    let server = start().await;
    let file = server.export("acme").await;
    let mut changed = file.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0xff;
    for broken in [file[..file.len() - 20].to_vec(), changed, b"no export".to_vec(), Vec::new()] {
        let answer = server.import("acme", broken).await;
        assert!(answer.problem(400).contains("export"));
    }
    assert_eq!(server.get("/v1/shops/acme/exports").await.json()["items"], json!([]));
}

#[tokio::test]
async fn what_is_no_export_takes_nothing_along_that_was_kept_before() {
    let server = start().await;
    let file = server.export("acme").await;
    assert_eq!(server.import("acme", file).await.status, 201);
    let picture = b"\x89PNG\r\n\x1a\nand so on";
    let bytes = futures::stream::iter([Ok(picture.as_slice().into())]);
    let (hash, _) = server.blobs.put(&shop("acme"), bytes, 1_000).await.expect("kept");
    server.import("acme", picture.to_vec()).await.problem(400);
    let kept = server.get(&format!("/v1/shops/acme/blobs/{hash}")).await;
    assert_eq!(kept.status, 200, "the bytes of the picture are gone");
}
