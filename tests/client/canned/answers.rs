//! What the restorer of these tests answers, in the API's shapes.

use backstock_proto::diff;
use backstock_proto::erase::{Erasure, ErasureCounts, ErasureState, Via, Whom};
use backstock_proto::journal::{
    Change, Gap, Healing, KindStatus, List, PullReport, ShopStatus, ShopSummary, Summary,
    VerifyReport, Version,
};
use backstock_proto::{Facet, Kind, Op, ResourceId, Shop, Source, Timestamp};
use backstock_restorer::health::{Health, HealthState};
use serde_json::{Value, json};

/// A text that is too long to be shown whole.
pub(crate) const LONG: &str = "<p>Enamelled by hand in small runs, so that no two are quite the \
                               same. Holds 0.35 l of soft coffee and keeps it warm.</p>";

const PAGE: usize = 3;

fn instant(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("an instant")
}

pub(super) fn kind() -> Kind {
    Kind::parse("product").expect("a kind")
}

pub(super) fn mug() -> Value {
    let weight: Value = serde_json::from_str("10.10000000000000000001").expect("a number");
    json!({
        "id": "gid://shopify/Product/8072139866342",
        "title": "Enamel Mug",
        "handle": "enamel-mug",
        "descriptionHtml": LONG,
        "status": "ACTIVE",
        "vendor": null,
        "tags": ["kitchen", "new"],
        "weight": weight,
        "options": [{"id": "gid://shopify/ProductOption/5", "name": "Size", "values": ["S", "M"]}],
        "variants": [
            {"id": "gid://shopify/ProductVariant/1", "title": "S", "sku": "MUG-S", "price": "8.00"},
            {"id": "gid://shopify/ProductVariant/2", "title": "M", "sku": "MUG-M", "price": "9.50"},
        ],
        "media": [{"id": "gid://shopify/MediaImage/9", "alt": "A mug", "mediaContentType": "IMAGE",
            "url": "https://cdn.shopify.com/s/files/1/1234/products/enamel-mug-blue.png"}],
    })
}

pub(super) fn before() -> Value {
    let mut old = mug();
    old["title"] = json!("Mug");
    old["descriptionHtml"] = json!(LONG.replace("soft coffee", "hot tea"));
    old["tags"] = json!(["kitchen", "sale"]);
    old["media"] = json!([]);
    old["variants"] = json!([
        {"id": "gid://shopify/ProductVariant/2", "title": "M", "sku": "MUG-M", "price": "9.00"},
        {"id": "gid://shopify/ProductVariant/3", "title": "L", "sku": "MUG-L", "price": "10.00"},
    ]);
    old
}

pub(super) fn version(seq: u64, op: Op, valid_at: &str) -> Version {
    let valid_at = instant(valid_at);
    let later = |micros: i64| Timestamp::from_micros(valid_at.as_micros() + micros);
    let action = if op == Op::Create { "create" } else { op.as_str() };
    Version {
        seq,
        op,
        source: Source::Webhook,
        facet: Facet::Core,
        valid_at,
        recorded_at: later(1_200_000),
        received_at: later(1_150_000),
        triggered_at: None,
        earliest_at: None,
        topic: format!("products/{action}"),
        api_version: Some("2026-10".into()),
        webhook_id: Some("b54557e4-bdd9-4b37-8a5f-bf7d70bcd043".into()),
        event_id: None,
        hash: "8f4e33f3".repeat(8),
        unchanged: false,
        erased: false,
    }
}

pub(super) fn versions() -> Vec<Version> {
    let mut slow = version(4_714, Op::Update, "2026-11-22T11:00:00Z");
    slow.source = Source::Reconcile;
    slow.recorded_at = instant("2026-11-22T15:00:00Z");
    let mut same = version(4_713, Op::Update, "2026-11-21T09:30:00.25Z");
    same.unchanged = true;
    vec![
        version(4_715, Op::Delete, "2026-11-23T08:00:00Z"),
        slow,
        same,
        version(4_711, Op::Create, "2026-07-01T10:00:00Z"),
    ]
}

