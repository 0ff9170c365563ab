//! What is told of two people, one of whom is erased.

use super::world::World;
use crate::support::{Delivery, at, facet, key, titled};
use backstock_proto::erase::Whom;
use backstock_proto::{Facet, Op, ResourceId, Timestamp};
use serde_json::{Value, json};

/// What must be nowhere, each in some field.
pub(super) const CANARIES: [&str; 8] = [
    "Kanarya",
    "Nachtigall",
    "kanarya@birds.example",
    "+4915550001234",
    "Kanarienweg 17",
    "prefers the yellow one",
    "engraved for Kanarya",
    "203.0.113.99",
];
pub(super) const WHO: &str = "9007199254740995001";
pub(super) const OTHER: &str = "9007199254740995002";
pub(super) const ORDER: &str = "9007199254740996001";
pub(super) const OTHERS_ORDER: &str = "9007199254740996002";

pub(super) fn customer_body(id: &str, email: &str, note: &str, updated_at: Timestamp) -> Value {
    let is_canary = id == WHO;
    let address = json!({
        "id": 1, "first_name": if is_canary { CANARIES[0] } else { "Other" },
        "last_name": if is_canary { CANARIES[1] } else { "Person" },
        "address1": if is_canary { CANARIES[4] } else { "Somewhere 3" },
        "phone": if is_canary { CANARIES[3] } else { "+4930000000" }, "city": "Berlin",
    });
    json!({
        "id": id.parse::<u64>().expect("a number"),
        "admin_graphql_api_id": format!("gid://shopify/Customer/{id}"),
        "first_name": if is_canary { CANARIES[0] } else { "Other" },
        "last_name": if is_canary { CANARIES[1] } else { "Person" },
        "email": email, "phone": if is_canary { CANARIES[3] } else { "+4930000000" },
        "note": note, "updated_at": updated_at, "created_at": at(0), "state": "enabled",
        "addresses": [address], "default_address": address,
    })
}

pub(super) fn order_body(
    id: &str,
    of: &str,
    email: &str,
    paid: bool,
    updated_at: Timestamp,
) -> Value {
    let is_canary = of == WHO;
    let money = |amount: &str| {
        json!({"shop_money": {"amount": amount, "currency_code": "EUR"},
               "presentment_money": {"amount": amount, "currency_code": "EUR"}})
    };
    json!({
        "id": id.parse::<u64>().expect("a number"),
        "admin_graphql_api_id": format!("gid://shopify/Order/{id}"),
        "name": format!("#{}", &id[16..]), "email": email, "contact_email": email,
        "phone": if is_canary { CANARIES[3] } else { "+4930000000" },
        "note": if is_canary { CANARIES[5] } else { "none" },
        "browser_ip": if is_canary { CANARIES[7] } else { "192.0.2.1" },
        "financial_status": if paid { "paid" } else { "pending" },
        "customer": {"id": of.parse::<u64>().expect("a number"),
            "admin_graphql_api_id": format!("gid://shopify/Customer/{of}"), "email": email},
        "billing_address": {"name": if is_canary { CANARIES[0] } else { "Other" },
            "address1": if is_canary { CANARIES[4] } else { "Somewhere 3" }},
        "note_attributes": [{"name": "card", "value": if is_canary { CANARIES[6] } else { "-" }}],
        "line_items": [{"id": 11, "admin_graphql_api_id": "gid://shopify/LineItem/11",
            "title": "Enamel Mug", "name": "Enamel Mug", "quantity": 2, "price_set": money("64.00"),
            "properties": [{"name": "engraving",
                "value": if is_canary { CANARIES[0] } else { "O" }}]}],
        "total_price_set": money("128.00"), "currency": "EUR", "tags": email,
        "created_at": at(5), "updated_at": updated_at,
    })
}

