//! What the page shows and does, through the whole router, as a browser asks.

use std::sync::Arc;

use axum::body::Body;
use backstock_proto::Shop;
use backstock_proto::admin::{Access, Client, Credentials};
use backstock_proto::blob::Blobs;
use backstock_proto::journal::{KindStatus, MediaReport, PullReport, PullState};
use backstock_proto::lease::LocalLeases;
use backstock_proto::listen::Readiness;
use backstock_proto::publish::Records as _;
use backstock_proto::subscribe::{ALL, SUBSCRIPTIONS};
use bytes::Bytes;
use http::{HeaderMap, Request};
use prometheus::Registry;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::fake::{self, Fake, MUG, NoPulls, Noon};
use crate::guard::{Action, INCIDENT, Policy, Threshold};
use crate::token::Digest;
use crate::{Config, Restorer, Scope, Token, Tokens};

mod import;
mod privacy;
mod states;
mod whole;

struct World {
    router: axum::Router,
    journal: Arc<Fake>,
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Answer {
    fn said(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    #[track_caller]
    fn assert_says(&self, texts: &[&str]) {
        let page = self.text();
        for text in texts {
            assert!(page.contains(text), "{text:?} is not in {page}");
        }
    }
}

fn acme() -> Shop {
    fake::shop("acme")
}

fn token(name: &str, scopes: &[Scope], shops: &[&str]) -> Token {
    let scopes: Vec<String> = scopes.iter().map(|scope| scope.as_str().into()).collect();
    let shops: Vec<String> = shops.iter().map(|shop| (*shop).into()).collect();
    Token::parse(name, &Digest::of(name).to_string(), &scopes, &shops).expect("a token")
}

/// A way to the shop that nobody answers.
fn admin() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let access = Access {
        shop: acme(),
        url: "http://127.0.0.1:9".parse().expect("a URL"),
        api_version: "2026-10".into(),
        credentials: Credentials::Token("shpat".to_owned().into()),
    };
    Client::new(reqwest::Client::new(), access)
}

fn world(config: Config) -> World {
    world_of(config, Fake::believable(), vec![admin()])
}

/// Ada may do everything in `acme`, Bo puts things back in two shops, Cy looks.
fn world_of(config: Config, journal: Fake, admins: Vec<Client>) -> World {
    const ACME: &str = "acme.myshopify.com";
    let journal = Arc::new(journal);
    let tokens = vec![
        token("Ada", &Scope::ALL, &[ACME]),
        token("Bo", &[Scope::Read, Scope::Restore], &[ACME, "bolt.myshopify.com"]),
        token("Cy", &[Scope::Read], &["*"]),
        token("Bolt's own", &Scope::ALL, &["bolt.myshopify.com"]),
    ];
    let router = crate::router(Restorer {
        config,
        journal: journal.clone(),
        pulls: Arc::new(NoPulls),
        records: journal.clone(),
        blobs: Blobs::in_memory(),
        leases: Arc::new(LocalLeases::default()),
        admins,
        tokens: Tokens::new(tokens),
        registry: Registry::new(),
        readiness: Readiness::new(),
        clock: Arc::new(Noon),
    });
    World { router: router.expect("a router"), journal }
}

impl World {
    async fn ask(&self, (method, path): (&str, &str), cookie: &str, form: &str) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("sec-fetch-site", "same-origin")
            .header("cookie", cookie)
            .body(Body::from(form.to_owned()));
        self.answer(request.expect("a request")).await
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.ask(("GET", path), cookie, "").await
    }

    /// The cookie of somebody's session.
    async fn signed_in(&self, name: &str) -> String {
        let answer = self.ask(("POST", "/signin"), "", &format!("token={name}")).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.said("set-cookie").split(';').next().expect("a cookie").to_owned()
    }

