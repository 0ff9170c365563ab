//! Products with their options, variants and media.

use serde_json::{Value, json};

use super::field::{
    self, Mapped, MappingError, gid_of, instant, list, money, object, shown, upper,
};
use super::metafield::{METAFIELDS, MORE_METAFIELDS, PUBLICATIONS, PULL_PUBLICATIONS, metafields};
use super::pull::{self, Members, Pull, Way};
use super::{Coverage, Listing, Personal, Spec, Writable, metafield, rank};
use crate::event::Op;
use crate::resource::Facet;

pub(super) static SPEC: Spec = Spec {
    name: "product",
    gid_type: "Product",
    also_gid_types: &[],
    reads: &["read_products", "read_publications"],
    writes: &["write_products", "write_publications"],
    topics: &[
        ("products/create", Coverage::Core(Op::Create)),
        ("products/update", Coverage::Core(Op::Update)),
        ("products/delete", Coverage::Delete),
    ],
    told: &[Facet::Core],
    events_topic: Some("Product"),
    glimpse: None,
    mapping: 6,
    named: field::identity,
    core: Some(core),
    node,
    beside: &[],
    is_whole,
    listing,
    facets: &[CORE, DETAIL, METAFIELDS, VARIANTS, PUBLICATIONS, pull::BLOBS],
    pulls: &[
        Pull {
            name: "bulk",
            document: include_str!("graphql/product_bulk.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::Bulk {
                children: &[
                    ("ProductVariant", "variants"),
                    ("Metafield", "metafields"),
                    ("MediaImage", "media"),
                    ("Video", "media"),
                    ("ExternalVideo", "media"),
                    ("Model3d", "media"),
                ],
                owner: None,
            },
            explode: None,
        },
        Pull {
            name: "variants_bulk",
            document: include_str!("graphql/product_variants_bulk.graphql"),
            facets: &[Facet::Variants],
            way: Way::Bulk {
                children: &[
                    ("Metafield", "metafields"),
                    ("MediaImage", "media"),
                    ("Video", "media"),
                    ("ExternalVideo", "media"),
                    ("Model3d", "media"),
                ],
                owner: Some(("/product/id", "variantDetails")),
            },
            explode: None,
        },
        Pull {
            name: "by_id",
            document: include_str!("graphql/product_by_id.graphql"),
            facets: &[Facet::Core, Facet::Detail, Facet::Metafields],
            way: Way::ById {
                list: "/nodes",
                ids_max: 8,
                each: &[],
                more: &[
                    ("variants", include_str!("graphql/product_more_variants.graphql")),
                    ("media", include_str!("graphql/product_more_media.graphql")),
                    MORE_METAFIELDS,
                ],
            },
            explode: None,
        },
        Pull {
            name: "variants_by_id",
            document: include_str!("graphql/product_variants_by_id.graphql"),
            facets: &[Facet::Variants],
            way: Way::ById {
                list: "/nodes",
                ids_max: 4,
                each: &[],
                more: &[
                    (
                        "variantDetails",
                        include_str!("graphql/product_more_variant_details.graphql"),
                    ),
                    (
                        "variantDetails/*/media",
                        include_str!("graphql/product_more_variant_media.graphql"),
                    ),
                    ("variantDetails/*/metafields", MORE_METAFIELDS.1),
                ],
            },
            explode: None,
        },
        PULL_PUBLICATIONS,
    ],
    id: pull::by_gid,
    ask_for: |id| format!("gid://shopify/Product/{id}"),
    references: &[
        "/options/*/optionValues/*/linkedMetafieldValue",
        "/publications/*/publicationId",
    ],
    natural_key: &["handle"],
    personal: Personal::None,
    rank: rank::PRODUCTS,
    writable: Writable::Partly(
        "new ids, and with them new inventory items, which get the stock that was last known; selling \
         plans, reviews and sales figures stay behind",
    ),
    not_covered: "metafields of other apps' reserved namespaces, what bundles and combined listings \
                  are made of, and the catalogs of markets and companies that it is in",
};

