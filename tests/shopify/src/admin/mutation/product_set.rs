//! `productSet`: what is in a list replaces what was there, and what is not in it is deleted.

use serde_json::{Value, json};

use super::{
    Call, Input, JOB_TIME, UserError, failed, metafield, product, product_option, variant,
};
use crate::admin::session::{Outcome, not_simulated};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, own, targets};

const FIELDS: [&str; 21] = [
    "id",
    "title",
    "handle",
    "descriptionHtml",
    "vendor",
    "productType",
    "status",
    "tags",
    "templateSuffix",
    "giftCard",
    "giftCardTemplateSuffix",
    "category",
    "requiresSellingPlan",
    "seo",
    "redirectNewHandle",
    "combinedListingRole",
    "metafields",
    "productOptions",
    "variants",
    "files",
    "collections",
];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    (call.name == "productSet").then(|| set(shop, call))
}

fn refusal(error: UserError) -> Outcome<Value> {
    let mut answer = failed("product", vec![error]);
    answer["productSetOperation"] = Value::Null;
    Ok(answer)
}

fn set(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("input").cloned().unwrap_or_default();
    let input = Input::of("ProductSetInput", &given, &FIELDS)?;
    let existing = match existing(shop, call, &input)? {
        Ok(existing) => existing,
        Err(error) => return refusal(error),
    };
    if let Some(error) = check(shop, existing, &input) {
        return refusal(error);
    }
    let created = existing.is_none();
    let gid = match existing {
        Some(gid) => gid,
        None => {
            let wanted = input
                .text("handle")
                .or_else(|| call.args.get("identifier").and_then(|known| known["handle"].as_str()));
            match product::blank(shop, input.text("title").unwrap_or_default(), wanted) {
                Ok(gid) => gid,
                Err(error) => return refusal(error),
            }
        }
    };
    if let Err(error) = apply(shop, gid, &given)? {
        if created {
            shop.remove(gid);
        }
        return refusal(error);
    }
    shop.announce(if created { "products/create" } else { "products/update" }, gid);
    let synchronous = shop.in_bulk || call.args.flag("synchronous").unwrap_or(true);
    Ok(answer(shop, gid, synchronous))
}

/// The answer; when it is not synchronous, an operation that has to be polled.
fn answer(shop: &mut Shop, gid: Gid, synchronous: bool) -> Value {
    if synchronous {
        return json!({ "product": link(gid), "productSetOperation": null, "userErrors": [] });
    }
    let operation = shop.store.fresh("ProductSetOperation");
    let ready = shop.later(JOB_TIME);
    shop.put(
        operation,
        json!({
            "__typename": "ProductSetOperation", "id": operation.to_string(),
            "product": link(gid), "userErrors": [], "_readyAt": ready,
        }),
    );
    json!({ "product": null, "productSetOperation": link(operation), "userErrors": [] })
}

/// The product that is meant; none when it is to be created.
fn existing(
    shop: &Shop,
    call: &Call<'_>,
    input: &Input<'_>,
) -> Outcome<Result<Option<Gid>, UserError>> {
    let identifier = call.args.get("identifier").cloned().unwrap_or_default();
    if identifier.get("customId").is_some_and(|id| !id.is_null()) {
        return Err(not_simulated("productSet by customId"));
    }
    let id = identifier["id"].as_str().or_else(|| input.text("id"));
    if let Some(id) = id {
        let found = id
            .parse()
            .ok()
            .filter(|gid: &Gid| gid.type_name() == "Product" && shop.store.get(*gid).is_some());
        let missing = || UserError::new(&["input", "id"], "Product does not exist");
        return Ok(found.map(Some).ok_or_else(|| missing().code("PRODUCT_DOES_NOT_EXIST")));
    }
    let Some(handle) = identifier["handle"].as_str() else { return Ok(Ok(None)) };
    Ok(Ok(shop.store.by_handle("Product", handle)))
}

