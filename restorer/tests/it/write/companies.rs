//! Companies with their people and locations, and draft orders, are written back as they were.

use std::collections::BTreeMap;

use crate::simulated::Simulated;
use backstock_proto::ResourceId;
use backstock_restorer::write::{WriteError, Written};
use serde_json::{Value, json};
use shopify::fault::Fault;

fn updated() -> Written {
    Written::Updated { ids: BTreeMap::new() }
}

fn mutations(shop: &Simulated) -> Vec<String> {
    shop.writes().into_iter().map(|write| write.mutation).collect()
}

fn made(written: Written) -> (ResourceId, BTreeMap<String, String>) {
    let Written::Created { gid, ids } = written else { panic!("{written:?}") };
    (ResourceId::parse(&gid).unwrap(), ids)
}

/// A state with the gids that things have now.
fn renamed(state: &Value, ids: &BTreeMap<String, String>) -> Value {
    let text = ids.iter().fold(state.to_string(), |text, (old, new)| {
        text.replace(&format!("\"{old}\""), &format!("\"{new}\""))
    });
    serde_json::from_str(&text).unwrap()
}

/// A state without when it was made.
fn undated(state: &Value) -> Value {
    let mut state = state.clone();
    state.as_object_mut().unwrap().remove("createdAt");
    state
}

/// Spoils a field, and puts it back: only that is written.
async fn spoilt(shop: &Simulated, kind: &str, id: &ResourceId, damages: &[(&str, Value, &str)]) {
    for (pointer, value, mutation) in damages {
        let was = shop.read(kind, id).await.unwrap();
        let mut bad = was.clone();
        *bad.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value.clone();
        shop.write(kind, Some(&was), Some(&bad)).await.unwrap_or_else(|e| panic!("{pointer}: {e}"));
        let broken = shop.read(kind, id).await.unwrap();
        assert_ne!(broken, was, "{pointer}");
        shop.writes();
        let written = shop.write(kind, Some(&broken), Some(&was)).await.unwrap();
        let Written::Updated { ids } = written else { panic!("{pointer}: {written:?}") };
        assert_eq!(shop.read(kind, id).await.unwrap(), renamed(&was, &ids), "{pointer}");
        assert_eq!(mutations(shop), mutation.split(' ').collect::<Vec<_>>(), "{pointer}");
        let again = shop.read(kind, id).await.unwrap();
        assert_eq!(shop.write(kind, Some(&again), Some(&again)).await.unwrap(), Written::Unchanged);
    }
}

