//! Customers.

use serde_json::{Value, json};

use super::{Call, Input, UserError, done, failed, metafield, sorted_tags};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::words;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

const FIELDS: [&str; 15] = [
    "id",
    "firstName",
    "lastName",
    "email",
    "phone",
    "note",
    "tags",
    "taxExempt",
    "taxExemptions",
    "locale",
    "addresses",
    "metafields",
    "emailMarketingConsent",
    "multipassIdentifier",
    "smsMarketingConsent",
];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "customerCreate" => create(shop, call),
        "customerUpdate" => update(shop, call),
        "customerSet" => set(shop, call),
        "customerDelete" => Ok(delete(shop, call)),
        "customerEmailMarketingConsentUpdate" => Ok(consent(shop, call)),
        "customerSmsMarketingConsentUpdate" => Ok(sms_consent(shop, call)),
        "customerAddressUpdate" => Ok(change_address(shop, call)),
        "customerUpdateDefaultAddress" => Ok(choose_address(shop, call)),
        _ => return None,
    })
}

fn by_email(shop: &Shop, email: &str) -> Option<Gid> {
    let email = email.to_lowercase();
    let found = shop.store.live("Customer").find(|(_, customer)| {
        let known = customer["defaultEmailAddress"]["emailAddress"].as_str();
        known.is_some_and(|known| known.to_lowercase() == email)
    });
    found.map(|(gid, _)| gid)
}

fn by_phone(shop: &Shop, phone: &str) -> Option<Gid> {
    let found = shop.store.live("Customer");
    let mut found = found.filter(|(_, c)| c["defaultPhoneNumber"]["phoneNumber"] == *phone);
    found.next().map(|(gid, _)| gid)
}

/// What makes the input impossible.
fn check(shop: &Shop, own: Option<Gid>, input: &Input<'_>) -> Option<UserError> {
    let error =
        |field: &str, message: &str, code: &str| Some(UserError::new(&[field], message).code(code));
    if let Some(email) = input.text("email") {
        if !email.contains('@') {
            return error("email", "Email is invalid", "INVALID");
        }
        if by_email(shop, email).is_some_and(|other| Some(other) != own) {
            return error("email", "Email has already been taken", "TAKEN");
        }
    }
    if let Some(phone) = input.text("phone") {
        if !phone.starts_with('+') {
            return error("phone", "Phone is invalid", "INVALID");
        }
        if by_phone(shop, phone).is_some_and(|other| Some(other) != own) {
            return error("phone", "Phone has already been taken", "TAKEN");
        }
    }
    let held = own.and_then(|gid| shop.store.get(gid)).unwrap_or_default();
    let names = [
        ("email", "defaultEmailAddress"),
        ("phone", "defaultPhoneNumber"),
        ("firstName", "firstName"),
        ("lastName", "lastName"),
    ];
    let nameless = names.iter().all(|(given, kept)| {
        input.get(given).is_none() && (input.clears(given) || held[*kept].is_null())
    });
    if nameless {
        return Some(UserError::new(&[], "A name, phone number, or email address must be present"));
    }
    None
}

