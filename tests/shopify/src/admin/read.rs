//! What can be asked of the shop as a whole.

use apollo_compiler::ast::Type;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::connection::{self, Page};
use super::search::Search;
use super::session::{Arguments, Outcome, Session, count, not_simulated, refused};
use crate::gid::Gid;
use crate::shop::Actor;
use crate::store::{Document, link};

/// The types whose resources can be listed and read.
const MODELLED: &[&str] = &[
    "Product",
    "ProductVariant",
    "InventoryItem",
    "InventoryLevel",
    "Location",
    "Collection",
    "Customer",
    "Order",
    "Publication",
    "MetafieldDefinition",
    "Metaobject",
    "MetaobjectDefinition",
    "Page",
    "Blog",
    "Article",
    "UrlRedirect",
    "Menu",
    "MediaImage",
    "GenericFile",
    "OnlineStoreTheme",
    "DiscountCodeNode",
    "DiscountAutomaticNode",
    "GiftCard",
    "WebhookSubscription",
    "BulkOperation",
    "BasicEvent",
    "Metafield",
    "Job",
    "ProductSetOperation",
    "PriceList",
    "MarketCatalog",
    "CompanyLocationCatalog",
    "Market",
    "Segment",
    "DraftOrder",
    "Company",
    "CompanyContact",
    "CompanyLocation",
    "SellingPlanGroup",
    "DeliveryProfile",
    "ShopPolicy",
    "ScriptTag",
    "DiscountRedeemCodeBulkCreation",
];

/// Arguments that say which page and in what order, not which resources.
const PAGING: [&str; 8] =
    ["first", "last", "after", "before", "reverse", "sortKey", "query", "limit"];

/// Answers a field of the query root.
pub(super) fn root(
    session: &Session<'_>,
    name: &str,
    ty: &Type,
    args: &Arguments,
) -> Outcome<Value> {
    let declared = ty.inner_named_type().as_str();
    match name {
        "node" => Ok(args.text("id").map_or(Value::Null, |id| lookup(session, id, None))),
        "nodes" => {
            let ids = args.get("ids").and_then(Value::as_array).into_iter().flatten();
            let ids = ids.filter_map(Value::as_str);
            Ok(ids.map(|id| lookup(session, id, None)).collect())
        }
        "shop" => Ok(root_shop()),
        "publicApiVersions" => Ok(api_versions()),
        "currentAppInstallation" => Ok(installation(session)),
        "currentBulkOperation" => current_bulk(session, args),
        "shopLocales" => Ok(json!([
            { "locale": "en", "name": "English", "primary": true, "published": true },
            { "locale": "fr", "name": "French", "primary": false, "published": true },
        ])),
        "appInstallations" => Err(refused(
            "Access denied for appInstallations field. Required access: `read_apps` access scope.",
        )),
        "productByHandle"
        | "collectionByHandle"
        | "customerByIdentifier"
        | "productByIdentifier"
        | "collectionByIdentifier"
        | "metaobjectByHandle"
        | "metaobjectDefinitionByType"
        | "codeDiscountNodeByCode" => by_key(session, name, args),
        "translatableResource" => translatable(session, args),
        "translatableResources" | "translatableResourcesByIds" => {
            translatables(session, declared, args)
        }
        _ if declared.ends_with("Connection") => list(session, name, declared, args),
        _ if name.ends_with("Count") && declared == "Count" => counted(session, name, args),
        _ if args.has("id") || name == "location" => {
            let Some(id) = args.text("id") else {
                return Ok(link(Gid::nth("Location", 0)));
            };
            let types = concrete(session, declared);
            if !types.iter().any(|ty| MODELLED.contains(&ty.as_str())) {
                return Err(not_simulated(format_args!("QueryRoot.{name}")));
            }
            Ok(lookup(session, id, Some(&types)))
        }
        _ => Err(not_simulated(format_args!("QueryRoot.{name}"))),
    }
}

/// A resource by its id, when it is of one of these types.
fn lookup(session: &Session<'_>, id: &str, types: Option<&[String]>) -> Value {
    let Ok(gid) = id.parse::<Gid>() else { return Value::Null };
    let Some(document) = session.get(gid).filter(|document| visible(session, document)) else {
        return Value::Null;
    };
    let type_name = document["__typename"].as_str().unwrap_or(gid.type_name());
    let wanted = types.is_none_or(|types| types.iter().any(|ty| ty == type_name));
    let mut found = if wanted { link(gid) } else { Value::Null };
    if wanted && id.starts_with("gid://shopify/DiscountNode/") {
        found["$as"] = json!("DiscountNode");
    }
    found
}

