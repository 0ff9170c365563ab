//! What a pull did not see: asked for by its id, and taken for gone when it is not there.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::journal::{AsOf, Head};
use backstock_proto::kind::Spec;
use backstock_proto::kind::pull::Way;
use backstock_proto::{Facet, Kind, Op, ResourceId, ResourceKey, Source, Timestamp};
use futures::{FutureExt, StreamExt, TryStreamExt};
use serde_json::Value;

use super::correct::Pulled;
use super::witness::Deposition;
use super::{Order, PullError, Puller, Run, entries};
use crate::reconcile::{self, Gone, Since, Window};

/// Questions to the journal at once.
const JOURNAL_QUESTIONS: usize = 16;

/// Days after which Shopify hides an order from an app without `read_all_orders`, less one.
const ORDERS_SEEN_DAYS: i64 = 59;

impl Puller {
    /// Asks for what was not seen, and takes for gone what is. What went with something else that is known
    /// to be gone is no reason to doubt it.
    pub(super) async fn settle_suspects(
        &self,
        run: &mut Run,
        mut suspects: Vec<Gone>,
        living: usize,
        order: &Order,
        deposition: &mut Deposition,
    ) -> Result<(), PullError> {
        let window = Window::at(self.shops_time(run.report.started_at));
        let suspected: Vec<ResourceId> = suspects.iter().map(|one| one.id.clone()).collect();
        // Of these an answer would say nothing.
        let hidden = self.hidden(run.spec, &suspected).await?;
        suspects.retain(|one| !hidden.contains(&one.id));
        let gone = self.confirmed(run.spec, suspects).await?;
        let went = self.went_with_owners(run.spec, &gone).await?;
        let alone = gone.len() - went.len();
        if reconcile::is_suspicious(alone, living + alone) && !order.confirm_deletions {
            let (shop, kind) = (self.shop.clone(), run.spec.name);
            return Err(PullError::Held { shop, kind, gone: alone, living: living + alone });
        }
        let ended: BTreeSet<&ResourceId> = gone.iter().map(|one| &one.id).collect();
        for id in suspected.iter().filter(|id| !ended.contains(id)) {
            deposition.saw(id, Facet::Core, None)?;
        }
        for one in gone {
            let went_at = went.get(&one.id).copied();
            let since = |head: &Head| match went_at {
                Some(went_at) => reconcile::gone_with(head, went_at, window),
                None => reconcile::gone_since(one.last_seen, window),
            };
            let key = self.key(&run.kind, &one.id);
            if self.end(key, Source::Reconcile, window, since).await? {
                run.drifted(one.id, Facet::Core, "extra");
            }
        }
        Ok(())
    }

    /// Publishes the end of resources that were asked for by id and not found, each with when it went, if
    /// that is known.
    pub(crate) async fn gone(
        &self,
        spec: &'static Spec,
        went: &[(ResourceId, Option<Timestamp>)],
        asked_at: Timestamp,
    ) -> Result<(), PullError> {
        let (kind, window) = (Kind::of(spec), Window::at(asked_at));
        let ids: Vec<ResourceId> = went.iter().map(|(id, _)| id.clone()).collect();
        let hidden = self.hidden(spec, &ids).await?;
        for (id, went_at) in went.iter().filter(|(id, _)| !hidden.contains(id)) {
            let since = |head: &Head| match went_at {
                Some(went_at) => reconcile::gone_with(head, *went_at, window),
                None => reconcile::gone_since(head.valid_at, window),
            };
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
        let since = |head: &Head| reconcile::gone_with(head, went_at, window);
        self.end(self.key(&kind, id), Source::Pull, window, since).await?;
        Ok(())
    }

    /// Publishes a resource's end, unless it has ended already or was touched since it was asked for.
    pub(super) async fn end(
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
    pub(super) async fn confirmed(
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
                for ids in spec.portions(suspects.iter().map(|gone| &gone.id), ids_max) {
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

    /// Those that are parts of something which history knows to be gone, and since when.
    async fn went_with_owners(
        &self,
        spec: &'static Spec,
        gone: &[Gone],
    ) -> Result<BTreeMap<ResourceId, Timestamp>, PullError> {
        if entries::are(spec) {
            return self.went_with_definitions(spec, gone).await;
        }
        let mut owners: BTreeMap<ResourceKey, Vec<ResourceId>> = BTreeMap::new();
        for one in gone {
            if let Some((owner, id)) = spec.owner(&one.id) {
                let owner = self.key(&Kind::of(owner), &id);
                owners.entry(owner).or_default().push(one.id.clone());
            }
        }
        let heads = futures::stream::iter(owners).map(|(owner, parts)| {
            async move {
                let head = self.head(&owner, Facet::Core).await?;
                Ok::<_, PullError>((head.filter(|head| head.deleted), parts))
            }
            .boxed()
        });
        let mut heads = std::pin::pin!(heads.buffer_unordered(JOURNAL_QUESTIONS));
        let mut went = BTreeMap::new();
        while let Some((ended, parts)) = heads.try_next().await? {
            let Some(ended) = ended else { continue };
            went.extend(parts.into_iter().map(|part| (part, ended.valid_at)));
        }
        Ok(went)
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
        let keys: Vec<ResourceKey> = ids.iter().map(|id| self.key(&kind, id)).collect();
        let known = futures::stream::iter(keys).map(|key| {
            async move {
                let known = self.journal.resource(&key, AsOf::Latest).await?;
                Ok::<_, PullError>((key.id, known))
            }
            .boxed()
        });
        let mut known = std::pin::pin!(known.buffer_unordered(JOURNAL_QUESTIONS));
        while let Some((id, known)) = known.try_next().await? {
            let created = known.as_ref().and_then(|known| known.state["createdAt"].as_str());
            let created = created.and_then(|at| Timestamp::parse(at).ok());
            if created.is_none_or(|created| created <= oldest) {
                hidden.insert(id);
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
