//! Menus. The tree of items is always written as a whole; an item that is there keeps its id.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::merge::{self, FieldPath};
use serde_json::{Map, Value, json};

use super::crud::{self, Crud, Find};
use super::{Around, WriteError, Written, publication, twin};

const MENU: Crud = Crud {
    kind: "menu",
    gid_type: None,
    called: "menu",
    create: include_str!("graphql/menu_create.graphql"),
    update: include_str!("graphql/menu_update.graphql"),
    delete: include_str!("graphql/menu_delete.graphql"),
    result: "menu",
    find: Find {
        // Menus cannot be searched by their handle, but there are few.
        document: include_str!("graphql/menu_find.graphql"),
        variables: |want| want["handle"].is_string().then(|| json!({})),
        is: |node, want| node["handle"] == want["handle"],
        refuses_second: true,
    },
    made: |want| {
        let items = inputs(&want["items"], &BTreeSet::new());
        json!({"title": want["title"], "handle": want["handle"], "items": items})
    },
    changed,
    children: |want, answered| {
        let mut ids = BTreeMap::new();
        renamed(&want["items"], &answered["items"], &mut ids);
        ids
    },
};

/// Makes one menu what it should be.
pub(super) async fn write(
    around: &dyn Around,
    now: Option<&Value>,
    want: Option<&Value>,
) -> Result<Written, WriteError> {
    let Some(want) = want else { return MENU.write(around, now, None).await };
    let mut want = want.clone();
    lead_on(around, &mut want).await?;
    let taken = match now {
        Some(now) => take_up(around, now, &mut want).await,
        None => BTreeMap::new(),
    };
    Ok(match MENU.write(around, now, Some(&want)).await? {
        Written::Updated { ids } => twin::updated(true, ids, taken),
        Written::Unchanged => twin::updated(false, BTreeMap::new(), taken),
        written => written,
    })
}

/// Has a tree name items that an earlier try made, and did not live to tell of, by the ids that they have. Old
/// id → new id of them, and of what their titles are translated by.
async fn take_up(around: &dyn Around, now: &Value, want: &mut Value) -> BTreeMap<String, String> {
    let none = BTreeSet::new();
    let is_same =
        |old: &Value, new: &Value| inputs(&json!([old]), &none) == inputs(&json!([new]), &none);
    let mut ids = twin::take_up(around, now, want, ("items", is_same)).await;
    let titles: Vec<_> =
        ids.iter().filter_map(|(old, new)| title_of(old).zip(title_of(new))).collect();
    ids.extend(titles);
    for item in want.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        let mut there = now["items"].as_array().into_iter().flatten();
        if let Some(there) = there.find(|there| there["id"] == item["id"]) {
            ids.extend(Box::pin(take_up(around, there, item)).await);
        }
    }
    ids
}

/// Has items whose resource was made anew lead to that, and those whose resource is not there any more to
/// where that was: Shopify takes nothing of a menu that names one, `NOT_FOUND`.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/MenuUpdateUserErrorCode>
async fn lead_on(around: &dyn Around, want: &mut Value) -> Result<(), WriteError> {
    let mut named = BTreeSet::new();
    if let Some(items) = want.get_mut("items") {
        follow(around, items);
    }
    resources(&want["items"], &mut named);
    let named: Vec<String> = named.into_iter().collect();
    let there = match publication::there(around, &named).await {
        // What may not be asked for is not known to be gone.
        Err(WriteError::Refused(_)) => return Ok(()),
        there => there?,
    };
    let gone: BTreeSet<String> = named.into_iter().filter(|gid| !there.contains(gid)).collect();
    let mut titles = Vec::new();
    if let Some(items) = want.get_mut("items") {
        unlink(items, &gone, &mut titles);
    }
    if !titles.is_empty() {
        around.note(format!(
            "what {} of the menu led to is not there any more: it leads to the address where that was. \
             Bring that back and restore the menu again, or choose something else in Content → Menus",
            titles.join(", ")
        ));
    }
    Ok(())
}

/// Has a tree's items lead to what their resources are now.
fn follow(around: &dyn Around, items: &mut Value) {
    for item in items.as_array_mut().into_iter().flatten() {
        if let Some(gid) = item["resourceId"].as_str() {
            item["resourceId"] = around.gid_now(gid).into();
        }
        if let Some(below) = item.get_mut("items") {
            follow(around, below);
        }
    }
}

