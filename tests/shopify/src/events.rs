//! The Events family of webhooks: declared in the app's configuration, narrowed by triggers, and
//! with the answer to a query of the subscription's own as their data.
//!
//! The shape of a delivery is that of <https://shopify.dev/docs/apps/build/events/delivery-structure>
//! with `fields_changed` as of 16 September 2026
//! (<https://shopify.dev/changelog/updates-to-events-payloads-and-subscription-configuration>).

mod declaration;
mod field;
mod trigger;

pub use declaration::{AppConfig, ConfigError};

use std::sync::Arc;

use apollo_compiler::ExecutableDocument;
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::admin::endpoint::{self, Caller};
use crate::admin::schema::{Schemas, Version};
use crate::admin::search::Search;
use crate::change::{Change, Deed};
use crate::events::field::{Paths, Root};
use crate::events::trigger::Trigger;
use crate::gid::Gid;
use crate::shop::{Actor, Shop};

/// Every topic of 2026-10. Each is a GraphQL type; of those that are not simulated, nothing ever
/// happens.
pub const TOPICS: [&str; 18] = [
    "Article",
    "Blog",
    "Collection",
    "Company",
    "Customer",
    "FulfillmentOrder",
    "InventoryItem",
    "InventoryShipment",
    "InventoryTransfer",
    "Location",
    "MetafieldDefinition",
    "Metaobject",
    "MetaobjectDefinition",
    "Order",
    "Page",
    "Product",
    "Refund",
    "Return",
];

/// One declared subscription.
pub struct EventSubscription {
    pub(crate) handle: String,
    pub(crate) topic: &'static str,
    pub(crate) actions: Vec<Deed>,
    pub(crate) triggers: Vec<Trigger>,
    pub(crate) uri: String,
    pub(crate) query: Option<Arc<Valid<ExecutableDocument>>>,
    pub(crate) filter: Option<Search>,
}

/// All that an app has declared, in one version of the API.
pub struct Declared {
    schemas: Arc<Schemas>,
    /// The version that queries are executed in.
    pub(crate) version: Version,
    subscriptions: Vec<EventSubscription>,
}

/// One delivery to be made.
pub(crate) struct Event {
    pub(crate) handle: String,
    pub(crate) topic: &'static str,
    pub(crate) action: Deed,
    pub(crate) uri: String,
    pub(crate) gid: Gid,
    pub(crate) data: Value,
    pub(crate) body: Bytes,
}

impl Declared {
    /// What an action's changes are to be told as, in the state that the shop is in now.
    pub(crate) fn tell(&self, shop: &mut Shop, changes: &[Change]) -> Vec<Event> {
        let roots = field::roots(shop, changes);
        let mut events = Vec::new();
        for root in &roots {
            for subscription in &self.subscriptions {
                if subscription.topic == root.gid.type_name()
                    && subscription.actions.contains(&root.deed)
                {
                    self.tell_one(shop, subscription, root, &mut events);
                }
            }
        }
        events
    }

    fn tell_one(
        &self,
        shop: &mut Shop,
        subscription: &EventSubscription,
        root: &Root,
        events: &mut Vec<Event>,
    ) {
        let wanted = root.paths.clone().filter(|path| {
            // Only updates are narrowed by field; of metaobjects always the type.
            let triggers = &subscription.triggers;
            triggers.is_empty()
                || triggers.iter().any(|trigger| match root.deed {
                    Deed::Update => trigger.fires(path),
                    _ => trigger.is_about(path),
                })
        });
        if wanted.is_empty() {
            return;
        }
        // A query that names a child is asked once for each child that changed. (Inferred: the
        // variables of a delivery are flat, so it can name only one.)
        let variables = self.variables(subscription);
        for paths in wanted.by_child(&variables) {
            if let Some(event) = self.event(shop, subscription, root, &paths) {
                events.push(event);
            }
        }
    }

    fn variables(&self, subscription: &EventSubscription) -> Vec<String> {
        let operation =
            subscription.query.as_ref().and_then(|query| query.operations.iter().next());
        let declared = operation.into_iter().flat_map(|operation| &operation.variables);
        declared.map(|variable| variable.name.to_string()).collect()
    }

    fn event(
        &self,
        shop: &mut Shop,
        subscription: &EventSubscription,
        root: &Root,
        paths: &Paths,
    ) -> Option<Event> {
        let variables = paths.variables(root);
        let mut body = json!({
            "topic": subscription.topic,
            "action": root.deed.name(),
            "handle": subscription.handle,
            "fields_changed": paths.json(),
            "query_variables": variables,
        });
        let mut data = Value::Null;
        if let Some(query) = &subscription.query {
            data = self.ask(shop, query, &variables)?;
            if subscription.filter.as_ref().is_some_and(|filter| !filter.selects(&data)) {
                return None;
            }
            body["data"] = data.clone();
        }
        Some(Event {
            handle: subscription.handle.clone(),
            topic: subscription.topic,
            action: root.deed,
            uri: subscription.uri.clone(),
            gid: root.gid,
            data,
            body: body.to_string().into(),
        })
    }

    /// The data of a subscription's query. What is not simulated is noted, and not delivered.
    fn ask(
        &self,
        shop: &mut Shop,
        query: &Valid<ExecutableDocument>,
        variables: &Map<String, Value>,
    ) -> Option<Value> {
        let schema = self.schemas.get(self.version).ok()?;
        let given: JsonMap = serde_json::from_value(Value::Object(variables.clone())).ok()?;
        let operation = query.operations.get(None).ok()?;
        let variables = coerce_variable_values(&schema.graphql, operation, &given).ok()?;
        let actor = Actor::App(String::new());
        let caller = Caller { schema, version: self.version, actor, now: shop.now() };
        let run = endpoint::execute_paged(&caller, shop, query, &variables);
        let answer = endpoint::body(run.response);
        if answer["errors"].to_string().contains("NOT_SIMULATED") {
            shop.not_simulated.push(answer);
            return None;
        }
        Some(answer["data"].clone())
    }
}
