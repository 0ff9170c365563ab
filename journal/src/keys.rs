//! How history is ordered on disk.
//!
//! Keys are compared byte by byte. Texts are written as they are and end in `0x00`; shops, kinds
//! and ids hold no byte below `0x20`, so the end of a text sorts before every continuation of it
//! and no resource's keys lie among another's. Numbers are eight bytes, big-endian; `!` inverts
//! them, so that the newest comes first and "as of" is one forward seek.
//!
//! ```text
//! position  !valid_at !triggered_at !seq            microseconds, microseconds, stream sequence
//! versions  shop 00 kind 00 id 00 facet position
//! heads     shop 00 kind 00 id 00 facet
//! timeline  shop 00 position
//! ops       shop 00 what 00 id 00 !seq              what was said of an id
//!           shop 00 what 00 01 !seq                 the newest of each id
//! meta      "format" | "stream" | "applied" | "created" | "verified"
//!           "shop"       00 shop 00
//!           "kind"       00 shop 00 kind 00
//!           "gap"        00 first missing sequence
//!           "quarantine" 00 sequence
//!           "erasure"    00 shop 00 name 00           what is erased, and how far that is
//!           "erased"     00 shop 00 kind 00 id 00     what must not come back
//!           "unsaid"     00 shop 00 sequence          messages to be taken off the stream
//!           "whole"      00 shop 00 kind 00           the last pull that read all of a kind
//! ```
//!
//! `identity` holds nothing yet.

use backstock_proto::journal::Place;
use backstock_proto::{Facet, Kind, ResourceId, ResourceKey, Shop, Timestamp};

use crate::record::RecordError;

/// Bytes of a position at the end of a key.
pub(crate) const POSITION_BYTES: usize = 24;

/// Where a version stands in the history of its shop: by when it became true, then by when Shopify
/// says that it happened, then by the stream. Later is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Position {
    /// Since when it is true in the shop.
    pub(crate) valid_at: Timestamp,
    /// When Shopify says that it happened; `valid_at` where it does not say.
    pub(crate) triggered_at: Timestamp,
    /// Sequence in the stream.
    pub(crate) seq: u64,
}

impl Position {
    /// Its bytes in a key.
    pub(crate) fn to_bytes(self) -> [u8; POSITION_BYTES] {
        let mut bytes = [0; POSITION_BYTES];
        bytes[..8].copy_from_slice(&inverted(self.valid_at));
        bytes[8..16].copy_from_slice(&inverted(self.triggered_at));
        bytes[16..].copy_from_slice(&(!self.seq).to_be_bytes());
        bytes
    }

    /// Reads it back.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        let bytes: &[u8; POSITION_BYTES] = bytes.try_into().map_err(|_| RecordError::Key)?;
        let number = |at: usize| !u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i]));
        let instant = |at: usize| {
            i64::try_from(number(at)).map(Timestamp::from_micros).map_err(|_| RecordError::Key)
        };
        Ok(Self { valid_at: instant(0)?, triggered_at: instant(8)?, seq: number(16) })
    }

    /// The last position that an instant may have: the first one at or before it in key order.
    pub(crate) fn last_at(at: Timestamp) -> Self {
        Self { valid_at: at, triggered_at: Timestamp::MAX, seq: u64::MAX }
    }

    /// Whether both say that they happened at the same moment, as one delivery and its repetition
    /// do.
    pub(crate) fn same_moment(self, other: Self) -> bool {
        (self.valid_at, self.triggered_at) == (other.valid_at, other.triggered_at)
    }
}

impl From<Place> for Position {
    fn from(Place { valid_at, triggered_at, seq }: Place) -> Self {
        Self { valid_at, triggered_at, seq }
    }
}

/// Instants are never before 1970 (`Timestamp::MIN`), so the bits sort like the instant.
fn inverted(at: Timestamp) -> [u8; 8] {
    (!(at.as_micros() as u64)).to_be_bytes()
}

fn text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(text.as_bytes());
    key.push(0);
}

/// What all keys of a shop begin with.
pub(crate) fn of_shop(shop: &Shop) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    text(&mut key, shop.name());
    key
}

/// What all keys of a shop's kind begin with.
pub(crate) fn of_kind(shop: &Shop, kind: &Kind) -> Vec<u8> {
    let mut key = of_shop(shop);
    text(&mut key, kind.as_str());
    key
}

/// What all keys of a resource begin with.
pub(crate) fn of_resource(resource: &ResourceKey) -> Vec<u8> {
    let mut key = of_kind(&resource.shop, &resource.kind);
    text(&mut key, resource.id.as_str());
    key
}

/// What all versions of a facet begin with; the key of its head.
pub(crate) fn of_facet(resource: &ResourceKey, facet: Facet) -> Vec<u8> {
    let mut key = of_resource(resource);
    key.push(facet.byte());
    key
}

