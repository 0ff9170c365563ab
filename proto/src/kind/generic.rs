//! What no kind's file claims: kept as received, under a name made from its topic.
//!
//! `themes/update` is a `theme`, and once `theme` has a file of its own its older history is there
//! already. A topic that only speaks *about* an understood kind, such as `orders/edited`, which is
//! a difference and not an order, gets a kind of its own (`order_edited`), so that it never stands
//! in for the thing itself.

use serde_json::Value;

use super::{ALL, Document, Kind, Listing, Route};
use crate::Timestamp;
use crate::event::Op;
use crate::resource::{Facet, ResourceId};

/// Version of the identity mapping that generic kinds have. A kind that gets a file of its own, and had
/// topics before, begins with a later one: what it was told of as a generic kind was hashed with this.
pub const MAPPING: u8 = 1;

/// Members that name a resource where neither a gid nor an `id` stands at the top of its body.
const INVENTORY_LEVEL: [&str; 2] = ["inventory_item_id", "location_id"];

pub(super) fn route(topic: &str) -> Route {
    let (head, tail) = topic.split_once(['/', '.']).unwrap_or((topic, ""));
    let thing = singular(&snake(head));
    let claimed = ALL.iter().any(|spec| spec.name == thing);
    let name = match snake(tail).as_str() {
        "" => format!("{thing}_event"),
        action if claimed => format!("{thing}_{action}"),
        _ => thing,
    };
    let op = match tail {
        "create" | "add" | "connect" => Op::Create,
        "delete" | "destroy" | "remove" | "disconnect" => Op::Delete,
        _ => Op::Update,
    };
    let kind = Kind::parse(&name).unwrap_or_else(|_| Kind("unknown".into()));
    Route { kind, op, facet: Facet::Core }
}

/// Lower case letters, digits and `_`, beginning with a letter.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars().take(super::NAME_BYTES_MAX / 2) {
        match c {
            'A'..='Z' => {
                if !out.is_empty() && !out.ends_with('_') {
                    out.push('_');
                }
                out.push(c.to_ascii_lowercase());
            }
            'a'..='z' | '0'..='9' => out.push(c),
            _ => out.push('_'),
        }
    }
    out
}

fn singular(name: &str) -> String {
    match name {
        _ if name.ends_with("ies") => format!("{}y", &name[..name.len() - 3]),
        _ if name.ends_with("ss") => name.into(),
        _ => name.strip_suffix('s').unwrap_or(name).into(),
    }
}

/// Looks for what a body of unknown shape speaks of: an inventory level's two ids, a gid in one of
/// its members, or the `id` of an object within.
pub(super) fn identify(body: &[u8]) -> Option<ResourceId> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let members = value.as_object()?;
    let id_of = |v: &Value| match v {
        Value::Number(n) => ResourceId::parse(&n.to_string()).ok(),
        Value::String(s) => ResourceId::parse(s).ok(),
        _ => None,
    };
    if let [Some(item), Some(location)] =
        INVENTORY_LEVEL.map(|name| members.get(name).and_then(id_of))
    {
        return ResourceId::parse(&format!("{item}-{location}")).ok();
    }
    let gid =
        members.values().find(|v| v.as_str().is_some_and(|s| s.starts_with("gid://shopify/")));
    gid.and_then(id_of).or_else(|| {
        members.values().find_map(|v| {
            let inner = v.as_object()?;
            inner
                .get("admin_graphql_api_id")
                .and_then(id_of)
                .or_else(|| inner.get("id").and_then(id_of))
        })
    })
}

/// A body of unknown shape is its own state, but for when it was last touched.
pub(super) fn document(op: Op, mut body: Value, updated_at: Option<Timestamp>) -> Document {
    if op == Op::Delete {
        return Document::gone();
    }
    let listing = listing(&body);
    if let Some(members) = body.as_object_mut() {
        members.remove("updated_at");
    }
    Document { state: Some(body), updated_at, listing, beside: &[] }
}

/// What a list shows of a body of unknown shape.
pub(super) fn listing(state: &Value) -> Listing {
    let title =
        ["title", "name", "handle", "email"].iter().find_map(|n| super::field::shown(state, n));
    Listing {
        title: title.unwrap_or_default(),
        handle: super::field::shown(state, "handle"),
        also: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(topic: &str, kind: &str, op: Op) {
        let route = super::super::route(topic);
        assert_eq!((route.kind.as_str(), route.op), (kind, op), "{topic}");
    }

    #[test]
    fn every_topic_leads_somewhere() {
        check("products/update", "product", Op::Update);
        check("orders/updated", "order", Op::Update);
        check("themes/publish", "theme", Op::Update);
        check("companies/create", "company", Op::Create);
        check("inventory_levels/disconnect", "inventory_level", Op::Delete);
        check("orders/edited", "order_edited", Op::Update);
        check("customers/redact", "customer_redact", Op::Update);
        check("customer.tags_added", "customer", Op::Update);
        check("customer.joined_segment", "customer_joined_segment", Op::Update);
        check("discounts/redeemcode_removed", "discount", Op::Update);
        check("locales/destroy", "locale", Op::Delete);
        check("Product", "product_event", Op::Update);
        check("shop/update", "shop", Op::Update);
        check("../../etc", "unknown", Op::Update);
    }

    #[test]
    fn bodies_of_unknown_shape_name_what_they_speak_of() {
        let id = |body: &str| identify(body.as_bytes()).map(|id| id.to_string());
        assert_eq!(
            id(r#"{"inventory_item_id":271878346596884015,"location_id":24826418}"#).as_deref(),
            Some("271878346596884015-24826418")
        );
        assert_eq!(
            id(r#"{"customerId":"gid://shopify/Customer/7","tags":[]}"#).as_deref(),
            Some("7")
        );
        assert_eq!(id(r#"{"product_listing":{"product_id":1,"id":9}}"#).as_deref(), Some("9"));
        assert_eq!(id("[]"), None);
        assert_eq!(id("not json"), None);
    }
}
