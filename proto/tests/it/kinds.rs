//! What webhook bodies mean: bodies of our own, and Shopify's documented samples where present.

use std::path::{Path, PathBuf};

use backstock_proto::event::Op;
use backstock_proto::kind::pull::Way;
use backstock_proto::kind::{
    self, Arrival, Coverage, Document, Heard, Kind, MappingError, Spec, Writable,
};
use backstock_proto::resource::ResourceId;
use backstock_proto::{Facet, Source};
use serde_json::{Value, json};

fn body(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bodies").join(name);
    std::fs::read(path).expect("a body of our own")
}

fn webhook(op: Op) -> Arrival {
    Arrival { source: Source::Webhook, facet: Facet::Core, op }
}

/// The canonical state that a topic's body is read as.
#[track_caller]
fn read(topic: &str, body: &[u8]) -> Value {
    let route = kind::route(topic);
    let id = kind::identify(&route.kind, body);
    route.kind.read(webhook(route.op), &id, body).expect("a readable body").state.expect("a state")
}

/// A state as people read it, numbers as written.
fn shown(state: &Value) -> String {
    serde_json::to_string_pretty(state).expect("a value can be written")
}

#[test]
fn product() {
    insta::assert_snapshot!(shown(&read("products/update", &body("products_update.json"))));
}

#[test]
fn collection() {
    insta::assert_snapshot!(shown(&read("collections/update", &body("collections_update.json"))));
}

#[test]
fn customer() {
    insta::assert_snapshot!(shown(&read("customers/update", &body("customers_update.json"))));
}

#[test]
fn order() {
    let state = read("orders/updated", &body("orders_updated.json"));
    assert!(!state.to_string().contains("secret"), "tokens are no part of an order's history");
    insta::assert_snapshot!(shown(&state));
}

#[test]
fn what_only_webhooks_tell_of_an_order_is_kept_and_does_not_count() {
    let kind = kind::route("orders/updated").kind;
    let document = |body: &str| {
        let id = kind::identify(&kind, body.as_bytes());
        kind.read(webhook(Op::Update), &id, body.as_bytes()).expect("readable")
    };
    let before = String::from_utf8(body("orders_updated.json")).expect("text");
    let shipped = before.replace("\"code\": \"std\"", "\"code\": \"express\"");
    let (one, other) = (document(&before), document(&shipped));
    assert_ne!(one.state, other.state, "it is kept");
    assert_eq!(one.hash(), other.hash(), "bulk operations cannot read it");
    let renoted = document(&before.replace("\"note\": null", "\"note\": \"ring\""));
    assert_ne!(one.hash(), renoted.hash());
}

/// What a pull of a facet is read as.
#[track_caller]
fn pulled(kind: &str, facet: Facet, node: &Value) -> Document {
    let arrival = Arrival { source: Source::Pull, facet, op: Op::Update };
    let id = ResourceId::parse(node["id"].as_str().expect("a gid")).expect("an id");
    let kind = Kind::parse(kind).expect("a kind");
    kind.read(arrival, &id, node.to_string().as_bytes()).expect("readable")
}

