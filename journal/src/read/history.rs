//! One resource's versions, their bytes, and what changed across a shop.

use backstock_proto::journal::{
    Change, ChangeFilter, JournalError, List, Page, Raw, Span, Version,
};
use backstock_proto::{Facet, Op, ResourceKey, Shop, diff};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Entry, View, after_cursor, current, cursor_of, entry, page_limit};
use crate::append::shown;
use crate::keys::{self, Position};
use crate::options::Family;
use crate::record::{Body, Moment, Record};
use crate::store::At;

impl View<'_> {
    /// A resource's versions, newest first.
    pub(crate) fn versions(
        &self,
        key: &ResourceKey,
        span: Span,
        page: &Page,
    ) -> Result<List<Version>, JournalError> {
        let limit = page_limit(page.limit)?;
        let facet = keys::of_facet(key, Facet::Core);
        let mut entries = self.entries(Family::Versions, &facet);
        entries.seek(match &page.cursor {
            Some(cursor) => after_cursor(&facet, cursor)?,
            None => keys::at(&facet, Position::last_at(span.to)),
        });
        let mut items = Vec::new();
        let mut next = None;
        while let Some((stored, value)) = current(&entries, &facet)? {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            if position.valid_at < span.from {
                break;
            }
            if items.len() == limit {
                next = items.last().map(|(_, position)| cursor_of(*position));
                break;
            }
            let record = Record::read(value).at(|| shown(stored))?;
            let link = super::Link::of(Facet::Core, position, &record);
            let mut version = super::version(Facet::Core, position, &record);
            entries.next();
            let before = self.link(&entries, &facet)?;
            version.unchanged = self.unchanged(&facet, key, &link, before.as_ref())?;
            items.push((version, position));
        }
        Ok(List { items: items.into_iter().map(|(version, _)| version).collect(), next })
    }

    /// A version's bytes as received. Reads the resource's versions until it meets the sequence.
    pub(crate) fn raw(&self, key: &ResourceKey, seq: u64) -> Result<Option<Raw>, JournalError> {
        let prefix = keys::of_resource(key);
        let mut entries = self.entries(Family::Versions, &prefix);
        entries.seek(&prefix);
        while let Some((stored, value)) = current(&entries, &prefix)? {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            if position.seq == seq {
                let record = Record::read(value).at(|| shown(stored))?;
                return Ok(Some(match record.body {
                    Body::SameAs(other) => Raw::SameAs { seq: other.seq },
                    body @ Body::Own(_) => {
                        let payload = body.payload().at(|| shown(stored))?;
                        Raw::Bytes(Bytes::copy_from_slice(payload))
                    }
                }));
            }
            entries.next();
        }
        Ok(None)
    }

    /// Single changes of a shop, newest first, without versions that changed nothing.
    pub(crate) fn changes(
        &self,
        shop: &Shop,
        filter: &ChangeFilter,
        page: &Page,
    ) -> Result<List<Change>, JournalError> {
        let limit = page_limit(page.limit)?;
        let prefix = keys::of_shop(shop);
        let mut moments = self.entries(Family::Timeline, &prefix);
        moments.seek(match &page.cursor {
            Some(cursor) => after_cursor(&prefix, cursor)?,
            None => keys::at(&prefix, Position::last_at(filter.span.to)),
        });
        let mut items = Vec::new();
        let mut last = None;
        while let Some((stored, value)) = current(&moments, &prefix)? {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            if position.valid_at < filter.span.from {
                break;
            }
            if items.len() == limit {
                return Ok(List { items, next: last.map(cursor_of) });
            }
            let moment = Moment::from_bytes(value).at(|| shown(stored))?;
            if asked_for(&moment, filter)
                && let Some(change) = self.change(shop, moment, position)?
            {
                items.push(change);
                last = Some(position);
            }
            moments.next();
        }
        Ok(List { items, next: None })
    }

    /// What one version changed; `None` if nothing.
    fn change(
        &self,
        shop: &Shop,
        moment: Moment,
        position: Position,
    ) -> Result<Option<Change>, JournalError> {
        let Moment { kind, id, facet, .. } = moment;
        let key = ResourceKey { shop: shop.clone(), kind, id };
        let facet = keys::of_facet(&key, facet);
        let mut entries = self.entries(Family::Versions, &facet);
        entries.seek(keys::at(&facet, position));
        let found = entry(&entries, &facet)?.filter(|entry| entry.version.seq == position.seq);
        let Some(Entry { version, link, payload }) = found else {
            return Err(JournalError::Damaged(format!(
                "{key}: version {} stands in the timeline only",
                position.seq
            )));
        };
        entries.next();
        let before = self.link(&entries, &facet)?;
        if self.unchanged(&facet, &key, &link, before.as_ref())? {
            return Ok(None);
        }
        let (title, changes) = if version.op == Op::Delete {
            let title = match self.last_living(&mut entries, &facet)? {
                Some(link) => self.document(&facet, &key, &link, None)?.listing.title,
                None => String::new(),
            };
            (title, Vec::new())
        } else {
            let nothing = || Value::Object(Map::new());
            let old = match before.filter(|before| before.arrival.op != Op::Delete) {
                Some(before) => self.state(&facet, &key, &before, None)?,
                None => nothing(),
            };
            let new = self.document(&facet, &key, &link, payload.as_deref())?;
            let changes = diff::fields(&old, &new.state.unwrap_or_else(nothing));
            (new.listing.title, changes)
        };
        let gid = key.kind.gid(&key.id);
        Ok(Some(Change { kind: key.kind, id: key.id, gid, title, version, changes }))
    }
}

fn asked_for(moment: &Moment, filter: &ChangeFilter) -> bool {
    filter.kind.as_ref().is_none_or(|kind| *kind == moment.kind)
        && filter.op.is_none_or(|op| op == moment.op)
        && filter.source.is_none_or(|source| source == moment.source)
}
