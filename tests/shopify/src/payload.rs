//! Webhook bodies: REST-shaped, one per topic, as API versions 2026-04 and later have them.

mod collection;
mod customer;
mod order;
mod product;
mod settings;
mod stock;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};

use crate::gid::Gid;
use crate::instant;
use crate::store::{Document, Store, target};

/// A webhook topic, by the name in the `X-Shopify-Topic` header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Topic(&'static str);

/// Every topic that the simulator emits.
pub const TOPICS: &[&str] = &[
    "products/create",
    "products/update",
    "products/delete",
    "collections/create",
    "collections/update",
    "collections/delete",
    "customers/create",
    "customers/update",
    "customers/delete",
    "customer.tags_added",
    "customer.tags_removed",
    "customers_email_marketing_consent/update",
    "customers/purchasing_summary",
    "orders/create",
    "orders/updated",
    "orders/paid",
    "orders/cancelled",
    "orders/fulfilled",
    "orders/delete",
    "inventory_items/create",
    "inventory_items/update",
    "inventory_items/delete",
    "inventory_levels/connect",
    "inventory_levels/update",
    "inventory_levels/disconnect",
    "bulk_operations/finish",
    "themes/create",
    "themes/update",
    "themes/publish",
    "themes/delete",
    "metaobjects/create",
    "metaobjects/update",
    "metaobjects/delete",
    "segments/create",
    "segments/update",
    "segments/delete",
    "discounts/create",
    "discounts/update",
    "discounts/delete",
    "locations/create",
    "locations/update",
    "locations/activate",
    "locations/deactivate",
    "locations/delete",
    "markets/create",
    "markets/update",
    "markets/delete",
    "profiles/create",
    "profiles/update",
    "profiles/delete",
    "metafield_definitions/create",
    "metafield_definitions/update",
    "metafield_definitions/delete",
    "companies/create",
    "companies/update",
    "companies/delete",
    "company_locations/create",
    "company_locations/update",
    "company_locations/delete",
    "company_contacts/create",
    "company_contacts/update",
    "company_contacts/delete",
    "selling_plan_groups/create",
    "selling_plan_groups/update",
    "selling_plan_groups/delete",
    "draft_orders/create",
    "draft_orders/update",
    "draft_orders/delete",
    "shop/update",
];

impl Topic {
    /// The topic of that name, when the simulator emits it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        TOPICS.iter().find(|known| **known == name).map(|known| Self(known))
    }

    /// The topic that GraphQL calls `PRODUCTS_UPDATE`.
    #[must_use]
    pub fn from_enum(name: &str) -> Option<Self> {
        TOPICS.iter().find(|known| Self(known).enum_name() == name).map(|known| Self(known))
    }

    /// The topic of an Events delivery: the type it is about.
    pub(crate) fn of_events(name: &'static str) -> Self {
        Self(name)
    }

    /// The name in the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The topic whose body tells the whole state that this one is about.
    pub(crate) fn of_state(self) -> Self {
        // What somebody bought is no part of what a customer is.
        if self.0 == "customers/purchasing_summary" {
            return self;
        }
        let Some((kind, _)) = self.0.split_once('/') else { return self };
        let whole = |name: &&&str| {
            name.strip_prefix(kind).is_some_and(|verb| matches!(verb, "/update" | "/updated"))
        };
        TOPICS.iter().find(whole).map_or(self, |name| Self(name))
    }

    /// The name in GraphQL's `WebhookSubscriptionTopic`.
    #[must_use]
    pub fn enum_name(self) -> String {
        self.0.replace(['/', '.'], "_").to_uppercase()
    }

    /// All topics.
    pub fn all() -> impl Iterator<Item = Self> {
        TOPICS.iter().map(|name| Self(name))
    }
}

/// What happened, where the body says more than what the resource now is.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// Tags that a customer gained or lost.
    pub tags: Vec<String>,
}

/// Writes bodies out of a shop's documents.
#[derive(Clone, Copy)]
pub struct Renderer<'a> {
    /// Where the documents are.
    pub store: &'a Store,
    /// The shop's offset from UTC.
    pub offset: Offset,
    /// Now, in UTC.
    pub now: &'a str,
    /// As of when; as things are, when absent.
    pub at: Option<Timestamp>,
}

