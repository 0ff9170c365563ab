//! What history says of the resources that a plan is about: which they are, and the states of each.

use std::collections::BTreeSet;
use std::sync::Arc;

use backstock_proto::journal::{
    AsOf, Began, Journal, JournalError, Numbers, PAGE_LIMIT_MAX, Page, Place, Resource, Span,
    Version,
};
use backstock_proto::kind::{ALL, Spec};
use backstock_proto::merge::Field;
use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop, Timestamp};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde_json::Value;

use super::PlanError;
use super::candidate::Candidate;
use super::ours::Did;
use super::row::Subject;
use super::select::Selection;
use super::undo::Run;
use crate::change_set::Undone;
use crate::gids::Gids;

/// Most resources that are asked for one by one; above that, the timeline is read.
const NAMED_MAX: usize = 2_000;

/// Which part of history is taken back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scope {
    /// All of it within a span.
    Span(Span),
    /// These versions.
    Versions(Vec<Undone>),
    /// What a job of ours wrote.
    Ours(Vec<Arc<Did>>),
}

/// What was made anew, by its old ids and the ones of now.
pub(crate) trait Anew: Send + Sync {
    /// The id that a resource has now.
    fn id_now(&self, spec: &'static Spec, id: &ResourceId) -> ResourceId;
    /// The ids that a resource had before, the last one first.
    fn ids_before(&self, spec: &'static Spec, id: &ResourceId) -> Vec<ResourceId>;
    /// The gid that something had first; `None` if it is the one given.
    fn first(&self, gid: &str) -> Option<String>;
    /// Every gid that was given to what had one of these first.
    fn since(&self, firsts: &Gids) -> Vec<String>;
    /// Gives every gid in a state the one that it has now.
    fn rewrite(&self, state: &mut Value);
    /// The same for a field, and its path.
    fn rewrite_field(&self, field: &mut Field);
}

/// Reads one shop's history.
pub(crate) struct Gather<'a> {
    pub(crate) journal: &'a dyn Journal,
    pub(crate) anew: &'a dyn Anew,
    pub(crate) shop: &'a Shop,
}

impl Gather<'_> {
    /// The resources that something happened to which is taken back, as far as they are selected.
    /// Holds no state.
    pub(crate) async fn candidates(
        &self,
        scope: &Scope,
        selection: &Selection,
    ) -> Result<Vec<Candidate>, PlanError> {
        let mut found = match scope {
            Scope::Span(span) => match named(selection) {
                Some(names) => self.named(&names, *span, selection).await?,
                None => self.touched(*span, selection).await?,
            },
            Scope::Versions(of) => {
                let of = of.iter().filter(|of| self.is_selected(selection, &of.kind, &of.id));
                of.filter_map(Candidate::of_versions).collect()
            }
            Scope::Ours(done) => {
                let done =
                    done.iter().filter(|did| self.is_selected(selection, &did.row.kind, &did.id));
                done.filter_map(Candidate::of_did).collect()
            }
        };
        self.follow(&mut found);
        if matches!(scope, Scope::Versions(_)) {
            self.join(&mut found);
        }
        Ok(found)
    }

    async fn touched(
        &self,
        span: Span,
        selection: &Selection,
    ) -> Result<Vec<Candidate>, PlanError> {
        let only = match selection.kinds.iter().collect::<Vec<_>>().as_slice() {
            [only] => Some((*only).clone()),
            _ => None,
        };
        let mut touched = self.journal.touched(self.shop, span, only.as_ref()).await?;
        let mut found = Vec::new();
        while let Some(touched) = touched.next().await.transpose()? {
            if !self.is_selected(selection, &touched.kind, &touched.id) {
                continue;
            }
            if let Some(candidate) = Candidate::new(touched.kind, touched.id) {
                let (before, after, began) =
                    (touched.before, touched.after, touched.began.map(Box::new));
                found.push(Candidate { before, after, began, ..candidate });
            }
        }
        found.shrink_to_fit();
        Ok(found)
    }

