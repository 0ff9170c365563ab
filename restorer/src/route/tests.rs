//! Walks the table: what is in it is described, and nobody gets past it.

use std::collections::BTreeSet;

use axum::body::Body;
use backstock_proto::Shop;
use backstock_proto::admin::{self, Client, Credentials};
use backstock_proto::blob::{BlobHash, Blobs};
use backstock_proto::listen::Readiness;
use backstock_proto::publish::Records as _;
use http::{Method, Request};
use prometheus::Registry;
use tower::ServiceExt as _;

use super::*;
use crate::fake::{self, Fake, NoPulls, Noon};
use crate::proof::{Mismatch, PROOF, Proof, ProofState};
use crate::token::Digest;
use crate::{Config, Restorer, Token, Tokens};
use backstock_proto::lease::LocalLeases;

const SECRET: &str = "Bolt's secret";

/// `bolt` is another tenant with a product 601, `nowhere` is nobody's.
const ACME: &str = "acme.myshopify.com";

fn token(text: &str, scopes: &[Scope], shops: &str) -> Token {
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.as_str().into()).collect();
    Token::parse(text, &Digest::of(text).to_string(), &scopes, &[shops.into()]).expect("a token")
}

/// A way to a shop that answers nobody.
fn admin(name: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let access = admin::Access {
        shop: Shop::from_name(name).expect("a shop"),
        url: "http://127.0.0.1:9".parse().expect("a URL"),
        api_version: "2026-10".into(),
        credentials: Credentials::Token("shpat".to_owned().into()),
    };
    Client::new(reqwest::Client::new(), access)
}

/// The bolt's secret among the bytes of its media.
async fn blobs() -> Blobs {
    let blobs = Blobs::in_memory();
    let bytes = futures::stream::iter([Ok(SECRET.into())]);
    blobs.put(&Shop::from_name("bolt").expect("a shop"), bytes, 100).await.expect("kept");
    blobs
}

/// Plans, jobs and proofs of the bolt's, under every form of an id.
async fn plans(journal: &Fake) {
    let bolt = Shop::from_name("bolt").expect("a shop");
    for id in ["601", "gid://shopify/Product/601"] {
        let plan = serde_json::json!({
            "id": id, "digest": "", "request": {}, "made_at": fake::NOW, "by": SECRET,
            "counts": {}, "consequences": [], "cost": 0.0, "eta_seconds": 0.0
        });
        journal.put(&bolt, crate::plan::PLAN, id, &plan).await.expect("on record");
        let job = serde_json::json!({
            "id": id, "plan": id, "state": "done", "by": SECRET, "started_at": fake::NOW,
            "finished_at": fake::NOW, "counts": {}, "eta_seconds": null, "cost": 0.0
        });
        journal.put(&bolt, crate::job::JOB, id, &job).await.expect("on record");
        let proof = Proof::ordered(id.into(), SECRET, fake::instant(fake::NOW));
        let proof = serde_json::to_value(Proof { state: ProofState::Proved, ..proof });
        journal.put(&bolt, PROOF, id, &proof.expect("json")).await.expect("on record");
    }
}

async fn api() -> Router {
    let journal = Arc::new(Fake::believable());
    plans(&journal).await;
    let api = api_of(journal.clone()).await;
    incidents(&api, &journal).await;
    api
}

/// What the guard saw in the bolt, under every form of an id.
async fn incidents(api: &Router, journal: &Fake) {
    let route = ROUTES.iter().find(|route| route.name == "change_sets").expect("in the table");
    let (_, listed) = ask(api, route, "/v1/shops/bolt/change-sets", Some("all")).await;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("json");
    let bolt = Shop::from_name("bolt").expect("a shop");
    for id in ["601", "gid://shopify/Product/601"] {
        let incident = serde_json::json!({
            "id": id, "at": fake::NOW, "updated_at": fake::NOW, "state": "planned",
            "action": "plan", "text": SECRET, "change_set": listed["items"][0], "trips": [],
            "why": [], "by": SECRET
        });
        journal.put(&bolt, crate::guard::INCIDENT, id, &incident).await.expect("on record");
    }
}

