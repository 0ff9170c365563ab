//! Differences → the stream, unless history has learned them meanwhile.

use backstock_proto::journal::{AsOf, Head, Raw};
use backstock_proto::kind::Arrival;
use backstock_proto::publish::PublishError;
use backstock_proto::{
    Event, Facet, Kind, Op, ResourceId, ResourceKey, Source, Timestamp, known, union,
};
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::compare::{Correction, Found, Heads};
use super::{Census, PullError, Puller, Run};
use crate::reconcile::{self, Finding, Seen, Since, Window};

/// Corrections on their way to the stream at once.
pub(crate) const IN_FLIGHT: usize = 256;
/// How long what a webhook left open may take to be answered, in microseconds: it is asked a few times.
const ANSWERED_WITHIN: u64 = 600 * 1_000_000;
/// Most variants that a product's webhook carries.
const VARIANTS_TOLD: usize = 100;

/// What a pull has to say.
pub(super) struct Pulled {
    pub(super) key: ResourceKey,
    pub(super) facet: Facet,
    pub(super) op: Op,
    pub(super) source: Source,
    pub(super) since: Since,
    pub(super) read_at: Timestamp,
    pub(super) payload: Vec<u8>,
}

/// What became of something found.
pub(super) enum Settled {
    Published {
        id: ResourceId,
        facet: Facet,
        missed: bool,
    },
    /// Published what a webhook could not tell, which is no drift.
    Completed,
    KnownMeanwhile,
    Other(Found),
}

impl Correction {
    pub(super) fn pulled(self, key: ResourceKey, source: Source, read_at: Timestamp) -> Pulled {
        let Self { facet, payload, since, missed, .. } = self;
        let op = if missed && facet == Facet::Core { Op::Create } else { Op::Update };
        Pulled { key, facet, op, source, since, read_at, payload }
    }
}

impl Puller {
    /// Publishes corrections as they are found.
    pub(super) async fn take(
        &self,
        run: &mut Run,
        window: Window,
        found: mpsc::Receiver<Found>,
        census: &mut Census,
    ) -> Result<(), PullError> {
        let found = futures::stream::unfold(found, async |mut found| {
            found.recv().await.map(|one| (one, found))
        });
        let (kind, drift) = (run.kind.clone(), run.whole_since.is_some());
        let settled = found.map(|one| {
            let kind = &kind;
            async move {
                match one {
                    Found::Correction(correction) => {
                        self.correct(kind, correction, window, drift).await
                    }
                    other => Ok(Settled::Other(other)),
                }
            }
            .boxed()
        });
        let mut settled = std::pin::pin!(settled.buffer_unordered(IN_FLIGHT));
        while let Some(one) = settled.next().await {
            match one? {
                Settled::Published { id, facet, missed } => {
                    run.drifted(id, facet, if missed { "missed" } else { "changed" });
                }
                Settled::Completed | Settled::KnownMeanwhile => {}
                Settled::Other(Found::Resources(there)) => {
                    run.report.objects += there.len() as u64;
                    run.stages.compared += there.len() as u64;
                    census.living += there.len();
                    census.ids.iter_mut().for_each(|ids| ids.extend_from_slice(&there));
                    self.progress(run, 0).await?;
                }
                Settled::Other(Found::LeftOut(facet)) => {
                    *run.left_out.entry(facet).or_default() += 1;
                }
                Settled::Other(Found::TooLarge(facet)) => {
                    *run.too_large.entry(facet).or_default() += 1;
                }
                Settled::Other(Found::Suspect(gone)) => census.suspects.push(gone),
                Settled::Other(Found::Broken(error)) => return Err(error),
                Settled::Other(Found::Correction(_)) => {}
            }
        }
        self.progress(run, 0).await
    }

    /// Publishes one difference, unless history has learned it since the heads were read.
    pub(super) async fn correct(
        &self,
        kind: &Kind,
        mut correction: Correction,
        window: Window,
        look_again: bool,
    ) -> Result<Settled, PullError> {
        let key = self.key(kind, &correction.id);
        let mut completes = false;
        if look_again || !correction.is_whole {
            let head = self.head(&key, correction.facet).await?;
            let seen = Seen { hash: &correction.hash, dated: correction.dated };
            match reconcile::compare(&seen, head.as_ref(), window) {
                Finding::Same | Finding::Newer => return Ok(Settled::KnownMeanwhile),
                // What was learned since the heads were read is not to come after it.
                Finding::Changed(since) => correction.since = since,
                Finding::Missed(_) => {}
            }
            if !correction.is_whole && self.is_known_whole(&key).await? {
                return Ok(Settled::KnownMeanwhile);
            }
            if let Some(head) = head {
                completes = self.is_told_in_part(&key, &head, &correction, window).await?;
                let dated = correction.dated.resource.filter(|at| *at >= head.valid_at);
                if let (true, Facet::Core, Some(valid_at)) = (completes, correction.facet, dated) {
                    // What was not told of it was there since then.
                    correction.since = Since { valid_at, earliest_at: None };
                }
            }
        }
        let (id, facet, missed) = (correction.id.clone(), correction.facet, correction.missed);
        let _until_it_is_published = correction.taken.take();
        self.publish(correction.pulled(key, Source::Reconcile, window.started)).await?;
        match completes {
            true => Ok(Settled::Completed),
            false => Ok(Settled::Published { id, facet, missed }),
        }
    }

