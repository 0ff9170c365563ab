//! What another app does to a shop beside its ordinary day: it makes, changes and deletes something of
//! every kind that can be written.

use serde_json::Value;

use crate::simulator::Simulator;

/// What makes something and what ends it; `$N` is the number of the round, `$ID` what was made.
const MADE: [(&str, &str); 26] = [
    (
        r#"pageCreate(page: { title: "Made $N", body: "x" }) { page { id } userErrors { message } }"#,
        r#"pageDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"blogCreate(blog: { title: "Made $N" }) { blog { id } userErrors { message } }"#,
        r#"blogDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"articleCreate(article: { title: "Made $N", blogId: "gid://shopify/Blog/722000000000292923", author: { name: "N" }, body: "y" }) { article { id } userErrors { message } }"#,
        r#"articleDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"urlRedirectCreate(urlRedirect: { path: "/made-$N", target: "/b" }) { urlRedirect { id } userErrors { message } }"#,
        r#"urlRedirectDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"menuCreate(title: "Made $N", handle: "made-$N", items: [{ title: "Home", type: FRONTPAGE }]) { menu { id } userErrors { message } }"#,
        r#"menuDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"fileCreate(files: [{ originalSource: "https://elsewhere.example/$N.jpg", contentType: IMAGE, alt: "Made $N" }]) { files { id } userErrors { message } }"#,
        r#"fileDelete(fileIds: ["$ID"]) { userErrors { message } }"#,
    ),
    (
        r#"themeDuplicate(id: "gid://shopify/OnlineStoreTheme/729000000000292923", name: "Made $N") { newTheme { id } userErrors { message } }"#,
        r#"themeDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"scriptTagCreate(input: { src: "https://app.example/made-$N.js", displayScope: ONLINE_STORE }) { scriptTag { id } userErrors { message } }"#,
        r#"scriptTagDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"metaobjectDefinitionCreate(definition: { type: "made_$N", displayNameKey: "n", fieldDefinitions: [{ key: "n", type: "single_line_text_field" }] }) { metaobjectDefinition { id } userErrors { message } }"#,
        r#"metaobjectDefinitionDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"metaobjectCreate(metaobject: { type: "designer", fields: [{ key: "name", value: "Made $N" }] }) { metaobject { id } userErrors { message } }"#,
        r#"metaobjectDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"metafieldDefinitionCreate(definition: { name: "Made $N", namespace: "made", key: "k$N", type: "boolean", ownerType: PRODUCT }) { createdDefinition { id } userErrors { message } }"#,
        r#"metafieldDefinitionDelete(id: "$ID", deleteAllAssociatedMetafields: false) { userErrors { message } }"#,
    ),
    (
        r#"customerCreate(input: { firstName: "Made", email: "made-$N@example.org", tags: ["x"], addresses: [{ city: "Ottawa", countryCode: CA, provinceCode: "ON" }] }) { customer { id } userErrors { message } }"#,
        r#"customerDelete(input: { id: "$ID" }) { userErrors { message } }"#,
    ),
    (
        r#"collectionCreate(input: { title: "Made $N", sortOrder: MANUAL }) { collection { id } userErrors { message } }"#,
        r#"collectionDelete(input: { id: "$ID" }) { userErrors { message } }"#,
    ),
    (
        r#"productCreate(product: { title: "Made $N", productOptions: [{ name: "Size", values: [{ name: "S" }] }] }) { product { id } userErrors { message } }"#,
        r#"productDelete(input: { id: "$ID" }) { userErrors { message } }"#,
    ),
    (
        r##"orderCreate(order: { lineItems: [{ title: "T", quantity: 2, priceSet: { shopMoney: { amount: "5", currencyCode: USD } } }], name: "#X$N" }) { order { id } userErrors { message } }"##,
        r#"orderDelete(orderId: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"draftOrderCreate(input: { lineItems: [{ title: "Made $N", quantity: 1 }] }) { draftOrder { id } userErrors { message } }"#,
        r#"draftOrderDelete(input: { id: "$ID" }) { userErrors { message } }"#,
    ),
    (
        r#"discountCodeBasicCreate(basicCodeDiscount: { title: "Made $N", code: "MADE$N", startsAt: "2026-11-01T00:00:00Z", customerGets: { value: { percentage: 0.1 }, items: { all: true } } }) { codeDiscountNode { id } userErrors { message } }"#,
        r#"discountCodeDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"discountAutomaticBasicCreate(automaticBasicDiscount: { title: "Made $N", startsAt: "2026-11-01T00:00:00Z", customerGets: { value: { percentage: 0.1 }, items: { all: true } } }) { automaticDiscountNode { id } userErrors { message } }"#,
        r#"discountAutomaticDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"giftCardCreate(input: { initialValue: "25", note: "made $N" }) { giftCard { id } userErrors { message } }"#,
        r#"giftCardDeactivate(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"segmentCreate(name: "Made $N", query: "number_of_orders = $N") { segment { id } userErrors { message } }"#,
        r#"segmentDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"catalogCreate(input: { title: "Made $N", status: ACTIVE, context: { marketIds: ["gid://shopify/Market/737000000000292923"] } }) { catalog { id } userErrors { message } }"#,
        r#"catalogDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"sellingPlanGroupCreate(input: { name: "Made $N", options: ["o"], sellingPlansToCreate: [{ name: "P", options: ["w"], billingPolicy: { recurring: { interval: WEEK, intervalCount: 1 } }, deliveryPolicy: { recurring: { interval: WEEK, intervalCount: 1 } } }] }) { sellingPlanGroup { id } userErrors { message } }"#,
        r#"sellingPlanGroupDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"deliveryProfileCreate(profile: { name: "Made $N", locationGroupsToCreate: [{ locations: ["gid://shopify/Location/708000000000292923"] }] }) { profile { id } userErrors { message } }"#,
        r#"deliveryProfileRemove(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"companyCreate(input: { company: { name: "Made $N" } }) { company { id } userErrors { message } }"#,
        r#"companyDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"marketCreate(input: { name: "Made $N", status: ACTIVE, conditions: { regionsCondition: { regions: [{ countryCode: CA }] } } }) { market { id } userErrors { message } }"#,
        r#"marketDelete(id: "$ID") { userErrors { message } }"#,
    ),
    (
        r#"locationAdd(input: { name: "Made $N", address: { countryCode: CA } }) { location { id } userErrors { message } }"#,
        r#"locationEdit(id: "$ID", input: { name: "Former $N" }) { userErrors { message } }"#,
    ),
];

