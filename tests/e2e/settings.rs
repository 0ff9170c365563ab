//! What a shop's settings are known of, of which hardly any webhook tells.

use std::time::Duration;

use serde_json::{Value, json};

use crate::backstock::Backstock;
use crate::pulls::{SHOP, eventually, known_shop, known_shop_with, reconciled};
use crate::simulator::Simulator;

const PLAIN: [&str; 6] = ["--products", "3", "--rate", "0", "--plan", "plus"];

/// A quiet shop of which everything is known, and what its general delivery profile is.
async fn delivering() -> (Backstock, Simulator, Value) {
    let (backstock, simulator) = known_shop(&PLAIN).await;
    let profile = simulator.truth("delivery_profile").await.remove(0);
    (backstock, simulator, profile)
}

/// Adds zones to the only group of a profile, each of a country of its own, with so many rates.
async fn add_zones(simulator: &Simulator, profile: &Value, countries: &[&str], rates: usize) {
    let rate = |n: usize| {
        format!(
            "{{ name: \"Rate {n}\", \
             rateDefinition: {{ price: {{ amount: \"{n}.00\", currencyCode: USD }} }} }}"
        )
    };
    let rates: Vec<String> = (1..=rates).map(rate).collect();
    let zone = |code: &&str| {
        format!(
            "{{ name: \"Zone {code}\", \
             countries: [{{ code: {code}, includeAllProvinces: true }}], \
             methodDefinitionsToCreate: [{}] }}",
            rates.join(", ")
        )
    };
    let zones: Vec<String> = countries.iter().map(zone).collect();
    let group = &profile["profileLocationGroups"][0]["locationGroup"]["id"];
    let update = format!(
        "mutation {{ deliveryProfileUpdate(id: {}, profile: {{ locationGroupsToUpdate: \
         [{{ id: {group}, zonesToCreate: [{}] }}] }}) {{ userErrors {{ message }} }} }}",
        profile["id"],
        zones.join(", ")
    );
    let answer = simulator.ask(&update).await;
    assert_eq!(answer["deliveryProfileUpdate"]["userErrors"], json!([]), "{answer}");
}

/// How many rates each zone of the profile is known to have, by the zone's name.
async fn known(backstock: &Backstock, profile: &Value) -> Vec<(String, usize)> {
    let number = profile["id"].as_str().and_then(|gid| gid.rsplit('/').next()).expect("a number");
    let (_, known) = backstock.get(&format!("{SHOP}/resources/delivery_profile/{number}")).await;
    let zones = known["state"]["profileLocationGroups"][0]["zones"].as_array().cloned();
    let rates = |zone: &Value| zone["methodDefinitions"].as_array().map_or(0, Vec::len);
    let name = |zone: &Value| zone["name"].as_str().unwrap_or_default().to_owned();
    zones.unwrap_or_default().iter().map(|zone| (name(zone), rates(zone))).collect()
}

#[tokio::test]
async fn a_delivery_profile_is_known_to_its_last_zone_and_its_last_rate() {
    let (backstock, simulator, profile) = delivering().await;
    let countries = ["CA", "DE", "FR", "GB", "IT", "NL"];
    add_zones(&simulator, &profile, &countries, 1).await;
    add_zones(&simulator, &profile, &["SE"], 12).await;
    let pull = reconciled(&backstock, "delivery_profile").await;
    assert_eq!(pull["state"], "complete", "{pull}");
    let mut expected = vec![("Domestic".to_owned(), 1)];
    expected.extend(countries.map(|code| (format!("Zone {code}"), 1)));
    expected.push(("Zone SE".to_owned(), 12));
    assert_eq!(known(&backstock, &profile).await, expected);
    // More rates than one page can have: what is known stays, and it is told that there is more.
    add_zones(&simulator, &profile, &["NO"], 101).await;
    let pull = reconciled(&backstock, "delivery_profile").await;
    assert_eq!(pull["reason"], "core of 1 could not be read to the end", "{pull}");
    assert_eq!(known(&backstock, &profile).await, expected);
}

