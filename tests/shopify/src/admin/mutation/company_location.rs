//! Where companies buy from, and who may buy there.

use serde_json::{Value, json};

use super::company::{is_taken, missing, named, taken};
use super::{Call, Input, UserError, answer, failed};
use crate::admin::session::Outcome;
use crate::catalog::place;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, target};

const RESULT: &str = "companyLocation";

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "companyLocationCreate" => create(shop, call),
        "companyLocationUpdate" => update(shop, call),
        "companyLocationDelete" => Ok(delete(shop, call)),
        "companyLocationAssignAddress" => assign_address(shop, call),
        "companyAddressDelete" => Ok(delete_address(shop, call)),
        "companyLocationTaxSettingsUpdate" => Ok(update_taxes(shop, call)),
        "companyLocationAssignRoles" => Ok(assign_roles(shop, call)),
        "companyLocationRevokeRoles" => Ok(revoke_roles(shop, call)),
        _ => return None,
    })
}

fn find(shop: &Shop, call: &Call<'_>, argument: &str) -> Option<Gid> {
    named(shop, call, argument, "CompanyLocation")
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(company) = named(shop, call, "companyId", "Company") else {
        return Ok(missing(RESULT, "companyId", "company"));
    };
    let given = call.args.get("input").cloned().unwrap_or_default();
    Ok(match put(shop, company, &given)? {
        Ok(gid) => answer(RESULT, link(gid), vec![]),
        Err(error) => failed(RESULT, vec![error]),
    })
}

const SAME: [(&str, &str); 5] = [
    ("name", "name"),
    ("note", "note"),
    ("externalId", "externalId"),
    ("phone", "phone"),
    ("locale", "locale"),
];

/// Makes a location of a company. One without a name is called by its street, or as its company.
pub(super) fn put(shop: &mut Shop, company: Gid, given: &Value) -> Outcome<Result<Gid, UserError>> {
    let fields = [
        "name",
        "note",
        "externalId",
        "phone",
        "locale",
        "billingAddress",
        "shippingAddress",
        "billingSameAsShipping",
        "buyerExperienceConfiguration",
        "taxExempt",
        "taxExemptions",
        "taxRegistrationId",
    ];
    let input = Input::of("CompanyLocationInput", given, &fields)?;
    if input.clears("taxExempt") {
        let error = UserError::new(&["input", "taxExempt"], "Invalid input.");
        return Ok(Err(error.code("INVALID_INPUT")));
    }
    if is_taken(shop, "CompanyLocation", None, &given["externalId"]) {
        return Ok(Err(taken(&["input", "externalId"])));
    }
    let (gid, now) = (shop.store.fresh("CompanyLocation"), shop.now_text());
    let of = shop.store.get(company).unwrap_or_default();
    let name = [&given["name"], &given["shippingAddress"]["address1"]]
        .into_iter()
        .find(|name| name.as_str().is_some_and(|name| !name.trim().is_empty()));
    let exemptions = given["taxExemptions"].as_array().cloned().unwrap_or_default();
    let mut location = json!({
        "__typename": "CompanyLocation", "id": gid.to_string(), "note": null,
        "externalId": null, "phone": null, "locale": "en", "currency": "USD",
        "company": link(company), "billingAddress": null, "shippingAddress": null,
        "taxSettings": {
            "__typename": "CompanyLocationTaxSettings",
            "taxExempt": given["taxExempt"] == true, "taxExemptions": exemptions,
            "taxRegistrationId": given["taxRegistrationId"],
        },
        "buyerExperienceConfiguration": {
            "__typename": "BuyerExperienceConfiguration", "checkoutToDraft": false,
            "editableShippingAddress": true, "paymentTermsTemplate": null,
        },
        "roleAssignments": [], "metafields": [], "createdAt": now, "updatedAt": now,
    });
    input.copy(&mut location, &SAME);
    location["name"] = name.unwrap_or(&of["name"]).clone();
    configure(&mut location, given);
    for side in ["billingAddress", "shippingAddress"] {
        let given = match side {
            "billingAddress" if given["billingSameAsShipping"] == true => {
                input.get("shippingAddress")
            }
            side => input.get(side),
        };
        if let Some(given) = given {
            location[side] = address(shop, &of, &Value::Null, given)?;
        }
    }
    shop.put(gid, location);
    shop.announce("company_locations/create", gid);
    Ok(Ok(gid))
}

fn configure(location: &mut Value, given: &Value) {
    let given = &given["buyerExperienceConfiguration"];
    let held = &mut location["buyerExperienceConfiguration"];
    for field in ["checkoutToDraft", "editableShippingAddress"] {
        if let Some(value) = given.get(field).filter(|value| value.is_boolean()) {
            held[field] = value.clone();
        }
    }
    match given.get("paymentTermsTemplateId") {
        Some(Value::Null) => held["paymentTermsTemplate"] = Value::Null,
        Some(id) => {
            held["paymentTermsTemplate"] =
                json!({ "__typename": "PaymentTermsTemplate", "id": id });
        }
        None => {}
    }
}

