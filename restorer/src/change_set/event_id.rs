//! Shopify's ids of actions, in few bytes: changes are held in memory by the hundred thousand, and such an
//! id is only ever compared with others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;

/// What tells an action from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId(NonZeroU64);

impl From<&str> for EventId {
    fn from(id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        Self(NonZeroU64::new(hasher.finish()).unwrap_or(NonZeroU64::MIN))
    }
}
