//! Targeted pulls: a webhook that does not tell everything is followed by a question about that one
//! resource, seconds later.
//!
//! What arrives within a short while about the same resource is one question. The consumer is durable,
//! and a message is acknowledged when what it asked for is on the stream: after a kill the rest is
//! asked again, and found to be known. What the shop does not answer holds up nothing else: it is asked
//! a few times more, and then left to the next whole look.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind};
use backstock_proto::admin::AdminError;
use backstock_proto::admin::ask::{AskError, Asker};
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::kind::{Arrival, Spec};
use backstock_proto::publish::Publisher;
use backstock_proto::pulls::Order;
use backstock_proto::stream::{partition_of, stream_name};
use backstock_proto::trace::{Span, SpanKind, TraceContext};
use backstock_proto::{Event, Facet, Kind, Op, ResourceId, Shop, Timestamp};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::offered::{self, ACK_WAIT, during};
use crate::orders::Doors;
use crate::pull::{PullError, Puller, QUESTIONS};
use crate::reconcile::Window;
use crate::{log, scope, stock, values};

/// How long signals about the same resource are gathered.
const GATHER: Duration = Duration::from_millis(1_500);
/// Most messages that are looked at together.
const MESSAGES_MAX: usize = 500;
/// Rest after a failure; after each further one about the same, twice as long.
const REST: Duration = Duration::from_secs(5);
/// How often something is asked that the shop does not answer.
const TRIES_MAX: u32 = 5;
/// How soon a shop that answers at all answers what costs next to nothing.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// What has to be asked: for each kind, which resources, and whether their core is among it.
type Wanted = BTreeMap<&'static str, BTreeMap<ResourceId, Want>>;

/// What was not answered, and whether to ask again.
type Open = BTreeMap<(&'static str, ResourceId), Again>;

/// How urgently, and what of it, a resource is to be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Want {
    /// The core too: the webhook did not carry it, or not whole.
    core: bool,
    /// Nothing else would tell that it is gone: where it is not found, it is.
    may_be_gone: bool,
    /// When it was made, where that is what asks, by the shop's clock.
    made_at: Option<Timestamp>,
    /// When the last of what asks happened.
    at: Option<Timestamp>,
    /// The trace of the first webhook that asks.
    trace: Option<TraceContext>,
}

/// What a message leaves open.
#[derive(Default)]
struct Said {
    /// What is asked of the resource itself.
    asks: Option<(&'static Spec, ResourceId, Want)>,
    /// The item whose stock came or went with it.
    stock: Option<(ResourceId, stock::Fate)>,
    /// The definition that went, with its values or without.
    definition: Option<ResourceId>,
}

impl Said {
    /// What it is about, as what is open is named.
    fn about(self) -> impl Iterator<Item = (&'static str, ResourceId)> {
        let asked = self.asks.map(|(spec, id, _)| (spec.name, id));
        let stock = self.stock.map(|(item, _)| (stock::LEVEL, item));
        let values = self.definition.map(|id| (values::DEFINITION, id));
        asked.into_iter().chain(stock).chain(values)
    }
}

/// Whether asking again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Again {
    /// The app may not ask this.
    Never,
    /// It may pass.
    Few,
    /// Nothing can be asked at the moment, whatever it is about.
    Always,
}

/// Follows one shop's webhooks until `shutdown`.
pub(crate) async fn run(puller: Puller, doors: Doors, shutdown: CancellationToken) {
    // History is behind until it knows what they did not tell.
    let asker = Asker { urgent: true, ..puller.asker.clone() };
    let puller = Puller { asker, ..puller };
    loop {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = follow(&puller, &doors) => outcome,
        };
        if let Err(error) = outcome {
            let error = format!("{error:#}");
            warn!(shop = %puller.shop, error, "following webhooks failed; trying again");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(REST) => {}
        }
    }
}

async fn follow(puller: &Puller, doors: &Doors) -> anyhow::Result<()> {
    let consumer = consumer(puller).await?;
    loop {
        let messages = offered::next(&consumer, MESSAGES_MAX, GATHER).await?;
        let (mut held, mut asked) = (Vec::new(), Vec::new());
        for mut message in messages {
            match said(&message) {
                // Questions may take minutes, and are none of its business.
                Said { asks: None, stock: None, definition: None } => {
                    message.ack().await.map_err(|e| anyhow::anyhow!("{e}"))?;
                }
                said => {
                    // It is held for long, and its bytes are read.
                    message.message.payload = bytes::Bytes::new();
                    held.push(message);
                    asked.push(said);
                }
            }
        }
        let (messages, said) = (held, asked);
        let open = during(&messages, ask_all(puller, doors, &said)).await;
        for (message, said) in messages.iter().zip(said) {
            let again = said.about().filter_map(|about| open.get(&about).copied()).max();
            let delivered = message.info().map_or(1, |info| info.delivered);
            let kind = acknowledgement(again, u32::try_from(delivered).unwrap_or(1));
            message.ack_with(kind).await.map_err(|e| anyhow::anyhow!("{e}"))?;
        }
    }
}