/// The resources that a tree's items lead to.
fn resources(items: &Value, found: &mut BTreeSet<String>) {
    for item in items.as_array().into_iter().flatten() {
        found.extend(item["resourceId"].as_str().map(str::to_owned));
        resources(&item["items"], found);
    }
}

/// Takes from a tree's items what is gone, of whatever sort they are; how they are called.
fn unlink(items: &mut Value, gone: &BTreeSet<String>, titles: &mut Vec<String>) {
    for item in items.as_array_mut().into_iter().flatten() {
        if item["resourceId"].as_str().is_some_and(|gid| gone.contains(gid)) {
            titles.push(format!("“{}”", item["title"].as_str().unwrap_or_default()));
            item["resourceId"] = Value::Null;
            item["type"] = "HTTP".into();
            if item["url"].is_null() {
                item["url"] = "#".into();
            }
        }
        if let Some(below) = item.get_mut("items") {
            unlink(below, gone, titles);
        }
    }
}

/// Why a field stays as it is.
pub(super) fn unwritable(path: &FieldPath) -> Option<&'static str> {
    match path.member() {
        "isDefault" => Some("which menus are the default ones is for Shopify to say"),
        _ => None,
    }
}

/// Whether a path is the address of an item that leads to a resource: the address follows from it.
pub(super) fn follows(path: &FieldPath, state: &Value) -> bool {
    let Some(item) = path.as_str().strip_suffix("/url").and_then(FieldPath::parse) else {
        return false;
    };
    path.member() == "items"
        && merge::get(state, &item).is_some_and(|item| item["resourceId"].is_string())
}

fn changed(now: &Value, want: &Value) -> Option<Value> {
    let mut menu = crud::differing(now, want, &["handle"]);
    let titled = !crud::differing(now, want, &["title"]).is_empty();
    let none = BTreeSet::new();
    let itemed = want.get("items").is_some()
        && inputs(&now["items"], &none) != inputs(&want["items"], &none);
    if menu.is_empty() && !titled && !itemed {
        return None;
    }
    let mut there = BTreeSet::new();
    ids(&now["items"], &mut there);
    let items = if want.get("items").is_some() { &want["items"] } else { &now["items"] };
    menu.insert("title".into(), want.get("title").unwrap_or(&now["title"]).clone());
    menu.insert("items".into(), inputs(items, &there));
    Some(menu.into())
}

/// The ids of a tree's items.
fn ids(items: &Value, found: &mut BTreeSet<String>) {
    for item in items.as_array().into_iter().flatten() {
        found.extend(item["id"].as_str().map(str::to_owned));
        ids(&item["items"], found);
    }
}

/// Sorts of items that lead to a resource.
const OF_RESOURCES: [&str; 7] =
    ["ARTICLE", "BLOG", "COLLECTION", "METAOBJECT", "PAGE", "PRODUCT", "SHOP_POLICY"];

/// A tree of items as a mutation takes it, with the ids of those that are `there`. An item that
/// leads to a resource has the address of that; one whose resource is gone leads to where it was.
fn inputs(items: &Value, there: &BTreeSet<String>) -> Value {
    let input = |item: &Value| {
        let mut input = Map::new();
        for name in ["title", "type", "resourceId", "tags"] {
            if !item[name].is_null() {
                input.insert(name.into(), item[name].clone());
            }
        }
        if item["resourceId"].is_null() {
            let lost = item["type"].as_str().is_some_and(|of| OF_RESOURCES.contains(&of));
            let url = item["url"].as_str().or(lost.then_some("#"));
            input.extend(url.map(|url| ("url".to_owned(), url.into())));
            if lost {
                input.insert("type".into(), "HTTP".into());
            }
        }
        if item["id"].as_str().is_some_and(|id| there.contains(id)) {
            input.insert("id".into(), item["id"].clone());
        }
        input.insert("items".into(), inputs(&item["items"], there));
        Value::Object(input)
    };
    items.as_array().into_iter().flatten().map(input).collect()
}

