//! Products themselves.

use serde_json::{Value, json};

use super::{Call, Input, UserError, done, failed, metafield, product_media, sorted_tags};
use crate::admin::session::{Outcome, not_simulated};
use crate::catalog::handle;
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::link;

/// Fields of a product's input that are modelled.
pub(super) const FIELDS: [&str; 20] = [
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
    "metafields",
    "productOptions",
    "collectionsToJoin",
    "collectionsToLeave",
    "redirectNewHandle",
    "combinedListingRole",
];

const COPIED: [(&str, &str); 8] = [
    ("title", "title"),
    ("descriptionHtml", "descriptionHtml"),
    ("vendor", "vendor"),
    ("productType", "productType"),
    ("templateSuffix", "templateSuffix"),
    ("giftCardTemplateSuffix", "giftCardTemplateSuffix"),
    ("requiresSellingPlan", "requiresSellingPlan"),
    ("combinedListingRole", "combinedListingRole"),
];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "productCreate" => create(shop, call),
        "productUpdate" => update(shop, call),
        "productDelete" => delete(shop, call),
        "productChangeStatus" => change_status(shop, call),
        "tagsAdd" | "tagsRemove" => tags(shop, call),
        _ => return None,
    })
}

fn input<'a>(call: &'a Call<'_>) -> Outcome<Input<'a>> {
    let given = call.args.get("product").or_else(|| call.args.get("input"));
    Input::of("ProductInput", given.unwrap_or(&Value::Null), &FIELDS)
}

fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let input = input(call)?;
    let Some(title) = input.text("title").filter(|title| !title.trim().is_empty()) else {
        let error = UserError::new(&["title"], "Title can't be blank");
        return Ok(failed("product", vec![error]));
    };
    let gid = match blank(shop, title, input.text("handle")) {
        Ok(gid) => gid,
        Err(error) => return Ok(failed("product", vec![error])),
    };
    if let Err(error) = apply(shop, gid, &input)? {
        shop.remove(gid);
        return Ok(failed("product", vec![error]));
    }
    if let Some(options) = input.list("productOptions")
        && let Err(error) = super::product_option::first_options(shop, gid, options)
    {
        shop.remove(gid);
        return Ok(failed("product", vec![error]));
    }
    product_media::append(shop, gid, call)?;
    shop.announce("products/create", gid);
    Ok(done("product", link(gid)))
}

/// A new product with one variant, published nowhere.
pub(super) fn blank(shop: &mut Shop, title: &str, wanted: Option<&str>) -> Result<Gid, UserError> {
    let handle = match wanted {
        Some(wanted) => taken_handle(shop, None, wanted)?,
        None => shop.free_handle("Product", &handle(title)),
    };
    let gid = shop.store.fresh("Product");
    let variant = shop.store.fresh("ProductVariant");
    let option = shop.default_option();
    let now = shop.now_text();
    shop.put(
        gid,
        json!({
            "__typename": "Product", "id": gid.to_string(), "title": title, "handle": handle,
            "descriptionHtml": "", "vendor": "Acme", "productType": "", "status": "ACTIVE",
            "tags": [], "templateSuffix": null, "giftCardTemplateSuffix": null, "category": null,
            "isGiftCard": false, "requiresSellingPlan": false, "combinedListingRole": null,
            "hasVariantsThatRequiresComponents": false,
            "seo": { "__typename": "SEO", "title": null, "description": null },
            "createdAt": now, "updatedAt": now, "publishedAt": null, "options": [option],
            "variants": [crate::store::own(variant)], "media": [], "metafields": [],
            "resourcePublicationsV2": [],
        }),
    );
    shop.add_variant(variant, gid, 1, &[("Title", "Default Title")], 0);
    Ok(gid)
}

/// The normal form of a handle that is asked for by name, unless another product has it.
fn taken_handle(shop: &Shop, own: Option<Gid>, wanted: &str) -> Result<String, UserError> {
    let wanted = handle(wanted);
    let taken = shop.store.by_handle("Product", &wanted).is_some_and(|gid| Some(gid) != own);
    if taken {
        let message = format!("Handle '{wanted}' already in use. Please provide a new handle.");
        return Err(UserError::new(&["input", "handle"], message).code("HANDLE_NOT_UNIQUE"));
    }
    Ok(wanted)
}