/// An address as documents hold it; one that is there keeps its id and what is not said.
fn address(shop: &mut Shop, company: &Value, held: &Value, given: &Value) -> Outcome<Value> {
    let fields = [
        "address1",
        "address2",
        "city",
        "countryCode",
        "firstName",
        "lastName",
        "phone",
        "recipient",
        "zip",
        "zoneCode",
    ];
    let input = Input::of("CompanyAddressInput", given, &fields)?;
    let now = shop.now_text();
    let mut address = match held.is_null() {
        false => held.clone(),
        true => {
            let mut address = json!({
                "__typename": "CompanyAddress", "companyName": company["name"], "createdAt": now,
                "id": shop.store.fresh("CompanyAddress").to_string(),
            });
            fields.iter().for_each(|field| address[*field] = Value::Null);
            address
        }
    };
    input.copy(&mut address, &fields.map(|field| (field, field)));
    let code = |field: &str| address[field].as_str().unwrap_or_default().to_owned();
    let (country, province) = place(&code("countryCode"), &code("zoneCode"));
    address["country"] = json!(country);
    address["province"] = json!(province);
    address["updatedAt"] = json!(now);
    Ok(address)
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = find(shop, call, "companyLocationId") else {
        return Ok(missing(RESULT, "companyLocationId", "company location"));
    };
    let given = call.args.get("input").cloned().unwrap_or_default();
    let fields = ["name", "note", "externalId", "phone", "locale", "buyerExperienceConfiguration"];
    let input = Input::of("CompanyLocationUpdateInput", &given, &fields)?;
    if given == json!({}) {
        let error = UserError::new(&[], "The input is empty.").code("NO_INPUT");
        return Ok(failed(RESULT, vec![error]));
    }
    if is_taken(shop, "CompanyLocation", Some(gid), &given["externalId"]) {
        return Ok(failed(RESULT, vec![taken(&["input", "externalId"])]));
    }
    shop.update(gid, |location| {
        input.copy(location, &SAME);
        configure(location, &given);
    });
    shop.announce("company_locations/update", gid);
    Ok(answer(RESULT, link(gid), vec![]))
}

/// A company keeps its last location.
fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "deletedCompanyLocationId";
    let Some(gid) = find(shop, call, "companyLocationId") else {
        return missing(result, "companyLocationId", "company location");
    };
    let company = shop.store.get(gid).and_then(|location| target(&location["company"]));
    let only =
        company.is_some_and(|of| shop.store.naming("CompanyLocation", "company", of).len() < 2);
    if only {
        let message = "Failed to delete the company location.";
        let error = UserError::new(&["companyLocationId"], message).code("FAILED_TO_DELETE");
        return failed(result, vec![error]);
    }
    shop.remove(gid);
    shop.announce("company_locations/delete", gid);
    answer(result, json!(gid.to_string()), vec![])
}

