//! Every resource with all of its past, as documents in the Admin API's own field names.
//!
//! A document is a JSON object. A link to another one is `{"$own": gid}` when that one lives and
//! dies with this (a product's variant), `{"$ref": gid}` when it doesn't (an order's customer).
//! What a type's catalog makes up from the seed costs nothing until it is touched.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::Timestamp;
use lru::LruCache;
use serde_json::{Value, json};

use crate::gid::Gid;

/// A document, shared between history and readers.
pub type Document = Arc<Value>;

/// So many made-up documents are kept, since who asks for one asks again.
const RECENT: NonZeroUsize = NonZeroUsize::new(8_192).unwrap();

/// What a resource was from an instant on.
#[derive(Clone, Debug)]
pub struct Revision {
    /// From when.
    pub at: Timestamp,
    /// What; nothing when it was deleted.
    pub state: Option<Document>,
}

/// Documents that follow from the seed alone.
pub trait Origin: Send + Sync {
    /// The `n`-th document of a type, as it was before anything happened.
    fn document(&self, type_name: &str, n: u64) -> Option<Value>;
    /// Which documents of a type there are, in order.
    fn numbers<'a>(&'a self, type_name: &str) -> Box<dyn Iterator<Item = u64> + Send + 'a>;
    /// The first number of a type that is free.
    fn end(&self, type_name: &str) -> u64;
}

/// The state of a shop, now and at every instant before.
pub struct Store {
    origin: Box<dyn Origin>,
    recent: RefCell<LruCache<Gid, Document>>,
    handles: RefCell<HashMap<&'static str, HashMap<String, Gid>>>,
    /// What rules find, until a product changes.
    found: RefCell<HashMap<String, Arc<[Gid]>>>,
    tables: HashMap<&'static str, Table>,
}

#[derive(Default)]
struct Table {
    touched: BTreeMap<u64, Vec<Revision>>,
    given: u64,
}

/// A link to a document that lives and dies with this one.
#[must_use]
pub fn own(gid: Gid) -> Value {
    json!({ "$own": gid.to_string() })
}

/// A link to a document with a life of its own.
#[must_use]
pub fn link(gid: Gid) -> Value {
    json!({ "$ref": gid.to_string() })
}

/// Where a link points to.
#[must_use]
pub fn target(value: &Value) -> Option<Gid> {
    value.get("$own").or_else(|| value.get("$ref"))?.as_str()?.parse().ok()
}

/// The links in a list field of a document.
pub fn targets<'a>(document: &'a Value, field: &str) -> impl Iterator<Item = Gid> + 'a {
    document.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(target)
}

impl Store {
    /// A store that begins as `origin` says.
    #[must_use]
    pub fn new(origin: Box<dyn Origin>) -> Self {
        Self {
            origin,
            recent: RefCell::new(LruCache::new(RECENT)),
            handles: RefCell::default(),
            found: RefCell::default(),
            tables: HashMap::new(),
        }
    }

    /// A number that no resource of the type has had.
    pub fn fresh(&mut self, type_name: &str) -> Gid {
        let end = self.origin.end(type_name);
        let table = self.tables.entry(Gid::nth(type_name, 0).type_name()).or_default();
        table.given += 1;
        Gid::nth(type_name, end + table.given - 1)
    }

    /// The first number of a type that no resource has had.
    #[must_use]
    pub fn end(&self, type_name: &str) -> u64 {
        self.origin.end(type_name) + self.tables.get(type_name).map_or(0, |table| table.given)
    }

    /// What a resource is now.
    #[must_use]
    pub fn get(&self, gid: Gid) -> Option<Document> {
        match self.revisions(gid).and_then(<[Revision]>::last) {
            Some(revision) => revision.state.clone(),
            None => self.original(gid),
        }
    }

