//! Variants of a product, with their inventory items.

use serde_json::{Value, json};

use super::product_option::{self, Choice, choices, learn_values};
use super::{Call, Input, UserError, inventory, metafield, product_media};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::{cents, cents_to_decimal, cents_to_money};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{link, own, target, targets};

/// A product has no more variants than this.
pub(super) const VARIANTS_MAX: usize = 2048;

/// Quantities of all variants of one mutation together.
/// <https://shopify.dev/changelog/productset-limit-for-inventory-quantities>,
/// <https://shopify.dev/changelog/inventoryquantities-limit-in-mutations>
const QUANTITIES_MAX: usize = 50_000;

/// Fields of a variant's input that are modelled.
pub(super) const FIELDS: [&str; 19] = [
    "id",
    "barcode",
    "compareAtPrice",
    "file",
    "inventoryItem",
    "inventoryPolicy",
    "inventoryQuantities",
    "mediaId",
    "metafields",
    "optionValues",
    "position",
    "price",
    "requiresComponents",
    "showUnitPrice",
    "sku",
    "taxCode",
    "taxable",
    "unitPriceMeasurement",
    "options",
];

const ITEM_FIELDS: [&str; 9] = [
    "cost",
    "countryCodeOfOrigin",
    "countryHarmonizedSystemCodes",
    "harmonizedSystemCode",
    "measurement",
    "provinceCodeOfOrigin",
    "requiresShipping",
    "sku",
    "tracked",
];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "productVariantsBulkCreate" => bulk_create(shop, call),
        "productVariantsBulkUpdate" => bulk_update(shop, call),
        "productVariantsBulkDelete" => bulk_delete(shop, call),
        "productVariantsBulkReorder" => Ok(bulk_reorder(shop, call)),
        _ => return None,
    })
}

pub(super) fn product(shop: &Shop, call: &Call<'_>) -> Option<Gid> {
    call.args
        .gid("productId")
        .filter(|gid| gid.type_name() == "Product" && shop.store.get(*gid).is_some())
}

pub(super) fn answer(product: Option<Gid>, variants: &[Gid], errors: Vec<UserError>) -> Value {
    let failed = !errors.is_empty();
    let variants: Vec<Value> = variants.iter().map(|gid| link(*gid)).collect();
    json!({
        "product": product.map(link),
        "productVariants": if failed { Value::Null } else { json!(variants) },
        "userErrors": errors.into_iter().map(UserError::value).collect::<Vec<_>>(),
    })
}

pub(super) fn no_product() -> UserError {
    UserError::new(&["productId"], "Product does not exist").code("PRODUCT_DOES_NOT_EXIST")
}

fn bulk_create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = product(shop, call) else { return Ok(answer(None, &[], vec![no_product()])) };
    if call.args.get("media").is_some() {
        return Err(not_simulated("productVariantsBulkCreate with media"));
    }
    let inputs = call.args.get("variants").and_then(Value::as_array).cloned().unwrap_or_default();
    let standalone: Vec<Gid> = shop
        .variants(gid)
        .into_iter()
        .filter(|variant| shop.store.get(*variant).is_some_and(|v| v["title"] == "Default Title"))
        .collect();
    if shop.variants(gid).len() + inputs.len() > VARIANTS_MAX {
        let error = UserError::new(&["variants"], "You can only have 2048 variants");
        return Ok(answer(Some(gid), &[], vec![error.code("LIMIT_EXCEEDED")]));
    }
    if let Some(error) = too_many_quantities(&inputs, &["variants"]) {
        return Ok(answer(Some(gid), &[], vec![error]));
    }
    let mut created = Vec::new();
    for given in &inputs {
        let input = Input::of("ProductVariantsBulkInput", given, &FIELDS)?;
        let choices = match choices(shop, gid, &input) {
            Ok(choices) => choices,
            Err(error) => return Ok(answer(Some(gid), &[], vec![error])),
        };
        if find(shop, gid, &choices).is_some() {
            let message = "The variant already exists. Please change at least one option value.";
            let error = UserError::new(&["variants"], message).code("VARIANT_ALREADY_EXISTS");
            return Ok(answer(Some(gid), &[], vec![error]));
        }
        created.push(add(shop, gid, &choices));
        if let Err(error) = apply(shop, *created.last().expect("just added"), &input)? {
            return Ok(answer(Some(gid), &[], vec![error]));
        }
    }
    if call.args.text("strategy") != Some("PRESERVE_STANDALONE_VARIANT") && !created.is_empty() {
        for variant in standalone {
            drop_variant(shop, gid, variant);
        }
    }
    renumber(shop, gid);
    Ok(answer(Some(gid), &created, vec![]))
}

