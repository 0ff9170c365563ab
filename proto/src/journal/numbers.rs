//! By what it is found, without reading everything, what may refer to something: whoever names it says the
//! number in its gid, however the rest of that is written.

use serde::{Deserialize, Serialize};

/// Most numbers that are asked for at once: a question holds 2 MiB, and a number has up to twenty digits.
const NUMBERS_MAX: usize = 90_000;

/// The numbers of some gids, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u64>")]
pub struct Numbers(Vec<u64>);

impl From<Vec<u64>> for Numbers {
    fn from(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        numbers.dedup();
        Self(numbers)
    }
}

impl Numbers {
    /// Those of gids or ids. `None` where one has none, or they are too many for a question: what refers to
    /// them is found by reading everything only.
    pub fn of<T: AsRef<str>>(gids: impl IntoIterator<Item = T>) -> Option<Self> {
        let numbers = gids.into_iter().map(|gid| number(gid.as_ref()));
        let numbers: Option<Vec<u64>> = numbers.collect();
        numbers.map(Self::from).filter(|numbers| numbers.0.len() <= NUMBERS_MAX)
    }

    /// Whether one of them stands in some bytes, and not as a part of another number.
    pub fn any_in(&self, bytes: &[u8]) -> bool {
        let Some(least) = self.0.first() else { return false };
        let shortest = least.checked_ilog10().map_or(1, |tens| tens as usize + 1);
        // No digit stands just before this.
        let mut at = 0;
        while let Some(next) = bytes.get(at..at + shortest) {
            // Few bytes are looked at: what begins before one that is no digit is too short.
            if let Some(other) = next.iter().rposition(|byte| !byte.is_ascii_digit()) {
                at += other + 1;
                continue;
            }
            let digits = digits(&bytes[at..]);
            if self.0.binary_search(&value(digits)).is_ok() {
                return true;
            }
            at += digits.len();
        }
        false
    }
}

/// The number in a gid: the longest, and of several the last, since an id may be made of more.
fn number(gid: &str) -> Option<u64> {
    let id = gid.split('?').next().unwrap_or(gid);
    let runs = id.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    runs.max_by_key(|run| run.len()).map(|run| value(run.as_bytes()))
}

/// The digits that some bytes begin with.
fn digits(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit());
    &bytes[..end.unwrap_or(bytes.len())]
}

/// What digits say. Of more than fit it is another number, which is the same for the same digits.
fn value(digits: &[u8]) -> u64 {
    digits.iter().fold(0_u64, |value, digit| {
        value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(gids: &[&str]) -> Numbers {
        Numbers::of(gids.iter().copied()).expect("numbers")
    }

    #[test]
    fn a_number_is_found_however_what_names_it_is_written() {
        let numbers = of(&["gid://shopify/Product/8072139866342", "gid://shopify/Page/12345"]);
        for text in [
            r#"{"value":"gid://shopify/Product/8072139866342"}"#,
            r#"{"value":"[\"gid:\/\/shopify\/Product\/8072139866342\"]"}"#,
            r#"{"product_id":8072139866342,"price":"1.00"}"#,
            "8072139866342",
            "12345",
            "a 99999 12345",
            "1234 12345",
        ] {
            assert!(numbers.any_in(text.as_bytes()), "{text}");
        }
        for text in ["", "1234", "123456", "012 345", "80721398663420", "18072139866342", "1.2345"]
        {
            assert!(!numbers.any_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn every_place_in_a_text_is_looked_at() {
        let numbers = of(&["777", "123456"]);
        for before in 0..20 {
            for after in 0..20 {
                let text = format!("{}/777{}", "x".repeat(before), "-".repeat(after));
                assert!(numbers.any_in(text.as_bytes()), "{text}");
                let text = format!("{}/7777{}", "12x".repeat(before), "-77".repeat(after));
                assert!(!numbers.any_in(text.as_bytes()), "{text}");
            }
        }
    }

    #[test]
    fn a_gid_is_known_by_its_number_and_one_without_by_none() {
        for (gid, number) in [
            ("gid://shopify/InventoryLevel/55?inventory_item_id=123456", "55"),
            ("gid://shopify/Translation/Product-4711-en-title", "4711"),
            ("gid://shopify/Product/99999999999999999999999", "99999999999999999999999"),
            ("61", "61"),
        ] {
            assert!(of(&[gid]).any_in(number.as_bytes()), "{gid}");
        }
        assert_eq!(Numbers::of(["gid://shopify/Product/1", "gid://shopify/Market/home"]), None);
        assert!(!of(&[]).any_in(b"1"));
    }
}
