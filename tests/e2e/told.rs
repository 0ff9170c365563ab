//! Who knows what: how everything was from when on, by what deliveries say of it, and until when
//! somebody was told of it, by a delivery or by the answer to a question. When something happened or was
//! answered, the shop's clock alone says.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::kind::pull::Way;
use backstock_proto::kind::{ALL, Spec};
use backstock_proto::{Facet, ResourceId, Timestamp};
use serde_json::Value;

/// The state of what is not there.
const ABSENT: &str = "absent";

/// What one delivery says of something.
struct Said {
    at: Timestamp,
    state: String,
    before: String,
    arrived: bool,
}

/// What all deliveries say of something, in the order in which it happened.
#[derive(Default)]
pub(crate) struct Story(Vec<Said>);

/// The stories that a log of deliveries tells, by what they are about.
pub(crate) fn stories(log: &[Value]) -> BTreeMap<String, Story> {
    let mut stories: BTreeMap<String, Story> = BTreeMap::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for line in log {
        for says in line["says"].as_array().into_iter().flatten() {
            let said = Said {
                at: instant(&line["triggered_at"]),
                state: text(&says["state"]),
                before: text(&says["before"]),
                arrived: line["outcome"] == "accepted",
            };
            stories.entry(text(&says["about"])).or_default().0.push(said);
        }
    }
    stories.values_mut().for_each(|story| story.0.sort_by_key(|said| said.at));
    stories
}

/// The gids of what is not there any more in the end.
pub(crate) fn gone(stories: &BTreeMap<String, Story>) -> BTreeSet<String> {
    let gone = stories.iter().filter(|(_, story)| story.is_at_the_end(ABSENT));
    gone.filter_map(|(about, _)| parted(about)).map(|(_, gid)| gid).collect()
}

impl Story {
    /// When it ended.
    pub(crate) fn end(&self) -> Timestamp {
        self.0.last().map_or(Timestamp::MIN, |said| said.at)
    }

    /// When the newest delivery that arrived happened, of those that tell by themselves how it is: all of
    /// them, or only that it is gone.
    pub(crate) fn heard(&self, all: bool) -> Timestamp {
        let mut told = self.0.iter().rev().filter(|said| all || said.state == ABSENT);
        told.find(|said| said.arrived).map_or(Timestamp::MIN, |said| said.at)
    }

    /// Whether it is otherwise than it was at an instant.
    pub(crate) fn has_changed_since(&self, at: Timestamp) -> bool {
        let then = self.0.partition_point(|said| said.at <= at).checked_sub(1);
        let first = || self.0.first().map(|said| said.before.as_str());
        let then = then.map_or_else(first, |then| Some(self.0[then].state.as_str()));
        then.is_some_and(|then| !self.is_at_the_end(then))
    }

    fn is_at_the_end(&self, state: &str) -> bool {
        self.0.last().is_some_and(|said| said.state == state)
    }
}

/// When what was told to somebody who asked for it by its id: by the question's name and the gid.
pub(crate) struct Answers(BTreeMap<(String, String), Vec<Timestamp>>);

impl Answers {
    /// The answers of a log.
    pub(crate) fn of(log: &[Value]) -> Self {
        let mut answers: BTreeMap<(String, String), Vec<Timestamp>> = BTreeMap::new();
        for line in log {
            let question = line["question"].as_str().unwrap_or_default().to_owned();
            let about = (question, bare(&line["gid"]));
            answers.entry(about).or_default().push(instant(&line["at"]));
        }
        Self(answers)
    }

    /// When a part of a resource was told, oldest first.
    pub(crate) fn about(&self, spec: &Spec, part: Facet, id: &str) -> &[Timestamp] {
        let tells = |way: &Way| matches!(way, Way::ById { .. });
        let mut questions = spec.pulls.iter().filter(|pull| tells(&pull.way));
        let question = questions.find(|pull| pull.facets.contains(&part));
        let question = question.map_or("", |pull| name_of(pull.document));
        let gid = ResourceId::parse(id).map(|id| (spec.ask_for)(&id)).unwrap_or_default();
        self.0.get(&(question.to_owned(), gid)).map(Vec::as_slice).unwrap_or_default()
    }
}

fn name_of(document: &str) -> &str {
    let rest = document.split_once("query ").map_or("", |(_, rest)| rest);
    rest.split_once('(').map_or("", |(name, _)| name)
}

pub(crate) fn instant(value: &Value) -> Timestamp {
    Timestamp::parse(value.as_str().unwrap_or_default()).unwrap_or(Timestamp::MIN)
}

