//! What the journal in memory answers.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use backstock_proto::diff;
use backstock_proto::erase::*;
use backstock_proto::journal::*;
use backstock_proto::{Facet, Kind, Mode, ResourceId, ResourceKey, Shop, Timestamp};
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::{Entry, Fake, NOW, TODAY, instant, shop};

fn paged<T>(items: Vec<T>, page: &Page) -> Result<List<T>, JournalError> {
    let from: usize = match &page.cursor {
        Some(cursor) => {
            cursor.parse().map_err(|_| JournalError::Invalid("cursor is not one of ours".into()))?
        }
        None => 0,
    };
    let next = (from + page.limit < items.len()).then(|| (from + page.limit).to_string());
    Ok(List { items: items.into_iter().skip(from).take(page.limit).collect(), next })
}

#[async_trait]
impl Journal for Fake {
    async fn shops(&self) -> Result<Vec<ShopSummary>, JournalError> {
        self.answers()?;
        Ok(["acme", "bolt", "cove"].iter().filter_map(|name| self.summary(&shop(name))).collect())
    }

    async fn status(&self, shop: &Shop) -> Result<Option<ShopStatus>, JournalError> {
        self.answers()?;
        let Some(summary) = self.summary(shop) else { return Ok(None) };
        let mut kinds: Vec<Kind> =
            self.all(shop, None, AsOf::Latest).into_iter().map(|r| r.kind).collect();
        kinds.dedup();
        let kinds = kinds
            .into_iter()
            .map(|kind| {
                let of_kind = self.all(shop, Some(&kind), AsOf::Latest);
                let deleted = of_kind.iter().filter(|r| r.deleted).count() as u64;
                let versions: Vec<_> = (self.entries.iter())
                    .filter(|entry| entry.key.shop == *shop && entry.key.kind == kind)
                    .collect();
                let mut status = KindStatus {
                    resources: of_kind.len() as u64 - deleted,
                    deleted,
                    versions: versions.len() as u64,
                    newest_version: versions.iter().map(|entry| entry.version.valid_at).max(),
                    understood: kind.spec().is_some(),
                    heard: kind.heard(),
                    pull: None,
                    last_complete_pull: self.pulls.iter().find(|pull| pull.kind == kind).cloned(),
                    media: None,
                    not_covered: None,
                    kind,
                };
                if let Some(retell) = self.retold {
                    retell(&mut status);
                }
                status
            })
            .collect();
        let mut gap = Gap::new(90, 92, instant(NOW));
        gap.healed = !self.pulls.is_empty();
        let quarantined = u64::from(!gap.healed);
        Ok(Some(ShopStatus { summary, kinds, gaps: vec![gap], quarantined }))
    }

    async fn erasures(&self, shop: Option<&Shop>) -> Result<Vec<Erasure>, JournalError> {
        self.answers()?;
        let records = self.records.lock().expect("not poisoned");
        let of = (records.iter())
            .filter(|(of, record)| record.what == ERASURE && shop.is_none_or(|shop| of == shop));
        let erasure = |(of, record): &(Shop, Record)| {
            let wish: Wish = serde_json::from_value(record.payload.clone()).expect("a wish");
            // What was asked for before today is done, unless it waits for a word.
            let done_at = (wish.requested_at < instant(TODAY)).then_some(wish.requested_at);
            let (state, done_at) = match (&wish.whom, done_at) {
                (Whom::Shop, _) if !wish.confirmed => (ErasureState::Waiting, None),
                (_, Some(at)) => (ErasureState::Done, Some(at)),
                (_, None) => (ErasureState::Open, None),
            };
            let went = ErasureCounts {
                resources: 4,
                versions: 9,
                records: 1,
                messages: 12,
                ..ErasureCounts::default()
            };
            Erasure {
                shop: of.clone(),
                due_at: wish.due_at(),
                requested_at: wish.requested_at,
                whom: wish.whom,
                via: wish.via,
                by: wish.by,
                state,
                erased_at: done_at,
                done_at,
                counts: done_at.map_or_else(ErasureCounts::default, |_| went),
            }
        };
        Ok(of.map(erasure).rev().collect())
    }

    async fn erased(&self, _: &Shop) -> Result<Erased, JournalError> {
        Ok(Erased::default())
    }

    async fn concerned(
        &self,
        shop: &Shop,
        whom: &Whom,
        orders: &[ResourceId],
    ) -> Result<Concerned, JournalError> {
        self.answers()?;
        let mut concerned = Concerned::default();
        for resource in self.all(shop, None, AsOf::Latest) {
            let names = match whom {
                Whom::Shop => true,
                Whom::Customer(id) => {
                    resource.kind.as_str() == "customer" && resource.id == *id
                        || resource.kind.as_str() == "order" && orders.contains(&resource.id)
                        || resource.state.pointer("/customer/id").and_then(Value::as_str)
                            == Some(&format!("gid://shopify/Customer/{id}"))
                }
            };
            if names {
                let key = ResourceKey {
                    shop: shop.clone(),
                    kind: resource.kind.clone(),
                    id: resource.id.clone(),
                };
                concerned.resources.push(ConcernedResource {
                    versions: self.history(&key).count() as u64,
                    kind: resource.kind,
                    id: resource.id,
                });
            }
        }
        Ok(concerned)
    }

