//! What mutations do, refuse, and leave as it is.

use super::{PRODUCT_SET, shirt};
use crate::client::{Client, none};
use serde_json::{Value, json};

#[test]
fn a_list_of_product_set_replaces_and_an_absent_one_leaves() {
    let mut client = Client::new(5);
    let set = client.ask(PRODUCT_SET, json!({ "input": shirt(&["S", "M", "L"]) }));
    let product = &set["productSet"]["product"];
    let id = product["id"].clone();
    let medium = product["variants"]["nodes"][1].clone();
    // Only the title: everything else stays.
    let set =
        client.ask(PRODUCT_SET, json!({ "id": { "id": id }, "input": { "title": "Blouse" } }));
    assert_eq!(set["productSet"]["product"]["variants"]["nodes"].as_array().unwrap().len(), 3);
    // A shorter list: the variant of the same value keeps its id and item, the others are gone.
    let set = client.ask(PRODUCT_SET, json!({ "id": { "id": id }, "input": shirt(&["M", "XL"]) }));
    let variants = set["productSet"]["product"]["variants"]["nodes"].as_array().unwrap().clone();
    assert_eq!(variants.len(), 2);
    assert_eq!(variants[0]["id"], medium["id"]);
    assert_eq!(variants[0]["inventoryItem"], medium["inventoryItem"]);
    let gone = &product["variants"]["nodes"][0]["id"];
    let node = client.ask("query($id: ID!) { node(id: $id) { id } }", json!({ "id": gone }));
    assert_eq!(node["node"], Value::Null);
    // Metafields are a list as well.
    let metafields = json!([{ "namespace": "custom", "key": "a", "type": "single_line_text_field", "value": "1" }]);
    client.ask(PRODUCT_SET, json!({ "id": { "id": id }, "input": { "metafields": metafields } }));
    let set = client.ask(PRODUCT_SET, json!({ "id": { "id": id }, "input": { "metafields": [] } }));
    assert_eq!(set["productSet"]["product"]["metafields"]["nodes"], json!([]));
}

#[test]
fn product_set_refuses_and_takes_its_time() {
    let mut client = Client::new(5);
    let error = |answer: Value| answer["productSet"]["userErrors"][0]["code"].clone();
    let unknown = json!({ "id": { "id": "gid://shopify/Product/1" }, "input": { "title": "x" } });
    assert_eq!(error(client.ask(PRODUCT_SET, unknown)), "PRODUCT_DOES_NOT_EXIST");
    let untitled = json!({ "input": { "tags": ["a"] } });
    assert_eq!(error(client.ask(PRODUCT_SET, untitled)), "INVALID_INPUT");
    let mut optionless = shirt(&["S"]);
    optionless.as_object_mut().unwrap().remove("variants");
    assert_eq!(
        error(client.ask(PRODUCT_SET, json!({ "input": optionless }))),
        "VARIANTS_INPUT_MISSING"
    );
    let mut stocked = shirt(&["S"]);
    let quantity =
        json!({ "locationId": "gid://shopify/Location/1", "name": "available", "quantity": 1 });
    stocked["variants"][0]["inventoryQuantities"] = json!(vec![quantity; 50_001]);
    assert_eq!(
        error(client.ask(PRODUCT_SET, json!({ "input": stocked }))),
        "INVENTORY_QUANTITIES_LIMIT_EXCEEDED"
    );
    let taken = client.ask("{ products(first: 1) { nodes { handle } } }", none());
    let taken = &taken["products"]["nodes"][0]["handle"];
    let mut shirt = shirt(&["S"]);
    shirt["handle"] = taken.clone();
    assert_eq!(error(client.ask(PRODUCT_SET, json!({ "input": shirt }))), "HANDLE_NOT_UNIQUE");
    shirt["handle"] = json!("Fresh Handle!");
    let slow = client.ask(PRODUCT_SET, json!({ "input": shirt, "sync": false }));
    assert_eq!(slow["productSet"]["product"], Value::Null);
    assert_eq!(slow["productSet"]["productSetOperation"]["status"], "ACTIVE");
    let id = &slow["productSet"]["productSetOperation"]["id"];
    let later = client.ask(
        "query($id: ID!) { productOperation(id: $id) { status product { handle } } }",
        json!({ "id": id }),
    );
    assert_eq!(
        later["productOperation"],
        json!({ "status": "COMPLETE", "product": { "handle": "fresh-handle" } })
    );
}

