//! The lines of a bulk result → one plain node a resource.
//!
//! A line is a node; nodes within connections are lines of their own that name their parent, before
//! or after it. Only direct children of the top are understood, which is what the kinds ask for.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::spill::{Buckets, Spill, lines};

/// `__typename` → the member of the parent.
type Children = &'static [(&'static str, &'static str)];

/// Pointer to the owner's gid, and the owner's member.
type Owner = Option<(&'static str, &'static str)>;

/// Why lines are not a result that can be believed. Nothing may be taken for gone because of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TreeError {
    #[error("line {0} of the result is not a node: {1}")]
    Line(u64, String),
    #[error("the result has {found} lines, and should have {expected}")]
    Count { expected: u64, found: u64 },
    #[error("the parent {0} of some lines is not in the result")]
    Orphans(String),
    #[error("a node of type {0} has no place in its parent")]
    Type(String),
    #[error("a part does not say whose it is: {0}")]
    NoOwner(String),
    #[error("putting lines aside failed: {0}")]
    Io(#[from] io::Error),
}

/// What decides where a line belongs.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "__parentId")]
    parent: Option<Cow<'a, str>>,
}

/// Lines being taken in.
pub(crate) struct Trees {
    spill: Spill,
    children: Children,
    owner: Owner,
    taken: u64,
}

/// All lines, by resource.
pub(crate) struct Grown {
    buckets: Buckets,
    children: Children,
    owner: Owner,
}

impl Trees {
    pub(crate) fn new(dir: &Path, children: Children, owner: Owner) -> io::Result<Self> {
        Ok(Self { spill: Spill::new(dir)?, children, owner, taken: 0 })
    }

    /// Takes one line.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), TreeError> {
        self.taken += 1;
        let named: Named<'_> =
            serde_json::from_str(line).map_err(|e| TreeError::Line(self.taken, e.to_string()))?;
        let key = named.parent.as_ref().or(named.id.as_ref());
        let key = key.ok_or_else(|| TreeError::Line(self.taken, "it has no id".into()))?;
        Ok(self.spill.put(key, line.as_bytes())?)
    }

    /// All lines are there: `expected` is how many there should be.
    pub(crate) fn finish(self, dir: &Path, expected: Option<u64>) -> Result<Grown, TreeError> {
        let Self { spill, children, owner, taken } = self;
        if let Some(expected) = expected.filter(|expected| *expected != taken) {
            return Err(TreeError::Count { expected, found: taken });
        }
        let mut buckets = spill.finish()?;
        if let Some((pointer, _)) = owner {
            buckets = by_owner(dir, &buckets, children, pointer)?;
        }
        Ok(Grown { buckets, children, owner })
    }
}

impl Grown {
    /// The lines of a bucket's resources: see [`crate::spill::bucket_of`] of their gid.
    pub(crate) fn lines(&self, bucket: usize) -> io::Result<Vec<u8>> {
        self.buckets.read(bucket)
    }

    /// The resources that a bucket's lines are. Each is made when its turn comes: as values, a bucket
    /// takes many times what it takes as text.
    pub(crate) fn nodes<'a>(&self, lines: &'a [u8]) -> Result<Nodes<'a>, TreeError> {
        match self.owner {
            None => trees(lines, self.children),
            Some((_, member)) => owners(lines, member),
        }
    }
}

/// Resources, one after the other.
type Nodes<'a> = Box<dyn Iterator<Item = Result<Value, TreeError>> + 'a>;

/// A part, and whose it is.
#[derive(Deserialize)]
struct Owned<'a> {
    #[serde(borrow)]
    owner: Cow<'a, str>,
    #[serde(borrow)]
    part: &'a RawValue,
}

/// Puts parts aside once more, by whose they are.
fn by_owner(
    dir: &Path,
    parts: &Buckets,
    children: Children,
    pointer: &str,
) -> Result<Buckets, TreeError> {
    let mut spill = Spill::new(dir)?;
    for bucket in 0..crate::spill::BUCKETS {
        for part in trees(&parts.read(bucket)?, children)? {
            let part = part?;
            let owner = part.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
            let owner = owner.ok_or_else(|| TreeError::NoOwner(part["id"].to_string()))?;
            let line = json!({"owner": owner, "part": part});
            spill.put(&owner, line.to_string().as_bytes())?;
        }
    }
    Ok(spill.finish()?)
}

fn owners<'a>(bucket: &'a [u8], member: &'static str) -> Result<Nodes<'a>, TreeError> {
    let mut owners: BTreeMap<Cow<'a, str>, Vec<&'a RawValue>> = BTreeMap::new();
    for line in lines(bucket) {
        let Owned { owner, part } = read(line)?;
        owners.entry(owner).or_default().push(part);
    }
    Ok(Box::new(owners.into_iter().map(move |(id, parts)| {
        let parts = parts.into_iter().map(|part| read(part.get().as_bytes()));
        let parts = parts.collect::<Result<Vec<Value>, _>>()?;
        Ok(json!({"id": id, member: parts}))
    })))
}

fn trees(bucket: &[u8], children: Children) -> Result<Nodes<'_>, TreeError> {
    // What moves while Shopify reads may come twice: the later reading counts.
    let mut roots: BTreeMap<Cow<'_, str>, &[u8]> = BTreeMap::new();
    let mut of_parent: HashMap<Cow<'_, str>, Vec<&[u8]>> = HashMap::new();
    for line in lines(bucket) {
        let Named { id, parent } = read(line)?;
        match parent {
            Some(parent) => of_parent.entry(parent).or_default().push(line),
            None => {
                roots.insert(id.unwrap_or_default(), line);
            }
        }
    }
    if let Some(parent) = of_parent.keys().find(|parent| !roots.contains_key(*parent)) {
        return Err(TreeError::Orphans(parent.to_string()));
    }
    Ok(Box::new(roots.into_iter().map(move |(id, root)| {
        let of_root = of_parent.remove(&id).unwrap_or_default();
        tree(read(root)?, &of_root, children)
    })))
}

