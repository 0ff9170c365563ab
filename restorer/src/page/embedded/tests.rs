//! From Shopify's address to the last request of a session, through the whole router.

use std::sync::Arc;

use axum::body::Body;
use backstock_proto::blob::Blobs;
use backstock_proto::listen::Readiness;
use backstock_proto::time::Clock;
use http::Request;
use prometheus::Registry;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};
use tower::ServiceExt as _;

use super::*;
use crate::fake::{Fake, NoPulls};
use crate::page::id_token::tests::{NOW, acme, app, token};
use crate::token::Tokens;
use crate::{Config, Restorer};
use backstock_proto::lease::LocalLeases;

/// A clock that a test moves on.
#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> backstock_proto::Timestamp {
        let seconds = NOW + self.0.load(Ordering::Relaxed);
        backstock_proto::Timestamp::from_micros(seconds * 1_000_000)
    }
}

struct World {
    router: axum::Router,
    clock: Arc<Hands>,
    tokens: Tokens,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

fn world(scopes: &[Scope]) -> World {
    let journal = Arc::new(Fake::believable());
    let clock = Arc::new(Hands::default());
    let tokens = Tokens::new(vec![app().token(&acme(), scopes)]);
    let router = crate::router(Restorer {
        config: Config { embedded: [(acme(), app())].into(), ..Config::default() },
        journal: journal.clone(),
        pulls: Arc::new(NoPulls),
        records: journal,
        blobs: Blobs::in_memory(),
        leases: Arc::new(LocalLeases::default()),
        admins: Vec::new(),
        tokens: tokens.clone(),
        registry: Registry::new(),
        readiness: Readiness::new(),
        clock: clock.clone(),
    });
    World { router: router.expect("a router"), clock, tokens }
}

/// What a browser says of itself when Shopify's admin opens us in a frame.
const ADMIN: [(&str, &str); 4] = [
    ("x-forwarded-proto", "https"),
    ("sec-fetch-site", "cross-site"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "iframe"),
];
/// And when somebody goes on from there.
const FRAME: [(&str, &str); 4] = [
    ("x-forwarded-proto", "https"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-dest", "iframe"),
];

impl World {
    async fn ask(
        &self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        cookie: &str,
        form: String,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("cookie", cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(form)).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        let body = String::from_utf8_lossy(&body).into_owned();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)], cookie: &str) -> Answer {
        self.ask(("GET", path), headers, cookie, String::new()).await
    }

    async fn open(&self, id_token: &str, headers: &[(&str, &str)]) -> Answer {
        let path = address(id_token);
        self.get(&path, headers, "").await
    }

    /// The cookie of a session that the admin opened.
    async fn signed_in(&self) -> String {
        let answer = self.open(&token(&json!({})), &ADMIN).await;
        assert_eq!(
            (answer.status, answer.said("location")),
            (303, "/shops/acme"),
            "{}",
            answer.body
        );
        answer.said("set-cookie").split(';').next().expect("a cookie").to_owned()
    }
}

