//! Targeted pulls: a webhook that does not tell everything is followed by a question about that one
//! resource, seconds later.
//!
//! What arrives within a short while about the same resource is one question. The consumer is durable,
//! and a message is acknowledged when what it asked for is on the stream: after a kill the rest is
//! asked again, and found to be known.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind};
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::kind::{Arrival, Spec};
use backstock_proto::pulls::Order;
use backstock_proto::stream::{partition_of, stream_name};
use backstock_proto::{Event, Facet, Kind, Op, ResourceId};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::pull::{PullError, Puller};

/// How long signals about the same resource are gathered.
const GATHER: Duration = Duration::from_millis(1_500);
/// Most messages that are looked at together.
const MESSAGES_MAX: usize = 500;
/// How long a message may take until it is offered again.
const ACK_WAIT: Duration = Duration::from_secs(300);
/// Rest after a failure.
const REST: Duration = Duration::from_secs(5);

/// What has to be asked: for each kind, which resources, and whether their core is among it.
type Wanted = BTreeMap<&'static str, BTreeMap<ResourceId, Want>>;

/// How urgently, and what of it, a resource is to be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Want {
    /// The core too: the webhook did not carry it, or not whole.
    core: bool,
}

/// Follows one shop's webhooks until `shutdown`.
pub(crate) async fn run(puller: Puller, shutdown: CancellationToken) {
    loop {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = follow(&puller) => outcome,
        };
        if let Err(error) = outcome {
            warn!(shop = %puller.shop, "following webhooks failed: {error:#}; trying again");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(REST) => {}
        }
    }
}

async fn follow(puller: &Puller) -> anyhow::Result<()> {
    let consumer = consumer(puller).await?;
    loop {
        let batch = consumer.fetch().max_messages(MESSAGES_MAX).expires(GATHER).messages().await?;
        let mut batch = std::pin::pin!(batch);
        let mut messages = Vec::new();
        while let Some(message) = batch.next().await {
            messages.push(message.map_err(|e| anyhow::anyhow!("{e}"))?);
        }
        if messages.is_empty() {
            // A batch that is empty at once would be asked for again at once.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        }
        let wanted = wanted(&messages);
        let asked = ask(puller, wanted).await;
        let kind = match &asked {
            Ok(()) => AckKind::Ack,
            Err(_) => AckKind::Nak(Some(REST)),
        };
        for message in messages {
            message.ack_with(kind).await.map_err(|e| anyhow::anyhow!("{e}"))?;
        }
        asked?;
    }
}

async fn consumer(puller: &Puller) -> anyhow::Result<PullConsumer> {
    let publisher = &puller.publisher;
    let partition = partition_of(&puller.shop, publisher.partitions);
    let stream: jetstream::stream::Stream =
        publisher.jetstream.get_stream(stream_name(partition)).await?;
    let name = format!("compactor-{}", puller.shop.name());
    let config = pull::Config {
        durable_name: Some(name.clone()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        deliver_policy: DeliverPolicy::New,
        filter_subject: format!("backstock.{partition}.event.{}.>", puller.shop.name()),
        description: Some("Asks the Admin API for what webhooks do not tell".into()),
        ..pull::Config::default()
    };
    Ok(stream.get_or_create_consumer(&name, config).await?)
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
                warn!(shop = %puller.shop, kind = spec.name, "reading by id failed: {error}");
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
        return puller.kind(spec, &crate::pull::Order::default()).await.map(drop);
    }
    for pull in by_id(spec) {
        let Way::ById { ids_max, .. } = &pull.way else { continue };
        for some in ids.chunks(*ids_max) {
            let asked_at = puller.clock.now();
            let there = puller.some(spec, pull, some, |_| true).await?;
            if pull.facets.contains(&Facet::Core) {
                let gone = some.iter().filter(|id| !there.contains_key(*id));
                puller.gone(spec, gone, asked_at).await?;
                for (id, node) in there {
                    puller.media.seen(puller.key(&Kind::of(spec), &id), node, asked_at);
                }
            }
        }
    }
    Ok(())
}

/// What some messages ask for.
fn wanted(messages: &[jetstream::Message]) -> Wanted {
    let mut wanted = Wanted::new();
    for message in messages {
        let headers = message.headers.clone().unwrap_or_default();
        let event = Event::from_message(&message.subject, &headers, message.payload.clone());
        // What cannot be read is the journal's to put aside.
        let Ok(event) = event else { continue };
        let Some((spec, want)) = want(&event) else { continue };
        let of_kind = wanted.entry(spec.name).or_default();
        let entry = of_kind.entry(event.key.id).or_default();
        entry.core |= want.core;
    }
    wanted
}

/// What one event leaves open. Our own corrections leave nothing.
fn want(event: &Event) -> Option<(&'static Spec, Want)> {
    let spec = event.key.kind.spec()?;
    let asks = event.source.is_delivered() && event.op != Op::Delete;
    if !asks || event.key.id == ResourceId::unknown() || by_id(spec).is_empty() {
        return None;
    }
    if event.facet == Facet::Signal {
        return Some((spec, Want { core: true }));
    }
    let Event { source, facet, op, .. } = *event;
    let arrival = Arrival { source, facet, op };
    let document = event.key.kind.read(arrival, &event.key.id, &event.payload).ok()?;
    let core = !document.state.as_ref().is_none_or(spec.is_whole);
    let more = by_id(spec).iter().any(|pull| pull.facets.iter().any(|facet| *facet != Facet::Core));
    (core || more).then_some((spec, Want { core }))
}

fn by_id(spec: &'static Spec) -> Vec<&'static Pull> {
    spec.pulls.iter().filter(|pull| matches!(pull.way, Way::ById { .. })).collect()
}

/// Asks for everything that is wanted, and publishes what history does not have.
async fn ask(puller: &Puller, wanted: Wanted) -> Result<(), PullError> {
    for (name, resources) in wanted {
        let Some(spec) = backstock_proto::kind::ALL.iter().find(|spec| spec.name == name) else {
            continue;
        };
        let ids: Vec<ResourceId> = resources.keys().cloned().collect();
        debug!(shop = %puller.shop, kind = name, resources = ids.len(), "asking by id");
        for pull in by_id(spec) {
            let Way::ById { ids_max, .. } = &pull.way else { continue };
            for some in ids.chunks(*ids_max) {
                let core = |id: &ResourceId| resources.get(id).is_some_and(|want| want.core);
                puller.some(spec, pull, some, core).await?;
            }
        }
    }
    Ok(())
}
