//! What one action did to the shop's documents, and the log of what was asked for by the Admin API.

use serde::Serialize;
use serde_json::Value;

use crate::gid::Gid;
use crate::store::Document;

/// What an action did to one resource.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which.
    pub gid: Gid,
    /// What it was before the action; nothing when it was not there.
    pub before: Option<Document>,
    /// What it is after it; nothing when it is gone.
    pub after: Option<Document>,
}

/// What became of a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It is new.
    Create,
    /// It is another than before, or was saved as it was.
    Update,
    /// It is gone.
    Delete,
}

impl Change {
    /// What became of the resource; nothing when it came and went within the action.
    #[must_use]
    pub fn deed(&self) -> Option<Deed> {
        match (&self.before, &self.after) {
            (None, None) => None,
            (None, Some(_)) => Some(Deed::Create),
            (Some(_), Some(_)) => Some(Deed::Update),
            (Some(_), None) => Some(Deed::Delete),
        }
    }
}

impl Deed {
    /// As Events name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A resource that a mutation wrote, be it as it was.
#[derive(Clone, Debug, Serialize)]
pub struct Touched {
    /// Which.
    pub gid: String,
    /// What became of it.
    pub deed: Deed,
}

/// One mutation that was executed.
#[derive(Clone, Debug, Serialize)]
pub struct Write {
    /// When, on the shop's clock.
    pub at: String,
    /// The app whose token was used, by its title.
    pub app: String,
    /// The end of that token, where it came over HTTP.
    pub token: Option<String>,
    /// The field of `Mutation`.
    pub mutation: String,
    /// Every gid among its arguments, in order of the arguments' names.
    pub ids: Vec<String>,
    /// What it wrote.
    pub touched: Vec<Touched>,
    /// How many user errors it answered with.
    pub user_errors: usize,
    /// Whether it was refused as a whole.
    pub refused: bool,
}

/// The gids in a value, at any depth.
pub(crate) fn gids(value: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match value {
        Value::String(text) => {
            Box::new(text.starts_with("gid://").then_some(text.as_str()).into_iter())
        }
        Value::Array(items) => Box::new(items.iter().flat_map(gids)),
        Value::Object(map) => Box::new(map.values().flat_map(gids)),
        _ => Box::new(std::iter::empty()),
    }
}
