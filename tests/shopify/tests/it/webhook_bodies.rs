//! Bodies have exactly the keys that Shopify documents for their topic and version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shopify::catalog::Size;
use shopify::payload::Topic;
use shopify::shop::Shop;
use shopify::subscription::Subscription;
use shopify::traffic::Traffic;

/// A busy day's bodies, a few for every topic.
fn bodies() -> BTreeMap<&'static str, Vec<Value>> {
    let founded: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    let mut shop =
        Shop::new("acme.myshopify.com", 7, Size::of_products(120), founded, "http://cdn".into());
    shop.subscriptions = Subscription::of_app("http://app", "2026-10");
    let mut traffic = Traffic::new(7);
    let mut bodies: BTreeMap<&'static str, Vec<Value>> = BTreeMap::new();
    for second in 1..3_000 {
        traffic.step(&mut shop, founded + SignedDuration::from_secs(second));
        for delivery in shop.take_deliveries() {
            let of_topic = bodies.entry(delivery.topic.name()).or_default();
            if of_topic.len() < 300 {
                of_topic.push(serde_json::from_slice(&delivery.body).unwrap());
            }
        }
    }
    bodies
}

/// Bodies of what does not happen on an ordinary day but by the Admin API.
fn rare_bodies() -> Vec<(&'static str, Value)> {
    let mut client = crate::client::Client::new(20);
    client.shop.subscriptions = Subscription::of_app("http://app", "2026-10");
    let theme = "gid://shopify/OnlineStoreTheme/729000000000325691";
    let entry = "gid://shopify/Metaobject/719000000000292923";
    let item = "gid://shopify/InventoryItem/706000000000292923";
    let level =
        "gid://shopify/InventoryLevel/707000000000325691?inventory_item_id=706000000000292923";
    let location = "gid://shopify/Location/708000000000325691";
    let order = "gid://shopify/Order/712000000000292923";
    for mutation in [
        format!("themeUpdate(id: \"{theme}\", input: {{ name: \"N\" }}) {{ userErrors {{ message }} }}"),
        format!("themeDuplicate(id: \"{theme}\") {{ userErrors {{ message }} }}"),
        format!("themePublish(id: \"{theme}\") {{ userErrors {{ message }} }}"),
        "themeDelete(id: \"gid://shopify/OnlineStoreTheme/729000000000292923\") { userErrors { message } }".into(),
        format!("metaobjectUpdate(id: \"{entry}\", metaobject: {{ fields: [{{ key: \"bio\", value: \"b\" }}] }}) {{ userErrors {{ message }} }}"),
        format!("metaobjectDelete(id: \"{entry}\") {{ userErrors {{ message }} }}"),
        format!("inventoryItemUpdate(id: \"{item}\", input: {{ sku: \"S\" }}) {{ userErrors {{ message }} }}"),
        format!("inventoryDeactivate(inventoryLevelId: \"{level}\") {{ userErrors {{ message }} }}"),
        format!("inventoryActivate(inventoryItemId: \"{item}\", locationId: \"{location}\", available: 3) @idempotent(key: \"k\") {{ userErrors {{ message }} }}"),
        format!("orderDelete(orderId: \"{order}\") {{ userErrors {{ message }} }}"),
        "segmentCreate(name: \"S\", query: \"q\") { userErrors { message } }".into(),
        "segmentDelete(id: \"gid://shopify/Segment/743000000000292923\") { userErrors { message } }".into(),
        "discountAutomaticBasicCreate(automaticBasicDiscount: { title: \"D\", startsAt: \"2026-11-01T00:00:00Z\", customerGets: { value: { percentage: 0.1 }, items: { all: true } } }) { userErrors { message } }".into(),
        "discountAutomaticDelete(id: \"gid://shopify/DiscountAutomaticNode/731000000000292923\") { userErrors { message } }".into(),
    ] {
        done(&mut client, &mutation);
    }
    let first = |client: &crate::client::Client, type_name: &str| {
        let gid = client.shop.store.live_ids(type_name).next();
        gid.unwrap_or_else(|| panic!("no {type_name}")).to_string()
    };
    let location = first(&client, "Location");
    let group = first(&client, "SellingPlanGroup");
    let draft = first(&client, "DraftOrder");
    let contact = first(&client, "CompanyContact");
    let company = first(&client, "Company");
    let customer = first(&client, "Customer");
    let weekly = "recurring: { interval: WEEK, intervalCount: 1 }";
    for mutation in [
        format!("sellingPlanGroupDelete(id: \"{group}\") {{ userErrors {{ message }} }}"),
        format!("sellingPlanGroupCreate(input: {{ name: \"G\", options: [\"o\"], sellingPlansToCreate: [{{ name: \"P\", options: [\"w\"], billingPolicy: {{ {weekly} }}, deliveryPolicy: {{ {weekly} }} }}] }}) {{ userErrors {{ message }} }}"),
        format!("deliveryProfileCreate(profile: {{ name: \"D\", locationGroupsToCreate: [{{ locations: [\"{location}\"] }}] }}) {{ userErrors {{ message }} }}"),
        format!("draftOrderDelete(input: {{ id: \"{draft}\" }}) {{ userErrors {{ message }} }}"),
        "draftOrderCreate(input: { lineItems: [{ title: \"L\", quantity: 1 }] }) { userErrors { message } }".into(),
        format!("companyContactDelete(companyContactId: \"{contact}\") {{ userErrors {{ message }} }}"),
        format!("companyAssignCustomerAsContact(companyId: \"{company}\", customerId: \"{customer}\") {{ userErrors {{ message }} }}"),
        format!("companyLocationCreate(companyId: \"{company}\", input: {{ shippingAddress: {{ address1: \"1 Elm St.\", countryCode: CA }}, billingSameAsShipping: true }}) {{ userErrors {{ message }} }}"),
        "companyCreate(input: { company: { name: \"C\" } }) { userErrors { message } }".into(),
        format!("companyDelete(id: \"{company}\") {{ userErrors {{ message }} }}"),
    ] {
        done(&mut client, &mutation);
    }
    let profile = client.shop.store.live_ids("DeliveryProfile").last().unwrap().to_string();
    let remove = format!("deliveryProfileRemove(id: \"{profile}\") {{ userErrors {{ message }} }}");
    done(&mut client, &remove);
    let deliveries = client.shop.take_deliveries().into_iter();
    deliveries.map(|d| (d.topic.name(), serde_json::from_slice(&d.body).unwrap())).collect()
}

