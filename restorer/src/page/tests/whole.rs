//! Where a page does not show all, it says so, and all of it is to be had.

use backstock_proto::Timestamp;

use super::*;

/// Where a page's list goes on.
#[track_caller]
pub(super) fn next(page: &Answer) -> String {
    let text = page.text();
    let before = text.split("\" rel=\"next\"").next().filter(|before| *before != text);
    let address = before.and_then(|before| before.rsplit("href=\"").next());
    address.expect("a next page").replace("&amp;", "&")
}

/// So many minutes after the day began that is shown.
fn minute(minutes: i64) -> Timestamp {
    let began = fake::instant("2026-11-21T12:03:00Z");
    Timestamp::from_micros(began.as_micros() + minutes * 60_000_000)
}

#[tokio::test]
async fn a_picture_shows_no_time_of_which_not_all_is_loaded() {
    let mut fake = Fake::believable();
    for n in 0..205 {
        let mug = json!({"id": "gid://shopify/Product/701", "title": format!("Mug {n}")});
        fake.remember("product", "701", &minute(7 * n).to_string(), &mug);
    }
    let world = world_of(Config::default(), fake, vec![admin()]);
    let cookie = world.signed_in("Cy").await;
    let begins = |n: i64| format!("data-from=\"{}\"", minute(7 * n).as_micros() / 1_000);
    let ends = |at: Timestamp| format!("data-to=\"{}\"", at.as_micros() / 1_000);
    let now = fake::instant(fake::NOW);
    let overview = world.get("/shops/acme", &cookie).await;
    overview.assert_says(&["The newest 200 change-sets; there were more.", &begins(5), &ends(now)]);
    let first = world.get("/shops/acme/changes", &cookie).await;
    first.assert_says(&[&begins(155), &ends(now), "changes in 50 change-sets"]);
    let second = world.get(&next(&first), &cookie).await;
    second.assert_says(&[&begins(105), &ends(minute(7 * 154))]);
}

#[tokio::test]
async fn a_stretch_is_undone_as_a_whole_by_who_may() {
    let world = world(Config::default());
    let (bo, cy) = (world.signed_in("Bo").await, world.signed_in("Cy").await);
    let stretch = "from=2026-11-20T14:00:00Z&to=2026-11-20T15:00:00Z";
    let path = format!("/shops/acme/changes?kind=product&{stretch}");
    let shown = world.get(&path, &bo).await;
    shown.assert_says(&[
        "Undo all of this stretch…",
        "From 20 Nov 14:00 until 20 Nov 15:00, only products",
        "data-busy=\"Planning…\"",
    ]);
    assert!(!world.get(&path, &cy).await.text().contains("Undo all"));
    let none = world.get("/shops/acme/changes?app=Nobody&kind=product", &bo).await;
    none.assert_says(&["No changes here", "value=\"Nobody\""]);
    let form = format!("{stretch}&kind=product&update=yes&inventory=yes");
    let made = world.send("/shops/acme/restore", &bo, &form).await;
    assert_eq!(made.status, 303, "{}", made.text());
    let plan = made.said("location").to_owned();
    let page = world.get(&plan, &bo).await;
    page.assert_says(&["Undo what happened to products since 20 Nov 14:00 until 20 Nov 15:00"]);
    page.assert_says(&["<noscript>", "Apply 1 change"]);
    let asked = world.get(&format!("/v1{plan}"), &bo).await;
    let asked: Value = serde_json::from_slice(&asked.bytes).expect("json");
    assert_eq!(asked["request"]["inventory"], json!(true), "{asked}");
}

