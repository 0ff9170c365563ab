//! Entries of a type of metaobjects, which go with its definition. No id says so: both tell their type.

use std::collections::BTreeMap;

use backstock_proto::journal::{AsOf, PAGE_LIMIT_MAX};
use backstock_proto::kind::Spec;
use backstock_proto::{Facet, Kind, ResourceId, Timestamp};
use futures::TryStreamExt;

use super::{PullError, Puller};
use crate::reconcile::Gone;

/// What they are entries of.
const DEFINITION: &str = "metaobject_definition";

/// Whether resources of a kind are such entries.
pub(super) fn are(spec: &Spec) -> bool {
    spec.name == "metaobject"
}

impl Puller {
    /// Those of some entries of whose type history knows that its definition is gone, and since when. What
    /// is younger than that end is of another definition of the same type.
    pub(super) async fn went_with_definitions(
        &self,
        spec: &'static Spec,
        gone: &[Gone],
    ) -> Result<BTreeMap<ResourceId, Timestamp>, PullError> {
        let (kind, mut went) = (Kind::of(spec), BTreeMap::new());
        if gone.is_empty() {
            return Ok(went);
        }
        let ended = self.ended_types().await?;
        for some in gone.chunks(PAGE_LIMIT_MAX) {
            let ids: Vec<ResourceId> = some.iter().map(|one| one.id.clone()).collect();
            let known = self.journal.several(&self.shop, &kind, &ids, AsOf::Latest).await?;
            for (one, entry) in some.iter().zip(known) {
                let of = entry.as_ref().and_then(|entry| entry.state["type"].as_str());
                let ended = of.and_then(|of| ended.get(of)).copied();
                went.extend(ended.filter(|at| one.last_seen <= *at).map(|at| (one.id.clone(), at)));
            }
        }
        Ok(went)
    }

    /// The types whose definitions are gone, and since when.
    async fn ended_types(&self) -> Result<BTreeMap<String, Timestamp>, PullError> {
        let (mut ids, mut types) = (Vec::new(), BTreeMap::new());
        let Ok(kind) = Kind::parse(DEFINITION) else { return Ok(types) };
        let mut heads = self.journal.heads(&self.shop, &kind, None).await?;
        while let Some(head) = heads.try_next().await? {
            if head.deleted && head.facet == Facet::Core {
                ids.push(head.id);
            }
        }
        for some in ids.chunks(PAGE_LIMIT_MAX) {
            let known = self.journal.several(&self.shop, &kind, some, AsOf::Latest).await?;
            for definition in known.into_iter().flatten() {
                let Some(of) = definition.state["type"].as_str() else { continue };
                let at = definition.version.valid_at;
                let last = types.entry(of.to_owned()).or_insert(at);
                *last = at.max(*last);
            }
        }
        Ok(types)
    }
}
