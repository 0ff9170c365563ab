//! Jobs that were left at the worst moment, that run into a wall, or that somebody holds: what whoever
//! takes them up finds is put there as whoever had them would have left it.

use backstock_proto::ResourceId;
use backstock_proto::journal::{Journal as _, PAGE_LIMIT_MAX, Page};
use backstock_proto::merge;
use backstock_proto::publish::Records as _;
use serde_json::{Value, json};
use shopify::fault::Fault;
use shopify::gid::Gid;
use shopify::shop::Actor;

use super::world::{World, acme, now, reference, result, state};

/// The job that another restorer had, with what it put on record.
const LEFT: &str = "job-left";

/// Puts a job on record as a restorer left it that was killed.
async fn left(world: &World, plan: &str, steps: Value) {
    let job = json!({
        "id": LEFT, "plan": plan, "state": "running", "by": "test", "started_at": now(),
        "finished_at": null, "counts": {"pending": world.rows.len()}, "eta_seconds": null,
        "cost": 0.0, "began_at": now(),
    });
    let entry =
        |k: u64, steps: Value| json!({"by": "killed", "k": k, "attempt": 0, "steps": steps});
    let records = &world.history;
    records.put(&acme(), "job_steps", LEFT, &entry(0, json!(["taken"]))).await.expect("taken");
    records.put(&acme(), "job_steps", LEFT, &entry(1, steps)).await.expect("steps");
    records.put(&acme(), "job", LEFT, &job).await.expect("a job");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_before_a_kill_is_on_record_as_written_and_so_can_be_undone() {
    let mut world = World::new(61).await;
    let ids = world.shop.ids("UrlRedirect");
    let [changed, gone] = [&ids[0], &ids[1]];
    let now = world.shop.read("redirect", changed).await.expect("a redirect");
    world.changes(
        "redirect",
        changed,
        json!([{"path": "/target", "old": "/spoilt", "new": now["target"]}]),
    );
    world.deletes("redirect", gone);
    let state_of = world.shop.read("redirect", gone).await.expect("a redirect");
    world.shop.write("redirect", Some(&state_of), None).await.expect("deleted");
    world.planned("plan-a").await;
    // Both mutations were sent, and nobody lived to put down what came of them.
    left(&world, "plan-a", json!([{"begun": 0}, {"begun": 1}])).await;
    let job = world.restorer().over(LEFT).await;
    assert_eq!(state(&job), "done", "{job}");
    assert_eq!(result(&job, changed)["state"], "updated", "{job}");
    assert_eq!(result(&job, gone)["state"], "deleted", "{job}");
    let (_, booked) = world.booked().await;
    assert_eq!(booked, [changed, gone].map(ToString::to_string).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_was_made_anew_before_a_kill_is_not_made_once_more() {
    const DELETE: &str = "mutation Delete($product: ID!, $variants: [ID!]!) {
        productVariantsBulkDelete(productId: $product, variantsIds: $variants) { userErrors { message } }
    }";
    let mut world = World::new(77).await;
    let mut products = Vec::new();
    for id in world.shop.ids("Product") {
        products.push((id.clone(), world.shop.read("product", &id).await.expect("a product")));
    }
    let has_more = |was: &Value| was["variants"].as_array().expect("variants").len() > 2;
    let (id, was) = products.into_iter().find(|(_, was)| has_more(was)).expect("one with some");
    let gone = &was["variants"][1];
    world.shop.sent(DELETE, json!({"product": was["id"], "variants": [gone["id"]]})).await;
    let broken = world.shop.read("product", &id).await.expect("a product");
    let mut fields = merge::fields(&broken, &was);
    fields.retain(|field| ["options", "variants"].contains(&field.path.member()));
    world.changes("product", &id, json!(fields));
    // All of it was written, and nobody lived to say so.
    world.shop.write("product", Some(&broken), Some(&was)).await.expect("it comes back");
    let restored = world.shop.read("product", &id).await.expect("a product");
    world.planned("plan-a").await;
    world.shop.writes();
    left(&world, "plan-a", json!([{"begun": 0}])).await;
    let job = world.restorer().over(LEFT).await;
    assert_eq!((state(&job), &job["counts"]["updated"]), ("done", &json!(1)), "{job}");
    let writes = world.shop.writes();
    assert!(writes.iter().all(|write| write.mutation != "productVariantsBulkCreate"), "{job}");
    let is = world.shop.read("product", &id).await.expect("a product");
    assert_eq!(is["variants"], restored["variants"]);
    let page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
    let written = world.history.records(&acme(), "written", None, &page).await.expect("records");
    let ids = &written.items[0].payload["rows"][0]["ids"];
    let back = &restored["variants"][1];
    let item = |variant: &Value| variant["inventoryItem"]["id"].clone();
    let expected = [(gone["id"].clone(), back["id"].clone()), (item(gone), item(back))];
    for (old, new) in expected {
        assert_eq!(ids[old.as_str().expect("a gid")], new, "{ids}");
    }
}

/// The same job, which somebody has ended since.
async fn ended_since(world: &World, plan: &str, (status, attempt): (&str, u32)) {
    let job = json!({
        "id": LEFT, "plan": plan, "state": status, "by": "test", "started_at": now(),
        "finished_at": null, "counts": {"pending": world.rows.len()}, "eta_seconds": null,
        "cost": 0.0, "began_at": now(), "attempt": attempt,
    });
    let records = &world.history;
    records.put(&acme(), "job", LEFT, &job).await.expect("a job");
    let order = json!({"want": "cancel", "by": "test", "at": now()});
    records.put(&acme(), "job_order", LEFT, &order).await.expect("an order");
}

/// A plan that puts a redirect right, of which somebody has done so.
async fn put_right(world: &mut World) -> ResourceId {
    let id = world.shop.ids("UrlRedirect").remove(0);
    let now = world.shop.read("redirect", &id).await.expect("a redirect");
    let field = json!([{"path": "/target", "old": "/spoilt", "new": now["target"]}]);
    world.changes("redirect", &id, field);
    world.planned("plan-a").await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_off_in_the_middle_and_ended_then_is_on_record_as_written() {
    let mut world = World::new(72).await;
    let id = put_right(&mut world).await;
    left(&world, "plan-a", json!([{"begun": 0}])).await;
    ended_since(&world, "plan-a", ("queued", 0)).await;
    let process = world.restorer();
    let job = process.until(LEFT, |job| job["finished_at"].is_string()).await;
    assert_eq!(state(&job), "cancelled", "{job}");
    assert_eq!(result(&job, &id)["state"], "updated", "{job}");
    let (_, booked) = world.booked().await;
    assert_eq!(booked, [id.to_string()].into(), "an undo finds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_before_is_not_tried_again_once_that_is_ended() {
    let mut world = World::new(73).await;
    let id = put_right(&mut world).await;
    let now = world.shop.read("redirect", &id).await.expect("a redirect");
    let mut spoilt = now.clone();
    spoilt["target"] = json!("/spoilt");
    world.shop.write("redirect", Some(&now), Some(&spoilt)).await.expect("spoilt");
    world.shop.writes();
    let failed = json!({
        "n": 0, "kind": "redirect", "id": id, "title": "a redirect", "state": "failed",
    });
    left(&world, "plan-a", json!([{"begun": 0}, {"over": failed}])).await;
    ended_since(&world, "plan-a", ("running", 1)).await;
    let process = world.restorer();
    let job = process.until(LEFT, |job| job["finished_at"].is_string()).await;
    assert_eq!(state(&job), "cancelled", "{job}");
    assert_eq!(world.shop.writes().len(), 0, "{job}");
    assert_eq!(world.shop.read("redirect", &id).await, Some(spoilt));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_left_out_is_written_also_if_the_kill_came_once_the_new_id_was_on_record() {
    let mut world = World::new(62).await;
    let [(a, of_a), (b, _)] = world.two_pages_gone().await;
    // A is there again without its metafield: what that refers to is not.
    let mut bare = of_a.clone();
    bare["metafields"] = json!([]);
    world.shop.write("page", None, Some(&bare)).await.expect("made");
    let made = world.shop.ids("Page").pop().expect("a page");
    let gid = format!("gid://shopify/Page/{made}");
    let wrote = json!({
        "job": LEFT, "kind": "page", "id": made, "was": a, "ids": {of_a["id"].as_str().expect("a gid"): gid},
        "from": now(), "to": now(),
    });
    let batch = json!({"rows": [wrote]});
    world.history.put(&acme(), "written", "job-left.1.1.0", &batch).await.expect("on record");
    world.planned("plan-a").await;
    left(&world, "plan-a", json!([{"begun": 0}])).await;
    let job = world.restorer().over(LEFT).await;
    assert_eq!((state(&job), &job["counts"]["created"]), ("done", &json!(2)), "{job}");
    assert_eq!(result(&job, &a)["new_gid"], gid, "{job}");
    let new_b = result(&job, &b)["new_gid"].as_str().expect("a gid");
    let restored = world.shop.read("page", &made).await.expect("a page");
    assert_eq!(restored["metafields"][0]["value"], new_b, "{restored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_again_keeps_the_ids_of_the_first_time_on_record() {
    let mut world = World::new(63).await;
    let (page, redirect) =
        (world.shop.ids("Page").remove(0), world.shop.ids("UrlRedirect").remove(0));
    for (kind, id) in [("page", &page), ("redirect", &redirect)] {
        let state = world.shop.read(kind, id).await.expect("it is there");
        world.deleted(kind, id, &state).await;
    }
    // Somebody took the path of the redirect.
    let mut in_the_way = world.were[world.rows[1]["gid"].as_str().expect("a gid")].clone();
    in_the_way["target"] = json!("/in-the-way");
    world.shop.write("redirect", None, Some(&in_the_way)).await.expect("made");
    let in_the_way = world.shop.ids("UrlRedirect").pop().expect("a redirect");
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    let counts = (&job["counts"]["created"], &job["counts"]["failed"]);
    assert_eq!((state(&job), counts), ("failed", (&json!(1), &json!(1))), "{job}");
    let other = world.shop.read("redirect", &in_the_way).await.expect("a redirect");
    world.shop.write("redirect", Some(&other), None).await.expect("deleted");
    let id = job["id"].as_str().expect("an id");
    let (status, _) = process.post(&format!("/jobs/{id}/retry"), json!(null)).await;
    assert_eq!(status, 202);
    process.until(id, |job| state(job) == "done").await;
    let (were, _) = world.booked().await;
    assert_eq!(were, [page, redirect].map(|id| id.to_string()).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_halfway_is_on_record_as_written() {
    let mut world = World::new(64).await;
    let id = world.shop.ids("Page").remove(0);
    let page = world.shop.read("page", &id).await.expect("a page");
    let wrong = json!([{
        "namespace": "custom", "key": "n", "type": "number_integer", "value": "not a number",
    }]);
    world.changes(
        "page",
        &id,
        json!([
            {"path": "/title", "old": page["title"], "new": "As it was"},
            {"path": "/metafields", "old": page["metafields"], "new": wrong},
        ]),
    );
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["failed"]), ("failed", &json!(1)), "{job}");
    assert_eq!(world.shop.read("page", &id).await.expect("a page")["title"], "As it was");
    let (_, booked) = world.booked().await;
    assert_eq!(booked, [id.to_string()].into(), "an undo finds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_refers_to_something_that_is_made_anew_later_waits_for_it() {
    let mut world = World::new(65).await;
    let ids = world.shop.ids("Page");
    let [a, b] = [&ids[0], &ids[1]];
    let of_a = world.shop.read("page", a).await.expect("a page");
    let of_b = world.shop.read("page", b).await.expect("a page");
    let gid = of_b["id"].as_str().expect("a gid");
    let field = json!({"path": "/metafields", "old": of_a["metafields"], "new": [reference(gid)]});
    world.changes("page", a, json!([field]));
    world.deleted("page", b, &of_b).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!(state(&job), "done", "{job}");
    let new = result(&job, b)["new_gid"].as_str().expect("a gid");
    let restored = world.shop.read("page", a).await.expect("a page");
    assert_eq!(restored["metafields"][0]["value"], new, "{restored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_shop_ends_the_job_with_one_reason_and_it_goes_on_later() {
    let world = World::wrecked(66).await;
    world.planned("plan-a").await;
    world.shop.simulator.faults().often(Fault::Frozen, 1.0);
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    let all = world.rows.len();
    assert_eq!((&job["counts"]["failed"], &job["counts"]["pending"]), (&json!(0), &json!(all)));
    let why = job["reason"].as_str().expect("a reason");
    assert!(why.contains("acme") && why.contains("bill"), "{why}");
    world.shop.simulator.faults().often(Fault::Frozen, 0.0);
    let id = job["id"].as_str().expect("an id");
    let (status, job) = process.post(&format!("/jobs/{id}/retry"), json!(null)).await;
    assert_eq!((status, job.get("reason")), (202, None));
    let job = process.until(id, |job| state(job) == "done").await;
    world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_fails_alone() {
    let mut world = World::new(67).await;
    let ids = world.shop.ids("Page");
    for id in &ids {
        let page = world.shop.read("page", id).await.expect("a page");
        let field = json!({"path": "/title", "old": page["title"], "new": "As it was"});
        world.changes("page", id, json!([field]));
    }
    assert!(ids.len() > 1, "one page tells nothing of others");
    world.shop.simulator.act(Actor::Staff("Ada".into()), |shop| {
        let gid: Gid = format!("gid://shopify/Page/{}", ids[0]).parse().expect("a gid");
        shop.update(gid, |page| page["title"] = Value::Null)
    });
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!(job["counts"]["updated"], ids.len() - 1, "{job}");
    assert_eq!(result(&job, &ids[0])["state"], "failed", "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_is_not_whole_on_record_is_not_called_done() {
    let mut world = World::new(68).await;
    let id = world.shop.ids("UrlRedirect").remove(0);
    let target = world.shop.read("redirect", &id).await.expect("a redirect")["target"].clone();
    let field = json!({"path": "/target", "old": target, "new": "/elsewhere"});
    world.changes("redirect", &id, json!([field]));
    world.changes("redirect", &id, json!([field]));
    world.planned("plan-a").await;
    let some = json!([world.rows[0]]);
    world.history.put(&acme(), "plan_rows", "plan-a.0", &some).await.expect("a part");
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!(state(&job), "failed", "{job}");
    assert!(job["reason"].as_str().expect("a reason").contains("1 of the 2 rows"), "{job}");
    assert_eq!(world.shop.writes().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_which_a_piece_goes_while_it_is_applied_is_not_called_done() {
    let mut world = World::new(74).await;
    // No two neighbours are looked at together: of the plan only the next piece is read ahead.
    for n in 0..2 {
        let redirect = world.shop.ids("UrlRedirect").remove(n);
        let target = world.shop.read("redirect", &redirect).await.expect("one")["target"].clone();
        let field = json!({"path": "/target", "old": target, "new": "/elsewhere"});
        world.changes("redirect", &redirect, json!([field]));
        let page = world.shop.ids("Page").remove(n);
        let title = world.shop.read("page", &page).await.expect("a page")["title"].clone();
        let field = json!({"path": "/title", "old": title, "new": "As it was"});
        world.changes("page", &page, json!([field]));
    }
    world.planned_in_pieces("plan-a", 1).await;
    world.shop.writes();
    world.shop.fates(&[None]);
    world.shop.fates(&[Some(Fault::Throttled); 3]);
    let process = world.restorer();
    let job = process.apply("plan-a").await;
    world.until_begun(&job, 1).await;
    world.history.lose("plan_rows", "plan-a.2");
    let job = process.over(&job).await;
    let counts = (&job["counts"]["updated"], &job["counts"]["pending"]);
    assert_eq!((state(&job), counts), ("failed", (&json!(2), &json!(2))), "{job}");
    let why = job["reason"].as_str().expect("a reason");
    let id = job["id"].as_str().expect("an id");
    for named in ["piece 2 of plan plan-a", "acme", id] {
        assert!(why.contains(named), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_plan_is_not_whole_on_record_is_shown_as_far_and_not_undone_in_part() {
    let mut world = World::new(75).await;
    for id in world.shop.ids("UrlRedirect").into_iter().take(2) {
        let target = world.shop.read("redirect", &id).await.expect("one")["target"].clone();
        let field = json!({"path": "/target", "old": target, "new": "/elsewhere"});
        world.changes("redirect", &id, json!([field]));
    }
    world.planned_in_pieces("plan-a", 1).await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["updated"]), ("done", &json!(2)), "{job}");
    let writes = world.shop.writes().len();
    assert!(writes > 0, "{job}");
    world.history.lose("plan_rows", "plan-a.1");
    let path = format!("/jobs/{}", job["id"].as_str().expect("an id"));
    let is_why = |why: &Value| {
        why.as_str().is_some_and(|why| why.contains("piece 1 of plan plan-a of acme"))
    };
    let (status, problem) = process.post(&format!("{path}/undo"), json!(null)).await;
    assert!(status == 409 && is_why(&problem["detail"]), "{status}: {problem}");
    let window = format!("until {}", job["finished_at"].as_str().expect("its end"));
    assert!(problem["detail"].as_str().is_some_and(|why| why.ends_with(&window)), "{problem}");
    let is_listed = async |query: &str, rows: &[u64], next: Value, is_whole: bool| {
        let listed = process.get(&format!("{path}{query}")).await;
        assert_eq!((&listed["id"], state(&listed)), (&job["id"], "done"), "{listed}");
        let items = listed["rows"]["items"].as_array().expect("rows");
        let ns: Vec<u64> = items.iter().filter_map(|row| row["n"].as_u64()).collect();
        assert_eq!(ns, rows, "{listed}");
        assert_eq!(listed["rows"]["next"], next, "{listed}");
        let untold = &listed["untold"];
        assert!(if is_whole { untold.is_null() } else { is_why(untold) }, "{listed}");
    };
    is_listed("", &[0], Value::Null, false).await;
    is_listed("?limit=1", &[0], json!("1"), true).await;
    is_listed("?limit=1&cursor=1", &[], Value::Null, false).await;
    is_listed("?state=pending", &[], Value::Null, false).await;
    world.history.lose("plan", "plan-a");
    let listed = process.get(&path).await;
    let untold = "plan plan-a of acme.myshopify.com is not on record any more";
    assert_eq!((state(&listed), &listed["untold"]), ("done", &json!(untold)), "{listed}");
    let (status, problem) = process.post(&format!("{path}/undo"), json!(null)).await;
    assert_eq!((status, &problem["status"]), (409, &json!(409)), "{problem}");
    assert_eq!(world.shop.writes().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_while_a_job_stood_still_is_left_alone() {
    let mut world = World::new(69).await;
    let some = world.shop.read("redirect", &world.shop.ids("UrlRedirect")[0]).await.expect("one");
    for n in 0..25 {
        let mut more = some.clone();
        more["path"] = json!(format!("/standing-{n:02}"));
        world.shop.write("redirect", None, Some(&more)).await.expect("made");
    }
    let mut ids = Vec::new();
    for id in world.shop.ids("UrlRedirect") {
        let redirect = world.shop.read("redirect", &id).await.expect("a redirect");
        if redirect["path"].as_str().is_some_and(|path| path.starts_with("/standing-")) {
            let field = json!({"path": "/target", "old": redirect["target"], "new": "/as-it-was"});
            world.changes("redirect", &id, json!([field]));
            ids.push(id);
        }
    }
    // The last of those that are looked at together is not among those that are written at once.
    let last = ids.last().expect("one").clone();
    world.planned("plan-a").await;
    world.shop.writes();
    world.shop.fates(&[None]);
    world.shop.fates(&[Some(Fault::Throttled); 72]);
    let process = world.restorer();
    let job = process.apply("plan-a").await;
    world.until_begun(&job, 24).await;
    let (status, _) = process.post(&format!("/jobs/{job}/pause"), json!(null)).await;
    assert_eq!(status, 202);
    process.until(&job, |job| job["counts"]["updated"] == 24 && state(job) == "paused").await;
    let was = world.shop.read("redirect", &last).await.expect("a redirect");
    let mut edited = was.clone();
    edited["target"] = json!("/by-hand");
    world.shop.write("redirect", Some(&was), Some(&edited)).await.expect("edited");
    let (status, _) = process.post(&format!("/jobs/{job}/resume"), json!(null)).await;
    assert_eq!(status, 202);
    let job = process.over(&job).await;
    assert_eq!((state(&job), &job["counts"]["conflict"]), ("done", &json!(1)), "{job}");
    assert_eq!(world.shop.read("redirect", &last).await, Some(edited));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whom_nothing_names_is_made_once_although_no_answer_comes() {
    let mut world = World::new(71).await;
    let known = json!({"firstName": "Ada", "lastName": "Byron", "note": "at the counter"});
    world.shop.write("customer", None, Some(&known)).await.expect("made");
    let id = world.shop.ids("Customer").pop().expect("a customer");
    let state_of = world.shop.read("customer", &id).await.expect("a customer");
    assert_eq!((&state_of["email"], &state_of["phone"]), (&Value::Null, &Value::Null));
    world.deleted("customer", &id, &state_of).await;
    let others = world.shop.ids("Customer").len();
    world.planned("plan-a").await;
    // It is looked at, and for; then it is made.
    world.shop.fates(&[None, None, Some(Fault::Lost)]);
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["created"]), ("done", &json!(1)), "{job}");
    assert_eq!(world.shop.ids("Customer").len() - others, 1, "{job}");
}