async fn api_of(journal: Arc<Fake>) -> Router {
    let mut tokens = vec![token("acme", &Scope::ALL, ACME), token("all", &Scope::ALL, "*")];
    for lacking in Scope::ALL {
        let others: Vec<Scope> = Scope::ALL.into_iter().filter(|s| *s != lacking).collect();
        tokens.push(token(&format!("all but {}", lacking.as_str()), &others, "*"));
        tokens.push(token(&format!("acme but {}", lacking.as_str()), &others, ACME));
    }
    crate::router(Restorer {
        config: Config::default(),
        journal: journal.clone(),
        pulls: Arc::new(NoPulls),
        records: journal,
        blobs: blobs().await,
        leases: Arc::new(LocalLeases::default()),
        admins: ["acme", "bolt"].map(admin).into(),
        tokens: Tokens::new(tokens),
        registry: Registry::new(),
        readiness: Readiness::new(),
        clock: Arc::new(Noon),
    })
    .expect("a router")
}

/// Status and body.
async fn ask(api: &Router, route: &Route, path: &str, token: Option<&str>) -> (u16, String) {
    let method = match route.verb {
        Verb::Get => Method::GET,
        Verb::Post => Method::POST,
    };
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(body(route)).expect("a request");
    let response = api.clone().oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// What a route needs to be told to do something.
fn body(route: &Route) -> Body {
    match route.name {
        "rollback" => Body::from(r#"{"from": "2026-11-20T10:30:00Z", "dry_run": true}"#),
        "mark" => Body::from(r#"{"label": "about to try something"}"#),
        "erase" | "data_request" => Body::from(r#"{"customer": "601"}"#),
        // Another digest than the plan's: nothing is to be begun.
        "apply" => Body::from(r#"{"digest": "another"}"#),
        "import" => Body::from(export()),
        "make_plan" => Body::from(r#"{"at": "2026-11-20T12:00:00Z"}"#),
        _ => Body::empty(),
    }
}

/// An export of nothing.
fn export() -> Vec<u8> {
    let manifest = serde_json::json!({
        "format": 1, "shop": "bolt.myshopify.com", "at": fake::NOW, "resources": 0, "kinds": {},
        "parts": [], "media": 0, "media_missing": 0
    });
    let manifest = manifest.to_string();
    let mut header = tar::Header::new_gnu();
    header.set_size(manifest.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, "manifest.json", manifest.as_bytes()).expect("written");
    let plain = archive.into_inner().expect("written");
    let mut packed = vec![0; zstd_safe::compress_bound(plain.len())];
    let length = zstd_safe::compress(&mut packed[..], &plain, 1).expect("compressed");
    packed.truncate(length);
    packed
}

/// The change-set of `bolt`'s only change.
fn change_set() -> String {
    let valid_at = fake::instant("2026-11-20T11:00:00Z");
    crate::change_set::ChangeSetId { valid_at, seq: 107 }.to_string()
}

/// A route's path with every parameter filled in, each id in each of its forms.
fn paths(route: &Route, shop: &str, number: &str) -> Vec<String> {
    let gid = format!("gid%3A%2F%2Fshopify%2FProduct%2F{number}");
    [number, &gid]
        .iter()
        .map(|id| {
            let path = route.path.replace("{shop}", shop).replace("{kind}", "product");
            let path = path.replace("{id}", id).replace("{seq}", "107");
            let path = path.replace("{hash}", &BlobHash::of(SECRET.as_bytes()).to_string());
            let path = path.replace("{set}", &change_set());
            if route.name == "diff" { path + "?from=2026-11-20T12:00:00Z" } else { path }
        })
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

#[tokio::test]
async fn one_shops_token_never_sees_another_shop() {
    let api = api().await;
    let mut asked = 0;
    for route in ROUTES {
        if !matches!(route.access, Access::Shop(_)) {
            continue;
        }
        for shop in ["bolt", "bolt.myshopify.com", "BOLT", "Bolt.MyShopify.com", "b%6Flt"] {
            for path in paths(route, shop, "601") {
                let (status, body) = ask(&api, route, &path, Some("acme")).await;
                assert_eq!(status, 404, "{path}");
                assert!(!body.contains(SECRET), "{path}");
                let nowhere = path.replace(shop, "nowhere");
                let (_, other) = ask(&api, route, &nowhere, Some("acme")).await;
                let named = body.replace(&shop.replace("%6F", "o"), "nowhere");
                assert_eq!(named, other, "tells a shop that is there from one that is not");
                let (status, _) = ask(&api, route, &path, Some("all")).await;
                // The tests' installation is not reached from outside, the plan is another than was
                // looked at, and the job is over.
                let refused = status == 409
                    && (["/subscriptions", "/apply"].iter().any(|end| route.path.ends_with(end))
                        || route.path.contains("/jobs/{id}/"));
                assert!(
                    refused || [200, 201, 202].contains(&status),
                    "the test asks for something that is there: {path}"
                );
                asked += 1;
            }
        }
        // The other shop's resource, asked for in one's own, is not there either.
        for path in paths(route, "acme", "601") {
            let (_, body) = ask(&api, route, &path, Some("acme")).await;
            assert!(!body.contains(SECRET), "{path}");
        }
    }
    assert!(asked > 50, "only {asked}");
    let shops = ROUTES.iter().find(|route| route.name == "shops").expect("in the table");
    let (_, listed) = ask(&api, shops, "/v1/shops", Some("acme")).await;
    assert!(listed.contains(ACME) && !listed.contains("bolt"), "{listed}");
}

#[tokio::test]
async fn a_scope_that_is_missing_is_403_and_a_token_that_is_missing_401() {
    let journal = Arc::new(Fake::believable());
    plans(&journal).await;
    incidents(&api_of(journal.clone()).await, &journal).await;
    for route in ROUTES {
        // Wrong tokens are throttled, and there would be many.
        let api = api_of(journal.clone()).await;
        let scope = match route.access {
            Access::Public => {
                assert_eq!(ask(&api, route, route.path, None).await.0, 200, "{}", route.path);
                continue;
            }
            Access::Token(scope) | Access::Shop(scope) | Access::EveryShop(scope) => scope,
        };
        for path in paths(route, "acme", fake::MUG) {
            for (token, status) in [
                (Some(format!("all but {}", scope.as_str())), 403),
                (Some(format!("acme but {}", scope.as_str())), 403),
                (Some("nobody".into()), 401),
                (Some(String::new()), 401),
                (None, 401),
            ] {
                let (found, body) = ask(&api, route, &path, token.as_deref()).await;
                assert_eq!(found, status, "{path} {token:?}");
                assert!(!body.contains("Enamel"), "{path} {token:?}");
            }
        }
    }
}

#[tokio::test]
async fn other_schemes_are_not_tokens() {
    let api = api().await;
    for (header, status) in [
        ("Bearer all", 200),
        ("bearer all", 200),
        ("BEARER  all ", 200),
        ("Basic all", 401),
        ("all", 401),
        ("Bearer", 401),
        ("Bearer all all", 401),
        ("", 401),
    ] {
        let request = Request::builder().uri("/v1/shops").header("authorization", header);
        let request = request.body(Body::empty()).expect("a request");
        let answer = api.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status(), status, "{header:?}");
    }
}

#[test]
fn the_table_and_the_description_hold_the_same_routes() {
    let description = serde_json::to_value(crate::document()).expect("json");
    let mut described = BTreeSet::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("an id");
            described.insert((method.clone(), path.clone(), id.to_owned()));
        }
    }
    let verb = |route: &Route| format!("{:?}", route.verb).to_lowercase();
    let table: BTreeSet<_> = ROUTES
        .iter()
        .filter(|route| route.name != "page")
        .map(|route| (verb(route), route.path.to_owned(), route.name.to_owned()))
        .collect();
    assert_eq!(described, table);
}

#[test]
fn the_edge_of_a_cluster_lets_every_route_in() {
    let edge = include_str!("../../../k8s/overlays/production/edge.yaml");
    for route in ROUTES.iter().chain(page::ROUTES) {
        let first = route.path.split('/').nth(1).unwrap_or_default();
        assert!(edge.contains(&format!("- path: /{first}\n")), "{} is not let in", route.path);
    }
}

#[test]
fn every_parameter_and_status_is_described() {
    let description = serde_json::to_value(crate::document()).expect("json");
    for route in ROUTES.iter().filter(|route| route.name != "page") {
        let verb = format!("{:?}", route.verb).to_lowercase();
        let operation = &description["paths"][route.path][&verb];
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for name in route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
            let there = parameters.iter().any(|p| p["name"] == name && p["in"] == "path");
            assert!(there, "{} does not describe {name}", route.path);
        }
        for parameter in &parameters {
            assert!(parameter["description"].is_string(), "{}: {parameter}", route.path);
        }
        let there = |status: &&str| operation["responses"][*status].is_object();
        let done = ["202", "201", "200"].into_iter().find(there).unwrap_or("200");
        let mut statuses = vec![done, "400"];
        if route.access != Access::Public {
            statuses.extend(["401", "403", "429", "500", "503"]);
            assert!(operation["security"][0]["token"].is_array(), "{}", route.path);
        }
        for status in statuses {
            let response = &operation["responses"][status];
            assert!(response["description"].is_string(), "{} {status}", route.path);
            let media = if status == done { response["content"].as_object() } else { None };
            assert!(status != done || media.is_some(), "{} has no body", route.path);
        }
    }
    let text = description.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().expect("a name");
        assert!(description["components"]["schemas"][name].is_object(), "{name} is not described");
    }
}

/// What a browser is answered: status, where it is sent, its cookie, the page.
async fn browse(
    api: &Router,
    verb: Verb,
    path: &str,
    cookie: Option<&str>,
    form: &'static str,
) -> (u16, String, String, String) {
    let method = match verb {
        Verb::Get => Method::GET,
        Verb::Post => Method::POST,
    };
    let mut request =
        Request::builder().method(method).uri(path).header("sec-fetch-site", "same-origin");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let request = request.body(Body::from(form)).expect("a request");
    let response = api.clone().oneshot(request).await.expect("an answer");
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
    };
    let (status, to, cookie) =
        (response.status().as_u16(), header("location"), header("set-cookie"));
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, to, cookie, String::from_utf8(body.to_vec()).expect("text"))
}