#[tokio::test]
async fn a_company_is_changed_where_it_differs() {
    for version in ["2026-04", "2026-07", "2026-10"] {
        let shop = Simulated::start_in(version, 3, 8, false).await;
        let id = shop.ids("Company")[0].clone();
        let metafield = json!([{
            "id": "gid://shopify/Metafield/1", "namespace": "custom", "key": "vat",
            "type": "single_line_text_field", "value": "DE1",
        }]);
        let damages = [
            ("/name", json!("Southwind"), "companyUpdate"),
            ("/note", json!("spam"), "companyUpdate"),
            ("/externalId", Value::Null, "companyUpdate"),
            ("/mainContact", Value::Null, "companyAssignMainContact"),
            ("/metafields", metafield, "metafieldsDelete"),
        ];
        spoilt(&shop, "company", &id, &damages).await;
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_location_and_a_contact_of_a_company_are_changed_where_they_differ() {
    for version in ["2026-04", "2026-07", "2026-10"] {
        let shop = Simulated::start_in(version, 3, 8, false).await;
        let id = shop.ids("CompanyLocation")[0].clone();
        let address = json!({
            "address1": "1 Elm St.", "address2": null, "city": "Ottawa", "countryCode": "CA",
            "zoneCode": "ON", "zip": null, "phone": null, "recipient": null,
            "firstName": "A", "lastName": "B",
        });
        let terms = json!({"id": "gid://shopify/PaymentTermsTemplate/4"});
        let config = "/buyerExperienceConfiguration";
        let damages = [
            ("/name", json!("Elsewhere"), "companyLocationUpdate"),
            ("/note", json!("spam"), "companyLocationUpdate"),
            ("/phone", json!("+1 613 555 0000"), "companyLocationUpdate"),
            (&*format!("{config}/checkoutToDraft"), json!(true), "companyLocationUpdate"),
            (&*format!("{config}/paymentTermsTemplate"), terms, "companyLocationUpdate"),
            ("/billingAddress/address1", json!("2 Oak St."), "companyLocationAssignAddress"),
            ("/shippingAddress", address, "companyLocationAssignAddress"),
            ("/shippingAddress", Value::Null, "companyLocationAssignAddress"),
            ("/taxSettings/taxExempt", json!(true), "companyLocationTaxSettingsUpdate"),
            (
                "/taxSettings/taxExemptions",
                json!(["US_CA_RESELLER_EXEMPTION"]),
                "companyLocationTaxSettingsUpdate",
            ),
            ("/taxSettings/taxRegistrationId", Value::Null, "companyLocationTaxSettingsUpdate"),
            ("/roleAssignments", json!([]), "companyLocationAssignRoles"),
        ];
        spoilt(&shop, "company_location", &id, &damages).await;
        let id = shop.ids("CompanyContact")[0].clone();
        let damages = [
            ("/title", json!("Thief"), "companyContactUpdate"),
            ("/locale", json!("fr"), "companyContactUpdate"),
        ];
        spoilt(&shop, "company_contact", &id, &damages).await;
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn roles_that_are_given_or_taken_already_hold_nothing_up() {
    let shop = Simulated::start(3, 8, false).await;
    let id = shop.ids("CompanyLocation")[0].clone();
    let was = shop.read("company_location", &id).await.unwrap();
    let mut bare = was.clone();
    bare["roleAssignments"] = json!([]);
    shop.fates(&[Some(Fault::Lost)]);
    let taken = shop.write("company_location", Some(&was), Some(&bare)).await.unwrap();
    assert_eq!(taken, updated());
    let now = shop.read("company_location", &id).await.unwrap();
    assert_eq!(now["roleAssignments"], json!([]));
    // Who is to have them is looked for, and the answer to what gives them is lost.
    shop.fates(&[None, Some(Fault::Lost)]);
    shop.write("company_location", Some(&now), Some(&was)).await.unwrap();
    let is = shop.read("company_location", &id).await.unwrap();
    let role = |state: &Value| state["roleAssignments"][0]["role"].clone();
    assert_eq!((role(&is)["id"].is_string(), role(&is)), (true, role(&was)));
    shop.assert_simulated();
}

/// A company with all that belongs to it, as history has it.
struct House {
    company: Value,
    contact: Value,
    locations: Vec<Value>,
}

impl House {
    /// The first company, with a second location.
    async fn of(shop: &Simulated) -> Self {
        let company = shop.read("company", &shop.ids("Company")[0]).await.unwrap();
        let contact = shop.read("company_contact", &shop.ids("CompanyContact")[0]).await.unwrap();
        let first = shop.read("company_location", &shop.ids("CompanyLocation")[0]).await.unwrap();
        let mut second = first.clone();
        second["id"] = json!("gid://shopify/CompanyLocation/1");
        second["name"] = json!("Ottawa");
        second["externalId"] = Value::Null;
        let (id, _) = made(shop.write("company_location", None, Some(&second)).await.unwrap());
        let second = shop.read("company_location", &id).await.unwrap();
        Self { company, contact, locations: vec![first, second] }
    }
}

/// Makes a whole house anew, in the order of a job; what its main contact is waits for the contact.
async fn rebuilt(shop: &mut Simulated, house: &House) -> BTreeMap<String, String> {
    let gid = house.company["id"].as_str().unwrap().to_owned();
    shop.parts.insert(gid, vec![house.locations[0].clone()]);
    let mut alone = house.company.clone();
    alone["mainContact"] = Value::Null;
    let (company, mut ids) = made(shop.write("company", None, Some(&alone)).await.unwrap());
    let there = shop.read("company", &company).await.unwrap();
    let contact = renamed(&house.contact, &ids);
    ids.extend(made(shop.write("company_contact", None, Some(&contact)).await.unwrap()).1);
    for location in &house.locations {
        let location = renamed(location, &ids);
        ids.extend(made(shop.write("company_location", None, Some(&location)).await.unwrap()).1);
    }
    let whole = renamed(&house.company, &ids);
    assert_eq!(shop.write("company", Some(&there), Some(&whole)).await.unwrap(), updated());
    ids
}

#[tokio::test]
async fn a_deleted_company_comes_back_with_its_people_and_locations() {
    // Each answer is lost once, also the one that is waited for before anything is made.
    for lost in 0..16 {
        let mut shop = Simulated::start(3, 8, false).await;
        let house = House::of(&shop).await;
        shop.write("company", Some(&house.company), None).await.unwrap();
        assert_eq!(shop.ids("CompanyLocation").len(), 1, "all of it went with the company");
        shop.begin_now();
        let mut fates = vec![None; lost];
        fates.push(Some(Fault::Lost));
        shop.fates(&fates);
        let ids = rebuilt(&mut shop, &house).await;
        let is = |old: &Value| ResourceId::parse(&ids[old["id"].as_str().unwrap()]).unwrap();
        for (kind, was) in [
            ("company", &house.company),
            ("company_contact", &house.contact),
            ("company_location", &house.locations[0]),
            ("company_location", &house.locations[1]),
        ] {
            let there = shop.read(kind, &is(was)).await.unwrap();
            let expected = undated(&renamed(was, &ids));
            assert_eq!(undated(&there), expected, "{kind}, answer {lost} is lost");
        }
        let (companies, contacts, locations) =
            (shop.ids("Company"), shop.ids("CompanyContact"), shop.ids("CompanyLocation"));
        assert_eq!((companies.len(), contacts.len(), locations.len()), (2, 2, 3), "{lost}");
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn what_shopify_keeps_of_a_company_is_told() {
    let shop = Simulated::start(3, 8, false).await;
    let house = House::of(&shop).await;
    let [first, second] = [&house.locations[0], &house.locations[1]];
    let kind = "company_location";
    assert_eq!(shop.write(kind, Some(second), None).await.unwrap(), Written::Deleted);
    let kept = shop.write(kind, Some(first), None).await.unwrap_err();
    assert!(matches!(kept, WriteError::Missing(_)), "{kept}");
    // Somebody else has the external id now.
    let mut other = house.company.clone();
    other["id"] = json!("gid://shopify/Company/1");
    let taken = shop.write("company", None, Some(&other)).await.unwrap_err();
    assert!(taken.to_string().contains("external id"), "{taken}");
    // A contact whose customer is gone waits for the customer.
    let mut orphan = house.contact.clone();
    orphan["customer"]["id"] = json!("gid://shopify/Customer/1");
    let missing = shop.write("company_contact", None, Some(&orphan)).await.unwrap_err();
    assert!(matches!(missing, WriteError::Missing(_)), "{missing}");
    // One whose customer was erased waits for nobody.
    orphan["customer"] = Value::Null;
    let erased = shop.write("company_contact", None, Some(&orphan)).await.unwrap_err();
    assert!(matches!(erased, WriteError::Unwritable(_)), "{erased}");
    let mut orphan = first.clone();
    orphan["company"]["id"] = json!("gid://shopify/Company/1");
    let missing = shop.write(kind, None, Some(&orphan)).await.unwrap_err();
    assert!(matches!(missing, WriteError::Missing(_)), "{missing}");
}

/// A draft with a line of a product at an agreed price, a line of its own, and addresses.
async fn offer(shop: &Simulated) -> Value {
    let mut draft = shop.read("draft_order", &shop.ids("DraftOrder")[0]).await.unwrap();
    draft["id"] = json!("gid://shopify/DraftOrder/1");
    let price = |amount: &str| json!({"amount": amount, "currencyCode": "USD"});
    let bag = |amount: &str| json!({"shopMoney": price(amount), "presentmentMoney": price(amount)});
    draft["lineItems"][0]["priceOverride"] = price("7.50");
    draft["lineItems"][0]["customAttributes"] = json!([{"key": "engraving", "value": "A."}]);
    let mut own = draft["lineItems"][0].clone();
    own["id"] = json!("gid://shopify/DraftOrderLineItem/1");
    for (name, value) in [
        ("custom", json!(true)),
        ("variant", Value::Null),
        ("product", Value::Null),
        ("priceOverride", Value::Null),
        ("title", json!("Carriage")),
        ("originalUnitPriceSet", bag("25.00")),
        ("taxable", json!(false)),
        (
            "appliedDiscount",
            json!({"title": "Friend", "description": "Friend", "value": 20.0, "valueType": "PERCENTAGE"}),
        ),
    ] {
        own[name] = value;
    }
    draft["lineItems"].as_array_mut().unwrap().push(own);
    draft["shippingAddress"] = json!({
        "firstName": "Kim", "lastName": "Oh", "company": null, "address1": "1 Elm St.",
        "address2": null, "city": "Ottawa", "provinceCode": "ON", "countryCodeV2": "CA",
        "zip": "K2P 2L8", "phone": null,
    });
    draft["note"] = json!("Call first");
    let (id, _) = made(shop.write("draft_order", None, Some(&draft)).await.unwrap());
    shop.read("draft_order", &id).await.unwrap()
}

/// What of a draft comes back: not what Shopify gives it.
fn offered(draft: &Value, ids: &BTreeMap<String, String>) -> Value {
    let mut draft = undated(&renamed(draft, ids));
    draft.as_object_mut().unwrap().remove("name");
    draft
}

#[tokio::test]
async fn a_draft_order_is_changed_where_it_differs() {
    for version in ["2026-04", "2026-07", "2026-10"] {
        let shop = Simulated::start_in(version, 5, 6, false).await;
        let was = offer(&shop).await;
        let id = ResourceId::parse(was["id"].as_str().unwrap()).unwrap();
        let damages = [
            ("/note", json!("spam"), "draftOrderUpdate"),
            ("/email", Value::Null, "draftOrderUpdate"),
            ("/tags", json!(["spam"]), "draftOrderUpdate"),
            ("/taxExempt", json!(true), "draftOrderUpdate"),
            ("/customAttributes", json!([{"key": "a", "value": "b"}]), "draftOrderUpdate"),
            ("/shippingAddress/city", json!("Nowhere"), "draftOrderUpdate"),
            ("/shippingAddress", Value::Null, "draftOrderUpdate"),
            ("/appliedDiscount", Value::Null, "draftOrderUpdate"),
            ("/appliedDiscount/value", json!(99.0), "draftOrderUpdate"),
            ("/shippingLine", Value::Null, "draftOrderUpdate"),
            ("/lineItems/0/quantity", json!(9), "draftOrderUpdate"),
            ("/lineItems/0/priceOverride", Value::Null, "draftOrderUpdate"),
            ("/lineItems/1/title", json!("Nothing"), "draftOrderUpdate"),
            ("/lineItems/1/weight/value", json!(9.0), "draftOrderUpdate"),
            ("/lineItems/1/appliedDiscount", Value::Null, "draftOrderUpdate"),
        ];
        spoilt(&shop, "draft_order", &id, &damages).await;
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_deleted_draft_order_comes_back_and_its_twin_too() {
    for lost in 0..5 {
        let mut shop = Simulated::start(5, 6, false).await;
        let kind = "draft_order";
        let was = offer(&shop).await;
        assert_eq!(shop.write(kind, Some(&was), None).await.unwrap(), Written::Deleted);
        let before = shop.ids("DraftOrder").len();
        shop.begin_now();
        shop.befores.lock().unwrap().clear();
        let mut fates = vec![None; lost];
        fates.push(Some(Fault::Lost));
        shop.fates(&fates);
        let (id, ids) = made(shop.write(kind, None, Some(&was)).await.unwrap());
        let is = shop.read(kind, &id).await.unwrap();
        assert_eq!(offered(&is, &ids), offered(&was, &ids), "answer {lost} is lost");
        assert_eq!(shop.ids("DraftOrder").len(), before + 1);
        // Another of which everything is the same is another.
        shop.befores.lock().unwrap().clear();
        let (twin, _) = made(shop.write(kind, None, Some(&was)).await.unwrap());
        assert_ne!(twin, id);
        assert_eq!(shop.ids("DraftOrder").len(), before + 2);
        shop.assert_simulated();
    }
}

#[tokio::test]
async fn a_draft_order_for_a_company_comes_back_without_a_product_that_is_gone() {
    let shop = Simulated::start(5, 6, false).await;
    let kind = "draft_order";
    let mut draft = offer(&shop).await;
    draft["purchasingEntity"] = json!({
        "company": {"id": format!("gid://shopify/Company/{}", shop.ids("Company")[0])},
        "contact": {"id": format!("gid://shopify/CompanyContact/{}", shop.ids("CompanyContact")[0])},
        "location": {"id": format!("gid://shopify/CompanyLocation/{}", shop.ids("CompanyLocation")[0])},
    });
    let product = ResourceId::parse(draft["lineItems"][0]["product"]["id"].as_str().unwrap());
    let product = shop.read("product", &product.unwrap()).await.unwrap();
    shop.write("product", Some(&product), None).await.unwrap();
    let (id, _) = made(shop.write(kind, None, Some(&draft)).await.unwrap());
    let is = shop.read(kind, &id).await.unwrap();
    assert_eq!(is["purchasingEntity"], draft["purchasingEntity"]);
    assert_eq!(
        (&is["lineItems"][0]["custom"], &is["lineItems"][0]["variant"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(is["lineItems"][0]["title"], draft["lineItems"][0]["title"]);
    assert_eq!(is["subtotalPriceSet"], draft["subtotalPriceSet"], "and it costs the same");
    let notes = shop.notes.lock().unwrap().join("\n");
    assert!(notes.contains("products that are not there any more"), "{notes}");
    let mut paid = draft.clone();
    paid["status"] = json!("COMPLETED");
    let archive = shop.write(kind, None, Some(&paid)).await.unwrap_err();
    assert!(matches!(archive, WriteError::Unwritable(_)), "{archive}");
    shop.assert_simulated();
}
