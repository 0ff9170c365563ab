//! Collections. Until 2026-04 they take `ruleSet` and `products`; later ones `sources` as well.

use serde_json::{Value, json};

use super::{Call, Input, UserError, done, failed, file, metafield, product};
use crate::admin::membership;
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::handle;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

const FIELDS: [&str; 12] = [
    "id",
    "title",
    "handle",
    "descriptionHtml",
    "sortOrder",
    "templateSuffix",
    "seo",
    "metafields",
    "products",
    "ruleSet",
    "redirectNewHandle",
    "image",
];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "collectionCreate" => create(shop, call),
        "collectionUpdate" => update(shop, call),
        "collectionDelete" => Ok(delete(shop, call)),
        "collectionAddProducts" | "collectionAddProductsV2" => Ok(members(shop, call, true)),
        "collectionRemoveProducts" => Ok(members(shop, call, false)),
        "collectionReorderProducts" => Ok(reorder(shop, call)),
        _ => return None,
    })
}

/// The input in either of its shapes, brought to the older one.
fn given(call: &Call<'_>) -> Outcome<Value> {
    let Some(collection) = call.args.get("collection") else {
        return Ok(call.args.get("input").cloned().unwrap_or_default());
    };
    let mut given = collection.clone();
    let Some(fields) = given.as_object_mut() else { return Ok(given) };
    fields.remove("sourcesToUpdate");
    for field in ["sourcesToCreate", "sourcesToDelete"] {
        if fields.get(field).is_some_and(|value| !value.is_null()) {
            return Err(not_simulated(format_args!("CollectionUpdateInput.{field}")));
        }
    }
    if let Some(Value::Array(sources)) = fields.remove("sources") {
        for source in &sources {
            let inclusion = &source["source"]["inclusion"];
            if inclusion.is_null() || !source["source"]["exclusion"].is_null() {
                return Err(not_simulated("sources other than an inclusion"));
            }
            if let Some(rules) = rules(inclusion)? {
                fields.insert("ruleSet".into(), rules);
            }
            let chosen = inclusion["selections"].as_array().into_iter().flatten();
            let chosen: Vec<Value> = chosen.map(|s| s["productId"].clone()).collect();
            if !chosen.is_empty() {
                fields.insert("products".into(), json!(chosen));
            }
        }
    }
    Ok(given)
}

/// Conditions of a source as the rules that they are.
fn rules(inclusion: &Value) -> Outcome<Option<Value>> {
    let conditions = inclusion["conditions"].as_array().cloned().unwrap_or_default();
    let mut rules = Vec::new();
    for condition in &conditions {
        let kinds = [
            ("productTag", "TAG"),
            ("productVendor", "VENDOR"),
            ("productType", "TYPE"),
            ("productTitle", "TITLE"),
            ("variantTitle", "VARIANT_TITLE"),
        ];
        let Some((field, column)) = kinds.into_iter().find(|(f, _)| condition[*f].is_object())
        else {
            return Err(not_simulated(format_args!("the condition {condition}")));
        };
        for value in condition[field]["values"].as_array().into_iter().flatten() {
            let relation = match condition[field]["relation"].as_str() {
                Some("CONTAINS") => "CONTAINS",
                Some("STARTS_WITH") => "STARTS_WITH",
                Some("ENDS_WITH") => "ENDS_WITH",
                Some("DOES_NOT_CONTAIN") => "NOT_CONTAINS",
                Some("NOT_EQUALS" | "NOT_TAGGED_WITH") => "NOT_EQUALS",
                _ => "EQUALS",
            };
            rules.push(json!({ "column": column, "relation": relation, "condition": value }));
        }
    }
    let any = inclusion["matchType"] == "ANY";
    Ok((!rules.is_empty()).then(|| json!({ "appliedDisjunctively": any, "rules": rules })))
}

/// The definition that a rule on a metafield is on: one of products that rules can be on.
/// <https://shopify.dev/docs/api/admin-graphql/latest/enums/CollectionRuleColumn>
fn ruled_by(shop: &Shop, rule: &Value) -> Option<Gid> {
    let gid = rule["conditionObjectId"].as_str()?.parse::<Gid>().ok()?;
    let definition = shop.store.get(gid).filter(|_| gid.type_name() == "MetafieldDefinition")?;
    let is_condition = &definition["capabilities"]["smartCollectionCondition"]["enabled"];
    (definition["ownerType"] == "PRODUCT" && *is_condition == true).then_some(gid)
}

