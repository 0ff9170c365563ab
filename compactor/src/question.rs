//! What webhooks leave open: what has to be asked, about which resources, in as few questions as it takes.
//! `signal.rs` asks them.

use std::collections::{BTreeMap, BTreeSet};

use async_nats::jetstream;
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::kind::{Arrival, Spec};
use backstock_proto::trace::TraceContext;
use backstock_proto::{Event, Facet, Op, ResourceId, Timestamp};

use crate::{log, stock, values};

/// What has to be asked: for each kind, which resources, and whether their core is among it.
pub(crate) type Wanted = BTreeMap<&'static str, BTreeMap<ResourceId, Want>>;

/// What of a resource is to be asked for, and what asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Want {
    /// The core too: the webhook did not carry it, or not whole.
    pub(crate) core: bool,
    /// Nothing else would tell that it is gone: where it is not found, it is.
    pub(crate) may_be_gone: bool,
    /// When it went, where that is what asks.
    pub(crate) went_at: Option<Timestamp>,
    /// When it was made, where that is what asks, by the shop's clock.
    pub(crate) made_at: Option<Timestamp>,
    /// When the last of what asks happened.
    pub(crate) at: Option<Timestamp>,
    /// The trace of the first webhook that asks.
    pub(crate) trace: Option<TraceContext>,
}

