//! The Admin API as a client meets it.

mod written;

use crate::client::{Client, none, schema};
use serde_json::{Value, json};
use shopify::admin::cost::{Bucket, Plan};
use shopify::admin::document;
use shopify::admin::schema::Version;

const PRODUCT_SET: &str =
    "mutation($id: ProductSetIdentifiers, $input: ProductSetInput!, $sync: Boolean) {
    productSet(identifier: $id, input: $input, synchronous: $sync) {
        product {
            id title handle tags
            variants(first: 50) { nodes { id title price sku inventoryItem { id } } }
            metafields(first: 10) { nodes { key value } }
        }
        productSetOperation { id status }
        userErrors { field message code }
    }
}";

fn shirt(sizes: &[&str]) -> Value {
    json!({
        "title": "Shirt",
        "productOptions": [{ "name": "Size", "values": sizes.iter().map(|s| json!({ "name": s })).collect::<Vec<_>>() }],
        "variants": sizes.iter()
            .map(|s| json!({ "optionValues": [{ "optionName": "Size", "name": s }], "price": "10" }))
            .collect::<Vec<_>>(),
    })
}

/// One pull per kind, in the depth that a backup needs.
const PULLS: &[&str] = &[
    "{ products(first: 3) { pageInfo { hasNextPage endCursor } edges { cursor node {
        id legacyResourceId title handle descriptionHtml description vendor productType status tags
        templateSuffix category { id fullName } createdAt updatedAt publishedAt isGiftCard
        requiresSellingPlan seo { title description } totalInventory variantsCount { count }
        options { id name position values optionValues { id name hasVariants } }
        collections(first: 5) { nodes { id } }
        resourcePublicationsV2(first: 5) { nodes { publication { id name } publishDate isPublished } }
        metafields(first: 5) { nodes { id namespace key type value jsonValue compareDigest updatedAt } }
        media(first: 5) { nodes { id alt mediaContentType status ... on MediaImage {
            fileStatus mimeType image { url width height } originalSource { fileSize } } } }
        variants(first: 5) { nodes {
            id title sku barcode price compareAtPrice taxable inventoryPolicy position
            inventoryQuantity selectedOptions { name value } displayName
            inventoryItem { id sku tracked requiresShipping unitCost { amount currencyCode }
                countryCodeOfOrigin harmonizedSystemCode measurement { weight { unit value } }
                inventoryLevels(first: 3) { nodes { id location { id name }
                    quantities(names: [\"available\", \"on_hand\", \"committed\"]) { name quantity } } } }
        } } } } } }",
    "{ collections(first: 5) { nodes { id title handle descriptionHtml sortOrder templateSuffix
        updatedAt ruleSet { appliedDisjunctively rules { column relation condition } }
        image { url } seo { title } productsCount { count } products(first: 5) { nodes { id } } } } }",
    "{ customers(first: 5) { nodes { id firstName lastName displayName note tags state verifiedEmail
        taxExempt taxExemptions locale numberOfOrders amountSpent { amount currencyCode }
        defaultEmailAddress { emailAddress marketingState } defaultPhoneNumber { phoneNumber }
        addressesV2(first: 5) { nodes { id address1 city provinceCode countryCodeV2 zip } }
        defaultAddress { id } createdAt updatedAt } } }",
    "{ orders(first: 5, sortKey: CREATED_AT, reverse: true) { nodes { id name number email note tags
        createdAt processedAt cancelledAt cancelReason displayFinancialStatus
        displayFulfillmentStatus customer { id } shippingAddress { city zip }
        totalPriceSet { shopMoney { amount currencyCode } presentmentMoney { amount } }
        lineItems(first: 5) { nodes { id title quantity sku product { id } variant { id }
            originalUnitPriceSet { shopMoney { amount } } } }
        shippingLines(first: 2) { nodes { title originalPriceSet { shopMoney { amount } } } }
        transactions { id kind status amountSet { shopMoney { amount } } } } } }",
    "{ locations(first: 5) { nodes { id name isActive fulfillsOnlineOrders
        address { address1 city countryCode zip } } } }",
    "{ publications(first: 5) { nodes { id name autoPublish supportsFuturePublishing } } }",
    "{ pages(first: 5) { nodes { id title handle body isPublished publishedAt templateSuffix updatedAt } } }",
    "{ blogs(first: 5) { nodes { id title handle commentPolicy tags
        articles(first: 5) { nodes { id title handle } } } } }",
    "{ articles(first: 5) { nodes { id title handle body summary tags author { name } blog { id }
        isPublished publishedAt image { url altText } } } }",
    "{ urlRedirects(first: 10) { nodes { id path target } } }",
    "{ menus(first: 5) { nodes { id title handle isDefault items { id title type resourceId url tags
        items { id title type resourceId } } } } }",
    "{ files(first: 5) { nodes { id alt fileStatus createdAt ... on MediaImage { image { url } }
        ... on GenericFile { url mimeType } } } }",
    "{ themes(first: 5, roles: [MAIN]) { nodes { id name role processing updatedAt
        files(first: 10, filenames: [\"config/*\"]) { nodes { filename checksumMd5 size contentType
            body { ... on OnlineStoreThemeFileBodyText { content } } } } } } }",
    "{ metafieldDefinitions(first: 5, ownerType: PRODUCT) { nodes { id name namespace key ownerType
        description type { name category } validations { name value } pinnedPosition
        access { admin storefront } } } }",
    "{ metaobjectDefinitions(first: 5) { nodes { id type name displayNameKey metaobjectsCount
        fieldDefinitions { key name required type { name } } } } }",
    "{ metaobjects(type: \"designer\", first: 5) { nodes { id handle type displayName updatedAt
        fields { key value type jsonValue } field(key: \"name\") { value }
        capabilities { publishable { status } } definition { id } } } }",
    "{ giftCards(first: 5) { nodes { id enabled maskedCode lastCharacters expiresOn note
        balance { amount } initialValue { amount } customer { id } } } }",
    "{ webhookSubscriptions(first: 5) { nodes { id topic uri format includeFields apiVersion { handle } } } }",
    "{ discountNodes(first: 5) { nodes { id discount { __typename ... on DiscountCodeBasic {
        title status codes(first: 5) { nodes { code } } } } } } }",
    "{ segments(first: 5) { nodes { id name query lastEditDate } } }",
    "{ markets(first: 5) { nodes { id name handle status type catalogs(first: 2) { nodes { id } } } } }",
    "{ catalogs(first: 5) { nodes { id title status priceList { id } ... on MarketCatalog {
        markets(first: 3) { nodes { id } } } } } }",
    "{ priceLists(first: 5) { nodes { id name currency fixedPricesCount parent { adjustment { type value } }
        prices(first: 10, originType: FIXED) { nodes { variant { id } price { amount currencyCode } } } } } }",
    "{ shop { id name myshopifyDomain currencyCode ianaTimezone } productsCount { count precision } }",
];

