//! Definitions of metafields and metaobjects that Shopify treats apart.

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::{WriteError, Written};
use serde_json::{Value, json};

/// The definition of a key, and its id.
async fn definition(shop: &Simulated, key: &str) -> (ResourceId, Value) {
    for id in shop.ids("MetafieldDefinition") {
        let state = shop.read("metafield_definition", &id).await.expect("it is there");
        if state["key"] == key {
            return (id, state);
        }
    }
    panic!("no definition of {key}");
}

#[tokio::test]
async fn what_refers_to_something_goes_only_while_there_are_no_values() {
    let shop = Simulated::start(11, 6, false).await;
    let create = "mutation($d: MetafieldDefinitionInput!) { metafieldDefinitionCreate( \
                  definition: $d) { createdDefinition { id } userErrors { field message } } }";
    let guide = json!({
        "name": "Guide", "namespace": "custom", "key": "guide", "ownerType": "PRODUCT",
        "type": "page_reference",
    });
    shop.sent(create, json!({"d": guide})).await;
    let (_, was) = definition(&shop, "guide").await;
    let gone = shop.write("metafield_definition", Some(&was), None).await.expect("it goes");
    assert_eq!(gone, Written::Deleted);

    shop.sent(create, json!({"d": guide})).await;
    let set = "mutation($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) \
               { metafields { id } userErrors { field message } } }";
    let (product, page) = (shop.ids("Product").remove(0), shop.ids("Page").remove(0));
    let value = json!({
        "ownerId": format!("gid://shopify/Product/{product}"), "namespace": "custom",
        "key": "guide", "type": "page_reference", "value": format!("gid://shopify/Page/{page}"),
    });
    shop.sent(set, json!({"m": [value]})).await;
    let (id, was) = definition(&shop, "guide").await;
    let kept = shop.write("metafield_definition", Some(&was), None).await.expect_err("it stays");
    assert!(matches!(kept, WriteError::Unwritable(_)), "{kept}");
    assert!(kept.to_string().contains("there are 1"), "{kept}");
    assert_eq!(shop.read("metafield_definition", &id).await, Some(was));
    shop.assert_simulated();
}

#[tokio::test]
async fn a_standard_one_is_turned_on_again() {
    let shop = Simulated::start(12, 6, false).await;
    let enable = "mutation($id: ID!) { standardMetafieldDefinitionEnable(ownerType: PRODUCT, \
                  id: $id, pin: true, access: {storefront: PUBLIC_READ}) \
                  { createdDefinition { id } userErrors { field message } } }";
    let template = "gid://shopify/StandardMetafieldDefinitionTemplate/1";
    shop.sent(enable, json!({"id": template})).await;
    let (_, was) = definition(&shop, "subtitle").await;
    assert_eq!(was["standardTemplate"]["id"], template);
    let gone = shop.write("metafield_definition", Some(&was), None).await.expect("it goes");
    assert_eq!(gone, Written::Deleted);

    let made = shop.write("metafield_definition", None, Some(&was)).await.expect("it comes back");
    let Written::Created { gid, .. } = made else { panic!("{made:?}") };
    let id = ResourceId::parse(&gid).expect("an id");
    let mut is = shop.read("metafield_definition", &id).await.expect("it is there");
    is["id"] = was["id"].clone();
    assert_eq!(is, was);
    shop.assert_simulated();
}

#[tokio::test]
async fn a_standard_definition_of_metaobjects_is_turned_on_again() {
    let shop = Simulated::start(13, 6, false).await;
    let enable = "mutation($type: String!) { standardMetaobjectDefinitionEnable(type: $type) \
                  { metaobjectDefinition { id } userErrors { field message } } }";
    shop.sent(enable, json!({"type": "shopify--qa-pair"})).await;
    let id = shop.ids("MetaobjectDefinition").pop().expect("it is on");
    let plain = shop.read("metaobject_definition", &id).await.expect("it is there");
    let mut was = plain.clone();
    was["access"]["storefront"] = json!("PUBLIC_READ");
    shop.write("metaobject_definition", Some(&plain), Some(&was)).await.expect("it is changed");
    let was = shop.read("metaobject_definition", &id).await.expect("it is there");
    let gone = shop.write("metaobject_definition", Some(&was), None).await.expect("it goes");
    assert_eq!(gone, Written::Deleted);

    let made = shop.write("metaobject_definition", None, Some(&was)).await.expect("it comes back");
    let Written::Created { gid, .. } = made else { panic!("{made:?}") };
    let id = ResourceId::parse(&gid).expect("an id");
    let is = shop.read("metaobject_definition", &id).await.expect("it is there");
    for member in ["type", "name", "description", "access", "capabilities", "fieldDefinitions"] {
        assert_eq!(is[member], was[member], "{member}");
    }
    assert_eq!(shop.notes.lock().expect("no panic").join(""), "");
    shop.assert_simulated();
}

