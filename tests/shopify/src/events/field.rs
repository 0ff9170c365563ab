//! Which fields of which resource an action changed, as paths.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::TOPICS;
use super::trigger::{self, Path, Step};
use crate::change::{Change, Deed};
use crate::gid::Gid;
use crate::shop::Shop;
use crate::store::{Document, target};

/// A resource with a topic, and what was done to it and to its children.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    pub(crate) gid: Gid,
    pub(crate) deed: Deed,
    pub(crate) paths: Paths,
}

/// Paths by what became of what they lead to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    added: BTreeSet<Path>,
    updated: BTreeSet<Path>,
    removed: BTreeSet<Path>,
}

/// What cannot be a trigger: timestamps, what is derived, what belongs to another domain, and what
/// has changes of its own.
const SILENT: [&str; 14] = [
    "__typename",
    "id",
    "createdAt",
    "updatedAt",
    "creationDate",
    "lastEditDate",
    "metafields",
    "values",
    "resourcePublicationsV2",
    "numberOfOrders",
    "amountSpent",
    "lastOrder",
    "bodySummary",
    "validationStatus",
];

/// The resources with a topic that an action changed, itself or by a child.
pub(crate) fn roots(shop: &Shop, changes: &[Change]) -> Vec<Root> {
    let mut roots: BTreeMap<Gid, Root> = BTreeMap::new();
    for change in changes {
        let Some(deed) = change.deed() else { continue };
        let Some(document) = change.after.as_ref().or(change.before.as_ref()) else { continue };
        let Some((gid, path)) = place(shop, change.gid, document) else { continue };
        let own = gid == change.gid;
        if !own && shop.store.get(gid).is_none() {
            continue;
        }
        let root = roots.entry(gid).or_insert_with(|| Root {
            gid,
            deed: Deed::Update,
            paths: Paths::default(),
        });
        if own {
            root.deed = deed;
        }
        match (&change.before, &change.after) {
            (Some(before), Some(after)) => diff(before, after, &path, &mut root.paths),
            (None, _) => _ = root.paths.added.insert(path),
            (_, None) => _ = root.paths.removed.insert(path),
        }
    }
    let mut roots: Vec<Root> = roots.into_values().collect();
    for root in &mut roots {
        // What came or went is told of as a whole.
        let whole = |paths: &BTreeSet<Path>| {
            paths.iter().filter(|path| path.0.len() == 1).cloned().collect()
        };
        match root.deed {
            Deed::Create => {
                root.paths = Paths { added: whole(&root.paths.added), ..Paths::default() }
            }
            Deed::Delete => {
                root.paths = Paths { removed: whole(&root.paths.removed), ..Paths::default() }
            }
            Deed::Update => {}
        }
    }
    roots
}

/// The resource with a topic that a document belongs to, and the way from there to it.
fn place(shop: &Shop, gid: Gid, document: &Document) -> Option<(Gid, Path)> {
    let id = gid.to_string();
    let kind = gid.type_name();
    if TOPICS.contains(&kind) {
        let kind_of = document["type"].as_str().unwrap_or_default();
        let which = match kind {
            "Metaobject" | "MetaobjectDefinition" => vec![("id", id.as_str()), ("type", kind_of)],
            _ => vec![("id", id.as_str())],
        };
        return Some((gid, Path(vec![Step::one(&trigger::root(kind), &which)])));
    }
    let (holder, step) = match kind {
        "ProductVariant" => (&document["product"], Step::one("variants", &[("id", &id)])),
        "InventoryLevel" => {
            let id = document["id"].as_str().unwrap_or_default();
            (&document["item"], Step::one("inventoryLevels", &[("id", id)]))
        }
        "Metafield" => {
            let text = |field: &str| document[field].as_str().unwrap_or_default();
            let which = [("namespace", text("namespace")), ("key", text("key"))];
            (&document["owner"], Step::one("metafield", &which))
        }
        _ => return None,
    };
    let holder = target(holder)?;
    let held_by = shop.store.get(holder).or_else(|| {
        shop.store.revisions(holder)?.iter().rev().find_map(|revision| revision.state.clone())
    })?;
    let (root, path) = place(shop, holder, &held_by)?;
    Some((root, path.then(step)))
}

fn diff(before: &Value, after: &Value, path: &Path, paths: &mut Paths) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            paths.updated.insert(path.clone());
        }
        return;
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (old, new) = (&before[name.as_str()], &after[name.as_str()]);
        if old == new || SILENT.contains(&name.as_str()) {
            continue;
        }
        if name == "_quantities" {
            quantities(old, new, path, paths);
        }
        if name.starts_with('_') || is_owned(old) || is_owned(new) {
            continue;
        }
        match (old, new) {
            (Value::Array(old), Value::Array(new)) => lists(name, old, new, path, paths),
            (Value::Object(_), Value::Object(_)) if target(new).is_none() => {
                diff(old, new, &path.then(Step::field(name)), paths);
            }
            _ => _ = paths.updated.insert(path.then(Step::field(name))),
        }
    }
}

