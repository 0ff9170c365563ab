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
        let (mut looked, mut last, mut lowered) = (0, Vec::<u8>::new(), String::new());
        while let Some((stored, value)) = current(&heads, &prefix)? {
            if !is_core(stored) {
                heads.next();
                continue;
            }
            if items.len() == limit || looked == LOOKED_MAX {
                let (ResourceKey { kind, id, .. }, _) =
                    keys::parse_facet(&last).at(|| shown(&last))?;
                return Ok(List { items, next: Some(format!("{kind}/{id}")) });
            }
            looked += 1;
            last.clear();
            last.extend_from_slice(stored);
            // What it was called earlier does not stand in its head.
            if let (Some(q), None) = (wanted.as_deref(), filter.at) {
                let words = Head::words(value).at(|| shown(stored))?;
                let name = stored.get(prefix.len()..).unwrap_or_default();
                if ![words, name].into_iter().any(|bytes| may_hold(bytes, q, &mut lowered)) {
                    heads.next();
                    continue;
                }
            }
            let (key, _) = keys::parse_facet(stored).at(|| shown(stored))?;
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

/// Whether one of the texts that stand in some bytes may hold this one, in any case: most do not, and
/// nothing has to be made of them. Only what is ASCII is looked into.
fn may_hold(bytes: &[u8], q: &str, lowered: &mut String) -> bool {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii()) else {
        return true;
    };
    lowered.clear();
    lowered.push_str(text);
    lowered.make_ascii_lowercase();
    lowered.contains(q)
}

fn mentions(summary: &Summary, q: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(q);
    let Listing { title, handle, also } = &summary.listing;
    has(title)
        || handle.as_deref().is_some_and(has)
        || has(summary.id.as_str())
        || also.iter().any(|word| has(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_passed_over_that_holds_what_is_looked_for() {
        let holds = |text: &str, q: &str| may_hold(text.as_bytes(), q, &mut String::new());
        assert!(holds("\0\0\0\u{9}Linen Tea\u{1}SKU-1", "linen t"));
        assert!(!holds("\0\0\0\u{9}Linen Tea\u{1}SKU-1", "mug"));
        // A Kelvin sign is a k in small letters.
        assert!(holds("\u{212a}ettle", "kettle"));
        assert!(may_hold(&[0, 0, 0, 200, b'x'], "linen", &mut String::new()));
    }
}