#[test]
fn every_pull_is_valid_in_every_version_and_answered() {
    for version in Version::ALL {
        let mut client = Client::new(60);
        client.version = version;
        for pull in PULLS {
            let data = client.ask(pull, none());
            assert!(data.as_object().is_some_and(|data| !data.is_empty()), "{pull}");
        }
    }
}

#[test]
fn a_misspelt_field_is_refused_in_every_version() {
    for version in Version::ALL {
        let errors = document::parse(schema(version), "{ shop { nmae } }").unwrap_err();
        let error = errors.iter().find(|error| error["extensions"]["code"] == "undefinedField");
        assert_eq!(error.unwrap()["message"], "Field 'nmae' doesn't exist on type 'Shop'");
        let refused = |text| document::parse(schema(version), text).is_err();
        assert!(refused("{ products(frist: 1) { nodes { id } } }"));
        assert!(refused("mutation { productCrate { product { id } } }"));
        assert!(refused(
            "mutation { productCreate(product: { titel: \"x\" }) { product { id } } }"
        ));
    }
}

#[test]
fn versions_differ_where_they_do() {
    let sources = "{ collections(first: 1) { nodes { sources { id title } } } }";
    assert!(document::parse(schema(Version::V2026_04), sources).is_err());
    assert!(document::parse(schema(Version::V2026_07), sources).is_ok());
    let set = "mutation($i: InventorySetQuantitiesInput!) { inventorySetQuantities(input: $i) { userErrors { code } } }";
    let old = json!({ "i": { "name": "available", "reason": "correction", "ignoreCompareQuantity": true, "quantities": [] } });
    let mut client = Client::new(5);
    let (code, message) = client.refusal(set, old);
    assert_eq!(code, "INVALID_VARIABLE", "{message}");
}

