//! What changes look like, kind by kind.

use std::collections::BTreeMap;

use backstock_proto::Op;
use backstock_proto::diff;
use serde_json::{Value, json};

use super::*;

fn shown(lines: &[Line]) -> String {
    let line = |line: &Line| {
        let place: String = line.place.iter().map(|place| format!("{place} › ")).collect();
        format!("{place}{}: {} → {}", line.what, line.old.short(60), line.new.short(60))
    };
    let headline = headline(Op::Update, lines);
    let lines: Vec<String> = lines.iter().map(line).collect();
    format!("{headline}\n  {}", lines.join("\n  "))
}

fn told(old: Value, new: Value) -> String {
    let titles = BTreeMap::from([
        ("gid://shopify/Publication/1".to_owned(), "Online Store".to_owned()),
        ("gid://shopify/Publication/2".to_owned(), "Point of Sale".to_owned()),
    ]);
    let known = Known { titles: Some(&titles), currency: Some("EUR"), ..Known::default() };
    let lines = changes(&old, &new, known);
    // What the list of changes has says as much, as long as the states are at hand.
    let fields = fields_of(&diff::fields(&old, &new));
    let listed = tell(&fields, Known { before: Some(&old), after: Some(&new), ..known });
    assert_eq!(listed.len(), lines.len());
    shown(&lines)
}

fn variant(id: u64, title: &str, price: &str) -> Value {
    json!({
        "id": format!("gid://shopify/ProductVariant/{id}"), "title": title, "price": price,
        "sku": format!("MUG-{id}"), "position": id, "inventoryPolicy": "DENY",
        "selectedOptions": [{"name": "Colour", "value": title}],
        "inventoryItem": {"id": format!("gid://shopify/InventoryItem/{id}"), "tracked": true},
    })
}

fn picture(id: u64, alt: &str) -> Value {
    json!({
        "id": format!("gid://shopify/MediaImage/{id}"), "mediaContentType": "IMAGE", "alt": alt,
        "url": format!("https://cdn.shopify.com/{id}.jpg"),
    })
}

#[test]
fn changes_are_told() {
    let mut cases = Vec::new();
    let mut case = |name: &str, old: Value, new: Value| {
        cases.push(format!("{name}\n  {}", told(old, new).replace('\n', "\n  ")));
    };
    let two = || [variant(1, "Green", "64.00"), variant(2, "Sand", "66.00")];
    case(
        "prices are money, and variants have their names",
        json!({"variants": two()}),
        json!({"variants": [variant(1, "Green", "6.40"), variant(2, "Sand", "6.60")]}),
    );
    case(
        "an only variant needs no name",
        json!({"variants": [variant(1, "Default Title", "64.00")]}),
        json!({"variants": [variant(1, "Default Title", "6.40")]}),
    );
    case(
        "variants come and go",
        json!({"variants": two()}),
        json!({"variants": [variant(2, "Sand", "66.00"), variant(3, "Blue", "60.00")]}),
    );
    let [green, sand] = two();
    case("variants move", json!({"variants": two()}), json!({"variants": [sand, green]}));
    case(
        "pictures, texts, tags, states",
        json!({
            "title": "Enamel Mug", "status": "ACTIVE", "tags": ["camping", "mug"],
            "descriptionHtml": "<p>Holds 350 ml.</p>", "media": [picture(1, "Front")],
            "seo": {"title": "Mug", "description": null}, "publishedAt": "2026-11-01T10:00:00Z",
        }),
        json!({
            "title": "Enamel Mug", "status": "DRAFT", "tags": ["camping", "mug", "sale"],
            "descriptionHtml": "", "media": [picture(2, "Back")],
            "seo": {"title": "Mug!", "description": null}, "publishedAt": null,
        }),
    );
    let metafield = |value: &str| {
        let kind = "single_line_text_field";
        json!({"namespace": "custom", "key": "care", "type": kind, "value": value})
    };
    let mut continued = variant(1, "Green", "64.00");
    continued["inventoryPolicy"] = json!("CONTINUE");
    continued["selectedOptions"][0]["value"] = json!("Pine");
    continued["inventoryItem"]["tracked"] = json!(false);
    case(
        "metafields, options, stock",
        json!({"variants": [variant(1, "Green", "64.00")], "metafields": [metafield("Hand wash")]}),
        json!({"variants": [continued], "metafields": [metafield("Dishwasher")]}),
    );
    case(
        "a metafield with money",
        json!({"metafields": []}),
        json!({"metafields": [metafield("{\"amount\":\"5.00\",\"currency_code\":\"EUR\"}")]}),
    );
    let on = |id: u64| json!({"isPublished": true, "publicationId": format!("gid://shopify/Publication/{id}")});
    case("channels", json!({"publications": [on(1), on(2)]}), json!({"publications": [on(1)]}));
    case(
        "a redirect",
        json!({"path": "/old", "target": "/new"}),
        json!({"path": "/old", "target": "/newer"}),
    );
    let item = |title: &str| {
        let id = "gid://shopify/MenuItem/1";
        json!({"items": [{"id": id, "title": title, "url": "/shop", "items": []}]})
    };
    case("a menu", item("Shop"), item("Store"));
    insta::assert_snapshot!(cases.join("\n\n"));
}

#[test]
fn what_was_created_is_described() {
    let mug = json!({
        "id": "gid://shopify/Product/1", "title": "Enamel Mug", "vendor": "", "tags": [],
        "variants": [variant(1, "Green", "64.00")], "createdAt": "2026-11-01T10:00:00Z",
    });
    let lines = describe(&mug, Known::default());
    insta::assert_snapshot!(shown(&lines));
}

#[test]
fn any_two_states_can_be_told() {
    // Shapes that no kind has: nothing panics, and every difference is somewhere.
    let odd = [
        json!(null),
        json!(1),
        json!({"a": [1, {"b": null}]}),
        json!("x"),
        json!({"a": {"id": 7}}),
    ];
    for a in &odd {
        for b in &odd {
            assert_eq!(changes(a, b, Known::default()).is_empty(), a == b, "{a} {b}");
        }
    }
}
