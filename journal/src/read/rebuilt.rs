//! Resources read back whole, facet by facet, so that somebody can tell whether they could be restored.

use backstock_proto::canonical::Hash;
use backstock_proto::journal::{AsOf, Head, JournalError, Rebuilt};
use backstock_proto::{Facet, Kind, ResourceKey, Shop, Timestamp};

use super::{Entries, Part, View, current, facet_of};
use crate::append::shown;
use crate::keys::{self, Position};
use crate::options::Family;
use crate::store::At;

impl View<'_> {
    /// Every resource of a kind that there had been by an instant, ordered by id, until `each` says
    /// stop.
    pub(crate) fn rebuilt(
        &self,
        shop: &Shop,
        kind: &Kind,
        at: Timestamp,
        mut each: impl FnMut(Result<Rebuilt, JournalError>) -> bool,
    ) -> Result<(), JournalError> {
        let prefix = keys::of_kind(shop, kind);
        let mut heads = self.scan_of(Family::Heads, &prefix);
        let mut entries = self.scan_of(Family::Versions, &prefix);
        heads.seek(&prefix);
        while let Some((stored, _)) = current(&heads, &prefix)? {
            let (key, facet) = keys::parse_facet(stored).at(|| shown(stored))?;
            if facet == Facet::Core {
                let rebuilt = match self.rebuild(&mut entries, &key, at) {
                    Err(JournalError::Damaged(damage)) => {
                        let (facets, state) = (Vec::new(), None);
                        Some(Rebuilt { id: key.id, facets, state, damage: Some(damage) })
                    }
                    other => other?,
                };
                if rebuilt.is_some_and(|rebuilt| !each(Ok(rebuilt))) {
                    return Ok(());
                }
            }
            heads.next();
        }
        Ok(())
    }

    fn rebuild(
        &self,
        entries: &mut Entries<'_>,
        key: &ResourceKey,
        at: Timestamp,
    ) -> Result<Option<Rebuilt>, JournalError> {
        let (core, until) = (keys::of_facet(key, Facet::Core), Position::last_at(at));
        let Some(part) = self.part(entries, &core, until)? else { return Ok(None) };
        let mut facets = vec![self.read_back(&core, key, &part)?];
        let mut state = None;
        if !facets[0].deleted {
            for (facet, part) in self.other_parts(entries, key, until)? {
                facets.push(self.read_back(&facet, key, &part)?);
            }
            state = self.resource_from(entries, key, AsOf::At(at))?.map(|resource| resource.state);
        }
        Ok(Some(Rebuilt { id: key.id.clone(), facets, state, damage: None }))
    }

    /// A version with the hash that its payload has now, which is the one that it was stored with.
    fn read_back(
        &self,
        facet: &[u8],
        key: &ResourceKey,
        part: &Part,
    ) -> Result<Head, JournalError> {
        let link = &part.entry.link;
        let hash = match link.is_end() {
            true => Hash::NONE,
            false => self.document(facet, key, link, part.entry.payload.as_deref())?.hash(),
        };
        let Position { valid_at, triggered_at, seq } = link.position;
        if link.mapping == key.kind.mapping() && hash != link.hash {
            return Err(JournalError::Damaged(format!(
                "{key}: version {seq} no longer says what it said when it was stored"
            )));
        }
        Ok(Head {
            id: key.id.clone(),
            facet: facet_of(facet)?,
            deleted: link.is_end(),
            source: link.arrival.source,
            hash: hash.to_hex(),
            valid_at,
            triggered_at,
            seq,
        })
    }
}