#[test]
fn what_is_not_simulated_is_no_answer() {
    let mut client = Client::new(5);
    let answer =
        client.send("{ shop { name } marketingEvents(first: 1) { nodes { id } } }", none());
    assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_SIMULATED");
    assert_eq!(answer["data"], Value::Null, "not even the part that is simulated");
    let (code, _) = client.refusal("mutation { urlRedirectBulkDeleteAll { job { id } } }", none());
    assert_eq!(code, "NOT_SIMULATED");
    let (code, message) = client.refusal(
        "mutation($p: ProductCreateInput!) { productCreate(product: $p) { product { id } } }",
        json!({ "p": { "title": "x", "claimOwnership": { "bundles": true } } }),
    );
    assert_eq!(
        (code.as_str(), message.as_str()),
        ("NOT_SIMULATED", "not simulated: ProductInput.claimOwnership")
    );
}

#[test]
fn a_search_fails_open_and_only_a_warning_tells() {
    let mut client = Client::new(30);
    let answer = client.send(
        "{ products(first: 250, query: \"update_at:>2030-01-01\") { nodes { id } } }",
        none(),
    );
    assert_eq!(answer["data"]["products"]["nodes"].as_array().unwrap().len(), 30);
    assert_eq!(answer["extensions"]["search"][0]["warnings"][0]["code"], "invalid_field");
    let answer = client.send(
        "{ products(first: 250, query: \"updated_at:>2030-01-01\") { nodes { id } } }",
        none(),
    );
    assert_eq!(answer["data"]["products"]["nodes"], json!([]));
}