/// A prefix followed by a position: a version after [`of_facet`], an entry of the timeline after
/// [`of_shop`].
pub(crate) fn at(prefix: &[u8], position: Position) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + POSITION_BYTES);
    key.extend_from_slice(prefix);
    key.extend_from_slice(&position.to_bytes());
    key
}

/// The least key greater than every key that begins with `prefix`; `None` if there is none.
pub(crate) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Splits a key into what stands before its position, and the position.
pub(crate) fn split(key: &[u8]) -> Result<(&[u8], Position), RecordError> {
    let prefix = key.len().checked_sub(POSITION_BYTES).ok_or(RecordError::Key)?;
    Ok((&key[..prefix], Position::from_bytes(&key[prefix..])?))
}

/// Reads back the key of a head, or a version's key without its position.
pub(crate) fn parse_facet(key: &[u8]) -> Result<(ResourceKey, Facet), RecordError> {
    let mut parts = key.splitn(4, |byte| *byte == 0);
    let mut next =
        || parts.next().and_then(|p| std::str::from_utf8(p).ok()).ok_or(RecordError::Key);
    let (shop, kind, id, facet) = (next()?, next()?, next()?, next()?);
    let [facet] = facet.as_bytes() else { return Err(RecordError::Key) };
    let key = ResourceKey {
        shop: Shop::from_name(shop).map_err(|_| RecordError::Key)?,
        kind: Kind::parse(kind).map_err(|_| RecordError::Key)?,
        id: ResourceId::parse(id).map_err(|_| RecordError::Key)?,
    };
    Ok((key, Facet::from_byte(*facet).ok_or(RecordError::Key)?))
}

/// Keys of the family `meta`.
pub(crate) mod meta {
    use super::{
        Kind, RecordError, ResourceId, ResourceKey, Shop, of_kind, of_resource, of_shop, text,
    };

    pub(crate) const FORMAT: &[u8] = b"format";
    pub(crate) const STREAM: &[u8] = b"stream";
    pub(crate) const APPLIED: &[u8] = b"applied";
    pub(crate) const CREATED: &[u8] = b"created";
    pub(crate) const VERIFIED: &[u8] = b"verified";
    pub(crate) const CHECKPOINTED: &[u8] = b"checkpointed";
    pub(crate) const SHOPS: &[u8] = b"shop\0";
    pub(crate) const KINDS: &[u8] = b"kind\0";
    pub(crate) const GAPS: &[u8] = b"gap\0";
    pub(crate) const QUARANTINE: &[u8] = b"quarantine\0";
    pub(crate) const ERASURES: &[u8] = b"erasure\0";
    pub(crate) const ERASED: &[u8] = b"erased\0";
    pub(crate) const UNSAID: &[u8] = b"unsaid\0";
    pub(crate) const WHOLE: &[u8] = b"whole\0";

    pub(crate) fn shop(shop: &Shop) -> Vec<u8> {
        [SHOPS, &of_shop(shop)].concat()
    }

    pub(crate) fn kind(shop: &Shop, kind: &Kind) -> Vec<u8> {
        [KINDS, &of_kind(shop, kind)].concat()
    }

    pub(crate) fn kinds_of(shop: &Shop) -> Vec<u8> {
        [KINDS, &of_shop(shop)].concat()
    }

    /// What is erased, by its name within the shop.
    pub(crate) fn erasure(shop: &Shop, name: &str) -> Vec<u8> {
        let mut key = [ERASURES, &of_shop(shop)].concat();
        text(&mut key, name);
        key
    }

    pub(crate) fn erased(resource: &ResourceKey) -> Vec<u8> {
        [ERASED, &of_resource(resource)].concat()
    }

    pub(crate) fn erased_of(shop: &Shop) -> Vec<u8> {
        [ERASED, &of_shop(shop)].concat()
    }

    /// Reads back a key of [`ERASED`].
    pub(crate) fn parse_erased(key: &[u8]) -> Result<ResourceKey, RecordError> {
        let key = key.strip_prefix(ERASED).and_then(|key| key.strip_suffix(&[0]));
        let mut texts = key.ok_or(RecordError::Key)?.split(|byte| *byte == 0);
        let mut next =
            || texts.next().and_then(|t| std::str::from_utf8(t).ok()).ok_or(RecordError::Key);
        let (shop, kind, id) = (next()?, next()?, next()?);
        Ok(ResourceKey {
            shop: Shop::from_name(shop).map_err(|_| RecordError::Key)?,
            kind: Kind::parse(kind).map_err(|_| RecordError::Key)?,
            id: ResourceId::parse(id).map_err(|_| RecordError::Key)?,
        })
    }

