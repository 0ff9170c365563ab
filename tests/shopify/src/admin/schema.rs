//! The schemas that documents are held against, one per API version.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use apollo_compiler::Name;
use apollo_compiler::Schema as GraphqlSchema;
use apollo_compiler::collections::HashMap;
use apollo_compiler::schema::Implementers;
use apollo_compiler::validation::Valid;

use super::introspection::Introspection;

/// A version of the Admin API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Version {
    /// April 2026.
    V2026_04,
    /// July 2026.
    V2026_07,
    /// October 2026.
    V2026_10,
}

impl Version {
    /// Every version that is served, oldest first.
    pub const ALL: [Self; 3] = [Self::V2026_04, Self::V2026_07, Self::V2026_10];

    /// The version that answers a request for `name`. One that is no longer supported is answered
    /// by the oldest that is, without a word except in the response's header.
    #[must_use]
    pub fn serving(name: &str) -> Option<Self> {
        if let Some(version) = Self::ALL.into_iter().find(|version| version.name() == name) {
            return Some(version);
        }
        let (year, month) = name.split_once('-')?;
        let quarterly = matches!(month, "01" | "04" | "07" | "10");
        let known = year.len() == 4 && year.parse::<u16>().is_ok_and(|year| year >= 2019);
        (quarterly && known && name < Self::V2026_04.name()).then_some(Self::V2026_04)
    }

    /// As in the URL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V2026_04 => "2026-04",
            Self::V2026_07 => "2026-07",
            Self::V2026_10 => "2026-10",
        }
    }
}

/// A schema and who implements what in it.
pub struct Schema {
    /// The schema.
    pub graphql: Valid<GraphqlSchema>,
    /// Its interfaces' implementers.
    pub implementers: HashMap<Name, Implementers>,
}

/// Why there is no schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It was not fetched.
    #[error("read {path}: {source}; tests/shopify/schema.sh fetches it")]
    Read {
        /// Where it is looked for.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// It is no introspection result.
    #[error("parse introspection: {0}")]
    Parse(#[from] serde_json::Error),
    /// It is no valid schema.
    #[error("schema is not valid: {0}")]
    Invalid(String),
}

/// The schemas of all versions, read when they are first asked for.
pub struct Schemas {
    directory: PathBuf,
    loaded: [OnceLock<Result<Schema, SchemaError>>; 3],
}

impl Schemas {
    /// Schemas that `schema.sh` left in a directory.
    #[must_use]
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), loaded: [const { OnceLock::new() }; 3] }
    }

    /// The schema of a version.
    ///
    /// # Errors
    /// When it was not fetched or is damaged.
    pub fn get(&self, version: Version) -> Result<&Schema, &SchemaError> {
        let path = self.directory.join(format!("admin_{}.json", version.name()));
        self.loaded[version as usize].get_or_init(|| Schema::read(&path)).as_ref()
    }
}

impl Schema {
    fn read(path: &Path) -> Result<Self, SchemaError> {
        let bytes = std::fs::read(path)
            .map_err(|source| SchemaError::Read { path: path.to_owned(), source })?;
        let introspection: Introspection = serde_json::from_slice(&bytes)?;
        let graphql = GraphqlSchema::parse_and_validate(introspection.sdl(), "admin.graphql")
            .map_err(|error| SchemaError::Invalid(error.errors.to_string()))?;
        let implementers = graphql.implementers_map();
        Ok(Self { graphql, implementers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_version_is_answered_by_the_oldest_supported() {
        assert_eq!(Version::serving("2026-07"), Some(Version::V2026_07));
        assert_eq!(Version::serving("2025-01"), Some(Version::V2026_04));
        assert_eq!(Version::serving("2027-01"), None);
        assert_eq!(Version::serving("latest"), None);
    }
}
