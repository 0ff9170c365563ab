//! Whom a payload speaks of, and what is left of it.

use backstock_proto::canonical::Hash;
use backstock_proto::erase::{Erased, Seeker, Whom, Wish, sweep, telling};
use backstock_proto::kind::Arrival;
use backstock_proto::{Facet, Kind, Op, ResourceId, Shop, Source, Timestamp};
use serde_json::{Value, json};

const WHO: &str = "9007199254740995001";

fn kind(name: &str) -> Kind {
    Kind::parse(name).expect("a kind")
}

fn id(text: &str) -> ResourceId {
    ResourceId::parse(text).expect("an id")
}

fn body(name: &str) -> Value {
    let path = format!("{}/tests/bodies/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).expect("a body")).expect("JSON")
}

fn erased() -> Erased {
    let mut erased = Erased::default();
    erased.add(kind("customer"), id(WHO));
    erased
}

fn left(of: &str, which: &str, payload: &Value) -> Option<Value> {
    erased().left(&kind(of), &id(which), payload.to_string().as_bytes())
}

/// What is read of what is left of a webhook.
fn read(of: &str, which: &str, left: &Value) -> Value {
    let arrival = Arrival { source: Source::Webhook, facet: Facet::Core, op: Op::Update };
    let payload = left.to_string().into_bytes();
    let document = kind(of).read(arrival, &id(which), &payload).expect("it can be read as before");
    assert_ne!(document.hash(), Hash::NONE);
    document.state.expect("a state")
}

#[test]
fn of_a_customer_the_id_is_left_and_of_an_order_what_was_sold() {
    let customer = body("customers_update.json");
    let of = customer["id"].to_string();
    let mut erased = Erased::default();
    erased.add(kind("customer"), id(&of));
    let payload = customer.to_string().into_bytes();
    let kept = erased.left(&kind("customer"), &id(&of), &payload).expect("it is the customer");
    let names: Vec<&String> = kept.as_object().expect("an object").keys().collect();
    assert!(names.iter().all(|name| name.contains("id") || name.ends_with("_at")), "{names:?}");
    assert_eq!(read("customer", &of, &kept)["id"], format!("gid://shopify/Customer/{of}"));

    let order = body("orders_updated.json");
    let of = order["id"].to_string();
    let before = read("order", &of, &order);
    let kept = left("order", &of, &order).expect("it names the customer");
    let after = read("order", &of, &kept);
    for gone in ["mai@example.com", "Mai", "Street 1", "192.0.2.7", "secret", "engraving"] {
        assert!(order.to_string().contains(gone), "{gone} is not there to begin with");
        assert!(!kept.to_string().contains(gone), "{gone} is left: {kept}");
    }
    for same in ["name", "totalPriceSet", "displayFinancialStatus", "createdAt", "taxLines"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    let goods = |state: &Value| -> Vec<Value> {
        let lines = state["lineItems"].as_array().expect("lines");
        lines.iter().map(|line| json!([line["sku"], line["quantity"], line["title"]])).collect()
    };
    assert_eq!(goods(&after), goods(&before));
    assert_eq!(left("order", &of, &kept), None, "it names nobody any more");
}

#[test]
fn somebody_is_named_by_gid_number_or_address_and_by_nothing_that_only_looks_alike() {
    let gid = format!("gid://shopify/Customer/{WHO}");
    let number: Value = serde_json::from_str(WHO).expect("a number");
    let find = |of: &str, payload: Value| {
        let seeker = Seeker {
            customers: [id(WHO)].into(),
            orders: [id("77")].into(),
            emails: ["mai@example.com".to_owned()].into(),
        };
        seeker.finds(&kind(of), &id("1"), &payload)
    };
    assert!(find("order", json!({"customer": {"id": number}})));
    assert!(find("order", json!({"customer": {"id": gid}})));
    assert!(find("gift_card", json!({"recipient": {"customer": gid}})));
    assert!(find("subscription_contract", json!({"customer_id": number})));
    assert!(find("customer_joined_segment", json!({"customerId": gid})));
    assert!(find("draft_order", json!({"email": "Mai@Example.com"})));
    assert!(find("fulfillment", json!({"order_id": 77})));
    assert!(find("event", json!({"subjectId": "gid://shopify/Order/77"})));
    assert!(!find("draft_order", json!({"order": {"id": "gid://shopify/Order/77"}})));
    assert!(!find("order", json!({"customer": {"id": 7}, "total": number})));
    assert!(!find("order", json!({"note": format!("see {WHO}"), "product_id": number})));
    assert!(!find("order", json!({"customer": {"id": format!("gid://shopify/Customer/{WHO}9")}})));
    let product = json!({"customer_id": number});
    assert_eq!(left("product", "1", &product), None, "products speak of nobody");
}

#[test]
fn an_event_of_shopify_loses_what_is_within_it() {
    let node = |of: &str, mut node: Value| {
        node["id"] = format!("gid://shopify/{of}/{WHO}").into();
        json!({"action": "update", "query_variables": {"note": "Rose"}, "data": {of.to_lowercase(): node}})
    };
    let customer = node("Customer", json!({"firstName": "Mai", "lastName": "Example"}));
    let kept = left("customer", WHO, &customer).expect("it is the customer");
    assert_eq!(kept, json!({"data": {"customer": {"id": customer["data"]["customer"]["id"]}}}));
    let arrival = Arrival { source: Source::Events, facet: Facet::Core, op: Op::Update };
    let read = kind("customer").read(arrival, &id(WHO), &kept.to_string().into_bytes());
    assert!(read.expect("it can be read as before").state.is_some());

    let order = node(
        "Order",
        json!({
            "name": "#1001", "email": "mai@example.com",
            "customer": {"id": format!("gid://shopify/Customer/{WHO}")},
            "lineItems": {"nodes": [{"title": "Mug", "customAttributes": [{"key": "engraving", "value": "To Mai"}]}]},
        }),
    );
    let kept = left("order", "1", &order).expect("it names the customer").to_string();
    assert!(kept.contains("#1001") && kept.contains("Mug"), "{kept}");
    assert!(!kept.contains("mai@example.com") && !kept.contains("To Mai"), "{kept}");
}

#[test]
fn of_several_people_only_the_one_goes() {
    let gid = |n: &str| json!({"id": format!("gid://shopify/Customer/{n}")});
    let discount = json!({"id": "gid://shopify/DiscountNode/1",
        "discount": {"title": "Friends", "context": {"customers": [gid("1"), gid(WHO)]}}});
    let kept = left("discount", "1", &discount).expect("it names the customer");
    assert_eq!(kept["discount"]["context"]["customers"], json!([gid("1")]));
    assert_eq!(kept["discount"]["title"], "Friends");
}

#[test]
fn a_location_that_speaks_of_somebody_loses_its_addresses_however_they_were_told() {
    let mut erased = erased();
    erased.add(kind("company_location"), id("1"));
    for address in ["billingAddress", "billing_address", "shipping_address"] {
        let mut payload = json!({"name": "Montreal"});
        payload[address] = json!({"address1": "Street 1", "last_name": "Example"});
        let payload = payload.to_string().into_bytes();
        let kept = erased.left(&kind("company_location"), &id("1"), &payload);
        assert_eq!(kept, Some(json!({"name": "Montreal", address: null})));
    }
}

#[test]
fn records_lose_what_they_say_of_somebody_and_keep_what_they_say_of_others() {
    let customer = json!({"first_name": "Mai", "last_name": "Example", "email": "mai@example.com",
        "note": "Rose", "addresses": [{"address1": "Street 1", "name": "Mai Example"}]});
    let texts = telling(&kind("customer"), &customer);
    let told: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(told, ["Mai Example", "Street 1", "mai@example.com"], "short words tell nothing");
    let order = json!({"note_attributes": [{"name": "engraving", "value": "Green"}],
        "line_items": [{"name": "Enamel Mug"}], "billing_address": {"name": "Mai Example",
        "address1": "Street 1"}});
    let texts = telling(&kind("order"), &order);
    assert!(!texts.iter().any(|text| ["engraving", "Green", "Enamel Mug"].contains(&&**text)));

    let mut record = json!({
        "text": "Mai Example was edited",
        "rows": [
            {"kind": "customer", "id": WHO, "title": "M.", "action": "update", "cost": 10,
             "fields": [{"path": "/note", "old": "Rose", "new": null}], "state": "skipped"},
            {"kind": "product", "id": "1", "title": "Rose", "action": "update", "cost": 10,
             "fields": [{"path": "/title", "old": "Rose", "new": "Mug"}]},
        ],
    });
    let product = record["rows"][1].clone();
    assert!(sweep(&mut record, &erased(), &texts));
    assert_eq!(record["text"], "[erased] was edited");
    let row = &record["rows"][0];
    assert_eq!(
        (&row["title"], &row["action"], &row["state"]),
        (&json!(""), &json!("cannot"), &json!("skipped"))
    );
    assert_eq!(row["fields"][0], json!({"path": "/note", "old": null, "new": null}));
    assert_eq!(record["rows"][1], product, "a product of the same name stays as it is");
    assert!(!sweep(&mut record, &erased(), &texts), "there is nothing left to take out");
}

#[test]
fn a_wish_is_believed_for_the_shop_that_its_signed_body_names() {
    let acme = Shop::from_name("acme").expect("a shop");
    let at = Timestamp::parse("2026-10-01T00:00:00Z").expect("an instant");
    let of = |kind_name: &str, domain: &str| {
        let body = json!({"shop_id": 954889, "shop_domain": domain,
            "customer": {"id": 191167, "email": "john@example.com", "phone": "555-625-1199"},
            "orders_to_redact": [299938, 280263]});
        Wish::of_webhook(&acme, &kind(kind_name), body.to_string().as_bytes(), at)
    };
    let wish = of("customer_redact", "acme.myshopify.com").expect("a wish");
    assert_eq!(wish.whom, Whom::Customer(id("191167")));
    assert_eq!(wish.orders, [id("299938"), id("280263")]);
    assert!(!serde_json::to_string(&wish).expect("JSON").contains("john"));
    assert_eq!(wish.due_at().to_string(), "2026-10-31T00:00:00Z");
    let wish = of("shop_redact", "acme.myshopify.com").expect("a wish");
    assert!(wish.whom == Whom::Shop && !wish.confirmed);
    for other in ["bolt.myshopify.com", "acme.example", ""] {
        assert_eq!(of("shop_redact", other), None, "nobody signed that for acme: {other:?}");
        assert_eq!(of("customer_redact", other), None);
    }
    assert_eq!(of("customer", "acme.myshopify.com"), None);
}