    /// What a form of the session's carries.
    async fn seal(&self, cookie: &str) -> String {
        let page = self.get("/shops/acme/guard", cookie).await.text();
        let seal =
            page.split("name=\"form\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
        seal.expect("a form").to_owned()
    }

    /// Sends a form as a page of the session would, with its seal.
    async fn send(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let form = format!("form={}&{form}", self.seal(cookie).await);
        self.ask(("POST", path), cookie, &form).await
    }

    async fn audit(&self, cookie: &str) -> Vec<Value> {
        let audit = self.get("/v1/shops/acme/audit", cookie).await;
        let audit: Value = serde_json::from_slice(&audit.bytes).expect("json");
        audit["items"].as_array().expect("entries").clone()
    }
}

/// The overview of a shop that was looked at last night, where something may be otherwise.
async fn overview(
    how: fn(&mut KindStatus),
    admins: Vec<Client>,
    subscriptions: Option<Value>,
) -> Answer {
    let mut fake = Fake::believable();
    fake.look();
    fake.retell(how);
    let world = world_of(Config::default(), fake, admins);
    if let Some(subscriptions) = subscriptions {
        world.journal.put(&acme(), SUBSCRIPTIONS, ALL, &subscriptions).await.expect("on record");
    }
    let cookie = world.signed_in("Cy").await;
    world.get("/shops/acme", &cookie).await
}

#[tokio::test]
async fn a_store_is_called_safe_only_where_nothing_speaks_against_it() {
    let as_it_was: fn(&mut KindStatus) = |_| {};
    let safe = overview(as_it_was, vec![admin()], None).await;
    safe.assert_says(&["Your store is safe", "agrees with the shop"]);
    let without = overview(as_it_was, Vec::new(), None).await;
    without.assert_says(&["Your store needs a look", "nothing can be put back"]);
    let subscriptions = json!({
        "at": fake::NOW, "uri": "https://b.example/webhooks", "wanted": 40, "good": 38,
        "refused": [{"topic": "orders/create", "reason": "not approved."}]
    });
    let unheard = overview(as_it_was, vec![admin()], Some(subscriptions)).await;
    unheard.assert_says(&[
        "Your store needs a look",
        "2 of 40 webhook subscriptions are not as they should be",
        "The shop refuses orders/create: not approved.",
        "<code>backstock subscribe --shop acme</code> mends what can be.",
    ]);
    let never: fn(&mut KindStatus) = |status| {
        if status.kind.as_str() == "order" {
            status.last_complete_pull = None;
        }
    };
    let unread = overview(never, vec![admin()], None).await;
    unread.assert_says(&[
        "Your store needs a look",
        "Orders were never read whole yet",
        "<code>backstock reconcile --shop acme</code> reads them now.",
    ]);
    let running: fn(&mut KindStatus) = |status| {
        if status.kind.as_str() == "order" {
            let pull = status.last_complete_pull.take();
            status.pull = pull.map(|pull| PullReport { state: PullState::Running, ..pull });
        }
    };
    let reading = overview(running, vec![admin()], None).await;
    reading.assert_says(&["Your store is being read", "Orders were never read whole yet"]);
    let uncopied: fn(&mut KindStatus) = |status| {
        if status.kind.as_str() == "product" {
            let media = MediaReport::new(status.kind.clone(), fake::instant(fake::NOW));
            let reasons = vec!["2 are no longer at their address".to_owned()];
            status.media = Some(MediaReport { media: 40, kept: 38, reasons, ..media });
        }
    };
    let uncopied = overview(uncopied, vec![admin()], None).await;
    uncopied.assert_says(&[
        "Your store is kept, with something to know",
        "2 of 40 pictures and files of products are not kept: 2 are no longer at their address.",
    ]);
    let failed: fn(&mut KindStatus) = |status| {
        if status.kind.as_str() == "order" {
            let pull = status.last_complete_pull.take();
            let reason = Some("50 of 60 are no longer in the shop".to_owned());
            let failed = |pull| PullReport { state: PullState::Failed, reason, ..pull };
            status.pull = pull.map(failed);
        }
    };
    let failed = overview(failed, vec![admin()], None).await;
    failed.assert_says(&[
        "Orders could not be read: 50 of 60 are no longer in the shop.",
        "<code>backstock reconcile --shop acme</code> at once.",
        "never: it could not be read",
    ]);
    for answer in [without, unheard, unread, reading, uncopied, failed] {
        assert!(!answer.text().contains("Your store is safe"));
    }
}

#[tokio::test]
async fn the_guards_policy_is_told_in_words() {
    let shown = async |policy: Option<Policy>| {
        let guards = policy.map(|policy| (acme(), policy)).into_iter().collect();
        let world = world(Config { guards, ..Config::default() });
        let cookie = world.signed_in("Cy").await;
        world.get("/shops/acme/guard", &cookie).await
    };
    shown(None).await.assert_says(&["is not in the configuration", ">off<"]);
    let off = Policy { action: Action::Off, ..Policy::default() };
    shown(Some(off)).await.assert_says(&["The guard is off", "[shop.guard]", ">off<"]);
    let usual = shown(Some(Policy::default())).await;
    usual.assert_says(&[
        "Nothing is written before a person says yes.",
        "It says so, and does nothing else. People do much at once on purpose: it takes 3 times",
        "Nobody is sent a message",
        "Prices fall by 60 % or more",
        "10, in a large shop 0.2 % of all",
        "Nothing in it differs from what holds where it says nothing.",
        "domain = &quot;acme.myshopify.com&quot;",
        "action = &quot;plan&quot;",
    ]);
    assert!(!usual.text().contains("by itself"));
    let collapse = Threshold { min: 4_000, share: 0.0, action: Some(Action::Alert) };
    let apply = Policy {
        action: Action::Apply,
        price_drop: 0.5,
        webhook_url: Some("https://hooks.example.com/services/T0/secret-of-the-address".into()),
        webhook_secret: Some("hush".to_owned().into()),
        thresholds: [(crate::change_set::Harm::PricesCollapsed, collapse)].into(),
        ..Policy::default()
    };
    let apply = shown(Some(apply)).await;
    apply.assert_says(&[
        "It says so and undoes it by itself.",
        "at least 75 % sure which app",
        "hooks.example.com, in messages that are signed",
        "Prices fall by 50 % or more",
        "4,000",
        "<code>price_drop</code>",
        "<code>webhook_secret</code>",
    ]);
    assert!(!apply.text().contains("secret-of-the-address") && !apply.text().contains("hush"));
}

/// Incidents, each with what must be shown of it.
async fn incidents(world: &World, cookie: &str) {
    let sets = world.get("/v1/shops/acme/change-sets", cookie).await;
    let sets: Value = serde_json::from_slice(&sets.bytes).expect("json");
    for (state, more) in [
        ("open", json!({})),
        ("told", json!({"told": "not told: nobody answered"})),
        ("planned", json!({"plan": "plan-1"})),
        ("applied", json!({"plan": "plan-2", "job": "job-2", "applied_at": fake::NOW})),
        ("dismissed", json!({"dismissed_by": "Ada"})),
    ] {
        let mut incident = json!({
            "id": format!("incident-{state}"), "at": fake::NOW, "updated_at": fake::NOW,
            "state": state, "action": "plan", "text": "", "change_set": sets["items"][1],
            "trips": [{
                "harm": "prices_collapsed", "count": 12, "limit": 10, "normal": 0,
                "examples": ["Enamel Mug", "Canvas Tote"]
            }],
            "why": ["the policy allows to have the way back ready"], "by": "guard-1",
        });
        let more = more.as_object().expect("members").clone();
        incident.as_object_mut().expect("members").extend(more);
        let id = format!("incident-{state}");
        world.journal.put(&acme(), INCIDENT, &id, &incident).await.expect("on record");
    }
}

#[tokio::test]
async fn an_incident_shows_what_was_seen_and_is_meant_by_a_persons_word() {
    let world = world(Config::default());
    let cookie = world.signed_in("Bo").await;
    incidents(&world, &cookie).await;
    let page = world.get("/shops/acme/guard", &cookie).await;
    page.assert_says(&[
        "12 products' prices collapsed: from 10 on that counts as harm",
        "Such as Enamel Mug, Canvas Tote.",
        "badge bad\">goes on<",
        "badge bad\">look at this<",
        "badge warning\">way back ready<",
        "badge good\">undone<",
        "badge neutral\">was meant<",
        "<strong>Ada</strong> said",
        "Not told: nobody answered.",
        "/shops/acme/plans/plan-1",
        "/shops/acme/jobs/job-2",
    ]);
    let overview = world.get("/shops/acme", &cookie).await;
    overview.assert_says(&["Something did harm in your store", "/shops/acme/guard"]);
    for open in ["open", "told", "planned"] {
        let path = format!("/shops/acme/guard/incident-{open}/dismiss");
        assert_eq!(world.send(&path, &cookie, "").await.status, 303);
    }
    let page = world.get("/shops/acme/guard", &cookie).await;
    page.assert_says(&["<strong>Bo</strong> said"]);
    assert!(!page.text().contains("This was meant") && !page.text().contains("badge bad"));
    assert!(!world.get("/shops/acme", &cookie).await.text().contains("did harm"));
}

#[tokio::test]
async fn a_way_back_that_a_person_went_is_no_longer_open() {
    let world = world(Config::default());
    let cookie = world.signed_in("Bo").await;
    incidents(&world, &cookie).await;
    let job = json!({
        "id": "job-1", "plan": "plan-1", "state": "done", "by": "Ada", "started_at": fake::NOW,
        "finished_at": fake::NOW, "counts": {}, "eta_seconds": null, "cost": 0.0
    });
    world.journal.put(&acme(), crate::job::JOB, "job-1", &job).await.expect("on record");
    let page = world.get("/shops/acme/guard", &cookie).await;
    page.assert_says(&["<strong>Ada</strong> had it put back", "/shops/acme/jobs/job-1"]);
    assert!(!page.text().contains("badge warning\">way back ready<"));
}

#[tokio::test]
async fn another_persons_session_approves_what_one_asks_for() {
    let world = world(Config { second_person: [acme()].into(), ..Config::default() });
    let (ada, bo) = (world.signed_in("Ada").await, world.signed_in("Bo").await);
    let asked = format!("at=2026-11-20T12:00:00Z&kind=product&id={MUG}&update=yes");
    let made = world.send("/shops/acme/restore", &ada, &asked).await;
    assert_eq!(made.status, 303, "{}", made.text());
    let plan = made.said("location").to_owned();
    let page = world.get(&plan, &ada).await;
    page.assert_says(&["another person than the one who applies it"]);
    let text = page.text();
    let digest =
        text.split("name=\"digest\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let form = format!("digest={}&shown=0&row=0", digest.expect("a digest"));
    let begun = world.send(&format!("{plan}/apply"), &ada, &form).await;
    assert_eq!(begun.status, 303, "{}", begun.text());
    let job = begun.said("location").to_owned();

    let own = world.get(&job, &ada).await;
    own.assert_says(&["Waiting for another person", "data-state=\"queued\" data-approved=\"\""]);
    assert!(!own.text().contains(">Approve<"), "nobody approves their own");
    let refused = world.send(&format!("{job}/approve"), &ada, "").await;
    assert_eq!(refused.status, 403);
    refused.assert_says(&["another person has to approve it", "Nothing was done."]);
    let cy = world.signed_in("Cy").await;
    assert!(!world.get(&job, &cy).await.text().contains(">Approve<"), "nor does who may only look");

    world.get(&job, &bo).await.assert_says(&["Ada asks for your approval", ">Approve<"]);
    let unsealed = world.ask(("POST", &format!("{job}/approve")), &bo, "").await;
    assert_eq!(unsealed.status, 403, "without the form's seal");
    assert_eq!(world.send(&format!("{job}/approve"), &bo, "").await.status, 303);
    let approved = world.get(&job, &ada).await;
    approved.assert_says(&["approved", "by Bo", "data-approved=\"Bo\""]);
    assert!(!approved.text().contains("Waiting for another person"));
}

#[tokio::test]
async fn the_whole_shop_is_taken_out_in_a_file_by_who_may_put_things_back() {
    let world = world(Config::default());
    let (ada, cy) = (world.signed_in("Ada").await, world.signed_in("Cy").await);
    world
        .get("/shops/acme/restore", &ada)
        .await
        .assert_says(&["The whole shop in a file", "Download"]);
    assert!(!world.get("/shops/acme/restore", &cy).await.text().contains("Download"));
    let export = |cookie: String, form: &'static str| {
        let world = &world;
        async move { world.send("/shops/acme/export", &cookie, form).await }
    };
    let file = export(ada.clone(), "at=2026-11-20T14:00").await;
    assert_eq!((file.status, file.said("content-type")), (200, "application/zstd"));
    let named = file.said("content-disposition");
    assert!(named.contains("acme-20261120T140000"), "{named}");
    assert_eq!(&file.bytes[..4], [0x28, 0xb5, 0x2f, 0xfd], "a frame of Zstandard");
    assert_eq!(file.said("set-cookie"), "");
    let by = world.audit(&ada).await;
    let on_record = |entry: &Value| {
        entry["deed"]["what"] == "export"
            && entry["deed"]["who"] == "Ada"
            && entry["deed"]["status"] == 200
    };
    assert!(by.iter().any(on_record), "{by:?}");

    let nonsense = export(ada.clone(), "at=yesterday").await;
    assert_eq!(nonsense.status, 400);
    nonsense.assert_says(&["is no moment"]);
    let unsealed = world.ask(("POST", "/shops/acme/export"), &ada, "at=2026-11-20T14:00").await;
    assert_eq!(unsealed.status, 403);
    let form = "form=00&at=2026-11-20T14:00";
    assert_eq!(world.ask(("POST", "/shops/acme/export"), &cy, form).await.status, 403);
}

#[tokio::test]
async fn a_file_that_was_brought_in_is_listed_and_planned_from() {
    let world = world(Config::default());
    let ada = world.signed_in("Ada").await;
    let import = json!({
        "id": "ab12", "bytes": 1_480_000, "by": "Bo", "imported_at": fake::NOW,
        "manifest": {
            "format": 1, "shop": "acme.myshopify.com", "at": fake::NOW, "resources": 4, "kinds": {},
            "parts": [], "media": 2, "media_missing": 0
        }
    });
    world.journal.put(&acme(), crate::export::EXPORT, "ab12", &import).await.expect("on record");
    let page = world.get("/shops/acme/restore", &ada).await;
    page.assert_says(&["4 things, 2 pictures and files, 1.5 MB", "name=\"export\" value=\"ab12\""]);
    // Its bytes are nowhere: that is what is said, and not that nothing was asked for.
    let planned = world.send("/shops/acme/restore", &ada, "export=ab12&update=yes").await;
    assert!(planned.status >= 400 && planned.status != 403, "{}", planned.text());
}

#[tokio::test]
async fn tokens_are_listed_by_name_and_never_by_what_proves_them() {
    let world = world(Config::default());
    let ada = world.signed_in("Ada").await;
    let page = world.get("/shops/acme/audit", &ada).await;
    page.assert_says(&[
        "<strong>Ada</strong>",
        ">you<",
        "May look at everything, put things back and look after Backstock itself",
        "<strong>Bo</strong>",
        "<strong>Cy</strong>",
        "every shop",
    ]);
    let text = page.text();
    for name in ["Ada", "Bo", "Cy"] {
        assert!(!text.contains(&Digest::of(name).to_string()));
    }
    assert!(!text.contains("bolt") && !text.contains("Bolt"), "no other shop is there for Ada");
    let bo = world.signed_in("Bo").await;
    assert!(world.get("/shops/acme/guard", &ada).await.text().contains("/shops/acme/audit"));
    assert!(!world.get("/shops/acme/guard", &bo).await.text().contains("/shops/acme/audit"));
    let refused = world.get("/shops/acme/audit", &bo).await;
    assert_eq!(refused.status, 403);
    assert!(!refused.text().contains("Cy"));
}