#[test]
fn a_deleted_product_comes_back_as_another() {
    let mut client = Client::new(5);
    let first = client.ask("{ products(first: 1) { nodes { id handle } } }", none());
    let first = first["products"]["nodes"][0].clone();
    let delete = "mutation($i: ProductDeleteInput!) { productDelete(input: $i) { deletedProductId userErrors { message } } }";
    let gone = client.ask(delete, json!({ "i": { "id": first["id"] } }));
    assert_eq!(gone["productDelete"]["deletedProductId"], first["id"]);
    let again = client.ask(delete, json!({ "i": { "id": first["id"] } }));
    assert_eq!(again["productDelete"]["userErrors"][0]["message"], "Product does not exist");
    let mut input = shirt(&["S"]);
    input["handle"] = first["handle"].clone();
    let set = client.ask(PRODUCT_SET, json!({ "input": input }));
    assert_eq!(set["productSet"]["product"]["handle"], first["handle"]);
    assert_ne!(set["productSet"]["product"]["id"], first["id"]);
}

#[test]
fn collections_begin_unpublished_and_rules_own_their_members() {
    let mut client = Client::new(60);
    let create = "mutation($i: CollectionInput!) { collectionCreate(input: $i) { collection {
        id resourcePublicationsCount { count } products(first: 50) { nodes { id tags } } }
        userErrors { field message } } }";
    let rules = json!({ "appliedDisjunctively": false, "rules": [{ "column": "TAG", "relation": "EQUALS", "condition": "sale" }] });
    let made = client.ask(create, json!({ "i": { "title": "Sale", "ruleSet": rules } }));
    let made = &made["collectionCreate"]["collection"];
    assert_eq!(made["resourcePublicationsCount"]["count"], 0);
    let members = made["products"]["nodes"].as_array().unwrap();
    assert!(!members.is_empty());
    assert!(members.iter().all(|p| p["tags"].as_array().unwrap().contains(&json!("sale"))));
    let other = client.ask("{ products(first: 1) { nodes { id } } }", none());
    let other = &other["products"]["nodes"][0]["id"];
    let add = "mutation($id: ID!, $p: [ID!]!) { collectionAddProducts(id: $id, productIds: $p) { userErrors { message } } }";
    let refused = client.ask(add, json!({ "id": made["id"], "p": [other] }));
    let message = &refused["collectionAddProducts"]["userErrors"][0]["message"];
    assert_eq!(message, "Can't manually add products to a smart collection");
}

