//! The shop itself.

use std::collections::BTreeMap;

use crate::simulated::Simulated;
use backstock_restorer::write::{WriteError, Written};
use serde_json::json;

#[tokio::test]
async fn metafields_of_the_shop_come_back_and_its_settings_stay() {
    let shop = Simulated::start(15, 2, false).await;
    let id = shop.ids("Shop").remove(0);
    let plain = shop.read("shop", &id).await.expect("it is there");
    let mut furnished = plain.clone();
    furnished["metafields"] = json!([{
        "namespace": "custom", "key": "motto", "type": "single_line_text_field",
        "value": "Made to last",
    }]);
    // What its settings were is no app's to write.
    let mut want = furnished.clone();
    want["name"] = json!("Another name");
    let updated = Written::Updated { ids: BTreeMap::new() };
    let set = shop.write("shop", Some(&plain), Some(&want)).await.expect("they are set");
    assert_eq!(set, updated);
    assert_eq!(shop.read("shop", &id).await, Some(furnished.clone()));
    shop.writes();
    let again = shop.write("shop", Some(&furnished), Some(&want)).await.expect("an answer");
    assert_eq!((again, shop.writes().len()), (Written::Unchanged, 0));

    let deleted = shop.write("shop", Some(&furnished), Some(&plain)).await.expect("they go");
    assert_eq!(deleted, updated);
    assert_eq!(shop.read("shop", &id).await, Some(plain.clone()));
    for (now, want) in [(None, Some(&plain)), (Some(&plain), None)] {
        let refused = shop.write("shop", now, want).await.expect_err("it stays");
        assert!(matches!(refused, WriteError::Unwritable(_)), "{refused}");
    }
    shop.assert_simulated();
}
