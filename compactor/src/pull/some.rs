//! Questions by id: what a webhook left open, what an order names, and what only they bring.

use std::collections::BTreeMap;

use backstock_proto::admin::ask::dated;
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::{Pull, Way};
use backstock_proto::{Facet, Kind, ResourceId, Source};
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::Value;
use tracing::warn;

use super::compare::{Correction, heads_of, left_out, looked_at};
use super::correct::{IN_FLIGHT, Settled};
use super::witness::Deposition;
use super::{PullError, Puller, Run};
use crate::reconcile::{self, Window};
use crate::spill::{BUCKETS, Buckets, bucket_of};

/// Questions by id at once.
pub(crate) const QUESTIONS: usize = 4;

/// What questions by id brought.
#[derive(Default)]
pub(crate) struct Answered {
    /// The resources that are there, each as it was read; `None` where that is older than what a webhook
    /// has just told.
    pub(crate) there: BTreeMap<ResourceId, Option<Value>>,
}

impl Answered {
    /// An error where one of them is to be asked for again, since what came of it is older.
    pub(crate) fn up_to_date(&self) -> Result<(), PullError> {
        let behind = self.there.iter().find(|(_, node)| node.is_none());
        behind.map_or(Ok(()), |(id, _)| Err(PullError::Behind(id.clone())))
    }
}

impl Puller {
    /// Asks for some resources by id, because webhooks left something open about them, and publishes
    /// what history does not have: as each one's window says, by the shop's clock. The core only of those
    /// that `core` names: of the others a webhook has told it.
    pub(crate) async fn some(
        &self,
        spec: &'static Spec,
        pull: &'static Pull,
        ids: &[ResourceId],
        window: impl Fn(&ResourceId) -> Window,
        core: impl Fn(&ResourceId) -> bool,
    ) -> Result<Answered, PullError> {
        let kind = Kind::of(spec);
        let erased = self.journal.erased(&self.shop).await?;
        let (mut answered, mut found, mut failed) = (Answered::default(), Vec::new(), None);
        for mut node in self.asker.by_id(spec, pull, ids).await? {
            let Some(id) = (spec.id)(&node) else { continue };
            let facets: Vec<Facet> =
                pull.facets.iter().copied().filter(|f| *f != Facet::Core || core(&id)).collect();
            let key = self.key(&kind, &id);
            let heads = self.heads_now(&key).await?;
            let window = window(&id);
            let told = heads.get(&(id.clone(), Facet::Core)).filter(|_| core(&id));
            if told.is_some_and(|told| reconcile::is_behind(dated(&node), told, window)) {
                answered.there.insert(id, None);
                continue;
            }
            let about = (&kind, &id, &erased);
            let looked_at = match looked_at(spec, about, &facets, &mut node, &heads, window) {
                Ok(looked_at) => looked_at,
                // The others are none the worse for it.
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            };
            for facet in looked_at.iter().filter(|facet| facet.is_too_large) {
                let (shop, facet) = (&self.shop, facet.facet.as_str());
                warn!(%shop, %kind, %id, facet, "more than the stream takes: it stays as it is known");
            }
            let corrections = looked_at.into_iter().filter_map(|facet| facet.correction);
            let read_at = window.started;
            found.extend(corrections.map(|one| one.pulled(key.clone(), Source::Pull, read_at)));
            answered.there.insert(id, Some(node));
        }
        let published = futures::stream::iter(found).map(|one| self.publish(one).boxed());
        published.buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        failed.map_or(Ok(answered), Err)
    }

    /// Reads facets that only a question by id brings.
    pub(super) async fn by_id(
        &self,
        run: &mut Run,
        pull: &'static Pull,
        facets: &[Facet],
        ids: &[ResourceId],
        heads: &Buckets,
        deposition: &mut Deposition,
    ) -> Result<(), PullError> {
        let Way::ById { ids_max, .. } = &pull.way else { return Ok(()) };
        let spec = run.spec;
        run.stages.of = Some(ids.len() as u64);
        let mut of_bucket: Vec<Vec<ResourceId>> = vec![Vec::new(); BUCKETS];
        for id in ids {
            of_bucket[bucket_of(&(spec.ask_for)(id))].push(id.clone());
        }
        for (bucket, ids) in of_bucket.iter().enumerate() {
            if ids.is_empty() {
                continue;
            }
            let heads = heads_of(heads, bucket, facets)?;
            let window = Window::at(self.now());
            let some: Vec<Vec<ResourceId>> = ids.chunks(*ids_max).map(<[_]>::to_vec).collect();
            let asked = futures::stream::iter(some)
                .map(|ids| async move { self.asker.by_id(spec, pull, &ids).await }.boxed());
            let mut asked = std::pin::pin!(asked.buffer_unordered(QUESTIONS));
            while let Some(nodes) = asked.next().await {
                let mut corrections = Vec::new();
                for mut node in nodes? {
                    let Some(id) = (spec.id)(&node) else { continue };
                    for facet in left_out(spec, facets, &node) {
                        *run.left_out.entry(facet).or_default() += 1;
                    }
                    let about = (&run.kind, &id, &*run.erased);
                    for facet in looked_at(spec, about, facets, &mut node, &heads, window)? {
                        facet.put_down(deposition, &id)?;
                        if facet.is_too_large {
                            *run.too_large.entry(facet.facet).or_default() += 1;
                        }
                        corrections.extend(facet.correction);
                    }
                }
                self.correct_all(run, corrections, window).await?;
            }
            run.stages.compared += ids.len() as u64;
            self.progress(run, 0).await?;
        }
        Ok(())
    }

    async fn correct_all(
        &self,
        run: &mut Run,
        corrections: Vec<Correction>,
        window: Window,
    ) -> Result<(), PullError> {
        let (kind, drift) = (run.kind.clone(), run.whole_since.is_some());
        let settled = futures::stream::iter(corrections)
            .map(|correction| self.correct(&kind, correction, window, drift).boxed());
        let mut settled = std::pin::pin!(settled.buffer_unordered(IN_FLIGHT));
        while let Some(one) = settled.next().await {
            if let Settled::Published { id, facet, missed } = one? {
                run.drifted(id, facet, if missed { "missed" } else { "changed" });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_older_than_what_was_told_is_there_and_is_to_be_asked_for_again() {
        let id = |id: &str| ResourceId::parse(id).expect("an id");
        let mut answered = Answered::default();
        answered.there.insert(id("7"), Some(json!({"title": "Mug"})));
        assert!(answered.up_to_date().is_ok());
        answered.there.insert(id("8"), None);
        let again = answered.up_to_date();
        assert!(
            matches!(&again, Err(PullError::Behind(behind)) if *behind == id("8")),
            "{again:?}"
        );
    }
}