    async fn resources(
        &self,
        shop: &Shop,
        filter: &ResourceFilter,
        page: &Page,
    ) -> Result<List<Summary>, JournalError> {
        self.answers()?;
        let at = filter.at.map_or(AsOf::Latest, AsOf::At);
        let q = filter.q.as_deref().unwrap_or_default().to_lowercase();
        let items = (self.all(shop, filter.kind.as_ref(), at).into_iter())
            .filter(|r| filter.deleted.is_none_or(|deleted| r.deleted == deleted))
            .map(|r| Summary {
                listing: r.kind.listing(&r.state),
                kind: r.kind,
                id: r.id,
                gid: r.gid,
                deleted: r.deleted,
                valid_at: r.version.valid_at,
                seq: r.version.seq,
            })
            .filter(|s| serde_json::to_string(s).expect("json").to_lowercase().contains(&q))
            .collect();
        paged(items, page)
    }

    async fn resource(
        &self,
        key: &ResourceKey,
        at: AsOf,
    ) -> Result<Option<Resource>, JournalError> {
        self.answers()?;
        Ok(self.find(key, at))
    }

    async fn several(
        &self,
        shop: &Shop,
        kind: &Kind,
        ids: &[ResourceId],
        at: AsOf,
    ) -> Result<Vec<Option<Resource>>, JournalError> {
        self.answers()?;
        self.together.fetch_max(ids.len(), Ordering::Relaxed);
        let key = |id: &ResourceId| ResourceKey {
            shop: shop.clone(),
            kind: kind.clone(),
            id: id.clone(),
        };
        Ok(ids.iter().map(|id| self.find(&key(id), at)).collect())
    }

    async fn versions(
        &self,
        key: &ResourceKey,
        span: Span,
        page: &Page,
    ) -> Result<List<Version>, JournalError> {
        self.answers()?;
        let items = (self.history(key).rev())
            .filter(|entry| (span.from..=span.to).contains(&entry.version.valid_at))
            .map(|entry| entry.version.clone())
            .collect();
        paged(items, page)
    }

    async fn raw(&self, key: &ResourceKey, seq: u64) -> Result<Option<Raw>, JournalError> {
        self.answers()?;
        let Some(entry) = self.history(key).find(|entry| entry.version.seq == seq) else {
            return Ok(None);
        };
        if !entry.version.unchanged {
            return Ok(Some(Raw::Bytes(entry.raw.clone())));
        }
        let equal = self.history(key).find(|other| other.version.hash == entry.version.hash);
        Ok(equal.map(|equal| Raw::SameAs { seq: equal.version.seq }))
    }

    async fn changes(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
        page: &Page,
    ) -> Result<List<Change>, JournalError> {
        self.answers()?;
        let heard = self.heard.lock().expect("not poisoned").unwrap_or(self.entries.len());
        let mut heard: Vec<&Entry> = self.entries.iter().take(heard).collect();
        heard.sort_by_key(|entry| entry.version.place());
        let is_asked = |kind: &Kind| filter.kind.as_ref().map_or(!kind.is_log(), |of| of == kind);
        let items = (heard.into_iter().rev())
            .filter(|entry| entry.key.shop == *shop)
            .filter(|entry| filter.unchanged || !entry.version.unchanged)
            .filter(|e| (filter.span.from..=filter.span.to).contains(&e.version.valid_at))
            .filter(|e| is_asked(&e.key.kind))
            .filter(|e| filter.op.is_none_or(|op| e.version.op == op))
            .filter(|e| filter.source.is_none_or(|source| e.version.source == source))
            .filter(|entry| !(filter.without_first_looks && self.is_first_look(entry)))
            .map(|entry| {
                let before = self
                    .history(&entry.key)
                    .filter(|other| other.version.seq < entry.version.seq)
                    .filter_map(|other| other.state.clone())
                    .last()
                    .unwrap_or_else(|| json!({}));
                let after = entry.state.as_ref();
                Change {
                    kind: entry.key.kind.clone(),
                    id: entry.key.id.clone(),
                    gid: entry.key.kind.gid(&entry.key.id),
                    title: entry.key.kind.listing(after.unwrap_or(&before)).title,
                    version: entry.version.clone(),
                    changes: after.map_or_else(Vec::new, |after| diff::fields(&before, after)),
                }
            })
            .collect();
        paged(items, page)
    }

    async fn snapshot(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        self.answers()?;
        let living = self.all(shop, kind, at).into_iter().filter(|r| !r.deleted).map(Ok);
        let mut items: Vec<Result<Resource, JournalError>> = living.collect();
        if let Some(after) = *self.snapshot_fails_after.lock().expect("not poisoned") {
            items.truncate(after);
            items.push(Err(JournalError::Damaged("block 7".into())));
        }
        Ok(stream::iter(items).boxed())
    }