    /// Whether history knows all of a resource that there is, and whom it is about.
    async fn is_known_whole(&self, key: &ResourceKey) -> Result<bool, PullError> {
        let known = self.journal.resource(key, AsOf::Latest).await?;
        let known = known.filter(|known| !known.deleted).zip(key.kind.spec());
        Ok(known.is_some_and(|(known, spec)| (spec.is_whole)(&known.state)))
    }

    /// Whether the newest that history has told of what was found as much as it could: a part of it was not
    /// kept then, or it is a webhook, and the question by id that it left open is still under way.
    async fn is_told_in_part(
        &self,
        key: &ResourceKey,
        head: &Head,
        found: &Correction,
        window: Window,
    ) -> Result<bool, PullError> {
        if head.deleted {
            return Ok(false);
        }
        let (told, again) = match self.journal.raw(key, head.seq).await? {
            Some(Raw::SameAs { seq }) => (self.journal.raw(key, seq).await?, true),
            told => (told, false),
        };
        let Some(Raw::Bytes(told)) = told else { return Ok(false) };
        let state = |source, payload: &[u8]| {
            let arrival = Arrival { source, facet: head.facet, op: Op::Update };
            key.kind.read(arrival, &key.id, payload).ok()?.state
        };
        let Some(found) = state(Source::Reconcile, &found.payload) else { return Ok(false) };
        let is_delivered = head.source.is_delivered();
        // What said nothing new may have come another way than what it stands for.
        let is_read_as_it_came = !again || key.kind.spec().is_some_and(|spec| spec.core.is_none());
        let is_as_told = |told: Value| {
            let is_same = is_read_as_it_came && known::is_same(&told, &found);
            is_same || (is_delivered && union::is_told_in_part(&found, &told))
        };
        if state(head.source, &told).is_some_and(is_as_told) {
            return Ok(true);
        }
        // One that told nothing new stands for the state before it, which a pull had brought.
        let is_recent = window.started.micros_since(head.triggered_at) < ANSWERED_WITHIN;
        let is_open = again && is_delivered && is_recent;
        let known = state(Source::Reconcile, &told).filter(|_| is_open);
        Ok(known.is_some_and(|known| union::is_told_in_part(&found, &as_told(known))))
    }

    pub(super) async fn publish(&self, pulled: Pulled) -> Result<(), PublishError> {
        let Pulled { key, facet, op, source, since, read_at, payload } = pulled;
        let topic = format!("{}/pulled", key.kind).into();
        let event = Event {
            key,
            facet,
            op,
            source,
            topic,
            api_version: Some(self.asker.client.access().api_version.as_str().into()),
            webhook_id: None,
            event_id: None,
            triggered_at: Some(read_at),
            received_at: self.clock.now(),
            valid_at: Some(since.valid_at),
            earliest_at: since.earliest_at,
            payload: payload.into(),
        };
        self.corrections.event(event).await
    }

    /// The newest version of a facet as history has it now.
    pub(super) async fn head(
        &self,
        key: &ResourceKey,
        facet: Facet,
    ) -> Result<Option<Head>, PullError> {
        Ok(self.heads_now(key).await?.remove(&(key.id.clone(), facet)))
    }

    /// The newest version of every facet of a resource as history has it now.
    pub(super) async fn heads_now(&self, key: &ResourceKey) -> Result<Heads, PullError> {
        let heads = self.journal.heads(&key.shop, &key.kind, Some(&key.id)).await?;
        let by_facet = heads.map_ok(|head| ((head.id.clone(), head.facet), head));
        Ok(by_facet.try_collect().await?)
    }
}

/// As much of a product as its webhook tells: of variants beyond the first hundred, which there are.
fn as_told(mut product: Value) -> Value {
    let variants = product.get_mut("variants").and_then(Value::as_array_mut);
    for variant in variants.into_iter().flatten().skip(VARIANTS_TOLD) {
        *variant = json!({"id": variant["id"].clone()});
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_webhook_could_not_tell_is_still_to_be_answered() {
        let product = |variants: usize, dearer: usize| {
            let variant = |n: usize| json!({"id": n.to_string(), "price": u8::from(n == dearer)});
            let variants: Vec<Value> = (0..variants).map(variant).collect();
            json!({"title": "Mug", "variants": variants})
        };
        let is_open = |found: &Value, variants: usize| {
            union::is_told_in_part(found, &as_told(product(variants, usize::MAX)))
        };
        assert!(is_open(&product(150, 100), 150) && is_open(&product(150, 149), 150));
        assert!(!is_open(&product(150, 99), 150), "the webhook would have told");
        assert!(!is_open(&product(151, 120), 150), "the webhook names all");
        assert!(!is_open(&product(100, 99), 100));
    }
}