/// A node with its children in their places, each once.
fn tree(
    mut root: Map<String, Value>,
    of_root: &[&[u8]],
    children: Children,
) -> Result<Value, TreeError> {
    root.remove("__parentId");
    for (_, member) in children {
        root.entry(*member).or_insert_with(|| Value::Array(Vec::new()));
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    for line in of_root {
        let mut child: Map<String, Value> = read(line)?;
        child.remove("__parentId");
        let typename = child.get("__typename").and_then(Value::as_str).unwrap_or_default();
        let place = children.iter().find(|(name, _)| *name == typename);
        let place = place.and_then(|(_, member)| root.get_mut(*member)?.as_array_mut());
        let Some(place) = place else { return Err(TreeError::Type(typename.into())) };
        let last = place.len();
        let at = match child.get("id").and_then(Value::as_str) {
            Some(id) => *places.entry(id.to_owned()).or_insert(last),
            None => last,
        };
        match place.get_mut(at) {
            Some(before) => *before = child.into(),
            None => place.push(child.into()),
        }
    }
    Ok(root.into())
}

fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, TreeError> {
    serde_json::from_slice(line).map_err(|e| TreeError::Line(0, e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILDREN: Children = &[("ProductVariant", "variants"), ("MediaImage", "media")];

    fn grown(
        lines: &[String],
        owner: Owner,
        expected: Option<u64>,
    ) -> Result<BTreeMap<String, Value>, TreeError> {
        let dir = tempfile::tempdir().expect("a directory");
        let mut trees = Trees::new(dir.path(), CHILDREN, owner)?;
        lines.iter().try_for_each(|line| trees.line(line))?;
        let grown = trees.finish(dir.path(), expected)?;
        let mut all = BTreeMap::new();
        for bucket in 0..crate::spill::BUCKETS {
            for node in grown.nodes(&grown.lines(bucket)?)? {
                let node = node?;
                all.insert(node["id"].as_str().expect("an id").to_owned(), node);
            }
        }
        Ok(all)
    }

    fn lines_of(products: u32) -> Vec<String> {
        let of = |p: u32| {
            let root =
                format!(r#"{{"__typename":"Product","id":"gid:\/\/shopify\/Product\/{p}"}}"#);
            let child = move |v: u32| {
                format!(
                    r#"{{"__typename":"ProductVariant","id":"gid:\/\/shopify\/ProductVariant\/{p}{v}","__parentId":"gid:\/\/shopify\/Product\/{p}"}}"#
                )
            };
            std::iter::once(root).chain((0..3).map(child))
        };
        (0..products).flat_map(of).collect()
    }

    #[test]
    fn children_find_their_parent_wherever_they_stand() {
        let mut lines = lines_of(500);
        let in_order = grown(&lines, None, Some(2_000)).expect("trees");
        assert_eq!(in_order.len(), 500);
        let one = &in_order["gid://shopify/Product/7"];
        let ids: Vec<&str> = one["variants"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|v| v["id"].as_str())
            .collect();
        assert_eq!(ids[0], "gid://shopify/ProductVariant/70");
        assert_eq!((ids.len(), &one["media"]), (3, &json!([])));
        // Children before their parents; siblings keep their order.
        lines.sort_by_key(|line| !line.contains("__parentId"));
        assert_eq!(grown(&lines, None, None).expect("trees"), in_order);
    }

    #[test]
    fn what_shopify_read_twice_is_there_once_as_it_was_read_last() {
        let lines = lines_of(50);
        let once = grown(&lines, None, Some(200)).expect("trees");
        let twice = [&lines[..], &lines[..]].concat();
        assert_eq!(grown(&twice, None, Some(400)).expect("trees"), once);
        let seven =
            r#"{"__typename":"Product","id":"gid:\/\/shopify\/Product\/7","title":"Later"}"#;
        let again = [&lines[..], &[seven.to_owned()][..]].concat();
        let again = grown(&again, None, None).expect("trees");
        let seven = &again["gid://shopify/Product/7"];
        assert_eq!(seven["title"], "Later");
        assert_eq!(seven["variants"].as_array().map(Vec::len), Some(3), "none is gone");
    }

    #[test]
    fn parts_are_gathered_under_their_owner() {
        let part = |v: u32| {
            format!(
                r#"{{"__typename":"ProductVariant","id":"v{v}","product":{{"id":"p{}"}}}}"#,
                v % 2
            )
        };
        let lines: Vec<String> = (0..6).map(part).collect();
        let owners = grown(&lines, Some(("/product/id", "details")), Some(6)).expect("owners");
        assert_eq!(owners.len(), 2);
        assert_eq!(owners["p0"]["details"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn a_result_that_is_cut_short_is_no_result() {
        let lines = lines_of(3);
        assert!(matches!(grown(&lines[..11], None, Some(12)), Err(TreeError::Count { .. })));
        assert!(matches!(grown(&lines[1..], None, None), Err(TreeError::Orphans(_))));
        let half = [lines[0][..20].to_owned()];
        assert!(matches!(grown(&half, None, None), Err(TreeError::Line(1, _))));
    }
}