const CORE: Members = Members {
    facet: Facet::Core,
    members: &[
        "title",
        "handle",
        "descriptionHtml",
        "vendor",
        "productType",
        "templateSuffix",
        "status",
        "tags",
        "category",
        "publishedAt",
        "hasVariantsThatRequiresComponents",
        "options",
        "variants",
        "media",
    ],
};

const DETAIL: Members = Members {
    facet: Facet::Detail,
    members: &[
        "seo",
        "giftCardTemplateSuffix",
        "isGiftCard",
        "requiresSellingPlan",
        "combinedListingRole",
        "linkedOptions",
    ],
};

/// Its variants once more, under another name, with what their webhook does not tell.
const VARIANTS: Members = Members { facet: Facet::Variants, members: &["variantDetails"] };

fn node(facet: Facet, node: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(node)?;
    match facet {
        Facet::Core => pulled_core(&mut m),
        Facet::Detail => {
            m.map("seo", "seo", seo)
                .text("giftCardTemplateSuffix", "giftCardTemplateSuffix")
                .same(&["isGiftCard", "requiresSellingPlan", "combinedListingRole"])
                .map("linkedOptions", "options", |options| list(options, link));
        }
        Facet::Variants => {
            m.map("variantDetails", "variants", |v| {
                field::sorted(list(v, variant_detail), |v| v["id"].to_string())
            });
        }
        other => return metafield::node(other, node),
    }
    Ok(m.done())
}

fn pulled_core(m: &mut Mapped<'_>) {
    m.same(&["id", "title", "handle", "status", "hasVariantsThatRequiresComponents"])
        .text("descriptionHtml", "descriptionHtml")
        .text("vendor", "vendor")
        .text("productType", "productType")
        .text("templateSuffix", "templateSuffix")
        .map("tags", "tags", field::tags)
        .map("category", "category", |category| chosen(category.clone()))
        .map("createdAt", "createdAt", instant)
        .map("publishedAt", "publishedAt", instant)
        .map("options", "options", |v| {
            list(v, |option| {
                object(option, |m| {
                    m.same(&["id", "name", "position", "values"]);
                })
            })
        })
        .map("variants", "variants", |v| by_position(list(v, pulled_variant)))
        .map("media", "media", |v| list(v, pulled_medium));
}

fn pulled_variant(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["id", "title", "taxable", "position", "inventoryPolicy", "selectedOptions"])
            .text("sku", "sku")
            .text("barcode", "barcode")
            .map("price", "price", money)
            .map("compareAtPrice", "compareAtPrice", money)
            .map("createdAt", "createdAt", instant)
            .copy("inventoryItem", "inventoryItem");
    })
}

fn variant_detail(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["id", "showUnitPrice", "unitPriceMeasurement", "requiresComponents"])
            .map("media", "mediaIds", |v| list(v, |medium| medium["id"].clone()))
            .map("metafields", "metafields", metafields);
    })
}

fn pulled_medium(value: &Value) -> Value {
    object(value, |m| {
        m.same(&["id", "mediaContentType"]).text("alt", "alt");
        if let Some(src) = value.pointer("/preview/image/url") {
            m.set("url", field::url(src));
        }
    })
}

/// Title and description for search engines.
fn seo(value: &Value) -> Value {
    object(value, |m| {
        m.text("title", "title").text("description", "description");
    })
}

/// Which metafield an option follows, if it does, with the metaobjects that its values stand for.
fn link(option: &Value) -> Value {
    object(option, |m| {
        m.same(&["id"]).map("linkedMetafield", "linkedMetafield", |metafield| {
            object(metafield, |m| {
                m.same(&["namespace", "key"]);
            })
        });
        m.map("optionValues", "optionValues", |values| match option["linkedMetafield"] {
            Value::Null => Value::Null,
            _ => in_use(values, &option["values"]),
        });
    })
}

/// Those values of a linked option that some variant has, by name: their order is the option's affair.
fn in_use(values: &Value, used: &Value) -> Value {
    let used = used.as_array().map(Vec::as_slice).unwrap_or_default();
    let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
    let values = values.iter().filter(|value| used.contains(&value["name"]));
    let values: Value = values
        .map(|value| {
            object(value, |m| {
                m.same(&["name", "linkedMetafieldValue"]);
            })
        })
        .collect();
    field::sorted(values, |value| value["name"].to_string())
}