/// Does what is asked for, without a complaint.
fn done(client: &mut crate::client::Client, mutation: &str) {
    let data = client.ask(&format!("mutation {{ {mutation} }}"), crate::client::none());
    let (_, payload) = data.as_object().unwrap().iter().next().unwrap();
    assert_eq!(payload["userErrors"], serde_json::json!([]), "{mutation}");
}

#[test]
fn rare_bodies_have_documented_keys_as_well() {
    let bodies = rare_bodies();
    let topics: BTreeSet<&str> = bodies.iter().map(|(topic, _)| *topic).collect();
    for topic in [
        "themes/update",
        "themes/create",
        "themes/publish",
        "themes/delete",
        "metaobjects/update",
        "metaobjects/delete",
        "inventory_items/update",
        "inventory_levels/disconnect",
        "inventory_levels/connect",
        "orders/delete",
        "segments/create",
        "segments/delete",
        "discounts/create",
        "discounts/delete",
        "selling_plan_groups/create",
        "selling_plan_groups/delete",
        "profiles/create",
        "profiles/delete",
        "draft_orders/create",
        "draft_orders/delete",
        "companies/create",
        "companies/delete",
        "company_contacts/create",
        "company_contacts/delete",
        "company_locations/create",
        "company_locations/delete",
    ] {
        assert!(topics.contains(topic), "{topic}");
    }
    crate::client::fetched();
    for (topic, body) in &bodies {
        if let Some(fixtures) = fixtures() {
            let sample = std::fs::read(fixtures.join(file_name(topic))).unwrap();
            let mut sample: Value = serde_json::from_slice(&sample).unwrap();
            if topic.starts_with("metaobjects/") {
                // The keys of these are the shop's own.
                sample["fields"] = body["fields"].clone();
                sample["capabilities"] = body["capabilities"].clone();
                if topic.ends_with("delete") {
                    sample
                        .as_object_mut()
                        .unwrap()
                        .retain(|key, _| key != "fields" && key != "capabilities");
                }
            }
            same_keys(topic, body, &sample);
        }
    }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The keys of two documents are the same wherever both have something.
fn same_keys(path: &str, ours: &Value, sample: &Value) {
    match (ours, sample) {
        (Value::Object(_), Value::Object(_)) => {
            assert_eq!(keys(ours), keys(sample), "keys of {path}");
            for key in keys(ours) {
                same_keys(&format!("{path}.{key}"), &ours[key], &sample[key]);
            }
        }
        (Value::Array(ours), Value::Array(samples)) => {
            if let Some(sample) = samples.first() {
                for item in ours {
                    same_keys(&format!("{path}[]"), item, sample);
                }
            }
        }
        _ => {}
    }
}

/// Objects have what a JSON Schema requires, nothing that it lacks, and its types.
fn fits(path: &str, ours: &Value, schema: &Value) {
    match ours {
        Value::Object(map) if schema["properties"].is_object() => {
            let known = keys(&schema["properties"]);
            let required = schema["required"].as_array().into_iter().flatten();
            for key in required.filter_map(Value::as_str) {
                assert!(map.contains_key(key), "{path} lacks {key}");
            }
            for (key, value) in map {
                assert!(known.contains(key.as_str()), "{path} has {key}");
                fits(&format!("{path}.{key}"), value, &schema["properties"][key]);
            }
        }
        Value::Array(items) if schema["items"].is_object() => {
            for item in items {
                fits(&format!("{path}[]"), item, &schema["items"]);
            }
        }
        Value::Null => {}
        leaf => {
            let types: Vec<&str> = match &schema["type"] {
                Value::String(one) => vec![one],
                Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
                _ => return,
            };
            let known = types.iter().any(|name| match *name {
                "string" => leaf.is_string(),
                "integer" => leaf.is_u64() || leaf.is_i64(),
                "number" => leaf.is_number(),
                "boolean" => leaf.is_boolean(),
                "array" => leaf.is_array(),
                "object" => leaf.is_object(),
                _ => types == ["null"],
            });
            // A weight is an integer in every sample, so the schemas call it one.
            assert!(known || path.ends_with("weight_value") || types == ["null"], "{path}: {leaf}");
        }
    }
}

fn file_name(topic: &str) -> String {
    topic.replace(['/', '.'], "_") + ".json"
}

fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/webhooks");
    root.is_dir().then_some(root)
}

