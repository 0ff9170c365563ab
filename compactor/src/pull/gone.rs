//! What a pull did not see: asked for by its id, and taken for gone when it is not there.

use std::collections::BTreeSet;

use backstock_proto::journal::{AsOf, Head};
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::Way;
use backstock_proto::{Facet, Kind, Op, ResourceId, ResourceKey, Source, Timestamp};
use serde_json::Value;

use super::correct::Pulled;
use super::witness::Deposition;
use super::{Order, PullError, Puller, Run};
use crate::reconcile::{self, Gone, Since, Window};

/// Days after which Shopify hides an order from an app without `read_all_orders`, less one.
const ORDERS_SEEN_DAYS: i64 = 59;

impl Puller {
    /// Asks for what was not seen, and takes for gone what is.
    pub(super) async fn settle_suspects(
        &self,
        run: &mut Run,
        suspects: Vec<Gone>,
        living: usize,
        order: &Order,
        deposition: &mut Deposition,
    ) -> Result<(), PullError> {
        let window = Window::at(run.report.started_at);
        let suspected: Vec<ResourceId> = suspects.iter().map(|one| one.id.clone()).collect();
        let mut gone = self.confirmed(run.spec, suspects).await?;
        let ids: Vec<ResourceId> = gone.iter().map(|gone| gone.id.clone()).collect();
        let hidden = self.hidden(run.spec, &ids).await?;
        gone.retain(|gone| !hidden.contains(&gone.id));
        if reconcile::is_suspicious(gone.len(), living + gone.len()) && !order.confirm_deletions {
            let (gone, living) = (gone.len(), living + gone.len());
            return Err(PullError::Held { kind: run.spec.name, gone, living });
        }
        let ended: BTreeSet<&ResourceId> = gone.iter().map(|one| &one.id).collect();
        for id in suspected.iter().filter(|id| !ended.contains(id)) {
            deposition.saw(id, Facet::Core, None)?;
        }
        for one in gone {
            let since = |_: &Head| reconcile::gone_since(one.last_seen, window);
            let key = self.key(&run.kind, &one.id);
            if self.end(key, Source::Reconcile, window, since).await? {
                run.drifted(one.id, Facet::Core, "extra");
            }
        }
        Ok(())
    }

    /// Publishes the end of resources that were asked for by id and not found.
    pub(crate) async fn gone(
        &self,
        spec: &'static Spec,
        ids: &[ResourceId],
        asked_at: Timestamp,
    ) -> Result<(), PullError> {
        let (kind, window) = (Kind::of(spec), Window::at(asked_at));
        let hidden = self.hidden(spec, ids).await?;
        for id in ids.iter().filter(|id| !hidden.contains(*id)) {
            let since = |head: &Head| reconcile::gone_since(head.valid_at, window);
            self.end(self.key(&kind, id), Source::Pull, window, since).await?;
        }
        Ok(())
    }

    /// Publishes the end of a resource that went with something else, which is known since `known_at`.
    pub(crate) async fn gone_with(
        &self,
        spec: &'static Spec,
        id: &ResourceId,
        went_at: Timestamp,
        known_at: Timestamp,
    ) -> Result<(), PullError> {
        let (kind, window) = (Kind::of(spec), Window::at(known_at));
        let since = |head: &Head| match head.valid_at <= went_at {
            true => Since { valid_at: went_at, earliest_at: None },
            false => reconcile::gone_since(head.valid_at, window),
        };
        self.end(self.key(&kind, id), Source::Pull, window, since).await?;
        Ok(())
    }

    /// Publishes a resource's end, unless it has ended already or was touched since it was asked for.
    async fn end(
        &self,
        key: ResourceKey,
        source: Source,
        window: Window,
        since: impl Fn(&Head) -> Since,
    ) -> Result<bool, PullError> {
        let head = self.head(&key, Facet::Core).await?;
        let Some(head) = head.filter(|head| reconcile::is_suspect(head, window)) else {
            return Ok(false);
        };
        let gid = key.kind.gid(&key.id).unwrap_or_default();
        let payload = serde_json::json!({"id": gid}).to_string().into_bytes();
        let gone = Pulled {
            key,
            facet: Facet::Core,
            op: Op::Delete,
            source,
            since: since(&head),
            read_at: window.started,
            payload,
        };
        self.publish(gone).await?;
        Ok(true)
    }

    /// Those of the suspects that the shop says are not there.
    async fn confirmed(
        &self,
        spec: &'static Spec,
        suspects: Vec<Gone>,
    ) -> Result<Vec<Gone>, PullError> {
        if suspects.is_empty() {
            return Ok(suspects);
        }
        let by_id = spec.pulls.iter().find_map(|pull| match &pull.way {
            Way::ById { ids_max, .. } if pull.facets.contains(&Facet::Core) => {
                Some((pull, *ids_max))
            }
            _ => None,
        });
        let mut there = BTreeSet::new();
        match by_id {
            Some((pull, ids_max)) => {
                for some in suspects.chunks(ids_max) {
                    let ids: Vec<ResourceId> = some.iter().map(|gone| gone.id.clone()).collect();
                    let nodes = self.asker.by_id(spec, pull, &ids).await?;
                    there.extend(nodes.iter().filter_map(spec.id));
                }
            }
            // Where nothing can be asked for by id, it must be missing from a second list as well.
            None => {
                for pull in spec.pulls {
                    let take = |nodes: Vec<Value>| {
                        there.extend(nodes.iter().filter_map(spec.id));
                        Ok::<_, PullError>(())
                    };
                    self.asker.all(pull, take).await?;
                }
            }
        }
        Ok(suspects.into_iter().filter(|gone| !there.contains(&gone.id)).collect())
    }

    /// Those that Shopify may not show although they are there: orders that are not known to be young,
    /// unless the app sees orders of any age.
    async fn hidden(
        &self,
        spec: &'static Spec,
        ids: &[ResourceId],
    ) -> Result<BTreeSet<ResourceId>, PullError> {
        let mut hidden = BTreeSet::new();
        if spec.name != "order" || ids.is_empty() || self.sees_all_orders().await? {
            return Ok(hidden);
        }
        let (kind, day) = (Kind::of(spec), 24 * 3600 * 1_000_000);
        let oldest = Timestamp::from_micros(self.clock.now().as_micros() - ORDERS_SEEN_DAYS * day);
        for id in ids {
            let known = self.journal.resource(&self.key(&kind, id), AsOf::Latest).await?;
            let created = known.as_ref().and_then(|known| known.state["createdAt"].as_str());
            let created = created.and_then(|at| Timestamp::parse(at).ok());
            if created.is_none_or(|created| created <= oldest) {
                hidden.insert(id.clone());
            }
        }
        Ok(hidden)
    }

    /// Whether orders of any age are shown to this app.
    async fn sees_all_orders(&self) -> Result<bool, PullError> {
        let scopes = crate::scope::granted(&self.asker).await?;
        Ok(scopes.iter().any(|scope| scope == "read_all_orders"))
    }
}
