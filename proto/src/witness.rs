//! What a whole look at a kind saw, kept apart from history, so that history can be held against it.
//!
//! The list has a line for each facet of each resource that was seen. It lies among the shop's blobs,
//! under the hash of its bytes; the pull's record names it and holds its [`Digest`].
//!
//! ```text
//! id TAB facet TAB hash     the first half of the BLAKE3 of the canonical state, hexadecimal
//! id TAB facet TAB -        it is there; how it is was not vouched for
//! ```
//!
//! Lines are in the order of their bytes, which is the journal's order of resources: ids hold no
//! character below a space.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Facet, ResourceId, Timestamp};

/// How much of a hash a line holds, in hexadecimal digits.
const HASH_DIGITS: usize = 32;
/// What stands for the hash of what is not vouched for.
const UNVOUCHED: &str = "-";

/// Where the list of what a pull saw is, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Witness {
    /// The list's place among the shop's blobs: the BLAKE3 of its bytes.
    pub list: String,
    /// Facets that are vouched for.
    pub facets: u64,
    /// Their digest, hexadecimal. It does not depend on the order in which they were seen.
    pub digest: String,
    /// Version of the kind's mapping that the hashes were made with.
    pub mapping: u8,
    /// From when on changes may have been seen or not: when the first of its parts began to be read, by
    /// Shopify's clock where ours was ahead.
    pub since: Timestamp,
}

/// A facet of a resource as a pull saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which resource.
    pub id: ResourceId,
    /// Which part of it.
    pub facet: Facet,
    /// Half the hash of its canonical state; `None` where that is not vouched for.
    hash: Option<Box<str>>,
}

/// A line is not one of such a list.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a list of what was seen holds the line {0:?}")]
pub struct LineError(String);

impl Seen {
    /// A facet with the hash of its canonical state, hexadecimal; without one, how it is is not vouched
    /// for.
    pub fn new(id: ResourceId, facet: Facet, hash: Option<&str>) -> Self {
        let half = |hash: &str| hash.chars().take(HASH_DIGITS).collect::<String>().into();
        Self { id, facet, hash: hash.map(half) }
    }

    /// Whether it is vouched for how it was.
    pub fn is_vouched(&self) -> bool {
        self.hash.is_some()
    }

    /// Whether a canonical state of this hash, hexadecimal, is the one that was seen.
    pub fn is(&self, hash: &str) -> bool {
        self.hash.as_deref().is_some_and(|seen| hash.get(..HASH_DIGITS) == Some(seen))
    }

    /// Its line, without a line break.
    pub fn line(&self) -> String {
        let hash = self.hash.as_deref().unwrap_or(UNVOUCHED);
        format!("{}\t{}\t{hash}", self.id, self.facet.as_str())
    }

    /// Reads a line.
    pub fn parse(line: &str) -> Result<Self, LineError> {
        let parsed = || {
            let mut parts = line.split('\t');
            let (id, facet, hash) = (parts.next()?, parts.next()?, parts.next()?);
            let is_hash = |hash: &&str| {
                hash.len() == HASH_DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit())
            };
            let hash = match hash {
                UNVOUCHED => None,
                hash => Some(Some(hash).filter(is_hash)?.into()),
            };
            let (id, facet) = (ResourceId::parse(id).ok()?, Facet::parse(facet)?);
            parts.next().is_none().then_some(Self { id, facet, hash })
        };
        parsed().ok_or_else(|| LineError(line.chars().take(100).collect()))
    }
}

/// What facets that are vouched for come to, in whichever order they are added: the sum of the BLAKE3
/// of their lines. Unlike an exclusive or, it also tells one from two of the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    sum: [u64; 4],
    facets: u64,
}

impl Digest {
    /// Adds a facet; one that is not vouched for adds nothing.
    pub fn add(&mut self, seen: &Seen) {
        if !seen.is_vouched() {
            return;
        }
        let hash = blake3::hash(seen.line().as_bytes());
        let mut carry = false;
        for (sum, bytes) in self.sum.iter_mut().zip(hash.as_bytes().as_chunks::<8>().0) {
            let (with, first) = sum.overflowing_add(u64::from_le_bytes(*bytes));
            let (with, second) = with.overflowing_add(u64::from(carry));
            (*sum, carry) = (with, first | second);
        }
        self.facets += 1;
    }

    /// How many were added.
    pub fn facets(&self) -> u64 {
        self.facets
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sum.iter().rev().try_for_each(|part| write!(f, "{part:016x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::Hash;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn seen(id: &str, facet: Facet, state: &Value) -> Seen {
        let hash = Hash::of(Some(state)).to_hex();
        Seen::new(ResourceId::parse(id).expect("an id"), facet, Some(&hash))
    }

    fn digest(all: &[Seen]) -> Digest {
        let mut digest = Digest::default();
        all.iter().for_each(|seen| digest.add(seen));
        digest
    }

    fn several() -> impl Strategy<Value = Vec<(u32, String, u64)>> {
        proptest::collection::vec((0..50_u32, "[a-z]{0,6}", 0..1_000_u64), 1..40)
    }

    fn shown(told: &[(u32, String, u64)]) -> Vec<Seen> {
        let of = |(id, title, price): &(u32, String, u64)| {
            let state = json!({"title": title, "price": price.to_string()});
            let facet = if id % 3 == 0 { Facet::Metafields } else { Facet::Core };
            seen(&id.to_string(), facet, &state)
        };
        told.iter().map(of).collect()
    }

    proptest! {
        #[test]
        fn the_order_in_which_things_were_seen_does_not_matter(
            (told, shuffled) in several().prop_flat_map(|told| {
                (Just(told.clone()), Just(told).prop_shuffle())
            })
        ) {
            prop_assert_eq!(digest(&shown(&told)), digest(&shown(&shuffled)));
        }

        #[test]
        fn one_changed_field_one_thing_more_and_one_less_are_each_another_digest(
            told in several(), at in any::<prop::sample::Index>()
        ) {
            let (all, n) = (digest(&shown(&told)), at.index(told.len()));
            let mut changed = told.clone();
            changed[n].2 += 1;
            prop_assert_ne!(all, digest(&shown(&changed)));
            let mut moved = told.clone();
            moved[n].0 += 3;
            prop_assert_ne!(all.to_string(), digest(&shown(&moved)).to_string());
            let mut fewer = told.clone();
            let one = fewer.remove(n);
            prop_assert_ne!(all.to_string(), digest(&shown(&fewer)).to_string());
            let twice = [told, vec![one.clone(), one]].concat();
            prop_assert_ne!(all.to_string(), digest(&shown(&twice)).to_string());
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let state = json!({"title": "Mug"});
        let vouched = seen("Product-1 x", Facet::Core, &state);
        assert_eq!(Seen::parse(&vouched.line()), Ok(vouched.clone()));
        assert!(vouched.is(&Hash::of(Some(&state)).to_hex()));
        assert!(!vouched.is(&Hash::of(Some(&json!({"title": "Mog"}))).to_hex()));
        assert!(!vouched.is(""));
        let there = Seen::new(ResourceId::parse("1").expect("an id"), Facet::Core, None);
        assert_eq!((there.line().as_str(), there.is_vouched()), ("1\tcore\t-", false));
        assert_eq!(Seen::parse("1\tcore\t-"), Ok(there.clone()));
        assert_eq!(digest(&[there]), Digest::default());
        for wrong in ["", "1\tcore", "1\tcores\t-", "1\tcore\tabc", "1\tcore\t-\t-"] {
            assert!(Seen::parse(wrong).is_err(), "{wrong}");
        }
    }
}