#[test]
fn a_day_has_every_topic() {
    let bodies = bodies();
    let silent: Vec<&str> =
        Topic::all().map(Topic::name).filter(|name| !bodies.contains_key(name)).collect();
    // Nobody disconnects stock, deletes orders or loses a customer on an ordinary day.
    let rare = [
        "customers/delete",
        "orders/delete",
        "inventory_levels/connect",
        "inventory_levels/disconnect",
        "bulk_operations/finish",
        "themes/create",
        "themes/update",
        "themes/publish",
        "themes/delete",
        "metaobjects/create",
        "metaobjects/delete",
        "segments/create",
        "segments/delete",
        "discounts/create",
        "discounts/delete",
        "locations/create",
        "locations/activate",
        "locations/deactivate",
        "locations/delete",
        "markets/create",
        "markets/delete",
        "profiles/create",
        "profiles/delete",
        "metafield_definitions/create",
        "metafield_definitions/delete",
        "companies/create",
        "companies/delete",
        "company_locations/create",
        "company_locations/delete",
        "company_contacts/create",
        "company_contacts/delete",
        "selling_plan_groups/create",
        "selling_plan_groups/delete",
        "draft_orders/create",
        "draft_orders/delete",
    ];
    assert_eq!(silent, rare);
}

#[test]
fn bodies_have_the_keys_of_the_documented_samples() {
    let Some(fixtures) = fixtures() else { return };
    for (topic, bodies) in bodies() {
        let sample = std::fs::read(fixtures.join(file_name(topic))).unwrap();
        let mut sample: Value = serde_json::from_slice(&sample).unwrap();
        for body in bodies {
            if topic.starts_with("metaobjects/") {
                // The keys of these are the shop's own.
                sample["fields"] = body["fields"].clone();
                sample["capabilities"] = body["capabilities"].clone();
            }
            same_keys(topic, &body, &sample);
        }
    }
}

