//! What is to be restored, what is restored, and how it ended.

use crate::canned::{self, Server};
use crate::{asking, run, said};

#[test]
fn a_plan_is_shown_row_by_row_with_what_to_do_next() {
    let server = Server::start();
    let text = said(&server, &["plan", "--at", "2026-11-20 14:00"]);
    for line in [
        "Plan plan-0193-5f2a: back to 2026-11-20 14:00:00\n",
        "+ Old Mug (product 13) as of 2026-11-20 14:00:00  row 0\n",
        "~ Enamel Mug (product 8072139866342)  row 1\n",
        "    variants › ProductVariant 2 › price  0.95 → 9.50\n",
        "    variants › L (MUG-L)  — → title L, sku MUG-L, price 10.00\n",
        "    = tags  b, new, changed later\n",
        "! Main menu (menu 4)\n",
        "    ! handle  the handles of the default menus are fixed\n",
        "= About us (page 5)\n",
        "- Spam (page 6)  row 4\n",
        "1 to create, 1 to update, 1 to delete, 1 kept, 1 that cannot be written, 1,200 as wanted",
        "* 1 product is made anew, with new ids.\n",
        "  backstock apply --shop acme plan-0193-5f2a\n",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
    let none = said(&server, &["plan", "plan-none"]);
    assert!(none.contains("Nothing to do") && !none.contains("apply"), "{none}");
    let json = said(&server, &["plan", "--from", "2026-11-20", "--json"]);
    assert_eq!(json.trim_end(), server.last_body());
    let (code, text) = run(asking(&server, &["plan"]));
    assert_eq!(code, 2);
    assert!(text.contains("--at"), "{text}");
}

#[test]
fn whoever_watches_a_job_outlasts_a_restart() {
    let server = Server::start();
    insta::assert_snapshot!(said(&server, &["job", "job-0193-5f2a", "--watch"]), @"
    job-0193-5f2a is done
             1 updated
    To take back what it wrote: backstock undo --shop acme job-0193-5f2a
    ");
    let looks = server.asked().iter().filter(|asked| asked.contains("/jobs/")).count();
    assert_eq!(looks, canned::AWAY + 1);
}

#[test]
fn a_jobs_json_has_all_of_its_rows() {
    let server = Server::start();
    let (code, text) = run(asking(&server, &["job", "job-long", "--json"]));
    let job: serde_json::Value = serde_json::from_str(&text).expect("a job");
    let rows = job["rows"]["items"].as_array().expect("rows");
    let rows: Vec<u64> = rows.iter().filter_map(|row| row["n"].as_u64()).collect();
    assert_eq!((code, rows), (1, vec![0, 1, 2]));
    assert!(job["rows"]["next"].is_null());
}

#[test]
fn jobs_are_listed_by_when_they_were_asked_for() {
    let server = Server::start();
    let text = said(&server, &["jobs"]);
    let titles = text.lines().next().unwrap_or_default();
    assert!(titles.trim_end().ends_with("  Asked for"), "{text}");
    assert!(text.contains("job-0193-5f2a") && text.contains("  2026-11-23 15:30:00"), "{text}");
}

#[test]
fn rows_that_cannot_be_told_are_said_to_be_missing() {
    let server = Server::start();
    let why = "piece 1 of plan plan-0193-5f2a of acme";
    let (code, text) = run(asking(&server, &["job", "job-torn"]));
    assert!(code == 1 && text.contains("not every row can be shown: piece 1"), "{code}: {text}");
    let (_, text) = run(asking(&server, &["job", "job-torn", "--json"]));
    let job: serde_json::Value = serde_json::from_str(&text).expect("a job");
    assert!(job["untold"].as_str().is_some_and(|said| said.contains(why)), "{text}");
}

#[test]
fn a_job_with_conflicts_ends_with_3() {
    let server = Server::start();
    let (code, text) = run(asking(&server, &["job", "job-conflict"]));
    assert!(code == 3 && text.contains("/title is \"Cup\""), "{code}: {text}");
    let (code, text) = run(asking(&server, &["job", "job-conflict", "--json"]));
    assert!(code == 3 && text.contains("\"conflict\""), "{code}: {text}");
}

#[test]
fn a_plan_that_nobody_can_be_asked_about_is_applied_at_once() {
    let server = Server::start();
    let text = said(&server, &["apply", "plan-0193-5f2a", "--json"]);
    let job: serde_json::Value = serde_json::from_str(&text).expect("a job");
    assert_eq!(job["state"], "done");
    assert_eq!(server.last_said()["digest"], "8f4e");
}

#[test]
fn a_rollback_that_nobody_can_be_asked_about_begins_at_once() {
    let server = Server::start();
    let text = said(&server, &["rollback", "--change-set", "cs-6437f0a2b1c40-1a2f"]);
    assert!(text.contains("job-0193-5f2a is done"), "{text}");
    assert_eq!(server.last_said()["dry_run"], false);
    let text = said(&server, &["rollback", "--app", "Bulk Editor", "--dry-run"]);
    for hint in ["plan --shop acme plan-0193-5f2a", "apply --shop acme plan-0193-5f2a"] {
        assert!(text.contains(&format!(": backstock {hint}")), "no {hint:?} in {text}");
    }
    assert_eq!(server.last_said()["dry_run"], true);
    let text = said(&server, &["rollback", "--app", "Bulk Editor", "--no-wait"]);
    assert!(text.contains("backstock job --shop acme job-0193-5f2a --watch"), "{text}");
}
