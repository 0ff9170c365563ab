//! What deliveries and answers let a listener know, so that a test can tell exactly what it misses by
//! the deliveries that were lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::dispatch::{Finished, Outcome};
use crate::gid::Gid;
use crate::payload::{Detail, Renderer, Topic};
use crate::protected;
use crate::store::targets;

/// The state of what is not there.
pub const ABSENT: &str = "absent";
/// The state of what nobody can tell.
const UNKNOWN: &str = "unknown";

/// One thing that a delivery says: that something is in a state now, and in which it was before.
/// States are digests, alike when nothing but what is volatile differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Says {
    /// About what: the topic that tells the whole state, and the resource; a customer's tags one
    /// by one.
    pub about: String,
    /// Its state from now on.
    pub state: String,
    /// Its state before.
    pub before: String,
}

/// That somebody who asked for a resource by its id was told of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What the question calls itself.
    pub question: Arc<str>,
    /// The resource.
    pub gid: Gid,
    /// When: everything that happened by then is in it, and nothing else.
    pub at: Timestamp,
}

/// What tells of the levels of an item as well.
const BRINGS_STOCK: [&str; 2] = ["inventory_items/create", "inventory_items/delete"];

/// What was said last, about everything.
#[derive(Default)]
pub(crate) struct Said(HashMap<(Topic, Gid), String>);

/// What changes without anybody having changed anything: not part of a state.
const VOLATILE: [&str; 6] = [
    "updated_at",
    "updatedAt",
    "inventory_quantity",
    "old_inventory_quantity",
    "lastEditDate",
    "occurredAt",
];

impl Said {
    /// What a delivery of the classic family says.
    pub(crate) fn classic(
        &mut self,
        renderer: Renderer<'_>,
        (topic, gid, detail): (Topic, Gid, &Detail),
        body: &Value,
        (now, protected_data): (Timestamp, bool),
    ) -> Vec<Says> {
        let name = topic.name();
        if let Some(verb) = name.strip_prefix("customer.tags_") {
            let before = if verb == "added" { "removed" } else { "added" };
            let one = |tag: &String| Says {
                about: format!("customer.tags {gid} {tag}"),
                state: verb.to_owned(),
                before: before.to_owned(),
            };
            return detail.tags.iter().map(one).collect();
        }
        let whole = topic.of_state();
        let gone = name.ends_with("/delete") || name.ends_with("/disconnect");
        let state = if gone { ABSENT.to_owned() } else { state(renderer, whole, gid, body) };
        let then = Renderer { at: Some(now - SignedDuration::from_nanos(1)), ..renderer };
        let mut says = vec![self.says(then, (whole, gid), state, protected_data)];
        // Stock comes and goes with its item, and no webhook of its own tells of it.
        let item = if gone { then.get(gid) } else { renderer.get(gid) };
        if let Some(item) = item.filter(|_| BRINGS_STOCK.contains(&name))
            && let Some(topic) = Topic::parse("inventory_levels/update")
        {
            for level in targets(&item, "inventoryLevels") {
                let body = renderer.body(topic, level, &Detail::default()).filter(|_| !gone);
                let state = body.map_or_else(|| ABSENT.to_owned(), |body| digest(&body));
                says.push(self.says(then, (topic, level), state, protected_data));
            }
        }
        says
    }

    /// That something is in a state now; `then` is just before.
    fn says(
        &mut self,
        then: Renderer<'_>,
        (whole, gid): (Topic, Gid),
        state: String,
        protected_data: bool,
    ) -> Says {
        let before = self.0.insert((whole, gid), state.clone()).unwrap_or_else(|| {
            then.body(whole, gid, &Detail::default()).map_or_else(
                || ABSENT.to_owned(),
                |mut body| {
                    if !protected_data {
                        protected::redact_body(&mut body);
                    }
                    self::state(then, whole, gid, &body)
                },
            )
        });
        Says { about: format!("{} {gid}", whole.name()), state, before }
    }

    /// What a delivery of the Events family says: its data, or merely that something happened.
    pub(crate) fn event(
        &mut self,
        (topic, gid, handle): (Topic, Gid, &str),
        data: &Value,
        gone: bool,
        webhook_id: &str,
    ) -> Vec<Says> {
        let state = match data {
            _ if gone => ABSENT.to_owned(),
            Value::Null => webhook_id.to_owned(),
            data => digest(data),
        };
        let before = self.0.insert((topic, gid), state.clone());
        let before = before.unwrap_or_else(|| UNKNOWN.to_owned());
        vec![Says { about: format!("{handle} {gid}"), state, before }]
    }
}

