//! `products/create` and `products/update`: the first 100 variants, and the ids of all.

use serde_json::{Value, json};

use super::{Renderer, lower, published_scope, tags};
use crate::gid::Gid;
use crate::instant;
use crate::store::{Document, target, targets};

/// No more variants than this are written out.
const VARIANTS_SHOWN: usize = 100;

impl Renderer<'_> {
    pub(super) fn product(&self, gid: Gid, product: &Value) -> Value {
        let number = gid.number();
        let variants: Vec<(Gid, Document)> = targets(product, "variants")
            .filter_map(|variant| Some((variant, self.get(variant)?)))
            .collect();
        let shown = variants.iter().take(VARIANTS_SHOWN);
        let media: Vec<(Gid, Document)> =
            targets(product, "media").filter_map(|media| Some((media, self.get(media)?))).collect();
        let owners = |media: Gid| -> Vec<u64> {
            let with = variants
                .iter()
                .filter(|(_, variant)| targets(variant, "media").any(|m| m == media));
            with.map(|(variant, _)| variant.number()).collect()
        };
        let images: Vec<Value> = (1..)
            .zip(media.iter().filter(|(_, media)| media["mediaContentType"] == "IMAGE"))
            .map(|(position, (id, media))| self.image(number, position, *id, media, &owners(*id)))
            .collect();
        json!({
            "id": number,
            "admin_graphql_api_id": gid.to_string(),
            "title": product["title"],
            "body_html": product["descriptionHtml"],
            "vendor": product["vendor"],
            "product_type": product["productType"],
            "handle": product["handle"],
            "template_suffix": product["templateSuffix"],
            "status": lower(&product["status"]),
            "published_scope": published_scope(product),
            "tags": tags(product),
            "created_at": self.instant(product, "createdAt"),
            "updated_at": self.instant(product, "updatedAt"),
            "published_at": self.instant(product, "publishedAt"),
            "category": category(&product["category"]),
            "has_variants_that_requires_components": product["hasVariantsThatRequiresComponents"],
            "options": self.options(number, product, &variants),
            "variants": shown.map(|(id, variant)| self.variant(number, *id, variant)).collect::<Vec<_>>(),
            "variant_gids": variant_gids(&variants),
            "image": images.first().cloned().unwrap_or(Value::Null),
            "images": images,
            "media": (1..).zip(&media)
                .map(|(position, (id, media))| self.media(number, position, *id, media, &owners(*id)))
                .collect::<Vec<_>>(),
        })
    }

    fn options(&self, product: u64, document: &Value, variants: &[(Gid, Document)]) -> Vec<Value> {
        let options = document["options"].as_array();
        let options = options.into_iter().flatten();
        options
            .map(|option| {
                let values = option["optionValues"].as_array().into_iter().flatten();
                let used = values.map(|value| &value["name"]).filter(|name| {
                    variants.iter().any(|(_, variant)| {
                        let chosen = variant["selectedOptions"].as_array().into_iter().flatten();
                        chosen.into_iter().any(|choice| {
                            choice["name"] == option["name"] && choice["value"] == **name
                        })
                    })
                });
                json!({
                    "id": super::number_in(&option["id"]),
                    "product_id": product,
                    "name": option["name"],
                    "position": option["position"],
                    "values": used.collect::<Vec<_>>(),
                })
            })
            .collect()
    }

    fn variant(&self, product: u64, gid: Gid, variant: &Value) -> Value {
        let item = target(&variant["inventoryItem"]);
        let quantity = item.map_or(0, |item| crate::shop::available(self.store, item));
        let choice = |at: usize| &variant["selectedOptions"][at]["value"];
        let picture = targets(variant, "media").next();
        json!({
            "id": gid.number(),
            "admin_graphql_api_id": gid.to_string(),
            "product_id": product,
            "title": variant["title"],
            "sku": variant["sku"],
            "barcode": variant["barcode"],
            "price": variant["price"],
            "compare_at_price": variant["compareAtPrice"],
            "taxable": variant["taxable"],
            "position": variant["position"],
            "inventory_policy": lower(&variant["inventoryPolicy"]),
            "option1": choice(0),
            "option2": choice(1),
            "option3": choice(2),
            "image_id": picture.map(product_image),
            "inventory_item_id": item.map(|item| item.number()),
            "inventory_quantity": quantity,
            "old_inventory_quantity": quantity,
            "created_at": self.instant(variant, "createdAt"),
            "updated_at": self.instant(variant, "updatedAt"),
        })
    }

    fn image(&self, product: u64, position: u64, id: Gid, media: &Value, owners: &[u64]) -> Value {
        let number = product_image(id);
        json!({
            "id": number,
            "admin_graphql_api_id": format!("gid://shopify/ProductImage/{number}"),
            "product_id": product,
            "position": position,
            "alt": media["alt"],
            "src": media["image"]["url"],
            "width": media["image"]["width"],
            "height": media["image"]["height"],
            "variant_ids": owners,
            "created_at": self.instant(media, "createdAt"),
            "updated_at": self.instant(media, "updatedAt"),
        })
    }

    fn media(&self, product: u64, position: u64, id: Gid, media: &Value, owners: &[u64]) -> Value {
        let preview = &media["preview"];
        json!({
            "id": id.number(),
            "admin_graphql_api_id": id.to_string(),
            "product_id": product,
            "position": position,
            "alt": media["alt"].as_str().unwrap_or_default(),
            "media_content_type": media["mediaContentType"],
            "status": media["status"],
            "preview_image": {
                "src": preview["image"]["url"],
                "width": preview["image"]["width"],
                "height": preview["image"]["height"],
                "status": preview["status"],
            },
            "variant_ids": owners,
            "created_at": self.instant(media, "createdAt"),
            "updated_at": self.instant(media, "updatedAt"),
        })
    }
}

/// A picture has another number as an image of a product than as a media file.
fn product_image(media: Gid) -> u64 {
    media.n().map_or(0, |n| Gid::nth("ProductImage", n).number())
}

fn category(category: &Value) -> Value {
    if category.is_null() {
        return Value::Null;
    }
    json!({
        "admin_graphql_api_id": category["id"],
        "name": category["name"],
        "full_name": category["fullName"],
    })
}

/// Ids of all variants, the latest touched first.
fn variant_gids(variants: &[(Gid, Document)]) -> Vec<Value> {
    let mut latest: Vec<(&str, Gid)> = variants
        .iter()
        .map(|(gid, variant)| (variant["updatedAt"].as_str().unwrap_or_default(), *gid))
        .collect();
    latest.sort_by(|a, b| b.cmp(a));
    latest
        .into_iter()
        .map(|(updated_at, gid)| {
            let updated_at = updated_at
                .parse()
                .map(|at: jiff::Timestamp| instant::graphql(at).replace('Z', ".000Z"));
            json!({
                "admin_graphql_api_id": gid.to_string(),
                "updated_at": updated_at.unwrap_or_default(),
            })
        })
        .collect()
}