#[test]
fn pages_of_a_list_are_complete_and_stable_over_a_deletion() {
    let mut client = Client::new(25);
    let page = "query($a: String) { products(first: 10, after: $a) { nodes { id } pageInfo { hasNextPage endCursor } } }";
    let mut seen = Vec::new();
    let mut after = Value::Null;
    loop {
        let data = client.ask(page, json!({ "a": after }));
        let nodes = data["products"]["nodes"].as_array().unwrap().clone();
        after = data["products"]["pageInfo"]["endCursor"].clone();
        // The element that the cursor names is deleted before the next page is asked for.
        let last = nodes.last().unwrap()["id"].clone();
        let delete =
            "mutation($i: ProductDeleteInput!) { productDelete(input: $i) { deletedProductId } }";
        client.ask(delete, json!({ "i": { "id": last } }));
        seen.extend(nodes);
        if data["products"]["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    let (_, message) = client.refusal("{ products { nodes { id } } }", none());
    assert_eq!(message, "you must provide one of first or last");
    let (_, message) = client.refusal("{ products(first: 251) { nodes { id } } }", none());
    assert!(message.contains("250"), "{message}");
}

#[test]
fn queries_cost_and_buckets_empty() {
    let mut client = Client::new(60);
    client.bucket = Bucket::full(Plan::Standard, client.now);
    let wide = "{ products(first: 20) { nodes { id variants(first: 20) { nodes { id } } } } }";
    let answer = client.send(wide, none());
    let cost = &answer["extensions"]["cost"];
    assert_eq!(cost["requestedQueryCost"], 2 + 20 * (1 + 2 + 20));
    assert!(cost["actualQueryCost"].as_u64() < cost["requestedQueryCost"].as_u64());
    let (code, _) = client.refusal(
        "{ products(first: 250) { nodes { variants(first: 10) { nodes { id } } } } }",
        none(),
    );
    assert_eq!(code, "MAX_COST_EXCEEDED");
    let mut throttled = 0;
    for _ in 0..120 {
        let answer = client.send("{ products(first: 250) { nodes { seo { title } } } }", none());
        if answer["errors"][0]["extensions"]["code"] == "THROTTLED" {
            throttled += 1;
            assert!(
                answer["extensions"]["cost"]["throttleStatus"]["currentlyAvailable"].as_u64()
                    < Some(502)
            );
        }
    }
    assert!(throttled > 0);
}

#[test]
fn a_mutation_costs_by_what_it_is_given() {
    let mut client = Client::new(5);
    let set = "mutation($input: ProductSetInput!) { productSet(input: $input) { userErrors { message } } }";
    let metafields = |many: usize| -> Vec<Value> {
        let key = |n: usize| json!({ "namespace": "custom", "key": format!("k{n}"), "type": "boolean", "value": "true" });
        (0..many).map(key).collect()
    };
    let input = |variants: usize, of_product: usize, of_variant: usize, files: usize| {
        let sizes: Vec<String> = (0..variants).map(|n| n.to_string()).collect();
        let mut input = shirt(&sizes.iter().map(String::as_str).collect::<Vec<_>>());
        input["metafields"] = json!(metafields(of_product));
        for variant in input["variants"].as_array_mut().unwrap() {
            variant["metafields"] = json!(metafields(of_variant));
        }
        let file = |n: usize| json!({ "originalSource": format!("http://shop/{n}.png"), "contentType": "IMAGE" });
        input["files"] = (0..files).map(file).collect();
        json!({ "input": input })
    };
    let mut requested = |document: &str, variables: Value| {
        let answer = client.send(document, variables);
        answer["extensions"]["cost"]["requestedQueryCost"].as_u64()
    };
    // The errors are one object more.
    assert_eq!(requested(set, input(1, 0, 0, 0)), Some(10 + 1));
    assert_eq!(requested(set, input(20, 5, 0, 0)), Some(16 + 1));
    assert_eq!(requested(set, input(200, 20, 0, 10)), Some(77 + 1));
    assert_eq!(requested(set, input(20, 0, 3, 0)), Some(10 + 4 + 24 + 1));
    let of = |owner: &str, key: &str| json!({ "ownerId": format!("gid://shopify/{owner}"), "namespace": "custom", "key": key, "type": "boolean", "value": "true" });
    let owned = "mutation($m: [MetafieldsSetInput!]!) { metafieldsSet(metafields: $m) { userErrors { message } } }";
    let some =
        json!([of("Product/1", "a"), of("Product/1", "b"), of("Order/1", "a"), of("Page/1", "a")]);
    assert_eq!(requested(owned, json!({ "m": some })), Some(10 + 4 + 10 + 1));
    let (code, message) = client.refusal(set, input(250, 0, 10, 0));
    assert_eq!(code, "MAX_COST_EXCEEDED", "{message}");
}

#[test]
fn events_name_the_app_and_come_late() {
    let mut client = Client::new(5);
    client.ask(PRODUCT_SET, json!({ "input": shirt(&["S"]) }));
    let events = "{ events(first: 50, query: \"subject_type:PRODUCT\") { nodes { action appTitle attributeToApp ... on BasicEvent { author subjectId subjectType } } } }";
    let early = client.ask(events, none());
    client.now += jiff::SignedDuration::from_secs(120);
    let late = client.ask(events, none());
    assert!(
        early["events"]["nodes"].as_array().unwrap().len()
            <= late["events"]["nodes"].as_array().unwrap().len()
    );
    let event = &late["events"]["nodes"][0];
    assert_eq!((&event["action"], &event["appTitle"]), (&json!("create"), &json!("Backstock")));
}

#[test]
fn the_log_tells_of_a_page_and_not_of_its_metafields() {
    let mut client = Client::new(5);
    let make = "mutation { pageCreate(page: { title: \"P\", body: \"x\" }) { page { id } userErrors { message } } }";
    let made = client.ask(make, none());
    let page = json!({ "id": made["pageCreate"]["page"]["id"] });
    let set = "mutation($id: ID!) { metafieldsSet(metafields: [{ ownerId: $id, namespace: \"custom\", key: \"note\", type: \"single_line_text_field\", value: \"x\" }]) { userErrors { message } } }";
    let set = client.ask(set, page.clone());
    assert_eq!(set["metafieldsSet"]["userErrors"], json!([]));
    client
        .ask("mutation($id: ID!) { pageDelete(id: $id) { userErrors { message } } }", page.clone());
    client.now += jiff::SignedDuration::from_secs(120);
    let events = "{ events(first: 50, query: \"subject_type:PAGE\") { nodes { action ... on BasicEvent { subjectId } } } }";
    let log = client.ask(events, none());
    let nodes = log["events"]["nodes"].as_array().unwrap();
    assert!(nodes.iter().all(|node| node["subjectId"] == page["id"]), "{log}");
    let mut actions: Vec<&str> = nodes.iter().filter_map(|node| node["action"].as_str()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["create", "destroy"]);
}

#[test]
fn a_subscription_has_a_filter_fields_and_metafields() {
    let mut client = Client::new(25);
    let create = "mutation($t: WebhookSubscriptionTopic!, $s: WebhookSubscriptionInput!) { webhookSubscriptionCreate(topic: $t, webhookSubscription: $s) { webhookSubscription { id } userErrors { message } } }";
    let unfiltered =
        client.ask(create, json!({ "t": "METAOBJECTS_UPDATE", "s": { "uri": "http://a" } }));
    assert!(!unfiltered["webhookSubscriptionCreate"]["userErrors"].as_array().unwrap().is_empty());
    let wish = json!({ "uri": "http://a", "includeFields": ["id", "title", "metafields"], "filter": "title:Wanted", "metafieldNamespaces": ["custom"] });
    client.ask(create, json!({ "t": "PRODUCTS_UPDATE", "s": wish }));
    let twice = client.ask(create, json!({ "t": "PRODUCTS_UPDATE", "s": wish }));
    assert_eq!(
        twice["webhookSubscriptionCreate"]["userErrors"][0]["message"],
        "Address for this topic has already been taken"
    );
    let products = client.ask("{ products(first: 2) { nodes { id } } }", none());
    client.shop.take_deliveries();
    for (at, title) in [(0, "Wanted"), (1, "Other")] {
        let id = &products["products"]["nodes"][at]["id"];
        client.ask(PRODUCT_SET, json!({ "id": { "id": id }, "input": { "title": title } }));
    }
    let deliveries = client.shop.take_deliveries();
    let [delivery] = deliveries.as_slice() else { panic!("{} deliveries", deliveries.len()) };
    let body: Value = serde_json::from_slice(&delivery.body).unwrap();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "metafields", "title"]);
    assert_eq!(body["metafields"][0]["namespace"], "custom");
}

