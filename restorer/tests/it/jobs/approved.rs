//! Where a shop asks for a second person, nobody writes to it alone.

use backstock_restorer::Config;
use serde_json::{Value, json};

use super::world::{OTHER, Process, TOKEN, World, acme, state};

fn second_person() -> Config {
    Config { second_person: [acme()].into(), ..Config::default() }
}

async fn approve(process: &Process, token: &str, job: &str) -> (u16, Value) {
    process.ask_as(token, reqwest::Method::POST, &format!("/jobs/{job}/approve"), None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_begins_when_another_person_has_said_yes() {
    let world = World::wrecked(61).await;
    world.planned("plan-a").await;
    let mut process = world.restorer_with(second_person());
    let job = process.apply("plan-a").await;
    let (status, said) = approve(&process, TOKEN, &job).await;
    assert_eq!(status, 403, "{said}");
    assert!(said["detail"].as_str().unwrap().contains("another person"), "{said}");
    // What else somebody can say of a job is no approval, and a restart is none.
    for what in ["pause", "resume"] {
        assert_eq!(process.post(&format!("/jobs/{job}/{what}"), json!(null)).await.0, 202);
    }
    process.kill();
    let process = world.restorer_with(second_person());
    // One that nobody has to approve is not held up by it, and shows that jobs are worked at.
    let other = process.apply("plan-a").await;
    assert_eq!(process.post(&format!("/jobs/{other}/cancel"), json!(null)).await.0, 202);
    process.until(&other, |job| !job["finished_at"].is_null()).await;
    assert_eq!(approve(&process, OTHER, &other).await.0, 409, "it was ended");
    let waits = process.get(&format!("/jobs/{job}")).await;
    assert_eq!((state(&waits), &waits["approval"]), ("queued", &json!({"by": null, "at": null})));
    assert_eq!(world.shop.writes().len(), 0);

    let (status, approved) = approve(&process, OTHER, &job).await;
    assert_eq!((status, &approved["approval"]["by"]), (202, &json!("other")), "{approved}");
    let job = process.over(&job).await;
    assert_eq!((state(&job), &job["approval"]["by"]), ("done", &json!("other")), "{job}");
    world.assert_restored(job["rows"]["items"].as_array().expect("rows")).await;
    let id = job["id"].as_str().expect("an id");
    assert_eq!(approve(&process, OTHER, id).await.0, 409, "it is over");
    let audit = process.get("/audit").await;
    let deeds = audit["items"].as_array().expect("deeds");
    let by = |who: &str, status: u16| {
        deeds.iter().any(|entry| {
            let deed = &entry["deed"];
            (&deed["what"], &deed["who"], &deed["status"])
                == (&json!("approve"), &json!(who), &json!(status))
        })
    };
    assert!(by("test", 403) && by("other", 202), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_none_is_asked_for_there_is_nothing_to_approve() {
    let world = World::wrecked(62).await;
    world.planned("plan-a").await;
    let process = world.restorer();
    let job = process.over(&process.apply("plan-a").await).await;
    assert!(state(&job) == "done" && job.get("approval").is_none(), "{job}");
    assert_eq!(approve(&process, OTHER, job["id"].as_str().expect("an id")).await.0, 409);
}