/// What the stream is told of a message that it has delivered so often.
fn acknowledgement(again: Option<Again>, delivered: u32) -> AckKind {
    match again {
        Some(Again::Always) => AckKind::Nak(Some(REST)),
        Some(Again::Few) if delivered < TRIES_MAX => {
            AckKind::Nak(Some(REST * 2_u32.pow(delivered.saturating_sub(1))))
        }
        Some(Again::Few | Again::Never) | None => AckKind::Ack,
    }
}

async fn consumer(puller: &Puller) -> anyhow::Result<PullConsumer> {
    let publisher = &puller.publisher;
    let partition = partition_of(&puller.shop, publisher.partitions);
    let stream: jetstream::stream::Stream =
        publisher.jetstream.get_stream(stream_name(partition)).await?;
    let config = pull::Config {
        durable_name: Some(durable(&puller.shop)),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        deliver_policy: DeliverPolicy::New,
        filter_subject: format!("backstock.{partition}.event.{}.>", puller.shop.name()),
        description: Some("Asks the Admin API for what webhooks do not tell".into()),
        ..pull::Config::default()
    };
    Ok(stream.create_consumer(config).await?)
}

fn durable(shop: &Shop) -> String {
    format!("compactor-{}", shop.name())
}

/// Up to which of a shop's messages all is asked, and published, that webhooks left open.
pub(crate) async fn asked_until(publisher: &Publisher, shop: &Shop) -> anyhow::Result<u64> {
    let partition = partition_of(shop, publisher.partitions);
    let stream: jetstream::stream::Stream =
        publisher.jetstream.get_stream(stream_name(partition)).await?;
    Ok(stream.consumer_info(durable(shop)).await?.ack_floor.stream_sequence)
}

/// Reads again what is ordered by its id, until `shutdown`.
pub(crate) async fn answer(
    puller: Puller,
    mut orders: mpsc::Receiver<Order>,
    shutdown: CancellationToken,
) {
    loop {
        let order = tokio::select! {
            () = shutdown.cancelled() => return,
            order = orders.recv() => order,
        };
        let Some(Order { kinds, ids, .. }) = order else { return shutdown.cancelled().await };
        for spec in kinds.iter().filter_map(Kind::spec) {
            let read = tokio::select! {
                () = shutdown.cancelled() => return,
                read = read_again(&puller, spec, &ids) => read,
            };
            if let Err(error) = read {
                warn!(shop = %puller.shop, kind = spec.name, %error, "reading by id failed");
            }
        }
    }
}

/// Publishes what history does not have of some resources, and the end of those that are gone. A kind
/// that cannot be asked for by id is pulled whole.
async fn read_again(
    puller: &Puller,
    spec: &'static Spec,
    ids: &[ResourceId],
) -> Result<(), PullError> {
    if !by_id(spec).iter().any(|pull| pull.facets.contains(&Facet::Core)) {
        let order = crate::pull::Order { ordered: true, ..Default::default() };
        return puller.kind(spec, &order).await.map(drop);
    }
    for pull in by_id(spec) {
        let Way::ById { ids_max, .. } = &pull.way else { continue };
        for some in spec.portions(ids, *ids_max) {
            let asked_at = puller.now();
            let there =
                puller.some(spec, pull, &some, |_| Window::asked(asked_at), |_| true).await?;
            if pull.facets.contains(&Facet::Core) {
                let gone: Vec<_> =
                    some.iter().filter(|id| !there.contains_key(*id)).cloned().collect();
                puller.gone(spec, &gone, asked_at).await?;
                for (id, node) in there {
                    puller.media.seen(puller.key(&Kind::of(spec), &id), node, asked_at);
                }
            }
        }
    }
    Ok(())
}

/// What a message leaves open. What cannot be read is the journal's to put aside.
fn said(message: &jetstream::Message) -> Said {
    let headers = message.headers.clone().unwrap_or_default();
    let event = Event::from_message(&message.subject, &headers, message.payload.clone());
    let Ok(event) = event else { return Said::default() };
    let asks = want(&event).map(|(spec, id, want)| {
        let (at, trace) = (event.triggered_at, TraceContext::of_message(&headers));
        (spec, id, Want { at, trace, ..want })
    });
    Said { asks, stock: stock::fate(&event), definition: values::went(&event) }
}

