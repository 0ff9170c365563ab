//! When two documents are the same: the hash of a canonical state.
//!
//! Canonical states are JSON with members in the order of their names, numbers as written and no
//! white space, so equal states have equal bytes.

use serde_json::Value;

/// BLAKE3 of a canonical state. A tombstone has [`Hash::NONE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash of no state at all: a tombstone's.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a facet's canonical state, or of its absence.
    pub fn of(state: Option<&Value>) -> Self {
        let Some(state) = state else { return Self::NONE };
        // Written out first: BLAKE3 is several times faster on one long text than on its many parts.
        let mut written = Vec::with_capacity(16 << 10);
        // Writing into memory cannot fail, and neither can serialising a `Value`.
        let outcome = serde_json::to_writer(&mut written, state);
        debug_assert!(outcome.is_ok());
        Self(*blake3::hash(&written).as_bytes())
    }

    /// Hexadecimal.
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_members_does_not_matter_but_their_values_do() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).expect("json");
        let a = parse(r#"{"title":"A","price":"1.00"}"#);
        let b = parse(r#"{ "price" : "1.00", "title" : "A" }"#);
        assert_eq!(Hash::of(Some(&a)), Hash::of(Some(&b)));
        assert_ne!(Hash::of(Some(&a)), Hash::of(Some(&json!({"title": "A", "price": "1.0"}))));
        assert_ne!(Hash::of(Some(&Value::Null)), Hash::NONE);
        assert_eq!(Hash::of(None), Hash::NONE);
    }
}