/// In each version of the API.
#[tokio::test]
async fn who_sees_entries_and_what_they_are_filtered_by_comes_back() {
    for version in ["2026-04", "2026-07", "2026-10"] {
        let shop = Simulated::start_in(version, 16, 2, false).await;
        let create = "mutation($d: MetaobjectDefinitionCreateInput!) { metaobjectDefinitionCreate( \
                      definition: $d) { metaobjectDefinition { id } userErrors { field message } } }";
        let field = |key: &str, filter: bool| {
            json!({"key": key, "type": "single_line_text_field",
                   "capabilities": {"adminFilterable": {"enabled": filter}}})
        };
        let lamp = json!({
            "type": "lamp", "access": {"customerAccount": "READ"},
            "fieldDefinitions": [field("maker", true), field("bulb", false)],
        });
        shop.sent(create, json!({"d": lamp})).await;
        let id = shop.ids("MetaobjectDefinition").pop().expect("it is there");
        let was = shop.read("metaobject_definition", &id).await.expect("it is there");
        assert_eq!(was["access"]["customerAccount"], "READ", "{was}");
        let mut other = was.clone();
        other["access"]["customerAccount"] = json!("NONE");
        for field in other["fieldDefinitions"].as_array_mut().expect("fields") {
            let filter = field["key"] == "bulb";
            field["capabilities"]["adminFilterable"]["enabled"] = json!(filter);
        }
        shop.write("metaobject_definition", Some(&was), Some(&other)).await.expect("it is changed");
        let is = shop.read("metaobject_definition", &id).await;
        assert_eq!(is.as_ref(), Some(&other), "{version}");
        shop.write("metaobject_definition", Some(&other), None).await.expect("it goes");

        let made = shop.write("metaobject_definition", None, Some(&was)).await.expect("it is back");
        let Written::Created { gid, .. } = made else { panic!("{made:?}") };
        let id = ResourceId::parse(&gid).expect("an id");
        let is = shop.read("metaobject_definition", &id).await.expect("it is there");
        for member in ["access", "fieldDefinitions"] {
            assert_eq!(is[member], was[member], "{version}: {member}");
        }
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn that_carts_hand_its_values_on_comes_back() {
    let shop = Simulated::start(17, 2, false).await;
    let create = "mutation($d: MetafieldDefinitionInput!) { metafieldDefinitionCreate( \
                  definition: $d) { createdDefinition { id } userErrors { field message } } }";
    let motto = json!({
        "name": "Motto", "namespace": "custom", "key": "motto", "ownerType": "ORDER",
        "type": "single_line_text_field",
        "capabilities": {"cartToOrderCopyable": {"enabled": true}},
    });
    shop.sent(create, json!({"d": motto})).await;
    let (id, was) = definition(&shop, "motto").await;
    let mut other = was.clone();
    other["capabilities"]["cartToOrderCopyable"]["enabled"] = json!(false);
    assert_ne!(other, was);
    shop.write("metafield_definition", Some(&was), Some(&other)).await.expect("it is changed");
    assert_eq!(shop.read("metafield_definition", &id).await, Some(other.clone()));
    shop.write("metafield_definition", Some(&other), Some(&was)).await.expect("it is put right");
    assert_eq!(shop.read("metafield_definition", &id).await, Some(was.clone()));

    shop.write("metafield_definition", Some(&was), None).await.expect("it goes");
    shop.write("metafield_definition", None, Some(&was)).await.expect("it comes back");
    let (_, is) = definition(&shop, "motto").await;
    assert_eq!(is["capabilities"], was["capabilities"]);
    shop.assert_simulated();
}

#[tokio::test]
async fn one_that_cannot_be_pinned_comes_back_unpinned() {
    let shop = Simulated::start(14, 6, false).await;
    let create = "mutation($d: MetafieldDefinitionInput!) { metafieldDefinitionCreate( \
                  definition: $d) { createdDefinition { id } userErrors { field message } } }";
    let pinned = |key: &str| {
        json!({"name": key, "namespace": "custom", "key": key, "ownerType": "BLOG",
               "type": "boolean", "pin": true})
    };
    shop.sent(create, json!({"d": pinned("mine")})).await;
    let (_, was) = definition(&shop, "mine").await;
    shop.write("metafield_definition", Some(&was), None).await.expect("it goes");
    for n in 0..20 {
        shop.sent(create, json!({"d": pinned(&format!("other_{n}"))})).await;
    }

    let made = shop.write("metafield_definition", None, Some(&was)).await.expect("it comes back");
    assert!(matches!(made, Written::Created { .. }), "{made:?}");
    let (id, is) = definition(&shop, "mine").await;
    assert_eq!((&is["name"], &is["pinnedPosition"]), (&json!("mine"), &Value::Null));
    let mut wanted = is.clone();
    wanted["pinnedPosition"] = json!(1);
    wanted["name"] = json!("Renamed");
    shop.write("metafield_definition", Some(&is), Some(&wanted)).await.expect("the rest is done");
    let is = shop.read("metafield_definition", &id).await.expect("it is there");
    assert_eq!((&is["name"], &is["pinnedPosition"]), (&json!("Renamed"), &Value::Null));
    let notes = shop.notes.lock().expect("no panic").clone();
    assert!(notes.len() == 2 && notes.iter().all(|note| note.contains("unpin")), "{notes:?}");
    shop.assert_simulated();
}
