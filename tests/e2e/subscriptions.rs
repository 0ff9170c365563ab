//! The shop's subscriptions: what went missing is made anew, and what is new in the shop is heard of as well.

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::backstock::{Backstock, text};
use crate::pulls::{SHOP, backfilled, eventually};
use crate::simulator::{Simulator, planned};
use crate::upkeep::{PLAIN, titled};

/// What the status says of the subscriptions.
async fn subscribed(backstock: &Backstock) -> Value {
    eventually(|| async {
        let (_, status) = backstock.get(&format!("{SHOP}/status")).await;
        let report = status["subscriptions"].clone();
        let good = report["good"].as_u64().is_some_and(|good| report["wanted"] == good);
        if good { Ok(report) } else { Err(format!("subscriptions: {report}")) }
    })
    .await
}

/// The shop's own subscriptions: topic → address.
async fn subscriptions(simulator: &Simulator) -> Vec<(String, String)> {
    let asked = "{ webhookSubscriptions(first: 100) { nodes { topic uri filter } } }";
    let found = simulator.ask(asked).await;
    let nodes = found["webhookSubscriptions"]["nodes"].as_array().expect("nodes").iter();
    nodes.map(|node| (text(node, "topic").to_owned(), text(node, "uri").to_owned())).collect()
}

