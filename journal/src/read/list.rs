//! Many resources at once: lists, search, and everything as of an instant.

use backstock_proto::canonical::Hash;
use backstock_proto::journal::{
    self, AsOf, JournalError, List, Page, Resource, ResourceFilter, Summary,
};
use backstock_proto::kind::{Arrival, Listing};
use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop, Timestamp};

use super::{LOOKED_MAX, View, current, page_limit};
use crate::append::shown;
use crate::keys::{self, Position};
use crate::options::Family;
use crate::record::{Head, Record};
use crate::store::At;

impl View<'_> {
    /// Lists and searches, ordered by kind and id. A page may hold less than was asked for, or
    /// nothing, and not be the last.
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
        let (mut looked, mut last) = (0, None);
        while let Some((stored, value)) = current(&heads, &prefix)? {
            if !is_core(stored) {
                heads.next();
                continue;
            }
            if items.len() == limit || looked == LOOKED_MAX {
                return Ok(List { items, next: last });
            }
            looked += 1;
            let (key, _) = keys::parse_facet(stored).at(|| shown(stored))?;
            if items.len() + 1 == limit || looked == LOOKED_MAX {
                last = Some(format!("{}/{}", key.kind, key.id));
            }
            if filter.kind.is_none() && key.kind.is_log() {
                heads.next();
                continue;
            }
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
        let core = keys::of_facet(&key, Facet::Core);
        let ((position, deleted), listing) = match at {
            Some(at) if head.position.valid_at > at => {
                let mut entries = self.entries(Family::Versions, &core);
                let until = Position::last_at(at);
                let Some(part) = self.part(&mut entries, &core, until)? else { return Ok(None) };
                let state = self.last_state(&mut entries, &core, &key, &part)?;
                let link = part.entry.link;
                ((link.position, link.is_end()), key.kind.listing(&state))
            }
            _ => ((head.position, head.deleted), head.listing),
        };
        Ok(Some(Summary {
            gid: key.kind.gid(&key.id),
            kind: key.kind,
            id: key.id,
            deleted,
            valid_at: position.valid_at,
            seq: position.seq,
            listing,
        }))
    }

    /// The newest version of every facet of a kind's resources, or of one of them, ended ones too,
    /// ordered by id and facet, until `each` says stop.
    pub(crate) fn heads(
        &self,
        shop: &Shop,
        kind: &Kind,
        id: Option<&ResourceId>,
        mut each: impl FnMut(Result<journal::Head, JournalError>) -> bool,
    ) -> Result<(), JournalError> {
        let prefix = match id.cloned() {
            Some(id) => {
                keys::of_resource(&ResourceKey { shop: shop.clone(), kind: kind.clone(), id })
            }
            None => keys::of_kind(shop, kind),
        };
        let mut heads = self.entries(Family::Heads, &prefix);
        heads.seek(&prefix);
        while let Some((stored, value)) = current(&heads, &prefix)? {
            let (key, facet) = keys::parse_facet(stored).at(|| shown(stored))?;
            if facet.is_state() {
                let head = Head::from_bytes(value).at(|| shown(stored))?;
                if !each(self.head(stored, key, facet, &head)) {
                    return Ok(());
                }
            }
            heads.next();
        }
        Ok(())
    }

    fn head(
        &self,
        stored: &[u8],
        key: ResourceKey,
        facet: Facet,
        head: &Head,
    ) -> Result<journal::Head, JournalError> {
        let source = match head.source {
            Some(source) => source,
            None => {
                let version = self.get(Family::Versions, &keys::at(stored, head.position))?;
                let version = version.as_deref().map(Record::read).transpose();
                let version = version.at(|| shown(stored))?.ok_or_else(|| {
                    JournalError::Damaged(format!("{key}: the head is no version"))
                })?;
                version.source
            }
        };
        let hash = match head.deleted || head.mapping == key.kind.mapping() {
            true => head.hash,
            false => self.rehashed(stored, &key, facet, head)?,
        };
        Ok(journal::Head {
            id: key.id,
            facet,
            deleted: head.deleted,
            source,
            hash: hash.to_hex(),
            valid_at: head.position.valid_at,
            triggered_at: head.position.triggered_at,
            seq: head.position.seq,
        })
    }

    /// The hash of a head's state by the present mapping. Where that cannot read the payload any
    /// more, the stored hash: a pull then takes it for drift and replaces it.
    fn rehashed(
        &self,
        stored: &[u8],
        key: &ResourceKey,
        facet: Facet,
        head: &Head,
    ) -> Result<Hash, JournalError> {
        let value = self.get(Family::Versions, &keys::at(stored, head.payload_at))?;
        let record = value.as_deref().map(Record::read).transpose().at(|| shown(stored))?;
        let record = record.ok_or_else(|| {
            JournalError::Damaged(format!("{key}: the head's payload is missing"))
        })?;
        let payload = record.body.payload().at(|| shown(stored))?;
        let arrival = Arrival { source: record.source, facet, op: record.op };
        let document = key.kind.read(arrival, &key.id, payload);
        Ok(document.map_or(head.hash, |document| document.hash()))
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
            if !is_core(facet) {
                heads.next();
                continue;
            }
            let head = Head::from_bytes(value).at(|| shown(facet))?;
            let (key, _) = keys::parse_facet(facet).at(|| shown(facet))?;
            let skipped = kind.is_none() && key.kind.is_log();
            // What is gone and was gone by then needs no second look.
            let gone = head.deleted && head.position <= at.bound().into();
            if !skipped && !gone {
                let found = self.living_from(&mut entries, &key, at);
                if found.is_some_and(|found| !each(found)) {
                    return Ok(());
                }
            }
            heads.next();
        }
        Ok(())
    }
}

/// Whether a key of `heads` is one of a core: a resource exists by its core alone.
fn is_core(key: &[u8]) -> bool {
    key.last() == Some(&Facet::Core.byte())
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

fn mentions(summary: &Summary, q: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(q);
    let Listing { title, handle, also } = &summary.listing;
    has(title)
        || handle.as_deref().is_some_and(has)
        || has(summary.id.as_str())
        || also.iter().any(|word| has(word))
}
