//! Webhook subscriptions of one shop. They are deleted when a delivery fails for good.

use serde_json::{Value, json};

use super::{Call, Input, UserError, done, failed};
use crate::admin::search::Search;
use crate::admin::session::Outcome;
use crate::payload::Topic;
use crate::shop::Shop;
use crate::store::link;
use crate::subscription::Subscription;

const FIELDS: [&str; 7] =
    ["uri", "callbackUrl", "format", "includeFields", "name", "filter", "metafieldNamespaces"];

pub(super) fn run(shop: &mut Shop, call: &Call<'_>) -> Option<Outcome<Value>> {
    Some(match call.name {
        "webhookSubscriptionCreate" => create(shop, call),
        "webhookSubscriptionUpdate" => update(shop, call),
        "webhookSubscriptionDelete" => Ok(delete(shop, call)),
        _ => return None,
    })
}

fn texts(input: &Input<'_>, field: &str) -> Vec<String> {
    let list = input.list(field).into_iter().flatten();
    list.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn address(input: &Input<'_>) -> Option<String> {
    input.text("uri").or_else(|| input.text("callbackUrl")).map(str::to_owned)
}

/// A topic that nothing here ever happens to can be subscribed to; it stays silent.
fn create(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("webhookSubscription").cloned().unwrap_or_default();
    let input = Input::of("WebhookSubscriptionInput", &given, &FIELDS)?;
    let topic = call.args.text("topic").unwrap_or_default().to_owned();
    let Some(uri) = address(&input) else {
        let error = UserError::new(&["webhookSubscription", "uri"], "Address can't be blank");
        return Ok(failed("webhookSubscription", vec![error]));
    };
    if topic.starts_with("METAOBJECTS_")
        && !input.text("filter").is_some_and(|f| f.contains("type:"))
    {
        let message = "Metaobject topics require a filter by type";
        let error = UserError::new(&["webhookSubscription", "filter"], message);
        return Ok(failed("webhookSubscription", vec![error]));
    }
    if let Some(Err(message)) = input.text("filter").map(Search::parse) {
        let error = UserError::new(&["webhookSubscription", "filter"], message);
        return Ok(failed("webhookSubscription", vec![error]));
    }
    let taken = shop
        .store
        .live("WebhookSubscription")
        .any(|(_, known)| known["topic"] == *topic && known["uri"] == *uri);
    if taken {
        let message = "Address for this topic has already been taken";
        let error = UserError::new(&["webhookSubscription", "uri"], message);
        return Ok(failed("webhookSubscription", vec![error]));
    }
    let gid = shop.store.fresh("WebhookSubscription");
    let now = shop.now_text();
    let version = call.version.name();
    shop.put(gid, json!({
        "__typename": "WebhookSubscription", "id": gid.to_string(), "topic": topic, "uri": uri,
        "callbackUrl": uri,
        "endpoint": { "__typename": "WebhookHttpEndpoint", "callbackUrl": uri },
        "format": "JSON", "includeFields": given["includeFields"].as_array().cloned().unwrap_or_default(),
        "metafieldNamespaces": texts(&input, "metafieldNamespaces"), "metafields": [], "filter": given["filter"], "name": given["name"],
        "apiVersion": { "handle": version, "displayName": version, "supported": true },
        "createdAt": now, "updatedAt": now,
    }));
    if let Some(topic) = Topic::from_enum(&topic) {
        let include = input
            .list("includeFields")
            .map(|fields| fields.iter().filter_map(|f| f.as_str().map(str::to_owned)).collect());
        shop.subscriptions.push(Subscription {
            id: Some(gid),
            topic,
            uri,
            api_version: version.to_owned(),
            name: input.text("name").map(str::to_owned),
            include_fields: include,
            filter: input.text("filter").map(str::to_owned),
            metafield_namespaces: texts(&input, "metafieldNamespaces"),
        });
    }
    Ok(done("webhookSubscription", link(gid)))
}

fn update(shop: &mut Shop, call: &Call<'_>) -> Outcome<Value> {
    let given = call.args.get("webhookSubscription").cloned().unwrap_or_default();
    let input = Input::of("WebhookSubscriptionInput", &given, &FIELDS)?;
    let Some(gid) = call.args.gid("id").filter(|gid| shop.store.get(*gid).is_some()) else {
        let error = UserError::new(&["id"], "Webhook subscription does not exist");
        return Ok(failed("webhookSubscription", vec![error]));
    };
    let uri = address(&input);
    shop.update(gid, |state| {
        if let Some(uri) = &uri {
            state["uri"] = json!(uri);
            state["callbackUrl"] = json!(uri);
            state["endpoint"]["callbackUrl"] = json!(uri);
        }
        for field in ["name", "includeFields", "filter", "metafieldNamespaces"] {
            input.copy(state, &[(field, field)]);
        }
    });
    for subscription in shop.subscriptions.iter_mut().filter(|s| s.id == Some(gid)) {
        if let Some(uri) = &uri {
            subscription.uri.clone_from(uri);
        }
        if input.get("includeFields").is_some() {
            subscription.include_fields = Some(texts(&input, "includeFields"));
        }
        if let Some(filter) = input.text("filter") {
            subscription.filter = Some(filter.to_owned());
        }
        if input.get("metafieldNamespaces").is_some() {
            subscription.metafield_namespaces = texts(&input, "metafieldNamespaces");
        }
    }
    Ok(done("webhookSubscription", link(gid)))
}

fn delete(shop: &mut Shop, call: &Call<'_>) -> Value {
    let Some(gid) = call.args.gid("id").filter(|gid| shop.store.get(*gid).is_some()) else {
        let error = UserError::new(&["id"], "Webhook subscription does not exist");
        return failed("deletedWebhookSubscriptionId", vec![error]);
    };
    shop.unsubscribe(gid);
    done("deletedWebhookSubscriptionId", json!(gid.to_string()))
}