    pub(crate) fn unsaid_of(shop: &Shop) -> Vec<u8> {
        [UNSAID, &of_shop(shop)].concat()
    }

    /// The shop and the sequence of a key of [`UNSAID`].
    pub(crate) fn parse_unsaid(key: &[u8]) -> Result<(Shop, u64), RecordError> {
        let (shop, seq) = key.split_last_chunk().ok_or(RecordError::Key)?;
        Ok((
            Shop::from_name(last_text(shop)?).map_err(|_| RecordError::Key)?,
            u64::from_be_bytes(*seq),
        ))
    }

    /// By the id of the kind's pulls, which is its name.
    pub(crate) fn whole(shop: &Shop, id: &str) -> Vec<u8> {
        let mut key = whole_of(shop);
        text(&mut key, id);
        key
    }

    pub(crate) fn whole_of(shop: &Shop) -> Vec<u8> {
        [WHOLE, &of_shop(shop)].concat()
    }

    pub(crate) fn numbered(prefix: &[u8], seq: u64) -> Vec<u8> {
        [prefix, &seq.to_be_bytes()].concat()
    }

    /// The number at the end of a key of [`numbered`].
    pub(crate) fn number(key: &[u8]) -> Result<u64, RecordError> {
        let (_, number) = key.split_last_chunk().ok_or(RecordError::Key)?;
        Ok(u64::from_be_bytes(*number))
    }

    /// The text at the end of a key of [`SHOPS`] or [`KINDS`].
    pub(crate) fn last_text(key: &[u8]) -> Result<&str, RecordError> {
        let text = key.strip_suffix(&[0]).and_then(|k| k.rsplit(|byte| *byte == 0).next());
        text.and_then(|t| std::str::from_utf8(t).ok()).ok_or(RecordError::Key)
    }
}

/// Keys of the family `ops`.
pub(crate) mod ops {
    use super::{RecordError, Shop, of_shop, text};

    /// Stands where an id would; no id begins with it.
    const NEWEST: u8 = 1;

    /// What the keys of all records of an id begin with.
    pub(crate) fn said(shop: &Shop, what: &str, id: &str) -> Vec<u8> {
        let mut key = of_shop(shop);
        text(&mut key, what);
        text(&mut key, id);
        key
    }

    /// What the keys of the newest records of all ids begin with.
    pub(crate) fn newest(shop: &Shop, what: &str) -> Vec<u8> {
        let mut key = of_shop(shop);
        text(&mut key, what);
        key.push(NEWEST);
        key
    }

    /// Whether a prefix is one of [`newest`].
    pub(crate) fn is_newest(prefix: &[u8]) -> bool {
        prefix.last() == Some(&NEWEST)
    }

    /// One of the two, followed by a sequence.
    pub(crate) fn at(prefix: &[u8], seq: u64) -> Vec<u8> {
        [prefix, &(!seq).to_be_bytes()].concat()
    }

    /// Splits a key into what stands before its sequence, and the sequence.
    pub(crate) fn split(key: &[u8]) -> Result<(&[u8], u64), RecordError> {
        let (prefix, seq) = key.split_last_chunk().ok_or(RecordError::Key)?;
        Ok((prefix, !u64::from_be_bytes(*seq)))
    }

