//! A state reads the same whichever way it comes: by webhook, in bulk, in pages, by id.

use std::collections::BTreeMap;

use crate::client::Client;
use backstock_proto::erase::Erased;
use backstock_proto::kind::pull::Way;
use backstock_proto::kind::{self, Arrival, Kind, Spec};
use backstock_proto::{Facet, Op, ResourceId, Source};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shopify::gid::Gid;
use shopify::subscription::Subscription;
use shopify::traffic::Traffic;

/// Kinds that the simulated shop has nothing of.
const NOT_IN_THE_SHOP: &[&str] = &[];

/// Kinds that refer to others, but nothing of which does so in the simulated shop.
const WITHOUT_REFERENCES: &[&str] = &["gift_card"];

/// Canonical facets by resource.
type States = BTreeMap<(ResourceId, Facet), Value>;

/// What a spec's pulls say, each way for itself: name of the pull → states.
fn pulled(client: &mut Client, spec: &Spec) -> BTreeMap<&'static str, States> {
    let mut all = BTreeMap::new();
    let mut ids: Vec<ResourceId> = Vec::new();
    for pull in spec.pulls {
        let nodes = crate::pulled::nodes(client, spec, pull, &ids);
        if !matches!(pull.way, Way::ById { .. }) {
            ids.extend(nodes.keys().cloned());
            ids.sort();
            ids.dedup();
        }
        let mut states = States::new();
        for (id, node) in &nodes {
            for members in spec.facets.iter().filter(|m| pull.facets.contains(&m.facet)) {
                let part = members.of(node).unwrap_or_else(|| {
                    panic!(
                        "{} {id}: {} lacks a member of {:?}",
                        spec.name, pull.name, members.facet
                    )
                });
                states.insert((id.clone(), members.facet), read(spec, members.facet, id, &part));
            }
        }
        all.insert(pull.name, states);
    }
    all
}

fn read(spec: &Spec, facet: Facet, id: &ResourceId, part: &Value) -> Value {
    let kind = Kind::parse(spec.name).unwrap();
    let arrival = Arrival { source: Source::Pull, facet, op: Op::Update };
    let payload = serde_json::to_vec(part).unwrap();
    let document = kind.read(arrival, id, &payload);
    let document = document.unwrap_or_else(|e| panic!("{} {id} {facet:?}: {e}", spec.name));
    document.compared().unwrap().into_owned()
}

/// A shop after an hour of traffic, and the last state that webhooks told of each resource.
fn lived_in() -> (Client, BTreeMap<&'static str, BTreeMap<ResourceId, Value>>) {
    let mut client = Client::new(40);
    client.shop.subscriptions = Subscription::of_app("http://app", "2026-10");
    let mut traffic = Traffic::new(11);
    let mut told: BTreeMap<&'static str, BTreeMap<ResourceId, Value>> = BTreeMap::new();
    for second in 1..1_500 {
        client.now += SignedDuration::from_secs(1);
        let _ = second;
        traffic.step(&mut client.shop, client.now);
        for delivery in client.shop.take_deliveries() {
            let route = kind::route(delivery.topic.name());
            let Some(spec) = route.kind.spec().filter(|_| route.facet == Facet::Core) else {
                continue;
            };
            let id = kind::identify(&route.kind, &delivery.body);
            if route.op == Op::Delete {
                told.get_mut(spec.name).and_then(|of_kind| of_kind.remove(&id));
                continue;
            }
            let arrival = Arrival { source: Source::Webhook, facet: Facet::Core, op: route.op };
            let document = route.kind.read(arrival, &id, &delivery.body).unwrap();
            let state = document.compared().unwrap().into_owned();
            told.entry(spec.name).or_default().insert(id, state);
        }
    }
    (client, told)
}

#[test]
fn a_state_reads_the_same_whichever_way_it_comes() {
    let (mut client, told) = lived_in();
    let mut empty = Vec::new();
    for spec in kind::ALL.iter().filter(|spec| !spec.pulls.is_empty()) {
        let all = pulled(&mut client, spec);
        if all.values().all(BTreeMap::is_empty) {
            empty.push(spec.name);
            continue;
        }
        let silent = all.iter().find(|(_, states)| states.is_empty());
        assert_eq!(silent.map(|(name, _)| name), None, "{}: a way finds nothing", spec.name);
        let mut seen: BTreeMap<&(ResourceId, Facet), (&str, &Value)> = BTreeMap::new();
        for (name, states) in &all {
            for (key, state) in states {
                if let Some((other, before)) = seen.insert(key, (name, state)) {
                    assert_eq!(before, state, "{} {key:?}: {other} and {name} differ", spec.name);
                }
            }
        }
        let Some(told) = told.get(spec.name) else { continue };
        let mut compared = 0;
        for (id, state) in told.iter().filter(|(_, state)| (spec.is_whole)(state)) {
            let Some((_, pulled)) = seen.get(&(id.clone(), Facet::Core)) else {
                if spec.name == "inventory_level" {
                    // They go with their product, and no webhook says so.
                    continue;
                }
                panic!("{} {id} was told of by webhook and is in no pull", spec.name);
            };
            assert_eq!(state, *pulled, "{} {id}: webhook and pull differ", spec.name);
            compared += 1;
        }
        assert!(compared > 0, "{}: no webhook to compare with", spec.name);
    }
    assert_eq!(empty, NOT_IN_THE_SHOP);
}