#[tokio::test]
async fn menus_are_known_within_the_hour_though_nothing_tells_of_them() {
    let (backstock, simulator) = known_shop_with("[compactor]\nglance_every = 1\n", &PLAIN).await;
    let make = |title: &str| {
        format!(
            "mutation {{ menuCreate(title: \"{title}\", handle: \"made\", items: \
             [{{ title: \"Home\", type: FRONTPAGE }}]) {{ menu {{ id }} userErrors {{ message }} }} }}"
        )
    };
    let made = simulator.ask(&make("Made")).await;
    let gid = made["menuCreate"]["menu"]["id"].as_str().expect("an id").to_owned();
    let path = format!("{SHOP}/resources/menu/{}", gid.rsplit('/').next().expect("a number"));
    let status = async |expected: u16| {
        eventually(|| async {
            match backstock.get(&path).await {
                (status, menu) if status == expected => Ok(menu),
                (status, _) => Err(format!("the menu is {status}, not {expected}")),
            }
        })
        .await
    };
    assert_eq!(status(200).await["state"]["title"], "Made");
    let versions = async || backstock.list(&format!("{path}/versions")).await;
    let first = versions().await;
    assert_eq!((first.len(), &first[0]["op"]), (1, &json!("create")), "{first:?}");
    // However often it is looked at, what stays as it is leaves nothing behind.
    let pulls = backstock.list(&format!("{SHOP}/pulls")).await.len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(versions().await.len(), 1);
    assert_eq!(backstock.list(&format!("{SHOP}/pulls")).await.len(), pulls);
    simulator.ask(&format!("mutation {{ menuDelete(id: \"{gid}\") {{ deletedMenuId }} }}")).await;
    status(410).await;
    let (_, all) = backstock.get(&format!("{SHOP}/status")).await;
    let kinds = all["kinds"].as_array().cloned().unwrap_or_default();
    let heard = |name: &str| kinds.iter().find(|kind| kind["kind"] == name).map(|k| &k["heard"]);
    assert_eq!((heard("menu"), heard("redirect")), (Some(&json!("hour")), Some(&json!("mostly"))));
    assert_eq!(heard("translation"), Some(&json!("nightly")));
}

#[tokio::test]
async fn redirects_are_known_within_the_hour_though_nothing_tells_of_them() {
    let (backstock, simulator) = known_shop_with("[compactor]\nglance_every = 1\n", &PLAIN).await;
    // A glimpse was had of how it is.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let pulls = async || backstock.list(&format!("{SHOP}/pulls")).await.len();
    let before = pulls().await;
    let made = simulator
        .ask(
            "mutation { urlRedirectCreate(urlRedirect: { path: \"/old\", target: \"/new\" }) \
             { urlRedirect { id } userErrors { message } } }",
        )
        .await;
    let gid = made["urlRedirectCreate"]["urlRedirect"]["id"].as_str().expect("an id").to_owned();
    let path = format!("{SHOP}/resources/redirect/{}", gid.rsplit('/').next().expect("a number"));
    let status = async |expected: u16| {
        eventually(|| async {
            match backstock.get(&path).await {
                (status, redirect) if status == expected => Ok(redirect),
                (status, _) => Err(format!("the redirect is {status}, not {expected}")),
            }
        })
        .await
    };
    assert_eq!(status(200).await["state"]["target"], "/new");
    // However often it is looked at, what stays as it is has nothing read.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let after = pulls().await;
    assert!(after > before, "it was not read whole");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(pulls().await, after);
    let edit = format!(
        "mutation {{ urlRedirectUpdate(id: \"{gid}\", urlRedirect: {{ target: \"/newer\" }}) \
         {{ userErrors {{ message }} }} }}"
    );
    simulator.ask(&edit).await;
    eventually(|| async {
        let (_, redirect) = backstock.get(&path).await;
        let target = redirect["state"]["target"].clone();
        if target == "/newer" { Ok(()) } else { Err(format!("it leads to {target}")) }
    })
    .await;
    let delete =
        format!("mutation {{ urlRedirectDelete(id: \"{gid}\") {{ userErrors {{ message }} }} }}");
    simulator.ask(&delete).await;
    status(410).await;
}
