//! Gids and other ids in few bytes. A shop has millions of them, and nearly all are a number amid one of a
//! few texts, mostly behind it: each text is held once.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backstock_proto::{Kind, ResourceId};

/// Stands for the number in what is around it, where more follows.
const NUMBER: char = '\0';

/// An id in twelve bytes, as the [`Beginnings`] that it was added to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Short {
    /// The place of what it begins with, and of what follows its number.
    begins: u32,
    /// The number, the upper half first; 0 where there is none.
    number: [u32; 2],
}

/// What ids begin with, and what follows their numbers.
#[derive(Debug, Default)]
pub(crate) struct Beginnings {
    places: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Beginnings {
    /// An id in few bytes. The same id is always the same, and no other one is.
    pub(crate) fn add(&mut self, id: &str) -> Short {
        let (begins, number) = split(id);
        let known = self.places.get(&*begins).copied();
        let begins = known.unwrap_or_else(|| {
            let text: Arc<str> = Arc::from(&*begins);
            let place = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
            self.texts.push(text.clone());
            self.places.insert(text, place);
            place
        });
        Short { begins, number }
    }

    /// An id in few bytes; `None` if none that begins like it was ever added.
    pub(crate) fn find(&self, id: &str) -> Option<Short> {
        let (begins, number) = split(id);
        Some(Short { begins: *self.places.get(&*begins)?, number })
    }

    /// The id again.
    pub(crate) fn text(&self, short: Short) -> String {
        let begins = self.texts.get(short.begins as usize).map_or("", |text| &**text);
        let [upper, lower] = short.number.map(u64::from);
        match ((upper << 32) | lower, begins.split_once(NUMBER)) {
            (0, _) => begins.to_owned(),
            (number, Some((before, after))) => format!("{before}{number}{after}"),
            (number, None) => format!("{begins}{number}"),
        }
    }
}

/// What is around the longest number of an id, the last of several, and that number. Zeros before it are
/// no part of it.
fn split(id: &str) -> (Cow<'_, str>, [u32; 2]) {
    let runs = id.split(|c: char| !c.is_ascii_digit()).map(|run| run.trim_start_matches('0'));
    let digits = runs.max_by_key(|run| run.len()).unwrap_or_default();
    let Some(number) = digits.parse::<u64>().ok().filter(|_| !id.contains(NUMBER)) else {
        return (id.into(), [0, 0]);
    };
    let at = id.rfind(digits).unwrap_or_default();
    let begins: Cow<'_, str> = match (&id[..at], &id[at + digits.len()..]) {
        (before, "") => before.into(),
        (before, after) => format!("{before}{NUMBER}{after}").into(),
    };
    (begins, [(number >> 32) as u32, (number & 0xffff_ffff) as u32])
}

/// What names a resource in its shop. Of a composed id the first part comes last: its number is one of
/// many, and what follows it is shared.
pub(crate) fn name(kind: &Kind, id: &ResourceId) -> String {
    match id.as_str().split_once('-') {
        Some((first, rest)) => format!("{kind}\n{rest}\n{first}"),
        None => format!("{kind}\n{id}"),
    }
}

/// A set of gids.
#[derive(Debug, Default)]
pub(crate) struct Gids {
    beginnings: Beginnings,
    all: HashSet<Short>,
}

impl Gids {
    /// Takes one up; false if it was there.
    pub(crate) fn insert(&mut self, gid: &str) -> bool {
        self.all.insert(self.beginnings.add(gid))
    }

    /// Takes one out; false if it was not there.
    pub(crate) fn remove(&mut self, gid: &str) -> bool {
        self.beginnings.find(gid).is_some_and(|short| self.all.remove(&short))
    }