#[tokio::test]
async fn a_stretch_that_begins_in_an_hour_that_was_twice_is_not_guessed() {
    let mut fake = Fake::believable();
    let berlin = json!({"id": "gid://shopify/Shop/1", "ianaTimezone": "Europe/Berlin"});
    fake.remember("shop", "1", "2026-10-01T08:00:00Z", &berlin);
    let world = world_of(Config::default(), fake, vec![admin()]);
    let bo = world.signed_in("Bo").await;
    let hidden = |name: &str, at: &str| format!("type=\"hidden\" name=\"{name}\" value=\"{at}\"");
    let (twice, once) = ("2026-10-25T02:30:00", "2026-11-20T16:00:00");
    let shown = world.get(&format!("/shops/acme/changes?from={twice}&to={once}"), &bo).await;
    shown.assert_says(&["Undo all of this stretch…", &hidden("from", twice), &hidden("to", once)]);
    let refused = world.send("/shops/acme/restore", &bo, &format!("from={twice}&update=yes")).await;
    assert_eq!(refused.status, 400);
    refused.assert_says(&["were set back over 2026-10-25 02:30:00, so it was twice"]);
}

#[tokio::test]
async fn fields_that_are_not_shown_are_counted() {
    let wide = |value: &str| {
        let note = |n: u32| (format!("note{n}"), json!(value));
        let mut wide: serde_json::Map<_, _> = (0..320).map(note).collect();
        wide.insert("title".into(), json!("Much noted"));
        Value::Object(wide)
    };
    let mut fake = Fake::believable();
    fake.remember("product", "701", "2026-11-19T08:00:00Z", &wide("before"));
    fake.remember("product", "701", "2026-11-22T10:00:00Z", &wide("after"));
    let world = world_of(Config::default(), fake, vec![admin()]);
    let bo = world.signed_in("Bo").await;
    let sets = world.get("/v1/shops/acme/change-sets?from=2026-11-22T09:00:00Z", &bo).await;
    let sets: Value = serde_json::from_slice(&sets.bytes).expect("json");
    let set = sets["items"][0]["id"].as_str().expect("a change-set");
    let page = world.get(&format!("/shops/acme/changes/{set}"), &bo).await;
    page.assert_says(&["And 308 more fields; its own page shows all."]);
    let page = world.get("/shops/acme/resources/product/701", &bo).await;
    page.assert_says(&["And 20 more fields: put all of it back below"]);
}

#[tokio::test]
async fn a_jobs_report_has_every_row() {
    let world = world(Config::default());
    let cy = world.signed_in("Cy").await;
    let job = json!({
        "id": "job-1", "plan": "plan-1", "state": "done", "by": "Ada", "started_at": fake::NOW,
        "finished_at": fake::NOW, "counts": {"updated": 1_200}, "eta_seconds": null, "cost": 0.0
    });
    let plan = json!({
        "id": "plan-1", "digest": "a digest", "request": {}, "made_at": fake::NOW, "by": "Ada",
        "consequences": [], "cost": 1.0, "eta_seconds": 1.0, "records": [0],
        "counts": {"create": 0, "update": 1_200, "delete": 0},
    });
    let named = |n: u32| (n, (n + 1).to_string(), format!("Mug {n}"));
    let row = |(n, id, title)| json!({"n": n, "action": "update", "kind": "product", "id": id, "title": title, "cost": 1.0});
    let over = |(n, id, title)| json!({"over": {"n": n, "kind": "product", "id": id, "title": title, "state": "updated"}});
    let rows: Value = (0..1_200).map(named).map(row).collect();
    world.journal.put(&acme(), "plan_rows", "plan-1.0", &rows).await.expect("on record");
    world.journal.put(&acme(), "plan", "plan-1", &plan).await.expect("on record");
    let steps: Vec<Value> = (0..1_200).map(named).map(over).collect();
    let steps = json!({"by": "restorer-1", "taken": 1, "k": 1, "attempt": 0, "steps": steps});
    world.journal.put(&acme(), crate::job::JOB, "job-1", &job).await.expect("on record");
    world.journal.put(&acme(), "job_steps", "job-1", &steps).await.expect("on record");
    let path = "/shops/acme/jobs/job-1/report";
    world.get("/shops/acme/jobs/job-1", &cy).await.assert_says(&[path]);
    let report = world.get(path, &cy).await;
    assert_eq!((report.status, report.said("content-type")), (200, "application/x-ndjson"));
    assert!(report.said("content-disposition").contains("job-1.ndjson"));
    let text = report.text();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    assert_eq!(lines.len(), 1 + 1_200 + 1);
    assert_eq!((&lines[0]["id"], &lines[1_200]["n"]), (&json!("job-1"), &json!(1_199)));
    assert_eq!(lines[1_201], json!({"end": true, "count": 1_200}));
    let table = world.get(&format!("{path}?as=csv"), &cy).await;
    assert_eq!((table.status, table.said("content-type")), (200, "text/csv; charset=utf-8"));
    assert!(table.said("content-disposition").contains("job-1.csv"));
    let table = table.text();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 1 + 1_200);
    assert_eq!(lines[1], r##""0","product","#1","Mug 0","updated","","""##);
    assert_eq!(world.get("/shops/acme/jobs/job-2/report", &cy).await.status, 404);
}

