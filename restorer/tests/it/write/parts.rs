//! Parts that a try made which did not live to say so are found, and not made once more.

use crate::simulated::Simulated;
use backstock_restorer::write::Written;
use serde_json::json;

/// Kinds, their types, and a list of parts that have ids of their own.
const LISTS: [(&str, &str, &str); 5] = [
    ("customer", "Customer", "/addresses"),
    ("delivery_profile", "DeliveryProfile", "/profileLocationGroups/0/zones"),
    ("draft_order", "DraftOrder", "/lineItems"),
    ("menu", "Menu", "/items"),
    ("selling_plan_group", "SellingPlanGroup", "/sellingPlans"),
];

#[tokio::test]
async fn what_an_earlier_try_made_is_what_is_wanted_under_its_id_of_before() {
    let shop = Simulated::start(89, 40, false).await;
    shop.befores.lock().expect("no panic").push("an earlier try".into());
    for (kind, of, list) in LISTS {
        let id = shop.ids(of).into_iter().next().expect("there are some");
        let is = shop.read(kind, &id).await.expect("it is there");
        let parts = is.pointer(list).and_then(|list| list.as_array()).expect("a list");
        let made = parts.last().unwrap_or_else(|| panic!("{kind} has none of {list}"));
        let new = made["id"].as_str().expect("a gid");
        let (kind_of, _) = new.rsplit_once('/').expect("a gid");
        let old = format!("{kind_of}/990001");
        let mut gone = made.clone();
        gone["id"] = json!(old);
        let mut want = is.clone();
        let wanted = want.pointer_mut(list).and_then(|list| list.as_array_mut());
        wanted.expect("a list").push(gone);
        let written = shop.write(kind, Some(&is), Some(&want)).await.expect("an answer");
        let Written::Updated { ids } = written else { panic!("{kind}: {written:?}") };
        assert_eq!(ids.get(&old).map(String::as_str), Some(new), "{kind}");
        assert_eq!(shop.writes().len(), 0, "{kind}");
        assert_eq!(shop.read(kind, &id).await, Some(is), "{kind}");
    }
    shop.assert_simulated();
}