/// An app that broke prices, and somebody of the staff.
pub(super) fn change_sets() -> Value {
    let set = |id: &str, from: &str, to: &str, actor: Value, headline: &str, risk: &str| {
        json!({
            "id": id, "from": from, "to": to,
            "counts": {"changes": 412, "resources": 412, "created": 0, "updated": 412, "deleted": 0},
            "kinds": {"product": 412}, "actor": actor, "headline": headline, "risk": risk,
        })
    };
    let app = json!({
        "kind": "app", "name": "Bulk Editor", "confidence": 0.93,
        "evidence": [
            "371 of 412 changes: Shopify's log names Bulk Editor",
            "41 of 412 changes: not in Shopify's log, but like those by Bulk Editor around them",
        ],
    });
    let nobody = json!({"kind": "unknown", "name": "unknown", "confidence": 0.0, "evidence": ["nothing says who did it"]});
    let mut broke = set(
        "cs-6437f0a2b1c40-1a2f",
        "2026-11-20T13:02:11.5Z",
        "2026-11-20T13:09:40Z",
        app,
        "412 prices lowered by 90 %, by Bulk Editor",
        "high",
    );
    broke["money"] = json!({
        "lowered": 412, "raised": 0, "zero": 0, "median_ratio": 0.1, "before": "26368.00",
        "after": "2636.80",
    });
    let seen = set(
        "cs-6437f0a2b1c3f-1a01",
        "2026-11-20T12:00:00Z",
        "2026-11-20T12:00:00Z",
        nobody,
        "1 product added",
        "low",
    );
    json!({"items": [broke, seen], "next": null})
}

/// What the guard saw: harm that was undone and went on, without another plan and with one, harm that a person
/// had put back, harm that is being undone, harm whose way back is ready, harm without one.
pub(super) fn incidents() -> Value {
    let sets = change_sets();
    let incident = |id: &str, state: &str| {
        json!({
            "id": id, "at": "2026-11-20T13:10:00Z", "updated_at": "2026-11-20T13:11:00Z",
            "state": state, "action": "plan", "text": "412 products\u{2019} prices collapsed.",
            "change_set": sets["items"][0], "trips": [], "why": [], "by": "restorer-1",
        })
    };
    let (mut applied, mut planned) =
        (incident("incident-3", "applied"), incident("incident-2", "planned"));
    applied["job"] = json!("job-3");
    planned["plan"] = json!("plan-2");
    let mut gone = incident("incident-4", "planned");
    gone["plan"] = json!("plan-4");
    let mut went_on = incident("incident-5", "planned");
    (went_on["job"], went_on["plan"]) = (json!("job-5"), json!("plan-5"));
    let mut stuck = incident("incident-6", "stuck");
    (stuck["job"], stuck["plan"]) = (json!("job-6"), json!("plan-4"));
    let told = incident("incident-1", "told");
    json!({"items": [stuck, went_on, gone, applied, planned, told], "next": null})
}

/// A shop that is to be erased, and on a second page somebody who was.
pub(super) fn erasures(query: &str) -> List<Erasure> {
    let erasure = |whom, state| Erasure {
        shop: Shop::from_name("acme").expect("a shop"),
        whom,
        via: Via::Webhook,
        by: String::new(),
        requested_at: instant("2026-11-20T13:00:00Z"),
        due_at: instant("2026-12-20T13:00:00Z"),
        state,
        erased_at: None,
        done_at: None,
        counts: ErasureCounts::default(),
    };
    let customer = ResourceId::parse("304").expect("an id");
    let (one, next) = match query.contains("cursor=1") {
        true => (erasure(Whom::Customer(customer), ErasureState::Done), None),
        false => (erasure(Whom::Shop, ErasureState::Waiting), Some("1".to_owned())),
    };
    List { items: vec![one], next }
}

