//! A simulated shop with what it does not begin with, and what stands in it.

use crate::simulated::{Simulated, spec};
use backstock_proto::ResourceId;
use serde_json::{Value, json};

/// Things that the simulated shop does not begin with.
pub(super) async fn furnished(seed: u64) -> Simulated {
    let shop = Simulated::start(seed, 12, true).await;
    for (name, query) in [("VIP's", "customer_tags CONTAINS 'vip'"), ("All", "")] {
        let create = "mutation($n: String!, $q: String!) { segmentCreate(name: $n, query: $q) \
                      { segment { id } userErrors { field message } } }";
        shop.sent(create, json!({"n": name, "q": query})).await;
    }
    for (name, code) in [("Canada", "CA"), ("Neighbours", "MX")] {
        let create = "mutation($m: MarketCreateInput!) { marketCreate(input: $m) \
                      { market { id } userErrors { field message } } }";
        let conditions = json!({"regionsCondition": {"regions": [{"countryCode": code}]}});
        let market = json!({"name": name, "status": "ACTIVE", "conditions": conditions});
        shop.sent(create, json!({"m": market})).await;
    }
    for (owner, key) in [("PAGE", "rank"), ("CUSTOMER", "badge")] {
        let create = "mutation($d: MetafieldDefinitionInput!) { metafieldDefinitionCreate( \
                      definition: $d) { createdDefinition { id } userErrors { field message } } }";
        let kind = if key == "rank" { "number_integer" } else { "single_line_text_field" };
        let definition = json!({
            "name": key, "namespace": "custom", "key": key, "ownerType": owner, "type": kind,
            "pin": key == "rank", "access": {"storefront": "PUBLIC_READ"},
            "capabilities": {
                "adminFilterable": {"enabled": true}, "analyticsQueryable": {"enabled": true},
            },
        });
        shop.sent(create, json!({"d": definition})).await;
    }
    let item = |title: &str| json!({"title": title, "type": "HTTP", "url": "/somewhere"});
    let mut top = item("More");
    top["items"] = json!([item("Below"), item("Beside")]);
    let create = "mutation($i: [MenuItemCreateInput!]!) { menuCreate(title: \"Side\", \
                  handle: \"side\", items: $i) { menu { id } userErrors { field message } } }";
    shop.sent(create, json!({"i": [top, item("Last")]})).await;
    let create = "mutation($d: MetaobjectDefinitionCreateInput!) { \
                  metaobjectDefinitionCreate(definition: $d) \
                  { metaobjectDefinition { id } userErrors { field message } } }";
    let field = |key: &str| json!({"key": key, "name": key, "type": "single_line_text_field"});
    let mut chosen = field("size");
    chosen["validations"] = json!([{"name": "choices", "value": "[\"S\",\"M\"]"}]);
    let definition = json!({
        "type": "shelf", "name": "Shelf", "displayNameKey": "label", "description": "Where it is",
        "fieldDefinitions": [field("label"), chosen, field("aisle")],
        "access": {"storefront": "PUBLIC_READ"},
        "capabilities": {
            "publishable": {"enabled": true},
            "onlineStore": {"enabled": true, "data": {"urlHandle": "shelves"}},
        },
    });
    shop.sent(create, json!({"d": definition})).await;
    let create = "mutation($m: MetaobjectCreateInput!) { metaobjectCreate(metaobject: $m) \
                  { metaobject { id } userErrors { field message } } }";
    for n in 0..3 {
        let fields = json!([
            {"key": "label", "value": format!("Shelf {n}")},
            {"key": "size", "value": "M"},
        ]);
        let metaobject = json!({
            "type": "shelf", "handle": format!("shelf-{n}"), "fields": fields,
            "capabilities": {"publishable": {"status": "ACTIVE"}},
        });
        shop.sent(create, json!({"m": metaobject})).await;
    }
    let set = "mutation($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) \
               { metafields { id } userErrors { field message } } }";
    let mut metafields = Vec::new();
    for type_name in ["Page", "Blog", "Article", "Customer"] {
        for (n, id) in shop.ids(type_name).into_iter().take(3).enumerate() {
            let gid = format!("gid://shopify/{type_name}/{id}");
            for (key, kind, value) in
                [("badge", "single_line_text_field", "new"), ("rank", "number_integer", "7")]
            {
                if n != 1 || key == "rank" {
                    metafields.push(json!({
                        "ownerId": gid, "namespace": "custom", "key": key, "type": kind, "value": value,
                    }));
                }
            }
        }
    }
    shop.sent(set, json!({"m": metafields})).await;
    let unpublish = "mutation($id: ID!) { pageUpdate(id: $id, page: {isPublished: false}) \
                     { page { id } userErrors { field message } } }";
    let page = shop.ids("Page").remove(0);
    shop.sent(unpublish, json!({"id": format!("gid://shopify/Page/{page}")})).await;
    let picture = "mutation($id: ID!) { articleUpdate(id: $id, article: {image: \
                   {url: \"https://cdn.example/a.jpg\", altText: \"A\"}, summary: \"<b>S</b>\"}) \
                   { article { id } userErrors { field message } } }";
    let article = shop.ids("Article").remove(0);
    shop.sent(picture, json!({"id": format!("gid://shopify/Article/{article}")})).await;
    shop.writes();
    shop
}

/// A discount is of one of two types.
pub(super) fn ids(shop: &Simulated, kind: &str) -> Vec<ResourceId> {
    match kind {
        "discount" => [shop.ids("DiscountCodeNode"), shop.ids("DiscountAutomaticNode")].concat(),
        kind => shop.ids(spec(kind).gid_type),
    }
}

pub(super) async fn states(shop: &Simulated, kind: &str) -> Vec<(ResourceId, Value)> {
    let mut found = Vec::new();
    for id in ids(shop, kind) {
        let state = shop.read(kind, &id).await.expect("it is there");
        // What an app calculates is not simulated.
        if !state["type"].as_str().is_some_and(|sort| sort.ends_with("App")) {
            found.push((id, state));
        }
    }
    assert!(
        found.len() > 1 || ["blog", "script_tag"].contains(&kind),
        "{kind}: too few to be of any use"
    );
    found
}
