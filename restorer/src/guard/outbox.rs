//! What people are told, one thing after the other, beside the watching: whoever does not answer
//! holds up nothing but what is told later. What was not told yet when the process ended is on record
//! with its incident, and is told by whoever goes on with that.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstock_proto::Shop;
use backstock_proto::time::Clock;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::incident::{Incident, IncidentState};
use super::{Policy, notify};

/// Where a watch leaves what is to be told.
pub(super) struct Outbox {
    send: UnboundedSender<(String, Value)>,
    outcomes: UnboundedReceiver<(String, String)>,
    /// How much of each incident is still to be told.
    left: BTreeMap<String, usize>,
}

/// Who tells it.
pub(super) struct Postman {
    policy: Policy,
    clock: Arc<dyn Clock>,
    letters: UnboundedReceiver<(String, Value)>,
    outcomes: UnboundedSender<(String, String)>,
}

/// An outbox, and who empties it.
pub(super) fn outbox(policy: Policy, clock: Arc<dyn Clock>) -> (Outbox, Postman) {
    let (send, letters) = mpsc::unbounded_channel();
    let (said, outcomes) = mpsc::unbounded_channel();
    let outbox = Outbox { send, outcomes, left: BTreeMap::new() };
    (outbox, Postman { policy, clock, letters, outcomes: said })
}

impl Outbox {
    /// Has people told of an incident as it is.
    pub(super) fn leave(&mut self, shop: &Shop, incident: &Incident) {
        let text = format!("{}{}", plain(&incident.text), next(shop, incident));
        let letter = json!({"text": text, "shop": shop.domain(), "incident": incident});
        if self.send.send((incident.id.clone(), letter)).is_ok() {
            *self.left.entry(incident.id.clone()).or_default() += 1;
        }
    }

    /// Whether something of an incident is still to be told.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.left.contains_key(id)
    }

    /// How the last that was to be told of an incident went, for each of which that is known by now.
    pub(super) fn outcomes(&mut self) -> Vec<(String, String)> {
        let mut known = Vec::new();
        while let Ok((id, outcome)) = self.outcomes.try_recv() {
            let left = self.left.get(&id).copied().unwrap_or_default().saturating_sub(1);
            if left > 0 {
                self.left.insert(id, left);
            } else {
                self.left.remove(&id);
                known.push((id, outcome));
            }
        }
        known
    }
}

/// What can be done about an incident. What was undone and went on waits for a person with another plan.
fn next(shop: &Shop, incident: &Incident) -> String {
    let shop = shop.name();
    let job = incident.job.as_ref().filter(|_| incident.state == IncidentState::Applied);
    match (job, incident.way_back()) {
        (Some(job), _) => format!(" It is being undone: `backstock job --shop {shop} {job}`."),
        (None, Some(plan)) => format!(" To undo it: `backstock apply --shop {shop} {plan}`."),
        (None, None) => String::new(),
    }
}

/// A text that chat services show as it is. Anybody can call an app or a product what they take for a
/// link under other words, or for a call to everybody.
fn plain(text: &str) -> String {
    text.replace('<', "‹").replace('>', "›").replace("](", "] (").replace('@', "＠")
}

impl Postman {
    /// Tells what there is to tell, in order, for as long as there is an outbox.
    pub(super) async fn deliver(mut self) {
        while let Some((id, letter)) = self.letters.recv().await {
            let outcome = match notify::tell(&self.policy, &letter, self.clock.now()).await {
                Ok(()) => "told".to_owned(),
                Err(why) => {
                    let shop = letter["shop"].as_str().unwrap_or_default();
                    tracing::warn!(shop, incident = id, reason = %why, "nobody could be told");
                    format!("not told: {why}")
                }
            };
            if self.outcomes.send((id, outcome)).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use golden::Golden;

    #[test]
    fn what_can_be_done_about_an_incident_names_the_shop() {
        let shop = Shop::from_name("acme").expect("a shop");
        let golden = Golden::of(env!("CARGO_MANIFEST_DIR"));
        let mut incident: Incident = golden.json("records-v1.txt", "incident");
        (incident.job, incident.plan) = (Some("job-1".into()), Some("plan-1".into()));
        incident.state = IncidentState::Applied;
        let undone = next(&shop, &incident);
        assert_eq!(undone, " It is being undone: `backstock job --shop acme job-1`.");
        // It went on after that, and nothing is done about it before a person says so.
        (incident.state, incident.plan) = (IncidentState::Planned, Some("plan-2".into()));
        let to_undo = next(&shop, &incident);
        assert_eq!(to_undo, " To undo it: `backstock apply --shop acme plan-2`.");
    }

    #[test]
    fn what_an_app_is_called_is_no_link_in_a_chat() {
        assert_eq!(
            plain("Prices fell (Bulk Editor, 90 % sure)."),
            "Prices fell (Bulk Editor, 90 % sure)."
        );
        let evil = plain("<https://evil.example|Undo> [Undo](https://evil.example)");
        assert_eq!(evil, "‹https://evil.example|Undo› [Undo] (https://evil.example)");
        assert_eq!(plain("<!channel> @everyone"), "‹!channel› ＠everyone");
    }
}