/// What is changed, beside what people keep in order; `$PRODUCT` is some product.
const CHANGED: [&str; 3] = [
    r#"productUpdate(product: { id: "$PRODUCT", seo: { title: "Found $N" } }) { userErrors { message } }"#,
    r#"metafieldsSet(metafields: [{ ownerId: "$PRODUCT", namespace: "custom", key: "material", value: "Wool $N" }]) { userErrors { message } }"#,
    r#"publishableUnpublish(id: "$PRODUCT", input: [{ publicationId: "gid://shopify/Publication/716000000000325691" }]) { userErrors { message } }"#,
];

/// Rounds of deeds: each ends what the one before made.
#[derive(Default)]
pub(crate) struct Deeds {
    rounds: u64,
    /// What was made in the last round, by its place among [`MADE`].
    made: Vec<(usize, String)>,
}

impl Deeds {
    /// Does one of everything.
    pub(crate) async fn round(&mut self, simulator: &Simulator) {
        self.rounds += 1;
        let n = self.rounds.to_string();
        for (at, id) in std::mem::take(&mut self.made) {
            tried(simulator, &MADE[at].1.replace("$ID", &id).replace("$N", &n)).await;
        }
        for (at, (make, _)) in MADE.iter().enumerate() {
            let payload = done(simulator, &make.replace("$N", &n)).await;
            let id = id(&payload).unwrap_or_else(|| panic!("{make}: no id in {payload}"));
            self.made.push((at, id));
        }
        let products = simulator.truth("product").await;
        let product = products.first().expect("a product")["id"].as_str().expect("an id");
        for change in CHANGED {
            tried(simulator, &change.replace("$PRODUCT", product).replace("$N", &n)).await;
        }
        simulator.post(&format!("chores?n={n}"), Value::Null).await;
    }
}

/// Asks for something, and takes no for an answer where traffic came before: what is gone is neither
/// changed nor ended, and a customer who has bought meanwhile stays.
async fn tried(simulator: &Simulator, mutation: &str) {
    let errors = asked(simulator, mutation).await["userErrors"].to_string();
    let overtaken = ["does not exist", "associated orders"].iter().any(|why| errors.contains(why));
    assert!(errors == "[]" || overtaken, "{mutation}: {errors}");
}

/// Does what is asked for, without a complaint.
async fn done(simulator: &Simulator, mutation: &str) -> Value {
    let payload = asked(simulator, mutation).await;
    assert_eq!(payload["userErrors"], serde_json::json!([]), "{mutation}");
    payload
}

/// What a mutation answers.
pub(crate) async fn asked(simulator: &Simulator, mutation: &str) -> Value {
    let data = simulator.ask(&format!("mutation {{ {mutation} }}")).await;
    data.as_object().and_then(|data| data.values().next()).cloned().unwrap_or_default()
}

/// The id of what was made.
fn id(payload: &Value) -> Option<String> {
    let made = payload.as_object()?.values().find_map(|made| match made {
        Value::Array(all) => all.first()?["id"].as_str(),
        one => one["id"].as_str(),
    });
    made.map(str::to_owned)
}