async fn session(api: &Router, form: &'static str) -> String {
    let (status, to, cookie, _) = browse(api, Verb::Post, "/signin", None, form).await;
    assert_eq!((status, to.as_str()), (303, "/"));
    cookie.split(';').next().expect("a cookie").to_owned()
}

fn page_path(route: &Route, shop: &str) -> String {
    let path = route.path.replace("{shop}", shop).replace("{kind}", "product");
    path.replace("{id}", "601").replace("{set}", "single").replace("{what}", "cancel")
}

#[tokio::test]
async fn a_session_opens_the_pages_of_its_tokens_shops_only() {
    let api = api().await;
    let acme = session(&api, "token=acme").await;
    let pages = || page::ROUTES.iter().filter(|route| matches!(route.access, Access::Shop(_)));
    assert!(pages().count() > 10);
    for route in pages() {
        let path = page_path(route, "bolt");
        let (status, _, _, body) = browse(&api, route.verb, &path, Some(&acme), "").await;
        assert_eq!(status, 404, "{path}");
        assert!(!body.contains(SECRET), "{path}");
        let (status, to, _, _) = browse(&api, route.verb, &path, None, "").await;
        match route.verb {
            Verb::Get => assert!(status == 303 && to.starts_with("/signin?to="), "{path}"),
            Verb::Post => assert_eq!(status, 401, "{path}"),
        }
        let api_path = format!("/v1{}", path.replace("bolt", "bolt.myshopify.com"));
        let (_, _, _, body) = browse(&api, Verb::Get, &api_path, Some(&acme), "").await;
        assert!(!body.contains(SECRET), "{api_path}");
    }
    let (status, _, _, body) = browse(&api, Verb::Get, "/shops/acme", Some(&acme), "").await;
    assert!(status == 200 && body.contains("Overview"));
}

