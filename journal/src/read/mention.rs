//! What may refer to something, found by the bytes that resources were told in: most of them are never
//! taken apart.

use std::cmp::Ordering;

use backstock_proto::journal::{AsOf, JournalError, Numbers, Resource};
use backstock_proto::{Facet, Kind, Shop};

use super::{Entries, View, current};
use crate::append::shown;
use crate::keys::{self, Position};
use crate::options::Family;
use crate::record::{Body, Head, Record};
use crate::store::{At, StoreError};

/// Versions that are passed one by one on the way to the next that is wanted, which is mostly near.
const NEAR: usize = 8;

impl View<'_> {
    /// The living resources of a kind as of an instant that one of some numbers stands in, or is the id of,
    /// ordered by id, until `each` or `is_stopped` says stop.
    ///
    /// It is looked for in the newest version of each facet by then. What a webhook left open, so that an
    /// earlier version tells it, are parts of the resource itself, which name no other one.
    pub(crate) fn mentioning(
        &self,
        shop: &Shop,
        at: AsOf,
        kind: &Kind,
        numbers: &Numbers,
        is_stopped: impl Fn() -> bool,
        mut each: impl FnMut(Result<Resource, JournalError>) -> bool,
    ) -> Result<(), JournalError> {
        let (prefix, until) = (keys::of_kind(shop, kind), Position::from(at.bound()));
        let mut heads = self.scan_of(Family::Heads, &prefix);
        let mut payloads = self.scan_of(Family::Versions, &prefix);
        let mut entries = self.entries(Family::Versions, &prefix);
        // The resource that was found last.
        let mut told: Vec<u8> = Vec::new();
        heads.seek(&prefix);
        while let Some((stored, value)) = current(&heads, &prefix)? {
            if is_stopped() {
                break;
            }
            let Some((facet, resource)) = stored.split_last() else { break };
            if told != resource && Facet::from_byte(*facet).is_some_and(Facet::is_state) {
                let head = Head::from_bytes(value).at(|| shown(stored))?;
                let id = resource.get(prefix.len()..).unwrap_or_default();
                if numbers.any_in(id)
                    || self.holds(&mut payloads, stored, (&head, until), numbers)?
                {
                    told = resource.to_vec();
                    let (key, _) = keys::parse_facet(stored).at(|| shown(stored))?;
                    let found = self.living_from(&mut entries, &key, at);
                    if found.is_some_and(|found| !each(found)) {
                        return Ok(());
                    }
                }
            }
            heads.next();
        }
        Ok(())
    }

    /// Whether one of some numbers stands in what a facet says as of a position.
    fn holds(
        &self,
        payloads: &mut Entries<'_>,
        facet: &[u8],
        (head, until): (&Head, Position),
        numbers: &Numbers,
    ) -> Result<bool, StoreError> {
        let payload_at = if head.position <= until {
            (!head.deleted).then_some(head.payload_at)
        } else {
            payloads.seek(keys::at(facet, until));
            let then = self.link(payloads, facet)?.filter(|link| !link.is_end());
            then.map(|link| link.payload_at)
        };
        let Some(payload_at) = payload_at else { return Ok(false) };
        let key = keys::at(facet, payload_at);
        move_on(payloads, &key);
        let Some((_, value)) = current(payloads, &key)? else {
            // Whoever reads it says that it is missing.
            return Ok(true);
        };
        Ok(match Record::read(value).at(|| shown(&key))?.body {
            Body::Own(stored) => numbers.any_in(stored),
            Body::SameAs(_) => true,
        })
    }
}

/// Goes to a key.
fn move_on(entries: &mut Entries<'_>, key: &[u8]) {
    for _ in 0..NEAR {
        match entries.key().map(|at| at.cmp(key)) {
            Some(Ordering::Less) => entries.next(),
            Some(Ordering::Equal) => return,
            Some(Ordering::Greater) | None => break,
        }
    }
    entries.seek(key);
}
