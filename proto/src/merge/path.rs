//! The way to a field, and its steps.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The way to a field: `/title`, `/variants/{gid:~1~1shopify~1ProductVariant~17}/price`. `{…}` is the
/// element of a list with that identity, `{}` the order of the list's elements.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "/variants/{gid:~1~1shopify~1ProductVariant~17}/price")]
pub struct FieldPath(Box<str>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Member(String),
    /// The element of a list that is known by this.
    Element(String),
    /// The order of a list's elements, as a list of what they are known by.
    Order,
}

impl FieldPath {
    /// The state as a whole.
    pub fn root() -> Self {
        Self("".into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// From its text; any JSON Pointer is one.
    pub fn parse(text: &str) -> Option<Self> {
        (text.is_empty() || text.starts_with('/')).then(|| Self(text.into()))
    }

    /// This path, one step further.
    #[must_use]
    pub fn then(&self, step: &Step) -> Self {
        let escaped = |text: &str| text.replace('~', "~0").replace('/', "~1");
        let token = match step {
            // A member that looks like an element is told apart by an escape of its own.
            Step::Member(name) => match escaped(name) {
                name if name.starts_with('{') => name.replacen('{', "~2", 1),
                name => name,
            },
            Step::Element(label) => format!("{{{}}}", escaped(label)),
            Step::Order => "{}".into(),
        };
        Self(format!("{}/{token}", self.0).into())
    }

    /// Its steps, outermost first.
    pub fn steps(&self) -> Vec<Step> {
        let plain = |text: &str| text.replace("~2", "{").replace("~1", "/").replace("~0", "~");
        self.0
            .split('/')
            .skip(1)
            .map(|token| match token.strip_prefix('{') {
                Some("}") => Step::Order,
                Some(rest) => Step::Element(plain(rest.strip_suffix('}').unwrap_or(rest))),
                None => Step::Member(plain(token)),
            })
            .collect()
    }

    /// Whether this is `other`, or lies within it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The member of the resource that it lies in: `variants`.
    pub fn member(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