/// Asks for everything that some messages leave open, and says what was not answered.
async fn ask_all(puller: &Puller, doors: &Doors, said: &[Said]) -> Open {
    let mut open = ask(puller, &wanted(said)).await;
    let mut fates = stock::Fates::new();
    for (item, fate) in said.iter().filter_map(|said| said.stock.clone()) {
        let known = fates.entry(item).or_insert(fate);
        *known = fate.max(*known);
    }
    if let Err(error) = stock::follow(puller, &fates).await {
        warn!(shop = %puller.shop, %error, "asking for the stock of items failed");
        let again = again_after(puller, &error).await;
        open.extend(fates.into_keys().map(|item| ((stock::LEVEL, item), again)));
    }
    let went: BTreeSet<ResourceId> = said.iter().filter_map(|s| s.definition.clone()).collect();
    if let Err(error) = values::follow(puller, doors, &went).await {
        warn!(shop = %puller.shop, %error, "ordering what may have lost values failed");
        let again = again_after(puller, &error).await;
        open.extend(went.into_iter().map(|id| ((values::DEFINITION, id), again)));
    }
    open
}

/// What some messages ask for together.
fn wanted(said: &[Said]) -> Wanted {
    let mut wanted = Wanted::new();
    for (spec, id, want) in said.iter().filter_map(|said| said.asks.as_ref()) {
        let of_id = wanted.entry(spec.name).or_default().entry(id.clone()).or_default();
        of_id.core |= want.core;
        of_id.may_be_gone |= want.may_be_gone;
        of_id.made_at = of_id.made_at.or(want.made_at);
        of_id.at = of_id.at.max(want.at);
        of_id.trace = of_id.trace.or(want.trace);
    }
    wanted
}