    /// Resources that were asked for by their ids. One that never was is refused.
    async fn named(
        &self,
        names: &[(Kind, ResourceId)],
        span: Span,
        selection: &Selection,
    ) -> Result<Vec<Candidate>, PlanError> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for (kind, id) in names {
            let key = self.key(kind, id);
            let Some(now) = self.journal.resource(&key, AsOf::Latest).await? else { continue };
            seen.insert(id.clone());
            let Some(candidate) = Candidate::new(kind.clone(), id.clone()) else { continue };
            let before = self.journal.resource(&key, AsOf::At(just_before(span.from))).await?;
            let after = match span.to {
                Timestamp::MAX => Some(now),
                to => self.journal.resource(&key, AsOf::At(to)).await?,
            };
            let began = match before {
                Some(_) => None,
                None => self.versions(&key, span).await?.last().map(began).map(Box::new),
            };
            let there = |found: &Option<Resource>| found.as_ref().is_some_and(|r| !r.deleted);
            let (before, after) = (there(&before), there(&after));
            found.push(match self.earlier(&candidate, span).await?.filter(|_| !before) {
                Some(earlier) => Candidate { after, ..earlier },
                None => Candidate { before, after, began, ..candidate },
            });
        }
        // Under the id of now and an earlier one it is the same thing.
        let mut once = BTreeSet::new();
        found.retain(|one: &Candidate| once.insert((one.kind.clone(), one.id.clone())));
        match selection.ids.iter().find(|(_, id)| !seen.contains(id)) {
            Some((_, never)) => Err(PlanError::Missing(format!(
                "{} had never had a resource {never} of the kinds asked for; `backstock find --shop {} \
                 {never}` looks for it, and GET resources?q={never} does",
                self.shop,
                self.shop.name()
            ))),
            None => Ok(found),
        }
    }

    /// What has been made anew since, under the id that it had before the span, whichever of its ids it is
    /// named by.
    async fn earlier(&self, anew: &Candidate, span: Span) -> Result<Option<Candidate>, PlanError> {
        let now = self.anew.id_now(anew.spec, &anew.id);
        for id in self.anew.ids_before(anew.spec, &now) {
            let key = self.key(&anew.kind, &id);
            let then = self.journal.resource(&key, AsOf::At(just_before(span.from))).await?;
            if then.is_some_and(|then| !then.deleted) {
                return Ok(Candidate::new(anew.kind.clone(), id));
            }
        }
        Ok(None)
    }

    /// The states of a candidate.
    pub(crate) async fn subject(
        &self,
        candidate: Candidate,
        scope: &Scope,
    ) -> Result<Subject, PlanError> {
        let mut id = candidate.id.clone();
        let key = self.key(&candidate.kind, &id);
        // What is known of it before it went is read as of then.
        let end = match scope {
            Scope::Span(_) if candidate.before && !candidate.after => self.end(&key).await?,
            _ => None,
        };
        let mut latest = match end {
            Some(_) => None,
            None => self.journal.resource(&key, AsOf::Latest).await?,
        };
        if latest.as_ref().is_none_or(|latest| latest.deleted) {
            let anew = self.anew.id_now(candidate.spec, &id);
            if anew != id {
                let key = self.key(&candidate.kind, &anew);
                let found = self.journal.resource(&key, AsOf::Latest).await?;
                if let Some(found) = found.filter(|found| !found.deleted) {
                    (id, latest) = (anew, Some(found));
                }
            }
        }
        let seen = latest.as_ref().map(|latest| latest.version.seq).or(end);
        let created_at = latest.as_ref().and_then(|latest| created_at(&latest.state));
        let now = living(latest);
        let mut subject = Subject {
            spec: candidate.spec,
            kind: candidate.kind.clone(),
            made_since: false,
            taken_by: candidate.taken_by.map(|other| *other),
            comes_along: false,
            runs: Vec::new(),
            of: None,
            now,
            seen,
            id,
        };
        match scope {
            Scope::Span(span) => self.span(&mut subject, &key, *span).await?,
            Scope::Versions(_) => {
                self.stretches(&mut subject, &key, &candidate.seqs).await?;
                for (id, seqs) in &candidate.earlier {
                    // It is made anew from what it was under its own id.
                    let of = subject.of.take();
                    let key = self.key(&candidate.kind, id);
                    self.stretches(&mut subject, &key, seqs).await?;
                    subject.of = of;
                }
            }
            Scope::Ours(_) => {
                if let Some(did) = &candidate.did {
                    self.did(&mut subject, did).await?;
                }
            }
        }
        let Scope::Span(Span { from, .. }) = *scope else { return Ok(subject) };
        let told = candidate.began.is_some_and(|began| began.is_since(from));
        subject.made_since |= told || created_at.is_some_and(|at| at >= from);
        Ok(subject)
    }

    /// The version by which something is gone; `None` of what is there, and of what never was.
    async fn end(&self, key: &ResourceKey) -> Result<Option<u64>, PlanError> {
        let mut heads = self.journal.heads(self.shop, &key.kind, Some(&key.id)).await?;
        while let Some(head) = heads.next().await.transpose()? {
            if head.facet == Facet::Core {
                return Ok(head.deleted.then_some(head.seq));
            }
        }
        Ok(None)
    }

    /// All of a resource's history within a span, as one run.
    async fn span(
        &self,
        subject: &mut Subject,
        key: &ResourceKey,
        span: Span,
    ) -> Result<(), PlanError> {
        let of = just_before(span.from);
        let then = self.journal.resource(key, AsOf::At(of)).await?;
        // What was gone by then is certainly new, whatever it had been before.
        subject.made_since |= then.as_ref().is_some_and(|then| then.deleted);
        let mut before = living(then);
        self.anew.rewrite(&mut before);
        let after = match span.to {
            Timestamp::MAX => subject.now.clone(),
            to => match self.state(key, AsOf::At(to)).await? {
                // It may have been made anew by then.
                Value::Null => {
                    let anew = self.key(&subject.kind, &subject.id);
                    self.state(&anew, AsOf::At(to)).await?
                }
                after => after,
            },
        };
        subject.of = (!before.is_null()).then(|| (of, before.clone()));
        subject.runs = vec![Run { before, after }];
        Ok(())
    }

    /// Versions of a resource, each stretch of neighbours as one run, newest first.
    async fn stretches(
        &self,
        subject: &mut Subject,
        key: &ResourceKey,
        seqs: &[u64],
    ) -> Result<(), PlanError> {
        let versions = self.versions(key, Span::default()).await?;
        for stretch in stretches(&versions, seqs) {
            let before = self.journal.resource(key, AsOf::Before(stretch.first)).await?;
            // The oldest stretch, which comes last, says how it began.
            subject.made_since = before.as_ref().map_or(stretch.made, |before| before.deleted);
            // As late as it was there: what it belonged to then it belongs to.
            let last = just_before(stretch.first.valid_at);
            let of = before.as_ref().filter(|b| !b.deleted);
            let of = of.map(|before| before.version.valid_at.max(last));
            let mut before = living(before);
            self.anew.rewrite(&mut before);
            let after = self.state(key, AsOf::Upto(stretch.last)).await?;
            if subject.of.is_none()
                && after.is_null()
                && let Some(of) = of
            {
                let then = self.journal.resource(key, AsOf::At(of)).await?;
                let mut then = then.map(|then| then.state).unwrap_or_default();
                self.anew.rewrite(&mut then);
                subject.of = Some((of, then));
            }
            subject.runs.push(Run { before, after });
        }
        Ok(())
    }

    /// The state as of a moment, with the ids of now; `null` where it is not there.
    pub(crate) async fn state(&self, key: &ResourceKey, at: AsOf) -> Result<Value, PlanError> {
        let mut state = living(self.journal.resource(key, at).await?);
        self.anew.rewrite(&mut state);
        Ok(state)
    }

    /// The last state that something had, gone or not, with the ids of now; `null` where there was none.
    pub(super) async fn last(&self, key: &ResourceKey) -> Result<Value, PlanError> {
        let found = self.journal.resource(key, AsOf::Latest).await?;
        let mut state = found.map(|found| found.state).unwrap_or_default();
        self.anew.rewrite(&mut state);
        Ok(state)
    }

    /// What there is of a kind as of a moment that may name something by one of some numbers; all of it,
    /// where there are none to look for.
    pub(super) async fn mentioning(
        &self,
        at: AsOf,
        kind: &Kind,
        numbers: Option<&Numbers>,
    ) -> Result<BoxStream<'static, Result<Resource, JournalError>>, JournalError> {
        match numbers {
            Some(numbers) => self.journal.mentioning(self.shop, at, kind, numbers).await,
            None => self.journal.snapshot(self.shop, at, Some(kind)).await,
        }
    }

    /// A resource's versions of a state that say something new, newest first.
    async fn versions(&self, key: &ResourceKey, span: Span) -> Result<Vec<Version>, PlanError> {
        let mut page = Page { limit: PAGE_LIMIT_MAX, cursor: None };
        let mut versions = Vec::new();
        loop {
            let list = self.journal.versions(key, span, &page).await?;
            versions.extend(list.items.into_iter().filter(|v| v.facet.is_state() && !v.unchanged));
            match list.next {
                Some(next) => page.cursor = Some(next),
                None => return Ok(versions),
            }
        }
    }

    /// The newest version of a resource that the plan knows, whichever part of it that is of: a part may be
    /// learned after the rest. Of what came meanwhile it knows nothing.
    pub(super) async fn seen(&self, subject: &Subject) -> Result<Option<u64>, PlanError> {
        let key = self.key(&subject.kind, &subject.id);
        let versions = self.versions(&key, Span::default()).await?;
        let now = living(self.journal.resource(&key, AsOf::Latest).await?);
        let newest = versions.iter().map(|version| version.seq).max();
        Ok(newest.filter(|_| now == subject.now).max(subject.seen))
    }

    pub(crate) fn key(&self, kind: &Kind, id: &ResourceId) -> ResourceKey {
        ResourceKey { shop: self.shop.clone(), kind: kind.clone(), id: id.clone() }
    }
}