impl Renderer<'_> {
    /// What a resource is, or was.
    pub(crate) fn get(&self, gid: Gid) -> Option<Document> {
        match self.at {
            None => self.store.get(gid),
            Some(at) => self.store.get_at(gid, at),
        }
    }

    /// The body for a topic about a resource: as it is now, or last was when it is gone.
    #[must_use]
    pub fn body(&self, topic: Topic, gid: Gid, detail: &Detail) -> Option<Value> {
        let document = self.get(gid).or_else(|| {
            if self.at.is_some() {
                return None;
            }
            let revisions = self.store.revisions(gid)?;
            let last = revisions.iter().rev().find_map(|revision| revision.state.clone());
            last.or_else(|| self.store.get_at(gid, jiff::Timestamp::MIN))
        })?;
        let id = gid.number();
        Some(match topic.0 {
            "products/create" | "products/update" => self.product(gid, &document),
            "products/delete" | "orders/delete" => json!({ "id": id }),
            "collections/create" | "collections/update" => self.collection(gid, &document),
            "collections/delete" => json!({
                "id": id,
                "published_scope": published_scope(&document),
                "admin_graphql_api_id": gid.to_string(),
            }),
            "customers/create" | "customers/update" => self.customer(gid, &document),
            "customers/delete" => json!({
                "id": id,
                "tax_exemptions": document["taxExemptions"],
                "admin_graphql_api_id": gid.to_string(),
            }),
            "customer.tags_added" | "customer.tags_removed" => json!({
                "customerId": gid.to_string(),
                "tags": detail.tags,
                "occurredAt": self.now.replace('Z', ".000Z"),
            }),
            "customers_email_marketing_consent/update" => self.email_consent(gid, &document),
            "customers/purchasing_summary" => self.purchases(gid, &document),
            "orders/create" | "orders/updated" | "orders/paid" | "orders/cancelled"
            | "orders/fulfilled" => self.order(gid, &document),
            "inventory_items/create" | "inventory_items/update" => {
                self.inventory_item(gid, &document)
            }
            "inventory_items/delete" => json!({
                "id": id,
                "country_code_of_origin": document["countryCodeOfOrigin"],
                "province_code_of_origin": document["provinceCodeOfOrigin"],
                "harmonized_system_code": document["harmonizedSystemCode"],
                "country_harmonized_system_codes": document["countryHarmonizedSystemCodes"],
                "admin_graphql_api_id": gid.to_string(),
            }),
            "inventory_levels/connect" | "inventory_levels/update" => {
                self.inventory_level(&document)
            }
            "inventory_levels/disconnect" => json!({
                "inventory_item_id": number_of(&document["item"]),
                "location_id": number_of(&document["location"]),
            }),
            _ => return self.thin(topic, gid, &document),
        })
    }

    /// The body for topics that say little more than which resource.
    fn thin(&self, topic: Topic, gid: Gid, document: &Value) -> Option<Value> {
        let id = gid.number();
        Some(match topic.0 {
            "themes/create" | "themes/update" | "themes/publish" => json!({
                "id": id,
                "admin_graphql_api_id": gid.to_string(),
                "name": document["name"],
                "role": lower(&document["role"]),
                "theme_store_id": document["themeStoreId"],
                "previewable": true,
                "processing": document["processing"],
                "created_at": self.instant(document, "createdAt"),
                "updated_at": self.instant(document, "updatedAt"),
            }),
            "segments/create" | "segments/update" => json!({
                "id": id,
                "name": document["name"],
                "query": document["query"],
                "creationDate": document["creationDate"],
                "lastEditDate": document["lastEditDate"],
            }),
            "themes/delete" | "segments/delete" => json!({ "id": id }),
            "metaobjects/create" | "metaobjects/update" => json!({
                "id": gid.to_string(),
                "type": document["type"],
                "handle": document["handle"],
                "display_name": document["displayName"],
                "definition_id": document["definition"]["$ref"],
                "fields": document["values"],
                "created_by_staff_id": null,
                "created_by_app_id": "gid://shopify/ApiClient/333",
                "capabilities": document["capabilities"]["publishable"].as_object().map_or_else(
                    || json!({}),
                    |publishable| json!({ "publishable": { "status": lower(&publishable["status"]) } }),
                ),
                "created_at": self.instant(document, "createdAt"),
                "updated_at": self.instant(document, "updatedAt"),
            }),
            "metaobjects/delete" => json!({
                "id": gid.to_string(),
                "type": document["type"],
                "handle": document["handle"],
                "created_by_app_id": "gid://shopify/ApiClient/333",
            }),
            "discounts/create" | "discounts/update" => {
                let held = [&document["codeDiscount"], &document["automaticDiscount"]];
                let held =
                    held.into_iter().find(|held| held.is_object()).cloned().unwrap_or_default();
                json!({
                    "admin_graphql_api_id": gid.to_string(),
                    "title": held["title"],
                    "status": held["status"],
                    "created_at": self.instant(&held, "createdAt"),
                    "updated_at": self.instant(&held, "updatedAt"),
                })
            }
            "discounts/delete" => json!({
                "admin_graphql_api_id": gid.to_string(),
                "deleted_at": instant::rest(self.now, self.offset),
            }),
            "bulk_operations/finish" => json!({
                "admin_graphql_api_id": gid.to_string(),
                "status": lower(&document["status"]),
                "type": lower(&document["type"]),
                "error_code": lower(&document["errorCode"]),
                "created_at": self.instant(document, "createdAt"),
                "completed_at": self.instant(document, "completedAt"),
            }),
            other => {
                let (kind, verb) = other.split_once('/')?;
                return match verb {
                    "delete" => self.settings_gone(kind, gid, document),
                    _ => self.settings(kind, gid, document),
                };
            }
        })
    }

    /// A resource's metafields of some namespaces, as bodies carry them when asked to.
    pub(crate) fn metafields(&self, gid: Gid, namespaces: &[String]) -> Vec<Value> {
        let Some(owner) = self.get(gid).filter(|_| !namespaces.is_empty()) else {
            return Vec::new();
        };
        let wanted =
            |metafield: &Value| namespaces.iter().any(|name| metafield["namespace"] == **name);
        crate::store::targets(&owner, "metafields")
            .filter_map(|id| Some((id, self.get(id)?)))
            .filter(|(_, metafield)| wanted(metafield))
            .map(|(id, metafield)| {
                json!({
                    "id": id.number(),
                    "admin_graphql_api_id": id.to_string(),
                    "namespace": metafield["namespace"],
                    "key": metafield["key"],
                    "type": metafield["type"],
                    "value": metafield["value"],
                    "description": metafield["description"],
                    "owner_id": gid.number(),
                    "owner_resource": gid.type_name().to_lowercase(),
                    "created_at": self.instant(&metafield, "createdAt"),
                    "updated_at": self.instant(&metafield, "updatedAt"),
                })
            })
            .collect()
    }

    /// An instant field of a document, in the shop's offset.
    fn instant(&self, document: &Value, field: &str) -> Value {
        match &document[field] {
            Value::String(utc) => json!(instant::rest(utc, self.offset)),
            other => other.clone(),
        }
    }
}

/// The number of the resource that a link points to.
fn number_of(link: &Value) -> Value {
    target(link).map_or(Value::Null, |gid| json!(gid.number()))
}

/// The number in a gid that is written out.
fn number_in(id: &Value) -> Value {
    id.as_str().and_then(|id| id.parse::<Gid>().ok()).map_or(Value::Null, |gid| json!(gid.number()))
}

fn lower(value: &Value) -> Value {
    value.as_str().map_or(Value::Null, |text| json!(text.to_lowercase()))
}

/// `web` when only the online store has it, `global` when the point of sale has it too.
fn published_scope(document: &Value) -> &'static str {
    let entries = document["resourcePublicationsV2"].as_array();
    let on_sale = entries
        .into_iter()
        .flatten()
        .any(|entry| target(&entry["publication"]) == Some(Gid::nth("Publication", 1)));
    if on_sale { "global" } else { "web" }
}

/// Tags as the comma-separated text of REST.
fn tags(document: &Value) -> String {
    let tags = document["tags"].as_array();
    let tags: Vec<&str> = tags.into_iter().flatten().filter_map(Value::as_str).collect();
    tags.join(", ")
}