fn rule_set(shop: &Shop, given: &Value) -> Outcome<Result<Value, UserError>> {
    let rules = given["rules"].as_array().cloned().unwrap_or_default();
    let mut kept = Vec::new();
    for rule in rules {
        let column = rule["column"].as_str().unwrap_or_default();
        let object = match column {
            "PRODUCT_METAFIELD_DEFINITION" => match ruled_by(shop, &rule) {
                Some(definition) => json!({
                    "__typename": "CollectionRuleMetafieldCondition",
                    "metafieldDefinition": link(definition),
                }),
                None => {
                    let message = "Condition object is not a metafield definition for conditions";
                    return Ok(Err(UserError::new(&["input", "ruleSet", "rules"], message)));
                }
            },
            _ if membership::COLUMNS.contains(&column) => Value::Null,
            _ => return Err(not_simulated(format_args!("rules on {column}"))),
        };
        kept.push(json!({
            "__typename": "CollectionRule", "column": column, "relation": rule["relation"],
            "condition": rule["condition"], "conditionObject": object,
        }));
    }
    Ok(Ok(json!({
        "__typename": "CollectionRuleSet",
        "appliedDisjunctively": given["appliedDisjunctively"], "rules": kept,
    })))
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = given(call)?;
    let input = Input::of("CollectionInput", &given, &FIELDS)?;
    let Some(title) = input.text("title").filter(|title| !title.trim().is_empty()) else {
        let error = UserError::new(&["input", "title"], "Title can't be blank");
        return Ok(failed("collection", vec![error]));
    };
    if let Some(wanted) = input.text("handle")
        && holder(shop, &handle(wanted)).is_some()
    {
        let error = UserError::new(&["input", "handle"], "Handle has already been taken");
        return Ok(failed("collection", vec![error]));
    }
    let gid = shop.add_collection(title);
    match apply(shop, gid, &input)? {
        Err(error) => {
            shop.remove(gid);
            Ok(failed("collection", vec![error]))
        }
        Ok(()) => Ok(done("collection", link(gid))),
    }
}

fn holder(shop: &Shop, handle: &str) -> Option<Gid> {
    shop.store.by_handle("Collection", handle)
}

