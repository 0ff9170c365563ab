//! What comes back brings along what belongs to it, and what pointed to it follows.

use super::*;
use crate::fake::Fake;

const TOTE: &str = "gid://shopify/Product/501";

fn metafield(to: &str) -> Value {
    json!({"namespace": "custom", "key": "see", "type": "product_reference", "value": to})
}

#[tokio::test]
async fn what_points_to_something_that_comes_back_follows_it() {
    let long_ago = "2026-11-18T08:00:00Z";
    let mug = format!("gid://shopify/Product/{MUG}");
    let mug = mug.as_str();
    let server = start_knowing(|history| {
        for (id, to) in [("71", TOTE), ("72", mug)] {
            let page = json!({"id": format!("gid://shopify/Page/{id}"), "title": "See", "handle": id,
                "metafields": [metafield(to)]});
            history.remember("page", id, long_ago, &page);
        }
        let shelf = |products: &[&str]| {
            json!({"id": "gid://shopify/Collection/61", "title": "Bags", "handle": "bags",
                "sortOrder": "MANUAL", "ruleSet": null, "productIds": products})
        };
        history.remember("collection", "61", long_ago, &shelf(&[TOTE, mug]));
        history.remember("collection", "61", "2026-11-21T07:00:05Z", &shelf(&[mug]));
        let rule = json!({"id": "gid://shopify/Collection/62", "title": "All", "handle": "all",
            "ruleSet": {"rules": []}, "productIds": [TOTE]});
        history.remember("collection", "62", long_ago, &rule);
    })
    .await;
    let mut request = noon();
    request["select"] = json!({"ids": [TOTE]});
    let plan = server.plan(&request).await;
    let followed = ["create product 501", "update collection 61", "update page 71"];
    assert_eq!(actions(&plan), followed);
    let field = json!({"path": "/productIds", "old": [mug], "new": [TOTE, mug]});
    assert_eq!(plan["rows"][1]["fields"], json!([field]));
    let field = json!({"path": "/metafields/{custom.see}/value", "old": TOTE, "new": TOTE});
    assert_eq!(plan["rows"][2]["fields"], json!([field]));
    let said = plan["consequences"].to_string();
    assert!(said.contains("2 references in 2 resources will point to the new ids"), "{said}");
    // Of all kinds the collection is among what is taken back, and stands there once.
    let update = format!("update product {MUG}");
    assert_eq!(
        actions(&server.plan(&noon()).await),
        ["create product 501", &update, "update collection 61", "update page 71"]
    );
    request["modes"] = json!({"update": false});
    assert_eq!(actions(&server.plan(&request).await), ["create product 501"]);
}

#[tokio::test]
async fn what_points_to_a_part_that_comes_back_follows_it() {
    let gid = |of: &str, id: &str| format!("gid://shopify/{of}/{id}");
    let server = start_knowing(|history| {
        let cup = |variants: &[&str]| {
            let variant = |id: &&str| json!({"id": gid("ProductVariant", id), "title": id});
            json!({"id": gid("Product", "900"), "title": "Cup", "handle": "cup",
                "variants": variants.iter().map(variant).collect::<Vec<_>>()})
        };
        let at = "2026-11-18T08:00:00Z";
        history.remember("product", "900", at, &cup(&["95", "96"]));
        history.remember("product", "900", "2026-11-22T08:00:00Z", &cup(&["95"]));
        let list = json!({"id": gid("PriceList", "92"), "name": "Wholesale", "currency": "EUR",
            "prices": [{"id": gid("ProductVariant", "96"),
                "price": {"amount": "9.00", "currencyCode": "EUR"}}]});
        history.remember("price_list", "92", at, &list);
    })
    .await;
    let mut request = noon();
    request["select"] = json!({"ids": [gid("Product", "900")]});
    let plan = server.plan(&request).await;
    assert_eq!(actions(&plan), ["update product 900", "update price_list 92"], "{plan}");
}