#[tokio::test]
async fn a_subscription_that_shopify_deleted_is_made_anew() {
    let (port, access) = planned();
    let often = "[compactor]\nsubscriptions_every = 0.5\n";
    let mut backstock = Backstock::public(often, &access);
    let more = [&PLAIN[..], &["--retry-scale", "0.00001"]].concat();
    let simulator = Simulator::start(&backstock, port, &more).await;
    // The app subscribes itself to nothing.
    simulator.deploy("[webhooks]\napi_version = \"2026-10\"\n").await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    let report = subscribed(&backstock).await;
    let made = subscriptions(&simulator).await;
    assert_eq!(made.len() as u64, report["wanted"].as_u64().expect("a number"), "{made:?}");
    let (_, product) = backstock.get(&format!("{SHOP}/resources?kind=product&limit=1")).await;
    let id = text(&product["items"][0], "id").to_owned();
    let rename = |title: &str| {
        format!(
            "mutation {{ productUpdate(product: {{id: \"gid://shopify/Product/{id}\", \
             title: \"{title}\"}}) {{ product {{ id }} }} }}"
        )
    };
    simulator.ask(&rename("Told")).await;
    titled(&backstock, &id, "Told").await;

    // Nobody is there for eight retries.
    backstock.signal("serve", Signal::SIGKILL);
    simulator.ask(&rename("Untold")).await;
    simulator.quiet().await;
    let left = subscriptions(&simulator).await;
    assert!(!left.iter().any(|(topic, _)| topic == "PRODUCTS_UPDATE"), "{left:?}");
    backstock.start("serve").await;
    eventually(|| async {
        let there = subscriptions(&simulator).await;
        let again = there.iter().any(|(topic, _)| topic == "PRODUCTS_UPDATE");
        if again { Ok(()) } else { Err(format!("{there:?}")) }
    })
    .await;
    eventually(|| async {
        let healed =
            backstock.metric("backstock_compactor_webhook_subscriptions_healed_total").await;
        if healed >= 1.0 { Ok(()) } else { Err(format!("{healed} healed")) }
    })
    .await;
    // What nobody was there for is known without waiting for the night.
    titled(&backstock, &id, "Untold").await;
    simulator.ask(&rename("Told again")).await;
    titled(&backstock, &id, "Told again").await;

    // By hand, the same; and what is printed for the app is what Shopify takes.
    let dry = backstock.client_verb(&["subscribe", "--dry-run", "--app"]);
    assert!(dry.status.success(), "{}", String::from_utf8_lossy(&dry.stderr));
    simulator.deploy(&String::from_utf8(dry.stdout).expect("text")).await;
    // Nothing but Shopify's Events tells of a page, and they tell all of it.
    let (_, pages) = backstock.get(&format!("{SHOP}/resources?kind=page&limit=1")).await;
    let page = text(&pages["items"][0], "id").to_owned();
    let rename = format!(
        "mutation {{ pageUpdate(id: \"gid://shopify/Page/{page}\", page: {{title: \"Told of\"}}) \
         {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&rename).await;
    eventually(|| async {
        let path = format!("{SHOP}/resources/page/{page}");
        let (_, now) = backstock.get(&path).await;
        let versions = backstock.list(&format!("{path}/versions")).await;
        let newest = versions.iter().find(|version| version["facet"] == "core");
        let told = newest.is_some_and(|version| version["source"] == "events");
        let title = now["state"]["title"].to_string();
        if told && title.contains("Told of") { Ok(()) } else { Err(format!("{title}, {newest:?}")) }
    })
    .await;
    let done = backstock.client_verb(&["subscribe"]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("compliance_topics"), "{said}");
    assert_eq!(simulator.lines("not_simulated").await, vec![json!({})]);
}

#[tokio::test]
async fn what_nothing_told_of_is_read_also_where_a_person_has_the_subscription_made_anew() {
    let (port, access) = planned();
    let mut backstock = Backstock::public("", &access);
    let simulator = Simulator::start(&backstock, port, &PLAIN).await;
    // The app subscribes itself to nothing.
    simulator.deploy("[webhooks]\napi_version = \"2026-10\"\n").await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    subscribed(&backstock).await;
    let asked = "{ webhookSubscriptions(first: 100) { nodes { id topic } } }";
    let found = simulator.ask(asked).await;
    let mut nodes = found["webhookSubscriptions"]["nodes"].as_array().expect("nodes").iter();
    let told = nodes.find(|node| node["topic"] == "PRODUCTS_UPDATE").expect("it is made");
    let delete = format!(
        "mutation {{ webhookSubscriptionDelete(id: \"{}\") {{ deletedWebhookSubscriptionId }} }}",
        text(told, "id")
    );
    simulator.ask(&delete).await;
    let (_, product) = backstock.get(&format!("{SHOP}/resources?kind=product&limit=1")).await;
    let id = text(&product["items"][0], "id").to_owned();
    let rename = format!(
        "mutation {{ productUpdate(product: {{id: \"gid://shopify/Product/{id}\", \
         title: \"Untold\"}}) {{ product {{ id }} }} }}"
    );
    simulator.ask(&rename).await;
    let done = backstock.client_verb(&["subscribe"]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("create products/update"), "{said}");
    titled(&backstock, &id, "Untold").await;
}

#[tokio::test]
async fn entries_of_a_new_type_of_metaobject_are_known_without_waiting_for_the_night() {
    let (port, access) = planned();
    let often = "[compactor]\nsubscriptions_every = 0.5\n";
    let mut backstock = Backstock::public(often, &access);
    let simulator = Simulator::start(&backstock, port, &PLAIN).await;
    // The app subscribes itself to nothing.
    simulator.deploy("[webhooks]\napi_version = \"2026-10\"\n").await;
    backstock.start("serve").await;
    backfilled(&backstock).await;
    subscribed(&backstock).await;
    let define = "mutation { metaobjectDefinitionCreate(definition: {type: \"lamp\", \
                  displayNameKey: \"n\", fieldDefinitions: [{key: \"n\", \
                  type: \"single_line_text_field\"}]}) { userErrors { message } } }";
    let defined = simulator.ask(define).await;
    assert_eq!(defined["metaobjectDefinitionCreate"]["userErrors"], json!([]));
    let made = async |name: &str| {
        let make = format!(
            "mutation {{ metaobjectCreate(metaobject: {{type: \"lamp\", fields: [{{key: \"n\", \
             value: \"{name}\"}}]}}) {{ metaobject {{ id }} userErrors {{ message }} }} }}"
        );
        let made = simulator.ask(&make).await;
        let gid = text(&made["metaobjectCreate"]["metaobject"], "id").to_owned();
        gid.rsplit('/').next().expect("a number").to_owned()
    };
    let sources = async |id: &str| {
        let path = format!("{SHOP}/resources/metaobject/{id}/versions");
        let (_, versions) = backstock.get(&path).await;
        let versions = versions["items"].as_array().cloned().unwrap_or_default();
        let core = versions.iter().filter(|version| version["facet"] == "core");
        core.map(|version| version["source"].to_string()).collect::<Vec<_>>()
    };
    // Nobody had subscribed to it when it was made.
    let first = made("First").await;
    eventually(|| async {
        let sources = sources(&first).await;
        if sources.is_empty() { Err("the first is not known".into()) } else { Ok(()) }
    })
    .await;
    let second = made("Second").await;
    eventually(|| async {
        let sources = sources(&second).await;
        let told = sources.iter().any(|source| source == "\"webhook\"");
        if told { Ok(()) } else { Err(format!("the second is known by {sources:?}")) }
    })
    .await;
}