#[test]
fn stock_is_set_once_per_key_and_only_over_what_was_seen() {
    let mut client = Client::new(5);
    let level = client.ask(
        "{ productVariants(first: 1) { nodes { inventoryItem { id inventoryLevels(first: 1) { nodes {
            location { id } quantities(names: [\"available\"]) { quantity } } } } } } }",
        none(),
    );
    let item = level["productVariants"]["nodes"][0]["inventoryItem"].clone();
    let seen = item["inventoryLevels"]["nodes"][0]["quantities"][0]["quantity"].as_i64().unwrap();
    let input = |from: Value, to: i64| {
        json!({ "name": "available", "reason": "correction", "quantities": [{
        "inventoryItemId": item["id"], "locationId": item["inventoryLevels"]["nodes"][0]["location"]["id"],
        "quantity": to, "changeFromQuantity": from }] })
    };
    let plain = "mutation($i: InventorySetQuantitiesInput!) { inventorySetQuantities(input: $i) { userErrors { code } } }";
    let (_, message) = client.refusal(plain, json!({ "i": input(json!(seen), 1) }));
    assert!(message.contains("@idempotent"), "{message}");
    let keyed = "mutation($i: InventorySetQuantitiesInput!, $k: String!) { inventorySetQuantities(input: $i) @idempotent(key: $k) {
        inventoryAdjustmentGroup { id changes { delta } } userErrors { code } } }";
    let (_, message) = client.refusal(keyed, json!({ "k": " ", "i": input(json!(seen), 1) }));
    assert!(message.contains("@idempotent"), "{message}");
    let argued = "mutation { orderCreateMandatePayment(id: \"gid://shopify/Order/1\", mandateId: \"gid://shopify/PaymentMandate/1\", idempotencyKey: \"k\") { userErrors { message } } }";
    let (code, _) = client.refusal(argued, none());
    assert_eq!(code, "NOT_SIMULATED", "its key is an argument");
    let stale = client.ask(keyed, json!({ "k": "1", "i": input(json!(seen + 1), 7) }));
    assert_eq!(
        stale["inventorySetQuantities"]["userErrors"][0]["code"],
        "CHANGE_FROM_QUANTITY_STALE"
    );
    let again = client.ask(keyed, json!({ "k": "1", "i": input(json!(seen + 1), 7) }));
    assert_eq!(
        again["inventorySetQuantities"]["userErrors"][0]["code"],
        "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"
    );
    let set = client.ask(keyed, json!({ "k": "2", "i": input(json!(seen), seen + 5) }));
    assert_eq!(set["inventorySetQuantities"]["inventoryAdjustmentGroup"]["changes"][0]["delta"], 5);
    let again = client.ask(keyed, json!({ "k": "2", "i": input(json!(seen), seen + 5) }));
    assert_eq!(again, set, "the same key gives the same answer, and does nothing");
    let other = client.ask(keyed, json!({ "k": "2", "i": input(json!(null), 9) }));
    assert_eq!(
        other["inventorySetQuantities"]["userErrors"][0]["code"],
        "IDEMPOTENCY_KEY_PARAMETER_MISMATCH"
    );
}