/// What the tote was in, and in which languages, as history has it from long before it went.
fn tote_in_lists(history: &mut Fake) {
    let at = "2026-11-18T08:00:00Z";
    let (mug, variant) =
        (format!("gid://shopify/Product/{MUG}"), "gid://shopify/ProductVariant/51");
    let discount = json!({
        "id": "gid://shopify/DiscountCodeNode/91", "type": "DiscountCodeBasic", "title": "Ten off",
        "customerGets": {"items": {"products": [{"id": TOTE}, {"id": mug}], "productVariants": []}},
    });
    history.remember("discount", "91", at, &discount);
    let list = json!({
        "id": "gid://shopify/PriceList/92", "name": "Wholesale", "currency": "EUR",
        "prices": [{"id": variant, "price": {"amount": "9.00", "currencyCode": "EUR"}}],
        "quantityRules": [{"id": variant, "minimum": 6, "maximum": null, "increment": 6}],
    });
    history.remember("price_list", "92", at, &list);
    let group = json!({
        "id": "gid://shopify/SellingPlanGroup/93", "name": "Monthly", "merchantCode": "monthly",
        "products": [{"id": mug}], "productVariants": [{"id": variant}],
    });
    history.remember("selling_plan_group", "93", at, &group);
    for (of, key) in [("Product-501", "title"), ("Page-71", "title"), ("Metafield-66", "value")] {
        let (of, number) = of.split_once('-').expect("a type and a number");
        let owner = format!("gid://shopify/{of}/{number}");
        let state =
            json!({"key": key, "locale": "fr", "value": "Le sac", "resource": {"id": owner}});
        history.remember("translation", &format!("{of}-{number}-fr-{key}"), at, &state);
    }
}

#[tokio::test]
async fn what_comes_back_is_put_into_the_lists_that_dropped_it_unheard() {
    let server = start_knowing(tote_in_lists).await;
    let mut request = noon();
    request["select"] = json!({"ids": [TOTE]});
    let plan = server.plan(&request).await;
    assert_eq!(
        actions(&plan),
        [
            "create product 501",
            "update discount 91",
            "update price_list 92",
            "update selling_plan_group 93",
            "create translation Product-501-fr-title",
        ]
    );
    let fields = |row: usize| plan["rows"][row]["fields"].clone();
    let tote = json!({"path": "/customerGets/items/products/{gid:~1~1shopify~1Product~1501}",
        "old": null, "new": {"id": TOTE}});
    assert_eq!(fields(1), json!([tote]));
    let paths = fields(2).as_array().expect("fields").iter().map(|f| f["path"].clone()).collect();
    let of = |list: &str| format!("/{list}/{{gid:~1~1shopify~1ProductVariant~151}}");
    assert_eq!(Value::Array(paths), json!([of("prices"), of("quantityRules")]));
    assert_eq!(fields(3)[0]["path"], of("productVariants"));
    assert_eq!(plan["rows"][4]["of"], "2026-11-18T08:00:00Z");
    let said = plan["consequences"].to_string();
    assert!(said.contains("1 product and 1 translation are made anew"), "{said}");
    assert!(said.contains("Translations of metafields and of the values of options"), "{said}");
    request["modes"] = json!({"update": false});
    assert_eq!(actions(&server.plan(&request).await), ["create product 501"]);
}