#[tokio::test]
async fn whatever_was_put_back_is_listed_somewhere() {
    let world = world(Config::default());
    let cy = world.signed_in("Cy").await;
    for n in 1..=21 {
        let (job_id, plan_id) = (format!("job-{n}"), format!("plan-{n}"));
        let job = json!({
            "id": job_id, "plan": plan_id, "state": "done", "by": "Ada", "started_at": fake::NOW,
            "finished_at": fake::NOW, "counts": {"updated": 1}, "eta_seconds": null, "cost": 0.0
        });
        let plan = json!({
            "id": plan_id, "digest": "a digest", "request": {"at": fake::NOW}, "made_at": fake::NOW,
            "by": "Ada", "counts": {"update": 1}, "consequences": [], "cost": 1.0, "eta_seconds": 1.0,
        });
        world.journal.put(&acme(), "plan", &plan_id, &plan).await.expect("on record");
        world.journal.put(&acme(), crate::job::JOB, &job_id, &job).await.expect("on record");
    }
    let first = world.get("/shops/acme/restore", &cy).await;
    first.assert_says(&["/jobs/job-21\"", "/jobs/job-2\"", "/plans/plan-21\"", "/plans/plan-2\""]);
    assert!(!first.text().contains("/jobs/job-1\"") && !first.text().contains("/plans/plan-1\""));
    let next = next(&first);
    assert!(next.contains("?jobs=") && next.ends_with("#jobs"), "{next}");
    let second = world.get(&next, &cy).await;
    second.assert_says(&["/jobs/job-1\"", "/plans/plan-21\"", "Back to the beginning"]);
    assert!(!second.text().contains("/jobs/job-21\""));
    let plans = next.replace("jobs", "plans");
    world.get(&plans, &cy).await.assert_says(&["/jobs/job-21\"", "/plans/plan-1\""]);
}

#[tokio::test]
async fn who_went_a_way_back_is_told_however_many_jobs_came_since() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    incidents(&world, &bo).await;
    let plan = json!({
        "id": "plan-1", "digest": "a digest", "request": {"at": fake::NOW}, "made_at": fake::NOW,
        "by": "Ada", "counts": {"update": 1}, "consequences": [], "cost": 1.0, "eta_seconds": 1.0,
    });
    world.journal.put(&acme(), "plan", "plan-1", &plan).await.expect("on record");
    for n in 1..=1_001 {
        let id = format!("job-{n}");
        let job = json!({
            "id": id, "plan": format!("plan-{n}"), "state": "done", "by": "Ada",
            "started_at": fake::NOW, "finished_at": fake::NOW, "counts": {}, "eta_seconds": null,
            "cost": 0.0
        });
        world.journal.put(&acme(), crate::job::JOB, &id, &job).await.expect("on record");
    }
    let guard = world.get("/shops/acme/guard", &bo).await;
    guard.assert_says(&["<strong>Ada</strong> had it put back", "/shops/acme/jobs/job-1\""]);
    assert!(!guard.text().contains("badge warning\">way back ready<"));
    let plan = world.get("/shops/acme/plans/plan-1", &bo).await;
    plan.assert_says(&["Ada had it applied", "/shops/acme/jobs/job-1\""]);
}