/// A gid without what follows its number; of a discount, whichever way it is taken, that of its node.
pub(crate) fn bare(id: &Value) -> String {
    let id = id.as_str().unwrap_or_default().split('?').next().unwrap_or_default();
    id.replace("DiscountCodeNode", "DiscountNode").replace("DiscountAutomaticNode", "DiscountNode")
}

/// The topic and the resource that something is about.
pub(crate) fn parted(about: &str) -> Option<(String, String)> {
    let mut parts = about.split(' ');
    Some((parts.next()?.to_owned(), bare(&parts.next()?.into())))
}

/// The kind of which a topic tells; none where it is kept without being understood.
pub(crate) fn concerned(topic: &str) -> Option<&'static Spec> {
    let knows = |spec: &&&Spec| {
        spec.topics
            .iter()
            .any(|(known, _)| *known == topic || known.starts_with(&format!("{topic}_")))
    };
    ALL.iter().find(knows).copied()
}

/// The part of a resource that a topic is about: tags and consent go beside a customer.
pub(crate) fn part(topic: &str) -> Facet {
    match topic.starts_with("customer.tags") || topic.starts_with("customers_") {
        true => Facet::Detail,
        false => Facet::Core,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    /// What was a at first, and then something else every other second from the first on.
    fn story(told: &[(&str, bool)]) -> Story {
        let mut before = "a";
        let mut log = Vec::new();
        for (second, (state, arrived)) in (1..).step_by(2).zip(told) {
            log.push(json!({
                "triggered_at": at(second).to_string(),
                "outcome": if *arrived { "accepted" } else { "dropped" },
                "says": [{"about": "p", "state": state, "before": before}],
            }));
            before = *state;
        }
        log.reverse();
        stories(&log).remove("p").expect("a story")
    }

    #[test]
    fn what_was_heard_last_is_stale_if_it_is_otherwise_now() {
        let healed = story(&[("b", false), ("c", true)]);
        assert_eq!((healed.heard(true), healed.end()), (at(3), at(3)));
        assert!(!healed.has_changed_since(healed.heard(true)));
        let lost = story(&[("b", true), ("c", false)]);
        assert!(lost.has_changed_since(lost.heard(true)));
        let back = story(&[("b", false), ("a", false)]);
        assert!(!back.has_changed_since(back.heard(true)), "it is as it was");
    }

    #[test]
    fn what_an_answer_told_is_not_lost_when_it_is_said_again_in_vain() {
        let again = story(&[("b", false), ("b", false)]);
        assert!(again.has_changed_since(at(0)));
        assert!(!again.has_changed_since(at(2)), "answered between the two");
    }

    #[test]
    fn what_an_answer_told_and_was_taken_back_unheard_is_lost() {
        let back = story(&[("b", false), ("a", false)]);
        assert!(back.has_changed_since(at(2)), "answered between the two");
        assert!(!back.has_changed_since(at(4)), "answered after both");
    }

    #[test]
    fn what_only_has_something_asked_for_tells_nothing_but_that_it_is_gone() {
        let asked = story(&[("b", true), ("a", false)]);
        assert_eq!(asked.heard(false), Timestamp::MIN);
        assert!(!asked.has_changed_since(at(4)), "answered after both: it is as it was known");
        let gone = story(&[("b", false), (ABSENT, true)]);
        assert_eq!(gone.heard(false), at(3));
        assert!(!gone.has_changed_since(at(3)));
    }

    #[test]
    fn answers_are_found_by_what_was_asked() {
        let line = |question: &str, gid: &str, second: i64| {
            let (gid, at) = (format!("gid://shopify/{gid}"), at(second).to_string());
            json!({"question": question, "gid": gid, "at": at})
        };
        let answers = Answers::of(&[
            line("CustomersById", "Customer/7", 1),
            line("CustomersById", "Customer/7", 2),
            line("InventoryLevelsById", "InventoryItem/7", 3),
            line("InventoryItemsById", "InventoryItem/7", 4),
            line("DiscountsById", "DiscountCodeNode/7", 5),
        ]);
        let about = |topic: &str, id: &str| {
            let spec = concerned(topic).expect("a kind");
            answers.about(spec, part(topic), id).to_vec()
        };
        for detail in ["customer.tags", "customers_email_marketing_consent/update"] {
            assert_eq!(part(detail), Facet::Detail);
            assert_eq!(about(detail, "7"), [at(1), at(2)]);
        }
        assert_eq!(about("customers/update", "7"), [at(1), at(2)]);
        assert!(about("customers/update", "8").is_empty());
        assert_eq!(about("inventory_levels/update", "7-3"), [at(3)]);
        assert_eq!(about("discounts/update", "7"), [at(5)]);
    }
}