pub(super) fn changes() -> List<Change> {
    let change = |id: &str, title: &str, version, changes| Change {
        kind: kind(),
        id: ResourceId::parse(id).expect("an id"),
        gid: None,
        title: title.into(),
        version,
        changes,
    };
    let whole = diff::fields(&Value::Null, &mug());
    let updated = version(4_712, Op::Update, "2026-11-20T13:00:00Z");
    let items = vec![
        change("13", "Old Mug", version(4_713, Op::Delete, "2026-11-21T09:30:00Z"), Vec::new()),
        change("8072139866342", "Enamel Mug", updated, diff::fields(&before(), &mug())),
        change("15", "", version(4_600, Op::Create, "2026-11-20T12:00:00.5Z"), whole),
    ];
    List { items, next: None }
}

/// Two mugs, or seven of them in pages that are shorter than asked for.
pub(super) fn resources(query: &str) -> List<Summary> {
    let summary = |n: u64, deleted| Summary {
        kind: kind(),
        id: ResourceId::parse(&n.to_string()).expect("an id"),
        gid: Some(format!("gid://shopify/Product/{n}")),
        deleted,
        valid_at: instant("2026-11-20T13:00:00Z"),
        seq: n,
        listing: kind().listing(&json!({"title": format!("Mug {n}"), "handle": "mug"})),
    };
    let asked = |name: &str| {
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        pair.map(str::to_owned)
    };
    match asked("q").as_deref() {
        Some("mug") if asked("deleted").is_some() => {
            List { items: vec![summary(13, true)], next: None }
        }
        Some("mug") => List { items: vec![summary(12, false), summary(13, true)], next: None },
        Some("page") => {
            let number = |name: &str| asked(name).and_then(|n| n.parse::<usize>().ok());
            let (from, limit) = (number("cursor").unwrap_or(0), number("limit").unwrap_or(PAGE));
            let to = (from + limit.min(PAGE)).min(7);
            let items = (from..to).map(|n| summary(n as u64 + 1, false)).collect();
            List { items, next: (to < 7).then(|| to.to_string()) }
        }
        _ => List { items: Vec::new(), next: None },
    }
}

/// How a shop is: one that is behind was harmed, and one that is new was not looked at yet.
pub(super) fn health(summary: &ShopSummary) -> Option<Health> {
    let at = summary.newest_received_at?;
    let is_behind = summary.lag_seconds > 60.0;
    let (state, incidents_open) =
        if is_behind { (HealthState::Bad, 1) } else { (HealthState::Good, 0) };
    let wrong = ["12 products\u{2019} prices collapsed.", "1 gap in what reached us."];
    let wrong = wrong.iter().filter(|_| is_behind).map(|why| (*why).to_owned()).collect();
    Some(Health { state, incidents_open, last_complete_pull: Some(at), wrong, at })
}