#[test]
fn without_approval_a_field_is_null_and_an_error_stands_beside_it() {
    let mut client = Client::new(5);
    client.shop.protected_data = false;
    client.shop.subscriptions =
        shopify::subscription::Subscription::of_app("http://app", "2026-10");
    let answer = client.send("{ customers(first: 1) { nodes { id firstName note } } }", none());
    let customer = &answer["data"]["customers"]["nodes"][0];
    assert_eq!(customer["firstName"], Value::Null);
    assert!(customer["id"].is_string(), "the rest is there, with a 200");
    assert_eq!(answer["errors"][0]["extensions"]["code"], "ACCESS_DENIED");
    assert_eq!(answer["errors"][0]["path"], json!(["customers", "nodes", 0, "firstName"]));
    let update = "mutation($i: CustomerInput!) { customerUpdate(input: $i) { customer { id } userErrors { message } } }";
    client.ask(update, json!({ "i": { "id": customer["id"], "note": "hello" } }));
    let deliveries = client.shop.take_deliveries();
    let body: Value = serde_json::from_slice(&deliveries[0].body).unwrap();
    assert_eq!(
        (&body["note"], &body["first_name"], &body["email"]),
        (&json!("hello"), &Value::Null, &Value::Null)
    );
}

#[test]
fn the_same_words_are_not_said_twice_in_a_second() {
    let mut client = Client::new(5);
    client.shop.subscriptions =
        shopify::subscription::Subscription::of_app("http://app", "2026-10");
    let product = shopify::gid::Gid::nth("Product", 0);
    let save = |client: &mut Client, millis: i64| {
        let at = client.now + jiff::SignedDuration::from_millis(millis);
        client.shop.act(at, shopify::shop::Actor::Buyer, |shop| shop.edit_product(product, |_| {}));
        client.shop.take_deliveries().len()
    };
    assert_eq!(save(&mut client, 100), 1);
    assert_eq!(save(&mut client, 200), 0, "nothing changed, and the date has whole seconds");
    assert_eq!(save(&mut client, 1_300), 1, "another second, another date");
}
