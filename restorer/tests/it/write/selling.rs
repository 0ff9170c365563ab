//! Selling plans and delivery profiles are written back as they were.

use std::collections::BTreeMap;

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::{WriteError, Written};
use serde_json::{Value, json};
use shopify::fault::Fault;

fn updated() -> Written {
    Written::Updated { ids: BTreeMap::new() }
}

fn made(written: Written) -> (ResourceId, BTreeMap<String, String>) {
    let Written::Created { gid, ids } = written else { panic!("{written:?}") };
    (ResourceId::parse(&gid).unwrap(), ids)
}

fn mutations(shop: &Simulated) -> Vec<String> {
    shop.writes().into_iter().map(|write| write.mutation).collect()
}

/// A state with the gids that its parts have now, and without when it was made.
fn anew(state: &Value, ids: &BTreeMap<String, String>) -> Value {
    let text = ids.iter().fold(state.to_string(), |text, (old, new)| {
        text.replace(&format!("\"{old}\""), &format!("\"{new}\""))
    });
    let mut state: Value = serde_json::from_str(&text).unwrap();
    state.as_object_mut().unwrap().remove("createdAt");
    state
}

fn undated(state: &Value) -> Value {
    anew(state, &BTreeMap::new())
}

/// A plan of fixed terms: pay half now, and the rest when it is sent.
fn pre_order() -> Value {
    json!({
        "id": "gid://shopify/SellingPlan/1", "name": "Half now", "description": "Sent in spring",
        "category": "PRE_ORDER", "options": ["Half now"], "position": 3,
        "billingPolicy": {
            "checkoutCharge": {"type": "PERCENTAGE", "value": {"percentage": 50.0}},
            "remainingBalanceChargeExactTime": null,
            "remainingBalanceChargeTimeAfterCheckout": null,
            "remainingBalanceChargeTrigger": "ON_FULFILLMENT",
        },
        "deliveryPolicy": {
            "anchors": [], "cutoff": null, "fulfillmentExactTime": "2027-03-01T00:00:00Z",
            "fulfillmentTrigger": "EXACT_TIME", "fixedIntent": "FULFILLMENT_BEGIN",
            "fixedPreAnchorBehavior": "ASAP",
        },
        "pricingPolicies": [{
            "adjustmentType": "FIXED_AMOUNT",
            "adjustmentValue": {"amount": "5.00", "currencyCode": "USD"},
        }],
        "inventoryPolicy": {"reserve": "ON_SALE"},
    })
}

