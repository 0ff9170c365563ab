//! Media of single changes, seconds after them. What a whole look at the shop brings is left to
//! [`super::look`].

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use backstock_proto::kind::{self, Arrival};
use backstock_proto::stream::{partition_of, stream_name};
use backstock_proto::{Event, Facet, Kind, Op, ResourceId, ResourceKey, Source, media};
use futures::{FutureExt, StreamExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{Keeper, MediaError, Named, look};
use crate::offered::{self, ACK_WAIT, during};

/// How long messages are gathered.
const GATHER: Duration = Duration::from_millis(500);
/// Most messages that are looked at together.
const MESSAGES_MAX: usize = 100;
/// Resources at once.
const RESOURCES: usize = 8;
/// Rest after a failure.
const REST: Duration = Duration::from_secs(5);

/// What was told of some resources, in the order in which it was told.
type Told = BTreeMap<ResourceKey, Vec<Event>>;

/// Follows one shop's changes until `shutdown`.
pub(crate) async fn run(keeper: Keeper, again: look::Sender, shutdown: CancellationToken) {
    loop {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = follow(&keeper, &again) => outcome,
        };
        if let Err(error) = outcome {
            let shop = &keeper.puller.shop;
            let error = format!("{error:#}");
            warn!(%shop, error, "following changes of media failed; trying again");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(REST) => {}
        }
    }
}

async fn follow(keeper: &Keeper, again: &look::Sender) -> anyhow::Result<()> {
    let consumer = consumer(keeper).await?;
    loop {
        let messages = offered::next(&consumer, MESSAGES_MAX, GATHER).await?;
        let mut told = Told::new();
        for message in &messages {
            let headers = message.headers.clone().unwrap_or_default();
            let event = Event::from_message(&message.subject, &headers, message.payload.clone());
            // What cannot be read is the journal's to put aside.
            if let Some(event) = event.ok().filter(concerns) {
                told.entry(event.key.clone()).or_default().push(event);
            }
        }
        let kept = futures::stream::iter(told.into_values())
            .map(|events| keep(keeper, events, again).boxed())
            .buffer_unordered(RESOURCES);
        let failed = kept.filter_map(async |kept| kept.err()).collect::<Vec<_>>();
        let failed = during(&messages, failed).await;
        let kind = if failed.is_empty() { AckKind::Ack } else { AckKind::Nak(Some(REST)) };
        for message in messages {
            message.ack_with(kind).await.map_err(|e| anyhow::anyhow!("{e}"))?;
        }
        if let Some(error) = failed.into_iter().next() {
            return Err(error.into());
        }
    }
}

/// Keeps the media of one resource, version by version.
async fn keep(keeper: &Keeper, events: Vec<Event>, again: &look::Sender) -> Result<(), MediaError> {
    for event in events {
        let Event { source, facet, op, .. } = event;
        let arrival = Arrival { source, facet, op };
        let Ok(document) = event.key.kind.read(arrival, &event.key.id, &event.payload) else {
            continue;
        };
        let Some(state) = document.state else { continue };
        let said: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        // As the journal dates it.
        let dated = event.valid_at.or(document.updated_at).or(event.triggered_at);
        let valid_at = dated.unwrap_or(event.received_at);
        let triggered_at = event.triggered_at.unwrap_or(valid_at);
        let (key, is_told) = (&event.key, true);
        let named = Named { key, state: &state, said: &said, valid_at, triggered_at, is_told };
        if !keeper.resource(named).await?.failures.is_empty() {
            again.later(&event.key.kind);
        }
    }
    Ok(())
}

/// Whether an event may bring media that nobody else looks after.
fn concerns(event: &Event) -> bool {
    event.facet == Facet::Core
        && event.op != Op::Delete
        && event.source != Source::Reconcile
        && event.key.id != ResourceId::unknown()
        && media::has_media(&event.key.kind)
}

async fn consumer(keeper: &Keeper) -> anyhow::Result<PullConsumer> {
    let (shop, publisher) = (&keeper.puller.shop, &keeper.puller.publisher);
    let partition = partition_of(shop, publisher.partitions);
    let stream = publisher.jetstream.get_stream(stream_name(partition)).await?;
    let kinds = kind::ALL.iter().map(|spec| Kind::of(spec)).filter(media::has_media);
    let subject = |kind| format!("backstock.{partition}.event.{}.{kind}.>", shop.name());
    let name = format!("media-{}", shop.name());
    let config = pull::Config {
        durable_name: Some(name),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        deliver_policy: DeliverPolicy::New,
        filter_subjects: kinds.map(subject).collect(),
        description: Some("Keeps the bytes of media".into()),
        ..pull::Config::default()
    };
    Ok(stream.create_consumer(config).await?)
}
