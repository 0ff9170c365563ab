//! What others did to a product while it was being written: that stays.

use std::collections::HashMap;

use backstock_proto::merge::{self, OnConflict};
use serde_json::Value;

use crate::write::step::{list, text};

/// Lists whose order our own steps change on the way.
const ORDERED: [&str; 3] = ["options", "variants", "media"];

/// Takes into what is wanted, which has the ids of now, what has become another since the first look, where
/// nothing else is wanted than what was there then. What is new goes last.
pub(super) fn take_up(want: &mut Value, first: &Value, now: &Value) {
    let (mut taken, _) = merge::revert(want, now, first, OnConflict::Keep);
    for name in ORDERED {
        let wanted = list(want, name).iter().enumerate();
        let places: HashMap<&str, usize> = wanted.map(|(at, one)| (text(one, "id"), at)).collect();
        if let Some(elements) = taken.get_mut(name).and_then(Value::as_array_mut) {
            elements.sort_by_key(|one| places.get(text(one, "id")).copied().unwrap_or(usize::MAX));
        }
    }
    *want = taken;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variant(n: u64, price: &str) -> Value {
        json!({"id": format!("gid://shopify/ProductVariant/{n}"), "price": price})
    }

    #[test]
    fn what_others_did_since_stays_and_what_is_wanted_comes() {
        let first = json!({
            "id": "p", "title": "Bad", "vendor": "A", "tags": ["a"],
            "variants": [variant(1, "1"), variant(2, "2"), variant(5, "5"), variant(6, "6")],
        });
        // The third is ours, and just made.
        let mut want = json!({
            "id": "p", "title": "Good", "vendor": "A", "tags": ["a"],
            "variants": [variant(3, "3"), variant(1, "1"), variant(2, "20"), variant(5, "5")],
        });
        let now = json!({
            "id": "p", "title": "Bad", "vendor": "B", "tags": ["a", "new"],
            "variants": [
                variant(2, "2"), variant(1, "9"), variant(6, "6"), variant(3, "3"), variant(4, "4"),
            ],
        });
        take_up(&mut want, &first, &now);
        let expected = json!({
            "id": "p", "title": "Good", "vendor": "B", "tags": ["a", "new"],
            "variants": [variant(3, "3"), variant(1, "9"), variant(2, "20"), variant(4, "4")],
        });
        assert_eq!(want, expected);
    }
}
