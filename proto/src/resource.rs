//! What a version is a version of: (shop, kind, id), and which facet of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Kind, Shop};

/// Longest accepted resource id, in bytes.
pub const ID_BYTES_MAX: usize = 255;

/// What names a resource within its shop and kind: the number in its gid, `item-location` for an
/// inventory level, and the natural key where Shopify has no number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[^\\x00-\\x1f\\x7f]{1,255}$", example = "8072139866342")]
pub struct ResourceId(Box<str>);

/// Why a text cannot name a resource.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResourceIdError {
    /// Nothing was given.
    #[error("a resource id is empty")]
    Empty,
    /// Longer than [`ID_BYTES_MAX`].
    #[error("a resource id is longer than {ID_BYTES_MAX} bytes")]
    TooLong,
    /// Holds a byte below 0x20 or 0x7f, which keys use as separators.
    #[error("a resource id holds a control character")]
    Control,
}

impl ResourceId {
    /// Stands in where a body names no resource; what arrives under it is kept all the same.
    pub const UNKNOWN: &str = "unknown";

    /// Parses a bare id or a whole gid, of which the part after the type is kept.
    pub fn parse(text: &str) -> Result<Self, ResourceIdError> {
        let id = match text.strip_prefix("gid://shopify/") {
            Some(rest) => rest.split_once('/').map_or("", |(_, id)| id),
            None => text,
        };
        let id = id.split('?').next().unwrap_or_default();
        if id.is_empty() {
            Err(ResourceIdError::Empty)
        } else if id.len() > ID_BYTES_MAX {
            Err(ResourceIdError::TooLong)
        } else if id.chars().any(char::is_control) {
            Err(ResourceIdError::Control)
        } else {
            Ok(Self(id.into()))
        }
    }

    /// The id that stands in where a body names no resource.
    pub fn unknown() -> Self {
        Self(Self::UNKNOWN.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ResourceId {
    type Error = ResourceIdError;
    fn try_from(s: String) -> Result<Self, ResourceIdError> {
        Self::parse(&s)
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> Self {
        id.0.into()
    }
}

/// The type in a gid: `Product` in `gid://shopify/Product/1`.
pub fn gid_type(gid: &str) -> Option<&str> {
    gid.strip_prefix("gid://shopify/")?.split('/').next().filter(|t| !t.is_empty())
}

/// One resource of one shop.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ResourceKey {
    /// Whose.
    pub shop: Shop,
    /// What sort of thing.
    pub kind: Kind,
    /// Which one.
    pub id: ResourceId,
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.shop.name(), self.kind, self.id)
    }
}

/// A part of a resource that one source covers as a whole. A resource at an instant is the union
/// of its facets at that instant.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Facet {
    /// What the kind's webhook carries; everything, for a kind without a complete webhook.
    Core = b'c',
    /// What else the Admin API tells of it, without the parts below.
    Detail = b'd',
    /// Its metafields.
    Metafields = b'm',
    /// What the Admin API tells of its variants and their webhook does not: metafields, inventory
    /// items.
    Variants = b'v',
    /// Where it is published.
    Publications = b'p',
    /// What belongs to it, in order: a collection's products.
    Membership = b'b',
    /// Its texts in other languages.
    Translations = b't',
    /// Where the bytes of its media are kept.
    Blobs = b'x',
    /// What was said about it that is no state of it: a thin webhook, a notice. Kept as received,
    /// never a part of the resource.
    Signal = b's',
}

impl Facet {
    /// All of them, `Core` first: the order in which they make up a resource.
    pub const ALL: [Self; 9] = [
        Self::Core,
        Self::Detail,
        Self::Metafields,
        Self::Variants,
        Self::Publications,
        Self::Membership,
        Self::Translations,
        Self::Blobs,
        Self::Signal,
    ];

    /// The byte that stands for it in keys. Once assigned, never reassigned.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The facet that a key's byte stands for.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.byte() == byte)
    }

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Detail => "detail",
            Self::Metafields => "metafields",
            Self::Variants => "variants",
            Self::Publications => "publications",
            Self::Membership => "membership",
            Self::Translations => "translations",
            Self::Blobs => "blobs",
            Self::Signal => "signal",
        }
    }

    /// From its name on the wire.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.as_str() == name)
    }

    /// Whether it is a part of the resource's state.
    pub fn is_state(self) -> bool {
        self != Self::Signal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gid_and_its_number_name_the_same_resource() {
        let gid = ResourceId::parse("gid://shopify/Product/788032119674292922").expect("gid");
        assert_eq!(gid, ResourceId::parse("788032119674292922").expect("number"));
        assert_eq!(gid_type("gid://shopify/Product/1"), Some("Product"));
        let level =
            ResourceId::parse("gid://shopify/InventoryLevel/5?inventory_item_id=7").expect("level");
        assert_eq!(level.as_str(), "5");
    }

    #[test]
    fn an_id_that_would_break_a_key_is_refused() {
        assert_eq!(ResourceId::parse(""), Err(ResourceIdError::Empty));
        assert_eq!(ResourceId::parse("gid://shopify/Product/"), Err(ResourceIdError::Empty));
        assert_eq!(ResourceId::parse("a\0b"), Err(ResourceIdError::Control));
        assert_eq!(ResourceId::parse(&"1".repeat(256)), Err(ResourceIdError::TooLong));
    }
}