/// `DiscountNode` is a type of its own in the schema; here it is the node of either sort.
fn concrete(session: &Session<'_>, declared: &str) -> Vec<String> {
    match declared {
        "DiscountNode" => vec!["DiscountCodeNode".into(), "DiscountAutomaticNode".into()],
        other => session.concrete(other),
    }
}

/// The type of a connection's nodes.
fn node_type(session: &Session<'_>, connection: &str) -> Option<String> {
    let connection = session.schema.graphql.get_object(connection)?;
    Some(connection.fields.get("nodes")?.ty.inner_named_type().to_string())
}

/// The resources behind a list field, filtered and in order.
pub(super) fn resources(
    session: &Session<'_>,
    name: &str,
    node: &str,
    args: &Arguments,
) -> Outcome<Vec<Gid>> {
    let types: Vec<String> = concrete(session, node)
        .into_iter()
        .filter(|ty| MODELLED.contains(&ty.as_str()) && Gid::knows(ty))
        .collect();
    if types.is_empty() {
        return Err(not_simulated(format_args!("QueryRoot.{name}")));
    }
    let search = args.text("query").map(Search::parse).transpose().map_err(refused)?;
    if let Some(search) = &search {
        session.warnings.borrow_mut().extend(search.warnings(name, node));
    }
    let shop = session.shop.borrow();
    let mut found: Vec<Gid> = types.iter().flat_map(|ty| shop.store.live_ids(ty)).collect();
    drop(shop);
    let mut filters = Vec::new();
    for (argument, value) in args.given().filter(|(argument, _)| !PAGING.contains(argument)) {
        filters.push((argument, value));
    }
    let hides = types.iter().any(|ty| ty == "BasicEvent" || ty == "Order");
    if search.is_some() || !filters.is_empty() || hides {
        let mut kept = Vec::new();
        for gid in found {
            let Some(document) = session.get(gid) else { continue };
            let matches = search.as_ref().is_none_or(|search| search.matches(&document))
                && visible(session, &document);
            if matches && fits(&document, &filters)? {
                kept.push(gid);
            }
        }
        found = kept;
    }
    sort(session, &mut found, args.text("sortKey"))?;
    if args.flag("reverse").unwrap_or_default() {
        found.reverse();
    }
    Ok(found)
}

/// For so long an order is shown to every app.
const ORDERS_SEEN: SignedDuration = SignedDuration::from_hours(60 * 24);

/// Events become known some time after what they tell of, and old orders are not for every app.
fn visible(session: &Session<'_>, document: &Document) -> bool {
    let instant = |name: &str| document[name].as_str().and_then(|at| at.parse::<Timestamp>().ok());
    let old = |created: Timestamp| session.now.duration_since(created) > ORDERS_SEEN;
    if document["__typename"] == "Order" && !session.shop.borrow().all_orders {
        return !instant("createdAt").is_some_and(old);
    }
    instant("_visibleAt").is_none_or(|since| since <= session.now)
}

