//! Secrets: how they are read, and what is shown in their place.

use secrecy::SecretString;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads one. What is there instead may be a secret all the same, and is not repeated.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SecretString>, D::Error> {
    Option::deserialize(from).map_err(|_| D::Error::custom("it is no text in quotes"))
}

/// Reads several, likewise.
pub(super) fn read_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<SecretString>, D::Error> {
    Vec::deserialize(from).map_err(|_| D::Error::custom("it is no list of texts in quotes"))
}

pub(super) fn masked<S: Serializer>(
    secret: &Option<SecretString>,
    s: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| "***").serialize(s)
}

pub(super) fn masked_list<S: Serializer>(
    secrets: &[SecretString],
    s: S,
) -> Result<S::Ok, S::Error> {
    vec!["***"; secrets.len()].serialize(s)
}

/// Shows an address, or several, [without credentials](without_credentials).
pub(super) fn nameless<S: Serializer>(urls: &Option<String>, s: S) -> Result<S::Ok, S::Error> {
    urls.as_deref().map(without_credentials).serialize(s)
}

/// Addresses with commas between them, without the names and passwords that may stand before a host.
pub(crate) fn without_credentials(urls: &str) -> String {
    let one = |url: &str| {
        let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
        match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}***@{host}"),
            None => url.to_owned(),
        }
    };
    urls.split(',').map(one).collect::<Vec<_>>().join(",")
}
