//! The Events family of webhooks, as a subscriber sees it.

use std::sync::Arc;

use crate::subscriber::{Seen, settings, subscriber};
use serde_json::{Value, json};
use shopify::disturbance::Disturbance;
use shopify::events::AppConfig;
use shopify::gid::Gid;
use shopify::shop::Actor;
use shopify::signing::signature;
use shopify::simulator::{Settings, Simulator};
use tokio_util::sync::CancellationToken;

const PRODUCT: &str = r#"
[[events.subscription]]
handle = "products"
topic = "Product"
actions = ["create", "update", "delete"]
triggers = ["product.*", "product.metafield(namespace: 'custom', key: 'material').value"]
uri = "/webhooks"
query = "query($productId: ID!) { product(id: $productId) { id title variants(first: 3) { nodes { id price } } } }"
"#;

/// A shop whose app has declared this, and what its subscriber sees.
async fn open(declared: &str) -> (Arc<Simulator>, Seen) {
    let (uri, seen) = subscriber(0).await;
    let url = uri.trim_end_matches("/webhooks");
    let config =
        format!("application_url = '{url}'\n[events]\napi_version = '2026-10'\n{declared}");
    let settings = Settings {
        webhooks: None,
        schemas: crate::client::fetched(),
        ..settings(uri.clone(), Disturbance::default())
    };
    let simulator = Simulator::start(settings, CancellationToken::new()).unwrap();
    simulator.deploy(&AppConfig::parse(&config).unwrap()).unwrap();
    (simulator, seen)
}

async fn bodies(simulator: &Simulator, seen: &Seen) -> Vec<Value> {
    simulator.dispatcher().drained().await;
    assert!(simulator.not_simulated().is_empty(), "{:?}", simulator.not_simulated());
    let seen = seen.lock().unwrap();
    seen.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
}

fn staff() -> Actor {
    Actor::Staff("Ann".into())
}

#[tokio::test]
async fn a_delivery_has_its_own_headers_and_the_answer_to_its_query() {
    let (simulator, seen) = open(PRODUCT).await;
    let product = Gid::nth("Product", 1);
    simulator.act(staff(), |shop| {
        shop.edit_product(product, |state| state["title"] = json!("Renamed"));
    });
    let body = bodies(&simulator, &seen).await.remove(0);
    let path = format!("product[id: '{product}'].title");
    assert_eq!(body["topic"], "Product");
    assert_eq!(body["action"], "update");
    assert_eq!(body["handle"], "products");
    assert_eq!(body["fields_changed"], json!({ "added": [], "updated": [path], "removed": [] }));
    assert_eq!(body["query_variables"], json!({ "productId": product.to_string() }));
    assert_eq!(body["data"]["product"]["title"], "Renamed");
    assert!(body["data"]["product"]["variants"]["nodes"][0]["price"].is_string());
    assert_eq!(body.as_object().unwrap().len(), 6);
    let seen = seen.lock().unwrap();
    let (headers, raw) = &seen[0];
    assert_eq!(headers["shopify-hmac-sha256"], signature("hush", raw));
    for (name, value) in [
        ("shopify-topic", "Product"),
        ("shopify-handle", "products"),
        ("shopify-action", "update"),
        ("shopify-api-version", "2026-10"),
        ("shopify-shop-domain", "acme.myshopify.com"),
    ] {
        assert_eq!(headers[name], value);
    }
    assert!(headers.contains_key("shopify-webhook-id"));
    assert!(headers.contains_key("shopify-triggered-at"));
    let prefixed = headers.keys().filter(|name| name.as_str().starts_with("x-shopify"));
    assert_eq!(prefixed.count(), 0);
    for gone in ["shopify-event-id", "shopify-resource-id"] {
        assert!(!headers.contains_key(gone), "{gone} went on 2026-09-16");
    }
}

#[tokio::test]
async fn children_metafields_births_and_deaths_are_told_of_as_their_owners() {
    let (simulator, seen) = open(PRODUCT).await;
    let product = Gid::nth("Product", 1);
    let variant = simulator.shop().variants(product)[0];
    simulator.act(staff(), |shop| {
        shop.edit_variant(variant, |state| state["price"] = json!("1.23"));
    });
    let metafield = Gid::nth("Metafield", 1);
    simulator.act(staff(), |shop| {
        shop.update(metafield, |state| state["value"] = json!("Silk"));
    });
    let born = simulator.act(staff(), |shop| shop.add_product("New", "Acme", 100));
    simulator.act(staff(), |shop| shop.delete_product(born));
    let mut bodies = bodies(&simulator, &seen).await;
    bodies.sort_by_key(|body| body["fields_changed"].to_string());
    let changed: Vec<&Value> = bodies.iter().map(|body| &body["fields_changed"]).collect();
    let root = format!("product[id: '{product}']");
    for wanted in [
        json!({ "added": [], "removed": [], "updated": [format!("{root}.variants[id: '{variant}'].price")] }),
        json!({ "added": [], "removed": [], "updated": [format!("{root}.metafield[namespace: 'custom', key: 'material'].value")] }),
        json!({ "added": [format!("product[id: '{born}']")], "removed": [], "updated": [] }),
        json!({ "added": [], "removed": [format!("product[id: '{born}']")], "updated": [] }),
    ] {
        assert!(changed.contains(&&wanted), "{wanted} is not in {changed:?}");
    }
    assert_eq!(changed.len(), 4);
    let of = |action: &str| bodies.iter().find(|body| body["action"] == action).unwrap();
    assert_eq!(of("delete")["data"], json!({ "product": null }));
    let by_metafield =
        bodies.iter().find(|body| body["query_variables"]["metafieldKey"] == "material");
    assert_eq!(by_metafield.unwrap()["query_variables"]["metafieldNamespace"], "custom");
}

