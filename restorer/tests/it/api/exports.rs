//! A whole shop out as a file, and in again.

use super::*;

const NOON: &str = "2026-11-20T12:00:00Z";

impl Server {
    async fn export(&self, shop: &str) -> Vec<u8> {
        let url = format!("http://{}/v1/shops/{shop}/export?at={NOON}", self.address);
        let request = reqwest::Client::new().get(url).bearer_auth("bst_all");
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        response.bytes().await.expect("a whole file").to_vec()
    }

    async fn import(&self, shop: &str, file: Vec<u8>) -> Answer {
        let url = format!("http://{}/v1/shops/{shop}/exports", self.address);
        let request = reqwest::Client::new().post(url).bearer_auth("bst_all").body(file);
        Answer::of(request.send().await.expect("an answer")).await
    }

    async fn plan_of(&self, shop: &str, request: &Value) -> Value {
        let answer = self.post(&format!("/v1/shops/{shop}/plans"), request).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    async fn rows_of(&self, shop: &str, export: &Value) -> Vec<Value> {
        let plan = self.plan_of(shop, &json!({"export": export["id"]})).await;
        plan["rows"].as_array().expect("rows").clone()
    }
}

/// All that has to do with a cup, by kind and id, as `acme` has it.
fn cup() -> Vec<(&'static str, &'static str, Value)> {
    let gid = |of: &str, id: &str| format!("gid://shopify/{of}/{id}");
    let metafield = |key: &str, file: &str| {
        let value = gid("MediaImage", file);
        json!({"namespace": "custom", "key": key, "type": "file_reference", "value": value})
    };
    let url = "https://cdn.shopify.com/s/files/1/cup.png";
    let file = json!({"id": gid("MediaImage", "81"), "alt": "Cup, front", "image": {"url": url}});
    let variant = json!({
        "id": gid("ProductVariant", "711"), "title": "Default", "sku": "CUP",
        "inventoryItem": {"id": gid("InventoryItem", "71")},
    });
    let product = json!({
        "id": gid("Product", "701"), "title": "Cup", "handle": "cup", "variants": [variant],
        "metafields": [metafield("care", "81"), metafield("lost", "89")],
    });
    let item = json!({
        "id": gid("InventoryItem", "71"), "sku": "CUP", "countryCodeOfOrigin": "PT",
        "unitCost": {"amount": "4.20", "currencyCode": "EUR"},
    });
    let old_item = json!({"id": gid("InventoryItem", "72"), "sku": "CUP-OLD"});
    let company = json!({"id": gid("Company", "91"), "name": "Cup & Co"});
    let contact = json!({
        "id": gid("CompanyContact", "92"), "title": "Buys cups",
        "company": {"id": gid("Company", "91")}, "customer": {"id": gid("Customer", "301")},
    });
    let draft = |id: &str, status: &str| {
        let line = json!({
            "id": gid("DraftOrderLineItem", id), "custom": false, "quantity": 3, "title": "Cup",
            "variant": {"id": gid("ProductVariant", "711")},
        });
        json!({
            "id": gid("DraftOrder", id), "name": format!("#D{id}-CUP"), "status": status,
            "note": "for the fair", "lineItems": [line],
        })
    };
    let translation = json!({
        "resource": {"id": gid("Product", "701")}, "key": "title", "locale": "fr",
        "value": "Tasse (cup)",
    });
    vec![
        ("file", "81", file),
        ("product", "701", product),
        ("inventory_item", "71", item),
        ("inventory_item", "72", old_item),
        ("company", "91", company),
        ("company_contact", "92", contact),
        ("draft_order", "93", draft("93", "OPEN")),
        ("draft_order", "94", draft("94", "COMPLETED")),
        ("translation", "Product-701-fr-title", translation),
    ]
}

/// Which of that there is no use for in another shop.
const OF_NO_USE: [&str; 2] = ["72", "94"];

/// What has ids of `acme`, with the ids that an import may have given it in `corner`.
fn in_corner(state: &Value) -> Value {
    let mut text = state.to_string();
    for id in ["301", "701", "711", "71", "81", "91", "92", "93"] {
        text = text.replace(&format!("/{id}\""), &format!("/1{id}\""));
    }
    serde_json::from_str(&text).expect("JSON")
}

fn shown(rows: &[Value]) -> Vec<String> {
    let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let shown =
        |row: &Value| format!("{} {} {}", text(row, "action"), text(row, "kind"), text(row, "id"));
    rows.iter().map(shown).collect()
}

#[tokio::test]
async fn what_went_out_comes_back_in() {
    let server = start().await;
    let file = server.export("acme").await;
    let answer = server.import("acme", file).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let import = answer.json();
    assert_eq!(import["manifest"]["resources"], 4);
    assert_eq!(import["manifest"]["shop"], "acme.myshopify.com");
    let rows = server.rows_of("acme", &import).await;
    assert_eq!(shown(&rows), ["create product 501".into(), format!("update product {MUG}")]);
    // History is not needed to make it: the file has all of it.
    assert_eq!(rows[0]["fields"][0]["path"], "");
    assert_eq!(rows[0]["fields"][0]["new"]["handle"], "canvas-tote");
    let listed = server.get("/v1/shops/acme/exports").await.json();
    assert_eq!(listed["items"][0], import);
    let audit = server.get("/v1/shops/acme/audit").await.json();
    let entries = audit["items"].as_array().expect("entries").iter();
    let done: Vec<_> = entries.filter_map(|entry| entry["deed"]["what"].as_str()).collect();
    assert!(done.contains(&"export"), "nobody is told that the whole shop left: {done:?}");
}

#[tokio::test]
async fn another_shop_gets_what_it_does_not_have() {
    let server = start().await;
    let file = server.export("acme").await;
    let import = server.import("corner", file).await.json();
    let rows = server.rows_of("corner", &import).await;
    let product = format!("create product {MUG}");
    assert_eq!(
        shown(&rows),
        [
            "create product 501".to_owned(),
            product,
            "create customer 301".into(),
            "cannot order 401".into()
        ]
    );
    let path = "/v1/shops/acme/plans";
    let elsewhere = server.post(path, &json!({"export": import["id"]})).await;
    assert!(elsewhere.problem(404).contains("import"), "an export is one shop's");
}

#[tokio::test]
async fn what_belongs_to_something_comes_to_another_shop_with_it() {
    let server = start_knowing(|history| {
        for (kind, id, state) in cup() {
            history.make(kind, id, "2026-11-20T11:00:00Z", &state);
        }
        let ada = json!({"id": "gid://shopify/Customer/1301", "email": "ada@example.com"});
        history.make_in("corner", "customer", "1301", "2026-11-20T11:00:00Z", &ada);
    })
    .await;
    let file = server.export("acme").await;
    let import = server.import("corner", file).await.json();
    let request = json!({"export": import["id"], "select": {"q": "cup"}});
    let plan = server.plan_of("corner", &request).await;
    let rows = plan["rows"].as_array().expect("rows");
    assert_eq!(
        shown(rows),
        [
            "create file 81",
            "create product 701",
            "create inventory_item 71",
            "create company 91",
            "create company_contact 92",
            "create draft_order 93",
            "create translation Product-701-fr-title",
        ]
    );
    let made = |n: usize| &rows[n]["fields"][0]["new"];
    assert_eq!(made(1)["metafields"].as_array().map(Vec::len), Some(1), "one leads to nothing");
    assert_eq!(made(1)["metafields"][0]["value"], "gid://shopify/MediaImage/81");
    assert_eq!(made(2)["unitCost"]["amount"], "4.20");
    assert_eq!(made(4)["customer"]["id"], "gid://shopify/Customer/1301", "she is here already");
    let said = plan["consequences"].to_string();
    for left in [
        "1 inventory item is not brought in: what they belong to",
        "1 draft order is not brought in: once ordered",
        "1 reference in metafields and metaobjects of 1 resource is not brought in",
    ] {
        assert!(said.contains(left), "{left}: {said}");
    }
    // With a product comes what is counted of it, whatever kinds are asked for, and no other item.
    let select = json!({"q": "cup", "kinds": ["product"]});
    let plan = server.plan_of("corner", &json!({"export": import["id"], "select": select})).await;
    let rows = plan["rows"].as_array().expect("rows");
    assert_eq!(shown(rows), ["create product 701", "create inventory_item 71"]);
    let said = plan["consequences"].to_string();
    assert!(said.contains("1 inventory item and 1 product are made anew"), "{said}");
    assert!(!said.contains("1 inventory item is not brought in"), "{said}");
}

#[tokio::test]
async fn what_is_in_the_other_shop_already_is_found_and_nothing_is_made_twice() {
    let server = start_knowing(|history| {
        let ada = json!({"id": "gid://shopify/Customer/1301", "email": "ada@example.com"});
        history.make_in("corner", "customer", "1301", "2026-11-20T11:00:00Z", &ada);
        for (kind, id, state) in cup() {
            history.make(kind, id, "2026-11-20T11:00:00Z", &state);
            if OF_NO_USE.contains(&id) {
                continue;
            }
            let mut state = in_corner(&state);
            match kind {
                // What leads to nothing was left out.
                "product" => drop(state["metafields"].as_array_mut().expect("a list").pop()),
                // Shopify numbers drafts anew.
                "draft_order" => state["name"] = json!("#D1-CUP"),
                _ => {}
            }
            let id = match id.strip_prefix("Product-") {
                Some(rest) => format!("Product-1{rest}"),
                None => format!("1{id}"),
            };
            history.make_in("corner", kind, &id, "2026-11-20T11:00:00Z", &state);
        }
    })
    .await;
    let file = server.export("acme").await;
    let import = server.import("corner", file).await.json();
    let request = json!({"export": import["id"], "select": {"q": "cup"}});
    let plan = server.plan_of("corner", &request).await;
    assert_eq!(plan["rows"], json!([]));
    assert_eq!(plan["counts"]["same"], 7);
}

#[tokio::test]
async fn bytes_that_are_kept_stay_when_somebody_sends_them_as_an_export() {
    let server = start().await;
    let picture = b"\x89PNG\r\n\x1a\nand so on";
    let bytes = futures::stream::iter([Ok(picture.as_slice().into())]);
    let hash = server.blobs.put(&shop("acme"), bytes, 1_000).await.expect("kept").0;
    server.import("acme", picture.to_vec()).await.problem(400);
    assert_eq!(server.get(&format!("/v1/shops/acme/blobs/{hash}")).await.status, 200);
    server.import("acme", b"no export".to_vec()).await.problem(400);
    let other = backstock_proto::blob::BlobHash::of(b"no export");
    server.get(&format!("/v1/shops/acme/blobs/{other}")).await.problem(404);
}

#[tokio::test]
async fn a_file_that_was_cut_or_changed_is_not_taken() {
    let server = start().await;
    let file = server.export("acme").await;
    let mut changed = file.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0xff;
    for broken in [file[..file.len() - 20].to_vec(), changed, b"no export".to_vec(), Vec::new()] {
        let answer = server.import("acme", broken).await;
        assert!(answer.problem(400).contains("export"));
    }
    assert_eq!(server.get("/v1/shops/acme/exports").await.json()["items"], json!([]));
}

#[tokio::test]
async fn what_is_no_export_takes_nothing_along_that_was_kept_before() {
    let server = start().await;
    let file = server.export("acme").await;
    assert_eq!(server.import("acme", file).await.status, 201);
    let picture = b"\x89PNG\r\n\x1a\nand so on";
    let bytes = futures::stream::iter([Ok(picture.as_slice().into())]);
    let (hash, _) = server.blobs.put(&shop("acme"), bytes, 1_000).await.expect("kept");
    server.import("acme", picture.to_vec()).await.problem(400);
    let kept = server.get(&format!("/v1/shops/acme/blobs/{hash}")).await;
    assert_eq!(kept.status, 200, "the bytes of the picture are gone");
}