fn bulk_update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = product(shop, call) else { return Ok(answer(None, &[], vec![no_product()])) };
    if call.args.get("media").is_some() || call.args.flag("allowPartialUpdates") == Some(true) {
        return Err(not_simulated("productVariantsBulkUpdate with media or partial updates"));
    }
    let inputs = call.args.get("variants").and_then(Value::as_array).cloned().unwrap_or_default();
    let own: Vec<Gid> = shop.variants(gid);
    let mut checked = Vec::new();
    for (at, given) in inputs.iter().enumerate() {
        let input = Input::of("ProductVariantsBulkInput", given, &FIELDS)?;
        let variant = input.text("id").and_then(|id| id.parse::<Gid>().ok());
        let Some(variant) = variant.filter(|variant| own.contains(variant)) else {
            let at = at.to_string();
            let error = UserError::new(&["variants", &at, "id"], "Product variant does not exist");
            let error = error.code("PRODUCT_VARIANT_DOES_NOT_EXIST");
            return Ok(answer(Some(gid), &[], vec![error]));
        };
        checked.push((variant, given));
    }
    let mut updated = Vec::new();
    for (variant, given) in checked {
        let input = Input::of("ProductVariantsBulkInput", given, &FIELDS)?;
        if input.get("optionValues").is_some() {
            let chosen = choices(shop, gid, &input);
            let chosen =
                chosen.and_then(|chosen| product_option::rechoose(shop, gid, variant, &chosen));
            if let Err(error) = chosen {
                return Ok(answer(Some(gid), &[], vec![error]));
            }
        }
        if let Err(error) = apply(shop, variant, &input)? {
            return Ok(answer(Some(gid), &[], vec![error]));
        }
        updated.push(variant);
    }
    shop.edit_product(gid, |_| {});
    Ok(answer(Some(gid), &updated, vec![]))
}

fn bulk_delete(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = product(shop, call) else { return Ok(answer(None, &[], vec![no_product()])) };
    let ids = call.args.get("variantsIds").and_then(Value::as_array).into_iter().flatten();
    let ids: Vec<Gid> = ids.filter_map(|id| id.as_str()?.parse().ok()).collect();
    let own = shop.variants(gid);
    if ids.iter().any(|id| !own.contains(id)) {
        let error =
            UserError::new(&["variantsIds"], "At least one variant does not belong to the product");
        let error = error.code("AT_LEAST_ONE_VARIANT_DOES_NOT_BELONG_TO_THE_PRODUCT");
        return Ok(answer(Some(gid), &[], vec![error]));
    }
    if ids.len() == own.len() {
        let error = UserError::new(&["variantsIds"], "Cannot delete the last variant of a product");
        let error = error.code("CANNOT_DELETE_LAST_VARIANT");
        return Ok(answer(Some(gid), &[], vec![error]));
    }
    for variant in ids {
        drop_variant(shop, gid, variant);
    }
    renumber(shop, gid);
    Ok(answer(Some(gid), &[], vec![]))
}

/// Each variant that is named goes to its position, the others keep their order around them.
fn bulk_reorder(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = product(shop, call) else { return answer(None, &[], vec![no_product()]) };
    let given = call.args.get("positions").and_then(Value::as_array).cloned().unwrap_or_default();
    let own_ids = shop.variants(gid);
    let mut placed: Vec<(u64, Gid)> = Vec::new();
    for entry in &given {
        let variant = entry["id"].as_str().and_then(|id| id.parse::<Gid>().ok());
        let position = entry["position"].as_u64().filter(|position| *position >= 1);
        let (Some(variant), Some(position)) = (variant, position) else {
            let error = UserError::new(&["positions"], "Position must be at least 1");
            return answer(Some(gid), &[], vec![error.code("INVALID_POSITION")]);
        };
        if !own_ids.contains(&variant) {
            let error = UserError::new(&["positions"], "Product variant does not exist");
            return answer(Some(gid), &[], vec![error.code("MISSING_VARIANT")]);
        }
        placed.push((position, variant));
    }
    placed.sort_unstable();
    let mut order: Vec<Gid> = own_ids
        .into_iter()
        .filter(|variant| !placed.iter().any(|(_, placed)| placed == variant))
        .collect();
    for (position, variant) in placed {
        let at = usize::try_from(position - 1).unwrap_or(usize::MAX).min(order.len());
        order.insert(at, variant);
    }
    shop.update(gid, |state| {
        state["variants"] = order.iter().map(|variant| own(*variant)).collect();
    });
    renumber(shop, gid);
    answer(Some(gid), &[], vec![])
}