fn apply(shop: &mut Shop, gid: Gid, input: &Input<'_>) -> Outcome<Result<(), UserError>> {
    if input.get("smsMarketingConsent").is_some() {
        return Err(not_simulated("CustomerInput.smsMarketingConsent"));
    }
    if let Some(metafields) = input.list("metafields")
        && let Err(error) = metafield::write_owned(shop, gid, metafields)?
    {
        return Ok(Err(error));
    }
    let addresses = input.list("addresses").map(|given| addresses(shop, gid, given));
    let pairs = [
        ("firstName", "firstName"),
        ("lastName", "lastName"),
        ("note", "note"),
        ("taxExempt", "taxExempt"),
        ("taxExemptions", "taxExemptions"),
        ("locale", "locale"),
        ("multipassIdentifier", "multipassIdentifier"),
    ];
    shop.update(gid, |state| {
        input.copy(state, &pairs);
        if let Some(email) = input.text("email") {
            if state["defaultEmailAddress"].is_null() {
                state["defaultEmailAddress"] = email_address(email);
            }
            state["defaultEmailAddress"]["emailAddress"] = json!(email);
        }
        for (given, kept) in [("email", "defaultEmailAddress"), ("phone", "defaultPhoneNumber")] {
            if input.clears(given) {
                state[kept] = Value::Null;
            }
        }
        if let Some(phone) = input.text("phone") {
            state["defaultPhoneNumber"] = json!({
                "__typename": "CustomerPhoneNumber", "phoneNumber": phone,
                "marketingState": "NOT_SUBSCRIBED", "marketingOptInLevel": "SINGLE_OPT_IN",
                "marketingCollectedFrom": "OTHER", "marketingUpdatedAt": null,
                "sourceLocation": null,
            });
        }
        if let Some(addresses) = addresses {
            // The default one stays it for as long as it is there.
            let default = &state["defaultAddress"]["id"];
            let kept = addresses.iter().find(|address| address["id"] == *default);
            let default = kept.or_else(|| addresses.first()).cloned();
            state["defaultAddress"] = default.unwrap_or_default();
            state["addressesV2"] = json!(addresses);
        }
        if let Some(consent) = input.get("emailMarketingConsent") {
            state["defaultEmailAddress"]["marketingState"] = consent["marketingState"].clone();
            state["defaultEmailAddress"]["marketingOptInLevel"] =
                consent["marketingOptInLevel"].clone();
        }
    });
    if let Some(tags) = input.list("tags") {
        shop.retag_customer(gid, &sorted_tags(tags));
    }
    Ok(Ok(()))
}

fn email_address(email: &str) -> Value {
    json!({
        "__typename": "CustomerEmailAddress", "emailAddress": email,
        "marketingState": "NOT_SUBSCRIBED", "marketingOptInLevel": null,
        "marketingUpdatedAt": null, "sourceLocation": null, "validFormat": true,
    })
}

/// The list of addresses replaces what was there; one that is the same keeps its id.
fn addresses(shop: &mut Shop, gid: Gid, given: &[Value]) -> Vec<Value> {
    let before = shop.store.get(gid).map(|state| state["addressesV2"].clone()).unwrap_or_default();
    let before = before.as_array().cloned().unwrap_or_default();
    given
        .iter()
        .map(|address| {
            let mut built = address_of(address);
            let same = before.iter().find(|known| {
                let mut known = (*known).clone();
                let id = known.as_object_mut().and_then(|fields| fields.remove("id"));
                known == built
                    || address.get("id").is_some_and(|a| !a.is_null() && Some(a) == id.as_ref())
            });
            built["id"] = same.map_or_else(
                || {
                    let id = shop.store.fresh("MailingAddress");
                    json!(format!("{id}?model_name=CustomerAddress"))
                },
                |same| same["id"].clone(),
            );
            built
        })
        .collect()
}

/// Countries and provinces are normalised: only their codes are taken.
pub(super) fn address_of(given: &Value) -> Value {
    let country = given["countryCode"].as_str().unwrap_or_default();
    let code = given["provinceCode"].as_str();
    let province = code.and_then(|code| words::province(country, code));
    let country = words::country(country);
    let part = |field: &str| given[field].as_str().unwrap_or_default();
    let name = format!("{} {}", part("firstName"), part("lastName"));
    json!({
        "__typename": "MailingAddress",
        "firstName": given["firstName"], "lastName": given["lastName"], "name": name.trim(),
        "company": given["company"], "address1": given["address1"], "address2": given["address2"],
        "city": given["city"], "province": province, "provinceCode": code,
        "country": country, "countryCodeV2": given["countryCode"],
        "zip": given["zip"], "phone": given["phone"], "latitude": null, "longitude": null,
    })
}

