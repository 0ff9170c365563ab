//! Products, variants, stock and collections.

use serde_json::{Value, json};

use super::Subject;
use crate::admin::membership;
use crate::admin::session::{Arguments, Outcome, Session, count, not_simulated};
use crate::catalog::{cents, cents_to_decimal};
use crate::gid::Gid;
use crate::shop::available;
use crate::store::{link, target, targets};

pub(super) fn computed(
    session: &Session<'_>,
    of: &Subject<'_>,
    name: &str,
    args: &Arguments,
) -> Outcome<Option<Value>> {
    Ok(match of.type_name {
        "Product" => product(session, of, name, args),
        "ProductOption" => option(of, name),
        "ProductOptionValue" => (name == "hasVariants").then_some(json!(true)),
        "ProductVariant" => variant(session, of, name),
        "InventoryItem" => item(session, of, name, args),
        "InventoryLevel" => level(of, name, args)?,
        _ => collection(session, of, name, args),
    })
}

fn length(document: &Value, field: &str) -> usize {
    document[field].as_array().map_or(0, Vec::len)
}

/// The plain text of HTML, as far as `description` fields need it.
fn plain(html: &Value) -> String {
    let mut text = String::new();
    let mut inside = false;
    for letter in html.as_str().unwrap_or_default().chars() {
        match letter {
            '<' => inside = true,
            '>' => inside = false,
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    text.replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn product(session: &Session<'_>, of: &Subject<'_>, name: &str, args: &Arguments) -> Option<Value> {
    let document = of.document;
    let variants = || targets(document, "variants").filter_map(|gid| session.get(gid));
    match name {
        "options" => Some(options(session, document)),
        "description" => Some(json!(plain(&document["descriptionHtml"]))),
        "bodyHtml" => Some(document["descriptionHtml"].clone()),
        "variantsCount" => Some(count(length(document, "variants"), None)),
        "totalVariants" => Some(json!(length(document, "variants"))),
        "mediaCount" => Some(count(length(document, "media"), None)),
        "featuredMedia" => Some(document["media"][0].clone()),
        "hasOnlyDefaultVariant" => {
            Some(json!(document["options"][0]["optionValues"][0]["name"] == "Default Title"))
        }
        "totalInventory" => {
            let store = &session.shop.borrow().store;
            let items = targets(document, "variants")
                .filter_map(|gid| target(&store.get(gid)?["inventoryItem"]));
            Some(json!(items.map(|item| available(store, item)).sum::<i64>()))
        }
        "tracksInventory" => Some(json!(true)),
        "priceRangeV2" => {
            let mut prices: Vec<u64> =
                variants().filter_map(|v| cents(v["price"].as_str()?)).collect();
            prices.sort_unstable();
            let money = |cents: Option<&u64>| {
                json!({
                    "amount": cents_to_decimal(cents.copied().unwrap_or_default()),
                    "currencyCode": "USD",
                })
            };
            Some(json!({
                "minVariantPrice": money(prices.first()), "maxVariantPrice": money(prices.last()),
            }))
        }
        "onlineStoreUrl" => {
            let listed = !document["publishedAt"].is_null();
            let handle = document["handle"].as_str().unwrap_or_default();
            let domain = &session.shop.borrow().domain;
            Some(json!(listed.then(|| format!("https://{domain}/products/{handle}"))))
        }
        "collections" => {
            let gid = of.gid()?;
            let shop = session.shop.borrow();
            let with = shop.store.live("Collection");
            let with = with.filter(|(_, collection)| membership::has(&shop.store, collection, gid));
            Some(with.map(|(collection, _)| link(collection)).collect())
        }
        "inCollection" => {
            let collection = session.get(args.gid("id")?)?;
            Some(json!(membership::has(&session.shop.borrow().store, &collection, of.gid()?)))
        }
        "sellingPlanGroups" => {
            let gid = of.gid()?;
            let shop = session.shop.borrow();
            let with = shop.store.live("SellingPlanGroup");
            let with = with.filter(|(_, group)| targets(group, "products").any(|p| p == gid));
            Some(with.map(|(group, _)| link(group)).collect())
        }
        _ => None,
    }
}

/// `values` are those that some variant has; `optionValues` are all.
fn option(of: &Subject<'_>, name: &str) -> Option<Value> {
    if name != "values" {
        return None;
    }
    let used = of.document["_used"].as_array();
    let values = of.document["optionValues"].as_array()?.iter().map(|value| &value["name"]);
    Some(values.filter(|name| used.is_none_or(|used| used.contains(name))).cloned().collect())
}

/// A product's options, each knowing which of its values some variant has.
fn options(session: &Session<'_>, product: &Value) -> Value {
    let variants: Vec<_> =
        targets(product, "variants").filter_map(|gid| session.get(gid)).collect();
    let options = product["options"].as_array().into_iter().flatten();
    options
        .into_iter()
        .map(|option| {
            let chosen = variants.iter().flat_map(|variant| variant["selectedOptions"].as_array());
            let used: Vec<Value> = chosen
                .flatten()
                .filter(|choice| choice["name"] == option["name"])
                .map(|choice| choice["value"].clone())
                .collect();
            let mut option = option.clone();
            option["_used"] = used.into();
            option
        })
        .collect()
}

fn variant(session: &Session<'_>, of: &Subject<'_>, name: &str) -> Option<Value> {
    let document = of.document;
    let stock = || {
        let item = target(&document["inventoryItem"])?;
        Some(available(&session.shop.borrow().store, item))
    };
    match name {
        "inventoryQuantity" | "sellableOnlineQuantity" => Some(json!(stock()?)),
        "availableForSale" => {
            Some(json!(document["inventoryPolicy"] == "CONTINUE" || stock()? > 0))
        }
        "displayName" => {
            let product = session.get(target(&document["product"])?)?;
            let part = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Some(json!(format!("{} - {}", part(&product["title"]), part(&document["title"]))))
        }
        "image" => {
            let media = targets(document, "media").next().and_then(|gid| session.get(gid));
            Some(media.map_or(Value::Null, |media| media["image"].clone()))
        }
        // The SKU is kept with the stock; the variant only shows it.
        "sku" => Some(session.get(target(&document["inventoryItem"])?)?["sku"].clone()),
        "sellingPlanGroups" => Some(json!([])),
        _ => None,
    }
}

fn item(session: &Session<'_>, of: &Subject<'_>, name: &str, args: &Arguments) -> Option<Value> {
    let document = of.document;
    let at = |level: Gid, location: Gid| {
        session.get(level).is_some_and(|level| target(&level["location"]) == Some(location))
    };
    match name {
        "inventoryLevel" => {
            let location = args.gid("locationId")?;
            let found = targets(document, "inventoryLevels").find(|level| at(*level, location));
            Some(found.map_or(Value::Null, link))
        }
        "variants" => Some(json!([document["variant"]])),
        "locationsCount" => Some(count(length(document, "inventoryLevels"), None)),
        "trackedEditable" => Some(json!({ "locked": false, "reason": null })),
        _ => None,
    }
}

fn level(of: &Subject<'_>, name: &str, args: &Arguments) -> Outcome<Option<Value>> {
    if name != "quantities" {
        return Ok(None);
    }
    let names = args.get("names").and_then(Value::as_array).into_iter().flatten();
    let number = of.gid().map_or(0, |gid| gid.number());
    let quantities = names.filter_map(Value::as_str).map(|name| {
        let quantity = of.document["_quantities"].get(name);
        let quantity = quantity.ok_or_else(|| not_simulated(format_args!("quantity {name}")))?;
        Ok(json!({
            "id": format!("gid://shopify/InventoryQuantity/{number}?name={name}"),
            "name": name, "quantity": quantity, "updatedAt": of.document["updatedAt"],
        }))
    });
    Ok(Some(quantities.collect::<Outcome<Value>>()?))
}

fn collection(
    session: &Session<'_>,
    of: &Subject<'_>,
    name: &str,
    args: &Arguments,
) -> Option<Value> {
    let members = || membership::members(&session.shop.borrow().store, of.document);
    match name {
        "description" => Some(json!(plain(&of.document["descriptionHtml"]))),
        "products" => Some(members().into_iter().map(link).collect()),
        "productsCount" => Some(count(members().len(), None)),
        "hasProduct" => Some(json!(members().contains(&args.gid("id")?))),
        "sources" => Some(membership::sources(of.gid()?, of.document, &members())),
        _ => None,
    }
}
