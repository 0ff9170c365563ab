//! Companies that buy, without their locations: those are in a module of their own.

use serde_json::{Value, json};

use super::company_location;
use super::{Call, Input, UserError, answer, failed};
use crate::admin::session::Outcome;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "companyCreate" => create(shop, call),
        "companyUpdate" => update(shop, call),
        "companyDelete" => Ok(delete(shop, call)),
        "companyAssignMainContact" => Ok(assign_main_contact(shop, call)),
        "companyRevokeMainContact" => Ok(revoke_main_contact(shop, call)),
        "companyAssignCustomerAsContact" => Ok(assign_customer(shop, call)),
        "companyContactUpdate" => update_contact(shop, call),
        "companyContactDelete" => Ok(delete_contact(shop, call)),
        _ => return None,
    })
}

/// A resource that an argument names.
pub(super) fn named(shop: &Shop, call: &Call<'_>, argument: &str, type_name: &str) -> Option<Gid> {
    let gid = call.args.gid(argument)?;
    (gid.type_name() == type_name && shop.store.get(gid).is_some()).then_some(gid)
}

/// What these mutations say of something that is not there.
pub(super) fn missing(result: &str, argument: &str, what: &str) -> Value {
    let error = UserError::new(&[argument], format!("The {what} doesn't exist."));
    failed(result, vec![error.code("RESOURCE_NOT_FOUND")])
}

/// Whether another resource of the type has the external id: no two may.
pub(super) fn is_taken(shop: &Shop, type_name: &str, own: Option<Gid>, id: &Value) -> bool {
    id.as_str().is_some_and(|id| !id.is_empty())
        && shop
            .store
            .live(type_name)
            .any(|(gid, other)| Some(gid) != own && other["externalId"] == *id)
}

pub(super) fn taken(field: &[&str]) -> UserError {
    UserError::new(field, "External id has already been taken.").code("TAKEN")
}

/// The roles that people of a company can have: Shopify's own two.
pub(crate) fn roles(shop: &mut Shop) -> [Gid; 2] {
    ["Location admin", "Ordering only"].map(|name| {
        let role = shop.store.fresh("CompanyContactRole");
        let note = format!("System-defined {name} role");
        shop.put(
            role,
            json!({
                "__typename": "CompanyContactRole", "id": role.to_string(), "name": name,
                "note": note,
            }),
        );
        role
    })
}

const SAME: [(&str, &str); 3] = [("name", "name"), ("note", "note"), ("externalId", "externalId")];

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let whole = Input::of("CompanyCreateInput", &given, &["company", "companyLocation"])?;
    let about = whole.get("company").cloned().unwrap_or_default();
    let fields = ["name", "note", "externalId", "customerSince"];
    let input = Input::of("CompanyInput", &about, &fields)?;
    if input.text("name").is_none_or(|name| name.trim().is_empty()) {
        let error = UserError::new(&["input", "company", "name"], "Name can't be blank");
        return Ok(failed("company", vec![error.code("BLANK")]));
    }
    if is_taken(shop, "Company", None, &about["externalId"]) {
        let error = taken(&["input", "company", "externalId"]);
        return Ok(failed("company", vec![error]));
    }
    let now = shop.now_text();
    let roles = roles(shop).map(link);
    let gid = shop.store.fresh("Company");
    let mut company = json!({
        "__typename": "Company", "id": gid.to_string(), "name": null, "note": null,
        "externalId": null, "customerSince": about.get("customerSince").unwrap_or(&json!(now)),
        "mainContact": null, "defaultRole": roles[1], "contactRoles": roles, "metafields": [],
        "createdAt": now, "updatedAt": now,
    });
    input.copy(&mut company, &SAME);
    // It always has a location: without one of its own, one that is called as it is.
    let location = whole.get("companyLocation").cloned();
    let location = location.unwrap_or_else(|| json!({ "name": about["name"] }));
    shop.put(gid, company);
    match company_location::put(shop, gid, &location)? {
        Ok(_) => {
            shop.announce("companies/create", gid);
            Ok(answer("company", link(gid), vec![]))
        }
        Err(error) => {
            shop.remove(gid);
            Ok(failed("company", vec![error]))
        }
    }
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = named(shop, call, "companyId", "Company") else {
        return Ok(missing("company", "companyId", "company"));
    };
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input =
        Input::of("CompanyInput", &given, &["name", "note", "externalId", "customerSince"])?;
    if input.given("customerSince").is_some() {
        let message = "This field may only be set on creation.";
        let error = UserError::new(&["input", "customerSince"], message).code("INVALID_INPUT");
        return Ok(failed("company", vec![error]));
    }
    if given == json!({}) {
        let message = "At least one attribute to change must be present";
        let error = UserError::new(&["input"], message).code("INVALID");
        return Ok(failed("company", vec![error]));
    }
    if is_taken(shop, "Company", Some(gid), &given["externalId"]) {
        return Ok(failed("company", vec![taken(&["input", "externalId"])]));
    }
    shop.update(gid, |company| input.copy(company, &SAME));
    shop.announce("companies/update", gid);
    Ok(answer("company", link(gid), vec![]))
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = named(shop, call, "id", "Company") else {
        return missing("deletedCompanyId", "id", "company");
    };
    for (type_name, topic) in [
        ("CompanyContact", "company_contacts/delete"),
        ("CompanyLocation", "company_locations/delete"),
    ] {
        for part in shop.store.naming(type_name, "company", gid) {
            shop.remove(part);
            shop.announce(topic, part);
        }
    }
    shop.remove(gid);
    shop.announce("companies/delete", gid);
    answer("deletedCompanyId", json!(gid.to_string()), vec![])
}

