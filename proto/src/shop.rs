//! The tenant: a shop's permanent `*.myshopify.com` domain, parsed once and used everywhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// What every shop's permanent domain ends in.
pub const SUFFIX: &str = ".myshopify.com";

/// Longest accepted shop name, in bytes: one DNS label.
const NAME_BYTES_MAX: usize = 63;

/// A shop, by its permanent domain. Two values are equal exactly if they are the same tenant:
/// the name is lower case, and only `a-z`, `0-9` and inner `-` occur in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shop {
    name: Box<str>,
}

/// Why a text is not a shop's domain.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{given:?} is not a shop: expected a domain such as \"acme.myshopify.com\"")]
pub struct ShopError {
    given: String,
}

impl Shop {
    /// Parses `acme.myshopify.com`, in any case.
    pub fn parse(domain: &str) -> Result<Self, ShopError> {
        let lower = domain.to_ascii_lowercase();
        match lower.strip_suffix(SUFFIX) {
            Some(name) if is_name(name) => Ok(Self { name: name.into() }),
            _ => Err(ShopError { given: domain.chars().take(100).collect() }),
        }
    }

    /// The name before `.myshopify.com`, as it stands in subjects and keys.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole domain.
    pub fn domain(&self) -> String {
        format!("{}{SUFFIX}", self.name)
    }

    /// From the bare name of a key or subject that this project wrote.
    pub fn from_name(name: &str) -> Result<Self, ShopError> {
        if is_name(name) {
            Ok(Self { name: name.into() })
        } else {
            Err(ShopError { given: name.into() })
        }
    }
}

fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

impl fmt::Display for Shop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{SUFFIX}", self.name)
    }
}

impl FromStr for Shop {
    type Err = ShopError;
    fn from_str(s: &str) -> Result<Self, ShopError> {
        Self::parse(s)
    }
}

impl TryFrom<String> for Shop {
    type Error = ShopError;
    fn try_from(s: String) -> Result<Self, ShopError> {
        Self::parse(&s)
    }
}

impl From<Shop> for String {
    fn from(shop: Shop) -> Self {
        shop.domain()
    }
}

impl PartialSchema for Shop {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A shop's permanent domain."))
            .pattern(Some(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.myshopify\.com$"))
            .examples(["acme.myshopify.com"])
            .into()
    }
}

impl ToSchema for Shop {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_has_one_spelling() {
        let shop = Shop::parse("Acme-2.MyShopify.com").expect("a shop");
        assert_eq!(shop.to_string(), "acme-2.myshopify.com");
        assert_eq!(shop.name(), "acme-2");
        assert_eq!(shop, Shop::from_name("acme-2").expect("a shop"));
    }

    #[test]
    fn what_is_not_a_shop_is_refused() {
        for bad in [
            "",
            "acme",
            "acme.com",
            ".myshopify.com",
            "-acme.myshopify.com",
            "acme-.myshopify.com",
            "a.b.myshopify.com",
            "acme.myshopify.com.evil.example",
            "acme.myshopify.com/",
            "ac me.myshopify.com",
            "ac\0me.myshopify.com",
            "акме.myshopify.com",
            "a>.myshopify.com",
        ] {
            assert!(Shop::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(Shop::parse(&format!("{}{SUFFIX}", "a".repeat(64))).is_err());
    }
}
