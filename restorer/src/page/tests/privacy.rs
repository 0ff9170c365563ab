//! What people asked about their own data, and one who is erased.

use backstock_proto::erase::{DATA_REQUEST, ERASURE};

use super::*;

const ERASE: &str = "/shops/acme/privacy/erase";

/// Shopify tells at that moment that a customer wants to know what is kept of them.
fn asked(fake: &mut Fake, customer: &str, at: &str) {
    let told = json!({"customer": {"id": customer}, "orders_requested": [409]});
    fake.make("customer_data_request", customer, at, &told);
}

fn of(fake: Fake) -> World {
    world_of(Config::default(), fake, vec![admin()])
}

async fn erasures(world: &World, cookie: &str) -> Value {
    let erasures = world.get("/v1/shops/acme/erasures", cookie).await;
    let erasures: Value = serde_json::from_slice(&erasures.bytes).expect("json");
    erasures["items"].clone()
}

#[tokio::test]
async fn what_people_asked_for_stands_with_how_long_there_is() {
    let mut fake = Fake::believable();
    for (customer, at) in [
        ("301", "2026-10-20T09:00:00Z"),
        ("302", "2026-11-20T12:00:00Z"),
        ("303", "2026-11-01T12:00:00Z"),
        ("304", "2026-11-01T12:00:00Z"),
    ] {
        asked(&mut fake, customer, at);
    }
    let world = of(fake);
    let answer = |at: &str| json!({"customer": "303", "answered_at": at, "answered_by": "Bo"});
    let wish = |whom: Value, at: &str| json!({"whom": whom, "via": "webhook", "requested_at": at});
    for (what, id, payload) in [
        (DATA_REQUEST, "customer-303", answer("2026-11-03T09:00:00Z")),
        (ERASURE, "customer-304", wish(json!({"customer": "304"}), "2026-11-02T08:00:00Z")),
        (ERASURE, "shop", wish(json!("shop"), "2026-10-22T12:00:00Z")),
    ] {
        world.journal.put(&acme(), what, id, &payload).await.expect("on record");
    }
    let ada = world.signed_in("Ada").await;
    let page = world.get("/shops/acme/privacy", &ada).await;
    page.assert_says(&[
        "Customer 301 asks what is kept of them",
        "badge bad\">overdue by 3 days<",
        "Download what is kept of customer 301",
        "badge notice\">due in 28 days<",
        "<strong>Bo</strong> read it out",
        "badge good\">answered<",
        "They are forgotten, so there is nothing to tell.",
        "Customer 304 is to be forgotten",
        "What went: 9 versions of 4 things, 1 record of plans, jobs and the like, 12 messages on the stream.",
        "The whole shop is to be forgotten",
        "badge bad\">overdue by 1 day<",
        "backstock erase --shop acme",
    ]);
    let text = page.text();
    assert!(!text.contains("Download what is kept of customer 304"));
    assert!(!text.contains("Byron") && !text.contains("ada@example.com"), "numbers are enough");
    // What is late is first, and what is done is last.
    let place = |said: &str| text.find(said).expect("on the page");
    let order = ["Customer 301 asks", "The whole shop is", "Customer 302 asks", "Customer 304 is"];
    assert!(order.map(place).is_sorted(), "{text}");
}

#[tokio::test]
async fn who_asks_again_has_waited_since_they_first_asked_without_an_answer() {
    let mut fake = Fake::believable();
    for (customer, at) in [
        ("301", "2026-10-20T09:00:00Z"),
        ("302", "2026-10-10T12:00:00Z"),
        ("302", "2026-11-05T12:00:00Z"),
        ("301", "2026-11-20T12:00:00Z"),
        ("302", "2026-11-20T12:00:00Z"),
    ] {
        asked(&mut fake, customer, at);
    }
    let world = of(fake);
    let answer = json!({"customer": "302", "answered_at": "2026-10-12T09:00:00Z"});
    world.journal.put(&acme(), DATA_REQUEST, "customer-302", &answer).await.expect("on record");
    let ada = world.signed_in("Ada").await;
    let page = world.get("/shops/acme/privacy", &ada).await;
    page.assert_says(&["badge bad\">overdue by 3 days<", "badge notice\">due in 13 days<"]);
    let requests = world.get("/v1/shops/acme/data-requests", &ada).await;
    let requests: Value = serde_json::from_slice(&requests.bytes).expect("json");
    let since =
        |n: usize| (&requests["items"][n]["customer"], &requests["items"][n]["requested_at"]);
    assert_eq!(since(0), (&json!("301"), &json!("2026-10-20T09:00:00Z")));
    assert_eq!(since(1), (&json!("302"), &json!("2026-11-05T12:00:00Z")));
}

