//! Many resources at once: lists, search, and everything as of an instant.

use backstock_proto::journal::{AsOf, JournalError, List, Page, Resource, ResourceFilter, Summary};
use backstock_proto::kind::Listing;
use backstock_proto::{Kind, ResourceKey, Shop, Timestamp};

use super::{View, current, page_limit};
use crate::append::shown;
use crate::keys;
use crate::options::Family;
use crate::record::Head;
use crate::store::At;

impl View<'_> {
    /// Lists and searches, ordered by kind and id.
    pub(crate) fn resources(
        &self,
        shop: &Shop,
        filter: &ResourceFilter,
        page: &Page,
    ) -> Result<List<Summary>, JournalError> {
        let limit = page_limit(page.limit)?;
        let prefix = scope(shop, filter.kind.as_ref());
        let wanted = filter.q.as_deref().map(str::to_lowercase);
        let mut heads = self.entries(Family::Heads, &prefix);
        heads.seek(match &page.cursor {
            Some(cursor) => after(shop, cursor, &prefix)?,
            None => prefix.clone(),
        });
        let mut items: Vec<Summary> = Vec::new();
        while let Some((stored, value)) = current(&heads, &prefix)? {
            if items.len() == limit {
                let next = items.last().map(|last| format!("{}/{}", last.kind, last.id));
                return Ok(List { items, next });
            }
            let (key, _) = keys::parse_facet(stored).at(|| shown(stored))?;
            let head = Head::from_bytes(value).at(|| shown(stored))?;
            let summary = self.summary(key, head, filter.at)?;
            let fits = |s: &Summary| {
                filter.deleted.is_none_or(|deleted| deleted == s.deleted)
                    && wanted.as_deref().is_none_or(|q| mentions(s, q))
            };
            items.extend(summary.filter(fits));
            heads.next();
        }
        Ok(List { items, next: None })
    }

    /// What a list shows of a resource; `None` if it had never existed by then.
    fn summary(
        &self,
        key: ResourceKey,
        head: Head,
        at: Option<Timestamp>,
    ) -> Result<Option<Summary>, JournalError> {
        let gid = key.kind.gid(&key.id);
        match at {
            Some(at) if head.position.valid_at > at => {
                let Some(then) = self.resource(&key, AsOf::At(at))? else { return Ok(None) };
                Ok(Some(Summary {
                    listing: listing(&key.kind, &then),
                    kind: key.kind,
                    id: key.id,
                    gid,
                    deleted: then.deleted,
                    valid_at: then.version.valid_at,
                    seq: then.version.seq,
                }))
            }
            _ => Ok(Some(Summary {
                kind: key.kind,
                id: key.id,
                gid,
                deleted: head.deleted,
                valid_at: head.position.valid_at,
                seq: head.position.seq,
                listing: head.listing,
            })),
        }
    }

    /// Every living resource as of an instant, ordered by kind and id, until `each` says stop.
    pub(crate) fn snapshot(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: Option<&Kind>,
        mut each: impl FnMut(Result<Resource, JournalError>) -> bool,
    ) -> Result<(), JournalError> {
        let prefix = scope(shop, kind);
        let mut heads = self.entries(Family::Heads, &prefix);
        let mut entries = self.entries(Family::Versions, &prefix);
        heads.seek(&prefix);
        while let Some((facet, value)) = current(&heads, &prefix)? {
            let head = Head::from_bytes(value).at(|| shown(facet))?;
            // What is gone and was gone by then needs no second look.
            if !(head.deleted && head.position.valid_at <= at.bound()) {
                let (key, _) = keys::parse_facet(facet).at(|| shown(facet))?;
                let found = self.resource_from(&mut entries, facet, &key, at).transpose();
                let living = found.filter(|found| !matches!(found, Ok(r) if r.deleted));
                if living.is_some_and(|found| !each(found)) {
                    return Ok(());
                }
            }
            heads.next();
        }
        Ok(())
    }
}

fn scope(shop: &Shop, kind: Option<&Kind>) -> Vec<u8> {
    match kind {
        Some(kind) => keys::of_kind(shop, kind),
        None => keys::of_shop(shop),
    }
}

/// The first key after the resource that a cursor names.
fn after(shop: &Shop, cursor: &str, prefix: &[u8]) -> Result<Vec<u8>, JournalError> {
    let wrong = || JournalError::Invalid(format!("cursor {cursor:?} is not one of ours"));
    let (kind, id) = cursor.split_once('/').ok_or_else(wrong)?;
    let key = ResourceKey {
        shop: shop.clone(),
        kind: Kind::parse(kind).map_err(|_| wrong())?,
        id: backstock_proto::ResourceId::parse(id).map_err(|_| wrong())?,
    };
    let after = keys::end_of(&keys::of_resource(&key)).ok_or_else(wrong)?;
    Ok(after.max(prefix.to_vec()))
}

fn listing(kind: &Kind, resource: &Resource) -> Listing {
    kind.listing(&resource.state)
}

fn mentions(summary: &Summary, q: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(q);
    let Listing { title, handle, also } = &summary.listing;
    has(title)
        || handle.as_deref().is_some_and(has)
        || has(summary.id.as_str())
        || also.iter().any(|word| has(word))
}
