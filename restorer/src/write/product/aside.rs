//! A wanted state as text, while nobody looks at it.

use serde_json::Value;

/// As a tree it takes some ten times as much, and hundreds wait for the shop.
#[derive(Default)]
pub(super) struct Aside(Option<Box<[u8]>>);

impl Aside {
    /// Puts it aside; `null` stands in its place meanwhile.
    pub(super) fn put(want: &mut Value) -> Self {
        let text = Self::copy(want);
        if text.0.is_some() {
            *want = Value::Null;
        }
        text
    }

    /// The same, and it stays.
    pub(super) fn copy(want: &Value) -> Self {
        Self(serde_json::to_vec(want).ok().map(Vec::into_boxed_slice))
    }

    /// Puts it back into its place.
    pub(super) fn back(self, want: &mut Value) {
        if let Some(text) = self.0 {
            // What was written as JSON can be read.
            *want = serde_json::from_slice(&text).unwrap_or_default();
        }
    }
}