/// Neighbouring versions that are taken back together.
struct Stretch {
    first: Place,
    last: Place,
    /// Whether its first version tells of the resource's making.
    made: bool,
}

/// The stretches that some versions make among all of a resource's, newest first.
fn stretches(versions: &[Version], seqs: &[u64]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut neighbour = false;
    for version in versions {
        let is_one = seqs.binary_search(&version.seq).is_ok();
        if is_one {
            let (place, made) = (version.place(), began(version).is_since(Timestamp::MIN));
            match stretches.last_mut().filter(|_| neighbour) {
                Some(newer) => (newer.first, newer.made) = (place, made),
                None => stretches.push(Stretch { first: place, last: place, made }),
            }
        }
        neighbour = is_one;
    }
    stretches
}

/// The resources that a selection names one by one, if these are few.
fn named(selection: &Selection) -> Option<Vec<(Kind, ResourceId)>> {
    let mut names = Vec::new();
    for (kind, id) in &selection.ids {
        match kind {
            Some(kind) => names.push((kind.clone(), id.clone())),
            None if selection.kinds.is_empty() => {
                names.extend(ALL.iter().map(|spec| (Kind::of(spec), id.clone())));
            }
            None => names.extend(selection.kinds.iter().map(|kind| (kind.clone(), id.clone()))),
        }
    }
    (!names.is_empty() && names.len() <= NAMED_MAX).then_some(names)
}

