//! Customers: their addresses, their consent, and their orders.

use super::furnished::{furnished, states};
use super::{comparable, id_of};
use backstock_proto::ResourceId;
use backstock_restorer::write::Written;
use serde_json::{Value, json};

/// A customer's addresses keep their ids as far as they are there; the default one is the default
/// one again.
#[tokio::test]
async fn addresses_are_put_right_one_by_one_or_as_a_list() {
    let shop = furnished(7).await;
    let customers = states(&shop, "customer").await;
    let (id, was) = customers
        .into_iter()
        .find(|(_, c)| c["addresses"].as_array().is_some_and(|list| list.len() > 1))
        .expect("a customer with two addresses");
    type Edit = fn(&mut Value);
    let edits: [(Edit, usize); 4] = [
        (|c| c["addresses"][1]["city"] = json!("Elsewhere"), 1),
        (|c| drop(c["addresses"].as_array_mut().expect("a list").remove(0)), 2),
        (|c| c["defaultAddress"] = c["addresses"][1].clone(), 1),
        (|c| c["addresses"] = json!([]), 2),
    ];
    let mut was = was;
    for (n, (edit, most)) in edits.into_iter().enumerate() {
        let mut edited = was.clone();
        edit(&mut edited);
        let default = edited["defaultAddress"]["id"].clone();
        let kept = edited["addresses"].as_array().expect("a list").iter();
        if !kept.clone().any(|address| address["id"] == default) {
            edited["defaultAddress"] = edited["addresses"].get(0).cloned().unwrap_or_default();
        }
        shop.write("customer", Some(&was), Some(&edited)).await.expect("it is edited");
        let now = shop.read("customer", &id).await.expect("they are there");
        assert_eq!(comparable(&now, &[]), comparable(&edited, &[]), "edit {n}");
        shop.writes();
        shop.write("customer", Some(&now), Some(&was)).await.expect("it is put right");
        assert!(shop.writes().len() <= most, "edit {n}");
        let is = shop.read("customer", &id).await.expect("they are there");
        assert_eq!(comparable(&is, &[]), comparable(&was, &[]), "edit {n}");
        was = is;
    }
    shop.assert_simulated();
}

#[tokio::test]
async fn nobody_is_subscribed_and_a_withdrawal_is_written() {
    let shop = furnished(8).await;
    let is_subscribed = |c: &Value| c["emailMarketingConsent"]["marketingState"] == "SUBSCRIBED";
    let customers = states(&shop, "customer").await;
    let (id, subscribed) =
        customers.iter().find(|(_, c)| is_subscribed(c)).cloned().expect("somebody subscribed");
    let mut withdrawn = subscribed.clone();
    withdrawn["emailMarketingConsent"]["marketingState"] = json!("UNSUBSCRIBED");
    shop.writes();
    shop.write("customer", Some(&subscribed), Some(&withdrawn)).await.expect("it is written");
    let now = shop.read("customer", &id).await.expect("they are there");
    assert_eq!(now["emailMarketingConsent"]["marketingState"], "UNSUBSCRIBED");
    assert_eq!(shop.writes().len(), 1);
    let written = shop.write("customer", Some(&now), Some(&subscribed)).await.expect("an answer");
    assert_eq!(written, Written::Unchanged);
    assert_eq!(shop.writes().len(), 0);
    shop.write("customer", Some(&now), None).await.expect("they go");
    let written = shop.write("customer", None, Some(&subscribed)).await.expect("they come back");
    let is = shop.read("customer", &id_of(&written)).await.expect("they are there");
    assert!(!is_subscribed(&is));
    let notes = shop.notes.lock().expect("no panic").clone();
    assert!(notes.iter().any(|note| note.contains("ask them again")), "{notes:?}");
    shop.assert_simulated();
}

#[tokio::test]
async fn a_customer_with_orders_is_not_deleted_and_the_reason_is_given() {
    let shop = furnished(9).await;
    let buyer = shop.buyers().into_iter().next().expect("a buyer");
    let id = ResourceId::parse(&buyer).expect("an id");
    let was = shop.read("customer", &id).await.expect("they are there");
    let error = shop.write("customer", Some(&was), None).await.expect_err("it is refused");
    assert!(error.to_string().contains("who has orders"), "{error}");
}