    /// Who has a handle now, among the resources of a type. The first question about a type
    /// looks at all of them.
    #[must_use]
    pub fn by_handle(&self, type_name: &'static str, handle: &str) -> Option<Gid> {
        if !self.handles.borrow().contains_key(type_name) {
            let all = self
                .live(type_name)
                .filter_map(|(gid, document)| Some((document["handle"].as_str()?.to_owned(), gid)));
            let all = all.collect();
            self.handles.borrow_mut().insert(type_name, all);
        }
        self.handles.borrow().get(type_name)?.get(handle).copied()
    }

    /// The products that rules find. Looks at all of them, once for all who ask for the same.
    pub(crate) fn products_found(
        &self,
        rules: &Value,
        finds: impl Fn(&Value) -> bool,
    ) -> Arc<[Gid]> {
        let rules = rules.to_string();
        if let Some(found) = self.found.borrow().get(&rules) {
            return found.clone();
        }
        let found = self.live("Product").filter(|(_, product)| finds(product));
        let found: Arc<[Gid]> = found.map(|(gid, _)| gid).collect();
        self.found.borrow_mut().insert(rules, found.clone());
        found
    }

    fn index_handle(&self, gid: Gid, state: Option<&Value>) {
        if !self.handles.borrow().contains_key(gid.type_name()) {
            return;
        }
        let before = self.get(gid);
        let mut handles = self.handles.borrow_mut();
        let Some(index) = handles.get_mut(gid.type_name()) else { return };
        let handle = |document: &Value| document["handle"].as_str().map(str::to_owned);
        if let Some(former) = before.as_deref().and_then(handle)
            && index.get(&former) == Some(&gid)
        {
            index.remove(&former);
        }
        if let Some(handle) = state.and_then(handle) {
            index.insert(handle, gid);
        }
    }

    /// What a resource was at an instant.
    #[must_use]
    pub fn get_at(&self, gid: Gid, at: Timestamp) -> Option<Document> {
        let revisions = self.revisions(gid).unwrap_or_default();
        let after = revisions.partition_point(|revision| revision.at <= at);
        match after.checked_sub(1) {
            Some(last) => revisions[last].state.clone(),
            None => self.original(gid),
        }
    }

    /// What happened to a resource since the beginning, oldest first.
    #[must_use]
    pub fn revisions(&self, gid: Gid) -> Option<&[Revision]> {
        self.tables.get(gid.type_name())?.touched.get(&gid.n()?).map(Vec::as_slice)
    }

    /// Records what a resource is from `at` on.
    pub fn put(&mut self, gid: Gid, at: Timestamp, state: Option<Value>) {
        let Some(n) = gid.n() else { return };
        self.index_handle(gid, state.as_ref());
        if matches!(gid.type_name(), "Product" | "ProductVariant") {
            self.found.get_mut().clear();
        }
        let table = self.tables.entry(gid.type_name()).or_default();
        table.touched.entry(n).or_default().push(Revision { at, state: state.map(Arc::new) });
    }

    /// Every resource of a type that ever was, oldest first.
    pub fn all<'a>(&'a self, type_name: &'a str) -> impl Iterator<Item = Gid> + 'a {
        let end = self.origin.end(type_name);
        let created = self
            .tables
            .get(type_name)
            .into_iter()
            .flat_map(move |table| table.touched.range(end..).map(|(n, _)| *n));
        self.origin.numbers(type_name).chain(created).map(move |n| Gid::nth(type_name, n))
    }

    /// The ids of every resource of a type that is there now, oldest first.
    pub fn live_ids<'a>(&'a self, type_name: &'a str) -> impl Iterator<Item = Gid> + 'a {
        self.all(type_name).filter(|gid| {
            let last = self.revisions(*gid).and_then(<[Revision]>::last);
            last.is_none_or(|revision| revision.state.is_some())
        })
    }

    /// Every resource of a type that is there now, oldest first.
    pub fn live<'a>(&'a self, type_name: &'a str) -> impl Iterator<Item = (Gid, Document)> + 'a {
        self.all(type_name).filter_map(|gid| Some((gid, self.get(gid)?)))
    }

