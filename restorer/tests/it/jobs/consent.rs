//! Who agreed to marketing since stays subscribed when a shop goes back to a time, and is unsubscribed
//! where an app had said so in their name.

use std::sync::Arc;

use backstock_proto::ResourceId;
use serde_json::{Value, json};
use shopify::gid::Gid;

use super::world::{Process, World, ago, state};

/// An app that subscribes people.
const APP: &str = "List Grower";
const CONSENT: &str = "/emailMarketingConsent/marketingState";

/// A customer whose note was another one and who wanted no e-mail until ten minutes ago; an app may have
/// made it so.
async fn subscribed(seed: u64, by: Option<&str>) -> (World, ResourceId) {
    let mut world = World::new(seed).await;
    let mut found = None;
    for id in world.shop.ids("Customer") {
        let is = world.shop.read("customer", &id).await.expect("a customer");
        if is["emailMarketingConsent"]["marketingState"] == "NOT_SUBSCRIBED" {
            found = Some((id, is));
            break;
        }
    }
    let (id, mut before) = found.expect("somebody who is not subscribed");
    before["note"] = json!("Likes tea");
    let gid = format!("gid://shopify/Customer/{id}");
    world.shop.simulator.shop().set_email_consent(gid.parse::<Gid>().expect("a gid"), true);
    let after = world.shop.read("customer", &id).await.expect("a customer");
    let then = ago(10);
    let history = Arc::get_mut(&mut world.history).expect("nobody reads it yet");
    history.remember("customer", id.as_str(), &ago(60), &before);
    history.remember("customer", id.as_str(), &then, &after);
    if let Some(app) = by {
        history.log(app, "update", &gid, &then);
    }
    (world, id)
}

async fn plan(process: &Process, request: Value) -> Value {
    let (status, plan) = process.post("/plans", request).await;
    assert_eq!(status, 201, "{plan}");
    plan
}

async fn apply(process: &Process, plan: &Value) {
    let job = process.applied(plan, &[]).await;
    assert_eq!((state(&job), &job["counts"]["updated"]), ("done", &json!(1)), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_goes_back_to_a_time_and_consent_given_since_stays() {
    let (world, id) = subscribed(91, None).await;
    let process = world.restorer();
    let whole = plan(&process, json!({"at": ago(30)})).await;
    let row = &whole["rows"][0];
    assert_eq!(row["fields"].as_array().map(Vec::len), Some(1), "{row}");
    assert_eq!(row["fields"][0]["path"], "/note", "{row}");
    assert_eq!(row["unwritable"].as_array().map(Vec::len), Some(1), "{row}");
    assert_eq!(row["unwritable"][0]["path"], CONSENT, "{row}");
    let said = whole["consequences"].to_string();
    assert!(
        said.contains("1 field cannot be written: consent to marketing was given since"),
        "{said}"
    );
    apply(&process, &whole).await;
    let is = world.shop.read("customer", &id).await.expect("a customer");
    assert_eq!(is["note"], "Likes tea");
    assert_eq!(is["emailMarketingConsent"]["marketingState"], "SUBSCRIBED");

    // It is withdrawn by who asks for exactly that.
    let select = json!({"kinds": ["customer"], "fields": ["emailMarketingConsent"]});
    let asked = plan(&process, json!({"at": ago(30), "select": select})).await;
    let field = json!({"path": CONSENT, "old": "SUBSCRIBED", "new": "UNSUBSCRIBED"});
    assert_eq!(asked["rows"][0]["fields"], json!([field]));
    apply(&process, &asked).await;
    let is = world.shop.read("customer", &id).await.expect("a customer");
    assert_eq!(is["emailMarketingConsent"]["marketingState"], "UNSUBSCRIBED");
    world.shop.assert_simulated();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_subscribed_by_an_app_is_unsubscribed_with_it_and_not_listed_again() {
    let (mut world, id) = subscribed(92, Some(APP)).await;
    let process = world.restorer();
    let (app, time) = (json!({"app": APP, "from": ago(20)}), json!({"at": ago(30)}));
    let undo = plan(&process, app.clone()).await;
    let field = json!({"path": CONSENT, "old": "SUBSCRIBED", "new": "UNSUBSCRIBED"});
    let fields = undo["rows"][0]["fields"].as_array().expect("fields");
    assert!(fields.contains(&field), "{undo}");
    let said = undo["consequences"].to_string();
    assert!(said.contains("1 customer is unsubscribed from marketing"), "{said}");
    apply(&process, &undo).await;
    let is = world.shop.read("customer", &id).await.expect("a customer");
    assert_eq!(is["emailMarketingConsent"]["marketingState"], "UNSUBSCRIBED");
    drop(process);

    // Shopify calls it otherwise than it was, and it means the same.
    world.hears("customer", &id, &is);
    let process = world.restorer();
    for request in [time, app] {
        let again = plan(&process, request).await;
        assert_eq!(again["rows"], json!([]), "{again}");
    }
    world.shop.assert_simulated();
}
