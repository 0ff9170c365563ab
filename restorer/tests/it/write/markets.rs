//! Markets come back with what is left of what they refer to.

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::Written;
use serde_json::json;

#[tokio::test]
async fn a_market_comes_back_although_its_web_address_went_with_it() {
    let shop = Simulated::start(5, 6, false).await;
    let region =
        json!({"id": "gid://shopify/MarketRegionCountry/1", "code": "CA", "name": "Canada"});
    let was = json!({
        "id": "gid://shopify/Market/1", "name": "Canada", "handle": "ca", "status": "ACTIVE",
        "currencySettings": null,
        "priceInclusions": {
            "inclusiveDutiesPricingStrategy": "ADD_DUTIES_AT_CHECKOUT",
            "inclusiveTaxPricingStrategy": "INCLUDES_TAXES_IN_PRICE",
        },
        "webPresences": [{"id": "gid://shopify/MarketWebPresence/1"}],
        "conditions": {
            "regionsCondition": {"applicationLevel": "SPECIFIED", "regions": [region]},
        },
    });
    let made = shop.write("market", None, Some(&was)).await.expect("it comes back");
    let Written::Created { gid, .. } = made else { panic!("{made:?}") };
    let id = ResourceId::parse(&gid).expect("an id");
    let is = shop.read("market", &id).await.expect("it is there");
    assert_eq!((&is["name"], &is["webPresences"]), (&was["name"], &json!([])));
    assert_eq!(is["priceInclusions"], was["priceInclusions"]);
    assert_eq!(is["conditions"]["regionsCondition"]["regions"][0]["code"], "CA");
    let notes = shop.notes.lock().expect("no panic").join("\n");
    assert!(notes.contains("web address"), "{notes}");
    shop.assert_simulated();
}