/// What a message leaves open.
#[derive(Default)]
pub(crate) struct Said {
    /// What is asked of the resource itself.
    pub(crate) asks: Option<(&'static Spec, ResourceId, Want)>,
    /// The item whose stock came or went with it.
    pub(crate) stock: Option<(ResourceId, stock::Fate)>,
    /// The definition that went, with its values or without.
    pub(crate) definition: Option<ResourceId>,
}

impl Said {
    /// What it is about, as what is open is named.
    pub(crate) fn about(self) -> impl Iterator<Item = (&'static str, ResourceId)> {
        let asked = self.asks.map(|(spec, id, _)| (spec.name, id));
        let stock = self.stock.map(|(item, _)| (stock::LEVEL, item));
        let values = self.definition.map(|id| (values::DEFINITION, id));
        asked.into_iter().chain(stock).chain(values)
    }
}

/// What a message leaves open. What cannot be read is the journal's to put aside.
pub(crate) fn said(message: &jetstream::Message) -> Said {
    let headers = message.headers.clone().unwrap_or_default();
    let event = Event::from_message(&message.subject, &headers, message.payload.clone());
    let Ok(event) = event else { return Said::default() };
    let asks = want(&event).map(|(spec, id, want)| {
        let (at, trace) = (event.triggered_at, TraceContext::of_message(&headers));
        (spec, id, Want { at, trace, ..want })
    });
    Said { asks, stock: stock::fate(&event), definition: values::went(&event) }
}

/// What some messages ask for together.
pub(crate) fn wanted(said: &[Said]) -> Wanted {
    let mut wanted = Wanted::new();
    for (spec, id, want) in said.iter().filter_map(|said| said.asks.as_ref()) {
        let of_id = wanted.entry(spec.name).or_default().entry(id.clone()).or_default();
        of_id.core |= want.core;
        of_id.may_be_gone |= want.may_be_gone;
        of_id.went_at = of_id.went_at.max(want.went_at);
        of_id.made_at = of_id.made_at.or(want.made_at);
        of_id.at = of_id.at.max(want.at);
        of_id.trace = of_id.trace.or(want.trace);
    }
    wanted
}

/// What one event leaves open. Our own corrections leave nothing.
fn want(event: &Event) -> Option<(&'static Spec, ResourceId, Want)> {
    if let Some((spec, id, went)) = log::names(event) {
        let went_at = event.triggered_at.filter(|_| went);
        return Some((
            spec,
            id,
            Want { core: true, may_be_gone: true, went_at, ..Want::default() },
        ));
    }
    let made_at = event.triggered_at.filter(|_| event.topic.ends_with("/create"));
    let (whole, id) = (Want { core: true, made_at, ..Want::default() }, event.key.id.clone());
    let spec = event.key.kind.spec()?;
    let asks = event.source.is_delivered() && event.op != Op::Delete;
    if !asks || id == ResourceId::unknown() || by_id(spec).is_empty() {
        return None;
    }
    if event.facet == Facet::Signal {
        return Some((spec, id, whole));
    }
    let Event { source, facet, op, .. } = *event;
    let arrival = Arrival { source, facet, op };
    let core = match event.key.kind.read(arrival, &id, &event.payload) {
        Ok(document) => !document.state.as_ref().is_none_or(spec.is_whole),
        // The journal puts it aside; what it was about is known by its subject.
        Err(_) => true,
    };
    let more = by_id(spec).iter().any(|pull| pull.facets.iter().any(|facet| *facet != Facet::Core));
    (core || more).then_some((spec, id, Want { core, ..whole }))
}

pub(crate) fn by_id(spec: &'static Spec) -> Vec<&'static Pull> {
    spec.pulls.iter().filter(|pull| matches!(pull.way, Way::ById { .. })).collect()
}

/// One question, about some resources of a kind.
pub(crate) struct Question {
    pub(crate) spec: &'static Spec,
    pub(crate) pull: &'static Pull,
    pub(crate) ids: Vec<ResourceId>,
    /// Of which of them the core is asked too.
    pub(crate) core: BTreeSet<ResourceId>,
    /// Which of them are gone where they are not found, and since when, if that is what asks.
    pub(crate) may_be_gone: BTreeMap<ResourceId, Option<Timestamp>>,
    /// When which of them were made, if that is what asks.
    pub(crate) made: BTreeMap<ResourceId, Timestamp>,
    /// When the last of what asks happened.
    pub(crate) at: Option<Timestamp>,
    pub(crate) trace: Option<TraceContext>,
}

/// The questions that ask for everything that is wanted.
pub(crate) fn questions(wanted: &Wanted) -> Vec<Question> {
    let mut questions = Vec::new();
    for spec in backstock_proto::kind::ALL {
        let Some(wants) = wanted.get(spec.name) else { continue };
        for pull in by_id(spec) {
            let Way::ById { ids_max, .. } = &pull.way else { continue };
            questions.extend(spec.portions(wants.keys(), *ids_max).into_iter().map(|ids| {
                let wants = || ids.iter().filter_map(|id| Some((id, wants.get(id)?)));
                let core = wants().filter(|(_, want)| want.core).map(|(id, _)| id.clone());
                let may_be_gone = wants().filter(|(_, want)| want.may_be_gone);
                let may_be_gone =
                    may_be_gone.map(|(id, want)| (id.clone(), want.went_at)).collect();
                let made = wants().filter_map(|(id, want)| Some((id.clone(), want.made_at?)));
                let (core, made) = (core.collect(), made.collect());
                let at = wants().filter_map(|(_, want)| want.at).max();
                let traces = wants().filter_map(|(_, want)| want.trace);
                let trace = traces.max_by_key(|trace| trace.is_sampled());
                Question { spec, pull, ids, core, may_be_gone, made, at, trace }
            }));
        }
    }
    questions
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use backstock_proto::{Kind, ResourceKey, Shop};

    /// A webhook about number 1 of a kind.
    pub(crate) fn event(kind: &str, topic: &str, payload: &'static str) -> Event {
        Event {
            key: ResourceKey {
                shop: Shop::from_name("acme").expect("a shop"),
                kind: Kind::parse(kind).expect("a kind"),
                id: ResourceId::parse("1").expect("an id"),
            },
            facet: Facet::Core,
            op: Op::Update,
            source: backstock_proto::Source::Webhook,
            topic: topic.into(),
            api_version: None,
            webhook_id: None,
            event_id: None,
            triggered_at: None,
            received_at: Timestamp::MIN,
            valid_at: None,
            earliest_at: None,
            payload: payload.into(),
        }
    }

    #[test]
    fn a_webhook_that_is_not_understood_is_asked_about() {
        let event = event("product", "products/update", r#"{"id": 1, "title": {"no": "text"}"#);
        let (spec, _, want) = want(&event).expect("something is left open");
        assert_eq!((spec.name, want), ("product", Want { core: true, ..Want::default() }));
    }

    #[test]
    fn a_webhook_that_tells_that_something_was_made_tells_when() {
        for (topic, is_made) in [("markets/create", true), ("markets/update", false)] {
            let at = Some(Timestamp::from_micros(7));
            let event = event("market", topic, r#"{"id": 1}"#);
            let event = Event { facet: Facet::Signal, triggered_at: at, ..event };
            let (_, _, want) = want(&event).expect("it is asked about");
            assert_eq!(want.made_at, at.filter(|_| is_made), "{topic}");
        }
    }

    #[test]
    fn what_the_log_says_is_gone_is_asked_for_and_went_when_the_log_says() {
        for (action, is_gone) in [("destroy", true), ("update", false)] {
            let at = Some(Timestamp::from_micros(7));
            let entry = event("event", "event/pulled", "");
            let said = format!(r#"{{"action": "{action}", "subjectId": "gid://shopify/Page/7"}}"#);
            let entry = Event { payload: said.into(), triggered_at: at, ..entry };
            let (spec, _, want) = want(&entry).expect("it is asked about");
            let asked = (spec.name, want.core, want.may_be_gone, want.went_at);
            assert_eq!(asked, ("page", true, true, at.filter(|_| is_gone)), "{action}");
        }
    }

    #[test]
    fn what_several_ask_of_a_resource_is_one_question_after_all_of_them() {
        let page = Kind::parse("page").ok().and_then(|kind| kind.spec()).expect("a kind");
        let asks = [(5, true), (9, false), (2, false)].map(|(at, may_be_gone)| {
            let at = Some(Timestamp::from_micros(at));
            let went_at = at.filter(|_| may_be_gone);
            let want = Want { core: true, may_be_gone, went_at, at, ..Want::default() };
            Said { asks: Some((page, ResourceId::unknown(), want)), stock: None, definition: None }
        });
        let asked = questions(&wanted(&asks));
        assert_eq!((asked.len(), asked[0].at), (1, Some(Timestamp::from_micros(9))));
        let went_at = Some(Timestamp::from_micros(5));
        assert_eq!(asked[0].may_be_gone, BTreeMap::from([(ResourceId::unknown(), went_at)]));
    }

    #[test]
    fn what_is_read_together_is_one_question() {
        let id = |text: String| ResourceId::parse(&text).expect("an id");
        let want = |core| Want { core, ..Want::default() };
        // Twelve items at five locations, and the files of two themes.
        let levels = (0..60).map(|n| (id(format!("{}-{}", 100 + n % 12, n / 12)), want(n == 0)));
        let files =
            (0..600).map(|n| (id(format!("{}-snippets/{n}.liquid", 7 + n % 2)), want(true)));
        let wanted =
            Wanted::from([("inventory_level", levels.collect()), ("theme_file", files.collect())]);
        let asked = questions(&wanted).into_iter().map(|question| {
            let Question { spec, ids, core, .. } = question;
            (spec.name, spec.gids(&ids).len(), ids.len(), core.len())
        });
        let mut asked: Vec<_> = asked.collect();
        asked.sort_unstable();
        let levels = [("inventory_level", 2, 10, 0), ("inventory_level", 10, 50, 1)];
        assert_eq!(asked[..2], levels);
        assert_eq!(asked[2..], [("theme_file", 1, 300, 300), ("theme_file", 1, 300, 300)]);
    }
}