/// What is told of two people, by every way: webhooks, a repeated one, a pull, records, and what
/// makes no sense.
pub(super) async fn tell(world: &World) {
    let who = key("acme", "customer", WHO);
    let body = |note: &str, s| customer_body(WHO, CANARIES[2], note, at(s));
    world.publish(Delivery::of(&who, Op::Create, &body("", 10), at(10)).webhook("c1")).await;
    world
        .publish(Delivery::of(&who, Op::Update, &body(CANARIES[5], 20), at(20)).webhook("c2"))
        .await;
    world.publish(Delivery::of(&who, Op::Update, &body(CANARIES[5], 20), at(20))).await;
    world
        .publish(Delivery::of(&who, Op::Update, &body(CANARIES[5], 25), at(25)).webhook("c3"))
        .await;
    let metafields = json!({"id": format!("gid://shopify/Customer/{WHO}"), "metafields": [
        {"namespace": "custom", "key": "card", "type": "single_line_text_field",
         "value": CANARIES[6]}]});
    world.publish(facet(&who, Facet::Metafields, &metafields, at(26))).await;
    let other = key("acme", "customer", OTHER);
    let body = customer_body(OTHER, "other@birds.example", "likes mugs", at(11));
    world.publish(Delivery::of(&other, Op::Create, &body, at(11)).webhook("o1")).await;
    let order = key("acme", "order", ORDER);
    for (n, paid) in [(30, false), (40, true)] {
        let body = order_body(ORDER, WHO, CANARIES[2], paid, at(n));
        world.publish(Delivery::of(&order, Op::Update, &body, at(n)).webhook(&n.to_string())).await;
    }
    let body = order_body(OTHERS_ORDER, OTHER, "other@birds.example", true, at(41));
    let others = key("acme", "order", OTHERS_ORDER);
    world.publish(Delivery::of(&others, Op::Create, &body, at(41)).webhook("41")).await;
    // Of a kind that no file claims: a shipment, which names the order only.
    let shipment = json!({"id": 77, "order_id": ORDER.parse::<u64>().expect("a number"),
        "destination": {"name": CANARIES[0], "address1": CANARIES[4]}, "email": CANARIES[2]});
    world
        .publish(Delivery::of(&key("acme", "fulfillment", "77"), Op::Create, &shipment, at(42)))
        .await;
    // What cannot be understood is kept aside.
    let broken = format!("{{\"id\": {WHO}, \"email\": \"{}", CANARIES[2]);
    let mut poison = Delivery::of(&who, Op::Update, &json!({}), at(43));
    poison.payload = broken.into_bytes();
    world.publish(poison).await;
    world.publish(titled(&crate::support::product("acme", "7"), "Mug", at(44))).await;
    let rows = json!([
        {"n": 0, "kind": "customer", "id": WHO, "gid": format!("gid://shopify/Customer/{WHO}"),
         "title": format!("{} {}", CANARIES[0], CANARIES[1]), "action": "update", "cost": 10.0,
         "fields": [{"path": "/note", "old": CANARIES[5], "new": CANARIES[6]}]},
        {"n": 1, "kind": "product", "id": "7", "gid": "gid://shopify/Product/7", "title": "Mug",
         "action": "update", "cost": 10.0,
         "fields": [{"path": "/title", "old": "Mug", "new": "Cup"}]},
    ]);
    world.record("plan_rows", "plan-1.0", &rows).await;
    let headline = format!("{} {} was edited", CANARIES[0], CANARIES[1]);
    world.record("incident", "incident-1", &json!({"text": headline, "state": "open"})).await;
}

pub(super) fn redact(orders: &[&str]) -> Delivery {
    let orders: Vec<u64> = orders.iter().map(|id| id.parse().expect("a number")).collect();
    let body = json!({"shop_id": 1, "shop_domain": "acme.myshopify.com",
        "customer": {"id": WHO.parse::<u64>().expect("a number"), "email": CANARIES[2],
            "phone": CANARIES[3]}, "orders_to_redact": orders});
    Delivery::of(&key("acme", "customer_redact", WHO), Op::Update, &body, at(100)).webhook("r1")
}

pub(super) fn customer() -> Whom {
    Whom::Customer(ResourceId::parse(WHO).expect("an id"))
}
