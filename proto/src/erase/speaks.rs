//! Whether a payload speaks of a person, whatever its shape.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CUSTOMER, Erased, ORDER};
use crate::kind::{Personal, event};
use crate::{Kind, ResourceId};

/// Looks for a person in payloads.
#[derive(Clone, Debug, Default)]
pub struct Seeker {
    /// Who.
    pub customers: BTreeSet<ResourceId>,
    /// Orders that are the person's: what belongs to an order, such as its shipment, is as well.
    pub orders: BTreeSet<ResourceId>,
    /// Addresses of the person, in lower case.
    pub emails: BTreeSet<String>,
}

impl Kind {
    /// Whether its payloads can speak of a person. What is not understood always can.
    pub fn may_speak_of_people(&self) -> bool {
        self.spec().is_none_or(|spec| spec.personal != Personal::None)
    }

    /// Whether what it says of an order is said of whose order it is: of what is not understood, that
    /// has to be assumed.
    pub fn belongs_to_orders(&self) -> bool {
        self.spec().is_none() || self.as_str() == event::NAME
    }
}

impl Seeker {
    /// Whether a payload of a resource speaks of the person.
    pub fn finds(&self, kind: &Kind, id: &ResourceId, payload: &Value) -> bool {
        let itself = (kind.as_str() == CUSTOMER && self.customers.contains(id))
            || (kind.as_str() == ORDER && self.orders.contains(id));
        itself
            || names(payload, CUSTOMER, &|id| self.customers.contains(id))
            || (kind.belongs_to_orders() && names(payload, ORDER, &|id| self.orders.contains(id)))
            || (!self.emails.is_empty() && self.writes_to(payload))
    }

    fn writes_to(&self, payload: &Value) -> bool {
        match payload {
            Value::String(text) => {
                text.contains('@') && self.emails.contains(&text.trim().to_lowercase())
            }
            Value::Array(items) => items.iter().any(|item| self.writes_to(item)),
            Value::Object(members) => members.values().any(|member| self.writes_to(member)),
            _ => false,
        }
    }
}

impl Erased {
    /// Whether a payload speaks of somebody who was erased, though it is of a resource that was not.
    pub(super) fn is_named_in(&self, kind: &Kind, payload: &Value) -> bool {
        let of = |kind: &'static str| {
            let ids = self.resources.iter().find(|(of, _)| of.as_str() == kind).map(|(_, ids)| ids);
            move |id: &ResourceId| ids.is_some_and(|ids| ids.contains(id))
        };
        names(payload, CUSTOMER, &of(CUSTOMER))
            || (kind.belongs_to_orders() && names(payload, ORDER, &of(ORDER)))
    }
}

/// Whether a payload names a resource of a kind: by a gid anywhere, or by a number under a member
/// that is called so: `customer_id`, `customerId`, `{"customer": {"id": …}}`.
fn names(value: &Value, kind: &str, wanted: &dyn Fn(&ResourceId) -> bool) -> bool {
    let is = |id: &Value| scalar(id).is_some_and(|id| wanted(&id));
    match value {
        Value::String(text) => {
            let id = text.strip_prefix("gid://shopify/").and_then(|rest| rest.split_once('/'));
            id.is_some_and(|(of, _)| of.eq_ignore_ascii_case(kind)) && is(value)
        }
        Value::Array(items) => items.iter().any(|item| names(item, kind, wanted)),
        Value::Object(members) => members.iter().any(|(name, member)| {
            let rest = name.strip_prefix(kind);
            let called = match rest {
                Some("_id" | "Id") => is(member),
                Some("") => is(member) || member.get("id").is_some_and(is),
                _ => false,
            };
            called || names(member, kind, wanted)
        }),
        _ => false,
    }
}

fn scalar(id: &Value) -> Option<ResourceId> {
    match id {
        Value::Number(number) => ResourceId::parse(&number.to_string()).ok(),
        Value::String(text) => ResourceId::parse(text).ok(),
        _ => None,
    }
}