#[test]
fn values_keep_their_text() {
    const TEXT: &str = r#"{ "b": 1, "a": [1,  2] }"#;
    let page = json!({"id": "gid://shopify/Page/7", "metafields": [
        {"namespace": "custom", "key": "notes", "type": "multi_line_text_field", "value": TEXT},
        {"namespace": "custom", "key": "spec", "type": "json", "value": TEXT},
    ]});
    let state = pulled("page", Facet::Metafields, &page).state.expect("a state");
    for metafield in state["metafields"].as_array().expect("a list") {
        assert_eq!(metafield["value"], TEXT, "{}", metafield["type"]);
    }
    let entry = |value: &str| {
        let entry = json!({
            "id": "gid://shopify/Metaobject/7", "type": "size", "handle": "xl", "displayName": "XL",
            "capabilities": {"publishable": {"status": "DRAFT"}, "onlineStore": null},
            "fields": [{"key": "spec", "type": "json", "value": value}],
        });
        pulled("metaobject", Facet::Core, &entry)
    };
    let body = json!({
        "id": "gid://shopify/Metaobject/7", "type": "size", "handle": "xl", "display_name": "XL",
        "capabilities": {"publishable": {"status": "draft"}}, "fields": {"spec": TEXT},
    });
    let body = body.to_string();
    let kind = Kind::parse("metaobject").expect("a kind");
    let id = kind::identify(&kind, body.as_bytes());
    let told = kind.read(webhook(Op::Update), &id, body.as_bytes()).expect("readable");
    for document in [&told, &entry(TEXT)] {
        assert_eq!(document.state.as_ref().expect("a state")["fields"][0]["value"], TEXT);
    }
    let hash = told.hash();
    assert_eq!(entry(TEXT).hash(), hash);
    assert_eq!(entry(r#"{"a":[1,2],"b":1}"#).hash(), hash, "written otherwise");
    assert_ne!(entry(r#"{"a":[1,2],"b":2}"#).hash(), hash);
}

#[test]
fn that_a_day_of_publishing_has_come_is_no_edit() {
    let on = |seen: bool, date: &str| {
        let product = json!({"id": "gid://shopify/Product/7", "resourcePublicationsV2": [{
            "isPublished": seen, "publishDate": date,
            "publication": {"id": "gid://shopify/Publication/1"},
        }]});
        pulled("product", Facet::Publications, &product).hash()
    };
    let planned = on(false, "2026-12-01T00:00:00Z");
    assert_eq!(planned, on(true, "2026-12-01T00:00:00Z"));
    assert_ne!(planned, on(false, "2026-12-02T00:00:00Z"), "another day is");
}

#[test]
fn what_an_app_may_not_see_is_asked_for() {
    for (name, topic, hidden) in [
        (
            "customers_update.json",
            "customers/update",
            ["first_name", "last_name", "email", "phone"],
        ),
        (
            "orders_updated.json",
            "orders/updated",
            ["email", "phone", "billing_address", "shipping_address"],
        ),
    ] {
        let whole = body(name);
        let spec = kind::route(topic).kind.spec().expect("an understood kind");
        assert!((spec.is_whole)(&read(topic, &whole)), "{name}");
        let mut redacted: Value = serde_json::from_slice(&whole).expect("json");
        hidden.iter().for_each(|member| redacted[*member] = Value::Null);
        assert!(!(spec.is_whole)(&read(topic, redacted.to_string().as_bytes())), "{name}");
    }
}

/// A delivery of Shopify's Events about a page.
fn page_event(action: &str, page: Value) -> Vec<u8> {
    let body = json!({
        "topic": "Page", "action": action, "handle": "page",
        "fields_changed": {"added": [], "updated": [], "removed": []},
        "query_variables": {"pageId": "gid://shopify/Page/7"},
        "data": {"page": page},
    });
    body.to_string().into_bytes()
}

#[test]
fn an_event_of_shopify_is_history_of_what_it_is_about() {
    let page = json!({
        "__typename": "Page", "id": "gid://shopify/Page/7", "title": "About", "handle": "about",
        "body": "<p>Us</p>", "isPublished": true, "publishedAt": "2026-10-01T00:00:00Z",
        "templateSuffix": "", "createdAt": "2026-09-01T00:00:00Z",
        "updatedAt": "2026-10-02T00:00:00Z", "author": "not asked for by pulls",
    });
    let body = page_event("update", page.clone());
    let (route, id) = kind::route_event("Page", Some("update"), &body);
    assert_eq!((route.kind.as_str(), route.op, route.facet), ("page", Op::Update, Facet::Core));
    assert_eq!(id.as_str(), "7");
    let told = Arrival { source: Source::Events, facet: Facet::Core, op: Op::Update };
    let told = route.kind.read(told, &id, &body).expect("readable");
    assert_eq!(told.updated_at.map(|at| at.to_string()).as_deref(), Some("2026-10-02T00:00:00Z"));
    // What a pull has of the same page is the same.
    let pulled = Arrival { source: Source::Pull, facet: Facet::Core, op: Op::Update };
    let mut part = page.clone();
    part.as_object_mut().expect("a page").remove("author");
    let pulled = route.kind.read(pulled, &id, part.to_string().as_bytes()).expect("readable");
    assert_eq!((told.hash(), told.state), (pulled.hash(), pulled.state));
    // A query may select less than all of it.
    let mut less = page;
    less.as_object_mut().expect("a page").remove("body");
    let (route, id) = kind::route_event("Page", None, &page_event("create", less));
    assert_eq!((route.op, route.facet, id.as_str()), (Op::Create, Facet::Signal, "7"));
}

#[test]
fn what_an_event_of_shopify_does_not_tell_is_asked_for() {
    let product = |page_info: Value| {
        let variants =
            json!({"nodes": [{"id": "gid://shopify/ProductVariant/1"}], "pageInfo": page_info});
        let media = json!({"nodes": [], "pageInfo": {"hasNextPage": false}});
        json!({"data": {"product": {
            "id": "gid://shopify/Product/5", "title": "Mug", "handle": "mug", "status": "ACTIVE",
            "descriptionHtml": "", "vendor": "", "productType": "", "templateSuffix": null,
            "tags": [], "category": null, "publishedAt": null, "options": [],
            "hasVariantsThatRequiresComponents": false, "variants": variants, "media": media,
        }}})
    };
    // Of a variant, the title tells that it was given whole.
    let mut whole = product(json!({"hasNextPage": false}));
    whole["data"]["product"]["variants"]["nodes"][0]["title"] = "S".into();
    let facet = |body: &Value| {
        kind::route_event("Product", Some("update"), body.to_string().as_bytes()).0.facet
    };
    assert_eq!(facet(&whole), Facet::Core);
    assert_eq!(facet(&product(json!({"hasNextPage": false}))), Facet::Signal);
    assert_eq!(facet(&product(json!({"hasNextPage": true}))), Facet::Signal);
    assert_eq!(facet(&product(Value::Null)), Facet::Signal);
    assert_eq!(facet(&json!({"data": {"product": null}})), Facet::Signal);
}

#[test]
fn an_event_of_shopify_about_an_end_has_no_node() {
    let body = page_event("delete", Value::Null);
    let (route, id) = kind::route_event("Page", Some("delete"), &body);
    assert_eq!((route.op, route.facet, id.as_str()), (Op::Delete, Facet::Core, "7"));
    let gone = Arrival { source: Source::Events, facet: Facet::Core, op: Op::Delete };
    assert_eq!(route.kind.read(gone, &id, &body).expect("readable").state, None);
    // What is about nothing, or about nothing that is understood, is kept as it came.
    let (route, id) = kind::route_event("Page", Some("delete"), b"{}");
    assert_eq!((route.op, route.facet, id), (Op::Update, Facet::Signal, ResourceId::unknown()));
    let refund = json!({"query_variables": {"refundId": "gid://shopify/Refund/3"}}).to_string();
    let (route, id) = kind::route_event("Refund", Some("create"), refund.as_bytes());
    assert_eq!((route.kind.as_str(), route.op, id.as_str()), ("refund", Op::Create, "3"));
}

#[test]
fn stock_and_touches_are_not_edits() {
    let before = body("products_update.json");
    let text = String::from_utf8(before.clone()).expect("text");
    let after = text
        .replace("\"inventory_quantity\": 12", "\"inventory_quantity\": 7")
        .replace("2026-10-01T16:03:00+02:00", "2026-10-02T08:00:00+02:00")
        .replace("mug.jpg?v=1696170000", "mug.jpg?v=1700000000")
        .replace("mug, Enamel,  camping, mug", "camping, Enamel, mug");
    assert_ne!(after.as_bytes(), before);
    assert_eq!(read("products/update", &before), read("products/update", after.as_bytes()));
}

#[test]
fn an_edit_of_one_digit_is_an_edit() {
    let before = body("products_update.json");
    let after = String::from_utf8(before.clone()).expect("text").replace("\"64.00\"", "\"64.01\"");
    assert_ne!(read("products/update", &before), read("products/update", after.as_bytes()));
}

#[test]
fn a_body_of_another_resource_is_not_believed() {
    let product = body("products_update.json");
    let route = kind::route("collections/update");
    let id = kind::identify(&route.kind, &product);
    let refused =
        route.kind.read(webhook(route.op), &id, &product).expect_err("a product is no collection");
    assert!(matches!(refused, MappingError::OtherResource { .. }), "{refused}");
    let kind = kind::route("products/update").kind;
    let refused = kind.read(webhook(Op::Update), &ResourceId::parse("1").expect("id"), &product);
    assert!(matches!(refused, Err(MappingError::OtherResource { .. })));
}

#[test]
fn a_state_says_of_which_type_it_is() {
    let id = ResourceId::parse("5").expect("id");
    let gid = |kind: &str, said: &str| {
        let kind = kind::Kind::parse(kind).expect("a kind");
        kind.gid_of(&id, &json!({"id": said})).unwrap_or_default()
    };
    assert_eq!(gid("file", "gid://shopify/GenericFile/5"), "gid://shopify/GenericFile/5");
    assert_eq!(gid("catalog", "gid://shopify/AppCatalog/5"), "gid://shopify/AppCatalog/5");
    // Of another type, or of another one.
    for said in ["gid://shopify/Product/5", "gid://shopify/GenericFile/6", "5", ""] {
        assert_eq!(gid("file", said), "gid://shopify/MediaImage/5", "{said}");
    }
    assert_eq!(gid("gadget", "gid://shopify/Gadget/5"), "");
}

#[test]
fn what_cannot_be_read_says_why() {
    let kind = kind::route("products/update").kind;
    let id = ResourceId::parse("1").expect("id");
    for bad in [&b"not json"[..], b"", b"[1]", b"\"text\"", b"{\"id\":", b"\xff\xfe"] {
        assert!(kind.read(webhook(Op::Update), &id, bad).is_err(), "{bad:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        kind.read(webhook(Op::Update), &id, deep.as_bytes()),
        Err(MappingError::Json(_))
    ));
    let unnamed = kind.read(webhook(Op::Delete), &kind::identify(&kind, b"{}"), b"{}");
    assert_eq!(unnamed, Err(MappingError::Missing("id")));
}

#[test]
fn numbers_keep_their_digits() {
    let kind = kind::route("carts/update").kind;
    let body = br#"{"id":"c","n":123456789012345678901234567890.000000000000000000001,"e":1E+400}"#;
    let state =
        kind.read(webhook(Op::Update), &kind::identify(&kind, body), body).expect("readable").state;
    let shown = state.expect("a state").to_string();
    assert!(shown.contains("123456789012345678901234567890.000000000000000000001"), "{shown}");
}

fn samples() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/webhooks");
    dir.is_dir().then_some(dir)
}

/// A row of the README's table.
fn row(spec: &Spec) -> String {
    let covers = |wanted: fn(&Coverage) -> bool| spec.topics.iter().any(|(_, of)| wanted(of));
    let told = if covers(|of| matches!(of, Coverage::Core(_))) {
        match spec.facets {
            [] | [_] => "all of it",
            _ => "the core; the rest is asked for at once",
        }
    } else if covers(|of| matches!(of, Coverage::Signal)) {
        "that it changed"
    } else if spec.heard() == Heard::Minute && !spec.pulls.is_empty() {
        "nothing; Shopify's log, within minutes"
    } else if spec.heard() == Heard::Hour {
        "nothing; read several times an hour"
    } else if spec.heard() == Heard::Mostly {
        "nothing; most changes are seen several times an hour"
    } else {
        "nothing"
    };
    let read = spec.pulls.iter().find_map(|pull| match pull.way {
        Way::Bulk { .. } => Some("bulk operation"),
        Way::Pages { .. } => Some("pages"),
        Way::Single { .. } => Some("one question"),
        Way::ById { .. } => None,
    });
    let back = match spec.writable {
        Writable::Whole => "all of it".to_owned(),
        Writable::Partly(but) | Writable::InPlace(but) => format!("yes, but {but}"),
        Writable::Archive(why) => format!("no: {why}"),
    };
    let (name, read, not) = (spec.name, read.unwrap_or("–"), spec.not_covered);
    format!("| {name} | {told} | {read} | {not} | {back} |")
}

#[test]
fn the_readme_says_what_is_kept() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let rows: Vec<String> = kind::ALL.iter().map(|spec| row(spec)).collect();
    let missing = rows.iter().any(|row| !readme.contains(row.as_str()));
    assert!(!missing, "the README's table should be:\n{}", rows.join("\n"));
}

/// Every documented sample leads to a kind and can be read; those of the four kinds have exact ids
/// although the samples' numbers were rounded on their way through JavaScript.
#[test]
fn documented_samples() {
    let Some(dir) = samples() else { return };
    let mut read_back = 0;
    for entry in std::fs::read_dir(dir).expect("samples") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let body = std::fs::read(&path).expect("a sample");
        let head = kind::ALL
            .iter()
            .flat_map(|spec| spec.topics)
            .map(|(topic, _)| *topic)
            .find(|topic| topic.replace('/', "_") == name);
        let topic = head.map_or_else(|| name.replacen('_', "/", 1), str::to_owned);
        let route = kind::route(&topic);
        let id = kind::identify(&route.kind, &body);
        let document = route
            .kind
            .read(Arrival { facet: route.facet, ..webhook(route.op) }, &id, &body)
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        // The samples of these have no id at all.
        let unnamed = name.starts_with("metafield_definitions_");
        let named = id != ResourceId::unknown() || unnamed;
        assert!(route.facet.is_state() || named, "{name} signals nothing");
        let Some(spec) = route.kind.spec().filter(|_| route.facet.is_state()) else { continue };
        if route.op == Op::Delete {
            assert_eq!(document.state, None);
            continue;
        }
        let sample: Value = serde_json::from_slice(&body).expect("json");
        let state = document.state.expect("a state");
        if spec.name == "inventory_level" {
            // Known by its item and its location, not by the number in its gid.
            assert_eq!(state["available"], sample["available"], "{name}");
            continue;
        }
        let gid = sample.get("admin_graphql_api_id").unwrap_or(&sample["id"]);
        assert_eq!(state["id"], *gid, "{name}");
        assert_eq!(route.kind.gid(&id).as_deref(), gid.as_str(), "{name}");
        assert!(!document.listing.title.is_empty(), "{name} has a title");
        if spec.name == "product" {
            assert_eq!(state["variants"][0]["price"], "19.99");
            assert_eq!(
                state["variants"][0]["id"],
                "gid://shopify/ProductVariant/642667041472713922"
            );
        }
        read_back += 1;
    }
    assert!(read_back >= 12, "only {read_back} samples of the four kinds were read");
}