#[tokio::test]
async fn who_may_not_read_is_not_told_which_shops_there_are() {
    let api = api().await;
    let reader = session(&api, "token=all").await;
    let (status, _, _, body) = browse(&api, Verb::Get, "/", Some(&reader), "").await;
    assert!(status == 200 && body.contains("bolt"), "{body}");
    let other = session(&api, "token=all+but+read").await;
    let (status, _, _, body) = browse(&api, Verb::Get, "/", Some(&other), "").await;
    assert!(status == 403 && body.contains("lacks the scope"), "{body}");
    assert!(!body.contains("bolt") && !body.contains("acme"), "{body}");
}

#[tokio::test]
async fn the_overview_says_whether_all_of_it_was_proved_restorable() {
    let journal = Arc::new(Fake::believable());
    let api = api_of(journal.clone()).await;
    let acme = session(&api, "token=acme").await;
    let shop = Shop::from_name("acme").expect("a shop");
    let shown = async |proof: Option<Proof>| {
        if let Some(proof) = proof {
            let proof = serde_json::to_value(proof).expect("json");
            journal.put(&shop, PROOF, "proof-1", &proof).await.expect("on record");
        }
        browse(&api, Verb::Get, "/shops/acme", Some(&acme), "").await.3
    };
    let (none, against) = (shown(None).await, "could not be proved restorable");
    assert!(none.contains("Proved restorable") && none.contains("not yet"));
    let at = fake::instant("2026-11-22T05:12:00Z");
    let proof = Proof::ordered("proof-1".into(), "nightly", at);
    let (state, finished_at) = (ProofState::Proved, Some(at));
    let proof = Proof { state, finished_at, compared: 10_214, proved: 10_214, ..proof };
    let proved = shown(Some(proof.clone())).await;
    assert!(proved.contains("10,214 of 10,214") && !proved.contains(against), "{proved}");
    let mug = Mismatch {
        kind: backstock_proto::Kind::parse("product").expect("a kind"),
        id: backstock_proto::ResourceId::parse(fake::MUG).expect("an id"),
        why: "core is not what the shop had".into(),
    };
    let (state, mismatched) = (ProofState::Refuted, vec![mug]);
    let proof = Proof { state, proved: 10_213, mismatches: 1, mismatched, ..proof };
    let refuted = shown(Some(proof)).await;
    assert!(refuted.contains("10,213 of 10,214") && refuted.contains(against), "{refuted}");
    assert!(refuted.contains("core is not what the shop had"), "{refuted}");
}