#[tokio::test]
async fn rows_of_a_job_that_cannot_be_told_are_said_to_be_missing() {
    let world = world(Config::default());
    let cy = world.signed_in("Cy").await;
    let job = json!({
        "id": "job-1", "plan": "plan-1", "state": "done", "by": "Ada", "started_at": fake::NOW,
        "finished_at": fake::NOW, "counts": {"updated": 2}, "eta_seconds": null, "cost": 0.0
    });
    let plan = json!({
        "id": "plan-1", "digest": "a digest", "request": {}, "made_at": fake::NOW, "by": "Ada",
        "consequences": [], "cost": 1.0, "eta_seconds": 1.0, "records": [0, 1],
        "counts": {"create": 0, "update": 2, "delete": 0},
    });
    let rows = json!([{"n": 0, "action": "update", "kind": "product", "id": "1", "title": "Mug 0", "cost": 1.0}]);
    let over = |n: u32| json!({"over": {"n": n, "kind": "product", "id": (n + 1).to_string(), "title": "", "state": "updated"}});
    let steps =
        json!({"by": "restorer-1", "taken": 1, "k": 1, "attempt": 0, "steps": [over(0), over(1)]});
    for (what, id, record) in [
        ("plan_rows", "plan-1.0", &rows),
        ("plan", "plan-1", &plan),
        (crate::job::JOB, "job-1", &job),
        ("job_steps", "job-1", &steps),
    ] {
        world.journal.put(&acme(), what, id, record).await.expect("on record");
    }
    let why = "piece 1 of plan plan-1 of acme";
    let page = world.get("/shops/acme/jobs/job-1", &cy).await;
    page.assert_says(&["Mug 0", "Not every row can be shown: ", why]);
    let report = world.get("/shops/acme/jobs/job-1/report", &cy).await.text();
    let lines: Vec<Value> =
        report.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    assert_eq!((lines.len(), &lines[1]["n"], &lines[2]["count"]), (3, &json!(0), &json!(1)));
    let said = lines[2]["error"]["detail"].as_str().expect("what is wrong");
    assert!(said.contains(why), "{said}");
    let table = world.get("/shops/acme/jobs/job-1/report?as=csv", &cy).await.text();
    let last = table.lines().next_back().expect("a line");
    assert!(last.starts_with("\"not every row is here: ") && last.contains(why), "{last}");
}

#[tokio::test]
async fn the_log_hides_nothing_where_one_of_its_pages_ends() {
    let world = world(Config::default());
    let ada = world.signed_in("Ada").await;
    for n in 1..=101 {
        let mut deed =
            json!({"who": "Ada", "from": "::1", "what": "mark", "path": format!("/{n}")});
        if n % 2 == 0 {
            deed["of"] = json!(n - 1);
            deed["path"] = json!(format!("/{}", n - 1));
            deed["status"] = json!(if n == 2 { 409 } else { 201 });
        }
        let entry = json!({"n": n, "at": fake::NOW, "deed": deed, "before": "", "hash": ""});
        world.journal.put(&acme(), "audit", "chain", &entry).await.expect("on record");
    }
    let first = world.get("/shops/acme/audit", &ada).await;
    first.assert_says(&[
        " · /101 · end not known",
        " · /99</span>",
        " · /1 · its beginning is on a later page",
        ">refused<",
    ]);
    let second = world.get(&next(&first), &ada).await;
    second.assert_says(&[" · /1 · its end is on an earlier page, or not known"]);
    assert!(!second.text().contains(" · /99") && !second.text().contains("end not known"));
}

#[tokio::test]
async fn every_shop_is_listed_somewhere() {
    let shops = (0..1_001).map(|n| fake::shop(&format!("s{n:04}"))).collect();
    let world = world(Config { shops, ..Config::default() });
    let cy = world.signed_in("Cy").await;
    let first = world.get("/", &cy).await;
    first.assert_says(&["/shops/acme\"", "/shops/s0997\""]);
    assert!(!first.text().contains("s1000"));
    let second = world.get(&next(&first), &cy).await;
    second.assert_says(&["/shops/s1000\"", "Back to the beginning"]);
    let found = world.get("/?q=S0420.myshopify.com", &cy).await;
    found.assert_says(&["/shops/s0420\"", "1 shop"]);
    assert!(!found.text().contains("/shops/acme"));
    world.get("/?q=nowhere", &cy).await.assert_says(&["holds “nowhere”", "All of your shops"]);
}