/// When a state says that Shopify made it.
fn created_at(state: &Value) -> Option<Timestamp> {
    Timestamp::parse(state.get("createdAt")?.as_str()?).ok()
}

pub(super) fn living(found: Option<Resource>) -> Value {
    found.filter(|found| !found.deleted).map(|found| found.state).unwrap_or_default()
}

fn began(version: &Version) -> Began {
    let Version { op, source, valid_at, earliest_at, .. } = *version;
    // A part that is known before the rest says nothing about a beginning.
    let op = if version.facet == Facet::Core { op } else { backstock_proto::Op::Update };
    Began { op, source, valid_at, earliest_at }
}

/// The last instant before another.
pub(crate) fn just_before(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() - 1)
}

/// The first instant after another.
pub(crate) fn just_after(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.as_micros() + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake::{self, Fake};
    use crate::job::written::Written;

    #[tokio::test]
    async fn of_what_comes_while_it_is_made_a_plan_knows_nothing() {
        let page = |title: &str| json!({"id": "gid://shopify/Page/7", "title": title});
        let mut journal = Fake::default();
        journal.make("page", "7", "2026-11-20T10:00:00Z", &page("New"));
        let (anew, shop) = (Written::default(), fake::shop("acme"));
        let from = fake::instant("2026-11-20T09:00:00Z");
        let scope = Scope::Span(Span { from, to: Timestamp::MAX });
        let kind = Kind::parse("page").expect("a kind");
        let id = ResourceId::parse("7").expect("an id");
        let (subject, seen) = {
            let gather = Gather { journal: &journal, anew: &anew, shop: &shop };
            let candidate = Candidate::new(kind, id).expect("a kind that is understood");
            let subject = gather.subject(candidate, &scope).await.expect("read");
            let seen = gather.seen(&subject).await.expect("read");
            (subject, seen)
        };
        assert_eq!((seen, seen), (subject.seen, Some(100)));
        journal.remember("page", "7", "2026-11-20T10:00:05Z", &page("Edited meanwhile"));
        let gather = Gather { journal: &journal, anew: &anew, shop: &shop };
        assert_eq!(gather.seen(&subject).await.expect("read"), seen);
    }
}