#[tokio::test]
async fn what_a_page_writes_takes_the_scope_and_a_form_of_its_own() {
    let api = api().await;
    let acme = session(&api, "token=acme").await;
    let reader = session(&api, "token=acme+but+restore").await;
    let user = session(&api, "token=acme+but+admin").await;
    let writes = || {
        let shops = page::ROUTES.iter().filter(|route| matches!(route.access, Access::Shop(_)));
        shops.filter(|route| route.verb == Verb::Post)
    };
    assert!(writes().count() >= 4);
    for route in writes() {
        let path = page_path(route, "acme");
        for form in ["", "form=0000", "form="] {
            let (status, _, _, body) = browse(&api, Verb::Post, &path, Some(&acme), form).await;
            assert_eq!(status, 403, "{path}");
            assert!(body.contains("does not belong to your session"), "{path}");
        }
        let lacks = match route.access {
            Access::Shop(Scope::Admin) => &user,
            _ => &reader,
        };
        let (status, _, _, body) = browse(&api, Verb::Post, &path, Some(lacks), "").await;
        assert!(status == 403 && body.contains("lacks the scope"), "{path}");
    }
    let (status, ..) = browse(&api, Verb::Post, "/v1/shops/acme/marks", Some(&acme), "{}").await;
    assert_eq!(status, 401, "the API knows tokens only");
    let export = "/v1/shops/acme/export";
    let (status, ..) = browse(&api, Verb::Get, export, Some(&acme), "").await;
    assert_eq!(status, 401, "no link takes a whole shop out");
}