/// Refuses more quantities than one mutation takes.
pub(super) fn too_many_quantities(variants: &[Value], field: &[&str]) -> Option<UserError> {
    let quantities =
        |variant: &Value| variant["inventoryQuantities"].as_array().map_or(0, Vec::len);
    let many: usize = variants.iter().map(quantities).sum();
    let message = format!(
        "Input contains {many} inventory quantities, which exceeds the limit of {QUANTITIES_MAX}"
    );
    let error = || UserError::new(field, message).code("INVENTORY_QUANTITIES_LIMIT_EXCEEDED");
    (many > QUANTITIES_MAX).then(error)
}

/// The variant of a product that has exactly these values.
pub(super) fn find(shop: &Shop, product: Gid, choices: &[Choice]) -> Option<Gid> {
    shop.variants(product).into_iter().find(|variant| {
        let Some(state) = shop.store.get(*variant) else { return false };
        let selected = state["selectedOptions"].as_array().cloned().unwrap_or_default();
        selected.len() == choices.len()
            && choices.iter().all(|(name, value)| {
                selected.iter().any(|s| s["name"] == *name && s["value"] == *value)
            })
    })
}

/// Adds a variant, and its values to the product's options where they are new.
pub(super) fn add(shop: &mut Shop, product: Gid, choices: &[Choice]) -> Gid {
    let variant = shop.store.fresh("ProductVariant");
    let position = shop.variants(product).len() + 1;
    let pairs: Vec<(&str, &str)> =
        choices.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    shop.add_variant(variant, product, position, &pairs, 0);
    learn_values(shop, product, choices);
    shop.update(product, |state| {
        if let Some(variants) = state["variants"].as_array_mut() {
            variants.push(own(variant));
        }
    });
    variant
}

/// Deletes a variant, with its stock-keeping.
pub(super) fn drop_variant(shop: &mut Shop, product: Gid, variant: Gid) {
    let item = shop.store.get(variant).and_then(|state| target(&state["inventoryItem"]));
    shop.remove(variant);
    shop.update(product, |state| {
        let kept: Vec<Value> =
            targets(state, "variants").filter(|v| *v != variant).map(own).collect();
        state["variants"] = json!(kept);
    });
    if let Some(item) = item {
        shop.announce("inventory_items/delete", item);
    }
}

/// Gives variants their positions, and announces the product.
pub(super) fn renumber(shop: &mut Shop, product: Gid) {
    for (at, variant) in (1..).zip(shop.variants(product)) {
        if shop.store.get(variant).is_some_and(|state| state["position"] != at) {
            shop.update(variant, |state| state["position"] = json!(at));
        }
    }
    shop.edit_product(product, |_| {});
}

/// Applies the fields of an input to a variant and its inventory item.
pub(super) fn apply(
    shop: &mut Shop,
    variant: Gid,
    input: &Input<'_>,
) -> Outcome<Result<(), UserError>> {
    for field in ["price", "compareAtPrice"] {
        if let Some(price) = input.text(field)
            && cents(price).is_none()
        {
            let error = UserError::new(&["variants", field], format!("{field} is not a number"));
            return Ok(Err(error.code("INVALID_INPUT")));
        }
    }
    let medium = input.text("mediaId").and_then(|id| id.parse::<Gid>().ok());
    if let (Some(medium), Some(product)) = (medium, shop.product_of(variant))
        && let Some((message, code)) = product_media::refusal(shop, product, medium)
    {
        let code = match code {
            "NON_READY_MEDIA" => "INVALID_INPUT",
            _ => "MUST_BE_FOR_THIS_PRODUCT",
        };
        return Ok(Err(UserError::new(&["variants", "mediaId"], message).code(code)));
    }
    if let Some(metafields) = input.list("metafields")
        && let Err(error) = metafield::write_owned(shop, variant, metafields)?
    {
        return Ok(Err(error));
    }
    let pairs = [
        ("barcode", "barcode"),
        ("inventoryPolicy", "inventoryPolicy"),
        ("requiresComponents", "requiresComponents"),
        ("showUnitPrice", "showUnitPrice"),
        ("taxCode", "taxCode"),
        ("taxable", "taxable"),
        ("unitPriceMeasurement", "unitPriceMeasurement"),
        ("compareAtPrice", "compareAtPrice"),
        ("price", "price"),
    ];
    let of_item = input.get("inventoryItem").and_then(|item| item.get("sku"));
    let sku = input.get("sku").or(of_item);
    shop.update(variant, |state| {
        input.copy(state, &pairs);
        if let Some(sku) = sku {
            state["sku"] = sku.clone();
        }
        for field in ["price", "compareAtPrice"] {
            if let Some(price) = state[field].as_str().and_then(cents) {
                state[field] = json!(cents_to_money(price));
            }
        }
        if let Some(medium) = medium {
            state["media"] = json!([link(medium)]);
        }
    });
    let item = shop.store.get(variant).and_then(|state| target(&state["inventoryItem"]));
    if let Some(item) = item {
        let given = input.get("inventoryItem").cloned().unwrap_or_else(|| json!({}));
        let changes = Input::of("InventoryItemInput", &given, &ITEM_FIELDS)?;
        apply_item(shop, item, &changes, input.get("sku"));
        return set_stock(shop, item, input.list("inventoryQuantities").unwrap_or_default());
    }
    Ok(Ok(()))
}