    pub(crate) fn contains(&self, gid: &str) -> bool {
        self.beginnings.find(gid).is_some_and(|short| self.all.contains(&short))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many they are.
    pub(crate) fn len(&self) -> u64 {
        self.all.len() as u64
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = String> {
        self.all.iter().map(|short| self.beginnings.text(*short))
    }
}

impl<T: AsRef<str>> Extend<T> for Gids {
    fn extend<I: IntoIterator<Item = T>>(&mut self, gids: I) {
        for gid in gids {
            self.insert(gid.as_ref());
        }
    }
}

/// Gids that lead to others.
#[derive(Debug, Default)]
pub(crate) struct Leads {
    beginnings: Beginnings,
    to: HashMap<Short, Short>,
    ends: HashSet<Short>,
}

impl Leads {
    /// One leads to another from now on, unless it leads somewhere already.
    pub(crate) fn insert(&mut self, from: &str, to: &str) {
        let (from, to) = (self.beginnings.add(from), self.beginnings.add(to));
        self.ends.insert(*self.to.entry(from).or_insert(to));
    }

    /// One leads nowhere any more.
    pub(crate) fn remove(&mut self, from: &str) {
        if let Some(from) = self.beginnings.find(from) {
            self.to.remove(&from);
        }
    }

    /// Where one leads to.
    pub(crate) fn get(&self, gid: &str) -> Option<String> {
        let to = self.to.get(&self.beginnings.find(gid)?)?;
        Some(self.beginnings.text(*to))
    }

    /// Whether one leads anywhere.
    pub(crate) fn has(&self, gid: &str) -> bool {
        self.beginnings.find(gid).is_some_and(|short| self.to.contains_key(&short))
    }

    /// Whether any leads to this one.
    pub(crate) fn end_at(&self, gid: &str) -> bool {
        self.beginnings.find(gid).is_some_and(|short| self.ends.contains(&short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_out_as_they_went_in_and_none_is_taken_for_another() {
        let ids = [
            "gid://shopify/Product/1",
            "gid://shopify/Product/01",
            "gid://shopify/Product/0",
            "gid://shopify/Product/",
            "gid://shopify/Product/18446744073709551615",
            "gid://shopify/Product/18446744073709551616",
            "gid://shopify/Product/4294967296",
            "gid://shopify/InventoryLevel/7?inventory_item_id=12",
            "gid://shopify/Translation/Product-501-fr-title",
            "gid://shopify/Translation/Product-0501-fr-title",
            "gid://shopify/Translation/Product-\u{0}-fr-title",
            "gid://shopify/Translation/Product-\u{0}-fr-title5",
            "theme_file\n7/assets/7.css\n17",
            "gid://shopify/TranslatableResource/ä",
            "12",
            "",
        ];
        let mut beginnings = Beginnings::default();
        let shorts: Vec<Short> = ids.iter().map(|id| beginnings.add(id)).collect();
        for (id, short) in ids.iter().zip(&shorts) {
            assert_eq!(beginnings.text(*short), *id);
            assert_eq!(beginnings.find(id), Some(*short));
        }
        assert_eq!(shorts.iter().collect::<HashSet<_>>().len(), ids.len());
        assert_eq!(beginnings.find("gid://shopify/Page/1"), None);
    }

    #[test]
    fn what_is_the_same_around_numbers_is_held_once() {
        let mut beginnings = Beginnings::default();
        for n in 8_000..8_100 {
            beginnings.add(&format!("gid://shopify/Translation/Product-{n}-fr-meta_2"));
            beginnings.add(&format!("gid://shopify/InventoryLevel/77?inventory_item_id={n}"));
            beginnings.add(&format!("{n}-77"));
        }
        assert_eq!(beginnings.texts.len(), 3);
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let mut gids = Gids::default();
        assert!(gids.insert("gid://shopify/Product/1") && !gids.insert("gid://shopify/Product/1"));
        assert!(gids.contains("gid://shopify/Product/1"));
        assert!(!gids.contains("gid://shopify/Product/2"));
        assert!(!gids.contains("gid://shopify/Page/1"));
        assert_eq!(gids.iter().collect::<Vec<_>>(), ["gid://shopify/Product/1"]);
        assert!(gids.remove("gid://shopify/Product/1") && !gids.remove("gid://shopify/Product/1"));
        assert!(gids.is_empty());
    }

    #[test]
    fn one_leads_to_where_it_was_first_said_to() {
        let (old, new, other) =
            ("gid://shopify/Page/1", "gid://shopify/Page/9", "gid://shopify/Page/8");
        let mut leads = Leads::default();
        leads.insert(old, new);
        leads.insert(old, other);
        assert_eq!(leads.get(old).as_deref(), Some(new));
        assert!(leads.has(old) && !leads.has(new));
        assert!(leads.end_at(new) && !leads.end_at(old) && !leads.end_at(other));
    }
}