/// The gid by which the title of an item is translated: it is a link there, of the same number.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/TranslatableResourceType>
pub(crate) fn title_of(item: &str) -> Option<String> {
    let number = item.strip_prefix("gid://shopify/MenuItem/")?;
    Some(format!("gid://shopify/Link/{number}"))
}

/// The gids by which the titles of an item and of all below are translated, or of all items of a menu.
pub(crate) fn titles(tree: &Value) -> Vec<String> {
    let own = tree["id"].as_str().and_then(title_of);
    let below = tree["items"].as_array().into_iter().flatten().flat_map(titles);
    own.into_iter().chain(below).collect()
}

/// Old id → new id of items, and of what their titles are translated by, by their places in the tree.
fn renamed(want: &Value, is: &Value, ids: &mut BTreeMap<String, String>) {
    let (Some(want), Some(is)) = (want.as_array(), is.as_array()) else { return };
    for (wanted, item) in want.iter().zip(is) {
        if let (Some(old), Some(new)) = (wanted["id"].as_str(), item["id"].as_str())
            && old != new
        {
            ids.insert(old.into(), new.into());
            ids.extend(title_of(old).zip(title_of(new)));
        }
        renamed(&wanted["items"], &item["items"], ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, title: &str, items: Value) -> Value {
        json!({
            "id": id, "title": title, "type": "PAGE", "url": format!("/pages/{title}"),
            "resourceId": "gid://shopify/Page/1", "tags": [], "items": items,
        })
    }

    #[test]
    fn an_item_whose_resource_is_gone_leads_to_where_that_was() {
        let mut lost = item("a", "A", json!([]));
        lost["resourceId"] = Value::Null;
        let sent = inputs(&json!([lost]), &BTreeSet::new());
        assert_eq!((&sent[0]["type"], &sent[0]["url"]), (&json!("HTTP"), &json!("/pages/A")));
    }

    #[test]
    fn an_item_of_any_sort_leads_to_where_its_resource_was() {
        let page = "gid://shopify/CustomerAccountNativePage/1";
        let mut items = json!([{
            "title": "Orders", "type": "CUSTOMER_ACCOUNT_PAGE", "url": "/account",
            "resourceId": page, "items": [],
        }]);
        let mut titles = Vec::new();
        unlink(&mut items, &BTreeSet::from([page.to_owned()]), &mut titles);
        let sent = inputs(&items, &BTreeSet::new());
        let link = json!({"title": "Orders", "type": "HTTP", "url": "/account", "items": []});
        assert_eq!((sent, titles), (json!([link]), vec!["“Orders”".to_owned()]));
    }

    #[test]
    fn what_the_titles_of_items_are_translated_by_gets_new_ids_with_them() {
        let gid = |of: &str, number: u8| format!("gid://shopify/{of}/{number}");
        let tree = |top: u8, below: u8| {
            let below = item(&gid("MenuItem", below), "B", json!([]));
            json!({"id": gid("Menu", 1), "items": [item(&gid("MenuItem", top), "A", json!([below]))]})
        };
        let (was, is) = (tree(1, 2), tree(1, 3));
        assert_eq!(titles(&was), [gid("Link", 1), gid("Link", 2)]);
        let mut ids = BTreeMap::new();
        renamed(&was["items"], &is["items"], &mut ids);
        let both = ["MenuItem", "Link"].map(|of| (gid(of, 2), gid(of, 3)));
        assert_eq!(ids, BTreeMap::from(both));
    }

    #[test]
    fn an_item_keeps_its_id_while_it_is_there() {
        let now = json!({"id": "m", "title": "Main", "items": [item("a", "A", json!([]))]});
        let want = json!({"id": "m", "title": "Main", "items": [
            item("gone", "G", json!([item("a", "A", json!([]))])),
        ]});
        let sent = changed(&now, &want).expect("something differs");
        assert_eq!(sent["items"][0].get("id"), None);
        assert_eq!(sent["items"][0]["items"][0]["id"], "a");
        assert_eq!(sent["items"][0].get("url"), None, "it follows from the page");
        assert_eq!(changed(&want, &want), None);
        let path = FieldPath::parse("/items/{a}/url").expect("a path");
        assert!(follows(&path, &now));
    }
}