/// The shops that the server tells of, as its statuses.
pub(super) fn statuses() -> Vec<ShopStatus> {
    let kind = |name: &str, resources, deleted, versions, newest: &str| KindStatus {
        kind: Kind::parse(name).expect("a kind"),
        resources,
        deleted,
        versions,
        newest_version: Some(instant(newest)),
        understood: name != "theme",
        heard: Kind::parse(name).expect("a kind").heard(),
        pull: None,
        last_complete_pull: None,
        media: None,
        not_covered: None,
    };
    let summary = |name: &str, newest: Option<Timestamp>, lag_seconds| ShopSummary {
        shop: Shop::from_name(name).expect("a shop"),
        resources: 1_234,
        versions: 48_211,
        newest_received_at: newest,
        lag_seconds,
    };
    let minutes = 5 * 60 + 30;
    let recent = jiff::Timestamp::now().as_microsecond() - minutes * 1_000_000;
    let pull = |name: &str, state: &str, reason: Option<&str>| -> PullReport {
        let at = Timestamp::from_micros(recent);
        let pull = json!({"kind": name, "state": state, "started_at": at, "reason": reason});
        serde_json::from_value(pull).expect("a report")
    };
    let held = "25 of 60 are no longer in the shop. So many at once are not taken for deleted before \
                somebody says so: `backstock reconcile --shop acme --kind product --confirm-deletions`";
    let read = |kind: KindStatus| {
        let complete = Some(pull(kind.kind.as_str(), "complete", None));
        KindStatus { pull: complete.clone(), last_complete_pull: complete, ..kind }
    };
    let page = read(kind("page", 7, 0, 9, "2026-11-23T13:05:12Z"));
    let product = read(kind("product", 60, 0, 61, "2026-11-23T13:05:12Z"));
    let redirect = KindStatus {
        pull: Some(pull("redirect", "failed", Some("Shopify did not answer"))),
        ..kind("redirect", 1, 0, 1, "2026-11-23T13:05:12Z")
    };
    let healed = Healing { kind: page.kind.clone(), at: Timestamp::from_micros(recent) };
    vec![
        ShopStatus {
            summary: summary("acme", Some(Timestamp::from_micros(recent)), 0.2),
            kinds: vec![
                kind("product", 1_200, 31, 48_000, "2026-11-23T13:05:12.25Z"),
                kind("theme", 34, 0, 211, "2026-07-01T10:00:00Z"),
            ],
            gaps: Vec::new(),
            quarantined: 0,
        },
        ShopStatus {
            summary: summary("behind", Some(Timestamp::from_micros(recent)), 754.0),
            kinds: vec![
                page,
                KindStatus { pull: Some(pull("product", "failed", Some(held))), ..product },
                redirect,
            ],
            gaps: vec![Gap {
                healed_by: vec![healed],
                ..Gap::new(7, 9, instant("2026-11-22T08:00:00Z"))
            }],
            quarantined: 2,
        },
        ShopStatus {
            summary: ShopSummary { resources: 0, versions: 0, ..summary("new", None, 0.0) },
            kinds: Vec::new(),
            gaps: Vec::new(),
            quarantined: 0,
        },
    ]
}

/// A job that is over.
pub(super) fn job() -> Value {
    json!({
        "id": "job-0193-5f2a", "plan": "plan-0193-5f2a", "state": "done", "by": "ops",
        "started_at": "2026-11-23T14:30:00Z", "finished_at": "2026-11-23T14:30:02Z",
        "counts": {"updated": 1}, "eta_seconds": null, "cost": 10.0
    })
}

/// The jobs of a shop in two pages: the oldest went the way back from an incident.
pub(super) fn jobs(query: &str) -> Value {
    let mut back = job();
    (back["id"], back["plan"], back["by"]) = ("job-4".into(), "plan-4".into(), "Ada".into());
    match query.contains("cursor=1") {
        true => json!({"items": [back], "next": null}),
        false => json!({"items": vec![job(); 100], "next": "1"}),
    }
}

/// A job whose rows fill two pages.
pub(super) fn long_job(query: &str) -> Value {
    let row = |n: u64| {
        json!({"n": n, "kind": "product", "id": n.to_string(), "title": "Mug", "state": "failed",
               "reason": "the handle is taken"})
    };
    let (items, next) = match query.contains("cursor=1") {
        true => (json!([row(1), row(2)]), Value::Null),
        false => (json!([row(0)]), json!("1")),
    };
    let mut job = job();
    job["id"] = "job-long".into();
    job["state"] = "failed".into();
    job["counts"] = json!({"failed": 3});
    job["rows"] = json!({"items": items, "next": next});
    job
}

/// The same, of which one row cannot be told.
pub(super) fn torn_job(query: &str) -> Value {
    let mut job = long_job(query);
    job["id"] = "job-torn".into();
    if job["rows"]["next"].is_null() || query.contains("state=failed") {
        job["untold"] = "piece 1 of plan plan-0193-5f2a of acme is not on record any more".into();
    }
    job
}