/// Applies the fields of an input to an inventory item.
pub(super) fn apply_item(shop: &mut Shop, item: Gid, input: &Input<'_>, sku: Option<&Value>) {
    let pairs = [
        ("countryCodeOfOrigin", "countryCodeOfOrigin"),
        ("countryHarmonizedSystemCodes", "countryHarmonizedSystemCodes"),
        ("harmonizedSystemCode", "harmonizedSystemCode"),
        ("provinceCodeOfOrigin", "provinceCodeOfOrigin"),
        ("requiresShipping", "requiresShipping"),
        ("sku", "sku"),
        ("tracked", "tracked"),
    ];
    let before = shop.store.get(item);
    shop.update(item, |state| {
        input.copy(state, &pairs);
        if let Some(sku) = sku {
            state["sku"] = sku.clone();
        }
        match input.given("cost") {
            None => {}
            Some(Value::Null) => state["unitCost"] = Value::Null,
            Some(cost) => {
                let cost = cost.as_str().map_or_else(|| cost.to_string(), str::to_owned);
                let cents = cents(&cost).unwrap_or_default();
                state["unitCost"] = json!({
                    "__typename": "MoneyV2", "amount": cents_to_decimal(cents),
                    "currencyCode": "USD",
                });
            }
        }
        if let Some(weight) = input.get("measurement").map(|m| &m["weight"])
            && weight.is_object()
        {
            state["measurement"]["weight"] = self::weight(weight);
        }
    });
    if let (Some(before), Some(after)) = (before, shop.store.get(item)) {
        let same = |field: &str| before[field] == after[field];
        let fields = [
            "sku",
            "tracked",
            "unitCost",
            "measurement",
            "requiresShipping",
            "countryCodeOfOrigin",
            "harmonizedSystemCode",
        ];
        if !fields.into_iter().all(same) {
            shop.announce("inventory_items/update", item);
        }
    }
}

/// Sets what is available at locations, and stocks the item there.
/// <https://shopify.dev/docs/api/admin-graphql/latest/input-objects/ProductVariantSetInput>
fn set_stock(shop: &mut Shop, item: Gid, quantities: &[Value]) -> Outcome<Result<(), UserError>> {
    for (at, given) in quantities.iter().enumerate() {
        let location = given["locationId"].as_str().and_then(|id| id.parse::<Gid>().ok());
        let location = location.filter(|location| {
            shop.store.get(*location).is_some_and(|state| state["isActive"] == true)
        });
        let Some(location) = location else {
            let at = at.to_string();
            let field = ["variants", "inventoryQuantities", &at, "locationId"];
            let error = UserError::new(&field, "The specified location could not be found.");
            return Ok(Err(error.code("INVALID_INPUT")));
        };
        let quantity = given.get("quantity").or_else(|| given.get("availableQuantity"));
        let quantity = quantity.and_then(Value::as_i64).unwrap_or_default();
        if given["name"].as_str().is_some_and(|name| name != "available") {
            return Err(not_simulated("inventoryQuantities other than available"));
        }
        match inventory::level(shop, item, location) {
            None => {
                inventory::stock(shop, item, location, Some(quantity));
            }
            Some(level) => shop.change_level(level, |quantities| {
                inventory::count(quantities, "available", quantity);
            }),
        }
    }
    Ok(Ok(()))
}

/// A weight as it was given: its value is a `Float`, whichever number it was given as.
pub(super) fn weight(given: &Value) -> Value {
    json!({"__typename": "Weight", "unit": given["unit"], "value": given["value"].as_f64()})
}