/// What is owned has changes of its own.
fn is_owned(value: &Value) -> bool {
    let owned = |value: &Value| value.get("$own").is_some();
    owned(value) || value.as_array().is_some_and(|items| items.iter().any(owned))
}

fn quantities(old: &Value, new: &Value, path: &Path, paths: &mut Paths) {
    for (name, quantity) in new.as_object().into_iter().flatten() {
        if old[name] != *quantity {
            let one = path.then(Step::one("quantities", &[("name", name)]));
            paths.updated.insert(one.then(Step::field("quantity")));
        }
    }
}

/// Items with an identity came, went or changed; of a list of others only that it changed.
fn lists(name: &str, old: &[Value], new: &[Value], path: &Path, paths: &mut Paths) {
    let (key, step) = match name {
        "fields" => ("key", "field"),
        "fieldDefinitions" => ("key", "fieldDefinitions"),
        other => ("id", other),
    };
    let named = |item: &Value| -> Option<String> {
        let linked = target(item).map(|gid| gid.to_string());
        linked.or_else(|| item.get(key)?.as_str().map(str::to_owned))
    };
    let index = |items: &[Value]| -> Option<BTreeMap<String, Value>> {
        items.iter().map(|item| Some((named(item)?, item.clone()))).collect()
    };
    let (Some(before), Some(after)) = (index(old), index(new)) else {
        paths.updated.insert(path.then(Step::field(name)));
        return;
    };
    let one = |id: &str| path.then(Step::one(step, &[(key, id)]));
    for (id, item) in &after {
        match before.get(id) {
            None => _ = paths.added.insert(one(id)),
            Some(former) if target(item).is_none() => diff(former, item, &one(id), paths),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|id| !after.contains_key(*id));
    paths.removed.extend(gone.map(|id| one(id)));
    // The same items in another order.
    let order = |items: &[Value]| items.iter().map(named).collect::<Vec<_>>();
    if before.keys().eq(after.keys()) && order(old) != order(new) {
        paths.updated.insert(path.then(Step::field(name)));
    }
}

impl Paths {
    fn each(&self) -> impl Iterator<Item = &Path> {
        self.added.iter().chain(&self.updated).chain(&self.removed)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    pub(crate) fn filter(mut self, wanted: impl Fn(&Path) -> bool) -> Self {
        for paths in [&mut self.added, &mut self.updated, &mut self.removed] {
            paths.retain(&wanted);
        }
        self
    }

    /// As a delivery says them.
    pub(crate) fn json(&self) -> Value {
        let texts = |paths: &BTreeSet<Path>| {
            paths.iter().map(|path| json!(path.to_string())).collect::<Vec<_>>()
        };
        json!({
            "added": texts(&self.added),
            "updated": texts(&self.updated),
            "removed": texts(&self.removed),
        })
    }

    /// The same paths, one lot for each child that a query's variables name.
    pub(crate) fn by_child(&self, asked: &[String]) -> Vec<Self> {
        let child = |path: &Path| -> Vec<(String, String)> {
            let below = path.0.iter().skip(1).flat_map(named_by);
            below.filter(|(name, _)| asked.contains(name)).collect()
        };
        let children: BTreeSet<_> = self.each().map(child).collect();
        let lots = children.iter().map(|one| self.clone().filter(|path| child(path) == *one));
        lots.collect()
    }

    /// What says which entities these paths are about, where that is one of each sort.
    pub(crate) fn variables(&self, root: &Root) -> Map<String, Value> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, value) in self.each().flat_map(|path| path.0.iter().flat_map(named_by)) {
            found.entry(name).or_default().insert(value);
        }
        let own = format!("{}Id", trigger::root(root.gid.type_name()));
        found.entry(own).or_default().insert(root.gid.to_string());
        let single = found.into_iter().filter(|(_, values)| values.len() == 1);
        single.map(|(name, values)| (name, json!(values.first()))).collect()
    }
}

/// `variants[id: 'gid://…']` is `variantsId`, `metafield[key: 'x']` is `metafieldKey`.
fn named_by(step: &Step) -> impl Iterator<Item = (String, String)> {
    step.which.iter().map(|(key, value)| {
        let mut letters = key.chars();
        let key: String =
            letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        (format!("{}{key}", step.name), value.clone())
    })
}
