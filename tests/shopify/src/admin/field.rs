//! Fields that follow from others, or from arguments.

mod product;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::session::{Arguments, Mode, Outcome, Session, count, not_simulated};
use super::{read, translation};
use crate::gid::Gid;
use crate::store::{Document, link, target, targets};

/// The object whose field is asked for.
pub(super) struct Subject<'a> {
    pub(super) type_name: &'a str,
    pub(super) document: &'a Document,
}

impl Subject<'_> {
    /// Its id.
    fn gid(&self) -> Option<Gid> {
        self.document["id"].as_str()?.parse().ok()
    }
}

/// The value of a field that no document holds as it is; nothing when one does.
pub(super) fn computed(
    session: &Session<'_>,
    of: &Subject<'_>,
    name: &str,
    args: &Arguments,
) -> Outcome<Option<Value>> {
    if let Some(value) = of_any(session, of, name, args)? {
        return Ok(Some(value));
    }
    match of.type_name {
        "Product" | "ProductOption" | "ProductOptionValue" | "ProductVariant" | "InventoryItem"
        | "InventoryLevel" | "Collection" => product::computed(session, of, name, args),
        "Customer" => Ok(customer(session, of, name)),
        "Order" => Ok(order(of, name)),
        "Metafield" => Ok(metafield(session, of, name)),
        "MediaImage" | "GenericFile" | "Video" => Ok(file(session, of, name)),
        "OnlineStoreTheme" => theme(session, of, name, args),
        "MetaobjectField" => Ok(metafield(session, of, name).filter(|_| name != "definition")),
        "Metaobject" if name == "field" => {
            let fields = of.document["fields"].as_array().into_iter().flatten();
            let mut fields = fields.filter(|field| field["key"].as_str() == args.text("key"));
            Ok(Some(fields.next().cloned().unwrap_or_default()))
        }
        "MetaobjectDefinition" if matches!(name, "metaobjects" | "metaobjectsCount") => {
            let shop = session.shop.borrow();
            let entries =
                shop.store.live("Metaobject").filter(|(_, m)| m["type"] == of.document["type"]);
            let entries: Vec<Value> = entries.map(|(gid, _)| link(gid)).collect();
            Ok(Some(if name == "metaobjects" { json!(entries) } else { json!(entries.len()) }))
        }
        "MetafieldDefinition" if name == "metafieldsCount" => {
            let shop = session.shop.borrow();
            let values = shop.store.live("Metafield").filter(|(_, value)| {
                ["namespace", "key", "ownerType"].iter().all(|f| value[*f] == of.document[*f])
            });
            Ok(Some(json!(values.count())))
        }
        "Blog" if name == "articles" => Ok(Some(children(session, "Article", "blog", of))),
        "PriceList" => Ok(price_list(session, of, name, args)),
        "MarketCatalog" if name == "marketsCount" => Ok(Some(number_of(of, "markets"))),
        "CompanyLocationCatalog" if name == "companyLocationsCount" => {
            Ok(Some(number_of(of, "companyLocations")))
        }
        "Market" if name == "catalogs" => {
            let gid = of.gid();
            let shop = session.shop.borrow();
            let catalogs = shop.store.live("MarketCatalog");
            let of_market = catalogs.filter(|(_, c)| targets(c, "markets").any(|m| Some(m) == gid));
            Ok(Some(of_market.map(|(catalog, _)| link(catalog)).collect()))
        }
        "Job" if name == "done" => Ok(Some(json!(ready(session, of)))),
        "ProductSetOperation" => Ok(operation(session, of, name)),
        "Company" if name == "contacts" => {
            Ok(Some(children(session, "CompanyContact", "company", of)))
        }
        "Company" if name == "locations" => {
            Ok(Some(children(session, "CompanyLocation", "company", of)))
        }
        "CompanyContact" if name == "isMainContact" => {
            let company = target(&of.document["company"]).and_then(|gid| session.get(gid));
            let main = company.and_then(|company| target(&company["mainContact"]));
            Ok(Some(json!(main.is_some() && main == of.gid())))
        }
        "DiscountNode" if name == "id" => {
            Ok(of.gid().map(|gid| json!(format!("gid://shopify/DiscountNode/{}", gid.number()))))
        }
        "DiscountNode" | "DiscountCodeNode" | "DiscountAutomaticNode" if name == "discount" => {
            let held = [of.document.get("codeDiscount"), of.document.get("automaticDiscount")];
            Ok(held.into_iter().flatten().next().cloned())
        }
        _ => Ok(None),
    }
}