/// What is wrong with an input before anything is done.
fn check(shop: &Shop, existing: Option<Gid>, input: &Input<'_>) -> Option<UserError> {
    let error =
        |field: &[&str], message: &str, code: &str| Some(UserError::new(field, message).code(code));
    if existing.is_none() && input.text("title").is_none_or(|title| title.trim().is_empty()) {
        return error(&["input", "title"], "Title can't be blank", "INVALID_INPUT");
    }
    let variants = input.list("variants");
    if input.list("productOptions").is_some() && variants.is_none() {
        let message = "Product variants must be provided along with options";
        return error(&["input", "variants"], message, "VARIANTS_INPUT_MISSING");
    }
    if variants.is_some() && input.list("productOptions").is_none() {
        let message = "Product options must be provided along with variants";
        return error(&["input", "productOptions"], message, "PRODUCT_OPTIONS_INPUT_MISSING");
    }
    if input.list("productOptions").is_some_and(|options| options.len() > 3) {
        let message = "Can only specify a maximum of 3 options";
        return error(&["input", "productOptions"], message, "OPTIONS_OVER_LIMIT");
    }
    if variants.is_some_and(|variants| variants.len() > variant::VARIANTS_MAX) {
        let message = "You can only have 2048 variants";
        return error(&["input", "variants"], message, "VARIANTS_OVER_LIMIT");
    }
    let quantities = variants
        .and_then(|variants| variant::too_many_quantities(variants, &["input", "variants"]));
    if quantities.is_some() {
        return quantities;
    }
    let own = existing.map(|gid| shop.variants(gid)).unwrap_or_default();
    for (at, given) in variants.unwrap_or_default().iter().enumerate() {
        let Some(id) = given["id"].as_str() else { continue };
        if !id.parse().is_ok_and(|id: Gid| own.contains(&id)) {
            let at = at.to_string();
            let message = "The specified product variant does not exist";
            let field = ["input", "variants", &at, "id"];
            return error(&field, message, "PRODUCT_VARIANT_DOES_NOT_EXIST");
        }
    }
    None
}

fn apply(shop: &mut Shop, gid: Gid, given: &Value) -> Outcome<Result<(), UserError>> {
    let input = Input::of("ProductSetInput", given, &FIELDS)?;
    if let Some(metafields) = input.list("metafields") {
        metafield::keep_only(shop, gid, metafields);
    }
    let mut own_fields = given.clone();
    if let Some(fields) = own_fields.as_object_mut() {
        fields.retain(|name, _| !["variants", "files", "collections"].contains(&name.as_str()));
    }
    let own_fields = Input::of("ProductSetInput", &own_fields, &FIELDS)?;
    if let Err(error) = product::apply(shop, gid, &own_fields)? {
        return Ok(Err(error));
    }
    let media = match input.list("files") {
        Some(files) => set_files(shop, gid, files)?,
        None => Vec::new(),
    };
    if let (Some(options), Some(variants)) = (input.list("productOptions"), input.list("variants"))
        && let Err(error) = set_variants(shop, gid, options, variants, &media)?
    {
        return Ok(Err(error));
    }
    if let Some(collections) = input.list("collections") {
        return Ok(set_collections(shop, gid, collections));
    }
    Ok(Ok(()))
}

/// Options and variants become exactly those given. A variant is the same as one that was there
/// when it has its id, or else its option values.
fn set_variants(
    shop: &mut Shop,
    gid: Gid,
    options: &[Value],
    variants: &[Value],
    media: &[(Value, Gid)],
) -> Outcome<Result<(), UserError>> {
    let options = match product_option::linked::spelled(shop, options) {
        Ok(options) => keep_option_ids(shop, gid, &options),
        Err(error) => return Ok(Err(error)),
    };
    let built = product_option::build_options(shop, &options);
    let mixed = |option: &Value| product_option::linked::mixed(option, &Value::Null);
    if let Some(error) = built.iter().find_map(mixed) {
        return Ok(Err(error));
    }
    shop.update(gid, |state| state["options"] = json!(built));
    let before = shop.variants(gid);
    let mut kept = Vec::new();
    for given in variants {
        let input = Input::of("ProductVariantSetInput", given, &variant::FIELDS)?;
        let choices = match product_option::choices(shop, gid, &input) {
            Ok(choices) => choices,
            Err(error) => return Ok(Err(error)),
        };
        let known = input.text("id").and_then(|id| id.parse().ok());
        let known = known.or_else(|| variant::find(shop, gid, &choices));
        let variant = match known {
            Some(variant) if kept.contains(&variant) => {
                let error = UserError::new(&["input", "variants"], "Variants must be different");
                return Ok(Err(error.code("INVALID_VARIANT")));
            }
            Some(variant) => variant,
            None => variant::add(shop, gid, &choices),
        };
        kept.push(variant);
        rename(shop, variant, &choices);
        if let Err(error) = variant::apply(shop, variant, &input)? {
            return Ok(Err(error));
        }
        if let Some(file) = input.get("file") {
            let is = |known: &Value| {
                ["id", "originalSource"]
                    .iter()
                    .any(|f| known[*f].is_string() && known[*f] == file[*f])
            };
            let Some((_, medium)) = media.iter().find(|(known, _)| is(known)) else {
                let message = "The file must be among the product's files";
                let error = UserError::new(&["input", "variants", "file"], message);
                return Ok(Err(error.code("INVALID_INPUT")));
            };
            shop.update(variant, |state| state["media"] = json!([link(*medium)]));
        }
    }
    for variant in before.into_iter().filter(|variant| !kept.contains(variant)) {
        variant::drop_variant(shop, gid, variant);
    }
    shop.update(gid, |state| state["variants"] = kept.iter().map(|v| own(*v)).collect());
    product_option::linked::settle(shop, gid);
    variant::renumber(shop, gid);
    Ok(Ok(()))
}

