//! All of a kind of which there is little, in a few questions: nothing is put on record but what differs.

use std::collections::BTreeSet;

use backstock_proto::journal::Head;
use backstock_proto::kind::Spec;
use backstock_proto::{Facet, Kind, Source, Timestamp};
use futures::TryStreamExt;
use serde_json::Value;
use tracing::warn;

use super::compare::{Heads, looked_at};
use super::{PullError, Puller};
use crate::reconcile::{self, Gone, Window};

impl Puller {
    /// Publishes what history does not have of a kind, or has otherwise, and the end of what is gone. `last`
    /// is when it was last seen to be as history has it. Answers since when it is now, both by the shop's
    /// clock.
    pub(crate) async fn few(
        &self,
        spec: &'static Spec,
        last: Timestamp,
    ) -> Result<Timestamp, PullError> {
        let (kind, erased) = (Kind::of(spec), self.journal.erased(&self.shop).await?);
        let window = Window { missing_since: Some(last), ..Window::at(self.now()) };
        let mut nodes = Vec::new();
        for pull in spec.pulls {
            let take = |some: Vec<Value>| {
                nodes.extend(some);
                Ok::<_, PullError>(())
            };
            self.asker.all(pull, take).await?;
        }
        let heads = self.journal.heads(&self.shop, &kind, None).await?;
        let by_facet = heads.map_ok(|head| ((head.id.clone(), head.facet), head));
        let heads: Heads = by_facet.try_collect().await?;
        let (mut there, mut found) = (BTreeSet::new(), Vec::new());
        for node in &mut nodes {
            let Some(id) = (spec.id)(node) else {
                return Err(PullError::Unreadable(format!("a {kind} does not say which it is")));
            };
            let about = (&kind, &id, &erased);
            for facet in looked_at(spec, about, &[Facet::Core], node, &heads, window)? {
                let Some(mut correction) = facet.correction else { continue };
                // When it was looked at before, it was as history has it.
                let earliest_at = correction.since.earliest_at;
                correction.since.earliest_at = earliest_at.map(|at| at.max(last));
                let key = self.key(&kind, &id);
                found.push(correction.pulled(key, Source::Reconcile, window.started));
            }
            there.insert(id);
        }
        for one in found {
            self.publish(one).await?;
        }
        let cores = heads.into_values().filter(|head| head.facet == Facet::Core);
        let missing =
            cores.filter(|head| !there.contains(&head.id) && reconcile::is_suspect(head, window));
        let suspects = missing.map(|head| Gone { id: head.id, last_seen: head.valid_at.max(last) });
        let gone = self.confirmed(spec, suspects.collect()).await?;
        if reconcile::is_suspicious(gone.len(), there.len() + gone.len()) {
            let (shop, gone) = (&self.shop, gone.len());
            warn!(%shop, %kind, gone, "so many are gone at once that the next whole look is to say so");
            return Ok(last);
        }
        for one in gone {
            let since = |_: &Head| reconcile::gone_since(one.last_seen, window);
            self.end(self.key(&kind, &one.id), Source::Reconcile, window, since).await?;
        }
        Ok(window.started)
    }
}