fn assign_main_contact(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(company) = named(shop, call, "companyId", "Company") else {
        return missing("company", "companyId", "company");
    };
    let Some(contact) = named(shop, call, "companyContactId", "CompanyContact") else {
        return missing("company", "companyContactId", "company contact");
    };
    let of = shop.store.get(contact).and_then(|contact| target(&contact["company"]));
    if of != Some(company) {
        let message = "The company contact doesn't belong to the company.";
        let error = UserError::new(&["companyContactId"], message).code("INVALID_INPUT");
        return failed("company", vec![error]);
    }
    shop.update(company, |company| company["mainContact"] = link(contact));
    shop.announce("companies/update", company);
    answer("company", link(company), vec![])
}

fn revoke_main_contact(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(company) = named(shop, call, "companyId", "Company") else {
        return missing("company", "companyId", "company");
    };
    shop.update(company, |company| company["mainContact"] = Value::Null);
    shop.announce("companies/update", company);
    answer("company", link(company), vec![])
}

fn assign_customer(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "companyContact";
    let Some(company) = named(shop, call, "companyId", "Company") else {
        return missing(result, "companyId", "company");
    };
    let Some(customer) = named(shop, call, "customerId", "Customer") else {
        let error = UserError::new(&["customerId"], "Customer does not exist.");
        return failed(result, vec![error.code("RESOURCE_NOT_FOUND")]);
    };
    let refused = |message: &str| {
        failed(result, vec![UserError::new(&["companyId"], message).code("INVALID_INPUT")])
    };
    let state = shop.store.get(customer).unwrap_or_default();
    if state["defaultEmailAddress"]["emailAddress"].is_null() {
        return refused("Customer must have an email address.");
    }
    let contacts = shop.store.naming("CompanyContact", "company", company);
    let known = contacts.iter().any(|contact| {
        shop.store.get(*contact).is_some_and(|c| target(&c["customer"]) == Some(customer))
    });
    if known {
        return refused("Customer is already associated with a company contact.");
    }
    let (gid, now) = (shop.store.fresh("CompanyContact"), shop.now_text());
    shop.put(
        gid,
        json!({
            "__typename": "CompanyContact", "id": gid.to_string(), "title": null, "locale": "en",
            "company": link(company), "customer": link(customer), "createdAt": now,
            "updatedAt": now,
        }),
    );
    shop.announce("company_contacts/create", gid);
    answer(result, link(gid), vec![])
}

fn update_contact(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = named(shop, call, "companyContactId", "CompanyContact") else {
        return Ok(missing("companyContact", "companyContactId", "company contact"));
    };
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input = Input::of("CompanyContactInput", &given, &["title", "locale"])?;
    if given == json!({}) {
        let error = UserError::new(&[], "The input is empty.").code("NO_INPUT");
        return Ok(failed("companyContact", vec![error]));
    }
    shop.update(gid, |contact| input.copy(contact, &[("title", "title"), ("locale", "locale")]));
    shop.announce("company_contacts/update", gid);
    Ok(answer("companyContact", link(gid), vec![]))
}

fn delete_contact(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "deletedCompanyContactId";
    let Some(gid) = named(shop, call, "companyContactId", "CompanyContact") else {
        return missing(result, "companyContactId", "company contact");
    };
    shop.delete_contact(gid);
    answer(result, json!(gid.to_string()), vec![])
}