fn apply(shop: &mut Shop, gid: Gid, input: &Input<'_>) -> Outcome<Result<(), UserError>> {
    let before = shop.store.get(gid).unwrap_or_default();
    let smart = !before["ruleSet"].is_null();
    if input.list("products").is_some() && (smart || input.get("ruleSet").is_some()) {
        let message = "Can't manually set the products of a smart collection";
        return Ok(Err(UserError::new(&["input", "products"], message)));
    }
    let wanted = input.text("handle").map(handle);
    if let Some(wanted) = &wanted
        && holder(shop, wanted).is_some_and(|other| other != gid)
    {
        return Ok(Err(UserError::new(&["input", "handle"], "Handle has already been taken")));
    }
    let rules = input.get("ruleSet").map(|given| rule_set(shop, given)).transpose()?;
    let rules = match rules.transpose() {
        Ok(rules) => rules,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(metafields) = input.list("metafields")
        && let Err(error) = metafield::write_owned(shop, gid, metafields)?
    {
        return Ok(Err(error));
    }
    if let (Some(Value::Bool(true)), Some(wanted)) = (input.get("redirectNewHandle"), &wanted)
        && before["handle"] != *wanted
    {
        let old = before["handle"].as_str().unwrap_or_default();
        let (path, target) = (format!("/collections/{old}"), format!("/collections/{wanted}"));
        super::content::add_redirect(shop, &path, &target);
    }
    let image = match input.given("image") {
        None => None,
        Some(Value::Null) => Some(None),
        Some(image) => match picture(shop, image) {
            Ok(picture) => Some(Some(picture)),
            Err(error) => return Ok(Err(error)),
        },
    };
    let pairs = [
        ("title", "title"),
        ("descriptionHtml", "descriptionHtml"),
        ("sortOrder", "sortOrder"),
        ("templateSuffix", "templateSuffix"),
    ];
    shop.update(gid, |state| {
        input.copy(state, &pairs);
        if let Some(wanted) = wanted {
            state["handle"] = json!(wanted);
        }
        if let Some(rules) = rules {
            state["ruleSet"] = rules;
        }
        if let Some(seo) = input.get("seo") {
            for field in ["title", "description"] {
                if let Some(value) = seo.get(field) {
                    state["seo"][field] = value.clone();
                }
            }
        }
        match image {
            Some(Some((Some(address), alt))) => {
                state["image"] = json!({
                    "__typename": "Image", "id": null, "url": address, "altText": alt,
                    "width": null, "height": null,
                });
            }
            Some(Some((None, alt))) if state["image"].is_object() => {
                state["image"]["altText"] = alt;
            }
            Some(Some(_)) | None => {}
            Some(None) => state["image"] = Value::Null,
        }
        if let Some(products) = input.list("products") {
            state["products"] =
                products.iter().filter_map(|id| id.as_str()?.parse().ok()).map(link).collect();
        }
    });
    Ok(Ok(()))
}

/// The address of a picture that is copied from its source, if it has one, and its text.
fn picture(shop: &mut Shop, image: &Value) -> Result<(Option<String>, Value), UserError> {
    let alt = image.get("altText").cloned().unwrap_or_default();
    let Some(url) = image["src"].as_str() else { return Ok((None, alt)) };
    let bytes = file::source(shop, url)
        .map_err(|()| UserError::new(&["input", "image"], "Image upload failed."))?;
    let gid = shop.store.fresh("ImageSource");
    let name = url.split('?').next().and_then(|url| url.rsplit('/').next()).unwrap_or("image.jpg");
    let address = shop.new_address(gid, "collections/", &file::staged_name(name));
    shop.put(gid, json!({ "__typename": "ImageSource", "mimeType": "image/jpeg" }));
    if let Some(bytes) = bytes {
        shop.blobs.insert(gid, bytes);
    }
    Ok((Some(address), alt))
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = given(call)?;
    let input = Input::of("CollectionInput", &given, &FIELDS)?;
    let gid = input.text("id").and_then(|id| id.parse::<Gid>().ok());
    let Some(gid) = gid.filter(|gid| shop.store.get(*gid).is_some()) else {
        let error = UserError::new(&["id"], "Collection does not exist");
        return Ok(failed("collection", vec![error]));
    };
    let reruled = input.get("ruleSet").is_some();
    if let Err(error) = apply(shop, gid, &input)? {
        return Ok(failed("collection", vec![error]));
    }
    let resourced = call.args.get("collection").map(|given| given["sourcesToUpdate"].clone());
    let resourced = resourced.and_then(|sources| sources.as_array().cloned()).unwrap_or_default();
    if let Err(error) = choose(shop, gid, &resourced)? {
        return Ok(failed("collection", vec![error]));
    }
    shop.announce("collections/update", gid);
    let job = if reruled || !resourced.is_empty() { super::job(shop) } else { Value::Null };
    Ok(json!({ "collection": link(gid), "job": job, "userErrors": [] }))
}

/// Products are chosen for the one source of a collection that is kept by hand, or no longer.
fn choose(shop: &mut Shop, gid: Gid, sources: &[Value]) -> Outcome<Result<(), UserError>> {
    let own = gid.n().map(|n| Gid::nth("CollectionConditionsSource", n).to_string());
    for source in sources {
        let given = &source["condition"];
        let known = ["id", "inclusion"];
        let condition = Input::of("CollectionUpdateConditionsSourceInput", given, &known)?;
        if condition.text("id") != own.as_deref() {
            let error = UserError::new(&["collection", "sourcesToUpdate"], "Source does not exist");
            return Ok(Err(error));
        }
        let inclusion = condition.get("inclusion").cloned().unwrap_or_else(|| json!({}));
        let changes = ["selectionsToAdd", "selectionsToRemove"];
        let inclusion = Input::of("CollectionUpdateSourceInclusionInput", &inclusion, &changes)?;
        for (field, member) in changes.into_iter().zip([true, false]) {
            for selection in inclusion.list(field).into_iter().flatten() {
                let product = selection["productId"].as_str().and_then(|id| id.parse().ok());
                let Some(product) = product else { continue };
                if let Err(message) = shop.set_member(gid, product, member) {
                    return Ok(Err(UserError::new(&["collection", field], message)));
                }
            }
        }
    }
    Ok(Ok(()))
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let id = call.args.get("input").map(|input| input["id"].clone()).unwrap_or_default();
    let gid = id.as_str().and_then(|id| id.parse::<Gid>().ok());
    if gid.is_some_and(|gid| gid.type_name() == "Collection" && shop.delete_collection(gid)) {
        return done("deletedCollectionId", id);
    }
    failed("deletedCollectionId", vec![UserError::new(&["id"], "Collection does not exist")])
}

fn members(shop: &mut Shop, call: &Call<'_>, member: bool) -> Value {
    let v2 = call.name != "collectionAddProducts";
    let result = if v2 { "job" } else { "collection" };
    let ids = call.args.get("productIds").and_then(Value::as_array).into_iter().flatten();
    let ids: Vec<Gid> = ids.filter_map(|id| id.as_str()?.parse().ok()).collect();
    let Some(gid) = call.args.gid("id") else {
        return failed(result, vec![UserError::new(&["id"], "Collection does not exist")]);
    };
    for product in ids {
        if let Err(message) = shop.set_member(gid, product, member) {
            return failed(result, vec![UserError::new(&["id"], message)]);
        }
    }
    let value = if v2 { super::job(shop) } else { link(gid) };
    done(result, value)
}

fn reorder(shop: &mut Shop, call: &Call<'_>) -> Value {
    let found = call.args.gid("id").and_then(|gid| Some((gid, shop.store.get(gid)?)));
    let Some((gid, state)) = found else {
        let error = UserError::new(&["id"], "Collection does not exist");
        return failed("job", vec![error.code("COLLECTION_NOT_FOUND")]);
    };
    if state["sortOrder"] != "MANUAL" {
        let message = "Can't reorder products unless collection is manually sorted";
        let error = UserError::new(&["id"], message).code("MANUALLY_SORTED_COLLECTION");
        return failed("job", vec![error]);
    }
    let moves = call.args.get("moves").and_then(Value::as_array).cloned().unwrap_or_default();
    shop.edit_collection(gid, |state| {
        let order = crate::store::targets(state, "products").collect();
        state["products"] = product::moved(order, &moves).into_iter().map(link).collect();
    });
    done("job", super::job(shop))
}