    /// The shop, the `what` and the id of a prefix of [`said`]; without an id, of [`newest`].
    pub(crate) fn parse(prefix: &[u8]) -> Result<(Shop, &str, &str), RecordError> {
        let prefix = prefix.strip_suffix(&[0]).or(prefix.strip_suffix(&[NEWEST]));
        let mut texts = prefix.ok_or(RecordError::Key)?.split(|byte| *byte == 0);
        let mut next = || texts.next().map(std::str::from_utf8).and_then(Result::ok);
        let (Some(shop), Some(what), Some(id)) = (next(), next(), next()) else {
            return Err(RecordError::Key);
        };
        Ok((Shop::from_name(shop).map_err(|_| RecordError::Key)?, what, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(shop: &str, kind: &str, id: &str) -> ResourceKey {
        ResourceKey {
            shop: Shop::from_name(shop).expect("shop"),
            kind: Kind::parse(kind).expect("kind"),
            id: ResourceId::parse(id).expect("id"),
        }
    }

    fn position(valid_at: i64, triggered_at: i64, seq: u64) -> Position {
        Position {
            valid_at: Timestamp::from_micros(valid_at),
            triggered_at: Timestamp::from_micros(triggered_at),
            seq,
        }
    }

    #[test]
    fn the_order_on_disk() {
        let mut keys: Vec<(Vec<u8>, String)> = Vec::new();
        for (shop, kind, id) in [
            ("acme", "product", "1"),
            ("acme", "product", "10"),
            ("acme", "product", "2"),
            ("acme", "product", "ü"),
            ("acme", "product_event", "1"),
            ("acme-2", "product", "1"),
            ("acme2", "product", "1"),
        ] {
            for at in [(1, 1, 9), (5, 5, 3), (5, 6, 2), (5, 6, 4)] {
                let key = at_of(&key(shop, kind, id), position(at.0, at.1, at.2));
                keys.push((key, format!("{shop}/{kind}/{id} {at:?}")));
            }
        }
        keys.sort();
        let shown: Vec<&str> = keys.iter().map(|(_, shown)| shown.as_str()).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        acme/product/1 (5, 6, 4)
        acme/product/1 (5, 6, 2)
        acme/product/1 (5, 5, 3)
        acme/product/1 (1, 1, 9)
        acme/product/10 (5, 6, 4)
        acme/product/10 (5, 6, 2)
        acme/product/10 (5, 5, 3)
        acme/product/10 (1, 1, 9)
        acme/product/2 (5, 6, 4)
        acme/product/2 (5, 6, 2)
        acme/product/2 (5, 5, 3)
        acme/product/2 (1, 1, 9)
        acme/product/ü (5, 6, 4)
        acme/product/ü (5, 6, 2)
        acme/product/ü (5, 5, 3)
        acme/product/ü (1, 1, 9)
        acme/product_event/1 (5, 6, 4)
        acme/product_event/1 (5, 6, 2)
        acme/product_event/1 (5, 5, 3)
        acme/product_event/1 (1, 1, 9)
        acme-2/product/1 (5, 6, 4)
        acme-2/product/1 (5, 6, 2)
        acme-2/product/1 (5, 5, 3)
        acme-2/product/1 (1, 1, 9)
        acme2/product/1 (5, 6, 4)
        acme2/product/1 (5, 6, 2)
        acme2/product/1 (5, 5, 3)
        acme2/product/1 (1, 1, 9)
        ");
    }

    fn at_of(resource: &ResourceKey, position: Position) -> Vec<u8> {
        at(&of_facet(resource, Facet::Core), position)
    }

    #[test]
    fn keys_are_read_back_at_the_limits() {
        for limit in [
            position(0, 0, 0),
            position(Timestamp::MAX.as_micros(), Timestamp::MAX.as_micros(), u64::MAX),
        ] {
            let resource = key("a", "order", &"9".repeat(255));
            let whole = at_of(&resource, limit);
            let (prefix, read) = split(&whole).expect("a key");
            assert_eq!(read, limit);
            assert_eq!(parse_facet(prefix).expect("a facet"), (resource, Facet::Core));
        }
        assert!(split(b"short").is_err());
        assert!(parse_facet(b"acme\0product\x001\0?").is_err());
    }

    /// These and those in `tests/golden` are on users' disks.
    #[test]
    fn what_is_known_of_erasures_stands_where_it_always_did() {
        let seven = key("acme", "customer", "7");
        let erased = meta::erased(&seven);
        assert_eq!(erased, b"erased\0acme\0customer\x007\0", "{}", golden::HOW_TO_CHANGE);
        assert_eq!(meta::parse_erased(&erased).expect("a key"), seven);
        let unsaid = meta::numbered(&meta::unsaid_of(&seven.shop), 0x0102);
        let golden = b"unsaid\0acme\0\0\0\0\0\0\0\x01\x02";
        assert_eq!(unsaid, golden, "{}", golden::HOW_TO_CHANGE);
        assert_eq!(meta::parse_unsaid(&unsaid).expect("a key"), (seven.shop, 0x0102));
    }

    #[test]
    fn a_range_ends_after_its_last_key_and_before_its_neighbour() {
        let first = position(0, 0, 0);
        let last = position(Timestamp::MAX.as_micros(), Timestamp::MAX.as_micros(), u64::MAX);
        let (acme, longer) = (key("acme", "product", "1"), key("acme", "product", "10"));
        let end = end_of(&of_resource(&acme)).expect("an end");
        for position in [first, last] {
            assert!(at_of(&acme, position) < end);
            assert!(at_of(&longer, position) >= end);
        }
        let shop_end = end_of(&of_shop(&acme.shop)).expect("an end");
        assert!(at_of(&key("acme", "zzz", "\u{10ffff}"), first) < shop_end);
        assert!(at_of(&key("acme-2", "a", "0"), last) >= shop_end);
        assert_eq!(end_of(&[0xff, 0xff]), None);
        assert_eq!(end_of(&[1, 0xff]), Some(vec![2]));
    }

    #[test]
    fn as_of_an_instant_starts_at_the_last_position_of_that_instant() {
        let at = Timestamp::from_micros(5);
        let bound = Position::last_at(at).to_bytes();
        assert!(bound <= position(5, Timestamp::MAX.as_micros(), u64::MAX).to_bytes());
        assert!(bound > position(6, 0, 0).to_bytes());
    }
}