/// Variants in the order that buyers see, in whichever order they came.
fn by_position(variants: Value) -> Value {
    field::sorted(variants, |v| format!("{:>12}", v["position"].to_string()))
}

/// A webhook carries 100 variants; of the others it names the ids only.
fn is_whole(core: &Value) -> bool {
    let variants = core.get("variants").and_then(Value::as_array);
    variants.is_none_or(|variants| variants.iter().all(|variant| variant.get("title").is_some()))
}

/// Left out: `updated_at` and stock counts, which move without anybody editing the product, and
/// what follows from other fields.
fn core(body: &Value) -> Result<Value, MappingError> {
    let mut m = Mapped::of(body)?;
    m.gid("Product")
        .same(&["title", "handle"])
        .text("body_html", "descriptionHtml")
        .text("vendor", "vendor")
        .text("product_type", "productType")
        .text("template_suffix", "templateSuffix")
        .map("status", "status", upper)
        .map("tags", "tags", field::tags)
        .map("category", "category", category)
        .map("created_at", "createdAt", instant)
        .map("published_at", "publishedAt", instant)
        .copy("has_variants_that_requires_components", "hasVariantsThatRequiresComponents")
        .map("options", "options", |v| list(v, option));
    let names = option_names(body);
    if let Some(variants) = body.get("variants") {
        let sent = by_position(list(variants, |v| variant(v, &names)));
        m.set("variants", with_unsent(sent, body));
    }
    let media = body.get("media").map(|media| list(media, medium));
    if let Some(media) = media.or_else(|| body.get("images").map(|images| list(images, image))) {
        m.set("media", media);
    }
    Ok(m.done())
}

fn category(value: &Value) -> Value {
    chosen(object(value, |m| {
        m.gid("TaxonomyCategory").copy("full_name", "fullName");
    }))
}

/// A category that somebody chose. Where nobody did, Shopify tells none at first, and once the product is
/// saved one that says so.
fn chosen(category: Value) -> Value {
    match category["id"].as_str() {
        Some("gid://shopify/TaxonomyCategory/na") => Value::Null,
        _ => category,
    }
}

fn option(value: &Value) -> Value {
    object(value, |m| {
        m.map("id", "id", |id| gid_of("ProductOption", id)).same(&["name", "position", "values"]);
    })
}

fn option_names(body: &Value) -> Vec<Value> {
    let options =
        body.get("options").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    options.iter().map(|o| o.get("name").cloned().unwrap_or(Value::Null)).collect()
}

fn variant(value: &Value, option_names: &[Value]) -> Value {
    object(value, |m| {
        m.gid("ProductVariant")
            .same(&["title", "taxable", "position"])
            .text("sku", "sku")
            .text("barcode", "barcode")
            .map("price", "price", money)
            .map("compare_at_price", "compareAtPrice", money)
            .map("inventory_policy", "inventoryPolicy", upper)
            .map("created_at", "createdAt", instant)
            .set("selectedOptions", selected_options(value, option_names));
        if let Some(item) = inventory_item(value) {
            m.set("inventoryItem", item);
        }
    })
}

/// `option1..3`, with the names that the product gives them.
fn selected_options(variant: &Value, names: &[Value]) -> Value {
    let chosen =
        ["option1", "option2", "option3"].into_iter().enumerate().filter_map(|(at, member)| {
            let value = variant.get(member).filter(|v| !v.is_null())?;
            let name =
                names.get(at).cloned().unwrap_or_else(|| format!("Option {}", at + 1).into());
            Some(json!({"name": name, "value": value}))
        });
    chosen.collect()
}

/// The variant's inventory item. Until API 2024-07 its fields were the variant's own.
fn inventory_item(variant: &Value) -> Option<Value> {
    let item = object(variant, |m| {
        m.map("inventory_item_id", "id", |id| gid_of("InventoryItem", id))
            .copy("requires_shipping", "requiresShipping")
            .map("inventory_management", "tracked", |v| (v == "shopify").into());
    });
    item.as_object().is_some_and(|members| !members.is_empty()).then_some(item)
}