/// What many types have.
fn of_any(
    session: &Session<'_>,
    of: &Subject<'_>,
    name: &str,
    args: &Arguments,
) -> Outcome<Option<Value>> {
    let document = of.document;
    Ok(match name {
        "legacyResourceId" => of.gid().map(|gid| json!(gid.number().to_string())),
        "defaultCursor" => of.gid().map(|gid| json!(gid.number().to_string())),
        "metafield" => Some(one_metafield(session, document, args)),
        "metafields" if document.get("metafields").is_some_and(Value::is_array) => {
            Some(some_metafields(session, document, args))
        }
        "translations" => Some(translation::into_locale(
            document.get("_source").unwrap_or(document),
            args.text("locale").unwrap_or_default(),
            args.text("marketId"),
        )),
        "events" => Some(events(session, of, args)?),
        "resourcePublicationsV2" => Some(publications(document, args)),
        "resourcePublicationsCount" | "availablePublicationsCount" => {
            let entries = document["resourcePublicationsV2"].as_array().map_or(0, Vec::len);
            Some(count(entries, None))
        }
        "publishedOnPublication" => {
            let wanted = args.gid("publicationId");
            let entries = document["resourcePublicationsV2"].as_array().into_iter().flatten();
            Some(json!(entries.into_iter().any(|entry| {
                target(&entry["publication"]) == wanted && entry["isPublished"] == true
            })))
        }
        "shop" if of.type_name.ends_with("Payload") => Some(read::root_shop()),
        _ => None,
    })
}

fn publications(document: &Value, args: &Arguments) -> Value {
    let published = args.flag("onlyPublished").unwrap_or(true);
    let entries = document["resourcePublicationsV2"].as_array().into_iter().flatten();
    entries.filter(|entry| !published || entry["isPublished"] == true).cloned().collect()
}

fn one_metafield(session: &Session<'_>, owner: &Value, args: &Arguments) -> Value {
    let (namespace, key) = match args.text("namespace") {
        Some(namespace) => (namespace, args.text("key").unwrap_or_default()),
        None => args.text("key").and_then(|key| key.split_once('.')).unwrap_or_default(),
    };
    let found = targets(owner, "metafields").find(|gid| {
        session.get(*gid).is_some_and(|m| m["namespace"] == namespace && m["key"] == key)
    });
    found.map_or(Value::Null, link)
}

fn some_metafields(session: &Session<'_>, owner: &Value, args: &Arguments) -> Value {
    let namespace = args.text("namespace");
    let keys = args.get("keys").and_then(Value::as_array);
    targets(owner, "metafields")
        .filter(|gid| {
            session.get(*gid).is_some_and(|metafield| {
                let full = format!(
                    "{}.{}",
                    metafield["namespace"].as_str().unwrap_or_default(),
                    metafield["key"].as_str().unwrap_or_default()
                );
                namespace.is_none_or(|namespace| metafield["namespace"] == *namespace)
                    && keys.is_none_or(|keys| {
                        keys.iter().any(|key| *key == full || *key == metafield["key"])
                    })
            })
        })
        .map(link)
        .collect()
}

/// Events about one resource.
fn events(session: &Session<'_>, of: &Subject<'_>, args: &Arguments) -> Outcome<Value> {
    let Some(gid) = of.gid() else { return Ok(json!([])) };
    let all = read::resources(session, "events", "BasicEvent", args)?;
    let about = all.into_iter().filter(|event| {
        session.get(*event).is_some_and(|event| event["subjectId"] == gid.to_string())
    });
    Ok(about.map(link).collect())
}

/// Resources of a type that point to this one.
fn children(session: &Session<'_>, type_name: &str, field: &str, of: &Subject<'_>) -> Value {
    let gid = of.gid();
    let shop = session.shop.borrow();
    let live = shop.store.live(type_name).filter(|(_, child)| target(&child[field]) == gid);
    live.map(|(child, _)| link(child)).collect()
}

fn customer(session: &Session<'_>, of: &Subject<'_>, name: &str) -> Option<Value> {
    let document = of.document;
    match name {
        "email" => Some(document["defaultEmailAddress"]["emailAddress"].clone()),
        "phone" => Some(document["defaultPhoneNumber"]["phoneNumber"].clone()),
        "displayName" => {
            let part = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
            Some(json!(format!("{} {}", part("firstName"), part("lastName")).trim()))
        }
        "addresses" => Some(document["addressesV2"].clone()),
        "orders" => Some(children(session, "Order", "customer", of)),
        "companyContactProfiles" => Some(children(session, "CompanyContact", "customer", of)),
        "canDelete" => Some(json!(document["numberOfOrders"] == "0")),
        "lastOrder" if document.get("lastOrder").is_none() => Some(Value::Null),
        "emailMarketingConsent" => {
            let email = &document["defaultEmailAddress"];
            Some(json!({
                "marketingState": email["marketingState"],
                "marketingOptInLevel": email["marketingOptInLevel"],
                "consentUpdatedAt": email["marketingUpdatedAt"],
                "sourceLocation": null,
            }))
        }
        "smsMarketingConsent" => Some(Value::Null),
        _ => None,
    }
}

fn order(of: &Subject<'_>, name: &str) -> Option<Value> {
    match name {
        "shippingLine" => Some(of.document["shippingLines"][0].clone()),
        "discountCode" => Some(of.document["discountCodes"][0].clone()),
        "fulfillmentsCount" => Some(number_of(of, "fulfillments")),
        "transactionsCount" => Some(number_of(of, "transactions")),
        _ => None,
    }
}