/// Filters that are arguments of their own.
fn fits(document: &Value, filters: &[(&str, &Value)]) -> Outcome<bool> {
    for (argument, value) in filters {
        let matches = match *argument {
            "type" if document["__typename"] == "Metaobject" => document["type"] == **value,
            "type" if document["__typename"] == "Market" => document["type"] == **value,
            "type" if document["__typename"] == "MarketCatalog" => **value == "MARKET",
            "type" if document["__typename"] == "CompanyLocationCatalog" => {
                **value == "COMPANY_LOCATION"
            }
            "ownerType" | "namespace" | "key" => document[*argument] == **value,
            "roles" => value.as_array().is_some_and(|roles| roles.contains(&document["role"])),
            "names" => value.as_array().is_some_and(|names| names.contains(&document["name"])),
            "topics" => value.as_array().is_some_and(|topics| topics.contains(&document["topic"])),
            "uri" => document["uri"] == **value,
            "includeInactive" | "includeLegacy" => true,
            "pinnedStatus" if **value == "ANY" => true,
            other => return Err(not_simulated(format_args!("the argument {other}"))),
        };
        if !matches {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sort(session: &Session<'_>, found: &mut [Gid], key: Option<&str>) -> Outcome<()> {
    let field = match key {
        None | Some("ID" | "RELEVANCE" | "POSITION") => return Ok(()),
        Some("UPDATED_AT" | "UPDATED") => "updatedAt",
        Some("CREATED_AT" | "CREATED") => "createdAt",
        Some("CREATION_DATE") => "creationDate",
        Some("LAST_EDIT_DATE") => "lastEditDate",
        Some("PROCESSED_AT") => "processedAt",
        Some("PUBLISHED_AT") => "publishedAt",
        Some("TITLE" | "NAME" | "PATH" | "VENDOR" | "SKU" | "HANDLE") => "",
        Some("ORDER_NUMBER" | "NUMBER") => "number",
        Some(other) => return Err(not_simulated(format_args!("sorting by {other}"))),
    };
    let named = key.unwrap_or_default().to_lowercase();
    let field = if field.is_empty() { named.as_str() } else { field };
    found.sort_by_cached_key(|gid| {
        let document = session.get(*gid).unwrap_or_default();
        let number = document[field].as_u64();
        (number, document[field].as_str().unwrap_or_default().to_lowercase())
    });
    Ok(())
}

fn list(session: &Session<'_>, name: &str, ty: &str, args: &Arguments) -> Outcome<Value> {
    let page = Page::of(args, session.mode)?;
    let node = node_type(session, ty).ok_or_else(|| not_simulated(name))?;
    let found = resources(session, name, &node, args)?;
    Ok(connection::of_resources(ty, &found, &page))
}

fn counted(session: &Session<'_>, name: &str, args: &Arguments) -> Outcome<Value> {
    let plural = name.strip_suffix("Count").unwrap_or(name);
    let root = session.schema.graphql.get_object("QueryRoot");
    let ty = root.and_then(|root| root.fields.get(plural)).map(|field| &field.ty);
    let node = ty.and_then(|ty| node_type(session, ty.inner_named_type()));
    let node = node.ok_or_else(|| not_simulated(format_args!("QueryRoot.{name}")))?;
    let found = resources(session, plural, &node, args)?;
    Ok(count(found.len(), args.get("limit").and_then(Value::as_u64)))
}

type Matches = Box<dyn Fn(&Value) -> bool>;

/// The product or the collection that has a handle.
fn by_handle(session: &Session<'_>, name: &str, handle: &str) -> Value {
    let kind = if name.starts_with('p') { "Product" } else { "Collection" };
    session.shop.borrow().store.by_handle(kind, handle).map_or(Value::Null, link)
}

fn by_key(session: &Session<'_>, name: &str, args: &Arguments) -> Outcome<Value> {
    let (type_name, matches): (&str, Matches) = match name {
        "productByHandle" | "collectionByHandle" => {
            return Ok(by_handle(session, name, args.text("handle").unwrap_or_default()));
        }
        "metaobjectByHandle" => {
            let wanted = args.get("handle").cloned().unwrap_or_default();
            (
                "Metaobject",
                Box::new(move |document| {
                    document["handle"] == wanted["handle"] && document["type"] == wanted["type"]
                }),
            )
        }
        "metaobjectDefinitionByType" => {
            let wanted = args.text("type").unwrap_or_default().to_owned();
            ("MetaobjectDefinition", Box::new(move |document| document["type"] == *wanted))
        }
        "codeDiscountNodeByCode" => {
            let code = args.text("code").unwrap_or_default().to_lowercase();
            (
                "DiscountCodeNode",
                Box::new(move |document| {
                    let codes = document["codeDiscount"]["codes"].as_array().into_iter().flatten();
                    codes.into_iter().any(|known| {
                        known["code"].as_str().is_some_and(|known| known.to_lowercase() == code)
                    })
                }),
            )
        }
        _ => {
            let wanted = args.get("identifier").cloned().unwrap_or_default();
            if let Some(id) = wanted["id"].as_str() {
                return Ok(lookup(session, id, None));
            }
            match name {
                "customerByIdentifier" => (
                    "Customer",
                    Box::new(move |document| {
                        let email = &document["defaultEmailAddress"]["emailAddress"];
                        let phone = &document["defaultPhoneNumber"]["phoneNumber"];
                        wanted.get("emailAddress").is_some_and(|wanted| wanted == email)
                            || wanted.get("phoneNumber").is_some_and(|wanted| wanted == phone)
                    }),
                ),
                _ => {
                    if let Some(handle) = wanted["handle"].as_str() {
                        return Ok(by_handle(session, name, handle));
                    }
                    return Err(not_simulated(format_args!("{name} by that identifier")));
                }
            }
        }
    };
    let shop = session.shop.borrow();
    let found = shop.store.live(type_name).find(|(_, document)| matches(document));
    Ok(found.map_or(Value::Null, |(gid, _)| link(gid)))
}

/// The shop itself.
pub(super) fn root_shop() -> Value {
    link(Gid::nth("Shop", 0))
}

fn api_versions() -> Value {
    super::schema::Version::ALL
        .iter()
        .map(|version| {
            json!({
                "handle": version.name(), "displayName": version.name(), "supported": true,
            })
        })
        .collect()
}

fn installation(session: &Session<'_>) -> Value {
    let title = match &session.actor {
        Actor::App(title) => title.clone(),
        _ => "Backstock".to_owned(),
    };
    let scopes = [
        "read_products",
        "write_products",
        "read_inventory",
        "write_inventory",
        "read_locations",
        "read_customers",
        "write_customers",
        "read_orders",
        "read_all_orders",
        "write_orders",
        "read_content",
        "write_content",
        "read_themes",
        "write_themes",
        "read_files",
        "write_files",
        "read_metaobjects",
        "write_metaobjects",
        "read_discounts",
        "write_discounts",
        "read_publications",
        "write_publications",
        "read_translations",
        "write_translations",
        "read_gift_cards",
        "write_gift_cards",
        "read_markets",
        "read_online_store_navigation",
        "write_online_store_navigation",
    ];
    let all_orders = session.shop.borrow().all_orders;
    let granted = scopes.into_iter().filter(|scope| all_orders || *scope != "read_all_orders");
    json!({
        "__typename": "AppInstallation", "id": Gid::nth("AppInstallation", 0).to_string(),
        "app": {
            "__typename": "App", "id": Gid::nth("App", 0).to_string(), "title": title,
            "handle": crate::catalog::handle(&title),
        },
        "accessScopes": granted.map(|handle| json!({
            "__typename": "AccessScope", "handle": handle, "description": handle,
        })).collect::<Vec<_>>(),
    })
}

fn current_bulk(session: &Session<'_>, args: &Arguments) -> Outcome<Value> {
    let wanted = args.text("type").unwrap_or("QUERY");
    let shop = session.shop.borrow();
    let last =
        shop.store.live("BulkOperation").filter(|(_, operation)| operation["type"] == wanted);
    Ok(last.last().map_or(Value::Null, |(gid, _)| link(gid)))
}

fn translatable(session: &Session<'_>, args: &Arguments) -> Outcome<Value> {
    let Some(gid) = args.gid("resourceId") else { return Ok(Value::Null) };
    let Some(document) = session.get(gid) else { return Ok(Value::Null) };
    Ok(super::translation::resource(gid, &document))
}

/// The types of what can be translated. Of those that are not here, the shop has nothing with texts
/// in other languages.
const TRANSLATED: [(&str, &str); 9] = [
    ("ARTICLE", "Article"),
    ("BLOG", "Blog"),
    ("COLLECTION", "Collection"),
    ("MENU", "Menu"),
    ("METAFIELD", "Metafield"),
    ("METAOBJECT", "Metaobject"),
    ("PAGE", "Page"),
    ("PRODUCT", "Product"),
    ("SHOP_POLICY", "ShopPolicy"),
];

fn translatables(session: &Session<'_>, ty: &str, args: &Arguments) -> Outcome<Value> {
    let found: Vec<Gid> = match args.get("resourceIds").and_then(Value::as_array) {
        Some(ids) => {
            let named = ids.iter().filter_map(|id| id.as_str()?.parse().ok());
            named.filter(|gid| session.get(*gid).is_some()).collect()
        }
        None => {
            let wanted = args.text("resourceType").unwrap_or_default();
            let of = TRANSLATED.iter().find(|(name, _)| *name == wanted);
            let shop = session.shop.borrow();
            of.map(|(_, of)| shop.store.live_ids(of).collect()).unwrap_or_default()
        }
    };
    let page = Page::of(args, session.mode)?;
    Ok(connection::of_each(ty, &found, &page, |gid| {
        session.get(gid).map_or(Value::Null, |found| super::translation::resource(gid, &found))
    }))
}
