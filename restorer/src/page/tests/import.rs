//! A file that the page brings in.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::{self, Stream, StreamExt as _};

use super::*;

const IMPORT: &str = "/shops/acme/import";

impl World {
    /// The shop in a file, as the page has it downloaded.
    async fn exported(&self, cookie: &str) -> Bytes {
        self.send("/shops/acme/export", cookie, "at=2026-11-20T12:00").await.bytes
    }

    /// Sends a form with a file, its fields in this order, as a browser does.
    async fn bring(&self, cookie: &str, fields: &[(&str, &[u8])]) -> Answer {
        let mut body = Vec::new();
        for (name, bytes) in fields {
            let file = if *name == "file" { "; filename=\"acme.tar.zst\"" } else { "" };
            let head = format!("Content-Disposition: form-data; name=\"{name}\"{file}");
            body.extend_from_slice(format!("--line\r\n{head}\r\n\r\n").as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--line--\r\n");
        self.bring_as(cookie, Body::from(body)).await
    }

    /// Sends a form piece by piece.
    async fn bring_slowly(
        &self,
        cookie: &str,
        pieces: impl Stream<Item = Vec<u8>> + Send + 'static,
    ) -> Answer {
        let pieces = pieces.map(Ok::<_, Infallible>);
        self.bring_as(cookie, Body::from_stream(pieces)).await
    }

    async fn bring_as(&self, cookie: &str, body: Body) -> Answer {
        let request = Request::builder()
            .method("POST")
            .uri(IMPORT)
            .header("sec-fetch-site", "same-origin")
            .header("cookie", cookie)
            .header("content-type", "multipart/form-data; boundary=line")
            .body(body);
        self.answer(request.expect("a request")).await
    }

    async fn assert_nothing_is_kept(&self, cookie: &str) {
        let exports = self.get("/v1/shops/acme/exports", cookie).await;
        let exports: Value = serde_json::from_slice(&exports.bytes).expect("json");
        assert_eq!(exports["items"], json!([]));
    }
}

#[tokio::test]
async fn a_file_is_brought_in_and_leads_to_the_plan_of_what_it_holds() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    world.get("/shops/acme/restore", &bo).await.assert_says(&[
        "action=\"/shops/acme/import\" enctype=\"multipart/form-data\"",
        "data-busy=\"Bringing it in…\"",
    ]);
    let (file, seal) = (world.exported(&bo).await, world.seal(&bo).await);
    let made = world.bring(&bo, &[("form", seal.as_bytes()), ("file", &file[..])]).await;
    assert_eq!(made.status, 303, "{}", made.text());
    let plan = world.get(made.said("location"), &bo).await;
    plan.assert_says(&["Put back what an export holds", "Canvas Tote", "Apply 2 changes"]);
    let listed = world.get("/shops/acme/restore", &bo).await;
    listed.assert_says(&["Brought in", "4 things", "name=\"export\""]);
    let ada = world.signed_in("Ada").await;
    let on_record = world.audit(&ada).await;
    let ended = |entry: &Value| {
        let deed = &entry["deed"];
        deed["what"] == "import" && deed["who"] == "Bo" && deed["status"] == 201
    };
    assert!(on_record.iter().any(ended), "{on_record:?}");
}

#[tokio::test]
async fn of_a_wrong_file_or_form_nothing_is_taken_and_the_page_says_why() {
    let world = world(Config::default());
    let (bo, cy) = (world.signed_in("Bo").await, world.signed_in("Cy").await);
    let (file, seal) = (world.exported(&bo).await, world.seal(&bo).await);
    let (form, whole) = (("form", seal.as_bytes()), ("file", &file[..]));
    let others = world.seal(&cy).await;
    let long = "7".repeat(300);
    for (fields, status, why) in [
        (vec![form, ("file", &b"a picture"[..])], 400, "This file is not taken"),
        (vec![form, ("file", &file[..file.len() - 20])], 400, "This file is not taken"),
        (vec![form, ("file", &b""[..])], 400, "This file is not taken"),
        (vec![form], 400, "No file came with the form"),
        (vec![("form", long.as_bytes()), whole], 400, "No file came with the form"),
        (vec![whole], 403, "does not belong to your session"),
        (vec![whole, form], 403, "does not belong to your session"),
        (vec![("form", others.as_bytes()), whole], 403, "does not belong to your session"),
    ] {
        let refused = world.bring(&bo, &fields).await;
        assert_eq!(refused.status, status, "{}", refused.text());
        refused.assert_says(&[why]);
    }
    let cys = world.bring(&cy, &[("form", others.as_bytes()), whole]).await;
    assert_eq!(cys.status, 403, "who may only look brings nothing in");
    world.assert_nothing_is_kept(&bo).await;
}

#[tokio::test]
async fn of_a_form_that_does_not_come_to_its_file_no_more_is_read_than_a_form_has() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    let seal = world.seal(&bo).await;
    let field =
        format!("--line\r\nContent-Disposition: form-data; name=\"form\"\r\n\r\n{seal}\r\n");
    let fields = field.repeat((1 << 20) / field.len());
    let header = format!("--line\r\nX-Long: {}", "x".repeat(1 << 20));
    for endless in ["x".repeat(1 << 20), fields, header] {
        let read = Arc::new(AtomicUsize::new(0));
        let (all, count) = (64, read.clone());
        let pieces = stream::iter(0..all).map(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            endless.clone().into_bytes()
        });
        let refused = world.bring_slowly(&bo, pieces).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        refused.assert_says(&["No file came with the form: too much comes before it"]);
        assert!(read.load(Ordering::Relaxed) < 16, "{read:?} of {all} MiB were read");
    }
    world.assert_nothing_is_kept(&bo).await;
}

#[tokio::test]
async fn a_form_whose_file_does_not_begin_to_arrive_is_waited_for_a_while_only() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    let seal = world.seal(&bo).await;
    let head = format!(
        "--line\r\nContent-Disposition: form-data; name=\"form\"\r\n\r\n{seal}\r\n--line\r\n"
    );
    let pieces = stream::iter([head.into_bytes()]).chain(stream::pending());
    let refused = world.bring_slowly(&bo, pieces).await;
    assert_eq!(refused.status, 408, "{}", refused.text());
    refused.assert_says(&["No file had begun to arrive within 10s; send it again"]);
    world.assert_nothing_is_kept(&bo).await;
}