/// A job that left something alone, which somebody had changed since.
pub(super) fn conflicting_job() -> Value {
    let row = json!({"n": 0, "kind": "product", "id": "1", "title": "Mug", "state": "conflict",
        "reason": "/title is \"Cup\""});
    let mut job = job();
    job["id"] = "job-conflict".into();
    job["counts"] = json!({"conflict": 1});
    job["rows"] = json!({"items": [row], "next": null});
    job
}

/// A plan with a row of each sort.
pub(super) fn plan() -> Value {
    let row = |n: u64, kind: &str, id: &str, title: &str, action: &str, more: Value| {
        let mut row = json!({
            "n": n, "kind": kind, "id": id, "gid": null, "title": title, "action": action,
            "cost": 10.0
        });
        let (Value::Object(row), Value::Object(more)) = (&mut row, more) else { return row };
        row.extend(more);
        Value::Object(row.clone())
    };
    let price = "/variants/{gid:~1~1shopify~1ProductVariant~12}/price";
    let fields = json!([
        {"path": "/descriptionHtml", "old": LONG, "new": LONG.replace("coffee", "tea")},
        {"path": price, "old": "0.95", "new": "9.50"},
        {"path": "/variants/{gid:~1~1shopify~1ProductVariant~13}", "old": null,
         "new": {"id": "gid://shopify/ProductVariant/3", "title": "L", "sku": "MUG-L", "price": "10.00"}}
    ]);
    let kept = json!([{"path": "/tags", "before": ["a"], "after": ["b"], "now": ["b", "new"]}]);
    let why = "the handles of the default menus are fixed";
    json!({
        "id": "plan-0193-5f2a", "digest": "8f4e", "request": {"at": "2026-11-20T13:00:00Z"},
        "made_at": "2026-11-23T14:30:00Z", "by": "ops",
        "counts": {"create": 1, "update": 1, "delete": 1, "keep": 1, "cannot": 1, "same": 1200},
        "consequences": [
            "1 product is made anew, with new ids.",
            "Takes about 1 second and 50 points of the API's budget."
        ],
        "cost": 50.0, "eta_seconds": 0.5,
        "rows": [
            row(0, "product", "13", "Old Mug", "create", json!({
                "of": "2026-11-20T13:00:00Z", "notes": ["it comes back with a new id"]})),
            row(1, "product", "8072139866342", "Enamel Mug", "update", json!({
                "fields": fields, "kept": kept,
                "notes": ["what comes back within it gets a new id"]})),
            row(2, "menu", "4", "Main menu", "cannot", json!({
                "unwritable": [{"path": "/handle", "why": why}]})),
            row(3, "page", "5", "About us", "keep", json!({"kept": [
                {"path": "/title", "before": "About", "after": "ABOUT!!", "now": "About us"}]})),
            row(4, "page", "6", "Spam", "delete", json!({})),
        ],
        "next": null
    })
}

pub(super) fn nothing_to_do() -> Value {
    json!({
        "id": "plan-none", "digest": "8f4e", "request": {"from": "2026-11-20T13:00:00Z"},
        "made_at": "2026-11-23T14:30:00Z", "by": "ops", "counts": {"same": 3},
        "consequences": ["Nothing to do: everything that was selected is as wanted."],
        "cost": 0.0, "eta_seconds": 0.0, "rows": [], "next": null
    })
}

/// What reading everything back finds.
pub(super) fn report(damaged: bool) -> VerifyReport {
    let fault = |n| format!("acme/product/{n}: version 4711 does not have its digest");
    VerifyReport {
        versions: 48_211,
        bytes: 73_400_320,
        faults: if damaged { vec![fault(1), fault(2)] } else { Vec::new() },
        faults_total: if damaged { 5 } else { 0 },
        seconds: 1.25,
    }
}