/// Options and values of the same name remain what they were.
fn keep_option_ids(shop: &Shop, gid: Gid, options: &[Value]) -> Vec<Value> {
    let state = shop.store.get(gid).unwrap_or_default();
    let before = state["options"].as_array().cloned().unwrap_or_default();
    let mut options = options.to_vec();
    for option in &mut options {
        let Some(known) = before.iter().find(|known| {
            option.get("id").is_some_and(|id| *id == known["id"]) || known["name"] == option["name"]
        }) else {
            continue;
        };
        option["id"] = known["id"].clone();
        if option["name"].is_null() {
            option["name"] = known["name"].clone();
        }
        if option["linkedMetafield"].is_null() {
            option["linkedMetafield"] = known["linkedMetafield"].clone();
        }
        for value in option["values"].as_array_mut().into_iter().flatten() {
            let values = known["optionValues"].as_array().into_iter().flatten();
            let same = values.into_iter().find(|other| other["name"] == value["name"]);
            if let (Some(same), true) = (same, value["id"].is_null()) {
                value["id"] = same["id"].clone();
            }
            if let (Some(same), true) = (same, value["linkedMetafieldValue"].is_null()) {
                value["linkedMetafieldValue"] = same["linkedMetafieldValue"].clone();
            }
        }
    }
    options
}

pub(super) fn rename(shop: &mut Shop, variant: Gid, choices: &[product_option::Choice]) {
    let title: Vec<&str> = choices.iter().map(|(_, value)| value.as_str()).collect();
    let title = title.join(" / ");
    let selected: Vec<Value> = choices
        .iter()
        .map(|(name, value)| {
            json!({
                "__typename": "SelectedOption", "name": name, "value": value,
            })
        })
        .collect();
    shop.update(variant, |state| {
        state["title"] = json!(title);
        state["selectedOptions"] = json!(selected);
    });
}

/// What was given and the medium that it is.
fn set_files(shop: &mut Shop, gid: Gid, files: &[Value]) -> Outcome<Vec<(Value, Gid)>> {
    let mut media = Vec::new();
    for file in files {
        match file["id"].as_str().and_then(|id| id.parse::<Gid>().ok()) {
            Some(id) => media.push((file.clone(), id)),
            None => media.push((file.clone(), super::file::add(shop, file)?)),
        }
    }
    shop.update(gid, |state| state["media"] = media.iter().map(|(_, gid)| link(*gid)).collect());
    Ok(media)
}

fn set_collections(shop: &mut Shop, gid: Gid, wanted: &[Value]) -> Result<(), UserError> {
    let wanted: Vec<Gid> = wanted.iter().filter_map(|id| id.as_str()?.parse().ok()).collect();
    let holders: Vec<Gid> = shop
        .store
        .live("Collection")
        .filter(|(_, state)| {
            state["ruleSet"].is_null() && targets(state, "products").any(|member| member == gid)
        })
        .map(|(collection, _)| collection)
        .collect();
    let error = |message| UserError::new(&["input", "collections"], message).code("INVALID_INPUT");
    for collection in wanted.iter().filter(|collection| !holders.contains(collection)) {
        shop.set_member(*collection, gid, true).map_err(error)?;
    }
    for collection in holders.into_iter().filter(|collection| !wanted.contains(collection)) {
        shop.set_member(collection, gid, false).map_err(error)?;
    }
    Ok(())
}
