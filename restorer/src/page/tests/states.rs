//! What cannot be done is said and not offered, and so is what something waits for.

use super::*;

/// Puts a job of a plan on record.
async fn job(world: &World, plan: &str, state: &str, more: Value) {
    let mut job = json!({
        "id": "job-1", "plan": plan, "state": state, "by": "Ada", "started_at": fake::NOW,
        "finished_at": null, "counts": {"updated": 3, "pending": 2}, "eta_seconds": null, "cost": 0.0
    });
    let more = more.as_object().expect("members").clone();
    job.as_object_mut().expect("members").extend(more);
    world.journal.put(&acme(), crate::job::JOB, "job-1", &job).await.expect("on record");
}

#[tokio::test]
async fn what_is_kept_only_is_not_offered_to_be_put_back() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    let from = "?from=2026-11-20T11:00:00Z";
    let order = world.get(&format!("/shops/acme/resources/order/401{from}"), &bo).await;
    order.assert_says(&["This is kept, but cannot be written back: orders cannot be recreated"]);
    assert!(!order.text().contains("Put all of it back"));
    let mug = world.get(&format!("/shops/acme/resources/product/{MUG}{from}"), &bo).await;
    mug.assert_says(&["Put all of it back as it was"]);
    let restore = world.get("/shops/acme/restore", &bo).await;
    restore.assert_says(&["<option value=\"product\">"]);
    assert!(!restore.text().contains("<option value=\"order\">"));
}

#[tokio::test]
async fn whoever_looks_after_backstock_has_it_look_and_prove_now() {
    let world = world(Config::default());
    let (ada, bo) = (world.signed_in("Ada").await, world.signed_in("Bo").await);
    let page = world.get("/shops/acme", &ada).await;
    page.assert_says(&["Compare with the shop now", "Prove it restorable now"]);
    assert!(!world.get("/shops/acme", &bo).await.text().contains("Prove it restorable now"));
    let proved = world.send("/shops/acme/prove", &ada, "").await;
    assert_eq!((proved.status, proved.said("location")), (303, "/shops/acme"), "{}", proved.text());
    let proofs = world.get("/v1/shops/acme/proofs", &ada).await;
    let proofs: Value = serde_json::from_slice(&proofs.bytes).expect("json");
    assert_eq!(proofs["items"][0]["by"], json!("Ada"), "{proofs}");
}

#[tokio::test]
async fn moments_to_go_back_to_are_offered_to_who_may() {
    let world = world(Config::default());
    let (bo, cy) = (world.signed_in("Bo").await, world.signed_in("Cy").await);
    let marked = world.send("/shops/acme/guard/marks", &bo, "label=Before+the+spring+import").await;
    assert_eq!(marked.status, 303, "{}", marked.text());
    let page = world.get("/shops/acme/restore", &bo).await;
    page.assert_says(&["An hour ago", "A week ago", "Before the spring import", "restore?at=2026"]);
    assert!(!world.get("/shops/acme/restore", &cy).await.text().contains("A week ago"));
    let mug = world.get(&format!("/shops/acme/resources/product/{MUG}"), &cy).await;
    mug.assert_says(&["/shops/acme/changes?from=2026", "Who, and what else"]);
}

#[tokio::test]
async fn a_job_that_was_put_off_says_until_when() {
    let world = world(Config::default());
    let (bo, cy) = (world.signed_in("Bo").await, world.signed_in("Cy").await);
    let why = "the shop takes no more new variants today";
    let more = json!({"reason": why, "resume_at": "2026-11-30T18:00:00Z"});
    job(&world, "plan-1", "queued", more).await;
    let page = world.get("/shops/acme/jobs/job-1", &bo).await;
    page.assert_says(&["Put off for a while", why, "It goes on by itself", "30 Nov 18:00"]);
    page.assert_says(&["Go on now"]);
    assert!(!world.get("/shops/acme/jobs/job-1", &cy).await.text().contains("Go on now"));
}

#[tokio::test]
async fn a_job_that_was_cancelled_is_not_called_failed() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    job(&world, "plan-1", "cancelled", json!({"finished_at": fake::NOW})).await;
    let page = world.get("/shops/acme/jobs/job-1", &bo).await;
    page.assert_says(&["Do the rest"]);
    assert!(!page.text().contains("Retry what failed"));
}

#[tokio::test]
async fn a_plan_that_was_applied_says_so() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    let asked = format!("at=2026-11-20T12:00:00Z&kind=product&id={MUG}&update=yes");
    let made = world.send("/shops/acme/restore", &bo, &asked).await;
    assert_eq!(made.status, 303, "{}", made.text());
    let plan = made.said("location").to_owned();
    assert!(!world.get(&plan, &bo).await.text().contains("had it applied"));
    let id = plan.rsplit('/').next().expect("an id");
    job(&world, id, "done", json!({"finished_at": fake::NOW})).await;
    world.get(&plan, &bo).await.assert_says(&["Ada had it applied", "/shops/acme/jobs/job-1"]);
}