    async fn mentioning(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: &Kind,
        numbers: &Numbers,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        let (all, numbers) = (self.snapshot(shop, at, Some(kind)).await?, numbers.clone());
        let names = move |found: &Resource| {
            let texts = [found.state.to_string(), found.id.to_string()];
            std::future::ready(texts.iter().any(|text| numbers.any_in(text.as_bytes())))
        };
        Ok(all.try_filter(names).boxed())
    }

    async fn heads(
        &self,
        shop: &Shop,
        kind: &Kind,
        id: Option<&ResourceId>,
    ) -> Result<BoxStream<'static, Result<Head, JournalError>>, JournalError> {
        self.answers()?;
        let mut all = self.all(shop, Some(kind), AsOf::Latest);
        all.retain(|resource| id.is_none_or(|id| resource.id == *id));
        let heads = all.into_iter().map(|resource| {
            let Version { source, valid_at, seq, hash, .. } = resource.version;
            let (id, deleted) = (resource.id, resource.deleted);
            let (facet, triggered_at) = (Facet::Core, valid_at);
            Ok(Head { id, facet, deleted, source, hash, valid_at, triggered_at, seq })
        });
        Ok(stream::iter(heads.collect::<Vec<_>>()).boxed())
    }

    async fn rebuilt(
        &self,
        shop: &Shop,
        kind: &Kind,
        at: Timestamp,
    ) -> Result<BoxStream<'static, Result<Rebuilt, JournalError>>, JournalError> {
        self.answers()?;
        let rebuilt = self.all(shop, Some(kind), AsOf::At(at)).into_iter().map(|resource| {
            let Version { source, valid_at, seq, ref hash, .. } = resource.version;
            let (id, deleted) = (resource.id, resource.deleted);
            let (facet, hash, triggered_at) = (Facet::Core, hash.clone(), valid_at);
            let core =
                Head { id: id.clone(), facet, deleted, source, hash, valid_at, triggered_at, seq };
            let state = (!deleted).then_some(resource.state);
            Ok(Rebuilt { id, facets: vec![core], state, damage: None })
        });
        Ok(stream::iter(rebuilt.collect::<Vec<_>>()).boxed())
    }

    async fn touched(
        &self,
        shop: &Shop,
        span: Span,
        kind: Option<&Kind>,
    ) -> Result<BoxStream<'static, Result<Touched, JournalError>>, JournalError> {
        self.answers()?;
        let within = |entry: &&Entry| (span.from..=span.to).contains(&entry.version.valid_at);
        let mut keys: Vec<_> = self.entries.iter().filter(within).map(|e| e.key.clone()).collect();
        keys.retain(|key| key.shop == *shop && kind.is_none_or(|kind| key.kind == *kind));
        keys.sort();
        keys.dedup();
        let there = |key: &ResourceKey, at: Timestamp| {
            self.find(key, AsOf::At(at)).is_some_and(|resource| !resource.deleted)
        };
        let just_before = Timestamp::from_micros(span.from.as_micros() - 1);
        let touched = keys.into_iter().map(|key| {
            let first = self.history(&key).next().filter(within);
            Ok(Touched {
                before: there(&key, just_before),
                after: there(&key, span.to),
                began: first.map(|Entry { version, .. }| Began {
                    op: version.op,
                    source: version.source,
                    valid_at: version.valid_at,
                    earliest_at: version.earliest_at,
                }),
                kind: key.kind,
                id: key.id,
            })
        });
        Ok(stream::iter(touched.collect::<Vec<_>>()).boxed())
    }

    async fn records(
        &self,
        shop: &Shop,
        what: &str,
        id: Option<&str>,
        page: &Page,
    ) -> Result<List<Record>, JournalError> {
        self.answers()?;
        let before: u64 = page.cursor.as_ref().map_or(u64::MAX, |c| c.parse().expect("a cursor"));
        let records = self.records.lock().expect("not poisoned");
        let mut items: Vec<Record> = Vec::new();
        for (of, record) in records.iter().rev() {
            let asked = of == shop && record.what == what && id.is_none_or(|id| record.id == id);
            let newest = id.is_some() || items.iter().all(|newer| newer.id != record.id);
            if asked && newest {
                items.push(record.clone());
            }
        }
        items.retain(|record| record.seq < before);
        let next = (items.len() > page.limit).then(|| items[page.limit - 1].seq.to_string());
        items.truncate(page.limit);
        Ok(List { items, next })
    }

    async fn thin(
        &self,
        _shop: &Shop,
        _retention: Retention,
        _now: Timestamp,
        _mode: Mode,
    ) -> Result<Thinned, JournalError> {
        Ok(Thinned { seen: self.entries.len() as u64, ..Thinned::default() })
    }

    async fn checkpoint(&self, _to: Option<&str>) -> Result<Vec<CheckpointReport>, JournalError> {
        Err(JournalError::Unavailable("there is nothing to copy".into()))
    }

    async fn verify(&self) -> Result<VerifyReport, JournalError> {
        self.answers()?;
        Ok(VerifyReport {
            versions: self.entries.len() as u64,
            bytes: self.entries.iter().map(|entry| entry.raw.len() as u64).sum(),
            faults: Vec::new(),
            faults_total: 0,
            seconds: 0.5,
        })
    }
}
