//! Plans applied to a simulated shop: once, whatever happens on the way.

mod anew;
mod approved;
mod bulk;
mod consent;
mod interrupted;
mod stocked;
mod themes;
mod waiting;
mod world;

use serde_json::{Value, json};
use shopify::fault::Fault;
use world::{TOKEN, World, done, state};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_applied_and_a_second_time_there_is_nothing_to_do() {
    let world = World::wrecked(11).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!(state(&job), "done", "{job}");
    let (pages, all) =
        (world.were.iter().filter(|(id, _)| id.contains("/Page/")).count(), world.rows.len());
    assert_eq!(job["counts"]["created"], pages);
    assert_eq!(job["counts"]["updated"], all - pages);
    assert_eq!(job["progress"], 1.0);
    world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
    assert_eq!(world.shop.writes().len(), all, "each row is one mutation");

    let again = process.over(&process.apply("plan-a").await).await;
    assert_eq!(again["counts"]["skipped"], all, "{again}");
    assert_eq!(world.shop.writes().len(), 0);
    let jobs = process.get("/jobs").await;
    assert_eq!(jobs["items"].as_array().expect("jobs").len(), 2);
    let rows = process.registry.gather();
    let rows = rows.iter().find(|m| m.name() == "backstock_restorer_rows_total").expect("rows");
    assert_eq!(rows.get_metric().len(), 6, "every series is there");

    let audit = process.get("/audit").await;
    assert_eq!(audit["chain"], json!({"whole": true, "entries": 4}));
    assert_eq!(audit["items"][0]["deed"]["what"], "apply");
    assert_eq!(audit["items"][0]["deed"]["status"], 202);
    assert_eq!(audit["items"][1]["deed"]["who"], "test");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_another_plan_or_twice_is_told() {
    let world = World::wrecked(12).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let (status, said) = process.post("/plans/plan-a/apply", json!({"digest": "other"})).await;
    assert_eq!(
        (status, said["detail"].as_str().unwrap().contains("digest of plan-a")),
        (409, true)
    );
    let (status, _) = process.post("/plans/plan-b/apply", json!({"digest": "other"})).await;
    assert_eq!(status, 404);
    let keyed = || async {
        let asked = process.http.post(format!("{}/plans/plan-a/apply", process.base));
        let asked = asked.header("Idempotency-Key", "k1").bearer_auth(TOKEN);
        let answer = asked.json(&json!({"digest": "digest of plan-a"})).send().await.unwrap();
        let bytes = answer.bytes().await.unwrap();
        serde_json::from_slice::<Value>(&bytes).unwrap()["id"].clone()
    };
    let (a, b) = tokio::join!(keyed(), keyed());
    assert_eq!(a, b);
    let job = process.over(a.as_str().expect("an id")).await;
    assert_eq!(process.get("/jobs").await["items"].as_array().expect("jobs").len(), 1);
    let id = job["id"].as_str().unwrap();
    let (status, _) = process.post(&format!("/jobs/{id}/cancel"), json!(null)).await;
    assert_eq!(status, 409, "it is over");
    let undo = process.http.post(format!("{}/jobs/{id}/undo", process.base));
    let undo = undo.header("Idempotency-Key", "k1").bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(undo.status(), 409, "another job was shown as the one that takes it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_meanwhile_is_left_alone() {
    let world = World::wrecked(13).await;
    let id = world.shop.ids("UrlRedirect").remove(0);
    let was = world.shop.read("redirect", &id).await.expect("a redirect");
    let mut other = was.clone();
    other["target"] = json!("/by-hand");
    world.shop.write("redirect", Some(&was), Some(&other)).await.expect("changed");
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert_eq!((state(&job), &job["counts"]["conflict"]), ("done", &json!(1)), "{job}");
    assert_eq!(world.shop.read("redirect", &id).await, Some(other));
    let path = format!("/jobs/{}?state=conflict", job["id"].as_str().unwrap());
    let rows = process.get(&path).await["rows"]["items"].clone();
    assert_eq!(rows.as_array().expect("rows").len(), 1);
    assert!(rows[0]["reason"].as_str().unwrap().contains("/by-hand"), "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restorer_that_is_killed_again_and_again_makes_nothing_twice() {
    let mut interrupted = 0;
    for seed in 0..5 {
        let world = World::wrecked(20 + seed).await;
        world.planned("plan-a").await;
        // Calls wait for points, so that there is something to interrupt.
        world.shop.simulator.faults().often(Fault::Throttled, 0.5);
        let mut process = world.restorer();
        let job = process.apply("plan-a").await;
        for reached in [1, 2, 3, 5, 8] {
            let reached = reached + usize::try_from(seed).unwrap();
            let seen = process
                .until(&job, |seen| {
                    let written = world.shop.simulator.shop().writes.len();
                    written >= reached || state(seen) == "done"
                })
                .await;
            process.kill();
            interrupted += usize::from(state(&seen) != "done");
            process = world.restorer();
        }
        world.shop.simulator.faults().often(Fault::Throttled, 0.0);
        let job = process.over(&job).await;
        assert_eq!(
            (job["counts"]["failed"].as_u64(), job["counts"]["conflict"].as_u64()),
            (Some(0), Some(0)),
            "{job}"
        );
        world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
        let again = process.over(&process.apply("plan-a").await).await;
        assert_eq!(again["counts"]["skipped"], world.rows.len(), "{again}");
    }
    assert!(interrupted > 0, "every job was over before the first kill");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_fails_at_every_third_call_gets_everything_once() {
    let world = World::wrecked(31).await;
    world.planned("plan-a").await;
    let faults = [Fault::Internal, Fault::Lost, Fault::Throttled];
    // Each of them once for certain, and more by chance.
    world.shop.fates(&faults.map(|fault| [None, None, Some(fault)]).concat());
    for fault in faults {
        world.shop.simulator.faults().often(fault, 0.1);
    }
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    for fault in faults {
        world.shop.simulator.faults().often(fault, 0.0);
    }
    let struck = world.shop.simulator.faults().struck().clone();
    assert!(faults.iter().all(|fault| struck.contains_key(fault)), "{struck:?}");
    assert_eq!(state(&job), "done", "{job}");
    world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_stands_still_goes_on_and_ends_when_told_and_the_rest_can_be_taken_up() {
    let world = World::wrecked(41).await;
    world.planned("plan-a").await;
    world.shop.simulator.faults().often(Fault::Throttled, 0.6);
    let process = world.restorer();
    let job = process.apply("plan-a").await;
    let (status, _) = process.post(&format!("/jobs/{job}/pause"), json!(null)).await;
    assert_eq!(status, 202);
    process.until(&job, |job| state(job) == "paused").await;
    let (status, _) = process.post(&format!("/jobs/{job}/cancel"), json!(null)).await;
    assert_eq!(status, 202);
    let seen = process.over(&job).await;
    assert_eq!(state(&seen), "cancelled");
    assert!(done(&seen) < world.rows.len() as u64, "it ended before it was told to: {seen}");
    world.shop.simulator.faults().often(Fault::Throttled, 0.0);
    let (status, _) = process.post(&format!("/jobs/{job}/retry"), json!(null)).await;
    assert_eq!(status, 202);
    let seen = process.until(&job, |job| state(job) == "done").await;
    world.assert_restored(seen["rows"]["items"].as_array().expect("rows")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_stands_still_lets_others_go_first() {
    let world = World::wrecked(43).await;
    world.planned("plan-a").await;
    world.shop.simulator.faults().often(Fault::Throttled, 0.6);
    let process = world.restorer();
    let still = process.apply("plan-a").await;
    let (status, _) = process.post(&format!("/jobs/{still}/pause"), json!(null)).await;
    assert_eq!(status, 202);
    process.until(&still, |job| state(job) == "paused").await;
    world.shop.simulator.faults().often(Fault::Throttled, 0.0);
    let other = process.over(&process.apply("plan-a").await).await;
    assert_eq!(state(&other), "done", "{other}");
    world.assert_restored(other["rows"]["items"].as_array().expect("rows")).await;
    let seen = process.until(&still, |_| true).await;
    assert_eq!(state(&seen), "paused", "{seen}");
    let (status, _) = process.post(&format!("/jobs/{still}/resume"), json!(null)).await;
    assert_eq!(status, 202);
    assert_eq!(state(&process.over(&still).await), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_is_told_until_the_end() {
    let world = World::wrecked(51).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.apply("plan-a").await;
    let asked = process.http.get(format!("{}/jobs/{job}/events", process.base));
    let told = asked.bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    let last = told.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("event: end") && last.contains("\"state\":\"done\""), "{told}");
}