/// A body carries 100 variants at most and names the others by gid only. Those stand at the end
/// with nothing but their id, so that a variant that was not sent never looks like one that is gone.
fn with_unsent(mut variants: Value, body: &Value) -> Value {
    let (Some(sent), Some(all)) =
        (variants.as_array_mut(), body.get("variant_gids").and_then(Value::as_array))
    else {
        return variants;
    };
    let mut unsent: Vec<&str> = all
        .iter()
        .filter_map(|v| v.get("admin_graphql_api_id")?.as_str())
        .filter(|gid| !sent.iter().any(|v| v.get("id").and_then(Value::as_str) == Some(gid)))
        .collect();
    unsent.sort_unstable();
    unsent.dedup();
    sent.extend(unsent.into_iter().map(|gid| json!({"id": gid})));
    variants
}

fn medium(value: &Value) -> Value {
    object(value, |m| {
        m.gid("MediaImage").map("media_content_type", "mediaContentType", upper).text("alt", "alt");
        if let Some(src) = value.pointer("/preview_image/src").or_else(|| value.get("src")) {
            m.set("url", field::url(src));
        }
    })
}

/// Until API 2024-07 a product had images only.
fn image(value: &Value) -> Value {
    object(value, |m| {
        m.gid("ProductImage").set("mediaContentType", "IMAGE".into()).text("alt", "alt").map(
            "src",
            "url",
            field::url,
        );
    })
}

fn listing(state: &Value) -> Listing {
    let variants =
        state.get("variants").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut also: Vec<String> = variants.iter().filter_map(|v| shown(v, "sku")).take(50).collect();
    also.extend(["vendor", "productType"].iter().filter_map(|name| shown(state, name)));
    also.dedup();
    Listing {
        title: shown(state, "title").unwrap_or_default(),
        handle: shown(state, "handle"),
        also,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_follows_a_metafield_says_what_its_values_stand_for() {
        let gid = |n: u64| format!("gid://shopify/Metaobject/{n}");
        let value = |name: &str, entry: Option<String>| json!({"name": name, "linkedMetafieldValue": entry});
        let detail = |options: Value| {
            node(Facet::Detail, &json!({"id": "p", "linkedOptions": options})).expect("a state")
        };
        let size = json!({"id": "o1", "values": ["S"], "linkedMetafield": null,
                          "optionValues": [value("S", None)]});
        let plain = json!({"id": "o1", "linkedMetafield": null, "optionValues": null});
        assert_eq!(
            detail(json!([size])),
            json!({"options": [plain]}),
            "it was parted, if it was linked"
        );
        let metafield = json!({"namespace": "shopify", "key": "color-pattern"});
        let (red, blue) = (value("Red", Some(gid(1))), value("Blue", Some(gid(2))));
        let color = json!({"id": "o2", "values": ["Red", "Blue"], "linkedMetafield": metafield,
                           "optionValues": [red, blue, value("Unused", Some(gid(3)))]});
        let linked = json!({"id": "o2", "linkedMetafield": metafield, "optionValues": [blue, red]});
        assert_eq!(detail(json!([size, color])), json!({"options": [plain, linked]}));
    }

    #[test]
    fn a_category_that_nobody_chose_is_none() {
        let told = |category: Value| {
            core(&json!({"id": 1, "category": category})).expect("a state")["category"].clone()
        };
        let pulled = |category: Value| {
            let product = json!({"id": "p", "category": category});
            node(Facet::Core, &product).expect("a state")["category"].clone()
        };
        let gid = |of: &str| format!("gid://shopify/TaxonomyCategory/{of}");
        let none = json!({"admin_graphql_api_id": gid("na"), "full_name": "Uncategorized"});
        assert_eq!((told(none), told(Value::Null)), (Value::Null, Value::Null));
        assert_eq!(pulled(json!({"id": gid("na"), "fullName": "Uncategorized"})), Value::Null);
        let mugs = json!({"id": gid("hg-11"), "fullName": "Mugs"});
        assert_eq!(told(json!({"admin_graphql_api_id": gid("hg-11"), "full_name": "Mugs"})), mugs);
        assert_eq!(pulled(mugs.clone()), mugs);
    }
}
