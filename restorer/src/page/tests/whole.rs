//! Where a page does not show all, it says so, and all of it is to be had.

use backstock_proto::Timestamp;

use super::*;

/// Where a page's list goes on.
#[track_caller]
fn next(page: &Answer) -> String {
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
