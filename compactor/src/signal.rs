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
use backstock_proto::publish::Publisher;
use backstock_proto::stream::{partition_of, stream_name};
use backstock_proto::trace::{Span, SpanKind};
use backstock_proto::{Facet, ResourceId, Shop};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::by_id::Errand;
use crate::offered::{self, ACK_WAIT, during};
use crate::orders::Doors;
use crate::pull::{PullError, Puller, QUESTIONS, caught};
use crate::question::{Question, Said, Wanted, questions, said, wanted};
use crate::reconcile::Window;
use crate::{by_id, scope, stock, values};

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

/// What was not answered, and whether to ask again.
type Open = BTreeMap<(&'static str, ResourceId), Again>;

/// Whether asking again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Again {
    /// The app may not ask this.
    Never,
    /// It may pass.
    Few,
    /// Nothing can be asked at the moment, whatever it is about.
    Always,
}

/// Follows one shop's webhooks until `shutdown`, and hands on what is ordered by its id.
pub(crate) async fn run(
    puller: Puller,
    doors: Doors,
    errands: mpsc::UnboundedSender<Errand>,
    shutdown: CancellationToken,
) {
    // History is behind until it knows what they did not tell.
    let asker = Asker { urgent: true, ..puller.asker.clone() };
    let puller = Puller { asker, ..puller };
    loop {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = follow(&puller, &doors, &errands) => outcome,
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

async fn follow(
    puller: &Puller,
    doors: &Doors,
    errands: &mpsc::UnboundedSender<Errand>,
) -> anyhow::Result<()> {
    let consumer = consumer(puller).await?;
    loop {
        let messages = offered::next(&consumer, MESSAGES_MAX, GATHER).await?;
        let (mut held, mut asked) = (Vec::new(), Vec::new());
        for mut message in messages {
            if let Some(order) = by_id::order(&message.subject, &message.payload) {
                // Where nobody hears of it, it is offered again.
                let _stopping = errands.send((message, order));
                continue;
            }
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
            let reply = reply(message, again);
            message.ack_with(reply).await.map_err(|e| anyhow::anyhow!("{e}"))?;
        }
    }
}

/// What the stream is told of a message.
pub(crate) fn reply(message: &jetstream::Message, again: Option<Again>) -> AckKind {
    let delivered = message.info().map_or(1, |info| info.delivered);
    acknowledgement(again, u32::try_from(delivered).unwrap_or(1))
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
        filter_subjects: vec![
            format!("backstock.{partition}.event.{}.>", puller.shop.name()),
            by_id::subject(partition, &puller.shop),
        ],
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

impl Question {
    /// Asks it, as part of the trace of a webhook that it is asked for (where several share it, of one of
    /// them), and publishes what history does not have. Answers whether to ask again, if it failed.
    async fn asked(&self, puller: &Puller) -> Option<Again> {
        let Self { spec, pull, ids, trace, .. } = self;
        debug!(shop = %puller.shop, kind = spec.name, resources = ids.len(), "asking by id");
        let mut span = Span::begin("compactor ask", SpanKind::Consumer, *trace);
        span.set("shop", &puller.shop);
        span.count("resources", ids.len() as u64);
        let answered = span.context().scope(caught(self.answered(puller))).await;
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
        let answered = puller.some(spec, pull, ids, window, |id| core.contains(id)).await?;
        if pull.facets.contains(&Facet::Core) {
            let gone = may_be_gone.iter().filter(|(id, _)| !answered.there.contains_key(*id));
            let gone: Vec<_> = gone.map(|(id, went_at)| (id.clone(), *went_at)).collect();
            puller.gone(spec, &gone, read_at).await?;
        }
        answered.up_to_date()
    }
}

/// Whether to ask again after a failure. Where a shop answers others, it is up to the question that it
/// was not answered, and nothing else has to wait.
pub(crate) async fn again_after(puller: &Puller, error: &PullError) -> Again {
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
                AdminError::Refused { status: 200, .. } | AdminError::Document { .. } => {
                    Self::Never
                }
                // With 403 it may be the way to the shop that is refused, and not the question.
                AdminError::Refused { status: 403, .. }
                | AdminError::Unknown { .. }
                | AdminError::Garbled { .. } => Self::Few,
                AdminError::Unauthorized(..)
                | AdminError::Refused { .. }
                | AdminError::Unavailable { .. } => Self::Always,
            },
            PullError::Ask(AskError::Denied(_)) => Self::Never,
            PullError::Ask(AskError::Fault(_) | AskError::FellForward(_))
            | PullError::Journal(_)
            | PullError::Tree(_)
            | PullError::Operation(..)
            | PullError::Lines(_)
            | PullError::Unreadable(_)
            | PullError::Behind(_)
            | PullError::Panicked
            | PullError::Held { .. } => Self::Few,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_asked_is_let_go_and_what_cannot_be_is_kept() {
        let shop = || Shop::from_name("acme").expect("a shop");
        let refused = |status| AdminError::Refused { shop: shop(), status, detail: String::new() };
        let after = |error: AdminError| Again::after(&error.into());
        assert_eq!(after(refused(200)), Again::Never);
        assert_eq!(after(refused(402)), Again::Always);
        assert_eq!(after(refused(403)), Again::Few);
        let few = Again::after(&PullError::Ask(AskError::Fault(String::new())));
        let told = |again, delivered| matches!(acknowledgement(again, delivered), AckKind::Ack);
        assert!(told(None, 1) && told(Some(Again::Never), 1));
        assert!(!told(Some(Again::Always), 1_000));
        assert!(!told(Some(few), 1) && told(Some(few), TRIES_MAX));
    }
}