fn assign_address(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = find(shop, call, "locationId") else {
        return Ok(missing("addresses", "locationId", "company location"));
    };
    let given = call.args.get("address").cloned().unwrap_or_default();
    let sides: Vec<&str> = call
        .args
        .get("addressTypes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|side| if *side == "BILLING" { "billingAddress" } else { "shippingAddress" })
        .collect();
    if sides.len() > 1 && sides[0] == sides[1] {
        let error = UserError::new(&[], "Invalid input.").code("INVALID_INPUT");
        return Ok(failed("addresses", vec![error]));
    }
    let location = shop.store.get(gid).unwrap_or_default();
    let company = target(&location["company"]).and_then(|company| shop.store.get(company));
    let company = company.unwrap_or_default();
    let mut addresses = Vec::new();
    for side in sides {
        let address = address(shop, &company, &location[side], &given)?;
        shop.update(gid, |location| location[side] = address.clone());
        addresses.push(address);
    }
    shop.announce("company_locations/update", gid);
    Ok(answer("addresses", json!(addresses), vec![]))
}

fn delete_address(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "deletedAddressId";
    let id = call.args.get("addressId").cloned().unwrap_or_default();
    let sides = ["billingAddress", "shippingAddress"];
    let found = shop
        .store
        .live("CompanyLocation")
        .find(|(_, location)| sides.iter().any(|side| location[*side]["id"] == id));
    let Some((gid, _)) = found else { return missing(result, "addressId", "company address") };
    shop.update(gid, |location| {
        for side in sides {
            if location[side]["id"] == id {
                location[side] = Value::Null;
            }
        }
    });
    shop.announce("company_locations/update", gid);
    answer(result, id, vec![])
}

fn update_taxes(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = find(shop, call, "companyLocationId") else {
        return missing(RESULT, "companyLocationId", "company location");
    };
    let given = call.args.value();
    if given.get("taxExempt").is_some_and(Value::is_null) {
        let error = UserError::new(&["taxExempt"], "Invalid input.").code("INVALID_INPUT");
        return failed(RESULT, vec![error]);
    }
    let said = ["taxExempt", "taxRegistrationId", "exemptionsToAssign", "exemptionsToRemove"];
    if said.iter().all(|argument| given.get(*argument).is_none()) {
        let error = UserError::new(&["companyLocationId"], "The input is empty.").code("NO_INPUT");
        return failed(RESULT, vec![error]);
    }
    let list = |argument: &str| given[argument].as_array().cloned().unwrap_or_default();
    shop.update(gid, |location| {
        let taxes = &mut location["taxSettings"];
        for field in ["taxExempt", "taxRegistrationId"] {
            if let Some(value) = given.get(field) {
                taxes[field] = value.clone();
            }
        }
        let mut held = taxes["taxExemptions"].as_array().cloned().unwrap_or_default();
        let (gone, new) = (list("exemptionsToRemove"), list("exemptionsToAssign"));
        held.retain(|known| !gone.contains(known) && !new.contains(known));
        held.extend(new);
        taxes["taxExemptions"] = json!(held);
    });
    shop.announce("company_locations/update", gid);
    answer(RESULT, link(gid), vec![])
}

/// A contact has one role at a location, of those of its company.
fn assign_roles(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "roleAssignments";
    let Some(gid) = find(shop, call, "companyLocationId") else {
        return missing(result, "companyLocationId", "company location");
    };
    let location = shop.store.get(gid).unwrap_or_default();
    let company = target(&location["company"]);
    let mut held = location["roleAssignments"].as_array().cloned().unwrap_or_default();
    let mut made = Vec::new();
    let given = call.args.get("rolesToAssign").and_then(Value::as_array).cloned();
    for (at, given) in given.unwrap_or_default().iter().enumerate() {
        let at = at.to_string();
        let refused = |message: &str, code: &str| {
            failed(result, vec![UserError::new(&["rolesToAssign", &at], message).code(code)])
        };
        let gid_of = |field: &str| given[field].as_str().and_then(|id| id.parse::<Gid>().ok());
        let contact = gid_of("companyContactId").filter(|contact| {
            let state = shop.store.get(*contact);
            state.is_some_and(|state| target(&state["company"]) == company)
        });
        let Some(contact) = contact else {
            return refused("The company contact doesn't exist.", "RESOURCE_NOT_FOUND");
        };
        let roles = company.and_then(|company| shop.store.get(company)).unwrap_or_default();
        let role = gid_of("companyContactRoleId").filter(|role| {
            roles["contactRoles"].as_array().is_some_and(|roles| roles.contains(&link(*role)))
        });
        let Some(role) = role else {
            return refused("The company contact role doesn't exist.", "RESOURCE_NOT_FOUND");
        };
        if held.iter().any(|known| target(&known["companyContact"]) == Some(contact)) {
            return refused("Company contact has already been assigned a role.", "LIMIT_REACHED");
        }
        let assignment = json!({
            "__typename": "CompanyContactRoleAssignment", "role": link(role),
            "id": shop.store.fresh("CompanyContactRoleAssignment").to_string(),
            "companyContact": link(contact),
        });
        held.push(assignment.clone());
        made.push(assignment);
    }
    shop.update(gid, |location| location["roleAssignments"] = json!(held));
    shop.announce("company_locations/update", gid);
    answer(result, json!(made), vec![])
}

fn revoke_roles(shop: &mut Shop, call: &Call<'_>) -> Value {
    let result = "revokedRoleAssignmentIds";
    let Some(gid) = find(shop, call, "companyLocationId") else {
        return missing(result, "companyLocationId", "company location");
    };
    let gone = call.args.get("rolesToRevoke").and_then(Value::as_array).cloned();
    let gone = gone.unwrap_or_default();
    let location = shop.store.get(gid).unwrap_or_default();
    let held = location["roleAssignments"].as_array().cloned().unwrap_or_default();
    let unknown = gone.iter().position(|id| !held.iter().any(|role| role["id"] == *id));
    if let Some(at) = unknown {
        let at = at.to_string();
        let error = UserError::new(&["rolesToRevoke", &at], "The role assignment doesn't exist.");
        return failed(result, vec![error.code("RESOURCE_NOT_FOUND")]);
    }
    shop.update(gid, |location| {
        if let Some(roles) = location["roleAssignments"].as_array_mut() {
            roles.retain(|role| !gone.contains(&role["id"]));
        }
    });
    shop.announce("company_locations/update", gid);
    answer(result, json!(gone), vec![])
}