#[tokio::test]
async fn a_query_that_names_a_child_is_asked_for_each_and_a_filter_holds_back() {
    let (simulator, seen) = open(
        r#"
[[events.subscription]]
handle = "prices"
topic = "Product"
actions = ["update"]
triggers = ["product.variants.price"]
uri = "/webhooks"
query = "query($productId: ID!, $variantsId: ID!) { product(id: $productId) { status } productVariant(id: $variantsId) { id price } }"
query_filter = "product.status:'ACTIVE'"
"#,
    )
    .await;
    let product = Gid::nth("Product", 1);
    let variants = simulator.shop().variants(product);
    simulator.act(staff(), |shop| {
        shop.edit_product(product, |state| state["status"] = json!("DRAFT"));
    });
    simulator.act(staff(), |shop| shop.reprice(product, 50));
    simulator.act(staff(), |shop| {
        shop.edit_product(product, |state| state["status"] = json!("ACTIVE"));
    });
    simulator.act(staff(), |shop| shop.reprice(product, 300));
    let bodies = bodies(&simulator, &seen).await;
    assert_eq!(bodies.len(), variants.len(), "not of the draft, and none of its status");
    for body in &bodies {
        assert_eq!(body["query_variables"]["variantsId"], body["data"]["productVariant"]["id"]);
    }
}

#[tokio::test]
async fn silent_kinds_have_their_events() {
    let topics = [
        ("Page", "page.*", "query($pageId: ID!) { page(id: $pageId) { id title body } }"),
        ("Blog", "blog.*", "query($blogId: ID!) { blog(id: $blogId) { id title } }"),
        (
            "Article",
            "article.*",
            "query($articleId: ID!) { article(id: $articleId) { id title body } }",
        ),
        (
            "Collection",
            "collection.*",
            "query($collectionId: ID!) { collection(id: $collectionId) { id title } }",
        ),
        (
            "Customer",
            "customer.*",
            "query($customerId: ID!) { customer(id: $customerId) { id tags } }",
        ),
        ("Order", "order.*", "query($orderId: ID!) { order(id: $orderId) { id note } }"),
        (
            "Location",
            "location.*",
            "query($locationId: ID!) { location(id: $locationId) { id name } }",
        ),
        (
            "InventoryItem",
            "inventoryItem.*",
            "query($inventoryItemId: ID!) { inventoryItem(id: $inventoryItemId) { id sku } }",
        ),
        (
            "Metaobject",
            "metaobject(type: 'designer').*",
            "query($metaobjectId: ID!) { metaobject(id: $metaobjectId) { id handle fields { key value } } }",
        ),
        (
            "MetaobjectDefinition",
            "metaobjectDefinition.*",
            "query($metaobjectDefinitionType: String!) { metaobjectDefinitionByType(type: $metaobjectDefinitionType) { id name } }",
        ),
        (
            "MetafieldDefinition",
            "metafieldDefinition.*",
            "query($metafieldDefinitionId: ID!) { metafieldDefinition(id: $metafieldDefinitionId) { id name } }",
        ),
    ];
    let declared: String = topics
        .iter()
        .map(|(topic, trigger, query)| {
            format!(
                "[[events.subscription]]\nhandle = \"{topic}\"\ntopic = \"{topic}\"\n\
                 actions = [\"create\", \"update\", \"delete\"]\ntriggers = [\"{trigger}\"]\n\
                 uri = \"/webhooks\"\nquery = \"{query}\"\n"
            )
        })
        .collect();
    let (simulator, seen) = open(&declared).await;
    for (topic, ..) in topics {
        let field = match topic {
            "Customer" | "Order" => "note",
            "InventoryItem" => "sku",
            "Metaobject" => "handle",
            "Location" | "MetafieldDefinition" | "MetaobjectDefinition" => "name",
            _ => "title",
        };
        simulator.act(staff(), |shop| {
            assert!(
                shop.update(Gid::nth(topic, 0), |state| state[field] = json!("changed")),
                "{topic}"
            );
        });
    }
    let bodies = bodies(&simulator, &seen).await;
    for (topic, ..) in topics {
        let body = bodies.iter().find(|body| body["topic"] == topic);
        let body = body.unwrap_or_else(|| panic!("nothing of {topic}"));
        let node = body["data"].as_object().unwrap().values().next().unwrap();
        assert!(node["id"].is_string(), "{topic}: {body}");
        assert!(node.to_string().contains("changed") || topic == "Customer", "{topic}: {body}");
    }
    assert_eq!(bodies.len(), topics.len());
}

#[tokio::test]
async fn a_declaration_that_cannot_be_had_is_refused_and_changes_nothing() {
    let (simulator, seen) = open(PRODUCT).await;
    let entry = |lines: &str| {
        format!("[events]\napi_version = '2026-10'\n[[events.subscription]]\n{lines}")
    };
    for (config, why) in [
        ("[events]\napi_version = '2026-07'\n".to_owned(), "no Events in version 2026-07"),
        (entry("handle='h'\ntopic='Menu'\nactions=['create']\nuri='/w'"), "no topic Menu"),
        (entry("handle='h'\ntopic='Page'\nactions=['update']\nuri='/w'"), "at least one trigger"),
        (
            entry("handle='h'\ntopic='Page'\nactions=['create']\nuri='/w'\nquery='{ nothing }'"),
            "nothing",
        ),
    ] {
        let config = AppConfig::parse(&config).unwrap();
        let error = simulator.deploy(&config).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    simulator.act(staff(), |shop| shop.add_product("Still told of", "Acme", 100));
    assert_eq!(bodies(&simulator, &seen).await.len(), 1);
}