/// The state that a body tells of. A thin one only tells that there is another.
fn state(renderer: Renderer<'_>, topic: Topic, gid: Gid, body: &Value) -> String {
    if topic.name() == "discounts/update" {
        return renderer.get(gid).map_or_else(|| ABSENT.to_owned(), |document| digest(&document));
    }
    digest(body)
}

fn digest(value: &Value) -> String {
    let mut hash = Sha256::new();
    feed(&mut hash, value);
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            hash.update(b"{");
            // The same whatever the order of the keys.
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            for (key, value) in sorted {
                if VOLATILE.contains(&key.as_str()) {
                    continue;
                }
                hash.update(key);
                hash.update(b":");
                // In the order in which they were touched.
                if key == "variant_gids" {
                    feed_set(hash, value);
                } else {
                    feed(hash, value);
                }
            }
            hash.update(b"}");
        }
        Value::Array(items) => {
            hash.update(b"[");
            items.iter().for_each(|item| feed(hash, item));
            hash.update(b"]");
        }
        leaf => {
            hash.update(leaf.to_string());
            hash.update(b",");
        }
    }
}

fn feed_set(hash: &mut Sha256, items: &Value) {
    let mut items: Vec<String> = items.as_array().into_iter().flatten().map(digest).collect();
    items.sort();
    items.iter().for_each(|item| hash.update(item));
}

/// For each delivery, by webhook id, about what its loss left a listener who asks nothing with a stale
/// state at `until`: nothing later about it arrived, and what did arrive says otherwise.
#[must_use]
pub fn stale<'a>(finished: &'a [Finished], until: Option<&str>) -> HashMap<&'a str, Vec<&'a str>> {
    let mut about: BTreeMap<&str, Vec<(&Finished, &Says)>> = BTreeMap::new();
    let in_time = |one: &&Finished| until.is_none_or(|until| one.triggered_at.as_str() <= until);
    for one in finished.iter().filter(in_time) {
        for says in &one.says {
            about.entry(&says.about).or_default().push((one, says));
        }
    }
    let mut stale: HashMap<&str, Vec<&str>> = HashMap::new();
    for (about, mut told) in about {
        told.sort_by_key(|(one, _)| &one.triggered_at);
        let Some((last, truth)) = told.last().copied() else { continue };
        let heard = told.iter().rev().find(|(one, _)| one.outcome == Outcome::Accepted);
        let known = heard.or(told.first()).map(|(one, says)| match one.outcome {
            Outcome::Accepted => &says.state,
            _ => &says.before,
        });
        if known == Some(&truth.state) {
            continue;
        }
        // Several deliveries may have said the same: to other addresses, or by other topics.
        let mut seen = HashSet::new();
        let lost = told.iter().filter(|(one, says)| {
            one.triggered_at == last.triggered_at && says.state == truth.state
        });
        for (one, _) in lost.filter(|(one, _)| one.outcome != Outcome::Accepted) {
            if seen.insert(&one.webhook_id) {
                stale.entry(&one.webhook_id).or_default().push(about);
            }
        }
    }
    stale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(n: u64, before: &str, state: &str, outcome: Outcome) -> Finished {
        let says = |about: &str| Says {
            about: about.to_owned(),
            state: state.to_owned(),
            before: before.to_owned(),
        };
        Finished {
            webhook_id: format!("w{n}"),
            topic: "products/update",
            gid: "gid".into(),
            triggered_at: format!("2026-11-01T00:00:{n:02}.000000000Z"),
            outcome,
            attempts: 1,
            says: vec![says("p")],
        }
    }

    fn lost(told: &[Finished], until: Option<&str>) -> Vec<String> {
        let mut lost: Vec<String> = stale(told, until).into_keys().map(str::to_owned).collect();
        lost.sort();
        lost
    }

    #[test]
    fn only_the_last_word_matters_and_only_when_it_is_another() {
        use Outcome::{Accepted, Dropped, GivenUp};
        let none: [&str; 0] = [];
        let healed = [told(1, "a", "b", Dropped), told(2, "b", "c", Accepted)];
        assert_eq!(lost(&healed, None), none);
        assert_eq!(
            lost(&healed, Some("2026-11-01T00:00:01.5Z")),
            ["w1"],
            "until then it was stale"
        );
        let back = [told(1, "a", "b", Dropped), told(2, "b", "a", GivenUp)];
        assert_eq!(lost(&back, None), none, "it is again as it was known to be");
        let stale =
            [told(1, "a", "b", Accepted), told(2, "b", "c", Dropped), told(3, "c", "c", Dropped)];
        assert_eq!(lost(&stale, None), ["w3"]);
        let late = [told(2, "b", "c", Accepted), told(1, "a", "b", Dropped)];
        assert_eq!(lost(&late, None), none, "order is by when it happened");
    }
}
