//! A menu comes back, whatever it leads to.

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::Written;
use serde_json::{Value, json};

#[tokio::test]
async fn what_an_item_leads_to_may_be_gone() {
    let shop = Simulated::start(7, 6, false).await;
    let id = shop.ids("Menu").remove(0);
    let was = shop.read("menu", &id).await.expect("a menu");
    let page = was["items"][1]["resourceId"].as_str().expect("the second one leads to a page");
    let page_id = ResourceId::parse(page).expect("an id");
    let page = shop.read("page", &page_id).await.expect("a page");
    assert_eq!(shop.write("page", Some(&page), None).await.expect("it goes"), Written::Deleted);
    let mut bare = was.clone();
    bare["items"] = json!([]);
    shop.write("menu", Some(&was), Some(&bare)).await.expect("it is emptied");
    let bare = shop.read("menu", &id).await.expect("a menu");

    let back = shop.write("menu", Some(&bare), Some(&was)).await.expect("it is filled again");
    assert!(matches!(back, Written::Updated { .. }), "{back:?}");
    let is = shop.read("menu", &id).await.expect("a menu");
    let (first, second) = (&is["items"][0], &is["items"][1]);
    assert_eq!(first["items"][0]["resourceId"], was["items"][0]["items"][0]["resourceId"]);
    assert_eq!(first["type"], was["items"][0]["type"]);
    assert_eq!((&second["title"], &second["type"]), (&was["items"][1]["title"], &json!("HTTP")));
    assert_eq!(second["resourceId"], Value::Null);
    let notes = shop.notes.lock().expect("no panic").join("\n");
    assert!(notes.contains(was["items"][1]["title"].as_str().expect("a title")), "{notes}");
    shop.assert_simulated();
}