#[tokio::test]
async fn a_group_of_selling_plans_is_changed_field_by_field() {
    for version in ["2026-04", "2026-07", "2026-10"] {
        let shop = Simulated::start_in(version, 3, 6, false).await;
        let id = shop.ids("SellingPlanGroup")[0].clone();
        let was = shop.read("selling_plan_group", &id).await.unwrap();
        let product = json!({"id": format!("gid://shopify/Product/{}", shop.ids("Product")[4])});
        let damages = [
            ("/name", json!("Hacked")),
            ("/merchantCode", json!("h")),
            ("/description", json!("spam")),
            ("/options", json!(["Every so often"])),
            ("/sellingPlans/0/name", json!("Every 2 weeks, now worse")),
            ("/sellingPlans/1/options", json!(["a while"])),
            ("/sellingPlans/0/billingPolicy/maxCycles", json!(3)),
            ("/sellingPlans/0/deliveryPolicy/cutoff", json!(2)),
            ("/sellingPlans/1/pricingPolicies/0/adjustmentValue/percentage", json!(90.0)),
            ("/sellingPlans/0/inventoryPolicy/reserve", json!("ON_SALE")),
            ("/products", json!([product])),
            ("/productVariants", json!([])),
        ];
        for (pointer, value) in damages {
            let mut bad = was.clone();
            *bad.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
            let kind = "selling_plan_group";
            assert_eq!(shop.write(kind, Some(&was), Some(&bad)).await.unwrap(), updated());
            let broken = shop.read(kind, &id).await.unwrap();
            assert_eq!(broken, bad, "{pointer}");
            shop.writes();
            assert_eq!(shop.write(kind, Some(&broken), Some(&was)).await.unwrap(), updated());
            assert_eq!(shop.read(kind, &id).await.unwrap(), was, "{pointer}");
            let sent = mutations(&shop);
            assert!(sent.len() <= 2, "{pointer}: {sent:?}");
            assert_eq!(shop.write(kind, Some(&was), Some(&was)).await.unwrap(), Written::Unchanged);
            assert_eq!(mutations(&shop), Vec::<String>::new());
        }
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_plan_that_was_taken_out_comes_back_and_one_of_another_sort_takes_its_place() {
    let shop = Simulated::start(3, 6, false).await;
    let kind = "selling_plan_group";
    let id = shop.ids("SellingPlanGroup")[0].clone();
    let was = shop.read(kind, &id).await.unwrap();
    let mut bad = was.clone();
    bad["sellingPlans"].as_array_mut().unwrap().remove(0);
    assert_eq!(shop.write(kind, Some(&was), Some(&bad)).await.unwrap(), updated());
    let broken = shop.read(kind, &id).await.unwrap();
    assert_eq!(broken, bad);
    shop.writes();
    // The answer is lost, and nothing is made twice.
    shop.fates(&[Some(Fault::Lost)]);
    let Written::Updated { ids } = shop.write(kind, Some(&broken), Some(&was)).await.unwrap()
    else {
        panic!("it is updated")
    };
    assert_eq!(mutations(&shop), ["sellingPlanGroupUpdate"]);
    let is = shop.read(kind, &id).await.unwrap();
    let by_name = |state: &Value| {
        let mut state = state.clone();
        state["sellingPlans"].as_array_mut().unwrap().sort_by_key(|p| p["name"].to_string());
        state
    };
    assert_eq!(by_name(&undated(&is)), by_name(&anew(&was, &ids)));
    // Terms of another sort are another plan, with an id of its own.
    let mut other = is.clone();
    other["sellingPlans"][0] = pre_order();
    let written = shop.write(kind, Some(&is), Some(&other)).await.unwrap();
    let Written::Updated { ids } = written else { panic!("{written:?}") };
    let there = shop.read(kind, &id).await.unwrap();
    assert_eq!(by_name(&undated(&there)), by_name(&anew(&other, &ids)));
    shop.assert_simulated();
}

#[tokio::test]
async fn a_deleted_group_of_selling_plans_comes_back_with_what_it_sold() {
    for lost in 0..5 {
        let mut shop = Simulated::start(3, 6, false).await;
        let kind = "selling_plan_group";
        let id = shop.ids("SellingPlanGroup")[0].clone();
        let was = shop.read(kind, &id).await.unwrap();
        assert_eq!(shop.write(kind, Some(&was), None).await.unwrap(), Written::Deleted);
        assert_eq!(shop.read(kind, &id).await, None);
        shop.begin_now();
        let mut fates = vec![None; lost];
        fates.push(Some(Fault::Lost));
        shop.fates(&fates);
        let (id, ids) = made(shop.write(kind, None, Some(&was)).await.unwrap());
        let is = shop.read(kind, &id).await.unwrap();
        assert_eq!(undated(&is), anew(&was, &ids), "answer {lost} is lost");
        assert_eq!(ids.len(), 3, "the group and its two plans");
        assert_eq!(shop.ids("SellingPlanGroup").len(), 1);
        // One product that it sold is gone: it comes back without, and says so.
        assert_eq!(shop.write(kind, Some(&is), None).await.unwrap(), Written::Deleted);
        let product = ResourceId::parse(was["products"][0]["id"].as_str().unwrap()).unwrap();
        let product = shop.read("product", &product).await.unwrap();
        shop.write("product", Some(&product), None).await.unwrap();
        let (id, _) = made(shop.write(kind, None, Some(&was)).await.unwrap());
        let is = shop.read(kind, &id).await.unwrap();
        assert_eq!(is["products"].as_array().unwrap().len(), 1);
        let notes = shop.notes.lock().unwrap().join("\n");
        assert!(notes.contains("are not there any more"), "{notes}");
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_group_of_the_same_name_that_somebody_made_is_left_alone() {
    let mut shop = Simulated::start(3, 6, false).await;
    let kind = "selling_plan_group";
    let id = shop.ids("SellingPlanGroup")[0].clone();
    let was = shop.read(kind, &id).await.unwrap();
    let mut gone = was.clone();
    gone["id"] = json!("gid://shopify/SellingPlanGroup/1");
    shop.begin(backstock_proto::Timestamp::parse("2100-01-01T00:00:00Z").unwrap());
    let refused = shop.write(kind, None, Some(&gone)).await.unwrap_err();
    assert!(matches!(refused, WriteError::Taken(_)), "{refused}");
    assert!(refused.to_string().contains("rename or delete"), "{refused}");
    assert_eq!(shop.ids("SellingPlanGroup").len(), 1);
}

/// A profile of its own, with more zones than one request takes.
fn heavy(shop: &Simulated) -> Value {
    let location =
        |n: usize| json!({"id": format!("gid://shopify/Location/{}", shop.ids("Location")[n])});
    let price = |amount: &str| json!({"amount": amount, "currencyCode": "USD"});
    let rate = |n: usize, name: &str, amount: &str, conditions: Value| {
        json!({
            "id": format!("gid://shopify/DeliveryMethodDefinition/{n}"), "name": name,
            "description": null, "active": true, "methodConditions": conditions,
            "rateProvider": {
                "id": format!("gid://shopify/DeliveryRateDefinition/{n}"), "price": price(amount),
            },
        })
    };
    let heavier = json!([{
        "field": "TOTAL_WEIGHT", "operator": "GREATER_THAN_OR_EQUAL_TO",
        "conditionCriteria": {"unit": "KILOGRAMS", "value": 20.0},
    }]);
    let large = json!([{
        "field": "TOTAL_PRICE", "operator": "GREATER_THAN_OR_EQUAL_TO",
        "conditionCriteria": price("500.00"),
    }]);
    let zone = |n: usize, name: &str, code: &str, provinces: Value| {
        json!({
            "id": format!("gid://shopify/DeliveryZone/{n}"), "name": name,
            "countries": [{"code": code, "provinces": provinces}],
            "methodDefinitions": [
                rate(n * 10, "By lorry", "40.00", json!([])),
                rate(n * 10 + 1, "By lorry", "90.00", heavier.clone()),
                rate(n * 10 + 2, "Free", "0.00", large.clone()),
            ],
        })
    };
    let everywhere = ["DE", "ES", "FR", "IT", "NL"];
    let mut zones: Vec<Value> = everywhere
        .iter()
        .enumerate()
        .map(|(n, code)| zone(n + 1, &format!("To {code}"), code, json!([])))
        .collect();
    zones.insert(0, zone(7, "Quebec", "CA", json!(["QC"])));
    zones.insert(0, zone(8, "Everywhere else", "REST_OF_WORLD", json!([])));
    json!({
        "id": "gid://shopify/DeliveryProfile/1", "name": "Heavy goods", "default": false,
        "profileLocationGroups": [
            {"id": "gid://shopify/DeliveryLocationGroup/1", "locations": [location(0)], "zones": zones},
            {"id": "gid://shopify/DeliveryLocationGroup/2", "locations": [location(1)], "zones": [
                zone(9, "Ontario", "CA", json!(["ON"])),
            ]},
        ],
    })
}

#[tokio::test]
async fn a_delivery_profile_comes_back_with_all_its_zones_and_rates() {
    let kind = "delivery_profile";
    for (version, lost) in [("2026-04", 9), ("2026-07", 9), ("2026-10", 2), ("2026-10", 4)] {
        let shop = Simulated::start_in(version, 5, 4, false).await;
        let was = heavy(&shop);
        let mut fates = vec![None; lost];
        fates.push(Some(Fault::Lost));
        shop.fates(&fates);
        let (id, ids) = made(shop.write(kind, None, Some(&was)).await.unwrap());
        shop.fates(&[]);
        let is = shop.read(kind, &id).await.unwrap();
        assert_eq!(undated(&is), anew(&was, &ids), "{version}, answer {lost} is lost");
        assert_eq!(ids.len(), 1 + 2 + 8 + 24 + 24, "everything in it has a new id");
        assert_eq!(shop.ids("DeliveryProfile").len(), 2);
        let notes = shop.notes.lock().unwrap().join("\n");
        assert!(notes.contains("which products the profile was for"), "{notes}");
        let again = shop.write(kind, Some(&is), Some(&is)).await.unwrap();
        assert_eq!(again, Written::Unchanged);
        assert_eq!(shop.write(kind, Some(&is), None).await.unwrap(), Written::Deleted);
        assert_eq!(shop.read(kind, &id).await, None);
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_delivery_profile_is_changed_where_it_differs() {
    let kind = "delivery_profile";
    let shop = Simulated::start(5, 4, false).await;
    let (id, _) = made(shop.write(kind, None, Some(&heavy(&shop))).await.unwrap());
    let group = "/profileLocationGroups/0";
    let zone = format!("{group}/zones/0");
    let first = shop.read(kind, &id).await.unwrap();
    let damages = [
        ("/name".to_owned(), json!("Hacked")),
        (format!("{zone}/name"), json!("Anywhere")),
        (format!("{zone}/countries"), json!([{"code": "PT", "provinces": []}])),
        (format!("{zone}/methodDefinitions/0/rateProvider/price/amount"), json!("0.01")),
        (format!("{zone}/methodDefinitions/0/active"), json!(false)),
        (format!("{zone}/methodDefinitions/0/name"), json!("Cheap")),
        (format!("{zone}/methodDefinitions/2/methodConditions"), json!([])),
        (format!("{zone}/methodDefinitions"), json!([])),
        (format!("{group}/zones"), json!([first.pointer(&zone).unwrap()])),
        ("/profileLocationGroups".to_owned(), json!([first.pointer(group).unwrap()])),
    ];
    for (pointer, value) in damages {
        let was = shop.read(kind, &id).await.unwrap();
        let mut bad = was.clone();
        *bad.pointer_mut(&pointer).unwrap() = value;
        shop.write(kind, Some(&was), Some(&bad)).await.unwrap();
        let broken = shop.read(kind, &id).await.unwrap();
        assert_ne!(broken, was, "{pointer}");
        shop.writes();
        let written = shop.write(kind, Some(&broken), Some(&was)).await.unwrap();
        let Written::Updated { ids } = written else { panic!("{pointer}: {written:?}") };
        let is = shop.read(kind, &id).await.unwrap();
        assert_eq!(undated(&is), anew(&was, &ids), "{pointer}");
        let sent = mutations(&shop);
        assert!(sent.len() <= 2, "{pointer}: {sent:?}");
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn the_default_delivery_profile_stays() {
    let kind = "delivery_profile";
    let shop = Simulated::start(5, 4, false).await;
    let id = shop.ids("DeliveryProfile")[0].clone();
    let was = shop.read(kind, &id).await.unwrap();
    assert_eq!(was["profileLocationGroups"][0]["zones"][0]["countries"][0]["code"], "US");
    let refused = shop.write(kind, Some(&was), None).await.unwrap_err();
    assert!(matches!(refused, WriteError::Refused(_)), "{refused}");
    let refused = shop.write(kind, None, Some(&was)).await.unwrap_err();
    assert!(matches!(refused, WriteError::Unwritable(_)), "{refused}");
    let mut bad = was.clone();
    bad["name"] = json!("Hacked");
    assert_eq!(shop.write(kind, Some(&was), Some(&bad)).await.unwrap(), updated());
    let broken = shop.read(kind, &id).await.unwrap();
    assert_eq!(shop.write(kind, Some(&broken), Some(&was)).await.unwrap(), updated());
    assert_eq!(shop.read(kind, &id).await.unwrap(), was);
}
