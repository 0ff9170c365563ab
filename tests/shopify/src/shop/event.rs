//! The shop's own log of who did what: late, and not complete.

use jiff::SignedDuration;
use serde_json::json;

use super::{Actor, Shop};

/// The longest that an event takes to show, in seconds.
const LATEST: u64 = 90;
/// How often a change leaves no event.
const UNRECORDED: f64 = 0.1;

impl Shop {
    /// Records what the current action announced, unless it was a buyer's.
    pub(super) fn record_events(&mut self) {
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
        for (action, kind, subject) in subjects {
            let event = self.store.fresh("BasicEvent");
            let n = event.n().unwrap_or_default();
            if action == "update" && self.dice.of("unrecorded").happens(n, UNRECORDED) {
                continue;
            }
            let late = self.dice.of("late").below(n, LATEST).cast_signed();
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