#[tokio::test]
async fn of_much_that_was_asked_all_is_to_be_had() {
    let mut fake = Fake::believable();
    for n in 0..60 {
        asked(&mut fake, &(1_000 + n).to_string(), &format!("2026-11-21T10:{n:02}:00Z"));
    }
    let world = of(fake);
    let ada = world.signed_in("Ada").await;
    let first = world.get("/shops/acme/privacy", &ada).await;
    first.assert_says(&["Customer 1000 asks", "Customer 1049 asks"]);
    assert!(!first.text().contains("Customer 1050 asks"));
    let second = world.get(&whole::next(&first), &ada).await;
    second.assert_says(&["Customer 1050 asks", "Customer 1059 asks", "Back to the beginning"]);
}

#[tokio::test]
async fn a_customer_is_erased_once_the_page_has_said_what_goes() {
    let mut fake = Fake::believable();
    let order = json!({
        "id": "gid://shopify/Order/402", "name": "#1002",
        "customer": {"id": "gid://shopify/Customer/301"},
    });
    fake.make("order", "402", "2026-11-20T11:00:00Z", &order);
    let world = of(fake);
    let (ada, bo) = (world.signed_in("Ada").await, world.signed_in("Bo").await);
    let address = "https%3A%2F%2Fadmin.shopify.com%2Fstore%2Facme%2Fcustomers%2F301";
    let page = world.get(&format!("{ERASE}?customer={address}"), &ada).await;
    page.assert_says(&[
        "1 customer, but for the number",
        "Whatever speaks of them in 1 order",
        "2 in all",
        "/shops/acme/resources/customer/301\">See who it is",
        "What cannot be undone",
        "Erase customer 301 for good",
    ]);
    assert!(!page.text().contains("Byron"));
    let nobody = world.get(&format!("{ERASE}?customer=77"), &ada).await;
    nobody.assert_says(&["Nothing that is kept names them", "Erase customer 77 for good"]);
    for wrong in ["", "Ada", "gid%3A%2F%2Fshopify%2FOrder%2F301"] {
        let refused = world.get(&format!("{ERASE}?customer={wrong}"), &ada).await;
        assert_eq!(refused.status, 400);
        refused.assert_says(&["names no customer"]);
    }
    for (who, form, status) in [(&bo, "customer=301", 403), (&ada, "customer=Ada", 400)] {
        assert_eq!(world.send(ERASE, who, form).await.status, status);
    }
    let unsealed = world.ask(("POST", ERASE), &ada, "customer=301").await;
    assert_eq!(unsealed.status, 403, "without the form's seal");
    for path in ["/shops/acme/privacy", "/shops/acme/privacy/erase?customer=301"] {
        assert_eq!(world.get(path, &bo).await.status, 403, "{path}");
    }
    assert!(!world.get("/shops/acme/guard", &bo).await.text().contains("/shops/acme/privacy"));
    assert_eq!(erasures(&world, &ada).await, json!([]), "nothing was erased yet");

    let sent = world.send(ERASE, &ada, "customer=301").await;
    assert_eq!((sent.status, sent.said("location")), (303, "/shops/acme/privacy"));
    assert_eq!(erasures(&world, &ada).await[0]["whom"], json!({"customer": "301"}));
    let page = world.get("/shops/acme/privacy", &ada).await;
    page.assert_says(&["Customer 301 is to be forgotten", "Asked by Ada", "It is under way."]);
    let on_record = world.audit(&ada).await;
    let ended = |entry: &Value| {
        let deed = &entry["deed"];
        deed["what"] == "erase" && deed["who"] == "Ada" && deed["status"] == 202
    };
    assert!(on_record.iter().any(ended), "{on_record:?}");
}

#[tokio::test]
async fn who_asks_is_given_what_is_kept_of_them_in_a_file() {
    let mut fake = Fake::believable();
    asked(&mut fake, "301", "2026-11-20T12:00:00Z");
    // Nothing in it says whose it is; Shopify names it.
    let order = json!({"id": "gid://shopify/Order/409", "name": "#1009"});
    fake.remember("order", "409", "2026-11-01T09:00:00Z", &order);
    let world = of(fake);
    let (ada, bo) = (world.signed_in("Ada").await, world.signed_in("Bo").await);
    let path = "/shops/acme/privacy/held";
    assert_eq!(world.send(path, &bo, "customer=301").await.status, 403);
    assert_eq!(world.ask(("POST", path), &ada, "customer=301").await.status, 403);
    let file = world.send(path, &ada, "customer=301").await;
    assert_eq!((file.status, file.said("content-type")), (200, "application/x-ndjson"));
    let named = file.said("content-disposition");
    assert!(named.starts_with("attachment") && named.contains("acme-customer-301.ndjson"));
    let text = file.text();
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("json")).collect();
    assert_eq!((&lines[0]["kind"], &lines[0]["id"]), (&json!("customer"), &json!("301")));
    assert!(lines.iter().any(|line| line["kind"] == "order" && line["id"] == "409"), "{text}");
    assert_eq!(lines.last(), Some(&json!({"end": true, "count": 2})));
    let page = world.get("/shops/acme/privacy", &ada).await;
    page.assert_says(&["badge good\">answered<", "<strong>Ada</strong> read it out"]);
    assert!(world.audit(&ada).await.iter().any(|entry| entry["deed"]["what"] == "data_request"));
}
