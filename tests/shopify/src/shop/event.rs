//! The shop's own log of who did what: late, and not complete.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Actor, Shop};
use crate::change::{Change, Deed};
use crate::store::Document;

/// The longest that an event takes to show, in seconds, unless it is said otherwise.
pub(super) const LATEST: u64 = 90;
/// How often a change leaves no event.
const UNRECORDED: f64 = 0.1;

/// The types that no webhook tells of and the log does.
const UNTOLD: [&str; 3] = ["Article", "Blog", "Page"];

impl Shop {
    /// Records what the current action announced, and what it did that no webhook tells of, unless it was
    /// a buyer's.
    pub(super) fn record_events(&mut self, changes: &[Change]) {
        let (author, title, by_app) = match self.actor.clone() {
            Actor::Buyer => return,
            Actor::Staff(name) => (name, None, false),
            Actor::App(title) => (title.clone(), Some(title), true),
        };
        let mut subjects: Vec<(&str, &str, crate::gid::Gid)> = Vec::new();
        for (topic, gid, _) in &self.pending {
            let verb = topic.name().split('/').nth(1).unwrap_or_default();
            let kind = gid.type_name();
            let action = match verb {
                "create" => "create",
                "update" | "updated" => "update",
                "delete" => "destroy",
                _ => continue,
            };
            if matches!(kind, "Product" | "Collection" | "Customer" | "Order") {
                subjects.push((action, kind, *gid));
            }
        }
        for change in changes.iter().filter(|change| UNTOLD.contains(&change.gid.type_name())) {
            let told = action(change).map(|action| (action, change.gid.type_name(), change.gid));
            subjects.extend(told);
        }
        for (action, kind, subject) in subjects {
            let event = self.store.fresh("BasicEvent");
            let n = event.n().unwrap_or_default();
            if action == "update" && self.dice.of("unrecorded").happens(n, UNRECORDED) {
                continue;
            }
            let late = self.dice.of("late").below(n, self.log_late).cast_signed();
            let visible = self.later(SignedDuration::from_secs(late));
            let now = self.now_text();
            self.put(
                event,
                json!({
                    "__typename": "BasicEvent", "id": event.to_string(), "action": action,
                    "author": author, "appTitle": title, "attributeToApp": by_app,
                    "attributeToUser": !by_app, "createdAt": now, "criticalAlert": false,
                    "message": format!("{author} {action}d a {}.", kind.to_lowercase()),
                    "subjectId": subject.to_string(), "subjectType": kind.to_uppercase(),
                    "subject": crate::store::link(subject),
                    "additionalData": null, "additionalContent": null, "arguments": [],
                    "hasAdditionalContent": false, "secondaryMessage": null, "_visibleAt": visible,
                }),
            );
        }
    }
}

/// What the log says that an action did to something that no webhook tells of.
fn action(change: &Change) -> Option<&'static str> {
    match change.deed()? {
        Deed::Create => Some("create"),
        Deed::Delete => Some("destroy"),
        // Of metafields it says nothing.
        Deed::Update => (plain(&change.before) != plain(&change.after)).then_some("update"),
    }
}

/// A document without its metafields and its date.
fn plain(document: &Option<Document>) -> Option<Value> {
    let mut state = Value::clone(document.as_ref()?);
    let members = state.as_object_mut()?;
    members.retain(|name, _| name != "metafields" && name != "updatedAt");
    Some(state)
}