    /// The living resources of a type that link to another one by a field.
    #[must_use]
    pub fn naming(&self, type_name: &str, field: &str, named: Gid) -> Vec<Gid> {
        let all = self.live(type_name);
        all.filter(|(_, one)| target(&one[field]) == Some(named)).map(|(gid, _)| gid).collect()
    }

    /// A document with all that it owns in place, and other links as `{"id": gid}`.
    #[must_use]
    pub fn assembled(&self, gid: Gid, at: Timestamp) -> Option<Value> {
        let document = self.get_at(gid, at)?;
        Some(self.assemble(&document, at))
    }

    fn assemble(&self, value: &Value, at: Timestamp) -> Value {
        match value {
            Value::Object(map) => {
                if let Some(owned) = map.get("$own").and_then(|_| target(value)) {
                    return self.assembled(owned, at).unwrap_or(Value::Null);
                }
                if let Some(id) = map.get("$ref") {
                    return json!({ "id": id });
                }
                let fields = map.iter().filter(|(name, _)| !name.starts_with('_'));
                let quantities = map.get("_quantities").and_then(Value::as_object);
                let quantities = quantities.map(|by_name| {
                    let one = |(name, quantity): (&String, &Value)| {
                        json!({ "name": name, "quantity": quantity })
                    };
                    ("quantities".to_owned(), by_name.iter().map(one).collect())
                });
                fields
                    .map(|(name, field)| {
                        // A product's pictures belong to its state, though not to it alone.
                        let field = match (name.as_str(), field) {
                            ("media", Value::Array(media)) => media
                                .iter()
                                .filter_map(|link| self.assembled(target(link)?, at))
                                .collect(),
                            _ => self.assemble(field, at),
                        };
                        (name.clone(), field)
                    })
                    .chain(quantities)
                    .collect()
            }
            Value::Array(items) => items.iter().map(|item| self.assemble(item, at)).collect(),
            leaf => leaf.clone(),
        }
    }

    fn original(&self, gid: Gid) -> Option<Document> {
        if let Some(document) = self.recent.borrow_mut().get(&gid) {
            return Some(document.clone());
        }
        let document: Document = self.origin.document(gid.type_name(), gid.n()?)?.into();
        self.recent.borrow_mut().put(gid, document.clone());
        Some(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Origin for Nothing {
        fn document(&self, _: &str, _: u64) -> Option<Value> {
            None
        }
        fn numbers<'a>(&'a self, _: &str) -> Box<dyn Iterator<Item = u64> + Send + 'a> {
            Box::new(0..0)
        }
        fn end(&self, _: &str) -> u64 {
            0
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn every_instant_is_remembered() {
        let mut store = Store::new(Box::new(Nothing));
        let gid = store.fresh("Page");
        store.put(gid, at(10), Some(json!({ "title": "a" })));
        store.put(gid, at(20), Some(json!({ "title": "b" })));
        store.put(gid, at(30), None);
        let title = |second| store.get_at(gid, at(second)).map(|page| page["title"].clone());
        assert_eq!((title(9), title(10), title(19)), (None, Some(json!("a")), Some(json!("a"))));
        assert_eq!((title(20), title(30), store.get(gid)), (Some(json!("b")), None, None));
        assert_eq!(store.live_ids("Page").count(), 0);
    }

    #[test]
    fn a_handle_is_its_present_holders() {
        let mut store = Store::new(Box::new(Nothing));
        let (first, second) = (store.fresh("Page"), store.fresh("Page"));
        assert_eq!(store.by_handle("Page", "a"), None);
        store.put(first, at(1), Some(json!({ "handle": "a" })));
        assert_eq!(store.by_handle("Page", "a"), Some(first));
        store.put(first, at(2), Some(json!({ "handle": "b" })));
        assert_eq!(
            (store.by_handle("Page", "a"), store.by_handle("Page", "b")),
            (None, Some(first))
        );
        store.put(second, at(3), Some(json!({ "handle": "a" })));
        store.put(first, at(4), None);
        assert_eq!(
            (store.by_handle("Page", "a"), store.by_handle("Page", "b")),
            (Some(second), None)
        );
    }
}
