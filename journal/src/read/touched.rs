//! Which resources something happened to within a span, read off the timeline.

use std::collections::{BTreeMap, BTreeSet};

use backstock_proto::journal::{Began, JournalError, Span, Touched};
use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop, Timestamp};

use super::{Entries, View, current};
use crate::append::shown;
use crate::keys::{self, Position};
use crate::options::Family;
use crate::record::{Moment, Record};
use crate::store::At;

impl View<'_> {
    /// The resources that have versions of a state within a span, ordered by kind and id, until
    /// `each` says stop. Holds their keys in memory, and one seek for each tells whether it was
    /// there.
    pub(crate) fn touched(
        &self,
        shop: &Shop,
        span: Span,
        only: Option<&Kind>,
        mut each: impl FnMut(Result<Touched, JournalError>) -> bool,
    ) -> Result<(), JournalError> {
        let mut found: BTreeMap<Kind, BTreeSet<ResourceId>> = BTreeMap::new();
        let prefix = keys::of_shop(shop);
        let mut moments = self.scan_of(Family::Timeline, &prefix);
        moments.seek(keys::at(&prefix, Position::last_at(span.to)));
        while let Some((stored, value)) = current(&moments, &prefix)? {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            if position.valid_at < span.from {
                break;
            }
            let moment = Moment::from_bytes(value).at(|| shown(stored))?;
            let asked = only.map_or(!moment.kind.is_log(), |kind| *kind == moment.kind);
            if moment.facet.is_state() && asked {
                found.entry(moment.kind).or_default().insert(moment.id);
            }
            moments.next();
        }
        let mut entries = self.entries(Family::Versions, &prefix);
        let of_kind = |(kind, ids): (Kind, BTreeSet<ResourceId>)| {
            ids.into_iter().map(move |id| (kind.clone(), id))
        };
        for (kind, id) in found.into_iter().flat_map(of_kind) {
            let key = ResourceKey { shop: shop.clone(), kind, id };
            if !each(self.around(&mut entries, key, span)) {
                break;
            }
        }
        Ok(())
    }

    /// Whether a resource was there before and at the end of a span, and how it began within it.
    fn around(
        &self,
        entries: &mut Entries<'_>,
        key: ResourceKey,
        span: Span,
    ) -> Result<Touched, JournalError> {
        let core = keys::of_facet(&key, Facet::Core);
        entries.seek(keys::at(&core, Position::last_at(span.to)));
        let after = self.link(entries, &core)?.is_some_and(|link| !link.is_end());
        let mut before = None;
        if span.from > Timestamp::MIN {
            let just_before = Timestamp::from_micros(span.from.as_micros() - 1);
            entries.seek(keys::at(&core, Position::last_at(just_before)));
            before = self.link(entries, &core)?.map(|link| !link.is_end());
        }
        let began = match before {
            Some(_) => None,
            None => self.first_within(entries, &core, span)?,
        };
        let ResourceKey { kind, id, .. } = key;
        Ok(Touched { kind, id, before: before.unwrap_or(false), after, began })
    }

    /// The first version of a facet of which none stands before a span.
    fn first_within(
        &self,
        entries: &mut Entries<'_>,
        facet: &[u8],
        span: Span,
    ) -> Result<Option<Began>, JournalError> {
        let mut began = None;
        entries.seek(keys::at(facet, Position::last_at(span.to)));
        while let Some((stored, value)) = current(entries, facet)? {
            let (_, position) = keys::split(stored).at(|| shown(stored))?;
            let Record { op, source, earliest_at, .. } =
                Record::read(value).at(|| shown(stored))?;
            began = Some(Began { op, source, valid_at: position.valid_at, earliest_at });
            entries.next();
        }
        Ok(began)
    }
}