/// Bodies of a topic fit its schema, of every version that has any.
fn fit(schemas: &Path, topic: &str, bodies: &[Value]) {
    for version in ["2026-04", "2026-07"] {
        let path = schemas.join(version).join(format!("{topic}.json"));
        let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        for body in bodies {
            let mut body = body.clone();
            if topic.starts_with("metaobjects/") {
                for own in ["fields", "capabilities"] {
                    if let Some(value) = body.get_mut(own) {
                        *value = Value::Null;
                    }
                }
            }
            fits(&format!("{version} {topic}"), &body, &schema);
        }
    }
}

#[test]
fn bodies_fit_the_schemas_of_their_version() {
    let schemas = crate::client::fetched().join("schemas");
    for (topic, bodies) in bodies() {
        fit(&schemas, topic, &bodies);
    }
}

#[test]
fn rare_bodies_fit_the_schemas_of_their_version() {
    let schemas = crate::client::fetched().join("schemas");
    for (topic, body) in rare_bodies() {
        fit(&schemas, topic, &[body]);
    }
}

#[test]
fn documented_bodies_fit_the_schemas_of_their_version() {
    let Some(fixtures) = fixtures() else { return };
    let schemas = crate::client::fetched().join("schemas");
    for topic in Topic::all().map(Topic::name) {
        let sample = std::fs::read(fixtures.join(file_name(topic))).unwrap();
        fit(&schemas, topic, &[serde_json::from_slice(&sample).unwrap()]);
    }
}

#[test]
fn a_product_shows_a_hundred_variants_and_names_all() {
    let bodies = bodies();
    let updates = bodies["products/update"].iter();
    let big = updates.clone().find(|body| body["variant_gids"].as_array().unwrap().len() > 100);
    let big = big.expect("a big product among the updated ones");
    assert_eq!(big["variants"].as_array().unwrap().len(), 100);
    assert_eq!(big["variant_gids"].as_array().unwrap().len(), 150);
    let at: Vec<&str> = big["variant_gids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["updated_at"].as_str().unwrap())
        .collect();
    assert!(at.is_sorted_by(|a, b| a >= b), "newest first");
}

#[test]
fn stock_makes_noise() {
    let bodies = bodies();
    let updates = &bodies["products/update"];
    let quiet = |body: &Value| {
        let mut body = body.clone();
        body["updated_at"] = Value::Null;
        body["variant_gids"] = Value::Null;
        for variant in body["variants"].as_array_mut().unwrap() {
            for key in ["inventory_quantity", "old_inventory_quantity", "updated_at"] {
                variant[key] = Value::Null;
            }
        }
        body
    };
    let noisy = updates.iter().enumerate().any(|(at, body)| {
        updates[..at].iter().any(|before| before != body && quiet(before) == quiet(body))
    });
    assert!(noisy, "some updates change nothing but stock");
}