#[tokio::test]
async fn what_was_asked_for_is_named_and_planned_anew() {
    let world = world(Config::default());
    let (bo, cy) = (world.signed_in("Bo").await, world.signed_in("Cy").await);
    let asked = format!(
        "at=2026-11-20T12:00:00Z&kind=product&id={MUG}&field=title&update=yes&overwrite=yes"
    );
    let made = world.send("/shops/acme/restore", &bo, &asked).await;
    assert_eq!(made.status, 303, "{}", made.text());
    let plan = made.said("location").to_owned();
    let wanted = "Put 1 field of Enamel Mug &quot;Pine&quot; back to 20 Nov";
    let page = world.get(&plan, &bo).await;
    let id = format!("name=\"id\" value=\"{MUG}\"");
    let field = "name=\"field\" value=\"title\"";
    page.assert_says(&[wanted, " by Bo.", "Plan it anew…", &id, field]);
    page.assert_says(&["name=\"update\" value=\"yes\"", "name=\"overwrite\" value=\"yes\""]);
    assert!(!page.text().contains("name=\"create\""), "only what was asked for");
    assert!(!world.get(&plan, &cy).await.text().contains("Plan it anew"));
    let plan = plan.rsplit('/').next().expect("an id");
    let counts = json!({"updated": 1, "conflict": 1});
    job(&world, plan, "done", json!({"finished_at": fake::NOW, "counts": counts})).await;
    let page = world.get("/shops/acme/jobs/job-1", &bo).await;
    page.assert_says(&[wanted, "What moved meanwhile was left alone.", "Plan it anew…", field]);
    let listed = world.get("/shops/acme/restore", &bo).await;
    listed.assert_says(&[wanted, "1 changed · 1 moved meanwhile · by Ada"]);
}

#[tokio::test]
async fn whoever_approves_a_plan_reads_how_much_of_the_shop_it_is_of() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    let at = "at=2026-11-20T12:00:00Z&update=yes";
    for (asked, named) in [
        (at.to_owned(), "Put the shop back to 20 Nov 12:00<"),
        (format!("{at}&kind=product&kind=page"), "Put products and pages back to 20 Nov 12:00<"),
        (format!("{at}&q=mug"), "Put what is called “mug” back to 20 Nov 12:00<"),
        (
            format!("{at}&kind=product&q=mug&field=title&field=tags"),
            "Put 2 fields of products called “mug” back to 20 Nov 12:00<",
        ),
        (
            format!("{at}&to=2026-11-20T15:00:00Z&kind=product"),
            "Undo what happened to products after 20 Nov 12:00 until 20 Nov 15:00<",
        ),
    ] {
        let made = world.send("/shops/acme/restore", &bo, &asked).await;
        assert_eq!(made.status, 303, "{}", made.text());
        world.get(made.said("location"), &bo).await.assert_says(&[named]);
    }
}

#[tokio::test]
async fn whoever_has_several_shops_sees_first_where_harm_was_done() {
    let world = world(Config::default());
    let cy = world.signed_in("Cy").await;
    let calm = world.get("/", &cy).await;
    calm.assert_says(&["/shops/acme\"", "/shops/bolt\"", "to look at", "needs a look"]);
    assert!(!calm.text().contains("open incident"));
    // What was seen is kept for a while: another restorer sees it at once.
    let world = self::world(Config::default());
    let (bo, cy) = (world.signed_in("Bo").await, world.signed_in("Cy").await);
    incidents(&world, &bo).await;
    let harmed = world.get("/", &cy).await;
    harmed.assert_says(&["3 open incidents", "1 with harm", "never read whole"]);
}

#[tokio::test]
async fn harm_stays_open_where_the_way_back_was_cancelled() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    incidents(&world, &bo).await;
    for open in ["open", "told"] {
        let path = format!("/shops/acme/guard/incident-{open}/dismiss");
        assert_eq!(world.send(&path, &bo, "").await.status, 303);
    }
    job(&world, "plan-1", "cancelled", json!({"finished_at": fake::NOW})).await;
    let guard = world.get("/shops/acme/guard", &bo).await;
    guard.assert_says(&["Not all of it is put back.", "/shops/acme/jobs/job-1", "This was meant"]);
    let overview = world.get("/shops/acme", &bo).await;
    overview.assert_says(&["Something did harm in your store"]);
}

#[tokio::test]
async fn harm_that_went_on_after_it_was_undone_is_open_again() {
    let world = world(Config::default());
    let bo = world.signed_in("Bo").await;
    incidents(&world, &bo).await;
    for open in ["open", "told", "planned"] {
        let path = format!("/shops/acme/guard/incident-{open}/dismiss");
        assert_eq!(world.send(&path, &bo, "").await.status, 303);
    }
    let listed = world.get("/v1/shops/acme/incidents", &bo).await;
    let listed: Value = serde_json::from_slice(&listed.bytes).expect("json");
    let mut listed = listed["items"].as_array().expect("incidents").iter();
    let undone = listed.find(|incident| incident["id"] == "incident-applied");
    let mut went_on = undone.expect("on record").clone();
    (went_on["state"], went_on["plan"]) = (json!("planned"), json!("plan-3"));
    let put = world.journal.put(&acme(), INCIDENT, "incident-applied", &went_on).await;
    put.expect("on record");
    let guard = world.get("/shops/acme/guard", &bo).await;
    guard.assert_says(&["What was put back before", "/shops/acme/jobs/job-2"]);
    guard.assert_says(&["Review the way back", "/shops/acme/plans/plan-3"]);
    let overview = world.get("/shops/acme", &bo).await;
    overview.assert_says(&["Something did harm in your store"]);
    // No other plan could be made, and what the one of before undoes is undone.
    job(&world, "plan-2", "done", json!({"id": "job-2", "finished_at": fake::NOW})).await;
    (went_on["state"], went_on["plan"]) = (json!("stuck"), json!("plan-2"));
    let put = world.journal.put(&acme(), INCIDENT, "incident-applied", &went_on).await;
    put.expect("on record");
    let guard = world.get("/shops/acme/guard", &bo).await;
    guard.assert_says(&[
        "badge bad\">stuck<",
        "What was put back before",
        "/shops/acme/jobs/job-2",
    ]);
    assert!(!guard.text().contains("/shops/acme/plans/plan-2"), "{}", guard.text());
    let overview = world.get("/shops/acme", &bo).await;
    overview.assert_says(&["Something did harm in your store"]);
}