#[test]
fn what_is_not_stocked_any_more_is_still_counted() {
    let mut client = Client::new(5);
    let read = "{ productVariants(first: 1) { nodes { inventoryItem { id inventoryLevels(first: 1) { nodes {
        id location { id } quantities(names: [\"available\"]) { quantity } } } } } } }";
    let item = client.ask(read, none())["productVariants"]["nodes"][0]["inventoryItem"].clone();
    let level = &item["inventoryLevels"]["nodes"][0];
    let stop = "mutation($id: ID!) { inventoryDeactivate(inventoryLevelId: $id) { userErrors { message } } }";
    client.ask(stop, json!({ "id": level["id"] }));
    let set = "mutation($i: InventorySetQuantitiesInput!) { inventorySetQuantities(input: $i) @idempotent(key: \"1\") { userErrors { code } } }";
    let input = json!({ "name": "available", "reason": "correction", "quantities": [{
        "inventoryItemId": item["id"], "locationId": level["location"]["id"], "quantity": 9,
        "changeFromQuantity": level["quantities"][0]["quantity"] }] });
    let answer = client.ask(set, json!({ "i": input }));
    assert_eq!(answer["inventorySetQuantities"]["userErrors"], json!([]));
    let at = json!({ "i": item["id"], "l": level["location"]["id"] });
    let there = "query($i: ID!, $l: ID!) { inventoryItem(id: $i) { inventoryLevel(locationId: $l) { id } } }";
    let unstocked = client.ask(there, at.clone());
    assert_eq!(unstocked["inventoryItem"]["inventoryLevel"], Value::Null);
    let again = "mutation($i: ID!, $l: ID!) { inventoryActivate(inventoryItemId: $i, locationId: $l) @idempotent(key: \"2\") {
        inventoryLevel { quantities(names: [\"available\"]) { quantity } } userErrors { message } } }";
    let stocked = client.ask(again, at);
    let stocked = &stocked["inventoryActivate"]["inventoryLevel"];
    assert_eq!(stocked["quantities"], json!([{ "quantity": 9 }]));
}

#[test]
fn metafields_are_set_all_or_none_and_only_over_what_was_seen() {
    let mut client = Client::new(5);
    let owner = client.ask("{ products(first: 1) { nodes { id updatedAt } } }", none());
    let owner = owner["products"]["nodes"][0].clone();
    let set = "mutation($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) {
        metafields { id value compareDigest } userErrors { field code } } }";
    let entry = |key: &str, kind: &str, value: &str| json!({ "ownerId": owner["id"], "namespace": "custom", "key": key, "type": kind, "value": value });
    let mixed =
        json!([entry("good", "single_line_text_field", "x"), entry("bad", "number_integer", "x")]);
    let refused = client.ask(set, json!({ "m": mixed }));
    assert_eq!(refused["metafieldsSet"]["userErrors"][0]["code"], "INVALID_VALUE");
    let read = "query($id: ID!) { product(id: $id) { updatedAt good: metafield(namespace: \"custom\", key: \"good\") { value } } }";
    let state = client.ask(read, json!({ "id": owner["id"] }));
    assert_eq!(state["product"]["good"], Value::Null);
    let written = client.ask(set, json!({ "m": [entry("good", "single_line_text_field", "x")] }));
    let digest = &written["metafieldsSet"]["metafields"][0]["compareDigest"];
    let state = client.ask(read, json!({ "id": owner["id"] }));
    assert_eq!(state["product"]["updatedAt"], owner["updatedAt"], "the owner's date does not tell");
    let mut over = entry("good", "single_line_text_field", "y");
    over["compareDigest"] = digest.clone();
    client.ask(set, json!({ "m": [over.clone()] }));
    let stale = client.ask(set, json!({ "m": [over] }));
    assert_eq!(stale["metafieldsSet"]["userErrors"][0]["code"], "STALE_OBJECT");
}

#[test]
fn theme_files_take_an_exemption() {
    let mut client = Client::new(5);
    let theme = client.ask("{ themes(first: 1, roles: [MAIN]) { nodes { id } } }", none());
    let upsert = "mutation($id: ID!, $f: [OnlineStoreThemeFilesUpsertFileInput!]!) { themeFilesUpsert(themeId: $id, files: $f) {
        upsertedThemeFiles { filename checksumMd5 } job { id done } userErrors { code filename } } }";
    let files = json!([{ "filename": "assets/a.css", "body": { "type": "TEXT", "value": "a{}" } }]);
    let variables = json!({ "id": theme["themes"]["nodes"][0]["id"], "f": files });
    let (code, _) = client.refusal(upsert, variables);
    assert_eq!(code, "ACCESS_DENIED");
}

#[test]
fn a_shop_has_so_many_themes_and_no_more() {
    let mut client = Client::new(5);
    let theme = client.ask("{ themes(first: 1, roles: [MAIN]) { nodes { id } } }", none());
    let copy = "mutation($id: ID!) { themeDuplicate(id: $id) { newTheme { id } userErrors { message code } } }";
    let id = json!({ "id": theme["themes"]["nodes"][0]["id"] });
    let refused = |answer: Value| answer["themeDuplicate"]["newTheme"].is_null().then_some(answer);
    let refused = (0..20).find_map(|_| refused(client.ask(copy, id.clone()))).unwrap();
    let error = &refused["themeDuplicate"]["userErrors"][0];
    assert!(error["message"].as_str().unwrap().contains("20 themes"), "{error}");
    assert_eq!(error["code"], Value::Null, "the schema has no code for it");
}

#[test]
fn blogs_bend_pages_do_not() {
    let mut client = Client::new(5);
    let blog = "mutation($b: BlogCreateInput!) { blogCreate(blog: $b) { blog { handle } userErrors { code } } }";
    let made = client.ask(blog, json!({ "b": { "title": "x", "handle": "journal" } }));
    assert_eq!(made["blogCreate"]["blog"]["handle"], "journal-1");
    let page = "mutation($p: PageCreateInput!) { pageCreate(page: $p) { page { handle body } userErrors { code } } }";
    let taken = client.ask(page, json!({ "p": { "title": "x", "handle": "contact" } }));
    assert_eq!(taken["pageCreate"]["userErrors"][0]["code"], "TAKEN");
    let html = "<p>A &amp; B<br></p>\n<!-- kept -->";
    let made = client.ask(page, json!({ "p": { "title": "Contact", "body": html } }));
    assert_eq!(made["pageCreate"]["page"], json!({ "handle": "contact-1", "body": html }));
}

#[test]
fn a_definition_takes_its_metaobjects_with_it() {
    let mut client = Client::new(5);
    let found = client.ask("{ metaobjectDefinitionByType(type: \"designer\") { id } }", none());
    let delete = "mutation($id: ID!) { metaobjectDefinitionDelete(id: $id) { deletedId userErrors { code } } }";
    client.ask(delete, json!({ "id": found["metaobjectDefinitionByType"]["id"] }));
    let left = client.ask("{ metaobjects(type: \"designer\", first: 9) { nodes { id } } }", none());
    assert_eq!(left["metaobjects"]["nodes"], json!([]));
    let upsert = "mutation($h: MetaobjectHandleInput!) { metaobjectUpsert(handle: $h, metaobject: { fields: [] }) { userErrors { code } } }";
    let orphan = client.ask(upsert, json!({ "h": { "type": "designer", "handle": "x" } }));
    assert_eq!(orphan["metaobjectUpsert"]["userErrors"][0]["code"], "UNDEFINED_OBJECT_TYPE");
}

#[test]
fn a_translation_names_the_text_that_it_translates() {
    let mut client = Client::new(5);
    let product = client.ask("{ products(first: 1) { nodes { id } } }", none());
    let id = &product["products"]["nodes"][0]["id"];
    let read = "query($id: ID!) { translatableResource(resourceId: $id) { translatableContent { key digest value } translations(locale: \"fr\") { key value outdated } } }";
    let content = client.ask(read, json!({ "id": id }));
    let title = content["translatableResource"]["translatableContent"]
        .as_array()
        .unwrap()
        .iter()
        .find(|c| c["key"] == "title")
        .unwrap()
        .clone();
    let register = "mutation($id: ID!, $t: [TranslationInput!]!) { translationsRegister(resourceId: $id, translations: $t) { translations { key } userErrors { code } } }";
    let entry = |digest: &Value| json!([{ "locale": "fr", "key": "title", "value": "Chemise", "translatableContentDigest": digest }]);
    let wrong = client.ask(register, json!({ "id": id, "t": entry(&json!("0")) }));
    assert_eq!(
        wrong["translationsRegister"]["userErrors"][0]["code"],
        "INVALID_TRANSLATABLE_CONTENT"
    );
    client.ask(register, json!({ "id": id, "t": entry(&title["digest"]) }));
    client.ask(PRODUCT_SET, json!({ "id": { "id": id }, "input": { "title": "Renamed" } }));
    let content = client.ask(read, json!({ "id": id }));
    assert_eq!(
        content["translatableResource"]["translations"],
        json!([
            { "key": "body_html", "value": "<p>Belle et solide.</p>", "outdated": false },
            { "key": "title", "value": "Chemise", "outdated": true },
        ]),
        "only the text that was changed is out of date"
    );
}

#[test]
fn of_several_prices_for_a_variant_the_last_one_holds() {
    let mut client = Client::new(5);
    let create = "mutation($i: PriceListCreateInput!) { priceListCreate(input: $i) { priceList { id } userErrors { code } } }";
    let parent = json!({ "adjustment": { "type": "PERCENTAGE_DECREASE", "value": 10.0 } });
    let input = json!({ "name": "EU", "currency": "EUR", "parent": parent });
    let list =
        client.ask(create, json!({ "i": input }))["priceListCreate"]["priceList"]["id"].clone();
    let again = client.ask(create, json!({ "i": input }));
    assert_eq!(again["priceListCreate"]["userErrors"][0]["code"], "TAKEN");
    let variant = client.ask("{ productVariants(first: 1) { nodes { id } } }", none());
    let variant = &variant["productVariants"]["nodes"][0]["id"];
    let price = |amount: &str| json!({ "variantId": variant, "price": { "amount": amount, "currencyCode": "EUR" } });
    let add = "mutation($l: ID!, $p: [PriceListPriceInput!]!) { priceListFixedPricesAdd(priceListId: $l, prices: $p) { userErrors { code } } }";
    client.ask(add, json!({ "l": list, "p": [price("5"), price("7.5")] }));
    let read = "query($id: ID!) { priceList(id: $id) { fixedPricesCount prices(first: 5) { nodes { price { amount } } } } }";
    let state = client.ask(read, json!({ "id": list }));
    assert_eq!(
        state["priceList"],
        json!({ "fixedPricesCount": 1, "prices": { "nodes": [{ "price": { "amount": "7.5" } }] } })
    );
}

#[test]
fn rules_of_quantity_stand_in_lists_of_company_locations_alone() {
    let mut client = Client::new(6);
    let found = client.ask(
        "{ companyLocations(first: 1) { nodes { id } } productVariants(first: 1) { nodes { id } } \
         markets(first: 1) { nodes { id } } }",
        none(),
    );
    let first = |of: &str| found[of]["nodes"][0]["id"].clone();
    let create = "mutation($i: PriceListCreateInput!) { priceListCreate(input: $i) { \
                  priceList { id } userErrors { code } } }";
    let parent = json!({ "adjustment": { "type": "PERCENTAGE_DECREASE", "value": 10.0 } });
    let input = json!({ "name": "B2B", "currency": "USD", "parent": parent });
    let list =
        client.ask(create, json!({ "i": input }))["priceListCreate"]["priceList"]["id"].clone();
    let add = "mutation($l: ID!, $r: [QuantityRuleInput!]!) { \
               quantityRulesAdd(priceListId: $l, quantityRules: $r) { userErrors { code } } }";
    let rule = json!({ "variantId": first("productVariants"), "minimum": 4, "increment": 2 });
    let rules = json!({ "l": list, "r": [rule] });
    let refused = json!([{ "code": "CATALOG_CONTEXT_DOES_NOT_SUPPORT_QUANTITY_RULES" }]);
    assert_eq!(client.ask(add, rules.clone())["quantityRulesAdd"]["userErrors"], refused);
    let catalog = "mutation($i: CatalogCreateInput!) { catalogCreate(input: $i) { catalog { id } \
                   userErrors { code } } }";
    let mut of = |context: Value| {
        let input = json!({
            "title": "B2B", "status": "ACTIVE", "context": context, "priceListId": list,
        });
        client.ask(catalog, json!({ "i": input }))["catalogCreate"].clone()
    };
    assert_eq!(of(json!({}))["userErrors"][0]["code"], "MUST_PROVIDE_EXACTLY_ONE_CONTEXT_TYPE");
    let made = of(json!({ "companyLocationIds": [first("companyLocations")] }));
    assert_eq!(made["userErrors"], json!([]));
    let taken = of(json!({ "marketIds": [first("markets")] }));
    assert_eq!(taken["userErrors"][0]["code"], "TAKEN");
    assert_eq!(client.ask(add, rules)["quantityRulesAdd"]["userErrors"], json!([]));
    let delete = "mutation($id: ID!) { catalogDelete(id: $id) { userErrors { code } } }";
    let gone = client.ask(delete, json!({ "id": made["catalog"]["id"] }));
    assert_eq!(gone["catalogDelete"]["userErrors"], json!([]));
    let read = "query($id: ID!) { priceList(id: $id) { id } }";
    assert_eq!(client.ask(read, json!({ "id": list }))["priceList"], Value::Null);
}

/// Sends mutations one after another; each must do what it is asked to. `$0`, `$1`, … in the text
/// stand for the ids that the mutations before it answered with.
fn all_done(mutations: &[&str]) {
    let mut client = Client::new(30);
    let mut ids: Vec<String> = Vec::new();
    for mutation in mutations {
        let mut text = format!("mutation {{ {mutation} }}");
        for (at, id) in ids.iter().enumerate().rev() {
            text = text.replace(&format!("${at}"), id);
        }
        let data = client.ask(&text, none());
        let (_, payload) = data.as_object().unwrap().iter().next().unwrap();
        assert_eq!(payload["userErrors"], json!([]), "{text}");
        let mut parts = payload.as_object().unwrap().values();
        ids.push(parts.find_map(|part| part["id"].as_str()).unwrap_or_default().to_owned());
    }
}

#[test]
fn products_are_written() {
    all_done(&[
        r#"productCreate(product: { title: "A", productOptions: [{ name: "Size", values: [{ name: "S" }] }] }) { product { id } userErrors { message } }"#,
        r#"productUpdate(product: { id: "$0", title: "B", handle: "b", redirectNewHandle: true, tags: ["z", "a"] }) { product { id } userErrors { message } }"#,
        r#"productVariantsBulkCreate(productId: "$0", variants: [{ optionValues: [{ optionName: "Size", name: "M" }], price: "12", inventoryItem: { sku: "M", tracked: true } }]) { product { id } userErrors { message } }"#,
        r#"tagsAdd(id: "$0", tags: ["new"]) { node { id } userErrors { message } }"#,
        r#"publishablePublish(id: "$0", input: [{ publicationId: "gid://shopify/Publication/716000000000292923" }]) { publishable { ... on Product { id } } userErrors { message } }"#,
        r#"metafieldsSet(metafields: [{ ownerId: "$0", namespace: "custom", key: "material", value: "Wool" }]) { metafields { id } userErrors { message } }"#,
        r#"metafieldsDelete(metafields: [{ ownerId: "$0", namespace: "custom", key: "material" }]) { deletedMetafields { key } userErrors { message } }"#,
        r#"productDelete(input: { id: "$0" }) { deletedProductId userErrors { message } }"#,
        r#"collectionCreate(input: { title: "C", sortOrder: MANUAL, products: ["gid://shopify/Product/701000000000292923", "gid://shopify/Product/701000000000325691"] }) { collection { id } userErrors { message } }"#,
        r#"collectionUpdate(input: { id: "$8", title: "D" }) { collection { id } userErrors { message } }"#,
        r#"collectionReorderProducts(id: "$8", moves: [{ id: "gid://shopify/Product/701000000000325691", newPosition: "0" }]) { job { id } userErrors { message } }"#,
        r#"collectionDelete(input: { id: "$8" }) { deletedCollectionId userErrors { message } }"#,
    ]);
}

#[test]
fn content_is_written() {
    all_done(&[
        r#"pageCreate(page: { title: "P", body: "x" }) { page { id } userErrors { message } }"#,
        r#"pageUpdate(id: "$0", page: { title: "Q", isPublished: false }) { page { id } userErrors { message } }"#,
        r#"blogCreate(blog: { title: "B" }) { blog { id } userErrors { message } }"#,
        r#"blogUpdate(id: "$2", blog: { title: "C" }) { blog { id } userErrors { message } }"#,
        r#"articleCreate(article: { title: "A", blogId: "$2", author: { name: "N" }, body: "y" }) { article { id } userErrors { message } }"#,
        r#"articleUpdate(id: "$4", article: { title: "AA", tags: ["t"] }) { article { id } userErrors { message } }"#,
        r#"urlRedirectCreate(urlRedirect: { path: "/a", target: "/b" }) { urlRedirect { id } userErrors { message } }"#,
        r#"urlRedirectUpdate(id: "$6", urlRedirect: { target: "/c" }) { urlRedirect { id } userErrors { message } }"#,
        r#"menuCreate(title: "M", handle: "m", items: [{ title: "Home", type: FRONTPAGE, items: [{ title: "Q", type: HTTP, url: "/q" }] }]) { menu { id } userErrors { message } }"#,
        r#"menuUpdate(id: "$8", title: "M2", items: []) { menu { id } userErrors { message } }"#,
        r#"themeDuplicate(id: "gid://shopify/OnlineStoreTheme/729000000000292923", name: "D") { newTheme { id } userErrors { message } }"#,
        r#"themePublish(id: "$10") { theme { id } userErrors { message } }"#,
        r#"metaobjectDefinitionCreate(definition: { type: "x", displayNameKey: "n", fieldDefinitions: [{ key: "n", type: "single_line_text_field" }] }) { metaobjectDefinition { id } userErrors { message } }"#,
        r#"metaobjectCreate(metaobject: { type: "x", fields: [{ key: "n", value: "v" }] }) { metaobject { id } userErrors { message } }"#,
        r#"metaobjectUpdate(id: "$13", metaobject: { fields: [{ key: "n", value: "w" }] }) { metaobject { id } userErrors { message } }"#,
        r#"metafieldDefinitionCreate(definition: { name: "N", namespace: "c", key: "k", type: "boolean", ownerType: PRODUCT }) { createdDefinition { id } userErrors { message } }"#,
    ]);
}

#[test]
fn people_and_prices_are_written() {
    all_done(&[
        r#"customerCreate(input: { firstName: "A", email: "a@example.org", tags: ["x"], addresses: [{ city: "Ottawa", countryCode: CA, provinceCode: "ON" }] }) { customer { id } userErrors { message } }"#,
        r#"customerUpdate(input: { id: "$0", note: "n" }) { customer { id } userErrors { message } }"#,
        r#"customerSet(identifier: { id: "$0" }, input: { lastName: "B", addresses: [] }) { customer { id } userErrors { message } }"#,
        r##"orderCreate(order: { lineItems: [{ title: "T", quantity: 2, priceSet: { shopMoney: { amount: "5", currencyCode: USD } } }], name: "#X1" }) { order { id } userErrors { message } }"##,
        r#"orderUpdate(input: { id: "$3", note: "n" }) { order { id } userErrors { message } }"#,
        r#"orderCancel(orderId: "$3", reason: OTHER, restock: false) { job { id } userErrors { message } }"#,
        r#"orderDelete(orderId: "$3") { deletedId userErrors { message } }"#,
        r#"discountCodeBasicCreate(basicCodeDiscount: { title: "D", code: "D10", startsAt: "2026-11-01T00:00:00Z", customerGets: { value: { percentage: 0.1 }, items: { all: true } } }) { codeDiscountNode { id } userErrors { message } }"#,
        r#"discountCodeDeactivate(id: "$7") { codeDiscountNode { id } userErrors { message } }"#,
        r#"giftCardCreate(input: { initialValue: "25", note: "g" }) { giftCard { id } userErrors { message } }"#,
        r#"giftCardDeactivate(id: "$9") { giftCard { id enabled } userErrors { message } }"#,
        r#"segmentCreate(name: "S", query: "number_of_orders = 1") { segment { id } userErrors { message } }"#,
        r#"catalogCreate(input: { title: "C", status: ACTIVE, context: { marketIds: ["gid://shopify/Market/737000000000292923"] } }) { catalog { id } userErrors { message } }"#,
    ]);
}
