//! Where references lead: to what was there, or to nothing.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use backstock_proto::kind::Spec;
use backstock_proto::resource::gid_type;
use backstock_proto::{Kind, ResourceId};
use serde_json::Value;

use super::{Dangling, References};

/// Most references to what has not come yet that are remembered by name.
const OPEN_MAX: usize = 10_000;
/// Most that lead nowhere that are spelled out.
const FIRST_MAX: usize = 20;

/// Follows the references of a shop's resources as they come. Of what was there, eight bytes are held
/// each.
pub(super) struct Follow {
    /// Types of gids whose resources all come by.
    types: HashSet<&'static str>,
    there: HashSet<u64>,
    open: HashMap<u64, Dangling>,
    followed: u64,
}

impl Follow {
    /// Follows references to resources of these kinds.
    pub(super) fn new(kinds: impl Iterator<Item = &'static Spec>) -> Self {
        let types = kinds.map(|spec| spec.gid_type).collect();
        Self { types, there: HashSet::new(), open: HashMap::new(), followed: 0 }
    }

    /// A resource that was there.
    pub(super) fn add(&mut self, spec: &Spec, kind: &Kind, id: &ResourceId, state: &Value) {
        if let Some(gid) = kind.gid(id) {
            self.there.insert(short(&gid));
        }
        for pointer in spec.references {
            let path: Vec<&str> = pointer.split('/').skip(1).collect();
            each(state, &path, &mut |gid| self.refer(kind, id, gid));
        }
    }

    fn refer(&mut self, kind: &Kind, id: &ResourceId, gid: &str) {
        if !gid_type(gid).is_some_and(|of| self.types.contains(of)) {
            return;
        }
        self.followed += 1;
        let to = short(gid);
        if !self.there.contains(&to) && self.open.len() < OPEN_MAX {
            let dangling = || Dangling { kind: kind.clone(), id: id.clone(), to: gid.into() };
            self.open.entry(to).or_insert_with(dangling);
        }
    }

    /// Everything that was there has come.
    pub(super) fn finish(self) -> References {
        let Self { there, open, followed, .. } = self;
        let dangling = open.into_iter().filter(|(to, _)| !there.contains(to));
        let mut first: Vec<Dangling> = dangling.map(|(_, dangling)| dangling).collect();
        let dangling = first.len() as u64;
        first.sort_by(|a, b| (&a.kind, &a.id, &a.to).cmp(&(&b.kind, &b.id, &b.to)));
        first.truncate(FIRST_MAX);
        References { followed, dangling, first }
    }
}

fn short(gid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    gid.hash(&mut hasher);
    hasher.finish()
}

/// Every text at the end of a path, of which `*` is every element.
fn each(value: &Value, path: &[&str], found: &mut impl FnMut(&str)) {
    match (path, value) {
        ([], Value::String(text)) => found(text),
        (["*", rest @ ..], Value::Array(items)) => {
            items.iter().for_each(|item| each(item, rest, found));
        }
        ([name, rest @ ..], Value::Object(members)) => {
            members.get(*name).into_iter().for_each(|member| each(member, rest, found));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_comes_later_is_there_and_what_never_comes_is_told() {
        let kind = |name: &str| Kind::parse(name).expect("a kind");
        let (collection, product) = (kind("collection"), kind("product"));
        let specs = [&collection, &product].map(|kind| kind.spec().expect("understood"));
        let id = |n: &str| ResourceId::parse(n).expect("an id");
        let mut follow = Follow::new(specs.into_iter());
        let state = json!({
            "productIds": ["gid://shopify/Product/1", "gid://shopify/Product/2"],
            "publications": [{"publicationId": "gid://shopify/Publication/9"}]
        });
        follow.add(specs[0], &collection, &id("5"), &state);
        follow.add(specs[1], &product, &id("1"), &json!({}));
        let References { followed, dangling, first } = follow.finish();
        // Publications are not among what comes by.
        assert_eq!((followed, dangling), (2, 1));
        let to = "gid://shopify/Product/2".into();
        assert_eq!(first, [Dangling { kind: collection, id: id("5"), to }]);
    }
}