/// How many elements a list of a document has.
fn number_of(of: &Subject<'_>, list: &str) -> Value {
    count(of.document[list].as_array().map_or(0, Vec::len), None)
}

/// What `compareDigest` has to match.
pub(super) fn compare_digest(value: &str) -> String {
    Sha256::digest(value).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn metafield(session: &Session<'_>, of: &Subject<'_>, name: &str) -> Option<Value> {
    let document = of.document;
    let value = document["value"].as_str().unwrap_or_default();
    let kind = document["type"].as_str().unwrap_or_default();
    match name {
        "compareDigest" => Some(json!(compare_digest(value))),
        "sizeInBytes" => Some(json!(value.len())),
        "jsonValue" => {
            let structured = kind.starts_with("list.")
                || ["json", "number_integer", "boolean", "rich_text_field", "money", "dimension"]
                    .contains(&kind);
            let parsed = structured.then(|| serde_json::from_str(value).ok()).flatten();
            Some(parsed.unwrap_or_else(|| json!(value)))
        }
        "reference" => {
            let there = value.parse::<Gid>().ok().filter(|_| kind.ends_with("_reference"));
            Some(there.filter(|gid| session.get(*gid).is_some()).map_or(Value::Null, link))
        }
        "references" => {
            let ids: Option<Vec<String>> = serde_json::from_str(value).ok();
            let listed = kind.starts_with("list.") && kind.ends_with("_reference");
            let ids = ids.filter(|_| listed);
            Some(ids.map_or(Value::Null, |ids| {
                ids.iter().filter_map(|id| id.parse().ok()).map(link).collect()
            }))
        }
        "definition" => {
            let shop = session.shop.borrow();
            let found = shop.store.live("MetafieldDefinition").find(|(_, definition)| {
                ["namespace", "key", "ownerType"].iter().all(|f| definition[*f] == document[*f])
            });
            Some(found.map_or(Value::Null, |(gid, _)| link(gid)))
        }
        _ => None,
    }
}

/// A list has no prices and no rules of variants that are gone.
fn price_list(
    session: &Session<'_>,
    of: &Subject<'_>,
    name: &str,
    args: &Arguments,
) -> Option<Value> {
    let living = |list: &str, variant: &str| -> Value {
        let items = of.document[list].as_array().into_iter().flatten();
        let there =
            |item: &&Value| target(&item[variant]).and_then(|gid| session.get(gid)).is_some();
        items.filter(there).cloned().collect()
    };
    match name {
        "fixedPricesCount" => Some(json!(living("prices", "variant").as_array().map(Vec::len))),
        // Prices that follow from the adjustment are not listed.
        "prices" if args.text("originType") == Some("RELATIVE") => Some(json!([])),
        "prices" => Some(living("prices", "variant")),
        "quantityRules" => Some(living("quantityRules", "productVariant")),
        _ => None,
    }
}

/// Whether what takes time is done.
fn ready(session: &Session<'_>, of: &Subject<'_>) -> bool {
    let at = of.document["_readyAt"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    at.is_none_or(|at| at <= session.now)
}

/// A file is uploaded, then processed, then ready; it has no picture before.
fn file(session: &Session<'_>, of: &Subject<'_>, name: &str) -> Option<Value> {
    if ready(session, of) {
        return match name {
            "url" if of.type_name == "GenericFile" => None,
            _ => None,
        };
    }
    match name {
        "fileStatus" | "status" => Some(json!("PROCESSING")),
        "image" | "preview" | "url" | "mimeType" => Some(Value::Null),
        _ => None,
    }
}

fn operation(session: &Session<'_>, of: &Subject<'_>, name: &str) -> Option<Value> {
    let done = ready(session, of);
    match name {
        "status" => Some(json!(if done { "COMPLETE" } else { "ACTIVE" })),
        "product" if !done => Some(Value::Null),
        _ => None,
    }
}

fn theme(
    session: &Session<'_>,
    of: &Subject<'_>,
    name: &str,
    args: &Arguments,
) -> Outcome<Option<Value>> {
    if name == "processing" && !ready(session, of) {
        return Ok(Some(json!(true)));
    }
    if name == "processingFailed" && !ready(session, of) {
        return Ok(Some(json!(false)));
    }
    if name != "files" {
        return Ok(None);
    }
    if session.mode == Mode::Whole {
        return Err(not_simulated("theme files in a bulk operation"));
    }
    let wanted = args.get("filenames").and_then(Value::as_array);
    let files = of.document["_files"].as_array().into_iter().flatten();
    let files = files.filter(|file| {
        let filename = file["filename"].as_str().unwrap_or_default();
        wanted.is_none_or(|wanted| {
            wanted.iter().filter_map(Value::as_str).any(|pattern| match pattern.split_once('*') {
                Some((before, after)) => filename.starts_with(before) && filename.ends_with(after),
                None => pattern == filename,
            })
        })
    });
    Ok(Some(files.cloned().collect()))
}