fn blank(shop: &mut Shop) -> Gid {
    let gid = shop.store.fresh("Customer");
    let now = shop.now_text();
    shop.put(
        gid,
        json!({
            "__typename": "Customer", "id": gid.to_string(), "firstName": null, "lastName": null,
            "defaultEmailAddress": null, "defaultPhoneNumber": null, "note": null, "tags": [],
            "state": "DISABLED", "verifiedEmail": true, "taxExempt": false, "taxExemptions": [],
            "multipassIdentifier": null, "locale": "en", "dataSaleOptOut": false,
            "defaultAddress": null, "addressesV2": [], "metafields": [], "numberOfOrders": "0",
            "amountSpent": { "__typename": "MoneyV2", "amount": "0.0", "currencyCode": "USD" },
            "createdAt": now, "updatedAt": now,
        }),
    );
    gid
}

fn made(shop: &mut Shop, input: &Input<'_>) -> Outcome<Value> {
    if let Some(error) = check(shop, None, input) {
        return Ok(failed("customer", vec![error]));
    }
    let gid = blank(shop);
    shop.announce("customers/create", gid);
    match apply(shop, gid, input)? {
        Ok(()) => Ok(done("customer", link(gid))),
        Err(error) => Ok(failed("customer", vec![error])),
    }
}

fn changed(shop: &mut Shop, gid: Gid, input: &Input<'_>) -> Outcome<Value> {
    if let Some(error) = check(shop, Some(gid), input) {
        return Ok(failed("customer", vec![error]));
    }
    match apply(shop, gid, input)? {
        Ok(()) => {
            shop.announce("customers/update", gid);
            Ok(done("customer", link(gid)))
        }
        Err(error) => Ok(failed("customer", vec![error])),
    }
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    made(shop, &Input::of("CustomerInput", &given, &FIELDS)?)
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input = Input::of("CustomerInput", &given, &FIELDS)?;
    let gid = input.text("id").and_then(|id| id.parse::<Gid>().ok());
    match gid.filter(|gid| shop.store.get(*gid).is_some()) {
        Some(gid) => changed(shop, gid, &input),
        None => {
            let error = UserError::new(&["id"], "Customer does not exist");
            Ok(failed("customer", vec![error]))
        }
    }
}

/// Takes no metafields and no consent; the schema sees to that.
fn set(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input = Input::of("CustomerSetInput", &given, &FIELDS)?;
    let identifier = call.args.get("identifier").cloned().unwrap_or_default();
    let known = if let Some(id) = identifier["id"].as_str().or_else(|| input.text("id")) {
        let found = id.parse::<Gid>().ok().filter(|gid| shop.store.get(*gid).is_some());
        if found.is_none() {
            let error = UserError::new(&["input", "id"], "Customer does not exist");
            return Ok(failed("customer", vec![error.code("NOT_FOUND")]));
        }
        found
    } else if let Some(email) = identifier["email"].as_str() {
        by_email(shop, email)
    } else if let Some(phone) = identifier["phone"].as_str() {
        by_phone(shop, phone)
    } else if identifier.get("customId").is_some_and(|id| !id.is_null()) {
        return Err(not_simulated("customerSet by customId"));
    } else {
        None
    };
    match known {
        Some(gid) => changed(shop, gid, &input),
        None => made(shop, &input),
    }
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let id = call.args.get("input").map(|input| input["id"].clone()).unwrap_or_default();
    let gid = id.as_str().and_then(|id| id.parse::<Gid>().ok());
    let Some(gid) =
        gid.filter(|gid| gid.type_name() == "Customer" && shop.store.get(*gid).is_some())
    else {
        let error = UserError::new(&["id"], "Customer can't be found");
        return failed("deletedCustomerId", vec![error]);
    };
    if shop.delete_customer(gid) {
        return done("deletedCustomerId", id);
    }
    let message = "Customer can’t be deleted because they have associated orders";
    failed("deletedCustomerId", vec![UserError::new(&["id"], message)])
}

fn consent(shop: &mut Shop, call: &Call<'_>) -> Value {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let gid = given["customerId"].as_str().and_then(|id| id.parse::<Gid>().ok());
    let Some(gid) = gid.filter(|gid| shop.store.get(*gid).is_some()) else {
        let error = UserError::new(&["input", "customerId"], "Customer does not exist");
        return failed("customer", vec![error.code("INVALID")]);
    };
    let consent = &given["emailMarketingConsent"];
    if let Some(error) = no_consent(shop, gid, consent, "defaultEmailAddress", "email address") {
        return failed("customer", vec![error]);
    }
    shop.set_email_consent(gid, consent["marketingState"] == "SUBSCRIBED");
    done("customer", link(gid))
}