/// What is left of an order of somebody who was erased is the same by each way, so that no pull ever
/// takes it for drift; and nobody can be recognised by it.
#[test]
fn of_somebody_who_was_erased_every_way_leaves_the_same() {
    let mut client = Client::new(40);
    client.shop.subscriptions = Subscription::of_app("http://app", "2026-10");
    let mut traffic = Traffic::new(11);
    let order = Kind::parse("order").unwrap();
    let spec = order.spec().unwrap();
    let mut told: BTreeMap<ResourceId, Vec<u8>> = BTreeMap::new();
    for _ in 1..600 {
        client.now += SignedDuration::from_secs(1);
        traffic.step(&mut client.shop, client.now);
        for delivery in client.shop.take_deliveries() {
            let route = kind::route(delivery.topic.name());
            if route.kind == order && route.facet == Facet::Core && route.op != Op::Delete {
                told.insert(kind::identify(&order, &delivery.body), delivery.body.to_vec());
            }
        }
    }
    let erased = Erased::default();
    let left = |source: Source, id: &ResourceId, payload: Value| {
        let left = erased.blanked(&order, payload).to_string();
        assert!(!left.contains("@example.com"), "{left}");
        let arrival = Arrival { source, facet: Facet::Core, op: Op::Update };
        order.read(arrival, id, left.as_bytes()).unwrap().compared().unwrap().into_owned()
    };
    let members = spec.facets.iter().find(|members| members.facet == Facet::Core).unwrap();
    let ids: Vec<ResourceId> = told.keys().cloned().collect();
    let mut compared = 0;
    for pull in spec.pulls.iter().filter(|pull| pull.facets.contains(&Facet::Core)) {
        for (id, node) in crate::pulled::nodes(&mut client, spec, pull, &ids) {
            let Some(body) = told.get(&id) else { continue };
            let webhook = left(Source::Webhook, &id, serde_json::from_slice(body).unwrap());
            let pulled = left(Source::Pull, &id, members.of(&node).unwrap());
            assert_eq!(webhook, pulled, "{} of {id}", pull.name);
            compared += 1;
        }
    }
    assert!(compared > 0, "no order to compare");
}

/// Parcels, refunds and payments come in lists without pages.
#[test]
fn an_order_is_read_with_all_its_parcels() {
    let mut client = Client::new(40);
    let order = Gid::nth("Order", 0);
    client.shop.edit_order(order, |state| {
        let parcel = |n: u32| {
            json!({
                "__typename": "Fulfillment", "id": format!("gid://shopify/Fulfillment/{}", 7_000 + n),
                "name": format!("#1-F{n}"), "status": "SUCCESS", "displayStatus": "FULFILLED",
                "trackingInfo": [], "fulfillmentLineItems": [], "location": null,
                "createdAt": "2026-10-01T00:00:00Z", "updatedAt": "2026-10-01T00:00:00Z",
            })
        };
        state["fulfillments"] = (0..300).map(parcel).collect();
    });
    let spec = Kind::parse("order").unwrap().spec().unwrap();
    let id = ResourceId::parse(&order.to_string()).unwrap();
    for pull in spec.pulls {
        let nodes = crate::pulled::nodes(&mut client, spec, pull, std::slice::from_ref(&id));
        let node = &nodes[&id];
        assert_eq!(node["fulfillments"].as_array().map(Vec::len), Some(300), "{}", pull.name);
        assert_eq!(node["fulfillmentsCount"]["count"], 300, "{}", pull.name);
    }
}

#[test]
fn a_glimpse_is_another_one_when_something_changed_and_else_is_not() {
    let mut client = Client::new(5);
    for spec in kind::ALL {
        let Some(document) = spec.glimpse else { continue };
        let one = client.ask(document, json!({}));
        assert_eq!(one, client.ask(document, json!({})), "{}", spec.name);
        assert!(!one.to_string().contains("\"nodes\":[]"), "{}: {one}", spec.name);
    }
    let redirects = Kind::parse("redirect").unwrap().spec().unwrap().glimpse.unwrap();
    let before = client.ask(redirects, json!({}));
    let make = "mutation { urlRedirectCreate(urlRedirect: { path: \"/a\", target: \"/b\" }) \
                { userErrors { message } } }";
    client.ask(make, json!({}));
    assert_ne!(before, client.ask(redirects, json!({})));
}

#[test]
fn references_are_gids() {
    let mut client = Client::new(40);
    let mut unreferring = Vec::new();
    for spec in kind::ALL.iter().filter(|spec| !spec.references.is_empty()) {
        let states: Vec<Value> =
            pulled(&mut client, spec).into_values().flat_map(BTreeMap::into_values).collect();
        let mut references = 0;
        for pointer in spec.references {
            let path: Vec<&str> = pointer.split('/').skip(1).collect();
            let mut found = Vec::new();
            states.iter().for_each(|state| at(state, &path, &mut found));
            references += found.len();
            for value in found {
                let gid = value.as_str().is_some_and(|text| text.starts_with("gid://shopify/"));
                assert!(gid, "{} {pointer}: {value} is not a gid", spec.name);
            }
        }
        if references == 0 {
            unreferring.push(spec.name);
        }
    }
    assert_eq!(unreferring, WITHOUT_REFERENCES, "nothing is at any of their references");
}

fn at<'v>(value: &'v Value, path: &[&str], found: &mut Vec<&'v Value>) {
    match (path, value) {
        ([], Value::Null) => {}
        ([], value) => found.push(value),
        (["*", rest @ ..], Value::Array(items)) => {
            items.iter().for_each(|item| at(item, rest, found));
        }
        ([member, rest @ ..], value) => {
            if let Some(value) = value.get(*member) {
                at(value, rest, found);
            }
        }
    }
}