impl Answer {
    fn said(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Who may frame it.
    fn ancestors(&self) -> &str {
        let policy = self.said("content-security-policy");
        policy.split_once("frame-ancestors ").expect("it is always said").1
    }

    fn assert_unframed(&self) {
        assert_eq!((self.ancestors(), self.said("x-frame-options")), ("'none'", "DENY"));
    }
}

fn address(id_token: &str) -> String {
    let rest = "embedded=1&hmac=0&host=YWRtaW4&locale=en&timestamp=1";
    format!("/?{rest}&shop=acme.myshopify.com&id_token={id_token}")
}

#[tokio::test]
async fn the_admin_opens_a_session_that_sees_its_shop_and_is_framed_by_it() {
    let world = world(&[Scope::Read]);
    let cookie = world.signed_in().await;
    let page = world.get("/shops/acme", &FRAME, &cookie).await;
    assert!(page.status == 200 && page.body.contains("Overview"), "{}", page.status);
    assert_eq!(page.ancestors(), "https://acme.myshopify.com https://admin.shopify.com");
    assert_eq!(page.said("x-frame-options"), "", "the older header knows no two");
    assert!(!page.body.contains("Sign out"));
    assert_eq!(page.said("set-cookie"), "", "it is not extended");
    // As the redirection is followed: the browser still calls it the admin's.
    assert_eq!(world.get("/shops/acme", &ADMIN, &cookie).await.status, 200);
    let other = world.get("/shops/bolt", &FRAME, &cookie).await;
    assert!(other.status == 404 && !other.body.contains("Bolt"));
    assert_eq!(world.get("/", &FRAME, &cookie).await.said("location"), "/shops/acme");
    let data = world.get("/v1/shops/acme/status", &FRAME, &cookie).await;
    assert_eq!(data.status, 200);
    data.assert_unframed();
    // Everybody else's pages are framed by nobody, as ever.
    world.get("/signin", &FRAME, "").await.assert_unframed();
    world.get("/shops/acme", &FRAME, "").await.assert_unframed();
}

#[tokio::test]
async fn a_link_on_a_products_page_leads_to_its_history() {
    let world = world(&[Scope::Read]);
    let right = token(&json!({}));
    let link =
        |kind: &str, id: &str| address(&right).replacen("/?", &format!("/open/{kind}?id={id}&"), 1);
    let there = world.get(&link("product", "9007199254740993"), &ADMIN, "").await;
    let mug = "/shops/acme/resources/product/9007199254740993";
    assert_eq!((there.status, there.said("location")), (303, mug), "{}", there.body);
    let cookie = there.said("set-cookie").split(';').next().expect("a cookie");
    assert_eq!(world.get(mug, &FRAME, cookie).await.status, 200);
    let nothing = world.get(&link("product", ""), &ADMIN, "").await;
    assert_eq!(nothing.said("location"), "/shops/acme");
    let no_word = world.get("/open/product?id=9007199254740993", &ADMIN, "").await;
    assert_eq!((no_word.status, no_word.said("set-cookie")), (403, ""));
    assert_eq!(world.get(&link("no%20kind", "1"), &ADMIN, "").await.said("set-cookie"), "");
}

#[tokio::test]
async fn what_is_not_shopifys_word_for_this_shop_opens_nothing() {
    let world = world(&[Scope::Read]);
    let bolt = json!({
        "dest": "https://bolt.myshopify.com", "iss": "https://bolt.myshopify.com/admin"
    });
    let right = token(&json!({}));
    for id_token in [
        token(&bolt),
        token(&json!({"aud": "another"})),
        token(&json!({"exp": NOW - 60})),
        format!("{right}a"),
        String::new(),
    ] {
        let answer = world.open(&id_token, &ADMIN).await;
        assert_eq!((answer.status, answer.said("set-cookie")), (403, ""), "{id_token}");
        assert!(id_token.is_empty() || !answer.body.contains(&id_token));
        answer.assert_unframed();
    }
    for shop in ["bolt.myshopify.com", "acme.myshopify.com.evil.example", "", "ACME"] {
        let path = address(&right).replace("acme.myshopify.com", shop);
        assert_eq!(world.get(&path, &ADMIN, "").await.status, 403, "{shop}");
    }
    // Who was sent the address, who comes without HTTPS, a browser that does not say.
    for left_out in ["x-forwarded-proto", "sec-fetch-dest", "sec-fetch-mode"] {
        let headers: Vec<_> = ADMIN.into_iter().filter(|(name, _)| *name != left_out).collect();
        let answer = world.open(&right, &headers).await;
        assert_eq!((answer.status, answer.said("set-cookie")), (403, ""), "{left_out}");
    }
    let top = ADMIN.map(|(name, value)| (name, if value == "iframe" { "document" } else { value }));
    assert_eq!(world.open(&right, &top).await.status, 403);
}

#[tokio::test]
async fn what_writes_takes_the_scope_our_own_page_and_its_form() {
    let world = self::world(&[Scope::Read, Scope::Restore]);
    let cookie = world.signed_in().await;
    let guard = world.get("/shops/acme/guard", &FRAME, &cookie).await.body;
    let seal = guard.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!("form={}&label=before+an+app", seal.expect("a form"));
    let mark = async |headers: &[(&str, &str)], form: &str| {
        let to = ("POST", "/shops/acme/guard/marks");
        world.ask(to, headers, &cookie, form.to_owned()).await
    };
    assert_eq!(mark(&ADMIN, &form).await.status, 401, "from another site's page");
    let sibling =
        FRAME.map(|(name, value)| (name, if value == "same-origin" { "same-site" } else { value }));
    assert_eq!(mark(&sibling, &form).await.status, 401);
    assert_eq!(mark(&FRAME, "form=00&label=x").await.status, 403, "without the form's seal");
    let marked = mark(&FRAME, &form).await;
    assert_eq!(marked.status, 303, "{}", marked.body);
    let api = world.ask(("POST", "/v1/shops/acme/marks"), &FRAME, &cookie, "{}".into()).await;
    assert_eq!(api.status, 401, "the API knows tokens only");
    // A fetch of another app's frame beside ours brings the cookie, and is told nothing.
    let beside = [FRAME[0], ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
    assert_eq!(world.get("/v1/shops/acme/status", &beside, &cookie).await.status, 401);

    let reader = self::world(&[Scope::Read]);
    let cookie = reader.signed_in().await;
    let page = reader.get("/shops/acme/guard", &FRAME, &cookie).await.body;
    assert!(!page.contains("Mark this moment"));
    let refused = reader.ask(("POST", "/shops/acme/guard/marks"), &FRAME, &cookie, form).await;
    assert!(refused.status == 403 && refused.body.contains("lacks the scope"), "{}", refused.body);
}

#[tokio::test]
async fn who_it_was_is_on_record() {
    let world = self::world(&[Scope::Read, Scope::Restore, Scope::Admin]);
    let cookie = world.signed_in().await;
    let guard = world.get("/shops/acme/guard", &FRAME, &cookie).await.body;
    let seal = guard.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!("form={}&label=before+an+app", seal.expect("a form"));
    world.ask(("POST", "/shops/acme/guard/marks"), &FRAME, &cookie, form).await;
    let audit = world.get("/v1/shops/acme/audit", &FRAME, &cookie).await.body;
    let audit: Value = serde_json::from_str(&audit).expect("json");
    assert_eq!(audit["items"][0]["deed"]["who"], "Shopify admin, user 42", "{audit}");
}

#[tokio::test]
async fn what_is_held_of_somebody_is_read_out_no_further_than_the_token_lasts() {
    let world = self::world(&[Scope::Read, Scope::Restore, Scope::Admin]);
    let cookie = world.signed_in().await;
    let guard = world.get("/shops/acme/guard", &FRAME, &cookie).await.body;
    let seal = guard.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!("form={}&customer=301", seal.expect("a form"));
    let mut request = Request::builder().method("POST").uri("/shops/acme/privacy/held");
    for (name, value) in FRAME {
        request = request.header(name, value);
    }
    let request = request.header("cookie", &cookie).body(Body::from(form)).expect("a request");
    let response = world.router.clone().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    world.tokens.replace(Vec::new());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    let text = String::from_utf8_lossy(&body);
    assert!(text.contains("the token was revoked") && !text.contains("\"version\""), "{text}");
}

#[tokio::test]
async fn a_session_of_the_admin_ends_soon_and_says_how_to_go_on() {
    let world = world(&[Scope::Read]);
    let cookie = world.signed_in().await;
    world.clock.0.store(14 * 60, Ordering::Relaxed);
    assert_eq!(world.get("/shops/acme", &FRAME, &cookie).await.status, 200);
    world.clock.0.store(15 * 60, Ordering::Relaxed);
    for path in ["/shops/acme", "/"] {
        let over = world.get(path, &FRAME, &cookie).await;
        assert_eq!(over.status, 401, "{path}");
        assert!(over.body.contains("https://admin.shopify.com/store/acme/apps/the-id"), "{path}");
        assert!(!over.body.contains("Overview"));
        assert_eq!(over.ancestors(), "https://acme.myshopify.com https://admin.shopify.com");
    }
    assert_eq!(world.get("/v1/shops/acme/status", &FRAME, &cookie).await.status, 401);
    world.clock.0.store(0, Ordering::Relaxed);
    world.tokens.replace(Vec::new());
    assert_eq!(
        world.get("/shops/acme", &FRAME, &cookie).await.status,
        401,
        "taken out of the file"
    );
}