/// What makes a consent impossible: only three states can be given, and only to an address or number
/// that is there.
fn no_consent(
    shop: &Shop,
    gid: Gid,
    consent: &Value,
    kept: &str,
    called: &str,
) -> Option<UserError> {
    let state = consent["marketingState"].as_str().unwrap_or_default();
    if !["SUBSCRIBED", "UNSUBSCRIBED", "PENDING"].contains(&state) {
        let message = format!("Cannot specify {state} as a marketing state input");
        return Some(UserError::new(&["input", "marketingState"], message).code("INVALID"));
    }
    let held = shop.store.get(gid).unwrap_or_default();
    let message = format!("A(n) {called} is required to set the consent state.");
    let error = || UserError::new(&["input"], message).code("INVALID");
    held[kept].is_null().then(error)
}

fn sms_consent(shop: &mut Shop, call: &Call<'_>) -> Value {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let gid = given["customerId"].as_str().and_then(|id| id.parse::<Gid>().ok());
    let Some(gid) = gid.filter(|gid| shop.store.get(*gid).is_some()) else {
        let error = UserError::new(&["input", "customerId"], "Customer does not exist");
        return failed("customer", vec![error.code("INVALID")]);
    };
    let consent = &given["smsMarketingConsent"];
    if let Some(error) = no_consent(shop, gid, consent, "defaultPhoneNumber", "phone number") {
        return failed("customer", vec![error]);
    }
    let now = shop.now_text();
    shop.update(gid, |state| {
        let phone = &mut state["defaultPhoneNumber"];
        phone["marketingState"] = consent["marketingState"].clone();
        phone["marketingUpdatedAt"] = json!(now);
    });
    shop.announce("customers_marketing_consent/update", gid);
    done("customer", link(gid))
}

/// The customer, and the place of one of their addresses.
fn held_address(shop: &Shop, call: &Call<'_>) -> Option<(Gid, usize)> {
    let gid = call.args.gid("customerId")?;
    let id = call.args.text("addressId")?;
    let customer = shop.store.get(gid)?;
    let addresses = customer["addressesV2"].as_array()?;
    Some((gid, addresses.iter().position(|address| address["id"] == *id)?))
}

/// What an address is made of, as it is given and as it is kept.
const ADDRESS: [(&str, &str); 10] = [
    ("firstName", "firstName"),
    ("lastName", "lastName"),
    ("company", "company"),
    ("address1", "address1"),
    ("address2", "address2"),
    ("city", "city"),
    ("provinceCode", "provinceCode"),
    ("countryCode", "countryCodeV2"),
    ("zip", "zip"),
    ("phone", "phone"),
];

/// What is not given stays.
fn change_address(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some((gid, at)) = held_address(shop, call) else {
        let error = UserError::new(&["addressId"], "Address does not exist");
        return failed("address", vec![error]);
    };
    let given = call.args.get("address").cloned().unwrap_or_default();
    let mut state = shop.store.get(gid).map(|state| (*state).clone()).unwrap_or_default();
    let before = state["addressesV2"][at].clone();
    let mut whole = json!({});
    for (given_as, kept_as) in ADDRESS {
        whole[given_as] = given.get(given_as).unwrap_or(&before[kept_as]).clone();
    }
    let mut address = address_of(&whole);
    address["id"] = before["id"].clone();
    if state["defaultAddress"]["id"] == before["id"] || call.args.flag("setAsDefault") == Some(true)
    {
        state["defaultAddress"] = address.clone();
    }
    state["addressesV2"][at] = address.clone();
    shop.edit_customer(gid, |held| *held = state);
    done("address", address)
}

fn choose_address(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some((gid, at)) = held_address(shop, call) else {
        let error = UserError::new(&["addressId"], "Address does not exist");
        return failed("customer", vec![error]);
    };
    shop.edit_customer(gid, |state| state["defaultAddress"] = state["addressesV2"][at].clone());
    done("customer", link(gid))
}