#[tokio::test]
async fn a_translation_that_was_edited_before_its_text_went_comes_back_as_it_was() {
    let server = start_knowing(|history| {
        tote_in_lists(history);
        let of = json!({"id": TOTE});
        let state = json!({"key": "title", "locale": "fr", "value": "Le SAC!!", "resource": of});
        history.remember("translation", "Product-501-fr-title", "2026-11-20T15:00:00Z", &state);
    })
    .await;
    let mut request = noon();
    request["select"] = json!({"kinds": ["product", "translation"], "q": "sac"});
    let plan = server.plan(&request).await;
    // Without the tote it is a field that changed.
    assert_eq!(actions(&plan), ["update translation Product-501-fr-title"]);
    request["select"] = json!({"kinds": ["product", "translation"]});
    let plan = server.plan(&request).await;
    let actions = actions(&plan);
    let text: Vec<&String> = actions.iter().filter(|row| row.contains("translation")).collect();
    assert_eq!(text, ["create translation Product-501-fr-title"], "{actions:?}");
    let rows = plan["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["kind"] == "translation").expect("the row");
    assert_eq!(row["fields"][0]["new"]["value"], "Le sac", "{row}");
}

#[tokio::test]
async fn titles_of_items_that_come_back_in_a_menu_are_translated_again() {
    let gid = |of: &str, id: &str| format!("gid://shopify/{of}/{id}");
    let server = start_knowing(|history| {
        let at = "2026-11-18T08:00:00Z";
        let item = |id: &str, items: Value| {
            json!({"id": gid("MenuItem", id), "title": id, "type": "HTTP", "url": "/bags",
                "resourceId": null, "tags": [], "items": items})
        };
        let menu = |items: Value| {
            json!({"id": gid("Menu", "820"), "title": "Side", "handle": "side", "isDefault": false,
                "items": items})
        };
        let stays = || item("504", json!([]));
        let goes = item("505", json!([item("506", json!([]))]));
        history.remember("menu", "820", at, &menu(json!([stays(), goes])));
        history.remember("menu", "820", "2026-11-22T08:00:00Z", &menu(json!([stays()])));
        for id in ["504", "505", "506"] {
            let of = json!({"id": gid("Link", id)});
            let state = json!({"key": "title", "locale": "fr", "value": "Sacs", "resource": of});
            history.remember("translation", &format!("Link-{id}-fr-title"), at, &state);
        }
    })
    .await;
    let mut request = noon();
    request["select"] = json!({"ids": [gid("Menu", "820")]});
    let plan = server.plan(&request).await;
    let titles = ["create translation Link-505-fr-title", "create translation Link-506-fr-title"];
    assert_eq!(actions(&plan), ["update menu 820", titles[0], titles[1]], "{plan}");
}

#[tokio::test]
async fn a_deleted_product_comes_back_with_its_stock_and_what_moved_stays() {
    let long_ago = "2026-11-18T08:00:00Z";
    let gid = |of: &str, id: &str| format!("gid://shopify/{of}/{id}");
    let server = start_knowing(|history| {
        history.remember("location", "3", long_ago, &json!({"id": gid("Location", "3")}));
        let level = |item: &str, available: i64| {
            json!({"id": gid("InventoryLevel", &format!("7{item}")), "available": available,
                   "item": {"id": gid("InventoryItem", item)},
                   "location": {"id": gid("Location", "3")}})
        };
        for item in ["90", "91"] {
            let state = json!({"id": gid("InventoryItem", item), "tracked": true});
            history.remember("inventory_item", item, long_ago, &state);
            history.remember("inventory_level", &format!("{item}-3"), long_ago, &level(item, 7));
        }
        let cup = json!({"id": gid("Product", "900"), "title": "Cup", "handle": "cup", "variants": [
            {"id": gid("ProductVariant", "95"), "title": "S", "inventoryItem": {"id": gid("InventoryItem", "90")}},
        ]});
        history.remember("product", "900", long_ago, &cup);
        // Some are sold of both, and then one of them is deleted.
        for item in ["90", "91"] {
            let (id, sold_at) = (format!("{item}-3"), "2026-11-22T07:00:00Z");
            history.remember("inventory_level", &id, sold_at, &level(item, 5));
        }
        for (kind, id) in [("product", "900"), ("inventory_item", "90"), ("inventory_level", "90-3")] {
            history.forget(kind, id, "2026-11-22T08:00:00Z");
        }
        history.log("Sweeper", "destroy", &gid("Product", "900"), "2026-11-22T08:00:00Z");
    })
    .await;
    let with_stock =
        ["create product 900", "create inventory_item 90", "create inventory_level 90-3"];
    let at = "2026-11-21T12:00:00Z";
    let plan = server.plan(&json!({"at": at})).await;
    assert_eq!(actions(&plan), with_stock);
    assert_eq!(plan["rows"][2]["of"], "2026-11-22T07:59:59.999999Z", "{plan}");
    let said = plan["consequences"].to_string();
    assert!(said.contains("Stock of 1 thing that comes back is as it was last known: 5 in all."));
    assert!(said.contains("Amounts in stock differ in 1 place and stay"), "{said}");
    // Whatever was selected, and whoever deleted it.
    for select in [json!({"ids": [gid("Product", "900")]}), json!({"kinds": ["product"]})] {
        let plan = server.plan(&json!({"at": at, "select": select})).await;
        assert_eq!(actions(&plan), with_stock, "{select}");
        let said = plan["consequences"].to_string();
        assert!(said.contains("1 inventory item and 1 product are made anew"), "{said}");
    }
    let app = json!({"app": "Sweeper", "from": "2026-11-22T07:30:00Z"});
    let plan = server.plan(&app).await;
    assert!(actions(&plan).contains(&with_stock[2].to_owned()), "{plan}");
    // Where amounts are asked for, they are what they were.
    let plan = server.plan(&json!({"at": at, "inventory": true})).await;
    assert_eq!(actions(&plan)[2..], [with_stock[2], "update inventory_level 91-3"]);
    assert_eq!(plan["rows"][2]["of"], at);
}

#[tokio::test]
async fn stock_of_what_was_no_longer_stocked_there_stays_away() {
    let long_ago = "2026-11-18T08:00:00Z";
    let gid = |of: &str, id: &str| format!("gid://shopify/{of}/{id}");
    let server = start_knowing(|history| {
        for place in ["3", "4"] {
            let level = json!({"id": gid("InventoryLevel", place), "available": 7,
                "item": {"id": gid("InventoryItem", "90")}, "location": {"id": gid("Location", place)}});
            history.remember("location", place, long_ago, &json!({"id": gid("Location", place)}));
            history.remember("inventory_level", &format!("90-{place}"), long_ago, &level);
        }
        let item = json!({"id": gid("InventoryItem", "90"), "tracked": true});
        history.remember("inventory_item", "90", long_ago, &item);
        let cup = json!({"id": gid("Product", "900"), "title": "Cup", "handle": "cup", "variants": [
            {"id": gid("ProductVariant", "95"), "title": "S", "inventoryItem": {"id": gid("InventoryItem", "90")}},
        ]});
        history.remember("product", "900", long_ago, &cup);
        history.forget("inventory_level", "90-4", "2026-11-22T07:00:00Z");
        for (kind, id) in [("product", "900"), ("inventory_item", "90"), ("inventory_level", "90-3")] {
            history.forget(kind, id, "2026-11-22T08:00:00Z");
        }
    })
    .await;
    let plan = server.plan(&json!({"at": "2026-11-21T12:00:00Z"})).await;
    let back = ["create product 900", "create inventory_item 90", "create inventory_level 90-3"];
    assert_eq!(actions(&plan), back, "{plan}");
}

#[tokio::test]
async fn stock_is_looked_for_in_some_hundred_places_together_however_many_locations_there_are() {
    let (long_ago, gone_at) = ("2026-11-18T08:00:00Z", "2026-11-22T08:00:00Z");
    let gid = |of: &str, n: u64| format!("gid://shopify/{of}/{n}");
    let server = start_knowing(|history| {
        for n in 100..220 {
            let location = json!({"id": gid("Location", n)});
            history.remember("location", &n.to_string(), long_ago, &location);
        }
        let item = |n: u64| json!({"id": gid("InventoryItem", n)});
        let variant = |n: u64| json!({"id": gid("ProductVariant", 500 + n), "title": n.to_string(), "inventoryItem": item(n)});
        let variants: Value = (1..=40).map(variant).collect();
        let cup = json!({"id": gid("Product", 900), "title": "Cup", "handle": "cup", "variants": variants});
        history.remember("product", "900", long_ago, &cup);
        history.forget("product", "900", gone_at);
        for n in 1..=40 {
            let level = json!({"id": gid("InventoryLevel", n), "available": 7, "item": item(n),
                "location": {"id": gid("Location", 100)}});
            for (kind, id, state) in [
                ("inventory_item", n.to_string(), json!({"id": gid("InventoryItem", n), "tracked": true})),
                ("inventory_level", format!("{n}-100"), level),
            ] {
                history.remember(kind, &id, long_ago, &state);
                history.forget(kind, &id, gone_at);
            }
        }
    })
    .await;
    let plan = server.plan(&json!({"at": "2026-11-21T12:00:00Z"})).await;
    assert_eq!(plan["counts"]["create"], json!(1 + 40 + 40), "{plan}");
    let together = server.journal.asked_together();
    assert!((120..=500).contains(&together), "{together}");
}