/// What one event leaves open. Our own corrections leave nothing.
fn want(event: &Event) -> Option<(&'static Spec, ResourceId, Want)> {
    if let Some((spec, id)) = log::names(event) {
        return Some((spec, id, Want { core: true, may_be_gone: true, ..Want::default() }));
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

fn by_id(spec: &'static Spec) -> Vec<&'static Pull> {
    spec.pulls.iter().filter(|pull| matches!(pull.way, Way::ById { .. })).collect()
}

/// One question, about some resources of a kind.
struct Question {
    spec: &'static Spec,
    pull: &'static Pull,
    ids: Vec<ResourceId>,
    /// Of which of them the core is asked too.
    core: BTreeSet<ResourceId>,
    /// Which of them are gone where they are not found.
    may_be_gone: Vec<ResourceId>,
    /// When which of them were made, if that is what asks.
    made: BTreeMap<ResourceId, Timestamp>,
    /// When the last of what asks happened.
    at: Option<Timestamp>,
    trace: Option<TraceContext>,
}

/// Asks for everything that is wanted, some questions at once, publishes what history does not have, and
/// says what was not answered.
async fn ask(puller: &Puller, wanted: &Wanted) -> Open {
    let reachable = &AtomicBool::new(true);
    let answers = futures::stream::iter(questions(wanted)).map(|question| {
        async move {
            // Where nothing can be asked, it is not tried with everything.
            let again = match reachable.load(Ordering::Relaxed) {
                true => question.asked(puller).await,
                false => Some(Again::Always),
            };
            if again == Some(Again::Always) {
                reachable.store(false, Ordering::Relaxed);
            }
            (question, again)
        }
        .boxed()
    });
    let mut answers = std::pin::pin!(answers.buffer_unordered(QUESTIONS));
    let mut open = Open::new();
    while let Some((question, again)) = answers.next().await {
        let Some(again) = again else { continue };
        for id in question.ids {
            let worst = open.entry((question.spec.name, id)).or_insert(again);
            *worst = again.max(*worst);
        }
    }
    open
}

/// The questions that ask for everything that is wanted.
fn questions(wanted: &Wanted) -> Vec<Question> {
    let mut questions = Vec::new();
    for spec in backstock_proto::kind::ALL {
        let Some(wants) = wanted.get(spec.name) else { continue };
        for pull in by_id(spec) {
            let Way::ById { ids_max, .. } = &pull.way else { continue };
            questions.extend(spec.portions(wants.keys(), *ids_max).into_iter().map(|ids| {
                let wants = || ids.iter().filter_map(|id| Some((id, wants.get(id)?)));
                let core = wants().filter(|(_, want)| want.core).map(|(id, _)| id.clone());
                let may_be_gone = wants().filter(|(_, want)| want.may_be_gone);
                let may_be_gone = may_be_gone.map(|(id, _)| id.clone()).collect();
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

impl Question {
    /// Asks it, as part of the trace of a webhook that it is asked for (where several share it, of one of
    /// them), and publishes what history does not have. Answers whether to ask again, if it failed.
    async fn asked(&self, puller: &Puller) -> Option<Again> {
        let Self { spec, pull, ids, trace, .. } = self;
        debug!(shop = %puller.shop, kind = spec.name, resources = ids.len(), "asking by id");
        let mut span = Span::begin("compactor ask", SpanKind::Consumer, *trace);
        span.set("shop", &puller.shop);
        span.count("resources", ids.len() as u64);
        let answered = span.context().scope(self.answered(puller)).await;
        let error = span.went(answered).err()?;
        warn!(shop = %puller.shop, kind = spec.name, pull = pull.name, %error, "asking by id failed");
        Some(again_after(puller, &error).await)
    }

    async fn answered(&self, puller: &Puller) -> Result<(), PullError> {
        let Self { spec, pull, ids, core, may_be_gone, made, at, .. } = self;
        let read_at = puller.read_at(*at);
        let window = |id: &ResourceId| Window {
            missing_since: made.get(id).copied(),
            ..Window::asked(read_at)
        };
        let there = puller.some(spec, pull, ids, window, |id| core.contains(id)).await?;
        let mut gone = may_be_gone.clone();
        gone.retain(|id| pull.facets.contains(&Facet::Core) && !there.contains_key(id));
        puller.gone(spec, &gone, read_at).await
    }
}

/// Whether to ask again after a failure. Where a shop answers others, it is up to the question that it
/// was not answered, and nothing else has to wait.
async fn again_after(puller: &Puller, error: &PullError) -> Again {
    match error {
        PullError::Ask(AskError::Admin(AdminError::Unavailable { .. })) => {
            if answers(puller).await { Again::Few } else { Again::Always }
        }
        error => Again::after(error),
    }
}

/// Whether the shop answers what costs next to nothing.
async fn answers(puller: &Puller) -> bool {
    let asked = tokio::time::timeout(ANSWERS_WITHIN, scope::granted(&puller.asker)).await;
    matches!(asked, Ok(Ok(_)))
}

impl Again {
    fn after(error: &PullError) -> Self {
        match error {
            PullError::Journal(error) if error.retryable() => Self::Always,
            PullError::Publish(_) | PullError::Io(_) => Self::Always,
            PullError::Ask(AskError::Admin(error)) => match error {
                AdminError::Refused { status: 200 | 403, .. } | AdminError::Document { .. } => {
                    Self::Never
                }
                AdminError::Unauthorized(..)
                | AdminError::Refused { .. }
                | AdminError::Unavailable { .. } => Self::Always,
                AdminError::Unknown { .. } | AdminError::Garbled { .. } => Self::Few,
            },
            PullError::Ask(AskError::Denied(_)) => Self::Never,
            PullError::Ask(AskError::Fault(_) | AskError::FellForward(_))
            | PullError::Journal(_)
            | PullError::Tree(_)
            | PullError::Operation(..)
            | PullError::Lines(_)
            | PullError::Unreadable(_)
            | PullError::Held { .. } => Self::Few,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use backstock_proto::ResourceKey;

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
    fn what_several_ask_of_a_resource_is_one_question_after_all_of_them() {
        let page = Kind::parse("page").ok().and_then(|kind| kind.spec()).expect("a kind");
        let asks = [(5, true), (9, false), (2, false)].map(|(at, may_be_gone)| {
            let at = Some(Timestamp::from_micros(at));
            let want = Want { core: true, may_be_gone, at, ..Want::default() };
            Said { asks: Some((page, ResourceId::unknown(), want)), stock: None, definition: None }
        });
        let asked = questions(&wanted(&asks));
        assert_eq!((asked.len(), asked[0].at), (1, Some(Timestamp::from_micros(9))));
        assert_eq!(asked[0].may_be_gone, asked[0].ids);
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

    #[test]
    fn what_may_not_be_asked_is_let_go_and_what_cannot_be_is_kept() {
        let shop = || Shop::from_name("acme").expect("a shop");
        let refused = |status| AdminError::Refused { shop: shop(), status, detail: String::new() };
        let after = |error: AdminError| Again::after(&error.into());
        assert_eq!(after(refused(200)), Again::Never);
        assert_eq!(after(refused(402)), Again::Always);
        let few = Again::after(&PullError::Ask(AskError::Fault(String::new())));
        let told = |again, delivered| matches!(acknowledgement(again, delivered), AckKind::Ack);
        assert!(told(None, 1) && told(Some(Again::Never), 1));
        assert!(!told(Some(Again::Always), 1_000));
        assert!(!told(Some(few), 1) && told(Some(few), TRIES_MAX));
    }
}