/// Applies the fields of an input to a product.
pub(super) fn apply(
    shop: &mut Shop,
    gid: Gid,
    input: &Input<'_>,
) -> Outcome<Result<(), UserError>> {
    if input.get("title").is_some() && input.text("title").is_none_or(|t| t.trim().is_empty()) {
        return Ok(Err(UserError::new(&["title"], "Title can't be blank").code("INVALID_INPUT")));
    }
    let handle = match input.text("handle").map(|wanted| taken_handle(shop, Some(gid), wanted)) {
        Some(Err(error)) => return Ok(Err(error)),
        Some(Ok(handle)) => Some(handle),
        None => None,
    };
    if let Some(metafields) = input.list("metafields")
        && let Err(error) = metafield::write_owned(shop, gid, metafields)?
    {
        return Ok(Err(error));
    }
    let before = shop.store.get(gid).map(|product| product["handle"].clone());
    shop.update(gid, |state| {
        input.copy(state, &COPIED);
        if let Some(handle) = &handle {
            state["handle"] = json!(handle);
        }
        if let Some(tags) = input.list("tags") {
            state["tags"] = json!(sorted_tags(tags));
        }
        if let Some(status) = input.get("status") {
            state["status"] = status.clone();
        }
        match input.given("category").map(Value::as_str) {
            Some(Some(category)) => {
                let tail = category.rsplit('/').next().unwrap_or_default();
                state["category"] = json!({
                    "__typename": "TaxonomyCategory", "id": category, "name": tail, "fullName": tail,
                });
            }
            Some(None) => state["category"] = Value::Null,
            None => {}
        }
        if input.get("giftCard") == Some(&json!(true)) {
            state["isGiftCard"] = json!(true);
        }
        if let Some(seo) = input.get("seo") {
            for field in ["title", "description"] {
                if let Some(value) = seo.get(field) {
                    state["seo"][field] = value.clone();
                }
            }
        }
    });
    if input.get("redirectNewHandle") == Some(&json!(true))
        && let (Some(Value::String(before)), Some(now)) = (before, handle)
        && before != now
    {
        let (path, target) = (format!("/products/{before}"), format!("/products/{now}"));
        super::content::add_redirect(shop, &path, &target);
    }
    for (field, join) in [("collectionsToJoin", true), ("collectionsToLeave", false)] {
        for collection in input.list(field).into_iter().flatten() {
            let Some(collection) = collection.as_str().and_then(|id| id.parse().ok()) else {
                continue;
            };
            if let Err(error) = shop.set_member(collection, gid, join) {
                return Ok(Err(UserError::new(&["product", field], error)));
            }
        }
    }
    Ok(Ok(()))
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let input = input(call)?;
    if call.args.get("identifier").is_some() {
        return Err(not_simulated("productUpdate by identifier"));
    }
    let gid = input.text("id").and_then(|id| id.parse::<Gid>().ok());
    let Some(gid) = gid.filter(|gid| shop.store.get(*gid).is_some()) else {
        let error = UserError::new(&["id"], "Product does not exist");
        return Ok(failed("product", vec![error]));
    };
    let more = call.args.get("media").and_then(Value::as_array).map_or(0, Vec::len);
    if let Some(error) = product_media::too_many(shop, gid, more) {
        return Ok(failed("product", vec![error]));
    }
    match apply(shop, gid, &input)? {
        Err(error) => Ok(failed("product", vec![error])),
        Ok(()) => {
            product_media::append(shop, gid, call)?;
            shop.announce("products/update", gid);
            Ok(done("product", link(gid)))
        }
    }
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let id = call.args.get("input").map(|input| input["id"].clone()).unwrap_or_default();
    let gid = id.as_str().and_then(|id| id.parse::<Gid>().ok());
    if call.args.flag("synchronous") == Some(false) {
        return Err(not_simulated("productDelete that is not synchronous"));
    }
    if gid.is_some_and(|gid| gid.type_name() == "Product" && shop.delete_product(gid)) {
        return Ok(done("deletedProductId", id));
    }
    let error = UserError::new(&["id"], "Product does not exist");
    Ok(failed("deletedProductId", vec![error]))
}

fn change_status(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let gid = call.args.gid("productId").filter(|gid| shop.store.get(*gid).is_some());
    let Some(gid) = gid else {
        let error = UserError::new(&["productId"], "Product does not exist");
        return Ok(failed("product", vec![error.code("PRODUCT_NOT_FOUND")]));
    };
    let status = call.args.get("status").cloned().unwrap_or_default();
    shop.edit_product(gid, |state| state["status"] = status);
    Ok(done("product", link(gid)))
}

/// A list after each of `moves` took an element to its new position.
pub(super) fn moved(mut order: Vec<Gid>, moves: &[Value]) -> Vec<Gid> {
    for step in moves {
        let gid = step["id"].as_str().and_then(|id| id.parse().ok());
        let to = step["newPosition"].as_str().and_then(|at| at.parse::<usize>().ok());
        let (Some(gid), Some(to)) = (gid, to) else { continue };
        if let Some(from) = order.iter().position(|other| *other == gid) {
            order.remove(from);
            order.insert(to.min(order.len()), gid);
        }
    }
    order
}

fn tags(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let Some(gid) = call.args.gid("id").filter(|gid| shop.store.get(*gid).is_some()) else {
        let error = UserError::new(&["id"], "Resource does not exist");
        return Ok(failed("node", vec![error]));
    };
    let given = call.args.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
    let had = shop.store.get(gid).map(|state| state["tags"].clone()).unwrap_or_default();
    let mut tags = had.as_array().cloned().unwrap_or_default();
    if call.name == "tagsAdd" {
        tags.extend(given);
    } else {
        tags.retain(|tag| !given.contains(tag));
    }
    let tags = sorted_tags(&tags);
    match gid.type_name() {
        "Product" => {
            shop.edit_product(gid, |state| state["tags"] = json!(tags));
        }
        "Customer" => shop.retag_customer(gid, &tags),
        "Order" => {
            shop.edit_order(gid, |state| state["tags"] = json!(tags));
        }
        other => return Err(not_simulated(format_args!("tags of {other}"))),
    }
    Ok(done("node", link(gid)))
}
